//! `cargo numbers -- watched`: what it costs a sync to be looked at, in seconds of CPU of its executors, by fifty who watch the status
//! page, a script that loops at the prompt, and a Prometheus that reads the figures each second; and how fast a line at the prompt is
//! answered meanwhile. With and without in turns; scripts are believed, so that there is the least work beside it. What the thread of
//! the script itself takes is no work of the sync, but of whoever has it run: it stands in a row of its own.

use crate::load::Load;
use crate::pairs::Pairs;
use crate::process;
use crate::side::{How, Side};
use crate::table::{Table, histogram};
use caesure_bench::pump::{Options, Pump};
use caesure_tests::Folder;
use caesure_tests::binary::caesure;
use clap::Args;
use hdrhistogram::Histogram;
use shards::prover::Mode;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// What it may cost, and how long an answer at the prompt may take.
const PERCENT_MAX: f64 = 2.0;
const ANSWER_MAX: Duration = Duration::from_millis(50);
/// Those who watch the page.
const WATCHERS: usize = 50;
/// Time between scrapes, and between lines at the prompt.
const SCRAPE: Duration = Duration::from_secs(1);
const LINE: Duration = Duration::from_millis(50);
/// What one session at the prompt does again and again.
const LOOP: &[u8] = b"let n = 0; for i in 0..2000 { n += db.last_block % 7 } n\n";

/// What is measured, and how often.
#[derive(Args)]
pub struct WatchedArgs {
    /// Transactions of the chain
    #[arg(long, default_value_t = 1_000_000)]
    txs: u32,
    /// Pairs of syncs
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// CPU that is of no core's executor, in syncs that nobody watched, and in others.
#[derive(Default)]
struct Beside {
    desk: [Vec<f64>; 2],
    rest: [Vec<f64>; 2],
}

/// Reads whatever comes, until nothing does.
fn watch(page: SocketAddr) -> io::Result<u64> {
    let mut stream = TcpStream::connect(page)?;
    stream.write_all(b"GET /admin/status.live HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let (mut buffer, mut all) = ([0; 64 << 10], 0);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return Ok(all),
            Ok(count) => all += count as u64,
        }
    }
}

fn scrape(page: SocketAddr, stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        let ask = || -> io::Result<usize> {
            let mut stream = TcpStream::connect(page)?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            stream.read_to_end(&mut Vec::new())
        };
        let _ = ask();
        thread::sleep(SCRAPE);
    }
}

/// Says a line, and waits for the prompt behind its answer.
fn say(stream: &mut UnixStream, line: &[u8]) -> io::Result<()> {
    stream.write_all(line)?;
    let mut tail = [0; 4096];
    loop {
        let count = stream.read(&mut tail)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if tail[..count].ends_with(b"> ") {
            return Ok(());
        }
    }
}

fn open(prompt: &Path) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(prompt)?;
    say(&mut stream, b"\n")?;
    Ok(stream)
}

fn looping(prompt: &Path, stop: &AtomicBool) -> io::Result<()> {
    let mut stream = open(prompt)?;
    while !stop.load(Relaxed) {
        say(&mut stream, LOOP)?;
    }
    Ok(())
}

fn lines(prompt: &Path, stop: &AtomicBool) -> io::Result<Histogram<u64>> {
    let (mut stream, mut times) = (open(prompt)?, histogram());
    while !stop.load(Relaxed) {
        let begun = Instant::now();
        say(&mut stream, b"status\n")?;
        times.record(begun.elapsed().as_nanos() as u64).map_err(io::Error::other)?;
        thread::sleep(LINE);
    }
    Ok(times)
}

/// Measures, and gives the table.
pub fn run(args: &WatchedArgs) -> io::Result<Table> {
    // If it has to be built first, that is no time of a sync.
    caesure();
    let load = Load::with(args.txs)?;
    let (chain, _) = load.open()?;
    let (mut answers, mut sent, mut beside) = (histogram(), Vec::new(), Beside::default());
    let pairs = Pairs::measure("syncs", args.rounds, |with| {
        let pump = Pump::start(chain.clone(), Options::default())?;
        let assumed = load.last_full.clone();
        let how = How { cores: How::cpus(), peer: Some(pump.addr()), assumed, lanes: Mode::Auto };
        let side = Side::ours(Folder::new(), &how, &[]);
        let (page, prompt, stop) =
            (side.page().expect("ours"), side.prompt().expect("ours"), Arc::new(AtomicBool::new(false)));
        let mut watching = Vec::new();
        let mut asking = None;
        if with {
            watching = (0..WATCHERS).map(|_| thread::spawn(move || watch(page))).collect();
            let (one, other, third) = (stop.clone(), stop.clone(), stop.clone());
            let path = prompt.clone();
            thread::spawn(move || looping(&path, &one));
            thread::spawn(move || scrape(page, &other));
            asking = Some(thread::spawn(move || lines(&prompt, &third)));
        }
        side.wait(load.height, "caesure syncs");
        let [cpu, desk, others] = process::thread_seconds(side.pid());
        beside.desk[usize::from(with)].push(desk);
        beside.rest[usize::from(with)].push(others);
        stop.store(true, Relaxed);
        if let Some(asking) = asking {
            answers += asking.join().expect("it does not panic")?;
        }
        drop(side);
        let all: u64 =
            watching.into_iter().map(|one| one.join().expect("it does not panic")).sum::<io::Result<u64>>()?;
        if with {
            sent.push(all as f64 / 1e6);
        }
        Ok(cpu)
    })?;
    let mut table = Table::default();
    pairs.rows("CPU of executors, watched", "s", PERCENT_MAX, &mut table);
    let [unseen, seen] = &beside.desk;
    table.spread("CPU of the executor that answers, of these", "s", seen, "without", unseen);
    let more: Vec<f64> = seen
        .iter()
        .zip(unseen)
        .zip(pairs.without())
        .map(|((seen, unseen), all)| 100.0 * (seen - unseen) / all)
        .collect();
    table.spread("that is more, of all executors' CPU", "%", &more, "at most", &[PERCENT_MAX]);
    table.spread("CPU of other threads, the script's too", "s", &beside.rest[1], "without", &beside.rest[0]);
    table.spread("sent to those who watch", "MB", &sent, "", &[]);
    table.percentiles("a line at the prompt meanwhile", &answers, Some(ANSWER_MAX));
    Ok(table)
}
