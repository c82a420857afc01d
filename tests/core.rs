//! Side by side with a real Bitcoin Core: each syncs from the other, reads the other's files, and has the same coins.
//! `BITCOIND` names the binary; without it nothing is compared, and that is said.

use caesure_bench::chain::Spec;
use caesure_tests::binary::run;
use caesure_tests::core::{Core, bitcoind};
use caesure_tests::digest::{digest, snapshot};
use caesure_tests::{Folder, Made, Node, Setup, coins_digest, full, made};

fn chain() -> Made {
    if full("500 blocks and 100,000 transactions, here 220 and 8,000") {
        made(&Spec { seed: 31, blocks: 500, txs: 100_000, empty_tail: 2 }, &[])
    } else {
        made(&Spec { seed: 32, blocks: 220, txs: 8_000, empty_tail: 2 }, &[])
    }
}

#[test]
fn core_and_caesure_sync_from_each_other_and_read_each_others_files() {
    let Some(bitcoind) = bitcoind() else { return };
    let chain = chain();
    let first = Core::start(&bitcoind, &[format!("-loadblock={}", chain.path.display()), "-connect=0".into()]);
    first.wait_tip(&chain.tip, 600);
    assert_eq!(first.coins(), chain.coins);

    // From Core.
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[first.p2p]));
    let status = node.wait_tip(&chain.tip, 600);
    assert_eq!(status["coins"], chain.coins);

    // To Core, which opens with a BIP324 handshake and comes back in v1.
    let second = Core::start(&bitcoind, &[format!("-connect={}", node.p2p)]);
    second.wait_tip(&chain.tip, 600);
    assert_eq!(second.coins(), chain.coins);
    drop(second);
    assert_eq!(node.stop(), 0);

    // The same coins, each with value, height and script.
    let theirs = digest(snapshot(&first.snapshot()));
    assert_eq!(theirs, chain.digest);
    assert_eq!(coins_digest(&base, "regtest"), theirs);

    // Our file, read by Core.
    let ours = base.join("regtest/blocks.bin");
    let third = Core::start(&bitcoind, &[format!("-loadblock={}", ours.display()), "-connect=0".into()]);
    third.wait_tip(&chain.tip, 600);
    drop(third);

    // Its files, read by us; this version masks them with a key.
    let folder = first.stop();
    let blocks = folder.join("regtest/blocks");
    let key = std::fs::read(blocks.join("xor.dat")).unwrap();
    assert!(key.len() == 8 && key != [0; 8], "this is no test of the key: {key:?}");
    let fresh = Folder::new();
    let words =
        ["--chain", "regtest", "-b", fresh.text(), "--no-pin", "--cores", "2", "--min-chain-work", "0", "import"];
    let (status, out, err) = run(&[&words[..], &[blocks.to_str().unwrap()]].concat());
    assert_eq!(status, 0, "{err}");
    assert!(out.contains(&chain.tip) && out.contains(&format!("coins {} ", chain.coins)), "{out}");
    assert_eq!(coins_digest(&fresh, "regtest"), theirs);
}

/// A block that Core finds reaches us, and goes on to another Core, by announcement.
#[test]
fn new_blocks_travel_through() {
    let Some(bitcoind) = bitcoind() else { return };
    let miner = Core::start(&bitcoind, &["-connect=0".into()]);
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[miner.p2p]));
    let far = Core::start(&bitcoind, &[format!("-connect={}", node.p2p)]);
    // Anyone can spend it: the script OP_TRUE, as a descriptor.
    for _ in 0..5 {
        let mined = miner.call("generatetodescriptor", serde_json::json!([1, "raw(51)#8lvh9jxk"]));
        let tip = mined[0].as_str().unwrap();
        node.wait_tip(tip, 60);
        far.wait_tip(tip, 60);
    }
}
