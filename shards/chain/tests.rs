//! A chain shard by itself: what it wants again, above what no root goes, where lanes decide, whose checkpoints count.

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
        lanes: crate::prover::Mode::Off,
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

#[test]
fn lanes_decide_on_what_a_hundred_headers_lie_above() {
    use crate::prover::{Curve, Mode};
    let mut chain = stored(150);
    let curves = |chain: &Chain| [0, 49, 50, 51, 150].map(|node| chain.curve_of(node));
    let (by_lanes, by_libsecp) = (Curve::Lanes, Curve::Libsecp);
    assert_eq!(curves(&chain), [by_libsecp; 5], "there are none");
    chain.config.lanes = Mode::Auto;
    assert_eq!(curves(&chain), [by_lanes, by_lanes, by_lanes, by_libsecp, by_libsecp]);
    // A rival of the best chain's own work is nobody's to believe.
    let rival = chain.tree.node(10).hash;
    let header = Header { version: 4, prev: rival, merkle_root: [1; 32], time: 11, bits: 0x207f_ffff, nonce: 7 };
    let rival = chain.tree.insert(10, header, header.hash());
    chain.lives.push(UNBORN);
    assert_eq!((chain.curve_of(rival), chain.curve_of(11)), (by_libsecp, by_lanes));
    chain.config.min_work = chain.tree.node(150).work.wrapping_mul_u32(2);
    assert_eq!(curves(&chain), [by_libsecp; 5], "the chain has less work than a chain must have");
    chain.config.lanes = Mode::All;
    assert_eq!(curves(&chain), [by_lanes; 5]);
    chain.config.lanes = Mode::Check;
    assert_eq!(curves(&chain), [Curve::Both; 5]);
}

/// Word of a checkpoint that was under way when its history ended: the folder it lies in goes, and the tip's own stay as they are.
#[test]
fn checkpoints_of_a_history_that_has_ended_are_nobodys() {
    let mut chain = stored(50);
    let block = |chain: &Chain, node: u32| (node, chain.tree.node(node).hash);
    for node in [20, 40] {
        chain.checkpointed(Side::Tip, 7, 0, block(&chain, node), &[20, 40]);
    }
    let heights = |chain: &Chain| chain.restore(Side::Tip).files[7].keys().copied().collect::<Vec<u32>>();
    chain.checkpointed(Side::History, 7, 0, block(&chain, 10), &[5, 10]);
    assert_eq!(heights(&chain), [20, 40]);
    chain.checkpointed(Side::Tip, 7, 0, block(&chain, 45), &[40, 45]);
    assert_eq!(heights(&chain), [40, 45]);
    // Before it begins, while a snapshot waits for its headers, the only coins are the history's.
    chain.snapshot = Some(Snapshot { height: 49, block: BlockHash([1; 32]), digests: vec![], checkpoints: vec![] });
    chain.checkpointed(Side::History, 7, 0, block(&chain, 48), &[45, 48]);
    assert_eq!(heights(&chain), [45, 48]);
}

/// A block took a coin that the bases do not have: what was written of them is not believed, nor what is still being written.
#[test]
fn checkpoints_of_bases_that_lacked_coins_are_not_believed() {
    let mut chain = stored(50);
    let mut cx = Cx::new(0);
    chain.restore.leaf = 50;
    let block = |chain: &Chain, node: u32| (node, chain.tree.node(node).hash);
    let before = chain.next_world;
    chain.checkpointed(Side::Tip, 7, 0, block(&chain, 20), &[20]);
    chain.lacks_coins(30, 1, &mut cx);
    chain.checkpointed(Side::Tip, 7, 0, block(&chain, 30), &[20, 30]);
    let good = |chain: &Chain| -> Vec<(u32, bool)> {
        chain.restore(Side::Tip).files[7].iter().map(|(height, (_, good))| (*height, *good)).collect()
    };
    assert_eq!(good(&chain), [(20, false), (30, false)]);
    // Those of the bases that are made anew are.
    assert!(chain.next_world > before);
    chain.checkpointed(Side::Tip, 7, before, block(&chain, 40), &[20, 30, 40]);
    assert_eq!(good(&chain), [(20, false), (30, false), (40, true)]);
    // One that cannot be read is not; but another that was put in its place meanwhile is.
    let root = chain.restore.root;
    let damaged = |block| Err((7, (40, block), String::new()));
    chain.restored(root, damaged(BlockHash([9; 32])), &mut cx);
    assert!(good(&chain)[2].1);
    let root = chain.restore.root;
    chain.restored(root, damaged(block(&chain, 40).1), &mut cx);
    assert!(!good(&chain)[2].1);
}

/// Two blocks come in one message, and the clock ticks between their verdicts: peers could not place the second alone.
#[test]
fn what_is_just_short_of_the_best_header_is_announced_with_it() {
    let mut chain = stored(60);
    let prev = chain.tree.node(44).hash;
    let header = Header { version: 4, prev, merkle_root: [1; 32], time: 45, bits: 0x207f_ffff, nonce: 7 };
    let rival = chain.tree.insert(44, header, header.hash());
    chain.lives.push(UNBORN);
    let mut told = |tip: NodeId, best: NodeId| {
        let mut cx = Cx::new(0);
        (chain.tip, chain.best) = (tip, best);
        chain.tick_tip(&mut cx);
        let word = cx.words.pop().map(|(_, word)| word);
        word.map(|word| match word {
            Msg::TipMoved { height, headers, fresh: true } => {
                (height, headers.iter().map(|header| header.time).collect())
            }
            Msg::TipMoved { height, fresh: false, .. } => (height, Vec::new()),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(told(39, 48), Some((39, vec![])), "a sync");
    assert_eq!(told(40, 48), Some((40, vec![])));
    assert_eq!(told(40, 48), None);
    assert_eq!(told(41, 41), Some((41, vec![40, 41])));
    assert_eq!(told(42, 43), Some((42, vec![])));
    assert_eq!(told(43, 43), Some((43, vec![42, 43])));
    // The block that it was short of is refused.
    assert_eq!(told(44, 45), Some((44, vec![])));
    assert_eq!(told(44, 44), Some((44, vec![44])));
    assert_eq!(told(44, 44), None);
    // A rival of the best header's work came first with its block.
    assert_eq!(told(45, rival), Some((45, vec![45])));
    // Nothing was announced for long, as after a start: what is old is not told as news.
    assert_eq!(told(54, 56), Some((54, vec![])));
    assert_eq!(told(56, 56), Some((56, vec![55, 56])));
}
