//! The chains that the simulated network knows, and the naive oracle that says which of their tips is best and what coins
//! it leaves. Shares no code with the ledger but the digest's definition.

use caesure_bench::block::Block as Plain;
use caesure_bench::chain::{Factory, Spec};
use consensus::{Block, BlockHash, Header, Network, OutPoint, Params, is_unspendable};
use ledger::{Coin, CoinDigest, PARTITIONS, partition_of};
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

/// All chains.
#[derive(Debug)]
pub struct Chains {
    /// 120 blocks.
    pub main: Branch,
    /// Leaves it after 105 and ends at 116: never the best.
    pub short: Branch,
    /// Leaves it after 110 and ends at 121: the best.
    pub rival: Branch,
    /// Leaves it after 115 and ends at 125, but its first block pays its miner too much.
    pub invalid: Branch,
    /// What is true of `rival`.
    pub best: Truth,
    /// 200 blocks with hardly a transaction.
    pub bare: Branch,
}

fn blk(plain: Plain) -> Arc<Blk> {
    let bytes = bytes::Bytes::from(plain.bytes());
    let header = Header::parse(bytes[..80].try_into().expect("80 bytes"));
    Arc::new(Blk { hash: header.hash(), plain, bytes, header })
}

impl Chains {
    fn new() -> Chains {
        let mut factory = Factory::new(Spec { seed: 11, blocks: 120, txs: 500, empty_tail: 0 }).expect("it fits");
        let mut main: Branch = factory.by_ref().take(105).map(blk).collect();
        let short = factory.branch(12, 11, 60).expect("it fits").map(blk).collect::<Branch>();
        let short = [main.clone(), short].concat();
        main.extend(factory.by_ref().take(5).map(blk));
        let rival = factory.branch(13, 11, 200).expect("it fits").map(blk).collect::<Branch>();
        let rival = [main.clone(), rival].concat();
        main.extend(factory.by_ref().take(5).map(blk));
        let mut invalid = main.clone();
        for (index, mut plain) in factory.branch(14, 10, 0).expect("it fits").enumerate() {
            plain.header.prev = invalid.last().expect("115 blocks").plain.hash();
            if index == 0 {
                plain.txs[0].outputs[0].value += 1_000_000;
            }
            plain.seal();
            invalid.push(blk(plain));
        }
        main.extend(factory.map(blk));
        let bare = Factory::new(Spec { seed: 15, blocks: 200, txs: 0, empty_tail: 0 }).expect("it fits").map(blk);
        let truths = [&main, &short, &rival, &invalid].map(|branch| oracle(branch));
        let best = truths[2].clone();
        assert_eq!((truths[0].height, truths[1].height, best.height, truths[3].height), (120, 116, 121, 115));
        Chains { bare: bare.collect(), main, short, rival, invalid, best }
    }
}

/// The chains, made once for all tests of a process.
pub fn chains() -> &'static Chains {
    static CHAINS: LazyLock<Chains> = LazyLock::new(Chains::new);
    &CHAINS
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
    let mut partitions = vec![Vec::new(); PARTITIONS];
    coins.iter().for_each(|(outpoint, coin)| partitions[partition_of(&outpoint.txid)].push((*outpoint, coin)));
    let digests: Vec<_> = partitions.iter_mut().map(|coins| CoinDigest::of_partition(coins)).collect();
    Truth { height, tip, coins: coins.len() as u64, digest: CoinDigest::of_all(&digests) }
}

type Coins = BTreeMap<OutPoint, Coin>;

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
