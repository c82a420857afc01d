//! The connections of one core: frames to messages, messages to words for the other shards, bytes of blocks to parsed
//! bodies. Context-free rules are checked here, each block's on the core whose turn it is. It never knows the header tree
//! or a coin, of other peer shards only how many there are, and decides nothing about validity beyond one block's own bytes.
//!
//! Each peer's messages are taken in order. While an answer that must leave first is not ready (a block being read from
//! disk, a look-up in the header tree, a full send queue) nothing more of that peer is read: back-pressure is the socket's.

mod link;
mod parse;
mod serve;
mod talk;
#[cfg(test)]
mod tests;

use crate::checksums::Checksums;
use crate::effect::{ConnId, Effect, Event, Level, ReadError, Stop};
use crate::limits::{Budget, PEER_SEND_BYTES};
use crate::metrics::Pages;
use crate::msg::{From, Msg, PeerId, Place, peer_id};
use crate::note::Note;
use crate::report::Report;
use crate::{Cx, Input, Shard, ShardId};
use bytes::Bytes;
use consensus::{BlockHash, Params, Rule};
use ledger::Seed;
use ledger::record::BLOCK_LEN_MAX;
use link::{Link, Made, Memory};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use wire::conn::{Conn, ConnConfig, Direction};

/// A peer that takes nothing of what was sent for this long is let go …
const SEND_STALL_MS: u64 = 5 * 60_000;
/// … and sooner while others wait for the memory that its blocks hold.
const SEND_STALL_FULL_MS: u64 = 10_000;
/// What a connection needs to hear anything at all (`wire::conn`: its small buffer at its largest). Whoever holds no
/// more than that is never let go to save memory.
const IDLE_BYTES: usize = 64 << 10;

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
    /// What is known of checksums.
    pub checksums: Checksums,
    /// Memory of the node.
    pub budget: Budget,
    /// What this node offers, as service bits.
    pub services: u64,
    /// Nonce of this node's version messages in this run.
    pub nonce: u64,
    /// That of the tables of coins.
    pub seed: Seed,
    /// Log each message.
    pub verbose: bool,
}

/// Why a read was asked of the edge.
#[derive(Debug)]
enum Reading {
    /// For a peer.
    Serve(ConnId),
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
    /// The number of the peer shard that parses the next block.
    next_parser: u16,
    tip_height: u32,
    /// Blocks that are being read, the first of them begun.
    parsing: VecDeque<parse::Job>,
    /// The sum of what all links hold.
    memory: Memory,
    /// Links that want a block looked up, each once; one block a turn.
    line: VecDeque<ConnId>,
    ticks: u64,
}

impl Peer {
    /// A shard without connections.
    pub fn new(config: Config) -> Peer {
        Peer {
            links: BTreeMap::new(),
            dialing: BTreeMap::new(),
            next_dial: 0,
            reading: BTreeMap::new(),
            next_read: 0,
            next_parser: config.number,
            parsing: VecDeque::new(),
            tip_height: 0,
            memory: Memory::default(),
            line: VecDeque::new(),
            ticks: 0,
            config,
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
            ping_seed: cx.rng.bits(),
            services: self.config.services,
            user_agent: wire::USER_AGENT.into(),
            start_height: self.tip_height,
            unix_s: cx.unix,
            peer_address: address,
        };
        let link = Link::new(Conn::new(direction, setup, cx.now_ms), address, inbound, cx.now_ms);
        assert!(self.links.insert(conn, link).is_none(), "a connection opens once");
        self.config.pages.work(self.config.core).peers.set(self.links.len() as u64);
        self.run(conn, cx);
    }

    fn received(&mut self, conn: ConnId, buffer: Vec<u8>, cx: &mut Cx) {
        let Some(link) = self.links.get_mut(&conn).filter(|link| link.closing.is_none()) else { return };
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
            let full = self.is_full();
            let Some(link) = self.links.get_mut(&conn) else { return };
            if link.closing.is_some() || link.is_busy(full) {
                break;
            }
            let Some(event) = link.inbox.pop_front() else { break };
            self.take(conn, event, cx);
        }
        if self.links.get(&conn).is_some_and(|link| link.closing.is_none()) {
            self.flush(conn, cx);
        }
        self.account(conn);
        self.evict(cx);
        self.hand_out(cx);
    }

    /// Gives the edge what is queued, and asks for more where nothing waits.
    fn flush(&mut self, conn: ConnId, cx: &mut Cx) {
        let full = self.is_full();
        self.hand_over(conn, None, cx);
        let link = self.links.get_mut(&conn).expect("just seen");
        let busy = link.is_busy(full);
        link.conn.pause(busy, cx.now_ms);
        if !busy && !link.lent {
            let (buffer, room) = link.conn.buffer();
            if room > 0 {
                link.lent = true;
                cx.effect(Effect::Receive { conn, buffer, room });
            }
        }
    }

    /// Gives the edge what is queued, and behind it, if any, a block to be sent from where it lies.
    fn hand_over(&mut self, conn: ConnId, block: Option<Place>, cx: &mut Cx) {
        let link = self.links.get_mut(&conn).expect("just seen");
        let (out, before) = (link.conn.take_out(), link.sending);
        if !out.is_empty() {
            link.sending += out.iter().map(Bytes::len).sum::<usize>();
            cx.effect(Effect::Send { conn, bytes: out });
        }
        if let Some(Place { at, len, .. }) = block {
            link.sending += len as usize;
            link.sending_file += len as usize;
            cx.effect(Effect::SendFile { conn, at, len });
        }
        if before == 0 {
            link.sent_ms = cx.now_ms;
        }
        self.config.pages.work(self.config.core).sent_bytes.add((link.sending - before) as u64);
    }

    fn sent(&mut self, conn: ConnId, bytes: usize, of_file: bool, cx: &mut Cx) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let given = "only what was given to the edge is sent";
        link.sending = link.sending.checked_sub(bytes).expect(given);
        link.sending_file = link.sending_file.checked_sub(if of_file { bytes } else { 0 }).expect(given);
        link.sent_ms = cx.now_ms;
        self.serve(conn, cx);
        self.run(conn, cx);
    }

    /// Brings the sums up to date with what this link holds now.
    fn account(&mut self, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let now = link.holds();
        self.memory = self.memory + now - std::mem::replace(&mut link.memory, now);
        self.config.pages.work(self.config.core).buffered_bytes.set(self.memory.buffered as u64);
    }

    /// Bytes of blocks that may still be looked up. Lists of what is wanted count, but never leave less than a quarter
    /// for the blocks, nor less than one peer may have queued: with nothing on its way, something can always start.
    fn room(&self) -> usize {
        let share = (self.config.budget.send / u64::from(self.config.workers)) as usize;
        let most = share.saturating_sub(self.memory.lists).max(share / 4).max(PEER_SEND_BYTES);
        most.saturating_sub(self.memory.out)
    }

    fn is_full(&self) -> bool {
        self.room() < BLOCK_LEN_MAX as usize
    }

    /// Over the budget for incomplete messages: whoever holds the most of it without having been asked goes first.
    fn evict(&mut self, cx: &mut Cx) {
        let share = (self.config.budget.receive / u64::from(self.config.workers)) as usize;
        while self.memory.buffered > share {
            let holders = self.links.iter().filter(|(_, link)| link.memory.buffered > IDLE_BYTES);
            let worst = holders.max_by_key(|(_, link)| (link.asked.is_empty(), link.memory.buffered));
            let Some((&conn, _)) = worst else { return };
            let why = "memory for incomplete messages is used up, and this peer holds the most of it";
            self.close(conn, why.into(), cx);
        }
    }

    /// Ends a connection; its name is spoken for until the edge says Closed.
    fn close(&mut self, conn: ConnId, why: String, cx: &mut Cx) {
        let peer = self.id(conn);
        let Some(link) = self.links.get_mut(&conn) else { return };
        if link.closing.is_none() {
            cx.note(Note::LetGo { peer, address: link.address, why: why.clone() });
            link.closing = Some(why);
            link.inbox = VecDeque::new();
            link.serving = Default::default();
            cx.effect(Effect::Close { conn });
            self.account(conn);
        }
    }

    fn closed(&mut self, conn: ConnId, why: &str, cx: &mut Cx) {
        let peer = self.id(conn);
        if let Some(address) = self.dialing.remove(&conn) {
            cx.log(Level::Debug, format!("{address} does not answer: {why}"));
            return cx.tell(ShardId::Book, Msg::Hung { peer, address, inbound: false, met: false });
        }
        let Some(link) = self.links.remove(&conn) else { return };
        self.memory = self.memory - link.memory;
        let page = self.config.pages.work(self.config.core);
        page.peers.set(self.links.len() as u64);
        page.buffered_bytes.set(self.memory.buffered as u64);
        let met = link.up;
        let why = link.closing.as_deref().unwrap_or(why);
        cx.note(link.gone(peer, why, cx.now_ms));
        if met {
            cx.tell(ShardId::Chain, Msg::PeerGone { peer });
        }
        cx.tell(ShardId::Book, Msg::Hung { peer, address: link.address, inbound: link.inbound, met });
        self.hand_out(cx);
    }

    /// Has the bytes of a block parsed, by whoever's turn it is.
    fn pass_on(&mut self, from: From, hash: BlockHash, bytes: Bytes, cx: &mut Cx) {
        cx.tell(ShardId::Peer(self.next_parser), Msg::Parse { from, hash, bytes });
        self.next_parser = (self.next_parser + 1) % self.config.workers;
    }

    /// Names something that is about to be read.
    fn read(&mut self, what: Reading) -> u64 {
        let token = self.next_read;
        self.next_read += 1;
        self.reading.insert(token, what);
        token
    }

    fn was_read(&mut self, token: u64, bytes: Result<Bytes, ReadError>, cx: &mut Cx) {
        match self.reading.remove(&token).expect("only what was asked is read") {
            Reading::Load(hash, place) => {
                let from = From::File(place.file);
                let what = format!("reading {} bytes at offset {}", place.len, place.at);
                match bytes {
                    Ok(bytes) => self.pass_on(from, hash, bytes, cx),
                    Err(ReadError::Short) => {
                        cx.log(Level::Warn, format!("{what} failed: the file ends before the block does"));
                        cx.tell(ShardId::Chain, Msg::Spoiled { from, hash, rule: Rule::Malformed });
                    }
                    // Not damage: the block may be whole, and would be fetched and stored again for nothing.
                    Err(ReadError::Io(why)) => {
                        cx.effect(Effect::Stop(Stop::DiskFailed, format!("{what} of block {hash} failed: {why}")));
                    }
                }
            }
            Reading::Serve(conn) => self.serve_read(conn, token, bytes.ok(), cx),
        }
    }

    fn tick(&mut self, cx: &mut Cx) {
        self.ticks += 1;
        let patience = if self.is_full() { SEND_STALL_FULL_MS } else { SEND_STALL_MS };
        let conns: Vec<ConnId> = self.links.keys().copied().collect();
        for conn in conns {
            let link = self.links.get_mut(&conn).expect("just listed");
            if link.closing.is_some() {
                continue;
            }
            if link.sending > 0 && cx.now_ms - link.sent_ms > patience {
                self.close(conn, format!("it took nothing of what was sent for {} s", patience / 1_000), cx);
                continue;
            }
            let mut events = Vec::new();
            link.conn.tick(cx.now_ms, &mut events);
            if !events.is_empty() || link.conn.queued_bytes() > 0 {
                link.inbox.extend(events);
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

impl Shard for Peer {
    fn step(&mut self, input: Input, cx: &mut Cx) {
        match input {
            Input::Event(Event::Opened { conn, address, inbound }) => self.opened(conn, address, inbound, cx),
            Input::Event(Event::Received { conn, buffer }) => self.received(conn, buffer, cx),
            Input::Event(Event::Sent { conn, bytes, of_file }) => self.sent(conn, bytes, of_file, cx),
            Input::Event(Event::Closed { conn, why }) => self.closed(conn, &why, cx),
            Input::Event(Event::Read { token, bytes }) => self.was_read(token, bytes, cx),
            Input::Msg(word) => self.hear(word, cx),
            Input::Tick => self.tick(cx),
            Input::Event(other) => unreachable!("peer is never told {other:?}"),
        }
    }
}
