//! Decides what a hash is and how it is written: 32 bytes in the order SHA-256 gives them,
//! shown byte-reversed as Bitcoin shows them. Never knows what was hashed.

use crate::ripemd160::ripemd160;
use bitcoin_hashes::{HashEngine as _, sha256 as sha2, sha256d as sha2d};
use std::{fmt, str::FromStr};

/// SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    sha2::hash(data).to_byte_array()
}

/// SHA-256 of the SHA-256 of `data`: the hash of headers, transactions and merkle nodes.
pub fn sha256d(data: &[u8]) -> [u8; 32] {
    sha2d::hash(data).to_byte_array()
}

/// RIPEMD-160 of the SHA-256 of `data`: the hash of keys and scripts.
pub fn hash160(data: &[u8]) -> [u8; 20] {
    ripemd160(&sha256(data))
}

/// [`sha256d`] of the parts put end to end, without putting them end to end.
pub(crate) fn sha256d_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut engine = sha2d::HashEngine::new();
    parts.iter().for_each(|part| engine.input(part));
    sha2d::Hash::from_engine(engine).to_byte_array()
}

/// The text was not 64 hex digits (for a number: not 1 to 64 of them).
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected up to 64 hex digits")]
pub struct BadHex;

/// The hex digits of a hash as people write it: last byte first.
fn digits(hash: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(hash.iter().rev()) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    text
}

/// Big-endian bytes of up to 64 hex digits, missing ones being leading zeros.
pub(crate) const fn hex32(text: &str) -> Result<[u8; 32], BadHex> {
    let (text, mut out) = (text.as_bytes(), [0; 32]);
    if text.is_empty() || text.len() > 64 {
        return Err(BadHex);
    }
    let mut place = 0;
    while place < text.len() {
        let digit = match text[text.len() - 1 - place] {
            c @ b'0'..=b'9' => c - b'0',
            c @ b'a'..=b'f' => c - b'a' + 10,
            c @ b'A'..=b'F' => c - b'A' + 10,
            _ => return Err(BadHex),
        };
        out[31 - place / 2] |= digit << (4 * (place % 2));
        place += 1;
    }
    Ok(out)
}

/// The hash that is written `text`; for constants, where a wrong digit stops the compiler.
pub(crate) const fn reversed(text: &str) -> [u8; 32] {
    let Ok(mut bytes) = hex32(text) else { panic!("not a hash") };
    assert!(text.len() == 64);
    let mut i = 0;
    while i < 16 {
        (bytes[i], bytes[31 - i]) = (bytes[31 - i], bytes[i]);
        i += 1;
    }
    bytes
}

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(std::str::from_utf8(&digits(&self.0)).expect("hex digits"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadHex;
            fn from_str(text: &str) -> Result<$name, BadHex> {
                if text.len() != 64 {
                    return Err(BadHex);
                }
                let mut bytes = hex32(text)?;
                bytes.reverse();
                Ok($name(bytes))
            }
        }
    };
}

hash_type! {
    /// The double SHA-256 of a header, in internal byte order; displayed and parsed reversed.
    BlockHash
}
hash_type! {
    /// The double SHA-256 of a transaction without its witness, in internal byte order; displayed
    /// and parsed reversed.
    Txid
}
hash_type! {
    /// A hash over a set of unspent coins, Core's `hash_serialized_3` or `muhash`, in internal byte order; displayed
    /// and parsed reversed.
    CoinsHash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_fips_180_and_reversed_text() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), hex32(abc).unwrap());
        assert_eq!(sha256d(b"abc"), sha256(&sha256(b"abc")));
        assert_eq!(sha256d_parts(&[b"a", b"", b"bc"]), sha256d(b"abc"));

        let text = format!("01{}ff", "00".repeat(30));
        let hash: BlockHash = text.parse().unwrap();
        assert_eq!((hash.0[0], hash.0[31]), (0xff, 1));
        assert_eq!(hash.to_string(), text);
        assert_eq!(hash.0, reversed(&text));
        for bad in ["", "00", &text[1..], &text.replace('f', "g"), &format!("0{text}")] {
            assert_eq!(bad.parse::<Txid>(), Err(BadHex));
        }
    }
}
