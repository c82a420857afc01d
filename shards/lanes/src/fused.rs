//! The operations that formulas are made of, each with one reduction at its end, or two where two results share their
//! products. Formulas are written for one group of eight elements or two side by side (`twin.rs`): the multiplier is busy
//! only when it has products that do not wait for each other, and those of two groups never do. Knows no formula.

use crate::field::{Fe, Loose, Wide};
use crate::group::{Group, KeyTable, Masks, Tables};
use crate::word::Word;

/// Eight elements or sixteen. What is read and written lies in slices of one group or two.
pub trait Field: Copy {
    /// The same small number in all lanes.
    fn small(value: u64) -> Self;
    /// The same element in all lanes, of 256 bits with the lowest word first.
    fn splat(words: [u64; 4]) -> Self;
    /// a·b.
    fn mul(self, b: Self) -> Self;
    /// 2^S·a·b.
    fn mul_shl<const S: u32>(self, b: Self) -> Self;
    /// a·b + c.
    fn mul_plus(self, b: Self, c: Self) -> Self;
    /// a·b − c.
    fn mul_minus(self, b: Self, c: Self) -> Self;
    /// ±a·b − c, with − in the lanes of the mask.
    fn mul_signed_minus(self, b: Self, negative: Masks, c: Self) -> Self;
    /// −(a·b + c·d).
    fn minus_mul_mul(self, b: Self, c: Self, d: Self) -> Self;
    /// −(a·b + 8c²).
    fn minus_mul_sqr8(self, b: Self, c: Self) -> Self;
    /// a².
    fn sqr(self) -> Self;
    /// 3a².
    fn sqr_times3(self) -> Self;
    /// a² − 2b and a² − 3b.
    fn sqr_minus_2_3(self, b: Self) -> (Self, Self);
    /// a² − b − 2c and a² − b − 3c.
    fn sqr_minus_1_2_3(self, b: Self, c: Self) -> (Self, Self);
    /// a² − b − c.
    fn sqr_minus_minus(self, b: Self, c: Self) -> Self;
    /// a − b.
    fn minus(self, b: Self) -> Self;
    /// −a in the lanes of the mask.
    fn negated_in(self, mask: Masks) -> Self;
    /// Lanes that are zero.
    fn zeros(self) -> Masks;
    /// Lanes that are odd, in the one form below p.
    fn odds(self) -> Masks;
    /// The x of the keys.
    fn key(groups: &[Group]) -> Self;
    /// What x of R may be: 0 or 1 for r and r + n.
    fn candidate(groups: &[Group], which: usize) -> Self;
    /// An entry of the tables of keys: x, y, and x on the half of λ.
    fn keep(x: Self, y: Self, beta_x: Self, tables: &mut [KeyTable], entry: usize);
    /// What a window of a half adds of the keys: x, y, and whether it is the negative of that.
    fn of_key(groups: &[Group], tables: &[KeyTable], half: usize, window: usize) -> (Self, Self, Masks);
    /// What a window of a half adds of G: x, y, and whether it is the negative of that.
    fn of_generator(groups: &[Group], tables: &Tables, half: usize, window: usize) -> (Self, Self, Masks);
    /// Into memory, as y or z of the outcome.
    fn store(y: Self, z: Self, groups: &mut [Group]);
}

/// A field of one group, whose elements can be looked into.
pub trait Single<W: Word>: Field {
    /// From an element.
    fn of(element: Fe<W>) -> Self;
    /// To one.
    fn fe(self) -> Fe<W>;
}

impl<W: Word> Single<W> for Fe<W> {
    #[inline(always)]
    fn of(element: Fe<W>) -> Self {
        element
    }
    #[inline(always)]
    fn fe(self) -> Fe<W> {
        self
    }
}

impl<W: Word> Field for Fe<W> {
    #[inline(always)]
    fn small(value: u64) -> Self {
        Fe::small(value)
    }
    #[inline(always)]
    fn splat(words: [u64; 4]) -> Self {
        Fe::splat(words)
    }
    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        Wide::mul(self, b).fold().carry()
    }
    #[inline(always)]
    fn mul_shl<const S: u32>(self, b: Self) -> Self {
        Wide::mul(self, b).fold().shl::<S>().carry()
    }
    #[inline(always)]
    fn mul_plus(self, b: Self, c: Self) -> Self {
        Wide::mul(self, b).fold().plus(c).carry()
    }
    #[inline(always)]
    fn mul_minus(self, b: Self, c: Self) -> Self {
        Wide::mul(self, b).fold().minus(c).carry_signed()
    }
    #[inline(always)]
    fn mul_signed_minus(self, b: Self, negative: Masks, c: Self) -> Self {
        Wide::mul(self, b).fold().negated_in(negative as u8).minus(c).carry_signed()
    }
    #[inline(always)]
    fn minus_mul_mul(self, b: Self, c: Self, d: Self) -> Self {
        Wide::mul(self, b).and_mul(c, d).fold().negated().carry_signed()
    }
    #[inline(always)]
    fn minus_mul_sqr8(self, b: Self, c: Self) -> Self {
        Wide::sqr(c).shl::<3>().and_mul(self, b).fold().negated().carry_signed()
    }
    #[inline(always)]
    fn sqr(self) -> Self {
        Wide::sqr(self).fold().carry()
    }
    #[inline(always)]
    fn sqr_times3(self) -> Self {
        Wide::sqr(self).fold().times3().carry()
    }
    #[inline(always)]
    fn sqr_minus_2_3(self, b: Self) -> (Self, Self) {
        let two = Wide::sqr(self).fold().minus(b).minus(b);
        (two.carry_signed(), two.minus(b).carry_signed())
    }
    #[inline(always)]
    fn sqr_minus_1_2_3(self, b: Self, c: Self) -> (Self, Self) {
        let two = Wide::sqr(self).fold().minus(b).minus(c).minus(c);
        (two.carry_signed(), two.minus(c).carry_signed())
    }
    #[inline(always)]
    fn sqr_minus_minus(self, b: Self, c: Self) -> Self {
        Wide::sqr(self).fold().minus(b).minus(c).carry_signed()
    }
    #[inline(always)]
    fn minus(self, b: Self) -> Self {
        Loose::of(self).minus(b).carry_signed()
    }
    #[inline(always)]
    fn negated_in(self, mask: Masks) -> Self {
        Loose::of(self).negated_in(mask as u8).carry_signed()
    }
    #[inline(always)]
    fn zeros(self) -> Masks {
        Fe::zeros(self).into()
    }
    #[inline(always)]
    fn odds(self) -> Masks {
        Fe::odds(self).into()
    }
    #[inline(always)]
    fn key(groups: &[Group]) -> Self {
        groups[0].key()
    }
    #[inline(always)]
    fn candidate(groups: &[Group], which: usize) -> Self {
        groups[0].candidate(which)
    }
    #[inline(always)]
    fn keep(x: Self, y: Self, beta_x: Self, tables: &mut [KeyTable], entry: usize) {
        tables[0].keep(x, y, beta_x, entry);
    }
    #[inline(always)]
    fn of_key(groups: &[Group], tables: &[KeyTable], half: usize, window: usize) -> (Self, Self, Masks) {
        groups[0].of_key(&tables[0], half, window)
    }
    #[inline(always)]
    fn of_generator(groups: &[Group], tables: &Tables, half: usize, window: usize) -> (Self, Self, Masks) {
        groups[0].of_generator(tables, half, window)
    }
    #[inline(always)]
    fn store(y: Self, z: Self, groups: &mut [Group]) {
        groups[0].store(y, z);
    }
}
