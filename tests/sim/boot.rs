//! Starts and ends of the node: what the edge does when it opens the folder, and what is left of its files when a run ends.

use super::checks::Checks;
use super::edge::Due;
use super::lanes::StandIn;
use super::*;
use consensus::{Network, Params};
use shards::checksums::Checksums;
use shards::effect::Side;
use shards::limits::HORIZON_BLOCKS;
use shards::metrics::Pages;
use shards::prover::{Mode, Prover, Trust};
use shards::script_cache::ScriptCache;
use shards::{Event, book, chain, peer, plan, status, store, verify};
use std::ops::Range;
use std::sync::Arc;

impl Sim {
    /// A node on `cores` with an empty disk, knowing all these peers by name. Nothing goes wrong but that a power cut
    /// takes what is not synced.
    pub fn new(seed: u64, cores: usize, chains: &'static Chains, remotes: Vec<Remote>) -> Sim {
        let often = Fault::one_in(2);
        let seldom = Fault::one_in(4);
        let faults =
            Faults { lost_write: seldom, torn_write: often, lost_punch: often, index_cut: often, ..Faults::default() };
        let params = Params::of(Network::Regtest);
        let mut sim = Sim {
            rng: Rng(seed),
            now_ms: 0,
            plan: plan(cores),
            shards: BTreeMap::new(),
            links: Links::new(cores + 1),
            due: BTreeMap::new(),
            next_due: 0,
            conns: BTreeMap::new(),
            remotes,
            offline: false,
            apart_until: 0,
            faults,
            mortal: false,
            down: None,
            dying: None,
            snapshot: None,
            ending_snapshot: false,
            base_lost: false,
            may_stop: None,
            last_words: String::new(),
            planted: None,
            disk: Disk::default(),
            refused: Vec::new(),
            remembering: Vec::new(),
            invalidated: Vec::new(),
            keeping: None,
            unsynced: None,
            budget: Budget::split(256 << 20).expect("the least there is"),
            horizon: HORIZON_BLOCKS,
            warm: false,
            lanes: Mode::Off,
            log: Vec::new(),
            rows: prune::Rows::default(),
            pruning: None,
            checkpoints: Checkpoints::default(),
            policy: utxo::Policy { network: params.magic, bandwidth: 0, interval: 1, gap: 1 },
            checks: Checks::new(chains),
            tip: params.genesis_hash,
            report: None,
            answers: Vec::new(),
            trace: 0xcbf2_9ce4_8422_2325,
            steps: 0,
            disk_effects: 0,
            cut_at: None,
            verbose: false,
        };
        sim.boot(cores);
        sim
    }

    /// The run ends, with a power cut if nothing else has ended it, and another begins on what is left.
    pub fn restart(&mut self, cores: usize) {
        let power = matches!(self.down.take().unwrap_or(Down::Power), Down::Power);
        if self.verbose {
            eprintln!("{:>8} ms ---- {} ----", self.now_ms, if power { "the power goes" } else { "the process ends" });
        }
        let (faults, rng) = (&mut self.faults, &mut self.rng);
        if power {
            self.disk.cut(faults, rng);
        } else {
            self.disk.kill(rng);
        }
        self.checkpoints.end(power, faults, rng);
        // A line that was being appended: all of it, or its first bytes.
        let mut line = std::mem::take(&mut self.remembering);
        if !line.is_empty() && faults.lost_refusal.strikes(rng) {
            line.truncate(rng.below(line.len() as u64) as usize);
        }
        self.refused.extend(line);
        // A file that is being replaced is the old one or the new one.
        if let Some(fresh) = self.keeping.take().filter(|_| rng.below(2) == 0) {
            self.invalidated = fresh;
        }
        if let Some(old) = self.unsynced.take().filter(|_| power) {
            self.invalidated = old;
        }
        self.rows.spoil(faults, rng);
        self.end_snapshot();
        self.boot(cores);
    }

    /// Blocks refused in earlier runs, as the edge reads them.
    fn refusals(&self) -> Vec<(BlockHash, String)> {
        let text = String::from_utf8_lossy(&self.refused);
        let line = |line: &str| {
            let (hash, why) = line.split_once(' ')?;
            Some((hash.parse().ok()?, why.to_owned()))
        };
        text.lines().filter_map(line).collect()
    }

    /// Blocks that were invalidated by hand, as far as that is durable.
    pub fn by_hand(&self) -> Vec<BlockHash> {
        let text = String::from_utf8_lossy(&self.invalidated);
        text.lines().map(|line| line.parse().expect("a hash")).collect()
    }

    fn boot(&mut self, cores: usize) {
        let params = Params::of(Network::Regtest);
        self.plan = plan(cores);
        let (lanes, trust) = (self.lanes, Trust::default());
        // A lie is found out at once only where both are asked.
        let lies = lanes == Mode::Check && self.faults.lying_lanes.strikes(&mut self.rng);
        let (workers, pages) = (self.plan.workers, Pages::new(cores + 1));
        let budget = self.budget;
        self.links = Links::new(self.plan.executors.len());
        self.due.clear();
        self.conns.clear();
        self.report = None;
        self.tip = params.genesis_hash;
        (self.cut_at, self.dying, self.apart_until) = (None, None, 0);
        let (index, opened) = self.open();
        self.base_lost = self.snapshot.as_ref().is_some_and(|snapshot| !self.checks.leads_to(&index, snapshot.block));
        let synced = !self.strikes(Planted::UnsyncedStart, 1);
        self.disk.open(index.end, synced);
        let refused = self.refusals();
        self.checks.began(
            &index.records,
            refused.iter().map(|(hash, _)| *hash),
            self.snapshot.as_ref().map(|snapshot| snapshot.block),
            &self.disk,
        );
        let hidden = self.strikes(Planted::RefusedAgain, 1);
        let snapshot = self.find_snapshot();
        let mut found = self.checkpoints.find(if snapshot.is_some() { Side::History } else { Side::Tip });
        if self.strikes(Planted::StaleCheckpoint, 1) {
            found
                .iter_mut()
                .for_each(|(_, height, block)| *block = self.checks.chains.rival[*height as usize - 1].hash);
        }
        let mut cx = Cx::new(0);
        let chain = chain::Config {
            params,
            workers,
            min_work: consensus::Work::ZERO,
            assume_valid: None,
            lanes,
            budget,
            horizon: self.horizon,
            refused: if hidden { Vec::new() } else { refused },
            checkpoints: found,
            snapshot,
            look: false,
            invalidated: self.by_hand(),
            pruning: self.pruning(),
            offline: false,
            audit: None,
        };
        let wanted = self.remotes.iter().map(|remote| book::Wanted::Address(remote.address)).collect();
        let book = book::Config { params, workers, outgoing: 0, incoming: 8, wanted, saved: None };
        let setup = status::Setup {
            params,
            plan: self.plan.clone(),
            pages: pages.clone(),
            budget,
            version: "".into(),
            lanes,
            trust: trust.clone(),
            may_write: true,
        };
        let shards = &mut self.shards;
        shards.clear();
        shards.insert(ShardId::Chain, Box::new(chain::Chain::new(chain)));
        shards.insert(ShardId::Store, Box::new(store::Store::new(params, opened)));
        shards.insert(ShardId::Status, Box::new(status::Status::new(setup)));
        shards.insert(ShardId::Book, Box::new(book::Book::new(book, &mut cx)));
        let cache = ScriptCache::new(1 << 18, [7; 32]);
        if self.warm {
            self.checks.chains.teach(&cache);
        }
        let (checksums, pruned) = (Checksums::default(), self.pruning.is_some());
        for i in 0..workers {
            let core = self.plan.home(ShardId::Peer(i));
            let (nonce, seed) = (self.rng.bits(), ledger::Seed::new(7));
            let config = peer::Config {
                params,
                number: i,
                workers,
                core,
                pages: pages.clone(),
                budget,
                services: if pruned { wire::NODE_WITNESS } else { wire::NODE_NETWORK | wire::NODE_WITNESS },
                checksums: checksums.clone(),
                nonce,
                seed,
                verbose: false,
            };
            shards.insert(ShardId::Peer(i), Box::new(peer::Peer::new(config)));
            let partitions = self.plan.partitions(i);
            let config = utxo::Config {
                number: i,
                workers,
                partitions,
                seed,
                policy: self.policy,
                genesis: params.genesis_hash,
                snapshot: self.snapshot.is_some(),
                core,
                pages: pages.clone(),
            };
            shards.insert(ShardId::Utxo(i), Box::new(utxo::Utxo::new(config)));
            let (pages, cache) = (pages.clone(), cache.clone());
            let prover = Some(Prover::new(Box::new(StandIn { lies }), trust.clone()));
            let config = verify::Config { number: i, workers, core, pages, cache, prover };
            shards.insert(ShardId::Verify(i), Box::new(verify::Verify::new(config)));
        }
        self.step(ShardId::Chain, Input::Event(Event::Indexed { file: 0, index: Arc::new(index) }));
        self.step(ShardId::Chain, Input::Event(Event::Begin));
        for shard in self.shards.keys().copied().collect::<Vec<_>>() {
            let at = self.rng.below(TICK_MS);
            self.after(at, Due::Tick(shard));
        }
    }
}

/// The records of this file, with what copies of a block index say of them.
pub(super) fn open(copies: &[&[u8]], image: &[u8], holes: &[Range<u64>]) -> ledger::block_index::Opened {
    let params = Params::of(Network::Regtest);
    let read = |at: u64, buffer: &mut [u8]| {
        let rest = image.get(at as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok::<_, String>(len)
    };
    ledger::block_index::open(params, copies, image.len() as u64, holes, read, |_| {}).expect("reads succeed")
}
