//! Decides whether real spends keep the rules and leave the right coins: single blocks whose coins
//! are known, and whole chains through a ledger in a map.

use crate::{
    files::{blocks, file, hex},
    headers::Chain,
};
use consensus::script::{Flags, Spending, check_input, check_input_deferred};
use consensus::*;
use std::collections::BTreeMap;
use std::io::Write as _;

/// A coin, owned.
struct Coin {
    value: u64,
    height: u32,
    coinbase: bool,
    script: Vec<u8>,
}

impl Coin {
    fn view(&self) -> CoinView<'_> {
        CoinView { value: self.value, height: self.height, coinbase: self.coinbase, script: &self.script }
    }
}

/// Coins in the order of inputs: value, CompactSize, script.
fn undo(bytes: &[u8]) -> Vec<Coin> {
    let (mut coins, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let value = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let (len, start) = match bytes[at + 8] {
            253 => (usize::from(u16::from_le_bytes([bytes[at + 9], bytes[at + 10]])), at + 11),
            small => (usize::from(small), at + 9),
        };
        coins.push(Coin { value, height: 0, coinbase: false, script: bytes[start..start + len].to_vec() });
        at = start + len;
    }
    coins
}

/// Every input, with all checkers.
fn scripts_hold(view: TxView, coins: &[CoinView], flags: Flags) {
    let spending = Spending::new(view, coins);
    for index in 0..coins.len() as u32 {
        for check in [check_input, check_input_deferred, crate::lanes::judge] {
            assert_eq!(check(&spending, index, flags), Ok(()), "{} input {index}", view.tx.txid);
        }
    }
}

/// Miners took all that was theirs: fees and subsidy are the coinbase's value to the satoshi.
fn takes_all_fees(block: &Block, coins: &[Coin], network: Network, height: u32) {
    let params = Params::of(network);
    assert_eq!(coins.len(), block.inputs.len() - 1, "{height}");
    let cx = SpendCx { height, flags: params.script_flags(height, &block.hash) };
    let lookup = |index: u32| Some(coins[index as usize - 1].view());
    let spends = check_spends(block, 0..block.txs.len() as u32, lookup, &cx);
    assert_eq!(spends.failure, None, "{height}");
    assert_eq!(spends.fees + params.subsidy(height), block.facts.coinbase_value, "{height}");
    assert!(spends.sigop_cost >= 4 * u64::from(block.facts.legacy_sigops));
    assert_eq!(check_coinbase_value(block, params, height, spends.fees), Ok(()));
    assert_eq!(check_coinbase_value(block, params, height, spends.fees - 1), Err(Rule::BadCbAmount));
    let mut rest = coins;
    for tx in &block.txs[1..] {
        let spent;
        (spent, rest) = rest.split_at(block.inputs_of(tx).len());
        scripts_hold(block.view(tx), &spent.iter().map(Coin::view).collect::<Vec<_>>(), cx.flags);
    }
    let _ = writeln!(std::io::stderr(), "block {height} of {network}: the scripts of all {} inputs hold", coins.len());
    // Any cut into two gives the same sums.
    let (left, right) = (0..block.txs.len() as u32 / 3, block.txs.len() as u32 / 3..block.txs.len() as u32);
    let parts = [left, right].map(|part| check_spends(block, part, lookup, &cx));
    assert_eq!(parts.iter().map(|part| part.fees).sum::<u64>(), spends.fees);
    assert_eq!(parts.iter().map(|part| part.sigop_cost).sum::<u64>(), spends.sigop_cost);
}

#[test]
fn fees_of_single_blocks() {
    for (block, coins, network, height) in [
        ("mainnet-blocks/block300025.raw", "mainnet-blocks/block300025-undo.raw", Network::Main, 300_025),
        (
            "mainnet-blocks/277647.dat.bz2",
            "mainnet-blocks-with-prevouts/derived-from-btcd/277647.undo",
            Network::Main,
            277_647,
        ),
        ("testnet-blocks/block928816.raw", "testnet-blocks/block928816-undo.raw", Network::Testnet3, 928_816),
        ("testnet-blocks/block928828.raw", "testnet-blocks/block928828-undo.raw", Network::Testnet3, 928_828),
        ("testnet-blocks/block1087400.raw", "testnet-blocks/block1087400-undo.raw", Network::Testnet3, 1_087_400),
    ] {
        let (Some(bytes), Some(coins)) = (file(block), file(coins)) else {
            return;
        };
        takes_all_fees(&blocks(bytes)[0], &undo(&coins), network, height);
    }
    let base = "mainnet-blocks-with-prevouts/floresta-block_866342";
    let (Some(block), Some(spent)) = (file(&format!("{base}-raw.zst")), file(&format!("{base}-spent_utxos.zst")))
    else {
        return;
    };
    let spent: serde_json::Value = serde_json::from_slice(&spent).unwrap();
    let coin = |coin: &serde_json::Value| Coin {
        value: coin["txout"]["value"].as_u64().unwrap(),
        height: coin["creation_height"].as_u64().unwrap() as u32,
        coinbase: coin["is_coinbase"].as_bool().unwrap(),
        script: hex(coin["txout"]["script_pubkey"].as_str().unwrap()),
    };
    let coins: Vec<_> = spent.as_array().unwrap().iter().map(coin).collect();
    takes_all_fees(&blocks(block)[0], &coins, Network::Main, 866_342);
}

/// Single transactions of the chain with the coins they spend.
#[test]
fn scripts_of_single_transactions() {
    let flags = Flags::P2SH | Flags::WITNESS | Flags::DERSIG;
    for name in ["tx1", "tx2", "tx3", "tx4", "tx6", "tx7", "tx10"] {
        let path = |end| format!("vectors/txs/{name}{end}");
        let (Some(bytes), Some(coins)) = (file(&path(".raw")), file(&path("-undo.raw"))) else {
            return;
        };
        let (tx, coins) = (LoneTx::parse(bytes.into()).unwrap(), undo(&coins));
        let coins: Vec<CoinView> = coins.iter().map(Coin::view).collect();
        scripts_hold(tx.view(), &coins, flags);
    }
}

/// A ledger in a map: every block of a chain through every check. Gives the coins at the end.
fn sync(network: Network, blocks: Vec<Block>) -> BTreeMap<OutPoint, Coin> {
    let params = Params::of(network);
    let mut chain = Chain { params, base: 0, headers: vec![params.genesis] };
    let mut coins: BTreeMap<OutPoint, Coin> = BTreeMap::new();
    let mut scripts = 0;
    for block in blocks.iter().filter(|block| block.hash != params.genesis_hash) {
        let (height, mtp_parent) = (chain.headers.len() as u32, chain.mtp());
        assert_eq!(chain.push(block.header), Ok(()), "{height}");
        assert_eq!(check_block(block), Ok(()), "{height}");
        assert_eq!(check_block_context(block, &BlockCx { params, height, mtp_parent }), Ok(()), "{height}");
        let cx = SpendCx { height, flags: params.script_flags(height, &block.hash) };
        let mut fees = 0;
        for (index, tx) in block.txs.iter().enumerate() {
            let lookup = |input: u32| coins.get(&block.outpoint(&block.inputs[input as usize])).map(Coin::view);
            let spends = check_spends(block, index as u32..index as u32 + 1, lookup, &cx);
            assert_eq!((spends.failure, &spends.time_locks[..]), (None, &[][..]), "{height}");
            fees += spends.fees;
            if index > 0 {
                let inputs = block.inputs_of(tx).iter();
                let spent: Vec<CoinView> = inputs.map(|input| coins[&block.outpoint(input)].view()).collect();
                scripts_hold(block.view(tx), &spent, cx.flags);
                scripts += spent.len();
            }
            for input in block.inputs_of(tx) {
                coins.remove(&block.outpoint(input));
            }
            for (vout, output) in block.outputs_of(tx).iter().enumerate() {
                let script = block.script(output.script).to_vec();
                let coin = Coin { value: output.value, height, coinbase: index == 0, script };
                let kept = !is_unspendable(&coin.script);
                let old = kept.then(|| coins.insert(OutPoint { txid: tx.txid, vout: vout as u32 }, coin)).flatten();
                assert!(old.is_none(), "BIP30 at {height}");
            }
        }
        assert_eq!(check_coinbase_value(block, params, height, fees), Ok(()), "{height}");
    }
    let _ =
        writeln!(std::io::stderr(), "{} blocks of {network}: the scripts of all {scripts} inputs hold", blocks.len());
    coins
}

/// What Bitcoin Core 31.99 said of the same files: coins and their sum, satoshis.
#[test]
fn whole_chains_leave_the_coins_that_core_found() {
    let sum = |coins: &BTreeMap<OutPoint, Coin>| coins.values().map(|coin| coin.value).sum::<u64>();
    if let Some(bytes) = file("testnet-contiguous/testnet_blocks.txt.zst") {
        let coins = sync(Network::Testnet3, blocks(bytes));
        assert_eq!((coins.len(), sum(&coins)), (4_197, 200_000 * COIN));
    }
    if let Some(bytes) = file("reorg-and-invalid/bitcoinkernel-block_data.txt.zst") {
        let coins = sync(Network::Regtest, blocks(bytes));
        assert_eq!((coins.len(), sum(&coins)), (230, 8_875 * COIN));
    }
    if let Some(bytes) = file("mainnet-contiguous/blk00000.dat") {
        let coins = sync(Network::Main, blocks(bytes));
        assert_eq!(sum(&coins), 4_312 * 50 * COIN, "no fee was lost in that year");
    }
    crate::lanes::tell();
}
