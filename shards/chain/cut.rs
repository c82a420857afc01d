//! Decides into which parts a block's transactions are cut for the verify shards. Never knows how many of those there are,
//! nor what they find.

use consensus::{Block, Tx};
use std::ops::Range;

/// An input is as much work as so many bytes of scripts, on average …
const INPUT_BYTES: u64 = 150;
/// … and what a part has of both at least, if there is more than one: 256 inputs as they usually are.
const WORK_PER_PART: u64 = 256 * 2 * INPUT_BYTES;

/// Cuts the transactions of a block into at most `max` runs of about as much work. Inputs alone would not do: a few
/// that bring long scripts are as much as many that do not.
pub(super) fn cut(block: &Block, max: usize) -> Vec<(Range<u32>, Range<u32>)> {
    // Up to and with a transaction; its first byte and input follow the last one's.
    let start = block.txs.first().map_or(0, |tx| tx.start);
    let work = |tx: &Tx| u64::from(tx.end - start) + INPUT_BYTES * u64::from(tx.inputs.1);
    let all = block.txs.last().map_or(0, work);
    let count = (all / WORK_PER_PART + 1).min(max as u64);
    let (mut parts, mut first) = (Vec::with_capacity(count as usize), 0);
    for part in 1..=count {
        // With the one in which this share of all the work ends.
        let end = (block.txs.partition_point(|tx| work(tx) * count < all * part) + 1).min(block.txs.len());
        if end > first {
            let range = block.txs[first].inputs.0..block.txs[end - 1].inputs.1;
            parts.push((first as u32..end as u32, range));
            first = end;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of transactions with one input each, whose scripts have these lengths.
    fn block(scripts: &[usize]) -> Block {
        let mut bytes = [&[0; 80][..], &[scripts.len() as u8]].concat();
        for len in scripts {
            bytes.extend([&[1, 0, 0, 0, 1][..], &[7; 36], &[254], &(*len as u32).to_le_bytes()].concat());
            bytes.resize(bytes.len() + len, 0);
            bytes.extend([&[0xff; 4][..], &[1], &[0; 9], &[0; 4]].concat());
        }
        Block::parse(bytes.into()).unwrap()
    }

    #[test]
    fn blocks_are_cut_where_the_work_is() {
        let ends =
            |scripts: &[usize], max| cut(&block(scripts), max).into_iter().map(|(txs, _)| txs.end).collect::<Vec<_>>();
        assert_eq!(ends(&[70_000], 8), [1]);
        assert_eq!(ends(&[70_000; 4], 2), [2, 4], "four inputs, as much as hundreds of others");
        assert_eq!(ends(&[70_000; 4], 1), [4]);
        assert_eq!(ends(&[70_000, 700_000, 70_000], 2), [2, 3], "one is never cut");
        assert_eq!(ends(&[700_000, 70_000], 4), [1, 2]);
        let parts = cut(&block(&[70_000; 5]), 3);
        assert!(parts.windows(2).all(|pair| pair[0].0.end == pair[1].0.start && pair[0].1.end == pair[1].1.start));
        assert_eq!((parts[0].1.start, parts[parts.len() - 1].1.end), (0, 5));
    }
}
