//! A record: the unspent outputs of one transaction, or of 16 outputs in a row of a longer one, in few bytes.
//!
//! ```text
//! [txid 32][outputs u8, 1 to 16][VARINT height × 2 + coinbase] and for each output, by ascending index:
//!     [VARINT index][VARINT amount, as in `compress.rs`][script]
//!
//! script   00 hash 20    P2PKH              04 hash 20    P2WPKH
//!          01 hash 20    P2SH               05 hash 32    P2WSH
//!          02, 03 x 32   P2PK, compressed   06 key 32     P2TR
//!          VARINT of length + 7, bytes: any other
//! ```
//!
//! The groups of 16 bound what it costs to find, make and take one output of a transaction that has many.

use super::index::GROUP;
use crate::compress::{Unread, compress_amount, decompress_amount, put_varint, take, take_varint};
use consensus::CoinView;

/// Where a record has the number of its outputs.
pub(super) const COUNT_AT: usize = 32;
/// The first length code of scripts that are kept whole.
const WHOLE: u64 = 7;
/// Room for the longest script that is spelled out, P2PK.
pub type Room = [u8; 35];

/// The form of a script and the bytes that are kept of it.
fn form(script: &[u8]) -> (u64, &[u8]) {
    match script {
        [0x76, 0xa9, 20, hash @ .., 0x88, 0xac] if hash.len() == 20 => (0, hash),
        [0xa9, 20, hash @ .., 0x87] if hash.len() == 20 => (1, hash),
        [33, parity @ (2 | 3), x @ .., 0xac] if x.len() == 32 => (u64::from(*parity), x),
        [0, 20, hash @ ..] if hash.len() == 20 => (4, hash),
        [0, 32, hash @ ..] if hash.len() == 32 => (5, hash),
        [0x51, 32, key @ ..] if key.len() == 32 => (6, key),
        _ => (WHOLE + script.len() as u64, script),
    }
}

/// One output as it lies in a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output<'a> {
    pub vout: u32,
    amount: u64,
    form: u64,
    kept: &'a [u8],
}

impl<'a> Output<'a> {
    pub fn new(vout: u32, value: u64, script: &'a [u8]) -> Output<'a> {
        let (form, kept) = form(script);
        Output { vout, amount: compress_amount(value), form, kept }
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        for number in [self.vout.into(), self.amount, self.form] {
            // Most are short.
            if number < 0x80 { out.push(number as u8) } else { put_varint(out, number) }
        }
        match self.kept.len() {
            20 => out.extend_from_slice(self.kept.first_chunk::<20>().expect("20 bytes")),
            32 => out.extend_from_slice(self.kept.first_chunk::<32>().expect("32 bytes")),
            _ => out.extend_from_slice(self.kept),
        }
    }

    #[inline]
    pub fn take(bytes: &mut &'a [u8]) -> Result<Output<'a>, Unread> {
        let vout = take_varint(bytes, u32::MAX.into())? as u32;
        let amount = take_varint(bytes, u64::MAX)?;
        let form = take_varint(bytes, u32::MAX.into())?;
        let (kept, rest) = bytes.split_at_checked(len_of(form)).ok_or(Unread::Short)?;
        *bytes = rest;
        Ok(Output { vout, amount, form, kept })
    }

    /// The script; spelled out in `room` where it is of a form.
    #[inline]
    fn script<'r>(&self, room: &'r mut Room) -> &'r [u8]
    where
        'a: 'r,
    {
        let form = self.form as u8;
        let (before, after): (&[u8], &[u8]) = match self.form {
            0 => (&[0x76, 0xa9, 20], &[0x88, 0xac]),
            1 => (&[0xa9, 20], &[0x87]),
            2 | 3 => (&[33, form], &[0xac]),
            4 => (&[0, 20], &[]),
            5 => (&[0, 32], &[]),
            6 => (&[0x51, 32], &[]),
            _ => return self.kept,
        };
        let (from, to) = (before.len(), before.len() + self.kept.len());
        room[..from].copy_from_slice(before);
        room[from..to].copy_from_slice(self.kept);
        room[to..to + after.len()].copy_from_slice(after);
        &room[..to + after.len()]
    }

    /// The coin of a record with this code.
    #[inline]
    pub fn view<'r>(&self, code: u32, room: &'r mut Room) -> CoinView<'r>
    where
        'a: 'r,
    {
        let value = decompress_amount(self.amount).expect("amounts are looked at on their way in");
        CoinView { value, height: code >> 1, coinbase: code & 1 == 1, script: self.script(room) }
    }

    /// Whether there is such an amount.
    pub fn has_amount(&self) -> bool {
        decompress_amount(self.amount).is_some()
    }

    /// Whether its script is kept whole though it is of a form.
    pub fn long_form(&self) -> bool {
        self.form >= WHOLE && form(self.kept).0 < WHOLE
    }

    /// Whether its script can never be spent: then it is no coin.
    pub fn unspendable(&self) -> bool {
        self.form >= WHOLE && consensus::is_unspendable(self.kept)
    }
}

/// A record, split; `rest` begins with its first output and may go on behind its last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub txid: &'a [u8; 32],
    pub count: u8,
    /// height × 2 + coinbase
    pub code: u32,
    rest: &'a [u8],
}

/// The code of a coin, which all in a record share.
pub(super) fn code_of(coin: &CoinView) -> u32 {
    coin.height << 1 | u32::from(coin.coinbase)
}

impl<'a> Record<'a> {
    /// Splits what lies in memory of ours.
    #[inline]
    pub fn of(bytes: &'a [u8]) -> Record<'a> {
        let (txid, mut rest) = bytes.split_first_chunk().expect("records begin with 32 bytes");
        Record::after(txid, &mut rest).expect("records are looked at on their way in")
    }

    /// Reads one from outside, up to its first output.
    pub fn after(txid: &'a [u8; 32], bytes: &mut &'a [u8]) -> Result<Record<'a>, Unread> {
        let [count] = take(bytes)?;
        let code = take_varint(bytes, u32::MAX.into())? as u32;
        Ok(Record { txid, count, code, rest: bytes })
    }

    /// Its outputs.
    #[inline]
    pub fn outputs(&self) -> impl Iterator<Item = Output<'a>> + use<'a> {
        let mut rest = self.rest;
        (0..self.count).map(move |_| Output::take(&mut rest).expect("records are looked at on their way in"))
    }

    /// Which group of outputs it holds.
    #[inline]
    pub fn group(&self) -> u32 {
        self.outputs().next().expect("a record has an output").vout / GROUP
    }
}

/// Where in a record one output lies, or would.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    /// Its first byte, and the one behind it: the same where it is not there.
    pub at: usize,
    pub end: usize,
    /// Bytes of the record.
    pub len: usize,
    /// The code and the group of the record.
    pub code: u32,
    pub group: u32,
}

impl Spot {
    /// Looks for an output in memory of ours, without reading what it need not.
    #[inline]
    pub fn of(bytes: &[u8], vout: u32) -> Spot {
        let (mut at, count) = (COUNT_AT + 1, bytes[COUNT_AT]);
        let code = number(bytes, &mut at);
        let (mut place, mut end, mut group) = (None, 0, 0);
        for _ in 0..count {
            let start = at;
            let here = number(bytes, &mut at);
            group = here / GROUP;
            while bytes[at] & 0x80 != 0 {
                at += 1;
            }
            at += 1;
            at += len_of(number(bytes, &mut at).into());
            if here >= vout && place.is_none() {
                (place, end) = (Some(start), if here == vout { at } else { start });
            }
        }
        let place = place.unwrap_or_else(|| {
            end = at;
            at
        });
        Spot { at: place, end, len: at, code, group }
    }

    /// Whether the output is there.
    #[inline]
    pub fn holds(&self) -> bool {
        self.end > self.at
    }
}

/// A VARINT that fits in 32 bits, in memory of ours.
#[inline]
fn number(bytes: &[u8], at: &mut usize) -> u32 {
    let mut number = 0_u32;
    loop {
        let byte = bytes[*at];
        *at += 1;
        number = number << 7 | u32::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return number;
        }
        number += 1;
    }
}

/// Bytes of a script that are kept behind its code.
#[inline]
fn len_of(form: u64) -> usize {
    match form {
        0 | 1 | 4 => 20,
        2 | 3 | 5 | 6 => 32,
        whole => (whole - WHOLE) as usize,
    }
}

/// Begins a record.
pub(super) fn begin(out: &mut Vec<u8>, txid: &[u8; 32], count: u8, code: u32) {
    out.clear();
    out.extend_from_slice(txid);
    out.push(count);
    put_varint(out, code.into());
}

/// Writes a record with another output, or none, in place of the one at a spot.
pub(super) fn rewrite(out: &mut Vec<u8>, bytes: &[u8], spot: &Spot, with: Option<Output>) {
    out.clear();
    out.extend_from_slice(&bytes[..spot.at]);
    out[COUNT_AT] -= u8::from(spot.holds());
    if let Some(output) = with {
        out[COUNT_AT] += 1;
        output.put(out);
    }
    out.extend_from_slice(&bytes[spot.end..spot.len]);
}
