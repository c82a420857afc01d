//! `cargo numbers -- scale`: what more cores would bring. From imports out of the page cache: the share of all work that only one
//! core can do, stage by stage, and the speed on more cores that follows from it, beside what was measured on those there are.
//!
//! Predicted is by Amdahl's law: what only one core can do is done while all others wait, all else is shared evenly, work grows
//! with no core, and nobody waits for disk or memory. Where the cores for chain and store work beside the others, as the node's
//! plan has it, the bound is that of the busiest: the speed may reach the second figure and no more. Time outside stages is taken
//! to be shared.

use crate::import::import;
use crate::load::Load;
use crate::side::How;
use crate::spent::{Spent, grid};
use crate::table::{Table, Teller, median};
use caesure_tests::binary::caesure;
use clap::Args;
use std::io;

/// Cores for which a speed is predicted, besides those measured.
const PREDICTED: [usize; 4] = [4, 8, 16, 64];

/// What is measured, and how often.
#[derive(Args)]
pub struct ScaleArgs {
    /// Transactions of the chain
    #[arg(long, default_value_t = 300_000)]
    txs: u32,
    /// Times each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Executors measured, the first being what others are held against
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    cores: Vec<usize>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Imports on so many executors: what each took.
struct Measured {
    cores: usize,
    seconds: Vec<f64>,
    spent: Vec<Spent>,
}

impl Measured {
    fn import(&mut self, load: &Load, assumed: &str) -> io::Result<()> {
        let (_, ran) = import(load, self.cores, assumed)?;
        let status = serde_json::from_str(&ran.said).map_err(io::Error::other)?;
        self.seconds.push(ran.seconds);
        self.spent.push(Spent::of(&status, ran.cpu, ran.seconds));
        Ok(())
    }
}

/// Measures, and gives the table.
pub fn run(args: &ScaleArgs) -> io::Result<Table> {
    args.cores.iter().try_for_each(|cores| How::check(*cores))?;
    // If it has to be built first, that is no time of an import.
    caesure();
    let load = Load::with(args.txs)?;
    load.open()?;
    let (mut table, mut teller, mut done) = (Table::default(), Teller::new("scale"), 0);
    table.row("transactions", "million", f64::from(load.txs) / 1e6);
    for (what, assumed) in [("skipped", load.last_full.as_str()), ("checked", "0")] {
        let measured = |cores: &usize| Measured { cores: *cores, seconds: Vec::new(), spent: Vec::new() };
        let mut all: Vec<Measured> = args.cores.iter().map(measured).collect();
        for _ in 0..args.rounds {
            for measured in &mut all {
                measured.import(&load, assumed)?;
                done += 1;
                teller.say(done, args.cores.len() as u64 * 2 * u64::from(args.rounds), "imports");
            }
        }
        rows(what, &load, &all, &mut table);
    }
    Ok(table)
}

fn rows(what: &str, load: &Load, all: &[Measured], table: &mut Table) {
    let first = &all[0];
    let percent = |of: fn(&Spent) -> f64| first.spent.iter().map(|run| 100.0 * of(run)).collect::<Vec<f64>>();
    table.spread(format!("{what}: only one core can do"), "% of work", &percent(Spent::serial), "", &[]);
    table.spread(format!("{what}: outside stages"), "% of work", &percent(Spent::outside), "", &[]);
    for measured in all {
        let Measured { cores, seconds, spent } = measured;
        let one = if *cores == 1 { "" } else { "s" };
        let rate: Vec<f64> = seconds.iter().map(|seconds| f64::from(load.txs) / seconds).collect();
        table.spread(format!("{what}, {cores} core{one}: transactions"), "/s", &rate, "", &[]);
        table.grid(grid(format!("{what}, {cores} core{one}: where the time went"), spent, load));
    }
    // Shares of one executor's time, which all others are predicted from.
    let serial: Vec<f64> = first.spent.iter().map(Spent::serial).collect();
    let start = first.cores as f64;
    let alone = median(first.seconds.clone());
    for measured in &all[1..] {
        let times: Vec<f64> = measured.seconds.iter().map(|seconds| alone / seconds).collect();
        let what = format!("{what}, {} cores: measured, times {}", measured.cores, first.cores);
        table.spread(what, "", &times, "predicted", &speeds(&serial, start, measured.cores));
    }
    for cores in PREDICTED {
        let busiest: Vec<f64> =
            serial.iter().map(|serial| (cores as f64).min(1.0 / serial) / start.min(1.0 / serial)).collect();
        let what = format!("{what}, {cores} cores: predicted, times {}", first.cores);
        table.spread(what, "", &speeds(&serial, start, cores), "at most", &busiest);
    }
}

/// Amdahl's law: how much faster so many cores are than those at the start.
fn speeds(serial: &[f64], start: f64, cores: usize) -> Vec<f64> {
    let time = |serial: f64, cores: f64| serial + (1.0 - serial) / cores;
    serial.iter().map(|serial| time(*serial, start) / time(*serial, cores as f64)).collect()
}
