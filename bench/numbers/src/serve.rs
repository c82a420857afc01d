//! `cargo numbers -- serve`: clients pull blocks, from the node, from Bitcoin Core and from the pump, which does nothing but
//! send, in turns. Warm: everything lies in the page cache, and clients pull for a while. Cold: the file was put out of it, and
//! clients pull each block once, together; beside the disk, too. The clients are on the same CPUs.
//!
//! Each client has as many blocks asked for at a time as Bitcoin Core has of a peer, so a block's latency is mostly that of
//! those before it.

use crate::client::{Client, Got, Pulling};
use crate::disk;
use crate::load::Load;
use crate::process;
use crate::side::{How, Side};
use crate::table::{Table, Teller, histogram};
use caesure_bench::rng::Rng;
use caesure_bench::tx::Hash;
use caesure_tests::core::bitcoind;
use clap::Args;
use hdrhistogram::Histogram;
use shards::prover::Mode;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
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

/// Reads of the disk at once, when it is measured alone: as many as the node has under way for one peer.
const READS: usize = 8;
/// Places of the others among the servers, behind ours.
const PUMP: usize = 1;
const CORE: usize = 2;

/// Whom clients pull from.
struct Server {
    to: SocketAddr,
    pid: u32,
    files: Vec<PathBuf>,
}

impl Server {
    fn of(side: &Side) -> io::Result<Server> {
        Ok(Server { to: side.p2p(), pid: side.pid(), files: side.files()? })
    }
}

/// What a server reached.
struct Served {
    bytes_per_second: f64,
    bytes_per_cpu_second: f64,
    /// Of the bytes sent, those read from the disk.
    from_disk: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Counts of a moment.
struct Now {
    at: Instant,
    cpu: f64,
    bytes: u64,
    read: f64,
}

impl Now {
    fn of(server: &Server, all: &Pulling) -> Now {
        let read = process::count(server.pid, "io", "read_bytes:");
        Now { at: Instant::now(), cpu: process::cpu_seconds(server.pid), bytes: all.bytes.load(Relaxed), read }
    }
}

/// Clients that pull at once, each what its `next` names.
struct Crowd {
    all: Arc<Pulling>,
    threads: Vec<JoinHandle<Histogram<u64>>>,
}

impl Crowd {
    /// They connect, and wait until they may go.
    fn connect<N: FnMut() -> Option<Hash> + Send + 'static>(
        to: SocketAddr,
        clients: usize,
        next: impl Fn(usize) -> N,
    ) -> Crowd {
        let all = Arc::new(Pulling::of(clients));
        let pull = |number| {
            let (all, next) = (all.clone(), next(number));
            thread::spawn(move || all.pull(to, next).unwrap_or_else(|error| panic!("client {number}: {error}")))
        };
        let threads = (0..clients).map(pull).collect();
        Crowd { all, threads }
    }

    /// They pull, once all are connected.
    fn go(&self) -> Arc<Pulling> {
        self.all.ready.wait();
        self.all.clone()
    }

    /// Times of all blocks, once every client has stopped.
    fn end(self) -> Histogram<u64> {
        let mut times = histogram();
        self.threads.into_iter().for_each(|one| times += one.join().expect("it panics aloud"));
        times
    }
}

fn served(before: &Now, after: &Now, times: &Histogram<u64>) -> Served {
    let bytes = (after.bytes - before.bytes) as f64;
    Served {
        bytes_per_second: bytes / (after.at - before.at).as_secs_f64(),
        // The kernel counts hundredths.
        bytes_per_cpu_second: bytes / (after.cpu - before.cpu).max(0.01),
        from_disk: (after.read - before.read) / bytes,
        p50_ms: times.value_at_quantile(0.5) as f64 / 1e6,
        p99_ms: times.value_at_quantile(0.99) as f64 / 1e6,
    }
}

/// Lets so many clients pull from a server for a while.
fn measure(server: &Server, blocks: &Arc<Vec<Hash>>, clients: usize, random: bool, seconds: f64) -> Served {
    let crowd = Crowd::connect(server.to, clients, |number| {
        let (blocks, mut rng, mut at) = (blocks.clone(), Rng::new(number as u64), number * blocks.len() / clients);
        move || {
            at = if random { rng.below(blocks.len() as u64) as usize } else { (at + 1) % blocks.len() };
            Some(blocks[at])
        }
    });
    crowd.go();
    // Sockets' buffers are as large as they get, soon.
    thread::sleep(Duration::from_millis(300));
    let before = Now::of(server, &crowd.all);
    thread::sleep(Duration::from_secs_f64(seconds));
    let after = Now::of(server, &crowd.all);
    crowd.all.stop.store(true, Relaxed);
    served(&before, &after, &crowd.end())
}

/// Puts a server's files out of the page cache, and lets so many clients pull each block once, together.
fn measure_cold(server: &Server, blocks: &Arc<Vec<Hash>>, clients: usize) -> io::Result<Served> {
    server.files.iter().try_for_each(|file| disk::cool(file))?;
    let next = Arc::new(AtomicUsize::new(0));
    let crowd = Crowd::connect(server.to, clients, |_| {
        let (blocks, next) = (blocks.clone(), next.clone());
        move || blocks.get(next.fetch_add(1, Relaxed)).copied()
    });
    let before = Now::of(server, &crowd.all);
    let all = crowd.go();
    let times = crowd.end();
    Ok(served(&before, &Now::of(server, &all), &times))
}

/// Measures, and gives the table.
pub fn run(args: &ServeArgs) -> io::Result<Table> {
    let bitcoind = args.bitcoind.clone().or_else(bitcoind);
    let load = Load::with(args.txs)?;
    let (chain, _) = load.open()?;
    let blocks = Arc::new(load.full(&chain).to_vec());
    let how = How { cores: How::cpus(), peer: None, assumed: load.last_full.clone(), lanes: Mode::Auto };
    let ours = Side::synced(None, &how, &chain, &load);
    let core = bitcoind.map(|core| Side::synced(Some(&core), &how, &chain, &load));
    let pump = Apart::start(&load)?;
    let mut servers = vec![Server::of(&ours)?, Server { to: pump.1, pid: pump.0.id(), files: vec![load.path.clone()] }];
    servers.extend(core.iter().map(Server::of).collect::<io::Result<Vec<_>>>()?);
    let (orders, places) = (orders(&blocks), orders(&load.places()?));
    let mut table = Table::default();
    let mut teller = Teller::new("serve");
    table.row("blocks to choose from", "", blocks.len() as f64);
    let (mut done, of) = (0, args.clients.len() as u64 * 4 * u64::from(args.rounds));
    for cold in [false, true] {
        if !cold {
            servers.iter().try_for_each(|server| warm(server.to, &blocks))?;
        }
        for &clients in &args.clients {
            for (order, places) in orders.iter().zip(&places) {
                let mut figures: Vec<Vec<Served>> = servers.iter().map(|_| Vec::new()).collect();
                let mut disk = Vec::new();
                for _ in 0..args.rounds {
                    for (server, figures) in servers.iter().zip(&mut figures) {
                        figures.push(match cold {
                            true => measure_cold(server, &order.1, clients)?,
                            false => measure(server, &blocks, clients, order.0 == "at random", args.seconds),
                        });
                    }
                    if cold {
                        disk.push(disk::read_direct(&load.path, &places.1, READS)?.bytes_per_second / 1e6);
                    }
                    done += 1;
                    teller.say(done, of, "rounds");
                }
                let ones = if clients == 1 { "" } else { "s" };
                let heat = if cold { ", cold" } else { "" };
                rows(&format!("{clients} client{ones}, {}{heat}", order.0), &figures, &disk, &mut table);
            }
        }
    }
    Ok(table)
}

/// The same in order, and in an order by chance that is always the same for as many of them.
fn orders<T: Clone>(items: &[T]) -> [(&'static str, Arc<Vec<T>>); 2] {
    let mut random = items.to_vec();
    Rng::new(1).shuffle(&mut random);
    [("in order", Arc::new(items.to_vec())), ("at random", Arc::new(random))]
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

fn rows(what: &str, figures: &[Vec<Served>], disk: &[f64], table: &mut Table) {
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
    if !disk.is_empty() {
        row("of it from the disk", "%", CORE, |s| 100.0 * s.from_disk);
        let ours: Vec<f64> = figures[0].iter().map(|s| s.bytes_per_second / 1e6).collect();
        table.spread(format!("{what}: served, the disk"), "MB/s", &ours, "disk", disk);
    }
}
