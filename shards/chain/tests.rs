//! A chain shard by itself: what it wants again, and above what no root goes.

use super::obtain::Target;
use super::*;
use consensus::{Header, Network};

/// It knows this many blocks above genesis, of which node and height are the same number; all lie in blocks.bin.
fn stored(blocks: u32) -> Chain {
    let config = Config {
        params: Params::of(Network::Regtest),
        workers: 1,
        min_work: Work::ZERO,
        assume_valid: None,
        budget: Budget::split(256 << 20).unwrap(),
        horizon: 100,
        refused: Vec::new(),
        checkpoints: Vec::new(),
        snapshot: None,
        invalidated: Vec::new(),
        pruning: Pruning::default(),
        offline: false,
        look: false,
        audit: None,
    };
    let mut chain = Chain::new(config);
    for node in 1..=blocks {
        let prev = chain.tree.node(node - 1).hash;
        let header = Header { version: 4, prev, merkle_root: [0; 32], time: node, bits: 0x207f_ffff, nonce: node };
        chain.tree.insert(node - 1, header, header.hash());
        let place = Some(Place { file: 0, at: u64::from(node) * 100, len: 80 });
        chain.lives.push(Life { place, stored: Stored::Durable, ..UNBORN });
    }
    chain.best = blocks;
    chain
}

#[test]
fn what_was_let_go_is_wanted_again_once_all_below_it_is_in_hand() {
    let mut chain = stored(4);
    // All were asked for; 2, 3 and 4 were let go while there was no room for them.
    chain.obtain.to_load.insert((1, 1));
    let all = Target { leaf: 4, in_hand: 0, asked: 4, own: false };
    let waits = chain.walk(all);
    assert_eq!((waits.asked, chain.obtain.to_load.len()), (4, 1), "the next is under way");
    chain.obtain.to_load.clear();
    chain.worlds.insert(1, World::root(1, 1, Side::Tip));
    chain.life_mut(1).world = Some(1);
    let moved = chain.walk(waits);
    assert_eq!((moved.in_hand, moved.asked), (1, 4));
    assert_eq!(chain.obtain.to_load, BTreeSet::from([(2, 2), (3, 3), (4, 4)]));
}

#[test]
fn no_root_is_above_a_block_that_is_not_durable() {
    let mut chain = stored(5);
    assert_eq!(chain.durable_up_to(4, 0), 4);
    // It was damaged on disk, and came again.
    chain.life_mut(3).stored = Stored::Appending;
    assert_eq!(chain.durable_up_to(5, 0), 2);
    assert_eq!(chain.durable_up_to(5, 3), 5, "the root is believed");
    assert_eq!(chain.durable_up_to(1, 3), 1, "below the root there is nothing to walk");
}
