//! What systemd is told (sd_notify(3)), where it listens: that the node is ready, what it is at, that it lives, that it stops. Never
//! fails: who does not listen is told nothing.

use crate::ask::Ask;
use sd_notify::NotifyState;
use shards::metrics::Pages;
use std::time::Duration;

/// How often it is told what the node is at.
const EVERY: Duration = Duration::from_secs(5);
/// How long a start may take from one word to the next.
const START: Duration = Duration::from_secs(120);

fn tell(states: &[NotifyState]) {
    if let Err(why) = sd_notify::notify(states) {
        tracing::debug!("systemd cannot be told: {why}");
    }
}

/// The start takes its time, and this is how far it is.
pub fn starting(how_far: &str) {
    tell(&[NotifyState::ExtendTimeoutUsec(START.as_micros() as u32), NotifyState::Status(how_far)]);
}

/// The node runs.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Logs are being opened anew.
pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// The node ends.
pub fn stopping(why: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(why)]);
}

/// Tells what the node is at, for ever; and, where a watchdog waits for it, that it lives: that the status shard answers and
/// that every executor has ticked since the last word.
pub async fn run(ask: impl Ask, pages: Pages) {
    let watchdog = sd_notify::watchdog_enabled();
    if watchdog.is_none() && std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let every = watchdog.map_or(EVERY, |within| (within / 3).min(EVERY));
    let mut before = vec![0; pages.executors()];
    loop {
        glommio::timer::sleep(every).await;
        let line = ask.ask("headline".to_owned()).await;
        tell(&[NotifyState::Status(&line)]);
        match stuck(&mut before, (0..pages.executors()).map(|core| pages.core(core).tick.get()).collect()) {
            None if watchdog.is_some() => tell(&[NotifyState::Watchdog]),
            None => {}
            Some(core) => tracing::debug!("executor {core} has not ticked since systemd was last told that it lives"),
        }
    }
}

/// An executor that has not ticked since all had; if there is none, the ticks are what is to be passed next.
fn stuck(before: &mut Vec<u64>, now: Vec<u64>) -> Option<usize> {
    let stuck = now.iter().zip(before.iter()).position(|(now, before)| now == before);
    if stuck.is_none() {
        *before = now;
    }
    stuck
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_executors_must_tick_before_the_watchdog_is_fed_again() {
        let mut before = vec![0, 0, 0];
        let ticks = [[1, 1, 1], [2, 1, 2], [3, 1, 3], [3, 2, 3], [3, 3, 4], [4, 4, 5]];
        let found = ticks.map(|now| stuck(&mut before, now.to_vec()));
        assert_eq!(found, [None, Some(1), Some(1), None, Some(0), None]);
    }
}
