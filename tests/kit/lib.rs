//! What the tests are made of: chains to serve, peers that misbehave, nodes to look at, Bitcoin Core to compare with.
//!
//! Nothing here decides what is right; that is in the tests. Real sockets, files and clocks are at home here, except in
//! the simulator.

pub mod binary;
pub mod browser;
pub mod core;
pub mod data;
pub mod digest;
pub mod folder;
pub mod line;
pub mod locks;
pub mod mount;
pub mod node;
pub mod pair;
#[path = "../scripts/mod.rs"]
pub mod scripts;
pub mod server;
#[path = "../sim/mod.rs"]
pub mod sim;
pub mod wire;

pub use crate::folder::Folder;
pub use crate::line::{Line, Made, blocks, made};
pub use crate::mount::Mount;
pub use crate::node::{Node, Setup, poll};
pub use crate::server::{Server, Session, Step};
pub use crate::wire::Wire;

/// Says what was not compared, past the test runner, which keeps the words of tests that pass to itself.
pub fn aloud(line: &str) {
    use std::io::Write;
    // Without a standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Whether the long form of a test was asked for (`CAESURE_FULL=1`); if not, says loudly what is left out.
pub fn full(left_out: &str) -> bool {
    let full = std::env::var_os("CAESURE_FULL").is_some_and(|value| value == "1");
    if !full {
        crate::aloud(&format!("SHORTENED: {left_out} (CAESURE_FULL=1 for all of it)"));
    }
    full
}

/// `caesure coins digest` of the node's folder, with no node running.
pub fn coins_digest(base: &Folder, chain: &str) -> String {
    let words = ["coins", "digest", "--chain", chain, "-b", base.text(), "--no-pin", "--cores", "2"];
    let (status, out, err) = binary::run(&[&words[..], &["--min-chain-work", "0"]].concat());
    assert_eq!(status, 0, "{err}");
    out.trim_end().to_owned()
}
