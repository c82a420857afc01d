//! What lanes did, as the JSON has it. Shows counters, judges none.

use super::format::thousands;
use super::view::View;
use crate::metrics::{Counter, Work};
use serde::Serialize;

/// Signatures settled eight at a time.
#[derive(Serialize)]
pub(super) struct Lanes {
    mode: &'static str,
    believed: bool,
    asked: u64,
    proven: u64,
    keys_left: u64,
    at_once: u64,
    scripts_failed: u64,
    scripts_refused: u64,
    scripts_undecided: u64,
    missed: u64,
    rechecked: u64,
    wrong: u64,
}

impl Lanes {
    /// In a few words: whether they decide, and what they did.
    pub(super) fn text(&self) -> String {
        match (self.mode, self.believed) {
            (_, false) => "OFF: they were wrong; see the log".into(),
            ("off", true) => "off".into(),
            (mode, true) => {
                format!("{mode}; {} proven, {} looked at again", thousands(self.proven), thousands(self.rechecked))
            }
        }
    }

    /// Of all cores together.
    pub(super) fn of(view: &View) -> Lanes {
        let sum = |of: fn(&Work) -> &Counter| view.setup.pages.sum(of);
        Lanes {
            mode: view.setup.lanes.word(),
            believed: !view.setup.trust.is_lost(),
            asked: sum(|work| &work.lane_asked),
            proven: sum(|work| &work.lane_proven),
            keys_left: sum(|work| &work.lane_key_left),
            at_once: sum(|work| &work.lane_at_once),
            scripts_failed: sum(|work| &work.lane_script_failed),
            scripts_refused: sum(|work| &work.lane_script_refused),
            scripts_undecided: sum(|work| &work.lane_script_undecided),
            missed: sum(|work| &work.lane_missed),
            rechecked: sum(|work| &work.lane_rechecked),
            wrong: sum(|work| &work.lane_wrong),
        }
    }
}
