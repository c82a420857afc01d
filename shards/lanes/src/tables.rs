//! The odd multiples of G and of 2^128·G, made by the same formulas that use them. Lane j of eight makes every eighth part
//! of a table. Knows no signature.

use crate::fused::{Field, Single};
use crate::group::{G_BITS, G_ENTRIES, Masks, Tables};
use crate::point::{GENERATOR_X, GENERATOR_Y, Jacobian, inverse};
use crate::word::{LANES, Phase, Row, Word};
use std::marker::PhantomData;

/// Entries that a lane makes of a table.
const PART: usize = G_ENTRIES / LANES;
/// The second table is for what lies above this bit.
const HALF: usize = 128;

/// Both tables.
pub fn build<W: Word, F: Single<W>>() -> Box<Tables> {
    let rows = vec![[Row([0; 8]); G_ENTRIES]; 2].into_boxed_slice();
    let mut tables: Box<Tables> = rows.try_into().expect("two");
    W::enter(Build::<W, F> { tables: &mut tables, field: PhantomData });
    tables
}

struct Build<'a, W, F> {
    tables: &'a mut Tables,
    field: PhantomData<(W, F)>,
}

#[inline(always)]
fn affine<F: Field>(point: Jacobian<F>, inverted_z: F) -> (F, F) {
    let square = inverted_z.sqr();
    (point.x.mul(square), point.y.mul(square.mul(inverted_z)))
}

/// (2j·PART + 1) times a point in lane j, by its signs as in `scalar.rs`: the first is +, so that no sum is infinity, and
/// twice a sum of at least 1 is never the point itself.
#[inline(always)]
fn starts<F: Field>((x, y): (F, F)) -> Jacobian<F> {
    let mut sum = Jacobian { x, y, z: F::small(1) };
    for bit in (0..G_BITS - 1).rev() {
        let mut minus: Masks = 0;
        for lane in 0..LANES {
            let signs = (2 * lane * PART + (1 << G_BITS)) / 2;
            minus |= u16::from(signs >> bit & 1 == 0) << lane;
        }
        sum = sum.double();
        sum = sum.add(x, y, minus, sum.z);
    }
    sum
}

impl<W: Word, F: Single<W>> Phase for Build<'_, W, F> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        let mut base = (F::splat(GENERATOR_X), F::splat(GENERATOR_Y));
        for table in self.tables {
            let twice = Jacobian { x: base.0, y: base.1, z: F::small(1) }.double();
            let twice = affine(twice, inverse(twice.z));
            // Each entry is the one before and the base twice; no odd multiple is an even one, or its opposite.
            #[expect(clippy::useless_vec, reason = "too much for a stack")]
            let mut points = vec![(starts(base), F::small(1)); PART];
            for index in 1..PART {
                let (last, product) = points[index - 1];
                points[index] = (last.add(twice.0, twice.1, 0, last.z), product.mul(last.z));
            }
            let (last, product) = points[PART - 1];
            let mut inverted = inverse(product.mul(last.z));
            for (index, (point, before)) in points.iter().enumerate().rev() {
                let (x, y) = affine(*point, inverted.mul(*before));
                inverted = inverted.mul(point.z);
                let (x, y) = (x.fe().canonical().pack(), y.fe().canonical().pack());
                let mut rows = [Row([0; 8]); LANES];
                W::to_rows([x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3]], rows.each_mut());
                for (lane, row) in rows.iter().enumerate() {
                    table[lane * PART + index] = *row;
                }
            }
            let mut far = Jacobian { x: base.0, y: base.1, z: F::small(1) };
            for _ in 0..HALF {
                far = far.double();
            }
            base = affine(far, inverse(far.z));
        }
    }
}
