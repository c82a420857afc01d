//! The chain that nodes are measured with: today's mix, then blocks without transactions, so many that scripts below may be
//! believed. Made once for each size, and kept below target/tmp.

use crate::disk::Piece;
use crate::table::Teller;
use caesure_bench::chain::{MATURITY, Spec, TXS_PER_BLOCK_MAX, Tally};
use caesure_bench::records::{Chain, write_chain};
use caesure_bench::tx::{Hash, show};
use caesure_tests::binary::scratch;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

const SEED: u64 = 2026;
/// Blocks at the end with only a coinbase. Below 2,016 and no more are scripts believed (two weeks of work).
pub const TAIL: u32 = 2_100;

/// A chain in a file, and what the factory says of it.
pub struct Load {
    /// Its records.
    pub path: PathBuf,
    /// Height of its tip.
    pub height: u32,
    /// Transactions, coinbases not counted.
    pub txs: u32,
    /// Inputs and signatures of these.
    pub tally: Tally,
    /// Hash of the last block that has transactions, as people write it.
    pub last_full: String,
}

impl Load {
    /// Makes a chain of about so many transactions, or finds what an earlier run left.
    pub fn with(txs: u32) -> io::Result<Load> {
        let full = txs.div_ceil(TXS_PER_BLOCK_MAX - TXS_PER_BLOCK_MAX / 20);
        let spec = Spec { seed: SEED, blocks: MATURITY + full + TAIL, txs, empty_tail: TAIL };
        let path = scratch().join(format!("load-{SEED}-{txs}-{TAIL}.blk"));
        let said = path.with_extension("txt");
        if !said.exists() {
            let (blocks, mut teller, mut last_full) = (spec.blocks, Teller::new("make the chain"), String::new());
            let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
            let factory = write_chain(&mut out, spec, &[], |factory| {
                if factory.height() + TAIL == blocks {
                    last_full = show(&factory.tip());
                }
                teller.say(factory.txs_made().into(), txs.into(), "transactions");
            })?;
            out.flush()?;
            let (txs, Tally { inputs, ecdsa, schnorr }) = (factory.txs_made(), factory.tally());
            fs::write(&said, format!("{blocks} {txs} {inputs} {ecdsa} {schnorr} {last_full}"))?;
        }
        let text = fs::read_to_string(&said)?;
        let words: Vec<&str> = text.split(' ').collect();
        let [height, txs, inputs, ecdsa, schnorr, last_full] = words[..] else {
            return Err(io::Error::other(format!("{}: not what a run leaves; remove it", said.display())));
        };
        let number = |word: &str| word.parse::<u64>().map_err(io::Error::other);
        Ok(Load {
            path,
            height: number(height)? as u32,
            txs: number(txs)? as u32,
            tally: Tally { inputs: number(inputs)?, ecdsa: number(ecdsa)?, schnorr: number(schnorr)? },
            last_full: last_full.into(),
        })
    }

    /// Opens it, and reads it once, so that it lies in the page cache and whoever serves it does nothing else; its blocks' bytes in
    /// all.
    pub fn open(&self) -> io::Result<(Arc<Chain>, u64)> {
        let chain = Chain::open(&self.path)?;
        let (mut bytes, mut teller) = (0, Teller::new("read the chain"));
        for (done, hash) in (0..).zip(chain.best()) {
            bytes += chain.prepare(hash)?.expect("one of its own");
            teller.say(done, self.height.into(), "blocks");
        }
        Ok((Arc::new(chain), bytes))
    }

    /// Its blocks that have transactions, lowest first.
    pub fn full<'a>(&self, chain: &'a Chain) -> &'a [Hash] {
        &chain.best()[MATURITY as usize + 1..=(self.height - TAIL) as usize]
    }

    /// Where these lie in the file, without the frames of their records.
    pub fn places(&self) -> io::Result<Vec<Piece>> {
        let (file, mut at, mut places) = (File::open(&self.path)?, 0, Vec::new());
        for _ in 0..=self.height - TAIL {
            let mut frame = [0; 8];
            file.read_exact_at(&mut frame, at)?;
            let len = u32::from_le_bytes(frame[4..].try_into().expect("4 bytes"));
            places.push((at + 8, len as usize));
            at += 8 + u64::from(len);
        }
        Ok(places.split_off(MATURITY as usize + 1))
    }
}
