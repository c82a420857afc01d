//! Blocks that broke a rule: remembered for ever with all that build on them, dropped, and said in Core's words.

use super::{Chain, Verdict};
use crate::effect::{Level, Side};
use crate::msg::Msg;
use crate::{Cx, ShardId};
use consensus::Rule;
use consensus::script::ScriptError;
use ledger::NodeId;

/// Why a block is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) rule: Rule,
    /// Index of the transaction that broke it, where one did.
    pub(super) tx: Option<u32>,
    /// Which of its inputs, and what is wrong with the script.
    pub(super) script: Option<(u32, ScriptError)>,
}

impl std::convert::From<Rule> for Refusal {
    fn from(rule: Rule) -> Refusal {
        Refusal { rule, tx: None, script: None }
    }
}

/// As Core builds it: the reject string, and for scripts the error in brackets; then where it is.
impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.rule)?;
        match (self.tx, self.script) {
            (Some(tx), Some((input, error))) => write!(f, " ({error}), transaction {tx}, input {input}"),
            (Some(tx), None) => write!(f, ", transaction {tx}"),
            _ => Ok(()),
        }
    }
}

impl Chain {
    /// Remembers for ever that a block is invalid, with all that build on it; the next best takes over.
    pub(super) fn refuse(&mut self, node: NodeId, refusal: Refusal, cx: &mut Cx) {
        if self.refused(node).is_some() {
            return;
        }
        let (hash, rule) = (self.tree.node(node).hash, refusal.rule);
        let line = format!("block {hash} (height {}) is refused: {refusal}: {}", self.height(node), rule.must());
        cx.log(Level::Warn, line);
        // What coins of an unverified snapshot make of a block is not for ever.
        if self.config.audit.is_none() && (self.history.is_none() || self.side(node) == Side::History) {
            cx.tell(ShardId::Store, Msg::Refused { hash, reject: rule.reject() });
        }
        if self.history_refused(node, cx) {
            return;
        }
        self.life_mut(node).verdict = Verdict::Refused(rule.reject());
        let mut refused = vec![node];
        for id in node + 1..self.tree.len() as NodeId {
            if self.refused(self.tree.node(id).parent).is_some() && self.refused(id).is_none() {
                self.life_mut(id).verdict = Verdict::Refused(Rule::BadPrevblk.reject());
                refused.push(id);
            }
        }
        let mut dropped = Vec::new();
        for id in refused {
            self.let_go(id, cx);
            self.fetch.forget(id);
            dropped.extend(self.life(id).world);
            self.settle_block(id, cx);
        }
        self.drop_worlds(dropped, cx);
        self.find_best();
        self.new_leaf(self.best);
    }
}
