//! Answers at the prompt: aligned plain text for a reader at three in the morning, without a final
//! newline. Made from the view alone.

use super::format::{btc, bytes, clean, duration, hex, percent_text, rate, thousands, utc};
use super::lanes::Lanes;
use super::view::{Spent, View};
use crate::effect::{Level, Said};
use consensus::{BlockHash, OutPoint};
use std::fmt::Write;
use std::net::SocketAddr;

/// Peers listed; the rest are counted.
const PEERS_MAX: usize = 200;
/// Distance in typing errors up to which a command is taken for a misspelt one.
const NEAR_MAX: usize = 3;

/// What may be asked: how it is written, and what it tells.
pub const COMMANDS: [(&str, &str); 14] = [
    ("help", "this list"),
    ("status", "what the node is at, in one screen"),
    ("peers", "who is connected"),
    ("worlds", "tips and live worlds, forks included, and what each changes"),
    ("block HEIGHT|HASH", "one block of the header tree"),
    ("deployments [HEIGHT|HASH]", "which rules have begun to bind, and what blocks signal for"),
    ("coin TXID:N [@HEIGHT|@HASH]", "is this coin unspent, in the tip's world or in that live one"),
    ("events", "what was logged last"),
    ("connect IP[:PORT]", "a connection to that address, once (needs --monitor-write)"),
    ("shutdown", "an orderly end of the node (needs --monitor-write)"),
    ("invalidate HASH", "take a block out of the running, with all above it (needs --monitor-write)"),
    ("reconsider HASH", "let it in again, with all above and below it (needs --monitor-write)"),
    ("log [FILTER]", "what is logged; or what shall be from now on, as for --log (needs --monitor-write)"),
    ("topology", "which shard lives on which core"),
];

/// The commands.
pub fn help() -> String {
    let lines = COMMANDS.map(|(usage, tells)| format!("{usage:<29}{tells}"));
    lines.join("\n")
}

/// What is said to a word that is no command.
pub fn unknown(word: &str) -> String {
    let names = COMMANDS.map(|(usage, _)| usage.split(' ').next().expect("split gives at least one"));
    let nearest = names.into_iter().min_by_key(|name| typing_errors(word, name)).expect("there are commands");
    let word = clean(word, 40);
    if typing_errors(&word, nearest) <= NEAR_MAX {
        format!("error: \"{word}\" is no command; did you mean \"{nearest}\"? \"help\" lists all")
    } else {
        format!("error: \"{word}\" is no command; there are: {}", names.join(", "))
    }
}

/// Letters to add, remove or change to get from one word to the other (Levenshtein); only the first
/// 40 are looked at.
fn typing_errors(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(40).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// What the node is at, in one line.
pub fn headline(view: &View) -> String {
    let chain = &view.chain;
    let (done, whole) = view.progress();
    let left = chain
        .eta_s
        .map(|s| format!(", {} blocks/s, {} left", rate(chain.blocks_per_s), duration(s)))
        .unwrap_or_default();
    let (height, headers) = (thousands(chain.height.into()), thousands(chain.headers.into()));
    format!("{}: height {height} of {headers} ({}){left}", chain.state.word(), percent_text(done, whole))
}

/// The node in one screen.
pub fn status(view: &View) -> String {
    let (chain, store, book) = (&view.chain, &view.store, &view.book);
    let mut out = String::new();
    let mut line = |name: &str, text: String| writeln!(out, "{name:<12}{text}").expect("a string takes all");
    let why = if chain.why.is_empty() { String::new() } else { format!(": {}", clean(&chain.why, 200)) };
    line("state", format!("{}{why}", chain.state.word()));
    line("chain", view.setup.params.network.name().to_string());
    let (done, whole) = view.progress();
    let share = percent_text(done, whole);
    line(
        "height",
        format!("{} of {} headers ({share})", thousands(chain.height.into()), thousands(chain.headers.into())),
    );
    line("tip", chain.tip.to_string());
    line("tip age", view.tip_age_s().map_or("-".to_string(), duration));
    line(
        "rate",
        format!(
            "{} blocks/s, {} tx/s, {}/s",
            rate(chain.blocks_per_s),
            rate(chain.txs_per_s),
            bytes(chain.bytes_per_s as u64)
        ),
    );
    line("eta", chain.eta_s.map_or("-".to_string(), duration));
    line("coins", thousands(chain.coins));
    line(
        "peers",
        format!("{} of {} out, {} of {} in", book.outgoing.0, book.outgoing.1, book.incoming.0, book.incoming.1),
    );
    line("cores", cores(view));
    let (used, most) = chain.window_bytes;
    let (growing, parked, loading, asked) = (chain.growing, chain.parked, chain.loading, chain.asked);
    line(
        "window",
        format!(
            "{} of {}: growing {growing}, parked {parked}, loading {loading}, asked {asked}",
            bytes(used),
            bytes(most)
        ),
    );
    let (used, most) = chain.worlds_bytes;
    let (live, root, horizon) = (chain.live, thousands(chain.root.0.into()), chain.horizon);
    line(
        "worlds",
        format!("{live} live over the base at {root}, {} of {}, horizon {horizon}", bytes(used), bytes(most)),
    );
    line(
        "blocks.bin",
        format!(
            "{}, durable up to {}, {} syncs, {}",
            bytes(store.end),
            bytes(store.durable),
            thousands(store.syncs),
            view.history()
        ),
    );
    if let Some(why) = view.checkpoint_failed() {
        line("checkpoints", format!("not written: {}; tried again in a minute", clean(why, 200)));
    }
    line("addresses", format!("{} known", thousands(book.known as u64)));
    let [inputs, signatures, again] = view.scripts().map(thousands);
    line("scripts", format!("{}; {inputs} inputs run, {signatures} signatures, {again} run again", chain.scripts));
    line("lanes", Lanes::of(view).text());
    if let Some(history) = view.unverified() {
        line("history", history);
    }
    if let Some(warning) = &book.warning {
        line("warning", clean(warning, 200));
    }
    line("version", format!("{}, up {}", view.setup.version, duration(view.up_s)));
    out.trim_end().to_string()
}

/// What the cores did over the last second: how much of it, and with what.
fn cores(view: &View) -> String {
    let spent = &view.load.spent[..view.setup.plan.cores()];
    let sum = |part: usize| spent.iter().map(|spent| f64::from(spent.parts[part])).sum::<f64>() / 1e3;
    let parts: Vec<String> = (Spent::names().enumerate())
        .filter(|(part, _)| sum(*part) > 0.0)
        .map(|(part, (name, _))| format!("{name} {:.2}", sum(part)))
        .collect();
    let busy: u32 = spent.iter().map(|spent| u32::from(spent.busy())).sum();
    let waiting: u64 = spent.iter().map(|spent| spent.waiting).sum();
    let with = if parts.is_empty() { String::new() } else { format!(" with {}", parts.join(", ")) };
    let waiting = rate(waiting as f64 / 1e3);
    format!("{:.2} of {} busy{with}; {waiting} inputs wait", f64::from(busy) / 1e3, spent.len())
}

/// Who is connected.
pub fn peers(view: &View) -> String {
    let all = view.all_peers();
    if all.is_empty() {
        return "nobody is connected".to_string();
    }
    let width = all.iter().take(PEERS_MAX).map(|peer| peer.address.to_string().len()).max().unwrap_or(0).max(7);
    let mut out = format!(
        "{:<width$}  dir  {:>8}  {:>9}  {:>5}  {:>7}  {:>8}  {:>8}  {:<12}  agent\n",
        "address", "height", "ping", "asked", "blocks", "received", "sent", "age"
    );
    for peer in all.iter().take(PEERS_MAX) {
        let ping = peer.ping_ms.map_or("-".to_string(), |ms| format!("{ms} ms"));
        let agent = if peer.up { clean(&peer.agent, 40) } else { "(handshake)".to_string() };
        let address = peer.address.to_string();
        let _ = writeln!(
            out,
            "{address:<width$}  {}  {:>8}  {ping:>9}  {:>5}  {:>7}  {:>8}  {:>8}  {:<12}  {agent}",
            if peer.inbound { "in " } else { "out" },
            peer.start_height,
            peer.asked,
            peer.blocks,
            bytes(peer.bytes.0),
            bytes(peer.bytes.1),
            duration(peer.age_s),
        );
    }
    if all.len() > PEERS_MAX {
        let _ = writeln!(out, "and {} more", all.len() - PEERS_MAX);
    }
    out.trim_end().to_string()
}

/// Tips and live worlds.
pub fn worlds(view: &View) -> String {
    let chain = &view.chain;
    let mut out = format!("{:>9}  {:<64}  branch  status\n", "tip at", "hash");
    for leaf in &chain.tips {
        let branch = if leaf.branch_len == 0 { "-".to_string() } else { leaf.branch_len.to_string() };
        let _ = writeln!(out, "{:>9}  {}  {branch:>6}  {}", leaf.height, leaf.hash, clean(&leaf.status, 80));
    }
    let _ = writeln!(
        out,
        "\n{:>9}  {:<64}  grew from         line    status       {:>11}  {:>14}  {:>8}",
        "world at", "hash", "coins", "delta", "memory"
    );
    for world in &chain.worlds {
        let line = match world.active {
            _ if world.hash == chain.tip => "tip",
            true => "active",
            false => "-",
        };
        let status = if world.invalidated { "invalidated" } else { world.status };
        let coins = world.coins.map_or("-".to_string(), thousands);
        let delta = world.delta.map_or("-".to_string(), |(made, taken)| format!("+{made} -{taken}"));
        let (at, hash, memory) = (world.height, world.hash, bytes(world.bytes));
        // The end of a hash tells more than its zeros.
        let parent = &world.parent.to_string()[48..];
        let _ =
            writeln!(out, "{at:>9}  {hash}  {parent}  {line:<6}  {status:<11}  {coins:>11}  {delta:>14}  {memory:>8}");
    }
    if chain.live > chain.worlds.len() {
        let _ = writeln!(out, "and {} more", chain.live - chain.worlds.len());
    }
    let ((used, most), (spent, all)) = (chain.worlds_bytes, view.nursery());
    let _ = write!(
        out,
        "{:>9}  {}  the root, below which all is one base\nhorizon {} blocks; the worlds take about {} of {}\n\
nursery: {} of {} coins ({}) were spent before they reached the base\nbranches left by the tip: {}",
        chain.root.0,
        chain.root.1,
        chain.horizon,
        bytes(used),
        bytes(most),
        thousands(spent),
        thousands(all),
        percent_text(spent, all),
        thousands(chain.switches),
    );
    out
}

/// What was logged last, the last line at the end.
pub fn events(view: &View) -> String {
    let line = |said: &Said| {
        let word = if said.level == Level::Warn { "WARN " } else { "" };
        format!("{}  {word}{}", utc(said.unix), clean(&said.line, 400))
    };
    let lines: Vec<String> = view.events.iter().map(line).collect();
    if lines.is_empty() { "nothing was logged".into() } else { lines.join("\n") }
}

/// An address as it is typed.
pub fn address(text: &str, port: u16) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| Some(SocketAddr::new(text.trim_matches(['[', ']']).parse().ok()?, port)))
}

/// Which shard lives where.
pub fn topology(view: &View) -> String {
    view.setup.plan.to_string().trim_end().to_string()
}

/// What was found of a coin in the world of one block.
pub fn coin(outpoint: &OutPoint, world: (u32, BlockHash), found: Option<(u64, u32, bool, Box<[u8]>)>) -> String {
    let name = format!("{}:{}", outpoint.txid, outpoint.vout);
    let (height, hash) = world;
    match found {
        None => format!("coin {name} is not unspent in the world of block {hash} at height {height}"),
        Some((value, made, coinbase, script)) => format!(
            "coin        {name}\nunspent in  the world of block {hash} at height {height}\n\
value       {} BTC\nmade at     {made}{}\nscript      {}",
            btc(value),
            if coinbase { " by a coinbase" } else { "" },
            if script.is_empty() { "(empty)".to_string() } else { hex(&script) },
        ),
    }
}
