//! Any field, with each operation a function that is called instead of inlined: the same code, compiled in seconds where it
//! need not be fast. For tests.

use crate::field::Fe;
use crate::fused::{Field, Single};
use crate::group::{Group, KeyTable, Masks, Tables};
use crate::word::Word;

/// The same elements.
#[derive(Clone, Copy)]
pub struct Apart<A>(pub A);

impl<A: Field> Field for Apart<A> {
    #[inline(never)]
    fn small(value: u64) -> Self {
        Apart(A::small(value))
    }
    #[inline(never)]
    fn splat(words: [u64; 4]) -> Self {
        Apart(A::splat(words))
    }
    #[inline(never)]
    fn mul(self, b: Self) -> Self {
        Apart(self.0.mul(b.0))
    }
    #[inline(never)]
    fn mul_shl<const S: u32>(self, b: Self) -> Self {
        Apart(self.0.mul_shl::<S>(b.0))
    }
    #[inline(never)]
    fn mul_plus(self, b: Self, c: Self) -> Self {
        Apart(self.0.mul_plus(b.0, c.0))
    }
    #[inline(never)]
    fn mul_minus(self, b: Self, c: Self) -> Self {
        Apart(self.0.mul_minus(b.0, c.0))
    }
    #[inline(never)]
    fn mul_signed_minus(self, b: Self, negative: Masks, c: Self) -> Self {
        Apart(self.0.mul_signed_minus(b.0, negative, c.0))
    }
    #[inline(never)]
    fn minus_mul_mul(self, b: Self, c: Self, d: Self) -> Self {
        Apart(self.0.minus_mul_mul(b.0, c.0, d.0))
    }
    #[inline(never)]
    fn minus_mul_sqr8(self, b: Self, c: Self) -> Self {
        Apart(self.0.minus_mul_sqr8(b.0, c.0))
    }
    #[inline(never)]
    fn sqr(self) -> Self {
        Apart(self.0.sqr())
    }
    #[inline(never)]
    fn sqr_times3(self) -> Self {
        Apart(self.0.sqr_times3())
    }
    #[inline(never)]
    fn sqr_minus_2_3(self, b: Self) -> (Self, Self) {
        let (a, b) = self.0.sqr_minus_2_3(b.0);
        (Apart(a), Apart(b))
    }
    #[inline(never)]
    fn sqr_minus_1_2_3(self, b: Self, c: Self) -> (Self, Self) {
        let (a, b) = self.0.sqr_minus_1_2_3(b.0, c.0);
        (Apart(a), Apart(b))
    }
    #[inline(never)]
    fn sqr_minus_minus(self, b: Self, c: Self) -> Self {
        Apart(self.0.sqr_minus_minus(b.0, c.0))
    }
    #[inline(never)]
    fn minus(self, b: Self) -> Self {
        Apart(self.0.minus(b.0))
    }
    #[inline(never)]
    fn negated_in(self, mask: Masks) -> Self {
        Apart(self.0.negated_in(mask))
    }
    #[inline(never)]
    fn zeros(self) -> Masks {
        self.0.zeros()
    }
    #[inline(never)]
    fn odds(self) -> Masks {
        self.0.odds()
    }
    #[inline(never)]
    fn key(groups: &[Group]) -> Self {
        Apart(A::key(groups))
    }
    #[inline(never)]
    fn candidate(groups: &[Group], which: usize) -> Self {
        Apart(A::candidate(groups, which))
    }
    #[inline(never)]
    fn keep(x: Self, y: Self, beta_x: Self, tables: &mut [KeyTable], entry: usize) {
        A::keep(x.0, y.0, beta_x.0, tables, entry);
    }
    #[inline(never)]
    fn of_key(groups: &[Group], tables: &[KeyTable], half: usize, window: usize) -> (Self, Self, Masks) {
        let (x, y, negative) = A::of_key(groups, tables, half, window);
        (Apart(x), Apart(y), negative)
    }
    #[inline(never)]
    fn of_generator(groups: &[Group], tables: &Tables, half: usize, window: usize) -> (Self, Self, Masks) {
        let (x, y, negative) = A::of_generator(groups, tables, half, window);
        (Apart(x), Apart(y), negative)
    }
    #[inline(never)]
    fn store(y: Self, z: Self, groups: &mut [Group]) {
        A::store(y.0, z.0, groups);
    }
}

impl<W: Word> Single<W> for Apart<Fe<W>> {
    fn of(element: Fe<W>) -> Self {
        Apart(element)
    }
    fn fe(self) -> Fe<W> {
        self.0
    }
}
