//! The factory against a naive replay of what it made.

use caesure_bench::block::{Block, subsidy};
use caesure_bench::chain::{Coin, Factory, MATURITY, Spec};
use caesure_bench::keys::Lock;
use caesure_bench::records::{Chain, Fork, write_chain};
use caesure_bench::tx::{OutPoint, Tx};
use std::collections::{BTreeMap, BTreeSet};

const SPEC: Spec = Spec { seed: 7, blocks: 170, txs: 3_000, empty_tail: 5 };

fn factory() -> Factory {
    Factory::new(SPEC).unwrap()
}

/// What a chain leaves and what happened in it, found out without the factory.
#[derive(Default)]
struct Replay {
    coins: BTreeMap<OutPoint, Coin>,
    txs: u32,
    inputs: u64,
    within_block: u32,
    oldest: u32,
    kinds_spent: BTreeSet<caesure_bench::keys::Kind>,
    absolute_locks: u32,
    relative_locks: u32,
}

impl Replay {
    fn block(&mut self, height: u32, block: &Block) {
        assert!(block.header.meets_target());
        let mut fees = 0;
        for tx in &block.txs[1..] {
            fees += self.spend(height, tx);
            self.make(height, tx, false);
            self.txs += 1;
            self.inputs += tx.inputs.len() as u64;
        }
        let paid: u64 = block.txs[0].outputs.iter().map(|output| output.value).sum();
        assert!(paid <= subsidy(height) + fees, "coinbase of {height} pays too much");
        self.make(height, &block.txs[0], true);
        assert!(block.txs.iter().map(Tx::weight).sum::<usize>() < 3_999_000);
    }

    fn spend(&mut self, height: u32, tx: &Tx) -> u64 {
        let mut sum = 0;
        for input in &tx.inputs {
            let coin = self.coins.remove(&input.prev).expect("every input spends a coin that is there");
            assert!(!coin.coinbase || height - coin.height >= MATURITY);
            self.within_block += u32::from(coin.height == height);
            self.oldest = self.oldest.max(height - coin.height);
            self.kinds_spent.insert(coin.lock.kind);
            if tx.version >= 2 && input.sequence < 1 << 31 {
                self.relative_locks += 1;
                if input.sequence >> 22 & 1 == 0 {
                    assert!(input.sequence & 0xffff <= height - coin.height, "too young");
                }
            }
            sum += coin.value;
        }
        if tx.lock_time != 0 && tx.inputs.iter().any(|input| input.sequence != u32::MAX) {
            self.absolute_locks += 1;
            assert!(tx.lock_time < height || tx.lock_time >= 500_000_000, "not final");
        }
        sum - tx.outputs.iter().map(|output| output.value).sum::<u64>()
    }

    fn make(&mut self, height: u32, tx: &Tx, coinbase: bool) {
        let txid = tx.txid();
        for (vout, output) in tx.outputs.iter().enumerate().filter(|(_, output)| output.script[0] != 0x6a) {
            let outpoint = OutPoint { txid, vout: vout as u32 };
            let lock = Lock::of(&output.script).expect("one of the factory's own scripts");
            let coin = Coin { outpoint, value: output.value, height, coinbase, lock };
            assert!(self.coins.insert(outpoint, coin).is_none());
        }
    }
}

#[test]
fn the_chain_is_what_it_claims_to_be() {
    let mut factory = factory();
    let mut replay = Replay::default();
    let mut prev = Block::genesis().hash();
    let mut height = 0;
    while let Some(block) = factory.next() {
        height += 1;
        assert_eq!(block.header.prev, prev);
        assert_eq!(height, factory.height());
        assert!(height > MATURITY && height <= SPEC.blocks - SPEC.empty_tail || block.txs.len() == 1);
        prev = block.hash();
        replay.block(height, &block);
    }
    assert_eq!(height, SPEC.blocks);
    assert_eq!((replay.txs, replay.inputs), (SPEC.txs, factory.tally().inputs));
    let coins: BTreeMap<_, _> = factory.coins().map(|coin| (coin.outpoint, *coin)).collect();
    assert_eq!(coins, replay.coins);
    assert!(coins.len() > 3_000, "{} coins", coins.len());
    assert_eq!(replay.kinds_spent.len(), 8, "{:?}", replay.kinds_spent);
    assert!(replay.oldest > MATURITY, "{}", replay.oldest);
    for (what, count) in [
        ("within a block", replay.within_block),
        ("absolute", replay.absolute_locks),
        ("relative", replay.relative_locks),
    ] {
        assert!(count > 50, "{what}: {count}");
    }
}

#[test]
fn the_seed_is_the_chain() {
    let bytes =
        |seed| -> Vec<u8> { Factory::new(Spec { seed, ..SPEC }).unwrap().flat_map(|block| block.bytes()).collect() };
    let seven = bytes(7);
    assert!(seven == bytes(7), "the same seed made other bytes");
    assert!(seven != bytes(8), "another seed made the same bytes");
}

#[test]
fn a_branch_rivals_and_leaves_the_original_alone() {
    let main = Factory::at(SPEC, 120).unwrap();
    let rest: Vec<Block> = main.clone().collect();
    let rival: Vec<Block> = main.branch(99, 10, 400).unwrap().collect();
    assert!(rest == main.clone().collect::<Vec<_>>(), "a branch changed its origin");
    assert_eq!((rest.len(), rival.len()), (50, 10));
    assert_eq!(rest[0].header.prev, rival[0].header.prev);
    assert_ne!(rest[0].hash(), rival[0].hash());
    let spends = |blocks: &[Block]| -> BTreeMap<OutPoint, _> {
        let txs = blocks.iter().flat_map(|block| &block.txs[1..]);
        txs.flat_map(|tx| tx.inputs.iter().map(|input| (input.prev, tx.txid()))).collect()
    };
    let (ours, theirs) = (spends(&rest), spends(&rival));
    let double = theirs.iter().filter(|(coin, txid)| ours.get(coin).is_some_and(|other| other != *txid)).count();
    assert!(double > 50, "only {double} coins are spent otherwise");
}

#[test]
fn what_does_not_fit_is_refused() {
    let check = |blocks, txs, empty_tail| Spec { seed: 1, blocks, txs, empty_tail }.check();
    assert!(check(100, 0, 0).is_ok());
    assert!(check(100, 1, 0).is_err());
    assert!(check(110, 20_000, 0).is_ok());
    assert!(check(110, 20_001, 0).is_err());
    assert!(check(110, 20_000, 1).is_err());
    assert!(check(700_001, 0, 0).is_err());
}

#[test]
fn a_file_holds_the_forks_too() {
    let mut bytes = Vec::new();
    let forks = [Fork { at: 120, length: 10, txs: 100 }, Fork { at: 50, length: 99, txs: 50 }];
    let factory = write_chain(&mut bytes, SPEC, &forks, |_| {}).unwrap();
    let chain = Chain::from_bytes(bytes.clone()).unwrap();
    assert_eq!(chain.best().len(), 171);
    assert_eq!(chain.blocks(), 171 + 10 + 99);
    assert_eq!(chain.best()[0], Block::genesis().hash());
    assert_eq!(chain.best()[170], factory.tip());
    for (height, hash) in chain.best().iter().enumerate() {
        assert_eq!(chain.height(hash), Some(height as u32));
        assert_eq!(chain.block(hash).unwrap().unwrap()[..80], chain.header(hash).unwrap()[..]);
    }

    // Records in any order, zeros behind them; a cut one is left out, a senseless one is named.
    let mut records: Vec<&[u8]> = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (record, tail) = rest.split_at(8 + u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize);
        records.push(record);
        rest = tail;
    }
    records.reverse();
    let backwards = Chain::from_bytes([records.concat(), vec![0; 500]].concat()).unwrap();
    assert_eq!(backwards.best(), chain.best());
    assert_eq!((chain.left_over(), backwards.left_over()), (0, 500));

    let cut = Chain::from_bytes(bytes[..bytes.len() - 1].to_vec()).unwrap();
    assert_eq!(cut.best(), &chain.best()[..170]);
    assert_eq!(cut.left_over(), records[0].len() as u64 - 1);
    let at = bytes.len() - records[0].len();
    for (place, why) in [(at, "no record at byte"), (at + 7, "the record at byte")] {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x80;
        let error = Chain::from_bytes(damaged).err().unwrap().to_string();
        assert!(error.contains(&format!("{why} {at}")), "{error}");
    }
}
