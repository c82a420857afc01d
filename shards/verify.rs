//! Checks what a part of a block spends, once every utxo shard has sent the coins that part takes.
//! A join is a countdown: each part waits for one Check and one Coins from each utxo shard, in any
//! order, and answers with one Verdict. It never sees a ledger, a header or a peer.
//!
//! ```text
//! Check, Coins.. ─▸ rules of spending ─▸ queue of parts ─▸ Slice: run inputs until so many signatures are
//!                       │ broken, or           ▲           recorded, across transactions, parts and blocks;
//!                       │ scripts skipped      └─ more ──  settle them all, by lanes where they decide; run again with
//!                       │                                  libsecp256k1 what did not hold
//!                       └──────────────────────────────────▸ Verdict
//! ```
//!
//! The inputs of a transaction that has very many are shared: its shard runs the first of them, others are sent the
//! rest, with the coins, and answer with Shared.

mod run;
#[cfg(test)]
mod tests;

use crate::effect::Effect;
use crate::limits::{SLICE_INPUTS, SLICE_ROWS, SLICE_ROWS_LANES};
use crate::metrics::Pages;
use crate::msg::{CoinRow, Coins, Job, Msg, ScriptFailure, Scripts};
use crate::prover::{Curve, Prover, Tally};
use crate::script_cache::ScriptCache;
use crate::{Cx, Input, Shard, ShardId};
use consensus::script::{Recorder, Row};
use consensus::{CoinView, SpendCx, check_spends};
use ledger::WorldId;
use run::Part;
pub use run::Share;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

#[derive(Debug, Default)]
struct Waiting {
    job: Option<Arc<Job>>,
    coins: Vec<Coins>,
}

/// What the shard is made from.
#[derive(Debug)]
pub struct Config {
    /// Its own number.
    pub number: u16,
    /// How many of its kind there are, and of utxo shards, which all send coins for each part.
    pub workers: u16,
    /// Where it lives.
    pub core: usize,
    /// Counters.
    pub pages: Pages,
    /// Transactions whose scripts were run before.
    pub cache: ScriptCache,
    /// Lanes, where this machine has them and they are not off.
    pub prover: Option<Prover>,
}

/// The shard.
#[derive(Debug)]
pub struct Verify {
    config: Config,
    waiting: BTreeMap<(WorldId, usize), Waiting>,
    /// Parts with scripts to run or shares to wait for, in the order in which their coins were complete.
    queue: VecDeque<Part>,
    /// A Slice is on its way.
    slicing: bool,
    recorder: Recorder,
    /// Of the rows of a slice that lanes settled.
    good: Vec<bool>,
    /// The chain was told that lanes were wrong.
    doubted: bool,
}

/// Coins of a part, by input.
fn sort(job: &Job, part: usize, coins: &[Coins]) -> Vec<Option<(u8, CoinRow)>> {
    let inputs = &job.inputs[part];
    let mut rows: Vec<Option<(u8, CoinRow)>> = vec![None; inputs.len()];
    for (from, batch) in coins.iter().enumerate() {
        for row in &batch.rows {
            let slot = &mut rows[(row.input - inputs.start) as usize];
            assert!(slot.is_none(), "an input takes its coin in one shard");
            *slot = Some((from as u8, *row));
        }
    }
    rows
}

/// The coin in a row.
fn view(coins: &[Coins], (from, row): (u8, CoinRow)) -> CoinView<'_> {
    let script = &coins[usize::from(from)].scripts[row.script.0 as usize..row.script.1 as usize];
    CoinView { value: row.value, height: row.height, coinbase: row.coinbase, script }
}

impl Verify {
    /// A shard that waits.
    pub fn new(config: Config) -> Verify {
        Verify {
            config,
            waiting: BTreeMap::new(),
            queue: VecDeque::new(),
            slicing: false,
            recorder: Recorder::default(),
            good: Vec::new(),
            doubted: false,
        }
    }

    fn arrived(&mut self, world: WorldId, part: usize, take: impl FnOnce(&mut Waiting), cx: &mut Cx) {
        let waiting = self.waiting.entry((world, part)).or_default();
        take(waiting);
        assert!(waiting.coins.len() <= usize::from(self.config.workers), "each utxo shard answers once");
        if waiting.coins.len() == usize::from(self.config.workers) && waiting.job.is_some() {
            let Waiting { job, coins } = self.waiting.remove(&(world, part)).expect("just seen");
            self.check(job.expect("just seen"), part, coins, cx);
        }
    }

    /// The rules first: scripts are run only for what keeps them.
    fn check(&mut self, job: Arc<Job>, part: usize, coins: Vec<Coins>, cx: &mut Cx) {
        let rows = sort(&job, part, &coins);
        let first = job.inputs[part].start;
        let coin = |input: u32| Some(view(&coins, rows[(input - first) as usize]?));
        let spend = SpendCx { height: job.height, flags: job.flags };
        let spends = check_spends(&job.body.block, job.parts[part].1.clone(), coin, &spend);
        self.config.pages.work(self.config.core).part_verified.add(1);
        if spends.failure.is_some() || job.scripts == Scripts::Skip {
            let (world, spends) = (job.world, Box::new(spends));
            return cx.tell(ShardId::Chain, Msg::Verdict { world, part, spends, script: None });
        }
        self.queue.push_back(Part::new(job, part, coins, rows, spends));
        self.go_on(cx);
    }

    /// Tells what came of the parts that are done, and sees to it that the others are gone on with.
    fn go_on(&mut self, cx: &mut Cx) {
        for _ in 0..self.queue.len() {
            let part = self.queue.pop_front().expect("counted");
            if part.has_inputs() || part.waits() {
                self.queue.push_back(part);
            } else {
                self.doubt(&part, cx);
                let (to, answer) = part.answer();
                cx.tell(to, answer);
            }
        }
        if !self.slicing && self.queue.iter().any(Part::has_inputs) {
            self.slicing = true;
            cx.tell(ShardId::Verify(self.config.number), Msg::Slice);
        }
    }

    /// Lanes were wrong, here or in another shard: the chain hears of it before any verdict that they had a part in.
    fn doubt(&mut self, part: &Part, cx: &mut Cx) {
        let lost = self.config.prover.as_ref().is_some_and(|prover| !prover.is_trusted());
        if lost && part.curve() == Curve::Lanes && !std::mem::replace(&mut self.doubted, true) {
            cx.tell(ShardId::Chain, Msg::Doubt { found: None });
        }
    }

    /// Who settles the signatures of a part: as its block wants it, if there are lanes and they are believed.
    fn curve(&self, part: &Part) -> Curve {
        if self.config.prover.as_ref().is_some_and(Prover::is_trusted) { part.curve() } else { Curve::Libsecp }
    }

    /// Runs scripts until a slice's worth of signatures is recorded, settles them, and tells the
    /// verdicts of what came to its end.
    fn slice(&mut self, cx: &mut Cx) {
        let mut inputs_left = SLICE_INPUTS;
        self.slicing = false;
        self.recorder.clear();
        let next = self.queue.iter().find(|part| part.has_inputs());
        let curve = next.map_or(Curve::Libsecp, |part| self.curve(part));
        self.recorder.choices = curve == Curve::Lanes;
        let rows_max = if curve == Curve::Lanes { SLICE_ROWS_LANES } else { SLICE_ROWS };
        // One transaction of this shard is shared at a time, so that few words are on the links.
        let mut sharing = self.queue.iter().any(Part::waits);
        for index in 0..self.queue.len() {
            if !self.queue[index].has_inputs() {
                continue;
            }
            if self.curve(&self.queue[index]) != curve {
                break;
            }
            let (part, most) = (&mut self.queue[index], if sharing { 1 } else { self.config.workers });
            // What lanes alone said yes to, nobody else relies on: it may be doubted later.
            let cache = (curve != Curve::Lanes).then_some(&self.config.cache);
            let shares = part.run(&mut self.recorder, rows_max, &mut inputs_left, most, cache);
            sharing |= !shares.is_empty();
            for (share, i) in shares.into_iter().zip(1..) {
                let to = (self.config.number + i) % self.config.workers;
                cx.tell(ShardId::Verify(to), Msg::Share(Box::new(share)));
            }
            if inputs_left == 0 || self.recorder.rows.len() >= rows_max {
                break;
            }
        }
        let page = self.config.pages.work(self.config.core);
        page.input_run.add(u64::from(SLICE_INPUTS - inputs_left));
        page.signature_settled.add(self.recorder.rows.len() as u64);
        let by_lanes = curve != Curve::Libsecp;
        if by_lanes {
            page.lane_at_once.add(self.recorder.at_once);
            self.prove(curve, cx);
        }
        let (recorder, good, page) = (&self.recorder, &self.good, self.config.pages.work(self.config.core));
        let is_good = |row: usize| if by_lanes { good[row] } else { recorder.rows[row].holds() };
        for part in &mut self.queue {
            let again = part.settle(recorder, is_good, &self.config.cache);
            page.script_run_again.add(again.failed + again.refused + again.good);
            if by_lanes {
                page.lane_script_failed.add(again.failed);
                page.lane_script_refused.add(again.refused);
                page.lane_script_undecided.add(again.good);
            }
            for line in part.reports() {
                page.script_failed.add(1);
                cx.effect(Effect::Print(line));
            }
        }
        self.go_on(cx);
    }

    /// Has lanes settle the rows of a slice. Where they turn out wrong, the chain hears of it, and in which block.
    fn prove(&mut self, curve: Curve, cx: &mut Cx) {
        let prover = self.config.prover.as_mut().expect("who has none is never told to ask lanes");
        let (rows, rng): (&[Row], _) = (&self.recorder.rows, &mut cx.rng);
        let tally = prover.settle(rows, curve == Curve::Both, &mut self.good, || rng.bits());
        let Tally { asked, proven, keys, missed, rechecked, wrong, first_wrong } = tally;
        let page = self.config.pages.work(self.config.core);
        page.lane_asked.add(asked);
        page.lane_proven.add(proven);
        page.lane_key_left.add(keys);
        page.lane_missed.add(missed);
        page.lane_rechecked.add(rechecked);
        page.lane_wrong.add(wrong);
        if let Some(row) = first_wrong {
            let (block, height) = self.queue.iter().find(|part| part.recorded(row)).expect("a part's row").block();
            self.doubted = true;
            cx.tell(ShardId::Chain, Msg::Doubt { found: Some((block, height)) });
        }
    }

    fn shared(&mut self, world: WorldId, part: usize, script: Option<ScriptFailure>, cx: &mut Cx) {
        // None: it was given up.
        if let Some(part) = self.queue.iter_mut().find(|queued| queued.is(world, part)) {
            part.shared(script, &self.config.cache);
            self.go_on(cx);
        }
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
            Input::Msg(Msg::Share(share)) => {
                self.queue.push_back(Part::share(*share));
                self.go_on(cx);
            }
            Input::Msg(Msg::Shared { world, part, script }) => self.shared(world, part, script, cx),
            Input::Msg(Msg::Slice) => self.slice(cx),
            // Nobody waits for these any more: their verdicts come without their scripts. Who waits for a share hears the same.
            Input::Msg(Msg::Drop { worlds, .. }) => {
                self.queue.retain_mut(|part| !worlds.contains(&part.world()) || part.give_up());
                self.go_on(cx);
            }
            Input::Tick => {}
            other => unreachable!("verify is never told {other:?}"),
        }
    }
}
