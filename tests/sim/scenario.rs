//! What happens in one run, drawn from its seed: cores, chains, peers, memory, faults, the lives of the node and how they
//! end; and what must be true in between and at the end.

use super::chains::{Branch, Chains, Truth, busy, deep};
use super::faults::Faults;
use super::peers::{Remote, Script};
use super::planted::Planted;
use super::{Down, Sim};
use consensus::BlockHash;
use shards::Rng;
use shards::limits::HORIZON_BLOCKS;
use shards::prover::Mode;
use shards::utxo::Policy;
use std::collections::VecDeque;
use wire::fetch::LOWEST_BLOCK_RESERVE_BYTES;

/// Virtual time within which an honest peer brings everything, milliseconds.
const LIVE_MS: u64 = 20 * 60_000;
/// Turns after which something runs in circles.
const TURNS_MAX: u64 = 3_000_000;
/// Turns within which whatever was asked is answered.
const ANSWER_TURNS: u64 = 20_000;
/// Numbers of cores that must give the same coins.
pub const CORES: [usize; 4] = [1, 2, 5, 16];

/// A peer that does all it should.
pub fn honest(branch: &Branch) -> Script {
    let (branch, later) = (branch.clone(), VecDeque::new());
    Script { branch, later, latency_ms: 5, chunk: 1 << 16, honest: true, boasts: false }
}

/// Peer number `index`.
pub fn remote(index: usize, script: Script) -> Remote {
    Remote::new(([10, 0, index as u8, 1], 18_444).into(), script)
}

/// What a seed draws besides its faults.
#[derive(Clone, Copy, Debug)]
struct Options {
    cores: usize,
    /// Long chains whose rival leaves below what is kept.
    deep: bool,
    /// Scripts are run, not remembered.
    cold: bool,
    /// Bytes of blocks in flight and of worlds, where there are few.
    tight: Option<(u64, u64)>,
    horizon: u32,
    /// Checkpoints, and how they are made.
    checkpoints: Option<(u64, u32, u32)>,
    /// Bytes that blocks may take, and blocks below the tip that are kept.
    pruning: Option<(u64, u32)>,
    /// The height of a snapshot that the node begins with.
    snapshot: Option<u32>,
    /// Runs that end, before the last.
    lives: u64,
    /// They end late, when there are checkpoints.
    late: bool,
    /// A person decides at the end.
    by_hand: bool,
    peers: u64,
}

impl Options {
    fn draw(rng: &mut Rng) -> Options {
        let one_in = |rng: &mut Rng, n| rng.below(n) == 0;
        // Beside what is kept for the lowest block, room for one or for some.
        let window = 2 * (LOWEST_BLOCK_RESERVE_BYTES + (1 << (17 + rng.below(5))));
        let tight = one_in(rng, 4).then(|| (window, (1 << (12 + rng.below(10))) + rng.below(4_096)));
        let short = one_in(rng, 3);
        let many = one_in(rng, 3);
        let mut options = Options {
            cores: CORES[rng.below(4) as usize],
            deep: one_in(rng, 4),
            cold: one_in(rng, 8),
            tight,
            // So short that worlds fold while others above them still grow.
            horizon: if short { 16 + rng.below(30) as u32 } else { HORIZON_BLOCKS },
            checkpoints: (!one_in(rng, 3))
                .then(|| (1 << (20 + rng.below(16)), 1 + rng.below(40) as u32, rng.below(80) as u32)),
            pruning: None,
            snapshot: None,
            lives: rng.below(if many { 6 } else { 3 }),
            late: one_in(rng, 3),
            by_hand: one_in(rng, 6),
            peers: 1 + rng.below(5),
        };
        if one_in(rng, 4) {
            options.prune(rng);
        } else if one_in(rng, 4) {
            let height = if options.deep { 61 + rng.below(171) } else { 1 + rng.below(121) };
            options.snapshot = Some(height as u32);
        }
        options
    }

    /// Blocks are pruned, and nothing comes that would need them: checkpoints are frequent, the horizon is short, and no
    /// peer tells of a branch that leaves below it.
    fn prune(&mut self, rng: &mut Rng) {
        self.pruning = Some((1 << rng.below(17), 10 + rng.below(30) as u32));
        self.checkpoints = Some((1 << (28 + rng.below(6)), 1 + rng.below(20) as u32, rng.below(30) as u32));
        self.horizon = 16 + rng.below(20) as u32;
        self.by_hand &= !self.deep;
    }

    /// Branches that peers tell of, the best one first.
    fn branches<'a>(&self, all: &'a Chains) -> [&'a Branch; 4] {
        match (self.pruning, self.snapshot) {
            (Some(_), _) if self.deep => [&all.main, &all.main, &all.main, &all.invalid],
            // Others leave below the snapshot's block: had they more work than the tip, the node would stop.
            (_, Some(height)) if self.deep || height > 110 => [&all.rival; 4],
            // Blocks that nobody sends hold the history up.
            (_, Some(_)) => [&all.rival, &all.main, &all.short, &all.rival],
            _ => [&all.rival, &all.main, &all.short, &all.invalid],
        }
    }

    /// Their names.
    fn names(&self) -> Vec<String> {
        let mut names = vec![format!("{} cores", self.cores), format!("{} peers", self.peers)];
        let drawn = [
            (if self.deep { "deep chains" } else { "busy chains" }, true),
            ("scripts run", self.cold),
            ("little memory", self.tight.is_some()),
            ("short horizon", self.horizon != HORIZON_BLOCKS),
            ("checkpoints", self.checkpoints.is_some()),
            ("pruning", self.pruning.is_some()),
            ("snapshot", self.snapshot.is_some()),
            ("late ends", self.late),
            ("decisions by hand", self.by_hand),
        ];
        names.extend(drawn.iter().filter(|(_, drawn)| *drawn).map(|(name, _)| name.to_string()));
        names
    }
}

fn draw_peers(rng: &mut Rng, branches: [&Branch; 4], count: u64) -> Vec<Remote> {
    let mut first = honest(branches[0]);
    (first.latency_ms, first.chunk) = (1 + rng.below(300), 1 << (8 + rng.below(9)));
    if rng.below(2) == 0 {
        first.branch = branches[1].clone();
        first.later.push_back((1_000 + rng.below(60_000), branches[0].clone()));
    }
    let mut remotes = vec![remote(0, first)];
    for index in 1..count as usize {
        let mut other = honest(branches[rng.below(4) as usize]);
        (other.latency_ms, other.chunk) = (1 + rng.below(1_000), 1 << (4 + rng.below(13)));
        other.honest = rng.below(3) == 0;
        other.boasts = !other.honest && rng.below(6) == 0;
        if rng.below(3) == 0 {
            let mut at = 0;
            for _ in 0..1 + rng.below(4) {
                at += 1_000 + rng.below(30_000);
                other.later.push_back((at, branches[rng.below(4) as usize].clone()));
            }
        }
        remotes.push(remote(index, other));
    }
    remotes
}

/// Peers first know of two thirds of their chains only, so that each partition comes to have two checkpoints.
fn in_two_parts(peers: &mut [Remote], rng: &mut Rng) {
    let at = 20_000 + rng.below(60_000);
    for Remote { script, .. } in peers {
        let part = script.branch[..script.branch.len() * 2 / 3].to_vec();
        script.later.push_front((at, std::mem::replace(&mut script.branch, part)));
    }
}

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The hash of everything that happened.
    pub trace: u64,
    /// How often each fault struck.
    pub faults: Faults,
    /// Names of what was drawn.
    pub options: Vec<String>,
    /// Pieces of checkpoints that were read.
    pub reads: u64,
    /// Blocks that were pruned.
    pub pruned: usize,
    /// How runs ended.
    pub ends: Vec<String>,
}

/// Runs one seed to its end.
pub fn run(seed: u64, planted: Option<Planted>, verbose: bool) -> Result<Ran, String> {
    let mut rng = Rng(seed);
    let options = Options::draw(&mut rng);
    let faults = Faults::draw(&mut rng);
    let all = if options.deep { deep() } else { busy() };
    if verbose {
        eprintln!("{options:?}\n{faults:?}");
    }
    let mut peers = draw_peers(&mut rng, options.branches(all), options.peers);
    if options.pruning.is_some() {
        in_two_parts(&mut peers, &mut rng);
    }
    let mut sim = Sim::new(rng.bits(), options.cores, all, peers);
    (sim.faults, sim.planted, sim.verbose, sim.horizon, sim.warm) =
        (faults, planted, verbose, options.horizon, !options.cold);
    let (word, lanes) = Mode::ALL[seed as usize % Mode::ALL.len()];
    sim.lanes = lanes;
    if let Some((bandwidth, interval, gap)) = options.checkpoints {
        sim.policy = Policy { bandwidth, interval, gap, ..sim.policy };
    }
    sim.pruning = options.pruning;
    if let Some((window, worlds)) = options.tight {
        (sim.budget.window, sim.budget.worlds) = (window, worlds);
    }
    let best = if options.pruning.is_some() && options.deep { &all.second } else { &all.best };
    if let Some(height) = options.snapshot {
        sim.load_snapshot(&all.rival, height, false);
    }
    let mut story = Story { sim, rng, all, best, verified: true, ends: Vec::new() };
    // So that what was set holds.
    story.sim.down = Some(Down::Killed);
    story.restart();
    for _ in 0..options.lives {
        story.life(options.late)?;
    }
    story.end()?;
    if options.by_hand && story.verified {
        story.decisions()?;
    }
    let Story { sim, ends, verified, .. } = story;
    let mut names = options.names();
    names.push(format!("lanes {word}"));
    names.extend((!verified).then(|| "history unverified".to_owned()));
    let (faults, reads, pruned) = (sim.faults.clone(), sim.checkpoints.reads, sim.pruned());
    Ok(Ran { trace: sim.trace, faults, options: names, reads, pruned, ends })
}

/// A run and its chance.
struct Story {
    sim: Sim,
    rng: Rng,
    all: &'static Chains,
    /// What the node must come to.
    best: &'static Truth,
    /// No history is left to be verified.
    verified: bool,
    ends: Vec<String>,
}

impl Story {
    fn restart(&mut self) {
        self.sim.restart(CORES[self.rng.below(4) as usize]);
    }

    /// The node works until something ends it, or we do; then it stands up again, if need be after several attempts.
    fn life(&mut self, late: bool) -> Result<(), String> {
        self.sim.mortal = true;
        let stop = if late { 130 + self.rng.below(110) as u32 } else { u32::MAX };
        let more = self.rng.below(30_000);
        self.work(stop, more);
        let mut told = self.sim.tip;
        self.fall();
        while self.sim.faults.crash_in_recovery.strikes(&mut self.sim.rng) {
            let turns = 1 << self.rng.below(14);
            (0..self.rng.below(turns)).for_each(|_| self.sim.turn());
            let heights = [told, self.sim.tip].map(|block| self.all.height(block));
            told = if heights[1] > heights[0] { self.sim.tip } else { told };
            self.fall();
        }
        self.sim.mortal = false;
        // Headers below a snapshot's block are in the index alone, and it is not synced: peers give them again.
        if self.sim.base_lost {
            return Ok(());
        }
        stands_again(&mut self.sim, told)
    }

    /// The run ends now, if it has not yet, and the next begins.
    fn fall(&mut self) {
        let drawn = [Down::Power, Down::Killed][self.rng.below(2) as usize];
        let down = *self.sim.down.get_or_insert(drawn);
        self.ends.push(match down {
            Down::Stopped(why) => format!("stopped: {why:?}"),
            down => format!("{down:?}"),
        });
        self.restart();
    }

    /// Until the tip has this height and some turns more, or is the best there is, or the run ends.
    fn work(&mut self, stop: u32, more: u64) {
        let until = self.sim.now_ms + LIVE_MS;
        for _ in 0..TURNS_MAX / 10 {
            let height = self.all.height(self.sim.tip);
            let over = height >= stop || self.sim.tip == self.best.tip || self.sim.now_ms > until;
            if over || self.sim.down.is_some() {
                break;
            }
            self.sim.turn();
        }
        for _ in 0..more {
            if self.sim.down.is_some() {
                break;
            }
            self.sim.turn();
        }
    }

    /// Nothing ends the node any more: it reaches this tip with its coins, and does so again on other cores.
    fn end(&mut self) -> Result<(), String> {
        let best = self.best;
        live(&mut self.sim, best)?;
        if self.sim.snapshot.is_some() {
            // It may have come to the snapshot's block by itself: the next start compares.
            self.restart();
            live(&mut self.sim, best)?;
            // It may wait for a block that nobody is asked for; the coins are right all the same.
            self.verified = verified(&mut self.sim).is_ok();
        }
        same_coins(&mut self.sim, best)?;
        self.restart();
        if !self.sim.base_lost {
            stands_again(&mut self.sim, best.tip)?;
        }
        live(&mut self.sim, best)?;
        same_coins(&mut self.sim, best)
    }

    /// A block of the best branch is invalidated and let in again.
    fn decisions(&mut self) -> Result<(), String> {
        self.sim.by_hand_from_now_on();
        let all = self.all;
        let fork = all.rival.iter().zip(&all.main).take_while(|(one, other)| one.hash == other.hash).count();
        let block = all.rival[fork].hash;
        // Peers that still tell of the rival are the usual case; the main chain must be there to go to.
        self.sim.remotes.push(remote(200, honest(&all.main)));
        self.restart();
        live(&mut self.sim, &all.best)?;
        decided(&mut self.sim, &mut self.rng, "invalidate", block, &all.second)?;
        decided(&mut self.sim, &mut self.rng, "reconsider", block, &all.best)
    }
}

/// Asks for a decision, and lets the run end in the middle of it or not: once it was answered it holds, else it is asked
/// again, if it did not reach the disk. In the end the node stands at `best` with its coins.
pub fn decided(sim: &mut Sim, rng: &mut Rng, verb: &str, block: BlockHash, best: &Truth) -> Result<(), String> {
    let mut question = 100;
    let mut ask = |sim: &mut Sim| {
        question += 1;
        sim.answers.clear();
        sim.ask(question, &format!("{verb} {block}"));
    };
    let holds = |sim: &Sim| sim.by_hand().contains(&block) == (verb == "invalidate");
    let answered = |sim: &Sim| sim.answers.iter().any(|(_, text)| text.starts_with("tip is now "));
    for cuts in (0..rng.below(3)).rev() {
        sim.mortal = true;
        ask(sim);
        let turns = 1 << rng.below(14);
        (0..rng.below(turns)).for_each(|_| sim.turn());
        sim.mortal = false;
        if cuts > 0 || rng.below(2) == 0 || sim.ends() {
            let binds = answered(sim);
            sim.restart(CORES[rng.below(4) as usize]);
            if binds && !holds(sim) {
                return Err(format!("{verb} was answered and does not hold"));
            }
        }
    }
    ask(sim);
    let answer = format!("tip is now {} at height {}", best.tip, best.height);
    for _ in 0..TURNS_MAX {
        // What lies on disk was answered for; what peers still have comes later.
        if sim.tip == best.tip && !sim.answers.is_empty() {
            break;
        }
        let again = ["error: it is not done yet", "error: nothing was changed"];
        if sim.answers.iter().any(|(_, text)| again.iter().any(|why| text.starts_with(why))) {
            ask(sim);
        }
        sim.turn();
    }
    let last = sim.answers.pop().ok_or_else(|| format!("{verb} was not answered: {}", sim.say()))?.1;
    if !holds(sim) || !last.starts_with("tip is now ") {
        return Err(format!("{last}, marked {:?}", sim.by_hand()));
    }
    live(sim, best)?;
    // Of two questions that were asked without an end between, the other's answer is still to come.
    (0..ANSWER_TURNS).for_each(|_| sim.turn());
    sim.answers.clear();
    same_coins(sim, best)?;
    ask(sim);
    (0..ANSWER_TURNS).for_each(|_| sim.turn());
    match sim.answers.pop() {
        Some((_, text)) if text == answer => Ok(()),
        other => Err(format!("asked once more: {other:?}, wanted {answer}")),
    }
}

/// Until the node has reached the best tip, or its run ends.
pub fn live(sim: &mut Sim, best: &Truth) -> Result<(), String> {
    let until = sim.now_ms + LIVE_MS;
    for _ in 0..TURNS_MAX {
        if sim.tip == best.tip || sim.down.is_some() {
            return Ok(());
        }
        if sim.now_ms > until {
            return Err(format!("the tip is not reached in time: {}", sim.say()));
        }
        sim.turn();
    }
    Err(format!("the tip is not reached in {TURNS_MAX} turns: {}", sim.say()))
}

/// Until the history behind a snapshot is verified, if there is one.
pub fn verified(sim: &mut Sim) -> Result<(), String> {
    let until = sim.now_ms + LIVE_MS;
    for _ in 0..TURNS_MAX {
        let history = sim.report.as_ref().and_then(|report| report.history);
        if sim.snapshot.is_none() && history.is_none() {
            return Ok(());
        }
        if sim.now_ms > until {
            return Err(format!("the history is not verified in time, {history:?}: {}", sim.say()));
        }
        sim.turn();
    }
    Err(format!("the history is not verified in {TURNS_MAX} turns: {}", sim.say()))
}

/// After a restart, with nobody to ask, the node is where it said it was or on a branch with more work; or with as much, if
/// what made that one more is damaged.
pub fn stands_again(sim: &mut Sim, told: BlockHash) -> Result<(), String> {
    sim.offline = true;
    let until = sim.now_ms + 60_000;
    while sim.now_ms < until && sim.tip != told {
        sim.turn();
    }
    sim.offline = false;
    // All blocks of the test chains have the same work.
    let (reached, heights) = (sim.tip, [told, sim.tip].map(|block| sim.chains().height(block)));
    let damaged = || sim.log.iter().any(|line| line.contains("is damaged ("));
    if reached == told || heights[1] > heights[0] || heights[1] == heights[0] && damaged() {
        return Ok(());
    }
    Err(format!("told {told} ({}), after the restart {reached} ({}): {}", heights[0], heights[1], sim.say()))
}

/// The node's own digest is the oracle's, and nothing is left unanswered.
pub fn same_coins(sim: &mut Sim, best: &Truth) -> Result<(), String> {
    // Answers of worlds that were dropped may still be on their way, and a rebuild for a branch that turns out invalid may
    // still be under way.
    for turn in 0..TURNS_MAX {
        let counted = sim.report.as_ref().is_some_and(|report| report.coins == best.coins);
        if turn >= ANSWER_TURNS && sim.unanswered() == 0 && counted {
            break;
        }
        sim.turn();
    }
    if sim.unanswered() > 0 {
        return Err(format!("{} Grows were not answered: {}", sim.unanswered(), sim.say()));
    }
    sim.ask(1, "digest");
    for _ in 0..ANSWER_TURNS {
        if let Some((_, text)) = sim.answers.pop() {
            if ["(all coins are being rebuilt)", "ask again"].iter().any(|why| text.contains(why)) {
                // For a branch that shows only now that it is invalid.
                return same_coins(sim, best);
            }
            let got: serde_json::Value = serde_json::from_str(&text).map_err(|_| text.clone())?;
            let want = serde_json::json!({
                "height": best.height,
                "tip": best.tip.to_string(),
                "coins": best.coins,
                "digest": best.digest.to_string(),
            });
            let counted = sim.report.as_ref().map_or(0, |report| report.coins);
            if counted != best.coins {
                return Err(format!("the chain shard counts {counted} coins, there are {}", best.coins));
            }
            return if got == want { Ok(()) } else { Err(format!("coins differ: {got}, wanted {want}")) };
        }
        sim.turn();
    }
    Err("no digest came".into())
}
