//! Compares verdicts on scripts, case by case: caesure's in each of its ways, that of the kernel's
//! interface, the name of Core's error. Decides only whether they are the same.

use caesure_oracle::core;
use caesure_tests::scripts::tally::Tally;
use caesure_tests::scripts::verdict::{Verdict, WHO, all, digest};
use caesure_tests::scripts::{BOUNDED, Case, SEED, case, outside};
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Cases that a thread takes at a time.
const BATCH: u64 = 500;
/// Progress is told this often.
const TOLD: Duration = Duration::from_secs(2);

/// What to run.
#[derive(clap::Args)]
pub struct Args {
    /// How many cases.
    #[arg(long, default_value_t = 100_000)]
    cases: u64,
    /// Where the sequence of cases comes from.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Threads; as many as there are cores if not given.
    #[arg(long)]
    threads: Option<usize>,
    /// Leave out Core's vectors and real inputs.
    #[arg(long)]
    inside: bool,
}

/// A part of a run: its first case, the verdicts, the sums.
struct Part {
    first: u64,
    verdicts: Vec<Verdict>,
    tally: Tally,
}

/// Runs all of it; leaves with status 1 at the first difference.
pub fn run(args: &Args) {
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1);
    let outside = if args.inside { vec![] } else { outside::all() };
    let (seed, cases) = (args.seed, args.from..args.from + args.cases);
    println!("seed {seed}, cases {cases:?}, {} transactions from outside, {threads} threads", outside.len());
    let (next, started) = (AtomicU64::new(cases.start), Instant::now());
    let (sender, parts) = mpsc::channel();
    // A panic is told with its case; the runtime's own words would hide it.
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, outside, cases) = (sender.clone(), &next, &outside[..], cases.clone());
            scope.spawn(move || {
                loop {
                    let first = next.fetch_add(BATCH, Ordering::Relaxed);
                    if first >= cases.end {
                        break;
                    }
                    let part = batch(seed, first..(first + BATCH).min(cases.end), outside);
                    let failed = part.is_err();
                    if sender.send(part).is_err() || failed {
                        break;
                    }
                }
            });
        }
        drop(sender);
        collect(args, &parts, started);
    });
}

fn collect(args: &Args, parts: &mpsc::Receiver<Result<Part, String>>, started: Instant) {
    let (mut tally, mut verdicts, mut told, mut done) = (Tally::default(), BTreeMap::new(), started, 0);
    for part in parts {
        let part = part.unwrap_or_else(|difference| {
            println!("{difference}");
            std::process::exit(1);
        });
        tally.merge(&part.tally);
        done += part.verdicts.len() as u64;
        verdicts.insert(part.first, part.verdicts);
        if told.elapsed() >= TOLD {
            told = Instant::now();
            let rate = done as f64 / started.elapsed().as_secs_f64();
            let left = Duration::from_secs_f64((args.cases - done) as f64 / rate);
            eprintln!("{done} of {}, {rate:.0}/s, {} s left", args.cases, left.as_secs());
        }
    }
    let verdicts: Vec<Verdict> = verdicts.into_values().flatten().collect();
    println!("{tally}");
    if args.from == 0 && args.seed == SEED && verdicts.len() as u64 >= BOUNDED {
        println!("digest of the first {BOUNDED} verdicts: {}", digest(&verdicts[..BOUNDED as usize]));
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{done} comparisons in {seconds:.1} s, {:.0}/s: no difference; digest {}",
        done as f64 / seconds,
        digest(&verdicts)
    );
    if !tally.missing().is_empty() && args.cases >= BOUNDED {
        println!("but the cases were not what they should be, see MISSING");
        std::process::exit(1);
    }
}

fn batch(seed: u64, numbers: Range<u64>, outside: &[Case]) -> Result<Part, String> {
    let mut part = Part { first: numbers.start, verdicts: Vec::new(), tally: Tally::default() };
    for number in numbers {
        let case = case(seed, number, outside);
        let verdict = compare(&case).map_err(|told| {
            format!(
                "DIFFERENCE in case {number} of seed {seed} (`--seed {seed} --from {number} --cases 1`)\n{case}\n{told}"
            )
        })?;
        part.tally.add(&case, verdict);
        part.verdicts.push(verdict);
    }
    Ok(part)
}

/// The verdict of all, or who says what.
fn compare(case: &Case) -> Result<Verdict, String> {
    let name = core::name_of(case).expect("Core reads what the generator writes");
    let theirs = if name == "OK" { Ok(()) } else { Err(name) };
    let accepts = core::accepts(case).unwrap_or(theirs.is_ok());
    let said = |verdict: Verdict| verdict.err().unwrap_or("OK");
    let core = format!("{name} (the kernel's interface: {})", if accepts { "accepted" } else { "refused" });
    match catch_unwind(AssertUnwindSafe(|| all(case))) {
        Ok(ours) if ours == [theirs; WHO.len()] && accepts == theirs.is_ok() => Ok(theirs),
        Ok(ours) => {
            let ours = WHO.iter().zip(ours).map(|(who, verdict)| format!("caesure, {who}: {}\n", said(verdict)));
            Err(format!("{}Core: {core}", ours.collect::<String>()))
        }
        Err(panic) => {
            let word = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Err(format!("caesure panicked: {}\nCore: {core}", word.unwrap_or("without a word")))
        }
    }
}
