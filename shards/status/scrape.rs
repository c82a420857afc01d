//! The view as figures for Prometheus, in its text format 0.0.4: `/metrics` for the whole node, `/metrics/cores` for each core
//! and shard; and whether the node is ready. Reads published counters and the last reports when it is asked, so that no
//! figure can drift; asks nobody. Names of addresses, transactions or peers are never labels: there is no end of them.
//!
//! Every name is made by one grammar, and a test holds all of them to it:
//!
//! ```text
//! name    = "caesure_" subject "_" action "_" unit [ "_total" ]
//! subject = what it is about, one word of those that the test lists, singular; "core" and "shard" on /metrics/cores and
//!           nowhere else
//! action  = one word in the past tense: what was done to the subject, or what it did
//! unit    = the last word before "_total", listed there too: base units (bytes, seconds, ratio), else what is counted, in the
//!           plural; "height" is a block's; "info" is always 1 and tells by its labels; "state" is 1 or 0
//! _total  = on counters, which begin with 0 at each start, since OpenMetrics demands it there; on nothing else
//! ```

mod cores;
mod node;

use super::view::View;
use crate::metrics::{Counter, Work};
use crate::report::State;
use std::fmt::Write;

/// Whether a figure only grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It grows from 0 at the start of the node.
    Counter,
    /// It is what it is.
    Gauge,
}

/// Figures of one name.
pub struct Family {
    /// By the grammar above.
    pub name: &'static str,
    /// How it goes.
    pub kind: Kind,
    /// A sentence.
    pub help: &'static str,
    read: fn(&Source, &mut Rows),
}

const fn gauge(name: &'static str, help: &'static str, read: fn(&Source, &mut Rows)) -> Family {
    Family { name, kind: Kind::Gauge, help, read }
}

const fn counter(name: &'static str, help: &'static str, read: fn(&Source, &mut Rows)) -> Family {
    Family { name, kind: Kind::Counter, help, read }
}

/// What figures are made from.
struct Source<'a> {
    view: &'a View,
    /// Bytes that may still be written where the folder lies; the edge knows.
    free: Option<u64>,
}

impl Source<'_> {
    /// A counter of the shards, over all cores.
    fn sum(&self, of: fn(&Work) -> &Counter) -> u64 {
        self.view.setup.pages.sum(of)
    }
}

/// The figures of a family, written down.
struct Rows<'a> {
    name: &'static str,
    out: &'a mut String,
}

impl Rows<'_> {
    fn row(&mut self, labels: &str, value: impl std::fmt::Display) {
        let _ = match labels {
            "" => writeln!(self.out, "{} {value}", self.name),
            labels => writeln!(self.out, "{}{{{labels}}} {value}", self.name),
        };
    }

    fn one(&mut self, value: impl Into<u64>) {
        self.row("", value.into());
    }

    /// Nanoseconds as seconds, with all digits.
    fn seconds(&mut self, labels: &str, ns: u64) {
        self.row(labels, format_args!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000));
    }

    /// Thousandths as a ratio.
    fn ratio(&mut self, labels: &str, permille: u64) {
        self.row(labels, format_args!("{}.{:03}", permille / 1_000, permille % 1_000));
    }
}

/// Every family, those of the node and those of cores.
pub fn families() -> impl Iterator<Item = &'static Family> {
    node::FAMILIES.iter().chain(cores::FAMILIES)
}

fn text(families: &[Family], source: &Source) -> String {
    let (mut out, mut figures) = (String::with_capacity(16 << 10), String::new());
    for Family { name, kind, help, read } in families {
        figures.clear();
        read(source, &mut Rows { name, out: &mut figures });
        // What cannot be told at the moment is not there, rather than 0.
        if !figures.is_empty() {
            let kind = if *kind == Kind::Counter { "counter" } else { "gauge" };
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{figures}");
        }
    }
    out
}

/// The node as a whole; `free` are the bytes that the disk has left, if the edge could tell.
pub fn node(view: &View, free: Option<u64>) -> String {
    text(node::FAMILIES, &Source { view, free })
}

/// Each core and each shard.
pub fn cores(view: &View) -> String {
    text(cores::FAMILIES, &Source { view, free: None })
}

/// What `ready` is answered with by a node that is.
pub const READY: &str = "ready";

/// Why the node is not to be relied on, a sentence each; none where it is.
pub fn reasons(view: &View) -> Vec<String> {
    let chain = &view.chain;
    let mut reasons = Vec::new();
    if chain.state != State::Synced {
        let why = if chain.why.is_empty() { String::new() } else { format!(": {}", chain.why) };
        reasons.push(format!(
            "syncing: {} at height {} of {} headers{why}",
            chain.state.word(),
            chain.height,
            chain.headers
        ));
    }
    if !view.all_peers().iter().any(|peer| peer.up) {
        reasons.push("no peers: nobody is connected, so nothing new is heard of".into());
    }
    reasons.extend(view.unverified());
    if let Some(why) = view.checkpoint_failed() {
        reasons.push(format!("disk trouble: checkpoints are not written: {why}"));
    }
    reasons
}

/// [`READY`], or the reasons, a line each.
pub fn ready(view: &View) -> String {
    let reasons = reasons(view);
    if reasons.is_empty() { READY.into() } else { reasons.join("\n") }
}
