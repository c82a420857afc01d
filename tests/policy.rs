//! What Bitcoin Core's pool says of scripts, and what caesure says under the same rules: those of consensus and those of
//! relay. The coins are real, on a regtest chain that Core holds.

use caesure_bench::tx::{OutPoint, TxOut};
use caesure_tests::aloud;
use caesure_tests::core::Core;
use caesure_tests::data::hex;
use caesure_tests::pair::{Coin, Pair, Start};
use caesure_tests::scripts::verdict::all;
use caesure_tests::scripts::{Case, FLAGS, bit, lone};
use consensus::script::ScriptError;
use consensus::{Network, Params};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SEED: u64 = 5;
const CASES: u64 = 6_000;
/// Each block makes so many of the coins.
const EACH: usize = 500;
/// What only the rules of relay refuse, of all that is refused here.
const RELAY: [&str; 12] = [
    "SIG_HASHTYPE",
    "SIG_HIGH_S",
    "MINIMALDATA",
    "MINIMALIF",
    "CLEANSTACK",
    "SIG_NULLFAIL",
    "WITNESS_PUBKEYTYPE",
    "OP_CODESEPARATOR",
    "DISCOURAGE_UPGRADABLE_NOPS",
    "DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM",
    "DISCOURAGE_OP_SUCCESS",
    "DISCOURAGE_UPGRADABLE_PUBKEYTYPE",
];

/// What Core's pool says of each script: none where it never came to it.
fn core_says(core: &Core, cases: &[Case]) -> Vec<Option<Result<(), String>>> {
    let params: Vec<Value> = cases.iter().map(|case| json!([[hex(&case.tx.bytes())], 0])).collect();
    let verdict = |answer: Result<Value, String>| {
        // Some of what mutations made are no transactions to it.
        let answer = answer.ok()?;
        if answer[0]["allowed"] == Value::Bool(true) {
            return Some(Ok(()));
        }
        let reason = answer[0]["reject-reason"].as_str().expect("a reason for each refusal");
        let text = reason.strip_prefix("mempool-script-verify-flag-failed (")?.strip_suffix(')')?;
        Some(Err(text.to_owned()))
    };
    core.try_calls("testmempoolaccept", &params).into_iter().map(verdict).collect()
}

/// A coin for each case, with what locks it.
fn funded(pair: &mut Pair) -> Vec<(Coin, Vec<u8>)> {
    let none = OutPoint { txid: [0; 32], vout: 0 };
    let locks: Vec<Vec<u8>> = (0..CASES).map(|number| lone(SEED, number, none, 0).coins.remove(0).script).collect();
    let coins: Vec<Coin> = locks.chunks(EACH).flat_map(|locks| pair.fund(locks)).collect();
    coins.into_iter().zip(locks).collect()
}

#[test]
fn the_pool_of_core_says_the_same() {
    let params = *Params::of(Network::Regtest);
    let any = ["-acceptnonstdtxn=1", "-minrelaytxfee=0", "-dustrelayfee=0"];
    let start = Start { name: "regtest", core: &any, ours: &[], params };
    let mut pair = Pair::start(&start, Pair::ripe(&params, 130, |_, _| {}));
    let coins = funded(&mut pair);
    let Some(core) = &pair.core else { return };
    let rules = FLAGS.iter().fold(0, |sum, flag| sum | bit(flag)) & !bit("SIGPUSHONLY");
    let cases = (0..).zip(&coins).map(|(number, (coin, _))| lone(SEED, number, coin.point, coin.value));
    let cases: Vec<Case> = cases.map(|case| Case { flags: rules, ..case }).collect();
    let said: Vec<_> = cases.chunks(EACH).flat_map(|cases| core_says(core, cases)).collect();
    let (mut compared, mut accepted, mut errors) = (0, 0, BTreeMap::<&str, u32>::new());
    for (number, ((case, theirs), (coin, script))) in cases.iter().zip(said).zip(coins).enumerate() {
        let Some(theirs) = theirs else { continue };
        // Else the lock was another before the coin was known, or a mutation has put another in its place.
        if case.coins != [TxOut { value: coin.value, script }] {
            continue;
        }
        compared += 1;
        accepted += u32::from(theirs.is_ok());
        for ours in all(case) {
            let text = ours.map_err(|name| {
                let error = ScriptError::ALL.iter().find(|error| error.name() == name).expect("one of ours");
                *errors.entry(error.name()).or_default() += 1;
                error.text().to_owned()
            });
            assert_eq!(text, theirs, "case {number} of seed {SEED}\n{case}");
        }
    }
    aloud(&format!("{compared} scripts compared with the pool of Core, {accepted} accepted, {} errors", errors.len()));
    let missing: Vec<&str> = RELAY.into_iter().filter(|name| !errors.contains_key(name)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "of {errors:?}");
    assert!(compared >= 2_000 && accepted * 10 >= compared, "{compared} compared, {accepted} accepted");
}
