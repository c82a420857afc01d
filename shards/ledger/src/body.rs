//! A block on its way into the ledger: the parsed bytes and, for each partition of the coins, the
//! operations that fall to it, in transaction order. Made once, on the core that received the block.

use crate::coins::{PARTITIONS, partition_of};
use consensus::Block;

/// What a block does to one coin, or to all coins of one transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Input with this index in `block.inputs` takes its coin.
    Take(u32),
    /// Transaction with this index in `block.txs` makes its outputs.
    Make(u32),
}

const MAKE: u32 = 1 << 31;

/// A parsed block with its operations sorted by partition.
#[derive(Debug)]
pub struct Body {
    /// The block.
    pub block: Block,
    ops: Vec<u32>,
    starts: Box<[u32; PARTITIONS + 1]>,
}

impl Body {
    /// Sorts the operations of `block` by partition; within a partition they stay in transaction
    /// order, takes of a transaction before its makes (a take before its make is missing).
    pub fn new(block: Block) -> Body {
        let mut starts = Box::new([0u32; PARTITIONS + 1]);
        each_op(&block, |partition, _| starts[partition + 1] += 1);
        for p in 0..PARTITIONS {
            starts[p + 1] += starts[p];
        }
        let mut next = *starts;
        let mut ops = vec![0; starts[PARTITIONS] as usize];
        each_op(&block, |partition, op| {
            ops[next[partition] as usize] = op;
            next[partition] += 1;
        });
        Body { block, ops, starts }
    }

    /// The operations of one partition, in order.
    pub fn ops(&self, partition: usize) -> impl Iterator<Item = Op> {
        let range = self.starts[partition] as usize..self.starts[partition + 1] as usize;
        self.ops[range].iter().map(|&op| if op & MAKE != 0 { Op::Make(op & !MAKE) } else { Op::Take(op) })
    }

    /// Bytes of the block as it lies on the wire.
    pub fn len(&self) -> usize {
        self.block.bytes.len()
    }

    /// Never: a block has a header.
    pub fn is_empty(&self) -> bool {
        false
    }
}

fn each_op(block: &Block, mut visit: impl FnMut(usize, u32)) {
    for (index, tx) in block.txs.iter().enumerate() {
        if index > 0 {
            for input in tx.inputs.0..tx.inputs.1 {
                let outpoint = block.outpoint(&block.inputs[input as usize]);
                visit(partition_of(&outpoint.txid), input);
            }
        }
        let index = u32::try_from(index).expect("a block has fewer than 2^31 transactions");
        visit(partition_of(&tx.txid), index | MAKE);
    }
}
