//! Decides whether the rules agree with real chains: blocks, headers and coins from the networks
//! themselves, with what is known of them from elsewhere. Each test is skipped, and says so, where
//! the data is not at hand (`CAESURE_DATA`, or `../shared/data` beside the workspace).
// A test may read files; the crate under test cannot.
#![allow(clippy::disallowed_methods)]

mod blocks;
mod coins;
mod files;
mod headers;
#[path = "../lanes/mod.rs"]
mod lanes;
