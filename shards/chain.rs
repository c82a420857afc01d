//! The one conductor: header tree, what is obtained from where, the life of worlds, verdicts, the
//! tip. It never sees a coin, a script, a socket or a byte of a block beyond its header and facts.
//!
//! ```text
//!  headers.rs       which headers are believed, and whom to ask for more
//!  obtain.rs        which bodies are needed next, and asks peers for them
//!  files.rs         bodies that lie in files of ours: restart, import, damage
//!  grow.rs          worlds: begin, join, judge, retire in height order, refuse
//!  scripts.rs       whose scripts are run, whose are believed
//!  tip.rs           the tip moves; worlds fold, are dropped, are rebuilt
//!  presync.rs       chains that have not shown enough work
//!  serve.rs         what peers may have of it
//!  report.rs        what people may see of it
//!  deployments.rs   how far changes of the rules have come on a branch
//! ```

mod cut;
mod deployments;
mod files;
mod grow;
mod headers;
mod obtain;
mod presync;
mod report;
mod scripts;
mod serve;
mod tip;

use crate::effect::Event;
use crate::limits::{self, Budget};
use crate::msg::{From, Msg, PeerId, Place, Seq};
use crate::{Cx, Input, Shard, ShardId};
use consensus::{BlockHash, Params, Rule, Work};
use ledger::{Body, Headers, NodeId, WorldId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wire::fetch::Fetch;

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
    /// Memory.
    pub budget: Budget,
    /// Blocks refused in earlier runs, with the reason.
    pub refused: Vec<(BlockHash, String)>,
    /// No network: stop when everything in the files is done.
    pub offline: bool,
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
    world: Option<WorldId>,
}

const UNBORN: Life = Life { place: None, stored: Stored::No, verdict: Verdict::Unknown, known: false, world: None };

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

/// A live world above the root, or the root itself.
#[derive(Debug)]
struct World {
    node: NodeId,
    parent: WorldId,
    children: Vec<WorldId>,
    state: WorldState,
    /// Coins in it once valid; before that what it makes less what it takes.
    coins: i64,
    /// Estimate of the memory its versions take.
    bytes: u64,
}

#[derive(Debug)]
enum WorldState {
    Growing(Box<grow::Growing>),
    /// All answers are there; the parent's verdict is not.
    Checked(Result<(), grow::Refusal>, From),
    Valid,
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
    /// The tip as peers were last told.
    announced: NodeId,
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
    sync: headers::Sync,
    /// To be told once the block has its verdict and is durable.
    settles: BTreeMap<NodeId, Vec<(PeerId, Seq)>>,
    stats: report::Stats,
    scripts: scripts::Policy,
    deployed: deployments::Known,
}

impl Chain {
    /// A chain that knows only genesis.
    pub fn new(config: Config) -> Chain {
        let tree = Headers::new(config.params.genesis);
        let genesis =
            Life { place: None, stored: Stored::Durable, verdict: Verdict::Valid, known: true, world: Some(0) };
        let root = World { node: 0, parent: 0, children: Vec::new(), state: WorldState::Valid, coins: 0, bytes: 0 };
        let fetch = Fetch::new(wire::fetch::Limits {
            window: limits::WINDOW_BLOCKS,
            per_peer_min: 2,
            per_peer_max: limits::PEER_BLOCKS_MAX,
            stall_ms: 2_000,
            bytes_credit: config.budget.window / 2,
        });
        Chain {
            refused_before: config.refused.iter().cloned().collect(),
            config,
            tree,
            lives: vec![genesis],
            best: 0,
            tip: 0,
            announced: 0,
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

    fn punish(&mut self, peer: PeerId, why: String, cx: &mut Cx) {
        if self.peers.contains_key(&peer) {
            cx.tell(ShardId::Peer(crate::msg::split_peer(peer).0), Msg::Punish { peer, why });
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

    /// A body came, whole and within the context-free rules.
    fn arrived(&mut self, from: From, body: Arc<Body>, cx: &mut Cx) {
        let Some(node) = self.tree.find(&body.block.hash) else { return self.settle_from(from, cx) };
        if !self.accept_arrival(from, node, body.len() as u32, cx) {
            return self.settle_copy(from, node, cx);
        }
        let parent = self.tree.node(node).parent;
        let context = consensus::BlockCx {
            params: self.config.params,
            height: self.height(node),
            mtp_parent: self.tree.median_time(parent),
        };
        match consensus::check_block_context(&body.block, &context) {
            Ok(()) => self.hold(node, from, body, cx),
            Err(rule) => {
                // It was booked as arrived: wanted again, of another.
                if let From::Peer(peer, _) = from {
                    self.fetch.refused_from(peer, node);
                }
                self.spoiled(from, body.block.hash, rule, cx);
            }
        }
    }

    /// A copy of a block that is under way already is settled with it.
    fn settle_copy(&mut self, from: From, node: NodeId, cx: &mut Cx) {
        match (from, self.settles.get_mut(&node)) {
            (From::Peer(peer, seq), Some(others)) => others.push((peer, seq)),
            _ => self.settle_from(from, cx),
        }
    }

    /// Whether these bytes are welcome: asked for, or read by us; not refused; not here already.
    fn accept_arrival(&mut self, from: From, node: NodeId, bytes: u32, cx: &mut Cx) -> bool {
        let welcome = match from {
            From::Peer(peer, _) => {
                self.fetch.arrived(Some(peer), node, bytes, cx.now_ms) == wire::fetch::Arrival::Asked
            }
            From::File(_) => {
                self.obtain.loaded(node);
                true
            }
        };
        let life = self.life(node);
        welcome && self.refused(node).is_none() && life.world.is_none() && !self.held.contains_key(&node)
    }

    /// Bytes that break a rule. Mutated ones say nothing of the header: another peer is asked.
    fn spoiled(&mut self, from: From, hash: BlockHash, rule: Rule, cx: &mut Cx) {
        let node = self.tree.find(&hash);
        match from {
            From::File(file) => self.spoiled_in_file(file, hash, rule, cx),
            From::Peer(peer, seq) => {
                if let Some(node) = node {
                    if self.fetch.arrived(Some(peer), node, 0, cx.now_ms) == wire::fetch::Arrival::Asked {
                        self.fetch.refused_from(peer, node);
                    }
                    if rule.kind() == consensus::Kind::Invalid {
                        self.refuse(node, rule.into(), cx);
                    }
                }
                let height = node.map(|n| format!(" at height {}", self.height(n))).unwrap_or_default();
                self.punish(peer, format!("{rule}: block {hash}{height}"), cx);
                self.settle(peer, seq, cx);
            }
        }
    }

    /// Everything that may have become possible.
    fn advance(&mut self, cx: &mut Cx) {
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
            Input::Event(other) => unreachable!("chain is never told {other:?}"),
            Input::Tick => {
                self.tick_headers(cx);
                self.tick_obtain(cx);
                self.tick_tip(cx);
                self.tick_report(cx);
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
            Msg::NotFound { peer, hashes } => self.not_found(peer, &hashes),
            Msg::Locate { peer, want, locator, stop } => self.locate(peer, want, &locator, &stop, cx),
            Msg::Find { peer, hash } => self.find(peer, hash, cx),
            Msg::Grown { world, grown } => self.grown(world, grown, cx),
            Msg::Verdict { world, part, spends, script } => self.verdict(world, part, *spends, script, cx),
            Msg::Durable(nodes) => self.durable(nodes, cx),
            Msg::Query { question, text } => {
                let text = self.query(&text);
                cx.tell(ShardId::Status, Msg::Reply { question, text });
            }
            Msg::WhichWorld { question, block } => {
                let world = self.which_world(block);
                cx.tell(ShardId::Status, Msg::World { question, world });
            }
            other => unreachable!("chain is never told {other:?}"),
        }
    }

    fn not_found(&mut self, peer: PeerId, hashes: &[BlockHash]) {
        for node in hashes.iter().filter_map(|hash| self.tree.find(hash)) {
            self.fetch.not_found(peer, node);
        }
    }
}
