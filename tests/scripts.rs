//! Scripts in the running node: a bad signature is found where it lies, whose scripts are believed is decided as Bitcoin
//! Core decides it, and `caesure verify` finds, prints, replays and traces what fails.

use caesure_bench::block::{Block, subsidy};
use caesure_bench::keys::{Kind, Lock, Spend, sign};
use caesure_bench::pump::{Options, Pump};
use caesure_bench::records::Chain;
use caesure_bench::sighash::ALL;
use caesure_bench::tx::{OutPoint, Tx, TxIn};
use caesure_tests::binary::run;
use caesure_tests::core::{Core, bitcoind};
use caesure_tests::{Folder, Line, Node, Setup};
use serde_json::json;
use std::sync::Arc;

const BAD: usize = 102;
const LOCK: Lock = Lock { kind: Kind::P2wpkh, key: 0 };

/// A transaction that moves the coinbase of that block, which is that of [`Line::next`] with tag 0.
fn spend_coinbase(line: &Line, height: u32) -> Tx {
    let block = consensus::Block::parse(line.blocks[height as usize].1.clone()).unwrap();
    let prev = OutPoint { txid: block.txs[0].txid.0, vout: 0 };
    let input = TxIn { prev, script_sig: vec![], sequence: u32::MAX, witness: vec![] };
    let mut tx = Tx { version: 2, inputs: vec![input], outputs: vec![LOCK.output(subsidy(height))], lock_time: 0 };
    sign(&mut tx, &[Spend { lock: LOCK, value: subsidy(height), hash_type: ALL, leaf: 0 }]);
    tx
}

/// A chain in which block [`BAD`] moves two coins, the second with a signature of another message, and `more` blocks follow.
fn bad_chain(more: usize) -> Line {
    let line = Line::regtest().branch(0, BAD - 1, 0);
    let good = spend_coinbase(&line, 1);
    let mut bad = spend_coinbase(&line, 2);
    bad.outputs[0].value -= 1;
    let mut bad_block: Block = line.next(vec![good, bad], 0);
    bad_block.seal();
    let mut line = line;
    line.push(&bad_block);
    (0..more).for_each(|_| line.push(&line.next(vec![], 0)));
    line
}

fn pump(line: &Line) -> Pump {
    Pump::start(Arc::new(Chain::from_bytes(line.records()).unwrap()), Options::default()).unwrap()
}

/// Whether caesure, and Core where there is one, take a chain whole; else they stop before the bad block.
fn takes(line: &Line, assume_valid: &str) -> bool {
    let (tip, last_good) = (line.tip().to_string(), line.blocks[BAD - 1].0.to_string());
    let peer = pump(line);
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[peer.addr()]).with(&["--assumevalid", assume_valid]));
    let status = node.wait("taken or refused", 120, |status| {
        status["tip"] == *tip || status["tips"].to_string().contains("refused: ")
    });
    let taken = status["tip"] == *tip;
    if !taken {
        assert_eq!(node.wait_tip(&last_good, 60)["height"], BAD - 1);
        let bad = line.blocks[BAD].0;
        let said = node.wait_log("is refused", 60);
        let wanted = format!(
            "block {bad} (height {BAD}) is refused: block-script-verify-flag-failed (Script evaluated without error but \
             finished with a false/empty top stack element), transaction 2, input 0: "
        );
        assert!(said.contains(&wanted), "{said}");
        node.wait_log("is let go: block-script-verify-flag-failed", 60);
    }
    drop(node);
    if let Some(bitcoind) = bitcoind() {
        let arguments = [format!("-connect={}", peer.addr()), format!("-assumevalid={assume_valid}")];
        let core = Core::start(&bitcoind, &arguments);
        match taken {
            true => core.wait_tip(&tip, 120),
            false => {
                let refused = || {
                    let tips = core.call("getchaintips", json!([]));
                    tips.as_array().unwrap().iter().any(|tip| tip["status"] == "invalid").then_some(())
                };
                caesure_tests::node::poll(120, refused).expect("Core refuses it too");
                core.wait_tip(&last_good, 60);
            }
        }
    }
    taken
}

/// Core: more than two weeks' worth of work above it. On regtest each block is worth ten minutes.
#[test]
fn scripts_are_believed_only_below_a_buried_block_that_is_assumed_valid() {
    let (deep, shallow) = (bad_chain(2_017), bad_chain(2_016));
    let tip = |line: &Line| line.tip().to_string();
    assert!(takes(&deep, &tip(&deep)), "2,017 blocks above");
    assert!(!takes(&shallow, &tip(&shallow)), "2,016 blocks above are two weeks and no more");
    assert!(takes(&deep, &deep.blocks[BAD].0.to_string()), "the block itself");
    assert!(!takes(&deep, &deep.blocks[BAD - 1].0.to_string()), "only what lies below it");
    assert!(!takes(&deep, "0"));
}

#[test]
fn what_is_stored_is_verified_again_printed_replayed_and_traced() {
    let line = bad_chain(3);
    let base = Folder::new();
    std::fs::create_dir_all(base.join("regtest")).unwrap();
    std::fs::write(base.join("regtest/blocks.bin"), line.records()).unwrap();
    let verify = |more: &[&str]| {
        run(&[&["--chain", "regtest", "-b", base.text(), "--no-pin", "--cores", "2", "verify"], more].concat())
    };
    let (status, out, err) = verify(&[]);
    assert_eq!(status, 1, "{err}");
    assert!(
        err.contains("blocks 0 to 105") && err.contains("2 inputs, 2 signatures") && err.contains("1 failed"),
        "{err}"
    );
    let lines: Vec<&str> = out.lines().collect();
    let [failed] = lines[..] else { panic!("{out}") };
    assert!(
        failed.starts_with("height=102 ") && failed.contains(" input=0 error=EVAL_FALSE flags=P2SH,DERSIG,"),
        "{failed}"
    );

    // The whole of it, and from the line alone.
    let (status, out, err) = verify(&["--replay", failed]);
    assert_eq!(
        (status, out.lines().last()),
        (0, Some("EVAL_FALSE: Script evaluated without error but finished with a false/empty top stack element")),
        "{err}"
    );
    let (status, out, _) = verify(&["--trace", "--replay", failed]);
    assert!(status == 0 && out.contains("ECDSA   key") && out.contains("FAILS") && out.contains("push"), "{out}");

    // Heights on both sides of it.
    for (heights, failures) in [
        (["--from", "0", "--to", "101"], 0),
        (["--from", "102", "--to", "102"], 1),
        (["--from", "103", "--to", "105"], 0),
    ] {
        let (status, out, err) = verify(&heights);
        assert_eq!((status, out.lines().count()), (failures, failures as usize), "{heights:?}: {err}");
    }

    // What makes no sense is said.
    for (wrong, word) in [
        (&["--from", "106"][..], "ends at height 105"),
        (&["--from", "2", "--to", "1"], "lies above"),
        (&["--replay", "nonsense"], "has no tx="),
        (&["--replay", &failed.replace("input=0", "input=1")], "the transaction has 1"),
        (&["--replay", &failed.replace("flags=P2SH,", "flags=")], "WITNESS needs P2SH"),
        (&["--replay", &failed.replace("coins=", "coins=1:51,")], "1 inputs and the line 2 coins"),
    ] {
        let (status, _, err) = verify(wrong);
        assert!(status == 2 && err.contains(word), "{wrong:?}: {status} {err}");
    }
}
