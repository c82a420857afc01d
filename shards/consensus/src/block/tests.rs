//! Decides whether blocks are read as Core's deserialiser reads them.

use super::*;
use crate::sha256d;
use crate::testing::{block, block_bytes, coinbase, input, spend};

/// What is wrong with a block whose one transaction is these bytes.
fn wrong(tx: &[u8]) -> &'static str {
    let bytes = [&[0; 80][..], &[1], tx].concat();
    Block::parse(bytes.into()).unwrap_err().what
}

#[test]
fn offsets_point_at_what_was_written() {
    let mut tx = spend();
    tx.lock_time = 77;
    tx.inputs.push(input(8, 5));
    tx.inputs[0].script = vec![0xac, 1, 2];
    tx.inputs[1].sequence = 6;
    tx.inputs[1].witness = vec![vec![], vec![1; 300]];
    tx.outputs.push((u64::MAX, vec![0xae]));
    let block = block(&[coinbase(), tx.clone()]);
    assert_eq!((block.txs.len(), block.inputs.len(), block.outputs.len()), (2, 3, 3));
    let read = block.txs[1];
    assert_eq!((read.version, read.lock_time, read.has_witness, read.sigops), (2, 77, true, 21));
    assert_eq!((read.txid.0, block.wtxid(&read)), (tx.txid(), sha256d(&tx.bytes(true))));
    assert_ne!(read.txid.0, block.wtxid(&read));
    assert_eq!(read.stripped_len as usize, tx.bytes(false).len());
    assert_eq!(block.script((read.start, read.end)), tx.bytes(true));
    let [first, second] = block.inputs_of(&read) else { panic!() };
    assert_eq!(block.outpoint(second), OutPoint { txid: Txid([8; 32]), vout: 5 });
    assert_eq!((block.script(first.script), second.sequence), (&[0xac, 1, 2][..], 6));
    assert_eq!(block.witness(first).count(), 0);
    assert!(block.witness(second).eq([&[][..], &[1; 300]]));
    let [_, output] = block.outputs_of(&read) else { panic!() };
    assert_eq!((output.value, block.script(output.script)), (u64::MAX, &[0xae][..]));
    assert!(block.is_coinbase(&block.txs[0]) && !block.is_coinbase(&read));
    assert_eq!((block.txs[0].has_witness, block.witness(&block.inputs[0]).count()), (false, 0));

    let stripped: usize = 81 + coinbase().bytes(false).len() + tx.bytes(false).len();
    assert_eq!(block.facts.stripped_size, stripped as u64);
    assert_eq!(block.facts.weight, (3 * stripped + block.bytes.len()) as u64);
    assert_eq!((block.facts.legacy_sigops, block.facts.has_witness), (21, true));
    assert_eq!(block.facts.coinbase_value, 5_000_000_000);
}

#[test]
fn every_cut_and_every_addition_is_malformed() {
    let mut tx = spend();
    tx.inputs[0].witness = vec![vec![1]];
    let bytes = block_bytes(&[coinbase(), tx]);
    for end in 0..bytes.len() {
        let cut = Block::parse(bytes[..end].to_vec().into()).unwrap_err();
        assert!(cut.at <= end, "{cut}");
    }
    let more = Block::parse([&bytes[..], &[0]].concat().into()).unwrap_err();
    assert_eq!(more, Malformed { at: bytes.len(), what: "bytes after the last transaction" });
    let huge = Block::parse(vec![0; 4_000_001].into()).unwrap_err();
    assert_eq!(huge.what, "block larger than any may be");
}

/// Any byte may be anything: reading ends, one way or the other.
#[test]
fn no_byte_makes_it_panic() {
    let mut tx = spend();
    tx.inputs[0].witness = vec![vec![1]];
    let bytes = block_bytes(&[coinbase(), tx]);
    for at in 80..bytes.len() {
        for value in 0..=255 {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            if let Ok(block) = Block::parse(bytes.into()) {
                let _ = crate::check_block(&block);
            }
        }
    }
}

#[test]
fn the_forms_that_core_refuses() {
    let version = [2, 0, 0, 0];
    let plain = spend().bytes(false);
    let body = &plain[4..plain.len() - 4];
    let tx = |parts: &[&[u8]]| [&[&version[..]], parts, &[&[0; 4]]].concat().concat();
    assert_eq!(wrong(&tx(&[&[0, 1], body, &[0]])), "superfluous witness record");
    assert_eq!(wrong(&tx(&[&[0, 1, 0, 0]])), "superfluous witness record");
    assert_eq!(wrong(&tx(&[&[0, 2], body])), "unknown transaction optional data");
    assert_eq!(wrong(&tx(&[&[0, 3], body, &[1, 0]])), "unknown transaction optional data");
    assert_eq!(wrong(&tx(&[&[253, 1, 0], &body[1..]])), "non-canonical CompactSize");
    assert_eq!(wrong(&tx(&[&[254, 255, 255, 255, 255], &body[1..]])), "count larger than the bytes left");
}

/// A transaction of neither inputs nor outputs can be read; that it is invalid is a rule's to say.
/// So can a block of no transactions.
#[test]
fn emptiness_can_be_read() {
    let block = Block::parse([&[0; 80][..], &[1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat().into()).unwrap();
    let tx = block.txs[0];
    assert_eq!((tx.inputs, tx.outputs, tx.has_witness, tx.stripped_len), ((0, 0), (0, 0), false, 10));
    assert_eq!(tx.txid.0, sha256d(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    let empty = Block::parse(vec![0; 81].into()).unwrap();
    assert_eq!((empty.txs.len(), empty.facts.merkle_root), (0, [0; 32]));
}
