//! What the coins of one partition come to: how many, how much, their hashes, their bytes in a snapshot; and what all
//! partitions come to, put together in ascending order. Never sees a world.

use crate::coins::PartitionDigest;
use crate::compress::Decompress;
use crate::hash_serialized::put_coin;
use crate::muhash::MuHash;
use crate::snapshot::Writer;
use crate::{CoinDigest, WorldId, Worlds};
use bitcoin_hashes::{HashEngine, sha256d};
use consensus::CoinsHash;

/// What is wanted of the coins, besides their sums.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aim {
    /// Caesure's own digest.
    Digest,
    /// Both hashes of Core's `gettxoutsetinfo`.
    Hashes,
    /// Core's snapshot, and the hash that it is known by.
    Snapshot,
    /// Both digests by which a snapshot that is loaded is known: Core's `hash_serialized_3` and our own.
    Loaded,
}

/// A partition's part.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Coins.
    pub coins: u64,
    /// Transactions that they are of.
    pub txs: u64,
    /// Satoshi in all.
    pub value: u64,
    /// Core's size of no real database (`kernel/coinstats.cpp`, `GetBogoSize`).
    pub bogo_size: u64,
    /// [`Aim::Digest`] and [`Aim::Loaded`].
    pub digest: Option<CoinDigest>,
    /// [`Aim::Hashes`]: of the partition's coins; to be combined.
    pub muhash: Option<Box<MuHash>>,
    /// All but [`Aim::Digest`]: what `hash_serialized_3` hashes, to be put end to end.
    pub serialized: Vec<u8>,
    /// [`Aim::Snapshot`]: to be put end to end behind the head.
    pub snapshot: Vec<u8>,
}

/// What Core counts for a coin besides its script: outpoint, height, value, two bytes of length.
const BOGO_BYTES: u64 = 32 + 4 + 4 + 8 + 2;

impl Part {
    /// Surveys the partition with this index among those of `worlds`, as seen from a live world.
    pub fn of(worlds: &Worlds, index: usize, world: WorldId, aim: Aim, decompress: Decompress) -> Part {
        let mut part = Part::default();
        let mut digest = PartitionDigest::default();
        let mut muhash = (aim == Aim::Hashes).then(Box::<MuHash>::default);
        let mut snapshot = (aim == Aim::Snapshot).then(|| Writer::new(decompress));
        let mut last = None;
        worlds.each_coin(index, world, |outpoint, coin| {
            part.coins += 1;
            part.txs += u64::from(last != Some(outpoint.txid));
            last = Some(outpoint.txid);
            part.value += coin.value;
            part.bogo_size += BOGO_BYTES + coin.script.len() as u64;
            if matches!(aim, Aim::Digest | Aim::Loaded) {
                digest.add(outpoint, &coin);
            }
            if aim == Aim::Digest {
                return;
            }
            let start = part.serialized.len();
            put_coin(&mut part.serialized, &outpoint, &coin);
            muhash.iter_mut().for_each(|muhash| muhash.insert(&part.serialized[start..]));
            snapshot.iter_mut().for_each(|writer| writer.add(&outpoint, &coin, &mut part.snapshot));
        });
        snapshot.into_iter().for_each(|writer| writer.end(&mut part.snapshot));
        part.digest = matches!(aim, Aim::Digest | Aim::Loaded).then(|| digest.digest());
        part.muhash = muhash;
        part
    }
}

/// What all partitions come to.
#[derive(Debug, Default)]
pub struct Whole {
    /// Coins.
    pub coins: u64,
    /// Transactions that they are of.
    pub txs: u64,
    /// Satoshi in all.
    pub value: u64,
    /// As in [`Part`].
    pub bogo_size: u64,
    digests: Vec<CoinDigest>,
    muhash: MuHash,
    serialized: sha256d::HashEngine,
}

impl Whole {
    /// Takes the next partition, in ascending order.
    pub fn add(&mut self, part: &Part) {
        self.coins += part.coins;
        self.txs += part.txs;
        self.value += part.value;
        self.bogo_size += part.bogo_size;
        self.digests.extend(part.digest);
        part.muhash.iter().for_each(|muhash| self.muhash.combine(muhash));
        self.serialized.input(&part.serialized);
    }

    /// Of [`Aim::Digest`].
    pub fn digest(&self) -> CoinDigest {
        CoinDigest::of_all(&self.digests)
    }

    /// Of [`Aim::Hashes`]: Core's `muhash`.
    pub fn muhash(&self) -> CoinsHash {
        self.muhash.hash()
    }

    /// Of all but [`Aim::Digest`]: Core's `hash_serialized_3`.
    pub fn hash_serialized(&self) -> CoinsHash {
        CoinsHash(sha256d::Hash::from_engine(self.serialized.clone()).to_byte_array())
    }
}
