//! The connections of one core: frames to messages, messages to words for the other shards, bytes of blocks to parsed
//! bodies. Context-free rules are checked here, on the core that received the block. It never knows the header tree,
//! a coin or another peer shard, and decides nothing about validity beyond one block's own bytes.
//!
//! Each peer's messages are taken in order. While an answer that must leave first is not ready (a block being read from
//! disk, a look-up in the header tree, a full send queue) nothing more of that peer is read: back-pressure is the socket's.

mod serve;
mod talk;

use crate::effect::{ConnId, Effect, Event, Level};
use crate::limits::{Budget, PEER_SEND_BYTES};
use crate::metrics::Pages;
use crate::msg::{From, Msg, PeerId, Place, Seq, peer_id, split_peer};
use crate::report::{self, Report};
use crate::{Cx, Input, Shard, ShardId};
use bytes::Bytes;
use consensus::{Block, BlockHash, Params, Rule, check_block};
use ledger::Body;
use serve::Serving;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use wire::conn::{self, Conn, ConnConfig, Direction};

/// A peer that takes nothing of what was sent for this long is let go …
const SEND_STALL_MS: u64 = 5 * 60_000;
/// … and sooner while others wait for the memory that its blocks hold.
const SEND_STALL_FULL_MS: u64 = 10_000;

/// What a peer shard is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// The network.
    pub params: &'static Params,
    /// Its number.
    pub number: u16,
    /// How many peer shards there are.
    pub workers: u16,
    /// The core it lives on.
    pub core: usize,
    /// Counters.
    pub pages: Pages,
    /// Memory of the node.
    pub budget: Budget,
    /// Nonce of this node's version messages in this run.
    pub nonce: u64,
    /// Log each message.
    pub verbose: bool,
}

/// What a peer's message made us do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Made {
    /// A block that was asked for: at most as many as are asked.
    Block,
    /// Anything else: at most `PEER_WORDS_MAX`.
    Word,
}

/// One connection.
struct Link {
    conn: Conn,
    address: SocketAddr,
    inbound: bool,
    /// The handshake is done, and the chain shard knows of it.
    up: bool,
    opened_ms: u64,
    /// Events not taken yet, because something before them is not done.
    inbox: VecDeque<conn::Event>,
    /// The edge holds the buffer.
    lent: bool,
    /// Bytes with the edge, not yet taken by the kernel, and when it last took some.
    sending: usize,
    sent_ms: u64,
    /// Numbers of what this peer made us do and is not visible yet.
    seq: Seq,
    unsettled: BTreeMap<Seq, Made>,
    pongs: VecDeque<(u64, Seq)>,
    /// Look-ups at the chain shard that are not answered.
    locating: usize,
    serving: Serving,
    asked: BTreeSet<BlockHash>,
    blocks: u64,
    told_addresses: bool,
    /// Being closed, for this reason.
    closing: Option<String>,
    /// Its shares of the shard's sums.
    buffered: usize,
    out_bytes: usize,
}

/// Why a read was asked of the edge.
#[derive(Debug)]
enum Reading {
    /// For a peer.
    Serve(ConnId, BlockHash),
    /// For the chain shard.
    Load(BlockHash, Place),
}

/// The shard.
pub struct Peer {
    config: Config,
    links: BTreeMap<ConnId, Link>,
    dialing: BTreeMap<ConnId, SocketAddr>,
    next_dial: ConnId,
    reading: BTreeMap<u64, Reading>,
    next_read: u64,
    tip_height: u32,
    /// Bytes that incomplete messages hold, and blocks on their way out.
    buffered: usize,
    out_bytes: usize,
    ticks: u64,
}

impl Peer {
    /// A shard without connections.
    pub fn new(config: Config) -> Peer {
        Peer {
            config,
            links: BTreeMap::new(),
            dialing: BTreeMap::new(),
            next_dial: 0,
            reading: BTreeMap::new(),
            next_read: 0,
            tip_height: 0,
            buffered: 0,
            out_bytes: 0,
            ticks: 0,
        }
    }

    fn id(&self, conn: ConnId) -> PeerId {
        peer_id(self.config.number, conn)
    }

    fn dial(&mut self, address: SocketAddr, cx: &mut Cx) {
        let conn = self.next_dial;
        self.next_dial += 2;
        self.dialing.insert(conn, address);
        cx.effect(Effect::Connect { conn, to: address });
    }

    fn opened(&mut self, conn: ConnId, address: SocketAddr, inbound: bool, cx: &mut Cx) {
        self.dialing.remove(&conn);
        let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
        let setup = ConnConfig {
            magic: self.config.params.magic,
            nonce: self.config.nonce,
            our_nonces: BTreeSet::from([self.config.nonce]),
            ping_seed: cx.rng.next(),
            services: wire::NODE_NETWORK | wire::NODE_WITNESS,
            user_agent: wire::USER_AGENT.into(),
            start_height: self.tip_height,
            unix_s: cx.unix,
            peer_address: address,
        };
        let link = Link {
            conn: Conn::new(direction, setup, cx.now_ms),
            address,
            inbound,
            up: false,
            opened_ms: cx.now_ms,
            inbox: VecDeque::new(),
            lent: false,
            sending: 0,
            sent_ms: cx.now_ms,
            seq: 0,
            unsettled: BTreeMap::new(),
            pongs: VecDeque::new(),
            locating: 0,
            serving: Serving::default(),
            asked: BTreeSet::new(),
            blocks: 0,
            told_addresses: false,
            closing: None,
            buffered: 0,
            out_bytes: 0,
        };
        assert!(self.links.insert(conn, link).is_none(), "a connection opens once");
        self.config.pages.work(self.config.core).peers.set(self.links.len() as u64);
        self.run(conn, cx);
    }

    fn received(&mut self, conn: ConnId, buffer: Vec<u8>, cx: &mut Cx) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.lent = false;
        let before = link.conn.counters().bytes_in;
        let mut events = Vec::new();
        link.conn.received(buffer, cx.now_ms, &mut events);
        let bytes = link.conn.counters().bytes_in - before;
        self.config.pages.work(self.config.core).received_bytes.add(bytes);
        link.inbox.extend(events);
        self.run(conn, cx);
    }

    /// Takes what can be taken of this peer, sends what is to be sent, reads on if nothing waits.
    fn run(&mut self, conn: ConnId, cx: &mut Cx) {
        loop {
            let Some(link) = self.links.get_mut(&conn) else { return };
            if link.closing.is_some() || link.is_busy() {
                break;
            }
            let Some(event) = link.inbox.pop_front() else { break };
            self.take(conn, event, cx);
        }
        let Some(link) = self.links.get_mut(&conn) else { return };
        let out = link.conn.take_out();
        if !out.is_empty() {
            let bytes: usize = out.iter().map(Bytes::len).sum();
            if link.sending == 0 {
                link.sent_ms = cx.now_ms;
            }
            link.sending += bytes;
            self.config.pages.work(self.config.core).sent_bytes.add(bytes as u64);
            cx.effect(Effect::Send { conn, bytes: out });
        }
        if link.closing.is_none() {
            let busy = link.is_busy();
            link.conn.pause(busy, cx.now_ms);
            if !busy && !link.lent {
                let (buffer, room) = link.conn.buffer();
                if room > 0 {
                    link.lent = true;
                    cx.effect(Effect::Receive { conn, buffer, room });
                }
            }
        }
        let (now, out) = (link.conn.buffered(), link.sending + link.serving.bytes());
        self.buffered = self.buffered + now - link.buffered;
        self.out_bytes = self.out_bytes + out - link.out_bytes;
        (link.buffered, link.out_bytes) = (now, out);
        self.config.pages.work(self.config.core).buffered_bytes.set(self.buffered as u64);
        if self.buffered as u64 > self.config.budget.receive / u64::from(self.config.workers) {
            self.evict(cx);
        }
    }

    /// What this shard may hold of blocks on their way out.
    fn out_bytes_max(&self) -> usize {
        (self.config.budget.send / u64::from(self.config.workers)) as usize
    }

    /// Over the budget for incomplete messages: whoever holds the most of it without having been asked goes first.
    fn evict(&mut self, cx: &mut Cx) {
        let worst = self.links.iter().filter(|(_, link)| link.closing.is_none());
        let worst = worst.max_by_key(|(_, link)| (link.asked.is_empty(), link.buffered)).map(|(conn, _)| *conn);
        if let Some(conn) = worst {
            self.close(
                conn,
                "memory for incomplete messages is used up, and this peer holds the most of it".into(),
                cx,
            );
        }
    }

    /// Ends a connection; its name is spoken for until the edge says Closed.
    fn close(&mut self, conn: ConnId, why: String, cx: &mut Cx) {
        let peer = self.id(conn);
        let Some(link) = self.links.get_mut(&conn) else { return };
        if link.closing.is_none() {
            cx.log(Level::Info, format!("peer {} ({}) is let go: {why}", peer_name(peer), link.address));
            link.closing = Some(why);
            link.inbox.clear();
            cx.effect(Effect::Close { conn });
        }
    }

    fn closed(&mut self, conn: ConnId, why: &str, cx: &mut Cx) {
        let peer = self.id(conn);
        if let Some(address) = self.dialing.remove(&conn) {
            cx.log(Level::Debug, format!("{address} does not answer: {why}"));
            return cx.tell(ShardId::Book, Msg::Hung { peer, address, inbound: false, met: false });
        }
        let Some(link) = self.links.remove(&conn) else { return };
        self.buffered -= link.buffered;
        self.out_bytes -= link.out_bytes;
        let page = self.config.pages.work(self.config.core);
        page.peers.set(self.links.len() as u64);
        page.buffered_bytes.set(self.buffered as u64);
        let met = link.up;
        if link.closing.is_none() {
            cx.log(Level::Debug, format!("peer {} ({}) is gone: {why}", peer_name(peer), link.address));
        }
        if met {
            cx.tell(ShardId::Chain, Msg::PeerGone { peer });
        }
        cx.tell(ShardId::Book, Msg::Hung { peer, address: link.address, inbound: link.inbound, met });
    }

    /// The bytes of a block, from a peer or a file, become a body; the chain shard learns of it either way.
    fn parse(&mut self, from: From, hash: BlockHash, bytes: Bytes, cx: &mut Cx) {
        let checked = Block::parse(bytes).map_err(|_| Rule::Malformed).and_then(|block| {
            check_block(&block)?;
            Ok(block)
        });
        self.config.pages.work(self.config.core).block_parsed.add(1);
        let word = match checked {
            // Only a file can hold another block than the index says: these bytes say nothing of that header.
            Ok(block) if block.hash != hash => Msg::Spoiled { from, hash, rule: Rule::Malformed },
            Ok(block) => Msg::Arrived { from, body: Arc::new(Body::new(block)) },
            Err(rule) => Msg::Spoiled { from, hash, rule },
        };
        cx.tell(ShardId::Chain, word);
    }

    fn read(&mut self, what: Reading, place: Place, cx: &mut Cx) {
        let token = self.next_read;
        self.next_read += 1;
        self.reading.insert(token, what);
        cx.effect(Effect::Read { token, file: place.file, at: place.at, len: place.len });
    }

    fn was_read(&mut self, token: u64, bytes: Result<Bytes, String>, cx: &mut Cx) {
        match self.reading.remove(&token).expect("only what was asked is read") {
            Reading::Load(hash, place) => {
                let from = From::File(place.file);
                match bytes {
                    Ok(bytes) => self.parse(from, hash, bytes, cx),
                    Err(why) => {
                        cx.log(
                            Level::Warn,
                            format!("reading {} bytes at offset {} failed: {why}", place.len, place.at),
                        );
                        cx.tell(ShardId::Chain, Msg::Spoiled { from, hash, rule: Rule::Malformed });
                    }
                }
            }
            Reading::Serve(conn, hash) => self.serve_read(conn, hash, bytes, cx),
        }
    }

    fn tick(&mut self, cx: &mut Cx) {
        self.ticks += 1;
        let full = self.out_bytes >= self.out_bytes_max();
        let conns: Vec<ConnId> = self.links.keys().copied().collect();
        for conn in conns {
            let link = self.links.get_mut(&conn).expect("just listed");
            let mut events = Vec::new();
            link.conn.tick(cx.now_ms, &mut events);
            let patience = if full { SEND_STALL_FULL_MS } else { SEND_STALL_MS };
            let stalled = link.sending > 0 && cx.now_ms - link.sent_ms > patience;
            let waits = !full && link.serving.waits();
            if !events.is_empty() || link.conn.queued_bytes() > 0 {
                link.inbox.extend(events);
                self.run(conn, cx);
            }
            if stalled {
                self.close(conn, format!("it took nothing of what was sent for {} s", patience / 1_000), cx);
            }
            if waits {
                self.serve(conn, cx);
                self.run(conn, cx);
            }
        }
        if self.ticks.is_multiple_of(2) {
            let rows = self.links.iter().map(|(conn, link)| link.row(self.id(*conn), cx.now_ms)).collect();
            let report = Report::Peers(self.config.number, rows);
            cx.tell(ShardId::Status, Msg::Report(Box::new(report)));
        }
    }
}

impl Link {
    fn is_busy(&self) -> bool {
        self.sending > PEER_SEND_BYTES
            || self.locating > 0
            || !self.serving.is_done()
            || self.words() >= crate::limits::PEER_WORDS_MAX
    }

    /// Words at the chain shard without an answer.
    fn words(&self) -> usize {
        self.unsettled.values().filter(|made| **made == Made::Word).count()
    }

    fn row(&self, id: PeerId, now_ms: u64) -> report::Peer {
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

/// A peer as a person reads it.
fn peer_name(peer: PeerId) -> String {
    let (shard, conn) = split_peer(peer);
    format!("{shard}.{conn}")
}

impl Shard for Peer {
    fn step(&mut self, input: Input, cx: &mut Cx) {
        match input {
            Input::Event(Event::Opened { conn, address, inbound }) => self.opened(conn, address, inbound, cx),
            Input::Event(Event::Received { conn, buffer }) => self.received(conn, buffer, cx),
            Input::Event(Event::Sent { conn, bytes }) => {
                if let Some(link) = self.links.get_mut(&conn) {
                    link.sending -= bytes;
                    link.sent_ms = cx.now_ms;
                    self.serve(conn, cx);
                    self.run(conn, cx);
                }
            }
            Input::Event(Event::Closed { conn, why }) => self.closed(conn, &why, cx),
            Input::Event(Event::Read { token, bytes }) => self.was_read(token, bytes, cx),
            Input::Msg(word) => self.hear(word, cx),
            Input::Tick => self.tick(cx),
            Input::Event(other) => unreachable!("peer is never told {other:?}"),
        }
    }
}
