//! A node that begins with a snapshot of coins: what loading one leaves in the folder, and what is true when the history
//! behind it is verified.

use super::Sim;
use super::chains::{Branch, coins};
use consensus::{Network, OutPoint, Params};
use ledger::base::Mark;
use ledger::checkpoint::{Head, Writer};
use ledger::{Coin, PARTITIONS, PartitionDigest, Seed, Worlds, partition_of};
use shards::chain::Snapshot;
use shards::effect::Side;

impl Sim {
    /// Loads a snapshot of the coins at that height of a branch into a folder that was never started; a false one has a coin
    /// too much value, which nobody spends.
    pub fn load_snapshot(&mut self, branch: &Branch, height: u32, false_one: bool) {
        let mut held = coins(&branch[..height as usize]);
        if false_one {
            let last = coins(branch);
            let (outpoint, coin) = held.iter().find(|(outpoint, _)| last.contains_key(outpoint)).expect("one stays");
            let view = coin.view();
            let more = Coin::new(view.value + 1, view.height, view.coinbase, view.script);
            let outpoint: OutPoint = *outpoint;
            held.insert(outpoint, more);
        }
        let mut worlds = Worlds::new(0..PARTITIONS, Seed::new(7));
        let mut digests = vec![PartitionDigest::default(); PARTITIONS];
        for (outpoint, coin) in &held {
            worlds.put(outpoint, coin.view());
            digests[partition_of(&outpoint.txid)].add(*outpoint, &coin.view());
        }
        let block = branch[height as usize - 1].hash;
        let network = Params::of(Network::Regtest).magic;
        for (partition, len) in (0..).zip(worlds.base_lens()) {
            let (mut bytes, mut next) = (Vec::new(), Mark::default());
            let mut writer = Writer::begin(&Head { network, partition, height, block }, &mut bytes);
            while let Some((chunk, after)) = worlds.chunk(usize::from(partition), next) {
                next = after;
                writer.piece(&chunk, &mut bytes);
            }
            writer.end(len as u64, &mut bytes);
            self.checkpoints.put(Side::Tip, (partition, height), bytes);
        }
        let digests = digests.into_iter().map(PartitionDigest::digest).collect();
        self.snapshot = Some(Snapshot { height, block, digests, checkpoints: Vec::new() });
    }

    /// What a start finds of it.
    pub(super) fn find_snapshot(&self) -> Option<Snapshot> {
        let checkpoints = self.checkpoints.find(Side::Tip);
        self.snapshot.clone().map(|snapshot| Snapshot { checkpoints, ..snapshot })
    }

    /// The run ends: a snapshot that was being removed is there or not.
    pub(super) fn end_snapshot(&mut self) {
        if std::mem::take(&mut self.ending_snapshot) && self.rng.below(2) == 0 {
            self.forget_snapshot();
        }
    }

    /// It is like any other node.
    pub(super) fn forget_snapshot(&mut self) {
        self.ending_snapshot = false;
        self.snapshot = None;
        self.checkpoints.clear_history();
    }
}
