//! Rules that begin at a height: on a regtest whose buried deployments are put one behind the other, the same kind of
//! block is taken below the height and refused from there on. And BIP30, which needs coinbases that name no height.

use crate::{Found, ended};
use caesure_bench::block::Block;
use caesure_bench::keys::{Kind, Lock, Spend, op_return, sign};
use caesure_bench::sighash::ALL;
use caesure_bench::tx::{OutPoint, Tx};
use caesure_tests::locks::p2wsh;
use caesure_tests::pair::{Coin, OPEN, Pair, Start, spend};
use consensus::{Network, Params, Rule};

const BIP34: u32 = 124;
const DERSIG: u32 = 128;
const CLTV: u32 = 132;
const CSV: u32 = 136;
const SEGWIT: u32 = 142;
const SCRIPT: &[Rule] = &[Rule::BlockScriptVerifyFlagFailed];

pub fn compare() -> Found {
    let mut params = *Params::of(Network::Regtest);
    (params.bip34_height, params.bip66_height, params.bip65_height) = (BIP34, DERSIG, CLTV);
    (params.csv_height, params.segwit_height) = (CSV, SEGWIT);
    let heights = [("bip34", BIP34), ("dersig", DERSIG), ("cltv", CLTV), ("csv", CSV), ("segwit", SEGWIT)];
    let core = heights.map(|(name, height)| format!("-testactivationheight={name}@{height}"));
    let ours = heights.map(|(name, height)| format!("--test-activation-height {name}@{height}"));
    let [core, ours] = [&core, &ours].map(|words| words.iter().map(String::as_str).collect::<Vec<_>>());
    // Block 2's coinbase names a height that is not its own, and may come again.
    let line = Pair::ripe(&params, 112, |height, block| {
        if height == 2 {
            *block = again(block);
        }
        block.header.version = 1;
    });
    let mut pair =
        Pair::start(&Start { name: "regtest -testactivationheight=…", core: &core, ours: &ours, params }, line);
    versions(&mut pair);
    ended(pair)
}

/// The block with a coinbase that is the same whatever its height.
fn again(block: &Block) -> Block {
    let mut block = block.clone();
    block.txs[0].inputs[0].script_sig = vec![0x5a, 0x5a];
    block.txs[0].outputs.truncate(1);
    block.txs[0].outputs[0].value = 5_000_000_000;
    block.seal();
    block
}

/// A block of a version.
fn of(pair: &Pair, version: u32, txs: Vec<Tx>) -> Block {
    pair.bent(txs, |block| block.header.version = version)
}

/// Blocks without transactions up to, not with, a height.
fn up_to(pair: &mut Pair, height: u32, version: u32) {
    assert!(pair.height() <= height, "{} is over", height);
    while pair.height() < height {
        let block = of(pair, version, vec![]);
        pair.take(&block);
    }
}

fn versions(pair: &mut Pair) {
    bip30(pair);

    let locked = |count: u32| [&[count_op(count)][..], &[0xb1, 0x75, 0x51]].concat();
    let aged = |count: u32| [&[count_op(count)][..], &[0xb2, 0x75, 0x51]].concat();
    let key = Lock { kind: Kind::P2pk, key: 3 };
    let mut none_of_one = vec![0, 33, 2];
    none_of_one.extend([&[7; 32][..], &[0x51, 0xae]].concat());
    let scripts = [
        key.script().to_vec(),
        key.script().to_vec(),
        locked(16),
        locked(16),
        aged(16),
        aged(16),
        none_of_one.clone(),
        none_of_one,
        OPEN.to_vec(),
        OPEN.to_vec(),
        OPEN.to_vec(),
        OPEN.to_vec(),
        p2wsh(&OPEN),
    ];
    let coins = pair.fund(&scripts);

    // BIP34, and with it version 2.
    up_to(pair, BIP34 - 1, 1);
    let nameless = |pair: &Pair, version: u32| {
        pair.bent(vec![], |block| {
            block.header.version = version;
            block.txs[0].inputs[0].script_sig = vec![0x5a, 0x5a, 0x5a];
        })
    };
    let block = nameless(pair, 1);
    pair.kept(Rule::BadCbHeight, "no height before BIP34", &block);
    for (version, what) in
        [(1, "version 1 under BIP34"), (0, "version 0"), (u32::MAX, "version -1"), (1 << 31, "the lowest version")]
    {
        let block = of(pair, version, vec![]);
        pair.broken(&[Rule::BadVersion], what, &block);
    }
    let block = nameless(pair, 2);
    pair.broken(&[Rule::BadCbHeight], "no height from BIP34 on", &block);
    let block = of(pair, 2, vec![]);
    pair.kept(Rule::BadVersion, "version 2 under BIP34", &block);

    // BIP66 and version 3.
    up_to(pair, DERSIG - 1, 2);
    let signed = |coin: &Coin| {
        let mut tx = spend(&[coin]);
        sign(&mut tx, &[Spend { lock: key, value: coin.value, hash_type: ALL, leaf: 0 }]);
        tx
    };
    // A zero before r that need not be there: OpenSSL did not mind.
    let padded = |coin: &Coin| {
        let mut tx = signed(coin);
        let script = &mut tx.inputs[0].script_sig;
        script.insert(5, 0);
        [0, 2, 4].into_iter().for_each(|at| script[at] += 1);
        tx
    };
    let block = of(pair, 2, vec![padded(&coins[0])]);
    pair.kept(SCRIPT[0], "DERSIG: a zero too many before its height", &block);
    let block = of(pair, 2, vec![]);
    pair.broken(&[Rule::BadVersion], "version 2 under BIP66", &block);
    let block = of(pair, 3, vec![padded(&coins[1])]);
    pair.broken(SCRIPT, "DERSIG: a zero too many", &block);
    let block = of(pair, 3, vec![signed(&coins[1])]);
    pair.kept(SCRIPT[0], "DERSIG: as it must be, in version 3", &block);

    // BIP65 and version 4.
    up_to(pair, CLTV - 1, 3);
    let at = |coin: &Coin, lock_time: u32| {
        let mut tx = spend(&[coin]);
        (tx.lock_time, tx.inputs[0].sequence) = (lock_time, u32::MAX - 1);
        tx
    };
    let block = of(pair, 3, vec![at(&coins[2], 15)]);
    pair.kept(SCRIPT[0], "CHECKLOCKTIMEVERIFY: one too early before its height", &block);
    let block = of(pair, 3, vec![]);
    pair.broken(&[Rule::BadVersion], "version 3 under BIP65", &block);
    let block = of(pair, 4, vec![at(&coins[3], 15)]);
    pair.broken(SCRIPT, "CHECKLOCKTIMEVERIFY: one too early", &block);
    let block = of(pair, 4, vec![at(&coins[3], 16)]);
    pair.kept(SCRIPT[0], "CHECKLOCKTIMEVERIFY: just late enough, in version 4", &block);

    // BIP68, 112 and 113.
    up_to(pair, CSV - 1, 4);
    let old = |coin: &Coin, blocks: u32| {
        let mut tx = spend(&[coin]);
        tx.inputs[0].sequence = blocks;
        tx
    };
    let time = |coin: &Coin, lock_time: u32| at(coin, lock_time);
    let own_time = |pair: &Pair| pair.line.header(pair.line.height() as usize).time + 600;
    // Before BIP113 the block's own time counts: later than the lock, while the median time past is not.
    let block = of(pair, 4, vec![old(&coins[4], 15), old(&coins[8], 0xffff), time(&coins[9], own_time(pair) - 1)]);
    pair.kept(SCRIPT[0], "CHECKSEQUENCEVERIFY: one too early before its height", &block);
    pair.row(Rule::SequenceLock, true, "the longest lock before BIP68");
    pair.row(Rule::BadTxnsNonfinal, true, "the block's own time before BIP113");
    let block = of(pair, 4, vec![old(&coins[5], 15)]);
    pair.broken(SCRIPT, "CHECKSEQUENCEVERIFY: one too early", &block);
    let block = of(pair, 4, vec![old(&coins[10], 0xffff)]);
    pair.broken(&[Rule::SequenceLock], "the longest lock from BIP68 on", &block);
    let block = of(pair, 4, vec![time(&coins[10], own_time(pair) - 1)]);
    pair.broken(&[Rule::BadTxnsNonfinal], "the block's own time from BIP113 on", &block);
    up_to(pair, CSV + 1, 4);
    let block = of(pair, 4, vec![old(&coins[5], 16)]);
    pair.kept(SCRIPT[0], "CHECKSEQUENCEVERIFY: just late enough", &block);

    // BIP141 and 147.
    up_to(pair, SEGWIT - 2, 4);
    let mut bare = spend(&[&coins[12]]);
    let block = of(pair, 4, vec![bare.clone()]);
    bare.inputs[0].witness = vec![OPEN.to_vec()];
    let with = of(pair, 4, vec![bare.clone()]);
    assert_eq!(with.hash(), block.hash(), "no commitment");
    pair.broken(&[Rule::UnexpectedWitness], "a witness before SegWit", &with);
    pair.broken(SCRIPT, "WITNESS: none for a witness program, before the height of SegWit", &block);
    let commitment = |right: bool| {
        move |block: &mut Block| {
            block.txs[0].outputs.push(op_return(&[&[0xaa, 0x21, 0xa9, 0xed][..], &[0; 32]].concat()));
            block.txs[0].inputs[0].witness = vec![vec![0; 32]];
            block.commit();
            if !right {
                block.txs[0].outputs[1].script[9] ^= 1;
            }
            block.root();
            block.mine();
        }
    };
    let sealed = |pair: &Pair, txs: Vec<Tx>, right: bool| {
        let mut block = of(pair, 4, txs);
        block.txs[0].outputs.truncate(1);
        commitment(right)(&mut block);
        block
    };
    let block = sealed(pair, vec![bare.clone()], true);
    pair.broken(&[Rule::UnexpectedWitness], "a witness and its commitment before SegWit", &block);
    let mut block = sealed(pair, vec![], false);
    block.txs[0].inputs[0].witness.clear();
    pair.kept(Rule::BadWitnessMerkleMatch, "a wrong commitment before SegWit", &block);
    let dummy = |coin: &Coin, dummy: u8| {
        let mut tx = spend(&[coin]);
        tx.inputs[0].script_sig = vec![dummy];
        tx
    };
    let block = of(pair, 4, vec![dummy(&coins[6], 0x51)]);
    pair.kept(SCRIPT[0], "NULLDUMMY: a dummy of one before its height", &block);
    assert_eq!(pair.height(), SEGWIT);
    let block = of(pair, 4, vec![dummy(&coins[7], 0x51)]);
    pair.broken(SCRIPT, "NULLDUMMY: a dummy of one", &block);
    let block = sealed(pair, vec![], false);
    pair.broken(&[Rule::BadWitnessMerkleMatch], "a wrong commitment from SegWit on", &block);
    let block = sealed(pair, vec![dummy(&coins[7], 0), bare], true);
    pair.kept(SCRIPT[0], "NULLDUMMY: nothing; WITNESS: a witness and its commitment", &block);
}

fn bip30(pair: &mut Pair) {
    let rules = &[Rule::BadTxnsBip30];
    let twin = |pair: &Pair| again(&of(pair, 1, vec![]));
    let block = twin(pair);
    pair.broken(rules, "a coinbase again while its coin is unspent", &block);
    let txid = block.txs[0].txid();
    let coin = Coin { point: OutPoint { txid, vout: 0 }, value: 5_000_000_000, height: 2 };
    // In the same block its coin is still there when the coinbase makes it again.
    let mut same = twin(pair);
    same.txs.push(spend(&[&coin]));
    same.seal();
    pair.broken(rules, "a coinbase again in the block that spends its coin", &same);
    let block = of(pair, 1, vec![spend(&[&coin])]);
    pair.take(&block);
    let block = twin(pair);
    pair.kept(rules[0], "a coinbase again once its coin is spent", &block);
    let block = twin(pair);
    pair.broken(rules, "a coinbase for the third time", &block);
}

/// OP_1 to OP_16.
fn count_op(count: u32) -> u8 {
    assert!((1..=16).contains(&count));
    0x50 + count as u8
}
