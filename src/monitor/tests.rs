//! The monitor over real unix sockets.

use super::*;
use crate::door::testing::{Echo, run_forever};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// A folder of its own for each test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("caesure-monitor-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("caesure.bd")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn serve_at(path: &Path, patience_ms: u64) {
    let listener = bind(path).unwrap();
    run_forever(move || run(listener, Echo, None, Duration::from_millis(patience_ms)));
}

fn open(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn rest(mut stream: UnixStream) -> String {
    let mut said = Vec::new();
    if let Err(error) = stream.read_to_end(&mut said) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    String::from_utf8(said).unwrap()
}

/// What is said to `input` after the banner, when input ends there.
fn talk(path: &Path, input: &[u8]) -> String {
    let mut stream = open(path);
    stream.write_all(input).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    rest(stream).strip_prefix(BANNER).unwrap().to_string()
}

#[test]
fn lines_are_asked_and_answers_printed() {
    let folder = Folder::new("lines");
    serve_at(&folder.socket(), 10_000);
    let talk = |input| talk(&folder.socket(), input);
    assert_eq!(talk(b""), "");
    assert_eq!(talk(b"status\n"), "[status]\n> ");
    assert_eq!(talk(b"status\r\n\r\n  block 5 \n"), "[status]\n> > [block 5]\n> ");
    assert_eq!(talk(b"a\nb"), "[a]\n> [b]\n> ", "the end of input ends a line");
    assert_eq!(talk(b"\xff\x1b[2J\n"), "[\u{fffd}?[2J]\n> ", "nothing that a terminal obeys");
    assert_eq!(talk(b"a\nquit\nb\n"), "[a]\n> ", "nothing after quit");
}

#[test]
fn questions_are_told_from_code() {
    for question in [
        "status",
        "help",
        "Status",
        "block 5",
        "coin 00:1 @7",
        "coin 00:1",
        "blok 3",
        "json",
        "deployments",
        "log",
        "log info,caesure::net=debug",
    ] {
        assert!(is_command(question), "{question}");
    }
    for code in [
        "db",
        "help()",
        "let x = 1",
        "x",
        "block = 5",
        "log = 5",
        "block.dump()",
        "for tx in b",
        "if x { 1 }",
        "1 + 1",
        "_",
        "n in db",
    ] {
        assert!(!is_command(code), "{code}");
    }
}

#[test]
fn a_program_sees_marks_and_no_prompts() {
    let folder = Folder::new("marks");
    serve_at(&folder.socket(), 10_000);
    assert_eq!(talk(&folder.socket(), b"\x1e\nstatus\n\nx\x1ey\n"), "\u{1e}.[status]\n\u{1e}.\u{1e}.[x?y]\n\u{1e}.");
}

#[test]
fn quit_needs_no_end_of_input() {
    let folder = Folder::new("quit");
    serve_at(&folder.socket(), 10_000);
    let mut stream = open(&folder.socket());
    stream.write_all(b"quit\n").unwrap();
    assert_eq!(rest(stream), BANNER);
}

#[test]
fn a_line_has_a_limit() {
    let folder = Folder::new("limit");
    serve_at(&folder.socket(), 10_000);
    let line = "x".repeat(LINE_MAX);
    assert_eq!(talk(&folder.socket(), format!("{line}\n").as_bytes()), format!("[{line}]\n> "));
    assert_eq!(talk(&folder.socket(), format!("{line}x\n").as_bytes()), "that line is too long\n");
    // One that never ends.
    let mut stream = open(&folder.socket());
    stream.write_all("x".repeat(LINE_MAX + 1).as_bytes()).unwrap();
    assert!(rest(stream).ends_with("that line is too long\n"));
}

#[test]
fn whoever_does_not_read_is_let_go_and_whoever_is_silent_may_stay() {
    let folder = Folder::new("reads");
    serve_at(&folder.socket(), 300);
    let mut silent = open(&folder.socket());
    let mut deaf = open(&folder.socket());
    deaf.write_all(b"long\n").unwrap();
    // Spaces fill the way to the server and then wait there, until the other end is gone.
    deaf.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let end = loop {
        if let Err(error) = deaf.write_all(&[b' '; 4096]) {
            break error.kind();
        }
    };
    assert!(matches!(end, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{end}");
    assert!(rest(deaf).len() < 64 << 20);
    silent.write_all(b"status\nquit\n").unwrap();
    assert_eq!(rest(silent), format!("{BANNER}[status]\n> "));
}

#[test]
fn sessions_are_counted() {
    let folder = Folder::new("count");
    serve_at(&folder.socket(), 10_000);
    let mut banner = [0; BANNER.len()];
    let mut sessions: Vec<_> = (0..SESSIONS_MAX).map(|_| open(&folder.socket())).collect();
    for session in &mut sessions {
        session.read_exact(&mut banner).unwrap();
    }
    assert_eq!(rest(open(&folder.socket())), "16 sessions are open, more there cannot be\n");
    let mut leaver = sessions.pop().unwrap();
    leaver.write_all(b"quit\n").unwrap();
    assert_eq!(rest(leaver), "");
    assert_eq!(talk(&folder.socket(), b"x\n"), "[x]\n> ");
}

#[test]
fn the_socket_is_its_owners_alone() {
    let folder = Folder::new("mode");
    let _listener = bind(&folder.socket()).unwrap();
    assert_eq!(fs::metadata(folder.socket()).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn only_a_dead_socket_is_replaced() {
    let folder = Folder::new("stale");
    let path = folder.socket();
    let first = bind(&path).unwrap();
    let refused = bind(&path).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AddrInUse);
    assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
    drop(first);
    let _second = bind(&path).unwrap();
    UnixStream::connect(&path).unwrap();

    let file = folder.0.join("file");
    fs::write(&file, "precious").unwrap();
    assert_eq!(bind(&file).unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(fs::read(&file).unwrap(), b"precious");

    assert_eq!(bind(&folder.0.join("none/caesure.bd")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(bind(&folder.0.join("x".repeat(200))).unwrap_err().kind(), ErrorKind::InvalidInput);
}
