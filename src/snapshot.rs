//! The file `snapshot` of a node that began with a snapshot of coins, as long as the history behind it is not verified: of
//! which block, by which hash, and what the coins of each partition come to. Without it, checkpoints are the node's own.

use crate::checkpoints::{self, folder_of};
use crate::disk::replace;
use crate::exit::Fatal;
use crate::trouble;
use consensus::{BlockHash, CoinsHash, Params};
use ledger::{CoinDigest, PARTITIONS};
use serde::{Deserialize, Serialize};
use shards::chain::Snapshot;
use shards::effect::Side;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What the file says, as JSON.
#[derive(Serialize, Deserialize)]
struct Said {
    height: u32,
    block: String,
    hash_serialized_3: String,
    /// Of all coins: `caesure coins digest` prints it, and it is the check of what follows.
    digest: String,
    partitions: Vec<String>,
}

/// Where it lies.
pub fn path(folder: &Path) -> PathBuf {
    folder.join("snapshot")
}

/// What there is to know of a snapshot whose history is not verified, if the node began with one.
pub fn read(folder: &Path, params: &Params, look: bool) -> Result<Option<Snapshot>, Fatal> {
    let path = path(folder);
    let text = match fs::read(&path) {
        Err(why) if why.kind() == ErrorKind::NotFound => {
            if !look {
                take_history_back(folder)?;
            }
            return Ok(None);
        }
        read => read.map_err(|why| trouble::fatal(&path, "read of", why))?,
    };
    let parsed = parse(&text).ok_or_else(|| Fatal::Damaged {
        path: path.clone(),
        what: "it does not say of which coins it is".into(),
        mend: format!(
            "rm -r {} {}, and caesure coins load FILE again; blocks and history stay",
            path.display(),
            folder_of(folder, Side::Tip).display()
        ),
    })?;
    let (height, block, digests) = parsed;
    let checkpoints = checkpoints::find(&folder_of(folder, Side::Tip), params)?;
    Ok(Some(Snapshot { height, block, digests, checkpoints }))
}

fn parse(text: &[u8]) -> Option<(u32, BlockHash, Vec<CoinDigest>)> {
    let said: Said = serde_json::from_slice(text).ok()?;
    let digest = |hex: &String| {
        let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..64).step_by(2).map(byte).collect();
        Some(CoinDigest(bytes?.try_into().ok()?))
    };
    let digests: Vec<CoinDigest> = said.partitions.iter().map(digest).collect::<Option<_>>()?;
    let whole = digests.len() == PARTITIONS && CoinDigest::of_all(&digests).to_string() == said.digest;
    whole.then_some((said.height, said.block.parse().ok()?, digests))
}

/// Puts the file there, durably.
pub fn write(
    folder: &Path,
    height: u32,
    block: &BlockHash,
    hash: &CoinsHash,
    digests: &[CoinDigest],
) -> io::Result<()> {
    let said = Said {
        height,
        block: block.to_string(),
        hash_serialized_3: hash.to_string(),
        digest: CoinDigest::of_all(digests).to_string(),
        partitions: digests.iter().map(CoinDigest::to_string).collect(),
    };
    let mut text = serde_json::to_vec_pretty(&said).map_err(io::Error::other)?;
    text.push(b'\n');
    replace(&path(folder), &text)
}

/// The history is verified: the checkpoints that there are are like any others.
pub fn end(folder: &Path) -> io::Result<()> {
    fs::remove_file(path(folder))?;
    fs::File::open(folder)?.sync_all()?;
    // Under another name: a last checkpoint may still be written there.
    let (history, gone) = (folder_of(folder, Side::History), folder.join("history.gone"));
    match fs::rename(&history, &gone).and_then(|()| fs::remove_dir_all(&gone)) {
        Err(why) if why.kind() != ErrorKind::NotFound => Err(why),
        _ => Ok(()),
    }
}

/// A snapshot was taken away before its history was verified: what the history has come to is what there is.
fn take_history_back(folder: &Path) -> Result<(), Fatal> {
    let (coins, history) = (folder_of(folder, Side::Tip), folder_of(folder, Side::History));
    if !history.is_dir() {
        return Ok(());
    }
    let moved = match coins.is_dir() {
        true => fs::remove_dir_all(&history),
        false => fs::rename(&history, &coins),
    };
    moved.map_err(|why| trouble::fatal(&history, "moving of", why))
}
