//! Chains that have not shown enough work yet: watched through `wire::presync`, a few at a time, and stored only once they
//! have. Nothing of the others stays behind.

use super::Chain;
use super::headers::ANSWER_MS;
use crate::Cx;
use crate::effect::Level;
use crate::msg::PeerId;
use consensus::Header;
use ledger::NodeId;
use wire::presync::{Outcome, Presync, Start};

/// Chains in presync at once: an attacker's must not keep an honest one waiting.
const PRESYNCS_MAX: usize = 4;
const _: () = assert!(PRESYNCS_MAX > 1);

impl Chain {
    /// A chain with too little work so far: watched through presync if it goes on, else ignored.
    pub(super) fn low_work(&mut self, peer: PeerId, start: NodeId, headers: &[Header], full: bool, cx: &mut Cx) {
        if full && self.sync.presyncs.len() >= PRESYNCS_MAX && !self.peers[&peer].inbound {
            // One that we chose ourselves goes before those that came to us.
            let guest = self.sync.presyncs.keys().find(|other| self.peers[*other].inbound).copied();
            guest.map(|guest| self.sync.presyncs.remove(&guest));
        }
        if full && self.sync.presyncs.len() >= PRESYNCS_MAX {
            self.sync.patient.push(peer);
            return self.turn_over(peer, cx);
        }
        if !full {
            cx.log(Level::Debug, format!("peer {peer}: headers of a chain with too little work are ignored"));
            return self.turn_over(peer, cx);
        }
        let node = self.tree.node(start);
        let from = Start {
            hash: node.hash,
            height: node.height,
            work: node.work,
            bits: node.header.bits,
            mtp: self.tree.median_time(start),
        };
        let salt = [cx.rng.bits(), cx.rng.bits()];
        let mut presync = Presync::new(self.config.params, from, self.work_wanted(), salt, cx.unix);
        // It no longer holds up the others.
        if self.sync.asked.is_some_and(|(asked, _)| asked == peer) {
            self.sync.asked = None;
            self.ask_next_peer(cx);
        }
        if self.presync_step(peer, &mut presync, headers, full, cx) {
            self.sync.presyncs.insert(peer, (presync, cx.now_ms + ANSWER_MS));
        }
    }

    /// Peers that found every slot taken are asked again once one is free.
    pub(super) fn presync_slot_free(&mut self) {
        while self.sync.presyncs.len() < PRESYNCS_MAX
            && let Some(peer) = self.sync.patient.pop()
        {
            self.sync.queue.push(peer);
        }
    }

    /// One batch through presync; whether it goes on.
    pub(super) fn presync_step(
        &mut self,
        peer: PeerId,
        presync: &mut Presync,
        batch: &[Header],
        full: bool,
        cx: &mut Cx,
    ) -> bool {
        let step = presync.headers(batch, full);
        if let Some(first) = step.store.first() {
            let parent = self.tree.find(&first.prev);
            let stored = parent.map(|parent| self.store_headers(parent, &step.store, cx));
            match stored {
                Some(Ok(last)) => self.peer_has(peer, last),
                Some(Err(rule)) => {
                    self.punish(peer, format!("{rule}: {}", rule.must()), cx);
                    return false;
                }
                None => return false,
            }
        }
        match step.outcome {
            Outcome::Failed(why) => {
                self.punish(peer, format!("headers: {why}"), cx);
                return false;
            }
            Outcome::Short => cx.log(
                Level::Info,
                format!("peer {peer}: its chain of {} headers has too little work", presync.height_seen()),
            ),
            Outcome::Continue | Outcome::Done => {}
        }
        let over = step.outcome != Outcome::Continue;
        if step.more || step.outcome == Outcome::Done && full {
            let locator = if over { self.tree.locator(self.best) } else { vec![presync.locator()] };
            self.ask_on(peer, locator, cx);
        } else {
            self.peer_told_all(peer, cx);
        }
        !over
    }
}
