//! `cargo numbers -- ledger`: runs both measurements, says how far it is, and prints one table.

use super::worlds::{Figures, grow_and_fold};
use super::{Churned, Times, fill_and_churn};
use std::time::{Duration, Instant};

/// Bytes of memory of a coin in Bitcoin Core, all in: 25,442.8 MiB for 173,676,464 coins at height 888,888
/// (delvingbitcoin.org, topic 1562, post 13).
const CORE_BYTES: f64 = 153.6;

/// Coins that blocks over the full ledger take and make, at most.
const OPERATIONS_MAX: u64 = 4_000_000;

struct Row {
    name: &'static str,
    value: f64,
    unit: &'static str,
    beside: String,
}

/// Measures with that many coins, and prints a table or JSON.
pub fn run(coins: u64, json: bool) {
    let mut teller = Teller { begun: Instant::now(), said: Instant::now(), what: String::new() };
    let done = fill_and_churn(coins, |what, done, of| teller.say(what, done, of));
    let mut rows = base_rows(&done);
    let operations = (2 * coins).min(OPERATIONS_MAX);
    rows.extend(world_rows(&grow_and_fold(done, operations, |what, done, of| teller.say(what, done, of))));
    if json {
        let fields = rows.iter().map(|row| format!("  \"{}, {}\": {:.3}", row.name, row.unit, row.value));
        println!("{{\n{}\n}}", fields.collect::<Vec<_>>().join(",\n"));
        return;
    }
    for Row { name, value, unit, beside } in rows {
        println!("{name:<34} {value:>12.2} {unit:<14} {beside}");
    }
}

fn row(name: &'static str, value: f64, unit: &'static str) -> Row {
    Row { name, value, unit, beside: String::new() }
}

fn rate((count, time): (u64, Duration)) -> f64 {
    count as f64 / time.as_secs_f64() / 1e6
}

fn base_rows(done: &Churned) -> Vec<Row> {
    let coins: usize = done.base.lens().iter().sum();
    let per_coin = |bytes: u64| bytes as f64 / coins as f64;
    let beside = |mut row: Row| {
        row.beside = format!("Core: {CORE_BYTES}, {:.1} times as many", CORE_BYTES / row.value);
        row
    };
    let mut rows = vec![
        row("coins", coins as f64 / 1e6, "million"),
        row("coins of a transaction", coins as f64 / done.live.txs() as f64, "coins"),
        beside(row("memory filled", per_coin(done.resident[0]), "bytes/coin")),
        beside(row("memory churned", per_coin(done.resident[1]), "bytes/coin")),
        row("memory counted", per_coin(done.counted), "bytes/coin"),
        row("base, fill", rate(done.rates[0]), "Mops/s/core"),
        row("base, churn", rate(done.rates[1]), "Mops/s/core"),
    ];
    rows.extend(time_rows(&done.times[0], ["base, 32 ops p50", "base, 32 ops p99.9", "base, 32 ops longest"]));
    rows.extend(time_rows(&done.times[1], ["a table grows p50", "a table grows p99.9", "a table grows longest"]));
    rows
}

fn world_rows(done: &Figures) -> Vec<Row> {
    let Figures { loaded, operations, spent: [grew, folded], times, nursery } = done;
    let mut rows = vec![
        row("pieces, write and load", rate(*loaded), "Mcoins/s"),
        row("worlds, grow and fold", rate((*operations, *grew + *folded)), "Mops/s/core"),
        row("worlds, grow", rate((*operations, *grew)), "Mops/s/core"),
        row("nursery at the tip", nursery[0] * 100.0, "% of makes"),
        row("nursery far behind it", nursery[1] * 100.0, "% of makes"),
    ];
    rows.extend(time_rows(&times[0], ["grow a block p50", "grow a block p99.9", "grow a block longest"]));
    rows.extend(time_rows(&times[1], ["fold a block p50", "fold a block p99.9", "fold a block longest"]));
    rows
}

fn time_rows(times: &Times, names: [&'static str; 3]) -> impl Iterator<Item = Row> {
    let micros = [0.5, 0.999, 1.0].map(|part| times.value_at_quantile(part) as f64 / 1000.0);
    names.into_iter().zip(micros).map(|(name, value)| row(name, value, "us"))
}

/// Says how far each phase is, every two seconds.
struct Teller {
    begun: Instant,
    said: Instant,
    what: String,
}

impl Teller {
    fn say(&mut self, what: &str, done: u64, of: u64) {
        if self.what != what {
            (self.what, self.begun, self.said) = (what.into(), Instant::now(), Instant::now());
        }
        if self.said.elapsed() < Duration::from_secs(2) {
            return;
        }
        self.said = Instant::now();
        let seconds = self.begun.elapsed().as_secs_f64();
        let left = seconds * (of as f64 / done as f64 - 1.0);
        eprintln!("{what}: {done} of {of}, {:.0}/s, {left:.0} s left", done as f64 / seconds);
    }
}
