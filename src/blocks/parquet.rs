//! `caesure blocks export --as parquet`: every stored block, those of forks too, as four tables of Parquet for DuckDB,
//! Polars or Spark. Never overwrites anything; a table has its name once it is whole.
//!
//! ```text
//! FOLDER/blocks/00000.parquet 00001.parquet …        blocks 1 ──▸ n transactions 1 ──▸ n inputs
//! FOLDER/transactions/…  inputs/…  outputs/…                                       1 ──▸ n outputs
//! ```
//!
//! Files of one number are of the same blocks, by height, on a height as they came; each is made by one thread, which
//! holds a row group of each table in memory. docs/parquet.md says what the columns mean, and shows queries.

mod table;

use super::walk;
use crate::args::Heights;
use crate::config::Config;
use crate::exit::Fatal;
use crate::progress::{EVERY, Progress};
use crate::stored::Stored;
use crate::trouble;
use consensus::{Block, Network};
use describe::{Address, Kind};
use ledger::record::Record;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use table::Cell::{Bool, Hash, Hex, Int, Long, Null, Text};
use table::Table;

/// Bytes of blocks whose rows lie in files of one number, but for the last block.
const FILE_BLOCKS: u64 = 256 << 20;
/// Name, schema, and the columns that no dictionary would make smaller.
const TABLES: [(&str, &str, &[&str]); 4] = [
    (
        "blocks",
        "message blocks {
            required int32 height; required binary block_hash (STRING); required boolean best;
            optional binary prev_hash (STRING); required int32 version; required binary merkle_root (STRING);
            required int64 time (TIMESTAMP(MILLIS,true)); required int64 bits; required int64 nonce;
            required int32 tx_count; required int32 input_count; required int32 output_count;
            required int32 size; required int32 witness_size; required int32 weight;
        }",
        &["block_hash", "prev_hash", "merkle_root"],
    ),
    (
        "transactions",
        "message transactions {
            required int32 height; required binary block_hash (STRING); required boolean best;
            required int32 number; required binary txid (STRING); required binary wtxid (STRING); required boolean coinbase;
            required int64 version; required int64 lock_time; required int32 input_count; required int32 output_count;
            required int32 size; required int32 witness_size; required int32 weight; required int32 vsize;
        }",
        &["txid", "wtxid"],
    ),
    (
        "inputs",
        "message inputs {
            required int32 height; required binary block_hash (STRING); required boolean best;
            required binary txid (STRING); required int64 vin; required boolean coinbase;
            optional binary prev_txid (STRING); optional int64 prev_vout; required int64 sequence;
            required binary script (STRING); required int32 witness_items; required int32 witness_size;
        }",
        &["txid", "prev_txid", "script"],
    ),
    (
        "outputs",
        "message outputs {
            required int32 height; required binary block_hash (STRING); required boolean best;
            required binary txid (STRING); required int64 vout; required boolean coinbase;
            required int64 satoshi; required binary kind (STRING); optional binary address (STRING);
            required binary script (STRING);
        }",
        &["txid", "satoshi", "script"],
    ),
];

/// A block that is to be written.
struct Place {
    height: u32,
    best: bool,
    record: Record,
}

/// Those at these heights, forks too; of the best chain all must be there.
fn places(stored: &Stored, heights: &Heights) -> Result<Vec<Place>, Fatal> {
    walk::part(stored, heights)?;
    let mut places = Vec::new();
    for height in heights.from..=heights.to.unwrap_or(u32::MAX) {
        let here = stored.at(height);
        if here.is_empty() {
            break;
        }
        let best = stored.on_best(height);
        let known = here.into_iter().filter_map(|id| Some((id, stored.record(id)?)));
        places.extend(known.map(|(id, record)| Place { height, best: best == Some(id), record: *record }));
    }
    Ok(places)
}

/// Cuts them where so many bytes are full.
fn parts(places: &[Place], bytes: u64) -> Vec<&[Place]> {
    let mut sum = 0;
    let ends = |place: &Place, _: &Place| {
        sum += u64::from(place.record.len);
        let full = sum >= bytes;
        sum = if full { 0 } else { sum };
        !full
    };
    places.chunk_by(ends).collect()
}

/// The rows of a block.
fn rows(tables: &mut [Table; 4], block: &Block, place: &Place, network: Network) -> Result<(), Fatal> {
    let int = |value: usize| Int(value.try_into().expect("no block has 2 GB"));
    let of_block = [int(place.height as usize), Hash(&block.hash.0), Bool(place.best)];
    let [blocks, txs, inputs, outputs] = tables;
    let (header, size) = (&block.header, block.bytes.len());
    let witnesses: usize = block.txs.iter().map(|tx| (tx.end - tx.start - tx.stripped_len) as usize).sum();
    let cells = [
        if place.height == 0 { Null } else { Hash(&header.prev.0) },
        Int(header.version),
        Hash(&header.merkle_root),
        Long(i64::from(header.time) * 1000),
        Long(header.bits.into()),
        Long(header.nonce.into()),
        int(block.txs.len()),
        int(block.inputs.len()),
        int(block.outputs.len()),
        int(size),
        int(witnesses),
        int(4 * size - 3 * witnesses),
    ];
    blocks.row(of_block.into_iter().chain(cells))?;
    for (number, tx) in block.txs.iter().enumerate() {
        let (view, coinbase, txid) = (block.view(tx), Bool(block.is_coinbase(tx)), Hash(&tx.txid.0));
        let (size, stripped) = ((tx.end - tx.start) as usize, tx.stripped_len as usize);
        let weight = 3 * stripped + size;
        let cells = [
            int(number),
            txid,
            Hash(&view.wtxid()),
            coinbase,
            Long(tx.version.into()),
            Long(tx.lock_time.into()),
            int(view.inputs.len()),
            int(view.outputs.len()),
            int(size),
            int(size - stripped),
            int(weight),
            int(weight.div_ceil(4)),
        ];
        txs.row(of_block.into_iter().chain(cells))?;
        for (vin, input) in view.inputs.iter().enumerate() {
            let coin = block.outpoint(input);
            let named = !block.names_no_coin(input);
            let cells = [
                txid,
                Long(vin as i64),
                coinbase,
                if named { Hash(&coin.txid.0) } else { Null },
                if named { Long(coin.vout.into()) } else { Null },
                Long(input.sequence.into()),
                Hex(view.slice(input.script)),
                int(view.witness(input).count()),
                int((input.witness.1 - input.witness.0) as usize),
            ];
            inputs.row(of_block.into_iter().chain(cells))?;
        }
        for (vout, output) in view.outputs.iter().enumerate() {
            let script = view.slice(output.script);
            let address = Address::of_script(script).map(|address| address.text(network));
            let cells = [
                txid,
                Long(vout as i64),
                coinbase,
                // As Core reads it: what is stored may pay out nonsense.
                Long(output.value.cast_signed()),
                Text(Kind::of(script).name()),
                address.as_deref().map_or(Null, Text),
                Hex(script),
            ];
            outputs.row(of_block.into_iter().chain(cells))?;
        }
    }
    Ok(())
}

/// Where everything goes, until all of it is there.
struct Folder<'a>(&'a Path);

impl Folder<'_> {
    fn unfinished(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.unfinished"))
    }

    /// Refuses one that holds such tables.
    fn make(&self) -> Result<(), Fatal> {
        for (name, ..) in TABLES {
            let there = [self.0.join(name), self.unfinished(name)].into_iter().find(|path| path.exists());
            if let Some(path) = there {
                return Err(Fatal::Usage(format!(
                    "{} is there already; remove it, or choose another folder",
                    path.display()
                )));
            }
        }
        let made = |path: PathBuf| fs::create_dir_all(&path).map_err(|why| trouble::fatal(&path, "making of", why));
        TABLES.into_iter().try_for_each(|(name, ..)| made(self.unfinished(name)))
    }

    /// Gives the tables their names.
    fn finish(&self) -> Result<(), Fatal> {
        for (name, ..) in TABLES {
            let path = self.unfinished(name);
            let synced = File::open(&path).and_then(|folder| folder.sync_all());
            let named = synced.and_then(|()| fs::rename(&path, self.0.join(name)));
            named.map_err(|why| trouble::fatal(&path, "naming of", why))?;
        }
        Ok(())
    }
}

/// What the threads share.
struct Work<'a> {
    config: &'a Config,
    stored: &'a Stored,
    folder: Folder<'a>,
    /// Bytes of blocks.
    done: AtomicU64,
    enough: AtomicBool,
}

impl Work<'_> {
    /// Writes the files of one number; the rows of each.
    fn part(&self, number: usize, places: &[Place]) -> Result<[u64; 4], Fatal> {
        let table = |(name, schema, distinct): &(&str, &str, &[&str])| {
            Table::create(self.folder.unfinished(name).join(format!("{number:05}.parquet")), schema, distinct)
        };
        let [blocks, txs, inputs, outputs] = &TABLES;
        let mut tables = [table(blocks)?, table(txs)?, table(inputs)?, table(outputs)?];
        for place in places {
            if self.enough.load(Relaxed) {
                break;
            }
            let block = self.stored.read(&place.record).map_err(|what| Fatal::Damaged {
                path: self.config.folder.join("blocks.bin"),
                what,
                mend: "caesure blocks verify".into(),
            })?;
            rows(&mut tables, &block, place, self.config.chain)?;
            self.done.fetch_add(block.bytes.len() as u64, Relaxed);
        }
        let [blocks, txs, inputs, outputs] = tables;
        Ok([blocks.close()?, txs.close()?, inputs.close()?, outputs.close()?])
    }
}

/// Writes them.
pub fn run(config: &Config, folder: &Path, heights: &Heights) -> Result<(), Fatal> {
    let stored = Stored::open(config.params, &config.folder)?;
    let places = places(&stored, heights)?;
    let parts = parts(&places, FILE_BLOCKS);
    let total = places.iter().map(|place| u64::from(place.record.len)).sum();
    let mut progress = Progress::new("exporting".into(), total);
    let (done, enough) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = Work { config, stored: &stored, folder: Folder(folder), done, enough };
    work.folder.make()?;
    let (next, mut all, mut failed) = (AtomicUsize::new(0), [0; 4], None);
    std::thread::scope(|scope| {
        let (send, results) = channel();
        for _ in 0..config.cores {
            let (send, next, parts, work) = (send.clone(), &next, &parts, &work);
            scope.spawn(move || {
                while !work.enough.load(Relaxed) {
                    let number = next.fetch_add(1, Relaxed);
                    let Some(part) = parts.get(number) else { return };
                    send.send(work.part(number, part)).expect("whoever listens stays to the end");
                }
            });
        }
        drop(send);
        loop {
            match results.recv_timeout(EVERY) {
                Ok(Ok(rows)) => all.iter_mut().zip(rows).for_each(|(sum, rows)| *sum += rows),
                Ok(Err(why)) => {
                    work.enough.store(true, Relaxed);
                    failed.get_or_insert(why);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            progress.at(work.done.load(Relaxed));
        }
    });
    failed.map_or(Ok(()), Err)?;
    work.folder.finish()?;
    let rows: Vec<String> = TABLES.iter().zip(all).map(|((name, ..), rows)| format!("{rows} {name}")).collect();
    println!("{}, in {} file(s) each, below {}", rows.join(", "), parts.len(), folder.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use consensus::Header;

    #[test]
    fn files_of_one_number_are_of_blocks_up_to_a_bound() {
        let header = Header::parse(&[0; 80]);
        let place = |len| {
            let record = Record { at: 0, len, header, hash: header.hash(), valid: true, punched: false };
            Place { height: 0, best: true, record }
        };
        let places = [40, 60, 1, 99, 200, 5].map(place);
        let lens = |bytes| parts(&places, bytes).iter().map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!(lens(100), [2, 2, 1, 1]);
        assert_eq!(lens(101), [3, 2, 1]);
        assert_eq!(lens(u64::MAX), [6]);
    }
}
