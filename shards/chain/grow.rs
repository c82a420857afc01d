//! The life of worlds: begun with a job for every utxo shard and some verify shards, joined by countdown, retired in height
//! order, chosen by work, folded into the base or dropped. No world is ever undone.

use super::{Chain, Stored, Verdict, World, WorldState};
use crate::effect::Level;
use crate::limits::{FAR_BLOCKS, GROWING_MAX, HORIZON_BLOCKS, HORIZON_SYNC_BLOCKS};
use crate::msg::{From, Job, Msg, Place};
use crate::{Cx, ShardId};
use consensus::{Block, BlockHash, Rule, Spends, check_coinbase_value, check_totals, time_lock_ok};
use ledger::worlds::Grown;
use ledger::{NodeId, WorldId};
use std::ops::Range;
use std::sync::Arc;

/// Inputs worth a verify shard of their own.
const INPUTS_PER_PART: usize = 256;
/// Memory that the versions of a world take, estimated from its block's bytes: an output of 31 bytes on the wire becomes
/// a version of about 120.
const VERSION_BYTES_PER_BYTE: u64 = 4;
/// While far below the best header worlds are folded this many at a time.
const FOLD_BLOCKS: u32 = 8;
/// Headers of a branch announced at once (Core `MAX_BLOCKS_TO_ANNOUNCE`).
const ANNOUNCE_MAX: usize = 8;

/// Why a block is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) rule: Rule,
    /// Index of the transaction that broke it, where one did.
    pub(super) tx: Option<u32>,
}

/// A countdown.
#[derive(Debug)]
pub(super) struct Growing {
    job: Arc<Job>,
    utxos_left: u16,
    parts_left: usize,
    net: i64,
    duplicate: Option<u32>,
    verdicts: Vec<Option<Spends>>,
}

/// Cuts the transactions of a block into at most `max` runs of about as many inputs.
fn cut(block: &Block, max: usize) -> Vec<(Range<u32>, Range<u32>)> {
    let inputs = block.inputs.len();
    let count = (inputs / INPUTS_PER_PART + 1).min(max);
    let (mut parts, mut first) = (Vec::with_capacity(count), 0);
    for part in 1..=count {
        let goal = (inputs * part / count) as u32;
        let end = match part == count {
            true => block.txs.len(),
            false => block.txs.partition_point(|tx| tx.inputs.1 <= goal),
        };
        if end > first {
            let range = block.txs[first].inputs.0..block.txs[end - 1].inputs.1;
            parts.push((first as u32..end as u32, range));
            first = end;
        }
    }
    parts
}

impl Chain {
    /// Begins worlds for blocks whose parent's world lives, lowest first, while there is room.
    pub(super) fn grow_ready(&mut self, cx: &mut Cx) {
        while self.growing < GROWING_MAX
            && (self.pipeline_room() || self.growing == 0)
            && let Some((_, node)) = self.ready.pop_first()
        {
            let body = self.held.get_mut(&node).and_then(|held| held.body.take()).expect("ready blocks are held");
            self.begin_world(node, body, cx);
        }
    }

    fn begin_world(&mut self, node: NodeId, body: Arc<ledger::Body>, cx: &mut Cx) {
        let parent_node = self.tree.node(node).parent;
        let parent = self.life(parent_node).world.expect("ready: the parent's world lives");
        let world = self.next_world;
        self.next_world += 1;
        let workers = self.config.workers;
        let cuts = cut(&body.block, workers.into());
        let mut parts = Vec::with_capacity(cuts.len());
        for (txs, _) in &cuts {
            parts.push((self.next_verify, txs.clone()));
            self.next_verify = (self.next_verify + 1) % workers;
        }
        let job = Arc::new(Job {
            world,
            parent,
            height: self.height(node),
            mtp_parent: self.tree.median_time(parent_node),
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
        self.worlds.insert(world, World { node, parent, children: Vec::new(), state, coins: 0, bytes });
        self.worlds.get_mut(&parent).expect("lives").children.push(world);
        self.life_mut(node).world = Some(world);
        self.growing += 1;
        self.fetch.forget(node);
        let held = self.held.get_mut(&node).expect("just taken from it");
        held.growing = true;
        if !held.appending {
            self.pipeline_bytes += held.bytes;
        }
        for child in self.waiting.remove(&node).unwrap_or_default() {
            self.ready.insert((self.height(child), child));
            self.settles.entry(child).or_default();
        }
    }

    /// Appends a held block once its parent's bytes are at least on their way: parents come first.
    pub(super) fn append(&mut self, node: NodeId, cx: &mut Cx) {
        let mut ready = vec![node];
        while let Some(node) = ready.pop() {
            let parent = self.tree.node(node).parent;
            if self.life(node).stored == Stored::No && self.life(parent).stored != Stored::No {
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
            self.release(node);
            self.stored(node, cx);
            self.candidate(node, cx);
            self.settle_block(node, cx);
        }
    }

    /// Counts a block's bytes no longer once it neither grows nor is being appended.
    fn release(&mut self, node: NodeId) {
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
        let (height, parent) = (self.height(node), self.tree.node(node).parent);
        self.ready.remove(&(height, node));
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

    pub(super) fn grown(&mut self, world: WorldId, grown: Grown, cx: &mut Cx) {
        let Some(growing) = self.growing(world) else { return };
        growing.utxos_left -= 1;
        growing.net += grown.net;
        growing.duplicate = match (growing.duplicate, grown.duplicate) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.joined(world, cx);
    }

    pub(super) fn verdict(&mut self, world: WorldId, part: usize, spends: Spends, cx: &mut Cx) {
        let Some(growing) = self.growing(world) else { return };
        assert!(growing.verdicts[part].replace(spends).is_none(), "one verdict a part");
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
        let net = growing.net;
        self.stats.checked(&growing.job.body.block);
        self.growing -= 1;
        let held = self.held.get_mut(&node).expect("held while growing");
        held.growing = false;
        let from = held.from;
        self.release(node);
        let this = self.worlds.get_mut(&world).expect("just seen");
        (this.state, this.coins) = (WorldState::Checked(result, from), net);
        self.retire(world, cx);
    }

    /// Puts the parts together, in transaction order, as Core's `ConnectBlock` goes through them.
    fn judge(&self, node: NodeId, growing: &Growing) -> Result<(), Refusal> {
        let (params, job) = (self.config.params, &growing.job);
        let block = &job.body.block;
        let refuse = |rule, tx| Err(Refusal { rule, tx });
        if let Some(tx) = growing.duplicate {
            let parent = self.tree.node(node).parent;
            let ancestor = self.tree.ancestor(parent, params.bip34_height).map(|id| self.tree.node(id).hash);
            if params.bip30_applies(job.height, &block.hash, ancestor.as_ref()) {
                return refuse(Rule::BadTxnsBip30, Some(tx));
            }
        }
        let (mut fees, mut sigop_cost) = (0u64, 0u64);
        for spends in growing.verdicts.iter().flatten() {
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
        check_coinbase_value(block, params, job.height, fees).or_else(|rule| refuse(rule, Some(0)))
    }

    /// Verdicts become final in height order: a block is valid when its parent is.
    fn retire(&mut self, world: WorldId, cx: &mut Cx) {
        let mut next = vec![world];
        while let Some(world) = next.pop() {
            let Some(this) = self.worlds.get(&world) else { continue };
            let node = this.node;
            let WorldState::Checked(result, from) = this.state else { continue };
            // Its world, not its life: that may be valid from before all coins were rebuilt.
            let parent = &self.worlds[&this.parent];
            if !matches!(parent.state, WorldState::Valid) {
                continue;
            }
            let coins = parent.coins + this.coins;
            match result {
                Ok(()) => {
                    self.life_mut(node).verdict = Verdict::Valid;
                    let this = self.worlds.get_mut(&world).expect("just seen");
                    (this.state, this.coins) = (WorldState::Valid, coins);
                    next.extend(&this.children);
                    self.candidate(node, cx);
                    self.settle_block(node, cx);
                }
                Err(Refusal { rule, tx }) => {
                    self.refuse(node, rule, tx, cx);
                    if let From::Peer(peer, _) = from {
                        self.punish(peer, format!("{rule}: block {}", self.tree.node(node).hash), cx);
                    }
                }
            }
        }
    }

    /// Tells whoever waits for this block's verdict, once there is one and it is visible.
    fn settle_block(&mut self, node: NodeId, cx: &mut Cx) {
        let life = self.life(node);
        let done = match life.verdict {
            Verdict::Unknown => false,
            Verdict::Valid => life.stored == Stored::Durable,
            Verdict::Refused(_) => true,
        };
        if done {
            self.settle_now(node, cx);
        }
    }

    /// Nothing more will come of this block for now.
    fn settle_now(&mut self, node: NodeId, cx: &mut Cx) {
        for (peer, seq) in self.settles.remove(&node).unwrap_or_default() {
            self.settle(peer, seq, cx);
        }
    }

    /// Remembers for ever that a block is invalid, with all that build on it; the next best takes over.
    pub(super) fn refuse(&mut self, node: NodeId, rule: Rule, tx: Option<u32>, cx: &mut Cx) {
        if self.refused(node).is_some() {
            return;
        }
        let hash = self.tree.node(node).hash;
        let at = tx.map(|tx| format!(", transaction {tx}")).unwrap_or_default();
        let line = format!("block {hash} (height {}) is refused: {rule}{at}: {}", self.height(node), rule.must());
        cx.log(Level::Warn, line);
        cx.tell(ShardId::Store, Msg::Refused { hash, reject: rule.reject() });
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

    fn drop_worlds(&mut self, dropped: Vec<WorldId>, cx: &mut Cx) {
        for world in &dropped {
            let this = self.worlds.remove(world).expect("a live world");
            self.worlds_bytes -= this.bytes;
            if matches!(this.state, WorldState::Growing(_)) {
                self.growing -= 1;
                self.held.get_mut(&this.node).expect("held while growing").growing = false;
                self.release(this.node);
            }
            self.life_mut(this.node).world = None;
            self.settle_now(this.node, cx);
            if let Some(parent) = self.worlds.get_mut(&this.parent) {
                parent.children.retain(|child| child != world);
            }
            // What stood ready to grow from it waits again, if only to be let go.
            let orphaned: Vec<_> =
                self.ready.iter().copied().filter(|(_, n)| self.tree.node(*n).parent == this.node).collect();
            for (height, node) in orphaned {
                self.ready.remove(&(height, node));
                self.waiting.entry(this.node).or_default().insert(node);
            }
        }
        if !dropped.is_empty() {
            (0..self.config.workers).for_each(|utxo| cx.tell(ShardId::Utxo(utxo), Msg::Drop(dropped.clone())));
        }
    }

    /// Everything but genesis is forgotten by the utxo shards; headers, verdicts and the tip stay.
    pub(super) fn reset_worlds(&mut self, cx: &mut Cx) {
        let root = self.next_world;
        self.next_world += 1;
        self.worlds_bytes = 0;
        for world in std::mem::take(&mut self.worlds).into_values() {
            if matches!(world.state, WorldState::Growing(_)) {
                self.growing -= 1;
                self.held.get_mut(&world.node).expect("held while growing").growing = false;
                self.release(world.node);
            }
            self.life_mut(world.node).world = None;
        }
        for (_, node) in std::mem::take(&mut self.ready) {
            self.waiting.entry(self.tree.node(node).parent).or_default().insert(node);
        }
        self.worlds.insert(
            root,
            World { node: 0, parent: root, children: Vec::new(), state: WorldState::Valid, coins: 0, bytes: 0 },
        );
        self.root = root;
        self.life_mut(0).world = Some(root);
        (0..self.config.workers).for_each(|utxo| cx.tell(ShardId::Utxo(utxo), Msg::Reset(root)));
        for child in self.waiting.remove(&0).unwrap_or_default() {
            self.ready.insert((1, child));
        }
    }

    /// The tip moves to a block that is valid, durable with all below it, and has more work than the tip.
    fn candidate(&mut self, node: NodeId, cx: &mut Cx) {
        let mut next = vec![node];
        while let Some(node) = next.pop() {
            let life = *self.life(node);
            if life.verdict != Verdict::Valid || life.stored != Stored::Durable {
                continue;
            }
            if self.work(node) > self.work(self.tip) && self.line_is_durable(node) {
                self.move_tip(node, cx);
            }
            // A block that was found damaged on disk may have become durable after those above it.
            let world = self.life(node).world.and_then(|world| self.worlds.get(&world));
            next.extend(world.iter().flat_map(|world| &world.children).map(|child| self.worlds[child].node));
        }
    }

    /// Whether everything from here down to the tip's branch is durable.
    fn line_is_durable(&self, node: NodeId) -> bool {
        let mut at = node;
        while !self.tree.descends(self.tip, at) {
            if self.life(at).stored != Stored::Durable {
                return false;
            }
            at = self.tree.node(at).parent;
        }
        true
    }

    fn move_tip(&mut self, node: NodeId, cx: &mut Cx) {
        let old = std::mem::replace(&mut self.tip, node);
        if !self.tree.descends(node, old) && !self.obtain.replaying() {
            self.stats.switches += 1;
            let fork = self.tree.fork_of(old, node);
            cx.log(
                Level::Warn,
                format!(
                    "the tip leaves a branch of {} block(s) above height {} for one of {} with more work",
                    self.height(old) - self.height(fork),
                    self.height(fork),
                    self.height(node) - self.height(fork)
                ),
            );
        }
        self.fold(cx);
        if self.tip == self.best {
            self.tick_tip(cx);
        }
    }

    /// Tells the peer shards of the tip: at once where it is the best header, else with the clock.
    pub(super) fn tick_tip(&mut self, cx: &mut Cx) {
        if self.announced == self.tip {
            return;
        }
        let fresh = self.tip == self.best && !self.obtain.replaying() && !self.config.offline;
        if fresh {
            let node = self.tree.node(self.tip);
            cx.log(Level::Info, format!("tip {} {} ({} coins)", node.height, node.hash, self.tip_coins()));
        }
        let (mut at, mut headers) = (self.tip, Vec::new());
        while headers.len() < ANNOUNCE_MAX && at != 0 && !self.tree.descends(self.announced, at) {
            headers.push(self.tree.node(at).header);
            at = self.tree.node(at).parent;
        }
        headers.reverse();
        self.announced = self.tip;
        let (height, headers) = (self.height(self.tip), Arc::new(headers));
        for peer in 0..self.config.workers {
            cx.tell(ShardId::Peer(peer), Msg::TipMoved { height, headers: headers.clone(), fresh });
        }
    }

    pub(super) fn tip_coins(&self) -> i64 {
        self.life(self.tip).world.and_then(|world| self.worlds.get(&world)).map_or(0, |world| world.coins)
    }

    /// Moves the root up to the horizon, if every world that may still win descends from there.
    /// Branches whose leaf lies below the horizon have lost and are dropped.
    fn fold(&mut self, cx: &mut Cx) {
        let far = self.height(self.best) - self.height(self.tip).min(self.height(self.best)) > FAR_BLOCKS;
        let full = self.worlds_bytes > self.config.budget.worlds;
        let horizon = if far || full { HORIZON_SYNC_BLOCKS } else { HORIZON_BLOCKS };
        let cutoff = self.height(self.tip).saturating_sub(horizon);
        let root = self.worlds[&self.root].node;
        if !self.above_root_tip() || cutoff < self.height(root) + if far { FOLD_BLOCKS } else { 1 } {
            return;
        }
        let mut to = self.tree.ancestor(self.tip, cutoff).expect("below the tip");
        let mut lost = Vec::new();
        for world in self.worlds.values().filter(|world| world.children.is_empty()) {
            if self.tree.descends(world.node, to) {
                continue;
            }
            let beaten = self.work(world.node) < self.work(self.tip) && !self.is_wanted(world.node);
            if self.height(world.node) < cutoff && beaten {
                lost.push(world.node);
            } else {
                to = self.tree.fork_of(to, world.node);
            }
        }
        self.drop_lost(&lost, cx);
        let world = self.life(to).world.expect("between the root and the tip");
        if world == self.root {
            return;
        }
        (0..self.config.workers).for_each(|utxo| cx.tell(ShardId::Utxo(utxo), Msg::Fold(world)));
        let mut at = self.worlds[&world].parent;
        loop {
            let gone = self.worlds.remove(&at).expect("between the root and the new root");
            self.worlds_bytes -= gone.bytes;
            self.life_mut(gone.node).world = None;
            if at == self.root {
                break;
            }
            at = gone.parent;
        }
        self.root = world;
        let stranded = |(_, node): &(u32, NodeId)| self.life(self.tree.node(*node).parent).world.is_none();
        let stranded: Vec<_> = self.ready.iter().copied().filter(stranded).collect();
        for (_, node) in stranded {
            self.let_go(node, cx);
            self.fetch.forget(node);
        }
    }

    fn above_root_tip(&self) -> bool {
        self.life(self.tip).world.is_some()
    }

    /// Drops each lost leaf with all its ancestors up to the tip's branch or another live one.
    fn drop_lost(&mut self, leaves: &[NodeId], cx: &mut Cx) {
        for &leaf in leaves {
            let (mut at, mut dropped) = (leaf, Vec::new());
            while let Some(world) = self.life(at).world {
                let others = self.worlds[&world].children.iter().filter(|child| !dropped.contains(*child)).count();
                if others > 0 || self.tree.descends(self.tip, at) {
                    break;
                }
                dropped.push(world);
                at = self.tree.node(at).parent;
            }
            self.drop_worlds(dropped, cx);
        }
    }

    pub(super) fn which_world(&self, block: Option<BlockHash>) -> Option<(WorldId, u32, BlockHash)> {
        let node = block.map_or(Some(self.tip), |hash| self.tree.find(&hash))?;
        let at = self.tree.node(node);
        self.life(node).world.map(|world| (world, at.height, at.hash))
    }
}
