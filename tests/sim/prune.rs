//! Pruning in the simulator: the block index and its copy, pages that are given up, and what must be true when they are.

use super::{Sim, checks};
use consensus::{BlockHash, Network, Params};
use ledger::checkpoint::{HEAD_LEN, head};
use ledger::holes::Holes;
use ledger::record::Index;
use shards::effect::Event;
use shards::{Input, Rng, ShardId, chain, store};
use std::collections::VecDeque;
use std::ops::Range;

/// The block index and its copy as a machine that loses power sees them. Both are written; they are synced before pages
/// are given up.
#[derive(Debug, Default)]
pub(super) struct Rows {
    copies: [Vec<u8>; 2],
    /// So many bytes of each survive a power cut.
    synced: usize,
    /// Pages to be given up.
    punching: VecDeque<Range<u64>>,
}

impl Rows {
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.copies.iter_mut().for_each(|copy| copy.extend_from_slice(bytes));
    }

    pub(super) fn punch(&mut self, pages: Vec<Range<u64>>) {
        assert!(self.punching.is_empty(), "one at a time");
        self.synced = self.copies[0].len();
        self.punching = pages.into();
    }

    /// What a power cut leaves: of what was not synced all, or what was written up to some moment, or a hole in it, or
    /// nothing. And of one copy, now and then, any byte may be bad.
    pub(super) fn cut(&mut self, rng: &mut Rng) {
        self.punching.clear();
        let synced = self.synced;
        if synced == 0 {
            // Nothing is pruned: there is no copy.
            self.copies[1].clear();
        }
        for copy in &mut self.copies {
            let loose = (copy.len() - synced) as u64;
            let (at, hole) = (synced + rng.below(loose + 1) as usize, rng.below(200) as usize);
            let end = (at + hole).min(copy.len());
            match rng.below(4) {
                0 => {}
                1 => copy.truncate(at),
                2 => copy[at..end].fill(0),
                _ => copy.truncate(synced),
            }
        }
        let copy = &mut self.copies[rng.below(2) as usize];
        if synced > 0 && rng.below(3) == 0 && !copy.is_empty() {
            let at = rng.below(copy.len() as u64) as usize;
            copy[at] ^= 1 << rng.below(8);
        }
    }

    /// Both go bad in what was synced.
    pub(super) fn spoil(&mut self, at: usize) {
        self.copies.iter_mut().for_each(|copy| copy[at] ^= 1);
    }
}

impl Sim {
    pub(super) fn pruning(&self) -> chain::Pruning {
        let (size, keep) = self.pruning.map_or((None, 290), |(size, keep)| (Some(size), keep));
        chain::Pruning { size, keep, begun: self.rows.synced > 0 }
    }

    /// Both copies of the block index go bad at this byte.
    pub fn spoil_index(&mut self, at: usize) {
        self.rows.spoil(at);
    }

    /// What a start finds, as the edge does it.
    pub(super) fn open(&mut self) -> (Index, store::Opened) {
        let copies = self.rows.copies.each_ref().map(Vec::as_slice);
        let ledger::block_index::Opened { index, copy, keep, append, rows, .. } =
            checks::open(&copies, self.disk.image(), &self.disk.holes());
        let fresh = [&self.rows.copies[copy][..keep as usize], &append].concat();
        self.rows.synced = if self.pruning.is_some() { fresh.len() } else { 0 };
        self.rows.copies = [fresh.clone(), fresh];
        let holes = Holes::of(&index.records);
        holes.pages().for_each(|pages| self.disk.punch(pages));
        let tail = self.disk.image()[index.end as usize / 4_096 * 4_096..index.end as usize].to_vec();
        let opened = store::Opened { end: index.end, tail, rows, holes };
        (index, opened)
    }

    /// A page is given up; whether there is another. With the last, the store hears of it.
    pub(super) fn punch(&mut self) -> bool {
        if let Some(pages) = self.rows.punching.pop_front() {
            self.disk.punch(pages);
            return true;
        }
        self.step(ShardId::Store, Input::Event(Event::Punched(Ok(()))));
        false
    }

    fn height(&self, mut block: BlockHash) -> u32 {
        let mut height = 0;
        while let Some(parent) = self.parents.get(&block) {
            (block, height) = (*parent, height + 1);
        }
        height
    }

    fn stands_on(&self, mut block: BlockHash, wanted: BlockHash) -> bool {
        while block != wanted {
            let Some(parent) = self.parents.get(&block) else { return false };
            block = *parent;
        }
        true
    }

    /// Every record on these pages is said to be pruned, lies deep enough, and below two checkpoints of each partition
    /// that lie on the tip's branch.
    pub(super) fn may_prune(&mut self, pages: &[Range<u64>]) {
        let rows = &self.rows.copies[0][..];
        let records = checks::open(&[rows], self.disk.image(), &self.disk.holes()).index.records;
        let mut twice = vec![Vec::new(); 256];
        for ((partition, height), bytes) in &self.checkpoints.files {
            let block = bytes.first_chunk::<HEAD_LEN>().and_then(|bytes| head(bytes).ok()).map(|head| head.block);
            if block.is_some_and(|block| self.stands_on(self.tip, block)) {
                twice[usize::from(*partition)].push(*height);
            }
        }
        let older = |heights: &Vec<u32>| heights.iter().rev().nth(1).copied().unwrap_or(0);
        let (older, tip) = (twice.iter().map(older).min().expect("256"), self.height(self.tip));
        let (_, keep) = self.pruning.expect("it was told to prune");
        for record in records {
            let touched = pages.iter().any(|pages| pages.start < record.end() && record.at < pages.end);
            assert!(record.punched || !touched, "{} at {} is not pruned", record.hash, record.at);
            if record.punched {
                let height = self.height(record.hash);
                assert!(record.hash != Params::of(Network::Regtest).genesis_hash);
                assert!(height + keep < tip, "height {height} is pruned at tip {tip}, and {keep} are to be kept");
                assert!(height <= older, "height {height} is pruned, a partition has no two checkpoints above {older}");
                self.pruned.insert(record.hash);
            }
        }
    }
}
