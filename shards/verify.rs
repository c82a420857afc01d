//! Checks what a part of a block spends, once every utxo shard has sent the coins that part takes.
//! A join is a countdown: each part waits for one Check and one Coins from each utxo shard, in any
//! order, and answers with one Verdict. It never sees a ledger, a header or a peer.

use crate::metrics::Pages;
use crate::msg::{CoinRow, Coins, Job, Msg};
use crate::{Cx, Input, Shard, ShardId};
use consensus::{CoinView, Params, SpendCx, check_spends};
use ledger::WorldId;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Default)]
struct Waiting {
    job: Option<Arc<Job>>,
    coins: Vec<Coins>,
}

/// The shard.
#[derive(Debug)]
pub struct Verify {
    params: &'static Params,
    utxos: usize,
    waiting: BTreeMap<(WorldId, usize), Waiting>,
    pages: Pages,
    core: usize,
}

impl Verify {
    /// A shard that expects coins from `utxos` utxo shards for each part.
    pub fn new(params: &'static Params, utxos: u16, pages: Pages, core: usize) -> Verify {
        Verify { params, utxos: utxos.into(), waiting: BTreeMap::new(), pages, core }
    }

    fn arrived(&mut self, world: WorldId, part: usize, take: impl FnOnce(&mut Waiting), cx: &mut Cx) {
        let waiting = self.waiting.entry((world, part)).or_default();
        take(waiting);
        assert!(waiting.coins.len() <= self.utxos, "each utxo shard answers once");
        if waiting.coins.len() == self.utxos && waiting.job.is_some() {
            let Waiting { job, coins } = self.waiting.remove(&(world, part)).expect("just seen");
            let spends = self.check(&job.expect("just seen"), part, &coins);
            cx.tell(ShardId::Chain, Msg::Verdict { world, part, spends: Box::new(spends) });
        }
    }

    fn check(&self, job: &Job, part: usize, coins: &[Coins]) -> consensus::Spends {
        let inputs = &job.inputs[part];
        let mut rows: Vec<Option<(u8, CoinRow)>> = vec![None; inputs.len()];
        for (from, batch) in coins.iter().enumerate() {
            for row in &batch.rows {
                let slot = &mut rows[(row.input - inputs.start) as usize];
                assert!(slot.is_none(), "an input takes its coin in one shard");
                *slot = Some((from as u8, *row));
            }
        }
        let coin = |input: u32| {
            let (from, row) = rows[(input - inputs.start) as usize]?;
            let script = &coins[usize::from(from)].scripts[row.script.0 as usize..row.script.1 as usize];
            Some(CoinView { value: row.value, height: row.height, coinbase: row.coinbase, script })
        };
        let cx = SpendCx::at(self.params, job.height, &job.body.block.hash, job.mtp_parent);
        self.pages.work(self.core).part_verified.add(1);
        check_spends(&job.body.block, job.parts[part].1.clone(), coin, &cx)
    }
}

impl Shard for Verify {
    fn step(&mut self, input: Input, cx: &mut Cx) {
        match input {
            Input::Msg(Msg::Check { job, part }) => {
                self.arrived(job.world, part, |waiting| assert!(waiting.job.replace(job).is_none()), cx);
            }
            Input::Msg(Msg::Coins { world, part, coins }) => {
                self.arrived(world, part, |waiting| waiting.coins.push(*coins), cx);
            }
            Input::Tick => {}
            other => unreachable!("verify is never told {other:?}"),
        }
    }
}
