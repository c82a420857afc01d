//! The simulated node under drawn faults: a quick set of seeds, which must be clean, and planted bugs, which must be found.
//! `cargo sim` runs more of both.

use caesure_tests::sim::chains::{Blk, Branch, Chains, busy, deep, oracle};
use caesure_tests::sim::planted::Planted;
use caesure_tests::sim::scenario::{self, Ran};
use caesure_tests::sim::{Down, Sim};
use consensus::Block;
use ledger::{Body, Seed};
use shards::Rng;
use shards::effect::Stop;
use shards::limits::{HORIZON_SYNC_BLOCKS, WORLDS_HARD};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Runs a seed; what came of it, or what went wrong.
fn run(seed: u64, planted: Option<Planted>) -> Result<Ran, String> {
    let panicked = |cause: Box<dyn std::any::Any + Send>| {
        let text = cause.downcast_ref::<String>().cloned();
        text.or(cause.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default()
    };
    catch_unwind(AssertUnwindSafe(|| scenario::run(seed, planted, false))).unwrap_or_else(|cause| Err(panicked(cause)))
}

#[test]
fn every_seed_ends_at_the_best_tip_with_the_same_coins() {
    let (mut reads, mut pruned, mut struck) = (0, 0, std::collections::BTreeMap::new());
    for seed in 0..120 {
        let ran = run(seed, None).unwrap_or_else(|why| panic!("to repeat it: cargo sim -- --seed {seed} --log\n{why}"));
        reads += ran.reads;
        pruned += ran.pruned;
        ran.faults.each().iter().for_each(|(name, fault)| *struck.entry(*name).or_insert(0) += fault.struck);
    }
    // A power cut seldom falls between a rename, or a hole, and its sync; few blocks are read, and few decisions made, while all may
    // go wrong.
    let seldom = ["failed_keep", "failed_read", "lost_checkpoint", "lost_punch", "lost_refusal"];
    let never: Vec<_> = struck.iter().filter(|(name, times)| **times == 0 && !seldom.contains(*name)).collect();
    assert!(never.is_empty(), "these never struck: {never:?}");
    assert!(reads > 0 && pruned > 0, "{reads} pieces of checkpoints were read, {pruned} blocks pruned");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| run(seed, None).unwrap().trace;
    for seed in 1_000..1_006 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
    assert_ne!(trace(1_000), trace(1_001));
}

#[test]
fn planted_bugs_are_found() {
    for (bug, what) in Planted::ALL {
        let found = (0..1_000).any(|seed| run(seed, Some(*bug)).is_err() && run(seed, None).is_ok());
        assert!(found, "nobody noticed{what}");
    }
}

#[test]
fn the_disk_cut_at_every_write_and_sync_keeps_the_tip_last_reported() {
    let best = oracle(&deep().main);
    let fresh = |seed| Sim::new(seed, 1, deep(), vec![scenario::remote(0, scenario::honest(&deep().main))]);
    let mut whole = fresh(1);
    scenario::live(&mut whole, &best).unwrap();
    assert!(whole.disk_effects > 20, "{} writes and syncs are too few to mean much", whole.disk_effects);
    for cut in 1..=whole.disk_effects {
        for down in [Down::Power, Down::Killed] {
            let mut sim = fresh(1);
            sim.cut_at = Some((cut, down));
            scenario::live(&mut sim, &best).unwrap();
            let told = sim.tip;
            sim.restart(1);
            scenario::stands_again(&mut sim, told).unwrap_or_else(|why| panic!("{down:?} at {cut}: {why}"));
        }
    }
}

/// A branch is invalidated by hand and let in again, near the tip and from below the root, with power cuts between.
#[test]
fn decisions_by_hand_hold_through_power_cuts() {
    for seed in 0..36 {
        let mut rng = Rng(seed);
        // Where the best branch leaves the main one.
        let (all, fork): (&'static Chains, _) = if seed % 6 == 0 { (deep(), 60) } else { (busy(), 110) };
        let peers = [&all.rival, &all.main].map(scenario::honest);
        let peers = peers.into_iter().enumerate().map(|(index, peer)| scenario::remote(index, peer)).collect();
        let mut sim = Sim::new(rng.bits(), 1 + rng.below(3) as usize, all, peers);
        let mut story = || {
            scenario::live(&mut sim, &all.best)?;
            scenario::same_coins(&mut sim, &all.best)?;
            let block = all.rival[fork].hash;
            sim.by_hand_from_now_on();
            scenario::decided(&mut sim, &mut rng, "invalidate", block, &all.second)?;
            scenario::decided(&mut sim, &mut rng, "reconsider", block, &all.best)
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
    let mut sim = Sim::new(seed, 1, deep(), peers.map(|(index, peer)| scenario::remote(index, peer)).collect());
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
    let memory = |blk: &Arc<Blk>| Body::new(Block::parse(blk.bytes.clone()).unwrap(), Seed::new(1)).memory() as u64;
    let mut sizes: Vec<u64> = branches.into_iter().flatten().map(memory).collect();
    sizes.sort_unstable();
    // What no budget can take away: the short horizon, and the pipeline: half the window. An estimate is three times that.
    let floor = 3 * (WINDOW / 2 + sizes.iter().rev().take(HORIZON_SYNC_BLOCKS as usize + 1).sum::<u64>());
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
    let mut seeds = (0..).map(|seed| run(seed, None).unwrap_or_else(|why| panic!("seed {seed}: {why}")));
    let pruning = seeds.by_ref().filter(|ran| ran.options.iter().any(|name| name == "pruning"));
    let many = pruning.take(40).filter(|ran| ran.pruned > 40).count();
    assert!(many > 13, "only {many} of 40 pruned anything");
}

/// A node that has pruned more than half of its chain, which came in two parts, so that there are two checkpoints of each
/// partition; and then, perhaps, another branch comes.
fn pruned(rival: Option<&Branch>) -> Sim {
    let mut peer = scenario::honest(&deep().main[..150].to_vec());
    let mut other = peer.clone();
    peer.later.push_back((300_000, deep().main.clone()));
    other.later.extend(rival.map(|rival| (900_000, rival.clone())));
    let mut sim = Sim::new(5, 2, deep(), vec![scenario::remote(0, peer), scenario::remote(1, other)]);
    sim.policy.bandwidth = 1 << 28;
    (sim.horizon, sim.pruning) = (20, Some((4_096, 30)));
    sim.restart(2);
    for _ in 0..1_000_000 {
        if sim.report.as_ref().is_some_and(|report| report.pruned.0 > 115) {
            break;
        }
        sim.turn();
    }
    assert!(sim.report.as_ref().unwrap().pruned.0 > 115, "{}", sim.say());
    // Until the store has done what it was told.
    (0..5_000).for_each(|_| sim.turn());
    sim
}

/// Turns until the node stops, as it must; what it says.
fn stops(sim: &mut Sim, why: Stop) -> String {
    for _ in 0..2_000_000 {
        if sim.down == Some(Down::Stopped(why)) {
            return std::mem::take(&mut sim.last_words);
        }
        sim.turn();
    }
    panic!("it does not stop: {}", sim.say());
}

#[test]
fn a_pruned_node_whose_history_is_needed_says_so() {
    // A branch with more work from below what is kept.
    let mut sim = pruned(Some(&deep().rival));
    sim.may_stop = Some(Stop::Pruned);
    let line = stops(&mut sim, Stop::Pruned);
    assert!(line.contains("was pruned") && line.contains("no checkpoint that lies on this branch"), "{line}");

    // One checkpoint of a partition is damaged, and then both.
    let mut sim = pruned(None);
    let heights: Vec<u32> = sim.checkpoints.files.keys().filter(|key| key.0 == 7).map(|key| key.1).collect();
    assert_eq!(heights.len(), 2);
    sim.checkpoints.rot(7, heights[1]);
    let told = sim.tip;
    sim.restart(5);
    scenario::stands_again(&mut sim, told).unwrap();
    let mut sim = pruned(None);
    heights.iter().for_each(|height| sim.checkpoints.rot(7, *height));
    sim.may_stop = Some(Stop::Pruned);
    sim.restart(1);
    let line = stops(&mut sim, Stop::Pruned);
    assert!(line.contains("partition 7 of the coins has no checkpoint"), "{line}");

    // Both copies of the block index.
    let mut sim = pruned(None);
    sim.spoil_index(2_000);
    sim.may_stop = Some(Stop::HeadersLost);
    sim.restart(1);
    let line = stops(&mut sim, Stop::HeadersLost);
    assert!(line.contains("the headers of pruned blocks"), "{line}");
}

#[test]
fn a_false_snapshot_stops_the_node() {
    for seed in 0..4 {
        let mut sim = Sim::new(seed, 2, deep(), vec![scenario::remote(0, scenario::honest(&deep().rival))]);
        sim.load_snapshot(&deep().rival, 150, true);
        sim.may_stop = Some(Stop::Snapshot);
        sim.restart(2);
        let line = stops(&mut sim, Stop::Snapshot);
        assert!(line.contains("the snapshot is false"), "{line}");
    }
}
