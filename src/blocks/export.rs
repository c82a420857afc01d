//! `caesure blocks export`: the best chain as files that Bitcoin Core reads (`-reindex`, `-loadblock`), and whoever else
//! reads those. Never overwrites anything.

use super::walk;
use crate::args::Heights;
use crate::config::Config;
use crate::exit::Fatal;
use crate::stored::Stored;
use crate::trouble;
use ledger::record::{FRAME_LEN, frame};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Bytes of a file at most: Core `MAX_BLOCKFILE_SIZE`.
const FILE_MAX: u64 = 0x800_0000;
/// The key of a folder whose files are not masked (Core `InitBlocksdirXorKey`).
const KEY: [u8; 8] = [0; 8];

/// Files of one folder, one after the other.
struct Files {
    folder: PathBuf,
    count: u32,
    open: Option<(PathBuf, BufWriter<File>, u64)>,
}

impl Files {
    fn put(&mut self, frame: [u8; 8], block: &[u8]) -> Result<(), Fatal> {
        let len = FRAME_LEN + block.len() as u64;
        if self.open.as_ref().is_some_and(|(.., end)| end + len > FILE_MAX) {
            self.close()?;
        }
        if self.open.is_none() {
            let path = self.folder.join(format!("blk{:05}.dat", self.count));
            let file = File::create_new(&path).map_err(|why| trouble::fatal(&path, "making of", why))?;
            self.open = Some((path, BufWriter::with_capacity(1 << 20, file), 0));
            self.count += 1;
        }
        let (path, file, end) = self.open.as_mut().expect("just opened");
        *end += len;
        let written = file.write_all(&frame).and_then(|()| file.write_all(block));
        written.map_err(|why| trouble::fatal(path, "write to", why))
    }

    fn close(&mut self) -> Result<(), Fatal> {
        let Some((path, mut file, _)) = self.open.take() else { return Ok(()) };
        let written = file.flush().and_then(|()| file.get_ref().sync_all());
        written.map_err(|why| trouble::fatal(&path, "write to", why))
    }
}

fn holds_blocks(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    names.map(|entry| entry.file_name().to_string_lossy().into_owned()).any(|name| name.starts_with("blk"))
}

/// Writes them.
pub fn run(config: &Config, folder: &Path, heights: &Heights) -> Result<(), Fatal> {
    let stored = Stored::open(config.params, &config.folder)?;
    let part = walk::part(&stored, heights)?;
    if holds_blocks(folder) {
        return Err(Fatal::Usage(format!("{} holds blk*.dat already; choose another folder", folder.display())));
    }
    std::fs::create_dir_all(folder).map_err(|why| trouble::fatal(folder, "making of", why))?;
    let key = folder.join("xor.dat");
    std::fs::write(&key, KEY).map_err(|why| trouble::fatal(&key, "write to", why))?;
    let (mut files, mut failed) = (Files { folder: folder.to_owned(), count: 0, open: None }, None);
    walk::each(
        config,
        &stored,
        "exporting",
        &part,
        |_, block| block.bytes.clone(),
        |bytes| {
            let written = files.put(frame(config.params, bytes.len() as u32), &bytes);
            failed = written.err();
            failed.is_none()
        },
    )?;
    failed.map_or(Ok(()), Err)?;
    files.close()?;
    let bytes: u64 = part.iter().map(|(_, record)| FRAME_LEN + u64::from(record.len)).sum();
    println!("{} blocks, {bytes} bytes, in {} file(s) of {}", part.len(), files.count, folder.display());
    Ok(())
}
