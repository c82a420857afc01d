//! Whose scripts are run: all, or only those that do not lie below a block that is assumed valid. Core
//! `ConnectBlock`, `script_check_reason`. Never runs one.

use super::Chain;
use crate::Cx;
use crate::effect::Level;
use crate::msg::Scripts;
use consensus::{U256, Work};
use ledger::NodeId;

/// A block is believed only with this much work above it, in the time it takes to find, seconds.
const BURIED_S: u64 = 2 * 7 * 24 * 60 * 60;

/// What was decided so far.
#[derive(Debug, Default)]
pub(super) struct Policy {
    /// Why the last block's scripts were run, `None` where they were not.
    last: Option<Option<&'static str>>,
    /// Blocks begun without running their scripts.
    pub(super) skipped: u64,
}

impl Chain {
    /// What becomes of a block's scripts; says so where that changes. Those of a block that was found valid in an earlier
    /// run are not run again.
    pub(super) fn scripts_of(&mut self, node: NodeId, cx: &mut Cx) -> Scripts {
        let height = self.height(node);
        if let Some((from, to)) = self.config.audit {
            return if (from..=to).contains(&height) { Scripts::Audit } else { Scripts::Skip };
        }
        if self.life(node).known {
            return Scripts::Skip;
        }
        let why = self.why_run_scripts(node);
        if self.scripts.last != Some(why) {
            self.scripts.last = Some(why);
            let hash = self.tree.node(node).hash;
            cx.log(
                Level::Info,
                match why {
                    Some(why) => format!("scripts are verified from block {height} ({hash}) on: {why}"),
                    None => {
                        format!("scripts are skipped from block {height} ({hash}) on: assumed valid (--assumevalid)")
                    }
                },
            );
        }
        self.scripts.skipped += u64::from(why.is_none());
        if why.is_some() { Scripts::Run } else { Scripts::Skip }
    }

    /// Why the scripts of this block are run; `None` where they are believed.
    fn why_run_scripts(&self, node: NodeId) -> Option<&'static str> {
        let Some(assumed) = self.config.assume_valid else { return Some("--assumevalid=0 (always)") };
        let Some(assumed) = self.tree.find(&assumed) else {
            return Some("the block assumed valid is not among the headers");
        };
        let best = self.tree.node(self.best);
        if !self.tree.descends(assumed, node) {
            return Some(match self.height(node) > self.height(assumed) {
                true => "it lies above the block assumed valid",
                false => "it is no ancestor of the block assumed valid",
            });
        }
        if !self.tree.descends(self.best, node) {
            return Some("it is not on the best header chain");
        }
        if best.work < self.config.min_work {
            return Some("the best header chain has less work than --min-chain-work");
        }
        if self.buried_s(node) <= U256::from(BURIED_S) {
            return Some("it is too recent on the best header chain");
        }
        None
    }

    /// How long finding what lies between a block and the best header takes at that header's difficulty, seconds. Core
    /// `GetBlockProofEquivalentTime`.
    fn buried_s(&self, node: NodeId) -> U256 {
        let best = self.tree.node(self.best);
        let above: Work = best.work.saturating_sub(self.work(node));
        let seconds = above.wrapping_mul_u32(self.config.params.target_spacing);
        seconds.checked_div(consensus::work_of(best.header.bits)).expect("a header's work is not zero")
    }

    /// Which scripts this node verifies, for people.
    pub(super) fn scripts_mode(&self) -> String {
        match (self.config.audit, self.config.assume_valid) {
            (Some((from, to)), _) => format!("audit of blocks {from} to {to}"),
            (None, None) => "every script is verified".into(),
            (None, Some(hash)) => format!("scripts up to block {hash} are assumed valid, all others verified"),
        }
    }
}
