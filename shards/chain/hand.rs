//! Blocks that a person takes out of the running, or lets in again (Core `InvalidateBlock`, `ResetBlockFailureFlags`): one
//! decision at a time, kept on disk before it binds, answered when the tip that it leaves has its world. Nobody is punished
//! for them, and no verdict is touched: a block that is out may well be valid.

use super::{Chain, Stored, Verdict};
use crate::effect::{Effect, Level, Side};
use crate::msg::Msg;
use crate::{Cx, ShardId};
use consensus::BlockHash;
use ledger::{Headers, NodeId};
use std::collections::{BTreeSet, VecDeque};

/// Decisions of people.
#[derive(Debug)]
pub(super) struct Hand {
    /// Blocks that are out by name; their descendants are out with them.
    pub(super) marks: BTreeSet<BlockHash>,
    /// Question, block, and whether it shall be out.
    waiting: VecDeque<(u64, BlockHash, bool)>,
    /// The question whose decision is being written, and the marks as they will be.
    writing: Option<(u64, BTreeSet<BlockHash>)>,
    /// Questions whose decision binds; the worlds are not there yet.
    unanswered: Vec<u64>,
}

impl Hand {
    pub(super) fn new(invalidated: &[BlockHash]) -> Hand {
        let marks = invalidated.iter().copied().collect();
        Hand { marks, waiting: VecDeque::new(), writing: None, unanswered: Vec::new() }
    }
}

/// The marks that are left when a block is let in again: none on it, its ancestors and its descendants. Core marks each
/// descendant by itself, so what leaves the line between its lowest marked ancestor and it stays out, and gets marks of
/// its own.
fn let_in(tree: &Headers, marks: &BTreeSet<BlockHash>, block: NodeId) -> BTreeSet<BlockHash> {
    let above = |mark: &NodeId| tree.descends(block, *mark);
    let lowest =
        marks.iter().filter_map(|hash| tree.find(hash)).filter(above).min_by_key(|mark| tree.node(*mark).height);
    let keeps = |hash: &&BlockHash| tree.find(hash).is_none_or(|mark| !above(&mark) && !tree.descends(mark, block));
    let mut left: BTreeSet<BlockHash> = marks.iter().filter(keeps).copied().collect();
    for id in lowest.map_or(0, |lowest| lowest + 1)..tree.len() as NodeId {
        let parent = tree.node(id).parent;
        let leaves = parent != block && tree.descends(block, parent) && !tree.descends(block, id);
        if leaves && lowest.is_some_and(|lowest| tree.descends(parent, lowest)) {
            left.insert(tree.node(id).hash);
        }
    }
    left
}

impl Chain {
    pub(super) fn decide(&mut self, question: u64, block: BlockHash, out: bool, cx: &mut Cx) {
        self.hand.waiting.push_back((question, block, out));
        self.next_decision(cx);
    }

    fn next_decision(&mut self, cx: &mut Cx) {
        while self.hand.writing.is_none()
            && let Some((question, block, out)) = self.hand.waiting.pop_front()
        {
            match self.marks_after(block, out) {
                Err(why) => cx.tell(ShardId::Status, Msg::Decided { question, text: format!("error: {why}") }),
                Ok(marks) if marks == self.hand.marks => self.hand.unanswered.push(question),
                Ok(marks) => {
                    let lines: String = marks.iter().map(|hash| format!("{hash}\n")).collect();
                    cx.effect(Effect::Keep(lines.into_bytes()));
                    self.hand.writing = Some((question, marks));
                }
            }
        }
        self.tick_hand(cx);
    }

    fn marks_after(&self, block: BlockHash, out: bool) -> Result<BTreeSet<BlockHash>, String> {
        let mut marks = self.hand.marks.clone();
        match (self.tree.find(&block), out) {
            (Some(0), true) => return Err("the genesis block cannot be invalidated".into()),
            (Some(node), true) if self.side(node) == Side::History => {
                return Err("it lies below the snapshot, whose history is not verified yet".into());
            }
            (Some(node), true) if self.life(node).out => {}
            (Some(node), true) => {
                if self.tree.descends(self.tip, node) {
                    self.can_go_to(self.tree.node(node).parent)?;
                }
                marks.insert(block);
            }
            (Some(node), false) => {
                if let Some(why) = self.refused(node) {
                    return Err(format!(
                        "block {block} is refused ({why}): it, or a block below it, broke a rule, which no hand can mend"
                    ));
                }
                if self.work(node) > self.work(self.tip) {
                    self.can_go_to(node)?;
                }
                marks = let_in(&self.tree, &marks, node);
            }
            // Marked in an earlier run, and its header has not come yet.
            (None, false) if marks.remove(&block) => {}
            (None, _) => return Err(format!("no block {block} is known")),
        }
        Ok(marks)
    }

    /// The decision is on disk, or cannot be put there: it binds, or is forgotten.
    pub(super) fn kept(&mut self, result: Result<(), String>, cx: &mut Cx) {
        let (question, marks) = self.hand.writing.take().expect("one decision at a time");
        match result {
            Ok(()) => {
                self.hand.marks = marks;
                self.hand.unanswered.push(question);
                self.apply_marks(cx);
            }
            Err(why) => {
                let text = format!("error: nothing was changed, because the decision could not be kept: {why}");
                cx.tell(ShardId::Status, Msg::Decided { question, text });
            }
        }
        self.next_decision(cx);
    }

    fn apply_marks(&mut self, cx: &mut Cx) {
        let mut best_in = self.best;
        for node in 1..self.tree.len() as NodeId {
            let at = self.tree.node(node);
            let out = self.life(at.parent).out || self.hand.marks.contains(&at.hash);
            let was = std::mem::replace(&mut self.life_mut(node).out, out);
            if out && !was {
                self.let_go(node, cx);
                self.fetch.forget(node);
                self.obtain.to_load.remove(&(self.rank(node), node));
            } else if was && self.in_running(node) && self.work(node) > self.work(best_in) {
                best_in = node;
            }
        }
        self.best = best_in;
        self.find_best();
        while self.life(self.obtain.start_leaf).out {
            self.obtain.start_leaf = self.tree.node(self.obtain.start_leaf).parent;
        }
        self.choose_tip(cx);
        // Branches that were too weak for the tip before, or out; nobody may have the blocks of the best header.
        for node in 1..self.tree.len() as NodeId {
            if self.work(node) >= self.work(self.tip) {
                self.new_leaf(node);
            }
        }
    }

    /// Of all branches that are valid and durable as far as they are looked at: the end of the one with the most work, of
    /// equals the first.
    fn best_whole(&self) -> NodeId {
        let (mut whole, mut best) = (vec![true], 0);
        for node in 1..self.tree.len() as NodeId {
            let life = self.life(node);
            let sound = life.verdict == Verdict::Valid && life.stored == Stored::Durable && !life.out;
            let below = whole[self.tree.node(node).parent as usize];
            whole.push(sound && below || self.is_base(node));
            if whole[node as usize] && self.work(node) > self.work(best) {
                best = node;
            }
        }
        best
    }

    /// The tip goes where the marks leave it: to another world, or, where that lives no longer, to one that is grown anew.
    fn choose_tip(&mut self, cx: &mut Cx) {
        let node = self.best_whole();
        if node != self.tip {
            let old = std::mem::replace(&mut self.tip, node);
            self.stats.switches += u64::from(!self.tree.descends(node, old));
            let (from, to) = (self.tree.node(old), self.tree.node(node));
            let line = format!(
                "by hand the tip goes from block {} (height {}) to block {} (height {})",
                from.hash, from.height, to.hash, to.height
            );
            cx.log(Level::Warn, line);
        }
        if self.life(node).world.is_some() {
            self.fold(node, node, cx);
        } else if self.above_root(node) {
            self.add_target(node);
        } else {
            self.rebuild(node, "the decision of a person leaves", cx);
        }
        self.new_leaf(self.best);
        self.tick_tip(cx);
    }

    /// Tells whoever waits once the tip has its world, and nothing better lies on disk unchecked.
    pub(super) fn tick_hand(&mut self, cx: &mut Cx) {
        if self.hand.unanswered.is_empty() || self.life(self.tip).world.is_none() || self.better_on_disk() {
            return;
        }
        self.report(cx);
        let tip = self.tree.node(self.tip);
        for question in std::mem::take(&mut self.hand.unanswered) {
            let text = format!("tip is now {} at height {}", tip.hash, tip.height);
            cx.tell(ShardId::Status, Msg::Decided { question, text });
        }
    }

    /// Whether the best header's branch lies on disk further than the tip has come.
    fn better_on_disk(&self) -> bool {
        let fork = self.tree.fork_of(self.tip, self.best);
        let (mut end, mut at) = (self.best, self.best);
        while at != fork {
            if self.life(at).place.is_none() && self.life(at).stored == Stored::No {
                end = self.tree.node(at).parent;
            }
            at = self.tree.node(at).parent;
        }
        self.work(end) > self.work(self.tip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consensus::{Header, Network, Params};

    /// A tree in which each block names its parent by number; genesis is 0.
    fn tree(parents: &[NodeId]) -> Headers {
        let mut tree = Headers::new(Params::of(Network::Regtest).genesis);
        for (&parent, nonce) in parents.iter().zip(1..) {
            let prev = tree.node(parent).hash;
            let header = Header { version: 4, prev, merkle_root: [0; 32], time: nonce, bits: 0x207f_ffff, nonce };
            tree.insert(parent, header, header.hash());
        }
        tree
    }

    #[test]
    fn a_block_let_in_brings_its_ancestors_and_descendants_and_leaves_the_rest_out() {
        //  0 ── 1 ── 2 ── 3 ── 4 ── 5        6 leaves after 2, 7 after 6; 8 after 4; 9 after 1
        let tree = tree(&[0, 1, 2, 3, 4, 2, 6, 4, 1]);
        let hashes = |nodes: &[NodeId]| nodes.iter().map(|node| tree.node(*node).hash).collect::<BTreeSet<_>>();
        let after = |marks: &[NodeId], block| let_in(&tree, &hashes(marks), block);
        assert_eq!(after(&[2], 2), hashes(&[]), "all above it come with it");
        assert_eq!(after(&[2], 4), hashes(&[6]), "what left its line below it stays out; 8 is above it");
        assert_eq!(after(&[2], 5), hashes(&[6, 8]));
        assert_eq!(after(&[2, 5, 9], 3), hashes(&[6, 9]));
        assert_eq!(after(&[4], 1), hashes(&[]), "a mark above it falls");
        assert_eq!(after(&[4, 6], 9), hashes(&[4, 6]), "none of its business");
        assert_eq!(after(&[1, 3], 7), hashes(&[3, 9]));
        let unknown = BlockHash([7; 32]);
        assert_eq!(let_in(&tree, &BTreeSet::from([unknown]), 5), BTreeSet::from([unknown]));
    }
}
