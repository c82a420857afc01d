//! Just enough of Bitcoin's messages to serve blocks, and to ask for them: frames, and the parts of a few payloads.
//!
//! For a peer that obeys: checks magic, length and checksum, and little else.

use crate::tx::{Hash, compact_size, sha256d};
use std::io::{self, Read, Write};

/// Protocol version spoken (BIP339).
pub const VERSION: u32 = 70_016;
/// NODE_NETWORK and NODE_WITNESS (Bitcoin Core `protocol.h`).
pub const SERVICES: u64 = 1 | 1 << 3;
/// Inventory type of a block; with a witness, [`MSG_WITNESS`] is set too (BIP144).
pub const MSG_BLOCK: u32 = 2;
/// Flag for witness data (BIP144).
pub const MSG_WITNESS: u32 = 1 << 30;
/// Most bytes of a payload (Bitcoin Core `net.h`, `MAX_PROTOCOL_MESSAGE_LENGTH`).
pub const PAYLOAD_MAX: u32 = 4_000_000;

fn bad(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// The 24 bytes before a payload: magic, command, length, checksum.
pub fn frame_header(magic: u32, command: &str, payload: &[u8]) -> [u8; 24] {
    frame_header_of(magic, command, payload.len() as u32, checksum(payload))
}

/// The same where length and checksum of the payload are known.
pub fn frame_header_of(magic: u32, command: &str, length: u32, checksum: [u8; 4]) -> [u8; 24] {
    let mut header = [0; 24];
    header[..4].copy_from_slice(&magic.to_le_bytes());
    header[4..4 + command.len()].copy_from_slice(command.as_bytes());
    header[16..20].copy_from_slice(&length.to_le_bytes());
    header[20..].copy_from_slice(&checksum);
    header
}

/// The checksum of a payload: the first bytes of its double hash.
pub fn checksum(payload: &[u8]) -> [u8; 4] {
    *sha256d(payload).first_chunk().expect("32 bytes")
}

/// Sends one message at once.
pub fn send(out: &mut impl Write, magic: u32, command: &str, payload: &[u8]) -> io::Result<()> {
    out.write_all(&[&frame_header(magic, command, payload), payload].concat())
}

/// Waits for one message: its command and payload.
pub fn receive(from: &mut impl Read, magic: u32) -> io::Result<(String, Vec<u8>)> {
    let mut header = [0; 24];
    from.read_exact(&mut header)?;
    let [this, size] = [0, 16].map(|at| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes")));
    if this != magic {
        return Err(bad(format!("magic {this:08x} instead of {magic:08x}")));
    }
    if size > PAYLOAD_MAX {
        return Err(bad(format!("a payload of {size} bytes")));
    }
    let mut payload = Vec::new();
    from.take(size.into()).read_to_end(&mut payload)?;
    if payload.len() < size as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if header[20..] != checksum(&payload) {
        return Err(bad("wrong checksum"));
    }
    let command = header[4..16].split(|byte| *byte == 0).next().unwrap_or_default();
    Ok((String::from_utf8_lossy(command).into_owned(), payload))
}

/// A version message's payload. `nonce` tells connections apart; `height` is the best block claimed.
pub fn version(nonce: u64, height: u32) -> Vec<u8> {
    let mut out = VERSION.to_le_bytes().to_vec();
    out.extend(SERVICES.to_le_bytes());
    // No clock is asked: nobody may rely on a peer's.
    out.extend(0_u64.to_le_bytes());
    for services in [0, SERVICES] {
        // An address of no meaning: services, IPv6 unspecified, port 0.
        out.extend(services.to_le_bytes());
        out.extend([0; 18]);
    }
    out.extend(nonce.to_le_bytes());
    let agent = concat!("/caesure-bench:", env!("CARGO_PKG_VERSION"), "/");
    compact_size(&mut out, agent.len());
    out.extend(agent.bytes());
    out.extend(height.to_le_bytes());
    out.push(0);
    out
}

/// Reads a payload from its start.
pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    /// The next `N` bytes.
    pub fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or_else(|| bad("the payload ends early"))?;
        self.0 = tail;
        Ok(*head)
    }

    /// A number of four bytes.
    pub fn u32(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    /// A count of variable length.
    pub fn count(&mut self) -> io::Result<u64> {
        Ok(match self.take::<1>()?[0] {
            0xfd => u16::from_le_bytes(self.take()?).into(),
            0xfe => u32::from_le_bytes(self.take()?).into(),
            0xff => u64::from_le_bytes(self.take()?),
            small => small.into(),
        })
    }

    /// The locator of getheaders and getblocks: version, hashes from the tip down, a hash to stop at.
    pub fn locator(&mut self) -> io::Result<(Vec<Hash>, Hash)> {
        self.u32()?;
        let hashes = (0..self.count()?).map(|_| self.take()).collect::<io::Result<_>>()?;
        Ok((hashes, self.take()?))
    }

    /// The items of inv, getdata and notfound: type and hash.
    pub fn inventory(&mut self) -> io::Result<Vec<(u32, Hash)>> {
        (0..self.count()?).map(|_| Ok((self.u32()?, self.take()?))).collect()
    }
}

/// The payload of inv, getdata and notfound.
pub fn inventory(items: &[(u32, Hash)]) -> Vec<u8> {
    let mut out = Vec::new();
    compact_size(&mut out, items.len());
    for (kind, hash) in items {
        out.extend(kind.to_le_bytes());
        out.extend(hash);
    }
    out
}
