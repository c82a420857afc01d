//! Whose scripts are run: all, or only those that do not lie below a block that is assumed valid. Core
//! `ConnectBlock`, `script_check_reason`. And who settles the signatures of those that are run: libsecp256k1, or lanes where
//! a chain that is false would cost its makers the work of many blocks. Never runs one.

use super::{Chain, WorldState};
use crate::Cx;
use crate::effect::Level;
use crate::effect::Side;
use crate::msg::Scripts;
use crate::prover::{Curve, Mode};
use consensus::{BlockHash, U256, Work};
use ledger::{NodeId, WorldId};

/// A block is believed only with this much work above it, in the time it takes to find, seconds.
const BURIED_S: u64 = 2 * 7 * 24 * 60 * 60;
/// Lanes decide on a block with so many times the work of the best header above it.
const BURIED_HEADERS: u64 = 100;

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

    /// Who settles the signatures of a block.
    pub(super) fn curve_of(&self, node: NodeId) -> Curve {
        match self.config.lanes {
            Mode::Off => Curve::Libsecp,
            Mode::Check => Curve::Both,
            Mode::All => Curve::Lanes,
            Mode::Auto if self.is_buried(node) => Curve::Lanes,
            Mode::Auto => Curve::Libsecp,
        }
    }

    /// Whether a block lies deep in the best header chain, and that has the work that a chain must have.
    fn is_buried(&self, node: NodeId) -> bool {
        let enough = self.tree.node(self.best).work >= self.config.min_work;
        self.tree.descends(self.best, node) && enough && self.headers_above(node, 1) >= U256::from(BURIED_HEADERS)
    }

    /// So many times the work that the best header chain has above a block, in headers like its last.
    fn headers_above(&self, node: NodeId, times: u32) -> U256 {
        let best = self.tree.node(self.best);
        let above: Work = best.work.saturating_sub(self.work(node));
        let header = consensus::work_of(best.header.bits);
        above.wrapping_mul_u32(times).checked_div(header).expect("a header's work is not zero")
    }

    /// Lanes said yes to a signature that is bad. They are believed no more, and what they may have been asked of is
    /// verified again from its start: all blocks without a verdict.
    pub(super) fn doubted(&mut self, found: Option<(BlockHash, u32)>, cx: &mut Cx) {
        if let Some((block, height)) = found {
            cx.log(
                Level::Warn,
                format!(
                    "LANES ARE WRONG: in block {block} (height {height}) they proved a signature that libsecp256k1 refuses. \
                     They are off from now on, and all blocks on their way are verified again. This is a fault of the \
                     processor or of caesure: please report it, and start with --lanes off"
                ),
            );
        }
        if std::mem::replace(&mut self.config.lanes, Mode::Off) == Mode::Off {
            return;
        }
        let open: Vec<_> = self.worlds.iter().filter(|(_, world)| !matches!(world.state, WorldState::Valid)).collect();
        let (mut worlds, mut nodes) = (std::collections::BTreeMap::<Side, Vec<WorldId>>::new(), Vec::new());
        for (name, world) in open {
            worlds.entry(world.side).or_default().push(*name);
            nodes.push(world.node);
        }
        worlds.into_values().for_each(|worlds| self.drop_worlds(worlds, cx));
        nodes.into_iter().for_each(|node| self.add_target(node));
        self.new_leaf(self.best);
    }

    /// How long finding what lies between a block and the best header takes at that header's difficulty, seconds. Core
    /// `GetBlockProofEquivalentTime`.
    fn buried_s(&self, node: NodeId) -> U256 {
        self.headers_above(node, self.config.params.target_spacing)
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
