//! Scripts that fail under exactly one flag, on regtest: P2SH, witnesses and Taproot bind there from the first block on.
//! Those that begin at a height are in `heights.rs`. The script error must be Core's as well.

use crate::{Found, ended, regtest};
use caesure_bench::keys::{Kind, Lock, Spend, p2sh, program, push, sign};
use caesure_bench::sighash::ALL;
use caesure_bench::tx::Tx;
use caesure_tests::locks::{p2tr, p2wsh};
use caesure_tests::pair::{Coin, OPEN, spend};
use consensus::{Rule, script::ScriptError};

const KEY: u8 = 5;

/// A coin's lock, what fails to open it and why, what opens it.
struct Case {
    what: &'static str,
    lock: Vec<u8>,
    fails: Vec<(&'static str, Open, ScriptError)>,
    opens: Option<Open>,
}

/// Input script and witness.
type Open = (Vec<u8>, Vec<Vec<u8>>);

fn pushed(bytes: &[u8]) -> Vec<u8> {
    let mut script = Vec::new();
    push(&mut script, bytes);
    script
}

/// Nothing but a witness.
fn witness<const N: usize>(items: [&[u8]; N]) -> Open {
    (vec![], items.map(<[u8]>::to_vec).to_vec())
}

fn cases() -> Vec<Case> {
    let (none, one) = (vec![0], OPEN.to_vec());
    let mut cases = vec![
        Case {
            what: "a coin's script",
            lock: vec![0x69, 0x51],
            fails: vec![
                ("VERIFY of nothing", (vec![0], vec![]), ScriptError::Verify),
                ("an empty stack", (vec![], vec![]), ScriptError::InvalidStackOperation),
            ],
            opens: Some((vec![0x51], vec![])),
        },
        Case {
            what: "an opcode that was taken out",
            lock: vec![0x51, 0x51, 0x7e, 0x51],
            fails: vec![("OP_CAT", (vec![], vec![]), ScriptError::DisabledOpcode)],
            opens: None,
        },
        Case {
            what: "P2SH",
            lock: p2sh(&none),
            fails: vec![
                ("a script of the right hash that is false", (pushed(&none), vec![]), ScriptError::EvalFalse),
                ("more than pushes", ([&[0x61][..], &pushed(&none)].concat(), vec![]), ScriptError::SigPushOnly),
            ],
            opens: None,
        },
        Case {
            what: "P2SH",
            lock: p2sh(&one),
            fails: vec![("a script of another hash", (pushed(&none), vec![]), ScriptError::EvalFalse)],
            opens: Some((pushed(&one), vec![])),
        },
        Case {
            what: "WITNESS",
            lock: p2wsh(&one),
            fails: vec![
                ("no witness", witness([]), ScriptError::WitnessProgramWitnessEmpty),
                ("a script of another hash", witness([&none]), ScriptError::WitnessProgramMismatch),
                ("a true item too many", witness([&[1], &one]), ScriptError::CleanStack),
                ("an input script", (vec![0x51], vec![one.clone()]), ScriptError::WitnessMalleated),
            ],
            opens: Some(witness([&one])),
        },
        Case {
            what: "WITNESS in P2SH",
            lock: p2sh(&p2wsh(&one)),
            fails: vec![(
                "more than one push",
                ([&[0x51][..], &pushed(&p2wsh(&one))].concat(), vec![one.clone()]),
                ScriptError::WitnessMalleatedP2sh,
            )],
            opens: Some((pushed(&p2wsh(&one)), vec![one.clone()])),
        },
        Case {
            what: "WITNESS",
            lock: program(0, &[1; 21]),
            fails: vec![("a program of 21 bytes", witness([&one]), ScriptError::WitnessProgramWrongLength)],
            opens: None,
        },
        Case {
            what: "WITNESS",
            lock: p2wsh(&[0x75, 0x51]),
            fails: vec![("an item of 521 bytes", witness([&[0; 521], &[0x75, 0x51]]), ScriptError::PushSize)],
            opens: Some(witness([&[0; 520], &[0x75, 0x51]])),
        },
        Case {
            what: "a witness nobody asked for",
            lock: one.clone(),
            fails: vec![("for an open coin", witness([&[1]]), ScriptError::WitnessUnexpected)],
            opens: Some((vec![], vec![])),
        },
        Case {
            what: "a witness version of the future",
            lock: program(0x60, &[7; 40]),
            fails: vec![],
            opens: Some(witness([])),
        },
        Case { what: "an anchor", lock: program(0x51, &[0x4e, 0x73]), fails: vec![], opens: Some(witness([])) },
    ];
    let leaf = |script: &[u8]| (script.to_vec(), p2tr(script));
    for (what, script, fails, opens) in [
        (
            "TAPROOT: MINIMALIF",
            vec![0x63, 0x51, 0x67, 0x51, 0x68],
            Some((vec![vec![2]], ScriptError::TapscriptMinimalIf)),
            Some(vec![vec![1]]),
        ),
        ("TAPROOT: CHECKMULTISIG", vec![0x51, 0xae], Some((vec![], ScriptError::TapscriptCheckMultisig)), None),
        ("TAPROOT: a success opcode behind what cannot be", vec![0x6a, 0x50], None, Some(vec![])),
        ("TAPROOT: a key of no bytes", vec![0, 0xac], Some((vec![vec![1]], ScriptError::TapscriptEmptyPubkey)), None),
        (
            "TAPROOT: an item of 521 bytes",
            vec![0x75, 0x51],
            Some((vec![vec![0; 521]], ScriptError::PushSize)),
            Some(vec![vec![0; 520]]),
        ),
        (
            "TAPROOT: a stack of 1,001",
            [vec![0x51; 1_001], vec![0x75; 1_000]].concat(),
            Some((vec![], ScriptError::StackSize)),
            None,
        ),
        ("TAPROOT: more than 10,000 bytes", [vec![0x61; 10_000], vec![0x51]].concat(), None, Some(vec![])),
    ] {
        let (script, (lock, control)) = leaf(&script);
        let open = |items: Vec<Vec<u8>>| (vec![], [items, vec![script.clone(), control.clone()]].concat());
        let mut wrong = control.clone();
        wrong[5] ^= 1;
        let mut fails: Vec<_> = fails.into_iter().map(|(items, error)| ("", open(items), error)).collect();
        fails.push(("another key", (vec![], vec![script.clone(), wrong]), ScriptError::WitnessProgramMismatch));
        fails.push((
            "half a node",
            (vec![], vec![script.clone(), [&control[..], &[0; 31]].concat()]),
            ScriptError::TaprootWrongControlSize,
        ));
        cases.push(Case { what, lock, fails, opens: opens.map(open) });
    }
    cases
}

pub fn compare() -> Found {
    let mut pair = regtest();
    let rule = Rule::BlockScriptVerifyFlagFailed;
    let cases = cases();
    let coins = pair.fund(&cases.iter().map(|case| case.lock.clone()).collect::<Vec<_>>());
    for (case, coin) in cases.iter().zip(&coins) {
        let opened = |(script_sig, witness): &Open| {
            let mut tx = spend(&[coin]);
            (tx.inputs[0].script_sig, tx.inputs[0].witness) = (script_sig.clone(), witness.clone());
            vec![tx]
        };
        for (how, open, error) in &case.fails {
            let what = format!("{}: {how}", case.what);
            let block = pair.next(opened(open));
            let told = pair.broken(&[rule], &what, &block);
            assert_eq!(told.as_deref(), Some(error.text()), "{what}");
        }
        if let Some(open) = &case.opens {
            let block = pair.next(opened(open));
            pair.kept(rule, &format!("{}: opened", case.what), &block);
        }
    }

    // Each kind of lock with its signature, one byte of it changed, and the signature of another transaction.
    let locks = Kind::EVERY.map(|kind| Lock { kind, key: KEY });
    let coins = pair.fund(&locks.map(|lock| lock.script().to_vec()));
    let signed = |lock: Lock, coin: &Coin, leaf: usize| {
        let mut tx = spend(&[coin]);
        sign(&mut tx, &[Spend { lock, value: coin.value, hash_type: ALL, leaf }]);
        tx
    };
    for (lock, coin) in locks.into_iter().zip(&coins) {
        let mut later = signed(lock, coin, 1);
        later.lock_time = 1;
        let block = pair.next(vec![later]);
        pair.broken(&[rule], &format!("{:?}: the signature of another transaction", lock.kind), &block);
        let mut bent = signed(lock, coin, 0);
        bend(&mut bent);
        let block = pair.next(vec![bent]);
        pair.broken(&[rule], &format!("{:?}: a signature with a bit changed", lock.kind), &block);
        // Before witnesses, nobody signed for what a coin is worth.
        if !matches!(lock.kind, Kind::P2pk | Kind::P2pkh | Kind::P2shMulti) {
            let mut tx = spend(&[coin]);
            sign(&mut tx, &[Spend { lock, value: coin.value + 1, hash_type: ALL, leaf: 0 }]);
            let block = pair.next(vec![tx]);
            pair.broken(&[rule], &format!("{:?}: signed for another amount", lock.kind), &block);
        }
        let block = pair.next(vec![signed(lock, coin, 0)]);
        pair.kept(rule, &format!("{:?}: signed", lock.kind), &block);
    }
    ended(pair)
}

/// Changes a bit in the s of the first signature.
fn bend(tx: &mut Tx) {
    let input = &mut tx.inputs[0];
    let signature = input.witness.iter_mut().find(|item| item.len() >= 64);
    let signature = signature.unwrap_or(&mut input.script_sig);
    let at = 60.min(signature.len() - 3);
    signature[at] ^= 1;
}
