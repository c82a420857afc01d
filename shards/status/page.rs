//! The status page: one self-contained piece of HTML, made from the view alone. It can be read without its script, which only
//! puts new parts in the place of old ones; it asks for no other file, and shows nothing from outside unescaped.

mod cores;
mod flow;
pub(super) mod tree;

use super::format::{bytes, duration, escape, percent, percent_text, rate, thousands, utc};
use super::lanes::Lanes;
use super::tables::{WORLDS_HEAD, world_cells};
use super::view::View;
use crate::effect::Level;
use crate::report::Peer;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Peers shown; the rest are counted. All tables are cut so that the page stays below 60 KB.
const PEERS_MAX: usize = 16;
/// Worlds shown in words, the highest.
const WORLDS_MAX: usize = 6;
/// Leaves of the header tree shown.
const TIPS_MAX: usize = 8;
/// Shards whose partitions are told apart.
const SHARDS_MAX: usize = 32;
/// Lines of the log shown.
const EVENTS_MAX: usize = 8;

/// What all pages wear.
pub(super) const STYLE: &str = include_str!("page/page.css");
/// Puts parts in their places as they come, once a second; asks for them where they do not.
const SCRIPT: &str = include_str!("page/page.js");

/// What writes a part.
type Part = fn(&View, &mut String);

/// The parts of the page but for its head, row by row, each a list of columns.
const PARTS: [&[&[(&str, Part)]]; 4] = [
    &[&[("worlds", worlds)]],
    &[&[("window", flow::window)]],
    &[
        &[("cores", cores::strips)],
        &[("ways", flow::ways), ("latencies", flow::latencies)],
        &[("partitions", partitions), ("matrix", cores::matrix), ("file", file), ("tips", tips)],
    ],
    &[&[("peers", peers), ("events", events)]],
];

fn title(view: &View) -> String {
    let network = view.setup.params.network.name();
    format!("{} {} · caesure {network}", view.chain.state.word(), thousands(view.chain.height.into()))
}

fn written(part: Part, view: &View) -> String {
    let mut out = String::with_capacity(8 << 10);
    part(view, &mut out);
    out
}

/// The page.
pub fn html(view: &View) -> String {
    let mut out = String::with_capacity(64 << 10);
    let _ = write!(
        out,
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
<title>{}</title><link rel=icon href=\"data:,\"><noscript><meta http-equiv=refresh content=2></noscript>\
<style>{STYLE}</style></head><body><div class=wall><div id=head>{}</div><main>",
        title(view),
        written(head, view),
    );
    for row in PARTS {
        let _ = write!(out, "<div class=\"row of{}\">", row.len());
        for column in row {
            out.push_str("<div>");
            for (name, part) in *column {
                let _ = write!(out, "<section id={name}>{}</section>", written(*part, view));
            }
            out.push_str("</div>");
        }
        out.push_str("</div>");
    }
    let _ = writeln!(
        out,
        "</main><footer><a href=status.json>the same as JSON</a></footer></div><script>{SCRIPT}</script></body></html>"
    );
    out
}

/// What is inside of each part, by name, and the title: JSON on one line.
pub fn parts(view: &View) -> String {
    let all = PARTS.iter().flat_map(|row| row.iter()).flat_map(|column| column.iter());
    let mut parts: BTreeMap<&str, String> = all.map(|(name, part)| (*name, written(*part, view))).collect();
    parts.insert("head", written(head, view));
    parts.insert("title", title(view));
    serde_json::to_string(&parts).expect("strings are always JSON")
}

/// Name, version and ways to the other pages; then the state.
fn head(view: &View, out: &mut String) {
    let _ = write!(
        out,
        "<header><span><b>caesure<i>‖</i>{}</b></span><span>{}</span><span>up {}</span>{}</header>",
        view.setup.params.network.name(),
        escape(&view.setup.version, 60),
        duration(view.up_s),
        super::frame::ways("status"),
    );
    hero(view, out);
}

/// State, why, what is not checked, progress, and the numbers everybody looks for.
fn hero(view: &View, out: &mut String) {
    let chain = &view.chain;
    let state = chain.state.word();
    let _ = write!(out, "<h1 class=\"state {state}\">{state}</h1><p class=why>{}</p>", escape(&chain.why, 200));
    let _ = write!(out, "<p class=why>{}</p>", escape(&chain.scripts, 200));
    if let Some(flag) = view.unverified() {
        let _ = write!(out, "<p class=flag>{flag}</p>");
    }
    if let Some(flag) = view.book.warning.as_deref() {
        let _ = write!(out, "<p class=flag>{}</p>", escape(flag, 200));
    }
    if let Some(why) = view.checkpoint_failed() {
        let _ = write!(out, "<p class=flag>checkpoints are not written: {}</p>", escape(why, 200));
    }
    let (done, whole) = view.progress();
    let _ = write!(
        out,
        "<div class=height><b>{}</b><span>of {} headers</span><span>{}</span></div>\
<div class=bar><div style=\"width:{:.2}%\"></div></div><dl class=facts>",
        thousands(chain.height.into()),
        thousands(chain.headers.into()),
        percent_text(done, whole),
        percent(done, whole).min(100.0),
    );
    let fact = |out: &mut String, name: &str, value: String, unit: &str| {
        let _ = write!(out, "<div><dt>{name}</dt><dd>{value} <small>{unit}</small></dd></div>");
    };
    fact(out, "blocks", rate(chain.blocks_per_s), "/s");
    fact(out, "transactions", rate(chain.txs_per_s), "/s");
    fact(out, "block data", rate(chain.bytes_per_s / 1e6), "MB/s");
    fact(out, "time left", chain.eta_s.map_or("–".to_string(), duration), "");
    fact(out, "coins", thousands(chain.coins), "");
    fact(out, "age of the tip", view.tip_age_s().map_or("–".to_string(), duration), "");
    let _ = write!(out, "<div><dt>signatures in lanes</dt><dd class=text>{}</dd></div>", Lanes::of(view).text());
    out.push_str("</dl>");
}

fn heading(out: &mut String, name: &str, right: &str) {
    let _ = write!(out, "<h2><b>{name}</b><span>{right}</span></h2>");
}

/// Coins of each partition as a thin bar; the colour changes where the next shard's range begins.
fn partitions(view: &View, out: &mut String) {
    let most = view.coins.iter().flat_map(|(_, list)| list).copied().max().unwrap_or(0);
    let least = view.coins.iter().flat_map(|(_, list)| list).copied().min().unwrap_or(0);
    let right = format!("{} to {} each", thousands(least.into()), thousands(most.into()));
    heading(out, "coins by partition", &right);
    let mut paths = [String::new(), String::new()];
    // Two colours by turns tell shards apart, up to as many as can be told apart.
    let colours = if view.coins.len() <= SHARDS_MAX { 2 } else { 1 };
    for (shard, (_, list)) in view.coins.iter().enumerate() {
        let path = &mut paths[shard % colours];
        if path.is_empty() || colours == 2 {
            let _ = write!(path, "M{} 72", view.setup.plan.partitions(shard as u16).start);
        }
        for coins in list {
            let _ = write!(path, "V{:.0}h1", 72.0 - f64::from(*coins) * 72.0 / f64::from(most.max(1)));
        }
        if colours == 2 {
            path.push_str("V72z");
        }
    }
    paths[0].push_str("V72z");
    let [even, odd] = paths;
    let _ = write!(
        out,
        "<svg class=parts viewBox=\"0 0 256 72\" preserveAspectRatio=none \
role=img aria-label=\"coins in each of 256 partitions\">\
<path d=\"{even}\"/><path class=odd d=\"{odd}\"/></svg>"
    );
    let (spent, all) = view.nursery();
    let sum = |of: fn(&ledger::worlds::Tally) -> u64| view.coins.iter().map(|(tally, _)| of(tally)).sum::<u64>();
    let _ = write!(
        out,
        "<div class=keys style=\"margin-top:12px\"><span>in the base</span>{} coins, {}\
<span>in recent worlds</span>{} versions\
<span>spent before the base</span>{} coins, {}</div>",
        thousands(sum(|tally| tally.base_coins)),
        bytes(sum(|tally| tally.base_bytes)),
        thousands(sum(|tally| tally.versions)),
        thousands(spent),
        percent_text(spent, all),
    );
}

/// The last blocks as a picture, and the highest worlds in words.
fn worlds(view: &View, out: &mut String) {
    let chain = &view.chain;
    let (used, most) = chain.worlds_bytes;
    let root = thousands(chain.root.0.into());
    let right = format!("{} live over the base at {root}, {} of {}", chain.live, bytes(used), bytes(most));
    heading(out, "worlds", &right);
    let (picture, left) = tree::svg(&chain.worlds, &chain.past);
    let left = if left > 0 { format!("{left} rivals not drawn · ") } else { String::new() };
    let _ = write!(
        out,
        "<div class=\"scroll end\">{picture}</div><p class=soft>the last {} blocks · filled: valid, hollow: growing or being \
checked, pale: folded into the base or dropped · bars: memory of each world · {left}horizon {} blocks · branches left by the \
tip: {}</p><p class=tip><span class=soft>tip</span> <code>{}</code></p>",
        tree::COLUMNS,
        chain.horizon,
        thousands(chain.switches),
        chain.tip,
    );
    world_rows(view, out);
}

/// The highest worlds, and what each changes.
fn world_rows(view: &View, out: &mut String) {
    let chain = &view.chain;
    out.push_str(WORLDS_HEAD);
    for world in chain.worlds.iter().take(WORLDS_MAX) {
        let (hash, parent) = (world.hash.to_string(), world.parent.to_string());
        let _ = write!(
            out,
            "<tr><td class=n>{}<td title={hash}><code>…{}</code><td title={parent}><code>…{}</code>",
            thousands(world.height.into()),
            &hash[48..],
            &parent[48..],
        );
        world_cells(chain, world, out);
    }
    out.push_str("</table></div>");
    if chain.live > WORLDS_MAX {
        let _ = write!(out, "<p class=soft>and {} more</p>", chain.live - WORLDS_MAX.min(chain.worlds.len()));
    }
}

fn tips(view: &View, out: &mut String) {
    let tips = &view.chain.tips;
    heading(out, "tips of the header tree", &format!("{} known", tips.len()));
    out.push_str("<div class=scroll><table><tr><th class=n>height<th>hash<th class=n>branch<th>status</tr>");
    for leaf in tips.iter().take(TIPS_MAX) {
        let hash = leaf.hash.to_string();
        let branch = if leaf.branch_len == 0 { "–".to_string() } else { leaf.branch_len.to_string() };
        let _ = write!(
            out,
            "<tr><td class=n>{}<td title={hash}><code>…{}</code><td class=n>{branch}<td>{}</tr>",
            thousands(leaf.height.into()),
            &hash[48..],
            escape(&leaf.status, 60),
        );
    }
    out.push_str("</table></div>");
    if tips.len() > TIPS_MAX {
        let _ = write!(out, "<p class=soft>and {} more</p>", tips.len() - TIPS_MAX);
    }
}

fn file(view: &View, out: &mut String) {
    let store = &view.store;
    heading(out, "blocks.bin", &bytes(store.end));
    let _ = write!(
        out,
        "<div class=keys><span>durable</span>{}<span>written since the start</span>{}\
<span>that is</span>{}<span>checkpoints written</span>{}\
<span>syncs</span>{}<span>history</span>{}</div>",
        bytes(store.durable),
        bytes(store.written),
        view.amplification().map_or("–".into(), |times| format!("{times:.3} bytes for each byte of blocks")),
        bytes(view.setup.pages.sum_cores(|core| &core.checkpoint_bytes)),
        thousands(store.syncs),
        view.history(),
    );
}

fn peers(view: &View, out: &mut String) {
    let all = view.all_peers();
    let book = &view.book;
    let ((out_now, out_max), (in_now, in_max)) = (book.outgoing, book.incoming);
    let known = thousands(book.known as u64);
    let right = format!("{out_now} of {out_max} out · {in_now} of {in_max} in · {known} addresses known");
    heading(out, "peers", &right);
    out.push_str(
        "<div class=scroll><table><tr><th>address<th><th>agent<th class=n>height<th class=n>ping<th class=n>asked\
<th class=n>blocks<th class=n>received<th class=n>sent<th class=n>connected</tr>",
    );
    for peer in all.iter().take(PEERS_MAX) {
        row(peer, out);
    }
    out.push_str("</table></div>");
    if all.is_empty() {
        out.push_str("<p class=soft>nobody is connected</p>");
    }
    if all.len() > PEERS_MAX {
        let _ = write!(out, "<p class=soft>and {} more</p>", thousands((all.len() - PEERS_MAX) as u64));
    }
}

fn row(peer: &Peer, out: &mut String) {
    let agent = if peer.up { escape(&peer.agent, 40) } else { "<span class=soft>handshake</span>".to_string() };
    let _ = write!(
        out,
        "<tr><td>{}<td class=soft>{}<td>{agent}<td class=n>{}\
<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}</tr>",
        peer.address,
        if peer.inbound { "in" } else { "out" },
        thousands(peer.start_height.into()),
        peer.ping_ms.map_or("–".to_string(), |ms| format!("{ms} ms")),
        peer.asked,
        thousands(peer.blocks),
        bytes(peer.bytes.0),
        bytes(peer.bytes.1),
        duration(peer.age_s),
    );
}

/// What was logged last, the newest on top.
fn events(view: &View, out: &mut String) {
    heading(out, "events", "UTC");
    for said in view.events.iter().rev().take(EVENTS_MAX) {
        let class = if said.level == Level::Warn { " alert" } else { "" };
        let _ = write!(
            out,
            "<p class=\"event{class}\"><code>{}</code> {}</p>",
            &utc(said.unix)[11..19],
            escape(&said.line, 130)
        );
    }
    if view.events.is_empty() {
        out.push_str("<p class=soft>nothing was logged</p>");
    }
}
