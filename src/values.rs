//! Reads one value from its text, each kind in one place, so that flag, variable and file say the same in the same words.
//!
//! Never knows where a text came from: an error says what is wrong with it and what would be right, the caller says where.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

/// A peer to stay connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An address.
    Addr(SocketAddr),
    /// A host name to be looked up again for each attempt, and a port.
    Name(String, u16),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Addr(addr) => addr.fmt(f),
            Target::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

/// Who may see the status page. Never prints the password.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Up to the first colon.
    pub name: String,
    /// Everything after it, colons included.
    pub pass: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.name)
    }
}

/// A switch.
pub fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// A whole number within bounds.
pub fn whole(text: &str, bounds: RangeInclusive<usize>) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| format!("{text:?} is not a whole number from {} to {}", bounds.start(), bounds.end()))
}

/// Bytes: a whole number with K, M, G or T for powers of 1024.
pub fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].trim_end_matches('B').trim_end_matches('i') {
        "" => Some(0),
        "k" | "K" => Some(10),
        "M" => Some(20),
        "G" => Some(30),
        "T" => Some(40),
        _ => None,
    };
    let bytes = shift.and_then(|shift| digits.parse::<u64>().ok()?.checked_mul(1 << shift));
    bytes.ok_or_else(|| format!("{text:?} is not a size such as 512M or 2G"))
}

/// IP:PORT or \[v6\]:PORT; without a port, `port`.
pub fn addr(text: &str, port: u16) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let alone = bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port));
    let addr = text.parse().ok().or(alone);
    addr.ok_or_else(|| format!("{text:?} is not an address such as 0.0.0.0:{port} or [::]:{port}"))
}

/// An address as [`addr`] or NAME\[:PORT\]; without a port, `port`.
pub fn target(text: &str, port: u16) -> Result<Target, String> {
    if let Ok(addr) = addr(text, port) {
        return match addr.port() {
            0 => Err(format!("{text:?} has port 0, where nobody listens")),
            _ => Ok(Target::Addr(addr)),
        };
    }
    let wrong = || format!("{text:?} is neither IP:PORT, [v6]:PORT nor NAME:PORT");
    let (name, port) = match text.split_once(':') {
        Some((name, digits)) => (name, digits.parse().ok().filter(|&port| port != 0).ok_or_else(wrong)?),
        None => (text, port),
    };
    // RFC 7686: such names must not reach the resolver.
    if name.ends_with(".onion") || name.ends_with(".i2p") {
        return Err(format!("{text:?} is reached through Tor or I2P, which caesure does not speak"));
    }
    // RFC 1123: letters, digits and hyphens, 253 in all; a last part of digits only is a mistyped address.
    let labels = name.strip_suffix('.').unwrap_or(name).split('.');
    let label = |part: &str| {
        (1..=63).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let digits_last = labels.clone().next_back().is_some_and(|part| part.bytes().all(|b| b.is_ascii_digit()));
    match name.len() <= 253 && labels.clone().all(label) && !digits_last {
        true => Ok(Target::Name(name.to_owned(), port)),
        false => Err(wrong()),
    }
}

/// Where the status page listens if no port is given: the 2014 program's.
pub const WEBUI_PORT: u16 = 8380;

/// Where the page listens; none is nowhere. Without an IP, `ip`.
pub fn webui(text: &str, ip: IpAddr) -> Result<Option<SocketAddr>, String> {
    match (text, text.parse::<u16>()) {
        ("on" | "true", _) => Ok(Some(SocketAddr::new(ip, WEBUI_PORT))),
        ("off" | "false", _) => Ok(None),
        (_, Ok(port)) => Ok(Some(SocketAddr::new(ip, port))),
        _ => addr(text, WEBUI_PORT).map(Some).map_err(|why| format!("{why}, nor a port such as {WEBUI_PORT}")),
    }
}

/// USER:PASS.
pub fn user(text: &str) -> Result<User, String> {
    match text.split_once(':') {
        Some((name, pass)) if !name.is_empty() && !pass.is_empty() => {
            Ok(User { name: name.to_owned(), pass: pass.to_owned() })
        }
        // The text may be a password without its user, so it is not repeated.
        _ => Err("wanted USER:PASS, both not empty".to_owned()),
    }
}

/// The known word nearest to an unknown one, where one is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, best) = known.map(|k| (edits(word, k), k)).min()?;
    (distance <= 1 + word.len() / 4).then_some(best)
}

/// Fewest letters to insert, remove or replace to make one word the other (Levenshtein 1965), a row at a time.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(bytes("2G"), Ok(2_147_483_648));
        assert_eq!(bytes("512M"), Ok(536_870_912));
        assert_eq!(bytes("512MiB"), Ok(536_870_912));
        assert_eq!(bytes("64k"), Ok(65_536));
        assert_eq!(bytes("4096"), Ok(4096));
        for wrong in ["", "G", "-1", "1.5G", "2 GB", "2X", "17179869184G", "99999999999999999999", "1é", "2Gé"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_v4_and_v6_with_and_without_port() {
        let reads = |text| addr(text, 8333).unwrap().to_string();
        assert_eq!(reads("1.2.3.4:5"), "1.2.3.4:5");
        assert_eq!(reads("1.2.3.4"), "1.2.3.4:8333");
        assert_eq!(reads("[::1]:5"), "[::1]:5");
        assert_eq!(reads("[::1]"), "[::1]:8333");
        assert_eq!(reads("2001:db8::7"), "[2001:db8::7]:8333");
        for wrong in ["", "1.2.3", "1.2.3.4:", "1.2.3.4:65536", "[::1", "::1]:5", "localhost:5", "8333", "1.2.3.4:5:6"]
        {
            assert!(addr(wrong, 8333).is_err(), "{wrong}");
        }
    }

    #[test]
    fn targets_may_be_names() {
        let reads = |text| target(text, 18444).map(|target| target.to_string());
        assert_eq!(target("node.example:5", 1), Ok(Target::Name("node.example".into(), 5)));
        assert_eq!(reads("localhost").unwrap(), "localhost:18444");
        assert_eq!(reads("[2001:db8::7]:5").unwrap(), "[2001:db8::7]:5");
        assert_eq!(reads("10.0.0.7").unwrap(), "10.0.0.7:18444");
        for wrong in [
            "",
            ":5",
            "a..b",
            "a b",
            "host:",
            "host:0",
            "host:99999",
            "1.2.3.999",
            "1.2.3.4:0",
            "[::1]:x",
            "http://x",
            "x.onion:1",
        ] {
            assert!(reads(wrong).is_err(), "{wrong}");
        }
        assert!(target(&"a.".repeat(200), 1).is_err(), "names end at 253 letters");
    }

    #[test]
    fn a_password_may_hold_colons_and_is_never_shown() {
        let both = user("ann:pa:ss").unwrap();
        assert_eq!((both.name.as_str(), both.pass.as_str()), ("ann", "pa:ss"));
        assert_eq!(format!("{both:?}"), "ann:***");
        for wrong in ["secret", ":secret", "secret:"] {
            assert!(!user(wrong).unwrap_err().contains("secret"));
        }
    }

    #[test]
    fn words_near_enough_are_suggested() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(nearest("outgoin", ["incoming", "outgoing"].into_iter()), Some("outgoing"));
        assert_eq!(nearest("prune", ["incoming", "outgoing"].into_iter()), None);
    }
}
