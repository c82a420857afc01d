//! What the kernel holds of a file in its memory: whoever sends from there must not wait for the disk. Only ever a good
//! guess, since the kernel may let go of pages at any moment; and no where it does not tell (before Linux 6.5, or
//! where the file system keeps its own cache).

use rustix::io::{ReadWriteFlags, preadv2};
use std::fs::File;
use std::io::IoSliceMut;
use std::os::fd::AsRawFd;

const PAGE: u64 = 4_096;
/// cachestat(2), under this number on all machines that we know; libc does not have it everywhere.
const CACHESTAT: libc::c_long = 451;

/// `struct cachestat_range`.
#[repr(C)]
struct Range {
    at: u64,
    len: u64,
}

/// `struct cachestat`, in pages.
#[repr(C)]
#[derive(Default)]
struct Stat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Reads `N` bytes at `at` if all `len` bytes from there on are in memory.
pub fn first_of<const N: usize>(file: &File, at: u64, len: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let read = |bytes: &mut [u8], at| {
        let len = bytes.len();
        preadv2(file, &mut [IoSliceMut::new(bytes)], at, ReadWriteFlags::NOWAIT) == Ok(len)
    };
    // A page that is still on its way from the disk is counted, but not read: the kernel reads ahead from front to back.
    (read(&mut bytes, at) && read(&mut [0], at + len - 1) && holds(file, at, len)).then_some(bytes)
}

/// Whether there is a page in memory for each of the range.
fn holds(file: &File, at: u64, len: u64) -> bool {
    let (range, mut stat) = (Range { at, len }, Stat::default());
    // SAFETY: the kernel reads 16 bytes at the third argument and writes 40 at the fourth, which both are as long.
    #[allow(unsafe_code)]
    let done = unsafe { libc::syscall(CACHESTAT, file.as_raw_fd(), &raw const range, &raw mut stat, 0) };
    done == 0 && stat.cached == (at + len).div_ceil(PAGE) - at / PAGE
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Advice, fadvise};
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_range_is_in_memory_once_all_of_it_was_read() {
        const LEN: u64 = 400 * PAGE + 100;
        let path = std::env::temp_dir().join(format!("caesure-cache-{}", std::process::id()));
        std::fs::write(&path, (0..LEN).map(|at| at as u8).collect::<Vec<_>>()).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.sync_all().unwrap();
        let first = |at, len| first_of::<3>(&file, at, len);
        if first(0, LEN).is_none() {
            return eprintln!("NOT TESTED: this kernel or file system does not tell what it holds in memory");
        }
        assert_eq!(first(7, LEN - 7), Some([7, 8, 9]));
        assert_eq!(first(0, LEN + 1), None, "beyond its end");
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        assert_eq!(first(0, LEN), None);
        // Little is read but what is asked for.
        fadvise(&file, 0, None, Advice::Random).unwrap();
        file.read_exact_at(&mut vec![0; 10 * PAGE as usize], 0).unwrap();
        assert!(first(0, 10 * PAGE).is_some());
        assert_eq!(first(0, 200 * PAGE), None);
        file.read_exact_at(&mut vec![0; PAGE as usize], LEN - PAGE).unwrap();
        assert_eq!(first(0, LEN), None, "there is a gap between both ends");
        file.read_exact_at(&mut vec![0; LEN as usize], 0).unwrap();
        assert!(first(0, LEN).is_some());
    }
}
