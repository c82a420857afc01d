//! Decides who is asked for which block: a window that moves up the chain, filled from all peers at once.
//!
//! ```text
//!   height →   lowest missing                      window's end
//!   ───────────────▼───────────────────────────────────▼───────────────
//!   forgotten      ?  #  #  ?  ?  #  ?  .  .  .  .  .  |  .  .  .  .
//!                  # arrived   ? asked of a peer   . open
//! ```
//!
//! Never sees a block, a header or a message: blocks are dense ids with a height, peers are numbers, time is an argument.
//! Whether a peer has a block is the caller's to say. Nothing here is iterated in hash order, so the same calls give the
//! same answers.

mod assign;
mod pace;
#[cfg(test)]
mod tests;

use pace::Pace;
use std::collections::{BTreeMap, BTreeSet};

/// A peer, as the caller numbers it.
pub type PeerId = u64;
/// A block, as the caller numbers it.
pub type BlockId = u32;
/// Order of the window: by height, then by id.
type Key = (u32, BlockId);

/// Heights from here on are of blocks that are wanted after all others: they have a window of their own, so that one of the
/// others that nobody sends does not keep them out.
pub const BEHIND: u32 = 1 << 31;

/// Credit always left for the lowest missing block, bytes: the largest block (Core `MAX_BLOCK_SERIALIZED_SIZE`).
pub const LOWEST_BLOCK_RESERVE_BYTES: u64 = 4_000_000;
/// Expected block size before any has come, bytes. High, so that the first asks cannot overrun the credit.
const BLOCK_BYTES_FIRST: u64 = 1_000_000;
/// The stall time-out grows to this many times its base: 2 s to 64 s (Core `BLOCK_STALLING_TIMEOUT_MAX`).
const STALL_GROWTH_MAX: u64 = 32;
/// A peer that delivers nothing for this many stall time-outs (30 s) loses its blocks.
const SILENT_PER_STALL: u64 = 15;
/// Given nothing for this many base stall time-outs (2 minutes) because it delivers nothing: should be let go.
const GRACE_PER_STALL: u64 = 60;
/// Held the window up this often, with fewer than `CALM_BLOCKS` deliveries in between: should be let go.
const STRIKES_MAX: u32 = 3;
const CALM_BLOCKS: u32 = 16;
/// How long a peer's "I lack this block", or "nobody has it", is believed before the caller is asked again, milliseconds.
const RESCAN_MS: u64 = 1_000;
const RETRY_MS: u64 = 100;

/// The bounds of the download.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Heights from the lowest missing block on that may be asked for. `want` should reach past it: a window that is full
    /// is seen by the block waiting behind it.
    pub window: usize,
    /// Fewest blocks a healthy peer may owe at a time.
    pub per_peer_min: u32,
    /// Most blocks a peer may owe at a time; one more when it helps out with the lowest.
    pub per_peer_max: u32,
    /// Base of every time-out here, milliseconds; 2,000 as in Core (`BLOCK_STALLING_TIMEOUT_DEFAULT`).
    pub stall_ms: u64,
    /// Bytes of parked blocks and of expected ones together.
    pub bytes_credit: u64,
}

/// What a block that came was to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Wanted, and asked of this peer: take it.
    Asked,
    /// Asked, but another copy came first, or it is no longer wanted: drop it, blame nobody.
    Duplicate,
    /// Never asked of this peer: drop it.
    NotAsked,
}

#[derive(Debug)]
struct Wanted {
    height: u32,
    arrived: bool,
    parked_bytes: u64,
    /// Who was asked, when, in milliseconds; the first is who is waited for.
    asked: Vec<(PeerId, u64)>,
    /// Given up on, and when, in milliseconds: a copy is still welcome, and asked for again only much later.
    late: Vec<(PeerId, u64)>,
    /// Does not have it, or sent bad bytes for it: never asked for it again.
    barred: Vec<PeerId>,
}

#[derive(Debug)]
struct Peer {
    /// Blocks owed and when they were asked, oldest first.
    asked: Vec<(BlockId, u64)>,
    pace: Pace,
    heard_ms: u64,
    /// Since when it is given nothing because it delivers nothing.
    silent_ms: Option<u64>,
    strikes: u32,
    calm: u32,
    /// Every open block below this one was refused for this peer since `cursor_ms`.
    cursor: Key,
    cursor_ms: u64,
    reported: bool,
}

impl Peer {
    fn has_room(&self) -> bool {
        !self.reported && self.silent_ms.is_none() && (self.asked.len() as u32) < self.pace.allowance()
    }
}

/// The download of all wanted blocks from all peers.
#[derive(Debug)]
pub struct Fetch {
    limits: Limits,
    wanted: BTreeMap<BlockId, Wanted>,
    /// Wanted and not arrived.
    missing: BTreeSet<Key>,
    /// Missing and not asked of anybody.
    open: BTreeSet<Key>,
    parked: BTreeSet<Key>,
    parked_bytes: u64,
    peers: BTreeMap<PeerId, Peer>,
    in_flight: u64,
    /// Running means over all peers.
    block_bytes: u64,
    latency_ms: u64,
    /// The stall time-out as it is now: doubles when a peer is let go, shrinks as the window moves.
    stall_ms: u64,
    /// The lowest missing block while a peer with room waits for the window to move, and since when.
    stuck: Option<(BlockId, u64)>,
    /// Blocks that wait for nothing but their bytes.
    hurried: Vec<BlockId>,
    /// Blocks that no peer could be found for, and when to look again.
    retry: BTreeMap<BlockId, u64>,
}

impl Fetch {
    /// Nothing wanted, nobody there.
    pub fn new(limits: Limits) -> Fetch {
        assert!(limits.window >= 1);
        assert!(limits.per_peer_min >= 1);
        assert!(limits.per_peer_min <= limits.per_peer_max);
        assert!(limits.stall_ms >= 8);
        Fetch {
            stall_ms: limits.stall_ms,
            latency_ms: limits.stall_ms / 4,
            block_bytes: BLOCK_BYTES_FIRST,
            limits,
            wanted: BTreeMap::new(),
            missing: BTreeSet::new(),
            open: BTreeSet::new(),
            parked: BTreeSet::new(),
            parked_bytes: 0,
            peers: BTreeMap::new(),
            in_flight: 0,
            stuck: None,
            hurried: Vec::new(),
            retry: BTreeMap::new(),
        }
    }

    /// A peer to ask. It starts with the smallest allowance.
    pub fn peer_up(&mut self, peer: PeerId, now_ms: u64) {
        self.retry.clear();
        self.peers.entry(peer).or_insert_with(|| Peer {
            asked: Vec::new(),
            pace: Pace::new(&self.limits, now_ms),
            heard_ms: now_ms,
            silent_ms: None,
            strikes: 0,
            calm: 0,
            cursor: (0, 0),
            cursor_ms: now_ms,
            reported: false,
        });
    }

    /// A peer is gone: its blocks are open to others at once, and nothing of it is remembered.
    pub fn peer_down(&mut self, peer: PeerId) {
        self.lose(peer, usize::MAX, 0);
        if self.peers.remove(&peer).is_some() {
            for wanted in self.wanted.values_mut() {
                wanted.late.retain(|(id, _)| *id != peer);
                wanted.barred.retain(|id| *id != peer);
            }
        }
        self.retry.clear();
    }

    /// This peer may have blocks that it lacked before. Without this call that is noticed within a second.
    pub fn peer_news(&mut self, peer: PeerId) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.cursor = (0, 0);
            self.retry.clear();
        }
    }

    /// This block is needed. Saying so twice changes nothing.
    pub fn want(&mut self, block: BlockId, height: u32) {
        if let Some(known) = self.wanted.get(&block) {
            assert_eq!(known.height, height);
            return;
        }
        let fresh = Wanted { height, arrived: false, parked_bytes: 0, asked: vec![], late: vec![], barred: vec![] };
        self.wanted.insert(block, fresh);
        self.reopen(block);
    }

    /// Of these the parents are in hand, so that they need not wait here once they came: they are asked for whatever the
    /// credit says, or blocks that wait for one that nobody has would keep them out for good.
    pub fn hurry(&mut self, blocks: Vec<BlockId>) {
        self.hurried = blocks;
    }

    /// This block is no longer needed: stored, invalid, or off the best chain.
    pub fn forget(&mut self, block: BlockId) {
        self.released(block);
        if let Some(known) = self.wanted.remove(&block) {
            self.missing.remove(&(known.height, block));
            self.open.remove(&(known.height, block));
        }
    }

    /// A block of this many bytes came from this peer, or (`None`) from some other source, which is always welcome.
    pub fn arrived(&mut self, peer: Option<PeerId>, block: BlockId, bytes: u32, now_ms: u64) -> Arrival {
        let owed = peer.is_some_and(|id| self.delivered(id, block, bytes, now_ms));
        let Some(known) = self.wanted.get_mut(&block) else {
            return if owed { Arrival::Duplicate } else { Arrival::NotAsked };
        };
        if known.arrived {
            return Arrival::Duplicate;
        }
        if !owed && peer.is_some_and(|id| known.late.iter().all(|(late, _)| *late != id)) {
            return Arrival::NotAsked;
        }
        known.arrived = true;
        let key = (known.height, block);
        let askers = std::mem::take(&mut known.asked);
        if self.missing.first() == Some(&key) {
            // Back to its base by 15 % a block, as in Core's BlockConnected.
            self.stall_ms = (self.stall_ms * 85 / 100).max(self.limits.stall_ms);
        }
        self.missing.remove(&key);
        self.open.remove(&key);
        if let Some(peer) = peer {
            self.heard(peer, now_ms);
            if let Some(&(first, since)) = askers.first()
                && first != peer
            {
                self.overtaken(first, since, now_ms);
            }
        }
        Arrival::Asked
    }

    /// An arrived block waits in memory with this many bytes. Counts against the credit until it is released, dropped or
    /// forgotten. Ignored for a block that is not wanted or has not arrived.
    pub fn parked(&mut self, block: BlockId, bytes: u32) {
        self.released(block);
        if let Some(known) = self.wanted.get_mut(&block).filter(|known| known.arrived) {
            known.parked_bytes = u64::from(bytes);
            self.parked_bytes += known.parked_bytes;
            self.parked.insert((known.height, block));
        }
    }

    /// A parked block's bytes no longer wait here.
    pub fn released(&mut self, block: BlockId) {
        if let Some(known) = self.wanted.get_mut(&block) {
            self.parked_bytes -= std::mem::take(&mut known.parked_bytes);
            self.parked.remove(&(known.height, block));
        }
    }

    /// The parked block to drop first (the highest) while parked blocks leave no room for the lowest missing one; none
    /// that `goes_on`, as it waits for no other.
    pub fn over_credit(&self, goes_on: impl Fn(BlockId) -> bool) -> Option<BlockId> {
        let over = self.parked_bytes + LOWEST_BLOCK_RESERVE_BYTES > self.limits.bytes_credit;
        let mut parked = self.parked.iter().rev().filter(|_| over && !self.missing.is_empty());
        parked.find(|key| !goes_on(key.1)).map(|key| key.1)
    }

    /// An arrived block was dropped to free memory: wanted again.
    pub fn dropped(&mut self, block: BlockId) {
        self.released(block);
        if let Some(known) = self.wanted.get_mut(&block) {
            known.arrived = false;
            self.reopen(block);
        }
    }

    /// This peer says that it lacks the block: it is not asked for it again.
    pub fn not_found(&mut self, peer: PeerId, block: BlockId) {
        if let Some(at) = self.owed(peer, block) {
            self.lose_at(peer, at);
        }
        if let Some(known) = self.wanted.get_mut(&block)
            && self.peers.contains_key(&peer)
            && !known.barred.contains(&peer)
        {
            known.barred.push(peer);
        }
    }

    /// The bytes that this peer sent for the block were bad: wanted again, of another.
    pub fn refused_from(&mut self, peer: PeerId, block: BlockId) {
        self.not_found(peer, block);
        self.dropped(block);
    }

    /// Asks for whatever may be asked for now, appending to `out`. To be called after every change, and every 100 ms or so
    /// while anything is missing. `has` says whether a peer has a block; it is called about once per block and peer.
    pub fn assign(&mut self, now_ms: u64, has: &dyn Fn(PeerId, BlockId) -> bool, out: &mut Vec<(PeerId, BlockId)>) {
        self.expire(now_ms);
        self.fill(now_ms, has, out);
        self.ask_first(now_ms, has, out);
        self.note_stuck(now_ms, has);
    }

    /// Peers that should be disconnected, each named once: who keeps the full window from moving for longer than the stall
    /// time-out (which doubles each time, in case it is our own line that is slow), who held it up repeatedly, who sends
    /// nothing.
    pub fn stalled(&mut self, now_ms: u64) -> Vec<PeerId> {
        let mut out = Vec::new();
        if let Some((block, since)) = self.stuck
            && let Some(&(peer, asked_ms)) = self.wanted.get(&block).and_then(|known| known.asked.first())
            && now_ms.saturating_sub(since.max(asked_ms)) >= self.stall_ms
        {
            out.push(peer);
            self.stuck = None;
        }
        let grace_ms = self.limits.stall_ms * GRACE_PER_STALL;
        let hopeless = |peer: &Peer| {
            peer.strikes >= STRIKES_MAX || peer.silent_ms.is_some_and(|since| now_ms.saturating_sub(since) >= grace_ms)
        };
        out.extend(self.peers.iter().filter(|(_, peer)| hopeless(peer)).map(|(id, _)| *id));
        out.sort_unstable();
        out.dedup();
        out.retain(|id| self.peers.get_mut(id).is_some_and(|peer| !std::mem::replace(&mut peer.reported, true)));
        for &peer in &out {
            self.lose(peer, usize::MAX, now_ms);
            self.slow_down();
        }
        out
    }

    /// Who is asked for this block now, and since when (milliseconds); the first is who is waited for.
    pub fn asked_of(&self, block: BlockId) -> &[(PeerId, u64)] {
        self.wanted.get(&block).map_or(&[], |known| &known.asked)
    }

    /// Blocks that this peer owes us.
    pub fn in_flight(&self, peer: PeerId) -> u32 {
        self.peers.get(&peer).map_or(0, |known| known.asked.len() as u32)
    }

    /// Blocks that this peer may owe us at a time, as its speed stands.
    pub fn allowance(&self, peer: PeerId) -> u32 {
        self.peers.get(&peer).map_or(0, |known| known.pace.allowance())
    }

    /// This peer's speed, bytes per second; 0 while unknown.
    pub fn bytes_per_s(&self, peer: PeerId) -> u64 {
        self.peers.get(&peer).map_or(0, |known| known.pace.bytes_per_s())
    }

    /// Whether nothing is missing.
    pub fn is_idle(&self) -> bool {
        self.missing.is_empty()
    }

    /// Blocks wanted, arrived ones that are not yet forgotten included.
    pub fn wanted_len(&self) -> usize {
        self.wanted.len()
    }

    /// Blocks wanted that have not arrived.
    pub fn missing_len(&self) -> usize {
        self.missing.len()
    }

    /// The block that everything waits for.
    pub fn lowest_missing(&self) -> Option<BlockId> {
        self.missing.first().map(|key| key.1)
    }

    /// Whether this block is wanted and has not arrived.
    pub fn is_missing(&self, block: BlockId) -> bool {
        self.wanted.get(&block).is_some_and(|wanted| !wanted.arrived)
    }

    /// Bytes of parked blocks.
    pub fn parked_bytes(&self) -> u64 {
        self.parked_bytes
    }
}
