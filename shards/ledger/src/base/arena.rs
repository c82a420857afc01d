//! Memory for records: chunks that are never moved and grow in small steps, cut into slots of whole words, with a list
//! of free slots for each size. Knows of a record only its length, and where
//! its count lies, which is never 0.
//!
//! ```text
//! position   chunk << 14 | word in the chunk          slots of at most 1 KiB, 4 bytes a word, 64 KiB a chunk
//!            1 << 31 | number                         longer records, each in memory of its own
//! free slot  [words u32][…][0 at 32]
//! ```
//!
//! A slot is used again by records of its own size only. What records come and go in is about the same from one week to
//! the next, so few slots are idle (measured: see `base.rs`), and every start fills the memory anew.

use super::prefetch::prefetch;
use super::record::Spot;

const WORD: usize = 4;
const CHUNK_BYTES: usize = 64 * 1024;
const WORDS_OF_CHUNK: u32 = (CHUNK_BYTES / WORD) as u32;
const SLOT_BYTES_MAX: usize = 1024;
/// A cache line.
const LINE: usize = 64;
const LONG: u32 = 1 << 31;
/// Where a record has the number of its outputs.
pub(super) const COUNT_AT: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Arena {
    chunks: Vec<Vec<u8>>,
    /// Free slots of each number of words. They are named here, not in the slots: whoever takes one need not wait for it.
    free: Vec<Vec<u32>>,
    long: Vec<Box<[u8]>>,
    long_free: Vec<u32>,
    long_bytes: usize,
}

#[inline]
fn split(position: u32) -> (usize, usize) {
    ((position / WORDS_OF_CHUNK) as usize, (position % WORDS_OF_CHUNK) as usize * WORD)
}

impl Arena {
    /// A record and whatever lies behind it.
    #[inline]
    pub fn record(&self, position: u32) -> &[u8] {
        if position & LONG != 0 {
            return &self.long[(position & !LONG) as usize];
        }
        let (chunk, at) = split(position);
        &self.chunks[chunk][at..]
    }

    /// Asks for the first bytes of a record, which are all of most.
    #[inline]
    pub fn prefetch(&self, position: u32) {
        let record = self.record(position);
        prefetch(&record[0]);
        prefetch(&record[record.len().min(LINE + 1) - 1]);
    }

    /// Copies a record in.
    pub fn add(&mut self, record: &[u8]) -> u32 {
        debug_assert!(record.len() > COUNT_AT && record[COUNT_AT] != 0);
        if record.len() > SLOT_BYTES_MAX {
            self.long_bytes += record.len();
            let number = self.long_free.pop().unwrap_or(self.long.len() as u32);
            if number as usize == self.long.len() {
                self.long.push(Box::default());
            }
            self.long[number as usize] = record.into();
            return LONG | number;
        }
        let words = record.len().div_ceil(WORD);
        if let Some(position) = self.free.get_mut(words).and_then(Vec::pop) {
            let (chunk, at) = split(position);
            self.chunks[chunk][at..at + record.len()].copy_from_slice(record);
            return position;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() + words * WORD > CHUNK_BYTES) {
            // The first one grows from nothing: most tests, and new nodes, have few coins.
            let bytes = if self.chunks.is_empty() { 0 } else { CHUNK_BYTES };
            self.chunks.push(Vec::with_capacity(bytes));
            assert!(self.chunks.len() as u32 <= LONG / WORDS_OF_CHUNK, "8 GiB of coins in one of 256 partitions");
        }
        let last = self.chunks.len() - 1;
        let chunk = &mut self.chunks[last];
        let at = chunk.len();
        chunk.extend_from_slice(record);
        chunk.resize(at + words * WORD, 0);
        last as u32 * WORDS_OF_CHUNK + (at / WORD) as u32
    }

    /// Frees the slot of a record of `len` bytes.
    pub fn free(&mut self, position: u32, len: usize) {
        if position & LONG != 0 {
            let number = position & !LONG;
            self.long_bytes -= len;
            self.long[number as usize] = Box::default();
            self.long_free.push(number);
            return;
        }
        let (words, (chunk, at)) = (len.div_ceil(WORD), split(position));
        let slot = &mut self.chunks[chunk][at..at + words * WORD];
        slot[..4].copy_from_slice(&(words as u32).to_le_bytes());
        slot[COUNT_AT] = 0;
        if self.free.len() <= words {
            self.free.resize(words + 1, Vec::new());
        }
        self.free[words].push(position);
    }

    /// Puts a record of another length in the place of one of `len` bytes; where it lies now.
    pub fn replace(&mut self, position: u32, len: usize, record: &[u8]) -> u32 {
        if position & LONG == 0 && record.len().div_ceil(WORD) == len.div_ceil(WORD) {
            let (chunk, at) = split(position);
            self.chunks[chunk][at..at + record.len()].copy_from_slice(record);
            return position;
        }
        self.free(position, len);
        self.add(record)
    }

    /// Bytes of memory it holds.
    pub fn bytes(&self) -> usize {
        let first = self.chunks.first().map_or(0, Vec::capacity);
        first + self.chunks.len().saturating_sub(1) * CHUNK_BYTES + self.long_bytes
    }

    /// Number of parts that [`Arena::part`] has.
    pub fn parts(&self) -> usize {
        self.chunks.len() + self.long.len()
    }

    /// Calls with the positions of all records of one part, in their order in memory.
    pub fn part(&self, part: usize, mut each: impl FnMut(u32)) {
        let Some(chunk) = self.chunks.get(part) else {
            let number = part - self.chunks.len();
            if !self.long[number].is_empty() {
                each(LONG | number as u32);
            }
            return;
        };
        let mut at = 0;
        while at < chunk.len() {
            let slot = &chunk[at..];
            let words = if slot[COUNT_AT] == 0 {
                u32::from_le_bytes(*slot.first_chunk().expect("a slot is longer")) as usize
            } else {
                each(part as u32 * WORDS_OF_CHUNK + (at / WORD) as u32);
                Spot::of(slot, 0).len.div_ceil(WORD)
            };
            at += words * WORD;
        }
    }
}
