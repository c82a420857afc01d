//! Decides whether a block is valid by itself, and whether it is at its height: all that can be
//! said without coins. Never sees a coin, never runs a script.

use crate::{Block, Commitment, MAX_MONEY, NEVER, Params, Rule, Tx, signet};

/// Core `MAX_BLOCK_WEIGHT`.
pub(crate) const MAX_BLOCK_WEIGHT: u64 = 4_000_000;
/// What a byte weighs that is no witness, and what a signature check costs outside one. Core
/// `WITNESS_SCALE_FACTOR`.
pub(crate) const WITNESS_SCALE: u64 = 4;
/// Core `MAX_BLOCK_SIGOPS_COST`.
pub(crate) const MAX_BLOCK_SIGOPS_COST: u64 = 80_000;

/// A rule, and whether a block keeps it.
pub type BlockRow = (Rule, fn(&Block) -> bool);
/// A rule, and whether a transaction of a block keeps it.
pub type TxRow = (Rule, fn(&Block, &Tx) -> bool);
/// A rule, and whether an output keeps it.
pub type OutputRow = (Rule, fn(&OutputCx) -> bool);

/// Rules of a whole block in the order of Core's `CheckBlock`, before its transactions are looked
/// at one by one.
pub const BLOCK: &[BlockRow] = &[
    (Rule::BadTxnmrklroot, |b| b.facts.merkle_root == b.header.merkle_root),
    (Rule::BadTxnsDuplicate, |b| !b.facts.merkle_mutated),
    // Without a coinbase, a transaction of 64 bytes may be two inner nodes of another block's merkle tree (Core
    // `IsBlockMutated`): the same root for other transactions, which says nothing of the header.
    (Rule::BadTxnmrklroot, |b| {
        b.txs.first().is_some_and(|tx| b.is_coinbase(tx)) || b.txs.iter().all(|tx| tx.stripped_len != 64)
    }),
    (Rule::BadBlkLength, fits),
    (Rule::BadCbMissing, |b| b.txs.first().is_some_and(|tx| b.is_coinbase(tx))),
    (Rule::BadCbMultiple, |b| !b.txs.iter().skip(1).any(|tx| b.is_coinbase(tx))),
];

/// Rules of a transaction's shape: the first part of Core's `CheckTransaction`.
pub const TX: &[TxRow] = &[
    (Rule::BadTxnsVinEmpty, |b, tx| !b.inputs_of(tx).is_empty()),
    (Rule::BadTxnsVoutEmpty, |b, tx| !b.outputs_of(tx).is_empty()),
    (Rule::BadTxnsOversize, |_, tx| u64::from(tx.stripped_len) * WITNESS_SCALE <= MAX_BLOCK_WEIGHT),
];

/// Rules of each of its outputs in turn: the second part.
pub const OUTPUT: &[OutputRow] = &[
    (Rule::BadTxnsVoutNegative, |out| out.value.cast_signed() >= 0),
    (Rule::BadTxnsVoutToolarge, |out| out.value <= MAX_MONEY),
    (Rule::BadTxnsTxouttotalToolarge, |out| out.total <= MAX_MONEY),
];

/// Rules of its inputs: the third part.
pub const INPUTS: &[TxRow] = &[
    (Rule::BadTxnsInputsDuplicate, inputs_differ),
    (Rule::BadCbLength, |b, tx| !b.is_coinbase(tx) || (2..=100).contains(&first_script(b, tx).len())),
    (Rule::BadTxnsPrevoutNull, |b, tx| {
        b.is_coinbase(tx) || !b.inputs_of(tx).iter().any(|input| b.names_no_coin(input))
    }),
];

/// An output as [`OUTPUT`] sees it.
#[derive(Copy, Clone, Debug)]
pub struct OutputCx {
    /// Its value, satoshis, whatever the bytes say.
    pub value: u64,
    /// That and all before it in the transaction.
    pub total: u64,
}

fn fits(block: &Block) -> bool {
    !block.txs.is_empty()
        && block.txs.len() as u64 * WITNESS_SCALE <= MAX_BLOCK_WEIGHT
        && block.facts.stripped_size * WITNESS_SCALE <= MAX_BLOCK_WEIGHT
}

/// Few inputs are compared in pairs, many are sorted: 100,000 fit into a block.
fn inputs_differ(block: &Block, tx: &Tx) -> bool {
    let inputs = block.inputs_of(tx);
    if inputs.len() <= 8 {
        let same = |a, b| block.prevout(a) == block.prevout(b);
        return !inputs.iter().enumerate().any(|(i, input)| inputs[..i].iter().any(|before| same(before, input)));
    }
    let mut prevouts: Vec<_> = inputs.iter().map(|input| block.prevout(input)).collect();
    prevouts.sort_unstable();
    prevouts.windows(2).all(|pair| pair[0] != pair[1])
}

fn first_script<'a>(block: &'a Block, tx: &Tx) -> &'a [u8] {
    block.inputs_of(tx).first().map_or(&[], |input| block.script(input.script))
}

fn outputs_in_range(block: &Block, tx: &Tx) -> Result<(), Rule> {
    let mut total = 0u64;
    for output in block.outputs_of(tx) {
        total = total.saturating_add(output.value);
        let cx = OutputCx { value: output.value, total };
        if let Some((rule, _)) = OUTPUT.iter().find(|(_, holds)| !holds(&cx)) {
            return Err(*rule);
        }
    }
    Ok(())
}

fn check_tx(block: &Block, tx: &Tx) -> Result<(), Rule> {
    let broken =
        |rows: &[TxRow]| rows.iter().find(|(_, holds)| !holds(block, tx)).map_or(Ok(()), |(rule, _)| Err(*rule));
    broken(TX)?;
    outputs_in_range(block, tx)?;
    broken(INPUTS)
}

/// The first rule that a block breaks by itself, wherever it stands. Core `CheckBlock` without the
/// header's rules.
pub fn check_block(b: &Block) -> Result<(), Rule> {
    if let Some((rule, _)) = BLOCK.iter().find(|(_, holds)| !holds(b)) {
        return Err(*rule);
    }
    b.txs.iter().try_for_each(|tx| check_tx(b, tx))?;
    if u64::from(b.facts.legacy_sigops) * WITNESS_SCALE > MAX_BLOCK_SIGOPS_COST {
        return Err(Rule::BadBlkSigops);
    }
    Ok(())
}

/// Where a block stands.
#[derive(Copy, Clone, Debug)]
pub struct BlockCx<'a> {
    /// The network's.
    pub params: &'a Params,
    /// The block's height.
    pub height: u32,
    /// Median time past of its parent, seconds since 1970.
    pub mtp_parent: u32,
}

/// A rule, the height from which it binds, and whether a block keeps it.
pub type BlockCxRow = (Rule, fn(&Params) -> u32, fn(&Block, &BlockCx) -> bool);

/// Rules of a block at its height in the order of Core's `ContextualCheckBlock`.
pub const BLOCK_CONTEXT: &[BlockCxRow] = &[
    // Core asks before all else, also of bytes that are not what the header stands for; here those are known by now.
    (
        Rule::BadSignetBlksig,
        |params| if params.signet_challenge.is_some() { 1 } else { NEVER },
        |b, cx| cx.params.signet_challenge.is_some_and(|challenge| signet::is_solved(b, challenge)),
    ),
    (Rule::BadTxnsNonfinal, |_| 0, is_final),
    (Rule::BadCbHeight, |params| params.bip34_height, |b, cx| coinbase_names(b, cx.height)),
    (Rule::BadWitnessNonceSize, |params| params.segwit_height, |b, _| b.facts.commitment != Commitment::NonceSize),
    (Rule::BadWitnessMerkleMatch, |params| params.segwit_height, |b, _| b.facts.commitment != Commitment::Mismatch),
    (Rule::UnexpectedWitness, |_| 0, |b, cx| !b.facts.has_witness || commits(b, cx)),
    (Rule::BadBlkWeight, |_| 0, |b, _| b.facts.weight <= MAX_BLOCK_WEIGHT),
];

/// Core `IsFinalTx` for all transactions at once. From BIP113 on the clock is the parent's median
/// time past, before it the block's own time.
fn is_final(block: &Block, cx: &BlockCx) -> bool {
    let now = if cx.height >= cx.params.csv_height { cx.mtp_parent } else { block.header.time };
    let past = |lock: u32, now: u32| lock == 0 || lock < now;
    past(block.facts.lock_height, cx.height) && past(block.facts.lock_time, now)
}

/// Whether there is a witness commitment that means something.
fn commits(block: &Block, cx: &BlockCx) -> bool {
    cx.height >= cx.params.segwit_height && block.facts.commitment != Commitment::Absent
}

fn coinbase_names(block: &Block, height: u32) -> bool {
    let (push, len) = height_push(height);
    block.txs.first().is_some_and(|tx| first_script(block, tx).starts_with(&push[..len]))
}

/// The push of a height as Core's `CScript << height` writes it, and its length: OP_0 to OP_16,
/// from there on a signed little-endian number in as few bytes as will do.
pub(crate) fn height_push(height: u32) -> ([u8; 6], usize) {
    let mut push = [0; 6];
    match height {
        0 => {}
        1..=16 => push[0] = 0x50 + height as u8,
        _ => {
            // One more bit than the number itself, for its sign.
            let len = (33 - height.leading_zeros()).div_ceil(8) as usize;
            push[0] = len as u8;
            push[1..5].copy_from_slice(&height.to_le_bytes());
            return (push, 1 + len);
        }
    }
    (push, 1)
}

/// The first rule that a block breaks at its height, given that it keeps those of
/// [`check_block`]. Takes no time, all is in its facts; but on signet, where it runs a script.
pub fn check_block_context(b: &Block, cx: &BlockCx) -> Result<(), Rule> {
    let broken = BLOCK_CONTEXT.iter().find(|(_, since, holds)| cx.height >= since(cx.params) && !holds(b, cx));
    broken.map_or(Ok(()), |(rule, ..)| Err(*rule))
}

#[cfg(test)]
mod tests;
