//! The files of checkpoints: `coins/PARTITION-HEIGHT` in the network's folder, and `history/PARTITION-HEIGHT` while the
//! history behind a snapshot is not verified; written beside their names and put in their places whole. Looks at nothing but
//! their heads.

use crate::disk::{put_in_place, read_up_to};
use crate::exit::Fatal;
use consensus::{BlockHash, Network, Params};
use ledger::checkpoint::{Damage, HEAD_LEN, Head, Next, Reader, head};
use shards::effect::Side;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What the name of a checkpoint ends in that is being written.
pub const UNFINISHED: &str = "new";

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

fn fresh(folder: &Path, partition: u16) -> PathBuf {
    folder.join(format!("{partition:03}.{UNFINISHED}"))
}

/// Every checkpoint that there is in a folder: partition, height, block. What is none is named and left alone.
pub fn find(folder: &Path, params: &Params) -> Result<Vec<(u16, u32, BlockHash)>, Fatal> {
    let Ok(listed) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for path in listed.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_none()) {
        let read = read_head(&path).map_err(|why| why.to_string());
        match read.and_then(|head| head.map_err(|damage| damage.to_string())) {
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
    let what = format!("it is a checkpoint of {}, and this is the folder of {}", network(magic), params.network);
    let mend = format!("mv {} elsewhere; or --chain, if the whole folder is of another network", path.display());
    Fatal::Damaged { path, what, mend }
}

/// The network of a magic, as people call it.
pub fn network(magic: [u8; 4]) -> String {
    let of = Network::ALL.iter().find(|network| Params::of(**network).magic == magic);
    of.map_or("a network that is not known here".to_owned(), Network::to_string)
}

/// Its head.
pub fn read_head(path: &Path) -> std::io::Result<Result<Head, Damage>> {
    let mut bytes = [0; HEAD_LEN];
    let got = read_up_to(&File::open(path)?, 0, &mut bytes)?;
    Ok(if got < HEAD_LEN { Err(Damage::Short { at: got as u64 }) } else { head(&bytes) })
}

/// Reads it whole: pieces and coins.
pub fn read_whole(path: &Path) -> std::io::Result<Result<(u64, u64), Damage>> {
    let (file, mut reader, mut buffer) = (File::open(path)?, Reader::default(), vec![0; 1 << 20]);
    let (mut at, mut pieces, mut coins) = (0, 0, None);
    loop {
        let got = read_up_to(&file, at, &mut buffer)?;
        if got == 0 {
            return Ok(coins.map(|coins| (pieces, coins)).ok_or_else(|| reader.short()));
        }
        at += got as u64;
        reader.feed(&buffer[..got]);
        loop {
            match reader.piece() {
                Ok(Next::Head(_)) => {}
                Ok(Next::Piece(_)) => pieces += 1,
                Ok(Next::End(all)) => {
                    coins = Some(all);
                    break;
                }
                Ok(Next::More) => break,
                Err(damage) => return Ok(Err(damage)),
            }
        }
    }
}

/// Writes a piece; with the last, makes the file durable, puts it in its place, and removes those of other heights. What
/// cannot be written to its end is removed: it would only take room.
pub fn save(folder: &Path, which: (u16, u32), at: u64, bytes: &[u8], last: Option<Vec<u32>>) -> std::io::Result<()> {
    write(folder, which, at, bytes, last).inspect_err(|_| {
        let _ = std::fs::remove_file(fresh(folder, which.0));
    })
}

fn write(
    folder: &Path,
    (partition, height): (u16, u32),
    at: u64,
    bytes: &[u8],
    last: Option<Vec<u32>>,
) -> std::io::Result<()> {
    let path = fresh(folder, partition);
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
