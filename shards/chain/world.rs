//! What is known of a live world: its place among others, how far its block is checked, and what it comes to.

use super::grow::Growing;
use super::refuse::Refusal;
use crate::effect::Side;
use crate::msg::From;
use crate::note::Effort;
use ledger::{NodeId, WorldId};

/// A live world above the root, or the root itself.
#[derive(Debug)]
pub(super) struct World {
    pub(super) side: Side,
    pub(super) node: NodeId,
    pub(super) parent: WorldId,
    pub(super) children: Vec<WorldId>,
    pub(super) state: WorldState,
    /// Coins in it once valid; before that what it makes less what it takes.
    pub(super) coins: i64,
    /// Coins that its block takes, be they there or not; and, once they are counted, those it makes less that.
    pub(super) taken: i64,
    pub(super) net: i64,
    /// Estimate of the memory its versions take.
    pub(super) bytes: u64,
    /// What its block held, once that is checked.
    pub(super) effort: Option<Effort>,
}

impl World {
    /// The one over the base, that of this block.
    pub(super) fn root(node: NodeId, name: WorldId, side: Side) -> World {
        let state = WorldState::Valid;
        let effort = None;
        World { side, node, parent: name, children: Vec::new(), state, coins: 0, taken: 0, net: 0, bytes: 0, effort }
    }
}

#[derive(Debug)]
pub(super) enum WorldState {
    Growing(Box<Growing>),
    /// All answers are there; the parent's verdict is not.
    Checked(Result<(), Refusal>, From),
    Valid,
}
