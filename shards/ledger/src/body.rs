//! A block on its way into the ledger: the parsed bytes and, for each partition of the coins, the
//! operations that fall to it, in transaction order. Made once, on the core that parses the block.

use crate::base::{GROUP, Seed, prefetch};
use crate::coins::{PARTITIONS, partition_of};
use consensus::{Block, OutPoint, is_unspendable};
use std::ops::Range;

/// What a block does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// Input with this index in `block.inputs` takes a coin.
    Take(u32),
    /// Transaction with this index in `block.txs` makes coins: a group of its outputs, the first of which has this index in
    /// `block.outputs`.
    Make(u32, u32),
}

/// One operation of a block on a coin, or on a group that one transaction makes. Its hash comes first: it is computed while
/// the names of coins pass by in order, and whoever looks coins up asks for memory before it sees a name.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Op {
    /// Hash of the group of coins; says the partition.
    pub hash: u64,
    /// Transaction and [`MAKE`], or offset of the 36 bytes that name the coin.
    from: u32,
    /// First output, or input.
    index: u32,
}

const MAKE: u32 = 1 << 31;

impl Op {
    /// Its partition.
    #[inline]
    pub fn partition(&self) -> usize {
        crate::base::partition_of(self.hash)
    }

    /// What it does.
    #[inline]
    pub fn deed(&self) -> Deed {
        if self.from & MAKE != 0 { Deed::Make(self.from & !MAKE, self.index) } else { Deed::Take(self.index) }
    }

    /// Asks for what [`Op::outpoint`] reads, and for the outputs.
    #[inline]
    pub fn prefetch(&self, block: &Block) {
        match self.deed() {
            Deed::Take(_) => {
                prefetch(&block.bytes[self.from as usize]);
                prefetch(&block.bytes[self.from as usize + 35]);
            }
            Deed::Make(tx, output) => {
                // Neither begins with a cache line, and most transactions make more than one coin.
                block.txs[tx as usize..].iter().take(2).for_each(prefetch);
                block.outputs[output as usize..].iter().step_by(3).take(2).for_each(prefetch);
            }
        }
    }

    /// Asks for the script of an output, and what follows it.
    #[inline]
    pub fn prefetch_script(block: &Block, output: u32) {
        let (start, _) = block.outputs[output as usize].script;
        block.bytes[start as usize..].iter().step_by(64).take(2).for_each(prefetch);
    }

    /// The outputs of a group that begins with that one.
    #[inline]
    pub fn outputs(block: &Block, tx: u32, first: u32) -> Range<u32> {
        first..block.txs[tx as usize].outputs.1.min(first + GROUP)
    }

    /// The name of the coin, or of the first of the group.
    #[inline]
    pub fn outpoint(&self, block: &Block) -> OutPoint {
        match self.deed() {
            Deed::Take(_) => block.outpoint_at(self.from),
            Deed::Make(tx, output) => {
                let tx = &block.txs[tx as usize];
                OutPoint { txid: tx.txid, vout: output - tx.outputs.0 }
            }
        }
    }
}

/// A parsed block with its operations sorted by partition.
#[derive(Debug)]
pub struct Body {
    /// The block.
    pub block: Block,
    seed: Seed,
    ops: Vec<Op>,
    starts: Box<[u32; PARTITIONS + 1]>,
}

impl Body {
    /// Sorts the operations of `block` by partition; within a partition they stay in transaction
    /// order, takes of a transaction before its makes (a take before its make is missing). The seed is that of the worlds
    /// that will grow by it.
    pub fn new(block: Block, seed: Seed) -> Body {
        let mut all = Vec::with_capacity(block.inputs.len() + block.txs.len());
        let mut starts = Box::new([0u32; PARTITIONS + 1]);
        for (index, tx) in (0..).zip(&block.txs) {
            // A coinbase takes nothing.
            for input in if index == 0 { 0..0 } else { tx.inputs.0..tx.inputs.1 } {
                let input = (&block.inputs[input as usize], input);
                let outpoint = block.outpoint(input.0);
                starts[partition_of(&outpoint.txid) + 1] += 1;
                all.push(Op { hash: seed.group(&outpoint), from: input.0.prevout, index: input.1 });
            }
            for first in (tx.outputs.0..tx.outputs.1).step_by(GROUP as usize) {
                let spendable = |output| !is_unspendable(block.script(block.outputs[output as usize].script));
                if Op::outputs(&block, index, first).any(spendable) {
                    starts[partition_of(&tx.txid) + 1] += 1;
                    let outpoint = OutPoint { txid: tx.txid, vout: first - tx.outputs.0 };
                    all.push(Op { hash: seed.group(&outpoint), from: index | MAKE, index: first });
                }
            }
        }
        for p in 0..PARTITIONS {
            starts[p + 1] += starts[p];
        }
        let (mut next, mut ops) = (*starts, vec![Op::default(); all.len()]);
        for op in all {
            let next = &mut next[op.partition()];
            ops[*next as usize] = op;
            *next += 1;
        }
        Body { block, seed, ops, starts }
    }

    /// The operations of these partitions, in order, by the partition.
    pub(crate) fn ops(&self, partitions: Range<usize>, seed: &Seed) -> &[Op] {
        assert!(self.seed == *seed, "a block is prepared with the seed of the worlds that grow by it");
        &self.ops[self.starts[partitions.start] as usize..self.starts[partitions.end] as usize]
    }

    /// Bytes of the block as it lies on the wire.
    pub fn len(&self) -> usize {
        self.block.bytes.len()
    }

    /// Bytes of memory it holds: those of the wire and those that parsing added.
    pub fn memory(&self) -> usize {
        let block = &self.block;
        block.bytes.len()
            + size_of_val(&block.txs[..])
            + size_of_val(&block.inputs[..])
            + size_of_val(&block.outputs[..])
            + size_of_val(&self.ops[..])
            + size_of_val(&*self.starts)
    }

    /// Never: a block has a header.
    pub fn is_empty(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Tx, block, coinbase};
    use consensus::Txid;

    #[test]
    fn operations_are_sorted_by_partition_and_stay_in_order() {
        let from = |partition: u8, vout| OutPoint { txid: Txid([partition; 32]), vout };
        let pay = |takes, tag| Tx { takes, makes: vec![(1, vec![])], tag };
        let txs = [coinbase(0, 1), pay(vec![from(9, 0), from(200, 1)], 1), pay(vec![from(9, 2)], 2)];
        let seed = Seed::new(1);
        let body = Body::new(block(&txs), seed);
        // Input 0 is the coinbase's and takes nothing.
        let mut wanted = vec![Vec::new(); PARTITIONS];
        let mut make = |index: u32| wanted[usize::from(txs[index as usize].txid().0[0])].push(Deed::Make(index, index));
        (0..3).for_each(&mut make);
        wanted[9].extend([Deed::Take(1), Deed::Take(3)]);
        wanted[200].push(Deed::Take(2));
        for (partition, deeds) in wanted.iter_mut().enumerate() {
            let ops = body.ops(partition..partition + 1, &seed);
            // A transaction's takes come before its makes, which come before the takes of the next.
            deeds.sort_by_key(|deed| match deed {
                Deed::Take(3) => 4,
                Deed::Take(_) => 2,
                Deed::Make(tx, _) => 1 + 2 * tx,
            });
            assert_eq!(&ops.iter().map(Op::deed).collect::<Vec<_>>(), deeds, "partition {partition}");
            for op in ops {
                let outpoint = op.outpoint(&body.block);
                let named = match op.deed() {
                    Deed::Take(input) => body.block.outpoint(&body.block.inputs[input as usize]),
                    Deed::Make(tx, _) => OutPoint { txid: txs[tx as usize].txid(), vout: 0 },
                };
                assert_eq!((outpoint, op.hash), (named, seed.group(&named)));
            }
        }
        assert_eq!(body.len(), body.block.bytes.len());
    }
}
