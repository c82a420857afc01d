//! The index of transactions: what it finds, how it keeps up with a node, and what it does where it does not fit.

use caesure_bench::chain::Spec;
use caesure_bench::records::Fork;
use caesure_tests::binary::{command, run};
use caesure_tests::node::signal;
use caesure_tests::{Folder, Line, Made, Node, Server, Setup, blocks, made, poll};
use consensus::{Block, Header};
use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

fn chain() -> Made {
    made(&Spec { seed: 71, blocks: 200, txs: 4_000, empty_tail: 0 }, &[Fork { at: 150, length: 2, txs: 20 }])
}

fn txmap(base: &Folder, words: &[&str]) -> (i32, String, String) {
    run(&[&["txmap", "--chain", "regtest", "-b", base.text()], words].concat())
}

/// The line that is told of each transaction of a line of blocks.
fn told(line: &Line) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    for (height, (hash, bytes)) in line.blocks.iter().enumerate() {
        for (number, tx) in Block::parse(bytes.clone()).unwrap().txs.iter().enumerate() {
            let txid = tx.txid.to_string();
            told.insert(txid.clone(), format!("{txid} block {hash} height {height} number {number}"));
        }
    }
    told
}

#[test]
fn every_transaction_is_found() {
    let (chain, base) = (chain(), chain().stored());
    let told = told(&chain.line());
    let (status, _, err) = txmap(&base, &[told.keys().next().unwrap()]);
    assert!(status == 2 && err.contains("caesure txmap, which makes it"), "{err}");
    let (status, out, err) = txmap(&base, &[]);
    assert!(status == 0 && out.contains("transactions of 203 blocks"), "{out}{err}");
    for some in told.keys().collect::<Vec<_>>().chunks(500) {
        let some: Vec<&str> = some.iter().map(|txid| txid.as_str()).collect();
        let (status, out, err) = txmap(&base, &some);
        assert_eq!(status, 0, "{err}");
        // Those that a rival has too are told twice, and first where they count.
        let firsts: Vec<&str> = out.lines().filter(|line| !line.ends_with("on another branch")).collect();
        let wanted: Vec<&str> = some.iter().map(|txid| told[*txid].as_str()).collect();
        assert_eq!(firsts, wanted);
    }
    // The coinbase of a rival is on its branch alone.
    let rival = blocks(&chain.path).into_iter().map(|(_, bytes)| Block::parse(bytes.into()).unwrap());
    let line = chain.line();
    let mut rival = rival.filter(|block| line.blocks.iter().all(|(hash, _)| *hash != block.hash));
    let (first, header): (Block, Header) = rival
        .next()
        .map(|block| {
            let header = block.header;
            (block, header)
        })
        .unwrap();
    assert_eq!(header.prev, line.blocks[150].0);
    let txid = first.txs[0].txid.to_string();
    let (_, out, _) = txmap(&base, &[&txid]);
    assert_eq!(out, format!("{txid} block {} height 151 number 0, on another branch\n", first.hash));
    let (status, _, err) = txmap(&base, &[&"00".repeat(32)]);
    assert!(status == 2 && err.contains("is in no block that is indexed"), "{err}");
    assert!(txmap(&base, &[]).1.contains("indexed 0 transactions of 0 blocks"));
    // The tools find by it, too, on any branch.
    let of = ["--chain", "regtest", "-b", base.text()];
    let (status, out, err) = run(&[&["blocks", "cat", &txid], &of[..]].concat());
    assert!(status == 0 && out.starts_with(&format!("hash: {txid}\n")), "{err}");
    let code = format!("txmap['{txid}'][1] + txmap['{txid}'][2]");
    let (_, out, _) = run(&[&["console", "--offline", "-e", &code], &of[..]].concat());
    assert_eq!(out, "151\n");
}

#[test]
fn an_index_of_other_blocks_is_made_anew() {
    let (chain, base) = (chain(), chain().stored());
    assert_eq!(txmap(&base, &[]).0, 0);
    let other = made(&Spec { seed: 41, blocks: 400, txs: 3_000, empty_tail: 2 }, &[]);
    fs::copy(&other.path, base.join("regtest/blocks.bin")).unwrap();
    // It names places where other transactions lie, and says so of none.
    let old = told(&chain.line());
    let (status, _, err) = txmap(&base, &[old.keys().next().unwrap()]);
    assert!(status != 0, "{err}");
    let (status, out, err) = txmap(&base, &[]);
    assert!(status == 0 && out.contains("transactions of 401 blocks") && err.contains("made anew"), "{out}{err}");
    let new = told(&other.line());
    let (txid, line) = new.iter().next_back().unwrap();
    assert_eq!(txmap(&base, &[txid]).1.trim_end(), line);
}

#[test]
fn it_keeps_up_with_a_node_while_others_look() {
    let chain = made(&Spec { seed: 62, blocks: 600, txs: 40_000, empty_tail: 0 }, &[]);
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[]));
    let mut follow = command(&["txmap", "-f", "--chain", "regtest", "-b", base.text()]);
    let mut child = follow.stdout(Stdio::null()).spawn().unwrap();
    let genesis = told(&chain.line().up_to(0)).into_iter().next().unwrap();
    poll(30, || (txmap(&base, &[&genesis.0]).1.trim_end() == genesis.1).then_some(())).expect("genesis is indexed");
    let peer = Server::honest(chain.line());
    peer.dial(node.p2p);
    let (status, _, err) = txmap(&base, &[]);
    assert!(status == 1 && err.contains("another caesure txmap"), "{err}");
    let line = chain.line();
    for height in [1, 300, 600] {
        let (txid, line) =
            told(&Line { blocks: vec![line.blocks[height].clone()], ..Line::default() }).into_iter().next().unwrap();
        let line = line.replace("height 0", &format!("height {height}"));
        poll(60, || (txmap(&base, &[&txid]).1.trim_end() == line).then_some(())).unwrap_or_else(|| panic!("{line}"));
    }
    signal("TERM", child.id());
    assert!(child.wait().unwrap().success());
    assert_eq!(node.stop(), 0);
}
