//! The status shard stepped by hand: every question gets exactly one answer.

mod explored;
mod scrape;
mod shown;
mod surveys;
mod wall;

use super::*;
use crate::limits::Budget;
use crate::metrics::{BUCKETS, Latency, Pages, Stage};
use crate::report::{Book, Chain, Leaf, Past, Peer, Report, State, Store, World};
use consensus::{Network, Params};
use ledger::PARTITIONS;
use ledger::worlds::Tally;

const HASH: &str = "00000000000000000001a2b3c4d5e6f700112233445566778899aabbccddeeff";

fn node(cores: usize, network: Network) -> (Status, Cx) {
    let setup = Setup {
        params: Params::of(network),
        plan: crate::plan(cores),
        pages: Pages::new(cores + 1),
        lanes: crate::prover::Mode::Auto,
        trust: Default::default(),
        budget: Budget::split(Budget::default_total(cores)).unwrap(),
        version: "caesure 0.1.0".to_string(),
        may_write: false,
    };
    (Status::new(setup), Cx { now_ms: 7_000, unix: 1_700_000_000, ..Cx::new(1) })
}

fn ask(status: &mut Status, cx: &mut Cx, question: u64, text: &str) {
    status.step(Input::Event(Event::Asked { question, text: text.to_string() }), cx);
}

fn report(status: &mut Status, cx: &mut Cx, report: Report) {
    status.step(Input::Msg(Msg::Report(Box::new(report))), cx);
}

/// The answers given so far, which are taken away.
fn answers(cx: &mut Cx) -> Vec<(u64, String)> {
    let only = |effect| match effect {
        Effect::Answer { question, text } => (question, text),
        other => panic!("{other:?}"),
    };
    cx.effects.drain(..).map(only).collect()
}

/// The one answer that was given, to this question.
fn answer_to(cx: &mut Cx, question: u64) -> String {
    let mut answers = answers(cx);
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].0, question);
    answers.remove(0).1
}

/// The one answer to a question that needs nobody else.
fn at_once(status: &mut Status, cx: &mut Cx, text: &str) -> String {
    ask(status, cx, 1, text);
    assert!(cx.words.is_empty(), "{text} asked somebody");
    answer_to(cx, 1)
}

fn hash(name: u32) -> BlockHash {
    BlockHash(consensus::sha256d(&name.to_le_bytes()))
}

fn peer(i: u64, agent: &str) -> Peer {
    Peer {
        id: i,
        address: format!("203.0.113.{}:8333", i % 250).parse().unwrap(),
        inbound: i % 3 == 2,
        up: true,
        version: 70_016,
        services: 1_033,
        agent: agent.to_string(),
        start_height: 812_004,
        bytes: (i * 77_700_123 + 4_096, i * 1_300_007 + 512),
        ping_ms: (i % 4 != 3).then_some(11 + i * 17 % 190),
        asked: (i * 7 % 17) as u32,
        blocks: 90_211 / (i + 1),
        age_s: 86_400 / (i + 1) + 17,
    }
}

/// A node with three worlds that fork, on its way up.
pub(crate) fn sample(cores: usize, peers: u64, agent: &str) -> (Status, Cx) {
    let (mut status, mut cx) = node(cores, Network::Main);
    let world = |height: u32, name: u32, parent: u32, active, status| World {
        height,
        hash: hash(name),
        parent: hash(parent),
        active,
        status,
        invalidated: name == 300,
        delta: Some((4_000, 3_900)),
        bytes: 6_000_000,
        coins: Some(43_210_000 + u64::from(height)),
    };
    let mut worlds: Vec<World> = (0..16).map(|i| world(123_464 + i, 100 + i, 99 + i, false, "growing")).rev().collect();
    worlds.extend((0..100).map(|i| world(123_364 + i, i, i.wrapping_sub(1), true, "valid")).rev());
    worlds.extend([
        world(123_460, 300, 95, false, "valid"),
        world(123_461, 301, 300, false, "checked"),
        world(123_461, 302, 300, false, "valid"),
    ]);
    let tip = worlds[16].hash;
    worlds[0].coins = None;
    let leaf = |height, name, branch_len, status: &str| Leaf {
        height,
        hash: hash(name),
        branch_len,
        status: status.to_string(),
    };
    report(
        &mut status,
        &mut cx,
        Report::Chain(Chain {
            state: State::Downloading,
            why: format!("{peers} peers send blocks, 212 asked"),
            height: 123_463,
            headers: 812_004,
            tip,
            tip_time: 1_699_990_000,
            work: "c0ffee".to_string(),
            coins: 43_333_463,
            done: (120_000, 9_876_543, 4_300_000_000),
            blocks_per_s: 412.3,
            txs_per_s: 23_456.7,
            bytes_per_s: 87_654_321.0,
            eta_s: Some(9_700),
            growing: 16,
            parked: 402,
            loading: 0,
            asked: 212,
            window_bytes: (310_000_000, 644_000_000),
            tips: vec![
                leaf(812_004, 900, 0, "active"),
                leaf(123_461, 301, 2, "valid-fork"),
                leaf(700_001, 901, 1, "headers-only"),
                leaf(99_000, 902, 3, "refused: bad-cb-amount"),
            ],
            marks_from: 123_431,
            marks: (0..512).map(wall::mark).collect(),
            ways: (0..24).map(wall::way).collect(),
            latency: Latency([3; BUCKETS]),
            past: (0..44)
                .map(|i| Past { height: 123_363 - i, hash: hash(5_000 + i), parent: hash(5_001 + i), active: true })
                .collect(),
            live: worlds.len(),
            worlds,
            worlds_bytes: (714_000_000, 1_073_741_824),
            horizon: 100,
            root: (123_363, hash(77)),
            pruned: (101_234, 3_700_123_456, Some(576_716_800)),
            switches: 3,
            deployments: vec![crate::report::Deployment { name: "testdummy", state: "locked_in", since: 122_976 }],
            scripts_verified: false,
            history: Some((3, 500)),
            scripts: "scripts up to block 00 are assumed valid, all others verified".into(),
        }),
    );
    let shards = status.view.setup.plan.workers;
    for i in 0..shards {
        let range = status.view.setup.plan.partitions(i);
        let list = range.map(|p| 168_000 + (p as u32).wrapping_mul(2_654_435_761) % 9_000).collect();
        let tally = Tally {
            base_coins: 43_210_000 / u64::from(shards),
            base_bytes: 3_400_000_000 / u64::from(shards),
            versions: 6_001,
            nursery: 812_345,
            folded: 1,
        };
        report(&mut status, &mut cx, Report::Coins(i, tally, list, None));
    }
    report(&mut status, &mut cx, Report::Peers(0, (0..peers).map(|i| peer(i, agent)).collect()));
    report(
        &mut status,
        &mut cx,
        Report::Store(Store {
            end: 4_310_000_000,
            durable: 4_302_000_000,
            written: 4_330_000_000,
            appended: 4_310_000_000,
            syncs: 1_212,
            punched: 3_700_000_000,
        }),
    );
    let warning = Some("our clock is 74 minutes off from most peers".to_string());
    report(&mut status, &mut cx, Report::Book(Book { known: 14_203, outgoing: (8, 8), incoming: (3, 125), warning }));
    let pages = status.view.setup.pages.clone();
    for second in 0..40 {
        for core in 0..cores {
            let share = 500 + 480 * ((core as u64 * 7 + second * second) % 13) / 13;
            let page = pages.core(core);
            page.busy_ns.add(share * 1_000_000);
            Stage::ALL.iter().for_each(|stage| page.stage_ns[*stage as usize].add((30 + share % 37) * 1_000_000));
            page.wait_ns.add(1_500_000_000);
            page.words.iter().enumerate().for_each(|(to, words)| words.add(second * 97 + (to * core) as u64));
            page.step_us.add(1 << (second % 20));
        }
        pages.work(0).received_bytes.add(88_000_000);
        cx.now_ms += 1_000;
        status.step(Input::Tick, &mut cx);
    }
    (status, cx)
}

#[test]
fn questions_of_the_view_are_answered_at_once() {
    let (mut status, mut cx) = sample(4, 5, "/Satoshi:27.0.0/");
    let help = at_once(&mut status, &mut cx, "help");
    for (usage, _) in text::COMMANDS {
        assert!(help.contains(usage), "{usage}");
    }
    assert_eq!(at_once(&mut status, &mut cx, ""), help);
    assert_eq!(at_once(&mut status, &mut cx, " HELP \n"), help);
    let screen = at_once(&mut status, &mut cx, "status");
    for part in ["downloading", "123,463 of 812,004", "15.2 %", "assumed valid, all others", "74 minutes off"] {
        assert!(screen.contains(part), "{part} in {screen}");
    }
    assert_eq!(at_once(&mut status, &mut cx, "peers").matches("/Satoshi:27.0.0/").count(), 5);
    assert!(at_once(&mut status, &mut cx, "worlds").contains(&hash(302).to_string()));
    let topology = at_once(&mut status, &mut cx, "topology");
    assert_eq!(topology.lines().count(), 5);
    assert!(topology.contains("verify[3]"));
    assert!(at_once(&mut status, &mut cx, "page").starts_with("<!doctype html>"));
    assert!(at_once(&mut status, &mut cx, "json").starts_with('{'));
}

#[test]
fn what_cannot_be_understood_is_refused_with_the_way_out() {
    let (mut status, mut cx) = node(2, Network::Regtest);
    for (wrong, named) in
        [("statsu", "\"status\""), ("peer", "\"peers\""), ("wrlds", "\"worlds\""), ("xyzzyplugh", "topology")]
    {
        let text = at_once(&mut status, &mut cx, wrong);
        assert!(text.starts_with("error: ") && text.contains(named), "{text}");
    }
    assert!(!at_once(&mut status, &mut cx, "\x1b[2J").contains('\x1b'));
    let zeros = "00".repeat(32);
    let wrong = [
        "peers now".to_string(),
        "block".to_string(),
        "block 1 2".to_string(),
        "coin".to_string(),
        "coin 1234:0".to_string(),
        format!("coin {zeros}"),
        format!("coin {zeros}:-1"),
        format!("coin {zeros}:0 5"),
        format!("coin {zeros}:0 @x"),
        format!("coin {zeros}:0 @123456789012"),
    ];
    for wrong in wrong {
        let text = at_once(&mut status, &mut cx, &wrong);
        assert!(text.starts_with("error: "), "{wrong}: {text}");
    }
}

#[test]
fn a_block_is_asked_of_the_chain() {
    let (mut status, mut cx) = node(2, Network::Main);
    ask(&mut status, &mut cx, 9, "block 170");
    let [(ShardId::Chain, Msg::Query { question: 9, text })] = cx.words.as_slice() else { panic!("{:?}", cx.words) };
    assert_eq!(text, "block 170");
    assert!(cx.effects.is_empty());
    for _ in 0..2 {
        status.step(Input::Msg(Msg::Reply { question: 9, text: "here\n it is".to_string() }), &mut cx);
    }
    assert_eq!(answers(&mut cx), [(9, "here\n it is".to_string())], "once");
}

#[test]
fn decisions_are_passed_on_only_where_the_prompt_may_write() {
    let (mut status, mut cx) = node(2, Network::Main);
    let line = format!("invalidate {HASH}");
    let refused = at_once(&mut status, &mut cx, &line);
    assert!(refused.starts_with("error: invalidate ") && refused.contains("--monitor-write"), "{refused}");
    status.view.setup.may_write = true;
    assert_eq!(at_once(&mut status, &mut cx, "reconsider 7"), "error: say reconsider HASH, 64 hex digits");
    for (question, verb, wanted) in [(2, "INVALIDATE", true), (3, "reconsider", false)] {
        ask(&mut status, &mut cx, question, &format!("{verb} {HASH}"));
        let Some((ShardId::Chain, word)) = cx.words.pop() else { panic!("{:?}", cx.words) };
        assert!(!word.is_question(), "it changes something, so it keeps its turn");
        let Msg::Decide { question: asked, block, out } = word else { panic!("{word:?}") };
        assert_eq!((asked, block.to_string().as_str(), out), (question, HASH, wanted));
    }
    cx.now_ms += ANSWER_MS;
    status.step(Input::Tick, &mut cx);
    assert!(cx.effects.is_empty(), "coins may have to be grown anew for it");
    status.step(Input::Msg(Msg::Decided { question: 3, text: "tip is now there".into() }), &mut cx);
    assert_eq!(answers(&mut cx), [(3, "tip is now there".to_string())]);
    cx.now_ms += PART_MS;
    status.step(Input::Tick, &mut cx);
    assert!(answer_to(&mut cx, 2).contains("not done yet"));
}

#[test]
fn the_logs_filter_is_shown_and_set_by_the_edge() {
    let (mut status, mut cx) = node(2, Network::Main);
    assert!(at_once(&mut status, &mut cx, "log debug").contains("--monitor-write"));
    status.view.setup.may_write = true;
    for (line, filter) in [("log", None), ("LOG info,caesure::net=Debug", Some("info,caesure::net=Debug"))] {
        ask(&mut status, &mut cx, 4, line);
        let Some(Effect::Filter { question: 4, wanted }) = cx.effects.pop() else { panic!("{line}") };
        assert_eq!(wanted.as_deref(), filter);
    }
}

#[test]
fn deployments_are_asked_of_the_chain_and_shown_in_the_json() {
    let (mut status, mut cx) = sample(2, 0, "");
    let json: serde_json::Value = serde_json::from_str(&at_once(&mut status, &mut cx, "json")).unwrap();
    let shown = serde_json::json!([{ "name": "testdummy", "state": "locked_in", "since": 122_976 }]);
    assert_eq!(json["deployments"], shown);
    for (question, line) in [(1, "deployments"), (2, "deployments 170")] {
        ask(&mut status, &mut cx, question, line);
        let Some((ShardId::Chain, Msg::Query { text, .. })) = cx.words.pop() else { panic!("{:?}", cx.words) };
        assert_eq!(text, line);
    }
    assert!(at_once(&mut status, &mut cx, "deployments 1 2").starts_with("error: "));
}

#[test]
fn a_coin_is_looked_up_where_it_lives_in_the_world_asked_for() {
    let (mut status, mut cx) = sample(16, 0, "");
    // The first byte in memory, the last one written, names the partition.
    let txid = format!("{}c8", "ab".repeat(31));
    ask(&mut status, &mut cx, 4, &format!("coin {txid}:3 @123460"));
    let wanted = hash(96);
    let (ShardId::Chain, Msg::WhichWorld { question: 4, block: Some(block) }) = cx.words.remove(0) else { panic!() };
    assert_eq!(block, Which::Height(123_460));
    status.step(Input::Msg(Msg::World { question: 4, world: Ok((55, 123_460, wanted)) }), &mut cx);
    let (ShardId::Utxo(owner), Msg::Look { question: 4, what: Question::Coin(outpoint, 55) }) = cx.words.remove(0)
    else {
        panic!()
    };
    assert!(status.view.setup.plan.partitions(owner).contains(&0xc8));
    assert_eq!((outpoint.txid.to_string(), outpoint.vout), (txid.clone(), 3));
    let coin = (5_000_000_001, 123_000, true, vec![0x51, 0xac].into_boxed_slice());
    status.step(Input::Msg(Msg::Seen { question: 4, finding: Finding::Coin(Some(coin)) }), &mut cx);
    let text = answer_to(&mut cx, 4);
    for part in ["50.00000001 BTC", "123000 by a coinbase", "51ac", &format!("{txid}:3"), "at height 123460"] {
        assert!(text.contains(part), "{part} in {text}");
    }

    ask(&mut status, &mut cx, 5, &format!("coin {txid}:3 @{HASH}"));
    assert!(
        matches!(cx.words.last(), Some((_, Msg::WhichWorld { block: Some(Which::Hash(hash)), .. })) if hash.to_string() == HASH)
    );
    status.step(Input::Msg(Msg::World { question: 5, world: Err("it does not live".into()) }), &mut cx);
    assert_eq!(answer_to(&mut cx, 5), "error: it does not live");

    ask(&mut status, &mut cx, 6, &format!("coin {txid}:3"));
    assert!(matches!(cx.words.last(), Some((_, Msg::WhichWorld { block: None, .. }))));
    status.step(Input::Msg(Msg::World { question: 6, world: Ok((56, 8, wanted)) }), &mut cx);
    status.step(Input::Msg(Msg::Seen { question: 6, finding: Finding::Coin(None) }), &mut cx);
    let text = answer_to(&mut cx, 6);
    assert_eq!(text, format!("coin {txid}:3 is not unspent in the world of block {wanted} at height 8"));
}

#[test]
fn whoever_waits_too_long_is_told_so_once() {
    let (mut status, mut cx) = node(2, Network::Regtest);
    ask(&mut status, &mut cx, 1, "block 1");
    cx.now_ms += 1;
    ask(&mut status, &mut cx, 2, "block 2");
    ask(&mut status, &mut cx, 3, "digest");
    cx.now_ms += ANSWER_MS - 2;
    status.step(Input::Tick, &mut cx);
    assert!(cx.effects.is_empty());
    cx.now_ms += 1;
    status.step(Input::Tick, &mut cx);
    let late = answers(&mut cx);
    assert!(matches!(late.as_slice(), [(1, text)] if text.contains("in time")), "{late:?}");
    cx.now_ms += PART_MS;
    status.step(Input::Tick, &mut cx);
    assert_eq!(answers(&mut cx).iter().map(|(question, _)| *question).collect::<Vec<_>>(), [2, 3]);
    // What comes after that is for nobody.
    status.step(Input::Msg(Msg::Reply { question: 1, text: String::new() }), &mut cx);
    status.step(Input::Msg(Msg::World { question: 3, world: Err(String::new()) }), &mut cx);
    status.step(Input::Msg(Msg::Seen { question: 2, finding: Finding::Coin(None) }), &mut cx);
    status.step(Input::Tick, &mut cx);
    assert!(cx.effects.is_empty());
}

#[test]
fn no_more_questions_wait_than_are_allowed() {
    let (mut status, mut cx) = node(1, Network::Regtest);
    for question in 0..QUESTIONS_MAX as u64 {
        ask(&mut status, &mut cx, question, "block 1");
    }
    assert!(cx.effects.is_empty());
    cx.words.clear();
    assert!(at_once(&mut status, &mut cx, "status").contains("starting"), "what waits for nobody is answered still");
    ask(&mut status, &mut cx, 1_000, "block 1");
    assert!(answers(&mut cx)[0].1.starts_with("error: 256 questions wait"));
    assert!(cx.words.is_empty());
}
