//! `cargo numbers -- append`: blocks into blocks.bin, by the node's own store shard over its own files, as in a sync and as at
//! the tip; beside the disk, which is given the same writes by threads that do nothing else.

use crate::cores::{self, Make};
use crate::disk;
use crate::load::Load;
use crate::side::How;
use crate::table::{Table, Teller, histogram};
use caesure_tests::Folder;
use clap::Args;
use consensus::{Block, Network, Params};
use hdrhistogram::Histogram;
use ledger::{Body, Seed};
use shards::limits::{PAGE, WRITE_BYTES_MAX, WRITES_MAX};
use shards::store::{Opened, Store};
use shards::{Cx, Effect, Event, Input, Msg, Shard, ShardId};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Bytes appended and not durable, so that writes never wait for blocks; and when blocks come one by one.
const FULL: u64 = 4 * (WRITES_MAX * WRITE_BYTES_MAX) as u64;
const ONE: u64 = 0;
/// How often the shard looks for its next job.
const TICK: Duration = Duration::from_millis(5);

/// What is measured, and how often.
#[derive(Args)]
pub struct AppendArgs {
    /// Transactions of the chain whose blocks are appended
    #[arg(long, default_value_t = 30_000)]
    txs: u32,
    /// Megabytes of a round
    #[arg(long, default_value_t = 400, value_name = "MB")]
    size: u64,
    /// Blocks of a round, when each waits until the one before is durable
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    single: u64,
    /// Times each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Append so many bytes of blocks, with no more of them under way than that, or one block.
struct Job {
    bytes: u64,
    under_way: u64,
}

/// What it found: bytes a second, and nanoseconds of each block from the word to the chain's hearing that it is durable.
struct Found {
    rate: f64,
    blocks: Histogram<u64>,
}

/// In the place of the chain shard: has blocks appended.
struct Feeder {
    jobs: mpsc::Receiver<Job>,
    answers: mpsc::Sender<Found>,
    bodies: Vec<Arc<Body>>,
    job: Job,
    begun: Instant,
    /// Blocks appended so far, those under way with their bytes, and these together.
    node: u32,
    appended: VecDeque<(Instant, u64)>,
    under_way: u64,
    left: u64,
    times: Histogram<u64>,
}

impl Feeder {
    fn feed(&mut self, cx: &mut Cx) {
        while self.left > 0 && (self.appended.is_empty() || self.under_way < self.job.under_way) {
            let body = self.bodies[self.node as usize % self.bodies.len()].clone();
            let bytes = body.block.bytes.len() as u64;
            (self.left, self.under_way) = (self.left.saturating_sub(bytes), self.under_way + bytes);
            self.appended.push_back((Instant::now(), bytes));
            cx.tell(ShardId::Store, Msg::Append { node: self.node, body });
            self.node += 1;
        }
    }

    fn durable(&mut self, blocks: usize, cx: &mut Cx) {
        for (begun, bytes) in self.appended.drain(..blocks) {
            self.times.record(begun.elapsed().as_nanos() as u64).expect("below a quarter of an hour");
            self.under_way -= bytes;
        }
        self.feed(cx);
        if self.appended.is_empty() {
            let rate = self.job.bytes as f64 / self.begun.elapsed().as_secs_f64();
            let blocks = std::mem::replace(&mut self.times, histogram());
            // Whoever waits for it may have gone.
            let _ = self.answers.send(Found { rate, blocks });
        }
    }
}

impl Shard for Feeder {
    fn step(&mut self, input: Input, cx: &mut Cx) {
        match input {
            Input::Msg(Msg::Durable(blocks)) => self.durable(blocks.len(), cx),
            Input::Tick if self.appended.is_empty() => {
                if let Ok(job) = self.jobs.try_recv() {
                    (self.left, self.begun, self.job) = (job.bytes, Instant::now(), job);
                    self.feed(cx);
                }
            }
            Input::Tick => {}
            other => panic!("nobody here says {other:?}"),
        }
    }
}

/// How long the kernel took.
enum Took {
    Write(u64),
    Sync(u64),
}

/// The store shard, and a watch on what it asks of the kernel. It has nobody to report to, so it hears no Tick.
struct Watched {
    store: Store,
    writes: BTreeMap<u64, Instant>,
    sync: Instant,
    took: mpsc::Sender<Took>,
}

impl Shard for Watched {
    fn step(&mut self, input: Input, cx: &mut Cx) {
        let took = match &input {
            Input::Tick => return,
            Input::Event(Event::Written { at }) => self.writes.remove(at).map(|begun| Took::Write(ns(begun))),
            Input::Event(Event::Synced) => Some(Took::Sync(ns(self.sync))),
            _ => None,
        };
        // Whoever waits for it may have gone.
        took.into_iter().for_each(|took| _ = self.took.send(took));
        self.store.step(input, cx);
        for effect in &cx.effects {
            match effect {
                Effect::Write { at, .. } => _ = self.writes.insert(*at, Instant::now()),
                Effect::Sync => self.sync = Instant::now(),
                _ => {}
            }
        }
    }
}

fn ns(begun: Instant) -> u64 {
    begun.elapsed().as_nanos() as u64
}

/// Writes and syncs since the last time somebody asked.
fn drain(took: &mpsc::Receiver<Took>) -> (Histogram<u64>, Histogram<u64>) {
    let (mut writes, mut syncs) = (histogram(), histogram());
    for took in took.try_iter() {
        let (times, ns) = match took {
            Took::Write(ns) => (&mut writes, ns),
            Took::Sync(ns) => (&mut syncs, ns),
        };
        times.record(ns).expect("below a quarter of an hour");
    }
    (writes, syncs)
}

/// Where jobs go, and where answers and the kernel's times come from.
struct Wires {
    asks: mpsc::Sender<Job>,
    found: mpsc::Receiver<Found>,
    kernel: mpsc::Receiver<Took>,
}

impl Wires {
    fn job(&self, bytes: u64, under_way: u64) -> io::Result<Found> {
        self.asks.send(Job { bytes, under_way }).map_err(io::Error::other)?;
        self.found.recv().map_err(io::Error::other)
    }
}

fn cast(bodies: Vec<Arc<Body>>) -> (Wires, Vec<(ShardId, Make)>) {
    let ((asks, jobs), (answers, found), (took, kernel)) = (mpsc::channel(), mpsc::channel(), mpsc::channel());
    let feeder: Make = Box::new(move || {
        let (job, begun, times) = (Job { bytes: 0, under_way: 0 }, Instant::now(), histogram());
        let appended = VecDeque::new();
        Box::new(Feeder { jobs, answers, bodies, job, begun, node: 0, appended, under_way: 0, left: 0, times })
    });
    let store: Make = Box::new(move || {
        let opened = Opened { end: PAGE, ..Opened::default() };
        let store = Store::new(Params::of(Network::Regtest), opened);
        Box::new(Watched { store, writes: BTreeMap::new(), sync: Instant::now(), took })
    });
    (Wires { asks, found, kernel }, vec![(ShardId::Chain, feeder), (ShardId::Store, store)])
}

/// Measures, and gives the table.
pub fn run(args: &AppendArgs) -> io::Result<Table> {
    let load = Load::with(args.txs)?;
    let (chain, _) = load.open()?;
    let body = |hash| {
        let bytes = chain.block(hash)?.expect("it is of this chain");
        Ok(Arc::new(Body::new(Block::parse(bytes.into()).expect("a whole block"), Seed::new(1))))
    };
    let bodies = load.full(&chain).iter().map(body).collect::<io::Result<Vec<_>>>()?;
    let mean = bodies.iter().map(|body| body.block.bytes.len()).sum::<usize>() / bodies.len();
    let folder = Folder::new();
    let (blocks, other) = (folder.join("blocks.bin"), folder.join("other.bin"));
    fs::write(&blocks, [0; PAGE as usize])?;
    fs::write(folder.join("blocks.idx"), [])?;
    let (wires, cast) = cast(bodies);
    cores::start(How::cpus().min(2), &blocks, TICK, cast)?;

    let (bytes, single) = (args.size * 1_000_000, args.single * mean as u64);
    let whole = disk::pieces(bytes as usize, WRITE_BYTES_MAX);
    let page = mean.next_multiple_of(PAGE as usize);
    let one = disk::pieces(page * args.single as usize, page);
    let (mut rates, mut most, mut teller) = (Vec::new(), Vec::new(), Teller::new("append"));
    let [mut durable, mut writes, mut syncs, mut tip, mut disk_writes, mut disk_tip] = [(); 6].map(|()| histogram());
    for round in 1..=args.rounds {
        let full = wires.job(bytes, FULL)?;
        rates.push(full.rate / 1e6);
        durable += full.blocks;
        let (wrote, synced) = drain(&wires.kernel);
        writes += wrote;
        syncs += synced;
        tip += wires.job(single, ONE)?.blocks;
        drain(&wires.kernel);
        let pace = disk::write(&other, &whole, WRITES_MAX, false)?;
        most.push(pace.bytes_per_second / 1e6);
        disk_writes += pace.times;
        disk_tip += disk::write(&other, &one, 1, true)?.times;
        teller.say(round.into(), args.rounds.into(), "rounds");
    }
    let mut table = Table::default();
    table.row("bytes of a block, on average", "MB", mean as f64 / 1e6);
    table.spread("blocks in a row: appended", "MB/s", &rates, "disk", &most);
    table.quantiles("one write of up to 4 MiB, of 4 at once", "ms", &writes, "disk", Some(&disk_writes));
    table.quantiles("fdatasync meanwhile", "ms", &syncs, "", None);
    table.quantiles("block: from the word until it is durable", "ms", &durable, "", None);
    table.quantiles("one by one: the same", "ms", &tip, "write and sync", Some(&disk_tip));
    Ok(table)
}
