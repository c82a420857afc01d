//! The logs of a running node: the binary one after a kill, torn, damaged, put aside, moved away, followed and replayed; and
//! what people see on standard error.

use ::wire::message::Message;
use bytes::Bytes;
use caesure_bench::chain::Spec;
use caesure_tests::binary::{command, run};
use caesure_tests::data::hex;
use caesure_tests::node::signal;
use caesure_tests::server::far_away;
use caesure_tests::wire::{REGTEST, get_data};
use caesure_tests::{Folder, Made, Node, Server, Setup, Step, Wire, made, poll};
use consensus::BlockHash;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn chain() -> Made {
    made(&Spec { seed: 21, blocks: 180, txs: 2_500, empty_tail: 2 }, &[])
}

/// A node with a binary log in that folder.
fn logging(peers: &[std::net::SocketAddr], log: &Path, more: &[&str]) -> Setup {
    Setup::regtest(peers).with(&["--logfile", log.to_str().unwrap()]).with(more)
}

/// All records that catlog finds, and what it says of what are none.
fn decoded(log: &Path, more: &[&str]) -> (Vec<Value>, String) {
    let (status, out, err) = run(&[&["catlog", log.to_str().unwrap(), "--json"], more].concat());
    assert_eq!(status, 0, "{err}");
    (out.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), err)
}

fn numbers(records: &[Value]) -> Vec<u64> {
    records.iter().map(|record| record["number"].as_u64().unwrap()).collect()
}

/// Fields of those of one name.
fn named<'a>(records: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    records.iter().filter(move |record| record["event"] == name).map(|record| &record["fields"])
}

/// Takes away what catlog said to be no record: it lies at the end, and nowhere else.
fn cut_torn(log: &Path, said: &str) {
    let Some((before, _)) = said.split_once(" are no record") else {
        return assert_eq!(said, "");
    };
    let (count, at) = before.rsplit_once(": ").unwrap().1.split_once(" bytes at offset ").unwrap();
    let (count, at): (u64, u64) = (count.parse().unwrap(), at.parse().unwrap());
    assert_eq!((said.lines().count(), at + count), (1, fs::metadata(log).unwrap().len()), "{said}");
    fs::OpenOptions::new().write(true).open(log).unwrap().set_len(at).unwrap();
}

#[test]
fn a_log_of_a_sync_is_read_to_its_last_record_after_a_kill() {
    let (chain, base) = (chain(), Folder::new());
    let (line, log) = (chain.line(), base.join("log"));
    let peer = Server::start(line.clone(), far_away);
    let node = Node::start(&base, &logging(&[peer.addr], &log, &["--packet"]));
    let seen =
        node.wait("in the middle", 60, |status| status["height"].as_u64() > Some(40))["height"].as_u64().unwrap();
    // What was seen is written a moment later.
    poll(10, || {
        let (records, _) = decoded(&log, &["--event", "connected"]);
        records.iter().any(|record| record["fields"]["height"] == seen).then_some(())
    })
    .expect("it is in the log");
    let killed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    node.kill();

    // A kill may meet the node within a write; of its bytes the kernel has taken some then.
    let (records, said) = decoded(&log, &[]);
    cut_torn(&log, &said);
    assert_eq!(decoded(&log, &[]), (records.clone(), String::new()), "all before that is records");
    assert_eq!(numbers(&records), (0..records.len() as u64).collect::<Vec<_>>());
    let last = Duration::from_nanos(records.last().unwrap()["ns"].as_u64().unwrap());
    assert!(last + Duration::from_secs(5) > killed, "the last moments are there");
    let start = named(&records, "start").next().unwrap();
    assert_eq!((start["chain"].as_str(), start["cores"].as_u64()), (Some("regtest"), Some(2)));
    let met = named(&records, "met").next().unwrap();
    assert_eq!((met["peer"].as_str(), met["agent"].as_str()), (Some(peer.addr.to_string().as_str()), Some("/kit/")));
    assert_eq!(met["inbound"], false);
    assert_eq!(named(&records, "headers").next().unwrap()["count"], 180);
    assert!(named(&records, "asked").next().is_some());
    for (height, block) in (1..).zip(named(&records, "connected")) {
        let bytes = &line.blocks[height as usize].1;
        let parsed = consensus::Block::parse(bytes.clone()).unwrap();
        assert_eq!(block["height"], height);
        assert_eq!(block["hash"], line.blocks[height as usize].0.to_string());
        assert_eq!((&block["txs"], &block["bytes"]), (&parsed.txs.len().into(), &bytes.len().into()));
        assert_eq!(block["inputs"], parsed.inputs.len() - 1);
        assert_eq!(block["peer"], peer.addr.to_string());
    }
    // Each message is there, as it went over the wire.
    let came: Vec<&Value> = named(&records, "in").collect();
    assert_eq!([&came[0]["command"], &came[1]["command"]], ["version", "verack"]);
    let blocks: Vec<&Value> = came.iter().copied().filter(|packet| packet["command"] == "block").collect();
    assert!(blocks.len() as u64 >= seen);
    for packet in blocks {
        let payload = packet["payload"].as_str().unwrap();
        let block = line.blocks.iter().find(|(_, bytes)| hex(bytes) == payload).expect("a block of the chain");
        assert_eq!(packet["header"], hex(&caesure_tests::wire::frame(REGTEST, "block", &block.1)[..24]));
    }

    // A record that is torn is passed over, and what another run appends behind it is read.
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..whole.len() - 3]).unwrap();
    let (torn, said) = decoded(&log, &[]);
    assert_eq!(torn, records[..records.len() - 1]);
    assert!(said.contains("are no record"), "{said}");
    let node = Node::start(&base, &logging(&[peer.addr], &log, &[]));
    node.wait_tip(&chain.tip, 60);
    assert_eq!(node.stop(), 0);
    let (both, said) = decoded(&log, &[]);
    assert_eq!(both[..torn.len()], torn);
    assert_eq!(both[torn.len()]["number"], 0, "another run");
    assert_eq!(said.lines().count(), 1, "{said}");
    let end = both.last().unwrap();
    assert_eq!((end["event"].as_str(), end["fields"]["status"].as_u64()), (Some("end"), Some(0)));
    // So is what is damaged in the middle.
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 10].fill(0x55);
    fs::write(&log, &damaged).unwrap();
    let (left, said) = decoded(&log, &[]);
    let lost: BTreeSet<u64> = (0..records.len() as u64).collect();
    let lost: Vec<u64> = lost.difference(&numbers(&left).into_iter().collect()).copied().collect();
    assert!((1..=2).contains(&lost.len()), "{lost:?}");
    assert!(said.contains("are no record") && said.contains("are missing"), "{said}");
    // What comes through a pipe is shown as it comes, wherever it begins.
    let mut piped = command(&["catlog", "-", "--json"]);
    let mut piped = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut pipe = piped.stdin.take().unwrap();
    pipe.write_all(&whole[100..10_000]).unwrap();
    let first = BufReader::new(piped.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    let first: Value = serde_json::from_str(&first).unwrap();
    assert!(records[1..5].contains(&first), "{first}");
    drop(pipe);
    piped.wait().unwrap();
}

#[test]
fn files_that_are_put_aside_or_moved_away_lose_nothing_and_are_followed() {
    let (line, base) = (chain().line(), Folder::new());
    let log = base.join("log");
    let node = Node::start(&base, &logging(&[], &log, &["--packet", "--logfile-size", "256K"]));
    let mut follow = command(&["catlog", log.to_str().unwrap(), "-f", "--json"]);
    let mut follow = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let followed = Arc::new(Mutex::new(Vec::<Value>::new()));
    let follows = followed.clone();
    thread::spawn(move || {
        let record = |line: std::io::Result<String>| serde_json::from_str(&line.unwrap()).unwrap();
        lines.for_each(|line| follows.lock().unwrap().push(record(line)));
    });
    let follows_up_to = |event: &str, times: usize| {
        let seen = || named(&followed.lock().unwrap(), event).count() == times;
        poll(30, || seen().then_some(())).unwrap_or_else(|| panic!("{event}, {times} times"));
    };
    // Whoever begins to follow after a file was put aside sees what is in the next.
    poll(30, || (!followed.lock().unwrap().is_empty()).then_some(())).expect("it follows");
    // Blocks that nobody asked for are in the log, too.
    let send = |blocks: &[(BlockHash, Bytes)]| {
        let wire = Wire::regtest(node.p2p, 0);
        blocks.iter().for_each(|(_, block)| wire.send_frame("block", block));
        wire.ping(7).unwrap();
        wire.close();
    };
    send(&line.blocks[110..140]);
    follows_up_to("gone", 1);
    assert!(base.join("log.1").exists(), "a file is put aside");
    fs::rename(&log, base.join("moved")).unwrap();
    signal("HUP", node.pid());
    poll(20, || log.exists().then_some(())).expect("it is opened anew");
    send(&line.blocks[140..170]);
    assert_eq!(node.stop(), 0);
    follows_up_to("end", 1);
    follow.kill().unwrap();
    let told = std::io::read_to_string(follow.stderr.take().unwrap()).unwrap();
    follow.wait().unwrap();

    let mut all = Vec::new();
    for name in ["log.5", "log.4", "log.3", "log.2", "log.1", "moved", "log"] {
        if base.join(name).exists() {
            all.push((name, decoded(&base.join(name), &[]).0));
        }
    }
    assert!(all.len() > 3, "{}", all.len());
    let mut found: Vec<u64> = all.iter().flat_map(|(_, records)| numbers(records)).collect();
    found.sort_unstable();
    assert_eq!(found, (0..found.len() as u64).collect::<Vec<_>>(), "each once");
    assert_eq!(numbers(&followed.lock().unwrap()), found, "{told}");
}

#[test]
fn while_it_syncs_the_node_says_every_few_seconds_how_far_it_is() {
    let (chain, base) = (chain(), Folder::new());
    let line = chain.line();
    let above: BTreeSet<BlockHash> = line.blocks[101..].iter().map(|(hash, _)| *hash).collect();
    let peer = Server::start(line, move |_, message| match message {
        Message::GetData(invs) if invs.iter().all(|inv| above.contains(&BlockHash(inv.hash))) => Step::Done,
        _ => Step::Honest,
    });
    let node = Node::start(&base, &logging(&[peer.addr], &base.join("log"), &[]));
    let line = node.wait_log("downloading: height 1", 30);
    assert!(line.contains(" of 180, ") && line.contains(" blocks/s, ") && line.contains(" MB/s"), "{line}");
    let told = poll(10, || {
        let (records, _) = decoded(&base.join("log"), &["--event", "syncing"]);
        records.first().map(|record| record["fields"].clone())
    });
    let told = told.expect("it is in the binary log, too");
    assert_eq!((&told["headers"], &told["state"]), (&180.into(), &"downloading".into()));
}

#[test]
fn the_filter_is_changed_while_the_node_runs() {
    let (chain, base) = (chain(), Folder::new());
    let (line, log) = (chain.line(), base.join("log"));
    let peer = Server::honest(line.up_to(100));
    let node = Node::start(&base, &logging(&[peer.addr], &log, &["--monitor-write"]));
    node.wait_tip(&line.blocks[100].0.to_string(), 60);
    assert!(node.ask("log").contains("log info"), "{}", node.ask("log"));
    let tip = node.wait_log(&format!("tip 100 {}", line.blocks[100].0), 10);
    assert!(tip.contains(" tx, ") && tip.contains(&format!("from {}", peer.addr)) && tip.contains(" coins"), "{tip}");
    assert!(node.logged("is valid").is_none(), "that is told at debug");
    let refused = node.ask("log nonsense=nonsense=nonsense");
    assert!(refused.contains("error: ") && refused.contains("is no filter"), "{refused}");
    assert!(node.ask("log info,caesure::chain=debug").contains("log info,caesure::chain=debug"));
    peer.switch(line.up_to(101));
    node.wait_log(&format!("block 101 {} is valid", line.blocks[101].0), 30);
    // A line each, though both come at once.
    peer.switch(line.up_to(103));
    for height in [102, 103] {
        node.wait_log(&format!("tip {height} {}", line.blocks[height].0), 30);
    }
    // Where the filter names us, the binary log heeds it.
    assert!(node.ask("log caesure=warn").contains("log caesure=warn"));
    peer.switch(line.up_to(104));
    node.wait_tip(&line.blocks[104].0.to_string(), 30);
    assert_eq!(node.stop(), 0);
    let (records, _) = decoded(&log, &["--event", "connected"]);
    let heights: Vec<u64> = records.iter().map(|record| record["fields"]["height"].as_u64().unwrap()).collect();
    assert_eq!(heights, (1..=103).collect::<Vec<_>>());
    let words = ["catlog", "--logfile", log.to_str().unwrap(), "-a", "1h", "--level", "info", "-b", base.text()];
    let (status, out, err) = run(&words);
    assert!(status == 0 && out.contains(" chain tip height=100 hash=") && !out.contains(" DEBUG "), "{out}{err}");
    // Who may only look may not change what is logged.
    let node = Node::start(&base, &Setup::regtest(&[]));
    let refused = node.ask("log debug");
    assert!(refused.contains("error: ") && refused.contains("--monitor-write"), "{refused}");
    assert!(node.ask("log").contains("log info"));
}

#[test]
fn what_came_over_a_connection_is_replayed_to_another_node() {
    let (chain, base, second) = (chain(), Folder::new(), Folder::new());
    let log = base.join("log");
    let peer = Server::honest(chain.line());
    let node = Node::start(&base, &logging(&[peer.addr], &log, &["--packet"]));
    node.wait_tip(&chain.tip, 60);
    // Another one, which says what is no message, and asks for a block twice: the second time it is sent from its file.
    let guest = Wire::regtest(node.p2p, 0);
    let (hash, block) = &chain.line().blocks[150];
    for _ in 0..2 {
        guest.send(&get_data(&[*hash]));
        guest.until(|message| matches!(message, Message::Block(_))).unwrap();
    }
    guest.send_bytes(&[0x11; 100]);
    assert!(guest.ends());
    assert_eq!(node.stop(), 0);

    let replay = |more: &[&str]| {
        let words = ["catlog", log.to_str().unwrap(), "--chain", "regtest", "--replay"];
        run(&[&words[..], more].concat())
    };
    let other = Node::start(&second, &Setup::regtest(&[]));
    let to = other.p2p.to_string();
    let (status, _, err) = replay(&[&to]);
    assert!(status == 2 && err.contains("there are 2 connections"), "{err}");
    let (status, out, err) = replay(&[&to, "--peer", &peer.addr.to_string()]);
    assert_eq!(status, 0, "{out}{err}");
    assert!(out.contains("0 blocks were not asked for"), "{out}");
    assert_eq!(other.wait_tip(&chain.tip, 60)["coins"], chain.coins);
    // What is no message breaks a rule again.
    let (records, _) = decoded(&log, &["--facility", "packet", "--event", "in"]);
    let broken: Vec<&Value> = named(&records, "in").filter(|packet| packet["command"] == "").collect();
    let bytes: Vec<&str> = broken.iter().map(|packet| packet["payload"].as_str().unwrap()).collect();
    assert_eq!(bytes.concat(), hex(&[0x11; 100]));
    let (status, _, err) = replay(&[&to, "--peer", broken[0]["conn"].as_str().unwrap()]);
    assert!(status == 1 && err.contains("ended the connection"), "{err}");
    other.wait_log("wrong network magic 11111111", 10);

    // A block that the kernel sent lies in blocks.bin.
    let words = ["--event", "out", "-b", base.text(), "--chain", "regtest"];
    let (records, _) = decoded(&log, &words);
    let (status, out, err) = run(&["catlog", log.to_str().unwrap(), "--event", "in", "--peer", &peer.addr.to_string()]);
    assert!(status == 0 && out.contains(&format!("command=block payload=<{} bytes> ({hash})", block.len())), "{err}");
    assert!(
        out.contains("command=version ") && out.contains("(/kit/, height 180)") && out.contains("(180 after 0f9188f1")
    );
    let sent: Vec<&Value> = named(&records, "out").filter(|packet| packet["command"] == "block").collect();
    assert_eq!(sent.len(), 2);
    assert!(sent[0]["at"].is_null() && sent[1]["at"].is_u64(), "{:?}", sent.iter().map(|sent| &sent["at"]));
    sent.iter().for_each(|packet| assert_eq!(packet["payload"], hex(block)));
    let (records, _) = decoded(&log, &["--no-blocks"]);
    assert!(records.iter().all(|record| record["fields"]["command"] != "block") && !records.is_empty());
}

#[test]
fn what_cannot_be_logged_is_said() {
    let base = Folder::new();
    let at =
        |words: &[&str]| run(&[&["--chain", "regtest", "-b", base.text(), "--no-pin", "--cores", "2"], words].concat());
    let (status, _, err) = at(&["--packet"]);
    assert!(status == 2 && err.contains("--packet: ") && err.contains("--logfile PATH"), "{err}");
    let (status, _, err) = at(&["--logfile", "/proc/nothing"]);
    assert!(status != 0 && err.contains("/proc/nothing"), "{err}");
    let (status, _, err) = run(&["catlog", base.join("none").to_str().unwrap()]);
    assert!(status == 1 && err.contains("is not there"), "{err}");
    let (status, _, err) = run(&["catlog"]);
    assert!(status == 2 && err.contains("which log?"), "{err}");
    let (status, _, err) = run(&["catlog", "x", "-a", "soon"]);
    assert!(status == 2 && err.contains("no time such as"), "{err}");
}
