//! `caesure inspect`: what lies in the folder, or what some of its files are, beside a running node or with none. Reads and
//! nothing else; decides nothing.

use crate::blocks::file::{Blocks, rows};
use crate::checkpoints::{self, folder_of};
use crate::config::Config;
use crate::exit::Fatal;
use crate::folder::{Folder, of_nobody};
use crate::progress::Progress;
use crate::{holder, snapshot, trouble};
use consensus::{Network, Params};
use ledger::block_index::{self, Said, read_rows};
use ledger::record::Record;
use serde::Serialize;
use shards::effect::Side;
use std::collections::BTreeMap;
use std::fs::read_dir;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Shows it.
pub fn run(config: &Config, paths: &[PathBuf], json: bool, verify: bool) -> Result<(), Fatal> {
    if paths.is_empty() {
        let told = Inside::of(config, verify)?;
        if json {
            print_json(&told)
        } else {
            told.print()
        }
        let mut bad = told.checkpoints.bad.iter().chain(&told.history.bad);
        return bad.next().map_or(Ok(()), |bad| Err(damaged(&bad.path, &bad.why)));
    }
    let files: Vec<File> = paths.iter().map(|path| one(config, path)).collect::<Result<_, _>>()?;
    match json {
        true => print_json(&files),
        false => files.iter().for_each(File::print),
    }
    files.iter().find_map(|file| Some(damaged(file.path(), file.damage()?))).map_or(Ok(()), Err)
}

fn print_json(told: &impl Serialize) {
    println!("{}", serde_json::to_string_pretty(told).expect("plain words and numbers"));
}

fn damaged(path: &Path, why: &str) -> Fatal {
    let mend = format!("rm {}, with the node stopped; it does without, and makes it anew", path.display());
    Fatal::Damaged { path: path.to_owned(), what: why.to_owned(), mend }
}

fn line(name: &str, text: impl std::fmt::Display) {
    println!("{name:<16} {text}");
}

/// One file.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum File {
    Checkpoint {
        path: PathBuf,
        bytes: u64,
        network: Option<String>,
        partition: Option<u16>,
        height: Option<u32>,
        block: Option<String>,
        pieces: Option<u64>,
        coins: Option<u64>,
        damage: Option<String>,
    },
    Index {
        path: PathBuf,
        bytes: u64,
        network: String,
        records: usize,
        valid: usize,
        /// Where the last of them ends in blocks.bin.
        end: u64,
        damage: Option<String>,
    },
}

impl File {
    fn path(&self) -> &Path {
        let (File::Checkpoint { path, .. } | File::Index { path, .. }) = self;
        path
    }

    fn damage(&self) -> Option<&str> {
        let (File::Checkpoint { damage, .. } | File::Index { damage, .. }) = self;
        damage.as_deref()
    }

    fn print(&self) {
        fn shown<T: std::fmt::Display>(value: &Option<T>) -> String {
            value.as_ref().map_or("unknown".to_owned(), T::to_string)
        }
        line("file", self.path().display());
        match self {
            File::Checkpoint { bytes, network, partition, height, block, pieces, coins, .. } => {
                line("checkpoint of", format!("{}, partition {}", shown(network), shown(partition)));
                line("at", format!("height {} {}", shown(height), shown(block)));
                line("holds", format!("{} coins in {} pieces, {bytes} bytes", shown(coins), shown(pieces)));
            }
            File::Index { bytes, network, records, valid, end, .. } => {
                line("block index of", network);
                line("holds", format!("{records} records, {valid} known to be valid, {bytes} bytes"));
                line("ends", format!("at byte {end} of blocks.bin"));
            }
        }
        line("state", self.damage().map_or("whole".to_owned(), |why| format!("damaged: {why}")));
    }
}

/// What a file is, read whole.
fn one(config: &Config, path: &Path) -> Result<File, Fatal> {
    let failed = |why| trouble::fatal(path, "read of", why);
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    let path = path.to_owned();
    let head = match checkpoints::read_head(&path).map_err(failed)? {
        Ok(head) => head,
        Err(damage) => match index(config, &path, bytes)? {
            Some(index) => return Ok(index),
            None if damage == ledger::checkpoint::Damage::Title => {
                let shown = path.display();
                return Err(Fatal::Usage(format!("{shown} is neither a checkpoint nor a block index of caesure")));
            }
            None => {
                let (network, partition, height, block, pieces, coins) = Default::default();
                let damage = Some(damage.to_string());
                return Ok(File::Checkpoint { path, bytes, network, partition, height, block, pieces, coins, damage });
            }
        },
    };
    let read = checkpoints::read_whole(&path).map_err(failed)?;
    Ok(File::Checkpoint {
        path,
        bytes,
        network: Some(network(config, head.network)),
        partition: Some(head.partition),
        height: Some(head.height),
        block: Some(head.block.to_string()),
        pieces: read.as_ref().ok().map(|(pieces, _)| *pieces),
        coins: read.as_ref().ok().map(|(_, coins)| *coins),
        damage: read.err().map(|damage| damage.to_string()),
    })
}

/// The network of a magic; that of the settings may be one of somebody's own.
fn network(config: &Config, magic: [u8; 4]) -> String {
    if magic == config.params.magic { config.params.network.to_string() } else { checkpoints::network(magic) }
}

/// A file as a block index of some network, if it begins as one.
fn index(config: &Config, path: &Path, bytes: u64) -> Result<Option<File>, Fatal> {
    let rows = std::fs::read(path).map_err(|why| trouble::fatal(path, "read of", why))?;
    let known = [config.params].into_iter().chain(Network::ALL.iter().map(|network| Params::of(*network)));
    let said = known.into_iter().find_map(|params| Some((params.magic, read_rows(params, &rows)?)));
    let told = said.map(|(magic, said)| File::Index {
        path: path.to_owned(),
        bytes,
        network: network(config, magic),
        records: said.records.len(),
        valid: said.records.iter().filter(|row| row.valid).count(),
        end: said.records.last().map_or(0, Record::end),
        damage: cut(&said, bytes),
    });
    Ok(told)
}

/// What cannot be read at the end of an index.
fn cut(said: &Said, bytes: u64) -> Option<String> {
    (said.len as u64 != bytes).then(|| format!("nothing can be read from byte {} of {bytes} on", said.len))
}

/// The folder.
#[derive(Serialize)]
struct Inside {
    folder: PathBuf,
    network: String,
    version: Option<String>,
    /// The process that runs a node on it.
    node: Option<u32>,
    blocks: BlocksBin,
    index: BlockIndex,
    checkpoints: Checkpoints,
    /// Height of the snapshot that the node began with, while the history behind it is not verified …
    snapshot: Option<u32>,
    /// … and the checkpoints of that history.
    history: Checkpoints,
    refused: usize,
    invalidated: usize,
    /// Addresses that are known; none where there is no file, or none that can be read.
    peers: Option<usize>,
}

#[derive(Serialize)]
struct BlocksBin {
    bytes: u64,
    allocated: u64,
    records: usize,
    /// Behind the last record.
    end: u64,
    damage: Option<String>,
}

#[derive(Serialize)]
struct BlockIndex {
    bytes: usize,
    records: usize,
    valid: usize,
    /// Bytes of records in blocks.bin that it does not know of.
    behind: u64,
    damage: Option<String>,
}

#[derive(Default, Serialize)]
struct Checkpoints {
    /// Of each partition the newest, the one before that, and so on.
    generations: Vec<Generation>,
    unfinished: usize,
    bad: Vec<Bad>,
}

#[derive(Clone, Default, Serialize)]
struct Generation {
    partitions: usize,
    lowest: u32,
    highest: u32,
    bytes: u64,
    /// Of the file written last, and of the one written first.
    newest_s: u64,
    oldest_s: u64,
    /// Where they were read whole.
    coins: Option<u64>,
}

#[derive(Serialize)]
struct Bad {
    path: PathBuf,
    why: String,
}

impl Inside {
    fn of(config: &Config, verify: bool) -> Result<Inside, Fatal> {
        let folder = Folder::look(&config.folder)?;
        let rows = rows(&folder);
        let blocks = Blocks::open(&folder)?;
        let mut progress = Progress::new(format!("{}: looking for records", blocks.path.display()), blocks.len);
        let read = |at, buffer: &mut [u8]| blocks.read(at, buffer);
        let opened =
            block_index::open(config.params, &[&rows], blocks.len, &blocks.holes()?, read, |at| progress.at(at));
        let found = opened.map_err(|why| trouble::fatal(&blocks.path, "read of", why))?.index;
        let said = read_rows(config.params, &rows).unwrap_or_default();
        let known = said.records.last().map_or(0, Record::end);
        let gaps = found.damage.len();
        let peers = folder.read("peers").and_then(|bytes| wire::addresses::Book::from_bytes(&bytes, true).ok());
        Ok(Inside {
            network: config.params.network.to_string(),
            version: folder.read("VERSION").map(|text| String::from_utf8_lossy(&text).trim().to_owned()),
            node: holder::of(&folder.path),
            blocks: BlocksBin {
                bytes: blocks.len,
                allocated: blocks.allocated,
                records: found.records.len(),
                end: found.end,
                damage: match of_nobody(config.params, &blocks.path, &found, blocks.len) {
                    Some(why) => Some(why.to_string()),
                    None => (gaps > 0).then(|| format!("{gaps} gap(s) between records; caesure blocks verify")),
                },
            },
            index: BlockIndex {
                bytes: rows.len(),
                records: said.records.len(),
                valid: said.records.iter().filter(|row| row.valid).count(),
                behind: found.end.saturating_sub(known),
                damage: cut(&said, rows.len() as u64),
            },
            checkpoints: Checkpoints::of(config, &folder_of(&folder.path, Side::Tip), verify),
            snapshot: snapshot::read(&folder.path, config.params, true)?.map(|snapshot| snapshot.height),
            history: Checkpoints::of(config, &folder_of(&folder.path, Side::History), verify),
            refused: folder.refused().len(),
            invalidated: folder.invalidated()?.len(),
            peers: peers.map(|book| book.len()),
            folder: folder.path,
        })
    }

    fn print(&self) {
        let damage = |damage: &Option<String>| damage.as_ref().map_or(String::new(), |why| format!("; {why}"));
        line("folder", format!("{} ({})", self.folder.display(), self.network));
        line("VERSION", self.version.as_deref().unwrap_or("none"));
        line("node", self.node.map_or("none is running".to_owned(), |process| format!("process {process} is running")));
        let BlocksBin { bytes, allocated, records, end, damage: why } = &self.blocks;
        line(
            "blocks.bin",
            format!("{records} records to byte {end}; {bytes} bytes, {allocated} on disk{}", damage(why)),
        );
        let BlockIndex { bytes, records, valid, behind, damage: why } = &self.index;
        line(
            "blocks.idx",
            format!(
                "{records} records, {valid} known to be valid; {bytes} bytes; {behind} bytes behind{}",
                damage(why)
            ),
        );
        self.checkpoints.print("checkpoints");
        if let Some(height) = self.snapshot {
            line("snapshot", format!("at height {height}, its history is not verified"));
            self.history.print("of the history");
        }
        line("refused", format!("{} blocks", self.refused));
        line("invalidated", format!("{} blocks", self.invalidated));
        line("peers", self.peers.map_or("none".to_owned(), |count| format!("{count} addresses")));
    }
}

/// Seconds as people say them.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

impl Checkpoints {
    /// Of a folder; none where there is no such folder.
    fn of(config: &Config, folder: &Path, verify: bool) -> Checkpoints {
        let mut told = Checkpoints::default();
        let Ok(listed) = read_dir(folder) else { return told };
        let mut paths: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let total = paths.iter().filter_map(|path| Some(path.metadata().ok()?.len())).sum();
        let (mut progress, mut done) = (Progress::new("reading checkpoints".into(), total), 0);
        let mut found = BTreeMap::<u16, BTreeMap<u32, Checkpoint>>::new();
        for path in paths {
            if path.extension().is_some_and(|end| end == checkpoints::UNFINISHED) {
                told.unfinished += 1;
                continue;
            }
            match about(config, folder, &path, verify) {
                Ok(file) => {
                    done += file.bytes;
                    found.entry(file.partition).or_default().insert(file.height, file);
                }
                // A node that runs removes old ones.
                Err(_) if !path.exists() => {}
                Err(why) => told.bad.push(Bad { path, why }),
            }
            progress.at(done);
        }
        for files in found.values() {
            for (number, file) in files.values().rev().enumerate() {
                if number == told.generations.len() {
                    let first = Generation { lowest: u32::MAX, newest_s: u64::MAX, ..Generation::default() };
                    told.generations.push(Generation { coins: verify.then_some(0), ..first });
                }
                let generation = &mut told.generations[number];
                generation.partitions += 1;
                generation.lowest = generation.lowest.min(file.height);
                generation.highest = generation.highest.max(file.height);
                generation.bytes += file.bytes;
                generation.newest_s = generation.newest_s.min(file.age_s);
                generation.oldest_s = generation.oldest_s.max(file.age_s);
                generation.coins = generation.coins.zip(file.coins).map(|(all, more)| all + more);
            }
        }
        told
    }

    fn print(&self, name: &str) {
        let Checkpoints { generations, unfinished, bad } = self;
        let none =
            if generations.is_empty() { "none" } else { "partitions   heights           bytes            written" };
        line(name, none);
        for (number, generation) in generations.iter().enumerate() {
            let Generation { partitions, lowest, highest, bytes, newest_s, oldest_s, coins } = generation;
            let name = if number == 0 { "  newest".to_owned() } else { format!("  {number} before") };
            let coins = coins.map_or(String::new(), |coins| format!(", {coins} coins"));
            let written = format!("{} to {} ago{coins}", span(*newest_s), span(*oldest_s));
            line(&name, format!("{partitions:<12} {:<17} {bytes:<16} {written}", format!("{lowest} to {highest}")));
        }
        line("  unfinished", unfinished);
        line("  damaged", bad.len());
        bad.iter().for_each(|Bad { path, why }| println!("    {}: {why}", path.display()));
    }
}

/// A checkpoint of this folder.
struct Checkpoint {
    partition: u16,
    height: u32,
    bytes: u64,
    age_s: u64,
    /// Where it was read whole.
    coins: Option<u64>,
}

/// What a file is as a checkpoint of this folder, or what is wrong with it.
fn about(config: &Config, folder: &Path, path: &Path, verify: bool) -> Result<Checkpoint, String> {
    let told = |why: std::io::Error| why.to_string();
    let head = checkpoints::read_head(path).map_err(told)?.map_err(|damage| damage.to_string())?;
    if head.network != config.params.magic {
        return Err(format!("it is a checkpoint of {}", network(config, head.network)));
    }
    if path != folder.join(checkpoints::name(head.partition, head.height)) {
        return Err(format!("it is the checkpoint of partition {} at height {}", head.partition, head.height));
    }
    let coins = match verify {
        true => Some(checkpoints::read_whole(path).map_err(told)?.map_err(|damage| damage.to_string())?.1),
        false => None,
    };
    let meta = path.metadata().map_err(told)?;
    // A clock that was set back makes it new.
    let age = meta.modified().ok().and_then(|then| SystemTime::now().duration_since(then).ok()).unwrap_or_default();
    let (partition, height) = (head.partition, head.height);
    Ok(Checkpoint { partition, height, bytes: meta.len(), age_s: age.as_secs(), coins })
}
