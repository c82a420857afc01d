//! Which records are printed, and how each looks: a line of text, or of JSON. Says where records are missing.

use crate::args::Catlog;
use crate::config::Config;
use crate::log::format::{LEVELS, Record, Value};
use consensus::{BlockHash, Header, sha256d};
use serde_json::{Map, json};
use shards::status::format::{clean, utc};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Stdout, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use wire::frame::Command;
use wire::message::Message;

/// Bytes that are shown as digits, where --big does not ask for all.
const LARGE: usize = 500;
/// Messages that hold blocks.
const BLOCKS: [&str; 3] = ["block", "cmpctblock", "blocktxn"];

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
        let Catlog { facility, event, peer, no_blocks, .. } = self.what;
        let ours = record.facility.strip_prefix("caesure::").unwrap_or(record.facility);
        let within =
            |name: &str, whole: &str| whole.strip_prefix(name).is_some_and(|r| r.is_empty() || r.starts_with("::"));
        let from = |name: &String| within(name, record.facility) || within(name, ours);
        let names = |wanted: &String| {
            let whole = |name: &str| record.text(name).is_some_and(|text| text == wanted);
            let host = |text: &str| text.rsplit_once(':').is_some_and(|(host, _)| host == wanted);
            whole("conn") || whole("peer") || record.text("peer").is_some_and(host)
        };
        let is_block =
            || record.facility == "packet" && record.text("command").is_some_and(|name| BLOCKS.contains(&name));
        record.time_ns >= self.since
            && usize::from(record.level) <= self.level
            && facility.as_ref().is_none_or(from)
            && event.as_ref().is_none_or(|event| event == record.event)
            && peer.as_ref().is_none_or(names)
            && !(*no_blocks && is_block())
    }
}

/// Prints records.
pub struct Show<'a> {
    wanted: Wanted<'a>,
    blocks: PathBuf,
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
    pub fn new(config: &Config, what: &'a Catlog, since: Option<u64>) -> Show<'a> {
        let blocks = config.folder.join("blocks.bin");
        Show { wanted: Wanted::new(what, since), blocks, last: None, out: BufWriter::new(io::stdout()) }
    }

    /// The next record; none, if a newer program wrote it.
    pub fn record(&mut self, record: Option<Record<'_>>) -> io::Result<()> {
        let Some(mut record) = record else {
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
        let stored = if what.big || what.json { self.stored(&record) } else { None };
        if let Some(stored) = &stored {
            record.fields.push(("payload", Value::Bytes(stored)));
        }
        let line = if what.json { as_json(&record) } else { as_text(&record, what.big) };
        writeln!(self.out, "{line}")
    }

    /// All that was printed can be seen.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The bytes of a block that was sent out of blocks.bin, if they can be had there.
    fn stored(&self, record: &Record<'_>) -> Option<Vec<u8>> {
        let (Some(Value::Natural(at)), Some(Value::Natural(len))) = (record.get("at"), record.get("len")) else {
            return None;
        };
        let mut bytes = vec![0; usize::try_from(len).ok().filter(|_| record.facility == "packet")?];
        let read = File::open(&self.blocks).and_then(|file| file.read_exact_at(&mut bytes, at));
        read.map_err(|why| eprintln!("{}: {why}; try: -b BASE --chain NAME", self.blocks.display()))
            .ok()
            .map(|()| bytes)
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
            Value::Bytes(_) if *name == "header" && !big => Ok(()),
            Value::Text(text) if *name == "message" => write!(line, ": {}", text.replace(char::is_control, "?")),
            Value::Text(text) if text.contains(|c: char| c == ' ' || c == '"' || c.is_control()) => {
                write!(line, " {name}={text:?}")
            }
            Value::Bytes(bytes) if bytes.len() >= LARGE && !big => write!(line, " {name}=<{} bytes>", bytes.len()),
            value => write!(line, " {name}={value}"),
        };
    }
    if let Some(said) = said(record) {
        let _ = write!(line, " ({said})");
    }
    line
}

/// What a message says, in a word or two.
fn said(record: &Record<'_>) -> Option<String> {
    let (Value::Bytes(header), Value::Bytes(payload)) = (record.get("header")?, record.get("payload")?) else {
        return None;
    };
    let command = Command::parse(header.get(4..16)?.try_into().ok()?).ok()?;
    let hash = |bytes: &[u8; 32]| BlockHash(*bytes).to_string();
    Some(match Message::decode(command, payload).ok()? {
        Message::Version(version) => format!("{}, height {}", clean(&version.user_agent, 80), version.start_height),
        Message::Headers(list) => format!("{} after {}", list.len(), list.first()?.prev),
        Message::GetHeaders(locator) | Message::GetBlocks(locator) => format!("after {}", locator.hashes.first()?),
        Message::Inv(list) | Message::GetData(list) | Message::NotFound(list) => {
            format!("{}: {:?} {}", list.len(), list.first()?.kind, hash(&list.first()?.hash))
        }
        Message::Addr(list) | Message::AddrV2(list) => format!("{}", list.len()),
        Message::Block(bytes) => hash(&sha256d(bytes.get(..Header::LEN)?)),
        _ => return None,
    })
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
