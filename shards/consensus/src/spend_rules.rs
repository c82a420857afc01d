//! Decides whether the transactions of a block may spend the coins they name: amounts, maturity,
//! relative locks, signature checks. Never finds a coin (the caller does) and never runs a script.

use crate::{
    Block, Input, MAX_MONEY, Params, Rule, Tx,
    block_rules::{MAX_BLOCK_SIGOPS_COST, WITNESS_SCALE},
    script::{self, Flags},
};
use std::ops::Range;

/// Blocks a coinbase's coin waits for. Core `COINBASE_MATURITY`.
const COINBASE_MATURITY: u32 = 100;
/// BIP68: this bit of a sequence says that it is no lock.
pub(crate) const LOCK_DISABLED: u32 = 1 << 31;
/// BIP68: this bit says that the lock counts 512 seconds, not blocks.
pub(crate) const LOCK_IS_TIME: u32 = 1 << 22;
/// BIP68: these bits hold the count.
pub(crate) const LOCK_MASK: u32 = 0xffff;
/// BIP68: seconds in a unit of a lock by time.
const LOCK_UNIT_S: u64 = 512;

/// A coin that an input spends.
#[derive(Copy, Clone, Debug)]
pub struct CoinView<'a> {
    /// Satoshis.
    pub value: u64,
    /// Height of the block that made it.
    pub height: u32,
    /// Whether a coinbase made it.
    pub coinbase: bool,
    /// What it takes to spend it.
    pub script: &'a [u8],
}

/// Where a block stands, and which script rules it is under.
#[derive(Copy, Clone, Debug)]
pub struct SpendCx {
    /// The block's height.
    pub height: u32,
    /// Relative locks bind under CHECKSEQUENCEVERIFY; P2SH and witness scripts count under their flags.
    pub flags: Flags,
}

/// A relative lock by time (BIP68). It needs the time of an old block, which only the tree of
/// headers knows; [`time_lock_ok`] settles it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct TimeLock {
    /// Index in the block of the transaction that spends the coin.
    pub tx: u32,
    /// Height of the block that made the coin; the lock runs from the median time past of the
    /// block before that (of the genesis block for height 0).
    pub coin_height: u32,
    /// How long it runs, in units of 512 seconds.
    pub units: u32,
}

/// What became of a part of a block's transactions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Spends {
    /// Fees of all transactions before the failing one, satoshis.
    pub fees: u64,
    /// Cost of their signature checks.
    pub sigop_cost: u64,
    /// Their locks by time, still to be settled; the failing one's may be among them.
    pub time_locks: Vec<TimeLock>,
    /// Index in the block of the first transaction that breaks a rule, and the rule.
    pub failure: Option<(u32, Rule)>,
}

/// A coin as [`COIN_SPEND`] sees it.
#[derive(Copy, Clone, Debug)]
pub struct CoinCx<'a> {
    /// The coin.
    pub coin: CoinView<'a>,
    /// Height of the block that spends it.
    pub height: u32,
    /// What it and the coins before it in the transaction are worth, satoshis.
    pub total: u64,
}

/// A rule, and whether the spending of a coin keeps it.
pub type CoinRow = (Rule, fn(&CoinCx) -> bool);
/// A rule, and whether a transaction's value keeps it.
pub type ValueRow = (Rule, fn(&ValueCx) -> bool);

/// Rules of each coin that is spent, in the order of Core's `CheckTxInputs`; that it is there
/// comes first, for all coins of the transaction.
pub const COIN_SPEND: &[CoinRow] = &[
    (Rule::BadTxnsPrematureSpendOfCoinbase, |cx| {
        !cx.coin.coinbase || cx.height.saturating_sub(cx.coin.height) >= COINBASE_MATURITY
    }),
    (Rule::BadTxnsInputvaluesOutofrange, |cx| cx.coin.value <= MAX_MONEY && cx.total <= MAX_MONEY),
];

/// A transaction's value as [`TX_VALUE`] sees it.
#[derive(Copy, Clone, Debug)]
pub struct ValueCx {
    /// Satoshis that go in.
    pub spent: u64,
    /// Satoshis that come out.
    pub made: u64,
}

/// Rules of a transaction's value, in the order of Core's `CheckTxInputs`. The second cannot be
/// broken by what kept the rules before it; Core asks all the same.
pub const TX_VALUE: &[ValueRow] = &[
    (Rule::BadTxnsInBelowout, |cx| cx.spent >= cx.made),
    (Rule::BadTxnsFeeOutofrange, |cx| cx.spent.saturating_sub(cx.made) <= MAX_MONEY),
];

/// Checks a contiguous part of a block's transactions against the coins they spend. Different
/// parts may be checked on different cores; [`check_totals`] and [`check_coinbase_value`] then
/// speak on the sums.
///
/// `coin(i)` is the coin that `b.inputs[i]` spends, `None` if it is missing or spent; it is not
/// asked for the coinbase's. The block has passed [`crate::check_block`].
pub fn check_spends<'c>(
    b: &Block,
    txs: Range<u32>,
    coin: impl Fn(u32) -> Option<CoinView<'c>>,
    cx: &SpendCx,
) -> Spends {
    let (mut spends, mut coins) = (Spends::default(), Vec::new());
    for index in txs {
        let tx = &b.txs[index as usize];
        coins.clear();
        let checked = if index == 0 { Ok(0) } else { check_inputs(b, tx, &coin, cx, &mut coins) };
        let fees = checked.map(|fee| spends.fees + fee);
        let sums = fees.and_then(|fees| {
            // Sums of two amounts in range, and a block's signature checks, are far below 2^64.
            in_range(fees)?;
            sequence_locks(b, (index, tx), &coins, cx, &mut spends.time_locks)?;
            let sigop_cost = spends.sigop_cost + sigop_cost(b, tx, &coins, cx);
            in_budget(sigop_cost)?;
            Ok((fees, sigop_cost))
        });
        match sums {
            Ok(sums) => (spends.fees, spends.sigop_cost) = sums,
            Err(rule) => {
                spends.failure = Some((index, rule));
                break;
            }
        }
    }
    spends
}

/// Finds the coins of one transaction and gives its fee. Core `CheckTxInputs`.
fn check_inputs<'c>(
    b: &Block,
    tx: &Tx,
    coin: &impl Fn(u32) -> Option<CoinView<'c>>,
    cx: &SpendCx,
    coins: &mut Vec<CoinView<'c>>,
) -> Result<u64, Rule> {
    for input in tx.inputs.0..tx.inputs.1 {
        coins.push(coin(input).ok_or(Rule::BadTxnsInputsMissingorspent)?);
    }
    let mut spent = 0u64;
    for &coin in &*coins {
        spent = spent.saturating_add(coin.value);
        let coin_cx = CoinCx { coin, height: cx.height, total: spent };
        if let Some((rule, _)) = COIN_SPEND.iter().find(|(_, holds)| !holds(&coin_cx)) {
            return Err(*rule);
        }
    }
    let made = b.outputs_of(tx).iter().map(|output| output.value).fold(0, u64::saturating_add);
    let value = ValueCx { spent, made };
    match TX_VALUE.iter().find(|(_, holds)| !holds(&value)) {
        Some((rule, _)) => Err(*rule),
        None => Ok(spent - made),
    }
}

fn in_range(fees: u64) -> Result<(), Rule> {
    if fees <= MAX_MONEY { Ok(()) } else { Err(Rule::BadTxnsAccumulatedFeeOutofrange) }
}

fn in_budget(sigop_cost: u64) -> Result<(), Rule> {
    if sigop_cost <= MAX_BLOCK_SIGOPS_COST { Ok(()) } else { Err(Rule::BadBlkSigopsCost) }
}

/// Locks by height are settled here, locks by time are noted. Core `CalculateSequenceLocks`.
fn sequence_locks(
    b: &Block,
    (index, tx): (u32, &Tx),
    coins: &[CoinView],
    cx: &SpendCx,
    time_locks: &mut Vec<TimeLock>,
) -> Result<(), Rule> {
    if !cx.flags.has(Flags::CHECKSEQUENCEVERIFY) || tx.version < 2 {
        return Ok(());
    }
    for (input, coin) in b.inputs_of(tx).iter().zip(coins) {
        let units = input.sequence & LOCK_MASK;
        if input.sequence & LOCK_DISABLED != 0 {
            continue;
        }
        if input.sequence & LOCK_IS_TIME != 0 {
            time_locks.push(TimeLock { tx: index, coin_height: coin.height, units });
        } else if coin.height.saturating_add(units) > cx.height {
            return Err(Rule::SequenceLock);
        }
    }
    Ok(())
}

/// Whether a lock of `units` × 512 seconds is over: `mtp_before_coin` is the median time past of
/// the block before the coin's own, `mtp_parent` that of the spending block's parent. If not, the
/// rule broken is [`Rule::SequenceLock`]. Core `EvaluateSequenceLocks`.
pub fn time_lock_ok(units: u32, mtp_before_coin: u32, mtp_parent: u32) -> bool {
    u64::from(mtp_before_coin) + u64::from(units) * LOCK_UNIT_S <= u64::from(mtp_parent)
}

/// What the signature checks of a transaction cost; of a coinbase, which has no coins, only the
/// legacy ones. Core `GetTransactionSigOpCost`.
fn sigop_cost(b: &Block, tx: &Tx, coins: &[CoinView], cx: &SpendCx) -> u64 {
    let of_input = |(input, coin): (&Input, &CoinView)| {
        let input_script = b.script(input.script);
        let p2sh = if cx.flags.has(Flags::P2SH) { script::p2sh_sigops(coin.script, input_script) } else { 0 };
        let witness = if cx.flags.has(Flags::WITNESS) {
            script::witness_sigops(coin.script, input_script, b.witness(input).last())
        } else {
            0
        };
        u64::from(p2sh) * WITNESS_SCALE + u64::from(witness)
    };
    u64::from(tx.sigops) * WITNESS_SCALE + b.inputs_of(tx).iter().zip(coins).map(of_input).sum::<u64>()
}

/// Checks the sums over all parts of a block: fees in satoshis, cost of signature checks.
pub fn check_totals(fees: u64, sigop_cost: u64) -> Result<(), Rule> {
    in_range(fees)?;
    in_budget(sigop_cost)
}

/// Checks that the coinbase pays out no more than `fees`, those of all parts, and the subsidy.
pub fn check_coinbase_value(b: &Block, params: &Params, height: u32, fees: u64) -> Result<(), Rule> {
    let reward = fees.saturating_add(params.subsidy(height));
    if b.facts.coinbase_value <= reward { Ok(()) } else { Err(Rule::BadCbAmount) }
}

#[cfg(test)]
mod tests;
