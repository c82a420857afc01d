//! The chains that the simulated network knows, and the naive oracle that says which of their tips is best and what coins
//! it leaves. Shares no code with the ledger but the digest's definition.

use caesure_bench::block::Block as Plain;
use caesure_bench::chain::{Factory, Spec};
use consensus::script::Flags;
use consensus::{Block, BlockHash, Header, Network, OutPoint, Params, is_unspendable};
use ledger::{Coin, CoinDigest, PARTITIONS, PartitionDigest, partition_of};
use shards::script_cache::ScriptCache;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// A block as the network passes it on.
#[derive(Debug)]
pub struct Blk {
    /// Its parts, for whoever wants to bend them.
    pub plain: Plain,
    /// Its bytes.
    pub bytes: bytes::Bytes,
    /// Its header.
    pub header: Header,
    /// Its hash.
    pub hash: BlockHash,
}

/// Blocks from height 1 on.
pub type Branch = Vec<Arc<Blk>>;

/// What the oracle says of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Height of the last valid block.
    pub height: u32,
    /// Its hash.
    pub tip: BlockHash,
    /// Unspent outputs there.
    pub coins: u64,
    /// Their digest.
    pub digest: CoinDigest,
}

/// A chain with its rivals.
#[derive(Debug)]
pub struct Chains {
    /// The chain itself.
    pub main: Branch,
    /// Leaves it and ends below: never the best.
    pub short: Branch,
    /// Leaves it and ends one block above: the best.
    pub rival: Branch,
    /// Leaves it and ends higher still, but its first block breaks a rule.
    pub invalid: Branch,
    /// What is true of `rival`.
    pub best: Truth,
    /// What is true of `main`.
    pub second: Truth,
    known: BTreeMap<BlockHash, Known>,
    /// What good transactions are called where scripts are remembered.
    good: Vec<([u8; 32], Flags)>,
}

/// A block of one of the branches.
#[derive(Debug)]
pub struct Known {
    /// It.
    pub blk: Arc<Blk>,
    /// Its height.
    pub height: u32,
    /// Neither it nor one below it breaks a rule.
    pub valid: bool,
}

fn blk(plain: Plain) -> Arc<Blk> {
    let bytes = bytes::Bytes::from(plain.bytes());
    let header = Header::parse(bytes[..80].try_into().expect("80 bytes"));
    Arc::new(Blk { hash: header.hash(), plain, bytes, header })
}

/// Where branches leave the main chain, and what is wrong with the invalid one.
struct Forks {
    short: u32,
    rival: u32,
    invalid: u32,
    wrong: Wrong,
}

enum Wrong {
    /// Its first block pays its miner too much.
    Greedy,
    /// Its first block with a witness has a signature that does not hold.
    Forged,
}

impl Wrong {
    /// Does it to a block, if that can be done.
    fn spoil(&self, plain: &mut Plain) -> bool {
        match self {
            Wrong::Greedy => plain.txs[0].outputs[0].value += 1_000_000,
            Wrong::Forged => {
                let witnesses = plain.txs[1..].iter_mut().flat_map(|tx| &mut tx.inputs).flat_map(|i| &mut i.witness);
                // A key is as long as no signature, a script longer.
                let Some(signature) = witnesses.into_iter().find(|item| (64..74).contains(&item.len())) else {
                    return false;
                };
                signature[40] ^= 1;
            }
        }
        true
    }
}

impl Chains {
    /// Rivals with so many transactions each.
    fn new(spec: Spec, forks: Forks, txs: u32) -> Chains {
        let height = spec.blocks;
        let at = |fork: u32| {
            let factory = Factory::at(spec.clone(), fork).expect("it fits");
            let base: Branch = Factory::new(spec.clone()).expect("it fits").take(fork as usize).map(blk).collect();
            (factory, base)
        };
        let rest = |(factory, base): (Factory, Branch), seed, blocks, txs| {
            let own: Branch = factory.branch(seed, blocks, txs).expect("it fits").map(blk).collect();
            [base, own].concat()
        };
        let main: Branch = Factory::new(spec.clone()).expect("it fits").map(blk).collect();
        let short = rest(at(forks.short), spec.seed + 1, height - 4 - forks.short, txs);
        let rival = rest(at(forks.rival), spec.seed + 2, height + 1 - forks.rival, txs);
        let (factory, mut invalid) = at(forks.invalid);
        let blocks = height + 5 - forks.invalid;
        let mut last_good = None;
        for (below, mut plain) in (forks.invalid..).zip(factory.branch(spec.seed + 3, blocks, 50).expect("it fits")) {
            plain.header.prev = invalid.last().expect("a base").plain.hash();
            if last_good.is_none() && forks.wrong.spoil(&mut plain) {
                last_good = Some(below);
            }
            plain.seal();
            invalid.push(blk(plain));
        }
        // The oracle runs no script: that the rest does not hold is known from its making.
        assert_eq!(last_good, Some(forks.invalid), "the first block can be spoilt");
        let truths = [&main, &short, &rival].map(oracle);
        let heights = truths.each_ref().map(|truth| truth.height);
        assert_eq!(heights, [height, height - 4, height + 1]);
        let mut known = BTreeMap::new();
        for (branch, good) in [(&invalid, forks.invalid), (&main, u32::MAX), (&short, u32::MAX), (&rival, u32::MAX)] {
            for (blk, height) in branch.iter().zip(1..) {
                known.insert(blk.hash, Known { blk: blk.clone(), height, valid: height <= good });
            }
        }
        let good = known.values().filter(|known| known.valid).flat_map(|known| {
            let block = Block::parse(known.blk.bytes.clone()).expect("our own blocks can be read");
            let flags = Params::of(Network::Regtest).script_flags(known.height, &known.blk.hash);
            block.txs[1..].iter().map(|tx| (block.wtxid(tx), flags)).collect::<Vec<_>>()
        });
        let good = good.collect();
        let [second, _, best] = truths;
        Chains { main, short, rival, invalid, best, second, known, good }
    }

    /// A block of any of the branches.
    pub fn known(&self, hash: &BlockHash) -> Option<&Known> {
        self.known.get(hash)
    }

    /// Its height; 0 for others.
    pub fn height(&self, hash: BlockHash) -> u32 {
        self.known(&hash).map_or(0, |known| known.height)
    }

    /// Has the scripts of all good transactions remembered.
    pub fn teach(&self, cache: &ScriptCache) {
        self.good.iter().for_each(|(wtxid, flags)| cache.learn(cache.name(wtxid, *flags)));
    }
}

/// 120 blocks with 500 transactions; the rival leaves after 110, one with a forged signature after 115.
pub fn busy() -> &'static Chains {
    static BUSY: LazyLock<Chains> = LazyLock::new(|| {
        let spec = Spec { seed: 11, blocks: 120, txs: 500, empty_tail: 0 };
        Chains::new(spec, Forks { short: 105, rival: 110, invalid: 115, wrong: Wrong::Forged }, 100)
    });
    &BUSY
}

/// 230 blocks with spends that fold into the base; the rival leaves after 60, below the worlds that are kept.
pub fn deep() -> &'static Chains {
    static DEEP: LazyLock<Chains> = LazyLock::new(|| {
        let spec = Spec { seed: 21, blocks: 230, txs: 600, empty_tail: 0 };
        Chains::new(spec, Forks { short: 90, rival: 60, invalid: 225, wrong: Wrong::Greedy }, 400)
    });
    &DEEP
}

/// Applies the blocks of a branch one by one, up to the first that spends or pays what is not there.
pub fn oracle(branch: &Branch) -> Truth {
    let params = Params::of(Network::Regtest);
    let (mut coins, mut height, mut tip) = (BTreeMap::new(), 0, params.genesis_hash);
    for blk in branch {
        match applied(&coins, &blk.bytes, height + 1) {
            Some(after) => (coins, height, tip) = (after, height + 1, blk.hash),
            None => break,
        }
    }
    let mut partitions = vec![PartitionDigest::default(); PARTITIONS];
    coins.iter().for_each(|(outpoint, coin)| partitions[partition_of(&outpoint.txid)].add(*outpoint, &coin.view()));
    let digests: Vec<_> = partitions.into_iter().map(PartitionDigest::digest).collect();
    Truth { height, tip, coins: coins.len() as u64, digest: CoinDigest::of_all(&digests) }
}

/// Coins that the blocks of a branch leave, all of which are valid.
pub fn coins(branch: &[Arc<Blk>]) -> Coins {
    let add = |coins, (blk, height): (&Arc<Blk>, u32)| applied(&coins, &blk.bytes, height).expect("it is valid");
    branch.iter().zip(1..).fold(Coins::new(), add)
}

/// By outpoint.
pub type Coins = BTreeMap<OutPoint, Coin>;

fn applied(coins: &Coins, bytes: &bytes::Bytes, height: u32) -> Option<Coins> {
    let block = Block::parse(bytes.clone()).expect("our own blocks can be read");
    let (mut coins, mut fees) = (coins.clone(), 0i64);
    for (index, tx) in block.txs.iter().enumerate() {
        if index > 0 {
            for input in block.inputs_of(tx) {
                fees += coins.remove(&block.outpoint(input))?.value as i64;
            }
        }
        for (vout, output) in (0..).zip(block.outputs_of(tx)) {
            fees -= output.value as i64;
            let script = block.script(output.script);
            if !is_unspendable(script) {
                let outpoint = OutPoint { txid: tx.txid, vout };
                coins.insert(outpoint, Coin::new(output.value, height, index == 0, script));
            }
        }
    }
    let subsidy = caesure_bench::block::subsidy(height) as i64;
    (fees + subsidy >= 0).then_some(coins)
}
