//! Tools round the files: what they find, what they mend and cut, and that a running node takes no notice.

use caesure_bench::block::coinbase;
use caesure_bench::chain::Spec;
use caesure_bench::records::{Fork, write_record};
use caesure_bench::tx::sha256d;
use caesure_tests::binary::run;
use caesure_tests::{Folder, Line, Made, Node, Server, Setup, blocks, coins_digest, made, poll};
use consensus::BlockHash;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// 200 blocks, a rival of two at height 150.
fn chain() -> Made {
    made(&Spec { seed: 71, blocks: 200, txs: 4_000, empty_tail: 0 }, &[Fork { at: 150, length: 2, txs: 20 }])
}

/// Status, standard output, standard error.
fn tool(base: &Folder, words: &[&str]) -> (i32, String, String) {
    let of = ["--chain", "regtest", "-b", base.text(), "--no-pin", "--cores", "2"];
    run(&[words, &of].concat())
}

fn file(base: &Folder) -> PathBuf {
    base.join("regtest/blocks.bin")
}

/// A folder whose node has verified and indexed the whole chain.
fn indexed(chain: &Made) -> Folder {
    let base = chain.stored();
    let node = Node::start(&base, &Setup::regtest(&[]).with(&["--checkpoint-bandwidth", "0"]));
    node.wait_tip(&chain.tip, 60);
    // The rival's two blocks are valid too.
    let all = || (inspected(&base)["index"]["valid"] == 202).then_some(());
    poll(60, all).expect("the index says that all is valid");
    assert_eq!(node.stop(), 0);
    base
}

fn inspected(base: &Folder) -> Value {
    let (status, out, err) = tool(base, &["inspect", "--json"]);
    assert_eq!(status, 0, "{err}");
    serde_json::from_str(&out).expect("JSON")
}

fn hash_at(path: &Path, record: usize) -> (u64, u64, BlockHash) {
    let (at, block) = blocks(path)[record].clone();
    (at as u64, block.len() as u64 + 8, BlockHash(sha256d(&block[..80])))
}

fn write_at(path: &Path, at: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

/// A node with a peer ends with the right coins, and with nothing that is not somewhere whole.
fn mends_itself(base: &Folder, chain: &Made) {
    let peer = Server::honest(chain.line());
    let node = Node::start(base, &Setup::regtest(&[peer.addr]));
    assert_eq!(node.wait_tip(&chain.tip, 60)["coins"], chain.coins);
    assert_eq!(node.stop(), 0);
    assert_eq!(coins_digest(base, "regtest"), chain.digest);
}

#[test]
fn a_sound_file_is_told_with_its_best_chain() {
    let chain = chain();
    let base = indexed(&chain);
    let (status, out, err) = tool(&base, &["blocks", "verify"]);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains(&format!("best chain       height 200 {}", chain.tip)), "{out}");
    for told in [
        "records          203 in ",
        "other branches   2 record(s); 0 of blocks",
        "break a rule     0 ",
        "203 records, 202 known to be valid, 0 bytes behind; all as it says",
        "damage           0 place(s), 0 bytes",
    ] {
        assert!(out.contains(told), "{told}: {out}");
    }
    let (status, out, err) = tool(&base, &["blocks", "repair"]);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("sound            nothing else is damaged") && !out.contains("mended"), "{out}");
}

#[test]
fn damage_is_told_by_offset_and_length_with_the_block_that_lay_there() {
    let chain = chain();
    let base = indexed(&chain);
    let path = file(&base);
    let (header, body, last) = (hash_at(&path, 40), hash_at(&path, 90), hash_at(&path, 202));
    write_at(&path, header.0 + 20, &[0xaa; 30]);
    write_at(&path, body.0 + body.1 - 60, &[0xaa; 30]);
    write_at(&path, last.0 + last.1, &[1, 2, 3]);
    let (status, out, err) = tool(&base, &["blocks", "verify"]);
    assert_eq!(status, 4, "{out}{err}");
    assert!(err.contains("caesure blocks repair"), "{err}");
    for told in [
        format!("offset {}, {} bytes: no record; there lay block {} (height 40)", header.0, header.1, header.2),
        format!("offset {}, {} bytes: block {} (height 90): ", body.0, body.1, body.2),
        format!("offset {}, 3 bytes: the end of an interrupted write", last.0 + last.1),
        "damage           3 place(s)".into(),
        "1 of its records are not there".into(),
        "best chain       height 39 ".into(),
    ] {
        assert!(out.contains(&told), "{told}: {out}");
    }
    // Nothing was touched, and without the index only the names are not known.
    fs::remove_file(base.join("regtest/blocks.idx")).unwrap();
    let (status, out, _) = tool(&base, &["blocks", "verify"]);
    assert_eq!(status, 4);
    assert!(out.contains(&format!("offset {}, {} bytes: no record\n", header.0, header.1)), "{out}");
    assert!(out.contains("there is none"), "{out}");
}

#[test]
fn a_hole_is_no_damage_and_zeros_are() {
    let chain = chain();
    let base = indexed(&chain);
    let path = file(&base);
    let (from, to) = (hash_at(&path, 20).0.next_multiple_of(4096), hash_at(&path, 60).0 / 4096 * 4096);
    let whole = fs::read(&path).unwrap();
    write_at(&path, from, &vec![0; (to - from) as usize]);
    assert_eq!(tool(&base, &["blocks", "verify"]).0, 4);
    fs::write(&path, &whole).unwrap();
    let words = ["--punch-hole", "--offset", &from.to_string(), "--length", &(to - from).to_string()];
    assert!(Command::new("fallocate").args(words).arg(&path).status().unwrap().success());
    let (status, out, err) = tool(&base, &["blocks", "verify"]);
    assert_eq!(status, 0, "{out}{err}");
    assert!(out.contains(&format!("holes            1 of {} bytes", to - from)), "{out}");
    assert!(out.contains(&format!("best chain       height 200 {}", chain.tip)), "{out}");
    let blocks = inspected(&base)["blocks"].clone();
    assert!(blocks["allocated"].as_u64() < blocks["bytes"].as_u64(), "{blocks}");
}

#[test]
fn tools_look_on_beside_a_node_that_writes() {
    let chain = made(&Spec { seed: 62, blocks: 600, txs: 40_000, empty_tail: 0 }, &[]);
    let base = Folder::new();
    let peer = Server::honest(chain.line());
    let node = Node::start(&base, &Setup::regtest(&[]).with(&["--checkpoint-interval", "50"]));
    peer.dial(node.p2p);
    let mut during = 0;
    let done = poll(120, || {
        let (status, out, err) = tool(&base, &["blocks", "verify"]);
        assert_eq!(status, 0, "{out}{err}");
        assert!(out.contains(&format!("node             process {} is running", node.pid())), "{out}");
        assert_eq!(inspected(&base)["node"], node.pid());
        let height = node.status()["height"].as_u64().unwrap();
        during += u32::from(height > 0 && height < 600);
        (height == 600).then_some(())
    });
    done.unwrap_or_else(|| panic!("no tip\n{}", node.tail()));
    println!("{during} looks during the sync");
    for words in [&["blocks", "repair"][..], &["blocks", "truncate", "5", "--yes"]] {
        let (status, out, err) = tool(&base, words);
        assert_eq!((status, out.as_str()), (3, ""), "{err}");
        assert!(err.contains(&format!("process {}", node.pid())), "{err}");
    }
    assert_eq!(node.stop(), 0);
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
    assert_eq!(inspected(&base)["node"], Value::Null);
}

#[test]
fn repair_cuts_a_torn_end_and_keeps_it_and_leaves_the_middle_alone() {
    let chain = chain();
    let base = indexed(&chain);
    let path = file(&base);
    let (middle, last) = (hash_at(&path, 90), hash_at(&path, 202));
    write_at(&path, middle.0 + 200, &[0xaa; 30]);
    // A block that was not written to its end.
    let torn = [&fs::read(&path).unwrap()[middle.0 as usize..][..150], &[7; 50]].concat();
    let end = last.0 + last.1;
    write_at(&path, end, &torn);
    let before = fs::read(&path).unwrap();
    let (status, out, err) = tool(&base, &["blocks", "repair"]);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains(&format!("200 bytes behind the last whole record, at offset {end}, are in ")), "{out}");
    assert!(out.contains("1 place(s) stay damaged: the node asks peers"), "{out}");
    assert_eq!(fs::read(base.join(&format!("regtest/blocks.bin.cut-{end}"))).unwrap(), torn);
    assert!(out.contains(&format!("offset {end}, {} bytes: block {} (height 90)", middle.1, middle.2)), "{out}");
    let after = fs::read(&path).unwrap();
    assert_eq!(after[..end as usize], before[..end as usize]);
    assert!(after[end as usize..].iter().all(|byte| *byte == 0) && after.len().is_multiple_of(4096));
    let (status, out, _) = tool(&base, &["blocks", "verify"]);
    assert_eq!(status, 4);
    assert!(out.contains("damage           1 place(s)") && out.contains(&middle.2.to_string()), "{out}");
    // Another end like that is kept beside the first.
    write_at(&path, end, &[8; 10]);
    assert_eq!(tool(&base, &["blocks", "repair"]).0, 0);
    assert_eq!(fs::read(base.join(&format!("regtest/blocks.bin.cut-{end}"))).unwrap(), torn);
    assert_eq!(fs::read(base.join(&format!("regtest/blocks.bin.cut-{end}.2"))).unwrap(), [8; 10]);
    mends_itself(&base, &chain);
}

#[test]
fn repair_makes_the_index_anew_and_keeps_its_verdicts() {
    let chain = chain();
    let base = indexed(&chain);
    let index = base.join("regtest/blocks.idx");
    let whole = fs::read(&index).unwrap();
    // Sixty verdicts are gone, and bytes that are no rows stand there.
    fs::write(&index, [&whole[..whole.len() - 60 * 13], &[9; 100]].concat()).unwrap();
    let (status, out, err) = tool(&base, &["blocks", "repair"]);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("mended           blocks.idx is made anew, 203 records"), "{out}");
    let told = inspected(&base)["index"].clone();
    assert_eq!((&told["records"], &told["behind"], &told["damage"]), (&203.into(), &0.into(), &Value::Null));
    assert_eq!(told["valid"], 202 - 60);
    let node = Node::start(&base, &Setup::regtest(&[]));
    let run = node.wait_tip(&chain.tip, 60)["inputs_run"].as_u64().unwrap();
    assert_eq!(node.stop(), 0);
    let fresh = chain.stored();
    let node = Node::start(&fresh, &Setup::regtest(&[]));
    let all = node.wait_tip(&chain.tip, 60)["inputs_run"].as_u64().unwrap();
    assert!(0 < run && run < all, "{run} of {all} inputs were run again");
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
}

/// The digest of a node that never saw a block above that height.
fn digest_at(chain: &Made, height: usize) -> String {
    let base = Folder::new();
    fs::create_dir_all(base.join("regtest")).unwrap();
    let line = chain.line();
    // Above their fork the first of two at the same height is the tip: the rival, which came first.
    let records = blocks(&chain.path).into_iter().enumerate().filter(|(number, (_, block))| {
        let hash = BlockHash(sha256d(&block[..80]));
        let found = line.blocks.iter().position(|(found, _)| *found == hash);
        found.unwrap_or(*number) <= height
    });
    let line =
        Line { magic: line.magic, blocks: records.map(|(_, (_, block))| (BlockHash([0; 32]), block.into())).collect() };
    fs::write(file(&base), line.records()).unwrap();
    coins_digest(&base, "regtest")
}

/// Truncates at a height in the midst of the rival, and goes on from there.
fn truncated(chain: &Made, base: &Folder, height: usize) {
    let path = file(base);
    let heights = |path: &Path| {
        let line = chain.line();
        let on_line = |hash: &BlockHash| line.blocks.iter().position(|(found, _)| found == hash);
        let found = blocks(path).into_iter().map(|(_, block)| BlockHash(sha256d(&block[..80])));
        found.map(|hash| on_line(&hash)).collect::<Vec<_>>()
    };
    let words = ["blocks", "truncate", &height.to_string()];
    let before = fs::read(&path).unwrap();
    let (status, out, err) = tool(base, &words);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("nothing was removed; to remove that, say --yes"), "{err}");
    assert!(out.contains(&format!("above height {height} go")), "{out}");
    assert!(fs::read(&path).unwrap() == before, "it was only asked");
    let (status, out, err) = tool(base, &[&words[..], &["--yes"]].concat());
    assert_eq!(status, 0, "{err}");
    let left = heights(&path);
    // Of the rival, at 151 and 152, what is not above the height.
    let rival = left.iter().filter(|height| height.is_none()).count();
    assert_eq!(rival, height.clamp(150, 152) - 150, "{out}");
    let mut on_line: Vec<usize> = left.into_iter().flatten().collect();
    on_line.sort_unstable();
    assert_eq!(on_line, (0..=height).collect::<Vec<_>>());
    let told = inspected(base);
    assert_eq!((&told["index"]["behind"], &told["blocks"]["damage"]), (&0.into(), &Value::Null), "{told}");
    for generation in told["checkpoints"]["generations"].as_array().unwrap() {
        assert!(generation["highest"].as_u64().unwrap() <= height as u64, "{generation}");
    }
    assert!(!base.join("regtest/blocks.bin.moved").exists());
    assert_eq!(coins_digest(base, "regtest"), digest_at(chain, height));
    // Again: nothing is left to do.
    let (status, out, _) = tool(base, &words);
    assert!(status == 0 && out.contains("nothing lies above that height"), "{out}");
}

#[test]
fn a_truncated_file_ends_at_the_height_on_every_branch_and_the_node_goes_on() {
    let chain = chain();
    for height in [190, 151, 60] {
        let base = chain.stored();
        let node = Node::start(&base, &Setup::regtest(&[]).with(&["--checkpoint-interval", "20", "--horizon", "16"]));
        node.wait_tip(&chain.tip, 60);
        let all = || inspected(&base)["checkpoints"]["generations"][0]["partitions"].as_u64().filter(|n| *n == 256);
        poll(60, all).expect("every partition has a checkpoint");
        assert_eq!(node.stop(), 0);
        fs::write(base.join("regtest/invalidated"), "").unwrap();
        truncated(&chain, &base, height);
        assert!(base.join("regtest/invalidated").exists());
        mends_itself(&base, &chain);
    }
}

#[test]
fn records_that_stay_behind_some_that_go_are_written_again() {
    let chain = chain();
    let base = Folder::new();
    fs::create_dir_all(base.join("regtest")).unwrap();
    // Pairs lie the wrong way round, and the last block comes second.
    let mut records: Vec<Vec<u8>> = blocks(&chain.path).into_iter().map(|(_, block)| block).collect();
    let last = records.pop().unwrap();
    records[1..].chunks_mut(2).for_each(|pair| pair.reverse());
    records.insert(1, last);
    let mut bytes = Vec::new();
    for block in records {
        bytes.extend([0xfa, 0xbf, 0xb5, 0xda]);
        bytes.extend((block.len() as u32).to_le_bytes());
        bytes.extend(block);
    }
    fs::write(file(&base), bytes).unwrap();
    truncated(&chain, &base, 160);
    mends_itself(&base, &chain);
}

#[test]
fn a_truncation_that_was_cut_short_is_said_and_its_blocks_come_back() {
    let chain = chain();
    let base = indexed(&chain);
    let moved = base.join("regtest/blocks.bin.moved");
    // As if the power had gone after the cut: the rest is in that file alone.
    let at = hash_at(&file(&base), 150).0;
    let all = fs::read(file(&base)).unwrap();
    fs::write(&moved, &all[at as usize..]).unwrap();
    fs::write(file(&base), &all[..at as usize]).unwrap();
    for words in [&["blocks", "repair"][..], &["blocks", "truncate", "10", "--yes"]] {
        let (status, _, err) = tool(&base, words);
        assert_eq!(status, 1, "{err}");
        assert!(err.contains(&format!("try: caesure import {}", moved.display())), "{err}");
    }
    assert_eq!(tool(&base, &["import", moved.to_str().unwrap()]).0, 0);
    fs::remove_file(moved).unwrap();
    assert_eq!(tool(&base, &["blocks", "repair"]).0, 0);
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
}

#[test]
fn a_block_that_breaks_a_rule_is_no_damage() {
    let line = Line::regtest().branch(0, 5, 1);
    let worse = line.next(vec![coinbase(6, vec![], &[9])], 2);
    let base = Folder::new();
    fs::create_dir_all(base.join("regtest")).unwrap();
    let mut bytes = line.records();
    write_record(&mut bytes, &worse).unwrap();
    fs::write(file(&base), bytes).unwrap();
    let (status, out, err) = tool(&base, &["blocks", "verify"]);
    println!("{out}{err}");
    assert_eq!(status, 0);
    assert!(out.contains("break a rule     1 block(s)") && out.contains("bad-cb-multiple"), "{out}");
}

#[test]
fn one_file_is_told_by_its_head_and_where_it_is_damaged() {
    let chain = chain();
    let base = chain.stored();
    let node = Node::start(&base, &Setup::regtest(&[]).with(&["--checkpoint-interval", "20"]));
    node.wait_tip(&chain.tip, 60);
    let all = || inspected(&base)["checkpoints"]["generations"][0]["partitions"].as_u64().filter(|n| *n == 256);
    poll(60, all).expect("every partition has a checkpoint");
    assert_eq!(node.stop(), 0);
    let one = |path: &Path| {
        let (status, out, _) = tool(&base, &["inspect", "--json", path.to_str().unwrap()]);
        (status, serde_json::from_str::<Value>(&out).unwrap()[0].clone())
    };
    let (status, out, err) = tool(&base, &["inspect", "--json", "--verify"]);
    assert_eq!(status, 0, "{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    let coins: u64 = newest(&base).iter().map(|path| one(path).1["coins"].as_u64().unwrap()).sum();
    assert_eq!(told["checkpoints"]["generations"][0]["coins"], coins, "{told}");
    assert!(coins > 50, "{coins}");

    let listed = fs::read_dir(base.join("regtest/coins")).unwrap().map(|entry| entry.unwrap().path());
    let path =
        listed.filter(|path| path.extension().is_none()).max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let (status, told) = one(&path);
    assert_eq!((status, &told["kind"], &told["network"]), (0, &"checkpoint".into(), &"regtest".into()));
    let name = format!("{:03}-{}", told["partition"].as_u64().unwrap(), told["height"]);
    assert_eq!(path.file_name().unwrap().to_str().unwrap(), name);
    assert_eq!(told["block"], chain.line().blocks[told["height"].as_u64().unwrap() as usize].0.to_string());
    assert!(told["coins"].as_u64().unwrap() > 0 && told["pieces"].as_u64().unwrap() > 0);

    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (status, told) = one(&path);
    assert_eq!(status, 4);
    assert!(told["damage"].as_str().unwrap().contains("before offset"), "{told}");
    assert_eq!(tool(&base, &["inspect"]).0, 0, "only heads are looked at");
    let (status, out, err) = tool(&base, &["inspect", "--verify"]);
    assert_eq!(status, 4);
    assert!(out.contains(&format!("{}: checksum", path.display())) && err.contains("try: rm "), "{out}{err}");

    let index = base.join("regtest/blocks.idx");
    let (status, told) = one(&index);
    assert_eq!((status, &told["kind"], &told["records"]), (0, &"index".into(), &203.into()));
    let bytes = fs::read(&index).unwrap();
    fs::write(&index, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(one(&index).0, 4);
    assert_eq!(tool(&base, &["inspect", chain.path.to_str().unwrap()]).0, 2);
}

/// Of each partition the newest checkpoint.
fn newest(base: &Folder) -> Vec<PathBuf> {
    let mut found = BTreeMap::new();
    for path in fs::read_dir(base.join("regtest/coins")).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some((partition, height)) = name.split_once('-') else { continue };
        let height: u32 = height.parse().unwrap();
        let best = found.entry(partition.to_owned()).or_insert((height, path.clone()));
        *best = best.clone().max((height, path));
    }
    found.into_values().map(|(_, path)| path).collect()
}
