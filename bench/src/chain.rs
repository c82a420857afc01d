//! The chain factory: regtest chains that consensus accepts, told apart by a seed, one block at a time.
//!
//! The first hundred blocks are bare, for nothing can be spent before coinbases ripen. Then each block
//! first breaks ripened coinbases into hundreds of coins until there are enough of them, and goes on with
//! transactions of all common script types that spend coins of all ages. Decides what is in a block;
//! what makes one valid is known in `block` and `keys`. Never sees a clock: times count from the genesis.

use crate::block::{Block, GENESIS_TIME, coinbase, subsidy};
use crate::keys::{KEYS, Kind, Lock, Spend, op_return, sign};
use crate::rng::Rng;
use crate::sighash::{ALL, ANYONECANPAY, NONE, SINGLE};
use crate::tx::{Hash, OutPoint, Tx, TxIn, TxOut};
use std::collections::VecDeque;

/// Blocks before a coinbase may be spent (Bitcoin Core `consensus/consensus.h`, `COINBASE_MATURITY`).
pub const MATURITY: u32 = 100;
/// Seconds between blocks.
pub const SPACING: u32 = 600;
/// The most blocks a chain has, so that its times stay in the past: the last is of May 2024.
pub const BLOCKS_MAX: u32 = 700_000;
/// The most transactions per block that are aimed at, on average; their mean weight is near 1,000.
pub const TXS_PER_BLOCK_MAX: u32 = 2_000;
/// A block is full from here: below the limit of 4,000,000 by more than the heaviest transaction.
const WEIGHT_FULL: usize = 3_900_000;
/// The same for the limit of 80,000 signature operations.
const SIGOPS_FULL: u64 = 77_000;
/// The coins that fan-out transactions provide before ordinary ones are left to themselves.
const COINS_AMPLE: usize = 3_000;
/// Coins this young are called recent; when there are more, the oldest become old.
const COINS_RECENT: usize = 4_000;
/// Inputs and outputs of the largest transactions.
const INPUTS_MAX: u64 = 40;
const FANOUT_MAX: u64 = 400;
// The heaviest: an input and 400 outputs, of at most 44 bytes but for one of 86; or 40 inputs that sign for two
// of three, legacy, 300 bytes each, with 60 such outputs.
const _: () = assert!(4 * (FANOUT_MAX * 44 + 86 + 300) < 100_000);
const _: () = assert!(4 * (INPUTS_MAX * 300 + 60 * 86 + 300) < 100_000);
const _: () = assert!(SIGOPS_FULL + 4 * FANOUT_MAX + 12 * INPUTS_MAX < 80_000);

/// What chain to make.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Names the chain: the same specification gives the same bytes.
    pub seed: u64,
    /// Height of the last block. The genesis is height 0 and not made by the factory.
    pub blocks: u32,
    /// Transactions to aim at, coinbases not counted.
    pub txs: u32,
    /// How many of the last blocks have only a coinbase.
    pub empty_tail: u32,
}

impl Spec {
    /// Whether such a chain can be made; the error says what to change.
    pub fn check(&self) -> Result<(), String> {
        let Spec { blocks, txs, empty_tail, .. } = *self;
        if blocks > BLOCKS_MAX {
            return Err(format!("{blocks} blocks would reach into the future: ask for at most {BLOCKS_MAX}"));
        }
        let room = blocks.saturating_sub(MATURITY).saturating_sub(empty_tail);
        if u64::from(txs) > u64::from(room) * u64::from(TXS_PER_BLOCK_MAX) {
            return Err(format!(
                "{txs} transactions do not fit: of {blocks} blocks the first {MATURITY} and the last {empty_tail} \
                 have none, and the other {room} hold {TXS_PER_BLOCK_MAX} each"
            ));
        }
        Ok(())
    }
}

/// An unspent output of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Coin {
    /// Where it was made.
    pub outpoint: OutPoint,
    /// Its amount in satoshi.
    pub value: u64,
    /// Height of the block that made it.
    pub height: u32,
    /// Whether a coinbase made it.
    pub coinbase: bool,
    /// Who may spend it.
    pub lock: Lock,
}

/// What the transactions of a chain come to, coinbases not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Inputs.
    pub inputs: u64,
    /// Signatures in them that are verified as ECDSA.
    pub ecdsa: u64,
    /// Signatures in them that are verified as Schnorr's (BIP340).
    pub schnorr: u64,
}

/// Makes the blocks of a chain in order, and knows the coins that are unspent after the latest.
/// A clone goes on exactly as the original would.
#[derive(Clone)]
pub struct Factory {
    spec: Spec,
    rng: Rng,
    height: u32,
    tip: Hash,
    /// Transactions made, fees not yet paid out, weight and signature operations of the block at hand.
    txs_made: u32,
    tally: Tally,
    fees: u64,
    weight: usize,
    sigops: u64,
    /// Coinbase coins that are not ripe, oldest first.
    unripe: VecDeque<Coin>,
    /// Coins made in the block at hand.
    fresh: Vec<Coin>,
    recent: VecDeque<Coin>,
    old: Vec<Coin>,
}

impl Factory {
    /// A factory that stands at the genesis block.
    pub fn new(spec: Spec) -> Result<Factory, String> {
        spec.check()?;
        Ok(Factory {
            rng: Rng::new(spec.seed),
            spec,
            height: 0,
            tip: Block::genesis().hash(),
            txs_made: 0,
            tally: Tally::default(),
            fees: 0,
            weight: 0,
            sigops: 0,
            unripe: VecDeque::new(),
            fresh: Vec::new(),
            recent: VecDeque::new(),
            old: Vec::new(),
        })
    }

    /// A factory that stands at `height` of the chain of `spec`. Makes all blocks below again, so where the
    /// whole chain is made anyway, clone the factory on the way.
    pub fn at(spec: Spec, height: u32) -> Result<Factory, String> {
        let mut factory = Factory::new(spec)?;
        factory.by_ref().take(height as usize).for_each(drop);
        Ok(factory)
    }

    /// A rival: `blocks` more blocks from where this factory stands, with about `txs` transactions, that spend
    /// the coins otherwise than the chain itself or a rival of another seed.
    pub fn branch(&self, seed: u64, blocks: u32, txs: u32) -> Result<Factory, String> {
        let spec = Spec { seed, blocks: self.height + blocks, txs, empty_tail: 0 };
        let bare = MATURITY.saturating_sub(self.height);
        Spec { blocks: MATURITY + blocks.saturating_sub(bare), ..spec }.check()?;
        Ok(Factory { rng: Rng::new(seed), spec, txs_made: 0, ..self.clone() })
    }

    /// Height of the latest block.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Hash of the latest block.
    pub fn tip(&self) -> Hash {
        self.tip
    }

    /// Transactions made since the genesis or the branch, coinbases not counted.
    pub fn txs_made(&self) -> u32 {
        self.txs_made
    }

    /// What all transactions since the genesis come to.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The unspent coins after the latest block, in no order. What a node's list must hold, no more and no less.
    pub fn coins(&self) -> impl Iterator<Item = &Coin> {
        self.unripe.iter().chain(&self.recent).chain(&self.old)
    }

    /// The transactions that the next block should have, and may, so that the rest is spread evenly.
    fn txs_wanted(&mut self) -> u64 {
        let last = self.spec.blocks - self.spec.empty_tail;
        if self.height <= MATURITY || self.height > last {
            return 0;
        }
        let left = u64::from(self.spec.txs.saturating_sub(self.txs_made));
        match u64::from(last - self.height) {
            0 => left,
            more => (left * self.rng.between(50, 150) / 100 / (more + 1)).min(left),
        }
    }

    fn make_block(&mut self) -> Block {
        self.height += 1;
        (self.fees, self.weight, self.sigops) = (0, 4_000, 400);
        let wanted = self.txs_wanted();
        let mut txs = Vec::new();
        while self.unripe.front().is_some_and(|coin| coin.height + MATURITY <= self.height) {
            let Some(coin) = self.unripe.pop_front() else { break };
            if wanted > 0 && self.recent.len() + self.old.len() < COINS_AMPLE {
                let outputs = self.rng.between(200, FANOUT_MAX);
                txs.push(self.make_tx(vec![coin], outputs));
            } else {
                self.recent.push_back(coin);
            }
        }
        // Half the coins there are: the first blocks must not eat what the later ones are to spend.
        let ample = (self.fresh.len() + self.recent.len() + self.old.len()) / 2;
        while (txs.len() as u64) < wanted.min(ample as u64) && self.weight < WEIGHT_FULL && self.sigops < SIGOPS_FULL {
            let coins = self.choose_coins();
            let outputs = self.count_outputs();
            txs.push(self.make_tx(coins, outputs));
        }
        self.txs_made += txs.len() as u32;
        let block = self.close(txs);
        self.tip = block.hash();
        block
    }

    /// Pays the reward and puts the block together; then the block's coins are recent ones.
    fn close(&mut self, txs: Vec<Tx>) -> Block {
        let lock = self.choose_lock();
        let mut value = subsidy(self.height) + self.fees;
        if self.rng.chance(2) {
            // Some miners pay themselves less than they may.
            value -= value.min(1);
        }
        let tag = [b"caesure ", &self.spec.seed.to_le_bytes()[..]].concat();
        let time = GENESIS_TIME + SPACING * self.height;
        let block = Block::assemble(self.tip, time, coinbase(self.height, vec![lock.output(value)], &tag), txs);
        let outpoint = OutPoint { txid: block.txs[0].txid(), vout: 0 };
        self.unripe.push_back(Coin { outpoint, value, height: self.height, coinbase: true, lock });
        self.recent.extend(self.fresh.drain(..));
        let surplus = self.recent.len().saturating_sub(COINS_RECENT);
        self.old.extend(self.recent.drain(..surplus));
        block
    }

    fn choose_coins(&mut self) -> Vec<Coin> {
        let count = match self.rng.weighted(&[60, 23, 16, 1]) {
            0 => 1,
            1 => 2,
            2 => self.rng.between(3, 5),
            _ => self.rng.between(6, INPUTS_MAX),
        };
        (0..count).map_while(|_| self.choose_coin()).collect()
    }

    /// A coin of this block, a recent or an old one; they leave their pool.
    fn choose_coin(&mut self) -> Option<Coin> {
        let age = self.rng.weighted(&[12, 50, 38]);
        let pick = |rng: &mut Rng, count: usize| rng.below(count as u64) as usize;
        if !self.fresh.is_empty() && (age == 0 || self.recent.is_empty() && self.old.is_empty()) {
            let at = pick(&mut self.rng, self.fresh.len());
            Some(self.fresh.swap_remove(at))
        } else if !self.old.is_empty() && (age == 2 || self.recent.is_empty()) {
            let at = pick(&mut self.rng, self.old.len());
            Some(self.old.swap_remove(at))
        } else if !self.recent.is_empty() {
            let at = pick(&mut self.rng, self.recent.len());
            self.recent.swap_remove_back(at)
        } else {
            None
        }
    }

    fn count_outputs(&mut self) -> u64 {
        match self.rng.weighted(&[14, 68, 17, 1]) {
            0 => 1,
            1 => 2,
            2 => self.rng.between(3, 8),
            _ => self.rng.between(10, 59),
        }
    }

    fn choose_lock(&mut self) -> Lock {
        //                            p2pk pkh shMulti sh-wpkh wpkh wshMulti trKey trScript
        let kind = self.rng.weighted(&[2, 15, 4, 12, 36, 6, 19, 6]);
        Lock { kind: Kind::EVERY[kind], key: self.rng.below(KEYS.into()) as u8 }
    }

    /// A signed transaction that spends `coins` in full but for a fee. Its outputs are fresh coins.
    fn make_tx(&mut self, coins: Vec<Coin>, outputs: u64) -> Tx {
        let sum: u64 = coins.iter().map(|coin| coin.value).sum();
        let size = 100 * coins.len() as u64 + 40 * outputs;
        let fee = (self.rng.below(40) * size).min(sum / 20);
        let outputs = self.pay(sum - fee, outputs);
        let mut tx = Tx { version: 2, inputs: Vec::new(), outputs, lock_time: 0 };
        let input =
            |coin: &Coin| TxIn { prev: coin.outpoint, script_sig: vec![], sequence: 0xffff_fffd, witness: vec![] };
        tx.inputs = coins.iter().map(input).collect();
        self.set_locks(&mut tx, &coins);
        let spends: Vec<Spend> = (0..coins.len()).map(|index| self.choose_spend(&tx, &coins, index)).collect();
        sign(&mut tx, &spends);
        self.tally.inputs += spends.len() as u64;
        for Spend { lock, leaf, .. } in &spends {
            let kind = if lock.kind.schnorr() { &mut self.tally.schnorr } else { &mut self.tally.ecdsa };
            *kind += lock.kind.signatures(*leaf);
        }

        self.fees += fee;
        self.weight += tx.weight();
        self.sigops += coins.iter().map(|coin| coin.lock.kind.sigops_spent()).sum::<u64>();
        self.register(&tx);
        tx
    }

    /// `count` outputs that share `value` unevenly, fewer if that would be dust; sometimes one of data.
    fn pay(&mut self, value: u64, count: u64) -> Vec<TxOut> {
        let count = count.min(value / 1_000).max(1);
        let mut left = value;
        let mut outputs: Vec<TxOut> = (0..count)
            .map(|index| {
                let rest = count - index;
                let share = if rest == 1 { left } else { left / rest * self.rng.between(20, 150) / 100 };
                // Leaves at least a satoshi to each of the others.
                let share = share.min(left - (rest - 1).min(left));
                left -= share;
                self.choose_lock().output(share)
            })
            .collect();
        if self.rng.chance(4) {
            let size = self.rng.between(8, 75);
            let data: Vec<u8> = (0..size).map(|_| self.rng.draw() as u8).collect();
            let at = self.rng.below(count + 1) as usize;
            outputs.insert(at, op_return(&data));
        }
        outputs
    }

    /// Versions, sequences and lock times as wallets set them, all satisfied in this block, some only just.
    fn set_locks(&mut self, tx: &mut Tx, coins: &[Coin]) {
        match self.rng.below(100) {
            // Final at once.
            0..40 => tx.inputs.iter_mut().for_each(|input| input.sequence = u32::MAX),
            // Not before a height, at most the parent's: many wallets name it against fee sniping.
            40..46 => tx.lock_time = self.height - 1 - self.rng.below(50) as u32,
            // Not before a time, which must be below the parent's median time past (BIP113): the sixth-last block's.
            46..48 => tx.lock_time = GENESIS_TIME + SPACING * (self.height - 6) - 1 - self.rng.below(5_000) as u32,
            // Relative locks (BIP68).
            48..53 => {
                for (input, coin) in tx.inputs.iter_mut().zip(coins) {
                    input.sequence = relative_lock(&mut self.rng, self.height - coin.height, coin.height);
                }
            }
            // Version 1 is not bound by its sequence numbers; nor are final transactions by their lock time.
            53..55 => {
                tx.version = 1;
                tx.inputs.iter_mut().for_each(|input| input.sequence = 0xffff);
            }
            55..57 => {
                tx.lock_time = self.height + 1_000;
                tx.inputs.iter_mut().for_each(|input| input.sequence = u32::MAX);
            }
            57..70 => tx.version = 1,
            _ => {}
        }
    }

    fn choose_spend(&mut self, tx: &Tx, coins: &[Coin], index: usize) -> Spend {
        let hash_type = match self.rng.below(100) {
            0 => NONE,
            // Without an output of its own, an input that signs SINGLE is a bug before Taproot and invalid in it.
            1 if index < tx.outputs.len() => SINGLE,
            2 => ALL | ANYONECANPAY,
            3 if index < tx.outputs.len() => SINGLE | ANYONECANPAY,
            _ => ALL,
        };
        let Coin { lock, value, .. } = coins[index];
        Spend { lock, value, hash_type, leaf: usize::from(self.rng.chance(30)) }
    }

    /// Notes the coins that a transaction makes. The locks are found again by their scripts.
    fn register(&mut self, tx: &Tx) {
        let txid = tx.txid();
        for (vout, output) in tx.outputs.iter().enumerate() {
            let Some(lock) = Lock::of(&output.script) else { continue };
            self.sigops += lock.kind.sigops_made();
            let outpoint = OutPoint { txid, vout: vout as u32 };
            self.fresh.push(Coin { outpoint, value: output.value, height: self.height, coinbase: false, lock });
        }
    }
}

/// A sequence that demands at most the age the coin has: in blocks, or in units of 512 seconds where the
/// median times of both blocks lie on the regular part of the chain.
fn relative_lock(rng: &mut Rng, age: u32, made: u32) -> u32 {
    const SECONDS: u32 = 1 << 22;
    if made > 11 && rng.chance(40) {
        let units = age * SPACING / 512;
        SECONDS | rng.between(0, units.min(0xffff).into()) as u32
    } else {
        let least = if rng.chance(50) { age.min(0xffff) } else { 0 };
        rng.between(least.into(), age.min(0xffff).into()) as u32
    }
}

impl Iterator for Factory {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        (self.height < self.spec.blocks).then(|| self.make_block())
    }
}
