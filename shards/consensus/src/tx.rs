//! Decides how one transaction is looked at, whether it lies in a block or alone: the pieces that
//! are hashed, as slices of the bytes they came in. Never knows whether any of it is valid.

use crate::{
    Block, Input, Malformed, Output, Tx, Txid, Witness,
    block::{Lists, NULL_PREVOUT},
    hash::sha256d_parts,
    read::Reader,
};
use bytes::Bytes;

/// A transaction and the bytes that its offsets point into.
#[derive(Copy, Clone, Debug)]
pub struct TxView<'a> {
    bytes: &'a [u8],
    /// What was read of it.
    pub tx: &'a Tx,
    /// Its inputs.
    pub inputs: &'a [Input],
    /// Its outputs.
    pub outputs: &'a [Output],
}

impl<'a> TxView<'a> {
    /// The bytes of a range.
    pub fn slice(&self, (start, end): (u32, u32)) -> &'a [u8] {
        &self.bytes[start as usize..end as usize]
    }

    /// The whole transaction, with its witnesses.
    pub fn whole(&self) -> &'a [u8] {
        self.slice((self.tx.start, self.tx.end))
    }

    /// The hash of all its bytes, witnesses too (BIP141).
    pub fn wtxid(&self) -> [u8; 32] {
        if self.tx.has_witness { crate::hash::sha256d(self.whole()) } else { self.tx.txid.0 }
    }

    /// The 36 bytes that name the coin an input spends.
    pub fn prevout(&self, input: &Input) -> &'a [u8; 36] {
        self.slice((input.prevout, input.prevout + 36)).try_into().expect("36 bytes")
    }

    /// The items of an input's witness.
    pub fn witness(&self, input: &Input) -> Witness<'a> {
        Witness::read(self.slice(input.witness))
    }

    /// An output as it is written: value, length, script.
    pub fn output(&self, output: &Output) -> &'a [u8] {
        self.slice((output_start(output), output.script.1))
    }

    /// All outputs, end to end.
    pub fn all_outputs(&self) -> &'a [u8] {
        match self.outputs {
            [] => &[],
            [first, .., last] | [first @ last] => self.slice((output_start(first), last.script.1)),
        }
    }
}

/// Where an output begins: counts are read in their shortest form only, so its length is known.
fn output_start(output: &Output) -> u32 {
    let count_len = match output.script.1 - output.script.0 {
        0..253 => 1,
        253..=0xffff => 3,
        _ => 5,
    };
    output.script.0 - count_len - 8
}

impl Block {
    /// One of its transactions.
    pub fn view<'a>(&'a self, tx: &'a Tx) -> TxView<'a> {
        TxView { bytes: &self.bytes, tx, inputs: self.inputs_of(tx), outputs: self.outputs_of(tx) }
    }
}

/// A transaction that lies in no block.
#[derive(Clone, Debug)]
pub struct LoneTx {
    bytes: Bytes,
    tx: Tx,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
}

impl LoneTx {
    /// Reads a transaction as Core's deserialiser does; nothing may follow it.
    pub fn parse(bytes: Bytes) -> Result<LoneTx, Malformed> {
        let mut reader = Reader { bytes: &bytes, at: 0 };
        let mut lists = Lists::default();
        let hashed = lists.read_tx(&mut reader)?;
        if reader.left() != 0 {
            return reader.fail("bytes after the transaction");
        }
        let Lists { txs, inputs, outputs } = lists;
        let tx = Tx { txid: Txid(sha256d_parts(&hashed)), ..txs[0] };
        Ok(LoneTx { tx, inputs, outputs, bytes })
    }

    /// The transaction.
    pub fn view(&self) -> TxView<'_> {
        TxView { bytes: &self.bytes, tx: &self.tx, inputs: &self.inputs, outputs: &self.outputs }
    }

    /// One input, and that one names no coin. Core `CTransaction::IsCoinBase`.
    pub fn is_coinbase(&self) -> bool {
        matches!(&self.inputs[..], [only] if *self.view().prevout(only) == NULL_PREVOUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{block, coinbase, input, spend};

    #[test]
    fn the_pieces_are_the_bytes_they_came_in() {
        let mut tx = spend();
        tx.inputs.push(input(9, 3));
        tx.inputs[0].witness = vec![vec![], vec![5; 300]];
        tx.outputs = vec![(1, vec![0x51; 252]), (2, vec![0x52; 253]), (3, vec![])];
        let lone = LoneTx::parse(tx.bytes(true).into()).unwrap();
        let block = block(&[coinbase(), tx.clone()]);
        for view in [lone.view(), block.view(&block.txs[1])] {
            assert_eq!(view.whole(), tx.bytes(true));
            assert_eq!(view.wtxid(), crate::hash::sha256d(&tx.bytes(true)));
            assert_eq!(view.prevout(&view.inputs[1])[..], [&[9; 32][..], &[3, 0, 0, 0]].concat());
            assert_eq!(view.witness(&view.inputs[0]).collect::<Vec<_>>(), [&[][..], &[5; 300]]);
            assert_eq!(view.witness(&view.inputs[1]).count(), 0);
            let written = tx.bytes(false);
            let outputs = &written[written.len() - 4 - (8 + 1 + 252 + 8 + 3 + 253 + 8 + 1)..written.len() - 4];
            assert_eq!(view.all_outputs(), outputs);
            let parts: Vec<_> = view.outputs.iter().map(|output| view.output(output)).collect();
            assert_eq!(parts.concat(), outputs);
        }
        assert!(!lone.is_coinbase() && LoneTx::parse(coinbase().bytes(true).into()).unwrap().is_coinbase());
        let long = [tx.bytes(true), vec![0]].concat();
        assert_eq!(LoneTx::parse(long.into()).unwrap_err().what, "bytes after the transaction");
        tx.outputs.clear();
        assert_eq!(LoneTx::parse(tx.bytes(false).into()).unwrap().view().all_outputs(), [0u8; 0]);
    }
}
