//! Decides 256-bit unsigned arithmetic: what targets and chain work need, no more. Never knows
//! what its numbers mean. Overflow is in each name: checked, saturating or wrapping.

use crate::hash::{BadHex, hex32};
use std::{cmp::Ordering, fmt, ops, str::FromStr};

/// An unsigned 256-bit number, least significant word first. Written as 64 hex digits, big-endian.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Default)]
pub struct U256([u64; 4]);

impl U256 {
    /// 0
    pub const ZERO: U256 = U256([0; 4]);
    /// 2^256 − 1
    pub const MAX: U256 = U256([u64::MAX; 4]);

    /// The number that a hash is, in internal byte order.
    pub const fn from_le_bytes(bytes: [u8; 32]) -> U256 {
        let mut words = [0; 4];
        let mut i = 0;
        while i < 32 {
            words[i / 8] |= (bytes[i] as u64) << (8 * (i % 8));
            i += 1;
        }
        U256(words)
    }

    /// The inverse of [`U256::from_le_bytes`].
    pub fn to_le_bytes(self) -> [u8; 32] {
        let mut out = [0; 32];
        for (chunk, word) in out.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// The low 64 bits.
    pub fn low_u64(self) -> u64 {
        self.0[0]
    }

    /// How many of the 256 bits are zero before the first one.
    pub fn leading_zeros(self) -> u32 {
        match self.0.iter().rposition(|&word| word != 0) {
            Some(i) => 64 * (3 - i as u32) + self.0[i].leading_zeros(),
            None => 256,
        }
    }

    /// The sum, or `None` past [`U256::MAX`].
    pub fn checked_add(self, other: U256) -> Option<U256> {
        let (mut out, mut carry) = ([0; 4], false);
        for (i, word) in out.iter_mut().enumerate() {
            let (sum, over) = self.0[i].overflowing_add(other.0[i]);
            let (sum, more) = sum.overflowing_add(u64::from(carry));
            (*word, carry) = (sum, over || more);
        }
        (!carry).then_some(U256(out))
    }

    /// The sum, or [`U256::MAX`].
    pub fn saturating_add(self, other: U256) -> U256 {
        self.checked_add(other).unwrap_or(U256::MAX)
    }

    /// The difference, or `None` below zero.
    pub fn checked_sub(self, other: U256) -> Option<U256> {
        // a − b = ¬(¬a + b), and the inner sum overflows exactly when b > a.
        (!self).checked_add(other).map(|sum| !sum)
    }

    /// The difference, or zero.
    pub fn saturating_sub(self, other: U256) -> U256 {
        self.checked_sub(other).unwrap_or(U256::ZERO)
    }

    /// The low 256 bits of the product.
    pub fn wrapping_mul_u32(self, factor: u32) -> U256 {
        let mut carry = 0u128;
        U256(self.0.map(|word| {
            // (2^64 − 1)(2^32 − 1) + 2^32 < 2^96, so this cannot overflow.
            let product = u128::from(word) * u128::from(factor) + carry;
            carry = product >> 64;
            product as u64
        }))
    }

    /// The quotient, rounded down; `None` for a divisor of zero.
    pub fn checked_div(self, divisor: U256) -> Option<U256> {
        if divisor == U256::ZERO {
            return None;
        }
        let (mut rest, mut quotient) = (self, U256::ZERO);
        let lead = divisor.leading_zeros().saturating_sub(self.leading_zeros());
        for place in (0..=lead).rev() {
            if let Some(less) = rest.checked_sub(divisor << place) {
                rest = less;
                quotient.0[place as usize / 64] |= 1 << (place % 64);
            }
        }
        Some(quotient)
    }
}

impl From<u64> for U256 {
    fn from(word: u64) -> U256 {
        U256([word, 0, 0, 0])
    }
}

impl ops::Not for U256 {
    type Output = U256;
    fn not(self) -> U256 {
        U256(self.0.map(|word| !word))
    }
}

/// Shifts by 256 or more give zero.
impl ops::Shl<u32> for U256 {
    type Output = U256;
    fn shl(self, shift: u32) -> U256 {
        let (words, bits) = (shift as usize / 64, shift % 64);
        let at = |i: usize| i.checked_sub(words).and_then(|i| self.0.get(i)).copied().unwrap_or(0);
        let below = |i: usize| {
            if i == 0 { 0 } else { at(i - 1).checked_shr(64 - bits).unwrap_or(0) }
        };
        U256(std::array::from_fn(|i| at(i) << bits | below(i)))
    }
}

/// Shifts by 256 or more give zero.
impl ops::Shr<u32> for U256 {
    type Output = U256;
    fn shr(self, shift: u32) -> U256 {
        let (words, bits) = (shift as usize / 64, shift % 64);
        let at = |i: usize| self.0.get(i + words).copied().unwrap_or(0);
        U256(std::array::from_fn(|i| at(i) >> bits | at(i + 1).checked_shl(64 - bits).unwrap_or(0)))
    }
}

impl Ord for U256 {
    fn cmp(&self, other: &U256) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl PartialOrd for U256 {
    fn partial_cmp(&self, other: &U256) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for U256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().try_for_each(|word| write!(f, "{word:016x}"))
    }
}

impl fmt::Debug for U256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for U256 {
    type Err = BadHex;
    fn from_str(text: &str) -> Result<U256, BadHex> {
        let mut bytes = hex32(text)?;
        bytes.reverse();
        Ok(U256::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(text: &str) -> U256 {
        text.parse().unwrap()
    }

    #[test]
    fn text_and_bytes() {
        let text = format!("{}1234", "0".repeat(60));
        assert_eq!(U256::from(0x1234).to_string(), text);
        assert_eq!(n("1234"), n(&text));
        assert_eq!(n(&"f".repeat(64)), U256::MAX);
        assert!("".parse::<U256>().is_err() && "x".parse::<U256>().is_err());
        assert!("0".repeat(65).parse::<U256>().is_err());
        let mut le = [0; 32];
        (le[0], le[31]) = (1, 2);
        assert_eq!(U256::from_le_bytes(le), n(&format!("02{}01", "0".repeat(60))));
        assert_eq!(U256::from_le_bytes(le).to_le_bytes(), le);
    }

    #[test]
    fn sums_carry_across_words_and_stop_at_the_ends() {
        let one = U256::from(1);
        assert_eq!(n(&"f".repeat(32)).checked_add(one), Some(n(&format!("1{}", "0".repeat(32)))));
        assert_eq!(n(&format!("1{}", "0".repeat(48))).checked_sub(one), Some(n(&"f".repeat(48))));
        assert_eq!(U256::MAX.checked_add(one), None);
        assert_eq!(U256::MAX.saturating_add(one), U256::MAX);
        assert_eq!(U256::ZERO.checked_sub(one), None);
        assert_eq!(U256::ZERO.saturating_sub(one), U256::ZERO);
        assert!(n("10000000000000000") > n("ffffffffffffffff"));
    }

    #[test]
    fn shifts_products_and_quotients() {
        let one = U256::from(1);
        for shift in 0..256 {
            let power = one << shift;
            assert_eq!(power.leading_zeros(), 255 - shift);
            assert_eq!(power >> shift, one);
            assert_eq!(U256::MAX >> shift, U256::MAX.checked_div(power).unwrap());
        }
        assert_eq!((one << 256, U256::MAX >> 256, U256::ZERO.leading_zeros()), (U256::ZERO, U256::ZERO, 256));
        assert_eq!(n("ffffffffffffffff").wrapping_mul_u32(0x1_0001), n("10000fffffffffffeffff"));
        assert_eq!(U256::MAX.wrapping_mul_u32(2), U256::MAX.saturating_sub(one));
        let (a, d) = (n("123456789abcdef0fedcba9876543210"), U256::from(1_209_600));
        assert_eq!(a.checked_div(d), Some(n("fc7f21adafc0a9185f9ce21045")), "as Python has it");
        assert_eq!(a.checked_div(U256::ZERO), None);
        assert_eq!(one.checked_div(U256::MAX), Some(U256::ZERO));
    }
}
