//! `caesure demo`: a small chain, a node that serves it, a second one that syncs it over the real P2P path with its
//! status page up. Needs no network, no configuration and no data, and leaves nothing behind.

use crate::config::Config;
use crate::exit::Fatal;
use crate::look;
use crate::run::{Node, Purpose};
use crate::scratch::Scratch;
use crate::values::Target;
use caesure_bench::chain::{Factory, Spec};
use caesure_bench::records::write_record;
use consensus::{Network, Params};
use std::io::{BufWriter, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

/// The chain that is made: thousands of transactions of every common type.
const SPEC: Spec = Spec { seed: 2014, blocks: 400, txs: 20_000, empty_tail: 10 };
/// How long the sync may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often both nodes are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What a node says of itself.
#[derive(serde::Deserialize)]
struct Status {
    state: String,
    height: u32,
    headers: u32,
    tip: String,
    coins: u64,
}

/// Runs the demo; an error if both nodes do not end with the same coins.
pub fn run(config: Config) -> Result<(), Fatal> {
    let scratch =
        Scratch::new("demo").map_err(|why| Fatal::Runtime(format!("no folder can be made for the demo: {why}")))?;
    let (serving, syncing) = (scratch.0.join("serving"), scratch.0.join("syncing"));
    make_chain(&serving.join("regtest"))?;

    let (peers, page_a, page_b) = (free_port()?, free_port()?, config.webui.map_or_else(free_port, Ok)?);
    let mut first = plain(&config, &serving, page_a);
    first.serve = vec![peers];
    let mut second = plain(&config, &syncing, page_b);
    second.connect = vec![Target::Addr(peers)];

    let serving = Node::start(first, Purpose::Serve)?;
    let made = wait_for(page_a, "the serving node reads its chain", |status| status.height == SPEC.blocks)?;
    let start = Instant::now();
    let syncing = Node::start(second, Purpose::Serve)?;
    println!("status page of the syncing node: http://{page_b}/admin/status");
    let synced = wait_for(page_b, "the syncing node takes it over P2P", |status| status.tip == made.tip)?;
    let seconds = start.elapsed().as_secs_f64();

    println!("serving node: height {}  tip {}  coins {}", made.height, made.tip, made.coins);
    println!("syncing node: height {}  tip {}  coins {}", synced.height, synced.tip, synced.coins);
    println!("synced in {seconds:.1} s ({:.0} blocks/s); every script verified", f64::from(synced.height) / seconds);
    if config.webui.is_none() {
        println!("to look at the page for longer: caesure demo -a");
    }
    if config.webui.is_some() {
        println!("the page stays up because you asked for it; Ctrl-C ends the demo");
        crate::signals::Signals::catch()?.rule(&syncing);
        syncing.wait()?;
    }
    drop(serving);
    match made.coins == synced.coins {
        true => Ok(()),
        false => {
            Err(Fatal::Runtime("the two nodes do not hold the same coins: this is a bug, please report it".into()))
        }
    }
}

/// What both nodes have in common.
fn plain(config: &Config, base: &Path, page: SocketAddr) -> Config {
    let mut config = config.clone();
    (config.chain, config.params, config.assume_valid) = (Network::Regtest, Params::of(Network::Regtest), None);
    (config.base, config.folder) = (base.to_owned(), base.join("regtest"));
    (config.outgoing, config.incoming) = (0, 8);
    (config.serve, config.connect, config.users, config.monitor) = (Vec::new(), Vec::new(), Vec::new(), None);
    config.webui = Some(page);
    (config.cores, config.pin) = (config.cores.min(2), false);
    config.min_chain_work = consensus::Work::ZERO;
    config
}

fn make_chain(folder: &Path) -> Result<(), Fatal> {
    let failed =
        |why: std::io::Error| Fatal::Runtime(format!("writing the demo chain to {} failed: {why}", folder.display()));
    println!("making a chain of {} blocks with about {} transactions of every common type", SPEC.blocks, SPEC.txs);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let file = std::fs::File::create(folder.join("blocks.bin")).map_err(failed)?;
    let mut out = BufWriter::new(file);
    let mut factory = Factory::new(SPEC).map_err(Fatal::Runtime)?;
    write_record(&mut out, &caesure_bench::block::Block::genesis()).map_err(failed)?;
    for block in &mut factory {
        write_record(&mut out, &block).map_err(failed)?;
    }
    out.flush().map_err(failed)?;
    println!(
        "made: height {}, {} transactions, {} coins",
        factory.height(),
        factory.txs_made(),
        factory.coins().count()
    );
    Ok(())
}

fn free_port() -> Result<SocketAddr, Fatal> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map_err(|why| Fatal::Runtime(format!("no free port on 127.0.0.1: {why}")))
}

fn wait_for(page: SocketAddr, what: &str, done: impl Fn(&Status) -> bool) -> Result<Status, Fatal> {
    let (start, mut shown) = (Instant::now(), Instant::now());
    loop {
        let status: Status = look::status(page, None)
            .map_err(|why| Fatal::Runtime(format!("http://{page}/admin/status.json: {why}")))?;
        if done(&status) {
            return Ok(status);
        }
        if shown.elapsed() > Duration::from_secs(1) {
            shown = Instant::now();
            println!("{what}: {}, height {} of {}", status.state, status.height, status.headers);
        }
        if start.elapsed() > PATIENCE {
            return Err(Fatal::Runtime(format!(
                "{what}: not done after {} s (height {} of {})",
                PATIENCE.as_secs(),
                status.height,
                status.headers
            )));
        }
        std::thread::sleep(LOOK);
    }
}
