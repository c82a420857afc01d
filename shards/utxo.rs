//! A range of partitions of the coins in all live worlds. It obeys the chain shard in its own FIFO
//! order, answers every Grow exactly once, and knows no rule, no peer and no other utxo shard.

mod checkpoint;
mod restore;
#[cfg(test)]
mod tests;

pub use checkpoint::Policy;

use crate::effect::Event;
use crate::metrics::{Pages, Work};
use crate::msg::{CoinRow, Coins, Files, Finding, Job, Msg, Question};
use crate::report::Report;
use crate::{Cx, Input, Shard, ShardId};
use bytes::Bytes;
use checkpoint::Checkpoints;
use consensus::script::uncompressed;
use consensus::{BlockHash, CoinView};
use ledger::survey::Part;
use ledger::worlds::Grown;
use ledger::{WorldId, Worlds};
use restore::{Restoring, Step};
use std::ops::Range;
use std::sync::Arc;

/// What the shard is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its own number.
    pub number: u16,
    /// How many of its kind there are.
    pub workers: u16,
    /// Those it owns.
    pub partitions: Range<usize>,
    /// Seed of its tables.
    pub seed: u64,
    /// How its partitions are written down.
    pub policy: Policy,
    /// The genesis block.
    pub genesis: BlockHash,
    /// Where it lives.
    pub core: usize,
    /// Counters.
    pub pages: Pages,
}

/// The shard.
#[derive(Debug)]
pub struct Utxo {
    config: Config,
    worlds: Worlds,
    first: usize,
    /// Height and block of the root.
    root: (u32, BlockHash),
    /// The world that was the root when its bases were last read, and what is still to be read of them.
    restored: WorldId,
    restoring: Option<Restoring>,
    checkpoints: Checkpoints,
}

impl Utxo {
    /// A shard with the coins of genesis.
    pub fn new(config: Config) -> Utxo {
        let partitions = config.partitions.clone();
        Utxo {
            worlds: Worlds::new(partitions.clone(), config.seed),
            first: partitions.start,
            root: (0, config.genesis),
            restored: 0,
            restoring: None,
            checkpoints: Checkpoints::new(config.policy, config.workers, partitions.start, partitions.len()),
            config,
        }
    }

    fn work(&self) -> &Work {
        self.config.pages.work(self.config.core)
    }

    fn grow(&mut self, job: &Arc<Job>, cx: &mut Cx) {
        let mut found: Vec<Coins> = job.parts.iter().map(|_| Coins::default()).collect();
        let (mut taken, mut missing) = (0, 0);
        let grown = self.worlds.grow(job.world, job.parent, job.height, &job.body, |input, coin| {
            taken += 1;
            missing += u64::from(coin.is_none());
            // Nobody checks what is known to be valid.
            let Some(coin) = coin.filter(|_| !job.parts.is_empty()) else { return };
            let part = job.inputs.partition_point(|range| range.end <= input);
            let coins = &mut found[part];
            let start = coins.scripts.len() as u32;
            coins.scripts.extend_from_slice(coin.script);
            let script = (start, coins.scripts.len() as u32);
            let CoinView { value, height, coinbase, .. } = coin;
            coins.rows.push(CoinRow { input, height, value, script, coinbase });
        });
        self.work().coin_taken.add(taken);
        self.work().world_grown.add(1);
        self.answer(job, found, grown, missing, cx);
    }

    fn answer(&self, job: &Job, found: impl IntoIterator<Item = Coins>, grown: Grown, missing: u64, cx: &mut Cx) {
        for (part, coins) in found.into_iter().enumerate() {
            let to = ShardId::Verify(job.parts[part].0);
            cx.tell(to, Msg::Coins { world: job.world, part, coins: Box::new(coins) });
        }
        cx.tell(ShardId::Chain, Msg::Grown { world: job.world, grown, missing });
    }

    /// Starts anew from checkpoints. Whatever still waits is of worlds that are gone.
    fn restore(&mut self, root: WorldId, block: (u32, BlockHash), files: &[Files], cx: &mut Cx) {
        if let Some(restoring) = self.restoring.take() {
            for word in restoring.later {
                if let Msg::Grow(job) = word {
                    self.answer(&job, job.parts.iter().map(|_| Coins::default()), Grown::default(), 0, cx);
                }
            }
        }
        self.worlds.reset(root);
        (self.root, self.restored) = (block, root);
        let mine = &files[self.config.partitions.clone()];
        self.checkpoints.reset(mine);
        let heights = mine.iter().enumerate().filter_map(|(index, files)| Some((index, *files.kept.last()?)));
        heights
            .clone()
            .filter(|(_, height)| *height > block.0)
            .for_each(|(index, height)| self.worlds.ahead(index, height));
        let restoring = Restoring::new(heights.collect());
        let step = restoring.ask(self.first, cx);
        self.restoring = Some(restoring);
        self.stepped(step, cx);
    }

    fn loaded(&mut self, bytes: Result<Bytes, String>, cx: &mut Cx) {
        let restoring = self.restoring.as_mut().expect("it waits for these");
        let step = restoring.take(bytes.as_deref().map_err(String::clone), self.first, &mut self.worlds, cx);
        self.stepped(step, cx);
    }

    fn stepped(&mut self, step: Step, cx: &mut Cx) {
        let coins = match step {
            Step::On => return,
            Step::Done => Ok(self.restoring.as_ref().map_or(0, |restoring| restoring.coins)),
            // What waits goes on waiting until it is said what else to do.
            Step::Damaged(index, height, why) => Err(((self.first + index) as u16, height, why)),
        };
        let done = coins.is_ok();
        cx.tell(ShardId::Chain, Msg::Restored { root: self.restored, coins });
        if done && let Some(restoring) = self.restoring.take() {
            restoring.later.into_iter().for_each(|word| self.obey(Input::Msg(word), cx));
        }
    }

    /// Writes the next partition down, if it is time.
    fn checkpoint(&mut self, cx: &mut Cx) {
        if self.restoring.is_none() {
            self.checkpoints.begin(self.root, &mut self.worlds, cx);
        }
    }

    fn look(&self, what: Question) -> Finding {
        match what {
            Question::Coin(outpoint, world) => {
                let coin = self.worlds.coin(world, &outpoint);
                Finding::Coin(coin.map(|c| (c.value, c.height(), c.coinbase(), c.script)))
            }
            Question::Part { partition, world, aim } => {
                let part = || Part::of(&self.worlds, partition - self.first, world, aim, uncompressed);
                let part = self.worlds.alive(world).then(|| Box::new(part()));
                Finding::Part(partition, part)
            }
        }
    }
}

impl Shard for Utxo {
    fn step(&mut self, input: Input, cx: &mut Cx) {
        match (input, &mut self.restoring) {
            (Input::Msg(Msg::Restore { root, height, block, partitions }), _) => {
                self.restore(root, (height, block), &partitions, cx);
            }
            (
                Input::Msg(word @ (Msg::Grow(_) | Msg::Fold { .. } | Msg::Drop(_) | Msg::Look { .. })),
                Some(restoring),
            ) => {
                restoring.later.push_back(word);
            }
            (input, _) => self.obey(input, cx),
        }
    }
}

impl Utxo {
    fn obey(&mut self, input: Input, cx: &mut Cx) {
        match input {
            Input::Msg(Msg::Grow(job)) => self.grow(&job, cx),
            Input::Msg(Msg::Fold { world, height, block }) => {
                self.worlds.fold(world);
                self.root = (height, block);
            }
            Input::Msg(Msg::Drop(worlds)) => self.worlds.drop_worlds(&worlds),
            Input::Msg(Msg::Look { question, what }) => {
                let finding = self.look(what);
                cx.tell(ShardId::Status, Msg::Seen { question, finding });
            }
            Input::Event(Event::LoadedCheckpoint { partition, height, at, bytes }) => {
                let index = usize::from(partition) - self.first;
                if self.restoring.as_ref().is_some_and(|restoring| restoring.waits_for(index, height, at)) {
                    self.loaded(bytes, cx);
                }
            }
            Input::Event(Event::SavedCheckpoint { partition, failed }) => {
                self.checkpoints.saved(partition, failed, &mut self.worlds, cx);
                self.checkpoint(cx);
            }
            Input::Tick => {
                self.checkpoint(cx);
                let lens = self.worlds.base_lens().map(|len| len as u32).collect();
                let report = Report::Coins(self.config.number, self.worlds.tally(), lens);
                cx.tell(ShardId::Status, Msg::Report(Box::new(report)));
            }
            other => unreachable!("utxo is never told {other:?}"),
        }
    }
}
