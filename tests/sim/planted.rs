//! Bugs on purpose: each makes the node say or hear something else than it should, or the edge do its work badly. A
//! simulator that does not find them finds no others of their kind. The node knows nothing of them.

use super::Sim;
use shards::{Msg, ShardId};

macro_rules! planted {
    ($($(#[doc = $text:literal])* $name:ident,)*) => {
        /// A bug.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Planted {
            $($(#[doc = $text])* $name,)*
        }

        impl Planted {
            /// Each with what it does.
            pub const ALL: &'static [(Planted, &'static str)] =
                &[$((Planted::$name, concat!($($text),*)),)*];
        }
    };
}

planted! {
    /// a dropped answer to Grow
    DroppedGrown,
    /// worlds fold before their blocks are durable
    EarlyFold,
    /// a block that was refused is grown again after a restart
    RefusedAgain,
    /// a sync is answered before it is done, so that the tip moves first
    LateSync,
    /// with a world that is dropped, its parent's changes are lost
    LostDelta,
    /// a utxo shard folds one world too few
    OffByOneRoot,
    /// a checkpoint is believed to be of the branch that wins, because its height fits
    StaleCheckpoint,
    /// two words of a link change places
    ReorderedLink,
    /// a write that was taken in part counts as done
    ShortWrite,
    /// a decision is answered before its file is in its place for good
    UnsyncedRename,
    /// a start believes bytes that an earlier run wrote and did not sync
    UnsyncedStart,
}

impl Sim {
    /// Whether this bug is planted, and shows now: one in so many times.
    pub(super) fn strikes(&mut self, bug: Planted, one_in: u64) -> bool {
        self.planted == Some(bug) && self.rng.below(one_in) == 0
    }

    /// What is said instead of a word, or nothing.
    pub(super) fn misspoken(&mut self, to: ShardId, word: Msg) -> Option<Msg> {
        match word {
            Msg::Grown { .. } if self.strikes(Planted::DroppedGrown, 1_000) => None,
            Msg::Fold { side, world, height, block }
                if to == ShardId::Utxo(0) && self.strikes(Planted::EarlyFold, 1) =>
            {
                let checks = &self.checks;
                let loose = checks.worlds.iter().rfind(|(_, alive)| !checks.is_durable(&alive.block));
                let early = loose.map(|(world, alive)| (*world, alive.height, alive.block));
                let (world, height, block) = early.unwrap_or((world, height, block));
                Some(Msg::Fold { side, world, height, block })
            }
            word => Some(word),
        }
    }

    /// What is heard instead of a word.
    pub(super) fn misheard(&mut self, to: ShardId, word: Msg) -> Msg {
        match word {
            Msg::Fold { side, world, height, block } if self.strikes(Planted::OffByOneRoot, 16) => {
                Msg::Fold { side, world: self.checks.parents[&world], height, block }
            }
            Msg::Drop { side, mut worlds } if matches!(to, ShardId::Utxo(_)) && self.strikes(Planted::LostDelta, 2) => {
                let checks = &self.checks;
                let mut parents = worlds.iter().map(|world| checks.parents[world]);
                let alive = |parent: &u32| checks.worlds.contains_key(parent) && !worlds.contains(parent);
                let lost = parents.find(alive);
                worlds.extend(lost);
                Msg::Drop { side, worlds }
            }
            word => word,
        }
    }
}
