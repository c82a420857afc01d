//! A whole node in one thread, on virtual time: every shard of a plan, the links between their cores, a network of
//! scripted peers and a disk that loses power. All order that the real node leaves to chance is drawn from one seed.
//!
//! What is checked at each step: no link holds more than `limits` says, each Grow is answered once, what is called durable
//! lies on the part of the disk that a power cut cannot take, the tip never names anything else, and a pong for the block
//! that follows the tip leaves after that block is durable.

pub mod chains;
mod checkpoints;
mod checks;
pub mod disk;
mod net;
pub mod peers;
mod prune;
pub mod scenario;

use checkpoints::Checkpoints;
use consensus::{BlockHash, Network, Params};
use disk::Disk;
use ledger::WorldId;
use peers::{End, Remote};
use shards::effect::{ConnId, Effect, Event, Level, ReadError, Stop};
use shards::limits::{Budget, HORIZON_BLOCKS, link_depth};
use shards::metrics::Pages;
use shards::report;
use shards::script_cache::ScriptCache;
use shards::{Cx, Input, Msg, Plan, Rng, Shard, ShardId, book, chain, peer, plan, status, store, utxo, verify};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const TICK_MS: u64 = 250;
/// Our clock at virtual time zero: after the last block of any test chain.
const UNIX: u64 = 1_800_000_000;

type Key = (u16, ConnId);

/// What happens at some time.
enum Due {
    Tick(ShardId),
    Event(ShardId, Event),
    Written(u64),
    Synced,
    Punched,
    Kept,
    /// Bytes of the node reach the peer.
    Deliver(Key, Vec<u8>),
    /// Bytes of the peer may reach the node.
    Arrive(Key),
    Close(Key, &'static str),
}

struct Link {
    remote: usize,
    end: End,
    /// Bytes on their way to the node.
    out: VecDeque<u8>,
    /// The node's buffer, while it reads.
    receive: Option<(Vec<u8>, usize)>,
    /// Nothing sent later arrives earlier.
    last_ms: u64,
    closing: bool,
}

/// A word under way, and to whom.
struct Word(ShardId, Msg);

/// The node and everything around it.
pub struct Sim {
    /// Chance.
    pub rng: Rng,
    /// Milliseconds since the beginning.
    pub now_ms: u64,
    plan: Plan,
    shards: BTreeMap<ShardId, Box<dyn Shard>>,
    queues: BTreeMap<(usize, usize), VecDeque<Word>>,
    due: BTreeMap<(u64, u64), Due>,
    next_due: u64,
    links: BTreeMap<Key, Link>,
    /// All peers there are.
    pub remotes: Vec<Remote>,
    /// Nobody answers.
    pub offline: bool,
    /// The disk.
    pub disk: Disk,
    refused: Vec<(BlockHash, String)>,
    /// The file of blocks invalidated by hand, and what it is being replaced by.
    invalidated: Vec<u8>,
    keeping: Option<Vec<u8>>,
    /// How memory is split, from the next restart on.
    pub budget: Budget,
    /// Worlds kept apart at the tip, in blocks; the same.
    pub horizon: u32,
    /// The log, but for what is only for debugging.
    pub log: Vec<String>,
    /// The block index and its copy.
    rows: prune::Rows,
    /// Bytes that blocks may take, and blocks below the tip that are kept; from the next restart on.
    pub pruning: Option<(u64, u32)>,
    /// The node stopped, and why.
    pub stopped: Option<(Stop, String)>,
    /// Checkpoints of coins, and how they are made.
    pub checkpoints: Checkpoints,
    /// How they are made.
    pub policy: utxo::Policy,
    /// Blocks that were called durable.
    durable: BTreeSet<BlockHash>,
    /// Parents by block, of everything that was called durable.
    parents: BTreeMap<BlockHash, BlockHash>,
    /// Blocks whose bytes were given up.
    pruned: BTreeSet<BlockHash>,
    /// The tip last told to peers or to the page.
    pub tip: BlockHash,
    /// The chain shard's last report.
    pub report: Option<Box<report::Chain>>,
    /// Grows without an answer.
    growing: BTreeSet<(WorldId, u16)>,
    /// Blocks that followed the tip when they were pinged after, and that tip.
    pinged: BTreeMap<BlockHash, BlockHash>,
    /// Answers to questions.
    pub answers: Vec<(u64, String)>,
    /// Hash over everything that happened.
    pub trace: u64,
    steps: u64,
    /// Writes and syncs so far, asked and done.
    pub disk_effects: u64,
    /// The power goes at this many of them.
    pub cut_at: Option<u64>,
    /// Lines of the log are printed.
    pub verbose: bool,
}

impl Sim {
    /// A node on `cores` with an empty disk, knowing all these peers by name.
    pub fn new(seed: u64, cores: usize, remotes: Vec<Remote>) -> Sim {
        let mut sim = Sim {
            rng: Rng(seed),
            now_ms: 0,
            plan: plan(cores),
            shards: BTreeMap::new(),
            queues: BTreeMap::new(),
            due: BTreeMap::new(),
            next_due: 0,
            links: BTreeMap::new(),
            remotes,
            offline: false,
            disk: Disk::default(),
            refused: Vec::new(),
            invalidated: Vec::new(),
            keeping: None,
            budget: Budget::split(256 << 20).expect("the least there is"),
            horizon: HORIZON_BLOCKS,
            log: Vec::new(),
            rows: prune::Rows::default(),
            pruning: None,
            stopped: None,
            checkpoints: Checkpoints::default(),
            policy: utxo::Policy { network: Params::of(Network::Regtest).magic, bandwidth: 0, interval: 1, gap: 1 },
            durable: BTreeSet::new(),
            pruned: BTreeSet::new(),
            parents: BTreeMap::new(),
            tip: Params::of(Network::Regtest).genesis_hash,
            report: None,
            growing: BTreeSet::new(),
            pinged: BTreeMap::new(),
            answers: Vec::new(),
            trace: 0xcbf2_9ce4_8422_2325,
            steps: 0,
            disk_effects: 0,
            cut_at: None,
            verbose: std::env::var_os("SIM_LOG").is_some(),
        };
        sim.boot(cores);
        sim
    }

    /// The power goes and comes back: a fresh node on what the disk kept.
    pub fn restart(&mut self, cores: usize) {
        self.disk.cut(&mut self.rng);
        self.rows.cut(&mut self.rng);
        self.checkpoints.cut();
        // A file that is replaced is the old one or the new one.
        if let Some(fresh) = self.keeping.take().filter(|_| self.rng.below(2) == 0) {
            self.invalidated = fresh;
        }
        self.boot(cores);
    }

    fn boot(&mut self, cores: usize) {
        let params = Params::of(Network::Regtest);
        self.plan = plan(cores);
        let (workers, pages) = (self.plan.workers, Pages::new(cores));
        let budget = self.budget;
        self.queues.clear();
        self.due.clear();
        self.links.clear();
        self.growing.clear();
        self.pinged.clear();
        self.durable.clear();
        self.report = None;
        self.cut_at = None;
        self.stopped = None;
        let (index, opened) = self.open();
        let mut cx = Cx::new(0);
        let chain = chain::Config {
            params,
            workers,
            min_work: consensus::Work::ZERO,
            assume_valid: None,
            budget,
            horizon: self.horizon,
            refused: self.refused.clone(),
            checkpoints: self.checkpoints.find(),
            invalidated: self.by_hand(),
            pruning: self.pruning(),
            offline: false,
            audit: None,
        };
        let wanted = self.remotes.iter().map(|remote| book::Wanted::Address(remote.address)).collect();
        let book = book::Config { params, workers, outgoing: 0, incoming: 8, wanted, saved: None };
        let setup = status::Setup {
            params,
            plan: self.plan.clone(),
            pages: pages.clone(),
            budget,
            version: "".into(),
            may_write: true,
        };
        let shards = &mut self.shards;
        shards.clear();
        shards.insert(ShardId::Chain, Box::new(chain::Chain::new(chain)));
        shards.insert(ShardId::Store, Box::new(store::Store::new(params, opened)));
        shards.insert(ShardId::Status, Box::new(status::Status::new(setup)));
        shards.insert(ShardId::Book, Box::new(book::Book::new(book, &mut cx)));
        for i in 0..workers {
            let core = self.plan.home(ShardId::Peer(i));
            let nonce = self.rng.bits();
            let services = wire::NODE_NETWORK | wire::NODE_WITNESS;
            let pages_of = pages.clone();
            let config = peer::Config {
                params,
                number: i,
                workers,
                core,
                pages: pages_of,
                budget,
                services,
                nonce,
                verbose: false,
            };
            shards.insert(ShardId::Peer(i), Box::new(peer::Peer::new(config)));
            let partitions = self.plan.partitions(i);
            let config = utxo::Config {
                number: i,
                workers,
                partitions,
                seed: 7,
                policy: self.policy,
                genesis: params.genesis_hash,
                core,
                pages: pages.clone(),
            };
            shards.insert(ShardId::Utxo(i), Box::new(utxo::Utxo::new(config)));
            let cache = ScriptCache::new(1 << 12, [7; 32]);
            let config = verify::Config { number: i, workers, core, pages: pages.clone(), cache };
            shards.insert(ShardId::Verify(i), Box::new(verify::Verify::new(config)));
        }
        let index = std::sync::Arc::new(index);
        self.step(ShardId::Chain, Input::Event(Event::Indexed { file: 0, index }));
        self.step(ShardId::Chain, Input::Event(Event::Begin));
        for shard in self.shards.keys().copied().collect::<Vec<_>>() {
            let at = self.rng.below(TICK_MS);
            self.after(at, Due::Tick(shard));
        }
    }

    fn after(&mut self, ms: u64, due: Due) {
        self.next_due += 1;
        self.due.insert((self.now_ms + ms, self.next_due), due);
    }

    fn mix(&mut self, word: u64) {
        self.trace = (self.trace ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(17);
    }

    /// Whether the power is to go now.
    pub fn is_cut(&self) -> bool {
        self.cut_at.is_some_and(|at| self.disk_effects >= at)
    }

    /// Lets one thing happen: a word is heard, or something that is due comes about.
    pub fn turn(&mut self) {
        self.steps += 1;
        if self.steps.is_multiple_of(64) {
            self.now_ms += 1;
        }
        let waiting: Vec<(usize, usize)> =
            self.queues.iter().filter(|(_, queue)| !queue.is_empty()).map(|(key, _)| *key).collect();
        let next = *self.due.keys().next().expect("there is always a tick");
        if waiting.is_empty() {
            self.now_ms = self.now_ms.max(next.0);
        }
        let pick = self.rng.below(waiting.len() as u64 + 1) as usize;
        self.mix(pick as u64);
        match waiting.get(pick) {
            Some(key) => self.hear(*key),
            None if next.0 <= self.now_ms => {
                let candidates: Vec<(u64, u64)> = self.due.range(..=(self.now_ms, u64::MAX)).map(|(k, _)| *k).collect();
                let key = candidates[self.rng.below(candidates.len() as u64) as usize];
                let due = self.due.remove(&key).expect("just seen");
                self.happen(due);
            }
            None => {}
        }
    }

    fn hear(&mut self, key: (usize, usize)) {
        let queue = self.queues.get_mut(&key).expect("just seen");
        let ahead = queue.iter().position(|word| word.1.is_question()).filter(|_| self.rng.below(2) == 0);
        let Word(to, word) = queue.remove(ahead.unwrap_or(0)).expect("not empty");
        self.step(to, Input::Msg(word));
    }

    fn step(&mut self, shard: ShardId, input: Input) {
        let mut cx = Cx::new(self.rng.bits());
        (cx.now_ms, cx.unix) = (self.now_ms, UNIX + self.now_ms / 1_000);
        self.shards.get_mut(&shard).expect("in the plan").step(input, &mut cx);
        self.mix(cx.words.len() as u64 * 31 + cx.effects.len() as u64);
        for (to, word) in cx.words {
            self.said(shard, to, &word);
            let key = (self.plan.home(shard), self.plan.home(to));
            let queue = self.queues.entry(key).or_default();
            queue.push_back(Word(to, word));
            assert!(key.0 == key.1 || queue.len() <= link_depth(8), "link {key:?} holds {}", queue.len());
        }
        for effect in cx.effects {
            self.carry_out(shard, effect);
        }
    }

    fn carry_out(&mut self, shard: ShardId, effect: Effect) {
        let number = match shard {
            ShardId::Peer(i) => i,
            _ => 0,
        };
        let soon = 1 + self.rng.below(20);
        match effect {
            Effect::Connect { conn, to } => self.connect(shard, (number, conn), to),
            Effect::Receive { conn, buffer, room } => {
                if let Some(link) = self.links.get_mut(&(number, conn)) {
                    assert!(link.receive.replace((buffer, room)).is_none(), "one read at a time");
                    self.after(soon / 4, Due::Arrive((number, conn)));
                }
            }
            Effect::Send { conn, bytes } => self.send(shard, (number, conn), bytes.concat()),
            Effect::Close { conn } => {
                if let Some(link) = self.links.get_mut(&(number, conn)) {
                    link.closing = true;
                    self.after(soon, Due::Close((number, conn), "closed by us"));
                }
            }
            Effect::Read { token, file, at, len } => {
                assert_eq!(file, 0);
                let bytes = self.disk.read(at, len).map(|bytes| bytes.to_vec().into());
                let event = Event::Read { token, bytes: bytes.ok_or(ReadError::Short) };
                self.after(soon, Due::Event(shard, event));
            }
            Effect::Write { at, pieces } => {
                self.disk_effects += 1;
                let write = self.disk.write(at, &pieces);
                self.after(soon * 2, Due::Written(write));
            }
            Effect::Sync => {
                self.disk_effects += 1;
                self.disk.sync();
                self.after(soon * 3, Due::Synced);
            }
            Effect::Index(bytes) => self.rows.append(&bytes),
            Effect::Punch(pages) => {
                self.disk_effects += 1;
                self.may_prune(&pages);
                self.rows.punch(pages);
                self.after(soon * 3, Due::Punched);
            }
            Effect::Stop(why, line) => self.stopped = Some((why, line)),
            Effect::SaveCheckpoint { partition, height, at, bytes, last } => {
                self.checkpoints.save(partition, height, at, &bytes, last);
                self.after(soon, Due::Event(shard, Event::SavedCheckpoint { partition, failed: None }));
            }
            Effect::LoadCheckpoint { partition, height, at, len } => {
                let bytes = self.checkpoints.load(partition, height, at, len);
                self.after(soon, Due::Event(shard, Event::LoadedCheckpoint { partition, height, at, bytes }));
            }
            Effect::Keep(bytes) => {
                assert!(self.keeping.replace(bytes).is_none(), "one decision at a time");
                self.after(soon * 3, Due::Kept);
            }
            Effect::Remember(line) => {
                let (hash, why) = line.split_once(' ').expect("hash and reason");
                self.refused.push((hash.parse().expect("a hash"), why.into()));
            }
            Effect::Log(level, line) => {
                if self.verbose {
                    eprintln!("{:>8} ms {shard} {level:?} {line}", self.now_ms);
                }
                assert!(level != Level::Warn || !line.is_empty());
                if level != Level::Debug {
                    self.log.push(line);
                }
            }
            Effect::Answer { question, text } => self.answers.push((question, text)),
            Effect::SaveAddresses(_) => {}
            other => panic!("{shard} asked for {other:?}"),
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Tick(shard) => {
                self.after(TICK_MS, Due::Tick(shard));
                if shard == ShardId::Chain {
                    self.learn();
                }
                self.step(shard, Input::Tick);
            }
            Due::Event(shard, event) => self.step(shard, Input::Event(event)),
            Due::Written(write) => {
                self.disk_effects += 1;
                let at = self.disk.written(write);
                self.step(ShardId::Store, Input::Event(Event::Written { at }));
            }
            Due::Synced => {
                self.disk_effects += 1;
                self.disk.synced();
                self.step(ShardId::Store, Input::Event(Event::Synced));
            }
            Due::Punched => {
                self.disk_effects += 1;
                if self.punch() {
                    self.after(1, Due::Punched);
                }
            }
            Due::Kept => {
                self.invalidated = self.keeping.take().expect("asked for");
                self.step(ShardId::Chain, Input::Event(Event::Kept(Ok(()))));
            }
            Due::Deliver(key, bytes) => self.deliver(key, &bytes),
            Due::Arrive(key) => self.arrive(key),
            Due::Close(key, why) => {
                if self.links.remove(&key).is_some() {
                    let event = Event::Closed { conn: key.1, why: why.into() };
                    self.step(ShardId::Peer(key.0), Input::Event(event));
                }
            }
        }
    }

    /// Blocks that were invalidated by hand, as far as that is durable.
    pub fn by_hand(&self) -> Vec<BlockHash> {
        let text = String::from_utf8_lossy(&self.invalidated);
        text.lines().map(|line| line.parse().expect("a hash")).collect()
    }

    /// Asks the page for something.
    pub fn ask(&mut self, question: u64, text: &str) {
        self.step(ShardId::Status, Input::Event(Event::Asked { question, text: text.into() }));
    }

    /// Grows that nobody answered yet.
    pub fn unanswered(&self) -> usize {
        self.growing.len()
    }

    /// The state of the node in a line, for whoever reads a failure.
    pub fn say(&self) -> String {
        let state = self.report.as_ref().map(|r| {
            format!(
                "{:?} {} height {} of {}, growing {}, parked {}, loading {}, asked {}",
                r.state, r.why, r.height, r.headers, r.growing, r.parked, r.loading, r.asked
            )
        });
        format!("{} ms, {} steps: {}", self.now_ms, self.steps, state.unwrap_or_default())
    }
}
