//! Many worlds over one base: the coins of a range of partitions, as seen from every recent block.
//!
//! A block grows a new world from its parent's. No world is ever undone: to leave a branch is to
//! look at another world, and a branch that lost is dropped. What a recent world made or took of a group of 16 outputs of
//! one transaction is a *version* of that group; a look-up takes the newest version that speaks of the coin and lies on its
//! own line of worlds, and else the base. Beyond the horizon, versions fold into the base.
//!
//! ```text
//!   base ── root ── w1 ── w2 ── w3      recent[group] = [(w1, made the coin), (w3, took it)]
//!                      └─ w4            seen from w2: the coin; from w3: none; from w4: the coin
//! ```
//!
//! While a partition is frozen its base stays as of the world it was frozen at, and the versions of worlds up to the
//! root stay with it: they are then on every live line.
//!
//! It decides no rule: it says what was found, and whether a coin was made twice (BIP30).

mod checkpoint;
mod fold;
mod partition;
mod versions;

use crate::base::{Base, GROUP, Room, Seed};
use crate::body::{Body, Deed, Op};
use crate::coins::{Coin, PARTITIONS, partition_of};
use consensus::{CoinView, OutPoint, is_unspendable};
use fold::Folding;
use partition::{Bits, Line, Name, Partition, Version, coin_of, numbers, put_made};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use versions::{Places, Versions};

/// Name of a world. Names are given out upwards and never again, so a parent's is smaller than its
/// child's. The genesis world is 0.
pub type WorldId = u32;

/// Operations whose memory is asked for together.
const BATCH: usize = 32;

#[derive(Debug, Default)]
struct World {
    parent: WorldId,
    height: u32,
    /// Of all its versions, by partition.
    places: Places,
    /// Where among them those of each partition begin, and where the last ones end.
    starts: Vec<u32>,
    /// The coins it made.
    made: Vec<u8>,
}

impl World {
    /// Places of its versions of a partition.
    fn touched(&self, index: usize) -> impl Iterator<Item = u32> {
        (self.starts[index]..self.starts[index + 1]).map(|at| self.places.get(at))
    }
}

/// What growing one world did in these partitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Grown {
    /// Coins made less coins taken.
    pub net: i64,
    /// First transaction (index in the block) that made a coin still unspent in the parent's world.
    pub duplicate: Option<u32>,
}

/// What has become of an output in some world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is a coin there.
    Unspent,
    /// The block of this height took it.
    Spent(u32),
    /// It was taken at or below the root, or never was a coin.
    Gone,
}

/// Counters of one shard's coins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Coins in the base.
    pub base_coins: u64,
    /// Bytes of memory of the base.
    pub base_bytes: u64,
    /// Versions held by recent worlds: for each, of each transaction it made or spent coins of, and each 16 of its outputs.
    pub versions: u64,
    /// Coins made and taken by worlds that were folded together: they never reached the base.
    pub nursery: u64,
    /// Coins that went into the base.
    pub folded: u64,
}

/// The coins of a range of partitions in all live worlds.
#[derive(Debug)]
pub struct Worlds {
    first: usize,
    seed: Seed,
    base: Base,
    partitions: Vec<Partition>,
    versions: Versions,
    /// All above the root, and below it those that are yet to be folded.
    worlds: BTreeMap<WorldId, World>,
    root: WorldId,
    /// Not yet in the base: what worlds up to the root say.
    folding: Option<Folding>,
    tally: Tally,
    /// Worlds that were folded or dropped, for their memory.
    spare: Vec<World>,
}

/// One operation of a block, on its way.
struct Step {
    index: usize,
    /// The coin, or the first output of the group that is made.
    outpoint: OutPoint,
    name: Name,
}

/// The number of a coin in its group, and its bit.
#[inline]
fn bit_of(outpoint: &OutPoint) -> (u32, Bits) {
    let number = outpoint.vout % GROUP;
    (number, 1 << number)
}

impl Worlds {
    /// No coins, only the genesis world, for these partitions. Nobody else may know the seed; answers do not depend on it.
    pub fn new(partitions: Range<usize>, seed: Seed) -> Worlds {
        assert!(partitions.end <= PARTITIONS);
        Worlds {
            first: partitions.start,
            seed,
            base: Base::with_seed(partitions.clone(), seed),
            partitions: partitions.map(|_| Partition::default()).collect(),
            versions: Versions::default(),
            worlds: BTreeMap::new(),
            root: 0,
            folding: None,
            tally: Tally::default(),
            spare: Vec::new(),
        }
    }

    /// Forgets every coin and world; `root` is the new name of the genesis world.
    pub fn reset(&mut self, root: WorldId) {
        *self = Worlds::new(self.first..self.first + self.partitions.len(), self.seed);
        self.root = root;
    }

    /// A live world with its ancestors.
    fn line(&self, world: WorldId) -> Line {
        let (mut above, mut at) = (Vec::with_capacity(128), world);
        while at != self.root {
            above.push(at);
            at = self.worlds.get(&at).expect("a live world has its line up to the root").parent;
        }
        above.reverse();
        Line { root: self.root, above }
    }

    /// Whether this world can be looked at.
    pub fn alive(&self, world: WorldId) -> bool {
        world == self.root || world > self.root && self.worlds.contains_key(&world)
    }

    /// Grows `world` from `parent`'s by the operations of `body` that fall into these partitions.
    /// `taken` gets every input's index with the coin it takes, or none where it is missing; a
    /// missing coin changes nothing. Answers always, also for blocks that will be refused. Partitions that are ahead of
    /// this height are passed over: nothing is reported of them.
    pub fn grow(
        &mut self,
        world: WorldId,
        parent: WorldId,
        height: u32,
        body: &Body,
        mut taken: impl FnMut(u32, Option<CoinView>),
    ) -> Grown {
        assert!(self.alive(parent), "world {world} grows from a live parent, not from {parent}");
        assert!(world > parent && self.worlds.last_key_value().is_none_or(|(newest, _)| world > *newest));
        let (line, block, mut grown) = (self.line(parent), &body.block, Grown::default());
        let mut new = World { parent, height, ..self.spare.pop().unwrap_or_default() };
        let (first, count) = (self.first, self.partitions.len());
        let mut ops = Cow::Borrowed(body.ops(first..first + count, &self.seed));
        let passed = |partition: &Partition| partition.ahead.is_some_and(|at| height <= at);
        if self.partitions.iter().any(passed) {
            ops.to_mut().retain(|op| !passed(&self.partitions[op.partition() - first]));
        }
        for ops in ops.chunks(BATCH) {
            for op in ops {
                op.prefetch(block);
                self.partitions[op.partition() - first].prefetch(op.hash);
                self.base.prefetch(op.hash);
            }
            for op in ops {
                self.partitions[op.partition() - first].prefetch_versions(op.hash, &self.versions);
                self.base.prefetch_record(op.hash);
            }
            for op in ops {
                let partition = &self.partitions[op.partition() - first];
                match op.deed() {
                    Deed::Take(_) => partition.prefetch_made(op.hash, &self.versions, &self.worlds),
                    Deed::Make(_, output) => Op::prefetch_script(block, output),
                }
            }
            for op in ops {
                let (index, outpoint) = (op.partition() - first, op.outpoint(block));
                let step = Step { index, outpoint, name: Name::of(&outpoint, op.hash) };
                // Every partition up to this one begins here or before.
                if new.starts.len() <= index {
                    new.starts.resize(index + 1, new.places.len());
                }
                match op.deed() {
                    Deed::Take(input) => {
                        self.take(world, &mut new, &line, &step, &mut grown, |coin| taken(input, coin))
                    }
                    Deed::Make(tx, first) => {
                        let (at, mut bits) = (new.made.len(), 0);
                        for (number, output) in Op::outputs(block, tx, first).enumerate() {
                            let output = &block.outputs[output as usize];
                            let script = block.script(output.script);
                            if !is_unspendable(script) {
                                put_made(&mut new.made, output.value, tx == 0, script);
                                bits |= 1 << number;
                            }
                        }
                        let at = u32::try_from(at).expect("a block is smaller");
                        self.make(world, &mut new, &line, &step, (tx, at, bits), &mut grown);
                    }
                }
            }
        }
        new.starts.resize(count + 1, new.places.len());
        self.tally.versions += u64::from(new.places.len());
        self.worlds.insert(world, new);
        grown
    }

    fn take(
        &mut self,
        world: WorldId,
        new: &mut World,
        line: &Line,
        step: &Step,
        grown: &mut Grown,
        taken: impl FnOnce(Option<CoinView>),
    ) {
        let (name, mut room): (_, Room) = (&step.name, [0; _]);
        let (number, bit) = bit_of(&step.outpoint);
        let seen = self.partitions[step.index].seen(&self.versions, line, world, name, bit);
        let own = seen.own.filter(|own| self.versions.get(*own).speaks_of() & bit != 0);
        let coin = match own.or(seen.older) {
            Some(at) => coin_of(&self.worlds, (world, new), self.versions.get(at), number),
            None => self.base.get(name.hash, &step.outpoint, &mut room),
        };
        let found = coin.is_some();
        taken(coin);
        if found {
            grown.net -= 1;
            let version = self.version(world, new, step, seen.own);
            version.gone |= bit;
            version.young |= version.made & !version.again & bit;
        }
    }

    /// Makes coins of a group, which lie one after the other from a place on.
    fn make(
        &mut self,
        world: WorldId,
        new: &mut World,
        line: &Line,
        step: &Step,
        (tx, at, bits): (u32, u32, Bits),
        grown: &mut Grown,
    ) {
        let name = &step.name;
        let seen = self.partitions[step.index].seen(&self.versions, line, world, name, bits);
        let known = seen.older.is_some() || self.base.knows(name.hash, &name.txid);
        let before = if known { self.unspent(step, line, world, bits) } else { 0 };
        if before != 0 {
            grown.duplicate = Some(grown.duplicate.map_or(tx, |d| d.min(tx)));
        }
        let version = self.version(world, new, step, seen.own);
        // A coin that is replaced (BIP30 exceptions) was there before.
        let now = (before & !version.gone | version.unspent()) & bits;
        grown.net += i64::from((bits & !now).count_ones());
        *version = Version { at, made: bits, again: before, gone: version.gone & !bits, young: 0, ..*version };
    }

    /// Those coins of a group that are unspent in the world that another grows from.
    #[cold]
    fn unspent(&self, step: &Step, line: &Line, world: WorldId, bits: Bits) -> Bits {
        let (partition, name) = (&self.partitions[step.index], &step.name);
        let unspent = |number: &u32| match partition.seen(&self.versions, line, world, name, 1 << number).older {
            Some(at) => self.versions.get(at).unspent() >> number & 1 == 1,
            None => self.base.holds(name.hash, &name.coin(*number)),
        };
        numbers(bits).filter(unspent).fold(0, |bits, number| bits | 1 << number)
    }

    /// What the new world says of a group: what it said before, or nothing yet.
    fn version(&mut self, world: WorldId, new: &mut World, step: &Step, own: Option<u32>) -> &mut Version {
        let at = own.unwrap_or_else(|| {
            let at = self.versions.push(&mut new.places, Version::new(step.name, world));
            self.partitions[step.index].insert(at, step.name.hash, &self.versions);
            at
        });
        self.versions.get_mut(at)
    }

    /// Whether and how this coin is unspent in that world; none when the world is not alive here or
    /// the coin is not of these partitions.
    pub fn coin(&self, world: WorldId, outpoint: &OutPoint) -> Option<Coin> {
        if !self.alive(world) {
            return None;
        }
        let partition = self.partitions.get(partition_of(&outpoint.txid).wrapping_sub(self.first))?;
        let (name, mut room): (_, Room) = (Name::new(&self.seed, outpoint), [0; _]);
        let (number, bit) = bit_of(outpoint);
        let coin = match partition.seen(&self.versions, &self.line(world), WorldId::MAX, &name, bit).older {
            Some(at) => {
                let version = self.versions.get(at);
                version.coin(&self.worlds[&version.world], number)
            }
            None => self.base.get(name.hash, outpoint, &mut room),
        };
        coin.map(|coin| Coin::of(&coin))
    }

    /// What has become of these outputs in a live world. All must be of these partitions.
    pub fn fates(&self, world: WorldId, outpoints: impl Iterator<Item = OutPoint>) -> Vec<Fate> {
        assert!(self.alive(world), "a live world is asked about");
        let line = self.line(world);
        let fate = |outpoint: OutPoint| {
            let partition = &self.partitions[partition_of(&outpoint.txid) - self.first];
            let (name, (_, bit)) = (Name::new(&self.seed, &outpoint), bit_of(&outpoint));
            match partition.seen(&self.versions, &line, WorldId::MAX, &name, bit).older {
                Some(at) => match self.versions.get(at) {
                    version if version.unspent() & bit != 0 => Fate::Unspent,
                    version => self.worlds.get(&version.world).map_or(Fate::Gone, |world| Fate::Spent(world.height)),
                },
                None if self.base.holds(name.hash, &outpoint) => Fate::Unspent,
                None => Fate::Gone,
            }
        };
        outpoints.map(fate).collect()
    }

    /// Live worlds above the root: name, parent, height.
    pub fn list(&self) -> impl Iterator<Item = (WorldId, WorldId, u32)> {
        self.worlds.range(self.root + 1..).map(|(name, world)| (*name, world.parent, world.height))
    }

    /// Counters as of now.
    pub fn tally(&self) -> Tally {
        let base_coins = self.base_lens().map(|len| len as u64).sum();
        Tally { base_coins, base_bytes: self.base.bytes() as u64, ..self.tally }
    }

    /// Coins in the base of each partition, in order.
    pub fn base_lens(&self) -> impl Iterator<Item = usize> {
        self.base.lens().iter().copied()
    }
}

#[cfg(test)]
mod tests;
