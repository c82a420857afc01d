//! What the disk itself does, past the page cache and within it: the limit of whatever writes and reads blocks.

use crate::table::histogram;
use hdrhistogram::Histogram;
use rustix::fs::{Advice, OFlags, fadvise};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

/// What addresses, offsets and lengths must be multiples of for direct I/O.
const ALIGN: usize = 4096;

/// Offset and length of one write or read.
pub type Piece = (u64, usize);

/// How fast a file was written or read.
pub struct Pace {
    /// Of all pieces together, what ends them included.
    pub bytes_per_second: f64,
    /// Nanoseconds of each piece.
    pub times: Histogram<u64>,
}

/// A file of so many bytes cut into pieces.
pub fn pieces(bytes: usize, piece: usize) -> Vec<Piece> {
    (0..bytes / piece).map(|index| ((index * piece) as u64, piece)).collect()
}

/// Puts a file out of the page cache; what was not written yet is written first. Pages that a process has mapped stay.
pub fn cool(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    file.sync_all()?;
    Ok(fadvise(&file, 0, None, Advice::DontNeed)?)
}

fn direct() -> OpenOptions {
    OpenOptions::new().custom_flags(OFlags::DIRECT.bits() as i32).clone()
}

/// Writes a new file past the page cache, so many pieces at once; it is synced after each, or in the end.
pub fn write(path: &Path, pieces: &[Piece], at_once: usize, sync_each: bool) -> io::Result<Pace> {
    let file = direct().write(true).create(true).truncate(true).open(path)?;
    let write = |buffer: &mut [u8], at: u64| {
        file.write_all_at(buffer, at)?;
        if sync_each { file.sync_data() } else { Ok(()) }
    };
    carry(pieces, at_once, write, || file.sync_data())
}

/// Reads a file past the page cache, so many pieces at once; of each all pages that it lies in.
pub fn read_direct(path: &Path, pieces: &[Piece], at_once: usize) -> io::Result<Pace> {
    let (file, all) = (direct().read(true).open(path)?, bytes(pieces));
    let end = file.metadata()?.len();
    let pages: Vec<Piece> = pieces
        .iter()
        .map(|(at, len)| {
            let start = at / ALIGN as u64 * ALIGN as u64;
            (start, ((at + *len as u64 - start) as usize).next_multiple_of(ALIGN))
        })
        .collect();
    let read = |buffer: &mut [u8], at: u64| {
        let (mut got, wanted) = (0, (end - at).min(buffer.len() as u64) as usize);
        while got < wanted {
            match file.read_at(&mut buffer[got..], at + got as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => got += more,
            }
        }
        Ok(())
    };
    let pace = carry(&pages, at_once, read, || Ok(()))?;
    Ok(Pace { bytes_per_second: pace.bytes_per_second * all / bytes(&pages), ..pace })
}

/// Reads a file by way of the page cache, so many pieces at once, into memory that is used again and again.
pub fn read(path: &Path, pieces: &[Piece], at_once: usize) -> io::Result<Pace> {
    let file = File::open(path)?;
    carry(pieces, at_once, |buffer, at| file.read_exact_at(buffer, at), || Ok(()))
}

fn bytes(pieces: &[Piece]) -> f64 {
    pieces.iter().map(|(_, len)| *len as f64).sum()
}

/// Each thread takes the next piece, until none is left.
fn carry(
    pieces: &[Piece],
    at_once: usize,
    job: impl Fn(&mut [u8], u64) -> io::Result<()> + Sync,
    end: impl Fn() -> io::Result<()>,
) -> io::Result<Pace> {
    let (next, most) = (AtomicUsize::new(0), pieces.iter().map(|(_, len)| *len).max().unwrap_or(0));
    let one = || {
        let (mut buffer, mut times) = (vec![7; most + ALIGN], histogram());
        let skipped = buffer.as_ptr().addr().next_multiple_of(ALIGN) - buffer.as_ptr().addr();
        while let Some((at, len)) = pieces.get(next.fetch_add(1, Relaxed)) {
            let begun = Instant::now();
            job(&mut buffer[skipped..skipped + len], *at)?;
            times.record(begun.elapsed().as_nanos() as u64).map_err(io::Error::other)?;
        }
        Ok(times)
    };
    let begun = Instant::now();
    let all = thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect::<io::Result<Vec<_>>>()
    })?;
    end()?;
    let bytes_per_second = bytes(pieces) / begun.elapsed().as_secs_f64();
    let mut times = histogram();
    all.into_iter().for_each(|one| times += one);
    Ok(Pace { bytes_per_second, times })
}
