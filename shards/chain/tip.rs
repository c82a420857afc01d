//! The tip and the worlds around it: moved to the most work that is valid and durable, folded into the base beyond the
//! horizon, dropped where they lost, rebuilt where a rival leaves below all of them.

use super::{Chain, Stored, Verdict, World, WorldState};
use crate::effect::{Level, Side};
use crate::limits::{FAR_BLOCKS, HORIZON_SYNC_BLOCKS, WORLDS_HARD};
use crate::msg::{Msg, Which};
use crate::note::Note;
use crate::{Cx, ShardId};
use consensus::BlockHash;
use ledger::{NodeId, WorldId};
use std::sync::Arc;

/// While far below the best header worlds are folded this many at a time.
pub(super) const FOLD_BLOCKS: u32 = 8;
/// Headers of a branch announced at once (Core `MAX_BLOCKS_TO_ANNOUNCE`).
const ANNOUNCE_MAX: usize = 8;

/// What peer shards were told of the tip.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The last one they heard of.
    tip: NodeId,
    /// The last one they were to announce, or had no need to.
    announced: NodeId,
}

impl Chain {
    pub(super) fn drop_worlds(&mut self, dropped: Vec<WorldId>, cx: &mut Cx) {
        let mut side = Side::Tip;
        for world in &dropped {
            let this = self.worlds.remove(world).expect("a live world");
            side = this.side;
            self.end_world(&this, cx);
            if let Some(parent) = self.worlds.get_mut(&this.parent) {
                parent.children.retain(|child| child != world);
            }
            // What stood ready to grow from it has lost with it.
            let orphaned: Vec<_> =
                self.ready.iter().copied().filter(|(_, n)| self.tree.node(*n).parent == this.node).collect();
            for (_, node) in orphaned {
                self.let_go(node, cx);
                self.fetch.forget(node);
            }
        }
        if !dropped.is_empty() {
            for worker in 0..self.config.workers {
                for to in [ShardId::Utxo(worker), ShardId::Verify(worker)] {
                    cx.tell(to, Msg::Drop { side, worlds: dropped.clone() });
                }
            }
        }
    }

    /// Nobody waits for this world any longer; answers that still come for it mean nothing.
    pub(super) fn end_world(&mut self, world: &World, cx: &mut Cx) {
        self.worlds_bytes -= world.bytes;
        if matches!(world.state, WorldState::Growing(_)) {
            self.growing -= 1;
            self.held.get_mut(&world.node).expect("held while growing").growing = false;
            self.release(world.node);
        }
        self.set_world(world.side, world.node, None);
        self.settle_now(world.node, cx);
    }

    /// The tip moves to a block that is valid, durable with all below it, and has more work than the tip.
    pub(super) fn candidate(&mut self, node: NodeId, cx: &mut Cx) {
        let mut next = vec![node];
        while let Some(node) = next.pop() {
            let life = *self.life(node);
            if life.verdict != Verdict::Valid || life.stored != Stored::Durable || life.out {
                continue;
            }
            // A block may be valid from before coins were made anew: its world is not, until all answers are there.
            let world = life.world.and_then(|world| self.worlds.get(&world));
            if world.is_some_and(|world| !matches!(world.state, WorldState::Valid)) {
                continue;
            }
            // Of equals in our own file the first is the one that was the tip before.
            let (mine, tips) = (self.work(node), self.work(self.tip));
            let better = mine > tips || mine == tips && node < self.tip && self.obtain.replaying();
            if better && self.line_is_durable(node) {
                self.move_tip(node, cx);
            }
            // A block that was found damaged on disk may have become durable after those above it.
            let world = self.life(node).world.and_then(|world| self.worlds.get(&world));
            next.extend(world.iter().flat_map(|world| &world.children).map(|child| self.worlds[child].node));
        }
    }

    /// Whether everything from here down to the tip's branch is durable.
    fn line_is_durable(&self, node: NodeId) -> bool {
        let mut at = node;
        while !self.tree.descends(self.tip, at) {
            if self.life(at).stored != Stored::Durable {
                return false;
            }
            at = self.tree.node(at).parent;
        }
        true
    }

    fn move_tip(&mut self, node: NodeId, cx: &mut Cx) {
        let old = std::mem::replace(&mut self.tip, node);
        if !self.tree.descends(node, old) && !self.obtain.replaying() {
            self.stats.switches += 1;
            let fork = self.tree.fork_of(old, node);
            let fork = self.height(fork);
            let (left, taken) = (self.height(old) - fork, self.height(node) - fork);
            cx.note(Note::Reorg { fork, left, taken, hash: self.tree.node(node).hash });
        }
        self.fold(node, node, cx);
        if self.is_best() {
            self.tick_tip(cx);
        }
    }

    /// Whether no header has more work than the tip.
    fn is_best(&self) -> bool {
        self.work(self.tip) >= self.work(self.best)
    }

    /// Tells the peer shards of the tip: at once where no header has more work, else with the clock.
    pub(super) fn tick_tip(&mut self, cx: &mut Cx) {
        let quiet = self.obtain.replaying() || self.config.offline;
        let fresh = self.is_best() && !quiet;
        if self.told.tip == self.tip && (self.told.announced == self.tip || !fresh) {
            return;
        }
        let (mut at, mut nodes) = (self.tip, Vec::new());
        while nodes.len() < ANNOUNCE_MAX && at != 0 && !self.tree.descends(self.told.announced, at) {
            nodes.push(at);
            at = self.tree.node(at).parent;
        }
        nodes.reverse();
        if fresh {
            nodes.iter().for_each(|node| self.note_tip(*node, cx));
        }
        let headers: Vec<_> = nodes.iter().map(|node| self.tree.node(*node).header).collect();
        self.told.tip = self.tip;
        // What is a few blocks short of the best header is announced with those: no peer could place them otherwise.
        let [short, behind] = [(self.best, self.tip), (self.tip, self.told.announced)]
            .map(|(above, below)| self.height(above).saturating_sub(self.height(below)) as usize);
        if fresh || quiet || short.max(behind) > ANNOUNCE_MAX {
            self.told.announced = self.tip;
        }
        let (height, headers) = (self.height(self.tip), Arc::new(headers));
        for peer in 0..self.config.workers {
            cx.tell(ShardId::Peer(peer), Msg::TipMoved { height, headers: headers.clone(), fresh });
        }
    }

    fn note_tip(&self, node: NodeId, cx: &mut Cx) {
        let at = self.tree.node(node);
        let world = self.life(node).world.and_then(|world| self.worlds.get(&world));
        cx.note(Note::Tip {
            height: at.height,
            hash: at.hash,
            time: at.header.time,
            age_s: cx.unix.saturating_sub(at.header.time.into()),
            coins: world.map_or(0, |world| world.coins.max(0) as u64),
            effort: world.and_then(|world| world.effort),
        });
    }

    pub(super) fn tip_coins(&self) -> i64 {
        self.life(self.tip).world.and_then(|world| self.worlds.get(&world)).map_or(0, |world| world.coins)
    }

    /// The worlds take more memory than is meant for them.
    pub(super) fn is_full(&self) -> bool {
        self.worlds_bytes > self.config.budget.worlds
    }

    /// They take far more.
    pub(super) fn is_overfull(&self) -> bool {
        self.worlds_bytes > self.config.budget.worlds.saturating_mul(WORLDS_HARD)
    }

    /// While all coins are rebuilt along another branch the tip has no world: what was regrown folds nevertheless, up to
    /// where the tip's branch is left, so that both stay possible; and as far as it can where there is no room for both.
    pub(super) fn fold_rebuilt(&mut self, node: NodeId, cx: &mut Cx) {
        let tipless = self.life(self.tip).world.is_none();
        let rivals = !self.tree.descends(node, self.tip) && !self.tree.descends(self.tip, node);
        if self.is_overfull() && rivals && self.lead().is_some_and(|lead| self.tree.descends(lead, node)) {
            self.fold(node, node, cx);
        } else if tipless {
            self.fold(node, self.tree.fork_of(node, self.tip), cx);
        }
    }

    /// Moves the root up to the horizon below `top`, and not above `cap`, if every world that may still win descends
    /// from there. Branches whose leaf lies below the horizon have lost and are dropped; so are others that hold the root
    /// down while the worlds take too much memory.
    pub(super) fn fold(&mut self, top: NodeId, cap: NodeId, cx: &mut Cx) {
        let far = self.height(self.best).saturating_sub(self.height(top)) > FAR_BLOCKS;
        let (full, overfull) = (self.is_full(), self.is_overfull());
        let horizon = if far || full { HORIZON_SYNC_BLOCKS } else { self.config.horizon };
        let cutoff = self.height(top).saturating_sub(horizon).min(self.height(cap));
        let root = self.worlds[&self.root].node;
        if self.life(top).world.is_none() || cutoff < self.height(root) + if far { FOLD_BLOCKS } else { 1 } {
            return;
        }
        let mut to = self.tree.ancestor(top, cutoff).expect("below it");
        let (mut lost, mut crowded) = (Vec::new(), Vec::new());
        let lead = if full { self.lead() } else { None };
        for world in self.worlds.values().filter(|world| world.side == Side::Tip && world.children.is_empty()) {
            if self.tree.descends(world.node, to) {
                continue;
            }
            let weaker = self.work(world.node) < self.work(self.tip) && !self.is_wanted(world.node);
            let beaten = self.life(world.node).out || weaker;
            if self.height(world.node) < cutoff && beaten {
                lost.push(world.node);
            } else if overfull || full && !lead.is_some_and(|lead| self.tree.descends(lead, world.node)) {
                crowded.push(world.node);
            } else {
                to = self.tree.fork_of(to, world.node);
            }
        }
        self.drop_lost(&lost, top, cx);
        self.drop_crowded(&crowded, top, cx);
        to = self.durable_up_to(to, root);
        let world = self.life(to).world.expect("between the root and the tip");
        if world == self.root {
            return;
        }
        self.fold_to(world, cx);
        self.let_stranded_go(cx);
    }

    /// The highest block from `to` down that is durable with all below it, as far as `root`. What grows may lie above a
    /// block that was damaged on disk, or be on its way there: no base is ever of such.
    pub(super) fn durable_up_to(&self, mut to: NodeId, root: NodeId) -> NodeId {
        let mut at = to;
        while self.height(at) > self.height(root) {
            let parent = self.tree.node(at).parent;
            to = if self.life(at).stored == Stored::Durable { to } else { parent };
            at = parent;
        }
        to
    }

    /// This world becomes the root of its side, and all below it are gone.
    pub(super) fn fold_to(&mut self, world: WorldId, cx: &mut Cx) {
        let (side, (height, block)) = (self.worlds[&world].side, self.block_of(world));
        let fold = |utxo| cx.tell(ShardId::Utxo(utxo), Msg::Fold { side, world, height, block });
        (0..self.config.workers).for_each(fold);
        let old = std::mem::replace(self.root_mut(side), world);
        let mut at = self.worlds[&world].parent;
        loop {
            let gone = self.worlds.remove(&at).expect("between the root and the new root");
            self.worlds_bytes -= gone.bytes;
            self.life_mut(gone.node).world = None;
            if at == old {
                break;
            }
            at = gone.parent;
        }
        self.restore_mut(side).root_moved(height);
    }

    /// Branches that would have been kept, had there been room.
    fn drop_crowded(&mut self, leaves: &[NodeId], top: NodeId, cx: &mut Cx) {
        for &leaf in leaves {
            let at = self.tree.node(leaf);
            let fork = self.height(self.tree.fork_of(leaf, top));
            let line = format!(
                "the worlds take {} MB, more than the {} MB meant for them (a fifth of --memory): those of the branch that \
                 leaves after height {fork} and ends with block {} (height {}) are dropped; it lies in blocks.bin, and is \
                 grown anew if it wins",
                self.worlds_bytes / 1_000_000,
                self.config.budget.worlds / 1_000_000,
                at.hash,
                at.height
            );
            cx.log(Level::Warn, line);
        }
        self.drop_lost(leaves, top, cx);
    }

    /// Blocks in memory that can no longer grow, because the root has passed where their branch leaves: their bytes are on
    /// disk, or on their way there.
    pub(super) fn let_stranded_go(&mut self, cx: &mut Cx) {
        let stranded = |(&node, held): (&NodeId, &super::Held)| {
            let idle = held.body.is_some() && self.life(node).stored != Stored::No && !self.above_root(node);
            idle.then_some(node)
        };
        let stranded: Vec<_> = self.held.iter().filter_map(stranded).collect();
        for node in stranded {
            self.let_go(node, cx);
            self.fetch.forget(node);
        }
    }

    /// Drops each lost leaf with all its ancestors up to the tip's branch or another live one.
    fn drop_lost(&mut self, leaves: &[NodeId], top: NodeId, cx: &mut Cx) {
        for &leaf in leaves {
            let (mut at, mut dropped) = (leaf, Vec::new());
            while let Some(world) = self.life(at).world {
                let others = self.worlds[&world].children.iter().filter(|child| !dropped.contains(*child)).count();
                if others > 0 || self.tree.descends(top, at) {
                    break;
                }
                dropped.push(world);
                at = self.tree.node(at).parent;
            }
            self.drop_worlds(dropped, cx);
        }
    }

    /// The world that a person means, or why there is none.
    pub(super) fn which_world(&self, block: Option<Which>) -> Result<(WorldId, u32, BlockHash), String> {
        let world = |node: NodeId| self.life(node).world.filter(|world| self.worlds[world].side == Side::Tip);
        let lives = |node: &NodeId| world(*node).is_some();
        let node = match block {
            None => self.tip,
            Some(Which::Hash(hash)) => self.tree.find(&hash).ok_or_else(|| format!("no block {hash} is known"))?,
            Some(Which::Height(height)) => match self.tree.ancestor(self.tip, height).filter(lives) {
                Some(node) => node,
                None => self.only_world_at(height)?,
            },
        };
        let at = self.tree.node(node);
        match world(node) {
            Some(world) => Ok((world, at.height, at.hash)),
            None => Err(format!("block {} at height {} has no live world; {}", at.hash, at.height, self.which_live())),
        }
    }

    /// The one world of that height off the tip's branch.
    fn only_world_at(&self, height: u32) -> Result<NodeId, String> {
        let mine = self.worlds.values().filter(|world| world.side == Side::Tip);
        let nodes = mine.map(|world| world.node).filter(|node| self.height(*node) == height);
        let nodes: Vec<NodeId> = nodes.collect();
        let hashes = || nodes.iter().map(|node| self.tree.node(*node).hash.to_string()).collect::<Vec<_>>().join(", ");
        match nodes.as_slice() {
            [] => Err(format!("no world at height {height} lives; {}", self.which_live())),
            [node] => Ok(*node),
            _ => Err(format!("more than one world lives at height {height}; say which: {}", hashes())),
        }
    }

    fn which_live(&self) -> String {
        let mine = self.worlds.values().filter(|world| world.side == Side::Tip);
        let heights = mine.map(|world| self.height(world.node));
        let (root, top) = (self.height(self.worlds[&self.root].node), heights.max().expect("the root"));
        let rebuilt = if self.life(self.tip).world.is_none() { " (all coins are being rebuilt)" } else { "" };
        format!("those that live reach from height {root} to {top}{rebuilt}; \"worlds\" lists them")
    }
}
