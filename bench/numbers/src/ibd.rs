//! `cargo numbers -- ibd`: a first sync, here and in Bitcoin Core, from the same peer and the same file, in turns.
//!
//! Time runs from the first getheaders that the peer sees until the node itself reports the tip. CPU and memory are the
//! node's alone; but the peer sends from the same machine.

use crate::limit::Limit;
use crate::load::Load;
use crate::process;
use crate::side::{How, Side};
use crate::spent::{self, Spent};
use crate::table::Table;
use caesure_bench::pump::{Options, Pump};
use caesure_bench::records::Chain;
use caesure_tests::Folder;
use caesure_tests::binary::caesure;
use caesure_tests::core::bitcoind;
use clap::{Args, ValueEnum};
use shards::prover::Mode;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// What is measured, and how often.
#[derive(Args)]
pub struct IbdArgs {
    /// Bitcoin Core to hold against [default: BITCOIND, if that names one]
    #[arg(long, value_name = "FILE")]
    bitcoind: Option<PathBuf>,
    /// Transactions of the chain
    #[arg(long, default_value_t = 1_000_000)]
    txs: u32,
    /// Times each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Whether scripts are run
    #[arg(long, value_enum, default_value = "all")]
    scripts: Scripts,
    /// CPUs that the node may use, each in turn
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    cores: Vec<usize>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scripts {
    /// All of them, with libsecp256k1
    Check,
    /// All of them, with lanes; where this machine has none that is the same
    Lanes,
    /// None: the last block that has transactions is assumed valid
    Skip,
    /// Each of these
    All,
}

/// One sync.
struct Sync {
    seconds: f64,
    cpu: f64,
    peak: f64,
    written: f64,
    unsynced: Option<f64>,
    start: f64,
    stop: f64,
    /// A second start, on all that is there, until the tip is reported.
    again: f64,
    /// Stage by stage; Core does not tell.
    spent: Option<Spent>,
    /// Of the signatures, how many lanes proved, and how many went back to libsecp256k1 or with a script that did.
    lanes: Option<[f64; 2]>,
    /// Goes once all rounds are over: ext4 without a journal looks at all that was deleted in the last minutes, by anybody, for each
    /// file that is made.
    _folder: Folder,
}

fn sync(bitcoind: Option<&PathBuf>, chain: &Arc<Chain>, load: &Load, cores: usize, scripts: Scripts) -> Sync {
    let pump = Pump::start(chain.clone(), Options::default()).expect("a free port");
    let skip = scripts == Scripts::Skip;
    let assumed = if skip { load.last_full.clone() } else { "0".into() };
    let lanes = if scripts == Scripts::Check { Mode::Off } else { Mode::Auto };
    let how = How { cores, peer: Some(pump.addr()), assumed, lanes };
    let begun = Instant::now();
    let side = Side::start(bitcoind, Folder::new(), &how);
    let start = begun.elapsed().as_secs_f64();
    side.wait(load.height, if bitcoind.is_some() { "Core syncs" } else { "caesure syncs" });
    let seconds = pump.stats().asked.expect("it has the headers").elapsed().as_secs_f64();
    let (status, unsynced) = (side.status(), side.unsynced());
    let (cpu, peak) = (process::cpu_seconds(side.pid()), process::memory_peak(side.pid()));
    let written = process::written(side.pid());
    let lanes = status.as_ref().filter(|_| scripts == Scripts::Lanes).map(|status| {
        let count = |name: &str| status["lanes"][name].as_f64().expect("a count");
        let left = ["keys_left", "at_once", "scripts_failed", "scripts_refused", "scripts_undecided"];
        [count("proven"), left.map(count).iter().sum()]
    });
    let spent = status.map(|status| Spent::of(&status, cpu, seconds));
    assert_eq!(side.believed_scripts(), skip, "the scripts were not treated as asked");
    let begun = Instant::now();
    let folder = side.stop();
    let stop = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let side = Side::start(bitcoind, folder, &how);
    side.wait(load.height, "a start on all that");
    let again = begun.elapsed().as_secs_f64();
    let _folder = side.stop();
    Sync { seconds, cpu, peak, written, unsynced, start, stop, again, spent, lanes, _folder }
}

/// Measures, and gives the table.
pub fn run(args: &IbdArgs) -> io::Result<Table> {
    args.cores.iter().try_for_each(|cores| How::check(*cores))?;
    let bitcoind = args.bitcoind.clone().or_else(bitcoind);
    // If it has to be built first, that is no time of a start.
    caesure();
    let load = Load::with(args.txs)?;
    let (chain, bytes) = load.open()?;
    let mut table = Table::default();
    table.row("blocks", "", f64::from(load.height));
    table.row("transactions", "million", f64::from(load.txs) / 1e6);
    table.row("inputs", "million", load.tally.inputs as f64 / 1e6);
    table.row("signatures", "million", (load.tally.ecdsa + load.tally.schnorr) as f64 / 1e6);
    table.row("bytes of blocks", "MB", bytes as f64 / 1e6);
    let modes = match args.scripts {
        Scripts::All => vec![Scripts::Skip, Scripts::Check, Scripts::Lanes],
        one => vec![one],
    };
    for scripts in modes {
        for &cores in &args.cores {
            let (mut ours, mut theirs, mut limits) = (Vec::new(), Vec::new(), Vec::new());
            for round in 1..=args.rounds {
                eprintln!("round {round} of {}, {cores} cores, scripts {}", args.rounds, word(scripts));
                if scripts != Scripts::Skip {
                    limits.push(Limit::on(cores));
                }
                ours.push(sync(None, &chain, &load, cores, scripts));
                theirs.extend(bitcoind.iter().map(|core| sync(Some(core), &chain, &load, cores, scripts)));
            }
            let what = format!("{}, {cores} core{}", word(scripts), if cores == 1 { "" } else { "s" });
            rows(&what, &load, bytes as f64, &ours, &theirs, &mut table);
            if scripts != Scripts::Skip {
                shares(&what, &load, &limits, &ours, &theirs, &mut table);
            }
            let spent: Vec<Spent> = ours.iter_mut().filter_map(|sync| sync.spent.take()).collect();
            table.grid(spent::grid(format!("{what}: where the time went"), &spent, &load));
        }
    }
    Ok(table)
}

fn word(scripts: Scripts) -> &'static str {
    match scripts {
        Scripts::Skip => "skipped",
        Scripts::Check => "checked",
        Scripts::Lanes => "in lanes",
        Scripts::All => unreachable!("each by itself"),
    }
}

fn rows(what: &str, load: &Load, bytes: f64, ours: &[Sync], theirs: &[Sync], table: &mut Table) {
    let mut row = |name: &str, unit, of: &dyn Fn(&Sync) -> f64| {
        let all = |syncs: &[Sync]| syncs.iter().map(of).collect::<Vec<f64>>();
        table.spread(format!("{what}: {name}"), unit, &all(ours), "Core", &all(theirs));
    };
    row("getheaders to tip", "s", &|s| s.seconds);
    row("blocks", "/s", &|s| f64::from(load.height) / s.seconds);
    row("transactions", "/s", &|s| f64::from(load.txs) / s.seconds);
    row("inputs", "/s", &|s| load.tally.inputs as f64 / s.seconds);
    row("blocks' bytes", "MB/s", &|s| bytes / s.seconds / 1e6);
    row("CPU till then", "s", &|s| s.cpu);
    row("CPUs busy", "", &|s| s.cpu / s.seconds);
    row("most memory", "MB", &|s| s.peak / 1e6);
    row("written till then", "MB", &|s| s.written / 1e6);
    row("first start", "s", &|s| s.start);
    row("stop", "s", &|s| s.stop);
    row("start on all that, to the tip", "s", &|s| s.again);
    let unsynced: Vec<f64> = ours.iter().filter_map(|s| Some(s.unsynced? / 1e6)).collect();
    table.spread(format!("{what}: blocks not yet synced to disk"), "MB", &unsynced, "", &[]);
}

/// What libsecp256k1 could do at most, as measured in each round, and how much of it was reached.
fn shares(what: &str, load: &Load, limits: &[Limit], ours: &[Sync], theirs: &[Sync], table: &mut Table) {
    let mut row = |name: &str, unit, of: &dyn Fn(&Limit) -> f64| {
        table.spread(format!("{what}: {name}"), unit, &limits.iter().map(of).collect::<Vec<f64>>(), "", &[]);
    };
    row("libsecp256k1, ECDSA", "/s/core", &|limit| limit.ecdsa);
    row("libsecp256k1, Schnorr", "/s/core", &|limit| limit.schnorr);
    row("all signatures at that rate", "s", &|limit| limit.seconds(load.tally));
    let share = |syncs: &[Sync]| {
        let rounds = limits.iter().zip(syncs);
        rounds.map(|(limit, sync)| 100.0 * limit.seconds(load.tally) / sync.seconds).collect::<Vec<f64>>()
    };
    table.spread(format!("{what}: share of that reached"), "%", &share(ours), "Core", &share(theirs));
    let proven: Vec<f64> =
        ours.iter().filter_map(|s| s.lanes).map(|[proven, left]| 100.0 * proven / (proven + left)).collect();
    if !proven.is_empty() {
        table.spread(format!("{what}: signatures that lanes decided"), "%", &proven, "", &[]);
    }
}
