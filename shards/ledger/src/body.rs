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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Tx, block, coinbase};
    use consensus::{OutPoint, Txid};

    #[test]
    fn operations_are_sorted_by_partition_and_stay_in_order() {
        let from = |partition: u8, vout| OutPoint { txid: Txid([partition; 32]), vout };
        let pay = |takes, tag| Tx { takes, makes: vec![(1, vec![])], tag };
        let txs = [coinbase(0, 1), pay(vec![from(9, 0), from(200, 1)], 1), pay(vec![from(9, 2)], 2)];
        let body = Body::new(block(&txs));
        // Input 0 is the coinbase's and takes nothing.
        let mut wanted = vec![Vec::new(); PARTITIONS];
        wanted[usize::from(txs[0].txid().0[0])].push(Op::Make(0));
        wanted[9].push(Op::Take(1));
        wanted[200].push(Op::Take(2));
        wanted[usize::from(txs[1].txid().0[0])].push(Op::Make(1));
        wanted[9].push(Op::Take(3));
        wanted[usize::from(txs[2].txid().0[0])].push(Op::Make(2));
        for (partition, ops) in wanted.iter().enumerate() {
            assert_eq!(&body.ops(partition).collect::<Vec<_>>(), ops, "partition {partition}");
        }
        assert_eq!(body.len(), body.block.bytes.len());
    }
}
