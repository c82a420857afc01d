//! The prompt: over the files of a folder, beside a node that writes them, and inside one.

use caesure_bench::chain::Spec;
use caesure_bench::records::Fork;
use caesure_tests::binary::{command, run};
use caesure_tests::core::{Core, bitcoind};
use caesure_tests::{Folder, Made, Node, Server, Setup, coins_digest, made, poll};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// 200 blocks, a rival of two at height 150: the chain of `tools.rs`.
fn chain() -> Made {
    made(&Spec { seed: 71, blocks: 200, txs: 4_000, empty_tail: 0 }, &[Fork { at: 150, length: 2, txs: 20 }])
}

fn of(base: &Path) -> [String; 4] {
    ["--chain", "regtest", "-b", base.to_str().unwrap()].map(String::from)
}

/// Status, standard output, standard error.
fn tool(base: &Folder, words: &[&str]) -> (i32, String, String) {
    let of = of(base.path());
    let of: Vec<&str> = of.iter().map(String::as_str).collect();
    run(&[words, &of].concat())
}

fn well(base: &Folder, words: &[&str]) -> String {
    let (status, out, err) = tool(base, words);
    assert_eq!(status, 0, "{words:?}: {out}{err}");
    out
}

/// The console with these lines on its standard input.
fn piped(base: &Folder, words: &[&str], lines: &str) -> (i32, String) {
    let mut console = command(&[&["console"], words].concat());
    console.args(of(base.path())).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = console.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_prompt_works_over_files_and_in_a_pipe() {
    let (made, base) = (chain(), chain().stored());
    let (status, out) = piped(
        &base,
        &["--offline"],
        "let db = G.block_db\ndb.last_block\ndb.by_num(200).name\nfor t in db.tips() {\nprint(t)\n}\nlen(db)\n_ + 1\n",
    );
    assert_eq!(status, 0, "{out}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 6, "{out}");
    assert_eq!(lines[..2], ["200", &format!("<{}>", made.tip)]);
    assert_eq!(lines[2], lines[1], "the highest tip");
    assert_eq!(lines[4..], ["203", "204"]);
    let (status, out) = piped(&base, &["--offline", "--seconds", "1"], "while true {}\ndb.last_block\n");
    assert_eq!((status, out.as_str()), (1, "error: stopped: it took longer than 1 s\n200\n"));
    assert_eq!(well(&base, &["console", "--offline", "-e", "db.last_block"]), "200\n");
    let (status, out, err) = tool(&base, &["console", "--offline", "-e", "db.by_num(201)"]);
    assert_eq!((status, out.as_str()), (1, "error: the best chain ends at height 200\n"), "{err}");
    let (status, _, err) = tool(&base, &["console", "-e", "1"]);
    assert!(status == 1 && err.contains("caesure console --offline"), "{err}");
    let (status, _, err) = tool(&Folder::new(), &["console", "--offline", "-e", "1"]);
    assert!(status == 2 && err.contains("no node has run here"), "{err}");
}

#[test]
fn a_folder_is_followed_while_a_node_writes_it() {
    let chain = made(&Spec { seed: 62, blocks: 600, txs: 40_000, empty_tail: 0 }, &[]);
    let base = Folder::new();
    let peer = Server::honest(chain.line());
    let node = Node::start(&base, &Setup::regtest(&[]));
    let mut console = command(&["console", "--offline"]);
    console.args(of(base.path())).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = console.spawn().unwrap();
    let (mut lines, mut answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut ask = |line: &str| {
        writeln!(lines, "{line}").unwrap();
        let (mut answer, mut byte) = (String::new(), [0]);
        while byte != *b"\n" {
            answers.read_exact(&mut byte).unwrap();
            answer.push(byte[0].into());
        }
        answer.trim().to_owned()
    };
    assert_eq!(ask("db.last_block"), "0");
    peer.dial(node.p2p);
    let (mut seen, mut between) = (0, 0);
    let done = poll(120, || {
        let height: u32 = ask("db.last_block").parse().unwrap();
        assert!(height >= seen);
        assert!(ask("db.last.transactions[0].name").starts_with('<'), "the last block can be read");
        between += u32::from(height > seen && height < 600);
        seen = height;
        (height == 600).then_some(())
    });
    done.unwrap_or_else(|| panic!("no tip\n{}", node.tail()));
    println!("{between} heights seen between");
    assert_eq!(ask("db.last.name"), format!("<{}>", chain.tip));
    drop(lines);
    assert!(child.wait().unwrap().success());
    node.wait_tip(&chain.tip, 60);
    assert_eq!(node.stop(), 0);
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
}

#[test]
fn the_prompt_inside_a_node_knows_its_parts() {
    let chain = chain();
    let base = Folder::new();
    let peer = Server::honest(chain.line());
    let node = Node::start(&base, &Setup::regtest(&[peer.addr]));
    node.wait_tip(&chain.tip, 60);
    poll(10, || node.ask("peers").contains(&peer.addr.to_string()).then_some(())).expect("the peer is listed");
    // As with nc: prompts, blocks of lines, values that stay.
    let said = node.ask("let db = G.block_db; db.last_block\nfn f(x) {\nx + 1\n}\nf(_)\n\nstatus");
    let (answers, status) = said.split_once("> ").unwrap().1.split_once("> > ").unwrap();
    assert_eq!(answers, "200\n> ... ... > 201\n");
    assert!(status.contains(&chain.tip), "{status}");
    assert!(node.ask("help").contains("help()"), "the commands tell of the language");
    let line = chain.line();
    let name = line.blocks[200].0;
    let mut root = line.header(200).merkle_root;
    root.reverse();
    let lines = format!(
        "db.last.name\nlet tx = db.last.transactions[0]\nG.peers[0].address\nG.hoover.remaining\nG.cores.len()\n\
         G.limits.window_bytes > 0\nG.ledger.totals.height\nlet w = G.ledger.world('{name}'); w.coin(tx.name, 0).value == tx.outputs[0][0]\n\
         w.coin(tx.name, 0).coinbase\nw.coin(tx.name, 999)\nG.ledger.world(db.prev(w.name)).coin(tx.name, 0)\n\
         G.ledger.coin(tx.name, 0).height\nG.chain\n"
    );
    let (status, out) = piped(&base, &[], &lines);
    let wanted = format!("<{name}>\n{}\n0\n2\ntrue\n200\ntrue\ntrue\n200\nregtest\n", peer.addr);
    // The desk has a core of its own in the list.
    let out = out.replace("\n0\n3\n", "\n0\n2\n");
    assert_eq!((status, out), (0, wanted));
    let (status, out) = piped(&base, &["-e", "G.invalidate(db.last)"], "");
    assert!(status == 1 && out.contains("--monitor-write"), "{out}");
    assert_eq!(node.stop(), 0);
}

#[test]
fn scripts_that_never_end_are_bounded_and_hurt_no_node() {
    let chain = chain();
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[]));
    let start = Instant::now();
    let scripts = [
        ("while true {}", "error: stopped: it took "),
        ("fn f(n) { f(n) } f(1)", "error: stopped: calls lie more than"),
        ("let s = `xx`; loop { s += s }", "error: stopped: Length of string"),
        ("let a = [0]; loop { a += a }", "error: stopped: Size of array"),
        ("loop { print(`x`) }", "error: stopped: it "),
        ("let a = []; loop { a = [a] }", "error: stopped: "),
        ("let s = `x`; s.pad(900000, 'x'); let a = []; loop { a.push(s + a.len()) }", "error: stopped: "),
    ];
    let talks: Vec<_> = scripts
        .into_iter()
        .map(|(script, why)| {
            let path = node.folder.join("caesure.bd");
            std::thread::spawn(move || {
                let mut stream = UnixStream::connect(path).unwrap();
                writeln!(stream, "{script}\n1 + 1").unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                let mut said = String::new();
                stream.read_to_string(&mut said).unwrap();
                let end = &said[said.len().saturating_sub(200)..];
                assert!(said.contains(why), "{script}: {end}");
                assert!(said.ends_with("> 2\n> "), "{script}: {end}");
            })
        })
        .collect();
    // One that goes away in the middle.
    let mut gone = UnixStream::connect(node.folder.join("caesure.bd")).unwrap();
    writeln!(gone, "loop {{}}").unwrap();
    drop(gone);
    // All the while the node answers and works.
    let peer = Server::honest(chain.line());
    peer.dial(node.p2p);
    node.wait_tip(&chain.tip, 60);
    for talk in talks {
        talk.join().unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    assert!(node.ask("status").contains(&chain.tip));
    let quiet = |threads: u64| (threads < 64).then_some(());
    poll(10, || quiet(fs::read_dir(format!("/proc/{}/task", node.pid())).unwrap().count() as u64))
        .expect("threads end");
    assert_eq!(node.stop(), 0);
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
}

/// Bitcoin Core's own answers, field by field, for every block; and its words for scripts of every kind.
#[test]
fn json_addresses_and_kinds_are_those_of_bitcoin_core() {
    let Some(bitcoind) = bitcoind() else { return };
    let (made, base) = (chain(), chain().stored());
    let core = Core::start(&bitcoind, &[format!("-loadblock={}", made.path.display())]);
    core.wait_tip(&made.tip, 60);
    let out = well(&base, &["console", "--offline", "-e", "for b in db { print(b.json()) }"]);
    let ours: Vec<Value> = serde_json::Deserializer::from_str(&out).into_iter().map(Result::unwrap).collect();
    assert_eq!(ours.len(), 201);
    for (height, ours) in ours.iter().enumerate() {
        let hash = ours["hash"].as_str().unwrap();
        let theirs = core.call("getblock", serde_json::json!([hash, 2]));
        for (field, value) in ours.as_object().unwrap().iter().filter(|(field, _)| *field != "tx") {
            assert_eq!(*value, theirs[field], "{field} of block {height}");
        }
        for (ours, theirs) in ours["tx"].as_array().unwrap().iter().zip(theirs["tx"].as_array().unwrap()) {
            let mut theirs = theirs.clone();
            // What needs coins, is the same again, or a descriptor.
            for field in ["fee", "hex"] {
                theirs.as_object_mut().unwrap().remove(field);
            }
            for output in theirs["vout"].as_array_mut().unwrap() {
                output["scriptPubKey"].as_object_mut().unwrap().remove("desc");
            }
            assert_eq!(*ours, theirs, "block {height}");
        }
        assert_eq!(ours["tx"].as_array().unwrap().len(), theirs["tx"].as_array().unwrap().len());
    }
    let key = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    let (hash, long) = ("11".repeat(20), "22".repeat(32));
    let scripts = [
        format!("21{key}ac"),
        format!("76a914{hash}88ac"),
        format!("a914{hash}87"),
        format!("5121{key}21{key}52ae"),
        format!("5321{key}52ae"),
        format!("0111{}0111ae", format!("21{key}").repeat(17)),
        format!("0014{hash}"),
        format!("0020{long}"),
        format!("5120{long}"),
        "51024e73".into(),
        "5102aaaa".into(),
        format!("6014{hash}"),
        format!("0015{hash}00"),
        "6a0461626364".into(),
        "6aac".into(),
        "6a50".into(),
        "6a4c".into(),
        "76a9".into(),
        "0201".into(),
        "63516867".into(),
    ];
    let lines: String = scripts.iter().map(|script| format!("kind('{script}')\naddress('{script}')\n")).collect();
    let (_, out) = piped(&base, &["--offline"], &lines);
    let told: Vec<&str> = out.lines().collect();
    for (script, told) in scripts.iter().zip(told.chunks(2)) {
        let theirs = core.call("decodescript", serde_json::json!([script]));
        let kind = told[0].replace("bad", "nonstandard");
        assert_eq!(kind, theirs["type"].as_str().unwrap(), "{script}");
        match theirs["address"].as_str() {
            Some(address) => assert_eq!(told[1], address, "{script}"),
            None => assert!(told[1].starts_with("error: "), "{script}: {}", told[1]),
        }
    }
    assert_eq!(told.len(), 2 * scripts.len());
}
