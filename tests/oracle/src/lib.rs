//! Bitcoin Core's own code, for those who compare with it: `cargo oracle` and the fuzzer. Decides nothing.

pub mod core;
