//! `cargo numbers -- start`: how long a node with very many coins takes to stop, to start after that, and to start after
//! kill -9; each beside what the disk allows, which is measured in the same run.
//!
//! Before each start the node's files are put out of the page cache, so that it reads what it needs from the disk. It is up
//! when it answers a peer, and ready when its page does not say "starting" any more.

use crate::disk;
use crate::process;
use crate::table::{Table, Teller, median};
use caesure_bench::block::Block;
use caesure_bench::fan::Fan;
use caesure_bench::records::write_record;
use caesure_bench::tx::show;
use caesure_tests::binary::scratch;
use caesure_tests::{Node, Setup, Wire, poll};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

const SEED: u64 = 97;
/// Seconds that a stop may take, and a start besides what the disk takes.
const BOUND: f64 = 1.0;
/// Blocks after which a partition is written down again; the node's default.
const INTERVAL: u32 = 144;
/// How long the first start and its checkpoints may take.
const PATIENCE_S: u64 = 7_200;

/// A node's folder with a whole chain in it.
struct Place {
    base: PathBuf,
    tip: String,
    height: u32,
}

impl Place {
    fn folder(&self) -> PathBuf {
        self.base.join("regtest")
    }

    /// Makes the chain, or finds what an earlier run left.
    fn with(coins: u64) -> Place {
        let base = scratch().join(format!("start-{coins}"));
        let (folder, said) = (base.join("regtest"), base.join("made"));
        fs::create_dir_all(&folder).expect("target can be written");
        if !said.exists() {
            let mut out =
                BufWriter::with_capacity(1 << 20, File::create(folder.join("blocks.bin")).expect("a new file"));
            write_record(&mut out, &Block::genesis()).expect("room on the disk");
            let (mut fan, mut teller) = (Fan::new(SEED, coins), Teller::new("make the chain"));
            while let Some(block) = fan.next() {
                write_record(&mut out, &block).expect("room on the disk");
                teller.say(fan.height().into(), Fan::height_of_end(coins).into(), "blocks");
            }
            out.flush().expect("room on the disk");
            fs::write(&said, format!("{} {}", show(&fan.tip()), fan.height())).expect("room on the disk");
        }
        let text = fs::read_to_string(&said).expect("just written");
        let (tip, height) = text.split_once(' ').expect("two words");
        Place { base, tip: tip.into(), height: height.parse().expect("a number") }
    }

    fn files(&self) -> Vec<PathBuf> {
        let coins = fs::read_dir(self.folder().join("coins")).into_iter().flatten().flatten();
        let top = ["blocks.bin", "blocks.idx"].map(|name| self.folder().join(name));
        top.into_iter().chain(coins.map(|entry| entry.path())).filter(|path| path.exists()).collect()
    }

    /// Puts the node's files out of the page cache; what was not written yet is written first.
    fn cool(&self) {
        for path in self.files() {
            match disk::cool(&path) {
                // A checkpoint that the node has replaced since.
                Err(why) if why.kind() == ErrorKind::NotFound => {}
                done => done.expect("the disk works"),
            }
        }
    }

    /// Bytes a second that one reader gets who reads the checkpoints from one end to the other.
    fn disk_rate(&self) -> f64 {
        self.cool();
        let (mut buffer, mut bytes, begun) = (vec![0; 4 << 20], 0, Instant::now());
        for path in self.files().iter().filter(|path| path.extension().is_none()) {
            let Ok(mut file) = File::open(path) else { continue };
            while let Ok(got @ 1..) = file.read(&mut buffer) {
                bytes += got as u64;
            }
        }
        bytes as f64 / begun.elapsed().as_secs_f64()
    }

    fn start(&self, more: &[&str]) -> Node {
        Node::spawn(&self.base, &Setup::regtest(&[]).with(more))
    }
}

/// Of each partition the height of its newest checkpoint.
fn newest(folder: &Path) -> Vec<u32> {
    let mut newest = vec![0; 256];
    for name in fs::read_dir(folder.join("coins")).into_iter().flatten().flatten().map(|entry| entry.file_name()) {
        let parts = name.to_str().and_then(|name| name.split_once('-'));
        if let Some((Ok(partition), Ok(height))) = parts.map(|(p, h)| (p.parse::<usize>(), h.parse::<u32>())) {
            newest[partition] = height.max(newest[partition]);
        }
    }
    newest
}

fn status(node: &Node) -> Option<Value> {
    serde_json::from_str(&node.get("/admin/status.json").ok()?).ok()
}

/// A first life: all blocks are read, all checkpoints written.
fn ripen(place: &Place, coins: u64) {
    let node = place.start(&["--checkpoint-bandwidth", "1G"]);
    let mut teller = Teller::new("first start");
    let done = poll(PATIENCE_S, || {
        let status = status(&node)?;
        teller.say(status["height"].as_u64().unwrap_or(0), place.height.into(), "blocks");
        (status["tip"] == place.tip.as_str() && status["state"] != "starting").then_some(status)
    });
    let status = done.unwrap_or_else(|| panic!("not ready\n{}", node.tail()));
    assert!(status["coins"].as_u64() >= Some(coins), "{} coins", status["coins"]);
    let root = status["root"]["height"].as_u64().expect("a number") as u32;
    let mut teller = Teller::new("checkpoints");
    let all = poll(PATIENCE_S, || {
        let done = newest(&place.folder()).iter().filter(|height| **height > 0 && **height + INTERVAL > root).count();
        teller.say(done as u64, 256, "partitions");
        (done == 256).then_some(())
    });
    all.unwrap_or_else(|| panic!("no checkpoints\n{}", node.tail()));
    assert_eq!(node.stop(), 0);
}

/// What one start took, and read.
struct Start {
    /// Seconds until it answers a peer, and until it is ready.
    up: f64,
    ready: f64,
    read: f64,
    /// CPUs that it kept busy.
    cpus: f64,
}

/// Starts a node on cold files, until it is ready.
fn start(place: &Place) -> (Node, Start) {
    place.cool();
    let begun = Instant::now();
    let node = place.start(&["--log", "debug"]);
    let up = poll(600, || std::net::TcpStream::connect(node.p2p).ok());
    drop(up.unwrap_or_else(|| panic!("nobody listens\n{}", node.tail())));
    Wire::regtest(node.p2p, 0).close();
    let up = begun.elapsed().as_secs_f64();
    let done = poll(600, || status(&node).filter(|s| s["tip"] == place.tip.as_str() && s["state"] != "starting"));
    done.unwrap_or_else(|| panic!("not ready within ten minutes\n{}", node.tail()));
    let ready = begun.elapsed().as_secs_f64();
    let read = process::count(node.pid(), "io", "read_bytes:");
    let cpus = process::cpu_seconds(node.pid()) / ready;
    (node, Start { up, ready, read, cpus })
}

fn rows(what: &str, starts: &[Start], disk: f64, table: &mut Table) {
    let of = |figure: fn(&Start) -> f64| median(starts.iter().map(figure).collect());
    let (ready, read) = (of(|s| s.ready), of(|s| s.read));
    table.beside(format!("{what}: answers a peer after"), "s", of(|s| s.up), "at most", BOUND);
    table.beside(format!("{what}: ready after"), "s", ready, "1 s + reading", BOUND + read / disk);
    table.row(format!("{what}: read"), "MB", read / 1e6);
    table.beside(format!("{what}: read at"), "MB/s", read / ready / 1e6, "disk", disk / 1e6);
    table.row(format!("{what}: CPUs busy"), "", of(|s| s.cpus));
}

/// Measures with so many coins, that many times each; the folder is removed unless it shall stay.
pub fn run(coins: u64, rounds: u32, keep: bool) -> Table {
    let place = Place::with(coins);
    if newest(&place.folder()).contains(&0) {
        ripen(&place, coins);
    }
    let mut disk = Vec::new();
    let (mut stops, mut after_stop, mut after_kill) = (Vec::new(), Vec::new(), Vec::new());
    let (mut node, _) = start(&place);
    let mut teller = Teller::new("stop and start, kill and start");
    for round in 1..=rounds {
        disk.push(place.disk_rate());
        let begun = Instant::now();
        assert_eq!(node.stop(), 0);
        stops.push(begun.elapsed().as_secs_f64());
        let (next, figures) = start(&place);
        after_stop.push(figures);
        next.kill();
        let (next, figures) = start(&place);
        after_kill.push(figures);
        node = next;
        teller.say(round.into(), rounds.into(), "rounds");
    }
    let disk = median(disk);
    let mut table = Table::default();
    table.row("coins", "million", coins as f64 / 1e6);
    table.row("memory of the node", "MB", node.memory("VmRSS") as f64 / 1e6);
    table.beside("clean stop", "s", median(stops), "at most", BOUND);
    rows("start after it", &after_stop, disk, &mut table);
    rows("start after kill -9", &after_kill, disk, &mut table);
    assert_eq!(node.stop(), 0);
    if !keep {
        fs::remove_dir_all(&place.base).expect("it is ours");
    }
    table
}
