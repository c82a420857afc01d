//! caesure, a Bitcoin full node: from the command line to a running node and back to an exit status.
//!
//! A library so that measurements run the loop of a core, its links and its files as they are; it promises nothing to anybody.

mod args;
mod ask;
mod background;
mod blocks;
mod cache;
mod catlog;
mod checkpoints;
mod client;
mod coins;
mod config;
mod console;
mod daemon;
mod demo;
pub mod disk;
mod doctor;
mod door;
mod events;
pub mod executor;
mod exit;
mod folder;
mod holder;
mod http;
mod inspect;
pub mod links;
mod load;
mod log;
mod look;
mod manual;
mod monitor;
pub mod net;
mod network;
mod notify;
mod pages;
mod progress;
mod pull;
pub mod pump;
mod rules;
mod run;
mod scratch;
mod settings;
mod signals;
mod snapshot;
mod sparse;
mod stored;
mod top;
mod trouble;
mod txmap;
mod values;
mod verify;
mod watch;
mod words;

use crate::args::{Command, Tune};
use crate::config::Config;
use crate::exit::Fatal;
use crate::run::{Node, Purpose};
use crate::signals::Signals;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// The whole program.
pub fn main() -> ExitCode {
    match caesure() {
        Ok(status) => {
            log::end("", 0);
            status
        }
        Err(fatal) => {
            log::end(&fatal.to_string(), fatal.status());
            eprintln!("caesure: {fatal}");
            ExitCode::from(&fatal)
        }
    }
}

fn caesure() -> Result<ExitCode, Fatal> {
    let (command, config) = args::load()?;
    if config.daemon && command.is_none() && !daemon::is_here() {
        return daemon::start();
    }
    // The demo tells its own story.
    let least = matches!(command, Some(Command::Demo)).then_some("error");
    let node = matches!(command, None | Some(Command::Import { .. }));
    log::start(&config, least, node)?;
    obey(command, config).map(|()| ExitCode::SUCCESS)
}

fn obey(command: Option<Command>, config: Config) -> Result<(), Fatal> {
    match command {
        None => run(config),
        Some(Command::Topology) => {
            print!("{}", shards::plan(config.cores));
            Ok(())
        }
        Some(Command::Rules) => {
            print!("{}", rules::table(&rules::networks(&config)));
            Ok(())
        }
        Some(Command::Import { paths, json }) => import(config, paths, json),
        Some(Command::Demo) => demo::run(config),
        Some(Command::Catlog(what)) => catlog::run(&config, &what),
        Some(Command::Coins(what)) => coins::run(config, what),
        Some(Command::Blocks(what)) => blocks::run(config, what),
        Some(Command::Console { offline, eval, seconds }) => console::run(&config, offline, eval, seconds),
        Some(Command::Inspect { paths, json, verify }) => inspect::run(&config, &paths, json, verify),
        Some(Command::Top { once }) => top::run(&config, once),
        Some(Command::Tune(what)) => tune(&config, what),
        Some(Command::Doctor { json }) => doctor::run(&config, json),
        Some(Command::Config(what)) => {
            print!("{}", config.told(&what));
            Ok(())
        }
        Some(Command::Completions { shell }) => manual::completions(shell),
        Some(Command::Man { out }) => manual::man(out.as_deref()),
        Some(Command::Txmap { txids, follow }) => txmap::run(&config, &txids, follow),
        Some(Command::Watch { peer, transactions }) => watch::run(&config, &peer, transactions),
        Some(Command::Pull { peer }) => pull::run(&config, &peer),
        Some(Command::Verify { replay: Some(line), trace, .. }) => verify::again(&line, trace),
        Some(Command::Verify { from, to, .. }) => verify::audit(config, from, to),
    }
}

fn run(config: Config) -> Result<(), Fatal> {
    for line in config.effective() {
        match line.ends_with("(from default)") {
            true => tracing::debug!("{line}"),
            false => tracing::info!("{line}"),
        }
    }
    if daemon::is_here() {
        daemon::leave()?;
    }
    let (page, serve, pid) = (config.webui, config.serve.clone(), config.pid.clone());
    let signals = Signals::catch()?;
    let node = Node::start(config, Purpose::Serve)?;
    signals.rule(&node);
    let _written = pid.map(daemon::PidFile::write).transpose()?;
    if let Some(address) = page {
        tracing::info!("status page: http://{address}/admin/status");
    }
    serve.iter().for_each(|address| tracing::info!("listening for peers on {address}"));
    notify::ready();
    if daemon::is_here() {
        daemon::ready()?;
    }
    node.wait().map(|_| ())
}

/// What an offline job says of the chain at its end.
#[derive(serde::Deserialize)]
struct Outcome {
    height: u64,
    tip: String,
    coins: u64,
}

/// Runs a node without a network to the end of its work; what it says then.
fn ask(config: Config, purpose: Purpose) -> Result<String, Fatal> {
    let signals = Signals::catch()?;
    let node = Node::start(config, purpose)?;
    signals.rule(&node);
    node.wait()?.ok_or_else(|| Fatal::Runtime("stopped before the end; what was stored stays".into()))
}

/// The same where it says JSON.
fn answer<T: serde::de::DeserializeOwned>(config: Config, purpose: Purpose) -> Result<T, Fatal> {
    parse(&ask(config, purpose)?)
}

fn parse<T: serde::de::DeserializeOwned>(answer: &str) -> Result<T, Fatal> {
    serde_json::from_str(answer).map_err(|why| Fatal::Runtime(format!("the node answered {answer:?}: {why}")))
}

fn import(config: Config, paths: Vec<PathBuf>, json: bool) -> Result<(), Fatal> {
    let start = Instant::now();
    let said = ask(config, Purpose::Offline(paths))?;
    if json {
        println!("{said}");
        return Ok(());
    }
    let Outcome { height, tip, coins } = parse(&said)?;
    let seconds = start.elapsed().as_secs_f64();
    println!("height {height}  tip {tip}  coins {coins}  {:.0} blocks/s", height as f64 / seconds);
    Ok(())
}

fn tune(config: &Config, what: Tune) -> Result<(), Fatal> {
    let tree = tuning::Tree::new("/");
    let say = &mut |line: &str| println!("{line}");
    match what {
        Tune::Check { profile } => check(config, &tree, profile.profile),
        Tune::Init { profile, memory } => Ok(tuning::init(&tree, profile.profile, &memory.state, memory.dry_run, say)?),
        Tune::Fini { memory } => Ok(tuning::fini(&tree, &memory.state, memory.dry_run, say)?),
    }
}

fn check(config: &Config, tree: &tuning::Tree, profile: tuning::Profile) -> Result<(), Fatal> {
    let checks = tuning::check(&config.wants());
    print!("{}\n{}", tuning::table(&checks), tuning::settings(tree, profile));
    let failed = checks.iter().find(|check| check.grade == tuning::Grade::Fail);
    failed.map_or(Ok(()), |check| Err(Fatal::from(check)))
}
