//! Rules of blocks by themselves and at their height, on regtest.

use crate::{Found, ended, regtest};
use caesure_bench::block::Block;
use caesure_bench::keys::{op_return, p2sh, program, push};
use caesure_bench::tx::{OutPoint, Tx, TxIn, TxOut, show};
use caesure_tests::locks::p2wsh;
use caesure_tests::pair::{OPEN, Pair, Start, spend};
use caesure_tests::{Line, Wire};
use consensus::{MAX_MONEY, Network, Params, Rule};

const CHECKSIG: u8 = 0xac;
const CHECKMULTISIG: u8 = 0xae;

pub fn compare() -> Found {
    let mut pair = regtest();
    encodings(&mut pair);
    roots(&mut pair);
    coinbases(&mut pair);
    shapes(&mut pair);
    inputs(&mut pair);
    legacy_sigops(&mut pair);
    sigop_costs(&mut pair);
    lock_times(&mut pair);
    heights(&mut pair);
    witnesses(&mut pair);
    sizes(&mut pair);
    by_peers(&mut pair);
    let (mut rows, mut wrong) = ended(pair);
    let (more, bad) = young();
    rows.extend(more);
    wrong.extend(bad);
    (rows, wrong)
}

/// Where `submitblock` mends or passes over what a peer may not: the same bytes come to Core by P2P, which ends the
/// connection and keeps the header.
fn by_peers(pair: &mut Pair) {
    let good = {
        let tx = tx(pair);
        pair.next(vec![tx])
    };
    let mut bare = good.clone();
    bare.txs[0].inputs[0].witness.clear();
    assert!(core_hangs_up(pair, &bare.bytes()));
    pair.ours_alone(&[Rule::BadWitnessNonceSize], "no nonce at all", &good, &bare.bytes(), "P2P on regtest");

    // Bytes behind the block are passed over by Core. Here what came is what is stored and served, so that they are not
    // the block's, which is had from another peer.
    let more = [&good.bytes()[..], &[0]].concat();
    assert!(pair.core.is_none() || !core_hangs_up(pair, &more));
    pair.core.iter().for_each(|core| core.wait_tip(&show(&good.hash()), 30));
    pair.ours_alone(
        &[Rule::Malformed],
        "a byte behind it, which Core passes over",
        &good,
        &more,
        "none: Core takes it",
    );
    pair.kept(Rule::BadWitnessNonceSize, "a nonce of zeros", &good);

    // A transaction of 64 bytes without a coinbase may be two nodes of a tree.
    let mut short = {
        let coin = pair.coin();
        spend(&[&coin])
    };
    short.outputs[0].script = vec![0x6a, 1, 0, 0];
    let block = pair.bent(vec![], |block| block.txs = vec![short.clone()]);
    assert_eq!(short.bytes().len(), 64);
    assert!(core_hangs_up(pair, &block.bytes()));
    let rules = &[Rule::BadTxnmrklroot, Rule::BadCbMissing, Rule::BadCbHeight];
    pair.ours_alone(rules, "64 bytes and no coinbase", &block, &block.bytes(), "P2P on regtest");
}

/// Whether Core ends the connection of a peer that gives it this block; without a Core nobody asks.
fn core_hangs_up(pair: &Pair, bytes: &[u8]) -> bool {
    let Some(core) = &pair.core else { return true };
    let wire = Wire::regtest(core.p2p, pair.line.height());
    wire.send_frame("block", bytes);
    wire.ping(1).is_err()
}

/// Up to height 16 the push of the height is one byte, which is too short for a coinbase's script.
fn young() -> Found {
    let params = *Params::of(Network::Regtest);
    let mut pair = Pair::start(&Start { name: "regtest", core: &[], ours: &[], params }, Line::regtest());
    let script = |script: Vec<u8>| move |block: &mut Block| block.txs[0].inputs[0].script_sig = script;
    let block = pair.bent(vec![], script(vec![0x51]));
    pair.broken(&[Rule::BadCbLength], "a coinbase script of one byte", &block);
    let block = pair.bent(vec![], script(vec![1, 1]));
    pair.broken(&[Rule::BadCbHeight], "height 1 as a push of a byte", &block);
    let block = pair.bent(vec![], script(vec![0x51, 0x51]));
    pair.kept(Rule::BadCbLength, "a coinbase script of two bytes", &block);
    ended(pair)
}

/// An ordinary spend of an open coin.
fn tx(pair: &mut Pair) -> Tx {
    spend(&[&pair.coin()])
}

fn encodings(pair: &mut Pair) {
    let good = {
        let tx = tx(pair);
        pair.next(vec![tx])
    };
    let bytes = good.bytes();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        bytes
    };
    let coinbase = 81;
    let cases: [(&str, Vec<u8>); 7] = [
        ("a byte too few", bytes[..bytes.len() - 1].to_vec()),
        ("a header and no count", bytes[..80].to_vec()),
        ("a count of three bytes for two transactions", with(&|b| drop(b.splice(80..81, [0xfd, 2, 0])))),
        ("a count of more than there are", with(&|b| b[80] = 3)),
        ("an unknown flag", with(&|b| b[coinbase + 5] = 3)),
        (
            "a script's length in too many bytes",
            with(&|b| drop(b.splice(coinbase + 43..coinbase + 44, [0xfd, b[coinbase + 43], 0]))),
        ),
        // The second transaction has no witness: a marker, a flag, and a stack of nothing for its input.
        ("a witness of nothing", {
            let mut bytes = bytes[..bytes.len() - good.txs[1].bytes().len()].to_vec();
            let plain = good.txs[1].bytes();
            bytes.extend([&plain[..4], &[0, 1], &plain[4..plain.len() - 4], &[0], &plain[plain.len() - 4..]].concat());
            bytes
        }),
    ];
    for (what, bytes) in cases {
        pair.broken_bytes(&[Rule::Malformed], what, &good, &bytes);
    }
    pair.kept(Rule::Malformed, "the same header, its own bytes", &good);
}

fn roots(pair: &mut Pair) {
    let txs = [tx(pair), tx(pair)];
    let good = pair.next(txs.to_vec());
    let mut other = good.clone();
    other.txs[1].lock_time ^= 1;
    pair.broken_bytes(
        &[Rule::BadTxnmrklroot, Rule::BadWitnessMerkleMatch],
        "another transaction",
        &good,
        &other.bytes(),
    );
    let mut swapped = good.clone();
    swapped.txs.swap(1, 2);
    pair.broken_bytes(
        &[Rule::BadTxnmrklroot, Rule::BadWitnessMerkleMatch],
        "two transactions in the other order",
        &good,
        &swapped.bytes(),
    );
    let mut twice = good.clone();
    twice.txs.push(good.txs[2].clone());
    pair.broken_bytes(&[Rule::BadTxnsDuplicate], "the last of three twice", &good, &twice.bytes());
    pair.kept(Rule::BadTxnmrklroot, "the transactions it names", &good);

    // A row of five: its last node is doubled a row above.
    let txs: Vec<Tx> = (0..5).map(|_| tx(pair)).collect();
    let good = pair.next(txs);
    let mut twice = good.clone();
    twice.txs.extend_from_slice(&good.txs[4..]);
    pair.broken_bytes(&[Rule::BadTxnsDuplicate], "the last two of six twice", &good, &twice.bytes());
    pair.kept(Rule::BadTxnsDuplicate, "six once each", &good);
}

fn coinbases(pair: &mut Pair) {
    let first = tx(pair);
    let none = pair.bent(vec![], |block| block.txs = vec![first.clone()]);
    pair.broken(&[Rule::BadCbMissing, Rule::BadCbHeight], "an ordinary transaction first", &none);
    let mut second = pair.bent(vec![], |block| block.txs.push(block.txs[0].clone()));
    second.txs[1].lock_time = 1;
    second.txs[1].inputs[0].witness.clear();
    second.seal();
    pair.broken(&[Rule::BadCbMultiple], "a second coinbase", &second);
    let later = pair.bent(vec![first.clone()], |block| block.txs.swap(0, 1));
    pair.broken(
        &[Rule::BadCbMissing, Rule::BadCbMultiple, Rule::BadCbHeight, Rule::UnexpectedWitness],
        "the coinbase second",
        &later,
    );
    let good = pair.next(vec![first]);
    pair.kept(Rule::BadCbMissing, "the coinbase first", &good);

    let script = |len: usize| move |block: &mut Block| block.txs[0].inputs[0].script_sig.resize(len, 0);
    let long = pair.bent(vec![], script(101));
    pair.broken(&[Rule::BadCbLength], "a coinbase script of 101 bytes", &long);
    let long = pair.bent(vec![], script(100));
    pair.kept(Rule::BadCbLength, "a coinbase script of 100 bytes", &long);
    // Alone at a height that one byte names: see below.
    let short = pair.bent(vec![], script(1));
    pair.broken(&[Rule::BadCbLength, Rule::BadCbHeight], "a coinbase script of one byte", &short);
}

fn shapes(pair: &mut Pair) {
    let good = tx(pair);
    let with = |change: &dyn Fn(&mut Tx)| {
        let mut tx = good.clone();
        change(&mut tx);
        vec![tx]
    };
    // No inputs can only be written with no outputs.
    let none = pair.next(with(&|tx| (tx.inputs, tx.outputs) = (vec![], vec![])));
    pair.broken(&[Rule::BadTxnsVinEmpty, Rule::BadTxnsVoutEmpty], "no input", &none);
    let none = pair.next(with(&|tx| tx.outputs.clear()));
    pair.broken(&[Rule::BadTxnsVoutEmpty], "no output", &none);
    let value = |value: u64| TxOut { value, script: OPEN.to_vec() };
    for (what, least) in [("minus one", u64::MAX), ("the lowest number", 1 << 63)] {
        let block = pair.next(with(&|tx| tx.outputs = vec![value(least)]));
        pair.broken(
            &[Rule::BadTxnsVoutNegative, Rule::BadTxnsVoutToolarge, Rule::BadTxnsTxouttotalToolarge],
            what,
            &block,
        );
    }
    let most = pair.next(with(&|tx| tx.outputs = vec![value(MAX_MONEY + 1)]));
    pair.broken(
        &[Rule::BadTxnsVoutToolarge, Rule::BadTxnsTxouttotalToolarge],
        "a satoshi more than there will be",
        &most,
    );
    let most = pair.next(with(&|tx| tx.outputs = vec![value(i64::MAX as u64)]));
    pair.broken(&[Rule::BadTxnsVoutToolarge, Rule::BadTxnsTxouttotalToolarge], "the highest number", &most);
    let sum = pair.next(with(&|tx| tx.outputs = vec![value(MAX_MONEY), value(1)]));
    pair.broken(&[Rule::BadTxnsTxouttotalToolarge], "a satoshi more in two outputs", &sum);
    let sum = pair.next(with(&|tx| tx.outputs = vec![value(MAX_MONEY - 1), value(1)]));
    pair.broken(&[Rule::BadTxnsInBelowout], "all there will ever be, in two outputs", &sum);
    let most = pair.next(with(&|tx| tx.outputs = vec![value(MAX_MONEY)]));
    pair.broken(&[Rule::BadTxnsInBelowout], "all there will ever be, in one output", &most);
    let zero = pair.next(with(&|tx| tx.outputs.push(value(0))));
    pair.kept(Rule::BadTxnsVoutNegative, "nothing", &zero);
}

fn inputs(pair: &mut Pair) {
    let coins: Vec<_> = (0..12).map(|_| pair.coin()).collect();
    let mut twice = spend(&[&coins[0], &coins[0]]);
    twice.outputs[0].value = coins[0].value;
    let block = pair.next(vec![twice]);
    pair.broken(&[Rule::BadTxnsInputsDuplicate], "one coin twice", &block);
    let mut many = spend(&coins.iter().collect::<Vec<_>>());
    many.inputs[11].prev = many.inputs[3].prev;
    let block = pair.next(vec![many]);
    pair.broken(&[Rule::BadTxnsInputsDuplicate], "the fourth coin of twelve again", &block);

    let null = TxIn { prev: OutPoint::NULL, ..coins[0].input() };
    for (what, place) in [("the null coin after another", 1), ("the null coin before another", 0)] {
        let mut with_null = spend(&[&coins[0]]);
        with_null.inputs.insert(place, null.clone());
        let block = pair.next(vec![with_null]);
        pair.broken(&[Rule::BadTxnsPrevoutNull], what, &block);
    }
    // Half of the null coin's name is only a coin that is not there.
    for (what, prev) in [
        ("a txid of zeros, index 0", OutPoint { vout: 0, ..OutPoint::NULL }),
        ("the highest index of a real txid", OutPoint { vout: u32::MAX, ..coins[0].point }),
    ] {
        let mut other = spend(&[&coins[0]]);
        other.inputs[0].prev = prev;
        let block = pair.next(vec![other]);
        pair.broken(&[Rule::BadTxnsInputsMissingorspent], what, &block);
    }
    let good = spend(&coins.iter().collect::<Vec<_>>());
    let block = pair.next(vec![good]);
    pair.kept(Rule::BadTxnsInputsDuplicate, "twelve coins", &block);
}

/// Outputs that count for so many signature checks, 9,000 at most in each.
fn counting(mut tx: Tx, count: usize) -> Tx {
    let (mut left, value) = (count, 0);
    while left > 0 {
        let here = left.min(9_000);
        tx.outputs.push(TxOut { value, script: vec![CHECKSIG; here] });
        left -= here;
    }
    tx
}

fn legacy_sigops(pair: &mut Pair) {
    let rules = &[Rule::BadBlkSigops];
    let plain = tx(pair);
    let many = pair.next(vec![counting(plain.clone(), 20_001)]);
    pair.broken(rules, "20,001 in outputs", &many);
    let mut multi = plain.clone();
    multi.outputs.push(TxOut { value: 0, script: vec![CHECKMULTISIG; 1_000] });
    multi.outputs.push(TxOut { value: 0, script: vec![CHECKSIG] });
    let block = pair.next(vec![multi.clone()]);
    pair.broken(rules, "a thousand of twenty keys each, and one", &block);
    // In an output nobody looks at the number of keys before OP_CHECKMULTISIG.
    multi.outputs[1].script = [0x51, CHECKMULTISIG].repeat(1_000);
    let block = pair.next(vec![multi.clone()]);
    pair.broken(rules, "a thousand of one key each, which count for twenty, and one", &block);
    let coinbase = pair.bent(vec![counting(plain.clone(), 20_000)], |block| block.txs[0].outputs[0].script.push(0xad));
    pair.broken(rules, "20,000, and one in the coinbase", &coinbase);
    let coinbase =
        pair.bent(vec![counting(plain.clone(), 20_000)], |block| block.txs[0].inputs[0].script_sig.push(CHECKSIG));
    pair.broken(rules, "20,000, and one in the coinbase's input", &coinbase);
    // Neither what is pushed counts nor what follows a push that is cut short.
    let mut edge = counting(plain, 20_000);
    edge.outputs.push(TxOut { value: 0, script: vec![2, CHECKSIG, CHECKSIG, 0x4c, 9, CHECKSIG] });
    let block = pair.next(vec![edge]);
    pair.kept(Rule::BadBlkSigops, "20,000, and more in pushes and behind a broken one", &block);
}

/// A script that is true and counts for `count` signature checks without making one.
fn idle(count: usize) -> Vec<u8> {
    [&[0x51, 0, 0x63][..], &vec![CHECKSIG; count], &[0x68]].concat()
}

/// The same with checks of `keys` keys of twenty.
fn idle_multi(keys: u8) -> Vec<u8> {
    vec![0x51, 0, 0x63, 0x50 + keys, CHECKMULTISIG, 0x68]
}

fn sigop_costs(pair: &mut Pair) {
    let nested = |script: &[u8]| p2wsh(script);
    let scripts = [
        p2sh(&idle(1)),
        p2sh(&idle(2)),
        p2sh(&idle_multi(2)),
        p2wsh(&idle(4)),
        p2wsh(&idle(5)),
        p2wsh(&idle_multi(5)),
        p2sh(&nested(&idle(5))),
        p2sh(&nested(&idle(4))),
        OPEN.to_vec(),
    ];
    let coins = pair.fund(&scripts);
    let opened = |at: usize, count: usize, script: &[u8], witness: bool| {
        let mut tx = spend(&[&coins[at]]);
        match witness {
            true => tx.inputs[0].witness = vec![script.to_vec()],
            false => push(&mut tx.inputs[0].script_sig, script),
        }
        counting(tx, count)
    };
    let rules = &[Rule::BadBlkSigopsCost];
    let mut cases = vec![
        ("19,999, and two behind a script hash", opened(1, 19_999, &idle(2), false)),
        ("19,999, and a check of two keys behind a script hash", opened(2, 19_999, &idle_multi(2), false)),
        ("19,999, and five in a witness", opened(4, 19_999, &idle(5), true)),
        ("19,999, and a check of five keys in a witness", opened(5, 19_999, &idle_multi(5), true)),
    ];
    let mut both = opened(6, 19_999, &idle(5), true);
    push(&mut both.inputs[0].script_sig, &nested(&idle(5)));
    cases.push(("19,999, and five in a witness behind a script hash", both));
    for (what, tx) in cases {
        let block = pair.next(vec![tx]);
        pair.broken(rules, what, &block);
    }
    let block = pair.next(vec![opened(0, 19_999, &idle(1), false)]);
    pair.kept(Rule::BadBlkSigopsCost, "19,999, and one behind a script hash", &block);
    let block = pair.next(vec![opened(3, 19_999, &idle(4), true)]);
    pair.kept(Rule::BadBlkSigopsCost, "19,999, and four in a witness", &block);
    let mut both = opened(7, 19_999, &idle(4), true);
    push(&mut both.inputs[0].script_sig, &nested(&idle(4)));
    let block = pair.next(vec![both]);
    pair.kept(Rule::BadBlkSigopsCost, "19,999, and four in a witness behind a script hash", &block);
    // Over two transactions: the second goes over.
    let one = counting(spend(&[&coins[8]]), 19_999);
    let two = {
        let mut tx = spend(&[&coins[1]]);
        push(&mut tx.inputs[0].script_sig, &idle(2));
        tx
    };
    let block = pair.next(vec![one, two]);
    pair.broken(rules, "19,999 in one transaction, and two behind a script hash in the next", &block);
}

fn lock_times(pair: &mut Pair) {
    let plain = tx(pair);
    let locked = |lock_time: u32, sequence: u32| {
        let mut tx = plain.clone();
        (tx.lock_time, tx.inputs[0].sequence) = (lock_time, sequence);
        vec![tx]
    };
    let rules = &[Rule::BadTxnsNonfinal];
    for (what, lock_time) in [
        ("the block's own height", pair.height()),
        ("the highest height", 499_999_999),
        ("the median time past of the parent", pair.mtp()),
        ("the latest time", u32::MAX),
    ] {
        let block = pair.next(locked(lock_time, u32::MAX - 1));
        pair.broken(rules, what, &block);
    }
    let coinbase = pair.bent(vec![], |block| {
        block.txs[0].lock_time = 499_999_999;
        block.txs[0].inputs[0].sequence = 0;
    });
    pair.broken(rules, "a coinbase's", &coinbase);
    // One final input is not enough.
    let coins = [pair.coin(), pair.coin()];
    let mut half = spend(&[&coins[0], &coins[1]]);
    (half.lock_time, half.inputs[1].sequence) = (pair.height(), 0x8000_0000);
    let block = pair.next(vec![half]);
    pair.broken(rules, "one input of two is final", &block);

    let block = pair.next(locked(pair.height() - 1, u32::MAX - 1));
    pair.kept(Rule::BadTxnsNonfinal, "the parent's height", &block);
    for (what, back) in [("a second before the median time past", 1), ("the earliest time", u32::MAX)] {
        let lock_time = pair.mtp().saturating_sub(back).max(500_000_000);
        let tx = {
            let mut tx = tx(pair);
            (tx.lock_time, tx.inputs[0].sequence) = (lock_time, u32::MAX - 1);
            tx
        };
        let block = pair.next(vec![tx]);
        pair.kept(Rule::BadTxnsNonfinal, what, &block);
    }
    let tx = {
        let mut tx = tx(pair);
        tx.lock_time = u32::MAX;
        tx
    };
    let block = pair.next(vec![tx]);
    pair.kept(Rule::BadTxnsNonfinal, "all inputs are final", &block);
}

fn heights(pair: &mut Pair) {
    let rules = &[Rule::BadCbHeight];
    let height = pair.height() as u8;
    assert!(height >= 0x80, "two bytes, for the sign");
    let script = |script: Vec<u8>| move |block: &mut Block| block.txs[0].inputs[0].script_sig = script;
    for (what, begins) in [
        ("the parent's height", vec![2, height - 1, 0]),
        ("no sign, so a negative number", vec![1, height, 0]),
        ("one byte too many", vec![3, height, 0, 0]),
        ("another push opcode", vec![0x4c, 2, height, 0]),
        ("something before it", vec![0, 2, height, 0]),
    ] {
        let block = pair.bent(vec![], script(begins));
        pair.broken(rules, what, &block);
    }
    let block = pair.bent(vec![], script(vec![2, height, 0, 0xff, 0x4c]));
    pair.kept(Rule::BadCbHeight, "its height and anything behind it", &block);
}

fn witnesses(pair: &mut Pair) {
    let script = vec![0x75, 0x51];
    let coins = pair.fund(&[p2wsh(&script), p2wsh(&script), p2wsh(&script), p2wsh(&script)]);
    let opened = |at: usize| {
        let mut tx = spend(&[&coins[at]]);
        tx.inputs[0].witness = vec![vec![1], script.clone()];
        tx
    };
    let good = pair.next(vec![opened(0)]);
    let as_well = |change: &dyn Fn(&mut Block)| {
        let mut block = good.clone();
        change(&mut block);
        assert_eq!(block.hash(), good.hash(), "the header stays");
        block.bytes()
    };
    let nonce = |nonce: Vec<Vec<u8>>| as_well(&|block| block.txs[0].inputs[0].witness = nonce.clone());
    // Core's submitblock gives a coinbase without a witness one of zeros, so that none at all is not shown here.
    for (what, items) in [
        ("a nonce of 31 bytes", vec![vec![0; 31]]),
        ("a nonce of 33 bytes", vec![vec![0; 33]]),
        ("two nonces", vec![vec![0; 32], vec![0; 32]]),
        ("an empty nonce", vec![vec![]]),
    ] {
        pair.broken_bytes(&[Rule::BadWitnessNonceSize], what, &good, &nonce(items));
    }
    let rules = &[Rule::BadWitnessMerkleMatch];
    pair.broken_bytes(rules, "another nonce", &good, &nonce(vec![vec![1; 32]]));
    let bytes = as_well(&|block| block.txs[1].inputs[0].witness[0] = vec![2]);
    pair.broken_bytes(rules, "another witness", &good, &bytes);
    let bytes = as_well(&|block| block.txs[1].inputs[0].witness.clear());
    pair.broken_bytes(rules, "no witness", &good, &bytes);
    pair.kept(Rule::BadWitnessNonceSize, "a nonce of 32 bytes", &good);

    // The last of several commitments counts, and what lies behind its 32 bytes does not.
    let wrong = op_return(&[&[0xaa, 0x21, 0xa9, 0xed][..], &[7; 32]].concat());
    let mut last = pair.bent(vec![opened(1)], |_| {});
    last.txs[0].outputs.push(wrong.clone());
    last.root();
    last.mine();
    pair.broken(rules, "the first commitment is right, the last is not", &last);
    let mut first = pair.next(vec![opened(1)]);
    first.txs[0].outputs.insert(0, wrong.clone());
    first.root();
    first.mine();
    pair.kept(Rule::BadWitnessMerkleMatch, "the last commitment is right, the first is not", &first);
    let mut longer = pair.next(vec![opened(2)]);
    longer.txs[0].outputs[1].script.extend([1, 9]);
    longer.root();
    longer.mine();
    pair.kept(Rule::BadWitnessMerkleMatch, "a commitment with more behind it", &longer);

    let bare = |block: &mut Block| {
        block.txs[0].outputs.pop();
        block.txs[0].inputs[0].witness.clear();
    };
    let rules = &[Rule::UnexpectedWitness];
    let block = pair.bent(vec![opened(3)], bare);
    pair.broken(rules, "a witness and no commitment", &block);
    let mut short = wrong;
    short.script.pop();
    let mut block = pair.bent(vec![opened(3)], bare);
    block.txs[0].outputs.push(short);
    block.root();
    block.mine();
    pair.broken(rules, "a witness and a commitment a byte too short", &block);
    let plain = tx(pair);
    let block = pair.bent(vec![plain], bare);
    let mut with = block.clone();
    with.txs[0].inputs[0].witness = vec![vec![0; 32]];
    pair.broken_bytes(rules, "a nonce and no commitment", &block, &with.bytes());
    pair.kept(Rule::UnexpectedWitness, "no witness and no commitment", &block);
}

/// A coin of a witness version that nobody knows: anyone spends it, with any witness at all.
fn unknown_version() -> Vec<u8> {
    program(0x60, &[1, 2])
}

fn sizes(pair: &mut Pair) {
    let coins = pair.fund(&[unknown_version(), unknown_version()]);
    let weighing = |pair: &Pair, weight: usize| {
        let with = |len: usize| {
            let mut tx = spend(&[&coins[0]]);
            tx.inputs[0].witness = vec![vec![0; len]];
            pair.next(vec![tx])
        };
        let weigh = |block: &Block| 81 * 4 + block.txs.iter().map(Tx::weight).sum::<usize>();
        let base = 3_000_000;
        let block = with(base + weight - weigh(&with(base)));
        assert_eq!(weigh(&block), weight);
        block
    };
    let over = weighing(pair, 4_000_001);
    pair.broken(&[Rule::BadBlkWeight], "4,000,001", &over);
    let edge = weighing(pair, 4_000_000);
    pair.kept(Rule::BadBlkWeight, "4,000,000", &edge);

    let empty = pair.bent(vec![], |_| {});
    let mut none = empty;
    (none.txs, none.header.merkle_root) = (vec![], [0; 32]);
    none.mine();
    pair.broken(&[Rule::BadBlkLength, Rule::BadCbMissing, Rule::BadCbHeight], "no transactions", &none);
    // Without witnesses, each byte weighs four.
    let long = |pair: &Pair, coin, size: usize| {
        let mut tx = spend(&[coin]);
        tx.outputs.push(TxOut { value: 0, script: vec![] });
        let bare = |tx: &Tx| {
            pair.bent(vec![tx.clone()], |block| {
                block.txs[0].outputs.pop();
                block.txs[0].inputs[0].witness.clear();
            })
        };
        tx.outputs[1].script = vec![0x6a; size - bare(&tx).bytes().len() - 4];
        let block = bare(&tx);
        assert_eq!(block.bytes().len(), size);
        block
    };
    let coin = pair.coin();
    let over = long(pair, &coin, 1_000_001);
    pair.broken(&[Rule::BadBlkLength, Rule::BadBlkWeight], "1,000,001 bytes without witnesses", &over);
    let edge = long(pair, &coin, 1_000_000);
    pair.kept(Rule::BadBlkLength, "1,000,000 bytes without witnesses", &edge);

    // 64 bytes are no transaction's bar while the block has a coinbase (no such rule yet: BIP54).
    let mut short = spend(&[&coins[1]]);
    short.outputs[0].script = vec![0x6a, 1, 0, 0];
    assert_eq!(short.bytes().len(), 64);
    let block = pair.next(vec![short]);
    pair.kept(Rule::BadTxnmrklroot, "a transaction of 64 bytes", &block);
}
