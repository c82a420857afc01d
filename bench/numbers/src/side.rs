//! The two nodes that are held against each other, started alike: on the same CPUs, on regtest, on folders of their own.

use crate::load::Load;
use crate::table::Teller;
use caesure_bench::pump::{Options, Pump};
use caesure_bench::records::Chain;
use caesure_tests::core::Core;
use caesure_tests::{Folder, Node, Setup};
use serde_json::{Value, json};
use shards::prover::Mode;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How often either is asked for its tip.
const GLANCE: Duration = Duration::from_millis(20);
/// Peers that either may have; the most that ours takes.
pub const PEERS_MAX: usize = 10_000;
/// How long a sync may take.
const PATIENCE: Duration = Duration::from_secs(4 * 3_600);

/// How to start either.
pub struct How {
    /// CPUs it may use, and executors or script threads it has.
    pub cores: usize,
    /// Its only peer.
    pub peer: Option<SocketAddr>,
    /// The block whose scripts are believed; 0 for none.
    pub assumed: String,
    /// Who settles signatures in ours.
    pub lanes: Mode,
}

impl How {
    /// The program that leaves it only the first CPUs of those that this process has.
    fn by(&self) -> Vec<String> {
        let cpus = core_affinity::get_core_ids().unwrap_or_default();
        if self.cores >= cpus.len() {
            return Vec::new();
        }
        let list: Vec<String> = cpus.iter().take(self.cores).map(|cpu| cpu.id.to_string()).collect();
        ["taskset".into(), "-c".into(), list.join(",")].into()
    }

    /// CPUs that this process may use.
    pub fn cpus() -> usize {
        core_affinity::get_core_ids().unwrap_or_default().len()
    }

    /// Whether this machine can.
    pub fn check(cores: usize) -> io::Result<()> {
        let cpus = How::cpus();
        if (1..=cpus).contains(&cores) {
            return Ok(());
        }
        Err(io::Error::other(format!("--cores {cores}: this process may use {cpus} CPUs")))
    }
}

/// A node that runs.
pub enum Side {
    /// caesure, and its folder.
    Ours(Box<Node>, Folder),
    /// Bitcoin Core.
    Core(Core),
}

impl Side {
    /// Starts caesure, if no bitcoind is named, and waits until it answers.
    pub fn start(bitcoind: Option<&PathBuf>, folder: Folder, how: &How) -> Side {
        let Some(bitcoind) = bitcoind else { return Side::ours(folder, how, &[]) };
        let by = how.by();
        // Its best on a machine of some cores with memory to spare. Off is what only regtest checks, and trying BIP324 first.
        let more = [
            format!("-par={}", how.cores),
            "-dbcache=4000".into(),
            "-checkmempool=0".into(),
            "-persistmempool=0".into(),
            "-v2transport=0".into(),
            format!("-maxconnections={PEERS_MAX}"),
            format!("-connect={}", how.peer.map_or("0".into(), |peer| peer.to_string())),
            format!("-assumevalid={}", how.assumed),
            "-minimumchainwork=0".into(),
        ];
        Side::Core(Core::within(folder, &by, "regtest", bitcoind, &more))
    }

    /// Starts caesure with more flags, and waits until it answers.
    pub fn ours(folder: Folder, how: &How, more: &[&str]) -> Side {
        let by = how.by();
        let by: Vec<&str> = by.iter().map(String::as_str).collect();
        let peers: Vec<SocketAddr> = how.peer.into_iter().collect();
        let setup = Setup::regtest(&peers).cores(how.cores).incoming(PEERS_MAX).by(&by).with(more);
        let setup = setup.with(&["--assumevalid", &how.assumed, "--lanes", how.lanes.word()]);
        Side::Ours(Box::new(Node::start(&folder, &setup)), folder)
    }

    /// Where its prompt is, if it has one.
    pub fn prompt(&self) -> Option<PathBuf> {
        match self {
            Side::Ours(node, _) => Some(node.folder.join("caesure.bd")),
            _ => None,
        }
    }

    /// Starts it, and gives it a whole chain.
    pub fn synced(bitcoind: Option<&PathBuf>, how: &How, chain: &Arc<Chain>, load: &Load) -> Side {
        let pump = Pump::start(chain.clone(), Options::default()).expect("a free port");
        let how = How { peer: Some(pump.addr()), assumed: how.assumed.clone(), ..*how };
        let side = Side::start(bitcoind, Folder::new(), &how);
        side.wait(load.height, "the chain goes in");
        side
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        match self {
            Side::Ours(node, _) => node.pid(),
            Side::Core(core) => core.pid(),
        }
    }

    /// Where it listens for peers.
    pub fn p2p(&self) -> SocketAddr {
        match self {
            Side::Ours(node, _) => node.p2p,
            Side::Core(core) => core.p2p,
        }
    }

    /// Where its page is; Core has none.
    pub fn page(&self) -> Option<SocketAddr> {
        match self {
            Side::Ours(node, _) => Some(node.page),
            Side::Core(_) => None,
        }
    }

    /// The files that its blocks lie in.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        match self {
            Side::Ours(node, _) => Ok(vec![node.folder.join("blocks.bin")]),
            Side::Core(core) => {
                let entries = fs::read_dir(core.folder.join("regtest/blocks"))?;
                let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
                Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "dat")).collect())
            }
        }
    }

    /// All that it says of itself; Core says it otherwise.
    pub fn status(&self) -> Option<Value> {
        match self {
            Side::Ours(node, _) => Some(node.status()),
            Side::Core(_) => None,
        }
    }

    /// The height that it reports, of its tip.
    pub fn height(&self) -> u32 {
        let height = match self {
            Side::Ours(node, _) => node.status()["height"].clone(),
            Side::Core(core) => core.call("getblockcount", json!([])),
        };
        height.as_u64().unwrap_or(0) as u32
    }

    /// Waits until it reports a tip of that height; `what` for people who wait too.
    pub fn wait(&self, height: u32, what: &'static str) {
        let (begun, mut teller) = (Instant::now(), Teller::new(what));
        loop {
            let now = self.height();
            if now >= height {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: at {now} of {height} after {PATIENCE:?}");
            teller.say(now.into(), height.into(), "blocks");
            // Each look takes time from what is measured: few of them while the end is far.
            thread::sleep(GLANCE * if now + crate::load::TAIL < height { 5 } else { 1 });
        }
    }

    /// Bytes of blocks that are stored but not known to be on the disk; Core does not tell.
    pub fn unsynced(&self) -> Option<f64> {
        let bin = &self.status()?["blocks_bin"];
        Some(bin["end"].as_f64()? - bin["durable"].as_f64()?)
    }

    /// Whether its log says that it began to believe scripts.
    pub fn believed_scripts(&self) -> bool {
        match self {
            Side::Ours(node, _) => node.logged("scripts are skipped from block").is_some(),
            Side::Core(core) => fs::read_to_string(core.folder.join("regtest/debug.log"))
                .expect("it writes a log")
                .contains("Disabling script verification"),
        }
    }

    /// Ends it in good order; its folder.
    pub fn stop(self) -> Folder {
        match self {
            Side::Ours(node, folder) => {
                assert_eq!(node.stop(), 0);
                folder
            }
            Side::Core(core) => core.stop(),
        }
    }
}
