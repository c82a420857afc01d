//! Decides how an output script is written as an address, and what script an address stands for: base58check with the
//! version bytes of a network, bech32 (BIP173) for witness version 0 and bech32m (BIP350) above. Knows no keys.

use consensus::script::{is_p2sh, opcode::*, witness_program};
use consensus::{Network, hash160};
use std::fmt;

/// What an address says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// Pay to the key with this hash160.
    KeyHash([u8; 20]),
    /// Pay to the script with this hash160 (BIP16).
    ScriptHash([u8; 20]),
    /// A witness program (BIP141): its version, 0 to 16, and 2 to 40 bytes.
    Witness(u8, Vec<u8>),
}

/// Why a text is no address here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoAddress(String);

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Version bytes of key hashes and script hashes, and the human-readable part. Core `kernel/chainparams.cpp`.
fn prefixes(network: Network) -> (u8, u8, &'static str) {
    match network {
        Network::Main => (0, 5, "bc"),
        Network::Testnet3 | Network::Testnet4 | Network::Signet => (111, 196, "tb"),
        Network::Regtest => (111, 196, "bcrt"),
    }
}

/// Base58check of a hash behind a version byte.
fn checked(version: u8, hash: &[u8; 20]) -> String {
    base58ck::Base58CkString::encode_unbounded(&[&[version], &hash[..]].concat()).to_string()
}

impl Address {
    /// The address of an output script, where it has one. Core `ExtractDestination`, where it returns true.
    pub fn of_script(script: &[u8]) -> Option<Address> {
        if is_p2sh(script) {
            return Some(Address::ScriptHash(script[2..22].try_into().expect("20 bytes")));
        }
        if let [OP_DUP, OP_HASH160, 20, hash @ .., OP_EQUALVERIFY, OP_CHECKSIG] = script
            && let Ok(hash) = hash.try_into()
        {
            return Some(Address::KeyHash(hash));
        }
        match witness_program(script)? {
            (0, program) if ![20, 32].contains(&program.len()) => None,
            (version, program) => Some(Address::Witness(version, program.to_vec())),
        }
    }

    /// The address of a key, as in the days before witnesses.
    pub fn of_key(key: &[u8]) -> Address {
        Address::KeyHash(hash160(key))
    }

    /// The script that pays to it.
    pub fn script(&self) -> Vec<u8> {
        match self {
            Address::KeyHash(hash) => [&[OP_DUP, OP_HASH160, 20], &hash[..], &[OP_EQUALVERIFY, OP_CHECKSIG]].concat(),
            Address::ScriptHash(hash) => [&[OP_HASH160, 20], &hash[..], &[OP_EQUAL]].concat(),
            Address::Witness(version, program) => {
                let version = if *version == 0 { OP_0 } else { OP_1 + version - 1 };
                [&[version, program.len() as u8], &program[..]].concat()
            }
        }
    }

    /// How it is written on a network.
    pub fn text(&self, network: Network) -> String {
        let (key, script, hrp) = prefixes(network);
        match self {
            Address::KeyHash(hash) => checked(key, hash),
            Address::ScriptHash(hash) => checked(script, hash),
            Address::Witness(version, program) => {
                let hrp = bech32::Hrp::parse(hrp).expect("it is one");
                let version = bech32::Fe32::try_from(*version).expect("at most 16");
                bech32::segwit::encode(hrp, version, program).expect("a witness program")
            }
        }
    }

    /// Reads one of this network.
    pub fn parse(text: &str, network: Network) -> Result<Address, NoAddress> {
        let (key, script, hrp) = prefixes(network);
        if let Ok((found, version, program)) = bech32::segwit::decode(text) {
            return match found.to_lowercase() == hrp {
                true => Ok(Address::Witness(version.to_u8(), program)),
                false => Err(NoAddress(format!("{text} is of another network: it begins with {found}, not {hrp}"))),
            };
        }
        let wrong = || NoAddress(format!("{text:?} is no address: its checksum does not fit, or it is none at all"));
        let [version, hash @ ..] = base58ck::decode_check_to_array::<21>(text).map_err(|_| wrong())?;
        match version {
            version if version == key => Ok(Address::KeyHash(hash)),
            version if version == script => Ok(Address::ScriptHash(hash)),
            version => Err(NoAddress(format!("{text} is no address of {network}: its version is {version}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unhex;

    fn text(script: &str, network: Network) -> Option<String> {
        Address::of_script(&unhex(script).unwrap()).map(|address| address.text(network))
    }

    /// Vectors of BIP173 and BIP350, of the genesis coinbase's key, and of Core's key_io_valid.json.
    #[test]
    fn vectors_of_each_kind_and_network() {
        for (script, network, address) in [
            ("76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac", Network::Main, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
            ("a91474f209f6ea907e2ea48f74fae05782ae8a66525787", Network::Main, "3CMNFxN1oHBc4R1EpboAL5yzHGgE611Xou"),
            (
                "76a914751e76e8199196d454941c45d1b3a323f1433bd688ac",
                Network::Testnet4,
                "mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r",
            ),
            (
                "0014751e76e8199196d454941c45d1b3a323f1433bd6",
                Network::Main,
                "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            ),
            (
                "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
                Network::Signet,
                "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
            ),
            (
                "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
                Network::Main,
                "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            ),
            ("51024e73", Network::Main, "bc1pfeessrawgf"),
            ("51024e73", Network::Regtest, "bcrt1pfeesnyr2tx"),
            ("6002751e", Network::Main, "bc1sw50qgdz25j"),
        ] {
            assert_eq!(text(script, network).as_deref(), Some(address));
            let read = Address::parse(address, network).unwrap();
            assert_eq!(read.script(), unhex(script).unwrap());
        }
        // A program of version 0 has 20 or 32 bytes; a key has no address of its own in this sense.
        assert_eq!(text("00020102", Network::Main), None);
        assert_eq!(text(&format!("21{}ac", "02".repeat(33)), Network::Main), None);
    }

    #[test]
    fn other_networks_and_typing_errors_are_told_apart() {
        let error = |text: &str, network| Address::parse(text, network).unwrap_err().to_string();
        assert!(error("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", Network::Regtest).contains("another network"));
        assert!(error("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", Network::Testnet3).contains("its version is 0"));
        // Version 1 with the checksum of version 0 (BIP350), and one letter wrong.
        for bad in
            ["bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", ""]
        {
            assert!(error(bad, Network::Main).contains("checksum"), "{bad}");
        }
    }
}
