//! Reads the blocks of a chain from several threads and hands on what comes of each in their order, with progress on
//! anything longer than two seconds. Knows neither what is done with a block nor what comes of it.

use crate::args::Heights;
use crate::config::Config;
use crate::exit::Fatal;
use crate::progress::{EVERY, Progress};
use crate::stored::Stored;
use consensus::Block;
use ledger::record::Record;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};

/// Results that may wait for an earlier one, for each thread.
const AHEAD: usize = 8;

/// The blocks of the best chain between two heights, with their records.
pub fn part(stored: &Stored, heights: &Heights) -> Result<Vec<(u32, Record)>, Fatal> {
    let top = stored.node(stored.best()).height;
    let to = heights.to.unwrap_or(top);
    if to > top || heights.from > to {
        let said = heights.to.map(|to| format!(" --to {to}")).unwrap_or_default();
        return Err(Fatal::Usage(format!("--from {}{said}: the best chain ends at height {top}", heights.from)));
    }
    let (mut id, mut found) = (stored.on_best(to).expect("no higher than the best"), Vec::new());
    loop {
        let node = stored.node(id);
        let record = stored.record(id).ok_or_else(|| Fatal::Pruned {
            what: format!("block {} at height {} is not stored: pruned, or behind a snapshot", node.hash, node.height),
            mend: "--from a greater height; caesure inspect shows what is kept".into(),
        })?;
        found.push((node.height, *record));
        if node.height == heights.from {
            found.reverse();
            return Ok(found);
        }
        id = node.parent;
    }
}

/// Reads these blocks, `work`s on each in some thread and hands what comes of them to `then`, in order, until that says
/// that it is enough.
pub fn each<T: Send>(
    config: &Config,
    stored: &Stored,
    doing: &str,
    records: &[(u32, Record)],
    work: impl Fn(u32, &Block) -> T + Sync,
    mut then: impl FnMut(T) -> bool,
) -> Result<(), Fatal> {
    let total = records.iter().map(|(_, record)| u64::from(record.len)).sum();
    let (mut progress, mut done, mut bytes) = (Progress::new(doing.to_owned(), total), 0, 0);
    let (next, mut early) = (AtomicUsize::new(0), BTreeMap::new());
    std::thread::scope(|scope| {
        let (send, results) = sync_channel(config.cores * AHEAD);
        for _ in 0..config.cores {
            let (send, next, work) = (send.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Relaxed);
                    let Some((height, record)) = records.get(number) else { return };
                    let result = stored.read(record).map(|block| work(*height, &block));
                    if send.send((number, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        while done < records.len() {
            match results.recv_timeout(EVERY) {
                Ok((number, result)) => early.insert(number, result),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => panic!("a thread ended before its work"),
            };
            while let Some(result) = early.remove(&done) {
                let result = result.map_err(|what| Fatal::Damaged {
                    path: config.folder.join("blocks.bin"),
                    what,
                    mend: "caesure blocks verify".into(),
                })?;
                bytes += u64::from(records[done].1.len);
                done += 1;
                if !then(result) {
                    return Ok(());
                }
            }
            progress.at(bytes);
        }
        Ok(())
    })
}
