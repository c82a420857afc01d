//! Decides how the 80 bytes of a block header are read and written. Never knows whether a header
//! is any good.
//!
//! ```text
//! 0       4                               36                              68    72    76    80
//! |version|             prev              |          merkle_root          |time |bits |nonce|
//! ```

use crate::hash::{BlockHash, sha256d};

/// A block header. Every 80 bytes are one, so reading cannot fail.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Signed: the version rules of BIP34, 66 and 65 compare it as a signed number.
    pub version: i32,
    /// Hash of the parent's header.
    pub prev: BlockHash,
    /// Merkle root over the txids, internal byte order.
    pub merkle_root: [u8; 32],
    /// Seconds since 1970, as the miner says.
    pub time: u32,
    /// The target in compact form.
    pub bits: u32,
    /// What miners count through.
    pub nonce: u32,
}

impl Header {
    /// Length of a header, bytes.
    pub const LEN: usize = 80;

    /// Reads a header; all fields are little-endian.
    pub fn parse(bytes: &[u8; 80]) -> Header {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let hash = |at: usize| <[u8; 32]>::try_from(&bytes[at..at + 32]).expect("32 bytes");
        Header {
            version: word(0).cast_signed(),
            prev: BlockHash(hash(4)),
            merkle_root: hash(36),
            time: word(68),
            bits: word(72),
            nonce: word(76),
        }
    }

    /// The inverse of [`Header::parse`].
    pub fn to_bytes(&self) -> [u8; 80] {
        let mut out = [0; 80];
        out[..4].copy_from_slice(&self.version.to_le_bytes());
        out[4..36].copy_from_slice(&self.prev.0);
        out[36..68].copy_from_slice(&self.merkle_root);
        out[68..72].copy_from_slice(&self.time.to_le_bytes());
        out[72..76].copy_from_slice(&self.bits.to_le_bytes());
        out[76..].copy_from_slice(&self.nonce.to_le_bytes());
        out
    }

    /// The block's name: the double SHA-256 of these 80 bytes.
    pub fn hash(&self) -> BlockHash {
        BlockHash(sha256d(&self.to_bytes()))
    }
}
