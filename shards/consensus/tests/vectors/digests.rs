//! Decides whether what is signed before segwit, and whether BIP340 signatures hold, come out as the
//! vectors say.

use crate::files::{file, hex};
use crate::made::{core_json, count, parse};
use consensus::CoinView;
use consensus::script::{AtOnce, Checker, Recorder, Spending, legacy_digest};
use serde_json::Value;

fn digests(name: &str, tests: &Value) {
    let mut cases = 0;
    for test in tests.as_array().unwrap().iter().filter(|test| test.as_array().unwrap().len() == 5) {
        let text = |i: usize| test[i].as_str().unwrap();
        let (tx, code) = (parse(hex(text(0))), hex(text(1)));
        let (index, hash_type) = (test[2].as_u64().unwrap(), test[3].as_i64().unwrap() as u32);
        let coin = CoinView { value: 0, height: 0, coinbase: false, script: &[] };
        let coins = vec![coin; tx.view().inputs.len()];
        let spending = Spending::new(tx.view(), &coins);
        let mut digest = legacy_digest(&spending, index as usize, &code, hash_type);
        digest.reverse();
        assert_eq!(digest[..], hex(text(4)), "{name}: {test}");
        cases += 1;
    }
    count(name, cases);
}

#[test]
fn legacy_digests() {
    if let Some(tests) = core_json("sighash.json") {
        digests("sighash.json", &tests);
    }
    if let Some(bytes) = file("vectors/txs/rust-bitcoin-legacy_sighash.json.zst") {
        digests("rust-bitcoin-legacy_sighash.json", &serde_json::from_slice(&bytes).unwrap());
    }
}

#[test]
fn bip340() {
    let Some(bytes) = file("vectors/bips/bip-0340__test-vectors.csv") else { return };
    let (mut cases, mut other) = (0, 0);
    for line in String::from_utf8(bytes).unwrap().lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [_, _, key, _, message, signature, wanted, ..] = fields[..] else { panic!("{line}") };
        // Bitcoin signs digests; what is longer or shorter says nothing of it.
        let Ok(message) = <[u8; 32]>::try_from(hex(message)) else {
            other += 1;
            continue;
        };
        let (key, signature) = (hex(key).try_into().unwrap(), hex(signature).try_into().unwrap());
        let holds = AtOnce.schnorr(&key, &signature, &message);
        assert_eq!(holds, wanted == "TRUE", "{line}");
        let mut recorder = Recorder::default();
        assert!(recorder.schnorr(&key, &signature, &message));
        assert_eq!(recorder.rows[0].holds(), holds, "{line}");
        cases += 1;
    }
    assert_eq!(other, 4, "messages of 0, 1, 17 and 100 bytes");
    count("bip-0340 test-vectors.csv", cases);
}
