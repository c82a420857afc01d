//! Which bodies are needed next, and where they come from: peers, or files we have. Both feed the same pipeline, so a
//! restart, an import and a sync are one thing.
//!
//! A *target* is a leaf of the header tree whose branch we want, with a cursor that walks up from what is in hand. There is
//! one for the best header, and for a while one for each rival of it.

use super::{Chain, Stored, Verdict};
use crate::effect::{Effect, FileId, Level, Stop};
use crate::limits::{HORIZON_BLOCKS, LOADING_MAX, WINDOW_BLOCKS};
use crate::msg::{From, Msg, Place, split_peer};
use crate::{Cx, ShardId};
use consensus::{BlockHash, Rule};
use ledger::NodeId;
use ledger::record::{Index, Record};
use std::collections::{BTreeMap, BTreeSet};

/// Branches wanted at once: what headers of peers can bring, and all there may be with those of our own files.
const TARGETS_MAX: usize = 8;
const OWN_TARGETS_MAX: usize = 256;
/// A rival's leaf is wanted while it is at most this far below the best header.
const RIVAL_BLOCKS: u32 = 144;

/// A branch we want.
#[derive(Clone, Copy, Debug)]
struct Target {
    leaf: NodeId,
    /// Everything up to this height is in hand: grown, or (for a rival from below the root) stored.
    in_hand: u32,
    /// Everything up to this height was asked for, or begun to be read.
    asked: u32,
    /// It lies whole in our own files: its worlds are grown or its blocks stored even where it has lost.
    own: bool,
}

/// What is being obtained.
#[derive(Debug, Default)]
pub(super) struct Obtain {
    begun: bool,
    targets: Vec<Target>,
    /// Blocks in files, to be read, by height.
    to_load: BTreeSet<(u32, NodeId)>,
    loading: BTreeSet<NodeId>,
    next_peer_shard: u16,
    /// Records whose parent is not known, by the parent.
    orphans: BTreeMap<BlockHash, Vec<(FileId, Record)>>,
    /// Other places that hold the block too: a file being imported, or blocks.bin where a record was damaged and the
    /// block was appended again.
    spares: BTreeMap<NodeId, Vec<Place>>,
    /// Records in files that were found damaged, with their offset.
    pub(super) damaged: Vec<(BlockHash, u64, &'static str)>,
    /// The leaf of what our own files held at the start.
    start_leaf: NodeId,
    replaying: bool,
    stopped: bool,
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

    pub(super) fn loaded(&mut self, node: NodeId) {
        self.loading.remove(&node);
    }
}

impl Chain {
    /// Takes what a scan found. Headers may lie in any order.
    pub(super) fn indexed(&mut self, file: FileId, index: &Index, cx: &mut Cx) {
        for damage in &index.damage {
            let line = format!(
                "file {file}: {} bytes at offset {} are no record; the blocks that lay there will be asked of peers",
                damage.len, damage.at
            );
            cx.log(Level::Warn, line);
        }
        for record in &index.records {
            self.adopt(file, record, cx);
        }
    }

    fn adopt(&mut self, file: FileId, record: &Record, cx: &mut Cx) {
        let Some(parent) = self.tree.find(&record.header.prev) else {
            if record.hash != self.config.params.genesis_hash {
                self.obtain.orphans.entry(record.header.prev).or_default().push((file, *record));
            }
            return;
        };
        match self.store_header(parent, &record.header, cx) {
            Ok(node) => self.place(node, file, record),
            Err(Rule::BadPrevblk | Rule::DuplicateInvalid) => {}
            Err(rule) => cx.log(
                Level::Warn,
                format!("file {file}: block {} at offset {}: {rule}: {}", record.hash, record.at, rule.must()),
            ),
        }
    }

    fn place(&mut self, node: NodeId, file: FileId, record: &Record) {
        let place = self.place_of(file, record);
        let life = self.life_mut(node);
        if life.place.is_none() && life.stored == Stored::No {
            life.place = Some(place);
            life.stored = if file == 0 { Stored::Durable } else { Stored::No };
        } else if life.place != Some(place) {
            self.obtain.spares.entry(node).or_default().push(place);
        }
    }

    /// Records that waited for this header.
    pub(super) fn adopt_orphans(&mut self, hash: BlockHash, cx: &Cx) {
        let mut found = vec![hash];
        while let Some(parent_hash) = found.pop() {
            let Some(children) = self.obtain.orphans.remove(&parent_hash) else { continue };
            let parent = self.tree.find(&parent_hash).expect("just stored");
            for (file, record) in children {
                if let Ok(node) = self.insert_header(parent, &record.header, cx) {
                    self.place(node, file, &record);
                    found.push(record.hash);
                }
            }
        }
    }

    /// All files are indexed: work begins with the best chain that they hold entire.
    pub(super) fn begin(&mut self, cx: &mut Cx) {
        let whole = self.whole_branches();
        let better = |best, &node| if self.work(node) > self.work(best) { node } else { best };
        let leaf = whole.iter().fold(0, better);
        self.find_best();
        self.obtain.begun = true;
        self.obtain.start_leaf = leaf;
        self.obtain.replaying = leaf != 0;
        self.add_target(leaf);
        for node in whole {
            let recent = self.height(node) + HORIZON_BLOCKS >= self.height(leaf);
            if (self.config.offline || recent) && self.obtain.targets.len() < OWN_TARGETS_MAX && node != leaf {
                let fresh = self.fresh_target(node);
                self.obtain.targets.push(Target { own: true, ..fresh });
            }
        }
        self.add_target(self.best);
        if leaf != 0 {
            cx.log(
                Level::Info,
                format!("{} headers from files; reading {} blocks back", self.tree.len() - 1, self.height(leaf)),
            );
        }
        let orphans: usize = self.obtain.orphans.values().map(Vec::len).sum();
        if orphans > 0 {
            let (parent, records) = self.obtain.orphans.first_key_value().expect("not empty");
            cx.log(
                Level::Warn,
                format!(
                    "{orphans} records wait for parents that are not there, the first, {}, for {parent}",
                    records[0].1.hash
                ),
            );
        }
    }

    /// Leaves of those branches that lie whole, from genesis on, in our files.
    fn whole_branches(&self) -> Vec<NodeId> {
        let (mut whole, mut is_end) = (vec![false; self.lives.len()], vec![true; self.lives.len()]);
        whole[0] = true;
        for node in 1..self.lives.len() as NodeId {
            let parent = self.tree.node(node).parent as usize;
            whole[node as usize] = whole[parent] && self.life(node).place.is_some();
            is_end[parent] &= !whole[node as usize];
        }
        let ends = (1..self.lives.len()).filter(|&node| whole[node] && is_end[node]);
        ends.map(|node| node as NodeId).collect()
    }

    /// A header that may be worth having the blocks of.
    pub(super) fn new_leaf(&mut self, node: NodeId) {
        if !self.obtain.begun {
            return;
        }
        self.add_target(self.best);
        let near = self.height(node) + RIVAL_BLOCKS >= self.height(self.best);
        if near && self.work(node) >= self.work(self.tip) && self.life(node).verdict == Verdict::Unknown {
            self.add_target(node);
        }
    }

    fn add_target(&mut self, leaf: NodeId) {
        let targets = &mut self.obtain.targets;
        if leaf == 0 || targets.iter().any(|t| self.tree.descends(t.leaf, leaf)) {
            return;
        }
        if let Some(below) = targets.iter_mut().find(|t| self.tree.descends(leaf, t.leaf)) {
            below.leaf = leaf;
            return;
        }
        if targets.len() < TARGETS_MAX {
            let fresh = self.fresh_target(leaf);
            self.obtain.targets.push(fresh);
        }
    }

    fn fresh_target(&self, leaf: NodeId) -> Target {
        let root = self.worlds[&self.root].node;
        let start = self.height(self.tree.fork_of(leaf, root));
        Target { leaf, in_hand: start, asked: start, own: false }
    }

    /// Whether the branch can be grown from the base as it is.
    fn above_root(&self, leaf: NodeId) -> bool {
        self.tree.descends(leaf, self.worlds[&self.root].node)
    }

    /// Moves every target's cursors, asks peers, reads files.
    pub(super) fn obtain_more(&mut self, cx: &mut Cx) {
        if !self.obtain.begun || self.obtain.stopped {
            return;
        }
        let mut index = 0;
        while index < self.obtain.targets.len() {
            let target = self.obtain.targets[index];
            if self.refused(target.leaf).is_some() || self.lost(&target) {
                self.obtain.targets.swap_remove(index);
                self.new_leaf(self.best);
                continue;
            }
            let moved = self.walk(target);
            self.obtain.targets[index] = moved;
            if moved.in_hand == self.height(moved.leaf) {
                if !self.above_root(moved.leaf) && self.work(moved.leaf) > self.work(self.tip) {
                    return self.rebuild(moved.leaf, cx);
                }
                self.obtain.targets.swap_remove(index);
                continue;
            }
            index += 1;
        }
        self.load(cx);
        self.ask_peers(cx);
        if self.obtain.replaying
            && (self.life(self.obtain.start_leaf).verdict != Verdict::Unknown || !self.obtain.damaged.is_empty())
        {
            self.obtain.replaying = false;
        }
        if self.config.offline {
            self.stop_when_idle(cx);
        }
    }

    /// A rival that the tip has left behind.
    fn lost(&self, target: &Target) -> bool {
        !target.own
            && target.leaf != self.best
            && target.leaf != self.obtain.start_leaf
            && self.work(target.leaf) < self.work(self.tip)
    }

    fn walk(&mut self, mut target: Target) -> Target {
        let leaf_height = self.height(target.leaf);
        let above = self.above_root(target.leaf);
        if above {
            target.in_hand = target.in_hand.max(self.height(self.worlds[&self.root].node));
        }
        let on_branch = |chain: &Chain, height| chain.tree.ancestor(target.leaf, height).expect("below the leaf");
        while target.in_hand < leaf_height {
            let life = self.life(on_branch(self, target.in_hand + 1));
            let in_hand = if above { life.world.is_some() } else { life.stored == Stored::Durable };
            if !in_hand {
                break;
            }
            target.in_hand += 1;
        }
        target.asked = target.asked.max(target.in_hand);
        while target.asked < leaf_height.min(target.in_hand + 2 * WINDOW_BLOCKS as u32) {
            target.asked += 1;
            let node = on_branch(self, target.asked);
            self.want(node, above);
        }
        target
    }

    /// A block became durable whose body is no longer in memory, or waits for a world that cannot grow here.
    pub(super) fn stored(&mut self, node: NodeId, cx: &mut Cx) {
        let idle = self.life(node).world.is_none();
        if idle && self.held.get(&node).is_none_or(|held| held.body.is_none()) {
            self.want(node, self.above_root(node));
        } else if idle && !self.above_root(node) {
            self.let_go(node, cx);
            self.fetch.forget(node);
        }
    }

    /// Has this block's body brought here, from wherever it can be had.
    fn want(&mut self, node: NodeId, to_grow: bool) {
        let life = *self.life(node);
        if life.world.is_some() || self.held.contains_key(&node) || self.obtain.loading.contains(&node) {
            return;
        }
        let height = self.height(node);
        match life.place {
            Some(place) if to_grow || place.file != 0 => {
                self.obtain.to_load.insert((height, node));
            }
            Some(_) => {}
            None => self.fetch.want(node, height),
        }
    }

    fn load(&mut self, cx: &mut Cx) {
        while self.obtain.loading.len() < LOADING_MAX
            && self.pipeline_room()
            && let Some(&(height, node)) = self.obtain.to_load.first()
            && self.may_park(height)
        {
            self.obtain.to_load.pop_first();
            if let Some(place) = self.life(node).place {
                self.load_from(node, place, cx);
            }
        }
    }

    /// Whether a block of this height that was read may wait in memory: few of those are let in, and always the one
    /// below all of them, because they may wait for it. Blocks from peers have their own credit.
    fn may_park(&self, height: u32) -> bool {
        let read = self.held.iter().filter(|(_, held)| held.body.is_some() && matches!(held.from, From::File(_)));
        let (count, lowest) =
            read.fold((0, u32::MAX), |(count, lowest), (node, _)| (count + 1, lowest.min(self.height(*node))));
        count < LOADING_MAX || height < lowest
    }

    /// Whether we still want a branch that this block lies on.
    pub(super) fn is_wanted(&self, node: NodeId) -> bool {
        self.tree.descends(self.best, node) || self.obtain.targets.iter().any(|t| self.tree.descends(t.leaf, node))
    }

    fn load_from(&mut self, node: NodeId, place: Place, cx: &mut Cx) {
        let hash = self.tree.node(node).hash;
        let shard = self.obtain.next_peer_shard % self.config.workers;
        self.obtain.next_peer_shard = (shard + 1) % self.config.workers;
        self.obtain.loading.insert(node);
        cx.tell(ShardId::Peer(shard), Msg::Load { hash, place });
    }

    fn ask_peers(&mut self, cx: &mut Cx) {
        while let Some(node) = self.fetch.over_credit() {
            self.let_go(node, cx);
            if self.life(node).stored == Stored::No {
                self.fetch.dropped(node);
            } else {
                self.fetch.forget(node);
                self.want(node, true);
            }
        }
        if self.fetch.is_idle() {
            return;
        }
        let mut asks = Vec::new();
        let has = |peer, node| {
            let best = self.peers.get(&peer).and_then(|p: &super::Peer| p.best);
            best.is_some_and(|best| self.tree.descends(best, node))
        };
        self.fetch.assign(cx.now_ms, &has, &mut asks);
        let mut by_peer: BTreeMap<_, Vec<BlockHash>> = BTreeMap::new();
        for (peer, node) in asks {
            by_peer.entry(peer).or_default().push(self.tree.node(node).hash);
        }
        for (peer, hashes) in by_peer {
            cx.tell(ShardId::Peer(split_peer(peer).0), Msg::Ask { peer, hashes });
        }
    }

    pub(super) fn tick_obtain(&mut self, cx: &mut Cx) {
        // It may have found every target taken.
        if self.life(self.best).verdict == Verdict::Unknown {
            self.new_leaf(self.best);
        }
        for peer in self.fetch.stalled(cx.now_ms) {
            self.punish(peer, "it holds up the download: asked for blocks and does not send them".into(), cx);
        }
    }

    /// A record of ours cannot be read: it is asked of peers instead, and said.
    pub(super) fn spoiled_in_file(&mut self, file: FileId, hash: BlockHash, rule: Rule, cx: &mut Cx) {
        let Some(node) = self.tree.find(&hash) else { return };
        self.obtain.loaded(node);
        let Some(place) = self.life_mut(node).place.take() else { return };
        self.life_mut(node).stored = Stored::No;
        let height = self.height(node);
        cx.log(Level::Warn, format!(
            "file {file}: the record of block {hash} (height {height}) at offset {}, {} bytes, is damaged ({rule}); it will be asked of peers and appended again",
            place.at - ledger::record::FRAME_LEN, place.len
        ));
        self.obtain.damaged.push((hash, place.at - ledger::record::FRAME_LEN, rule.reject()));
        if rule.kind() == consensus::Kind::Invalid {
            self.refuse(node, rule, None, cx);
        } else if let Some(spare) = self.obtain.spares.get_mut(&node).and_then(Vec::pop) {
            let life = self.life_mut(node);
            life.place = Some(spare);
            life.stored = if spare.file == 0 { Stored::Durable } else { Stored::No };
            self.load_from(node, spare, cx);
        } else {
            self.fetch.want(node, height);
        }
    }

    /// Offline, the work is over when nothing is under way and nothing more can be read.
    fn stop_when_idle(&mut self, cx: &mut Cx) {
        // What is still to be loaded is no work under way: `load` has just taken all that may be parked, and the rest
        // stands above a damaged block.
        let busy = self.growing > 0
            || !self.obtain.loading.is_empty()
            || !self.ready.is_empty()
            || self.held.values().any(|held| held.appending);
        if busy {
            return;
        }
        self.obtain.stopped = true;
        self.report(cx);
        let tip = self.tree.node(self.tip);
        let valid = |hash| self.tree.find(hash).is_some_and(|node| self.life(node).verdict == Verdict::Valid);
        match self.obtain.damaged.iter().find(|(hash, ..)| !valid(hash)) {
            Some((hash, at, why)) => {
                let more = self.obtain.damaged.len();
                let line = format!(
                    "{more} damaged record(s) in blocks.bin, the first at offset {at} (block {hash}: {why}); the blocks after height {} wait for it. \
                     Start the node with a peer to fetch it again (caesure -c HOST:PORT), or: caesure import FILE-THAT-HAS-IT",
                    tip.height
                );
                cx.effect(Effect::Stop(Stop::Damaged, line));
            }
            _ => cx.effect(Effect::Stop(Stop::Done, format!("height {} {}", tip.height, tip.hash))),
        }
    }

    /// A rival from below the root has more work: its worlds must be grown from genesis.
    fn rebuild(&mut self, leaf: NodeId, cx: &mut Cx) {
        let root = self.worlds[&self.root].node;
        cx.log(Level::Warn, format!(
            "a branch with more work leaves ours below the oldest world kept (height {}): rebuilding all coins from blocks.bin along block {} (height {})",
            self.height(root), self.tree.node(leaf).hash, self.height(leaf)
        ));
        self.reset_worlds(cx);
        let targets: Vec<NodeId> = self.obtain.targets.drain(..).map(|t| t.leaf).collect();
        self.obtain.to_load.clear();
        self.add_target(leaf);
        targets.into_iter().for_each(|leaf| self.add_target(leaf));
    }

    /// Whether blocks may enter the pipeline of growing and appending.
    pub(super) fn pipeline_room(&self) -> bool {
        self.pipeline_bytes < self.config.budget.window / 2
    }

    pub(super) fn hold(&mut self, node: NodeId, from: From, body: std::sync::Arc<ledger::Body>, cx: &mut Cx) {
        let bytes = body.len() as u64;
        self.held.insert(node, super::Held { body: Some(body), bytes, growing: false, appending: false, from });
        let parent = self.tree.node(node).parent;
        if self.life(parent).world.is_some() {
            self.ready.insert((self.height(node), node));
            self.fetch.parked(node, bytes as u32);
            let settles = self.settles.entry(node).or_default();
            if let From::Peer(peer, seq) = from {
                settles.push((peer, seq));
            }
        } else {
            self.waiting.entry(parent).or_default().insert(node);
            self.fetch.parked(node, bytes as u32);
            self.settle_from(from, cx);
        }
        self.append(node, cx);
    }
}
