//! Side by side with a real Bitcoin Core on chains with rules of their own: deployments by version bits, heights of
//! activation, BIP94 on regtest, a signet with its own challenge. `BITCOIND` names the binary; without it nothing is
//! compared, and that is said.

use caesure_bench::block::Block;
use caesure_tests::core::{Core, bitcoind};
use caesure_tests::{Folder, Line, Node, Server, Setup};
use consensus::{Network, Params};
use serde_json::{Value, json};

/// Blocks in a period on regtest.
const PERIOD: u32 = 144;
const SIGNAL: u32 = 0x3000_0000;
/// Bit 28 without the top bits 001, and with others: no signals.
const SILENT: [u32; 3] = [0x2000_0000, 0x1000_0004, 0x5000_0000];
/// Time of regtest's genesis block; each next one comes 600 seconds later.
const GENESIS_TIME: u32 = 1_296_688_602;

/// The block on top of a line with another version and time.
fn altered(line: &Line, version: u32, time: Option<u32>) -> Block {
    let mut block = line.next(vec![], 1);
    block.header.version = version;
    block.header.time = time.unwrap_or(block.header.time);
    block.header.mine();
    block
}

/// Periods with these numbers of signals, the last blocks of each signalling.
fn signalling(periods: &[u32]) -> Line {
    let mut line = Line::regtest();
    for height in 1..periods.len() as u32 * PERIOD {
        let signals = PERIOD - height % PERIOD <= periods[(height / PERIOD) as usize];
        line.push(&altered(&line, if signals { SIGNAL } else { SILENT[height as usize % 3] }, None));
    }
    line
}

/// What `deployments` says where Core says this.
fn told(info: &Value) -> String {
    let mut out = format!("block      {}\nheight     {}\n", info["hash"].as_str().unwrap(), info["height"]);
    let all = &info["deployments"];
    for name in ["bip34", "bip65", "bip66", "csv", "segwit"] {
        let state = if all[name]["active"] == true { "active" } else { "not yet" };
        out.push_str(&format!("{name:<10} {state}, from height {} on\n", all[name]["height"]));
    }
    if let Some(bip9) = all.get("testdummy").map(|testdummy| &testdummy["bip9"]) {
        let word = |key: &str| bip9[key].as_str().unwrap();
        out.push_str(&format!(
            "testdummy  {} since height {}, next block {}",
            word("status"),
            bip9["since"],
            word("status_next")
        ));
        if let Some(found) = bip9.get("statistics") {
            out.push_str(&format!("; bit {}: {} of {} blocks signal", bip9["bit"], found["count"], found["elapsed"]));
            if let Some(threshold) = found.get("threshold") {
                let still = if found["possible"] == true { "" } else { ", which this period cannot reach" };
                out.push_str(&format!(", {threshold} of {} needed{still}", found["period"]));
            }
        }
    }
    out.trim_end().to_owned()
}

/// The answer without banner and prompt.
fn answer(node: &Node, line: &str) -> String {
    let text = node.ask(line);
    text.split("> ").nth(1).unwrap_or_default().trim_end().to_owned()
}

/// Starts both on `line`, with options that Core and we call differently.
fn both(bitcoind: &std::path::PathBuf, line: &Line, core: &[&str], ours: &[&str]) -> (Core, Node, Folder) {
    let base = Folder::new();
    std::fs::create_dir(base.join("regtest")).unwrap();
    let path = base.join("regtest/blocks.bin");
    std::fs::write(&path, line.records()).unwrap();
    let copy = base.join("copy.blk");
    std::fs::copy(&path, &copy).unwrap();
    let mut words = vec![format!("-loadblock={}", copy.display()), "-connect=0".to_owned()];
    words.extend(core.iter().map(|word| word.to_string()));
    let core = Core::start(bitcoind, &words);
    let node = Node::start(&base, &Setup::regtest(&[]).with(ours));
    core.wait_tip(&line.tip().to_string(), 120);
    node.wait_tip(&line.tip().to_string(), 120);
    (core, node, base)
}

/// The same state, since the same height, with the same counts, on both sides of each boundary and here and there between.
#[test]
fn deployments_are_where_core_says_they_are() {
    let Some(bitcoind) = bitcoind() else { return };
    // The threshold is 108: a period too few, one enough, and later ones that come too late for some.
    let line = signalling(&[144, 107, 108, 20, 108, 144, 0, 0]);
    let at = |height: u32| (GENESIS_TIME + 600 * height).to_string();
    // A median time past is that of the sixth block from the top.
    let (start, soon, late) = (at(PERIOD * 3 - 6), at(PERIOD * 3 - 6 + 1), at(PERIOD * 5 - 6));
    let cases: [(&str, String, &[&str]); 6] = [
        ("as it is", "testdummy:0:9223372036854775807".into(), &["defined", "started", "locked_in", "active"]),
        ("starts with a period", format!("testdummy:{start}:{late}"), &["defined", "started", "locked_in", "active"]),
        ("starts a period later", format!("testdummy:{soon}:{late}"), &["defined", "started", "locked_in", "active"]),
        ("times out", format!("testdummy:0:{}", at(PERIOD * 2 - 6)), &["defined", "started", "failed"]),
        ("waits for a height", "testdummy:0:9999999999:1009".into(), &["defined", "started", "locked_in"]),
        ("never", "testdummy:-2:0".into(), &[]),
    ];
    for (name, vbparams, states) in cases {
        let (core, node, _base) =
            both(&bitcoind, &line, &[&format!("-vbparams={vbparams}")], &["--vbparams", &vbparams]);
        let mut seen = Vec::new();
        let edges = (0..=8).flat_map(|period| [period * PERIOD, (period + 1) * PERIOD - 1, period * PERIOD + 50]);
        for height in edges.filter(|height| *height <= line.height()) {
            let hash = line.blocks[height as usize].0.to_string();
            let info = core.call("getdeploymentinfo", json!([hash]));
            assert_eq!(answer(&node, &format!("deployments {hash}")), told(&info), "{name} at {height}");
            if let Some(state) = info["deployments"]["testdummy"]["bip9"]["status"].as_str() {
                seen.push(state.to_owned());
            }
        }
        seen.dedup();
        assert_eq!(seen, states, "{name}: the case is what it says");
        let [shown] = [&node.status()["deployments"]];
        assert_eq!(shown.as_array().unwrap().first().map(|row| row["state"].as_str()), {
            seen.last().map(|state| Some(state.as_str()))
        });
    }
}

#[test]
fn heights_of_activation_are_core_s() {
    let Some(bitcoind) = bitcoind() else { return };
    let line = signalling(&[0, 0]);
    let heights = ["bip34@0", "csv@200", "dersig@150", "cltv@151"];
    let core: Vec<String> = heights.iter().map(|height| format!("-testactivationheight={height}")).collect();
    let ours: Vec<&str> = heights.iter().flat_map(|height| ["--test-activation-height", height]).collect();
    let core: Vec<&str> = core.iter().map(String::as_str).collect();
    let (core, node, _base) = both(&bitcoind, &line, &core, &ours);
    for height in [0, 148, 149, 150, 151, 198, 199, 200] {
        let info = core.call("getdeploymentinfo", json!([line.blocks[height].0.to_string()]));
        assert_eq!(answer(&node, &format!("deployments {height}")), told(&info), "{height}");
    }
}

/// Core prints the blocks and the work that it relies on among its options, for each network but regtest.
#[test]
fn what_a_network_starts_from_is_core_s() {
    let Some(bitcoind) = bitcoind() else { return };
    let help =
        std::process::Command::new(&bitcoind).arg("-help-debug").output().expect("BITCOIND can be started").stdout;
    // Wrapped and indented for a terminal.
    let help = String::from_utf8(help).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    for (network, theirs) in Network::ALL.into_iter().zip(["main", "test", "testnet4", "signet", "regtest"]) {
        let params = Params::of(network);
        if network != Network::Regtest {
            let name = if network == Network::Main { "default".to_owned() } else { network.to_string() };
            for value in [params.assume_valid.to_string(), format!("{:0>64}", params.min_chain_work.to_string())] {
                assert!(help.contains(&format!("{name}: {value}")), "{network}: {value}");
            }
        }
        let core = Core::on(theirs, &bitcoind, &["-connect=0".into()]);
        let info = core.call("getdeploymentinfo", json!([]));
        assert_eq!(info["hash"], params.genesis_hash.to_string());
        for buried in consensus::BURIED {
            assert_eq!(info["deployments"][buried.name]["height"], buried.since(params), "{network}: {}", buried.name);
        }
        assert_eq!(info["deployments"].get("testdummy").is_some(), network == Network::Regtest, "{network}");
    }
}

/// A period's first block that lies 601 seconds before its parent is refused with BIP94 and taken without; 600 will do.
/// Targets stay where they are either way.
#[test]
fn bip94_on_regtest_bars_the_timewarp_as_core_does() {
    let Some(bitcoind) = bitcoind() else { return };
    let line = signalling(&[0]);
    let parent = line.header(143).time;
    for (option, back, verdict) in
        [(true, 601, json!("time-timewarp-attack")), (true, 600, Value::Null), (false, 601, Value::Null)]
    {
        let words: (&[&str], &[&str]) = if option { (&["-test=bip94"], &["--test", "bip94"]) } else { (&[], &[]) };
        let (core, node, _base) = both(&bitcoind, &line, words.0, words.1);
        let block = altered(&line, 0x2000_0000, Some(parent - back));
        let mut with = line.clone();
        with.push(&block);
        let bytes: String = with.blocks[144].1.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(core.call("submitblock", json!([bytes])), verdict, "{option} {back}");
        let peer = Server::honest(with.clone());
        peer.dial(node.p2p);
        match verdict.as_str() {
            Some(rule) => drop(node.wait_log(rule, 30)),
            None => drop(node.wait_tip(&with.tip().to_string(), 30)),
        }
    }
}

/// Magic, genesis block, ports and least work of a signet that only its challenge makes: both speak, and a block travels.
#[test]
fn a_signet_of_ones_own_is_core_s() {
    let Some(bitcoind) = bitcoind() else { return };
    // OP_TRUE: a block needs no solution.
    let core = Core::on("signet", &bitcoind, &["-signetchallenge=51".into(), "-connect=0".into()]);
    let base = Folder::new();
    let setup = Setup::new("signet", &[core.p2p]).with(&["--signet-challenge", "51"]);
    let node = Node::start(&base, &setup);
    // Anyone can spend it: the script OP_TRUE, as a descriptor.
    let mined = core.call("generatetodescriptor", json!([1, "raw(51)#8lvh9jxk", 1_000_000_000]));
    let tip = mined[0].as_str().unwrap();
    node.wait_tip(tip, 60);
    assert!(node.ask("block 1").contains(tip), "its prompt is in a folder of its own");
}
