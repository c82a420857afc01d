//! Many worlds over one base: the coins of a range of partitions, as seen from every recent block.
//!
//! A block grows a new world from its parent's. No world is ever undone: to leave a branch is to
//! look at another world, and a branch that lost is dropped. What a recent world made or took is a
//! *version* of that coin; a look-up takes the newest version that lies on its own line of worlds,
//! and else the base. Beyond the horizon, versions fold into the base.
//!
//! ```text
//!   base ── root ── w1 ── w2 ── w3      recent[coin] = [(w1, made), (w3, gone)]
//!                      └─ w4            seen from w2: the coin; from w3: none; from w4: the coin
//! ```
//!
//! It decides no rule: it says what was found, and whether a coin was made twice (BIP30).

use crate::body::{Body, Op};
use crate::coins::{Coin, CoinDigest, PARTITIONS, partition_of};
use consensus::{OutPoint, is_unspendable};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::ops::Range;

/// Name of a world. Names are given out upwards and never again, so a parent's is smaller than its
/// child's. The genesis world is 0.
pub type WorldId = u32;

/// What one world says of one coin.
#[derive(Clone, Debug)]
struct Version {
    world: WorldId,
    /// The coin it made; none when it took it.
    coin: Option<Coin>,
}

/// All versions of one coin, oldest first; the first is held inline because most have one.
#[derive(Debug)]
struct Versions {
    first: Version,
    more: Vec<Version>,
}

#[derive(Debug, Default)]
struct Partition {
    base: HashMap<OutPoint, Coin>,
    recent: HashMap<OutPoint, Versions>,
}

#[derive(Debug)]
struct World {
    parent: WorldId,
    height: u32,
    /// Every coin it has a version of, once each.
    touched: Vec<OutPoint>,
}

/// What growing one world did in these partitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Grown {
    /// Coins made less coins taken.
    pub net: i64,
    /// First transaction (index in the block) that made a coin still unspent in the parent's world.
    pub duplicate: Option<u32>,
}

/// Counters of one shard's coins; bytes are estimates from sizes, slack of tables aside.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Coins in the base.
    pub base_coins: u64,
    /// Bytes of the base.
    pub base_bytes: u64,
    /// Versions held by recent worlds.
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
    partitions: Vec<Partition>,
    worlds: BTreeMap<WorldId, World>,
    root: WorldId,
    tally: Tally,
}

/// A world with its ancestors down to (not including) the root, ascending.
struct Line(Vec<WorldId>);

impl Line {
    fn holds(&self, world: WorldId) -> bool {
        self.0.binary_search(&world).is_ok()
    }
}

impl Versions {
    /// The newest version on this line, older than world `before`.
    fn seen_from(&self, line: &Line, before: WorldId) -> Option<&Version> {
        let newest_first = self.more.iter().rev().chain([&self.first]);
        newest_first.into_iter().find(|v| v.world < before && line.holds(v.world))
    }
}

impl Partition {
    fn coin(&self, line: &Line, before: WorldId, outpoint: &OutPoint) -> Option<&Coin> {
        match self.recent.get(outpoint).and_then(|versions| versions.seen_from(line, before)) {
            Some(version) => version.coin.as_ref(),
            None => self.base.get(outpoint),
        }
    }

    /// Writes this world's version; whether it is its first of that coin.
    fn write(&mut self, world: WorldId, outpoint: OutPoint, coin: Option<Coin>) -> bool {
        let version = Version { world, coin };
        match self.recent.entry(outpoint) {
            hashbrown::hash_map::Entry::Vacant(slot) => {
                slot.insert(Versions { first: version, more: Vec::new() });
                true
            }
            hashbrown::hash_map::Entry::Occupied(mut slot) => {
                let versions = slot.get_mut();
                let last = versions.more.last_mut().unwrap_or(&mut versions.first);
                assert!(last.world <= world, "worlds grow in the order of their names");
                if last.world == world {
                    *last = version;
                    return false;
                }
                versions.more.push(version);
                true
            }
        }
    }

    /// Takes this world's version out.
    fn remove(&mut self, world: WorldId, outpoint: &OutPoint) -> Version {
        let versions = self.recent.get_mut(outpoint).expect("a touched coin has versions");
        if versions.first.world != world {
            let at = versions.more.iter().position(|v| v.world == world).expect("a version per touch");
            return versions.more.remove(at);
        }
        if versions.more.is_empty() {
            return self.recent.remove(outpoint).expect("just seen").first;
        }
        std::mem::replace(&mut versions.first, versions.more.remove(0))
    }
}

impl Worlds {
    /// No coins, only the genesis world, for these partitions.
    pub fn new(partitions: Range<usize>) -> Worlds {
        assert!(partitions.end <= PARTITIONS);
        Worlds {
            first: partitions.start,
            partitions: partitions.map(|_| Partition::default()).collect(),
            worlds: BTreeMap::new(),
            root: 0,
            tally: Tally::default(),
        }
    }

    /// Forgets every coin and world; `root` is the new name of the genesis world.
    pub fn reset(&mut self, root: WorldId) {
        *self = Worlds::new(self.first..self.first + self.partitions.len());
        self.root = root;
    }

    fn line(&self, world: WorldId) -> Line {
        let (mut line, mut at) = (Vec::with_capacity(128), world);
        while at != self.root {
            line.push(at);
            at = self.worlds.get(&at).expect("a live world has its line up to the root").parent;
        }
        line.reverse();
        Line(line)
    }

    fn partition(&self, outpoint: &OutPoint) -> Option<&Partition> {
        self.partitions.get(partition_of(&outpoint.txid).wrapping_sub(self.first))
    }

    /// Whether this world can be looked at.
    pub fn alive(&self, world: WorldId) -> bool {
        world == self.root || self.worlds.contains_key(&world)
    }

    /// Grows `world` from `parent`'s by the operations of `body` that fall into these partitions.
    /// `taken` gets every input's index with the coin it takes, or none where it is missing; a
    /// missing coin changes nothing. Answers always, also for blocks that will be refused.
    pub fn grow(
        &mut self,
        world: WorldId,
        parent: WorldId,
        height: u32,
        body: &Body,
        mut taken: impl FnMut(u32, Option<&Coin>),
    ) -> Grown {
        assert!(self.alive(parent), "world {world} grows from a live parent, not from {parent}");
        assert!(world > parent && self.worlds.last_key_value().is_none_or(|(newest, _)| world > *newest));
        let mut line = self.line(parent);
        line.0.push(world);
        let block = &body.block;
        let (mut touched, mut grown) = (Vec::new(), Grown::default());
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            for op in body.ops(self.first + index) {
                match op {
                    Op::Take(input) => {
                        let outpoint = block.outpoint(&block.inputs[input as usize]);
                        let coin = partition.coin(&line, WorldId::MAX, &outpoint);
                        taken(input, coin);
                        if coin.is_some() {
                            grown.net -= 1;
                            if partition.write(world, outpoint, None) {
                                touched.push(outpoint);
                            }
                        }
                    }
                    Op::Make(tx_index) => {
                        let tx = &block.txs[tx_index as usize];
                        for (vout, output) in (0..).zip(&block.outputs[tx.outputs.0 as usize..tx.outputs.1 as usize]) {
                            let script = block.script(output.script);
                            if is_unspendable(script) {
                                continue;
                            }
                            let outpoint = OutPoint { txid: tx.txid, vout };
                            if partition.coin(&line, world, &outpoint).is_some() {
                                grown.duplicate = Some(grown.duplicate.map_or(tx_index, |d| d.min(tx_index)));
                            }
                            // A coin that is replaced (BIP30 exceptions) was there before.
                            grown.net += i64::from(partition.coin(&line, WorldId::MAX, &outpoint).is_none());
                            let coin = Coin::new(output.value, height, tx_index == 0, script);
                            if partition.write(world, outpoint, Some(coin)) {
                                touched.push(outpoint);
                            }
                        }
                    }
                }
            }
        }
        self.tally.versions += touched.len() as u64;
        self.worlds.insert(world, World { parent, height, touched });
        grown
    }

    /// Drops worlds that lost or were refused. Their children must be dropped before or with them,
    /// children after parents or not: order does not matter.
    pub fn drop_worlds(&mut self, worlds: &[WorldId]) {
        for &name in worlds {
            let world = self.worlds.remove(&name).expect("only live worlds are dropped, once");
            self.tally.versions -= world.touched.len() as u64;
            for outpoint in world.touched {
                self.partitions[partition_of(&outpoint.txid) - self.first].remove(name, &outpoint);
            }
        }
        debug_assert!(self.worlds.values().all(|w| self.alive(w.parent)), "no orphan worlds");
    }

    /// Folds all worlds from the root up to and including `to` into the base; `to` becomes the root.
    /// Every other live world must descend from it.
    pub fn fold(&mut self, to: WorldId) {
        for name in self.line(to).0 {
            let world = self.worlds.remove(&name).expect("on the line");
            self.tally.versions -= world.touched.len() as u64;
            for outpoint in world.touched {
                let partition = &mut self.partitions[partition_of(&outpoint.txid) - self.first];
                let version = partition.remove(name, &outpoint);
                // A later world of the same fold has the last word on this coin. All others descend from `to`.
                if partition.recent.get(&outpoint).is_some_and(|later| later.first.world <= to) {
                    continue;
                }
                match version.coin {
                    Some(coin) => {
                        self.tally.base_bytes += (coin.bytes() + size_of::<OutPoint>()) as u64;
                        self.tally.folded += 1;
                        if let Some(old) = partition.base.insert(outpoint, coin) {
                            self.tally.base_bytes -= (old.bytes() + size_of::<OutPoint>()) as u64;
                        }
                    }
                    None => match partition.base.remove(&outpoint) {
                        Some(coin) => self.tally.base_bytes -= (coin.bytes() + size_of::<OutPoint>()) as u64,
                        None => self.tally.nursery += 1,
                    },
                }
            }
        }
        self.root = to;
        debug_assert!(self.worlds.values().all(|w| self.alive(w.parent)), "no rival from below the root");
    }

    /// Whether and how this coin is unspent in that world; none when the world is not alive here or
    /// the coin is not of these partitions.
    pub fn coin(&self, world: WorldId, outpoint: &OutPoint) -> Option<&Coin> {
        if !self.alive(world) {
            return None;
        }
        self.partition(outpoint)?.coin(&self.line(world), WorldId::MAX, outpoint)
    }

    /// Every coin of one of these partitions, by its own index here, as seen from a live world; in no order.
    pub fn coins(&self, index: usize, world: WorldId) -> Vec<(OutPoint, &Coin)> {
        let (line, partition) = (self.line(world), &self.partitions[index]);
        let in_base = partition.base.iter().filter(|(outpoint, _)| {
            partition.recent.get(*outpoint).is_none_or(|v| v.seen_from(&line, WorldId::MAX).is_none())
        });
        let recent = partition.recent.iter().filter_map(|(outpoint, versions)| {
            let coin = versions.seen_from(&line, WorldId::MAX)?.coin.as_ref()?;
            Some((*outpoint, coin))
        });
        in_base.map(|(outpoint, coin)| (*outpoint, coin)).chain(recent).collect()
    }

    /// Count and digest of each of these partitions in a live world, in order.
    pub fn digests(&self, world: WorldId) -> Vec<(u64, CoinDigest)> {
        let each = |index| {
            let mut coins = self.coins(index, world);
            (coins.len() as u64, CoinDigest::of_partition(&mut coins))
        };
        (0..self.partitions.len()).map(each).collect()
    }

    /// Live worlds above the root: name, parent, height, coins touched.
    pub fn list(&self) -> impl Iterator<Item = (WorldId, WorldId, u32, usize)> {
        self.worlds.iter().map(|(name, world)| (*name, world.parent, world.height, world.touched.len()))
    }

    /// Counters as of now.
    pub fn tally(&self) -> Tally {
        let base_coins = self.partitions.iter().map(|p| p.base.len() as u64).sum();
        Tally { base_coins, ..self.tally }
    }

    /// Coins in the base of each partition, in order.
    pub fn base_lens(&self) -> impl Iterator<Item = usize> {
        self.partitions.iter().map(|partition| partition.base.len())
    }
}

#[cfg(test)]
mod tests;
