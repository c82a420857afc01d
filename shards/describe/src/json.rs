//! Transactions and blocks as JSON, field by field as Bitcoin Core answers `getblock HASH 2` (`TxToUniv`, `blockToJSON`),
//! without what needs a chain or coins (confirmations, fees, chainwork) and without descriptors.

use crate::address::Address;
use crate::asm::asm;
use crate::kind::Kind;
use consensus::{Network, OutPoint, TxView, Txid};
use serde::Serialize;

/// A transaction.
#[derive(Serialize)]
pub struct Tx {
    txid: String,
    /// Of its bytes with witnesses.
    hash: String,
    version: u32,
    size: u32,
    vsize: u32,
    weight: u32,
    locktime: u32,
    vin: Vec<Vin>,
    vout: Vec<Vout>,
}

#[derive(Serialize)]
struct Vin {
    #[serde(skip_serializing_if = "Option::is_none")]
    coinbase: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    txid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vout: Option<u32>,
    #[serde(rename = "scriptSig", skip_serializing_if = "Option::is_none")]
    script: Option<Script>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    txinwitness: Vec<String>,
    sequence: u32,
}

#[derive(Serialize)]
struct Script {
    asm: String,
    hex: String,
}

#[derive(Serialize)]
struct Vout {
    /// Bitcoins. A double holds every amount up to all there will ever be: 21e14 satoshis are less than 2^53.
    value: f64,
    n: usize,
    #[serde(rename = "scriptPubKey")]
    script: Output,
}

#[derive(Serialize)]
struct Output {
    asm: String,
    hex: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    r#type: &'static str,
}

/// A block.
#[derive(Serialize)]
pub struct Block {
    hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    version: i32,
    #[serde(rename = "versionHex")]
    version_hex: String,
    merkleroot: String,
    time: u32,
    nonce: u32,
    bits: String,
    #[serde(rename = "nTx")]
    count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    previousblockhash: Option<String>,
    strippedsize: usize,
    size: usize,
    weight: usize,
    tx: Vec<Tx>,
}

/// A transaction in these fields.
pub fn tx(tx: &TxView, network: Network) -> Tx {
    let size = tx.tx.end - tx.tx.start;
    let weight = 3 * tx.tx.stripped_len + size;
    Tx {
        txid: tx.tx.txid.to_string(),
        hash: Txid(tx.wtxid()).to_string(),
        version: tx.tx.version,
        size,
        vsize: weight.div_ceil(4),
        weight,
        locktime: tx.tx.lock_time,
        vin: tx.inputs.iter().map(|input| vin(tx, input)).collect(),
        vout: tx.outputs.iter().enumerate().map(|(n, output)| vout(tx, n, output, network)).collect(),
    }
}

fn vin(tx: &TxView, input: &consensus::Input) -> Vin {
    let (txid, vout) = tx.prevout(input).split_first_chunk().expect("36 bytes");
    let outpoint = OutPoint { txid: Txid(*txid), vout: u32::from_le_bytes(vout.try_into().expect("four bytes")) };
    let script = tx.slice(input.script);
    let coinbase = tx.inputs.len() == 1 && outpoint == (OutPoint { txid: Txid::default(), vout: u32::MAX });
    let spends = (!coinbase).then_some(outpoint);
    Vin {
        coinbase: coinbase.then(|| crate::hex(script)),
        txid: spends.map(|outpoint| outpoint.txid.to_string()),
        vout: spends.map(|outpoint| outpoint.vout),
        script: spends.map(|_| Script { asm: asm(script, true), hex: crate::hex(script) }),
        txinwitness: tx.witness(input).map(crate::hex).collect(),
        sequence: input.sequence,
    }
}

fn vout(tx: &TxView, n: usize, output: &consensus::Output, network: Network) -> Vout {
    let script = tx.slice(output.script);
    let address = Address::of_script(script).map(|address| address.text(network));
    // Core has one word for all that it does not know.
    let r#type = match Kind::of(script) {
        Kind::Bad => Kind::Other.name(),
        kind => kind.name(),
    };
    let script = Output { asm: asm(script, false), hex: crate::hex(script), address, r#type };
    Vout { value: output.value as f64 / consensus::COIN as f64, n, script }
}

/// A block in these fields.
pub fn block(block: &consensus::Block, height: Option<u32>, network: Network) -> Block {
    let header = &block.header;
    let stripped: usize = block.txs.iter().map(|tx| tx.stripped_len as usize).sum();
    let witnesses: usize = block.txs.iter().map(|tx| (tx.end - tx.start - tx.stripped_len) as usize).sum();
    assert!(stripped + witnesses < block.bytes.len(), "there is a header, too");
    let stripped = block.bytes.len() - witnesses;
    Block {
        hash: block.hash.to_string(),
        height,
        version: header.version,
        version_hex: format!("{:08x}", header.version),
        merkleroot: Txid(header.merkle_root).to_string(),
        time: header.time,
        nonce: header.nonce,
        bits: format!("{:08x}", header.bits),
        count: block.txs.len(),
        previousblockhash: (header.prev.0 != [0; 32]).then(|| header.prev.to_string()),
        strippedsize: stripped,
        size: block.bytes.len(),
        weight: 3 * stripped + block.bytes.len(),
        tx: block.txs.iter().map(|one| tx(&block.view(one), network)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{key, push, signature, tx as made};
    use serde_json::json;

    #[test]
    fn a_transaction_has_the_fields_of_core() {
        let script = [push(&signature()), push(&key())].concat();
        let taproot = Address::Witness(1, vec![5; 32]);
        let lone = made(
            vec![(1, 5, script.clone(), vec![]), (2, 0, vec![], vec![vec![], key()])],
            vec![(2_099_999_999_999_999, taproot.script()), (1, vec![2, 1])],
        );
        let found = serde_json::to_value(tx(&lone.view(), Network::Regtest)).unwrap();
        let (sig, key) = (crate::hex(&signature()), crate::hex(&key()));
        assert_eq!(
            found,
            json!({
                "txid": lone.view().tx.txid.to_string(),
                "hash": Txid(lone.view().wtxid()).to_string(),
                "version": 2, "size": 291, "vsize": 262, "weight": 1047, "locktime": 9,
                "vin": [
                    {"txid": "01".repeat(32), "vout": 5, "sequence": u32::MAX, "scriptSig": {
                        "asm": format!("{}[ALL] {key}", &sig[..sig.len() - 2]), "hex": crate::hex(&script)}},
                    {"txid": "02".repeat(32), "vout": 0, "sequence": u32::MAX, "scriptSig": {"asm": "", "hex": ""},
                     "txinwitness": ["", key]},
                ],
                "vout": [
                    {"value": 20_999_999.99999999, "n": 0, "scriptPubKey": {
                        "asm": format!("1 {}", "05".repeat(32)), "hex": crate::hex(&taproot.script()),
                        "address": taproot.text(Network::Regtest), "type": "witness_v1_taproot"}},
                    {"value": 0.00000001, "n": 1, "scriptPubKey": {
                        "asm": "[error]", "hex": "0201", "type": "nonstandard"}},
                ],
            })
        );
        let coinbase = made(vec![(0, u32::MAX, vec![1, 2], vec![])], vec![]);
        // The factory's outpoints repeat a byte, so the index is that of the null outpoint and so is the txid.
        let found = serde_json::to_value(tx(&coinbase.view(), Network::Main)).unwrap();
        assert_eq!(found["vin"], json!([{"coinbase": "0102", "sequence": u32::MAX}]));
    }

    #[test]
    fn the_genesis_block_is_told_as_core_tells_it() {
        let raw = consensus::Params::of(Network::Main).genesis_block();
        let read = consensus::Block::parse(raw).unwrap();
        let found = serde_json::to_value(block(&read, Some(0), Network::Main)).unwrap();
        for (field, value) in [
            ("hash", json!("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f")),
            ("height", json!(0)),
            ("versionHex", json!("00000001")),
            ("bits", json!("1d00ffff")),
            ("nTx", json!(1)),
            ("strippedsize", json!(285)),
            ("size", json!(285)),
            ("weight", json!(1140)),
        ] {
            assert_eq!(found[field], value, "{field}");
        }
        assert!(found.get("previousblockhash").is_none());
        assert_eq!(found["tx"][0]["vout"][0]["scriptPubKey"]["type"], "pubkey");
        assert_eq!(found["tx"][0]["vout"][0]["value"], 50.0);
    }
}
