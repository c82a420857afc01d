//! Looking in, and being refused: page, JSON, monitor, topology, folder lock, exit statuses.

use ::wire::message::Message;
use caesure_bench::chain::Spec;
use caesure_tests::binary::run;
use caesure_tests::{Folder, Node, Server, Setup, Wire, made, poll, wire};
use consensus::Rule;
use hdrhistogram::Histogram;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

const SPEC: Spec = Spec { seed: 22, blocks: 220, txs: 12_000, empty_tail: 2 };

#[test]
fn the_json_has_what_scripts_rely_on() {
    let chain = made(&SPEC, &[]);
    let peer = Server::honest(chain.line());
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[peer.addr]));
    node.wait_tip(&chain.tip, 120);
    // Rows of peers are brought up to date twice a second.
    let status = node.wait("synced", 30, |status| status["state"] == "synced" && !status["peers"][0].is_null());
    for key in ["state", "chain", "height", "headers", "tip", "coins", "peers", "cores", "worlds", "scripts"] {
        assert!(!status[key].is_null(), "{key} is missing");
    }
    assert_eq!(status["chain"], "regtest");
    assert_eq!((status["height"].as_u64(), status["headers"].as_u64()), (Some(220), Some(220)));
    assert_eq!(status["coins"], chain.coins);
    assert_eq!(status["scripts_verified"], true);
    assert_eq!(status["cores"].as_array().unwrap().len(), 2);
    assert_eq!(status["peers"][0]["agent"], "/kit/");
    assert_eq!(status["partitions"].as_array().unwrap().len(), 256);
    // The first key of that name is the validated height, for those who search the text.
    let text = node.get("/admin/status.json").unwrap();
    let first = text.split("\"height\":").nth(1).unwrap();
    assert!(first.starts_with("220,"), "{}", &first[..20]);
    let overrun: u64 = status["cores"].as_array().unwrap().iter().map(|c| c["link_overrun"].as_u64().unwrap()).sum();
    assert_eq!(overrun, 0, "no link overflows");
}

#[test]
fn the_page_stands_alone_and_shows_nothing_that_a_peer_wrote_unescaped() {
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[]));
    let guest = Wire::dial(node.p2p, wire::REGTEST);
    let Message::Version(mut version) = wire::version(7) else { panic!() };
    version.user_agent = "/<script>alert(1)</script><img src=x>&amp;\"'/".into();
    guest.send(&Message::Version(version));
    guest.send(&Message::Verack);
    guest.until(|message| *message == Message::Verack).unwrap();
    node.wait("the guest is listed", 30, |status| status["peers"][0]["agent"].as_str().is_some_and(|a| !a.is_empty()));
    let page = node.get("/admin/status").unwrap();
    assert!(page.starts_with("<!doctype html>"));
    assert!(!page.contains("<script>alert") && !page.contains("<img src=x"), "markup of a peer");
    assert!(page.contains("alert(1)"), "the name is shown all the same");
    assert!(page.contains("every script is verified"), "in plain words");
    for outside in ["http://", "https://", "src=\"", "<link rel=stylesheet"] {
        // The log says where the page is, and the page shows what was logged last.
        let (before, rest) = page.split_once("<section id=events>").expect("events are on the page");
        let own = before.to_owned() + rest.split_once("</section>").expect("they end").1;
        assert!(!own.contains(outside), "the page names {outside}");
    }
    assert_eq!(node.request("/etc/passwd", "").unwrap().0, 404);
    guest.close();
}

#[test]
fn with_users_the_page_asks_for_a_password() {
    let base = Folder::new();
    let setup = Setup::regtest(&[]).with(&["-u", "ann:se:cret"]);
    let node = Node::spawn(base.path(), &setup);
    let answer = caesure_tests::poll(60, || node.request("/admin/status.json", "").ok());
    assert_eq!(answer.expect("it answers").0, 401);
    // ann:se:cret and ann:wrong
    let ask = |word: &str| node.request("/admin/status.json", &format!("Authorization: Basic {word}\r\n")).unwrap().0;
    assert_eq!(ask("YW5uOnNlOmNyZXQ="), 200);
    assert_eq!(ask("YW5uOndyb25n"), 401);
    assert!(node.lines().iter().all(|line| !line.contains("se:cret")), "a password in the log");
}

#[test]
fn the_monitor_answers_its_commands_and_lets_nobody_else_in() {
    let chain = made(&SPEC, &[]);
    let peer = Server::honest(chain.line());
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[peer.addr]));
    node.wait_tip(&chain.tip, 120);
    let mode = fs::metadata(node.folder.join("caesure.bd")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let help = node.ask("help");
    for command in ["help", "status", "peers", "worlds", "block", "deployments", "coin", "topology"] {
        assert!(help.contains(command), "{command}: {help}");
    }
    let status = node.ask("status");
    assert!(status.contains(&chain.tip) && status.contains("every script is verified"), "{status}");
    // Peers are reported twice a second.
    poll(10, || node.ask("peers").contains(&peer.addr.to_string()).then_some(())).expect("the peer is listed");
    assert!(node.ask("worlds").contains(&chain.tip));
    assert!(node.ask("topology").contains("core   1"));
    let line = chain.line();
    let block = line.blocks[150].0.to_string();
    assert!(node.ask("block 150").contains(&block));
    assert!(node.ask(&format!("block {block}")).contains("height  150"));
    // The last coinbase is the only transaction of its block, so its txid is the merkle root. It is there at the tip,
    // and in no world before.
    let mut root = line.header(220).merkle_root;
    root.reverse();
    let txid: String = root.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(node.ask(&format!("coin {txid}:0")).contains("made at     220 by a coinbase"));
    assert!(node.ask(&format!("coin {txid}:0 @219")).contains("is not unspent"));
    assert!(node.ask(&format!("coin {txid}:9")).contains("is not unspent"));
    // Blocks may signal from the second period of 144 on; these do not.
    let deployments = node.ask("deployments 200");
    let testdummy =
        "testdummy  started since height 144, next block started; bit 28: 0 of 57 blocks signal, 108 of 144 needed";
    for told in [&line.blocks[200].0.to_string(), "segwit     active, from height 0 on", testdummy] {
        assert!(deployments.contains(told), "{told}: {deployments}");
    }
    assert!(node.ask("deployments").contains(&chain.tip));
    assert!(node.ask("blok 3").contains("block"), "a suggestion");
}

/// The node works as fast as it can; both doors answer at once all the same. Only answers that came while blocks were
/// still being taken in count, and the median is what is judged, since the machine may be busy with other tests.
#[test]
fn page_and_monitor_answer_within_50_ms_while_the_node_syncs() {
    // Large enough that the sync takes some seconds.
    let chain = made(&Spec { seed: 62, blocks: 600, txs: 40_000, empty_tail: 0 }, &[]);
    let base = Folder::new();
    let peer = Server::honest(chain.line());
    let node = Node::start(&base, &Setup::regtest(&[]));
    // It stands and can be asked before there is anything to do.
    peer.dial(node.p2p);
    let mut took_us = Histogram::<u64>::new(3).unwrap();
    let timed = |ask: &dyn Fn()| {
        let start = Instant::now();
        ask();
        start.elapsed().as_micros() as u64
    };
    let (end, tip) = (Instant::now() + Duration::from_secs(60), chain.line().blocks.len() as u64 - 1);
    // One question after the other, without a pause.
    loop {
        let pair = [timed(&|| drop(node.status())), timed(&|| drop(node.ask("status")))];
        let height = node.status()["height"].as_u64().unwrap();
        if height == tip {
            break;
        }
        if height > 0 {
            pair.into_iter().for_each(|us| took_us.record(us).unwrap());
        }
        assert!(Instant::now() < end, "the node syncs");
    }
    let at = |quantile| took_us.value_at_quantile(quantile) as f64 / 1_000.0;
    println!("{} answers: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms", took_us.len(), at(0.5), at(0.9), at(0.99));
    assert!(took_us.len() >= 4, "the sync was over before anything was asked");
    assert!(at(0.5) < 50.0);
}

#[test]
fn an_idle_node_burns_no_cpu() {
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[]));
    // Ticks of the kernel's clock, a hundred a second, in fields 14 and 15 of the line (proc(5)).
    let ticks = || -> u64 {
        let line = fs::read_to_string(format!("/proc/{}/stat", node.pid())).unwrap();
        let fields: Vec<&str> = line.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let (before, start) = (ticks(), Instant::now());
    caesure_tests::poll(5, || (start.elapsed() > Duration::from_secs(5)).then_some(()));
    let busy = (ticks() - before) as f64 / 100.0 / start.elapsed().as_secs_f64();
    assert!(busy < 0.02, "{:.1} % of a core", busy * 100.0);
}

#[test]
fn topology_prints_any_plan_on_any_machine() {
    let (status, out, _) = run(&["topology", "--cores", "16"]);
    assert_eq!((status, out.lines().count()), (0, 17));
    assert!(out.lines().next().unwrap().contains("chain"));
    assert!(out.lines().nth(1).unwrap().contains("store"));
    assert!(out.lines().last().unwrap().contains("desk") && out.lines().last().unwrap().contains("status"));
    for row in out.lines().take(16).skip(2) {
        assert!(row.contains("peer") && row.contains("utxo") && row.contains("verify"), "{row}");
    }
}

#[test]
fn a_second_node_on_the_same_folder_is_refused() {
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[]));
    let mut second = Node::spawn(base.path(), &Setup::regtest(&[]));
    assert_eq!(second.ended(30), 3);
    second.wait_log(&format!("process {}", node.pid()), 5);
    second.wait_log("try: ", 5);
    assert_eq!(node.stop(), 0);
    // Once it is gone, even by force, the folder is free.
    Node::start(&base, &Setup::regtest(&[])).kill();
    Node::start(&base, &Setup::regtest(&[])).kill();
}

#[test]
fn a_folder_of_a_newer_version_is_refused() {
    let base = Folder::new();
    assert_eq!(Node::start(&base, &Setup::regtest(&[])).stop(), 0);
    let version = base.join("regtest/VERSION");
    // Whole is 1, pruned 2.
    let known = 2;
    fs::write(&version, format!("{}\n", known + 1)).unwrap();
    let mut node = Node::spawn(base.path(), &Setup::regtest(&[]));
    assert_eq!(node.ended(30), 9);
    node.wait_log(&format!("has format {}", known + 1), 5);
}

#[test]
fn bad_arguments_end_with_status_2_and_a_word_on_what_is_right() {
    let base = Folder::new();
    let config = base.join("c.toml");
    fs::write(&config, "outgoin = 3\n").unwrap();
    let cases: [(&[&str], &str); 6] = [
        (&["--chain", "mainnet3"], "regtest"),
        (&["--cores", "0"], "whole number"),
        (&["--cores", "250"], "250"),
        (&["--nonsense"], "--nonsense"),
        (&["-c", "1.2.3.4:0"], "port 0"),
        (&["--config", config.to_str().unwrap()], "outgoing"),
    ];
    for (words, told) in cases {
        let (status, _, err) = run(&[&["-b", base.text()][..], words].concat());
        assert_eq!(status, 2, "{words:?}: {err}");
        assert!(err.contains(told), "{words:?}: {err}");
    }
    let (status, out, _) = run(&["--version"]);
    assert!(status == 0 && out.starts_with("caesure "));
}

/// Every rule with its sentence, wrapped for a terminal, and heights that are Core's.
#[test]
fn the_rules_are_printed_with_their_heights() {
    let (status, out, err) = run(&["rules"]);
    assert_eq!(status, 0, "{err}");
    assert!(out.lines().all(|line| line.chars().count() <= 100), "{out}");
    for rule in Rule::ALL {
        assert!(out.lines().any(|line| line.starts_with(&format!("{} ", rule.reject()))), "{rule}");
    }
    let words = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
    // The rows that begin with a name, word by word.
    let rows = |out: &str, name: &str| -> Vec<Vec<String>> {
        let named = out.lines().skip_while(|line| line.split(' ').next() != Some(name));
        named.take_while(|line| line.starts_with(name) || line.starts_with("     ")).map(words).collect()
    };
    // Heights: kernel/chainparams.cpp of Bitcoin Core.
    let versions = rows(&out, "bad-version");
    assert_eq!(versions[0], ["bad-version", "invalid", "227,931", "21,111", "always", "always", "always"]);
    assert_eq!(versions[1], ["363,725", "330,776", "always", "always", "always"]);
    assert_eq!(versions[2], ["388,381", "581,885", "always", "always", "always"]);
    let timewarp = &rows(&out, "time-timewarp-attack")[0];
    assert_eq!(timewarp[2..], ["never", "never", "always", "never", "never"]);
    let nulldummy = &rows(&out, "NULLDUMMY")[0];
    assert_eq!(nulldummy[1..], ["BIP147", "481,824", "834,624", "always", "always", "always"]);
    for exception in [
        "main 00000000000002dc756eebf4f49723ed8d30cc28a5f108eb94b1ba88ac4f9c22",
        "main 0000000000000000000f14c35b2d841e986ab5441de8c585d5ffe55ea1e395ad",
        "testnet3 00000000dd30457c001f4095d208cc1296b0eed002427aa599874af7a432b105",
        "main 00000000000743f190a18c5577a3c2d2a1f610ae9601ac046a38084ccb7cd721",
    ] {
        assert!(out.contains(&format!("not in {exception}")), "{exception}");
    }

    let custom = ["rules", "--chain", "regtest", "--test-activation-height", "csv@432", "--test", "bip94"];
    let more = ["--vbparams", "testdummy:7:1999999999:288", "--test-activation-height", "segwit@1500"];
    let (status, out, err) = run(&[&custom[..], &more[..]].concat());
    assert_eq!(status, 0, "{err}");
    assert_eq!(rows(&out, "RULE")[0], ["RULE", "KIND", "regtest"]);
    assert_eq!(rows(&out, "time-timewarp-attack")[0][2..], ["always"]);
    assert_eq!(rows(&out, "CHECKSEQUENCEVERIFY")[0][2..], ["432"]);
    assert_eq!(rows(&out, "bad-witness-nonce-size")[0][2..], ["1,500"]);
    assert!(out.contains("starts at time 7, times out at 1999999999"), "{out}");
}
