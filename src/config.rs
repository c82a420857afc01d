//! Turns the texts of flags, `CAESURE_*` variables and TOML file into one validated [`Config`], or says what is wrong and where.
//!
//! Decides defaults and bounds. Opens nothing, and never knows how a text was found.

use crate::args::{Command, Shown};
use crate::network;
use crate::settings::{Around, Given, Layers, Setting, Source, path};
use crate::values::{self, Target, User};
use consensus::{BURIED, BlockHash, Deployment, Network, Params, Work};
use shards::limits::{HORIZON_BLOCKS, HORIZON_MAX, HORIZON_SYNC_BLOCKS};
use shards::prover::Mode;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use tracing_subscriber::filter::EnvFilter;

/// Executors at most: one for each of the ledger's 256 fixed partitions; more would have nothing to own.
pub const CORES_MAX: usize = 256;
/// Connections at most, for each direction. A hundred times the default, and within any sensible limit of open files.
pub const PEERS_MAX: usize = 10_000;
/// Below this a budget holds no window of 4 MB blocks and is a slip of the unit, bytes.
const MEMORY_MIN: u64 = 256 << 20;
/// A tenth of what a disk takes: the coins of a long chain are written in ten minutes.
const CHECKPOINT_BANDWIDTH: u64 = 16 << 20;
/// A day of blocks.
const CHECKPOINT_INTERVAL: u32 = 144;
const CHECKPOINT_GAP: u32 = 1_000;
/// The last 290 blocks, some stale ones, and what comes until they are given up (Core `MIN_DISK_SPACE_FOR_BLOCK_FILES`).
const PRUNE_MIN: u64 = 550 << 20;
/// Bytes after which the binary log begins another file.
const LOGFILE_SIZE: u64 = 100 << 20;
const BLOCKS_MAX: usize = 1_000_000;
/// The default budget: this, and [`MEMORY_CORE`] for each executor, bytes.
const MEMORY_BASE: u64 = 1 << 30;
const MEMORY_CORE: u64 = 256 << 20;
/// Longest path of a unix socket: `sun_path` of unix(7) less its closing zero, bytes.
const SOCKET_PATH_MAX: usize = 107;
/// CPUs this process may use, ascending, never empty: of those online, those that affinity and cpusets leave
/// (sched_getaffinity(2)).
pub fn cpus_allowed() -> Vec<usize> {
    let ids: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    if ids.is_empty() { vec![0] } else { ids }
}

/// Every setting, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose blocks.
    pub chain: Network,
    /// Its parameters, some of them as the settings for test chains have it.
    pub params: &'static Params,
    /// Folder of all chains, absolute.
    pub base: PathBuf,
    /// Folder of this chain, absolute: `base` for main, `base/<chain>` for the others, with its magic for a signet of
    /// one's own.
    pub folder: PathBuf,
    /// Outgoing connections to keep.
    pub outgoing: usize,
    /// Incoming connections to allow.
    pub incoming: usize,
    /// Where to listen for peers.
    pub serve: Vec<SocketAddr>,
    /// Peers to stay connected to, beside `outgoing`.
    pub connect: Vec<Target>,
    /// Path of the monitor's socket, absolute; none is no monitor.
    pub monitor: Option<PathBuf>,
    /// Whether it may change what the node does.
    pub monitor_write: bool,
    /// Where the status page listens; none is no page. `[::]` means all addresses, v4 too.
    pub webui: Option<SocketAddr>,
    /// Who may see the page; empty is whoever reaches it.
    pub users: Vec<User>,
    /// Log every message to and from peers.
    pub verbose: bool,
    /// What to log, a filter that [`EnvFilter`] has read without complaint.
    pub log: String,
    /// Where the binary log goes, absolute; none is none.
    pub logfile: Option<PathBuf>,
    /// Bytes that a file of it may have; 0 is any number.
    pub logfile_size: u64,
    /// Whether it has all that goes over connections with peers.
    pub packet: bool,
    /// Go to the background once ready.
    pub daemon: bool,
    /// The file that says which process runs, absolute; none is none.
    pub pid: Option<PathBuf>,
    /// Executors, at least one; where they are to be started and pinned, no more than CPUs allowed.
    pub cores: usize,
    /// Pin each executor to a CPU of its own.
    pub pin: bool,
    /// Budget of everything but coins, bytes.
    pub memory: u64,
    /// Bytes a second for checkpoints.
    pub checkpoint_bandwidth: u64,
    /// Blocks from one checkpoint of a partition to the next.
    pub checkpoint_interval: u32,
    /// Blocks between the two that are kept.
    pub checkpoint_gap: u32,
    /// Worlds kept apart at the tip, in blocks.
    pub horizon: u32,
    /// Bytes that blocks may take; none is to keep all.
    pub prune: Option<u64>,
    /// Work a chain must show before its blocks are asked for.
    pub min_chain_work: Work,
    /// Scripts in this block and its ancestors are believed; none is to verify all.
    pub assume_valid: Option<BlockHash>,
    /// Who settles signatures.
    pub lanes: Mode,
    /// Yes to what is else not done.
    pub yes: bool,
    /// The TOML file that was read.
    pub config: Option<PathBuf>,
    /// Settings that have no effect, or one that may surprise; to be said at start.
    pub warnings: Vec<String>,
    sources: BTreeMap<Setting, Source>,
}

/// One checked [`Config`], or a sentence that says what is wrong, where it was said and what would be right.
pub fn resolve(flags: Given, command: Option<&Command>, around: &Around) -> Result<Config, String> {
    let l = &Layers::hear(flags, command, around)?;

    let chain = l.one(Setting::Chain, Network::Main, |text| {
        let names = Network::ALL.map(|network| network.to_string()).join(", ");
        text.parse().map_err(|_| format!("{text:?} is none of {names}"))
    })?;
    let params = network::params(l, chain)?;
    let base = l.base(around)?;
    let folder = network::folder(params).map_or(base.clone(), |name| base.join(name));
    let assumed = Some(params.assume_valid).filter(|hash| *hash != BlockHash::default());
    let users = l.list(Setting::User, values::user)?;
    let page_ip = if users.is_empty() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let cores = l.one(Setting::Cores, around.cpus.min(CORES_MAX), |text| values::whole(text, 1..=CORES_MAX))?;
    let mut config = Config {
        outgoing: l.one(Setting::Outgoing, 10, |text| values::whole(text, 0..=PEERS_MAX))?,
        incoming: l.one(Setting::Incoming, 100, |text| values::whole(text, 0..=PEERS_MAX))?,
        serve: l.list(Setting::Serve, |text| values::addr(text, params.port))?,
        connect: l.list(Setting::Connect, |text| values::target(text, params.port))?,
        monitor: l.one(Setting::Monitor, None, |text| monitor(text, &folder, around))?,
        monitor_write: l.one(Setting::MonitorWrite, false, values::switch)?,
        webui: l.one(Setting::Webui, None, |text| values::webui(text, page_ip))?,
        verbose: l.one(Setting::Verbose, false, values::switch)?,
        log: l.one(Setting::Log, "info".to_owned(), log)?,
        logfile: l.one(Setting::Logfile, None, |text| path(text, around).map(Some))?,
        logfile_size: l.one(Setting::LogfileSize, LOGFILE_SIZE, values::bytes)?,
        packet: l.one(Setting::Packet, false, values::switch)?,
        daemon: l.one(Setting::Daemon, false, values::switch)?,
        pid: l.one(Setting::Pid, None, |text| path(text, around).map(Some))?,
        pin: !l.one(Setting::NoPin, false, values::switch)?,
        memory: l.one(Setting::Memory, MEMORY_BASE + MEMORY_CORE * cores as u64, memory)?,
        checkpoint_bandwidth: l.one(Setting::CheckpointBandwidth, CHECKPOINT_BANDWIDTH, values::bytes)?,
        checkpoint_interval: l.one(Setting::CheckpointInterval, CHECKPOINT_INTERVAL, blocks)?,
        checkpoint_gap: l.one(Setting::CheckpointGap, CHECKPOINT_GAP, blocks)?,
        horizon: l.one(Setting::Horizon, HORIZON_BLOCKS, horizon)?,
        prune: l.one(Setting::Prune, None, |text| prune(text, chain))?,
        min_chain_work: l.one(Setting::MinChainWork, params.min_chain_work, work)?,
        assume_valid: l.one(Setting::Assumevalid, assumed, network::assume_valid)?,
        lanes: l.one(Setting::Lanes, Mode::Auto, lanes)?,
        yes: l.one(Setting::Yes, false, values::switch)?,
        config: l.file.clone(),
        warnings: Vec::new(),
        sources: l.said.iter().map(|(&setting, said)| (setting, said.source)).collect(),
        chain,
        params,
        base,
        folder,
        users,
        cores,
    };
    fits(&config, command, around.cpus)?;
    if config.daemon && config.pid.is_none() {
        config.pid = Some(config.folder.join("caesure.pid"));
    }
    if config.lanes == Mode::All && chain == Network::Main && !config.yes {
        return Err(
            "--lanes all: at the tip of main libsecp256k1 decides, whose word other nodes go by; try: --lanes auto, \
                     or --yes if you mean it"
                .to_owned(),
        );
    }
    config.warnings = config.surprises();
    Ok(config)
}

fn monitor(text: &str, folder: &Path, around: &Around) -> Result<Option<PathBuf>, String> {
    let socket = match text {
        "off" | "false" => return Ok(None),
        "on" | "true" => folder.join("caesure.bd"),
        _ => path(text, around)?,
    };
    let bytes = socket.as_os_str().len();
    match bytes <= SOCKET_PATH_MAX {
        true => Ok(Some(socket)),
        false => Err(format!(
            "{} has {bytes} bytes, a socket's path at most {SOCKET_PATH_MAX}; try: --monitor /run/caesure.bd",
            socket.display()
        )),
    }
}

fn log(text: &str) -> Result<String, String> {
    EnvFilter::builder()
        .parse(text)
        .map_err(|error| format!("{text:?}: {error}; wanted e.g. info or info,caesure=debug"))?;
    Ok(text.to_owned())
}

fn memory(text: &str) -> Result<u64, String> {
    match values::bytes(text)? {
        bytes if bytes < MEMORY_MIN => Err(format!("{text:?} is {bytes} bytes, wanted {MEMORY_MIN} (256M) or more")),
        bytes => Ok(bytes),
    }
}

fn blocks(text: &str) -> Result<u32, String> {
    values::whole(text, 1..=BLOCKS_MAX).map(|blocks| blocks as u32)
}

fn horizon(text: &str) -> Result<u32, String> {
    values::whole(text, HORIZON_SYNC_BLOCKS as usize..=HORIZON_MAX as usize).map(|blocks| blocks as u32)
}

fn prune(text: &str, chain: Network) -> Result<Option<u64>, String> {
    let least = if chain == Network::Regtest { 1 } else { PRUNE_MIN };
    match values::bytes(text)? {
        0 => Ok(None),
        bytes if bytes < least => {
            Err(format!("{text:?} is {bytes} bytes, wanted {least} (550M) or more, or 0 to keep all blocks"))
        }
        bytes => Ok(Some(bytes)),
    }
}

fn lanes(text: &str) -> Result<Mode, String> {
    let found = Mode::ALL.iter().find(|(name, _)| *name == text);
    found
        .map(|(_, mode)| *mode)
        .ok_or_else(|| format!("{text:?} is none of {}", Mode::ALL.map(|(name, _)| name).join(", ")))
}

fn work(text: &str) -> Result<Work, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let hex = (1..=64).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let work = if hex { digits.parse().ok() } else { None };
    work.ok_or_else(|| format!("{text:?} is not 0 nor 1 to 64 hex digits"))
}

/// Refuses settings that do not go together, and executors that would have no CPU, where any are to be started.
fn fits(config: &Config, command: Option<&Command>, cpus: usize) -> Result<(), String> {
    use Command::{Blocks, Catlog, Completions, Console, Inspect, Man, Pull, Rules, Topology, Tune, Txmap, Watch};
    let starts = !matches!(
        command,
        Some(
            Topology
                | Rules
                | Tune(_)
                | Blocks(_)
                | Catlog(_)
                | Console { .. }
                | Inspect { .. }
                | Txmap { .. }
                | Watch { .. }
                | Pull { .. }
                | Completions { .. }
                | Man { .. }
        )
    );
    if config.prune.is_some() && config.checkpoint_bandwidth == 0 {
        return Err("--prune: blocks are given up once two checkpoints of the coins stand above them, and \
                     --checkpoint-bandwidth 0 makes none; try: --checkpoint-bandwidth 16M"
            .to_owned());
    }
    if config.daemon && config.logfile.is_none() {
        return Err(
            "--daemon: in the background nobody reads what is said; try: --logfile PATH, and caesure catlog".to_owned()
        );
    }
    if config.packet && config.logfile.is_none() {
        return Err(
            "--packet: messages are logged in the binary log, and there is none; try: --logfile PATH".to_owned()
        );
    }
    match starts && config.pin && config.cores > cpus {
        false => Ok(()),
        true => Err(format!(
            "--cores {}: this process may use {cpus} {}; try: --cores {cpus}, or --no-pin to let executors share CPUs",
            config.cores,
            if cpus == 1 { "CPU" } else { "CPUs" },
        )),
    }
}

impl Config {
    /// What the node is about to ask of the machine.
    pub fn wants(&self) -> tuning::Wants<'_> {
        let peers = self.outgoing + self.incoming + self.connect.len();
        tuning::Wants { cores: self.cores, pin: self.pin, peers, folder: &self.base }
    }

    /// Who said so.
    pub fn source(&self, setting: Setting) -> Source {
        self.sources.get(&setting).copied().unwrap_or(Source::Default)
    }

    fn surprises(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !self.users.is_empty() && self.webui.is_none() {
            found.push("--user has no effect without --webui".to_owned());
        }
        if self.monitor_write && self.monitor.is_none() {
            found.push("--monitor-write has no effect without --monitor".to_owned());
        }
        if self.source(Setting::Incoming) != Source::Default && self.serve.is_empty() {
            found.push("--incoming has no effect without --serve".to_owned());
        }
        if let Some(addr) = self.webui.filter(|addr| self.users.is_empty() && !addr.ip().is_loopback()) {
            found.push(format!("the status page on {addr} asks nobody for a password; try: --user USER:PASS"));
        }
        found
    }

    /// One line for each setting, `key = value (from flag|env|file|default)`. Shows no password.
    pub fn effective(&self) -> Vec<String> {
        let line = |&setting: &Setting| {
            format!("{} = {} (from {})", setting.name(), self.shown(setting), self.source(setting))
        };
        Setting::ALL.iter().map(line).collect()
    }

    /// What `caesure config` says.
    pub fn told(&self, what: &Shown) -> String {
        let rows = Setting::ALL.iter().map(|setting| (setting.name(), self.shown(*setting), self.place(*setting)));
        match what {
            Shown::Check => {
                let warnings: String = self.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
                format!("{warnings}the settings can be obeyed\n")
            }
            Shown::Show { json: true, .. } => {
                let row = |(name, value, place): (&str, String, String)| {
                    (name.to_owned(), serde_json::json!({ "value": value, "origin": place }))
                };
                format!("{}\n", serde_json::Value::Object(rows.map(row).collect()))
            }
            Shown::Show { origin: true, .. } => {
                rows.map(|(name, value, place)| format!("{:<44}# {place}\n", format!("{name} = {value}"))).collect()
            }
            Shown::Show { .. } => rows.map(|(name, value, _)| format!("{name} = {value}\n")).collect(),
        }
    }

    /// Where a setting comes from, in the reader's words.
    fn place(&self, setting: Setting) -> String {
        match (self.source(setting), &self.config) {
            (Source::Env, _) => setting.variable(),
            (Source::File, Some(file)) => file.display().to_string(),
            (source, _) => source.to_string(),
        }
    }

    fn shown(&self, setting: Setting) -> String {
        fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
            if items.is_empty() { "none".to_owned() } else { items.iter().map(show).collect::<Vec<_>>().join(", ") }
        }
        let path = |path: &Option<PathBuf>, none: &str| {
            path.as_ref().map_or(none.to_owned(), |path| path.display().to_string())
        };
        match setting {
            Setting::Chain => self.chain.to_string(),
            Setting::Base => self.base.display().to_string(),
            Setting::Config => path(&self.config, "none"),
            Setting::Outgoing => self.outgoing.to_string(),
            Setting::Incoming => self.incoming.to_string(),
            Setting::Serve => list(&self.serve, SocketAddr::to_string),
            Setting::Connect => list(&self.connect, Target::to_string),
            Setting::Monitor => path(&self.monitor, "off"),
            Setting::MonitorWrite => self.monitor_write.to_string(),
            Setting::Horizon => self.horizon.to_string(),
            Setting::Prune => self.prune.map_or("0".to_owned(), |bytes| format!("{bytes} ({} MiB)", bytes >> 20)),
            Setting::Webui => self.webui.map_or("off".to_owned(), |addr| addr.to_string()),
            Setting::User => list(&self.users, |user| format!("{user:?}")),
            Setting::Verbose => self.verbose.to_string(),
            Setting::Log => self.log.clone(),
            Setting::Logfile => path(&self.logfile, "none"),
            Setting::LogfileSize => format!("{} ({} MiB)", self.logfile_size, self.logfile_size >> 20),
            Setting::Packet => self.packet.to_string(),
            Setting::Daemon => self.daemon.to_string(),
            Setting::Pid => path(&self.pid, "none"),
            Setting::Cores => self.cores.to_string(),
            Setting::NoPin => (!self.pin).to_string(),
            Setting::Memory => format!("{} ({} MiB)", self.memory, self.memory >> 20),
            Setting::CheckpointBandwidth => {
                format!("{} ({} MiB/s)", self.checkpoint_bandwidth, self.checkpoint_bandwidth >> 20)
            }
            Setting::CheckpointInterval => self.checkpoint_interval.to_string(),
            Setting::CheckpointGap => self.checkpoint_gap.to_string(),
            Setting::MinChainWork => self.min_chain_work.to_string(),
            Setting::Assumevalid => self.assume_valid.map_or("0".to_owned(), |hash| hash.to_string()),
            Setting::Lanes => self.lanes.word().to_owned(),
            Setting::Yes => self.yes.to_string(),
            Setting::SignetChallenge => match self.params.signet_challenge {
                Some(script) => script.iter().map(|byte| format!("{byte:02x}")).collect(),
                None => "none".to_owned(),
            },
            Setting::TestActivationHeight => {
                list(&BURIED, |buried| format!("{}@{}", buried.option, buried.since(self.params)))
            }
            Setting::Vbparams => list(&self.params.deployments, |deployment| {
                let Deployment { name, start, timeout, min_height, .. } = deployment;
                format!("{name}:{start}:{timeout}:{min_height}")
            }),
            Setting::Test => {
                if self.params.bip94 && self.chain == Network::Regtest { "bip94" } else { "none" }.to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests;
