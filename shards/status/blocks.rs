//! Pages about one block or one transaction: how what was read is shown. Never sees a file; what is known of a block's place
//! among others comes as an argument, and what has become of outputs as the node's answer to the page's question. A page is
//! bounded, however large a block is.

use super::fates::{self, Fated};
use super::format::{btc, bytes, escape, hex, thousands, utc};
use super::frame::{close, open};
use consensus::{Block, BlockHash, Header, Network, TxView, Txid, is_unspendable};
use std::fmt::Write;

/// Transactions on a page …
pub const TXS_MAX: usize = 100;
/// … and inputs and outputs of all of them, unless the first alone has more.
const ROWS_MAX: usize = 1_000;
/// Characters of a described script that are shown.
const SCRIPT_MAX: usize = 400;
/// Forks and places that are listed.
const LINKS_MAX: usize = 16;

/// Where it stands in a page what has become of the next output. Nothing that is shown has such characters.
const FATE: char = '\u{1}';
/// The same for one that never is a coin.
const NO_COIN: char = '\u{2}';
/// Where it stands what world that is.
const WORLD: char = '\u{3}';

/// A page but for what only the node can tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    text: String,
    height: u32,
    /// On another branch: the block in whose world to look.
    block: Option<BlockHash>,
    /// The transactions shown, and how many outputs of each.
    txs: Vec<(Txid, u32)>,
}

impl Draft {
    /// What the node is to be asked, if anything.
    pub fn question(&self) -> Option<String> {
        (!self.txs.is_empty()).then(|| fates::question(self.block, &self.txs))
    }

    /// The page, with the node's answer.
    pub fn page(self, answer: &str) -> String {
        let fated = Fated::read(answer).and_then(|fated| match fated.height < self.height {
            true => Err(format!("the chain is checked up to block {} so far", thousands(fated.height.into()))),
            false => Ok(fated),
        });
        let mut words = fated.iter().flat_map(|fated| &fated.words);
        let mut page = String::with_capacity(self.text.len() + 64 * self.txs.len());
        for c in self.text.chars() {
            match (c, &fated) {
                (WORLD, Ok(fated)) => {
                    let tip = if self.block.is_none() { "the tip, " } else { "" };
                    let _ = write!(page, "Coins as in the world of {tip}block {}.", thousands(fated.height.into()));
                }
                (WORLD, Err(why)) => {
                    let _ = write!(page, "What is spent is not shown: {}.", escape(why, 400));
                }
                (FATE, Err(_)) => {}
                (NO_COIN, _) => {
                    words.next();
                    page.push_str("never a coin");
                }
                (FATE, Ok(_)) => match words.next().copied() {
                    Some("u") => page.push_str("<b>unspent</b>"),
                    Some(height) if height.parse::<u32>().is_ok() && self.block.is_none() => {
                        let _ = write!(page, "spent in <a href=/admin/block/{height}>{height}</a>");
                    }
                    Some(height) if height.parse::<u32>().is_ok() => {
                        let _ = write!(page, "spent in {height}");
                    }
                    Some("-") => page.push_str("spent"),
                    _ => {}
                },
                (c, _) => page.push(c),
            }
        }
        page
    }
}

/// A block by its place.
#[derive(Clone, Debug)]
pub struct Place {
    /// Whose addresses are written.
    pub network: Network,
    /// Its height.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
    /// Its header.
    pub header: Header,
    /// It lies on the best chain.
    pub best: bool,
    /// It, or one below it, is refused or invalidated by hand.
    pub out: bool,
    /// The first block of the chain, and the best one.
    pub ends: (BlockHash, BlockHash),
    /// The block that it builds on, if it is not the first.
    pub prev: Option<BlockHash>,
    /// The blocks that build on it, the best chain's first, and whether each lies there.
    pub next: Vec<(BlockHash, bool)>,
    /// The other blocks at its height.
    pub others: Vec<BlockHash>,
    /// Transactions can be looked up by name.
    pub indexed: bool,
}

fn link(hash: &BlockHash, name: &str) -> String {
    format!("<a href=/admin/block/{hash}>{name}</a> ")
}

/// A block, with its transactions from number `from` on; or why it cannot be read.
pub fn block(place: &Place, block: Result<&Block, &str>, from: usize) -> Draft {
    let network = place.network.name();
    let mut out = open(&format!("block {}", thousands(place.height.into())), network, "");
    walk(place, &mut out);
    let header = &place.header;
    let text = match (place.best, place.out) {
        (true, _) => "on the best chain",
        (false, true) => "<span class=alert>refused, or invalidated by hand, or above such a block</span>",
        (false, false) => "<span class=alert>on another branch</span>",
    };
    let _ = write!(
        out,
        "<section><div class=keys><span>name</span><code>{}</code><span>place</span><div>{text}</div><span>version</span>\
<div>{} ({:08x})</div><span>previous</span><code>{}</code><span>merkle root</span><code>{}</code><span>time</span><div>{} ({})\
</div><span>bits</span><div>{:08x}</div><span>nonce</span><div>{}</div>",
        place.hash,
        header.version,
        header.version,
        header.prev,
        BlockHash(header.merkle_root),
        utc(header.time.into()),
        header.time,
        header.bits,
        header.nonce,
    );
    let mut shown = Vec::new();
    match block {
        Ok(block) => {
            let _ = write!(
                out,
                "<span>transactions</span><div>{}</div><span>size</span><div>{}</div></div></section>",
                thousands(block.txs.len() as u64),
                bytes(block.bytes.len() as u64),
            );
            shown = txs(place, block, from, &mut out);
        }
        Err(why) => {
            let _ = write!(out, "</div></section><section><p>{}</p></section>", escape(why, 400));
        }
    }
    walk(place, &mut out);
    let block = (!place.best).then_some(place.hash);
    Draft { text: close(out, ""), height: place.height, block, txs: shown }
}

/// The ways to the blocks around it.
fn walk(place: &Place, out: &mut String) {
    let (first, last) = place.ends;
    out.push_str("<p>");
    out.push_str(&link(&first, "First"));
    place.prev.iter().for_each(|prev| out.push_str(&link(prev, "Prev")));
    for (hash, best) in place.next.iter().take(LINKS_MAX) {
        match *best || (!place.best && place.next.len() == 1) {
            true => out.push_str(&link(hash, "Next")),
            false => {
                let _ = write!(out, "<a class=alert href=/admin/block/{hash}>Next (another branch)</a> ");
            }
        }
    }
    out.push_str(&link(&last, "Last"));
    for other in place.others.iter().take(LINKS_MAX) {
        let _ = write!(out, "<a class=alert href=/admin/block/{other}>another at this height</a> ");
    }
    out.push_str("</p>");
}

/// As many transactions as fit, and the ways to the rest; which they are, with the number of outputs shown of each.
fn txs(place: &Place, block: &Block, from: usize, out: &mut String) -> Vec<(Txid, u32)> {
    let count = block.txs.len();
    let from = from.min(count.saturating_sub(1));
    let (mut number, mut rows) = (from, 0);
    let (mut text, mut shown) = (String::new(), Vec::new());
    while number < count && number < from + TXS_MAX {
        let tx = block.view(&block.txs[number]);
        let more = tx.inputs.len() + tx.outputs.len();
        if number > from && rows + more > ROWS_MAX {
            break;
        }
        rows += more;
        shown.push(one(place.network, &tx, Some(number), (place.indexed, place.height == 0), &mut text));
        number += 1;
    }
    let mut pages = String::new();
    if from > 0 {
        let before = from.saturating_sub(TXS_MAX);
        let _ = write!(pages, "<a href=\"/admin/block/{}?from={before}\">earlier</a> ", place.hash);
    }
    if from > 0 || number < count {
        let _ = write!(pages, "transactions {from} to {} of {} ", number - 1, thousands(count as u64));
    }
    if number < count {
        let _ = write!(pages, "<a href=\"/admin/block/{}?from={number}\">later</a>", place.hash);
    }
    let _ = write!(out, "<p>{WORLD}</p><p>{pages}</p>{text}<p>{pages}</p>");
    shown
}

/// A transaction: its inputs, its outputs, what each of them says; its name, and how many outputs are shown. Outputs of the genesis
/// block are no coins.
fn one(
    network: Network,
    tx: &TxView,
    number: Option<usize>,
    (indexed, genesis): (bool, bool),
    out: &mut String,
) -> (Txid, u32) {
    let txid = tx.tx.txid;
    let number = number.map(|number| format!("{number} ")).unwrap_or_default();
    let name = |txid: Txid| match indexed {
        true => format!("<a href=/admin/tx/{txid}><code>{txid}</code></a>"),
        false => format!("<code>{txid}</code>"),
    };
    let (size, stripped) = (tx.tx.end - tx.tx.start, tx.tx.stripped_len);
    let paid: u128 = tx.outputs.iter().map(|output| u128::from(output.value)).sum();
    let _ = write!(
        out,
        "<section id=tx-{txid}><h2><b>{number}{}</b><span>{} bytes · weight {} · version {} · lock time {} · pays {} BTC\
</span></h2><div class=scroll><table class=tx><tr><th class=n>in<th>coin<th>description</tr>",
        name(txid),
        thousands(size.into()),
        thousands(u64::from(stripped) * 3 + u64::from(size)),
        tx.tx.version,
        tx.tx.lock_time,
        // Values of a block that broke the rules may be any.
        u64::try_from(paid).map_or_else(|_| "too many".into(), btc),
    );
    for (number, input) in tx.inputs.iter().enumerate().take(ROWS_MAX / 2) {
        let (spent, vout) = tx.prevout(input).split_first_chunk::<32>().expect("36 bytes");
        let vout = u32::from_le_bytes(vout.try_into().expect("four bytes"));
        let coin = match spent {
            [0, ..] if *spent == [0; 32] => "none".into(),
            spent => format!("{}:{vout}", name(Txid(*spent))),
        };
        let told = escape(&describe::input(tx, input, network, None), SCRIPT_MAX);
        let _ = write!(out, "<tr><td class=n>{number}<td>{coin}<td>{told}</tr>");
    }
    more(out, tx.inputs.len(), txid);
    out.push_str(
        "</table></div><div class=scroll><table class=tx><tr><th class=n>out<th class=n>BTC<th>kind<th>to<th>coin</tr>",
    );
    for (number, output) in tx.outputs.iter().enumerate().take(ROWS_MAX / 2) {
        let script = tx.slice(output.script);
        let _ = write!(
            out,
            "<tr><td class=n><a href=/admin/coin/{txid}:{number}>{number}</a><td class=n>{}<td>{}<td>{}<td class=fate>{}</tr>",
            btc(output.value),
            describe::Kind::of(script).name(),
            escape(&told(script, network), SCRIPT_MAX),
            if genesis || is_unspendable(script) { NO_COIN } else { FATE },
        );
    }
    more(out, tx.outputs.len(), txid);
    out.push_str("</table></div></section>");
    (txid, tx.outputs.len().min(ROWS_MAX / 2) as u32)
}

/// An output in words; of data no more than can be shown is written out.
fn told(script: &[u8], network: Network) -> String {
    match script {
        script if script.len() > 2 * SCRIPT_MAX => {
            format!("{} bytes: {}…", script.len(), hex(&script[..SCRIPT_MAX / 4]))
        }
        script => describe::output(script, network),
    }
}

fn more(out: &mut String, all: usize, txid: Txid) {
    if all > ROWS_MAX / 2 {
        let left = thousands((all - ROWS_MAX / 2) as u64);
        let _ = write!(out, "<tr><td><td colspan=4>and {left} more: caesure blocks cat {txid}</tr>");
    }
}

/// A transaction, the block that holds it, its number there, and whether that is on the best chain; the first place is the one
/// that is shown.
pub fn tx(network: Network, txid: Txid, places: &[(BlockHash, Option<u32>, usize, bool)], block: &Block) -> Draft {
    let mut out = open("transaction", network.name(), "");
    let _ = write!(out, "<section><div class=keys><span>name</span><code>{txid}</code>");
    for (hash, height, number, best) in places.iter().take(LINKS_MAX) {
        let height = height.map_or("a height unknown".into(), |height| thousands(height.into()));
        let branch = if *best { "" } else { ", <span class=alert>on another branch</span>" };
        let _ = write!(
            out,
            "<span>in</span><div>number {number} of <a href=\"/admin/block/{hash}?from={number}#tx-{txid}\">block {height}</a> \
<code>{hash}</code>{branch}</div>"
        );
    }
    out.push_str("</div></section>");
    let _ = write!(out, "<p>{WORLD}</p>");
    let (mut at, mut shown) = ((0, None), Vec::new());
    if let Some((hash, height, number, best)) = places.first()
        && let Some(found) = block.txs.get(*number)
    {
        at = (height.unwrap_or(0), (!best).then_some(*hash));
        shown.push(one(network, &block.view(found), None, (true, *height == Some(0)), &mut out));
    }
    Draft { text: close(out, ""), height: at.0, block: at.1, txs: shown }
}
