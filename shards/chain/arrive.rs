//! Bodies that came, from peers or from files of ours: welcome or not, and what bytes that break a rule say of their header.

use super::{Chain, Held, Stored};
use crate::Cx;
use crate::msg::From;
use crate::note::Note;
use consensus::{BlockHash, Rule};
use ledger::{Body, NodeId};
use std::sync::Arc;

impl Chain {
    /// A body came, whole and within the context-free rules.
    pub(super) fn arrived(&mut self, from: From, body: Arc<Body>, cx: &mut Cx) {
        let Some(node) = self.tree.find(&body.block.hash) else { return self.settle_from(from, cx) };
        let asked = match from {
            From::Peer(peer, _) => self.fetch.asked_of(node).iter().find(|(of, _)| *of == peer).map(|(_, at)| *at),
            From::File(_) => None,
        };
        if !self.accept_arrival(from, node, body.len() as u32, cx) {
            return self.settle_copy(from, node, cx);
        }
        if let Some(peer) = self.address(from) {
            let (height, hash, bytes) = (self.height(node), body.block.hash, body.len() as u32);
            cx.note(Note::Received { peer, height, hash, bytes });
        }
        let parent = self.tree.node(node).parent;
        let context = consensus::BlockCx {
            params: self.config.params,
            height: self.height(node),
            mtp_parent: self.tree.median_time(parent),
        };
        match consensus::check_block_context(&body.block, &context) {
            Ok(()) => {
                self.trails.arrived(node, asked, (body.block.txs.len(), body.block.bytes.len()), cx.now_ms);
                self.hold(node, from, body, cx)
            }
            Err(rule) => {
                // It was booked as arrived: wanted again, of another.
                if let From::Peer(peer, _) = from {
                    self.fetch.refused_from(peer, node);
                }
                self.spoiled(from, body.block.hash, rule, cx);
            }
        }
    }

    /// Where the peer is that a body came from, if it is still there.
    pub(super) fn address(&self, from: From) -> Option<std::net::SocketAddr> {
        let From::Peer(peer, _) = from else { return None };
        self.peers.get(&peer).map(|peer| peer.address)
    }

    /// Keeps a body that is welcome until it grows and is durable.
    fn hold(&mut self, node: NodeId, from: From, body: Arc<Body>, cx: &mut Cx) {
        if self.life(node).stored == Stored::Durable && !self.may_grow(node) {
            // The root has passed it while it was read, or there is no room for it any more.
            return self.settle_from(from, cx);
        }
        let bytes = body.memory() as u64;
        self.held.insert(node, Held { body: Some(body), bytes, growing: false, appending: false, from });
        let parent = self.tree.node(node).parent;
        if self.life(parent).world.is_some() {
            self.ready.insert((self.rank(node), node));
            self.fetch.parked(node, bytes as u32);
            let settles = self.settles.entry(node).or_default();
            if let From::Peer(peer, seq) = from {
                settles.push((peer, seq));
            }
        } else {
            self.waiting.entry(parent).or_default().insert(node);
            self.fetch.parked(node, bytes as u32);
            self.settle_from(from, cx);
        }
        self.append(node, cx);
    }

    /// A copy of a block that is under way already is settled with it.
    fn settle_copy(&mut self, from: From, node: NodeId, cx: &mut Cx) {
        match (from, self.settles.get_mut(&node)) {
            (From::Peer(peer, seq), Some(others)) => others.push((peer, seq)),
            _ => self.settle_from(from, cx),
        }
    }

    /// Whether these bytes are welcome: asked for, or read by us; in the running; not here already.
    fn accept_arrival(&mut self, from: From, node: NodeId, bytes: u32, cx: &mut Cx) -> bool {
        let welcome = match from {
            From::Peer(peer, _) => {
                self.fetch.arrived(Some(peer), node, bytes, cx.now_ms) == wire::fetch::Arrival::Asked
            }
            From::File(_) => {
                self.obtain.loaded(node);
                true
            }
        };
        welcome && self.in_running(node) && !self.has_world(node) && !self.held.contains_key(&node)
    }

    /// Bytes that break a rule. Mutated ones say nothing of the header: another peer is asked.
    pub(super) fn spoiled(&mut self, from: From, hash: BlockHash, rule: Rule, cx: &mut Cx) {
        let node = self.tree.find(&hash);
        match from {
            From::File(file) => self.spoiled_in_file(file, hash, rule, cx),
            From::Peer(peer, seq) => {
                if let Some(node) = node {
                    if self.fetch.arrived(Some(peer), node, 0, cx.now_ms) == wire::fetch::Arrival::Asked {
                        self.fetch.refused_from(peer, node);
                    }
                    if rule.kind() == consensus::Kind::Invalid {
                        self.refuse(node, rule.into(), cx);
                    }
                }
                let height = node.map(|n| format!(" at height {}", self.height(n))).unwrap_or_default();
                self.punish(peer, format!("{rule}: block {hash}{height}"), cx);
                self.settle(peer, seq, cx);
            }
        }
    }
}
