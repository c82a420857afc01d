//! Pages about blocks, connections and the ledger: bounded, and nothing hostile reaches a reader.

use super::*;
use crate::status::blocks::{self, Place, TXS_MAX};
use crate::status::frame;
use consensus::{Block, Header};
use ledger::worlds::Fate;

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
    let page = blocks::block(&place, Ok(&block), 0).page("");
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
    let page = blocks::block(&place, Err("it <was> pruned"), 0).page("");
    assert!(page.contains("refused, or invalidated by hand") && page.contains("it &lt;was&gt; pruned"), "{page}");
}

#[test]
fn pages_of_large_blocks_are_bounded_and_lead_on() {
    let small = tx(1, &[0x51], &[vec![0x51]]);
    let many = block(&vec![small.clone(); 1_234]);
    let (mut from, mut seen) = (0, 0);
    loop {
        let page = blocks::block(&place(&many), Ok(&many), from).page("");
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
    assert!(
        blocks::block(&place(&many), Ok(&many), usize::MAX).page("").contains("transactions 1233 to 1233 of 1,234")
    );
    // Very many outputs, very long scripts.
    let long = [vec![0x6a], vec![0x51; 10_000]].concat();
    let wide =
        block(&[tx(3_000, &[0x51; 200], &vec![long; 100]), tx(1, &[0x51], &vec![vec![0x51; 600]; 2_000]), small]);
    let page = blocks::block(&place(&wide), Ok(&wide), 0).page("");
    assert!(page.len() < 600_000, "{} bytes", page.len());
    assert!(page.contains("and 2,500 more: caesure blocks cat"), "inputs");
    assert_eq!(page.matches("<section id=tx-").count(), 1, "what is too wide has a page of its own");
    let page = blocks::tx(Network::Main, wide.txs[1].txid, &[(wide.hash, None, 1, false)], &wide).page("");
    assert!(page.len() < 600_000 && page.contains("and 1,500 more") && page.contains("on another branch"));
}

#[test]
fn each_output_says_what_became_of_it() {
    let pays = vec![0x51];
    let block =
        block(&[tx(1, b"", &[pays.clone(), vec![0x6a], pays.clone()]), tx(1, b"\x01\x02", &[pays.clone(), pays])]);
    let mut at = place(&block);
    let cells = |page: &str| -> Vec<String> {
        page.split("<td class=fate>").skip(1).map(|rest| rest.split("</tr>").next().unwrap().to_owned()).collect()
    };
    let names = [0, 1].map(|number| block.txs[number].txid);
    let draft = blocks::block(&at, Ok(&block), 0);
    assert_eq!(draft.question().unwrap(), format!("fates {}:3 {}:2", names[0], names[1]));
    let page = draft.clone().page(&format!("135010 {}\nu - 135002\n- u", hash(2)));
    let link = "spent in <a href=/admin/block/135002>135002</a>";
    assert_eq!(cells(&page), ["<b>unspent</b>", "never a coin", link, "spent", "<b>unspent</b>"]);
    assert!(page.contains("in the world of the tip, block 135,010."), "{page}");
    for (answer, told) in [
        ("error: no <world>", "not shown: no &lt;world&gt;."),
        (&format!("134999 {}\nu u u\nu u", hash(2)), "not shown: the chain is checked up to block 134,999 so far."),
        ("", "not shown: the node did not answer."),
    ] {
        let page = draft.clone().page(answer);
        assert!(page.contains(told), "{told} in {page}");
        assert_eq!(cells(&page), ["", "never a coin", "", "", ""]);
    }
    // Off the best chain it is its own world that counts; what it says of heights is no link.
    at.best = false;
    let draft = blocks::block(&at, Ok(&block), 0);
    assert!(draft.question().unwrap().starts_with(&format!("fates @{} ", block.hash)));
    let page = draft.page(&format!("135000 {}\n135000 - u\n- u", block.hash));
    assert!(page.contains("in the world of block 135,000.") && cells(&page)[0] == "spent in 135000", "{page}");
    at.height = 0;
    assert_eq!(cells(&blocks::block(&at, Ok(&block), 0).page(""))[0], "never a coin", "of the genesis block");
}

#[test]
fn fates_are_asked_of_all_who_own_the_outputs() {
    let (mut status, mut cx) = sample(16, 0, "");
    let names: Vec<consensus::Txid> =
        ["00", "ff", "01"].map(|last| format!("{}{last}", "ab".repeat(31)).parse().unwrap()).into();
    ask(&mut status, &mut cx, 7, &format!("fates {}:2 {}:1 {}:1", names[0], names[1], names[2]));
    assert!(matches!(cx.words.pop(), Some((ShardId::Chain, Msg::WhichWorld { question: 7, block: None }))));
    status.step(Input::Msg(Msg::World { question: 7, world: Ok((55, 9, hash(2))) }), &mut cx);
    let asked: Vec<_> = cx
        .words
        .drain(..)
        .map(|(to, word)| match word {
            Msg::Look { question: 7, what: Question::Fates(txs, 55) } => (to, txs),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(asked.len(), 2, "two lie in partitions of one shard");
    for (number, (owner, txs)) in asked.iter().enumerate().rev() {
        assert!(txs.iter().all(|(txid, _)| status.view.setup.plan.owner(ledger::partition_of(txid)) == *owner));
        assert_eq!(answers(&mut cx), [], "not before the last has answered");
        let fates = |(txid, count): &(consensus::Txid, u32)| (*txid, vec![Fate::Spent(number as u32); *count as usize]);
        let part = Finding::Fates(txs.iter().map(fates).collect());
        status.step(Input::Msg(Msg::Seen { question: 7, finding: part }), &mut cx);
    }
    let of = |name: usize| asked.iter().position(|(_, txs)| txs.iter().any(|(txid, _)| *txid == names[name])).unwrap();
    let (first, second, third) = (of(0), of(1), of(2));
    assert_eq!(answer_to(&mut cx, 7), format!("9 {}\n{first} {first} \n{second} \n{third} ", hash(2)));
    // A world may be folded while the question travels.
    for (question, of) in [(8, format!("fates @9 {}:1", names[0])), (9, format!("coin {}:0 @9", names[0]))] {
        ask(&mut status, &mut cx, question, &of);
        status.step(Input::Msg(Msg::World { question, world: Ok((55, 9, hash(2))) }), &mut cx);
        status.step(Input::Msg(Msg::Seen { question, finding: Finding::NoWorld }), &mut cx);
        assert!(answer_to(&mut cx, question).starts_with("error: the world was gone"), "{of}");
    }
    cx.words.clear();
    for bad in ["", "@", "@9", "x", "ab:1", &format!("{}:-1", names[0]), &format!("{}:1001", names[0])] {
        assert!(at_once(&mut status, &mut cx, &format!("fates {bad}")).starts_with("error: "), "{bad}");
    }
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
