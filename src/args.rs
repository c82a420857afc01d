//! The command line: which words there are and what `--help` says of them. Every value stays text here.
//!
//! Decides nothing about values: `config.rs` joins them with environment, file and defaults, and checks them all alike.

use crate::config::{self, Config};
use crate::exit::{Fatal, STATUSES};
use crate::log::format::LEVELS;
use crate::settings::{Around, Given, Setting};
use crate::words;
use clap::builder::PossibleValuesParser;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use consensus::{CoinsHash, Txid};
use std::path::PathBuf;
use tuning::Profile;

/// A Bitcoin full node: thread per core, many worlds, one blocks.bin.
///
/// Without a command it runs the node. `caesure demo` shows the whole thing with no network and no data.
#[derive(Debug, Parser)]
#[command(name = "caesure", version, subcommand_precedence_over_arg = true, after_help = AFTER, after_long_help = format!("{AFTER_LONG}\n{STATUSES}"))]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

const AFTER: &str =
    "Precedence: flags, CAESURE_* variables, the TOML file, defaults. More, with exit statuses: caesure --help";

const AFTER_LONG: &str = "\
Where values come from, strongest first:
  flags         --outgoing 8         after a command they replace those before
  environment   CAESURE_OUTGOING=8   lists with commas; empty is as none
  a TOML file   outgoing = 8         lists as [\"10.0.0.7\", \"node.example:8333\"]
  defaults
A list is taken whole from the strongest that has it.
Unknown keys and CAESURE_* variables are errors (CAESURE_DATA and CAESURE_FULL are the tests').
Switches take true and false, as in --verbose=false; webui and monitor \"off\".
Keep passwords in the file: `ps` shows the command line to everybody.
@FILE stands for the arguments in a file, one a line.

Signals:
  TERM, INT  stop in order; the second INT or TERM ends the node at once, and nothing is lost that was durable
  HUP        open the logs anew, after somebody moved them
  USR1       write into the log what the node is at

Examples:
  caesure --cores 16 -b /srv/caesure -s 0.0.0.0:8333 -s [::]:8333 -a
  caesure --chain regtest --no-pin -o 0 -c 127.0.0.1:18444
  caesure import ~/.bitcoin/blocks
  printf 'status\\n' | nc -U ~/.caesure/caesure.bd
";

/// What to do; none is to run the node.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Print which shard runs on which core, for any number of cores
    Topology,
    /// Bring in blocks from bootstrap.dat files, blk*.dat files or Bitcoin Core's `blocks` folder
    Import {
        /// Files or folders, read in this order; blocks may lie in any order
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Say at the end all that the status page would, as JSON: where the time went, too
        #[arg(long)]
        json: bool,
    },
    /// Print every rule of consensus, and from which height it binds; on all networks, or on the one that --chain names
    Rules,
    /// Make a small chain, serve it from a second node, sync it and show it, with no network and no data
    Demo,
    /// Questions about unspent coins, beside a running node or with none; nothing of the node's is written
    #[command(subcommand)]
    Coins(Coins),
    /// Look through blocks.bin, count and print what it holds, mend it or cut blocks off it
    #[command(subcommand)]
    Blocks(Blocks),
    /// Print a binary log (--logfile), while it is written or later
    ///
    /// Times are UTC. What is no record is passed over, and said. -a is --ago here.
    Catlog(Catlog),
    /// A prompt: blocks, transactions and scripts of the folder, and all parts of the node that runs there (started with -m)
    ///
    /// `help()` lists what there is. Lines come from a terminal, a pipe or --eval; the status is 1 if one of those failed.
    Console {
        /// Ask no node: over the files, beside a running node or with none
        #[arg(long)]
        offline: bool,
        /// Answer this and end
        #[arg(short, long, value_name = "CODE")]
        eval: Option<String>,
        /// With --offline: what a line may take [default: until Ctrl-C]
        #[arg(long, value_name = "SECONDS", requires = "offline")]
        seconds: Option<u64>,
    },
    /// Show what lies in the folder, or what checkpoints and indexes are, beside a running node or with none; writes nothing
    Inspect {
        /// Checkpoints (coins/PARTITION-HEIGHT) or an index (blocks.idx), read whole [default: the folder]
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Read all checkpoints of the folder whole, not only their heads
        #[arg(long, conflicts_with = "paths")]
        verify: bool,
    },
    /// Run the scripts of stored blocks again, beside a running node or with none; prints one line for each that fails
    Verify {
        /// Height of the first block whose scripts are run; coins are made from genesis on
        #[arg(long, value_name = "HEIGHT", default_value_t = 0)]
        from: u32,
        /// Height of the last [default: the end of the best chain that is stored]
        #[arg(long, value_name = "HEIGHT")]
        to: Option<u32>,
        /// Run one spend alone: a line that this command printed, or - for standard input
        #[arg(long, value_name = "LINE", conflicts_with_all = ["from", "to"])]
        replay: Option<String>,
        /// With --replay: print each step with both stacks
        #[arg(long, requires = "replay")]
        trace: bool,
    },
    /// Show what each core of a running node spends its time with; --webui says where its page is
    Top {
        /// Print it once, as text
        #[arg(long)]
        once: bool,
    },
    /// Find transactions by their ids: makes an index of all blocks, or brings it up to date, beside a running node or with none
    ///
    /// The index is txmap.redb in the network's folder; it may be deleted at any time. The console and `blocks cat` use it.
    Txmap {
        /// Look these up instead; one process may write the index meanwhile
        #[arg(value_name = "TXID", conflicts_with = "follow")]
        txids: Vec<Txid>,
        /// Go on with what a node appends, until a signal
        #[arg(short, long)]
        follow: bool,
    },
    /// Print each new block of a node as it comes, in lines
    Watch {
        /// The node, over P2P
        #[arg(value_name = "HOST:PORT")]
        peer: String,
        /// Each new transaction, too
        #[arg(short, long)]
        transactions: bool,
    },
    /// Fetch the best chain of one trusted node into blocks.bin, as fast as it comes, with no node running here
    ///
    /// Begun again it goes on where it ended. The node that starts on it afterwards verifies all of it.
    Pull {
        /// The node, over P2P
        #[arg(value_name = "HOST:PORT")]
        peer: String,
    },
    /// Whether this machine gives the node what it needs, and is set as it gains from; sets that, and puts it back
    #[command(subcommand)]
    Tune(Tune),
    /// Look at all that the node needs of this machine and its folder, and say what mends each thing that is amiss
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the settings as flags, environment and file make them, or only whether they can be obeyed
    #[command(subcommand)]
    Config(Shown),
    /// Print what a shell needs to complete the words of this command line
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual, or write a page for each command
    Man {
        /// A folder for them, e.g. /usr/local/share/man/man1
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
}

/// What to show of the settings.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Shown {
    /// Say whether the node could start with them, as far as they go; status 2 if not
    Check,
    /// Print each; passwords are not shown
    Show {
        /// And where it comes from
        #[arg(long)]
        origin: bool,
        /// As JSON
        #[arg(long, conflicts_with = "origin")]
        json: bool,
    },
}

/// What to ask of the coins.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Coins {
    /// Print one digest over all coins, sorted; nodes with the same coins print the same
    Digest,
    /// Print how many there are and how much, and both hashes of Bitcoin Core's gettxoutsetinfo
    Stats {
        /// As JSON, amounts in satoshi
        #[arg(long)]
        json: bool,
    },
    /// Print one coin, if it is unspent at the tip or in the world of another recent block
    Get {
        /// The transaction, and the number of its output
        #[arg(value_name = "TXID:N")]
        outpoint: String,
        /// In the world of this block
        #[arg(long, value_name = "HEIGHT|HASH")]
        at: Option<String>,
    },
    /// Write all of them to a file, as Bitcoin Core's `dumptxoutset FILE latest` does
    Dump {
        /// The file, which must not exist
        file: PathBuf,
    },
    /// Begin with the coins of such a file, with no node running here: the blocks below are verified behind them
    Load {
        /// The file
        file: PathBuf,
        /// What its coins come to (hash_serialized_3), where its block is none of those that are built in
        #[arg(long, value_name = "HASH")]
        snapshot_hash: Option<CoinsHash>,
        /// The height of its block, where that is none of those and made no coin of its own
        #[arg(long, value_name = "HEIGHT", requires = "snapshot_hash")]
        snapshot_height: Option<u32>,
    },
}

/// What to do with blocks.bin.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Blocks {
    /// Read all of it, beside a running node or with none: frames, work, merkle roots, witnesses; compare blocks.idx
    ///
    /// Ends with status 4 if anything is damaged. Scripts: caesure verify.
    Verify,
    /// With the node stopped: set a torn end aside, make blocks.idx anew, say what is damaged in the middle
    ///
    /// What has whole records behind it is never cut: the node asks peers for those blocks at its next start, and appends
    /// them again. What is cut off the end lies in blocks.bin.cut-OFFSET afterwards.
    Repair,
    /// Count transactions, inputs, outputs and kinds of scripts of the best chain, beside a running node or with none
    Stats {
        #[command(flatten)]
        heights: Heights,
        /// Print each output of this kind, a line each: pubkey, pubkeyhash, scripthash, multisig, nulldata, bad, …
        #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(describe::Kind::NAMES))]
        find: Option<String>,
        /// As JSON, amounts in satoshi
        #[arg(long, conflicts_with = "find")]
        json: bool,
    },
    /// Print a block, or a transaction, beside a running node or with none
    Cat {
        /// Which block; a transaction's id alone is looked for in all of them
        #[arg(value_name = "HEIGHT|HASH|TXID")]
        what: String,
        /// Which of its transactions
        #[arg(value_name = "NUMBER|TXID")]
        tx: Option<String>,
        /// hex, json (Bitcoin Core's fields) or dump (the lines of the 2014 node)
        #[arg(long = "as", value_name = "FORM", default_value = "dump")]
        form: Form,
    },
    /// Write blocks to files for Bitcoin Core, or as tables for DuckDB, Polars or Spark
    Export {
        /// Where to; the folder is made, and must hold no blk*.dat, or no such tables
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// blk (blk00000.dat, …: the best chain) or parquet (blocks, transactions, inputs, outputs: forks too)
        #[arg(long = "as", value_name = "FORM", default_value = "blk")]
        form: Export,
        #[command(flatten)]
        heights: Heights,
    },
    /// With the node stopped: remove all blocks above a height, on every branch, and the checkpoints above it; without --yes
    /// it is only said what would go
    Truncate {
        /// The highest that stays
        #[arg(value_name = "HEIGHT")]
        height: u32,
    },
}

/// A part of the best chain.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Heights {
    /// Height of the first block
    #[arg(long, value_name = "HEIGHT", default_value_t = 0)]
    pub from: u32,
    /// Height of the last [default: the tip]
    #[arg(long, value_name = "HEIGHT")]
    pub to: Option<u32>,
}

/// What blocks are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Export {
    /// Bitcoin Core's files.
    Blk,
    /// Four tables; only in a build with the feature of that name.
    Parquet,
}

/// How a block or a transaction is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Its bytes.
    Hex,
    /// Bitcoin Core's fields.
    Json,
    /// The lines of the 2014 node.
    Dump,
}

/// What to print of a binary log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Catlog {
    /// The file, or - for standard input [default: that of --logfile]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Go on with what is appended, and with the next file when another is begun
    #[arg(short, long)]
    pub follow: bool,
    /// Begin that long ago: 90s, 3m, 1h, 2d, 2w; in older files, too
    #[arg(long, value_name = "TIME")]
    pub ago: Option<String>,
    /// An object a line, with all bytes
    #[arg(long)]
    pub json: bool,
    /// What is at least this loud: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", value_parser = PossibleValuesParser::new(LEVELS))]
    pub level: Option<String>,
    /// What comes from there: chain, peer, packet, caesure::net, …
    #[arg(long, value_name = "NAME")]
    pub facility: Option<String>,
    /// What happened: tip, connected, met, gone, in, out, …
    #[arg(long, value_name = "NAME")]
    pub event: Option<String>,
    /// What concerns this peer: its address, with or without port, or the connection's name, 0.3
    #[arg(long, value_name = "ADDRESS|NAME")]
    pub peer: Option<String>,
    /// Without messages that hold blocks
    #[arg(long)]
    pub no_blocks: bool,
    /// Bytes as digits, however many; blocks that were sent out of blocks.bin are read from there
    #[arg(long)]
    pub big: bool,
    /// Send to this node what came over one logged connection (--packet), in its order; --peer says which
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["follow", "json"])]
    pub replay: Option<String>,
}

/// What to do with the machine.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Tune {
    /// Look at kernel, io_uring, locked memory, open files, direct writes, CPUs and all settings; changes nothing
    Check {
        #[command(flatten)]
        profile: For,
    },
    /// Set what is amiss, printing each command before it is done; as root
    ///
    /// What cannot be set is said, and the rest goes on: the status is 10 then (no right), or 1.
    Init {
        #[command(flatten)]
        profile: For,
        #[command(flatten)]
        memory: Remembered,
    },
    /// Put back what settings were before the first init since the last boot; as root
    Fini {
        #[command(flatten)]
        memory: Remembered,
    },
}

/// Which settings.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct For {
    /// colo, a server that is the node's own, or laptop: only what costs other uses nothing
    #[arg(long, value_name = "NAME", default_value = "colo")]
    pub profile: Profile,
}

/// How settings are changed.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Remembered {
    /// Where it is remembered what they were
    #[arg(long, value_name = "FILE", default_value = tuning::MEMORY)]
    pub state: PathBuf,
    /// Only print the commands
    #[arg(long)]
    pub dry_run: bool,
}

/// Every flag may stand before or after the command, and every value is text until `config.rs` has read it.
#[derive(Debug, Args)]
struct Options {
    /// Outgoing connections to keep [default: 10]
    #[arg(short, long, global = true, value_name = "N", help_heading = "Peers")]
    outgoing: Option<String>,
    /// Incoming connections to allow, where --serve listens [default: 100]
    #[arg(short, long, global = true, value_name = "N", help_heading = "Peers")]
    incoming: Option<String>,
    /// Listen for peers here; repeatable, [v6]:PORT in brackets
    #[arg(short, long, global = true, value_name = "IP:PORT", help_heading = "Peers")]
    serve: Vec<String>,
    /// Stay connected to this peer; repeatable, host names too, the port of the chain if none is given
    #[arg(short, long, global = true, value_name = "IP:PORT", help_heading = "Peers")]
    connect: Vec<String>,

    /// Answer questions on a unix socket, try `nc -U` [default path: caesure.bd in the network's folder]
    #[arg(short, long, global = true, value_name = "PATH", num_args = 0..=1, default_missing_value = "on", help_heading = "Looking in")]
    monitor: Option<String>,
    /// Let the monitor change things too: invalidate and reconsider blocks
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, help_heading = "Looking in")]
    monitor_write: Option<String>,
    /// Show the status page, http://127.0.0.1:8380/admin/status if nothing else is said
    #[arg(short = 'a', long, global = true, value_name = "[IP:]PORT", num_args = 0..=1, default_missing_value = "on", help_heading = "Looking in")]
    webui: Option<String>,
    /// Let the page listen on all addresses and ask for this; repeatable
    #[arg(short, long, global = true, value_name = "USER:PASS", help_heading = "Looking in")]
    user: Vec<String>,
    /// Log every message to and from peers
    #[arg(short, long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, help_heading = "Looking in")]
    verbose: Option<String>,
    /// What to log: error, warn, info, debug, trace, or per target such as `info,caesure::net=debug` [default: info]
    #[arg(long, global = true, value_name = "FILTER", help_heading = "Looking in")]
    log: Option<String>,
    /// Keep a binary log in this file, which `caesure catlog` prints; SIGHUP has it opened anew
    #[arg(long, global = true, value_name = "PATH", help_heading = "Looking in")]
    logfile: Option<String>,
    /// Bytes after which it becomes PATH.1, that PATH.2, and so on up to PATH.5; 0 for never [default: 100M]
    #[arg(long, global = true, value_name = "BYTES", help_heading = "Looking in")]
    logfile_size: Option<String>,
    /// Keep every message to and from peers in the binary log, with its payload
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, help_heading = "Looking in")]
    packet: Option<String>,
    /// Go to the background once the node is ready; with --logfile, for nobody reads what is said there
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, help_heading = "Machine")]
    daemon: Option<String>,
    /// Write the process into this file [default with --daemon: caesure.pid in the network's folder]
    #[arg(long, global = true, value_name = "PATH", help_heading = "Machine")]
    pid: Option<String>,

    /// Folder for everything the node keeps; chains but main have a folder below it [default: ~/.caesure]
    #[arg(short, long, global = true, value_name = "PATH", help_heading = "Data")]
    base: Option<String>,
    /// main, testnet3, testnet4, signet or regtest [default: main]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Data")]
    chain: Option<String>,
    /// Work a chain must show before its blocks are asked for; 0 for short test chains [default: the chain's]
    #[arg(long, global = true, value_name = "HEX|0", help_heading = "Data")]
    min_chain_work: Option<String>,
    /// Believe the scripts in this block and its ancestors; 0 to verify all [default: the chain's]
    #[arg(long, global = true, value_name = "HASH|0", help_heading = "Data")]
    assumevalid: Option<String>,
    /// Bytes a second that checkpoints of the coins may take; 0 for none: every start replays all blocks [default: 16M]
    #[arg(long, global = true, value_name = "BYTES", help_heading = "Data")]
    checkpoint_bandwidth: Option<String>,
    /// Blocks after which a partition of the coins is written down again [default: 144]
    #[arg(long, global = true, value_name = "BLOCKS", help_heading = "Data")]
    checkpoint_interval: Option<String>,
    /// Of the two checkpoints of a partition that are kept, the older lies so many blocks below the newer [default: 1000]
    #[arg(long, global = true, value_name = "BLOCKS", help_heading = "Data")]
    checkpoint_gap: Option<String>,
    /// Bytes that blocks may take: the lowest are given up, and peers offered the last 290; 550M or more, 0 keeps all [default: 0]
    #[arg(long, global = true, value_name = "BYTES", help_heading = "Data")]
    prune: Option<String>,
    /// TOML file with any of these, keys named as the long flags [default: caesure.toml in the base folder, if it exists]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Data")]
    config: Option<String>,

    /// The script that signs blocks of a signet of one's own; it gets a folder of its own
    #[arg(long, global = true, value_name = "HEX", help_heading = "Test chains")]
    signet_challenge: Option<String>,
    /// Regtest only: where segwit, bip34, dersig, cltv or csv begins to bind; repeatable
    #[arg(long, global = true, value_name = "NAME@HEIGHT", help_heading = "Test chains")]
    test_activation_height: Vec<String>,
    /// Regtest only: times and lowest height of a deployment by version bits (testdummy); repeatable
    #[arg(long, global = true, value_name = "NAME:START:END[:MINHEIGHT]", help_heading = "Test chains")]
    vbparams: Vec<String>,
    /// Regtest only: bip94, to bar the timewarp attack as on testnet4
    #[arg(long, global = true, value_name = "NAME", help_heading = "Test chains")]
    test: Vec<String>,

    /// Executors, each pinned to a CPU of its own [default: as many as this process may use]
    #[arg(long, global = true, value_name = "N", help_heading = "Machine")]
    cores: Option<String>,
    /// Do not pin; allows more executors than CPUs (for tests and small machines)
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Machine")]
    no_pin: Option<String>,
    /// Signatures eight at a time where the processor can (AVX-512 IFMA): auto, for blocks with a hundred headers' work above
    /// them; off; check, to hold all against libsecp256k1; or all, which on main wants --yes [default: auto]
    #[arg(long, global = true, value_name = "auto|off|check|all", help_heading = "Machine")]
    lanes: Option<String>,
    /// Yes to what is else not done: `blocks truncate`, and --lanes all on main
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Machine")]
    yes: Option<String>,
    /// One budget for buffers, window, worlds and queues, coins aside: 2G, 512M [default: 1 GiB + 256 MiB per core]
    #[arg(long, global = true, value_name = "BYTES", help_heading = "Machine")]
    memory: Option<String>,
    /// Recent blocks whose worlds of coins are kept apart at the tip, 16 to 999; for a deeper branch all coins are made anew [default: 100]
    #[arg(long, global = true, value_name = "BLOCKS", help_heading = "Machine")]
    horizon: Option<String>,
}

impl Options {
    fn given(self) -> Given {
        let one = |value: Option<String>| value.into_iter().collect::<Vec<_>>();
        [
            (Setting::Outgoing, one(self.outgoing)),
            (Setting::Incoming, one(self.incoming)),
            (Setting::Serve, self.serve),
            (Setting::Connect, self.connect),
            (Setting::Monitor, one(self.monitor)),
            (Setting::MonitorWrite, one(self.monitor_write)),
            (Setting::Webui, one(self.webui)),
            (Setting::User, self.user),
            (Setting::Verbose, one(self.verbose)),
            (Setting::Log, one(self.log)),
            (Setting::Logfile, one(self.logfile)),
            (Setting::LogfileSize, one(self.logfile_size)),
            (Setting::Packet, one(self.packet)),
            (Setting::Daemon, one(self.daemon)),
            (Setting::Pid, one(self.pid)),
            (Setting::Base, one(self.base)),
            (Setting::Chain, one(self.chain)),
            (Setting::MinChainWork, one(self.min_chain_work)),
            (Setting::Assumevalid, one(self.assumevalid)),
            (Setting::Lanes, one(self.lanes)),
            (Setting::Yes, one(self.yes)),
            (Setting::SignetChallenge, one(self.signet_challenge)),
            (Setting::TestActivationHeight, self.test_activation_height),
            (Setting::Vbparams, self.vbparams),
            (Setting::Test, self.test),
            (Setting::Config, one(self.config)),
            (Setting::Cores, one(self.cores)),
            (Setting::NoPin, one(self.no_pin)),
            (Setting::Memory, one(self.memory)),
            (Setting::CheckpointBandwidth, one(self.checkpoint_bandwidth)),
            (Setting::CheckpointInterval, one(self.checkpoint_interval)),
            (Setting::CheckpointGap, one(self.checkpoint_gap)),
            (Setting::Horizon, one(self.horizon)),
            (Setting::Prune, one(self.prune)),
        ]
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .collect()
    }
}

/// What the program was asked to do (none: run the node) and with which settings. `--help`, `--version` and words unknown
/// to the command line end the process here, with status 0, 0 and 2.
pub fn load() -> Result<(Option<Command>, Config), Fatal> {
    let words = words::all(std::env::args_os()).map_err(Fatal::Usage)?;
    read(Cli::parse_from(words), &Around::of_process()?)
}

/// The command line itself.
pub fn command() -> clap::Command {
    Cli::command()
}

fn read(mut cli: Cli, around: &Around) -> Result<(Option<Command>, Config), Fatal> {
    // The flag of the page, which has no use there, is the one that says how long ago, as in 2014.
    if let Some(Command::Catlog(what)) = &mut cli.command {
        what.ago = cli.options.webui.take().or(what.ago.take());
    }
    let config = config::resolve(cli.options.given(), cli.command.as_ref(), around).map_err(Fatal::Usage)?;
    Ok((cli.command, config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<(Option<Command>, Config), String> {
        let cli = Cli::try_parse_from(words.split(' ')).map_err(|error| error.to_string())?;
        read(cli, &Around::bare(2)).map_err(|fatal| fatal.to_string())
    }

    fn config(words: &str) -> Config {
        parse(words).unwrap().1
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_names_every_flag_and_status() {
        let help = Cli::command().render_long_help().to_string();
        for setting in Setting::ALL {
            assert!(help.contains(&format!("--{}", setting.name())), "{setting:?}");
        }
        for short in "oiscmauvb".chars() {
            assert!(help.contains(&format!("-{short}, --")), "-{short}");
        }
        assert!(help.contains(STATUSES));
        assert!(help.contains("caesure import"));
    }

    #[test]
    fn commands() {
        let command = |words| parse(words).unwrap().0;
        assert_eq!(command("caesure"), None);
        assert_eq!(command("caesure topology --cores 16"), Some(Command::Topology));
        assert_eq!(command("caesure demo"), Some(Command::Demo));
        assert_eq!(command("caesure rules --chain regtest"), Some(Command::Rules));
        assert_eq!(command("caesure coins digest"), Some(Command::Coins(Coins::Digest)));
        let colo = For { profile: Profile::Colo };
        assert_eq!(command("caesure tune check"), Some(Command::Tune(Tune::Check { profile: colo })));
        let memory = Remembered { state: "/run/caesure-tune.json".into(), dry_run: true };
        let init = Tune::Init { profile: For { profile: Profile::Laptop }, memory };
        assert_eq!(command("caesure tune init --profile laptop --dry-run"), Some(Command::Tune(init)));
        let memory = Remembered { state: "x".into(), dry_run: false };
        assert_eq!(command("caesure tune fini --state x"), Some(Command::Tune(Tune::Fini { memory })));
        let truncate = Command::Blocks(Blocks::Truncate { height: 7 });
        assert_eq!(command("caesure blocks truncate 7 --yes"), Some(truncate));
        // Nothing is started, so nothing needs a CPU of its own.
        assert_eq!(command("caesure blocks verify --cores 16"), Some(Command::Blocks(Blocks::Verify)));
        let inspect = Command::Inspect { paths: vec![], json: true, verify: true };
        assert_eq!(command("caesure inspect --json --verify --cores 16"), Some(inspect));
        let paths = vec![PathBuf::from("a.dat"), PathBuf::from("blocks")];
        assert_eq!(command("caesure import a.dat blocks --json"), Some(Command::Import { paths, json: true }));
        for incomplete in [
            "caesure import",
            "caesure coins",
            "caesure tune",
            "caesure tune init --profile desktop",
            "caesure mine",
            "caesure blocks",
            "caesure blocks truncate",
            "caesure inspect --verify x",
        ] {
            assert!(parse(incomplete).is_err(), "{incomplete}");
        }
    }

    #[test]
    fn flags_stand_before_and_after_the_command() {
        for words in ["caesure --chain regtest --cores 2 import x", "caesure import --chain regtest x --cores 2"] {
            let config = config(words);
            assert_eq!((config.chain, config.cores), (consensus::Network::Regtest, 2), "{words}");
        }
    }

    #[test]
    fn the_page_and_the_monitor_need_no_value() {
        assert_eq!(config("caesure").webui, None);
        assert_eq!(config("caesure -a").webui.unwrap().to_string(), "127.0.0.1:8380");
        assert_eq!(config("caesure -a demo").webui.unwrap().to_string(), "127.0.0.1:8380");
        assert_eq!(config("caesure -a 9000 -m").webui.unwrap().to_string(), "127.0.0.1:9000");
        assert_eq!(config("caesure -a9000").webui.unwrap().to_string(), "127.0.0.1:9000");
        assert_eq!(config("caesure --webui=[::1]:9000").webui.unwrap().to_string(), "[::1]:9000");
        assert_eq!(config("caesure -m -a").monitor.unwrap(), PathBuf::from("/home/u/.caesure/caesure.bd"));
        assert_eq!(config("caesure -m /run/x.bd").monitor.unwrap(), PathBuf::from("/run/x.bd"));
    }

    #[test]
    fn switches_need_no_value_and_take_one_after_an_equals_sign() {
        assert!(config("caesure -v").verbose);
        assert!(config("caesure -v demo").verbose);
        assert!(!config("caesure --verbose=false").verbose);
        assert!(!config("caesure --no-pin --cores 5").pin);
        assert!(config("caesure").pin);
    }

    #[test]
    fn a_flag_repeated_adds_to_lists_and_is_refused_elsewhere() {
        assert_eq!(config("caesure -c a -c b:1 -s 1.2.3.4:5 -s [::]:6").connect.len(), 2);
        assert!(parse("caesure --cores 1 --cores 2").unwrap_err().contains("cannot be used multiple times"));
    }
}
