//! Peers that die, lie, flood and wait: none of them harms the node or the others, and each is named in the log.

use ::wire::message::Message;
use bytes::Bytes;
use caesure_bench::block::{Block, coinbase};
use caesure_bench::chain::{Factory, Spec};
use caesure_bench::pump::{Options, Pump};
use caesure_bench::records::Chain;
use caesure_tests::wire::{REGTEST, frame, version};
use caesure_tests::{Folder, Line, Made, Node, Server, Setup, Step, Wire, full, made, poll};
use consensus::{BlockHash, Header};
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn chain() -> Made {
    made(&Spec { seed: 41, blocks: 400, txs: 3_000, empty_tail: 2 }, &[])
}

fn pump(chain: &Made, options: Options) -> Pump {
    Pump::start(Arc::new(Chain::open(&chain.path).unwrap()), options).unwrap()
}

#[test]
fn peers_killed_one_by_one_leave_a_sync_that_goes_on() {
    let chain = chain();
    let slow = || pump(&chain, Options { delay: Duration::from_millis(10), ..Options::default() });
    let mut peers = vec![slow(), slow(), slow()];
    let addresses: Vec<_> = peers.iter().map(Pump::addr).collect();
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&addresses));
    for height in [60, 140] {
        node.wait("progress", 60, |status| status["height"].as_u64() >= Some(height));
        let served = peers.remove(0).stop();
        assert!(served.blocks > 0, "it had no part in it");
    }
    assert!(node.status()["height"].as_u64() < Some(400), "they were killed too late");
    let status = node.wait_tip(&chain.tip, 120);
    assert_eq!(status["coins"], chain.coins);
}

#[test]
fn a_withheld_block_is_had_from_another_peer() {
    let chain = chain();
    let liar = pump(&chain, Options { withhold: [5].into(), ..Options::default() });
    let honest = pump(&chain, Options { delay: Duration::from_millis(2), ..Options::default() });
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[liar.addr(), honest.addr()]));
    node.wait_tip(&chain.tip, 120);
}

/// A header on top of a line.
fn header_on(line: &Line, bits: u32) -> Header {
    let top = line.header(line.height() as usize);
    Header { version: 0x2000_0000, prev: line.tip(), merkle_root: [7; 32], time: top.time + 600, bits, nonce: 0 }
}

#[test]
fn whoever_breaks_a_rule_is_let_go_and_named() {
    let line = Line::regtest().branch(0, 120, 1);
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[]));
    let honest = Server::honest(line.clone());
    honest.dial(node.p2p);
    node.wait_tip(&line.tip().to_string(), 60);

    let mut giant = frame(REGTEST, "block", &[]);
    giant[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut checksum = frame(REGTEST, "ping", &[0; 8]);
    checksum[20] ^= 1;
    // A target one step off, and a hash above the right one: both with the rest in order.
    let mut easy = header_on(&line, 0x207f_fffe);
    let met = |header: &Header| header.hash().0[31] < 0x7f;
    while !met(&easy) {
        easy.nonce += 1;
    }
    let mut unmined = header_on(&line, 0x207f_ffff);
    while unmined.hash().0[31] < 0x80 {
        unmined.nonce += 1;
    }
    let headers = |header: Header| Message::Headers(vec![header]).encode(REGTEST).to_vec();
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("garbage", vec![0x55; 64], "wrong network magic"),
        ("a wrong checksum", checksum, "has checksum"),
        ("4 GiB announced", giant, "4294967295 bytes"),
        ("a wrong target", headers(easy), "bad-diffbits"),
        ("no work", headers(unmined), "high-hash"),
        ("an inv too long", frame(REGTEST, "inv", &[0xfd, 0x51, 0xc3]), "inv"),
    ];
    for (what, bytes, told) in cases {
        let peer = Wire::regtest(node.p2p, 120);
        peer.send_bytes(&bytes);
        assert!(peer.ends(), "{what}");
        let line = node.wait_log(told, 10);
        assert!(line.contains("is let go"), "{line}");
    }
    // Nobody else was harmed.
    Wire::regtest(node.p2p, 0).ping(1).unwrap();
    let served = |peer: &serde_json::Value| peer["blocks"].as_u64() >= Some(120);
    let status = node.wait("the honest peer", 10, |status| status["peers"].as_array().unwrap().iter().any(served));
    assert_eq!(status["height"], 120);
}

#[test]
fn a_bip324_opening_is_let_go_at_once() {
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[]));
    let peer = Wire::dial(node.p2p, REGTEST);
    let start = Instant::now();
    peer.send_bytes(&[0xc3; 64]);
    assert!(peer.ends() && start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    node.wait_log("BIP 324", 5);
}

/// A chain whose last block the bad copies are made of, and those copies with the rule that each breaks.
fn mutations() -> Vec<(&'static str, Line, Vec<u8>)> {
    let spec = Spec { seed: 42, blocks: 130, txs: 200, empty_tail: 0 };
    let mut line = Line::regtest();
    let mut good = None;
    for block in Factory::new(spec).unwrap() {
        line.push(&block);
        // With an odd number of transactions, the last may be repeated without a trace in the root.
        let witness = |tx: &caesure_bench::tx::Tx| tx.inputs.iter().any(|input| !input.witness.is_empty());
        if block.txs.len() >= 3 && block.txs.len() % 2 == 1 && block.txs[1..].iter().any(witness) {
            good = Some(block);
            break;
        }
    }
    let good = good.expect("such a block");
    let altered = |change: &dyn Fn(&mut Block)| {
        let mut block = good.clone();
        change(&mut block);
        assert_eq!(block.hash(), good.hash(), "the header stays");
        block.bytes()
    };
    let other_root = altered(&|block| block.txs[1].lock_time ^= 1);
    let twice = altered(&|block| block.txs.push(block.txs[block.txs.len() - 1].clone()));
    let nonce = altered(&|block| block.txs[0].inputs[0].witness = vec![vec![0; 31]]);
    let witness = altered(&|block| {
        let items = block.txs[1..].iter_mut().flat_map(|tx| &mut tx.inputs).flat_map(|input| &mut input.witness);
        items.filter(|item| !item.is_empty()).for_each(|item| item[0] ^= 1);
    });
    // Without a commitment there may be no witness.
    let mut bare = line.next(vec![], 9);
    let mut first = coinbase(line.height() + 1, bare.txs[0].outputs[..1].to_vec(), &[9]);
    first.outputs.pop();
    first.inputs[0].witness.clear();
    bare.txs[0] = first;
    bare.seal();
    let mut with_bare = line.clone();
    with_bare.push(&bare);
    bare.txs[0].inputs[0].witness = vec![vec![0; 32]];
    vec![
        ("bad-txnmrklroot", line.clone(), other_root),
        ("bad-txns-duplicate", line.clone(), twice),
        ("bad-witness-nonce-size", line.clone(), nonce),
        ("bad-witness-merkle-match", line, witness),
        ("unexpected-witness", with_bare, bare.bytes()),
    ]
}

/// The bad copy comes first; it is refused and its sender let go, and the true block from another peer is taken, also
/// when the node was started anew between the two.
#[test]
fn a_mutated_copy_does_not_keep_the_true_block_out() {
    for (rule, line, bad) in mutations() {
        for restart in [false, true] {
            let base = Folder::new();
            let mut node = Node::start(&base, &Setup::regtest(&[]));
            let (tip, copy) = (line.tip(), Bytes::from(bad.clone()));
            let liar = Server::start(line.clone(), move |session, message| match message {
                Message::GetData(invs) if invs.iter().any(|inv| inv.hash == tip.0) => {
                    let others = invs.iter().filter(|inv| inv.hash != tip.0).copied().collect();
                    session.honest(&Message::GetData(others));
                    session.wire.send(&Message::Block(copy.clone()));
                    Step::Done
                }
                _ => Step::Honest,
            });
            liar.dial(node.p2p);
            let told = node.wait_log(&format!("{rule}: block {tip}"), 30);
            assert!(told.contains("is let go"), "{told}");
            if restart {
                assert_eq!(node.stop(), 0);
                node = Node::start(&base, &Setup::regtest(&[]));
            }
            let honest = Server::honest(line.clone());
            honest.dial(node.p2p);
            node.wait_tip(&tip.to_string(), 60);
            assert_eq!(honest.asked(&tip), 1);
            assert_eq!(node.stop(), 0);
            let stored = fs::read(base.join("regtest/blocks.bin")).unwrap();
            let records = line.records();
            assert!(stored[..records.len()] == records, "{rule}: bytes that were refused are on disk");
            assert!(
                stored[records.len()..].iter().all(|byte| *byte == 0),
                "{rule}: something lies behind the last block"
            );
        }
    }
}

/// An invalid block is remembered for ever, with whatever is built on it; the branch below it goes on.
#[test]
fn an_invalid_block_is_remembered_across_restarts() {
    let line = Line::regtest().branch(0, 110, 1);
    let mut wrong = line.clone();
    let mut block = line.next(vec![], 2);
    block.txs[0].outputs[0].value += 1;
    block.seal();
    wrong.push(&block);
    wrong.push(&wrong.next(vec![], 3));
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[]));
    let first = Server::honest(line.clone());
    first.dial(node.p2p);
    node.wait_tip(&line.tip().to_string(), 60);
    let liar = Server::honest(wrong.clone());
    liar.dial(node.p2p);
    node.wait_log("bad-cb-amount", 30);
    assert_eq!(node.status()["tip"], line.tip().to_string());
    let refused = || fs::read_to_string(base.join("regtest/refused")).unwrap_or_default();
    poll(30, || refused().contains(&BlockHash(block.hash()).to_string()).then_some(())).expect("it is remembered");
    assert_eq!(node.stop(), 0);
    let node = Node::start(&base, &Setup::regtest(&[]));
    let liar = Server::honest(wrong.clone());
    liar.dial(node.p2p);
    node.wait_log("duplicate-invalid", 30);
    assert_eq!(liar.asked(&BlockHash(block.hash())), 0, "it is not even asked for");
    // The true next block, and one on it, are welcome.
    let right = line.branch(110, 2, 4);
    let honest = Server::honest(right.clone());
    honest.dial(node.p2p);
    node.wait_tip(&right.tip().to_string(), 60);
}

#[test]
fn a_pong_leaves_after_the_effects_of_all_that_came_before() {
    let line = Line::regtest().branch(0, 30, 1);
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[]));
    let peer = Wire::regtest(node.p2p, 0);
    for height in 1..=30 {
        peer.send(&Message::Headers(vec![line.header(height)]));
        let asked = |message: &Message| matches!(message, Message::GetData(_));
        peer.until(asked).expect("a block on the tip is asked for");
        peer.send(&Message::Block(line.blocks[height].1.clone()));
        peer.ping(height as u64).unwrap();
        assert_eq!(node.status()["height"], height, "the pong came before its block was the tip");
    }
}

/// Sends headers for ever that follow one another, each with the least of work.
fn flood(count: u64) -> Server {
    let genesis = Line::regtest().header(0);
    let state = Mutex::new((genesis, 0));
    Server::start(Line::regtest(), move |session, message| {
        let Message::GetHeaders(locator) = message else { return Step::Honest };
        let mut state = state.lock().unwrap();
        if locator.hashes.first() != Some(&state.0.hash()) {
            *state = (genesis, 0);
        }
        let mut headers = Vec::with_capacity(2_000);
        for _ in 0..2_000.min(count - state.1) {
            let mut header = Header { prev: state.0.hash(), time: state.0.time + 1, nonce: 0, version: 4, ..state.0 };
            while header.hash().0[31] >= 0x7f {
                header.nonce += 1;
            }
            headers.push(header);
            *state = (header, state.1 + 1);
        }
        session.wire.send(&Message::Headers(headers));
        Step::Done
    })
}

#[test]
fn low_work_headers_are_watched_without_being_kept() {
    let count = if full("5,000,000 low-work headers, here 300,000") { 5_000_000 } else { 300_000 };
    // Two units of work a header; a chain that could be believed has more than all of them together.
    let setup = Setup { min_work: "1000000".into(), ..Setup::regtest(&[]) };
    let base = Folder::new();
    let node = Node::start(&base, &setup);
    let other = Wire::regtest(node.p2p, 0);
    other.ping(1).unwrap();
    let before = node.memory("VmRSS");
    let flood = flood(count);
    flood.dial(node.p2p);
    node.wait_log(&format!("its chain of {count} headers has too little work"), 600);
    let grown = node.memory("VmHWM").saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more than before");
    other.ping(2).unwrap();
    assert_eq!(node.status()["headers"], 0, "none of them is stored");
}

/// A chain that shows enough work only after two of its messages is run through twice, then stored, to its very end.
#[test]
fn a_long_chain_shows_its_work_before_it_is_stored_and_is_then_synced_whole() {
    let chain = made(&Spec { seed: 72, blocks: 4_700, txs: 0, empty_tail: 0 }, &[]);
    let only = pump(&chain, Options::default());
    // Two units of work a block: 4,500 of them.
    let setup = Setup { min_work: format!("{:x}", 2 * 4_500), ..Setup::regtest(&[only.addr()]) };
    let base = Folder::new();
    Node::start(&base, &setup).wait_tip(&chain.tip, 60);
    // One block more than the chain has: nothing of it is stored, however long it is.
    let setup = Setup { min_work: format!("{:x}", 2 * 4_702), ..Setup::regtest(&[only.addr()]) };
    let base = Folder::new();
    let node = Node::start(&base, &setup);
    node.wait_log("its chain of 4700 headers has too little work", 60);
    assert_eq!(node.status()["headers"], 0);
}

/// How many files this process may open, after asking for `wanted`.
fn open_files(wanted: usize) -> usize {
    let pid = std::process::id().to_string();
    Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={wanted}:")]).status().ok();
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX)
}

#[test]
fn half_messages_of_a_thousand_peers_stay_within_the_budget() {
    let files = open_files(4_096);
    let count = if files >= 1_100 { 1_000 } else { files - 100 };
    if count < 1_000 {
        caesure_tests::aloud(&format!(
            "SHORTENED: {count} peers instead of 1,000, as only {files} files may be open (prlimit --nofile)"
        ));
    }
    let chain = chain();
    let base = Folder::new();
    let budget: u64 = 512 << 20;
    static SLOW_MS: AtomicU64 = AtomicU64::new(100);
    let honest = Server::start(chain.line(), |_, message| {
        if matches!(message, Message::GetData(_)) {
            std::thread::sleep(Duration::from_millis(SLOW_MS.load(Relaxed)));
        }
        Step::Honest
    });
    let node = Node::start(&base, &Setup::regtest(&[honest.addr]).with(&["--memory", "512M"]));
    node.wait("the sync has begun", 30, |status| status["height"].as_u64() > Some(5));
    let before = node.memory("VmRSS");
    // A block of 4 MB that nobody asked for, and the longest inv: half of each.
    let halves = [("block", 4_000_000), ("inv", 1_800_003)].map(|(command, size)| {
        let whole = frame(REGTEST, command, &vec![0xfd; size]);
        whole[..24 + size / 2].to_vec()
    });
    let peers: Vec<Wire> = (0..count).map(|_| Wire::dial(node.p2p, REGTEST)).collect();
    std::thread::scope(|scope| {
        for part in peers.chunks(count.div_ceil(4)) {
            let halves = &halves;
            scope.spawn(move || {
                for (index, peer) in part.iter().enumerate() {
                    peer.send(&version(0));
                    peer.send(&Message::Verack);
                    peer.send_bytes(&halves[index % 2]);
                }
            });
        }
    });
    assert!(node.status()["height"].as_u64() < Some(400), "the sync was over before the flood");
    SLOW_MS.store(0, Relaxed);
    node.wait_tip(&chain.tip, 120);
    let grown = node.memory("VmHWM").saturating_sub(before);
    assert!(grown < budget, "{grown} bytes more than before");
}

/// A peer that says nothing after connecting does not keep others from syncing.
#[test]
fn silent_peers_hold_nobody_up() {
    let chain = chain();
    let mute = Server::start(chain.line(), |_, message| match message {
        Message::GetHeaders(_) | Message::GetData(_) => Step::Done,
        _ => Step::Honest,
    });
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[mute.addr]));
    poll(30, || (mute.connections().0 > 0).then_some(())).expect("the node dials");
    let honest = Server::honest(chain.line());
    honest.dial(node.p2p);
    node.wait_tip(&chain.tip, 90);
}
