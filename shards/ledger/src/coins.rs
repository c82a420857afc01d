//! A coin, the fixed partitions that coins live in, and the digest over sorted coins by which two
//! sets are compared. Knows nothing of worlds.

use bitcoin_hashes::sha256;
use consensus::{CoinView, OutPoint, Txid};

/// Coins are spread over this many partitions by the first byte of their txid, for good: cores own
/// ranges of partitions, so `--cores` may change between runs and no table is rehashed whole.
pub const PARTITIONS: usize = 256;

/// The partition of all outputs of a transaction.
pub fn partition_of(txid: &Txid) -> usize {
    usize::from(txid.0[0])
}

/// An unspent output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coin {
    /// Satoshi.
    pub value: u64,
    height_and_coinbase: u32,
    /// scriptPubKey.
    pub script: Box<[u8]>,
}

impl Coin {
    /// A coin made at `height`, by a coinbase or not.
    pub fn new(value: u64, height: u32, coinbase: bool, script: &[u8]) -> Coin {
        Coin { value, height_and_coinbase: height << 1 | u32::from(coinbase), script: script.into() }
    }

    /// Height of the block that made it.
    pub fn height(&self) -> u32 {
        self.height_and_coinbase >> 1
    }

    /// Whether a coinbase made it.
    pub fn coinbase(&self) -> bool {
        self.height_and_coinbase & 1 == 1
    }

    /// The coin as the rules look at it.
    pub fn view(&self) -> CoinView<'_> {
        CoinView { value: self.value, height: self.height(), coinbase: self.coinbase(), script: &self.script }
    }

    /// Bytes of memory it holds, table slot aside.
    pub fn bytes(&self) -> usize {
        size_of::<Coin>() + self.script.len()
    }
}

/// Digest over sorted coins. Per partition: SHA-256 over each coin in ascending order of (txid as in
/// memory, output index), as
/// `[txid 32][vout u32le][height*2+coinbase u32le][value u64le][script length u32le][script]`;
/// the whole: SHA-256 over the 256 partition digests. Partitions are hashed on their own cores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoinDigest(pub [u8; 32]);

impl CoinDigest {
    /// Digest of one partition's coins; sorts them.
    pub fn of_partition(coins: &mut [(OutPoint, &Coin)]) -> CoinDigest {
        coins.sort_unstable_by_key(|(outpoint, _)| *outpoint);
        let mut engine = sha256::Hash::engine();
        for (outpoint, coin) in coins {
            use bitcoin_hashes::HashEngine;
            let script_len = u32::try_from(coin.script.len()).expect("scripts of coins are short");
            engine.input(&outpoint.txid.0);
            engine.input(&outpoint.vout.to_le_bytes());
            engine.input(&coin.height_and_coinbase.to_le_bytes());
            engine.input(&coin.value.to_le_bytes());
            engine.input(&script_len.to_le_bytes());
            engine.input(&coin.script);
        }
        CoinDigest(sha256::Hash::from_engine(engine).to_byte_array())
    }

    /// Digest of the whole set from those of its partitions, in order.
    pub fn of_all(partitions: &[CoinDigest]) -> CoinDigest {
        assert_eq!(partitions.len(), PARTITIONS);
        let bytes: Vec<u8> = partitions.iter().flat_map(|digest| digest.0).collect();
        CoinDigest(consensus::sha256(&bytes))
    }
}

impl std::fmt::Display for CoinDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn height_and_coinbase_share_a_word() {
        for (height, coinbase) in [(0, true), (0, false), (957_000, true), ((1 << 31) - 1, false)] {
            let coin = Coin::new(7, height, coinbase, &[0x51]);
            assert_eq!((coin.height(), coin.coinbase()), (height, coinbase));
            let view = coin.view();
            assert_eq!((view.value, view.height, view.coinbase, view.script), (7, height, coinbase, &[0x51][..]));
        }
    }

    /// SHA-256 of nothing is known; that of 256 of it was made with `sha256sum`.
    #[test]
    fn the_digest_of_no_coins() {
        let none = CoinDigest::of_partition(&mut []);
        assert_eq!(none.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let all = CoinDigest::of_all(&[none; PARTITIONS]);
        assert_eq!(all.to_string(), "0e89e7ed74c9a5944c886585d634e3c68f4dccd0a31968fe52d6df0873ccdec6");
    }

    #[test]
    fn the_digest_does_not_depend_on_the_order() {
        let coins = [1, 2].map(|value| Coin::new(value, 3, false, &[]));
        let at = |vout| OutPoint { txid: Txid([5; 32]), vout };
        let one = CoinDigest::of_partition(&mut [(at(0), &coins[0]), (at(256), &coins[1])]);
        assert_eq!(one, CoinDigest::of_partition(&mut [(at(256), &coins[1]), (at(0), &coins[0])]));
        assert_ne!(one, CoinDigest::of_partition(&mut [(at(256), &coins[0]), (at(0), &coins[1])]));
    }
}
