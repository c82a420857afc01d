//! Eight lanes in a register of AVX-512, one instruction for each operation, from `instructions.rs`. No other file of this crate
//! has `unsafe`, but for what stands in for those in tests.
//!
//! **Proof, for every block here.** What may go wrong is an instruction that the processor does not have. The module is
//! private; no code of this crate makes a [`Zmm`] or runs a phase over it but `Lanes`, which holds an `Ifma`, and tests,
//! which ask `Ifma::detect` first. An `Ifma` is made only where the processor, and the system that keeps its registers, say
//! that they have each feature named at `inside`. The intrinsics themselves touch registers only; loads and stores go
//! through references to 64 bytes, by the unaligned forms.
#![allow(unsafe_code)]

use super::instructions::*;
use crate::word::{LANES, Lanewise, Mask, Phase, Row, Word};

/// Eight lanes. Used only behind an `Ifma`.
#[derive(Clone, Copy)]
pub struct Zmm(__m512i);

impl Word for Zmm {
    #[inline(always)]
    fn enter<P: Phase>(phase: P) -> P::Out {
        // SAFETY: the processor has the features: see the head of the file.
        unsafe { inside(phase) }
    }

    #[inline(always)]
    fn load(lanes: &Lanewise) -> Zmm {
        // SAFETY: 64 bytes behind a reference.
        Zmm(unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self) -> Lanewise {
        let mut lanes = [0; LANES];
        // SAFETY: 64 bytes behind a mutable reference.
        unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), self.0) };
        lanes
    }

    #[inline(always)]
    fn splat(value: u64) -> Zmm {
        // SAFETY: registers only.
        Zmm(unsafe { _mm512_set1_epi64(value.cast_signed()) })
    }

    #[inline(always)]
    fn lo(self, a: Zmm, b: Zmm) -> Zmm {
        self.lo_cut(a, b)
    }

    #[inline(always)]
    fn hi(self, a: Zmm, b: Zmm) -> Zmm {
        self.hi_cut(a, b)
    }

    #[inline(always)]
    fn lo_cut(self, a: Zmm, b: Zmm) -> Zmm {
        // SAFETY: registers only.
        Zmm(unsafe { _mm512_madd52lo_epu64(self.0, a.0, b.0) })
    }

    #[inline(always)]
    fn hi_cut(self, a: Zmm, b: Zmm) -> Zmm {
        // SAFETY: registers only.
        Zmm(unsafe { _mm512_madd52hi_epu64(self.0, a.0, b.0) })
    }

    #[inline(always)]
    fn add(self, other: Zmm) -> Zmm {
        // SAFETY: registers only.
        Zmm(unsafe { _mm512_add_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Zmm) -> Zmm {
        // SAFETY: registers only.
        Zmm(unsafe { _mm512_sub_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn and(self, other: Zmm) -> Zmm {
        // SAFETY: registers only.
        Zmm(unsafe { _mm512_and_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: Zmm) -> Zmm {
        // SAFETY: registers only.
        Zmm(unsafe { _mm512_or_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn shl<const N: u32>(self) -> Zmm {
        // SAFETY: registers only.
        Zmm(unsafe { _mm512_slli_epi64::<N>(self.0) })
    }

    #[inline(always)]
    fn shr<const N: u32>(self) -> Zmm {
        // SAFETY: registers only.
        Zmm(unsafe { _mm512_srli_epi64::<N>(self.0) })
    }

    #[inline(always)]
    fn sar<const N: u32>(self) -> Zmm {
        // SAFETY: registers only.
        Zmm(unsafe { _mm512_srai_epi64::<N>(self.0) })
    }

    #[inline(always)]
    fn shr_by(self, count: u32) -> Zmm {
        // SAFETY: registers only.
        Zmm(unsafe { _mm512_srl_epi64(self.0, _mm_cvtsi32_si128(count.cast_signed())) })
    }

    #[inline(always)]
    fn funnel<const N: u32>(self, high: Zmm) -> Zmm {
        const { assert!(N < 64) };
        // SAFETY: registers only. A count in a register, since the immediate form wants another type of constant.
        Zmm(unsafe { _mm512_shrdv_epi64(self.0, high.0, _mm512_set1_epi64(N as i64)) })
    }

    #[inline(always)]
    fn zeros(self) -> Mask {
        // SAFETY: registers only.
        unsafe { _mm512_testn_epi64_mask(self.0, self.0) }
    }

    #[inline(always)]
    fn blend(self, mask: Mask, then: Zmm) -> Zmm {
        // SAFETY: registers only.
        Zmm(unsafe { _mm512_mask_blend_epi64(mask, self.0, then.0) })
    }

    #[inline(always)]
    fn from_rows(rows: [&Row; LANES]) -> [Zmm; 8] {
        let [a, b, c, d, e, f, g, h] = rows;
        transpose([
            Zmm::load(&a.0),
            Zmm::load(&b.0),
            Zmm::load(&c.0),
            Zmm::load(&d.0),
            Zmm::load(&e.0),
            Zmm::load(&f.0),
            Zmm::load(&g.0),
            Zmm::load(&h.0),
        ])
    }

    #[inline(always)]
    fn to_rows(words: [Zmm; 8], rows: [&mut Row; LANES]) {
        let [a, b, c, d, e, f, g, h] = rows;
        let lanes = transpose(words);
        a.0 = lanes[0].store();
        b.0 = lanes[1].store();
        c.0 = lanes[2].store();
        d.0 = lanes[3].store();
        e.0 = lanes[4].store();
        f.0 = lanes[5].store();
        g.0 = lanes[6].store();
        h.0 = lanes[7].store();
    }
}

/// Shuffles of pairs of registers. No closures: those would not surely be inlined to where the features are.
impl Zmm {
    /// The even words of both, side by side.
    #[inline(always)]
    fn low(self, other: Zmm) -> Zmm {
        // SAFETY: registers only.
        Zmm(unsafe { _mm512_unpacklo_epi64(self.0, other.0) })
    }

    /// The odd words.
    #[inline(always)]
    fn high(self, other: Zmm) -> Zmm {
        // SAFETY: registers only.
        Zmm(unsafe { _mm512_unpackhi_epi64(self.0, other.0) })
    }

    /// Quarters 0 and 2 of either.
    #[inline(always)]
    fn even(self, other: Zmm) -> Zmm {
        // SAFETY: registers only.
        Zmm(unsafe { _mm512_shuffle_i64x2::<0x88>(self.0, other.0) })
    }

    /// Quarters 1 and 3.
    #[inline(always)]
    fn odd(self, other: Zmm) -> Zmm {
        // SAFETY: registers only.
        Zmm(unsafe { _mm512_shuffle_i64x2::<0xdd>(self.0, other.0) })
    }
}

/// Word i of row j becomes word j of row i: pairs within 128 bits, then quarters of the register, twice.
#[inline(always)]
fn transpose(r: [Zmm; 8]) -> [Zmm; 8] {
    // p[i]: words i, i + 2, i + 4, i + 6 of two rows, side by side.
    let p = [r[0].low(r[1]), r[0].high(r[1]), r[2].low(r[3]), r[2].high(r[3])];
    let q = [r[4].low(r[5]), r[4].high(r[5]), r[6].low(r[7]), r[6].high(r[7])];
    // Words 0 and 4, 1 and 5, 2 and 6, 3 and 7 of four rows.
    let a = [p[0].even(p[2]), p[1].even(p[3]), p[0].odd(p[2]), p[1].odd(p[3])];
    let b = [q[0].even(q[2]), q[1].even(q[3]), q[0].odd(q[2]), q[1].odd(q[3])];
    [
        a[0].even(b[0]),
        a[1].even(b[1]),
        a[2].even(b[2]),
        a[3].even(b[3]),
        a[0].odd(b[0]),
        a[1].odd(b[1]),
        a[2].odd(b[2]),
        a[3].odd(b[3]),
    ]
}
