//! Every message this node understands, as a value, and its bytes.
//!
//! Decides how messages are written and read and how much of anything one may carry. Never knows when a message may be
//! sent, nor what follows from it. As in Bitcoin Core, bytes left over behind a message are no error.

mod address;
#[cfg(test)]
mod tests;

use crate::codec::{Reader, put_compact};
use crate::frame::{Broken, Command, FrameHeader, HEADER_BYTES, PAYLOAD_BYTES_MAX};
pub use address::Address;
use address::{ADDRV2_BYTES_MAX, put_address, put_address_v2, read_addr, read_addr_v2, read_socket};
use bytes::Bytes;
use consensus::{BlockHash, Header};
use std::net::{Ipv6Addr, SocketAddr};

/// Headers in one `headers` (Core: `MAX_HEADERS_RESULTS`).
pub const HEADERS_MAX: u64 = 2_000;
/// Entries of `inv`, `getdata`, `notfound` (Core: `MAX_INV_SZ`).
pub const INV_MAX: u64 = 50_000;
/// Entries of `addr`, `addrv2` (Core: `MAX_ADDR_TO_SEND`, BIP 155).
pub const ADDR_MAX: u64 = 1_000;
/// Hashes in a locator (Core: `MAX_LOCATOR_SZ`).
pub const LOCATOR_MAX: u64 = 101;
/// Bytes of a user agent (Core: `MAX_SUBVERSION_LENGTH`).
pub const USER_AGENT_BYTES_MAX: u64 = 256;
/// Messages of fixed size may be longer than they need, but not without end.
const SMALL_BYTES_MAX: u32 = 1_024;

/// The commands of the messages below.
pub mod command {
    use crate::frame::Command;
    macro_rules! commands {
        ($($name:ident = $text:literal;)*) => { $(#[doc = concat!("`", $text, "`")] pub const $name: Command = Command::new($text);)* };
    }
    commands! {
        VERSION = "version"; VERACK = "verack"; PING = "ping"; PONG = "pong"; GETHEADERS = "getheaders";
        GETBLOCKS = "getblocks"; HEADERS = "headers"; INV = "inv"; GETDATA = "getdata"; NOTFOUND = "notfound";
        GETADDR = "getaddr"; ADDR = "addr"; ADDRV2 = "addrv2"; SENDHEADERS = "sendheaders"; WTXIDRELAY = "wtxidrelay";
        SENDADDRV2 = "sendaddrv2"; BLOCK = "block";
    }
}

/// A message, in either direction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Opens the handshake.
    Version(Version),
    /// Ends the handshake.
    Verack,
    /// Asks for a pong; without a nonce (before BIP 31) none is due.
    Ping(Option<u64>),
    /// Answers the ping of this nonce.
    Pong(u64),
    /// Asks for headers after the first hash of the locator that the peer knows.
    GetHeaders(Locator),
    /// Asks for block hashes (`inv`) after the first hash of the locator that the peer knows.
    GetBlocks(Locator),
    /// Up to 2,000 headers.
    Headers(Vec<Header>),
    /// Announces what the sender has.
    Inv(Vec<Inv>),
    /// Asks for what was announced.
    GetData(Vec<Inv>),
    /// What was asked for and is not there.
    NotFound(Vec<Inv>),
    /// Asks for addresses.
    GetAddr,
    /// Addresses of nodes, all IPv4 or IPv6.
    Addr(Vec<Address>),
    /// The same in BIP 155 form; addresses of networks that are not dialed here are dropped on reading.
    AddrV2(Vec<Address>),
    /// The sender wants blocks announced by headers (BIP 130).
    SendHeaders,
    /// The sender announces transactions by wtxid (BIP 339).
    WtxidRelay,
    /// The sender wants `addrv2` instead of `addr` (BIP 155).
    SendAddrV2,
    /// A whole block, as it lies on the wire; not looked into here.
    Block(Bytes),
    /// A message that nobody here has a use for; written, it is empty.
    Ignored {
        /// What it called itself.
        command: Command,
    },
}

/// The `version` message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// Protocol version.
    pub version: i32,
    /// Service bits of the sender.
    pub services: u64,
    /// The sender's clock, unix seconds.
    pub time: i64,
    /// The receiver's address as the sender sees it (the sender's own is written as zeros, as Core does).
    pub receiver: SocketAddr,
    /// Drawn per node or connection, so that a connection to oneself is noticed.
    pub nonce: u64,
    /// BIP 14 name; whatever the peer says, not sanitised.
    pub user_agent: String,
    /// Height of the sender's tip; −1 where it said nothing.
    pub start_height: i32,
    /// Whether transactions shall be announced (BIP 37).
    pub relay: bool,
}

/// The body of `getheaders` and `getblocks`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Locator {
    /// Protocol version of the sender; nobody looks at it.
    pub version: u32,
    /// Hashes from the sender's tip downwards, at most 101.
    pub hashes: Vec<BlockHash>,
    /// The last hash wanted, or zeros for as many as fit.
    pub stop: BlockHash,
}

/// One entry of `inv`, `getdata` or `notfound`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inv {
    /// What the hash names.
    pub kind: InvKind,
    /// A block hash, txid or wtxid, in internal byte order.
    pub hash: [u8; 32],
}

/// What an [`Inv`] names (Core: `GetDataMsg`; BIP 37, 144, 152, 339).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum InvKind {
    Tx,
    Block,
    FilteredBlock,
    CompactBlock,
    Wtx,
    WitnessTx,
    WitnessBlock,
    Unknown(u32),
}

impl InvKind {
    const WITNESS: u32 = 1 << 30;
    const KNOWN: [(u32, InvKind); 7] = [
        (1, InvKind::Tx),
        (2, InvKind::Block),
        (3, InvKind::FilteredBlock),
        (4, InvKind::CompactBlock),
        (5, InvKind::Wtx),
        (1 | Self::WITNESS, InvKind::WitnessTx),
        (2 | Self::WITNESS, InvKind::WitnessBlock),
    ];

    fn from_wire(number: u32) -> InvKind {
        Self::KNOWN.iter().find(|(n, _)| *n == number).map_or(InvKind::Unknown(number), |(_, kind)| *kind)
    }

    fn to_wire(self) -> u32 {
        match self {
            InvKind::Unknown(number) => number,
            known => Self::KNOWN.iter().find(|(_, kind)| *kind == known).map_or(0, |(n, _)| *n),
        }
    }
}

/// The longest payload of this command in bytes, or None where the message is not understood and may be skipped.
pub fn limit(command: Command) -> Option<u32> {
    use command::*;
    const COUNT: u64 = 9; // a CompactSize at its longest
    let bytes = match command {
        VERACK | PING | PONG | GETADDR | SENDHEADERS | WTXIDRELAY | SENDADDRV2 | VERSION => u64::from(SMALL_BYTES_MAX),
        GETHEADERS | GETBLOCKS => 4 + COUNT + LOCATOR_MAX * 32 + 32,
        HEADERS => COUNT + HEADERS_MAX * (Header::LEN as u64 + COUNT),
        INV | GETDATA | NOTFOUND => COUNT + INV_MAX * 36,
        ADDR => COUNT + ADDR_MAX * 30,
        ADDRV2 => COUNT + ADDR_MAX * (4 + COUNT + 1 + COUNT + ADDRV2_BYTES_MAX + 2),
        BLOCK => u64::from(PAYLOAD_BYTES_MAX),
        _ => return None,
    };
    Some(bytes as u32)
}

/// The header of the frame of a block that has so many bytes and this checksum.
pub fn block_head(magic: [u8; 4], len: u32, checksum: [u8; 4]) -> Bytes {
    assert!(len <= PAYLOAD_BYTES_MAX);
    Bytes::copy_from_slice(&FrameHeader { command: command::BLOCK, len, checksum }.bytes(magic))
}

impl Message {
    /// The command it goes by.
    pub fn command(&self) -> Command {
        use command::*;
        match self {
            Message::Version(_) => VERSION,
            Message::Verack => VERACK,
            Message::Ping(_) => PING,
            Message::Pong(_) => PONG,
            Message::GetHeaders(_) => GETHEADERS,
            Message::GetBlocks(_) => GETBLOCKS,
            Message::Headers(_) => HEADERS,
            Message::Inv(_) => INV,
            Message::GetData(_) => GETDATA,
            Message::NotFound(_) => NOTFOUND,
            Message::GetAddr => GETADDR,
            Message::Addr(_) => ADDR,
            Message::AddrV2(_) => ADDRV2,
            Message::SendHeaders => SENDHEADERS,
            Message::WtxidRelay => WTXIDRELAY,
            Message::SendAddrV2 => SENDADDRV2,
            Message::Block(_) => BLOCK,
            Message::Ignored { command } => *command,
        }
    }

    /// The whole frame. Whoever builds a message keeps to its limits; a longer one is a bug here, not at the peer.
    pub fn encode(&self, magic: [u8; 4]) -> Bytes {
        let mut out = vec![0; HEADER_BYTES];
        self.put_payload(&mut out);
        let header = FrameHeader::of(magic, self.command(), &out[HEADER_BYTES..]);
        out[..HEADER_BYTES].copy_from_slice(&header);
        Bytes::from(out)
    }

    fn put_payload(&self, out: &mut Vec<u8>) {
        match self {
            Message::Version(version) => version.put(out),
            Message::Ping(Some(nonce)) | Message::Pong(nonce) => out.extend_from_slice(&nonce.to_le_bytes()),
            Message::GetHeaders(locator) | Message::GetBlocks(locator) => locator.put(out),
            Message::Headers(headers) => put_list(out, headers, HEADERS_MAX, |out, header| {
                out.extend_from_slice(&header.to_bytes());
                out.push(0); // the number of transactions, which stay away
            }),
            Message::Inv(list) | Message::GetData(list) | Message::NotFound(list) => {
                put_list(out, list, INV_MAX, |out, inv| {
                    out.extend_from_slice(&inv.kind.to_wire().to_le_bytes());
                    out.extend_from_slice(&inv.hash);
                });
            }
            Message::Addr(list) => put_list(out, list, ADDR_MAX, |out, address| {
                out.extend_from_slice(&address.time.to_le_bytes());
                put_address(out, address.services, address.socket);
            }),
            Message::AddrV2(list) => put_list(out, list, ADDR_MAX, put_address_v2),
            Message::Block(body) => out.extend_from_slice(body),
            Message::Verack | Message::Ping(None) | Message::GetAddr | Message::SendHeaders => (),
            Message::WtxidRelay | Message::SendAddrV2 | Message::Ignored { .. } => (),
        }
    }

    /// Reads a payload whose length and checksum were found good.
    pub fn decode(command: Command, payload: &[u8]) -> Result<Message, Broken> {
        use command::*;
        let r = &mut Reader { command, rest: payload };
        Ok(match command {
            VERSION => Message::Version(Version::read(r)?),
            VERACK => Message::Verack,
            PING if payload.is_empty() => Message::Ping(None),
            PING => Message::Ping(Some(r.u64()?)),
            PONG => Message::Pong(r.u64()?),
            GETHEADERS => Message::GetHeaders(Locator::read(r)?),
            GETBLOCKS => Message::GetBlocks(Locator::read(r)?),
            HEADERS => Message::Headers(read_headers(r)?),
            INV => Message::Inv(read_inv(r)?),
            GETDATA => Message::GetData(read_inv(r)?),
            NOTFOUND => Message::NotFound(read_inv(r)?),
            GETADDR => Message::GetAddr,
            ADDR => Message::Addr(read_addr(r)?),
            ADDRV2 => Message::AddrV2(read_addr_v2(r)?),
            SENDHEADERS => Message::SendHeaders,
            WTXIDRELAY => Message::WtxidRelay,
            SENDADDRV2 => Message::SendAddrV2,
            BLOCK => Message::Block(Bytes::copy_from_slice(payload)),
            command => Message::Ignored { command },
        })
    }
}

impl Version {
    /// Fields after the receiver's address came over the years and may be missing (Core: `ProcessMessage`).
    fn read(r: &mut Reader) -> Result<Version, Broken> {
        let (version, services, time) = (r.i32()?, r.u64()?, r.i64()?);
        r.u64()?; // the services that the peer believes are ours
        let receiver = read_socket(r)?;
        let mut read = Version {
            version,
            services,
            time,
            receiver,
            nonce: 1,
            user_agent: String::new(),
            start_height: -1,
            relay: true,
        };
        if !r.rest.is_empty() {
            r.bytes(26)?; // the sender's own address, as it believes
            read.nonce = r.u64()?;
        }
        if !r.rest.is_empty() {
            let bytes = r.count(USER_AGENT_BYTES_MAX, 1)?;
            read.user_agent = String::from_utf8_lossy(r.bytes(bytes)?).into_owned();
        }
        if !r.rest.is_empty() {
            read.start_height = r.i32()?;
        }
        if !r.rest.is_empty() {
            read.relay = r.u8()? != 0;
        }
        Ok(read)
    }

    fn put(&self, out: &mut Vec<u8>) {
        assert!(self.user_agent.len() as u64 <= USER_AGENT_BYTES_MAX);
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.services.to_le_bytes());
        out.extend_from_slice(&self.time.to_le_bytes());
        put_address(out, 0, self.receiver);
        put_address(out, self.services, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
        out.extend_from_slice(&self.nonce.to_le_bytes());
        put_compact(out, self.user_agent.len() as u64);
        out.extend_from_slice(self.user_agent.as_bytes());
        out.extend_from_slice(&self.start_height.to_le_bytes());
        out.push(self.relay.into());
    }
}

impl Locator {
    fn read(r: &mut Reader) -> Result<Locator, Broken> {
        let version = r.u32()?;
        let count = r.count(LOCATOR_MAX, 32)?;
        let hashes = (0..count).map(|_| Ok(BlockHash(r.array()?))).collect::<Result<_, _>>()?;
        Ok(Locator { version, hashes, stop: BlockHash(r.array()?) })
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.version.to_le_bytes());
        put_list(out, &self.hashes, LOCATOR_MAX, |out, hash| out.extend_from_slice(&hash.0));
        out.extend_from_slice(&self.stop.0);
    }
}

fn read_headers(r: &mut Reader) -> Result<Vec<Header>, Broken> {
    let count = r.count(HEADERS_MAX, Header::LEN + 1)?;
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        headers.push(Header::parse(&r.array()?));
        r.compact()?; // the number of transactions, none of which follow
    }
    Ok(headers)
}

fn read_inv(r: &mut Reader) -> Result<Vec<Inv>, Broken> {
    let count = r.count(INV_MAX, 36)?;
    (0..count).map(|_| Ok(Inv { kind: InvKind::from_wire(r.u32()?), hash: r.array()? })).collect()
}

fn put_list<T>(out: &mut Vec<u8>, list: &[T], limit: u64, put: impl Fn(&mut Vec<u8>, &T)) {
    assert!(list.len() as u64 <= limit);
    put_compact(out, list.len() as u64);
    list.iter().for_each(|entry| put(out, entry));
}
