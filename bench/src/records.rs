//! Files of blocks: `[magic u32le][size u32le][block]`, back to back, as in bootstrap.dat and blocks.bin.
//!
//! Writes chains with their forks, and finds the blocks of such a file and their best chain. Trusts what it
//! reads to be a chain: checks no proof of work.

use crate::block::{Block, REGTEST_MAGIC};
use crate::chain::{Factory, Spec};
use crate::p2p;
use crate::tx::{Hash, sha256d, show};
use rustix::fs::sendfile;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;

/// The most a block has, in bytes: its weight limit, all of it witness (BIP141).
const BLOCK_BYTES_MAX: u32 = 4_000_000;

/// Writes one record of a regtest block.
pub fn write_record(out: &mut impl Write, block: &Block) -> io::Result<()> {
    let bytes = block.bytes();
    out.write_all(&REGTEST_MAGIC.to_le_bytes())?;
    out.write_all(&(bytes.len() as u32).to_le_bytes())?;
    out.write_all(&bytes)
}

/// A branch that leaves the main chain behind `at` and is `length` blocks long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// Height of the last block in common.
    pub at: u32,
    /// Blocks of the branch.
    pub length: u32,
    /// Transactions in it, about.
    pub txs: u32,
}

/// Writes the genesis and the chain of `spec`. A fork's blocks come before the main chain's that they rival, so
/// that whoever takes blocks as they come is on the fork until the main chain has overtaken it. `progress` is
/// called with the factory after each block of the main chain. Returns the factory, standing at the end.
pub fn write_chain(
    out: &mut impl Write,
    spec: Spec,
    forks: &[Fork],
    mut progress: impl FnMut(&Factory),
) -> io::Result<Factory> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
    let (seed, last) = (spec.seed, spec.blocks);
    if let Some(fork) = forks.iter().find(|fork| fork.at > last) {
        return Err(invalid(format!("a fork at {} needs a chain that high: this one ends at {last}", fork.at)));
    }
    let mut factory = Factory::new(spec).map_err(invalid)?;
    write_record(out, &Block::genesis())?;
    loop {
        for (index, fork) in forks.iter().enumerate().filter(|(_, fork)| fork.at == factory.height()) {
            let seed = seed.wrapping_add(1 + index as u64);
            for block in factory.branch(seed, fork.length, fork.txs).map_err(invalid)? {
                write_record(out, &block)?;
            }
        }
        let Some(block) = factory.next() else { return Ok(factory) };
        write_record(out, &block)?;
        progress(&factory);
    }
}

/// Where the bytes are.
enum Source {
    Memory(Vec<u8>),
    Disk(File),
}

impl Source {
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        match self {
            Source::Disk(file) => file.read_exact_at(into, at),
            Source::Memory(bytes) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                let from = at.checked_add(into.len()).and_then(|end| bytes.get(at..end));
                into.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

struct Entry {
    at: u64,
    size: u32,
    height: u32,
    header: [u8; 80],
    /// That of the message that carries the block, once it was asked for.
    checksum: OnceLock<[u8; 4]>,
}

impl Entry {
    fn prev(&self) -> Hash {
        self.header[4..36].try_into().expect("32 bytes")
    }
}

/// The blocks of a file, whatever the network, and the best chain among them: the longest, the first at equal
/// length. (The one with the most work, where all blocks are equally hard.)
pub struct Chain {
    source: Source,
    magic: u32,
    entries: HashMap<Hash, Entry>,
    best: Vec<Hash>,
    left_over: u64,
}

impl Chain {
    /// Reads the headers of a file; the blocks stay in it until they are served.
    pub fn open(path: &Path) -> io::Result<Chain> {
        let name = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(name)?;
        let size = file.metadata()?.len();
        Chain::index(Source::Disk(file), size).map_err(name)
    }

    /// The same from memory.
    pub fn from_bytes(bytes: Vec<u8>) -> io::Result<Chain> {
        let size = bytes.len() as u64;
        Chain::index(Source::Memory(bytes), size)
    }

    fn index(source: Source, end: u64) -> io::Result<Chain> {
        let bad = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let (mut magic, mut at, mut order, mut entries) = (0, 0, Vec::new(), HashMap::new());
        while end - at >= 88 {
            let mut start = [0; 88];
            source.read(at, &mut start)?;
            let [this, size] =
                [0, 4].map(|from| u32::from_le_bytes(start[from..from + 4].try_into().expect("4 bytes")));
            // Zeros come only after the last record, where a file was allocated ahead.
            if this == 0 && at > 0 {
                break;
            }
            if at == 0 {
                magic = this;
            }
            if this != magic {
                return Err(bad(format!(
                    "no record at byte {at}: it begins with {this:08x}, the first one with {magic:08x}"
                )));
            }
            if !(81..=BLOCK_BYTES_MAX).contains(&size) {
                return Err(bad(format!("the record at byte {at} claims a block of {size} bytes")));
            }
            // The last record is cut: the file is still being written, or was not copied whole.
            if u64::from(size) > end - at - 8 {
                break;
            }
            let header: [u8; 80] = start[8..].try_into().expect("80 bytes");
            let hash = sha256d(&header);
            entries.entry(hash).or_insert_with(|| {
                order.push(hash);
                Entry { at: at + 8, size, height: u32::MAX, header, checksum: OnceLock::new() }
            });
            at += 8 + u64::from(size);
        }
        if order.is_empty() {
            return Err(bad("not one whole block record".into()));
        }
        let tip = set_heights(&mut entries, &order);
        let mut best = Vec::new();
        let mut next = Some(tip);
        while let Some((hash, entry)) = next.and_then(|hash| entries.get(&hash).map(|entry| (hash, entry))) {
            best.push(hash);
            next = Some(entry.prev());
        }
        best.reverse();
        Ok(Chain { source, magic, entries, best, left_over: end - at })
    }

    /// The magic of the first record.
    pub fn magic(&self) -> u32 {
        self.magic
    }

    /// The best chain, lowest block first: normally the genesis, else the first whose parent is not in the file.
    pub fn best(&self) -> &[Hash] {
        &self.best
    }

    /// Blocks in all, forks included.
    pub fn blocks(&self) -> usize {
        self.entries.len()
    }

    /// Bytes behind the last whole block: zeros of a file allocated ahead, or a block that is cut.
    pub fn left_over(&self) -> u64 {
        self.left_over
    }

    /// The 80 bytes of a header.
    pub fn header(&self, hash: &Hash) -> Option<&[u8; 80]> {
        self.entries.get(hash).map(|entry| &entry.header)
    }

    /// How many ancestors of a block are in the file; its height, if the file begins with the genesis.
    pub fn height(&self, hash: &Hash) -> Option<u32> {
        self.entries.get(hash).map(|entry| entry.height)
    }

    /// The bytes of a block.
    pub fn block(&self, hash: &Hash) -> io::Result<Option<Vec<u8>>> {
        let Some(entry) = self.entries.get(hash) else { return Ok(None) };
        let mut bytes = vec![0; entry.size as usize];
        self.source.read(entry.at, &mut bytes)?;
        if bytes[..80] != entry.header {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the file changed under block {}", show(hash)),
            ));
        }
        Ok(Some(bytes))
    }

    /// Makes the checksum of the message that carries a block, so that sending it takes no more than that; the block's bytes.
    pub fn prepare(&self, hash: &Hash) -> io::Result<Option<u64>> {
        let Some(entry) = self.entries.get(hash) else { return Ok(None) };
        self.checksum(hash, entry)?;
        Ok(Some(entry.size.into()))
    }

    fn checksum(&self, hash: &Hash, entry: &Entry) -> io::Result<[u8; 4]> {
        if let Some(known) = entry.checksum.get() {
            return Ok(*known);
        }
        let block = self.block(hash)?.expect("it is one of these");
        Ok(*entry.checksum.get_or_init(|| p2p::checksum(&block)))
    }

    /// Sends the message that carries a block, from a file without a copy of ours; the block's bytes.
    pub fn send(&self, hash: &Hash, mut socket: &TcpStream) -> io::Result<Option<u64>> {
        let Some(entry) = self.entries.get(hash) else { return Ok(None) };
        let checksum = self.checksum(hash, entry)?;
        socket.write_all(&p2p::frame_header_of(self.magic, "block", entry.size, checksum))?;
        let (mut at, end) = (entry.at, entry.at + u64::from(entry.size));
        match &self.source {
            Source::Memory(bytes) => socket.write_all(&bytes[at as usize..end as usize])?,
            Source::Disk(file) => {
                while at < end {
                    let left = (end - at) as usize;
                    if sendfile(socket, file, Some(&mut at), left)? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
        Ok(Some(entry.size.into()))
    }

    /// Where on the best chain a peer's locator meets it: the index of the first block the peer lacks.
    pub fn after_locator(&self, locator: &[Hash]) -> usize {
        let place = |hash: &Hash| {
            let height = self.entries.get(hash)?.height as usize;
            (self.best.get(height) == Some(hash)).then_some(height + 1)
        };
        // Nothing known: begin with the child of the genesis, or with the first block if its parent is elsewhere.
        let first = usize::from(self.entries[&self.best[0]].prev() == [0; 32]);
        locator.iter().find_map(place).unwrap_or(first)
    }
}

/// Gives each block its height over the blocks whose parent is missing; returns the best tip. Records may stand
/// in any order, as Bitcoin Core writes them.
fn set_heights(entries: &mut HashMap<Hash, Entry>, order: &[Hash]) -> Hash {
    let mut tip = (0, order[0]);
    for hash in order {
        let mut path = vec![*hash];
        let mut base = 0;
        while let Some(parent) = path.last().map(|last| entries[last].prev()).filter(|prev| entries.contains_key(prev))
        {
            if entries[&parent].height != u32::MAX {
                base = entries[&parent].height + 1;
                break;
            }
            path.push(parent);
        }
        for (step, hash) in path.iter().rev().enumerate() {
            let entry = entries.get_mut(hash).expect("came from the map");
            entry.height = base + step as u32;
            if entry.height > tip.0 {
                tip = (entry.height, *hash);
            }
        }
    }
    tip.1
}
