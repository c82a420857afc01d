//! Decides what lies on the stack: items that borrow from the script or witness they came from, or
//! hold a result of their own, and how an item is read as a number or as true. No operation makes an
//! item longer than a hash, so nothing is ever allocated for one.

use super::ScriptError;

/// An item of the stack.
#[derive(Copy, Clone)]
pub enum Item<'a> {
    /// Pushed: the bytes where they lie.
    Pushed(&'a [u8]),
    /// Computed: the first bytes of the array.
    Made(u8, [u8; 32]),
}

/// What OP_1NEGATE and OP_1 to OP_16 push.
const SMALL: [[u8; 1]; 17] = {
    let mut small = [[0x81]; 17];
    let mut i = 1;
    while i < 17 {
        small[i] = [i as u8];
        i += 1;
    }
    small
};

impl<'a> Item<'a> {
    /// Nothing: zero, and false.
    pub const EMPTY: Item<'static> = Item::Pushed(&[]);

    /// The number `n` of OP_1 to OP_16 (1 to 16), or −1 for 0.
    pub(super) fn small(n: u8) -> Item<'static> {
        Item::Pushed(&SMALL[usize::from(n)])
    }

    pub(super) fn made(bytes: &[u8]) -> Item<'static> {
        let mut array = [0; 32];
        array[..bytes.len()].copy_from_slice(bytes);
        Item::Made(bytes.len() as u8, array)
    }

    pub(super) fn bool(truth: bool) -> Item<'static> {
        if truth { Item::small(1) } else { Item::EMPTY }
    }

    /// A number in as few bytes as will do. Core `CScriptNum::serialize`.
    pub(super) fn number(n: i64) -> Item<'static> {
        if n == 0 {
            return Item::EMPTY;
        }
        // Results of operations on numbers of four bytes are far from i64::MIN.
        let size = n.unsigned_abs();
        let len = (64 - size.leading_zeros() as usize).div_ceil(8);
        let mut bytes = [0; 9];
        bytes[..8].copy_from_slice(&size.to_le_bytes());
        let sign = if n < 0 { 0x80 } else { 0 };
        if bytes[len - 1] & 0x80 != 0 {
            bytes[len] = sign;
            return Item::made(&bytes[..=len]);
        }
        bytes[len - 1] |= sign;
        Item::made(&bytes[..len])
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Item::Pushed(bytes) => bytes,
            Item::Made(len, array) => &array[..usize::from(*len)],
        }
    }

    /// Whether any byte but a sign is set. Core `CastToBool`.
    pub(super) fn is_true(&self) -> bool {
        match self.bytes() {
            [] => false,
            [rest @ .., last] => last & 0x7f != 0 || rest.iter().any(|byte| *byte != 0),
        }
    }

    /// Read as a number of at most `len_max` bytes: little-endian, the top bit its sign; `minimal`
    /// refuses longer forms than need be. Core `CScriptNum`.
    pub(super) fn as_number(&self, minimal: bool, len_max: usize) -> Result<i64, ScriptError> {
        let bytes = self.bytes();
        let Some((&last, rest)) = bytes.split_last() else {
            return Ok(0);
        };
        let padded = last & 0x7f == 0 && rest.last().is_none_or(|before| before & 0x80 == 0);
        if bytes.len() > len_max || minimal && padded {
            return Err(ScriptError::ScriptNum);
        }
        let mut array = [0; 8];
        array[..rest.len()].copy_from_slice(rest);
        array[rest.len()] = last & 0x7f;
        let size = i64::from_le_bytes(array);
        Ok(if last & 0x80 != 0 { -size } else { size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_both_ways_in_their_shortest_form() {
        let cases: &[(i64, &[u8])] = &[
            (0, &[]),
            (1, &[1]),
            (-1, &[0x81]),
            (127, &[127]),
            (128, &[128, 0]),
            (-128, &[128, 128]),
            (255, &[255, 0]),
            (256, &[0, 1]),
            (-32_768, &[0, 128, 128]),
            (i64::from(i32::MAX), &[255, 255, 255, 127]),
            (1 << 31, &[0, 0, 0, 128, 0]),
            (-(1 << 32) + 2, &[254, 255, 255, 255, 128]),
        ];
        for (n, bytes) in cases {
            assert_eq!(Item::number(*n).bytes(), *bytes, "{n}");
            assert_eq!(Item::Pushed(bytes).as_number(true, 5), Ok(*n));
        }
        assert_eq!([-1, 1, 16].map(|n: i64| Item::number(n).bytes().to_vec()), [[0x81], [1], [16]]);
        assert_eq!([0, 1, 16].map(|n| Item::small(n).bytes().to_vec()), [[0x81], [1], [16]]);
    }

    #[test]
    fn long_forms_and_long_numbers() {
        for (padded, n) in [(&[0][..], 0), (&[0x80], 0), (&[1, 0], 1), (&[1, 0x80], -1)] {
            assert_eq!(Item::Pushed(padded).as_number(true, 4), Err(ScriptError::ScriptNum));
            assert_eq!(Item::Pushed(padded).as_number(false, 4), Ok(n));
        }
        assert_eq!(Item::Pushed(&[0xff, 0x80]).as_number(true, 4), Ok(-255));
        assert_eq!(Item::Pushed(&[0; 5]).as_number(false, 4), Err(ScriptError::ScriptNum));
        assert_eq!(Item::Pushed(&[0; 5]).as_number(false, 5), Ok(0));
    }

    #[test]
    fn zero_is_false_with_either_sign() {
        let truths: [(&[u8], bool); 7] = [
            (&[], false),
            (&[0], false),
            (&[0x80], false),
            (&[0, 0x80], false),
            (&[1], true),
            (&[0x80, 0], true),
            (&[0, 1], true),
        ];
        for (bytes, truth) in truths {
            assert_eq!(Item::Pushed(bytes).is_true(), truth, "{bytes:?}");
        }
    }
}
