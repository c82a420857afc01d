//! Many worlds against a naive model that keeps every coin of every world, and the cases worth telling one by one.

mod checkpoint;
mod model;

use super::*;
use crate::coins::{CoinDigest, PartitionDigest};
use crate::testing::{Rng, Tx, block, coinbase};
use model::Model;
use std::slice::from_ref;

/// The same worlds, kept by several owners of partitions; whether some are frozen now and then.
struct Split(Vec<Worlds>, bool);

impl Split {
    fn new(edges: &[usize]) -> Split {
        Split(edges.windows(2).map(|edge| Worlds::new(edge[0]..edge[1], seed())).collect(), false)
    }

    fn grow(
        &mut self,
        world: WorldId,
        parent: WorldId,
        height: u32,
        body: &Body,
    ) -> (Grown, BTreeMap<u32, Option<Coin>>) {
        let (mut all, mut taken) = (Grown::default(), BTreeMap::new());
        for owner in &mut self.0 {
            let grown = owner.grow(world, parent, height, body, |input, coin| {
                assert!(
                    taken.insert(input, coin.map(|coin| Coin::of(&coin))).is_none(),
                    "an input takes its coin in one partition"
                );
            });
            all.net += grown.net;
            all.duplicate = [all.duplicate, grown.duplicate].into_iter().flatten().min();
        }
        (all, taken)
    }

    fn coins(&self, world: WorldId) -> BTreeMap<OutPoint, Coin> {
        let mut all = BTreeMap::new();
        for owner in &self.0 {
            for index in 0..owner.partitions.len() {
                owner.each_coin(index, world, |outpoint, coin| {
                    assert_eq!(partition_of(&outpoint.txid), owner.first + index);
                    assert!(all.last_key_value().is_none_or(|(last, _)| *last < outpoint), "{outpoint:?} out of order");
                    all.insert(outpoint, Coin::of(&coin));
                });
            }
        }
        all
    }

    fn tally(&self) -> Tally {
        self.0.iter().map(Worlds::tally).fold(Tally::default(), |a, b| Tally {
            base_coins: a.base_coins + b.base_coins,
            base_bytes: a.base_bytes + b.base_bytes,
            versions: a.versions + b.versions,
            nursery: a.nursery + b.nursery,
            folded: a.folded + b.folded,
        })
    }

    fn check(&self, model: &Model, rng: &mut Rng) {
        for (&world, coins) in &model.coins {
            // While a fold is under way coins are not listed, but each is found.
            if self.0.iter().all(|owner| owner.folding.is_none()) {
                assert_eq!(&self.coins(world), coins, "the coins of world {world}");
                let digests: Vec<_> = self.0.iter().flat_map(|owner| owner.digests(world)).collect();
                assert_eq!(digests, model.digests(world), "world {world}");
            }
            for _ in 0..4 {
                let outpoint = model.known[rng.below(model.known.len())];
                let found: Vec<_> = self.0.iter().filter_map(|owner| owner.coin(world, &outpoint)).collect();
                assert_eq!(found, coins.get(&outpoint).cloned().into_iter().collect::<Vec<_>>());
                let index = partition_of(&outpoint.txid);
                let owner =
                    self.0.iter().find(|owner| (owner.first..owner.first + owner.partitions.len()).contains(&index));
                let fate = owner.expect("somebody has it").fates(world, [outpoint].into_iter())[0];
                assert_eq!(fate == Fate::Unspent, coins.contains_key(&outpoint), "{fate:?}");
            }
        }
        for dead in model.dead.iter().rev().take(5) {
            let outpoint = model.known[rng.below(model.known.len())];
            assert!(self.0.iter().all(|owner| !owner.alive(*dead) && owner.coin(*dead, &outpoint).is_none()));
        }
        if self.0.iter().any(|owner| owner.folding.is_some()) {
            return;
        }
        let tally = self.tally();
        let frozen = self.0.iter().any(|owner| (0..owner.partitions.len()).any(|i| owner.base_root(i) != owner.root));
        if !self.1 {
            assert_eq!(Tally { base_bytes: 0, ..tally }, model.tally());
        } else if !frozen {
            // What was folded late was folded in fewer steps.
            assert_eq!((tally.base_coins, tally.versions), (model.tally().base_coins, model.tally().versions));
        }
        let lens: usize = self.0.iter().flat_map(Worlds::base_lens).sum();
        assert_eq!(lens as u64, tally.base_coins);
        for owner in &self.0 {
            let live: Vec<_> = owner.list().collect();
            assert_eq!(live, model.list());
        }
    }
}

#[test]
fn worlds_do_as_a_map_per_world_would() {
    let (mut tried, mut halves) = ([0; 4], 0);
    for seed in 0..30 {
        let mut rng = Rng(seed);
        let edges: [&[usize]; 4] = [&[0, 256], &[0, 100, 256], &[0, 1, 60, 61, 200, 256], &[0, 170, 256]];
        let (mut splits, mut model) = (edges.map(Split::new), Model::new());
        splits[3].1 = true;
        for _ in 0..50 {
            step(&mut splits, &mut model, &mut rng);
            splits[3].0.iter_mut().for_each(|owner| freeze_and_thaw(owner, &mut rng));
            splits[1].0.iter_mut().for_each(|owner| halves += u32::from(!owner.fold_on(rng.below(2 * BATCH))));
            splits.iter().for_each(|split| split.check(&model, &mut rng));
        }
        (0..4).for_each(|kind| tried[kind] += model.tried[kind]);
    }
    assert!(halves > 50, "of steps, {halves} left a fold half done");
    assert!(tried.iter().all(|count| *count > 100), "folded, nursery, missing, duplicate: {tried:?} are too few");
}

/// Some partitions more stand still, and some no longer.
fn freeze_and_thaw(owner: &mut Worlds, rng: &mut Rng) {
    for index in 0..owner.partitions.len() {
        match owner.partitions[index].frozen {
            None if rng.chance(10) => owner.freeze(index),
            Some(_) if rng.chance(30) => owner.thaw(index),
            _ => {}
        }
    }
}

fn step(splits: &mut [Split; 4], model: &mut Model, rng: &mut Rng) {
    let live: Vec<WorldId> = model.coins.keys().copied().collect();
    let any = live[rng.below(live.len())];
    match rng.below(100) {
        0..70 => {
            // Mostly from the newest, so that lines grow long.
            let parent = if rng.chance(60) { *live.last().unwrap() } else { any };
            let body = Body::new(block(&model.invent(parent, rng)), seed());
            let (world, height) = (model.next, 100 + model.next);
            let expected = model.grow(parent, height, &body.block);
            for split in splits {
                assert_eq!(split.grow(world, parent, height, &body), expected);
            }
        }
        70..82 if any != model.root => {
            let mut lost = model.descendants(any);
            for at in 1..lost.len() {
                lost.swap(at, rng.below(at + 1));
            }
            splits.iter_mut().flat_map(|split| &mut split.0).for_each(|owner| owner.drop_worlds(&lost));
            model.drop_worlds(&lost);
        }
        82..98 => {
            let keep = model.descendants(any);
            let below = [model.line(any), vec![model.root]].concat();
            let lost: Vec<_> = live.into_iter().filter(|w| !keep.contains(w) && !below.contains(w)).collect();
            for (number, split) in splits.iter_mut().enumerate() {
                for owner in &mut split.0 {
                    owner.drop_worlds(&lost);
                    // One takes its time.
                    if number == 1 { owner.begin_fold(any) } else { owner.fold(any) }
                }
            }
            model.drop_worlds(&lost);
            model.fold(any);
        }
        98 => {
            let root = model.next;
            splits.iter_mut().flat_map(|split| &mut split.0).for_each(|owner| owner.reset(root));
            model.reset();
        }
        _ => {}
    }
}

fn seed() -> Seed {
    Seed::new(7)
}

fn all() -> Worlds {
    Worlds::new(0..PARTITIONS, seed())
}

fn grow(worlds: &mut Worlds, world: WorldId, parent: WorldId, txs: &[Tx]) -> Grown {
    worlds.grow(world, parent, world, &Body::new(block(txs), seed()), |_, _| {})
}

fn pay(takes: Vec<OutPoint>, script: Vec<u8>, tag: u32) -> Tx {
    Tx { takes, makes: vec![(1, script)], tag }
}

/// As drawn at the top of the file under test.
#[test]
fn each_branch_sees_its_own_coins() {
    let mut worlds = all();
    let made = coinbase(1, 50);
    let coin = made.outpoint(0);
    grow(&mut worlds, 1, 0, &[made]);
    grow(&mut worlds, 2, 1, &[coinbase(2, 50)]);
    grow(&mut worlds, 3, 2, &[coinbase(3, 50), pay(vec![coin], vec![0x51], 0)]);
    grow(&mut worlds, 4, 1, &[coinbase(4, 50)]);
    let sees = |worlds: &Worlds, world| worlds.coin(world, &coin).is_some();
    assert_eq!([0, 1, 2, 3, 4].map(|world| sees(&worlds, world)), [false, true, true, false, true]);
    worlds.fold(1);
    assert_eq!([1, 2, 3, 4].map(|world| sees(&worlds, world)), [true, true, false, true]);
    assert!(!sees(&worlds, 0), "a world below the root is gone");
    let fates = |worlds: &Worlds, world| worlds.fates(world, [coin, coinbase(9, 9).outpoint(0)].into_iter());
    assert_eq!([2, 3].map(|world| fates(&worlds, world)[0]), [Fate::Unspent, Fate::Spent(3)]);
    grow(&mut worlds, 5, 3, &[coinbase(5, 50)]);
    assert_eq!(fates(&worlds, 5), [Fate::Spent(3), Fate::Gone]);
    let mut folded = all();
    let takes = [coinbase(3, 50), pay(vec![coin], vec![0x51], 0)];
    grow(&mut folded, 1, 0, &[coinbase(1, 50)]);
    grow(&mut folded, 2, 1, &takes);
    folded.fold(2);
    assert_eq!(fates(&folded, 2)[0], Fate::Gone, "at the horizon nobody knows who took it");
    worlds.drop_worlds(&[3, 5]);
    assert!(sees(&worlds, 2) && !sees(&worlds, 3));
}

#[test]
fn a_coin_is_taken_in_the_block_that_made_it_but_not_before() {
    let made = pay(vec![coinbase(9, 9).outpoint(0)], vec![0x51], 1);
    let spend = pay(vec![made.outpoint(0)], vec![0x52], 2);
    for (txs, net, coins) in [
        // Its own input is missing and changes nothing; it makes a coin, which the next one takes.
        (vec![coinbase(1, 1), made.clone(), spend.clone()], 2, vec![made.outpoint(0)]),
        (vec![coinbase(1, 1), spend.clone(), made.clone()], 3, vec![]),
    ] {
        let (mut worlds, mut missing) = (all(), Vec::new());
        let body = Body::new(block(&txs), seed());
        let grown = worlds.grow(1, 0, 1, &body, |input, coin| {
            if coin.is_none() {
                missing.push(body.block.outpoint(&body.block.inputs[input as usize]));
            }
        });
        assert_eq!(grown, Grown { net, duplicate: None });
        assert_eq!(missing.contains(&made.outpoint(0)), coins.is_empty());
        assert_eq!(worlds.coin(1, &made.outpoint(0)).is_none(), !coins.is_empty());
        assert!(worlds.coin(1, &spend.outpoint(0)).is_some());
    }
}

/// BIP30, and the blocks 91842 and 91880 of mainnet, which made coins anew that were unspent.
#[test]
fn a_coin_made_twice_is_reported_and_comes_back() {
    let mut worlds = all();
    let twice = coinbase(1, 50);
    let coin = twice.outpoint(0);
    assert_eq!(grow(&mut worlds, 1, 0, from_ref(&twice)), Grown { net: 1, duplicate: None });
    worlds.fold(1);
    assert_eq!(grow(&mut worlds, 2, 1, from_ref(&twice)), Grown { net: 0, duplicate: Some(0) });
    let spends = [coinbase(3, 1), pay(vec![coin], vec![0x51], 0), twice.clone()];
    assert_eq!(grow(&mut worlds, 3, 1, &spends).duplicate, Some(2), "it was unspent before the block");
    let height = |worlds: &Worlds, world| worlds.coin(world, &coin).map(|coin| coin.height());
    assert_eq!([1, 2, 3].map(|world| height(&worlds, world)), [Some(1), Some(2), Some(3)]);
    worlds.drop_worlds(&[2, 3]);
    assert_eq!(height(&worlds, 1), Some(1), "the old coin is back");
    grow(&mut worlds, 4, 1, &[coinbase(4, 1), pay(vec![coin], vec![0x51], 0)]);
    assert_eq!(grow(&mut worlds, 5, 4, from_ref(&twice)).duplicate, None, "spent coins may be made again");
    grow(&mut worlds, 6, 1, &[twice]);
    worlds.drop_worlds(&[4, 5]);
    worlds.fold(6);
    assert_eq!((height(&worlds, 6), worlds.tally().base_coins), (Some(6), 1), "folded, it replaces the old one");
}

/// Core `IsUnspendable`: OP_RETURN first, or more than 10,000 bytes.
#[test]
fn what_nobody_can_spend_is_no_coin() {
    let scripts = [vec![0x6a], vec![0x6a, 0x51], vec![0x51; 10_001], vec![0x51; 10_000], vec![], vec![0x51, 0x6a]];
    let tx = Tx { takes: vec![], makes: scripts.map(|script| (1, script)).to_vec(), tag: 0 };
    let mut worlds = all();
    assert_eq!(grow(&mut worlds, 1, 0, from_ref(&tx)).net, 3);
    for step in 0..2 {
        let found = [0, 1, 2, 3, 4, 5].map(|vout| worlds.coin(worlds.root.max(1), &tx.outpoint(vout)).is_some());
        assert_eq!(found, [false, false, false, true, true, true], "step {step}");
        worlds.fold(1);
    }
}

#[test]
fn what_is_made_and_taken_within_one_fold_never_reaches_the_base() {
    let mut worlds = all();
    let (short, long) = (coinbase(1, 1), coinbase(2, 2));
    grow(&mut worlds, 1, 0, from_ref(&short));
    grow(&mut worlds, 2, 1, &[long.clone(), pay(vec![short.outpoint(0)], vec![0x6a], 0)]);
    grow(&mut worlds, 3, 2, &[coinbase(3, 3), pay(vec![long.outpoint(0)], vec![0x6a], 0)]);
    worlds.fold(2);
    let Tally { base_coins, nursery, folded, versions, .. } = worlds.tally();
    assert_eq!((base_coins, nursery, folded, versions), (1, 1, 1, 2));
    worlds.fold(3);
    let Tally { base_coins, nursery, folded, versions, .. } = worlds.tally();
    assert_eq!((base_coins, nursery, folded, versions), (1, 1, 2, 0), "the long one was in the base");
    worlds.reset(4);
    assert_eq!((worlds.tally(), worlds.alive(3), worlds.alive(4)), (Tally::default(), false, true));
}

impl Worlds {
    /// Count and digest of each of these partitions in a live world, in order.
    fn digests(&self, world: WorldId) -> Vec<(u64, CoinDigest)> {
        let of = |index| {
            let (mut count, mut digest) = (0, PartitionDigest::default());
            self.each_coin(index, world, |outpoint, coin| {
                count += 1;
                digest.add(outpoint, &coin);
            });
            (count, digest.digest())
        };
        (0..self.partitions.len()).map(of).collect()
    }
}
