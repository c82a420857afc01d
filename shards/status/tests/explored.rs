//! Pages about blocks, connections and the ledger: bounded, and nothing hostile reaches a reader.

use super::*;
use crate::status::blocks::{self, Place, TXS_MAX};
use crate::status::frame;
use consensus::{Block, Header};

fn var(n: usize) -> Vec<u8> {
    match n {
        ..253 => vec![n as u8],
        n => [&[0xfd][..], &(n as u16).to_le_bytes()].concat(),
    }
}

/// A transaction that spends coins of one name and pays to these scripts.
fn tx(inputs: usize, script: &[u8], outputs: &[Vec<u8>]) -> Vec<u8> {
    let mut out = [&[1, 0, 0, 0][..], &var(inputs)].concat();
    for n in 0..inputs as u32 {
        out.extend([&[7; 32][..], &n.to_le_bytes(), &var(script.len()), script, &[0xff; 4]].concat());
    }
    out.extend(var(outputs.len()));
    outputs.iter().for_each(|pays| out.extend([&u64::MAX.to_le_bytes()[..], &var(pays.len()), pays].concat()));
    [out, vec![0; 4]].concat()
}

fn block(txs: &[Vec<u8>]) -> Block {
    let header =
        Header { version: -1, prev: hash(1), merkle_root: [3; 32], time: u32::MAX, bits: 0x207f_ffff, nonce: 9 };
    Block::parse([header.to_bytes().to_vec(), var(txs.len()), txs.concat()].concat().into()).unwrap()
}

fn place(block: &Block) -> Place {
    Place {
        network: Network::Main,
        height: 135_000,
        hash: block.hash,
        header: block.header,
        best: true,
        out: false,
        ends: (hash(1), hash(2)),
        prev: Some(hash(3)),
        next: vec![(hash(4), true), (hash(5), false)],
        others: vec![hash(6)],
        indexed: true,
    }
}

#[test]
fn a_block_is_shown_with_the_ways_around_it() {
    let pays = describe::Address::KeyHash([7; 20]).script();
    let block = block(&[tx(1, b"\x04<b>&", &[pays, vec![0x6a, 4, b'<', b'i', b'>', b'"']])]);
    let mut place = place(&block);
    let page = blocks::block(&place, Ok(&block), 0);
    for (name, to) in [("First", 1), ("Last", 2), ("Prev", 3), ("Next", 4)] {
        assert!(page.contains(&format!("<a href=/admin/block/{}>{name}</a>", hash(to))), "{name}");
    }
    assert!(page.contains(&format!("<a class=alert href=/admin/block/{}>Next (another branch)</a>", hash(5))));
    assert!(page.contains(&format!("<a class=alert href=/admin/block/{}>another at this height</a>", hash(6))));
    let address = describe::Address::KeyHash([7; 20]).text(Network::Main);
    for told in [
        "block 135,000",
        "2106-02-07",
        "on the best chain",
        "pubkeyhash",
        "nulldata",
        &address,
        "184467440737.09551615",
    ] {
        assert!(page.contains(told), "{told} in {page}");
    }
    assert!(page.contains("pays too many BTC"), "values that break the rules are shown all the same");
    assert!(page.contains("[&#39;0x3c623e26&#39;]"), "scripts are escaped: {page}");
    assert!(!page.contains("<b>&") && !page.contains("<i>\"") && !page.contains("<script"));
    place.best = false;
    place.out = true;
    let page = blocks::block(&place, Err("it <was> pruned"), 0);
    assert!(page.contains("refused, or invalidated by hand") && page.contains("it &lt;was&gt; pruned"), "{page}");
}

#[test]
fn pages_of_large_blocks_are_bounded_and_lead_on() {
    let small = tx(1, &[0x51], &[vec![0x51]]);
    let many = block(&vec![small.clone(); 1_234]);
    let (mut from, mut seen) = (0, 0);
    loop {
        let page = blocks::block(&place(&many), Ok(&many), from);
        assert!(page.len() < 200_000, "{} bytes", page.len());
        seen += page.matches("<section id=tx-").count();
        let later = page.split("?from=").filter_map(|rest| rest.split_once("\">later")).map(|(n, _)| n).next();
        match later {
            Some(later) => from = later.parse().unwrap(),
            None => break,
        }
        assert_eq!(from % TXS_MAX, 0);
    }
    assert_eq!(seen, 1_234);
    assert!(blocks::block(&place(&many), Ok(&many), usize::MAX).contains("transactions 1233 to 1233 of 1,234"));
    // Very many outputs, very long scripts.
    let long = [vec![0x6a], vec![0x51; 10_000]].concat();
    let wide =
        block(&[tx(3_000, &[0x51; 200], &vec![long; 100]), tx(1, &[0x51], &vec![vec![0x51; 600]; 2_000]), small]);
    let page = blocks::block(&place(&wide), Ok(&wide), 0);
    assert!(page.len() < 600_000, "{} bytes", page.len());
    assert!(page.contains("and 2,500 more: caesure blocks cat"), "inputs");
    assert_eq!(page.matches("<section id=tx-").count(), 1, "what is too wide has a page of its own");
    let page = blocks::tx(Network::Main, wide.txs[1].txid, &[(wide.hash, None, 1, false)], &wide);
    assert!(page.len() < 600_000 && page.contains("and 1,500 more") && page.contains("on another branch"));
}

#[test]
fn tables_and_sentences_show_nothing_hostile() {
    let agent = "</table><script>alert(\"x\")</script>\x1b[2J\u{202e}'&\n";
    let (mut status, mut cx) = sample(2, 3_000, agent);
    let page = at_once(&mut status, &mut cx, "connections");
    assert!(page.contains("&lt;/table&gt;&lt;script&gt;alert(&quot;x&quot;)") && page.contains("and 1,976 more"));
    assert!(page.len() < 1_000_000, "{}", page.len());
    let ledger = at_once(&mut status, &mut cx, "ledger");
    for told in
        [&hash(302).to_string(), "invalidated by hand", "refused: bad-cb-amount", "43,333,463", "6173150.00000000 BTC"]
    {
        assert!(ledger.contains(told), "{told} in {ledger}");
    }
    assert!(at_once(&mut status, &mut cx, "pool").contains("Relay is off"));
    let pages = [page, ledger, frame::sentence(agent, "main", agent), frame::lines("coin", "main", agent)];
    for page in pages {
        assert!(!page.contains("<script") && !page.contains('\x1b') && !page.contains('\u{202e}'));
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    }
}
