//! Decides how tests spell transactions and blocks: plain structs, written out as bytes. Never
//! knows a rule, so that it can break any of them.

use crate::{Block, BlockHash, Header, hash::sha256d, merkle};

#[derive(Clone)]
pub(crate) struct In {
    pub txid: u8,
    pub vout: u32,
    pub script: Vec<u8>,
    pub sequence: u32,
    pub witness: Vec<Vec<u8>>,
}

#[derive(Clone)]
pub(crate) struct Spend {
    pub version: u32,
    pub inputs: Vec<In>,
    pub outputs: Vec<(u64, Vec<u8>)>,
    pub lock_time: u32,
}

pub(crate) fn input(txid: u8, vout: u32) -> In {
    In { txid, vout, script: vec![], sequence: u32::MAX, witness: vec![] }
}

/// A spend of coin `7:0` that pays one satoshi to the script OP_1.
pub(crate) fn spend() -> Spend {
    Spend { version: 2, inputs: vec![input(7, 0)], outputs: vec![(1, vec![0x51])], lock_time: 0 }
}

/// A coinbase that names height 1, pays 50 bitcoins and commits to nothing.
pub(crate) fn coinbase() -> Spend {
    let mut tx = spend();
    tx.inputs = vec![In { script: vec![0x51, 0x51], ..input(0, u32::MAX) }];
    tx.outputs[0].0 = 5_000_000_000;
    tx
}

pub(crate) fn compact(count: usize) -> Vec<u8> {
    match count {
        0..253 => vec![count as u8],
        253..=0xffff => [&[253][..], &(count as u16).to_le_bytes()].concat(),
        _ => [&[254][..], &(count as u32).to_le_bytes()].concat(),
    }
}

fn var(bytes: &[u8]) -> Vec<u8> {
    [&compact(bytes.len()), bytes].concat()
}

impl Spend {
    pub fn bytes(&self, with_witness: bool) -> Vec<u8> {
        let witness = with_witness && self.inputs.iter().any(|input| !input.witness.is_empty());
        let mut out = self.version.to_le_bytes().to_vec();
        if witness {
            out.extend([0, 1]);
        }
        out.extend(compact(self.inputs.len()));
        for input in &self.inputs {
            out.extend([input.txid; 32]);
            out.extend(input.vout.to_le_bytes());
            out.extend(var(&input.script));
            out.extend(input.sequence.to_le_bytes());
        }
        out.extend(compact(self.outputs.len()));
        for (value, script) in &self.outputs {
            out.extend(value.to_le_bytes());
            out.extend(var(script));
        }
        for input in self.inputs.iter().filter(|_| witness) {
            out.extend(compact(input.witness.len()));
            input.witness.iter().for_each(|item| out.extend(var(item)));
        }
        out.extend(self.lock_time.to_le_bytes());
        out
    }

    pub fn txid(&self) -> [u8; 32] {
        sha256d(&self.bytes(false))
    }
}

/// The coinbase of `txs`, made to commit to their witnesses.
pub(crate) fn committing(mut coinbase: Spend, txs: &[Spend]) -> Spend {
    let leaves: Vec<_> = [[0; 32]].into_iter().chain(txs.iter().map(|tx| sha256d(&tx.bytes(true)))).collect();
    let nonce = [9; 32];
    let commitment = sha256d(&[merkle::root(&leaves).0, nonce].concat());
    coinbase.outputs.push((0, [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], &commitment].concat()));
    coinbase.inputs[0].witness = vec![nonce.to_vec()];
    coinbase
}

pub(crate) fn block_bytes(txs: &[Spend]) -> Vec<u8> {
    let txids: Vec<_> = txs.iter().map(Spend::txid).collect();
    let header = Header {
        version: 4,
        prev: BlockHash([3; 32]),
        merkle_root: merkle::root(&txids).0,
        time: 1_700_000_000,
        bits: 0x207f_ffff,
        nonce: 0,
    };
    let mut out = header.to_bytes().to_vec();
    out.extend(compact(txs.len()));
    txs.iter().for_each(|tx| out.extend(tx.bytes(true)));
    out
}

pub(crate) fn block(txs: &[Spend]) -> Block {
    Block::parse(block_bytes(txs).into()).unwrap()
}
