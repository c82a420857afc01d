//! `caesure blocks`: whether blocks.bin is what it should be, what it holds, and mending or shortening it with the node
//! stopped.
//!
//! What is damaged in the middle stays where it is: the node asks peers for those blocks at its next start and appends
//! them again. Knows words and files; what is whole and where blocks stand is said in `ledger`.

mod cat;
mod export;
pub mod file;
#[cfg(feature = "parquet")]
mod parquet;
mod stats;
mod truncate;
pub mod walk;

use crate::args::{Blocks as What, Export};
use crate::config::Config;
use crate::disk::{BLOCK_INDEX, put_in_place, replace};
use crate::exit::Fatal;
use crate::folder::Folder;
use crate::{holder, trouble};
use consensus::{BlockHash, Kind, Rule};
use file::{Blocks, Found, rows};
use ledger::block_index;
use ledger::record::Record;
use shards::limits::PAGE;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Does one of the jobs.
pub fn run(config: Config, what: What) -> Result<(), Fatal> {
    match what {
        What::Verify => verify(&config),
        What::Repair => repair(&config),
        What::Stats { heights, find, json } => stats::run(&config, &heights, find.as_deref(), json),
        What::Cat { what, tx, form } => cat::run(&config, &what, tx.as_deref(), form),
        What::Export { folder, form: Export::Blk, heights } => export::run(&config, &folder, &heights),
        #[cfg(feature = "parquet")]
        What::Export { folder, form: Export::Parquet, heights } => parquet::run(&config, &folder, &heights),
        #[cfg(not(feature = "parquet"))]
        What::Export { form: Export::Parquet, .. } => Err(Fatal::Usage(
            "this caesure was built without Parquet; with it: cargo build --release --features parquet".into(),
        )),
        What::Truncate { height } => truncate::run(&config, height, config.yes),
    }
}

/// Bytes that are not what they were.
struct Damage {
    at: u64,
    len: u64,
    what: String,
}

/// What was found, and who may be writing meanwhile.
struct Report {
    found: Found,
    /// By record, those that are damaged.
    damaged: BTreeMap<usize, Rule>,
    /// By record, those whose blocks break a rule as they were received.
    invalid: BTreeMap<usize, Rule>,
    damage: Vec<Damage>,
    /// End of the last record that is whole.
    end: u64,
    /// The process that runs a node here.
    holder: Option<u32>,
}

/// Reads all of it.
fn report(config: &Config, folder: &Folder, blocks: &Blocks, rows: &[u8]) -> Result<Report, Fatal> {
    let holder = holder::of(&folder.path).filter(|process| *process != std::process::id());
    let found = blocks.look(config.params, rows)?;
    if let Some(why) = crate::folder::of_nobody(config.params, &blocks.path, &found.index, blocks.len) {
        return Err(why);
    }
    let broken = blocks.check(config.params, &found, config.cores)?;
    let (mut damaged, invalid): (BTreeMap<_, _>, _) =
        broken.into_iter().partition(|(_, rule): &(usize, Rule)| rule.kind() == Kind::Mutated);
    // What a hole lies in was given up.
    damaged.retain(|number, _| !found.in_hole(&found.index.records[*number]));
    let whole = |number: &usize| !damaged.contains_key(number);
    let end = (0..found.index.records.len()).rev().find(whole).map_or(0, |last| found.index.records[last].end());
    let mut report = Report { found, damaged, invalid, damage: Vec::new(), end, holder };
    report.damage = report.damage(&blocks.unreadable());
    Ok(report)
}

/// Whether a stretch shares a byte with one of these.
fn touches(ranges: &[Range<u64>], at: u64, end: u64) -> bool {
    ranges.iter().any(|range| range.start < end && at < range.end)
}

impl Found {
    fn in_hole(&self, record: &Record) -> bool {
        touches(&self.holes, record.at, record.end())
    }

    /// What the block index vouches for: up to there everything was durable once.
    fn vouched(&self) -> u64 {
        self.said.records.last().map_or(0, Record::end)
    }

    /// A block of the inventory as people read it.
    fn named(&self, number: usize, hash: &BlockHash) -> String {
        let height = self.inventory.height(number);
        format!("block {hash} ({})", height.map_or("height unknown".to_owned(), |height| format!("height {height}")))
    }

    /// Blocks that lay there, as the block index has them.
    fn lay_in(&self, at: u64, end: u64) -> String {
        let first = self.index.records.len();
        let inside = (first..).zip(&self.lost).filter(|(_, row)| at <= row.at && row.at < end);
        let names: Vec<String> = inside.map(|(number, row)| self.named(number, &row.hash)).collect();
        if names.is_empty() { String::new() } else { format!("; there lay {}", names.join(", ")) }
    }
}

impl Report {
    /// Places, in order, that are neither records nor holes nor still being written.
    fn damage(&self, unreadable: &BTreeSet<u64>) -> Vec<Damage> {
        let Found { index, holes, .. } = &self.found;
        let gone = |at: u64, end: u64| match unreadable.range(at / PAGE * PAGE..end).count() {
            0 => String::new(),
            pages => format!("{pages} page(s) that the disk does not give back, "),
        };
        let gaps = index.damage.iter().filter(|gap| !touches(holes, gap.at, gap.at + gap.len)).map(|gap| {
            let end = gap.at + gap.len;
            let what = format!("{}no record{}", gone(gap.at, end), self.found.lay_in(gap.at, end));
            Damage { at: gap.at, len: gap.len, what }
        });
        let records = self.damaged.iter().map(|(number, rule)| {
            let record = &index.records[*number];
            let what = format!("{}{}: {rule}", gone(record.at, record.end()), self.found.named(*number, &record.hash));
            Damage { at: record.at, len: record.end() - record.at, what }
        });
        let cut_short = self.found.vouched().saturating_sub(index.end);
        let tail = (index.torn.max(cut_short) > 0).then(|| {
            let end = index.end + index.torn.max(cut_short);
            let why = if cut_short > 0 { "no record, or missing" } else { "the end of an interrupted write" };
            let what = format!("{}{why}{}", gone(index.end, end), self.found.lay_in(index.end, end));
            Damage { at: index.end, len: end - index.end, what }
        });
        let mut all: Vec<Damage> = gaps.chain(records).chain(tail).collect();
        all.sort_by_key(|damage| damage.at);
        if self.holder.is_some() {
            // Behind what is durable the node may be in the middle of a write.
            let durable = if self.found.said.records.is_empty() { index.end } else { self.found.vouched() };
            all.retain(|damage| damage.at < durable);
        }
        all
    }

    /// The summary, on standard output.
    fn print(&self, config: &Config, folder: &Folder, blocks: &Blocks) -> Result<(), Fatal> {
        let Found { index, said, said_len, lost, inventory, holes } = &self.found;
        let count = index.records.len();
        let mut out = folder.invalidated()?;
        out.extend(folder.refused().into_iter().map(|(hash, _)| hash));
        let there = |number: usize| match (index.records.get(number), number.checked_sub(count)) {
            (None, Some(row)) => lost.get(row).is_none_or(|row| self.found.in_hole(row)),
            _ => !self.damaged.contains_key(&number),
        };
        let best = inventory.best(there, |hash| out.contains(hash));
        let tip = inventory.tree.node(best);
        let nobodys = (0..count).filter(|number| inventory.height(*number).is_none()).count();
        let elsewhere = (0..count).filter(|number| !inventory.leads_to(*number, best)).count() - nobodys;
        let line = |name: &str, text: String| println!("{name:<16} {text}");
        line("blocks.bin", format!("{} ({})", blocks.path.display(), config.chain));
        line("records", format!("{count} in {} bytes, {} on disk", blocks.len, blocks.allocated));
        line("best chain", format!("height {} {}", tip.height, tip.hash));
        line("other branches", format!("{elsewhere} record(s); {nobodys} of blocks whose ancestors are not there"));
        line("no blocks", format!("{} header(s), behind a snapshot", said.headers.len()));
        line("break a rule", format!("{} block(s), as they were received", self.invalid.len()));
        for (number, rule) in &self.invalid {
            println!("  {}: {rule}", self.found.named(*number, &index.records[*number].hash));
        }
        let bytes: u64 = holes.iter().map(|hole| hole.end - hole.start).sum();
        line("holes", format!("{} of {bytes} bytes", holes.len()));
        let valid = said.records.iter().filter(|row| row.valid).count();
        let compared = match (said_len, said.len, lost.len()) {
            (0, ..) => "there is none".to_owned(),
            (_, 0, _) => "it is damaged from its first byte on, or of another network".to_owned(),
            (len, good, 0) if *len == good => "all as it says".to_owned(),
            (len, good, 0) => format!("damaged from byte {good} of {len} on, all as it says before"),
            (.., lost) => format!("{lost} of its records are not there"),
        };
        let behind = index.end.saturating_sub(self.found.vouched());
        line(
            "blocks.idx",
            format!("{} records, {valid} known to be valid, {behind} bytes behind; {compared}", said.records.len()),
        );
        if let Some(process) = self.holder {
            line("node", format!("process {process} is running"));
        }
        let bytes: u64 = self.damage.iter().map(|damage| damage.len).sum();
        line("damage", format!("{} place(s), {bytes} bytes", self.damage.len()));
        for Damage { at, len, what } in &self.damage {
            println!("  offset {at}, {len} bytes: {what}");
        }
        Ok(())
    }
}

fn verify(config: &Config) -> Result<(), Fatal> {
    let folder = Folder::look(&config.folder)?;
    // First: a node appends to it what is durable already.
    let rows = rows(&folder);
    let blocks = Blocks::open(&folder)?;
    let report = report(config, &folder, &blocks, &rows)?;
    report.print(config, &folder, &blocks)?;
    match &report.damage[..] {
        [] => Ok(()),
        [first, ..] => Err(Fatal::Damaged {
            what: format!("{} place(s), the first of {} bytes at offset {}", report.damage.len(), first.len, first.at),
            path: blocks.path,
            mend: "caesure blocks repair, with the node stopped and the same --base and --chain".into(),
        }),
    }
}

/// Opens for writing what only whoever holds the lock may write.
fn open_to_write(path: &Path) -> Result<File, Fatal> {
    OpenOptions::new().read(true).write(true).open(path).map_err(|why| trouble::fatal(path, "opening of", why))
}

/// The file ends there, padded to a page as the node wants it, durably.
pub fn end_at(file: &File, path: &Path, end: u64) -> Result<(), Fatal> {
    let cut = file.set_len(end).and_then(|()| file.set_len(end.next_multiple_of(PAGE))).and_then(|()| file.sync_all());
    cut.map_err(|why| trouble::fatal(path, "cutting of", why))
}

fn write_index(folder: &Folder, bytes: &[u8]) -> Result<(), Fatal> {
    let path = folder.path.join(BLOCK_INDEX[0]);
    replace(&path, bytes).map_err(|why| trouble::fatal(&path, "write to", why))
}

/// Where blocks were pruned, blocks.bin and both copies of the index are one: only the node changes them.
fn none_pruned(folder: &Folder) -> Result<(), Fatal> {
    match folder.pruned {
        false => Ok(()),
        true => Err(Fatal::Pruned {
            what: format!("blocks of {} were pruned, and the headers of those are in its index alone", folder.path.display()),
            mend: "start the node: it cuts a torn end off, mends one copy of the index with the other, and asks peers for \
                   what is damaged"
                .into(),
        }),
    }
}

fn repair(config: &Config) -> Result<(), Fatal> {
    Folder::look(&config.folder)?;
    let folder = Folder::open(&config.folder)?;
    none_pruned(&folder)?;
    truncate::none_interrupted(&folder)?;
    let (rows, blocks) = (rows(&folder), Blocks::open(&folder)?);
    let report = report(config, &folder, &blocks, &rows)?;
    report.print(config, &folder, &blocks)?;
    let end = report.end;
    if end == 0 {
        return Err(Fatal::Damaged {
            what: "not one record is whole, so it is left alone".into(),
            mend: "caesure inspect, or mv it elsewhere: the node takes all blocks from peers again".into(),
            path: blocks.path,
        });
    }
    let file = open_to_write(&blocks.path)?;
    for page in blocks.unreadable().range(..end) {
        // Nothing can be read there; once it is written the disk has another place for it.
        let written = file.write_all_at(&[0; PAGE as usize], *page);
        written.map_err(|why| trouble::fatal(&blocks.path, "write to", why))?;
        println!("mended           offset {page}: {PAGE} bytes that could not be read are zeros now");
    }
    if let Some(len) = last_byte(&blocks, end)?.map(|last| last + 1 - end) {
        let aside = keep_aside(&blocks, end, len)?;
        end_at(&file, &blocks.path, end)?;
        println!(
            "mended           {len} bytes behind the last whole record, at offset {end}, are in {}",
            aside.display()
        );
    } else {
        end_at(&file, &blocks.path, end)?;
    }
    let records = &report.found.index.records;
    let kept = records.partition_point(|record| record.at < end);
    // Rows of one that is sound lie in another order: verdicts come when they are there.
    let said = &report.found.said;
    if said.records != records[..kept] || said.len != rows.len() {
        write_index(&folder, &block_index::anew(config.params, &said.headers, &records[..kept]))?;
        println!("mended           blocks.idx is made anew, {kept} records");
    }
    let left = report.damage.iter().filter(|damage| damage.at < end).count();
    match left {
        0 => println!("sound            nothing else is damaged"),
        _ => println!(
            "sound            {left} place(s) stay damaged: the node asks peers for those blocks at its next start, \
             and appends them again"
        ),
    }
    Ok(())
}

/// Offset of the last byte from `from` on that is not zero.
fn last_byte(blocks: &Blocks, from: u64) -> Result<Option<u64>, Fatal> {
    let (mut last, mut at, mut buffer) = (None, from, vec![0; 1 << 20]);
    loop {
        let got = blocks.read(at, &mut buffer).map_err(|why| trouble::fatal(&blocks.path, "read of", why))?;
        if got == 0 {
            return Ok(last);
        }
        last = buffer[..got].iter().rposition(|byte| *byte != 0).map(|place| at + place as u64).or(last);
        at += got as u64;
    }
}

/// Copies a stretch into a file of its own, durably; its name.
fn keep_aside(blocks: &Blocks, at: u64, len: u64) -> Result<PathBuf, Fatal> {
    let names = [String::new()].into_iter().chain((2..).map(|number| format!(".{number}")));
    let mut paths = names.map(|more| blocks.path.with_extension(format!("bin.cut-{at}{more}")));
    let aside = paths.find(|path| !path.exists()).expect("no folder is full of them");
    let fresh = aside.with_added_extension("new");
    let failed = |why| trouble::fatal(&aside, "write to", why);
    let file = File::create(&fresh).map_err(failed)?;
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    while done < len {
        let part = (len - done).min(buffer.len() as u64) as usize;
        let got = blocks.read(at + done, &mut buffer[..part]);
        let got = got.map_err(|why| trouble::fatal(&blocks.path, "read of", why))?;
        file.write_all_at(&buffer[..got], done).map_err(failed)?;
        done += got as u64;
    }
    put_in_place(&file, &fresh, &aside).map_err(failed)?;
    Ok(aside)
}
