//! Decides whether single real blocks are read right and keep the rules that need no coins.

use crate::files::{blocks, file, hex, main_params};
use consensus::*;

/// The index of the data says how many blocks, transactions and inputs each file holds.
#[test]
fn every_block_is_read_and_keeps_its_rules() {
    let Some(index) = file("INDEX.md") else {
        return;
    };
    let (mut files, mut committed, index) = (0, 0, String::from_utf8(index).unwrap());
    for row in index.lines().filter(|row| ["| mainnet-", "| testnet-"].iter().any(|start| row.starts_with(start))) {
        let cells: Vec<_> = row.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
        let numbers: Vec<usize> = cells[4].split(" / ").map_while(|number| number.parse().ok()).collect();
        let &[count, txs, inputs] = &numbers[..] else {
            continue;
        };
        let Some(mut bytes) = file(cells[0]) else {
            continue;
        };
        if cells[0].ends_with("rawblock-testnet-1151351.bin") {
            assert_eq!(bytes.pop(), Some(b'\n'), "a line feed behind the block");
        }
        let blocks = blocks(bytes);
        let sum = |of: fn(&Block) -> usize| blocks.iter().map(of).sum::<usize>();
        let found = (blocks.len(), sum(|b| b.txs.len()), sum(|b| b.inputs.len() - 1));
        assert_eq!(found, (count, txs, inputs), "{}", cells[0]);
        for block in &blocks {
            assert_eq!(check_block(block), Ok(()), "{} {}", cells[0], block.hash);
            assert!(meets_target(&block.hash, block.header.bits, main_params()), "{}", cells[0]);
        }
        // A block of 2011 and of version 1, mined on the testnet before testnet3.
        let of_testnet2 = cells[0].ends_with("rawblock-testnet-26478.bin");
        if let (Ok(height), Ok(network), false) =
            (cells[3].parse(), cells[2].replace("mainnet", "main").parse(), of_testnet2)
        {
            // Whatever was final at the median of the times before is so at the block's own time.
            let (params, mtp_parent) = (Params::of(network), blocks[0].header.time);
            let cx = BlockCx { params, height, mtp_parent };
            assert_eq!(check_block_context(&blocks[0], &cx), Ok(()), "{}", cells[0]);
            if cells[1].contains("with witness commitment") && height >= params.segwit_height {
                assert_eq!(blocks[0].facts.commitment, Commitment::Match, "{}", cells[0]);
                committed += 1;
            }
        }
        files += 1;
    }
    assert!(files > 60 && committed > 15, "{files} files, {committed} with a commitment");
}

/// Blocks with their witnesses taken out: the same hash and root, refused from segwit's height on.
#[test]
fn stripped_blocks_lack_their_witness() {
    for height in [481_824, 491_407, 630_000, 709_632, 840_000] {
        let Some(bytes) = file(&format!("reorg-and-invalid/witness-stripped/{height}-stripped.block")) else {
            return;
        };
        let (size, block) = (bytes.len() as u64, Block::parse(bytes.into()).unwrap());
        assert_eq!((block.facts.stripped_size, block.facts.weight), (size, 4 * size));
        assert_eq!(check_block(&block), Ok(()));
        let cx = BlockCx { params: main_params(), height, mtp_parent: block.header.time };
        assert_eq!(check_block_context(&block, &cx), Err(Rule::BadWitnessNonceSize), "{height}");
        if height == 481_824 {
            let Some(whole) = file("mainnet-blocks/block_481824_complete.bin") else {
                return;
            };
            let whole = Block::parse(whole.into()).unwrap();
            assert_eq!(whole.hash, block.hash);
            assert_eq!(whole.facts.weight, 3 * size + whole.bytes.len() as u64);
            assert_eq!(check_block_context(&whole, &cx), Ok(()));
        }
    }
}

/// python-bitcoinlib's cases: comment, header only, check work, clock, block. Those that are about
/// work or the clock are not this check's.
#[test]
fn published_cases_of_check_block() {
    for (name, valid, count) in [("valid", true, 4), ("invalid", false, 5)] {
        let Some(bytes) = file(&format!("reorg-and-invalid/checkblock_{name}.json")) else {
            return;
        };
        let cases: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let mut asked = 0;
        for case in cases.as_array().unwrap() {
            let Some(block) = case[4].as_str().filter(|_| valid || case[2] == false) else {
                continue;
            };
            let block = Block::parse(hex(block).into()).unwrap();
            assert_eq!(check_block(&block).is_ok(), valid, "{}", case[0]);
            asked += 1;
        }
        assert_eq!(asked, count);
    }
}
