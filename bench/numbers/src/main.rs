//! The command line of the factory, the pump and the measurements: parses and calls.

mod append;
mod client;
mod cores;
mod disk;
mod factory;
mod ibd;
mod import;
mod lanes;
mod limit;
mod links;
mod load;
mod log;
mod machine;
mod pairs;
mod peers;
mod process;
mod pump;
mod read;
mod reorg;
mod scale;
mod serve;
mod side;
mod spent;
mod stages;
mod start;
mod status;
mod steps;
mod table;
mod watched;
mod writes;

use clap::{Args, Parser, Subcommand};
use std::io;
use std::process::ExitCode;
use std::sync::LazyLock;
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
    Chain(factory::ChainArgs),
    /// Serve a file of block records, of any network, to every peer that connects
    Pump(pump::PumpArgs),
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
    /// Measure imports on one and more executors, and blocks.bin beside the disk
    Import(import::ImportArgs),
    /// Measure what only one core can do, and predict from it the speed on more of them
    Scale(scale::ScaleArgs),
    /// Measure what one core does of each stage of a block, beside what the machine could do at most
    Stages(stages::StagesArgs),
    /// Measure blocks appended to blocks.bin, many and one by one, beside the disk
    Append(append::AppendArgs),
    /// Measure blocks read from their file, from the page cache and the disk, beside pread and the disk
    Read(read::ReadArgs),
    /// Measure words between shards of two cores, beside two threads that hand each other cache lines
    Links(links::LinksArgs),
    /// Measure signatures proven in lanes of AVX-512 IFMA, beside libsecp256k1
    Lanes(lanes::LanesArgs),
    /// Measure what the binary log costs: syncs with and without, in turns
    Log(log::LogArgs),
    /// Measure what it costs a sync to be looked at: watchers, a script at the prompt, Prometheus
    Watched(watched::WatchedArgs),
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

fn main() -> ExitCode {
    if let Err(why) = tuning::pages::touch_ahead() {
        eprintln!("caesure-numbers: no thread for pages of memory, so the longest steps will be longer: {why}");
    }
    // Before anything is measured, and before anybody changes a file.
    LazyLock::force(&machine::FACTS);
    let done = match Cli::parse().command {
        Command::Chain(args) => factory::run(args),
        Command::Pump(args) => pump::run(args),
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
        Command::Import(args) => import::run(&args).map(|table| table.print(args.json)),
        Command::Scale(args) => scale::run(&args).map(|table| table.print(args.json)),
        Command::Stages(args) => stages::run(&args).map(|table| table.print(args.json)),
        Command::Append(args) => append::run(&args).map(|table| table.print(args.json)),
        Command::Read(args) => read::run(&args).map(|table| table.print(args.json)),
        Command::Links(args) => links::run(&args).map(|table| table.print(args.json)),
        Command::Lanes(args) => lanes::run(&args).map(|table| table.print(args.json)),
        Command::Log(args) => log::run(&args).map(|table| table.print(args.json)),
        Command::Watched(args) => watched::run(&args).map(|table| table.print(args.json)),
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
