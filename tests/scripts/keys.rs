//! Keys that are no secret, and signatures that are good, odd or bad in all the ways that consensus tells apart.

use super::dice::Dice;
use caesure_bench::sign::{Even, ecdsa, scalar, schnorr};
use caesure_bench::tx::Hash;
use secp256k1::SecretKey;
use secp256k1::constants::CURVE_ORDER;
use std::sync::LazyLock;

/// As many as the largest multisig has, and some to sign in vain.
pub const COUNT: usize = 24;

/// A key in every form.
pub struct Key {
    /// What signs ECDSA.
    pub secret: SecretKey,
    /// What signs Schnorr.
    pub even: Even,
    /// 33 bytes.
    pub compressed: Vec<u8>,
    /// 65 bytes.
    pub uncompressed: Vec<u8>,
}

static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let key = |index| {
        let secret = scalar(b"script key", index);
        let public = secret.public_key();
        let (compressed, uncompressed) = (public.serialize().to_vec(), public.serialize_uncompressed().to_vec());
        Key { secret, even: Even::new(secret), compressed, uncompressed }
    };
    (0..COUNT as u8).map(key).collect()
});

/// One of them.
pub fn key(index: usize) -> &'static Key {
    &KEYS[index % COUNT]
}

impl Key {
    /// As ECDSA scripts have it: compressed mostly, sometimes uncompressed or hybrid, and `odd` forms that no curve has.
    pub fn public(&self, dice: &mut Dice<'_>, odd: bool) -> Vec<u8> {
        let hybrid = |parity: u8| [&[6 | parity][..], &self.uncompressed[1..]].concat();
        let parity = self.uncompressed[64] & 1;
        match dice.weighted(&[(70, 0), (15, 1), (8, 2), (if odd { 12 } else { 0 }, 3)]) {
            0 => self.compressed.clone(),
            1 => self.uncompressed.clone(),
            2 => hybrid(parity),
            _ => match dice.below(8) {
                0 => hybrid(1 - parity),
                1 => [&[5][..], &self.compressed[1..]].concat(),
                2 => self.uncompressed[..33].to_vec(),
                3 => [&self.compressed[..], &[0]].concat(),
                4 => vec![],
                5 => vec![2; dice.between(520, 521)],
                6 => [&[2][..], &[0xff; 32]].concat(),
                _ => [&[2][..], &self.even.x[..31], &[self.even.x[31] ^ 1]].concat(),
            },
        }
    }
}

/// An ECDSA signature of a digest, in DER.
pub fn sign_ecdsa(index: usize, digest: &Hash) -> Vec<u8> {
    ecdsa(key(index).secret, digest)
}

/// A Schnorr signature of a digest, 64 bytes.
pub fn sign_schnorr(even: &Even, digest: &Hash) -> Vec<u8> {
    schnorr(even, digest)
}

/// A number of DER, with however many bytes its length is written.
fn integer(value: &[u8], length_bytes: usize) -> Vec<u8> {
    [&[2][..], &length(value.len(), length_bytes), value].concat()
}

/// A length of DER: one byte, or the count of its bytes and they.
fn length(value: usize, length_bytes: usize) -> Vec<u8> {
    if length_bytes == 0 {
        return vec![value as u8];
    }
    let long = (value as u128).to_be_bytes();
    [&[0x80 | length_bytes as u8], &long[16 - length_bytes..]].concat()
}

fn sequence(r: &[u8], s: &[u8]) -> Vec<u8> {
    [&[0x30][..], &length(r.len() + s.len(), 0), r, s].concat()
}

/// The same signature with the other s, which is as good (BIP62 rule 5); unsigned big-endian with a leading zero where needed.
fn negated(s: &[u8]) -> Vec<u8> {
    let mut whole = [0; 32];
    let short = &s[s.len().saturating_sub(32)..];
    whole[32 - short.len()..].copy_from_slice(short);
    let other = SecretKey::from_secret_bytes(whole).expect("a signature's s").negate().to_secret_bytes();
    if other[0] & 0x80 != 0 { [&[0][..], &other].concat() } else { other.to_vec() }
}

/// Bends a DER signature: ways that are good before BIP66 (Core `ecdsa_signature_parse_der_lax`), ways that never are.
pub fn bend(dice: &mut Dice<'_>, der: &[u8]) -> Vec<u8> {
    let r = &der[4..4 + usize::from(der[3])];
    let s = &der[6 + r.len()..];
    let padded = |value: &[u8], zeros: usize| [&vec![0; zeros][..], value].concat();
    let plain = |r: &[u8], s: &[u8]| sequence(&integer(r, 0), &integer(s, 0));
    match dice.below(20) {
        0..3 => plain(r, &negated(s)),
        3 => plain(&padded(r, 1), s),
        4 => plain(r, &padded(s, dice.between(1, 40))),
        5 => {
            let body = [integer(r, 0), integer(s, 0)].concat();
            [&[0x30][..], &length(body.len(), dice.between(1, 4)), &body].concat()
        }
        6 => sequence(&integer(r, dice.between(1, 9)), &integer(s, 0)),
        7 => sequence(&integer(r, 0), &integer(s, dice.between(1, 4))),
        8 => plain(&[&[0x80 | r[0]][..], &r[1..]].concat(), s),
        9 => plain(r, &[&[0xff][..], s].concat()),
        10 => [der, &dice.bytes(2)].concat(),
        11 => plain(dice.pick(&[&[0][..], &[]]), s),
        12 => plain(r, dice.pick(&[&[0][..], &[]])),
        13 => plain(&padded(&CURVE_ORDER, 1), s),
        14 => plain(r, &padded(&[0xff; 32], dice.below(3))),
        15 => [&[0x31][..], &der[1..]].concat(),
        16 => [&der[..2], &[3], &der[3..]].concat(),
        17 => [&der[..1], &[dice.byte()], &der[2..]].concat(),
        18 => der[..dice.below(der.len())].to_vec(),
        _ => flip(dice, der.to_vec()),
    }
}

/// A signature with its hash type made `size` bytes long by zeros before s, which is fine before BIP66; itself if it is not
/// DER or too long already.
pub fn stretch(signature: &[u8], size: usize) -> Vec<u8> {
    let [0x30, _, 2, r_size, rest @ ..] = signature else { return signature.to_vec() };
    let Some((r, [2, s_size, rest @ ..])) = rest.split_at_checked(usize::from(*r_size)) else {
        return signature.to_vec();
    };
    let Some((s, hash_type)) = rest.split_at_checked(usize::from(*s_size)) else { return signature.to_vec() };
    // Lengths of the whole and of s in two bytes each.
    let zeros = size.saturating_sub(3 + 2 + r.len() + 3 + s.len() + hash_type.len());
    let body = [integer(r, 0), integer(&[&vec![0; zeros][..], s].concat(), 1)].concat();
    [&[0x30][..], &length(body.len(), 1), &body, hash_type].concat()
}

/// One bit the other way round, if there is any.
pub fn flip(dice: &mut Dice<'_>, mut bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.is_empty() {
        let at = dice.below(bytes.len());
        bytes[at] ^= 1 << dice.below(8);
    }
    bytes
}
