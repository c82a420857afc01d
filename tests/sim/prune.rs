//! The block index as a machine that loses power sees it, twice where blocks are pruned; pages of blocks.bin that are given
//! up; and what must be true when they are.

use super::edge::Due;
use super::faults::Faults;
use super::{Sim, boot};
use consensus::{BlockHash, Header, Network, Params};
use ledger::block_index::read_rows;
use ledger::checkpoint::{HEAD_LEN, head};
use ledger::holes::Holes;
use ledger::record::Index;
use shards::effect::Event;
use shards::{Input, Rng, ShardId, chain, store};
use std::collections::VecDeque;
use std::ops::Range;

/// The index and its copy. Rows go to both; they are synced before pages are given up.
#[derive(Debug, Default)]
pub(super) struct Rows {
    copies: [Vec<u8>; 2],
    /// So many bytes of each are synced; 0: nothing was pruned, and there is no copy.
    synced: usize,
    /// Bytes to be synced, and pages to be given up then.
    punching: Option<(usize, VecDeque<Range<u64>>)>,
}

impl Rows {
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.copies.iter_mut().for_each(|copy| copy.extend_from_slice(bytes));
    }

    /// What a start finds: anything may have happened to what was not synced, and to the rest of one copy.
    pub(super) fn spoil(&mut self, faults: &mut Faults, rng: &mut Rng) {
        self.punching = None;
        if self.synced == 0 {
            self.copies[1].clear();
        }
        let worse = rng.below(2) as usize;
        for (nth, copy) in self.copies.iter_mut().enumerate() {
            let safe = if nth == worse { 0 } else { self.synced };
            let len = copy.len();
            if len == safe {
                continue;
            }
            let (at, hole) = (safe + rng.below((len - safe) as u64) as usize, rng.below(200) as usize);
            if faults.index_flip.strikes(rng) {
                copy[at] ^= 1 << rng.below(8);
            }
            if faults.index_hole.strikes(rng) {
                copy[at..(at + hole).min(len)].fill(0);
            }
            if faults.index_cut.strikes(rng) {
                copy.truncate(at);
            }
            if faults.index_lost.strikes(rng) {
                copy.truncate(safe);
            }
        }
    }
}

impl Sim {
    pub(super) fn pruning(&self) -> chain::Pruning {
        let fresh = chain::Pruning::default();
        let (size, keep) = self.pruning.map_or((None, fresh.keep), |(size, keep)| (Some(size), keep));
        chain::Pruning { size, keep, begun: self.rows.synced > 0 }
    }

    /// Both copies of the block index go bad at this byte.
    pub fn spoil_index(&mut self, at: usize) {
        self.rows.copies.iter_mut().for_each(|copy| copy[at] ^= 1);
    }

    /// What a start finds in blocks.bin, as the edge does it: both copies of the index are brought up to date and synced,
    /// and what was to be given up is.
    pub(super) fn open(&mut self) -> (Index, store::Opened) {
        let copies = self.rows.copies.each_ref().map(Vec::as_slice);
        let ledger::block_index::Opened { index, copy, keep, append, rows, .. } =
            boot::open(&copies, self.disk.image(), &self.disk.holes());
        let fresh = [&self.rows.copies[copy][..keep as usize], &append].concat();
        let pruned = self.pruning.is_some() || self.rows.synced > 0;
        self.rows.synced = if pruned { fresh.len() } else { 0 };
        self.rows.copies = [fresh.clone(), fresh];
        let holes = Holes::of(&index.records);
        holes.pages().for_each(|pages| self.disk.punch(pages));
        let tail = self.disk.image()[index.end as usize / 4_096 * 4_096..index.end as usize].to_vec();
        let opened = store::Opened { end: index.end, tail, rows, holes };
        (index, opened)
    }

    /// These pages are to be given up: each record on them is said to be pruned, and could be.
    pub(super) fn punch(&mut self, pages: Vec<Range<u64>>, soon: u64) {
        let said = read_rows(Params::of(Network::Regtest), &self.rows.copies[0]).expect("our own rows");
        for record in said.records {
            let touched = pages.iter().any(|pages| pages.start < record.end() && record.at < pages.end);
            assert!(record.punched || !touched, "{} at {} is not pruned", record.hash, record.at);
            assert!(!record.punched || self.checks.is_pruned(&record.hash), "{} is pruned unasked", record.hash);
        }
        assert!(self.rows.punching.is_none(), "one at a time");
        if self.faults.failed_punch.strikes(&mut self.rng) {
            let failed = Event::Punched(Err("the drive says no".into()));
            return self.after(soon, Due::Event(ShardId::Store, failed));
        }
        self.rows.punching = Some((self.rows.copies[0].len(), pages.into()));
        self.after(soon * 3, Due::Punched);
    }

    /// The index is synced, or a run of pages is given up. With the last, the store hears of it.
    pub(super) fn punched(&mut self) {
        let (until, pages) = self.rows.punching.as_mut().expect("asked for");
        if self.rows.synced < *until {
            self.rows.synced = *until;
        } else if let Some(pages) = pages.pop_front() {
            self.disk.punch(pages);
        } else {
            self.rows.punching = None;
            return self.step(ShardId::Store, Input::Event(Event::Punched(Ok(()))));
        }
        self.after(1, Due::Punched);
    }

    /// The blocks that lie there may be pruned: deep enough, and below two checkpoints of each partition that lie on the
    /// tip's branch.
    pub(super) fn may_prune(&mut self, records: &[(u64, u32)]) {
        let mut twice = vec![Vec::new(); 256];
        for ((partition, height), bytes) in &self.checkpoints.files {
            let block = bytes.first_chunk::<HEAD_LEN>().and_then(|bytes| head(bytes).ok()).map(|head| head.block);
            // What damage hides was right.
            let right = self.checkpoints.is_struck(*partition);
            if right || block.is_some_and(|block| self.checks.stands_on(self.tip, block)) {
                twice[usize::from(*partition)].push(*height);
            }
        }
        let older = |heights: &Vec<u32>| heights.iter().rev().nth(1).copied().unwrap_or(0);
        let (older, tip) = (twice.iter().map(older).min().expect("256"), self.chains().height(self.tip));
        let (_, keep) = self.pruning.expect("it was told to prune");
        for (at, len) in records {
            let bytes = self.disk.read(*at, *len).expect("what is pruned is there");
            let block: BlockHash = Header::parse(bytes[..80].try_into().expect("80 bytes")).hash();
            let height = self.chains().known(&block).expect("a block of ours").height;
            assert!(height + keep < tip, "height {height} is pruned at tip {tip}, and {keep} are to be kept");
            assert!(height <= older, "height {height} is pruned, a partition has no two checkpoints above {older}");
            self.checks.pruned(block);
        }
    }

    /// Blocks that were pruned so far.
    pub fn pruned(&self) -> usize {
        self.checks.all_pruned()
    }
}
