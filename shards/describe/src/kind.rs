//! Decides which of the known kinds an output script is of (Core `Solver`), and how an output is told in one line.
//! Never judges whether anybody can spend it.

use crate::address::Address;
use crate::script::{Word, parse, pprint};
use consensus::Network;
use consensus::script::opcode::*;
use consensus::script::{is_p2sh, last_push, next_op, witness_program};

/// Scripts of no known kind are told in words up to so many bytes, as in 2014.
pub const BIG: usize = 500;

/// The kind of an output script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind<'a> {
    /// A key, 33 or 65 bytes.
    PubKey(&'a [u8]),
    /// A key's hash.
    PubKeyHash,
    /// A script's hash (BIP16).
    ScriptHash,
    /// So many signatures by these keys.
    Multisig(u32, Vec<&'a [u8]>),
    /// Witness version 0, a key's hash.
    WitnessKeyHash,
    /// Witness version 0, a script's hash.
    WitnessScriptHash,
    /// Witness version 1 (BIP341).
    Taproot,
    /// Anyone may spend it, to pay for its transaction (BIP433).
    Anchor,
    /// A witness version without rules yet, or without rules for this length.
    WitnessUnknown(u8),
    /// OP_RETURN and nothing but pushes.
    Data,
    /// Any other that can be read.
    Other,
    /// One that cannot.
    Bad,
}

impl<'a> Kind<'a> {
    /// All names, in the order of the kinds.
    pub const NAMES: [&'static str; 12] = [
        "pubkey",
        "pubkeyhash",
        "scripthash",
        "multisig",
        "witness_v0_keyhash",
        "witness_v0_scripthash",
        "witness_v1_taproot",
        "anchor",
        "witness_unknown",
        "nulldata",
        "nonstandard",
        "bad",
    ];

    /// The kind of a script.
    pub fn of(script: &'a [u8]) -> Kind<'a> {
        if is_p2sh(script) {
            return Kind::ScriptHash;
        }
        match witness_program(script) {
            Some((0, program)) if program.len() == 20 => return Kind::WitnessKeyHash,
            Some((0, program)) if program.len() == 32 => return Kind::WitnessScriptHash,
            Some((1, program)) if program.len() == 32 => return Kind::Taproot,
            Some((1, [0x4e, 0x73])) => return Kind::Anchor,
            Some((0, _)) => return Kind::Other,
            Some((version, _)) => return Kind::WitnessUnknown(version),
            None => {}
        }
        match script {
            [OP_RETURN, data @ ..] if data.is_empty() || last_push(data).is_some() => Kind::Data,
            [len, key @ .., OP_CHECKSIG] if usize::from(*len) == key.len() && is_key(key) => Kind::PubKey(key),
            [OP_DUP, OP_HASH160, 20, hash @ .., OP_EQUALVERIFY, OP_CHECKSIG] if hash.len() == 20 => Kind::PubKeyHash,
            _ => match multisig(script) {
                Some((needed, keys)) => Kind::Multisig(needed, keys),
                None if parse(script).is_ok() => Kind::Other,
                None => Kind::Bad,
            },
        }
    }

    /// Its place in [`Kind::NAMES`].
    pub fn number(&self) -> usize {
        match self {
            Kind::PubKey(_) => 0,
            Kind::PubKeyHash => 1,
            Kind::ScriptHash => 2,
            Kind::Multisig(..) => 3,
            Kind::WitnessKeyHash => 4,
            Kind::WitnessScriptHash => 5,
            Kind::Taproot => 6,
            Kind::Anchor => 7,
            Kind::WitnessUnknown(_) => 8,
            Kind::Data => 9,
            Kind::Other => 10,
            Kind::Bad => 11,
        }
    }

    /// The name that Core has for it in `scriptPubKey.type`; for a script that cannot be read `bad`, which is
    /// `nonstandard` there.
    pub fn name(&self) -> &'static str {
        Kind::NAMES[self.number()]
    }
}

/// Whether a key has a length that fits its first byte. Core `CPubKey::ValidSize`.
pub fn is_key(key: &[u8]) -> bool {
    matches!((key.first(), key.len()), (Some(2 | 3), 33) | (Some(4 | 6 | 7), 65))
}

/// Signatures needed, and the keys. Core `MatchMultisig`.
pub fn multisig(script: &[u8]) -> Option<(u32, Vec<&[u8]>)> {
    let mut rest = script.strip_suffix(&[OP_CHECKMULTISIG])?;
    let needed = number(next_op(&mut rest)?)?;
    let mut keys = Vec::new();
    loop {
        let (op, data) = next_op(&mut rest)?;
        if is_key(data) {
            keys.push(data);
            continue;
        }
        let count = number((op, data))?;
        return (rest.is_empty() && count as usize == keys.len() && needed <= count).then_some((needed, keys));
    }
}

/// A number from 1 to 20 in its shortest form. Core `GetScriptNumber`.
fn number((op, data): (u8, &[u8])) -> Option<u32> {
    match (op, data) {
        (OP_1..=OP_16, _) => Some(u32::from(op - OP_1) + 1),
        (1, [n @ 17..=20]) => Some(u32::from(*n)),
        _ => None,
    }
}

/// `m/n:` and the addresses of the keys.
pub fn keys_line(needed: u32, keys: &[&[u8]], network: Network) -> String {
    let addresses: Vec<String> = keys.iter().map(|key| Address::of_key(key).text(network)).collect();
    format!("{needed}/{}:{}", keys.len(), addresses.join(" "))
}

/// An output script in one line, in the words of the 2014 page: an address, with the kind before it where the address
/// does not say it.
pub fn output(script: &[u8], network: Network) -> String {
    let address = || Address::of_script(script).map(|address| address.text(network)).unwrap_or_default();
    match Kind::of(script) {
        Kind::PubKeyHash => address(),
        Kind::PubKey(key) => format!("pubkey:{}", Address::of_key(key).text(network)),
        Kind::ScriptHash => format!("p2sh:{}", address()),
        Kind::Multisig(needed, keys) => format!("multi:{}", keys_line(needed, &keys, network)),
        Kind::WitnessKeyHash => format!("p2wpkh:{}", address()),
        Kind::WitnessScriptHash => format!("p2wsh:{}", address()),
        Kind::Taproot => format!("p2tr:{}", address()),
        Kind::Anchor => format!("anchor:{}", address()),
        Kind::WitnessUnknown(version) => format!("witness {version}:{}", address()),
        Kind::Data => format!("data:{}", crate::hex(&script[1..])),
        Kind::Bad => format!("bad:{}", crate::hex(script)),
        Kind::Other if script.len() > BIG => format!("big:{} bytes", script.len()),
        Kind::Other => {
            let code = parse(script).unwrap_or_default();
            format!("other:{}", Word::List(pprint(&code)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unhex;

    fn of(hex: &str) -> (&'static str, String) {
        let script = unhex(hex).unwrap();
        (Kind::of(&script).name(), output(&script, Network::Main))
    }

    #[test]
    fn each_kind_has_a_line() {
        let key = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let address = "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH";
        for (script, name, line) in [
            (format!("21{key}ac"), "pubkey", format!("pubkey:{address}")),
            ("76a914751e76e8199196d454941c45d1b3a323f1433bd688ac".into(), "pubkeyhash", address.to_owned()),
            (
                "a91474f209f6ea907e2ea48f74fae05782ae8a66525787".into(),
                "scripthash",
                "p2sh:3CMNFxN1oHBc4R1EpboAL5yzHGgE611Xou".into(),
            ),
            (format!("5121{key}21{key}52ae"), "multisig", format!("multi:1/2:{address} {address}")),
            (
                "0014751e76e8199196d454941c45d1b3a323f1433bd6".into(),
                "witness_v0_keyhash",
                "p2wpkh:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4".into(),
            ),
            ("51024e73".into(), "anchor", "anchor:bc1pfeessrawgf".into()),
            ("6002751e".into(), "witness_unknown", "witness 16:bc1sw50qgdz25j".into()),
            ("6a0161".into(), "nulldata", "data:0161".into()),
            ("6a".into(), "nulldata", "data:".into()),
            ("6aac".into(), "nonstandard", "other:['OP_RETURN', 'OP_CHECKSIG']".into()),
            ("00020102".into(), "nonstandard", "other:['', '0x0102']".into()),
            (String::new(), "nonstandard", "other:[]".into()),
            ("0201".into(), "bad", "bad:0201".into()),
            ("61".repeat(501), "nonstandard", "big:501 bytes".into()),
        ] {
            assert_eq!(of(&script), (name, line), "{script}");
        }
    }

    #[test]
    fn almost_a_multisig_is_none() {
        let key = format!("21{}", "02".repeat(33));
        for (script, is) in [
            (format!("51{key}51ae"), true),
            (format!("5151{key}ae"), false),
            (format!("52{key}51ae"), false),
            (format!("00{key}51ae"), false),
            (format!("51{key}52ae"), false),
            (format!("0101{key}51ae"), false),
            (format!("51{key}51af"), false),
            (format!("51{key}{key}51ae"), false),
            ("5151ae".into(), false),
            ("51ae".into(), false),
            ("ae".into(), false),
        ] {
            assert_eq!(of(&script).0 == "multisig", is, "{script}");
        }
        let many = |n: usize, count: &str| format!("01{count}{}01{count}ae", key.repeat(n));
        assert_eq!(of(&many(17, "11")).0, "multisig");
        assert_eq!(of(&many(20, "14")).0, "multisig");
        assert_eq!(of(&many(21, "15")).0, "nonstandard");
    }
}
