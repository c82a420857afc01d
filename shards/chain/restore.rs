//! Which checkpoints the coins are made from: of each partition the newest that lies on the branch we are on. No base is
//! ever that of a block that is not valid, so blocks up to the newest of them are known to be valid: they are applied to
//! the partitions that are behind, and not checked, since the coins they took are gone from the others. Never opens a
//! file, never sees a coin.

use super::{Chain, Verdict, World, WorldState};
use crate::effect::Level;
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
    files: Vec<BTreeMap<u32, (BlockHash, bool)>>,
    /// The branch that coins are made for.
    leaf: NodeId,
    /// The root's name when they were last begun, shards that have not read theirs, coins of those that have.
    root: WorldId,
    waiting: u16,
    coins: u64,
    /// The newest block of which a base was read, until the root has passed it.
    ahead: Option<NodeId>,
}

impl Restore {
    pub(super) fn new(found: &[(u16, u32, BlockHash)]) -> Restore {
        let mut files = vec![BTreeMap::new(); PARTITIONS];
        for (partition, height, block) in found {
            files[usize::from(*partition)].insert(*height, (*block, true));
        }
        Restore { files, leaf: 0, root: 0, waiting: 0, coins: 0, ahead: None }
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
}

impl Chain {
    /// The block whose base a checkpoint has, if that lies on the branch.
    pub(super) fn on_branch(&self, block: &BlockHash, leaf: NodeId) -> Option<NodeId> {
        self.tree.find(block).filter(|node| self.tree.descends(leaf, *node) && self.refused(*node).is_none())
    }

    /// Everything but headers, verdicts and the tip is forgotten, and coins are made anew for this branch: from its
    /// checkpoints, or from genesis on where a partition has none.
    pub(super) fn reset_worlds(&mut self, leaf: NodeId, cx: &mut Cx) {
        let (mut lowest, mut highest, mut partitions) = (None, 0, Vec::with_capacity(PARTITIONS));
        for files in &self.restore.files {
            let (mut wanted, mut chosen) = (Files::default(), 0);
            for (height, (block, good)) in files {
                match self.on_branch(block, leaf).filter(|_| *good) {
                    Some(node) => {
                        wanted.kept.insert(*height);
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
        self.begin_worlds(lowest.expect("there are partitions"), highest, cx);
        (self.restore.leaf, self.restore.root) = (leaf, self.root);
        (self.restore.waiting, self.restore.coins) = (self.config.workers, 0);
        let (root, partitions) = (self.root, Arc::new(partitions));
        let (height, block) = self.block_of(root);
        for utxo in 0..self.config.workers {
            cx.tell(ShardId::Utxo(utxo), Msg::Restore { root, height, block, partitions: partitions.clone() });
        }
        self.let_stranded_go(cx);
        self.candidate(self.worlds[&root].node, cx);
    }

    /// Height and hash of a live world's block.
    pub(super) fn block_of(&self, world: WorldId) -> (u32, BlockHash) {
        let node = self.tree.node(self.worlds[&world].node);
        (node.height, node.hash)
    }

    /// The only world is that of `lowest`, which is valid with all below it; blocks up to `highest` are to be applied.
    fn begin_worlds(&mut self, lowest: NodeId, highest: NodeId, cx: &mut Cx) {
        let root = self.next_world;
        self.next_world += 1;
        // First, because ending worlds may bring about a report.
        let ended = std::mem::replace(&mut self.worlds, BTreeMap::from([(root, World::root(lowest, root))]));
        self.root = root;
        for world in ended.into_values() {
            self.end_world(&world, cx);
        }
        assert_eq!(self.worlds_bytes, 0, "no world is left");
        self.life_mut(lowest).world = Some(root);
        for (_, node) in std::mem::take(&mut self.ready) {
            self.settle_now(node, cx);
            self.waiting.entry(self.tree.node(node).parent).or_default().insert(node);
        }
        let mut at = lowest;
        while self.life(at).verdict == Verdict::Unknown {
            self.life_mut(at).verdict = Verdict::Valid;
            self.note_valid(at, cx);
            at = self.tree.node(at).parent;
        }
        self.restore.ahead = (self.height(highest) > self.height(lowest)).then_some(highest);
        for child in self.waiting.remove(&lowest).unwrap_or_default() {
            self.ready.insert((self.height(child), child));
        }
    }

    /// Whether this block is applied to those partitions that are behind it, and not checked.
    pub(super) fn is_applied(&self, node: NodeId) -> bool {
        self.restore.ahead.is_some_and(|ahead| self.height(node) <= self.height(ahead))
    }

    /// Whether the branch can be grown from the bases as they are.
    pub(super) fn above_root(&self, leaf: NodeId) -> bool {
        let fits = |ahead| self.tree.descends(leaf, ahead) || self.tree.descends(ahead, leaf);
        self.tree.descends(leaf, self.worlds[&self.root].node) && self.restore.ahead.is_none_or(fits)
    }

    /// The root has moved.
    pub(super) fn root_moved(&mut self) {
        let root = self.height(self.worlds[&self.root].node);
        self.restore.ahead = self.restore.ahead.filter(|ahead| self.height(*ahead) > root);
    }

    /// A utxo shard has read its checkpoints, or found one damaged.
    pub(super) fn restored(&mut self, root: WorldId, coins: Result<u64, (u16, u32, String)>, cx: &mut Cx) {
        if root != self.restore.root {
            return;
        }
        match coins {
            Ok(coins) => {
                self.restore.waiting -= 1;
                self.restore.coins += coins;
                if self.restore.waiting == 0 {
                    let coins = i64::try_from(self.restore.coins).expect("there are not so many");
                    let valid = self.worlds.values_mut().filter(|world| matches!(world.state, WorldState::Valid));
                    valid.for_each(|world| world.coins += coins);
                }
            }
            Err((partition, height, why)) => {
                cx.log(Level::Warn, format!(
                    "the checkpoint of partition {partition} at height {height} cannot be read: {why}; an older one is taken, or blocks.bin from genesis on"
                ));
                self.restore.files[usize::from(partition)].entry(height).and_modify(|(_, good)| *good = false);
                self.start_over(self.restore.leaf, cx);
            }
        }
    }

    /// A block that is known to be valid takes coins that are not there: the checkpoints are not what they say.
    pub(super) fn lacks_coins(&mut self, height: u32, missing: u64, cx: &mut Cx) {
        cx.log(Level::Warn, format!(
            "block {height} takes {missing} coin(s) that the checkpoints do not have, so they are not believed: all coins are made from blocks.bin from genesis on"
        ));
        for files in &mut self.restore.files {
            files.values_mut().for_each(|(_, good)| *good = false);
        }
        self.start_over(self.restore.leaf, cx);
    }

    /// A checkpoint is there; others of that partition may be gone.
    pub(super) fn checkpointed(&mut self, partition: u16, height: u32, block: BlockHash, kept: &[u32]) {
        let files = &mut self.restore.files[usize::from(partition)];
        files.insert(height, (block, true));
        files.retain(|height, _| kept.contains(height));
    }
}
