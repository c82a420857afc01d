//! Those who watch: what they are sent, and how they are let go.

use super::*;
use crate::http::live::WATCHERS_MAX;
use std::io::BufRead;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Parts of which the first changes with each question, in `size` bytes.
#[derive(Clone)]
struct Changing {
    asked: &'static AtomicU64,
    size: usize,
}

impl Ask for Changing {
    async fn ask(&self, text: String) -> String {
        assert_eq!(text, "parts");
        let number = self.asked.fetch_add(1, Relaxed);
        format!("{{\"a\":\"{number}{}\",\"b\":\"<p>\"}}", "x".repeat(self.size))
    }

    async fn order(&self, order: shards::effect::Order) -> String {
        unreachable!("nobody ordered {order:?}")
    }
}

fn changing(asked: &'static AtomicU64, size: usize, patience_ms: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let ask = Changing { asked, size };
    run_forever(move || run(listener, Vec::new(), ask, house(), Duration::from_millis(patience_ms)));
    address
}

/// Begins to watch; the events follow the head.
fn watch(address: SocketAddr) -> TcpStream {
    let mut stream = open(address);
    stream.write_all(b"GET /admin/status.live HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stream
}

#[test]
fn watchers_are_sent_all_and_then_what_changes() {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let address = changing(&ASKED, 0, 10_000);
    let mut lines = io::BufReader::new(watch(address)).lines().map(Result::unwrap);
    let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert!(head[0].ends_with("200 OK") && head.contains(&"content-type: text/event-stream; charset=utf-8".into()));
    let mut events = lines.filter_map(|line| line.strip_prefix("data: ").map(String::from));
    let first: u64 = {
        let whole = events.next().unwrap();
        let number = whole.strip_prefix("{\"a\":\"").unwrap().split('"').next().unwrap().to_owned();
        assert_eq!(whole, format!("{{\"a\":\"{number}\",\"b\":\"<p>\"}}"));
        number.parse().unwrap()
    };
    for number in 1..3 {
        assert_eq!(events.next().unwrap(), format!("{{\"a\":\"{}\"}}", first + number));
    }
    // Another who comes gets all first, and makes nobody be asked more often.
    let start = Instant::now();
    let before = ASKED.load(Relaxed);
    let other = io::BufReader::new(watch(address)).lines().map(Result::unwrap);
    let mut other = other.filter_map(|line| line.strip_prefix("data: ").map(String::from));
    assert!(other.next().unwrap().contains("\"b\":\"<p>\"") && !other.next().unwrap().contains("\"b\""));
    assert!(ASKED.load(Relaxed) - before <= start.elapsed().as_secs() + 1);
}

#[test]
fn nobody_is_asked_while_nobody_watches() {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let address = changing(&ASKED, 0, 10_000);
    drop(watch(address));
    // It may take a beat until the end of a connection is seen; from then on the count stands still.
    let mut before = u64::MAX;
    let start = Instant::now();
    while before != ASKED.load(Relaxed) {
        assert!(start.elapsed() < Duration::from_secs(60), "it is asked for ever");
        before = ASKED.load(Relaxed);
        thread::sleep(Duration::from_millis(2_500));
    }
}

#[test]
fn a_watcher_that_does_not_read_is_let_go() {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    // More at once than sockets hold.
    let address = changing(&ASKED, 16 << 20, 1_500);
    let mut stuck = watch(address);
    let start = Instant::now();
    while ASKED.load(Relaxed) < 1 {
        assert!(start.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(10));
    }
    let asked = |at_least: u64| {
        let start = Instant::now();
        while ASKED.load(Relaxed) < at_least && start.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(10));
        }
        ASKED.load(Relaxed)
    };
    assert!(asked(6) < 6, "it was kept though it took nothing for three times its patience");
    let mut said = Vec::new();
    let _ = stuck.read_to_end(&mut said);
    assert!(said.len() < 16 << 20, "{} bytes came in the end", said.len());
}

#[test]
fn one_watcher_too_many_is_told_to_ask_instead() {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let address = changing(&ASKED, 0, 10_000);
    let mut watchers: Vec<_> = (0..WATCHERS_MAX).map(|_| watch(address)).collect();
    for watcher in &mut watchers {
        assert!(watcher.read(&mut [0; 16]).unwrap() > 0, "it was let in");
    }
    let refused = ask(address, "GET /status.live", "");
    assert!(status(&refused) == "503" && refused.ends_with("ask for status.parts\n"), "{refused}");
    assert_eq!(status(&ask(address, "GET /status.parts", "")), "200");
}
