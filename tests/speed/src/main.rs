//! How fast scripts are judged, beside libsecp256k1 alone and beside libbitcoinconsensus, on the same inputs in the same
//! run. One thread; medians; each column takes its turn in each round, so that noise falls on all alike.

use caesure_bench::keys::{Kind, Lock, Spend, sign};
use caesure_bench::sighash::ALL;
use caesure_bench::tx::{OutPoint, Tx, TxIn};
use consensus::script::{AtOnce, Checker, Flags, Key, Machine, Recorder, Row, Spending};
use consensus::{CoinView, LoneTx};
use std::hint::black_box;
use std::time::Instant;

/// What is spent, and which leaf opens it.
const TYPES: [(&str, Kind, usize); 7] = [
    ("P2PKH", Kind::P2pkh, 0),
    ("P2WPKH", Kind::P2wpkh, 0),
    ("P2SH-P2WPKH", Kind::P2shP2wpkh, 0),
    ("2-of-3 P2SH", Kind::P2shMulti, 0),
    ("2-of-3 P2WSH", Kind::P2wshMulti, 0),
    ("P2TR key", Kind::P2trKey, 0),
    ("P2TR script", Kind::P2trScript, 0),
];
/// Inputs and outputs of each transaction.
const INPUTS: u32 = 2;
const COLUMNS: [&str; 5] = ["libsecp256k1", "at once", "deferred", "script only", "consensus 26"];

/// How fast scripts are judged, in inputs per second on one core.
#[derive(clap::Parser)]
struct Args {
    /// Transactions of each type, two inputs each.
    #[arg(long, default_value_t = 512)]
    txs: u32,
    /// Rounds; the medians are told.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
}

struct Case {
    tx: LoneTx,
    bytes: Vec<u8>,
    coins: Vec<(u64, &'static [u8])>,
}

fn case(kind: Kind, leaf: usize, number: u32) -> Case {
    let lock = |i: u32| Lock { kind, key: ((number + i) % 8) as u8 };
    let value = 100_000 + u64::from(number);
    let spends: Vec<Spend> = (0..INPUTS).map(|i| Spend { lock: lock(i), value, hash_type: ALL, leaf }).collect();
    let mut txid = [7; 32];
    txid[..4].copy_from_slice(&number.to_le_bytes());
    let prev = |vout| OutPoint { txid, vout };
    let input = |vout| TxIn { prev: prev(vout), script_sig: vec![], sequence: u32::MAX, witness: vec![] };
    let outputs = [Kind::P2wpkh, Kind::P2trKey].map(|kind| Lock { kind, key: 1 }.output(50_000)).to_vec();
    let mut tx = Tx { version: 2, inputs: (0..INPUTS).map(input).collect(), outputs, lock_time: 0 };
    sign(&mut tx, &spends);
    let coins = spends.iter().map(|spend| (spend.value, spend.lock.script())).collect();
    Case { tx: LoneTx::parse(tx.bytes().into()).expect("just made"), bytes: tx.bytes(), coins }
}

/// Asks at once and writes down what was asked.
#[derive(Default)]
struct Questions(Vec<Question>);

enum Question {
    Ecdsa(Key, Vec<u8>, [u8; 32]),
    Schnorr([u8; 32], [u8; 64], [u8; 32]),
    Tweak([u8; 33], [u8; 32], [u8; 32]),
}

impl Checker for Questions {
    fn ecdsa(&mut self, key: &Key, der: &[u8], message: &[u8; 32], fatal: bool) -> bool {
        self.0.push(Question::Ecdsa(*key, der.to_vec(), *message));
        AtOnce.ecdsa(key, der, message, fatal)
    }

    fn schnorr(&mut self, key: &[u8; 32], signature: &[u8; 64], message: &[u8; 32]) -> bool {
        self.0.push(Question::Schnorr(*key, *signature, *message));
        AtOnce.schnorr(key, signature, message)
    }

    fn tweak(&mut self, output: &[u8; 33], internal: &[u8; 32], tweak: &[u8; 32]) -> bool {
        self.0.push(Question::Tweak(*output, *internal, *tweak));
        AtOnce.tweak(output, internal, tweak)
    }
}

impl Question {
    fn ask(&self) -> bool {
        match self {
            Question::Ecdsa(key, der, message) => AtOnce.ecdsa(key, der, message, true),
            Question::Schnorr(key, signature, message) => AtOnce.schnorr(key, signature, message),
            Question::Tweak(output, internal, tweak) => AtOnce.tweak(output, internal, tweak),
        }
    }
}

fn check_all<C: Checker>(cases: &[Case], coins: &[Vec<CoinView>], checker: &mut C, mut after: impl FnMut(&mut C)) {
    for (case, coins) in cases.iter().zip(coins) {
        let (spending, mut machine) = (Spending::new(case.tx.view(), coins), Machine::new());
        for input in 0..INPUTS {
            machine.check(&spending, input, Flags::CONSENSUS, checker).expect("well signed");
        }
        after(checker);
    }
}

fn settle(recorder: &mut Recorder) {
    assert!(recorder.rows.iter().all(Row::holds));
    recorder.rows.clear();
}

fn consensus_26(case: &Case) {
    let utxos: Vec<bitcoinconsensus::Utxo> = case
        .coins
        .iter()
        .map(|(value, script)| bitcoinconsensus::Utxo {
            script_pubkey: script.as_ptr(),
            script_pubkey_len: script.len() as u32,
            value: *value as i64,
        })
        .collect();
    let flags = bitcoinconsensus::VERIFY_ALL_PRE_TAPROOT | bitcoinconsensus::VERIFY_TAPROOT;
    for (index, (value, script)) in case.coins.iter().enumerate() {
        bitcoinconsensus::verify_with_flags(script, *value, &case.bytes, Some(&utxos), index, flags)
            .expect("well signed");
    }
}

fn main() {
    let args = <Args as clap::Parser>::parse();
    println!("inputs/s on one core, medians of {} rounds of {} inputs", args.rounds, args.txs * INPUTS);
    println!("{:<13}{}  questions", "", COLUMNS.map(|name| format!("{name:>13}")).concat());
    for (name, kind, leaf) in TYPES {
        let cases: Vec<Case> = (0..args.txs).map(|number| case(kind, leaf, number)).collect();
        let view =
            |(value, script): &(u64, &'static [u8])| CoinView { value: *value, height: 0, coinbase: false, script };
        let coins: Vec<Vec<CoinView>> = cases.iter().map(|case| case.coins.iter().map(view).collect()).collect();
        let mut asked = Questions::default();
        check_all(&cases, &coins, &mut asked, |_| {});
        let (mut recorder, mut unsettled) = (Recorder::default(), Recorder::default());
        let mut columns: [Box<dyn FnMut() + '_>; 5] = [
            Box::new(|| assert!(asked.0.iter().filter(|question| black_box(question.ask())).count() > 0)),
            Box::new(|| check_all(&cases, &coins, &mut AtOnce, |_| {})),
            Box::new(|| {
                check_all(&cases, &coins, &mut recorder, |recorder| {
                    if recorder.rows.len() >= 32 {
                        settle(recorder);
                    }
                });
                settle(&mut recorder);
            }),
            Box::new(|| check_all(&cases, &coins, &mut unsettled, |recorder| recorder.rows.clear())),
            Box::new(|| cases.iter().for_each(consensus_26)),
        ];
        let mut times = [const { Vec::new() }; 5];
        for _ in 0..args.rounds {
            for (column, times) in columns.iter_mut().zip(&mut times) {
                let start = Instant::now();
                column();
                times.push(start.elapsed().as_secs_f64());
            }
        }
        let medians = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        });
        let inputs = f64::from(args.txs * INPUTS);
        let rates = medians.map(|seconds| format!("{:>13.0}", inputs / seconds)).concat();
        drop(columns);
        println!("{name:<13}{rates}  {:.2}", asked.0.len() as f64 / inputs);
        let [curve, at_once, deferred, _, consensus] = medians;
        println!(
            "{:<13}over libsecp256k1: at once {:+.1} %, deferred {:+.1} %; {:.2} x bitcoinconsensus",
            "",
            (at_once / curve - 1.0) * 100.0,
            (deferred / curve - 1.0) * 100.0,
            consensus / deferred
        );
    }
    println!(
        "libsecp256k1: only what a script asks of it, signatures and tweaks, keys and DER read each time. Script only: deferred and\n\
         never settled. bitcoinconsensus reads the transaction for each of its inputs, having no other interface."
    );
}
