//! Signatures in lanes: ECDSA, BIP340 and the tweaks of BIP341, eight at once, or sixteen, each in a 64-bit lane of AVX-512 IFMA
//! registers. It says which rows are *proven* to be valid. All others are not decided: they may be invalid, or
//! one of the rare cases that the formulas do not cover, and somebody else has to look.
//!
//! ```text
//! rows  → range checks, 1/s, u and v, windows          prove.rs, scalar.rs   one at a time
//!       → a root for y, a table of odd multiples,      point.rs on fused.rs  in lanes, all of a group in step
//!         R = u·G + v·Q, x of R = r?                   on field.rs
//!       → the sign of R for BIP340, one inversion
//! ```
//!
//! The formulas are written once, for any `Word` of eight lanes (`word.rs`): `zmm.rs` has it in registers. The others are
//! for tests: `model.rs` is plain Rust, and the specification of what registers do; `interval.rs` puts bounds in the place of
//! numbers; `spelled.rs` spells the instructions of `zmm.rs` out, so that it is tried on machines that have none, too.
//!
//! What makes a false *proven* hard to come by: it takes an equation of 256 bits, X = r·Z² with Z ≠ 0 and y² = x³ + 7, to hold
//! for numbers that are wrong. A slip of arithmetic does not do that; wrong wiring might (another lane's message, a stale
//! mask), and is what most tests here are about. Never sees a script, an encoding but keys of 33 or 32 bytes, or a policy.

#![warn(missing_docs)]

#[cfg(test)]
mod apart;
mod field;
mod fused;
mod group;
#[cfg_attr(not(target_arch = "x86_64"), path = "none.rs")]
mod instructions;
#[cfg(test)]
mod interval;
mod known;
#[cfg(any(test, not(target_arch = "x86_64")))]
mod model;
mod point;
mod prove;
mod scalar;
#[cfg(test)]
mod spelled;
mod tables;
#[cfg(test)]
mod tests;
mod twin;
mod word;
#[cfg(target_arch = "x86_64")]
mod zmm;

use instructions::Ifma;
#[cfg(not(target_arch = "x86_64"))]
use model::Model as Zmm; // Never run, since nobody has an `Ifma`.
use std::sync::OnceLock;
#[cfg(target_arch = "x86_64")]
use zmm::Zmm;

/// What the lanes of this processor hold.
type Elements = field::Fe<Zmm>;

/// A signature, its key and what it signs. All numbers are big-endian, as they are in keys and signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// ECDSA over secp256k1 (SEC 1, 4.1.4). s may be above n/2.
    Ecdsa {
        /// Compressed: 2 or 3, and x. Keys in other forms are not decided.
        key: [u8; 33],
        /// r.
        r: [u8; 32],
        /// s.
        s: [u8; 32],
        /// The hash that was signed.
        message: [u8; 32],
    },
    /// BIP340, with a message of 32 bytes.
    Schnorr {
        /// x.
        key: [u8; 32],
        /// x of R, and s.
        signature: [u8; 64],
        /// What was signed.
        message: [u8; 32],
    },
    /// BIP341: that an output key is an internal one and `tweak` times the generator.
    Tweak {
        /// The output key, compressed: 2 or 3, and x.
        output: [u8; 33],
        /// x of the internal key, whose y is even.
        internal: [u8; 32],
        /// The hash, as a number.
        tweak: [u8; 32],
    },
}

/// Eight lanes of this processor, with tables that all cores share, and memory to work in: one for each core.
pub struct Lanes {
    /// The instructions are there.
    _ifma: Ifma,
    tables: &'static group::Tables,
    scratch: Box<prove::Scratch>,
}

impl Lanes {
    /// Rows that fill the lanes: as many, or a multiple, or very many, are best.
    pub const ROWS: usize = 2 * word::LANES;

    /// If the processor has AVX-512 F, DQ, BW, VL, IFMA and VBMI2. The first call makes the tables (512 KiB, a millisecond).
    pub fn detect() -> Option<Lanes> {
        static TABLES: OnceLock<Box<group::Tables>> = OnceLock::new();
        let ifma = Ifma::detect()?;
        let tables = TABLES.get_or_init(tables::build::<Zmm, Elements>);
        Some(Lanes { _ifma: ifma, tables, scratch: prove::Scratch::new() })
    }

    /// Writes for each row whether it is proven to be valid. Nothing is said of the others.
    ///
    /// # Panics
    ///
    /// If there are not as many answers as rows.
    pub fn prove(&mut self, rows: &[Row], proven: &mut [bool]) {
        prove::prove::<Zmm, Elements>(&mut self.scratch, self.tables, rows, proven);
    }

    /// Whether signatures that are known to be valid are proven in every lane, and those that are known not to be in none.
    pub fn self_test(&mut self) -> bool {
        known::right(&mut |rows, proven| self.prove(rows, proven))
    }
}
