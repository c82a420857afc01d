//! A regtest chain that makes as many coins as are asked for, cheaply: nothing in it is signed. Consensus accepts it; what a
//! node is to relay it does not care for. Like the other one it is told apart by a seed and never sees a clock.
//!
//! ```text
//!  coinbase ── 100 blocks later ──→ splitter ──→ very many transactions of one input and two outputs, in the same block
//! ```
//!
//! Coins are of today's mix of scripts behind keys that nobody has; splitter and coinbase pay to OP_TRUE.

use crate::block::{Block, GENESIS_TIME, coinbase, subsidy};
use crate::chain::{MATURITY, SPACING};
use crate::rng::Rng;
use crate::tx::{Hash, OutPoint, Tx, TxIn, TxOut};

/// Anybody can spend it, with nothing.
const OPEN: &[u8] = &[0x51];
/// Coins that a transaction makes: about as many as those of mainnet have unspent.
pub const COINS_PER_TX: u64 = 2;
/// Transactions of a block: of 137 bytes at most, each with ten in the splitter, they weigh less than 4,000,000.
const TXS_PER_BLOCK: u64 = 6_700;
const _: () = assert!(4 * TXS_PER_BLOCK * (137 + 10) < 3_990_000);
/// Of 100 scripts: P2WPKH, P2TR, P2PKH, P2SH, P2WSH.
const SCRIPTS: [u64; 5] = [46, 28, 14, 9, 3];

/// Makes the blocks of such a chain in order.
pub struct Fan {
    rng: Rng,
    seed: u64,
    coins_left: u64,
    height: u32,
    tip: Hash,
    /// By height less one: the coinbase, and what it pays.
    coinbases: Vec<(Hash, u64)>,
}

impl Fan {
    /// A chain that ends once it has made so many coins besides those of coinbases.
    pub fn new(seed: u64, coins: u64) -> Fan {
        let (rng, tip) = (Rng::new(seed), Block::genesis().hash());
        Fan { rng, seed, coins_left: coins.next_multiple_of(COINS_PER_TX), height: 0, tip, coinbases: Vec::new() }
    }

    /// Height of the last block.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Hash of the last block.
    pub fn tip(&self) -> Hash {
        self.tip
    }

    /// Height of the last block of a chain that makes so many coins.
    pub fn height_of_end(coins: u64) -> u32 {
        MATURITY + coins.div_ceil(COINS_PER_TX).div_ceil(TXS_PER_BLOCK) as u32
    }

    fn txs(&mut self) -> Vec<Tx> {
        let count = self.coins_left.div_ceil(COINS_PER_TX).min(TXS_PER_BLOCK);
        let Some(ripe) = self.height.checked_sub(MATURITY + 1) else { return Vec::new() };
        let (txid, value) = self.coinbases[ripe as usize];
        let share = value / count;
        let splitter = spend(txid, 0, (0..count).map(|_| TxOut { value: share, script: OPEN.to_vec() }).collect());
        let (from, mut txs) = (splitter.txid(), vec![splitter]);
        for vout in 0..count {
            let outputs = (0..COINS_PER_TX).map(|_| TxOut { value: share / COINS_PER_TX, script: self.script() });
            let outputs = outputs.collect();
            txs.push(spend(from, vout as u32, outputs));
        }
        self.coins_left -= count * COINS_PER_TX;
        txs
    }

    fn script(&mut self) -> Vec<u8> {
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&self.rng.draw().to_le_bytes()));
        let (before, len, after): (&[u8], _, &[u8]) = match self.rng.weighted(&SCRIPTS) {
            0 => (&[0, 20], 20, &[]),
            1 => (&[0x51, 32], 32, &[]),
            2 => (&[0x76, 0xa9, 20], 20, &[0x88, 0xac]),
            3 => (&[0xa9, 20], 20, &[0x87]),
            _ => (&[0, 32], 32, &[]),
        };
        [before, &bytes[..len], after].concat()
    }
}

fn spend(txid: Hash, vout: u32, outputs: Vec<TxOut>) -> Tx {
    let prev = OutPoint { txid, vout };
    Tx {
        version: 2,
        inputs: vec![TxIn { prev, script_sig: vec![], sequence: u32::MAX, witness: vec![] }],
        outputs,
        lock_time: 0,
    }
}

impl Iterator for Fan {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        if self.coins_left == 0 {
            return None;
        }
        self.height += 1;
        let txs = self.txs();
        let value = subsidy(self.height);
        let first = coinbase(self.height, vec![TxOut { value, script: OPEN.to_vec() }], &self.seed.to_le_bytes());
        let block = Block::assemble(self.tip, GENESIS_TIME + SPACING * self.height, first, txs);
        self.tip = block.hash();
        self.coinbases.push((block.txs[0].txid(), value));
        Some(block)
    }
}
