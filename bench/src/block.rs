//! Blocks as plain data: assembled right, and then bent by whoever tests what is refused.
//!
//! `Block::assemble` makes a valid block; a test changes any field of it and calls [`Block::seal`] (or
//! only some of `commit`, `root`, `mine`) so that exactly the rule in question is broken.

use crate::keys::op_return;
use crate::tx::{Hash, OutPoint, Tx, TxIn, TxOut, compact_size, sha256d};

/// Compact target of every regtest block (Bitcoin Core `kernel/chainparams.cpp`).
pub const REGTEST_BITS: u32 = 0x207f_ffff;
/// Time of the regtest genesis block (same source).
pub const GENESIS_TIME: u32 = 1_296_688_602;
/// First four bytes of regtest messages and block records, little-endian (same source).
pub const REGTEST_MAGIC: u32 = 0xdab5_bffa;

/// The first bytes of the output that commits to the witnesses: OP_RETURN, 36 bytes, a marker (BIP141).
const COMMITMENT: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// The 80 bytes that are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Version, with the bits of BIP9.
    pub version: u32,
    /// Hash of the parent.
    pub prev: Hash,
    /// Merkle root of the transaction ids.
    pub merkle_root: Hash,
    /// Seconds since 1970.
    pub time: u32,
    /// Compact target.
    pub bits: u32,
    /// What mining turns.
    pub nonce: u32,
}

impl Header {
    /// The 80 bytes.
    pub fn bytes(&self) -> [u8; 80] {
        let mut bytes = [0; 80];
        bytes[..4].copy_from_slice(&self.version.to_le_bytes());
        bytes[4..36].copy_from_slice(&self.prev);
        bytes[36..68].copy_from_slice(&self.merkle_root);
        bytes[68..72].copy_from_slice(&self.time.to_le_bytes());
        bytes[72..76].copy_from_slice(&self.bits.to_le_bytes());
        bytes[76..].copy_from_slice(&self.nonce.to_le_bytes());
        bytes
    }

    /// The block's hash.
    pub fn hash(&self) -> Hash {
        sha256d(&self.bytes())
    }

    /// Whether the hash is at or below the target of `bits`.
    pub fn meets_target(&self) -> bool {
        self.hash().iter().rev().le(target(self.bits).iter().rev())
    }

    /// Turns the nonce until the target is met: two tries on average at regtest's.
    pub fn mine(&mut self) {
        while !self.meets_target() {
            self.nonce = self.nonce.checked_add(1).expect("no nonce meets this target");
        }
    }
}

/// The target of a compact form, least byte first; a mantissa below zero or too large is not told apart.
fn target(bits: u32) -> Hash {
    let mut target = [0; 32];
    let exponent = (bits >> 24) as usize;
    for (place, byte) in (bits & 0x7f_ffff).to_le_bytes()[..3].iter().enumerate() {
        if let Some(index) = (exponent + place).checked_sub(3).filter(|index| *index < 32) {
            target[index] = *byte;
        }
    }
    target
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its header.
    pub header: Header,
    /// Its transactions, the coinbase first.
    pub txs: Vec<Tx>,
}

impl Block {
    /// A valid regtest block: `coinbase` (see [`coinbase`]), then `txs`, committed to and mined.
    pub fn assemble(prev: Hash, time: u32, coinbase: Tx, txs: Vec<Tx>) -> Block {
        let header = Header { version: 0x2000_0000, prev, merkle_root: [0; 32], time, bits: REGTEST_BITS, nonce: 0 };
        let mut block = Block { header, txs: [vec![coinbase], txs].concat() };
        block.seal();
        block
    }

    /// The regtest genesis block (Bitcoin Core `kernel/chainparams.cpp`).
    pub fn genesis() -> Block {
        let mut script_sig = vec![4, 0xff, 0xff, 0, 0x1d, 1, 4, 69];
        script_sig.extend(b"The Times 03/Jan/2009 Chancellor on brink of second bailout for banks");
        let public = "04678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb6\
                      49f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f";
        let mut script = vec![65];
        script.extend((0..65).map(|at| u8::from_str_radix(&public[2 * at..2 * at + 2], 16).expect("hex")));
        script.push(0xac);
        let input = TxIn { prev: OutPoint::NULL, script_sig, sequence: u32::MAX, witness: vec![] };
        let outputs = vec![TxOut { value: subsidy(0), script }];
        let mut block = Block::assemble(
            [0; 32],
            GENESIS_TIME,
            Tx { version: 1, inputs: vec![input], outputs, lock_time: 0 },
            vec![],
        );
        block.header = Header { version: 1, nonce: 2, ..block.header };
        block
    }

    /// The block's hash.
    pub fn hash(&self) -> Hash {
        self.header.hash()
    }

    /// The bytes, witnesses included.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.header.bytes().to_vec();
        compact_size(&mut out, self.txs.len());
        self.txs.iter().for_each(|tx| tx.write(&mut out, true));
        out
    }

    /// Commits anew, then the merkle root, then the proof of work: after any change of transactions.
    pub fn seal(&mut self) {
        self.commit();
        self.root();
        self.mine();
    }

    /// Rewrites the witness commitment, if the coinbase has an output for it (BIP141).
    pub fn commit(&mut self) {
        let Some(at) = self.txs[0].outputs.iter().rposition(|output| output.script.starts_with(&COMMITMENT)) else {
            return;
        };
        let leaves = [[0; 32]].into_iter().chain(self.txs[1..].iter().map(Tx::wtxid)).collect();
        let nonce = self.txs[0].inputs[0].witness.first().cloned().unwrap_or_default();
        let commitment = sha256d(&[&merkle_root(leaves)[..], &nonce].concat());
        self.txs[0].outputs[at].script = [&COMMITMENT[..], &commitment].concat();
    }

    /// Rewrites the merkle root.
    pub fn root(&mut self) {
        self.header.merkle_root = merkle_root(self.txs.iter().map(Tx::txid).collect());
    }

    /// Mines the header.
    pub fn mine(&mut self) {
        self.header.mine();
    }
}

/// A coinbase that obeys BIP34 and BIP141: pays `pays`, and has room for the commitment. `tag` (at most
/// 75 bytes) makes it unlike others of its height.
pub fn coinbase(height: u32, pays: Vec<TxOut>, tag: &[u8]) -> Tx {
    let mut script_sig = height_push(height);
    crate::keys::push(&mut script_sig, tag);
    if script_sig.len() < 2 {
        script_sig.push(0);
    }
    let witness = vec![vec![0; 32]];
    let input = TxIn { prev: OutPoint::NULL, script_sig, sequence: u32::MAX, witness };
    let mut outputs = pays;
    outputs.push(op_return(&[&COMMITMENT[2..], &[0; 32]].concat()));
    Tx { version: 2, inputs: vec![input], outputs, lock_time: 0 }
}

/// A height as a script pushes it: small ones as an opcode, others as a number (BIP34).
fn height_push(height: u32) -> Vec<u8> {
    match height {
        0 => vec![0],
        1..=16 => vec![0x50 + height as u8],
        _ => {
            let mut number = height.to_le_bytes().to_vec();
            while number.last() == Some(&0) {
                number.pop();
            }
            if number.last().is_some_and(|byte| *byte >= 0x80) {
                number.push(0);
            }
            [&[number.len() as u8], &number[..]].concat()
        }
    }
}

/// What a regtest block may make, in satoshi: 50 coins, halved each 150 blocks (Bitcoin Core
/// `kernel/chainparams.cpp`, and `validation.cpp` for 0 from the 64th halving).
pub fn subsidy(height: u32) -> u64 {
    (50 * 100_000_000_u64).checked_shr(height / 150).unwrap_or(0)
}

/// The root over leaves, the last one doubled where a row is odd. There MUST be a leaf.
pub fn merkle_root(mut row: Vec<Hash>) -> Hash {
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| sha256d(&[pair[0], *pair.last().expect("not empty")].concat())).collect();
    }
    row[0]
}
