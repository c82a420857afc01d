//! The coins of a range of partitions as of one world, in few bytes and few cache misses. Knows of no world and decides
//! nothing; the same coins make the same answers whatever the seed.
//!
//! ```text
//! hash of (txid, group of 16 outputs), with the partition ─ one of its 32 tables ─ line of 12 tags and positions ─
//!     record in a chunk of 4 MiB, which 32 partitions share
//! ```
//!
//! Three cache lines answer a question: one of the index and two of the record, and all are asked for some 32 operations
//! ahead. A txid is kept whole and once for the outputs of its transaction, not a tag of it for each coin: every coin can
//! be listed, and no answer is a matter of probability.
//!
//! Measured with `cargo numbers ledger` (20 million coins, 1.56 of a transaction, as many made and taken at random after, in
//! the order of partitions; one of two cores of an AMD EPYC of family 25, model 17, in a virtual machine): 59.2 bytes of
//! resident memory per coin filled, 59.6 churned; 153.6 in Bitcoin Core. 4.5 to 4.8 million operations a second and core
//! while filling, 4.3 while churning; the median batch of 32 operations takes 7.4 µs, p99.9 0.09 ms. When a table grows, the
//! batch takes 20 µs in the median, 0.25 ms at p99.9. An Intel Xeon with slower memory, in a virtual machine too, does 3.1 and
//! 2.9 million. What it grew by: partitions that share an arena, since a slot that was
//! just freed is in the cache; huge pages for records and tables (`tuning::pages`), and a thread that touches them first,
//! because the host of a virtual machine took 4.8 ms in the median to find 2 MiB that it had not given yet (0.18 ms where it
//! had). Half of the time is spent waiting for the processor to find two pages, that of the line and that of the record, in
//! tables of guest and host; one place for both would halve that, and is the lead for more.
//!
//! Not taken: `HashTable` of hashbrown, whose groups cannot be asked for ahead and which grows by doubling. Tried and left:
//! lists of free slots inside of them (each new record waits for one), asking for free slots ahead, asking for a third line
//! of each record, asking for one operation as another is done instead of 32 at once (none of them faster), jemalloc and
//! mimalloc (3 bytes more a coin).

mod arena;
mod chunk;
mod index;
mod prefetch;
mod record;

use arena::Arena;
use consensus::{CoinView, OutPoint, Txid};
use index::Place;
use record::{COUNT_AT, Output, Record, Spot, begin, code_of, rewrite};
use std::ops::Range;

pub use chunk::{CHUNK_BYTES_MAX, Damage, Flaw, Mark};
pub use index::Seed;
pub(crate) use index::{GROUP, Table};
pub(crate) use prefetch::prefetch;
pub use record::Room;

/// Tables of a partition's index: at 200 million coins in all, each has some 16,000 records, which move within half a
/// millisecond when it grows.
const TABLES: usize = 32;
/// Partitions whose records share memory, which an arena has up to 8 GiB of. A slot that one frees another soon fills.
const SHARING: usize = 32;

/// The coins of a range of partitions.
#[derive(Debug)]
pub struct Base {
    first: usize,
    seed: Seed,
    arenas: Vec<Arena>,
    tables: Vec<Table>,
    table_bytes: usize,
    /// Of each partition.
    coins: Vec<usize>,
    /// Where records are built.
    draft: Vec<u8>,
}

/// The partition that a hash belongs to.
#[inline]
pub(crate) fn partition_of(hash: u64) -> usize {
    usize::from((hash >> 8) as u8)
}

impl Base {
    /// No coins. The seed keeps others from knowing which names meet in the index.
    pub fn new(partitions: Range<usize>, seed: u64) -> Base {
        Base::with_seed(partitions, Seed::new(seed))
    }

    pub(crate) fn with_seed(partitions: Range<usize>, seed: Seed) -> Base {
        let (first, count) = (partitions.start, partitions.len());
        let arenas = (0..count.div_ceil(SHARING)).map(|_| Arena::default()).collect();
        let tables = (0..count * TABLES).map(|_| Table::default()).collect();
        Base { first, seed, arenas, tables, table_bytes: 0, coins: vec![0; count], draft: Vec::new() }
    }

    /// Coins held of each partition.
    pub fn lens(&self) -> &[usize] {
        &self.coins
    }

    /// Bytes of memory held, headers of allocations aside.
    pub fn bytes(&self) -> usize {
        self.table_bytes + self.arenas.iter().map(Arena::bytes).sum::<usize>()
    }

    /// Bytes of the index, which grow when one of its tables does.
    pub fn table_bytes(&self) -> usize {
        self.table_bytes
    }

    /// The hash that the other functions want with a coin's name.
    #[inline]
    pub fn hash(&self, outpoint: &OutPoint) -> u64 {
        self.seed.group(outpoint)
    }

    /// Where the memory of a hash's records is among the arenas.
    #[inline]
    fn arena_of(&self, hash: u64) -> usize {
        (partition_of(hash) - self.first) / SHARING
    }

    /// The table of a hash: by bits that choose neither its line nor its tag.
    #[inline]
    fn table_of(&self, hash: u64) -> usize {
        (partition_of(hash) - self.first) * TABLES + (hash >> 16) as usize % TABLES
    }

    #[inline]
    fn home(&self, hash: u64) -> (&Arena, &Table) {
        (&self.arenas[self.arena_of(hash)], &self.tables[self.table_of(hash)])
    }

    /// The memory and the tables of a partition, by its own number here.
    fn part(&self, index: usize) -> (&Arena, &[Table]) {
        (&self.arenas[index / SHARING], &self.tables[index * TABLES..][..TABLES])
    }

    /// First hint that a coin is about to be wanted; some ten others later comes the second.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.tables[self.table_of(hash)].prefetch(hash);
    }

    /// Second hint.
    #[inline]
    pub fn prefetch_record(&self, hash: u64) {
        let (arena, table) = self.home(hash);
        table.find(hash, |_, position| {
            arena.prefetch(position);
            false
        });
    }

    /// The coin with that name; its script is spelled out in `room`, or lies here.
    #[inline]
    pub fn get<'r>(&'r self, hash: u64, outpoint: &OutPoint, room: &'r mut Room) -> Option<CoinView<'r>> {
        let (_, position, spot) = self.find(hash, outpoint)?;
        let bytes = &self.home(hash).0.record(position)[spot.at..];
        let output = Output::take(&mut &bytes[..]).expect("records are looked at on their way in");
        Some(output.view(spot.code, room))
    }

    #[inline]
    fn find(&self, hash: u64, outpoint: &OutPoint) -> Option<(Place, u32, Spot)> {
        let ((arena, table), mut found) = (self.home(hash), None);
        table.find(hash, |place, position| {
            let bytes = arena.record(position);
            if is_of(bytes, &outpoint.txid) {
                let spot = Spot::of(bytes, outpoint.vout);
                found = spot.holds().then_some((place, position, spot));
            }
            found.is_some()
        });
        found
    }

    /// Whether it has a coin of that name.
    #[inline]
    pub fn holds(&self, hash: u64, outpoint: &OutPoint) -> bool {
        self.find(hash, outpoint).is_some()
    }

    /// Whether it has any coin of a group of outputs of that transaction; now and then also if it has one of another group.
    #[inline]
    pub fn knows(&self, hash: u64, txid: &Txid) -> bool {
        let (arena, table) = self.home(hash);
        table.find(hash, |_, position| is_of(arena.record(position), txid)).is_some()
    }

    /// Puts a coin in; whether one of that name was replaced.
    pub fn insert(&mut self, hash: u64, outpoint: &OutPoint, coin: CoinView) -> bool {
        let (code, group) = (code_of(&coin), outpoint.vout / GROUP);
        let ((arena, table), mut mine, mut other) = (self.home(hash), None, false);
        table.find(hash, |place, position| {
            let bytes = arena.record(position);
            if is_of(bytes, &outpoint.txid) {
                let spot = Spot::of(bytes, outpoint.vout);
                if spot.group == group && spot.code == code {
                    mine = Some((place, position, spot));
                } else {
                    other |= spot.group == group;
                }
            }
            false
        });
        // A transaction that was made again (BIP30) has records of both times until all its outputs are replaced.
        if other && self.remove(hash, outpoint) {
            self.insert(hash, outpoint, coin);
            return true;
        }
        let output = Output::new(outpoint.vout, coin.value, coin.script);
        let Some((place, position, spot)) = mine else {
            begin(&mut self.draft, &outpoint.txid.0, 1, code);
            output.put(&mut self.draft);
            self.add_draft(hash, 1);
            return false;
        };
        let (arena, table) = (self.arena_of(hash), self.table_of(hash));
        rewrite(&mut self.draft, self.arenas[arena].record(position), &spot, Some(output));
        self.tables[table].set(place, self.arenas[arena].replace(position, spot.len, &self.draft));
        self.coins[partition_of(hash) - self.first] += usize::from(!spot.holds());
        spot.holds()
    }

    /// Puts coins in that one transaction made, all of this hash and height. The same as one by one, and faster where they
    /// ascend.
    pub fn insert_all(&mut self, hash: u64, coins: &[(OutPoint, CoinView)]) {
        let [(first, coin), ..] = coins else { return };
        let (arena, table) = self.home(hash);
        let is_there = |_, position| is_of(arena.record(position), &first.txid);
        let ascend = coins.is_sorted_by(|(a, _), (b, _)| a.txid == b.txid && a.vout < b.vout);
        if coins.len() == 1 || !ascend || table.find(hash, is_there).is_some() {
            for (outpoint, coin) in coins {
                self.insert(hash, outpoint, *coin);
            }
            return;
        }
        assert!(coins.iter().all(|(outpoint, other)| {
            outpoint.vout / GROUP == first.vout / GROUP && code_of(other) == code_of(coin)
        }));
        begin(&mut self.draft, &first.txid.0, coins.len() as u8, code_of(coin));
        for (outpoint, coin) in coins {
            Output::new(outpoint.vout, coin.value, coin.script).put(&mut self.draft);
        }
        self.add_draft(hash, coins.len());
    }

    fn add_draft(&mut self, hash: u64, coins: usize) {
        let draft = std::mem::take(&mut self.draft);
        self.add(hash, &draft, coins);
        self.draft = draft;
    }

    /// Adds a record of so many coins.
    fn add(&mut self, hash: u64, record: &[u8], coins: usize) {
        let (arena, table, seed) = (self.arena_of(hash), self.table_of(hash), &self.seed);
        let position = self.arenas[arena].add(record);
        let arena = &self.arenas[arena];
        let (ask, hash_of) = (|held| arena.prefetch(held), |held| hash_of(arena, seed, held));
        self.table_bytes += self.tables[table].insert(hash, position, ask, hash_of);
        self.coins[partition_of(hash) - self.first] += coins;
    }

    /// Takes a coin out; whether it was there.
    pub fn remove(&mut self, hash: u64, outpoint: &OutPoint) -> bool {
        let Some((place, position, spot)) = self.find(hash, outpoint) else { return false };
        let (arena, table) = (self.arena_of(hash), self.table_of(hash));
        let (arena, table) = (&mut self.arenas[arena], &mut self.tables[table]);
        let bytes = arena.record(position);
        if bytes[COUNT_AT] == 1 {
            arena.free(position, spot.len);
            table.remove(hash, place);
        } else {
            rewrite(&mut self.draft, bytes, &spot, None);
            table.set(place, arena.replace(position, spot.len, &self.draft));
        }
        self.coins[partition_of(hash) - self.first] -= 1;
        true
    }

    /// Positions of all records of a partition, in the order of their transactions and outputs.
    pub(crate) fn sorted(&self, index: usize) -> Vec<u32> {
        let (arena, tables) = self.part(index);
        // The first byte of a txid is the same in all.
        let prefix = |bytes: &[u8]| u64::from_be_bytes(*bytes[1..].first_chunk().expect("32 bytes"));
        let positions = tables.iter().flat_map(|table| table.held(0)).map(|(_, position)| position);
        let mut keys: Vec<(u64, u32)> = positions.map(|at| (prefix(arena.record(at)), at)).collect();
        keys.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0).then_with(|| {
                let [a, b] = [a.1, b.1].map(|position| Record::of(arena.record(position)));
                a.txid.cmp(b.txid).then_with(|| a.group().cmp(&b.group()))
            })
        });
        keys.into_iter().map(|(_, position)| position).collect()
    }

    /// Calls with every coin of the record of a partition at a position.
    pub(crate) fn visit(&self, index: usize, position: u32, mut each: impl FnMut(OutPoint, CoinView)) {
        let (record, mut room): (_, Room) = (Record::of(self.part(index).0.record(position)), [0; _]);
        for output in record.outputs() {
            let outpoint = OutPoint { txid: Txid(*record.txid), vout: output.vout };
            each(outpoint, output.view(record.code, &mut room));
        }
    }
}

#[inline]
fn is_of(bytes: &[u8], txid: &Txid) -> bool {
    bytes.first_chunk() == Some(&txid.0)
}

fn hash_of(arena: &Arena, seed: &Seed, position: u32) -> u64 {
    let record = Record::of(arena.record(position));
    seed.group(&OutPoint { txid: Txid(*record.txid), vout: record.group() * GROUP })
}

#[cfg(test)]
mod tests;
