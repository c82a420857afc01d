//! The figures of `/metrics/cores`: each core, the desk, and each shard that has something to tell.

use super::{Family, Rows, Source, counter, gauge};
use crate::metrics::{Core, Counter, Stage, Work};

fn name(source: &Source, core: usize) -> String {
    match core == source.view.setup.plan.desk() {
        true => "core=\"desk\"".into(),
        false => format!("core=\"{core}\""),
    }
}

fn each(source: &Source, mut tell: impl FnMut(usize, &str)) {
    (0..source.view.setup.pages.executors()).for_each(|core| tell(core, &name(source, core)));
}

/// What each loop counts …
fn cores(source: &Source, rows: &mut Rows, of: fn(&Core) -> &Counter) {
    each(source, |core, name| rows.row(name, of(source.view.setup.pages.core(core)).get()));
}

/// … as nanoseconds, …
fn times(source: &Source, rows: &mut Rows, of: fn(&Core) -> &Counter) {
    each(source, |core, name| rows.seconds(name, of(source.view.setup.pages.core(core)).get()));
}

/// … and what the shards there count.
fn work(source: &Source, rows: &mut Rows, of: fn(&Work) -> &Counter) {
    each(source, |core, name| rows.row(name, of(source.view.setup.pages.work(core)).get()));
}

/// Each utxo shard's last report.
fn utxo(source: &Source, rows: &mut Rows, of: fn(&ledger::worlds::Tally) -> u64) {
    for (i, (tally, _)) in source.view.coins.iter().enumerate() {
        rows.row(&format!("shard=\"utxo[{i}]\""), of(tally));
    }
}

/// In the order in which they are told.
pub(super) const FAMILIES: &[Family] = &[
    gauge("caesure_shard_housed_info", "Where each shard lives.", |s, rows| {
        for (core, shards) in s.view.setup.plan.executors.iter().enumerate() {
            let home = name(s, core);
            shards.iter().for_each(|shard| rows.row(&format!("{home},shard=\"{shard}\""), 1));
        }
    }),
    gauge("caesure_core_busied_ratio", "Busy share over the last second.", |s, rows| {
        each(s, |core, name| rows.ratio(name, s.view.load.now(core).into()));
    }),
    gauge("caesure_core_awaited_inputs", "Inputs that waited over the last second, on average.", |s, rows| {
        each(s, |core, name| rows.ratio(name, s.view.load.spent[core].waiting));
    }),
    counter("caesure_core_spent_seconds_total", "Time in steps of each stage.", |s, rows| {
        each(s, |core, name| {
            for stage in Stage::ALL {
                let ns = s.view.setup.pages.core(core).stage_ns[stage as usize].get();
                rows.seconds(&format!("{name},stage=\"{}\"", stage.word()), ns);
            }
        });
    }),
    counter("caesure_core_turned_seconds_total", "Time in turns of the loop.", |s, rows| {
        times(s, rows, |core| &core.busy_ns);
    }),
    counter("caesure_core_used_seconds_total", "Time that it had a CPU.", |s, rows| {
        times(s, rows, |core| &core.cpu_ns)
    }),
    counter("caesure_core_waited_seconds_total", "Time that inputs waited, all together.", |s, rows| {
        times(s, rows, |core| &core.wait_ns);
    }),
    counter("caesure_core_taken_steps_total", "Steps taken.", |s, rows| cores(s, rows, |core| &core.step)),
    gauge("caesure_core_stepped_seconds", "The longest step since the start.", |s, rows| {
        times(s, rows, |core| &core.step_ns_max);
    }),
    gauge("caesure_core_queued_inputs", "The most inputs that waited at once since the start.", |s, rows| {
        cores(s, rows, |core| &core.queue_max);
    }),
    counter("caesure_core_overrun_words_total", "Words that found their link full: a bug.", |s, rows| {
        cores(s, rows, |core| &core.link_overrun);
    }),
    counter("caesure_core_parsed_blocks_total", "Blocks parsed.", |s, rows| work(s, rows, |work| &work.block_parsed)),
    counter("caesure_core_verified_parts_total", "Parts of blocks verified.", |s, rows| {
        work(s, rows, |work| &work.part_verified);
    }),
    counter("caesure_core_run_inputs_total", "Inputs whose scripts were run, or known to be good.", |s, rows| {
        work(s, rows, |work| &work.input_run);
    }),
    counter("caesure_core_settled_signatures_total", "Signatures settled.", |s, rows| {
        work(s, rows, |work| &work.signature_settled);
    }),
    counter("caesure_core_proven_signatures_total", "Signatures proven by lanes.", |s, rows| {
        work(s, rows, |work| &work.lane_proven);
    }),
    counter("caesure_core_grown_worlds_total", "Worlds grown.", |s, rows| work(s, rows, |work| &work.world_grown)),
    counter("caesure_core_taken_coins_total", "Coins looked up for inputs.", |s, rows| {
        work(s, rows, |work| &work.coin_taken);
    }),
    counter("caesure_core_received_bytes_total", "Bytes received from peers.", |s, rows| {
        work(s, rows, |work| &work.received_bytes);
    }),
    counter("caesure_core_sent_bytes_total", "Bytes sent to peers.", |s, rows| work(s, rows, |work| &work.sent_bytes)),
    gauge("caesure_core_buffered_bytes", "Bytes that unfinished messages hold.", |s, rows| {
        work(s, rows, |work| &work.buffered_bytes);
    }),
    gauge("caesure_core_connected_peers", "Connections.", |s, rows| work(s, rows, |work| &work.peers)),
    gauge("caesure_shard_held_coins", "Coins in the base of each utxo shard.", |s, rows| {
        utxo(s, rows, |tally| tally.base_coins);
    }),
    gauge("caesure_shard_filled_bytes", "Memory of the base of each utxo shard.", |s, rows| {
        utxo(s, rows, |tally| tally.base_bytes);
    }),
    gauge("caesure_shard_held_versions", "Versions of groups of coins in each utxo shard.", |s, rows| {
        utxo(s, rows, |tally| tally.versions);
    }),
    gauge("caesure_shard_failed_state", "1 where the newest checkpoint was not written.", |s, rows| {
        for (i, why) in s.view.unwritten.iter().enumerate() {
            rows.row(&format!("shard=\"utxo[{i}]\""), u8::from(why.is_some()));
        }
    }),
];
