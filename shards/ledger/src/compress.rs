//! Numbers, amounts and scripts in few bytes, as Core keeps coins in its database and in snapshots (`serialize.h`,
//! `compressor.h`). Never does a curve's arithmetic: who reads or writes scripts brings it along.
//!
//! ```text
//! VARINT       7 bits a byte, most significant first, 0x80 on all but the last; a byte that another follows counts one more
//! CompactSize  1 byte below 253, else 253, 254 or 255 and 2, 4 or 8 bytes, little-endian
//! amount       VARINT of 0, or 1 + 10 (9 n + d − 1) + e for (10 n + d) 10^e, or 1 + 10 (n − 1) + 9 for n 10^9
//! script       00 hash 20    P2PKH
//!              01 hash 20    P2SH
//!              02, 03 x 32   P2PK, compressed key, not looked at
//!              04, 05 x 32   P2PK, uncompressed key of a point on the curve with y even, odd
//!              VARINT of length + 6, bytes
//! ```
//!
//! What cannot be read leaves the bytes at some place behind their start: the caller keeps a copy.

use consensus::MAX_MONEY;
use consensus::script::MAX_SCRIPT_SIZE;

/// The uncompressed key (04, x, y) of the point that a compressed one (02 or 03, x) stands for; none where no point on
/// secp256k1 has that x.
pub type Decompress = fn(&[u8; 33]) -> Option<[u8; 65]>;

/// The longest of the scripts that are spelled out: P2PK with an uncompressed key.
pub const SPELLED_BYTES_MAX: usize = 67;
/// Length codes below this one are forms.
const FORMS: u64 = 6;

/// Why bytes cannot be read.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unread {
    /// There are too few of them: with more it may do.
    #[error("the bytes end here")]
    Short,
    /// A number is larger than this.
    #[error("number larger than {0}")]
    Above(u64),
    /// The number has a shorter form.
    #[error("CompactSize of {0} in a longer form than it needs")]
    LongForm(u64),
    /// There is no such amount.
    #[error("amount larger than {MAX_MONEY} satoshi")]
    Amount,
    /// No coin has so long a script.
    #[error("script of {0} bytes, expected at most {MAX_SCRIPT_SIZE}")]
    Script(u64),
    /// No uncompressed key was compressed to this.
    #[error("public key that is no point on the curve")]
    Key,
}

/// The next `N` bytes.
pub fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Unread> {
    let (head, tail) = bytes.split_first_chunk().ok_or(Unread::Short)?;
    *bytes = tail;
    Ok(*head)
}

/// The longest VARINT, of a `u64`.
const VARINT_BYTES_MAX: usize = 10;

/// A VARINT, and where in the array it begins: it ends with it.
fn varint(mut number: u64) -> ([u8; VARINT_BYTES_MAX], usize) {
    let (mut bytes, mut at) = ([0; VARINT_BYTES_MAX], VARINT_BYTES_MAX - 1);
    bytes[at] = (number & 0x7f) as u8;
    while number > 0x7f {
        number = (number >> 7) - 1;
        at -= 1;
        bytes[at] = 0x80 | (number & 0x7f) as u8;
    }
    (bytes, at)
}

/// Appends a VARINT.
pub fn put_varint(out: &mut Vec<u8>, number: u64) {
    let (bytes, at) = varint(number);
    out.extend_from_slice(&bytes[at..]);
}

/// A number that is to others as the bytes of `number`'s VARINT are to those of others, in the order of a dictionary.
pub(crate) fn varint_order(number: u32) -> u64 {
    let (bytes, at) = varint(number.into());
    bytes[at..].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)) << (8 * (at - 2))
}

/// Reads a VARINT of a type whose largest number is `max`: `u32::MAX` or `u64::MAX`.
pub fn take_varint(bytes: &mut &[u8], max: u64) -> Result<u64, Unread> {
    let mut number = 0_u64;
    loop {
        let [byte] = take(bytes)?;
        if number > max >> 7 {
            return Err(Unread::Above(max));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
        if number == max {
            return Err(Unread::Above(max));
        }
        number += 1;
    }
}

/// Appends a CompactSize.
pub fn put_compact(out: &mut Vec<u8>, number: u64) {
    let bytes = number.to_le_bytes();
    match number {
        0..253 => out.push(bytes[0]),
        253..0x1_0000 => out.extend_from_slice(&[253, bytes[0], bytes[1]]),
        0x1_0000..0x1_0000_0000 => out.extend_from_slice(&[254, bytes[0], bytes[1], bytes[2], bytes[3]]),
        _ => out.extend([255].into_iter().chain(bytes)),
    }
}

/// Reads a CompactSize.
pub fn take_compact(bytes: &mut &[u8]) -> Result<u64, Unread> {
    let [first] = take(bytes)?;
    let (number, least) = match first {
        255 => (u64::from_le_bytes(take(bytes)?), 1 << 32),
        254 => (u64::from(u32::from_le_bytes(take(bytes)?)), 1 << 16),
        253 => (u64::from(u16::from_le_bytes(take(bytes)?)), 253),
        small => (u64::from(small), 0),
    };
    if number < least { Err(Unread::LongForm(number)) } else { Ok(number) }
}

/// The number that stands for an amount in satoshi, at most [`MAX_MONEY`]. Core `CompressAmount`.
pub fn compress_amount(value: u64) -> u64 {
    assert!(value <= MAX_MONEY);
    if value == 0 {
        return 0;
    }
    let (mut digits, mut zeros) = (value, 0);
    while digits % 10 == 0 && zeros < 9 {
        digits /= 10;
        zeros += 1;
    }
    if zeros == 9 { 1 + (digits - 1) * 10 + 9 } else { 1 + (digits / 10 * 9 + digits % 10 - 1) * 10 + zeros }
}

/// The amount that a number stands for, satoshi; none above [`MAX_MONEY`], where Core's `DecompressAmount` may wrap.
pub fn decompress_amount(number: u64) -> Option<u64> {
    let Some(rest) = number.checked_sub(1) else { return Some(0) };
    let (rest, zeros) = (rest / 10, rest % 10);
    let digits = if zeros == 9 { rest + 1 } else { rest / 9 * 10 + rest % 9 + 1 };
    digits.checked_mul(10_u64.pow(zeros as u32)).filter(|value| *value <= MAX_MONEY)
}

/// Appends a script.
pub fn put_script(out: &mut Vec<u8>, script: &[u8], decompress: Decompress) {
    // The one of two points with this x that has such a y is on the curve if any point with this x and y is.
    let on_curve = |key: &[u8; 65]| decompress(&compressed(2 | key[64] & 1, x_of(key))).as_ref() == Some(key);
    let (form, body) = match script {
        [0x76, 0xa9, 20, hash @ .., 0x88, 0xac] if hash.len() == 20 => (0, hash),
        [0xa9, 20, hash @ .., 0x87] if hash.len() == 20 => (1, hash),
        [33, parity @ (2 | 3), x @ .., 0xac] if x.len() == 32 => (*parity, x),
        [65, key @ .., 0xac] if key.first() == Some(&4) && key.try_into().is_ok_and(on_curve) => {
            (4 | key[64] & 1, &key[1..33])
        }
        _ => {
            put_varint(out, script.len() as u64 + FORMS);
            return out.extend_from_slice(script);
        }
    };
    out.push(form);
    out.extend_from_slice(body);
}

/// Reads a script. One that was written as a form is spelled out in `room`.
pub fn take_script<'s, 'a: 's>(
    bytes: &mut &'a [u8],
    room: &'s mut [u8; SPELLED_BYTES_MAX],
    decompress: Decompress,
) -> Result<&'s [u8], Unread> {
    let code = take_varint(bytes, u32::MAX.into())?;
    let form = code as u8;
    Ok(match code {
        0 => spell(room, &[&[0x76, 0xa9, 20], &take::<20>(bytes)?, &[0x88, 0xac]]),
        1 => spell(room, &[&[0xa9, 20], &take::<20>(bytes)?, &[0x87]]),
        2 | 3 => spell(room, &[&[33, form], &take::<32>(bytes)?, &[0xac]]),
        4 | 5 => {
            let key = compressed(form - 2, &take(bytes)?);
            spell(room, &[&[65], &decompress(&key).ok_or(Unread::Key)?, &[0xac]])
        }
        long => {
            let len = long - FORMS;
            if len > MAX_SCRIPT_SIZE as u64 {
                return Err(Unread::Script(len));
            }
            let (script, tail) = bytes.split_at_checked(len as usize).ok_or(Unread::Short)?;
            *bytes = tail;
            script
        }
    })
}

fn x_of(key: &[u8; 65]) -> &[u8; 32] {
    key[1..].first_chunk().expect("64 bytes are more than 32")
}

fn compressed(first: u8, x: &[u8; 32]) -> [u8; 33] {
    let mut key = [first; 33];
    key[1..].copy_from_slice(x);
    key
}

fn spell<'s>(room: &'s mut [u8; SPELLED_BYTES_MAX], parts: &[&[u8]]) -> &'s [u8] {
    let mut end = 0;
    for part in parts {
        room[end..end + part.len()].copy_from_slice(part);
        end += part.len();
    }
    &room[..end]
}

#[cfg(test)]
mod tests;
