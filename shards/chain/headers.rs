//! Which headers are believed, and whom to ask for more. One peer at a time is asked; a chain that has not shown
//! enough work yet goes through `wire::presync` first and leaves nothing behind until it has.

use super::{Chain, Life, Peer, UNBORN};
use crate::Cx;
use crate::limits::{EARLY_MAX, HEADERS_MAX, UNCONNECTED_MAX};
use crate::msg::{Msg, PeerId, Seq};
use crate::note::Note;
use consensus::{BlockHash, Header, HeaderCx, Kind, Rule, Work, check_header};
use ledger::NodeId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use wire::conn::PeerInfo;
use wire::presync::Presync;

/// How long the asked peer may keep us waiting for headers …
pub(super) const ANSWER_MS: u64 = 30_000;
/// … and how long it may keep the others waiting for their turn: mute peers must not hold up the rest.
const TURN_MS: u64 = 2_000;
/// Blocks below the tip above which a branch's headers are believed without presync (Core
/// `GetAntiDoSWorkThreshold`: 144 blocks).
const NEAR_TIP_BLOCKS: u32 = 144;

/// Header sync as it stands.
#[derive(Debug, Default)]
pub(super) struct Sync {
    /// Whose turn it is, and until when.
    pub(super) asked: Option<(PeerId, u64)>,
    /// All who owe an answer, and until when.
    pub(super) owing: BTreeMap<PeerId, u64>,
    pub(super) queue: Queue,
    /// Chains watched through presync, and until when we wait for their peer.
    pub(super) presyncs: BTreeMap<PeerId, (Presync, u64)>,
    /// Peers with a low-work chain that found every slot taken.
    pub(super) patient: Queue,
    /// Headers from the future, kept aside.
    pub(super) early: VecDeque<Header>,
    /// At least one peer told us all its headers.
    pub(super) complete: bool,
}

impl Sync {
    pub(super) fn presync_height(&self) -> Option<u32> {
        self.presyncs.values().map(|(presync, _)| presync.height_seen()).max()
    }
}

impl Chain {
    pub(super) fn peer_up(&mut self, peer: PeerId, info: Arc<PeerInfo>, address: std::net::SocketAddr, cx: &mut Cx) {
        let start_height = info.start_height.max(0) as u32;
        let fresh = Peer { address, inbound: info.inbound, start_height, best: None, unconnected: 0, silent: 0 };
        let serves = wire::NODE_NETWORK | wire::NODE_WITNESS;
        if self.peers.insert(peer, fresh).is_none() && info.services & serves == serves {
            self.fetch.peer_up(peer, cx.now_ms);
            // Those we chose ourselves go first.
            match info.inbound {
                true => self.sync.queue.push(peer),
                false => self.sync.queue.push_front(peer),
            }
            self.ask_next_peer(cx);
        }
    }

    pub(super) fn sync_peer_gone(&mut self, peer: PeerId, cx: &mut Cx) {
        self.sync.queue.remove(peer);
        self.sync.owing.remove(&peer);
        self.sync.patient.remove(peer);
        self.sync.presyncs.remove(&peer);
        self.presync_slot_free();
        if self.sync.asked.is_some_and(|(asked, _)| asked == peer) {
            self.sync.asked = None;
        }
        self.ask_next_peer(cx);
    }

    pub(super) fn ask_next_peer(&mut self, cx: &mut Cx) {
        if self.sync.asked.is_none()
            && self.obtain.begun()
            && let Some(peer) = self.sync.queue.pop()
        {
            self.sync.asked = Some((peer, cx.now_ms + TURN_MS));
            self.sync.owing.insert(peer, cx.now_ms + ANSWER_MS);
            self.ask_headers(peer, cx);
        }
    }

    /// From the parent of the best header on, so that a peer with our very chain answers with one
    /// header, and we learn what it has (as Core does).
    fn ask_headers(&self, peer: PeerId, cx: &mut Cx) {
        let locator = self.tree.locator(self.tree.node(self.best).parent);
        self.tell_peer(peer, Msg::AskHeaders { peer, locator }, cx);
    }

    /// Work that a chain must show before its headers are stored.
    pub(super) fn work_wanted(&self) -> Work {
        let tip = self.tree.node(self.tip);
        let each = consensus::work_of(tip.header.bits);
        let near = (0..NEAR_TIP_BLOCKS.min(tip.height)).fold(Work::ZERO, |sum, _| sum.saturating_add(each));
        self.config.min_work.max(tip.work.saturating_sub(near))
    }

    pub(super) fn headers(&mut self, peer: PeerId, seq: Seq, headers: Vec<Header>, cx: &mut Cx) {
        if self.peers.contains_key(&peer) {
            self.take_headers(peer, &headers, cx);
        }
        self.settle(peer, seq, cx);
    }

    fn take_headers(&mut self, peer: PeerId, headers: &[Header], cx: &mut Cx) {
        self.sync.owing.remove(&peer);
        let full = headers.len() == HEADERS_MAX;
        if let Some((mut presync, until)) = self.sync.presyncs.remove(&peer) {
            let follows = headers.first().is_none_or(|first| first.prev == presync.locator());
            if !follows {
                self.sync.presyncs.insert(peer, (presync, until));
            } else {
                if self.presync_step(peer, &mut presync, headers, full, cx) {
                    self.sync.presyncs.insert(peer, (presync, cx.now_ms + ANSWER_MS));
                }
                return self.presync_slot_free();
            }
        }
        let Some(first) = headers.first() else {
            self.guess_best(peer);
            return self.peer_told_all(peer, cx);
        };
        let Some(parent) = self.tree.find(&first.prev) else { return self.unconnected(peer, cx) };
        let hashes: Vec<BlockHash> = headers.iter().map(Header::hash).collect();
        if (1..headers.len()).any(|i| headers[i].prev != hashes[i - 1]) {
            return self.punish(peer, "headers: they do not form one chain".into(), cx);
        }
        // Before anything is made of the work they claim (Core `CheckHeadersPoW`).
        let params = self.config.params;
        if let Some(at) = (0..headers.len()).find(|&i| !consensus::meets_target(&hashes[i], headers[i].bits, params)) {
            let why = format!("{}: {} ({})", Rule::HighHash, Rule::HighHash.must(), hashes[at]);
            self.punish(peer, why, cx);
            return self.turn_over(peer, cx);
        }
        let known = hashes.iter().take_while(|hash| self.tree.find(hash).is_some()).count();
        let start = if known == 0 { parent } else { self.tree.find(&hashes[known - 1]).expect("just found") };
        let claimed = headers[known..]
            .iter()
            .fold(self.work(start), |sum, header| sum.saturating_add(consensus::work_of(header.bits)));
        if known < headers.len() && claimed < self.work_wanted() {
            return self.low_work(peer, start, &headers[known..], full, cx);
        }
        match self.store_headers(start, &headers[known..], cx) {
            Ok(last) => {
                let (count, height) = (headers.len() - known, self.height(last));
                cx.note(Note::Headers { peer: self.peers[&peer].address, count, height });
                self.peer_has(peer, last);
                if full {
                    self.ask_on(peer, self.tree.locator(last), cx);
                } else {
                    self.peer_told_all(peer, cx);
                }
            }
            Err(rule) => {
                let why = format!("{rule}: {} ({})", rule.must(), first.hash());
                self.punish(peer, why, cx);
                self.turn_over(peer, cx);
            }
        }
    }

    pub(super) fn ask_on(&mut self, peer: PeerId, locator: Vec<BlockHash>, cx: &mut Cx) {
        if let Some((asked, until)) = &mut self.sync.asked
            && *asked == peer
        {
            *until = cx.now_ms + TURN_MS;
        }
        self.sync.owing.insert(peer, cx.now_ms + ANSWER_MS);
        self.tell_peer(peer, Msg::AskHeaders { peer, locator }, cx);
    }

    /// The peer has nothing more to tell: the next one is asked.
    pub(super) fn peer_told_all(&mut self, peer: PeerId, cx: &mut Cx) {
        self.sync.complete = true;
        self.turn_over(peer, cx);
    }

    pub(super) fn turn_over(&mut self, peer: PeerId, cx: &mut Cx) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.silent = 0;
        }
        if self.sync.asked.is_some_and(|(asked, _)| asked == peer) {
            self.sync.asked = None;
        }
        self.ask_next_peer(cx);
    }

    fn unconnected(&mut self, peer: PeerId, cx: &mut Cx) {
        let known = self.peers.get_mut(&peer).expect("checked by the caller");
        known.unconnected += 1;
        if known.unconnected > UNCONNECTED_MAX {
            return self.punish(peer, format!("headers: {UNCONNECTED_MAX} times in a row without a known parent"), cx);
        }
        self.ask_headers(peer, cx);
    }

    /// Checks and stores headers that follow `start` one by one; the last node reached. Stops without
    /// blame at one from the future.
    pub(super) fn store_headers(&mut self, start: NodeId, headers: &[Header], cx: &mut Cx) -> Result<NodeId, Rule> {
        let mut parent = start;
        for header in headers {
            match self.store_header(parent, header, cx) {
                Ok(node) => parent = node,
                Err(rule) if rule.kind() == Kind::TooEarly => {
                    if self.sync.early.len() < EARLY_MAX && !self.sync.early.contains(header) {
                        self.sync.early.push_back(*header);
                    }
                    break;
                }
                Err(rule) => return Err(rule),
            }
        }
        self.find_best();
        Ok(parent)
    }

    pub(super) fn store_header(&mut self, parent: NodeId, header: &Header, cx: &Cx) -> Result<NodeId, Rule> {
        let before = self.tree.len();
        let node = self.insert_header(parent, header, cx)?;
        if self.tree.len() > before {
            self.adopt_orphans(self.tree.node(node).hash, cx);
        }
        Ok(node)
    }

    /// Without the records that wait for it: they may be a whole chain, too long to come down by recursion.
    pub(super) fn insert_header(&mut self, parent: NodeId, header: &Header, cx: &Cx) -> Result<NodeId, Rule> {
        let hash = header.hash();
        if let Some(known) = self.tree.find(&hash) {
            return match self.refused(known) {
                Some(_) => Err(Rule::DuplicateInvalid),
                None => Ok(known),
            };
        }
        if self.refused(parent).is_some() {
            return Err(Rule::BadPrevblk);
        }
        if self.refused_before.contains_key(&hash) {
            return Err(Rule::DuplicateInvalid);
        }
        let above = *self.tree.node(parent);
        check_header(&HeaderCx {
            params: self.config.params,
            height: above.height + 1,
            header,
            hash,
            parent: &above.header,
            mtp_parent: self.tree.median_time(parent),
            next_bits: self.tree.next_bits(self.config.params, parent, header.time),
            // What our own files hold was accepted once; a clock that is wrong now must not lose it.
            now_unix: if self.obtain.begun() { cx.unix } else { u64::MAX },
        })?;
        let node = self.tree.insert(parent, *header, hash);
        // Headers above a block invalidated by hand are kept, and held against nobody: it may be let in again.
        let out = self.life(parent).out || self.hand.marks.contains(&hash);
        self.lives.push(Life { out, ..UNBORN });
        assert_eq!(self.lives.len(), self.tree.len());
        if !out && self.work(node) > self.work(self.best) {
            self.best = node;
        }
        Ok(node)
    }

    /// The best header, anew from all of them: after it was refused, or invalidated by hand.
    pub(super) fn find_best(&mut self) {
        if !self.in_running(self.best) {
            let sound = (0..self.tree.len() as NodeId).filter(|node| self.in_running(*node));
            let better = |best, node| if self.work(node) > self.work(best) { node } else { best };
            self.best = sound.fold(0, better);
        }
    }

    /// A peer that has nothing beyond the parent of our best header, and never named a block: it most likely has our
    /// branch up to the height it claimed. If not it says so when asked.
    fn guess_best(&mut self, peer: PeerId) {
        let parent = self.tree.node(self.best).parent;
        let known = &self.peers[&peer];
        if known.best.is_none() {
            let height = known.start_height.min(self.height(parent));
            let node = self.tree.ancestor(parent, height).expect("not above");
            self.peer_has(peer, node);
        }
    }

    pub(super) fn peer_has(&mut self, peer: PeerId, node: NodeId) {
        let Some(known) = self.peers.get(&peer) else { return };
        let more = known.best.is_none_or(|best| best != node && self.work(node) >= self.work(best));
        let known = self.peers.get_mut(&peer).expect("just seen");
        known.unconnected = 0;
        if more {
            known.best = Some(node);
            self.fetch.peer_news(peer);
        }
        self.new_leaf(node);
    }

    pub(super) fn blocks_announced(&mut self, peer: PeerId, seq: Seq, hashes: &[BlockHash], cx: &mut Cx) {
        if self.peers.contains_key(&peer) {
            let known: Vec<NodeId> = hashes.iter().filter_map(|hash| self.tree.find(hash)).collect();
            known.into_iter().for_each(|node| self.peer_has(peer, node));
            if hashes.iter().any(|hash| self.tree.find(hash).is_none()) {
                let locator = self.tree.locator(self.best);
                self.tell_peer(peer, Msg::AskHeaders { peer, locator }, cx);
            }
        }
        self.settle(peer, seq, cx);
    }

    pub(super) fn tick_headers(&mut self, cx: &mut Cx) {
        if self.sync.asked.is_some_and(|(_, until)| cx.now_ms > until) {
            self.sync.asked = None;
        }
        let late = self.sync.owing.iter().filter(|(_, until)| cx.now_ms > **until);
        for peer in late.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            self.sync.owing.remove(&peer);
            let known = self.peers.get_mut(&peer).expect("a peer that is gone owes nothing");
            known.silent += 1;
            if known.silent > 1 {
                self.punish(peer, format!("getheaders: no answer in {} s, twice", ANSWER_MS / 1_000), cx);
            } else {
                self.sync.queue.push(peer);
            }
        }
        let late = self.sync.presyncs.iter().filter(|(_, (_, until))| cx.now_ms > *until);
        for peer in late.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            self.punish(peer, format!("getheaders: no answer in {} s", ANSWER_MS / 1_000), cx);
        }
        for _ in 0..self.sync.early.len() {
            let header = self.sync.early.pop_front().expect("counted");
            if let Some(parent) = self.tree.find(&header.prev)
                && let Ok(last) = self.store_headers(parent, &[header], cx)
                && self.tree.node(last).header == header
            {
                self.new_leaf(last);
                let peers: Vec<PeerId> = self.peers.keys().copied().collect();
                peers.into_iter().for_each(|peer| self.ask_headers(peer, cx));
            }
        }
        self.ask_next_peer(cx);
    }

    /// One line on who we are asking, for the page.
    pub(super) fn headers_from(&self) -> Option<String> {
        let (peer, _) = self.sync.asked?;
        Some(format!("asking {} for headers", self.peers.get(&peer)?.address))
    }
}

/// A queue of peers, each at most once.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<PeerId>);

impl Queue {
    pub(super) fn push(&mut self, peer: PeerId) {
        if !self.0.contains(&peer) {
            self.0.push_back(peer);
        }
    }

    pub(super) fn push_front(&mut self, peer: PeerId) {
        self.remove(peer);
        self.0.push_front(peer);
    }

    pub(super) fn pop(&mut self) -> Option<PeerId> {
        self.0.pop_front()
    }

    pub(super) fn remove(&mut self, peer: PeerId) {
        self.0.retain(|p| *p != peer);
    }
}
