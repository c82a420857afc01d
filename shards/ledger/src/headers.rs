//! The tree of all headers that were ever accepted: parents, heights, work, and quick walks to any
//! ancestor. It decides nothing about validity (`consensus` does) and never sees a block's body.
//!
//! Nodes live in one vector and are named by their index, so a parent always has a smaller name
//! than its child. `skip` points far down the branch (Core's `CBlockIndex::BuildSkip` has the same
//! shape), so an ancestor is found in O(log height) steps.

use consensus::{BlockHash, Header, Work};
use hashbrown::HashMap;

/// Name of a header in the tree; the genesis header is 0.
pub type NodeId = u32;

/// One header with what follows from its place in the tree.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// The header itself.
    pub header: Header,
    /// Its hash.
    pub hash: BlockHash,
    /// Blocks above genesis.
    pub height: u32,
    /// Sum of the work of this header and all its ancestors.
    pub work: Work,
    /// The header it builds on; genesis names itself.
    pub parent: NodeId,
    skip: NodeId,
    leaf: bool,
}

/// The tree.
#[derive(Debug)]
pub struct Headers {
    nodes: Vec<Node>,
    by_hash: HashMap<BlockHash, NodeId>,
}

/// Height of the ancestor that `skip` points to (Core `GetSkipHeight`): clears low set bits, so that
/// a walk from any height to any lower one takes few steps.
fn skip_height(height: u32) -> u32 {
    let clear_lowest = |n: u32| n & n.wrapping_sub(1);
    match height {
        0 | 1 => 0,
        h if h & 1 == 1 => clear_lowest(clear_lowest(h - 1)) + 1,
        h => clear_lowest(h),
    }
}

impl Headers {
    /// A tree that holds only `genesis`.
    pub fn new(genesis: Header) -> Headers {
        let hash = genesis.hash();
        let work = consensus::work_of(genesis.bits);
        let node = Node { header: genesis, hash, height: 0, work, parent: 0, skip: 0, leaf: true };
        Headers { nodes: vec![node], by_hash: HashMap::from_iter([(hash, 0)]) }
    }

    /// Number of headers held.
    #[allow(clippy::len_without_is_empty)] // never empty: genesis is always there
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node with this name. Panics on a name that this tree never gave out.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    /// The node with this hash, if the tree holds it.
    pub fn find(&self, hash: &BlockHash) -> Option<NodeId> {
        self.by_hash.get(hash).copied()
    }

    /// Adds a header whose parent is in the tree and which was found valid; returns its name.
    pub fn insert(&mut self, parent: NodeId, header: Header, hash: BlockHash) -> NodeId {
        assert_eq!(self.node(parent).hash, header.prev, "a header is inserted below its own parent");
        if let Some(known) = self.find(&hash) {
            return known;
        }
        let id = NodeId::try_from(self.nodes.len()).expect("fewer than 2^32 headers");
        let (height, work) = (self.node(parent).height + 1, self.node(parent).work);
        let skip = self.ancestor(parent, skip_height(height)).expect("skip height is below");
        let work = work.saturating_add(consensus::work_of(header.bits));
        self.nodes[parent as usize].leaf = false;
        self.nodes.push(Node { header, hash, height, work, parent, skip, leaf: true });
        self.by_hash.insert(hash, id);
        id
    }

    /// Whether no header builds on this one.
    pub fn is_leaf(&self, id: NodeId) -> bool {
        self.node(id).leaf
    }

    /// The ancestor of `id` (or itself) at `height`; none above it.
    pub fn ancestor(&self, id: NodeId, height: u32) -> Option<NodeId> {
        let mut at = id;
        if self.node(at).height < height {
            return None;
        }
        while self.node(at).height > height {
            let node = self.node(at);
            let skipped = self.node(node.skip).height;
            at = if skipped >= height { node.skip } else { node.parent };
        }
        Some(at)
    }

    /// Whether `id` is `below` or one of its descendants.
    pub fn descends(&self, id: NodeId, below: NodeId) -> bool {
        self.ancestor(id, self.node(below).height) == Some(below)
    }

    /// The last common ancestor of two nodes.
    pub fn fork_of(&self, a: NodeId, b: NodeId) -> NodeId {
        let height = self.node(a).height.min(self.node(b).height);
        let (mut a, mut b) = (self.ancestor(a, height).unwrap(), self.ancestor(b, height).unwrap());
        while a != b {
            let (x, y) = (self.node(a), self.node(b));
            (a, b) = if x.skip != y.skip { (x.skip, y.skip) } else { (x.parent, y.parent) };
        }
        a
    }

    /// Median of the times of `id` and its ten ancestors, unix seconds (BIP113; Core
    /// `CBlockIndex::GetMedianTimePast`).
    pub fn median_time(&self, id: NodeId) -> u32 {
        let (mut times, mut count, mut at) = ([0u32; 11], 0, id);
        loop {
            times[count] = self.node(at).header.time;
            count += 1;
            if count == times.len() || self.node(at).height == 0 {
                break;
            }
            at = self.node(at).parent;
        }
        times[..count].sort_unstable();
        times[count / 2]
    }

    /// The target that the child of `parent` must claim, given the child's own time.
    pub fn next_bits(&self, params: &consensus::Params, parent: NodeId, time: u32) -> u32 {
        let node = self.node(parent);
        // The 20-minute rule asks for one ancestor after the other, downwards.
        let last = std::cell::Cell::new(parent);
        let ancestor = |height| {
            let from = if self.node(last.get()).height >= height { last.get() } else { parent };
            last.set(self.ancestor(from, height).expect("ancestor below the parent"));
            self.node(last.get()).header
        };
        consensus::next_bits(params, &node.header, node.height, ancestor, time)
    }

    /// Hashes that describe the branch of `id` to a peer: the last ten, then doubling steps, then
    /// genesis (Core `GetLocator`). At most 32 + 10 entries.
    pub fn locator(&self, id: NodeId) -> Vec<BlockHash> {
        let (mut hashes, mut at, mut step) = (Vec::with_capacity(32), id, 1);
        loop {
            hashes.push(self.node(at).hash);
            let height = self.node(at).height;
            if height == 0 {
                return hashes;
            }
            at = self.ancestor(at, height.saturating_sub(step)).expect("below");
            if hashes.len() > 10 {
                step *= 2;
            }
        }
    }

    /// First block of the locator that lies on the branch of `tip`; genesis when none does.
    pub fn locate(&self, locator: &[BlockHash], tip: NodeId) -> NodeId {
        let on_branch = |hash| self.find(hash).filter(|&id| self.descends(tip, id));
        locator.iter().find_map(on_branch).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(of: &Headers, parent: NodeId, nonce: u32) -> Header {
        let prev = of.node(parent).hash;
        Header { version: 4, prev, merkle_root: [0; 32], time: 1_000 + nonce, bits: 0x207f_ffff, nonce }
    }

    fn tree(length: u32) -> Headers {
        let genesis = consensus::Params::of(consensus::Network::Regtest).genesis;
        let mut tree = Headers::new(genesis);
        for n in 0..length {
            let header = child(&tree, n, n);
            tree.insert(n, header, header.hash());
        }
        tree
    }

    #[test]
    fn every_ancestor_is_found_at_its_height() {
        let tree = tree(600);
        for id in [1, 2, 3, 255, 256, 257, 600] {
            for height in 0..=id {
                assert_eq!(tree.ancestor(id, height), Some(height), "of {id} at {height}");
            }
            assert_eq!(tree.ancestor(id, id + 1), None);
        }
    }

    #[test]
    fn forks_meet_where_they_parted() {
        let mut tree = tree(300);
        for start in [0, 1, 17, 128, 299] {
            let mut at = start;
            for n in 0..200 {
                let header = child(&tree, at, 10_000 + start * 1_000 + n);
                at = tree.insert(at, header, header.hash());
            }
            assert_eq!(tree.fork_of(at, 300), start);
            assert_eq!(tree.fork_of(300, at), start);
            assert!(tree.descends(at, start) && !tree.descends(at, 300));
        }
    }

    #[test]
    fn the_median_time_is_of_eleven_or_fewer() {
        let tree = tree(20); // node n > 0 has the time 1000 + n - 1
        assert_eq!(tree.median_time(20), 1_014);
        let genesis = tree.node(0).header.time;
        assert_eq!(tree.median_time(0), genesis);
        assert_eq!(tree.median_time(1), genesis, "two times: the upper one is the median");
    }

    #[test]
    fn a_locator_leads_back_to_the_fork() {
        let mut tree = tree(1_000);
        let locator = tree.locator(1_000);
        assert!(locator.len() < 42 && locator.last() == Some(&tree.node(0).hash));
        let mut at = 500;
        for n in 0..600 {
            let header = child(&tree, at, 50_000 + n);
            at = tree.insert(at, header, header.hash());
        }
        let common = tree.locate(&locator, at);
        assert!(common <= 500 && common > 0, "an ancestor of both: {common}");
        assert_eq!(tree.locate(&[], at), 0);
    }
}
