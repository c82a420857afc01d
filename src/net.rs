//! The sockets of a core: carries out what peer shards and the book ask, and tells what came of it. Bytes go straight
//! between the kernel and the buffers that shards handed out. It never looks at a byte, but lets the log have all of them
//! where that was asked for (`--packet`).
//!
//! A ring of our own was tried beside this (crate io-uring; loopback, two cores of an AMD EPYC of family 26, medians of five,
//! GB a second and GB for a second of the thread's CPU). Receiving on one connection: 2.2 and 4.6 as here, 3.1 and 5.1 with
//! multishot receive into provided buffers, 2.5 and 4.4 with the copy that a block in one piece needs of those. On eight: 4.1
//! and 6.1, then 2.5 and 2.9, then 2.2 and 2.6 (4.5 and 5.9 with buffers of 256 KiB, uncopied). Sending on one: 2.1 and 2.1
//! with sendfile, 2.6 and 2.9 with zero-copy send; on eight 4.8 and 5.7, and 3.0 and 3.7. It loses where there are many, which
//! is what a node has. A plain send out of mapped memory beats both there (6.3 and 6.6), but on a wire it would be a copy more.

use crate::links::Parcel;
use crate::log::packets::Tap;
use crate::pump::{BREATH, Core, Mailbox};
use bytes::Bytes;
use futures_lite::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use glommio::net::{AcceptedTcpStream, TcpListener, TcpStream};
use glommio::timer::sleep;
use rustix::fs::sendfile;
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{RecvFlags, recv};
use shards::ShardId;
use shards::effect::{ConnId, Effect, Event, SocketId};
use shards::msg::peer_id;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::time::{Duration, Instant};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long what was sent before Close may take to leave.
const LINGER: Duration = Duration::from_secs(2);
/// Wait after an accept that failed (no more file handles).
const ACCEPT_BACKOFF: Duration = Duration::from_secs(1);
/// Accepts without a pause; while guests queue up, none of them waits, and everything else on the core would.
const ACCEPTS_MAX: usize = 16;
/// What a read waits for, and has to clear memory for; if it comes, the rest of what is there comes with it.
const FIRST_BYTES: usize = 16 << 10;
/// At most this much is handed to the kernel before the shard hears of it …
const SEND_BYTES_MAX: usize = 512 << 10;
/// … and this much, about a millisecond, by all writers of a core before everything else has its turn.
const TURN_BYTES: usize = 2 << 20;
/// What is copied of a file where its socket has no room: glommio waits for room only to write something.
const WAIT_BYTES: usize = 4 << 10;

enum Out {
    Bytes(Vec<Bytes>),
    /// A range of blocks.bin.
    File {
        at: u64,
        end: u64,
    },
    Close,
}

struct Conn {
    /// Open for as long as this entry stands, see `start`.
    fd: RawFd,
    reads: Rc<Mailbox<(Vec<u8>, usize)>>,
    out: Rc<Mailbox<Out>>,
    /// Shut down at this time whatever is left to send.
    until: Cell<Option<Instant>>,
}

/// The sockets of one core.
#[derive(Default)]
pub struct Net {
    conns: Rc<RefCell<BTreeMap<ConnId, Conn>>>,
    sockets: RefCell<BTreeMap<SocketId, AcceptedTcpStream>>,
    next: Cell<u64>,
    /// Bytes that writers have written since they last paused.
    written: Cell<usize>,
    /// All that goes over connections is logged.
    tapped: bool,
}

/// Ends both directions; whoever reads or writes wakes up. To be called only while the connection stands in `Net::conns`.
fn shut(fd: RawFd) {
    // SAFETY: shutdown(2) takes no pointers, and `fd` still is the number of this connection's socket: the reader in `start`
    // holds one half of the stream, which keeps it open, until after the entry in `Net::conns` is gone.
    #[allow(unsafe_code)]
    unsafe {
        libc::shutdown(fd, libc::SHUT_RDWR);
    }
}

/// The socket of a connection; to be called only by who holds its stream, or a half of it, for as long as `fd` lives.
fn borrow(fd: &RawFd) -> BorrowedFd<'_> {
    // SAFETY: the stream keeps the socket open, so that nothing else goes by its number.
    #[allow(unsafe_code)]
    unsafe {
        BorrowedFd::borrow_raw(*fd)
    }
}

impl Net {
    /// No sockets yet; of those that come all is logged if they are `tapped`.
    pub fn new(tapped: bool) -> Net {
        Net { tapped, ..Net::default() }
    }

    /// Pauses, if writers have had the core for long: all of them, until one has been woken.
    async fn breathe(&self) {
        if self.written.get() > TURN_BYTES {
            sleep(BREATH).await;
            self.written.set(0);
        }
    }

    /// Carries out one effect.
    pub fn carry_out(&self, core: &Core, effect: Effect) {
        match effect {
            Effect::Connect { conn, to } => self.connect(core, conn, to),
            Effect::Receive { conn, buffer, room } => {
                if let Some(conn) = self.conns.borrow().get(&conn) {
                    conn.reads.push((buffer, room));
                }
            }
            Effect::Send { conn, bytes } => {
                if let Some(conn) = self.conns.borrow().get(&conn) {
                    conn.out.push(Out::Bytes(bytes));
                }
            }
            Effect::SendFile { conn, at, len } => {
                if let Some(conn) = self.conns.borrow().get(&conn) {
                    conn.out.push(Out::File { at, end: at + u64::from(len) });
                }
            }
            Effect::Close { conn } => {
                if let Some(conn) = self.conns.borrow().get(&conn) {
                    conn.until.set(Some(Instant::now() + LINGER));
                    conn.out.push(Out::Close);
                }
            }
            Effect::Hand { socket, to } => {
                let stream = self.sockets.borrow_mut().remove(&socket).expect("a socket is given away once");
                let shard = ShardId::Peer(to);
                core.send(core.home(shard), Parcel::Socket(shard, stream));
            }
            Effect::Refuse { socket } => {
                drop(self.sockets.borrow_mut().remove(&socket).map(AcceptedTcpStream::bind_to_executor));
            }
            Effect::Resolve { name, port } => resolve(core, name, port),
            other => unreachable!("no matter of sockets: {other:?}"),
        }
    }

    /// Forces connections to an end that linger too long.
    pub fn tick(&self) {
        let now = Instant::now();
        let conns = self.conns.borrow();
        conns.values().filter(|conn| conn.until.get().is_some_and(|until| now > until)).for_each(|conn| shut(conn.fd));
    }

    fn connect(&self, core: &Core, conn: ConnId, to: SocketAddr) {
        let (core, conns) = (core.clone(), self.conns.clone());
        let shard = core.peer_shard().expect("only peer shards connect");
        glommio::spawn_local(async move {
            match TcpStream::connect_timeout(to, CONNECT_TIMEOUT).await {
                Ok(stream) => start(&core, shard, conns, conn, stream, to, false),
                Err(why) => core.socket_event(shard, Event::Closed { conn, why: why.to_string() }),
            }
        })
        .detach();
    }

    /// Takes over a socket that another core accepted.
    pub fn adopt(&self, core: &Core, shard: ShardId, socket: AcceptedTcpStream) {
        let stream = socket.bind_to_executor();
        let address = match stream.peer_addr() {
            Ok(address) => address,
            Err(_) => SocketAddr::from(([0, 0, 0, 0], 0)), // gone already; reading will say so
        };
        let conn = self.next.get() * 2 + 1;
        self.next.set(self.next.get() + 1);
        start(core, shard, self.conns.clone(), conn, stream, address, true);
    }

    /// Accepts for ever, on the book's core.
    pub fn listen(core: &Core, listener: std::net::TcpListener) {
        let core = core.clone();
        // SAFETY: the descriptor comes out of a listener that gives it up.
        #[allow(unsafe_code)]
        let listener = unsafe { TcpListener::from_raw_fd(listener.into_raw_fd()) };
        glommio::spawn_local(async move {
            let mut failing = false;
            loop {
                for _ in 0..ACCEPTS_MAX {
                    match listener.shared_accept().await {
                        Ok(stream) => {
                            failing = false;
                            core.net().accepted(&core, stream);
                        }
                        Err(why) => {
                            if !std::mem::replace(&mut failing, true) {
                                tracing::warn!(
                                    "accepting a peer failed: {why}; trying again every second (ulimit -n shows the limit of open files)"
                                );
                            }
                            sleep(ACCEPT_BACKOFF).await;
                        }
                    }
                }
                sleep(BREATH).await;
            }
        })
        .detach();
    }

    fn accepted(&self, core: &Core, stream: AcceptedTcpStream) {
        // Reset before it was accepted. glommio's peer_addr has then closed the descriptor already: its number may be
        // another's by now, and binding the stream to close it would close that one.
        let Ok(from) = stream.peer_addr() else { return };
        let socket = self.next.get();
        self.next.set(socket + 1);
        self.sockets.borrow_mut().insert(socket, stream);
        core.event(ShardId::Book, Event::Accepted { socket, from });
    }
}

/// A reader and a writer for a connection that stands. Both end by the socket's end, never by being cancelled. The socket
/// is closed when both halves are gone; the reader keeps its half until the connection is no more in `conns`, so that
/// whoever finds a descriptor there may shut it down.
fn start(
    core: &Core,
    shard: ShardId,
    conns: Rc<RefCell<BTreeMap<ConnId, Conn>>>,
    conn: ConnId,
    stream: TcpStream,
    address: SocketAddr,
    inbound: bool,
) {
    let _ = stream.set_nodelay(true);
    let fd = stream.as_raw_fd();
    // glommio asks for it call by call, sendfile cannot.
    let _ = ioctl_fionbio(borrow(&fd), true);
    let (reads, out) = (Rc::new(Mailbox::default()), Rc::new(Mailbox::default()));
    let entry = Conn { fd, reads: reads.clone(), out: out.clone(), until: Cell::new(None) };
    conns.borrow_mut().insert(conn, entry);
    core.socket_event(shard, Event::Opened { conn, address, inbound });
    let (mut read_half, mut write_half) = split(stream);
    let tap = || match shard {
        ShardId::Peer(number) if core.net().tapped => Tap::pair(peer_id(number, conn), address, inbound).map(Some),
        _ => [None, None],
    };
    let [tap_in, tap_out] = tap();
    let writer = {
        let (core, reads) = (core.clone(), reads.clone());
        glommio::spawn_local(async move {
            let mut writer = Writer { core: &core, shard, conn, fd, to: &mut write_half, tap: tap_out };
            // Why it failed is the reader's to say.
            let _ = writer.run(&out).await;
            shut(fd);
            reads.close();
        })
    };
    let core = core.clone();
    glommio::spawn_local(async move {
        let why = read(&core, shard, (conn, fd), &mut read_half, &reads, tap_in).await;
        shut(fd);
        if let Some(conn) = conns.borrow().get(&conn) {
            conn.out.close();
        }
        writer.await;
        conns.borrow_mut().remove(&conn);
        drop(read_half);
        core.socket_event(shard, Event::Closed { conn, why });
    })
    .detach();
}

/// Appends what else is there, at most so many bytes, without waiting. What goes wrong, the next read tells.
fn fill(fd: RawFd, buffer: &mut Vec<u8>, mut room: usize) {
    while room > 0 {
        let spare = buffer.spare_capacity_mut();
        let most = room.min(spare.len());
        let count = match recv(borrow(&fd), &mut spare[..most], RecvFlags::DONTWAIT) {
            Ok(((read, _), _)) if !read.is_empty() => read.len(),
            _ => return,
        };
        // SAFETY: the kernel has just written so many bytes behind the last one, within the capacity.
        #[allow(unsafe_code)]
        unsafe {
            buffer.set_len(buffer.len() + count)
        };
        room -= count;
    }
}

async fn read(
    core: &Core,
    shard: ShardId,
    (conn, fd): (ConnId, RawFd),
    from: &mut ReadHalf<TcpStream>,
    reads: &Mailbox<(Vec<u8>, usize)>,
    mut tap: Option<Tap>,
) -> String {
    while let Some((mut buffer, room)) = reads.pop().await {
        let (held, first) = (buffer.len(), room.min(FIRST_BYTES));
        buffer.resize(held + first, 0);
        match from.read(&mut buffer[held..]).await {
            Ok(0) => return "the peer closed the connection".into(),
            Ok(count) => {
                buffer.truncate(held + count);
                if count == first {
                    fill(fd, &mut buffer, room - first);
                }
                tap.iter_mut().for_each(|tap| tap.bytes(&buffer[held..]));
                core.socket_event(shard, Event::Received { conn, buffer });
            }
            Err(why) => return why.to_string(),
        }
    }
    "closed".into()
}

/// What sends for one connection.
struct Writer<'a> {
    core: &'a Core,
    shard: ShardId,
    conn: ConnId,
    fd: RawFd,
    to: &'a mut WriteHalf<TcpStream>,
    tap: Option<Tap>,
}

impl Writer<'_> {
    async fn run(&mut self, out: &Mailbox<Out>) -> io::Result<()> {
        loop {
            match out.pop().await {
                Some(Out::Bytes(pieces)) => {
                    for piece in pieces {
                        self.tap.iter_mut().for_each(|tap| tap.bytes(&piece));
                        self.bytes(&piece).await?;
                    }
                }
                Some(Out::File { at, end }) => {
                    self.tap.iter_mut().for_each(|tap| tap.file(at, end - at));
                    self.file(at, end).await?;
                }
                Some(Out::Close) | None => return Ok(()),
            }
        }
    }

    async fn bytes(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            self.core.net().breathe().await;
            let bytes = self.to.write(&rest[..rest.len().min(SEND_BYTES_MAX)]).await?;
            self.sent(bytes, false);
            rest = &rest[bytes..];
        }
        Ok(())
    }

    /// From the kernel's memory to the socket, with no copy of ours. What is not in memory is read by the ring first: else
    /// the whole core would wait for the disk.
    async fn file(&mut self, mut at: u64, end: u64) -> io::Result<()> {
        let disk = self.core.disk();
        while at < end {
            self.core.net().breathe().await;
            let step = ((end - at) as usize).min(SEND_BYTES_MAX);
            disk.warm(at, step).await.map_err(|why| io::Error::other(format!("{why:?}")))?;
            let before = at;
            let sent = match sendfile(borrow(&self.fd), disk.blocks(), Some(&mut at), step) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(sent) => sent,
                Err(Errno::AGAIN) => 0,
                Err(why) => return Err(why.into()),
            };
            if sent < step {
                let mut bytes = [0; WAIT_BYTES];
                let bytes = &mut bytes[..(step - sent).min(WAIT_BYTES)];
                disk.blocks().read_exact_at(bytes, at)?;
                at += self.to.write(bytes).await? as u64;
            }
            self.sent((at - before) as usize, true);
        }
        Ok(())
    }

    fn sent(&self, bytes: usize, of_file: bool) {
        let written = &self.core.net().written;
        written.set(written.get() + bytes);
        self.core.socket_event(self.shard, Event::Sent { conn: self.conn, bytes, of_file });
    }
}

/// Looks a name up on the blocking pool: all addresses, both families.
fn resolve(core: &Core, name: String, port: u16) {
    let core = core.clone();
    glommio::spawn_local(async move {
        let lookup = name.clone();
        let found = glommio::executor()
            .spawn_blocking(move || {
                (lookup.as_str(), port).to_socket_addrs().map(Iterator::collect).unwrap_or_default()
            })
            .await;
        core.event(ShardId::Book, Event::Resolved { name, addresses: found });
    })
    .detach();
}

#[cfg(test)]
mod tests;
