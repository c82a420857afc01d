//! Tells the processor which memory will be wanted soon, so that many look-ups wait for it together. A hint: without it
//! everything is the same, only slower. The only unsafe code below the wall.

/// Asks for the cache line that this lies in, and the next one.
#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(unsafe_code)]
pub(crate) fn prefetch<T>(at: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let at = std::ptr::from_ref(at).cast::<i8>();
    // SAFETY: PREFETCHT0 (SSE, which every x86-64 has) reads nothing that a program can see and never faults, whatever
    // the address (Intel SDM 2B); so the second address may lie behind the object, and is not made by `add`.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(at);
        _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(64));
    }
}

/// Other processors get no hint.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn prefetch<T>(_: &T) {}
