//! Sixteen fixed keys, every script type that locks coins to them, and how to sign for each.
//!
//! The keys are the same in all chains, so any test can spend any coin the factory made. Knows
//! nothing of blocks.

use crate::sighash::{self, ALL, Shared, branch_hash, leaf_hash, tagged};
use crate::sign::{Even, ecdsa, scalar, schnorr};
use crate::tx::{Hash, Tx, TxOut};
use bitcoin_hashes::{Hash160, Sha256};
use secp256k1::{PublicKey, Scalar, SecretKey};
use std::collections::HashMap;
use std::sync::LazyLock;

/// How many keys there are.
pub const KEYS: u8 = 16;

/// A type of locking script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Bare public key.
    P2pk,
    /// Hash of a public key.
    P2pkh,
    /// Two of three keys behind a script hash (BIP16).
    P2shMulti,
    /// Witness program of a key hash, inside a script hash (BIP141).
    P2shP2wpkh,
    /// Witness program of a key hash (BIP141).
    P2wpkh,
    /// Two of three keys behind a witness script hash (BIP141).
    P2wshMulti,
    /// Taproot without scripts, spent by its key (BIP341, BIP86).
    P2trKey,
    /// Taproot with two leaves, spent by one of them: a single key, or two of three keys (BIP342).
    P2trScript,
}

impl Kind {
    /// All of them, in the order of their declaration.
    pub const EVERY: [Kind; 8] = [
        Kind::P2pk,
        Kind::P2pkh,
        Kind::P2shMulti,
        Kind::P2shP2wpkh,
        Kind::P2wpkh,
        Kind::P2wshMulti,
        Kind::P2trKey,
        Kind::P2trScript,
    ];

    /// Signature operation cost that an output of this kind adds to its block (BIP141).
    pub fn sigops_made(self) -> u64 {
        match self {
            Kind::P2pk | Kind::P2pkh => 4,
            _ => 0,
        }
    }

    /// Signature operation cost that spending this kind adds to the block (BIP141).
    pub fn sigops_spent(self) -> u64 {
        match self {
            Kind::P2shMulti => 12,
            Kind::P2wshMulti => 3,
            Kind::P2shP2wpkh | Kind::P2wpkh => 1,
            _ => 0,
        }
    }

    /// Whether its signatures are Schnorr's (BIP340).
    pub fn schnorr(self) -> bool {
        matches!(self, Kind::P2trKey | Kind::P2trScript)
    }

    /// Signatures that spending it takes, by that leaf where it has leaves.
    pub fn signatures(self, leaf: usize) -> u64 {
        match self {
            Kind::P2shMulti | Kind::P2wshMulti => 2,
            Kind::P2trScript => 1 + leaf as u64,
            _ => 1,
        }
    }
}

/// Who may spend a coin, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lock {
    /// The type of script.
    pub kind: Kind,
    /// The key, or the first of three; below [`KEYS`].
    pub key: u8,
}

impl Lock {
    /// The locking script.
    pub fn script(self) -> &'static [u8] {
        &WALLET[usize::from(self.key)].scripts[self.kind as usize]
    }

    /// The lock whose script this is.
    pub fn of(script: &[u8]) -> Option<Lock> {
        BY_SCRIPT.get(script).copied()
    }

    /// The output that pays `value` satoshi to this lock.
    pub fn output(self, value: u64) -> TxOut {
        TxOut { value, script: self.script().to_vec() }
    }
}

/// How to sign one input.
#[derive(Clone, Copy, Debug)]
pub struct Spend {
    /// The lock of the coin.
    pub lock: Lock,
    /// Its amount in satoshi.
    pub value: u64,
    /// Signature hash type; [`ALL`] is left out of Taproot signatures, where 0 means the same.
    pub hash_type: u8,
    /// Which leaf opens a [`Kind::P2trScript`]: 0 or 1.
    pub leaf: usize,
}

struct Key {
    secret: SecretKey,
    public: [u8; 33],
    internal: Even,
    tweaked: Even,
    wpkh: Vec<u8>,
    multi: Vec<u8>,
    leaves: [Vec<u8>; 2],
    leaf_hashes: [Hash; 2],
    controls: [Vec<u8>; 2],
    scripts: [Vec<u8>; 8],
}

static WALLET: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let secrets: Vec<SecretKey> = (0..KEYS).map(|index| scalar(b"key", index)).collect();
    (0..secrets.len()).map(|index| Key::new(index, &secrets)).collect()
});

static BY_SCRIPT: LazyLock<HashMap<&'static [u8], Lock>> = LazyLock::new(|| {
    let locks = (0..KEYS).flat_map(|key| Kind::EVERY.map(|kind| Lock { kind, key }));
    locks.map(|lock| (lock.script(), lock)).collect()
});

const OP_1: u8 = 0x51;
const OP_2: u8 = 0x52;
const OP_3: u8 = 0x53;
const OP_DUP: u8 = 0x76;
const OP_EQUAL: u8 = 0x87;
const OP_EQUALVERIFY: u8 = 0x88;
const OP_NUMEQUAL: u8 = 0x9c;
const OP_HASH160: u8 = 0xa9;
const OP_CHECKSIG: u8 = 0xac;
const OP_CHECKMULTISIG: u8 = 0xae;
const OP_CHECKSIGADD: u8 = 0xba;

impl Key {
    fn new(index: usize, secrets: &[SecretKey]) -> Key {
        let trio: [PublicKey; 3] = [0, 1, 2].map(|step| secrets[(index + step) % secrets.len()].public_key());
        let secret = secrets[index];
        let public = trio[0].serialize();
        let internal = Even::new(secret);

        let mut multi = vec![OP_2];
        trio.iter().for_each(|public| push(&mut multi, &public.serialize()));
        multi.extend([OP_3, OP_CHECKMULTISIG]);

        let mut single = Vec::new();
        push(&mut single, &internal.x);
        single.push(OP_CHECKSIG);
        let mut adds = Vec::new();
        for (public, op) in trio.iter().zip([OP_CHECKSIG, OP_CHECKSIGADD, OP_CHECKSIGADD]) {
            push(&mut adds, &public.x_only_public_key().0.to_byte_array());
            adds.push(op);
        }
        adds.extend([OP_2, OP_NUMEQUAL]);
        let leaves = [single, adds];
        let leaf_hashes = [leaf_hash(&leaves[0]), leaf_hash(&leaves[1])];
        let root = branch_hash(&leaf_hashes[0], &leaf_hashes[1]);

        let tweaked = Even::new(tweak(secret, &[]));
        let (with_leaves, parity) = tweak(secret, &root).x_only_public_key();
        let control = |sibling: &Hash| [&[0xc0 | parity.to_u8()][..], &internal.x, sibling].concat();
        let controls = [control(&leaf_hashes[1]), control(&leaf_hashes[0])];

        let wpkh = program(0, Hash160::hash(&public).as_byte_array());
        let mut p2pk = Vec::new();
        push(&mut p2pk, &public);
        p2pk.push(OP_CHECKSIG);
        let scripts = [
            p2pk,
            p2pkh(&public),
            p2sh(&multi),
            p2sh(&wpkh),
            wpkh.clone(),
            program(0, Sha256::hash(&multi).as_byte_array()),
            program(OP_1, &tweaked.x),
            program(OP_1, &with_leaves.to_byte_array()),
        ];
        Key { secret, public, internal, tweaked, wpkh, multi, leaves, leaf_hashes, controls, scripts }
    }

    fn ecdsa(&self, digest: Hash, hash_type: u8) -> Vec<u8> {
        [&ecdsa(self.secret, &digest)[..], &[hash_type]].concat()
    }
}

/// A Taproot signature: the type is left out if it is 0 (BIP341).
fn taproot_signature(key: &Even, digest: Hash, hash_type: u8) -> Vec<u8> {
    let mut bytes = schnorr(key, &digest);
    if hash_type != 0 {
        bytes.push(hash_type);
    }
    bytes
}

/// The output key of an internal key and a merkle root of leaves, which may be empty (BIP341).
pub fn tweak(secret: SecretKey, root: &[u8]) -> SecretKey {
    let internal = secret.keypair();
    let tweak = tagged("TapTweak", &[&internal.x_only_public_key().0.to_byte_array(), root]);
    // Fails for one hash in 2^128, and these are fixed.
    let tweaked = Scalar::from_be_bytes(tweak).map(|tweak| internal.add_xonly_tweak(&tweak));
    tweaked.expect("a scalar").expect("a key").secret_key()
}

fn p2pkh(public: &[u8]) -> Vec<u8> {
    let mut script = vec![OP_DUP, OP_HASH160];
    push(&mut script, Hash160::hash(public).as_byte_array());
    script.extend([OP_EQUALVERIFY, OP_CHECKSIG]);
    script
}

/// The script hash of a redeem script (BIP16).
pub fn p2sh(redeem: &[u8]) -> Vec<u8> {
    let mut script = vec![OP_HASH160];
    push(&mut script, Hash160::hash(redeem).as_byte_array());
    script.push(OP_EQUAL);
    script
}

/// A witness program: the opcode of its version, and what the witness must match (BIP141).
pub fn program(version: u8, hash: &[u8]) -> Vec<u8> {
    let mut script = vec![version];
    push(&mut script, hash);
    script
}

/// Appends the shortest push of at most 255 bytes.
pub fn push(script: &mut Vec<u8>, bytes: &[u8]) {
    let size = u8::try_from(bytes.len()).expect("nothing longer is pushed here");
    if size > 75 {
        script.push(0x4c);
    }
    script.push(size);
    script.extend(bytes);
}

/// Signs every input of `tx`, whose coins are described by `spends` in the same order. Overwrites
/// unlocking scripts and witnesses; everything else has to be final.
pub fn sign(tx: &mut Tx, spends: &[Spend]) {
    let spent: Vec<TxOut> = spends.iter().map(|spend| spend.lock.output(spend.value)).collect();
    let shared = Shared::new(tx, &spent);
    for (index, spend) in spends.iter().enumerate() {
        let (script_sig, witness) = unlock(tx, &shared, index, &spent, spend);
        tx.inputs[index].script_sig = script_sig;
        tx.inputs[index].witness = witness;
    }
}

fn unlock(tx: &Tx, shared: &Shared, index: usize, spent: &[TxOut], spend: &Spend) -> (Vec<u8>, Vec<Vec<u8>>) {
    let key = &WALLET[usize::from(spend.lock.key)];
    let second = &WALLET[(usize::from(spend.lock.key) + 1) % WALLET.len()];
    let hash_type = spend.hash_type;
    let schnorr_type = if hash_type == ALL { 0 } else { hash_type };
    let legacy = |code: &[u8]| sighash::legacy(tx, index, code, hash_type.into());
    let segwit = |code: &[u8]| sighash::segwit(tx, shared, index, code, spend.value, hash_type);
    let taproot = |leaf: Option<&Hash>| sighash::taproot(tx, shared, index, spent, schnorr_type, leaf);
    let pushes = |items: &[&[u8]]| {
        let mut script = Vec::new();
        items.iter().for_each(|item| push(&mut script, item));
        script
    };
    match spend.lock.kind {
        Kind::P2pk => {
            let digest = legacy(spend.lock.script());
            (pushes(&[&key.ecdsa(digest, hash_type)]), vec![])
        }
        Kind::P2pkh => {
            let digest = legacy(spend.lock.script());
            (pushes(&[&key.ecdsa(digest, hash_type), &key.public]), vec![])
        }
        Kind::P2shMulti => {
            let digest = legacy(&key.multi);
            let signatures = [key, second].map(|key| key.ecdsa(digest, hash_type));
            // The empty push is the one that OP_CHECKMULTISIG takes too many (BIP147).
            (pushes(&[&[], &signatures[0], &signatures[1], &key.multi]), vec![])
        }
        Kind::P2wpkh | Kind::P2shP2wpkh => {
            let digest = segwit(&p2pkh(&key.public));
            let nested = spend.lock.kind == Kind::P2shP2wpkh;
            let script_sig = if nested { pushes(&[&key.wpkh]) } else { vec![] };
            (script_sig, vec![key.ecdsa(digest, hash_type), key.public.to_vec()])
        }
        Kind::P2wshMulti => {
            let digest = segwit(&key.multi);
            let [first, second] = [key, second].map(|key| key.ecdsa(digest, hash_type));
            (vec![], vec![vec![], first, second, key.multi.clone()])
        }
        Kind::P2trKey => (vec![], vec![taproot_signature(&key.tweaked, taproot(None), schnorr_type)]),
        Kind::P2trScript => {
            let digest = taproot(Some(&key.leaf_hashes[spend.leaf]));
            let first = taproot_signature(&key.internal, digest, schnorr_type);
            let mut witness = match spend.leaf {
                0 => vec![first],
                // The stack is read from its end: third key unsigned, then the second, then the first.
                _ => vec![vec![], taproot_signature(&second.internal, digest, schnorr_type), first],
            };
            witness.push(key.leaves[spend.leaf].clone());
            witness.push(key.controls[spend.leaf].clone());
            (vec![], witness)
        }
    }
}

/// An output of no value that nobody can spend, with up to 75 bytes of data.
pub fn op_return(data: &[u8]) -> TxOut {
    let mut script = vec![0x6a];
    push(&mut script, data);
    TxOut { value: 0, script }
}
