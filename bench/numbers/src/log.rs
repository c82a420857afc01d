//! `cargo numbers -- log`: what the binary log costs, in seconds of CPU of a whole sync with it and without it, in turns; and that
//! what it holds is whole after a kill. Scripts are believed, so that there is the least work beside it.

use crate::load::Load;
use crate::pairs::Pairs;
use crate::process;
use crate::side::{How, Side};
use crate::table::Table;
use caesure_bench::pump::{Options, Pump};
use caesure_tests::Folder;
use caesure_tests::binary::{caesure, run as run_caesure};
use clap::Args;
use shards::prover::Mode;
use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

/// What it may cost.
const PERCENT_MAX: f64 = 2.0;

/// A log that has not grown for so long holds all there was to tell.
const WRITTEN: Duration = Duration::from_millis(300);

/// What is measured, and how often.
#[derive(Args)]
pub struct LogArgs {
    /// Transactions of the chain
    #[arg(long, default_value_t = 1_000_000)]
    txs: u32,
    /// Pairs of syncs
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// With all messages in it, too (--packet)
    #[arg(long)]
    packet: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Measures, and gives the table.
pub fn run(args: &LogArgs) -> io::Result<Table> {
    // If it has to be built first, that is no time of a sync.
    caesure();
    let load = Load::with(args.txs)?;
    let (chain, _) = load.open()?;
    let (mut records, mut bytes) = (Vec::new(), Vec::new());
    let mut kinds = vec![("CPU of a logged sync", &[][..])];
    if args.packet {
        kinds.push(("CPU with all messages logged", &["--packet", "--logfile-size", "0"][..]));
    }
    let mut table = Table::default();
    for (what, more) in kinds {
        let pairs = Pairs::measure("syncs", args.rounds, |with| {
            let pump = Pump::start(chain.clone(), Options::default())?;
            let assumed = load.last_full.clone();
            let how = How { cores: How::cpus(), peer: Some(pump.addr()), assumed, lanes: Mode::Auto };
            let logs = Folder::new();
            let log = logs.join("log");
            let words = [&["--logfile", log.to_str().expect("target has a path in UTF-8")], more].concat();
            let side = Side::ours(Folder::new(), &how, if with { words.as_slice() } else { &[] });
            side.wait(load.height, "caesure syncs");
            let cpu = process::cpu_seconds(side.pid());
            // What it has still in memory is written, however short the sync was; then it is killed.
            let len = || fs::metadata(&log).map_or(0, |found| found.len());
            let mut before = u64::MAX;
            while with && len() != before {
                before = len();
                thread::sleep(WRITTEN);
            }
            drop(side);
            if with {
                let (status, out, err) = run_caesure(&["catlog", log.to_str().expect("as before")]);
                let valid = out.lines().filter(|line| line.contains(" chain connected ")).count();
                if status != 0 || !err.is_empty() || valid < load.height as usize {
                    return Err(io::Error::other(format!("{valid} of {} blocks are in the log: {err}", load.height)));
                }
                records.push(out.lines().count() as f64);
                bytes.push(fs::metadata(&log)?.len() as f64);
            }
            Ok(cpu)
        })?;
        pairs.rows(what, "s", PERCENT_MAX, &mut table);
        table.spread(format!("{what}: records"), "", &records, "", &[]);
        table.spread(
            format!("{what}: bytes of the log"),
            "MB",
            &bytes.iter().map(|b| b / 1e6).collect::<Vec<_>>(),
            "",
            &[],
        );
        records.clear();
        bytes.clear();
    }
    Ok(table)
}
