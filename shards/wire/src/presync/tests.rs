//! Chains of mined regtest headers, and the first 32,260 headers of the real chain, run through both passes.

use super::*;
use consensus::Network;
use std::io::Write as _;

const NOW: u64 = 1_700_000_000;

fn regtest() -> &'static Params {
    Params::of(Network::Regtest)
}

/// A regtest block is worth 2 hashes: its target is just below 2^255.
fn blocks_of_work(count: u64) -> Work {
    (0..count).fold(Work::default(), |sum, _| sum.saturating_add(work_of(0x207f_ffff)))
}

fn start(params: &Params) -> Start {
    let genesis = params.genesis;
    Start { hash: genesis.hash(), height: 0, work: work_of(genesis.bits), bits: genesis.bits, mtp: genesis.time }
}

/// `count` headers on `parent`, with proof of work; chains of different `mark` share nothing.
fn mine(parent: &Header, count: usize, mark: u8) -> Vec<Header> {
    let mut prev = parent.hash();
    let mut chain = Vec::with_capacity(count);
    for step in 1..=count as u32 {
        let time = parent.time + step;
        let mut header = Header { version: 4, prev, merkle_root: [mark; 32], time, bits: 0x207f_ffff, nonce: 0 };
        while !meets_target(&header.hash(), header.bits, regtest()) {
            header.nonce += 1;
        }
        prev = header.hash();
        chain.push(header);
    }
    chain
}

/// A peer that serves these headers, 2,000 at a time, after the locator it is given.
fn serve(chain: &[Header], from: BlockHash) -> (&[Header], bool) {
    let first = chain.iter().position(|header| header.prev == from).unwrap_or(chain.len());
    let batch = &chain[first..chain.len().min(first + BATCH_MAX)];
    (batch, batch.len() == BATCH_MAX)
}

/// Runs both passes; `second` is served once the first has ended. All headers stored, and how it ended.
fn run(presync: &mut Presync, first: &[Header], second: &[Header]) -> (Vec<Header>, Outcome) {
    let mut stored = Vec::new();
    loop {
        let chain = if presync.phase() == Phase::Presync { first } else { second };
        let (batch, full) = serve(chain, presync.locator());
        let was = presync.phase();
        let step = presync.headers(batch, full);
        assert_eq!(step.more, step.outcome == Outcome::Continue);
        assert!(step.store.is_empty() || was == Phase::Redownload);
        stored.extend(step.store);
        if !step.more {
            assert_eq!((presync.phase(), presync.memory_bytes()), (Phase::Final, 0));
            return (stored, step.outcome);
        }
    }
}

#[test]
fn an_honest_chain_is_stored_whole() {
    let chain = mine(&regtest().genesis, 9_000, 1);
    // Genesis and 8,500 more: reached within the last message, which is not full.
    let mut presync = Presync::new(regtest(), start(regtest()), blocks_of_work(8_501), [1, 2], NOW);
    for batch in 0..4 {
        assert_eq!((presync.phase(), presync.height()), (Phase::Presync, batch * 2_000));
        assert!(presync.headers(serve(&chain, presync.locator()).0, true).more);
    }
    assert!(presync.headers(serve(&chain, presync.locator()).0, false).more);
    assert_eq!((presync.phase(), presync.height(), presync.height_seen()), (Phase::Redownload, 0, 9_000));
    assert_eq!(presync.locator(), regtest().genesis_hash);
    let mut stored = Vec::new();
    for (batch, ready) in [0, 0, 0, 8_000 - 7_017].into_iter().enumerate() {
        let step = presync.headers(&chain[batch * 2_000..][..2_000], true);
        assert_eq!((step.store.len(), step.outcome), (ready, Outcome::Continue));
        stored.extend(step.store);
    }
    assert!(presync.memory_bytes() < 1_000_000);
    let step = presync.headers(&chain[8_000..], false);
    assert_eq!((step.more, step.outcome, presync.phase()), (false, Outcome::Done, Phase::Final));
    stored.extend(step.store);
    assert!(stored == chain);
}

#[test]
fn a_chain_that_grew_between_the_passes_is_stored() {
    let chain = mine(&regtest().genesis, 12_500, 1);
    let mut presync = Presync::new(regtest(), start(regtest()), blocks_of_work(7_901), [3, 4], NOW);
    let (stored, outcome) = run(&mut presync, &chain[..8_000], &chain);
    assert_eq!(outcome, Outcome::Done);
    // The work comes within the fourth message; everything that came by then is released.
    assert!(stored == chain[..8_000]);
}

#[test]
fn another_chain_in_the_second_pass_fails() {
    let chain = mine(&regtest().genesis, 9_000, 1);
    for fork in [0, 500, 4_000] {
        let parent = if fork == 0 { regtest().genesis } else { chain[fork - 1] };
        let mut other = chain[..fork].to_vec();
        other.extend(mine(&parent, 9_000 - fork, 2));
        for salt in 0..20 {
            let mut presync = Presync::new(regtest(), start(regtest()), blocks_of_work(8_901), [salt, salt * 77], NOW);
            let (stored, outcome) = run(&mut presync, &chain, &other);
            assert_eq!((stored.len(), outcome), (0, Outcome::Failed("not the headers of the first pass")));
        }
    }
}

#[test]
fn a_chain_withheld_in_the_second_pass_ends_short() {
    let chain = mine(&regtest().genesis, 9_000, 1);
    let mut presync = Presync::new(regtest(), start(regtest()), blocks_of_work(8_901), [5, 6], NOW);
    let (stored, outcome) = run(&mut presync, &chain, &chain[..8_500]);
    assert_eq!(outcome, Outcome::Short);
    assert!(stored == chain[..8_500 - 7_017]);
}

#[test]
fn low_work_is_never_stored() {
    let chain = mine(&regtest().genesis, 9_000, 1);
    // Genesis and 9,000 blocks have one block's work less than asked for.
    let mut presync = Presync::new(regtest(), start(regtest()), blocks_of_work(9_002), [7, 8], NOW);
    assert_eq!(run(&mut presync, &chain, &chain), (vec![], Outcome::Short));
    let mut presync = Presync::new(regtest(), start(regtest()), blocks_of_work(9_001), [7, 8], NOW);
    assert_eq!(run(&mut presync, &chain, &chain).1, Outcome::Done);
}

#[test]
fn more_headers_than_time_allows_fail() {
    // 2 hours at 6 blocks a second, a commitment every 275: 157.09.
    let params = regtest();
    let chain = mine(&params.genesis, 46_000, 1);
    let now = u64::from(params.genesis.time);
    let mut presync = Presync::new(params, start(params), blocks_of_work(1_000_000), [9, 10], now);
    let outcome = loop {
        let (batch, full) = serve(&chain, presync.locator());
        let step = presync.headers(batch, full);
        assert!(step.store.is_empty());
        if !step.more {
            break step.outcome;
        }
        assert!(presync.memory_bytes() <= 32, "157 bits are 3 words");
    };
    assert_eq!(outcome, Outcome::Failed("more headers than the time since the fork allows"));
    // The offset is the salt's 10: commitments at 10, 285, ... and the 158th is one too many.
    assert_eq!(presync.height(), 10 + 157 * 275);
    // A clock behind the fork allows none.
    let mut presync = Presync::new(params, start(params), blocks_of_work(1_000_000), [9, 10], now - 7_201);
    assert!(matches!(presync.headers(&chain[..2_000], true).outcome, Outcome::Failed(_)));
}

#[test]
fn five_million_headers_cost_four_kilobytes() {
    let mut commitments = Commitments::default();
    let bit = |index: u64| index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 1;
    for index in 0..5_000_000 / 275 {
        commitments.push(bit(index));
    }
    assert!(commitments.words.capacity() * 8 <= 4_096);
    for index in 0..5_000_000 / 275 {
        assert_eq!(commitments.pop(), Some(bit(index)));
    }
    assert_eq!(commitments.pop(), None);
}

#[test]
fn broken_headers_fail() {
    let chain = mine(&regtest().genesis, 20, 1);
    let fresh = || Presync::new(regtest(), start(regtest()), blocks_of_work(1_000), [1, 1], NOW);
    let fails = |batch: &[Header], why| {
        let mut presync = fresh();
        let step = presync.headers(batch, true);
        assert_eq!((step.more, step.outcome), (false, Outcome::Failed(why)));
        assert_eq!(presync.headers(&chain, true).outcome, Outcome::Failed("headers after the end of the sync"));
    };
    fails(&chain[1..], "headers do not connect");
    fails(&[chain[0], chain[1], chain[3]], "headers do not connect");
    let mut weak = chain[0];
    while meets_target(&weak.hash(), weak.bits, regtest()) {
        weak.nonce += 1;
    }
    fails(&[weak], "proof of work does not meet its target");
    assert_eq!(fresh().headers(&[], false).outcome, Outcome::Short);
    // Difficulty may not change at height 1 of the main chain, whatever the proof of work.
    let main = Params::of(Network::Main);
    let eager = Header { prev: main.genesis_hash, bits: 0x1c00_ffff, ..main.genesis };
    let step = Presync::new(main, start(main), blocks_of_work(1_000), [1, 1], NOW).headers(&[eager], false);
    assert_eq!(step.outcome, Outcome::Failed("difficulty changes faster than permitted"));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "real chain data is read from a file")]
fn the_real_chain_passes() {
    let data = std::env::var("CAESURE_DATA");
    let data = data.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").to_owned());
    let Ok(bytes) = std::fs::read(format!("{data}/headers/mainnet_headers.bin")) else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no {data}/headers/mainnet_headers.bin");
        return;
    };
    let (headers, rest) = bytes[4..].as_chunks::<80>();
    assert_eq!((headers.len(), rest.len()), (32_260, 0));
    let chain: Vec<Header> = headers.iter().map(Header::parse).collect();
    let main = Params::of(Network::Main);
    // The first retarget is at 32,256: up to there each block, genesis included, is worth 0x100010001 hashes.
    let min_work = (0..=32_000).fold(Work::default(), |sum, _| sum.saturating_add(work_of(0x1d00_ffff)));
    let mut presync = Presync::new(main, start(main), min_work, [11, 12], NOW);
    let (stored, outcome) = run(&mut presync, &chain, &chain);
    assert_eq!(outcome, Outcome::Done);
    assert!(stored == chain[..32_000]);
    // One block more, and the chain's short last message is needed.
    let more = min_work.saturating_add(work_of(0x1d00_ffff));
    let mut presync = Presync::new(main, start(main), more, [11, 12], NOW);
    assert!(run(&mut presync, &chain, &chain).0 == chain);
}
