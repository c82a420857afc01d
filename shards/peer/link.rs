//! One connection as its shard keeps it: what it waits for, what it holds in memory, and how many addresses it may
//! still tell. Never sends anything and never decides when a connection ends.

use super::serve::Serving;
use crate::limits::{PEER_SEND_BYTES, PEER_WORDS_MAX};
use crate::msg::{PeerId, Seq};
use crate::note::Note;
use crate::report;
use consensus::BlockHash;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::ops::{Add, Sub};
use wire::conn::{self, Conn};

/// Pings that may wait for what came before them; above it nothing more is read of that peer.
const PONGS_MAX: usize = 1_000;
/// One address is taken in so many milliseconds (Core: `MAX_ADDR_RATE_PER_SECOND`, 0.1) …
const ADDRESS_EVERY_MS: u64 = 10_000;
/// … and so many saved up (Core: `MAX_ADDR_PROCESSING_TOKEN_BUCKET`).
const ADDRESSES_MAX: u64 = 1_000;

/// What a peer's message made us do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Made {
    /// A block that was asked for: at most as many as are asked.
    Block,
    /// Anything else: at most `PEER_WORDS_MAX`.
    Word,
}

/// Bytes held for one link, or for all of a shard.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Memory {
    /// Of messages that are not complete.
    pub(super) buffered: usize,
    /// On their way out: with the edge, or blocks that are looked up or read.
    pub(super) out: usize,
    /// Lists of blocks that are wanted.
    pub(super) lists: usize,
}

impl Add for Memory {
    type Output = Memory;
    fn add(self, other: Memory) -> Memory {
        Memory { buffered: self.buffered + other.buffered, out: self.out + other.out, lists: self.lists + other.lists }
    }
}

impl Sub for Memory {
    type Output = Memory;
    fn sub(self, other: Memory) -> Memory {
        Memory { buffered: self.buffered - other.buffered, out: self.out - other.out, lists: self.lists - other.lists }
    }
}

/// How many addresses of a peer go on to the book, as time in which they are earned.
#[derive(Debug)]
pub(super) struct Allowance {
    earned_ms: u64,
    at_ms: u64,
}

impl Allowance {
    /// Everybody may tell its own address; who was asked (`getaddr`) may fill a message besides (Core: `Peer`,
    /// `m_addr_token_bucket`).
    pub(super) fn new(asked: bool, now_ms: u64) -> Allowance {
        let count = if asked { 1 + ADDRESSES_MAX } else { 1 };
        Allowance { earned_ms: count * ADDRESS_EVERY_MS, at_ms: now_ms }
    }

    /// How many of `count` addresses may be taken now; they are spent.
    pub(super) fn spend(&mut self, count: usize, now_ms: u64) -> usize {
        let most = ADDRESSES_MAX * ADDRESS_EVERY_MS;
        if self.earned_ms < most {
            self.earned_ms = most.min(self.earned_ms + now_ms.saturating_sub(self.at_ms));
        }
        self.at_ms = now_ms;
        let taken = (count as u64).min(self.earned_ms / ADDRESS_EVERY_MS);
        self.earned_ms -= taken * ADDRESS_EVERY_MS;
        taken as usize
    }
}

/// One connection.
pub(super) struct Link {
    pub(super) conn: Conn,
    pub(super) address: SocketAddr,
    pub(super) inbound: bool,
    /// The handshake is done, and the chain shard knows of it.
    pub(super) up: bool,
    opened_ms: u64,
    /// Events not taken yet, because something before them is not done.
    pub(super) inbox: VecDeque<conn::Event>,
    /// The edge holds the buffer.
    pub(super) lent: bool,
    /// Bytes with the edge, not yet taken by the kernel; those of them that lie in blocks.bin; and when it last took some.
    pub(super) sending: usize,
    pub(super) sending_file: usize,
    pub(super) sent_ms: u64,
    /// Numbers of what this peer made us do and is not visible yet.
    pub(super) seq: Seq,
    pub(super) unsettled: BTreeMap<Seq, Made>,
    pub(super) pongs: VecDeque<(u64, Seq)>,
    /// Look-ups at the chain shard that are not answered.
    pub(super) locating: usize,
    pub(super) serving: Serving,
    pub(super) asked: BTreeSet<BlockHash>,
    pub(super) blocks: u64,
    pub(super) told_addresses: bool,
    pub(super) allowance: Allowance,
    /// Being closed, for this reason.
    pub(super) closing: Option<String>,
    /// Its shares of the shard's sums.
    pub(super) memory: Memory,
}

impl Link {
    /// A link just opened.
    pub(super) fn new(conn: Conn, address: SocketAddr, inbound: bool, now_ms: u64) -> Link {
        Link {
            conn,
            address,
            inbound,
            up: false,
            opened_ms: now_ms,
            inbox: VecDeque::new(),
            lent: false,
            sending: 0,
            sending_file: 0,
            sent_ms: now_ms,
            seq: 0,
            unsettled: BTreeMap::new(),
            pongs: VecDeque::new(),
            locating: 0,
            serving: Serving::default(),
            asked: BTreeSet::new(),
            blocks: 0,
            told_addresses: false,
            allowance: Allowance::new(!inbound, now_ms),
            closing: None,
            memory: Memory::default(),
        }
    }

    /// Whether something must be done before more is taken of this peer. While the shard is `full`, whatever waits for
    /// the kernel is such a thing.
    pub(super) fn is_busy(&self, full: bool) -> bool {
        self.sending + self.conn.queued_bytes() > if full { 0 } else { PEER_SEND_BYTES }
            || self.locating > 0
            || !self.serving.is_done()
            || self.pongs.len() >= PONGS_MAX
            || self.words() >= PEER_WORDS_MAX
    }

    /// Words at the chain shard without an answer.
    fn words(&self) -> usize {
        self.unsettled.values().filter(|made| **made == Made::Word).count()
    }

    /// What it holds at this moment. Of a link that is being closed only what the edge still sends: its buffer is as
    /// good as free, and counting it would cost another peer its connection.
    pub(super) fn holds(&self) -> Memory {
        if self.closing.is_some() {
            return Memory { out: self.sending - self.sending_file, ..Memory::default() };
        }
        let out = self.sending - self.sending_file + self.conn.queued_bytes() + self.serving.bytes();
        Memory { buffered: self.conn.buffered(), out, lists: self.serving.list_bytes() }
    }

    /// What is told of it once it has ended.
    pub(super) fn gone(&self, peer: PeerId, why: &str, now_ms: u64) -> Note {
        let counters = self.conn.counters();
        Note::Gone {
            peer,
            address: self.address,
            inbound: self.inbound,
            why: why.to_owned(),
            bytes: (counters.bytes_in, counters.bytes_out),
            blocks: self.blocks,
            age_s: (now_ms - self.opened_ms) / 1_000,
        }
    }

    /// Its row on the status page.
    pub(super) fn row(&self, id: PeerId, now_ms: u64) -> report::Peer {
        let (info, counters) = (self.conn.info(), self.conn.counters());
        report::Peer {
            id,
            address: self.address,
            inbound: self.inbound,
            up: info.is_some(),
            version: info.map_or(0, |info| info.version.max(0) as u32),
            services: info.map_or(0, |info| info.services),
            agent: info.map(|info| info.user_agent.clone()).unwrap_or_default(),
            start_height: info.map_or(0, |info| info.start_height.max(0) as u32),
            bytes: (counters.bytes_in, counters.bytes_out),
            ping_ms: counters.ping_last_ms,
            asked: self.asked.len() as u32,
            blocks: self.blocks,
            age_s: (now_ms - self.opened_ms) / 1_000,
        }
    }
}
