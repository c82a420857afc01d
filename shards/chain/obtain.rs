//! Which bodies are needed next: a queue for files of ours, a window for peers. Both feed the same pipeline, so a
//! restart, an import and a sync are one thing.
//!
//! A *target* is a leaf of the header tree whose branch we want, with a cursor that walks up from what is in hand. There is
//! one for the best header, and for a while one for each rival of it.

use super::{Chain, Stored, Verdict};
use crate::effect::{FileId, Level, Side};
use crate::limits::{BACKLOG_SHARE, GROWING_MAX, WINDOW_BLOCKS};
use crate::msg::{Msg, PeerId, Place, split_peer};
use crate::note::Note;
use crate::{Cx, ShardId};
use consensus::BlockHash;
use ledger::NodeId;
use ledger::record::Record;
use std::collections::{BTreeMap, BTreeSet};

/// Branches wanted at once: what headers of peers can bring, and all there may be with those of our own files.
const TARGETS_MAX: usize = 8;
pub(super) const OWN_TARGETS_MAX: usize = 256;
/// A rival's leaf is wanted while it is at most this far below the best header.
const RIVAL_BLOCKS: u32 = 144;

/// A branch we want.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) leaf: NodeId,
    /// Everything up to this height is in hand: grown, or (for a rival from below the root) stored.
    pub(super) in_hand: u32,
    /// Everything up to this height was asked for, or begun to be read.
    pub(super) asked: u32,
    /// It lies whole in our own files: its worlds are grown or its blocks stored even where it has lost.
    pub(super) own: bool,
}

/// What is being obtained.
#[derive(Debug, Default)]
pub(super) struct Obtain {
    pub(super) begun: bool,
    pub(super) targets: Vec<Target>,
    /// Blocks in files, to be read, by height.
    pub(super) to_load: BTreeSet<(u32, NodeId)>,
    /// With the bytes of each.
    pub(super) loading: BTreeMap<NodeId, u32>,
    pub(super) next_peer_shard: u16,
    /// Records whose parent is not known, by the parent.
    pub(super) orphans: BTreeMap<BlockHash, Vec<(FileId, Record)>>,
    /// Other places that hold the block too: a file being imported, or blocks.bin where a record was damaged and the
    /// block was appended again.
    pub(super) spares: BTreeMap<NodeId, Vec<Place>>,
    /// Records in files that were found damaged, with their offset.
    pub(super) damaged: Vec<(BlockHash, u64, &'static str)>,
    /// The leaf of what our own files held at the start.
    pub(super) start_leaf: NodeId,
    /// The leaf of a target that makes room for the best header.
    pub(super) crowded_out: Option<NodeId>,
    pub(super) replaying: bool,
    pub(super) stopped: bool,
}

impl Obtain {
    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    /// Still working through what lay in our files at the start.
    pub(super) fn replaying(&self) -> bool {
        self.replaying
    }

    pub(super) fn loading(&self) -> usize {
        self.loading.len()
    }

    pub(super) fn is_loading(&self, node: NodeId) -> bool {
        self.loading.contains_key(&node)
    }

    pub(super) fn loaded(&mut self, node: NodeId) {
        self.loading.remove(&node);
    }
}

impl Chain {
    /// A header that may be worth having the blocks of.
    pub(super) fn new_leaf(&mut self, node: NodeId) {
        if !self.obtain.begun {
            return;
        }
        self.add_target(self.best);
        let near = self.height(node) + RIVAL_BLOCKS >= self.height(self.best);
        let life = self.life(node);
        let wanted = life.verdict == Verdict::Unknown && !life.out;
        if near && wanted && self.work(node) >= self.work(self.tip) {
            self.add_target(node);
        }
    }

    pub(super) fn add_target(&mut self, leaf: NodeId) {
        if leaf == 0 || self.side(leaf) == Side::History {
            return;
        }
        let targets = &mut self.obtain.targets;
        if targets.iter().any(|t| self.tree.descends(t.leaf, leaf)) {
            return;
        }
        if let Some(below) = targets.iter_mut().find(|t| self.tree.descends(leaf, t.leaf)) {
            below.leaf = leaf;
            return;
        }
        if targets.len() >= TARGETS_MAX && (leaf == self.best || leaf == self.tip) {
            // Headers without bodies must not keep the best chain out, nor the tip's coins.
            let dear = |target: &Target| target.own || target.leaf == self.tip;
            let rivals = self.obtain.targets.iter().enumerate().filter(|(_, target)| !dear(target));
            self.obtain.crowded_out =
                rivals.min_by_key(|(_, target)| self.work(target.leaf)).map(|(_, target)| target.leaf);
        }
        if self.obtain.targets.len() < TARGETS_MAX || self.obtain.crowded_out.is_some() {
            let fresh = self.fresh_target(leaf);
            self.obtain.targets.push(fresh);
        }
    }

    /// A target is given up: nothing that only it wanted is asked for or kept any longer.
    pub(super) fn drop_target(&mut self, index: usize, cx: &mut Cx) {
        let target = self.obtain.targets.swap_remove(index);
        let mut at = target.leaf;
        while self.height(at) > target.in_hand {
            if !self.is_wanted(at) {
                self.let_go(at, cx);
                self.fetch.forget(at);
                self.obtain.to_load.remove(&(self.rank(at), at));
            }
            at = self.tree.node(at).parent;
        }
    }

    pub(super) fn fresh_target(&self, leaf: NodeId) -> Target {
        let start = self.height(self.tree.fork_of(leaf, self.root_below(leaf)));
        Target { leaf, in_hand: start, asked: start, own: false }
    }

    /// Moves every target's cursors, asks peers, reads files.
    pub(super) fn obtain_more(&mut self, cx: &mut Cx) {
        if !self.obtain.begun || self.obtain.stopped {
            return;
        }
        if let Some(leaf) = self.obtain.crowded_out.take()
            && let Some(index) = self.obtain.targets.iter().position(|target| target.leaf == leaf)
        {
            self.drop_target(index, cx);
        }
        let mut index = 0;
        while index < self.obtain.targets.len() {
            let target = self.obtain.targets[index];
            if !self.in_running(target.leaf) || self.lost(&target) {
                self.drop_target(index, cx);
                self.new_leaf(self.best);
                continue;
            }
            let moved = self.walk(target);
            self.obtain.targets[index] = moved;
            if moved.in_hand == self.height(moved.leaf) {
                // What our own files hold that is better is on its way.
                let start = self.obtain.start_leaf;
                let rival = if self.obtain.replaying && moved.leaf != start { start } else { self.tip };
                let wins = self.work(moved.leaf) > self.work(self.tip).max(self.work(rival)) || moved.leaf == self.tip;
                if !self.may_grow(moved.leaf) && wins {
                    let rank = |node| (self.work(node), std::cmp::Reverse(node));
                    let better = |node| rank(node) > rank(moved.leaf) && self.in_running(node);
                    let mut whole = self.obtain.targets.iter().filter(|target| self.lies_whole(target.leaf));
                    let mut grown = self.worlds.values();
                    let outdone = whole.any(|other| better(other.leaf)) || grown.any(|world| better(world.node));
                    if !self.above_root(moved.leaf) && !outdone {
                        return self.rebuild(moved.leaf, "a branch with more work leaves", cx);
                    }
                    // It lies on disk, and waits for one that grows already.
                    index += 1;
                    continue;
                }
                self.obtain.targets.swap_remove(index);
                continue;
            }
            index += 1;
        }
        self.obtain_history();
        self.load(cx);
        self.ask_peers(cx);
        if self.obtain.replaying {
            let start = self.obtain.start_leaf;
            let known = self.life(start).verdict != Verdict::Unknown || !self.obtain.damaged.is_empty();
            let outdone = self.work(self.tip) >= self.work(start) && !self.is_wanted(start);
            self.obtain.replaying = !known && !outdone;
        }
        if self.config.offline {
            self.stop_when_idle(cx);
        }
    }

    /// Whether this block's world may grow here and now; if not, only its bytes are obtained. Where there is no room for all,
    /// the tip's branch grows, that of what our files held at the start, the rival that leads, the history behind a snapshot,
    /// and, unless there is no room at all, the best header's.
    pub(super) fn may_grow(&self, node: NodeId) -> bool {
        let on = |leaf| self.tree.descends(leaf, node);
        let tips = || self.life(self.tip).world.is_some() && (on(self.tip) || self.tree.descends(node, self.tip));
        let replayed = || self.obtain.replaying && on(self.obtain.start_leaf);
        let room = || !self.is_full() || !self.is_overfull() && on(self.best);
        let behind = || self.side(node) == Side::History;
        self.above_root(node) && (room() || behind() || tips() || replayed() || self.lead().is_some_and(on))
    }

    /// The rival that goes first where there is no room for all, the tip's own branch among them while the tip has no
    /// world: of those that lie whole on disk, or else of all, the one with the most work.
    pub(super) fn lead(&self) -> Option<NodeId> {
        let tipless = self.life(self.tip).world.is_none();
        let leaves = self.obtain.targets.iter().map(|target| target.leaf);
        let rivals = leaves.filter(|leaf| tipless || !self.tree.descends(*leaf, self.tip));
        rivals.max_by_key(|leaf| (self.lies_whole(*leaf), self.work(*leaf), std::cmp::Reverse(*leaf)))
    }

    /// Whether a branch is durable as far down as worlds have to be grown for it.
    fn lies_whole(&self, leaf: NodeId) -> bool {
        let (mut at, fork) = (leaf, self.tree.fork_of(leaf, self.worlds[&self.root].node));
        while at != fork && self.life(at).stored == Stored::Durable {
            at = self.tree.node(at).parent;
        }
        at == fork
    }

    /// A rival that the tip has left behind.
    fn lost(&self, target: &Target) -> bool {
        !target.own
            && target.leaf != self.best
            && !(self.obtain.replaying && target.leaf == self.obtain.start_leaf)
            && self.work(target.leaf) < self.work(self.tip)
    }

    pub(super) fn walk(&mut self, mut target: Target) -> Target {
        let (leaf, leaf_height) = (target.leaf, self.height(target.leaf));
        let (grows, root) = (self.may_grow(leaf), self.height(self.root_below(leaf)));
        let on_branch = |chain: &Chain, height| chain.tree.ancestor(leaf, height).expect("below the leaf");
        // The root has passed what was in hand; or its worlds were dropped, or it was only stored until now.
        let in_hand = target.in_hand;
        if grows && (in_hand < root || in_hand > root && !self.has_world(on_branch(self, in_hand))) {
            target = Target { own: target.own, ..self.fresh_target(leaf) };
        }
        while target.in_hand < leaf_height {
            let next = on_branch(self, target.in_hand + 1);
            let in_hand = if grows { self.has_world(next) } else { self.life(next).stored == Stored::Durable };
            if !in_hand {
                break;
            }
            target.in_hand += 1;
        }
        // What was let go while there was no room for it is asked for anew once all below it is in hand.
        let idle = target.in_hand < leaf_height && !self.is_under_way(on_branch(self, target.in_hand + 1));
        target.asked = if idle { target.in_hand } else { target.asked.max(target.in_hand) };
        while target.asked < leaf_height.min(target.in_hand + 2 * WINDOW_BLOCKS as u32) {
            target.asked += 1;
            let node = on_branch(self, target.asked);
            self.want(node, grows);
        }
        target
    }

    /// A block became durable whose body is no longer in memory, or waits for a world that cannot grow here.
    pub(super) fn stored(&mut self, node: NodeId, cx: &mut Cx) {
        let idle = !self.has_world(node);
        if idle && self.held.get(&node).is_none_or(|held| held.body.is_none()) {
            self.want(node, self.may_grow(node));
        } else if idle && !self.may_grow(node) {
            self.let_go(node, cx);
            self.fetch.forget(node);
        }
    }

    /// Whether this block's body is here, or on its way.
    fn is_under_way(&self, node: NodeId) -> bool {
        let read = || self.obtain.is_loading(node) || self.obtain.to_load.contains(&(self.rank(node), node));
        self.held.contains_key(&node) || read() || self.fetch.is_missing(node)
    }

    /// Has this block's body brought here, from wherever it can be had.
    pub(super) fn want(&mut self, node: NodeId, to_grow: bool) {
        let life = *self.life(node);
        if self.has_world(node) || self.held.contains_key(&node) || self.obtain.loading.contains_key(&node) {
            return;
        }
        let rank = self.rank(node);
        match life.place {
            Some(place) if to_grow || place.file != 0 => {
                self.obtain.to_load.insert((rank, node));
            }
            Some(_) => {}
            None => self.fetch.want(node, rank),
        }
    }

    /// Whether we still want a branch that this block lies on.
    pub(super) fn is_wanted(&self, node: NodeId) -> bool {
        self.tree.descends(self.best, node) || self.obtain.targets.iter().any(|t| self.tree.descends(t.leaf, node))
    }

    /// A body goes that cannot be had in memory now; unless it lies on disk, peers are asked for it again.
    pub(super) fn give_back(&mut self, node: NodeId, cx: &mut Cx) {
        self.let_go(node, cx);
        match self.life(node).stored {
            Stored::No => self.fetch.dropped(node),
            _ => self.fetch.forget(node),
        }
    }

    fn ask_peers(&mut self, cx: &mut Cx) {
        while let Some(node) = self.fetch.over_credit(|node| self.ready.contains(&(self.rank(node), node))) {
            self.give_back(node, cx);
            if self.life(node).stored != Stored::No {
                self.want(node, true);
            }
        }
        if self.fetch.is_idle() {
            return;
        }
        let full = self.growing == GROWING_MAX || !self.pipeline_room();
        if full && self.fetch.parked_bytes() > self.pipeline_max() / BACKLOG_SHARE {
            return;
        }
        let next = self.obtain.targets.iter().filter_map(|target| self.tree.ancestor(target.leaf, target.in_hand + 1));
        self.fetch.hurry(next.collect());
        let mut asks = Vec::new();
        let has = |peer, node| {
            let best = self.peers.get(&peer).and_then(|p: &super::Peer| p.best);
            best.is_some_and(|best| self.tree.descends(best, node))
        };
        self.fetch.assign(cx.now_ms, &has, &mut asks);
        let mut by_peer: BTreeMap<_, Vec<NodeId>> = BTreeMap::new();
        for (peer, node) in asks {
            by_peer.entry(peer).or_default().push(node);
        }
        for (peer, nodes) in by_peer {
            self.note_asked(peer, &nodes, cx);
            let hashes = nodes.iter().map(|node| self.tree.node(*node).hash).collect();
            cx.tell(ShardId::Peer(split_peer(peer).0), Msg::Ask { peer, hashes });
        }
    }

    fn note_asked(&self, peer: PeerId, nodes: &[NodeId], cx: &mut Cx) {
        let heights = || nodes.iter().map(|node| self.height(*node));
        let (lowest, highest) = (heights().min().unwrap_or(0), heights().max().unwrap_or(0));
        let again = nodes.iter().filter(|node| self.fetch.was_asked(**node)).count();
        cx.note(Note::Asked { peer: self.peers[&peer].address, blocks: nodes.len(), again, lowest, highest });
    }

    pub(super) fn tick_obtain(&mut self, cx: &mut Cx) {
        // It may have found every target taken.
        if self.life(self.best).verdict == Verdict::Unknown {
            self.new_leaf(self.best);
        }
        // A branch for which all coins were rebuilt may have turned out invalid, or does not come.
        let tipless = self.obtain.begun && self.life(self.tip).world.is_none();
        if tipless && !self.lead().is_some_and(|leaf| self.lies_whole(leaf)) {
            self.add_target(self.tip);
        }
        for peer in self.fetch.stalled(cx.now_ms) {
            self.punish(peer, "it holds up the download: asked for blocks and does not send them".into(), cx);
        }
    }

    /// A branch from below the root wins: its coins must be made from older checkpoints, or from genesis on.
    pub(super) fn rebuild(&mut self, leaf: NodeId, why: &str, cx: &mut Cx) {
        let root = self.worlds[&self.root].node;
        cx.log(
            Level::Warn,
            format!(
                "{why} ours below the oldest world kept (height {}): rebuilding all coins along block {} (height {})",
                self.height(root),
                self.tree.node(leaf).hash,
                self.height(leaf)
            ),
        );
        self.start_over(leaf, cx);
    }

    /// All coins are made anew for this branch.
    pub(super) fn start_over(&mut self, leaf: NodeId, cx: &mut Cx) {
        if self.history_is_gone(leaf, cx) {
            return;
        }
        self.reset_worlds(Side::Tip, leaf, cx);
        let targets: Vec<NodeId> = self.obtain.targets.drain(..).map(|t| t.leaf).collect();
        self.obtain.to_load.clear();
        self.add_target(leaf);
        targets.into_iter().for_each(|leaf| self.add_target(leaf));
    }
}
