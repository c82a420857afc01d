//! What those need who write partitions down and read them back: a base that stands still, its pieces, and every coin of
//! one world in order. Writes nothing itself.

use super::fold::Cursor;
use super::partition::{Version, numbers};
use super::{WorldId, Worlds};
use crate::base::{Damage, Mark};
use consensus::{CoinView, OutPoint};
use std::collections::BTreeMap;
use std::iter::Peekable;

impl Worlds {
    /// From now on the base of this partition (by its own index here) does not change, whatever is folded.
    pub fn freeze(&mut self, index: usize) {
        self.end_fold();
        let frozen = self.partitions[index].frozen.replace(self.root);
        assert!(frozen.is_none(), "partition {index} is frozen already");
    }

    /// Ends that, and folds what was put off.
    pub fn thaw(&mut self, index: usize) {
        self.end_fold();
        let since = self.partitions[index].frozen.take().expect("a frozen partition");
        let behind: Vec<WorldId> = self.worlds.range(since + 1..self.root + 1).map(|(name, _)| *name).collect();
        for name in behind {
            self.fold_world(name, &[index], &mut Cursor::default(), &mut { usize::MAX });
        }
        self.bury();
    }

    /// The world that the base of this partition is of; for one that is ahead, only once the root has passed its height.
    pub fn base_root(&self, index: usize) -> WorldId {
        self.partitions[index].frozen.unwrap_or(self.root)
    }

    /// A piece of the base of this partition from a mark on, in the format of `base/chunk.rs`, and the mark behind it; or
    /// none behind the last. Only pieces of a base that did not change meanwhile make a whole: freeze it first.
    pub fn chunk(&self, index: usize, from: Mark) -> Option<(Vec<u8>, Mark)> {
        self.base.chunk(index, from)
    }

    /// Puts a piece into the base of this partition; how many coins. MUST come before any world grows. After an error
    /// some of its coins are there: start anew.
    pub fn load_chunk(&mut self, index: usize, chunk: &[u8]) -> Result<u64, Damage> {
        assert!(self.worlds.is_empty(), "bases are loaded before worlds grow");
        self.base.load_chunk(index, chunk)
    }

    /// Puts a coin into the base of its partition. MUST come before any world grows.
    pub fn put(&mut self, outpoint: &OutPoint, coin: CoinView) {
        assert!(self.worlds.is_empty(), "bases are loaded before worlds grow");
        self.base.insert(self.base.hash(outpoint), outpoint, coin);
    }

    /// The base of this partition was loaded as of the block at `height`, above the root: worlds up to there do nothing in
    /// it. MUST come before any world grows; what these worlds show of this partition is what it was at `height`.
    pub fn ahead(&mut self, index: usize, height: u32) {
        assert!(self.worlds.is_empty(), "bases are loaded before worlds grow");
        self.partitions[index].ahead = Some(height);
    }

    /// Calls with every coin of one partition as seen from a live world, ascending by txid (as in memory) and index. MUST NOT
    /// be called while a fold is under way.
    pub fn each_coin(&self, index: usize, world: WorldId, mut each: impl FnMut(OutPoint, CoinView)) {
        assert!(self.folding.is_none(), "a fold is ended before coins are listed");
        let behind = self.worlds.range(self.base_root(index) + 1..self.root + 1).map(|(name, _)| *name);
        let mut said: BTreeMap<OutPoint, &Version> = BTreeMap::new();
        for name in behind.chain(self.line(world).above) {
            for version in self.worlds[&name].touched(index).map(|at| self.versions.get(at)) {
                said.extend(numbers(version.speaks_of()).map(|number| (version.name.coin(number), version)));
            }
        }
        let mut said = said.into_iter().peekable();
        for position in self.base.sorted(index) {
            self.base.visit(index, position, |outpoint, coin| {
                self.say(&mut said, |next| *next < outpoint, &mut each);
                // A version of this coin comes in its place.
                if said.peek().is_none_or(|(next, _)| *next != outpoint) {
                    each(outpoint, coin);
                }
            });
        }
        self.say(&mut said, |_| true, &mut each);
    }

    /// Calls with the coins of those versions at the front that are `due`.
    fn say<'v>(
        &self,
        said: &mut Peekable<impl Iterator<Item = (OutPoint, &'v Version)>>,
        due: impl Fn(&OutPoint) -> bool,
        each: &mut impl FnMut(OutPoint, CoinView),
    ) {
        while let Some((outpoint, version)) = said.next_if(|(next, _)| due(next)) {
            if let Some(coin) = version.coin(&self.worlds[&version.world], super::bit_of(&outpoint).0) {
                each(outpoint, coin);
            }
        }
    }
}
