//! Published counters: one cache-aligned page per shard and per executor, one writer each, read by anyone
//! at any time without asking. Nothing in the node decides by them.

use crate::msg::Msg;
use crate::{Input, ShardId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter with a single writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Sets.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// Reads.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Ranges that latencies are counted by.
pub const BUCKETS: usize = 27;

/// How many of something took how long: at `i` those below 2^i microseconds and not below half of it, the last all longer ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Latency(pub [u64; BUCKETS]);

fn bucket(us: u64) -> usize {
    (u64::BITS - us.leading_zeros()).min(BUCKETS as u32 - 1) as usize
}

impl Latency {
    /// Counts one.
    pub fn add(&mut self, us: u64) {
        self.0[bucket(us)] += 1;
    }

    /// Both together.
    pub fn and(mut self, other: Latency) -> Latency {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
        self
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Microseconds within which this share of them was done, of 1,000; none if there were none.
    pub fn within_us(&self, permille: u64) -> Option<u64> {
        let wanted = (self.count() * permille).div_ceil(1_000);
        let mut sum = 0;
        let at = self.0.iter().position(|count| {
            sum += count;
            sum >= wanted
        });
        at.filter(|_| sum > 0).map(|at| 1 << at)
    }
}

/// The same, published.
#[derive(Debug, Default)]
pub struct Histogram([Counter; BUCKETS]);

impl Histogram {
    /// Counts one.
    pub fn add(&self, us: u64) {
        self.0[bucket(us)].add(1);
    }

    /// What was counted so far.
    pub fn read(&self) -> Latency {
        Latency(std::array::from_fn(|i| self.0[i].get()))
    }
}

/// What a core spends its time with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Frames and their checksums; what is served.
    Peer,
    /// Blocks read, hashed and held to the rules that need no context.
    Parse,
    /// Coins taken and made.
    Grow,
    /// Worlds folded and dropped, checkpoints, questions.
    Fold,
    /// Rules of spending, scripts.
    Verify,
    /// Headers, verdicts, the tip: one core's work, however many there are.
    Chain,
    /// Where blocks go: one core's work too.
    Store,
    /// The page, the address book.
    Other,
}

impl Stage {
    /// All, in the order of a block's way.
    pub const ALL: [Stage; 8] =
        [Stage::Peer, Stage::Parse, Stage::Grow, Stage::Fold, Stage::Verify, Stage::Chain, Stage::Store, Stage::Other];

    /// The stage of a step.
    pub fn of(to: ShardId, input: &Input) -> Stage {
        match to {
            ShardId::Peer(_) if matches!(input, Input::Msg(Msg::Parse { .. } | Msg::Slice)) => Stage::Parse,
            ShardId::Peer(_) => Stage::Peer,
            ShardId::Utxo(_) if matches!(input, Input::Msg(Msg::Grow(_))) => Stage::Grow,
            ShardId::Utxo(_) => Stage::Fold,
            ShardId::Verify(_) => Stage::Verify,
            ShardId::Chain => Stage::Chain,
            ShardId::Store => Stage::Store,
            ShardId::Status | ShardId::Book => Stage::Other,
        }
    }

    /// What it is, in words.
    pub fn what(self) -> &'static str {
        match self {
            Stage::Peer => "frames, checksums, blocks served",
            Stage::Parse => "blocks read, hashed, checked by themselves",
            Stage::Grow => "coins taken and made",
            Stage::Fold => "worlds folded and dropped, checkpoints",
            Stage::Verify => "rules of spending, scripts",
            Stage::Chain => "headers, verdicts, tip: one core only",
            Stage::Store => "where blocks go: one core only",
            Stage::Other => "page, addresses",
        }
    }

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Peer => "peer",
            Stage::Parse => "parse",
            Stage::Grow => "grow",
            Stage::Fold => "fold",
            Stage::Verify => "verify",
            Stage::Chain => "chain",
            Stage::Store => "store",
            Stage::Other => "other",
        }
    }
}

/// What one executor did, written by its loop.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Core {
    /// Nanoseconds spent in turns of the loop: in steps, and with what they asked for.
    pub busy_ns: Counter,
    /// Of these, in steps of each stage.
    pub stage_ns: [Counter; Stage::ALL.len()],
    /// Nanoseconds that the thread had a CPU, up to the last tick: beyond `busy_ns` sockets, files and the kernel.
    pub cpu_ns: Counter,
    /// Nanoseconds that inputs waited for their steps, all together: over a time it is the mean length of the queue.
    pub wait_ns: Counter,
    /// Steps taken.
    pub step: Counter,
    /// Ticks, four a second.
    pub tick: Counter,
    /// Words that found their link full and waited at its mouth (a bug, see `limits`).
    pub link_overrun: Counter,
    /// Highest number of inputs that waited at once.
    pub queue_max: Counter,
    /// Longest single step, nanoseconds.
    pub step_ns_max: Counter,
    /// How long steps took.
    pub step_us: Histogram,
    /// Bytes of checkpoints handed to the kernel.
    pub checkpoint_bytes: Counter,
    /// How long syncs of blocks.bin took.
    pub sync_us: Histogram,
    /// Words sent to the shards of each executor, its own among them.
    pub words: Box<[Counter]>,
}

/// What the shards counted; each field is written by shards of one core only per page.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Work {
    /// Blocks parsed from bytes.
    pub block_parsed: Counter,
    /// Parts of blocks checked by verify shards.
    pub part_verified: Counter,
    /// Inputs whose scripts were run, or known to be good.
    pub input_run: Counter,
    /// Signatures recorded by scripts and settled; where a CHECKMULTISIG leaves lanes a choice of keys, each pair that it may mean.
    pub signature_settled: Counter,
    /// Scripts run a second time: they failed after they had assumed a signature, or not all that they assumed was proven.
    pub script_run_again: Counter,
    /// Signatures that lanes were asked of.
    pub lane_asked: Counter,
    /// Of these proven good.
    pub lane_proven: Counter,
    /// Signatures whose keys lanes do not take, settled by libsecp256k1 in their stead.
    pub lane_key_left: Counter,
    /// Signatures that steer a script that lanes were to help with: libsecp256k1 was asked of them at once.
    pub lane_at_once: Counter,
    /// Scripts that failed after they had assumed a signature that lanes were to prove, and were run again.
    pub lane_script_failed: Counter,
    /// Scripts run again since lanes did not prove enough, and refused.
    pub lane_script_refused: Counter,
    /// Scripts run again since lanes did not prove enough, and good.
    pub lane_script_undecided: Counter,
    /// Good signatures that lanes did not prove, as far as both were asked (`--lanes check`).
    pub lane_missed: Counter,
    /// Signatures proven good that libsecp256k1 looked at too.
    pub lane_rechecked: Counter,
    /// Of these found bad: lanes are off then.
    pub lane_wrong: Counter,
    /// Scripts that failed in an audit.
    pub script_failed: Counter,
    /// Worlds grown here.
    pub world_grown: Counter,
    /// Coins looked up for inputs.
    pub coin_taken: Counter,
    /// Bytes received from peers.
    pub received_bytes: Counter,
    /// Bytes sent to peers.
    pub sent_bytes: Counter,
    /// Bytes that incomplete messages hold.
    pub buffered_bytes: Counter,
    /// Connections.
    pub peers: Counter,
}

/// All pages of a node.
#[derive(Clone, Debug)]
pub struct Pages(Arc<Vec<(Core, Work)>>);

impl Pages {
    /// Pages for this many executors.
    pub fn new(executors: usize) -> Pages {
        let words = || (0..executors).map(|_| Counter::default()).collect();
        let page = || (Core { words: words(), ..Core::default() }, Work::default());
        Pages(Arc::new((0..executors).map(|_| page()).collect()))
    }

    /// Number of executors.
    pub fn executors(&self) -> usize {
        self.0.len()
    }

    /// The page of an executor.
    pub fn core(&self, executor: usize) -> &Core {
        &self.0[executor].0
    }

    /// The counters of the shards on that executor.
    pub fn work(&self, executor: usize) -> &Work {
        &self.0[executor].1
    }

    /// One histogram of all executors.
    pub fn latency(&self, of: impl Fn(&Core) -> &Histogram) -> Latency {
        self.0.iter().map(|(core, _)| of(core).read()).fold(Latency::default(), Latency::and)
    }

    /// The same of what the executors themselves did.
    pub fn sum_cores(&self, of: impl Fn(&Core) -> &Counter) -> u64 {
        self.0.iter().map(|(core, _)| of(core).get()).sum()
    }

    /// One counter summed over all executors.
    pub fn sum(&self, of: impl Fn(&Work) -> &Counter) -> u64 {
        self.0.iter().map(|(_, work)| of(work).get()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_counted_by_powers_of_two() {
        let mut latency = Latency::default();
        assert_eq!(latency.within_us(500), None);
        [0, 1, 2, 3, 4, 1_000, 1_023, 1_024, u64::MAX].into_iter().for_each(|us| latency.add(us));
        let [zero, one, two, three, .., last] = latency.0;
        assert_eq!((zero, one, two, three, latency.0[10], latency.0[11], last), (1, 1, 2, 1, 2, 1, 1));
        assert_eq!(latency.and(latency).count(), 18);
        let within = [1, 111, 112, 500, 777, 888, 1_000].map(|permille| latency.within_us(permille).unwrap());
        assert_eq!(within, [1, 1, 2, 8, 1_024, 2_048, 1 << 26]);
        let published = Histogram::default();
        published.add(3);
        assert_eq!(published.read().within_us(1_000), Some(4));
    }
}
