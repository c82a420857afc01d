//! Decides how parts are hashed end to end: with counts before them, with tags (BIP340), and up a
//! taproot tree (BIP341). Never knows what is signed.

use bitcoin_hashes::HashEngine as _;
use bitcoin_hashes::sha256::{Hash, HashEngine, Midstate};

pub(super) fn end(engine: HashEngine) -> [u8; 32] {
    Hash::from_engine(engine).to_byte_array()
}

pub(super) fn count(engine: &mut HashEngine, count: usize) {
    match count {
        0..253 => engine.input(&[count as u8]),
        253..=0xffff => {
            let [a, b] = (count as u16).to_le_bytes();
            engine.input(&[253, a, b]);
        }
        _ => {
            engine.input(&[254]);
            engine.input(&(count as u32).to_le_bytes());
        }
    }
}

pub(super) fn input_counted(engine: &mut HashEngine, bytes: &[u8]) {
    count(engine, bytes.len());
    engine.input(bytes);
}

/// An engine that has been fed the tag twice (BIP340).
pub(super) fn tagged(midstate: Midstate) -> HashEngine {
    HashEngine::from_midstate(midstate)
}

/// SHA-256 of the annex and its length (BIP341).
pub(super) fn annex_hash(annex: &[u8]) -> [u8; 32] {
    let mut engine = HashEngine::new();
    input_counted(&mut engine, annex);
    end(engine)
}

/// The hash of a leaf: its version and its script (BIP341).
pub(super) fn leaf_hash(version: u8, script: &[u8]) -> [u8; 32] {
    const TAG: Midstate = Midstate::hash_tag(b"TapLeaf");
    let mut engine = tagged(TAG);
    engine.input(&[version]);
    input_counted(&mut engine, script);
    end(engine)
}

/// The root that a leaf and the nodes on its way up make (BIP341).
pub(super) fn merkle_root(leaf: [u8; 32], path: &[[u8; 32]]) -> [u8; 32] {
    const TAG: Midstate = Midstate::hash_tag(b"TapBranch");
    path.iter().fold(leaf, |below, node| {
        let mut engine = tagged(TAG);
        let (first, second) = if below < *node { (&below, node) } else { (node, &below) };
        engine.input(first);
        engine.input(second);
        end(engine)
    })
}

/// By how much an output key differs from its internal key (BIP341).
pub(super) fn tweak(internal: &[u8; 32], root: &[u8; 32]) -> [u8; 32] {
    const TAG: Midstate = Midstate::hash_tag(b"TapTweak");
    let mut engine = tagged(TAG);
    engine.input(internal);
    engine.input(root);
    end(engine)
}
