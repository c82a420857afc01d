//! `cargo numbers -- status`: how long the status page and its JSON take to come while the node syncs at full speed, over
//! connections that stay open, as a browser's does.
//!
//! Each is asked for at fixed times; where an answer is late, the questions that it held up count as late too.

use crate::load::Load;
use crate::side::{How, Side};
use crate::table::{Table, histogram};
use caesure_bench::pump::{Options, Pump};
use caesure_tests::Folder;
use clap::Args;
use hdrhistogram::Histogram;
use shards::prover::Mode;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Time between questions.
const EVERY: Duration = Duration::from_millis(10);
/// Blocks that may be missing when the node is said to be no longer syncing: the last ones are empty.
const WITHOUT_TXS: u32 = crate::load::TAIL;
/// What the JSON may take.
const BOUND: Duration = Duration::from_millis(10);

/// What is measured, and how often.
#[derive(Args)]
pub struct StatusArgs {
    /// Transactions of the chain
    #[arg(long, default_value_t = 300_000)]
    txs: u32,
    /// Syncs of each kind
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// One answer over a connection that stays; its bytes.
fn ask(stream: &mut BufReader<TcpStream>, path: &str) -> io::Result<usize> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes())?;
    let (mut line, mut length) = (String::new(), None);
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        match line.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok(),
            None if line == "\r\n" => break,
            _ if line.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
    let length = length.ok_or_else(|| io::Error::other(format!("{path}: an answer without a length")))?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(length)
}

/// Asks again and again until it is told to stop.
fn watch(page: SocketAddr, path: &str, stop: &AtomicBool) -> io::Result<Histogram<u64>> {
    let stream = TcpStream::connect(page)?;
    stream.set_nodelay(true)?;
    let (mut stream, mut times) = (BufReader::new(stream), histogram());
    while !stop.load(Relaxed) {
        let begun = Instant::now();
        ask(&mut stream, path)?;
        let took = begun.elapsed();
        times.record_correct(took.as_nanos() as u64, EVERY.as_nanos() as u64).map_err(io::Error::other)?;
        thread::sleep(EVERY.saturating_sub(took));
    }
    Ok(times)
}

/// Measures, and gives the table.
pub fn run(args: &StatusArgs) -> io::Result<Table> {
    let load = Load::with(args.txs)?;
    let (chain, _) = load.open()?;
    let mut table = Table::default();
    for (what, assumed) in [("skipped", load.last_full.as_str()), ("checked", "0")] {
        let mut all = [("/admin/status.json", histogram()), ("/admin/status", histogram())];
        for _ in 0..args.rounds {
            let pump = Pump::start(chain.clone(), Options::default())?;
            let how = How { cores: How::cpus(), peer: Some(pump.addr()), assumed: assumed.into(), lanes: Mode::Auto };
            let side = Side::start(None, Folder::new(), &how);
            let page = side.page().expect("ours has one");
            let stop = Arc::new(AtomicBool::new(false));
            let watching = all.each_ref().map(|(path, _)| {
                let (path, stop) = (*path, stop.clone());
                thread::spawn(move || watch(page, path, &stop))
            });
            side.wait(load.height - WITHOUT_TXS, "caesure syncs");
            stop.store(true, Relaxed);
            for ((_, times), one) in all.iter_mut().zip(watching) {
                *times += one.join().expect("it does not panic")?;
            }
        }
        let [json, page] = &all;
        table.percentiles(&format!("scripts {what}: JSON"), &json.1, Some(BOUND));
        table.percentiles(&format!("scripts {what}: page"), &page.1, None);
    }
    Ok(table)
}
