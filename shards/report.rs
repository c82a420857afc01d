//! What shards tell the status shard about themselves, at most four times a second each. The page,
//! the JSON and the prompt are made from the last report of each and never wait for a shard.

use crate::metrics::Latency;
use consensus::BlockHash;
use ledger::worlds::Tally;
use std::net::SocketAddr;

/// One report.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // it only travels boxed
pub enum Report {
    /// Of the chain shard.
    Chain(Chain),
    /// Of peer shard number `.0`.
    Peers(u16, Vec<Peer>),
    /// Of utxo shard number `.0`; the last is why its newest checkpoint was not written.
    Coins(u16, Tally, Vec<u32>, Option<String>),
    /// Of the store.
    Store(Store),
    /// Of the address book.
    Book(Book),
}

/// What the node is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum State {
    /// Reading its own blocks.bin.
    #[default]
    Starting,
    /// Asking peers for headers.
    Headers,
    /// Headers are ahead of the tip.
    Downloading,
    /// The tip is the best header known.
    Synced,
    /// Headers are ahead and no block comes, or the tip is too old for a public network.
    Stalled,
}

impl State {
    /// The word on the page.
    pub fn word(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Headers => "headers",
            State::Downloading => "downloading",
            State::Synced => "synced",
            State::Stalled => "stalled",
        }
    }
}

/// The chain as it stands.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// What the node is at.
    pub state: State,
    /// Why, where that needs a word.
    pub why: String,
    /// Height of the tip: valid and durable.
    pub height: u32,
    /// Height of the best header.
    pub headers: u32,
    /// Hash of the tip.
    pub tip: BlockHash,
    /// Time in the tip's header, unix seconds.
    pub tip_time: u32,
    /// Sum of work up to the tip, as hex.
    pub work: String,
    /// Coins in the tip's world.
    pub coins: u64,
    /// Blocks, transactions and bytes that became valid since the start.
    pub done: (u64, u64, u64),
    /// Blocks per second lately.
    pub blocks_per_s: f64,
    /// Transactions per second lately.
    pub txs_per_s: f64,
    /// Bytes of blocks per second lately.
    pub bytes_per_s: f64,
    /// Seconds until the tip reaches the best header at the present rate.
    pub eta_s: Option<u64>,
    /// Blocks growing, parked, being loaded, asked of peers.
    pub growing: usize,
    /// Arrived and waiting for their parents.
    pub parked: usize,
    /// Being read back from disk.
    pub loading: usize,
    /// Asked of peers and not come yet.
    pub asked: usize,
    /// Bytes of blocks in flight, and the most allowed.
    pub window_bytes: (u64, u64),
    /// Height of the first of `marks`: blocks around the tip, up to the end of the window.
    pub marks_from: u32,
    /// How far each has come.
    pub marks: Vec<Mark>,
    /// The blocks that became valid and durable last, the last first.
    pub ways: Vec<Way>,
    /// How long blocks took from when they had come until they were valid and durable.
    pub latency: Latency,
    /// Leaves of the header tree near the tip.
    pub tips: Vec<Leaf>,
    /// Blocks of the last heights that are stored and of which no world lives.
    pub past: Vec<Past>,
    /// Live worlds without the root, highest first (at most 2,048), …
    pub worlds: Vec<World>,
    /// … and how many there are.
    pub live: usize,
    /// Where a snapshot's history is not verified: up to which height it is, and its block's.
    pub history: Option<(u32, u32)>,
    /// Bytes that their versions take, by estimate, and the budget for them.
    pub worlds_bytes: (u64, u64),
    /// Worlds that are kept apart at the tip, in blocks.
    pub horizon: u32,
    /// Where the base stands.
    pub root: (u32, BlockHash),
    /// Height up to which blocks were pruned, and the bytes that took; bytes that blocks may take, if not all.
    pub pruned: (u32, u64, Option<u64>),
    /// Times the tip left a branch.
    pub switches: u64,
    /// What blocks may signal for (BIP9), for the block at the tip.
    pub deployments: Vec<Deployment>,
    /// Whether the scripts of every block were run, in this run of the node.
    pub scripts_verified: bool,
    /// Which scripts are, in words.
    pub scripts: String,
}

/// A stored block of which no world lives.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// Its height.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
    /// Its parent.
    pub parent: BlockHash,
    /// On the tip's line.
    pub active: bool,
}

/// A leaf of the header tree.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Its height.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
    /// Blocks since it left the tip's branch; 0 for the tip's own.
    pub branch_len: u32,
    /// active, headers-only, downloading, stored, valid-fork, invalidated by hand, refused: REASON.
    pub status: String,
}

/// A deployment by version bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deployment {
    /// What it is called.
    pub name: &'static str,
    /// Its state: defined, started, locked_in, active, failed.
    pub state: &'static str,
    /// The first height that has it.
    pub since: u32,
}

/// How far a block of the best header's branch has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mark {
    /// Not asked of anybody.
    Wanted,
    /// Asked of this peer.
    Asked(u64),
    /// Being read from a file of ours.
    Loading,
    /// In memory, or on disk without a verdict.
    Received,
    /// Its world grows and its scripts are run.
    Growing,
    /// Valid, not yet durable.
    Verified,
    /// Both.
    Durable,
}

/// How long a block took on its way, milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Its height.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
    /// Its transactions.
    pub txs: u32,
    /// Its bytes.
    pub bytes: u32,
    /// From being asked of the peer that sent it until it had come; none for one from a file.
    pub fetch: Option<u32>,
    /// In memory until its world was begun.
    pub wait: u32,
    /// Until coins, rules and scripts were done.
    pub check: u32,
    /// Until its parent was found valid.
    pub order: u32,
    /// From when it had come until it was durable.
    pub disk: u32,
}

/// A live world.
#[derive(Clone, Debug)]
pub struct World {
    /// Its block's height.
    pub height: u32,
    /// Its block.
    pub hash: BlockHash,
    /// Block of the world it grew from.
    pub parent: BlockHash,
    /// On the tip's line.
    pub active: bool,
    /// growing, checked, valid.
    pub status: &'static str,
    /// It, or a block below it, was invalidated by hand.
    pub invalidated: bool,
    /// Coins in it, once it is valid.
    pub coins: Option<u64>,
    /// Coins that its block made and took, once that is known.
    pub delta: Option<(u64, u64)>,
    /// Estimate of the memory that takes.
    pub bytes: u64,
}

/// A peer.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its name in the node.
    pub id: u64,
    /// Its address.
    pub address: SocketAddr,
    /// Who connected.
    pub inbound: bool,
    /// Handshake done.
    pub up: bool,
    /// Its protocol version.
    pub version: u32,
    /// Its services bits.
    pub services: u64,
    /// What it calls itself: any bytes; escape it.
    pub agent: String,
    /// Height it claimed.
    pub start_height: u32,
    /// Bytes received and sent.
    pub bytes: (u64, u64),
    /// Last ping, milliseconds.
    pub ping_ms: Option<u64>,
    /// Blocks asked and not come yet.
    pub asked: u32,
    /// Blocks it sent that were asked.
    pub blocks: u64,
    /// Seconds since it connected.
    pub age_s: u64,
}

/// The block file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Store {
    /// Logical end.
    pub end: u64,
    /// Up to here it is durable.
    pub durable: u64,
    /// Bytes written to disk since the start, padding and rewrites included, …
    pub written: u64,
    /// … and those of them that blocks and their frames have.
    pub appended: u64,
    /// Syncs since the start.
    pub syncs: u64,
    /// Bytes given up, in whole pages.
    pub punched: u64,
}

/// The address book.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// Addresses known.
    pub known: usize,
    /// Connections out and in, and the most of each.
    pub outgoing: (usize, usize),
    /// Connections in, and the most.
    pub incoming: (usize, usize),
    /// A warning that stands.
    pub warning: Option<String>,
}
