//! Lets guests in from a listening socket, one after the other, and outlives every failure to do so.
//!
//! Never knows what is spoken with a guest, nor how many there may be: whoever has no room does not call [`Door::next`].

use glommio::net::{TcpListener, TcpStream};
use socket2::Socket;
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::time::Duration;

/// How long to wait after a failed accept. Without this, a full table of open files would spin the core.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// A listening stream socket, of any family, on this executor.
pub struct Door {
    listener: TcpListener,
    failing: bool,
}

impl Door {
    /// Takes over a socket that is bound and listening. Call it on the executor that will accept.
    pub fn new(listener: impl Into<OwnedFd>) -> io::Result<Door> {
        let socket = Socket::from(listener.into());
        // The ring answers an accept on a non-blocking socket at once with EAGAIN instead of waiting.
        socket.set_nonblocking(false)?;
        let fd = socket.into_raw_fd();
        // glommio's UnixListener takes no descriptor over; its TcpListener accepts from any, and the streams only recv and send.
        #[expect(unsafe_code, reason = "glommio has no safe way in")]
        // SAFETY: `fd` is open, and was owned by nobody but `socket`, which has let go of it.
        let listener = unsafe { TcpListener::from_raw_fd(fd) };
        Ok(Door { listener, failing: false })
    }

    /// The next guest. To be awaited to its end, by one task: glommio keeps a waker for every accept that is given up.
    pub async fn next(&mut self) -> TcpStream {
        loop {
            match self.listener.accept().await {
                Ok(stream) => {
                    self.failing = false;
                    return stream;
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::warn!("cannot accept connections for now, will go on trying: {error}");
                    }
                    glommio::timer::sleep(AFTER_FAILURE).await;
                }
            }
        }
    }
}

/// For the tests of those who stand at the door.
#[cfg(test)]
pub mod testing {
    use crate::ask::Ask;
    use glommio::{LocalExecutorBuilder, Placement};
    use std::future::Future;

    /// Runs a service that never ends on an executor of its own, for as long as the process lives.
    pub fn run_forever<F: Future<Output = ()> + 'static>(make: impl FnOnce() -> F + Send + 'static) {
        let builder = LocalExecutorBuilder::new(Placement::Unbound).io_memory(64 << 10).ring_depth(128);
        builder.spawn(|| async move { make().await }).unwrap();
    }

    /// Answers every question with the question in brackets; `long` with 64 MiB.
    #[derive(Clone)]
    pub struct Echo;

    impl Ask for Echo {
        async fn ask(&self, text: String) -> String {
            if text == "long" { "x".repeat(64 << 20) } else { format!("[{text}]") }
        }

        async fn order(&self, order: shards::effect::Order) -> String {
            format!("[{order:?}]")
        }
    }
}
