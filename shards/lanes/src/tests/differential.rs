//! Millions of rows of all kinds, mixed with each other in every lane, on all cores, beside libsecp256k1.
#![allow(clippy::disallowed_methods)] // A clock, to say how long it will take.

use crate::Row;
use crate::tests::proofs::{Prove, judge, on_registers};
use crate::tests::rows::{Keys, crafted, exceptional, mixed, odd_nonce, unreduced, wrapped, wrong};
use crate::tests::{Draw, aloud};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Rows of a batch.
const BATCH: usize = 1_000;

/// A batch; how many crafted rows hold and were left. Of others none may be.
pub fn batch(draw: &mut Draw, prove: Prove) -> u64 {
    let keys = Keys::new(draw, 16);
    let mut made = Vec::new();
    let rows: Vec<Row> = (0..BATCH)
        .map(|at| match draw.below(32) {
            0..12 => keys.signed(draw),
            12..26 => {
                let row = keys.signed(draw);
                wrong(row, draw)
            }
            26..28 => {
                let (row, other) = (keys.signed(draw), keys.signed(draw));
                mixed(row, other, draw)
            }
            28..31 => {
                made.push(at);
                if draw.below(4) == 0 {
                    let factor = 1 + draw.below(3);
                    exceptional(draw, at % 3, factor)
                } else {
                    crafted(draw).unwrap_or_else(|| keys.signed(draw))
                }
            }
            _ if draw.below(16) == 0 => wrapped(draw),
            _ if draw.below(8) == 0 => odd_nonce(draw),
            _ if draw.below(8) == 0 => unreduced(draw).1,
            _ => {
                let row = keys.signed(draw);
                super::rows::other_s(row)
            }
        })
        .collect();
    let left = judge(prove, &rows);
    for row in &left {
        assert!(made.iter().any(|at| rows[*at] == *row), "valid, and not proven: {row:x?}");
    }
    left.len() as u64
}

/// So many rows, or some more.
pub fn run(rows: u64) {
    let batches = rows.div_ceil(BATCH as u64);
    let (next, done, left) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let begun = Instant::now();
    let work = || {
        let mut prove = on_registers();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= batches {
                return;
            }
            let exceptions = batch(&mut Draw::new(1_000 + number), &mut prove);
            left.fetch_add(exceptions, Ordering::Relaxed);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(1_000) || done == batches && batches > 1_000 {
                let seconds = begun.elapsed().as_secs_f64();
                let more = seconds * (batches - done) as f64 / done as f64;
                let left = left.load(Ordering::Relaxed);
                let rows = done * BATCH as u64;
                aloud(&format!("{rows} rows in {seconds:.0} s, {left} crafted ones left; {more:.0} s more"));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    assert!(done.load(Ordering::Relaxed) == batches, "all batches were judged");
    assert!(left.load(Ordering::Relaxed) > 0, "some additions were exceptional");
}
