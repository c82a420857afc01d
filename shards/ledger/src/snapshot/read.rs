//! Bytes of a snapshot to coins, one at a time. Decides whether the bytes are such as Core writes, as far as one coin
//! after the other shows it; that the coins are the right ones only their hash shows.

use super::{Fault, Malformed, Metadata, OUTPUT_BYTES_MIN, OUTPUTS_BYTES_MAX, OUTPUTS_MAX};
use crate::compress::{
    Decompress, SPELLED_BYTES_MAX, Unread, decompress_amount, take, take_compact, take_script, take_varint,
    varint_order,
};
use consensus::script::MAX_SCRIPT_SIZE;
use consensus::{CoinView, OutPoint, Txid, is_unspendable};

/// Who has this many bytes has a whole coin, with its transaction's head before it, or an error.
pub const COIN_BYTES_MAX: usize = 32 + 9 + 9 + 5 + 10 + 5 + MAX_SCRIPT_SIZE;

/// Where between the coins of a snapshot a reader is.
#[derive(Copy, Clone)]
struct Place {
    /// Coins not yet given.
    left: u64,
    /// The transaction at hand, or the last one.
    txid: Option<Txid>,
    /// Its coins not yet given.
    left_of_tx: u64,
    /// The order of its latest coin.
    latest: Option<u64>,
    /// Bytes that its other outputs may have.
    room: usize,
}

/// Reads coins from the bytes behind the head of a snapshot, in whatever pieces they come. Holds none of them.
pub struct Reader {
    at: u64,
    place: Place,
    height_max: u32,
    decompress: Decompress,
    script: [u8; SPELLED_BYTES_MAX],
}

/// Reads a field, or leaves the bytes where it begins.
fn field<'a, T>(bytes: &mut &'a [u8], read: impl FnOnce(&mut &'a [u8]) -> Result<T, Fault>) -> Result<T, Fault> {
    let mut rest = *bytes;
    let value = read(&mut rest)?;
    *bytes = rest;
    Ok(value)
}

fn ensure(holds: bool, fault: Fault) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(fault) }
}

impl Reader {
    /// A reader that stands behind the head. `height` is that of the block the head names, which whoever knows headers
    /// knows, or the highest there may be.
    pub fn new(head: &Metadata, height: u32, decompress: Decompress) -> Reader {
        let place = Place { left: head.coins, txid: None, left_of_tx: 0, latest: None, room: 0 };
        Reader { at: Metadata::LEN as u64, place, height_max: height, decompress, script: [0; SPELLED_BYTES_MAX] }
    }

    /// The next coin, which is then cut off the bytes. None where they end before it does, or behind the last: come
    /// again with what is left of them and more. More than [`COIN_BYTES_MAX`] is never left.
    ///
    /// A file is refused where Core takes it only in what its own files never have: another order, a coin twice, coins
    /// that nothing can spend, more outputs than fit in a transaction.
    pub fn next<'s, 'a: 's>(&'s mut self, bytes: &mut &'a [u8]) -> Result<Option<(OutPoint, CoinView<'s>)>, Malformed> {
        let (mut rest, mut place) = (*bytes, self.place);
        let found = match place.left {
            0 if rest.is_empty() => return Ok(None),
            0 => Err(Fault::LeftOver),
            _ => place.coin(&mut rest, self.height_max, self.decompress, &mut self.script),
        };
        let at = self.at + (bytes.len() - rest.len()) as u64;
        match found {
            Ok(coin) => {
                (self.at, self.place, *bytes) = (at, place, rest);
                Ok(Some(coin))
            }
            Err(Fault::Unread(Unread::Short)) => Ok(None),
            Err(fault) => Err(Malformed { at, fault }),
        }
    }

    /// Coins not yet given.
    pub fn left(&self) -> u64 {
        self.place.left
    }

    /// Says that there are no more bytes; wrong if there should be.
    pub fn end(&self) -> Result<(), Malformed> {
        let truncated = Malformed { at: self.at, fault: Fault::Truncated(self.place.left) };
        if self.place.left == 0 { Ok(()) } else { Err(truncated) }
    }
}

impl Place {
    fn coin<'s, 'a: 's>(
        &mut self,
        bytes: &mut &'a [u8],
        height_max: u32,
        decompress: Decompress,
        script: &'s mut [u8; SPELLED_BYTES_MAX],
    ) -> Result<(OutPoint, CoinView<'s>), Fault> {
        if self.left_of_tx == 0 {
            self.transaction(bytes)?;
        }
        let vout = field(bytes, |bytes| self.index(take_compact(bytes)?))?;
        let code = field(bytes, |bytes| {
            let code = take_varint(bytes, u32::MAX.into())? as u32;
            ensure(code >> 1 <= height_max, Fault::Height { found: code >> 1, max: height_max })?;
            Ok(code)
        })?;
        let value = field(bytes, |bytes| {
            decompress_amount(take_varint(bytes, u64::MAX)?).ok_or(Fault::Unread(Unread::Amount))
        })?;
        let script = field(bytes, |bytes| {
            let script = take_script(bytes, script, decompress)?;
            ensure(!is_unspendable(script), Fault::Unspendable)?;
            let output = OUTPUT_BYTES_MIN + if script.len() < 253 { 0 } else { 2 } + script.len();
            self.room = self.room.checked_sub(output).ok_or(Fault::Outputs)?;
            Ok(script)
        })?;
        self.left -= 1;
        self.left_of_tx -= 1;
        let txid = self.txid.expect("there is a transaction at hand");
        let coin = CoinView { value, height: code >> 1, coinbase: code & 1 == 1, script };
        Ok((OutPoint { txid, vout }, coin))
    }

    /// The head of the next transaction.
    fn transaction(&mut self, bytes: &mut &[u8]) -> Result<(), Fault> {
        let txid = field(bytes, |bytes| {
            let txid = Txid(take(bytes)?);
            ensure(self.txid.is_none_or(|last| last < txid), Fault::TxOrder(txid))?;
            Ok(txid)
        })?;
        let count = field(bytes, |bytes| {
            let found = take_compact(bytes)?;
            ensure((1..=self.left).contains(&found), Fault::Count { found, left: self.left })?;
            Ok(found)
        })?;
        *self = Place { left: self.left, txid: Some(txid), left_of_tx: count, latest: None, room: OUTPUTS_BYTES_MAX };
        Ok(())
    }

    /// The index of the next coin.
    fn index(&mut self, index: u64) -> Result<u32, Fault> {
        ensure(index < OUTPUTS_MAX, Fault::Index(index))?;
        let (index, order) = (index as u32, varint_order(index as u32));
        ensure(self.latest.is_none_or(|latest| latest < order), Fault::CoinOrder(index))?;
        self.latest = Some(order);
        Ok(index)
    }
}
