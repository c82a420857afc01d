//! A coin, the fixed partitions that coins live in, and the digest over sorted coins by which two
//! sets are compared. Knows nothing of worlds.

use bitcoin_hashes::{HashEngine, sha256};
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

    /// A copy of one that is looked at.
    pub fn of(view: &CoinView) -> Coin {
        Coin::new(view.value, view.height, view.coinbase, view.script)
    }
}

/// Digest over sorted coins. Per partition: SHA-256 over each coin in ascending order of (txid as in
/// memory, output index), as
/// `[txid 32][vout u32le][height*2+coinbase u32le][value u64le][script length u32le][script]`;
/// the whole: SHA-256 over the 256 partition digests. Partitions are hashed on their own cores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoinDigest(pub [u8; 32]);

/// The digest of one partition on its way.
#[derive(Clone, Debug)]
pub struct PartitionDigest {
    engine: sha256::HashEngine,
    last: Option<OutPoint>,
}

impl Default for PartitionDigest {
    fn default() -> PartitionDigest {
        PartitionDigest { engine: sha256::Hash::engine(), last: None }
    }
}

impl PartitionDigest {
    /// Adds the next coin in ascending order.
    pub fn add(&mut self, outpoint: OutPoint, coin: &CoinView) {
        assert!(self.last.is_none_or(|last| last < outpoint), "coins are hashed in their order");
        self.last = Some(outpoint);
        let script_len = u32::try_from(coin.script.len()).expect("scripts of coins are short");
        self.engine.input(&outpoint.txid.0);
        self.engine.input(&outpoint.vout.to_le_bytes());
        self.engine.input(&(coin.height << 1 | u32::from(coin.coinbase)).to_le_bytes());
        self.engine.input(&coin.value.to_le_bytes());
        self.engine.input(&script_len.to_le_bytes());
        self.engine.input(coin.script);
    }

    /// The digest of all that were added.
    pub fn digest(self) -> CoinDigest {
        CoinDigest(sha256::Hash::from_engine(self.engine).to_byte_array())
    }
}

impl CoinDigest {
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
        let none = PartitionDigest::default().digest();
        assert_eq!(none.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let all = CoinDigest::of_all(&[none; PARTITIONS]);
        assert_eq!(all.to_string(), "0e89e7ed74c9a5944c886585d634e3c68f4dccd0a31968fe52d6df0873ccdec6");
    }

    /// The digest is SHA-256 of the bytes that the format says.
    #[test]
    fn the_digest_of_two_coins() {
        let (mut digest, mut bytes) = (PartitionDigest::default(), Vec::new());
        for (vout, script) in [(1_u32, &[0x51][..]), (256, &[])] {
            let coin = Coin::new(7, 3, vout == 1, script);
            digest.add(OutPoint { txid: Txid([5; 32]), vout }, &coin.view());
            bytes.extend([5; 32]);
            bytes.extend([vout.to_le_bytes(), [6 + u8::from(vout == 1), 0, 0, 0], [7, 0, 0, 0], [0; 4]].concat());
            bytes.extend((script.len() as u32).to_le_bytes());
            bytes.extend(script);
        }
        assert_eq!(digest.digest().0, consensus::sha256(&bytes));
    }
}
