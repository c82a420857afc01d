//! The command line of the factory, the pump and the measurements: parses, calls, says how far it is.

mod client;
mod ibd;
mod limit;
mod load;
mod machine;
mod peers;
mod process;
mod reorg;
mod serve;
mod side;
mod start;
mod status;
mod steps;
mod table;
mod writes;

use caesure_bench::chain::{Factory, Spec};
use caesure_bench::pump::{Options, Pump};
use caesure_bench::records::{Chain, Fork, write_chain};
use caesure_bench::tx::show;
use clap::{Args, Parser, Subcommand};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tuning::pages::HugePages;

#[global_allocator]
static MEMORY: HugePages = HugePages;

/// Makes chains, serves them, and measures
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a regtest chain that Bitcoin Core accepts, as block records with the genesis first
    Chain(ChainArgs),
    /// Serve a file of block records, of any network, to every peer that connects
    Pump(PumpArgs),
    /// Measure the coins of the ledger: memory, operations a second, longest steps
    Ledger(LedgerArgs),
    /// Measure the longest steps of a utxo shard while checkpoints are written, and while they are read back
    Steps(LedgerArgs),
    /// Measure a stop, a start after it, and a start after kill -9, beside what the disk allows
    Start(StartArgs),
    /// Measure switches between branches of a hundred blocks, beside Bitcoin Core where BITCOIND names one
    Reorg(ReorgArgs),
    /// Measure a first sync from the pump, beside Bitcoin Core where BITCOIND names one
    Ibd(ibd::IbdArgs),
    /// Measure blocks served to many clients, beside the pump, and Bitcoin Core where BITCOIND names one
    Serve(serve::ServeArgs),
    /// Measure how fast page and JSON answer during a sync
    Status(status::StatusArgs),
    /// Measure what idle peers cost, and pings during a sync, beside Bitcoin Core where BITCOIND names one
    Peers(peers::PeersArgs),
    /// Measure the bytes written to disk for each byte of blocks over a sync
    Writes(WritesArgs),
}

#[derive(Args)]
struct ChainArgs {
    /// Names the chain: the same arguments give the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Height of the last block; spending starts at 101
    #[arg(long, default_value_t = 500)]
    blocks: u32,
    /// Transactions to aim at, coinbases not counted
    #[arg(long, default_value_t = 100_000)]
    txs: u32,
    /// Blocks at the end with only a coinbase
    #[arg(long, default_value_t = 0)]
    empty_tail: u32,
    /// A rival of LENGTH blocks and about TXS transactions above height AT, written before the blocks it rivals
    #[arg(long, value_name = "AT:LENGTH[:TXS]", value_parser = parse_fork)]
    fork: Vec<Fork>,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Args)]
struct LedgerArgs {
    /// Coins to make, and then to take and make
    #[arg(long, default_value_t = 20_000_000)]
    coins: u64,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct StartArgs {
    /// Coins the node has
    #[arg(long, default_value_t = 20_000_000)]
    coins: u64,
    /// Times each
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Keep the node's folder below target/tmp for the next run
    #[arg(long)]
    keep: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ReorgArgs {
    /// Transactions of a block
    #[arg(long, default_value_t = 500)]
    txs: u32,
    /// Times each branch wins
    #[arg(long, default_value_t = 4)]
    rounds: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct WritesArgs {
    /// Height of the chain
    #[arg(long, default_value_t = 400)]
    blocks: u32,
    /// Its transactions
    #[arg(long, default_value_t = 300_000)]
    txs: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct PumpArgs {
    /// File of block records: bootstrap.dat, blocks.bin, one of Bitcoin Core's (with xor key zero)
    file: PathBuf,
    /// Where to listen; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "IP:PORT")]
    listen: SocketAddr,
    /// Milliseconds to wait before each block
    #[arg(long, default_value_t = 0, value_name = "MS")]
    delay: u64,
    /// Bytes per second to each peer; 0 for no limit
    #[arg(long, default_value_t = 0, value_name = "BYTES")]
    rate: u64,
    /// Bytes per write, 0 for whole blocks: small pieces trickle
    #[arg(long, default_value_t = Options::default().piece_bytes, value_name = "BYTES")]
    piece: usize,
    /// Hang up after that many blocks
    #[arg(long, value_name = "BLOCKS")]
    drop_after: Option<u64>,
    /// Never answer for the block at this height (repeatable)
    #[arg(long, value_name = "HEIGHT")]
    withhold: Vec<u32>,
}

fn parse_fork(text: &str) -> Result<Fork, String> {
    let numbers: Result<Vec<u32>, _> = text.split(':').map(str::parse).collect();
    match numbers.map_err(|error| error.to_string())?[..] {
        [at, length] => Ok(Fork { at, length, txs: 0 }),
        [at, length, txs] => Ok(Fork { at, length, txs }),
        _ => Err("two or three numbers, as in 400:10:500".into()),
    }
}

fn main() -> ExitCode {
    if let Err(why) = tuning::pages::touch_ahead() {
        eprintln!("caesure-numbers: no thread for pages of memory, so the longest steps will be longer: {why}");
    }
    let done = match Cli::parse().command {
        Command::Chain(args) => make_chain(args),
        Command::Pump(args) => serve(args),
        Command::Ledger(LedgerArgs { coins, json }) => {
            caesure_bench::coins::table::run(coins, json);
            Ok(())
        }
        Command::Steps(LedgerArgs { coins, .. }) if coins < steps::COINS_MIN => {
            let least = steps::COINS_MIN;
            Err(io::Error::other(format!(
                "--coins {coins}: blocks take so many while all is written; at least {least}"
            )))
        }
        Command::Steps(LedgerArgs { coins, json }) => print(&steps::run(coins), json),
        Command::Start(StartArgs { coins, rounds, keep, json }) => print(&start::run(coins, rounds, keep), json),
        Command::Reorg(ReorgArgs { txs, rounds, json }) => print(&reorg::run(txs, rounds), json),
        Command::Ibd(args) => ibd::run(&args).map(|table| table.print(args.json)),
        Command::Serve(args) => serve::run(&args).map(|table| table.print(args.json)),
        Command::Status(args) => status::run(&args).map(|table| table.print(args.json)),
        Command::Peers(args) => peers::run(&args).map(|table| table.print(args.json)),
        Command::Writes(WritesArgs { blocks, txs, json }) => print(&writes::run(blocks, txs), json),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("caesure-numbers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(table: &table::Table, json: bool) -> io::Result<()> {
    table.print(json);
    Ok(())
}

fn make_chain(args: ChainArgs) -> io::Result<()> {
    let ChainArgs { seed, blocks, txs, empty_tail, fork, out } = args;
    let spec = Spec { seed, blocks, txs, empty_tail };
    // Before a file of that name is overwritten.
    spec.check().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", out.display()));
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&out).map_err(named)?);
    let start = Instant::now();
    let mut said = start;
    let factory = write_chain(&mut file, spec, &fork, |factory| {
        if said.elapsed() >= Duration::from_secs(2) {
            said = Instant::now();
            eprintln!("{}", progress(factory, blocks, txs, start));
        }
    })
    .map_err(named)?;
    file.flush().map_err(named)?;
    let bytes = file.get_ref().metadata().map_err(named)?.len();
    println!(
        "height {} tip {} txs {} coins {} bytes {bytes} seconds {:.1}",
        factory.height(),
        show(&factory.tip()),
        factory.txs_made(),
        factory.coins().count(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn progress(factory: &Factory, blocks: u32, txs: u32, start: Instant) -> String {
    let seconds = start.elapsed().as_secs_f64();
    let (height, made) = (factory.height(), factory.txs_made());
    // Signing takes nearly all the time, so transactions tell how long it will take; in bare chains, blocks do.
    let part = if txs > 0 { f64::from(made) / f64::from(txs) } else { f64::from(height) / f64::from(blocks) };
    let left =
        if part > 0.0 { format!("{:.0} s left", seconds * (1.0 - part) / part) } else { "no estimate yet".into() };
    format!("block {height} of {blocks}, {made} of {txs} transactions, {:.0} tx/s, {left}", f64::from(made) / seconds)
}

fn serve(args: PumpArgs) -> io::Result<()> {
    let chain = Arc::new(Chain::open(&args.file)?);
    let (magic, blocks, best) = (chain.magic().swap_bytes(), chain.blocks(), chain.best().len());
    println!("magic {magic:08x} blocks {blocks} best chain of {best} left over {} bytes", chain.left_over());
    let options = Options {
        listen: args.listen,
        delay: Duration::from_millis(args.delay),
        bytes_per_second: args.rate,
        piece_bytes: args.piece,
        drop_after: args.drop_after,
        withhold: args.withhold.into_iter().collect(),
    };
    let pump = Pump::start(chain, options)?;
    println!("listening on {}", pump.addr());
    let mut before = pump.stats();
    loop {
        std::thread::sleep(Duration::from_secs(2));
        let now = pump.stats();
        if now != before {
            let (blocks, bytes) = (now.blocks - before.blocks, now.bytes - before.bytes);
            eprintln!(
                "{} peers now, {} so far; {} blocks served, {} blocks/s, {:.1} MB/s",
                now.peers,
                now.accepted,
                now.blocks,
                blocks / 2,
                bytes as f64 / 2e6
            );
        }
        before = now;
    }
}
