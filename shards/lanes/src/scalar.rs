//! Numbers modulo n, the order of secp256k1, one at a time: what a signature says becomes u and v, and those become windows.
//! Knows no point. Time depends on the values: everything here is public.

use crate::group::{G_WORD_BITS, KEY_WORD_BITS};

/// n, the lowest word first (SEC 2, 2.4.1).
pub const N: [u64; 4] = [0xbfd2_5e8c_d036_4141, 0xbaae_dce6_af48_a03b, 0xffff_ffff_ffff_fffe, 0xffff_ffff_ffff_ffff];
/// 2^256 − n.
const REST: [u64; 3] = [0x402d_a173_2fc9_bebf, 0x4551_2319_50b7_5fc4, 1];
/// p, the lowest word first.
const P: [u64; 4] = [0xffff_fffe_ffff_fc2f, u64::MAX, u64::MAX, u64::MAX];

/// 256 bits, the lowest word first.
pub type Words = [u64; 4];

/// From big-endian bytes.
pub fn words(bytes: &[u8; 32]) -> Words {
    let word = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    [word(24), word(16), word(8), word(0)]
}

/// The difference, and whether it was below zero.
fn less(a: Words, b: Words) -> (Words, bool) {
    let (mut out, mut borrow) = (a, false);
    for (out, b) in out.iter_mut().zip(b) {
        (*out, borrow) = out.borrowing_sub(b, borrow);
    }
    (out, borrow)
}

/// Whether it is an element of the field as signatures and keys write it: below p.
pub fn below_p(a: Words) -> bool {
    less(a, P).1
}

/// a + n, if that is below p.
pub fn plus_n_below_p(a: Words) -> Option<Words> {
    let (mut out, mut carry) = (a, false);
    for (out, n) in out.iter_mut().zip(N) {
        (*out, carry) = out.carrying_add(n, carry);
    }
    (!carry && below_p(out)).then_some(out)
}

/// A number below n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalar(pub Words);

impl Scalar {
    /// 1.
    pub const ONE: Scalar = Scalar([1, 0, 0, 0]);

    /// 256 bits modulo n: once n off is enough, since 2^256 < 2n.
    pub fn reduced(a: Words) -> Scalar {
        let (smaller, below) = less(a, N);
        Scalar(if below { a } else { smaller })
    }

    /// If it is below n.
    pub fn checked(a: Words) -> Option<Scalar> {
        less(a, N).1.then_some(Scalar(a))
    }

    /// If it is below n and not 0.
    pub fn nonzero(a: Words) -> Option<Scalar> {
        Scalar::checked(a).filter(|scalar| scalar.0 != [0; 4])
    }

    /// n − itself.
    pub fn negated(self) -> Scalar {
        if self.0 == [0; 4] { self } else { Scalar(less(N, self.0).0) }
    }

    /// The product. 2^256 ≡ REST, of 129 bits: what lies above 2^256 goes down in three steps, as at most 2^386, 2^260 and
    /// 2^256 + 2^134, and the last is below 2n.
    pub fn mul(self, other: Scalar) -> Scalar {
        let wide: [u64; 8] = product(self.0, other.0);
        let low: [u64; 4] = [wide[0], wide[1], wide[2], wide[3]];
        let once: [u64; 7] = sum(product([wide[4], wide[5], wide[6], wide[7]], REST), low);
        let low = [once[0], once[1], once[2], once[3]];
        let twice: [u64; 6] = sum(product([once[4], once[5], once[6]], REST), low);
        let low = [twice[0], twice[1], twice[2], twice[3]];
        let [a, b, c, d, above]: [u64; 5] = sum(product([twice[4], 0], REST), low);
        let left = Scalar::reduced([a, b, c, d]);
        if above == 0 { left } else { Scalar::reduced(sum::<4, 3>(left.0, REST)) }
    }

    /// 1/a, by a^(n − 2), four bits at a time.
    pub fn inverse(self) -> Scalar {
        let mut powers = [Scalar::ONE; 16];
        for index in 1..16 {
            powers[index] = powers[index - 1].mul(self);
        }
        let (exponent, _) = less(N, [2, 0, 0, 0]);
        let mut out = Scalar::ONE;
        for digit in (0..64).rev() {
            for _ in 0..4 {
                out = out.mul(out);
            }
            out = out.mul(powers[(exponent[digit / 16] >> (digit % 16 * 4)) as usize & 15]);
        }
        out
    }

    /// All of them inverted, with one inversion (Montgomery's trick). None may be 0.
    pub fn invert(all: &mut [Scalar], before: &mut [Scalar]) {
        let mut product = Scalar::ONE;
        for (own, before) in all.iter().zip(&mut *before) {
            assert!(own.0 != [0; 4], "0 has no inverse");
            *before = product;
            product = product.mul(*own);
        }
        let mut inverted = product.inverse();
        for (own, before) in all.iter_mut().zip(before).rev() {
            let next = inverted.mul(*own);
            *own = inverted.mul(*before);
            inverted = next;
        }
    }
}

/// a·b, in as many words as both have.
fn product<const A: usize, const B: usize, const OUT: usize>(a: [u64; A], b: [u64; B]) -> [u64; OUT] {
    const { assert!(A + B == OUT) };
    let mut out = [0; OUT];
    for i in 0..A {
        let mut carry = 0;
        for j in 0..B {
            (out[i + j], carry) = a[i].carrying_mul_add(b[j], carry, out[i + j]);
        }
        out[i + B] = carry;
    }
    out
}

/// a + b modulo 2^64 to the number of a's words.
fn sum<const A: usize, const B: usize>(mut a: [u64; A], b: [u64; B]) -> [u64; A] {
    let mut carry = false;
    for (index, word) in a.iter_mut().enumerate() {
        (*word, carry) = word.carrying_add(if index < B { b[index] } else { 0 }, carry);
    }
    a
}

/// A signed number of 192 bits.
type Signed = [u64; 3];

/// a − b.
fn minus(mut a: Signed, b: Signed) -> Signed {
    let mut borrow = false;
    for (a, b) in a.iter_mut().zip(b) {
        (*a, borrow) = a.borrowing_sub(b, borrow);
    }
    a
}

/// a·b modulo 2^192, of 128 bits each (or 129 of b).
fn times(a: [u64; 2], b: Signed) -> Signed {
    let [low, middle, high, ..]: [u64; 5] = product(a, b);
    [low, middle, high]
}

/// What λ is to the curve: (a₁, b₁) and (a₂, b₂) are two short vectors (a, b) with a + b·λ ≡ 0 mod n, found by Euclid's
/// algorithm (Gallant, Lambert and Vanstone; Hankerson, Menezes and Vanstone, algorithm 3.74). b₂ = a₁, and b₁ is negative.
const A1: Signed = [0xe86c_90e4_9284_eb15, 0x3086_d221_a7d4_6bcd, 0];
const MINUS_B1: Signed = [0x6f54_7fa9_0abf_e4c3, 0xe443_7ed6_010e_8828, 0];
const A2: Signed = [0x57c1_108d_9d44_cfd8, 0x14ca_50f7_a8e2_f3f6, 1];
/// ⌊2^384·b₂/n⌉ and ⌊2^384·(−b₁)/n⌉.
const G1: Words = [0xe893_209a_45db_b031, 0x3daa_8a14_71e8_ca7f, 0xe86c_90e4_9284_eb15, 0x3086_d221_a7d4_6bcd];
const G2: Words = [0x1571_b4ae_8ac4_7f71, 0x2212_08ac_9df5_06c6, 0x6f54_7fa9_0abf_e4c4, 0xe443_7ed6_010e_8828];

/// ⌊a·b / 2^384⌉.
fn product_above_384(a: Words, b: Words) -> [u64; 2] {
    let [.., half, low, high]: [u64; 8] = product(a, b);
    let [low, high] = sum([low, high], [half >> 63]);
    [low, high]
}

/// v as v₁ + v₂·λ, both odd and below 2^130 in size, in windows.
///
/// With c₁ = ⌊v·b₂/n⌉ and c₂ = ⌊−v·b₁/n⌉, (v₁, v₂) = (v, 0) − c₁(a₁, b₁) − c₂(a₂, b₂) is within half of both vectors, and
/// within one of them for each that rounding G1 and G2 may be off by (2^-128 of one): |v₁| ≤ (a₁ + a₂)/2 + 2 < 0.64·2^128 and
/// |v₂| ≤ (|b₁| + b₂)/2 + 2 < 0.55·2^128. The parities of the vectors are (1, 1) and (0, 1), so one of them, both or neither
/// makes both halves odd, and |v₁| < (0.64 + 0.19 + 1.09)·2^128, |v₂| < (0.55 + 0.90 + 0.19)·2^128, both below 2^129.
pub fn key_windows(v: Scalar) -> [[u64; 3]; 2] {
    let (c1, c2) = (product_above_384(v.0, G1), product_above_384(v.0, G2));
    let low = [v.0[0], v.0[1], v.0[2]];
    let mut v1 = minus(minus(low, times(c1, A1)), times(c2, A2));
    let mut v2 = minus(times(c1, MINUS_B1), times(c2, A1));
    if v1[0] & 1 == 0 {
        v1 = minus(v1, A1);
        v2 = sum(v2, MINUS_B1);
    }
    if v2[0] & 1 == 0 {
        // Take the second away where it makes v₁ smaller.
        let negative = v1[2] >> 63 == 1;
        v1 = if negative { sum(v1, A2) } else { minus(v1, A2) };
        v2 = if negative { sum(v2, A1) } else { minus(v2, A1) };
    }
    [windows::<KEY_WORD_BITS>(v1), windows::<KEY_WORD_BITS>(v2)]
}

/// u as u₁ + u₂·2^128 modulo n, both odd and below 2^130 in size, in windows: n is odd, so u or u + n is odd, below 2^257,
/// and where its upper part is even, one more there is 2^128 less below.
pub fn generator_windows(u: Scalar) -> [[u64; 3]; 2] {
    let odd = if u.0[0] & 1 == 1 { [0; 4] } else { N };
    let [a, b, c, d, e] = sum([u.0[0], u.0[1], u.0[2], u.0[3], 0], odd);
    let even = 1 - (c & 1);
    let low = minus([a, b, 0], [0, 0, even]);
    let high = sum([c, d, e], [even]);
    [windows::<G_WORD_BITS>(low), windows::<G_WORD_BITS>(high)]
}

/// An odd number k below 2^130 in size as Σ ±2^i for i < 130: (k + 2^130 − 1)/2 has a bit for each sign, 1 for +. In words
/// of so many bits. A window of w of those bits, B, is the digit Σ ±2^j = 2B − (2^w − 1): odd, and never 0.
fn windows<const BITS: u32>(k: Signed) -> [u64; 3] {
    let [a, b, c] = sum(k, [u64::MAX, u64::MAX, 3]);
    let [a, b, c] = [a >> 1 | b << 63, b >> 1 | c << 63, c >> 1];
    assert!(c < 4, "130 bits");
    let low = u128::from(b) << 64 | u128::from(a);
    let mask = (1 << BITS) - 1;
    let above = (low >> (2 * BITS)) as u64 | c << (128 - 2 * BITS);
    [a & mask, (low >> BITS) as u64 & mask, above]
}

/// What windows stand for, as two's complement of 192 bits: for tests.
#[cfg(test)]
pub fn value<const BITS: u32>(words: [u64; 3]) -> Signed {
    let low = u128::from(words[0]) | u128::from(words[1]) << BITS | u128::from(words[2]) << (2 * BITS);
    let above = words[2] >> (128 - 2 * BITS);
    let [a, b, c] = [low as u64, (low >> 64) as u64, above];
    minus([a << 1, b << 1 | a >> 63, c << 1 | b >> 63], [u64::MAX, u64::MAX, 3])
}
