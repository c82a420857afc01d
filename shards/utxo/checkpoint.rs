//! The bases of a utxo shard's partitions written down, one after the other, the one that is furthest behind first. Decides
//! when, and which older ones may go; never opens a file, and never holds more than one piece.
//!
//! A partition's base stands still while it is written; as that is done as fast as the disk takes it, the next one waits
//! until the bandwidth that was granted has paid for it.

use crate::effect::{Effect, Level, Side};
use crate::msg::{Files, Msg};
use crate::note::Note;
use crate::{Cx, ShardId};
use consensus::BlockHash;
use ledger::base::Mark;
use ledger::checkpoint::{Head, Writer, superfluous};
use ledger::{WorldId, Worlds};

/// How long nothing is written after a failure.
const PATIENCE_MS: u64 = 60_000;
/// Chunks that make a piece of a file.
const CHUNKS: usize = 4;
/// What a file costs beside its bytes, in bytes: a name, two syncs, and another's removal.
const FILE_COST: i64 = 128 << 10;

/// How checkpoints are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Magic of the network.
    pub network: [u8; 4],
    /// Bytes a second for all shards together; 0 makes none.
    pub bandwidth: u64,
    /// A partition is written down again when its base has moved on by so many blocks.
    pub interval: u32,
    /// The older of the two that are kept lies so many blocks below the newer.
    pub gap: u32,
}

#[derive(Debug)]
struct Writing {
    index: usize,
    /// The root's name when its base was begun.
    root: WorldId,
    height: u32,
    block: BlockHash,
    writer: Option<Writer>,
    /// Where the next chunk begins.
    next: Mark,
    at: u64,
    /// Once the last piece is handed out: heights of those that may go then.
    gone: Option<Vec<u32>>,
    /// Its base is gone: only the answer is waited for.
    given_up: bool,
}

/// The checkpoints of a shard.
#[derive(Debug)]
pub(super) struct Checkpoints {
    side: Side,
    policy: Policy,
    /// Of this shard's share.
    bytes_per_s: u64,
    first: usize,
    /// The root's name when the bases were begun.
    root: WorldId,
    files: Vec<Files>,
    writing: Option<Writing>,
    /// Bytes that may be written; below zero after a large partition.
    credit: i64,
    credit_ms: u64,
    not_before_ms: u64,
    /// Why the last one was not written.
    failed: Option<String>,
}

impl Checkpoints {
    pub(super) fn new(side: Side, policy: Policy, workers: u16, first: usize, partitions: usize) -> Checkpoints {
        Checkpoints {
            side,
            policy,
            bytes_per_s: policy.bandwidth.div_ceil(workers.into()),
            first,
            root: 0,
            files: vec![Files::default(); partitions],
            writing: None,
            credit: 0,
            credit_ms: 0,
            not_before_ms: 0,
            failed: None,
        }
    }

    /// Why the last one was not written, until one is.
    pub(super) fn failed(&self) -> Option<String> {
        self.failed.clone()
    }

    /// All is made anew from these files; one that is being written is given up.
    pub(super) fn reset(&mut self, root: WorldId, files: &[Files]) {
        (self.root, self.files) = (root, files.to_vec());
        self.writing.iter_mut().for_each(|writing| writing.given_up = true);
    }

    /// Begins the next one, if it is time. The bases stand at the block of the root.
    pub(super) fn begin(&mut self, root: (u32, BlockHash), worlds: &mut Worlds, cx: &mut Cx) {
        let passed = cx.now_ms - std::mem::replace(&mut self.credit_ms, cx.now_ms);
        let earned = (self.bytes_per_s * passed / 1_000) as i64;
        self.credit = (self.credit + earned).min(self.bytes_per_s as i64);
        let may = self.bytes_per_s > 0 && self.credit >= 0 && cx.now_ms >= self.not_before_ms;
        if self.writing.is_some() || !may {
            return;
        }
        let newest = |files: &Files| files.kept.last_key_value().map_or(0, |(height, _)| *height);
        let behind = self.files.iter().enumerate().min_by_key(|(_, files)| newest(files));
        let Some((index, files)) = behind else { return };
        if root.0 < newest(files) + self.policy.interval.max(1) {
            return;
        }
        worlds.freeze(index);
        self.credit -= FILE_COST;
        let (height, block) = root;
        self.writing = Some(Writing {
            index,
            root: self.root,
            height,
            block,
            writer: None,
            next: Mark::default(),
            at: 0,
            gone: None,
            given_up: false,
        });
        self.piece(worlds, cx);
    }

    /// Hands out the next piece.
    fn piece(&mut self, worlds: &Worlds, cx: &mut Cx) {
        let Some(writing) = &mut self.writing else { return };
        let (height, partition) = (writing.height, (self.first + writing.index) as u16);
        let mut bytes = Vec::new();
        let writer = writing.writer.get_or_insert_with(|| {
            let head = Head { network: self.policy.network, partition, height, block: writing.block };
            Writer::begin(&head, &mut bytes)
        });
        let mut over = false;
        for _ in 0..CHUNKS {
            let Some((chunk, next)) = worlds.chunk(writing.index, writing.next) else {
                over = true;
                break;
            };
            writer.piece(&chunk, &mut bytes);
            writing.next = next;
        }
        if over {
            let coins = worlds.base_lens().nth(writing.index).expect("one of ours") as u64;
            writing.writer.take().expect("just there").end(coins, &mut bytes);
            let files = &self.files[writing.index];
            let heights: Vec<u32> = files.kept.keys().copied().chain([height]).collect();
            let mut gone = superfluous(&heights, self.policy.gap);
            gone.extend(files.stale.iter().filter(|stale| **stale != height));
            writing.gone = Some(gone);
        }
        let (at, last) = (writing.at, writing.gone.clone());
        writing.at += bytes.len() as u64;
        self.credit -= bytes.len() as i64;
        cx.effect(Effect::SaveCheckpoint { side: self.side, partition, height, at, bytes: bytes.into(), last });
    }

    /// A piece is written; for the last: the file is whole and in its place, and those that may go are gone.
    pub(super) fn saved(&mut self, partition: u16, failed: Option<String>, worlds: &mut Worlds, cx: &mut Cx) {
        let Some(writing) = self.writing.as_mut().filter(|w| self.first + w.index == usize::from(partition)) else {
            return;
        };
        let Writing { index, root, height, block, .. } = *writing;
        if writing.given_up {
            // The file is there all the same, and others are gone: who chooses among them must know.
            if let (Some(gone), None) = (writing.gone.take(), failed) {
                let files = &mut self.files[index];
                files.kept.retain(|other, _| *other != height && !gone.contains(other));
                files.stale.retain(|other| !gone.contains(other));
                files.stale.insert(height);
                let kept = files.kept.keys().chain(&files.stale).copied().collect();
                cx.tell(ShardId::Chain, Msg::Checkpointed { side: self.side, partition, root, height, block, kept });
            }
            self.writing = None;
            return;
        }
        if let Some(why) = failed {
            let line = format!(
                "the checkpoint of partition {partition} was not written: {why}; it is tried again in a minute"
            );
            cx.log(Level::Warn, line);
            self.not_before_ms = cx.now_ms + PATIENCE_MS;
            self.failed = Some(why);
        } else {
            let Some(gone) = writing.gone.take() else { return self.piece(worlds, cx) };
            cx.note(Note::Checkpoint { partition, height, bytes: writing.at });
            self.failed = None;
            let files = &mut self.files[index];
            files.kept.insert(height, block);
            files.kept.retain(|height, _| !gone.contains(height));
            files.stale.clear();
            let kept = files.kept.keys().copied().collect();
            cx.tell(ShardId::Chain, Msg::Checkpointed { side: self.side, partition, root, height, block, kept });
        }
        self.writing = None;
        worlds.thaw(index);
    }
}
