//! The simulated node under drawn faults. `SIM_SEED=n` runs that one seed, `SIM_SEEDS=a..b` a range; `SIM_LOG=1` prints
//! the node's log.

use caesure_tests::sim::chains::{Blk, Branch, Chains, Truth, busy, deep, oracle};
use caesure_tests::sim::{Sim, scenario};
use consensus::Block;
use ledger::Body;
use shards::Rng;
use shards::effect::Stop;
use shards::limits::{HORIZON_SYNC_BLOCKS, WORLDS_HARD};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |text: &str| text.parse::<u64>().expect("a number");
    if let Ok(one) = std::env::var("SIM_SEED") {
        return number(&one)..number(&one) + 1;
    }
    match std::env::var("SIM_SEEDS") {
        Ok(range) => {
            let (from, to) = range.split_once("..").expect("SIM_SEEDS=a..b");
            number(from)..number(to)
        }
        Err(_) => 0..usual,
    }
}

/// Runs a seed; the trace's hash, or what went wrong.
fn run(seed: u64) -> Result<u64, String> {
    caught(|| scenario::run(seed))
}

fn caught<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let panicked = |cause: Box<dyn std::any::Any + Send>| {
        let text = cause.downcast_ref::<String>().cloned();
        text.or(cause.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default()
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|cause| Err(panicked(cause)))
}

#[test]
fn every_seed_ends_at_the_best_tip_with_the_same_coins() {
    let failed: Vec<String> =
        seeds(200).filter_map(|seed| run(seed).err().map(|why| format!("seed {seed}: {why}"))).collect();
    for line in failed.iter().take(20) {
        eprintln!("{line}");
    }
    assert!(failed.is_empty(), "{} seeds failed, the first: {}", failed.len(), failed[0]);
}

#[test]
fn coins_are_made_again_from_checkpoints() {
    let (mut reads, mut rotten, seeds) = (0, 0, seeds(24));
    for seed in seeds.clone() {
        let restored = caught(|| scenario::run_late(seed)).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        reads += u64::from(restored.reads > 0);
        rotten += restored.rotten;
    }
    let enough = reads * 3 >= seeds.end - seeds.start && (rotten > 0 || seeds.end - seeds.start < 24);
    assert!(enough, "{reads} of {seeds:?} read checkpoints, {rotten} times one was damaged");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 1_000..1_006 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(1_000), run(1_001));
}

#[test]
fn the_disk_cut_at_every_write_and_sync_keeps_the_tip_last_reported() {
    let best = oracle(&deep().main);
    let fresh = |seed| Sim::new(seed, 1, vec![scenario::remote(0, scenario::honest(&deep().main))]);
    let mut whole = fresh(1);
    scenario::live(&mut whole, &best).unwrap();
    assert!(whole.disk_effects > 20, "{} writes and syncs are too few to mean much", whole.disk_effects);
    for cut in 1..=whole.disk_effects {
        let mut sim = fresh(1);
        sim.cut_at = Some(cut);
        scenario::live(&mut sim, &best).unwrap();
        let told = sim.tip;
        sim.restart(1);
        scenario::stands_again(&mut sim, deep(), told).unwrap_or_else(|why| panic!("cut at {cut}: {why}"));
    }
}

/// Asks for a decision, and lets the power go in the middle of it or not: once it was answered it holds, else it is asked
/// again, if it did not reach the disk. At the end the node stands at `best` with its coins.
fn decided(sim: &mut Sim, rng: &mut Rng, verb: &str, block: consensus::BlockHash, best: &Truth) -> Result<(), String> {
    let mut question = 100;
    let mut ask = |sim: &mut Sim| {
        question += 1;
        sim.answers.clear();
        sim.ask(question, &format!("{verb} {block}"));
    };
    let holds = |sim: &Sim| sim.by_hand().contains(&block) == (verb == "invalidate");
    let cores = [1, 2, 5];
    for cuts in (0..rng.below(3)).rev() {
        ask(sim);
        let turns = 1 << rng.below(14);
        (0..rng.below(turns)).for_each(|_| sim.turn());
        if !sim.answers.is_empty() && !holds(sim) {
            return Err(format!("{verb} was answered before it was durable: {:?}", sim.answers));
        }
        if cuts > 0 || rng.below(2) == 0 {
            sim.restart(cores[rng.below(3) as usize]);
        }
    }
    ask(sim);
    let answer = format!("tip is now {} at height {}", best.tip, best.height);
    for _ in 0..2_000_000 {
        // What lies on disk was answered for; what peers still have comes later.
        if sim.tip == best.tip && !sim.answers.is_empty() {
            break;
        }
        sim.turn();
    }
    let last = sim.answers.pop().ok_or_else(|| format!("{verb} was not answered: {}", sim.say()))?.1;
    if !holds(sim) || !last.starts_with("tip is now ") {
        return Err(format!("{last}, marked {:?}", sim.by_hand()));
    }
    scenario::live(sim, best)?;
    // Of two questions that were asked without a power cut between, the other's answer is still to come.
    (0..20_000).for_each(|_| sim.turn());
    sim.answers.clear();
    scenario::same_coins(sim, best)?;
    ask(sim);
    (0..20_000).for_each(|_| sim.turn());
    match sim.answers.pop() {
        Some((_, text)) if text == answer => Ok(()),
        other => Err(format!("asked once more: {other:?}, wanted {answer}")),
    }
}

/// A branch is invalidated by hand and let in again, near the tip and from below the root, with power cuts between.
#[test]
fn decisions_by_hand_hold_through_power_cuts() {
    let main = [oracle(&busy().main), oracle(&deep().main)];
    for seed in 0..36 {
        let mut rng = Rng(seed);
        // Where the best branch leaves the main one.
        let (all, main, fork): (&Chains, _, _) =
            if seed % 6 == 0 { (deep(), &main[1], 60) } else { (busy(), &main[0], 110) };
        let peers = [&all.rival, &all.main].map(scenario::honest);
        let peers = peers.into_iter().enumerate().map(|(index, peer)| scenario::remote(index, peer)).collect();
        let mut sim = Sim::new(rng.bits(), 1 + rng.below(3) as usize, peers);
        let mut story = || {
            scenario::live(&mut sim, &all.best)?;
            scenario::same_coins(&mut sim, &all.best)?;
            let block = all.rival[fork].hash;
            decided(&mut sim, &mut rng, "invalidate", block, main)?;
            decided(&mut sim, &mut rng, "reconsider", block, &all.best)
        };
        story().unwrap_or_else(|why: String| panic!("seed {seed}: {why}"));
    }
}

/// Bytes that blocks in flight may take where memory is short.
const WINDOW: u64 = 1 << 20;

/// The most bytes that worlds took on the way to the best tip, with this budget for them and a horizon below every fork;
/// the log of the run.
fn memory_of_worlds(seed: u64, budget: u64) -> (u64, Vec<String>) {
    let branches = [&deep().main, &deep().short, &deep().rival];
    let peers = branches.map(scenario::honest).into_iter().enumerate();
    let mut sim = Sim::new(seed, 1, peers.map(|(index, peer)| scenario::remote(index, peer)).collect());
    (sim.budget.worlds, sim.budget.window, sim.horizon) = (budget, WINDOW, 500);
    sim.restart(1);
    let (mut most, best) = (0, &deep().best);
    for _ in 0..3_000_000 {
        most = most.max(sim.report.as_ref().map_or(0, |report| report.worlds_bytes.0));
        if sim.tip == best.tip {
            break;
        }
        sim.turn();
    }
    scenario::live(&mut sim, best).unwrap();
    scenario::same_coins(&mut sim, best).unwrap_or_else(|why| panic!("seed {seed}, {budget} bytes: {why}"));
    (most, std::mem::take(&mut sim.log))
}

/// Three long branches at once, all of which fit the horizon and not the memory.
#[test]
fn worlds_of_long_forks_take_bounded_memory() {
    let dropped =
        |log: &[String]| log.iter().filter(|line| line.contains("are dropped; it lies in blocks.bin")).count();
    let branches = [&deep().main, &deep().short, &deep().rival];
    let memory = |blk: &Arc<Blk>| Body::new(Block::parse(blk.bytes.clone()).unwrap()).memory() as u64;
    let mut sizes: Vec<u64> = branches.into_iter().flatten().map(memory).collect();
    sizes.sort_unstable();
    // What no budget can take away: the short horizon, and the pipeline: half the window. An estimate is four times that.
    let floor = 4 * (WINDOW / 2 + sizes.iter().rev().take(HORIZON_SYNC_BLOCKS as usize + 1).sum::<u64>());
    let budget = 300_000;
    let bound = WORLDS_HARD * budget + floor;
    let mut over = 0;
    for seed in 0..10 {
        let (unbounded, log) = memory_of_worlds(seed, u64::MAX);
        assert_eq!(dropped(&log), 0);
        let (most, log) = memory_of_worlds(seed, budget);
        println!("seed {seed}: {unbounded} bytes at most without a bound, {most} with {budget}; {bound} are allowed");
        assert!(most <= bound, "seed {seed}: {most} bytes, {bound} are allowed");
        if unbounded > bound {
            over += 1;
            assert!(dropped(&log) > 0, "seed {seed}: a branch was dropped, and nobody told");
        }
    }
    assert!(over > 0, "the branches are too short to mean anything");
}

#[test]
fn blocks_are_given_up_and_coins_stay_the_same() {
    let (mut pruned, seeds) = (0, seeds(60));
    for seed in seeds.clone() {
        let up_to = caught(|| scenario::run_pruned(seed)).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        pruned += u64::from(up_to > 40);
    }
    assert!(pruned * 3 >= seeds.end - seeds.start, "only {pruned} of {seeds:?} pruned anything");
}

/// A node that has pruned more than half of its chain, which came in two parts, so that there are two checkpoints of each
/// partition; and then, perhaps, another branch comes.
fn pruned(rival: Option<&Branch>) -> Sim {
    let mut peer = scenario::honest(&deep().main[..150].to_vec());
    let mut other = peer.clone();
    peer.later = Some((300_000, deep().main.clone()));
    other.later = rival.map(|rival| (900_000, rival.clone()));
    let mut sim = Sim::new(5, 2, vec![scenario::remote(0, peer), scenario::remote(1, other)]);
    sim.policy.bandwidth = 1 << 28;
    (sim.horizon, sim.pruning) = (20, Some((4_096, 30)));
    sim.restart(2);
    for _ in 0..1_000_000 {
        if sim.report.as_ref().is_some_and(|report| report.pruned.0 > 115) || sim.stopped.is_some() {
            break;
        }
        sim.turn();
    }
    assert!(sim.stopped.is_none() && sim.report.as_ref().unwrap().pruned.0 > 115, "{}", sim.say());
    // Until the store has done what it was told.
    (0..5_000).for_each(|_| sim.turn());
    sim
}

/// Turns until the node stops; what it says.
fn stops(sim: &mut Sim) -> (Stop, String) {
    for _ in 0..2_000_000 {
        if let Some(stopped) = sim.stopped.take() {
            return stopped;
        }
        sim.turn();
    }
    panic!("it does not stop: {}", sim.say());
}

#[test]
fn a_pruned_node_whose_history_is_needed_says_so() {
    // A branch with more work from below what is kept.
    let mut sim = pruned(Some(&deep().rival));
    let (stop, line) = stops(&mut sim);
    assert_eq!(stop, Stop::Pruned);
    assert!(line.contains("was pruned") && line.contains("no checkpoint that lies on this branch"), "{line}");

    // One checkpoint of a partition is damaged, and then both.
    let mut sim = pruned(None);
    let heights: Vec<u32> = sim.checkpoints.files.keys().filter(|key| key.0 == 7).map(|key| key.1).collect();
    assert_eq!(heights.len(), 2);
    let rot = |sim: &mut Sim, height| *sim.checkpoints.files.get_mut(&(7, height)).unwrap().last_mut().unwrap() ^= 1;
    rot(&mut sim, heights[1]);
    let told = sim.tip;
    sim.restart(5);
    scenario::stands_again(&mut sim, deep(), told).unwrap();
    let mut sim = pruned(None);
    heights.iter().for_each(|height| rot(&mut sim, *height));
    sim.restart(1);
    let (stop, line) = stops(&mut sim);
    assert!(stop == Stop::Pruned && line.contains("partition 7 of the coins has no checkpoint"), "{line}");

    // Both copies of the block index.
    let mut sim = pruned(None);
    sim.spoil_index(2_000);
    sim.restart(1);
    let (stop, line) = stops(&mut sim);
    assert!(stop == Stop::HeadersLost && line.contains("the headers of pruned blocks"), "{line}");
}
