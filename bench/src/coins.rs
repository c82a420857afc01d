//! What the coins of the ledger cost: memory, time, and the longest step. Unlike the rest of this crate it runs the node's
//! own code: it measures it.
//!
//! Coins are invented, of today's mix of scripts: a number of a transaction gives its txid and its outputs, so that what
//! is unspent is known by six bytes for each transaction. Transactions have as many unspent outputs from the first
//! to the last: as one is taken at random of a random one, and a new one comes where the last is taken, 1.56 on average.

pub mod table;
pub mod worlds;

use crate::rng::Rng;
use consensus::{CoinView, OutPoint, Txid};
use hdrhistogram::Histogram;
use ledger::PARTITIONS;
use ledger::base::Base;
use std::time::Duration;
use tuning::core_time;

/// Outputs of a new transaction: of 100, so many have 1, 2, 3 and 4.
const OUTPUTS: [u64; 4] = [50, 35, 10, 5];
/// Of 100 scripts: P2WPKH, P2TR, P2PKH, P2SH, P2WSH, any other.
const SCRIPTS: [u64; 6] = [46, 26, 14, 9, 3, 2];
/// Operations whose memory is asked for together, as in the ledger.
const BATCH: usize = 32;
/// Batches that are prepared before the clock starts: the operations of a block of today, in the order of partitions, as
/// those of blocks are.
const ROUND: usize = 256;

/// The number of bytes of this process that are in memory. Linux, `proc(5)`.
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has /proc/self/statm");
    let pages: u64 =
        statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("its second field is a number");
    pages * 4096
}

/// One coin to make, or with no output to take.
struct Step {
    outpoint: OutPoint,
    hash: u64,
    output: Option<(u64, u32)>,
    /// Where its script lies among those of the round.
    script: (usize, usize),
}

/// Nanoseconds of steps, to three digits.
pub type Times = Histogram<u64>;

fn no_times() -> Times {
    Times::new(3).expect("three digits are allowed")
}

fn add(times: &mut Times, time: Duration) {
    times.record(time.as_nanos() as u64).expect("it grows");
}

/// Unspent outputs of invented transactions.
pub struct Live {
    /// Number of each transaction, and which of its outputs are unspent.
    txs: Vec<u32>,
    unspent: Vec<u8>,
    next: u32,
    rng: Rng,
}

/// The name of an invented coin.
pub fn outpoint(tx: u32, vout: u32) -> OutPoint {
    let (mut rng, mut txid) = (Rng::new(u64::from(tx) << 8), [0; 32]);
    txid.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&rng.draw().to_le_bytes()));
    OutPoint { txid: Txid(txid), vout }
}

/// Value and height of an invented coin; appends its script.
fn output(tx: u32, vout: u32, script: &mut Vec<u8>) -> (u64, u32) {
    let mut rng = Rng::new(u64::from(tx) << 8 | (u64::from(vout) + 1));
    let mut bytes = [0; 40];
    bytes.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&rng.draw().to_le_bytes()));
    let (before, len, after): (&[u8], _, &[u8]) = match rng.weighted(&SCRIPTS) {
        0 => (&[0, 20], 20, &[]),
        1 => (&[0x51, 32], 32, &[]),
        2 => (&[0x76, 0xa9, 20], 20, &[0x88, 0xac]),
        3 => (&[0xa9, 20], 20, &[0x87]),
        4 => (&[0, 32], 32, &[]),
        _ => (&[0x51], 36, &[]),
    };
    [before, &bytes[..len], after].iter().for_each(|part| script.extend_from_slice(part));
    // Dust and inscriptions, round amounts, and change, up to a bitcoin or so.
    let value = match rng.below(10) {
        0..3 => [330, 546, 1_000, 10_000][rng.below(4) as usize],
        3..5 => 1_000_000 * (1 + rng.below(100)),
        _ => {
            let bits = rng.between(10, 27);
            1_000 + rng.below(1 << bits)
        }
    };
    (value, 500_000 + tx % 400_000)
}

impl Live {
    /// None yet; room for those of `coins` coins.
    pub fn new(coins: u64) -> Live {
        // Touched at once, so that it is no part of what coins add later.
        let count = (coins as f64 / 1.5) as usize;
        let (mut txs, mut unspent) = (vec![1; count], vec![1; count]);
        txs.clear();
        unspent.clear();
        Live { txs, unspent, next: 0, rng: Rng::new(2014) }
    }

    /// Transactions with unspent outputs.
    pub fn txs(&self) -> usize {
        self.txs.len()
    }

    fn make(&mut self, count: u32, steps: &mut Vec<(u32, u32, bool)>) -> u32 {
        let tx = self.next;
        self.next += 1;
        steps.extend((0..count).map(|vout| (tx, vout, true)));
        tx
    }

    /// One more transaction, some of whose outputs are taken already; how many are not.
    fn fill(&mut self, steps: &mut Vec<(u32, u32, bool)>) -> u32 {
        // A transaction is met in each of its states as often.
        let weights: Vec<u64> = (1..).zip(OUTPUTS).map(|(count, percent)| count * percent).collect();
        let count = 1 + self.rng.weighted(&weights) as u32;
        let keep = 1 + self.rng.below(count.into()) as u32;
        let tx = self.make(count, steps);
        let mut unspent = (1_u8 << count) - 1;
        while unspent.count_ones() > keep {
            let vout = self.any(unspent);
            unspent &= !(1 << vout);
            steps.push((tx, vout, false));
        }
        self.txs.push(tx);
        self.unspent.push(unspent);
        keep
    }

    fn any(&mut self, unspent: u8) -> u32 {
        loop {
            let vout = self.rng.below(4) as u32;
            if unspent >> vout & 1 == 1 {
                return vout;
            }
        }
    }

    /// Takes a coin at random, without one in its place. The transaction that was spent whole leaves.
    pub fn take(&mut self) -> (u32, u32) {
        let slot = self.rng.below(self.txs.len() as u64) as usize;
        let (tx, vout) = (self.txs[slot], self.any(self.unspent[slot]));
        self.unspent[slot] &= !(1 << vout);
        if self.unspent[slot] == 0 {
            self.txs.swap_remove(slot);
            self.unspent.swap_remove(slot);
        }
        (tx, vout)
    }

    /// Takes a coin at random; where it was the last of its transaction, a new one comes.
    fn churn(&mut self, steps: &mut Vec<(u32, u32, bool)>) {
        let slot = self.rng.below(self.txs.len() as u64) as usize;
        let (tx, vout) = (self.txs[slot], self.any(self.unspent[slot]));
        self.unspent[slot] &= !(1 << vout);
        steps.push((tx, vout, false));
        if self.unspent[slot] == 0 {
            let count = 1 + self.rng.weighted(&OUTPUTS) as u32;
            self.txs[slot] = self.make(count, steps);
            self.unspent[slot] = (1 << count) - 1;
        }
    }
}

/// What filling and churning a base found.
pub struct Churned {
    /// Of all partitions.
    pub base: Base,
    /// What is unspent.
    pub live: Live,
    /// Resident bytes that the coins added: after filling, after churning.
    pub resident: [u64; 2],
    /// Bytes that the base says it holds.
    pub counted: u64,
    /// Operations and the time they took: filling, churning.
    pub rates: [(u64, Duration); 2],
    /// Times of batches of 32 operations when churning, and of those, filling too, in which a table grew.
    pub times: [Times; 2],
}

/// Makes `coins` coins and then takes and makes as many; `say` hears how far it is: what, done, of how many.
pub fn fill_and_churn(coins: u64, mut say: impl FnMut(&str, u64, u64)) -> Churned {
    let mut live = Live::new(coins);
    let before = resident_bytes();
    let mut base = Base::new(0..PARTITIONS, 2014);
    let (mut resident, mut rates, mut times) = ([0; 2], [(0, Duration::ZERO); 2], [no_times(), no_times()]);
    let (mut numbers, mut timed) = (Vec::new(), false);
    for (phase, name) in ["fill", "churn"].into_iter().enumerate() {
        let mut done = 0;
        while done < coins {
            numbers.clear();
            while numbers.len() < ROUND * BATCH && done < coins {
                if phase == 0 {
                    done += u64::from(live.fill(&mut numbers));
                } else {
                    let before = numbers.len();
                    live.churn(&mut numbers);
                    done += (numbers.len() - before) as u64;
                }
            }
            let mut named: Vec<_> = numbers.iter().map(|(tx, vout, make)| (outpoint(*tx, *vout), *tx, *make)).collect();
            named.sort_by_key(|(outpoint, ..)| outpoint.txid.0[0]);
            let (mut steps, mut scripts) = (Vec::with_capacity(named.len()), Vec::new());
            for (outpoint, tx, make) in named {
                let start = scripts.len();
                let output = make.then(|| output(tx, outpoint.vout, &mut scripts));
                steps.push(Step { outpoint, hash: 0, output, script: (start, scripts.len()) });
            }
            // The clock is a call of the system's and takes as long as two operations: every other round goes without.
            timed = !timed;
            let begun = core_time();
            let mut last = begun;
            for batch in steps.chunks_mut(BATCH) {
                let grown = base.table_bytes();
                apply(&mut base, batch, &scripts);
                if !timed {
                    continue;
                }
                let now = core_time();
                if phase == 1 {
                    add(&mut times[0], now - last);
                }
                if base.table_bytes() > grown {
                    add(&mut times[1], now - last);
                }
                last = now;
            }
            if !timed {
                rates[phase].0 += steps.len() as u64;
                rates[phase].1 += core_time() - begun;
            }
            say(name, done, coins);
        }
        drop(std::mem::take(&mut numbers));
        resident[phase] = resident_bytes() - before;
    }
    let counted = base.bytes() as u64;
    Churned { base, live, resident, counted, rates, times }
}

fn apply(base: &mut Base, batch: &mut [Step], scripts: &[u8]) {
    for step in &mut *batch {
        step.hash = base.hash(&step.outpoint);
        base.prefetch(step.hash);
    }
    for step in &*batch {
        base.prefetch_record(step.hash);
    }
    let same = |a: &Step, b: &Step| {
        (a.hash, a.outpoint.txid) == (b.hash, b.outpoint.txid) && a.output.is_some() && b.output.is_some()
    };
    let mut coins = Vec::with_capacity(BATCH);
    for run in batch.chunk_by(same) {
        let first = &run[0];
        if first.output.is_none() {
            assert!(base.remove(first.hash, &first.outpoint), "a coin that is taken was there");
            continue;
        }
        coins.extend(run.iter().map(|step| {
            let ((value, height), script) = (step.output.expect("of its kind"), &scripts[step.script.0..step.script.1]);
            (step.outpoint, CoinView { value, height, coinbase: false, script })
        }));
        base.insert_all(first.hash, &coins);
        coins.clear();
    }
}
