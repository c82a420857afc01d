//! The simulated network: connections between the node and its peers, bytes that come late, in any pieces, in order.

use super::peers::{End, pongs};
use super::{Due, Key, Link, Sim, UNIX};
use consensus::BlockHash;
use shards::{Event, Input, ShardId};
use std::collections::VecDeque;

impl Sim {
    pub(super) fn connect(&mut self, shard: ShardId, key: Key, to: std::net::SocketAddr) {
        let found = self.remotes.iter().position(|remote| remote.address == to && !remote.dead && !self.offline);
        let Some(remote) = found else {
            let why = "nobody answers".into();
            return self.after(50, Due::Event(shard, Event::Closed { conn: key.1, why }));
        };
        let end = End::new(to, self.now_ms, UNIX + self.now_ms / 1_000);
        let latency = self.remotes[remote].script.latency_ms;
        let opened = self.now_ms + latency;
        let link = Link { remote, end, out: VecDeque::new(), receive: None, last_ms: opened, closing: false };
        self.links.insert(key, link);
        self.after(latency, Due::Event(shard, Event::Opened { conn: key.1, address: to, inbound: false }));
    }

    pub(super) fn send(&mut self, shard: ShardId, key: Key, bytes: Vec<u8>) {
        let now = self.now_ms;
        let Some(link) = self.links.get_mut(&key).filter(|link| !link.closing) else { return };
        let tip = self.tip;
        let before = link.end.ponged.len();
        pongs(&bytes, &mut link.end);
        for block in link.end.ponged.split_off(before) {
            // Where the tip has gone elsewhere meanwhile, the block may have been let go.
            let follows = self.pinged.remove(&block) == Some(tip);
            assert!(!follows || self.durable.contains(&block), "a pong came before block {block} was durable ({tip})");
        }
        let latency = self.remotes[link.remote].script.latency_ms;
        link.last_ms = link.last_ms.max(now + latency);
        let after = link.last_ms - now;
        let len = bytes.len();
        self.after(after, Due::Deliver(key, bytes));
        let sent = 1 + self.rng.below(5);
        self.after(sent, Due::Event(shard, Event::Sent { conn: key.1, bytes: len }));
    }

    /// Peers that get a better chain tell those that are connected to them.
    pub(super) fn learn(&mut self) {
        for index in 0..self.remotes.len() {
            if self.remotes[index].learn(self.now_ms) {
                for link in self.links.values_mut().filter(|link| link.remote == index) {
                    let bytes = self.remotes[index].announce(&mut link.end);
                    link.out.extend(bytes.concat());
                }
                let keys: Vec<Key> = self.links.iter().filter(|(_, l)| l.remote == index).map(|(k, _)| *k).collect();
                keys.into_iter().for_each(|key| self.after(0, Due::Arrive(key)));
            }
        }
    }

    pub(super) fn deliver(&mut self, key: Key, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(&key) else { return };
        let remote = &mut self.remotes[link.remote];
        if remote.dead {
            return;
        }
        let known = link.end.pings.len();
        let reply = remote.received(&mut link.end, bytes, self.now_ms, &mut self.rng);
        let follows = |hash: &BlockHash| {
            let branch = &remote.script.branch;
            branch.iter().any(|blk| blk.hash == *hash && blk.header.prev == self.tip)
        };
        let pinged = link.end.pings[known..].iter().map(|ping| ping.1).filter(follows);
        let tip = self.tip;
        self.pinged.extend(pinged.map(|block| (block, tip)).collect::<Vec<_>>());
        link.out.extend(reply.concat());
        let latency = remote.script.latency_ms;
        if remote.dead {
            self.after(latency, Due::Close(key, "it died"));
        } else {
            self.after(latency, Due::Arrive(key));
        }
    }

    pub(super) fn arrive(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(&key) else { return };
        if link.out.is_empty() || link.receive.is_none() || link.closing {
            return;
        }
        let (mut buffer, room) = link.receive.take().expect("just seen");
        let chunk = self.remotes[link.remote].script.chunk;
        let most = room.min(link.out.len()).min(chunk as usize);
        let count = 1 + self.rng.below(most as u64) as usize;
        buffer.extend(link.out.drain(..count));
        self.step(ShardId::Peer(key.0), Input::Event(Event::Received { conn: key.1, buffer }));
    }
}
