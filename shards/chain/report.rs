//! What others may see of the chain shard: the report for the page, and answers to questions typed at the prompt.

use super::{Chain, Stored, Verdict, World, WorldState};
use crate::effect::{Level, Side};
use crate::msg::Msg;
use crate::note::Note;
use crate::report::{self, Report, State};
use crate::{Cx, ShardId};
use consensus::{Block, BlockHash, Network};
use ledger::NodeId;
use std::collections::VecDeque;

/// No block for this long while headers are ahead: stalled.
const STALL_MS: u64 = 60_000;
/// A public network's tip older than this: stalled (30 blocks' worth would be Core's; 90 minutes are nine).
const OLD_TIP_S: u64 = 90 * 60;
/// Rates are taken over this long.
const RATE_MS: u64 = 10_000;
/// Leaves listed.
const LEAVES_MAX: usize = 256;
/// Worlds listed: two branches of the longest horizon.
const WORLDS_MAX: usize = 2_048;
/// Blocks listed whose worlds do not live: heights below the tip, all there may be, headers looked at for them.
const PAST_BLOCKS: u32 = 144;
const PAST_MAX: usize = 288;
const PAST_LOOKS: usize = 4_096;
/// Leaves this far below the tip are history.
const LEAF_BLOCKS: u32 = 1_000;

/// Counters of the chain shard.
#[derive(Debug, Default)]
pub(super) struct Stats {
    /// Times the tip left a branch.
    pub(super) switches: u64,
    blocks: u64,
    txs: u64,
    bytes: u64,
    /// (time, blocks, txs, bytes) now and then, oldest first.
    history: VecDeque<(u64, u64, u64, u64)>,
    last_block_ms: u64,
    asked_one_more_ms: u64,
    said_ms: u64,
    ticks: u64,
    /// Tip, best header, worlds and blocks as last reported.
    reported: (NodeId, NodeId, u32, u64),
}

impl Stats {
    pub(super) fn checked(&mut self, block: &Block) {
        self.blocks += 1;
        self.txs += block.txs.len() as u64;
        self.bytes += block.bytes.len() as u64;
    }

    /// Per second over the last ten: blocks, transactions, bytes.
    fn rates(&self, now_ms: u64) -> (f64, f64, f64) {
        let Some(&(then, blocks, txs, bytes)) = self.history.front() else { return (0.0, 0.0, 0.0) };
        let seconds = (now_ms - then).max(1) as f64 / 1_000.0;
        let rate = |now: u64, before: u64| (now - before) as f64 / seconds;
        (rate(self.blocks, blocks), rate(self.txs, txs), rate(self.bytes, bytes))
    }
}

impl Chain {
    pub(super) fn tick_report(&mut self, cx: &mut Cx) {
        let now = cx.now_ms;
        let stats = &mut self.stats;
        stats.ticks += 1;
        if stats.history.back().is_none_or(|last| last.1 != stats.blocks) || self.tip == self.best {
            stats.last_block_ms = now;
        }
        stats.history.push_back((now, stats.blocks, stats.txs, stats.bytes));
        while stats.history.front().is_some_and(|first| now - first.0 > RATE_MS) {
            stats.history.pop_front();
        }
        self.report(cx);
        let (state, why) = self.state(cx);
        if state == State::Stalled && now >= self.stats.asked_one_more_ms {
            self.stats.asked_one_more_ms = now + 10 * STALL_MS;
            cx.log(Level::Warn, format!("stalled: {why}; trying one more peer"));
            cx.tell(ShardId::Book, Msg::OneMore);
        }
        if now >= self.stats.said_ms + 5_000 && self.tip != self.best {
            self.stats.said_ms = now;
            let (blocks_per_s, txs_per_s, bytes_per_s) = self.stats.rates(now);
            cx.note(Note::Syncing {
                state,
                height: self.height(self.tip),
                headers: self.height(self.best),
                blocks_per_s,
                txs_per_s,
                bytes_per_s,
                eta_s: self.eta(blocks_per_s),
            });
        }
    }

    fn eta(&self, blocks_per_s: f64) -> Option<u64> {
        let left = self.height(self.best).saturating_sub(self.height(self.tip));
        (left > 0 && blocks_per_s > 0.0).then(|| (f64::from(left) / blocks_per_s).ceil() as u64)
    }

    fn state(&self, cx: &Cx) -> (State, String) {
        let behind = self.tip != self.best;
        let public = self.config.params.network != Network::Regtest;
        let tip_age = cx.unix.saturating_sub(self.tree.node(self.tip).header.time.into());
        if !self.obtain.begun() || self.obtain.replaying() {
            return (State::Starting, "reading blocks.bin".into());
        }
        if self.life(self.tip).world.is_none() {
            return (State::Starting, "rebuilding all coins".into());
        }
        if behind && cx.now_ms.saturating_sub(self.stats.last_block_ms) > STALL_MS {
            let lowest = self.fetch.lowest_missing().map(|node| {
                format!(" since; block {} at height {} is missing", self.tree.node(node).hash, self.height(node))
            });
            return (
                State::Stalled,
                format!("headers are ahead and no block came for {} s{}", STALL_MS / 1_000, lowest.unwrap_or_default()),
            );
        }
        if let Some(height) = self.sync.presync_height().filter(|_| !self.sync.complete) {
            return (State::Headers, format!("weighing a chain of {height} headers before any is stored"));
        }
        if behind {
            return (State::Downloading, String::new());
        }
        if !self.sync.complete {
            let why = self.headers_from().unwrap_or_else(|| "waiting for a peer".into());
            return (State::Headers, why);
        }
        if public && tip_age > OLD_TIP_S {
            return (State::Stalled, format!("the tip is {} old, no newer block is known", duration(tip_age)));
        }
        (State::Synced, String::new())
    }

    /// A report, unless what it would show is known already.
    pub(super) fn report_news(&mut self, cx: &mut Cx) {
        if self.stats.reported != (self.tip, self.best, self.next_world, self.stats.blocks) {
            self.report(cx);
        }
    }

    pub(super) fn report(&mut self, cx: &mut Cx) {
        self.stats.reported = (self.tip, self.best, self.next_world, self.stats.blocks);
        let (tip, best) = (*self.tree.node(self.tip), *self.tree.node(self.best));
        let (state, why) = self.state(cx);
        let (blocks_per_s, txs_per_s, bytes_per_s) = self.stats.rates(cx.now_ms);
        let root = self.tree.node(self.worlds[&self.root].node);
        let ((marks_from, marks), (ways, latency)) = (self.marks(), self.ways());
        let report = report::Chain {
            state,
            why,
            height: tip.height,
            headers: best.height,
            tip: tip.hash,
            tip_time: tip.header.time,
            work: tip.work.to_string(),
            coins: self.tip_coins().max(0) as u64,
            done: (self.stats.blocks, self.stats.txs, self.stats.bytes),
            blocks_per_s,
            txs_per_s,
            bytes_per_s,
            eta_s: self.eta(blocks_per_s),
            growing: self.growing,
            parked: self.ready.len() + self.waiting.values().map(|w| w.len()).sum::<usize>(),
            loading: self.obtain.loading(),
            asked: self.peers.keys().map(|peer| self.fetch.in_flight(*peer) as usize).sum(),
            window_bytes: (self.pipeline_bytes + self.fetch.parked_bytes(), self.config.budget.window),
            marks_from,
            marks,
            ways,
            latency,
            tips: self.leaves(),
            worlds: self.list_worlds(),
            past: self.list_past(),
            live: self.worlds.values().filter(|world| world.side == Side::Tip).count() - 1,
            history: self.history_heights(),
            worlds_bytes: (self.worlds_bytes, self.config.budget.worlds),
            horizon: self.config.horizon,
            root: (root.height, root.hash),
            pruned: self.pruned(),
            switches: self.stats.switches,
            deployments: self.deployments(self.tip),
            scripts_verified: self.scripts.skipped == 0,
            scripts: self.scripts_mode(),
        };
        cx.tell(ShardId::Status, Msg::Report(Box::new(Report::Chain(report))));
    }

    /// Leaves of the header tree near the tip, highest first.
    fn leaves(&self) -> Vec<report::Leaf> {
        let lowest = self.height(self.tip).saturating_sub(LEAF_BLOCKS);
        let newest_first = (0..self.tree.len() as NodeId).rev().take(4 * LEAF_BLOCKS as usize);
        let mut leaves: Vec<NodeId> =
            newest_first.filter(|n| self.tree.is_leaf(*n) && self.height(*n) >= lowest).collect();
        leaves.push(self.tip);
        leaves.push(self.best);
        leaves.sort_by_key(|node| std::cmp::Reverse((self.height(*node), *node)));
        leaves.dedup();
        leaves.truncate(LEAVES_MAX);
        leaves.into_iter().map(|node| self.leaf(node)).collect()
    }

    fn leaf(&self, node: NodeId) -> report::Leaf {
        let fork = self.tree.fork_of(node, self.tip);
        let status = match self.life(node).verdict {
            _ if node == self.tip => "active".into(),
            Verdict::Refused(why) => format!("refused: {why}"),
            _ if self.life(node).out => "invalidated by hand".into(),
            Verdict::Valid => "valid-fork".into(),
            Verdict::Unknown if self.tree.descends(self.best, node) => "downloading".into(),
            Verdict::Unknown if self.life(node).stored == Stored::Durable => "stored".into(),
            Verdict::Unknown => "headers-only".into(),
        };
        let at = self.tree.node(node);
        report::Leaf { height: at.height, hash: at.hash, branch_len: at.height - self.height(fork), status }
    }

    fn list_past(&self) -> Vec<report::Past> {
        let lowest = (self.height(self.tip) + 1).saturating_sub(PAST_BLOCKS);
        let newest_first = (0..self.tree.len() as NodeId).rev().take(PAST_LOOKS);
        let past = newest_first.filter(|n| {
            let life = self.life(*n);
            self.height(*n) >= lowest && life.stored == Stored::Durable && life.world.is_none_or(|w| w == self.root)
        });
        let row = |node: NodeId| {
            let (at, active) = (self.tree.node(node), self.tree.descends(self.tip, node));
            report::Past { height: at.height, hash: at.hash, parent: at.header.prev, active }
        };
        past.take(PAST_MAX).map(row).collect()
    }

    fn list_worlds(&self) -> Vec<report::World> {
        let root = self.worlds[&self.root].node;
        let mine = |world: &&World| world.side == Side::Tip && world.node != root;
        let mut worlds: Vec<_> = self.worlds.values().filter(mine).collect();
        worlds.sort_by_key(|world| std::cmp::Reverse((self.height(world.node), world.node)));
        let row = |world: &World| {
            let node = self.tree.node(world.node);
            let status = match world.state {
                WorldState::Growing(_) => "growing",
                WorldState::Checked(..) => "checked",
                WorldState::Valid => "valid",
            };
            report::World {
                height: node.height,
                hash: node.hash,
                parent: node.header.prev,
                active: self.tree.descends(self.tip, world.node),
                status,
                invalidated: self.life(world.node).out,
                coins: (status == "valid").then_some(world.coins.max(0) as u64),
                delta: (status != "growing").then_some(((world.net + world.taken).max(0) as u64, world.taken as u64)),
                bytes: world.bytes,
            }
        };
        worlds.into_iter().take(WORLDS_MAX).map(row).collect()
    }

    /// `block HEIGHT|HASH` or `deployments [HEIGHT|HASH]`, in plain text.
    pub(super) fn query(&mut self, text: &str) -> String {
        let (command, word) = text.split_once(' ').unwrap_or((text, ""));
        let node = match word.trim() {
            "" => Ok(self.tip),
            word => self.named(word),
        };
        match (command, node) {
            (_, Err(why)) => why,
            ("deployments", Ok(node)) => self.tell_deployments(node),
            (_, Ok(node)) => self.tell_block(node),
        }
    }

    /// The block of a height, on the tip's branch if it is that long, or of a hash.
    fn named(&self, word: &str) -> Result<NodeId, String> {
        let node = match word.parse::<u32>() {
            Ok(height) if word.len() < 64 => {
                let leaf = if height <= self.height(self.tip) { self.tip } else { self.best };
                self.tree.ancestor(leaf, height)
            }
            _ => word.parse::<BlockHash>().ok().and_then(|hash| self.tree.find(&hash)),
        };
        node.ok_or_else(|| {
            let (tip, best) = (self.height(self.tip), self.height(self.best));
            format!(
                "no block {word:?}: give a height (the tip is {tip}, the best header {best}) or 64 hex digits of a known hash"
            )
        })
    }

    fn tell_block(&self, node: NodeId) -> String {
        let (at, life) = (self.tree.node(node), self.life(node));
        let place = match life.place {
            Some(place) => format!("file {}, offset {}, {} bytes", place.file, place.at, place.len),
            None if node == 0 => "genesis, built in".into(),
            None if self.is_pruned(node) => "pruned".into(),
            None => "not stored".into(),
        };
        let out = if life.out { ", invalidated by hand" } else { "" };
        let verdict = match life.verdict {
            Verdict::Unknown => "unknown".into(),
            Verdict::Valid => "valid".into(),
            Verdict::Refused(why) => format!("refused: {why}"),
        };
        let line = if self.tree.descends(self.tip, node) { "on the tip's branch" } else { "not on the tip's branch" };
        format!(
            "block   {}\nheight  {} ({line})\nparent  {}\nversion {:#010x}\nmerkle  {}\ntime    {} (median of its past {})\nbits    {:08x}\nnonce   {}\nwork    {}\nverdict {verdict}{out}\nworld   {}\nbytes   {place}",
            at.hash,
            at.height,
            at.header.prev,
            at.header.version,
            consensus::Txid(at.header.merkle_root),
            at.header.time,
            self.tree.median_time(node),
            at.header.bits,
            at.header.nonce,
            at.work,
            life.world.map_or("not alive".into(), |world| format!("{world}")),
        )
    }
}

/// Seconds as a person reads them.
fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} days", seconds / 86_400),
    }
}
