//! One connection of a scripted peer over a blocking socket: whole messages in and out, and any bytes at all out.

use bytes::Bytes;
use consensus::BlockHash;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wire::frame::{FrameHeader, HEADER_BYTES, PAYLOAD_BYTES_MAX};
use wire::message::{Inv, InvKind, Message, Version};

/// A connection. Clones write to the same socket, whole messages each.
#[derive(Clone)]
pub struct Wire {
    magic: [u8; 4],
    read: Arc<TcpStream>,
    write: Arc<Mutex<TcpStream>>,
}

/// Magic of regtest (Core `kernel/chainparams.cpp`).
pub const REGTEST: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

impl Wire {
    /// Over a socket that stands. Reads give up after a minute.
    pub fn new(stream: TcpStream, magic: [u8; 4]) -> io::Result<Wire> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let write = Arc::new(Mutex::new(stream.try_clone()?));
        Ok(Wire { magic, read: Arc::new(stream), write })
    }

    /// Connects, and says nothing yet.
    pub fn dial(to: SocketAddr, magic: [u8; 4]) -> Wire {
        TcpStream::connect(to).and_then(|stream| Wire::new(stream, magic)).expect("the node listens")
    }

    /// Connects to a node on regtest and shakes hands, claiming a chain of that height.
    pub fn regtest(to: SocketAddr, height: u32) -> Wire {
        let wire = Wire::dial(to, REGTEST);
        wire.send(&version(height));
        wire.send(&Message::Verack);
        wire.until(|message| matches!(message, Message::Verack)).expect("the node shakes hands");
        wire
    }

    /// Sends a message. A connection that has ended takes everything.
    pub fn send(&self, message: &Message) {
        self.send_bytes(&message.encode(self.magic));
    }

    /// Sends these very bytes.
    pub fn send_bytes(&self, bytes: &[u8]) {
        self.write.lock().expect("no writer panics").write_all(bytes).ok();
    }

    /// Sends a frame around a payload.
    pub fn send_frame(&self, command: &str, payload: &[u8]) {
        self.send_bytes(&frame(self.magic, command, payload));
    }

    /// The next message; an error once the connection has ended.
    pub fn receive(&self) -> io::Result<Message> {
        let mut read = &*self.read;
        let mut header = [0; HEADER_BYTES];
        read.read_exact(&mut header)?;
        let header = FrameHeader::parse(self.magic, &header, |_| PAYLOAD_BYTES_MAX).map_err(io::Error::other)?;
        let mut payload = vec![0; header.len as usize];
        read.read_exact(&mut payload)?;
        Message::decode(header.command, &payload).map_err(io::Error::other)
    }

    /// The next message of that sort; pings are answered meanwhile, and all else is passed over.
    pub fn until(&self, wanted: impl Fn(&Message) -> bool) -> io::Result<Message> {
        loop {
            let message = self.receive()?;
            if let Message::Ping(Some(nonce)) = message {
                self.send(&Message::Pong(nonce));
            }
            if wanted(&message) {
                return Ok(message);
            }
        }
    }

    /// Sends a ping and waits for its pong: all that was sent before has had its effects then.
    pub fn ping(&self, nonce: u64) -> io::Result<()> {
        self.send(&Message::Ping(Some(nonce)));
        self.until(|message| *message == Message::Pong(nonce)).map(drop)
    }

    /// Whether the node ends the connection, within the minute that reads wait.
    pub fn ends(&self) -> bool {
        let error = self.until(|_| false).expect_err("nothing is waited for");
        !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
    }

    /// Hangs up.
    pub fn close(&self) {
        self.read.shutdown(std::net::Shutdown::Both).ok();
    }
}

/// A frame around a payload.
pub fn frame(magic: [u8; 4], command: &str, payload: &[u8]) -> Vec<u8> {
    [&FrameHeader::of(magic, wire::frame::Command::new(command), payload)[..], payload].concat()
}

/// A version message with a nonce of its own, of a peer that has whole blocks with witnesses.
pub fn version(height: u32) -> Message {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static NONCE: AtomicU64 = AtomicU64::new(1);
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    Message::Version(Version {
        version: wire::PROTOCOL_VERSION,
        services: wire::NODE_NETWORK | wire::NODE_WITNESS,
        time: unix as i64,
        receiver: ([127, 0, 0, 1], 0).into(),
        nonce: NONCE.fetch_add(1, Relaxed) | u64::from(std::process::id()) << 32,
        user_agent: "/kit/".into(),
        start_height: height as i32,
        relay: false,
    })
}

/// Asks for blocks with their witnesses.
pub fn get_data(hashes: &[BlockHash]) -> Message {
    Message::GetData(hashes.iter().map(|hash| Inv { kind: InvKind::WitnessBlock, hash: hash.0 }).collect())
}

/// A block as a message.
pub fn block(bytes: &Bytes) -> Message {
    Message::Block(bytes.clone())
}
