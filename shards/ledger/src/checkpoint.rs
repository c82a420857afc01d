//! A checkpoint: the base of one partition as the bytes of a file, in pieces that are small enough to be made between two
//! blocks, and which checkpoints of a partition are kept. Decides the format and refuses what is damaged; never opens a
//! file, and never sees a coin.
//!
//! ```text
//!  | "caesckp1" | head | check u32le |      then pieces, each a chunk of the base:
//!  | length u32le | check u32le | bytes … |  and behind the last:
//!  | 0 u32le | check u32le | coins u64le |
//! ```
//!
//! The head is an rkyv archive of [`Head`]. A check is CRC-32C over the bytes of heads and pieces so far, the last one over
//! the number of coins too: whatever was lost, cut or put elsewhere, a file is whole or it is damaged.

use crate::base::CHUNK_BYTES_MAX;
use consensus::BlockHash;
use rkyv::rancor;

const TITLE: &[u8; 8] = b"caesckp1";
/// Bytes of the archive.
const ARCHIVE_LEN: usize = size_of::<ArchivedFields>();
/// Bytes before the first piece.
pub const HEAD_LEN: usize = 8 + ARCHIVE_LEN + 4;
/// Bytes before those of each piece.
pub const PIECE_HEAD_LEN: usize = 8;

/// Of what a checkpoint is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Magic of the network.
    pub network: [u8; 4],
    /// The partition, below 256.
    pub partition: u16,
    /// The block whose world the base is of.
    pub height: u32,
    /// Its hash.
    pub block: BlockHash,
}

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Fields {
    network: [u8; 4],
    height: u32,
    partition: u16,
    block: [u8; 32],
}

/// What is wrong with a checkpoint, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Damage {
    /// It does not begin as one does.
    #[error("it is no checkpoint")]
    Title,
    /// Bytes are not what they were.
    #[error("checksum {found:08x} before offset {at} where {wanted:08x} is written")]
    Check {
        /// Offset of what was read last.
        at: u64,
        /// What the bytes come to.
        found: u32,
        /// What the file says.
        wanted: u32,
    },
    /// No piece is that long.
    #[error("a piece of {len} bytes at offset {at}")]
    Length {
        /// Where.
        at: u64,
        /// Its bytes.
        len: u32,
    },
    /// It ends too early.
    #[error("it ends at offset {at}, in the middle")]
    Short {
        /// Where.
        at: u64,
    },
    /// It has more behind its end.
    #[error("bytes behind its end at offset {at}")]
    Long {
        /// Where.
        at: u64,
    },
}

/// Makes the bytes of a checkpoint.
#[derive(Debug)]
pub struct Writer {
    crc: u32,
}

impl Writer {
    /// Appends the head.
    pub fn begin(head: &Head, out: &mut Vec<u8>) -> Writer {
        let Head { network, partition, height, block } = *head;
        let fields = Fields { network, height, partition, block: block.0 };
        // Plain numbers into memory: nothing in it can fail.
        let archive = rkyv::to_bytes::<rancor::Error>(&fields).expect("numbers can be archived");
        let mut writer = Writer { crc: 0 };
        out.extend_from_slice(TITLE);
        writer.crc = crc32c::crc32c_append(crc32c::crc32c(TITLE), &archive);
        out.extend_from_slice(&archive);
        out.extend(writer.crc.to_le_bytes());
        writer
    }

    /// Appends a piece.
    pub fn piece(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        assert!((1..=CHUNK_BYTES_MAX).contains(&bytes.len()), "a piece of {} bytes", bytes.len());
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        out.extend((bytes.len() as u32).to_le_bytes());
        out.extend(self.crc.to_le_bytes());
        out.extend_from_slice(bytes);
    }

    /// Appends the end.
    pub fn end(self, coins: u64, out: &mut Vec<u8>) {
        let crc = crc32c::crc32c_append(self.crc, &coins.to_le_bytes());
        out.extend([0; 4]);
        out.extend(crc.to_le_bytes());
        out.extend(coins.to_le_bytes());
    }
}

/// Reads the head of a checkpoint.
pub fn head(bytes: &[u8; HEAD_LEN]) -> Result<Head, Damage> {
    read_head(bytes).map(|(head, _)| head)
}

fn read_head(bytes: &[u8; HEAD_LEN]) -> Result<(Head, u32), Damage> {
    if bytes[..8] != *TITLE {
        return Err(Damage::Title);
    }
    let (archive, wanted) = bytes[8..].split_at(ARCHIVE_LEN);
    let found = crc32c::crc32c(&bytes[..8 + ARCHIVE_LEN]);
    let wanted = u32::from_le_bytes(wanted.try_into().expect("four bytes"));
    let damage = Damage::Check { at: HEAD_LEN as u64, found, wanted };
    if found != wanted {
        return Err(damage);
    }
    let mut aligned = rkyv::util::AlignedVec::<16>::with_capacity(ARCHIVE_LEN);
    aligned.extend_from_slice(archive);
    let fields = rkyv::from_bytes::<Fields, rancor::Error>(&aligned).map_err(|_| damage)?;
    let Fields { network, height, partition, block } = fields;
    Ok((Head { network, partition, height, block: BlockHash(block) }, found))
}

/// Reads the pieces of a checkpoint out of bytes that come as they like.
#[derive(Debug, Default)]
pub struct Reader {
    held: Vec<u8>,
    /// Of `held`, bytes that were read.
    used: usize,
    /// Offset in the file of the first byte held.
    at: u64,
    /// None before the head.
    crc: Option<u32>,
    coins: Option<u64>,
}

/// What comes next.
#[derive(PartialEq, Eq, Debug)]
pub enum Next<'a> {
    /// Of what it is.
    Head(Head),
    /// A chunk of the base.
    Piece(&'a [u8]),
    /// That was the last; so many coins in all.
    End(u64),
    /// More bytes are needed.
    More,
}

impl Reader {
    /// Takes the next bytes of the file.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.drain(..self.used);
        self.at += self.used as u64;
        self.used = 0;
        self.held.extend_from_slice(bytes);
    }

    fn take(&mut self, len: usize) -> Option<&[u8]> {
        let taken = self.held.get(self.used..self.used + len)?;
        self.used += len;
        Some(taken)
    }

    /// The next part: the head, pieces, the end.
    pub fn piece(&mut self) -> Result<Next<'_>, Damage> {
        if let Some(coins) = self.coins {
            return self.end(coins);
        }
        let Some(crc) = self.crc else {
            let Some(bytes) = self.take(HEAD_LEN) else { return Ok(Next::More) };
            let (head, crc) = read_head(bytes.try_into().expect("as long as asked"))?;
            self.crc = Some(crc);
            return Ok(Next::Head(head));
        };
        let at = self.at + self.used as u64;
        let Some(start) = self.held.get(self.used..self.used + PIECE_HEAD_LEN) else { return Ok(Next::More) };
        let word = |at: usize| u32::from_le_bytes(start[at..at + 4].try_into().expect("four bytes"));
        let (len, wanted) = (word(0), word(4));
        if len as usize > CHUNK_BYTES_MAX {
            return Err(Damage::Length { at, len });
        }
        let body = if len == 0 { 8 } else { len as usize };
        if self.held.len() - self.used < PIECE_HEAD_LEN + body {
            return Ok(Next::More);
        }
        self.used += PIECE_HEAD_LEN;
        let start = self.used;
        self.used += body;
        let bytes = &self.held[start..start + body];
        let found = crc32c::crc32c_append(crc, bytes);
        if found != wanted {
            return Err(Damage::Check { at: at + (PIECE_HEAD_LEN + body) as u64, found, wanted });
        }
        self.crc = Some(found);
        if len == 0 {
            let coins = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
            self.coins = Some(coins);
            return self.end(coins);
        }
        Ok(Next::Piece(&self.held[start..start + body]))
    }

    fn end(&self, coins: u64) -> Result<Next<'static>, Damage> {
        match self.used == self.held.len() {
            true => Ok(Next::End(coins)),
            false => Err(Damage::Long { at: self.at + self.used as u64 }),
        }
    }

    /// The file has no more bytes: what that means where more were needed.
    pub fn short(&self) -> Damage {
        Damage::Short { at: self.at + self.held.len() as u64 }
    }
}

/// Of the heights at which there are checkpoints of a partition, ascending, those that may go once the last is written:
/// two are kept, of which the older lies at least `gap` blocks below the newer, if there is one so old.
pub fn superfluous(heights: &[u32], gap: u32) -> Vec<u32> {
    let Some((newest, others)) = heights.split_last() else { return Vec::new() };
    // The newest that is old enough; else the oldest, which will be.
    let old_enough = others.iter().rev().find(|height| *height + gap <= *newest);
    let kept = old_enough.or(others.first());
    others.iter().filter(|height| Some(*height) != kept).copied().collect()
}

#[cfg(test)]
mod tests;
