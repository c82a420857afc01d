//! No column overflows and every limb is fit for the multiplier, whatever the operands: every operation that formulas are
//! made of takes any elements within the bounds of `field.rs` to elements within them, so any row of operations does. Then
//! the whole way of a group, too, with its loads, tables and ends.

use crate::apart::Apart;
use crate::field::Fe;
use crate::fused::Field;
use crate::group::{Group, KeyTable, Tables};
use crate::interval::Interval;
use crate::point::{Signs, multiply_groups};
use crate::tables;
use crate::word::{LIMB, Lanewise, Row, Word};
use std::marker::PhantomData;

type Bounds = Fe<Interval>;

/// Anything that an element may be.
fn any() -> Bounds {
    let limb = Interval { least: 0, most: LIMB.into() };
    Fe([limb, limb, limb, limb, Interval { least: 0, most: (1 << 50) - 1 }])
}

fn within(name: &str, element: Bounds) {
    for (index, (limb, bound)) in element.0.iter().zip(any().0).enumerate() {
        let fits = limb.least >= 0 && limb.most <= bound.most;
        assert!(fits, "{name}: limb {index} is from {} to {}", limb.least, limb.most);
    }
}

#[test]
fn every_operation_keeps_within_bounds() {
    let (a, b) = (Apart(any()), Apart(any()));
    within("mul", a.mul(b).0);
    within("mul_shl", a.mul_shl::<1>(b).0);
    within("mul_shl", a.mul_shl::<2>(b).0);
    within("mul_shl", a.mul_shl::<3>(b).0);
    within("mul_plus", a.mul_plus(b, a).0);
    within("mul_minus", a.mul_minus(b, a).0);
    within("mul_signed_minus", a.mul_signed_minus(b, 0, a).0);
    within("minus_mul_mul", a.minus_mul_mul(b, a, b).0);
    within("minus_mul_sqr8", a.minus_mul_sqr8(b, a).0);
    within("sqr", a.sqr().0);
    within("sqr_times3", a.sqr_times3().0);
    within("sqr_minus_2_3", a.sqr_minus_2_3(b).0.0);
    within("sqr_minus_2_3", a.sqr_minus_2_3(b).1.0);
    within("sqr_minus_1_2_3", a.sqr_minus_1_2_3(b, a).0.0);
    within("sqr_minus_1_2_3", a.sqr_minus_1_2_3(b, a).1.0);
    within("sqr_minus_minus", a.sqr_minus_minus(b, a).0);
    within("minus", a.minus(b).0);
    within("negated_in", a.negated_in(0).0);
    let (a, b) = (any(), any());
    within("canonical", a.canonical());
    within("blend", Fe::blend(a, 0, b));
    within("small", Fe::small(LIMB));
    let word = Interval { least: 0, most: u64::MAX.into() };
    within("unpack", Fe::unpack([word; 4]));
    let packed = a.pack();
    within("pack", Fe::unpack(packed));
}

/// The claims at the head of `field.rs` about what is left in the top limb, from operands within bounds.
#[test]
fn top_limbs_are_as_small_as_is_said() {
    let a = Apart(any());
    for plain in [a.mul(a), a.sqr_times3(), a.mul_shl::<3>(a)] {
        assert!(plain.0.0[4].most < (1 << 48) + (1 << 12), "{:?}", plain.0.0[4]);
    }
    for signed in [a.minus_mul_sqr8(a, a), a.mul_signed_minus(a, 0, a), a.sqr_minus_1_2_3(a, a).1] {
        assert!(signed.0.0[4].most < (1 << 49) + (1 << 12), "{:?}", signed.0.0[4]);
        assert!(signed.0.0[4].least > (1 << 48) - (1 << 12), "{:?}", signed.0.0[4]);
    }
}

/// From 0 to that.
fn up_to(most: u64) -> Lanewise {
    let mut lanes = [most; 8];
    lanes[0] = 0;
    lanes
}

#[test]
fn a_group_keeps_within_bounds() {
    let mut group = Group::new();
    group.x = [up_to(u64::MAX); 4];
    group.candidates = [group.x; 2];
    group.key = [[up_to((1 << 60) - 1); 3]; 2];
    group.generator = [[up_to((1 << 52) - 1); 3]; 2];
    (group.even, group.odd) = (0xff, 0x55);
    let tables: Box<Tables> = vec![[Row([0; 8]); 4096]; 2].into_boxed_slice().try_into().unwrap();
    let mut groups = [group.clone(), group];
    let mut keys = [const { KeyTable::new() }; 2];
    multiply_groups::<Interval, Apart<Bounds>>(&mut groups[..1], &mut keys[..1], &tables);
    multiply_groups::<Interval, Apart<Bounds>>(&mut groups, &mut keys, &tables);
    Interval::enter(Signs::<Interval, Apart<Bounds>> { groups: &mut groups, field: PhantomData });
    tables::build::<Interval, Apart<Bounds>>();
}

/// A bound that does not hold is found: three sums of products are too many.
#[test]
fn the_bounds_are_asserted() {
    let too_large = Fe([Interval { least: 0, most: i128::from(LIMB) + 1 }; 5]);
    assert!(std::panic::catch_unwind(|| too_large.mul(any())).is_err());
    assert!(std::panic::catch_unwind(|| Fe::unpack(any().pack()).minus(too_large).mul(too_large)).is_err());
    let column = Interval { least: 0, most: i64::MAX.into() };
    assert!(std::panic::catch_unwind(|| column.lo(any().0[0], any().0[0])).is_err());
    assert!(std::panic::catch_unwind(|| column.shl::<2>()).is_err());
}
