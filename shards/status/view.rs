//! All that is shown of a node: the last report of each shard, and the load of the cores as read
//! from their published counters. Never asks a shard anything, never knows how it is rendered.

use super::format::{bytes, thousands};
use crate::effect::Said;
use crate::limits::Budget;
use crate::metrics::{Core, Counter, Pages, Stage};
use crate::prover::{Mode, Trust};
use crate::report::{Book, Chain, Peer, Report, State, Store};
use crate::topology::Plan;
use consensus::Params;
use ledger::worlds::Tally;
use std::collections::VecDeque;

/// What is known of a node before it runs.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The network it is on.
    pub params: &'static Params,
    /// Which shard lives where.
    pub plan: Plan,
    /// The published counters.
    pub pages: Pages,
    /// How its memory is split.
    pub budget: Budget,
    /// Name and version of the program.
    pub version: String,
    /// Who settles signatures: off where there are no lanes.
    pub lanes: Mode,
    /// Whether lanes are believed.
    pub trust: Trust,
    /// Whether the prompt may change what the node does.
    pub may_write: bool,
}

/// What the page, the JSON and the prompt are made from.
#[derive(Debug)]
pub struct View {
    /// What was known at the start.
    pub setup: Setup,
    /// Seconds since the first step.
    pub up_s: u64,
    /// Our clock, unix seconds.
    pub unix: u64,
    /// Last report of the chain shard.
    pub chain: Chain,
    /// Last report of each peer shard.
    pub peers: Vec<Vec<Peer>>,
    /// Last report of each utxo shard: counters, and coins of each of its partitions.
    pub coins: Vec<(Tally, Vec<u32>)>,
    /// Why each utxo shard's newest checkpoint was not written.
    pub unwritten: Vec<Option<String>>,
    /// Last report of the store.
    pub store: Store,
    /// Last report of the address book.
    pub book: Book,
    /// How busy the cores are.
    pub load: Load,
    /// What was logged last, the newest at the end.
    pub events: VecDeque<Said>,
}

/// Lines of the log kept.
const EVENTS: usize = 64;

impl View {
    /// What is not verified of a node that began with a snapshot.
    pub fn unverified(&self) -> Option<String> {
        let (verified, of) = self.chain.history?;
        let (verified, of) = (thousands(verified.into()), thousands(of.into()));
        Some(format!("history not verified: {verified} of {of} blocks below the snapshot are"))
    }

    /// A view before any report.
    pub fn new(setup: Setup) -> View {
        let workers = usize::from(setup.plan.workers);
        View {
            load: Load::new(setup.pages.executors()),
            peers: vec![Vec::new(); workers],
            coins: vec![(Tally::default(), Vec::new()); workers],
            unwritten: vec![None; workers],
            up_s: 0,
            unix: 0,
            chain: Chain::default(),
            store: Store::default(),
            events: VecDeque::new(),
            book: Book::default(),
            setup,
        }
    }

    /// Keeps a report in place of the one before it.
    pub fn keep(&mut self, report: Report) {
        match report {
            Report::Chain(chain) => self.chain = chain,
            Report::Peers(shard, peers) => self.peers[usize::from(shard)] = peers,
            Report::Coins(shard, tally, partitions, unwritten) => {
                self.coins[usize::from(shard)] = (tally, partitions);
                self.unwritten[usize::from(shard)] = unwritten;
            }
            Report::Store(store) => self.store = store,
            Report::Book(book) => self.book = book,
        }
    }

    /// Keeps what was logged, the newest of it.
    pub fn said(&mut self, lines: Vec<Said>) {
        self.events.extend(lines);
        let over = self.events.len().saturating_sub(EVENTS);
        self.events.drain(..over);
    }

    /// All peers, longest connected first.
    pub fn all_peers(&self) -> Vec<&Peer> {
        let mut all: Vec<&Peer> = self.peers.iter().flatten().collect();
        all.sort_by_key(|peer| (!peer.up, std::cmp::Reverse(peer.age_s), peer.id));
        all
    }

    /// Seconds since the time in the tip's header; none before the first report.
    pub fn tip_age_s(&self) -> Option<u64> {
        (self.chain.tip_time > 0).then(|| self.unix.saturating_sub(self.chain.tip_time.into()))
    }

    /// How much of what there is to do is done: blocks of headers, or one of one for a chain of
    /// nothing but its genesis block.
    pub fn progress(&self) -> (u64, u64) {
        match self.chain.headers {
            0 => (u64::from(self.chain.state == State::Synced), 1),
            headers => (self.chain.height.into(), headers.into()),
        }
    }

    /// Which blocks are kept, in words.
    pub fn history(&self) -> String {
        let (up_to, gone, size) = self.chain.pruned;
        match size {
            None if gone == 0 => "every block is kept".into(),
            _ => format!(
                "pruned up to height {}, {} given up{}",
                thousands(up_to.into()),
                bytes(self.store.punched),
                size.map(|size| format!(", {} may be kept", bytes(size))).unwrap_or_default()
            ),
        }
    }

    /// Of the coins that left recent worlds, over all shards: how many never reached the base, and all of them.
    pub fn nursery(&self) -> (u64, u64) {
        let sum = |of: fn(&Tally) -> u64| self.coins.iter().map(|(tally, _)| of(tally)).sum::<u64>();
        let spent = sum(|tally| tally.nursery);
        (spent, spent + sum(|tally| tally.folded))
    }

    /// Bytes written to blocks.bin for each byte of blocks and their frames, since the start.
    pub fn amplification(&self) -> Option<f64> {
        (self.store.appended > 0).then(|| self.store.written as f64 / self.store.appended as f64)
    }

    /// Why checkpoints are not written at the moment, if so.
    pub fn checkpoint_failed(&self) -> Option<&str> {
        self.unwritten.iter().flatten().next().map(String::as_str)
    }

    /// Scripts of this run, over all cores: inputs run, signatures settled, scripts run again.
    pub fn scripts(&self) -> [u64; 3] {
        let pages = &self.setup.pages;
        [pages.sum(|w| &w.input_run), pages.sum(|w| &w.signature_settled), pages.sum(|w| &w.script_run_again)]
    }
}

/// Milliseconds between two samples of the load.
const SAMPLE_MS: u64 = 1_000;
/// Samples kept.
pub const SAMPLES: usize = 40;

/// What a core did over the last second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Thousandths of it in each stage, in the order of [`Stage::ALL`], and outside all: sockets, files, the kernel.
    pub parts: [u16; Spent::PARTS],
    /// Thousandths of an input that waited for their steps, on average.
    pub waiting: u64,
}

impl Spent {
    /// All stages, and what is outside them.
    pub const PARTS: usize = Stage::ALL.len() + 1;

    /// Names of the parts, and what each is.
    pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
        Stage::ALL.iter().map(|stage| (stage.word(), stage.what())).chain([("system", "sockets, files, kernel")])
    }

    /// All parts together, no more than the whole.
    pub fn busy(&self) -> u16 {
        self.parts.iter().sum::<u16>().min(1_000)
    }
}

/// From each executor to each.
type Words = Vec<Vec<u64>>;

/// Counters of a core: each stage, turns of the loop, CPU, waiting.
type Counts = ([u64; Stage::ALL.len()], u64, u64, u64);

fn counts(core: &Core) -> Counts {
    let stages = std::array::from_fn(|stage| core.stage_ns[stage].get());
    (stages, core.busy_ns.get(), core.cpu_ns.get(), core.wait_ns.get())
}

/// Load of the cores and of the network, sampled once a second.
#[derive(Debug)]
pub struct Load {
    /// When the last sample was taken, and the counters then; none before the first.
    last: Option<(u64, Vec<Counts>, Words, [u64; 2])>,
    /// Busy time of each core in thousandths, newest last.
    pub busy: Vec<VecDeque<u16>>,
    /// What each did over the last second.
    pub spent: Vec<Spent>,
    /// Words that each executor sent to each over the last second.
    pub words: Words,
    /// Bytes received from and sent to peers per second.
    pub net: [u64; 2],
}

impl Load {
    fn new(cores: usize) -> Load {
        Load {
            last: None,
            busy: vec![VecDeque::new(); cores],
            spent: vec![Spent::default(); cores],
            words: vec![vec![0; cores]; cores],
            net: [0; 2],
        }
    }

    /// Takes a sample if one is due.
    pub fn sample(&mut self, pages: &Pages, now_ms: u64) {
        if self.last.as_ref().is_some_and(|(at_ms, ..)| now_ms < at_ms + SAMPLE_MS) {
            return;
        }
        let now: Vec<Counts> = (0..pages.executors()).map(|core| counts(pages.core(core))).collect();
        let row = |core: usize| pages.core(core).words.iter().map(Counter::get).collect();
        let words: Words = (0..pages.executors()).map(row).collect();
        let net = [pages.sum(|work| &work.received_bytes), pages.sum(|work| &work.sent_bytes)];
        if let Some((at_ms, before, words_before, net_before)) = &self.last {
            let ms = now_ms - at_ms;
            for (core, history) in self.busy.iter_mut().enumerate() {
                self.spent[core] = spent(&before[core], &now[core], ms);
                history.push_back(self.spent[core].busy());
                if history.len() > SAMPLES {
                    history.pop_front();
                }
            }
            for (row, (now, before)) in self.words.iter_mut().zip(words.iter().zip(words_before)) {
                *row = now.iter().zip(before).map(|(now, before)| now.saturating_sub(*before) * 1_000 / ms).collect();
            }
            self.net = std::array::from_fn(|i| net[i].saturating_sub(net_before[i]) * 1_000 / ms);
        }
        self.last = Some((now_ms, now, words, net));
    }

    /// The core's busy share over the last second, thousandths.
    pub fn now(&self, core: usize) -> u16 {
        self.busy[core].back().copied().unwrap_or(0)
    }
}

fn spent(before: &Counts, now: &Counts, ms: u64) -> Spent {
    // Nanoseconds over milliseconds are millionths; a step still running when a sample was taken counts later, so more than all
    // of the time can come out.
    let permille = |before: u64, now: u64| now.saturating_sub(before) / ms / 1_000;
    let mut parts = [0; Spent::PARTS];
    for (stage, part) in parts.iter_mut().enumerate().take(Stage::ALL.len()) {
        *part = permille(before.0[stage], now.0[stage]).min(1_000) as u16;
    }
    let inside: u64 = parts.iter().map(|part| u64::from(*part)).sum();
    // Turns of the loop that had no CPU are no less busy.
    let all = permille(before.1, now.1).max(permille(before.2, now.2)).min(1_000);
    parts[Stage::ALL.len()] = all.saturating_sub(inside) as u16;
    Spent { parts, waiting: permille(before.3, now.3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_the_difference_of_two_samples() {
        let pages = Pages::new(2);
        let mut load = Load::new(2);
        load.sample(&pages, 5_000);
        assert_eq!(load.now(1), 0);
        pages.core(1).busy_ns.add(500_000_000);
        pages.work(0).received_bytes.add(4_000);
        pages.core(1).words[0].add(60);
        load.sample(&pages, 5_900);
        assert!(load.busy[1].is_empty(), "a second has not passed");
        load.sample(&pages, 7_000);
        assert_eq!((load.now(0), load.now(1)), (0, 250), "half a second in two");
        assert_eq!((load.net, &load.words), ([2_000, 0], &vec![vec![0, 0], vec![30, 0]]));
        pages.core(0).stage_ns[Stage::Verify as usize].add(300_000_000);
        pages.core(0).busy_ns.add(400_000_000);
        pages.core(0).cpu_ns.add(600_000_000);
        pages.core(0).wait_ns.add(2_500_000_000);
        load.sample(&pages, 8_000);
        assert_eq!(load.spent[0], Spent { parts: [0, 0, 0, 0, 300, 0, 0, 0, 300], waiting: 2_500 });
        assert_eq!((load.now(0), load.now(1), load.spent[1]), (600, 0, Spent::default()));
        pages.core(0).busy_ns.add(9_000_000_000);
        for second in 9..100 {
            load.sample(&pages, second * 1_000);
        }
        assert_eq!((load.busy[0].len(), load.now(0)), (SAMPLES, 0));
    }
}
