//! `caesure pull HOST:PORT`: the best chain of one node, one that is trusted not to waste our disk, straight into blocks.bin
//! as fast as it comes; the chain_puller of 2014. Begun again it goes on where it ended.
//!
//! Checks that headers hang together and have their work, and that each block is the one of its header, whole. Everything
//! else is checked by the node that starts on the folder.

use crate::blocks::end_at;
use crate::client::{Peer, is};
use crate::config::Config;
use crate::exit::Fatal;
use crate::folder::Folder;
use crate::progress::EVERY;
use crate::trouble;
use consensus::{BlockHash, Kind, meets_target};
use ledger::headers::NodeId;
use ledger::inventory::{Inventory, check_bytes};
use ledger::record::{FRAME_LEN, Record, frame};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Instant;
use wire::message::{InvKind, Message};

/// Blocks asked for at once, and in flight at most; the 2014 puller had chunks of 50.
const CHUNK: usize = 16;
const IN_FLIGHT: usize = 64;
/// Headers of one answer at most (Core `MAX_HEADERS_RESULTS`).
const HEADERS_MAX: usize = 2_000;
/// Bytes from one sync to the next: so much is fetched again after a power cut.
const SYNC: u64 = 256 << 20;

/// blocks.bin, and what is to come.
struct Puller<'a> {
    config: &'a Config,
    path: PathBuf,
    file: File,
    end: u64,
    inventory: Inventory,
    /// By hash, blocks that were asked for.
    asked: BTreeMap<BlockHash, NodeId>,
    start: Instant,
    said: Instant,
    /// Blocks and bytes that came.
    came: (u64, u64),
    synced: u64,
}

/// Pulls until the peer has no more.
pub fn run(config: &Config, from: &str) -> Result<(), Fatal> {
    let mut folder = Folder::open(&config.folder)?;
    if folder.pruned {
        return Err(Fatal::Usage(format!(
            "blocks of {} were pruned; pull into another folder: --base PATH",
            folder.path.display()
        )));
    }
    let blocks = folder.blocks(config.params, false)?;
    let path = blocks.source.path;
    let file = File::options().write(true).open(&path).map_err(|why| trouble::fatal(&path, "opening of", why))?;
    let mut peer = Peer::connect(config.params, from, false)?;
    let now = Instant::now();
    let mut puller = Puller {
        config,
        path,
        file,
        end: blocks.index.end,
        inventory: Inventory::of(config.params, &blocks.index.records),
        asked: BTreeMap::new(),
        start: now,
        said: now,
        came: (0, 0),
        synced: blocks.index.end,
    };
    let pulled = puller.pull(&mut peer);
    // What came is kept, whatever ended it.
    end_at(&puller.file, &puller.path, puller.end)?;
    let (blocks, bytes) = puller.came;
    let (seconds, height) = (puller.start.elapsed().as_secs_f64(), puller.height());
    println!(
        "transferred {blocks} blocks, {:.2} GB in {seconds:.0} s ({:.2} MB/s); up to height {height}",
        bytes as f64 / 1e9,
        bytes as f64 / 1e6 / seconds
    );
    pulled?.map_err(|why| Fatal::Runtime(format!("{from}: {why}\ntry: the same again, it goes on from there")))
}

impl Puller<'_> {
    /// The height up to which all is there.
    fn height(&self) -> u32 {
        let best = self.inventory.best(|_| true, |_| false);
        let tree = &self.inventory.tree;
        let (mut at, mut height) = (best, tree.node(best).height);
        while at != 0 {
            if self.inventory.record(at).is_none() {
                height = tree.node(at).height - 1;
            }
            at = tree.node(at).parent;
        }
        height
    }

    fn pull(&mut self, peer: &mut Peer) -> Result<io::Result<()>, Fatal> {
        loop {
            let wanted = match self.headers(peer) {
                Ok(wanted) if wanted.is_empty() => return Ok(Ok(())),
                Ok(wanted) => wanted,
                Err(why) => return Ok(Err(why)),
            };
            if let Err(why) = self.blocks(peer, wanted)? {
                return Ok(Err(why));
            }
        }
    }

    /// Takes all headers that the peer has; the blocks that are lacking up to the best of them.
    fn headers(&mut self, peer: &mut Peer) -> io::Result<VecDeque<NodeId>> {
        let params = self.config.params;
        let best = |inventory: &Inventory| {
            let all = 0..inventory.tree.len() as NodeId;
            all.rev().max_by_key(|id| inventory.tree.node(*id).work).expect("genesis")
        };
        let mut last = best(&self.inventory);
        loop {
            peer.get_headers(self.inventory.tree.locator(last))?;
            let list = loop {
                if let (_, Message::Headers(list)) = peer.receive()? {
                    break list;
                }
            };
            let count = list.len();
            for header in list {
                let hash = header.hash();
                let bad = |why: &str| io::Error::other(format!("header {hash} {why}"));
                let parent = self.inventory.tree.find(&header.prev).ok_or_else(|| bad("hangs on nothing"))?;
                if !meets_target(&hash, header.bits, params) {
                    return Err(bad("has not the work it claims"));
                }
                last = self.inventory.insert(parent, header, hash);
            }
            if count < HEADERS_MAX {
                break;
            }
            tracing::info!("headers up to height {}", self.inventory.tree.node(last).height);
        }
        let (mut at, mut wanted) = (best(&self.inventory), VecDeque::new());
        while at != 0 {
            if self.inventory.record(at).is_none() {
                wanted.push_front(at);
            }
            at = self.inventory.tree.node(at).parent;
        }
        Ok(wanted)
    }

    fn blocks(&mut self, peer: &mut Peer, mut wanted: VecDeque<NodeId>) -> Result<io::Result<()>, Fatal> {
        let last = wanted.back().map_or(0, |id| self.inventory.tree.node(*id).height);
        while !wanted.is_empty() || !self.asked.is_empty() {
            if self.asked.len() + CHUNK <= IN_FLIGHT && !wanted.is_empty() {
                let chunk: Vec<NodeId> = wanted.drain(..CHUNK.min(wanted.len())).collect();
                let hashes: Vec<_> = chunk.iter().map(|id| self.inventory.tree.node(*id).hash).collect();
                if let Err(why) = peer.get(InvKind::WitnessBlock, hashes.iter().map(|hash| hash.0)) {
                    return Ok(Err(why));
                }
                self.asked.extend(hashes.into_iter().zip(chunk));
                continue;
            }
            match peer.receive() {
                Ok((payload, message)) if is(&message, "block") => {
                    if let Err(why) = self.keep(payload)? {
                        return Ok(Err(io::Error::other(why)));
                    }
                }
                Ok((_, Message::NotFound(list))) => {
                    let count = list.len();
                    return Ok(Err(io::Error::other(format!(
                        "it has not the bodies of {count} blocks it has headers of"
                    ))));
                }
                Ok(_) => {}
                Err(why) => return Ok(Err(why)),
            }
            if self.said.elapsed() >= EVERY {
                self.said = Instant::now();
                let (blocks, bytes) = self.came;
                let rate = bytes as f64 / self.start.elapsed().as_secs_f64();
                let left = wanted.len() + self.asked.len();
                let eta = left as f64 / blocks.max(1) as f64 * self.start.elapsed().as_secs_f64();
                tracing::info!("{left} blocks up to height {last} left, {:.1} MB/s, about {eta:.0} s", rate / 1e6);
            }
        }
        Ok(Ok(()))
    }

    /// Appends a block that was asked for.
    fn keep(&mut self, payload: Vec<u8>) -> Result<Result<(), String>, Fatal> {
        let header = payload.first_chunk().map(consensus::Header::parse);
        let Some((header, hash)) = header.map(|header| (header, header.hash())) else {
            return Ok(Err("a block without a header".into()));
        };
        // Nobody asked for it; a peer may send what it likes.
        let Some(id) = self.asked.remove(&hash) else { return Ok(Ok(())) };
        let len = payload.len() as u32;
        let record = Record { at: self.end, len, header, hash, valid: false, punched: false };
        let height = self.inventory.tree.node(id).height;
        let bytes = bytes::Bytes::from(payload);
        if let Err(rule) = check_bytes(self.config.params, &record, Some(height), bytes.clone())
            && rule.kind() == Kind::Mutated
        {
            return Ok(Err(format!("block {hash} at height {height} came damaged: {rule}")));
        }
        let failed = |why| trouble::fatal(&self.path, "write to", why);
        let written = self.file.write_all_at(&bytes, self.end + FRAME_LEN);
        // The frame comes last: what is half written is no record.
        written.and_then(|()| self.file.write_all_at(&frame(self.config.params, len), self.end)).map_err(failed)?;
        self.end = record.end();
        if self.end - self.synced > SYNC {
            self.file.sync_data().map_err(failed)?;
            self.synced = self.end;
        }
        self.inventory.add(&record);
        self.came = (self.came.0 + 1, self.came.1 + u64::from(len));
        Ok(Ok(()))
    }
}
