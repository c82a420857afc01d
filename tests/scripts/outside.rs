//! What others made: Core's vectors and inputs of real blocks, to be mutated. Read where they lie, never kept; says
//! loudly what is not there. Verdicts written in the vectors are not looked at here: `consensus` has tests for them.

use super::Case;
use super::draft::{leaf_hash, taproot_coin};
use super::keys::key;
use super::ops::{self, push_as, push_number};
use crate::data::{find, unhex};
use caesure_bench::tx::{OutPoint, Tx, TxIn, TxOut};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A real transaction has at most so many inputs here: each case carries all coins.
const INPUTS_MAX: usize = 20;

/// Names of operations from 0x61 on.
const NAMES: &str = "NOP VER IF NOTIF VERIF VERNOTIF ELSE ENDIF VERIFY RETURN TOALTSTACK FROMALTSTACK 2DROP 2DUP 3DUP \
    2OVER 2ROT 2SWAP IFDUP DEPTH DROP DUP NIP OVER PICK ROLL ROT SWAP TUCK CAT SUBSTR LEFT RIGHT SIZE INVERT AND OR XOR \
    EQUAL EQUALVERIFY RESERVED1 RESERVED2 1ADD 1SUB 2MUL 2DIV NEGATE ABS NOT 0NOTEQUAL ADD SUB MUL DIV MOD LSHIFT RSHIFT \
    BOOLAND BOOLOR NUMEQUAL NUMEQUALVERIFY NUMNOTEQUAL LESSTHAN GREATERTHAN LESSTHANOREQUAL GREATERTHANOREQUAL MIN MAX \
    WITHIN RIPEMD160 SHA1 SHA256 HASH160 HASH256 CODESEPARATOR CHECKSIG CHECKSIGVERIFY CHECKMULTISIG CHECKMULTISIGVERIFY \
    NOP1 CHECKLOCKTIMEVERIFY CHECKSEQUENCEVERIFY NOP4 NOP5 NOP6 NOP7 NOP8 NOP9 NOP10 CHECKSIGADD";

/// All that is there.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    match vectors() {
        Some(folder) => {
            script_tests(&read(&folder, "script_tests.json"), &mut cases);
            for name in ["tx_valid.json", "tx_invalid.json"] {
                tx_tests(&read(&folder, name), &mut cases);
            }
        }
        None => {
            crate::aloud("SKIPPED: Core's vectors: neither in libbitcoinkernel-sys's sources nor under CAESURE_DATA")
        }
    }
    blocks(&mut cases);
    cases
}

/// The folder of Core's test data: in the sources of libbitcoinkernel-sys, else beside the project.
fn vectors() -> Option<PathBuf> {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo = cargo.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let registries = std::fs::read_dir(cargo.join("registry/src")).into_iter().flatten().flatten();
    let crates = registries.flat_map(|registry| std::fs::read_dir(registry.path()).into_iter().flatten().flatten());
    let mut found: Vec<PathBuf> = crates
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("libbitcoinkernel-sys-"))
        .map(|entry| entry.path().join("bitcoin/src/test/data"))
        .filter(|folder| folder.join("script_tests.json").exists())
        .collect();
    found.sort();
    found.pop().or_else(|| find("vectors/core"))
}

fn read(folder: &Path, name: &str) -> Vec<Value> {
    let plain = std::fs::read(folder.join(name));
    let bytes = plain.unwrap_or_else(|_| {
        let packed =
            std::fs::read(folder.join(format!("{name}.zst"))).unwrap_or_else(|error| panic!("{name}: {error}"));
        zstd::decode_all(&packed[..]).expect("zstd")
    });
    serde_json::from_slice(&bytes).expect("a list")
}

/// Words of a script as Core's tests write them.
fn assemble(text: &str) -> Vec<u8> {
    let mut script = Vec::new();
    for word in text.split_whitespace() {
        if let Some(hex) = word.strip_prefix("0x") {
            script.extend(unhex(hex));
        } else if let Some(text) = word.strip_prefix('\'') {
            push_as(&mut script, text.trim_end_matches('\'').as_bytes(), 0);
        } else if let Ok(number) = word.parse() {
            push_number(&mut script, number);
        } else {
            let name = word.strip_prefix("OP_").unwrap_or(word);
            let found = NAMES.split_whitespace().position(|known| known == name).map(|at| ops::NOP + at as u8);
            script.push(found.unwrap_or_else(|| match name {
                "PUSHDATA1" => ops::PUSHDATA1,
                "PUSHDATA2" => ops::PUSHDATA2,
                "PUSHDATA4" => ops::PUSHDATA4,
                "1NEGATE" => ops::ONE_NEGATE,
                "RESERVED" => ops::RESERVED,
                number => ops::RESERVED + number.parse::<u8>().unwrap_or_else(|_| panic!("what is {word}?")),
            }));
        }
    }
    script
}

/// `[[witness…, amount]?, unlocking script, script, …]`: spends of a coinbase by a transaction of one input and output.
fn script_tests(tests: &[Value], cases: &mut Vec<Case>) {
    for test in tests.iter().filter_map(Value::as_array).filter(|test| test.len() > 3) {
        let (witness, rest) = test[0].as_array().map_or((&[][..], &test[..]), |witness| (&witness[..], &test[1..]));
        let text = |at: usize| rest[at].as_str().expect("text");
        let value = witness.last().and_then(Value::as_f64).map_or(0, |coins| (coins * 1e8).round() as u64);
        let mut items: Vec<Vec<u8>> = Vec::new();
        let mut coin = None;
        for item in witness.iter().filter_map(Value::as_str) {
            items.push(match (item, item.strip_prefix("#SCRIPT#")) {
                (_, Some(script)) => assemble(script),
                ("#CONTROLBLOCK#", _) => {
                    let internal = key(0).even.x;
                    let (script, parity) =
                        taproot_coin(&internal, &leaf_hash(0xc0, items.last().expect("a script"))).expect("a key");
                    coin = Some(script);
                    [&[0xc0 | parity][..], &internal].concat()
                }
                (hex, _) => unhex(hex),
            });
        }
        let script = coin.unwrap_or_else(|| assemble(text(1)));
        let made = Tx {
            version: 1,
            inputs: vec![TxIn { prev: OutPoint::NULL, script_sig: vec![0, 0], sequence: u32::MAX, witness: vec![] }],
            outputs: vec![TxOut { value, script: script.clone() }],
            lock_time: 0,
        };
        let prev = OutPoint { txid: made.txid(), vout: 0 };
        let tx = Tx {
            inputs: vec![TxIn { prev, script_sig: assemble(text(0)), sequence: u32::MAX, witness: items }],
            outputs: vec![TxOut { value, script: vec![] }],
            ..made
        };
        add(cases, tx, vec![TxOut { value, script }], "vector script");
    }
}

/// `[[[previous txid, index, script, amount?]…], transaction, …]`.
fn tx_tests(tests: &[Value], cases: &mut Vec<Case>) {
    for test in tests.iter().filter_map(Value::as_array).filter(|test| test.len() == 3) {
        let tx = Reader(&unhex(test[1].as_str().expect("hex"))).tx();
        let coin = |input: &TxIn| {
            let found = test[0].as_array()?.iter().find(|coin| {
                let mut txid = unhex(coin[0].as_str().expect("hex"));
                txid.reverse();
                txid == input.prev.txid && coin[1].as_i64().map(|index| index as u32) == Some(input.prev.vout)
            })?;
            Some(TxOut { value: found[3].as_u64().unwrap_or(0), script: assemble(found[2].as_str()?) })
        };
        let coins: Option<Vec<TxOut>> = tx.inputs.iter().map(coin).collect();
        if let Some(coins) = coins {
            add(cases, tx, coins, "vector transaction");
        }
    }
}

fn blocks(cases: &mut Vec<Case>) {
    let block = |name: &str| {
        let path = find(name)?;
        let bytes = std::fs::read(path).expect("it is there");
        Some(match name.rsplit('.').next() {
            Some("zst") => zstd::decode_all(&bytes[..]).expect("zstd"),
            Some("bz2") => {
                let mut out = Vec::new();
                std::io::Read::read_to_end(&mut bzip2::read::BzDecoder::new(&bytes[..]), &mut out).expect("bzip2");
                out.split_off(8)
            }
            _ => bytes,
        })
    };
    let undo = |bytes: Vec<u8>| {
        let (mut reader, mut coins) = (Reader(&bytes), Vec::new());
        while !reader.0.is_empty() {
            coins.push(reader.output());
        }
        coins
    };
    let spent = |bytes: Vec<u8>| {
        let list: Vec<Value> = serde_json::from_slice(&bytes).expect("a list");
        let coin = |coin: &Value| TxOut {
            value: coin["txout"]["value"].as_u64().expect("satoshi"),
            script: unhex(coin["txout"]["script_pubkey"].as_str().expect("hex")),
        };
        list.iter().map(coin).collect()
    };
    let with = "mainnet-blocks-with-prevouts";
    let of_866342 = block(&format!("{with}/floresta-block_866342-raw.zst"))
        .zip(block(&format!("{with}/floresta-block_866342-spent_utxos.zst")).map(spent));
    let of_277647 =
        block("mainnet-blocks/277647.dat.bz2").zip(block(&format!("{with}/derived-from-btcd/277647.undo")).map(undo));
    let of_300025 = block("mainnet-blocks/block300025.raw").zip(block("mainnet-blocks/block300025-undo.raw").map(undo));
    for (bytes, coins) in [of_866342, of_277647, of_300025].into_iter().flatten() {
        let (mut reader, mut coins) = (Reader(&bytes[80..]), coins.into_iter());
        let count = reader.compact_size();
        let txs: Vec<Tx> = (0..count).map(|_| reader.tx()).collect();
        for tx in txs.into_iter().skip(1) {
            let spent: Vec<TxOut> = coins.by_ref().take(tx.inputs.len()).collect();
            assert_eq!(spent.len(), tx.inputs.len(), "a coin for each input");
            if tx.inputs.len() <= INPUTS_MAX {
                add(cases, tx, spent, "real");
            }
        }
        assert_eq!(coins.next(), None, "an input for each coin");
    }
}

fn add(cases: &mut Vec<Case>, tx: Tx, coins: Vec<TxOut>, kind: &'static str) {
    if !tx.inputs.is_empty() {
        cases.push(Case { tx, coins, index: 0, flags: 0, kind });
    }
}

/// Reads what is known to be well formed.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, count: usize) -> &[u8] {
        let (now, rest) = self.0.split_at(count);
        self.0 = rest;
        now
    }

    fn number(&mut self, bytes: usize) -> u64 {
        self.take(bytes).iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    fn compact_size(&mut self) -> usize {
        let size = match self.number(1) {
            0xfd => self.number(2),
            0xfe => self.number(4),
            0xff => self.number(8),
            small => small,
        };
        size as usize
    }

    fn bytes(&mut self) -> Vec<u8> {
        let size = self.compact_size();
        self.take(size).to_vec()
    }

    fn output(&mut self) -> TxOut {
        TxOut { value: self.number(8), script: self.bytes() }
    }

    fn input(&mut self) -> TxIn {
        let prev = OutPoint { txid: self.take(32).try_into().expect("32"), vout: self.number(4) as u32 };
        TxIn { prev, script_sig: self.bytes(), sequence: self.number(4) as u32, witness: vec![] }
    }

    fn tx(&mut self) -> Tx {
        let version = self.number(4) as u32;
        let segwit = self.0.starts_with(&[0, 1]);
        if segwit {
            self.take(2);
        }
        let inputs = (0..self.compact_size()).map(|_| self.input()).collect();
        let outputs = (0..self.compact_size()).map(|_| self.output()).collect();
        let mut tx = Tx { version, inputs, outputs, lock_time: 0 };
        if segwit {
            for index in 0..tx.inputs.len() {
                tx.inputs[index].witness = (0..self.compact_size()).map(|_| self.bytes()).collect();
            }
        }
        tx.lock_time = self.number(4) as u32;
        tx
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_read_as_it_is_written() {
        for number in 0..200 {
            let tx = crate::scripts::case(9, number, &[]).tx;
            let bytes = tx.bytes();
            let mut reader = Reader(&bytes);
            assert_eq!(reader.tx(), tx);
            assert!(reader.0.is_empty());
        }
    }

    #[test]
    fn scripts_are_read_as_core_writes_them() {
        let all = "0 -1 1 16 17 'Az' 0x4c01 07 NOP OP_RESERVED 1ADD OP_16 CHECKSIGADD";
        let script = [0, 0x4f, 0x51, 0x60, 1, 17, 2, 0x41, 0x7a, 0x4c, 1, 0x57, 0x61, 0x50, 0x8b, 0x60, 0xba];
        assert_eq!(assemble(all), script);
    }
}
