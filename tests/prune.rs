//! A node that gives up its lowest blocks: the room it takes, what it offers, what it survives, and what it says where the
//! blocks are needed after all.

use ::wire::message::Message;
use caesure_bench::chain::Spec;
use caesure_bench::rng::Rng;
use caesure_tests::binary::run;
use caesure_tests::core::{Core, bitcoind};
use caesure_tests::wire::{REGTEST, get_data, version};
use caesure_tests::{Folder, Line, Made, Node, Server, Setup, Wire, coins_digest, made, poll};
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

const SIZE: u64 = 5 << 20;
/// Blocks that the node has before it gets the rest: there are two checkpoints of each partition only then.
const FIRST: usize = 560;

fn chain() -> Made {
    made(&Spec { seed: 71, blocks: 900, txs: 20_000, empty_tail: 0 }, &[])
}

fn setup(peers: &[std::net::SocketAddr]) -> Setup {
    Setup::regtest(peers).with(&["--checkpoint-interval", "20", "--checkpoint-gap", "40", "--horizon", "16"])
}

fn pruning(peers: &[std::net::SocketAddr]) -> Setup {
    setup(peers).with(&["--prune", "5M"])
}

/// Bytes that blocks.bin takes on disk.
fn taken(base: &Folder) -> u64 {
    fs::metadata(base.join("regtest/blocks.bin")).unwrap().blocks() * 512
}

fn checkpoints(base: &Folder) -> Vec<PathBuf> {
    let Ok(listed) = fs::read_dir(base.join("regtest/coins")) else { return Vec::new() };
    listed.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_none()).collect()
}

/// Heights of the checkpoints of a partition.
fn heights(base: &Folder, partition: u16) -> Vec<u32> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let of = |name: String| name.strip_prefix(&format!("{partition:03}-")).and_then(|height| height.parse().ok());
    checkpoints(base).iter().filter_map(|path| of(name(path))).collect()
}

/// A node that has the whole chain, but for what it gave up.
fn pruned(chain: &Made, base: &Folder) -> Node {
    let line = chain.line();
    let peer = Server::honest(line.up_to(FIRST));
    let node = Node::start(base, &pruning(&[peer.addr]));
    node.wait_tip(&line.blocks[FIRST].0.to_string(), 120);
    // The base stands 16 blocks below the tip.
    let all = || (0..256).all(|partition| heights(base, partition).iter().any(|h| *h as usize + 36 > FIRST));
    poll(60, || all().then_some(())).unwrap_or_else(|| panic!("no checkpoints\n{}", node.tail()));
    peer.switch(line);
    node.wait_tip(&chain.tip, 120);
    node.wait("enough is given up", 60, |_| taken(base) <= SIZE);
    node
}

/// What it says that it offers.
fn services(node: &Node) -> u64 {
    let wire = Wire::dial(node.p2p, REGTEST);
    wire.send(&version(0));
    match wire.until(|message| matches!(message, Message::Version(_))) {
        Ok(Message::Version(version)) => version.services,
        other => panic!("{other:?}"),
    }
}

const LIMITED: u64 = wire::NODE_NETWORK_LIMITED | wire::NODE_WITNESS;

/// Runs the program on this folder, to its end.
fn offline(base: &Folder, words: &[&str]) -> (i32, String) {
    let with = ["--chain", "regtest", "-b", base.text(), "--no-pin", "--cores", "2", "--min-chain-work", "0"];
    let (status, _, said) = run(&[&with[..], words].concat());
    (status, said)
}

#[test]
fn it_takes_the_room_it_was_given_and_offers_its_last_blocks() {
    let chain = chain();
    let (base, line) = (Folder::new(), chain.line());
    let node = pruned(&chain, &base);
    let status = node.status();
    let up_to = status["blocks_bin"]["pruned_up_to"].as_u64().unwrap() as usize;
    assert!((300..FIRST).contains(&up_to), "{up_to}");
    // What is left is what was asked for, and no less than a sixteenth of it below.
    let len = fs::metadata(base.join("regtest/blocks.bin")).unwrap().len();
    assert!(len > SIZE * 3 / 2 && taken(&base) > SIZE * 3 / 4, "{} of {len} bytes", taken(&base));
    assert!(node.ask("status").contains("pruned up to height"));
    assert!(node.ask("block 100").contains("bytes   pruned"));

    assert_eq!(services(&node), LIMITED);
    let peer = Wire::regtest(node.p2p, 0);
    for height in [900, 900 - 290] {
        peer.send(&get_data(&[line.blocks[height].0]));
        let block = peer.until(|message| matches!(message, Message::Block(_))).unwrap();
        assert_eq!(block, Message::Block(line.blocks[height].1.clone()));
    }
    // One block deeper is still there, and nobody's business.
    peer.send(&get_data(&[line.blocks[900 - 291].0]));
    assert!(peer.ends());
    node.wait_log("lies deeper than a pruned node offers", 10);
    assert!(node.ask(&format!("block {}", 900 - 291)).contains("bytes   file 0"));
    assert_eq!(node.stop(), 0);
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);

    // A branch that leaves within the horizon.
    let rival = line.branch(890, 12, 3);
    let peer = Server::honest(rival.clone());
    let node = Node::start(&base, &pruning(&[peer.addr]));
    node.wait_tip(&rival.tip().to_string(), 60);
    assert_eq!(node.stop(), 0);
    let (whole, file) = (Folder::new(), Folder::new());
    fs::write(file.join("rival"), rival.records()).unwrap();
    assert_eq!(offline(&whole, &["import", file.join("rival").to_str().unwrap()]).0, 0);
    assert_eq!(coins_digest(&base, "regtest"), coins_digest(&whole, "regtest"));

    // A copy of the file that has no holes gets them at the next start.
    let file = base.join("regtest/blocks.bin");
    let dense = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, dense).unwrap();
    assert!(taken(&base) > SIZE);

    // Without --prune what is gone stays gone, and it says so.
    let node = Node::start(&base, &setup(&[]).with(&["--monitor-write"]));
    node.wait_tip(&rival.tip().to_string(), 60);
    assert!(taken(&base) <= SIZE, "{}", taken(&base));
    let refused = node.ask(&format!("invalidate {}", line.blocks[200].0));
    assert!(refused.contains("error: block") && refused.contains("was pruned"), "{refused}");
    node.wait_log("this node goes on offering peers its last 290 blocks only", 10);
    assert_eq!(services(&node), LIMITED);
    assert_eq!(node.stop(), 0);
    let (status, said) = offline(&base, &["verify"]);
    assert!(status == 11 && said.contains("was pruned") && said.contains("from genesis on"), "{status}: {said}");
    // Another file brings it back.
    let records = chain.path.to_str().unwrap();
    assert_eq!(offline(&base, &["import", records]).0, 0);
    assert_eq!(services(&Node::start(&whole, &setup(&[]))), LIMITED | wire::NODE_NETWORK);
}

#[test]
fn killed_while_it_gives_up_blocks_it_ends_with_the_same_coins() {
    let chain = chain();
    let (base, line) = (Folder::new(), chain.line());
    drop(pruned(&chain, &base));
    // Each time there is more to give up, because more blocks came.
    let mut longer: Line = line.clone();
    let mut rng = Rng::new(72);
    println!("seed 72");
    for round in 0..8 {
        longer = longer.branch(longer.height() as usize, 60, round + 1);
        let peer = Server::honest(longer.clone());
        let node = Node::start(&base, &setup(&[peer.addr]).with(&["--prune", "1"]));
        let before = taken(&base);
        let enough = rng.below(60);
        // Until so many pages are gone, or there is nothing to give up.
        poll(2, || (taken(&base) + 4_096 * enough < before).then_some(()));
        node.kill();
    }
    let peer = Server::honest(longer.clone());
    let node = Node::start(&base, &pruning(&[peer.addr]));
    node.wait_tip(&longer.tip().to_string(), 60);
    assert_eq!(node.stop(), 0);
    let copies = ["blocks.idx", "blocks.idx.2"].map(|name| fs::read(base.join("regtest").join(name)).unwrap());
    assert!(copies[0] == copies[1], "{} and {} bytes", copies[0].len(), copies[1].len());
    let (whole, file) = (Folder::new(), Folder::new());
    fs::write(file.join("longer"), longer.records()).unwrap();
    assert_eq!(offline(&whole, &["import", file.join("longer").to_str().unwrap()]).0, 0);
    assert_eq!(coins_digest(&base, "regtest"), coins_digest(&whole, "regtest"));
}

#[test]
fn what_cannot_be_made_again_is_said_and_one_copy_of_it_is_enough() {
    let chain = chain();
    let base = Folder::new();
    assert_eq!(pruned(&chain, &base).stop(), 0);
    let index = base.join("regtest/blocks.idx");
    let copy = base.join("regtest/blocks.idx.2");
    let whole = fs::read(&index).unwrap();
    let mut bent = whole.clone();
    bent[5_000] ^= 1;

    // One copy of the index is gone, or bad in the middle: the other one helps.
    for (one, other) in [(&index, &copy), (&copy, &index)] {
        fs::remove_file(one).unwrap();
        assert_eq!(coins_digest(&base, "regtest"), chain.digest);
        fs::write(one, &bent).unwrap();
        let node = Node::start(&base, &setup(&[]));
        node.wait_tip(&chain.tip, 60);
        node.wait_log("is damaged; it is made anew from its copy", 10);
        assert_eq!(node.stop(), 0);
        assert!(fs::read(one).unwrap() == fs::read(other).unwrap());
    }
    // Both.
    for bad in [Some(&bent), None] {
        for path in [&index, &copy] {
            match bad {
                Some(bad) => fs::write(path, bad).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
        }
        let (status, said) = offline(&base, &["coins", "digest"]);
        assert!(
            status == 4 && said.contains("blocks.idx is damaged") && said.contains("sync again"),
            "{status}: {said}"
        );
        let mut node = Node::spawn(base.path(), &pruning(&[]));
        assert_eq!(node.ended(60), 4, "{}", node.tail());
        drop(node);
    }
    [&index, &copy].iter().for_each(|path| fs::write(path, &whole).unwrap());
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);

    // The newer checkpoint of a partition, and then both.
    let mut both = heights(&base, 9);
    both.sort_unstable();
    assert_eq!(both.len(), 2);
    for (height, gone) in [(both[1], false), (both[0], true)] {
        let path = base.join(&format!("regtest/coins/009-{height}"));
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        let (status, said) = offline(&base, &["coins", "digest"]);
        assert_eq!(status, if gone { 11 } else { 0 }, "{said}");
        assert!(
            !gone || said.contains("partition 9 of the coins has no checkpoint") && said.contains("sync again"),
            "{said}"
        );
    }
    // All blocks in another file are as good as none missing.
    let words = ["import", chain.path.to_str().unwrap()];
    let (status, said) = offline(&base, &words);
    assert_eq!(status, 0, "{said}");
}

#[test]
fn a_branch_with_more_work_from_below_what_is_kept_ends_it() {
    let chain = chain();
    let (base, line) = (Folder::new(), chain.line());
    let mut node = pruned(&chain, &base);
    let rival = line.branch(200, 702, 5);
    let peer = Server::honest(rival);
    peer.dial(node.p2p);
    assert_eq!(node.ended(120), 11, "{}", node.tail());
    node.wait_log("is needed and was pruned", 5);
    node.wait_log("sync again", 5);
}

#[test]
fn core_sees_a_node_that_has_the_last_blocks() {
    let Some(bitcoind) = bitcoind() else { return };
    let chain = chain();
    let base = Folder::new();
    let node = pruned(&chain, &base);
    let core = Core::start(&bitcoind, &[format!("-connect={}", node.p2p)]);
    let names = poll(60, || {
        let peers = core.try_call("getpeerinfo", json!([])).ok()?;
        let names = peers[0]["servicesnames"].as_array()?.clone();
        (!names.is_empty()).then_some(names)
    });
    assert_eq!(names.unwrap(), ["WITNESS", "NETWORK_LIMITED"]);
}
