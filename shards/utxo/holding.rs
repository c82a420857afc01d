//! The coins of a range of partitions on one side: in all live worlds, with the checkpoints that they are written to and
//! read from. Obeys words in the order they come; while bases are being read, they wait.

use super::Config;
use super::checkpoint::Checkpoints;
use super::restore::{Restoring, Step};
use crate::effect::Side;
use crate::limits::SLICE_COINS;
use crate::metrics::Work;
use crate::msg::{CoinRow, Coins, Files, Finding, Job, Msg, Question};
use crate::{Cx, ShardId};
use bytes::Bytes;
use consensus::script::uncompressed;
use consensus::{BlockHash, CoinView, OutPoint};
use ledger::survey::{Aim, Part};
use ledger::worlds::Grown;
use ledger::{PARTITIONS, WorldId, Worlds};
use std::sync::Arc;

/// One side's.
#[derive(Debug)]
pub(super) struct Holding {
    pub(super) worlds: Worlds,
    first: usize,
    /// Height and block of the root.
    root: (u32, BlockHash),
    /// The world that was the root when its bases were last read, and what is still to be read of them.
    restored: WorldId,
    restoring: Option<Restoring>,
    checkpoints: Checkpoints,
    pub(super) side: Side,
    /// The shard's number.
    number: u16,
    /// A Slice is on its way.
    slice_due: bool,
}

impl Holding {
    /// The coins of genesis.
    pub(super) fn new(side: Side, config: &Config) -> Holding {
        let partitions = config.partitions.clone();
        let (first, count) = (partitions.start, partitions.len());
        Holding {
            worlds: Worlds::new(partitions, config.seed),
            first,
            root: (0, config.genesis),
            restored: 0,
            restoring: None,
            checkpoints: Checkpoints::new(side, config.policy, config.workers, first, count),
            side,
            number: config.number,
            slice_due: false,
        }
    }

    /// A word about worlds: obeyed, or kept until the bases are there.
    pub(super) fn hear(&mut self, word: Msg, work: &Work, cx: &mut Cx) {
        match &mut self.restoring {
            Some(restoring) => restoring.later.push_back(word),
            None => self.obey(word, work, cx),
        }
    }

    fn obey(&mut self, word: Msg, work: &Work, cx: &mut Cx) {
        match word {
            Msg::Grow(job) => self.grow(&job, work, cx),
            Msg::Fold { world, height, block, .. } => {
                self.worlds.begin_fold(world);
                self.root = (height, block);
                self.fold_on(cx);
            }
            Msg::Drop { worlds, .. } => self.worlds.drop_worlds(&worlds),
            Msg::Look { question, what } => {
                let finding = self.look(what);
                cx.tell(ShardId::Status, Msg::Seen { question, finding });
            }
            Msg::Measure { partition, world } => {
                let index = usize::from(partition) - self.first;
                self.worlds.end_fold();
                let part = Part::of(&self.worlds, index, world, Aim::Digest, uncompressed);
                let digest = part.digest.expect("asked for");
                cx.tell(ShardId::Chain, Msg::Measured { partition, digest });
            }
            other => unreachable!("no word about worlds: {other:?}"),
        }
    }

    fn grow(&mut self, job: &Arc<Job>, work: &Work, cx: &mut Cx) {
        // About as many as fall to these partitions, with scripts of usual size.
        let room =
            job.body.block.inputs.len() * self.worlds.base_lens().count() / (PARTITIONS * job.parts.len().max(1));
        let mut found: Vec<Coins> = job.parts.iter().map(|_| Coins::with_room(room + room / 8)).collect();
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
        work.coin_taken.add(taken);
        work.world_grown.add(1);
        answer(job, found, grown, missing, cx);
    }

    /// Starts anew from checkpoints. Whatever still waits is of worlds that are gone.
    pub(super) fn restore(&mut self, root: WorldId, block: (u32, BlockHash), mine: &[Files], work: &Work, cx: &mut Cx) {
        if let Some(restoring) = self.restoring.take() {
            for word in restoring.later {
                match word {
                    Msg::Grow(job) => answer(&job, job.parts.iter().map(|_| Coins::default()), Grown::default(), 0, cx),
                    Msg::Look { question, .. } => {
                        cx.tell(ShardId::Status, Msg::Seen { question, finding: Finding::NoWorld });
                    }
                    _ => {}
                }
            }
        }
        self.worlds.reset(root);
        (self.root, self.restored) = (block, root);
        self.checkpoints.reset(root, mine);
        let newest = |files: &Files| files.kept.last_key_value().map(|(height, block)| (*height, *block));
        let newest = mine.iter().enumerate().filter_map(|(index, files)| Some((index, newest(files)?)));
        newest
            .clone()
            .filter(|(_, (height, _))| *height > block.0)
            .for_each(|(index, (height, _))| self.worlds.ahead(index, height));
        let restoring = Restoring::new(self.side, newest.collect());
        let step = restoring.ask(self.first, cx);
        self.restoring = Some(restoring);
        self.stepped(step, work, cx);
    }

    /// Bytes of a checkpoint came, or do not come.
    pub(super) fn loaded(
        &mut self,
        (partition, height, at): (u16, u32, u64),
        bytes: Result<Bytes, String>,
        work: &Work,
        cx: &mut Cx,
    ) {
        let index = usize::from(partition) - self.first;
        let waits = |restoring: &&mut Restoring| restoring.waits_for(index, height, at);
        let Some(restoring) = self.restoring.as_mut().filter(waits) else { return };
        let step = restoring.take(bytes.as_deref().map_err(String::clone), self.first, &mut self.worlds, cx);
        self.stepped(step, work, cx);
    }

    fn stepped(&mut self, step: Step, work: &Work, cx: &mut Cx) {
        let coins = match step {
            Step::On => return,
            Step::Done => Ok(self.restoring.as_ref().map_or(0, |restoring| restoring.coins)),
            // What waits goes on waiting until it is said what else to do.
            Step::Damaged(index, block, why) => Err(((self.first + index) as u16, block, why)),
        };
        let done = coins.is_ok();
        cx.tell(ShardId::Chain, Msg::Restored { root: self.restored, coins });
        if done && let Some(restoring) = self.restoring.take() {
            restoring.later.into_iter().for_each(|word| self.obey(word, work, cx));
        }
    }

    /// A piece of a checkpoint is written, or not.
    pub(super) fn saved(&mut self, partition: u16, failed: Option<String>, cx: &mut Cx) {
        self.checkpoints.saved(partition, failed, &mut self.worlds, cx);
        self.checkpoint(cx);
    }

    /// Why its newest checkpoint was not written.
    pub(super) fn checkpoint_failed(&self) -> Option<String> {
        self.checkpoints.failed()
    }

    /// Writes the next partition down, if it is time.
    pub(super) fn checkpoint(&mut self, cx: &mut Cx) {
        if self.restoring.is_none() {
            self.checkpoints.begin(self.root, &mut self.worlds, cx);
        }
    }

    /// Goes on folding; what is left is done once others had the core.
    pub(super) fn fold_on(&mut self, cx: &mut Cx) {
        if !self.worlds.fold_on(SLICE_COINS) && !self.slice_due {
            self.slice_due = true;
            cx.tell(ShardId::Utxo(self.number), Msg::Slice);
        }
    }

    /// The next slice has come.
    pub(super) fn slice(&mut self, cx: &mut Cx) {
        if std::mem::take(&mut self.slice_due) {
            self.fold_on(cx);
        }
    }

    fn look(&mut self, what: Question) -> Finding {
        match what {
            Question::Coin(_, world) | Question::Fates(_, world) | Question::Part { world, .. }
                if !self.worlds.alive(world) =>
            {
                Finding::NoWorld
            }
            Question::Coin(outpoint, world) => {
                let coin = self.worlds.coin(world, &outpoint);
                Finding::Coin(coin.map(|c| (c.value, c.height(), c.coinbase(), c.script)))
            }
            Question::Fates(txs, world) => {
                let of = |txid, count| (0..count).map(move |vout| OutPoint { txid, vout });
                let fates = |(txid, count)| (txid, self.worlds.fates(world, of(txid, count)));
                Finding::Fates(txs.into_iter().map(fates).collect())
            }
            Question::Part { partition, world, aim } => {
                self.worlds.end_fold();
                let part = Part::of(&self.worlds, partition - self.first, world, aim, uncompressed);
                Finding::Part(partition, Box::new(part))
            }
        }
    }
}

fn answer(job: &Job, found: impl IntoIterator<Item = Coins>, grown: Grown, missing: u64, cx: &mut Cx) {
    for (part, coins) in found.into_iter().enumerate() {
        let to = ShardId::Verify(job.parts[part].0);
        cx.tell(to, Msg::Coins { world: job.world, part, coins: Box::new(coins) });
    }
    cx.tell(ShardId::Chain, Msg::Grown { world: job.world, grown, missing });
}
