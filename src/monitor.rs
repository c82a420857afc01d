//! The monitor: a prompt on a unix socket, for `nc -U`, `caesure console` or a script. A line is a question to the status
//! shard, or code in the language of the console, which runs on a thread of its own; its answer is printed.
//!
//! Understands no question itself but `quit` and the end of input, and never runs code.
//!
//! Whoever sends a line of nothing but [`MARK`] sees no prompts from then on: each answer ends with that byte and `.`, `!`
//! where it failed, or `+` where more lines must come.

use crate::ask::Ask;
use crate::console::{Came, Inside, MARK, Said, Script};
use crate::door::Door;
use futures_lite::future::or;
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use glommio::net::TcpStream;
use glommio::timer::Timer;
use shards::status::text::COMMANDS;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

/// Sessions at once; one more is told so and let go.
const SESSIONS_MAX: usize = 16;
/// Bytes a line may have: a transaction's hex digits, for make_tx.
const LINE_MAX: usize = 16 << 10;
/// Connections that may wait in the kernel's queue.
const BACKLOG: i32 = 16;
/// How long a session may leave an answer unread. One that says nothing may stay.
const PATIENCE: Duration = Duration::from_secs(10);
/// Lets the core's other work and its sockets have a turn between two questions of a script that asks without pause:
/// glommio looks at sockets and timers only when no task is runnable.
const BREATH: Duration = Duration::from_micros(10);

/// Between two looks at what a script has come to; it grows fourfold up to the second. Each look costs the executor a round of its rings.
const LOOKS: [Duration; 2] = [Duration::from_micros(50), Duration::from_millis(16)];
/// Questions that are no commands for people.
const OTHERS: [&str; 9] = ["json", "page", "digest", "stats", "dump", "metrics", "metrics/cores", "ready", "fates"];
/// Words with which code begins where another word follows.
const CODE: [&str; 10] = ["let", "const", "if", "for", "while", "do", "return", "fn", "switch", "throw"];

/// What is added to the list of commands.
const HELP: &str =
    "\nhelp()                       what else can be typed: blocks, transactions, scripts, parts of the node";

const BANNER: &str =
    concat!("caesure ", env!("CARGO_PKG_VERSION"), "; help lists the commands, help() what there is beside them\n> ");

/// Listens at `path`, which only this process's user may open, from the first moment on. A socket that nobody answers on
/// is replaced; one that somebody does, or any other kind of file, is an error of kind `AddrInUse`.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    listen(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // The file takes its mode from the socket that is bound (unix_bind_bsd in Linux), so it never has another one, unlike with
    // chmod after bind; and unlike the umask this is not shared with other threads.
    let file = File::from(OwnedFd::from(socket));
    file.set_permissions(Permissions::from_mode(0o600))?;
    let socket = Socket::from(OwnedFd::from(file));
    match socket.bind(&address) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_stale(path, &address)? => {
            fs::remove_file(path)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    socket.listen(BACKLOG)?;
    Ok(UnixListener::from(OwnedFd::from(socket)))
}

/// Whether a socket lies at `path` that nobody listens on any more.
fn is_stale(path: &Path, address: &SockAddr) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Ok(false);
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A listener with a full queue answers EAGAIN, and would otherwise keep us waiting.
    probe.set_nonblocking(true)?;
    Ok(probe.connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused))
}

/// Answers on `listener`, for ever. To be run as a task of its own on the executor of whoever answers `ask`.
pub async fn serve(listener: UnixListener, ask: impl Ask, inside: Arc<Inside>) {
    run(listener, ask, Some(inside), PATIENCE).await;
}

/// Without an inside every line is a question.
async fn run(listener: UnixListener, ask: impl Ask, inside: Option<Arc<Inside>>, patience: Duration) {
    let mut door = match Door::new(listener) {
        Ok(door) => door,
        Err(error) => return tracing::error!("the monitor cannot be served: {error}"),
    };
    // One clone for each session, and this one.
    let places = Rc::new(());
    loop {
        let mut session = Session::new(door.next().await, patience);
        if Rc::strong_count(&places) > SESSIONS_MAX {
            let _ = session.say(&format!("{SESSIONS_MAX} sessions are open, more there cannot be\n")).await;
            continue;
        }
        let (place, ask, inside) = (places.clone(), ask.clone(), inside.clone());
        glommio::spawn_local(async move {
            if let Err(error) = session.talk(ask, inside).await {
                tracing::debug!("a session of the monitor: {error}");
            }
            drop(place);
        })
        .detach();
    }
}

struct Session {
    stream: TcpStream,
    /// Bytes that came after the last line taken, at most [`LINE_MAX`] and one read.
    pending: Vec<u8>,
    patience: Duration,
    /// Ends of answers are marked, for a program.
    marked: bool,
    /// Where code runs, once there was any.
    script: Option<Script>,
    /// Code waits for more lines.
    open: bool,
}

impl Session {
    fn new(stream: TcpStream, patience: Duration) -> Session {
        Session { stream, pending: Vec::new(), patience, marked: false, script: None, open: false }
    }

    /// Answers lines until `quit`, the end of input, or a failure.
    async fn talk(&mut self, ask: impl Ask, inside: Option<Arc<Inside>>) -> io::Result<()> {
        self.say(BANNER).await?;
        while let Some(line) = self.line().await? {
            let inside_help = inside.as_ref().map(|_| HELP);
            let inside = inside.as_ref().filter(|_| self.open || !is_command(&line));
            let came = match (line.as_str(), inside) {
                ("quit", _) => return Ok(()),
                (mark, _) if mark.chars().eq([MARK]) => {
                    self.marked = true;
                    self.script.iter().for_each(Script::forget);
                    Came::Done
                }
                ("", _) if !self.open => Came::Done,
                (_, Some(inside)) => self.run(line, &ask, inside).await?,
                (_, None) => {
                    let more = inside_help.filter(|_| line.eq_ignore_ascii_case("help")).unwrap_or_default();
                    let answer = ask.ask(line).await + more;
                    self.say(&format!("{}\n", printable(answer.trim_end()))).await?;
                    Came::Done
                }
            };
            self.open = came == Came::More;
            self.prompt(came).await?;
            glommio::timer::sleep(BREATH).await;
        }
        if self.open
            && let Some(inside) = &inside
        {
            self.run(String::new(), &ask, inside).await?;
        }
        Ok(())
    }

    async fn prompt(&mut self, came: Came) -> io::Result<()> {
        let text = match (self.marked, came) {
            (false, Came::More) => "... ".to_owned(),
            (false, _) => "> ".to_owned(),
            (true, Came::More) => format!("{MARK}+"),
            (true, Came::Failed) => format!("{MARK}!"),
            (true, Came::Done) => format!("{MARK}."),
        };
        self.say(&text).await
    }

    /// Has a line of code run, says what it prints and answers what it asks.
    async fn run(&mut self, line: String, ask: &impl Ask, inside: &Arc<Inside>) -> io::Result<Came> {
        if self.script.is_none() {
            self.script = Some(inside.start()?);
        }
        self.script.as_ref().expect("just started").line(line);
        let mut pause = LOOKS[0];
        loop {
            let said = self.script.as_ref().expect("just started").said.try_recv();
            match said {
                Ok(Said::Print(text)) => self.say(&printable(&text)).await?,
                Ok(Said::Ask(question, answer)) => {
                    // Whoever asked may be gone.
                    let _ = answer.send(ask.ask(question).await);
                }
                Ok(Said::Ended(came)) => return Ok(came),
                Err(TryRecvError::Empty) => {
                    glommio::timer::sleep(pause).await;
                    pause = (pause * 4).min(LOOKS[1]);
                    continue;
                }
                Err(TryRecvError::Disconnected) => return Err(io::Error::other("a script's thread has ended")),
            }
            pause = LOOKS[0];
        }
    }

    /// The next line without its end and without spaces around it; what input ends with counts as one, then `None`.
    async fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            let end = self.pending.iter().position(|&byte| byte == b'\n');
            if end.unwrap_or(self.pending.len()) > LINE_MAX {
                self.say("that line is too long\n").await?;
                return Err(ErrorKind::InvalidData.into());
            }
            if let Some(end) = end {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Ok(Some(trimmed(&line)));
            }
            let mut chunk = [0; 1024];
            let count = self.stream.read(&mut chunk).await?;
            if count == 0 {
                let rest = std::mem::take(&mut self.pending);
                return Ok(Some(trimmed(&rest)).filter(|line| !line.is_empty()));
            }
            self.pending.extend_from_slice(&chunk[..count]);
        }
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        let late = async {
            Timer::new(self.patience).await;
            Err(ErrorKind::TimedOut.into())
        };
        or(self.stream.write_all(text.as_bytes()), late).await
    }
}

fn trimmed(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim().to_string()
}

/// A text with nothing in it that a terminal would obey.
fn printable(text: &str) -> String {
    let harmless = |c: char| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c };
    text.chars().map(harmless).collect()
}

/// Whether a line is a question, not code: it begins with a command, or is words that cannot be code, which is answered
/// with what was perhaps meant.
fn is_command(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next());
    let known = COMMANDS.iter().map(|(usage, _)| usage.split(' ').next().expect("split gives at least one"));
    let is_known = known.chain(OTHERS).any(|name| name.eq_ignore_ascii_case(first));
    let is_word = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == ':' || c == '@');
    match second {
        None => is_known,
        // A filter has signs that words have not.
        Some(second) if first.eq_ignore_ascii_case("log") => second.starts_with(|c: char| c.is_ascii_alphabetic()),
        Some(second) => is_word(first) && is_word(second) && !CODE.contains(&first) && second != "in",
    }
}

#[cfg(test)]
mod tests;
