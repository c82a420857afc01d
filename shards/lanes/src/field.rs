//! The field of secp256k1, integers modulo p = 2^256 − 2^32 − 977, in five limbs of 52 bits; eight elements at once. Knows
//! no curve. Formulas over it are in `point.rs`.
//!
//! # Form and bounds
//!
//! An element ([`Fe`]) is Σ fᵢ·2^(52i), with f₀ … f₃ < 2^52 and f₄ < 2^50: more than one form stands for the same element,
//! and every limb is fit for the multiplier, which sees 52 bits and no more. So there is no lazy addition: sums and
//! differences are taken inside the reduction that ends each operation, where words have 64 bits. That comes in steps:
//!
//! ```text
//! Wide   z₀ … z₉   sums of products: up to 5 low and 5 high halves below 2^52 in a column, times 9 at most (ab + 8c²):
//!                  below 90·2^52 < 2^59; z₉, high halves of a₄b₄ < 2^100, below 9·2^48
//!   │ fold         2^260 ≡ 16(2^32 + 977) = R, of 37 bits. zᵢ for i ≥ 5 is cut in its low 52 bits, whose products with R
//!   ▼              go to columns i−5 and i−4, and the rest, below 2^7, whose product is below 2^44
//! Loose  f₀ … f₅   f₀ … f₄ < 2^59 + 3·2^52, f₅ = ⌊z₉R / 2^52⌋ < 2^37. Here addends come in: they may make it 3 or 4 times
//!   │              itself, negative, or take away a few elements; |f₀ … f₄| < 2^62, |f₅| < 2^40
//!   │ carry        f₄ and f₅ above 2^256 are t < 2^45, which is worth t·C, C = 2^32 + 977; then one pass of carries
//!   ▼
//! Fe     f₀ … f₄   f₄ < 2^48 and a carry below 2^12; with [`Loose::carry_signed`], below 2^49 and that
//! ```
//!
//! `interval.rs` runs this very code on bounds instead of numbers and asserts each of them.

use crate::word::{LIMB, Mask, Word, each};

/// 2^256 mod p.
pub const C: u64 = (1 << 32) + 977;
/// 2^260 mod p.
const R: u64 = 16 * C;
/// The bits of the top limb that lie below 2^256.
const TOP: u64 = (1 << 48) - 1;
/// See [`Loose::carry_signed`].
const BIAS: u64 = 1 << 44;

/// Eight elements, in the form given at the head of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fe<W>(pub [W; 5]);

/// Sums of products: ten columns of 52 bits, with room above.
#[derive(Clone, Copy)]
pub struct Wide<W>([W; 10]);

/// Folded once: six columns, to be taken as signed.
#[derive(Clone, Copy)]
pub struct Loose<W>([W; 6]);

impl<W: Word> Wide<W> {
    /// a·b.
    #[inline(always)]
    pub fn mul(a: Fe<W>, b: Fe<W>) -> Wide<W> {
        Wide([W::splat(0); 10]).and_mul(a, b)
    }

    /// `self` + a·b: 50 products, row by row, so that no column is added to twice in a row.
    #[inline(always)]
    pub fn and_mul(self, a: Fe<W>, b: Fe<W>) -> Wide<W> {
        let mut z = self.0;
        each!(I in [0 1 2 3 4] {
            each!(J in [0 1 2 3 4] { z[I + J] = z[I + J].lo(a.0[I], b.0[J]); });
            each!(J in [0 1 2 3 4] { z[I + J + 1] = z[I + J + 1].hi(a.0[I], b.0[J]); });
        });
        Wide(z)
    }

    /// a²: 10 products above the diagonal, twice, and 5 on it.
    #[inline(always)]
    pub fn sqr(a: Fe<W>) -> Wide<W> {
        let mut z = [W::splat(0); 10];
        each!(I in [0 1 2 3] {
            each!(J in [1 2 3 4] { if J > I { z[I + J] = z[I + J].lo(a.0[I], a.0[J]); } });
            each!(J in [1 2 3 4] { if J > I { z[I + J + 1] = z[I + J + 1].hi(a.0[I], a.0[J]); } });
        });
        each!(I in [1 2 3 4 5 6 7 8] { z[I] = z[I].add(z[I]); });
        each!(I in [0 1 2 3 4] {
            z[2 * I] = z[2 * I].lo(a.0[I], a.0[I]);
            z[2 * I + 1] = z[2 * I + 1].hi(a.0[I], a.0[I]);
        });
        Wide(z)
    }

    /// 2^S times itself.
    #[inline(always)]
    pub fn shl<const S: u32>(self) -> Wide<W> {
        let mut z = self.0;
        each!(I in [0 1 2 3 4 5 6 7 8 9] { z[I] = z[I].shl::<S>(); });
        Wide(z)
    }

    /// Takes what lies above 2^260 down.
    #[inline(always)]
    pub fn fold(self) -> Loose<W> {
        let z = self.0;
        let r = W::splat(R);
        let mut f = [z[0], z[1], z[2], z[3], z[4], W::splat(0)];
        each!(I in [0 1 2 3] { f[I] = f[I].lo_cut(z[5 + I], r); });
        each!(I in [0 1 2 3] { f[I + 1] = f[I + 1].hi_cut(z[5 + I], r); });
        each!(I in [0 1 2 3] { f[I + 1] = f[I + 1].lo(z[5 + I].shr::<52>(), r); });
        f[4] = f[4].lo(z[9], r);
        f[5] = f[5].hi(z[9], r);
        Loose(f)
    }
}

impl<W: Word> Loose<W> {
    /// An element, to begin with.
    #[inline(always)]
    pub fn of(a: Fe<W>) -> Loose<W> {
        Loose([a.0[0], a.0[1], a.0[2], a.0[3], a.0[4], W::splat(0)])
    }

    /// `self` + a.
    #[inline(always)]
    pub fn plus(mut self, a: Fe<W>) -> Loose<W> {
        each!(I in [0 1 2 3 4] { self.0[I] = self.0[I].add(a.0[I]); });
        self
    }

    /// `self` − a.
    #[inline(always)]
    pub fn minus(mut self, a: Fe<W>) -> Loose<W> {
        each!(I in [0 1 2 3 4] { self.0[I] = self.0[I].sub(a.0[I]); });
        self
    }

    /// 2^S times itself.
    #[inline(always)]
    pub fn shl<const S: u32>(mut self) -> Loose<W> {
        each!(I in [0 1 2 3 4 5] { self.0[I] = self.0[I].shl::<S>(); });
        self
    }

    /// Three times itself.
    #[inline(always)]
    pub fn times3(mut self) -> Loose<W> {
        each!(I in [0 1 2 3 4 5] { self.0[I] = self.0[I].add(self.0[I]).add(self.0[I]); });
        self
    }

    /// −`self`.
    #[inline(always)]
    pub fn negated(mut self) -> Loose<W> {
        each!(I in [0 1 2 3 4 5] { self.0[I] = W::splat(0).sub(self.0[I]); });
        self
    }

    /// −`self` in the lanes of the mask.
    #[inline(always)]
    pub fn negated_in(mut self, mask: Mask) -> Loose<W> {
        each!(I in [0 1 2 3 4 5] { self.0[I] = self.0[I].blend(mask, W::splat(0).sub(self.0[I])); });
        self
    }

    /// The element, where nothing was taken away: t = ⌊f₄ / 2^48⌋ + 16·f₅ is what lies above 2^256.
    #[inline(always)]
    pub fn carry(self) -> Fe<W> {
        let f = self.0;
        let t = f[4].shr::<48>().add(f[5].shl::<4>());
        let c = W::splat(C);
        ripple([f[0].lo(t, c), f[1].hi(t, c), f[2], f[3], f[4].and(W::splat(TOP))])
    }

    /// The element, whatever the signs of its columns. With t as in [`Loose::carry`] but signed, |t| < 2^44:
    /// t·2^256 = 2^256 + (t − 1)·2^256 ≡ 2^256 + (t + BIAS)·C − (BIAS + 1)·C. So the multiplier sees the positive t + BIAS,
    /// a constant is taken away, and 2^48 stays in f₄. That is more than can be borrowed from it, so that no limb of the
    /// outcome is negative: it could come to −1 otherwise, about once in 2^48 times, or when somebody wants it to.
    #[inline(always)]
    pub fn carry_signed(self) -> Fe<W> {
        const LESS: u128 = (BIAS as u128 + 1) * C as u128;
        let f = self.0;
        let t = f[4].sar::<48>().add(f[5].shl::<4>()).add(W::splat(BIAS));
        let c = W::splat(C);
        let f0 = f[0].sub(W::splat(LESS as u64 & LIMB)).lo(t, c);
        let f1 = f[1].sub(W::splat((LESS >> 52) as u64)).hi(t, c);
        ripple([f0, f1, f[2], f[3], f[4].and(W::splat(TOP)).add(W::splat(TOP + 1))])
    }
}

/// Carries, signed, from each limb to the next.
#[inline(always)]
fn ripple<W: Word>(mut f: [W; 5]) -> Fe<W> {
    each!(I in [0 1 2 3] {
        f[I + 1] = f[I + 1].add(f[I].sar::<52>());
        f[I] = f[I].and(W::splat(LIMB));
    });
    Fe(f)
}

impl<W: Word> Fe<W> {
    /// From 256 bits, the lowest word first. They need not be below p.
    #[inline(always)]
    pub fn unpack(w: [W; 4]) -> Fe<W> {
        let limb = W::splat(LIMB);
        Fe([
            w[0].and(limb),
            w[0].funnel::<52>(w[1]).and(limb),
            w[1].funnel::<40>(w[2]).and(limb),
            w[2].funnel::<28>(w[3]).and(limb),
            w[3].shr::<16>(),
        ])
    }

    /// To 256 bits: the same element, not surely below p.
    #[inline(always)]
    pub fn pack(self) -> [W; 4] {
        let f = self.below_2_256().0;
        [
            f[0].shl::<12>().funnel::<12>(f[1]),
            f[1].shl::<12>().funnel::<24>(f[2]),
            f[2].shl::<12>().funnel::<36>(f[3]),
            f[3].shl::<12>().funnel::<48>(f[4]),
        ]
    }

    /// The form whose top limb has 48 bits. The first pass adds t·C < 2^36 to what is below 2^256. If that goes beyond, less
    /// than 2^36 is left beside 2^256, so the second one changes nothing but the lowest limb, which stays one: it is masked only
    /// for bounds that do not know that.
    #[inline(always)]
    fn below_2_256(self) -> Fe<W> {
        let (c, top) = (W::splat(C), W::splat(TOP));
        let mut f = self.0;
        f[0] = f[0].lo(f[4].shr::<48>(), c);
        f[4] = f[4].and(top);
        let mut f = ripple(f).0;
        f[0] = f[0].lo(f[4].shr::<48>(), c).and(W::splat(LIMB));
        f[4] = f[4].and(top);
        Fe(f)
    }

    /// The one form below p. With v below 2^256: v ≥ p where v + C reaches 2^256, and v − p is what is left then.
    #[inline(always)]
    pub fn canonical(self) -> Fe<W> {
        let v = self.below_2_256();
        let mut sum = v.0;
        sum[0] = sum[0].add(W::splat(C));
        let mut sum = ripple(sum).0;
        let below = sum[4].shr::<48>().zeros();
        sum[4] = sum[4].and(W::splat(TOP));
        each!(I in [0 1 2 3 4] { sum[I] = sum[I].blend(below, v.0[I]); });
        Fe(sum)
    }

    /// Lanes whose element is zero.
    #[inline(always)]
    pub fn zeros(self) -> Mask {
        let f = self.canonical().0;
        f[0].or(f[1]).or(f[2]).or(f[3]).or(f[4]).zeros()
    }

    /// Lanes whose element is odd, in the one form below p.
    #[inline(always)]
    pub fn odds(self) -> Mask {
        !self.canonical().0[0].and(W::splat(1)).zeros()
    }

    /// The same in all lanes, of a number below 2^52.
    #[inline(always)]
    pub fn small(value: u64) -> Fe<W> {
        Fe([W::splat(value), W::splat(0), W::splat(0), W::splat(0), W::splat(0)])
    }

    /// The same in all lanes, of 256 bits with the lowest word first.
    #[inline(always)]
    pub fn splat(words: [u64; 4]) -> Fe<W> {
        Fe::unpack([W::splat(words[0]), W::splat(words[1]), W::splat(words[2]), W::splat(words[3])])
    }

    /// `then` in the lanes of the mask, `self` elsewhere.
    #[inline(always)]
    pub fn blend(mut self, mask: Mask, then: Fe<W>) -> Fe<W> {
        each!(I in [0 1 2 3 4] { self.0[I] = self.0[I].blend(mask, then.0[I]); });
        self
    }
}
