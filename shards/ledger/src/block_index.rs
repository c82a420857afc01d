//! The block index: what blocks.bin holds and which of it was found valid, so that a start need not look through it. It is
//! never more than a help: whatever is missing or does not fit is found again in blocks.bin.
//!
//! ```text
//!  | "caesidx1" | magic of the network |  then rows, back to back, oldest first:
//!  | 1 | offset of the frame u64le | size of the block u32le | header, 80 bytes | check u32le |   a record is durable
//!  | 2 | offset of the frame u64le | check u32le |                                                that block is valid
//!  | 4 | header, 80 bytes | check u32le |                             behind a snapshot: a block that is not there
//! ```
//!
//! A check is CRC-32C over all bytes of the file before it, checks aside, so that rows that were lost or put elsewhere
//! make all that follow unreadable. Records come in the order in which they lie. Nothing is ever synced.

use crate::record::{Damage, FRAME_LEN, Index, Record, record_at, scan};
use consensus::{Header, Params};

const TITLE: &[u8; 8] = b"caesidx1";
const STORED: u8 = 1;
const VALID: u8 = 2;
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
        Some(&VALID) => Some(1 + 8),
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
            records.push(Record { at, len: u32::from_le_bytes(*size), header, hash: header.hash(), valid: false });
        } else if let Ok(place) = records.binary_search_by_key(&at, |record| record.at) {
            records[place].valid = true;
        }
        rows.crc = crc;
        rest = &rest[row_len + 4..];
    }
    Some(Said { headers, records, len: bytes.len() - rest.len(), rows })
}

/// Whether these records lie in a file of that length as they say: in order, and some of them looked at.
fn fits<E>(
    params: &Params,
    records: &[Record],
    file_len: u64,
    read: &mut impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
) -> Result<bool, E> {
    let in_order = records.windows(2).all(|pair| pair[0].end() <= pair[1].at);
    let Some(last) = records.last().filter(|last| in_order && last.end() <= file_len) else { return Ok(false) };
    let step = records.len().div_ceil(SAMPLES);
    let mut head = [0; FRAME_LEN as usize + 80];
    for record in records.iter().step_by(step).chain([last]) {
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
    /// So many bytes of the index file stay as they are; 0: it is written anew.
    pub keep: u64,
    /// What comes after those.
    pub append: Vec<u8>,
    /// Goes on from there.
    pub rows: Rows,
    /// So many of the records were taken from the index, the others found by looking through blocks.bin.
    pub taken: usize,
}

/// Reads an index (empty bytes for none) and looks through what blocks.bin, a file of `file_len` bytes, holds beyond it;
/// `read` and `progress` as for [`scan`].
pub fn open<E>(
    params: &Params,
    bytes: &[u8],
    file_len: u64,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
    progress: impl FnMut(u64),
) -> Result<Opened, E> {
    let (mut append, mut keep, mut taken, mut start) = (Vec::new(), 0, Vec::new(), 0);
    let (mut rows, headers);
    match read_rows(params, bytes) {
        Some(said) if fits(params, &said.records, file_len, &mut read)? => {
            start = said.records.last().map_or(0, Record::end);
            (rows, keep, taken, headers) = (said.rows, said.len as u64, said.records, said.headers);
        }
        said => {
            rows = Rows::begin(params, &mut append);
            // They say nothing of blocks.bin.
            headers = said.map_or_else(Vec::new, |said| said.headers);
            headers.iter().for_each(|header| rows.header(header, &mut append));
        }
    }
    let mut index = scan(params, start, file_len, read, progress)?;
    index.headers = headers;
    for record in &index.records {
        rows.stored(record.at, record.len, &record.header, &mut append);
    }
    let gaps = taken.iter().scan(0, |end, record| {
        let gap = Damage { at: *end, len: record.at - *end };
        *end = record.end();
        Some(gap)
    });
    index.damage.splice(0..0, gaps.filter(|gap| gap.len > 0));
    let count = taken.len();
    index.records.splice(0..0, taken);
    Ok(Opened { index, keep, append, rows, taken: count })
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
