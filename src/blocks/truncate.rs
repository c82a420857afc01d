//! `caesure blocks truncate HEIGHT`: nothing above that height stays in blocks.bin, on any branch, nor in the block index
//! or the checkpoints; everything else does.
//!
//! Blocks lie in the order in which they came, so records that stay may lie behind some that go. They are copied to a file
//! of their own before anything is cut, and appended again after it: at no moment is one of them nowhere.

use super::file::{Blocks, rows};
use super::{end_at, open_to_write, write_index};
use crate::config::Config;
use crate::exit::Fatal;
use crate::folder::{Folder, of_nobody};
use crate::progress::Progress;
use crate::{checkpoints, snapshot, trouble};
use ledger::block_index;
use ledger::inventory::cut_above;
use ledger::record::Record;
use shards::effect::Side;
use std::collections::BTreeSet;
use std::fs::{File, remove_file};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Records that are to be appended again, as in any file of blocks.
fn moved_path(folder: &Folder) -> PathBuf {
    folder.path.join("blocks.bin.moved")
}

/// Whether a truncation was cut short, and how its records come back.
pub fn none_interrupted(folder: &Folder) -> Result<(), Fatal> {
    let path = moved_path(folder);
    if !path.exists() {
        return Ok(());
    }
    let shown = path.display();
    Err(Fatal::Runtime(format!(
        "a truncation was interrupted: blocks that were to stay lie in {shown}\n\
         try: caesure import {shown}, with the same --base and --chain, then rm {shown}"
    )))
}

/// Says what goes, and with `yes` removes it.
pub fn run(config: &Config, height: u32, yes: bool) -> Result<(), Fatal> {
    Folder::look(&config.folder)?;
    let folder = Folder::open(&config.folder)?;
    super::none_pruned(&folder)?;
    none_interrupted(&folder)?;
    if snapshot::path(&folder.path).exists() {
        return Err(Fatal::Usage(
            "the node began with a snapshot of coins, and the history behind it is not verified yet: its coins could not be made again below it; \
             let the node go on until it is (status says how far it is)"
                .into(),
        ));
    }
    let (rows, blocks) = (rows(&folder), Blocks::open(&folder)?);
    let found = blocks.look(config.params, &rows)?;
    if let Some(why) = of_nobody(config.params, &blocks.path, &found.index, blocks.len) {
        return Err(why);
    }
    let records = &found.index.records;
    let cut = cut_above(records, &found.inventory, height);
    let coins = checkpoints::folder_of(&folder.path, Side::Tip);
    let (gone, kept): (Vec<_>, Vec<_>) = checkpoints::find(&coins, config.params)?
        .into_iter()
        .map(|(partition, height, _)| (partition, height))
        .partition(|(_, found)| *found > height);
    let partitions: BTreeSet<u16> = kept.iter().map(|(partition, _)| *partition).collect();
    if !found.holes.is_empty() && partitions.len() < ledger::PARTITIONS {
        return Err(Fatal::Usage(format!(
            "{}: its first blocks are gone, and only {} of {} partitions have a checkpoint at height {height} or below, \
             so the coins could not be made; choose a greater height (caesure inspect shows them)",
            blocks.path.display(),
            partitions.len(),
            ledger::PARTITIONS
        )));
    }
    let bytes = |numbers: &[usize]| numbers.iter().map(|number| span(&records[*number])).sum::<u64>();
    let is_gone: BTreeSet<usize> = cut.gone.iter().copied().collect();
    let best = found.inventory.best(|number| number < records.len() && !is_gone.contains(&number), |_| false);
    let tip = found.inventory.tree.node(best);
    println!("records          {} above height {height} go, {} bytes", cut.gone.len(), bytes(&cut.gone));
    let unknown = cut.gone.iter().filter(|number| found.inventory.height(**number).is_none()).count();
    if unknown > 0 {
        println!("                 {unknown} of them because their ancestors are not there");
    }
    println!(
        "                 {} behind byte {} stay and are written again, {} bytes",
        cut.moved.len(),
        cut.at,
        bytes(&cut.moved)
    );
    println!("checkpoints      {} above height {height} go, {} stay", gone.len(), kept.len());
    println!("best chain       height {} {}", tip.height, tip.hash);
    if cut.gone.is_empty() && gone.is_empty() {
        println!("nothing lies above that height");
        return Ok(());
    }
    if !yes {
        return Err(Fatal::Usage("nothing was removed; to remove that, say --yes".into()));
    }
    let moved = moved_path(&folder);
    let moves: Vec<&Record> = cut.moved.iter().map(|number| &records[*number]).collect();
    if !moves.is_empty() {
        copy_out(&blocks, &moves, &moved)?;
    }
    for (partition, height) in gone {
        let path = coins.join(checkpoints::name(partition, height));
        remove_file(&path).map_err(|why| trouble::fatal(&path, "removing", why))?;
    }
    // The index goes first: one that knows less than the file holds is added to, one that knows more is thrown away.
    let mut stay = records[..cut.stay].to_vec();
    write_index(&folder, &block_index::anew(config.params, &[], &stay))?;
    let file = open_to_write(&blocks.path)?;
    end_at(&file, &blocks.path, cut.at)?;
    if !moves.is_empty() {
        let mut end = cut.at;
        for record in moves {
            stay.push(Record { at: end, ..*record });
            end += span(record);
        }
        copy_back(&moved, &file, &blocks.path, cut.at)?;
        end_at(&file, &blocks.path, end)?;
        write_index(&folder, &block_index::anew(config.params, &[], &stay))?;
        remove_file(&moved).map_err(|why| trouble::fatal(&moved, "removing", why))?;
    }
    println!("done             {} holds {} records", blocks.path.display(), stay.len());
    Ok(())
}

/// Bytes of a record with its frame.
fn span(record: &Record) -> u64 {
    record.end() - record.at
}

/// Copies these records into that file, back to back, durably.
fn copy_out(blocks: &Blocks, records: &[&Record], to: &Path) -> Result<(), Fatal> {
    let failed = |why| trouble::fatal(to, "write to", why);
    // Under another name until it is whole: before that nothing is cut, and it is worth nothing.
    let fresh = to.with_extension("moved.new");
    let file = File::create(&fresh).map_err(failed)?;
    let total = records.iter().map(|record| span(record)).sum();
    let (mut progress, mut at) = (Progress::new(format!("copying to {}", to.display()), total), 0);
    for record in records {
        let mut bytes = vec![0; span(record) as usize];
        blocks.read(record.at, &mut bytes).map_err(|why| trouble::fatal(&blocks.path, "read of", why))?;
        file.write_all_at(&bytes, at).map_err(failed)?;
        at += bytes.len() as u64;
        progress.at(at);
    }
    crate::disk::put_in_place(&file, &fresh, to).map_err(failed)
}

/// Writes all of a file into another, from that offset on.
fn copy_back(from: &Path, to: &File, path: &Path, at: u64) -> Result<(), Fatal> {
    let failed = |why| trouble::fatal(from, "read of", why);
    let file = File::open(from).map_err(failed)?;
    let total = file.metadata().map_err(failed)?.len();
    let mut progress = Progress::new(format!("copying back from {}", from.display()), total);
    let (mut done, mut buffer) = (0, vec![0; 1 << 20]);
    loop {
        let got = crate::disk::read_up_to(&file, done, &mut buffer).map_err(failed)?;
        if got == 0 {
            return Ok(());
        }
        to.write_all_at(&buffer[..got], at + done).map_err(|why| trouble::fatal(path, "write to", why))?;
        done += got as u64;
        progress.at(done);
    }
}
