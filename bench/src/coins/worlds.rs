//! Blocks over a ledger that is full already: what it costs to grow their worlds and to fold them.

use super::{Churned, Live, OUTPUTS, Times, add, no_times, outpoint, output};
use crate::rng::Rng;
use crate::tx::{OutPoint, Tx, TxIn, TxOut, compact_size};
use ledger::base::Mark;
use ledger::worlds::Tally;
use ledger::{Body, PARTITIONS, Seed, Worlds};
use std::collections::VecDeque;
use std::time::Duration;
use tuning::core_time;

/// Worlds above the root at the tip, where each block folds one.
pub const HORIZON: u32 = 100;
/// Worlds above the root far behind the tip, and how many are folded together: as the node does it.
const FAR: (u32, u32) = (16, 8);
/// A full block of today: transactions of two inputs.
const TXS: usize = 2_500;
/// Of 100 coins that are taken, so many are of the last 100 blocks, the younger the likelier: half of those of the last 19.
const RECENT_PERCENT: u64 = 50;

/// What growing and folding found.
pub struct Figures {
    /// Coins moved from a base through pieces into worlds, and the time.
    pub loaded: (u64, Duration),
    /// Operations: coins taken and made.
    pub operations: u64,
    /// Time of growing and of folding.
    pub spent: [Duration; 2],
    /// Times of growing one block and of folding one, at the tip.
    pub times: [Times; 2],
    /// Of the coins that were folded, those that never reached the base: at the tip, far behind it.
    pub nursery: [f64; 2],
}

fn seed() -> Seed {
    Seed::new(2015)
}

/// Moves the coins of that base into worlds, and grows and folds blocks of `operations` in all, half of them as far
/// behind the tip.
pub fn grow_and_fold(done: Churned, operations: u64, mut say: impl FnMut(&str, u64, u64)) -> Figures {
    let Churned { base, mut live, .. } = done;
    let mut worlds = Worlds::new(0..PARTITIONS, seed());
    let (begun, mut loaded) = (core_time(), 0);
    for index in 0..PARTITIONS {
        let mut mark = Mark::default();
        while let Some((piece, next)) = base.chunk(index, mark) {
            loaded += worlds.load_chunk(index, &piece).expect("pieces are as they were written");
            mark = next;
        }
        say("load", index as u64 + 1, PARTITIONS as u64);
    }
    let loaded = (loaded, core_time() - begun);
    drop(base);
    let (mut spent, mut times, mut done) = ([Duration::ZERO; 2], [no_times(), no_times()], 0);
    let mut recent = Recent::default();
    let (mut root, mut turn) = (0, None);
    for world in 1.. {
        if done >= operations {
            break;
        }
        let body = invent(world, &mut live, &mut recent);
        let begun = core_time();
        let mut missing = 0;
        let grown =
            worlds.grow(world, world - 1, 900_000 + world, &body, |_, coin| missing += u32::from(coin.is_none()));
        let grew = core_time() - begun;
        let before = worlds.tally();
        let far = done >= operations / 2;
        let (horizon, together) = if far { FAR } else { (HORIZON, 1) };
        if world >= root + horizon + together {
            root = world - horizon;
            worlds.fold(root);
        }
        let folded = core_time() - begun - grew;
        assert!(missing == 0 && grown.duplicate.is_none(), "the blocks are right");
        done += (body.block.inputs.len() - 1 + body.block.outputs.len()) as u64;
        if world > HORIZON && !far {
            add(&mut times[0], grew);
            add(&mut times[1], folded);
        }
        if far && turn.is_none() {
            // What lay between both horizons was folded at once: it is of neither.
            turn = Some([before, worlds.tally()]);
        }
        spent[0] += grew;
        spent[1] += folded;
        say("grow", done, operations);
    }
    let [tip, far] = turn.expect("half of the operations were done");
    let nursery = [share(&Tally::default(), &tip), share(&far, &worlds.tally())];
    Figures { loaded, operations: done, spent, times, nursery }
}

/// Of the coins folded meanwhile, those that never reached the base.
fn share(from: &Tally, to: &Tally) -> f64 {
    let [nursery, folded] = [to.nursery - from.nursery, to.folded - from.folded];
    nursery as f64 / (nursery + folded).max(1) as f64
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
                let back = 1 + rng.below(recent.len() as u64);
                let back = 1 + rng.below(back) as usize;
                let from = recent.len() - back;
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
    Body::new(consensus::Block::parse(bytes.into()).expect("the block is well formed"), seed())
}
