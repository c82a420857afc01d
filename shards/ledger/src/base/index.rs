//! Where things lie, by the hash of their name: a table of cache lines, one of which answers nearly every question.
//! Never sees a name; who asks looks at what the candidates are.
//!
//! ```text
//! line, 64 bytes    [tag 1] × 12  [passed by u32]  [position u32] × 12
//! ```
//!
//! A tag is 8 bits of the hash, 0 where the place is free. What finds its line full goes to the next and is counted in
//! the line that it passed by, so a search ends at a line that nothing passed by, and a removal leaves no tombstone
//! (as F14 of Folly does it). A table grows by a quarter when nine tenths of it are full.

use super::prefetch::prefetch;
use consensus::OutPoint;

/// Outputs of a transaction are kept and hashed in groups of so many.
pub(crate) const GROUP: u32 = 16;

/// Secret of the hashes, so that nobody can make names whose hashes collide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed([u64; 3]);

impl Seed {
    /// The secret that comes of so many bits, which nobody else may know.
    pub fn new(seed: u64) -> Seed {
        // Odd constants of SplitMix64 spread the seed over the keys.
        let key = |times: u64| {
            let z = seed.wrapping_add(times.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        Seed([key(1), key(2), key(3)])
    }

    /// Hash of the group that a coin is in; its second byte is the partition.
    #[inline]
    pub(crate) fn group(&self, outpoint: &OutPoint) -> u64 {
        let word = |at: usize| u64::from_le_bytes(*outpoint.txid.0[at..].first_chunk().expect("32 bytes"));
        let group = u64::from(outpoint.vout / GROUP).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let half = fold(word(0) ^ self.0[0], word(8) ^ self.0[1]);
        let hash = fold(half ^ word(16) ^ self.0[2], word(24) ^ group ^ self.0[0].rotate_left(32));
        hash & !0xff00 | u64::from(outpoint.txid.0[0]) << 8
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

const PLACES: usize = 12;

#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Line {
    tags: [u8; PLACES],
    passed: u32,
    at: [u32; PLACES],
}

const _: () = assert!(size_of::<Line>() == 64);

impl Line {
    /// One bit in eight for each place with this tag.
    #[inline]
    fn with_tag(&self, tag: u8) -> Places {
        const LOW: u128 = u128::from_le_bytes([0x7f; 16]);
        const ALL: u128 = (1 << (8 * PLACES)) - 1;
        let mut bytes = [0; 16];
        bytes[..PLACES].copy_from_slice(&self.tags);
        let differs = u128::from_le_bytes(bytes) ^ u128::from_le_bytes([tag; 16]);
        // The high bit of each byte stays 0 only where the byte is 0; no sum carries into the next byte.
        Places(!(((differs & LOW) + LOW) | differs | LOW) & ALL)
    }

    /// The positions it holds.
    fn full(&self) -> impl Iterator<Item = u32> {
        (0..PLACES).filter(|place| self.tags[*place] != 0).map(|place| self.at[place])
    }
}

struct Places(u128);

impl Iterator for Places {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let place = self.0.trailing_zeros() as usize / 8;
        self.0 &= self.0 - 1;
        Some(place)
    }
}

/// A place in a table, until it is changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    line: u32,
    place: u8,
}

/// Positions by hash. The high half of a hash chooses the line, its lowest byte is the tag.
#[derive(Debug, Default)]
pub(crate) struct Table {
    lines: Vec<Line>,
    len: usize,
}

#[inline]
fn tag(hash: u64) -> u8 {
    (hash as u8).max(1)
}

impl Table {
    #[inline]
    fn home(&self, hash: u64) -> usize {
        (((hash >> 32) * self.lines.len() as u64) >> 32) as usize
    }

    #[inline]
    fn after(&self, line: usize) -> usize {
        if line + 1 == self.lines.len() { 0 } else { line + 1 }
    }

    /// Whether no line says that anything passed it by.
    #[cfg(test)]
    pub fn is_settled(&self) -> bool {
        self.lines.iter().all(|line| line.passed == 0)
    }

    /// Positions held, each with the number of its place, from that place on.
    pub fn held(&self, from: usize) -> impl Iterator<Item = (usize, u32)> {
        let full = |place: &usize| self.lines[place / PLACES].tags[place % PLACES] != 0;
        (from..self.lines.len() * PLACES)
            .filter(full)
            .map(|place| (place, self.lines[place / PLACES].at[place % PLACES]))
    }

    /// Positions held.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Asks for the line where the search for this hash begins.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        if let Some(line) = self.lines.get(self.home(hash)) {
            prefetch(line);
        }
    }

    /// The first position with this hash (or one like it) that `is` it.
    #[inline]
    pub fn find(&self, hash: u64, mut is: impl FnMut(Place, u32) -> bool) -> Option<(Place, u32)> {
        if self.lines.is_empty() {
            return None;
        }
        let (tag, mut line) = (tag(hash), self.home(hash));
        for _ in 0..self.lines.len() {
            let here = &self.lines[line];
            for place in here.with_tag(tag) {
                let (at, position) = (Place { line: line as u32, place: place as u8 }, here.at[place]);
                if is(at, position) {
                    return Some((at, position));
                }
            }
            if here.passed == 0 {
                return None;
            }
            line = self.after(line);
        }
        None
    }

    /// Puts another position in a place: the same name lies elsewhere now.
    #[inline]
    pub fn set(&mut self, place: Place, position: u32) {
        self.lines[place.line as usize].at[usize::from(place.place)] = position;
    }

    /// Adds a position; by how many bytes the table grew. For when it grows: `ask` hints that the hash of a
    /// position is about to be wanted, `hash_of` gives it.
    #[inline]
    pub fn insert(&mut self, hash: u64, position: u32, ask: impl Fn(u32), hash_of: impl Fn(u32) -> u64) -> usize {
        let before = self.lines.len();
        if (self.len + 1) * 10 > self.lines.len() * PLACES * 9 {
            self.grow(ask, hash_of);
        }
        self.put(hash, position);
        self.len += 1;
        (self.lines.len() - before) * size_of::<Line>()
    }

    fn put(&mut self, hash: u64, position: u32) {
        let mut line = self.home(hash);
        loop {
            let here = &mut self.lines[line];
            if let Some(place) = here.with_tag(0).next() {
                here.tags[place] = tag(hash);
                here.at[place] = position;
                return;
            }
            here.passed += 1;
            line = self.after(line);
        }
    }

    #[cold]
    fn grow(&mut self, ask: impl Fn(u32), hash_of: impl Fn(u32) -> u64) {
        let count = self.lines.len() + self.lines.len() / 4 + 1;
        let mut lines = Vec::with_capacity(count);
        lines.resize(count, Line::default());
        let old = std::mem::replace(&mut self.lines, lines);
        for (at, line) in old.iter().enumerate() {
            if let Some(next) = old.get(at + 1) {
                next.full().for_each(&ask);
            }
            line.full().for_each(|position| self.put(hash_of(position), position));
        }
    }

    /// Frees the place that `hash` was found at.
    #[inline]
    pub fn remove(&mut self, hash: u64, place: Place) {
        let mut line = self.home(hash);
        while line != place.line as usize {
            self.lines[line].passed -= 1;
            line = self.after(line);
        }
        self.lines[line].tags[usize::from(place.place)] = 0;
        self.len -= 1;
    }
}
