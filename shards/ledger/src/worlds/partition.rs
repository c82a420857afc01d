//! One partition in many worlds: what recent worlds say of its coins. Knows worlds by their names only, and no base.

use super::versions::Versions;
use super::{World, WorldId};
use crate::base::{GROUP, Seed, Table, prefetch};
use consensus::{CoinView, OutPoint, Txid};
use std::collections::BTreeMap;

/// A bit for each coin of a group.
pub(super) type Bits = u16;

const _: () = assert!(GROUP == Bits::BITS);

/// The numbers of the bits that are set, ascending.
pub(super) fn numbers(mut bits: Bits) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let next = (bits != 0).then(|| bits.trailing_zeros());
        bits &= bits.wrapping_sub(1);
        next
    })
}

/// A group: outputs of a transaction that are kept together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub txid: Txid,
    /// Its first output.
    pub first: u32,
    pub hash: u64,
}

impl Name {
    /// That of the group that a coin is in, with its hash.
    #[inline]
    pub fn of(outpoint: &OutPoint, hash: u64) -> Name {
        Name { txid: outpoint.txid, first: outpoint.vout / GROUP * GROUP, hash }
    }

    #[inline]
    pub fn new(seed: &Seed, outpoint: &OutPoint) -> Name {
        Name::of(outpoint, seed.group(outpoint))
    }

    /// A coin of it.
    #[inline]
    pub fn coin(&self, number: u32) -> OutPoint {
        OutPoint { txid: self.txid, vout: self.first + number }
    }

    #[inline]
    fn is(&self, other: &Name) -> bool {
        self.first == other.first && self.txid == other.txid
    }
}

/// What one world says of one group of coins: all of it in one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Version {
    pub name: Name,
    pub world: WorldId,
    /// Where in its world's `made` the coins lie that it made, one after the other.
    pub at: u32,
    /// Coins that it made, …
    pub made: Bits,
    /// … and that it took: then they are gone, whether or not it made them.
    pub gone: Bits,
    /// Of those made, the ones that were there before (BIP30).
    pub again: Bits,
    /// Of those gone, the ones that the base will not have when this version is folded: they were made above it. All are known
    /// once the older worlds are folded, before that those that the same world made.
    pub young: Bits,
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

/// The versions of a coin's group that a new world sees, by their places.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Its own.
    pub own: Option<u32>,
    /// The newest of its ancestors that speaks of the coin.
    pub older: Option<u32>,
}

/// Which versions there are of the coins of a partition.
#[derive(Debug, Default)]
pub(super) struct Partition {
    /// Places of versions, by the hashes of their groups.
    recent: Table,
    /// At which world the base stands, while it must not move.
    pub frozen: Option<WorldId>,
    /// The height that the base is of, when it was loaded as of a higher one than others.
    pub ahead: Option<u32>,
}

impl Partition {
    /// First hint that a group is about to be wanted.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.recent.prefetch(hash);
    }

    /// Second hint.
    #[inline]
    pub fn prefetch_versions(&self, hash: u64, versions: &Versions) {
        self.recent.find(hash, |_, at| {
            versions.prefetch(at);
            false
        });
    }

    /// Third hint, to a look-up: asks for what an old world made.
    #[inline]
    pub fn prefetch_made(&self, hash: u64, versions: &Versions, worlds: &BTreeMap<WorldId, World>) {
        self.recent.find(hash, |_, at| {
            let version = versions.get(at);
            if version.made != 0
                && let Some(made) = worlds.get(&version.world).and_then(|world| world.made.get(version.at as usize..))
            {
                made.iter().step_by(64).take(2).for_each(prefetch);
            }
            false
        });
    }

    /// The versions of a group, and among those of the worlds of a line the newest that speaks of one of its coins.
    #[inline]
    pub fn seen(&self, versions: &Versions, line: &Line, world: WorldId, name: &Name, coin: Bits) -> Seen {
        let mut seen = Seen::default();
        self.recent.find(name.hash, |_, at| {
            let version = versions.get(at);
            if !version.name.is(name) {
            } else if version.world == world {
                seen.own = Some(at);
            } else if version.speaks_of() & coin != 0
                && line.holds(version.world)
                && seen.older.is_none_or(|older| versions.get(older).world < version.world)
            {
                seen.older = Some(at);
            }
            false
        });
        seen
    }

    /// Remembers the version at that place.
    pub fn insert(&mut self, at: u32, hash: u64, versions: &Versions) {
        self.recent.insert(hash, at, |held| versions.prefetch(held), |held| versions.get(held).name.hash);
    }

    /// Forgets the version at that place. Calls with the places of the others of the same group.
    pub fn remove(&mut self, at: u32, name: &Name, versions: &Versions, mut other: impl FnMut(u32)) {
        let mut place = None;
        self.recent.find(name.hash, |here, held| {
            if held == at {
                place = Some(here);
            } else if versions.get(held).name.is(name) {
                other(held);
            }
            false
        });
        self.recent.remove(name.hash, place.expect("a version is found until it is removed"));
    }
}

/// Bytes before the script of a coin that a world made: value, and length of the script × 2 + coinbase.
const HEAD: usize = 12;

/// Appends a coin to those that a world made.
pub(super) fn put_made(made: &mut Vec<u8>, value: u64, coinbase: bool, script: &[u8]) {
    let len = u32::try_from(script.len()).expect("a block is smaller");
    made.extend_from_slice(&value.to_le_bytes());
    made.extend_from_slice(&(len << 1 | u32::from(coinbase)).to_le_bytes());
    made.extend_from_slice(script);
}

/// Length of the script × 2 + coinbase of the coin that comes first in these bytes.
#[inline]
fn code(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(*bytes[8..].first_chunk().expect("as put"))
}

impl Version {
    /// Says nothing yet.
    pub const fn new(name: Name, world: WorldId) -> Version {
        Version { name, world, at: 0, made: 0, gone: 0, again: 0, young: 0 }
    }

    /// Fills memory that no world has written yet.
    pub const BLANK: Version = Version::new(Name { txid: Txid([0; 32]), first: 0, hash: 0 }, 0);

    /// The coins that it says anything of.
    #[inline]
    pub fn speaks_of(&self) -> Bits {
        self.made | self.gone
    }

    /// The coins that are unspent in its world.
    #[inline]
    pub fn unspent(&self) -> Bits {
        self.made & !self.gone
    }

    /// A coin that it made and did not take, out of its world.
    #[inline]
    pub fn coin<'w>(&self, world: &'w World, number: u32) -> Option<CoinView<'w>> {
        if self.unspent() >> number & 1 == 0 {
            return None;
        }
        let mut bytes = &world.made[self.at as usize..];
        for _ in 0..(self.made & ((1 << number) - 1)).count_ones() {
            bytes = &bytes[HEAD + (code(bytes) >> 1) as usize..];
        }
        let (value, code) = (u64::from_le_bytes(*bytes.first_chunk().expect("as put")), code(bytes));
        let script = &bytes[HEAD..HEAD + (code >> 1) as usize];
        Some(CoinView { value, height: world.height, coinbase: code & 1 == 1, script })
    }
}

/// The coin that a version made, wherever its world is kept.
#[inline]
pub(super) fn coin_of<'w>(
    worlds: &'w BTreeMap<WorldId, World>,
    new: (WorldId, &'w World),
    version: &Version,
    number: u32,
) -> Option<CoinView<'w>> {
    let world = if version.world == new.0 { new.1 } else { &worlds[&version.world] };
    version.coin(world, number)
}
