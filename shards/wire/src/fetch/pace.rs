//! Decides how many blocks one peer may owe us at a time, from the speed at which it has delivered so far.
//!
//! Never knows which blocks those are, nor of any other peer.

use super::Limits;

/// Shortest stretch over which a speed is worth reading, milliseconds. A whole allowance delivered is worth one, too.
const SAMPLE_MS: u64 = 200;

/// One peer's speed and the allowance that follows from it.
#[derive(Debug)]
pub(super) struct Pace {
    allowance: u32,
    bytes_per_s: u64,
    /// Start of the running sample. Time in which the peer owed us nothing does not count.
    mark_ms: u64,
    bytes: u64,
    blocks: u32,
    idle_since_ms: Option<u64>,
}

impl Pace {
    pub(super) fn new(limits: &Limits, now_ms: u64) -> Pace {
        Pace {
            allowance: limits.per_peer_min,
            bytes_per_s: 0,
            mark_ms: now_ms,
            bytes: 0,
            blocks: 0,
            idle_since_ms: Some(now_ms),
        }
    }

    pub(super) fn allowance(&self) -> u32 {
        self.allowance
    }

    pub(super) fn bytes_per_s(&self) -> u64 {
        self.bytes_per_s
    }

    /// A block was asked for.
    pub(super) fn asked(&mut self, now_ms: u64) {
        if let Some(since) = self.idle_since_ms.take() {
            self.mark_ms = (self.mark_ms + now_ms.saturating_sub(since)).min(now_ms);
        }
    }

    /// The peer owes us nothing any more.
    pub(super) fn idle(&mut self, now_ms: u64) {
        self.idle_since_ms.get_or_insert(now_ms);
    }

    /// A block came. Aims at half a stall time-out's worth of blocks in flight, so that the lowest of them is never asked
    /// twice of a healthy peer. One sample at most doubles or halves the allowance.
    pub(super) fn delivered(&mut self, bytes: u32, now_ms: u64, block_bytes: u64, limits: &Limits) {
        self.bytes += u64::from(bytes);
        self.blocks += 1;
        let elapsed_ms = now_ms.saturating_sub(self.mark_ms);
        if elapsed_ms < SAMPLE_MS && self.blocks < self.allowance {
            return;
        }
        let sample = self.bytes.saturating_mul(1000) / elapsed_ms.max(1);
        self.bytes_per_s = match self.bytes_per_s {
            0 => sample,
            known => known - known / 4 + sample / 4,
        };
        let fair = self.bytes_per_s.saturating_mul(limits.stall_ms / 2) / 1000 / block_bytes.max(1);
        let near = fair.clamp(u64::from(self.allowance / 2), u64::from(self.allowance) * 2);
        self.allowance = (near as u32).clamp(limits.per_peer_min, limits.per_peer_max);
        (self.mark_ms, self.bytes, self.blocks) = (now_ms, 0, 0);
    }

    /// A time-out, or a lost race for the lowest block.
    pub(super) fn halve(&mut self, limits: &Limits) {
        self.allowance = (self.allowance / 2).max(limits.per_peer_min);
    }
}
