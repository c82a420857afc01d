//! The naive model of many worlds: a map of all its coins for each, and blocks invented at random over them. It shares
//! nothing with what it is compared to but the parsed block and the type of a coin.

use super::*;
use consensus::Block;
use std::collections::BTreeSet;

type Map = BTreeMap<OutPoint, Coin>;

pub struct Model {
    pub coins: BTreeMap<WorldId, Map>,
    /// Parent, height and touched coins of all but the root.
    above: BTreeMap<WorldId, (WorldId, u32, BTreeSet<OutPoint>)>,
    pub root: WorldId,
    pub next: WorldId,
    pub dead: Vec<WorldId>,
    /// Every coin that was ever named.
    pub known: Vec<OutPoint>,
    txs: Vec<Tx>,
    nursery: u64,
    folded: u64,
    /// Coins folded, coins of the nursery, coins missing, blocks with a coin made twice: since the beginning.
    pub tried: [u64; 4],
}

impl Model {
    pub fn new() -> Model {
        Model {
            coins: BTreeMap::from([(0, Map::new())]),
            above: BTreeMap::new(),
            root: 0,
            next: 1,
            dead: Vec::new(),
            known: vec![coinbase(0, 0).outpoint(0)],
            txs: vec![coinbase(0, 0)],
            nursery: 0,
            folded: 0,
            tried: [0; 4],
        }
    }

    /// A block over that world: spends of its coins, of its own, of coins that are not there, and things made twice.
    pub fn invent(&mut self, parent: WorldId, rng: &mut Rng) -> Vec<Tx> {
        let mut at_hand: Vec<OutPoint> = self.coins[&parent].keys().copied().collect();
        let mut txs = vec![self.invent_tx(vec![], rng)];
        for _ in 0..rng.below(6) {
            let takes = (0..1 + rng.below(2)).map(|_| {
                let pool = if rng.chance(15) || at_hand.is_empty() { &self.known } else { &at_hand };
                pool[rng.below(pool.len())]
            });
            let takes: Vec<_> = takes.collect();
            let tx = self.invent_tx(takes, rng);
            at_hand.extend((0..tx.makes.len() as u32).map(|vout| tx.outpoint(vout)));
            txs.push(tx);
            if rng.chance(10) {
                let again = self.txs[rng.below(self.txs.len())].clone();
                txs.extend((!again.takes.is_empty()).then_some(again));
            }
        }
        if rng.chance(10) {
            txs[1..].reverse();
        }
        txs
    }

    fn invent_tx(&mut self, takes: Vec<OutPoint>, rng: &mut Rng) -> Tx {
        if takes.is_empty() && rng.chance(25) {
            let coinbases: Vec<_> = self.txs.iter().filter(|tx| tx.takes.is_empty()).collect();
            return coinbases[rng.below(coinbases.len())].clone();
        }
        let many = if rng.chance(3) { 40 } else { 4 };
        let makes = (0..1 + rng.below(many)).map(|_| {
            let script = match rng.below(20) {
                0 => vec![0x6a, 1, 1],
                1 => vec![0x51; 10_001],
                2 => vec![0x51; 10_000],
                len => vec![0x51; len],
            };
            (rng.below(1 << 40) as u64, script)
        });
        let tx = Tx { takes, makes: makes.collect(), tag: self.txs.len() as u32 };
        self.known.extend((0..tx.makes.len() as u32).map(|vout| tx.outpoint(vout)));
        self.txs.push(tx.clone());
        tx
    }

    /// Does the block in its own order, transaction by transaction.
    pub fn grow(&mut self, parent: WorldId, height: u32, block: &Block) -> (Grown, BTreeMap<u32, Option<Coin>>) {
        let before = &self.coins[&parent];
        let (mut coins, mut touched) = (before.clone(), BTreeSet::new());
        let (mut taken, mut duplicate) = (BTreeMap::new(), None);
        for (index, tx) in block.txs.iter().enumerate() {
            for input in if index > 0 { tx.inputs.0..tx.inputs.1 } else { 0..0 } {
                let outpoint = block.outpoint(&block.inputs[input as usize]);
                let coin = coins.remove(&outpoint);
                touched.extend(coin.is_some().then_some(outpoint));
                self.tried[2] += u64::from(coin.is_none());
                taken.insert(input, coin);
            }
            for (vout, output) in block.outputs_of(tx).iter().enumerate() {
                let script = block.script(output.script);
                if script.first() == Some(&0x6a) || script.len() > 10_000 {
                    continue;
                }
                let outpoint = OutPoint { txid: tx.txid, vout: vout as u32 };
                if before.contains_key(&outpoint) {
                    duplicate = duplicate.or(Some(index as u32));
                }
                coins.insert(outpoint, Coin::new(output.value, height, index == 0, script));
                touched.insert(outpoint);
            }
        }
        self.tried[3] += u64::from(duplicate.is_some());
        let net = coins.len() as i64 - before.len() as i64;
        self.coins.insert(self.next, coins);
        self.above.insert(self.next, (parent, height, touched));
        self.next += 1;
        (Grown { net, duplicate }, taken)
    }

    /// From that world down, without the root.
    pub fn line(&self, mut at: WorldId) -> Vec<WorldId> {
        let mut line = Vec::new();
        while at != self.root {
            line.push(at);
            at = self.above[&at].0;
        }
        line
    }

    /// That world and all that grew from it.
    pub fn descendants(&self, of: WorldId) -> Vec<WorldId> {
        let all = self.coins.keys().copied();
        all.filter(|world| *world == of || self.line(*world).contains(&of) || of == self.root).collect()
    }

    pub fn drop_worlds(&mut self, lost: &[WorldId]) {
        for world in lost {
            self.coins.remove(world).unwrap();
            self.above.remove(world).unwrap();
            self.dead.push(*world);
        }
    }

    pub fn fold(&mut self, to: WorldId) {
        let old = self.coins[&self.root].clone();
        let line = self.line(to);
        let touched: BTreeSet<_> = line.iter().flat_map(|world| self.above[world].2.clone()).collect();
        let folded = touched.iter().filter(|outpoint| self.coins[&to].contains_key(outpoint)).count() as u64;
        // Coins made and taken since the root, along the line.
        let (mut young, mut nursery, mut before) = (BTreeSet::new(), 0, &old);
        for world in line.iter().rev() {
            let after = &self.coins[world];
            for outpoint in &self.above[world].2 {
                match (before.contains_key(outpoint), after.contains_key(outpoint)) {
                    (false, true) => drop(young.insert(outpoint)),
                    (true, false) => nursery += u64::from(young.remove(outpoint)),
                    (false, false) => nursery += 1,
                    (true, true) => {}
                }
            }
            before = after;
        }
        (self.folded, self.nursery) = (self.folded + folded, self.nursery + nursery);
        (self.tried[0], self.tried[1]) = (self.tried[0] + folded, self.tried[1] + nursery);
        for world in line {
            self.above.remove(&world);
            let below = if world == to { self.root } else { world };
            self.coins.remove(&below);
            self.dead.push(below);
        }
        self.root = to;
    }

    pub fn reset(&mut self) {
        self.dead.extend(self.coins.keys());
        self.coins = BTreeMap::from([(self.next, Map::new())]);
        self.above.clear();
        (self.root, self.nursery, self.folded) = (self.next, 0, 0);
        self.next += 1;
    }

    fn versions(&self) -> u64 {
        let groups =
            |touched: &BTreeSet<OutPoint>| touched.iter().map(|o| (o.txid, o.vout / 16)).collect::<BTreeSet<_>>();
        self.above.values().map(|(_, _, touched)| groups(touched).len() as u64).sum()
    }

    pub fn tally(&self) -> Tally {
        let base = &self.coins[&self.root];
        Tally {
            base_coins: base.len() as u64,
            base_bytes: 0,
            versions: self.versions(),
            nursery: self.nursery,
            folded: self.folded,
        }
    }

    pub fn list(&self) -> Vec<(WorldId, WorldId, u32)> {
        self.above.iter().map(|(name, (parent, height, _))| (*name, *parent, *height)).collect()
    }

    /// As the format of the digest says, written out.
    pub fn digests(&self, world: WorldId) -> Vec<(u64, CoinDigest)> {
        let mut each = vec![(0, Vec::new()); 256];
        for (outpoint, coin) in &self.coins[&world] {
            let (count, bytes) = &mut each[usize::from(outpoint.txid.0[0])];
            *count += 1;
            bytes.extend(outpoint.txid.0);
            bytes.extend(outpoint.vout.to_le_bytes());
            bytes.extend((coin.height() * 2 + u32::from(coin.coinbase())).to_le_bytes());
            bytes.extend(coin.value.to_le_bytes());
            bytes.extend((coin.script.len() as u32).to_le_bytes());
            bytes.extend(&coin.script);
        }
        each.into_iter().map(|(count, bytes)| (count, CoinDigest(consensus::sha256(&bytes)))).collect()
    }
}
