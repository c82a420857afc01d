//! The book of addresses as bytes, for a file.
//!
//! Decides the format and refuses what is damaged. Never opens a file.
//!
//! ```text
//! 0          8         12         16
//! | caesaddr | version | crc32c   | archive of everything else …
//!              u32 LE    of the archive, u32 LE
//! ```

use super::{ADDRESSES_MAX, Book, Entry};
use rkyv::rancor;
use std::collections::BTreeMap;

const MAGIC: &[u8; 8] = b"caesaddr";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;

/// Why the bytes are no book. There is nothing to repair: start with an empty one, addresses come back.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)] // the sentences say what the fields are
pub enum Damaged {
    #[error("addresses: not an address file ({len} bytes that do not begin with \"caesaddr\")")]
    NotAddresses { len: usize },
    #[error("addresses: format version {version}, this program reads version {VERSION}")]
    Version { version: u32 },
    #[error("addresses: checksum of {len} bytes is {got:08x}, the file says {want:08x}")]
    Checksum { len: usize, got: u32, want: u32 },
    #[error("addresses: the archive cannot be read")]
    Archive,
}

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Saved {
    last_good: u64,
    entries: Vec<Entry>,
}

impl Book {
    /// The book as bytes, to be read by [`Book::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let saved = Saved { last_good: self.last_good, entries: self.entries.clone() };
        // Plain numbers into memory: nothing in it can fail.
        let archive = rkyv::to_bytes::<rancor::Error>(&saved).expect("numbers can be archived");
        let mut bytes = Vec::with_capacity(HEADER_BYTES + archive.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&archive).to_le_bytes());
        bytes.extend_from_slice(&archive);
        bytes
    }

    /// Reads what [`Book::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8], test_network: bool) -> Result<Book, Damaged> {
        let header = bytes.first_chunk::<HEADER_BYTES>().filter(|header| header[..8] == *MAGIC);
        let Some([_, _, _, _, _, _, _, _, v0, v1, v2, v3, c0, c1, c2, c3]) = header else {
            return Err(Damaged::NotAddresses { len: bytes.len() });
        };
        let version = u32::from_le_bytes([*v0, *v1, *v2, *v3]);
        if version != VERSION {
            return Err(Damaged::Version { version });
        }
        let body = &bytes[HEADER_BYTES..];
        let (got, want) = (crc32c::crc32c(body), u32::from_le_bytes([*c0, *c1, *c2, *c3]));
        if got != want {
            return Err(Damaged::Checksum { len: body.len(), got, want });
        }
        let mut aligned = rkyv::util::AlignedVec::<16>::with_capacity(body.len());
        aligned.extend_from_slice(body);
        let saved = rkyv::from_bytes::<Saved, rancor::Error>(&aligned).map_err(|_| Damaged::Archive)?;
        let by_socket: BTreeMap<_, _> = saved.entries.into_iter().map(|entry| (entry.socket, entry)).collect();
        let mut book = Book::new(test_network);
        book.last_good = saved.last_good;
        by_socket.into_values().take(ADDRESSES_MAX).for_each(|entry| book.insert(entry));
        Ok(book)
    }
}
