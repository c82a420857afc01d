//! Decides, inside one call of `assign`, which open block goes to which peer, which asks have been out for too long, and
//! who gives a block that holds others up a second try.
//!
//! Costs a step per peer, one per block assigned, and one per block that a peer turns out to lack: never a walk over the
//! window for each peer. Never changes what is wanted.

use super::*;
use std::cmp::Reverse;
use std::ops::Range;

type Has<'a> = &'a dyn Fn(PeerId, BlockId) -> bool;

impl Fetch {
    /// Whether more than one of those who are there was asked for this block, or is not asked for it any more.
    pub fn was_asked(&self, block: BlockId) -> bool {
        let asked = |known: &Wanted| known.asked.len() > 1 || !known.late.is_empty() || !known.barred.is_empty();
        self.wanted.get(&block).is_some_and(asked)
    }

    /// Missing from now on and, unless somebody is being asked for it, open to every peer.
    pub(super) fn reopen(&mut self, block: BlockId) {
        let Some(known) = self.wanted.get(&block).filter(|known| !known.arrived) else { return };
        let key = (known.height, block);
        self.missing.insert(key);
        if known.asked.is_empty() {
            self.open.insert(key);
            for peer in self.peers.values_mut() {
                peer.cursor = peer.cursor.min(key);
            }
        }
    }

    /// Where in the peer's list of owed blocks this one is.
    pub(super) fn owed(&self, peer: PeerId, block: BlockId) -> Option<usize> {
        self.peers.get(&peer)?.asked.iter().position(|(owed, _)| *owed == block)
    }

    /// The peer does not owe its `at`th block any more; the block is open if nobody else does.
    pub(super) fn lose_at(&mut self, peer: PeerId, at: usize) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        let (block, _) = known.asked.remove(at);
        if known.asked.is_empty() {
            known.pace.idle(known.heard_ms);
        }
        self.in_flight -= 1;
        if let Some(wanted) = self.wanted.get_mut(&block) {
            wanted.asked.retain(|(id, _)| *id != peer);
            self.reopen(block);
        }
    }

    /// Gives up on the oldest `count` blocks that the peer owes.
    pub(super) fn lose(&mut self, peer: PeerId, count: usize, now_ms: u64) {
        for _ in 0..count {
            let Some(&(block, _)) = self.peers.get(&peer).and_then(|known| known.asked.first()) else { break };
            self.lose_at(peer, 0);
            if let Some(wanted) = self.wanted.get_mut(&block) {
                wanted.late.retain(|(id, _)| *id != peer);
                wanted.late.push((peer, now_ms));
            }
        }
    }

    /// Books a delivery to the peer's account; whether it owed the block.
    pub(super) fn delivered(&mut self, peer: PeerId, block: BlockId, bytes: u32, now_ms: u64) -> bool {
        let Some(at) = self.owed(peer, block) else { return false };
        let Some(known) = self.peers.get_mut(&peer) else { return false };
        let (_, since) = known.asked.remove(at);
        self.in_flight -= 1;
        self.latency_ms = (self.latency_ms * 7 + now_ms.saturating_sub(since)) / 8;
        self.block_bytes = (self.block_bytes * 15 + u64::from(bytes)) / 16;
        known.pace.delivered(bytes, now_ms, self.block_bytes, &self.limits);
        if known.asked.is_empty() {
            known.pace.idle(now_ms);
        }
        known.calm += 1;
        if known.calm >= CALM_BLOCKS {
            (known.calm, known.strikes) = (0, 0);
        }
        self.heard(peer, now_ms);
        true
    }

    pub(super) fn heard(&mut self, peer: PeerId, now_ms: u64) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.heard_ms = now_ms;
            known.silent_ms = None;
        }
    }

    /// The peer, asked at `since_ms`, was overtaken at a block. If it has sent nothing since then, or has held us up for a
    /// whole stall time-out, all it owes goes to others; in the first case it is given nothing more until it delivers.
    pub(super) fn overtaken(&mut self, peer: PeerId, since_ms: u64, now_ms: u64) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        let silent = known.heard_ms <= since_ms;
        let stalled = now_ms.saturating_sub(since_ms) >= self.stall_ms;
        if silent {
            known.silent_ms.get_or_insert(now_ms);
        }
        if stalled {
            known.strikes += 1;
            known.calm = 0;
        }
        if silent || stalled {
            known.pace.halve(&self.limits);
            self.lose(peer, usize::MAX, now_ms);
        }
    }

    /// Lengthens the time-outs, in case it is our own line that is slow.
    pub(super) fn slow_down(&mut self) {
        self.stall_ms = (self.stall_ms * 2).min(self.limits.stall_ms * STALL_GROWTH_MAX);
    }

    /// How long an ask may stay unanswered, milliseconds.
    pub(super) fn silence_ms(&self) -> u64 {
        self.stall_ms * SILENT_PER_STALL
    }

    /// Asks that are too old go to others; a peer that was silent all that time loses everything it owes and is given
    /// nothing more until it delivers.
    pub(super) fn expire(&mut self, now_ms: u64) {
        let limit_ms = self.silence_ms();
        let old = |since: u64| now_ms.saturating_sub(since) >= limit_ms;
        let mut expired = Vec::new();
        for (&id, peer) in &mut self.peers {
            let count = peer.asked.iter().take_while(|(_, since)| old(*since)).count();
            if count == 0 {
                continue;
            }
            let silent = old(peer.heard_ms);
            if silent {
                peer.silent_ms.get_or_insert(now_ms);
            }
            peer.pace.halve(&self.limits);
            expired.push((id, if silent { usize::MAX } else { count }));
        }
        if !expired.is_empty() {
            self.slow_down();
        }
        for (id, count) in expired {
            self.lose(id, count, now_ms);
        }
    }

    /// The lowest missing block, and those that are hurried, are asked for whatever the credit and the allowances
    /// say; a second time when the first asker takes long.
    pub(super) fn ask_first(&mut self, now_ms: u64, has: Has, out: &mut Vec<(PeerId, BlockId)>) {
        self.retry.retain(|_, at| now_ms < *at);
        let lowest = self.missing.first().map(|key| key.1);
        let hurried = self.hurried.iter().copied().filter(|block| Some(*block) != lowest);
        for block in lowest.into_iter().chain(hurried).collect::<Vec<_>>() {
            let Some(wanted) = self.wanted.get(&block).filter(|wanted| !wanted.arrived) else { continue };
            let due = match *wanted.asked {
                [] => true,
                [(_, since)] => now_ms.saturating_sub(since) >= self.patience_ms(),
                _ => false,
            };
            if !due || self.retry.contains_key(&block) {
                continue;
            }
            match self.helper(block, now_ms, has) {
                Some(peer) => self.ask(peer, (wanted.height, block), now_ms, out),
                None => {
                    self.retry.insert(block, now_ms + RETRY_MS);
                }
            }
        }
    }

    /// How long the lowest block's first asker is waited for: twice the usual while arrived blocks wait on it.
    fn patience_ms(&self) -> u64 {
        let usual_ms = self.latency_ms * 2;
        let others_wait = self.wanted.len() > self.missing.len() || self.stuck.is_some();
        if others_wait {
            usual_ms.clamp(self.limits.stall_ms / 8, self.stall_ms)
        } else {
            usual_ms.max(self.stall_ms * 2)
        }
    }

    /// Whether this peer may be asked for this block, leaving aside whether it has it.
    fn eligible(&self, id: PeerId, peer: &Peer, block: BlockId, now_ms: u64) -> bool {
        let wanted = &self.wanted[&block];
        let too_soon = |at: u64| now_ms.saturating_sub(at) < self.silence_ms();
        !peer.reported
            && !wanted.barred.contains(&id)
            && !wanted.late.iter().any(|&(late, at)| late == id && too_soon(at))
            && !peer.asked.iter().any(|(owed, _)| *owed == block)
    }

    /// The best peer for a block that cannot wait: rather one that delivers, that has room, that is fast.
    fn helper(&self, block: BlockId, now_ms: u64, has: Has) -> Option<PeerId> {
        let fit = |id: PeerId, peer: &Peer| {
            let room = peer.asked.len() as u32 <= self.limits.per_peer_max;
            room && self.eligible(id, peer, block, now_ms) && has(id, block)
        };
        let rank =
            |id: PeerId, peer: &Peer| (peer.silent_ms.is_none(), peer.has_room(), peer.pace.bytes_per_s(), Reverse(id));
        let fitting = self.peers.iter().filter(|(id, peer)| fit(**id, peer));
        fitting.max_by_key(|(id, peer)| rank(**id, peer)).map(|(id, _)| *id)
    }

    fn ask(&mut self, peer: PeerId, key: Key, now_ms: u64, out: &mut Vec<(PeerId, BlockId)>) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        known.asked.push((key.1, now_ms));
        known.pace.asked(now_ms);
        self.in_flight += 1;
        self.open.remove(&key);
        if let Some(wanted) = self.wanted.get_mut(&key.1) {
            wanted.asked.push((peer, now_ms));
        }
        out.push((peer, key.1));
    }

    /// Whether one more block fits beside what is parked, what is expected and what is kept for the lowest.
    fn has_credit(&self) -> bool {
        let expected = (self.in_flight + 1) * self.block_bytes;
        self.parked_bytes + expected + LOWEST_BLOCK_RESERVE_BYTES <= self.limits.bytes_credit
    }

    /// The window, and that of the blocks behind all others: empty where none of them is missing.
    fn windows(&self) -> [Range<Key>; 2] {
        let window = u32::try_from(self.limits.window).unwrap_or(u32::MAX);
        [(0, BEHIND), (BEHIND, u32::MAX)].map(|(from, to)| {
            let lowest = self.missing.range((from, 0)..(to, 0)).next();
            (from, 0)..lowest.map_or((from, 0), |lowest| (lowest.0.saturating_add(window).min(to), 0))
        })
    }

    /// Deals the windows' open blocks to the peers with room, lowest first, fastest peer first, one each in turn.
    pub(super) fn fill(&mut self, now_ms: u64, has: Has, out: &mut Vec<(PeerId, BlockId)>) {
        for window in self.windows() {
            self.fill_window(&window, now_ms, has, out);
        }
    }

    fn fill_window(&mut self, window: &Range<Key>, now_ms: u64, has: Has, out: &mut Vec<(PeerId, BlockId)>) {
        if self.open.range(window.clone()).next().is_none() {
            return;
        }
        let mut takers = Vec::new();
        for (&id, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.has_room()) {
            if now_ms.saturating_sub(peer.cursor_ms) >= RESCAN_MS {
                (peer.cursor, peer.cursor_ms) = ((0, 0), now_ms);
            }
            let cursor = peer.cursor.max(window.start);
            if cursor < window.end && self.open.range(cursor..window.end).next().is_some() {
                takers.push((Reverse(peer.pace.bytes_per_s()), id));
            }
        }
        takers.sort_unstable();
        while !takers.is_empty() && self.has_credit() {
            takers.retain(|&(_, id)| {
                if !self.has_credit() {
                    return false;
                }
                let Some(key) = self.next_for(id, window, now_ms, has) else { return false };
                self.ask(id, key, now_ms, out);
                self.peers[&id].has_room()
            });
        }
    }

    /// The lowest open block for this peer from its cursor on. The cursor moves past what it cannot give.
    fn next_for(&mut self, id: PeerId, window: &Range<Key>, now_ms: u64, has: Has) -> Option<Key> {
        let peer = self.peers.get(&id)?;
        let cursor = peer.cursor.max(window.start);
        if cursor >= window.end {
            return None;
        }
        let mut open = self.open.range(cursor..window.end).copied();
        let found = open.find(|key| self.eligible(id, peer, key.1, now_ms) && has(id, key.1));
        self.peers.get_mut(&id)?.cursor = found.unwrap_or(window.end);
        found
    }

    /// Notices that a peer with room waits for the window, or its credit, to move: Core's stalling condition.
    pub(super) fn note_stuck(&mut self, now_ms: u64, has: Has) {
        let blocker = self.missing.first().map(|key| key.1);
        let first = blocker.and_then(|block| self.wanted[&block].asked.first());
        // What waits behind all others does not wait for the window.
        let [Range { end, .. }, _] = self.windows();
        let beyond = || self.open.range(end..(BEHIND, 0).max(end)).next();
        let behind = if self.has_credit() { beyond() } else { self.open.first() };
        let (Some(block), Some(&(holder, _)), Some(behind)) = (blocker, first, behind) else {
            self.stuck = None;
            return;
        };
        let waits = |id: PeerId, peer: &Peer| id != holder && peer.has_room() && has(id, behind.1);
        if !self.peers.iter().any(|(id, peer)| waits(*id, peer)) {
            self.stuck = None;
        } else if self.stuck.is_none_or(|(since, _)| since != block) {
            self.stuck = Some((block, now_ms));
        }
    }
}
