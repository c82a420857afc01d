//! Blocks over a ledger that is full already: what it costs to grow their worlds and to fold them.

use super::{Bases, Live, OUTPUTS, Times, outpoint, output};
use crate::rng::Rng;
use crate::tx::{OutPoint, Tx, TxIn, TxOut, compact_size};
use ledger::worlds::Tally;
use ledger::{Body, PARTITIONS, Worlds};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Worlds above the root, as at the tip.
pub const HORIZON: u32 = 100;
/// A full block of today: transactions of two inputs.
const TXS: usize = 2_500;
/// Of 100 coins that are taken, so many are of the last 100 blocks.
const RECENT_PERCENT: u64 = 50;

/// What growing and folding found.
pub struct Figures {
    /// Coins moved from bases through pieces into worlds, and the time.
    pub loaded: (u64, Duration),
    /// Operations: coins taken and made.
    pub operations: u64,
    /// Time of growing and of folding.
    pub spent: [Duration; 2],
    /// Times of growing one block and of folding one.
    pub times: [Times; 2],
    /// Counters at the end.
    pub tally: Tally,
}

/// Moves the coins of those bases into worlds, and grows and folds blocks of `operations` in all.
pub fn grow_and_fold(done: Bases, operations: u64, mut say: impl FnMut(&str, u64, u64)) -> Figures {
    let Bases { bases, mut live, .. } = done;
    let mut worlds = Worlds::new(0..PARTITIONS, 2015);
    let (begun, mut loaded) = (Instant::now(), 0);
    for (index, base) in bases.into_iter().enumerate() {
        for piece in (0..).map_while(|n| base.chunk(n)) {
            loaded += worlds.load_chunk(index, &piece).expect("pieces are as they were written");
        }
        say("load", index as u64 + 1, PARTITIONS as u64);
    }
    let loaded = (loaded, begun.elapsed());
    let (mut spent, mut times, mut done) = ([Duration::ZERO; 2], [Times::default(), Times::default()], 0);
    let mut recent = Recent::default();
    for world in 1.. {
        if done >= operations {
            break;
        }
        let body = invent(world, &mut live, &mut recent);
        let begun = Instant::now();
        let mut missing = 0;
        let grown =
            worlds.grow(world, world - 1, 900_000 + world, &body, |_, coin| missing += u32::from(coin.is_none()));
        let grew = begun.elapsed();
        worlds.fold(world.saturating_sub(HORIZON));
        let folded = begun.elapsed() - grew;
        assert!(missing == 0 && grown.duplicate.is_none(), "the blocks are right");
        done += (body.block.inputs.len() - 1 + body.block.outputs.len()) as u64;
        if world > HORIZON {
            times[0].add(grew);
            times[1].add(folded);
        }
        spent[0] += grew;
        spent[1] += folded;
        say("grow", done, operations);
    }
    Figures { loaded, operations: done, spent, times, tally: worlds.tally() }
}

/// The coins of each recent block, and the dice.
pub struct Recent(VecDeque<Vec<OutPoint>>, Rng);

impl Default for Recent {
    fn default() -> Recent {
        Recent(VecDeque::new(), Rng::new(2016))
    }
}

/// A block that takes coins of recent blocks and old ones.
pub fn invent(world: u32, live: &mut Live, Recent(recent, rng): &mut Recent) -> Body {
    let (mut txs, mut made) = (Vec::new(), Vec::new());
    for number in 0..=TXS {
        let coinbase = number == 0;
        let mut take = || {
            if coinbase {
                return OutPoint::NULL;
            }
            if rng.chance(RECENT_PERCENT) && !recent.is_empty() {
                let from = rng.below(recent.len() as u64) as usize;
                let coins = &mut recent[from];
                if !coins.is_empty() {
                    return coins.swap_remove(rng.below(coins.len() as u64) as usize);
                }
            }
            let (tx, vout) = live.take();
            OutPoint { txid: outpoint(tx, vout).txid.0, vout }
        };
        let inputs = [take(), take()].map(|prev| TxIn { prev, script_sig: vec![], sequence: 0, witness: vec![] });
        let inputs = inputs[..if coinbase { 1 } else { 2 }].to_vec();
        let count = 1 + rng.weighted(&OUTPUTS) as u32;
        let outputs = (0..count).map(|vout| {
            let mut script = Vec::new();
            let (value, _) = output(world << 12 | number as u32, vout, &mut script);
            TxOut { value, script }
        });
        let tx = Tx { version: 2, inputs, outputs: outputs.collect(), lock_time: world };
        let txid = tx.txid();
        made.extend((0..count).map(|vout| OutPoint { txid, vout }));
        txs.push(tx);
    }
    recent.push_back(made);
    if recent.len() > HORIZON as usize {
        recent.pop_front();
    }
    let mut bytes = vec![0; 80];
    compact_size(&mut bytes, txs.len());
    txs.iter().for_each(|tx| tx.write(&mut bytes, true));
    Body::new(consensus::Block::parse(bytes.into()).expect("the block is well formed"))
}
