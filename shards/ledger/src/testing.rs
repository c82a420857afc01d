//! How tests spell transactions and blocks: byte by byte, with work enough for regtest. It knows no other rule, so
//! blocks may break any.

use bytes::Bytes;
use consensus::{Block, BlockHash, Header, Network, OutPoint, Params, Txid, meets_target, merkle, sha256d};

/// A transaction; without takes it is a coinbase. Equal ones have equal txids.
#[derive(Clone, Debug)]
pub(crate) struct Tx {
    pub takes: Vec<OutPoint>,
    /// Satoshi and script.
    pub makes: Vec<(u64, Vec<u8>)>,
    /// Lock time: tells transactions apart that are otherwise the same.
    pub tag: u32,
}

impl Tx {
    pub fn bytes(&self) -> Vec<u8> {
        let null = [OutPoint { txid: Txid([0; 32]), vout: u32::MAX }];
        let takes = if self.takes.is_empty() { &null[..] } else { &self.takes };
        let mut out = vec![1, 0, 0, 0];
        out.extend(compact(takes.len()));
        for take in takes {
            out.extend(take.txid.0);
            out.extend(take.vout.to_le_bytes());
            out.extend([2, 0x51, 0x51, 0xff, 0xff, 0xff, 0xff]); // a script of two bytes, a sequence number
        }
        out.extend(compact(self.makes.len()));
        for (value, script) in &self.makes {
            out.extend(value.to_le_bytes());
            out.extend(compact(script.len()));
            out.extend(script);
        }
        out.extend(self.tag.to_le_bytes());
        out
    }

    pub fn txid(&self) -> Txid {
        Txid(sha256d(&self.bytes()))
    }

    pub fn outpoint(&self, vout: u32) -> OutPoint {
        OutPoint { txid: self.txid(), vout }
    }
}

/// A coinbase with one output that anyone can spend.
pub(crate) fn coinbase(tag: u32, value: u64) -> Tx {
    Tx { takes: vec![], makes: vec![(value, vec![0x51])], tag }
}

fn compact(count: usize) -> Vec<u8> {
    match count {
        0..253 => vec![count as u8],
        _ => [&[253][..], &u16::try_from(count).unwrap().to_le_bytes()].concat(),
    }
}

/// The bytes of a block of these, with proof of work on regtest.
pub(crate) fn block_bytes(prev: BlockHash, txs: &[Tx]) -> Vec<u8> {
    let txids: Vec<_> = txs.iter().map(|tx| tx.txid().0).collect();
    let merkle_root = merkle::root(&txids).0;
    let mut header = Header { version: 4, prev, merkle_root, time: 1_700_000_000, bits: 0x207f_ffff, nonce: 0 };
    while !meets_target(&header.hash(), header.bits, Params::of(Network::Regtest)) {
        header.nonce += 1;
    }
    let mut out = header.to_bytes().to_vec();
    out.extend(compact(txs.len()));
    txs.iter().for_each(|tx| out.extend(tx.bytes()));
    out
}

pub(crate) fn block(txs: &[Tx]) -> Block {
    Block::parse(Bytes::from(block_bytes(BlockHash([7; 32]), txs))).unwrap()
}

/// SplitMix64.
pub(crate) struct Rng(pub u64);

impl Rng {
    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    /// Whether something that happens `percent` of the time happens.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// The generator of secp256k1 (SEC 2), which has an even y.
pub(crate) const G_X: [u8; 32] = [
    0x79, 0xbe, 0x66, 0x7e, 0xf9, 0xdc, 0xbb, 0xac, 0x55, 0xa0, 0x62, 0x95, 0xce, 0x87, 0x0b, 0x07, 0x02, 0x9b, 0xfc,
    0xdb, 0x2d, 0xce, 0x28, 0xd9, 0x59, 0xf2, 0x81, 0x5b, 0x16, 0xf8, 0x17, 0x98,
];
pub(crate) const G_Y: [u8; 32] = [
    0x48, 0x3a, 0xda, 0x77, 0x26, 0xa3, 0xc4, 0x65, 0x5d, 0xa4, 0xfb, 0xfc, 0x0e, 0x11, 0x08, 0xa8, 0xfd, 0x17, 0xb4,
    0x48, 0xa6, 0x85, 0x54, 0x19, 0x9c, 0x47, 0xd0, 0x8f, 0xfb, 0x10, 0xd4, 0xb8,
];
/// Its y on the other side: 2^256 − 2^32 − 977 less that.
const G_Y_ODD: [u8; 32] = [
    0xb7, 0xc5, 0x25, 0x88, 0xd9, 0x5c, 0x3b, 0x9a, 0xa2, 0x5b, 0x04, 0x03, 0xf1, 0xee, 0xf7, 0x57, 0x02, 0xe8, 0x4b,
    0xb7, 0x59, 0x7a, 0xab, 0xe6, 0x63, 0xb8, 0x2f, 0x6f, 0x04, 0xef, 0x27, 0x77,
];

/// An uncompressed key.
pub(crate) fn key_of(odd: bool) -> [u8; 65] {
    [&[4][..], &G_X, if odd { &G_Y_ODD } else { &G_Y }].concat().try_into().unwrap()
}

/// A curve with two points on it.
pub(crate) fn curve(key: &[u8; 33]) -> Option<[u8; 65]> {
    let parity = [2, 3].iter().position(|first| *first == key[0])?;
    (key[1..] == G_X).then(|| key_of(parity == 1))
}
