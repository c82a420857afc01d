//! One connection to a peer that tools ask for blocks, over a blocking socket: the handshake, and whole messages after it.
//!
//! Keeps to the peer's limits and checks its frames; never judges what they hold.

use crate::exit::Fatal;
use crate::values::{self, Target};
use consensus::{BlockHash, Params};
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wire::frame::{Checksum, Command, FrameHeader, HEADER_BYTES, PAYLOAD_BYTES_MAX};
use wire::message::{Inv, InvKind, Locator, Message, Version};

/// How long to try to connect, and to wait for an answer.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Blocks are read in large pieces.
const READ: usize = 1 << 20;

/// A connection.
pub struct Peer {
    magic: [u8; 4],
    stream: BufReader<TcpStream>,
    /// Where it is.
    pub address: SocketAddr,
}

fn resolve(target: Target) -> io::Result<SocketAddr> {
    match target {
        Target::Addr(address) => Ok(address),
        Target::Name(name, port) => {
            let mut found = (name.as_str(), port).to_socket_addrs()?;
            found.next().ok_or_else(|| io::Error::other("no address has that name"))
        }
    }
}

impl Peer {
    /// Connects and shakes hands; with `relay` the peer announces transactions too. Reads then wait as long as it takes.
    pub fn connect(params: &Params, to: &str, relay: bool) -> Result<Peer, Fatal> {
        let target = values::target(to, params.port).map_err(Fatal::Usage)?;
        Peer::shake(params, target, relay).map_err(|why| {
            let shown = format!("{to}: {why}");
            Fatal::Runtime(format!("no {} peer answers at {shown}\ntry: another HOST:PORT or --chain", params.network))
        })
    }

    fn shake(params: &Params, target: Target, relay: bool) -> io::Result<Peer> {
        let address = resolve(target)?;
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut peer = Peer { magic: params.magic, stream: BufReader::with_capacity(READ, stream), address };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        peer.send(&Message::Version(Version {
            version: wire::PROTOCOL_VERSION,
            services: 0,
            time: now.as_secs() as i64,
            receiver: address,
            nonce: now.as_nanos() as u64 ^ u64::from(std::process::id()) << 48,
            user_agent: wire::USER_AGENT.to_owned(),
            start_height: 0,
            relay,
        }))?;
        let (mut greeted, mut agreed) = (false, false);
        while !(greeted && agreed) {
            match peer.receive()? {
                (_, Message::Version(_)) => {
                    peer.send(&Message::Verack)?;
                    greeted = true;
                }
                (_, Message::Verack) => agreed = true,
                _ => {}
            }
        }
        Ok(peer)
    }

    /// From now on reads wait for ever.
    pub fn be_patient(&self) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(None)
    }

    /// Sends a message.
    pub fn send(&mut self, message: &Message) -> io::Result<()> {
        self.stream.get_mut().write_all(&message.encode(self.magic))
    }

    /// The next message, with its payload; pings are answered.
    pub fn receive(&mut self) -> io::Result<(Vec<u8>, Message)> {
        self.next().map_err(|why| match why.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(why.kind(), "the peer hung up"),
            io::ErrorKind::WouldBlock => io::Error::new(why.kind(), "no answer came in time"),
            _ => why,
        })
    }

    fn next(&mut self) -> io::Result<(Vec<u8>, Message)> {
        loop {
            let mut header = [0; HEADER_BYTES];
            self.stream.read_exact(&mut header)?;
            let header = FrameHeader::parse(self.magic, &header, |_| PAYLOAD_BYTES_MAX).map_err(io::Error::other)?;
            let mut payload = vec![0; header.len as usize];
            self.stream.read_exact(&mut payload)?;
            if Checksum::of(&payload) != header.checksum {
                return Err(io::Error::other(format!("{}: wrong checksum", header.command.name())));
            }
            let message = match header.command {
                // What is in it is taken as it came.
                command if command == Command::new("block") => Message::Ignored { command },
                command => Message::decode(command, &payload).map_err(io::Error::other)?,
            };
            match message {
                Message::Ping(Some(nonce)) => self.send(&Message::Pong(nonce))?,
                message => return Ok((payload, message)),
            }
        }
    }

    /// Asks for things, blocks and transactions with their witnesses.
    pub fn get(&mut self, kind: InvKind, hashes: impl IntoIterator<Item = [u8; 32]>) -> io::Result<()> {
        let list: Vec<Inv> = hashes.into_iter().map(|hash| Inv { kind, hash }).collect();
        if list.is_empty() { Ok(()) } else { self.send(&Message::GetData(list)) }
    }

    /// Asks for the headers behind the first of these that the peer knows.
    pub fn get_headers(&mut self, hashes: Vec<BlockHash>) -> io::Result<()> {
        let version = wire::PROTOCOL_VERSION.cast_unsigned();
        self.send(&Message::GetHeaders(Locator { version, hashes, stop: BlockHash::default() }))
    }
}

/// Whether a message goes by that name.
pub fn is(message: &Message, name: &str) -> bool {
    message.command().name() == name
}
