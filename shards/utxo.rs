//! A range of partitions of the coins in all live worlds. It obeys the chain shard in its own FIFO
//! order, answers every Grow exactly once, and knows no rule, no peer and no other utxo shard.

use crate::metrics::Work;
use crate::msg::{CoinRow, Coins, Finding, Job, Msg, Question};
use crate::report::Report;
use crate::{Cx, Input, Shard, ShardId};
use consensus::CoinView;
use ledger::Worlds;
use std::ops::Range;
use std::sync::Arc;

/// The shard.
#[derive(Debug)]
pub struct Utxo {
    number: u16,
    worlds: Worlds,
    first: usize,
    page: crate::metrics::Pages,
    core: usize,
}

impl Utxo {
    /// Shard `number`, owner of these partitions, on that core. Nobody else may know the seed of its hashes.
    pub fn new(number: u16, partitions: Range<usize>, seed: u64, page: crate::metrics::Pages, core: usize) -> Utxo {
        Utxo { number, first: partitions.start, worlds: Worlds::new(partitions, seed), page, core }
    }

    fn work(&self) -> &Work {
        self.page.work(self.core)
    }

    fn grow(&mut self, job: &Arc<Job>, cx: &mut Cx) {
        let mut found: Vec<Coins> = job.parts.iter().map(|_| Coins::default()).collect();
        let mut taken = 0;
        let grown = self.worlds.grow(job.world, job.parent, job.height, &job.body, |input, coin| {
            taken += 1;
            let Some(coin) = coin else { return };
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
        for (part, coins) in found.into_iter().enumerate() {
            let to = ShardId::Verify(job.parts[part].0);
            cx.tell(to, Msg::Coins { world: job.world, part, coins: Box::new(coins) });
        }
        cx.tell(ShardId::Chain, Msg::Grown { world: job.world, grown });
    }

    fn look(&self, what: Question) -> Finding {
        match what {
            Question::Coin(outpoint, world) => {
                let coin = self.worlds.coin(world, &outpoint);
                Finding::Coin(coin.map(|c| (c.value, c.height(), c.coinbase(), c.script)))
            }
            Question::Digests(world) if self.worlds.alive(world) => {
                Finding::Digests(self.first, self.worlds.digests(world))
            }
            Question::Digests(_) => Finding::Digests(self.first, Vec::new()),
        }
    }
}

impl Shard for Utxo {
    fn step(&mut self, input: Input, cx: &mut Cx) {
        match input {
            Input::Msg(Msg::Grow(job)) => self.grow(&job, cx),
            Input::Msg(Msg::Fold(to)) => self.worlds.fold(to),
            Input::Msg(Msg::Drop(worlds)) => self.worlds.drop_worlds(&worlds),
            Input::Msg(Msg::Reset(root)) => self.worlds.reset(root),
            Input::Msg(Msg::Look { question, what }) => {
                let finding = self.look(what);
                cx.tell(ShardId::Status, Msg::Seen { question, finding });
            }
            Input::Tick => {
                let lens = self.worlds.base_lens().map(|len| len as u32).collect();
                let report = Report::Coins(self.number, self.worlds.tally(), lens);
                cx.tell(ShardId::Status, Msg::Report(Box::new(report)));
            }
            other => unreachable!("utxo is never told {other:?}"),
        }
    }
}
