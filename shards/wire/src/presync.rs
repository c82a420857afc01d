//! Decides whether a peer's chain of headers has enough work to be worth storing, without storing it: the chain is
//! fetched twice, as in Core's `headerssync.cpp`.
//!
//! ```text
//! presync     start ─h─h─h─●─h─h─h─●─h─h─ … ─●─h   work adds up to the minimum
//!                          1       0         1     one salted bit for every so many headers is all that is kept
//! redownload  start ─h─h─h─●─h─h─h─●─h …           the same bits must come again
//!             └─── store ──┘└ look-ahead ┘         a header leaves the buffer once enough bits were checked above it
//! ```
//!
//! Every header's proof of work is checked here, against its own bits, in both passes; so is that it extends the one
//! before and that its difficulty may follow. Times, versions and exact difficulty are not: that is for whoever stores.
//! Never sees a peer, a message, a clock or a source of chance; the salt, which the peer must not know, is an argument.

#[cfg(test)]
mod tests;

use consensus::{BlockHash, Header, Network, Params, Work, meets_target, permitted_transition, sha256, work_of};
use std::collections::VecDeque;

/// Most headers in one message (Core `MAX_HEADERS_RESULTS`).
const BATCH_MAX: usize = 2_000;
/// How far ahead of our clock a block's time may lie, seconds (Core `MAX_FUTURE_BLOCK_TIME`).
const FUTURE_MAX_S: i64 = 2 * 60 * 60;
/// The fastest that blocks can follow each other for ever under the median time past rule, per second (Core
/// `HeadersSyncState`).
const BLOCKS_PER_S_MAX: u64 = 6;

/// Distance between commitments, and headers in the look-ahead buffer (Core `HeadersSyncParams` in `chainparams.cpp`).
fn shape(network: Network) -> (u32, usize) {
    match network {
        Network::Main => (641, 15_218),
        Network::Testnet3 => (673, 14_460),
        Network::Testnet4 => (606, 16_092),
        Network::Signet => (620, 15_724),
        Network::Regtest => (275, 7_017),
    }
}

/// Where the branch leaves the tree of headers that we have.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The last header we have.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// All work up to and with it.
    pub work: Work,
    /// Its difficulty.
    pub bits: u32,
    /// Its median time past, unix seconds.
    pub mtp: u32,
}

/// How far a chain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// First pass: the work is not shown yet.
    Presync,
    /// Second pass: it is, and headers are released as they come again.
    Redownload,
    /// Over, one way or the other.
    Final,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Ask on from [`Presync::locator`].
    Continue,
    /// All headers up to the minimum work, and what came with them, were released.
    Done,
    /// The peer's chain ended before that. Nobody is to blame.
    Short,
    /// The headers contradict a rule or what was seen before. Why, in words for the log.
    Failed(&'static str),
}

/// The answer to one message of headers.
#[derive(Debug)]
pub struct Step {
    /// Proven: store these, in order.
    pub store: Vec<Header>,
    /// Whether to ask for more headers.
    pub more: bool,
    /// How it went.
    pub outcome: Outcome,
}

/// A header without the hash of its parent: 48 bytes.
#[derive(Debug)]
struct Compressed {
    version: i32,
    merkle_root: [u8; 32],
    time: u32,
    bits: u32,
    nonce: u32,
}
const _: () = assert!(size_of::<Compressed>() == 48);

/// Bits, first in, first out; memory follows their number.
#[derive(Debug, Default)]
struct Commitments {
    words: Vec<u64>,
    len: u64,
    read: u64,
}

impl Commitments {
    fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        if let Some(word) = self.words.last_mut() {
            *word |= u64::from(bit) << (self.len % 64);
        }
        self.len += 1;
    }

    fn pop(&mut self) -> Option<bool> {
        let word = (self.read < self.len).then(|| self.words[(self.read / 64) as usize])?;
        let bit = word >> (self.read % 64) & 1 == 1;
        self.read += 1;
        Some(bit)
    }
}

/// A header's place at the end of the chain as it came in.
#[derive(Clone, Copy, Debug)]
struct End {
    hash: BlockHash,
    height: u32,
    work: Work,
    bits: u32,
}

/// One low-work chain of one peer.
#[derive(Debug)]
pub struct Presync {
    params: &'static Params,
    start: Start,
    min_work: Work,
    salt: [u64; 2],
    period: u32,
    offset: u32,
    buffer_len: usize,
    commitments: Commitments,
    commitments_max: u64,
    phase: Phase,
    /// The last header of the running pass.
    end: End,
    /// Where the first pass ended, for whoever watches.
    height_seen: u32,
    buffer: VecDeque<Compressed>,
    /// Parent of the first header in the buffer.
    buffer_parent: BlockHash,
    /// The minimum work has come again: everything left may be released.
    proven: bool,
}

impl Presync {
    /// A chain that leaves ours at `start` and has to show `min_work` in all. `salt` must be fresh and secret for each.
    pub fn new(params: &'static Params, start: Start, min_work: Work, salt: [u64; 2], now_unix: u64) -> Presync {
        let (period, buffer_len) = shape(params.network);
        let seconds = i64::try_from(now_unix).unwrap_or(i64::MAX).saturating_sub(i64::from(start.mtp));
        let seconds = seconds.saturating_add(FUTURE_MAX_S).max(0) as u64;
        Presync {
            params,
            start,
            min_work,
            salt,
            period,
            offset: (salt[1] % u64::from(period)) as u32,
            buffer_len,
            commitments: Commitments::default(),
            commitments_max: seconds.saturating_mul(BLOCKS_PER_S_MAX) / u64::from(period),
            phase: Phase::Presync,
            end: End { hash: start.hash, height: start.height, work: start.work, bits: start.bits },
            height_seen: start.height,
            buffer: VecDeque::new(),
            buffer_parent: start.hash,
            proven: false,
        }
    }

    /// The next message of headers. `full` says that it held as many as one may, so that more can follow.
    /// After anything but `Continue` this is spent: it frees what it holds and fails whatever else comes.
    pub fn headers(&mut self, batch: &[Header], full: bool) -> Step {
        let taken = match self.phase {
            Phase::Presync => self.commit(batch),
            Phase::Redownload => self.check(batch),
            Phase::Final => Err("headers after the end of the sync"),
        };
        // At its start again, the second pass has just been decided on, even if by the last message of the chain.
        let go_on = !batch.is_empty() && (full || self.end.height == self.start.height);
        let (store, outcome) = match taken {
            Err(why) => (Vec::new(), Outcome::Failed(why)),
            Ok(store) if self.proven && self.buffer.is_empty() => (store, Outcome::Done),
            Ok(store) if go_on => (store, Outcome::Continue),
            Ok(store) => (store, Outcome::Short),
        };
        let more = outcome == Outcome::Continue;
        if !more {
            self.finish();
        }
        Step { store, more, outcome }
    }

    /// The block after which headers are wanted next. The caller appends the locator of the start.
    pub fn locator(&self) -> BlockHash {
        self.end.hash
    }

    /// Which pass this is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Height reached in the running pass.
    pub fn height(&self) -> u32 {
        self.end.height
    }

    /// Height reached in the first pass.
    pub fn height_seen(&self) -> u32 {
        self.height_seen
    }

    /// Work of the chain up to [`Presync::height`].
    pub fn work(&self) -> Work {
        self.end.work
    }

    /// Bytes held on the heap.
    pub fn memory_bytes(&self) -> usize {
        self.commitments.words.capacity() * size_of::<u64>() + self.buffer.capacity() * size_of::<Compressed>()
    }

    fn finish(&mut self) {
        self.phase = Phase::Final;
        self.commitments = Commitments::default();
        self.buffer = VecDeque::new();
    }

    /// First pass: adds up work, keeps a bit now and then. Goes over to the second once the work suffices.
    fn commit(&mut self, batch: &[Header]) -> Result<Vec<Header>, &'static str> {
        for header in batch {
            self.extend(header)?;
            if self.has_commitment() {
                if self.commitments.len >= self.commitments_max {
                    return Err("more headers than the time since the fork allows");
                }
                self.commitments.push(self.bit());
            }
        }
        self.height_seen = self.end.height;
        if self.end.work >= self.min_work && !batch.is_empty() {
            let start = self.start;
            self.phase = Phase::Redownload;
            self.end = End { hash: start.hash, height: start.height, work: start.work, bits: start.bits };
            self.buffer = VecDeque::with_capacity(self.buffer_len + BATCH_MAX);
        }
        Ok(Vec::new())
    }

    /// Second pass: the same bits must come again, until the work does. Releases what has enough above it.
    fn check(&mut self, batch: &[Header]) -> Result<Vec<Header>, &'static str> {
        for header in batch {
            self.extend(header)?;
            self.proven |= self.end.work >= self.min_work;
            // Past that point the chain may have grown since the first pass.
            if !self.proven && self.has_commitment() && self.commitments.pop() != Some(self.bit()) {
                return Err("not the headers of the first pass");
            }
            let Header { version, merkle_root, time, bits, nonce, .. } = *header;
            self.buffer.push_back(Compressed { version, merkle_root, time, bits, nonce });
        }
        let keep = if self.proven { 0 } else { self.buffer_len };
        let ready = self.buffer.len().saturating_sub(keep);
        let mut store = Vec::with_capacity(ready);
        for Compressed { version, merkle_root, time, bits, nonce } in self.buffer.drain(..ready) {
            let header = Header { version, prev: self.buffer_parent, merkle_root, time, bits, nonce };
            self.buffer_parent = header.hash();
            store.push(header);
        }
        Ok(store)
    }

    /// Moves the end of the running pass on by one header that follows it.
    fn extend(&mut self, header: &Header) -> Result<(), &'static str> {
        if header.prev != self.end.hash {
            return Err("headers do not connect");
        }
        let Some(height) = self.end.height.checked_add(1) else { return Err("height out of range") };
        // Work crammed into few blocks is the cheaper fraud: difficulty may rise no faster than the rules let it.
        if !permitted_transition(self.params, height, self.end.bits, header.bits) {
            return Err("difficulty changes faster than permitted");
        }
        let hash = header.hash();
        if !meets_target(&hash, header.bits, self.params) {
            return Err("proof of work does not meet its target");
        }
        self.end = End { hash, height, work: self.end.work.saturating_add(work_of(header.bits)), bits: header.bits };
        Ok(())
    }

    fn has_commitment(&self) -> bool {
        self.end.height % self.period == self.offset
    }

    /// The salted bit of the end's hash.
    fn bit(&self) -> bool {
        let mut salted = [0; 48];
        salted[..8].copy_from_slice(&self.salt[0].to_le_bytes());
        salted[8..16].copy_from_slice(&self.salt[1].to_le_bytes());
        salted[16..].copy_from_slice(&self.end.hash.0);
        sha256(&salted)[0] & 1 == 1
    }
}
