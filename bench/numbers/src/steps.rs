//! `cargo numbers -- steps`: how long a utxo shard holds its core up at once, while checkpoints of a full ledger are written
//! and blocks go on growing and folding; and while they are read back.
//!
//! The shard is the node's own and alone here: what it asks of the disk is answered at once, one piece after each block, so
//! that every partition stands still for several blocks and has them to catch up with.

use crate::table::{Table, Teller, histogram};
use caesure_bench::coins::worlds::{HORIZON, Recent, invent};
use caesure_bench::coins::{Churned, Live, fill_and_churn};
use consensus::{BlockHash, script::Flags};
use hdrhistogram::Histogram;
use ledger::base::{Base, Mark};
use ledger::checkpoint::{Head, Writer};
use ledger::{PARTITIONS, Seed};
use shards::effect::Side;
use shards::metrics::Pages;
use shards::msg::{Files, Job, Scripts};
use shards::prover::Curve;
use shards::utxo::{Config, Policy, Utxo};
use shards::{Cx, Effect, Event, Input, Msg, Shard};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tuning::core_time;

/// What no step of writing may take longer than.
const BOUND: Duration = Duration::from_millis(5);
const NETWORK: [u8; 4] = [1; 4];
/// Where the checkpoints are of that the shard begins with.
const START: u32 = 900_000;
const BLOCK: BlockHash = BlockHash([0; 32]);
/// Some 1,200 blocks come until every partition is written, and each takes 2,500 coins that are old.
pub const COINS_MIN: u64 = 4_000_000;

struct Rig {
    utxo: Utxo,
    cx: Cx,
    /// Pieces of checkpoints that wait to be called written.
    saves: VecDeque<u16>,
}

/// Files of checkpoints, one for each partition, in memory.
fn files(base: &Base) -> Vec<Vec<u8>> {
    let file = |(partition, coins): (u16, &usize)| {
        let mut bytes = Vec::new();
        let head = Head { network: NETWORK, partition, height: START, block: BLOCK };
        let mut writer = Writer::begin(&head, &mut bytes);
        let mut mark = Mark::default();
        while let Some((piece, next)) = base.chunk(partition.into(), mark) {
            writer.piece(&piece, &mut bytes);
            mark = next;
        }
        writer.end(*coins as u64, &mut bytes);
        bytes
    };
    (0..).zip(base.lens()).map(file).collect()
}

impl Rig {
    fn new() -> Rig {
        let policy = Policy { network: NETWORK, bandwidth: 1 << 40, interval: 1, gap: 1_000 };
        let utxo = Utxo::new(Config {
            number: 0,
            workers: 1,
            partitions: 0..PARTITIONS,
            seed: Seed::new(2015),
            policy,
            genesis: BlockHash([0; 32]),
            snapshot: false,
            core: 0,
            pages: Pages::new(1),
        });
        Rig { utxo, cx: Cx::new(0), saves: VecDeque::new() }
    }

    /// One step and how long it took. Only this thread's own time counts: a node's core is its own.
    fn step(&mut self, input: Input) -> Duration {
        let begun = core_time();
        self.utxo.step(input, &mut self.cx);
        let took = core_time() - begun;
        self.cx.words.clear();
        took
    }

    /// Reads all partitions; a step for each piece.
    fn load(&mut self, files: &[Vec<u8>], times: &mut Histogram<u64>) {
        let kept = Files { kept: [(START, BLOCK)].into(), ..Files::default() };
        let partitions = Arc::new(vec![kept; PARTITIONS]);
        self.step(Input::Msg(Msg::Restore { side: Side::Tip, root: 0, height: START, block: BLOCK, partitions }));
        let mut teller = Teller::new("read back");
        while let Some(effect) = self.cx.effects.pop() {
            let Effect::LoadCheckpoint { side, partition, height, at, len } = effect else { panic!("{effect:?}") };
            let file = &files[usize::from(partition)][at as usize..];
            let bytes = Ok(bytes::Bytes::copy_from_slice(&file[..file.len().min(len as usize)]));
            let took = self.step(Input::Event(Event::LoadedCheckpoint { side, partition, height, at, bytes }));
            times.record(took.as_nanos() as u64).expect("below a quarter of an hour");
            teller.say(partition.into(), PARTITIONS as u64, "partitions");
        }
    }

    /// What the last step asked to be written; how many bytes.
    fn gather(&mut self) -> u64 {
        let mut sum = 0;
        for effect in std::mem::take(&mut self.cx.effects) {
            let Effect::SaveCheckpoint { partition, bytes, .. } = effect else { panic!("{effect:?}") };
            sum += bytes.len() as u64;
            self.saves.push_back(partition);
        }
        sum
    }
}

/// Measures with so many coins until each partition was written once, and gives the table.
pub fn run(coins: u64) -> Table {
    let mut teller = Teller::new("fill");
    let Churned { base, mut live, .. } = fill_and_churn(coins, |_, done, of| teller.say(done, of, "coins"));
    let files = files(&base);
    drop(base);
    let bytes: usize = files.iter().map(Vec::len).sum();
    let (mut read, mut written, mut grown, mut folded) = (histogram(), histogram(), histogram(), histogram());
    let mut rig = Rig::new();
    rig.load(&files, &mut read);
    drop(files);
    let pieces = churn(&mut rig, &mut live, bytes as u64, [&mut written, &mut grown, &mut folded]);
    let mut table = Table::default();
    table.row("coins", "million", coins as f64 / 1e6);
    table.row("checkpoints, all partitions", "MB", bytes as f64 / 1e6);
    table.row("a piece of a checkpoint", "KB", pieces / 1e3);
    table.times("a step of writing", &written, Some(BOUND));
    table.times("a step of reading back", &read, None);
    table.times("growing a block meanwhile", &grown, None);
    table.times("folding a block meanwhile", &folded, None);
    table
}

/// Blocks come, and after each a piece of a checkpoint is written, until all is written once; the mean bytes of a piece.
fn churn(rig: &mut Rig, live: &mut Live, bytes: u64, times: [&mut Histogram<u64>; 3]) -> f64 {
    let [written, grown, folded] = times;
    let record = |times: &mut Histogram<u64>, took: Duration| {
        times.record(took.as_nanos() as u64).expect("below a quarter of an hour");
    };
    let (mut recent, mut teller) = (Recent::default(), Teller::new("write"));
    let (mut done, mut pieces) = (0, 0u64);
    for world in 1.. {
        if done >= bytes {
            break;
        }
        let height = START + world;
        let body = Arc::new(invent(world, live, &mut recent));
        let job = Job {
            world,
            parent: world - 1,
            side: Side::Tip,
            body,
            height,
            mtp_parent: 0,
            parts: Vec::new(),
            inputs: Vec::new(),
            flags: Flags::NONE,
            scripts: Scripts::Skip,
            curve: Curve::Libsecp,
        };
        let took = rig.step(Input::Msg(Msg::Grow(Arc::new(job))));
        record(grown, took);
        if let Some(root) = world.checked_sub(HORIZON) {
            let block = BlockHash([root as u8; 32]);
            let took =
                rig.step(Input::Msg(Msg::Fold { side: Side::Tip, world: root, height: height - HORIZON, block }));
            record(folded, took);
        }
        rig.cx.now_ms += 250;
        let took = match rig.saves.pop_front() {
            Some(partition) => {
                rig.step(Input::Event(Event::SavedCheckpoint { side: Side::Tip, partition, failed: None }))
            }
            None => rig.step(Input::Tick),
        };
        let more = rig.gather();
        if more > 0 {
            record(written, took);
            pieces += 1;
        }
        done += more;
        teller.say(done >> 20, bytes >> 20, "MiB");
    }
    done as f64 / pieces.max(1) as f64
}
