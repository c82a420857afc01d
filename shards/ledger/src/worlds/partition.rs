//! One partition in many worlds: what recent worlds say of its coins. Knows worlds by their names only, and no base.

use super::versions::Versions;
use super::{World, WorldId};
use crate::base::{Seed, Table, prefetch};
use consensus::{CoinView, OutPoint, Txid};
use std::collections::BTreeMap;

/// In place of where a coin lies: the world took it.
pub(super) const GONE: u32 = u32::MAX;

/// A coin, and its hash in both halves of a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub outpoint: OutPoint,
    pub group: u64,
    pub coin: u64,
}

impl Name {
    #[inline]
    pub fn new(seed: &Seed, outpoint: OutPoint) -> Name {
        let (group, coin) = seed.hashes(&outpoint);
        Name { outpoint, group, coin }
    }
}

/// What one world says of one coin: all of it in one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Version {
    pub name: Name,
    pub world: WorldId,
    /// Where in its world's `made` the coin lies that it made, or [`GONE`].
    pub made: u32,
}

const _: () = assert!(size_of::<Version>() == 64);

/// The worlds that a look-up sees: some one, with its ancestors.
pub(super) struct Line {
    /// All versions up to this world are of its ancestors.
    pub root: WorldId,
    /// Those above, ascending.
    pub above: Vec<WorldId>,
}

impl Line {
    #[inline]
    fn holds(&self, world: WorldId) -> bool {
        world <= self.root || self.above.binary_search(&world).is_ok()
    }
}

/// The versions of a coin that a new world sees, by their places.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Its own.
    pub own: Option<u32>,
    /// The newest of its ancestors.
    pub older: Option<u32>,
}

/// Which versions there are of the coins of a partition.
#[derive(Debug, Default)]
pub(super) struct Partition {
    /// Places of versions, by the hashes of their coins.
    recent: Table,
    /// At which world the base stands, while it must not move.
    pub frozen: Option<WorldId>,
    /// The height that the base is of, when it was loaded as of a higher one than others.
    pub ahead: Option<u32>,
}

impl Partition {
    /// First hint that a coin is about to be wanted.
    #[inline]
    pub fn prefetch(&self, coin: u64) {
        self.recent.prefetch(coin);
    }

    /// Second hint.
    #[inline]
    pub fn prefetch_versions(&self, coin: u64, versions: &Versions) {
        self.recent.find(coin, |_, at| {
            versions.prefetch(at);
            false
        });
    }

    /// Third hint, to a look-up: asks for what an old world made.
    #[inline]
    pub fn prefetch_made(&self, coin: u64, versions: &Versions, worlds: &BTreeMap<WorldId, World>) {
        self.recent.find(coin, |_, at| {
            let version = versions.get(at);
            if let Some(made) = worlds.get(&version.world).and_then(|world| world.made.get(version.made as usize)) {
                prefetch(made);
            }
            false
        });
    }

    /// The versions of a coin on a line whose newest world is `world`.
    #[inline]
    pub fn seen(&self, versions: &Versions, line: &Line, world: WorldId, name: &Name) -> Seen {
        let mut seen = Seen::default();
        self.recent.find(name.coin, |_, at| {
            let version = versions.get(at);
            if version.name.outpoint != name.outpoint {
            } else if version.world == world {
                seen.own = Some(at);
            } else if line.holds(version.world)
                && seen.older.is_none_or(|older| versions.get(older).world < version.world)
            {
                seen.older = Some(at);
            }
            false
        });
        seen
    }

    /// Remembers the version at that place.
    pub fn insert(&mut self, at: u32, coin: u64, versions: &Versions) {
        self.recent.insert(coin, at, |held| versions.prefetch(held), |held| versions.get(held).name.coin);
    }

    /// Forgets the version at that place; whether a world up to `to` has another of the same coin.
    pub fn remove(&mut self, at: u32, name: &Name, to: WorldId, versions: &Versions) -> bool {
        let (mut place, mut another) = (None, false);
        self.recent.find(name.coin, |here, held| {
            if held == at {
                place = Some(here);
            } else {
                let version = versions.get(held);
                another |= version.world <= to && version.name.outpoint == name.outpoint;
            }
            false
        });
        self.recent.remove(name.coin, place.expect("a version is found until it is removed"));
        another
    }
}

/// Bytes before the script of a coin that a world made: value, and length of the script × 2 + coinbase.
const HEAD: usize = 12;

/// Appends a coin to those that a world made; where it lies.
pub(super) fn put_made(made: &mut Vec<u8>, value: u64, coinbase: bool, script: &[u8]) -> u32 {
    let at = u32::try_from(made.len()).expect("a block is smaller");
    let len = u32::try_from(script.len()).expect("a block is smaller");
    made.extend_from_slice(&value.to_le_bytes());
    made.extend_from_slice(&(len << 1 | u32::from(coinbase)).to_le_bytes());
    made.extend_from_slice(script);
    at
}

impl Version {
    /// Fills memory that no world has written yet.
    pub const BLANK: Version = {
        let outpoint = OutPoint { txid: Txid([0; 32]), vout: 0 };
        Version { name: Name { outpoint, group: 0, coin: 0 }, world: 0, made: GONE }
    };

    /// The coin, if it made one, out of its world.
    #[inline]
    pub fn coin<'w>(&self, world: &'w World) -> Option<CoinView<'w>> {
        if self.made == GONE {
            return None;
        }
        let bytes = &world.made[self.made as usize..];
        let value = u64::from_le_bytes(*bytes.first_chunk().expect("as put"));
        let code = u32::from_le_bytes(*bytes[8..].first_chunk().expect("as put"));
        let script = &bytes[HEAD..HEAD + (code >> 1) as usize];
        Some(CoinView { value, height: world.height, coinbase: code & 1 == 1, script })
    }

    /// Whether its world took the coin.
    #[inline]
    pub fn gone(&self) -> bool {
        self.made == GONE
    }
}

/// The coin that a version made, wherever its world is kept.
#[inline]
pub(super) fn coin_of<'w>(
    worlds: &'w BTreeMap<WorldId, World>,
    new: (WorldId, &'w World),
    version: &Version,
) -> Option<CoinView<'w>> {
    let world = if version.world == new.0 { new.1 } else { &worlds[&version.world] };
    version.coin(world)
}
