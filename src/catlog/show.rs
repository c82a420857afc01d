//! Which records are printed, and how each looks: a line of text, or of JSON. Says where records are missing.

use crate::args::Catlog;
use crate::log::format::{LEVELS, Record, Value};
use serde_json::{Map, json};
use shards::status::format::utc;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Stdout, Write};

/// Bytes that are shown as digits, where --big does not ask for all.
const LARGE: usize = 500;

/// What is wanted of the records.
pub struct Wanted<'a> {
    what: &'a Catlog,
    level: usize,
    since: u64,
}

impl<'a> Wanted<'a> {
    /// By these flags, and since then.
    pub fn new(what: &'a Catlog, since: Option<u64>) -> Wanted<'a> {
        let named = |name: &String| LEVELS.iter().position(|level| level == name);
        let level = what.level.as_ref().and_then(named).map_or(LEVELS.len(), |level| level + 1);
        Wanted { what, level, since: since.unwrap_or(0) }
    }

    /// Whether this one is.
    pub fn has(&self, record: &Record<'_>) -> bool {
        let Catlog { facility, event, peer, .. } = self.what;
        let ours = record.facility.strip_prefix("caesure::").unwrap_or(record.facility);
        let within =
            |name: &str, whole: &str| whole.strip_prefix(name).is_some_and(|r| r.is_empty() || r.starts_with("::"));
        let from = |name: &String| within(name, record.facility) || within(name, ours);
        let names = |wanted: &String| {
            let whole = |name: &str| record.text(name).is_some_and(|text| text == wanted);
            let host = |text: &str| text.rsplit_once(':').is_some_and(|(host, _)| host == wanted);
            whole("conn") || whole("peer") || record.text("peer").is_some_and(host)
        };
        record.time_ns >= self.since
            && usize::from(record.level) <= self.level
            && facility.as_ref().is_none_or(from)
            && event.as_ref().is_none_or(|event| event == record.event)
            && peer.as_ref().is_none_or(names)
    }
}

/// Prints records.
pub struct Show<'a> {
    wanted: Wanted<'a>,
    last: Option<u64>,
    out: BufWriter<Stdout>,
}

/// A time as people read it, to the microsecond.
pub fn when(ns: u64) -> String {
    let second = utc(ns / 1_000_000_000);
    format!("{}.{:06}", second.trim_end_matches(" UTC"), ns / 1_000 % 1_000_000)
}

impl<'a> Show<'a> {
    /// On standard output.
    pub fn new(what: &'a Catlog, since: Option<u64>) -> Show<'a> {
        Show { wanted: Wanted::new(what, since), last: None, out: BufWriter::new(io::stdout()) }
    }

    /// The next record; none, if a newer program wrote it.
    pub fn record(&mut self, record: Option<Record<'_>>) -> io::Result<()> {
        let Some(record) = record else {
            eprintln!("a record of a newer caesure is passed over");
            return Ok(());
        };
        let (number, last) = (record.number, self.last.replace(record.number));
        // From 0 on it is another run of the node.
        if let Some(last) = last.filter(|last| number > last + 1) {
            eprintln!("{}: records {} to {} are missing", when(record.time_ns), last + 1, number - 1);
        }
        if !self.wanted.has(&record) {
            return Ok(());
        }
        let what = self.wanted.what;
        let line = if what.json { as_json(&record) } else { as_text(&record, what.big) };
        writeln!(self.out, "{line}")
    }

    /// All that was printed can be seen.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn as_text(record: &Record<'_>, big: bool) -> String {
    let level = LEVELS[usize::from(record.level) - 1].to_uppercase();
    let from = record.facility.strip_prefix("caesure::").unwrap_or(record.facility);
    let mut line = format!("{} {level:>5} {} {from}", when(record.time_ns), record.thread);
    if !record.event.is_empty() {
        let _ = write!(line, " {}", record.event);
    }
    for (name, value) in &record.fields {
        let _ = match value {
            Value::Text(text) if *name == "message" => write!(line, ": {}", text.replace(char::is_control, "?")),
            Value::Text(text) if text.contains(|c: char| c == ' ' || c == '"' || c.is_control()) => {
                write!(line, " {name}={text:?}")
            }
            Value::Bytes(bytes) if bytes.len() >= LARGE && !big => write!(line, " {name}=<{} bytes>", bytes.len()),
            value => write!(line, " {name}={value}"),
        };
    }
    line
}

fn as_json(record: &Record<'_>) -> String {
    let plain = |value: &Value<'_>| match value {
        Value::Bool(truth) => json!(truth),
        Value::Natural(number) => json!(number),
        Value::Whole(number) => json!(number),
        Value::Fraction(number) => json!(number),
        value => json!(value.to_string()),
    };
    let fields: Map<_, _> = record.fields.iter().map(|(name, value)| ((*name).to_owned(), plain(value))).collect();
    json!({
        "time": format!("{}Z", when(record.time_ns).replace(' ', "T")),
        "ns": record.time_ns,
        "number": record.number,
        "level": LEVELS[usize::from(record.level) - 1],
        "thread": record.thread,
        "facility": record.facility,
        "event": record.event,
        "fields": fields,
    })
    .to_string()
}
