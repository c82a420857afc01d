//! `cargo numbers -- reorg`: how long the tip takes to go from one branch of a hundred blocks to another, here, where both
//! branches' worlds live, and in Bitcoin Core, which undoes the one and connects the other; on the same blocks, in turns.
//!
//! A switch by work begins with the bytes of the block that makes the rival win, and ends with the pong that waits for it
//! here, with the answer of `submitblock` there. A switch by hand is `invalidate` and `reconsider` at the prompt, and the
//! calls of the same meaning there.

use crate::table::{Table, Teller, histogram, median};
use caesure_bench::chain::Spec;
use caesure_bench::records::Fork;
use caesure_tests::core::{Core, bitcoind};
use caesure_tests::data::hex;
use caesure_tests::wire::block;
use caesure_tests::{Folder, Line, Node, Server, Setup, Wire, made};
use consensus::BlockHash;
use serde_json::json;
use std::time::{Duration, Instant};
use wire::message::Message;

/// Height of the last block in common.
const AT: u32 = 300;
/// Blocks of the branch that is left first.
const DEPTH: u32 = 100;

/// A new peer announces a block to the node and gives it; how long until its effects are there.
fn give(node: &Node, line: &Line, height: usize) -> Duration {
    let (peer, hash) = (Wire::regtest(node.p2p, line.height()), line.blocks[height].0);
    peer.send(&Message::Headers(vec![line.header(height)]));
    let asks =
        |message: &Message| matches!(message, Message::GetData(invs) if invs.iter().any(|inv| inv.hash == hash.0));
    peer.until(asks).expect("the node asks for it");
    let begun = Instant::now();
    peer.send(&block(&line.blocks[height].1));
    peer.ping(1).expect("the node answers");
    let took = begun.elapsed();
    peer.close();
    took
}

/// What the prompt says to a decision, and how long that took.
fn decide(node: &Node, verb: &str, block: BlockHash, tip: BlockHash) -> Duration {
    let begun = Instant::now();
    let answer = node.ask(&format!("{verb} {block}"));
    let took = begun.elapsed();
    assert!(answer.contains(&format!("tip is now {tip}")), "{verb}: {answer}");
    took
}

struct Theirs(Core);

impl Theirs {
    fn submit(&self, line: &Line, height: usize) -> Duration {
        let text = json!([hex(&line.blocks[height].1)]);
        let begun = Instant::now();
        let answer = self.0.call("submitblock", text);
        let took = begun.elapsed();
        assert!(answer.is_null() || answer == "inconclusive", "{answer}");
        took
    }

    fn decide(&self, method: &str, block: BlockHash, tip: BlockHash) -> Duration {
        let begun = Instant::now();
        self.0.call(method, json!([block.to_string()]));
        let took = begun.elapsed();
        assert_eq!(self.0.call("getbestblockhash", json!([])), tip.to_string(), "{method}");
        took
    }
}

/// Times of one kind of switch, ours and theirs, in milliseconds.
#[derive(Default)]
struct Times(Vec<f64>, Vec<f64>);

impl Times {
    fn add(&mut self, ours: Duration, theirs: Option<Duration>) {
        self.0.push(ours.as_secs_f64() * 1e3);
        self.1.extend(theirs.map(|theirs| theirs.as_secs_f64() * 1e3));
    }

    fn row(self, what: &str, table: &mut Table) {
        let mut all = histogram();
        self.0.iter().for_each(|ms| all.record((ms * 1e6) as u64).expect("below a quarter of an hour"));
        let what = format!("{what}, median of {}", self.0.len());
        match self.1.is_empty() {
            true => table.row(what, "ms", median(self.0)),
            false => table.beside(what, "ms", median(self.0), "Core", median(self.1)),
        }
        table.row("  longest", "ms", all.max() as f64 / 1e6);
    }
}

/// Measures with so many transactions a block, that many times each way.
pub fn run(txs_per_block: u32, rounds: u32) -> Table {
    // Both branches grow by two blocks at each round; the rival is two blocks ahead in the end.
    let last = AT + DEPTH + 2 * rounds;
    let branch = |from: u32| (last - from) * txs_per_block;
    // One block more tells the two apart: the longest is the chain of a file.
    let spec = Spec { seed: 95, blocks: last + 1, txs: branch(100), empty_tail: 0 };
    let length = DEPTH + 2 * rounds;
    eprintln!(
        "making a chain of {last} blocks with {} transactions and its rival, unless an earlier run left them",
        spec.txs
    );
    let chain = made(&spec, &[Fork { at: AT, length, txs: branch(AT) }]);
    let (first, second) = (chain.after((1 + AT + length) as usize), chain.line());
    let depth = (AT + DEPTH) as usize;

    // The second branch is one block short; then the first one is longer.
    let (base, peer) = (Folder::new(), Server::honest(second.up_to(depth - 1)));
    let node = Node::start(&base, &Setup::regtest(&[peer.addr]).with(&["--monitor-write"]));
    node.wait_tip(&second.blocks[depth - 1].0.to_string(), 3_600);
    peer.switch(first.up_to(depth));
    node.wait_tip(&first.blocks[depth].0.to_string(), 3_600);
    let theirs = bitcoind().map(|bitcoind| Theirs(Core::start(&bitcoind, &["-connect=0".into(), "-par=2".into()])));
    if let Some(theirs) = &theirs {
        let mut teller = Teller::new("Core takes both branches");
        for height in 1..depth {
            theirs.submit(&second, height);
            teller.say(height as u64, last.into(), "blocks");
        }
        for height in AT as usize + 1..=depth {
            theirs.submit(&first, height);
        }
        theirs.0.wait_tip(&first.blocks[depth].0.to_string(), 60);
    }

    let (mut by_work, mut out, mut back) = (Times::default(), Times::default(), Times::default());
    let mut heights = [depth - 1, depth];
    for round in 0..2 * rounds as usize {
        // The branch that is behind grows to as much work, and then to more.
        let (rival, left) = if round % 2 == 0 { (&second, &first) } else { (&first, &second) };
        let grows = heights[(round + 1) % 2].max(heights[round % 2]);
        let at = if round % 2 == 0 { &mut heights[0] } else { &mut heights[1] };
        while *at < grows {
            *at += 1;
            give(&node, rival, *at);
            theirs.iter().for_each(|theirs| _ = theirs.submit(rival, *at));
        }
        *at += 1;
        let ours = give(&node, rival, *at);
        assert_eq!(node.status()["tip"], rival.blocks[*at].0.to_string());
        let core = theirs.as_ref().map(|theirs| theirs.submit(rival, *at));
        theirs.iter().for_each(|theirs| theirs.0.wait_tip(&rival.blocks[*at].0.to_string(), 60));
        by_work.add(ours, core);

        let (block, tip) = (rival.blocks[AT as usize + 1].0, rival.blocks[*at].0);
        let other = left.blocks[heights[(round + 1) % 2]].0;
        let core = |method, tip| theirs.as_ref().map(|theirs| theirs.decide(method, block, tip));
        out.add(decide(&node, "invalidate", block, other), core("invalidateblock", other));
        back.add(decide(&node, "reconsider", block, tip), core("reconsiderblock", tip));
    }
    assert_eq!(node.logged("rebuilding all coins"), None, "the worlds were to be alive");
    let mut table = Table::default();
    table.row("blocks left at a switch", "", f64::from(DEPTH));
    table.row("transactions a block", "", f64::from(txs_per_block));
    by_work.row("switch by work", &mut table);
    out.row("switch by hand, invalidate", &mut table);
    back.row("switch by hand, reconsider", &mut table);
    table
}
