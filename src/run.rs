//! A node from a checked configuration: folder, plan, one executor per core, ready or not, until it stops.

use crate::config::{Config, cpus_allowed};
use crate::disk::{Access, BLOCK_INDEX, Disk, INVALIDATED, Source};
use crate::exit::Fatal;
use crate::folder::{Blocks, Folder, to_import};
use crate::links::{self, Ends, Links};
use crate::net::Net;
use crate::pump::{Core, News, Parts};
use crate::values::Target;
use crate::{checkpoints, console, executor, http, monitor, notify, pages, snapshot, sparse};
use consensus::Params;
use ledger::Seed;
use ledger::record::Index;
use shards::checksums::Checksums;
use shards::effect::{Event, Side, Stop};
use shards::limits::{Budget, PAGE, SCRIPT_CACHE_BYTES};
use shards::metrics::Pages;
use shards::prover::{Mode, Prover, Trust};
use shards::script_cache::ScriptCache;
use shards::store::Opened;
use shards::{Cx, Plan, Shard, ShardId, book, chain, peer, plan, status, store, utxo, verify};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::mem::ManuallyDrop;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const BIND_PATIENCE: Duration = Duration::from_secs(3);
const BIND_RETRY: Duration = Duration::from_millis(50);
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// What the node is started for.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// Peers, pages, until it is told to stop.
    Serve,
    /// Take in what lies in these files, say how far that came, and stop.
    Offline(Vec<PathBuf>),
    /// Answer this question to the status shard, and stop; write nothing but a snapshot to this file.
    Look(String, Option<Arc<std::fs::File>>),
    /// Run the scripts of the blocks from the first height to the last that are stored, print each that fails, and answer.
    Audit(u32, u32),
}

/// What every core needs to build its shards; shared by all.
struct Blueprint {
    config: Config,
    params: &'static Params,
    plan: Plan,
    pages: Pages,
    budget: Budget,
    offline: bool,
    sources: Vec<Source>,
    indexes: Vec<Arc<Index>>,
    refused: Vec<(consensus::BlockHash, String)>,
    invalidated: Vec<consensus::BlockHash>,
    addresses: Option<Vec<u8>>,
    checkpoints: Vec<(u16, u32, consensus::BlockHash)>,
    snapshot: Option<chain::Snapshot>,
    opened: Opened,
    pruning: chain::Pruning,
    /// What is offered to peers.
    services: u64,
    nonce: u64,
    /// Of the tables of coins.
    seed: Seed,
    checksums: Checksums,
    cache: ScriptCache,
    audit: Option<(u32, u32)>,
    lanes: Mode,
    trust: Trust,
    start: Instant,
    question: Option<String>,
    read_only: bool,
    dump: Option<Arc<std::fs::File>>,
}

/// Sockets that one core listens on.
#[derive(Default)]
struct Listeners {
    peers: Vec<TcpListener>,
    page: Option<TcpListener>,
    prompt: Option<UnixListener>,
}

/// A node that runs.
pub struct Node {
    news: mpsc::Receiver<News>,
    to_main: mpsc::Sender<News>,
    config: Config,
    offline: bool,
    /// Nobody else opens it before this process ends: until then executors write.
    _folder: ManuallyDrop<Folder>,
}

/// 64 bits that nobody can guess: the standard library seeds its hashers from the kernel.
fn entropy() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// As many bytes as a cache's secret has, made of what the kernel gave.
fn secret() -> [u8; 32] {
    let words = [(); 4].map(|()| entropy().to_le_bytes());
    words.as_flattened().try_into().expect("four times eight bytes")
}

impl Node {
    /// Starts it; comes back when every core runs, or with the reason why one does not.
    pub fn start(config: Config, purpose: Purpose) -> Result<Node, Fatal> {
        let params = config.params;
        let read_only = matches!(purpose, Purpose::Look(..) | Purpose::Audit(..));
        // Before the machine is looked at: who may not use the folder is told whose it is.
        let mut folder = if read_only { Folder::look(&config.folder)? } else { Folder::open(&config.folder)? };
        check_machine(&config, read_only)?;
        let budget = Budget::split(config.memory).ok_or_else(|| {
            Fatal::Usage(format!("--memory {} MiB is too little: at least 256 MiB (coins aside)", config.memory >> 20))
        })?;
        // Whoever only looks, prunes nothing.
        let size = config.prune.filter(|_| !read_only);
        if size.is_some() {
            sparse::can_punch(&folder.path).map_err(|why| cannot_punch(&folder.path, &why))?;
        }
        let Blocks { source, index: own, opened } = folder.blocks(params, size.is_some())?;
        let pruning = chain::Pruning { size, begun: folder.pruned, ..chain::Pruning::default() };
        let snapshot = snapshot::read(&folder.path, params, read_only)?;
        let whole = size.is_none() && snapshot.is_none() && !own.records.iter().any(|record| record.punched);
        // Whoever has all blocks has the last ones, too (Core `g_local_services`).
        let services = match whole {
            false => wire::NODE_NETWORK_LIMITED | wire::NODE_WITNESS,
            true => wire::NODE_NETWORK | wire::NODE_NETWORK_LIMITED | wire::NODE_WITNESS,
        };
        let (mut imports, mut audit, mut dump) = (Vec::new(), None, None);
        let question = match purpose {
            Purpose::Serve => None,
            Purpose::Offline(paths) => {
                imports = to_import(params, &paths)?;
                Some("json".to_owned())
            }
            Purpose::Look(question, file) => {
                dump = file;
                Some(question)
            }
            Purpose::Audit(from, to) => {
                audit = Some((from, to));
                Some("json".to_owned())
            }
        };
        let offline = question.is_some();
        let (mut sources, mut indexes) = (vec![source], vec![Arc::new(own)]);
        for (source, index) in imports {
            sources.push(source);
            indexes.push(index);
        }
        let side = if snapshot.is_some() { Side::History } else { Side::Tip };
        let plan = plan(config.cores);
        let lanes = lanes_here(config.lanes)?;
        if !offline {
            greet(&config, &plan, &budget, lanes);
        }
        let blueprint = Arc::new(Blueprint {
            params,
            pages: Pages::new(plan.executors.len()),
            budget,
            offline,
            sources,
            indexes,
            // What was refused once is audited like the rest.
            refused: if audit.is_some() { Vec::new() } else { folder.refused() },
            invalidated: if audit.is_some() { Vec::new() } else { invalidated(&folder)? },
            addresses: folder.read("peers"),
            checkpoints: checkpoints::find(&checkpoints::folder_of(&folder.path, side), params)?,
            snapshot,
            opened,
            pruning,
            services,
            nonce: entropy(),
            seed: Seed::new(entropy()),
            checksums: Checksums::default(),
            cache: ScriptCache::new(SCRIPT_CACHE_BYTES, secret()),
            audit,
            lanes,
            trust: Trust::default(),
            start: Instant::now(),
            question,
            read_only,
            dump,
            config: config.clone(),
            plan,
        });
        let (to_main, news) = mpsc::channel();
        let node = Node { news, to_main, config, offline, _folder: ManuallyDrop::new(folder) };
        tuning::pages::touch_ahead().map_err(|why| kernel(0, &why.to_string()))?;
        node.spawn(&blueprint)?;
        Ok(node)
    }

    fn spawn(&self, blueprint: &Arc<Blueprint>) -> Result<(), Fatal> {
        let config = &self.config;
        let cpus = cpus_allowed();
        let listeners = if blueprint.offline { Default::default() } else { listen(config, &blueprint.plan)? };
        let mut listeners: BTreeMap<usize, Listeners> = listeners;
        for (core, ends) in links::wire(&blueprint.plan).into_iter().enumerate() {
            let store = blueprint.plan.home(ShardId::Store) == core;
            let alone = config.pin && config.cores <= cpus.len();
            let cpu = (config.pin && core != blueprint.plan.desk()).then(|| cpus[core]);
            let builder = executor::builder(core, cpu, alone && cpu.is_some(), store);
            let (blueprint, news) = (blueprint.clone(), self.to_main.clone());
            let listeners = listeners.remove(&core).unwrap_or_default();
            let spawned = builder.spawn(move || run_core(core, blueprint, ends, listeners, news));
            let handle = spawned.map_err(|why| kernel(core, &why.to_string()))?;
            let news = self.to_main.clone();
            // Ring and affinity errors appear only when the thread is joined.
            std::thread::spawn(move || {
                if let Err(why) = handle.join() {
                    let _ = news.send(News::Broken(core, why.to_string()));
                }
            });
        }
        let (mut ready, wanted) = (0, blueprint.plan.executors.len());
        while ready < wanted {
            match self.news.recv_timeout(READY_TIMEOUT) {
                Ok(News::Ready) => ready += 1,
                Ok(News::Broken(core, why)) => return Err(kernel(core, &why)),
                Ok(other) => {
                    let _ = self.to_main.send(other);
                }
                Err(_) => {
                    let what =
                        format!("only {ready} of {wanted} executors were ready in {} s", READY_TIMEOUT.as_secs());
                    return Err(Fatal::Kernel { what, mend: "caesure tune check".into() });
                }
            }
        }
        Ok(())
    }

    /// A hand with which another thread can stop the node.
    pub fn stopper(&self) -> impl Fn() + Send + 'static {
        let to_main = self.to_main.clone();
        move || {
            let _ = to_main.send(News::Stop(Stop::Done, "asked to stop".into()));
        }
    }

    /// Waits until the node stops; the answer to the offline question, if there was one.
    pub fn wait(self) -> Result<Option<String>, Fatal> {
        let result = loop {
            match self.news.recv().expect("a sender is kept here") {
                News::Ready => {}
                News::Answer(answer) => break Ok(Some(answer)),
                News::Broken(core, why) => break Err(kernel(core, &why)),
                News::Stop(Stop::Done, why) => {
                    tracing::info!("stopping: {why}");
                    notify::stopping(&why);
                    break Ok(None);
                }
                News::Stop(why, line) => break Err(self.fatal(why, line)),
            }
        };
        if let Some(path) = self.config.monitor.as_ref().filter(|_| !self.offline) {
            let _ = std::fs::remove_file(path);
        }
        result
    }

    fn fatal(&self, why: Stop, line: String) -> Fatal {
        let path = self.config.folder.join("blocks.bin");
        match why {
            Stop::DiskFull => Fatal::DiskFull { free: free_bytes(&self.config.folder), path, what: line },
            Stop::DiskFailed => {
                Fatal::DiskFailed { path, doing: "reading or writing".into(), why: std::io::Error::other(line) }
            }
            Stop::Damaged => {
                Fatal::Damaged { path, what: line, mend: "caesure -c HOST:PORT, or caesure import FILE".into() }
            }
            Stop::Snapshot => {
                let folder = self.config.folder.display();
                let mend = format!(
                    "rm -r {folder}/coins {folder}/snapshot: the next start goes on with the history, of which nothing is \
                     lost; or after that caesure coins load FILE with another snapshot"
                );
                Fatal::Damaged { path: snapshot::path(&self.config.folder), what: line, mend }
            }
            Stop::HeadersLost => Fatal::Damaged {
                path: self.config.folder.join(BLOCK_INDEX[0]),
                what: line,
                mend: again(&self.config.folder),
            },
            Stop::Pruned => Fatal::Pruned { what: line, mend: again(&self.config.folder) },
            Stop::Done => unreachable!("no failure"),
        }
    }
}

/// Blocks invalidated by hand, said once.
fn invalidated(folder: &Folder) -> Result<Vec<consensus::BlockHash>, Fatal> {
    let hashes = folder.invalidated()?;
    if !hashes.is_empty() {
        let path = folder.path.join(INVALIDATED);
        tracing::warn!("{} block(s) invalidated by hand stay so: see {}", hashes.len(), path.display());
    }
    Ok(hashes)
}

/// What is left to do where blocks are needed that are gone.
fn again(folder: &std::path::Path) -> String {
    let folder = folder.display();
    format!("sync again: mv {folder} {folder}.old, start with peers; or load a snapshot of the coins there")
}

fn cannot_punch(folder: &std::path::Path, why: &std::io::Error) -> Fatal {
    let folder = folder.display();
    Fatal::Usage(format!(
        "--prune: the file system of {folder} cannot give up parts of a file: {why}\ntry: --base on ext4, xfs, btrfs or tmpfs"
    ))
}

fn kernel(core: usize, why: &str) -> Fatal {
    Fatal::Kernel { what: format!("executor {core} cannot run: {why}"), mend: "caesure tune check".into() }
}

/// Bytes that we may still write there.
fn free_bytes(path: &std::path::Path) -> u64 {
    tuning::free_bytes(path).unwrap_or(0)
}

fn check_machine(config: &Config, read_only: bool) -> Result<(), Fatal> {
    tuning::raise_open_files();
    for check in tuning::check(&config.wants()) {
        let direct = check.what == tuning::What::Direct;
        match check.grade {
            tuning::Grade::Fail if direct && read_only => {}
            tuning::Grade::Fail if direct && free_bytes(&config.base) < PAGE => {
                let (path, what) = (config.base.clone(), check.found);
                return Err(Fatal::DiskFull { free: free_bytes(&path), path, what });
            }
            tuning::Grade::Fail => return Err(Fatal::from(&check)),
            tuning::Grade::Warn => tracing::warn!("{check}"),
            tuning::Grade::Ok => {}
        }
    }
    Ok(())
}

fn listen(config: &Config, plan: &Plan) -> Result<BTreeMap<usize, Listeners>, Fatal> {
    let mut at: BTreeMap<usize, Listeners> = BTreeMap::new();
    let bind = |address: SocketAddr, what: &str| {
        patiently(|| bind(address)).map_err(|why| {
            Fatal::Runtime(format!(
                "cannot listen on {address} for {what}: {why}\ntry: ss -ltnp 'sport = :{}'",
                address.port()
            ))
        })
    };
    for address in &config.serve {
        at.entry(plan.home(ShardId::Book)).or_default().peers.push(bind(*address, "peers")?);
    }
    let status = at.entry(plan.home(ShardId::Status)).or_default();
    if let Some(address) = config.webui {
        status.page = Some(match bind(address, "the status page") {
            Err(_) if address.ip() == std::net::Ipv6Addr::UNSPECIFIED => {
                bind(SocketAddr::from(([0, 0, 0, 0], address.port())), "the status page")?
            }
            bound => bound?,
        });
    }
    if let Some(path) = &config.monitor {
        let bound = patiently(|| monitor::bind(path));
        status.prompt = Some(bound.map_err(|why| {
            Fatal::Runtime(format!("cannot listen on {}: {why}\ntry: ls -l {}", path.display(), path.display()))
        })?);
    }
    Ok(at)
}

/// Tries again for a while where the address is in use: after kill -9 the kernel takes a moment to let go of what a ring
/// was still accepting on.
fn patiently<T>(bind: impl Fn() -> std::io::Result<T>) -> std::io::Result<T> {
    let until = Instant::now() + BIND_PATIENCE;
    loop {
        match bind() {
            Err(why) if why.kind() == std::io::ErrorKind::AddrInUse && Instant::now() < until => {
                std::thread::sleep(BIND_RETRY);
            }
            bound => return bound,
        }
    }
}

/// A listener without SO_REUSEPORT, so that a second node on the same port is noticed.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && !address.ip().is_unspecified() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(1_024)?;
    Ok(socket.into())
}

async fn run_core(core: usize, blueprint: Arc<Blueprint>, ends: Ends, listeners: Listeners, news: mpsc::Sender<News>) {
    let store = blueprint.plan.home(ShardId::Store) == core;
    let access = match (blueprint.read_only, store) {
        (true, _) => Access::Look(blueprint.dump.clone()),
        (false, true) => Access::Append,
        (false, false) => Access::Read,
    };
    let disk = match Disk::open(blueprint.sources.clone(), blueprint.config.folder.clone(), access).await {
        Ok(disk) => disk,
        Err(why) => {
            let _ = news.send(News::Broken(core, why));
            return std::future::pending().await;
        }
    };
    let (links, receivers) = Links::connect(ends).await;
    let mut cx = Cx::new(entropy());
    let shards = blueprint.plan.executors[core].iter().map(|id| (*id, blueprint.shard(*id, core, &mut cx))).collect();
    let this = Core::new(Parts {
        index: core,
        plan: blueprint.plan.clone(),
        shards,
        pages: blueprint.pages.clone(),
        seed: entropy(),
        links,
        net: Net::new(blueprint.config.packet),
        disk,
        news,
        start: blueprint.start,
        first: cx.effects,
        question: blueprint.question.clone(),
    });
    links::receive(&this, receivers);
    for listener in listeners.peers {
        Net::listen(&this, listener);
    }
    if core == blueprint.plan.desk() && !blueprint.offline {
        glommio::spawn_local(notify::run(this.clone(), blueprint.pages.clone())).detach();
    }
    let inside = console::Inside::new(blueprint.params, blueprint.config.folder.clone());
    if let Some(listener) = listeners.page {
        let users = blueprint.config.users.iter().map(|user| (user.name.clone(), user.pass.clone())).collect();
        let network = blueprint.params.network;
        match pages::Pages::start(network, inside.clone()) {
            Ok(pages) => {
                let token = shards::status::format::hex(&secret());
                let house = http::House { network, folder: blueprint.config.folder.clone(), pages, token };
                glommio::spawn_local(http::serve(listener, users, this.clone(), house)).detach();
            }
            Err(why) => tracing::error!("the status page cannot be served: no thread: {why}"),
        }
    }
    if let Some(listener) = listeners.prompt {
        glommio::spawn_local(monitor::serve(listener, this.clone(), inside)).detach();
    }
    if blueprint.plan.home(ShardId::Chain) == core {
        for (file, index) in (0..).zip(&blueprint.indexes) {
            this.event(ShardId::Chain, Event::Indexed { file, index: index.clone() });
        }
        this.event(ShardId::Chain, Event::Begin);
    }
    this.run().await;
}

impl Blueprint {
    /// Lanes of one core, which must first prove themselves there.
    fn prover(&self, core: usize) -> Option<Prover> {
        let mut lanes = (self.lanes != Mode::Off).then(lanes::Lanes::detect).flatten()?;
        if !lanes.self_test() {
            tracing::error!(
                "LANES ARE WRONG: on core {core} they do not tell known good signatures from bad ones, so libsecp256k1 decides \
                 all. This is a fault of the processor or of caesure: please report it, and start with --lanes off"
            );
            self.trust.lose();
        }
        Some(Prover::new(Box::new(lanes), self.trust.clone()))
    }

    fn shard(&self, id: ShardId, core: usize, cx: &mut Cx) -> Box<dyn Shard> {
        let (config, plan, params) = (&self.config, &self.plan, self.params);
        match id {
            ShardId::Chain => Box::new(chain::Chain::new(chain::Config {
                params,
                workers: plan.workers,
                min_work: config.min_chain_work,
                assume_valid: config.assume_valid,
                lanes: self.lanes,
                budget: self.budget,
                horizon: config.horizon,
                refused: self.refused.clone(),
                checkpoints: self.checkpoints.clone(),
                snapshot: self.snapshot.clone(),
                look: self.read_only,
                invalidated: self.invalidated.clone(),
                pruning: self.pruning,
                offline: self.offline,
                audit: self.audit,
            })),
            ShardId::Store => Box::new(store::Store::new(params, self.opened.clone())),
            ShardId::Status => Box::new(status::Status::new(status::Setup {
                params,
                plan: plan.clone(),
                pages: self.pages.clone(),
                budget: self.budget,
                version: format!("caesure {}", env!("CARGO_PKG_VERSION")),
                lanes: self.lanes,
                trust: self.trust.clone(),
                may_write: config.monitor_write,
            })),
            ShardId::Book => {
                let wanted = config.connect.iter().map(|target| match target {
                    Target::Addr(address) => book::Wanted::Address(*address),
                    Target::Name(name, port) => book::Wanted::Name(name.clone(), *port),
                });
                let book = book::Config {
                    params,
                    workers: plan.workers,
                    outgoing: if self.offline { 0 } else { config.outgoing },
                    incoming: config.incoming,
                    wanted: if self.offline { Vec::new() } else { wanted.collect() },
                    saved: self.addresses.clone(),
                };
                Box::new(book::Book::new(book, cx))
            }
            ShardId::Peer(number) => Box::new(peer::Peer::new(peer::Config {
                params,
                number,
                workers: plan.workers,
                core,
                pages: self.pages.clone(),
                checksums: self.checksums.clone(),
                budget: self.budget,
                services: self.services,
                nonce: self.nonce,
                seed: self.seed,
                verbose: config.verbose,
            })),
            ShardId::Utxo(number) => Box::new(utxo::Utxo::new(utxo::Config {
                number,
                workers: plan.workers,
                partitions: plan.partitions(number),
                seed: self.seed,
                policy: utxo::Policy {
                    network: params.magic,
                    bandwidth: if self.read_only { 0 } else { config.checkpoint_bandwidth },
                    interval: config.checkpoint_interval,
                    gap: config.checkpoint_gap,
                },
                genesis: params.genesis_hash,
                snapshot: self.snapshot.is_some(),
                core,
                pages: self.pages.clone(),
            })),
            ShardId::Verify(number) => Box::new(verify::Verify::new(verify::Config {
                number,
                workers: plan.workers,
                core,
                pages: self.pages.clone(),
                cache: self.cache.clone(),
                prover: self.prover(core),
            })),
        }
    }
}

/// What is wanted of lanes, if this machine has them.
fn lanes_here(wanted: Mode) -> Result<Mode, Fatal> {
    match wanted {
        Mode::Off => Ok(Mode::Off),
        wanted if lanes::Lanes::detect().is_some() => Ok(wanted),
        Mode::Auto => Ok(Mode::Off),
        wanted => Err(Fatal::Usage(format!(
            "--lanes {}: this processor has no AVX-512 IFMA (grep avx512ifma /proc/cpuinfo); try: --lanes auto",
            wanted.word()
        ))),
    }
}

/// What nobody should have to look up later.
fn greet(config: &Config, plan: &Plan, budget: &Budget, lanes: Mode) {
    let pinned = if config.pin { "each pinned to a CPU" } else { "not pinned" };
    let (version, chain, cores) = (env!("CARGO_PKG_VERSION"), config.chain, config.cores);
    tracing::info!(
        name: "start", version, chain = %chain, cores, pin = config.pin, folder = %config.folder.display(),
        process = std::process::id(), "caesure {version} on {chain}, {cores} core(s), {pinned}, and a desk"
    );
    plan.to_string().lines().for_each(|line| tracing::info!("{line}"));
    tracing::info!("memory {budget}");
    match (config.lanes, lanes) {
        (Mode::Auto, Mode::Off) => {
            tracing::info!("signatures: libsecp256k1; this processor has no AVX-512 IFMA for lanes")
        }
        (_, Mode::Off) => tracing::info!("signatures: libsecp256k1 (--lanes off)"),
        (_, mode) => tracing::info!("signatures: lanes of AVX-512 IFMA, beside libsecp256k1 (--lanes {})", mode.word()),
    }
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
}
