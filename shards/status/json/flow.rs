//! Blocks on their way, how long things take, and what was logged, as the JSON has them.

use crate::effect::{self, Level};
use crate::metrics::Latency;
use crate::report::{self, Mark};
use crate::status::format::clean;
use crate::status::view::View;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
pub(in crate::status) struct Latencies {
    step: Within,
    block: Within,
    sync: Within,
}

/// Microseconds, rounded up to powers of two.
#[derive(Serialize)]
pub(in crate::status) struct Within {
    count: u64,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    p999_us: Option<u64>,
}

/// Milliseconds.
#[derive(Serialize)]
pub(in crate::status) struct Way {
    height: u32,
    hash: String,
    txs: u32,
    bytes: u32,
    fetch_ms: Option<u32>,
    wait_ms: u32,
    check_ms: u32,
    order_ms: u32,
    disk_ms: u32,
}

#[derive(Serialize)]
pub(in crate::status) struct Marks {
    from: u32,
    /// A letter for each: wanted, asked, loading, received, growing, verified, durable.
    marks: String,
    /// Of whom, by height.
    asked: BTreeMap<u32, u64>,
}

#[derive(Serialize)]
pub(in crate::status) struct Said {
    unix: u64,
    level: &'static str,
    line: String,
}

/// Of the whole node.
pub(super) fn latencies(view: &View) -> Latencies {
    let pages = &view.setup.pages;
    Latencies {
        step: within(pages.latency(|core| &core.step_us)),
        block: within(view.chain.latency),
        sync: within(pages.latency(|core| &core.sync_us)),
    }
}

fn within(latency: Latency) -> Within {
    let [p50_us, p99_us, p999_us] = [500, 990, 999].map(|permille| latency.within_us(permille));
    Within { count: latency.count(), p50_us, p99_us, p999_us }
}

pub(super) fn way(way: &report::Way) -> Way {
    Way {
        height: way.height,
        hash: way.hash.to_string(),
        txs: way.txs,
        bytes: way.bytes,
        fetch_ms: way.fetch,
        wait_ms: way.wait,
        check_ms: way.check,
        order_ms: way.order,
        disk_ms: way.disk,
    }
}

pub(super) fn marks(chain: &report::Chain) -> Marks {
    let letter = |mark: &Mark| match mark {
        Mark::Wanted => 'w',
        Mark::Asked(_) => 'a',
        Mark::Loading => 'l',
        Mark::Received => 'r',
        Mark::Growing => 'g',
        Mark::Verified => 'v',
        Mark::Durable => 'd',
    };
    let asked = (chain.marks_from..).zip(&chain.marks).filter_map(|(height, mark)| match mark {
        Mark::Asked(peer) => Some((height, *peer)),
        _ => None,
    });
    Marks { from: chain.marks_from, marks: chain.marks.iter().map(letter).collect(), asked: asked.collect() }
}

pub(super) fn said(said: &effect::Said) -> Said {
    let level = if said.level == Level::Warn { "warn" } else { "info" };
    Said { unix: said.unix, level, line: clean(&said.line, 400) }
}
