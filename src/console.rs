//! `caesure console`: a prompt with history and completion, over the files of a folder or on the socket of a running node.
//!
//! ```text
//! --offline   a session here, over the files          else   lines to the monitor of the node, answers from it
//! ```
//!
//! Knows terminals and pipes; the language lies in `session.rs` and below.

mod client;
mod feed;
mod help;
mod inside;
mod language;
mod limits;
mod live;
mod objects;
mod scripts;
mod session;
mod show;
mod tokens;

use crate::config::Config;
use crate::exit::Fatal;
use crate::stored::Stored;
pub use inside::{Inside, Said, Script};
use limits::{OFFLINE, STACK};
pub use objects::Shelf;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Editor, Helper};
pub use session::Came;
use session::Session;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Between answers of a node whose ends are marked: a byte that no answer holds, then how it ended.
pub const MARK: char = '\u{1e}';

/// Where lines go.
trait Talk {
    /// Has a line answered, on standard output.
    fn line(&mut self, line: &str) -> Result<Came, Fatal>;
    /// Has what is not complete forgotten.
    fn forget(&mut self) -> Result<(), Fatal>;
}

/// Runs the console, or `eval` alone.
pub fn run(config: &Config, offline: bool, eval: Option<String>, seconds: Option<u64>) -> Result<(), Fatal> {
    if !offline {
        let path = config.monitor.clone().unwrap_or_else(|| config.folder.join("caesure.bd"));
        return converse(&mut client::Node::connect(path)?, eval);
    }
    let stored = Stored::open(config.params, &config.folder)?;
    let network = config.chain;
    let run = move || {
        let stop = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGINT, stop.clone())
            .map_err(|why| Fatal::Runtime(format!("cannot listen for signals: {why}")))?;
        let print = Arc::new(|text: &str| drop(std::io::stdout().write_all(text.as_bytes())));
        let limits = limits::Limits { seconds, ..OFFLINE };
        let session = Session::new(Arc::new(Shelf::new(stored)), network, None, print, limits, stop.clone());
        converse(&mut Here { session, stop }, eval)
    };
    let thread = std::thread::Builder::new().name("console".into()).stack_size(STACK).spawn(run);
    let thread = thread.map_err(|why| Fatal::Runtime(format!("cannot start a thread: {why}")))?;
    thread.join().expect("a script cannot panic")
}

/// A session in this process.
struct Here {
    session: Session,
    stop: Arc<AtomicBool>,
}

impl Talk for Here {
    fn line(&mut self, line: &str) -> Result<Came, Fatal> {
        self.stop.store(false, Relaxed);
        Ok(self.session.line(line))
    }

    fn forget(&mut self) -> Result<(), Fatal> {
        self.session.forget();
        Ok(())
    }
}

/// All lines of a text, of a terminal or of a pipe; an error if any failed where nobody sees it.
fn converse(talk: &mut dyn Talk, eval: Option<String>) -> Result<(), Fatal> {
    let failed = || Fatal::Runtime("a line failed; its error is printed above".into());
    let mut all_well = true;
    let stdin = std::io::stdin();
    let mut each = |line: &str| -> Result<Came, Fatal> {
        let came = talk.line(line)?;
        all_well &= came != Came::Failed;
        Ok(came)
    };
    match eval {
        Some(text) => {
            let mut came = Came::Done;
            for line in text.lines() {
                came = each(line)?;
            }
            if came == Came::More {
                each("")?;
            }
        }
        None if stdin.is_terminal() => return at_a_terminal(talk),
        None => {
            let mut came = Came::Done;
            for line in stdin.lock().lines() {
                came = each(&line.map_err(|why| Fatal::Runtime(format!("standard input: {why}")))?)?;
            }
            if came == Came::More {
                each("")?;
            }
        }
    }
    std::io::stdout().flush().map_err(|why| Fatal::Runtime(format!("standard output: {why}")))?;
    if all_well { Ok(()) } else { Err(failed()) }
}

/// Completes names of the language.
struct Words(Vec<String>);

impl rustyline::completion::Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let start = line[..pos].rfind(|c| !is_word(c)).map_or(0, |at| at + 1);
        let begun = &line[start..pos];
        let fits = |word: &&String| !begun.is_empty() && !word.contains('.') && word.starts_with(begun);
        Ok((start, self.0.iter().filter(fits).cloned().collect()))
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}
impl Validator for Words {}
impl Helper for Words {}

fn history() -> Option<PathBuf> {
    std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".caesure_history"))
}

fn at_a_terminal(talk: &mut dyn Talk) -> Result<(), Fatal> {
    let failed = |why: ReadlineError| Fatal::Runtime(format!("cannot read the terminal: {why}"));
    let mut editor = Editor::<Words, FileHistory>::new().map_err(failed)?;
    editor.set_helper(Some(Words(help::words())));
    let history = history();
    // There may be none yet.
    history.as_ref().map(|path| editor.load_history(path));
    println!("caesure {}; help() lists what there is, Ctrl-D leaves", env!("CARGO_PKG_VERSION"));
    let mut came = Came::Done;
    loop {
        match editor.readline(if came == Came::More { "... " } else { ">>> " }) {
            Ok(line) => {
                // A line that cannot be remembered is answered all the same.
                let _ = editor.add_history_entry(line.as_str());
                came = talk.line(&line)?;
            }
            Err(ReadlineError::Interrupted) => {
                talk.forget()?;
                came = Came::Done;
            }
            Err(ReadlineError::Eof) => break,
            Err(why) => return Err(failed(why)),
        }
    }
    if let Some(path) = &history
        && let Err(why) = editor.save_history(path)
    {
        tracing::debug!("{}: {why}", path.display());
    }
    Ok(())
}
