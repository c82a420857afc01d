//! How worlds end: dropped when they lost, or folded into the base when all that live descend from them; piece by piece, so that
//! nobody waits for a large one.

use super::partition::Name;
use super::{BATCH, World, WorldId, Worlds};
use crate::base::Base;
use consensus::{CoinView, OutPoint};
use std::collections::VecDeque;

/// Worlds whose memory is kept for new ones: blocks come about as often as they are folded.
const SPARE: usize = 4;

/// Coins of one transaction on their way into the base.
struct Run<'w> {
    group: u64,
    coins: Vec<(OutPoint, CoinView<'w>)>,
}

impl<'w> Run<'w> {
    fn push(&mut self, name: &Name, coin: CoinView<'w>, base: &mut Base) {
        let same = |(last, _): &(OutPoint, CoinView)| last.txid == name.outpoint.txid;
        if self.group != name.group || !self.coins.last().is_some_and(same) {
            self.flush(base);
            self.group = name.group;
        }
        self.coins.push((name.outpoint, coin));
    }

    fn flush(&mut self, base: &mut Base) {
        base.insert_all(self.group, &self.coins);
        self.coins.clear();
    }
}

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
                    partition.remove(at, name, 0, &self.versions);
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

    /// Folds about so many versions more; whether all is done.
    pub fn fold_on(&mut self, versions: usize) -> bool {
        let Some(mut folding) = self.folding.take() else { return true };
        let mut left = versions;
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
    /// the last word on a coin.
    pub(super) fn fold_world(
        &mut self,
        world: WorldId,
        indices: &[usize],
        cursor: &mut Cursor,
        left: &mut usize,
    ) -> bool {
        let (said, to) = (&self.worlds[&world], self.root);
        let mut touched = std::iter::from_fn(|| {
            while let Some(&index) = indices.get(cursor.partition) {
                let at = cursor.place.max(said.starts[index]);
                if at < said.starts[index + 1] {
                    cursor.place = at + 1;
                    return Some((index, said.places.get(at)));
                }
                cursor.partition += 1;
            }
            None
        });
        let mut batch: Vec<(usize, u32, Name)> = Vec::with_capacity(BATCH);
        let mut places = Vec::with_capacity(BATCH);
        let mut run = Run { group: 0, coins: Vec::with_capacity(BATCH) };
        loop {
            if *left == 0 {
                return false;
            }
            places.extend(touched.by_ref().take(BATCH));
            for (_, at) in &places {
                self.versions.prefetch(*at);
            }
            batch.extend(places.drain(..).map(|(index, at)| {
                let name = self.versions.get(at).name;
                self.partitions[index].prefetch(name.coin);
                self.base.prefetch(name.group);
                (index, at, name)
            }));
            if batch.is_empty() {
                return true;
            }
            *left = left.saturating_sub(batch.len());
            for (index, _, name) in &batch {
                self.partitions[*index].prefetch_versions(name.coin, &self.versions);
                self.base.prefetch_record(name.group);
            }
            self.tally.versions -= batch.len() as u64;
            for (index, at, name) in batch.drain(..) {
                let version = self.versions.get(at);
                if self.partitions[index].remove(at, &name, to, &self.versions) {
                    continue;
                }
                match version.coin(said) {
                    Some(coin) => {
                        self.tally.folded += 1;
                        run.push(&name, coin, &mut self.base);
                    }
                    None => {
                        let held = self.base.remove(name.group, &name.outpoint);
                        self.tally.nursery += u64::from(!held);
                    }
                }
            }
            run.flush(&mut self.base);
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
