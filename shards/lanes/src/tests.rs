//! What the lanes are held against: big integers, bounds, each other, libsecp256k1, published vectors. Everything that runs
//! on a word runs on the scalar model, and on registers, or, where the machine has none, on what `spelled.rs` makes of them.

mod bounds;
mod differential;
mod numbers;
pub mod planted;
mod proofs;
mod rows;

use crate::instructions::Ifma;
use num_bigint::BigUint;

/// Numbers that look random and are the same every time (splitmix64).
pub struct Draw(u64);

impl Draw {
    /// From a seed.
    pub fn new(seed: u64) -> Draw {
        Draw(seed)
    }

    /// Any 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Below that.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Any 64 bits, and often ones at an edge.
    pub fn edge(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => !0,
            2 => 1 << self.below(64),
            3 => (1 << self.below(64)) - 1,
            _ => self.next(),
        }
    }

    /// 32 bytes.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.next().to_be_bytes()));
        bytes
    }
}

/// 256 bits, the lowest word first.
pub fn big(words: &[u64; 4]) -> BigUint {
    words.iter().rev().fold(BigUint::ZERO, |sum, word| (sum << 64u32) + word)
}

/// The reverse; what is above 2^256 is lost.
pub fn to_words(value: &BigUint) -> [u64; 4] {
    let digits = value.to_u64_digits();
    std::array::from_fn(|index| digits.get(index).copied().unwrap_or(0))
}

/// Whether this machine has them; if not, says so loudly.
pub fn registers() -> bool {
    let there = Ifma::detect().is_some();
    if !there {
        aloud(
            "SKIPPED: this processor has no AVX-512 IFMA; what is done with registers is tried on instructions spelled out",
        );
    }
    there
}

/// Says something that a test that passes would not be heard saying.
pub fn aloud(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}
