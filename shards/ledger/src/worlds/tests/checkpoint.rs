//! Partitions written down one by one, each as of its own world, while others go on; and a start from all of them.

use super::*;
use crate::base::Mark;

const BLOCKS: u32 = 150;
/// Worlds that are kept above the root.
const HORIZON: u32 = 5;
/// Worlds that pass while a partition is written down.
const WRITING: u32 = 2;
/// Partitions that are written down together: blocks are small, and some must touch partitions at the very height.
const TOGETHER: usize = 6;

/// The coin of each input.
type Taken = BTreeMap<u32, Option<Coin>>;

/// A chain of invented blocks, and what each takes; block `n` at `[n - 1]`. They are prepared for worlds of that seed.
fn chain(seed: Seed) -> (Model, Vec<(Body, Taken)>) {
    let (mut model, mut rng, mut bodies) = (Model::new(), Rng(3), Vec::new());
    for parent in 0..BLOCKS {
        let body = Body::new(block(&model.invent(parent, &mut rng)), seed);
        let (_, taken) = model.grow(parent, parent + 1, &body.block);
        bodies.push((body, taken));
    }
    (model, bodies)
}

fn pieces(worlds: &Worlds, index: usize) -> Vec<Vec<u8>> {
    let mut next = Mark::default();
    let piece = || {
        let piece;
        (piece, next) = worlds.chunk(index, next)?;
        Some(piece)
    };
    std::iter::from_fn(piece).collect()
}

#[test]
fn a_start_from_partitions_of_different_heights() {
    let [one, other] = [1, 2].map(Seed::new);
    let (model, bodies) = chain(one);
    let (first, last) = (0, PARTITIONS);
    let mut running = Worlds::new(first..last, one);
    // Height, pieces.
    let (mut written, mut moved) = (Vec::<(u32, Vec<Vec<u8>>)>::new(), 0);
    for world in 1..=BLOCKS {
        running.grow(world, world - 1, world, &bodies[world as usize - 1].0, |_, _| {});
        running.fold(world.saturating_sub(HORIZON));
        if world > 10 && world % (WRITING + 1) == 1 {
            for index in written.len()..(written.len() + TOGETHER).min(last) {
                running.freeze(index);
                written.push((running.root, pieces(&running, index)));
            }
        }
        if world % (WRITING + 1) == 0 {
            for (index, (height, was)) in written.iter().enumerate() {
                if running.partitions[index].frozen.is_none() {
                    continue;
                }
                assert_eq!((running.base_root(index), &pieces(&running, index)), (*height, was));
                assert!(running.root >= height + WRITING);
                running.thaw(index);
                assert_eq!(running.base_root(index), running.root);
                moved += usize::from(pieces(&running, index) != *was);
            }
        }
    }
    assert!(moved > 3, "bases that did not move were not frozen");
    // The others are written down at the end.
    for index in written.len()..last - first {
        written.push((running.root, pieces(&running, index)));
    }

    // All start at the lowest height of all.
    let lowest = written[0].0;
    let mut again = Worlds::new(first..last, other);
    let (_, bodies) = chain(other);
    again.reset(lowest);
    for (index, (height, pieces)) in written.iter().enumerate() {
        let coins: u64 = pieces.iter().map(|piece| again.load_chunk(index, piece).unwrap()).sum();
        let there = model.coins[height].keys().filter(|name| partition_of(&name.txid) == first + index).count();
        assert_eq!(coins, there as u64, "the base at height {height}");
        again.ahead(index, *height);
    }
    for world in lowest + 1..=BLOCKS {
        let (body, taken) = &bodies[world as usize - 1];
        let mut seen = BTreeMap::new();
        again.grow(world, world - 1, world, body, |input, coin| {
            seen.insert(input, coin.map(|coin| Coin::of(&coin)));
        });
        // Partitions that are ahead of this world were not asked.
        let mut wanted = taken.clone();
        wanted.retain(|input, _| {
            let partition = partition_of(&body.block.outpoint(&body.block.inputs[*input as usize]).txid);
            (first..last).contains(&partition) && world > written[partition - first].0
        });
        assert_eq!(seen, wanted);
        again.fold(world.saturating_sub(HORIZON).max(lowest));
        if world % 8 > 0 {
            continue;
        }
        let wanted = &model.digests(world)[first..last];
        for (index, digest) in again.digests(world).into_iter().enumerate() {
            if world >= written[index].0 {
                assert_eq!(digest, wanted[index], "partition {index} in world {world}");
            }
        }
    }
    assert_eq!(again.digests(BLOCKS), running.digests(BLOCKS));
}

/// A base that was written down is refused in another place, and says where it is wrong.
#[test]
fn a_piece_of_another_partition_is_refused() {
    let made = coinbase(1, 50);
    let index = partition_of(&made.txid());
    let mut worlds = all();
    grow(&mut worlds, 1, 0, from_ref(&made));
    worlds.fold(1);
    let (piece, next) = worlds.chunk(index, Mark::default()).unwrap();
    assert_eq!(worlds.chunk(index, next), None);
    assert_eq!(worlds.chunk((index + 1) % PARTITIONS, Mark::default()), None);
    assert_eq!(all().load_chunk(index, &piece), Ok(1));
    let damage = all().load_chunk((index + 1) % PARTITIONS, &piece).unwrap_err();
    assert_eq!(damage.to_string(), format!("damaged coins at byte 8 of a chunk: transaction of partition {index}"));
}
