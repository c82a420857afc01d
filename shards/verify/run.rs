//! One part of a block whose scripts are being run, or another shard's share of one: how far it is, what it recorded in
//! this slice, what failed. Never knows how long a slice is.

use super::view;
use crate::ShardId;
use crate::limits::SHARE_INPUTS;
use crate::msg::{CoinRow, Coins, Job, Msg, ScriptFailure, Scripts};
use crate::prover::Curve;
use crate::script_cache::{Name, ScriptCache};
use consensus::script::{AtOnce, Digests, Machine, Recorder, ScriptError, Spending};
use consensus::{CoinView, Spends, TxView};
use ledger::WorldId;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// An input that went well if its rows turn out good.
#[derive(Debug)]
struct Assumed {
    tx: u32,
    input: u32,
    rows: Range<usize>,
}

/// What a part spends.
#[derive(Debug)]
struct Given {
    job: Arc<Job>,
    part: usize,
    coins: Vec<Coins>,
    /// Which coin each input takes; all are there.
    rows: Vec<Option<(u8, CoinRow)>>,
    /// The first input that failed so far, wherever it was run: what comes after it does not count.
    first_failed: AtomicU64,
}

/// A run of inputs of one transaction, for another verify shard to run.
#[derive(Debug)]
pub struct Share {
    given: Arc<Given>,
    tx: u32,
    inputs: Range<u32>,
}

/// The order of inputs in a block.
fn place((tx, input): (u32, u32)) -> u64 {
    u64::from(tx) << 32 | u64::from(input)
}

impl Given {
    fn is_audit(&self) -> bool {
        self.job.scripts == Scripts::Audit
    }

    fn view(&self, tx: u32) -> TxView<'_> {
        let block = &self.job.body.block;
        block.view(&block.txs[tx as usize])
    }

    /// The coins of a transaction's inputs.
    fn coins(&self, tx: u32) -> Vec<CoinView<'_>> {
        let (start, end) = self.job.body.block.txs[tx as usize].inputs;
        let first = self.job.inputs[self.part].start;
        let rows = &self.rows[(start - first) as usize..(end - first) as usize];
        rows.iter().map(|row| view(&self.coins, row.expect("no coin is missing"))).collect()
    }
}

/// A part of a block, or a share of one.
#[derive(Debug)]
pub(super) struct Part {
    given: Arc<Given>,
    /// None for a share.
    spends: Option<Spends>,
    /// The next to run: transaction of the block, input of the transaction.
    next: (u32, u32),
    /// The transaction at which it ends.
    end: u32,
    /// Inputs of the current transaction from this one on are others' shares.
    until: u32,
    /// Shares that others have not answered yet.
    awaited: u16,
    /// Of that transaction, if some of its inputs have been run: what they share, and its name.
    digests: Digests,
    name: Option<Name>,
    /// Of this slice.
    assumed: Vec<Assumed>,
    /// Transactions all of whose inputs have been run in slices up to this one.
    finished: Vec<Name>,
    /// Scripts of this slice that failed after an assumption.
    failed_assuming: u64,
    failure: Option<ScriptFailure>,
    /// In an audit: what failed and was not told yet.
    failures: Vec<ScriptFailure>,
}

/// Scripts that were run again, and why.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Again {
    /// They failed after an assumption.
    pub failed: u64,
    /// Their rows were not all good, and they were refused.
    pub refused: u64,
    /// Their rows were not all known to be good, and they were.
    pub good: u64,
}

impl Part {
    /// A part that keeps the rules, with the coins of its inputs.
    pub(super) fn new(
        job: Arc<Job>,
        part: usize,
        coins: Vec<Coins>,
        rows: Vec<Option<(u8, CoinRow)>>,
        spends: Spends,
    ) -> Part {
        // The coinbase has no script to run.
        let (first, end) = (job.parts[part].1.start.max(1), job.parts[part].1.end);
        let given = Given { job, part, coins, rows, first_failed: AtomicU64::new(u64::MAX) };
        Part { end, spends: Some(spends), ..Part::of(Arc::new(given), (first, 0)) }
    }

    /// What another shard was given.
    pub(super) fn share(Share { given, tx, inputs }: Share) -> Part {
        Part { end: tx + 1, until: inputs.end, ..Part::of(given, (tx, inputs.start)) }
    }

    fn of(given: Arc<Given>, next: (u32, u32)) -> Part {
        Part {
            given,
            spends: None,
            next,
            end: 0,
            until: 0,
            awaited: 0,
            digests: Digests::default(),
            name: None,
            assumed: Vec::new(),
            finished: Vec::new(),
            failed_assuming: 0,
            failure: None,
            failures: Vec::new(),
        }
    }

    pub(super) fn world(&self) -> WorldId {
        self.given.job.world
    }

    /// Who is to settle its signatures.
    pub(super) fn curve(&self) -> Curve {
        self.given.job.curve
    }

    /// The block it is of, with its height.
    pub(super) fn block(&self) -> (consensus::BlockHash, u32) {
        (self.given.job.body.block.hash, self.given.job.height)
    }

    pub(super) fn has_inputs(&self) -> bool {
        self.next.0 < self.end
    }

    /// Whether others run shares of it.
    pub(super) fn waits(&self) -> bool {
        self.awaited > 0
    }

    /// Whether it is this shard's own, and that part of that world.
    pub(super) fn is(&self, world: WorldId, part: usize) -> bool {
        self.spends.is_some() && (self.given.job.world, self.given.part) == (world, part)
    }

    /// Nobody wants to know any more. Whether it is still to be answered: not a share, of which "no failure" would say
    /// that its inputs were run.
    pub(super) fn give_up(&mut self) -> bool {
        (self.next, self.awaited) = ((self.end, 0), 0);
        self.spends.is_some()
    }

    /// Who is told what came of it.
    pub(super) fn answer(self) -> (ShardId, Msg) {
        let (job, part, script) = (&self.given.job, self.given.part, self.failure);
        match self.spends {
            Some(spends) => (ShardId::Chain, Msg::Verdict { world: job.world, part, spends: Box::new(spends), script }),
            None => (ShardId::Verify(job.parts[part].0), Msg::Shared { world: job.world, part, script }),
        }
    }

    /// What came of a share of it.
    pub(super) fn shared(&mut self, script: Option<ScriptFailure>, cache: &ScriptCache) {
        self.awaited = self.awaited.saturating_sub(1);
        script.into_iter().for_each(|failure| self.fail(failure));
        self.learn(cache);
    }

    /// Runs inputs until that many rows are recorded, no input is left of this slice, or none of this part. A transaction of
    /// very many inputs is cut in at most `most` runs, all but the first for others. Only transactions that are begun with a
    /// cache are remembered.
    pub(super) fn run(
        &mut self,
        recorder: &mut Recorder,
        rows_max: usize,
        left: &mut u32,
        most: u16,
        cache: Option<&ScriptCache>,
    ) -> Vec<Share> {
        let mut shares = Vec::new();
        if place(self.next) > self.given.first_failed.load(Relaxed) {
            self.next = (self.end, 0);
        }
        while self.has_inputs() && *left > 0 && recorder.rows.len() < rows_max {
            if self.next.1 == 0 {
                let view = self.given.view(self.next.0);
                self.until = view.inputs.len() as u32;
                let cache = cache.filter(|_| !self.given.is_audit());
                self.name = cache.map(|cache| cache.name(&view.wtxid(), self.given.job.flags));
                if cache.zip(self.name).is_some_and(|(cache, name)| cache.knows(name)) {
                    *left = left.saturating_sub(self.until);
                    self.next = (self.next.0 + 1, 0);
                    continue;
                }
                if self.awaited == 0 {
                    shares = self.cut(most);
                }
            }
            self.run_tx(recorder, rows_max, left);
        }
        shares
    }

    /// Cuts the inputs of the next transaction, if they are very many, and keeps the first run of them.
    fn cut(&mut self, most: u16) -> Vec<Share> {
        let (tx, inputs) = (self.next.0, self.until);
        let count = (inputs / SHARE_INPUTS).clamp(1, most.into());
        let edge = |share: u32| (u64::from(inputs) * u64::from(share) / u64::from(count)) as u32;
        self.until = edge(1);
        self.awaited = (count - 1) as u16;
        (1..count).map(|i| Share { given: self.given.clone(), tx, inputs: edge(i)..edge(i + 1) }).collect()
    }

    fn run_tx(&mut self, recorder: &mut Recorder, rows_max: usize, left: &mut u32) {
        let (given, (tx, mut input), flags) = (&self.given, self.next, self.given.job.flags);
        let view = given.view(tx);
        let (coins, mut failed) = (given.coins(tx), Vec::new());
        let spending = Spending::resume(view, &coins, std::mem::take(&mut self.digests));
        let mut machine = Machine::new();
        while input < self.until && *left > 0 && recorder.rows.len() < rows_max {
            let start = recorder.rows.len();
            match machine.check(&spending, input, flags, recorder) {
                Ok(()) if recorder.rows.len() == start => {}
                Ok(()) => self.assumed.push(Assumed { tx, input, rows: start..recorder.rows.len() }),
                // Nothing was assumed: that is its end.
                Err(error) if recorder.rows.len() == start => failed.push((input, error)),
                Err(_) => {
                    recorder.truncate(start);
                    self.failed_assuming += 1;
                    let again = machine.check(&spending, input, flags, &mut AtOnce);
                    failed.extend(again.err().map(|error| (input, error)));
                }
            }
            input += 1;
            *left -= 1;
        }
        if input < self.until {
            self.next = (tx, input);
            self.digests = spending.into_digests();
        } else {
            self.next = (tx + 1, 0);
            self.finished.extend(self.name.take());
        }
        failed.into_iter().for_each(|(input, error)| self.fail(ScriptFailure { tx, input, error }));
    }

    /// Whether an input of it recorded that row of this slice.
    pub(super) fn recorded(&self, row: usize) -> bool {
        self.assumed.iter().any(|assumed| assumed.rows.contains(&row))
    }

    /// Looks what became of the rows of this slice, of which those are `good`.
    pub(super) fn settle(&mut self, recorder: &Recorder, good: impl Fn(usize) -> bool, cache: &ScriptCache) -> Again {
        let mut again = Again { failed: std::mem::take(&mut self.failed_assuming), ..Again::default() };
        for Assumed { tx, input, rows } in std::mem::take(&mut self.assumed) {
            if !recorder.holds(rows, &good) {
                match self.run_again(tx, input) {
                    Ok(()) => again.good += 1,
                    Err(error) => {
                        again.refused += 1;
                        self.fail(ScriptFailure { tx, input, error });
                    }
                }
            }
        }
        self.learn(cache);
        again
    }

    /// Remembers what was run to its end, once nobody can say any more that some of it fails.
    fn learn(&mut self, cache: &ScriptCache) {
        if self.failure.is_none() && self.awaited == 0 {
            self.finished.drain(..).for_each(|name| cache.learn(name));
        }
    }

    fn run_again(&self, tx: u32, input: u32) -> Result<(), ScriptError> {
        let coins = self.given.coins(tx);
        let spending = Spending::new(self.given.view(tx), &coins);
        Machine::new().check(&spending, input, self.given.job.flags, &mut AtOnce)
    }

    /// The first in the order of the block is the one that counts, and nothing after it is run; an audit goes on.
    fn fail(&mut self, failure: ScriptFailure) {
        if self.given.is_audit() {
            return self.failures.push(failure);
        }
        let at = |failure: ScriptFailure| place((failure.tx, failure.input));
        self.given.first_failed.fetch_min(at(failure), Relaxed);
        if self.failure.is_none_or(|before| at(failure) < at(before)) {
            self.failure = Some(failure);
        }
        self.finished.clear();
        if place(self.next) > at(failure) {
            self.next = (self.end, 0);
        }
    }

    /// What an audit found in this slice, a line each that `caesure verify --replay` understands.
    pub(super) fn reports(&mut self) -> impl Iterator<Item = String> {
        let failures = std::mem::take(&mut self.failures);
        failures.into_iter().map(|ScriptFailure { tx, input, error }| {
            let (given, job) = (&self.given, &self.given.job);
            crate::replay::line(job.height, &given.view(tx), &given.coins(tx), input, job.flags, error)
        })
    }
}
