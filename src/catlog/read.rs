//! Records out of the files of a binary log: one after the other, past whatever is none; from a time on, which is found by
//! halving; and from one file on to the next, as they are put aside.

use crate::log::format::{Front, MAGIC, Record, front};
use crate::log::{KEPT, older};
use std::fs::{File, metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Read at once.
const CHUNK: usize = 1 << 20;
/// What is left when halving ends.
const NEAR: u64 = 64 << 10;
/// Records may stand before others that are so much older.
const DISORDER_NS: u64 = 1_000_000_000;
/// If so long nothing is appended to what is no complete record, it never will be.
const QUIET: Duration = Duration::from_secs(1);

/// One file, or standard input.
pub struct Reader {
    source: Box<dyn Read>,
    name: String,
    /// Device and number of the file.
    file: Option<(u64, u64)>,
    bytes: Vec<u8>,
    /// Of what is not taken yet, in `bytes` and in the file.
    start: usize,
    at: u64,
    /// Bytes passed over just before.
    skipped: u64,
    /// When something was read last.
    heard: Instant,
    /// The time of the last record.
    last_ns: u64,
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    metadata(path).map(|about| (about.dev(), about.ino()))
}

impl Reader {
    fn new(source: Box<dyn Read>, name: String, file: Option<(u64, u64)>, at: u64) -> Reader {
        Reader { source, name, file, bytes: Vec::new(), start: 0, at, skipped: 0, heard: Instant::now(), last_ns: 0 }
    }

    /// Standard input.
    pub fn of_stdin() -> Reader {
        Reader::new(Box::new(io::stdin()), "standard input".into(), None, 0)
    }

    /// A file, from there on.
    pub fn open(path: &Path, at: u64) -> io::Result<Reader> {
        let mut file = File::open(path)?;
        let about = file.metadata()?;
        file.seek(SeekFrom::Start(at))?;
        Ok(Reader::new(Box::new(file), path.display().to_string(), Some((about.dev(), about.ino())), at))
    }

    /// The next whole record, if there is one: its place, for [`Reader::record`]. Nothing more comes at the `end`. Says what
    /// is no record.
    pub fn next(&mut self, end: bool) -> io::Result<Option<Range<usize>>> {
        let found = self.scan(end)?;
        let skipped = self.skipped;
        if skipped > 0 && (found.is_some() || end) {
            self.skipped = 0;
            let at = self.at - found.as_ref().map_or(0, Range::len) as u64 - skipped;
            eprintln!("{}: {skipped} bytes at offset {at} are no record", self.name);
        }
        Ok(found)
    }

    fn scan(&mut self, end: bool) -> io::Result<Option<Range<usize>>> {
        loop {
            let rest = &self.bytes[self.start..];
            match if rest.is_empty() { Front::More } else { front(rest) } {
                Front::Whole(len) => {
                    self.pass(len);
                    return Ok(Some(self.start - len..self.start));
                }
                Front::Damaged => self.skip(),
                Front::More if self.fill()? => {}
                Front::More if end && self.start < self.bytes.len() => self.skip(),
                Front::More => return Ok(None),
            }
        }
    }

    /// Where the next record would begin.
    fn skip(&mut self) {
        let rest = &self.bytes[self.start + 1..];
        let next = rest.iter().position(|byte| *byte == MAGIC[0]).unwrap_or(rest.len());
        self.skipped += 1 + next as u64;
        self.pass(1 + next);
    }

    fn pass(&mut self, count: usize) {
        self.start += count;
        self.at += count as u64;
    }

    /// Reads on; whether there was anything.
    fn fill(&mut self) -> io::Result<bool> {
        self.bytes.drain(..std::mem::take(&mut self.start));
        let before = self.bytes.len();
        self.bytes.resize(before + CHUNK, 0);
        let read = loop {
            match self.source.read(&mut self.bytes[before..]) {
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let count = *read.as_ref().unwrap_or(&0);
        self.bytes.truncate(before + count);
        if count > 0 {
            self.heard = Instant::now();
        }
        read.map(|count| count > 0)
    }

    /// The record of that place, if this program can read it.
    pub fn record(&mut self, range: Range<usize>) -> Option<Record<'_>> {
        let record = Record::read(&self.bytes[range]);
        self.last_ns = record.as_ref().map_or(self.last_ns, |record| record.time_ns);
        record
    }

    /// It is standard input.
    pub fn is_pipe(&self) -> bool {
        self.file.is_none()
    }

    /// Nothing came for so long that what is incomplete will stay it.
    pub fn is_quiet(&self) -> bool {
        self.heard.elapsed() > QUIET
    }

    /// The file that goes on where this one ends, once it holds something. `path` is the name of the one that is written.
    pub fn next_file(&self, path: &Path) -> io::Result<Option<Reader>> {
        while let Some(name) = self.next_name(path)? {
            let next = match Reader::open(&name, 0) {
                Err(why) if why.kind() == ErrorKind::NotFound => continue,
                next => next?,
            };
            // Its name may have become another's before it was opened.
            if self.next_name(path)?.is_some_and(|name| identity(&name).ok() == next.file) {
                return Ok(Some(next));
            }
        }
        Ok(None)
    }

    fn next_name(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let ours = |path: &Path| identity(path).is_ok_and(|file| Some(file) == self.file);
        if ours(path) {
            // Cut off from without: what follows is new.
            let len = metadata(path).map_or(u64::MAX, |about| about.len());
            let cut = len < self.at + (self.bytes.len() - self.start) as u64;
            return Ok(cut.then(|| path.to_owned()));
        }
        let next = match (1..=KEPT).find(|n| ours(&older(path, *n))) {
            Some(n) if n > 1 => older(path, n - 1),
            Some(_) => path.to_owned(),
            // It was moved elsewhere, and the next one may be put aside already: the oldest that begins where this ends.
            None => {
                let after = |file: &PathBuf| matches!(first(file, 0), Ok(Some((_, time))) if time >= self.last_ns);
                (1..=KEPT).rev().map(|n| older(path, n)).find(after).unwrap_or_else(|| path.to_owned())
            }
        };
        let holds = metadata(&next).is_ok_and(|about| about.len() > 0);
        Ok(holds.then_some(next))
    }
}

/// The first whole record from that offset on: where it begins, and its time.
fn first(path: &Path, at: u64) -> io::Result<Option<(u64, u64)>> {
    let mut reader = Reader::open(path, at)?;
    // To begin in the middle of a record is no damage.
    while let Some(range) = reader.scan(true)? {
        let begins = reader.at - range.len() as u64;
        if let Some(record) = reader.record(range) {
            return Ok(Some((begins, record.time_ns)));
        }
    }
    Ok(None)
}

/// Files, the oldest first, and where to begin in each, so that nothing since then is missed.
pub fn begin(path: &Path, since: u64) -> io::Result<Vec<(PathBuf, u64)>> {
    let since = since.saturating_sub(DISORDER_NS);
    let mut files = Vec::new();
    for n in 0..=KEPT {
        let file = if n == 0 { path.to_owned() } else { older(path, n) };
        if n > 0 && !file.exists() {
            break;
        }
        let begins = first(&file, 0)?;
        let at = halve(&file, since)?;
        files.push((file, at));
        if begins.is_some_and(|(_, time)| time < since) {
            break;
        }
    }
    files.reverse();
    Ok(files)
}

/// An offset before which all is older.
fn halve(path: &Path, since: u64) -> io::Result<u64> {
    let (mut low, mut high) = (0, metadata(path)?.len());
    while high - low > NEAR {
        let middle = low + (high - low) / 2;
        match first(path, middle)? {
            Some((at, time)) if at < high && time < since => low = at,
            _ => high = middle,
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::format::Draft;
    use crate::scratch::Scratch;
    use std::fs;

    /// Records of these seconds.
    fn records(seconds: Range<u64>) -> Vec<u8> {
        seconds.flat_map(|second| Draft::at(second * 1_000_000_000, 3, "test", "").seal(second)).collect()
    }

    fn numbers(reader: &mut Reader) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some(at) = reader.next(true).unwrap() {
            numbers.push(reader.record(at).unwrap().number);
        }
        numbers
    }

    #[test]
    fn a_time_is_found_in_a_damaged_file_without_reading_all_of_it() {
        let scratch = Scratch::new("catlog-halve").unwrap();
        let path = scratch.0.join("log");
        let mut bytes = records(0..100_000);
        // A magic where no record begins, and a long damage around the middle.
        let middle = bytes.len() / 2;
        bytes[middle - 300_000..middle + 300_000].fill(0xc5);
        fs::write(&path, &bytes).unwrap();
        for since in [0, 1, 777, 30_000, 70_000, 99_990, 99_999, 200_000] {
            let files = begin(&path, since * 1_000_000_000).unwrap();
            let [(_, at)] = files[..] else { panic!("{files:?}") };
            let left = numbers(&mut Reader::open(&path, at).unwrap());
            // What is left holds all from then on that is not damaged, and little before it.
            let all = numbers(&mut Reader::open(&path, 0).unwrap());
            let wanted: Vec<u64> = all.into_iter().filter(|number| *number >= since).collect();
            assert!(left.ends_with(&wanted), "{since}");
            assert!(left.len() - wanted.len() < 3_000, "{since}: {} too many", left.len() - wanted.len());
        }
    }

    #[test]
    fn a_time_before_the_file_begins_is_found_in_those_put_aside() {
        let scratch = Scratch::new("catlog-aside").unwrap();
        let path = scratch.0.join("log");
        for (n, seconds) in [(2, 100..200), (1, 200..300)] {
            fs::write(older(&path, n), records(seconds)).unwrap();
        }
        fs::write(&path, records(300..400)).unwrap();
        let found = |since: u64| begin(&path, since * 1_000_000_000).unwrap().len();
        assert_eq!([350, 302, 250, 150, 0].map(found), [1, 1, 2, 3, 3]);
        let oldest_first = begin(&path, 0).unwrap();
        assert!(oldest_first[0].0 == older(&path, 2) && oldest_first[2].0 == path);
    }

    #[test]
    fn the_next_file_is_the_one_that_was_begun_next() {
        let scratch = Scratch::new("catlog-next").unwrap();
        let path = scratch.0.join("log");
        fs::write(&path, records(0..10)).unwrap();
        let mut reader = Reader::open(&path, 0).unwrap();
        let next = |reader: &Reader| reader.next_file(&path).unwrap().map(|next| PathBuf::from(next.name));
        assert_eq!(numbers(&mut reader).len(), 10);
        assert_eq!(next(&reader), None, "it is still the one");
        fs::rename(&path, older(&path, 1)).unwrap();
        assert_eq!(next(&reader), None, "there is none yet");
        fs::write(&path, "").unwrap();
        assert_eq!(next(&reader), None, "the old one may still get more");
        fs::write(&path, records(10..20)).unwrap();
        assert_eq!(next(&reader), Some(path.clone()));
        fs::rename(older(&path, 1), older(&path, 2)).unwrap();
        fs::rename(&path, older(&path, 1)).unwrap();
        fs::write(&path, records(20..30)).unwrap();
        assert_eq!(next(&reader), Some(older(&path, 1)), "none is left out");
        fs::rename(older(&path, 2), scratch.0.join("elsewhere")).unwrap();
        assert_eq!(next(&reader), Some(older(&path, 1)), "nor where ours is gone");
        let second = Reader::open(&path, 0).unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(next(&second), None);
    }

    #[test]
    fn what_is_torn_waits_for_more_and_is_passed_over_at_the_end() {
        let scratch = Scratch::new("catlog-torn").unwrap();
        let path = scratch.0.join("log");
        let whole = records(0..2);
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let mut reader = Reader::open(&path, 0).unwrap();
        assert!(reader.next(false).unwrap().is_some());
        assert_eq!(reader.next(false).unwrap(), None);
        fs::write(&path, &whole).unwrap();
        assert!(reader.next(false).unwrap().is_some(), "it is complete now");
        // A kill, and another run behind it.
        fs::write(&path, [&whole[..whole.len() - 1], &records(0..1)].concat()).unwrap();
        assert_eq!(numbers(&mut Reader::open(&path, 0).unwrap()), [0, 0]);
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(numbers(&mut Reader::open(&path, 0).unwrap()), [0]);
    }
}
