//! What the program says while it runs: sentences for people on standard error, by one filter (`--log`), which can be changed at
//! any time. Events have fields, too, for programs; people do not see them.

mod notes;

use crate::config::Config;
use crate::events;
use crate::exit::Fatal;
pub use notes::{note, sentence};
use std::io::IsTerminal;
use std::sync::{Mutex, OnceLock};
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::{EnvFilter, Layer, fmt};

static FILTER: OnceLock<Filter> = OnceLock::new();

/// The filter as it was last given, and what heeds it.
struct Filter {
    text: Mutex<String>,
    stderr: Handle<EnvFilter, Registry>,
}

fn parse(text: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(text)
        .map_err(|why| format!("{text:?} is no filter: {why}; wanted e.g. info or info,caesure=debug"))
}

/// Begins to listen, with `least` instead of `--log` if nothing else is wanted.
pub fn start(config: &Config, least: Option<&str>) -> Result<(), Fatal> {
    let text = match (config.verbose, least) {
        (true, _) => format!("{},caesure=debug", config.log),
        (false, Some(least)) => least.to_owned(),
        (false, None) => config.log.clone(),
    };
    let (stderr, stderr_handle) =
        reload::Layer::new(parse(&text).map_err(|why| Fatal::Usage(format!("--log: {why}")))?);
    // Fields are for programs.
    let sentence = debug_fn(|out, field, value| match field.name() {
        "message" => write!(out, "{value:?}"),
        _ => Ok(()),
    });
    let ansi = std::io::stderr().is_terminal();
    let people = fmt::layer().fmt_fields(sentence).with_writer(std::io::stderr).with_ansi(ansi).with_target(false);
    let people = people.and_then(events::Recent).with_filter(stderr);
    let filter = Filter { text: Mutex::new(text), stderr: stderr_handle };
    assert!(FILTER.set(filter).is_ok(), "it is begun once");
    tracing_subscriber::registry().with(people).init();
    Ok(())
}

/// The filter, or what became of the wish for another.
pub fn filter(wanted: Option<&str>) -> String {
    let Some(Filter { text, stderr }) = FILTER.get() else { return "error: nothing is logged here".into() };
    let mut text = text.lock().expect("nobody panics with it");
    if let Some(wanted) = wanted {
        let set = parse(wanted).and_then(|filter| stderr.reload(filter).map_err(|why| why.to_string()));
        if let Err(why) = set {
            return format!("error: {why}");
        }
        wanted.clone_into(&mut text);
        tracing::info!(name: "filter", filter = wanted, "logged from now on: {wanted}");
    }
    format!("log {text}")
}
