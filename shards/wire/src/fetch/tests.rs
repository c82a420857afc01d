//! The window against simulated peers: slow, dead, lying, vanishing, corrupting; and each rule of it by itself.

mod sim;

use super::*;
use sim::{GOOD, Sim, SimPeer};
use std::collections::VecDeque;

/// Bytes of a block.
const BLOCK: u32 = 1_000;

fn limits() -> Limits {
    Limits { window: 64, per_peer_min: 2, per_peer_max: 16, stall_ms: 2_000, bytes_credit: 40_000_000 }
}

#[test]
fn healthy_peers_share_the_work_and_nothing_comes_twice() {
    let mut sim = Sim::new(limits(), &[GOOD, GOOD, GOOD, GOOD], 4_000);
    // Four peers at a block every 10 ms each: 10 s, and start-up.
    let took_ms = sim.run(13_000);
    assert!(took_ms >= 10_000);
    assert!(sim.asked.values().all(|times| *times == 1));
    assert!(sim.let_go.is_empty());
}

#[test]
fn everything_arrives_whatever_the_peers_do() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut sim = Sim::new(limits(), &[GOOD], 1_500);
        sim.seed = seed;
        sim.drop_one_in = 50;
        for id in 1..9 {
            let mut peer = GOOD;
            peer.latency_ms = sim.random() % 600;
            peer.block_ms = 1 + sim.random() % 60;
            match sim.random() % 7 {
                0 => peer.upto = (sim.random() % 1_500) as u32,
                1 => peer.silent_from_ms = sim.random() % 10_000,
                2 => peer.gone_from_ms = sim.random() % 10_000,
                3 => peer.denies = 1 + (sim.random() % 5) as u32,
                4 => peer.corrupts = 1 + (sim.random() % 5) as u32,
                5 => peer.block_ms = 3_000,
                _ => {}
            }
            sim.peers.insert(id, peer);
            sim.fetch.peer_up(id, 0);
        }
        sim.run(120_000);
        assert!(!sim.let_go.contains(&0), "the healthy peer was let go");
    }
}

#[test]
fn what_is_wanted_after_all_others_has_a_window_of_its_own() {
    let mut fetch = Fetch::new(limits());
    fetch.peer_up(1, 0);
    for block in 0..2 {
        fetch.want(block, 7 + block);
        fetch.want(100 + block, BEHIND + block);
    }
    let mut asked = Vec::new();
    // Nobody has the lowest of all.
    fetch.assign(0, &|_, block| block != 0, &mut asked);
    assert_eq!(asked.iter().map(|(_, block)| *block).collect::<Vec<_>>(), [1, 100]);
    // Far above what is missing there is nothing to be had yet, on either side.
    for height in [7 + 64, BEHIND + 64] {
        let mut fetch = Fetch::new(limits());
        fetch.peer_up(1, 0);
        fetch.want(1, height - 64);
        fetch.want(2, height);
        let mut asked = Vec::new();
        fetch.assign(0, &|_, _| true, &mut asked);
        assert_eq!(asked, [(1, 1)]);
    }
}

#[test]
fn the_same_calls_give_the_same_answers() {
    let run = || {
        let slow = SimPeer { block_ms: 900, ..GOOD };
        let mut sim = Sim::new(limits(), &[GOOD, slow.clone(), SimPeer { denies: 3, ..GOOD }, slow], 1_000);
        (sim.run(60_000), sim.asked, sim.doubled, sim.let_go)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_silent_peer_costs_one_patience_not_one_timeout() {
    let dead = SimPeer { silent_from_ms: 500, ..GOOD };
    let mut sim = Sim::new(limits(), &[GOOD, GOOD, dead], 1_500);
    // Two peers alone need 7.5 s. What the third took with it costs one patience, not its 30 s of silence, nor one each.
    sim.run(8_500);
    assert!((1..=2).contains(&sim.doubled));
    assert_eq!(sim.fetch.in_flight(2), 0);
}

#[test]
fn a_peer_that_goes_leaves_its_blocks_to_others_at_once() {
    let mut fetch = Fetch::new(limits());
    fetch.peer_up(7, 0);
    (0..2).for_each(|block| fetch.want(block, block));
    let mut asks = vec![];
    fetch.assign(0, &|_, _| true, &mut asks);
    assert_eq!(asks, [(7, 0), (7, 1)]);
    fetch.peer_up(8, 0);
    fetch.peer_down(7);
    asks.clear();
    fetch.assign(0, &|_, _| true, &mut asks);
    assert_eq!(asks, [(8, 0), (8, 1)]);
    assert_eq!(fetch.arrived(Some(7), 0, BLOCK, 1), Arrival::NotAsked);
    assert_eq!(fetch.arrived(Some(8), 0, BLOCK, 1), Arrival::Asked);
    assert_eq!(fetch.arrived(None, 0, BLOCK, 1), Arrival::Duplicate);
    assert_eq!(fetch.arrived(None, 1, BLOCK, 1), Arrival::Asked);
}

#[test]
fn the_lowest_block_is_asked_twice_while_others_wait_on_it() {
    let mut fetch = Fetch::new(limits());
    fetch.peer_up(1, 0);
    fetch.peer_up(2, 0);
    (0..4).for_each(|block| fetch.want(block, block));
    let mut asks = vec![];
    fetch.assign(0, &|_, _| true, &mut asks);
    assert_eq!(asks, [(1, 0), (2, 1), (1, 2), (2, 3)]);
    asks.clear();
    fetch.assign(1_900, &|_, _| true, &mut asks);
    assert!(asks.is_empty(), "nobody waits yet");
    assert_eq!(fetch.arrived(Some(2), 1, BLOCK, 1_900), Arrival::Asked);
    fetch.assign(1_900, &|_, _| true, &mut asks);
    assert_eq!(asks, [(2, 0)]);
    assert_eq!(fetch.asked_of(0), [(1, 0), (2, 1_900)]);
    assert_eq!(fetch.arrived(Some(2), 0, BLOCK, 2_100), Arrival::Asked);
    assert_eq!(fetch.in_flight(1), 0, "overtaken after a whole stall time-out, it loses the rest too");
    assert_eq!(fetch.arrived(Some(1), 0, BLOCK, 2_200), Arrival::Duplicate);
    assert_eq!(fetch.arrived(Some(1), 2, BLOCK, 2_200), Arrival::Asked, "late is still welcome");
}

#[test]
fn who_keeps_a_full_window_from_moving_is_let_go_as_in_core() {
    let mut fetch = Fetch::new(Limits { window: 2, ..limits() });
    (1..4).for_each(|peer| fetch.peer_up(peer, 0));
    (0..3).for_each(|block| fetch.want(block, block));
    // 1 and 2 hold the window; 3 waits from the start for the block behind it.
    let mut asks = vec![];
    fetch.assign(0, &|_, _| true, &mut asks);
    assert_eq!(asks, [(1, 0), (2, 1)]);
    assert_eq!(fetch.arrived(Some(2), 1, BLOCK, 100), Arrival::Asked);
    let mut at = |fetch: &mut Fetch, now_ms| {
        fetch.assign(now_ms, &|_, _| true, &mut asks);
        fetch.stalled(now_ms)
    };
    assert!(at(&mut fetch, 100).is_empty());
    assert!(at(&mut fetch, 1_990).is_empty());
    assert_eq!(at(&mut fetch, 2_000), [1], "2 s");
    fetch.peer_down(1);
    // The next holder was asked at 1,990; it is waited for from 2,100 on, and the time-out is 4 s now.
    assert!(at(&mut fetch, 2_100).is_empty());
    assert_eq!(fetch.asked_of(0), [(2, 1_990)]);
    assert!(at(&mut fetch, 6_090).is_empty());
    assert_eq!(at(&mut fetch, 6_100), [2]);
}

#[test]
fn a_peer_that_lacks_a_block_is_not_asked_for_it_again() {
    let mut fetch = Fetch::new(limits());
    fetch.peer_up(1, 0);
    fetch.want(5, 0);
    let mut asks = vec![];
    fetch.assign(0, &|_, _| true, &mut asks);
    fetch.not_found(1, 5);
    for now_ms in (0..100_000).step_by(100) {
        fetch.assign(now_ms, &|_, _| true, &mut asks);
    }
    assert_eq!(asks, [(1, 5)]);
    fetch.peer_up(2, 100_000);
    fetch.assign(100_000, &|_, _| true, &mut asks);
    assert_eq!(asks, [(1, 5), (2, 5)]);
    // Bad bytes: the same, and wanted again.
    assert_eq!(fetch.arrived(Some(2), 5, BLOCK, 100_100), Arrival::Asked);
    fetch.refused_from(2, 5);
    assert_eq!(fetch.lowest_missing(), Some(5));
    fetch.peer_up(3, 100_100);
    fetch.assign(100_100, &|_, _| true, &mut asks);
    assert_eq!(asks.last(), Some(&(3, 5)));
}

#[test]
fn what_a_peer_lacked_is_asked_once_it_has_it() {
    let mut fetch = Fetch::new(limits());
    fetch.peer_up(1, 0);
    fetch.want(0, 0);
    fetch.want(1, 1);
    let mut asks = vec![];
    fetch.assign(0, &|_, block| block == 0, &mut asks);
    fetch.assign(500, &|_, _| true, &mut asks);
    assert_eq!(asks, [(1, 0)]);
    fetch.assign(1_000, &|_, _| true, &mut asks);
    assert_eq!(asks, [(1, 0), (1, 1)]);
    let mut told = Fetch::new(limits());
    told.peer_up(1, 0);
    told.want(0, 0);
    told.want(1, 1);
    asks.clear();
    told.assign(0, &|_, block| block == 0, &mut asks);
    told.peer_news(1);
    told.assign(1, &|_, _| true, &mut asks);
    assert_eq!(asks, [(1, 0), (1, 1)]);
}

#[test]
fn the_only_peer_may_be_slower_than_every_timeout() {
    let mut sim = Sim::new(limits(), &[SimPeer { latency_ms: 0, block_ms: 45_000, ..GOOD }], 6);
    sim.run(6 * 45_000 + 200_000);
    assert!(sim.let_go.is_empty());
}

#[test]
fn a_peer_that_never_answers_is_let_go_even_if_it_is_the_only_one() {
    let mut sim = Sim::new(limits(), &[SimPeer { silent_from_ms: 0, ..GOOD }], 1);
    sim.ask();
    while sim.let_go.is_empty() {
        sim.step();
        assert!(sim.now_ms < 1_000_000);
    }
    // 30 s until it counts as silent, and two minutes more.
    assert_eq!(sim.now_ms, 30_000 + 120_000);
    sim.fetch.peer_up(1, sim.now_ms);
    sim.peers.insert(1, GOOD);
    let end_ms = sim.now_ms + 1_000;
    sim.run(end_ms);
}

#[test]
fn the_allowance_follows_the_speed() {
    let slow = SimPeer { block_ms: 800, ..GOOD };
    let mut sim = Sim::new(Limits { window: 1_000, ..limits() }, &[GOOD, slow], 4_000);
    sim.ask();
    assert_eq!((sim.fetch.allowance(0), sim.fetch.allowance(1)), (2, 2));
    (0..600).for_each(|_| sim.step());
    // Aimed at is 1 s in flight: 100 blocks of one, more than the most; 1.25 of the other, less than the least.
    assert_eq!((sim.fetch.allowance(0), sim.fetch.allowance(1)), (16, 2));
    let fast = sim.fetch.bytes_per_s(0);
    assert!((60_000..=130_000).contains(&fast), "{fast} instead of 100,000 bytes/s");
}

#[test]
fn credit_binds_all_but_the_lowest() {
    // Room for the reserve and six blocks of 1 MB beside it.
    let tight = Limits { bytes_credit: LOWEST_BLOCK_RESERVE_BYTES + 6_000_000, ..limits() };
    let late = SimPeer { latency_ms: 700, block_ms: 300, ..GOOD };
    let mut sim = Sim::new(tight.clone(), &[GOOD, late.clone(), GOOD], 300);
    sim.block_bytes = 1_000_000;
    sim.ask();
    while sim.next < sim.count {
        sim.step();
        assert!(sim.fetch.parked_bytes() + sim.fetch.in_flight * 1_000_000 <= tight.bytes_credit);
        assert!(sim.now_ms < 100_000);
    }
    // None at all: one block at a time, still to the end.
    let none = Limits { bytes_credit: 0, ..limits() };
    let mut sim = Sim::new(none, &[late, GOOD], 30);
    sim.run(100_000);
}

#[test]
fn without_credit_what_waits_for_nothing_else_is_asked_whatever_others_do() {
    let mut fetch = Fetch::new(Limits { bytes_credit: 0, ..limits() });
    (1..4).for_each(|peer| fetch.peer_up(peer, 0));
    (5..9).for_each(|block| fetch.want(block, block));
    // Nobody has the lowest; one peer has what may come next, and keeps it back; the other branch is with another.
    fetch.hurry(vec![5, 6, 8]);
    let has = |peer: PeerId, block| match block {
        5 => false,
        8 => peer > 1,
        _ => peer == 1,
    };
    let mut asks = vec![];
    fetch.assign(0, &has, &mut asks);
    assert_eq!(asks, [(1, 6), (2, 8)], "7 would wait here for 6");
    fetch.assign(10, &has, &mut asks);
    assert_eq!(asks.len(), 2, "once");
    // So is the second try.
    fetch.assign(2 * limits().stall_ms, &has, &mut asks);
    assert_eq!(asks[2..], [(3, 8)]);
    // And what came is not asked for again, though it may be some time until the caller names the next.
    assert_eq!(fetch.arrived(Some(2), 8, BLOCK, 5_000), Arrival::Asked);
    fetch.assign(10_000, &has, &mut asks);
    assert_eq!(asks.len(), 3);
}

#[test]
fn a_peer_that_lacks_everything_is_not_asked_about_everything_again() {
    let mut fetch = Fetch::new(Limits { window: 100, ..limits() });
    fetch.peer_up(1, 0);
    fetch.peer_up(2, 0);
    (0..1_000).for_each(|block| fetch.want(block, block));
    let calls = std::cell::Cell::new(0);
    let has = |peer, _| {
        calls.set(calls.get() + 1);
        peer == 1
    };
    let mut line = VecDeque::new();
    for now_ms in 0..900 {
        let mut asks = vec![];
        fetch.assign(now_ms, &has, &mut asks);
        line.extend(asks);
        let (peer, block) = line.pop_front().expect("one peer has it");
        assert_eq!(fetch.arrived(Some(peer), block, BLOCK, now_ms), Arrival::Asked);
        fetch.forget(block);
    }
    // Once per block and peer, and once per call for the block behind the window: not a hundred times per call.
    assert!(calls.get() <= 2 * 1_000 + 2 * 900, "{} calls", calls.get());
}
