//! What the program says while it runs: sentences for people on standard error, and with `--logfile` records for programs.
//! One filter (`--log`) for both, which can be changed at any time; the records also have all of our own that is told at
//! `debug`, unless the filter names us itself.
//!
//! ```text
//! tracing::info!(…) ─┬─ sentence → standard error
//!  note.rs → notes ──┴─ fields   → layer.rs → writer.rs → the file, in the form of format.rs
//!  packets.rs (--packet) ────────────────────────┘
//! ```

pub mod format;
mod layer;
mod notes;
pub mod packets;
mod writer;

use crate::config::Config;
use crate::exit::Fatal;
use crate::{events, trouble};
use format::{Draft, Value};
pub use notes::{note, sentence};
use std::io::{self, ErrorKind, IsTerminal};
use std::path::Path;
use std::sync::{Mutex, OnceLock};
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::{EnvFilter, Layer, fmt};
pub use writer::{KEPT, older};

static BINARY: OnceLock<writer::Log> = OnceLock::new();
static FILTER: OnceLock<Filter> = OnceLock::new();

/// The filter as it was last given, and where it is heeded.
struct Filter {
    text: Mutex<String>,
    stderr: Handle<EnvFilter, Registry>,
    records: Handle<EnvFilter, Registry>,
}

/// The binary log, if there is one.
fn binary() -> Option<&'static writer::Log> {
    BINARY.get()
}

fn parse(text: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(text)
        .map_err(|why| format!("{text:?} is no filter: {why}; wanted e.g. info or info,caesure=debug"))
}

/// The filter of the records: what comes later wins where both name the same.
fn for_records(text: &str) -> Result<EnvFilter, String> {
    parse(&format!("caesure=debug,{text}"))
}

/// Begins to listen, `least` instead of `--log` if nothing else is wanted; with the binary log where there is a node to tell of.
pub fn start(config: &Config, least: Option<&str>, node: bool) -> Result<(), Fatal> {
    let text = match (config.verbose, least) {
        (true, _) => format!("{},caesure=debug", config.log),
        (false, Some(least)) => least.to_owned(),
        (false, None) => config.log.clone(),
    };
    let (stderr, stderr_handle) =
        reload::Layer::new(parse(&text).map_err(|why| Fatal::Usage(format!("--log: {why}")))?);
    let (records, records_handle) = reload::Layer::new(for_records(&text).map_err(Fatal::Usage)?);
    // Fields are for programs.
    let sentence = debug_fn(|out, field, value| match field.name() {
        "message" => write!(out, "{value:?}"),
        _ => Ok(()),
    });
    let ansi = std::io::stderr().is_terminal();
    let people = fmt::layer().fmt_fields(sentence).with_writer(std::io::stderr).with_ansi(ansi).with_target(false);
    let people = people.and_then(events::Recent).with_filter(stderr);
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![people.boxed()];
    let file = config.logfile.as_ref().filter(|_| node);
    if let Some(path) = file {
        let log = writer::Log::open(path, config.logfile_size).map_err(|why| cannot_open(path, why))?;
        assert!(BINARY.set(log).is_ok(), "it is begun once");
        layers.push(layer::Records.with_filter(records).boxed());
        last_words();
    }
    let filter = Filter { text: Mutex::new(text), stderr: stderr_handle, records: records_handle };
    assert!(FILTER.set(filter).is_ok(), "it is begun once");
    tracing_subscriber::registry().with(layers).init();
    Ok(())
}

fn cannot_open(path: &Path, why: io::Error) -> Fatal {
    match why.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::StorageFull => {
            trouble::fatal(path, "opening", why)
        }
        _ => Fatal::Runtime(format!("--logfile {}: {why}\ntry: a file in a folder that is there", path.display())),
    }
}

/// A panic ends the program at once, and must be in the log.
fn last_words() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        end(&panic.to_string(), 134);
    }));
}

/// The last record: why the program ends, with which status; then waits until all is written.
pub fn end(why: &str, status: u8) {
    let Some(log) = binary() else { return };
    let mut record = Draft::new(if status == 0 { 3 } else { 1 }, "caesure", "end");
    record.field("status", Value::Natural(status.into()));
    record.field("why", Value::Text(why));
    log.push(record);
    log.close();
}

/// Has the binary log's file opened anew by its name, for whoever moved it away.
pub fn reopen() {
    binary().iter().for_each(|log| log.reopen());
}

/// The filter, or what became of the wish for another.
pub fn filter(wanted: Option<&str>) -> String {
    let Some(Filter { text, stderr, records }) = FILTER.get() else { return "error: nothing is logged here".into() };
    let mut text = text.lock().expect("nobody panics with it");
    if let Some(wanted) = wanted {
        let set = || -> Result<(), String> {
            let both = (parse(wanted)?, for_records(wanted)?);
            stderr.reload(both.0).map_err(|why| why.to_string())?;
            // Without a binary log nobody has it.
            let _ = records.reload(both.1);
            Ok(())
        };
        if let Err(why) = set() {
            return format!("error: {why}");
        }
        wanted.clone_into(&mut text);
        tracing::info!(name: "filter", filter = wanted, "logged from now on: {wanted}");
    }
    let file =
        if binary().is_some() { "; the binary log has caesure=debug besides, unless that names caesure" } else { "" };
    format!("log {text}{file}")
}
