//! `cargo numbers -- read`: whole blocks read at their places by one core of the node, as for peers that pull them, from the
//! page cache and from the disk; beside pread, and beside reads past the page cache by as many threads as there are reads.

use crate::cores::{self, Make};
use crate::disk::{self, Pace, Piece};
use crate::load::Load;
use crate::table::{Table, Teller, histogram};
use caesure_bench::rng::Rng;
use clap::Args;
use hdrhistogram::Histogram;
use shards::{Cx, Effect, Event, Input, Shard, ShardId};
use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Reads under way: as many blocks are read ahead for one peer.
const AT_ONCE: usize = 8;
/// How often the shard looks for its next job.
const TICK: Duration = Duration::from_millis(5);

/// What is measured, and how often.
#[derive(Args)]
pub struct ReadArgs {
    /// Transactions of the chain
    #[arg(long, default_value_t = 300_000)]
    txs: u32,
    /// Times each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// In the place of a peer shard: has blocks read, each once.
struct Reader {
    jobs: mpsc::Receiver<Vec<Piece>>,
    answers: mpsc::Sender<Pace>,
    pieces: Vec<Piece>,
    begun: Instant,
    next: usize,
    reading: BTreeMap<u64, Instant>,
    times: Histogram<u64>,
}

impl Reader {
    fn read_on(&mut self, cx: &mut Cx) {
        while self.reading.len() < AT_ONCE
            && let Some((at, len)) = self.pieces.get(self.next)
        {
            let token = self.next as u64;
            self.reading.insert(token, Instant::now());
            cx.effect(Effect::Read { token, file: 0, at: *at, len: *len as u32 });
            self.next += 1;
        }
    }

    fn came(&mut self, token: u64, bytes: usize, cx: &mut Cx) {
        assert_eq!(bytes, self.pieces[token as usize].1, "all of it");
        let begun = self.reading.remove(&token).expect("it was asked for");
        self.times.record(begun.elapsed().as_nanos() as u64).expect("below a quarter of an hour");
        self.read_on(cx);
        if self.reading.is_empty() {
            let bytes: f64 = self.pieces.iter().map(|(_, len)| *len as f64).sum();
            let bytes_per_second = bytes / self.begun.elapsed().as_secs_f64();
            let times = std::mem::replace(&mut self.times, histogram());
            // Whoever waits for it may have gone.
            let _ = self.answers.send(Pace { bytes_per_second, times });
        }
    }
}

impl Shard for Reader {
    fn step(&mut self, input: Input, cx: &mut Cx) {
        match input {
            Input::Event(Event::Read { token, bytes }) => {
                self.came(token, bytes.expect("the file is whole").len(), cx);
            }
            Input::Tick if self.reading.is_empty() => {
                if let Ok(pieces) = self.jobs.try_recv() {
                    (self.pieces, self.next, self.begun) = (pieces, 0, Instant::now());
                    self.read_on(cx);
                }
            }
            Input::Tick => {}
            other => panic!("nobody here says {other:?}"),
        }
    }
}

/// Measures, and gives the table.
pub fn run(args: &ReadArgs) -> io::Result<Table> {
    let load = Load::with(args.txs)?;
    let ordered = load.places()?;
    let mut random = ordered.clone();
    Rng::new(1).shuffle(&mut random);
    let ((asks, jobs), (answers, found)) = (mpsc::channel(), mpsc::channel());
    let reader: Make = Box::new(move || {
        let (begun, times) = (Instant::now(), histogram());
        Box::new(Reader { jobs, answers, pieces: Vec::new(), begun, next: 0, reading: BTreeMap::new(), times })
    });
    cores::start(1, &load.path, TICK, vec![(ShardId::Peer(0), reader)])?;

    let mut table = Table::default();
    table.row("blocks, each read once a round", "", ordered.len() as f64);
    table.row("their bytes", "MB", ordered.iter().map(|(_, len)| *len as f64).sum::<f64>() / 1e6);
    let (mut teller, mut done) = (Teller::new("read"), 0);
    for (order, pieces) in [("in order", &ordered), ("at random", &random)] {
        for cold in [false, true] {
            let (mut rates, mut most) = (Vec::new(), Vec::new());
            let (mut times, mut least) = (histogram(), histogram());
            if !cold {
                disk::read(&load.path, pieces, 1)?;
            }
            for _ in 0..args.rounds {
                if cold {
                    disk::cool(&load.path)?;
                }
                asks.send(pieces.clone()).map_err(io::Error::other)?;
                let ours = found.recv().map_err(io::Error::other)?;
                let limit = match cold {
                    true => disk::read_direct(&load.path, pieces, AT_ONCE)?,
                    false => disk::read(&load.path, pieces, 1)?,
                };
                rates.push(ours.bytes_per_second / 1e6);
                most.push(limit.bytes_per_second / 1e6);
                times += ours.times;
                least += limit.times;
                done += 1;
                teller.say(done, u64::from(args.rounds) * 4, "rounds");
            }
            let (what, whose) = if cold { ("cold", "O_DIRECT") } else { ("warm", "pread") };
            table.spread(format!("{what}, {order}"), "MB/s", &rates, whose, &most);
            table.quantiles(&format!("{what}, {order}: a block"), "ms", &times, whose, Some(&least));
        }
    }
    Ok(table)
}
