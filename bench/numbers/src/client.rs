//! A peer that asks, over a blocking socket: looks at what it gets no more than it must, for it shares the machine with the
//! node that is measured.

use crate::table::histogram;
use caesure_bench::block::REGTEST_MAGIC;
use caesure_bench::p2p::{self, MSG_BLOCK, MSG_WITNESS};
use caesure_bench::tx::Hash;
use hdrhistogram::Histogram;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Blocks asked for at a time (Bitcoin Core `net_processing.cpp`, `MAX_BLOCKS_IN_TRANSIT_PER_PEER`).
const WINDOW: usize = 16;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was got, as far as anyone here cares.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Got {
    /// A block of so many bytes.
    Block(u64),
    /// The answer to a ping.
    Pong,
    /// The end of the handshake.
    Verack,
    /// Anything else.
    Other,
}

/// A connection that stands.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects to a node on regtest and shakes hands.
    pub fn connect(to: SocketAddr) -> io::Result<Client> {
        let mut client = Client::dial(to)?;
        client.until(|got| got == Got::Verack)?;
        Ok(client)
    }

    /// Connects and says all that a handshake takes, but waits for nothing.
    pub fn dial(to: SocketAddr) -> io::Result<Client> {
        // A node that is called by itself hangs up: it knows itself by the number.
        static NONCE: AtomicU64 = AtomicU64::new(1);
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Client { stream, buffer: Vec::new() };
        client.say("version", &p2p::version(NONCE.fetch_add(1, Relaxed), 0))?;
        client.say("verack", &[])?;
        Ok(client)
    }

    fn say(&mut self, command: &str, payload: &[u8]) -> io::Result<()> {
        p2p::send(&mut self.stream, REGTEST_MAGIC, command, payload)
    }

    /// Asks for a block, with its witnesses.
    pub fn ask(&mut self, block: Hash) -> io::Result<()> {
        self.say("getdata", &p2p::inventory(&[(MSG_BLOCK | MSG_WITNESS, block)]))
    }

    /// Sends a ping.
    pub fn ping(&mut self) -> io::Result<()> {
        self.say("ping", &[7; 8])
    }

    /// Waits for the next message.
    pub fn next(&mut self) -> io::Result<Got> {
        let mut header = [0; 24];
        self.stream.read_exact(&mut header)?;
        let size = u32::from_le_bytes(header[16..20].try_into().expect("4 bytes")) as usize;
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
        self.stream.read_exact(&mut self.buffer[..size])?;
        Ok(match header[4..16].split(|byte| *byte == 0).next() {
            Some(b"block") => Got::Block(size as u64),
            Some(b"pong") => Got::Pong,
            Some(b"verack") => Got::Verack,
            _ => Got::Other,
        })
    }

    /// Waits for a message of that sort.
    pub fn until(&mut self, wanted: impl Fn(Got) -> bool) -> io::Result<Got> {
        loop {
            let got = self.next()?;
            if wanted(got) {
                return Ok(got);
            }
        }
    }
}

/// Clients that pull blocks, all at once, until they are told to stop or there are no more.
pub struct Pulling {
    /// All connected, and whoever measures.
    pub ready: Barrier,
    /// Whether they shall stop.
    pub stop: AtomicBool,
    /// Bytes of blocks they got.
    pub bytes: AtomicU64,
}

impl Pulling {
    /// Of so many clients.
    pub fn of(clients: usize) -> Pulling {
        Pulling { ready: Barrier::new(clients + 1), stop: AtomicBool::new(false), bytes: AtomicU64::new(0) }
    }

    /// One client: the times of its blocks.
    pub fn pull(&self, to: SocketAddr, mut next: impl FnMut() -> Option<Hash>) -> io::Result<Histogram<u64>> {
        let (mut client, mut asked, mut times) = (Client::connect(to)?, VecDeque::new(), histogram());
        self.ready.wait();
        while !self.stop.load(Relaxed) {
            while asked.len() < WINDOW
                && let Some(block) = next()
            {
                client.ask(block)?;
                asked.push_back(Instant::now());
            }
            if asked.is_empty() {
                break;
            }
            let Got::Block(bytes) = client.until(|got| matches!(got, Got::Block(_)))? else { continue };
            self.bytes.fetch_add(bytes, Relaxed);
            let took = asked.pop_front().expect("it was asked for").elapsed();
            times.record(took.as_nanos() as u64).expect("below a quarter of an hour");
        }
        Ok(times)
    }
}
