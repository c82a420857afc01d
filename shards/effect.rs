//! Every word spoken with the kernel: an [`Effect`] asks, an [`Event`] answers. The edge (`src/`)
//! carries them out with io_uring; the simulator with a virtual network and disk.

use crate::note::Note;
use bytes::Bytes;
use std::net::SocketAddr;
use std::ops::Range;

/// A connection of one peer shard. Even: chosen by the shard that connects; odd: given by the edge
/// to a socket that was accepted. Unique per shard and run.
pub type ConnId = u64;
/// An accepted socket that no shard owns yet.
pub type SocketId = u64;
/// A file of blocks: 0 is blocks.bin, others are files being imported.
pub type FileId = u32;

/// Which coins: a node that began with a snapshot has two sets, until it has seen where the snapshot's came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Side {
    /// Those that the tip's worlds lie over.
    Tip,
    /// Those of the history that is verified behind a snapshot.
    History,
}

/// How loud a log line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// Somebody should look.
    Warn,
    /// Worth one line in normal running.
    Info,
    /// Shown with `--verbose`.
    Debug,
}

/// Why the node must stop; each has its own exit status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// An offline job (import, digest) came to its end.
    Done,
    /// No room left for blocks.bin.
    DiskFull,
    /// A write, sync or read failed: the file is not trusted any more.
    DiskFailed,
    /// Stored blocks are damaged and nobody can send them again.
    Damaged,
    /// The snapshot that the node began with is false, or what was made from it is gone.
    Snapshot,
    /// The headers of pruned blocks are lost, so that what is left means nothing.
    HeadersLost,
    /// Blocks are needed that were pruned.
    Pruned,
}

/// A line of the log, as people are shown it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    /// When, unix seconds.
    pub unix: u64,
    /// How loud.
    pub level: Level,
    /// What.
    pub line: String,
}

/// What somebody who may change things wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// A connection to this address.
    Connect(SocketAddr),
    /// An end of the node; who says so.
    Shutdown(String),
}

/// What a shard asks of the kernel.
#[allow(missing_docs)] // the sentence above each names its fields
#[derive(Debug)]
pub enum Effect {
    /// peer: connect; answered by Opened or Closed.
    Connect { conn: ConnId, to: SocketAddr },
    /// peer: read once, at most `room` bytes, to the end of `buffer`; answered by Received or Closed.
    Receive { conn: ConnId, buffer: Vec<u8>, room: usize },
    /// peer: write all of it, in order; answered by Sent, again and again until all of it is gone.
    Send { conn: ConnId, bytes: Vec<Bytes> },
    /// peer: the same with this range of blocks.bin, none of which is given up while the node runs.
    SendFile { conn: ConnId, at: u64, len: u32 },
    /// peer: end a connection that was Opened once what was sent before has left; answered by Closed.
    Close { conn: ConnId },
    /// book: give an accepted socket to peer shard number `to`; there it is Opened.
    Hand { socket: SocketId, to: u16 },
    /// book: close an accepted socket at once.
    Refuse { socket: SocketId },
    /// book: look a host name up, off the executors; answered by Resolved.
    Resolve { name: String, port: u16 },
    /// book: replace the file of known addresses.
    SaveAddresses(Vec<u8>),
    /// peer: read exactly this range of a file of blocks; answered by Read.
    Read { token: u64, file: FileId, at: u64, len: u32 },
    /// peer: the same with a block in blocks.bin; but where the kernel holds all of it in memory, its header will do.
    Peek { token: u64, at: u64, len: u32 },
    /// store: write these bytes (a multiple of 4,096) at this offset (also one) of blocks.bin;
    /// answered by Written. Several may be under way and may end in any order.
    Write { at: u64, pieces: Vec<Bytes> },
    /// store: fdatasync blocks.bin; answered by Synced.
    Sync,
    /// store: append this line to the file of refused blocks and sync it.
    Remember(String),
    /// utxo: write these bytes at this offset of the checkpoint of that partition and height; with the last, make it durable,
    /// put it in its place, and remove those of these heights. Answered by SavedCheckpoint.
    SaveCheckpoint { side: Side, partition: u16, height: u32, at: u64, bytes: Bytes, last: Option<Vec<u32>> },
    /// utxo: read up to `len` bytes of a checkpoint, fewer only at its end. Answered by LoadedCheckpoint.
    LoadCheckpoint { side: Side, partition: u16, height: u32, at: u64, len: u32 },
    /// chain: the history is verified: remove the file that says which snapshot it is of, and its checkpoints.
    EndSnapshot,
    /// status: write these bytes at this offset of the snapshot that is being made; answered by Dumped.
    Dump { question: u64, at: u64, bytes: Bytes },
    /// chain: replace the file of blocks invalidated by hand and sync it; answered by Kept. One at a time.
    Keep(Vec<u8>),
    /// store: append these bytes to the block index, both copies if there are two, in the order asked; no answer, and no
    /// sync: what is lost is found again in blocks.bin.
    Index(Bytes),
    /// store: make durable what was appended to the block index, then give up these whole pages of blocks.bin, which read
    /// as zeros afterwards. Answered by Punched; one at a time.
    Punch(Vec<Range<u64>>),
    /// anyone: one line for the log.
    Log(Level, String),
    /// anyone: something that happened, for the log.
    Note(Note),
    /// status: say what the log's filter is, or have it be another one; whoever asked that question is answered by the edge.
    Filter { question: u64, wanted: Option<String> },
    /// anyone, in offline commands: one line on standard output.
    Print(String),
    /// anyone: stop the node, for this reason, said in these words.
    Stop(Stop, String),
    /// status: the answer to the question with this number.
    Answer { question: u64, text: String },
}

/// Why a Read brought nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadError {
    /// The file ends before the range does: these bytes are gone.
    Short,
    /// The kernel would not read or open it; nothing is known of the bytes. Names the file and the reason.
    Io(String),
}

/// What the kernel did.
#[allow(missing_docs)] // the sentence above each names its fields
#[derive(Debug)]
pub enum Event {
    /// book: somebody connected to one of our listeners.
    Accepted { socket: SocketId, from: SocketAddr },
    /// book: a look-up ended; no address where it failed.
    Resolved { name: String, addresses: Vec<SocketAddr> },
    /// utxo: that is done, or why not.
    SavedCheckpoint { side: Side, partition: u16, failed: Option<String> },
    /// utxo: the bytes, or why there are none.
    LoadedCheckpoint { side: Side, partition: u16, height: u32, at: u64, bytes: Result<Bytes, String> },
    /// status: that is written, or why not.
    Dumped { question: u64, failed: Option<String> },
    /// peer: a connection stands.
    Opened { conn: ConnId, address: SocketAddr, inbound: bool },
    /// peer: bytes came; the buffer of Receive with more at its end.
    Received { conn: ConnId, buffer: Vec<u8> },
    /// peer: so many bytes were handed to the kernel, of a Send or of a SendFile.
    Sent { conn: ConnId, bytes: usize, of_file: bool },
    /// peer: the connection has ended, or never stood; nothing more will come of it.
    Closed { conn: ConnId, why: String },
    /// peer: what a Read or Peek brought.
    Read { token: u64, bytes: Result<Bytes, ReadError> },
    /// store: a Write is complete (not yet durable).
    Written { at: u64 },
    /// store: every Write that was complete when Sync was asked is durable.
    Synced,
    /// store: the pages are given up, or why they are not.
    Punched(Result<(), String>),
    /// store: a Write or Sync failed.
    Failed { full: bool, what: String },
    /// chain: the records found in a file, before any network event; `restart` for blocks.bin itself.
    Indexed { file: FileId, index: std::sync::Arc<ledger::record::Index> },
    /// chain: the file of blocks invalidated by hand is replaced and durable, or why it is not.
    Kept(Result<(), String>),
    /// chain: all files were indexed; work may begin.
    Begin,
    /// status: lines that were logged.
    Said(Vec<Said>),
    /// status: what somebody wants whose name and password are good; answered in words, as a question is.
    Ordered { question: u64, order: Order },
    /// status: a question from the monitor or an offline command.
    Asked { question: u64, text: String },
}
