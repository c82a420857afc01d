//! The view as JSON. Fields are written in the order of the structs below, so that `height`, the
//! validated one, is the first key of that name.

use super::format::{clean, hex, percent};
use super::lanes::Lanes;
use super::view::{Spent, View};
use crate::metrics::Stage;
use crate::topology::ShardId;
use serde::Serialize;
use std::collections::BTreeMap;

/// Peers listed; the rest are counted.
const PEERS_MAX: usize = 1_024;

#[derive(Serialize)]
struct Status<'a> {
    state: &'static str,
    why: String,
    chain: &'static str,
    height: u32,
    headers: u32,
    tip: String,
    tip_time: u32,
    work: String,
    coins: u64,
    scripts_verified: bool,
    scripts: &'a str,
    /// Behind a snapshot: how far the history is verified, and how far it goes; none where there is nothing to verify.
    history: Option<History>,
    inputs_run: u64,
    signatures_settled: u64,
    scripts_run_again: u64,
    scripts_failed: u64,
    lanes: Lanes,
    progress_percent: f64,
    blocks_per_s: f64,
    txs_per_s: f64,
    bytes_per_s: f64,
    eta_s: Option<u64>,
    branch_switches: u64,
    deployments: Vec<Deployment>,
    peer_count: usize,
    version: String,
    up_s: u64,
    unix: u64,
    warning: Option<String>,
    done: Done,
    window: Window,
    network: Network,
    peers: Vec<Peer>,
    cores: Vec<Core>,
    /// The executor of whoever looks in.
    desk: Core,
    partitions: Vec<u32>,
    root: Block,
    horizon: u32,
    worlds_live: usize,
    worlds_bytes: u64,
    tips: Vec<Tip>,
    worlds: Vec<World>,
    blocks_bin: Blocks,
    checkpoint_failed: Option<&'a str>,
    ledger: Ledger,
    book: Book,
    memory: Memory,
}

#[derive(Serialize)]
struct History {
    verified: u32,
    of: u32,
}

#[derive(Serialize)]
struct Deployment {
    name: &'static str,
    state: &'static str,
    since: u32,
}

#[derive(Serialize)]
struct Done {
    blocks: u64,
    txs: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Window {
    growing: usize,
    parked: usize,
    loading: usize,
    asked: usize,
    bytes: u64,
    bytes_max: u64,
}

#[derive(Serialize)]
struct Network {
    received_bytes: u64,
    sent_bytes: u64,
    received_bytes_per_s: u64,
    sent_bytes_per_s: u64,
    buffered_bytes: u64,
}

#[derive(Serialize)]
struct Peer {
    id: u64,
    address: String,
    inbound: bool,
    up: bool,
    agent: String,
    version: u32,
    services: String,
    start_height: u32,
    ping_ms: Option<u64>,
    asked: u32,
    blocks: u64,
    received_bytes: u64,
    sent_bytes: u64,
    age_s: u64,
}

#[derive(Serialize)]
struct Core {
    core: usize,
    shards: Vec<String>,
    busy_percent: f64,
    /// Of the last second: in each stage, and outside all.
    spent_percent: BTreeMap<&'static str, f64>,
    /// Inputs that waited meanwhile, on average.
    waiting: f64,
    busy_ns: u64,
    stage_ns: BTreeMap<&'static str, u64>,
    cpu_ns: u64,
    wait_ns: u64,
    steps: u64,
    queue_max: u64,
    step_ns_max: u64,
    link_overrun: u64,
    block_parsed: u64,
    part_verified: u64,
    world_grown: u64,
    coin_taken: u64,
}

#[derive(Serialize)]
struct Block {
    height: u32,
    hash: String,
}

#[derive(Serialize)]
struct Tip {
    height: u32,
    hash: String,
    branch_len: u32,
    status: String,
}

#[derive(Serialize)]
struct World {
    height: u32,
    hash: String,
    parent: String,
    active: bool,
    status: &'static str,
    invalidated: bool,
    coins: Option<u64>,
    made: Option<u64>,
    taken: Option<u64>,
    bytes: u64,
}

#[derive(Serialize)]
struct Blocks {
    end: u64,
    durable: u64,
    written: u64,
    syncs: u64,
    punched: u64,
    pruned_up_to: u32,
    prune_size: Option<u64>,
}

#[derive(Serialize)]
struct Ledger {
    base_coins: u64,
    base_bytes: u64,
    versions: u64,
    nursery: u64,
    folded: u64,
    nursery_percent: f64,
}

#[derive(Serialize)]
struct Book {
    known: usize,
    outgoing: usize,
    outgoing_max: usize,
    incoming: usize,
    incoming_max: usize,
}

#[derive(Serialize)]
struct Memory {
    total: u64,
    receive: u64,
    window: u64,
    worlds: u64,
    send: u64,
}

/// One decimal is all that a rate can promise.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The whole view as one JSON object.
pub fn json(view: &View) -> String {
    let chain = &view.chain;
    let pages = &view.setup.pages;
    let budget = &view.setup.budget;
    let peers = view.all_peers();
    let (done, whole) = view.progress();
    let [inputs_run, signatures_settled, scripts_run_again] = view.scripts();
    let status = Status {
        state: chain.state.word(),
        why: chain.why.clone(),
        chain: view.setup.params.network.name(),
        height: chain.height,
        headers: chain.headers,
        tip: chain.tip.to_string(),
        tip_time: chain.tip_time,
        work: chain.work.clone(),
        coins: chain.coins,
        scripts_verified: chain.scripts_verified,
        scripts: &chain.scripts,
        history: chain.history.map(|(verified, of)| History { verified, of }),
        inputs_run,
        signatures_settled,
        scripts_run_again,
        scripts_failed: view.setup.pages.sum(|work| &work.script_failed),
        lanes: Lanes::of(view),
        progress_percent: rounded(percent(done, whole)),
        blocks_per_s: rounded(chain.blocks_per_s),
        txs_per_s: rounded(chain.txs_per_s),
        bytes_per_s: rounded(chain.bytes_per_s),
        eta_s: chain.eta_s,
        branch_switches: chain.switches,
        deployments: chain.deployments.iter().map(deployment).collect(),
        peer_count: peers.len(),
        version: view.setup.version.clone(),
        up_s: view.up_s,
        unix: view.unix,
        warning: view.book.warning.clone(),
        done: Done { blocks: chain.done.0, txs: chain.done.1, bytes: chain.done.2 },
        window: Window {
            growing: chain.growing,
            parked: chain.parked,
            loading: chain.loading,
            asked: chain.asked,
            bytes: chain.window_bytes.0,
            bytes_max: chain.window_bytes.1,
        },
        network: Network {
            received_bytes: pages.sum(|work| &work.received_bytes),
            sent_bytes: pages.sum(|work| &work.sent_bytes),
            received_bytes_per_s: view.load.net[0],
            sent_bytes_per_s: view.load.net[1],
            buffered_bytes: pages.sum(|work| &work.buffered_bytes),
        },
        peers: peers.into_iter().take(PEERS_MAX).map(peer).collect(),
        cores: (0..view.setup.plan.cores()).map(|core| self::core(view, core)).collect(),
        desk: self::core(view, view.setup.plan.desk()),
        partitions: view.coins.iter().flat_map(|(_, partitions)| partitions).copied().collect(),
        root: Block { height: chain.root.0, hash: chain.root.1.to_string() },
        horizon: chain.horizon,
        worlds_live: chain.live,
        worlds_bytes: chain.worlds_bytes.0,
        tips: tips(view),
        worlds: worlds(view),
        blocks_bin: Blocks {
            end: view.store.end,
            durable: view.store.durable,
            written: view.store.written,
            syncs: view.store.syncs,
            punched: view.store.punched,
            pruned_up_to: chain.pruned.0,
            prune_size: chain.pruned.2,
        },
        checkpoint_failed: view.checkpoint_failed(),
        ledger: ledger(view),
        book: Book {
            known: view.book.known,
            outgoing: view.book.outgoing.0,
            outgoing_max: view.book.outgoing.1,
            incoming: view.book.incoming.0,
            incoming_max: view.book.incoming.1,
        },
        memory: Memory {
            total: budget.total,
            receive: budget.receive,
            window: budget.window,
            worlds: budget.worlds,
            send: budget.send,
        },
    };
    serde_json::to_string(&status).expect("strings and numbers are always JSON")
}

fn deployment(&crate::report::Deployment { name, state, since }: &crate::report::Deployment) -> Deployment {
    Deployment { name, state, since }
}

fn peer(peer: &crate::report::Peer) -> Peer {
    Peer {
        id: peer.id,
        address: peer.address.to_string(),
        inbound: peer.inbound,
        up: peer.up,
        agent: clean(&peer.agent, 256),
        version: peer.version,
        services: hex(&peer.services.to_be_bytes()),
        start_height: peer.start_height,
        ping_ms: peer.ping_ms,
        asked: peer.asked,
        blocks: peer.blocks,
        received_bytes: peer.bytes.0,
        sent_bytes: peer.bytes.1,
        age_s: peer.age_s,
    }
}

fn core(view: &View, core: usize) -> Core {
    let (page, work, spent) = (view.setup.pages.core(core), view.setup.pages.work(core), view.load.spent[core]);
    Core {
        core,
        shards: view.setup.plan.executors[core].iter().map(ShardId::to_string).collect(),
        busy_percent: f64::from(view.load.now(core)) / 10.0,
        spent_percent: Spent::names()
            .map(|(name, _)| name)
            .zip(spent.parts.map(|part| f64::from(part) / 10.0))
            .collect(),
        waiting: spent.waiting as f64 / 1e3,
        busy_ns: page.busy_ns.get(),
        stage_ns: Stage::ALL.iter().map(|stage| (stage.word(), page.stage_ns[*stage as usize].get())).collect(),
        cpu_ns: page.cpu_ns.get(),
        wait_ns: page.wait_ns.get(),
        steps: page.step.get(),
        queue_max: page.queue_max.get(),
        step_ns_max: page.step_ns_max.get(),
        link_overrun: page.link_overrun.get(),
        block_parsed: work.block_parsed.get(),
        part_verified: work.part_verified.get(),
        world_grown: work.world_grown.get(),
        coin_taken: work.coin_taken.get(),
    }
}

fn tips(view: &View) -> Vec<Tip> {
    let tip = |leaf: &crate::report::Leaf| Tip {
        height: leaf.height,
        hash: leaf.hash.to_string(),
        branch_len: leaf.branch_len,
        status: leaf.status.clone(),
    };
    view.chain.tips.iter().map(tip).collect()
}

fn worlds(view: &View) -> Vec<World> {
    let world = |world: &crate::report::World| World {
        height: world.height,
        hash: world.hash.to_string(),
        parent: world.parent.to_string(),
        active: world.active,
        status: world.status,
        invalidated: world.invalidated,
        coins: world.coins,
        made: world.delta.map(|(made, _)| made),
        taken: world.delta.map(|(_, taken)| taken),
        bytes: world.bytes,
    };
    view.chain.worlds.iter().map(world).collect()
}

fn ledger(view: &View) -> Ledger {
    let (spent, all) = view.nursery();
    let sum = |of: fn(&ledger::worlds::Tally) -> u64| view.coins.iter().map(|(tally, _)| of(tally)).sum();
    Ledger {
        base_coins: sum(|tally| tally.base_coins),
        base_bytes: sum(|tally| tally.base_bytes),
        versions: sum(|tally| tally.versions),
        nursery: spent,
        folded: all - spent,
        nursery_percent: rounded(percent(spent, all)),
    }
}
