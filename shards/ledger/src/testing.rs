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
