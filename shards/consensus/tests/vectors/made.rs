//! Decides how vectors are spelled as bytes: the text form of scripts, transactions of one input,
//! and how a case is put to both checkers. Never knows what a case should say.

use crate::files::{file, missing, unpacked};
use bytes::Bytes;
use consensus::script::{Flags, ScriptError, Spending, check_input, check_input_deferred, opcode};
use consensus::{CoinView, LoneTx};
use std::io::Write as _;
use std::path::PathBuf;

/// A file of Core's test data as JSON.
pub fn core_json(name: &str) -> Option<serde_json::Value> {
    let packed = matches!(name, "script_tests.json" | "sighash.json").then_some(".zst").unwrap_or_default();
    let given = std::env::var_os("CAESURE_DATA").is_some();
    let bytes = match in_registry(name) {
        Some(path) if !given => unpacked(&path),
        _ => file(&format!("vectors/core/{name}{packed}"))?,
    };
    Some(serde_json::from_slice(&bytes).unwrap())
}

/// Where cargo keeps the sources of the package that carries Core's.
fn in_registry(name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let packages = std::fs::read_dir(home.join("registry/src")).ok()?.flatten();
    let packages = packages.flat_map(|index| std::fs::read_dir(index.path()).into_iter().flatten().flatten());
    let carriers =
        packages.filter(|package| package.file_name().to_string_lossy().starts_with("libbitcoinkernel-sys-"));
    carriers.map(|package| package.path().join("bitcoin/src/test/data").join(name)).find(|path| path.exists())
}

/// The files of a bundle, by name.
pub fn bundle(name: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let bytes = file(&format!("vectors/bundles/{name}.tar.xz"))?;
    let mut archive = tar::Archive::new(&bytes[..]);
    let entries = archive.entries().unwrap().map(|entry| {
        let (mut entry, mut content) = (entry.unwrap(), Vec::new());
        std::io::copy(&mut entry, &mut content).unwrap();
        (entry.path().unwrap().to_string_lossy().into_owned(), content)
    });
    let files: Vec<_> = entries.filter(|(name, _)| !name.ends_with('/') && !name.contains("pax_")).collect();
    if files.is_empty() { missing(name) } else { Some(files) }
}

/// Says how many cases a file held, past the test runner's capture.
pub fn count(file: &str, cases: usize) {
    assert!(cases > 0, "{file} holds no case");
    let _ = writeln!(std::io::stderr(), "{file}: {cases} cases, each with both checkers");
}

pub fn compact(count: usize) -> Vec<u8> {
    match count {
        0..253 => vec![count as u8],
        253..=0xffff => [&[253][..], &(count as u16).to_le_bytes()].concat(),
        _ => [&[254][..], &(count as u32).to_le_bytes()].concat(),
    }
}

pub fn var(bytes: &[u8]) -> Vec<u8> {
    [&compact(bytes.len()), bytes].concat()
}

pub fn push(data: &[u8]) -> Vec<u8> {
    match data.len() {
        0..76 => [&[data.len() as u8], data].concat(),
        76..256 => [&[76, data.len() as u8], data].concat(),
        _ => [&[77][..], &(data.len() as u16).to_le_bytes(), data].concat(),
    }
}

fn push_number(n: i64) -> Vec<u8> {
    match n {
        0 => vec![0],
        -1 => vec![0x4f],
        1..=16 => vec![0x50 + n as u8],
        _ => {
            let (mut bytes, mut rest) = (Vec::new(), n.unsigned_abs());
            while rest > 0 {
                bytes.push(rest as u8);
                rest >>= 8;
            }
            if bytes.last().is_some_and(|top| top & 0x80 != 0) {
                bytes.push(0);
            }
            *bytes.last_mut().unwrap() |= if n < 0 { 0x80 } else { 0 };
            push(&bytes)
        }
    }
}

/// The text form of Core's `ParseScript`: numbers and quoted text are pushed, hex is inserted, the
/// rest are names of operations.
pub fn script(text: &str) -> Vec<u8> {
    let word = |word: &str| {
        if let Ok(number) = word.parse() {
            push_number(number)
        } else if let Some(hex) = word.strip_prefix("0x") {
            crate::files::hex(hex)
        } else if let Some(text) = word.strip_prefix('\'') {
            push(text.strip_suffix('\'').unwrap().as_bytes())
        } else {
            vec![opcode::number(word).unwrap_or_else(|| panic!("no operation is called {word}"))]
        }
    };
    text.split_ascii_whitespace().map(word).collect::<Vec<_>>().concat()
}

/// Core's test transaction: spends the only output of another that is worth `value`.
pub fn spending(coin_script: &[u8], value: u64, input_script: &[u8], witness: &[Vec<u8>]) -> Vec<u8> {
    let credit = [
        &[1, 0, 0, 0, 1][..],
        &[0; 32],
        &[0xff; 4],
        &[2, 0, 0],
        &[0xff; 4],
        &[1],
        &value.to_le_bytes(),
        &var(coin_script),
        &[0; 4],
    ]
    .concat();
    let mut tx = vec![1, 0, 0, 0];
    if !witness.is_empty() {
        tx.extend([0, 1]);
    }
    tx.push(1);
    tx.extend(consensus::sha256(&consensus::sha256(&credit)));
    tx.extend([0; 4]);
    tx.extend(var(input_script));
    tx.extend([0xff; 4]);
    tx.push(1);
    tx.extend(value.to_le_bytes());
    tx.push(0);
    if !witness.is_empty() {
        tx.extend(compact(witness.len()));
        witness.iter().for_each(|item| tx.extend(var(item)));
    }
    tx.extend([0; 4]);
    tx
}

/// The verdict of all checkers, which must be the same.
pub fn judge(tx: &LoneTx, coins: &[(u64, Vec<u8>)], index: u32, flags: Flags) -> Result<(), ScriptError> {
    let coins = coins.iter().map(|(value, script)| CoinView { value: *value, height: 0, coinbase: false, script });
    let coins: Vec<CoinView> = coins.collect();
    let spending = Spending::new(tx.view(), &coins);
    let at_once = check_input(&spending, index, flags);
    assert_eq!(check_input_deferred(&spending, index, flags), at_once, "the checkers differ");
    assert_eq!(crate::lanes::judge(&spending, index, flags), at_once, "choices differ");
    at_once
}

pub fn parse(bytes: Vec<u8>) -> LoneTx {
    LoneTx::parse(Bytes::from(bytes)).unwrap()
}
