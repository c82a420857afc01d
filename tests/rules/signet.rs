//! Solutions of signet blocks (BIP325), on signets with challenges of their own.
//!
//! A block takes five million hashes; nonces that were found once are kept below target/tmp.

use crate::{Found, ended};
use caesure_bench::block::{Block, Header, merkle_root};
use caesure_bench::keys::push;
use caesure_bench::sighash::{ALL, legacy};
use caesure_bench::sign::{ecdsa, scalar};
use caesure_bench::tx::{OutPoint, Tx, TxIn, TxOut};
use caesure_tests::Line;
use caesure_tests::binary::scratch;
use caesure_tests::data::hex;
use caesure_tests::pair::{Pair, Start};
use consensus::{Params, Rule};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

const RULES: &[Rule] = &[Rule::BadSignetBlksig];
/// What a push in the commitment begins with if it is the solution.
const MARK: [u8; 4] = [0xec, 0xc7, 0xda, 0xa2];
/// The time of signet's genesis block; blocks of the past are never too new.
const SPACING: u32 = 600;

pub fn compare() -> Found {
    let (mut rows, mut wrong) = open();
    let (more, bad) = signed();
    rows.extend(more);
    wrong.extend(bad);
    (rows, wrong)
}

fn pair(name: &str, challenge: &[u8]) -> Pair {
    let params = Params::signet_of(challenge.to_vec().leak());
    let genesis = (params.genesis_hash, params.genesis_block());
    let line = Line { magic: params.magic, blocks: vec![genesis] };
    let (core, ours) =
        (format!("-signetchallenge={}", hex(challenge)), format!("--signet-challenge {}", hex(challenge)));
    Pair::start(&Start { name, core: &[&core], ours: &[&ours], params }, line)
}

/// Mines a block whose transactions are as they shall be.
fn mined(mut block: Block) -> Block {
    block.root();
    let mut key = block.header;
    key.nonce = 0;
    let path = scratch().join(format!("nonce-{}", hex(&key.hash()[..12])));
    let kept = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
    block.header.nonce = kept.unwrap_or(0);
    if !block.header.meets_target() {
        block.header.nonce = nonce(key);
        std::fs::write(path, block.header.nonce.to_string()).expect("target can be written");
    }
    assert!(block.header.meets_target());
    block
}

/// Half of them each on two threads.
fn nonce(header: Header) -> u32 {
    let (found, nonce) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for first in 0..2 {
            let (found, nonce) = (&found, &nonce);
            scope.spawn(move || {
                let mut header = Header { nonce: first, ..header };
                while !found.load(Relaxed) {
                    // Its target has four zero bytes at least; the rest is looked at only then.
                    if header.hash().ends_with(&[0, 0]) && header.meets_target() {
                        nonce.store(header.nonce, Relaxed);
                        found.store(true, Relaxed);
                    }
                    header.nonce += 2;
                }
            });
        }
    });
    nonce.into_inner()
}

/// The next block, not yet solved.
fn unsolved(pair: &Pair) -> Block {
    let mut block = pair.next(vec![]);
    block.header.time = pair.line.header(pair.line.height() as usize).time + SPACING;
    block.commit();
    block
}

/// OP_TRUE: no solution is a solution.
fn open() -> Found {
    let mut pair = pair("signet of a challenge that is true", &[0x51]);
    let mut bare = unsolved(&pair);
    bare.txs[0].outputs.pop();
    bare.txs[0].inputs[0].witness.clear();
    pair.broken(RULES, "no commitment for a challenge that is true", &mined(bare));
    let block = mined(unsolved(&pair));
    pair.kept(RULES[0], "no solution for a challenge that is true", &block);
    ended(pair)
}

fn key_script() -> Vec<u8> {
    let mut challenge = Vec::new();
    push(&mut challenge, &scalar(b"signet", 0).public_key().serialize());
    challenge.push(0xac);
    challenge
}

/// The input script that solves a block whose commitment has an empty solution.
fn signature(block: &Block, challenge: &[u8]) -> Vec<u8> {
    let mut unsigned = block.clone();
    // A solution of nothing is signed: the mark stays.
    push(&mut unsigned.txs[0].outputs[1].script, &MARK);
    let root = merkle_root(unsigned.txs.iter().map(Tx::txid).collect());
    let header = block.header;
    let data = [&header.version.to_le_bytes()[..], &header.prev, &root, &header.time.to_le_bytes()].concat();
    let mut script_sig = vec![0];
    push(&mut script_sig, &data);
    let input = TxIn { prev: OutPoint::NULL, script_sig, sequence: 0, witness: vec![] };
    let output = TxOut { value: 0, script: challenge.to_vec() };
    let to_spend = Tx { version: 0, inputs: vec![input], outputs: vec![output], lock_time: 0 };
    let prev = OutPoint { txid: to_spend.txid(), vout: 0 };
    let input = TxIn { prev, script_sig: vec![], sequence: 0, witness: vec![] };
    let to_sign =
        Tx { version: 0, inputs: vec![input], outputs: vec![TxOut { value: 0, script: vec![0x6a] }], lock_time: 0 };
    let digest = legacy(&to_sign, 0, challenge, ALL.into());
    let mut script = Vec::new();
    push(&mut script, &[&ecdsa(scalar(b"signet", 0), &digest)[..], &[ALL]].concat());
    script
}

/// The block with a solution: an input script, then as it comes.
fn solved(mut block: Block, script: &[u8], rest: &[u8]) -> Block {
    let solution = [&MARK[..], &[script.len() as u8], script, rest].concat();
    push(&mut block.txs[0].outputs[1].script, &solution);
    block
}

fn signed() -> Found {
    let challenge = key_script();
    let mut pair = pair("signet of a key", &challenge);
    let block = unsolved(&pair);
    let right = signature(&block, &challenge);
    let mut wrong = right.clone();
    wrong[40] ^= 1;
    let mut other = block.clone();
    other.txs[0].outputs[0].value -= 1;
    let cases = [
        ("no solution", block.clone()),
        ("a signature with a bit changed", solved(block.clone(), &wrong, &[0])),
        ("a byte behind the solution", solved(block.clone(), &right, &[0, 0])),
        ("no witness in the solution", solved(block.clone(), &right, &[])),
        ("a signature for another coinbase", solved(other, &right, &[0])),
        ("a later time than was signed", {
            let mut block = solved(block.clone(), &right, &[0]);
            block.header.time += 1;
            block
        }),
    ];
    for (what, block) in cases {
        pair.broken(RULES, what, &mined(block));
    }
    pair.kept(RULES[0], "solved", &mined(solved(block, &right, &[0])));
    ended(pair)
}
