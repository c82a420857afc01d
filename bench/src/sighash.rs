//! What a signature signs: the three digests of a transaction (before SegWit, BIP143, BIP341).
//!
//! Written for signing our own scripts: what OP_CODESEPARATOR leaves of a script is the caller's to say.

use crate::tx::{Hash, Tx, TxOut, compact_size, sha256d, var_bytes};
use bitcoin_hashes::{HashEngine, Sha256};

/// Signs every input and output.
pub const ALL: u8 = 1;
/// Signs no output.
pub const NONE: u8 = 2;
/// Signs only the output at the input's own index.
pub const SINGLE: u8 = 3;
/// Added to the others: signs only the input itself.
pub const ANYONECANPAY: u8 = 0x80;

fn base(hash_type: u32) -> u8 {
    (hash_type & 0x1f) as u8
}

/// The digest before SegWit (Bitcoin Core `script/interpreter.cpp`, `SignatureHash`, BASE).
/// `hash_type` is what is hashed, four bytes of it; the signature carries the lowest.
pub fn legacy(tx: &Tx, index: usize, script_code: &[u8], hash_type: u32) -> Hash {
    let only = base(hash_type);
    if only == SINGLE && index >= tx.outputs.len() {
        // The one that is signed for in vain: a digest of the number 1.
        let mut one = [0; 32];
        one[0] = 1;
        return one;
    }
    let mut copy = tx.clone();
    for (other, input) in copy.inputs.iter_mut().enumerate() {
        input.script_sig.clear();
        if other != index && (only == NONE || only == SINGLE) {
            input.sequence = 0;
        }
    }
    copy.inputs[index].script_sig = script_code.to_vec();
    if only == NONE {
        copy.outputs.clear();
    } else if only == SINGLE {
        copy.outputs.truncate(index + 1);
        for output in &mut copy.outputs[..index] {
            *output = TxOut { value: u64::MAX, script: Vec::new() };
        }
    }
    if hash_type & u32::from(ANYONECANPAY) != 0 {
        copy.inputs = vec![copy.inputs.swap_remove(index)];
    }
    let mut bytes = Vec::new();
    copy.write(&mut bytes, false);
    bytes.extend(hash_type.to_le_bytes());
    sha256d(&bytes)
}

/// The parts of BIP143 and BIP341 digests that all inputs share, each hashed once with SHA-256.
pub struct Shared {
    prevouts: Hash,
    amounts: Hash,
    scripts: Hash,
    sequences: Hash,
    outputs: Hash,
}

impl Shared {
    /// `spent` are the outputs that the inputs spend, in the inputs' order.
    pub fn new(tx: &Tx, spent: &[TxOut]) -> Shared {
        assert_eq!(tx.inputs.len(), spent.len(), "one spent output per input");
        let hash = |fill: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = Vec::new();
            fill(&mut bytes);
            sha256(&bytes)
        };
        Shared {
            prevouts: hash(&|out| tx.inputs.iter().for_each(|input| input.prev.write(out))),
            amounts: hash(&|out| spent.iter().for_each(|coin| out.extend(coin.value.to_le_bytes()))),
            scripts: hash(&|out| spent.iter().for_each(|coin| var_bytes(out, &coin.script))),
            sequences: hash(&|out| tx.inputs.iter().for_each(|input| out.extend(input.sequence.to_le_bytes()))),
            outputs: hash(&|out| tx.outputs.iter().for_each(|output| output.write(out))),
        }
    }
}

/// The digest of witness version 0 (BIP143).
pub fn segwit(tx: &Tx, shared: &Shared, index: usize, script_code: &[u8], value: u64, hash_type: u8) -> Hash {
    let only = base(hash_type.into());
    let anyone = hash_type & ANYONECANPAY != 0;
    let input = &tx.inputs[index];
    let mut bytes = Vec::with_capacity(256);
    bytes.extend(tx.version.to_le_bytes());
    bytes.extend(if anyone { [0; 32] } else { sha256(&shared.prevouts) });
    bytes.extend(if anyone || only == NONE || only == SINGLE { [0; 32] } else { sha256(&shared.sequences) });
    input.prev.write(&mut bytes);
    var_bytes(&mut bytes, script_code);
    bytes.extend(value.to_le_bytes());
    bytes.extend(input.sequence.to_le_bytes());
    bytes.extend(match only {
        NONE => [0; 32],
        SINGLE => tx.outputs.get(index).map_or([0; 32], |output| {
            let mut one = Vec::new();
            output.write(&mut one);
            sha256d(&one)
        }),
        _ => sha256(&shared.outputs),
    });
    bytes.extend(tx.lock_time.to_le_bytes());
    bytes.extend(u32::from(hash_type).to_le_bytes());
    sha256d(&bytes)
}

/// The digest of Taproot (BIP341) and, with the hash of a leaf, of Tapscript (BIP342).
/// Type 0 signs what `ALL` signs. With `SINGLE` the output at `index` MUST exist.
pub fn taproot(tx: &Tx, shared: &Shared, index: usize, spent: &[TxOut], hash_type: u8, leaf: Option<&Hash>) -> Hash {
    taproot_path(tx, shared, index, spent, hash_type, TapPath { annex: None, leaf: leaf.map(|hash| (*hash, u32::MAX)) })
}

/// How a Taproot coin is spent, as far as the digest says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct TapPath<'a> {
    /// The annex, with its first byte 0x50 (BIP341).
    pub annex: Option<&'a [u8]>,
    /// The leaf's hash and the position of the last OP_CODESEPARATOR that ran, counted in operations; all ones if
    /// none did (BIP342).
    pub leaf: Option<(Hash, u32)>,
}

/// [`taproot`] with an annex and an OP_CODESEPARATOR.
pub fn taproot_path(tx: &Tx, shared: &Shared, index: usize, spent: &[TxOut], hash_type: u8, path: TapPath<'_>) -> Hash {
    let only = hash_type & 3;
    let anyone = hash_type & ANYONECANPAY != 0;
    let input = &tx.inputs[index];
    let mut bytes = vec![0, hash_type];
    bytes.extend(tx.version.to_le_bytes());
    bytes.extend(tx.lock_time.to_le_bytes());
    if !anyone {
        for part in [&shared.prevouts, &shared.amounts, &shared.scripts, &shared.sequences] {
            bytes.extend(part);
        }
    }
    if only != NONE && only != SINGLE {
        bytes.extend(shared.outputs);
    }
    bytes.push(2 * u8::from(path.leaf.is_some()) + u8::from(path.annex.is_some()));
    if anyone {
        input.prev.write(&mut bytes);
        spent[index].write(&mut bytes);
        bytes.extend(input.sequence.to_le_bytes());
    } else {
        bytes.extend((index as u32).to_le_bytes());
    }
    if let Some(annex) = path.annex {
        let mut sized = Vec::new();
        var_bytes(&mut sized, annex);
        bytes.extend(sha256(&sized));
    }
    if only == SINGLE {
        let mut one = Vec::new();
        tx.outputs[index].write(&mut one);
        bytes.extend(sha256(&one));
    }
    if let Some((leaf, codeseparator)) = path.leaf {
        bytes.extend(leaf);
        bytes.push(0);
        bytes.extend(codeseparator.to_le_bytes());
    }
    tagged("TapSighash", &[&bytes])
}

/// SHA-256 with a tag (BIP340).
pub fn tagged(tag: &str, parts: &[&[u8]]) -> Hash {
    let tag = sha256(tag.as_bytes());
    let mut engine = Sha256::engine();
    engine.input(&tag);
    engine.input(&tag);
    parts.iter().for_each(|part| engine.input(part));
    Sha256::from_engine(engine).to_byte_array()
}

/// The hash of a leaf with leaf version 0xc0 (BIP341).
pub fn leaf_hash(script: &[u8]) -> Hash {
    let mut size = Vec::new();
    compact_size(&mut size, script.len());
    tagged("TapLeaf", &[&[0xc0], &size, script])
}

/// The hash of a branch of two (BIP341): the smaller first.
pub fn branch_hash(one: &Hash, other: &Hash) -> Hash {
    tagged("TapBranch", &[one.min(other), one.max(other)])
}

fn sha256(bytes: &[u8]) -> Hash {
    Sha256::hash(bytes).to_byte_array()
}
