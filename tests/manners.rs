//! How the program behaves towards whoever keeps it running: signals, systemd, the background, settings, its manual.

use caesure_tests::binary::{command, run};
use caesure_tests::node::{free_port, signal};
use caesure_tests::{Folder, Node, Setup, poll};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn usr1_has_the_state_written_into_the_log() {
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[]));
    assert_eq!(node.logged("status: state"), None);
    signal("USR1", node.pid());
    for line in ["status: state ", "status: height ", "worlds: ", "peers: ", "topology: "] {
        node.wait_log(line, 30);
    }
    assert_eq!(node.stop(), 0);
}

/// What systemd would hear, until something says `word`; all of it.
fn heard(socket: &UnixDatagram, word: &str) -> Vec<String> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let len = socket.recv(&mut buffer).unwrap_or_else(|why| panic!("no {word}: {why}; {all:?}"));
        let text = String::from_utf8(buffer[..len].to_vec()).unwrap();
        all.extend(text.lines().map(String::from));
        if all.iter().any(|line| line == word) {
            return all;
        }
    }
}

#[test]
fn systemd_is_told() {
    let base = Folder::new();
    let path = base.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (to, within) = (format!("NOTIFY_SOCKET={}", path.display()), "WATCHDOG_USEC=3000000");
    let node = Node::start(&base, &Setup::regtest(&[]).by(&["env", &to, within]));
    heard(&socket, "READY=1");
    let told = heard(&socket, "WATCHDOG=1");
    assert!(told.iter().any(|line| line == "STATUS=headers: height 0 of 0 (0.0 %)"), "{told:?}");
    signal("HUP", node.pid());
    let told = heard(&socket, "RELOADING=1");
    assert!(
        told.iter().any(|line| line.starts_with("MONOTONIC_USEC=")) || heard(&socket, "READY=1").len() > 1,
        "{told:?}"
    );
    signal("TERM", node.pid());
    heard(&socket, "STOPPING=1");
}

#[test]
fn settings_are_shown_with_where_they_come_from() {
    let base = Folder::new();
    let (toml, words) = (base.join("caesure.toml"), base.join("words"));
    std::fs::write(&toml, "outgoing = 3\nuser = [\"op:secret-word\"]\n").unwrap();
    std::fs::write(&words, format!("--base\n{}\n# a remark\n--no-pin\n-a", base.text())).unwrap();
    let at = format!("@{}", words.display());
    let shown = |more: &[&str]| {
        let out =
            command(&[&[at.as_str(), "config", "show"], more].concat()).env("CAESURE_INCOMING", "7").output().unwrap();
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    let text = shown(&["--origin"]);
    let origin = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap();
        line.split("# ").nth(1).unwrap().to_owned()
    };
    let wanted = ["flag", "CAESURE_INCOMING", toml.to_str().unwrap(), "default", toml.to_str().unwrap()];
    assert_eq!(["base", "incoming", "outgoing", "prune", "user"].map(origin), wanted);
    let json: Value = serde_json::from_str(&shown(&["--json"])).unwrap();
    assert_eq!((&json["incoming"]["value"], &json["incoming"]["origin"]), (&"7".into(), &"CAESURE_INCOMING".into()));
    for text in [&text, &shown(&[]), &json.to_string()] {
        assert!(!text.contains("secret-word") && text.contains("op"), "{text}");
    }
    let (status, said, _) = run(&["-b", base.text(), "config", "check", "--monitor-write", "--cores", "1"]);
    assert_eq!((status, said.lines().last()), (0, Some("the settings can be obeyed")), "{said}");
    assert!(said.contains("warning: --monitor-write has no effect without --monitor"), "{said}");
    std::fs::write(&toml, "outgoing = \"many\"\n").unwrap();
    let (status, _, why) = run(&["-b", base.text(), "config", "check"]);
    assert!(status == 2 && why.contains("outgoing in ") && why.contains("many"), "{status} {why}");
    let (status, _, why) = run(&["@/nowhere/words"]);
    assert!(status == 2 && why.contains("@/nowhere/words: No such file"), "{why}");
}

#[test]
fn the_manual_and_completions_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        let (status, text, _) = run(&["completions", shell]);
        assert!(status == 0 && text.contains("checkpoint-bandwidth") && text.contains("txmap"), "{shell}");
    }
    let (_, text, _) = run(&["completions", "bash"]);
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success(), "bash cannot read it");
    let (status, text, _) = run(&["man"]);
    assert!(
        status == 0 && text.contains(".TH caesure 1") && text.contains("ended at once by a second INT or TERM"),
        "{text}"
    );
    let folder = Folder::new();
    let pages = folder.join("man1");
    assert_eq!(run(&["man", "--out", pages.to_str().unwrap()]).0, 0);
    for page in ["caesure.1", "caesure-blocks.1", "caesure-blocks-cat.1", "caesure-doctor.1"] {
        assert!(std::fs::read_to_string(pages.join(page)).unwrap().contains(".TH caesure"), "{page}");
    }
}

#[test]
fn the_doctor_finds_what_is_amiss_and_what_mends_it() {
    let base = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let node = Node::start(&base, &Setup::regtest(&[]));
    let look = |folder: &str, more: &[&str]| {
        let words = ["--chain", "regtest", "-b", folder, "--no-pin", "--cores", "2", "doctor", "--json"];
        let (status, text, why) = run(&[&words, more].concat());
        let rows: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text} {why}"));
        (status, rows, why)
    };
    let row = |rows: &[Value], what: &str| {
        rows.iter().find(|row| row["what"] == what).unwrap_or_else(|| panic!("{what}")).clone()
    };
    let (_, rows, _) = look(base.text(), &["-s", &node.p2p.to_string()]);
    for what in [
        "kernel",
        "io_uring",
        "locked memory",
        "open files",
        "direct writes",
        "CPUs",
        "room on disk",
        "clock",
        "NUMA",
        "processor",
        "folder",
        "ports",
    ] {
        let row = row(&rows, what);
        assert!(row["grade"] == "ok" || row["mend"].is_string(), "{row}");
    }
    assert_eq!(row(&rows, "ports")["found"], "taken, and a node runs here");
    assert_eq!(
        row(&rows, "folder")["found"],
        format!("process {} runs a node on {}", node.pid(), node.folder.display())
    );
    assert_eq!(node.stop(), 0);
    let (status, rows, why) = look(base.text(), &["-s", &port]);
    assert!(status == 1 && why.contains("ss -ltnp") && row(&rows, "ports")["grade"] == "FAIL", "{status} {why}");
    std::fs::write(base.join("regtest/VERSION"), "77\n").unwrap();
    let (status, rows, why) = look(base.text(), &[]);
    assert!(status == 9 && why.contains("format 77") && row(&rows, "folder")["grade"] == "FAIL", "{status} {why}");
}

#[test]
fn the_background_is_entered_once_the_node_is_ready() {
    let base = Folder::new();
    let (page, log) = (format!("127.0.0.1:{}", free_port()), base.join("log"));
    let words =
        ["--chain", "regtest", "-b", base.text(), "--no-pin", "--cores", "1", "-o", "0", "-a", &page, "--daemon"];
    let (status, _, why) = run(&words);
    assert!(status == 2 && why.contains("try: --logfile PATH"), "{why}");
    let words = [&words[..], &["--logfile", log.to_str().unwrap()]].concat();
    let (status, said, why) = run(&words);
    assert_eq!((status, said.starts_with("caesure runs in the background, process ")), (0, true), "{said} {why}");
    let pid_file = base.join("regtest/caesure.pid");
    let pid = std::fs::read_to_string(&pid_file).unwrap().trim().to_owned();
    assert!(said.trim_end().ends_with(&format!("process {pid}")), "{said}");
    // It is ready, of a session of its own, and says nothing to anybody's terminal.
    assert!(TcpStream::connect(&page).is_ok());
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap();
    assert_eq!(session, pid);
    for out in ["1", "2"] {
        assert_eq!(std::fs::read_link(format!("/proc/{pid}/fd/{out}")).unwrap().to_str(), Some("/dev/null"));
    }
    // A second one does not start, and this terminal is told why, with its status.
    let (status, _, why) = run(&words);
    assert!(status == 3 && why.contains(&format!("in use by another caesure (process {pid})")), "{status} {why}");
    signal("TERM", pid.parse().unwrap());
    poll(30, || (!pid_file.exists()).then_some(())).expect("it ends, and its file goes");
    poll(30, || (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())).expect("it ends");
    let (status, text, _) = run(&["catlog", log.to_str().unwrap()]);
    assert!(status == 0 && text.contains("stopping"), "{text}");
}

#[test]
fn a_second_signal_ends_a_node_that_cannot_end_in_order() {
    let base = Folder::new();
    let (monitor, page) = (base.join("bd"), free_port());
    let words = [
        "--chain",
        "regtest",
        "-b",
        base.text(),
        "--no-pin",
        "--cores",
        "1",
        "-o",
        "0",
        "-a",
        &page.to_string(),
        "--log",
        "off",
        "--monitor-write",
        "-m",
        monitor.to_str().unwrap(),
    ];
    // Nobody reads what it says, and there is no room for more.
    let (_reader, writer) = std::io::pipe().unwrap();
    fill(&writer);
    let mut node = command(&words).stdout(Stdio::null()).stderr(writer).spawn().unwrap();
    let mut prompt = poll(60, || std::os::unix::net::UnixStream::connect(&monitor).ok()).expect("it is up");
    let answers = || {
        let mut stream = TcpStream::connect(("127.0.0.1", page)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
        (stream.read(&mut [0; 16]).ok()? > 0).then_some(())
    };
    poll(60, answers).expect("it listens to what it is asked");
    prompt.write_all(b"log info\n").unwrap();
    poll(60, || answers().is_none().then_some(())).expect("it waits for somebody to read");
    signal("INT", node.id());
    // That signal was taken once it is pending no more.
    let pending = || std::fs::read_to_string(format!("/proc/{}/status", node.id())).unwrap();
    poll(30, || pending().contains("ShdPnd:\t0000000000000000").then_some(())).expect("the first is taken");
    let ended = poll(60, || {
        signal("INT", node.id());
        node.try_wait().unwrap()
    });
    assert_eq!(ended.expect("it ends").code(), Some(130));
}

/// Writes into a pipe until it takes no more.
fn fill(pipe: &std::io::PipeWriter) {
    let mut own = pipe.try_clone().unwrap();
    // Its size, which a pipe takes without waiting (pipe(7)).
    own.write_all(&[b'x'; 65_536]).unwrap();
}
