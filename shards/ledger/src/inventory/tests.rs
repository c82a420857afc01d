//! Records in any order, of branches and of nobody: heights, the best chain, and what a cut leaves.

use super::*;
use crate::record::{FRAME_LEN, frame, record_at};
use crate::testing::{block_bytes, coinbase};
use consensus::Network;

fn regtest() -> &'static Params {
    Params::of(Network::Regtest)
}

/// A file of blocks, each named by the place of its parent in the list (0 is genesis, 1 the first block), laid in the
/// order given.
fn records(parents: &[usize], order: &[usize]) -> Vec<Record> {
    let mut blocks = vec![regtest().genesis_block().to_vec()];
    for (tag, parent) in parents.iter().enumerate() {
        let prev = consensus::Header::parse(blocks[*parent][..80].try_into().unwrap()).hash();
        blocks.push(block_bytes(prev, &[coinbase(tag as u32, 1)]));
    }
    let mut at = 0;
    let lay = |number: &usize| {
        let block = &blocks[*number];
        let bytes = [&frame(regtest(), block.len() as u32)[..], block].concat();
        let record = record_at(regtest(), &bytes, at, at + bytes.len() as u64).unwrap();
        at = record.end();
        record
    };
    order.iter().map(lay).collect()
}

#[test]
fn heights_come_from_the_tree_whatever_the_order() {
    // 1 – 2 – 4 – 5, and 3 on 1.
    let found = Inventory::of(regtest(), &records(&[0, 1, 1, 2, 4], &[0, 5, 3, 4, 1, 2]));
    let heights: Vec<_> = (0..6).map(|record| found.height(record)).collect();
    assert_eq!(heights, [0, 4, 2, 3, 1, 2].map(Some));
    let own = |record: usize| found.nodes[record].and_then(|node| found.record(node));
    assert!((0..6).all(|record| own(record) == Some(record)));
    // Without block 2, those on it are of nobody.
    let found = Inventory::of(regtest(), &records(&[0, 1, 1, 2, 4], &[0, 1, 3, 4, 5]));
    let heights: Vec<_> = (0..5).map(|record| found.height(record)).collect();
    assert_eq!(heights, [Some(0), Some(1), Some(2), None, None]);
}

#[test]
fn records_may_come_one_by_one_and_twice() {
    let all = records(&[0, 1, 1, 2, 4], &[0, 5, 3, 4, 1, 2, 4]);
    let mut found = Inventory::new(regtest());
    for (number, record) in all.iter().enumerate() {
        assert_eq!(found.nodes.len(), number);
        found.add(record);
    }
    assert_eq!((found.tree.len(), found.height(1), found.height(6)), (6, Some(4), Some(3)));
    let node = found.tree.find(&all[3].hash).unwrap();
    assert_eq!(found.record(node), Some(6), "the last of two");
    assert!(found.waiting.is_empty());
    // A header alone is a place for those above it, and not there itself until its record comes.
    let mut found = Inventory::new(regtest());
    [0, 2].iter().for_each(|number| found.add(&all[*number]));
    let node = |found: &Inventory, number: usize| found.tree.find(&all[number].hash);
    assert_eq!((found.tree.len(), node(&found, 2)), (1, None));
    let one = found.insert(0, all[4].header, all[4].hash);
    assert_eq!((found.record(one), node(&found, 2).and_then(|node| found.record(node))), (None, Some(1)));
    found.add(&all[4]);
    assert_eq!(found.record(one), Some(2));
}

#[test]
fn the_best_chain_is_entire_and_in_the_running() {
    let records = records(&[0, 1, 1, 2, 4], &[0, 1, 2, 3, 4, 5]);
    let found = Inventory::of(regtest(), &records);
    let best = |there: &dyn Fn(usize) -> bool, is_out: &dyn Fn(&BlockHash) -> bool| {
        found.tree.node(found.best(there, is_out)).hash
    };
    assert_eq!(best(&|_| true, &|_| false), records[5].hash);
    assert_eq!(best(&|record| record != 4, &|_| false), records[2].hash, "of two at height 2 the first");
    assert_eq!(best(&|_| true, &|hash| *hash == records[2].hash), records[3].hash);
    assert_eq!(best(&|record| record != 1, &|_| false), regtest().genesis_hash);
    let end = found.best(|_| true, |_| false);
    let on_it: Vec<_> = (0..6).filter(|record| found.leads_to(*record, end)).collect();
    assert_eq!(on_it, [0, 1, 2, 4, 5]);
}

#[test]
fn a_cut_keeps_all_that_is_not_above_the_height_and_nothing_else() {
    let parents = [0, 1, 1, 2, 4];
    let cut = |order: &[usize], height| {
        let records = records(&parents, order);
        let Cut { at, stay, moved, gone } = cut_above(&records, &Inventory::of(regtest(), &records), height);
        assert_eq!(at, if stay == 0 { 0 } else { records[stay - 1].end() });
        let blocks = |list: Vec<usize>| list.into_iter().map(|record| order[record]).collect::<Vec<_>>();
        (stay, blocks(moved), blocks(gone))
    };
    assert_eq!(cut(&[0, 1, 2, 4, 5, 3], 2), (3, vec![3], vec![4, 5]));
    assert_eq!(cut(&[0, 1, 2, 3, 4, 5], 3), (5, vec![], vec![5]));
    assert_eq!(cut(&[0, 1, 2, 3, 4, 5], 4), (6, vec![], vec![]));
    assert_eq!(cut(&[0, 5, 4, 3, 2, 1], 0), (1, vec![], vec![5, 4, 3, 2, 1]));
    assert_eq!(cut(&[0, 5, 4, 3, 2, 1], 2), (1, vec![3, 2, 1], vec![5, 4]));
    assert_eq!(cut(&[0, 1, 3, 4, 5], 2), (3, vec![], vec![4, 5]), "of unknown height");
}

#[test]
fn a_record_is_whole_if_its_bytes_are_those_of_its_header() {
    let block = block_bytes(regtest().genesis_hash, &[coinbase(0, 1)]);
    let bytes = [&frame(regtest(), block.len() as u32)[..], &block].concat();
    let record = record_at(regtest(), &bytes, 0, bytes.len() as u64).unwrap();
    let check = |block: &[u8]| check_bytes(regtest(), &record, Some(1), Bytes::copy_from_slice(block));
    assert_eq!(check(&block), Ok(()));
    assert_eq!(check(&block[..block.len() - 1]), Err(Rule::Malformed));
    let mut other = block.clone();
    *other.last_mut().unwrap() ^= 1;
    assert_eq!(check(&other), Err(Rule::BadTxnmrklroot));
    let others = block_bytes(regtest().genesis_hash, &[coinbase(1, 1)]);
    assert_eq!(check(&others), Err(Rule::Malformed), "another block");
    // Two coinbases: that block breaks a rule, and lies there as it was received.
    let invalid = block_bytes(regtest().genesis_hash, &[coinbase(0, 1), coinbase(1, 1)]);
    let bytes = [&frame(regtest(), invalid.len() as u32)[..], &invalid].concat();
    let record = record_at(regtest(), &bytes, 0, bytes.len() as u64).unwrap();
    let rule = check_bytes(regtest(), &record, None, Bytes::copy_from_slice(&bytes[FRAME_LEN as usize..])).unwrap_err();
    assert_eq!((rule, rule.kind()), (Rule::BadCbMultiple, Kind::Invalid));
}
