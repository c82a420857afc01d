//! What a word of eight lanes can do. The formulas of this crate are written once, for any such word: the registers of the
//! processor (`zmm.rs`), plain Rust that runs everywhere (`model.rs`), and the bounds of either (`interval.rs`). Knows no
//! prime and no curve.

/// Lanes of a word: signatures that are verified at once.
pub const LANES: usize = 8;

/// One number of 64 bits for each lane.
pub type Lanewise = [u64; LANES];

/// One bit for each lane, lane 0 the lowest.
pub type Mask = u8;

/// Bits of a limb: what the multiplier of IFMA takes and gives.
pub const LIMB_BITS: u32 = 52;

/// The largest limb, and the mask of its bits.
pub const LIMB: u64 = (1 << LIMB_BITS) - 1;

/// A row of a table: two numbers of 256 bits, in the one cache line that a lane reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Row(pub [u64; 8]);

/// Work that is written for any word, and has a way into code compiled for it (see [`Word::enter`]).
pub trait Phase {
    /// What it gives.
    type Out;
    /// Does it. Implementations are `#[inline(always)]`, else they are not compiled for the word's processor.
    fn run(self) -> Self::Out;
}

/// Eight lanes of 64 bits. Arithmetic wraps around; the bounds that keep it from doing so are stated where it is used, and
/// proven by `interval.rs`.
pub trait Word: Copy {
    /// Runs a phase where the instructions of this word may be used.
    fn enter<P: Phase>(phase: P) -> P::Out;

    /// From memory.
    fn load(lanes: &Lanewise) -> Self;
    /// To memory.
    fn store(self) -> Lanewise;
    /// The same number in all lanes.
    fn splat(value: u64) -> Self;

    /// `self` + the low 52 bits of a·b, for a, b < 2^52.
    fn lo(self, a: Self, b: Self) -> Self;
    /// `self` + ⌊a·b / 2^52⌋, for a, b < 2^52.
    fn hi(self, a: Self, b: Self) -> Self;
    /// [`Word::lo`] of (a mod 2^52) and b < 2^52: the multiplier does not see a's upper bits.
    fn lo_cut(self, a: Self, b: Self) -> Self;
    /// [`Word::hi`] of (a mod 2^52) and b < 2^52.
    fn hi_cut(self, a: Self, b: Self) -> Self;

    /// Sum.
    fn add(self, other: Self) -> Self;
    /// Difference.
    fn sub(self, other: Self) -> Self;
    /// Bits that both have.
    fn and(self, other: Self) -> Self;
    /// Bits that either has.
    fn or(self, other: Self) -> Self;
    /// To the left.
    fn shl<const N: u32>(self) -> Self;
    /// To the right, zeros coming in.
    fn shr<const N: u32>(self) -> Self;
    /// To the right, the sign coming in.
    fn sar<const N: u32>(self) -> Self;
    /// To the right by a number known late, below 64.
    fn shr_by(self, count: u32) -> Self;
    /// The low 64 bits of (high·2^64 + `self`) / 2^N.
    fn funnel<const N: u32>(self, high: Self) -> Self;

    /// Lanes that are zero.
    fn zeros(self) -> Mask;
    /// `then` in the lanes of the mask, `self` elsewhere.
    fn blend(self, mask: Mask, then: Self) -> Self;

    /// Word i of the row of lane j becomes lane j of word i.
    fn from_rows(rows: [&Row; LANES]) -> [Self; 8];
    /// The reverse.
    fn to_rows(words: [Self; 8], rows: [&mut Row; LANES]);
}

/// Repeats a block for each index, which is a constant in it: loops that are unrolled whatever the optimiser thinks.
macro_rules! each {
    ($index:ident in [$($value:literal)*] $body:block) => {
        $({ #[allow(dead_code)] const $index: usize = $value; $body })*
    };
}
pub(crate) use each;
