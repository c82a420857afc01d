//! Which records of blocks.bin are given up to make room, and what that leaves of history: the lowest blocks go first, once
//! every partition has two checkpoints above them and a peer may no longer ask for them. Sees where records lie and how long
//! they are; never touches a file, and never knows of pages.
//!
//! A block that was pruned is durable and has no place. Its header stays in the block index. Whoever needs its bytes again
//! does not get them: the node stops and says so.

use super::{Chain, Stored, Verdict};
use crate::effect::{Effect, Level, Stop};
use crate::limits::{KEEP_BLOCKS, PRUNE_RECORDS_MAX, PRUNE_SHARE};
use crate::msg::{Msg, Place};
use crate::{Cx, ShardId};
use consensus::BlockHash;
use ledger::NodeId;
use ledger::record::FRAME_LEN;
use std::collections::{BTreeMap, VecDeque};

/// How often it is said how far it has come.
const SAY_MS: u64 = 60_000;

/// How blocks.bin is pruned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pruning {
    /// Bytes that blocks may take; none: nothing more is pruned.
    pub size: Option<u64>,
    /// So many blocks below the tip are kept whatever they take.
    pub keep: u32,
    /// It was pruned before, or may have been: the block index is all there is of some headers.
    pub begun: bool,
}

impl Default for Pruning {
    fn default() -> Pruning {
        Pruning { size: None, keep: KEEP_BLOCKS, begun: false }
    }
}

/// What was pruned, and what is next.
#[derive(Debug, Default)]
pub(super) struct Prune {
    /// End of blocks.bin, and bytes of it that were given up.
    end: u64,
    gone: u64,
    /// Height of the highest block that was pruned.
    up_to: u32,
    /// Records that may go, the lowest first, worked out when they were to lie no higher than that.
    plan: VecDeque<NodeId>,
    planned: u32,
    /// Records are being given up.
    busy: bool,
    failed: bool,
    /// Height of the tip a tick ago: whoever was told then where a block lies has read it.
    tip_height: u32,
    /// Records of blocks.bin were pruned of which the index says nothing.
    lost: bool,
    said_ms: u64,
}

impl Prune {
    /// Records of blocks.bin are durable there.
    pub(super) fn wrote(&mut self, done: &[(NodeId, Place)]) {
        let ends = done.iter().map(|(_, place)| place.at + u64::from(place.len));
        self.end = ends.fold(self.end, u64::max);
    }

    /// A record was found there that was pruned.
    pub(super) fn found(&mut self, place: &Place, height: u32) {
        self.gone += FRAME_LEN + u64::from(place.len);
        self.up_to = self.up_to.max(height);
    }

    /// There are holes in it that nothing is known of.
    pub(super) fn found_holes(&mut self) {
        self.lost = true;
    }

    fn bytes(&self) -> u64 {
        self.end - self.gone
    }
}

impl Chain {
    /// It is durable, and its bytes are gone.
    pub(super) fn is_pruned(&self, node: NodeId) -> bool {
        let life = self.life(node);
        node != 0 && life.stored == Stored::Durable && life.place.is_none()
    }

    /// Whether only the last blocks can be had here: some were pruned, or will be.
    pub(super) fn is_limited(&self) -> bool {
        self.config.pruning.size.is_some() || self.prune.gone > 0
    }

    /// Whether a peer may not ask for this block (Core `ProcessGetBlockData`: against leaking what is kept).
    pub(super) fn is_too_deep(&self, node: NodeId) -> bool {
        self.is_limited() && self.height(self.tip) > self.height(node) + self.config.pruning.keep
    }

    /// Height up to which blocks were pruned, bytes of theirs, bytes that blocks may take.
    pub(super) fn pruned(&self) -> (u32, u64, Option<u64>) {
        (self.prune.up_to, self.prune.gone, self.config.pruning.size)
    }

    pub(super) fn say_pruned(&self, cx: &mut Cx) {
        let (up_to, gone, size) = self.pruned();
        if gone == 0 {
            return;
        }
        let history =
            format!("blocks up to height {up_to} were pruned, {} MB; their headers are kept", gone / 1_000_000);
        match size {
            Some(_) => cx.log(Level::Info, history),
            None => cx.log(Level::Warn, format!(
                "{history}. Nothing more is pruned, but this node goes on offering peers its last {KEEP_BLOCKS} blocks only; \
                 to have all of them, sync again in another folder"
            )),
        }
    }

    /// Gives up what is too much.
    pub(super) fn tick_prune(&mut self, cx: &mut Cx) {
        let now = self.height(self.tip);
        let tip_height = std::mem::replace(&mut self.prune.tip_height, now).min(now);
        let Some(size) = self.config.pruning.size else { return };
        let over = self.prune.bytes().saturating_sub(size);
        // What lies below a snapshot is wanted until it is verified.
        let verified = self.snapshot.is_none() && self.history.is_none();
        let may = verified && self.obtain.begun && !self.obtain.stopped && !self.prune.busy && !self.prune.failed;
        if over == 0 || !may || self.life(self.tip).world.is_none() {
            return;
        }
        let limit = self.prunable(tip_height);
        if self.prune.plan.is_empty() && limit > self.prune.planned {
            self.plan(limit);
        }
        let (wanted, mut freed, mut records) = (over + size / PRUNE_SHARE, 0, Vec::new());
        while freed < wanted
            && records.len() < PRUNE_RECORDS_MAX
            && let Some(&node) = self.prune.plan.front()
            && self.height(node) <= limit
        {
            self.prune.plan.pop_front();
            if let Some(place) = self.life(node).place.filter(|place| place.file == 0 && !self.is_needed(node)) {
                self.life_mut(node).place = None;
                self.prune.found(&place, self.height(node));
                freed += FRAME_LEN + u64::from(place.len);
                records.push((place.at, place.len));
            }
        }
        if !records.is_empty() {
            self.prune.busy = true;
            cx.tell(ShardId::Store, Msg::Punch(records));
            if cx.now_ms >= self.prune.said_ms {
                self.prune.said_ms = cx.now_ms + SAY_MS;
                self.say_pruned(cx);
            }
        }
    }

    /// The last records were given up, or cannot be.
    pub(super) fn punched(&mut self, done: bool) {
        (self.prune.busy, self.prune.failed) = (false, !done);
    }

    /// The highest block that may be pruned: neither peers may ask for it, nor does any partition need it that loses the
    /// newer of its checkpoints.
    fn prunable(&self, tip_height: u32) -> u32 {
        let older = |files: &BTreeMap<u32, (BlockHash, bool)>| {
            let good = |(height, (block, good)): (&u32, &(BlockHash, bool))| {
                (*good && self.on_branch(block, self.tip).is_some()).then_some(*height)
            };
            let mut heights = files.iter().filter_map(good);
            heights.next().filter(|_| heights.next().is_some())
        };
        let older =
            self.restore.files().iter().map(|files| older(files).unwrap_or(0)).min().expect("there are partitions");
        let root = self.height(self.worlds[&self.root].node);
        tip_height.saturating_sub(self.config.pruning.keep + 1).min(older).min(root)
    }

    fn plan(&mut self, limit: u32) {
        let here = |node: &NodeId| self.life(*node).place.is_some() && self.height(*node) <= limit;
        let mut plan: Vec<NodeId> = (0..self.lives.len() as NodeId).filter(here).collect();
        plan.sort_unstable_by_key(|node| (self.height(*node), *node));
        (self.prune.plan, self.prune.planned) = (plan.into(), limit);
    }

    /// A record of the tip's branch is not; one of another is as long as that may still win.
    fn is_needed(&self, node: NodeId) -> bool {
        let busy = self.life(node).world.is_some() || self.held.contains_key(&node) || self.obtain.is_loading(node);
        let targets = || self.obtain.targets.iter().any(|target| self.tree.descends(target.leaf, node));
        busy || !self.tree.descends(self.tip, node) && targets()
    }

    /// The partition that is furthest behind where coins are made for this branch, and where it begins.
    fn furthest_behind(&self, leaf: NodeId) -> (usize, u32) {
        if self.config.audit.is_some() {
            return (0, 0);
        }
        let newest = |files: &BTreeMap<u32, (BlockHash, bool)>| {
            let good = |(block, good): &(BlockHash, bool)| *good && self.on_branch(block, leaf).is_some();
            files.iter().rev().find(|(_, file)| good(file)).map_or(0, |(height, _)| *height)
        };
        let all = self.restore.files().iter().map(newest).enumerate();
        all.min_by_key(|(_, height)| *height).expect("there are partitions")
    }

    /// Why coins cannot be made for this branch: blocks that it takes were pruned.
    pub(super) fn gone_for(&self, leaf: NodeId) -> Result<(), String> {
        let (partition, base) = self.furthest_behind(leaf);
        let (mut at, mut gone) = (leaf, None);
        while self.height(at) > base {
            gone = if self.is_pruned(at) { Some(at) } else { gone };
            at = self.tree.node(at).parent;
        }
        let Some(gone) = gone else { return Ok(()) };
        let (height, hash) = (self.height(gone), self.tree.node(gone).hash);
        let why = match (self.config.audit, base) {
            (Some(_), _) => "scripts are run over coins that are made from genesis on".into(),
            (None, 0) => {
                format!("partition {partition} of the coins has no checkpoint that lies on this branch and can be read")
            }
            (None, _) => format!("the newest checkpoint of partition {partition} on this branch is of height {base}"),
        };
        Err(format!(
            "block {hash} at height {height} is needed and was pruned, as were others up to height {}: {why}",
            self.prune.up_to
        ))
    }

    /// Stops the node where that is so; or where headers are lost of what was pruned, which it shows by checkpoints of
    /// blocks that nobody knows.
    pub(super) fn history_is_gone(&mut self, leaf: NodeId, cx: &mut Cx) -> bool {
        let unknown = self.prune.lost && !self.restore.is_empty() && self.furthest_behind(leaf).1 == 0;
        let (stop, why) = match self.gone_for(leaf) {
            _ if unknown && self.config.audit.is_none() => (
                Stop::HeadersLost,
                format!(
                    "it does not say what lay in the holes of blocks.bin: the headers of pruned blocks lay here and in its \
                     copy alone. {} header(s) are left",
                    self.tree.len() - 1
                ),
            ),
            Err(why) => (Stop::Pruned, why),
            Ok(()) => return false,
        };
        self.obtain.stopped = true;
        cx.effect(Effect::Stop(stop, why));
        true
    }

    /// Why the tip cannot go to this branch, where all coins would have to be made anew for it.
    pub(super) fn can_go_to(&self, leaf: NodeId) -> Result<(), String> {
        let lives = self.life(leaf).world.is_some() || self.above_root(leaf);
        let worth = self.life(leaf).verdict == Verdict::Valid;
        if lives || !worth { Ok(()) } else { self.gone_for(leaf) }
    }
}
