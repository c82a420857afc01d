//! The coins of one partition as of one world, in few bytes and few cache misses. Knows of no world and decides nothing;
//! the same coins make the same answers whatever the seed.
//!
//! ```text
//! hash of (txid, group of 16 outputs) ─ one of 32 tables ─ line of 12 tags and positions ─ record in a chunk of 64 KiB
//! ```
//!
//! Three cache lines answer a question: one of the index and two of the record, and all are asked for some 32 operations
//! ahead. A txid is kept whole and once for the outputs of its transaction, not a tag of it for each coin: every coin can
//! be listed, and no answer is a matter of probability.
//!
//! Measured with `cargo numbers ledger` (20 million coins, 1.56 of a transaction, as many made and taken at random after;
//! two shared cores of a Xeon of family 6, model 167, pages of 4 KiB): 59 bytes of resident memory per coin filled, 60.5
//! churned; 153.6 in Bitcoin Core. Million operations a second and core, in the
//! order of partitions: 5.4 at 0.2 million coins, 4.0 at 3, 2.1 at 20: what then costs is to find pages, not lines, and
//! with `GLIBC_TUNABLES=glibc.malloc.hugetlb=1` the median batch is a third faster. Not taken: `HashTable` of
//! hashbrown, whose groups cannot be asked for ahead and which grows by doubling. Tried and left: lists of free slots
//! inside of them (each new record waits for one), asking for free slots ahead (no faster).

mod arena;
mod chunk;
mod index;
mod prefetch;
mod record;

use arena::{Arena, COUNT_AT};
use consensus::{CoinView, OutPoint, Txid};
use index::{GROUP, Place};
use record::{Output, Record, Spot, begin, code_of, rewrite};

pub use chunk::{CHUNK_BYTES_MAX, Damage, Flaw};
pub(crate) use index::{Seed, Table};
pub(crate) use prefetch::prefetch;
pub use record::Room;

/// Tables of a partition's index: at 200 million coins in all, each has some 16,000 records, which move within half a
/// millisecond when it grows.
const TABLES: usize = 32;

/// The coins of one partition.
#[derive(Debug)]
pub struct Base {
    seed: Seed,
    arena: Arena,
    tables: Box<[Table]>,
    table_bytes: usize,
    coins: usize,
    /// Where records are built.
    draft: Vec<u8>,
}

/// The table that a hash belongs to: by bits that choose neither its line nor its tag.
#[inline]
fn table_of(hash: u64) -> usize {
    (hash >> 8) as usize % TABLES
}

impl Base {
    /// No coins. The seed keeps others from knowing which names meet in the index.
    pub fn new(seed: u64) -> Base {
        Base::with_seed(Seed::new(seed))
    }

    pub(crate) fn with_seed(seed: Seed) -> Base {
        let tables = (0..TABLES).map(|_| Table::default()).collect();
        Base { seed, arena: Arena::default(), tables, table_bytes: 0, coins: 0, draft: Vec::new() }
    }

    /// Coins held.
    pub fn len(&self) -> usize {
        self.coins
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.coins == 0
    }

    /// Bytes of memory held, headers of allocations aside.
    pub fn bytes(&self) -> usize {
        self.arena.bytes() + self.table_bytes
    }

    /// The hash that the other functions want with a coin's name.
    #[inline]
    pub fn hash(&self, outpoint: &OutPoint) -> u64 {
        self.seed.group(outpoint)
    }

    /// First hint that a coin is about to be wanted; some ten others later comes the second.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.tables[table_of(hash)].prefetch(hash);
    }

    /// Second hint.
    #[inline]
    pub fn prefetch_record(&self, hash: u64) {
        self.tables[table_of(hash)].find(hash, |_, position| {
            self.arena.prefetch(position);
            false
        });
    }

    /// The coin with that name; its script is spelled out in `room`, or lies here.
    #[inline]
    pub fn get<'r>(&'r self, hash: u64, outpoint: &OutPoint, room: &'r mut Room) -> Option<CoinView<'r>> {
        let (_, position, spot) = self.find(hash, outpoint)?;
        let output =
            Output::take(&mut &self.arena.record(position)[spot.at..]).expect("records are looked at on their way in");
        Some(output.view(spot.code, room))
    }

    #[inline]
    fn find(&self, hash: u64, outpoint: &OutPoint) -> Option<(Place, u32, Spot)> {
        let mut found = None;
        self.tables[table_of(hash)].find(hash, |place, position| {
            let bytes = self.arena.record(position);
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

    /// Puts a coin in; whether one of that name was replaced.
    pub fn insert(&mut self, hash: u64, outpoint: &OutPoint, coin: CoinView) -> bool {
        let (code, group) = (code_of(&coin), outpoint.vout / GROUP);
        let (mut mine, mut other) = (None, false);
        self.tables[table_of(hash)].find(hash, |place, position| {
            let bytes = self.arena.record(position);
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
        rewrite(&mut self.draft, self.arena.record(position), &spot, Some(output));
        let now = self.arena.replace(position, spot.len, &self.draft);
        self.tables[table_of(hash)].set(place, now);
        self.coins += usize::from(!spot.holds());
        spot.holds()
    }

    /// Puts coins in that one transaction made, all of this hash and height. The same as one by one, and faster where they
    /// ascend.
    pub fn insert_all(&mut self, hash: u64, coins: &[(OutPoint, CoinView)]) {
        let [(first, coin), ..] = coins else { return };
        let is_there = |_, position| is_of(self.arena.record(position), &first.txid);
        let ascend = coins.is_sorted_by(|(a, _), (b, _)| a.txid == b.txid && a.vout < b.vout);
        if coins.len() == 1 || !ascend || self.tables[table_of(hash)].find(hash, is_there).is_some() {
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
        let position = self.arena.add(&self.draft);
        self.index(hash, position);
        self.coins += coins;
    }

    fn index(&mut self, hash: u64, position: u32) {
        let (arena, seed) = (&self.arena, &self.seed);
        let (ask, hash_of) = (|held| arena.prefetch(held), |held| hash_of(arena, seed, held));
        self.table_bytes += self.tables[table_of(hash)].insert(hash, position, ask, hash_of);
    }

    /// Takes a coin out; whether it was there.
    pub fn remove(&mut self, hash: u64, outpoint: &OutPoint) -> bool {
        let Some((place, position, spot)) = self.find(hash, outpoint) else { return false };
        let (bytes, table) = (self.arena.record(position), &mut self.tables[table_of(hash)]);
        if bytes[COUNT_AT] == 1 {
            self.arena.free(position, spot.len);
            table.remove(hash, place);
        } else {
            rewrite(&mut self.draft, bytes, &spot, None);
            table.set(place, self.arena.replace(position, spot.len, &self.draft));
        }
        self.coins -= 1;
        true
    }

    /// Positions of all records, in the order of their transactions and outputs.
    pub(crate) fn sorted(&self) -> Vec<u32> {
        // The first byte of a txid is the same in all.
        let prefix = |bytes: &[u8]| u64::from_be_bytes(*bytes[1..].first_chunk().expect("32 bytes"));
        let mut keys: Vec<(u64, u32)> = Vec::new();
        for part in 0..self.arena.parts() {
            self.arena.part(part, |position| keys.push((prefix(self.arena.record(position)), position)));
        }
        keys.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0).then_with(|| {
                let [a, b] = [a.1, b.1].map(|position| Record::of(self.arena.record(position)));
                a.txid.cmp(b.txid).then_with(|| a.group().cmp(&b.group()))
            })
        });
        keys.into_iter().map(|(_, position)| position).collect()
    }

    /// Calls with every coin of the record at a position.
    pub(crate) fn visit(&self, position: u32, mut each: impl FnMut(OutPoint, CoinView)) {
        let (record, mut room): (_, Room) = (Record::of(self.arena.record(position)), [0; _]);
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
