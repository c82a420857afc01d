//! What time does to a connection: pings, and the end of patience.
//!
//! Decides when a peer has been silent for too long. Never looks at a clock: the time comes with each call.

use super::{Conn, Event, Stage};
use crate::frame::Broken;
use crate::message::Message;

/// Core: `DEFAULT_PEER_CONNECT_TIMEOUT`.
const HANDSHAKE_MS_MAX: u64 = 60_000;
/// Core: `TIMEOUT_INTERVAL`, for silence and for pings alike.
const SILENCE_MS_MAX: u64 = 20 * 60_000;
/// Core: `PING_INTERVAL`.
const PING_EVERY_MS: u64 = 2 * 60_000;
/// A peer in the middle of a message sends on within this time.
const HALF_MESSAGE_MS_MAX: u64 = 90_000;

/// The first version whose pings carry nonces is the one after this (Core: `BIP0031_VERSION`).
const BIP31_VERSION: i32 = 60_000;

impl Conn {
    /// Says that nothing is read from the socket for now (or again). The peer cannot be heard meanwhile, so the timers
    /// of its silence stand still.
    pub fn pause(&mut self, paused: bool, now_ms: u64) {
        if paused {
            self.paused_ms.get_or_insert(now_ms);
        } else if let Some(since_ms) = self.paused_ms.take() {
            let lost = now_ms.saturating_sub(since_ms);
            self.heard_ms += lost;
            self.opened_ms += lost;
            self.ping = self.ping.map(|(nonce, sent_ms)| (nonce, sent_ms + lost));
        }
    }

    /// Lets time pass: pings that are due, and time-outs. To be called every second or so.
    pub fn tick(&mut self, now_ms: u64, out: &mut Vec<Event>) {
        if self.stage == Stage::Over || self.paused_ms.is_some() {
            return;
        }
        let since = |start_ms: u64| now_ms.saturating_sub(start_ms);
        let silent = since(self.heard_ms);
        let late = |ms: u64, max: u64, broken: fn(u64) -> Broken| (ms > max).then(|| broken(ms / 1000));
        let shaking = if self.stage < Stage::Up { since(self.opened_ms) } else { 0 };
        let in_message = self.body.is_some() || !self.small.is_empty() || self.lent.len > 0;
        let half = if in_message { silent } else { 0 };
        let unanswered = self.ping.map_or(0, |(_, sent_ms)| since(sent_ms));
        let broken = late(shaking, HANDSHAKE_MS_MAX, |seconds| Broken::HandshakeTimeout { seconds })
            .or_else(|| late(half, HALF_MESSAGE_MS_MAX, |seconds| Broken::HalfMessage { seconds }))
            .or_else(|| late(unanswered, SILENCE_MS_MAX, |seconds| Broken::PingTimeout { seconds }))
            .or_else(|| late(silent, SILENCE_MS_MAX, |seconds| Broken::Idle { seconds }));
        match broken {
            Some(broken) => self.end(broken, out),
            None if self.stage == Stage::Up && self.ping.is_none() && now_ms >= self.ping_next_ms => {
                self.send_ping(now_ms)
            }
            None => (),
        }
    }

    /// Any other nonce is an answer to nothing; zero gives the outstanding ping up (Core: `ProcessPong`).
    pub(super) fn pong(&mut self, nonce: u64, now_ms: u64) {
        let Some((want, sent_ms)) = self.ping else {
            return;
        };
        if nonce == want {
            let took = now_ms.saturating_sub(sent_ms);
            self.counters.ping_last_ms = Some(took);
            self.counters.ping_min_ms = Some(self.counters.ping_min_ms.map_or(took, |min| min.min(took)));
        }
        if nonce == want || nonce == 0 {
            self.ping = None;
        }
    }

    /// A nonce that cannot be guessed from those before it proves that the peer answers, not foresees.
    fn send_ping(&mut self, now_ms: u64) {
        self.ping_next_ms = now_ms + PING_EVERY_MS;
        if self.info.as_ref().is_some_and(|info| info.version <= BIP31_VERSION) {
            return self.send(&Message::Ping(None));
        }
        self.pings += 1;
        let mut seed = [0; 16];
        seed[..8].copy_from_slice(&self.cfg.ping_seed.to_le_bytes());
        seed[8..].copy_from_slice(&self.pings.to_le_bytes());
        let [a, b, c, d, e, f, g, h, ..] = consensus::sha256d(&seed);
        let nonce = u64::from_le_bytes([a, b, c, d, e, f, g, h]).max(1);
        self.ping = Some((nonce, now_ms));
        self.send(&Message::Ping(Some(nonce)));
    }
}
