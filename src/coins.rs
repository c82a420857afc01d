//! `caesure coins`: what the coins of the chain on disk are, beside a running node or with none; nothing of the node's is
//! written but by `load`, which has a file of its own. Knows words and files; the shards make the coins and look at them.

use crate::args::Coins;
use crate::config::Config;
use crate::disk::put_in_place;
use crate::exit::Fatal;
use crate::run::Purpose;
use serde::de::DeserializeOwned;
use shards::status::{Digest, Stats};
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Arc;

/// Answers one of the questions.
pub fn run(config: Config, what: Coins) -> Result<(), Fatal> {
    match what {
        Coins::Digest => digest(config),
        Coins::Stats { json } => stats(config, json),
        Coins::Get { outpoint, at } => get(config, &outpoint, at.as_deref()),
        Coins::Dump { file } => dump(config, &file),
        Coins::Load { file, snapshot_hash, snapshot_height } => {
            crate::load::run(&config, &file, snapshot_hash, snapshot_height)
        }
    }
}

/// A survey's answer, or why there is none.
fn survey<T: DeserializeOwned>(config: Config, question: &str, dump: Option<File>) -> Result<T, Fatal> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Answer<T> {
        Refused { error: String },
        Told(T),
    }
    let look = Purpose::Look(question.to_owned(), dump.map(Arc::new));
    match crate::answer::<Answer<T>>(config, look)? {
        Answer::Told(answer) => Ok(answer),
        Answer::Refused { error } => Err(Fatal::Runtime(error)),
    }
}

fn digest(config: Config) -> Result<(), Fatal> {
    let Digest { height, tip, coins, digest } = survey(config, "digest", None)?;
    eprintln!("height {height}  tip {tip}  coins {coins}");
    println!("{digest}");
    Ok(())
}

fn stats(config: Config, json: bool) -> Result<(), Fatal> {
    if json {
        let stats: serde_json::Value = survey(config, "stats", None)?;
        println!("{stats}");
        return Ok(());
    }
    let stats: Stats = survey(config, "stats", None)?;
    let amount = format!("{}.{:08}", stats.total_satoshi / consensus::COIN, stats.total_satoshi % consensus::COIN);
    for (name, value) in [
        ("height", stats.height.to_string()),
        ("bestblock", stats.bestblock),
        ("txouts", stats.txouts.to_string()),
        ("transactions", stats.transactions.to_string()),
        ("bogosize", stats.bogosize.to_string()),
        ("total_amount", amount),
        ("muhash", stats.muhash.unwrap_or_default()),
        ("hash_serialized_3", stats.hash_serialized_3),
    ] {
        println!("{name:<18} {value}");
    }
    Ok(())
}

fn get(config: Config, outpoint: &str, at: Option<&str>) -> Result<(), Fatal> {
    let at = at.map(|at| format!(" @{at}")).unwrap_or_default();
    let text = crate::ask(config, Purpose::Look(format!("coin {outpoint}{at}"), None))?;
    match text.strip_prefix("error: ") {
        Some(why) => Err(Fatal::Usage(why.to_owned())),
        None => {
            println!("{text}");
            Ok(())
        }
    }
}

/// Writes beside the name and takes it only when all is there, as Core does.
fn dump(config: Config, path: &Path) -> Result<(), Fatal> {
    let shown = path.display();
    if path.exists() {
        return Err(Fatal::Usage(format!("{shown} exists already; move it away, or choose another name")));
    }
    let incomplete = path.with_added_extension("incomplete");
    let failed = |doing: &str, why| Fatal::DiskFailed { path: incomplete.clone(), doing: doing.to_owned(), why };
    let options = OpenOptions::new().write(true).create(true).truncate(true).open(&incomplete);
    let file = options.map_err(|why| Fatal::Usage(format!("cannot write {}: {why}", incomplete.display())))?;
    let kept = file.try_clone().map_err(|why| failed("opening of", why))?;
    let Stats { height, bestblock, txouts, hash_serialized_3, .. } = survey(config, "dump", Some(file))?;
    put_in_place(&kept, &incomplete, path).map_err(|why| failed("sync or renaming of", why))?;
    println!("coins_written      {txouts}\nbase_hash          {bestblock}\nbase_height        {height}");
    println!("path               {shown}\ntxoutset_hash      {hash_serialized_3}");
    Ok(())
}
