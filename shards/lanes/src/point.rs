//! Points of secp256k1, y² = x³ + 7, eight or sixteen at once: one doubling, one addition, a table of odd multiples, and
//! u·G + v·Q by them. Does not know what it is computed for.
//!
//! # Why no case is missing
//!
//! A point is (X, Y, Z) for x = X/Z², y = Y/Z³ (Jacobian). The formulas below hold for all points but these:
//!
//! * an addition of equal or of opposite points, whose x are the same: there H = 0;
//! * anything with the point at infinity.
//!
//! An addition sets Z₃ = Z₁·H, a doubling Z₃ = 2·Y₁·Z₁, a field has no divisors of zero, and no point of an odd order has
//! y = 0. So Z ≠ 0 at the end says that H ≠ 0 in every addition before, that no sum was infinity, and that every step was
//! the general case; once Z is 0 it stays so. Lanes whose Z is 0 at the end are not decided, whatever else they hold. Digits
//! are never zero and the first one starts the sum, so that infinity does not come up in between either, unless by such a
//! sum: an honest signature gets there with a chance of about 2^-120, and a crafted one is somebody else's to decide.
//!
//! The table of a key is made by additions too (1 + 2, 3 + 2, … 29 + 2 times Q), where H ≠ 0 since Q has a prime order above
//! 60; their H go into Z of the table, so they are covered as well. That order needs Q on the curve, which `lift` tells: what
//! other lanes compute does not matter.

use crate::field::Fe;
use crate::fused::{Field, Single};
use crate::group::{
    G_BITS, G_WINDOWS, Group, KEY_BITS, KEY_ENTRIES, KEY_WINDOWS, KeyTable, Masks, Tables, read, write,
};
use crate::twin::Twin;
use crate::word::{Mask, Phase, Word};
use std::marker::PhantomData;

/// x of the generator, the lowest word first (SEC 2, 2.4.1).
pub const GENERATOR_X: [u64; 4] =
    [0x59f2_815b_16f8_1798, 0x029b_fcdb_2dce_28d9, 0x55a0_6295_ce87_0b07, 0x79be_667e_f9dc_bbac];
/// y of the generator.
pub const GENERATOR_Y: [u64; 4] =
    [0x9c47_d08f_fb10_d4b8, 0xfd17_b448_a685_5419, 0x5da4_fbfc_0e11_08a8, 0x483a_da77_26a3_c465];
/// β, a cube root of 1: (β·x, y) is λ times (x, y) (Gallant, Lambert and Vanstone, "Faster Point Multiplication on Elliptic
/// Curves with Efficient Endomorphisms"; the value is that of libsecp256k1's `field.h`, and a test takes it to the third
/// power).
pub const BETA: [u64; 4] = [0xc139_6c28_7195_01ee, 0x9cf0_4975_12f5_8995, 0x6e64_479e_ac34_34e9, 0x7ae9_6a2b_657c_0710];

/// A point, X/Z² and Y/Z³.
#[derive(Clone, Copy)]
pub struct Jacobian<F> {
    pub x: F,
    pub y: F,
    pub z: F,
}

impl<F: Field> Jacobian<F> {
    /// Twice itself: EFD, "dbl-2009-l", with D = 4·X·B in place of 2((X + B)² − A − C), which lanes gain nothing by.
    /// 3M + 4S, six reductions and a second end to one.
    #[inline(always)]
    pub fn double(self) -> Self {
        let e = self.x.sqr_times3();
        let b = self.y.sqr();
        let d = self.x.mul_shl::<2>(b);
        let z = self.y.mul_shl::<1>(self.z);
        // X₃ = E² − 2D, and X₃ − D for Y₃ = E(D − X₃) − 8B² = −(E(X₃ − D) + 8B²).
        let (x, less_d) = e.sqr_minus_2_3(d);
        Jacobian { x, y: e.minus_mul_sqr8(less_d, b), z }
    }

    /// `self` ± an affine point, − in the lanes of the mask: EFD, "madd-2004-hmv" (Hankerson, Menezes and Vanstone, 3.22).
    /// 8M + 3S. `z` is Z of `self` on the curve that the affine point is on.
    ///
    /// The point's curve may be another one: by (x, y) → (x·s², y·s³), y² = x³ + 7 goes to y² = x³ + 7·s⁶, and no formula here
    /// uses the 7. A sum that is kept on that curve with Z is one on secp256k1 with Z·s. So with `z` = Z·s a point of
    /// secp256k1 is added, though the sum stays where it is.
    #[inline(always)]
    pub fn add(self, x: F, y: F, negative: Masks, z: F) -> Self {
        let zz = z.sqr();
        let zzz = z.mul(zz);
        let h = x.mul_minus(zz, self.x);
        let r = y.mul_signed_minus(zzz, negative, self.y);
        let hh = h.sqr();
        let z = self.z.mul(h);
        let hhh = h.mul(hh);
        let v = self.x.mul(hh);
        // X₃ = R² − H³ − 2V, and X₃ − V for Y₃ = R(V − X₃) − Y₁H³ = −(R(X₃ − V) + Y₁H³).
        let (x, less_v) = r.sqr_minus_1_2_3(hhh, v);
        Jacobian { x, y: r.minus_mul_mul(less_v, self.y, hhh), z }
    }
}

/// A step of a chain: so many squarings, then the product with what an earlier step gave, by its number.
type Step = (u32, usize);

/// a to 2^k − 1 for k = 1 (a itself), 2, 3, 6, 9, 11, 22, 44, 88, 176, 220, 223: blocks of ones (the chain of libsecp256k1's
/// `field_impl.h`).
const ONES: [Step; 11] = [(1, 0), (1, 0), (3, 2), (3, 2), (2, 1), (11, 5), (22, 6), (44, 7), (88, 8), (44, 7), (3, 2)];
/// (p + 1)/4 is 223 ones, a zero, 22 ones, four zeros, two ones and two zeros.
const ROOT: [Step; 2] = [(23, 6), (6, 1)];
/// p − 2 is 223 ones, a zero, 22 ones, four zeros, and 101101.
const INVERSE: [Step; 4] = [(23, 6), (5, 0), (3, 1), (2, 0)];

/// The power that two chains lead to. Loops, not inlined blocks: there is one squaring here for the compiler to look at.
#[inline(always)]
fn power<F: Field>(a: F, end: &[Step]) -> F {
    let mut powers = [a; ONES.len() + 1];
    let mut out = a;
    for (index, (squarings, factor)) in ONES.iter().chain(end).enumerate() {
        for _ in 0..*squarings {
            out = out.sqr();
        }
        out = out.mul(powers[*factor]);
        if index < ONES.len() {
            powers[index + 1] = out;
        }
    }
    out
}

/// a^((p + 1)/4): a root of a where a has one, since p ≡ 3 mod 4. 253S + 13M.
#[inline(always)]
pub fn root<F: Field>(a: F) -> F {
    power(a, &ROOT).sqr().sqr()
}

/// a^(p − 2): 1/a, and 0 of 0. 255S + 15M.
#[inline(always)]
pub fn inverse<F: Field>(a: F) -> F {
    power(a, &INVERSE)
}

/// A y for each x, and the lanes in which (x, y) is on the curve.
#[inline(always)]
pub fn lift<F: Field>(x: F) -> (F, Masks) {
    let square = x.sqr().mul_plus(x, F::small(7));
    let y = root(square);
    (y, y.sqr().minus(square).zeros())
}

/// Odd multiples of (x, y) and of λ(x, y) into tables, as affine points of the curve that Z, which is given, leads to: a
/// point (x, y) there is (x/Z², y/Z³) here.
///
/// Twice the point and the point itself are brought to one Z by the doubling (Z = 2y: the point is (4xy², 8y⁴) then), and
/// from there each addition of the double to the last entry gives the double anew with the Z of the sum: Meloni, "New Point
/// Addition Formulae for ECC Applications", ZADDU, 4M + 2S without Z itself. Z grows by H each time; from the last entry
/// backwards the others are taken to its Z, by the product of the H that came after them, 4M + 1S.
#[inline(always)]
pub fn tabulate<F: Field>(x: F, y: F, tables: &mut [KeyTable]) -> F {
    let double = Jacobian { x, y, z: F::small(1) }.double();
    let b = y.sqr();
    let mut entry = (x.mul_shl::<2>(b), b.mul_shl::<3>(b));
    let mut two = (double.x, double.y);
    let mut entries = [(entry.0, entry.1, double.z); KEY_ENTRIES];
    for slot in &mut entries[1..] {
        // ZADDU(two, entry), C = H², W₁ = X₁C, W₂ = X₂C, A₁ = Y₁(W₁ − W₂).
        let h = two.0.minus(entry.0);
        let dy = two.1.minus(entry.1);
        let c = h.sqr();
        let (w1, w2) = (two.0.mul(c), entry.0.mul(c));
        let a1 = two.1.mul(w1.minus(w2));
        let sum = dy.sqr_minus_minus(w1, w2);
        entry = (sum, dy.mul_minus(w1.minus(sum), a1));
        two = (w1, a1);
        *slot = (entry.0, entry.1, h);
    }
    let beta = F::splat(BETA);
    let mut grown = F::small(1);
    for (index, (x, y, h)) in entries.iter().enumerate().rev() {
        let square = grown.sqr();
        let x = x.mul(square);
        F::keep(x, y.mul(square.mul(grown)), x.mul(beta), tables, index);
        grown = grown.mul(*h);
    }
    grown
}

/// u·G + v·Q of each lane, with the Z it has on secp256k1, from halves that are in the groups and tables. `flipped` lanes
/// have −Q in their tables.
///
/// All windows are added where their lowest bit is in a run of doublings that goes down from bit 125: the windows of a key
/// at multiples of 5, those of the generator at multiples of 13. 125 doublings, 51 additions of keys and 20 of G.
#[inline(always)]
pub fn multiply<F: Field>(
    groups: &[Group],
    keys: &[KeyTable],
    scale: F,
    flipped: Masks,
    tables: &Tables,
) -> Jacobian<F> {
    const TOP: usize = (KEY_WINDOWS - 1) * KEY_BITS as usize;
    const _: () = assert!(TOP > (G_WINDOWS - 1) * G_BITS as usize);
    let (x, y, negative) = F::of_key(groups, keys, 0, KEY_WINDOWS - 1);
    let mut sum = Jacobian { x, y: y.negated_in(negative ^ flipped), z: F::small(1) };
    for bit in (0..=TOP).rev() {
        if bit < TOP {
            sum = sum.double();
        }
        if bit.is_multiple_of(KEY_BITS as usize) {
            let first = usize::from(bit == TOP);
            for half in first..2 {
                let (x, y, negative) = F::of_key(groups, keys, half, bit / KEY_BITS as usize);
                sum = sum.add(x, y, negative ^ flipped, sum.z);
            }
        }
        if bit.is_multiple_of(G_BITS as usize) && bit / (G_BITS as usize) < G_WINDOWS {
            for half in 0..2 {
                let (x, y, negative) = F::of_generator(groups, tables, half, bit / G_BITS as usize);
                sum = sum.add(x, y, negative, sum.z.mul(scale));
            }
        }
    }
    Jacobian { z: sum.z.mul(scale), ..sum }
}

/// Everything but the sign of R: [`Group::proven`] becomes the lanes whose key is on the curve and whose R is not infinity
/// and has a candidate for its x, and y and z of R are kept where a sign is wanted.
pub struct Multiply<'a, F> {
    /// One group, or two for a [`Twin`].
    pub groups: &'a mut [Group],
    pub keys: &'a mut [KeyTable],
    pub tables: &'a Tables,
    pub field: PhantomData<F>,
}

impl<F: Field> Phase for Multiply<'_, F> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        let Multiply { groups, keys, tables, .. } = self;
        let wanted = groups.iter().rev().fold(0, |masks, group| masks << 8 | Masks::from(group.odd));
        let x = F::key(groups);
        let (y, on_curve) = lift(x);
        let scale = tabulate(x, y, keys);
        let sum = multiply(groups, keys, scale, y.odds() ^ wanted, tables);
        // x = r if and only if X = r·Z².
        let square = sum.z.sqr();
        let first = F::candidate(groups, 0).mul_minus(square, sum.x).zeros();
        let second = F::candidate(groups, 1).mul_minus(square, sum.x).zeros();
        let proven = on_curve & !sum.z.zeros() & (first | second);
        if groups.iter().any(|group| group.even != 0) {
            F::store(sum.y, sum.z, groups);
        }
        for (index, group) in groups.iter_mut().enumerate() {
            group.proven = (proven >> (8 * index)) as u8;
        }
    }
}

/// Does it on a word, for one group or two.
pub fn multiply_groups<W: Word, F: Field>(groups: &mut [Group], keys: &mut [KeyTable], tables: &Tables) {
    if groups.len() == 1 {
        W::enter(Multiply::<F> { groups, keys, tables, field: PhantomData });
    } else {
        W::enter(Multiply::<Twin<F>> { groups, keys, tables, field: PhantomData });
    }
}

/// The sign of R, for groups that want one: lanes of `even` are proven no more if y of R is odd. One inversion for all:
/// Montgomery's trick, lane by lane down the groups, with 1 for a Z of 0, whose lane is not proven anyway. No lane sees
/// another.
pub struct Signs<'a, W, F> {
    pub groups: &'a mut [Group],
    pub field: PhantomData<(W, F)>,
}

impl<W: Word, F: Single<W>> Phase for Signs<'_, W, F> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        let mut product = F::small(1);
        for group in self.groups.iter_mut().filter(|group| group.even != 0) {
            let z = read::<W>(&group.z);
            let z = z.blend(z.zeros(), Fe::small(1));
            write(&mut group.z, z);
            write(&mut group.product, product.fe());
            product = product.mul(F::of(z));
        }
        let mut inverted = inverse(product);
        for group in self.groups.iter_mut().rev().filter(|group| group.even != 0) {
            let own = inverted.mul(F::of(read(&group.product)));
            inverted = inverted.mul(F::of(read(&group.z)));
            let odd = F::of(read(&group.y)).mul(own.mul(own.sqr())).odds() as Mask;
            group.proven &= !(odd & group.even);
        }
    }
}
