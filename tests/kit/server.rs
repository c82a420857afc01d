//! A scripted peer that nodes connect to: serves a line of blocks as an honest one would, except where a hook takes over.
//! The line may be exchanged while it runs, and is announced then.

use crate::line::Line;
use crate::wire::{Wire, version};
use bytes::Bytes;
use consensus::{BlockHash, Header};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;
use wire::message::{HEADERS_MAX, InvKind, Message};

/// What a hook did with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing: it shall be answered honestly.
    Honest,
    /// It was answered, or is not to be.
    Done,
    /// The connection shall end.
    Hangup,
}

type Hook = dyn Fn(&Session, &Message) -> Step + Send + Sync;

/// The hook of a peer far away: each block takes its time.
pub fn far_away(session: &Session, message: &Message) -> Step {
    let Message::GetData(invs) = message else { return Step::Honest };
    for inv in invs {
        thread::sleep(Duration::from_millis(2));
        session.honest(&Message::GetData(vec![*inv]));
    }
    Step::Done
}

/// One connection, as a hook sees it.
pub struct Session {
    /// To speak to the node.
    pub wire: Wire,
    /// How many connections there were before.
    pub number: usize,
    dialed: bool,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct State {
    line: Line,
    blocks: BTreeMap<BlockHash, Bytes>,
    sessions: Vec<Wire>,
    /// How often each block was asked for.
    asked: BTreeMap<BlockHash, u32>,
    ended: usize,
}

struct Shared {
    state: Mutex<State>,
    hook: Box<Hook>,
    stopping: AtomicBool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The peer. Hangs up when dropped.
pub struct Server {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    /// Serves a line, honestly.
    pub fn honest(line: Line) -> Server {
        Server::start(line, |_, _| Step::Honest)
    }

    /// Serves a line; every message is first shown to `hook`.
    pub fn start(line: Line, hook: impl Fn(&Session, &Message) -> Step + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("it listens");
        let shared = Arc::new(Shared {
            state: Mutex::new(State { blocks: line.blocks.iter().cloned().collect(), line, ..State::default() }),
            hook: Box::new(hook),
            stopping: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if accepting.stopping.load(SeqCst) {
                    return;
                }
                let Ok(wire) = stream.and_then(|stream| Wire::new(stream, accepting.state().line.magic)) else {
                    continue;
                };
                accepting.state().sessions.push(wire.clone());
                let session = Session { wire, number, dialed: false, shared: accepting.clone() };
                thread::spawn(move || session.run());
            }
        });
        Server { addr, shared }
    }

    /// Connects to a node that listens, and serves it until either hangs up.
    pub fn dial(&self, to: SocketAddr) {
        let (number, magic, height) = {
            let state = self.shared.state();
            (state.sessions.len(), state.line.magic, state.line.height())
        };
        let wire = Wire::dial(to, magic);
        self.shared.state().sessions.push(wire.clone());
        wire.send(&version(height));
        let session = Session { wire, number, dialed: true, shared: self.shared.clone() };
        thread::spawn(move || session.run());
    }

    /// Serves another line from now on, and tells every node so by the headers that are new in it.
    pub fn switch(&self, line: Line) {
        let sessions = {
            let mut state = self.shared.state();
            state.blocks.extend(line.blocks.iter().cloned());
            let same = line.blocks.iter().zip(&state.line.blocks).take_while(|(a, b)| a.0 == b.0).count();
            let headers: Vec<Header> = (same..line.blocks.len()).map(|height| line.header(height)).collect();
            state.line = line;
            (state.sessions.clone(), headers)
        };
        sessions.0.iter().for_each(|wire| wire.send(&Message::Headers(sessions.1.clone())));
    }

    /// How often that block was asked for.
    pub fn asked(&self, hash: &BlockHash) -> u32 {
        self.shared.state().asked.get(hash).copied().unwrap_or(0)
    }

    /// How many blocks were asked for, the same one twice being two.
    pub fn asked_all(&self) -> u32 {
        self.shared.state().asked.values().sum()
    }

    /// Connections there were, and how many of them have ended.
    pub fn connections(&self) -> (usize, usize) {
        let state = self.shared.state();
        (state.sessions.len(), state.ended)
    }

    /// Hangs up on everybody and listens no more.
    pub fn stop(&self) {
        self.shared.stopping.store(true, SeqCst);
        TcpStream::connect(self.addr).ok();
        self.shared.state().sessions.iter().for_each(Wire::close);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Session {
    fn run(self) {
        while let Ok(message) = self.wire.receive() {
            if let Message::GetData(invs) = &message {
                let mut state = self.shared.state();
                invs.iter().for_each(|inv| *state.asked.entry(BlockHash(inv.hash)).or_default() += 1);
            }
            match (self.shared.hook)(&self, &message) {
                Step::Honest => self.honest(&message),
                Step::Done => {}
                Step::Hangup => break,
            }
        }
        self.wire.close();
        self.shared.state().ended += 1;
    }

    /// The block of that hash, whichever line it was on.
    pub fn block(&self, hash: &BlockHash) -> Option<Bytes> {
        self.shared.state().blocks.get(hash).cloned()
    }

    /// Height of a block on the line that is served now.
    pub fn height(&self, hash: &BlockHash) -> Option<usize> {
        self.shared.state().line.blocks.iter().position(|(h, _)| h == hash)
    }

    /// What a peer that obeys all rules answers.
    pub fn honest(&self, message: &Message) {
        match message {
            Message::Version(_) => {
                if !self.dialed {
                    self.wire.send(&version(self.shared.state().line.height()));
                }
                self.wire.send(&Message::Verack);
            }
            Message::Ping(Some(nonce)) => self.wire.send(&Message::Pong(*nonce)),
            Message::GetHeaders(locator) => {
                let headers = headers_after(&self.shared.state().line, &locator.hashes);
                self.wire.send(&Message::Headers(headers));
            }
            Message::GetData(invs) => {
                let wanted = |kind| matches!(kind, InvKind::Block | InvKind::WitnessBlock);
                let mut missing = Vec::new();
                for inv in invs {
                    match self.block(&BlockHash(inv.hash)).filter(|_| wanted(inv.kind)) {
                        Some(bytes) => self.wire.send(&Message::Block(bytes)),
                        None => missing.push(*inv),
                    }
                }
                if !missing.is_empty() {
                    self.wire.send(&Message::NotFound(missing));
                }
            }
            _ => {}
        }
    }
}

/// Up to 2,000 headers after the first hash of a locator that is on the line.
pub fn headers_after(line: &Line, locator: &[BlockHash]) -> Vec<Header> {
    let heights: BTreeMap<BlockHash, usize> =
        line.blocks.iter().enumerate().map(|(height, (hash, _))| (*hash, height)).collect();
    let first = locator.iter().find_map(|hash| heights.get(hash)).map_or(1, |height| height + 1);
    (first..line.blocks.len()).take(HEADERS_MAX as usize).map(|height| line.header(height)).collect()
}
