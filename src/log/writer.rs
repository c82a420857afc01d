//! The binary log's file: records come from any thread, which never waits, and one thread writes them: the least important
//! there is. What it cannot keep up with is dropped, counted, and told in the log. Where it has written, a kill takes nothing
//! back; nothing is synced, so a power cut takes what the kernel had not written yet.
//!
//! Knows nothing of what records say.

use super::format::{Draft, Value};
use crate::background;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};
use std::time::Duration;

/// Files kept beside the one that is written: `.1` is the youngest.
pub const KEPT: usize = 5;
/// What may wait to be written, beside what --memory is for.
const RECORDS_MAX: usize = 1 << 16;
const BYTES_MAX: usize = 64 << 20;
/// Written at once, if so much is there.
const BATCH: usize = 1 << 20;
/// Between two looks at what waits: no thread of the node has to wake the writer.
const EVERY: Duration = Duration::from_millis(50);
/// How long the end of the program waits for the disk, and for a thread that everybody else goes before.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same where it ends by a panic, and the other threads go on meanwhile.
const PATIENCE_PANIC: Duration = Duration::from_secs(2);

/// Where records go.
pub struct Log {
    records: SyncSender<Draft>,
    shared: Arc<Shared>,
    writer: Thread,
    ended: Mutex<Receiver<()>>,
}

/// What the writer's thread and others look at.
#[derive(Default)]
struct Shared {
    /// Bytes that wait.
    bytes: AtomicUsize,
    dropped: AtomicU64,
    reopen: AtomicBool,
    closing: AtomicBool,
}

impl Log {
    /// Appends to that file, and begins another when it would be longer than so many bytes; 0 is never.
    pub fn open(path: &Path, size_max: u64) -> io::Result<Log> {
        let writer = Writer::open(path.to_owned(), size_max)?;
        let (records, waiting) = sync_channel(RECORDS_MAX);
        let (end, ended) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let run = move || {
            background::step_back("the binary log");
            writer.run(&waiting, &theirs);
            // Nobody may be left to hear it.
            let _ = end.send(());
        };
        let thread = thread::Builder::new().name("caesure-log".into()).spawn(run)?;
        Ok(Log { records, shared, writer: thread.thread().clone(), ended: Mutex::new(ended) })
    }

    /// Has a record written; never waits.
    pub fn push(&self, record: Draft) {
        let bytes = record.len();
        let room = self.shared.bytes.fetch_add(bytes, Relaxed) + bytes <= BYTES_MAX;
        if !room || self.records.try_send(record).is_err() {
            self.shared.bytes.fetch_sub(bytes, Relaxed);
            self.shared.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Has the file opened anew by its name, for whoever moved it away.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Relaxed);
    }

    /// Waits until all is written, or for a disk that does not answer no longer than the end of a program may.
    pub fn close(&self) {
        self.shared.closing.store(true, Release);
        self.writer.unpark();
        // Where another panicked while it waited here, nobody has to wait again.
        let patience = if thread::panicking() { PATIENCE_PANIC } else { PATIENCE };
        let _ = self.ended.lock().map(|ended| ended.recv_timeout(patience));
    }
}

/// The name of the `n`th file behind the one that is written.
pub fn older(path: &Path, n: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

/// Opened to append. A pipe that nobody reads is opened too, since this process could read it itself.
fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).open(path)
}

/// The thread's own.
struct Writer {
    path: PathBuf,
    file: File,
    /// Of the file, if it is one that can be put aside.
    len: Option<u64>,
    size_max: u64,
    /// Sealed and not yet written, and how many.
    batch: Vec<u8>,
    records: u64,
    /// Of the next record.
    number: u64,
    /// So many that were dropped before are told by one of the batch.
    told: u64,
    /// What was said to fail, and has not been well since.
    failing: Vec<&'static str>,
}

impl Writer {
    fn open(path: PathBuf, size_max: u64) -> io::Result<Writer> {
        let (file, batch, failing) = (append(&path)?, Vec::new(), Vec::new());
        let mut writer = Writer { path, file, len: None, size_max, batch, records: 0, number: 0, told: 0, failing };
        writer.measure()?;
        Ok(writer)
    }

    fn measure(&mut self) -> io::Result<()> {
        let about = self.file.metadata()?;
        self.len = about.is_file().then_some(about.len());
        Ok(())
    }

    fn run(mut self, waiting: &Receiver<Draft>, shared: &Shared) {
        loop {
            // Read before the records are: what was pushed before it was set is among them.
            let closing = shared.closing.load(Acquire);
            if shared.reopen.swap(false, Relaxed) {
                let opened = self.reopen();
                self.well("opened anew", opened);
            }
            while let Ok(record) = waiting.try_recv() {
                shared.bytes.fetch_sub(record.len(), Relaxed);
                self.add(record, shared);
            }
            let dropped = shared.dropped.swap(0, Relaxed);
            if dropped > 0 {
                let mut record = Draft::new(2, "caesure::log", "dropped");
                record.field("records", Value::Natural(dropped));
                self.add(record, shared);
                self.told = dropped;
            }
            self.write(shared);
            if closing {
                return;
            }
            thread::park_timeout(EVERY);
        }
    }

    fn add(&mut self, record: Draft, shared: &Shared) {
        let record = record.seal(self.number);
        self.number += 1;
        let most = if self.size_max == 0 { BATCH } else { BATCH.min(self.size_max as usize) };
        if self.batch.len() + record.len() > most {
            self.write(shared);
        }
        self.batch.extend(record);
        self.records += 1;
    }

    /// Writes what there is, all in one file.
    fn write(&mut self, shared: &Shared) {
        let (batch, records) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.records));
        let told = std::mem::take(&mut self.told);
        if records == 0 {
            return;
        }
        let is_full = |len: u64| len > 0 && len + batch.len() as u64 > self.size_max;
        if self.size_max > 0 && self.len.is_some_and(is_full) {
            let rotated = self.rotate();
            self.well("put aside", rotated);
        }
        // Of what fails a part may be written: records, and what is none.
        let written = self.file.write_all(&batch).and_then(|()| self.measure());
        if !self.well("written", written) {
            shared.dropped.fetch_add(records - u64::from(told > 0) + told, Relaxed);
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file = append(&self.path)?;
        self.measure()
    }

    /// The file becomes the youngest of those behind it.
    fn rotate(&mut self) -> io::Result<()> {
        for n in (1..KEPT).rev() {
            match std::fs::rename(older(&self.path, n), older(&self.path, n + 1)) {
                Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
                _ => {}
            }
        }
        std::fs::rename(&self.path, older(&self.path, 1))?;
        self.reopen()
    }

    /// Says what failed, once until it is well again; whether it is.
    fn well(&mut self, what: &'static str, result: io::Result<()>) -> bool {
        let known = self.failing.contains(&what);
        self.failing.retain(|failing| *failing != what);
        let Err(why) = result else { return true };
        self.failing.push(what);
        if !known {
            let path = self.path.display();
            tracing::warn!("{path} is not {what}: {why}; it is tried again, and what is lost is counted there");
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::{Front, Record, front};
    use super::*;
    use crate::scratch::Scratch;
    use std::io::Read;
    use std::time::Instant;

    fn record(payload: usize) -> Draft {
        let mut draft = Draft::new(3, "test", "");
        draft.field("payload", Value::Bytes(&vec![7; payload]));
        draft
    }

    /// All numbers of whole records, and what else was said: how many were dropped.
    fn numbers(bytes: &[u8]) -> (Vec<u64>, u64) {
        let (mut at, mut numbers, mut dropped) = (0, Vec::new(), 0);
        while at < bytes.len() {
            let Front::Whole(len) = front(&bytes[at..]) else { panic!("no record at {at} of {}", bytes.len()) };
            let record = Record::read(&bytes[at..at + len]).unwrap();
            numbers.push(record.number);
            if let Some(Value::Natural(count)) = record.get("records") {
                dropped += count;
            }
            at += len;
        }
        (numbers, dropped)
    }

    #[test]
    fn files_are_put_aside_by_size_and_nothing_is_lost() {
        let scratch = Scratch::new("log-size").unwrap();
        let path = scratch.0.join("log");
        let log = Log::open(&path, 300_000).unwrap();
        for _ in 0..100 {
            log.push(record(10_000));
        }
        log.close();
        let all: Vec<Vec<u8>> = (1..=KEPT)
            .rev()
            .map(|n| older(&path, n))
            .chain([path.clone()])
            .filter_map(|path| std::fs::read(path).ok())
            .collect();
        assert!(all.len() > 3 && all.iter().all(|file| file.len() <= 300_000), "{:?}", all.iter().map(Vec::len));
        assert_eq!(numbers(&all.concat()), ((0..100).collect(), 0));
    }

    #[test]
    fn no_more_than_five_are_kept() {
        let scratch = Scratch::new("log-kept").unwrap();
        let path = scratch.0.join("log");
        let mut writer = Writer::open(path.clone(), 0).unwrap();
        for n in 0..KEPT + 3 {
            std::fs::write(&path, [n as u8]).unwrap();
            writer.rotate().unwrap();
        }
        let kept: Vec<u8> = (1..=KEPT).flat_map(|n| std::fs::read(older(&path, n)).unwrap()).collect();
        assert_eq!(kept, [7, 6, 5, 4, 3]);
        assert!(!older(&path, KEPT + 1).exists());
    }

    #[test]
    fn whoever_moves_the_file_gets_the_rest_in_a_new_one() {
        let scratch = Scratch::new("log-moved").unwrap();
        let (path, moved) = (scratch.0.join("log"), scratch.0.join("moved"));
        let log = Log::open(&path, 0).unwrap();
        log.push(record(10));
        std::fs::rename(&path, &moved).unwrap();
        log.push(record(10));
        log.reopen();
        let begun = Instant::now();
        while !path.exists() {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(1));
        }
        log.push(record(10));
        log.close();
        let both = [std::fs::read(&moved).unwrap(), std::fs::read(&path).unwrap()].concat();
        assert_eq!(numbers(&both), (vec![0, 1, 2], 0));
        assert!(std::fs::read(&path).unwrap().len() > 10, "the last one at least");
    }

    /// `/dev/full` takes nothing, and cannot be put aside.
    #[test]
    fn what_cannot_be_written_is_counted_until_it_can_be_told() {
        let shared = Shared::default();
        let mut writer = Writer::open("/dev/full".into(), 100).unwrap();
        for _ in 0..3 {
            writer.add(record(10), &shared);
        }
        writer.write(&shared);
        assert_eq!((shared.dropped.swap(0, Relaxed), writer.failing.as_slice()), (3, &["written"][..]));
        writer.add(record(10), &shared);
        writer.told = 3;
        writer.write(&shared);
        assert_eq!(shared.dropped.load(Relaxed), 3, "one that tells of three is none of its own");
    }

    /// A pipe that nobody reads is a disk that does not answer.
    #[test]
    fn a_disk_that_does_not_answer_holds_nobody_up_and_the_lost_are_counted() {
        let scratch = Scratch::new("log-stuck").unwrap();
        let path = scratch.0.join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let log = Log::open(&path, 1_000).unwrap();
        let (mut longest, mut pushed) = (Duration::ZERO, 0_u64);
        while log.shared.dropped.load(Relaxed) < 100 {
            let record = record(1 << 20);
            let begun = Instant::now();
            log.push(record);
            longest = longest.max(begun.elapsed());
            pushed += 1;
        }
        assert!(longest < Duration::from_secs(1), "{longest:?}");
        let mut pipe = File::open(&path).unwrap();
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            while numbers_so_far(&all) == 0 {
                let mut some = vec![0; 1 << 20];
                let count = pipe.read(&mut some).unwrap();
                all.extend_from_slice(&some[..count]);
            }
            all
        });
        let all = reader.join().unwrap();
        let (numbers, dropped) = numbers(&all);
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
        assert_eq!(numbers.len() as u64 - 1 + dropped, pushed, "each is there, or counted");
    }

    /// How many are told to be dropped, once that is told and the last record is whole.
    fn numbers_so_far(bytes: &[u8]) -> u64 {
        let (mut at, mut dropped) = (0, 0);
        while at < bytes.len() {
            let Front::Whole(len) = front(&bytes[at..]) else { return 0 };
            let record = Record::read(&bytes[at..at + len]).unwrap();
            if let Some(Value::Natural(count)) = record.get("records") {
                dropped += count;
            }
            at += len;
        }
        dropped
    }
}
