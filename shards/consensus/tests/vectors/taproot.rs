//! Decides whether spends of the taproot vectors come out as they say: BIP341's wallet vectors, and
//! the bundle of Core's script_assets_test.

use crate::files::{file, hex};
use crate::made::{bundle, compact, count, judge, parse, spending, var};
use consensus::TxView;
use consensus::script::{Flags, ScriptError};
use serde_json::Value;

/// A transaction with another script and witness in one of its inputs.
fn with_input(view: &TxView, index: usize, input_script: &[u8], witness: &[Vec<u8>]) -> Vec<u8> {
    let mut out = view.tx.version.to_le_bytes().to_vec();
    out.extend([0, 1]);
    out.extend(compact(view.inputs.len()));
    for (i, input) in view.inputs.iter().enumerate() {
        out.extend(view.prevout(input));
        out.extend(var(if i == index { input_script } else { view.slice(input.script) }));
        out.extend(input.sequence.to_le_bytes());
    }
    out.extend(compact(view.outputs.len()));
    out.extend(view.all_outputs());
    for (i, input) in view.inputs.iter().enumerate() {
        let kept: Vec<Vec<u8>> = view.witness(input).map(<[u8]>::to_vec).collect();
        let items = if i == index { witness } else { &kept };
        out.extend(compact(items.len()));
        items.iter().for_each(|item| out.extend(var(item)));
    }
    out.extend(view.tx.lock_time.to_le_bytes());
    if (0..view.inputs.len())
        .all(|i| if i == index { witness.is_empty() } else { view.witness(&view.inputs[i]).next().is_none() })
    {
        // Without any witness the extended form is not allowed.
        out.drain(4..6);
        let end = out.len() - 4;
        out.drain(end - view.inputs.len()..end);
    }
    out
}

fn text(value: &Value) -> Vec<u8> {
    hex(value.as_str().unwrap())
}

#[test]
fn script_assets() {
    let Some(files) = bundle("btcd-taproot-ref") else { return };
    let (mut cases, mut failures) = (0, 0);
    for (name, content) in files {
        let content = String::from_utf8(content).unwrap();
        let test: Value = serde_json::from_str(content.trim().trim_end_matches(',')).unwrap();
        let tx = parse(text(&test["tx"]));
        let coins: Vec<(u64, Vec<u8>)> =
            test["prevouts"].as_array().unwrap().iter().map(|out| output(&text(out))).collect();
        let index = test["index"].as_u64().unwrap();
        let flags: Flags = test["flags"].as_str().unwrap().parse().unwrap();
        let run = |how: &Value, flags| {
            let witness: Vec<Vec<u8>> = how["witness"].as_array().unwrap().iter().map(text).collect();
            let tx = parse(with_input(&tx.view(), index as usize, &text(&how["scriptSig"]), &witness));
            judge(&tx, &coins, index as u32, flags)
        };
        if let Some(success) = test.get("success") {
            // What is final holds under any flags, the rest under any part of those it names.
            let last = test["final"].as_bool() == Some(true);
            for other in sound_combinations().filter(|other| last || flags.has(*other)) {
                assert_eq!(run(success, other), Ok(()), "{name}: {other}");
            }
            cases += 1;
        }
        if let Some(failure) = test.get("failure") {
            for other in sound_combinations().filter(|other| other.has(flags)) {
                assert!(run(failure, other).is_err(), "{name}: {other}");
            }
            failures += 1;
        }
    }
    count("script_assets (btcd-taproot-ref), accepted", cases);
    count("script_assets (btcd-taproot-ref), refused", failures);
    crate::lanes::tell();
}

/// Every combination of the seven flags of consensus that makes sense.
fn sound_combinations() -> impl Iterator<Item = Flags> {
    let flags: Vec<Flags> =
        Flags::ALL.iter().map(|(flag, ..)| *flag).filter(|flag| Flags::CONSENSUS.has(*flag)).collect();
    (0..1u32 << flags.len())
        .map(move |mask| {
            let chosen = flags.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1);
            chosen.fold(Flags::NONE, |all, (_, flag)| all | *flag)
        })
        .filter(|flags| flags.sound() && (!flags.has(Flags::TAPROOT) || flags.has(Flags::WITNESS)))
}

fn output(bytes: &[u8]) -> (u64, Vec<u8>) {
    let (value, script) = bytes.split_first_chunk::<8>().unwrap();
    let skip = match script[0] {
        253 => 3,
        254 => 5,
        _ => 1,
    };
    (u64::from_le_bytes(*value), script[skip..].to_vec())
}

#[test]
fn bip341_wallet_vectors() {
    let Some(bytes) = file("vectors/bips/bip-0341__wallet-test-vectors.json") else { return };
    let vectors: Value = serde_json::from_slice(&bytes).unwrap();
    let flags = Flags::P2SH | Flags::WITNESS | Flags::TAPROOT;

    let mut cases = 0;
    for spend in vectors["keyPathSpending"].as_array().unwrap() {
        let coins = spend["given"]["utxosSpent"].as_array().unwrap().iter();
        let coins = coins.map(|coin| (coin["amountSats"].as_u64().unwrap(), text(&coin["scriptPubKey"])));
        let mut coins: Vec<_> = coins.collect();
        let signed = parse(text(&spend["auxiliary"]["fullySignedTx"]));
        for index in 0..coins.len() as u32 {
            assert_eq!(judge(&signed, &coins, index, flags), Ok(()), "input {index}");
            cases += 1;
        }
        // Every amount is signed for by every key path that does not say otherwise.
        let own = spend["inputSpending"].as_array().unwrap().iter().map(|input| &input["given"]);
        let own: Vec<(u64, u64)> =
            own.map(|i| (i["txinIndex"].as_u64().unwrap(), i["hashType"].as_u64().unwrap())).collect();
        coins[2].0 += 1;
        for (index, hash_type) in own {
            let refused = judge(&signed, &coins, index as u32, flags) == Err(ScriptError::SchnorrSig);
            assert_eq!(refused, hash_type & 0x80 == 0, "input {index}");
        }
    }

    // Script paths: what the control block shows is believed, whatever the script then does.
    for tree in vectors["scriptPubKey"].as_array().unwrap() {
        let coin_script = text(&tree["expected"]["scriptPubKey"]);
        let (mut leaves, controls) = (Vec::new(), &tree["expected"]["scriptPathControlBlocks"]);
        flatten(&tree["given"]["scriptTree"], &mut leaves);
        for (leaf, control) in leaves.iter().zip(controls.as_array().into_iter().flatten()) {
            let mut control = text(control);
            let spend = |control: &[u8]| {
                let witness = [text(&leaf["script"]), control.to_vec()];
                judge(&parse(spending(&coin_script, 1, &[], &witness)), &[(1, coin_script.clone())], 0, flags)
            };
            assert_ne!(spend(&control), Err(ScriptError::WitnessProgramMismatch), "{leaf}");
            control[0] ^= 1;
            assert_eq!(spend(&control), Err(ScriptError::WitnessProgramMismatch), "{leaf}");
            cases += 1;
        }
    }
    count("bip-0341 wallet-test-vectors.json", cases);
}

fn flatten<'a>(tree: &'a Value, leaves: &mut Vec<&'a Value>) {
    match tree {
        Value::Array(children) => children.iter().for_each(|child| flatten(child, leaves)),
        Value::Object(_) => leaves.push(tree),
        _ => {}
    }
}
