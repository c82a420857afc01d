//! Blocks that are as much work as blocks can be, and some that fail only at their very end: a node and Bitcoin Core say
//! the same of each, and how long each took is printed. In release the figures mean something:
//! `cargo test --release -p caesure-tests --test hostile`.
//!
//! Core answers `submitblock`; the node is given the block by a peer, writes it down, and is looked at through its page.
//! An ordinary block of four million bytes shows how much of the time that is.

use caesure_bench::keys::{program, push};
use caesure_bench::sighash::{ALL, Shared, leaf_hash, taproot};
use caesure_bench::sign::{Even, ecdsa, scalar, schnorr};
use caesure_bench::tx::{Tx, TxOut};
use caesure_tests::aloud;
use caesure_tests::locks::{p2tr, p2wsh};
use caesure_tests::pair::{Coin, OPEN, Pair, Start, spend};
use consensus::script::ScriptError;
use consensus::{Network, Params, Rule};

/// Bytes of witness that fill a block, with some room for the rest.
const FULL: usize = 3_990_000;
const RULE: Rule = Rule::BlockScriptVerifyFlagFailed;

/// What was measured of one block.
struct Heat {
    pair: Pair,
    lines: Vec<String>,
}

impl Heat {
    fn accepted(&mut self, what: &str, txs: Vec<Tx>) {
        let block = self.pair.next(txs);
        self.pair.kept(RULE, what, &block);
        self.told(what);
    }

    fn refused(&mut self, what: &str, txs: Vec<Tx>, error: ScriptError) {
        let block = self.pair.next(txs);
        let told = self.pair.broken(&[RULE], what, &block);
        assert_eq!(told.as_deref(), Some(error.text()), "{what}");
        self.told(what);
    }

    fn told(&mut self, what: &str) {
        let (core, ours) = self.pair.took;
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        let (theirs, factor) = match core {
            Some(core) => (format!("{:.0}", ms(core)), format!("{:.2}", ms(ours) / ms(core))),
            None => ("-".into(), "-".into()),
        };
        self.lines.push(format!("{what:<66} {theirs:>7} {:>7.0} {factor:>6}", ms(ours)));
    }

    /// A coin behind a single leaf, and the witness that opens it with these items.
    fn leaf(&mut self, script: Vec<u8>, items: Vec<Vec<u8>>) -> Vec<Tx> {
        let (lock, control) = p2tr(&script);
        let coins = self.pair.fund(&[lock]);
        let mut tx = spend(&[&coins[0]]);
        tx.inputs[0].witness = [items, vec![script, control]].concat();
        vec![tx]
    }
}

/// A transaction for each so many coins.
fn spends(coins: &[Coin], each: usize, open: impl Fn(&mut Tx)) -> Vec<Tx> {
    let txs = coins.chunks(each).map(|coins| {
        let mut tx = spend(&coins.iter().collect::<Vec<_>>());
        open(&mut tx);
        tx
    });
    txs.collect()
}

/// A signature in DER of nobody.
fn forged() -> Vec<u8> {
    [&ecdsa(scalar(b"nobody", 0), &[7; 32])[..], &[ALL]].concat()
}

fn public(index: u8) -> [u8; 33] {
    scalar(b"many", index).public_key().serialize()
}

/// Twenty keys are tried in vain for one signature, by each of 4,000 inputs: 80,000 checks.
fn sigops(heat: &mut Heat) {
    let mut script = vec![0x51];
    (0..20).for_each(|index| push(&mut script, &public(index)));
    script.extend([1, 20, 0xae, 0x91]);
    let coins = heat.pair.fund(&vec![p2wsh(&script); 4_000]);
    let txs = spends(&coins, 100, |tx| {
        let witness = vec![vec![], forged(), script.clone()];
        tx.inputs.iter_mut().for_each(|input| input.witness = witness.clone());
    });
    heat.accepted("80,000 checks by 4,000 inputs, none of them good", txs);
}

/// Each input's check hashes the whole transaction: 5,500 times a megabyte.
fn quadratic(heat: &mut Heat) {
    let count = if cfg!(debug_assertions) { 1_500 } else { 5_500 };
    let mut script = Vec::new();
    push(&mut script, &public(0));
    script.extend([0xac, 0x91]);
    let coins = heat.pair.fund(&vec![script; count]);
    let txs = spends(&coins, count, |tx| {
        tx.inputs.iter_mut().for_each(|input| push(&mut input.script_sig, &forged()));
        tx.outputs.push(TxOut { value: 0, script: vec![] });
        tx.outputs[1].script = vec![0x6a; 999_000 - tx.bytes().len()];
    });
    heat.accepted(&format!("one transaction of a megabyte, hashed for {count} inputs"), txs);
}

/// Forty inputs that each check one good signature as often as their witness allows, fifty bytes a check (BIP342), and
/// `more` times.
fn adding(heat: &mut Heat, more: usize) -> Vec<Tx> {
    const INPUTS: usize = 40;
    const CHECKS: usize = 1_900;
    // A count of items, the signature, the script and its length, and the control block; fifty are for free.
    const SCRIPT: usize = 50 * CHECKS - 50 - (1 + 65 + 5 + 34);
    let key = Even::new(scalar(b"many", 1));
    // Each check takes a copy of the signature, and adds to the number above it.
    let mut script = vec![0];
    for _ in 0..CHECKS + more {
        script.extend([0x78, 0x7c]);
        push(&mut script, &key.x);
        script.push(0xba);
    }
    push(&mut script, &((CHECKS + more) as u16).to_le_bytes());
    script.extend([0x88, 0x75]);
    script.resize(SCRIPT - 1, 0x61);
    script.push(0x51);
    let (lock, control) = p2tr(&script);
    let coins = heat.pair.fund(&vec![lock.clone(); INPUTS]);
    spends(&coins, 1, |tx| {
        let spent = [TxOut { value: tx.outputs[0].value, script: lock.clone() }];
        let digest = taproot(tx, &Shared::new(tx, &spent), 0, &spent, 0, Some(&leaf_hash(&script)));
        tx.inputs[0].witness = vec![schnorr(&key, &digest), script.clone(), control.clone()];
    })
}

fn nesting(heat: &mut Heat) {
    let third = FULL / 3;
    // The first is false, so that all within are only counted.
    let deep = [vec![0, 0x63], vec![0x63; third], vec![0x67; third], vec![0x68; third], vec![0x68, 0x51]].concat();
    let txs = heat.leaf(deep.clone(), vec![]);
    heat.accepted("1.3 million OP_IF nested, as many OP_ELSE and OP_ENDIF", txs);
    let txs = heat.leaf([&deep[..deep.len() - 2], &[0x51]].concat(), vec![]);
    heat.refused("the same with an OP_ENDIF too few", txs, ScriptError::UnbalancedConditional);
    let runs = [[0x51, 0x63].repeat(third), vec![0x68; third], vec![0x51]].concat();
    let txs = heat.leaf(runs, vec![]);
    heat.accepted("1.3 million OP_IF nested, all of them true", txs);
}

fn hashing(heat: &mut Heat) {
    for (name, op) in [("OP_SHA256", 0xa8), ("OP_RIPEMD160", 0xa6), ("OP_HASH256", 0xaa), ("OP_SHA1", 0xa7)] {
        let script = [&[0x76, op, 0x75].repeat(FULL / 3)[..], &[0x75, 0x51]].concat();
        let txs = heat.leaf(script, vec![vec![9; 520]]);
        heat.accepted(&format!("{name} of 520 bytes, {} times", FULL / 3), txs);
    }
    let mut pushes = Vec::new();
    while pushes.len() < FULL {
        pushes.extend([0x4d, 8, 2]);
        pushes.extend([7; 520]);
        pushes.extend([0xa8, 0x75]);
    }
    pushes.push(0);
    let txs = heat.leaf(pushes, vec![]);
    heat.refused("pushes of 520 bytes, each hashed, and nothing left", txs, ScriptError::EvalFalse);
}

/// Scripts as long as they may be, of pushes that are stepped over, and of as many items as a stack may hold.
fn pushes(heat: &mut Heat) {
    let filled = |end: &[u8]| {
        let mut script = vec![0, 0x63];
        while script.len() + 76 + 1 + end.len() <= 10_000 {
            push(&mut script, &[1; 75]);
        }
        [&script[..], &[0x68], end].concat()
    };
    for (what, end, error) in [
        ("390 scripts of 10,000 bytes of pushes", vec![0x51], None),
        (
            "390 scripts of 10,000 bytes of pushes, which leave 999 items",
            vec![0x51; 999],
            Some(ScriptError::CleanStack),
        ),
    ] {
        let script = filled(&end);
        let coins = heat.pair.fund(&vec![p2wsh(&script); 390]);
        let txs = spends(&coins, 10, |tx| tx.inputs.iter_mut().for_each(|input| input.witness = vec![script.clone()]));
        match error {
            None => heat.accepted(what, txs),
            Some(error) => heat.refused(what, txs, error),
        }
    }
}

#[test]
fn hostile_blocks_are_judged_as_core_judges_them() {
    let params = *Params::of(Network::Regtest);
    let start = Start { name: "regtest", core: &[], ours: &[], params };
    let mut heat = Heat { pair: Pair::start(&start, Pair::ripe(&params, 130, |_, _| {})), lines: vec![] };
    let plain = heat.pair.fund(&[program(0x60, &[1, 2]), OPEN.to_vec()]);
    let mut tx = spend(&[&plain[0]]);
    tx.inputs[0].witness = vec![vec![0; FULL]];
    heat.accepted("an ordinary block: a witness of four million bytes that nobody reads", vec![tx]);
    let block = heat.pair.coin();
    heat.accepted("an ordinary block of one transaction", vec![spend(&[&block])]);

    sigops(&mut heat);
    quadratic(&mut heat);
    let txs = adding(&mut heat, 0);
    heat.accepted("76,000 OP_CHECKSIGADD, as many as 40 witnesses allow", txs);
    let txs = adding(&mut heat, 1);
    heat.refused("the same with one more in each", txs, ScriptError::TapscriptValidationWeight);
    nesting(&mut heat);
    hashing(&mut heat);
    pushes(&mut heat);

    aloud(&format!("{:<66} {:>7} {:>7} {:>6}", "milliseconds", "Core", "ours", "factor"));
    heat.lines.iter().for_each(|line| aloud(line));
    assert!(heat.pair.wrong.is_empty(), "{}", heat.pair.wrong.join("\n"));
    assert_eq!(heat.pair.node.stop(), 0, "it is alive and ends in good order");
}
