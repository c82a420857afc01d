//! Rivals: both worlds live, the heavier wins, nothing is parsed or verified twice, and any number of executors finds
//! the same coins.

use caesure_bench::chain::Spec;
use caesure_bench::records::Fork;
use caesure_tests::{Folder, Line, Node, Server, Setup, coins_digest, full, made};
use serde_json::Value;

/// Sum of a counter over all cores.
fn counter(status: &Value, name: &str) -> u64 {
    status["cores"].as_array().unwrap().iter().map(|core| core[name].as_u64().unwrap()).sum()
}

fn worlds_with(status: &Value, hash: &str) -> usize {
    status["worlds"].as_array().unwrap().iter().filter(|world| world["hash"] == hash).count()
}

/// The tip goes to a rival that leaves `depth` blocks behind, and back once the first branch has grown two more.
fn switch_there_and_back(depth: usize) {
    let first = Line::regtest().branch(0, 150, 1);
    let rival = first.branch(150 - depth, depth + 1, 2);
    let again = first.branch(150, 2, 3);
    let peer = Server::honest(first.clone());
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[peer.addr]));
    node.wait_tip(&first.tip().to_string(), 60);
    let before = node.wait("synced", 30, |status| status["state"] == "synced");

    peer.switch(rival.clone());
    let between = node.wait_tip(&rival.tip().to_string(), 60);
    assert_eq!(between["branch_switches"].as_u64().unwrap(), before["branch_switches"].as_u64().unwrap() + 1);
    assert_eq!(between["coins"], 151, "one coinbase a block");
    assert_eq!(worlds_with(&between, &first.tip().to_string()), 1, "the world left behind lives on");
    assert_eq!(worlds_with(&between, &rival.tip().to_string()), 1);

    peer.switch(again.clone());
    let after = node.wait_tip(&again.tip().to_string(), 60);
    assert_eq!(after["branch_switches"].as_u64().unwrap(), before["branch_switches"].as_u64().unwrap() + 2);
    assert_eq!(worlds_with(&after, &rival.tip().to_string()), 1);
    for name in ["block_parsed", "part_verified"] {
        let [a, b, c] = [&before, &between, &after].map(|status| counter(status, name));
        assert_eq!((b - a, c - b), (depth as u64 + 1, 2), "{name}: only what is new");
    }
    let blocks = first.blocks[1..].iter().chain(&rival.blocks[151 - depth..]).chain(&again.blocks[151..]);
    for (hash, _) in blocks {
        assert_eq!(peer.asked(hash), 1, "{hash}");
    }
}

#[test]
fn a_switch_of_10_blocks_checks_nothing_again() {
    switch_there_and_back(10);
}

#[test]
fn a_switch_of_99_blocks_checks_nothing_again() {
    switch_there_and_back(99);
}

#[test]
fn one_two_and_five_executors_find_the_same_coins() {
    let all = full("100,000 transactions in 500 blocks, here 8,000 in 220");
    let (spec, forks) = if all {
        let spec = Spec { seed: 31, blocks: 500, txs: 100_000, empty_tail: 2 };
        (spec, [Fork { at: 300, length: 12, txs: 1_000 }, Fork { at: 440, length: 30, txs: 2_000 }])
    } else {
        let spec = Spec { seed: 32, blocks: 220, txs: 8_000, empty_tail: 2 };
        (spec, [Fork { at: 150, length: 12, txs: 300 }, Fork { at: 190, length: 20, txs: 500 }])
    };
    let chain = made(&spec, &forks);
    assert!(!all || chain.coins > 50_000, "{} coins", chain.coins);
    // Each rival as it stood when the main chain had not overtaken it.
    let rivals = [forks[0].at + forks[0].length, forks[1].at + forks[0].length + forks[1].length];
    let rivals = rivals.map(|records| chain.after(records as usize + 1));
    for cores in [1, 2, 5] {
        let peer = Server::honest(rivals[0].clone());
        let base = Folder::new();
        let node = Node::start(&base, &Setup::regtest(&[peer.addr]).cores(cores));
        node.wait_tip(&rivals[0].tip().to_string(), 300);
        for line in [rivals[1].clone(), chain.line()] {
            peer.switch(line.clone());
            node.wait_tip(&line.tip().to_string(), 300);
        }
        let status = node.status();
        assert_eq!(status["coins"], chain.coins);
        assert!(status["branch_switches"].as_u64() >= Some(2));
        assert_eq!(node.stop(), 0);
        assert_eq!(coins_digest(&base, "regtest"), chain.digest, "{cores} executors");
    }
}

/// A rival that leaves further down than worlds are kept: rebuilt, and said.
#[test]
fn a_rival_from_below_the_kept_worlds_wins_all_the_same() {
    let first = Line::regtest().branch(0, 180, 1);
    let rival = first.branch(20, 170, 2);
    let peer = Server::honest(first.clone());
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[peer.addr]));
    node.wait_tip(&first.tip().to_string(), 60);
    peer.switch(rival.clone());
    let status = node.wait_tip(&rival.tip().to_string(), 60);
    assert_eq!(status["coins"], 190);
    node.wait_log("rebuilding all coins", 1);
}
