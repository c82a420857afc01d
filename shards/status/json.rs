//! The view as JSON. Fields are written in the order of the structs below, so that `height`, the
//! validated one, is the first key of that name.

mod cores;
mod flow;

use super::format::{clean, hex, percent};
use super::lanes::Lanes;
use super::view::View;
use crate::report;
use serde::Serialize;

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
    cores: Vec<cores::Core>,
    /// The executor of whoever looks in.
    desk: cores::Core,
    /// Words that each executor sent to each over the last second, the desk last.
    words_per_s: &'a [Vec<u64>],
    latency: flow::Latencies,
    /// The blocks that became valid and durable last.
    ways: Vec<flow::Way>,
    /// Blocks around the tip and in the window.
    marks: flow::Marks,
    partitions: Vec<u32>,
    root: Block,
    horizon: u32,
    worlds_live: usize,
    worlds_bytes: u64,
    tips: Vec<Tip>,
    worlds: Vec<World>,
    blocks_bin: Blocks,
    events: Vec<flow::Said>,
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
    appended: u64,
    checkpoints_written: u64,
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
        cores: (0..view.setup.plan.cores()).map(|core| cores::core(view, core)).collect(),
        desk: cores::core(view, view.setup.plan.desk()),
        words_per_s: &view.load.words,
        latency: flow::latencies(view),
        ways: chain.ways.iter().map(flow::way).collect(),
        marks: flow::marks(chain),
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
            appended: view.store.appended,
            checkpoints_written: pages.sum_cores(|core| &core.checkpoint_bytes),
            syncs: view.store.syncs,
            punched: view.store.punched,
            pruned_up_to: chain.pruned.0,
            prune_size: chain.pruned.2,
        },
        events: view.events.iter().map(flow::said).collect(),
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

fn deployment(&report::Deployment { name, state, since }: &report::Deployment) -> Deployment {
    Deployment { name, state, since }
}

fn peer(peer: &report::Peer) -> Peer {
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

fn tips(view: &View) -> Vec<Tip> {
    let tip = |leaf: &report::Leaf| Tip {
        height: leaf.height,
        hash: leaf.hash.to_string(),
        branch_len: leaf.branch_len,
        status: leaf.status.clone(),
    };
    view.chain.tips.iter().map(tip).collect()
}

fn worlds(view: &View) -> Vec<World> {
    let world = |world: &report::World| World {
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
