//! Which shard lives on which executor, and which executors need a link. The wiring is a value: it can be
//! printed, tested, and refused at boot. It starts nothing.

use crate::limits::{PEERS_MAX, link_depth};
use std::fmt;

/// A shard by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ShardId {
    /// The conductor: header tree, worlds, verdicts, tip.
    Chain,
    /// Owner of blocks.bin.
    Store,
    /// What the page and the prompt show.
    Status,
    /// Known addresses and whom to dial.
    Book,
    /// Connections, frames, parsing.
    Peer(u16),
    /// Coins of a range of partitions.
    Utxo(u16),
    /// Checks of spends.
    Verify(u16),
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShardId::Chain => write!(f, "chain"),
            ShardId::Store => write!(f, "store"),
            ShardId::Status => write!(f, "status"),
            ShardId::Book => write!(f, "book"),
            ShardId::Peer(i) => write!(f, "peer[{i}]"),
            ShardId::Utxo(i) => write!(f, "utxo[{i}]"),
            ShardId::Verify(i) => write!(f, "verify[{i}]"),
        }
    }
}

/// Below this many cores every core is a worker; from it on, chain and store have cores of their own.
const DEDICATED_FROM: usize = 5;
/// More cores than partitions have no use.
pub const CORES_MAX: usize = ledger::PARTITIONS;

/// A layout of shards on executors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Shards of each executor: one for each core, and the desk behind them.
    pub executors: Vec<Vec<ShardId>>,
    /// How many peer, utxo and verify shards there are (the same number of each).
    pub workers: u16,
}

/// The layout for so many cores.
pub fn plan(cores: usize) -> Plan {
    assert!((1..=CORES_MAX).contains(&cores));
    let mut layout = vec![Vec::new(); cores + 1];
    layout[0].extend([ShardId::Chain, ShardId::Book]);
    layout[1.min(cores - 1)].push(ShardId::Store);
    layout[cores].push(ShardId::Status);
    let first = if cores < DEDICATED_FROM { 0 } else { 2 };
    let workers = u16::try_from(cores - first).expect("at most 256");
    for (core, i) in (first..cores).zip(0..) {
        layout[core].extend([ShardId::Peer(i), ShardId::Utxo(i), ShardId::Verify(i)]);
    }
    let plan = Plan { executors: layout, workers };
    plan.validate().expect("a plan of our own is sound");
    plan
}

/// Partitions of coins that utxo shard `i` of so many owns.
fn partitions(i: u16, workers: u16) -> std::ops::Range<usize> {
    let start = |i: usize| i * ledger::PARTITIONS / usize::from(workers);
    start(i.into())..start(usize::from(i) + 1)
}

/// The utxo shard, of so many, that owns a partition.
pub fn owner(partition: usize, workers: u16) -> ShardId {
    let owner = (0..workers).find(|i| partitions(*i, workers).contains(&partition));
    ShardId::Utxo(owner.expect("every partition has an owner"))
}

impl Plan {
    /// How many executors have a core each.
    pub fn cores(&self) -> usize {
        self.executors.len() - 1
    }

    /// The executor for whoever looks in: pinned nowhere, since what people ask for must neither wait for a block nor make
    /// one wait.
    pub fn desk(&self) -> usize {
        self.cores()
    }

    /// The executor a shard lives on.
    pub fn home(&self, shard: ShardId) -> usize {
        let first = if self.cores() < DEDICATED_FROM { 0 } else { 2 };
        match shard {
            ShardId::Chain | ShardId::Book => 0,
            ShardId::Store => 1.min(self.cores() - 1),
            ShardId::Status => self.desk(),
            ShardId::Peer(i) | ShardId::Utxo(i) | ShardId::Verify(i) => first + usize::from(i),
        }
    }

    /// Partitions of coins that utxo shard `i` owns.
    pub fn partitions(&self, i: u16) -> std::ops::Range<usize> {
        partitions(i, self.workers)
    }

    /// The utxo shard that owns a partition.
    pub fn owner(&self, partition: usize) -> ShardId {
        owner(partition, self.workers)
    }

    /// Ordered pairs of different executors; every one may speak to every other one, and each pair
    /// carries what its shards say in order. The depth is proven in `limits`.
    pub fn links(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let (all, store, desk) = (self.executors.len(), self.home(ShardId::Store), self.desk());
        let depth = link_depth(PEERS_MAX.div_ceil(usize::from(self.workers)));
        let busy = move |executor| [0, store, desk].contains(&executor);
        (0..all).flat_map(move |from| {
            let to = (0..all).filter(move |to| *to != from);
            to.map(move |to| (from, to, if busy(from) || busy(to) { depth } else { link_depth(0) }))
        })
    }

    /// Refuses a layout in which a shard is missing, doubled, or not at home.
    pub fn validate(&self) -> Result<(), String> {
        let mut all: Vec<ShardId> = self.executors.iter().flatten().copied().collect();
        all.sort();
        let mut wanted = vec![ShardId::Chain, ShardId::Store, ShardId::Status, ShardId::Book];
        wanted.extend((0..self.workers).map(ShardId::Peer));
        wanted.extend((0..self.workers).map(ShardId::Utxo));
        wanted.extend((0..self.workers).map(ShardId::Verify));
        if all != wanted {
            return Err(format!("the plan holds {all:?}, it must hold {wanted:?}"));
        }
        let mut placed =
            self.executors.iter().enumerate().flat_map(|(at, shards)| shards.iter().map(move |s| (at, *s)));
        placed.try_for_each(|(at, shard)| match self.home(shard) {
            home if home == at => Ok(()),
            home => Err(format!("{shard} lies on executor {at} but its home is {home}")),
        })?;
        let owned: usize = (0..self.workers).map(|i| self.partitions(i).len()).sum();
        if owned != ledger::PARTITIONS {
            return Err(format!("{owned} partitions are owned, there are {}", ledger::PARTITIONS));
        }
        Ok(())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, shards) in self.executors.iter().enumerate() {
            let names: Vec<String> = shards.iter().map(ShardId::to_string).collect();
            let coins = shards.iter().find_map(|shard| match shard {
                ShardId::Utxo(i) => Some(self.partitions(*i)),
                _ => None,
            });
            let coins = coins.map(|p| format!("   partitions {}..{}", p.start, p.end - 1)).unwrap_or_default();
            let place = if at == self.desk() { "the desk".into() } else { format!("core {at:>3}") };
            writeln!(f, "{place}   {}{coins}", names.join(" + "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_cores_are_laid_out_as_the_architecture_page_says() {
        let plan = plan(16);
        assert_eq!(plan.executors[0], [ShardId::Chain, ShardId::Book]);
        assert_eq!(plan.executors[1], [ShardId::Store]);
        assert_eq!(plan.executors[15], [ShardId::Peer(13), ShardId::Utxo(13), ShardId::Verify(13)]);
        assert_eq!(plan.executors[16], [ShardId::Status]);
        assert_eq!(plan.links().count(), 17 * 16);
    }

    #[test]
    fn every_plan_is_sound_and_a_broken_one_is_refused() {
        for cores in 1..=64 {
            plan(cores).validate().unwrap();
        }
        let mut broken = plan(4);
        broken.executors[2].pop();
        assert!(broken.validate().unwrap_err().contains("must hold"));
        let mut moved = plan(4);
        moved.executors.swap(2, 3);
        assert!(moved.validate().unwrap_err().contains("home"));
    }
}
