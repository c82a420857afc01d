//! Every bound in the node, with the arithmetic beside it. `--memory` is one budget, split here.

use ledger::record::BLOCK_LEN_MAX;

const MIB: u64 = 1 << 20;

/// Blocks that may be growing (a Grow or Check unanswered) at once.
pub const GROWING_MAX: usize = 64;
/// Bytes of blocks that are growing, being appended or read, for each worker: some ten blocks of today. With more of
/// them the caches and the memory that was just let go would be of no use …
pub const PIPELINE_BYTES: u64 = 16 * MIB;
/// … and while there are so many, blocks that are ready too are not asked for beyond this part of it: whoever sends faster
/// than blocks grow waits.
pub const BACKLOG_SHARE: u64 = 2;
/// Blocks being read back from disk at once.
pub const LOADING_MAX: usize = 64;
/// How far ahead of the lowest missing block others are asked for (Core `BLOCK_DOWNLOAD_WINDOW`).
pub const WINDOW_BLOCKS: usize = 1_024;
/// Recent worlds kept over the base at the tip, in blocks, unless `--horizon` says otherwise …
pub const HORIZON_BLOCKS: u32 = 100;
/// … which may say at most this: a branch that far back is not built on by anybody.
pub const HORIZON_MAX: u32 = FAR_BLOCKS - 1;
/// The same while far below the best header: the depth of the pipeline.
pub const HORIZON_SYNC_BLOCKS: u32 = 16;
/// What "far" is.
pub const FAR_BLOCKS: u32 = 1_000;
/// Words a peer may have unanswered at the chain shard, blocks aside.
pub const PEER_WORDS_MAX: usize = 4;
/// Blocks one peer may be asked for at once.
pub const PEER_BLOCKS_MAX: u32 = 64;
/// Bytes queued for one peer above which no more of its requests are looked at.
pub const PEER_SEND_BYTES: usize = 2 * BLOCK_LEN_MAX as usize;
/// Headers in one message (BIP31; Core `MAX_HEADERS_RESULTS`).
pub const HEADERS_MAX: usize = 2_000;
/// Hashes in one answer to getblocks (Core).
pub const HASHES_MAX: usize = 500;
/// Bytes gathered into one write.
pub const WRITE_BYTES_MAX: usize = 4 << 20;
/// Writes under way at once.
pub const WRITES_MAX: usize = 4;
/// The unit of direct I/O here.
pub const PAGE: u64 = 4_096;
/// Blocks below the tip that a pruned node keeps and offers: those that NODE_NETWORK_LIMITED promises, and two for races
/// (Core).
pub const KEEP_BLOCKS: u32 = 288 + 2;
/// Records given up at once …
pub const PRUNE_RECORDS_MAX: usize = 1_024;
/// … and when blocks take too much room, this part of what they may take is made free beyond that, so that it is not done
/// for each block anew.
pub const PRUNE_SHARE: u64 = 16;
/// Peers a node may hold; `--incoming` and `--outgoing` together are refused above it.
pub const PEERS_MAX: usize = 16_384;
/// Headers of one peer kept aside because their parent is missing: none; it is asked again so often.
pub const UNCONNECTED_MAX: u32 = 10;
/// Blocks kept aside because their time lies in the future.
pub const EARLY_MAX: usize = 64;
/// Signatures that a verify shard records before it settles them and lets others have the core: about a millisecond
/// (libsecp256k1 takes 30 µs each) …
pub const SLICE_ROWS: usize = 32;
/// … or so many for lanes, which take a tenth of that for each, and want to be full …
pub const SLICE_ROWS_LANES: usize = 128;
/// … and inputs that it runs for them: those without a signature take a few microseconds.
pub const SLICE_INPUTS: u32 = 512;
/// Bytes of a block that a peer shard reads, or hashes the witnesses of, before it lets others have the core: about half a
/// millisecond, or a whole one where the CPU has no instructions for SHA-256.
pub const SLICE_BYTES: usize = 128 << 10;
/// Coins that a utxo shard folds before it does: each is a cache miss or two, or more where many worlds speak of its group.
pub const SLICE_COINS: usize = 1_024;
/// A transaction is cut into runs of at least so many inputs for as many verify shards: a core takes ten milliseconds for
/// so many signatures.
pub const SHARE_INPUTS: u32 = 256;
/// Bytes of the table of transactions whose scripts were found good (Core's two together: 32 MiB).
pub const SCRIPT_CACHE_BYTES: usize = 32 << 20;

/// Words on one link that one block in flight can cause: Grow, Check for each part on that core
/// (one verify shard a core), Fold, Drop, Append, Load, and the answers Coins, Grown, Verdict, Arrived. Between two workers
/// there are fewer, Coins, Share and Shared, and with them Parse: of each block of the window, in turn over all workers.
const WORDS_PER_BLOCK: usize = 6;

/// Messages a link must hold: what blocks in flight cause, and what `peers` on one side of it can ask
/// and be answered (peers are spread evenly; a Settled per block asked is covered by the first term).
pub const fn link_depth(peers_per_core: usize) -> usize {
    let blocks = (GROWING_MAX + LOADING_MAX) * WORDS_PER_BLOCK;
    let words = blocks + peers_per_core * (PEER_WORDS_MAX + 1) + 64;
    if words < 1_024 { 1_024 } else { words.next_power_of_two() }
}

const _: () = assert!(link_depth(0) >= (GROWING_MAX + LOADING_MAX) * WORDS_PER_BLOCK);
const _: () = assert!(WRITE_BYTES_MAX as u64 >= BLOCK_LEN_MAX && (WRITE_BYTES_MAX as u64).is_multiple_of(PAGE));
const _: () = assert!(HORIZON_SYNC_BLOCKS <= HORIZON_BLOCKS && HORIZON_BLOCKS <= HORIZON_MAX);
const _: () = assert!(WINDOW_BLOCKS >= GROWING_MAX, "the window keeps the pipeline full");

/// Over so many times the budget of worlds, no branch holds the root down any more: it lies on disk and is grown anew,
/// from genesis, should it win. Twice: two branches of a whole horizon each fit where one does.
pub const WORLDS_HARD: u64 = 2;

/// How the memory of a node is split, bytes; coins in the base are not part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// All of it.
    pub total: u64,
    /// Received bytes of incomplete messages, all cores together.
    pub receive: u64,
    /// Blocks in flight: arrived, growing or being written.
    pub window: u64,
    /// Versions held by recent worlds (estimate). Above it the horizon is short and rivals give up their worlds, all but
    /// the one that the best header stands on; above [`WORLDS_HARD`] times it that one too.
    pub worlds: u64,
    /// Bytes queued for peers.
    pub send: u64,
}

impl Budget {
    /// The default: 1 GiB and 256 MiB per executor.
    pub fn default_total(cores: usize) -> u64 {
        1_024 * MIB + 256 * MIB * cores as u64
    }

    /// Splits `total`. None below 256 MiB: a window of 16 of the largest blocks is the least that
    /// keeps a sync going.
    pub fn split(total: u64) -> Option<Budget> {
        let budget =
            Budget { total, receive: total / 4, window: total / 5 * 2, worlds: total / 5, send: total / 20 * 3 };
        (total >= 256 * MIB).then_some(budget)
    }
}

const _: () = assert!(256 * MIB / 5 * 2 >= 16 * BLOCK_LEN_MAX);

impl std::fmt::Display for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: u64| bytes / MIB;
        let Budget { total, receive, window, worlds, send } = *self;
        write!(
            f,
            "{} MiB: receive {}, window {}, worlds {}, send {} (coins aside)",
            mib(total),
            mib(receive),
            mib(window),
            mib(worlds),
            mib(send)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_split_without_a_rest() {
        for total in [256 * MIB, 256 * MIB + 19, 1_024 * MIB, 5_000_000_001, u64::MAX] {
            let Budget { total: all, receive, window, worlds, send } = Budget::split(total).unwrap();
            let sum = receive + window + worlds + send;
            // Each of four shares loses less than 20 bytes.
            assert!(all == total && sum <= total && total - sum < 80, "{total}: {sum}");
        }
        // A quarter, two fifths, one fifth, three twentieths.
        let budget = Budget::split(1_000 * MIB).unwrap();
        let shares = [budget.receive, budget.window, budget.worlds, budget.send];
        assert_eq!(shares.map(|bytes| bytes / MIB), [250, 400, 200, 150]);
        assert_eq!(budget.to_string(), "1000 MiB: receive 250, window 400, worlds 200, send 150 (coins aside)");
    }

    #[test]
    fn less_than_256_mib_is_refused() {
        assert!(Budget::split(256 * MIB - 1).is_none() && Budget::split(0).is_none());
        assert!(Budget::split(256 * MIB).is_some());
        assert_eq!([1, 2, 16].map(Budget::default_total), [1_280, 1_536, 5_120].map(|mib| mib * MIB));
    }

    #[test]
    fn links_grow_with_peers() {
        assert_eq!(link_depth(0), 1_024);
        // 128 blocks of 6 words, 64 to spare, and five words a peer: 832 + 5,000, rounded up to a power of two.
        assert_eq!(link_depth(1_000), 8_192);
    }
}
