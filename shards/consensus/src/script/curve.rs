//! Decides what libsecp256k1 is asked, exactly as Core asks it (`pubkey.cpp`). Never decides which
//! encodings a script may use: see `checksig.rs`.

use super::checker::Key;
use secp256k1::{Message, Parity, PublicKey, Scalar, XOnlyPublicKey, ecdsa, schnorr};

/// A signature read as laxly as consensus before BIP66 wants it, and made low-S: libsecp256k1
/// knows no other. Parsed alike under BIP66, where the strict form was checked before.
pub(super) fn lax_der(der: &[u8]) -> Option<ecdsa::Signature> {
    let mut signature = ecdsa::Signature::from_der_lax(der).ok()?;
    signature.normalize_s();
    Some(signature)
}

/// The 65 bytes of a compressed key; none if it is none. Core `CPubKey::Decompress`.
pub fn uncompressed(key: &[u8; 33]) -> Option<[u8; 65]> {
    PublicKey::from_slice(key).ok().map(|key| key.serialize_uncompressed())
}

/// Core `CPubKey::CheckLowS`.
pub(super) fn is_low_s(der: &[u8]) -> bool {
    ecdsa::Signature::from_der_lax(der).is_ok_and(|signature| {
        let mut low = signature;
        low.normalize_s();
        low == signature
    })
}

/// Core `CPubKey::Verify`, once the signature is read. Hybrid keys are fine.
pub(super) fn ecdsa_holds(key: &Key, signature: &ecdsa::Signature, message: &[u8; 32]) -> bool {
    PublicKey::from_slice(key.bytes())
        .is_ok_and(|key| ecdsa::verify(signature, Message::from_digest(*message), &key).is_ok())
}

/// Core `XOnlyPubKey::VerifySchnorr`.
pub(super) fn schnorr_holds(key: &[u8; 32], signature: &[u8; 64], message: &[u8; 32]) -> bool {
    let signature = schnorr::Signature::from_byte_array(*signature);
    XOnlyPublicKey::from_byte_array(*key).is_ok_and(|key| schnorr::verify(&signature, message, &key).is_ok())
}

/// Whether `output`, compressed, is `internal` plus `tweak` times the generator. Core `XOnlyPubKey::CheckTapTweak`.
pub(super) fn tweak_holds(output: &[u8; 33], internal: &[u8; 32], tweak: &[u8; 32]) -> bool {
    let Ok(tweak) = Scalar::from_be_bytes(*tweak) else { return false };
    let sum = XOnlyPublicKey::from_byte_array(*internal).and_then(|internal| internal.add_tweak(&tweak));
    sum.is_ok_and(|(sum, parity)| {
        sum.to_byte_array() == output[1..] && output[0] == if parity == Parity::Odd { 3 } else { 2 }
    })
}
