//! The network's folder: who may use it, which version wrote it, what lies in blocks.bin and in files to be imported.
//! All of it is ordinary blocking work before any executor runs. It decides nothing about blocks.

use crate::disk::{BLOCK_INDEX, INVALIDATED, Source, read_up_to, replace};
use crate::exit::Fatal;
use crate::{sparse, trouble};
use consensus::{BlockHash, Network, Params};
use ledger::block_index::{self, Rows};
use ledger::holes::Holes;
use ledger::record::{self, Index};
use shards::limits::PAGE;
use shards::store::Opened;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Formats of what lies in a folder: all blocks, …
const WHOLE: u32 = 1;
/// … or not: some may have been pruned, so that the block index, kept twice, cannot be made anew.
const PRUNED: u32 = 2;

/// A folder that is ours while this lives.
#[derive(Debug)]
pub struct Folder {
    /// Where.
    pub path: PathBuf,
    /// None where it is only looked at.
    lock: Option<File>,
    /// Blocks may have been pruned.
    pub pruned: bool,
}

/// What blocks.bin and its index hold.
pub struct Blocks {
    /// Where blocks.bin is.
    pub source: Source,
    /// Its records.
    pub index: Index,
    /// What the store goes on from.
    pub opened: Opened,
}

impl Folder {
    /// Creates it if need be, locks it, checks its version.
    pub fn open(path: &Path) -> Result<Folder, Fatal> {
        std::fs::create_dir_all(path).map_err(|why| trouble::fatal(path, "making of", why))?;
        let lock_path = path.join("lock");
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock_path);
        let mut lock = options.map_err(|why| trouble::fatal(&lock_path, "opening of", why))?;
        if lock.try_lock().is_err() {
            let mut text = String::new();
            let _ = lock.read_to_string(&mut text);
            return Err(Fatal::Locked { folder: path.to_owned(), pid: text.trim().parse().ok() });
        }
        let noted = lock.set_len(0).and_then(|()| lock.seek(SeekFrom::Start(0)));
        noted
            .and_then(|_| writeln!(lock, "{}", std::process::id()))
            .map_err(|why| trouble::fatal(&lock_path, "write to", why))?;
        let mut folder = Folder { path: path.to_owned(), lock: Some(lock), pruned: false };
        folder.check_version()?;
        Ok(folder)
    }

    /// One that is looked at and not changed, perhaps beside a node that does change it.
    pub fn look(path: &Path) -> Result<Folder, Fatal> {
        let mut folder = Folder { path: path.to_owned(), lock: None, pruned: false };
        let blocks = path.join("blocks.bin");
        match std::fs::metadata(&blocks) {
            Ok(_) => {}
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                return Err(Fatal::Usage(format!(
                    "{} is not there: no node has run here\ntry: another folder with --base PATH, another chain with --chain NAME",
                    blocks.display()
                )));
            }
            Err(why) => return Err(trouble::fatal(&blocks, "stat of", why)),
        }
        folder.check_version()?;
        Ok(folder)
    }

    fn check_version(&mut self) -> Result<(), Fatal> {
        let path = self.path.join("VERSION");
        match std::fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse::<u32>() {
                Ok(found) if found <= PRUNED => {
                    self.pruned = found == PRUNED;
                    Ok(())
                }
                Ok(found) => Err(Fatal::NewerFolder { folder: self.path.clone(), found, known: PRUNED }),
                Err(_) => Err(Fatal::Damaged {
                    path: path.clone(),
                    what: format!("{:?} is no format number", text.trim()),
                    mend: format!(
                        "echo {WHOLE} > {}, if this version wrote the folder; {PRUNED} if blocks were pruned",
                        path.display()
                    ),
                }),
            },
            Err(why) if why.kind() == std::io::ErrorKind::NotFound && self.lock.is_none() => Ok(()),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                let written = replace(&path, format!("{WHOLE}\n").as_bytes());
                written.map_err(|why| trouble::fatal(&path, "write to", why))
            }
            Err(why) => Err(trouble::fatal(&path, "read of", why)),
        }
    }

    /// A file of ours, where it exists.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.path.join(name)).ok()
    }

    /// Records of blocks.bin; the block index is brought up to date, both copies of it where blocks are pruned.
    fn own_records(&mut self, params: &Params, source: &Source, prune: bool) -> Result<(Index, Rows), Fatal> {
        let old = BLOCK_INDEX.map(|name| self.read(name));
        let copies = old.each_ref().map(|copy| copy.as_deref().unwrap_or_default());
        let block_index::Opened { index, copy, keep, append, rows, taken } = index(params, source, &copies)?;
        let kept = &copies[copy][..keep as usize];
        if self.lock.is_none() {
            return Ok((index, rows));
        }
        if kept.is_empty() && old.iter().any(Option::is_some) {
            let path = self.path.join(BLOCK_INDEX[0]);
            tracing::warn!("{} is damaged, or of other blocks; it is made anew from blocks.bin", path.display());
        }
        let found = index.records.len() - taken;
        if found > 0 {
            tracing::info!("{taken} blocks from the block index, {found} found by looking through blocks.bin");
        }
        let begins = prune && !self.pruned;
        self.pruned |= prune;
        for (name, old) in BLOCK_INDEX.iter().zip(copies).take(if self.pruned { 2 } else { 1 }) {
            let path = self.path.join(name);
            if self.pruned && !begins && !old.starts_with(kept) {
                tracing::warn!("{} is damaged; it is made anew from its copy", path.display());
            }
            let written = match old.starts_with(kept) && !kept.is_empty() {
                true => File::options().write(true).open(&path).and_then(|file| {
                    file.set_len(keep)?;
                    file.write_all_at(&append, keep)?;
                    if self.pruned { file.sync_all() } else { Ok(()) }
                }),
                false => replace(&path, &[kept, &append].concat()),
            };
            written.map_err(|why| trouble::fatal(&path, "write to", why))?;
        }
        if begins {
            let path = self.path.join("VERSION");
            let written = replace(&path, format!("{PRUNED}\n").as_bytes());
            written.map_err(|why| trouble::fatal(&path, "write to", why))?;
        }
        Ok((index, rows))
    }

    /// Blocks refused in earlier runs.
    pub fn refused(&self) -> Vec<(BlockHash, String)> {
        let text = self.read("refused").unwrap_or_default();
        let line = |line: &str| {
            let (hash, why) = line.split_once(' ')?;
            Some((hash.parse().ok()?, why.to_owned()))
        };
        String::from_utf8_lossy(&text).lines().filter_map(line).collect()
    }

    /// Blocks that were invalidated by hand: one hash a line.
    pub fn invalidated(&self) -> Result<Vec<BlockHash>, Fatal> {
        let path = self.path.join(INVALIDATED);
        let text = match std::fs::read_to_string(&path) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(|why| trouble::fatal(&path, "read of", why))?,
        };
        let hash = |line: &str| {
            line.trim().parse().map_err(|_| Fatal::Damaged {
                path: path.clone(),
                what: format!("{line:?} is no block hash"),
                mend: format!(
                    "mend that line, or rm {}, which forgets every block invalidated by hand",
                    path.display()
                ),
            })
        };
        text.lines().map(hash).collect()
    }

    /// Opens or makes blocks.bin, finds its records with the help of the block index, brings that up to date, cuts a torn
    /// tail off, and gives up what was to be pruned when the node ended.
    pub fn blocks(&mut self, params: &Params, prune: bool) -> Result<Blocks, Fatal> {
        let path = self.path.join("blocks.bin");
        let failed = |doing: &str, why: std::io::Error| trouble::fatal(&path, doing, why);
        let mine = self.lock.is_some();
        let file = OpenOptions::new().read(true).write(mine).create(mine).truncate(false).open(&path);
        let file = file.map_err(|why| failed("opening of", why))?;
        if mine && file.metadata().map_err(|why| failed("stat of", why))?.len() == 0 {
            let genesis = params.genesis_block();
            let mut bytes = record::frame(params, genesis.len() as u32).to_vec();
            bytes.extend_from_slice(&genesis);
            bytes.resize(PAGE as usize, 0);
            file.write_all_at(&bytes, 0).and_then(|()| file.sync_all()).map_err(|why| failed("write to", why))?;
            let folder = File::open(&self.path).and_then(|folder| folder.sync_all());
            folder.map_err(|why| failed("sync of the folder of", why))?;
        }
        let source = Source { path: path.clone(), key: [0; 8] };
        let (index, rows) = self.own_records(params, &source, prune)?;
        let holes = Holes::of(&index.records);
        if mine {
            let done = holes.pages().try_for_each(|pages| sparse::punch(&file, &pages));
            done.map_err(|why| failed("pruning of", why))?;
        }
        if mine && index.torn > 0 {
            tracing::warn!(
                "blocks.bin: {} bytes after offset {} are no whole record (the end of an interrupted write); they are cut off",
                index.torn,
                index.end
            );
        }
        let len = file.metadata().map_err(|why| failed("stat of", why))?.len();
        let padded = index.end.next_multiple_of(PAGE);
        if mine && (index.torn > 0 || len < padded) {
            file.set_len(index.end).and_then(|()| file.set_len(padded)).map_err(|why| failed("cutting of", why))?;
        }
        if mine {
            // What an earlier run wrote and did not sync counts as durable from now on.
            file.sync_all().map_err(|why| failed("sync of", why))?;
        }
        let mut tail = vec![0; (index.end % PAGE) as usize];
        let from = index.end / PAGE * PAGE;
        file.read_exact_at(&mut tail, from).map_err(|why| failed("read of", why))?;
        let opened = Opened { end: index.end, tail, rows, holes };
        Ok(Blocks { source, index, opened })
    }
}

/// Records of a file of blocks, with progress on anything longer than two seconds; `copies` are those of a block index.
pub fn index(params: &Params, source: &Source, copies: &[&[u8]]) -> Result<block_index::Opened, Fatal> {
    let path = &source.path;
    let failed = |why: std::io::Error| trouble::fatal(path, "read of", why);
    let file = File::open(path).map_err(|why| Fatal::Usage(format!("cannot open {}: {why}", path.display())))?;
    let len = file.metadata().map_err(failed)?.len();
    // After the index was read: of what a node prunes meanwhile no sample is taken.
    let holes = sparse::holes(&file, len).map_err(failed)?;
    let (start, mut said) = (Instant::now(), Instant::now());
    let read = |at: u64, buffer: &mut [u8]| {
        let got = read_up_to(&file, at, buffer)?;
        source.unmask(at, &mut buffer[..got]);
        Ok(got)
    };
    let progress = |at: u64| {
        if said.elapsed() > Duration::from_secs(2) {
            said = Instant::now();
            let rate = at as f64 / start.elapsed().as_secs_f64();
            let left = (len - at.min(len)) as f64 / rate.max(1.0);
            let line = format!("{}: {} of {} MB looked through, {left:.0} s left", path.display(), at >> 20, len >> 20);
            crate::notify::starting(&line);
            tracing::info!("{line}");
        }
    };
    let opened = block_index::open(params, copies, len, &holes, read, progress).map_err(failed)?;
    of_nobody(params, path, &opened.index, len).map_or(Ok(opened), Err)
}

/// Not one record of this network: what the file most likely is.
pub fn of_nobody(params: &Params, path: &Path, index: &Index, len: u64) -> Option<Fatal> {
    // By chance the proof of work of regtest holds for bytes of another network here and there.
    let foreign = Network::ALL.iter().any(|network| index.foreign_magic == Some(Params::of(*network).magic));
    if !index.records.is_empty() && !foreign {
        return None;
    }
    let path = path.display();
    let magic = index.foreign_magic.map(|m| format!("{:02x}{:02x}{:02x}{:02x}", m[0], m[1], m[2], m[3]));
    let of = |network: &Network| index.foreign_magic == Some(Params::of(*network).magic);
    let cause = match (Network::ALL.iter().find(|network| of(network)), magic) {
        (Some(network), _) => format!("it begins with the magic of {network}; try: --chain {network}"),
        (None, Some(magic)) => format!(
            "it begins with {magic}, the magic of no network; if it is of Bitcoin Core 28 or later, it is masked: import the whole `blocks` folder, \
             which holds its xor.dat"
        ),
        (None, None) => format!("its {len} bytes hold no whole record"),
    };
    Some(Fatal::Usage(format!("{path} holds no block of {}: {cause}", params.network)))
}

/// Files of blocks under the given paths, with their records.
pub fn to_import(params: &Params, paths: &[PathBuf]) -> Result<Vec<(Source, Arc<Index>)>, Fatal> {
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            sources.extend(core_blocks(path)?);
        } else {
            let key = key_beside(path.parent().unwrap_or(Path::new(".")));
            sources.push(plain_or_masked(params, path, key)?);
        }
    }
    sources.into_iter().map(|source| Ok((source.clone(), Arc::new(index(params, &source, &[])?.index)))).collect()
}

/// A file beside an `xor.dat` may be masked or not; its first bytes tell.
fn plain_or_masked(params: &Params, path: &Path, key: [u8; 8]) -> Result<Source, Fatal> {
    let mut magic = [0; 4];
    let file = File::open(path).and_then(|mut file| file.read(&mut magic));
    file.map_err(|why| Fatal::Usage(format!("cannot read {}: {why}", path.display())))?;
    let plain = Source { path: path.to_owned(), key: [0; 8] };
    let masked = Source { key, ..plain.clone() };
    masked.unmask(0, &mut magic);
    Ok(if magic == params.magic { masked } else { plain })
}

fn key_beside(folder: &Path) -> [u8; 8] {
    std::fs::read(folder.join("xor.dat")).ok().and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
}

/// Core's `blocks` folder: blk*.dat in order, masked with the key of its xor.dat.
fn core_blocks(folder: &Path) -> Result<Vec<Source>, Fatal> {
    let listed =
        std::fs::read_dir(folder).map_err(|why| Fatal::Usage(format!("cannot list {}: {why}", folder.display())))?;
    let is_blocks = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("blk") && name.ends_with(".dat")
    };
    let mut paths: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).filter(is_blocks).collect();
    paths.sort();
    if paths.is_empty() {
        return Err(Fatal::Usage(format!(
            "{} holds no blk*.dat; give Bitcoin Core's `blocks` folder (for main: ~/.bitcoin/blocks) or files",
            folder.display()
        )));
    }
    let key = key_beside(folder);
    Ok(paths.into_iter().map(|path| Source { path, key }).collect())
}
