//! The record format of blocks.bin: where the blocks lie in a file, and what is damaged.
//!
//! ```text
//!  0        4        8
//!  | magic  | size   | block ...            as bootstrap.dat and Core's block files (u32le both)
//!  | size (u64le)    | block ...            as the 2014 node wrote them; both may mix in one file
//! ```
//!
//! Records lie back to back; zeros exist only at the end of the file. The scan is a state machine
//! over positional reads that somebody else makes. It takes a header with proof of work behind a
//! plausible size for a record; whether a record is whole is found when it is read. It looks into a
//! body only where no record follows: then the size may be damaged, and other records lie within;
//! and where the file has a hole in it. Bytes that are no record are skipped to the next one and
//! named as damage, or as pruned where a hole of the file is among them.

use crate::holes::meets;
use consensus::{Block, BlockHash, Header, Params, meets_target};
use std::ops::Range;

/// Bytes before each block.
pub const FRAME_LEN: u64 = 8;
/// Largest block (Core `MAX_BLOCK_SERIALIZED_SIZE`).
pub const BLOCK_LEN_MAX: u64 = 4_000_000;
/// Smallest block: a header, a count of one, and a transaction of 60 bytes.
pub const BLOCK_LEN_MIN: u64 = 80 + 1 + 60;

/// Where a block lies in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// Offset of the frame.
    pub at: u64,
    /// Bytes of the block, without the frame.
    pub len: u32,
    /// Its header.
    pub header: Header,
    /// Its hash.
    pub hash: BlockHash,
    /// It is known from an earlier run that the block is valid; a scan knows of none.
    pub valid: bool,
    /// Its bytes were given up to make room; a scan finds none of those.
    pub punched: bool,
}

impl Record {
    /// Offset of the first byte after the record.
    pub fn end(&self) -> u64 {
        self.at + FRAME_LEN + u64::from(self.len)
    }

    /// All of its bytes.
    pub fn span(&self) -> Range<u64> {
        self.at..self.end()
    }
}

/// Bytes of a file that are no record, though a record follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Damage {
    /// Offset of the first such byte.
    pub at: u64,
    /// How many.
    pub len: u64,
}

/// Everything a scan found.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// Headers that are known without a record, parents first; a scan knows of none.
    pub headers: Vec<Header>,
    /// Records in the order they lie.
    pub records: Vec<Record>,
    /// Gaps between them.
    pub damage: Vec<Damage>,
    /// Gaps that a hole of the file lies in: what was there was pruned.
    pub pruned: Vec<Damage>,
    /// Offset after the last record: the logical end of the file.
    pub end: u64,
    /// Bytes after `end` that are neither zero nor a whole record: a torn tail.
    pub torn: u64,
    /// First four bytes of a file that begins with none of our records: perhaps the magic of another network.
    pub foreign_magic: Option<[u8; 4]>,
}

/// The frame of a block as we write it.
pub fn frame(params: &Params, len: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&params.magic);
    bytes[4..].copy_from_slice(&len.to_le_bytes());
    bytes
}

/// Size of the block that a frame announces, if it is one of ours or of 2014.
pub fn frame_size(params: &Params, frame: &[u8; 8]) -> Option<u64> {
    let size = if frame[..4] == params.magic {
        u64::from(u32::from_le_bytes(frame[4..].try_into().expect("4 bytes")))
    } else {
        u64::from_le_bytes(*frame)
    };
    (BLOCK_LEN_MIN..=BLOCK_LEN_MAX).contains(&size).then_some(size)
}

/// A record that starts at the first of these bytes, which lie at `at` of a file of `file_len` bytes.
pub fn record_at(params: &Params, bytes: &[u8], at: u64, file_len: u64) -> Option<Record> {
    let frame: &[u8; 8] = bytes.get(..8)?.try_into().ok()?;
    let header = Header::parse(bytes.get(8..88)?.try_into().ok()?);
    let size = frame_size(params, frame)?;
    let hash = header.hash();
    let len = u32::try_from(size).expect("at most 4,000,000");
    let record = Record { at, len, header, hash, valid: false, punched: false };
    (meets_target(&hash, header.bits, params) && record.end() <= file_len).then_some(record)
}

/// Reads records by `read(at, buffer) -> bytes read` (short only at the end of the file; an error
/// ends the scan) from `start` to the end of a file of `file_len` bytes with these holes, which are
/// not read. `progress` is called with each offset reached.
pub fn scan<E>(
    params: &Params,
    start: u64,
    file_len: u64,
    holes: &[Range<u64>],
    mut read: impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
    mut progress: impl FnMut(u64),
) -> Result<Index, E> {
    let mut index = Index { end: start, ..Index::default() };
    let (mut at, mut head) = (start, [0u8; 88]);
    loop {
        let got = if at < file_len { read(at, &mut head)? } else { 0 };
        if let Some(record) = record_at(params, &head[..got], at, file_len)
            && (!meets(holes, &record.span()) || is_whole(&record, &mut read)?)
        {
            at = record.end();
            index.end = at;
            index.records.push(record);
            progress(at);
            continue;
        }
        if index.records.is_empty() && index.foreign_magic.is_none() {
            index.foreign_magic = foreign_magic(params, &head[..got]);
        }
        if let Some(last) = index.records.last().copied().filter(|last| last.end() == at)
            && !size_fits(&last, &mut read)?
            && let Search::Record(next) =
                next_record(params, last.at + 1..at, file_len, holes, &mut read, &mut progress)?
        {
            index.records.pop();
            index.gap(last.at, next, holes);
            at = next;
            continue;
        }
        match next_record(params, at..file_len, file_len, holes, &mut read, &mut progress)? {
            Search::Record(next) => {
                index.gap(at, next, holes);
                at = next;
            }
            Search::Nothing { last_nonzero } => {
                index.torn = last_nonzero + 1 - index.end;
                break;
            }
            Search::Zeros => break,
        }
    }
    Ok(index)
}

impl Index {
    /// Nothing is a record from `at` to `next`.
    pub(crate) fn gap(&mut self, at: u64, next: u64, holes: &[Range<u64>]) {
        let gaps = if meets(holes, &(at..next)) { &mut self.pruned } else { &mut self.damage };
        gaps.push(Damage { at, len: next - at });
    }
}

/// Whether a block ends where the frame says: reading it takes all of the bytes and no more.
fn size_fits<E>(record: &Record, read: &mut impl FnMut(u64, &mut [u8]) -> Result<usize, E>) -> Result<bool, E> {
    Ok(block_of(record, read)?.is_some())
}

/// Whether a block with a hole in it has all its transactions nevertheless: copying a file may make holes of zeros.
fn is_whole<E>(record: &Record, read: &mut impl FnMut(u64, &mut [u8]) -> Result<usize, E>) -> Result<bool, E> {
    let whole = |block: &Block| block.facts.merkle_root == record.header.merkle_root;
    Ok(block_of(record, read)?.as_ref().is_some_and(whole))
}

fn block_of<E>(record: &Record, read: &mut impl FnMut(u64, &mut [u8]) -> Result<usize, E>) -> Result<Option<Block>, E> {
    let mut bytes = vec![0; record.len as usize];
    let got = read(record.at + FRAME_LEN, &mut bytes)?;
    Ok(if got == bytes.len() { Block::parse(bytes.into()).ok() } else { None })
}

fn foreign_magic(params: &Params, head: &[u8]) -> Option<[u8; 4]> {
    let magic: [u8; 4] = head.get(..4)?.try_into().ok()?;
    (magic != params.magic && magic != [0; 4]).then_some(magic)
}

enum Search {
    Record(u64),
    Zeros,
    Nothing { last_nonzero: u64 },
}

/// Looks for the next record that starts behind the first byte of `within`, inside it, in
/// a file of `file_len` bytes: byte by byte in large reads.
fn next_record<E>(
    params: &Params,
    within: Range<u64>,
    file_len: u64,
    holes: &[Range<u64>],
    read: &mut impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
    progress: &mut impl FnMut(u64),
) -> Result<Search, E> {
    const CHUNK: usize = 1 << 20;
    const OVERLAP: usize = 87; // one byte less than a frame and a header
    let mut buffer = vec![0; CHUNK + OVERLAP];
    let (mut at, mut last_nonzero) = (within.start, None);
    while at < within.end {
        if let Some(hole) = holes.get(holes.partition_point(|hole| hole.end <= at)).filter(|hole| hole.start <= at) {
            at = hole.end;
            continue;
        }
        let got = read(at, &mut buffer)?;
        let bytes = &buffer[..got];
        let starts = (within.end - at).min(CHUNK as u64) as usize;
        for offset in 0..got.min(starts) {
            let place = at + offset as u64;
            if bytes[offset] != 0 {
                last_nonzero = Some(place);
                if place > within.start && record_at(params, &bytes[offset..], place, file_len).is_some() {
                    return Ok(Search::Record(place));
                }
            }
        }
        at += CHUNK as u64;
        progress(at.min(within.end));
    }
    Ok(last_nonzero.map_or(Search::Zeros, |last_nonzero| Search::Nothing { last_nonzero }))
}

#[cfg(test)]
mod tests;
