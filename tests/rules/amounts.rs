//! Rules of the coins that a block spends and of what it pays, on regtest.

use crate::{Found, ended, regtest};
use caesure_bench::block::Block;
use caesure_bench::keys::{p2sh, push};
use caesure_bench::tx::{OutPoint, Tx, TxOut};
use caesure_tests::pair::{Coin, OPEN, Pair, spend};
use consensus::Rule;

/// BIP68: the lock counts 512 seconds; it is none.
const SECONDS: u32 = 1 << 22;
const NO_LOCK: u32 = 1 << 31;

pub fn compare() -> Found {
    let mut pair = regtest();
    missing(&mut pair);
    maturity(&mut pair);
    values(&mut pair);
    order(&mut pair);
    locks_by_height(&mut pair);
    locks_by_time(&mut pair);
    ended(pair)
}

/// The coin that the first output of a transaction is.
fn made(tx: &Tx, height: u32) -> Coin {
    Coin { point: OutPoint { txid: tx.txid(), vout: 0 }, value: tx.outputs[0].value, height }
}

fn missing(pair: &mut Pair) {
    let rules = &[Rule::BadTxnsInputsMissingorspent];
    let height = pair.height();
    let coins = [pair.coin(), pair.coin(), pair.coin()];
    let first = spend(&[&coins[0]]);
    let second = spend(&[&made(&first, height)]);
    let mut again = spend(&[&coins[0]]);
    again.lock_time = 1;
    let nowhere = Coin { point: OutPoint { txid: [9; 32], vout: 0 }, ..coins[1].clone() };
    let beyond = Coin { point: OutPoint { vout: 1, ..made(&first, height).point }, value: 1, height };
    let mut data = spend(&[&coins[1]]);
    data.outputs[0].script = vec![0x6a];
    let mut large = spend(&[&coins[1]]);
    large.outputs[0].script = vec![0x51; 10_001];
    let genesis = Coin { point: OutPoint { txid: Block::genesis().txs[0].txid(), vout: 0 }, value: 1, height: 0 };
    for (what, txs) in [
        ("a coin that never was", vec![spend(&[&nowhere])]),
        ("one coin in two transactions", vec![first.clone(), again]),
        ("a coin that a later transaction makes", vec![second.clone(), first.clone()]),
        ("an output beyond the last", vec![first.clone(), spend(&[&beyond])]),
        ("one of two is not there", vec![spend(&[&coins[1], &nowhere])]),
        ("an output of data", vec![data.clone(), spend(&[&made(&data, height)])]),
        ("an output with a script of 10,001 bytes", vec![large.clone(), spend(&[&made(&large, height)])]),
        ("what the genesis block pays", vec![spend(&[&genesis])]),
    ] {
        let block = pair.next(txs);
        pair.broken(rules, what, &block);
    }
    let block = pair.next(vec![first.clone(), second.clone()]);
    pair.kept(rules[0], "a coin of the transaction before", &block);
    let block = pair.next(vec![spend(&[&coins[0]])]);
    pair.broken(rules, "a coin that an earlier block spent", &block);
    let mut later = second.clone();
    later.lock_time = 1;
    let block = pair.next(vec![later]);
    pair.broken(rules, "a coin that was made and spent in one block", &block);
    // Regtest asks for BIP30 at every height, and before it asks what is spent.
    let block = pair.next(vec![second]);
    pair.broken(&[Rule::BadTxnsBip30], "a transaction again whose coin is unspent", &block);
}

/// A coin of the coinbase at a height.
fn reward(pair: &Pair, height: u32) -> Coin {
    let bytes = pair.line.blocks[height as usize].1.clone();
    let block = consensus::Block::parse(bytes).expect("a block of the line");
    let output = &block.outputs_of(&block.txs[0])[0];
    Coin { point: OutPoint { txid: block.txs[0].txid.0, vout: 0 }, value: output.value, height }
}

fn maturity(pair: &mut Pair) {
    let rule = Rule::BadTxnsPrematureSpendOfCoinbase;
    for (age, what) in [(99, "99 blocks"), (1, "one block")] {
        let block = pair.next(vec![spend(&[&reward(pair, pair.height() - age)])]);
        pair.broken(&[rule], what, &block);
    }
    // Of this very block.
    let block = pair.bent(vec![], |block| {
        let own = spend(&[&made(&block.txs[0], 0)]);
        block.txs.push(own);
    });
    // The coinbase commits to what spends it, so its txid is another by now: none can.
    pair.broken(&[Rule::BadTxnsInputsMissingorspent], "a coinbase's of this block, by the name it had", &block);
    let bare = pair.bent(vec![], |block| {
        block.txs[0].outputs.pop();
        block.txs[0].inputs[0].witness.clear();
        let own = spend(&[&made(&block.txs[0], 0)]);
        block.txs.push(own);
    });
    pair.broken(&[rule], "this very block's", &bare);
    let block = pair.next(vec![spend(&[&reward(pair, pair.height() - 100)])]);
    pair.kept(rule, "100 blocks", &block);
}

fn values(pair: &mut Pair) {
    let coins = [pair.coin(), pair.coin(), pair.coin()];
    let mut over = spend(&[&coins[0]]);
    over.outputs[0].value += 1;
    let block = pair.next(vec![over.clone()]);
    pair.broken(&[Rule::BadTxnsInBelowout], "a satoshi more than there was", &block);
    let mut split = spend(&[&coins[0], &coins[1]]);
    split.outputs.push(TxOut { value: 1, script: OPEN.to_vec() });
    let block = pair.next(vec![split]);
    pair.broken(&[Rule::BadTxnsInBelowout], "a satoshi more in two outputs of two coins", &block);
    // A fee elsewhere in the block does not help.
    let mut fee = spend(&[&coins[1]]);
    fee.outputs[0].value -= 1_000;
    let block = pair.next(vec![fee.clone(), over]);
    pair.broken(&[Rule::BadTxnsInBelowout], "a satoshi more, with a fee before", &block);
    let block = pair.next(vec![spend(&[&coins[0]])]);
    pair.kept(Rule::BadTxnsInBelowout, "all there was", &block);

    let paying = |pair: &Pair, txs: Vec<Tx>, more: u64| pair.bent(txs, |block| block.txs[0].outputs[0].value += more);
    let rules = &[Rule::BadCbAmount];
    let block = paying(pair, vec![], 1);
    pair.broken(rules, "a satoshi more than the subsidy", &block);
    let two = paying(pair, vec![], 0);
    let two = {
        let mut two = two;
        two.txs[0].outputs.push(TxOut { value: 1, script: OPEN.to_vec() });
        two.seal();
        two
    };
    pair.broken(rules, "a satoshi more in another output", &two);
    let block = paying(pair, vec![fee.clone()], 1_001);
    pair.broken(rules, "a satoshi more than subsidy and fees", &block);
    let block = paying(pair, vec![fee], 1_000);
    pair.kept(rules[0], "subsidy and fees", &block);
    let less = pair.bent(vec![], |block| block.txs[0].outputs[0].value = 0);
    pair.kept(rules[0], "nothing", &less);
    // The subsidy halves at 150.
    while pair.height() < 150 {
        let block = pair.next(vec![]);
        pair.take(&block);
    }
    let block = pair.bent(vec![], |block| block.txs[0].outputs[0].value = 2_500_000_001);
    pair.broken(rules, "a satoshi more than half", &block);
    let block = pair.bent(vec![], |block| block.txs[0].outputs[0].value = 2_500_000_000);
    pair.kept(rules[0], "half from block 150 on", &block);
}

/// Of two faults in a block, both name the same one.
fn order(pair: &mut Pair) {
    let twice = [0x51, 0, 0x63, 0xac, 0xac, 0x68];
    let coins = pair.fund(&[vec![0], OPEN.to_vec(), OPEN.to_vec(), p2sh(&twice)]);
    let fails = spend(&[&coins[0]]);
    let mut over = spend(&[&coins[1]]);
    over.outputs[0].value += 1;
    let mut locked = spend(&[&coins[2]]);
    locked.inputs[0].sequence = 10;
    // 19,999 signature checks and two behind a script hash: they cost 80,004.
    let mut sigops = spend(&[&coins[3]]);
    push(&mut sigops.inputs[0].script_sig, &twice);
    sigops.outputs.extend([9_000, 9_000, 1_999].map(|count| TxOut { value: 0, script: vec![0xac; count] }));
    for (what, txs, paid, rule) in [
        ("a script that fails, then a value", vec![fails.clone(), over.clone()], 0, Rule::BadTxnsInBelowout),
        ("a value, then a lock", vec![over.clone(), locked.clone()], 0, Rule::BadTxnsInBelowout),
        ("a lock, then a value", vec![locked.clone(), over.clone()], 0, Rule::SequenceLock),
        ("a script that fails, and too much paid", vec![fails.clone()], 1, Rule::BadCbAmount),
        ("a value, and too much paid", vec![over.clone()], 1, Rule::BadTxnsInBelowout),
        ("signature checks, then a value", vec![sigops.clone(), over.clone()], 0, Rule::BadBlkSigopsCost),
        ("a value, then signature checks", vec![over, sigops.clone()], 0, Rule::BadTxnsInBelowout),
        ("a script that fails, then signature checks", vec![fails, sigops], 0, Rule::BadBlkSigopsCost),
    ] {
        let block = pair.bent(txs, |block| block.txs[0].outputs[0].value += paid);
        pair.broken(&[rule], what, &block);
    }
}

fn locks_by_height(pair: &mut Pair) {
    let coins = pair.fund(&[OPEN.to_vec(), OPEN.to_vec(), OPEN.to_vec(), OPEN.to_vec(), OPEN.to_vec()]);
    let block = pair.next(vec![]);
    pair.take(&block);
    let locked = |coin: &Coin, sequence: u32, version: u32| {
        let mut tx = spend(&[coin]);
        (tx.version, tx.inputs[0].sequence) = (version, sequence);
        tx
    };
    let rule = Rule::SequenceLock;
    let age = pair.height() - coins[0].height;
    for (what, sequence, version) in [
        ("one block too young", age + 1, 2),
        ("the longest lock", 0xffff, 2),
        ("bits that mean nothing are set as well", 0x7fbf_0000 + age + 1, 2),
        ("the highest version", age + 1, u32::MAX),
        ("version three", age + 1, 3),
    ] {
        let block = pair.next(vec![locked(&coins[0], sequence, version)]);
        pair.broken(&[rule], what, &block);
    }
    let own = spend(&[&coins[1]]);
    let young = locked(&made(&own, pair.height()), 1, 2);
    let block = pair.next(vec![own.clone(), young]);
    pair.broken(&[rule], "a coin of this block, one block", &block);
    // Each good one in a block of its own, so the age grows with them.
    let block = pair.next(vec![own.clone(), locked(&made(&own, pair.height()), 0, 2)]);
    pair.kept(rule, "a coin of this block, no blocks", &block);
    let age = pair.height() - coins[0].height;
    let block = pair.next(vec![locked(&coins[0], age, 2)]);
    pair.kept(rule, "just old enough", &block);
    let block = pair.next(vec![locked(&coins[2], 0xffff, 1)]);
    pair.kept(rule, "version one", &block);
    let block = pair.next(vec![locked(&coins[3], NO_LOCK | 0xffff, 2)]);
    pair.kept(rule, "a sequence that is no lock", &block);
    let block = pair.next(vec![locked(&coins[4], 0xffff, 0)]);
    pair.kept(rule, "version zero", &block);
}

/// From the median time past before the block that made the coin to that of the spending block's parent.
fn locks_by_time(pair: &mut Pair) {
    let rule = Rule::SequenceLock;
    let before = pair.mtp();
    let coins = pair.fund(&[OPEN.to_vec()]);
    // Later than any block so far.
    let units = 20;
    let end = before + units * 512;
    let move_to = |pair: &mut Pair, time: u32| {
        while pair.mtp() < time {
            let block = pair.bent(vec![], |block| block.header.time = time);
            pair.take(&block);
        }
        assert_eq!(pair.mtp(), time);
    };
    let locked = |units: u32| {
        let mut tx = spend(&[&coins[0]]);
        tx.inputs[0].sequence = SECONDS | units;
        vec![tx]
    };
    move_to(pair, end - 1);
    let block = pair.next(locked(units));
    pair.broken(&[rule], "a second too young", &block);
    move_to(pair, end);
    let block = pair.next(locked(units + 1));
    pair.broken(&[rule], "a unit of 512 seconds too young", &block);
    let block = pair.next(locked(units));
    pair.kept(rule, "old enough to the second", &block);
}
