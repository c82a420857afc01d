//! Which checkpoints the coins are made from: of each partition the newest that lies on the branch we are on. No base is
//! ever that of a block that is not valid, so blocks up to the newest of them are known to be valid: they are applied to
//! the partitions that are behind, and not checked, since the coins they took are gone from the others. Never opens a
//! file, never sees a coin.

use super::{Chain, World, WorldState};
use crate::effect::{Level, Side};
use crate::msg::{Files, Msg};
use crate::{Cx, ShardId};
use consensus::BlockHash;
use ledger::{NodeId, PARTITIONS, WorldId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of checkpoints.
#[derive(Debug)]
pub(super) struct Restore {
    /// By partition: height and block of each, and whether it is worth reading.
    pub(super) files: Vec<BTreeMap<u32, (BlockHash, bool)>>,
    /// Checkpoints of bases that were begun from an earlier root are not believed.
    believed_from: WorldId,
    /// The branch that coins are made for.
    pub(super) leaf: NodeId,
    /// The root's name when they were last begun, shards that have not read theirs, coins of those that have.
    pub(super) root: WorldId,
    waiting: u16,
    coins: u64,
    /// The newest block of which a base was read, with its height, until the root has passed it.
    ahead: Option<(NodeId, u32)>,
}

impl Restore {
    pub(super) fn new(found: &[(u16, u32, BlockHash)]) -> Restore {
        let mut files = vec![BTreeMap::new(); PARTITIONS];
        for (partition, height, block) in found {
            files[usize::from(*partition)].insert(*height, (*block, true));
        }
        Restore { files, believed_from: 0, leaf: 0, root: 0, waiting: 0, coins: 0, ahead: None }
    }

    /// Of each partition: height and block of every checkpoint, and whether it is worth reading.
    pub(super) fn files(&self) -> &[BTreeMap<u32, (BlockHash, bool)>] {
        &self.files
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.iter().all(BTreeMap::is_empty)
    }

    /// Whether coins are still being read.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// The root has moved up to that height.
    pub(super) fn root_moved(&mut self, height: u32) {
        self.ahead = self.ahead.filter(|(_, ahead)| *ahead > height);
    }
}

impl Chain {
    /// The block whose base a checkpoint has, if that lies on the branch.
    pub(super) fn on_branch(&self, block: &BlockHash, leaf: NodeId) -> Option<NodeId> {
        self.tree.find(block).filter(|node| self.tree.descends(leaf, *node) && self.refused(*node).is_none())
    }

    /// On that side everything but headers, verdicts and the tip is forgotten, and coins are made anew for this branch: from
    /// its checkpoints, or from genesis on where a partition has none.
    pub(super) fn reset_worlds(&mut self, side: Side, leaf: NodeId, cx: &mut Cx) {
        let (mut lowest, mut highest, mut partitions) = (None, 0, Vec::with_capacity(PARTITIONS));
        for files in &self.restore(side).files {
            let (mut wanted, mut chosen) = (Files::default(), 0);
            for (height, (block, good)) in files {
                match self.on_branch(block, leaf).filter(|_| *good) {
                    Some(node) => {
                        wanted.kept.insert(*height, *block);
                        chosen = node;
                    }
                    None => {
                        wanted.stale.insert(*height);
                    }
                }
            }
            partitions.push(wanted);
            let lower = lowest.is_none_or(|lowest| self.height(chosen) < self.height(lowest));
            lowest = if lower { Some(chosen) } else { lowest };
            highest = if self.height(chosen) > self.height(highest) { chosen } else { highest };
        }
        let lowest = lowest.expect("there are partitions");
        if self.lies_below_base(side, lowest, cx) {
            return;
        }
        let root = self.begin_worlds(side, lowest, highest, cx);
        let workers = self.config.workers;
        let restore = self.restore_mut(side);
        (restore.leaf, restore.root, restore.waiting, restore.coins) = (leaf, root, workers, 0);
        let partitions = Arc::new(partitions);
        let (height, block) = self.block_of(root);
        for utxo in 0..workers {
            cx.tell(ShardId::Utxo(utxo), Msg::Restore { side, root, height, block, partitions: partitions.clone() });
        }
        self.let_stranded_go(cx);
        self.candidate(self.worlds[&root].node, cx);
    }

    /// Height and hash of a live world's block.
    pub(super) fn block_of(&self, world: WorldId) -> (u32, BlockHash) {
        let node = self.tree.node(self.worlds[&world].node);
        (node.height, node.hash)
    }

    /// The only world of that side is that of `lowest`, which is valid with all below it; blocks up to `highest` are to be
    /// applied. The world's name.
    fn begin_worlds(&mut self, side: Side, lowest: NodeId, highest: NodeId, cx: &mut Cx) -> WorldId {
        let root = self.next_world;
        self.next_world += 1;
        // First, because ending worlds may bring about a report.
        let ended: Vec<World> =
            self.worlds.extract_if(.., |_, world| world.side == side).map(|(_, world)| world).collect();
        self.worlds.insert(root, World::root(lowest, root, side));
        *self.root_mut(side) = root;
        for world in ended {
            self.end_world(&world, cx);
        }
        self.life_mut(lowest).world = Some(root);
        for (rank, node) in std::mem::take(&mut self.ready) {
            if self.side(node) == side {
                self.settle_now(node, cx);
                self.waiting.entry(self.tree.node(node).parent).or_default().insert(node);
            } else {
                self.ready.insert((rank, node));
            }
        }
        self.believe(lowest, cx);
        let ahead = (self.height(highest) > self.height(lowest)).then_some((highest, self.height(highest)));
        self.restore_mut(side).ahead = ahead;
        for child in self.waiting.remove(&lowest).unwrap_or_default() {
            self.ready.insert((self.rank(child), child));
        }
        root
    }

    /// Whether this block is applied to those partitions that are behind it, and not checked.
    pub(super) fn is_applied(&self, node: NodeId) -> bool {
        self.restore(self.side(node)).ahead.is_some_and(|(_, ahead)| self.height(node) <= ahead)
    }

    /// Whether the branch can be grown from the bases as they are.
    pub(super) fn above_root(&self, leaf: NodeId) -> bool {
        let fits = |(ahead, _)| self.tree.descends(leaf, ahead) || self.tree.descends(ahead, leaf);
        self.tree.descends(leaf, self.root_below(leaf)) && self.restore(self.side(leaf)).ahead.is_none_or(fits)
    }

    /// A utxo shard has read its checkpoints, or found one damaged.
    pub(super) fn restored(&mut self, root: WorldId, coins: Result<u64, (u16, (u32, BlockHash), String)>, cx: &mut Cx) {
        let Some(side) = [Side::Tip, Side::History].into_iter().find(|side| self.restore(*side).root == root) else {
            return;
        };
        match coins {
            Ok(coins) => {
                let restore = self.restore_mut(side);
                restore.waiting -= 1;
                restore.coins += coins;
                if restore.waiting == 0 {
                    let coins = i64::try_from(restore.coins).expect("there are not so many");
                    let valid = |world: &&mut World| world.side == side && matches!(world.state, WorldState::Valid);
                    self.worlds.values_mut().filter(valid).for_each(|world| world.coins += coins);
                }
            }
            Err((partition, (height, block), why)) => {
                cx.log(Level::Warn, format!(
                    "the checkpoint of partition {partition} at height {height} cannot be read: {why}; an older one is taken, or blocks.bin from genesis on"
                ));
                let files = &mut self.restore_mut(side).files[usize::from(partition)];
                // Another may have been put in its place.
                files.entry(height).and_modify(|(there, good)| *good &= *there != block);
                self.restore_again(side, cx);
            }
        }
    }

    /// A block that is known to be valid takes coins that are not there: the checkpoints are not what they say.
    pub(super) fn lacks_coins(&mut self, node: NodeId, missing: u64, cx: &mut Cx) {
        let (side, height) = (self.side(node), self.height(node));
        cx.log(Level::Warn, format!(
            "block {height} takes {missing} coin(s) that the checkpoints do not have, so they are not believed: all coins are made from blocks.bin from genesis on"
        ));
        // Nor those that are being written.
        let next = self.next_world;
        let restore = self.restore_mut(side);
        restore.believed_from = next;
        restore.files.iter_mut().flat_map(BTreeMap::values_mut).for_each(|(_, good)| *good = false);
        self.restore_again(side, cx);
    }

    fn restore_again(&mut self, side: Side, cx: &mut Cx) {
        match side {
            Side::Tip => self.start_over(self.restore.leaf, cx),
            Side::History => self.begin_history(cx),
        }
    }

    /// A checkpoint is there; others of that partition may be gone. One of a history that has ended meanwhile is nobody's;
    /// while that waits for the snapshot's headers, the only coins are its own.
    pub(super) fn checkpointed(
        &mut self,
        side: Side,
        partition: u16,
        root: WorldId,
        (height, block): (u32, BlockHash),
        kept: &[u32],
    ) {
        if side == Side::History && self.history.is_none() && self.snapshot.is_none() {
            return;
        }
        let restore = self.restore_mut(side);
        let files = &mut restore.files[usize::from(partition)];
        files.insert(height, (block, root >= restore.believed_from));
        files.retain(|height, _| kept.contains(height));
    }
}
