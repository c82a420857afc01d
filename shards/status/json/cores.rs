//! What a core did, as the JSON has it.

use crate::metrics::Stage;
use crate::status::view::{Spent, View};
use crate::topology::ShardId;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
pub(in crate::status) struct Core {
    core: usize,
    shards: Vec<String>,
    busy_percent: f64,
    /// Of the last second: in each stage, and outside all.
    spent_percent: BTreeMap<&'static str, f64>,
    /// Inputs that waited meanwhile, on average.
    waiting: f64,
    busy_ns: u64,
    stage_ns: BTreeMap<&'static str, u64>,
    cpu_ns: u64,
    wait_ns: u64,
    steps: u64,
    queue_max: u64,
    step_ns_max: u64,
    link_overrun: u64,
    block_parsed: u64,
    part_verified: u64,
    world_grown: u64,
    coin_taken: u64,
}

/// Of this executor.
pub(super) fn core(view: &View, core: usize) -> Core {
    let (page, work, spent) = (view.setup.pages.core(core), view.setup.pages.work(core), view.load.spent[core]);
    Core {
        core,
        shards: view.setup.plan.executors[core].iter().map(ShardId::to_string).collect(),
        busy_percent: f64::from(view.load.now(core)) / 10.0,
        spent_percent: Spent::names()
            .map(|(name, _)| name)
            .zip(spent.parts.map(|part| f64::from(part) / 10.0))
            .collect(),
        waiting: spent.waiting as f64 / 1e3,
        busy_ns: page.busy_ns.get(),
        stage_ns: Stage::ALL.iter().map(|stage| (stage.word(), page.stage_ns[*stage as usize].get())).collect(),
        cpu_ns: page.cpu_ns.get(),
        wait_ns: page.wait_ns.get(),
        steps: page.step.get(),
        queue_max: page.queue_max.get(),
        step_ns_max: page.step_ns_max.get(),
        link_overrun: page.link_overrun.get(),
        block_parsed: work.block_parsed.get(),
        part_verified: work.part_verified.get(),
        world_grown: work.world_grown.get(),
        coin_taken: work.coin_taken.get(),
    }
}
