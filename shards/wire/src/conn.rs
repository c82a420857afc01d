//! One connection as a state machine: bytes and time in, events and bytes out.
//!
//! Decides how received bytes are buffered, which frames are read and which are skipped, how the handshake goes, and
//! when a peer has been silent for too long. Never sees a socket or a clock, and never knows what a message is for.
//!
//! ```text
//! buffer() → read into it → received() ─┬─ small frames are read where they lie
//!                                       ├─ a long payload gets a Vec of its own, which grows with its bytes
//!                                       └─ what nobody wants is hashed and forgotten
//! ```

mod handshake;
mod receive;
#[cfg(test)]
mod tests;
mod timers;

use crate::frame::{Broken, Command};
use crate::message::{self, Message, command};
use bytes::Bytes;
use receive::{Body, Lent, SMALL_BYTES_MIN};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// Who dialed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Direction {
    Inbound,
    Outbound,
}

/// What a connection has to know of its node.
#[derive(Clone, Debug)]
pub struct ConnConfig {
    /// The network's magic.
    pub magic: [u8; 4],
    /// The nonce of our version message.
    pub nonce: u64,
    /// Nonces this node uses on outbound connections; a peer that shows one of them is ourselves.
    pub our_nonces: BTreeSet<u64>,
    /// Seed of ping nonces; unlike `nonce` it never leaves the node.
    pub ping_seed: u64,
    /// Our service bits.
    pub services: u64,
    /// Our BIP 14 name, at most 256 bytes.
    pub user_agent: String,
    /// Height of our tip.
    pub start_height: u32,
    /// Unix seconds at `Conn::new`.
    pub unix_s: u64,
    /// The peer's address, told to it in our version message.
    pub peer_address: SocketAddr,
}

/// What a peer said of itself in the handshake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerInfo {
    /// Its protocol version.
    pub version: i32,
    /// Its service bits.
    pub services: u64,
    /// Its name, as it came; sanitised by whoever shows it.
    pub user_agent: String,
    /// Height of its tip; −1 where it said nothing.
    pub start_height: i32,
    /// Its clock, unix seconds.
    pub their_time: i64,
    /// Its nonce.
    pub nonce: u64,
    /// Our address, as it sees us.
    pub our_address: SocketAddr,
    /// Whether it dialed us.
    pub inbound: bool,
    /// It wants blocks announced by headers (may be said at any time).
    pub wants_headers: bool,
    /// It wants `addrv2`.
    pub addrv2: bool,
}

/// What a connection has to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The handshake is done.
    Up(PeerInfo),
    /// A message after the handshake; ping, pong and the handshake's own are handled here.
    Message(Message),
    /// The peer waits for a pong of this nonce; when it leaves is not decided here.
    Ping(u64),
    /// A message without use here, at this time, was skipped.
    Ignored {
        /// What it was.
        command: Command,
        /// Bytes of its payload.
        len: u32,
    },
    /// A block came while none was asked for, and was skipped.
    Unasked {
        /// Bytes of the block.
        len: u32,
    },
    /// The peer broke a rule. The connection is over and says nothing more.
    Broken(Broken),
}

/// Counters of one connection.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Counters {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes queued for sending.
    pub bytes_out: u64,
    /// Whole frames received.
    pub messages_in: u64,
    /// Frames queued for sending.
    pub messages_out: u64,
    /// When bytes last came.
    pub last_in_ms: u64,
    /// The last ping's way there and back.
    pub ping_last_ms: Option<u64>,
    /// The shortest of them.
    pub ping_min_ms: Option<u64>,
}

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
enum Stage {
    /// No version from the peer yet.
    Opening,
    /// Its version came, its verack did not.
    Versioned,
    Up,
    Over,
}

/// One connection.
pub struct Conn {
    cfg: ConnConfig,
    direction: Direction,
    stage: Stage,
    info: Option<PeerInfo>,
    opened_ms: u64,
    /// Received and not yet read: at most one frame's beginning, between calls.
    small: Vec<u8>,
    /// What the small buffer may hold at present.
    small_bytes: usize,
    body: Option<Body>,
    lent: Lent,
    blocks_expected: u32,
    out: Vec<Bytes>,
    queued: usize,
    /// When the timers of silence began: the last bytes, or the end of a pause.
    heard_ms: u64,
    paused_ms: Option<u64>,
    ping: Option<(u64, u64)>,
    ping_next_ms: u64,
    pings: u64,
    counters: Counters,
}

impl Conn {
    /// A connection just made. An outbound one has its version message queued.
    pub fn new(direction: Direction, cfg: ConnConfig, now_ms: u64) -> Conn {
        let mut conn = Conn {
            cfg,
            direction,
            stage: Stage::Opening,
            info: None,
            opened_ms: now_ms,
            small: Vec::new(),
            small_bytes: SMALL_BYTES_MIN,
            body: None,
            lent: Lent::default(),
            blocks_expected: 0,
            out: Vec::new(),
            queued: 0,
            heard_ms: now_ms,
            paused_ms: None,
            ping: None,
            ping_next_ms: now_ms,
            pings: 0,
            counters: Counters { last_in_ms: now_ms, ..Counters::default() },
        };
        if direction == Direction::Outbound {
            conn.send_version(now_ms);
        }
        conn
    }

    fn act(&mut self, message: Message, len: u32, now_ms: u64, out: &mut Vec<Event>) -> Result<(), Broken> {
        match message {
            Message::Ignored { command: command::BLOCK } => out.push(Event::Unasked { len }),
            Message::Ignored { command } => out.push(Event::Ignored { command, len }),
            message if self.stage != Stage::Up => self.shake_hands(message, now_ms, out)?,
            Message::WtxidRelay | Message::SendAddrV2 => {
                return Err(Broken::AfterVerack { command: message.command() });
            }
            Message::Ping(Some(nonce)) => out.push(Event::Ping(nonce)),
            Message::Ping(None) => (),
            Message::Pong(nonce) => self.pong(nonce, now_ms),
            message => {
                match (&message, &mut self.info) {
                    // May have been set to none while this one was on its way.
                    (Message::Block(_), _) => self.blocks_expected = self.blocks_expected.saturating_sub(1),
                    (Message::SendHeaders, Some(info)) => info.wants_headers = true,
                    _ => (),
                }
                out.push(Event::Message(message));
            }
        }
        Ok(())
    }

    fn end(&mut self, broken: Broken, out: &mut Vec<Event>) {
        self.stage = Stage::Over;
        self.body = None;
        out.push(Event::Broken(broken));
    }

    /// Queues a message. Before [`Event::Up`] a peer pays no attention.
    pub fn send(&mut self, message: &Message) {
        let frame = message.encode(self.cfg.magic);
        self.queue(frame);
    }

    /// Queues a block that has this checksum, without copying it.
    pub fn send_block(&mut self, body: &Bytes, checksum: [u8; 4]) {
        self.send_block_head(body.len() as u32, checksum);
        self.queued += body.len();
        self.out.push(body.clone());
    }

    /// Queues what comes before a block. Its bytes do not come from here: whoever calls this sends them next.
    pub fn send_block_head(&mut self, len: u32, checksum: [u8; 4]) {
        self.queue(message::block_head(self.cfg.magic, len, checksum));
        self.counters.bytes_out += u64::from(len);
    }

    fn queue(&mut self, frame: Bytes) {
        self.queued += frame.len();
        self.counters.bytes_out += frame.len() as u64;
        self.counters.messages_out += 1;
        self.out.push(frame);
    }

    /// What is to be sent, in order.
    pub fn take_out(&mut self) -> Vec<Bytes> {
        self.queued = 0;
        std::mem::take(&mut self.out)
    }

    /// Bytes that wait for [`Conn::take_out`].
    pub fn queued_bytes(&self) -> usize {
        self.queued
    }

    /// Says how many asked-for blocks are outstanding; each block that comes counts one down. At none, blocks are
    /// skipped as they arrive.
    pub fn expect_blocks(&mut self, count: u32) {
        self.blocks_expected = count;
    }

    /// Bytes of memory held for receiving, the buffer that was handed out included.
    pub fn buffered(&self) -> usize {
        let kept = self.body.as_ref().and_then(|body| body.kept.as_ref());
        self.small.capacity() + kept.map_or(0, Vec::capacity) + self.lent.capacity
    }

    /// What the peer said of itself, once the handshake is done.
    pub fn info(&self) -> Option<&PeerInfo> {
        self.info.as_ref().filter(|_| self.stage == Stage::Up)
    }

    /// The counters so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
