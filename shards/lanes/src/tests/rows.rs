//! Rows to be judged: signed ones, the same with something wrong, numbers at the edges, and rows that are made for chosen u, v
//! and Q, or for an x of R that wraps around n. What libsecp256k1 says of each.

use crate::Row;
use crate::group::{G_BITS, KEY_BITS};
use crate::prove::challenge;
use crate::scalar::{N, Scalar, generator_windows, key_windows, words};
use crate::tests::{Draw, big, to_words};
use num_bigint::BigUint;
use secp256k1::{Keypair, Message, PublicKey, SecretKey, XOnlyPublicKey, ecdsa, schnorr};

/// Big-endian bytes.
pub fn bytes(words: [u64; 4]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.rchunks_mut(8).zip(words).for_each(|(chunk, word)| chunk.copy_from_slice(&word.to_be_bytes()));
    bytes
}

/// What decides: libsecp256k1, with s made low first, as Bitcoin Core does.
pub fn holds(row: &Row) -> bool {
    match row {
        Row::Ecdsa { key, r, s, message } => {
            let compressed = matches!(key[0], 2 | 3);
            let signature = ecdsa::Signature::from_compact(&[*r, *s].concat());
            let (Ok(key), Ok(mut signature)) = (PublicKey::from_slice(key), signature) else { return false };
            signature.normalize_s();
            compressed && ecdsa::verify(&signature, Message::from_digest(*message), &key).is_ok()
        }
        Row::Schnorr { key, signature, message } => XOnlyPublicKey::from_byte_array(*key)
            .is_ok_and(|key| schnorr::verify(&schnorr::Signature::from_byte_array(*signature), message, &key).is_ok()),
    }
}

/// Keys that rows are signed with, made once.
pub struct Keys(Vec<(SecretKey, PublicKey, Keypair)>);

impl Keys {
    /// So many.
    pub fn new(draw: &mut Draw, count: usize) -> Keys {
        let key = |_| {
            let secret = SecretKey::from_secret_bytes(draw.bytes()).unwrap();
            (secret, PublicKey::from_secret_key(&secret), Keypair::from_secret_key(&secret))
        };
        Keys((0..count).map(key).collect())
    }

    /// A row that is signed as it should be; half of the s of ECDSA are high.
    pub fn signed(&self, draw: &mut Draw) -> Row {
        let (secret, public, pair) = &self.0[draw.below(self.0.len() as u64) as usize];
        let message = draw.bytes();
        if draw.below(2) == 0 {
            let signature = schnorr::sign_no_aux_rand(&message, pair).to_byte_array();
            return Row::Schnorr { key: pair.x_only_public_key().0.to_byte_array(), signature, message };
        }
        let signature = ecdsa::sign(Message::from_digest(message), secret).serialize_compact();
        let (r, s) = (signature[..32].try_into().unwrap(), signature[32..].try_into().unwrap());
        let row = Row::Ecdsa { key: public.serialize(), r, s, message };
        if draw.below(2) == 0 { row } else { other_s(row) }
    }
}

/// With n − s.
pub fn other_s(row: Row) -> Row {
    let Row::Ecdsa { key, r, s, message } = row else { return row };
    Row::Ecdsa { key, r, s: bytes(Scalar::checked(words(&s)).unwrap().negated().0), message }
}

/// A number of a signature as nobody would choose it.
fn edge(draw: &mut Draw) -> [u8; 32] {
    let around = |value: BigUint, draw: &mut Draw| bytes(to_words(&(value + draw.below(5) - 2u8)));
    match draw.below(6) {
        0 => bytes([draw.below(3), 0, 0, 0]),
        1 => around(big(&N), draw),
        2 => around((BigUint::from(1u8) << 256u32) - ((1u64 << 32) + 977), draw),
        3 => [0xff; 32],
        4 => around(big(&N) >> 1u32, draw),
        _ => bytes(std::array::from_fn(|_| draw.edge())),
    }
}

/// The four parts of a row, to change.
fn parts(row: &mut Row) -> [&mut [u8]; 4] {
    match row {
        Row::Ecdsa { key, r, s, message } => [key, r, s, message],
        Row::Schnorr { key, signature, message } => {
            let (r, s) = signature.split_at_mut(32);
            [key, r, s, message]
        }
    }
}

/// With something wrong, most likely.
pub fn wrong(mut row: Row, draw: &mut Draw) -> Row {
    let number = edge(draw);
    let part = draw.below(4) as usize;
    let changed = &mut parts(&mut row)[part];
    match draw.below(8) {
        // A key of another kind, or the other y.
        0 => changed[0] = draw.below(8) as u8,
        1 | 2 => {
            let from = changed.len() - 32;
            changed[from..].copy_from_slice(&number);
        }
        _ => {
            let bit = draw.below(8 * changed.len() as u64) as usize;
            changed[bit / 8] ^= 1 << (bit % 8);
        }
    }
    row
}

/// The part of another row of the same kind: what lanes that are mixed up would see.
pub fn mixed(mut row: Row, mut other: Row, draw: &mut Draw) -> Row {
    let part = draw.below(4) as usize;
    let (to, from) = (&mut parts(&mut row)[part], &parts(&mut other)[part]);
    if to.len() == from.len() {
        to.copy_from_slice(from);
    }
    row
}

/// a + b.
fn plus(a: Scalar, b: Scalar) -> Scalar {
    Scalar::checked(to_words(&((big(&a.0) + big(&b.0)) % big(&N)))).unwrap()
}

/// λ.
const LAMBDA: Scalar =
    Scalar([0xdf02_967c_1b23_bd72, 0x122e_22ea_2081_6678, 0xa526_1c02_8812_645a, 0x5363_ad4c_c05c_30e0]);

/// Scalars that windows, halves and tables have their edges at.
fn special(draw: &mut Draw) -> Scalar {
    let small = |draw: &mut Draw| Scalar([draw.below(70), 0, 0, 0]);
    let power = |draw: &mut Draw| {
        let mut words = [0; 4];
        words[draw.below(4) as usize] = 1 << draw.below(64);
        Scalar::reduced(words)
    };
    let value = match draw.below(7) {
        0 => small(draw),
        1 => power(draw),
        2 => small(draw).mul(LAMBDA),
        3 => plus(small(draw), small(draw).mul(LAMBDA)),
        4 => small(draw).mul(Scalar([0, 0, 1, 0])),
        5 => plus(power(draw), small(draw)),
        _ => Scalar::reduced(std::array::from_fn(|_| draw.next())),
    };
    if draw.below(2) == 0 { value } else { value.negated() }
}

fn point(scalar: Scalar) -> Option<PublicKey> {
    SecretKey::from_secret_bytes(bytes(scalar.0)).ok().map(|secret| PublicKey::from_secret_key(&secret))
}

/// A valid row, if R is not infinity, with chosen u, v and q for R = u·G + v·q·G: r is x of R, s = r/v, and z = u·s. Where R
/// is infinity no r is right, and a wrong one is there.
pub fn crafted(draw: &mut Draw) -> Option<Row> {
    let (u, v) = (special(draw), special(draw));
    let q = match draw.below(4) {
        // R is infinity, or a sum in between.
        0 => u.negated().mul(v.inverse()),
        1 => u.mul(v.inverse()).mul(Scalar([draw.below(4), 0, 0, 0])),
        _ => special(draw),
    };
    row_for(u, v, q)
}

fn row_for(u: Scalar, v: Scalar, q: Scalar) -> Option<Row> {
    let key = point(q)?.serialize();
    let x = point(plus(u, v.mul(q))).map_or([2; 33], |point| point.serialize());
    let r = Scalar::reduced(words(x[1..].try_into().unwrap()));
    let s = r.mul(v.inverse());
    (s.0 != [0; 4]).then(|| Row::Ecdsa { key, r: bytes(r.0), s: bytes(s.0), message: bytes(u.mul(s).0) })
}

/// The digit of the lowest window of a word.
fn digit(word: u64, bits: u32) -> Scalar {
    let (stored, most) = (word & ((1 << bits) - 1), (1 << bits) - 1);
    let digit = |value| Scalar([value, 0, 0, 0]);
    if 2 * stored > most { digit(2 * stored - most) } else { digit(most - 2 * stored).negated() }
}

/// A valid row with sum = what is added, for a factor of 2, in one of the last three additions: those of the lowest windows of
/// λ·Q, G and 2^128·G, which add a, b and c. R = factor·c, R = c + factor·b, or R = c + b + factor·a.
pub fn exceptional(draw: &mut Draw, which: usize, factor: u64) -> Row {
    let factor = Scalar([factor, 0, 0, 0]);
    let (u, v) = (Scalar::reduced(words(&draw.bytes())), Scalar::reduced(words(&draw.bytes())));
    let [b, c] = generator_windows(u).map(|words| digit(words[0], G_BITS));
    let c = c.mul(Scalar([0, 0, 1, 0]));
    // a = that·q.
    let a = digit(key_windows(v)[1][0], KEY_BITS).mul(LAMBDA);
    let (sum, of_q) = match which {
        0 => (factor.mul(c), v),
        1 => (plus(c, factor.mul(b)), v),
        // u + v·q = c + b + factor·a.
        _ => (plus(c, b), plus(v, factor.mul(a).negated())),
    };
    let q = plus(sum, u.negated()).mul(of_q.inverse());
    row_for(u, v, q).expect("R is not infinity")
}

/// A row of BIP340 that holds but for y of R, which is odd.
pub fn odd_nonce(draw: &mut Draw) -> Row {
    let scalar = |draw: &mut Draw| Scalar::reduced(words(&draw.bytes()));
    let (mut secret, mut nonce, message) = (scalar(draw), scalar(draw), draw.bytes());
    let with = |scalar: &mut Scalar, first: u8| -> [u8; 32] {
        let point = point(*scalar).unwrap().serialize();
        *scalar = if point[0] == first { *scalar } else { scalar.negated() };
        point[1..].try_into().unwrap()
    };
    let (key, r) = (with(&mut secret, 2), with(&mut nonce, 3));
    let e = Scalar::reduced(words(&challenge(&r, &key, &message)));
    let s = plus(nonce, e.mul(secret));
    Row::Schnorr { key, signature: [r, bytes(s.0)].concat().try_into().unwrap(), message }
}

/// A valid row by a key whose x is so small that p can be added to it, and the row with that key.
pub fn unreduced(draw: &mut Draw) -> (Row, Row) {
    let (u, v) = (Scalar::reduced(words(&draw.bytes())), Scalar::reduced(words(&draw.bytes())));
    let tweak = |scalar: Scalar| secp256k1::Scalar::from_be_bytes(bytes(scalar.0)).unwrap();
    loop {
        let (sign, x) = (2 + draw.below(2) as u8, 1 + draw.below(1 << 32));
        let keyed = |x: BigUint| -> [u8; 33] { [&[sign][..], &bytes(to_words(&x))].concat().try_into().unwrap() };
        let key = keyed(x.into());
        let Ok(public) = PublicKey::from_slice(&key) else { continue };
        let sum = public.mul_tweak(&tweak(v)).unwrap().add_exp_tweak(&tweak(u)).unwrap().serialize();
        let r = Scalar::reduced(words(sum[1..].try_into().unwrap()));
        let s = r.mul(v.inverse());
        let row = |key| Row::Ecdsa { key, r: bytes(r.0), s: bytes(s.0), message: bytes(u.mul(s).0) };
        let p = (BigUint::from(1u8) << 256u32) - ((1u64 << 32) + 977);
        if x < (1 << 32) + 977 {
            return (row(key), row(keyed(p + x)));
        }
    }
}

/// A valid row whose R has an x of n or more, so that r = x − n: from such an R, r, s and z, Q = (s·R − z·G)/r.
pub fn wrapped(draw: &mut Draw) -> Row {
    loop {
        let r = Scalar([1 + draw.below(1 << 40), 0, 0, 0]);
        let x = bytes(to_words(&(big(&r.0) + big(&N))));
        let Ok(nonce) = PublicKey::from_slice(&[&[2 + draw.below(2) as u8][..], &x].concat()) else { continue };
        let (s, z) = (Scalar::reduced(words(&draw.bytes())), Scalar::reduced(words(&draw.bytes())));
        let tweak = |scalar: Scalar| secp256k1::Scalar::from_be_bytes(bytes(scalar.0)).unwrap();
        let sum = nonce.mul_tweak(&tweak(s)).unwrap().add_exp_tweak(&tweak(z.negated())).unwrap();
        let key = sum.mul_tweak(&tweak(r.inverse())).unwrap().serialize();
        let row = Row::Ecdsa { key, r: bytes(r.0), s: bytes(s.0), message: bytes(z.0) };
        assert!(holds(&row), "a signature that wraps");
        return row;
    }
}
