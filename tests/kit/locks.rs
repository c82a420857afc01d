//! Locks that tests make of scripts of their own, and what opens them.

use bitcoin_hashes::Sha256;
use caesure_bench::keys::{program, tweak};
use caesure_bench::sighash::leaf_hash;
use caesure_bench::sign::scalar;

/// A witness script behind its hash (BIP141).
pub fn p2wsh(script: &[u8]) -> Vec<u8> {
    program(0, Sha256::hash(script).as_byte_array())
}

/// A single leaf behind a key that is there for nothing else (BIP341): the lock, and the control block.
pub fn p2tr(leaf: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let internal = scalar(b"leaf", 0);
    let (key, _) = internal.x_only_public_key();
    let (output, parity) = tweak(internal, &leaf_hash(leaf)).x_only_public_key();
    (program(0x51, &output.to_byte_array()), [&[0xc0 | parity.to_u8()][..], &key.to_byte_array()].concat())
}
