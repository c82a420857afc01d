//! The command `cargo sim`: one seed told step by step, a range of seeds, or as many as there is time for, on all cores;
//! and the bugs that are planted to see whether they are found. Each seed runs in one thread and knows of no other.

use caesure_tests::sim::faults::Fault;
use caesure_tests::sim::planted::Planted;
use caesure_tests::sim::scenario::{Ran, run};
use clap::Parser;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

/// Seeds within which a planted bug must be found.
const FOUND_WITHIN: u64 = 1_000;
/// Failures that are told in full.
const TOLD_MAX: usize = 20;

/// Runs the whole node below the wall on virtual time, network and disk, with faults drawn from a seed.
#[derive(Parser)]
#[command(name = "cargo sim --", version)]
struct Args {
    /// Runs this one seed.
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "hours", "planted"])]
    seed: Option<u64>,
    /// Prints what the seed draws and the node's log.
    #[arg(long, requires = "seed")]
    log: bool,
    /// Runs these seeds.
    #[arg(long, value_name = "A..B", value_parser = range, conflicts_with = "hours")]
    seeds: Option<Range<u64>>,
    /// Runs seeds that nobody ran before for so long.
    #[arg(long, value_name = "H")]
    hours: Option<f64>,
    /// Plants each bug, or the one of this name, and tells which seed finds it.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "all", conflicts_with_all = ["seeds", "hours"])]
    planted: Option<String>,
    /// Seeds run at once.
    #[arg(long, value_name = "N", default_value_t = std::thread::available_parallelism().map_or(1, usize::from))]
    threads: usize,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("a range is written A..B, with B not in it")?;
    let number = |text: &str| text.parse::<u64>().map_err(|why| format!("{text:?}: {why}"));
    let range = number(from)?..number(to)?;
    if range.is_empty() { Err(format!("there is no seed in {text}")) } else { Ok(range) }
}

thread_local! {
    /// What the last panic of this thread said, and where.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A seed's outcome; a panic is a failure like others.
fn tried(seed: u64, planted: Option<Planted>, verbose: bool) -> Result<Ran, String> {
    let ran = catch_unwind(AssertUnwindSafe(|| run(seed, planted, verbose)));
    ran.unwrap_or_else(|_| Err(PANIC.with(RefCell::take)))
}

/// What seeds came to so far.
#[derive(Default)]
struct Sums {
    clean: u64,
    failed: BTreeMap<u64, String>,
    struck: BTreeMap<&'static str, (u64, u64)>,
    drawn: BTreeMap<String, u64>,
    ends: BTreeMap<String, u64>,
    reads: u64,
    pruned: usize,
}

impl Sums {
    fn add(&mut self, seed: u64, ran: Result<Ran, String>) {
        let Ran { faults, options, reads, pruned, ends, .. } = match ran {
            Ok(ran) => ran,
            Err(why) => {
                if self.failed.len() < TOLD_MAX {
                    println!("seed {seed} failed; to repeat it: cargo sim -- --seed {seed} --log\n  {why}");
                }
                self.failed.insert(seed, why);
                return;
            }
        };
        self.clean += 1;
        self.reads += reads;
        self.pruned += pruned;
        for (name, Fault { struck, .. }) in faults.each() {
            let (times, seeds) = self.struck.entry(name).or_default();
            (*times, *seeds) = (*times + struck, *seeds + u64::from(struck > 0));
        }
        options.into_iter().for_each(|name| *self.drawn.entry(name).or_default() += 1);
        ends.into_iter().for_each(|name| *self.ends.entry(name).or_default() += 1);
    }

    fn print(&self, took: Duration) {
        println!("{} seeds ran clean, {} failed, in {:.0} s", self.clean, self.failed.len(), took.as_secs_f64());
        println!("{} pieces of checkpoints were read, {} blocks pruned\n", self.reads, self.pruned);
        println!("fault                      times      seeds");
        for (name, (times, seeds)) in &self.struck {
            println!("{name:<20} {times:>11} {seeds:>10}");
        }
        println!("\ndrawn                      seeds");
        self.drawn.iter().for_each(|(name, seeds)| println!("{name:<20} {seeds:>11}"));
        println!("\nends of a run              times");
        self.ends.iter().for_each(|(name, times)| println!("{name:<20} {times:>11}"));
        for (seed, why) in &self.failed {
            let line = why.lines().next().unwrap_or_default();
            println!("failed: cargo sim -- --seed {seed} --log    {line}");
        }
    }
}

/// Runs seeds on several threads until there are no more, or no more time.
fn many(seeds: Range<u64>, until: Option<Instant>, threads: usize) -> bool {
    let (start, next, sums) = (Instant::now(), AtomicU64::new(seeds.start), Mutex::new(Sums::default()));
    let running = AtomicU64::new(threads as u64);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while until.is_none_or(|until| Instant::now() < until) {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let ran = tried(seed, None, false);
                    sums.lock().expect("nobody panics with it").add(seed, ran);
                }
                running.fetch_sub(1, Relaxed);
            });
        }
        let mut said = Instant::now();
        while running.load(Relaxed) > 0 {
            std::thread::sleep(Duration::from_millis(100));
            if said.elapsed() > Duration::from_secs(2) {
                said = Instant::now();
                progress(&sums.lock().expect("nobody panics with it"), &seeds, start, until);
            }
        }
    });
    let sums = sums.into_inner().expect("nobody panics with it");
    eprintln!();
    sums.print(start.elapsed());
    sums.failed.is_empty()
}

fn progress(sums: &Sums, seeds: &Range<u64>, start: Instant, until: Option<Instant>) {
    let (done, failed) = (sums.clean + sums.failed.len() as u64, sums.failed.len());
    let rate = done as f64 / start.elapsed().as_secs_f64();
    let left = match until {
        Some(until) => until.saturating_duration_since(Instant::now()).as_secs_f64(),
        None => (seeds.end - seeds.start - done) as f64 / rate.max(0.01),
    };
    eprint!("\r{done} seeds, {rate:.1} a second, {failed} failed, {left:.0} s left    ");
}

fn one(seed: u64, log: bool) -> bool {
    match tried(seed, None, log) {
        Ok(ran) => {
            println!("seed {seed} runs clean; trace {:016x}", ran.trace);
            true
        }
        Err(why) => {
            println!("seed {seed} failed; to repeat it: cargo sim -- --seed {seed} --log\n  {why}");
            false
        }
    }
}

/// Whether each bug is found in time.
fn planted(name: &str) -> Result<bool, String> {
    let wanted = |bug: &&(Planted, &str)| name == "all" || format!("{:?}", bug.0) == name;
    let bugs: Vec<_> = Planted::ALL.iter().filter(wanted).collect();
    if bugs.is_empty() {
        let names: Vec<String> = Planted::ALL.iter().map(|(bug, _)| format!("{bug:?}")).collect();
        return Err(format!("no bug is called {name}; there are: {}", names.join(", ")));
    }
    let mut all = true;
    for (bug, what) in bugs {
        // By a seed that finds nothing where the bug is not.
        let finds = |seed| Some((seed, tried(seed, Some(*bug), false).err()?));
        let found = (0..FOUND_WITHIN).filter_map(finds).find(|(seed, _)| tried(*seed, None, false).is_ok());
        all &= found.is_some();
        match found {
            Some((seed, why)) => println!("{bug:?}:{what}\n  found by seed {seed}: {}", why.replace('\n', " ")),
            None => println!("{bug:?}:{what}\n  NOT FOUND by seeds 0..{FOUND_WITHIN}"),
        }
    }
    Ok(all)
}

fn main() -> ExitCode {
    let args = Args::parse();
    std::panic::set_hook(Box::new(|info| PANIC.with(|said| *said.borrow_mut() = info.to_string())));
    let clean = if let Some(seed) = args.seed {
        one(seed, args.log)
    } else if let Some(name) = args.planted {
        match planted(&name) {
            Ok(found) => found,
            Err(why) => {
                eprintln!("{why}");
                return ExitCode::from(2);
            }
        }
    } else if let Some(hours) = args.hours {
        // From a first seed that the clock names, so that each night has others.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let until = Instant::now() + Duration::from_secs_f64(hours * 3_600.0);
        many(now << 20..u64::MAX, Some(until), args.threads)
    } else {
        many(args.seeds.unwrap_or(0..1_000), None, args.threads)
    };
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
