//! When a block passed each point of its way: for people, nothing is decided by it. What is remembered is overwritten in time.

use super::{Chain, Stored, Verdict, WorldState};
use crate::metrics::Latency;
use crate::report::{Mark, Way};
use ledger::NodeId;
use std::collections::VecDeque;

/// Blocks remembered, each in the place of the one that came so many headers before it: more than are ever on their way.
const SLOTS: usize = 2_048;
/// Ways shown.
const WAYS: usize = 24;
/// Marks shown, and how many of them up to the tip.
const MARKS: u32 = 512;
const MARKS_BEHIND: u32 = 32;

/// Milliseconds on the node's clock.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    asked: Option<u64>,
    arrived: u64,
    begun: u64,
    checked: u64,
    valid: u64,
    durable: u64,
}

#[derive(Clone, Copy, Debug)]
struct Trail {
    node: NodeId,
    txs: u32,
    bytes: u32,
    times: Times,
}

/// A point that is passed after arrival.
#[derive(Clone, Copy, Debug)]
pub(super) enum Point {
    Begun,
    Checked,
    Valid,
    Durable,
}

/// All that is remembered.
#[derive(Debug, Default)]
pub(super) struct Trails {
    slots: Vec<Option<Trail>>,
    done: VecDeque<Trail>,
    latency: Latency,
}

impl Trails {
    /// A block came, of a peer that was asked for it then, or from a file.
    pub(super) fn arrived(&mut self, node: NodeId, asked: Option<u64>, (txs, bytes): (usize, usize), now_ms: u64) {
        self.slots.resize(SLOTS, None);
        let times = Times { asked, arrived: now_ms, ..Times::default() };
        self.slots[node as usize % SLOTS] = Some(Trail { node, txs: txs as u32, bytes: bytes as u32, times });
    }

    /// It passed this point.
    pub(super) fn passed(&mut self, node: NodeId, point: Point, now_ms: u64) {
        let slot = self.slots.get_mut(node as usize % SLOTS).and_then(Option::as_mut);
        let Some(trail) = slot.filter(|trail| trail.node == node) else { return };
        let times = &mut trail.times;
        match point {
            Point::Begun => times.begun = now_ms,
            Point::Checked => times.checked = now_ms,
            Point::Valid => times.valid = now_ms,
            Point::Durable => times.durable = now_ms,
        }
    }

    /// It is valid and durable: its way is at its end, if all of it was seen.
    pub(super) fn ended(&mut self, node: NodeId, now_ms: u64) {
        let Some(slot) = self.slots.get_mut(node as usize % SLOTS) else { return };
        let Some(trail) = slot.take_if(|trail| trail.node == node) else { return };
        if trail.times.begun == 0 {
            return;
        }
        self.latency.add((now_ms - trail.times.arrived) * 1_000);
        self.done.push_front(trail);
        self.done.truncate(WAYS);
    }
}

impl Chain {
    pub(super) fn ways(&self) -> (Vec<Way>, Latency) {
        let way = |trail: &Trail| {
            let (node, times) = (self.tree.node(trail.node), &trail.times);
            let between = |from: u64, to: u64| to.saturating_sub(from) as u32;
            Way {
                height: node.height,
                hash: node.hash,
                txs: trail.txs,
                bytes: trail.bytes,
                fetch: times.asked.map(|asked| between(asked, times.arrived)),
                wait: between(times.arrived, times.begun),
                check: between(times.begun, times.checked),
                order: between(times.checked, times.valid),
                // One that was read from blocks.bin lay there already.
                disk: between(times.arrived, times.durable),
            }
        };
        (self.trails.done.iter().map(way).collect(), self.trails.latency)
    }

    /// The height of the first, and how far each block from there on has come on the way to the best header.
    pub(super) fn marks(&self) -> (u32, Vec<Mark>) {
        let tip = self.tree.fork_of(self.tip, self.best);
        let from = self.height(tip).saturating_sub(MARKS_BEHIND);
        let last = self.height(self.best).min(from + MARKS - 1);
        let mut at = self.tree.ancestor(self.best, last).expect("below the best header");
        let mut marks = Vec::with_capacity((last + 1 - from) as usize);
        loop {
            marks.push(self.mark(at));
            if self.height(at) == from {
                break;
            }
            at = self.tree.node(at).parent;
        }
        marks.reverse();
        (from, marks)
    }

    fn mark(&self, node: NodeId) -> Mark {
        let life = self.life(node);
        let growing = || {
            let world = life.world.and_then(|world| self.worlds.get(&world));
            world.is_some_and(|world| matches!(world.state, WorldState::Growing(_)))
        };
        match (life.verdict, life.stored) {
            (Verdict::Valid, Stored::Durable) => Mark::Durable,
            (Verdict::Valid, _) => Mark::Verified,
            _ if growing() => Mark::Growing,
            _ if self.obtain.is_loading(node) => Mark::Loading,
            (_, Stored::Durable | Stored::Appending) => Mark::Received,
            _ if self.held.contains_key(&node) => Mark::Received,
            _ => self.fetch.asked_of(node).first().map_or(Mark::Wanted, |(peer, _)| Mark::Asked(*peer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_told_once_all_of_it_was_seen() {
        let mut trails = Trails::default();
        trails.passed(7, Point::Begun, 1);
        trails.ended(7, 2);
        trails.arrived(7, Some(10), (3, 500), 40);
        trails.passed(7 + SLOTS as NodeId, Point::Begun, 41);
        trails.passed(7, Point::Begun, 45);
        trails.passed(7, Point::Durable, 47);
        trails.passed(7, Point::Checked, 52);
        trails.passed(7, Point::Valid, 60);
        trails.ended(7, 60);
        trails.ended(7, 61);
        let [trail] = trails.done.make_contiguous() else { panic!("{:?}", trails.done) };
        let times = trail.times;
        assert_eq!((trail.txs, trail.bytes, times.asked, times.arrived), (3, 500, Some(10), 40));
        assert_eq!((times.begun, times.checked, times.valid, times.durable), (45, 52, 60, 47));
        assert_eq!((trails.latency.count(), trails.latency.within_us(1_000)), (1, Some(32_768)));
        // Another block took its place before it grew: nothing is told of either.
        trails.arrived(8, None, (1, 1), 70);
        trails.arrived(8 + SLOTS as NodeId, None, (1, 1), 71);
        trails.ended(8, 80);
        trails.ended(8 + SLOTS as NodeId, 80);
        assert_eq!(trails.done.len(), 1);
    }
}
