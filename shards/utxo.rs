//! A range of partitions of the coins in all live worlds. It obeys the chain shard in its own FIFO
//! order, answers every Grow exactly once, and knows no rule, no peer and no other utxo shard.

mod checkpoint;
mod holding;
mod restore;
#[cfg(test)]
mod tests;

pub use checkpoint::Policy;

use crate::effect::{Event, Side};
use crate::metrics::Pages;
use crate::msg::Msg;
use crate::report::Report;
use crate::{Cx, Input, Shard, ShardId};
use consensus::BlockHash;
use holding::Holding;
use ledger::Seed;
use ledger::worlds::Tally;
use std::ops::Range;

/// What the shard is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its own number.
    pub number: u16,
    /// How many of its kind there are.
    pub workers: u16,
    /// Those it owns.
    pub partitions: Range<usize>,
    /// Seed of its tables, the same for all of its kind.
    pub seed: Seed,
    /// How its partitions are written down.
    pub policy: Policy,
    /// The genesis block.
    pub genesis: BlockHash,
    /// There is a snapshot: the coins so far are those of the history.
    pub snapshot: bool,
    /// Where it lives.
    pub core: usize,
    /// Counters.
    pub pages: Pages,
}

/// The shard.
#[derive(Debug)]
pub struct Utxo {
    config: Config,
    tip: Holding,
    /// Behind a snapshot.
    history: Option<Holding>,
}

impl Utxo {
    /// A shard with the coins of genesis.
    pub fn new(config: Config) -> Utxo {
        let side = if config.snapshot { Side::History } else { Side::Tip };
        Utxo { tip: Holding::new(side, &config), history: None, config }
    }

    /// Those that words are meant for which name this side: before there are two, the only ones.
    fn side(&mut self, side: Side) -> &mut Holding {
        match (side, &mut self.history) {
            (Side::History, Some(history)) => history,
            _ => &mut self.tip,
        }
    }

    fn hear(&mut self, word: Msg, cx: &mut Cx) {
        let side = match &word {
            Msg::Grow(job) => job.side,
            Msg::Fold { side, .. } | Msg::Drop { side, .. } | Msg::Restore { side, .. } => *side,
            Msg::Measure { .. } => Side::History,
            Msg::Look { .. } => Side::Tip,
            Msg::Split => {
                let tip = Holding::new(Side::Tip, &self.config);
                self.history = Some(std::mem::replace(&mut self.tip, tip));
                return;
            }
            Msg::Forget => return self.history = None,
            Msg::Slice => return self.history.iter_mut().chain([&mut self.tip]).for_each(|held| held.slice(cx)),
            other => unreachable!("utxo is never told {other:?}"),
        };
        let (pages, mine) = (self.config.pages.clone(), self.config.partitions.clone());
        let work = pages.work(self.config.core);
        match word {
            Msg::Restore { root, height, block, partitions, .. } => {
                self.side(side).restore(root, (height, block), &partitions[mine], work, cx);
            }
            word => self.side(side).hear(word, work, cx),
        }
    }
}

impl Shard for Utxo {
    fn step(&mut self, input: Input, cx: &mut Cx) {
        let both = self.history.iter_mut().chain([&mut self.tip]);
        match input {
            Input::Msg(word) => {
                drop(both);
                self.hear(word, cx);
            }
            // What was asked for coins that were forgotten since is for nobody.
            Input::Event(Event::LoadedCheckpoint { side, partition, height, at, bytes }) => {
                let work = self.config.pages.work(self.config.core);
                both.filter(|held| held.side == side)
                    .for_each(|held| held.loaded((partition, height, at), bytes.clone(), work, cx));
            }
            Input::Event(Event::SavedCheckpoint { side, partition, failed }) => {
                both.filter(|held| held.side == side).for_each(|held| held.saved(partition, failed.clone(), cx));
            }
            Input::Tick => {
                both.for_each(|held| held.checkpoint(cx));
                let lens = self.tip.worlds.base_lens().map(|len| len as u32).collect();
                let behind = self.history.as_ref().map_or(Tally::default(), |history| history.worlds.tally());
                let mut tally = self.tip.worlds.tally();
                tally.base_bytes += behind.base_bytes;
                let mut sides = self.history.iter().chain([&self.tip]);
                let unwritten = sides.find_map(|held| held.checkpoint_failed());
                let report = Report::Coins(self.config.number, tally, lens, unwritten);
                cx.tell(ShardId::Status, Msg::Report(Box::new(report)));
            }
            other => unreachable!("utxo is never told {other:?}"),
        }
    }
}
