//! The base of a partition on disk, piece by piece, the same whatever the seed; and back, believing nothing.
//!
//! ```text
//! chunk   [records u32le][coins u32le][record]…       records as in `record.rs`, in any order, at most 256 KiB in all
//! ```
//!
//! Every group of 16 outputs of a transaction has one record in the whole of its partition. Whoever keeps chunks adds
//! what tells a partition's last chunk, and checksums: a flipped bit in a hash is still a coin.

use super::index::GROUP;
use super::record::{COUNT_AT, Output, Record, Spot};
use super::{Base, TABLES};
use crate::compress::Unread;
use consensus::{OutPoint, Txid};

/// Bytes of a chunk at most: one may be of one record, with 16 scripts of 10,000 bytes.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;
/// A chunk of several records is no longer than this.
const CHUNK_BYTES: usize = 64 * 1024;
const HEADER: usize = 8;

/// What is wrong with a chunk, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("damaged coins at byte {at} of a chunk: {flaw}")]
pub struct Damage {
    /// Offset in the chunk where reading came to its end, or of the record that is wrong.
    pub at: usize,
    /// What is wrong there.
    pub flaw: Flaw,
}

/// What can be wrong with a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Flaw {
    /// A number, an amount or a script.
    #[error("{0}")]
    Unread(#[from] Unread),
    /// A record has from 1 to 16 outputs.
    #[error("record of {0} outputs")]
    Count(u8),
    /// Outputs ascend and are of one group of 16.
    #[error("output {0} out of order")]
    Order(u32),
    /// One way to write each script.
    #[error("the script of output {0} in a longer form than it needs")]
    LongForm(u32),
    /// No coin has such a script.
    #[error("output {0} that nobody can spend")]
    Unspendable(u32),
    /// This transaction is of another partition.
    #[error("transaction of partition {0}")]
    Partition(u8),
    /// There is a record of that transaction and group.
    #[error("a second record of the same outputs")]
    Duplicate,
    /// The header says otherwise.
    #[error("{0} records with {1} coins, which is not what the chunk says")]
    Tally(u32, u32),
}

/// Reads one record off the front.
fn read<'a>(bytes: &mut &'a [u8], partition: u8) -> Result<Record<'a>, Flaw> {
    let (txid, rest) = bytes.split_first_chunk().ok_or(Unread::Short)?;
    *bytes = rest;
    if txid[0] != partition {
        return Err(Flaw::Partition(txid[0]));
    }
    let record = Record::after(txid, bytes)?;
    if !(1..=GROUP).contains(&record.count.into()) {
        return Err(Flaw::Count(record.count));
    }
    let mut before: Option<u32> = None;
    for _ in 0..record.count {
        let output = Output::take(bytes)?;
        if !output.has_amount() {
            return Err(Unread::Amount.into());
        }
        if output.long_form() {
            return Err(Flaw::LongForm(output.vout));
        }
        if before.is_some_and(|before| before >= output.vout || before / GROUP != output.vout / GROUP) {
            return Err(Flaw::Order(output.vout));
        }
        if output.unspendable() {
            return Err(Flaw::Unspendable(output.vout));
        }
        before = Some(output.vout);
    }
    Ok(record)
}

/// A place among the records of a partition: a table and a place in it. `(0, 0)` is the first.
pub type Mark = (usize, usize);

impl Base {
    /// Records of a partition, by its own number here, from a mark on, and the mark behind them; or none where there are no
    /// more. All of them are all its coins, if nothing changes meanwhile.
    pub fn chunk(&self, index: usize, from: Mark) -> Option<(Vec<u8>, Mark)> {
        let (arena, tables) = self.part(index);
        let (mut out, mut records, mut coins, mut next) = (vec![0; HEADER], 0_u32, 0_u32, (TABLES, 0));
        let (table, place) = from;
        let held = (table..TABLES).flat_map(|at| {
            let from = if at == table { place } else { 0 };
            tables[at].held(from).map(move |(place, position)| ((at, place), position))
        });
        for (mark, position) in held {
            let bytes = arena.record(position);
            let bytes = &bytes[..Spot::of(bytes, 0).len];
            if records > 0 && out.len() + bytes.len() > CHUNK_BYTES {
                next = mark;
                break;
            }
            out.extend_from_slice(bytes);
            records += 1;
            coins += u32::from(bytes[COUNT_AT]);
        }
        assert!(out.len() <= CHUNK_BYTES_MAX);
        out[..4].copy_from_slice(&records.to_le_bytes());
        out[4..HEADER].copy_from_slice(&coins.to_le_bytes());
        (records > 0).then_some((out, next))
    }

    /// Puts the coins of a chunk in, which MUST all be of that partition; how many they were. After an error some are in and
    /// some are not.
    pub fn load_chunk(&mut self, index: usize, chunk: &[u8]) -> Result<u64, Damage> {
        let partition = (self.first + index) as u8;
        let short = Damage { at: chunk.len(), flaw: Flaw::Unread(Unread::Short) };
        let (header, mut rest) = chunk.split_first_chunk::<HEADER>().ok_or(short)?;
        let [records, coins] = [0, 4].map(|at| u32::from_le_bytes(*header[at..].first_chunk().expect("8 bytes")));
        let (mut found, mut sum) = (0_u32, 0_u32);
        while !rest.is_empty() {
            let at = chunk.len() - rest.len();
            let record = read(&mut rest, partition).map_err(|flaw| match flaw {
                Flaw::Unread(_) => Damage { at: chunk.len() - rest.len(), flaw },
                _ => Damage { at, flaw },
            })?;
            let bytes = &chunk[at..chunk.len() - rest.len()];
            self.load(&record, bytes).map_err(|flaw| Damage { at, flaw })?;
            found += 1;
            sum += u32::from(record.count);
        }
        if (found, sum) != (records, coins) {
            return Err(Damage { at: 0, flaw: Flaw::Tally(found, sum) });
        }
        Ok(sum.into())
    }

    fn load(&mut self, record: &Record, bytes: &[u8]) -> Result<(), Flaw> {
        debug_assert_eq!(bytes[COUNT_AT], record.count);
        let group = record.group();
        let hash = self.seed.group(&OutPoint { txid: Txid(*record.txid), vout: group * GROUP });
        let (arena, table) = self.home(hash);
        let twin = table.find(hash, |_, position| {
            let held = Record::of(arena.record(position));
            held.txid == record.txid && held.group() == group
        });
        if twin.is_some() {
            return Err(Flaw::Duplicate);
        }
        self.add(hash, bytes, record.count.into());
        Ok(())
    }
}
