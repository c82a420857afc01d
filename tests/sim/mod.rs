//! A whole node in one thread, on virtual time: every shard of a plan, the links between their cores, a network of
//! scripted peers and a disk that loses power. All order that the real node leaves to chance is drawn from one seed.
//!
//! ```text
//!  scenario.rs      what happens in a run, and what must be true at its end
//!  faults.rs        what goes wrong meanwhile, by name
//!  checks.rs        what must be true of every word that shards say
//!  planted.rs       bugs on purpose: each must be found
//!  boot.rs edge.rs  starts and ends of the node; what it asks of the kernel
//!  cores.rs disk.rs checkpoints.rs net.rs peers.rs      what is around the shards
//!  chains.rs        what the network knows, and the naive oracle
//!  lanes.rs         what stands in for lanes
//!  prune.rs         the block index, and blocks that are given up
//!  snapshot.rs      nodes that begin with coins
//!  main.rs          the command `cargo sim`
//! ```

mod boot;
pub mod chains;
mod checkpoints;
mod checks;
mod cores;
pub mod disk;
mod edge;
pub mod faults;
mod lanes;
mod net;
pub mod peers;
pub mod planted;
mod prune;
pub mod scenario;
mod snapshot;

use chains::Chains;
use checkpoints::Checkpoints;
use checks::Checks;
use consensus::BlockHash;
use cores::{Links, Word};
use disk::Disk;
use edge::Due;
use faults::{Fault, Faults};
use net::Conn;
use peers::Remote;
use planted::Planted;
use shards::effect::{ConnId, Stop};
use shards::limits::{Budget, link_depth};
use shards::prover::Mode;
use shards::report;
use shards::{Cx, Input, Plan, Rng, Shard, ShardId, chain, utxo};
use std::collections::BTreeMap;

const TICK_MS: u64 = 250;
/// Our clock at virtual time zero: after the last block of any test chain.
const UNIX: u64 = 1_800_000_000;

type Key = (u16, ConnId);

/// How a run of the node has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Down {
    /// The power went.
    Power,
    /// The process ended; the machine goes on.
    Killed,
    /// It stopped by itself, for this reason.
    Stopped(Stop),
}

/// The node and everything around it.
pub struct Sim {
    /// Chance.
    pub rng: Rng,
    /// Milliseconds since the beginning.
    pub now_ms: u64,
    plan: Plan,
    shards: BTreeMap<ShardId, Box<dyn Shard>>,
    links: Links,
    due: BTreeMap<(u64, u64), Due>,
    next_due: u64,
    conns: BTreeMap<Key, Conn>,
    /// All peers there are.
    pub remotes: Vec<Remote>,
    /// Nobody answers.
    pub offline: bool,
    /// Nobody answers until then.
    apart_until: u64,
    /// What goes wrong.
    pub faults: Faults,
    /// Faults that end a run of the node, and those of the network as a whole, may strike.
    pub mortal: bool,
    /// How the run has ended: nothing happens until the next.
    pub down: Option<Down>,
    /// It is about to end so, at this step.
    dying: Option<(u64, Down)>,
    /// The snapshot that the node began with; and whether it is being removed.
    pub snapshot: Option<chain::Snapshot>,
    ending_snapshot: bool,
    /// When the run began, some header up to its block was not to be found.
    pub base_lost: bool,
    /// A reason to stop that is right whenever it comes.
    pub may_stop: Option<Stop>,
    /// What the node said when it stopped.
    pub last_words: String,
    /// The bug that is planted.
    pub planted: Option<Planted>,
    /// The disk.
    pub disk: Disk,
    /// The file of refused blocks, and the line that is being appended.
    refused: Vec<u8>,
    remembering: Vec<u8>,
    /// The file of blocks invalidated by hand, what it is being replaced by, and what a power cut brings back.
    invalidated: Vec<u8>,
    keeping: Option<Vec<u8>>,
    unsynced: Option<Vec<u8>>,
    /// How memory is split, from the next restart on.
    pub budget: Budget,
    /// Worlds kept apart at the tip, in blocks; the same.
    pub horizon: u32,
    /// Scripts of all good transactions are known beforehand; the same.
    pub warm: bool,
    /// Who settles signatures.
    pub lanes: Mode,
    /// The log, but for what is only for debugging.
    pub log: Vec<String>,
    /// The block index.
    rows: prune::Rows,
    /// Bytes that blocks may take, and blocks below the tip that are kept; from the next restart on.
    pub pruning: Option<(u64, u32)>,
    /// Checkpoints of coins.
    pub checkpoints: Checkpoints,
    /// How they are made.
    pub policy: utxo::Policy,
    /// What was said so far.
    checks: Checks,
    /// The tip last told to peers or to the page in this run.
    pub tip: BlockHash,
    /// The chain shard's last report.
    pub report: Option<Box<report::Chain>>,
    /// Answers to questions.
    pub answers: Vec<(u64, String)>,
    /// Hash over everything that happened.
    pub trace: u64,
    steps: u64,
    /// Writes and syncs so far, asked and done.
    pub disk_effects: u64,
    /// At this many of them the run ends so.
    pub cut_at: Option<(u64, Down)>,
    /// Lines of the log are printed.
    pub verbose: bool,
}

impl Sim {
    fn after(&mut self, ms: u64, due: Due) {
        self.next_due += 1;
        self.due.insert((self.now_ms + ms, self.next_due), due);
    }

    fn mix(&mut self, word: u64) {
        self.trace = (self.trace ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(17);
    }

    /// Whether a fault strikes that may end the run.
    fn fells(&mut self, fault: fn(&mut Faults) -> &mut Fault) -> bool {
        self.mortal && fault(&mut self.faults).strikes(&mut self.rng)
    }

    /// Lets one thing happen: a word is heard, or something that is due comes about.
    pub fn turn(&mut self) {
        if self.fells(|faults| &mut faults.power_cut) {
            self.down = Some(Down::Power);
        } else if self.fells(|faults| &mut faults.kill) {
            self.down = Some(Down::Killed);
        } else if let Some((_, down)) = self.dying.filter(|(at, _)| self.steps >= *at) {
            self.down = Some(down);
        }
        if self.down.is_some() {
            return;
        }
        self.steps += 1;
        if self.steps.is_multiple_of(64) {
            self.now_ms += 1;
        }
        let busy = self.links.busy();
        let next = *self.due.keys().next().expect("there is always a tick");
        if busy == 0 {
            self.now_ms = self.now_ms.max(next.0);
        }
        let pick = self.rng.below(busy as u64 + 1) as usize;
        self.mix(pick as u64);
        if pick < busy {
            let Word(to, word) = self.links.pop(pick, &mut self.rng);
            let word = self.misheard(to, word);
            self.step(to, Input::Msg(word));
        } else if next.0 <= self.now_ms {
            let candidates = self.due.range(..=(self.now_ms, u64::MAX));
            let nth = self.rng.below(candidates.clone().count() as u64) as usize;
            let key = *candidates.map(|(key, _)| key).nth(nth).expect("counted");
            let due = self.due.remove(&key).expect("just seen");
            self.happen(due);
        }
    }

    fn step(&mut self, shard: ShardId, input: Input) {
        let mut cx = Cx::new(self.rng.bits());
        (cx.now_ms, cx.unix) = (self.now_ms, UNIX + self.now_ms / 1_000);
        self.shards.get_mut(&shard).expect("in the plan").step(input, &mut cx);
        self.mix(cx.words.len() as u64 * 31 + cx.effects.len() as u64);
        for (to, word) in cx.words {
            let Some(word) = self.misspoken(to, word) else { continue };
            self.said(shard, to, &word);
            let link = (self.plan.home(shard), self.plan.home(to));
            let held = self.links.push(link, Word(to, word));
            assert!(link.0 == link.1 || held <= link_depth(8), "link {link:?} holds {held} words");
            if self.strikes(Planted::ReorderedLink, 64) {
                self.links.swap_last(link);
            }
            if link.0 != link.1
                && self.faults.slow_link.strikes(&mut self.rng)
                && let Some(name) = self.links.hold(link)
            {
                let ms = 1 + self.rng.below(500);
                self.after(ms, Due::LetGo(name));
            }
        }
        for effect in cx.effects {
            if self.down.is_none() {
                self.carry_out(shard, effect);
            }
        }
    }

    /// Whether the run has ended, or what will end it has been drawn.
    pub fn ends(&self) -> bool {
        self.down.is_some() || !self.checks.wounds.is_empty()
    }

    /// Asks the page for something.
    pub fn ask(&mut self, question: u64, text: &str) {
        self.step(ShardId::Status, Input::Event(shards::Event::Asked { question, text: text.into() }));
    }

    /// A person decides: the tip may lose work.
    pub fn by_hand_from_now_on(&mut self) {
        self.checks.by_hand = true;
    }

    /// Grows that nobody answered yet.
    pub fn unanswered(&self) -> usize {
        self.checks.unanswered()
    }

    /// The chains that are told of.
    pub fn chains(&self) -> &'static Chains {
        self.checks.chains
    }

    /// The state of the node in a line, for whoever reads a failure.
    pub fn say(&self) -> String {
        let state = self.report.as_ref().map(|r| {
            format!(
                "{:?} {} height {} of {}, growing {}, parked {}, loading {}, asked {}, {} worlds over {}, {} bytes",
                r.state,
                r.why,
                r.height,
                r.headers,
                r.growing,
                r.parked,
                r.loading,
                r.asked,
                r.live,
                r.root.0,
                r.worlds_bytes.0
            )
        });
        format!("{} ms, {} steps: {}", self.now_ms, self.steps, state.unwrap_or_default())
    }
}
