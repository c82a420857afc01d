//! Satoshis as bitcoins and back: eight digits, no rounding, no floating point. Knows nothing of what is paid.

use consensus::COIN;

/// An amount in bitcoins with all eight digits.
pub fn btc(satoshi: u64) -> String {
    format!("{}.{:08}", satoshi / COIN, satoshi % COIN)
}

/// Satoshis of an amount in bitcoins with up to eight digits behind the point; none for anything else.
pub fn satoshi(btc: &str) -> Option<u64> {
    let (whole, part) = btc.split_once('.').unwrap_or((btc, ""));
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    if whole.is_empty() || part.len() > 8 || !digits(whole) || !digits(part) {
        return None;
    }
    let part = format!("{part:0<8}").parse::<u64>().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(COIN)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_digits_are_shown_and_read() {
        for (amount, text) in [(3_952_026_906, "39.52026906"), (1, "0.00000001"), (u64::MAX, "184467440737.09551615")] {
            assert_eq!(btc(amount), text);
            assert_eq!(satoshi(text), Some(amount));
        }
        assert_eq!((satoshi("1"), satoshi("1.5")), (Some(COIN), Some(COIN + COIN / 2)));
        for bad in ["", ".5", "1.123456789", "-1", "1e3", "184467440737.09551616", "1.+5"] {
            assert_eq!(satoshi(bad), None, "{bad}");
        }
    }
}
