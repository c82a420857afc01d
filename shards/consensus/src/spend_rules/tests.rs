//! Decides whether each spending rule can be broken alone, at its very edge where it has one.

use super::*;
use crate::{
    COIN, Network,
    testing::{In, Spend, block, coinbase, input, spend},
};

const HEIGHT: u32 = 500;

fn cx() -> SpendCx {
    SpendCx { height: HEIGHT, flags: Flags::CONSENSUS }
}

fn coin(value: u64) -> CoinView<'static> {
    CoinView { value, height: 1, coinbase: false, script: &[0x51] }
}

/// What becomes of a block of a coinbase and `txs`, each input spending the next of `coins`.
fn run(txs: &[Spend], coins: &[Option<CoinView>], cx: &SpendCx) -> Spends {
    let block = block(&[&[coinbase()], txs].concat());
    let lookup = |index: u32| {
        assert_ne!(index, 0, "the coinbase spends no coin");
        coins[index as usize - 1]
    };
    check_spends(&block, 0..block.txs.len() as u32, lookup, cx)
}

fn failure(tx: Spend, coins: &[Option<CoinView>]) -> Option<Rule> {
    let spends = run(&[tx], coins, &cx());
    assert!(spends.failure.is_none_or(|(index, _)| index == 1));
    spends.failure.map(|(_, rule)| rule)
}

fn paying(value: u64) -> Spend {
    Spend { outputs: vec![(value, vec![])], ..spend() }
}

#[test]
fn coins_that_are_not_there() {
    assert_eq!(failure(spend(), &[None]), Some(Rule::BadTxnsInputsMissingorspent));
    // Missing comes before immature, whichever input is first.
    let young = CoinView { coinbase: true, height: HEIGHT, ..coin(1) };
    let two = Spend { inputs: vec![input(7, 0), input(7, 1)], ..spend() };
    assert_eq!(failure(two, &[Some(young), None]), Some(Rule::BadTxnsInputsMissingorspent));
}

#[test]
fn coinbases_wait_a_hundred_blocks() {
    let aged = |height, coinbase| failure(spend(), &[Some(CoinView { height, coinbase, ..coin(1) })]);
    assert_eq!(aged(HEIGHT - 100, true), None);
    assert_eq!(aged(HEIGHT - 99, true), Some(Rule::BadTxnsPrematureSpendOfCoinbase));
    assert_eq!(aged(HEIGHT - 99, false), None);
}

#[test]
fn amounts() {
    let two = Spend { inputs: vec![input(7, 0), input(7, 1)], ..spend() };
    let out_of_range = Some(Rule::BadTxnsInputvaluesOutofrange);
    assert_eq!(failure(spend(), &[Some(coin(MAX_MONEY))]), None);
    assert_eq!(failure(spend(), &[Some(coin(MAX_MONEY + 1))]), out_of_range);
    assert_eq!(failure(two.clone(), &[Some(coin(MAX_MONEY)), Some(coin(0))]), None);
    assert_eq!(failure(two, &[Some(coin(MAX_MONEY)), Some(coin(1))]), out_of_range);
    assert_eq!(failure(paying(6), &[Some(coin(6))]), None);
    assert_eq!(failure(paying(7), &[Some(coin(6))]), Some(Rule::BadTxnsInBelowout));
    // Out of reach for any transaction that comes this far.
    let fee = TX_VALUE[1];
    assert_eq!(fee.0, Rule::BadTxnsFeeOutofrange);
    assert!((fee.1)(&ValueCx { spent: MAX_MONEY + 5, made: 5 }));
    assert!(!(fee.1)(&ValueCx { spent: MAX_MONEY + 6, made: 5 }));
}

#[test]
fn fees_add_up_and_stay_in_range() {
    let other = Spend { inputs: vec![input(8, 0)], ..paying(10) };
    let spends = run(&[paying(3), other.clone()], &[Some(coin(5)), Some(coin(11))], &cx());
    assert_eq!((spends.fees, spends.failure), (3, None));
    let most = [Some(coin(MAX_MONEY)), Some(coin(14))];
    let spends = run(&[paying(3), other], &most, &cx());
    let broken = Rule::BadTxnsAccumulatedFeeOutofrange;
    assert_eq!((spends.fees, spends.failure), (MAX_MONEY - 3, Some((2, broken))), "what came before");
    assert_eq!((check_totals(MAX_MONEY, 80_000), check_totals(MAX_MONEY + 1, 0)), (Ok(()), Err(broken)));
    assert_eq!(check_totals(0, 80_001), Err(Rule::BadBlkSigopsCost));
}

/// A part gives what the whole gives for its transactions.
#[test]
fn parts_of_a_block() {
    let txs = [coinbase(), paying(3), Spend { inputs: vec![input(8, 0)], ..paying(10) }];
    let block = block(&txs);
    let lookup = |index| Some(coin(if index == 1 { 5 } else { 9 }));
    let part = |range| check_spends(&block, range, lookup, &cx());
    assert_eq!((part(0..2).fees, part(0..2).failure), (2, None));
    assert_eq!(part(2..3).failure, Some((2, Rule::BadTxnsInBelowout)));
    assert_eq!(part(1..1), Spends::default());
}

fn locked(sequence: u32) -> Spend {
    Spend { inputs: vec![In { sequence, ..input(7, 0) }], ..spend() }
}

#[test]
fn relative_locks_by_height() {
    let at = |sequence, height| failure(locked(sequence), &[Some(CoinView { height, ..coin(1) })]);
    assert_eq!(at(10, HEIGHT - 10), None);
    assert_eq!(at(10, HEIGHT - 9), Some(Rule::SequenceLock));
    assert_eq!(at(0, HEIGHT), None, "spent in the block that made it");
    assert_eq!(at(1, HEIGHT), Some(Rule::SequenceLock));
    assert_eq!(at(0xff_bf_00_00 & !LOCK_DISABLED, HEIGHT), None, "other bits mean nothing");
    assert_eq!(at(LOCK_DISABLED | 10, HEIGHT), None);
    let coins = [Some(CoinView { height: HEIGHT, ..coin(1) })];
    assert_eq!(failure(Spend { version: 1, ..locked(10) }, &coins), None);
    assert_eq!(failure(Spend { version: u32::MAX, ..locked(10) }, &coins), Some(Rule::SequenceLock), "unsigned");
    let before_csv = SpendCx { flags: Flags::CONSENSUS.without(Flags::CHECKSEQUENCEVERIFY), ..cx() };
    assert_eq!(run(&[locked(10)], &coins, &before_csv).failure, None);
}

#[test]
fn relative_locks_by_time() {
    let coins = [Some(CoinView { height: 300, ..coin(1) })];
    let spends = run(&[locked(LOCK_IS_TIME | 7)], &coins, &cx());
    assert_eq!(spends.time_locks, [TimeLock { tx: 1, coin_height: 300, units: 7 }]);
    assert_eq!(spends.failure, None);
    assert_eq!(run(&[Spend { version: 1, ..locked(LOCK_IS_TIME | 7) }], &coins, &cx()).time_locks, []);
    assert!(time_lock_ok(7, 1_000, 1_000 + 7 * 512) && !time_lock_ok(7, 1_000, 999 + 7 * 512));
    assert!(time_lock_ok(0, 1_000, 1_000) && !time_lock_ok(u32::MAX, u32::MAX, u32::MAX));
}

/// Core sigopcount_tests GetTxSigOpCost: a bare multisig, one in P2SH, a key hash and a script
/// hash of version 0.
#[test]
fn sigop_costs() {
    let cost = |tx: Spend, script: &[u8], cx: &SpendCx| {
        let spends = run(&[tx], &[Some(CoinView { script, ..coin(1) })], cx);
        assert_eq!(spends.failure, None);
        spends.sigop_cost
    };
    let multisig = [0x51, 0x52, 0xaf]; // 1, 2, CHECKMULTISIGVERIFY
    let bare = Spend { outputs: vec![(1, multisig.to_vec())], ..spend() };
    assert_eq!(cost(bare, &[0x51], &cx()), 20 * 4);

    let p2sh = [&[0xa9, 20][..], &[0; 20], &[0x87]].concat();
    let mut reveal = spend();
    reveal.inputs[0].script = vec![3, 0x51, 0x52, 0xaf];
    assert_eq!(cost(reveal.clone(), &p2sh, &cx()), 2 * 4);
    let main = Params::of(Network::Main);
    let before = SpendCx { flags: main.script_flags(170_060, &main.bip16_exceptions[0]), ..cx() };
    assert_eq!(cost(reveal, &p2sh, &before), 0);

    let key_hash = [&[0, 20][..], &[0; 20]].concat();
    assert_eq!(cost(spend(), &key_hash, &cx()), 1);
    assert_eq!(cost(spend(), &key_hash, &before), 0);
    let script_hash = [&[0, 32][..], &[0; 32]].concat();
    let mut tx = spend();
    tx.inputs[0].witness = vec![vec![], multisig.to_vec()];
    assert_eq!(cost(tx, &script_hash, &cx()), 2);
}

/// A block within the legacy limit whose witnesses take it over the whole.
#[test]
fn sigop_cost_limit() {
    let script_hash = [&[0, 32][..], &[0; 32]].concat();
    let costing = |checks: usize| {
        let mut tx = Spend { outputs: vec![(1, vec![0xac; 19_999])], ..spend() };
        tx.inputs[0].witness = vec![vec![0xac; checks]];
        run(&[tx], &[Some(CoinView { script: &script_hash, ..coin(1) })], &cx())
    };
    assert_eq!((costing(4).sigop_cost, costing(4).failure), (80_000, None));
    assert_eq!((costing(5).sigop_cost, costing(5).failure), (0, Some((1, Rule::BadBlkSigopsCost))));
    let mut first = coinbase();
    first.outputs[0].1 = vec![0xac; 20_001];
    let spends = check_spends(&block(&[first]), 0..1, |_| None, &cx());
    assert_eq!(spends.failure, Some((0, Rule::BadBlkSigopsCost)), "the coinbase counts, too");
}

#[test]
fn coinbase_amount() {
    let main = Params::of(Network::Main);
    let block = block(&[coinbase()]);
    assert_eq!(check_coinbase_value(&block, main, 1, 0), Ok(()));
    assert_eq!(check_coinbase_value(&block, main, 210_000, 25 * COIN), Ok(()));
    assert_eq!(check_coinbase_value(&block, main, 210_000, 25 * COIN - 1), Err(Rule::BadCbAmount));
}
