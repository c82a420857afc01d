//! `caesure txmap`: which block holds a transaction, kept in an index beside blocks.bin that any process may make, follow
//! and ask while a node runs. It can be deleted at any time; it is made anew.
//!
//! ```text
//! txmap.redb   TXS    | first 16 bytes of the txid | offset of the record, u64be |  →  place in the block, u32
//!              ABOUT  "end" → offset up to which blocks.bin is indexed, and the hash of the block that ends there
//! ```
//!
//! Sixteen bytes tell transactions apart as in 2014; whoever looks one up reads it and compares all 32. A transaction in
//! several blocks, of a fork or before BIP30, has an entry for each.

use crate::blocks::walk;
use crate::config::Config;
use crate::exit::Fatal;
use crate::stored::Stored;
use consensus::{Block, BlockHash, Txid};
use ledger::record::Record;
use redb::{Builder, ConcurrencyMode, Database, ReadOnlyDatabase, ReadableDatabase, TableDefinition};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const TXS: TableDefinition<&[u8; 24], u32> = TableDefinition::new("txs");
const ABOUT: TableDefinition<&str, (u64, &[u8; 32])> = TableDefinition::new("about");
/// Blocks whose transactions are written at once.
const BATCH: usize = 2_000;
/// Memory for pages of the index, bytes.
const CACHE: usize = 256 << 20;
/// Between two looks at what was appended.
const LOOK: Duration = Duration::from_millis(250);

/// Where a transaction lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The block.
    pub block: BlockHash,
    /// Its height; none where an ancestor is not there.
    pub height: Option<u32>,
    /// The number of the transaction in it.
    pub number: usize,
    /// The block lies on the best chain.
    pub best: bool,
}

fn path(folder: &Path) -> PathBuf {
    folder.join("txmap.redb")
}

/// Whether there is an index.
pub fn is_there(folder: &Path) -> bool {
    path(folder).exists()
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_concurrency_mode(ConcurrencyMode::SingleWriter).set_cache_size(CACHE);
    builder
}

fn key(txid: &Txid, at: u64) -> [u8; 24] {
    let mut key = [0; 24];
    key[..16].copy_from_slice(&txid.0[..16]);
    key[16..].copy_from_slice(&at.to_be_bytes());
    key
}

/// All places of a transaction that the index knows, the one on the best chain first; none where there is no index.
pub fn find(stored: &Stored, txid: &Txid) -> Result<Option<Vec<Place>>, String> {
    let path = path(stored.folder());
    if !path.exists() {
        return Ok(None);
    }
    let failed = |why: redb::Error| format!("{}: {why}", path.display());
    let index = builder().open_read_only(&path).map_err(|why| failed(why.into()))?;
    let offsets = offsets(&index, txid).map_err(failed)?;
    let mut places = Vec::new();
    for (at, number) in offsets {
        // An index of other blocks names what is not there.
        let Some((height, best, record)) = stored.record_at(at) else { continue };
        let block = stored.read(&record)?;
        if block.txs.get(number).is_some_and(|tx| tx.txid == *txid) {
            places.push(Place { block: block.hash, height, number, best });
        }
    }
    places.sort_by_key(|place| !place.best);
    Ok(Some(places))
}

fn offsets(index: &ReadOnlyDatabase, txid: &Txid) -> Result<Vec<(u64, usize)>, redb::Error> {
    let table = index.begin_read()?.open_table(TXS)?;
    let mut found = Vec::new();
    let (first, last) = (key(txid, 0), key(txid, u64::MAX));
    for entry in table.range::<&[u8; 24]>(&first..=&last)? {
        let (key, number) = entry?;
        let at = u64::from_be_bytes(key.value()[16..].try_into().expect("eight bytes"));
        found.push((at, number.value() as usize));
    }
    Ok(found)
}

/// Brings the index up to date, and goes on if told to; or looks transactions up.
pub fn run(config: &Config, txids: &[Txid], follow: bool) -> Result<(), Fatal> {
    let mut stored = Stored::open(config.params, &config.folder)?;
    if !txids.is_empty() {
        return look_up(config, &stored, txids);
    }
    let path = path(&config.folder);
    let failed = |why: redb::Error| Fatal::Runtime(format!("{}: {why}\ntry: rm it, it is made anew", path.display()));
    let mut index = builder().create(&path).map_err(|why| match why {
        redb::DatabaseError::DatabaseAlreadyOpen => {
            Fatal::Runtime(format!("{} is being written by another caesure txmap", path.display()))
        }
        why => failed(why.into()),
    })?;
    if !fits(&index, &stored).map_err(failed)? {
        tracing::warn!("{} is of other blocks; it is made anew", path.display());
        drop(index);
        std::fs::remove_file(&path).map_err(|why| crate::trouble::fatal(&path, "removing", why))?;
        index = builder().create(&path).map_err(|why| failed(why.into()))?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())
            .map_err(|why| Fatal::Runtime(format!("cannot listen for signals: {why}")))?;
    }
    loop {
        let (blocks, txs) = update(config, &stored, &index, &stop, &failed)?;
        if blocks > 0 || !follow {
            println!("indexed {txs} transactions of {blocks} blocks");
        }
        if !follow || stop.load(Relaxed) {
            return Ok(());
        }
        // Ends early where a signal comes, and never says anything.
        let (_hold, wait) = mpsc::channel::<()>();
        let _ = wait.recv_timeout(LOOK);
        stored.follow()?;
    }
}

/// Whether the block that the index ends with lies where it says.
fn fits(index: &Database, stored: &Stored) -> Result<bool, redb::Error> {
    let Some((end, last)) = indexed(index)? else { return Ok(true) };
    Ok(stored.record_before(end).is_some_and(|record| (record.end(), record.hash) == (end, last)))
}

fn indexed(index: &Database) -> Result<Option<(u64, BlockHash)>, redb::Error> {
    let read = index.begin_read()?;
    let table = match read.open_table(ABOUT) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table?,
    };
    Ok(table.get("end")?.map(|about| (about.value().0, BlockHash(*about.value().1))))
}

/// Indexes what lies behind the end of the index: how many blocks and transactions.
fn update(
    config: &Config,
    stored: &Stored,
    index: &Database,
    stop: &AtomicBool,
    failed: &impl Fn(redb::Error) -> Fatal,
) -> Result<(u64, u64), Fatal> {
    let from = indexed(index).map_err(failed)?.map_or(0, |(end, _)| end);
    let records = stored.behind(from);
    let (mut blocks, mut txs) = (0, 0);
    for batch in records.chunks(BATCH) {
        if stop.load(Relaxed) {
            break;
        }
        let mut entries = Vec::new();
        let txids = |_: u32, block: &Block| block.txs.iter().map(|tx| tx.txid).collect::<Vec<_>>();
        let numbered: Vec<(u32, Record)> = batch.iter().map(|record| (0, *record)).collect();
        let mut next = batch.iter();
        walk::each(config, stored, "indexing", &numbered, txids, |txids| {
            let at = next.next().expect("one for each").at;
            entries.extend(txids.iter().zip(0..).map(|(txid, number)| (key(txid, at), number)));
            true
        })?;
        let last = batch.last().expect("chunks are not empty");
        entries.sort_unstable();
        write(index, &entries, last).map_err(failed)?;
        (blocks, txs) = (blocks + batch.len() as u64, txs + entries.len() as u64);
        if records.len() > BATCH {
            tracing::info!("{blocks} of {} blocks, {txs} transactions", records.len());
        }
    }
    Ok((blocks, txs))
}

fn write(index: &Database, entries: &[([u8; 24], u32)], last: &Record) -> Result<(), redb::Error> {
    let write = index.begin_write()?;
    {
        let mut table = write.open_table(TXS)?;
        for (key, number) in entries {
            table.insert(key, number)?;
        }
        write.open_table(ABOUT)?.insert("end", (last.end(), &last.hash.0))?;
    }
    Ok(write.commit()?)
}

fn look_up(config: &Config, stored: &Stored, txids: &[Txid]) -> Result<(), Fatal> {
    for txid in txids {
        let places = find(stored, txid).map_err(Fatal::Runtime)?;
        let places = places.ok_or_else(|| {
            Fatal::Usage(format!("{} is not there\ntry: caesure txmap, which makes it", path(&config.folder).display()))
        })?;
        if places.is_empty() {
            return Err(Fatal::Usage(format!(
                "{txid} is in no block that is indexed; caesure txmap brings it up to date"
            )));
        }
        for Place { block, height, number, best } in places {
            let height = height.map_or("height unknown".to_owned(), |height| format!("height {height}"));
            println!("{txid} block {block} {height} number {number}{}", if best { "" } else { ", on another branch" });
        }
    }
    Ok(())
}
