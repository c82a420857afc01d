//! The memory of the process: as the system gives it, with huge pages asked for wherever an allocation is as large as one.
//! Then the processor finds a page of many gigabytes of coins without walking tables. Where the kernel has no huge pages
//! to give, or must not, everything is the same, only slower. Never knows what the memory is for.

use std::alloc::{GlobalAlloc, Layout, System};

/// Bytes of a huge page (x86-64, and aarch64 with pages of 4 KiB).
const HUGE: usize = 2 << 20;
/// Bytes of a page: what madvise wants its addresses to be multiples of.
const PAGE: usize = 4096;

/// The system's allocator, which asks for huge pages.
#[derive(Debug)]
pub struct HugePages;

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

// SAFETY: every answer is the system's own.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let at = unsafe { System.alloc(layout) };
        advise(at, layout.size());
        at
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let at = unsafe { System.alloc_zeroed(layout) };
        advise(at, layout.size());
        at
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let at = unsafe { System.realloc(at, layout, bytes) };
        advise(at, bytes);
        at
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}
