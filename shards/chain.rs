//! The one conductor: header tree, what is obtained from where, the life of worlds, verdicts, the
//! tip. It never sees a coin, a script, a socket or a byte of a block beyond its header and facts.
//!
//! ```text
//!  headers.rs       which headers are believed, and whom to ask for more
//!  arrive.rs        bodies that came
//!  obtain.rs        which bodies are needed next, and asks peers for them
//!  files.rs         bodies that lie in files of ours: restart, import, damage
//!  grow.rs          worlds: begin, join, judge, retire in height order, refuse
//!  refuse.rs        blocks that broke a rule
//!  world.rs         what is known of a live world
//!  scripts.rs       whose scripts are run, whose are believed
//!  tip.rs           the tip moves; worlds fold, are dropped, are rebuilt
//!  restore.rs       the checkpoints that coins are made from
//!  history.rs       what lies behind a snapshot is verified
//!  prune.rs         which blocks are given up to make room
//!  hand.rs          blocks that a person takes out of the running, or lets in again
//!  presync.rs       chains that have not shown enough work
//!  serve.rs         what peers may have of it
//!  report.rs        what people may see of it
//!  trail.rs         how long blocks took on their way, and how far each has come
//!  deployments.rs   how far changes of the rules have come on a branch
//! ```

mod arrive;
mod cut;
mod deployments;
mod files;
mod grow;
mod hand;
mod headers;
mod history;
mod obtain;
mod presync;
mod prune;
mod refuse;
mod report;
mod restore;
mod scripts;
mod serve;
#[cfg(test)]
mod tests;
mod tip;
mod trail;
mod world;

pub use history::Snapshot;

use crate::effect::{Event, Side};
use crate::limits::{self, Budget};
use crate::msg::{From, Msg, PeerId, Place, Seq};
use crate::note::Note;
use crate::prover::Mode;
use crate::{Cx, Input, Shard, ShardId};
use consensus::{BlockHash, Params, Work};
use ledger::{Body, Headers, NodeId, WorldId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wire::fetch::Fetch;
use world::{World, WorldState};

pub use prune::Pruning;

/// What the chain shard is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// The network.
    pub params: &'static Params,
    /// Number of peer, utxo and verify shards each.
    pub workers: u16,
    /// Headers of a chain with less work are not stored.
    pub min_work: Work,
    /// Scripts of this block and its ancestors are believed, once it is deep enough; none is to run all.
    pub assume_valid: Option<BlockHash>,
    /// Who settles signatures; off where there are no lanes.
    pub lanes: Mode,
    /// Memory.
    pub budget: Budget,
    /// Worlds kept apart at the tip, in blocks.
    pub horizon: u32,
    /// Blocks refused in earlier runs, with the reason.
    pub refused: Vec<(BlockHash, String)>,
    /// Checkpoints that there are, where there is a snapshot those of the history: partition, height, block.
    pub checkpoints: Vec<(u16, u32, BlockHash)>,
    /// A snapshot whose history is not verified.
    pub snapshot: Option<Snapshot>,
    /// Blocks that were invalidated by hand.
    pub invalidated: Vec<BlockHash>,
    /// How blocks.bin is pruned.
    pub pruning: Pruning,
    /// No network: stop when everything in the files is done.
    pub offline: bool,
    /// Nothing is changed: the history behind a snapshot is left alone.
    pub look: bool,
    /// Run all scripts from the first height to the last, print what fails, refuse nothing for it, go no further.
    pub audit: Option<(u32, u32)>,
}

/// Whether a block's bytes are in blocks.bin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stored {
    No,
    Appending,
    Durable,
}

/// What is known of a block's validity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Unknown,
    Valid,
    /// It, or an ancestor, broke the rule with this reject string.
    Refused(&'static str),
}

/// What became of one header's block.
#[derive(Clone, Copy, Debug)]
struct Life {
    /// Where its bytes can be read: in blocks.bin once durable, or in a file being imported.
    place: Option<Place>,
    stored: Stored,
    verdict: Verdict,
    /// It was found valid in an earlier run.
    known: bool,
    /// It, or an ancestor, was invalidated by hand: out of the running, whatever its verdict.
    out: bool,
    world: Option<WorldId>,
}

const UNBORN: Life =
    Life { place: None, stored: Stored::No, verdict: Verdict::Unknown, known: false, out: false, world: None };

/// A block in memory: waiting to grow, growing, or on its way to disk.
#[derive(Debug)]
struct Held {
    /// Until its world is begun.
    body: Option<Arc<Body>>,
    bytes: u64,
    growing: bool,
    appending: bool,
    from: From,
}

/// What is known of a peer.
#[derive(Debug)]
struct Peer {
    address: std::net::SocketAddr,
    inbound: bool,
    /// Height it claimed in its version message.
    start_height: u32,
    /// The last block it is known to have.
    best: Option<NodeId>,
    unconnected: u32,
    /// Times it kept us waiting for headers.
    silent: u32,
}

/// The shard.
#[derive(Debug)]
pub struct Chain {
    config: Config,
    tree: Headers,
    /// By node.
    lives: Vec<Life>,
    refused_before: BTreeMap<BlockHash, String>,
    /// Best header chain that holds nothing refused.
    best: NodeId,
    /// Valid, durable, most work.
    tip: NodeId,
    told: tip::Told,
    root: WorldId,
    next_world: WorldId,
    worlds: BTreeMap<WorldId, World>,
    worlds_bytes: u64,
    growing: usize,
    next_verify: u16,
    held: BTreeMap<NodeId, Held>,
    /// Bytes of blocks growing or being appended.
    pipeline_bytes: u64,
    /// Blocks in memory whose parent's world lives, by height.
    ready: BTreeSet<(u32, NodeId)>,
    /// Blocks in memory by the parent they wait for.
    waiting: BTreeMap<NodeId, BTreeSet<NodeId>>,
    peers: BTreeMap<PeerId, Peer>,
    fetch: Fetch,
    obtain: obtain::Obtain,
    restore: restore::Restore,
    /// Not begun with.
    snapshot: Option<Snapshot>,
    history: Option<history::History>,
    prune: prune::Prune,
    hand: hand::Hand,
    sync: headers::Sync,
    /// To be told once the block has its verdict and is durable.
    settles: BTreeMap<NodeId, Vec<(PeerId, Seq)>>,
    stats: report::Stats,
    trails: trail::Trails,
    scripts: scripts::Policy,
    deployed: deployments::Known,
}

impl Chain {
    /// A chain that knows only genesis.
    pub fn new(config: Config) -> Chain {
        let tree = Headers::new(config.params.genesis);
        let genesis = Life {
            place: None,
            stored: Stored::Durable,
            verdict: Verdict::Valid,
            known: true,
            out: false,
            world: Some(0),
        };
        let root = World::root(0, 0, Side::Tip);
        let fetch = Fetch::new(wire::fetch::Limits {
            window: limits::WINDOW_BLOCKS,
            per_peer_min: 2,
            per_peer_max: limits::PEER_BLOCKS_MAX,
            stall_ms: 2_000,
            bytes_credit: config.budget.window / 2,
        });
        Chain {
            restore: restore::Restore::new(&config.checkpoints),
            prune: prune::Prune::default(),
            refused_before: config.refused.iter().cloned().collect(),
            hand: hand::Hand::new(&config.invalidated),
            snapshot: config.snapshot.clone(),
            history: None,
            config,
            tree,
            lives: vec![genesis],
            best: 0,
            tip: 0,
            told: tip::Told::default(),
            root: 0,
            next_world: 1,
            worlds: BTreeMap::from([(0, root)]),
            worlds_bytes: 0,
            growing: 0,
            next_verify: 0,
            held: BTreeMap::new(),
            pipeline_bytes: 0,
            ready: BTreeSet::new(),
            waiting: BTreeMap::new(),
            peers: BTreeMap::new(),
            fetch,
            obtain: obtain::Obtain::default(),
            sync: headers::Sync::default(),
            settles: BTreeMap::new(),
            stats: report::Stats::default(),
            trails: trail::Trails::default(),
            scripts: scripts::Policy::default(),
            deployed: BTreeMap::new(),
        }
    }

    fn life(&self, node: NodeId) -> &Life {
        &self.lives[node as usize]
    }

    fn life_mut(&mut self, node: NodeId) -> &mut Life {
        &mut self.lives[node as usize]
    }

    fn height(&self, node: NodeId) -> u32 {
        self.tree.node(node).height
    }

    fn work(&self, node: NodeId) -> Work {
        self.tree.node(node).work
    }

    fn refused(&self, node: NodeId) -> Option<&'static str> {
        match self.life(node).verdict {
            Verdict::Refused(why) => Some(why),
            _ => None,
        }
    }

    /// It is neither refused nor invalidated by hand.
    fn in_running(&self, node: NodeId) -> bool {
        self.refused(node).is_none() && !self.life(node).out
    }

    fn punish(&mut self, peer: PeerId, why: String, cx: &mut Cx) {
        if let Some(known) = self.peers.get(&peer) {
            cx.note(Note::Punished { peer: known.address, why: why.clone() });
            self.tell_peer(peer, Msg::Punish { peer, why }, cx);
        }
    }

    fn tell_peer(&self, peer: PeerId, word: Msg, cx: &mut Cx) {
        cx.tell(ShardId::Peer(crate::msg::split_peer(peer).0), word);
    }

    /// The peer may answer the pings that came after this word of it. Where the tip is the best
    /// header, what the page shows is brought up to date first.
    fn settle(&mut self, peer: PeerId, seq: Seq, cx: &mut Cx) {
        if self.tip == self.best && !self.obtain.replaying() {
            self.report_news(cx);
            cx.tell(ShardId::Status, Msg::Settled { peer, seq });
        } else {
            self.tell_peer(peer, Msg::Settled { peer, seq }, cx);
        }
    }

    fn settle_from(&mut self, from: From, cx: &mut Cx) {
        if let From::Peer(peer, seq) = from {
            self.settle(peer, seq, cx);
        }
    }

    fn peer_gone(&mut self, peer: PeerId, cx: &mut Cx) {
        self.peers.remove(&peer);
        self.fetch.peer_down(peer);
        self.sync_peer_gone(peer, cx);
    }

    /// Everything that may have become possible.
    fn advance(&mut self, cx: &mut Cx) {
        // Where a start finds its block, the headers are kept already.
        if self.adopt_snapshot(|chain| chain.best, cx) {
            self.keep_headers(cx);
        }
        self.grow_ready(cx);
        self.obtain_more(cx);
    }
}

impl Shard for Chain {
    fn step(&mut self, input: Input, cx: &mut Cx) {
        match input {
            Input::Msg(word) => self.hear(word, cx),
            Input::Event(Event::Indexed { file, index }) => self.indexed(file, &index, cx),
            Input::Event(Event::Begin) => self.begin(cx),
            Input::Event(Event::Kept(result)) => self.kept(result, cx),
            Input::Event(other) => unreachable!("chain is never told {other:?}"),
            Input::Tick => {
                self.tick_headers(cx);
                self.tick_obtain(cx);
                self.tick_tip(cx);
                self.tick_prune(cx);
                self.tick_report(cx);
                self.tick_hand(cx);
            }
        }
        self.advance(cx);
    }
}

impl Chain {
    fn hear(&mut self, word: Msg, cx: &mut Cx) {
        match word {
            Msg::PeerUp { peer, info, address } => self.peer_up(peer, info, address, cx),
            Msg::PeerGone { peer } => self.peer_gone(peer, cx),
            Msg::Headers { peer, seq, headers } => self.headers(peer, seq, headers, cx),
            Msg::Announced { peer, seq, hashes } => self.blocks_announced(peer, seq, &hashes, cx),
            Msg::Arrived { from, body } => self.arrived(from, body, cx),
            Msg::Spoiled { from, hash, rule } => self.spoiled(from, hash, rule, cx),
            Msg::NotFound { peer, hashes } => self.not_found(peer, &hashes, cx),
            Msg::Locate { peer, want, locator, stop } => self.locate(peer, want, &locator, &stop, cx),
            Msg::Find { peer, hash } => self.find(peer, hash, cx),
            Msg::Grown { world, grown, missing } => self.grown(world, grown, missing, cx),
            Msg::Restored { root, coins } => self.restored(root, coins, cx),
            Msg::Checkpointed { side, partition, root, height, block, kept } => {
                self.checkpointed(side, partition, root, (height, block), &kept);
            }
            Msg::Measured { partition, digest } => self.measured(partition, digest, cx),
            Msg::Doubt { found } => self.doubted(found, cx),
            Msg::Verdict { world, part, spends, script } => self.verdict(world, part, *spends, script, cx),
            Msg::Durable(nodes) => {
                self.prune.wrote(&nodes);
                self.durable(nodes, cx);
            }
            Msg::Punched { done } => self.punched(done),
            Msg::Query { question, text } => {
                let text = self.query(&text);
                cx.tell(ShardId::Status, Msg::Reply { question, text });
            }
            Msg::Decide { question, block, out } => self.decide(question, block, out, cx),
            Msg::WhichWorld { question, block } => {
                let world = self.which_world(block);
                cx.tell(ShardId::Status, Msg::World { question, world });
            }
            other => unreachable!("chain is never told {other:?}"),
        }
    }

    fn not_found(&mut self, peer: PeerId, hashes: &[BlockHash], cx: &mut Cx) {
        if let Some(known) = self.peers.get(&peer) {
            cx.note(Note::Lost { peer: known.address, blocks: hashes.len() });
        }
        for node in hashes.iter().filter_map(|hash| self.tree.find(hash)) {
            self.fetch.not_found(peer, node);
        }
    }
}
