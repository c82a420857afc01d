//! What a folder holds, as people walk it: blocks by height and hash, forks, what comes next, read beside a running node or
//! with none, and followed while blocks.bin grows. Never writes.
//!
//! Which of several tips is the best is told by work alone, among what is not out of the running: the node's own word for
//! it is the status page.

use crate::disk::{BLOCK_INDEX, Source, read_up_to};
use crate::exit::Fatal;
use crate::folder::{self, Folder};
use crate::{holder, trouble};
use bytes::Bytes;
use consensus::{Block, BlockHash, Params};
use ledger::headers::{Node, NodeId};
use ledger::inventory::{Inventory, check_bytes};
use ledger::record::{FRAME_LEN, Index, Record, scan};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

/// The blocks of a folder.
pub struct Stored {
    /// Whose blocks.
    pub params: &'static Params,
    folder: Folder,
    path: PathBuf,
    file: File,
    records: Vec<Record>,
    /// So many of them, the first, are headers alone.
    bare: usize,
    inventory: Inventory,
    /// By height, the first block that came …
    first: Vec<NodeId>,
    /// … and the others, where there are any.
    others: BTreeMap<u32, Vec<NodeId>>,
    /// Refused, or invalidated by hand.
    out: BTreeSet<BlockHash>,
    /// By node: itself or an ancestor is out of the running.
    is_out: Vec<bool>,
    best: NodeId,
    /// Where the next record begins.
    end: u64,
}

/// Blocks that were refused, or invalidated by hand.
fn out_of_the_running(folder: &Folder) -> Result<BTreeSet<BlockHash>, Fatal> {
    let refused = folder.refused().into_iter().map(|(hash, _)| hash);
    Ok(folder.invalidated()?.into_iter().chain(refused).collect())
}

impl Stored {
    /// Opens them, with progress on anything that takes long.
    pub fn open(params: &'static Params, folder: &Path) -> Result<Stored, Fatal> {
        let folder = Folder::look(folder)?;
        // First: a node appends to it what is durable already.
        let copies = BLOCK_INDEX.map(|name| folder.read(name).unwrap_or_default());
        let path = folder.path.join("blocks.bin");
        let source = Source { path: path.clone(), key: [0; 8] };
        let opened = folder::index(params, &source, &copies.each_ref().map(Vec::as_slice))?;
        let out = out_of_the_running(&folder)?;
        let file = File::open(&path).map_err(|why| trouble::fatal(&path, "opening of", why))?;
        let mut stored = Stored {
            params,
            folder,
            path,
            file,
            records: Vec::new(),
            bare: 0,
            inventory: Inventory::new(params),
            first: vec![0],
            others: BTreeMap::new(),
            out,
            is_out: vec![false],
            best: 0,
            end: 0,
        };
        let Index { headers, records, end, .. } = opened.index;
        for header in headers {
            let hash = header.hash();
            stored.take(Record { at: 0, len: 0, header, hash, valid: false, punched: true });
        }
        stored.bare = stored.records.len();
        let vouched = opened.taken;
        stored.end = records[..vouched].last().map_or(0, Record::end);
        records[..vouched].iter().for_each(|record| stored.take(*record));
        match holder::of(&stored.folder.path) {
            // The last of them may be half written.
            Some(_) => stored.take_whole(&records[vouched..])?,
            None => {
                records[vouched..].iter().for_each(|record| stored.take(*record));
                stored.end = end;
            }
        }
        Ok(stored)
    }

    /// Takes in what was appended since, and decided; how many records.
    pub fn follow(&mut self) -> Result<usize, Fatal> {
        let out = out_of_the_running(&self.folder)?;
        if out != self.out {
            self.out = out;
            self.is_out.clear();
            self.best = 0;
            self.judge();
        }
        let len = self.file.metadata().map_err(|why| self.failed(why))?.len();
        let read = |at: u64, buffer: &mut [u8]| read_up_to(&self.file, at, buffer);
        let found = scan(self.params, self.end, len, &[], read, |_| {}).map_err(|why| self.failed(why))?;
        // Behind a gap the writing is not done.
        let gap = found.damage.first().map_or(u64::MAX, |gap| gap.at);
        let whole = found.records.partition_point(|record| record.at < gap);
        let before = self.records.len();
        self.take_whole(&found.records[..whole])?;
        Ok(self.records.len() - before)
    }

    /// Takes records up to the first that is not all there.
    fn take_whole(&mut self, records: &[Record]) -> Result<(), Fatal> {
        for record in records {
            let bytes = self.bytes(record).map_err(|why| self.failed(why))?;
            if check_bytes(self.params, record, None, bytes).is_err_and(|rule| rule.kind() == consensus::Kind::Mutated)
            {
                break;
            }
            self.take(*record);
            self.end = record.end();
        }
        Ok(())
    }

    fn take(&mut self, record: Record) {
        self.records.push(record);
        self.inventory.add(&record);
        let tree = &self.inventory.tree;
        for id in self.is_out.len() as NodeId..tree.len() as NodeId {
            let height = tree.node(id).height;
            if height as usize == self.first.len() {
                self.first.push(id);
            } else {
                self.others.entry(height).or_default().push(id);
            }
        }
        self.judge();
    }

    /// What is out of the running, and the best of the rest, among nodes that were not looked at.
    fn judge(&mut self) {
        let tree = &self.inventory.tree;
        for id in self.is_out.len() as NodeId..tree.len() as NodeId {
            let node = tree.node(id);
            let above = id > 0 && self.is_out[node.parent as usize];
            let out = above || self.out.contains(&node.hash);
            self.is_out.push(out);
            if !out && node.work > tree.node(self.best).work {
                self.best = id;
            }
        }
    }

    fn failed(&self, why: std::io::Error) -> Fatal {
        trouble::fatal(&self.path, "read of", why)
    }

    /// How many blocks there are, forks included.
    pub fn len(&self) -> usize {
        self.inventory.tree.len()
    }

    /// How many records, and the bytes up to the end of the last.
    pub fn records(&self) -> (usize, u64) {
        (self.records.len(), self.end)
    }

    /// A block of the tree.
    pub fn node(&self, id: NodeId) -> &Node {
        self.inventory.tree.node(id)
    }

    /// The block with this hash.
    pub fn find(&self, hash: &BlockHash) -> Option<NodeId> {
        self.inventory.tree.find(hash)
    }

    /// The last block of the best chain.
    pub fn best(&self) -> NodeId {
        self.best
    }

    /// The block of the best chain at a height.
    pub fn on_best(&self, height: u32) -> Option<NodeId> {
        self.inventory.tree.ancestor(self.best, height)
    }

    /// All blocks at a height, in the order in which they came.
    pub fn at(&self, height: u32) -> Vec<NodeId> {
        let others = self.others.get(&height).into_iter().flatten();
        self.first.get(height as usize).into_iter().chain(others).copied().collect()
    }

    /// The blocks that build on one, in the order in which they came.
    pub fn next(&self, id: NodeId) -> Vec<NodeId> {
        let mut next = self.at(self.node(id).height + 1);
        next.retain(|child| self.node(*child).parent == id);
        next
    }

    /// It, or a block below it, was refused or invalidated by hand.
    pub fn is_out(&self, id: NodeId) -> bool {
        self.is_out[id as usize]
    }

    /// The ends of all branches, highest first.
    pub fn tips(&self) -> Vec<NodeId> {
        let all = 0..self.len() as NodeId;
        let mut leaves: Vec<NodeId> = all.filter(|id| self.inventory.tree.is_leaf(*id)).collect();
        leaves.sort_by_key(|id| (std::cmp::Reverse(self.node(*id).height), *id));
        leaves
    }

    /// The highest block of the best chain at whose height there is no other.
    pub fn uncontested(&self) -> NodeId {
        let mut id = self.best;
        while self.others.contains_key(&self.node(id).height) {
            id = self.node(id).parent;
        }
        id
    }

    /// Where a block's record lies; none if its bytes were never here, or were given up.
    pub fn record(&self, id: NodeId) -> Option<&Record> {
        self.inventory.record(id).map(|number| &self.records[number]).filter(|record| !record.punched)
    }

    /// The network's folder.
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// The records at an offset of blocks.bin or behind, that are there, in the order in which they lie.
    pub fn behind(&self, at: u64) -> Vec<Record> {
        let laid = &self.records[self.bare..];
        let rest = &laid[laid.partition_point(|record| record.at < at)..];
        rest.iter().filter(|record| !record.punched).copied().collect()
    }

    /// The last record before an offset.
    pub fn record_before(&self, at: u64) -> Option<&Record> {
        let laid = &self.records[self.bare..];
        laid[..laid.partition_point(|record| record.at < at)].last()
    }

    /// The record at an offset, with the height of its block, and whether that is on the best chain.
    pub fn record_at(&self, at: u64) -> Option<(Option<u32>, bool, Record)> {
        let laid = &self.records[self.bare..];
        let record = laid.get(laid.partition_point(|record| record.at < at)).filter(|record| record.at == at)?;
        let id = self.find(&record.hash);
        let best = id.is_some_and(|id| self.inventory.tree.descends(self.best, id));
        Some((id.map(|id| self.node(id).height), best, *record))
    }

    fn bytes(&self, record: &Record) -> std::io::Result<Bytes> {
        let mut bytes = vec![0; record.len as usize];
        let got = read_up_to(&self.file, record.at + FRAME_LEN, &mut bytes)?;
        bytes.truncate(got);
        Ok(bytes.into())
    }

    /// A record, read.
    pub fn read(&self, record: &Record) -> Result<Block, String> {
        let said = |why: String| format!("block {}, at byte {} of blocks.bin: {why}", record.hash, record.at);
        let bytes = self.bytes(record).map_err(|why| said(why.to_string()))?;
        let block = Block::parse(bytes).map_err(|why| said(why.to_string()))?;
        match block.hash == record.hash {
            true => Ok(block),
            false => Err(said("other bytes lie there now".into())),
        }
    }

    /// A block, read.
    pub fn block(&self, id: NodeId) -> Result<Block, String> {
        let node = self.node(id);
        let record = self.record(id).ok_or_else(|| {
            format!("block {} at height {} is not stored: pruned, or behind a snapshot", node.hash, node.height)
        })?;
        self.read(record)
    }
}
