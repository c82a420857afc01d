//! Two groups side by side, as one field. Knows no arithmetic of its own.

use crate::fused::Field;
use crate::group::{Group, KeyTable, Masks, Tables};

/// Two groups.
#[derive(Clone, Copy)]
pub struct Twin<A>(pub A, pub A);

/// The masks of both.
#[inline(always)]
const fn both(a: Masks, b: Masks) -> Masks {
    (a & 0xff) | b << 8
}

impl<A: Field> Field for Twin<A> {
    #[inline(always)]
    fn small(value: u64) -> Self {
        Twin(A::small(value), A::small(value))
    }
    #[inline(always)]
    fn splat(words: [u64; 4]) -> Self {
        Twin(A::splat(words), A::splat(words))
    }
    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        Twin(self.0.mul(b.0), self.1.mul(b.1))
    }
    #[inline(always)]
    fn mul_shl<const S: u32>(self, b: Self) -> Self {
        Twin(self.0.mul_shl::<S>(b.0), self.1.mul_shl::<S>(b.1))
    }
    #[inline(always)]
    fn mul_plus(self, b: Self, c: Self) -> Self {
        Twin(self.0.mul_plus(b.0, c.0), self.1.mul_plus(b.1, c.1))
    }
    #[inline(always)]
    fn mul_minus(self, b: Self, c: Self) -> Self {
        Twin(self.0.mul_minus(b.0, c.0), self.1.mul_minus(b.1, c.1))
    }
    #[inline(always)]
    fn mul_signed_minus(self, b: Self, negative: Masks, c: Self) -> Self {
        let first = self.0.mul_signed_minus(b.0, negative, c.0);
        Twin(first, self.1.mul_signed_minus(b.1, negative >> 8, c.1))
    }
    #[inline(always)]
    fn minus_mul_mul(self, b: Self, c: Self, d: Self) -> Self {
        Twin(self.0.minus_mul_mul(b.0, c.0, d.0), self.1.minus_mul_mul(b.1, c.1, d.1))
    }
    #[inline(always)]
    fn minus_mul_sqr8(self, b: Self, c: Self) -> Self {
        Twin(self.0.minus_mul_sqr8(b.0, c.0), self.1.minus_mul_sqr8(b.1, c.1))
    }
    #[inline(always)]
    fn sqr(self) -> Self {
        Twin(self.0.sqr(), self.1.sqr())
    }
    #[inline(always)]
    fn sqr_times3(self) -> Self {
        Twin(self.0.sqr_times3(), self.1.sqr_times3())
    }
    #[inline(always)]
    fn sqr_minus_2_3(self, b: Self) -> (Self, Self) {
        let (first, second) = (self.0.sqr_minus_2_3(b.0), self.1.sqr_minus_2_3(b.1));
        (Twin(first.0, second.0), Twin(first.1, second.1))
    }
    #[inline(always)]
    fn sqr_minus_1_2_3(self, b: Self, c: Self) -> (Self, Self) {
        let (first, second) = (self.0.sqr_minus_1_2_3(b.0, c.0), self.1.sqr_minus_1_2_3(b.1, c.1));
        (Twin(first.0, second.0), Twin(first.1, second.1))
    }
    #[inline(always)]
    fn sqr_minus_minus(self, b: Self, c: Self) -> Self {
        Twin(self.0.sqr_minus_minus(b.0, c.0), self.1.sqr_minus_minus(b.1, c.1))
    }
    #[inline(always)]
    fn minus(self, b: Self) -> Self {
        Twin(self.0.minus(b.0), self.1.minus(b.1))
    }
    #[inline(always)]
    fn negated_in(self, mask: Masks) -> Self {
        Twin(self.0.negated_in(mask), self.1.negated_in(mask >> 8))
    }
    #[inline(always)]
    fn zeros(self) -> Masks {
        both(self.0.zeros(), self.1.zeros())
    }
    #[inline(always)]
    fn odds(self) -> Masks {
        both(self.0.odds(), self.1.odds())
    }
    #[inline(always)]
    fn key(groups: &[Group]) -> Self {
        Twin(A::key(&groups[..1]), A::key(&groups[1..]))
    }
    #[inline(always)]
    fn candidate(groups: &[Group], which: usize) -> Self {
        Twin(A::candidate(&groups[..1], which), A::candidate(&groups[1..], which))
    }
    #[inline(always)]
    fn keep(x: Self, y: Self, beta_x: Self, tables: &mut [KeyTable], entry: usize) {
        A::keep(x.0, y.0, beta_x.0, &mut tables[..1], entry);
        A::keep(x.1, y.1, beta_x.1, &mut tables[1..], entry);
    }
    #[inline(always)]
    fn of_key(groups: &[Group], tables: &[KeyTable], half: usize, window: usize) -> (Self, Self, Masks) {
        let a = A::of_key(&groups[..1], &tables[..1], half, window);
        let b = A::of_key(&groups[1..], &tables[1..], half, window);
        (Twin(a.0, b.0), Twin(a.1, b.1), both(a.2, b.2))
    }
    #[inline(always)]
    fn of_generator(groups: &[Group], tables: &Tables, half: usize, window: usize) -> (Self, Self, Masks) {
        let a = A::of_generator(&groups[..1], tables, half, window);
        let b = A::of_generator(&groups[1..], tables, half, window);
        (Twin(a.0, b.0), Twin(a.1, b.1), both(a.2, b.2))
    }
    #[inline(always)]
    fn store(y: Self, z: Self, groups: &mut [Group]) {
        A::store(y.0, z.0, &mut groups[..1]);
        A::store(y.1, z.1, &mut groups[1..]);
    }
}
