//! What the records of blocks.bin come to once they are looked through: whether one is whole, where its block stands,
//! which chain of them is the best, and what goes when all above a height is to go. Never reads a file, and never says
//! whether a block is valid: whoever broke a rule lies there as it should.

use crate::headers::{Headers, NodeId};
use crate::record::Record;
use bytes::Bytes;
use consensus::{BLOCK_CONTEXT, Block, BlockCx, BlockHash, Header, Kind, Params, Rule, check_block};
use hashbrown::HashMap;

/// Whether these bytes are the block that a record's header stands for; if not, a rule of the kind that says so. Any other
/// rule that is broken says that they are, and that the block is not valid. At an unknown height nothing is asked of
/// witnesses.
pub fn check_bytes(params: &Params, record: &Record, height: Option<u32>, bytes: Bytes) -> Result<(), Rule> {
    let block = Block::parse(bytes).ok().filter(|block| block.hash == record.hash).ok_or(Rule::Malformed)?;
    check_block(&block)?;
    let Some(height) = height else { return Ok(()) };
    // Of time these rules know nothing.
    let cx = BlockCx { params, height, mtp_parent: 0 };
    let of_bytes = |rule: Rule, since: u32| rule.kind() == Kind::Mutated && height >= since;
    let broken =
        BLOCK_CONTEXT.iter().find(|(rule, since, holds)| of_bytes(*rule, since(params)) && !holds(&block, &cx));
    broken.map_or(Ok(()), |(rule, ..)| Err(*rule))
}

/// Records as a tree.
#[derive(Debug)]
pub struct Inventory {
    /// All headers that lead back to genesis, in the order in which their last ancestor came.
    pub tree: Headers,
    /// By record.
    nodes: Vec<Option<NodeId>>,
    /// By node, the last of its records.
    records: Vec<Option<usize>>,
    /// Records whose parents have not come, by parent.
    waiting: HashMap<BlockHash, Vec<(usize, Header, BlockHash)>>,
}

impl Inventory {
    /// Of no record.
    pub fn new(params: &Params) -> Inventory {
        let tree = Headers::new(params.genesis);
        Inventory { tree, nodes: Vec::new(), records: vec![None], waiting: HashMap::new() }
    }

    /// Of records that lie in any order.
    pub fn of(params: &Params, records: &[Record]) -> Inventory {
        let mut inventory = Inventory::new(params);
        records.iter().for_each(|record| inventory.add(record));
        inventory
    }

    /// One more record; its number is how many there were.
    pub fn add(&mut self, record: &Record) {
        let number = self.nodes.len();
        self.nodes.push(None);
        self.settle(vec![(number, record.header, record.hash)]);
    }

    /// Finds the places of records, and of those that waited for them.
    fn settle(&mut self, mut next: Vec<(usize, Header, BlockHash)>) {
        while let Some((number, header, hash)) = next.pop() {
            let node = match (self.tree.find(&hash), self.tree.find(&header.prev)) {
                (Some(known), _) => known,
                (None, Some(parent)) => self.tree.insert(parent, header, hash),
                (None, None) => {
                    self.waiting.entry(header.prev).or_default().push((number, header, hash));
                    continue;
                }
            };
            self.records.resize(self.tree.len(), None);
            let last = &mut self.records[node as usize];
            *last = (*last).max(Some(number));
            self.nodes[number] = Some(node);
            next.extend(self.waiting.remove(&hash).unwrap_or_default());
        }
    }

    /// A header whose block has not come, above one that is there; its name.
    pub fn insert(&mut self, parent: NodeId, header: Header, hash: BlockHash) -> NodeId {
        let node = self.tree.insert(parent, header, hash);
        self.records.resize(self.tree.len(), None);
        let next = self.waiting.remove(&hash).unwrap_or_default();
        self.settle(next);
        node
    }

    /// The last record of a block: whatever was found damaged was appended again.
    pub fn record(&self, node: NodeId) -> Option<usize> {
        self.records[node as usize]
    }

    /// The height of a record's block; none where one of its ancestors is not there.
    pub fn height(&self, record: usize) -> Option<u32> {
        self.nodes[record].map(|node| self.tree.node(node).height)
    }

    /// The end of the chain with the most work of which every block is there and none is out of the running.
    pub fn best(&self, there: impl Fn(usize) -> bool, is_out: impl Fn(&BlockHash) -> bool) -> NodeId {
        let mut entire = vec![false; self.tree.len()];
        entire[0] = true;
        for (record, node) in self.nodes.iter().enumerate() {
            entire[node.unwrap_or(0) as usize] |= there(record);
        }
        let mut best = 0;
        for node in 1..self.tree.len() as NodeId {
            let header = self.tree.node(node);
            entire[node as usize] &= entire[header.parent as usize] && !is_out(&header.hash);
            if entire[node as usize] && header.work > self.tree.node(best).work {
                best = node;
            }
        }
        best
    }

    /// Whether a record's block lies on the chain that ends there.
    pub fn leads_to(&self, record: usize, end: NodeId) -> bool {
        self.nodes[record].is_some_and(|node| self.tree.descends(end, node))
    }
}

/// What becomes of a file from which every block above a height goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// The file ends here: behind the last record before any that goes.
    pub at: u64,
    /// So many records lie before that and stay where they are.
    pub stay: usize,
    /// Records, by number, that lie behind and are not above the height: they are appended again.
    pub moved: Vec<usize>,
    /// Those that go.
    pub gone: Vec<usize>,
}

/// The cut above a height. A block of unknown height may lie above it, so it goes too.
pub fn cut_above(records: &[Record], inventory: &Inventory, height: u32) -> Cut {
    let stays = |record: &usize| inventory.height(*record).is_some_and(|found| found <= height);
    let stay = (0..records.len()).take_while(stays).count();
    let at = records[..stay].last().map_or(0, Record::end);
    let (moved, gone) = (stay..records.len()).partition(stays);
    Cut { at, stay, moved, gone }
}

#[cfg(test)]
mod tests;
