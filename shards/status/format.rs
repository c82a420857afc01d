//! How numbers, durations and foreign text are written, the same on the page and at the prompt.
//! Knows nothing of what they mean.

pub use describe::{btc, hex};

/// Digits in groups of three: `1,234,567`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size in decimal units with three significant digits: `1.24 GB`.
pub fn bytes(n: u64) -> String {
    let (mut value, mut unit) = (n as f64, 0);
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    while value >= 999.5 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1_000.0, unit + 1);
    }
    let digits = if unit == 0 || value >= 99.95 { 0 } else { 1 + usize::from(value < 9.995) };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// A rate: whole numbers in groups of three from a hundred on, one decimal below.
pub fn rate(per_s: f64) -> String {
    if per_s >= 100.0 { thousands(per_s as u64) } else { format!("{:.1}", per_s.max(0.0)) }
}

/// Seconds in the two largest units: `3 d 4 h`, `2 h 5 min`, `41 s`.
pub fn duration(s: u64) -> String {
    match (s / 86_400, s / 3_600 % 24, s / 60 % 60, s % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, min, s) => format!("{min} min {s} s"),
        (0, h, min, _) => format!("{h} h {min} min"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

/// Unix seconds as a date and time in UTC.
pub fn utc(unix: u64) -> String {
    let (mut days, s) = (unix / 86_400, unix % 86_400);
    let mut year = 1970;
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 0;
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02} {:02}:{:02}:{:02} UTC", month + 1, days + 1, s / 3_600, s / 60 % 60, s % 60)
}

/// Share of `part` in `whole` in percent; of nothing it is none.
pub fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Share for readers: one decimal, cut and not rounded, so that 100.0 is said of the whole only.
pub fn percent_text(part: u64, whole: u64) -> String {
    format!("{:.1} %", (percent(part, whole) * 10.0).floor() / 10.0)
}

/// Text from outside made fit to be shown: what is not printable ASCII becomes `?` (a terminal obeys
/// escape sequences, a browser right-to-left marks), and no more than `max` characters of it.
pub fn clean(text: &str, max: usize) -> String {
    let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let cut = text.chars().nth(max).map(|_| "...").unwrap_or_default();
    text.chars().take(max).map(printable).chain(cut.chars()).collect()
}

/// [`clean`] text for HTML, safe in elements and in quoted attributes.
pub fn escape(text: &str, max: usize) -> String {
    let mut out = String::new();
    for c in clean(text, max).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 999, 1_000, 999_499, 999_500, 12_345_678].map(bytes),
            ["0 B", "999 B", "1.00 kB", "999 kB", "1.00 MB", "12.3 MB"]
        );
        assert_eq!([0.04, 99.9, 12_345.6].map(rate), ["0.0", "99.9", "12,345"]);
        assert_eq!([0, 61, 3_600, 90_000].map(duration), ["0 s", "1 min 1 s", "1 h 0 min", "1 d 1 h"]);
        assert_eq!(
            [0, 951_782_399, 951_782_400, 1_231_006_505, u32::MAX.into()].map(utc),
            [
                "1970-01-01 00:00:00 UTC",
                "2000-02-28 23:59:59 UTC",
                "2000-02-29 00:00:00 UTC",
                "2009-01-03 18:15:05 UTC",
                "2106-02-07 06:28:15 UTC"
            ]
        );
        assert_eq!([1, 5_000_000_000].map(btc), ["0.00000001", "50.00000000"]);
        assert_eq!(percent_text(99_999, 100_000), "99.9 %", "not yet the whole");
        assert_eq!([(0, 0), (7, 7)].map(|(part, whole)| percent_text(part, whole)), ["0.0 %", "100.0 %"]);
    }

    #[test]
    fn hostile_text_is_harmless() {
        assert_eq!(escape("<script>alert('x')</script>", 99), "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;");
        assert_eq!(escape("\" onload=\"&", 99), "&quot; onload=&quot;&amp;");
        assert_eq!(clean("a\x1b[2J\n\u{202e}é", 99), "a?[2J???");
        assert_eq!(clean("abcdef", 3), "abc...");
        assert_eq!(clean("abc", 3), "abc");
        // Cut before escaping: an entity is never halved.
        assert_eq!(escape("<<<<", 2), "&lt;&lt;...");
    }
}
