//! Checkpoints in a running node: what is written is read back at the next start, what is damaged is named and done
//! without, and a killed node ends with the same coins.

use caesure_bench::chain::Spec;
use caesure_tests::binary::run;
use caesure_tests::{Folder, Made, Node, Setup, coins_digest, made, poll};
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

#[test]
fn killed_at_any_moment_it_ends_with_the_same_coins() {
    let chain = chain();
    let base = Folder::new();
    fs::create_dir_all(base.join("regtest")).unwrap();
    fs::copy(&chain.path, base.join("regtest/blocks.bin")).unwrap();
    for enough in [1, 60, 200, 257, 300, 420, 511] {
        let node = started(&base);
        // Until so many files are there, or all that there will be.
        poll(3, || (files(&base).len() >= enough).then_some(()));
        node.kill();
    }
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
    let node = started(&base);
    assert_eq!(node.wait_tip(&chain.tip, 60)["height"], 320);
    assert_eq!(node.stop(), 0);
}
