//! The folder of checkpoints as a machine that loses power sees it: what was put in its place and synced stays, what was
//! being written is gone, and what is between the two may be either.

use super::edge::Due;
use super::faults::{Fault, Faults};
use super::{ShardId, Sim};
use bytes::Bytes;
use consensus::BlockHash;
use ledger::checkpoint::{HEAD_LEN, head};
use shards::Rng;
use shards::effect::Side;
use std::collections::{BTreeMap, BTreeSet};

/// One that is being put in its place, and the heights of those that go then.
#[derive(Debug)]
struct Placing {
    height: u32,
    whole: Vec<u8>,
    gone: Vec<u32>,
}

/// Those of a side.
pub type Files = BTreeMap<(u16, u32), Vec<u8>>;

/// The folder.
#[derive(Debug, Default)]
pub struct Checkpoints {
    /// By partition and height.
    pub files: Files,
    /// Those of the history behind a snapshot.
    history: Files,
    fresh: BTreeMap<(Side, u16), Vec<u8>>,
    placing: BTreeMap<(Side, u16), Placing>,
    /// Partitions of which a file was damaged, or could not be read once.
    struck: BTreeSet<u16>,
    /// Pieces read so far.
    pub reads: u64,
}

impl Checkpoints {
    /// What a start finds.
    pub fn find(&self, side: Side) -> Vec<(u16, u32, BlockHash)> {
        let head = |bytes: &Vec<u8>| bytes.first_chunk::<HEAD_LEN>().and_then(|bytes| head(bytes).ok());
        let files = if side == Side::Tip { &self.files } else { &self.history };
        let found = files.iter().filter_map(|((partition, height), bytes)| {
            let head = head(bytes).filter(|head| (head.partition, head.height) == (*partition, *height))?;
            Some((*partition, *height, head.block))
        });
        found.collect()
    }

    pub(super) fn is_struck(&self, partition: u16) -> bool {
        self.struck.contains(&partition)
    }

    pub(super) fn damaged(&self) -> bool {
        !self.struck.is_empty()
    }

    fn of(&mut self, side: Side) -> &mut Files {
        match side {
            Side::Tip => &mut self.files,
            Side::History => &mut self.history,
        }
    }

    /// One is there.
    pub(super) fn put(&mut self, side: Side, name: (u16, u32), bytes: Vec<u8>) {
        self.of(side).insert(name, bytes);
    }

    pub(super) fn clear_history(&mut self) {
        self.history.clear();
    }

    pub(super) fn write(&mut self, side: Side, partition: u16, at: u64, bytes: &Bytes) {
        let file = self.fresh.entry((side, partition)).or_default();
        if at == 0 {
            file.clear();
        }
        assert_eq!(file.len() as u64, at, "pieces come in order");
        file.extend_from_slice(bytes);
    }

    /// It is in its place, durably, and others are gone.
    pub(super) fn placed(&mut self, side: Side, partition: u16) {
        let Placing { height, whole, gone } = self.placing.remove(&(side, partition)).expect("asked for");
        let files = self.of(side);
        files.insert((partition, height), whole);
        gone.into_iter().for_each(|height| drop(files.remove(&(partition, height))));
    }

    pub(super) fn load(&mut self, side: Side, name: (u16, u32), at: u64, len: u32) -> Result<Bytes, String> {
        self.reads += 1;
        let file = self.of(side).get(&name).ok_or("no such file")?;
        let start = file.len().min(at as usize);
        let end = file.len().min(at as usize + len as usize);
        Ok(Bytes::copy_from_slice(&file[start..end]))
    }

    /// The last byte of a file is not what it was.
    pub fn rot(&mut self, partition: u16, height: u32) {
        *self.files.get_mut(&(partition, height)).and_then(|file| file.last_mut()).expect("it is there") ^= 1;
        self.struck.insert(partition);
    }

    /// The run ends.
    pub(super) fn end(&mut self, power: bool, faults: &mut Faults, rng: &mut Rng) {
        self.fresh.clear();
        for ((side, partition), Placing { height, whole, gone }) in std::mem::take(&mut self.placing) {
            if power && faults.lost_checkpoint.strikes(rng) {
                continue;
            }
            let files = self.of(side);
            files.insert((partition, height), whole);
            for height in gone {
                if rng.below(2) == 0 {
                    files.remove(&(partition, height));
                }
            }
        }
    }
}

impl Sim {
    /// Whether this fault strikes a file of the partition. Where blocks are pruned coins cannot be made from genesis on:
    /// then a partition is struck once, so that its other file is whole. Behind a snapshot the tip's cannot be, either, and
    /// there may be no other.
    pub(super) fn harms(&mut self, side: Side, partition: u16, fault: fn(&mut Faults) -> &mut Fault) -> bool {
        let once = self.pruning.is_some() && self.checkpoints.is_struck(partition);
        let spared = once || self.snapshot.is_some() && side == Side::Tip;
        let strikes = !spared && fault(&mut self.faults).strikes(&mut self.rng);
        if strikes {
            self.checkpoints.struck.insert(partition);
        }
        strikes
    }

    /// The last piece is there: the file goes to its place. What it holds may have changed when it is read again.
    pub(super) fn place(
        &mut self,
        shard: ShardId,
        (side, partition, height): (Side, u16, u32),
        gone: Vec<u32>,
        soon: u64,
    ) {
        let mut whole = self.checkpoints.fresh.remove(&(side, partition)).expect("just written");
        let at = self.rng.below(whole.len() as u64) as usize;
        if self.harms(side, partition, |faults| &mut faults.checkpoint_rot) {
            whole[at] ^= 1 << self.rng.below(8);
        } else if self.harms(side, partition, |faults| &mut faults.checkpoint_short) {
            whole.truncate(at);
        }
        self.checkpoints.placing.insert((side, partition), Placing { height, whole, gone });
        self.after(soon * 2, Due::Saved(shard, side, partition));
    }
}
