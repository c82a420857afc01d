//! The addresses of nodes that this node knows: which to keep, which to dial next, which to pass on.
//!
//! Decides how many addresses one source may fill in, which are hopeless, and how soon a failed one is tried again.
//! Never resolves a name, never dials, and never knows who is connected unless it is told. The rules follow Bitcoin
//! Core's `addrman.cpp`; its hashed buckets are replaced by a limit per source and by drawing a netgroup first, then an
//! address within it, which bounds what many addresses in one place can gain.
//!
//! Fault model of the file: any bytes at all. What does not match its checksum is refused whole.

mod saved;
#[cfg(test)]
mod tests;

use crate::message::Address;
use crate::netgroup::{Group, is_routable};
use crate::{NODE_NETWORK, NODE_WITNESS};
pub use saved::Damaged;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Addresses kept in all.
pub const ADDRESSES_MAX: usize = 16_384;
/// Untried addresses kept from one source's netgroup: Core gives a source 64 of its 1,024 buckets.
pub const PER_SOURCE_MAX: usize = ADDRESSES_MAX / 16;
/// Addresses in one answer to `getaddr` (Core: `MAX_ADDR_TO_SEND`) …
const SAMPLE_MAX: usize = crate::message::ADDR_MAX as usize;
/// … and the share of the book it may show (Core: `MAX_PCT_ADDR_TO_SEND`).
const SAMPLE_PERCENT_MAX: usize = 23;
/// Entries looked at to make room for one more.
const EVICTION_STEPS: usize = 64;

/// Nodes that serve less than whole blocks with witnesses are of no use here.
const WANTED: u64 = NODE_NETWORK | NODE_WITNESS;

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;
/// Core: `ADDRMAN_HORIZON`, `ADDRMAN_RETRIES`, `ADDRMAN_MAX_FAILURES`, `ADDRMAN_MIN_FAIL`.
const HORIZON: u64 = 30 * DAY;
const RETRIES_MAX: u32 = 3;
const FAILURES_MAX: u32 = 10;
const FAIL_SPAN: u64 = 7 * DAY;
/// Core makes gossiped addresses look this much older than they say.
const GOSSIP_PENALTY: u64 = 120 * MINUTE;
/// Times before this are no times at all (Core: `TIME_INIT`).
const TIME_MIN: u64 = 100_000_000;
/// The longest wait before a failed address is tried again.
const BACKOFF_MAX: u64 = DAY;

/// One known address. Times are unix seconds, zero for never.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Entry {
    socket: SocketAddr,
    services: u64,
    /// Last heard of.
    seen: u64,
    /// The netgroup that told us of it.
    source: Group,
    /// It was connected once; addresses of this kind count against no source.
    tried: bool,
    last_success: u64,
    last_attempt: u64,
    /// The last failure that counted.
    last_counted: u64,
    /// Failures since the last success, those counted.
    failures: u32,
}

impl Entry {
    /// Core: `AddrInfo::IsTerrible`.
    fn is_hopeless(&self, now: u64) -> bool {
        let age = |time: u64| now.saturating_sub(time);
        let fresh_attempt = age(self.last_attempt) <= MINUTE;
        let from_the_future = self.seen > now + 10 * MINUTE;
        let never_answers = self.last_success == 0 && self.failures >= RETRIES_MAX;
        let no_longer_answers = age(self.last_success) > FAIL_SPAN && self.failures >= FAILURES_MAX;
        !fresh_attempt && (from_the_future || age(self.seen) > HORIZON || never_answers || no_longer_answers)
    }

    /// After an attempt an address rests for a minute, twice as long after each failure that counted.
    fn is_resting(&self, now: u64) -> bool {
        let rest = (MINUTE << self.failures.min(20)).min(BACKOFF_MAX);
        now < self.last_attempt.saturating_add(rest)
    }
}

/// All known addresses.
pub struct Book {
    entries: Vec<Entry>,
    index: BTreeMap<SocketAddr, usize>,
    /// Untried entries by source.
    per_source: BTreeMap<Group, usize>,
    /// On a test network every address counts as routable and as a netgroup of its own.
    test_network: bool,
    /// When a connection last succeeded. Failures count only after it, so that a node without a network does not take
    /// all its addresses for dead (Core: `m_last_good`).
    last_good: u64,
    /// Where the search for room goes on.
    hand: usize,
}

impl Book {
    /// An empty book.
    pub fn new(test_network: bool) -> Book {
        let (entries, index, per_source) = Default::default();
        Book { entries, index, per_source, test_network, last_good: 1, hand: 0 }
    }

    /// Addresses known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Addresses known that were connected once.
    pub fn tried(&self) -> usize {
        self.entries.iter().filter(|entry| entry.tried).count()
    }

    /// The netgroup of an address, as [`Book::pick`] counts it.
    pub fn group(&self, socket: SocketAddr) -> Group {
        if self.test_network { Group::Alone(socket) } else { Group::of(socket.ip()) }
    }

    /// Takes in addresses told by `source` at `now` (unix seconds): those that can be reached and serve whole blocks
    /// with witnesses, as many as the source and the book have room for. Returns how many are new.
    pub fn add(&mut self, told: &[Address], source: SocketAddr, now: u64) -> usize {
        let source = self.group(source);
        told.iter().filter(|address| self.add_one(address, source, now)).count()
    }

    fn add_one(&mut self, told: &Address, source: Group, now: u64) -> bool {
        let reachable = self.test_network || is_routable(told.socket.ip());
        if told.services & WANTED != WANTED || !reachable || told.socket.port() == 0 {
            return false;
        }
        let time = u64::from(told.time);
        let time = if time <= TIME_MIN || time > now + 10 * MINUTE { now.saturating_sub(5 * DAY) } else { time };
        let seen = time.saturating_sub(GOSSIP_PENALTY);
        if let Some(&at) = self.index.get(&told.socket) {
            let entry = &mut self.entries[at];
            entry.seen = entry.seen.max(seen);
            entry.services |= told.services;
            return false;
        }
        if now.saturating_sub(seen) > HORIZON || self.per_source.get(&source).is_some_and(|&n| n >= PER_SOURCE_MAX) {
            return false;
        }
        if self.entries.len() >= ADDRESSES_MAX && !self.make_room(now) {
            return false;
        }
        let never = Entry {
            socket: told.socket,
            services: told.services,
            seen,
            source,
            tried: false,
            last_success: 0,
            last_attempt: 0,
            last_counted: 0,
            failures: 0,
        };
        self.insert(never);
        true
    }

    fn insert(&mut self, entry: Entry) {
        if !entry.tried {
            *self.per_source.entry(entry.source).or_default() += 1;
        }
        self.index.insert(entry.socket, self.entries.len());
        self.entries.push(entry);
    }

    fn remove(&mut self, at: usize) {
        let entry = self.entries.swap_remove(at);
        self.index.remove(&entry.socket);
        if let Some(moved) = self.entries.get(at) {
            self.index.insert(moved.socket, at);
        }
        if !entry.tried {
            self.forget_source(entry.source);
        }
    }

    fn forget_source(&mut self, source: Group) {
        if let Some(count) = self.per_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.per_source.remove(&source);
            }
        }
    }

    /// Removes one hopeless entry, if one is near. As in Core, an address that may still answer is never pushed out by
    /// one that merely was told.
    fn make_room(&mut self, now: u64) -> bool {
        for _ in 0..EVICTION_STEPS {
            self.hand = (self.hand + 1) % self.entries.len();
            if self.entries[self.hand].is_hopeless(now) {
                self.remove(self.hand);
                return true;
            }
        }
        false
    }

    /// A connection to this address came up at `now`, and it showed these services, which count for more than gossip.
    pub fn good(&mut self, socket: SocketAddr, services: u64, now: u64) {
        self.last_good = self.last_good.max(now);
        let Some(&at) = self.index.get(&socket) else {
            return;
        };
        if services & WANTED != WANTED {
            return self.remove(at);
        }
        let entry = &mut self.entries[at];
        (entry.seen, entry.last_success, entry.last_attempt) = (now, now, now);
        (entry.services, entry.failures) = (services, 0);
        if !std::mem::replace(&mut entry.tried, true) {
            let source = entry.source;
            self.forget_source(source);
        }
    }

    /// An attempt at this address failed at `now`.
    pub fn failed(&mut self, socket: SocketAddr, now: u64) {
        let Some(&at) = self.index.get(&socket) else {
            return;
        };
        let entry = &mut self.entries[at];
        entry.last_attempt = now;
        if entry.last_counted < self.last_good {
            entry.last_counted = now;
            entry.failures = entry.failures.saturating_add(1);
        }
    }

    /// The next address to dial, outside the netgroups that are `taken` by connections and attempts: half the time one
    /// that was connected before, where there is one. None where all are taken or rest.
    pub fn pick(&self, now: u64, rng: &mut impl FnMut() -> u64, taken: &BTreeSet<Group>) -> Option<SocketAddr> {
        let mut pools: [BTreeMap<Group, Vec<&Entry>>; 2] = Default::default();
        for entry in &self.entries {
            let group = self.group(entry.socket);
            if !taken.contains(&group) && !entry.is_resting(now) && !entry.is_hopeless(now) {
                pools[usize::from(entry.tried)].entry(group).or_default().push(entry);
            }
        }
        let [new, tried] = &pools;
        let pool = if tried.is_empty() || (!new.is_empty() && rng() & 1 == 0) { new } else { tried };
        let (_, group) = pool.iter().nth(below(rng, pool.len())?)?;
        Some(group[below(rng, group.len())?].socket)
    }

    /// Addresses for an answer to `getaddr`: some, drawn at random, at most 1,000 and at most 23 % of the book.
    pub fn sample(&self, now: u64, rng: &mut impl FnMut() -> u64) -> Vec<Address> {
        let count = (self.entries.len() * SAMPLE_PERCENT_MAX / 100).min(SAMPLE_MAX);
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        for at in 0..count {
            let other = at + below(rng, order.len() - at).unwrap_or(0);
            order.swap(at, other);
        }
        let drawn = order[..count].iter().map(|&at| &self.entries[at]);
        let hopeful = drawn.filter(|entry| !entry.is_hopeless(now));
        hopeful.map(|e| Address { time: e.seen as u32, services: e.services, socket: e.socket }).collect()
    }
}

/// A number below `count`, or None where there is none. The bias of the remainder is below 2⁻⁴⁰ here.
fn below(rng: &mut impl FnMut() -> u64, count: usize) -> Option<usize> {
    rng().checked_rem(count as u64).map(|n| n as usize)
}
