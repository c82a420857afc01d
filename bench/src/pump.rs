//! A dumb peer: serves the blocks of a file to whoever connects, as fast or as badly as it is told.
//!
//! One blocking thread per peer, on the side of the workspace where threads are allowed. It answers version,
//! ping, getheaders, getblocks and getdata, ignores everything else, judges nothing that it serves, and sends
//! blocks with their witnesses whether they were asked for or not.

use crate::p2p::{self, MSG_BLOCK, MSG_WITNESS, Reader};
use crate::records::Chain;
use crate::tx::Hash;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Headers in one message (Bitcoin Core `net_processing.h`, `MAX_HEADERS_RESULTS`).
const HEADERS_MAX: usize = 2_000;
/// Hashes in the answer to getblocks (Bitcoin Core `net_processing.cpp`, `ProcessGetBlocks`).
const INVENTORY_MAX: usize = 500;

/// How the pump behaves to each peer.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Waits this long before each block.
    pub delay: Duration,
    /// Bytes per second of the blocks sent; 0 for no limit.
    pub bytes_per_second: u64,
    /// Bytes of a block written at once, 0 for all; with a limit, each piece waits for its share of a second.
    pub piece_bytes: usize,
    /// Hangs up after that many blocks.
    pub drop_after: Option<u64>,
    /// Heights of blocks that are announced and asked for in vain. There is no answer, not even notfound.
    pub withhold: BTreeSet<u32>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: ([127, 0, 0, 1], 0).into(),
            delay: Duration::ZERO,
            bytes_per_second: 0,
            piece_bytes: 0,
            drop_after: None,
            withhold: BTreeSet::new(),
        }
    }
}

/// What the pump has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Connections that are open.
    pub peers: usize,
    /// Connections there have been.
    pub accepted: u64,
    /// When headers were asked for the first time.
    pub asked: Option<Instant>,
    /// Headers sent.
    pub headers: u64,
    /// Blocks sent whole.
    pub blocks: u64,
    /// Bytes of those blocks.
    pub bytes: u64,
}

struct Inner {
    chain: Arc<Chain>,
    options: Options,
    stopping: AtomicBool,
    peers: Mutex<BTreeMap<u64, TcpStream>>,
    accepted: AtomicU64,
    asked: OnceLock<Instant>,
    headers: AtomicU64,
    blocks: AtomicU64,
    bytes: AtomicU64,
}

/// A pump that runs; stops when dropped.
pub struct Pump {
    addr: SocketAddr,
    inner: Arc<Inner>,
    acceptor: Option<JoinHandle<()>>,
}

impl Pump {
    /// Begins to listen, and returns.
    pub fn start(chain: Arc<Chain>, options: Options) -> io::Result<Pump> {
        let name = |error: io::Error| io::Error::new(error.kind(), format!("listening on {}: {error}", options.listen));
        let listener = TcpListener::bind(options.listen).map_err(name)?;
        let addr = listener.local_addr()?;
        let inner = Arc::new(Inner {
            chain,
            options,
            stopping: AtomicBool::new(false),
            peers: Mutex::default(),
            accepted: AtomicU64::new(0),
            asked: OnceLock::new(),
            headers: AtomicU64::new(0),
            blocks: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let shared = inner.clone();
        let acceptor = thread::Builder::new().name("pump".into()).spawn(move || accept(&listener, &shared))?;
        Ok(Pump { addr, inner, acceptor: Some(acceptor) })
    }

    /// Where it listens, with the port it got.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        let inner = &self.inner;
        Stats {
            peers: inner.lock_peers().len(),
            accepted: inner.accepted.load(SeqCst),
            asked: inner.asked.get().copied(),
            headers: inner.headers.load(SeqCst),
            blocks: inner.blocks.load(SeqCst),
            bytes: inner.bytes.load(SeqCst),
        }
    }

    /// Hangs up on all peers, and listens no more once this returns. Sleeping peers end when they wake.
    pub fn stop(mut self) -> Stats {
        self.halt();
        self.stats()
    }

    fn halt(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        self.inner.stopping.store(true, SeqCst);
        // The acceptor waits in accept: a connection wakes it. If none can be made, it has ended already.
        let mut addr = self.addr;
        if addr.ip().is_unspecified() {
            addr.set_ip(if addr.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1_u16].into() });
        }
        if TcpStream::connect(addr).is_ok() {
            acceptor.join().expect("the acceptor does not panic");
        }
        for stream in self.inner.lock_peers().values() {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.halt();
    }
}

impl Inner {
    /// The map is whole after any panic: nothing is done under the lock but one insertion or removal.
    fn lock_peers(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, TcpStream>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, inner: &Arc<Inner>) {
    for stream in listener.incoming() {
        if inner.stopping.load(SeqCst) {
            return;
        }
        // A peer that is gone already, or no more descriptors: the next one may do better.
        let Ok((stream, copy)) = stream.and_then(|stream| Ok((stream.try_clone()?, stream))) else {
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let id = inner.accepted.fetch_add(1, SeqCst) + 1;
        inner.lock_peers().insert(id, copy);
        let shared = inner.clone();
        let started = thread::Builder::new().name(format!("pump {id}")).spawn(move || {
            // Every way in which a peer ends is an error here, and none of them is ours to report.
            Session { inner: &shared, stream: &stream, served: 0 }.run(id).ok();
            stream.shutdown(Shutdown::Both).ok();
            shared.lock_peers().remove(&id);
        });
        if started.is_err() {
            inner.lock_peers().remove(&id);
        }
    }
}

/// One connection.
struct Session<'a> {
    inner: &'a Inner,
    stream: &'a TcpStream,
    served: u64,
}

impl Session<'_> {
    fn run(&mut self, id: u64) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let mut reader = BufReader::new(self.stream);
        loop {
            let (command, payload) = p2p::receive(&mut reader, self.inner.chain.magic())?;
            let mut payload = Reader(&payload);
            match command.as_str() {
                "version" => {
                    let height = self.inner.chain.best().len() as u32 - 1;
                    self.send("version", &p2p::version(id, height))?;
                    self.send("verack", &[])?;
                }
                "ping" => self.send("pong", payload.0)?,
                "getheaders" => self.headers(payload.locator()?)?,
                "getblocks" => self.announce(payload.locator()?)?,
                "getdata" => self.blocks(payload.inventory()?)?,
                _ => {}
            }
        }
    }

    fn send(&mut self, command: &str, payload: &[u8]) -> io::Result<()> {
        p2p::send(&mut self.stream, self.inner.chain.magic(), command, payload)
    }

    /// At most `limit` blocks of the best chain above the locator, up to and with the one to stop at.
    fn above(&self, (locator, stop): (Vec<Hash>, Hash), limit: usize) -> &[Hash] {
        let chain = &self.inner.chain;
        let rest = &chain.best()[chain.after_locator(&locator)..];
        let rest = &rest[..rest.len().min(limit)];
        rest.iter().position(|hash| *hash == stop).map_or(rest, |last| &rest[..=last])
    }

    fn headers(&mut self, wanted: (Vec<Hash>, Hash)) -> io::Result<()> {
        self.inner.asked.get_or_init(Instant::now);
        let chain = &self.inner.chain;
        let mut payload = Vec::new();
        let hashes =
            if wanted.0.is_empty() { std::slice::from_ref(&wanted.1) } else { self.above(wanted, HEADERS_MAX) };
        let headers: Vec<_> = hashes.iter().filter_map(|hash| chain.header(hash)).collect();
        crate::tx::compact_size(&mut payload, headers.len());
        for header in &headers {
            payload.extend(*header);
            payload.push(0);
        }
        self.send("headers", &payload)?;
        self.inner.headers.fetch_add(headers.len() as u64, SeqCst);
        Ok(())
    }

    fn announce(&mut self, wanted: (Vec<Hash>, Hash)) -> io::Result<()> {
        let items: Vec<_> = self.above(wanted, INVENTORY_MAX).iter().map(|hash| (MSG_BLOCK, *hash)).collect();
        if items.is_empty() { Ok(()) } else { self.send("inv", &p2p::inventory(&items)) }
    }

    fn blocks(&mut self, items: Vec<(u32, Hash)>) -> io::Result<()> {
        let options = &self.inner.options;
        let mut missing = Vec::new();
        for (kind, hash) in items {
            let height = self.inner.chain.height(&hash).filter(|_| kind & !MSG_WITNESS == MSG_BLOCK);
            let Some(height) = height else {
                missing.push((kind, hash));
                continue;
            };
            if options.withhold.contains(&height) {
                continue;
            }
            self.block(&hash)?;
            if options.drop_after.is_some_and(|most| self.served >= most) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        if missing.is_empty() { Ok(()) } else { self.send("notfound", &p2p::inventory(&missing)) }
    }

    fn block(&mut self, hash: &Hash) -> io::Result<()> {
        let options = &self.inner.options;
        if !options.delay.is_zero() {
            thread::sleep(options.delay);
        }
        let sent = if options.bytes_per_second == 0 && options.piece_bytes == 0 {
            self.inner.chain.send(hash, self.stream)?
        } else {
            self.trickle(hash)?
        };
        self.served += 1;
        self.inner.blocks.fetch_add(1, SeqCst);
        self.inner.bytes.fetch_add(sent.expect("it was found before"), SeqCst);
        Ok(())
    }

    /// Sends a block in pieces, each when it is due; its bytes.
    fn trickle(&mut self, hash: &Hash) -> io::Result<Option<u64>> {
        let options = &self.inner.options;
        let Some(block) = self.inner.chain.block(hash)? else { return Ok(None) };
        let header = p2p::frame_header(self.inner.chain.magic(), "block", &block);
        let (start, mut sent) = (Instant::now(), 0);
        let piece_bytes = if options.piece_bytes == 0 { 1 << 16 } else { options.piece_bytes };
        for piece in [&header, &block[..]].concat().chunks(piece_bytes) {
            (&mut self.stream).write_all(piece)?;
            sent += piece.len() as u64;
            if options.bytes_per_second > 0 {
                let due = Duration::from_secs_f64(sent as f64 / options.bytes_per_second as f64);
                thread::sleep(due.saturating_sub(start.elapsed()));
            }
        }
        Ok(Some(block.len() as u64))
    }
}
