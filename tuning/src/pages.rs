//! The memory of the process: as the system gives it, with huge pages asked for wherever an allocation is as large as one.
//! Then the processor finds a page of many gigabytes of coins without walking tables. What asks for whole cache lines, as
//! tables of coins do, lies together in huge pages too, however small it is. What asks for whole huge pages will fill them:
//! a thread touches them first, as a virtual machine's host may take 5 ms to find 2 MiB. Where the kernel has no huge pages
//! to give, or must not, everything is the same, only slower. Never knows what the memory is for.

use rlsf::Tlsf;
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{self, NonNull};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes of a huge page (x86-64, and aarch64 with pages of 4 KiB).
const HUGE: usize = 2 << 20;
/// Bytes of a page: what madvise wants its addresses to be multiples of.
const PAGE: usize = 4096;
/// A cache line.
const LINE: usize = 64;
/// Memory that small things are cut from.
const REGION: Layout = match Layout::from_size_align(4 << 20, HUGE) {
    Ok(layout) => layout,
    Err(_) => panic!("a multiple of a power of two"),
};

/// The system's allocator, which asks for huge pages.
#[derive(Debug)]
pub struct HugePages;

/// Small things of whole cache lines.
struct Lines {
    /// Blocks of up to 32 MiB, in classes of a thirty-second.
    pool: Tlsf<'static, u32, u32, 20, 32>,
    /// The next region, which is touched meanwhile.
    spare: Option<NonNull<u8>>,
}

// SAFETY: the spare region is nobody else's.
#[allow(unsafe_code)]
unsafe impl Send for Lines {}

static LINES: Mutex<Lines> = Mutex::new(Lines { pool: Tlsf::new(), spare: None });

/// Whether an allocation is one of [`LINES`].
fn is_of_lines(layout: Layout) -> bool {
    layout.align() >= LINE && layout.size() < HUGE
}

fn alloc_lines(layout: Layout) -> *mut u8 {
    let mut lines = lock(&LINES);
    lines.pool.allocate(layout).or_else(|| lines.more()?.allocate(layout)).map_or(ptr::null_mut(), NonNull::as_ptr)
}

#[allow(unsafe_code)]
impl Lines {
    fn region() -> Option<NonNull<u8>> {
        // SAFETY: the size of a region is not zero.
        NonNull::new(unsafe { HugePages.alloc(REGION) })
    }

    fn more(&mut self) -> Option<&mut Tlsf<'static, u32, u32, 20, 32>> {
        let region = self.spare.take().or_else(Lines::region)?;
        self.spare = Lines::region();
        // SAFETY: nobody else has the region, and it is never given back.
        unsafe { self.pool.insert_free_block_ptr(NonNull::slice_from_raw_parts(region, REGION.size())) }?;
        Some(&mut self.pool)
    }
}

/// Huge pages to touch: where they begin and how many bytes they have.
struct Untouched {
    blocks: [(usize, usize); 64],
    count: usize,
    /// Whether a thread touches them.
    minded: bool,
}

static UNTOUCHED: Mutex<Untouched> = Mutex::new(Untouched { blocks: [(0, 0); 64], count: 0, minded: false });
static COME: Condvar = Condvar::new();

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread that touches huge pages before they are used, on the cores that the caller may use; one for all
/// nodes of a process.
pub fn touch_ahead() -> std::io::Result<()> {
    if std::mem::replace(&mut lock(&UNTOUCHED).minded, true) {
        return Ok(());
    }
    std::thread::Builder::new().name("pages".into()).spawn(|| {
        let mut untouched = lock(&UNTOUCHED);
        loop {
            if untouched.count == 0 {
                untouched = COME.wait(untouched).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            untouched.count -= 1;
            let (at, bytes) = untouched.blocks[untouched.count];
            drop(untouched);
            populate(at, bytes);
            untouched = lock(&UNTOUCHED);
        }
    })?;
    Ok(())
}

/// Page by page, so that whoever uses one of them waits for no other.
#[allow(unsafe_code)]
fn populate(at: usize, bytes: usize) {
    for page in (at..at + bytes).step_by(HUGE) {
        // SAFETY: MADV_POPULATE_WRITE changes no byte of the memory that is there (madvise(2)), whoever's it is by now.
        // That it may fail is no matter.
        unsafe { libc::madvise(ptr::without_provenance_mut(page), HUGE, libc::MADV_POPULATE_WRITE) };
    }
}

/// Has whole huge pages touched.
fn ask_to_touch(at: *mut u8, bytes: usize) {
    let mut untouched = lock(&UNTOUCHED);
    let count = untouched.count;
    if untouched.minded && count < untouched.blocks.len() && !at.is_null() {
        untouched.blocks[count] = (at.addr(), bytes);
        untouched.count += 1;
        drop(untouched);
        COME.notify_one();
    }
}

/// Whether an allocation gets as much as a region: buffers of direct writes have nearly as much, one after the other.
fn is_of_region(layout: Layout) -> bool {
    (LINE..HUGE).contains(&layout.align()) && (HUGE..=REGION.size()).contains(&layout.size())
}

/// Freed blocks as large as a region, for whoever wants the next: they need not be found and cleared again for each write
/// of a file.
struct Kept {
    blocks: [usize; 8],
    count: usize,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept { blocks: [0; 8], count: 0 });

impl Kept {
    fn give(&mut self) -> Option<*mut u8> {
        self.count = self.count.checked_sub(1)?;
        Some(ptr::with_exposed_provenance_mut(self.blocks[self.count]))
    }

    /// Whether it took the block.
    fn take(&mut self, at: *mut u8) -> bool {
        let wanted = self.count < self.blocks.len();
        if wanted {
            self.blocks[self.count] = at.expose_provenance();
            self.count += 1;
        }
        wanted
    }
}

/// Whether an allocation is of whole huge pages.
fn is_of_pages(layout: Layout) -> bool {
    layout.size() >= HUGE && layout.size().is_multiple_of(HUGE)
}

/// Asks for huge pages where whole ones lie in so many bytes from `at` on.
#[allow(unsafe_code)]
fn advise(at: *mut u8, bytes: usize) {
    if bytes < HUGE || at.is_null() {
        return;
    }
    let skipped = at.addr().next_multiple_of(PAGE) - at.addr();
    // SAFETY: the pages lie within memory that was just allocated, and MADV_HUGEPAGE changes no byte of it (madvise(2)).
    // That it may fail is no matter.
    unsafe { libc::madvise(at.add(skipped).cast(), (bytes - skipped) / PAGE * PAGE, libc::MADV_HUGEPAGE) };
}

// SAFETY: every answer is the system's own, or that of a pool in memory of the system's; which of them a block is of, its
// layout says. What is kept was freed by its owner, is as large as a region and aligned to huge pages, as whatever
// `is_of_region` is, and is given to one.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_of_lines(layout) {
            return alloc_lines(layout);
        }
        if is_of_region(layout) {
            let kept = lock(&KEPT).give();
            return kept.unwrap_or_else(|| unsafe { self.alloc(REGION) });
        }
        if is_of_pages(layout) {
            let aligned = unsafe { Layout::from_size_align_unchecked(layout.size(), HUGE.max(layout.align())) };
            let at = unsafe { System.alloc(aligned) };
            advise(at, layout.size());
            ask_to_touch(at, layout.size());
            return at;
        }
        let at = unsafe { System.alloc(layout) };
        advise(at, layout.size());
        at
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_of_lines(layout) || is_of_region(layout) {
            let at = unsafe { self.alloc(layout) };
            if !at.is_null() {
                unsafe { at.write_bytes(0, layout.size()) };
            }
            return at;
        }
        let at = unsafe { System.alloc_zeroed(layout) };
        advise(at, layout.size());
        at
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let new = unsafe { Layout::from_size_align_unchecked(bytes, layout.align()) };
        if [layout, new].iter().any(|layout| is_of_lines(*layout) || is_of_region(*layout)) {
            let to = unsafe { self.alloc(new) };
            if !to.is_null() {
                unsafe { to.copy_from_nonoverlapping(at, layout.size().min(bytes)) };
                unsafe { self.dealloc(at, layout) };
            }
            return to;
        }
        let at = unsafe { System.realloc(at, layout, bytes) };
        advise(at, bytes);
        at
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        match NonNull::new(at) {
            Some(at) if is_of_lines(layout) => {
                unsafe { lock(&LINES).pool.deallocate(at, layout.align()) };
            }
            Some(_) if is_of_region(layout) && lock(&KEPT).take(at) => {}
            _ => unsafe { System.dealloc(at, layout) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of whole lines keep their bytes while they move, grow past a huge page and shrink again.
    #[test]
    #[allow(unsafe_code)]
    fn blocks_keep_their_bytes() {
        let layout = |bytes| Layout::from_size_align(bytes, LINE).expect("small");
        let sizes = [64, 4096, HUGE - 1, HUGE, 2 * HUGE - 1, 2 * HUGE, 3 * HUGE, 100 * LINE, 1];
        // SAFETY: each block is written and read within its layout, and freed once.
        unsafe {
            let mut at = HugePages.alloc_zeroed(layout(64));
            assert!((0..64).all(|byte| at.add(byte).read() == 0));
            let mut held = 64;
            for bytes in sizes {
                at.write_bytes(held as u8, held);
                let kept = held as u8;
                let was = std::mem::replace(&mut held, bytes);
                at = HugePages.realloc(at, layout(was), bytes);
                assert_eq!(at.addr() % LINE, 0);
                assert!((0..was.min(bytes)).all(|byte| at.add(byte).read() == kept));
            }
            HugePages.dealloc(at, layout(held));
        }
    }

    /// The last one first, and no more than there is room for.
    #[test]
    fn freed_blocks_are_given_again() {
        let mut kept = Kept { blocks: [0; 8], count: 0 };
        let at = |place: usize| ptr::without_provenance_mut::<u8>(place * HUGE);
        assert_eq!(kept.give(), None);
        assert!((1..=8).all(|place| kept.take(at(place))) && !kept.take(at(9)));
        let given: Vec<usize> = (0..8).map(|_| kept.give().expect("eight").addr()).collect();
        assert_eq!((given, kept.give()), ((1..=8).rev().map(|place| place * HUGE).collect(), None));
    }

    /// Nobody writes to them, and they are in memory.
    #[test]
    #[allow(unsafe_code)]
    fn whole_huge_pages_are_touched() {
        touch_ahead().expect("a thread");
        let layout = Layout::from_size_align(4 * HUGE, 1).expect("small");
        // SAFETY: the block is looked at, as long as it is held, and freed once.
        unsafe {
            let at = HugePages.alloc(layout);
            assert_eq!(at.addr() % HUGE, 0);
            let mut pages = [0_u8; 4 * HUGE / PAGE];
            let begun = std::time::Instant::now();
            while pages.iter().any(|page| page & 1 == 0) {
                assert!(begun.elapsed().as_secs() < 60, "they were not touched");
                assert_eq!(libc::mincore(at.cast(), 4 * HUGE, pages.as_mut_ptr()), 0);
                std::thread::yield_now();
            }
            HugePages.dealloc(at, layout);
        }
    }
}
