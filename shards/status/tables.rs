//! Pages that are tables of what the shards reported last: connections, ledger, pool. Ask nobody.

use super::format::{btc, bytes, duration, escape, hex, percent_text, thousands};
use super::frame::{close, open};
use super::view::View;
use crate::report::{Chain, World};
use std::fmt::Write;

/// Rows of a table at most; the rest are counted.
const ROWS_MAX: usize = 1_024;

fn name(view: &View) -> &'static str {
    view.setup.params.network.name()
}

fn rest(out: &mut String, all: usize) {
    if all > ROWS_MAX {
        let _ = write!(out, "<p class=soft>and {} more</p>", thousands((all - ROWS_MAX) as u64));
    }
}

/// Every connection, those of ours first, the oldest first.
pub fn connections(view: &View) -> String {
    let mut all = view.all_peers();
    all.sort_by_key(|peer| peer.inbound);
    let mut out = open("connections", name(view), "connections");
    let ((outgoing, out_max), (incoming, in_max)) = (view.book.outgoing, view.book.incoming);
    let _ = write!(
        out,
        "<section><h2><b>peers</b><span>{outgoing} of {out_max} out · {incoming} of {in_max} in · {} addresses known\
</span></h2><div class=scroll><table><tr><th class=n>number<th>address<th>direction<th class=n>version<th>services\
<th>agent<th class=n>height<th class=n>ping<th class=n>asked<th class=n>blocks<th class=n>received<th class=n>sent\
<th class=n>connected</tr>",
        thousands(view.book.known as u64),
    );
    for peer in all.iter().take(ROWS_MAX) {
        let _ = write!(
            out,
            "<tr><td class=n>{}<td>{}<td>{}<td class=n>{}<td><code>{}</code><td>{}<td class=n>{}<td class=n>{}\
<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}</tr>",
            peer.id,
            peer.address,
            if peer.inbound { "in" } else { "out" },
            peer.version,
            hex(&peer.services.to_be_bytes()).trim_start_matches('0'),
            if peer.up { escape(&peer.agent, 80) } else { "<span class=soft>handshake</span>".into() },
            thousands(peer.start_height.into()),
            peer.ping_ms.map_or("–".into(), |ms| format!("{ms} ms")),
            peer.asked,
            thousands(peer.blocks),
            bytes(peer.bytes.0),
            bytes(peer.bytes.1),
            duration(peer.age_s),
        );
    }
    out.push_str("</table></div>");
    if all.is_empty() {
        out.push_str("<p class=soft>nobody is connected</p>");
    }
    rest(&mut out, all.len());
    out.push_str("</section>");
    close(out, "connections")
}

/// Tips, worlds, base, and what all of it comes to.
pub fn ledger(view: &View) -> String {
    let chain = &view.chain;
    let mut out = open("ledger", name(view), "ledger");
    let sum = |of: fn(&ledger::worlds::Tally) -> u64| view.coins.iter().map(|(tally, _)| of(tally)).sum::<u64>();
    let (spent, all) = view.nursery();
    let (used, most) = chain.worlds_bytes;
    let _ = write!(
        out,
        "<section><h2><b>totals</b></h2><div class=keys><span>tip</span><a href=/admin/block/{}>{}</a>\
<span>coins at the tip</span>{}<span>issued up to there, at most</span>{} BTC<span>root, at the horizon</span>\
<a href=/admin/block/{}>{}</a><span>horizon</span>{} blocks<span>in the base</span>{} coins, {}<span>over the base</span>\
{} worlds, {} versions, {} of {}<span>spent before the base</span>{} coins, {}<span>branches left by the tip</span>{}\
</div></section>",
        chain.tip,
        thousands(chain.height.into()),
        thousands(chain.coins),
        btc(issued(chain.height, view.setup.params)),
        chain.root.1,
        thousands(chain.root.0.into()),
        chain.horizon,
        thousands(sum(|tally| tally.base_coins)),
        bytes(sum(|tally| tally.base_bytes)),
        chain.live,
        thousands(sum(|tally| tally.versions)),
        bytes(used),
        bytes(most),
        thousands(spent),
        percent_text(spent, all),
        thousands(chain.switches),
    );
    out.push_str(
        "<section><h2><b>tips</b></h2><div class=scroll><table><tr><th class=n>height<th>hash<th class=n>branch<th>status</tr>",
    );
    for leaf in chain.tips.iter().take(ROWS_MAX) {
        let _ = write!(
            out,
            "<tr><td class=n>{}<td><a href=/admin/block/{1}><code>{1}</code></a><td class=n>{2}<td>{3}</tr>",
            thousands(leaf.height.into()),
            leaf.hash,
            leaf.branch_len,
            escape(&leaf.status, 80),
        );
    }
    out.push_str("</table></div>");
    rest(&mut out, chain.tips.len());
    out.push_str("</section>");
    worlds(view, &mut out);
    close(out, "ledger")
}

/// What coinbases up to a height may have made, the genesis block's left out, which is no coin.
fn issued(height: u32, params: &consensus::Params) -> u64 {
    let interval = params.halving_interval;
    let (mut sum, mut from) = (0, 1);
    while from <= height && params.subsidy(from) > 0 {
        let next = (from / interval + 1).saturating_mul(interval).min(height + 1);
        sum += u64::from(next - from) * params.subsidy(from);
        from = next;
    }
    sum
}

/// What stands over the columns of a table of worlds.
pub(super) const WORLDS_HEAD: &str = "<div class=scroll><table><tr><th class=n>height<th>hash<th>grew from<th>line<th>status\
<th class=n>coins<th class=n>made<th class=n>taken<th class=n>memory</tr>";

/// The columns of a world behind its name and its parent's, and the end of its row.
pub(super) fn world_cells(chain: &Chain, world: &World, out: &mut String) {
    let number = |n: Option<u64>| n.map_or("–".into(), thousands);
    let line = match world.active {
        _ if world.hash == chain.tip => "tip",
        true => "active",
        false => "–",
    };
    let _ = write!(
        out,
        "<td>{line}<td>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}</tr>",
        if world.invalidated { "invalidated by hand" } else { world.status },
        number(world.coins),
        number(world.delta.map(|(made, _)| made)),
        number(world.delta.map(|(_, taken)| taken)),
        bytes(world.bytes),
    );
}

fn worlds(view: &View, out: &mut String) {
    let chain = &view.chain;
    let (picture, left) = super::page::tree::svg(&chain.worlds, &chain.past);
    let left = if left > 0 { format!("<p class=soft>{left} rivals not drawn</p>") } else { String::new() };
    let _ = write!(
        out,
        "<section><h2><b>worlds</b><span>{} live over the base</span></h2><div class=\"scroll end\">{picture}</div>{left}{WORLDS_HEAD}",
        chain.live,
    );
    for world in chain.worlds.iter().take(ROWS_MAX) {
        let _ = write!(
            out,
            "<tr><td class=n>{}<td><a href=/admin/block/{1}><code>{1}</code></a><td><code>…{2}</code>",
            thousands(world.height.into()),
            world.hash,
            &world.parent.to_string()[48..],
        );
        world_cells(chain, world, out);
    }
    out.push_str("</table></div>");
    rest(out, chain.live);
    out.push_str("</section>");
}

/// There is none yet, and it says so.
pub fn pool(view: &View) -> String {
    let mut out = open("pool", name(view), "pool");
    out.push_str(
        "<section><p>Relay is off: this node asks for no transactions, keeps none that are not in a block, and passes none on. \
So the pool is empty, and this is not a failure.</p></section>",
    );
    close(out, "pool")
}
