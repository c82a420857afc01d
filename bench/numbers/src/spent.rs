//! Where the time of a run went: stage by stage, as the node itself counts it for each core, and what is outside stages.
//!
//! Stages are timed by the clock. Where something else has the CPUs meanwhile, its time lies in them: then they come to more than
//! the CPU that the process had, the excess is shown, and no share means much. What a core did outside stages is known up to its
//! last tick, a quarter of a second ago at most; of all cores together it is known exactly.

use crate::load::Load;
use crate::table::{Grid, median};
use serde_json::Value;
use shards::metrics::Stage;

/// Stages that only one core can do, however many there are.
const SERIAL: [Stage; 3] = [Stage::Chain, Stage::Store, Stage::Other];

/// What one run took, in seconds.
pub struct Spent {
    /// Of each core, each stage in the order of [`Stage::ALL`], and all CPU up to its last tick.
    cores: Vec<([f64; Stage::ALL.len()], f64)>,
    /// CPU of the whole process, threads that are no executor's included; and the time that passed.
    cpu: f64,
    seconds: f64,
}

impl Spent {
    /// From what the node says of itself, and what its process took.
    pub fn of(status: &Value, cpu: f64, seconds: f64) -> Spent {
        let ns = |value: &Value| value.as_u64().expect("a count of nanoseconds") as f64 / 1e9;
        let core = |core: &Value| (Stage::ALL.map(|stage| ns(&core["stage_ns"][stage.word()])), ns(&core["cpu_ns"]));
        let cores = status["cores"].as_array().expect("it has cores").iter().map(core).collect();
        Spent { cores, cpu, seconds }
    }

    fn stage(&self, stage: Stage) -> f64 {
        self.cores.iter().map(|(stages, _)| stages[stage as usize]).sum()
    }

    fn inside(&self) -> f64 {
        Stage::ALL.iter().map(|stage| self.stage(*stage)).sum()
    }

    /// All that was done.
    fn work(&self) -> f64 {
        self.cpu.max(self.inside())
    }

    /// Of all that was done, the share of stages that only one core can do.
    pub fn serial(&self) -> f64 {
        SERIAL.iter().map(|stage| self.stage(*stage)).sum::<f64>() / self.work()
    }

    /// Of all that was done, the share outside stages.
    pub fn outside(&self) -> f64 {
        1.0 - self.inside() / self.work()
    }

    /// Seconds that stages had no CPU, as far as that shows.
    fn without_cpu(&self) -> f64 {
        (self.inside() - self.cpu).max(0.0)
    }
}

/// All stages of some runs on as many cores: medians.
pub fn grid(what: String, runs: &[Spent], load: &Load) -> Grid {
    let of = |figure: &dyn Fn(&Spent) -> f64| median(runs.iter().map(figure).collect());
    let cores = runs.first().map_or(0, |run| run.cores.len());
    let ns = |seconds: f64, per: u64| Some(seconds * 1e9 / per as f64);
    let row = |each: &dyn Fn(&Spent, usize) -> f64, all: &dyn Fn(&Spent) -> f64, is_work: bool| {
        let mut figures: Vec<Option<f64>> = (0..cores).map(|core| Some(of(&|run| each(run, core)))).collect();
        figures.push(Some(of(all)));
        match is_work {
            true => figures.extend([
                Some(of(&|run| 100.0 * all(run) / run.work())),
                ns(of(all), load.txs.into()),
                ns(of(all), load.tally.inputs),
            ]),
            false => figures.extend([None; 3]),
        }
        figures
    };
    let stage = |stage: &Stage| {
        let stage = *stage;
        (stage.word(), row(&|run, core| run.cores[core].0[stage as usize], &|run| run.stage(stage), true))
    };
    let mut rows: Vec<_> = Stage::ALL.iter().map(stage).collect();
    let outside = |run: &Spent, core: usize| (run.cores[core].1 - run.cores[core].0.iter().sum::<f64>()).max(0.0);
    rows.push(("outside: kernel, sockets, files", row(&outside, &|run| run.work() - run.inside(), true)));
    let idle = |run: &Spent, core: usize| (run.seconds - run.cores[core].1).max(0.0);
    rows.push((
        "idle, or waiting for a CPU",
        row(&idle, &|run| (run.seconds * run.cores.len() as f64 - run.work()).max(0.0), false),
    ));
    let mut missed = vec![None; cores + 4];
    missed[cores] = Some(of(&Spent::without_cpu));
    rows.push(("in stages, without a CPU", missed));
    let names = (0..cores).map(|core| format!("core {core}, s"));
    let columns = names.chain(["all, s", "% of work", "ns/tx", "ns/input"].map(String::from)).collect();
    Grid { what, columns, rows }
}
