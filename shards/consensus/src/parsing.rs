//! Decides in which order a block is read: as a whole, or in slices, for who has others to serve meanwhile. What is read is the
//! same; see `block.rs` for transactions, `facts.rs` for the rest.

use crate::block::{Lists, MAX_BLOCK_BYTES, TX_MIN, TX_USUAL_MIN};
use crate::facts::{Facts, Witnesses};
use crate::read::{Malformed, Reader};
use crate::{Block, Header, Txid};
use bytes::Bytes;
use hashes::Batch;

/// A block that is being read.
pub struct Parsing {
    block: Block,
    /// Where the next transaction begins, and how many there are yet.
    at: usize,
    left: usize,
    /// Transactions are read, and this is left.
    witnesses: Option<Witnesses>,
    /// For hashes of either.
    batch: Batch,
}

impl Parsing {
    /// Reads the header, and how many transactions there are.
    pub fn begin(bytes: Bytes) -> Result<Parsing, Malformed> {
        let mut reader = Reader { bytes: &bytes, at: 0 };
        if bytes.len() > MAX_BLOCK_BYTES {
            return reader.fail("block larger than any may be");
        }
        let header = Header::parse(reader.take(Header::LEN)?.try_into().expect("80 bytes"));
        let left = reader.count(TX_MIN)? as usize;
        let (at, expected, mut batch) = (reader.at, left.min(bytes.len() / TX_USUAL_MIN), Batch::default());
        batch.reserve(bytes.len());
        let block = Block {
            bytes,
            header,
            hash: header.hash(),
            txs: Vec::with_capacity(expected),
            inputs: Vec::with_capacity(2 * expected),
            outputs: Vec::with_capacity(2 * expected),
            facts: Facts::default(),
        };
        Ok(Parsing { block, at, left, witnesses: None, batch })
    }

    /// Reads on, about as far as so many bytes; whether all is read. MUST NOT be called again then.
    pub fn go_on(&mut self, slice: usize) -> Result<bool, Malformed> {
        match &mut self.witnesses {
            Some(witnesses) => return Ok(witnesses.go_on(&mut self.block, &mut self.batch, slice)),
            None => self.read_txs(slice)?,
        }
        if self.left > 0 {
            return Ok(false);
        }
        let (facts, witnesses) = Facts::of(&self.block);
        self.block.facts = facts;
        let done = witnesses.is_none();
        self.witnesses = witnesses;
        Ok(done)
    }

    fn read_txs(&mut self, slice: usize) -> Result<(), Malformed> {
        let block = &mut self.block;
        let mut lists = Lists {
            txs: std::mem::take(&mut block.txs),
            inputs: std::mem::take(&mut block.inputs),
            outputs: std::mem::take(&mut block.outputs),
        };
        let mut reader = Reader { bytes: &block.bytes, at: self.at };
        let end = self.at.saturating_add(slice);
        let first = lists.txs.len();
        while self.left > 0 && reader.at < end {
            self.batch.push(&lists.read_tx(&mut reader)?);
            self.left -= 1;
        }
        for (tx, hash) in lists.txs[first..].iter_mut().zip(self.batch.hashes()) {
            tx.txid = Txid(hash);
        }
        self.at = reader.at;
        if self.left == 0 && reader.left() != 0 {
            return reader.fail("bytes after the last transaction");
        }
        (block.txs, block.inputs, block.outputs) = (lists.txs, lists.inputs, lists.outputs);
        Ok(())
    }

    /// The block, once all is read.
    pub fn block(self) -> Block {
        assert!(self.left == 0, "the block is read to its end");
        self.block
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Commitment;
    use crate::testing::{In, Spend, block_bytes, coinbase, committing, input, spend};

    fn sliced(bytes: &[u8], slice: usize) -> (Result<Block, Malformed>, usize) {
        let (mut parsing, mut steps) = match Parsing::begin(bytes.to_vec().into()) {
            Ok(parsing) => (parsing, 0),
            Err(why) => return (Err(why), 0),
        };
        loop {
            steps += 1;
            match parsing.go_on(slice) {
                Ok(true) => return (Ok(parsing.block()), steps),
                Ok(false) => {}
                Err(why) => return (Err(why), steps),
            }
        }
    }

    #[test]
    fn a_block_in_slices_is_the_block() {
        let spend = |n: u8| {
            // One in three has no witness.
            let witness = if n.is_multiple_of(3) { vec![] } else { vec![vec![n; 20]] };
            Spend { inputs: vec![In { witness, ..input(n, 0) }], ..spend() }
        };
        let spends: Vec<_> = (1..=40).map(spend).collect();
        let committed = committing(coinbase(), &spends);
        let mut other = committed.clone();
        other.outputs.last_mut().unwrap().1[10] ^= 1;
        let mut seen = Vec::new();
        for first in [coinbase(), committed, other] {
            let block = block_bytes(&[&[first], &spends[..]].concat());
            let whole = Block::parse(block.clone().into()).unwrap();
            seen.push(whole.facts.commitment);
            for slice in [1, 100, 1_000, usize::MAX] {
                let (read, steps) = sliced(&block, slice);
                let read = read.unwrap();
                assert_eq!((&read.facts, &read.txs), (&whole.facts, &whole.txs), "{slice}");
                assert_eq!((&read.inputs, &read.outputs), (&whole.inputs, &whole.outputs));
                assert_eq!((steps > 40, steps <= 2), (slice == 1, slice == usize::MAX), "{steps} steps of {slice}");
            }
            // Whatever is cut off, the same is said of what is left.
            for end in (0..block.len()).step_by(7) {
                let whole = Block::parse(block[..end].to_vec().into()).unwrap_err();
                assert_eq!(sliced(&block[..end], 64).0.unwrap_err(), whole);
            }
            let longer = [&block[..], &[0]].concat();
            assert_eq!(sliced(&longer, 64).0.unwrap_err(), Block::parse(longer.into()).unwrap_err());
        }
        assert_eq!(seen, [Commitment::Absent, Commitment::Match, Commitment::Mismatch]);
    }
}
