//! A base against a map, its chunks there and back and bent, and its table against a list.

use super::*;
use crate::coins::Coin;
use crate::compress::Unread;
use crate::testing::Rng;
use std::collections::BTreeMap;

/// The partition of these coins, one of two.
const PARTITION: u8 = 9;

fn empty(seed: u64) -> Base {
    Base::new(usize::from(PARTITION) - 1..usize::from(PARTITION) + 1, seed)
}

type Map = BTreeMap<OutPoint, Coin>;

fn outpoint(tx: usize, vout: u32) -> OutPoint {
    // Txids that differ in their middle, in their last bytes, and as they come.
    let mut txid = consensus::sha256d(&(tx as u64 / 3).to_le_bytes());
    let at = if tx.is_multiple_of(3) { 16 } else { 30 };
    txid[at..at + 2].copy_from_slice(&(tx as u16).to_le_bytes());
    txid[0] = PARTITION;
    OutPoint { txid: Txid(txid), vout }
}

fn script(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = |count: usize| (0..count).map(|_| rng.below(256) as u8).collect::<Vec<u8>>();
    let (hash, key, tail) = (bytes(20), bytes(32), bytes(40));
    let mut script = match rng.below(11) {
        0 => [&[0x76, 0xa9, 20], &hash[..], &[0x88, 0xac]].concat(),
        1 => [&[0xa9, 20], &hash[..], &[0x87]].concat(),
        2 => [&[33, 2 + rng.below(2) as u8], &key[..], &[0xac]].concat(),
        3 => [&[0, 20], &hash[..]].concat(),
        4 => [&[0, 32], &key[..]].concat(),
        5 => [&[0x51, 32], &key[..]].concat(),
        6 => vec![],
        7 => tail[..rng.below(tail.len())].to_vec(),
        8 => vec![0x52; 5000 * rng.below(3)],
        // One byte aside from a form.
        9 => [&[0x52, 32], &key[..]].concat(),
        _ => [&[0x76, 0xa9, 20], &hash[..], &[0x88, 0xad]].concat(),
    };
    if consensus::is_unspendable(&script) {
        script[0] = 0x53;
    }
    script
}

fn coin(rng: &mut Rng, height: u32) -> Coin {
    let value = rng.below(21) as u64 * 10_u64.pow(rng.below(15) as u32) + rng.below(2) as u64;
    Coin::new(value.min(consensus::MAX_MONEY), height, height.is_multiple_of(7), &script(rng))
}

fn coins_of(base: &Base) -> Vec<(OutPoint, Coin)> {
    let mut all = Vec::new();
    for position in base.sorted(1) {
        base.visit(1, position, |outpoint, coin| {
            all.push((outpoint, Coin::new(coin.value, coin.height, coin.coinbase, coin.script)));
        });
    }
    all
}

fn get(base: &Base, outpoint: &OutPoint) -> Option<Coin> {
    let mut room = [0; _];
    let coin = base.get(base.hash(outpoint), outpoint, &mut room);
    coin.map(|coin| Coin::new(coin.value, coin.height, coin.coinbase, coin.script))
}

/// Makes and takes at random: of few outputs and of many, also made again at another height.
fn churn(base: &mut Base, map: &mut Map, rng: &mut Rng, txs: usize, steps: usize) {
    for _ in 0..steps {
        let tx = rng.below(txs);
        let vouts = [1, 3, 40, 300][tx % 4];
        let name = outpoint(tx, if rng.chance(1) { u32::MAX } else { rng.below(vouts) as u32 });
        let hash = base.hash(&name);
        base.prefetch(hash);
        base.prefetch_record(hash);
        if rng.chance(10) {
            // Several outputs of one group, as a transaction makes them.
            let height = if rng.chance(10) { 1000 } else { tx as u32 };
            let first = name.vout / GROUP * GROUP;
            let vouts = (first..=first + (GROUP - 1)).filter(|_| rng.chance(30));
            let names: Vec<_> = vouts.map(|vout| OutPoint { vout, ..name }).collect();
            let new: Vec<_> = names.into_iter().map(|name| (name, coin(rng, height))).collect();
            let views: Vec<_> = new.iter().map(|(name, coin)| (*name, coin.view())).collect();
            base.insert_all(hash, &views);
            map.extend(new);
        } else if rng.chance(55) {
            let height = if rng.chance(2) { 1000 } else { tx as u32 };
            let new = coin(rng, height);
            assert_eq!(base.insert(hash, &name, new.view()), map.insert(name, new).is_some());
        } else {
            assert_eq!(base.remove(hash, &name), map.remove(&name).is_some());
        }
        assert_eq!(base.lens()[1], map.len());
        let other = outpoint(rng.below(txs), rng.below(4) as u32);
        assert_eq!(get(base, &name).as_ref(), map.get(&name));
        assert_eq!(get(base, &other).as_ref(), map.get(&other));
    }
}

fn list(map: &Map) -> Vec<(OutPoint, Coin)> {
    map.iter().map(|(name, coin)| (*name, coin.clone())).collect()
}

#[test]
fn a_base_does_as_a_map_would() {
    for seed in 0..8 {
        let (mut rng, mut base, mut map) = (Rng(seed), empty(seed * 77), Map::new());
        for txs in [3, 60, 2000] {
            churn(&mut base, &mut map, &mut rng, txs, 3000);
            let mut all = coins_of(&base);
            // Of a transaction that was made again only in part, coins of one group lie in two records.
            all.sort_by_key(|(name, _)| *name);
            assert_eq!(all, list(&map));
        }
        for name in map.keys().copied().collect::<Vec<_>>() {
            assert!(base.remove(base.hash(&name), &name));
        }
        assert!(base.lens() == [0, 0] && base.sorted(1).is_empty());
    }
}

/// Coins of transactions as they are: all outputs of one height.
fn filled(seed: u64) -> (Base, Map) {
    let (mut rng, mut base, mut map) = (Rng(seed), empty(seed), Map::new());
    for tx in 0..1500 {
        for vout in (0..[1, 2, 3, 80][tx % 4]).filter(|_| tx % 5 > 0) {
            let name = outpoint(tx, vout);
            let new = coin(&mut rng, tx as u32 * 600);
            if rng.chance(70) {
                assert!(!base.insert(base.hash(&name), &name, new.view()));
                map.insert(name, new);
            }
        }
    }
    (base, map)
}

fn chunks(base: &Base) -> Vec<Vec<u8>> {
    let mut next = Mark::default();
    let chunk = || {
        let chunk;
        (chunk, next) = base.chunk(1, next)?;
        Some(chunk)
    };
    std::iter::from_fn(chunk).collect()
}

#[test]
fn chunks_there_and_back() {
    for seed in 0..4 {
        let (base, map) = filled(seed);
        assert_eq!(coins_of(&base), list(&map), "in order, though nothing was sorted by the caller");
        let chunks = chunks(&base);
        assert!(chunks.len() > 5 && chunks.iter().all(|chunk| chunk.len() <= CHUNK_BYTES_MAX));
        let mut again = empty(seed + 1);
        let sum: u64 = chunks.iter().map(|chunk| again.load_chunk(1, chunk).unwrap()).sum();
        assert_eq!((sum, again.lens()[1]), (map.len() as u64, map.len()));
        assert_eq!(coins_of(&again), list(&map));
        // What was loaded is as good as what was made.
        let (mut rng, mut map) = (Rng(seed), map);
        churn(&mut again, &mut map, &mut rng, 1500, 2000);
        // And what was loaded once is not loaded twice.
        let full = chunks.iter().find(|chunk| chunk.len() > 8).unwrap();
        let mut fresh = empty(1);
        fresh.load_chunk(1, full).unwrap();
        assert_eq!(fresh.load_chunk(1, full), Err(Damage { at: 8, flaw: Flaw::Duplicate }));
    }
}

/// A record as the format says, by hand.
fn record(partition: u8, count: u8, outputs: &[&[u8]]) -> Vec<u8> {
    let mut txid = [7; 32];
    txid[0] = partition;
    [&txid[..], &[count, 0x81, 0x48], &outputs.concat()].concat()
}

fn chunk(records: u32, coins: u32, body: &[u8]) -> Vec<u8> {
    [&records.to_le_bytes()[..], &coins.to_le_bytes(), body].concat()
}

#[test]
fn a_chunk_byte_by_byte() {
    // 50 bitcoin are 0x32; the height is 150 = 0x148 - 0x80 + 0x80 over 2: VARINT 81 48 is 328 = 164 × 2.
    let p2wpkh = [&[3, 0x32, 4][..], &[5; 20]].concat();
    let bare = [5, 0, 7 + 2, 0x51, 0x52];
    let bytes = chunk(1, 2, &record(PARTITION, 2, &[&p2wpkh, &bare]));
    let mut base = empty(3);
    assert_eq!(base.load_chunk(1, &bytes), Ok(2));
    assert_eq!((chunks(&base), base.chunk(0, Mark::default())), (vec![bytes], None));
    let mut txid = [7; 32];
    txid[0] = PARTITION;
    let at = |vout| OutPoint { txid: Txid(txid), vout };
    assert_eq!(
        get(&base, &at(3)),
        Some(Coin::new(50 * consensus::COIN, 164, false, &[&[0, 20][..], &[5; 20]].concat()))
    );
    assert_eq!(get(&base, &at(5)), Some(Coin::new(0, 164, false, &[0x51, 0x52])));
    assert_eq!(get(&base, &at(4)), None);
}

#[test]
fn what_is_wrong_with_a_chunk_is_told_with_its_place() {
    let good: &[u8] = &[3, 0, 8, 0x51];
    let long = [&[3, 0, 7 + 22, 0, 20][..], &[5; 20]].concat();
    // A length of 10,001, which is two bytes as VARINT.
    let huge = [&[3, 0][..], &[0xcd, 0x18], &[0x51; 10_001]].concat();
    let cases: [(Vec<u8>, usize, Flaw); 14] = [
        (vec![1, 0, 0], 3, Flaw::Unread(Unread::Short)),
        (chunk(0, 0, &[PARTITION; 31]), 8, Flaw::Unread(Unread::Short)),
        (chunk(1, 1, &record(8, 1, &[good])), 8, Flaw::Partition(8)),
        (chunk(1, 1, &record(PARTITION, 0, &[good])), 8, Flaw::Count(0)),
        (chunk(1, 1, &record(PARTITION, 17, &[good])), 8, Flaw::Count(17)),
        (chunk(1, 2, &record(PARTITION, 2, &[good, good])), 8, Flaw::Order(3)),
        (chunk(1, 2, &record(PARTITION, 2, &[good, &[2, 0, 8, 0x51]])), 8, Flaw::Order(2)),
        (chunk(1, 2, &record(PARTITION, 2, &[good, &[16, 0, 8, 0x51]])), 8, Flaw::Order(16)),
        (chunk(1, 1, &record(PARTITION, 1, &[&[3, 0, 8, 0x6a]])), 8, Flaw::Unspendable(3)),
        (chunk(1, 1, &record(PARTITION, 1, &[&huge])), 8, Flaw::Unspendable(3)),
        (chunk(1, 1, &record(PARTITION, 1, &[&long])), 8, Flaw::LongForm(3)),
        (chunk(1, 1, &record(PARTITION, 1, &[good])[..38]), 46, Flaw::Unread(Unread::Short)),
        (chunk(2, 1, &record(PARTITION, 1, &[good])), 0, Flaw::Tally(1, 1)),
        // 10 × 2,100,001 stands for one step above the most there may be.
        (
            chunk(1, 1, &record(PARTITION, 1, &[&[3, 0x89, 0x80, 0xdd, 0x4a, 8, 0x51]])),
            50,
            Flaw::Unread(Unread::Amount),
        ),
    ];
    for (bytes, at, flaw) in cases {
        assert_eq!(empty(1).load_chunk(1, &bytes), Err(Damage { at, flaw }), "{flaw}");
    }
}

/// Whatever the bytes: an error, or coins that are written as they were read.
#[test]
fn bent_chunks_never_panic() {
    let (base, _) = filled(5);
    let whole: Vec<_> = chunks(&base).into_iter().filter(|chunk| chunk.len() > 2000).collect();
    let (mut rng, mut refused) = (Rng(6), 0);
    for _ in 0..3000 {
        let mut bytes = whole[rng.below(whole.len())][..2000].to_vec();
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(bytes.len());
            match rng.below(4) {
                0 => bytes.truncate(at.max(1)),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, rng.below(256) as u8),
                _ => bytes[at] ^= 1 << rng.below(8),
            }
        }
        let mut loaded = empty(9);
        match loaded.load_chunk(1, &bytes) {
            Ok(coins) => assert_eq!(coins, coins_of(&loaded).len() as u64),
            Err(damage) => {
                assert!(damage.at <= bytes.len());
                refused += 1;
            }
        }
    }
    assert!(refused > 2000);
}

/// Hashes of few lines and few tags, so that lines overflow and run over the end of the table.
#[test]
fn a_table_does_as_a_list_would() {
    let (mut rng, mut table, mut held) = (Rng(1), Table::default(), Vec::<u32>::new());
    let mut overflowed = false;
    let hash = |position: u32| u64::from(position % 5) << 61 | u64::from(position % 3);
    for step in 0..20_000 {
        if rng.chance(if step % 4000 < 2000 { 60 } else { 40 }) {
            let position = step as u32;
            table.insert(hash(position), position, |_| {}, hash);
            held.push(position);
        } else if !held.is_empty() {
            let gone = held.swap_remove(rng.below(held.len()));
            let (place, _) = table.find(hash(gone), |_, position| position == gone).unwrap();
            table.remove(hash(gone), place);
        }
        assert_eq!(table.len(), held.len());
        overflowed |= !table.is_settled();
        if step % 500 == 0 {
            assert!(held.iter().all(|held| table.find(hash(*held), |_, position| position == *held).is_some()));
            assert!(table.find(hash(1), |_, position| position == u32::MAX).is_none());
        }
    }
    assert!(overflowed);
    for gone in held {
        let (place, _) = table.find(hash(gone), |_, position| position == gone).unwrap();
        table.remove(hash(gone), place);
    }
    assert!(table.len() == 0 && table.is_settled());
}
