//! What must be true of every word that shards say and of every line they log, whatever happens around them.

use super::Sim;
use super::chains::{Chains, Known};
use super::disk::Disk;
use consensus::{BlockHash, Header, Network, Params};
use ledger::WorldId;
use ledger::record::{Index, Record};
use shards::effect::{Side, Stop};
use shards::report::Report;
use shards::{Msg, ShardId};
use std::collections::{BTreeMap, BTreeSet};

/// A world that was grown and neither folded nor dropped.
#[derive(Clone, Copy)]
pub(super) struct Alive {
    pub(super) parent: WorldId,
    pub(super) height: u32,
    pub(super) block: BlockHash,
    side: Side,
}

/// What was said so far, in this run of the node.
pub(super) struct Checks {
    pub(super) chains: &'static Chains,
    /// Grows without an answer.
    growing: BTreeSet<(WorldId, u16)>,
    /// Blocks that lie where a power cut cannot take them; and those below which all do.
    durable: BTreeSet<BlockHash>,
    standing: BTreeSet<BlockHash>,
    /// Blocks that were pruned, in this run or before.
    pruned: BTreeSet<BlockHash>,
    /// Blocks whose refusal was on disk when the run began.
    refused: BTreeSet<BlockHash>,
    /// The roots' blocks by side; worlds above them; and parents of all that ever grew.
    roots: BTreeMap<Side, BlockHash>,
    pub(super) worlds: BTreeMap<WorldId, Alive>,
    pub(super) parents: BTreeMap<WorldId, WorldId>,
    /// Pings after blocks that followed the tip then, with that block and that tip.
    pub(super) pinged: BTreeMap<u64, (BlockHash, BlockHash)>,
    /// Why the node may stop.
    pub(super) wounds: Vec<Stop>,
    /// A person decides: the tip may lose work.
    pub(super) by_hand: bool,
}

impl Checks {
    pub(super) fn new(chains: &'static Chains) -> Checks {
        Checks {
            chains,
            growing: BTreeSet::new(),
            durable: BTreeSet::new(),
            standing: BTreeSet::new(),
            pruned: BTreeSet::new(),
            refused: BTreeSet::new(),
            roots: BTreeMap::from([(Side::Tip, Params::of(Network::Regtest).genesis_hash)]),
            worlds: BTreeMap::new(),
            parents: BTreeMap::new(),
            pinged: BTreeMap::new(),
            wounds: Vec::new(),
            by_hand: false,
        }
    }

    /// A run begins: records in blocks.bin; blocks refused before; the block of a snapshot, which is believed.
    pub(super) fn began(
        &mut self,
        records: &[Record],
        refused: impl Iterator<Item = BlockHash>,
        snapshot: Option<BlockHash>,
        disk: &Disk,
    ) {
        let (by_hand, pruned) = (self.by_hand, std::mem::take(&mut self.pruned));
        *self = Checks { by_hand, pruned, refused: refused.collect(), ..Checks::new(self.chains) };
        let whole = |record: &&Record| {
            let kept = disk.durable(record.end() - u64::from(record.len), record.len);
            let known = self.chains.known(&record.hash);
            record.punched && self.pruned.contains(&record.hash)
                || known.is_some_and(|known| kept == Some(&known.blk.bytes[..]))
        };
        self.durable = records.iter().filter(whole).map(|record| record.hash).collect();
        self.standing.extend(snapshot);
    }

    pub(super) fn unanswered(&self) -> usize {
        self.growing.len()
    }

    pub(super) fn pruned(&mut self, block: BlockHash) {
        self.pruned.insert(block);
    }

    pub(super) fn is_pruned(&self, block: &BlockHash) -> bool {
        self.pruned.contains(block)
    }

    pub(super) fn all_pruned(&self) -> usize {
        self.pruned.len()
    }

    /// Whether `wanted` is this block or lies below it.
    pub(super) fn stands_on(&self, mut block: BlockHash, wanted: BlockHash) -> bool {
        while block != wanted {
            let Some(known) = self.chains.known(&block) else { return false };
            block = known.blk.header.prev;
        }
        true
    }

    pub(super) fn is_durable(&self, block: &BlockHash) -> bool {
        self.durable.contains(block)
    }

    /// A block of ours, whose bytes and those of all below it a power cut cannot take, and which breaks no rule.
    fn sound(&mut self, what: &str, block: BlockHash) -> &'static Known {
        let chains = self.chains;
        let known =
            |hash: &BlockHash| chains.known(hash).unwrap_or_else(|| panic!("{what} is {hash}, which nobody made"));
        let (mut at, mut line) = (block, Vec::new());
        while at != Params::of(Network::Regtest).genesis_hash && !self.standing.contains(&at) {
            assert!(self.durable.contains(&at), "{what}, {block}, stands on {at}, which is not durable");
            assert!(known(&at).valid, "{what}, {block}, stands on {at}, which is not valid");
            line.push(at);
            at = known(&at).blk.header.prev;
        }
        self.standing.extend(line);
        known(&block)
    }

    /// Whether a start knows all headers from this block down.
    pub(super) fn leads_to(&self, index: &Index, block: BlockHash) -> bool {
        let headers = index.headers.iter().map(Header::hash);
        let known: BTreeSet<BlockHash> = headers.chain(index.records.iter().map(|record| record.hash)).collect();
        let mut at = block;
        while known.contains(&at) {
            at = self.chains.known(&at).expect("a block of ours").blk.header.prev;
        }
        at == Params::of(Network::Regtest).genesis_hash
    }

    /// A snapshot's history is: its block stands on what lies below like any other.
    pub(super) fn verified(&mut self, block: BlockHash) {
        self.standing.remove(&block);
        self.sound("the snapshot", block);
    }

    /// Whether the world of that block lives.
    pub(super) fn lives(&self, block: &BlockHash) -> bool {
        self.roots[&Side::Tip] == *block || self.worlds.values().any(|alive| alive.block == *block)
    }

    fn folds(&mut self, side: Side, world: WorldId, height: u32, block: BlockHash) {
        let known = self.sound("the root", block);
        let alive = self.worlds.get(&world).expect("a world that lives is folded");
        assert_eq!((alive.block, alive.height, known.height), (block, height, height), "the root is misnamed");
        assert_eq!(alive.side, side, "a world folds on the other side");
        self.roots.insert(side, block);
        let mut at = world;
        while let Some(gone) = self.worlds.remove(&at) {
            at = gone.parent;
        }
        for (name, alive) in self.worlds.iter().filter(|(_, alive)| alive.side == side) {
            let stands = alive.parent == world || self.worlds.contains_key(&alive.parent);
            assert!(stands, "world {name} of block {} hangs in the air", alive.block);
        }
    }

    /// A line for people.
    pub(super) fn logged(&self, line: &str, damaged: bool) {
        // A rebuild may want one that a write, which was given up for it, has just made superfluous.
        let whole = damaged || line.contains("no such file");
        assert!(!line.contains("cannot be read: ") || whole, "no checkpoint was damaged: {line}");
        assert!(!line.contains("that the checkpoints do not have"), "a checkpoint is not what it says: {line}");
    }
}

impl Sim {
    /// The checks of what shards say.
    pub(super) fn said(&mut self, from: ShardId, to: ShardId, word: &Msg) {
        let checks = &mut self.checks;
        match word {
            Msg::Grow(job) => {
                let ShardId::Utxo(i) = to else { panic!("Grow goes to utxo shards") };
                assert!(checks.growing.insert((job.world, i)), "one Grow a world and shard");
                let block = job.body.block.hash;
                assert!(!checks.refused.contains(&block), "{block} was refused in an earlier run, and grows again");
                checks.parents.insert(job.world, job.parent);
                checks
                    .worlds
                    .insert(job.world, Alive { parent: job.parent, height: job.height, block, side: job.side });
            }
            Msg::Grown { world, .. } => {
                let ShardId::Utxo(i) = from else { panic!("Grown comes from utxo shards") };
                assert!(checks.growing.remove(&(*world, i)), "one answer a Grow");
            }
            Msg::Drop { worlds, .. } if to == ShardId::Utxo(0) => {
                for world in worlds {
                    let alive = checks.worlds.remove(world).expect("a live world is dropped");
                    // Where there is no room for the tip's own world, what grows from it is let go.
                    if alive.block == self.tip {
                        checks.pinged.clear();
                    }
                }
            }
            Msg::Fold { side, world, height, block } if to == ShardId::Utxo(0) => {
                checks.folds(*side, *world, *height, *block);
            }
            Msg::Split if to == ShardId::Utxo(0) => {
                checks.worlds.values_mut().for_each(|alive| alive.side = Side::History);
                checks.roots.insert(Side::History, checks.roots[&Side::Tip]);
            }
            Msg::Forget if to == ShardId::Utxo(0) => {
                checks.worlds.retain(|_, alive| alive.side == Side::Tip);
                checks.roots.remove(&Side::History);
            }
            Msg::Restore { side, block, .. } if to == ShardId::Utxo(0) => {
                checks.roots.insert(*side, *block);
                checks.worlds.retain(|_, alive| alive.side != *side);
                checks.pinged.clear();
            }
            // It has its verdict.
            Msg::Refused { hash, .. } => {
                checks.pinged.retain(|_, (block, _)| block != hash);
            }
            Msg::Durable(nodes) => {
                for (_, place) in nodes {
                    let kept = self.disk.durable(place.at, place.len).expect("durable bytes are on the disk");
                    let header = Header::parse(kept[..80].try_into().expect("80 bytes"));
                    let known = checks.chains.known(&header.hash());
                    assert!(known.is_some_and(|known| known.blk.bytes == kept), "durable blocks are whole");
                    checks.durable.insert(header.hash());
                }
            }
            Msg::Punch(records) => self.may_prune(records),
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

    /// The tip is valid, has no less work than the one before, and is where a power cut cannot take it, with all below it.
    fn tip_named(&mut self, tip: BlockHash) {
        if self.tip == tip {
            return;
        }
        self.mix(u64::from_le_bytes(tip.0[..8].try_into().expect("eight")));
        let before = std::mem::replace(&mut self.tip, tip);
        if tip != Params::of(Network::Regtest).genesis_hash {
            self.checks.sound("the tip", tip);
        }
        // All blocks of the test chains have the same work.
        let heights = [before, tip].map(|block| self.checks.chains.height(block));
        assert!(
            heights[0] <= heights[1] || self.checks.by_hand,
            "the tip goes from height {} to {}",
            heights[0],
            heights[1]
        );
    }
}
