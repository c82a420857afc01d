//! Peers, a chain and a clock, simulated: drives the window and holds it to what must always be true.
//!
//! Never decides what a test expects to come of it.

use super::*;
use std::collections::VecDeque;

/// A simulated peer: delivers one block after another, `block_ms` each, `latency_ms` after the question.
#[derive(Clone)]
pub(super) struct SimPeer {
    pub(super) latency_ms: u64,
    pub(super) block_ms: u64,
    /// Highest block it has.
    pub(super) upto: BlockId,
    pub(super) silent_from_ms: u64,
    pub(super) gone_from_ms: u64,
    /// One block in so many is denied, or comes corrupted; 0 for none.
    pub(super) denies: u32,
    pub(super) corrupts: u32,
    pub(super) line: VecDeque<(u64, BlockId)>,
}

pub(super) const GOOD: SimPeer = SimPeer {
    latency_ms: 50,
    block_ms: 10,
    upto: u32::MAX,
    silent_from_ms: u64::MAX,
    gone_from_ms: u64::MAX,
    denies: 0,
    corrupts: 0,
    line: VecDeque::new(),
};

pub(super) struct Sim {
    pub(super) fetch: Fetch,
    pub(super) peers: BTreeMap<PeerId, SimPeer>,
    pub(super) now_ms: u64,
    pub(super) count: u32,
    /// Next block to connect; everything below is stored.
    pub(super) next: BlockId,
    pub(super) waiting: BTreeSet<BlockId>,
    pub(super) wanted_upto: BlockId,
    pub(super) let_go: Vec<PeerId>,
    pub(super) asked: BTreeMap<BlockId, u32>,
    pub(super) doubled: u32,
    pub(super) drop_one_in: u64,
    pub(super) seed: u64,
    pub(super) block_bytes: u32,
}

impl Sim {
    pub(super) fn new(limits: Limits, peers: &[SimPeer], count: u32) -> Sim {
        let mut fetch = Fetch::new(limits);
        let peers: BTreeMap<_, _> = (0..).zip(peers.iter().cloned()).collect();
        peers.keys().for_each(|id| fetch.peer_up(*id, 0));
        Sim {
            fetch,
            peers,
            now_ms: 0,
            count,
            next: 0,
            waiting: BTreeSet::new(),
            wanted_upto: 0,
            let_go: vec![],
            asked: BTreeMap::new(),
            doubled: 0,
            drop_one_in: 0,
            seed: 1,
            block_bytes: BLOCK,
        }
    }

    pub(super) fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn down(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
        self.fetch.peer_down(peer);
        assert_eq!(self.fetch.in_flight(peer), 0);
    }

    fn deliver(&mut self, peer: PeerId, block: BlockId) {
        let sim = &self.peers[&peer];
        if sim.denies != 0 && block.is_multiple_of(sim.denies) {
            return self.fetch.not_found(peer, block);
        }
        let corrupt = sim.corrupts != 0 && block.is_multiple_of(sim.corrupts);
        let was_missing = self.fetch.missing.contains(&(block, block));
        let arrival = self.fetch.arrived(Some(peer), block, self.block_bytes, self.now_ms);
        assert_eq!(arrival == Arrival::Asked, was_missing, "block {block} was asked of {peer}");
        if arrival != Arrival::Asked {
            return;
        }
        if corrupt {
            return self.fetch.refused_from(peer, block);
        }
        assert!(self.waiting.insert(block));
        self.fetch.parked(block, self.block_bytes);
        while self.waiting.remove(&self.next) {
            self.fetch.forget(self.next);
            self.next += 1;
        }
    }

    pub(super) fn ask(&mut self) {
        let window = self.fetch.limits.window as u32;
        while self.wanted_upto < self.count.min(self.next + 2 * window) {
            self.fetch.want(self.wanted_upto, self.wanted_upto);
            self.wanted_upto += 1;
        }
        let upto: BTreeMap<PeerId, BlockId> = self.peers.iter().map(|(id, peer)| (*id, peer.upto)).collect();
        let mut asks = Vec::new();
        let lowest = self.fetch.lowest_missing();
        self.fetch.assign(self.now_ms, &|peer, block| block <= upto[&peer], &mut asks);
        for (id, block) in asks {
            let lowest = lowest.expect("nothing is asked while nothing is missing");
            assert!(block < lowest + window);
            assert!(self.fetch.asked_of(block).len() <= 2);
            assert!(self.fetch.in_flight(id) <= self.fetch.limits.per_peer_max + 1);
            *self.asked.entry(block).or_default() += 1;
            if self.fetch.asked_of(block).len() == 2 {
                assert_eq!(block, lowest, "only the lowest is asked twice");
                self.doubled += 1;
            }
            let peer = self.peers.get_mut(&id).expect("only peers that are there are asked");
            assert!(block <= peer.upto, "{id} lacks {block}");
            let free_ms = peer.line.back().map_or(0, |(due, _)| *due);
            let due = (self.now_ms + peer.latency_ms).max(free_ms) + peer.block_ms;
            peer.line.push_back((due, block));
        }
    }

    /// Ten milliseconds.
    pub(super) fn step(&mut self) {
        self.now_ms += 10;
        for id in self.peers.keys().copied().collect::<Vec<_>>() {
            if self.peers[&id].gone_from_ms <= self.now_ms {
                self.down(id);
                continue;
            }
            while let Some(&(due, block)) = self.peers[&id].line.front()
                && due <= self.now_ms
                && self.peers[&id].silent_from_ms > self.now_ms
            {
                self.peers.get_mut(&id).expect("it is there").line.pop_front();
                self.deliver(id, block);
                self.ask();
            }
        }
        while let Some(block) = self.fetch.over_credit(|_| false) {
            self.waiting.remove(&block);
            self.fetch.dropped(block);
        }
        if self.drop_one_in != 0
            && self.random().is_multiple_of(self.drop_one_in)
            && let Some(block) = self.waiting.pop_last()
        {
            self.fetch.dropped(block);
        }
        self.ask();
        for id in self.fetch.stalled(self.now_ms) {
            self.let_go.push(id);
            self.down(id);
        }
        let owed: usize = self.fetch.peers.values().map(|peer| peer.asked.len()).sum();
        assert_eq!(owed as u64, self.fetch.in_flight);
    }

    /// Until everything is stored; how long that took, milliseconds.
    pub(super) fn run(&mut self, limit_ms: u64) -> u64 {
        self.ask();
        while self.next < self.count {
            self.step();
            assert!(self.now_ms < limit_ms, "stuck at block {} of {}", self.next, self.count);
        }
        assert!(self.fetch.is_idle() && self.fetch.wanted_len() == 0 && self.fetch.parked_bytes() == 0);
        self.now_ms
    }
}
