//! The language inside a node: a thread for each session that sends code, as unimportant as the kernel knows it, which
//! meets the node in three ways: it is handed lines, it prints, and it asks what the status shard answers.

use super::limits::{LIVE, STACK};
use super::objects::Shelf;
use super::session::{Came, Session};
use crate::background;
use crate::stored::Stored;
use consensus::Params;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Words of a script that may wait until its session has said them; then the script waits.
const WAITING: usize = 16;
/// How long an answer of the node may take: longer than it waits itself.
const PATIENCE: Duration = Duration::from_secs(15);

/// What sessions of one node share.
pub struct Inside {
    params: &'static Params,
    folder: PathBuf,
    /// Read when the first script runs, and let go with the last.
    shelf: Mutex<Weak<Shelf>>,
}

/// What a script says.
pub enum Said {
    /// This is to be printed.
    Print(String),
    /// The status shard is asked this; its answer goes there.
    Ask(String, SyncSender<String>),
    /// The line is done with.
    Ended(Came),
}

/// What a script is handed.
enum Word {
    Line(String),
    Forget,
}

/// The thread of a session. When this goes, it ends.
pub struct Script {
    words: Sender<Word>,
    /// What it says.
    pub said: Receiver<Said>,
    stop: Arc<AtomicBool>,
}

impl Script {
    /// Hands it a line; [`Said::Ended`] is the last word on it.
    pub fn line(&self, line: String) {
        // If the thread has ended, the other channel says so.
        let _ = self.words.send(Word::Line(line));
    }

    /// Has it forget what is not complete.
    pub fn forget(&self) {
        let _ = self.words.send(Word::Forget);
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

impl Inside {
    /// Of the node with this folder. Nothing is read yet.
    pub fn new(params: &'static Params, folder: PathBuf) -> Arc<Inside> {
        Arc::new(Inside { params, folder, shelf: Mutex::default() })
    }

    /// The folder, shared by all who look into it at the same time.
    pub fn shelf(&self) -> Result<Arc<Shelf>, String> {
        let mut shared = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shelf) = shared.upgrade() {
            return Ok(shelf);
        }
        let stored = Stored::open(self.params, &self.folder).map_err(|why| why.to_string())?;
        let shelf = Arc::new(Shelf::new(stored));
        *shared = Arc::downgrade(&shelf);
        Ok(shelf)
    }

    /// Starts a thread for a session.
    pub fn start(self: &Arc<Inside>) -> io::Result<Script> {
        let ((words, told), (say, said)) = (channel(), sync_channel(WAITING));
        let (stop, inside) = (Arc::new(AtomicBool::new(false)), self.clone());
        let script = Script { words, said, stop: stop.clone() };
        let thread = std::thread::Builder::new().name("script".into()).stack_size(STACK);
        thread.spawn(move || inside.run(&told, &say, stop))?;
        Ok(script)
    }

    fn run(&self, told: &Receiver<Word>, say: &SyncSender<Said>, stop: Arc<AtomicBool>) {
        background::step_back("a script");
        let mut session = None;
        for word in told {
            let line = match word {
                Word::Line(line) => line,
                Word::Forget => {
                    session.as_mut().map(Session::forget);
                    continue;
                }
            };
            let came = match &mut session {
                Some(session) => session.line(&line),
                none => match self.shelf() {
                    Ok(shelf) => none.insert(self.session(shelf, say, stop.clone())).line(&line),
                    Err(why) => {
                        let _ = say.send(Said::Print(format!("error: {why}\n")));
                        Came::Failed
                    }
                },
            };
            if say.send(Said::Ended(came)).is_err() {
                return;
            }
        }
    }

    fn session(&self, shelf: Arc<Shelf>, say: &SyncSender<Said>, stop: Arc<AtomicBool>) -> Session {
        let (asks, prints) = (say.clone(), say.clone());
        let ask = move |line: &str| {
            let (answer, answered) = sync_channel(1);
            let gone = |_| "the session has ended".to_owned();
            asks.send(Said::Ask(line.to_owned(), answer)).map_err(|_| gone(()))?;
            answered.recv_timeout(PATIENCE).map_err(|_| "no answer of the node came in time".to_owned())
        };
        let print = move |text: &str| {
            // To nobody, if the session has ended: then it is stopped anyway.
            let _ = prints.send(Said::Print(text.to_owned()));
        };
        Session::new(shelf, self.params.network, Some(Arc::new(ask)), Arc::new(print), LIVE, stop)
    }
}
