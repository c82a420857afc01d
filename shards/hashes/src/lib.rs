//! SHA-256 of the SHA-256 of many messages: the hashes of all transactions of a block. Where the processor has AVX-512, sixteen are
//! hashed in step, one in each 32-bit lane; elsewhere, and where there are few or long ones, each by bitcoin_hashes. Never knows
//! what it hashes.
//!
//! ```text
//! push    parts → a copy, padded to blocks of 64 bytes (FIPS 180-4, 5.1.1)
//! hashes  the longest first: a block of each of sixteen; what has ended makes room for the next; the digests once more
//! ```

#![warn(missing_docs)]

#[cfg_attr(not(target_arch = "x86_64"), path = "none.rs")]
mod zmm;

use bitcoin_hashes::{HashEngine as _, sha256d};
use std::cmp::Reverse;

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;
/// Messages that are hashed in step.
const LANES: usize = 16;
/// With fewer left over, lanes take longer than one after the other does.
const LANES_MIN: usize = 4;
/// A message of more blocks is hashed alone: lanes would be empty long before it ends.
const BLOCKS_MAX: usize = COPIED_MAX / BLOCK / LANES;
/// What is copied is hashed once it comes to so many bytes: it stays near the core.
const COPIED_MAX: usize = 128 << 10;

/// Messages that are hashed together, and what came of those so far.
#[derive(Debug)]
pub struct Batch {
    lanes: bool,
    /// Messages, padded.
    copied: Vec<u8>,
    jobs: Vec<Job>,
    hashes: Vec<[u8; 32]>,
}

/// A message that was copied.
#[derive(Clone, Copy, Debug, Default)]
struct Job {
    /// Where it begins, and how long it is with its padding, in blocks.
    start: u32,
    blocks: u32,
    /// Its length without.
    len: u32,
    /// Which one it is.
    number: u32,
}

impl Default for Batch {
    fn default() -> Self {
        Batch { lanes: zmm::is_there(), copied: Vec::new(), jobs: Vec::new(), hashes: Vec::new() }
    }
}

impl Batch {
    /// Makes room for the copies of messages of so many bytes in all.
    pub fn reserve(&mut self, bytes: usize) {
        if self.lanes {
            self.copied.reserve(bytes.min(COPIED_MAX) + BLOCKS_MAX * BLOCK);
        }
    }

    /// Adds a message: the parts put end to end.
    pub fn push(&mut self, parts: &[&[u8]]) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        // A bit, and eight bytes with the length.
        let blocks = (len + 9).div_ceil(BLOCK);
        if !self.lanes || blocks > BLOCKS_MAX {
            let mut engine = sha256d::HashEngine::new();
            parts.iter().for_each(|part| engine.input(part));
            return self.hashes.push(sha256d::Hash::from_engine(engine).to_byte_array());
        }
        let (start, number) = (self.copied.len(), self.hashes.len() as u32);
        parts.iter().for_each(|part| self.copied.extend_from_slice(part));
        self.copied.push(0x80);
        self.copied.resize(start + blocks * BLOCK - 8, 0);
        self.copied.extend((8 * len as u64).to_be_bytes());
        self.jobs.push(Job { start: (start / BLOCK) as u32, blocks: blocks as u32, len: len as u32, number });
        self.hashes.push([0; 32]);
        if self.copied.len() >= COPIED_MAX {
            self.run();
        }
    }

    /// The hashes of all messages since the last call, in the order they were added.
    pub fn hashes(&mut self) -> Vec<[u8; 32]> {
        self.run();
        std::mem::take(&mut self.hashes)
    }

    fn run(&mut self) {
        let Batch { copied, jobs, hashes, .. } = self;
        if jobs.len() < LANES_MIN {
            for job in &*jobs {
                let start = job.start as usize * BLOCK;
                let hash = sha256d::hash(&copied[start..start + job.len as usize]);
                hashes[job.number as usize] = hash.to_byte_array();
            }
        } else {
            jobs.sort_unstable_by_key(|job| Reverse(job.blocks));
            zmm::sha256d(copied, jobs, hashes);
        }
        jobs.clear();
        copied.clear();
    }
}

/// The double hash of each pair of hashes: a level of a merkle tree out of the one below it. As many as there are pairs.
pub fn pairs(pairs: &[[u8; BLOCK]], hashes: &mut [[u8; 32]]) {
    assert!(pairs.len() == hashes.len(), "each has its place");
    // What is left over after sixteen at a time goes with them, unless there is little of it.
    let lanes = if pairs.len() % LANES < LANES_MIN { pairs.len() / LANES * LANES } else { pairs.len() };
    let (many, few) = pairs.split_at(if zmm::is_there() { lanes } else { 0 });
    let (of_many, of_few) = hashes.split_at_mut(many.len());
    if !many.is_empty() {
        zmm::pairs(many, of_many);
    }
    sha256d::Hash::hash_64_many(of_few, few);
}

#[cfg(test)]
mod tests;
