//! Whole chains, from peers and from files: every contiguous real chain at hand to its known tip, with the coins that
//! Bitcoin Core counts.

use caesure_bench::chain::Spec;
use caesure_bench::pump::{Options, Pump};
use caesure_bench::records::{Chain, Fork};
use caesure_tests::binary::run;
use caesure_tests::data::{CHAINS, RealChain};
use caesure_tests::{Folder, Line, Node, Setup, coins_digest, made};
use consensus::{Block, is_unspendable};
use std::fs;
use std::sync::Arc;

/// Small, but with spends of all kinds, within blocks too.
const SPEC: Spec = Spec { seed: 21, blocks: 180, txs: 2_500, empty_tail: 2 };

/// Runs `caesure import` and takes its last line apart: height, tip, coins.
fn import(base: &Folder, chain: &str, paths: &[&str]) -> (u64, String, u64) {
    let words = ["--chain", chain, "-b", base.text(), "--no-pin", "--cores", "2", "--min-chain-work", "0", "import"];
    let (status, out, err) = run(&[&words[..], paths].concat());
    assert_eq!(status, 0, "{err}");
    let words: Vec<&str> = out.lines().last().expect("a last line").split_whitespace().collect();
    let ["height", height, "tip", tip, "coins", coins, rate, "blocks/s"] = words[..] else { panic!("{out}") };
    assert!(rate.parse::<f64>().expect("a rate") > 0.0);
    (height.parse().expect("a number"), tip.into(), coins.parse().expect("a number"))
}

/// Tip and coins that must come out: as Core says, or counted from the bytes of the blocks.
fn expected(real: &RealChain, records: &[u8]) -> (String, u64) {
    let line = Line::from_records(records.to_vec());
    let counted = || {
        let blocks = line.blocks.iter().map(|(_, bytes)| Block::parse(bytes.clone()).expect("a real block"));
        let above_genesis = blocks.filter(|block| block.header.prev.0 != [0; 32]);
        above_genesis.fold(0, |coins, block| {
            let made = block.outputs.iter().filter(|output| !is_unspendable(block.script(output.script))).count();
            let spent = block.inputs.iter().filter(|input| !block.names_no_coin(input)).count();
            coins + made as u64 - spent as u64
        })
    };
    let tip = line.tip().to_string();
    assert!(real.tip.is_empty() || real.tip == tip, "{:?} ends at {tip}", real.files);
    (tip, real.coins.unwrap_or_else(counted))
}

#[test]
fn every_real_chain_is_synced_from_a_peer_that_serves_it() {
    for real in CHAINS {
        let Some(records) = real.records() else { continue };
        let (tip, coins) = expected(&real, &records);
        let pump = Pump::start(Arc::new(Chain::from_bytes(records).unwrap()), Options::default()).unwrap();
        let base = Folder::new();
        let node = Node::start(&base, &Setup::new(real.network, &[pump.addr()]));
        let status = node.wait_tip(&tip, 120);
        assert_eq!(
            (status["height"].as_u64(), status["coins"].as_u64()),
            (Some(real.height.into()), Some(coins)),
            "{real:?}"
        );
        assert_eq!(status["scripts_verified"], true, "{real:?}");
        assert_eq!(node.stop(), 0);
    }
}

#[test]
fn every_real_chain_is_imported_from_its_file() {
    for real in CHAINS {
        let Some(records) = real.records() else { continue };
        let (tip, coins) = expected(&real, &records);
        let (base, from) = (Folder::new(), Folder::new());
        let file = from.join("blocks.dat");
        fs::write(&file, records).unwrap();
        assert_eq!(
            import(&base, real.network, &[file.to_str().unwrap()]),
            (real.height.into(), tip, coins),
            "{real:?}"
        );
    }
}

#[test]
fn files_are_imported_in_any_order_of_blocks() {
    let chain = made(&SPEC, &[]);
    let mut line = chain.line();
    line.blocks.reverse();
    let (base, from) = (Folder::new(), Folder::new());
    let [first, second] = ["a.dat", "b.dat"].map(|name| from.join(name));
    let records = line.records();
    // Cut where a record begins, and given in the wrong order.
    let middle: usize = line.blocks[..90].iter().map(|(_, block)| 8 + block.len()).sum();
    fs::write(&first, &records[..middle]).unwrap();
    fs::write(&second, &records[middle..]).unwrap();
    let done = import(&base, "regtest", &[first.to_str().unwrap(), second.to_str().unwrap()]);
    assert_eq!(done, (chain.height.into(), chain.tip.clone(), chain.coins));
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
}

#[test]
fn a_bootstrap_dat_moved_into_place_is_a_blocks_bin() {
    let chain = made(&SPEC, &[Fork { at: 120, length: 9, txs: 60 }]);
    let base = Folder::new();
    fs::create_dir_all(base.join("regtest")).unwrap();
    fs::copy(&chain.path, base.join("regtest/blocks.bin")).unwrap();
    let node = Node::start(&base, &Setup::regtest(&[]));
    let status = node.wait_tip(&chain.tip, 60);
    assert_eq!(status["coins"], chain.coins);
    assert_eq!(node.stop(), 0);
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
}

/// The node of 2014 wrote `[size u64le][block]`; its records and today's may alternate, and today's go on behind them.
#[test]
fn records_of_2014_and_of_today_may_mix() {
    let chain = made(&SPEC, &[]);
    let line = chain.line();
    let mut bytes = Vec::new();
    for (height, (_, block)) in line.blocks[..150].iter().enumerate() {
        if height % 3 == 1 {
            bytes.extend((block.len() as u64).to_le_bytes());
        } else {
            bytes.extend(line.magic);
            bytes.extend((block.len() as u32).to_le_bytes());
        }
        bytes.extend_from_slice(block);
    }
    let base = Folder::new();
    fs::create_dir_all(base.join("regtest")).unwrap();
    fs::write(base.join("regtest/blocks.bin"), &bytes).unwrap();
    let peer = caesure_tests::Server::honest(line.clone());
    let node = Node::start(&base, &Setup::regtest(&[peer.addr]));
    node.wait_tip(&chain.tip, 60);
    assert_eq!(peer.asked(&line.blocks[140].0), 0, "that block was there");
    assert_eq!(node.stop(), 0);
    assert_eq!(fs::read(base.join("regtest/blocks.bin")).unwrap()[..bytes.len()], bytes, "what was there stays");
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
}

#[test]
fn block_files_masked_with_the_key_of_an_xor_dat_are_imported() {
    let chain = made(&SPEC, &[]);
    let key = [0x5a, 0x01, 0xff, 0x00, 0x7e, 0x33, 0x90, 0x0c];
    let records = chain.line().records();
    let half: usize = chain.line().blocks[..100].iter().map(|(_, block)| 8 + block.len()).sum();
    let from = Folder::new();
    fs::write(from.join("xor.dat"), key).unwrap();
    for (name, part) in [("blk00000.dat", &records[..half]), ("blk00001.dat", &records[half..])] {
        // Core allocates its files ahead, with zeros that are not masked.
        let masked = part.iter().enumerate().map(|(at, byte)| byte ^ key[at % 8]);
        fs::write(from.join(name), masked.chain([0; 5_000]).collect::<Vec<u8>>()).unwrap();
    }
    for path in [from.text().to_owned(), from.join("blk00000.dat").to_str().unwrap().to_owned()] {
        let whole = path == from.text();
        let (height, tip, _) = import(&Folder::new(), "regtest", &[&path]);
        assert_eq!(height, if whole { chain.height.into() } else { 99 });
        assert_eq!(tip == chain.tip, whole);
    }
}

#[test]
fn a_file_without_blocks_of_this_network_is_refused_with_the_likely_cause() {
    let chain = made(&SPEC, &[]);
    let from = Folder::new();
    let garbage = from.join("garbage.dat");
    fs::write(&garbage, [7; 3_000]).unwrap();
    let other = chain.path.to_str().unwrap();
    for (network, path, cause) in [
        ("main", other, "regtest"),
        ("regtest", garbage.to_str().unwrap(), "the magic of no network"),
        ("regtest", "/none", "/none"),
    ] {
        let base = Folder::new();
        let words = ["--chain", network, "-b", base.text(), "--no-pin", "--cores", "1", "import", path];
        let (status, _, err) = run(&words);
        assert_eq!(status, 2, "{err}");
        assert!(err.contains(path) && err.contains(cause), "{err}");
    }
    // The same where such a file was moved into place.
    let base = Folder::new();
    fs::copy(&chain.path, base.join("blocks.bin")).unwrap();
    let (status, _, err) = run(&["-b", base.text(), "--no-pin", "--cores", "1", "-o", "0"]);
    assert_ne!(status, 0);
    assert!(err.contains("blocks.bin") && err.contains("regtest"), "{err}");
}
