//! The instructions that `zmm.rs` is made of, and whether this processor has them. `spelled.rs` stands in for this file in tests.

use crate::word::Phase;
pub use std::arch::x86_64::*;

/// Proof that the processor has the instructions.
#[derive(Clone, Copy)]
pub struct Ifma(());

impl Ifma {
    /// Asks the processor.
    pub fn detect() -> Option<Ifma> {
        let all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512ifma")
            && is_x86_feature_detected!("avx512vbmi2");
        all.then_some(Ifma(()))
    }
}

/// Compiled with the features; the phase is inlined into it, and the wrappers of `zmm.rs` into the phase.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512ifma,avx512vbmi2")]
#[inline(never)]
pub fn inside<P: Phase>(phase: P) -> P::Out {
    phase.run()
}
