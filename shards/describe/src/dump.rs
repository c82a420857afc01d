//! Transactions and blocks as text, line by line in the format of the 2014 node's `TX.dump` and `BLOCK.dump`.
//!
//! ```text
//! hash: 0c8c368d…9e5356
//! inputs: 2
//!   0 TXID:N ['0x3045…01', '0x04bb…'] 4294967295         number, coin, script in words, sequence number
//!       witness ['0x3044…01', '0x0279…']                  only where there is one
//! outputs: 2
//!   0 39.52026906 ['OP_DUP', 'OP_HASH160', '0x67a5…2701', 'OP_EQUALVERIFY', 'OP_CHECKSIG']
//! lock_time: 0
//! ```
//!
//! Where 2014 was wrong it differs on purpose: a hash is shown as everywhere else, reversed (there a transaction's was not,
//! and a block's parent came as raw bytes), and a script that cannot be read is shown as hex in outputs too (there it
//! ended the dump).

use crate::amount::btc;
use crate::script::{Word, data_word, line};
use consensus::{Block, BlockHash, Header, TxView, Txid};
use std::fmt::{self, Write};

/// Writes a transaction.
pub fn tx(out: &mut impl Write, tx: &TxView) -> fmt::Result {
    writeln!(out, "hash: {}", tx.tx.txid)?;
    writeln!(out, "inputs: {}", tx.inputs.len())?;
    for (number, input) in tx.inputs.iter().enumerate() {
        let (txid, vout) = tx.prevout(input).split_first_chunk::<32>().expect("36 bytes");
        let vout = u32::from_le_bytes(vout.try_into().expect("four bytes"));
        let script = line(tx.slice(input.script));
        writeln!(out, "{number:3} {}:{vout} {script} {}", Txid(*txid), input.sequence)?;
        let witness: Vec<Word> = tx.witness(input).map(|item| Word::One(data_word(item))).collect();
        if !witness.is_empty() {
            writeln!(out, "      witness {}", Word::List(witness))?;
        }
    }
    writeln!(out, "outputs: {}", tx.outputs.len())?;
    for (number, output) in tx.outputs.iter().enumerate() {
        writeln!(out, "{number:3} {} {}", btc(output.value), line(tx.slice(output.script)))?;
    }
    writeln!(out, "lock_time: {}", tx.tx.lock_time)
}

/// Writes the fields of a header.
pub fn header(out: &mut impl Write, header: &Header) -> fmt::Result {
    let Header { version, prev, merkle_root, time, bits, nonce } = header;
    let root = BlockHash(*merkle_root);
    writeln!(out, "version:{version}\nprev_block:<{prev}>\nmerkle_root:<{root}>")?;
    writeln!(out, "timestamp:{time}\nbits:{bits:08x}\nnonce:{nonce}")
}

/// Writes a block, with all its transactions.
pub fn block(out: &mut impl Write, block: &Block) -> fmt::Result {
    header(out, &block.header)?;
    for (number, one) in block.txs.iter().enumerate() {
        writeln!(out, "tx {number} {{")?;
        tx(out, &block.view(one))?;
        writeln!(out, "}}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, key, push, signature};
    use crate::{Address, hex};

    #[test]
    fn a_block_and_its_transactions() {
        let pays = Address::KeyHash([7; 20]).script();
        let legacy = (1, 5, [push(&signature()), push(&key())].concat(), vec![]);
        let witness = (2, 0, vec![], vec![vec![], key()]);
        let spend = bytes(&[legacy, witness], &[(3_952_026_906, pays), (0, vec![2, 1])]);
        let genesis = consensus::Params::of(consensus::Network::Main).genesis;
        let raw = [&genesis.to_bytes()[..], &[1], &spend].concat();
        let read = Block::parse(raw.into()).unwrap();
        let mut told = String::new();
        block(&mut told, &read).unwrap();
        let (sig, key, ones, twos) = (hex(&signature()), hex(&key()), "01".repeat(32), "02".repeat(32));
        let (hash, seven) = (read.txs[0].txid, "07".repeat(20));
        let wanted = format!(
            "\
version:1
prev_block:<{zeros}>
merkle_root:<4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b>
timestamp:1231006505
bits:1d00ffff
nonce:2083236893
tx 0 {{
hash: {hash}
inputs: 2
  0 {ones}:5 ['0x{sig}', '0x{key}'] 4294967295
  1 {twos}:0 [] 4294967295
      witness ['', '0x{key}']
outputs: 2
  0 39.52026906 ['OP_DUP', 'OP_HASH160', '0x{seven}', 'OP_EQUALVERIFY', 'OP_CHECKSIG']
  1 0.00000000 '0201'
lock_time: 9
}}
",
            zeros = "0".repeat(64)
        );
        assert_eq!(told, wanted);
    }
}
