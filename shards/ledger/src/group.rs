//! The coins of one transaction, gathered as bytes until the next transaction's come, then given out in order. Decides
//! that transactions only ascend and that no coin comes twice; does not know what the bytes are.

use consensus::Txid;
use std::ops::Range;

/// Coins of one transaction. Buffers are kept from one to the next.
#[derive(Default)]
pub(crate) struct Group {
    txid: Option<Txid>,
    bytes: Vec<u8>,
    coins: Vec<(u64, Range<usize>)>,
}

impl Group {
    /// Whether `txid` is another transaction than the one gathered, which must then be given out first. Transactions
    /// MUST ascend.
    pub fn is_other(&self, txid: &Txid) -> bool {
        if let Some(gathered) = &self.txid {
            assert!(gathered <= txid, "coins of {txid} behind those of {gathered}");
        }
        self.txid.is_some_and(|gathered| gathered != *txid)
    }

    /// Adds a coin that `write` appends, to be ordered by `key`.
    pub fn add(&mut self, txid: Txid, key: u64, write: impl FnOnce(&mut Vec<u8>)) {
        self.txid = Some(txid);
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.coins.push((key, start..self.bytes.len()));
    }

    /// The transaction, how many coins of it are there, and the bytes of each in ascending order of keys; none for no
    /// coin. [`Group::clear`] goes on.
    pub fn sorted(&mut self) -> Option<(Txid, usize, impl Iterator<Item = &[u8]>)> {
        self.coins.sort_unstable_by_key(|(key, _)| *key);
        for pair in self.coins.windows(2) {
            assert!(pair[0].0 < pair[1].0, "a coin of {:?} twice", self.txid);
        }
        let coins = self.coins.iter().map(|(_, range)| &self.bytes[range.clone()]);
        self.txid.map(|txid| (txid, coins.len(), coins))
    }

    /// Forgets the coins, which have been given out.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.coins.clear();
    }
}
