//! Decides whether Core's script_tests, tx_valid and tx_invalid come out as Core says, flag by flag.

use crate::files::hex;
use crate::made::{core_json, count, judge, parse, push, script, spending};
use consensus::script::{Flags, ScriptError};
use consensus::{Block, INPUTS, LoneTx, OUTPUT, OutputCx, TX};
use serde_json::Value;
use std::collections::BTreeMap;

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Secret key 1's: the internal key of the taproot outputs that script_tests leaves to be made.
const INTERNAL: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

/// The output key and control block of a tree with one leaf.
fn one_leaf(leaf: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let tagged = |tag: &str, data: &[u8]| {
        let tag = consensus::sha256(tag.as_bytes());
        consensus::sha256(&[&tag[..], &tag, data].concat())
    };
    let internal: [u8; 32] = hex(INTERNAL).try_into().unwrap();
    let hash = tagged("TapLeaf", &[&[0xc0], &crate::made::var(leaf)[..]].concat());
    let tweak = secp256k1::Scalar::from_be_bytes(tagged("TapTweak", &[internal, hash].concat())).unwrap();
    let internal_key = secp256k1::XOnlyPublicKey::from_byte_array(internal).unwrap();
    let (output, parity) = internal_key.add_tweak(&tweak).unwrap();
    (output.to_byte_array().to_vec(), [&[0xc0 | parity.to_u8()][..], &internal].concat())
}

/// What the file does not name is shown in `src/script/tests.rs`.
const ELSEWHERE: [&str; 14] = [
    "CHECKMULTISIGVERIFY",
    "CHECKSIGVERIFY",
    "DISCOURAGE_UPGRADABLE_TAPROOT_VERSION",
    "DISCOURAGE_OP_SUCCESS",
    "DISCOURAGE_UPGRADABLE_PUBKEYTYPE",
    "SCHNORR_SIG_SIZE",
    "SCHNORR_SIG_HASHTYPE",
    "SCHNORR_SIG",
    "TAPROOT_WRONG_CONTROL_SIZE",
    "TAPSCRIPT_VALIDATION_WEIGHT",
    "TAPSCRIPT_CHECKMULTISIG",
    "TAPSCRIPT_MINIMALIF",
    "OP_CODESEPARATOR",
    "SIG_FINDANDDELETE",
];

#[test]
fn script_tests() {
    let Some(tests) = core_json("script_tests.json") else { return };
    let (mut cases, mut named) = (0, BTreeMap::<&str, usize>::new());
    for test in tests.as_array().unwrap() {
        let mut fields = test.as_array().unwrap().as_slice();
        let (mut witness, mut value, mut output_key) = (Vec::new(), 0, Vec::new());
        if let Some(Value::Array(items)) = fields.first() {
            let (amount, items) = items.split_last().unwrap();
            value = (amount.as_f64().unwrap() * 1e8).round() as u64;
            for item in items.iter().map(text) {
                match item.strip_prefix("#SCRIPT#") {
                    Some(leaf) => witness.push(script(leaf)),
                    None if item == "#CONTROLBLOCK#" => {
                        let (output, control) = one_leaf(witness.last().unwrap());
                        (output_key, _) = (output, witness.push(control));
                    }
                    None => witness.push(hex(item)),
                }
            }
            fields = &fields[1..];
        }
        let [input_script, coin_script, flags, wanted, ..] = fields else { continue };
        let coin_script = match text(coin_script) {
            "0x51 0x20 #TAPROOTOUTPUT#" => [&[0x51], &push(&output_key)[..]].concat(),
            coin_script => script(coin_script),
        };
        let mut flags: Flags = text(flags).parse().unwrap();
        if flags.has(Flags::CLEANSTACK) {
            flags = flags | Flags::P2SH | Flags::WITNESS;
        }
        let tx = parse(spending(&coin_script, value, &script(text(input_script)), &witness));
        let coins = [(value, coin_script)];
        let found = judge(&tx, &coins, 0, flags);
        // The one name that the file shortens.
        let wanted = if text(wanted) == "NULLFAIL" { "SIG_NULLFAIL" } else { text(wanted) };
        assert_eq!(found.map_or_else(ScriptError::name, |()| "OK"), wanted, "{test}");
        // Core's soft-fork promise: fewer flags refuse nothing more, more flags accept nothing more.
        for (flag, ..) in Flags::ALL {
            let other = if found.is_ok() { trim(flags.without(*flag)) } else { fill(flags | *flag) };
            assert_eq!(judge(&tx, &coins, 0, other).is_ok(), found.is_ok(), "{other}: {test}");
        }
        *named.entry(found.map_or_else(ScriptError::name, |()| "OK")).or_default() += 1;
        cases += 1;
    }
    count("script_tests.json", cases);
    let missing: Vec<_> =
        ScriptError::ALL.iter().map(|error| error.name()).filter(|name| !named.contains_key(name)).collect();
    assert_eq!(missing, ELSEWHERE);
}

/// Without the flags that lack one they need.
fn trim(mut flags: Flags) -> Flags {
    if !flags.has(Flags::P2SH) {
        flags = flags.without(Flags::WITNESS);
    }
    if flags.has(Flags::WITNESS) { flags } else { flags.without(Flags::CLEANSTACK) }
}

/// With the flags that these need.
fn fill(mut flags: Flags) -> Flags {
    if flags.has(Flags::CLEANSTACK) {
        flags = flags | Flags::WITNESS;
    }
    if flags.has(Flags::WITNESS) { flags | Flags::P2SH } else { flags }
}

fn all_flags() -> Flags {
    Flags::ALL.iter().fold(Flags::NONE, |all, (flag, ..)| all | *flag)
}

struct Case {
    tx: LoneTx,
    coins: Vec<(u64, Vec<u8>)>,
    line: String,
}

impl Case {
    fn read(test: &Value) -> Option<(Case, &str)> {
        let [Value::Array(coins), Value::String(tx), Value::String(flags)] = test.as_array()?.as_slice() else {
            return None;
        };
        let tx = parse(hex(tx));
        let known = coins.iter().map(|coin| {
            let mut txid = hex(text(&coin[0]));
            txid.reverse();
            txid.extend((coin[1].as_i64().unwrap() as u32).to_le_bytes());
            let value = coin.get(3).map_or(0, |value| value.as_u64().unwrap());
            (txid, (value, script(text(&coin[2]))))
        });
        let known: BTreeMap<Vec<u8>, _> = known.collect();
        let view = tx.view();
        // Where a transaction is bad by itself, its inputs may name anything.
        let coins = view.inputs.iter().map(|input| known.get(&view.prevout(input)[..]).cloned().unwrap_or_default());
        let coins = coins.collect();
        Some((Case { tx, coins, line: test.to_string() }, flags))
    }

    fn holds(&self, flags: Flags) -> bool {
        (0..self.coins.len() as u32).all(|index| judge(&self.tx, &self.coins, index, flags).is_ok())
    }

    /// Core `CheckTransaction`, by way of a block with nothing else in it.
    fn is_sound(&self) -> bool {
        let block = [&[0; 80][..], &[1], self.tx.view().whole()].concat();
        let block = Block::parse(block.into()).unwrap();
        let tx = &block.txs[0];
        let mut total = 0u64;
        let outputs = block.outputs_of(tx).iter().all(|output| {
            total = total.saturating_add(output.value);
            OUTPUT.iter().all(|(_, holds)| holds(&OutputCx { value: output.value, total }))
        });
        outputs && TX.iter().chain(INPUTS).all(|(_, holds)| holds(&block, tx))
    }
}

#[test]
fn tx_valid() {
    let Some(tests) = core_json("tx_valid.json") else { return };
    let mut cases = 0;
    for (case, left_out) in tests.as_array().unwrap().iter().filter_map(Case::read) {
        let left_out: Flags = left_out.parse().unwrap();
        let flags = all_flags().without(left_out);
        assert_eq!(flags, fill(flags), "{}", case.line);
        assert!(case.is_sound() && case.holds(flags), "{}", case.line);
        for (flag, ..) in Flags::ALL {
            assert!(case.holds(trim(flags.without(*flag))), "without {flag}: {}", case.line);
        }
        // Each flag that is left out would refuse it.
        for (flag, ..) in Flags::ALL.iter().filter(|(flag, ..)| left_out.has(*flag)) {
            let fewer = trim(left_out.without(*flag));
            assert!(fewer == left_out || !case.holds(all_flags().without(fewer)), "with {flag}: {}", case.line);
        }
        cases += 1;
    }
    count("tx_valid.json", cases);
}

#[test]
fn tx_invalid() {
    let Some(tests) = core_json("tx_invalid.json") else { return };
    let mut cases = 0;
    for (case, flags) in tests.as_array().unwrap().iter().filter_map(Case::read) {
        cases += 1;
        if flags == "BADTX" || !case.is_sound() {
            assert!(flags == "BADTX" && !case.is_sound(), "{}", case.line);
            continue;
        }
        let flags: Flags = flags.parse().unwrap();
        assert!(!case.holds(flags), "{}", case.line);
        for (flag, ..) in Flags::ALL {
            assert!(!case.holds(fill(flags | *flag)), "with {flag}: {}", case.line);
        }
        // Each flag is needed to refuse it.
        for (flag, ..) in Flags::ALL.iter().filter(|(flag, ..)| flags.has(*flag)) {
            let fewer = trim(flags.without(*flag));
            assert!(fewer == flags || case.holds(fewer), "without {flag}: {}", case.line);
        }
    }
    count("tx_invalid.json", cases);
}
