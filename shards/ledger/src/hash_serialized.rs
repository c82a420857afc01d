//! The bytes of a coin that Core hashes (`kernel/coinstats.cpp`), and `hash_serialized_3`, the hash over all coins one
//! after the other by which a snapshot is known. Never sorts more than the coins of one transaction.

use crate::compress::put_compact;
use crate::group::Group;
use bitcoin_hashes::{HashEngine, sha256d};
use consensus::{CoinView, CoinsHash, OutPoint};

/// Appends a coin as it is hashed: the member that stands for it in a [`MuHash`](crate::muhash::MuHash) of coins, too.
/// Core `TxOutSer`.
///
/// ```text
/// txid 32 | output index u32le | height * 2 + coinbase u32le | satoshi u64le | CompactSize | script
/// ```
pub fn put_coin(out: &mut Vec<u8>, outpoint: &OutPoint, coin: &CoinView) {
    out.extend_from_slice(&outpoint.txid.0);
    out.extend_from_slice(&outpoint.vout.to_le_bytes());
    out.extend_from_slice(&height_and_coinbase(coin).to_le_bytes());
    out.extend_from_slice(&coin.value.to_le_bytes());
    put_compact(out, coin.script.len() as u64);
    out.extend_from_slice(coin.script);
}

/// Height times two, plus one for a coinbase. Heights have 31 bits.
pub(crate) fn height_and_coinbase(coin: &CoinView) -> u32 {
    assert!(coin.height < 1 << 31);
    coin.height << 1 | u32::from(coin.coinbase)
}

/// Double SHA-256 over the coins in ascending order of txid as in memory, then of output index as a number: Core's
/// `hash_serialized_3`.
#[derive(Default)]
pub struct HashSerialized {
    engine: sha256d::HashEngine,
    group: Group,
}

impl HashSerialized {
    /// Takes the next coin. Transactions MUST ascend and be whole; the coins of one may come in any order, each once.
    pub fn add(&mut self, outpoint: &OutPoint, coin: &CoinView) {
        if self.group.is_other(&outpoint.txid) {
            self.flush();
        }
        self.group.add(outpoint.txid, outpoint.vout.into(), |out| put_coin(out, outpoint, coin));
    }

    /// The hash over all coins.
    pub fn hash(mut self) -> CoinsHash {
        self.flush();
        CoinsHash(sha256d::Hash::from_engine(self.engine).to_byte_array())
    }

    fn flush(&mut self) {
        if let Some((_, _, coins)) = self.group.sorted() {
            coins.for_each(|coin| self.engine.input(coin));
        }
        self.group.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::G_X;
    use consensus::{Network, Params, Txid, sha256d};

    /// The chain of Core's `TestChain100Setup` and ten blocks more: each coinbase pays 50 bitcoins to the key 1, as
    /// `node/miner.cpp` makes it. Ordered by txid.
    fn coins_of_core_tests() -> Vec<(OutPoint, u32, Vec<u8>)> {
        let script = [&[33, 2], &G_X[..], &[0xac]].concat();
        // The commitment to nothing but a coinbase (BIP141).
        let commitment = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed], &sha256d(&[0; 64])[..]].concat();
        let coins = (1..=110_u32).map(|height| {
            let named = if height <= 16 { [0x50 + height as u8, 0] } else { [1, height as u8] };
            let mut tx = [&[2, 0, 0, 0, 1], &[0; 32][..], &[0xff, 0xff, 0xff, 0xff, 2], &named].concat();
            tx.extend([0xfe, 0xff, 0xff, 0xff, 2]);
            for (value, script) in [(5_000_000_000_u64, &script), (0, &commitment)] {
                tx.extend(value.to_le_bytes());
                tx.push(script.len() as u8);
                tx.extend(script);
            }
            tx.extend((height - 1).to_le_bytes());
            (OutPoint { txid: Txid(sha256d(&tx)), vout: 0 }, height, script.clone())
        });
        let mut coins: Vec<_> = coins.collect();
        coins.sort();
        coins
    }

    /// Core's own hash over them is in its parameters of regtest.
    #[test]
    fn the_hash_that_core_assumes_at_height_110() {
        let mut hash = HashSerialized::default();
        for (outpoint, height, script) in &coins_of_core_tests() {
            hash.add(outpoint, &CoinView { value: 5_000_000_000, height: *height, coinbase: true, script });
        }
        let assumed = Params::of(Network::Regtest).assume_utxo[0];
        assert_eq!((hash.hash(), assumed.height), (assumed.coins, 110));
    }

    #[test]
    fn each_field_in_its_place() {
        let (txid, mut out) = (Txid([7; 32]), Vec::new());
        let coin = CoinView { value: 0x0102_0304_0506, height: 0x1234, coinbase: true, script: &[0x51; 253] };
        put_coin(&mut out, &OutPoint { txid, vout: 0x0a0b }, &coin);
        let fields = [&[0x0b, 0x0a, 0, 0], &[0x69, 0x24, 0, 0], &[6, 5, 4, 3, 2, 1, 0, 0][..], &[253, 253, 0]].concat();
        assert_eq!(out, [&[7; 32], &fields[..], &[0x51; 253]].concat());
    }

    /// The coins of a transaction are hashed in the order of numbers, whatever order they come in.
    #[test]
    fn coins_of_a_transaction_are_sorted() {
        let coin = CoinView { value: 1, height: 2, coinbase: false, script: &[] };
        let sorted = [(1, 256), (1, 16_512), (2, 0), (2, 1)];
        let bytes = sorted.map(|(txid, vout)| {
            let mut bytes = Vec::new();
            put_coin(&mut bytes, &OutPoint { txid: Txid([txid; 32]), vout }, &coin);
            bytes
        });
        for order in [sorted, [(1, 16_512), (1, 256), (2, 1), (2, 0)]] {
            let mut hash = HashSerialized::default();
            for (txid, vout) in order {
                hash.add(&OutPoint { txid: Txid([txid; 32]), vout }, &coin);
            }
            assert_eq!(hash.hash().0, sha256d(&bytes.concat()));
        }
        // No coins: twice SHA-256 of nothing.
        assert_eq!(HashSerialized::default().hash().0, sha256d(&[]));
    }
}
