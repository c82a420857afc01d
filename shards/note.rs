//! What shards tell of themselves in names and figures, for programs that read the log. What people read of it, how loud it
//! is, and whether anybody hears it, is the edge's to say: a shard gives what it has at hand, and makes no text.

use crate::msg::PeerId;
use crate::report::State;
use consensus::BlockHash;
use std::net::SocketAddr;
use std::sync::Arc;
use wire::conn::PeerInfo;

/// What a block held, and what it took to find it valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Effort {
    pub txs: u32,
    /// All but the coinbase's.
    pub inputs: u32,
    pub bytes: u32,
    /// From its world's begin to the last answer.
    pub ms: u64,
    /// Who sent it; nobody, where it was read from a file.
    pub peer: Option<SocketAddr>,
}

/// Something that happened.
#[allow(missing_docs)] // the sentence above each names its fields
#[derive(Clone, Debug)]
pub enum Note {
    /// chain: every five seconds while headers are ahead of the tip: where it stands, and rates.
    Syncing {
        state: State,
        height: u32,
        headers: u32,
        blocks_per_s: f64,
        txs_per_s: f64,
        bytes_per_s: f64,
        eta_s: Option<u64>,
    },
    /// chain: the tip moved to this block, or through it, and peers hear of it.
    Tip { height: u32, hash: BlockHash, time: u32, age_s: u64, coins: u64, effort: Option<Effort> },
    /// chain: the tip left a branch of so many blocks above `fork` for one of so many.
    Reorg { fork: u32, left: u32, taken: u32, hash: BlockHash },
    /// chain: a block was found valid.
    Connected { height: u32, hash: BlockHash, effort: Effort },
    /// chain: headers came, and were stored; the last of them stands at that height.
    Headers { peer: SocketAddr, count: usize, height: u32 },
    /// chain: blocks were asked for, so many of them of others before, who are still there; the lowest and highest height.
    Asked { peer: SocketAddr, blocks: usize, again: usize, lowest: u32, highest: u32 },
    /// chain: a block came that was asked for.
    Received { peer: SocketAddr, height: u32, hash: BlockHash, bytes: u32 },
    /// chain: a peer that was asked for blocks has not got them.
    Lost { peer: SocketAddr, blocks: usize },
    /// chain: a peer broke a rule, or keeps us waiting; it is let go.
    Punished { peer: SocketAddr, why: String },
    /// peer: a handshake is done.
    Met { peer: PeerId, address: SocketAddr, info: Arc<PeerInfo> },
    /// peer: we end a connection.
    LetGo { peer: PeerId, address: SocketAddr, why: String },
    /// peer: a connection has ended, in whichever way; what went over it, in and out.
    Gone { peer: PeerId, address: SocketAddr, inbound: bool, why: String, bytes: (u64, u64), blocks: u64, age_s: u64 },
    /// utxo: a checkpoint of a partition's coins is in its place.
    Checkpoint { partition: u16, height: u32, bytes: u64 },
}
