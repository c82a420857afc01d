//! What the program says (`tracing`) as records of the binary log: events that have a name with their fields, and without the
//! sentence that is made of these for people; all others by their sentence.

use super::format::{Draft, Value};
use std::fmt::Debug;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Hands events on, while there is a binary log.
pub struct Records;

impl<S: Subscriber> Layer<S> for Records {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(log) = super::binary() else { return };
        let about = event.metadata();
        let level = match *about.level() {
            Level::ERROR => 1,
            Level::WARN => 2,
            Level::INFO => 3,
            Level::DEBUG => 4,
            Level::TRACE => 5,
        };
        // What nobody gave a name goes by its place in the source.
        let name = if about.name().starts_with("event ") { "" } else { about.name() };
        let mut fields = Fields { named: !name.is_empty(), draft: Draft::new(level, about.target(), name) };
        event.record(&mut fields);
        log.push(fields.draft);
    }
}

struct Fields {
    named: bool,
    draft: Draft,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if !self.named || field.name() != "message" {
            self.draft.field(field.name(), Value::Text(&format!("{value:?}")));
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.draft.field(field.name(), Value::Bool(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.draft.field(field.name(), Value::Natural(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.draft.field(field.name(), Value::Whole(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.draft.field(field.name(), Value::Fraction(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.draft.field(field.name(), Value::Text(value));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        let value = value.try_into().map_or(Value::Bytes(value), Value::Hash);
        self.draft.field(field.name(), value);
    }
}
