//! What the console's language has for scripts, addresses, amounts and hashes; under the names of 2014 where it had them.

use super::language::{Came, data};
use super::objects::{BlockRef, Data, Name, TxRef, place};
use consensus::script::opcode::*;
use consensus::script::{AtOnce, Flags, Machine, Spending, is_p2sh};
use consensus::{CoinView, Network, Params, hash160, sha256d};
use describe::{Address, Insn, Kind};
use rhai::{Array, Dynamic, Engine, ImmutableString};

/// Lists within each other that are looked into.
const DEPTH: usize = 128;
/// Operations of a script that is taken apart: more than any that can be run has bytes.
const OPERATIONS_MAX: usize = 20_000;
/// Bytes of a script that is put together: those of a block.
const SCRIPT_MAX: usize = 4_000_000;

/// The bytes that a value says or has: itself, hex digits, or the script of an input or output.
pub fn bytes(value: &Dynamic) -> Came<Data> {
    if let Some(data) = value.clone().try_cast::<Data>() {
        return Ok(data);
    }
    if let Some(name) = value.clone().try_cast::<Name>() {
        return Ok(Data(name.0.into()));
    }
    if let Some(blob) = value.clone().try_cast::<rhai::Blob>() {
        return Ok(Data(blob.into()));
    }
    if let Some(list) = value.read_lock::<Array>()
        && let Some(data) = list.iter().find_map(|value| value.clone().try_cast::<Data>())
    {
        return Ok(data);
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        let read = describe::unhex(digits).ok_or_else(|| "an even number of hex digits was wanted".to_owned())?;
        return Ok(Data(read.into()));
    }
    Err(format!("bytes were wanted, and this is {}", value.type_name()).into())
}

/// As 2014's tuples: push, condition, operation, check, separator.
fn tuples(code: &[Insn]) -> Array {
    let int = |n: u8| Dynamic::from(i64::from(n));
    let tuple = |insn: &Insn| -> Array {
        match insn {
            Insn::Push(bytes, kind) => vec![int(0), data(bytes), int(*kind)],
            Insn::If { sense, branches } => {
                let (then, others) = branches.split_first().expect("at least one");
                let others: Array = others.iter().map(|code| tuples(code).into()).collect();
                vec![int(1), (*sense).into(), tuples(then).into(), others.into()]
            }
            Insn::Op(op) => vec![int(2), int(*op)],
            Insn::Check(op, subscript) => vec![int(3), int(*op), data(subscript)],
            Insn::Separator => vec![int(4)],
        }
    };
    code.iter().map(|insn| tuple(insn).into()).collect()
}

fn parse(value: &Dynamic) -> Came<Array> {
    let script = bytes(value)?;
    let code = describe::parse(&script.0).map_err(|why| format!("that script cannot be read: {why}"))?;
    // Each check has a copy of what it signs.
    let checks = code.iter().filter(|insn| matches!(insn, Insn::Check(..))).count();
    match code.len() > OPERATIONS_MAX || checks.saturating_mul(script.0.len()) > 64 << 20 {
        true => {
            Err(format!("that script has {} operations; up to {OPERATIONS_MAX} are taken apart", code.len()).into())
        }
        false => Ok(tuples(&code)),
    }
}

/// The words of tuples, or of a script.
fn words(value: &Dynamic, depth: usize) -> Came<Array> {
    let Some(list) = value.read_lock::<Array>().filter(|list| list.iter().all(Dynamic::is_array)) else {
        return words(&parse(value)?.into(), depth);
    };
    if depth > DEPTH {
        return Err("these lists lie too deep in each other".into());
    }
    let mut out = Array::new();
    for tuple in list.iter() {
        let tuple = tuple.read_lock::<Array>().expect("just seen");
        let int = |at: usize| tuple.get(at).and_then(|value| value.as_int().ok());
        let wrong = || "that is not what parse_script gives".to_owned();
        let op = || u8::try_from(int(1).ok_or_else(wrong)?).map_err(|_| wrong());
        out.push(match int(0) {
            Some(0) => describe::script::data_word(&bytes(tuple.get(1).ok_or_else(wrong)?)?.0).into(),
            Some(1) => {
                let sense = tuple.get(1).and_then(|value| value.as_bool().ok()).ok_or_else(wrong)?;
                let mut inside: Array = vec![if sense { "IF" } else { "NOTIF" }.into()];
                inside.extend(words(tuple.get(2).ok_or_else(wrong)?, depth + 1)?);
                let others = tuple.get(3).and_then(|value| value.read_lock::<Array>()).ok_or_else(wrong)?;
                for other in others.iter() {
                    inside.push("ELSE".into());
                    inside.extend(words(other, depth + 1)?);
                }
                inside.into()
            }
            Some(2 | 3) => describe::script::op_name(op()?).into(),
            Some(4) => "OP_CODESEPARATOR".into(),
            _ => return Err(wrong().into()),
        });
    }
    Ok(out)
}

/// The script of tuples: the other way round.
fn unparse(value: &Dynamic, depth: usize, out: &mut Vec<u8>) -> Came<()> {
    let wrong = || "that is not what parse_script gives".to_owned();
    let list = value.read_lock::<Array>().ok_or_else(wrong)?;
    if depth > DEPTH {
        return Err("these lists lie too deep in each other".into());
    }
    for tuple in list.iter() {
        let tuple = tuple.read_lock::<Array>().ok_or_else(wrong)?;
        let at = |at: usize| tuple.get(at).ok_or_else(wrong);
        let byte = |value: &Dynamic| value.as_int().ok().and_then(|n| u8::try_from(n).ok()).ok_or_else(wrong);
        match byte(at(0)?)? {
            0 => push(&bytes(at(1)?)?.0, byte(at(2)?)?, out)?,
            1 => {
                out.push(if at(1)?.as_bool().map_err(|_| wrong())? { OP_IF } else { OP_NOTIF });
                unparse(at(2)?, depth + 1, out)?;
                for other in at(3)?.read_lock::<Array>().ok_or_else(wrong)?.iter() {
                    out.push(OP_ELSE);
                    unparse(other, depth + 1, out)?;
                }
                out.push(OP_ENDIF);
            }
            2 | 3 => out.push(byte(at(1)?)?),
            4 => out.push(OP_CODESEPARATOR),
            _ => return Err(wrong().into()),
        }
        if out.len() > SCRIPT_MAX {
            return Err(format!("that script has more than {SCRIPT_MAX} bytes").into());
        }
    }
    Ok(())
}

/// A push as it is written: see [`Insn::Push`].
fn push(data: &[u8], how: u8, out: &mut Vec<u8>) -> Came<()> {
    let len = data.len();
    match (how, data) {
        (0, []) => out.push(OP_0),
        (0, [0x81]) => out.push(OP_1NEGATE),
        (0, [n @ 1..=16]) => out.push(OP_1 + n - 1),
        (1, _) if (1..usize::from(OP_PUSHDATA1)).contains(&len) => out.push(len as u8),
        (2, _) if len <= 0xff => out.extend([OP_PUSHDATA1, len as u8]),
        (3, _) if len <= 0xffff => out.extend([&[OP_PUSHDATA2][..], &(len as u16).to_le_bytes()].concat()),
        (4, _) if len <= SCRIPT_MAX => out.extend([&[OP_PUSHDATA4][..], &(len as u32).to_le_bytes()].concat()),
        _ => return Err(format!("{len} bytes cannot be pushed in way {how}").into()),
    }
    if how > 0 {
        out.extend(data);
    }
    Ok(())
}

/// Runs the scripts of one input by all rules. What it spends is one output, [value, script], or a list with one for each input,
/// which a taproot key signs.
fn verify(tx: &TxRef, input: i64, spent: &Dynamic) -> Came<bool> {
    let output = |value: &Dynamic| -> Option<(u64, Data)> {
        let pair = value.read_lock::<Array>()?;
        let [amount, script] = &pair[..] else { return None };
        Some((u64::try_from(amount.as_int().ok()?).ok()?, bytes(script).ok()?))
    };
    let wrong = || "what is spent was wanted as an output, [value, script], or as a list of them, one for each input";
    let (one, list) = (output(spent), spent.read_lock::<Array>());
    tx.with(|tx| {
        let at = place(input, tx.inputs.len(), "inputs")?;
        let outputs: Vec<(u64, Data)> = match (one, list) {
            (Some(one), _) if tx.inputs.len() > 1 && matches!(one.1.0[..], [OP_1, 32, ..]) => {
                return Err(format!("taproot signs all that is spent: say a list of {} outputs", tx.inputs.len()));
            }
            // The rest is signed by nobody.
            (Some(one), _) => vec![one; tx.inputs.len()],
            (None, Some(list)) if list.len() == tx.inputs.len() => {
                list.iter().map(output).collect::<Option<_>>().ok_or_else(wrong)?
            }
            _ => return Err(wrong().into()),
        };
        let coin = |(value, script): &(u64, Data)| (*value, script.0.clone());
        let outputs: Vec<_> = outputs.iter().map(coin).collect();
        let coins =
            outputs.iter().map(|(value, script)| CoinView { value: *value, height: 0, coinbase: false, script });
        let coins: Vec<CoinView> = coins.collect();
        let spending = Spending::new(*tx, &coins);
        match Machine::new().check(&spending, at as u32, Flags::CONSENSUS, &mut AtOnce) {
            Ok(()) => Ok(true),
            Err(why) => Err(format!("{}: {why}", why.name())),
        }
    })?
    .map_err(Into::into)
}

/// Everything of this file.
pub fn register(engine: &mut Engine, network: Network) {
    engine.register_type_with_name::<Data>("BYTES").register_type_with_name::<Name>("NAME");
    engine.register_fn("parse_script", |value: Dynamic| parse(&value));
    engine.register_fn("pprint_script", |value: Dynamic| words(&value, 0));
    engine.register_fn("unparse_script", |value: Dynamic| -> Came<Dynamic> {
        let mut out = Vec::new();
        unparse(&value, 0, &mut out)?;
        Ok(data(&out))
    });
    engine.register_fn("verify", |tx: &mut TxRef, input: i64, spent: Dynamic| verify(tx, input, &spent));
    engine.register_fn("is_p2sh", |value: Dynamic| -> Came<bool> { Ok(is_p2sh(&bytes(&value)?.0)) });
    engine.register_fn("kind", |value: Dynamic| -> Came<&'static str> { Ok(Kind::of(&bytes(&value)?.0).name()) });
    engine.register_fn("describe", move |value: Dynamic| -> Came<String> {
        Ok(describe::output(&bytes(&value)?.0, network))
    });
    engine.register_fn("address", move |value: Dynamic| -> Came<String> {
        let address = Address::of_script(&bytes(&value)?.0).ok_or("that script has no address")?;
        Ok(address.text(network))
    });
    engine.register_fn("script", move |address: &str| -> Came<Dynamic> {
        let address = Address::parse(address, network).map_err(|why| why.to_string())?;
        Ok(data(&address.script()))
    });
    engine.register_fn("key_to_address", move |value: Dynamic| -> Came<String> {
        let key = bytes(&value)?;
        let address = match <[u8; 20]>::try_from(&key.0[..]) {
            Ok(hash) => Address::KeyHash(hash),
            Err(_) => Address::of_key(&key.0),
        };
        Ok(address.text(network))
    });
    engine.register_fn("bcrepr", |satoshi: i64| -> Came<String> {
        let amount = u64::try_from(satoshi).map_err(|_| "an amount is not below zero")?;
        Ok(describe::btc(amount))
    });
    engine.register_fn("satoshi", |btc: &str| -> Came<i64> {
        let amount = describe::amount::satoshi(btc).and_then(|amount| i64::try_from(amount).ok());
        Ok(amount.ok_or_else(|| format!("{btc:?} is no amount of bitcoins"))?)
    });
    engine.register_fn("compute_reward", move |height: i64| -> Came<i64> {
        let height = u32::try_from(height).map_err(|_| format!("{height} is no height"))?;
        Ok(Params::of(network).subsidy(height) as i64)
    });
    engine.register_fn("dhash", |value: Dynamic| -> Came<Dynamic> { Ok(data(&sha256d(&bytes(&value)?.0))) });
    engine.register_fn("hash160", |value: Dynamic| -> Came<Dynamic> { Ok(data(&hash160(&bytes(&value)?.0))) });
    engine.register_fn("hexify", |value: Dynamic| -> Came<String> { Ok(describe::hex(&bytes(&value)?.0)) });
    engine.register_fn("unhex", |digits: ImmutableString| bytes(&digits.into()));
    engine.register_fn("hex", |name: &mut Name| consensus::Txid(name.0).to_string());
    engine.register_fn("hex", |data: &mut Data| describe::hex(&data.0));
    engine.register_fn("len", |data: &mut Data| data.0.len() as i64);
    engine.register_fn("name_from_hex", |digits: &str| -> Came<Name> { Ok(Name::parse(digits)?) });
    engine.register_fn("make_tx", |value: Dynamic| -> Came<TxRef> { Ok(TxRef::of_bytes(bytes(&value)?.0.to_vec())?) });
    engine.register_fn("make_block", |value: Dynamic| -> Came<BlockRef> {
        Ok(BlockRef::of_bytes(bytes(&value)?.0.to_vec())?)
    });
    engine.register_fn("==", |a: Name, b: Name| a == b);
    engine.register_fn("!=", |a: Name, b: Name| a != b);
    engine.register_fn("==", |a: Data, b: Data| a == b);
    engine.register_fn("!=", |a: Data, b: Data| a != b);
}
