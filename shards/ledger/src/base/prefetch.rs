//! Tells the processor which memory will be wanted soon, so that many look-ups wait for it together. A hint: without it
//! everything is the same, only slower. Beside the registers of `lanes` the only unsafe code below the wall.

/// Asks for the cache line that this lies in.
#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(unsafe_code)]
pub(crate) fn prefetch<T>(at: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: PREFETCHT0 (SSE, which every x86-64 has) changes nothing that a program can see and never faults (Intel SDM
    // 2B); and the address is that of a live object.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(at).cast()) }
}

/// Other processors get no hint.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn prefetch<T>(_: &T) {}
