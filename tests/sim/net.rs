//! The simulated network: connections between the node and its peers, bytes that come late, in any pieces, in order.

use super::edge::Due;
use super::peers::{End, pongs};
use super::{Key, Sim, UNIX};
use consensus::BlockHash;
use shards::{Event, Input, ShardId};
use std::collections::VecDeque;

/// Memory for worlds with which no chain of ours has to let a block go.
const ROOMY: u64 = 8 << 20;

/// Bytes on their way to a peer.
enum Coming {
    Bytes(Vec<u8>),
    /// They leave the file when the peer takes them.
    File {
        at: u64,
        len: u32,
    },
}

/// One connection.
pub(super) struct Conn {
    remote: usize,
    end: End,
    /// Bytes on their way to the node.
    out: VecDeque<u8>,
    /// On their way from it.
    coming: VecDeque<Coming>,
    /// The node's buffer, while it reads.
    receive: Option<(Vec<u8>, usize)>,
    /// Nothing sent later arrives earlier.
    last_ms: u64,
    closing: bool,
}

impl Sim {
    /// Nobody can be reached for a while.
    pub(super) fn part(&mut self) {
        self.apart_until = self.now_ms + 1_000 + self.rng.below(40_000);
        let keys: Vec<Key> = self.conns.keys().copied().collect();
        keys.into_iter().for_each(|key| self.after(0, Due::Close(key, "the network is gone")));
    }

    pub(super) fn receive(&mut self, key: Key, buffer: Vec<u8>, room: usize) {
        if let Some(conn) = self.conns.get_mut(&key) {
            assert!(conn.receive.replace((buffer, room)).is_none(), "one read at a time");
            let soon = self.rng.below(6);
            self.after(soon, Due::Arrive(key));
        }
    }

    pub(super) fn close(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(&key) {
            conn.closing = true;
            let soon = 1 + self.rng.below(20);
            self.after(soon, Due::Close(key, "closed by us"));
        }
    }

    pub(super) fn connect(&mut self, shard: ShardId, key: Key, to: std::net::SocketAddr) {
        let away = self.offline || self.now_ms < self.apart_until;
        let found = self.remotes.iter().position(|remote| remote.address == to && !remote.dead && !away);
        let Some(remote) = found else {
            let why = "nobody answers".into();
            return self.after(50, Due::Event(shard, Event::Closed { conn: key.1, why }));
        };
        let mut end = End::new(to, self.now_ms, UNIX + self.now_ms / 1_000);
        end.curious = self.pruning.is_none();
        let latency = self.remotes[remote].script.latency_ms;
        let opened = self.now_ms + latency;
        let (out, coming) = (VecDeque::new(), VecDeque::new());
        let conn = Conn { remote, end, out, coming, receive: None, last_ms: opened, closing: false };
        self.conns.insert(key, conn);
        self.after(latency, Due::Event(shard, Event::Opened { conn: key.1, address: to, inbound: false }));
    }

    pub(super) fn send(&mut self, shard: ShardId, key: Key, bytes: Vec<u8>) {
        let Some(conn) = self.conns.get_mut(&key).filter(|conn| !conn.closing) else { return };
        let tip = self.tip;
        let before = conn.end.ponged.len();
        pongs(&bytes, &mut conn.end);
        for (nonce, block) in conn.end.ponged.split_off(before) {
            // Where the tip has gone elsewhere meanwhile, the block may have been let go.
            let follows = self.checks.pinged.remove(&nonce) == Some((block, tip));
            assert!(!follows || self.checks.is_durable(&block), "a pong came before block {block} was durable ({tip})");
        }
        let len = bytes.len();
        self.comes(shard, key, Coming::Bytes(bytes), Event::Sent { conn: key.1, bytes: len, of_file: false });
    }

    pub(super) fn send_file(&mut self, shard: ShardId, key: Key, at: u64, len: u32) {
        let sent = Event::Sent { conn: key.1, bytes: len as usize, of_file: true };
        self.comes(shard, key, Coming::File { at, len }, sent);
    }

    fn comes(&mut self, shard: ShardId, key: Key, what: Coming, sent: Event) {
        let now = self.now_ms;
        let Some(conn) = self.conns.get_mut(&key).filter(|conn| !conn.closing) else { return };
        conn.coming.push_back(what);
        let latency = self.remotes[conn.remote].script.latency_ms;
        conn.last_ms = conn.last_ms.max(now + latency);
        let after = conn.last_ms - now;
        self.after(after, Due::Deliver(key));
        let soon = 1 + self.rng.below(5);
        self.after(soon, Due::Event(shard, sent));
    }

    /// Peers that get a better chain tell those that are connected to them.
    pub(super) fn learn(&mut self) {
        for index in 0..self.remotes.len() {
            if self.remotes[index].learn(self.now_ms) {
                for conn in self.conns.values_mut().filter(|conn| conn.remote == index) {
                    let bytes = self.remotes[index].announce(&mut conn.end);
                    conn.out.extend(bytes.concat());
                }
                let keys: Vec<Key> = self.conns.iter().filter(|(_, l)| l.remote == index).map(|(k, _)| *k).collect();
                keys.into_iter().for_each(|key| self.after(0, Due::Arrive(key)));
            }
        }
    }

    pub(super) fn deliver(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        let bytes = match conn.coming.pop_front().expect("as many as are delivered") {
            Coming::Bytes(bytes) => bytes,
            Coming::File { at, len } => {
                assert!(!self.disk.has_hole(at, len), "what was given up is sent, at {at}");
                self.disk.read(at, len).expect("a block is there").to_vec()
            }
        };
        let remote = &mut self.remotes[conn.remote];
        if remote.dead {
            return;
        }
        let known = conn.end.pings.len();
        let reply = remote.received(&mut conn.end, &bytes, self.now_ms, &mut self.faults, &mut self.rng);
        // Where the tip has no world, or there may be no room for another, what follows it holds up nobody.
        let room = self.budget.worlds >= ROOMY;
        let (tip, lives) = (self.tip, room && !conn.end.junk && self.checks.lives(&self.tip));
        let follows = |hash: &BlockHash| {
            let branch = &remote.script.branch;
            lives && branch.iter().any(|blk| blk.hash == *hash && blk.header.prev == tip)
        };
        let pinged = conn.end.pings[known..].iter().filter(|(_, block)| follows(block));
        let pinged: Vec<_> = pinged.map(|&(nonce, block)| (nonce, (block, tip))).collect();
        self.checks.pinged.extend(pinged);
        conn.out.extend(reply.concat());
        let latency = remote.script.latency_ms;
        if remote.dead {
            self.after(latency, Due::Close(key, "it died"));
        } else {
            self.after(latency, Due::Arrive(key));
        }
    }

    pub(super) fn arrive(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        if conn.out.is_empty() || conn.receive.is_none() || conn.closing {
            return;
        }
        let (mut buffer, room) = conn.receive.take().expect("just seen");
        let script = &self.remotes[conn.remote].script;
        let trickles = !script.honest && self.faults.trickle.strikes(&mut self.rng);
        let chunk = if trickles { 1 } else { script.chunk };
        let most = room.min(conn.out.len()).min(chunk as usize);
        let count = 1 + self.rng.below(most as u64) as usize;
        buffer.extend(conn.out.drain(..count));
        self.step(ShardId::Peer(key.0), Input::Event(Event::Received { conn: key.1, buffer }));
    }
}
