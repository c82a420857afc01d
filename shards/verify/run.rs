//! One part of a block whose scripts are being run: how far it is, what it recorded in this slice,
//! what failed. Never knows how long a slice is.

use super::view;
use crate::msg::{CoinRow, Coins, Job, Msg, ScriptFailure, Scripts};
use crate::script_cache::{Name, ScriptCache};
use consensus::script::{AtOnce, Digests, Machine, Recorder, Row, ScriptError, Spending};
use consensus::{CoinView, Spends, TxView};
use ledger::WorldId;
use std::ops::Range;
use std::sync::Arc;

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

/// A part of a block.
#[derive(Debug)]
pub(super) struct Part {
    given: Given,
    spends: Spends,
    /// The next to run: transaction of the block, input of the transaction.
    next: (u32, u32),
    /// Of that transaction, if some of its inputs have been run: what they share, and its name.
    digests: Digests,
    name: Option<Name>,
    /// Of this slice.
    assumed: Vec<Assumed>,
    /// Transactions all of whose inputs have been run in slices up to this one.
    finished: Vec<Name>,
    failure: Option<ScriptFailure>,
    /// In an audit: what failed and was not told yet.
    failures: Vec<ScriptFailure>,
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
        let first = job.parts[part].1.start.max(1);
        Part {
            given: Given { job, part, coins, rows },
            spends,
            next: (first, 0),
            digests: Digests::default(),
            name: None,
            assumed: Vec::new(),
            finished: Vec::new(),
            failure: None,
            failures: Vec::new(),
        }
    }

    pub(super) fn world(&self) -> WorldId {
        self.given.job.world
    }

    fn end(&self) -> u32 {
        self.given.job.parts[self.given.part].1.end
    }

    pub(super) fn is_done(&self) -> bool {
        self.next.0 >= self.end()
    }

    pub(super) fn give_up(&mut self) {
        self.next = (self.end(), 0);
    }

    pub(super) fn verdict(self) -> Msg {
        let (world, part) = (self.given.job.world, self.given.part);
        Msg::Verdict { world, part, spends: Box::new(self.spends), script: self.failure }
    }

    /// Runs inputs until that many rows are recorded, no input is left of this slice, or none of
    /// this part.
    pub(super) fn run(&mut self, recorder: &mut Recorder, rows_max: usize, left: &mut u32, cache: &ScriptCache) {
        while !self.is_done() && *left > 0 && recorder.rows.len() < rows_max {
            self.run_tx(recorder, rows_max, left, cache);
        }
    }

    fn run_tx(&mut self, recorder: &mut Recorder, rows_max: usize, left: &mut u32, cache: &ScriptCache) {
        let (given, (tx, mut input)) = (&self.given, self.next);
        let (view, flags) = (given.view(tx), given.job.flags);
        let inputs = view.inputs.len() as u32;
        if input == 0 {
            self.name = (!given.is_audit()).then(|| cache.name(&view.wtxid(), flags));
            if self.name.is_some_and(|name| cache.knows(name)) {
                self.next = (tx + 1, 0);
                *left = left.saturating_sub(inputs);
                return;
            }
        }
        let (coins, mut failed) = (given.coins(tx), Vec::new());
        let spending = Spending::resume(view, &coins, std::mem::take(&mut self.digests));
        let mut machine = Machine::new();
        while input < inputs && *left > 0 && recorder.rows.len() < rows_max {
            let start = recorder.rows.len();
            match machine.check(&spending, input, flags, recorder) {
                Ok(()) if recorder.rows.len() == start => {}
                Ok(()) => self.assumed.push(Assumed { tx, input, rows: start..recorder.rows.len() }),
                // Nothing was assumed: that is its end.
                Err(error) if recorder.rows.len() == start => failed.push((input, error)),
                Err(_) => {
                    recorder.rows.truncate(start);
                    let again = machine.check(&spending, input, flags, &mut AtOnce);
                    failed.extend(again.err().map(|error| (input, error)));
                }
            }
            input += 1;
            *left -= 1;
        }
        if input < inputs {
            self.next = (tx, input);
            self.digests = spending.into_digests();
        } else {
            self.next = (tx + 1, 0);
            self.finished.extend(self.name.take());
        }
        failed.into_iter().for_each(|(input, error)| self.fail(tx, input, error));
    }

    /// Looks what became of the rows of this slice; gives how many scripts it ran again.
    pub(super) fn settle(&mut self, rows: &[Row], cache: &ScriptCache) -> u64 {
        let mut again = 0;
        for Assumed { tx, input, rows: range } in std::mem::take(&mut self.assumed) {
            if !rows[range].iter().all(Row::holds) {
                again += 1;
                if let Err(error) = self.run_again(tx, input) {
                    self.fail(tx, input, error);
                }
            }
        }
        if self.failure.is_none() {
            self.finished.drain(..).for_each(|name| cache.learn(name));
        }
        again
    }

    fn run_again(&self, tx: u32, input: u32) -> Result<(), ScriptError> {
        let coins = self.given.coins(tx);
        let spending = Spending::new(self.given.view(tx), &coins);
        Machine::new().check(&spending, input, self.given.job.flags, &mut AtOnce)
    }

    /// The first in the order of the block is the one that counts, and nothing after it is run; an
    /// audit goes on.
    fn fail(&mut self, tx: u32, input: u32, error: ScriptError) {
        let failure = ScriptFailure { tx, input, error };
        if self.given.is_audit() {
            return self.failures.push(failure);
        }
        if self.failure.is_none_or(|before| (tx, input) < (before.tx, before.input)) {
            self.failure = Some(failure);
        }
        self.finished.clear();
        self.give_up();
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
