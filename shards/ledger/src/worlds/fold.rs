//! How worlds end: dropped when they lost, or folded into the base when all that live descend from them.

use super::partition::Name;
use super::{BATCH, World, WorldId, Worlds};
use crate::base::Base;
use consensus::{CoinView, OutPoint};

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
        for name in self.line(to).above {
            let moving: Vec<usize> =
                (0..self.partitions.len()).filter(|index| self.partitions[*index].frozen.is_none()).collect();
            self.fold_world(name, to, &moving);
        }
        self.root = to;
        self.bury();
        debug_assert!(self.worlds.range(to + 1..).all(|(_, w)| self.alive(w.parent)), "no rival from below the root");
    }

    /// Folds what one world says of some partitions. A later world up to `to` has the last word on a coin.
    pub(super) fn fold_world(&mut self, world: WorldId, to: WorldId, indices: &[usize]) {
        let said = &self.worlds[&world];
        let mut touched = indices.iter().flat_map(|index| said.touched(*index).map(move |at| (*index, at)));
        let mut batch: Vec<(usize, u32, Name)> = Vec::with_capacity(BATCH);
        let mut places = Vec::with_capacity(BATCH);
        let mut run = Run { group: 0, coins: Vec::with_capacity(BATCH) };
        loop {
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
                return;
            }
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
