//! `cargo numbers -- writes`: bytes written to disk for each byte of blocks, over a sync from a peer.
//!
//! Written is what the kernel counts for the process ([`process::written`]).

use crate::process;
use crate::table::{Table, Teller};
use caesure_bench::chain::Spec;
use caesure_bench::pump::{Options, Pump};
use caesure_bench::records::Chain;
use caesure_tests::{Folder, Made, Node, Setup, made, poll};
use serde_json::Value;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes on disk for each byte of blocks, without checkpoints.
const BOUND: f64 = 1.10;

struct Sync {
    /// Bytes of blocks that were stored, and bytes that the process wrote.
    blocks: u64,
    written: f64,
    seconds: f64,
    checkpoints: u64,
}

impl Sync {
    fn ratio(&self) -> f64 {
        self.written / self.blocks as f64
    }
}

/// One sync of a chain from a pump to its end, and until nothing is left to be written.
fn sync(chain: &Made, what: &'static str, delay: Duration, more: &[&str]) -> Sync {
    let pump =
        Pump::start(Arc::new(Chain::open(&chain.path).expect("just made")), Options { delay, ..Options::default() });
    let pump = pump.expect("a free port");
    let (base, begun) = (Folder::new(), Instant::now());
    let node = Node::start(&base, &Setup::regtest(&[pump.addr()]).with(more));
    let mut teller = Teller::new(what);
    let done = poll(3_600, || {
        let status = node.status();
        teller.say(status["height"].as_u64().unwrap_or(0), chain.height.into(), "blocks");
        let bin = &status["blocks_bin"];
        (status["tip"] == chain.tip.as_str() && bin["durable"] == bin["end"] && status["coins"] == chain.coins)
            .then_some(status)
    });
    let status: Value = done.unwrap_or_else(|| panic!("no sync within an hour\n{}", node.tail()));
    let seconds = begun.elapsed().as_secs_f64();
    let checkpoints = fs::read_dir(node.folder.join("coins"))
        .map_or(0, |files| files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum());
    let blocks = status["blocks_bin"]["end"].as_u64().expect("a number") - 8 * (u64::from(chain.height) + 1);
    Sync { blocks, written: process::written(node.pid()), seconds, checkpoints }
}

/// Syncs chains of large and of small blocks, at full speed and one by one.
pub fn run(blocks: u32, txs: u32) -> Table {
    eprintln!("making a chain of {blocks} blocks with {txs} transactions, unless an earlier run left it");
    let chain = made(&Spec { seed: 91, blocks, txs, empty_tail: 0 }, &[]);
    let small = made(&Spec { seed: 92, blocks: 5_000, txs: 5_000, empty_tail: 0 }, &[]);
    let mut table = Table::default();
    let none = ["--checkpoint-bandwidth", "0"];
    let full = sync(&chain, "at full speed", Duration::ZERO, &none);
    let spent = f64::from(blocks - 100);
    table.row("bytes of blocks", "MB", full.blocks as f64 / 1e6);
    table.row("bytes of a block that spends", "KB", full.blocks as f64 / spent / 1e3);
    table.beside("written / blocks, no checkpoints", "", full.ratio(), "at most", BOUND);
    let one = sync(&chain, "one by one", Duration::from_millis(50), &none);
    table.beside("the same, blocks one by one, 50 ms apart", "", one.ratio(), "at most", BOUND);
    let tiny = sync(&small, "small blocks", Duration::ZERO, &none);
    table.row("bytes of a small block", "KB", tiny.blocks as f64 / f64::from(small.height) / 1e3);
    table.row("written / blocks, small blocks at full speed", "", tiny.ratio());
    let rate = 4_000_000;
    let with = ["--checkpoint-bandwidth", "4M", "--checkpoint-interval", "20", "--horizon", "16"];
    let kept = sync(&chain, "with checkpoints", Duration::from_millis(50), &with);
    table.row("checkpoints on disk in the end", "MB", kept.checkpoints as f64 / 1e6);
    table.row("written / blocks, checkpoints every 20 blocks", "", kept.ratio());
    let beyond = (kept.written - one.written) / kept.seconds / 1e6;
    table.beside("written for checkpoints", "MB/s", beyond, "granted", f64::from(rate) / 1e6);
    table
}
