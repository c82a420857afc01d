//! Checkpoints in a running node: what is written is read back at the next start, what is damaged is named and done
//! without, and a branch wins over them wherever it leaves. `kills.rs` kills nodes at any moment.

use caesure_bench::chain::Spec;
use caesure_bench::records::Fork;
use caesure_tests::binary::run;
use caesure_tests::{Folder, Line, Made, Node, Server, Setup, coins_digest, made, poll};
use ledger::checkpoint;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

fn chain() -> Made {
    made(&Spec { seed: 61, blocks: 320, txs: 5_000, empty_tail: 0 }, &[])
}

const OFTEN: [&str; 4] = ["--checkpoint-interval", "50", "--checkpoint-gap", "60"];

fn started(base: &Folder) -> Node {
    Node::start(base, &Setup::regtest(&[]).with(&OFTEN))
}

/// Checkpoints there are: partition and height.
fn files(base: &Folder) -> Vec<(u16, u32, PathBuf)> {
    let Ok(listed) = fs::read_dir(base.join("regtest/coins")) else { return Vec::new() };
    let parse = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let (partition, height) = path.file_name()?.to_str()?.split_once('-')?;
        Some((partition.parse().ok()?, height.parse().ok()?, path.clone()))
    };
    let mut files: Vec<_> = listed.filter_map(parse).collect();
    files.sort();
    files
}

/// A folder in which every partition has a checkpoint at the root of the whole chain.
fn written(chain: &Made) -> Folder {
    let base = Folder::new();
    fs::create_dir_all(base.join("regtest")).unwrap();
    fs::copy(&chain.path, base.join("regtest/blocks.bin")).unwrap();
    let node = started(&base);
    node.wait_tip(&chain.tip, 60);
    let root = 320 - 100;
    let all = || (files(&base).iter().filter(|(_, height, _)| height + 50 > root).count() >= 256).then_some(());
    poll(60, all).unwrap_or_else(|| panic!("{} checkpoints\n{}", files(&base).len(), node.tail()));
    assert_eq!(node.stop(), 0);
    base
}

fn blocks_read(node: &Node) -> u32 {
    let line = node.wait_log("blocks back", 60);
    let words: Vec<&str> = line.split(' ').collect();
    words[words.iter().position(|word| *word == "blocks").unwrap() - 1].parse().unwrap()
}

#[test]
fn a_start_reads_checkpoints_and_only_the_blocks_above_them() {
    let chain = chain();
    let base = written(&chain);
    // Two are kept of a partition at most, the older far enough below the newer once there is one.
    let files_then = files(&base);
    for partition in 0..256 {
        let heights: Vec<u32> = files_then.iter().filter(|file| file.0 == partition).map(|file| file.1).collect();
        assert!((1..=2).contains(&heights.len()), "partition {partition}: {heights:?}");
    }
    for cores in [1, 2, 5] {
        let node = Node::start(&base, &Setup::regtest(&[]).cores(cores).with(&OFTEN));
        let status = node.wait_tip(&chain.tip, 60);
        let read = blocks_read(&node);
        assert!(read <= 150, "{read} of 320 blocks were read");
        poll(10, || (node.status()["coins"] == chain.coins).then_some(())).unwrap_or_else(|| panic!("{status}"));
        node.kill();
        assert_eq!(coins_digest(&base, "regtest"), chain.digest, "{cores} cores");
    }
}

#[test]
fn damaged_checkpoints_are_named_and_done_without() {
    let chain = chain();
    let base = written(&chain);
    let files_then = files(&base);
    let newest = |partition: u16| files_then.iter().rfind(|file| file.0 == partition).unwrap().2.clone();
    // A flipped bit, a file that is cut, one of another partition, one that is empty.
    let mut bytes = fs::read(newest(7)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(newest(7), &bytes).unwrap();
    let bytes = fs::read(newest(8)).unwrap();
    fs::write(newest(8), &bytes[..bytes.len() - 1]).unwrap();
    fs::copy(newest(10), newest(9)).unwrap();
    fs::write(newest(11), b"").unwrap();
    let node = started(&base);
    node.wait_tip(&chain.tip, 60);
    for partition in [7, 8] {
        node.wait_log(&format!("the checkpoint of partition {partition} at height"), 60);
    }
    assert!(node.logged("under a wrong name; it is not used").is_some());
    assert!(node.logged("cannot be read: it ends at offset 0, in the middle; it is not used").is_some());
    assert_eq!(node.stop(), 0);
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);

    // All of them: from genesis on.
    for (_, _, path) in files(&base) {
        let mut bytes = fs::read(&path).unwrap();
        bytes.iter_mut().last().into_iter().for_each(|byte| *byte ^= 1);
        fs::write(path, bytes).unwrap();
    }
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
}

#[test]
fn a_checkpoint_of_another_network_is_said_with_its_own_status() {
    let chain = chain();
    let base = written(&chain);
    let (_, _, path) = files(&base).remove(0);
    let other = base.join("signet/coins");
    fs::create_dir_all(&other).unwrap();
    fs::copy(&path, other.join(path.file_name().unwrap())).unwrap();
    let on_signet = |words: &[&str]| {
        let with = ["--chain", "signet", "--no-pin", "--cores", "1", "-b", base.text()];
        run(&[&with[..], words].concat())
    };
    // It makes the folder, and finds nothing in a file of regtest.
    assert_eq!(on_signet(&["import", chain.path.to_str().unwrap()]).0, 2);
    let (status, _, why) = on_signet(&["coins", "stats"]);
    assert_eq!(status, 4, "{why}");
    assert!(why.contains("it is a checkpoint of regtest, and this is the folder of signet"), "{why}");
}

/// Generations of checkpoints at heights that are known: the root comes to 100 with the tip at 116, to 200 with 216.
const APART: [&str; 6] = ["--horizon", "16", "--checkpoint-interval", "100", "--checkpoint-gap", "100"];

/// A node whose partitions have checkpoints at 100 and at 200 of this line.
fn two_generations(base: &Folder, peer: &Server, line: &Line) -> Node {
    peer.switch(line.up_to(116));
    let node = Node::start(base, &Setup::regtest(&[peer.addr]).with(&APART));
    for (tip, count) in [(116, 256), (216, 512)] {
        peer.switch(line.up_to(tip));
        node.wait_tip(&line.blocks[tip].0.to_string(), 60);
        let all = || (files(base).len() == count).then_some(());
        poll(60, all).unwrap_or_else(|| panic!("{} checkpoints of {count}\n{}", files(base).len(), node.tail()));
    }
    let heights: Vec<u32> = files(base).iter().map(|file| file.1).collect();
    assert!(heights.chunks(2).all(|kept| kept == [100, 200]), "{heights:?}");
    node
}

fn parsed(status: &Value) -> u64 {
    status["cores"].as_array().unwrap().iter().map(|core| core["block_parsed"].as_u64().unwrap()).sum()
}

/// A branch that leaves after height `at` wins over one of 216 blocks, in a node that is killed before it comes and while
/// coins are made anew for it, and in one that is not. `read_back` are the blocks below it that have to be read again.
fn won_from(at: u32, read_back: u64) {
    let length = 216 - at;
    let lost = Fork { at, length, txs: 20 * length };
    let chain = made(&Spec { seed: 63, blocks: 220, txs: 4_000, empty_tail: 0 }, &[lost]);
    let first = chain.after(1 + 216);
    for killed in [false, true] {
        let (base, peer) = (Folder::new(), Server::honest(first.clone()));
        let mut node = two_generations(&base, &peer, &first);
        if killed {
            node.kill();
            node = Node::start(&base, &Setup::regtest(&[peer.addr]).cores(5).with(&APART));
            node.wait_tip(&first.tip().to_string(), 60);
            assert_eq!(blocks_read(&node), 16, "the newest generation is read");
        }
        let before = parsed(&node.status());
        peer.switch(chain.line());
        if killed && read_back > 0 {
            node.wait_log("rebuilding all coins", 60);
            node.kill();
            node = Node::start(&base, &Setup::regtest(&[peer.addr]).cores(3).with(&APART));
        }
        let status = node.wait_tip(&chain.tip, 60);
        if !killed {
            let (new, parsed) = (u64::from(220 - at), parsed(&status) - before);
            // Blocks of the branch may come before it wins, and are read again then.
            assert!((new + read_back..=2 * new + read_back).contains(&parsed), "{parsed} blocks were parsed");
            assert_eq!(node.logged("rebuilding all coins").is_some(), read_back > 0);
        }
        assert_eq!(status["coins"], chain.coins, "killed: {killed}\n{}", node.tail());
        assert_eq!(node.stop(), 0);
        assert_eq!(coins_digest(&base, "regtest"), chain.digest, "killed: {killed}");
    }
}

#[test]
fn a_branch_from_the_newest_checkpoints_wins_without_reading_any() {
    won_from(200, 0);
}

#[test]
fn a_branch_from_one_block_below_the_newest_checkpoints_wins_over_the_older_ones() {
    won_from(199, 99);
}

#[test]
fn a_branch_from_one_block_below_the_older_checkpoints_wins_from_genesis_on() {
    won_from(99, 99);
}

/// How many checkpoints are of blocks of this line above a height.
fn of_line(base: &Folder, line: &Line, above: u32) -> usize {
    let is_of_line = |path: &PathBuf| {
        let bytes = fs::read(path).ok()?;
        let head = checkpoint::head(bytes.first_chunk()?).ok()?;
        (head.height > above && line.blocks.get(head.height as usize)?.0 == head.block).then_some(())
    };
    files(base).iter().filter(|file| is_of_line(&file.2).is_some()).count()
}

/// The tip goes to a fork and back, and each time the node is killed when some partitions have checkpoints of the branch it
/// is on and others have those of the branch it left.
#[test]
fn killed_with_checkpoints_on_both_sides_of_a_fork_it_goes_to_either_side() {
    let fork = Fork { at: 150, length: 180, txs: 3_000 };
    let chain = made(&Spec { seed: 64, blocks: 430, txs: 8_000, empty_tail: 0 }, &[fork]);
    let (rival, line) = (chain.after(1 + 150 + 180), chain.line());
    let (base, peer) = (Folder::new(), Server::honest(line.up_to(216)));
    let mut node = two_generations(&base, &peer, &line);
    for (branch, cores) in [(&rival, 5), (&line, 1)] {
        peer.switch(branch.clone());
        let some = poll(60, || Some(of_line(&base, branch, fork.at)).filter(|count| *count >= 20));
        some.unwrap_or_else(|| panic!("no checkpoints of that branch\n{}", node.tail()));
        node.kill();
        println!("{} of {} checkpoints are of that branch", of_line(&base, branch, fork.at), files(&base).len());
        node = Node::start(&base, &Setup::regtest(&[peer.addr]).cores(cores).with(&APART));
        node.wait_tip(&branch.tip().to_string(), 60);
        let fresh = Folder::new();
        fs::create_dir_all(fresh.join("regtest")).unwrap();
        fs::write(fresh.join("regtest/blocks.bin"), branch.records()).unwrap();
        let wanted = coins_digest(&fresh, "regtest");
        let ours = node.ask("digest");
        assert!(ours.contains(&wanted), "{ours}, it should be {wanted}\n{}", node.tail());
    }
    assert_eq!(node.stop(), 0);
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
}
