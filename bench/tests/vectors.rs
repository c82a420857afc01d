//! Digests and blocks against published values: BIP143, BIP341, Bitcoin Core's sighash.json and chain parameters.

use caesure_bench::block::{Block, merkle_root};
use caesure_bench::p2p::Reader;
use caesure_bench::sighash::{Shared, branch_hash, leaf_hash, legacy, segwit, tagged, taproot};
use caesure_bench::tx::{Hash, OutPoint, Tx, TxIn, TxOut, show};
use serde_json::Value;
use std::io::Write as _;
use std::path::PathBuf;

fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2) && text.is_ascii(), "not hex: {text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn hash(text: &str) -> Hash {
    hex(text).try_into().unwrap()
}

/// A file of published vectors, or `None`, said aloud, where there is no such folder.
fn data(name: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("CAESURE_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = root.join("vectors").join(name);
    let bytes = std::fs::read(&path).ok();
    if bytes.is_none() {
        let _ =
            writeln!(std::io::stderr(), "SKIPPED: no {}; CAESURE_DATA names the folder of chain data", path.display());
    }
    bytes
}

fn parse(bytes: &[u8]) -> Tx {
    let mut from = Reader(bytes);
    let var = |from: &mut Reader| {
        let count = from.count().unwrap();
        (0..count).map(|_| from.take::<1>().unwrap()[0]).collect::<Vec<u8>>()
    };
    let version = from.u32().unwrap();
    let inputs = (0..from.count().unwrap())
        .map(|_| {
            let prev = OutPoint { txid: from.take().unwrap(), vout: from.u32().unwrap() };
            TxIn { prev, script_sig: var(&mut from), sequence: from.u32().unwrap(), witness: vec![] }
        })
        .collect();
    let outputs = (0..from.count().unwrap())
        .map(|_| TxOut { value: u64::from_le_bytes(from.take().unwrap()), script: var(&mut from) })
        .collect();
    let tx = Tx { version, inputs, outputs, lock_time: from.u32().unwrap() };
    assert!(from.0.is_empty());
    assert_eq!(tx.bytes(), bytes, "what was read is written alike");
    tx
}

/// The two P2WPKH examples of BIP143.
#[test]
fn bip143_examples() {
    let native = "0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffffff\
        ef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb20600000000\
        1976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d5\
        0ce2f0167faa815988ac11000000";
    let nested = "0100000001db6b1b20aa0fd7b23880be2ecbd4a98130974cf4748fb66092ac4d3ceb1a54770100000000feffffff\
        02b8b4eb0b000000001976a914a457b684d7f0d539a46a45bbc043f35b59d0d96388ac0008af2f000000001976a914fd270b\
        1ee6abcaea97fea7ad0402e8bd8ad6d77c88ac92040000";
    let cases = [
        (
            native,
            1,
            "1d0f172a0ecb48aee1be1f2687d2963ae33f71a1",
            6,
            "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670",
        ),
        (
            nested,
            0,
            "79091972186c449eb1ded22b78e40d009bdf0089",
            10,
            "64f3b0f4dd2bb3aa1ce8566d220cc74dda9df97d8490cc81d89d735c92e59fb6",
        ),
    ];
    for (tx, index, key, coins, expected) in cases {
        let tx = parse(&hex(tx));
        let code = hex(&format!("76a914{key}88ac"));
        // The other inputs' coins have no part in this digest.
        let spent = vec![TxOut { value: 0, script: vec![] }; tx.inputs.len()];
        let digest = segwit(&tx, &Shared::new(&tx, &spent), index, &code, coins * 100_000_000, 1);
        assert_eq!(digest, hash(expected));
    }
}

/// Key path digests of all hash types, and trees of scripts.
#[test]
fn bip341_wallet_vectors() {
    let Some(text) = data("bips/bip-0341__wallet-test-vectors.json") else { return };
    let vectors: Value = serde_json::from_slice(&text).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut digests = 0;
    for case in vectors["keyPathSpending"].as_array().unwrap() {
        let tx = parse(&hex(&text(&case["given"]["rawUnsignedTx"])));
        let spent: Vec<TxOut> = case["given"]["utxosSpent"]
            .as_array()
            .unwrap()
            .iter()
            .map(|coin| TxOut {
                value: coin["amountSats"].as_u64().unwrap(),
                script: hex(&text(&coin["scriptPubKey"])),
            })
            .collect();
        let shared = Shared::new(&tx, &spent);
        for input in case["inputSpending"].as_array().unwrap() {
            let index = input["given"]["txinIndex"].as_u64().unwrap() as usize;
            let hash_type = input["given"]["hashType"].as_u64().unwrap() as u8;
            let digest = taproot(&tx, &shared, index, &spent, hash_type, None);
            assert_eq!(digest, hash(&text(&input["intermediary"]["sigHash"])), "input {index} type {hash_type}");
            digests += 1;
        }
    }
    assert!(digests >= 7, "only {digests} digests");

    let mut trees = 0;
    for case in vectors["scriptPubKey"].as_array().unwrap() {
        let tree = &case["given"]["scriptTree"];
        let leaf = |leaf: &Value| leaf_hash(&hex(&text(&leaf["script"])));
        let root = match tree {
            // Other leaf versions are not made here.
            Value::Object(_) if tree["leafVersion"] == 0xc0 => leaf(tree),
            Value::Array(pair) if pair.iter().all(|leaf| leaf["leafVersion"] == 0xc0) => {
                branch_hash(&leaf(&pair[0]), &leaf(&pair[1]))
            }
            _ => continue,
        };
        assert_eq!(root, hash(&text(&case["intermediary"]["merkleRoot"])));
        let tweak = tagged("TapTweak", &[&hex(&text(&case["given"]["internalPubkey"])), &root]);
        assert_eq!(tweak, hash(&text(&case["intermediary"]["tweak"])));
        trees += 1;
    }
    assert!(trees >= 3, "only {trees} trees");
}

/// Bitcoin Core's random transactions: `[transaction, script, input, type, digest]`.
#[test]
fn core_sighash_vectors() {
    const OP_CODESEPARATOR: u8 = 0xab;
    let Some(packed) = data("core/sighash.json.zst") else { return };
    let vectors: Vec<Value> = serde_json::from_slice(&zstd::decode_all(&packed[..]).unwrap()).unwrap();
    let mut compared = 0;
    for case in vectors.iter().filter(|case| case.as_array().unwrap().len() == 5) {
        let script = hex(case[1].as_str().unwrap());
        // The factory signs no script with this in it, and leaves its rule out.
        if script.contains(&OP_CODESEPARATOR) {
            continue;
        }
        let tx = parse(&hex(case[0].as_str().unwrap()));
        let hash_type = case[3].as_i64().unwrap() as u32;
        let digest = legacy(&tx, case[2].as_u64().unwrap() as usize, &script, hash_type);
        assert_eq!(show(&digest), case[4].as_str().unwrap());
        compared += 1;
    }
    assert!(compared > 200, "only {compared} digests of {}", vectors.len());
}

/// Bitcoin Core `kernel/chainparams.cpp`.
#[test]
fn regtest_genesis() {
    let genesis = Block::genesis();
    assert_eq!(show(&genesis.hash()), "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206");
    assert_eq!(
        show(&merkle_root(vec![genesis.txs[0].txid()])),
        "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
    );
    assert!(genesis.header.meets_target());
}
