//! Every word spoken between shards. Each says who speaks to whom, and how often.

use crate::effect::{FileId, Side};
use crate::prover::Curve;
use consensus::script::{Flags, ScriptError};
use consensus::{BlockHash, Header, OutPoint, Rule, Spends, Txid};
use ledger::survey::{Aim, Part};
use ledger::worlds::Fate;
use ledger::{Body, CoinDigest, NodeId, WorldId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use wire::conn::PeerInfo;
use wire::message::Address;

/// One peer: the number of its peer shard in the upper 16 bits, its connection below.
pub type PeerId = u64;

/// The peer of a connection.
pub fn peer_id(shard: u16, conn: u64) -> PeerId {
    assert!(conn < 1 << 48);
    u64::from(shard) << 48 | conn
}

/// Number of the peer shard, and the connection there.
pub fn split_peer(peer: PeerId) -> (u16, u64) {
    ((peer >> 48) as u16, peer & ((1 << 48) - 1))
}

/// A peer as a person reads it.
pub fn peer_name(peer: PeerId) -> String {
    let (shard, conn) = split_peer(peer);
    format!("{shard}.{conn}")
}

/// Numbers what a peer made us do, so that a pong can wait for all of it (invariant 8).
pub type Seq = u64;

/// Where the bytes of a block came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// A peer sent it.
    Peer(PeerId, Seq),
    /// It lay in a file of blocks.
    File(FileId),
}

/// A block to be checked: shared by all shards that work on it.
#[derive(Debug)]
pub struct Job {
    /// The new world.
    pub world: WorldId,
    /// The world it grows from.
    pub parent: WorldId,
    /// Among which coins.
    pub side: Side,
    /// The block.
    pub body: Arc<Body>,
    /// Its height.
    pub height: u32,
    /// Median time past of its parent, unix seconds.
    pub mtp_parent: u32,
    /// Which verify shard checks which transactions; together all of them, in order.
    pub parts: Vec<(u16, Range<u32>)>,
    /// Same transactions as ranges of `block.inputs`.
    pub inputs: Vec<Range<u32>>,
    /// The script rules it is under.
    pub flags: Flags,
    /// Whether scripts are run.
    pub scripts: Scripts,
    /// Who settles their signatures.
    pub curve: Curve,
}

/// What becomes of a block's scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scripts {
    /// Believed: it lies below a block that is assumed valid.
    Skip,
    /// Run; the first that fails refuses the block.
    Run,
    /// Run; each that fails is printed, and the block is good all the same.
    Audit,
}

/// An input whose script does not let it spend its coin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScriptFailure {
    /// Index of the transaction in the block.
    pub tx: u32,
    /// Index of the input in the transaction.
    pub input: u32,
    /// What is wrong.
    pub error: ScriptError,
}

/// Bytes of an output's script: of those that pay to a key or to the hash of a script.
const SCRIPT_USUAL: usize = 25;

/// Coins that inputs take, packed: two allocations a message, not one a coin.
#[derive(Debug, Default)]
pub struct Coins {
    /// One row an input found.
    pub rows: Vec<CoinRow>,
    /// Their scripts.
    pub scripts: Vec<u8>,
}

impl Coins {
    /// None yet, with room for so many of usual size.
    pub fn with_room(rows: usize) -> Coins {
        Coins { rows: Vec::with_capacity(rows), scripts: Vec::with_capacity(rows * SCRIPT_USUAL) }
    }
}

/// One taken coin.
#[derive(Clone, Copy, Debug)]
pub struct CoinRow {
    /// Index in `block.inputs`.
    pub input: u32,
    /// Height it was made at.
    pub height: u32,
    /// Satoshi.
    pub value: u64,
    /// Range in `scripts`.
    pub script: (u32, u32),
    /// Made by a coinbase.
    pub coinbase: bool,
}

/// What somebody wants to know of the ledger; answered ahead of the work that waits.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the sentence above each names its fields
pub enum Question {
    /// Was this coin unspent in that world?
    Coin(OutPoint, WorldId),
    /// What has become, in that world, of so many outputs of each of these transactions, the first ones? All are of one utxo shard.
    Fates(Vec<(Txid, u32)>, WorldId),
    /// What the coins of a partition in that world come to.
    Part { partition: usize, world: WorldId, aim: Aim },
}

/// A block that a person names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// By its hash.
    Hash(BlockHash),
    /// By its height: the one on the tip's branch, or else the only one there is.
    Height(u32),
}

/// A part of the answer.
#[derive(Clone, Debug)]
pub enum Finding {
    /// The coin, if it is there: value, height, coinbase, script.
    Coin(Option<(u64, u32, bool, Box<[u8]>)>),
    /// Of each transaction that was asked about, in order, and its outputs.
    Fates(Vec<(Txid, Vec<Fate>)>),
    /// The partition, and what its coins come to.
    Part(usize, Box<Part>),
    /// That world is not alive: no more, or not yet.
    NoWorld,
}

/// What is known of the files of a partition.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Heights and blocks of checkpoints on the chain that was chosen.
    pub kept: BTreeMap<u32, BlockHash>,
    /// Heights of others: of branches that were left, or damaged.
    pub stale: BTreeSet<u32>,
}

/// A request for a piece of the header tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// getheaders: up to 2,000 headers.
    Headers,
    /// getblocks: up to 500 hashes.
    Hashes,
}

/// The words.
#[allow(missing_docs)] // the sentence above each names its fields
#[derive(Debug)]
pub enum Msg {
    // ---- peer → peer, each block's to the next in turn, itself among them: many cores parse what one peer sends ----
    /// A block came; the chain shard is to hear what it is.
    Parse { from: From, hash: BlockHash, bytes: bytes::Bytes },

    // ---- peer → chain; each peer has at most `PEER_WORDS_MAX` of these unanswered ----
    /// A handshake is done.
    PeerUp { peer: PeerId, info: Arc<PeerInfo>, address: SocketAddr },
    /// The connection has ended.
    PeerGone { peer: PeerId },
    /// Headers came. Answered by Settled.
    Headers { peer: PeerId, seq: Seq, headers: Vec<Header> },
    /// Blocks were announced by hash. Answered by Settled.
    Announced { peer: PeerId, seq: Seq, hashes: Vec<BlockHash> },
    /// A block came and passed the context-free rules. From a peer: answered by Settled.
    Arrived { from: From, body: Arc<Body> },
    /// A block came that breaks a context-free rule (mutated or invalid), or cannot be read from its file.
    Spoiled { from: From, hash: BlockHash, rule: Rule },
    /// These were asked of the peer and it has them not.
    NotFound { peer: PeerId, hashes: Vec<BlockHash> },
    /// getheaders or getblocks. Answered by Located.
    Locate { peer: PeerId, want: Want, locator: Vec<BlockHash>, stop: BlockHash },
    /// getdata for one block. Answered by Found.
    Find { peer: PeerId, hash: BlockHash },

    // ---- chain → peer ----
    /// Ask this peer for these blocks.
    Ask { peer: PeerId, hashes: Vec<BlockHash> },
    /// Ask this peer for headers.
    AskHeaders { peer: PeerId, locator: Vec<BlockHash> },
    /// What the peer's earlier word brought about is visible now. At the tip it goes by way of the status shard, behind
    /// the report that shows it.
    Settled { peer: PeerId, seq: Seq },
    /// This peer broke a rule; let it go and say why.
    Punish { peer: PeerId, why: String },
    /// Headers of the tip's branch after the locator.
    Located { peer: PeerId, want: Want, headers: Vec<Header> },
    /// Where that block lies, if it is on disk and valid.
    Found { peer: PeerId, hash: BlockHash, place: Option<Place> },
    /// Read this block of ours; answered by Arrived or Spoiled.
    Load { hash: BlockHash, place: Place },
    /// The tip moved to the last of these; to be announced where `fresh`.
    TipMoved { height: u32, headers: Arc<Vec<Header>>, fresh: bool },

    // ---- chain → utxo, in order; each Grow is answered by exactly one Grown ----
    /// Grow a world; send the coins it takes to the verify shards it names.
    Grow(Arc<Job>),
    /// Fold all worlds up to this one, that of the block, into the base.
    Fold { side: Side, world: WorldId, height: u32, block: BlockHash },
    /// Drop these worlds. To verify, too: nobody waits for their scripts.
    Drop { side: Side, worlds: Vec<WorldId> },
    /// Forget everything; read the newest checkpoint that is kept, if there is one, of each partition. The world of that block, the lowest of them, has this name
    /// now. Answered by Restored.
    Restore { side: Side, root: WorldId, height: u32, block: BlockHash, partitions: Arc<Vec<Files>> },
    /// The coins so far are those of the history from now on; those of the tip come with the next Restore.
    Split,
    /// What do the coins of this partition come to in that world? Answered by Measured.
    Measure { partition: u16, world: WorldId },
    /// Forget the coins of the history.
    Forget,

    // ---- chain → verify ----
    /// Check one part of a block, once the coins from every utxo shard are there.
    Check { job: Arc<Job>, part: usize },

    // ---- utxo → verify; one per utxo shard and part ----
    /// What the inputs of that part take here. Inputs of this shard's partitions not among them are missing.
    Coins { world: WorldId, part: usize, coins: Box<Coins> },

    // ---- utxo → chain ----
    /// The world stands here; so many of its inputs found no coin.
    Grown { world: WorldId, grown: ledger::worlds::Grown, missing: u64 },
    /// The bases are there, with so many coins; or the checkpoint of a partition at a block is damaged, and how.
    Restored { root: WorldId, coins: Result<u64, (u16, (u32, BlockHash), String)> },
    /// That is what they come to.
    Measured { partition: u16, digest: CoinDigest },
    /// A checkpoint of a base that was read, or made, from `root` on is durable; those of the partition that are kept.
    Checkpointed { side: Side, partition: u16, root: WorldId, height: u32, block: BlockHash, kept: Vec<u32> },

    // ---- verify → chain; before any verdict that lanes had a part in, once they were wrong ----
    /// Lanes said of a signature that it is good, and it is not: in the block that was found, or another shard's.
    Doubt { found: Option<(BlockHash, u32)> },

    // ---- verify → chain; one per part ----
    /// The part was checked; the first script that failed, where the rules were kept.
    Verdict { world: WorldId, part: usize, spends: Box<Spends>, script: Option<ScriptFailure> },

    // ---- verify → verify; a verify shard has one transaction shared at a time ----
    /// Run these inputs of a part of mine. Answered by Shared.
    Share(Box<crate::verify::Share>),
    /// The first of the inputs shared of that part that failed, if one did.
    Shared { world: WorldId, part: usize, script: Option<ScriptFailure> },

    // ---- peer, utxo, verify → itself ----
    /// Go on with the blocks that are being read, the worlds that are being folded, the scripts that wait.
    Slice,

    // ---- chain → store ----
    /// Append this block to blocks.bin.
    Append { node: NodeId, body: Arc<Body> },
    /// Keep these headers, whose blocks are not in blocks.bin.
    KeepHeaders(Vec<Header>),
    /// Note that the block which lies there in blocks.bin, durably, is valid.
    Valid { at: u64 },
    /// Remember for ever that this block is refused.
    Refused { hash: BlockHash, reject: &'static str },
    /// Give up the bytes of the blocks that lie there in blocks.bin, each with its bytes. Answered by Punched.
    Punch(Vec<(u64, u32)>),

    // ---- store → chain ----
    /// These blocks are durable, at these places, in the order they were appended.
    Durable(Vec<(NodeId, Place)>),
    /// The last that were to go are gone; or the disk does not give bytes up.
    Punched { done: bool },

    // ---- book ↔ peer ----
    /// book → peer: connect to this address.
    Dial { address: SocketAddr },
    /// peer → book: a connection has ended, or a dialled address did not answer; `met` where its handshake was done.
    Hung { peer: PeerId, address: SocketAddr, inbound: bool, met: bool },
    /// peer → book: a handshake is done.
    Met { peer: PeerId, info: Arc<PeerInfo>, address: SocketAddr },
    /// peer → book: addresses that a peer told.
    Addresses { peer: PeerId, list: Vec<Address> },
    /// peer → book: the peer asks for addresses. Answered by Addresses in the other direction.
    WantAddresses { peer: PeerId },
    /// book → peer: addresses for that peer.
    Tell { peer: PeerId, list: Vec<Address> },
    /// book → peer: end this connection.
    Hangup { peer: PeerId, why: &'static str },
    /// chain → book: no block for a while; try one more peer.
    OneMore,

    // ---- anyone → status, at most four times a second each ----
    /// What the page and the prompt show of this shard.
    Report(Box<crate::report::Report>),

    // ---- status ↔ chain, utxo ----
    /// status → chain: a line typed at the prompt that needs the header tree.
    Query { question: u64, text: String },
    /// chain, book → status: its answer.
    Reply { question: u64, text: String },
    /// status → utxo: a question of coins.
    Look { question: u64, what: Question },
    /// utxo → status: its part of the answer.
    Seen { question: u64, finding: Finding },
    /// status → chain: which world is the tip's (or that block's)? Answered by World.
    WhichWorld { question: u64, block: Option<Which> },
    /// chain → status: that world, with its height and block; or why there is none, and which there are.
    World { question: u64, world: Result<(WorldId, u32, BlockHash), String> },
    /// status → chain: a person takes a block out of the running, with all that descend from it, or lets it in again.
    /// Answered by Decided.
    Decide { question: u64, block: BlockHash, out: bool },
    /// chain → status: that is done, and the tip's world lives. Comes behind the report that shows it.
    Decided { question: u64, text: String },
    /// status → book: a person wants a connection to this address. Answered by Reply.
    Meet { question: u64, address: SocketAddr },
}

impl Msg {
    /// Whether this word goes ahead of others that wait: questions of people, which change nothing.
    pub fn is_question(&self) -> bool {
        use Msg::*;
        matches!(self, Query { .. } | Reply { .. } | Look { .. } | Seen { .. } | WhichWorld { .. } | World { .. })
    }
}

/// Where a block lies on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Which file.
    pub file: FileId,
    /// Offset of the block itself, after its frame.
    pub at: u64,
    /// Its bytes.
    pub len: u32,
}
