//! Scripted peers: they speak real wire bytes and behave as their script says. They know chains and no node.

use super::chains::{Blk, Branch};
use super::faults::Faults;
use bytes::Bytes;
use caesure_bench::tx::compact_size;
use consensus::{BlockHash, Network, Params};
use shards::Rng;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use wire::conn::{Conn, ConnConfig, Direction, Event};
use wire::frame::Checksum;
use wire::message::{Inv, InvKind, Message};

/// How a peer behaves.
#[derive(Clone, Debug)]
pub struct Script {
    /// What it has.
    pub branch: Branch,
    /// When it gets something else, milliseconds, and what.
    pub later: VecDeque<(u64, Branch)>,
    /// How long its bytes are under way, milliseconds.
    pub latency_ms: u64,
    /// The most bytes that come in one read.
    pub chunk: u64,
    /// No fault of peers is its own.
    pub honest: bool,
    /// It tells of blocks and has none.
    pub boasts: bool,
}

/// A peer.
pub struct Remote {
    /// Where it listens.
    pub address: SocketAddr,
    /// How it behaves.
    pub script: Script,
    bent: BTreeSet<BlockHash>,
    /// It is dead for good.
    pub dead: bool,
}

/// Its end of one connection.
pub struct End {
    conn: Conn,
    /// Blocks sent before each ping that has not been answered.
    pub pings: Vec<(u64, BlockHash)>,
    /// It sent bytes that nobody asked for: the node may have taken them for a block, and not the block that followed.
    pub junk: bool,
    /// Those that were answered since they were last looked at.
    pub ponged: Vec<(u64, BlockHash)>,
    /// Blocks that it asked the node for.
    asked: VecDeque<Inv>,
    /// It asks for any block at any time: a node that prunes would hang up.
    pub curious: bool,
}

impl End {
    /// Of a connection that the node has opened.
    pub fn new(address: SocketAddr, now_ms: u64, unix: u64) -> End {
        let setup = ConnConfig {
            magic: Params::of(Network::Regtest).magic,
            nonce: 77,
            our_nonces: BTreeSet::from([77]),
            ping_seed: 78,
            services: wire::NODE_NETWORK | wire::NODE_WITNESS,
            user_agent: "/scripted:1/".into(),
            start_height: 1,
            unix_s: unix,
            peer_address: address,
        };
        End {
            conn: Conn::new(Direction::Inbound, setup, now_ms),
            pings: Vec::new(),
            junk: false,
            ponged: Vec::new(),
            asked: VecDeque::new(),
            curious: false,
        }
    }
}

impl Remote {
    /// A peer at this address.
    pub fn new(address: SocketAddr, script: Script) -> Remote {
        Remote { address, script, bent: BTreeSet::new(), dead: false }
    }

    /// It gets its next chain, if it is time; whether it did.
    pub fn learn(&mut self, now_ms: u64) -> bool {
        let due = self.script.later.front().is_some_and(|(at, _)| now_ms >= *at);
        if due && let Some((_, branch)) = self.script.later.pop_front() {
            self.script.branch = branch;
        }
        due
    }

    /// Announces its tip.
    pub fn announce(&self, end: &mut End) -> Vec<Bytes> {
        if let (Some(tip), Some(_)) = (self.script.branch.last(), end.conn.info()) {
            end.conn.send(&Message::Inv(vec![Inv { kind: InvKind::Block, hash: tip.hash.0 }]));
        }
        end.conn.take_out()
    }

    /// Takes bytes of the node; what it answers.
    pub fn received(
        &mut self,
        end: &mut End,
        mut bytes: &[u8],
        now_ms: u64,
        faults: &mut Faults,
        rng: &mut Rng,
    ) -> Vec<Bytes> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let (mut buffer, room) = end.conn.buffer();
            if room == 0 {
                break;
            }
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            buffer.extend_from_slice(now);
            bytes = rest;
            end.conn.received(buffer, now_ms, &mut events);
        }
        for event in events {
            self.take(end, event, faults, rng);
        }
        end.conn.take_out()
    }

    fn take(&mut self, end: &mut End, event: Event, faults: &mut Faults, rng: &mut Rng) {
        if !self.script.honest && faults.garbage.strikes(rng) {
            let junk = (0..40).map(|_| rng.bits() as u8).collect::<Vec<u8>>();
            end.junk = true;
            // A block that is none: its header is random, and nobody asked for it.
            end.conn.send_block(&Bytes::from(junk.clone()), Checksum::of(&junk));
            end.conn.send(&Message::NotFound(vec![Inv { kind: InvKind::WitnessBlock, hash: [7; 32] }]));
        }
        match event {
            Event::Ping(nonce) => end.conn.send(&Message::Pong(nonce)),
            Event::Broken(broken) => panic!("the node spoke wrongly: {broken}"),
            Event::Message(Message::GetHeaders(locator)) => {
                let branch = &self.script.branch;
                let known = |hash: &BlockHash| branch.iter().position(|blk| blk.hash == *hash).map(|at| at + 1);
                let start = locator.hashes.iter().find_map(known).unwrap_or(0);
                let mut headers: Vec<_> = branch[start..].iter().take(2_000).map(|blk| blk.header).collect();
                if let Some(first) = headers.first_mut()
                    && !self.script.honest
                    && faults.false_headers.strikes(rng)
                {
                    // Without work, most likely; or of no parent.
                    match rng.below(2) {
                        0 => first.nonce ^= 1 << rng.below(32),
                        _ => first.prev.0[5] ^= 1,
                    }
                }
                end.conn.send(&Message::Headers(headers));
            }
            Event::Message(Message::Inv(invs)) => invs.iter().for_each(|inv| self.ask(end, inv.hash, rng)),
            Event::Message(Message::Block(bytes)) => self.served(end, &bytes),
            Event::Message(Message::NotFound(invs)) => {
                let first = end.asked.pop_front();
                assert_eq!(first.as_slice(), invs, "blocks come in the order in which they were asked for");
            }
            Event::Message(Message::GetData(invs)) => {
                invs.iter().for_each(|inv| self.asked(end, inv, faults, rng));
                if end.curious && rng.below(4) == 0 {
                    let nth = rng.below(self.script.branch.len() as u64) as usize;
                    self.ask(end, self.script.branch[nth].hash.0, rng);
                }
            }
            _ => {}
        }
    }

    /// Asks, a few times, for a block that the node may have and that it has itself: first the node reads it, then it may
    /// send it from where it lies.
    fn ask(&self, end: &mut End, hash: [u8; 32], rng: &mut Rng) {
        let times = if self.script.branch.iter().any(|blk| blk.hash.0 == hash) { rng.below(4) } else { 0 };
        for _ in 0..times {
            let kind = if rng.below(4) == 0 { InvKind::Block } else { InvKind::WitnessBlock };
            end.asked.push_back(Inv { kind, hash });
            end.conn.send(&Message::GetData(vec![Inv { kind, hash }]));
        }
        end.conn.expect_blocks(end.asked.len() as u32);
    }

    /// What the node sends is the block that was asked for, to the last byte.
    fn served(&self, end: &mut End, bytes: &Bytes) {
        let inv = end.asked.pop_front().expect("nothing else is let in");
        let Some(blk) = self.script.branch.iter().find(|blk| blk.hash.0 == inv.hash) else { return };
        let mut wanted = blk.plain.header.bytes().to_vec();
        compact_size(&mut wanted, blk.plain.txs.len());
        blk.plain.txs.iter().for_each(|tx| tx.write(&mut wanted, inv.kind == InvKind::WitnessBlock));
        assert!(wanted == bytes[..], "another block than {}", blk.hash);
    }

    fn asked(&mut self, end: &mut End, inv: &Inv, faults: &mut Faults, rng: &mut Rng) {
        assert_eq!(inv.kind, InvKind::WitnessBlock);
        let found = self.script.branch.iter().find(|blk| blk.hash.0 == inv.hash).filter(|_| !self.script.boasts);
        let honest = self.script.honest;
        let Some(blk) = found.filter(|_| honest || !faults.denied_block.strikes(rng)).cloned() else {
            return end.conn.send(&Message::NotFound(vec![*inv]));
        };
        if !honest && faults.withheld_block.strikes(rng) {
            return;
        }
        if !honest && !self.bent.contains(&blk.hash) && faults.bent_block.strikes(rng) {
            self.bent.insert(blk.hash);
            let bent = bend(&blk, rng);
            return end.conn.send_block(&bent, Checksum::of(&bent));
        }
        end.conn.send_block(&blk.bytes, Checksum::of(&blk.bytes));
        self.dead |= !honest && faults.dead_peer.strikes(rng);
        if rng.below(3) == 0 {
            end.pings.push((rng.bits(), blk.hash));
            end.conn.send(&Message::Ping(end.pings.last().map(|ping| ping.0)));
        }
    }
}

/// The node's pongs, as they lie in its bytes: frames of one command with eight bytes. The connection itself only knows
/// its own pings.
pub fn pongs(bytes: &[u8], end: &mut End) {
    let frame = Message::Pong(0).encode(Params::of(Network::Regtest).magic);
    let head = &frame[..16];
    for at in 0..bytes.len().saturating_sub(31) {
        if &bytes[at..at + 16] == head {
            let nonce = u64::from_le_bytes(bytes[at + 24..at + 32].try_into().expect("eight"));
            if let Some(index) = end.pings.iter().position(|ping| ping.0 == nonce) {
                let ping = end.pings.remove(index);
                end.ponged.push(ping);
            }
        }
    }
}

/// A copy of the block that its header does not stand for.
fn bend(blk: &Arc<Blk>, rng: &mut Rng) -> Bytes {
    let mut plain = blk.plain.clone();
    match rng.below(4) {
        // bad-txns-duplicate, where the count of transactions is odd; else bad-txnmrklroot
        0 => plain.txs.push(plain.txs[plain.txs.len() - 1].clone()),
        // bad-witness-merkle-match
        1 => plain.txs[0].inputs[0].witness[0][5] ^= 1,
        // bad-txnmrklroot
        2 => plain.txs[0].outputs[0].value -= 1,
        // no block at all
        _ => return blk.bytes.slice(..blk.bytes.len() - 1),
    }
    Bytes::from(plain.bytes())
}
