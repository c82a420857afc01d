//! The page's door over real loopback sockets, and its small parts against published vectors.

mod act;
mod live;

use super::*;
use crate::console::Inside;
use crate::door::testing::{Echo, run_forever};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

/// Of a folder in which nothing lies.
fn house() -> House {
    let folder = PathBuf::from("/proc");
    let pages = Pages::start(Network::Regtest, Inside::new(consensus::Params::of(Network::Regtest), folder.clone()));
    House { network: Network::Regtest, folder, pages: pages.unwrap(), token: "a1b2".into() }
}

/// Serves on a port of the kernel's choice.
fn served(users: &[(&str, &str)], patience_ms: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let users: Vec<_> = users.iter().map(|(name, pass)| (name.to_string(), pass.to_string())).collect();
    run_forever(move || run(listener, users, Echo, house(), Duration::from_millis(patience_ms)));
    address
}

fn open(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Everything the server says, until it closes.
fn rest(mut stream: TcpStream) -> String {
    let mut said = Vec::new();
    // A reset tells of an unread remainder of the request, after the answer.
    if let Err(error) = stream.read_to_end(&mut said) {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    }
    String::from_utf8(said).unwrap()
}

/// The answer to one request, head and text.
fn ask(address: SocketAddr, line: &str, more: &str) -> String {
    let mut stream = open(address);
    let request = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n");
    // One that is too long is answered, and the connection closed, before all of it is written.
    if let Err(error) = stream.write_all(request.as_bytes()) {
        assert!(matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset), "{error}");
    }
    rest(stream)
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

#[test]
fn credentials_as_in_rfc_7617() {
    let keys = vec![b"other:one".to_vec(), b"Aladdin:open sesame".to_vec()];
    let site = Site { ask: Echo, keys, house: house(), patience: PATIENCE, live: Rc::default() };
    // Section 2.
    assert_eq!(site.admits(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").as_deref(), Some("Aladdin"));
    assert_eq!(site.admits(b"basic  QWxhZGRpbjpvcGVuIHNlc2FtZQ== ").as_deref(), Some("Aladdin"));
    for wrong in
        ["", "Basic", "Basic ", "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic QWxhZGRpbg==", "Basic QWxhZGRpbjpvcGVu"]
    {
        assert!(site.admits(wrong.as_bytes()).is_none(), "{wrong}");
    }
}

#[test]
fn equality_sees_every_byte_and_the_length() {
    assert!(same(b"ab", b"ab"));
    for given in ["", "a", "ac", "bb", "abc", "ab\0", "abab"] {
        assert!(!same(b"ab", given.as_bytes()), "{given}");
    }
    assert!(!same(b"ab\0", b"ab"));
}

#[test]
fn paths_and_methods() {
    let address = served(&[], 10_000);
    for path in ["/", "/admin", "/admin/", "/admin/status", "/admin/status?x=1"] {
        let answer = ask(address, &format!("GET {path}"), "");
        assert_eq!(status(&answer), "200", "{path}");
        assert!(answer.contains("\r\ncontent-type: text/html; charset=utf-8\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n[page]"), "{answer}");
    }
    for path in ["/status.json", "/admin/status.json"] {
        let answer = ask(address, &format!("GET {path}"), "");
        assert!(answer.contains("\r\ncontent-type: application/json\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n[json]"), "{answer}");
    }
    let figures = ask(address, "GET /metrics", "");
    assert!(figures.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{figures}");
    // With what the disk has left.
    let free = figures.split("\r\n\r\n[metrics ").nth(1).and_then(|rest| rest.strip_suffix(']')).unwrap();
    assert!(free.parse::<u64>().is_ok(), "{figures}");
    assert!(ask(address, "GET /metrics/cores", "").ends_with("\r\n\r\n[metrics/cores]"));
    let unready = ask(address, "GET /readyz", "");
    assert!(status(&unready) == "503" && unready.ends_with("\r\n\r\n[ready]\n"), "{unready}");
    for (path, question) in [("connections", "connections"), ("ledger", "ledger"), ("pool", "pool")] {
        assert!(ask(address, &format!("GET /admin/{path}"), "").ends_with(&format!("\r\n\r\n[{question}]")));
    }
    let coin = ask(address, &format!("GET /admin/coin/{}:7", "ab".repeat(32)), "");
    assert!(status(&coin) == "200" && coin.contains(&format!("<pre class=scroll>[coin {}:7]</pre>", "ab".repeat(32))));
    let unread = ask(address, "GET /admin/block", "");
    assert!(status(&unread) == "500" && unread.contains("could not be read"), "{unread}");
    let away = ask(address, "GET /admin/search?q=7", "");
    assert!(status(&away) == "303" && away.contains("\r\nlocation: /admin/block/7\r\n"), "{away}");
    for path in ["/x", "/admin/statu", "/admin/status/", "//", "/admin/../etc/passwd"] {
        assert_eq!(status(&ask(address, &format!("GET {path}"), "")), "404", "{path}");
    }
    let head = ask(address, "HEAD /", "");
    assert_eq!(status(&head), "200");
    assert!(head.contains("\r\ncontent-length: 6\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let answer = ask(address, &format!("{method} /"), "");
        assert_eq!(status(&answer), "405", "{method}");
        assert!(answer.contains("\r\nallow: GET, HEAD\r\n"), "{answer}");
    }
}

#[test]
fn every_answer_is_fenced() {
    let address = served(&[("a", "b")], 10_000);
    for answer in [
        ask(address, "GET /", ""),
        ask(address, "GET /", "Authorization: Basic YTpi\r\n"),
        ask(address, "GET /healthz", ""),
    ] {
        for line in [
            "content-security-policy: default-src 'none'; ",
            "x-content-type-options: nosniff\r\n",
            "cache-control: no-store\r\n",
        ] {
            assert!(answer.contains(&format!("\r\n{line}")), "{line} in {answer}");
        }
    }
}

#[test]
fn only_users_look_where_there_are_any() {
    let address = served(&[("x", "y"), ("a", "b")], 10_000);
    let nobody = ask(address, "GET /admin/status.json", "");
    assert_eq!(status(&nobody), "401");
    assert!(nobody.contains("\r\nwww-authenticate: Basic realm=\"caesure\""), "{nobody}");
    assert!(!nobody.contains("[json]"));
    assert_eq!(status(&ask(address, "GET /x", "")), "401", "what there is stays unknown too");
    for path in ["/metrics", "/metrics/cores", "/readyz"] {
        assert_eq!(status(&ask(address, &format!("GET {path}"), "")), "401", "{path}");
    }
    let alive = ask(address, "GET /healthz", "");
    assert!(status(&alive) == "200" && alive.ends_with("\r\n\r\nalive\n"), "it knows no secret and tells none");
    assert_eq!(status(&ask(address, "POST /healthz", "")), "401");
    // a:b and a:c.
    assert_eq!(status(&ask(address, "GET /", "Authorization: Basic YTpi\r\n")), "200");
    let start = Instant::now();
    assert_eq!(status(&ask(address, "GET /", "Authorization: Basic YTpj\r\n")), "401");
    assert!(start.elapsed() >= AFTER_WRONG_PASSWORD);
}

#[test]
fn a_connection_serves_many_requests_even_piled_up() {
    let mut stream = open(served(&[], 10_000));
    stream.write_all("GET /status.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100).as_bytes()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let said = rest(stream);
    assert_eq!((said.matches("[json]").count(), said.matches("[page]").count()), (100, 1));
}

#[test]
fn nonsense_is_refused_and_harms_nobody() {
    let address = served(&[], 10_000);
    for nonsense in [
        "\0\0\0\0",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\n: x\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}",
    ] {
        let mut stream = open(address);
        stream.write_all(nonsense.as_bytes()).unwrap();
        // Answered and closed already, perhaps.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let said = rest(stream);
        assert!(said.is_empty() || status(&said) == "400", "{nonsense:?}: {said}");
    }
    let big = format!("X: {}\r\n", "x".repeat(HEAD_MAX));
    assert_eq!(status(&ask(address, "GET /", &big)), "431");
    assert_eq!(status(&ask(address, "GET /", "")), "200");
}

#[test]
fn whoever_dawdles_is_let_go() {
    let address = served(&[], 500);
    let start = Instant::now();
    let mut dawdler = open(address);
    dawdler.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    // A byte now and then does not buy time; the limit on the loop is for a server that never lets go.
    while dawdler.write_all(b"G").is_ok() && start.elapsed() < Duration::from_secs(10) {
        match dawdler.read(&mut [0; 16]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => break,
            Ok(_) => panic!("an answer to half a request"),
        }
    }
    assert!(start.elapsed() >= Duration::from_millis(490), "{:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn more_than_there_is_room_for_wait_their_turn() {
    let address = served(&[], 1000);
    let start = Instant::now();
    let idle: Vec<_> = (0..GUESTS_MAX).map(|_| open(address)).collect();
    let guests: Vec<_> = (0..100).map(|_| thread::spawn(move || ask(address, "GET /", ""))).collect();
    for guest in guests {
        assert_eq!(status(&guest.join().unwrap()), "200");
    }
    assert!(start.elapsed() >= Duration::from_millis(990), "nobody had to wait: {:?}", start.elapsed());
    drop(idle);
}
