//! How worlds end: dropped when they lost, or folded into the base when all that live descend from them; piece by piece, so that
//! nobody waits for a large one.

use super::partition::numbers;
use super::{BATCH, World, WorldId, Worlds};
use crate::base::prefetch;
use std::collections::VecDeque;

/// Worlds whose memory is kept for new ones: blocks come about as often as they are folded.
const SPARE: usize = 4;

/// A fold under way.
#[derive(Debug)]
pub(super) struct Folding {
    /// What is left of the worlds, the oldest first.
    worlds: VecDeque<WorldId>,
    /// The partitions that were not frozen when it began.
    moving: Vec<usize>,
    /// How far the first world is folded.
    at: Cursor,
}

/// The next version of a world: which of the partitions that move it is in, and where among the world's versions it lies at least.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    partition: usize,
    place: u32,
}

impl Worlds {
    /// Drops worlds that lost or were refused. Their children must be dropped before or with them,
    /// children after parents or not: order does not matter.
    pub fn drop_worlds(&mut self, worlds: &[WorldId]) {
        for &name in worlds {
            assert!(name > self.root, "only live worlds are dropped");
            let world = self.worlds.remove(&name).expect("only live worlds are dropped, once");
            self.tally.versions -= u64::from(world.places.len());
            for (index, partition) in self.partitions.iter_mut().enumerate() {
                for at in world.touched(index) {
                    let name = &self.versions.get(at).name;
                    partition.remove(at, name, &self.versions, |_| {});
                }
            }
            self.retire(world);
        }
        debug_assert!(self.worlds.values().all(|w| w.parent <= self.root || self.alive(w.parent)), "no orphan worlds");
    }

    /// Folds all worlds from the root up to and including `to` into the base; `to` becomes the root.
    /// Every other live world must descend from it. Frozen partitions stay as they are.
    pub fn fold(&mut self, to: WorldId) {
        self.begin_fold(to);
        self.end_fold();
    }

    /// The same, but the base follows with each [`Worlds::fold_on`]. Until then the versions of the worlds up to the root stay,
    /// on every live line, as those of a frozen partition do.
    pub fn begin_fold(&mut self, to: WorldId) {
        self.end_fold();
        let moving = (0..self.partitions.len()).filter(|index| self.partitions[*index].frozen.is_none()).collect();
        self.folding = Some(Folding { worlds: self.line(to).above.into(), moving, at: Cursor::default() });
        self.root = to;
        debug_assert!(self.worlds.range(to + 1..).all(|(_, w)| self.alive(w.parent)), "no rival from below the root");
    }

    /// Folds what versions say of about so many coins more; whether all is done.
    pub fn fold_on(&mut self, coins: usize) -> bool {
        let Some(mut folding) = self.folding.take() else { return true };
        let mut left = coins;
        while let Some(world) = folding.worlds.front() {
            if !self.fold_world(*world, &folding.moving, &mut folding.at, &mut left) {
                self.folding = Some(folding);
                return false;
            }
            folding.worlds.pop_front();
            folding.at = Cursor::default();
        }
        self.bury();
        true
    }

    /// Folds what is left.
    pub fn end_fold(&mut self) {
        self.fold_on(usize::MAX);
    }

    /// Folds what one world says of some partitions, as far as it comes; whether that was all. A later world up to the root has
    /// the last word on a coin, but what was taken out of the base is taken out in any case: so whoever made a coin anew knows
    /// that the base does not have it.
    pub(super) fn fold_world(
        &mut self,
        world: WorldId,
        indices: &[usize],
        cursor: &mut Cursor,
        left: &mut usize,
    ) -> bool {
        let (said, to) = (&self.worlds[&world], self.root);
        // Partitions and places; hashes.
        let (mut batch, mut hashes) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        let (mut later, mut coins) = (Vec::new(), Vec::new());
        loop {
            if *left == 0 {
                return false;
            }
            while let Some(&index) = indices.get(cursor.partition)
                && batch.len() < BATCH
            {
                let next = cursor.place.max(said.starts[index]);
                let end = said.starts[index + 1].min(next + (BATCH - batch.len()) as u32);
                for place in next..end {
                    let at = said.places.get(place);
                    self.versions.prefetch(at);
                    batch.push((index, at));
                }
                cursor.place = end;
                cursor.partition += usize::from(end == said.starts[index + 1]);
            }
            if batch.is_empty() {
                return true;
            }
            hashes.clear();
            for (index, at) in &batch {
                let version = self.versions.get(*at);
                let hash = version.name.hash;
                *left = left.saturating_sub(version.speaks_of().count_ones() as usize);
                self.partitions[*index].prefetch(hash);
                if version.speaks_of() != version.young {
                    self.base.prefetch(hash);
                }
                if let Some(made) = said.made.get(version.at as usize).filter(|_| version.unspent() != 0) {
                    prefetch(made);
                }
                hashes.push((hash, version.gone != version.young));
            }
            for ((index, _), (hash, takes)) in batch.iter().zip(&hashes) {
                self.partitions[*index].prefetch_versions(*hash, &self.versions);
                if *takes {
                    self.base.prefetch_record(*hash);
                }
            }
            self.tally.versions -= batch.len() as u64;
            for (index, at) in batch.drain(..) {
                let version = *self.versions.get(at);
                let (name, mut after) = (version.name, 0);
                self.partitions[index].remove(at, &name, &self.versions, |other| {
                    let version = self.versions.get(other);
                    if version.world <= to {
                        after |= version.speaks_of();
                        later.push(other);
                    }
                });
                self.tally.nursery += u64::from(version.young.count_ones());
                for number in numbers(version.gone & !version.young) {
                    let held = self.base.remove(name.hash, &name.coin(number));
                    debug_assert!(held, "the base has what was taken out of it");
                }
                let new = version.unspent() & after & !version.again;
                for other in later.drain(..) {
                    let other = self.versions.get_mut(other);
                    other.young |= other.gone & new;
                }
                let last = version.unspent() & !after;
                coins.extend(numbers(last).map(|number| {
                    (name.coin(number), version.coin(said, number).expect("it made that one and did not take it"))
                }));
                self.tally.folded += coins.len() as u64;
                self.base.insert_all(name.hash, &coins);
                coins.clear();
            }
        }
    }

    /// Forgets worlds up to the root, once no frozen partition needs them.
    pub(super) fn bury(&mut self) {
        if self.partitions.iter().all(|partition| partition.frozen.is_none()) {
            let above = self.worlds.split_off(&(self.root + 1));
            std::mem::replace(&mut self.worlds, above).into_values().for_each(|world| self.retire(world));
        }
    }

    fn retire(&mut self, mut world: World) {
        self.versions.give_back(&mut world.places);
        if self.spare.len() < SPARE {
            world.starts.clear();
            world.made.clear();
            self.spare.push(world);
        }
    }
}
