//! `cargo numbers -- pump`: serves a file of blocks until it is stopped, and says what it served.

use caesure_bench::pump::{Options, Pump};
use caesure_bench::records::Chain;
use clap::Args;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What to serve, and how badly.
#[derive(Args)]
pub struct PumpArgs {
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

/// Serves.
pub fn run(args: PumpArgs) -> io::Result<()> {
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
