//! The monitor: a prompt on a unix socket, for `nc -U` or a script. One line is one question, its answer is printed.
//!
//! Never knows which questions there are; `quit` and the end of input are the only words it understands itself.

use crate::ask::Ask;
use crate::door::Door;
use futures_lite::future::or;
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use glommio::net::TcpStream;
use glommio::timer::Timer;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Sessions at once; one more is told so and let go.
const SESSIONS_MAX: usize = 16;
/// Bytes a line may have; the longest real one, a coin's TXID:N, has 80.
const LINE_MAX: usize = 4096;
/// Connections that may wait in the kernel's queue.
const BACKLOG: i32 = 16;
/// How long a session may leave an answer unread. One that says nothing may stay.
const PATIENCE: Duration = Duration::from_secs(10);
/// Lets the core's other work and its sockets have a turn between two questions of a script that asks without pause:
/// glommio looks at sockets and timers only when no task is runnable.
const BREATH: Duration = Duration::from_micros(10);

const BANNER: &str = concat!("caesure ", env!("CARGO_PKG_VERSION"), "; help lists the commands\n> ");

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
pub async fn serve(listener: UnixListener, ask: impl Ask) {
    run(listener, ask, PATIENCE).await;
}

async fn run(listener: UnixListener, ask: impl Ask, patience: Duration) {
    let mut door = match Door::new(listener) {
        Ok(door) => door,
        Err(error) => return tracing::error!("the monitor cannot be served: {error}"),
    };
    // One clone for each session, and this one.
    let places = Rc::new(());
    loop {
        let mut session = Session { stream: door.next().await, pending: Vec::new(), patience };
        if Rc::strong_count(&places) > SESSIONS_MAX {
            let _ = session.say(&format!("{SESSIONS_MAX} sessions are open, more there cannot be\n")).await;
            continue;
        }
        let (place, ask) = (places.clone(), ask.clone());
        glommio::spawn_local(async move {
            if let Err(error) = session.talk(ask).await {
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
}

impl Session {
    /// Answers lines until `quit`, the end of input, or a failure.
    async fn talk(&mut self, ask: impl Ask) -> io::Result<()> {
        self.say(BANNER).await?;
        while let Some(line) = self.line().await? {
            match line.as_str() {
                "quit" => return Ok(()),
                "" => self.say("> ").await?,
                _ => {
                    let answer = ask.ask(line).await;
                    self.say(&format!("{}\n> ", printable(&answer))).await?;
                }
            }
            glommio::timer::sleep(BREATH).await;
        }
        Ok(())
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

/// The answer without the newlines it ends with, and with nothing in it that a terminal would obey.
fn printable(answer: &str) -> String {
    let harmless = |c: char| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c };
    answer.trim_end().chars().map(harmless).collect()
}

#[cfg(test)]
mod tests;
