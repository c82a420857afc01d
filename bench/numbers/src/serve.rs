//! `cargo numbers -- serve`: clients pull blocks, from the node, from Bitcoin Core and from the pump, which does nothing but
//! send, in turns. Everything lies in the page cache, and the clients are on the same CPUs.
//!
//! Each client has as many blocks asked for at a time as Bitcoin Core has of a peer, so a block's latency is mostly that of
//! those before it.

use crate::client::{Client, Got, Pulling};
use crate::load::Load;
use crate::process;
use crate::side::{How, Side};
use crate::table::{Table, Teller, histogram};
use caesure_bench::rng::Rng;
use caesure_bench::tx::Hash;
use caesure_tests::core::bitcoind;
use clap::Args;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

/// What is measured, and how often.
#[derive(Args)]
pub struct ServeArgs {
    /// Bitcoin Core to hold against [default: BITCOIND, if that names one]
    #[arg(long, value_name = "FILE")]
    bitcoind: Option<PathBuf>,
    /// Transactions of the chain
    #[arg(long, default_value_t = 300_000)]
    txs: u32,
    /// Clients at once, each in turn
    #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
    clients: Vec<usize>,
    /// Seconds of each
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Times each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// A pump in a process of its own, so that its CPU can be told from the clients'.
struct Apart(Child, SocketAddr);

impl Apart {
    fn start(load: &Load) -> io::Result<Apart> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("pump")
            .arg(&load.path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let said = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let addr = said.filter_map(|line| line.strip_prefix("listening on ")?.parse().ok()).next();
        Ok(Apart(child, addr.ok_or_else(|| io::Error::other("the pump does not listen"))?))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Places of the others among the servers, behind ours.
const PUMP: usize = 1;
const CORE: usize = 2;

/// What a server reached.
struct Served {
    bytes_per_second: f64,
    bytes_per_cpu_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Lets so many clients pull from a server for a while.
fn measure(to: SocketAddr, pid: u32, blocks: &Arc<Vec<Hash>>, clients: usize, random: bool, seconds: f64) -> Served {
    let all = Arc::new(Pulling::of(clients));
    let threads: Vec<_> = (0..clients)
        .map(|number| {
            let (all, blocks) = (all.clone(), blocks.clone());
            let (mut rng, mut at) = (Rng::new(number as u64), number * blocks.len() / clients);
            let next = move || {
                at = if random { rng.below(blocks.len() as u64) as usize } else { (at + 1) % blocks.len() };
                blocks[at]
            };
            thread::spawn(move || all.pull(to, next).unwrap_or_else(|error| panic!("client {number}: {error}")))
        })
        .collect();
    all.ready.wait();
    // Sockets' buffers are as large as they get, soon.
    thread::sleep(Duration::from_millis(300));
    let now = || (Instant::now(), process::cpu_seconds(pid), all.bytes.load(Relaxed));
    let (begun, cpu_before, before) = now();
    thread::sleep(Duration::from_secs_f64(seconds));
    let (ended, cpu_after, after) = now();
    all.stop.store(true, Relaxed);
    let mut times = histogram();
    threads.into_iter().for_each(|one| times += one.join().expect("it panics aloud"));
    let bytes = (after - before) as f64;
    Served {
        bytes_per_second: bytes / (ended - begun).as_secs_f64(),
        // The kernel counts hundredths.
        bytes_per_cpu_second: bytes / (cpu_after - cpu_before).max(0.01),
        p50_ms: times.value_at_quantile(0.5) as f64 / 1e6,
        p99_ms: times.value_at_quantile(0.99) as f64 / 1e6,
    }
}

/// Measures, and gives the table.
pub fn run(args: &ServeArgs) -> io::Result<Table> {
    let bitcoind = args.bitcoind.clone().or_else(bitcoind);
    let load = Load::with(args.txs)?;
    let (chain, _) = load.open()?;
    let blocks = Arc::new(load.full(&chain).to_vec());
    let how = How { cores: How::cpus(), peer: None, assumed: load.last_full.clone() };
    let ours = Side::synced(None, &how, &chain, &load);
    let core = bitcoind.map(|core| Side::synced(Some(&core), &how, &chain, &load));
    let pump = Apart::start(&load)?;
    let mut servers = vec![(ours.p2p(), ours.pid()), (pump.1, pump.0.id())];
    servers.extend(core.iter().map(|core| (core.p2p(), core.pid())));
    for (to, _) in &servers {
        warm(*to, &blocks)?;
    }
    let mut table = Table::default();
    let mut teller = Teller::new("serve");
    table.row("blocks to choose from", "", blocks.len() as f64);
    let (mut done, of) = (0, args.clients.len() as u64 * 2 * u64::from(args.rounds));
    for &clients in &args.clients {
        for random in [false, true] {
            let mut figures: Vec<Vec<Served>> = servers.iter().map(|_| Vec::new()).collect();
            for _ in 0..args.rounds {
                for ((to, pid), figures) in servers.iter().zip(&mut figures) {
                    figures.push(measure(*to, *pid, &blocks, clients, random, args.seconds));
                }
                done += 1;
                teller.say(done, of, "rounds");
            }
            let order = if random { "at random" } else { "in order" };
            rows(&format!("{clients} client{}, {order}", if clients == 1 { "" } else { "s" }), &figures, &mut table);
        }
    }
    Ok(table)
}

/// Pulls every block once.
fn warm(from: SocketAddr, blocks: &[Hash]) -> io::Result<()> {
    let mut client = Client::connect(from)?;
    for block in blocks {
        client.ask(*block)?;
        client.until(|got| matches!(got, Got::Block(_)))?;
    }
    Ok(())
}

fn rows(what: &str, figures: &[Vec<Served>], table: &mut Table) {
    let mut row = |name: &str, unit, server: usize, of: fn(&Served) -> f64| {
        let all = |server: usize| figures.get(server).into_iter().flatten().map(of).collect::<Vec<f64>>();
        table.spread(format!("{what}: {name}"), unit, &all(0), ["", "pump", "Core"][server], &all(server));
    };
    row("served", "MB/s", CORE, |s| s.bytes_per_second / 1e6);
    row("served, the pump", "MB/s", PUMP, |s| s.bytes_per_second / 1e6);
    row("per CPU second", "GB", CORE, |s| s.bytes_per_cpu_second / 1e9);
    row("per CPU second, the pump", "GB", PUMP, |s| s.bytes_per_cpu_second / 1e9);
    row("block p50", "ms", CORE, |s| s.p50_ms);
    row("block p99", "ms", CORE, |s| s.p99_ms);
}
