//! A node that begins with a snapshot of Bitcoin Core: it is at the tip at once, verifies the history behind it, and stops
//! where that does not lead to the snapshot.

use caesure_bench::chain::Spec;
use caesure_tests::binary::run;
use caesure_tests::core::{Core, bitcoind};
use caesure_tests::{Folder, Line, Made, Node, Server, Setup, Step, coins_digest, made, poll};
use ledger::snapshot::{Metadata, Reader, Writer};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const BASE: usize = 220;

fn chain() -> Made {
    made(&Spec { seed: 71, blocks: 330, txs: 5_000, empty_tail: 0 }, &[])
}

/// What Core's `dumptxoutset` writes at that height, and its hash.
fn snapshot(line: &Line, folder: &Folder) -> Option<(std::path::PathBuf, String)> {
    let bitcoind = bitcoind()?;
    let records = folder.join("records");
    fs::write(&records, line.records()).unwrap();
    let core = Core::start(&bitcoind, &[format!("-loadblock={}", records.display()), "-connect=0".into()]);
    core.wait_tip(&line.tip().to_string(), 120);
    let path = folder.join("utxo.dat");
    let said = core.call("dumptxoutset", json!([path.to_str(), "latest"]));
    Some((path, said["txoutset_hash"].as_str().unwrap().to_owned()))
}

fn load(base: &Folder, file: &Path, more: &[&str]) -> (i32, String, String) {
    let words = ["--chain", "regtest", "--no-pin", "--cores", "2", "-b", base.text(), "coins", "load"];
    run(&[&words[..], &[file.to_str().unwrap()], more].concat())
}

const OFTEN: [&str; 4] = ["--checkpoint-interval", "20", "--checkpoint-gap", "30"];

fn setup(peer: &Server, cores: usize) -> Setup {
    Setup::regtest(&[peer.addr]).cores(cores).with(&OFTEN)
}

fn verified(status: &Value) -> u64 {
    status["history"]["verified"].as_u64().unwrap_or(u64::MAX)
}

#[test]
fn it_is_at_the_tip_at_once_and_verifies_its_history_behind() {
    let chain = chain();
    let (line, base, theirs) = (chain.line(), Folder::new(), Folder::new());
    let Some((file, hash)) = snapshot(&line.up_to(BASE), &theirs) else { return };

    let (status, _, why) = load(&base, &file, &[]);
    assert!(status == 2 && why.contains("not built in"), "{status}: {why}");
    let (status, _, why) = load(&base, &file, &["--snapshot-hash", &"7".repeat(64)]);
    assert!(status == 4 && why.contains(&hash), "{status}: {why}");
    let mut bytes = fs::read(&file).unwrap();
    bytes.truncate(bytes.len() - 1);
    let cut = theirs.join("cut.dat");
    fs::write(&cut, &bytes).unwrap();
    let (status, _, why) = load(&base, &cut, &["--snapshot-hash", &hash]);
    assert!(status == 4 && why.contains("the end, expected"), "{status}: {why}");
    assert!(!base.join("regtest/coins").exists() && !base.join("regtest/loading").exists(), "nothing is left");

    let (status, said, why) = load(&base, &file, &["--snapshot-hash", &hash]);
    assert!(status == 0 && said.contains(&format!("base_height        {BASE}")), "{said}{why}");
    let (status, _, why) = load(&base, &file, &["--snapshot-hash", &hash]);
    assert!(status == 2 && why.contains("already"), "{status}: {why}");

    // A peer that has the headers and gives no block up to the snapshot's: the tip is reached all the same.
    let withheld: Vec<_> = line.blocks[1..=BASE].iter().map(|(hash, _)| *hash).collect();
    let stingy = Server::start(line.clone(), move |_, message| match message {
        wire::message::Message::GetData(invs)
            if invs.iter().any(|inv| withheld.iter().any(|hash| hash.0 == inv.hash)) =>
        {
            Step::Done
        }
        _ => Step::Honest,
    });
    let node = Node::start(&base, &setup(&stingy, 2));
    let status = node.wait_tip(&chain.tip, 60);
    assert_eq!((verified(&status), &status["history"]["of"]), (0, &json!(BASE)), "{status}");
    assert!(node.get("/admin/status").unwrap().contains("history not verified"));
    poll(10, || (node.status()["coins"] == chain.coins).then_some(())).unwrap_or_else(|| panic!("{status}"));
    assert_eq!(coins_digest(&base, "regtest"), chain.digest, "beside the node");
    node.kill();
    drop(stingy);

    // Killed again and again while the history comes, on other numbers of cores.
    let peer = Server::honest(line.clone());
    for (cores, from) in [(1, 40), (5, 120)] {
        let node = Node::start(&base, &setup(&peer, cores));
        node.wait("some history", 60, |status| status["history"].is_null() || verified(status) >= from);
        let status = node.wait_tip(&chain.tip, 60);
        node.kill();
        assert_eq!(coins_digest(&base, "regtest"), chain.digest, "{cores} cores: {status}");
    }
    let node = Node::start(&base, &setup(&peer, 2));
    node.wait("history verified", 60, |status| status["history"].is_null());
    node.wait_tip(&chain.tip, 60);
    let gone = || (!base.join("regtest/snapshot").exists()).then_some(());
    poll(10, gone).expect("it is a node like any other");
    assert_eq!(node.stop(), 0);
    let node = Node::start(&base, &setup(&peer, 2));
    node.wait_tip(&chain.tip, 60);
    assert!(!base.join("regtest/history").exists());
    assert_eq!(node.stop(), 0);
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);

    // All blocks are here now: without checkpoints, all is made from them.
    fs::remove_dir_all(base.join("regtest/coins")).unwrap();
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
    let (status, _, why) = load(&base, &file, &["--snapshot-hash", &hash]);
    assert!(status == 2 && why.contains("has verified block"), "{status}: {why}");
}

/// One coin more than the blocks leave.
fn forged(file: &Path, out: &Path) {
    let bytes = fs::read(file).unwrap();
    let (head, mut rest) = bytes.split_first_chunk::<{ Metadata::LEN }>().unwrap();
    let head = Metadata::parse(head, [0xfa, 0xbf, 0xb5, 0xda]).unwrap();
    let key = consensus::script::uncompressed;
    let (mut reader, mut writer) = (Reader::new(&head, BASE as u32, key), Writer::new(key));
    let mut out_bytes = Metadata { coins: head.coins, ..head }.to_bytes().to_vec();
    let mut first = true;
    while let Some((outpoint, mut coin)) = reader.next(&mut rest).unwrap() {
        coin.value += u64::from(std::mem::take(&mut first));
        writer.add(&outpoint, &coin, &mut out_bytes);
    }
    writer.end(&mut out_bytes);
    fs::write(out, out_bytes).unwrap();
}

#[test]
fn a_false_snapshot_is_found_out() {
    let chain = chain();
    let (line, base, theirs) = (chain.line(), Folder::new(), Folder::new());
    let Some((file, _)) = snapshot(&line.up_to(BASE), &theirs) else { return };
    let false_file = theirs.join("false.dat");
    forged(&file, &false_file);
    let (_, _, why) = load(&base, &false_file, &["--snapshot-hash", &"7".repeat(64)]);
    let hash =
        why.split("hash_serialized_3 ").nth(1).and_then(|rest| rest.get(..64)).unwrap_or_else(|| panic!("{why}"));
    assert_eq!(load(&base, &false_file, &["--snapshot-hash", hash]).0, 0);

    let peer = Server::honest(line.clone());
    let mut node = Node::start(&base, &setup(&peer, 2));
    let status = node.ended(60);
    node.wait_log("the snapshot is false", 10);
    assert_eq!(status, 4, "{}", node.tail());
    // As the sentence says: what is left is the history.
    for name in ["coins", "snapshot"] {
        let path = base.join("regtest").join(name);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    let node = Node::start(&base, &setup(&peer, 2));
    node.wait_tip(&chain.tip, 60);
    assert_eq!(node.stop(), 0);
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
}
