//! The 24 bytes before every message, and the ways in which they can be wrong.
//!
//! Decides which frames are let in: network magic, form of the command, length limit, checksum. Never knows what a
//! payload means, and never holds one.
//!
//! ```text
//! 0        4                    16       20          24
//! | magic  | command, NUL padded | length | checksum | payload …
//! ```

use bitcoin_hashes::{HashEngine as _, sha256d};
use std::fmt;

/// Bytes of a frame's header (Core: `CMessageHeader::HEADER_SIZE`).
pub const HEADER_BYTES: usize = 24;

/// The longest payload of any message, in bytes (Core: `MAX_PROTOCOL_MESSAGE_LENGTH`).
pub const PAYLOAD_BYTES_MAX: u32 = 4_000_000;

/// What a frame carries: up to 12 bytes of printable ASCII, NUL padded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Command([u8; 12]);

impl Command {
    /// The command of this name, which has at most 12 characters.
    pub const fn new(name: &str) -> Command {
        let bytes = name.as_bytes();
        assert!(bytes.len() <= 12);
        let mut padded = [0; 12];
        let mut i = 0;
        while i < bytes.len() {
            padded[i] = bytes[i];
            i += 1;
        }
        Command(padded)
    }

    /// Reads a command as it lies in a header: printable up to the first NUL, only NULs after it
    /// (Core: `CMessageHeader::IsMessageTypeValid`).
    pub fn parse(bytes: [u8; 12]) -> Result<Command, Broken> {
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(12);
        let (name, padding) = bytes.split_at(end);
        let good = name.iter().all(|b| (0x20..=0x7e).contains(b)) && padding.iter().all(|&b| b == 0);
        if good { Ok(Command(bytes)) } else { Err(Broken::BadCommand { bytes }) }
    }

    /// The name without its padding.
    pub fn name(&self) -> &str {
        let end = self.0.iter().position(|&b| b == 0).unwrap_or(12);
        std::str::from_utf8(&self.0[..end]).unwrap_or("?")
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A frame's header whose magic, command and length were found good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// What the payload is.
    pub command: Command,
    /// Bytes of payload, at most the limit of its command.
    pub len: u32,
    /// The first four bytes of the payload's double SHA-256.
    pub checksum: [u8; 4],
}

impl FrameHeader {
    /// Reads and checks a header: magic, then command, then length (`limit` gives a command's own limit in bytes).
    pub fn parse(magic: [u8; 4], bytes: &[u8; HEADER_BYTES], limit: impl Fn(Command) -> u32) -> Result<Self, Broken> {
        let [m0, m1, m2, m3, rest @ ..] = *bytes;
        if [m0, m1, m2, m3] != magic {
            return Err(Broken::WrongMagic { got: [m0, m1, m2, m3], want: magic });
        }
        let [name @ .., l0, l1, l2, l3, c0, c1, c2, c3] = rest;
        let command = Command::parse(name)?;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        let limit = limit(command).min(PAYLOAD_BYTES_MAX);
        if len > limit {
            return Err(Broken::Oversize { command, len, limit });
        }
        Ok(FrameHeader { command, len, checksum: [c0, c1, c2, c3] })
    }

    /// The header of this payload, ready to send.
    pub fn of(magic: [u8; 4], command: Command, payload: &[u8]) -> [u8; HEADER_BYTES] {
        assert!(payload.len() <= PAYLOAD_BYTES_MAX as usize);
        FrameHeader { command, len: payload.len() as u32, checksum: Checksum::of(payload) }.bytes(magic)
    }

    /// A header as it is sent.
    pub fn bytes(&self, magic: [u8; 4]) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&magic);
        bytes[4..16].copy_from_slice(&self.command.0);
        bytes[16..20].copy_from_slice(&self.len.to_le_bytes());
        bytes[20..].copy_from_slice(&self.checksum);
        bytes
    }
}

/// A payload's checksum, taken as its bytes arrive.
#[derive(Default)]
pub struct Checksum(sha256d::HashEngine);

impl Checksum {
    /// Takes in the next bytes of the payload.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.input(bytes);
    }

    /// The checksum of all bytes taken in.
    pub fn finish(self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.0.finalize().to_byte_array();
        [a, b, c, d]
    }

    /// The checksum of a payload that lies in one piece.
    pub fn of(payload: &[u8]) -> [u8; 4] {
        let mut checksum = Checksum::default();
        checksum.add(payload);
        checksum.finish()
    }
}

/// The rule a peer broke; its connection ends. One line each, with the numbers.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)] // the sentences say what the fields are
pub enum Broken {
    #[error("wrong network magic {} (ours is {})", hex(.got), hex(.want))]
    WrongMagic { got: [u8; 4], want: [u8; 4] },
    #[error(
        "opened with something other than a v1 version message, most likely a BIP 324 handshake (v1 is spoken here)"
    )]
    Bip324,
    #[error("command {} is not printable ASCII padded with NULs", .bytes.escape_ascii())]
    BadCommand { bytes: [u8; 12] },
    #[error("{command} of {len} bytes, at most {limit} are allowed")]
    Oversize { command: Command, len: u32, limit: u32 },
    #[error("{command} of {len} bytes has checksum {}, its header says {}", hex(.got), hex(.want))]
    BadChecksum { command: Command, len: u32, got: [u8; 4], want: [u8; 4] },
    #[error("{command} cannot be read: {what}")]
    BadEncoding { command: Command, what: &'static str },
    #[error("{command} with {count} entries, at most {limit} are allowed")]
    TooMany { command: Command, count: u64, limit: u64 },
    #[error("protocol version {version} is below {}", crate::PEER_VERSION_MIN)]
    TooOld { version: i32 },
    #[error("connected to ourselves (version nonce {nonce:016x})")]
    SelfConnection { nonce: u64 },
    #[error("{command} after verack, it belongs before")]
    AfterVerack { command: Command },
    #[error("no complete handshake within {seconds} s")]
    HandshakeTimeout { seconds: u64 },
    #[error("ping unanswered for {seconds} s")]
    PingTimeout { seconds: u64 },
    #[error("nothing received for {seconds} s")]
    Idle { seconds: u64 },
    #[error("a message half received, then nothing for {seconds} s")]
    HalfMessage { seconds: u64 },
}

fn hex(bytes: &[u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: [u8; 4] = [0xf9, 0xbe, 0xb4, 0xd9];

    /// The verack of mainnet, byte by byte, from the protocol documentation.
    const VERACK: [u8; 24] = [
        0xf9, 0xbe, 0xb4, 0xd9, b'v', b'e', b'r', b'a', b'c', b'k', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x5d, 0xf6, 0xe0,
        0xe2,
    ];

    fn parse(bytes: [u8; 24]) -> Result<FrameHeader, Broken> {
        FrameHeader::parse(MAIN, &bytes, |_| PAYLOAD_BYTES_MAX)
    }

    #[test]
    fn a_header_reads_and_writes_as_documented() {
        let header = parse(VERACK).unwrap();
        assert_eq!((header.command.name(), header.len), ("verack", 0));
        assert_eq!(header.checksum, Checksum::of(&[]));
        assert_eq!(FrameHeader::of(MAIN, Command::new("verack"), &[]), VERACK);
    }

    #[test]
    fn every_field_is_checked() {
        let with = |at: usize, value: u8| {
            let mut bytes = VERACK;
            bytes[at] = value;
            parse(bytes)
        };
        assert!(matches!(with(0, 0xfa), Err(Broken::WrongMagic { .. })));
        assert!(matches!(with(4, 0x1f), Err(Broken::BadCommand { .. })));
        assert!(matches!(with(4, 0x7f), Err(Broken::BadCommand { .. })));
        assert!(matches!(with(15, b'x'), Err(Broken::BadCommand { .. }))); // a letter after the padding began
        assert!(matches!(with(19, 0xff), Err(Broken::Oversize { len: 0xff00_0000, .. })));
        assert!(with(10, b'2').is_ok()); // unknown, but well formed
    }

    #[test]
    fn the_longest_payload_is_four_million_bytes() {
        let mut bytes = VERACK;
        bytes[16..20].copy_from_slice(&4_000_000u32.to_le_bytes());
        assert_eq!(parse(bytes).unwrap().len, 4_000_000);
        bytes[16..20].copy_from_slice(&4_000_001u32.to_le_bytes());
        assert!(parse(bytes).is_err());
        assert!(FrameHeader::parse(MAIN, &VERACK, |_| 0).is_ok());
        bytes[16..20].copy_from_slice(&11u32.to_le_bytes());
        assert!(matches!(FrameHeader::parse(MAIN, &bytes, |_| 10), Err(Broken::Oversize { limit: 10, .. })));
    }

    #[test]
    fn a_checksum_in_pieces_is_the_checksum_of_the_whole() {
        let mut pieces = Checksum::default();
        pieces.add(b"hel");
        pieces.add(b"lo");
        assert_eq!(pieces.finish(), [0x95, 0x95, 0xc9, 0xdf]); // sha256d("hello") = 9595c9df…
    }

    #[test]
    fn a_broken_rule_is_one_line_with_its_numbers() {
        let broken = Broken::Oversize { command: Command::new("block"), len: u32::MAX, limit: PAYLOAD_BYTES_MAX };
        assert_eq!(broken.to_string(), "block of 4294967295 bytes, at most 4000000 are allowed");
        let bytes = *b"\x1b[2Jversion\0";
        assert!(!Broken::BadCommand { bytes }.to_string().contains('\x1b')); // a terminal is never steered by a peer
    }
}
