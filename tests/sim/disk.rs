//! The file blocks.bin as a machine that loses power sees it. Knows no record and no block.
//!
//! The faults that it models:
//!
//! - writes complete in any order, after any delay;
//! - a sync makes durable exactly those writes that were complete when it was asked for;
//! - of every other write, complete or not, a power cut keeps any subset of 512-byte sectors;
//! - a process that ends leaves what is complete for the next to read, durable or not, and of the rest any sectors;
//! - a write that fails has written any sectors;
//! - of pages that were given up and not synced since, a power cut brings any subset back.
//!
//! A sector itself is never torn, and what was synced never changes.

use super::faults::Faults;
use bytes::Bytes;
use shards::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What a drive writes entire or not at all, bytes.
const SECTOR: usize = 512;
const PAGE: usize = 4_096;

#[derive(Debug)]
struct Write {
    at: usize,
    bytes: Vec<u8>,
    complete: bool,
}

/// The file.
#[derive(Debug, Default)]
pub struct Disk {
    /// What a read brings.
    current: Vec<u8>,
    /// What a power cut cannot take.
    durable: Vec<u8>,
    /// Writes that no sync covers, by the order in which they were asked.
    loose: BTreeMap<u64, Write>,
    syncing: Vec<u64>,
    next: u64,
    /// Pages given up: all of them; of those, the ones that no sync covers.
    holes: BTreeSet<usize>,
    loose_holes: BTreeSet<usize>,
    syncing_holes: BTreeSet<usize>,
}

fn put(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if image.len() < at + bytes.len() {
        image.resize(at + bytes.len(), 0);
    }
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Disk {
    /// A write was asked for; its number.
    pub fn write(&mut self, at: u64, pieces: &[Bytes]) -> u64 {
        assert!(at.is_multiple_of(4_096));
        let bytes: Vec<u8> = pieces.concat();
        assert!(bytes.len().is_multiple_of(4_096) && !bytes.is_empty());
        let at = at as usize;
        let overlaps = |other: &Write| other.at < at + bytes.len() && at < other.at + other.bytes.len();
        let racing = self.loose.values().any(|other| !other.complete && overlaps(other));
        assert!(!racing, "two writes of one page at once, at {at}");
        let pages = at / PAGE..(at + bytes.len()) / PAGE;
        assert!(self.holes.range(pages).next().is_none(), "a page that was given up is written, at {at}");
        self.next += 1;
        self.loose.insert(self.next, Write { at, bytes, complete: false });
        self.next
    }

    /// A write is complete; its offset.
    pub fn written(&mut self, number: u64) -> u64 {
        let write = self.loose.get_mut(&number).expect("a write completes once");
        write.complete = true;
        put(&mut self.current, write.at, &write.bytes);
        write.at as u64
    }

    /// So much of a write reaches the file that it ends in a sector of its middle.
    pub fn shorten(&mut self, number: u64, rng: &mut Rng) {
        let write = self.loose.get_mut(&number).expect("a write under way");
        write.bytes.truncate(rng.below((write.bytes.len() / SECTOR) as u64) as usize * SECTOR);
    }

    /// A sync was asked for.
    pub fn sync(&mut self) {
        assert!(self.syncing.is_empty(), "one sync at a time");
        self.syncing = self.loose.iter().filter(|(_, write)| write.complete).map(|(number, _)| *number).collect();
        self.syncing_holes = std::mem::take(&mut self.loose_holes);
    }

    /// These pages are given up.
    pub fn punch(&mut self, pages: Range<u64>) {
        assert!(pages.start.is_multiple_of(PAGE as u64) && pages.end.is_multiple_of(PAGE as u64));
        assert!(pages.end <= self.current.len() as u64);
        for page in pages.start as usize / PAGE..pages.end as usize / PAGE {
            self.current[page * PAGE..][..PAGE].fill(0);
            if self.holes.insert(page) {
                self.loose_holes.insert(page);
            }
        }
    }

    /// Whether some of this range was given up.
    pub fn has_hole(&self, at: u64, len: u32) -> bool {
        let end = (at + u64::from(len)) as usize;
        self.holes.range(at as usize / PAGE..end.div_ceil(PAGE)).next().is_some()
    }

    /// The holes of the file.
    pub fn holes(&self) -> Vec<Range<u64>> {
        self.holes.iter().map(|page| (page * PAGE) as u64..((page + 1) * PAGE) as u64).collect()
    }

    /// It has returned.
    pub fn synced(&mut self) {
        for number in std::mem::take(&mut self.syncing) {
            let write = self.loose.remove(&number).expect("only a sync takes writes");
            put(&mut self.durable, write.at, &write.bytes);
        }
        for page in std::mem::take(&mut self.syncing_holes) {
            self.durable[page * PAGE..][..PAGE].fill(0);
        }
    }

    /// What a read of this range brings.
    pub fn read(&self, at: u64, len: u32) -> Option<&[u8]> {
        self.current.get(at as usize..at as usize + len as usize)
    }

    /// The same of what a power cut cannot take.
    pub fn durable(&self, at: u64, len: u32) -> Option<&[u8]> {
        self.durable.get(at as usize..at as usize + len as usize)
    }

    /// All of that.
    pub fn kept(&self) -> &[u8] {
        &self.durable
    }

    /// The power goes.
    pub fn cut(&mut self, faults: &mut Faults, rng: &mut Rng) {
        for write in std::mem::take(&mut self.loose).into_values() {
            let lost = faults.lost_write.strikes(rng);
            let torn = !lost && faults.torn_write.strikes(rng);
            for (index, sector) in write.bytes.chunks(SECTOR).enumerate() {
                if !lost && (!torn || rng.below(2) == 0) {
                    put(&mut self.durable, write.at + index * SECTOR, sector);
                }
            }
        }
        self.syncing.clear();
        let loose = [std::mem::take(&mut self.loose_holes), std::mem::take(&mut self.syncing_holes)];
        for page in loose.into_iter().flatten() {
            if faults.lost_punch.strikes(rng) {
                self.holes.remove(&page);
            } else {
                self.durable[page * PAGE..][..PAGE].fill(0);
            }
        }
        self.current.clone_from(&self.durable);
    }

    /// The process ends: of writes that were under way any sectors are in the file.
    pub fn kill(&mut self, rng: &mut Rng) {
        self.syncing.clear();
        self.loose_holes.append(&mut self.syncing_holes);
        for write in self.loose.values_mut().filter(|write| !write.complete) {
            write.complete = true;
            for (index, sector) in write.bytes.chunks_mut(SECTOR).enumerate() {
                let at = write.at + index * SECTOR;
                match rng.below(2) {
                    0 => put(&mut self.current, at, sector),
                    _ => match self.current.get(at..at + sector.len()) {
                        Some(before) => sector.copy_from_slice(before),
                        None => sector.fill(0),
                    },
                }
            }
        }
    }

    /// A start ends the file here, where records end; and it syncs what it found there.
    pub fn open(&mut self, end: u64, synced: bool) {
        let (end, padded) = (end as usize, end.next_multiple_of(4_096) as usize);
        if self.current.len() > end {
            self.current.truncate(end);
        }
        self.current.resize(padded, 0);
        if synced {
            self.loose.clear();
            self.loose_holes.clear();
            self.durable.clone_from(&self.current);
        }
    }

    /// Bytes of the file.
    pub fn image(&self) -> &[u8] {
        &self.current
    }
}
