//! The files of checkpoints: `coins/PARTITION-HEIGHT` in the network's folder, and `history/PARTITION-HEIGHT` while the
//! history behind a snapshot is not verified; written beside their names and put in their places whole. Looks at nothing but
//! their heads.

use crate::disk::{put_in_place, read_up_to};
use crate::exit::Fatal;
use consensus::{BlockHash, Network, Params};
use ledger::checkpoint::{HEAD_LEN, head};
use shards::effect::Side;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Where the checkpoints of a side lie.
pub fn folder_of(folder: &Path, side: Side) -> PathBuf {
    folder.join(match side {
        Side::Tip => "coins",
        Side::History => "history",
    })
}

/// The name of a checkpoint in its folder.
pub fn name(partition: u16, height: u32) -> String {
    format!("{partition:03}-{height}")
}

/// Every checkpoint that there is in a folder: partition, height, block. What is none is named and left alone.
pub fn find(folder: &Path, params: &Params) -> Result<Vec<(u16, u32, BlockHash)>, Fatal> {
    let Ok(listed) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for path in listed.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_none()) {
        let mut bytes = [0; HEAD_LEN];
        let read = File::open(&path).and_then(|mut file| file.read_exact(&mut bytes));
        match read.map_err(|why| why.to_string()).and_then(|()| head(&bytes).map_err(|damage| damage.to_string())) {
            Ok(head) if head.network != params.magic => return Err(foreign(path, head.network, params)),
            Ok(head) if path == folder.join(name(head.partition, head.height)) && head.partition < 256 => {
                found.push((head.partition, head.height, head.block));
            }
            Ok(head) => tracing::warn!(
                "{} is the checkpoint of partition {} at height {} under a wrong name; it is not used",
                path.display(),
                head.partition,
                head.height
            ),
            Err(why) => tracing::warn!("{} cannot be read: {why}; it is not used", path.display()),
        }
    }
    Ok(found)
}

fn foreign(path: PathBuf, magic: [u8; 4], params: &Params) -> Fatal {
    let of = Network::ALL.iter().find(|network| Params::of(**network).magic == magic);
    let of = of.map_or("a network that is not known here".to_owned(), Network::to_string);
    let what = format!("it is a checkpoint of {of}, and this is the folder of {}", params.network);
    let mend = format!("mv {} elsewhere; or --chain, if the whole folder is of another network", path.display());
    Fatal::Damaged { path, what, mend }
}

/// Writes a piece; with the last, makes the file durable, puts it in its place, and removes those of other heights.
pub fn save(
    folder: &Path,
    (partition, height): (u16, u32),
    at: u64,
    bytes: &[u8],
    last: Option<Vec<u32>>,
) -> std::io::Result<()> {
    let path = folder.join(format!("{partition:03}.new"));
    if at == 0 {
        std::fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().write(true).create(true).truncate(at == 0).open(&path)?;
    file.write_all_at(bytes, at)?;
    let Some(gone) = last else { return Ok(()) };
    put_in_place(&file, &path, &folder.join(name(partition, height)))?;
    for height in gone {
        match std::fs::remove_file(folder.join(name(partition, height))) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(why),
            _ => {}
        }
    }
    Ok(())
}

/// Up to `len` bytes, fewer only at the end of the file.
pub fn load(folder: &Path, (partition, height): (u16, u32), at: u64, len: u32) -> std::io::Result<Vec<u8>> {
    let file = File::open(folder.join(name(partition, height)))?;
    let mut bytes = vec![0; len as usize];
    let got = read_up_to(&file, at, &mut bytes)?;
    bytes.truncate(got);
    Ok(bytes)
}
