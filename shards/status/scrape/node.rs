//! The figures of `/metrics`: the node as a whole, some hundred of them however many cores there are.

use super::{Family, Rows, Source, counter, gauge};
use crate::metrics::Stage;
use crate::report::State;
use ledger::worlds::Tally;

const STATES: [State; 5] = [State::Starting, State::Headers, State::Downloading, State::Synced, State::Stalled];

fn tally(source: &Source, of: fn(&Tally) -> u64) -> u64 {
    source.view.coins.iter().map(|(tally, _)| of(tally)).sum()
}

/// Each core and the desk, as it counts something.
fn cores(source: &Source, of: fn(&crate::metrics::Core) -> u64) -> u64 {
    let pages = &source.view.setup.pages;
    (0..pages.executors()).map(|core| of(pages.core(core))).sum()
}

fn both(rows: &mut Rows, (outgoing, incoming): (usize, usize)) {
    rows.row("direction=\"out\"", outgoing);
    rows.row("direction=\"in\"", incoming);
}

/// In the order in which they are told.
pub(super) const FAMILIES: &[Family] = &[
    gauge("caesure_node_built_info", "Program, version and network.", |s, rows| {
        let setup = &s.view.setup;
        let (version, chain) = (setup.version.replace(['\\', '"', '\n'], "?"), setup.params.network.name());
        rows.row(&format!("version=\"{version}\",chain=\"{chain}\""), 1);
    }),
    gauge("caesure_node_passed_seconds", "Time since the node was started.", |s, rows| rows.one(s.view.up_s)),
    gauge("caesure_node_reached_state", "1 for the state that the node is in.", |s, rows| {
        for state in STATES {
            rows.row(&format!("state=\"{}\"", state.word()), u8::from(s.view.chain.state == state));
        }
    }),
    gauge("caesure_node_readied_state", "1 if the node is ready, as /readyz says.", |s, rows| {
        rows.one(u64::from(super::reasons(s.view).is_empty()));
    }),
    gauge("caesure_tip_reached_height", "Height of the tip: valid and durable.", |s, rows| {
        rows.one(s.view.chain.height);
    }),
    gauge("caesure_header_reached_height", "Height of the best header known.", |s, rows| {
        rows.one(s.view.chain.headers);
    }),
    gauge("caesure_tip_aged_seconds", "Time since that in the header of the tip.", |s, rows| {
        s.view.tip_age_s().into_iter().for_each(|age| rows.one(age));
    }),
    gauge("caesure_tip_held_coins", "Coins in the world of the tip.", |s, rows| rows.one(s.view.chain.coins)),
    gauge("caesure_sync_left_seconds", "Until the tip has the best header, at the present rate.", |s, rows| {
        s.view.chain.eta_s.into_iter().for_each(|left| rows.one(left));
    }),
    gauge("caesure_history_verified_height", "How far the history behind a snapshot is verified.", |s, rows| {
        s.view.chain.history.into_iter().for_each(|(verified, _)| rows.one(verified));
    }),
    gauge("caesure_history_wanted_height", "Height of the snapshot that the node began with.", |s, rows| {
        s.view.chain.history.into_iter().for_each(|(_, of)| rows.one(of));
    }),
    gauge("caesure_history_awaited_blocks", "Blocks behind a snapshot that are not verified.", |s, rows| {
        rows.one(s.view.chain.history.map_or(0, |(verified, of)| of.saturating_sub(verified)));
    }),
    counter("caesure_block_validated_blocks_total", "Blocks that became valid.", |s, rows| {
        rows.one(s.view.chain.done.0);
    }),
    counter("caesure_block_validated_transactions_total", "Transactions in blocks that became valid.", |s, rows| {
        rows.one(s.view.chain.done.1);
    }),
    counter("caesure_block_validated_bytes_total", "Bytes of blocks that became valid.", |s, rows| {
        rows.one(s.view.chain.done.2);
    }),
    counter("caesure_branch_left_branches_total", "Times that the tip left a branch.", |s, rows| {
        rows.one(s.view.chain.switches);
    }),
    gauge("caesure_window_filled_blocks", "Blocks on their way, by what they are at.", |s, rows| {
        let chain = &s.view.chain;
        let parts =
            [("growing", chain.growing), ("parked", chain.parked), ("loading", chain.loading), ("asked", chain.asked)];
        parts.into_iter().for_each(|(name, blocks)| rows.row(&format!("stage=\"{name}\""), blocks));
    }),
    gauge("caesure_window_filled_bytes", "Bytes of blocks on their way.", |s, rows| {
        rows.one(s.view.chain.window_bytes.0);
    }),
    gauge("caesure_window_allowed_bytes", "Bytes of blocks that may be on their way.", |s, rows| {
        rows.one(s.view.chain.window_bytes.1);
    }),
    gauge("caesure_peer_connected_peers", "Peers by who connected.", |s, rows| {
        both(rows, (s.view.book.outgoing.0, s.view.book.incoming.0));
    }),
    gauge("caesure_peer_allowed_peers", "The most peers there may be.", |s, rows| {
        both(rows, (s.view.book.outgoing.1, s.view.book.incoming.1));
    }),
    counter("caesure_peer_received_bytes_total", "Bytes received from peers.", |s, rows| {
        rows.one(s.sum(|work| &work.received_bytes));
    }),
    counter("caesure_peer_sent_bytes_total", "Bytes sent to peers.", |s, rows| {
        rows.one(s.sum(|work| &work.sent_bytes));
    }),
    gauge("caesure_peer_buffered_bytes", "Bytes that unfinished messages hold.", |s, rows| {
        rows.one(s.sum(|work| &work.buffered_bytes));
    }),
    gauge("caesure_address_known_addresses", "Addresses of nodes that are known.", |s, rows| {
        rows.one(s.view.book.known as u64);
    }),
    gauge("caesure_clock_doubted_state", "1 while peers agree on another time, or the like.", |s, rows| {
        rows.one(u64::from(s.view.book.warning.is_some()));
    }),
    gauge("caesure_world_lived_worlds", "Worlds that can be looked at, without the root.", |s, rows| {
        rows.one(s.view.chain.live as u64);
    }),
    gauge("caesure_world_filled_bytes", "Memory that worlds take, by estimate.", |s, rows| {
        rows.one(s.view.chain.worlds_bytes.0);
    }),
    gauge("caesure_world_allowed_bytes", "Memory that worlds should take.", |s, rows| {
        rows.one(s.view.chain.worlds_bytes.1);
    }),
    gauge("caesure_world_held_versions", "Versions of groups of coins in recent worlds.", |s, rows| {
        rows.one(tally(s, |tally| tally.versions));
    }),
    counter("caesure_world_spent_coins_total", "Coins that were spent before they reached the base.", |s, rows| {
        rows.one(tally(s, |tally| tally.nursery));
    }),
    counter("caesure_world_folded_coins_total", "Coins that went into the base.", |s, rows| {
        rows.one(tally(s, |tally| tally.folded));
    }),
    gauge("caesure_base_reached_height", "Height of the root, whose coins the base holds.", |s, rows| {
        rows.one(s.view.chain.root.0);
    }),
    gauge("caesure_base_held_coins", "Coins in the base.", |s, rows| rows.one(tally(s, |tally| tally.base_coins))),
    gauge("caesure_base_filled_bytes", "Memory of the base.", |s, rows| rows.one(tally(s, |tally| tally.base_bytes))),
    gauge("caesure_checkpoint_failed_shards", "Shards whose newest checkpoint was not written.", |s, rows| {
        rows.one(s.view.unwritten.iter().flatten().count() as u64);
    }),
    gauge("caesure_file_filled_bytes", "Where blocks.bin ends.", |s, rows| rows.one(s.view.store.end)),
    gauge("caesure_file_awaited_bytes", "Bytes of blocks that are appended and not durable yet.", |s, rows| {
        rows.one(s.view.store.end.saturating_sub(s.view.store.durable));
    }),
    counter("caesure_file_written_bytes_total", "Bytes written to blocks.bin, padding too.", |s, rows| {
        rows.one(s.view.store.written);
    }),
    counter("caesure_file_synced_times_total", "Times that blocks.bin was synced.", |s, rows| {
        rows.one(s.view.store.syncs);
    }),
    gauge("caesure_file_punched_bytes", "Bytes of blocks.bin that were given up.", |s, rows| {
        rows.one(s.view.store.punched);
    }),
    gauge("caesure_file_pruned_height", "Height up to which blocks were pruned.", |s, rows| {
        rows.one(s.view.chain.pruned.0);
    }),
    gauge("caesure_disk_left_bytes", "Bytes that may still be written where the folder lies.", |s, rows| {
        s.free.into_iter().for_each(|free| rows.one(free));
    }),
    counter("caesure_script_run_inputs_total", "Inputs whose scripts were run, or known to be good.", |s, rows| {
        rows.one(s.sum(|work| &work.input_run));
    }),
    counter(
        "caesure_script_settled_signatures_total",
        "Signatures, or pairs with keys, recorded and settled.",
        |s, rows| {
            rows.one(s.sum(|work| &work.signature_settled));
        },
    ),
    counter("caesure_script_repeated_scripts_total", "Scripts that were run a second time.", |s, rows| {
        rows.one(s.sum(|work| &work.script_run_again));
    }),
    gauge("caesure_lane_believed_state", "0 once lanes were wrong.", |s, rows| {
        rows.one(u64::from(!s.view.setup.trust.is_lost()));
    }),
    counter("caesure_lane_asked_signatures_total", "Signatures that lanes were asked of.", |s, rows| {
        rows.one(s.sum(|work| &work.lane_asked));
    }),
    counter("caesure_lane_proven_signatures_total", "Signatures that lanes proved.", |s, rows| {
        rows.one(s.sum(|work| &work.lane_proven));
    }),
    counter("caesure_lane_left_signatures_total", "Signatures whose keys lanes do not take.", |s, rows| {
        rows.one(s.sum(|work| &work.lane_key_left));
    }),
    counter("caesure_lane_bypassed_signatures_total", "Signatures that steer scripts, asked at once.", |s, rows| {
        rows.one(s.sum(|work| &work.lane_at_once));
    }),
    counter(
        "caesure_lane_missed_signatures_total",
        "Good ones that lanes did not prove (--lanes check).",
        |s, rows| {
            rows.one(s.sum(|work| &work.lane_missed));
        },
    ),
    counter("caesure_lane_rechecked_signatures_total", "Proven signatures that libsecp256k1 saw too.", |s, rows| {
        rows.one(s.sum(|work| &work.lane_rechecked));
    }),
    counter("caesure_lane_mistaken_signatures_total", "Of these found bad: lanes are off then.", |s, rows| {
        rows.one(s.sum(|work| &work.lane_wrong));
    }),
    counter("caesure_lane_failed_scripts_total", "Scripts that failed after lanes were to help.", |s, rows| {
        rows.one(s.sum(|work| &work.lane_script_failed));
    }),
    counter("caesure_lane_refused_scripts_total", "Scripts that lanes did not prove, refused.", |s, rows| {
        rows.one(s.sum(|work| &work.lane_script_refused));
    }),
    counter("caesure_lane_undecided_scripts_total", "Scripts that lanes did not prove, and good.", |s, rows| {
        rows.one(s.sum(|work| &work.lane_script_undecided));
    }),
    gauge("caesure_node_busied_ratio", "Busy share of all cores over the last second.", |s, rows| {
        let cores = s.view.setup.plan.cores();
        let busy: u64 = (0..cores).map(|core| u64::from(s.view.load.now(core))).sum();
        rows.ratio("", busy / cores as u64);
    }),
    counter("caesure_stage_spent_seconds_total", "Time of all cores and the desk in steps of a stage.", |s, rows| {
        let pages = &s.view.setup.pages;
        for stage in Stage::ALL {
            let ns = (0..pages.executors()).map(|core| pages.core(core).stage_ns[stage as usize].get()).sum();
            rows.seconds(&format!("stage=\"{}\"", stage.word()), ns);
        }
    }),
    counter("caesure_node_used_seconds_total", "Time of the CPU that all cores and the desk had.", |s, rows| {
        rows.seconds("", cores(s, |core| core.cpu_ns.get()));
    }),
    counter("caesure_link_overrun_words_total", "Words that found their link full: a bug.", |s, rows| {
        rows.one(cores(s, |core| core.link_overrun.get()));
    }),
];
