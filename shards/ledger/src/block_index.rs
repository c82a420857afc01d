//! The block index: what blocks.bin holds and which of it was found valid, so that a start need not look through it. While
//! blocks.bin is whole it is no more than a help: whatever is missing or does not fit is found again there. Of blocks that
//! were pruned the headers lie here alone: then there are two copies of the file, synced before the bytes of a block go.
//!
//! ```text
//!  | "caesidx1" | magic of the network |  then rows, back to back, oldest first:
//!  | 1 | offset of the frame u64le | size of the block u32le | header, 80 bytes | check u32le |   a record is durable
//!  | 2 | offset of the frame u64le | check u32le |                                                that block is valid
//!  | 4 | header, 80 bytes | check u32le |                             behind a snapshot: a block that is not there
//!  | 3 | offset of the frame u64le | check u32le |                                                its bytes may be gone
//! ```
//!
//! A check is CRC-32C over all bytes of the file before it, checks aside, so that rows that were lost or put elsewhere
//! make all that follow unreadable. Records come in the order in which they lie.

use crate::holes::meets;
use crate::record::{FRAME_LEN, Index, Record, record_at, scan};
use consensus::{Header, Params};
use std::ops::Range;

const TITLE: &[u8; 8] = b"caesidx1";
const STORED: u8 = 1;
const VALID: u8 = 2;
const PUNCHED: u8 = 3;
const HEADER: u8 = 4;
/// So many records, spread evenly, are compared with blocks.bin before the rest is believed.
const SAMPLES: usize = 64;

/// Writes rows; knows what all before them come to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rows {
    crc: u32,
}

impl Rows {
    /// The head of a new file.
    pub fn begin(params: &Params, out: &mut Vec<u8>) -> Rows {
        let head = [&TITLE[..], &params.magic].concat();
        out.extend_from_slice(&head);
        Rows { crc: crc32c::crc32c(&head) }
    }

    fn row(&mut self, parts: &[&[u8]], out: &mut Vec<u8>) {
        let start = out.len();
        parts.iter().for_each(|part| out.extend_from_slice(part));
        self.crc = crc32c::crc32c_append(self.crc, &out[start..]);
        out.extend(self.crc.to_le_bytes());
    }

    /// The block with this header and size lies behind the frame at `at`, durably.
    pub fn stored(&mut self, at: u64, len: u32, header: &Header, out: &mut Vec<u8>) {
        self.row(&[&[STORED], &at.to_le_bytes(), &len.to_le_bytes(), &header.to_bytes()], out);
    }

    /// There is such a block, and none of its bytes are here. Parents come first.
    pub fn header(&mut self, header: &Header, out: &mut Vec<u8>) {
        self.row(&[&[HEADER], &header.to_bytes()], out);
    }

    /// The block behind the frame at `at` is valid.
    pub fn valid(&mut self, at: u64, out: &mut Vec<u8>) {
        self.row(&[&[VALID], &at.to_le_bytes()], out);
    }

    /// The bytes of the record at `at` are about to be given up.
    pub fn punched(&mut self, at: u64, out: &mut Vec<u8>) {
        self.row(&[&[PUNCHED], &at.to_le_bytes()], out);
    }
}

/// What a file of rows says, as far as it can be read.
#[derive(Debug, Default)]
pub struct Said {
    /// Headers without a record, parents first.
    pub headers: Vec<Header>,
    /// The records it names, in the order of the rows.
    pub records: Vec<Record>,
    /// Bytes up to the last good row.
    pub len: usize,
    rows: Rows,
}

/// Reads a file of rows; none where it does not begin as one of this network's does.
pub fn read_rows(params: &Params, bytes: &[u8]) -> Option<Said> {
    let mut head = Vec::new();
    let mut rows = Rows::begin(params, &mut head);
    let mut rest = bytes.strip_prefix(&head[..])?;
    let (mut records, mut headers) = (Vec::<Record>::new(), Vec::new());
    while let Some(row_len) = match rest.first() {
        Some(&STORED) => Some(1 + 8 + 4 + 80),
        Some(&VALID | &PUNCHED) => Some(1 + 8),
        Some(&HEADER) => Some(1 + 80),
        _ => None,
    } {
        let Some((row, check)) = rest.get(..row_len + 4).and_then(|row| row.split_last_chunk::<4>()) else { break };
        let crc = crc32c::crc32c_append(rows.crc, row);
        if u32::from_le_bytes(*check) != crc {
            break;
        }
        let at = u64::from_le_bytes(row[1..9].try_into().expect("eight bytes"));
        if row[0] == HEADER {
            headers.push(Header::parse(row[1..].try_into().expect("as long as its kind says")));
        } else if let Some((size, header)) = row[9..].split_first_chunk::<4>() {
            let header = Header::parse(header.try_into().expect("as long as its kind says"));
            let (len, hash) = (u32::from_le_bytes(*size), header.hash());
            records.push(Record { at, len, header, hash, valid: false, punched: false });
        } else if let Ok(place) = records.binary_search_by_key(&at, |record| record.at) {
            match row[0] {
                PUNCHED => records[place].punched = true,
                _ => records[place].valid = true,
            }
        }
        rows.crc = crc;
        rest = &rest[row_len + 4..];
    }
    Some(Said { headers, records, len: bytes.len() - rest.len(), rows })
}

/// Whether these records lie in a file of that length as they say: in order, and some of them looked at that no hole has
/// taken.
fn fits<E>(
    params: &Params,
    records: &[Record],
    file_len: u64,
    holes: &[Range<u64>],
    read: &mut impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
) -> Result<bool, E> {
    let in_order = records.windows(2).all(|pair| pair[0].end() <= pair[1].at);
    if !in_order || records.last().is_none_or(|last| last.end() > file_len) {
        return Ok(false);
    }
    let there = |record: &&Record| !record.punched && !meets(holes, &record.span());
    let there: Vec<&Record> = records.iter().filter(there).collect();
    let step = there.len().div_ceil(SAMPLES).max(1);
    let mut head = [0; FRAME_LEN as usize + 80];
    for record in there.iter().step_by(step).chain(there.last()) {
        let got = read(record.at, &mut head)?;
        let found = record_at(params, &head[..got], record.at, file_len);
        if found.is_none_or(|found| (found.hash, found.len) != (record.hash, record.len)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An index brought up to date.
#[derive(Debug)]
pub struct Opened {
    /// What blocks.bin holds.
    pub index: Index,
    /// The copy of the index file that was believed, and how many of its bytes stay as they are; 0: it is written anew.
    pub copy: usize,
    /// That many bytes.
    pub keep: u64,
    /// What comes after those.
    pub append: Vec<u8>,
    /// Goes on from there.
    pub rows: Rows,
    /// So many of the records were taken from the index, the others found by looking through blocks.bin.
    pub taken: usize,
}

/// Reads the copies of an index (empty bytes for none), goes on with the one that says most, and looks through what
/// blocks.bin, a file of `file_len` bytes, holds beyond it; `holes`, `read` and `progress` as for [`scan`].
pub fn open<E>(
    params: &Params,
    copies: &[&[u8]],
    file_len: u64,
    holes: &[Range<u64>],
    mut read: impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
    progress: impl FnMut(u64),
) -> Result<Opened, E> {
    let read_copy = |(copy, bytes): (usize, &&[u8])| Some((copy, read_rows(params, bytes)?));
    let mut said: Vec<(usize, Said)> = copies.iter().enumerate().filter_map(read_copy).collect();
    // The first of those that say as much.
    said.sort_by_key(|(_, said)| std::cmp::Reverse(said.len));
    let (mut append, mut best, mut headers) = (Vec::new(), None, Vec::new());
    for (copy, said) in said {
        if best.is_none() && fits(params, &said.records, file_len, holes, &mut read)? {
            best = Some((copy, said));
        } else if said.headers.len() > headers.len() {
            // They say nothing of blocks.bin.
            headers = said.headers;
        }
    }
    let (copy, Said { headers, records: taken, len: keep, mut rows }) = best.unwrap_or_else(|| {
        let mut rows = Rows::begin(params, &mut append);
        headers.iter().for_each(|header| rows.header(header, &mut append));
        (0, Said { headers, records: Vec::new(), len: 0, rows })
    });
    let start = taken.last().map_or(0, Record::end);
    let mut index = scan(params, start, file_len, holes, read, progress)?;
    index.headers = headers;
    for record in &index.records {
        rows.stored(record.at, record.len, &record.header, &mut append);
    }
    let (mut gaps, mut end) = (Index::default(), 0);
    for record in &taken {
        if record.at > end {
            gaps.gap(end, record.at, holes);
        }
        end = record.end();
    }
    index.damage.splice(0..0, gaps.damage);
    index.pruned.splice(0..0, gaps.pruned);
    let count = taken.len();
    index.records.splice(0..0, taken);
    Ok(Opened { index, copy, keep: keep as u64, append, rows, taken: count })
}

/// The bytes of an index made anew for these records, and headers without one.
pub fn anew(params: &Params, headers: &[Header], records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rows = Rows::begin(params, &mut out);
    headers.iter().for_each(|header| rows.header(header, &mut out));
    for record in records {
        rows.stored(record.at, record.len, &record.header, &mut out);
        if record.valid {
            rows.valid(record.at, &mut out);
        }
    }
    out
}

#[cfg(test)]
mod tests;
