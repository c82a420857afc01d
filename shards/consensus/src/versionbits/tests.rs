//! Decides whether deployments change state at the block they should, from the rules of BIP9 and by a naive machine that
//! walks a chain upwards once.

use super::State::{Active, Defined, Failed, LockedIn, Started};
use super::*;
use std::collections::BTreeMap;

/// Ten blocks a period, of which eight must signal.
const TEST: Deployment =
    Deployment { name: "test", bit: 3, start: 1_000, timeout: 2_000, min_height: 0, period: 10, threshold: 8 };
const SIGNAL: i32 = 0x2000_0008;
const SILENT: i32 = 0x2000_0000;

/// Times and versions by height, and what was learnt.
#[derive(Clone, Default)]
struct Chain {
    blocks: Vec<(u32, i32)>,
    learnt: BTreeMap<u32, State>,
}

impl Past for Chain {
    fn median_time(&self, height: u32) -> u32 {
        let below = &self.blocks[..=height as usize];
        let mut times: Vec<u32> = below.iter().rev().take(11).map(|block| block.0).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    fn version(&self, height: u32) -> i32 {
        self.blocks[height as usize].1
    }

    fn known(&self, end: u32) -> Option<State> {
        self.learnt.get(&end).copied()
    }

    fn learn(&mut self, end: u32, state: State) {
        self.learnt.insert(end, state);
    }
}

impl Chain {
    /// Adds blocks of that time and version.
    fn mine(mut self, count: usize, time: u32, version: i32) -> Chain {
        self.blocks.extend(std::iter::repeat_n((time, version), count));
        self
    }

    /// The state of the next block, and since when.
    fn next(&mut self, deployment: &Deployment) -> (State, u32) {
        let height = self.blocks.len() as u32;
        let fresh = deployment.state(height, &mut Chain { learnt: BTreeMap::new(), ..self.clone() });
        let state = deployment.state(height, self);
        assert_eq!(state, fresh, "at {height}, what was learnt against nothing learnt");
        (state, deployment.since(height, self))
    }
}

#[test]
fn a_signal_is_a_bit_below_001() {
    for (version, signals) in [
        (SIGNAL, true),
        (SILENT, false),
        (0x3fff_ffff, true),
        (0x0000_0008, false),
        (0x6000_0008, false),
        (0x4000_0008, false),
        (-1, false),
        (i32::MIN + 8, false),
    ] {
        assert_eq!(TEST.signals(version), signals, "{version:#x}");
    }
}

/// From the genesis block to the end, with the last block of one state and the first of the next.
#[test]
fn each_state_begins_with_a_period() {
    let mut chain = Chain::default();
    assert_eq!(chain.next(&TEST), (Defined, 0), "the genesis block");
    // Signals before the start are nothing.
    chain = chain.mine(9, 999, SIGNAL);
    assert_eq!(chain.next(&TEST), (Defined, 0));
    chain = chain.mine(1, 5_000, SIGNAL);
    assert_eq!(chain.next(&TEST), (Defined, 0), "the median time past is still 999");
    chain = chain.mine(9, 1_000, SILENT);
    assert_eq!(chain.next(&TEST), (Defined, 0), "time is up, the period is not");
    chain = chain.mine(1, 1_000, SILENT);
    assert_eq!(chain.next(&TEST), (Started, 20));
    // Seven signals are too few.
    chain = chain.mine(7, 1_500, SIGNAL).mine(3, 1_500, SILENT);
    assert_eq!(chain.next(&TEST), (Started, 20));
    // Eight will do, once the period is over; nine in a row that cross its end would not.
    chain = chain.mine(2, 1_500, SILENT).mine(7, 1_500, SIGNAL);
    assert_eq!(chain.next(&TEST), (Started, 20));
    chain = chain.mine(1, 1_500, SIGNAL);
    assert_eq!(chain.next(&TEST), (LockedIn, 40));
    // From here on neither signals nor the timeout matter.
    chain = chain.mine(9, 9_000, SILENT);
    assert_eq!(chain.next(&TEST), (LockedIn, 40));
    chain = chain.mine(1, 9_000, SILENT);
    assert_eq!(chain.next(&TEST), (Active, 50));
    chain = chain.mine(95, 9_000, SILENT);
    assert_eq!(chain.next(&TEST), (Active, 50));
}

#[test]
fn lock_in_comes_before_the_timeout_and_the_start_before_both() {
    let started = Chain::default().mine(20, 1_000, SILENT);
    // Enough signals in the very period that ends too late.
    assert_eq!(started.clone().mine(8, 2_000, SIGNAL).mine(2, 2_000, SILENT).next(&TEST), (LockedIn, 30));
    assert_eq!(started.clone().mine(7, 2_000, SIGNAL).mine(3, 2_000, SILENT).next(&TEST), (Failed, 30));
    assert_eq!(started.clone().mine(10, 1_999, SILENT).next(&TEST), (Started, 10), "a second before");
    // Failed is the end of it.
    assert_eq!(started.mine(10, 2_000, SILENT).mine(40, 2_000, SIGNAL).next(&TEST), (Failed, 30));
    // A chain that jumps past both still has one period to signal in.
    let late = Chain::default().mine(10, 3_000, SIGNAL);
    assert_eq!(late.clone().next(&TEST), (Started, 10));
    assert_eq!(late.clone().mine(10, 3_000, SIGNAL).next(&TEST), (LockedIn, 20));
    assert_eq!(late.mine(10, 3_000, SILENT).next(&TEST), (Failed, 20));
}

#[test]
fn activation_waits_for_its_height_and_then_for_a_period() {
    let locked = || Chain::default().mine(10, 1_000, SILENT).mine(10, 1_000, SIGNAL);
    for (min_height, active) in [(0, 30), (30, 30), (31, 40), (40, 40), (41, 50)] {
        let deployment = Deployment { min_height, ..TEST };
        let mut chain = locked();
        while chain.blocks.len() < active as usize {
            assert_eq!(chain.next(&deployment), (LockedIn, 20), "{min_height} at {}", chain.blocks.len());
            chain = chain.mine(1, 1_000, SILENT);
        }
        assert_eq!(chain.next(&deployment), (Active, active), "{min_height}");
    }
    // A minimum does not put off failure.
    let deployment = Deployment { min_height: 1_000, ..TEST };
    assert_eq!(Chain::default().mine(20, 2_000, SILENT).next(&deployment), (Failed, 20));
}

#[test]
fn always_and_never_ask_nobody() {
    struct Nobody;
    impl Past for Nobody {
        fn median_time(&self, _: u32) -> u32 {
            panic!("asked for a time")
        }
        fn version(&self, _: u32) -> i32 {
            panic!("asked for a version")
        }
    }
    let (always, never) = (Deployment::ALWAYS_ACTIVE, Deployment::NEVER_ACTIVE);
    for (start, state) in [(always, Active), (never, Failed)] {
        let deployment = Deployment { start, ..TEST };
        for height in [0, 9, 10, 2_000_000] {
            assert_eq!((deployment.state(height, &mut Nobody), deployment.since(height, &mut Nobody)), (state, 0));
            assert_eq!(deployment.signals_at(height, &mut Nobody), None);
        }
    }
    // Any other time before 1970 is a time: the first period is defined, the second has started.
    assert_eq!(Chain::default().mine(10, 0, SILENT).next(&Deployment { start: -3, ..TEST }), (Started, 10));
}

#[test]
fn signals_are_counted_while_they_are_looked_at() {
    let mut chain = Chain::default().mine(10, 1_000, SIGNAL).mine(10, 1_000, SILENT);
    chain = chain.mine(1, 1_000, SILENT).mine(4, 1_000, SIGNAL).mine(2, 1_000, SILENT).mine(3, 1_000, SIGNAL);
    chain = chain.mine(10, 1_000, SIGNAL).mine(4, 1_000, SIGNAL).mine(16, 1_000, SIGNAL);
    let mut at = |height| TEST.signals_at(height, &mut chain).map(|s| (s.elapsed, s.count, s.possible));
    assert_eq!(at(9), None, "not started");
    assert_eq!(at(11), Some((2, 0, true)));
    assert_eq!(at(12), Some((3, 0, false)), "three that do not signal are one too many");
    assert_eq!(at(20), Some((1, 0, true)));
    assert_eq!(at(25), Some((6, 4, true)));
    assert_eq!(at(26), Some((7, 4, false)));
    assert_eq!(at(29), Some((10, 7, false)));
    assert_eq!(at(39), Some((10, 10, true)), "the period that locks it in");
    assert_eq!(at(43), Some((4, 4, false)), "locked in: signals are counted, nothing depends on them");
    assert_eq!(at(50), None, "active");
}

/// The same machine, walking upwards, a block at a time.
fn naive(deployment: &Deployment, chain: &Chain) -> Vec<State> {
    let (mut state, mut count, mut states) = (Defined, 0, vec![Defined]);
    for height in 0..chain.blocks.len() as u32 {
        count += u32::from(deployment.signals(chain.version(height)));
        if (height + 1) % deployment.period == 0 {
            let time = i64::from(chain.median_time(height));
            state = match state {
                Defined if time >= deployment.start => Started,
                Started if count >= deployment.threshold => LockedIn,
                Started if time >= deployment.timeout => Failed,
                LockedIn if height + 1 >= deployment.min_height => Active,
                same => same,
            };
            count = 0;
        }
        states.push(state);
    }
    states
}

#[test]
fn random_chains_walk_as_the_naive_machine_does() {
    let (mut seed, mut seen) = (7u64, BTreeMap::new());
    let mut below = |limit: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % limit
    };
    for _ in 0..300 {
        let period = 1 + below(12) as u32;
        let threshold = 1 + below(u64::from(period)) as u32;
        let start = below(400) as i64;
        let deployment = Deployment {
            start,
            timeout: start + below(300) as i64,
            min_height: below(90) as u32,
            period,
            threshold,
            ..TEST
        };
        let (mut chain, mut time, willing) = (Chain::default(), 0, 40 + below(60));
        for _ in 0..120 {
            time += below(12) as u32;
            chain = chain.mine(1, time, if below(100) < willing { SIGNAL } else { SILENT });
        }
        let states = naive(&deployment, &chain);
        // In any order: what is learnt at one height must not be wrong at another.
        for _ in 0..60 {
            let height = below(121) as usize;
            assert_eq!(deployment.state(height as u32, &mut chain), states[height], "{deployment:?} at {height}");
            let first = (0..=height).rev().take_while(|at| states[*at] == states[height]).last().unwrap();
            assert_eq!(deployment.since(height as u32, &mut chain) as usize, first, "{deployment:?} at {height}");
            *seen.entry(states[height].name()).or_insert(0) += 1;
        }
    }
    assert!(seen.len() == 5 && seen.values().all(|count| *count > 500), "{seen:?}");
}
