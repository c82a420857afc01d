//! A chain shard by itself: above what no root goes.

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
fn no_root_is_above_a_block_that_is_not_durable() {
    let mut chain = stored(5);
    assert_eq!(chain.durable_up_to(4, 0), 4);
    // It was damaged on disk, and came again.
    chain.life_mut(3).stored = Stored::Appending;
    assert_eq!(chain.durable_up_to(5, 0), 2);
    assert_eq!(chain.durable_up_to(5, 3), 5, "the root is believed");
    assert_eq!(chain.durable_up_to(1, 3), 1, "below the root there is nothing to walk");
}
