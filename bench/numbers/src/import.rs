//! `cargo numbers -- import`: blocks from a file in the page cache, scripts believed, with no peer on the same CPUs: what a
//! second executor brings; and how fast blocks.bin is written and read, beside the disk.
//!
//! A run is a whole program: it starts, takes the file, and ends. Executors are pinned, as they are by default.

use crate::disk;
use crate::load::Load;
use crate::process;
use crate::side::How;
use crate::table::{Table, Teller, median};
use caesure_tests::Folder;
use caesure_tests::binary::{caesure, command, scratch};
use clap::Args;
use std::fs;
use std::io;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of a write or read of the disk itself, and of all of them.
const PIECE: usize = 4 << 20;
const PIECES: usize = 64;

/// What is measured, and how often.
#[derive(Args)]
pub struct ImportArgs {
    /// Transactions of the chain
    #[arg(long, default_value_t = 1_000_000)]
    txs: u32,
    /// Times each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Executors, each in turn
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    cores: Vec<usize>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// What a whole run of the program took, and said.
pub struct Ran {
    /// From its start to its end.
    pub seconds: f64,
    /// Of CPU.
    pub cpu: f64,
    /// To standard output.
    pub said: String,
}

fn run_program(words: &[&str]) -> io::Result<Ran> {
    let begun = Instant::now();
    let mut child = command(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let out = child.stdout.take().expect("piped");
    let said = thread::spawn(move || io::read_to_string(out));
    // What it used can be read until it is waited for.
    while !process::ended(child.id()) {
        thread::sleep(Duration::from_millis(2));
    }
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), process::cpu_seconds(child.id()));
    let (status, said) = (child.wait()?, said.join().expect("it does not panic")?);
    if status.success() {
        Ok(Ran { seconds, cpu, said })
    } else {
        Err(io::Error::other(format!("{words:?}: {status}")))
    }
}

/// Flags of a run on that folder with so many executors.
fn flags<'a>(base: &'a Folder, cores: &'a str) -> [&'a str; 8] {
    ["--chain", "regtest", "-b", base.text(), "--cores", cores, "--min-chain-work", "0"]
}

/// One import of a whole chain out of the page cache; scripts up to that block are believed. It says its status as JSON.
pub fn import(load: &Load, cores: usize, assumed: &str) -> io::Result<(Folder, Ran)> {
    let (base, cores) = (Folder::new(), cores.to_string());
    let file = load.path.to_str().expect("target has a path in UTF-8");
    let ran =
        run_program(&[&flags(&base, &cores)[..], &["--assumevalid", assumed, "import", "--json", file]].concat())?;
    Ok((base, ran))
}

/// What one import took, and a look through all that it wrote.
struct Import {
    seconds: f64,
    cpu: f64,
    verify: f64,
}

impl Import {
    fn of(load: &Load, cores: usize) -> io::Result<Import> {
        let (base, Ran { seconds, cpu, .. }) = import(load, cores, &load.last_full)?;
        disk::cool(&base.join("regtest/blocks.bin"))?;
        let cores = cores.to_string();
        let verify = run_program(&[&flags(&base, &cores)[..], &["blocks", "verify"]].concat())?;
        Ok(Import { seconds, cpu, verify: verify.seconds })
    }
}

/// Bytes a second that the disk writes, synced in the end, and reads, both past the page cache and one piece at a time.
fn disk() -> io::Result<(f64, f64)> {
    let (path, pieces) = (scratch().join(format!("{}.disk", std::process::id())), disk::pieces(PIECE * PIECES, PIECE));
    let written = disk::write(&path, &pieces, 1, false)?;
    let read = disk::read_direct(&path, &pieces, 1)?;
    fs::remove_file(&path)?;
    Ok((written.bytes_per_second, read.bytes_per_second))
}

/// Measures, and gives the table.
pub fn run(args: &ImportArgs) -> io::Result<Table> {
    args.cores.iter().try_for_each(|cores| How::check(*cores))?;
    // If it has to be built first, that is no time of an import.
    caesure();
    let load = Load::with(args.txs)?;
    let (_, bytes) = load.open()?;
    let (mut imports, mut disks) = (args.cores.iter().map(|_| Vec::new()).collect::<Vec<_>>(), Vec::new());
    let mut teller = Teller::new("import");
    for round in 1..=args.rounds {
        for (cores, imports) in args.cores.iter().zip(&mut imports) {
            imports.push(Import::of(&load, *cores)?);
        }
        disks.push(disk()?);
        teller.say(round.into(), args.rounds.into(), "rounds");
    }
    let of = |imports: &[Import], figure: &dyn Fn(&Import) -> f64| imports.iter().map(figure).collect::<Vec<f64>>();
    let (written, read): (Vec<f64>, Vec<f64>) = disks.iter().map(|(w, r)| (w / 1e6, r / 1e6)).unzip();
    let alone = median(of(&imports[0], &|i| i.seconds));
    let mut table = Table::default();
    table.row("transactions", "million", f64::from(load.txs) / 1e6);
    table.row("bytes of blocks", "MB", bytes as f64 / 1e6);
    for (cores, imports) in args.cores.iter().zip(&imports) {
        let what = format!("{cores} core{}", if *cores == 1 { "" } else { "s" });
        table.spread(format!("{what}: import"), "s", &of(imports, &|i| i.seconds), "", &[]);
        table.spread(format!("{what}: CPU of it"), "s", &of(imports, &|i| i.cpu), "", &[]);
        table.spread(format!("{what}: CPUs busy"), "", &of(imports, &|i| i.cpu / i.seconds), "", &[]);
        let times = format!("{what}: times as fast as on {}", args.cores[0]);
        table.spread(times, "", &of(imports, &|i| alone / i.seconds), "cores", &[*cores as f64 / args.cores[0] as f64]);
        let rate = of(imports, &|i| bytes as f64 / i.seconds / 1e6);
        table.spread(format!("{what}: append, by import"), "MB/s", &rate, "disk", &written);
        let rate = of(imports, &|i| bytes as f64 / i.verify / 1e6);
        table.spread(format!("{what}: read, by blocks verify"), "MB/s", &rate, "disk", &read);
    }
    Ok(table)
}
