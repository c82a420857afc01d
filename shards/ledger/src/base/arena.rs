//! Memory for records: chunks that are never moved, cut into slots of whole words, with a list of free slots for each size.
//! Knows of a record only its length.
//!
//! ```text
//! position   chunk << 20 | word in the chunk          slots of at most 1 KiB, 4 bytes a word, 4 MiB a chunk
//!            1 << 31 | number                         longer records, each in memory of its own
//! ```
//!
//! A chunk is asked for whole, and when the one before it is half full: whoever gives the memory may make it of huge pages
//! and touch them meanwhile. A slot is used again by records of its own size only, the last one freed first: it is then
//! still in the cache. What records come and go in is about the same from one week to the next, so few slots are idle
//! (measured: see `base.rs`), and every start fills the memory anew.

use super::prefetch::prefetch;

const WORD: usize = 4;
const CHUNK_BYTES: usize = 4 << 20;
const WORDS_OF_CHUNK: u32 = (CHUNK_BYTES / WORD) as u32;
const SLOT_BYTES_MAX: usize = 1024;
/// A cache line.
const LINE: usize = 64;
const LONG: u32 = 1 << 31;

#[derive(Debug, Default)]
pub(super) struct Arena {
    chunks: Vec<Vec<u8>>,
    /// The next chunk.
    spare: Option<Vec<u8>>,
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
            self.chunks.push(self.spare.take().unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES)));
            assert!(self.chunks.len() as u32 <= LONG / WORDS_OF_CHUNK, "8 GiB of coins in 32 of 256 partitions");
        }
        let last = self.chunks.len() - 1;
        let chunk = &mut self.chunks[last];
        let at = chunk.len();
        chunk.extend_from_slice(record);
        chunk.resize(at + words * WORD, 0);
        if at >= CHUNK_BYTES / 2 && self.spare.is_none() {
            self.spare = Some(Vec::with_capacity(CHUNK_BYTES));
        }
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
        let words = len.div_ceil(WORD);
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

    /// Bytes of memory it has filled: of chunks, and long records.
    pub fn bytes(&self) -> usize {
        let last = self.chunks.last().map_or(0, Vec::len);
        self.chunks.len().saturating_sub(1) * CHUNK_BYTES + last + self.long_bytes
    }
}
