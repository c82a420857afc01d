//! Pages about one block or one transaction: how what was read is shown. Never sees a file; what is known of a block's place
//! among others comes as an argument. A page is bounded, however large a block is.

use super::format::{btc, bytes, escape, hex, thousands, utc};
use super::frame::{close, open};
use consensus::{Block, BlockHash, Header, Network, TxView, Txid};
use std::fmt::Write;

/// Transactions on a page …
pub const TXS_MAX: usize = 100;
/// … and inputs and outputs of all of them, unless the first alone has more.
const ROWS_MAX: usize = 1_000;
/// Characters of a described script that are shown.
const SCRIPT_MAX: usize = 400;
/// Forks and places that are listed.
const LINKS_MAX: usize = 16;

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
pub fn block(place: &Place, block: Result<&Block, &str>, from: usize) -> String {
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
    match block {
        Ok(block) => {
            let _ = write!(
                out,
                "<span>transactions</span><div>{}</div><span>size</span><div>{}</div></div></section>",
                thousands(block.txs.len() as u64),
                bytes(block.bytes.len() as u64),
            );
            txs(place, block, from, &mut out);
        }
        Err(why) => {
            let _ = write!(out, "</div></section><section><p>{}</p></section>", escape(why, 400));
        }
    }
    walk(place, &mut out);
    close(out, "")
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

/// As many transactions as fit, and the ways to the rest.
fn txs(place: &Place, block: &Block, from: usize, out: &mut String) {
    let count = block.txs.len();
    let from = from.min(count.saturating_sub(1));
    let (mut number, mut rows) = (from, 0);
    let mut text = String::new();
    while number < count && number < from + TXS_MAX {
        let tx = block.view(&block.txs[number]);
        let more = tx.inputs.len() + tx.outputs.len();
        if number > from && rows + more > ROWS_MAX {
            break;
        }
        rows += more;
        one(place.network, &tx, Some(number), place.indexed, &mut text);
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
    let _ = write!(out, "<p>{pages}</p>{text}<p>{pages}</p>");
}

/// A transaction: its inputs, its outputs, what each of them says.
fn one(network: Network, tx: &TxView, number: Option<usize>, indexed: bool, out: &mut String) {
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
        "</table></div><div class=scroll><table class=tx><tr><th class=n>out<th class=n>BTC<th>kind<th>to</tr>",
    );
    for (number, output) in tx.outputs.iter().enumerate().take(ROWS_MAX / 2) {
        let script = tx.slice(output.script);
        let _ = write!(
            out,
            "<tr><td class=n><a href=/admin/coin/{txid}:{number}>{number}</a><td class=n>{}<td>{}<td>{}</tr>",
            btc(output.value),
            describe::Kind::of(script).name(),
            escape(&told(script, network), SCRIPT_MAX),
        );
    }
    more(out, tx.outputs.len(), txid);
    out.push_str("</table></div></section>");
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
        let _ = write!(out, "<tr><td><td colspan=3>and {left} more: caesure blocks cat {txid}</tr>");
    }
}

/// A transaction, the block that holds it, its number there, and whether that is on the best chain; the first place is the one
/// that is shown.
pub fn tx(network: Network, txid: Txid, places: &[(BlockHash, Option<u32>, usize, bool)], block: &Block) -> String {
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
    if let Some(found) = places.first().and_then(|(_, _, number, _)| block.txs.get(*number)) {
        one(network, &block.view(found), None, true, &mut out);
    }
    close(out, "")
}
