//! Figures for Prometheus: their names, their numbers, the dashboard that shows them.

use super::*;
use crate::status::scrape::{Kind, READY, families};
use std::collections::BTreeSet;

/// Every subject there is, …
const SUBJECTS: [&str; 22] = [
    "node",
    "tip",
    "header",
    "sync",
    "history",
    "block",
    "branch",
    "window",
    "peer",
    "address",
    "clock",
    "world",
    "base",
    "checkpoint",
    "file",
    "disk",
    "script",
    "lane",
    "stage",
    "link",
    "core",
    "shard",
];
/// … and every unit.
const UNITS: [&str; 22] = [
    "bytes",
    "seconds",
    "ratio",
    "height",
    "info",
    "state",
    "blocks",
    "transactions",
    "branches",
    "peers",
    "addresses",
    "worlds",
    "versions",
    "coins",
    "shards",
    "times",
    "inputs",
    "signatures",
    "scripts",
    "words",
    "steps",
    "parts",
];
/// Actions that do not end in -ed.
const IRREGULAR: [&str; 13] = [
    "built", "held", "left", "known", "spent", "run", "proven", "overrun", "mistaken", "written", "sent", "taken",
    "grown",
];

#[test]
fn names_keep_to_the_grammar() {
    let mut seen = BTreeSet::new();
    let (mut subjects, mut units) = (BTreeSet::new(), BTreeSet::new());
    for family in families() {
        let name = family.name;
        assert!(seen.insert(name), "{name} is there twice");
        let (rest, total) = name.strip_suffix("_total").map_or((name, false), |rest| (rest, true));
        assert_eq!(total, family.kind == Kind::Counter, "{name}: counters end with _total, nothing else does");
        let words: Vec<&str> = rest.split('_').collect();
        let ["caesure", subject, action, unit] = words.as_slice() else { panic!("{name} has not three words") };
        assert!(SUBJECTS.contains(subject) && UNITS.contains(unit), "{name}");
        let past = action.ends_with("ed") || IRREGULAR.contains(action);
        assert!(past, "{name}: {action} is no past tense");
        assert!(family.help.ends_with('.') && !family.help.contains('\n') && family.help.len() < 80, "{name}");
        subjects.insert(*subject);
        units.insert(*unit);
    }
    let of = |all: &[&'static str]| all.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!((subjects, units), (of(&SUBJECTS), of(&UNITS)), "words that no name uses");
}

/// The samples of a text: name and labels, number.
fn samples(text: &str) -> Vec<(String, f64)> {
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| line.rsplit_once(' ').unwrap()).map(|(name, n)| (name.into(), n.parse().unwrap())).collect()
}

fn value(text: &str, name: &str) -> f64 {
    let found: Vec<f64> = samples(text).into_iter().filter(|(row, _)| row == name).map(|(_, n)| n).collect();
    assert_eq!(found.len(), 1, "{name} in {text}");
    found[0]
}

#[test]
fn figures_are_what_the_view_says() {
    let (mut status, mut cx) = sample(4, 5, "/\"}\n evil_total 1/");
    let text = at_once(&mut status, &mut cx, "metrics 123456789");
    for (name, wanted) in [
        ("caesure_node_built_info{version=\"caesure 0.1.0\",chain=\"main\"}", 1.0),
        ("caesure_node_reached_state{state=\"downloading\"}", 1.0),
        ("caesure_node_reached_state{state=\"synced\"}", 0.0),
        ("caesure_node_readied_state", 0.0),
        ("caesure_tip_reached_height", 123_463.0),
        ("caesure_header_reached_height", 812_004.0),
        ("caesure_tip_aged_seconds", 10_000.0),
        ("caesure_tip_held_coins", 43_333_463.0),
        ("caesure_peer_connected_peers{direction=\"out\"}", 8.0),
        ("caesure_peer_connected_peers{direction=\"in\"}", 3.0),
        ("caesure_history_awaited_blocks", 497.0),
        ("caesure_file_awaited_bytes", 8_000_000.0),
        ("caesure_world_filled_bytes", 714_000_000.0),
        ("caesure_peer_received_bytes_total", 40.0 * 88e6),
        ("caesure_disk_left_bytes", 123_456_789.0),
        ("caesure_checkpoint_failed_shards", 0.0),
        ("caesure_link_overrun_words_total", 0.0),
    ] {
        assert_eq!(value(&text, name), wanted, "{name}");
    }
    assert!(!at_once(&mut status, &mut cx, "metrics").contains("disk_left"), "what is not known is not there");
    assert!(at_once(&mut status, &mut cx, "metrics x").starts_with("error: "));
    assert!(!text.contains("evil"), "nothing that a peer said is a figure");

    let pages = status.view.setup.pages.clone();
    pages.core(1).stage_ns[Stage::Verify as usize].set(1_500_000_007);
    pages.core(1).link_overrun.add(3);
    pages.work(2).signature_settled.add(77);
    let cores = at_once(&mut status, &mut cx, "metrics/cores");
    assert!(cores.contains("\ncaesure_core_spent_seconds_total{core=\"1\",stage=\"verify\"} 1.500000007\n"), "{cores}");
    assert_eq!(value(&cores, "caesure_core_overrun_words_total{core=\"1\"}"), 3.0);
    assert_eq!(value(&cores, "caesure_core_settled_signatures_total{core=\"2\"}"), 77.0);
    assert_eq!(value(&cores, "caesure_shard_housed_info{core=\"desk\",shard=\"status\"}"), 1.0);
    assert_eq!(value(&cores, "caesure_core_busied_ratio{core=\"0\"}"), f64::from(status.view.load.now(0)) / 1e3);
    let text = at_once(&mut status, &mut cx, "metrics");
    assert_eq!(value(&text, "caesure_link_overrun_words_total"), 3.0);
    assert_eq!(value(&text, "caesure_script_settled_signatures_total"), 77.0);
    // Scraped into one place both may be: no name is in both, and the aggregate does not grow with the cores.
    let names = |text: &str| samples(text).into_iter().map(|(row, _)| row.split('{').next().unwrap().to_owned());
    let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) = (names(&text).collect(), names(&cores).collect());
    assert!(ours.is_disjoint(&theirs));
    assert!(theirs.iter().all(|name| name.starts_with("caesure_core_") || name.starts_with("caesure_shard_")));
    let (mut large, mut cx) = sample(256, 1_000, "");
    let count = samples(&at_once(&mut large, &mut cx, "metrics")).len();
    assert_eq!(count, samples(&text).len());
    assert!(count < 150, "{count}");
}

#[test]
fn ready_or_why_not() {
    let (mut status, mut cx) = sample(2, 5, "/x/");
    let text = at_once(&mut status, &mut cx, "ready");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].starts_with("syncing: downloading at height 123463 of 812004"), "{text}");
    assert!(lines[1].starts_with("history not verified: 3 of 500"), "{text}");
    report(&mut status, &mut cx, Report::Chain(Chain { state: State::Synced, ..Chain::default() }));
    assert_eq!(at_once(&mut status, &mut cx, "ready"), READY);
    assert_eq!(value(&at_once(&mut status, &mut cx, "metrics"), "caesure_node_readied_state"), 1.0);
    let why = "no space left".to_string();
    report(&mut status, &mut cx, Report::Coins(0, Tally::default(), Vec::new(), Some(why)));
    report(&mut status, &mut cx, Report::Peers(0, Vec::new()));
    let text = at_once(&mut status, &mut cx, "ready");
    assert!(
        text.starts_with("no peers: ") && text.contains("disk trouble: ") && text.contains("no space left"),
        "{text}"
    );
}

/// The dashboard that is given to operators names no figure that is not there, and those to alert on are on it.
#[test]
fn the_dashboard_names_what_is_there() {
    let text = include_str!("../../../tuning/grafana.json");
    let board: serde_json::Value = serde_json::from_str(text).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let all: BTreeSet<&str> = families().map(|family| family.name).collect();
    let mut shown = BTreeSet::new();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{}", panel["title"]);
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            let names = expression.split(|c| !is_word(c)).filter(|word| word.starts_with("caesure_"));
            let names: Vec<&str> = names.collect();
            assert!(!names.is_empty(), "{expression}");
            names.iter().for_each(|name| assert!(all.contains(name), "{name} is no figure of ours"));
            shown.extend(names);
        }
    }
    for name in [
        "caesure_tip_reached_height",
        "caesure_header_reached_height",
        "caesure_tip_aged_seconds",
        "caesure_peer_connected_peers",
        "caesure_disk_left_bytes",
        "caesure_checkpoint_failed_shards",
        "caesure_link_overrun_words_total",
        "caesure_core_busied_ratio",
    ] {
        assert!(shown.contains(name), "{name} is on no panel");
    }
}
