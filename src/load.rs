//! `caesure coins load`: a file of coins, as Bitcoin Core writes it, becomes the checkpoints that the next start begins with,
//! if they are the coins that its block is known to leave. Decides nothing about the block: the node does, when it has the
//! headers.

use crate::checkpoints::{folder_of, name};
use crate::config::Config;
use crate::exit::Fatal;
use crate::folder::Folder;
use crate::{snapshot, trouble};
use consensus::script::uncompressed;
use consensus::{BlockHash, CoinsHash, Params};
use ledger::base::Mark;
use ledger::checkpoint::{Head, Writer};
use ledger::snapshot::{COIN_BYTES_MAX, Metadata, Reader};
use ledger::survey::{Aim, Part, Whole};
use ledger::{CoinDigest, PARTITIONS, Seed, Worlds, partition_of};
use shards::effect::Side;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::BuildHasher;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

/// Bytes read at once.
const READ_BYTES: usize = 8 << 20;
/// Where checkpoints lie until the coins are known to be the right ones.
const LOADING: &str = "loading";

/// What a snapshot must be to be believed.
struct Wanted {
    hash: CoinsHash,
    height: Option<u32>,
}

/// Loads the file.
pub fn run(config: &Config, path: &Path, hash: Option<CoinsHash>, height: Option<u32>) -> Result<(), Fatal> {
    let params = config.params;
    let mut folder = Folder::open(&config.folder)?;
    let (head, _) = open(path, params)?;
    let wanted = wanted(params, &head, hash, height)?;
    refuse_needless(&mut folder, params, &head)?;
    let height = match wanted.height {
        Some(height) => height,
        None => highest(path, params)?,
    };
    let loading = folder.path.join(LOADING);
    let failed = |doing: &str, why| trouble::fatal(&loading, doing, why);
    if loading.exists() {
        fs::remove_dir_all(&loading).map_err(|why| failed("clearing of", why))?;
    }
    fs::create_dir_all(&loading).map_err(|why| failed("making of", why))?;
    let made = write_all(path, params, height, &loading, config.cores).and_then(|(whole, digests)| {
        let found = whole.hash_serialized();
        let wrong = || Fatal::Damaged {
            path: path.to_owned(),
            what: format!(
                "its coins come to hash_serialized_3 {found}, and those after block {} to {}",
                head.base, wanted.hash
            ),
            mend: "another copy of the file; nothing was changed here".into(),
        };
        (found == wanted.hash).then_some((whole, digests)).ok_or_else(wrong)
    });
    let (whole, digests) = match made {
        Ok(made) => made,
        Err(why) => {
            let _ = fs::remove_dir_all(&loading);
            return Err(why);
        }
    };
    let (coins, history) = (folder_of(&folder.path, Side::Tip), folder_of(&folder.path, Side::History));
    let placed = put_in_place(&loading, &coins, &history)
        .and_then(|()| snapshot::write(&folder.path, height, &head.base, &wanted.hash, &digests))
        .and_then(|()| File::open(&folder.path)?.sync_all());
    placed.map_err(|why| failed("renaming of", why))?;
    println!("coins_loaded       {}\nbase_hash          {}\nbase_height        {height}", whole.coins, head.base);
    println!("txoutset_hash      {}\ndigest             {}", wanted.hash, CoinDigest::of_all(&digests));
    println!("the next start of the node begins with them, and verifies the blocks below behind them");
    Ok(())
}

/// The coins there were become those of the history.
fn put_in_place(loading: &Path, coins: &Path, history: &Path) -> io::Result<()> {
    if history.exists() {
        fs::remove_dir_all(history)?;
    }
    if coins.exists() {
        fs::rename(coins, history)?;
    }
    fs::rename(loading, coins)
}

fn open(path: &Path, params: &Params) -> Result<(Metadata, File), Fatal> {
    let cannot = |why: io::Error| Fatal::Usage(format!("cannot read {}: {why}", path.display()));
    let mut file = File::open(path).map_err(cannot)?;
    let mut bytes = [0; Metadata::LEN];
    file.read_exact(&mut bytes).map_err(cannot)?;
    let head = Metadata::parse(&bytes, params.magic);
    let head = head.map_err(|why| Fatal::Usage(format!("{}: {why}", path.display())))?;
    Ok((head, file))
}

fn wanted(params: &Params, head: &Metadata, hash: Option<CoinsHash>, height: Option<u32>) -> Result<Wanted, Fatal> {
    let known = params.assume_utxo.iter().find(|known| known.block == head.base);
    match (known, hash) {
        (Some(known), Some(hash)) if hash != known.coins => Err(Fatal::Usage(format!(
            "--snapshot-hash {hash}: the coins after block {} (height {}) are known to come to {}",
            head.base, known.height, known.coins
        ))),
        (Some(known), _) => Ok(Wanted { hash: known.coins, height: Some(known.height) }),
        (None, Some(hash)) => Ok(Wanted { hash, height }),
        (None, None) => {
            let heights: Vec<String> = params.assume_utxo.iter().map(|known| known.height.to_string()).collect();
            Err(Fatal::Usage(format!(
                "the coins after block {} are not built in (those of {} are at heights {})\n\
                 try: --snapshot-hash HASH, with the hash_serialized_3 of a node that you trust",
                head.base,
                params.network,
                heights.join(", ")
            )))
        }
    }
}

/// A snapshot is of no use where one is being verified, or where the node has come to its block by itself.
fn refuse_needless(folder: &mut Folder, params: &Params, head: &Metadata) -> Result<(), Fatal> {
    let marked = snapshot::path(&folder.path);
    if marked.exists() {
        return Err(Fatal::Usage(format!(
            "this node began with a snapshot already, whose history is not verified yet\n\
             try: cat {}; to take it away: rm -r {} {}",
            marked.display(),
            folder_of(&folder.path, Side::Tip).display(),
            marked.display()
        )));
    }
    let index = folder.blocks(params, false)?.index;
    let valid = index.records.iter().any(|record| record.hash == head.base && record.valid);
    match valid {
        true => Err(Fatal::Usage(format!("this node has verified block {} itself: start it as it is", head.base))),
        false => Ok(()),
    }
}

/// Calls with every coin of the file; says how far it is.
fn each_coin(
    path: &Path,
    params: &Params,
    height_max: u32,
    what: &str,
    mut each: impl FnMut(consensus::OutPoint, consensus::CoinView) -> Result<(), Fatal>,
) -> Result<(), Fatal> {
    let (head, mut file) = open(path, params)?;
    let malformed = |why: ledger::snapshot::Malformed| Fatal::Damaged {
        path: path.to_owned(),
        what: why.to_string(),
        mend: "another copy of the file; nothing was changed here".into(),
    };
    let mut reader = Reader::new(&head, height_max, uncompressed);
    let (mut held, mut done, start, mut said) = (Vec::new(), 0_u64, Instant::now(), Instant::now());
    loop {
        let before = held.len();
        held.resize(before + READ_BYTES.max(COIN_BYTES_MAX), 0);
        let got = file.read(&mut held[before..]);
        let got = got.map_err(|why| trouble::fatal(path, "read of", why))?;
        held.truncate(before + got);
        let mut left = &held[..];
        while let Some((outpoint, coin)) = reader.next(&mut left).map_err(malformed)? {
            done += 1;
            each(outpoint, coin)?;
        }
        held.drain(..held.len() - left.len());
        if said.elapsed() > Duration::from_secs(2) {
            said = Instant::now();
            let rate = done as f64 / start.elapsed().as_secs_f64();
            let seconds = head.coins.saturating_sub(done) as f64 / rate;
            tracing::info!("{what}: {done} of {} coins, {rate:.0}/s, {seconds:.0} s left", head.coins);
        }
        if got == 0 {
            break;
        }
    }
    reader.end().map_err(malformed)
}

/// The height of the newest coin: that of the block, whose coinbase nobody could spend yet.
fn highest(path: &Path, params: &Params) -> Result<u32, Fatal> {
    let mut highest = 0;
    each_coin(path, params, u32::MAX >> 1, "looking for the height", |_, coin| {
        highest = highest.max(coin.height);
        Ok(())
    })?;
    Ok(highest)
}

/// Writes a checkpoint of every partition; what all coins come to, and those of each partition.
fn write_all(
    path: &Path,
    params: &Params,
    height: u32,
    loading: &Path,
    cores: usize,
) -> Result<(Whole, Vec<CoinDigest>), Fatal> {
    let (head, _) = open(path, params)?;
    let (to_workers, work) = mpsc::sync_channel::<(usize, Worlds)>(cores);
    let (to_us, parts) = mpsc::channel();
    let work = Mutex::new(work);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            let (work, to_us) = (&work, to_us.clone());
            scope.spawn(move || {
                while let Ok((partition, worlds)) = { work.lock().expect("nobody panics with it").recv() } {
                    let written = write(loading, params, partition, (height, head.base), &worlds);
                    let part = written.map(|()| Part::of(&worlds, 0, 0, Aim::Loaded, uncompressed));
                    let _ = to_us.send((partition, part));
                }
            });
        }
        drop(to_us);
        let collector = scope.spawn(move || {
            let (mut whole, mut digests, mut early) = (Whole::default(), Vec::new(), BTreeMap::new());
            for (partition, part) in parts {
                early.insert(partition, part?);
                while let Some(part) = early.remove(&digests.len()) {
                    whole.add(&part);
                    digests.extend(part.digest);
                }
            }
            Ok::<_, io::Error>((whole, digests))
        });
        let seed = Seed::new(std::hash::RandomState::new().hash_one(0));
        let partition = |index: usize| Worlds::new(index..index + 1, seed);
        let (mut index, mut worlds) = (0, partition(0));
        let pass_on = |worlds: &mut Worlds, index: &mut usize| {
            let next = partition((*index + 1) % PARTITIONS);
            let sent = to_workers.send((*index, std::mem::replace(worlds, next)));
            *index += 1;
            sent.map_err(|_| Fatal::Runtime("a writer is gone".into()))
        };
        let read = each_coin(path, params, height, "loading", |outpoint, coin| {
            while index < partition_of(&outpoint.txid) {
                pass_on(&mut worlds, &mut index)?;
            }
            worlds.put(&outpoint, coin);
            Ok(())
        });
        let read = read.and_then(|()| (index..PARTITIONS).try_for_each(|_| pass_on(&mut worlds, &mut index)));
        drop(to_workers);
        let made = collector.join().expect("it does not panic");
        let failed = |why| trouble::fatal(loading, "write to", why);
        // What a worker could not write is why it is gone.
        let made = made.map_err(failed)?;
        read.map(|()| made)
    })
}

fn write(
    loading: &Path,
    params: &Params,
    partition: usize,
    (height, block): (u32, BlockHash),
    worlds: &Worlds,
) -> io::Result<()> {
    let head = Head { network: params.magic, partition: partition as u16, height, block };
    let mut file = BufWriter::new(File::create(loading.join(name(head.partition, height)))?);
    let mut bytes = Vec::new();
    let mut writer = Writer::begin(&head, &mut bytes);
    let mut next = Mark::default();
    while let Some((chunk, after)) = worlds.chunk(0, next) {
        next = after;
        writer.piece(&chunk, &mut bytes);
        file.write_all(&bytes)?;
        bytes.clear();
    }
    writer.end(worlds.base_lens().sum::<usize>() as u64, &mut bytes);
    file.write_all(&bytes)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}
