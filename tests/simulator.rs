//! The simulated node under drawn faults. `SIM_SEED=n` runs that one seed, `SIM_SEEDS=a..b` a range; `SIM_LOG=1` prints
//! the node's log.

use caesure_tests::sim::chains::{deep, oracle};
use caesure_tests::sim::{Sim, scenario};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn seeds() -> std::ops::Range<u64> {
    let number = |text: &str| text.parse::<u64>().expect("a number");
    if let Ok(one) = std::env::var("SIM_SEED") {
        return number(&one)..number(&one) + 1;
    }
    match std::env::var("SIM_SEEDS") {
        Ok(range) => {
            let (from, to) = range.split_once("..").expect("SIM_SEEDS=a..b");
            number(from)..number(to)
        }
        Err(_) => 0..200,
    }
}

/// Runs a seed; the trace's hash, or what went wrong.
fn run(seed: u64) -> Result<u64, String> {
    let panicked = |cause: Box<dyn std::any::Any + Send>| {
        let text = cause.downcast_ref::<String>().cloned();
        text.or(cause.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default()
    };
    catch_unwind(AssertUnwindSafe(|| scenario::run(seed))).unwrap_or_else(|cause| Err(panicked(cause)))
}

#[test]
fn every_seed_ends_at_the_best_tip_with_the_same_coins() {
    let failed: Vec<String> =
        seeds().filter_map(|seed| run(seed).err().map(|why| format!("seed {seed}: {why}"))).collect();
    for line in failed.iter().take(20) {
        eprintln!("{line}");
    }
    assert!(failed.is_empty(), "{} seeds failed, the first: {}", failed.len(), failed[0]);
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
