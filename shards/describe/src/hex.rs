//! Bytes as hex digits and back. Knows of no order but the one bytes lie in.

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let pair = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    bytes.iter().flat_map(pair).map(char::from).collect()
}

/// The bytes of an even number of hex digits, of either case; none for anything else.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16);
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [a, b] => Some((digit(*a)? << 4 | digit(*b)?) as u8),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_go_both_ways() {
        assert_eq!(hex(&[0, 0x9f, 0xa5]), "009fa5");
        assert_eq!(unhex("009FA5"), Some(vec![0, 0x9f, 0xa5]));
        assert_eq!(unhex(""), Some(vec![]));
        for bad in ["0", "0g", "+1", " 1", "é"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
