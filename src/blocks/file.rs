//! blocks.bin read whole: its records, which of them are not what they were, where it has holes, and which pages the disk
//! does not give back. Reads and nothing else; beside a node that appends it goes up to where the file ended at first.

use crate::disk::{BLOCK_INDEX, read_up_to};
use crate::exit::Fatal;
use crate::folder::Folder;
use crate::progress::{EVERY, Progress};
use crate::{sparse, trouble};
use consensus::{Header, Params, Rule};
use ledger::block_index::{Said, read_rows};
use ledger::inventory::{Inventory, check_bytes};
use ledger::record::{FRAME_LEN, Index, Record, scan};
use shards::limits::PAGE;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};

/// The file, as long as it was when it was opened.
pub struct Blocks {
    /// Where.
    pub path: PathBuf,
    file: File,
    /// Bytes.
    pub len: u64,
    /// Bytes that it takes of the disk.
    pub allocated: u64,
    /// Offsets of pages that cannot be read.
    unreadable: Mutex<BTreeSet<u64>>,
}

/// What lies in it.
pub struct Found {
    /// What a scan found, with the verdicts of the block index.
    pub index: Index,
    /// What the block index says.
    pub said: Said,
    /// Bytes of it.
    pub said_len: usize,
    /// Of the index, records that are not there as it says.
    pub lost: Vec<Record>,
    /// Over the records and, behind them, those that are lost, and headers without one.
    pub inventory: Inventory,
    /// Parts without bytes before the end of the last record.
    pub holes: Vec<Range<u64>>,
}

impl Blocks {
    /// Opens it.
    pub fn open(folder: &Folder) -> Result<Blocks, Fatal> {
        let path = folder.path.join("blocks.bin");
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
        let (about, file) = opened.map_err(|why| trouble::fatal(&path, "opening of", why))?;
        Ok(Blocks { path, file, len: about.len(), allocated: about.blocks() * 512, unreadable: Mutex::default() })
    }

    /// Reads up to the end; what the disk does not give back is zeros, and noted.
    pub fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let room = self.len.saturating_sub(at).min(buffer.len() as u64) as usize;
        match read_up_to(&self.file, at, &mut buffer[..room]) {
            Err(why) if why.raw_os_error() == Some(libc::EIO) => self.read_pages(at, &mut buffer[..room]),
            read => read,
        }
    }

    fn read_pages(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            let place = at + done as u64;
            let page = place / PAGE * PAGE;
            let end = ((page + PAGE - at) as usize).min(buffer.len());
            match read_up_to(&self.file, place, &mut buffer[done..end]) {
                Err(why) if why.raw_os_error() == Some(libc::EIO) => {
                    buffer[done..end].fill(0);
                    self.unreadable.lock().expect("nobody panics").insert(page);
                }
                read => done += read?,
            }
            done = done.max(end);
        }
        Ok(done)
    }

    /// Offsets of pages that could not be read so far.
    pub fn unreadable(&self) -> BTreeSet<u64> {
        self.unreadable.lock().expect("nobody panics").clone()
    }

    /// Its holes, in order.
    pub fn holes(&self) -> Result<Vec<Range<u64>>, Fatal> {
        sparse::holes(&self.file, self.len).map_err(|why| trouble::fatal(&self.path, "seek in", why))
    }

    /// Looks through the whole file for records, and compares the block index, as it was read before.
    pub fn look(&self, params: &Params, rows: &[u8]) -> Result<Found, Fatal> {
        let mut progress = Progress::new(format!("{}: looking for records", self.path.display()), self.len);
        let holes = self.holes()?;
        let scanned = scan(params, 0, self.len, &holes, |at, buffer| self.read(at, buffer), |at| progress.at(at));
        let mut index = scanned.map_err(|why| trouble::fatal(&self.path, "read of", why))?;
        let said = read_rows(params, rows).unwrap_or_default();
        let mut lost = Vec::new();
        for row in &said.records {
            let place = index.records.binary_search_by_key(&row.at, |record| record.at);
            match place.ok().map(|place| &mut index.records[place]) {
                Some(record) if (record.hash, record.len) == (row.hash, row.len) => record.valid = row.valid,
                _ => lost.push(*row),
            }
        }
        let bare = |header: &Header| Record {
            at: 0,
            len: 0,
            header: *header,
            hash: header.hash(),
            valid: false,
            punched: false,
        };
        let bare: Vec<Record> = said.headers.iter().map(bare).collect();
        let all: Vec<Record> = index.records.iter().chain(&lost).chain(&bare).copied().collect();
        let inventory = Inventory::of(params, &all);
        let holes = holes.into_iter().filter(|hole| hole.start < index.end).collect();
        Ok(Found { holes, index, said, said_len: rows.len(), lost, inventory })
    }

    /// Reads every record and tells, by number, those whose bytes break a rule, from so many threads.
    pub fn check(&self, params: &Params, found: &Found, threads: usize) -> Result<BTreeMap<usize, Rule>, Fatal> {
        let (next, read, broken) = (AtomicUsize::new(0), AtomicU64::new(0), Mutex::new(BTreeMap::new()));
        let work = &|| {
            while let Some((number, record)) = {
                let number = next.fetch_add(1, Relaxed);
                found.index.records.get(number).map(|record| (number, record))
            } {
                let mut bytes = vec![0; record.len as usize];
                self.read(record.at + FRAME_LEN, &mut bytes)?;
                let height = found.inventory.height(number);
                if let Err(rule) = check_bytes(params, record, height, bytes.into()) {
                    broken.lock().expect("nobody panics").insert(number, rule);
                }
                read.fetch_add(u64::from(record.len), Relaxed);
            }
            Ok::<(), io::Error>(())
        };
        let total = found.index.records.iter().map(|record| u64::from(record.len)).sum();
        let mut progress = Progress::new(format!("{}: checking", self.path.display()), total);
        let ended: io::Result<()> = std::thread::scope(|scope| {
            let (done, ended) = channel();
            for _ in 0..threads {
                let done = done.clone();
                scope.spawn(move || done.send(work()));
            }
            drop(done);
            loop {
                match ended.recv_timeout(EVERY) {
                    Ok(worked) => worked?,
                    Err(RecvTimeoutError::Timeout) => progress.at(read.load(Relaxed)),
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
            }
        });
        ended.map_err(|why| trouble::fatal(&self.path, "read of", why))?;
        Ok(broken.into_inner().expect("nobody panics"))
    }
}

/// The block index as bytes, of two copies the longer; none is as empty.
pub fn rows(folder: &Folder) -> Vec<u8> {
    let copies = BLOCK_INDEX.iter().rev().filter_map(|name| folder.read(name));
    copies.max_by_key(Vec::len).unwrap_or_default()
}
