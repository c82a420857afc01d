//! The last lines of the log, for the status shard to show: kept as they are logged, handed over when it is next asked. Decides
//! that what is debugging is nobody's business there; never waits.

use shards::effect::{Level, Said};
use std::collections::VecDeque;
use std::fmt::{Debug, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines kept until they are handed over.
const LINES_MAX: usize = 64;

static LINES: Mutex<VecDeque<Said>> = Mutex::new(VecDeque::new());

/// What was logged since the last call, the newest of it.
pub fn take() -> Vec<Said> {
    std::mem::take(&mut *LINES.lock().unwrap_or_else(PoisonError::into_inner)).into()
}

/// What hears of every line.
pub struct Recent;

impl<S: Subscriber> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            tracing::Level::ERROR | tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            _ => return,
        };
        let mut line = Message(String::new());
        event.record(&mut line);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_back(Said { unix, level, line: line.0 });
        let over = lines.len().saturating_sub(LINES_MAX);
        lines.drain(..over);
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn the_newest_lines_are_handed_over_once() {
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Recent), || {
            (0..100).for_each(|i| tracing::info!(ms = 3, "line {i}"));
            tracing::debug!("nobody's business");
            tracing::error!("the last");
        });
        let said: Vec<(Level, String)> = take().into_iter().map(|said| (said.level, said.line)).collect();
        assert_eq!(said.len(), LINES_MAX);
        assert_eq!(
            (&said[0], &said[LINES_MAX - 1]),
            (&(Level::Info, "line 37".into()), &(Level::Warn, "the last".into()))
        );
        assert_eq!(take(), []);
    }
}
