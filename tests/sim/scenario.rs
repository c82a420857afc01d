//! What happens in one run: cores, peers and faults drawn from the seed, and what must be true at its end.

use super::Sim;
use super::chains::{Branch, Chains, Truth, busy, deep, oracle};
use super::peers::{Remote, Script};
use consensus::BlockHash;
use shards::Rng;
use shards::utxo::Policy;

/// Virtual time within which an honest peer brings everything, milliseconds.
const LIVE_MS: u64 = 20 * 60_000;
/// Turns after which something runs in circles.
const TURNS_MAX: u64 = 3_000_000;
const CORES: [usize; 4] = [1, 2, 5, 16];

/// A peer that does all it should.
pub fn honest(branch: &Branch) -> Script {
    Script {
        branch: branch.clone(),
        later: None,
        latency_ms: 5,
        chunk: 1 << 16,
        dies_after: None,
        withheld: 0,
        denied: 0,
        bent: 0,
        garbage_after: None,
    }
}

/// Peer number `index`.
pub fn remote(index: usize, script: Script) -> Remote {
    Remote::new(([10, 0, index as u8, 1], 18_444).into(), script)
}

fn draw_peers(rng: &mut Rng, all: &Chains) -> Vec<Remote> {
    let mut first = honest(&all.rival);
    (first.latency_ms, first.chunk) = (1 + rng.below(300), 1 << (8 + rng.below(9)));
    if rng.below(2) == 0 {
        first.branch = all.main.clone();
        first.later = Some((1_000 + rng.below(60_000), all.rival.clone()));
    }
    let mut remotes = vec![remote(0, first)];
    for index in 1..=rng.below(4) as usize {
        let branch = [&all.main, &all.short, &all.rival, &all.invalid][rng.below(4) as usize];
        let mut other = honest(branch);
        (other.latency_ms, other.chunk) = (1 + rng.below(1_000), 1 << (4 + rng.below(13)));
        let mut odds = |one_in: u64, max: u64| if rng.below(one_in) == 0 { 1 + rng.below(max) } else { 0 };
        (other.withheld, other.denied, other.bent) = (odds(3, 6), odds(3, 4), odds(3, 4));
        other.dies_after = Some(odds(3, 80) as u32).filter(|blocks| *blocks > 0);
        other.garbage_after = Some(odds(6, 40) as u32).filter(|messages| *messages > 0);
        remotes.push(remote(index, other));
    }
    remotes
}

/// Runs one seed to its end; the hash of its trace.
pub fn run(seed: u64) -> Result<u64, String> {
    let mut rng = Rng(seed);
    let cores = CORES[rng.below(4) as usize];
    let all = if rng.below(6) == 0 { deep() } else { busy() };
    let peers = draw_peers(&mut rng, all);
    let mut sim = Sim::new(rng.bits(), cores, peers);
    if rng.below(3) > 0 {
        let (interval, gap) = (1 + rng.below(40) as u32, rng.below(80) as u32);
        sim.policy = Policy { bandwidth: 1 << (14 + rng.below(16)), interval, gap, ..sim.policy };
    }
    if rng.below(3) == 0 {
        // So short that worlds fold while others above them still grow.
        sim.horizon = 16 + rng.below(30) as u32;
    }
    for _ in 0..rng.below(3) {
        sim.cut_at = Some(sim.disk_effects + 1 + rng.below(200));
        live(&mut sim, &all.best)?;
        let told = sim.tip;
        if rng.below(3) == 0 {
            sim.checkpoints.rot(&mut rng);
        }
        sim.restart(CORES[rng.below(4) as usize]);
        stands_again(&mut sim, all, told)?;
    }
    live(&mut sim, &all.best)?;
    same_coins(&mut sim, &all.best)?;
    Ok(sim.trace)
}

/// What checkpoints were good for in a run.
#[derive(Debug, Default)]
pub struct Restored {
    /// Pieces read.
    pub reads: u64,
    /// Restarts that found one of them damaged.
    pub rotten: u64,
}

/// Runs one seed whose restarts come late, when there are checkpoints; between them, peers may change to the rival.
pub fn run_late(seed: u64) -> Result<Restored, String> {
    let mut rng = Rng(seed);
    let all = deep();
    let mut peer = honest(&all.main);
    (peer.latency_ms, peer.chunk) = (1 + rng.below(100), 1 << (10 + rng.below(7)));
    if rng.below(2) == 0 {
        peer.later = Some((1_000 + rng.below(120_000), all.rival.clone()));
    } else {
        peer.branch = all.rival.clone();
    }
    let mut sim = Sim::new(rng.bits(), CORES[rng.below(4) as usize], vec![remote(0, peer)]);
    let (interval, gap) = (1 + rng.below(30) as u32, rng.below(60) as u32);
    sim.policy = Policy { bandwidth: 1 << (16 + rng.below(12)), interval, gap, ..sim.policy };
    sim.horizon = 16 + rng.below(100) as u32;
    let mut restored = Restored::default();
    for _ in 0..1 + rng.below(4) {
        let stop = 130 + rng.below(110) as usize;
        for _ in 0..TURNS_MAX {
            if all.height(sim.tip) >= stop || sim.tip == all.best.tip {
                break;
            }
            sim.turn();
        }
        (0..rng.below(30_000)).for_each(|_| sim.turn());
        let told = sim.tip;
        if rng.below(3) == 0 && !sim.checkpoints.files.is_empty() {
            sim.checkpoints.rot(&mut rng);
            restored.rotten += 1;
        }
        sim.restart(CORES[rng.below(4) as usize]);
        stands_again(&mut sim, all, told)?;
    }
    live(&mut sim, &all.best)?;
    same_coins(&mut sim, &all.best)?;
    restored.reads = sim.checkpoints.reads;
    Ok(restored)
}

/// Runs one seed in which the node gives up blocks, the power goes now and then, and once a checkpoint rots; how many blocks
/// were pruned.
pub fn run_pruned(seed: u64) -> Result<u32, String> {
    let mut rng = Rng(seed);
    // The branches of the deep ones leave below what is pruned, see the tests.
    let (all, branch, others) = match rng.below(2) {
        0 => (busy(), &busy().rival, [&busy().short, &busy().main]),
        _ => (deep(), &deep().main, [&deep().main; 2]),
    };
    let best = oracle(branch);
    let mut peers = vec![honest(branch), honest(others[0]), honest(others[1])];
    peers.truncate(1 + rng.below(3) as usize);
    peers.iter_mut().for_each(|peer| (peer.latency_ms, peer.chunk) = (1 + rng.below(100), 1 << (10 + rng.below(7))));
    let peers = peers.into_iter().enumerate().map(|(index, peer)| remote(index, peer)).collect();
    let mut sim = Sim::new(rng.bits(), 1, peers);
    let (interval, gap) = (1 + rng.below(20) as u32, rng.below(30) as u32);
    sim.policy = Policy { bandwidth: 1 << (22 + rng.below(6)), interval, gap, ..sim.policy };
    sim.horizon = 16 + rng.below(20) as u32;
    sim.pruning = Some((1 << rng.below(17), 10 + rng.below(30) as u32));
    sim.restart(CORES[rng.below(4) as usize]);
    let mut rots = rng.below(3);
    for _ in 0..1 + rng.below(5) {
        let stop = all.height(best.tip) - rng.below(70) as usize;
        for _ in 0..TURNS_MAX {
            if all.height(sim.tip) >= stop || sim.stopped.is_some() {
                break;
            }
            sim.turn();
        }
        sim.cut_at = Some(sim.disk_effects + rng.below(20));
        let turns = rng.below(100_000);
        for _ in 0..turns {
            if sim.is_cut() {
                break;
            }
            sim.turn();
        }
        let told = sim.tip;
        if rots == 1 && !sim.checkpoints.files.is_empty() {
            sim.checkpoints.rot(&mut rng);
            rots = 0;
        }
        sim.restart(CORES[rng.below(4) as usize]);
        // Where the last record is torn, of two branches with the same work either may be the tip.
        let same_work = |sim: &Sim| all.height(sim.tip) == all.height(told) && sim.stopped.is_none();
        stands_again(&mut sim, all, told).or_else(|why| if same_work(&sim) { Ok(()) } else { Err(why) })?;
    }
    live(&mut sim, &best)?;
    same_coins(&mut sim, &best)?;
    Ok(sim.report.as_ref().map_or(0, |report| report.pruned.0))
}

/// Until the node has reached the best tip, or the power goes.
pub fn live(sim: &mut Sim, best: &Truth) -> Result<(), String> {
    let until = sim.now_ms + LIVE_MS;
    for _ in 0..TURNS_MAX {
        if sim.tip == best.tip || sim.is_cut() {
            return Ok(());
        }
        if let Some((why, line)) = &sim.stopped {
            return Err(format!("it stopped, {why:?}: {line}"));
        }
        if sim.now_ms > until {
            return Err(format!("the tip is not reached in time: {}", sim.say()));
        }
        sim.turn();
    }
    Err(format!("the tip is not reached in {TURNS_MAX} turns: {}", sim.say()))
}

/// After a restart, with nobody to ask, the node is where it said it was or on a branch with more work.
pub fn stands_again(sim: &mut Sim, all: &Chains, told: BlockHash) -> Result<(), String> {
    let genesis = consensus::Params::of(consensus::Network::Regtest).genesis_hash;
    (sim.offline, sim.tip) = (true, genesis);
    let until = sim.now_ms + 60_000;
    while sim.now_ms < until && sim.tip != told {
        sim.turn();
    }
    sim.offline = false;
    let reached = sim.tip;
    // All blocks of the test chains have the same work.
    let heights = (all.height(told), all.height(reached));
    if reached == told || heights.1 > heights.0 {
        return Ok(());
    }
    Err(format!("told {told} ({}), after the power cut {reached} ({}): {}", heights.0, heights.1, sim.say()))
}

/// The node's own digest is the oracle's, and nothing is left unanswered.
pub fn same_coins(sim: &mut Sim, best: &Truth) -> Result<(), String> {
    // Answers of worlds that were dropped may still be on their way, and a rebuild for a branch that turns out invalid may
    // still be under way.
    for turn in 0..400_000 {
        let counted = sim.report.as_ref().is_some_and(|report| report.coins == best.coins);
        if turn >= 20_000 && sim.unanswered() == 0 && counted {
            break;
        }
        sim.turn();
    }
    if sim.unanswered() > 0 {
        return Err(format!("{} Grows were not answered: {}", sim.unanswered(), sim.say()));
    }
    sim.ask(1, "digest");
    for _ in 0..20_000 {
        if let Some((_, text)) = sim.answers.pop() {
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
