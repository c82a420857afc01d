//! The life of worlds: begun with a job for every utxo shard and some verify shards, joined by countdown, retired in height
//! order, chosen by work, folded into the base or dropped. No world is ever undone.

use super::cut::cut;
use super::refuse::Refusal;
use super::trail::Point;
use super::{Chain, Stored, Verdict, World, WorldState};
use crate::effect::Side;
use crate::limits::GROWING_MAX;
use crate::msg::{From, Job, Msg, Place, ScriptFailure, Scripts};
use crate::note::{Effort, Note};
use crate::{Cx, ShardId};
use consensus::{Rule, Spends, check_coinbase_value, check_totals, time_lock_ok};
use ledger::worlds::Grown;
use ledger::{NodeId, WorldId};
use std::sync::Arc;

/// Memory that the versions of a world take, estimated from its block's bytes: a transaction of 60 bytes, with an input and
/// an output that anyone can spend, becomes two versions of 71 with their places in the tables, and a coin of 12.
const VERSION_BYTES_PER_BYTE: u64 = 3;

/// A countdown.
#[derive(Debug)]
pub(super) struct Growing {
    job: Arc<Job>,
    begun_ms: u64,
    utxos_left: u16,
    parts_left: usize,
    net: i64,
    duplicate: Option<u32>,
    verdicts: Vec<Option<(Spends, Option<ScriptFailure>)>>,
}

impl Chain {
    /// Begins worlds for blocks whose parent's world lives, lowest first, while there is room.
    pub(super) fn grow_ready(&mut self, cx: &mut Cx) {
        while self.growing < GROWING_MAX
            && (self.pipeline_room() || self.growing == 0)
            && let Some((_, node)) = self.ready.pop_first()
        {
            if !self.may_grow(node) {
                self.give_back(node, cx);
                continue;
            }
            let body = self.held.get_mut(&node).and_then(|held| held.body.take()).expect("ready blocks are held");
            self.begin_world(node, body, cx);
        }
    }

    fn begin_world(&mut self, node: NodeId, body: Arc<ledger::Body>, cx: &mut Cx) {
        let parent_node = self.tree.node(node).parent;
        let parent = self.life(parent_node).world.expect("ready: the parent's world lives");
        let world = self.next_world;
        self.next_world += 1;
        let (height, hash) = (self.height(node), self.tree.node(node).hash);
        let workers = self.config.workers;
        let (scripts, cuts) = match self.is_applied(node) {
            true => (Scripts::Skip, Vec::new()),
            false => (self.scripts_of(node, cx), cut(&body.block, workers.into())),
        };
        let mut parts = Vec::with_capacity(cuts.len());
        for (txs, _) in &cuts {
            parts.push((self.next_verify, txs.clone()));
            self.next_verify = (self.next_verify + 1) % workers;
        }
        // All inputs but the coinbase's.
        let taken = body.block.inputs.len().saturating_sub(1);
        let side = self.side(node);
        let job = Arc::new(Job {
            world,
            parent,
            side,
            height,
            mtp_parent: self.tree.median_time(parent_node),
            flags: self.config.params.script_flags(height, &hash),
            scripts,
            curve: self.curve_of(node),
            body,
            parts,
            inputs: cuts.into_iter().map(|(_, inputs)| inputs).collect(),
        });
        for utxo in 0..workers {
            cx.tell(ShardId::Utxo(utxo), Msg::Grow(job.clone()));
        }
        for (part, (verify, _)) in job.parts.iter().enumerate() {
            cx.tell(ShardId::Verify(*verify), Msg::Check { job: job.clone(), part });
        }
        let growing = Growing {
            begun_ms: cx.now_ms,
            utxos_left: workers,
            parts_left: job.parts.len(),
            verdicts: job.parts.iter().map(|_| None).collect(),
            net: 0,
            duplicate: None,
            job,
        };
        let state = WorldState::Growing(Box::new(growing));
        let bytes = self.held.get(&node).map_or(0, |held| held.bytes) * VERSION_BYTES_PER_BYTE;
        self.worlds_bytes += bytes;
        let (taken, children) = (taken as i64, Vec::new());
        let fresh = World { side, node, parent, children, state, coins: 0, taken, net: 0, bytes, effort: None };
        self.worlds.insert(world, fresh);
        self.worlds.get_mut(&parent).expect("lives").children.push(world);
        self.set_world(side, node, Some(world));
        self.growing += 1;
        self.trails.passed(node, Point::Begun, cx.now_ms);
        self.fetch.forget(node);
        let held = self.held.get_mut(&node).expect("just taken from it");
        held.growing = true;
        if !held.appending {
            self.pipeline_bytes += held.bytes;
        }
        let next = self.waiting.remove(&node).filter(|_| self.life(node).world == Some(world));
        for child in next.unwrap_or_default() {
            self.ready.insert((self.rank(child), child));
            self.settles.entry(child).or_default();
        }
    }

    /// Appends a held block once its parent's bytes are at least on their way: parents come first, but for a snapshot's.
    pub(super) fn append(&mut self, node: NodeId, cx: &mut Cx) {
        let mut ready = vec![node];
        while let Some(node) = ready.pop() {
            let parent = self.tree.node(node).parent;
            let comes_next = self.life(parent).stored != Stored::No || self.is_base(parent);
            if self.life(node).stored == Stored::No && comes_next {
                let Some(held) = self.held.get_mut(&node) else { continue };
                let Some(body) = held.body.clone() else { continue };
                held.appending = true;
                if !held.growing {
                    self.pipeline_bytes += held.bytes;
                }
                self.life_mut(node).stored = Stored::Appending;
                cx.tell(ShardId::Store, Msg::Append { node, body });
                ready.extend(self.waiting.get(&node).into_iter().flatten());
            }
        }
    }

    pub(super) fn durable(&mut self, nodes: Vec<(NodeId, Place)>, cx: &mut Cx) {
        for (node, place) in nodes {
            let life = self.life_mut(node);
            life.stored = Stored::Durable;
            life.place = Some(place);
            if let Some(held) = self.held.get_mut(&node) {
                held.appending = false;
            }
            self.trails.passed(node, Point::Durable, cx.now_ms);
            self.release(node);
            self.note_valid(node, cx);
            self.stored(node, cx);
            self.candidate(node, cx);
            self.settle_block(node, cx);
        }
        self.begin_to_compare(cx);
    }

    /// Counts a block's bytes no longer once it neither grows nor is being appended.
    pub(super) fn release(&mut self, node: NodeId) {
        let Some(held) = self.held.get(&node) else { return };
        if !held.growing && !held.appending {
            self.pipeline_bytes -= held.bytes;
            if held.body.is_none() {
                self.held.remove(&node);
            }
        }
    }

    /// Forgets the body of a block that waits in memory.
    pub(super) fn let_go(&mut self, node: NodeId, cx: &mut Cx) {
        self.settle_now(node, cx);
        let parent = self.tree.node(node).parent;
        self.ready.remove(&(self.rank(node), node));
        if let Some(waiting) = self.waiting.get_mut(&parent) {
            waiting.remove(&node);
            if waiting.is_empty() {
                self.waiting.remove(&parent);
            }
        }
        if let Some(held) = self.held.get_mut(&node) {
            held.body = None;
            if !held.growing && !held.appending {
                self.held.remove(&node);
            }
        }
    }

    pub(super) fn grown(&mut self, world: WorldId, grown: Grown, missing: u64, cx: &mut Cx) {
        let Some(growing) = self.growing(world) else { return };
        if missing > 0 && growing.job.parts.is_empty() {
            let node = self.worlds[&world].node;
            return self.lacks_coins(node, missing, cx);
        }
        growing.utxos_left -= 1;
        growing.net += grown.net;
        growing.duplicate = match (growing.duplicate, grown.duplicate) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.joined(world, cx);
    }

    pub(super) fn verdict(
        &mut self,
        world: WorldId,
        part: usize,
        spends: Spends,
        script: Option<ScriptFailure>,
        cx: &mut Cx,
    ) {
        let Some(growing) = self.growing(world) else { return };
        assert!(growing.verdicts[part].replace((spends, script)).is_none(), "one verdict a part");
        growing.parts_left -= 1;
        self.joined(world, cx);
    }

    /// None for a world that was dropped meanwhile: its answers still come and mean nothing.
    fn growing(&mut self, world: WorldId) -> Option<&mut Growing> {
        match &mut self.worlds.get_mut(&world)?.state {
            WorldState::Growing(growing) => Some(growing),
            other => unreachable!("an answer to world {world} after its last: {other:?}"),
        }
    }

    fn joined(&mut self, world: WorldId, cx: &mut Cx) {
        let WorldState::Growing(growing) = &self.worlds[&world].state else { return };
        if growing.utxos_left > 0 || growing.parts_left > 0 {
            return;
        }
        let node = self.worlds[&world].node;
        let result = self.judge(node, growing);
        let (net, block, ms) = (growing.net, &growing.job.body.block, cx.now_ms - growing.begun_ms);
        self.stats.checked(block);
        self.trails.passed(node, Point::Checked, cx.now_ms);
        self.growing -= 1;
        let held = self.held.get_mut(&node).expect("held while growing");
        held.growing = false;
        let from = held.from;
        let effort = Effort {
            txs: block.txs.len() as u32,
            inputs: block.inputs.len().saturating_sub(1) as u32,
            bytes: block.bytes.len() as u32,
            ms,
            peer: self.address(from),
        };
        self.release(node);
        let this = self.worlds.get_mut(&world).expect("just seen");
        (this.state, this.net, this.effort) = (WorldState::Checked(result, from), net, Some(effort));
        self.retire(world, cx);
    }

    /// Puts the parts together, in transaction order, as Core's `ConnectBlock` goes through them; scripts, which it hands
    /// to other threads, have the last word.
    fn judge(&self, node: NodeId, growing: &Growing) -> Result<(), Refusal> {
        let (params, job) = (self.config.params, &growing.job);
        if job.parts.is_empty() {
            return Ok(());
        }
        let block = &job.body.block;
        let refuse = |rule, tx| Err(Refusal { tx, ..Refusal::from(rule) });
        if let Some(tx) = growing.duplicate {
            let parent = self.tree.node(node).parent;
            let ancestor = self.tree.ancestor(parent, params.bip34_height).map(|id| self.tree.node(id).hash);
            if params.bip30_applies(job.height, &block.hash, ancestor.as_ref()) {
                return refuse(Rule::BadTxnsBip30, Some(tx));
            }
        }
        let (mut fees, mut sigop_cost) = (0u64, 0u64);
        for (spends, _) in growing.verdicts.iter().flatten() {
            let locked = spends.time_locks.iter().find(|lock| {
                let before_coin = self.tree.ancestor(node, lock.coin_height.saturating_sub(1)).expect("below");
                !time_lock_ok(lock.units, self.tree.median_time(before_coin), job.mtp_parent)
            });
            if let Some(lock) = locked
                && spends.failure.is_none_or(|(tx, _)| lock.tx <= tx)
            {
                return refuse(Rule::SequenceLock, Some(lock.tx));
            }
            sigop_cost += spends.sigop_cost;
            check_totals(0, sigop_cost).or_else(|rule| refuse(rule, None))?;
            if let Some((tx, rule)) = spends.failure {
                return refuse(rule, Some(tx));
            }
            fees = fees.saturating_add(spends.fees);
            check_totals(fees, sigop_cost).or_else(|rule| refuse(rule, None))?;
        }
        check_coinbase_value(block, params, job.height, fees).or_else(|rule| refuse(rule, Some(0)))?;
        match growing.verdicts.iter().flatten().find_map(|(_, script)| *script) {
            Some(ScriptFailure { tx, input, error }) => {
                Err(Refusal { rule: Rule::BlockScriptVerifyFlagFailed, tx: Some(tx), script: Some((input, error)) })
            }
            None => Ok(()),
        }
    }

    /// Verdicts become final in height order: a block is valid when its parent is.
    fn retire(&mut self, world: WorldId, cx: &mut Cx) {
        let mut next = vec![world];
        while let Some(world) = next.pop() {
            let Some(this) = self.worlds.get(&world) else { continue };
            let (node, side) = (this.node, this.side);
            let (WorldState::Checked(result, from), Some(effort)) = (&this.state, this.effort) else { continue };
            let (result, from) = (*result, *from);
            // Its world, not its life: that may be valid from before all coins were rebuilt.
            let parent = &self.worlds[&this.parent];
            if !matches!(parent.state, WorldState::Valid) {
                continue;
            }
            let coins = parent.coins + this.net;
            match result {
                Ok(()) => {
                    self.life_mut(node).verdict = Verdict::Valid;
                    self.trails.passed(node, Point::Valid, cx.now_ms);
                    let this = self.worlds.get_mut(&world).expect("just seen");
                    (this.state, this.coins) = (WorldState::Valid, coins);
                    next.extend(&this.children);
                    let (height, hash) = (self.height(node), self.tree.node(node).hash);
                    cx.note(Note::Connected { height, hash, effort });
                    self.note_valid(node, cx);
                    match side {
                        Side::History => self.history_grew(node, cx),
                        Side::Tip => {
                            self.candidate(node, cx);
                            self.fold_rebuilt(node, cx);
                        }
                    }
                    self.settle_block(node, cx);
                }
                Err(refusal) => {
                    self.refuse(node, refusal, cx);
                    if let From::Peer(peer, _) = from {
                        self.punish(peer, format!("{refusal}: block {}", self.tree.node(node).hash), cx);
                    }
                }
            }
        }
    }

    /// Has it noted for later runs that a block is valid, once it is that and durable. An audit finds nothing valid: it
    /// does not refuse what fails.
    pub(super) fn note_valid(&mut self, node: NodeId, cx: &mut Cx) {
        let life = self.life(node);
        let valid = life.verdict == Verdict::Valid && !self.is_assumed(node);
        let new = valid && life.stored == Stored::Durable && !life.known;
        if let Some(place) = life.place.filter(|place| new && place.file == 0 && self.config.audit.is_none()) {
            self.life_mut(node).known = true;
            cx.tell(ShardId::Store, Msg::Valid { at: place.at });
        }
    }

    /// Tells whoever waits for this block's verdict, once there is one and it is visible.
    pub(super) fn settle_block(&mut self, node: NodeId, cx: &mut Cx) {
        let life = self.life(node);
        let (valid, refused) = (life.verdict == Verdict::Valid, matches!(life.verdict, Verdict::Refused(_)));
        let ended = valid && life.stored == Stored::Durable;
        if ended {
            self.trails.ended(node, cx.now_ms);
        }
        if ended || refused {
            self.settle_now(node, cx);
        }
    }

    /// Nothing more will come of this block for now.
    pub(super) fn settle_now(&mut self, node: NodeId, cx: &mut Cx) {
        for (peer, seq) in self.settles.remove(&node).unwrap_or_default() {
            self.settle(peer, seq, cx);
        }
    }
}
