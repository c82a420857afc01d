//! The history behind a snapshot. The coins of the snapshot become those of the tip once its block is among the headers;
//! the coins that there were go on behind, block by block, as all blocks are checked, up to the snapshot's block. If they are
//! then the same, the history is verified and forgotten; if not, the node stops. Never sees a coin.
//!
//! ```text
//!   genesis ── … ── root ── … ── base              side History: the worlds of these blocks, and the base's own last
//!                                base ── … ── tip  side Tip: as in any node; nothing below the base can be made again
//! ```

use super::obtain::Target;
use super::restore::Restore;
use super::tip::FOLD_BLOCKS;
use super::{Chain, Verdict, World, WorldState};
use crate::effect::{Effect, Level, Side, Stop};
use crate::limits::HORIZON_SYNC_BLOCKS;
use crate::msg::Msg;
use crate::topology::owner;
use crate::{Cx, ShardId};
use consensus::{BlockHash, Header};
use ledger::{CoinDigest, NodeId, PARTITIONS, WorldId};
use wire::fetch::BEHIND;

/// Headers handed to the store at once.
const HEADERS_AT_ONCE: usize = 10_000;

/// A snapshot that was loaded and whose history is not verified.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Of its block.
    pub height: u32,
    /// The block after which its coins are unspent.
    pub block: BlockHash,
    /// What the coins of each partition come to.
    pub digests: Vec<CoinDigest>,
    /// Checkpoints of the tip's side: partition, height, block.
    pub checkpoints: Vec<(u16, u32, BlockHash)>,
}

/// The history.
#[derive(Debug)]
pub(super) struct History {
    /// The snapshot's block.
    pub(super) base: NodeId,
    digests: Vec<CoinDigest>,
    pub(super) root: WorldId,
    pub(super) restore: Restore,
    /// The base's world on this side.
    top: Option<WorldId>,
    target: Option<Target>,
    /// Partitions that were compared, once all blocks are valid.
    compared: Option<usize>,
}

impl Chain {
    /// Whose coins a block changes. The base belongs to the history as long as there is one: the tip's side begins above it.
    pub(super) fn side(&self, node: NodeId) -> Side {
        match &self.history {
            Some(history) if self.tree.descends(history.base, node) => Side::History,
            _ => Side::Tip,
        }
    }

    /// The place of a block in queues.
    pub(super) fn rank(&self, node: NodeId) -> u32 {
        match self.side(node) {
            Side::Tip => self.height(node),
            Side::History => self.height(node) | BEHIND,
        }
    }

    pub(super) fn is_base(&self, node: NodeId) -> bool {
        self.history.as_ref().is_some_and(|history| history.base == node)
    }

    /// The root of a side's worlds.
    pub(super) fn root_mut(&mut self, side: Side) -> &mut WorldId {
        match (side, &mut self.history) {
            (Side::History, Some(history)) => &mut history.root,
            _ => &mut self.root,
        }
    }

    /// The block of the root on the side of this one.
    pub(super) fn root_below(&self, node: NodeId) -> NodeId {
        match (self.side(node), &self.history) {
            (Side::History, Some(history)) => self.worlds[&history.root].node,
            _ => self.worlds[&self.root].node,
        }
    }

    /// The checkpoints of a side.
    pub(super) fn restore(&self, side: Side) -> &Restore {
        match (side, &self.history) {
            (Side::History, Some(history)) => &history.restore,
            _ => &self.restore,
        }
    }

    /// The same, to be changed.
    pub(super) fn restore_mut(&mut self, side: Side) -> &mut Restore {
        match (side, &mut self.history) {
            (Side::History, Some(history)) => &mut history.restore,
            _ => &mut self.restore,
        }
    }

    /// Whether the block has grown its world, or is growing it: on its own side.
    pub(super) fn has_world(&self, node: NodeId) -> bool {
        match &self.history {
            Some(history) if history.base == node => history.top.is_some(),
            _ => self.life(node).world.is_some(),
        }
    }

    /// The block's world on that side is this one, or none.
    pub(super) fn set_world(&mut self, side: Side, node: NodeId, world: Option<WorldId>) {
        match &mut self.history {
            Some(history) if history.base == node && side == Side::History => history.top = world,
            _ => self.life_mut(node).world = world,
        }
    }

    /// It is the snapshot's block, and believed: the history has not come to it.
    pub(super) fn is_assumed(&self, node: NodeId) -> bool {
        let top = self.history.as_ref().and_then(|history| self.worlds.get(&history.top?));
        self.is_base(node) && !top.is_some_and(|top| matches!(top.state, WorldState::Valid))
    }

    /// How far the history is, and how far it goes.
    pub(super) fn history_heights(&self) -> Option<(u32, u32)> {
        let pending = self.snapshot.as_ref().map(|snapshot| (0, snapshot.height));
        let history = self.history.as_ref();
        let verified = |history: &History| {
            let valid =
                self.worlds.values().filter(|w| w.side == Side::History && matches!(w.state, WorldState::Valid));
            let highest = valid.map(|world| self.height(world.node)).max().unwrap_or(0);
            (highest, self.height(history.base))
        };
        history.map(verified).or(pending)
    }

    /// The snapshot's block, if it is time to begin with its coins.
    fn snapshot_base(&self, cx: &mut Cx) -> Option<NodeId> {
        let snapshot = self.snapshot.as_ref().filter(|_| self.obtain.begun && self.config.audit.is_none())?;
        let base = self.tree.find(&snapshot.block)?;
        let best = self.tree.node(self.best);
        let wanted = self.tree.descends(self.best, base) && !self.tree.descends(self.tip, base);
        if !wanted || best.work < self.config.min_work || self.obtain.stopped {
            return None;
        }
        if self.height(base) != snapshot.height {
            let (block, height, found) = (snapshot.block, snapshot.height, self.height(base));
            let line = format!("it was loaded as of height {height}, but its block {block} has height {found}");
            cx.effect(Effect::Stop(Stop::Snapshot, line));
            return None;
        }
        Some(base)
    }

    /// Begins with the coins of the snapshot, once its block is among the headers: whether it did. They are made for the
    /// best header's branch unless `leaf` says for which, once the base is known.
    pub(super) fn adopt_snapshot(&mut self, leaf: impl FnOnce(&Chain) -> NodeId, cx: &mut Cx) -> bool {
        let Some(base) = self.snapshot_base(cx) else { return false };
        let snapshot = self.snapshot.take().expect("just seen");
        self.forget_downloads(cx);
        let astray = |(name, world): (&WorldId, &World)| {
            let off = *name != self.root && !self.tree.descends(base, world.node);
            off.then_some(*name)
        };
        let astray = self.worlds.iter().filter_map(astray).collect();
        self.drop_worlds(astray, cx);
        self.worlds.values_mut().for_each(|world| world.side = Side::History);
        let files = Restore::new(&snapshot.checkpoints);
        self.history = Some(History {
            base,
            digests: snapshot.digests,
            root: self.root,
            restore: std::mem::replace(&mut self.restore, files),
            top: self.life_mut(base).world.take(),
            target: None,
            compared: None,
        });
        (0..self.config.workers).for_each(|utxo| cx.tell(ShardId::Utxo(utxo), Msg::Split));
        let line = format!(
            "the coins of the snapshot at height {} (block {}) are those of the tip from now on; history not verified: \
             the blocks up to there are fetched and checked behind it",
            snapshot.height, snapshot.block
        );
        cx.log(Level::Warn, line);
        let started = self.root == 0 && self.restore(Side::History).is_empty();
        let anew = !started || !self.tree.descends(base, self.worlds[&self.root].node);
        // First the tip's, because a root of the history may move the tip, and with it the tip's root.
        self.reset_worlds(Side::Tip, leaf(self), cx);
        if self.obtain.stopped {
            return true;
        }
        if anew {
            self.begin_history(cx);
        }
        let root = self.worlds[&self.root].node;
        if self.work(root) > self.work(self.tip) {
            self.tip = root;
        }
        self.add_target(self.best);
        true
    }

    /// Has the coins of the history made anew, from its checkpoints or from genesis on.
    pub(super) fn begin_history(&mut self, cx: &mut Cx) {
        let history = self.history.as_mut().expect("there is a history");
        history.target = None;
        let base = history.base;
        self.reset_worlds(Side::History, base, cx);
    }

    /// Blocks that were wanted so far are wanted in another order.
    fn forget_downloads(&mut self, cx: &mut Cx) {
        for target in std::mem::take(&mut self.obtain.targets) {
            let top = target.asked.min(self.height(target.leaf));
            let mut at = self.tree.ancestor(target.leaf, top).expect("not above its leaf");
            while self.height(at) > target.in_hand {
                self.fetch.forget(at);
                at = self.tree.node(at).parent;
            }
        }
        self.obtain.to_load.clear();
        let idle = self.held.iter().filter(|(_, held)| held.body.is_some()).map(|(node, _)| *node);
        for node in idle.collect::<Vec<_>>() {
            self.let_go(node, cx);
            self.fetch.forget(node);
        }
    }

    /// So that a later start knows the base, too: all headers up to it, since one may stand on a block whose record a start
    /// finds only after all headers.
    pub(super) fn keep_headers(&self, cx: &mut Cx) {
        let mut nodes = Vec::new();
        let mut at = self.history.as_ref().expect("just begun").base;
        while at != 0 {
            nodes.push(at);
            at = self.tree.node(at).parent;
        }
        nodes.reverse();
        for nodes in nodes.chunks(HEADERS_AT_ONCE) {
            let headers: Vec<Header> = nodes.iter().map(|node| self.tree.node(*node).header).collect();
            cx.tell(ShardId::Store, Msg::KeepHeaders(headers));
        }
    }

    /// Has the next blocks of the history brought here, while nothing else is wanted.
    pub(super) fn obtain_history(&mut self) {
        // Or blocks that a peer does not send would take the places of those above.
        let may = !self.config.look && self.obtain.targets.is_empty();
        let Some(history) = self.history.as_ref().filter(|_| may) else { return };
        let target = history.target.unwrap_or_else(|| self.fresh_target(history.base));
        let moved = self.walk(target);
        self.history.as_mut().expect("just seen").target = Some(moved);
    }

    /// A world of the history became valid.
    pub(super) fn history_grew(&mut self, node: NodeId, cx: &mut Cx) {
        if self.is_base(node) {
            return self.begin_to_compare(cx);
        }
        let root = self.root_below(node);
        let to = self.tree.ancestor(node, self.height(node).saturating_sub(HORIZON_SYNC_BLOCKS)).expect("below");
        let to = self.durable_up_to(to, root);
        if self.height(to) >= self.height(root) + FOLD_BLOCKS {
            self.fold_to(self.life(to).world.expect("between the root and the newest"), cx);
        }
    }

    /// Compares once the base is valid and durable, with all below it: without the snapshot the tip stands on their bytes.
    pub(super) fn begin_to_compare(&mut self, cx: &mut Cx) {
        let Some(base) = self.history.as_ref().filter(|history| history.compared.is_none()).map(|history| history.base)
        else {
            return;
        };
        if !self.is_assumed(base) && self.durable_up_to(base, self.root_below(base)) == base {
            self.history.as_mut().expect("just seen").compared = Some(0);
            self.compare_next(cx);
        }
    }

    fn compare_next(&self, cx: &mut Cx) {
        let Some(History { top: Some(world), compared: Some(partition), .. }) = self.history else { return };
        let to = owner(partition, self.config.workers);
        cx.tell(to, Msg::Measure { partition: partition as u16, world });
    }

    /// Whether what the blocks leave is being compared with the snapshot.
    pub(super) fn is_comparing(&self) -> bool {
        self.history.as_ref().is_some_and(|history| history.compared.is_some())
    }

    /// What the coins of a partition come to after all blocks up to the base.
    pub(super) fn measured(&mut self, partition: u16, digest: CoinDigest, cx: &mut Cx) {
        let Some(history) = &mut self.history else { return };
        let base = history.base;
        if history.digests[usize::from(partition)] != digest {
            let (height, block) = (self.height(base), self.tree.node(base).hash);
            let line = format!(
                "the coins of partition {partition} are not those that the blocks up to height {height} ({block}) leave \
                 ({digest}): the snapshot is false, and so is all that this node has said since it was loaded"
            );
            return cx.effect(Effect::Stop(Stop::Snapshot, line));
        }
        let compared = usize::from(partition) + 1;
        history.compared = Some(compared);
        match compared < PARTITIONS {
            true => self.compare_next(cx),
            false => self.end_history(cx),
        }
    }

    fn end_history(&mut self, cx: &mut Cx) {
        let History { base, .. } = self.history.take().expect("it was compared");
        let ended: Vec<WorldId> =
            self.worlds.extract_if(.., |_, w| w.side == Side::History).map(|(name, _)| name).collect();
        self.worlds_bytes = self.worlds.values().map(|world| world.bytes).sum();
        for life in &mut self.lives {
            life.world = life.world.filter(|world| !ended.contains(world));
        }
        let line = format!(
            "history verified: the blocks up to height {} leave the very coins of the snapshot",
            self.height(base)
        );
        cx.log(Level::Info, line);
        (0..self.config.workers).for_each(|utxo| cx.tell(ShardId::Utxo(utxo), Msg::Forget));
        cx.effect(Effect::EndSnapshot);
        self.report(cx);
    }

    /// A block below the snapshot's is refused: so is the snapshot. Whether that is so.
    pub(super) fn history_refused(&self, node: NodeId, cx: &mut Cx) -> bool {
        let Some(history) = self.history.as_ref().filter(|history| self.tree.descends(history.base, node)) else {
            return false;
        };
        let line = format!(
            "block {} (height {}), an ancestor of its block (height {}), breaks a rule: the snapshot is of no valid chain, \
             and what this node has said since it was loaded is worth nothing",
            self.tree.node(node).hash,
            self.height(node),
            self.height(history.base)
        );
        cx.effect(Effect::Stop(Stop::Snapshot, line));
        true
    }

    /// Nothing below the base can be made again on the tip's side: stops where that would be needed, and says so.
    pub(super) fn lies_below_base(&mut self, side: Side, lowest: NodeId, cx: &mut Cx) -> bool {
        let Some(history) = self.history.as_ref().filter(|_| side == Side::Tip) else { return false };
        let below = !self.tree.descends(lowest, history.base);
        if below {
            let line = format!(
                "coins have to be made anew from below its block (height {}), and its history is not verified yet: its \
                 checkpoints are damaged or gone, or a branch with more work leaves below it",
                self.height(history.base)
            );
            self.obtain.stopped = true;
            cx.effect(Effect::Stop(Stop::Snapshot, line));
        }
        below
    }

    /// Verdicts down from a root: it is the base of valid blocks only. Below a snapshot's block nothing is known.
    pub(super) fn believe(&mut self, root: NodeId, cx: &mut Cx) {
        let mut at = root;
        while self.life(at).verdict == Verdict::Unknown {
            self.life_mut(at).verdict = Verdict::Valid;
            if self.is_base(at) {
                break;
            }
            self.note_valid(at, cx);
            at = self.tree.node(at).parent;
        }
    }
}
