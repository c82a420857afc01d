//! The status page: one self-contained piece of HTML, made from the view alone. Needs no script (the
//! few lines it carries refresh it without a flicker, and go on trying while the node is away), asks
//! for no other file, and shows nothing from outside unescaped.

use super::forks;
use super::format::{bytes, duration, escape, percent, percent_text, rate, thousands};
use super::lanes::Lanes;
use super::tables::{WORLDS_HEAD, world_cells};
use super::view::{SAMPLES, Spent, View};
use crate::report::Peer;
use std::fmt::Write;

/// Peers shown; the rest are counted. All tables are cut so that the page stays below 60 KB.
const PEERS_MAX: usize = 32;
/// Cores shown one by one.
const CORES_MAX: usize = 24;
/// Worlds shown in words, the highest.
const WORLDS_MAX: usize = 12;
/// Leaves of the header tree shown.
const TIPS_MAX: usize = 12;

/// What all pages wear.
pub(super) const STYLE: &str = include_str!("page.css");
/// Fetches the page every two seconds and puts it in place, unless something is being selected.
const SCRIPT: &str = "setInterval(async()=>{try{const t=await(await fetch(location.href)).text(),\
d=new DOMParser().parseFromString(t,'text/html');if(!getSelection().isCollapsed)return;\
document.title=d.title;document.body.innerHTML=d.body.innerHTML;document.body.className=''}\
catch{document.body.className='lost'}},2000)";

/// The page.
pub fn html(view: &View) -> String {
    let chain = &view.chain;
    let network = view.setup.params.network.name();
    let mut out = String::with_capacity(32 << 10);
    let _ = write!(
        out,
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
<title>{} {} · caesure {network}</title><link rel=icon href=\"data:,\">\
<noscript><meta http-equiv=refresh content=2></noscript><style>{STYLE}</style><script>{SCRIPT}</script></head><body>\
<header><span><b>caesure<i>‖</i>{network}</b></span><span>{}</span><span>up {}</span>{}</header>",
        chain.state.word(),
        thousands(chain.height.into()),
        escape(&view.setup.version, 60),
        duration(view.up_s),
        super::frame::ways("status"),
    );
    hero(view, &mut out);
    out.push_str("<main>");
    worlds(view, &mut out);
    out.push_str("<div class=columns>");
    cores(view, &mut out);
    window(view, &mut out);
    partitions(view, &mut out);
    file(view, &mut out);
    tips(view, &mut out);
    out.push_str("</div>");
    peers(view, &mut out);
    out.push_str("</main><footer><span><a href=status.json>the same as JSON</a></span></footer></body></html>\n");
    out
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
    fact(out, "signatures in lanes", Lanes::of(view).text(), "");
    out.push_str("</dl>");
}

fn heading(out: &mut String, name: &str, right: &str) {
    let _ = write!(out, "<section><h2><b>{name}</b><span>{right}</span></h2>");
}

fn cores(view: &View, out: &mut String) {
    let (count, desk) = (view.setup.plan.cores(), view.setup.plan.desk());
    let percents: Vec<u16> = (0..=desk).map(|core| view.load.now(core) / 10).collect();
    heading(out, "cores", "last half minute · busy · inputs waiting");
    let rows = (0..count.min(CORES_MAX)).chain([desk]);
    for (core, shards) in rows.map(|row| (row, &view.setup.plan.executors[row])) {
        let name = if core == desk { "desk".into() } else { core.to_string() };
        let names: Vec<String> = shards.iter().map(|shard| shard.to_string()).collect();
        let history = &view.load.busy[core];
        let mut path = String::new();
        for (i, permille) in history.iter().enumerate().filter(|(_, permille)| **permille > 0) {
            let _ = write!(path, "M{} 20v-{:.1}", (SAMPLES - history.len() + i) * 3 + 2, f64::from(*permille) / 50.0);
        }
        let _ = write!(
            out,
            "<div class=core><span>{name}</span><span>{}</span>\
<svg class=spark viewBox=\"0 0 92 20\" preserveAspectRatio=none><path d=\"{path}\"/></svg><b>{} %</b>",
            names.join(" "),
            percents[core],
        );
        let spent = view.load.spent[core];
        parts(&spent, out);
        let _ = write!(out, "<small>{}</small></div>", rate(spent.waiting as f64 / 1e3));
    }
    if count > CORES_MAX {
        let rest = &percents[CORES_MAX..count];
        let mean = rest.iter().map(|p| usize::from(*p)).sum::<usize>() / rest.len();
        let most = rest.iter().max().expect("there are more");
        let _ = write!(out, "<p class=soft>and {} more, {mean} % busy on average, {most} % at most</p>", rest.len());
    }
    legend(view, out);
    let [received, sent] = view.load.net;
    let _ = write!(out, "<p class=soft>network: {}/s in, {}/s out</p></section>", bytes(received), bytes(sent));
}

/// What a core did over the last second, as a bar.
fn parts(spent: &Spent, out: &mut String) {
    out.push_str("<div class=spent>");
    for ((name, _), part) in Spent::names().zip(spent.parts).filter(|(_, part)| *part > 0) {
        let _ = write!(out, "<i class={name} style=\"width:{:.1}%\"></i>", f64::from(part) / 10.0);
    }
    out.push_str("</div>");
}

/// What the colours mean, and the share of each in what all cores did.
fn legend(view: &View, out: &mut String) {
    let sum = |part: usize| view.load.spent.iter().map(|spent| u64::from(spent.parts[part])).sum::<u64>();
    let all: u64 = (0..Spent::PARTS).map(sum).sum();
    out.push_str("<p class=legend>");
    for (part, (name, what)) in Spent::names().enumerate() {
        let _ =
            write!(out, "<span title=\"{what}\"><i class={name}></i>{name} {:.0} %</span>", percent(sum(part), all));
    }
    out.push_str("</p>");
}

/// Coins of each partition as a thin bar; the colour changes where the next shard's range begins.
fn partitions(view: &View, out: &mut String) {
    let most = view.coins.iter().flat_map(|(_, list)| list).copied().max().unwrap_or(0);
    let least = view.coins.iter().flat_map(|(_, list)| list).copied().min().unwrap_or(0);
    let right = format!("{} to {} each", thousands(least.into()), thousands(most.into()));
    heading(out, "coins by partition", &right);
    let mut paths = [String::new(), String::new()];
    for (shard, (_, list)) in view.coins.iter().enumerate() {
        let first = view.setup.plan.partitions(shard as u16).start;
        for (i, coins) in list.iter().enumerate().filter(|(_, coins)| **coins > 0) {
            let up = f64::from(*coins) * 72.0 / f64::from(most);
            let _ = write!(paths[shard % 2], "M{}.5 72v-{up:.1}", first + i);
        }
    }
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
<span>spent before the base</span>{} coins, {}</div></section>",
        thousands(sum(|tally| tally.base_coins)),
        bytes(sum(|tally| tally.base_bytes)),
        thousands(sum(|tally| tally.versions)),
        thousands(spent),
        percent_text(spent, all),
    );
}

fn worlds(view: &View, out: &mut String) {
    let chain = &view.chain;
    let (used, most) = chain.worlds_bytes;
    let root = thousands(chain.root.0.into());
    let right = format!("{} live over the base at {root}, {} of {}", chain.live, bytes(used), bytes(most));
    heading(out, "worlds", &right);
    let (picture, left) = forks::svg(&chain.worlds);
    let left = if left > 0 { format!("{left} rivals not drawn · ") } else { String::new() };
    let _ = write!(
        out,
        "<div class=\"scroll end\">{picture}</div><p class=soft>filled: valid, hollow: growing or being checked · \
{left}horizon {} blocks · branches left by the tip: {}</p>\
<p class=tip><span class=soft>tip</span> <code>{}</code></p>",
        chain.horizon,
        thousands(chain.switches),
        chain.tip,
    );
    world_rows(view, out);
    out.push_str("</section>");
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
    out.push_str("</section>");
}

/// The blocks in flight and the memory they may take.
fn window(view: &View, out: &mut String) {
    let chain = &view.chain;
    let (used, most) = chain.window_bytes;
    heading(out, "window", &format!("{} of {}", bytes(used), bytes(most)));
    let _ = write!(
        out,
        "<div class=\"bar thin\"><div style=\"width:{:.2}%\"></div></div><div class=keys>\
<span>blocks</span>{} growing, {} parked, {} loading, {} asked\
<span>since the start</span>{} blocks, {} transactions, {}\
<span>memory</span>{} for all but coins, {} of it in unfinished messages</div></section>",
        percent(used, most).min(100.0),
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

fn file(view: &View, out: &mut String) {
    let store = &view.store;
    heading(out, "blocks.bin", &bytes(store.end));
    let _ = write!(
        out,
        "<div class=keys><span>durable</span>{}<span>written since the start</span>{}\
<span>syncs</span>{}<span>history</span>{}</div></section>",
        bytes(store.durable),
        bytes(store.written),
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
    out.push_str("</section>");
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
