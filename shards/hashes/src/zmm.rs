//! Sixteen messages in step in the 32-bit lanes of AVX-512 (FIPS 180-4, 6.2). Decides nothing about messages.

use crate::{BLOCK, LANES};
use std::arch::x86_64::*;

/// Whether this processor has what is used below: AVX-512 with bytes.
pub fn is_there() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

/// FIPS 180-4, 5.3.3: fractions of the square roots of the first eight primes.
const START: [u32; 8] =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// FIPS 180-4, 4.2.2: fractions of the cube roots of the first 64 primes.
const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
    0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
    0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2,
];

/// The double hash of each of sixteen padded messages, which begin at these blocks of `bytes` and have so many. Where lanes are.
#[allow(unsafe_code)]
pub fn sha256d(bytes: &[u8], starts: &[u32; LANES], blocks: &[u32; LANES]) -> [[u8; 32]; LANES] {
    assert!(is_there());
    let end = starts.iter().zip(blocks).map(|(start, blocks)| (start + blocks) as usize * BLOCK).max();
    assert!(end.is_some_and(|end| end <= bytes.len()) && bytes.len() <= i32::MAX as usize);
    // SAFETY: the processor has these instructions, and every message lies within `bytes`; both were just seen.
    unsafe { hash(bytes, starts, blocks) }
}

/// MUST only be called where every message lies within `bytes`, which are fewer than 2^31.
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn hash(bytes: &[u8], starts: &[u32; LANES], blocks: &[u32; LANES]) -> [[u8; 32]; LANES] {
    let mut state = START.map(|word| _mm512_set1_epi32(word as i32));
    let mut done = state;
    // Within each lane the last byte first.
    let order = _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    let most = *blocks.iter().max().expect("sixteen");
    for block in 0..most {
        // A message that has ended repeats its last block; nobody looks at it any more.
        let from: [u32; LANES] = std::array::from_fn(|l| (starts[l] + block.min(blocks[l] - 1)) * BLOCK as u32);
        // SAFETY: both are 64 bytes, and loads may lie anywhere.
        let from = unsafe { _mm512_loadu_si512(from.as_ptr().cast()) };
        let mut words = [_mm512_setzero_si512(); 16];
        for (number, word) in words.iter_mut().enumerate() {
            let offsets = _mm512_add_epi32(from, _mm512_set1_epi32(4 * number as i32));
            // SAFETY: four bytes at each offset lie within a block of a message, and that within `bytes`, as the caller says.
            let read = unsafe { _mm512_i32gather_epi32::<1>(offsets, bytes.as_ptr().cast()) };
            *word = _mm512_shuffle_epi8(read, order);
        }
        compress(&mut state, words);
        let ends: [bool; LANES] = std::array::from_fn(|l| blocks[l] == block + 1);
        let mask = ends.iter().rev().fold(0, |mask, ends| mask << 1 | u16::from(*ends));
        for (done, state) in done.iter_mut().zip(state) {
            *done = _mm512_mask_mov_epi32(*done, mask, state);
        }
    }
    // The digests are one block each: 32 bytes, a bit, and the length, 256 bits.
    let mut words = [_mm512_setzero_si512(); 16];
    words[..8].copy_from_slice(&done);
    words[8] = _mm512_set1_epi32(0x8000_0000_u32 as i32);
    words[15] = _mm512_set1_epi32(256);
    let mut state = START.map(|word| _mm512_set1_epi32(word as i32));
    compress(&mut state, words);
    let mut hashes = [[0; 32]; LANES];
    for (number, word) in state.into_iter().enumerate() {
        let mut lanes = [0_u32; LANES];
        // SAFETY: both are 64 bytes, and stores may lie anywhere.
        unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), word) };
        for (hash, lane) in hashes.iter_mut().zip(lanes) {
            hash[4 * number..][..4].copy_from_slice(&lane.to_be_bytes());
        }
    }
    hashes
}

/// FIPS 180-4, 6.2.2, in each lane. The bits of 0x96 say a ⊕ b ⊕ c, of 0xca a ? b : c, of 0xe8 what most of a, b, c say.
#[target_feature(enable = "avx512f,avx512bw")]
fn compress(state: &mut [__m512i; 8], mut words: [__m512i; 16]) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (round, k) in K.into_iter().enumerate() {
        let at = round % 16;
        if round >= 16 {
            let (w1, w14) = (words[(at + 1) % 16], words[(at + 14) % 16]);
            let sigma0 = _mm512_ternarylogic_epi32::<0x96>(
                _mm512_ror_epi32::<7>(w1),
                _mm512_ror_epi32::<18>(w1),
                _mm512_srli_epi32::<3>(w1),
            );
            let sigma1 = _mm512_ternarylogic_epi32::<0x96>(
                _mm512_ror_epi32::<17>(w14),
                _mm512_ror_epi32::<19>(w14),
                _mm512_srli_epi32::<10>(w14),
            );
            let sum = _mm512_add_epi32(words[at], words[(at + 9) % 16]);
            words[at] = _mm512_add_epi32(sum, _mm512_add_epi32(sigma0, sigma1));
        }
        let sigma1 = _mm512_ternarylogic_epi32::<0x96>(
            _mm512_ror_epi32::<6>(e),
            _mm512_ror_epi32::<11>(e),
            _mm512_ror_epi32::<25>(e),
        );
        let choice = _mm512_ternarylogic_epi32::<0xca>(e, f, g);
        let word = _mm512_add_epi32(words[at], _mm512_set1_epi32(k as i32));
        let one = _mm512_add_epi32(_mm512_add_epi32(h, sigma1), _mm512_add_epi32(choice, word));
        let sigma0 = _mm512_ternarylogic_epi32::<0x96>(
            _mm512_ror_epi32::<2>(a),
            _mm512_ror_epi32::<13>(a),
            _mm512_ror_epi32::<22>(a),
        );
        let two = _mm512_add_epi32(sigma0, _mm512_ternarylogic_epi32::<0xe8>(a, b, c));
        (h, g, f, e, d, c, b, a) = (g, f, e, _mm512_add_epi32(d, one), c, b, a, _mm512_add_epi32(one, two));
    }
    for (sum, word) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *sum = _mm512_add_epi32(*sum, word);
    }
}
