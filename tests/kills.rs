//! Killed with kill -9 at random moments of a sync with forks, while checkpoints are written all the time and each start
//! has another number of executors: what was stored stays, what was reported is there again, and the coins in the end are
//! those of a node that was never killed.

use caesure_bench::chain::Spec;
use caesure_bench::records::{Chain, Fork};
use caesure_bench::rng::Rng;
use caesure_tests::binary::run;
use caesure_tests::server::far_away;
use caesure_tests::{Folder, Made, Node, Server, Setup, coins_digest, full, made};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

const SEED: u64 = 71;
/// The shortest horizon there is, and checkpoints as soon as there is anything new to write down.
const OFTEN: [&str; 8] =
    ["--horizon", "16", "--checkpoint-interval", "5", "--checkpoint-gap", "20", "--checkpoint-bandwidth", "1G"];
/// A moment that does not come within this time is now.
const PATIENCE: Duration = Duration::from_secs(3);
/// What a recovery must not say: only whole files and whole records were left behind.
const DOUBTS: [&str; 3] = ["is damaged", "cannot be read", "are not believed"];

/// When a node is killed.
#[derive(Clone, Copy)]
enum Moment {
    /// So many milliseconds after its start, whatever it does by then.
    Starting(u64),
    /// When blocks.bin has so many bytes.
    Storing(u64),
    /// When a checkpoint has been seen being written so many times.
    Writing(u64),
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Moment::Starting(ms) => write!(f, "{ms} ms after the start"),
            Moment::Storing(bytes) => write!(f, "with {bytes} bytes stored"),
            Moment::Writing(times) => write!(f, "in checkpoint {times}"),
        }
    }
}

/// What a dead node left.
struct Left {
    /// blocks.bin up to the end of the last whole record.
    whole: Vec<u8>,
    chain: Chain,
    inside_a_record: bool,
    inside_a_checkpoint: bool,
}

impl Left {
    fn by(base: &Folder) -> Option<Left> {
        let mut whole = fs::read(base.join("regtest/blocks.bin")).ok().filter(|bytes| !bytes.is_empty())?;
        let chain = Chain::from_bytes(whole.clone()).unwrap();
        let end = whole.len() - chain.left_over() as usize;
        let inside_a_record = whole[end..].iter().any(|byte| *byte != 0);
        whole.truncate(end);
        Some(Left { whole, chain, inside_a_record, inside_a_checkpoint: is_writing(base) })
    }

    fn height(&self) -> u64 {
        self.chain.best().len() as u64 - 1
    }

    /// Of what lies below that place.
    fn height_below(&self, place: Option<u64>) -> u64 {
        let whole = place.and_then(|place| self.whole.get(..place as usize)).unwrap_or(&self.whole);
        Chain::from_bytes(whole.to_vec()).unwrap().best().len() as u64 - 1
    }
}

/// Whether a checkpoint has not got its name yet.
fn is_writing(base: &Folder) -> bool {
    let Ok(mut files) = fs::read_dir(base.join("regtest/coins")) else { return false };
    files.any(|file| file.is_ok_and(|file| file.path().extension().is_some()))
}

fn wait_for(moment: Moment, base: &Folder) {
    let (begun, mut seen, mut was_writing) = (Instant::now(), 0, false);
    loop {
        let is_writing = is_writing(base);
        seen += u64::from(is_writing && !was_writing);
        was_writing = is_writing;
        let came = match moment {
            Moment::Starting(ms) => begun.elapsed() >= Duration::from_millis(ms),
            Moment::Storing(bytes) => fs::metadata(base.join("regtest/blocks.bin")).is_ok_and(|f| f.len() >= bytes),
            Moment::Writing(times) => is_writing && seen >= times,
        };
        if came || begun.elapsed() > PATIENCE {
            return;
        }
        thread::sleep(Duration::from_micros(200));
    }
}

/// Places of blocks.bin that a node found to be no record. Several writes are under way at once; of those that a kill
/// meets, a later one may be done and an earlier one not.
fn gaps(node: &Node) -> BTreeSet<u64> {
    let place = |line: String| {
        let (before, _) = line.split_once(" are no record")?;
        before.rsplit_once("at offset ")?.1.parse().ok()
    };
    node.lines().into_iter().filter_map(place).collect()
}

/// Forks of which some are deeper than the horizon.
fn chain(all: bool) -> Made {
    let fork = |at, length| Fork { at, length, txs: 25 * length };
    if all {
        let spec = Spec { seed: SEED, blocks: 900, txs: 25_000, empty_tail: 0 };
        made(&spec, &[fork(200, 10), fork(333, 30), fork(500, 15), fork(640, 45), fork(777, 20), fork(850, 12)])
    } else {
        made(&Spec { seed: SEED, blocks: 260, txs: 5_000, empty_tail: 0 }, &[fork(160, 24), fork(220, 10)])
    }
}

#[test]
fn killed_at_random_moments_it_loses_nothing_and_ends_with_the_same_coins() {
    let all = full("200 kills in a sync of 1,032 blocks, here 10 in one of 294");
    let kills = if all { 200 } else { 10 };
    let (chain, mut rng) = (chain(all), Rng::new(SEED));
    println!("seed {SEED}");
    let total = fs::metadata(&chain.path).unwrap().len();
    let records = Chain::open(&chain.path).unwrap().blocks();
    let (base, mut left): (Folder, Option<Left>) = (Folder::new(), None);
    // Bytes of blocks.bin that were durable when a node said so last, and places that were none even then.
    let (mut durable, mut never) = (0, BTreeSet::new());
    let (mut starting, mut records_torn, mut checkpoints_torn, mut rebuilt) = (0, 0, 0, 0);
    for kill in 1..=kills {
        // The chain grows as the node lives on, so that each life has something to sync.
        let server = Server::start(chain.after(2 + records * kill / (kills + 1)), far_away);
        let cores = [1, 2, 3, 5][rng.below(4) as usize];
        let setup = Setup::regtest(&[server.addr]).cores(cores).with(&OFTEN);
        let stored = left.as_ref().map_or(0, |left| left.whole.len() as u64);
        // Nothing is recovered in a start that is not finished: the next one is.
        let kind = if starting == kill - 1 { rng.weighted(&[0, 50, 50]) } else { rng.weighted(&[30, 40, 30]) };
        let moment = match kind {
            0 => Moment::Starting(rng.below(400)),
            1 => Moment::Storing(stored + rng.below(total / kills as u64)),
            _ => Moment::Writing(1 + rng.below(20)),
        };
        let node = if let Moment::Starting(_) = moment {
            starting = kill;
            Node::spawn(base.path(), &setup)
        } else {
            Node::start(&base, &setup)
        };
        let mut told = "unknown".to_owned();
        if starting != kill {
            let status = node.wait("recovered", 120, |status| status["state"] != "starting");
            let recovered = status["height"].as_u64().unwrap();
            let fresh = gaps(&node).range(durable..).next().copied();
            let before = left.as_ref().map_or(0, |left| left.height_below(fresh));
            told = recovered.to_string();
            assert!(recovered >= before, "kill {kill}: {recovered} is recovered of {before}\n{}", node.tail());
        }
        wait_for(moment, &base);
        let reported = if starting == kill { None } else { Some(node.status()) };
        for gap in gaps(&node) {
            assert!(never.contains(&gap) || gap >= durable, "kill {kill}: {gap} was durable\n{}", node.tail());
            never.insert(gap);
        }
        durable = reported.as_ref().map_or(durable, |status| status["blocks_bin"]["durable"].as_u64().unwrap());
        let doubt = DOUBTS.iter().find_map(|doubt| node.logged(doubt));
        assert_eq!(doubt, None, "kill {kill}\n{}", node.tail());
        rebuilt += usize::from(node.logged("rebuilding all coins").is_some());
        node.kill();
        let now = Left::by(&base);
        if let Some(old) = &left {
            assert!(now.as_ref().unwrap().whole.starts_with(&old.whole), "kill {kill}: stored blocks are gone");
        }
        let height = now.as_ref().map_or(0, Left::height);
        let reported = reported.map(|status| status["height"].as_u64().unwrap());
        assert!(
            reported.is_none_or(|reported| reported <= height),
            "kill {kill}: {reported:?} was reported of {height}"
        );
        let reported = reported.map_or("unknown".to_owned(), |reported| reported.to_string());
        println!(
            "kill {kill:3} of {cores} core(s) {moment:28}: height recovered {told:>7}, reported {reported:>7}, stored {height}"
        );
        records_torn += usize::from(now.as_ref().is_some_and(|left| left.inside_a_record));
        checkpoints_torn += usize::from(now.as_ref().is_some_and(|left| left.inside_a_checkpoint));
        left = now;
    }
    println!("{} places were never written", never.len());
    println!(
        "of {kills} kills {records_torn} inside a record, {checkpoints_torn} inside a checkpoint; {rebuilt} lives saw all coins rebuilt"
    );
    assert!(checkpoints_torn >= kills / 10, "the moments are badly chosen");

    let server = Server::honest(chain.line());
    let node = Node::start(&base, &Setup::regtest(&[server.addr]).with(&OFTEN));
    let status = node.wait_tip(&chain.tip, 300);
    assert_eq!(status["coins"], chain.coins);
    assert_eq!(node.stop(), 0);
    let fresh = Folder::new();
    let words = ["--chain", "regtest", "-b", fresh.text(), "--no-pin", "--cores", "2", "import"];
    let (status, _, err) = run(&[&words[..], &[chain.path.to_str().unwrap()]].concat());
    assert_eq!(status, 0, "{err}");
    assert_eq!(coins_digest(&fresh, "regtest"), chain.digest);
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
}
