//! From rows to groups and back: range checks, u and v, lanes, verdicts. Does not know on what word the formulas run.

use crate::Row;
use crate::fused::Single;
use crate::group::{Group, KeyTable, Tables};
use crate::point::{Signs, multiply_groups};
use crate::scalar::{Scalar, Words, below_p, generator_windows, key_windows, plus_n_below_p, words};
use crate::word::{LANES, Word};
use bitcoin_hashes::HashEngine as _;
use bitcoin_hashes::sha256::{HashEngine, Midstate};
use std::marker::PhantomData;

/// Rows that share an inversion.
const CHUNK: usize = 256;

/// Memory to work in.
pub struct Scratch {
    groups: [Group; CHUNK / LANES],
    keys: [KeyTable; 2],
    inverses: [Scalar; CHUNK],
    before: [Scalar; CHUNK],
}

impl Scratch {
    /// In its place.
    pub fn new() -> Box<Scratch> {
        Box::new(Scratch {
            groups: [const { Group::new() }; CHUNK / LANES],
            keys: [const { KeyTable::new() }; 2],
            inverses: [Scalar::ONE; CHUNK],
            before: [Scalar::ONE; CHUNK],
        })
    }
}

/// What a row asks, its numbers checked.
pub struct Asked {
    x: Words,
    odd: bool,
    /// x of R, and another one that it may be.
    candidates: [Words; 2],
    even: bool,
    uneven: bool,
    u: Scalar,
    v: Scalar,
}

/// 2 or 3, and a number below p.
fn is_compressed(key: &[u8; 33]) -> bool {
    let [sign, x @ ..] = key;
    matches!(sign, 2 | 3) && below_p(words(x))
}

/// The number of a row that must be inverted, or 1; nothing if it has numbers that no valid signature or key has.
///
/// ECDSA (SEC 1, 4.1.4): r and s in [1, n − 1]. BIP340: r below p, s below n. BIP341: t below n. Keys: x below p, and 2 or 3 before those of
/// ECDSA. That x has a y is seen later.
pub fn checked(row: &Row) -> Option<Scalar> {
    match row {
        Row::Ecdsa { key, r, s, .. } => {
            Scalar::nonzero(words(r)).filter(|_| is_compressed(key))?;
            Scalar::nonzero(words(s))
        }
        Row::Schnorr { key, signature, .. } => {
            let (r, s) = signature.split_first_chunk::<32>()?;
            Scalar::checked(words(s.try_into().ok()?))?;
            (below_p(words(key)) && below_p(words(r))).then_some(Scalar::ONE)
        }
        Row::Tweak { output, internal, tweak, .. } => {
            Scalar::checked(words(tweak))?;
            (is_compressed(output) && below_p(words(internal))).then_some(Scalar::ONE)
        }
    }
}

/// What a checked row asks, with its number inverted.
pub fn asked(row: &Row, inverse: Scalar) -> Asked {
    match row {
        // R = (z/s)·G + (r/s)·Q, and x of R is r modulo n: r itself or r + n, where that is below p. With n − s it is −R, whose x
        // is the same: a high s needs no care.
        Row::Ecdsa { key, r, message, .. } => {
            let r = words(r);
            Asked {
                x: words(key[1..].try_into().expect("32 bytes")),
                odd: key[0] == 3,
                candidates: [r, plus_n_below_p(r).unwrap_or(r)],
                even: false,
                uneven: false,
                u: Scalar::reduced(words(message)).mul(inverse),
                v: Scalar(r).mul(inverse),
            }
        }
        // R = s·G − e·P, with an even y, and its x is r.
        Row::Schnorr { key, signature, message } => {
            let (r, s) = signature.split_at(32);
            let r: &[u8; 32] = r.try_into().expect("32 bytes");
            let challenge = Scalar::reduced(words(&challenge(r, key, message)));
            let r = words(r);
            let u = Scalar(words(s.try_into().expect("32 bytes")));
            Asked {
                x: words(key),
                odd: false,
                candidates: [r, r],
                even: true,
                uneven: false,
                u,
                v: challenge.negated(),
            }
        }
        // Q = t·G + P, with that sign, and its x is the output's.
        Row::Tweak { output, internal, tweak } => {
            let odd = output[0] == 3;
            let output = words(output[1..].try_into().expect("32 bytes"));
            Asked {
                x: words(internal),
                odd: false,
                candidates: [output, output],
                even: !odd,
                uneven: odd,
                u: Scalar(words(tweak)),
                v: Scalar::ONE,
            }
        }
    }
}

/// e of BIP340, before it is reduced.
pub fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8; 32]) -> [u8; 32] {
    const TAG: Midstate = Midstate::hash_tag(b"BIP0340/challenge");
    let mut engine = HashEngine::from_midstate(TAG);
    engine.input(r);
    engine.input(key);
    engine.input(message);
    engine.finalize().to_byte_array()
}

/// Into the next lane of a group.
pub fn place(group: &mut Group, row: usize, asked: &Asked) {
    let lane = group.filled;
    for word in 0..4 {
        group.x[word][lane] = asked.x[word];
        group.candidates[0][word][lane] = asked.candidates[0][word];
        group.candidates[1][word][lane] = asked.candidates[1][word];
    }
    let (key, generator) = (key_windows(asked.v), generator_windows(asked.u));
    for half in 0..2 {
        for word in 0..3 {
            group.key[half][word][lane] = key[half][word];
            group.generator[half][word][lane] = generator[half][word];
        }
    }
    group.odd |= u8::from(asked.odd) << lane;
    group.even |= u8::from(asked.even) << lane;
    group.uneven |= u8::from(asked.uneven) << lane;
    group.rows[lane] = row as u32;
    group.filled += 1;
}

/// Says of each row whether it was proven. Lanes without a row compute what was there before, and are not looked at.
pub fn prove<W: Word, F: Single<W>>(scratch: &mut Scratch, tables: &Tables, rows: &[Row], proven: &mut [bool]) {
    assert_eq!(rows.len(), proven.len(), "one answer for each row");
    proven.fill(false);
    for (rows, proven) in rows.chunks(CHUNK).zip(proven.chunks_mut(CHUNK)) {
        chunk::<W, F>(scratch, tables, rows, proven);
    }
}

fn chunk<W: Word, F: Single<W>>(scratch: &mut Scratch, tables: &Tables, rows: &[Row], proven: &mut [bool]) {
    let Scratch { groups, keys, inverses, before } = scratch;
    // The places of those that may be proven are told by a number here, of the others by none.
    let mut count = 0;
    let mut fit = [false; CHUNK];
    for (row, fit) in rows.iter().zip(&mut fit) {
        if let Some(number) = checked(row) {
            *fit = true;
            inverses[count] = number;
            count += 1;
        }
    }
    if count == 0 {
        return;
    }
    Scalar::invert(&mut inverses[..count], &mut before[..count]);
    let groups = &mut groups[..count.div_ceil(LANES)];
    for group in &mut *groups {
        (group.filled, group.odd, group.even, group.uneven) = (0, 0, 0, 0);
    }
    let fit = fit.iter().enumerate().filter(|(_, fit)| **fit).map(|(row, _)| row);
    for (place_of, (row, inverse)) in fit.zip(&*inverses).enumerate() {
        place(&mut groups[place_of / LANES], row, &asked(&rows[row], *inverse));
    }
    for groups in groups.chunks_mut(2) {
        multiply_groups::<W, F>(groups, keys, tables);
    }
    if groups.iter().any(Group::has_signs) {
        W::enter(Signs::<W, F> { groups: &mut *groups, field: PhantomData });
    }
    for group in groups {
        for lane in (0..group.filled).filter(|lane| group.proven >> lane & 1 == 1) {
            proven[group.rows[lane] as usize] = true;
        }
    }
}
