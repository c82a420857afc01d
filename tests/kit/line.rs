//! Chains to serve: from the factory (made once per specification, then kept below target/tmp), from bytes of records, or
//! put together block by block.

use crate::binary::scratch;
use crate::digest::{Coin, digest};
use crate::folder::Folder;
use bytes::Bytes;
use caesure_bench::block::{Block, coinbase, subsidy};
use caesure_bench::chain::{Factory, SPACING, Spec};
use caesure_bench::keys::{Kind, Lock};
use caesure_bench::records::{Chain, Fork, write_chain};
use caesure_bench::tx::show;
use consensus::{BlockHash, Header};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Blocks of one branch from the genesis up.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// The network's magic.
    pub magic: [u8; 4],
    /// Hash and bytes of each; the index is the height.
    pub blocks: Vec<(BlockHash, Bytes)>,
}

impl Line {
    /// Only the genesis of regtest.
    pub fn regtest() -> Line {
        let mut line = Line { magic: [0xfa, 0xbf, 0xb5, 0xda], blocks: Vec::new() };
        line.push(&Block::genesis());
        line
    }

    /// The best chain among records.
    pub fn from_records(bytes: Vec<u8>) -> Line {
        let chain = Chain::from_bytes(bytes).expect("records");
        let block = |hash: &[u8; 32]| chain.block(hash).expect("memory").expect("it is one of its own");
        let blocks = chain.best().iter().map(|hash| (BlockHash(*hash), Bytes::from(block(hash)))).collect();
        Line { magic: chain.magic().to_le_bytes(), blocks }
    }

    /// Adds a block on top.
    pub fn push(&mut self, block: &Block) {
        self.blocks.push((BlockHash(block.hash()), block.bytes().into()));
    }

    /// The first blocks, up to and with `height`.
    pub fn up_to(&self, height: usize) -> Line {
        Line { magic: self.magic, blocks: self.blocks[..=height].to_vec() }
    }

    /// A branch of `count` bare blocks above `height`, unlike those of another `tag`.
    pub fn branch(&self, height: usize, count: usize, tag: u8) -> Line {
        let mut line = self.up_to(height);
        (0..count).for_each(|_| line.push(&line.next(vec![], tag)));
        line
    }

    /// A valid regtest block on top of this, of these transactions, which pay no fee.
    pub fn next(&self, txs: Vec<caesure_bench::tx::Tx>, tag: u8) -> Block {
        let height = self.blocks.len() as u32;
        let pays = vec![Lock { kind: Kind::P2wpkh, key: tag % 16 }.output(subsidy(height))];
        Block::assemble(self.tip().0, self.tip_header().time + SPACING, coinbase(height, pays, &[tag]), txs)
    }

    /// Height of the last block.
    pub fn height(&self) -> u32 {
        self.blocks.len() as u32 - 1
    }

    /// Hash of the last block.
    pub fn tip(&self) -> BlockHash {
        self.blocks[self.blocks.len() - 1].0
    }

    /// Header at a height.
    pub fn header(&self, height: usize) -> Header {
        Header::parse(self.blocks[height].1.first_chunk().expect("a block has a header"))
    }

    fn tip_header(&self) -> Header {
        self.header(self.blocks.len() - 1)
    }

    /// The blocks as records, back to back.
    pub fn records(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (_, block) in &self.blocks {
            out.extend(self.magic);
            out.extend((block.len() as u32).to_le_bytes());
            out.extend_from_slice(block);
        }
        out
    }
}

/// A chain of the factory on disk, and what the factory says of it.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its records, rivals before what they rival.
    pub path: PathBuf,
    /// Height of its tip.
    pub height: u32,
    /// Hash of its tip, as people write it.
    pub tip: String,
    /// Coins unspent at the tip.
    pub coins: u64,
    /// The digest over them.
    pub digest: String,
}

impl Made {
    /// Its best chain in memory.
    pub fn line(&self) -> Line {
        self.after(usize::MAX)
    }

    /// A folder with all its records in blocks.bin.
    pub fn stored(&self) -> Folder {
        let base = Folder::new();
        fs::create_dir_all(base.join("regtest")).expect("target can be written");
        fs::copy(&self.path, base.join("regtest/blocks.bin")).expect("target can be written");
        base
    }

    /// The best chain among its first `count` records.
    pub fn after(&self, count: usize) -> Line {
        let bytes = fs::read(&self.path).expect("just made");
        let mut end = 0;
        for _ in 0..count {
            let Some(size) = bytes.get(end + 4..end + 8) else { break };
            end += 8 + u32::from_le_bytes(size.try_into().expect("4 bytes")) as usize;
        }
        Line::from_records(bytes[..end].to_vec())
    }
}

/// The chain of a specification: made, or found where an earlier run left it.
pub fn made(spec: &Spec, forks: &[Fork]) -> Made {
    let forks_name: String = forks.iter().map(|f| format!("-{}.{}.{}", f.at, f.length, f.txs)).collect();
    let Spec { seed, blocks, txs, empty_tail } = spec;
    let path = scratch().join(format!("chain-{seed}-{blocks}-{txs}-{empty_tail}{forks_name}.blk"));
    let said = path.with_extension("txt");
    // Tests of one process that want the same chain make it once; those of another rename their own into place.
    static MAKING: Mutex<()> = Mutex::new(());
    let making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if !said.exists() {
        let part = path.with_extension(format!("{}.part", std::process::id()));
        let mut out = BufWriter::new(File::create(&part).expect("target can be written"));
        let factory = write_chain(&mut out, spec.clone(), forks, |_| {}).expect("a chain that can be made");
        out.flush().expect("target can be written");
        fs::rename(&part, &path).expect("same folder");
        let text = facts(&factory);
        fs::write(&part, text).and_then(|()| fs::rename(&part, &said)).expect("same folder");
    }
    drop(making);
    let text = fs::read_to_string(&said).expect("just written");
    let words: Vec<&str> = text.split_whitespace().collect();
    let [height, tip, coins, digest] = words[..] else { panic!("{}: {text}", said.display()) };
    let (height, coins) = (height.parse().expect("a number"), coins.parse().expect("a number"));
    Made { path, height, tip: tip.into(), coins, digest: digest.into() }
}

fn facts(factory: &Factory) -> String {
    let coins: Vec<Coin> = factory
        .coins()
        .map(|coin| Coin {
            txid: coin.outpoint.txid,
            vout: coin.outpoint.vout,
            height: coin.height,
            coinbase: coin.coinbase,
            value: coin.value,
            script: coin.lock.script().to_vec(),
        })
        .collect();
    format!("{} {} {} {}", factory.height(), show(&factory.tip()), coins.len(), digest(coins))
}

/// A reader of blocks.bin that knows nothing but the format: magic, size, block, back to back.
pub fn blocks(path: &Path) -> Vec<(usize, Vec<u8>)> {
    let bytes = fs::read(path).unwrap_or_default();
    let (mut at, mut found) = (0, Vec::new());
    while at + 8 <= bytes.len() {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let size = word(at + 4) as usize;
        if word(at) != 0xdab5_bffa || at + 8 + size > bytes.len() {
            break;
        }
        found.push((at, bytes[at + 8..at + 8 + size].to_vec()));
        at += 8 + size;
    }
    found
}
