//! `cargo numbers -- links`: words from a shard of one core to a shard of another, through the node's own loop and links,
//! beside two pinned threads that do nothing but hand cache lines to each other.
//!
//! A round trip is two words: sent in a step, routed, carried, queued, taken by a step of the other core, and back.

use crate::cores::{self, Make};
use crate::side::How;
use crate::table::{Table, Teller, histogram};
use caesure::links::Parcel;
use caesure_tests::Folder;
use clap::Args;
use hdrhistogram::Histogram;
use shards::{Cx, Input, Msg, Shard, ShardId};
use std::fs;
use std::hint::{black_box, spin_loop};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Words said in one step, and words under way at most: a link holds more.
const ROW: u64 = 64;
const UNDER_WAY: u64 = 512;
/// Pause before each word that finds the other core asleep: far more than an executor spins.
const PAUSE: Duration = Duration::from_millis(1);
/// Entries of the bare ring.
const RING: u64 = 1_024;

/// What is measured, and how often.
#[derive(Args)]
pub struct LinksArgs {
    /// Words of a round each way
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(ROW..))]
    words: u64,
    /// Round trips of a round between cores that are awake
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    trips: u64,
    /// Times each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// What the shard that asks is to do next.
#[derive(Clone, Copy)]
enum Job {
    /// So many round trips, one after the other; with a pause before each or not.
    Trips(u64, bool),
    /// So many words; as many come back or not.
    Words(u64, bool),
}

/// What it found.
enum Found {
    Trips(Histogram<u64>),
    /// Words a second, both ways together.
    Words(f64),
}

/// What a word says, in the place of a peer's number; its own number is how much.
mod say {
    pub const PING: u64 = 0;
    pub const PONG: u64 = 1;
    pub const WORD: u64 = 2;
    /// A row of words came.
    pub const GOT: u64 = 3;
    /// Send so many words, too.
    pub const ALSO: u64 = 4;
    /// All of mine came.
    pub const DONE: u64 = 5;
}

/// Either end.
struct End {
    other: ShardId,
    /// Where jobs come from and answers go; the other end has none.
    asks: Option<(mpsc::Receiver<Job>, mpsc::Sender<Found>)>,
    job: Option<Job>,
    begun: Instant,
    times: Histogram<u64>,
    /// Trips or words to send, words under way, words that came.
    left: u64,
    under_way: u64,
    came: u64,
    /// Ends whose words are all there.
    waits_for: u32,
    /// A ping has no answer yet.
    pinged: bool,
}

impl End {
    fn make(other: ShardId, asks: Option<(mpsc::Receiver<Job>, mpsc::Sender<Found>)>) -> Make {
        Box::new(move || {
            let (job, begun, times) = (None, Instant::now(), histogram());
            Box::new(End {
                other,
                asks,
                job,
                begun,
                times,
                left: 0,
                under_way: 0,
                came: 0,
                waits_for: 0,
                pinged: false,
            })
        })
    }

    fn say(&self, what: u64, how_much: u64, cx: &mut Cx) {
        cx.tell(self.other, Msg::Settled { peer: what, seq: how_much });
    }

    /// As many rows as may be under way.
    fn push(&mut self, cx: &mut Cx) {
        while self.left > 0 && self.under_way + ROW <= UNDER_WAY {
            (0..ROW).for_each(|number| self.say(say::WORD, number, cx));
            (self.left, self.under_way) = (self.left - ROW, self.under_way + ROW);
        }
        if self.left == 0 && self.under_way == 0 {
            match self.asks {
                Some(_) => self.ended(),
                None => self.say(say::DONE, 0, cx),
            }
        }
    }

    /// One end's words are all there.
    fn ended(&mut self) {
        self.waits_for -= 1;
        if let (0, Some(Job::Words(words, both))) = (self.waits_for, self.job) {
            let words = if both { 2 * words } else { words };
            self.found(Found::Words(words as f64 / self.begun.elapsed().as_secs_f64()));
        }
    }

    fn found(&mut self, found: Found) {
        self.job = None;
        let (_, answers) = self.asks.as_ref().expect("only who asks has a job");
        // Whoever waits for it may have gone.
        let _ = answers.send(found);
    }

    fn ping(&mut self, cx: &mut Cx) {
        (self.left, self.pinged, self.begun) = (self.left - 1, true, Instant::now());
        self.say(say::PING, 0, cx);
    }

    fn tick(&mut self, cx: &mut Cx) {
        match self.job {
            Some(Job::Trips(_, true)) if !self.pinged => return self.ping(cx),
            Some(_) => return,
            None => {}
        }
        self.job = self.asks.as_ref().and_then(|(jobs, _)| jobs.try_recv().ok());
        match self.job {
            Some(Job::Trips(trips, _)) => {
                (self.left, self.times) = (trips, histogram());
                self.ping(cx);
            }
            Some(Job::Words(words, both)) => {
                (self.left, self.begun, self.waits_for) = (words, Instant::now(), 1 + u32::from(both));
                if both {
                    self.say(say::ALSO, words, cx);
                }
                self.push(cx);
            }
            None => {}
        }
    }
}

impl Shard for End {
    fn step(&mut self, input: Input, cx: &mut Cx) {
        let (what, how_much) = match input {
            Input::Tick => return self.tick(cx),
            Input::Msg(Msg::Settled { peer, seq }) => (peer, seq),
            other => panic!("nobody here says {other:?}"),
        };
        match what {
            say::PING => self.say(say::PONG, 0, cx),
            say::PONG => {
                self.times.record(self.begun.elapsed().as_nanos() as u64).expect("below a quarter of an hour");
                self.pinged = false;
                match self.job {
                    _ if self.left == 0 => {
                        let times = std::mem::replace(&mut self.times, histogram());
                        self.found(Found::Trips(times));
                    }
                    Some(Job::Trips(_, false)) => self.ping(cx),
                    _ => {}
                }
            }
            say::WORD => {
                self.came += 1;
                if self.came.is_multiple_of(ROW) {
                    self.say(say::GOT, ROW, cx);
                }
            }
            say::GOT => {
                self.under_way -= how_much;
                self.push(cx);
            }
            say::ALSO => {
                self.left = how_much;
                self.push(cx);
            }
            _ => self.ended(),
        }
    }
}

/// Alone on its cache line, and on the one that the processor fetches with it.
#[derive(Default)]
#[repr(align(128))]
struct Lonely(AtomicU64);

/// Runs both on CPUs of their own; what the first gives.
fn on_two_cpus<T: Send + 'static>(
    first: impl FnOnce() -> T + Send + 'static,
    second: impl FnOnce() + Send + 'static,
) -> T {
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    let pinned = |index: usize| {
        let cpu = cpus[index];
        move || assert!(core_affinity::set_for_current(cpu), "a CPU of ours")
    };
    let (here, there) = (pinned(0), pinned(1));
    let second = thread::spawn(move || {
        there();
        second();
    });
    let first = thread::spawn(move || {
        here();
        first()
    });
    second.join().expect("it does not panic");
    first.join().expect("it does not panic")
}

fn wait_for(line: &Lonely, wanted: impl Fn(u64) -> bool) -> u64 {
    loop {
        let now = line.0.load(Ordering::Acquire);
        if wanted(now) {
            return now;
        }
        spin_loop();
    }
}

/// Round trips of a cache line between two threads.
fn bare_trips(trips: u64) -> Histogram<u64> {
    let lines = Arc::new([Lonely::default(), Lonely::default()]);
    let other = lines.clone();
    on_two_cpus(
        move || {
            let mut times = histogram();
            for trip in 1..=trips {
                let begun = Instant::now();
                lines[0].0.store(trip, Ordering::Release);
                wait_for(&lines[1], |answer| answer == trip);
                times.record(begun.elapsed().as_nanos() as u64).expect("below a quarter of an hour");
            }
            times
        },
        move || {
            for trip in 1..=trips {
                wait_for(&other[0], |asked| asked == trip);
                other[1].0.store(trip, Ordering::Release);
            }
        },
    )
}

/// What a parcel takes of memory.
const PARCEL: usize = size_of::<Parcel>().div_ceil(8);

/// A ring between two threads that hand each other the bytes of parcels, in rows.
struct Ring {
    parcels: Vec<[AtomicU64; PARCEL]>,
    filled: Lonely,
    emptied: Lonely,
}

/// Parcels a second through it, one way.
fn bare_words(words: u64) -> f64 {
    let parcels = (0..RING).map(|_| [const { AtomicU64::new(0) }; PARCEL]).collect();
    let ring = Arc::new(Ring { parcels, filled: Lonely::default(), emptied: Lonely::default() });
    let other = ring.clone();
    let begun = Instant::now();
    on_two_cpus(
        move || {
            for row in (0..words).step_by(ROW as usize) {
                wait_for(&ring.emptied, |emptied| row + ROW <= emptied + RING);
                for number in row..row + ROW {
                    ring.parcels[(number % RING) as usize]
                        .iter()
                        .for_each(|word| word.store(number, Ordering::Relaxed));
                }
                ring.filled.0.store(row + ROW, Ordering::Release);
            }
        },
        move || {
            for row in (0..words).step_by(ROW as usize) {
                wait_for(&other.filled, |filled| row + ROW <= filled);
                for number in row..row + ROW {
                    let parcel = &other.parcels[(number % RING) as usize];
                    black_box(parcel.iter().fold(0, |sum: u64, word| sum.wrapping_add(word.load(Ordering::Relaxed))));
                }
                other.emptied.0.store(row + ROW, Ordering::Release);
            }
        },
    );
    words as f64 / begun.elapsed().as_secs_f64()
}

/// Measures, and gives the table.
pub fn run(args: &LinksArgs) -> io::Result<Table> {
    How::check(2)?;
    let folder = Folder::new();
    let blocks = folder.join("blocks.bin");
    fs::write(&blocks, [0; 4096])?;
    let (asks, jobs) = mpsc::channel();
    let (answers, found) = mpsc::channel();
    let (here, there) = (ShardId::Peer(0), ShardId::Peer(1));
    let cast = vec![(here, End::make(there, Some((jobs, answers)))), (there, End::make(here, None))];
    cores::start(2, &blocks, PAUSE, cast)?;
    let job = |job: Job| {
        asks.send(job).map_err(io::Error::other)?;
        found.recv().map_err(io::Error::other)
    };
    let words = args.words / ROW * ROW;
    let (mut awake, mut asleep, mut bare) = (histogram(), histogram(), histogram());
    let (mut one_way, mut both_ways, mut ring) = (Vec::new(), Vec::new(), Vec::new());
    let mut teller = Teller::new("links");
    for round in 1..=args.rounds {
        for (work, times) in [(Job::Trips(args.trips, false), &mut awake), (Job::Trips(1_000, true), &mut asleep)] {
            if let Found::Trips(found) = job(work)? {
                *times += found;
            }
        }
        for (work, rates) in [(Job::Words(words, false), &mut one_way), (Job::Words(words, true), &mut both_ways)] {
            if let Found::Words(rate) = job(work)? {
                rates.push(rate / 1e6);
            }
        }
        bare += bare_trips(args.trips);
        ring.push(bare_words(words) / 1e6);
        teller.say(round.into(), args.rounds.into(), "rounds");
    }
    let mut table = Table::default();
    table.row("bytes of a word on its way", "", size_of::<Parcel>() as f64);
    table.spread("words, one way", "M/s", &one_way, "bare ring", &ring);
    table.spread("words, both ways at once, together", "M/s", &both_ways, "bare ring", &ring);
    table.quantiles("round trip, both awake", "us", &awake, "bare line", Some(&bare));
    table.quantiles("round trip, after 1 ms of sleep", "us", &asleep, "bare line", Some(&bare));
    Ok(table)
}
