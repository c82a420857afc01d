//! Sockets against the kernel, with shards that only echo: whatever a guest does, no descriptor stays behind and none that
//! belongs to somebody else is touched.

use super::*;
use crate::disk::{Access, Disk, Source};
use crate::links::Links;
use crate::pump::Parts;
use glommio::{LocalExecutorBuilder, Placement};
use shards::metrics::Pages;
use shards::{Cx, Input, Shard};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream as Guest;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// Bytes of the one big answer: more than the kernel buffers for a socket that nobody reads.
const BIG: usize = 256 << 20;
/// Bytes of blocks.bin where some of it is sent.
const FILE: usize = 64 << 20;

#[derive(Default)]
struct Seen {
    opened: AtomicUsize,
    closed: AtomicUsize,
    sent: AtomicUsize,
    sent_of_file: AtomicUsize,
}

/// Gives each socket to the one peer shard.
struct Doorman;

impl Shard for Doorman {
    fn step(&mut self, input: Input, cx: &mut Cx) {
        if let Input::Event(Event::Accepted { socket, .. }) = input {
            cx.effect(Effect::Hand { socket, to: 0 });
        }
    }
}

/// Answers `e` with itself, `c` by closing, `b` with `BIG` bytes in one piece, `f` with blocks.bin but for its first byte, `x`
/// with more than there is at its end.
struct Echo(Arc<Seen>);

impl Shard for Echo {
    fn step(&mut self, input: Input, cx: &mut Cx) {
        let conn = match input {
            Input::Event(Event::Opened { conn, .. }) => {
                self.0.opened.fetch_add(1, SeqCst);
                conn
            }
            Input::Event(Event::Received { conn, buffer }) => {
                match buffer[0] {
                    b'c' => cx.effect(Effect::Close { conn }),
                    b'b' => cx.effect(Effect::Send { conn, bytes: vec![vec![7; BIG].into()] }),
                    b'f' => cx.effect(Effect::SendFile { conn, at: 1, len: FILE as u32 - 1 }),
                    b'x' => cx.effect(Effect::SendFile { conn, at: FILE as u64 - 10, len: 20 }),
                    _ => cx.effect(Effect::Send { conn, bytes: vec![buffer.into()] }),
                }
                conn
            }
            Input::Event(Event::Sent { bytes, of_file, .. }) => {
                if of_file { &self.0.sent_of_file } else { &self.0.sent }.fetch_add(bytes, SeqCst);
                return;
            }
            Input::Event(Event::Closed { .. }) => {
                self.0.closed.fetch_add(1, SeqCst);
                return;
            }
            _ => return,
        };
        cx.effect(Effect::Receive { conn, buffer: Vec::new(), room: 1 });
    }
}

/// A core that serves until the process ends, with a file of these bytes.
fn serve(name: &'static str, bytes: &[u8]) -> (SocketAddr, Arc<Seen>, File) {
    let folder = std::env::temp_dir().join(format!("caesure-net-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("blocks.bin");
    std::fs::write(&path, bytes).unwrap();
    let file = File::open(&path).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Seen::default()));
    let told = seen.clone();
    let job = move || async move {
        let disk = Disk::open(vec![Source { path, key: [0; 8] }], folder.clone(), Access::Read).await.unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        let plan = shards::plan(1);
        let shards: [(ShardId, Box<dyn Shard>); 2] =
            [(ShardId::Book, Box::new(Doorman)), (ShardId::Peer(0), Box::new(Echo(told)))];
        let core = Core::new(Parts {
            index: 0,
            plan,
            shards: shards.into_iter().collect(),
            pages: Pages::new(1),
            seed: 1,
            links: Links::default(),
            net: Net::default(),
            disk,
            news: std::sync::mpsc::channel().0,
            start: Instant::now(),
            first: Vec::new(),
            question: None,
        });
        Net::listen(&core, listener);
        core.run().await;
    };
    let builder =
        LocalExecutorBuilder::new(Placement::Unbound).io_memory(1 << 20).preempt_timer(Duration::from_secs(1));
    drop(builder.spawn(job).unwrap());
    (address, seen, file)
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < patience, "{what} did not come");
        std::thread::yield_now();
    }
}

fn say(address: SocketAddr, word: &[u8]) -> Guest {
    let mut guest = Guest::connect(address).unwrap();
    guest.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    guest.write_all(word).unwrap();
    guest
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Sockets made all the time on another thread: the numbers of those just closed come back at once. Each must stay whole
/// while it lives.
fn bystander(stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut pairs = std::collections::VecDeque::new();
        while !stop.load(SeqCst) {
            pairs.push_back(UnixStream::pair().unwrap());
            if pairs.len() == 8 {
                let (mut one, mut other) = pairs.pop_front().unwrap();
                one.write_all(b"1").expect("somebody shut a socket down that is not theirs");
                let mut byte = [0];
                other.read_exact(&mut byte).expect("somebody shut a socket down that is not theirs");
            }
        }
    })
}

#[test]
fn five_thousand_guests_leave_no_descriptor_behind_and_touch_nobody_elses() {
    const GUESTS: usize = 5_000;
    let (address, seen, _) = serve("churn", &[7; 4096]);
    let stop = Arc::new(AtomicBool::new(false));
    let bystander = bystander(stop.clone());
    let before = descriptors();
    for number in 0..GUESTS {
        match number % 4 {
            0 => drop(Guest::connect(address).unwrap()),
            // A reset, often before it was accepted.
            1 => socket2::SockRef::from(&Guest::connect(address).unwrap()).set_linger(Some(Duration::ZERO)).unwrap(),
            2 => say(address, b"e").read_exact(&mut [0]).unwrap(),
            _ => assert_eq!(say(address, b"c").read(&mut [0]).unwrap(), 0),
        }
    }
    // The queue is served in order: who is answered now came after all of them.
    say(address, b"e").read_exact(&mut [0]).unwrap();
    wait_for("the end of every connection", || seen.opened.load(SeqCst) == seen.closed.load(SeqCst));
    stop.store(true, SeqCst);
    bystander.join().unwrap();
    assert!(seen.opened.load(SeqCst) > GUESTS * 3 / 4, "all but the resets must have been opened");
    // Other tests of this process hold some of their own.
    let others = 200;
    wait_for("descriptors as few as before, or nearly", || descriptors() < before + others);
}

#[test]
fn what_a_slow_reader_takes_of_a_big_piece_is_told_before_all_of_it_is_gone() {
    let (address, seen, _) = serve("slow", &[7; 4096]);
    let mut guest = say(address, b"b");
    wait_for("word of the first bytes", || seen.sent.load(SeqCst) > 0);
    let told = seen.sent.load(SeqCst);
    assert!(told < BIG, "nobody has read a byte");
    let mut bytes = vec![0; 1 << 20];
    for _ in 0..BIG >> 20 {
        guest.read_exact(&mut bytes).unwrap();
    }
    wait_for("word of all bytes", || seen.sent.load(SeqCst) == BIG);
}

#[test]
fn a_slow_reader_gets_a_file_in_parts_and_whole_whatever_the_kernel_holds_of_it() {
    let bytes: Vec<u8> = (0..FILE).map(|at| (at ^ at >> 12) as u8).collect();
    let (address, seen, file) = serve("file", &bytes);
    let mut guest = say(address, b"fe");
    wait_for("word of the first bytes", || seen.sent_of_file.load(SeqCst) > 0);
    let told = seen.sent_of_file.load(SeqCst);
    assert!(told < FILE - 1 && seen.sent.load(SeqCst) == 0, "nobody has read a byte");
    // What is left of it is on disk only.
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let mut got = vec![0; FILE];
    guest.read_exact(&mut got).unwrap();
    assert!(got[..FILE - 1] == bytes[1..] && got[FILE - 1] == b'e', "other bytes, or in another order");
    wait_for("word of all bytes", || seen.sent_of_file.load(SeqCst) == FILE - 1);
    // Half a block is none.
    assert!(say(address, b"x").read_to_end(&mut got).unwrap() <= 10);
    wait_for("the end of that", || seen.closed.load(SeqCst) == 1);
}
