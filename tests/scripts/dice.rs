//! Where the generator's choices come from: a seed, or bytes that a fuzzer made. Never ends: bytes that are used up
//! give zeros, and the first choice of everything is the plain one, so that short inputs are plain cases.

use caesure_bench::rng::Rng;

/// A source of choices.
pub enum Dice<'a> {
    /// The same for the same seed for ever.
    Seeded(Rng),
    /// What is left of a fuzzer's input.
    Bytes(&'a [u8]),
}

impl Dice<'_> {
    /// For one case of a run.
    pub fn of(seed: u64, number: u64) -> Dice<'static> {
        Dice::Seeded(Rng::new(Rng::new(seed).draw() ^ Rng::new(!number).draw()))
    }

    /// A number in `0..limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        match self {
            Dice::Seeded(rng) => rng.below(limit as u64) as usize,
            Dice::Bytes(bytes) => {
                let count = if limit <= 0x100 { 1 } else { 4 };
                let (now, rest) = bytes.split_at(count.min(bytes.len()));
                *bytes = rest;
                now.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)) % limit
            }
        }
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True `percent` times in a hundred; false when bytes are used up.
    pub fn chance(&mut self, percent: usize) -> bool {
        99 - self.below(100) < percent
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// One of several, each as likely as its weight.
    pub fn weighted<T: Copy>(&mut self, of: &[(usize, T)]) -> T {
        let mut roll = self.below(of.iter().map(|(weight, _)| weight).sum());
        for (weight, what) in of {
            if roll < *weight {
                return *what;
            }
            roll -= weight;
        }
        unreachable!("the roll is below the sum of the weights")
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        self.below(0x100) as u8
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    /// Any 32 bits, those at the edges of what numbers mean more often.
    pub fn word(&mut self, edges: &[u32]) -> u32 {
        if self.chance(20) { u32::from_le_bytes(self.bytes(4).try_into().expect("four")) } else { self.pick(edges) }
    }
}
