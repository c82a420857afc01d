//! `zmm.rs` once more, over instructions spelled out in plain Rust: what it does with registers, its shuffles, masks and wiring,
//! is tried in every lane on processors that have none. Each is written from Intel's description of it. For tests.
#![allow(unsafe_code, clippy::duplicate_mod)]

#[path = "zmm.rs"]
mod zmm;
pub use zmm::Zmm;

/// In place of `instructions.rs`, by the same names. `unsafe` as those are, though only the two that take a pointer need it.
#[allow(non_camel_case_types, clippy::missing_safety_doc)]
mod instructions {
    use crate::word::{LIMB, LIMB_BITS, Phase};
    use std::array::from_fn;

    #[derive(Clone, Copy)]
    #[repr(align(64))]
    pub struct __m512i([u64; 8]);
    type M = __m512i;

    #[inline(always)]
    fn each(what: impl Fn(usize) -> u64) -> M {
        __m512i(from_fn(what))
    }

    /// Both halves of a product, of 52 bits each. The multiplier sees no more of what it is given.
    #[inline(always)]
    fn product(a: u64, b: u64) -> [u64; 2] {
        let product = u128::from(a & LIMB) * u128::from(b & LIMB);
        [product as u64 & LIMB, (product >> LIMB_BITS) as u64]
    }

    /// The phase is inlined here, too.
    #[inline(never)]
    pub unsafe fn inside<P: Phase>(phase: P) -> P::Out {
        phase.run()
    }
    /// # Safety
    /// 64 bytes can be read there.
    #[inline(always)]
    pub unsafe fn _mm512_loadu_si512(from: *const M) -> M {
        // SAFETY: the caller's; wherever they lie.
        __m512i(unsafe { from.cast::<[u64; 8]>().read_unaligned() })
    }
    /// # Safety
    /// 64 bytes can be written there.
    #[inline(always)]
    pub unsafe fn _mm512_storeu_si512(to: *mut M, a: M) {
        // SAFETY: the caller's; wherever they lie.
        unsafe { to.cast::<[u64; 8]>().write_unaligned(a.0) }
    }
    #[inline(always)]
    pub unsafe fn _mm512_set1_epi64(a: i64) -> M {
        each(|_| a.cast_unsigned())
    }
    #[inline(always)]
    pub unsafe fn _mm512_madd52lo_epu64(a: M, b: M, c: M) -> M {
        each(|lane| a.0[lane].wrapping_add(product(b.0[lane], c.0[lane])[0]))
    }
    #[inline(always)]
    pub unsafe fn _mm512_madd52hi_epu64(a: M, b: M, c: M) -> M {
        each(|lane| a.0[lane].wrapping_add(product(b.0[lane], c.0[lane])[1]))
    }
    #[inline(always)]
    pub unsafe fn _mm512_add_epi64(a: M, b: M) -> M {
        each(|lane| a.0[lane].wrapping_add(b.0[lane]))
    }
    #[inline(always)]
    pub unsafe fn _mm512_sub_epi64(a: M, b: M) -> M {
        each(|lane| a.0[lane].wrapping_sub(b.0[lane]))
    }
    #[inline(always)]
    pub unsafe fn _mm512_and_si512(a: M, b: M) -> M {
        each(|lane| a.0[lane] & b.0[lane])
    }
    #[inline(always)]
    pub unsafe fn _mm512_or_si512(a: M, b: M) -> M {
        each(|lane| a.0[lane] | b.0[lane])
    }
    #[inline(always)]
    pub unsafe fn _mm512_slli_epi64<const N: u32>(a: M) -> M {
        each(|lane| a.0[lane].unbounded_shl(N))
    }
    #[inline(always)]
    pub unsafe fn _mm512_srli_epi64<const N: u32>(a: M) -> M {
        each(|lane| a.0[lane].unbounded_shr(N))
    }
    #[inline(always)]
    pub unsafe fn _mm512_srai_epi64<const N: u32>(a: M) -> M {
        each(|lane| a.0[lane].cast_signed().unbounded_shr(N).cast_unsigned())
    }
    /// What a count is put into; its upper half is 0.
    #[inline(always)]
    pub unsafe fn _mm_cvtsi32_si128(count: i32) -> u32 {
        count.cast_unsigned()
    }
    #[inline(always)]
    pub unsafe fn _mm512_srl_epi64(a: M, count: u32) -> M {
        each(|lane| a.0[lane].unbounded_shr(count))
    }
    #[inline(always)]
    pub unsafe fn _mm512_shrdv_epi64(a: M, b: M, c: M) -> M {
        each(|lane| ((u128::from(b.0[lane]) << 64 | u128::from(a.0[lane])) >> (c.0[lane] % 64)) as u64)
    }
    #[inline(always)]
    pub unsafe fn _mm512_testn_epi64_mask(a: M, b: M) -> u8 {
        (0..8).fold(0, |mask, lane| mask | u8::from(a.0[lane] & b.0[lane] == 0) << lane)
    }
    #[inline(always)]
    pub unsafe fn _mm512_mask_blend_epi64(mask: u8, a: M, b: M) -> M {
        each(|lane| if mask >> lane & 1 == 1 { b.0[lane] } else { a.0[lane] })
    }
    #[inline(always)]
    pub unsafe fn _mm512_unpacklo_epi64(a: M, b: M) -> M {
        each(|lane| if lane % 2 == 0 { a.0[lane] } else { b.0[lane - 1] })
    }
    #[inline(always)]
    pub unsafe fn _mm512_unpackhi_epi64(a: M, b: M) -> M {
        each(|lane| if lane % 2 == 0 { a.0[lane + 1] } else { b.0[lane] })
    }
    #[inline(always)]
    pub unsafe fn _mm512_shuffle_i64x2<const CONTROL: i32>(a: M, b: M) -> M {
        each(|lane| {
            let from = if lane < 4 { a } else { b };
            let quarter = CONTROL as usize >> (lane / 2 * 2) & 3;
            from.0[2 * quarter + lane % 2]
        })
    }
}
