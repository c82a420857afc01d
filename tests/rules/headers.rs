//! Rules of headers on regtest, and on regtest with BIP94.

use crate::{Found, ended, regtest};
use caesure_bench::block::Block;
use caesure_tests::pair::{Pair, Start};
use consensus::{BlockHash, Header, HeaderCx, Network, Params, Rule, check_header};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// Turns the nonce until the hash begins like that.
fn mined(mut block: Block, begins: impl Fn(u8) -> bool) -> Block {
    block.root();
    while !begins(block.hash()[31]) {
        block.header.nonce += 1;
    }
    block
}

pub fn compare() -> Found {
    let mut pair = parents(regtest());
    work(&mut pair);
    let (mut rows, mut wrong) = timewarp();
    // The last: its time lies in the future, and no block on it may have an earlier one for long.
    times(&mut pair);
    let (more, bad) = ended(pair);
    rows.extend(more);
    wrong.extend(bad);
    (rows, wrong)
}

fn parents(mut pair: Pair) -> Pair {
    let orphan = pair.bent(vec![], |block| block.header.prev = [7; 32]);
    pair.broken(&[Rule::PrevBlkNotFound], "a parent that nobody knows", &orphan);

    let bad = pair.bent(vec![], |block| block.txs[0].outputs[0].value += 1);
    pair.broken(&[Rule::BadCbAmount], "a satoshi too many", &bad);
    let mut on_it = bad.clone();
    on_it.header.prev = bad.hash();
    on_it.header.time += 1;
    on_it.seal();
    pair.broken(&[Rule::BadPrevblk], "on an invalid block", &on_it);
    // A header that the tree holds as refused is passed over in silence; one from before a start is named.
    let mut pair = pair.restart();
    pair.broken(&[Rule::DuplicateInvalid], "the same header again, after a restart", &bad);
    let right = pair.next(vec![]);
    pair.kept(Rule::BadPrevblk, "on its parent instead", &right);
    pair
}

fn work(pair: &mut Pair) {
    let above = mined(pair.next(vec![]), |first| first == 0x80);
    pair.broken(&[Rule::HighHash], "a hash just above the target", &above);
    let below = mined(pair.next(vec![]), |first| first == 0x7f);
    pair.kept(Rule::HighHash, "a hash just below the target", &below);

    // No hash meets these, which are no targets at all or beyond the limit: the bits themselves are never looked at.
    for (bits, what) in [
        (0x2100_ffff, "a target beyond the limit"),
        (0x20ff_ffff, "a negative target"),
        (0x2000_0000, "a target of zero"),
        (0xff12_3456, "a target of more than 256 bits"),
    ] {
        let mut block = pair.next(vec![]);
        block.header.bits = bits;
        let block = mined(block, |first| first < 0x10);
        pair.broken(&[Rule::HighHash, Rule::BadDiffbits], what, &block);
    }
    for (bits, what) in [
        (0x207f_fffe, "a target one step harder"),
        (0x2070_0000, "a harder target"),
        (0x2100_7fff, "an easier form of nearly the same target"),
    ] {
        let mut block = pair.next(vec![]);
        block.header.bits = bits;
        let block = mined(block, |first| first < 0x10);
        pair.broken(&[Rule::BadDiffbits], what, &block);
    }
    let right = pair.next(vec![]);
    pair.kept(Rule::BadDiffbits, "the parent's bits", &right);
}

fn times(pair: &mut Pair) {
    let mtp = pair.mtp();
    let early = pair.bent(vec![], |block| block.header.time = mtp);
    pair.broken(&[Rule::TimeTooOld], "the median time itself", &early);
    let just = pair.bent(vec![], |block| block.header.time = mtp + 1);
    pair.kept(Rule::TimeTooOld, "a second later", &just);

    // Our clock cannot be set, but the rule can be asked: a header at the very second against Core's clock.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as u32;
    let parent = pair.line.header(pair.line.height() as usize);
    for (ahead, kept) in [(7_201, false), (7_200, true)] {
        let block = pair.bent(vec![], |block| block.header.time = now + ahead);
        let header = Header::parse(&block.header.bytes());
        let ours = check_header(&HeaderCx {
            params: &pair.params,
            height: pair.height(),
            header: &header,
            hash: BlockHash(block.hash()),
            parent: &parent,
            mtp_parent: pair.mtp(),
            next_bits: parent.bits,
            now_unix: now.into(),
        });
        assert_eq!(ours, if kept { Ok(()) } else { Err(Rule::TimeTooNew) });
        if let Some(core) = &pair.core {
            core.call("setmocktime", json!([now]));
            let answer = core.try_call("submitheader", json!([caesure_tests::data::hex(&block.header.bytes())]));
            core.call("setmocktime", json!([0]));
            assert!(answer.as_ref().err().is_none_or(|error| error.contains("time-too-new")), "{answer:?}");
            assert_eq!(answer.is_ok(), kept, "{answer:?}");
            let what = format!("{ahead} seconds ahead of the clock");
            pair.row_of(Rule::TimeTooNew, kept, &what, "submitheader on regtest, setmocktime");
        }
    }
    // And the node against the time that it is: not to the second.
    let new = pair.bent(vec![], |block| block.header.time = now + 7_200 + 600);
    pair.broken(&[Rule::TimeTooNew], "two hours and ten minutes ahead", &new);
    let fair = pair.bent(vec![], |block| block.header.time = now + 7_200 - 600);
    pair.kept(Rule::TimeTooNew, "an hour and fifty minutes ahead", &fair);
}

fn timewarp() -> Found {
    let mut params = *Params::of(Network::Regtest);
    params.bip94 = true;
    let start = Start { name: "regtest -test=bip94", core: &["-test=bip94"], ours: &["--test bip94"], params };
    let mut pair = Pair::start(&start, Pair::ripe(&params, 143, |_, _| {}));
    let parent = pair.line.header(143).time;
    let warped = pair.bent(vec![], |block| block.header.time = parent - 601);
    pair.broken(&[Rule::TimeTimewarpAttack], "a period's first block 601 s before its parent", &warped);
    let fair = pair.bent(vec![], |block| block.header.time = parent - 600);
    pair.kept(Rule::TimeTimewarpAttack, "a period's first block 600 s before its parent", &fair);
    let later = pair.bent(vec![], |block| block.header.time = parent - 1_500);
    pair.kept(Rule::TimeTimewarpAttack, "a period's second block 900 s before its parent", &later);
    ended(pair)
}
