//! How far a long job is: bytes, rate and time left, said every two seconds. Decides nothing.

use std::time::{Duration, Instant};

/// How often it is said.
pub const EVERY: Duration = Duration::from_secs(2);

/// A job over so many bytes.
pub struct Progress {
    doing: String,
    total: u64,
    start: Instant,
    said: Instant,
}

impl Progress {
    /// One that begins now.
    pub fn new(doing: String, total: u64) -> Progress {
        Progress { doing, total, start: Instant::now(), said: Instant::now() }
    }

    /// So many bytes are done; says so if it is time.
    pub fn at(&mut self, done: u64) {
        if self.said.elapsed() < EVERY {
            return;
        }
        self.said = Instant::now();
        let rate = done as f64 / self.start.elapsed().as_secs_f64();
        let left = self.total.saturating_sub(done) as f64 / rate.max(1.0);
        let megabytes = |bytes: u64| bytes >> 20;
        tracing::info!(
            "{}: {} of {} MB, {:.0} MB/s, {left:.0} s left",
            self.doing,
            megabytes(done),
            megabytes(self.total),
            rate / f64::from(1 << 20)
        );
    }
}
