//! Signatures for keys that are no secret: three multiplications modulo the order instead of one on the curve.
//!
//! A signature's cost is its fresh nonce. The keys here are known to everyone, so there is nothing that a
//! nonce used twice could give away: some are computed once and used for all. What comes out are ordinary
//! signatures, which cost as much to verify as any. NEVER sign with a real key like this.

use crate::sighash::tagged;
use crate::tx::Hash;
use bitcoin_hashes::Sha256;
use secp256k1::constants::CURVE_ORDER;
use secp256k1::{Parity, Scalar, SecretKey, ecdsa};
use std::sync::LazyLock;

/// As many as let lengths of signatures vary.
const NONCES: u8 = 64;

/// A number k, and what is needed of the point R that is k times the generator.
struct Nonce {
    /// One divided by k.
    inverse: Scalar,
    /// k, or its negative where R's y coordinate is odd, and the x coordinate.
    even: Even,
}

static TABLE: LazyLock<Vec<Nonce>> =
    LazyLock::new(|| (0..NONCES).map(|index| Nonce::new(scalar(b"nonce", index))).collect());

/// One of a sequence of fixed numbers, by name.
pub fn scalar(name: &[u8], index: u8) -> SecretKey {
    number(Sha256::hash(&[b"caesure chain factory ", name, &[index]].concat()).to_byte_array())
}

/// A hash as a number. Zero, or not below the order, is one hash in 2^128.
fn number(hash: Hash) -> SecretKey {
    SecretKey::from_secret_bytes(hash).expect("a hash that nobody will ever see")
}

fn times(one: SecretKey, other: &Scalar) -> SecretKey {
    one.mul_tweak(other).expect("neither is zero")
}

fn plus(one: SecretKey, other: &Scalar) -> SecretKey {
    one.add_tweak(other).expect("zero for one sum in 2^256")
}

/// A key whose point has an even y coordinate (BIP340).
pub struct Even {
    secret: Scalar,
    /// The x coordinate of the point.
    pub x: Hash,
}

impl Even {
    /// The key itself, or its negative.
    pub fn new(secret: SecretKey) -> Even {
        let (x, parity) = secret.x_only_public_key();
        let secret = if parity == Parity::Odd { secret.negate() } else { secret };
        Even { secret: secret.into(), x: x.to_byte_array() }
    }
}

impl Nonce {
    fn new(k: SecretKey) -> Nonce {
        Nonce { even: Even::new(k), inverse: invert(k).into() }
    }

    fn of(digest: &Hash) -> &'static Nonce {
        &TABLE[usize::from(digest[0] % NONCES)]
    }
}

/// Fermat: the power of the order less two.
fn invert(k: SecretKey) -> SecretKey {
    let mut exponent = CURVE_ORDER;
    exponent[31] -= 2;
    let bits = exponent.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    // The order's first bit is set: it is k itself.
    bits.skip(1).fold(k, |power, bit| {
        let square = times(power, &power.into());
        if bit == 1 { times(square, &k.into()) } else { square }
    })
}

/// An ECDSA signature in DER, with its s in the lower half: s = (digest + r * secret) / k.
pub fn ecdsa(secret: SecretKey, digest: &Hash) -> Vec<u8> {
    let nonce = Nonce::of(digest);
    let r_times_secret = times(secret, &number(nonce.even.x).into());
    let s = times(plus(number(*digest), &r_times_secret.into()), &nonce.inverse);
    let compact = [nonce.even.x, s.to_secret_bytes()].concat();
    let mut signature = ecdsa::Signature::from_compact(&compact).expect("both halves are below the order");
    signature.normalize_s();
    signature.serialize_der().to_vec()
}

/// A Schnorr signature (BIP340): s = k + challenge * secret.
pub fn schnorr(key: &Even, digest: &Hash) -> Vec<u8> {
    let nonce = &Nonce::of(digest).even;
    let challenge = number(tagged("BIP0340/challenge", &[&nonce.x, &key.x, digest]));
    let s = plus(times(challenge, &key.secret), &nonce.secret);
    [nonce.x, s.to_secret_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secp256k1::{Message, XOnlyPublicKey, schnorr::Signature};

    #[test]
    fn every_nonce_signs_for_the_library() {
        for index in 0..=255 {
            let secret = scalar(b"test", index);
            let mut digest = Sha256::hash(&[index]).to_byte_array();
            digest[0] = index;

            let der = ecdsa::Signature::from_der(&ecdsa(secret, &digest)).unwrap();
            der.verify(Message::from_digest(digest), &secret.public_key()).unwrap();
            let wrong = Message::from_digest(Sha256::hash(&[]).to_byte_array());
            assert!(der.verify(wrong, &secret.public_key()).is_err());

            let even = Even::new(secret);
            let signature = Signature::from_byte_array(schnorr(&even, &digest).try_into().unwrap());
            let public = XOnlyPublicKey::from_byte_array(even.x).unwrap();
            signature.verify(&digest, &public).unwrap();
            assert!(signature.verify(&[0; 32], &public).is_err());
        }
    }

    #[test]
    fn one_divided_by_a_number_times_the_number_is_one() {
        let k = scalar(b"test", 7);
        let mut one = [0; 32];
        one[31] = 1;
        assert_eq!(times(invert(k), &k.into()).to_secret_bytes(), one);
    }
}
