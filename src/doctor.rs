//! `caesure doctor`: all that the node needs of machine and folder, each with what is found, what is wanted, and the command that
//! mends it. Changes nothing; judges by what `tuning` and the folder say.

use crate::config::Config;
use crate::exit::Fatal;
use crate::folder::Folder;
use crate::{holder, run as node};
use consensus::Network;
use std::net::SocketAddr;
use tuning::{Check, Grade, What};

/// What all blocks of main take by the end of 2026, and the others, roughly, bytes.
const MAIN_BYTES: u64 = 800_000_000_000;
const TESTNET_BYTES: u64 = 200_000_000_000;
const SMALL_BYTES: u64 = 30_000_000_000;

/// Prints all; ends with the status of the first that fails.
pub fn run(config: &Config, json: bool) -> Result<(), Fatal> {
    let wants = tuning::Wants { folder: &config.folder, ..config.wants() };
    let mut checks = tuning::examine(&wants, to_come(config));
    let (folder, running, failed) = folder(config);
    checks.extend([processor(), folder]);
    checks.extend(config.serve.iter().chain(&config.webui).map(|address| port(*address, running)));
    match json {
        true => println!("{}", serde_json::Value::from_iter(checks.iter().map(row))),
        false => print!("{}", tuning::table(&checks)),
    }
    let first = checks.iter().find(|check| check.grade == Grade::Fail);
    first.map_or(Ok(()), |check| {
        Err(failed.filter(|_| check.what == What::Folder).unwrap_or_else(|| Fatal::from(check)))
    })
}

/// Bytes of blocks that are not here yet, or that may be kept.
fn to_come(config: &Config) -> u64 {
    let all = match config.chain {
        Network::Main => MAIN_BYTES,
        Network::Testnet3 => TESTNET_BYTES,
        Network::Testnet4 | Network::Signet => SMALL_BYTES,
        Network::Regtest => 0,
    };
    use std::os::unix::fs::MetadataExt;
    let here = std::fs::metadata(config.folder.join("blocks.bin")).map_or(0, |file| file.blocks() * 512);
    config.prune.unwrap_or(all).min(all).saturating_sub(here)
}

fn row(check: &Check) -> serde_json::Value {
    let grade = check.grade.to_string().trim().to_owned();
    serde_json::json!({
        "what": check.what.to_string(), "found": check.found, "wanted": check.wanted, "grade": grade, "mend": check.mend,
    })
}

/// No lack: libsecp256k1 does without.
fn processor() -> Check {
    let found = match lanes::Lanes::detect() {
        Some(_) => "AVX-512 IFMA: signatures are proven eight at a time",
        None => "no AVX-512 IFMA: libsecp256k1 settles all signatures",
    };
    let wanted = "AVX-512 IFMA makes a first sync faster".into();
    Check { what: What::Processor, found: found.into(), wanted, grade: Grade::Ok, mend: None }
}

/// The node's folder; whether a node runs on it; and how a start there would fail.
fn folder(config: &Config) -> (Check, bool, Option<Fatal>) {
    let (path, wanted) = (config.folder.display(), "one that this version can go on with".to_owned());
    let found =
        |found: String| Check { what: What::Folder, found, wanted: wanted.clone(), grade: Grade::Ok, mend: None };
    if let Some(process) = holder::of(&config.folder) {
        return (found(format!("process {process} runs a node on {path}")), true, None);
    }
    if !config.folder.join("blocks.bin").exists() {
        return (found(format!("no node has run on {path} yet")), false, None);
    }
    match Folder::look(&config.folder) {
        Ok(_) => (found(format!("{path}; caesure blocks verify reads all of it")), false, None),
        Err(why) => {
            let text = why.to_string();
            let (what, mend) = text.split_once("\ntry: ").unwrap_or((&text, "caesure inspect"));
            let check = Check { grade: Grade::Fail, mend: Some(mend.into()), ..found(what.into()) };
            (check, false, Some(why))
        }
    }
}

/// Whether a node could listen there.
fn port(address: SocketAddr, running: bool) -> Check {
    let wanted = format!("{address} is free");
    let (found, grade, mend) = match node::bind(address) {
        Ok(_) => ("free".to_owned(), Grade::Ok, None),
        Err(_) if running => ("taken, and a node runs here".to_owned(), Grade::Ok, None),
        Err(why) => (why.to_string(), Grade::Fail, Some(format!("ss -ltnp 'sport = :{}'", address.port()))),
    };
    Check { what: What::Ports, found, wanted, grade, mend }
}
