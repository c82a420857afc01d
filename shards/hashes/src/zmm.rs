//! Sixteen messages in step in the 32-bit lanes of AVX-512 (FIPS 180-4, 6.2). Decides nothing about messages.

use crate::{BLOCK, Job, LANES};
use std::arch::x86_64::*;

/// Whether this processor has what is used below: AVX-512 with bytes.
pub fn is_there() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

/// The bit behind a message.
const END: i32 = 0x8000_0000_u32 as i32;

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

/// The double hash of each message, into its number's place. The longest come first, so that lanes end together. Where lanes are.
#[allow(unsafe_code)]
pub fn sha256d(bytes: &[u8], jobs: &[Job], hashes: &mut [[u8; 32]]) {
    assert!(is_there());
    // SAFETY: the processor has these instructions, as was just seen.
    unsafe { each(bytes.as_chunks().0, jobs, hashes) }
}

/// The double hash of each pair of hashes. Where lanes are.
#[allow(unsafe_code)]
pub fn pairs(pairs: &[[u8; BLOCK]], hashes: &mut [[u8; 32]]) {
    assert!(is_there());
    // SAFETY: the processor has these instructions, as was just seen.
    unsafe { of_pairs(pairs, hashes) }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn each(blocks: &[[u8; BLOCK]], jobs: &[Job], hashes: &mut [[u8; 32]]) {
    let mut waiting = jobs.iter().copied();
    // A lane without a message goes over the first block again and again.
    let mut lanes: [Job; LANES] = std::array::from_fn(|_| waiting.next().unwrap_or_default());
    let mut state = start();
    while lanes.iter().any(|lane| lane.blocks > 0) {
        let mut next = [&blocks[0]; LANES];
        for (block, lane) in next.iter_mut().zip(&lanes) {
            *block = &blocks[lane.start as usize];
        }
        compress(&mut state, words(next));
        let mut ended = 0_u16;
        for (number, lane) in lanes.iter_mut().enumerate().filter(|(_, lane)| lane.blocks > 0) {
            (lane.start, lane.blocks) = (lane.start + 1, lane.blocks - 1);
            ended |= u16::from(lane.blocks == 0) << number;
        }
        if ended == 0 {
            continue;
        }
        let digests = digests(state);
        for (number, lane) in lanes.iter_mut().enumerate().filter(|(number, _)| ended >> number & 1 == 1) {
            hashes[lane.number as usize] = digests[number];
            *lane = waiting.next().unwrap_or_default();
        }
        for (word, start) in state.iter_mut().zip(start()) {
            *word = _mm512_mask_mov_epi32(*word, ended, start);
        }
    }
    for jobs in jobs.chunks(LANES) {
        let mut once = [[0; 32]; LANES];
        for (hash, job) in once.iter_mut().zip(jobs) {
            *hash = hashes[job.number as usize];
        }
        for (job, hash) in jobs.iter().zip(again(&once)) {
            hashes[job.number as usize] = hash;
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn of_pairs(pairs: &[[u8; BLOCK]], hashes: &mut [[u8; 32]]) {
    let mut padding = [_mm512_setzero_si512(); 16];
    (padding[0], padding[15]) = (_mm512_set1_epi32(END), _mm512_set1_epi32(8 * BLOCK as i32));
    for (pairs, hashes) in pairs.chunks(LANES).zip(hashes.chunks_mut(LANES)) {
        let mut state = start();
        compress(&mut state, words(std::array::from_fn(|lane| &pairs[lane.min(pairs.len() - 1)])));
        compress(&mut state, padding);
        hashes.copy_from_slice(&again(&digests(state))[..hashes.len()]);
    }
}

/// The hash of each hash.
#[target_feature(enable = "avx512f,avx512bw")]
fn again(hashes: &[[u8; 32]; LANES]) -> [[u8; 32]; LANES] {
    let mut padding = [0; BLOCK];
    padding[32] = 0x80;
    padding[BLOCK - 8..].copy_from_slice(&256_u64.to_be_bytes());
    let mut blocks = [padding; LANES];
    for (block, hash) in blocks.iter_mut().zip(hashes) {
        block[..32].copy_from_slice(hash);
    }
    let mut state = start();
    compress(&mut state, words(blocks.each_ref()));
    digests(state)
}

#[target_feature(enable = "avx512f")]
fn start() -> [__m512i; 8] {
    let mut state = [_mm512_setzero_si512(); 8];
    for (lanes, word) in state.iter_mut().zip(START) {
        *lanes = _mm512_set1_epi32(word as i32);
    }
    state
}

/// Word by word what lane by lane lies in blocks.
#[target_feature(enable = "avx512f,avx512bw")]
fn words(blocks: [&[u8; BLOCK]; LANES]) -> [__m512i; 16] {
    let mut rows = [_mm512_setzero_si512(); 16];
    for (row, block) in rows.iter_mut().zip(blocks) {
        *row = turned(load(block));
    }
    transposed(rows)
}

/// Lane by lane what lies word by word in a state.
#[target_feature(enable = "avx512f,avx512bw")]
fn digests(state: [__m512i; 8]) -> [[u8; 32]; LANES] {
    let mut rows = [_mm512_setzero_si512(); 16];
    rows[..8].copy_from_slice(&state);
    let mut digests = [[0; 32]; LANES];
    for (digest, row) in digests.iter_mut().zip(transposed(rows)) {
        store(_mm512_castsi512_si256(turned(row)), digest);
    }
    digests
}

#[allow(unsafe_code)]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8; BLOCK]) -> __m512i {
    // SAFETY: both are 64 bytes, and loads may lie anywhere.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[allow(unsafe_code)]
#[target_feature(enable = "avx512f")]
fn store(half: __m256i, bytes: &mut [u8; 32]) {
    // SAFETY: both are 32 bytes, and stores may lie anywhere.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), half) };
}

/// The bytes of each word in the other order.
#[target_feature(enable = "avx512f,avx512bw")]
fn turned(row: __m512i) -> __m512i {
    _mm512_shuffle_epi8(row, _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3)))
}

/// Rows to columns: words, pairs of them, and then quarters of registers change places.
#[target_feature(enable = "avx512f")]
fn transposed(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut out = rows;
    for [a, b, c, d] in out.as_chunks_mut::<4>().0 {
        let (low, high) = (_mm512_unpacklo_epi32(*a, *b), _mm512_unpackhi_epi32(*a, *b));
        let (low2, high2) = (_mm512_unpacklo_epi32(*c, *d), _mm512_unpackhi_epi32(*c, *d));
        (*a, *b) = (_mm512_unpacklo_epi64(low, low2), _mm512_unpackhi_epi64(low, low2));
        (*c, *d) = (_mm512_unpacklo_epi64(high, high2), _mm512_unpackhi_epi64(high, high2));
    }
    for at in 0..4 {
        let [a, b, c, d] = [out[at], out[at + 4], out[at + 8], out[at + 12]];
        let (even, odd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
        let (even2, odd2) = (_mm512_shuffle_i32x4::<0x88>(c, d), _mm512_shuffle_i32x4::<0xdd>(c, d));
        out[at] = _mm512_shuffle_i32x4::<0x88>(even, even2);
        out[at + 4] = _mm512_shuffle_i32x4::<0x88>(odd, odd2);
        out[at + 8] = _mm512_shuffle_i32x4::<0xdd>(even, even2);
        out[at + 12] = _mm512_shuffle_i32x4::<0xdd>(odd, odd2);
    }
    out
}

/// FIPS 180-4, 6.2.2, in each lane. Rounds are spelled out, so that words and letters stay in registers.
#[inline(never)]
#[target_feature(enable = "avx512f")]
fn compress(state: &mut [__m512i; 8], mut words: [__m512i; 16]) {
    let mut letters = *state;
    macro_rules! rounds {
        ($constants:expr, $($at:literal)*) => { $(
            let word = _mm512_add_epi32(words[$at], _mm512_set1_epi32($constants[$at] as i32));
            round(&mut letters, $at, word);
        )* };
    }
    macro_rules! next_words {
        ($($at:literal)*) => { $( words[$at] = next_word(&words, $at); )* };
    }
    for (number, constants) in K.as_chunks::<16>().0.iter().enumerate() {
        if number > 0 {
            next_words!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        }
        rounds!(constants, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }
    for (sum, letter) in state.iter_mut().zip(letters) {
        *sum = _mm512_add_epi32(*sum, letter);
    }
}

/// The word sixteen rounds on from the one at a place, which it takes.
#[inline]
#[target_feature(enable = "avx512f")]
fn next_word(words: &[__m512i; 16], at: usize) -> __m512i {
    let (w0, w1, w9, w14) = (words[at], words[(at + 1) % 16], words[(at + 9) % 16], words[(at + 14) % 16]);
    let sigma0 = xor(_mm512_ror_epi32::<7>(w1), _mm512_ror_epi32::<18>(w1), _mm512_srli_epi32::<3>(w1));
    let sigma1 = xor(_mm512_ror_epi32::<17>(w14), _mm512_ror_epi32::<19>(w14), _mm512_srli_epi32::<10>(w14));
    _mm512_add_epi32(_mm512_add_epi32(w0, w9), _mm512_add_epi32(sigma0, sigma1))
}

/// Letters stay where they are, and are called by the next name after each round. The bits of 0xca say a ? b : c, of 0xe8 what most of
/// a, b, c say.
#[inline]
#[target_feature(enable = "avx512f")]
fn round(letters: &mut [__m512i; 8], at: usize, word: __m512i) {
    // Where the letter is that so many names stand before.
    let place = |name: usize| (8 - at % 8 + name) % 8;
    let (a, b, c) = (letters[place(0)], letters[place(1)], letters[place(2)]);
    let (e, f, g, h) = (letters[place(4)], letters[place(5)], letters[place(6)], letters[place(7)]);
    let sigma1 = xor(_mm512_ror_epi32::<6>(e), _mm512_ror_epi32::<11>(e), _mm512_ror_epi32::<25>(e));
    let choice = _mm512_ternarylogic_epi32::<0xca>(e, f, g);
    let one = _mm512_add_epi32(_mm512_add_epi32(h, word), _mm512_add_epi32(sigma1, choice));
    let sigma0 = xor(_mm512_ror_epi32::<2>(a), _mm512_ror_epi32::<13>(a), _mm512_ror_epi32::<22>(a));
    let two = _mm512_add_epi32(sigma0, _mm512_ternarylogic_epi32::<0xe8>(a, b, c));
    letters[place(3)] = _mm512_add_epi32(letters[place(3)], one);
    letters[place(7)] = _mm512_add_epi32(one, two);
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0x96>(a, b, c)
}
