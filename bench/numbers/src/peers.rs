//! `cargo numbers -- peers`: what a peer costs that only stays connected, and how long a peer that sends nothing but pings
//! waits for its pongs while blocks connect and others sync; here, and in Bitcoin Core, one after the other.
//!
//! Everything is on the same CPUs, so the pings of a third program that has nothing else to do tell how much of a wait is the
//! machine's. Memory is the process's own; what the kernel keeps for a socket is not in it.

use crate::client::{Client, Got, Pulling};
use crate::load::Load;
use crate::process;
use crate::side::{How, PEERS_MAX, Side};
use crate::table::{Table, Teller, histogram};
use caesure_bench::pump::{Options, Pump};
use caesure_bench::records::Chain;
use caesure_bench::rng::Rng;
use caesure_tests::Folder;
use caesure_tests::core::bitcoind;
use clap::Args;
use hdrhistogram::Histogram;
use shards::prover::Mode;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Peers that sync from the node meanwhile.
const SYNCING: usize = 16;
/// Time between pings.
const EVERY: Duration = Duration::from_millis(5);
/// Peers that connect at once.
const BATCH: usize = 64;
/// The lowest blocks have no transactions; peers sync once there are some above.
const BARE: usize = caesure_bench::chain::MATURITY as usize;

/// What is measured, and how often.
#[derive(Args)]
pub struct PeersArgs {
    /// Bitcoin Core to hold against [default: BITCOIND, if that names one]
    #[arg(long, value_name = "FILE")]
    bitcoind: Option<PathBuf>,
    /// Idle peers; this process and the node each need an open file for each
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=PEERS_MAX as i64))]
    idle: u32,
    /// Seconds that they are idle, and that pings are sent
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Transactions of the chain that is synced meanwhile
    #[arg(long, default_value_t = 300_000)]
    txs: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// What idle peers cost.
struct Idle {
    bytes: f64,
    cpu_us: f64,
    held: usize,
}

/// Connects so many, asks each whether it is there, lets all be, and asks again.
fn idle(side: &Side, count: usize, seconds: u64) -> io::Result<Idle> {
    let memory = || process::count(side.pid(), "status", "VmRSS:") * 1024.0;
    let (before, mut clients, mut teller) = (memory(), Vec::new(), Teller::new("peers connect"));
    while clients.len() < count {
        let batch = BATCH.min(count - clients.len());
        let mut fresh: Vec<Client> = (0..batch).map(|_| Client::dial(side.p2p())).collect::<io::Result<_>>()?;
        fresh.iter_mut().try_for_each(|client| client.until(|got| got == Got::Verack).map(drop))?;
        clients.extend(fresh);
        teller.say(clients.len() as u64, count as u64, "peers");
    }
    let mut answers =
        || clients.iter_mut().filter_map(|c| c.ping().and_then(|()| c.until(|got| got == Got::Pong)).ok()).count();
    answers();
    let after = memory();
    let cpu = process::cpu_seconds(side.pid());
    thread::sleep(Duration::from_secs(seconds));
    let cpu = process::cpu_seconds(side.pid()) - cpu;
    let per_peer = 1.0 / count as f64;
    Ok(Idle { bytes: (after - before) * per_peer, cpu_us: cpu * 1e6 * per_peer / seconds as f64, held: answers() })
}

/// Sends pings at fixed times until it is told to stop; where a pong is late, the pings that it held up count as late too.
fn ping(to: SocketAddr, stop: &AtomicBool) -> io::Result<Histogram<u64>> {
    let (mut client, mut times) = (Client::connect(to)?, histogram());
    while !stop.load(Relaxed) {
        let begun = Instant::now();
        client.ping()?;
        client.until(|got| got == Got::Pong)?;
        let took = begun.elapsed();
        times.record_correct(took.as_nanos() as u64, EVERY.as_nanos() as u64).map_err(io::Error::other)?;
        thread::sleep(EVERY.saturating_sub(took));
    }
    Ok(times)
}

/// What was seen while a node synced.
struct Busy {
    pings: Histogram<u64>,
    /// Pings of the program that has nothing else to do.
    floor: Histogram<u64>,
    served: f64,
    connected: f64,
}

/// A first sync with every script run, while others pull what is there already.
fn busy(bitcoind: Option<&PathBuf>, chain: &Arc<Chain>, load: &Load, seconds: u64) -> io::Result<Busy> {
    let pump = Pump::start(chain.clone(), Options::default())?;
    let quiet = Pump::start(chain.clone(), Options::default())?;
    let how = How { cores: How::cpus(), peer: Some(pump.addr()), assumed: "0".into(), lanes: Mode::Auto };
    let side = Side::start(bitcoind, Folder::new(), &how);
    side.wait(BARE as u32 + 5, "the first blocks");
    let (height, all) = (Arc::new(AtomicUsize::new(BARE + 5)), Arc::new(Pulling::of(SYNCING)));
    let pulling: Vec<_> = (0..SYNCING)
        .map(|number| {
            let (chain, height, all, to) = (chain.clone(), height.clone(), all.clone(), side.p2p());
            let mut rng = Rng::new(number as u64);
            let next = move || {
                let top = height.load(Relaxed).max(BARE + 1);
                Some(chain.best()[rng.between(BARE as u64 + 1, top as u64) as usize])
            };
            thread::spawn(move || all.pull(to, next).map(drop))
        })
        .collect();
    all.ready.wait();
    let stop = Arc::new(AtomicBool::new(false));
    let pinging = [side.p2p(), quiet.addr()].map(|to| {
        let stop = stop.clone();
        thread::spawn(move || ping(to, &stop))
    });
    let (begun, mut teller, last) = (Instant::now(), Teller::new("pings"), load.height - crate::load::TAIL);
    let first = height.load(Relaxed);
    while begun.elapsed() < Duration::from_secs(seconds) && height.load(Relaxed) < last as usize {
        thread::sleep(Duration::from_millis(250));
        height.store(side.height().min(last) as usize, Relaxed);
        teller.say(begun.elapsed().as_secs(), seconds, "s");
    }
    let took = begun.elapsed().as_secs_f64();
    let served = all.bytes.load(Relaxed) as f64 / took;
    stop.store(true, Relaxed);
    all.stop.store(true, Relaxed);
    let [pings, floor] = pinging.map(|one| one.join().expect("it does not panic"));
    pulling.into_iter().try_for_each(|one| one.join().expect("it does not panic"))?;
    let connected = (height.load(Relaxed) - first) as f64 / took;
    Ok(Busy { pings: pings?, floor: floor?, served, connected })
}

/// Measures, and gives the table.
pub fn run(args: &PeersArgs) -> io::Result<Table> {
    let bitcoind = args.bitcoind.clone().or_else(bitcoind);
    let sides: Vec<Option<&PathBuf>> = [None].into_iter().chain(bitcoind.iter().map(Some)).collect();
    let load = Load::with(args.txs)?;
    let (chain, _) = load.open()?;
    let (mut still, mut loud) = (Vec::new(), Vec::new());
    for bitcoind in &sides {
        let alone = How { cores: How::cpus(), peer: None, assumed: "0".into(), lanes: Mode::Auto };
        still.push(idle(&Side::start(*bitcoind, Folder::new(), &alone), args.idle as usize, args.seconds)?);
        loud.push(busy(*bitcoind, &chain, &load, args.seconds)?);
    }
    let mut table = Table::default();
    let mut row = |what: &str, unit, figures: Vec<f64>| table.spread(what, unit, &figures[..1], "Core", &figures[1..]);
    let idle = |of: fn(&Idle) -> f64| still.iter().map(of).collect();
    row("idle peers that answered at the end", "", idle(|s| s.held as f64));
    row("memory of an idle peer", "KB", idle(|s| s.bytes / 1e3));
    row("CPU of an idle peer", "us/s", idle(|s| s.cpu_us));
    let busy = |of: &dyn Fn(&Busy) -> f64| loud.iter().map(of).collect();
    row("blocks connected meanwhile", "/s", busy(&|s| s.connected));
    row("blocks served meanwhile", "MB/s", busy(&|s| s.served / 1e6));
    for (name, at) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let ms = |times: &Histogram<u64>| times.value_at_quantile(at) as f64 / 1e6;
        row(&format!("ping {name}"), "ms", busy(&|s| ms(&s.pings)));
        row(&format!("ping {name}, of a program that is idle"), "ms", busy(&|s| ms(&s.floor)));
    }
    Ok(table)
}
