//! Blocks on their way, on the page: how far each of the window has come, how long the last ones took and what for, and how
//! long steps, syncs and pings take.

use super::heading;
use crate::metrics::{BUCKETS, Latency};
use crate::report::{Mark, Peer, Way};
use crate::status::format::{bytes, percent, thousands};
use crate::status::view::View;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Blocks in a row of the window.
const ROW: usize = 128;
/// Blocks in the waterfall.
const WAYS_MAX: usize = 12;
/// Peers named at their marks; those of the others look the same and have no name.
const NAMED_MAX: usize = 64;

/// The stages of [`Mark`], in order: class, and what is said of it.
const STAGES: [(&str, &str); 7] = [
    ("wanted", "wanted"),
    ("asked", "asked"),
    ("loading", "being read"),
    ("received", "received"),
    ("growing", "being checked"),
    ("verified", "verified"),
    ("durable", "and durable"),
];

fn stage(mark: Mark) -> usize {
    match mark {
        Mark::Wanted => 0,
        Mark::Asked(_) => 1,
        Mark::Loading => 2,
        Mark::Received => 3,
        Mark::Growing => 4,
        Mark::Verified => 5,
        Mark::Durable => 6,
    }
}

/// A mark for each block around the tip and in the window, and the memory that these may take.
pub(super) fn window(view: &View, out: &mut String) {
    let chain = &view.chain;
    let (used, most) = chain.window_bytes;
    heading(out, "window", &format!("{} of {}", bytes(used), bytes(most)));
    let mut runs: BTreeMap<(usize, Option<u64>), (String, usize)> = BTreeMap::new();
    let mut counts = [0; STAGES.len()];
    let (mut at, all) = (0, &chain.marks);
    while at < all.len() {
        let mark = all[at];
        let row_end = (at / ROW + 1) * ROW;
        let long = all[at..all.len().min(row_end)].iter().take_while(|other| **other == mark).count();
        let peer = if let Mark::Asked(peer) = mark { Some(peer) } else { None };
        let (path, count) = runs.entry((stage(mark), peer)).or_default();
        let _ = write!(path, "M{} {}h{long}", at % ROW, at / ROW * 10 + 4);
        (counts[stage(mark)], *count) = (counts[stage(mark)] + long, *count + long);
        at += long;
    }
    let _ = write!(
        out,
        "<svg class=marks style=\"height:{0}px\" viewBox=\"0 0 {ROW} {0}\" preserveAspectRatio=none role=img aria-label=\"blocks of the window\">",
        all.len().div_ceil(ROW).max(1) * 10,
    );
    let addresses: BTreeMap<u64, &Peer> = view.peers.iter().flatten().map(|peer| (peer.id, peer)).collect();
    for (named, ((stage, peer), (path, count))) in runs.into_iter().enumerate() {
        let _ = write!(out, "<path class={} d=\"{path}\">", STAGES[stage].0);
        if let Some(peer) = peer.and_then(|peer| addresses.get(&peer)).filter(|_| named < NAMED_MAX) {
            let _ = write!(out, "<title>{count} asked of {}</title>", peer.address);
        }
        out.push_str("</path>");
    }
    out.push_str("</svg><p class=legend>");
    for ((class, what), count) in STAGES.into_iter().zip(counts) {
        let _ = write!(out, "<span><i class={class}></i>{what} {count}</span>");
    }
    let last = u64::from(chain.marks_from) + (all.len() as u64).saturating_sub(1);
    let _ = write!(
        out,
        "</p><div class=keys><span>heights</span>{} to {}, {ROW} in a row\
<span>blocks</span>{} growing, {} parked, {} loading, {} asked\
<span>since the start</span>{} blocks, {} transactions, {}\
<span>memory</span>{} for all but coins, {} of it in unfinished messages</div>",
        thousands(chain.marks_from.into()),
        thousands(last),
        chain.growing,
        chain.parked,
        chain.loading,
        chain.asked,
        thousands(chain.done.0),
        thousands(chain.done.1),
        bytes(chain.done.2),
        bytes(view.setup.budget.total),
        bytes(view.setup.pages.sum(|work| &work.buffered_bytes)),
    );
}

/// The stages of a block's way: class, and what it is.
const SPANS: [(&str, &str); 4] =
    [("asked", "fetched"), ("received", "waited"), ("growing", "checked"), ("verified", "waited for its parent")];

/// The last blocks, what each took and what for.
pub(super) fn ways(view: &View, out: &mut String) {
    let ways = &view.chain.ways[..view.chain.ways.len().min(WAYS_MAX)];
    let spans = |way: &Way| [way.fetch.unwrap_or(0), way.wait, way.check, way.order];
    let whole = |way: &Way| spans(way).iter().sum::<u32>().max(way.fetch.unwrap_or(0) + way.disk);
    let most = ways.iter().map(whole).max().unwrap_or(0).max(1);
    heading(out, "the last blocks on their way", &format!("{} ms at most", thousands(most.into())));
    let share = |ms: u32| percent(ms.into(), most.into());
    for way in ways {
        let _ = write!(
            out,
            "<div class=way title=\"{} transactions, {}\"><a href=/admin/block/{}>{}</a><div>",
            thousands(way.txs.into()),
            bytes(way.bytes.into()),
            way.hash,
            thousands(way.height.into()),
        );
        for ((class, _), ms) in SPANS.into_iter().zip(spans(way)).filter(|(_, ms)| *ms > 0) {
            let _ = write!(out, "<i class={class} style=\"width:{:.1}%\"></i>", share(ms));
        }
        let (from, long) = (share(way.fetch.unwrap_or(0)), share(way.disk));
        let _ = write!(
            out,
            "<u style=\"left:{from:.1}%;width:{long:.1}%\"></u></div><b>{} ms</b></div>",
            thousands(whole(way).into())
        );
    }
    if ways.is_empty() {
        out.push_str("<p class=soft>none since the start</p>");
    }
    out.push_str("<p class=legend>");
    for (class, what) in SPANS {
        let _ = write!(out, "<span><i class={class}></i>{what}</span>");
    }
    out.push_str("<span><i class=disk></i>on its way to disk</span></p>");
}

/// Microseconds in the unit that fits.
fn short(us: u64) -> String {
    match us {
        ..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{} s", us / 1_000_000),
    }
}

/// Distributions, a bar for each power of two.
pub(super) fn latencies(view: &View, out: &mut String) {
    heading(out, "how long things take", "half of them · 99 % · 99.9 % · count");
    let mut pings = Latency::default();
    view.peers.iter().flatten().filter_map(|peer| peer.ping_ms).for_each(|ms| pings.add(ms * 1_000));
    let pages = &view.setup.pages;
    let rows = [
        ("step", "one step of a shard", pages.latency(|core| &core.step_us)),
        ("block", "from the moment it had come until it was valid and durable", view.chain.latency),
        ("sync", "of blocks.bin", pages.latency(|core| &core.sync_us)),
        ("ping", "the last of each peer", pings),
    ];
    for (name, what, latency) in rows {
        let most = latency.0.iter().copied().max().unwrap_or(0).max(1);
        let _ = write!(
            out,
            "<div class=latency title=\"{what}\"><span>{name}</span><svg viewBox=\"0 0 {BUCKETS} 20\" \
preserveAspectRatio=none><path d=\""
        );
        // By its logarithm, so that the few slow ones are seen beside the many fast ones.
        let up = |count: u64| 20.0 * (count as f64 + 1.0).log2() / (most as f64 + 1.0).log2();
        for (i, count) in latency.0.iter().enumerate().filter(|(_, count)| **count > 0) {
            let _ = write!(out, "M{i}.5 20v-{:.1}", up(*count));
        }
        let within = |permille| latency.within_us(permille).map_or("–".into(), short);
        let _ = write!(
            out,
            "\"/></svg><small>{} · {} · {} · {}</small></div>",
            within(500),
            within(990),
            within(999),
            thousands(latency.count())
        );
    }
    let _ = write!(
        out,
        "<p class=soft>from 1 µs at the left to {} and more, by powers of two</p>",
        short(1 << (BUCKETS - 2))
    );
}
