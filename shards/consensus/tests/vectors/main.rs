//! Decides whether scripts are judged as other people's vectors say: Bitcoin Core's own, those of the
//! BIPs, and bundles of cases found by fuzzing. Each file prints how many cases it held; each case
//! is run with both checkers.
//!
//! Core's are read from `CAESURE_DATA`, or from the sources in the registry package
//! libbitcoinkernel-sys where cargo has fetched it.
// A test may read files; the crate under test cannot.
#![allow(clippy::disallowed_methods)]

mod bundles;
mod choices;
mod core;
mod digests;
#[path = "../real/files.rs"]
#[allow(dead_code, reason = "shared with the tests on real blocks")]
mod files;
#[path = "../lanes/mod.rs"]
mod lanes;
mod made;
mod taproot;
