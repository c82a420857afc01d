//! `cargo numbers -- chain`: writes a chain of the factory to a file, and says how far it is.

use caesure_bench::chain::{Factory, Spec};
use caesure_bench::records::{Fork, write_chain};
use caesure_bench::tx::show;
use clap::Args;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What chain, and where.
#[derive(Args)]
pub struct ChainArgs {
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

fn parse_fork(text: &str) -> Result<Fork, String> {
    let numbers: Result<Vec<u32>, _> = text.split(':').map(str::parse).collect();
    match numbers.map_err(|error| error.to_string())?[..] {
        [at, length] => Ok(Fork { at, length, txs: 0 }),
        [at, length, txs] => Ok(Fork { at, length, txs }),
        _ => Err("two or three numbers, as in 400:10:500".into()),
    }
}

/// Makes it.
pub fn run(args: ChainArgs) -> io::Result<()> {
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
