//! How far changes of the rules have come on a branch: heights that are written down, and what blocks signal for (BIP9).
//! The states themselves are `consensus::versionbits`'; here are the headers it asks for and what it learnt.

use super::Chain;
use crate::report;
use consensus::versionbits::{Past, State};
use consensus::{BURIED, Deployment};
use ledger::{Headers, NodeId};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The state after the period that ends with a block, by deployment. At most one for each period of each branch: the
/// headers themselves take a thousand times the room.
pub(super) type Known = BTreeMap<(u8, NodeId), State>;

/// The blocks below `leaf`, and it.
struct Branch<'a> {
    tree: &'a Headers,
    leaf: NodeId,
    index: u8,
    known: &'a mut Known,
}

impl Branch<'_> {
    fn at(&self, height: u32) -> NodeId {
        self.tree.ancestor(self.leaf, height).expect("only heights up to the leaf's are asked for")
    }
}

impl Past for Branch<'_> {
    fn median_time(&self, height: u32) -> u32 {
        self.tree.median_time(self.at(height))
    }

    fn version(&self, height: u32) -> i32 {
        self.tree.node(self.at(height)).header.version
    }

    fn known(&self, end: u32) -> Option<State> {
        self.known.get(&(self.index, self.at(end))).copied()
    }

    fn learn(&mut self, end: u32, state: State) {
        self.known.insert((self.index, self.at(end)), state);
    }
}

impl Chain {
    /// Deployments by version bits with their numbers, but for those that can never come (Core `DeploymentEnabled`).
    fn signalled(&self) -> impl Iterator<Item = (&'static Deployment, u8)> + use<> {
        let enabled = |(deployment, _): &(&Deployment, u8)| deployment.start != Deployment::NEVER_ACTIVE;
        self.config.params.deployments.iter().zip(0..).filter(enabled)
    }

    fn branch(&mut self, leaf: NodeId, index: u8) -> Branch<'_> {
        Branch { tree: &self.tree, leaf, index, known: &mut self.deployed }
    }

    /// Where each deployment by version bits is in the block `node`.
    pub(super) fn deployments(&mut self, node: NodeId) -> Vec<report::Deployment> {
        let (height, signalled) = (self.height(node), self.signalled());
        let row = |(deployment, index): (&'static Deployment, u8)| {
            let past = &mut self.branch(node, index);
            let (state, since) = (deployment.state(height, past), deployment.since(height, past));
            report::Deployment { name: deployment.name, state: state.name(), since }
        };
        signalled.map(row).collect()
    }

    /// `deployments [HEIGHT|HASH]`: what Core's `getdeploymentinfo` says of that block, in plain text.
    pub(super) fn tell_deployments(&mut self, node: NodeId) -> String {
        let height = self.height(node);
        let mut out = format!("block      {}\nheight     {height}\n", self.tree.node(node).hash);
        for buried in &BURIED {
            let since = buried.since(self.config.params);
            let state = if since <= height + 1 { "active" } else { "not yet" };
            let _ = writeln!(out, "{:<10} {state}, from height {since} on", buried.name);
        }
        for (row, (deployment, index)) in self.deployments(node).into_iter().zip(self.signalled()) {
            let past = &mut self.branch(node, index);
            let next = deployment.state(height + 1, past).name();
            let _ = write!(out, "{:<10} {} since height {}, next block {next}", row.name, row.state, row.since);
            if let Some(signals) = deployment.signals_at(height, past) {
                let (count, elapsed, needed, period) =
                    (signals.count, signals.elapsed, deployment.threshold, deployment.period);
                let _ = write!(out, "; bit {}: {count} of {elapsed} blocks signal", deployment.bit);
                if row.state == State::Started.name() {
                    let still = if signals.possible { "" } else { ", which this period cannot reach" };
                    let _ = write!(out, ", {needed} of {period} needed{still}");
                }
            }
            out.push('\n');
        }
        out.trim_end().to_owned()
    }
}
