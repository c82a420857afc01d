//! Coins to bytes of a snapshot, byte for byte as Core writes them. Knows no more than one transaction's coins at a time.

use crate::compress::{Decompress, compress_amount, put_compact, put_script, put_varint, varint_order};
use crate::group::Group;
use crate::hash_serialized::height_and_coinbase;
use consensus::{CoinView, OutPoint, is_unspendable};

/// Writes the bytes behind the head of a snapshot, in pieces of one transaction.
pub struct Writer {
    decompress: Decompress,
    group: Group,
}

impl Writer {
    /// A writer that stands behind the head: [`Metadata::to_bytes`](super::Metadata::to_bytes) comes first.
    pub fn new(decompress: Decompress) -> Writer {
        Writer { decompress, group: Group::default() }
    }

    /// Takes the next coin; may append the coins of the transaction before. Transactions MUST ascend by txid as in memory
    /// and be whole; the coins of one may come in any order, each once.
    pub fn add(&mut self, outpoint: &OutPoint, coin: &CoinView, out: &mut Vec<u8>) {
        assert!(!is_unspendable(coin.script), "that is no coin");
        if self.group.is_other(&outpoint.txid) {
            self.flush(out);
        }
        self.group.add(outpoint.txid, varint_order(outpoint.vout), |out| {
            put_compact(out, outpoint.vout.into());
            put_varint(out, height_and_coinbase(coin).into());
            put_varint(out, compress_amount(coin.value));
            put_script(out, coin.script, self.decompress);
        });
    }

    /// Appends the coins of the last transaction.
    pub fn end(mut self, out: &mut Vec<u8>) {
        self.flush(out);
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if let Some((txid, count, coins)) = self.group.sorted() {
            out.extend_from_slice(&txid.0);
            put_compact(out, count as u64);
            coins.for_each(|coin| out.extend_from_slice(coin));
        }
        self.group.clear();
    }
}
