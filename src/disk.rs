//! The files of a core: blocks.bin for the store shard (direct writes, fdatasync), positional reads for peer shards, and
//! the small files. It never looks at a byte but to take off a key that an imported file was masked with.

use crate::pump::Core;
use crate::{cache, checkpoints, snapshot, sparse, trouble};
use bytes::Bytes;
use consensus::Header;
use glommio::io::{BufferedFile, DmaFile, OpenOptions as OpenDirect};
use glommio::sync::Semaphore;
use shards::ShardId;
use shards::effect::{Effect, Event, FileId, ReadError};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// The block index's names in the folder; the second is of the copy that there is once blocks may be pruned.
pub const BLOCK_INDEX: [&str; 2] = ["blocks.idx", "blocks.idx.2"];
/// The name of the file of blocks invalidated by hand.
pub const INVALIDATED: &str = "invalidated";
/// Imported files that a core keeps open. They are numbered in the order of their blocks, so the lowest is needed least.
const HANDLES_MAX: usize = 64;
/// Reads at once that only bring something back into the kernel's memory: nobody counts their bytes.
const WARMING_MAX: u64 = 16;

/// A file of blocks and the key it is masked with (Core's `xor.dat`; zeros for none).
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it lies.
    pub path: PathBuf,
    /// Masks each byte by its offset in the file.
    pub key: [u8; 8],
}

impl Source {
    /// Takes the mask off bytes that lie at `at`; masking and unmasking are the same.
    pub fn unmask(&self, at: u64, bytes: &mut [u8]) {
        if self.key != [0; 8] {
            for (place, byte) in (at..).zip(bytes) {
                *byte ^= self.key[(place % 8) as usize];
            }
        }
    }
}

/// What one core reads blocks from.
struct Readers {
    sources: Vec<Source>,
    /// blocks.bin, open from the start to the end: running out of file handles later cannot hurt it.
    blocks: Rc<BufferedFile>,
    /// The same for what needs no ring.
    plain: File,
    imported: RefCell<BTreeMap<FileId, Rc<BufferedFile>>>,
    /// Files are opened one after the other, so that reads of one file that begin together open it once.
    opening: Semaphore,
    /// Reads for the kernel's memory alone.
    warming: Semaphore,
}

/// The files of one core.
pub struct Disk {
    readers: Rc<Readers>,
    writer: Option<Rc<DmaFile>>,
    index: Rc<Appends>,
    folder: PathBuf,
    access: Access,
}

/// What a core may do with the folder.
#[derive(Clone, Debug)]
pub enum Access {
    /// Append to blocks.bin, too: the store's core.
    Append,
    /// Read blocks; write the small files.
    Read,
    /// Write nothing, beside a node that does, but a snapshot of the coins.
    Look(Option<Arc<File>>),
}

/// What is to be done to the block index, one thing after the other.
#[derive(Default)]
struct Appends {
    /// Its copies.
    paths: Vec<PathBuf>,
    waiting: RefCell<VecDeque<Append>>,
    busy: Cell<bool>,
    /// Rows that were lost make all behind them unreadable.
    broken: RefCell<Option<String>>,
}

enum Append {
    Rows(Vec<u8>),
    /// These pages of blocks.bin are given up once all rows before are durable.
    Punch(Vec<Range<u64>>),
}

impl Disk {
    /// `sources[0]` is blocks.bin; it must not be empty where it is opened for writing.
    pub async fn open(sources: Vec<Source>, folder: PathBuf, access: Access) -> Result<Disk, String> {
        let writer = if let Access::Append = access {
            let path = &sources[0].path;
            let opened = OpenDirect::new().read(true).write(true).dma_open(path).await;
            let file = opened.map_err(|why| format!("cannot open {} for direct writes: {why}", path.display()))?;
            // glommio takes a device for pollable when the first file opened is empty, and then reads fail.
            let probe = file.read_at_aligned(0, 4096).await;
            let probe = probe.map_err(|why| format!("cannot read {} directly: {why}", path.display()))?;
            if probe.len() < 4096 {
                return Err(format!("{} holds less than its first page", path.display()));
            }
            Some(Rc::new(file))
        } else {
            None
        };
        // After the direct one: see above what the first file decides.
        let paths = BLOCK_INDEX.map(|name| folder.join(name)).into_iter().filter(|path| path.exists()).collect();
        let index = Rc::new(Appends { paths, ..Appends::default() });
        Ok(Disk { readers: Rc::new(Readers::open(sources).await?), writer, index, folder, access })
    }

    /// Carries out one effect.
    pub fn carry_out(&self, core: &Core, effect: Effect) {
        match effect {
            Effect::Read { token, file, at, len } => self.read(core, token, file, at, len),
            Effect::Peek { token, at, len } => {
                match cache::first_of::<{ Header::LEN }>(&self.readers.plain, at, len.into()) {
                    Some(header) => {
                        let bytes = Ok(Bytes::copy_from_slice(&header));
                        core.event(core.peer_shard().expect("only peer shards read"), Event::Read { token, bytes });
                    }
                    None => self.read(core, token, 0, at, len),
                }
            }
            Effect::Write { at, pieces } => self.write(core, at, pieces),
            Effect::Sync => {
                let (core, file) = (core.clone(), self.writer.clone().expect("the store's core"));
                glommio::spawn_local(async move {
                    let begun = Instant::now();
                    let event = match file.fdatasync().await {
                        Ok(()) => Event::Synced,
                        Err(why) => failed("fdatasync of blocks.bin", why),
                    };
                    core.page().sync_us.add(begun.elapsed().as_micros() as u64);
                    core.event(ShardId::Store, event);
                })
                .detach();
            }
            Effect::SaveCheckpoint { side, partition, height, at, bytes, last } => {
                let folder = checkpoints::folder_of(&self.folder, side);
                core.page().checkpoint_bytes.add(bytes.len() as u64);
                let save = move || checkpoints::save(&folder, (partition, height), at, &bytes, last);
                let saved = move |saved: std::io::Result<()>| {
                    let failed = saved.err().map(|why| why.to_string());
                    Event::SavedCheckpoint { side, partition, failed }
                };
                of_coins(core, save, saved);
            }
            Effect::LoadCheckpoint { side, partition, height, at, len } => {
                let folder = checkpoints::folder_of(&self.folder, side);
                let load = move || checkpoints::load(&folder, (partition, height), at, len);
                let loaded = move |bytes: std::io::Result<Vec<u8>>| {
                    let bytes = bytes.map(Bytes::from).map_err(|why| why.to_string());
                    Event::LoadedCheckpoint { side, partition, height, at, bytes }
                };
                of_coins(core, load, loaded);
            }
            Effect::Dump { question, at, bytes } => self.dump(core, question, at, bytes),
            Effect::Index(_) | Effect::Remember(_) | Effect::SaveAddresses(_) | Effect::EndSnapshot
                if matches!(self.access, Access::Look(_)) => {}
            Effect::SaveAddresses(bytes) => {
                let path = self.folder.join("peers");
                blocking(move || replace(&path, &bytes), "the file of known addresses was not written");
            }
            Effect::Keep(bytes) => {
                let (core, path) = (core.clone(), self.folder.join(INVALIDATED));
                glommio::spawn_local(async move {
                    let shown = path.display().to_string();
                    let done = glommio::executor().spawn_blocking(move || replace(&path, &bytes)).await;
                    core.event(ShardId::Chain, Event::Kept(done.map_err(|why| format!("{shown}: {why}"))));
                })
                .detach();
            }
            Effect::EndSnapshot => {
                let folder = self.folder.clone();
                blocking(
                    move || snapshot::end(&folder),
                    "the snapshot's file was not removed; its history will be verified again after a restart",
                );
            }
            Effect::Index(bytes) => self.append(core, Append::Rows(bytes.into())),
            Effect::Punch(pages) => self.append(core, Append::Punch(pages)),
            Effect::Remember(line) => {
                let path = self.folder.join("refused");
                blocking(
                    move || append_line(&path, &line),
                    "a refused block was not noted; it will be checked again after a restart",
                );
            }
            other => unreachable!("no matter of files: {other:?}"),
        }
    }

    /// blocks.bin for who sends straight from it.
    pub fn blocks(&self) -> &File {
        &self.readers.plain
    }

    /// Sees to it that the kernel holds a range of blocks.bin in memory, without waiting for the disk on this core.
    pub async fn warm(&self, at: u64, len: usize) -> Result<(), ReadError> {
        if cache::first_of::<1>(&self.readers.plain, at, len as u64).is_none() {
            let _turn = self.readers.warming.acquire_permit(1).await.expect("never closed");
            self.readers.read(0, at, len).await?;
        }
        Ok(())
    }

    fn dump(&self, core: &Core, question: u64, at: u64, bytes: Bytes) {
        let (core, access) = (core.clone(), self.access.clone());
        glommio::spawn_local(async move {
            let write = move || match access {
                Access::Look(Some(file)) => file.write_all_at(&bytes, at),
                _ => Err(std::io::Error::other("to no file: say caesure coins dump FILE")),
            };
            let failed = glommio::executor().spawn_blocking(write).await.err();
            let failed = failed.map(|why| format!("the snapshot cannot be written: {why}"));
            core.event(ShardId::Status, Event::Dumped { question, failed });
        })
        .detach();
    }

    fn append(&self, core: &Core, what: Append) {
        let index = self.index.clone();
        let mut waiting = index.waiting.borrow_mut();
        match (waiting.back_mut(), what) {
            (Some(Append::Rows(rows)), Append::Rows(more)) => rows.extend_from_slice(&more),
            (_, what) => waiting.push_back(what),
        }
        drop(waiting);
        if index.busy.replace(true) {
            return;
        }
        let (core, blocks) = (core.clone(), self.readers.sources[0].path.clone());
        glommio::spawn_local(async move {
            loop {
                let next = index.waiting.borrow_mut().pop_front();
                let (paths, broken) = (index.paths.clone(), index.broken.borrow().clone());
                match (next, broken) {
                    (None, _) => break index.busy.set(false),
                    (Some(Append::Rows(_)), Some(_)) => {}
                    (Some(Append::Rows(rows)), None) => {
                        if let Err(why) = glommio::executor().spawn_blocking(move || append_to(&paths, &rows)).await {
                            tracing::warn!("{why}; the next start looks through the blocks since");
                            *index.broken.borrow_mut() = Some(why);
                        }
                    }
                    (Some(Append::Punch(_)), Some(why)) => core.event(ShardId::Store, Event::Punched(Err(why))),
                    (Some(Append::Punch(pages)), None) => {
                        let blocks = blocks.clone();
                        let punch = move || punch_after(&paths, &blocks, &pages);
                        let done = glommio::executor().spawn_blocking(punch).await;
                        core.event(ShardId::Store, Event::Punched(done));
                    }
                }
            }
        })
        .detach();
    }

    fn read(&self, core: &Core, token: u64, file: FileId, at: u64, len: u32) {
        let (core, readers) = (core.clone(), self.readers.clone());
        let shard = core.peer_shard().expect("only peer shards read");
        glommio::spawn_local(async move {
            let bytes = readers.read(file, at, len as usize).await;
            core.event(shard, Event::Read { token, bytes });
        })
        .detach();
    }

    fn write(&self, core: &Core, at: u64, pieces: Vec<Bytes>) {
        let (core, file) = (core.clone(), self.writer.clone().expect("the store's core"));
        glommio::spawn_local(async move {
            let len: usize = pieces.iter().map(Bytes::len).sum();
            let mut buffer = file.alloc_dma_buffer(len);
            let mut to = 0;
            for piece in pieces {
                buffer.as_bytes_mut()[to..to + piece.len()].copy_from_slice(&piece);
                to += piece.len();
            }
            let event = match file.write_at(buffer, at).await {
                Ok(written) if written == len => Event::Written { at },
                Ok(written) => {
                    let what = format!("only {written} of {len} bytes at offset {at} were taken");
                    Event::Failed { full: true, what }
                }
                Err(why) => failed(&format!("writing {len} bytes at offset {at} of blocks.bin"), why),
            };
            core.event(ShardId::Store, event);
        })
        .detach();
    }
}

impl Readers {
    async fn open(sources: Vec<Source>) -> Result<Readers, String> {
        let path = &sources[0].path;
        let blocks = OpenDirect::new().read(true).buffered_open(path).await;
        let blocks = blocks.map_err(|why| format!("cannot open {} for reading: {why}", path.display()))?;
        let plain = File::open(path).map_err(|why| format!("cannot open {} for reading: {why}", path.display()))?;
        let (opening, warming) = (Semaphore::new(1), Semaphore::new(WARMING_MAX));
        Ok(Readers { blocks: Rc::new(blocks), plain, sources, imported: RefCell::default(), opening, warming })
    }

    async fn handle(&self, file: FileId) -> Result<Rc<BufferedFile>, String> {
        if file == 0 {
            return Ok(self.blocks.clone());
        }
        let known = |readers: &Readers| readers.imported.borrow().get(&file).cloned();
        if let Some(handle) = known(self) {
            return Ok(handle);
        }
        let _turn = self.opening.acquire_permit(1).await.expect("never closed");
        if let Some(handle) = known(self) {
            return Ok(handle);
        }
        while self.imported.borrow().len() >= HANDLES_MAX {
            // Reads under way hold it on; it is closed after the last.
            self.imported.borrow_mut().pop_first();
        }
        let opened = OpenDirect::new().read(true).buffered_open(&self.sources[file as usize].path).await;
        let handle = Rc::new(opened.map_err(|why| format!("cannot open it: {why}"))?);
        self.imported.borrow_mut().insert(file, handle.clone());
        Ok(handle)
    }

    /// Exactly `len` bytes at `at`, unmasked.
    async fn read(&self, file: FileId, at: u64, len: usize) -> Result<Bytes, ReadError> {
        let source = &self.sources[file as usize];
        let failed = |why: String| ReadError::Io(format!("{}: {why}", source.path.display()));
        let handle = self.handle(file).await.map_err(failed)?;
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let place = at + bytes.len() as u64;
            let part = handle.read_at(place, len - bytes.len()).await.map_err(|why| failed(why.to_string()))?;
            if part.is_empty() {
                return Err(ReadError::Short);
            }
            bytes.extend_from_slice(&part);
        }
        source.unmask(at, &mut bytes);
        Ok(bytes.into())
    }
}

fn failed(doing: &str, why: glommio::GlommioError<()>) -> Event {
    // The conversion that glommio offers drops the number where it adds the path.
    let code = match why {
        glommio::GlommioError::IoError(code) | glommio::GlommioError::EnhancedIoError { source: code, .. } => code,
        other => std::io::Error::other(other.to_string()),
    };
    Event::Failed { full: trouble::is_full(&code), what: format!("{doing}: {code}") }
}

/// Does this off the executor, and tells the utxo shard of this core what came of it.
fn of_coins<T: Send + 'static>(
    core: &Core,
    job: impl FnOnce() -> T + Send + 'static,
    event: impl FnOnce(T) -> Event + 'static,
) {
    let core = core.clone();
    let shard = core.utxo_shard().expect("only utxo shards have checkpoints");
    glommio::spawn_local(async move {
        let done = glommio::executor().spawn_blocking(job).await;
        core.event(shard, event(done));
    })
    .detach();
}

fn append_to(paths: &[PathBuf], rows: &[u8]) -> Result<(), String> {
    for path in paths {
        let appended = OpenOptions::new().append(true).open(path).and_then(|mut file| file.write_all(rows));
        appended.map_err(|why| format!("{} was not written: {why}", path.display()))?;
    }
    Ok(())
}

/// Makes the block index durable, and then gives pages of blocks.bin up.
fn punch_after(index: &[PathBuf], blocks: &Path, pages: &[Range<u64>]) -> Result<(), String> {
    let failed = |path: &Path, why: std::io::Error| format!("{}: {why}", path.display());
    for path in index {
        File::open(path).and_then(|file| file.sync_data()).map_err(|why| failed(path, why))?;
    }
    let file = OpenOptions::new().write(true).open(blocks).map_err(|why| failed(blocks, why))?;
    pages.iter().try_for_each(|pages| sparse::punch(&file, pages)).map_err(|why| failed(blocks, why))
}

fn blocking(job: impl FnOnce() -> std::io::Result<()> + Send + 'static, complaint: &'static str) {
    glommio::spawn_local(async move {
        if let Err(why) = glommio::executor().spawn_blocking(job).await {
            tracing::warn!("{complaint}: {why}");
        }
    })
    .detach();
}

/// Writes a whole file beside the old one, syncs it, and puts it in its place.
pub fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    put_in_place(&file, &fresh, path)
}

/// Makes a file that was written under another name durable, and gives it its own, durably too.
pub fn put_in_place(file: &File, fresh: &Path, path: &Path) -> std::io::Result<()> {
    file.sync_all()?;
    std::fs::rename(fresh, path)?;
    // A bare name lies in the working folder.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Reads from `at` on until the buffer is full or the file ends; how much that was.
pub fn read_up_to(file: &File, at: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read_at(&mut buffer[got..], at + got as u64)? {
            0 => break,
            more => got += more,
        }
    }
    Ok(got)
}

fn append_line(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "{line}")?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    //! Faults of glommio that files are designed round: an empty first file makes all later direct reads fail, reads at
    //! the end of a file return stale bytes, its own stream writer cannot append.

    use super::*;
    use glommio::{LocalExecutorBuilder, Placement};

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, bytes: &[u8]) -> Scratch {
            let path = std::env::temp_dir().join(format!("caesure-disk-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join("blocks.bin"), bytes).unwrap();
            Scratch(path)
        }

        fn source(&self, key: [u8; 8]) -> Source {
            Source { path: self.0.join("blocks.bin"), key }
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn on_executor<T: Send + 'static, F: Future<Output = T> + 'static>(job: impl FnOnce() -> F + Send + 'static) -> T {
        LocalExecutorBuilder::new(Placement::Unbound).io_memory(1 << 20).spawn(job).unwrap().join().unwrap()
    }

    #[test]
    fn a_full_disk_is_told_from_a_broken_one_however_glommio_wraps_it() {
        let wrapped = |number| glommio::GlommioError::EnhancedIoError {
            source: std::io::Error::from_raw_os_error(number),
            op: "Writing",
            path: None,
            fd: None,
        };
        for (number, is_full) in [(libc::ENOSPC, true), (libc::EDQUOT, true), (libc::EFBIG, true), (libc::EIO, false)] {
            let plain = glommio::GlommioError::IoError(std::io::Error::from_raw_os_error(number));
            for why in [plain, wrapped(number)] {
                let Event::Failed { full, .. } = failed("a test", why) else { panic!("a failure is a failure") };
                assert_eq!(full, is_full, "os error {number}");
            }
        }
    }

    #[test]
    fn an_empty_file_is_never_opened_for_direct_writes_unnoticed() {
        let scratch = Scratch::new("empty", b"");
        let (source, folder) = (scratch.source([0; 8]), scratch.0.clone());
        let opened =
            on_executor(move || async move { Disk::open(vec![source], folder, Access::Append).await.map(|_| ()) });
        assert!(opened.is_err(), "an empty file must be refused");
    }

    #[test]
    fn direct_writes_at_an_offset_are_read_back_and_the_rest_stays() {
        let scratch = Scratch::new("append", &[7; 4096]);
        let (source, folder) = (scratch.source([0; 8]), scratch.0.clone());
        let path = source.path.clone();
        on_executor(move || async move {
            let disk = Disk::open(vec![source], folder, Access::Append).await.unwrap();
            let file = disk.writer.clone().unwrap();
            let mut buffer = file.alloc_dma_buffer(8192);
            buffer.as_bytes_mut().fill(9);
            assert_eq!(file.write_at(buffer, 4096).await.unwrap(), 8192);
            file.fdatasync().await.unwrap();
            let back = file.read_at_aligned(4096, 4096).await.unwrap();
            assert!(back.iter().all(|byte| *byte == 9) && back.len() == 4096);
        });
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(bytes.len(), 3 * 4096);
        assert!(bytes[..4096].iter().all(|byte| *byte == 7) && bytes[4096..].iter().all(|byte| *byte == 9));
    }

    #[test]
    fn a_read_beyond_the_end_is_an_error_and_a_masked_one_is_unmasked_from_its_offset() {
        let key = [1, 2, 3, 4, 5, 6, 7, 8];
        let plain: Vec<u8> = (0..=255).collect();
        let masked: Vec<u8> = plain.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        let scratch = Scratch::new("end", &masked);
        let source = scratch.source(key);
        on_executor(move || async move {
            let readers = Readers::open(vec![source]).await.unwrap();
            let bytes = readers.read(0, 3, 250).await.unwrap();
            assert_eq!(bytes[..], plain[3..253]);
            assert_eq!(readers.read(0, 250, 10).await.unwrap_err(), ReadError::Short);
        });
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_no_damage_and_blocks_bin_is_open_already() {
        let scratch = Scratch::new("gone", &[7; 4096]);
        let (source, folder) = (scratch.source([0; 8]), scratch.0.clone());
        on_executor(move || async move {
            let gone = Source { path: folder.join("blk00000.dat"), key: [0; 8] };
            let readers = Readers::open(vec![source.clone(), gone]).await.unwrap();
            std::fs::remove_file(source.path).unwrap();
            assert_eq!(readers.read(0, 0, 10).await.unwrap()[..], [7; 10]);
            let ReadError::Io(why) = readers.read(1, 0, 10).await.unwrap_err() else { panic!("no damage") };
            assert!(why.contains("blk00000.dat"), "{why}");
        });
    }

    #[test]
    fn imported_files_are_opened_once_and_no_more_are_kept_than_allowed() {
        const FILES: u32 = HANDLES_MAX as u32 + 36;
        let scratch = Scratch::new("many", &[7; 4096]);
        let (source, folder) = (scratch.source([0; 8]), scratch.0.clone());
        on_executor(move || async move {
            let mut sources = vec![source];
            for file in 1..=FILES {
                let path = folder.join(format!("{file}.dat"));
                std::fs::write(&path, [file as u8; 16]).unwrap();
                sources.push(Source { path, key: [0; 8] });
            }
            let readers = Rc::new(Readers::open(sources).await.unwrap());
            let one = |file: FileId| {
                let readers = readers.clone();
                glommio::spawn_local(async move {
                    assert_eq!(readers.read(file, 0, 16).await.unwrap()[..], [file as u8; 16]);
                    readers.handle(file).await.unwrap()
                })
            };
            let together = [one(1), one(1), one(1)];
            let mut handles = Vec::new();
            for task in together {
                handles.push(task.await);
            }
            assert!(handles.iter().all(|handle| Rc::ptr_eq(handle, &handles[0])), "opened more than once");
            for file in 2..=FILES {
                one(file).await;
            }
            let kept: Vec<FileId> = readers.imported.borrow().keys().copied().collect();
            assert_eq!(kept, (37..=FILES).collect::<Vec<_>>());
            assert_eq!(readers.read(1, 0, 16).await.unwrap()[..], [1; 16]);
            assert_eq!(readers.imported.borrow().len(), HANDLES_MAX);
        });
    }
}
