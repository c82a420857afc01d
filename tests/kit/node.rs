//! A running node: started on ports and a folder of its own, looked at through its page, ended gently or not.
//!
//! Every wait is for something the node shows, with a deadline; when it passes, the last status and the log are told.

use crate::binary::wrapped;
use crate::data::unhex;
use crate::folder::Folder;
use consensus::Params;
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Waits until `done` gives something, looking again and again; none when the time is up.
pub fn poll<T>(seconds: u64, mut done: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = done() {
            return Some(found);
        }
        if Instant::now() > end {
            return None;
        }
        thread::sleep(POLL);
    }
}

/// Sends a signal to a process.
pub fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args(["-s", name, &process.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "{name} did not reach {process}");
}

/// A port that nobody listens on, below those the kernel gives to outgoing connections.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() * 61 % 20_000) as u16;
    (0..20_000)
        .map(|_| 10_000 + (start + NEXT.fetch_add(1, Relaxed)) % 20_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// How to start a node.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `--chain`.
    pub chain: &'static str,
    /// `--cores`, not pinned.
    pub cores: usize,
    /// `--min-chain-work`.
    pub min_work: String,
    /// `-i`.
    pub incoming: usize,
    /// `-c`, each.
    pub connect: Vec<SocketAddr>,
    /// More arguments.
    pub more: Vec<String>,
    /// A program with arguments that starts the node.
    pub by: Vec<String>,
}

impl Setup {
    /// A node of that network on two executors, connected to these peers and no others.
    pub fn new(chain: &'static str, connect: &[SocketAddr]) -> Setup {
        let connect = connect.to_vec();
        Setup { chain, cores: 2, min_work: "0".into(), incoming: 2_000, connect, more: Vec::new(), by: Vec::new() }
    }

    /// On regtest.
    pub fn regtest(connect: &[SocketAddr]) -> Setup {
        Setup::new("regtest", connect)
    }

    /// On so many executors.
    pub fn cores(self, cores: usize) -> Setup {
        Setup { cores, ..self }
    }

    /// For so many incoming peers.
    pub fn incoming(self, incoming: usize) -> Setup {
        Setup { incoming, ..self }
    }

    /// With more arguments.
    pub fn with(mut self, more: &[&str]) -> Setup {
        self.more.extend(more.iter().map(|word| word.to_string()));
        self
    }

    /// The name of its folder below the base.
    fn folder(&self) -> Option<String> {
        let challenge = self.more.iter().skip_while(|word| *word != "--signet-challenge").nth(1);
        let magic = challenge.map(|text| Params::signet_of(unhex(text).leak()).magic);
        let own = magic.map(|magic| magic.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        match (self.chain, own) {
            ("main", _) => None,
            (chain, Some(magic)) => Some(format!("{chain}-{magic}")),
            (chain, None) => Some(chain.to_owned()),
        }
    }

    /// Started by another program.
    pub fn by(self, by: &[&str]) -> Setup {
        Setup { by: by.iter().map(|word| word.to_string()).collect(), ..self }
    }
}

/// The node. Killed when dropped.
pub struct Node {
    child: Child,
    /// `--base`.
    pub base: PathBuf,
    /// The network's folder in it.
    pub folder: PathBuf,
    /// Where it listens for peers.
    pub p2p: SocketAddr,
    /// Where its page is.
    pub page: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Node {
    /// Starts a node in `base` and waits for its page.
    pub fn start(base: &Folder, setup: &Setup) -> Node {
        let mut node = Node::spawn(base.path(), setup);
        let up = poll(60, || match node.child.try_wait().expect("it is our child") {
            Some(status) => Some(Err(status)),
            None => node.get("/admin/status.json").ok().map(|_| Ok(())),
        });
        match up {
            Some(Ok(())) => node,
            Some(Err(status)) => panic!("the node ended with {status}:\n{}", node.tail()),
            None => panic!("no page within a minute:\n{}", node.tail()),
        }
    }

    /// Starts a node and waits for nothing.
    pub fn spawn(base: &Path, setup: &Setup) -> Node {
        let (page, p2p) = (free_port(), free_port());
        let [page, p2p]: [SocketAddr; 2] = [page, p2p].map(|port| ([127, 0, 0, 1], port).into());
        let base = base.to_owned();
        let mut words: Vec<String> =
            ["--chain", setup.chain, "-b", base.to_str().expect("UTF-8"), "--no-pin", "-o", "0", "-m"]
                .map(String::from)
                .to_vec();
        words.extend(["-i".into(), setup.incoming.to_string()]);
        words.extend(["--cores".into(), setup.cores.to_string(), "-a".into(), page.to_string()]);
        words.extend(["-s".into(), p2p.to_string(), "--min-chain-work".into(), setup.min_work.clone()]);
        setup.connect.iter().for_each(|peer| words.extend(["-c".into(), peer.to_string()]));
        words.extend(setup.more.iter().cloned());
        let by: Vec<&str> = setup.by.iter().map(String::as_str).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = wrapped(&by, &words);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        gather(child.stdout.take().expect("piped"), log.clone());
        gather(child.stderr.take().expect("piped"), log.clone());
        let folder = setup.folder().map_or(base.clone(), |name| base.join(name));
        Node { child, base, folder, p2p, page, log }
    }

    /// One page, as a browser would ask for it: its text.
    pub fn get(&self, path: &str) -> io::Result<String> {
        let (status, body) = self.request(path, "")?;
        if status == 200 { Ok(body) } else { Err(io::Error::other(format!("{path}: status {status}"))) }
    }

    /// The status and body of an answer to a request with more header lines, each ended by CR LF.
    pub fn request(&self, path: &str, headers: &str) -> io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.page)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n", self.page)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8(answer).map_err(io::Error::other)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.into()))
    }

    /// What it says of itself.
    pub fn status(&self) -> Value {
        let text = self.get("/admin/status.json").unwrap_or_else(|error| panic!("no status: {error}\n{}", self.tail()));
        serde_json::from_str(&text).expect("status.json is JSON")
    }

    /// Waits until its status satisfies `done`.
    pub fn wait(&self, what: &str, seconds: u64, done: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = poll(seconds, || {
            last = self.status();
            done(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("not within {seconds} s: {what}\nlast status: {last:#}\n{}", self.tail()))
    }

    /// Waits until its tip has that hash.
    pub fn wait_tip(&self, hash: &str, seconds: u64) -> Value {
        self.wait(&format!("tip {hash}"), seconds, |status| status["tip"] == hash)
    }

    /// Waits until a line of its log holds `text`; the line.
    pub fn wait_log(&self, text: &str, seconds: u64) -> String {
        let line = poll(seconds, || self.logged(text));
        line.unwrap_or_else(|| panic!("not logged within {seconds} s: {text}\n{}", self.tail()))
    }

    /// The first line of its log that holds `text`.
    pub fn logged(&self, text: &str) -> Option<String> {
        self.lines().into_iter().find(|line| line.contains(text))
    }

    /// Its log so far.
    pub fn lines(&self) -> Vec<String> {
        self.log.lock().expect("no reader panics").clone()
    }

    /// The end of its log.
    pub fn tail(&self) -> String {
        let lines = self.lines();
        format!("--- log of {}\n{}", self.base.display(), lines[lines.len().saturating_sub(40)..].join("\n"))
    }

    /// The answer to one line at the monitor.
    pub fn ask(&self, line: &str) -> String {
        let mut stream = UnixStream::connect(self.folder.join("caesure.bd")).expect("the monitor listens");
        stream.set_read_timeout(Some(Duration::from_secs(600))).expect("a socket has a time-out");
        writeln!(stream, "{line}").expect("the monitor reads");
        stream.shutdown(std::net::Shutdown::Write).expect("a socket has two ends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the monitor answers in UTF-8");
        answer
    }

    /// A number of kB from `/proc/PID/status`, in bytes: `VmRSS`, `VmHWM`.
    pub fn memory(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it lives");
        let line = text.lines().find(|line| line.starts_with(name)).expect("the kernel says so");
        line.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok()).expect("a number") << 10
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it in the middle of whatever it does.
    pub fn kill(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// Asks it to end, and waits: its exit status.
    pub fn stop(mut self) -> i32 {
        signal("TERM", self.child.id());
        self.ended(30)
    }

    /// Waits until it has ended by itself: its exit status.
    pub fn ended(&mut self, seconds: u64) -> i32 {
        let status = poll(seconds, || self.child.try_wait().expect("it is our child"));
        let status = status.unwrap_or_else(|| panic!("it has not ended within {seconds} s\n{}", self.tail()));
        status.code().unwrap_or_else(|| panic!("it was ended by {status}\n{}", self.tail()))
    }
}

fn gather(from: impl Read + Send + 'static, into: Arc<Mutex<Vec<String>>>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            into.lock().expect("no reader panics").push(line);
        }
    });
}

impl Drop for Node {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.tail());
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
