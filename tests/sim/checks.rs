//! What must be true of every word that shards say, whatever happens around them.

use super::Sim;
use super::disk::Disk;
use consensus::{BlockHash, Network, Params};
use shards::report::Report;
use shards::{Msg, ShardId};
use std::collections::BTreeMap;
use std::ops::Range;

impl Sim {
    /// The checks of what shards say.
    pub(super) fn said(&mut self, from: ShardId, to: ShardId, word: &Msg) {
        match word {
            Msg::Grow(job) => {
                let ShardId::Utxo(i) = to else { panic!("Grow goes to utxo shards") };
                assert!(self.growing.insert((job.world, i)), "one Grow a world and shard");
            }
            Msg::Grown { world, .. } => {
                let ShardId::Utxo(i) = from else { panic!("Grown comes from utxo shards") };
                assert!(self.growing.remove(&(*world, i)), "one answer a Grow");
            }
            Msg::Durable(nodes) => {
                for (_, place) in nodes {
                    let kept = self.disk.durable(place.at, place.len).expect("durable bytes are on the disk");
                    let block = consensus::Block::parse(kept.to_vec().into()).expect("durable blocks are whole");
                    assert_eq!(block.facts.merkle_root, block.header.merkle_root);
                    self.durable.insert(block.hash);
                    self.parents.insert(block.hash, block.header.prev);
                }
            }
            Msg::TipMoved { headers, .. } => {
                // None where a hand took the tip back: the report names it.
                if let Some(tip) = headers.last() {
                    self.tip_named(tip.hash());
                }
            }
            Msg::Report(report) => {
                if let Report::Chain(chain) = &**report {
                    self.tip_named(chain.tip);
                    self.report = Some(Box::new(chain.clone()));
                }
            }
            _ => {}
        }
    }

    /// The tip and everything below it is where a power cut cannot take it.
    fn tip_named(&mut self, tip: BlockHash) {
        if self.tip == tip {
            return;
        }
        self.tip = tip;
        self.mix(u64::from_le_bytes(tip.0[..8].try_into().expect("eight")));
        let params = Params::of(Network::Regtest);
        // What an earlier run left lies in the file as it was found; this run's blocks were called durable.
        let mut at = tip;
        let mut on_disk = None;
        while at != params.genesis_hash {
            if !self.durable.contains(&at) {
                let found = on_disk.get_or_insert_with(|| whole_blocks(&self.disk));
                let pruned = self.pruned.contains(&at).then(|| self.parents[&at]);
                let prev = found
                    .get(&at)
                    .copied()
                    .or(pruned)
                    .unwrap_or_else(|| panic!("the tip {tip} stands on {at}, which is not durable"));
                self.parents.insert(at, prev);
                self.durable.insert(at);
            }
            at = self.parents[&at];
        }
    }
}

/// The records of this file, with what copies of a block index say of them.
pub(super) fn open(copies: &[&[u8]], image: &[u8], holes: &[Range<u64>]) -> ledger::block_index::Opened {
    let params = Params::of(Network::Regtest);
    let read = |at: u64, buffer: &mut [u8]| {
        let rest = image.get(at as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok::<_, String>(len)
    };
    ledger::block_index::open(params, copies, image.len() as u64, holes, read, |_| {}).expect("reads succeed")
}

/// Hash and parent of every block that lies whole where a power cut cannot take it.
fn whole_blocks(disk: &Disk) -> BTreeMap<BlockHash, BlockHash> {
    let image = disk.kept();
    let index = open(&[], image, &disk.holes()).index;
    let bytes =
        |record: &ledger::record::Record| &image[record.end() as usize - record.len as usize..record.end() as usize];
    let whole = |record: &&ledger::record::Record| {
        let block = consensus::Block::parse(bytes(record).to_vec().into());
        block.is_ok_and(|block| consensus::check_block(&block).is_ok())
    };
    index.records.iter().filter(whole).map(|record| (record.hash, record.header.prev)).collect()
}
