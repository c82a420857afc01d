//! House rules that no compiler checks: openings of files, floors, walls between shards, sizes, unfinished words.
//!
//! Rules ratchet: exceptions are listed here with their reason, and one that is no longer needed is an error.

use caesure_tests::binary::workspace;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file below the wall.
const LINES_MAX: usize = 400;
/// Files below the wall that may be longer, and why.
const LONG: [(&str, &str); 0] = [];

fn files(folder: &Path, end: &str, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        if entry.is_dir() && name != "target" && !name.starts_with('.') {
            files(&entry, end, into);
        } else if name.ends_with(end) {
            into.push(entry);
        }
    }
}

/// Every source file by its path from the root of the workspace.
fn sources() -> BTreeMap<String, String> {
    let (root, mut found) = (workspace(), Vec::new());
    files(&root, ".rs", &mut found);
    assert!(found.len() > 50, "the sources were not found");
    let relative = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    found.iter().map(|path| (relative(path), fs::read_to_string(path).unwrap())).collect()
}

/// Packages of the workspace that the manifest of a folder depends on.
fn ours(folder: &str) -> Vec<String> {
    let text = fs::read_to_string(workspace().join(folder).join("Cargo.toml")).unwrap();
    let section = text.split("\n[dependencies]").nth(1).unwrap_or_default().split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    let packages = [
        "consensus",
        "describe",
        "ledger",
        "wire",
        "shards",
        "tuning",
        "caesure",
        "caesure-bench",
        "caesure-tests",
        "hashes",
        "lanes",
    ];
    names.filter(|name| packages.contains(name)).map(String::from).collect()
}

#[test]
fn every_file_opens_with_what_it_decides() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{path} opens without //!");
    }
}

#[test]
fn crates_import_only_lower_floors() {
    let below: [(&str, &[&str]); 8] = [
        ("shards/consensus", &["hashes"]),
        ("shards/describe", &["consensus"]),
        ("shards/hashes", &[]),
        ("shards/lanes", &[]),
        ("shards/ledger", &["consensus"]),
        ("shards/wire", &["consensus"]),
        ("shards", &["consensus", "describe", "lanes", "ledger", "wire"]),
        ("tuning", &[]),
    ];
    for (folder, allowed) in below {
        let wrong: Vec<String> = ours(folder).into_iter().filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(wrong.is_empty(), "{folder} must not import {wrong:?}");
    }
    assert!(ours("shards").len() == 5 && !ours("").is_empty(), "the manifests were not read");
}

#[test]
fn shards_never_import_each_other() {
    let cast = ["book", "chain", "peer", "status", "store", "utxo", "verify"];
    for (path, text) in sources() {
        let Some(inside) = path.strip_prefix("shards/") else { continue };
        let own = inside.split(['/', '.']).next().unwrap();
        if !cast.contains(&own) || path.contains("tests") {
            continue;
        }
        for other in cast.iter().filter(|other| **other != own) {
            assert!(!text.contains(&format!("crate::{other}::")), "{path} names crate::{other}");
            assert!(!text.contains(&format!("use crate::{other}")), "{path} uses crate::{other}");
        }
    }
}

#[test]
fn files_below_the_wall_are_short() {
    let sources = sources();
    let long = |path: &str| sources.get(path).map_or(0, |text| text.lines().count()) > LINES_MAX;
    for path in sources.keys().filter(|path| path.starts_with("shards/") && long(path)) {
        assert!(LONG.iter().any(|(listed, _)| listed == path), "{path} has more than {LINES_MAX} lines");
    }
    for (path, reason) in LONG {
        assert!(!reason.is_empty() && long(path), "{path} is listed as long and is not, or not there");
    }
}

/// Below the wall four files may hold `unsafe`: the registers of lanes and of hashes, what stands in for those in tests, and
/// hints to the processor. Each block says why it is sound.
#[test]
fn unsafe_is_where_its_proof_is() {
    let sources = sources();
    let holders: Vec<&str> = sources
        .iter()
        .filter(|(path, text)| path.starts_with("shards/") && text.contains("allow(unsafe_code"))
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(
        holders,
        [
            "shards/hashes/src/zmm.rs",
            "shards/lanes/src/spelled.rs",
            "shards/lanes/src/zmm.rs",
            "shards/ledger/src/base/prefetch.rs"
        ]
    );
    for (holder, most) in [(holders[0], 5), (holders[2], 1_000)] {
        let lines: Vec<&str> = sources[holder].lines().map(str::trim).collect();
        let blocks: Vec<usize> = (1..lines.len()).filter(|at| lines[*at].contains("unsafe {")).collect();
        assert!((4..most).contains(&blocks.len()), "{holder}: {} blocks", blocks.len());
        for at in blocks {
            assert!(lines[at - 1].starts_with("// SAFETY: "), "{holder}:{}: no proof", at + 1);
        }
    }
}

/// A signature is proven by code of our own, beside the library that it is held against, not with its help.
#[test]
fn lanes_do_not_lean_on_libsecp256k1() {
    let text = fs::read_to_string(workspace().join("shards/lanes/Cargo.toml")).unwrap();
    let section = text.split("\n[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    assert!(section.contains("bitcoin_hashes") && !section.contains("secp256k1"), "{section}");
}

#[test]
fn nothing_is_left_unfinished() {
    let words = ["FIX", "TO", "XX"].iter().zip(["ME", "DO", "X"]).map(|(a, b)| format!("{a}{b}"));
    let words: Vec<String> = words.chain([format!("todo{}", "!("), format!("unimplemented{}", "!(")]).collect();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            let found = words.iter().find(|word| line.contains(word.as_str()));
            assert!(found.is_none(), "{path}:{}: {line}", number + 1);
        }
    }
}

#[test]
fn every_limit_is_used() {
    let sources = sources();
    let limits = &sources["shards/limits.rs"];
    let names = limits
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.strip_prefix("fn ").xor(line.strip_prefix("pub const ")));
    let names: Vec<&str> = names.map(|rest| rest.split([':', '(']).next().unwrap()).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let elsewhere = sources.iter().filter(|(path, _)| *path != "shards/limits.rs" && !path.starts_with("tests/"));
        assert!(elsewhere.clone().any(|(_, text)| text.contains(name)), "nobody heeds limits::{name}");
    }
}

/// Each word says who speaks to whom: in the sentence above it, under a heading of two shards.
#[test]
fn every_word_between_shards_is_explained() {
    let text = &sources()["shards/msg.rs"];
    let words = text.split("pub enum Msg {").nth(1).unwrap().split("\n}").next().unwrap();
    let (mut headings, mut before) = (0, "");
    for line in words.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("// ----") {
            assert!(line.contains('→') || line.contains('↔'), "a heading names both: {line}");
            headings += 1;
        } else if !line.starts_with("//") {
            assert!(before.starts_with("/// ") && headings > 0, "{line} is not explained");
        }
        before = line;
    }
    assert!(headings > 5);
}

/// Faults of glommio 0.9 that are avoided by not using the part that has them; those that can be provoked have tests of
/// their own in `src/links.rs`, `src/disk.rs` and `src/net.rs`.
#[test]
fn parts_of_glommio_that_are_broken_are_not_used() {
    let broken = [
        ("MeshBuilder", "it shares an Rc between threads"),
        ("DmaStreamWriter", "it always starts at offset 0"),
        ("Latency::Matters", "it arms a short preempt timer, which starves executors that share a CPU"),
        (".cancel()", "it leaks the task's cell"),
        ("sender.send(", "a sender that waits for room spins for ever when the receiver goes"),
        ("select!", "an idle channel's wakers pile up until the executor panics"),
    ];
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with("src/")) {
        for (word, why) in broken {
            assert!(!text.contains(word), "{path} uses {word}: {why}");
        }
    }
    let manifest = fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("panic = \"abort\""), "a panic must not leave other executors waiting for ever");
    assert!(sources()["src/executor.rs"].contains("const PREEMPT: Duration = Duration::from_secs(1);"));
}

#[test]
fn the_papers_are_there() {
    for name in [
        "README.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "shards/README.md",
        "shards/clippy.toml",
        ".ci/run",
    ] {
        assert!(workspace().join(name).exists(), "{name} is missing");
    }
}
