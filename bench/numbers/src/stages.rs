//! `cargo numbers -- stages`: what one core does of each stage of a block that knows no other core, beside what the machine
//! could do at most: reading memory, hashing, verifying with libsecp256k1. On blocks of today's mix, in memory.

use crate::limit::Limit;
use crate::load::Load;
use crate::table::{Table, Teller};
use bytes::Bytes;
use caesure_bench::chain::Tally;
use clap::Args;
use consensus::script::{AtOnce, Flags, Machine, Recorder, Row, Spending};
use consensus::{Block, CoinView, OutPoint, sha256};
use ledger::{Body, Seed};
use std::collections::HashMap;
use std::hint::black_box;
use std::io;
use std::time::Duration;
use tuning::core_time;

/// What is measured, and how often.
#[derive(Args)]
pub struct StagesArgs {
    /// Transactions of the chain
    #[arg(long, default_value_t = 30_000)]
    txs: u32,
    /// Times each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Amount, height, coinbase and script of a coin.
type Kept = (u64, u32, bool, Vec<u8>);

/// Seconds of this thread's own time that something takes.
fn time(work: impl FnOnce()) -> f64 {
    let begun = core_time();
    work();
    (core_time() - begun).max(Duration::from_nanos(1)).as_secs_f64()
}

/// Of each transaction what it spends, coinbases left out: the index of its block, its own, and its coins.
fn spends(blocks: &[Block], first: u32) -> Vec<(usize, usize, Vec<Kept>)> {
    let (mut coins, mut spends) = (HashMap::new(), Vec::new());
    for (at, block) in blocks.iter().enumerate() {
        for (index, tx) in block.txs.iter().enumerate() {
            let takes = block.inputs_of(tx).iter().map(|input| coins.remove(&block.outpoint(input)));
            if let Some(takes) = takes.collect::<Option<Vec<Kept>>>() {
                spends.push((at, index, takes));
            }
            for (vout, output) in (0..).zip(block.outputs_of(tx)) {
                let kept = (output.value, first + at as u32, index == 0, block.script(output.script).to_vec());
                coins.insert(OutPoint { txid: tx.txid, vout }, kept);
            }
        }
    }
    spends
}

/// Runs the scripts of all these as the node does: signatures are written down and verified after each script, and a script
/// whose signatures do not hold as it assumed is run again. What was written down.
fn run_scripts(blocks: &[Block], spends: &[(usize, usize, Vec<Kept>)]) -> Tally {
    let (mut recorder, mut tally) = (Recorder::default(), Tally::default());
    for (block, index, kept) in spends {
        let view = blocks[*block].view(&blocks[*block].txs[*index]);
        let coins: Vec<CoinView> = kept
            .iter()
            .map(|(value, height, coinbase, script)| CoinView {
                value: *value,
                height: *height,
                coinbase: *coinbase,
                script,
            })
            .collect();
        let (spending, mut machine) = (Spending::new(view, &coins), Machine::new());
        for input in 0..coins.len() as u32 {
            let assumed = machine.check(&spending, input, Flags::CONSENSUS, &mut recorder).is_ok();
            let ecdsa = recorder.rows.iter().filter(|row| matches!(row, Row::Ecdsa(..))).count() as u64;
            tally.ecdsa += ecdsa;
            tally.schnorr += recorder.rows.len() as u64 - ecdsa;
            if !assumed || !recorder.rows.iter().all(Row::holds) {
                machine.check(&spending, input, Flags::CONSENSUS, &mut AtOnce).expect("the factory signs well");
            }
            recorder.rows.clear();
        }
        tally.inputs += coins.len() as u64;
    }
    tally
}

/// Measures, and gives the table.
pub fn run(args: &StagesArgs) -> io::Result<Table> {
    let load = Load::with(args.txs)?;
    let (chain, _) = load.open()?;
    // Coins that the bare blocks made are spent later.
    let last = (load.height - crate::load::TAIL) as usize;
    let bytes: Vec<Bytes> = chain.best()[1..=last]
        .iter()
        .map(|hash| Ok(chain.block(hash)?.expect("it is of this chain").into()))
        .collect::<io::Result<_>>()?;
    let parse = |bytes: &Bytes| Block::parse(bytes.clone()).expect("a whole block");
    let blocks: Vec<Block> = bytes.iter().map(parse).collect();
    let all: f64 = bytes.iter().map(|block| block.len() as f64).sum();
    let stripped: f64 = blocks.iter().flat_map(|block| &block.txs).map(|tx| f64::from(tx.stripped_len)).sum();
    let spends = spends(&blocks, 1);

    let (mut read, mut hash, mut parsed, mut hashed, mut scripts) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut tally, mut teller) = (Tally::default(), Teller::new("stages"));
    let long = vec![7; 64 << 20];
    let sum = |bytes: &[u8]| {
        let words = bytes.as_chunks::<8>().0.iter();
        words.fold(0, |sum: u64, word| sum.wrapping_add(u64::from_le_bytes(*word)))
    };
    for round in 1..=args.rounds {
        read.push(long.len() as f64 / time(|| _ = black_box(sum(black_box(&long)))));
        hash.push(long.len() as f64 / time(|| _ = black_box(sha256(black_box(&long)))));
        parsed.push(all / time(|| bytes.iter().for_each(|block| _ = black_box(Body::new(parse(block), Seed::new(1))))));
        let wtxids = || blocks.iter().for_each(|b| b.txs.iter().for_each(|tx| _ = black_box(b.wtxid(tx))));
        hashed.push(all / time(wtxids));
        scripts.push(time(|| tally = run_scripts(&blocks, &spends)));
        teller.say(round.into(), args.rounds.into(), "rounds");
    }
    assert_eq!(tally, load.tally, "the scripts asked for other signatures than the factory made");
    let mb = |rates: &[f64]| rates.iter().map(|rate| rate / 1e6).collect::<Vec<f64>>();
    let median = crate::table::median;
    let mut table = Table::default();
    table.row("bytes of blocks", "MB", all / 1e6);
    table.row("their transactions without witnesses", "MB", stripped / 1e6);
    table.spread("memory read", "MB/s", &mb(&read), "", &[]);
    table.spread("SHA-256 of a long message", "MB/s", &mb(&hash), "", &[]);
    let limit = all / (all / median(read) + stripped / median(hash.clone()));
    table.spread("parse: bytes to a body, with txids", "MB/s", &mb(&parsed), "read and hash", &mb(&[limit]));
    table.spread("hash: wtxids", "MB/s", &mb(&hashed), "long message", &mb(&hash));
    let limit = Limit::on(1);
    let rate = |seconds: &f64| tally.inputs as f64 / seconds;
    let (rates, most) = (scripts.iter().map(rate).collect::<Vec<f64>>(), rate(&limit.seconds(tally)));
    table.row("script: inputs of all", "", tally.inputs as f64);
    table.row("script: signatures", "", (tally.ecdsa + tally.schnorr) as f64);
    table.spread("script: inputs", "/s", &rates, "libsecp256k1", &[most]);
    Ok(table)
}
