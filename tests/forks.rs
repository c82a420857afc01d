//! Rivals: both worlds live, the heavier wins, nothing is parsed or verified twice, and any number of executors finds
//! the same coins.

use caesure_bench::chain::Spec;
use caesure_bench::records::Fork;
use caesure_tests::core::{Core, bitcoind};
use caesure_tests::data::hex;
use caesure_tests::digest::{digest, snapshot};
use caesure_tests::{Folder, Line, Node, Server, Setup, coins_digest, full, made, poll};
use serde_json::{Value, json};

/// Sum of a counter over all cores.
fn counter(status: &Value, name: &str) -> u64 {
    status["cores"].as_array().unwrap().iter().map(|core| core[name].as_u64().unwrap()).sum()
}

fn worlds_with(status: &Value, hash: &str) -> usize {
    status["worlds"].as_array().unwrap().iter().filter(|world| world["hash"] == hash).count()
}

/// The tip goes to a rival that leaves `depth` blocks behind, and back once the first branch has grown two more.
fn switch_there_and_back(depth: usize) {
    let first = Line::regtest().branch(0, 150, 1);
    let rival = first.branch(150 - depth, depth + 1, 2);
    let again = first.branch(150, 2, 3);
    let (peer, _base, node) = synced(&first, &[]);
    let before = node.wait("synced", 30, |status| status["state"] == "synced");

    peer.switch(rival.clone());
    let between = node.wait_tip(&rival.tip().to_string(), 60);
    assert_eq!(between["branch_switches"].as_u64().unwrap(), before["branch_switches"].as_u64().unwrap() + 1);
    assert_eq!(between["coins"], 151, "one coinbase a block");
    assert_eq!(worlds_with(&between, &first.tip().to_string()), 1, "the world left behind lives on");
    assert_eq!(worlds_with(&between, &rival.tip().to_string()), 1);

    peer.switch(again.clone());
    let after = node.wait_tip(&again.tip().to_string(), 60);
    assert_eq!(after["branch_switches"].as_u64().unwrap(), before["branch_switches"].as_u64().unwrap() + 2);
    assert_eq!(worlds_with(&after, &rival.tip().to_string()), 1);
    for name in ["block_parsed", "part_verified"] {
        let [a, b, c] = [&before, &between, &after].map(|status| counter(status, name));
        assert_eq!((b - a, c - b), (depth as u64 + 1, 2), "{name}: only what is new");
    }
    let blocks = first.blocks[1..].iter().chain(&rival.blocks[151 - depth..]).chain(&again.blocks[151..]);
    for (hash, _) in blocks {
        assert_eq!(peer.asked(hash), 1, "{hash}");
    }
}

/// A node that has synced this chain from a peer.
fn synced(line: &Line, with: &[&str]) -> (Server, Folder, Node) {
    let peer = Server::honest(line.clone());
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[peer.addr]).with(with));
    node.wait_tip(&line.tip().to_string(), 60);
    (peer, base, node)
}

#[test]
fn a_switch_of_10_blocks_checks_nothing_again() {
    switch_there_and_back(10);
}

#[test]
fn a_switch_of_99_blocks_checks_nothing_again() {
    switch_there_and_back(99);
}

#[test]
fn one_two_and_five_executors_find_the_same_coins() {
    let all = full("100,000 transactions in 500 blocks, here 8,000 in 220");
    let (spec, forks) = if all {
        let spec = Spec { seed: 31, blocks: 500, txs: 100_000, empty_tail: 2 };
        (spec, [Fork { at: 300, length: 12, txs: 1_000 }, Fork { at: 440, length: 30, txs: 2_000 }])
    } else {
        let spec = Spec { seed: 32, blocks: 220, txs: 8_000, empty_tail: 2 };
        (spec, [Fork { at: 150, length: 12, txs: 300 }, Fork { at: 190, length: 20, txs: 500 }])
    };
    let chain = made(&spec, &forks);
    assert!(!all || chain.coins > 50_000, "{} coins", chain.coins);
    // Each rival as it stood when the main chain had not overtaken it.
    let rivals = [forks[0].at + forks[0].length, forks[1].at + forks[0].length + forks[1].length];
    let rivals = rivals.map(|records| chain.after(records as usize + 1));
    for cores in [1, 2, 5] {
        let peer = Server::honest(rivals[0].clone());
        let base = Folder::new();
        let node = Node::start(&base, &Setup::regtest(&[peer.addr]).cores(cores));
        node.wait_tip(&rivals[0].tip().to_string(), 300);
        for line in [rivals[1].clone(), chain.line()] {
            peer.switch(line.clone());
            node.wait_tip(&line.tip().to_string(), 300);
        }
        let status = node.status();
        assert_eq!(status["coins"], chain.coins);
        assert!(status["branch_switches"].as_u64() >= Some(2));
        assert_eq!(node.stop(), 0);
        assert_eq!(coins_digest(&base, "regtest"), chain.digest, "{cores} executors");
    }
}

/// A rival that leaves further down than worlds are kept: rebuilt, and said.
#[test]
fn a_rival_from_below_the_kept_worlds_wins_all_the_same() {
    let first = Line::regtest().branch(0, 180, 1);
    let rival = first.branch(20, 170, 2);
    let (peer, _base, node) = synced(&first, &[]);
    peer.switch(rival.clone());
    let status = node.wait_tip(&rival.tip().to_string(), 60);
    assert_eq!(status["coins"], 190);
    node.wait_log("rebuilding all coins", 1);
}

/// What it says to a decision, which must be one answer.
fn decide(node: &Node, line: &str) -> String {
    let answer = node.ask(line);
    answer.split_once("\n> ").unwrap().1.trim_end_matches("\n> ").to_owned()
}

fn tip_status(status: &Value, hash: &str) -> String {
    let tips = status["tips"].as_array().unwrap();
    tips.iter().find(|tip| tip["hash"] == hash).map_or("none", |tip| tip["status"].as_str().unwrap()).to_owned()
}

#[test]
fn decisions_need_the_flag_and_a_block_that_can_be_invalidated() {
    let line = Line::regtest().branch(0, 30, 1);
    let (_peer, base, node) = synced(&line, &[]);
    for verb in ["invalidate", "reconsider"] {
        let answer = decide(&node, &format!("{verb} {}", line.tip()));
        assert!(answer.starts_with("error: ") && answer.contains("--monitor-write"), "{answer}");
    }
    assert_eq!(node.status()["tip"], line.tip().to_string());
    assert!(!base.join("regtest/invalidated").exists());
    assert_eq!(node.stop(), 0);
    let node = Node::start(&base, &Setup::regtest(&[]).with(&["--monitor-write"]));
    node.wait_tip(&line.tip().to_string(), 60);
    let unknown = "ab".repeat(32);
    assert_eq!(decide(&node, &format!("invalidate {unknown}")), format!("error: no block {unknown} is known"));
    assert_eq!(decide(&node, &format!("reconsider {unknown}")), format!("error: no block {unknown} is known"));
    let genesis = decide(&node, &format!("invalidate {}", line.blocks[0].0));
    assert_eq!(genesis, "error: the genesis block cannot be invalidated");
    assert_eq!(decide(&node, "invalidate 5"), "error: say invalidate HASH, 64 hex digits");
    let nothing = format!("tip is now {} at height 30", line.tip());
    assert_eq!(decide(&node, &format!("reconsider {}", line.blocks[20].0)), nothing, "it was in");
    assert!(!base.join("regtest/invalidated").exists());
    assert_eq!(node.stop(), 0);
    std::fs::write(base.join("regtest/invalidated"), "a line of somebody\n").unwrap();
    let mut node = Node::spawn(base.path(), &Setup::regtest(&[]));
    assert_ne!(node.ended(30), 0);
    node.wait_log("is no block hash", 5);
}

/// A switch of worlds: nothing is read, parsed or checked again, and a peer that goes on with that branch stays.
#[test]
fn an_invalidated_branch_is_left_and_taken_up_again_without_work() {
    let first = Line::regtest().branch(0, 150, 1);
    let longer = first.branch(150, 2, 2);
    let (peer, base, node) = synced(&first, &["--monitor-write"]);
    let before = node.wait("synced", 30, |status| status["state"] == "synced");
    let (block, parent) = (first.blocks[101].0, first.blocks[100].0);
    let said = decide(&node, &format!("invalidate {block}"));
    assert_eq!(said, format!("tip is now {parent} at height 100"));
    let out = node.status();
    assert_eq!(
        (&out["tip"], &out["coins"], &out["height"]),
        (&json!(parent.to_string()), &json!(100), &json!(100)),
        "one coinbase a block"
    );
    assert_eq!(tip_status(&out, &first.tip().to_string()), "invalidated by hand");
    assert!(node.ask("worlds").contains("invalidated by hand"));
    assert!(node.get("/admin/status").unwrap().contains("invalidated by hand"));
    assert!(node.ask(&format!("block {block}")).contains("verdict valid, invalidated by hand"));
    // The world that was left can be looked at still.
    let worlds = out["worlds"].as_array().unwrap();
    let left = worlds.iter().find(|world| world["hash"] == first.tip().to_string()).unwrap();
    assert_eq!((&left["invalidated"], &left["active"], &left["coins"]), (&json!(true), &json!(false), &json!(150)));
    assert_eq!((&left["made"], &left["taken"]), (&json!(1), &json!(0)));

    // Two more blocks on top of it: their headers are kept, they are not asked for, nobody is sent away.
    peer.switch(longer.clone());
    let kept =
        poll(30, || (tip_status(&node.status(), &longer.tip().to_string()) == "invalidated by hand").then_some(()));
    kept.expect("the header is kept");
    assert_eq!((peer.connections(), peer.asked(&longer.tip())), ((1, 0), 0));

    let said = decide(&node, &format!("reconsider {block}"));
    assert!(said == format!("tip is now {} at height 150", first.tip()), "{said}");
    let after = node.wait_tip(&longer.tip().to_string(), 60);
    for name in ["block_parsed", "part_verified"] {
        assert_eq!(counter(&after, name) - counter(&before, name), 2, "{name}: only what is new");
    }
    assert_eq!(after["coins"], 152);
    assert_eq!(std::fs::read_to_string(base.join("regtest/invalidated")).unwrap(), "");
}

/// The same decisions in Core and here leave the same tip and the same coins, above the horizon and below it, and after a
/// restart.
#[test]
fn core_and_caesure_decide_alike_at_any_depth() {
    let Some(bitcoind) = bitcoind() else { return };
    let chain = made(&Spec { seed: 32, blocks: 220, txs: 8_000, empty_tail: 2 }, &[]);
    let line = chain.line();
    let core = Core::start(&bitcoind, &[format!("-loadblock={}", chain.path.display()), "-connect=0".into()]);
    core.wait_tip(&chain.tip, 600);
    let peer = Server::honest(line.clone());
    let base = Folder::new();
    let setup = Setup::regtest(&[peer.addr]).with(&["--monitor-write"]);
    let mut node = Node::start(&base, &setup);
    node.wait_tip(&chain.tip, 120);
    let alike = |node: &Node, height: usize| {
        let (status, tip) = (node.status(), core.call("getbestblockhash", json!([])));
        assert_eq!((&status["tip"], &status["height"]), (&tip, &json!(height)));
        assert_eq!(tip, line.blocks[height].0.to_string());
        assert_eq!(status["coins"], core.coins());
        std::fs::remove_file(core.folder.join("coins.snapshot")).ok();
        let ours = node.ask("digest");
        assert!(ours.contains(&digest(snapshot(&core.snapshot()))), "height {height}: {ours}");
    };
    for depth in [1, 10, 99, 120] {
        let block = line.blocks[220 - depth + 1].0.to_string();
        core.call("invalidateblock", json!([block]));
        let said = decide(&node, &format!("invalidate {block}"));
        assert_eq!(said, format!("tip is now {} at height {}", line.blocks[220 - depth].0, 220 - depth));
        alike(&node, 220 - depth);
        assert_eq!(node.logged("rebuilding all coins").is_some(), depth == 120, "said, and only where it is so");
        if depth > 1 {
            assert_eq!(node.stop(), 0);
            node = Node::start(&base, &setup);
            node.wait_tip(&line.blocks[220 - depth].0.to_string(), 120);
            node.wait_log("1 block(s) invalidated by hand stay so", 5);
            alike(&node, 220 - depth);
        }
        core.call("reconsiderblock", json!([block]));
        let said = decide(&node, &format!("reconsider {block}"));
        assert_eq!(said, format!("tip is now {} at height 220", chain.tip));
        alike(&node, 220);
    }
    assert_eq!(node.stop(), 0);
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
}

/// What a block that is let in again brings with it: its ancestors and descendants, and nothing that branches off.
#[test]
fn core_and_caesure_let_in_the_same_blocks() {
    let Some(bitcoind) = bitcoind() else { return };
    let core = Core::start(&bitcoind, &["-connect=0".into()]);
    let rival = Line::regtest().branch(0, 148, 1);
    let first = rival.branch(145, 5, 2);
    for (_, block) in rival.blocks[1..].iter().chain(&first.blocks[146..]) {
        core.call("submitblock", json!([hex(block)]));
    }
    core.wait_tip(&first.tip().to_string(), 30);
    let (peer, _base, node) = synced(&rival, &["--monitor-write"]);
    peer.switch(first.clone());
    node.wait_tip(&first.tip().to_string(), 60);
    let both = |core_verb: &str, verb: &str, block: consensus::BlockHash| {
        core.call(core_verb, json!([block.to_string()]));
        decide(&node, &format!("{verb} {block}"));
        let (status, tip) = (node.status(), core.call("getbestblockhash", json!([])));
        assert_eq!(status["tip"], tip, "{verb} {block}");
        assert_eq!(status["coins"], core.coins());
        let theirs = core.call("getchaintips", json!([]));
        for leaf in [&first, &rival] {
            let leaf = leaf.tip().to_string();
            let theirs = theirs.as_array().unwrap().iter().find(|tip| tip["hash"] == leaf.as_str());
            let (theirs, ours) = (theirs.map(|tip| tip["status"] == "invalid"), tip_status(&status, &leaf));
            assert_eq!(theirs.unwrap_or(false), ours == "invalidated by hand", "{leaf}: {ours}");
        }
        tip.as_str().unwrap().to_owned()
    };
    let invalidate = |block| both("invalidateblock", "invalidate", block);
    let reconsider = |block| both("reconsiderblock", "reconsider", block);
    assert_eq!(invalidate(first.blocks[150].0), first.blocks[149].0.to_string());
    // Now at 149, and the rival at 148: the next one is its.
    assert_eq!(invalidate(first.blocks[147].0), rival.tip().to_string());
    assert_eq!(invalidate(rival.blocks[140].0), rival.blocks[139].0.to_string());
    assert_eq!(reconsider(rival.blocks[147].0), rival.tip().to_string(), "and the other branch stays out");
    assert_eq!(reconsider(first.blocks[148].0), first.tip().to_string());
    assert_eq!(invalidate(first.blocks[146].0), rival.tip().to_string());
    assert_eq!(invalidate(rival.blocks[146].0), rival.blocks[145].0.to_string());
    assert_eq!(reconsider(rival.blocks[100].0), first.tip().to_string());
}

/// Coins of any live world, on the tip's branch or not; and a clear word where there is none.
#[test]
fn coins_are_looked_up_in_every_live_world_of_the_horizon() {
    let first = Line::regtest().branch(0, 60, 1);
    let rival = first.branch(50, 11, 2);
    let (peer, _base, node) = synced(&first, &["--horizon", "20", "--monitor-write"]);
    peer.switch(rival.clone());
    let status = node.wait_tip(&rival.tip().to_string(), 60);
    assert_eq!((&status["horizon"], &status["root"]["height"]), (&json!(20), &json!(41)));
    assert_eq!(status["worlds_live"], 30, "60 less 41 on one branch, and 11 on the other");
    // A coinbase is the only transaction of its block, so its txid is the merkle root.
    let coin = |line: &Line, height: usize| {
        let mut root = line.header(height).merkle_root;
        root.reverse();
        format!("{}:0", hex(&root))
    };
    let ask = |text: &str| node.ask(&format!("coin {text}"));
    let left = first.tip();
    assert!(ask(&format!("{} @{left}", coin(&first, 60))).contains("made at     60 by a coinbase"));
    assert!(ask(&coin(&first, 60)).contains("is not unspent"));
    assert!(ask(&format!("{} @{left}", coin(&rival, 60))).contains("is not unspent"));
    assert!(ask(&format!("{} @60", coin(&rival, 60))).contains("made at     60"), "a height is the tip's branch's");
    assert!(ask(&format!("{} @41", coin(&first, 41))).contains("made at     41"), "the root");
    for at in ["40".to_owned(), first.blocks[40].0.to_string(), "62".to_owned()] {
        let answer = ask(&format!("{} @{at}", coin(&first, 30)));
        assert!(answer.contains("error: ") && answer.contains("reach from height 41 to 61"), "{answer}");
    }
    let unknown = "cd".repeat(32);
    assert!(ask(&format!("{} @{unknown}", coin(&first, 30))).contains(&format!("no block {unknown} is known")));
    // Off the tip's branch a height is enough where it is the only one.
    decide(&node, &format!("invalidate {}", rival.blocks[51].0));
    assert_eq!(node.status()["tip"], left.to_string());
    assert!(ask(&format!("{} @61", coin(&rival, 61))).contains("made at     61"));
    decide(&node, &format!("invalidate {}", first.blocks[51].0));
    let answer = ask(&format!("{} @55", coin(&rival, 55)));
    for branch in [&first, &rival] {
        assert!(answer.contains("more than one") && answer.contains(&branch.blocks[55].0.to_string()), "{answer}");
    }
}
