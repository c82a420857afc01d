//! What has become of the outputs of some transactions in one world: a question from a page, to the utxo shards that own them.
//! Decides how question and answer are written, for `blocks.rs`; never sees a coin.

use super::which;
use crate::Cx;
use crate::ShardId;
use crate::msg::{Msg, Question, Which};
use crate::topology::Plan;
use consensus::{BlockHash, Txid};
use ledger::worlds::Fate;
use ledger::{WorldId, partition_of};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Outputs that may be asked about at once.
pub(super) const OUTPUTS_MAX: u32 = 1_000;

/// Transactions, and how many outputs of each, the first ones.
pub(super) type Outputs = Vec<(Txid, u32)>;

/// A question under way.
#[derive(Debug)]
pub(super) struct Fates {
    asked: Outputs,
    /// Height and block of the world.
    world: (u32, BlockHash),
    /// Utxo shards that have not answered.
    missing: usize,
    came: BTreeMap<Txid, Vec<Fate>>,
}

/// A question in words: the block in whose world to look, the tip's if none, and each transaction with its number of outputs.
pub(super) fn question(block: Option<BlockHash>, txs: &[(Txid, u32)]) -> String {
    let mut text = "fates".to_owned();
    if let Some(block) = block {
        let _ = write!(text, " @{block}");
    }
    for (txid, outputs) in txs {
        let _ = write!(text, " {txid}:{outputs}");
    }
    text
}

/// What the words behind `fates` ask for.
pub(super) fn asked(words: &[&str]) -> Result<(Option<Which>, Outputs), String> {
    let usage = "error: say fates TXID:COUNT …, for that many outputs of each; before them may go @HEIGHT or @HASH, for the world of a block";
    let (block, txs) = match words.split_first() {
        Some((first, rest)) if first.starts_with('@') => (Some(which(&first[1..])?), rest),
        _ => (None, words),
    };
    let one = |word: &&str| {
        let (txid, outputs) = word.split_once(':')?;
        Some((txid.parse().ok()?, outputs.parse().ok()?))
    };
    let txs: Outputs =
        txs.iter().map(one).collect::<Option<_>>().filter(|txs: &Outputs| !txs.is_empty()).ok_or(usage)?;
    let outputs = txs.iter().map(|(_, outputs)| u64::from(*outputs)).sum::<u64>();
    if outputs > OUTPUTS_MAX.into() {
        return Err(format!("error: {outputs} outputs; at most {OUTPUTS_MAX} can be asked about at once"));
    }
    Ok((block, txs))
}

/// An answer, read again.
pub(super) struct Fated<'a> {
    /// Of the block in whose world it holds.
    pub height: u32,
    /// A word for each output that was asked about.
    pub words: Vec<&'a str>,
}

impl Fated<'_> {
    /// The answer, or why there is none.
    pub(super) fn read(answer: &str) -> Result<Fated<'_>, String> {
        let why = || answer.strip_prefix("error: ").unwrap_or("the node did not answer").to_owned();
        let (world, words) = answer.split_once('\n').ok_or_else(why)?;
        let height = world.split(' ').next().and_then(|height| height.parse().ok()).ok_or_else(why)?;
        Ok(Fated { height, words: words.split_whitespace().collect() })
    }
}

impl Fates {
    /// Asks those who own the outputs.
    pub(super) fn ask(
        question: u64,
        asked: Outputs,
        (world, height, block): (WorldId, u32, BlockHash),
        plan: &Plan,
        cx: &mut Cx,
    ) -> Fates {
        let mut parts: BTreeMap<ShardId, Outputs> = BTreeMap::new();
        for (txid, outputs) in &asked {
            parts.entry(plan.owner(partition_of(txid))).or_default().push((*txid, *outputs));
        }
        let missing = parts.len();
        for (owner, txs) in parts {
            cx.tell(owner, Msg::Look { question, what: Question::Fates(txs, world) });
        }
        Fates { asked, world: (height, block), missing, came: BTreeMap::new() }
    }

    /// One shard has answered; all of the answer once it was the last. A line for the world, then a word for each output, by
    /// transaction: `u` unspent, the height of the block that took it, or `-` where that is older than the horizon.
    pub(super) fn came(&mut self, part: Vec<(Txid, Vec<Fate>)>) -> Option<String> {
        self.came.extend(part);
        self.missing -= 1;
        (self.missing == 0).then(|| {
            let mut text = format!("{} {}", self.world.0, self.world.1);
            for (txid, _) in &self.asked {
                text.push('\n');
                for fate in &self.came[txid] {
                    let _ = match fate {
                        Fate::Unspent => write!(text, "u "),
                        Fate::Spent(height) => write!(text, "{height} "),
                        Fate::Gone => write!(text, "- "),
                    };
                }
            }
            text
        })
    }
}
