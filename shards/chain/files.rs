//! Bodies that lie in files of ours: found by a scan, read back like a block that a peer sends, asked of peers where the
//! bytes are damaged. A restart, an import and a rebuild all come through here.

use super::obtain::{OWN_TARGETS_MAX, Target};
use super::{Chain, Stored, Verdict};
use crate::effect::{Effect, FileId, Level, Side, Stop};
use crate::limits::{LOADING_MAX, PIPELINE_BYTES};
use crate::msg::{From, Msg, Place};
use crate::{Cx, ShardId};
use consensus::{BlockHash, Rule};
use ledger::NodeId;
use ledger::record::{Index, Record};

impl Chain {
    /// Takes what a scan found. Headers may lie in any order.
    pub(super) fn indexed(&mut self, file: FileId, index: &Index, cx: &mut Cx) {
        // What a power cut left unwritten is a hole, too.
        let prunes = file != 0 || self.config.pruning.begun;
        let holes = if prunes { &index.pruned[..] } else { &[] };
        let damage = if prunes { &[] } else { &index.pruned[..] };
        for damage in index.damage.iter().chain(damage) {
            let line = format!(
                "file {file}: {} bytes at offset {} are no record; the blocks that lay there will be asked of peers",
                damage.len, damage.at
            );
            cx.log(Level::Warn, line);
        }
        for header in &index.headers {
            if let Some(parent) = self.tree.find(&header.prev) {
                // One that does not hold is had again from peers.
                let _ = self.store_header(parent, header, cx);
            }
        }
        for hole in holes {
            cx.log(Level::Info, format!("file {file}: {} bytes at offset {} were pruned", hole.len, hole.at));
        }
        if file == 0 && !holes.is_empty() {
            self.prune.found_holes();
        }
        for record in &index.records {
            self.adopt(file, record, cx);
        }
    }

    fn adopt(&mut self, file: FileId, record: &Record, cx: &mut Cx) {
        let Some(parent) = self.tree.find(&record.header.prev) else {
            if record.hash != self.config.params.genesis_hash {
                self.obtain.orphans.entry(record.header.prev).or_default().push((file, *record));
            }
            return;
        };
        match self.store_header(parent, &record.header, cx) {
            Ok(node) => self.place(node, file, record),
            Err(Rule::BadPrevblk | Rule::DuplicateInvalid) => {}
            Err(rule) => cx.log(
                Level::Warn,
                format!("file {file}: block {} at offset {}: {rule}: {}", record.hash, record.at, rule.must()),
            ),
        }
    }

    fn place(&mut self, node: NodeId, file: FileId, record: &Record) {
        let place = Place { file, at: record.end() - u64::from(record.len), len: record.len };
        if file == 0 {
            self.prune.wrote(&[(node, place)]);
        }
        if record.punched {
            self.prune.found(&place, self.height(node));
        }
        let pruned = self.is_pruned(node);
        let life = self.life_mut(node);
        life.known |= record.valid;
        if record.punched {
            // Where another record has the same block, that one counts.
            life.stored = Stored::Durable;
        } else if pruned {
            // Other files may have it still.
            life.place = Some(place);
        } else if life.place.is_none() && life.stored == Stored::No {
            life.place = Some(place);
            life.stored = if file == 0 { Stored::Durable } else { Stored::No };
        } else if life.place != Some(place) {
            // In a file of ours the same block comes again only where the record before was found damaged.
            let spare = match &mut life.place {
                Some(before) if file == 0 && before.file == 0 => std::mem::replace(before, place),
                _ => place,
            };
            self.obtain.spares.entry(node).or_default().push(spare);
        }
    }

    /// Records that waited for this header.
    pub(super) fn adopt_orphans(&mut self, hash: BlockHash, cx: &Cx) {
        let mut found = vec![hash];
        while let Some(parent_hash) = found.pop() {
            let Some(children) = self.obtain.orphans.remove(&parent_hash) else { continue };
            let parent = self.tree.find(&parent_hash).expect("just stored");
            for (file, record) in children {
                if let Ok(node) = self.insert_header(parent, &record.header, cx) {
                    self.place(node, file, &record);
                    found.push(record.hash);
                }
            }
        }
    }

    /// All files are indexed: work begins with the best chain that they hold entire.
    pub(super) fn begin(&mut self, cx: &mut Cx) {
        self.find_best();
        (self.obtain.begun, self.obtain.replaying) = (true, true);
        let adopted = self.adopt_snapshot(|chain| chain.strongest(&chain.whole_branches()), cx);
        let mut whole = self.whole_branches();
        let mut leaf = self.strongest(&whole);
        if let Some((_, to)) = self.config.audit {
            leaf = self.tree.ancestor(leaf, to.min(self.height(leaf))).expect("not above");
            whole.clear();
        }
        self.obtain.start_leaf = leaf;
        self.obtain.replaying = leaf != 0;
        if self.history_is_gone(leaf, cx) {
            return;
        }
        if self.config.audit.is_none() && !adopted && !self.restore.is_empty() {
            self.reset_worlds(Side::Tip, leaf, cx);
        }
        self.add_target(leaf);
        for node in whole {
            let recent = self.height(node) + self.config.horizon >= self.height(leaf);
            if (self.config.offline || recent)
                && self.obtain.targets.len() < OWN_TARGETS_MAX
                && node != leaf
                && self.side(node) == Side::Tip
            {
                let fresh = self.fresh_target(node);
                self.obtain.targets.push(Target { own: true, ..fresh });
            }
        }
        if self.config.audit.is_none() {
            self.add_target(self.best);
        }
        if leaf != 0 {
            cx.log(
                Level::Info,
                format!(
                    "{} headers from files; reading {} blocks back",
                    self.tree.len() - 1,
                    self.height(leaf) - self.height(self.worlds[&self.root].node)
                ),
            );
        }
        self.say_pruned(cx);
        let orphans: usize = self.obtain.orphans.values().map(Vec::len).sum();
        if orphans > 0 {
            let (parent, records) = self.obtain.orphans.first_key_value().expect("not empty");
            cx.log(
                Level::Warn,
                format!(
                    "{orphans} records wait for parents that are not there, the first, {}, for {parent}",
                    records[0].1.hash
                ),
            );
        }
    }

    /// Of these, the one with the most work.
    fn strongest(&self, nodes: &[NodeId]) -> NodeId {
        let better = |best, &node| if self.work(node) > self.work(best) { node } else { best };
        nodes.iter().fold(0, better)
    }

    /// Leaves of those branches that lie whole, from genesis or a snapshot's block on, in our files, as far as they are in
    /// the running.
    fn whole_branches(&self) -> Vec<NodeId> {
        let (mut whole, mut is_end) = (vec![false; self.lives.len()], vec![true; self.lives.len()]);
        whole[0] = true;
        for node in 1..self.lives.len() as NodeId {
            let parent = self.tree.node(node).parent as usize;
            let stored = whole[parent] && (self.life(node).place.is_some() || self.is_pruned(node));
            whole[node as usize] = (stored || self.is_base(node)) && !self.life(node).out;
            is_end[parent] &= !whole[node as usize];
        }
        let ends = (1..self.lives.len()).filter(|&node| whole[node] && is_end[node]);
        ends.map(|node| node as NodeId).collect()
    }

    pub(super) fn load(&mut self, cx: &mut Cx) {
        while self.obtain.loading.len() < LOADING_MAX
            && (self.pipeline_room() || self.obtain.loading.is_empty() && self.growing == 0)
            && let Some((height, node)) = self.next_to_load()
        {
            self.obtain.to_load.remove(&(height, node));
            if let Some(place) = self.life(node).place {
                self.load_from(node, place, cx);
            }
        }
    }

    /// Whether blocks may enter the pipeline of growing and appending.
    pub(super) fn pipeline_room(&self) -> bool {
        let loading: u64 = self.obtain.loading.values().map(|len| u64::from(*len)).sum();
        self.pipeline_bytes + loading < self.pipeline_max()
    }

    pub(super) fn pipeline_max(&self) -> u64 {
        (PIPELINE_BYTES * u64::from(self.config.workers)).min(self.config.budget.window / 2)
    }

    /// The lowest that may wait in memory, or need not: those above a damaged block wait for long, and must not keep
    /// another branch from growing.
    fn next_to_load(&self) -> Option<(u32, NodeId)> {
        let grows = |node: NodeId| self.life(self.tree.node(node).parent).world.is_some();
        let first = self.obtain.to_load.first().copied()?;
        let next = || self.obtain.to_load.iter().copied().find(|(_, node)| grows(*node));
        if self.may_park(first.0) { Some(first) } else { next() }
    }

    /// Whether a block of this height that was read may wait in memory: few of those are let in, and always the one
    /// below all of them, because they may wait for it. Blocks from peers have their own credit.
    fn may_park(&self, rank: u32) -> bool {
        let read = self.held.iter().filter(|(_, held)| held.body.is_some() && matches!(held.from, From::File(_)));
        let (count, lowest) =
            read.fold((0, u32::MAX), |(count, lowest), (node, _)| (count + 1, lowest.min(self.rank(*node))));
        count < LOADING_MAX || rank < lowest
    }

    fn load_from(&mut self, node: NodeId, place: Place, cx: &mut Cx) {
        let hash = self.tree.node(node).hash;
        let shard = self.obtain.next_peer_shard % self.config.workers;
        self.obtain.next_peer_shard = (shard + 1) % self.config.workers;
        self.obtain.loading.insert(node, place.len);
        cx.tell(ShardId::Peer(shard), Msg::Load { hash, place });
    }

    /// A record of ours cannot be read: it is asked of peers instead, and said.
    pub(super) fn spoiled_in_file(&mut self, file: FileId, hash: BlockHash, rule: Rule, cx: &mut Cx) {
        let Some(node) = self.tree.find(&hash) else { return };
        self.obtain.loaded(node);
        let Some(place) = self.life_mut(node).place.take() else { return };
        self.life_mut(node).stored = Stored::No;
        // A branch that is not whole any more is wanted only if it may still win.
        let tree = &self.tree;
        let broken = self.obtain.targets.iter_mut().filter(|target| tree.descends(target.leaf, node));
        broken.for_each(|target| target.own = false);
        let height = self.height(node);
        cx.log(Level::Warn, format!(
            "file {file}: the record of block {hash} (height {height}) at offset {}, {} bytes, is damaged ({rule}); it will be asked of peers and appended again",
            place.at - ledger::record::FRAME_LEN, place.len
        ));
        self.obtain.damaged.push((hash, place.at - ledger::record::FRAME_LEN, rule.reject()));
        if rule.kind() == consensus::Kind::Invalid {
            self.refuse(node, rule.into(), cx);
        } else if let Some(spare) = self.obtain.spares.get_mut(&node).and_then(Vec::pop) {
            let life = self.life_mut(node);
            life.place = Some(spare);
            life.stored = if spare.file == 0 { Stored::Durable } else { Stored::No };
            self.load_from(node, spare, cx);
        } else {
            self.fetch.want(node, self.rank(node));
        }
    }

    /// Offline, the work is over when nothing is under way and nothing more can be read.
    pub(super) fn stop_when_idle(&mut self, cx: &mut Cx) {
        // What is still to be loaded is no work under way: `load` has just taken all that may be parked, and the rest
        // stands above a damaged block.
        let busy = self.growing > 0
            || [Side::Tip, Side::History].iter().any(|side| self.restore(*side).is_waiting())
            || self.is_comparing()
            || !self.obtain.loading.is_empty()
            || !self.ready.is_empty()
            || self.held.values().any(|held| held.appending);
        if busy {
            return;
        }
        self.obtain.stopped = true;
        self.report(cx);
        let tip = self.tree.node(self.tip);
        let valid = |hash| self.tree.find(hash).is_some_and(|node| self.life(node).verdict == Verdict::Valid);
        match self.obtain.damaged.iter().find(|(hash, ..)| !valid(hash)) {
            Some((hash, at, why)) => {
                let more = self.obtain.damaged.len();
                let line = format!(
                    "{more} damaged record(s) in blocks.bin, the first at offset {at} (block {hash}: {why}); the blocks after height {} wait for it. \
                     Start the node with a peer to fetch it again (caesure -c HOST:PORT), or: caesure import FILE-THAT-HAS-IT",
                    tip.height
                );
                cx.effect(Effect::Stop(Stop::Damaged, line));
            }
            _ => cx.effect(Effect::Stop(Stop::Done, format!("height {} {}", tip.height, tip.hash))),
        }
    }
}
