//! Decides what a block's bytes say: one pass, flat lists of offsets into the bytes, nothing
//! copied, no allocation per transaction. Never knows whether the block is any good; see `Facts`
//! for what is computed on the way.
//!
//! ```text
//! |header, 80|count| tx | tx | ..      tx: |version, 4|00 01|count|inputs|count|outputs|witnesses|lock time, 4|
//!                                                      `- only with witnesses -----------´
//! ```

use crate::{
    BlockHash, Facts, Header, Parsing, Txid,
    read::{Malformed, Reader},
    script,
};
use bytes::Bytes;
use std::fmt;

/// No block with more bytes can be valid, since each weighs at least one. Core
/// `MAX_BLOCK_SERIALIZED_SIZE`.
pub(crate) const MAX_BLOCK_BYTES: usize = 4_000_000;

/// The smallest transaction that can be read: version, no inputs, no outputs, lock time.
pub(crate) const TX_MIN: usize = 10;
/// The smallest that can be valid; only sizes a first allocation.
pub(crate) const TX_USUAL_MIN: usize = 60;
const INPUT_MIN: usize = 41;
const OUTPUT_MIN: usize = 9;

/// A block, read. Ranges are byte offsets `(start, end)` into `bytes` unless said otherwise.
pub struct Block {
    /// The block as it came.
    pub bytes: Bytes,
    /// Its first 80 bytes.
    pub header: Header,
    /// Their hash.
    pub hash: BlockHash,
    /// In the order of the block.
    pub txs: Vec<Tx>,
    /// Of all transactions, one after the other.
    pub inputs: Vec<Input>,
    /// Of all transactions, one after the other.
    pub outputs: Vec<Output>,
    /// What the later checks need to know of all of them.
    pub facts: Facts,
}

/// A transaction of a [`Block`].
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Tx {
    /// Its first byte.
    pub start: u32,
    /// The byte after its last.
    pub end: u32,
    /// Hash of its bytes without witnesses.
    pub txid: Txid,
    /// Index range into [`Block::inputs`].
    pub inputs: (u32, u32),
    /// Index range into [`Block::outputs`].
    pub outputs: (u32, u32),
    /// Unsigned, as in Core since 28: BIP68 binds from 2 on.
    pub version: u32,
    /// A height below 500,000,000, seconds since 1970 from there on.
    pub lock_time: u32,
    /// Whether it comes with at least one witness item.
    pub has_witness: bool,
    /// Its length without witnesses, bytes.
    pub stripped_len: u32,
    /// Legacy signature checks in its input and output scripts, not yet times four.
    pub sigops: u32,
}

/// An input of a [`Tx`].
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// Offset of the 36 bytes that name the coin.
    pub prevout: u32,
    /// Its script.
    pub script: (u32, u32),
    /// Its sequence number.
    pub sequence: u32,
    /// Its whole witness stack with the count of items; an empty range in a transaction without
    /// witnesses.
    pub witness: (u32, u32),
}

/// An output of a [`Tx`].
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// Satoshis as in the bytes: not in range before [`crate::check_block`] said so.
    pub value: u64,
    /// Its script.
    pub script: (u32, u32),
}

/// The name of a coin.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OutPoint {
    /// The transaction that made it.
    pub txid: Txid,
    /// Which of its outputs it was.
    pub vout: u32,
}

impl Block {
    /// Reads a whole block as Core's deserialiser does: canonical counts, witnesses only where
    /// there is one, nothing after the last transaction.
    pub fn parse(bytes: Bytes) -> Result<Block, Malformed> {
        let mut parsing = Parsing::begin(bytes)?;
        while !parsing.go_on(usize::MAX)? {}
        Ok(parsing.block())
    }

    /// The bytes of a range.
    pub fn script(&self, (start, end): (u32, u32)) -> &[u8] {
        &self.bytes[start as usize..end as usize]
    }

    /// The inputs of a transaction of this block.
    pub fn inputs_of(&self, tx: &Tx) -> &[Input] {
        &self.inputs[tx.inputs.0 as usize..tx.inputs.1 as usize]
    }

    /// The outputs of a transaction of this block.
    pub fn outputs_of(&self, tx: &Tx) -> &[Output] {
        &self.outputs[tx.outputs.0 as usize..tx.outputs.1 as usize]
    }

    /// The 36 bytes that name the coin an input spends.
    pub fn prevout(&self, input: &Input) -> &[u8; 36] {
        self.script((input.prevout, input.prevout + 36)).try_into().expect("36 bytes")
    }

    /// The coin an input spends.
    pub fn outpoint(&self, input: &Input) -> OutPoint {
        self.outpoint_at(input.prevout)
    }

    /// The coin that the 36 bytes at this offset name, see [`Input::prevout`].
    #[inline]
    pub fn outpoint_at(&self, prevout: u32) -> OutPoint {
        let (txid, vout) = self.script((prevout, prevout + 36)).split_first_chunk().expect("36 > 32");
        OutPoint { txid: Txid(*txid), vout: u32::from_le_bytes(vout.try_into().expect("4 bytes")) }
    }

    /// The items of an input's witness.
    pub fn witness(&self, input: &Input) -> Witness<'_> {
        Witness::read(self.script(input.witness))
    }

    /// One input, and that one names no coin. Core `CTransaction::IsCoinBase`.
    pub fn is_coinbase(&self, tx: &Tx) -> bool {
        matches!(self.inputs_of(tx), [only] if self.names_no_coin(only))
    }

    /// Whether an input's coin is the null one: a txid of zeros and the highest index.
    pub fn names_no_coin(&self, input: &Input) -> bool {
        *self.prevout(input) == NULL_PREVOUT
    }

    /// The hash of a transaction with its witness.
    pub fn wtxid(&self, tx: &Tx) -> [u8; 32] {
        self.view(tx).wtxid()
    }
}

pub(crate) const NULL_PREVOUT: [u8; 36] = {
    let mut bytes = [0; 36];
    (bytes[32], bytes[33], bytes[34], bytes[35]) = (0xff, 0xff, 0xff, 0xff);
    bytes
};

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({}, {} bytes)", self.hash, self.bytes.len())
    }
}

/// The items of a witness, first to last.
#[derive(Clone)]
pub struct Witness<'a> {
    reader: Reader<'a>,
    left: u32,
}

impl<'a> Witness<'a> {
    /// The items in `bytes`, their count first; none in no bytes.
    pub(crate) fn read(bytes: &'a [u8]) -> Witness<'a> {
        let mut reader = Reader { bytes, at: 0 };
        let left = reader.count(1).unwrap_or(0);
        Witness { reader, left }
    }

    /// Bytes of a whole witness, its count included; an absent one would be the count zero.
    pub(crate) fn size(&self) -> usize {
        self.reader.bytes.len().max(1)
    }
}

impl<'a> Iterator for Witness<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let (start, end) = self.reader.skip_bytes().ok()?;
        Some(&self.reader.bytes[start as usize..end as usize])
    }
}

#[derive(Default)]
pub(crate) struct Lists {
    pub txs: Vec<Tx>,
    pub inputs: Vec<Input>,
    pub outputs: Vec<Output>,
}

impl Lists {
    /// Core `UnserializeTransaction`. No inputs where inputs are due means the extended form: a
    /// flag, then the inputs. A flag of zero is the count of outputs of a transaction with neither. Gives what is hashed for the
    /// txid, which is still missing: version, inputs and outputs, lock time.
    pub fn read_tx<'a>(&mut self, reader: &mut Reader<'a>) -> Result<[&'a [u8]; 3], Malformed> {
        let (start, bytes) = (reader.at, reader.bytes);
        let (first_input, first_output) = (self.inputs.len() as u32, self.outputs.len() as u32);
        let version = reader.u32()?;
        let mut sigops = 0;
        let (mut body, mut flag) = (reader.at, 0);
        let inputs = reader.count(INPUT_MIN)?;
        if inputs > 0 {
            sigops += self.read_inputs(reader, inputs)? + self.read_outputs(reader)?;
        } else {
            flag = reader.u8()?;
            if flag != 0 {
                body = reader.at;
                let inputs = reader.count(INPUT_MIN)?;
                sigops += self.read_inputs(reader, inputs)? + self.read_outputs(reader)?;
            }
        }
        let body_end = reader.at;
        if flag & 1 != 0 && !self.read_witnesses(reader, first_input as usize)? {
            return reader.fail("superfluous witness record");
        }
        if flag > 1 {
            return reader.fail("unknown transaction optional data");
        }
        let lock_time = reader.u32()?;
        self.txs.push(Tx {
            start: start as u32,
            end: reader.at as u32,
            txid: Txid([0; 32]),
            inputs: (first_input, self.inputs.len() as u32),
            outputs: (first_output, self.outputs.len() as u32),
            version,
            lock_time,
            has_witness: flag != 0,
            stripped_len: (4 + (body_end - body) + 4) as u32,
            sigops,
        });
        Ok([&bytes[start..start + 4], &bytes[body..body_end], &bytes[reader.at - 4..reader.at]])
    }

    /// Gives the signature checks in the scripts it read. Counts cannot overflow: a byte counts for
    /// at most twenty.
    fn read_inputs(&mut self, reader: &mut Reader, count: u32) -> Result<u32, Malformed> {
        let mut sigops = 0;
        for _ in 0..count {
            let prevout = reader.at as u32;
            reader.take(36)?;
            let script = reader.skip_bytes()?;
            sigops += script::sigops(&reader.bytes[script.0 as usize..script.1 as usize], false);
            let sequence = reader.u32()?;
            self.inputs.push(Input { prevout, script, sequence, witness: (0, 0) });
        }
        Ok(sigops)
    }

    fn read_outputs(&mut self, reader: &mut Reader) -> Result<u32, Malformed> {
        let mut sigops = 0;
        for _ in 0..reader.count(OUTPUT_MIN)? {
            let value = reader.u64()?;
            let script = reader.skip_bytes()?;
            sigops += script::sigops(&reader.bytes[script.0 as usize..script.1 as usize], false);
            self.outputs.push(Output { value, script });
        }
        Ok(sigops)
    }

    /// Gives whether there was any item at all.
    fn read_witnesses(&mut self, reader: &mut Reader, first_input: usize) -> Result<bool, Malformed> {
        let mut any = false;
        for input in &mut self.inputs[first_input..] {
            let start = reader.at as u32;
            let items = reader.count(1)?;
            for _ in 0..items {
                reader.skip_bytes()?;
            }
            any |= items > 0;
            input.witness = (start, reader.at as u32);
        }
        Ok(any)
    }
}

#[cfg(test)]
mod tests;
