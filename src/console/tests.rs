//! Conversations over a small chain: the idioms of 2014 as they were typed, each line of the help, and what must end.

use super::*;
use crate::console::help;
use crate::console::limits::{LIVE, OFFLINE, STACK};
use crate::stored::Stored;
use caesure_bench::chain::{Factory, Spec};
use caesure_bench::records::write_record;
use consensus::Params;
use std::path::PathBuf;

/// A folder of its own with a chain of 130 blocks; it goes when this does.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn folder(name: &str) -> Folder {
    let path = std::env::temp_dir().join(format!("caesure-console-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    let mut out = std::fs::File::create(path.join("blocks.bin")).unwrap();
    write_record(&mut out, &caesure_bench::block::Block::genesis()).unwrap();
    for block in Factory::new(Spec { seed: 3, blocks: 130, txs: 300, empty_tail: 0 }).unwrap() {
        write_record(&mut out, &block).unwrap();
    }
    Folder(path)
}

/// A session over a folder, and what it prints.
fn session(
    folder: &Folder,
    ask: Option<Question>,
    limits: Limits,
    stop: Arc<AtomicBool>,
) -> (Session, Arc<Mutex<String>>) {
    let stored = Stored::open(Params::of(Network::Regtest), &folder.0).unwrap();
    let said = Arc::new(Mutex::new(String::new()));
    let print: Print = {
        let said = said.clone();
        Arc::new(move |text: &str| said.lock().unwrap().push_str(text))
    };
    (Session::new(Arc::new(Shelf::new(stored)), Network::Regtest, ask, print, limits, stop), said)
}

/// Talks, on a thread like those that sessions have.
fn talk(name: &str, limits: Limits, ask: Option<Question>, then: impl FnOnce(&mut dyn FnMut(&str) -> String) + Send) {
    let folder = folder(name);
    std::thread::scope(|scope| {
        let run = || {
            let (mut session, said) = session(&folder, ask, limits, Arc::default());
            let mut line = |line: &str| -> String {
                let came = line.split('\n').map(|line| session.line(line)).last().expect("split gives at least one");
                let text = std::mem::take(&mut *said.lock().unwrap());
                if came == Came::More { format!("{text}...") } else { text.trim_end().to_owned() }
            };
            then(&mut line);
        };
        std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, run).unwrap();
    });
}

fn offline(name: &str, then: impl FnOnce(&mut dyn FnMut(&str) -> String) + Send) {
    talk(name, OFFLINE, None, then);
}

#[test]
fn the_idioms_of_2014_work_as_typed() {
    offline("idioms", |say| {
        assert_eq!(say("let db = G.block_db"), "");
        assert_eq!(say("db.last_block"), "130");
        assert_eq!(say("len(db)"), "131");
        assert_eq!(say("let b = db.by_num(125)"), "");
        let shown = say("db.num_block(125)");
        let hash = shown.strip_prefix("[<").unwrap().strip_suffix(">]").unwrap().to_owned();
        assert_eq!(say("db.num_block[125]"), shown);
        for by in [format!("db[\"{hash}\"]"), format!("db['{hash}']"), "db[b.name]".into(), "db[125]".into()] {
            assert_eq!(say(&format!("{by}.name")), format!("<{hash}>"), "{by}");
        }
        let dump = say("b.transactions[1].dump()");
        assert!(dump.starts_with("hash: ") && dump.contains("\ninputs: ") && dump.contains("\nlock_time: "), "{dump}");
        assert_eq!(say("let tx = b.transactions[0]"), "");
        let dump = say("tx.dump()");
        let input = say("tx.inputs[0]");
        assert!(input.starts_with("[[<") && input.ends_with(']'), "{input}");
        let tuples = say("parse_script(_)");
        assert!(tuples.starts_with("[["), "{tuples}");
        let words = say("pprint_script(_)");
        assert!(words.starts_with("['0x"), "{words}");
        assert!(dump.contains(&format!(" {words} 4294967")), "{words}: {dump}");
        assert_eq!(say("pprint_script(tx.inputs[0])"), words);
        let name = say("b.name");
        let next = say("db.next(b.name)");
        assert_eq!(next, say("db.num_block(126)"));
        assert_eq!(say("db.prev[db.next(b.name)[0]]"), name);
        let all = say("for tx in b.transactions { tx.dump() }");
        assert_eq!(all.matches("hash: ").count().to_string(), say("b.transactions.len()"));
        assert_eq!(say("b.dump()").matches("\ntx ").count().to_string(), say("len(b)"));
    });
}

#[test]
fn lines_wait_for_their_end_and_what_was_defined_stays() {
    offline("lines", |say| {
        assert_eq!(say("fn twice(x) {"), "...");
        assert_eq!(say("  x + x"), "...");
        assert_eq!(say("}"), "");
        assert_eq!(say("twice(21)"), "42");
        assert_eq!(say("_ + 1"), "43");
        assert_eq!(say("_ + _"), "86");
        assert_eq!(say("let y = _; print(`${_}`)"), "86");
        assert_eq!(say("y"), "86");
        assert_eq!(say("let sum = 0;\nfor h in 0..4 {\n  sum += h;\n}\nsum"), "6");
        assert_eq!(say("1 +"), "...");
        assert!(say("").starts_with("error: "));
        assert_eq!(say("["), "...");
        assert!(say("").starts_with("error: "), "an empty line ends it");
        // A name may be given any number of times.
        (0..200).for_each(|n| assert_eq!(say(&format!("let z = {n}")), ""));
        assert_eq!(say("z"), "199");
        assert_eq!(say("fn last() { db.last_block } last()"), "130", "db and G are known in functions");
        assert_eq!(say("nonsense"), "error: Variable not found: nonsense (line 1, position 1)");
        assert_eq!(say("db.by_num(131)"), "error: the best chain ends at height 130");
        assert_eq!(say("db['00']"), "error: \"00\" is no name: 64 hex digits were wanted");
        assert_eq!(say("G.peers"), "error: no node is asked here: these are files (--offline)");
    });
}

#[test]
fn each_line_of_the_help_can_be_typed() {
    offline("help", |say| {
        let help = say("help()");
        for begin in [
            "let h = 101",
            "let b = db[h]",
            "let n = b.name",
            "let tx = b.transactions[0]",
            "let s = tx.outputs[0]",
            "let a = address(s)",
            "let x = 1",
            "let k = '02' + '79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'",
        ] {
            assert_eq!(say(begin), "", "{begin}");
        }
        assert_eq!(say("1"), "1");
        for (usage, _) in help::ALL {
            assert!(help.contains(usage));
            let said = say(usage);
            if usage.starts_with("txmap") {
                assert!(said.contains("caesure txmap makes it"), "{said}");
                continue;
            }
            if usage.starts_with("tx.verify") {
                // What makes coins spends none.
                assert!(said.starts_with("error: ") && said.contains("EQUALVERIFY: "), "{said}");
                continue;
            }
            let live = usage.starts_with("G.");
            assert_eq!(said.starts_with("error: "), live, "{usage}: {said}");
            assert!(!live || said.contains("no node is asked"), "{usage}: {said}");
        }
        for more in [
            "b.height",
            "b.version",
            "b.prev_block",
            "b.merkle_root",
            "b.timestamp",
            "b.bits",
            "b.nonce",
            "b.size",
            "b.raw",
            "tx.version",
            "tx.lock_time",
            "tx.size",
            "tx.raw",
            "tx.wtxid",
            "tx.block",
            "tx.get_hash()",
            "n in db",
        ] {
            let said = say(more);
            assert!(!said.is_empty() && !said.starts_with("error"), "{more}: {said}");
        }
        assert_eq!(say("make_block(b.raw).name == b.name && make_tx(tx.raw).name == tx.name"), "true");
        assert_eq!(say("b.get_merkle_hash() == b.merkle_root"), "true");
        assert_eq!(say("compute_reward(150)"), "2500000000");
        assert_eq!(say("script(address(s)) == s[1]"), "true");
        assert_eq!(
            say("key_to_address(k) + ' ' + bcrepr(3952026906)"),
            "mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r 39.52026906"
        );
        assert_eq!(say("let c = 0; for b in db { c += b.transactions.len() } c > 131"), "true");
        assert!(help::words().contains(&"last_block".into()) && help::words().contains(&"get_hash".into()));
    });
}

#[test]
fn scripts_are_taken_apart_put_together_and_run() {
    offline("apart", |say| {
        // Every way to push, conditions within each other, and what nobody knows.
        for script in [
            "",
            "00",
            "4f",
            "51",
            "60",
            "0101",
            "4c020101",
            "4d01000a",
            "4e0100000001",
            "76a914",
            "6351675268",
            "635167526753636854686a",
            "6452ab68ac",
            "5152ae",
            "ba50ff",
            "21ac",
        ] {
            let whole = say(&format!("parse_script('{script}')"));
            let again = say(&format!("hexify(unparse_script(parse_script('{script}')))"));
            assert_eq!(again.starts_with("error"), whole.starts_with("error"), "{script}: {again}");
            assert!(again == script || whole.starts_with("error"), "{script}: {again}");
        }
        assert!(say("parse_script('21ac')").starts_with("error"), "some cannot be read");
        for (wrong, why) in [
            ("[1]", "not what parse_script gives"),
            ("[[9]]", "not what parse_script gives"),
            ("[[0, unhex('00'), 0]]", "1 bytes cannot be pushed in way 0"),
            ("[[0, unhex(''), 1]]", "0 bytes cannot be pushed in way 1"),
            ("[[2, 256]]", "not what parse_script gives"),
            ("[[1, true, [[2, 81]]]]", "not what parse_script gives"),
        ] {
            let said = say(&format!("unparse_script({wrong})"));
            assert!(said.starts_with("error: ") && said.contains(why), "{wrong}: {said}");
        }
        // Each spend of a block with the outputs that it spends, found by walking the chain.
        assert_eq!(
            say("let made = #{}; for b in db { for t in b.transactions { made[t.name.hex()] = t.outputs } }"),
            ""
        );
        let spent =
            "fn spent(tx, made) { let all = []; for i in tx.inputs { all.push(made[i[0][0].hex()][i[0][1]]) } all }";
        assert_eq!(say(spent), "");
        let count =
            say("let n = 0; for h in 110..131 { for tx in db[h].transactions { if tx.inputs[0][0][1] < 4294967295 { \
            for i in 0..tx.inputs.len() { if tx.verify(i, spent(tx, made)) { n += 1 } } } } } n");
        assert!(count.parse::<u32>().is_ok_and(|count| count > 100), "{count}");
        assert_eq!(say("let tx = db[125].transactions[1]; let o = spent(tx, made); tx.verify(0, o)"), "true");
        // Of another amount or another script it is no spend.
        let wrong = say("o[0] = [o[0][0], script(key_to_address('00'.repeat(20)))]; tx.verify(0, o)");
        assert!(wrong.starts_with("error: "), "{wrong}");
        for (call, why) in [
            ("tx.verify(99, o)", "there is no number 99"),
            ("tx.verify(0, [])", "for each input"),
            ("tx.verify(0, 1)", "for each input"),
            ("tx.verify(0, [-1, ''])", "for each input"),
        ] {
            let said = say(call);
            assert!(said.starts_with("error: ") && said.contains(why), "{call}: {said}");
        }
    });
}

#[test]
fn blocks_are_told_as_they_come() {
    offline("feed", |say| {
        assert_eq!(say("let q = db.block_broker.subscribe(); q.pop()"), "", "none comes");
        let path = std::env::temp_dir().join(format!("caesure-console-{}-feed", std::process::id())).join("blocks.bin");
        let name = say("db.last.name");
        // Two of another branch, shorter than the best.
        let branch = Factory::new(Spec { seed: 4, blocks: 2, txs: 0, empty_tail: 0 }).unwrap();
        let mut out = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        let mut names = Vec::new();
        for block in branch {
            write_record(&mut out, &block).unwrap();
            names.push(say("q.pop().height"));
        }
        assert_eq!(names, ["1", "2"]);
        assert_eq!((say("q.pop()"), say("db.last.name")), (String::new(), name));
    });
}

#[test]
fn scripts_that_never_end_are_ended() {
    let quick = Limits { seconds: Some(1), ..LIVE };
    talk("ends", quick, None, |say| {
        for (script, why) in [
            ("while true {}", "stopped: it took "),
            ("loop { let x = 1; }", "stopped: it took "),
            ("fn f(n) { f(n + 1) } f(0)", "stopped: calls lie more than 32 deep"),
            ("let s = 'xy'; loop { s += s; }", "stopped: Length of string is too large"),
            ("let a = [1]; loop { a += a; }", "stopped: Size of array/BLOB is too large"),
            ("let a = []; loop { a.push(1); }", "stopped: "),
            ("let m = #{}; let i = 0; loop { m[`${i}`] = i; i += 1; }", "stopped: "),
            ("let s = `x`; s.pad(1000000000, 'x')", "stopped: Length of string"),
            ("let a = []; a.pad(1000000000, 1)", "stopped: Size of array"),
            ("blob(1000000000)", "stopped: Size of array"),
            ("loop { print('x') }", "stopped: it "),
            ("eval('1')", "error: "),
            ("let a = []; loop { a = [a]; }", "stopped: "),
        ] {
            let start = Instant::now();
            let said = say(script);
            let shown = &said[said.len().saturating_sub(300)..];
            assert!(said.contains(why), "{script}: {shown}");
            assert!(start.elapsed() < Duration::from_secs(20), "{script}: {:?}", start.elapsed());
        }
        let nested = format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(say(&nested).starts_with("error: "), "too deep to be read");
        let many: String = (0..100).map(|n| format!("let v{n} = 1;")).collect();
        assert!(say(&many).contains("more than 64 variables"));
        assert!(say(&"x".repeat(CODE + 1)).contains("bytes of code"));
        // It is as good as new.
        assert_eq!(say("db.last_block"), "130");
    });
}

/// Code of all the room there is, nested in each way there is: it is refused or run, and costs neither the stack nor the time.
#[test]
fn code_within_code_hurts_nobody() {
    const NESTS: [(&str, &str); 40] = [
        ("(", "1"),
        ("[", "1"),
        ("{", "1"),
        ("!", "true"),
        ("-", "1"),
        ("- ", "1"),
        ("1+", "1"),
        ("1-", "1"),
        ("1*", "1"),
        ("2**", "2"),
        ("a.", "a"),
        ("a?.", "a"),
        ("a.b().", "c"),
        ("f(", "1"),
        ("f(1)(", "1"),
        ("`${", "1"),
        ("`", "1"),
        ("if true {", "1"),
        ("if true {1} else ", "{1}"),
        ("fn a(){", "1"),
        ("x[", "0"),
        ("x[0]", ""),
        ("|x|", "1"),
        ("||", "1"),
        ("#{a:", "1"),
        ("let a = ", "1"),
        ("switch 1 { 1 => ", "1"),
        ("/*", "1"),
        ("1..", "1"),
        ("return ", "1"),
        ("throw ", "1"),
        ("try {", "1"),
        ("while true {", "1"),
        ("for x in ", "1"),
        ("1 in ", "1"),
        ("a ?? ", "1"),
        ("true && ", "true"),
        ("true || ", "true"),
        ("1 == ", "1"),
        ("a = ", "1"),
    ];
    let quick = Limits { seconds: Some(2), ..LIVE };
    talk("code", quick, None, |say| {
        for (nest, end) in NESTS {
            let start = Instant::now();
            let code = nest.repeat((CODE - 100) / nest.len()) + end;
            say(&code);
            // What is open is ended.
            say("");
            assert!(start.elapsed() < Duration::from_secs(20), "{nest}: {:?}", start.elapsed());
            assert_eq!(say("40 + 2"), "42", "after {nest}");
        }
    });
}

/// The node ends where anything panics, so nothing may: numbers at their ends, places far away, bytes that are nothing.
#[test]
fn extremes_are_errors_and_no_panics() {
    const CALLS: [&str; 66] = [
        "A + B",
        "A - B",
        "A * B",
        "A / B",
        "A % B",
        "A ** B",
        "A << B",
        "A >> B",
        "-A",
        "A.abs()",
        "A.sign()",
        "A & B",
        "A..B",
        "(A..B).len()",
        "range(A, B, 1).len()",
        "for x in range(A, B, 7) { if x > 3 { break } }",
        "[1, 2, 3][A]",
        "`abc`[A]",
        "let l = [1, 2, 3]; l.extract(A, B)",
        "let l = [1, 2, 3]; l.splice(A, B, [4])",
        "let l = [1]; l.insert(A, 1)",
        "let l = [1, 2]; l.remove(A)",
        "let l = [1, 2]; l.truncate(A)",
        "let l = [1, 2]; l.chop(A)",
        "let l = [1]; l.pad(A, 0)",
        "let l = [1, 2]; l.drain(A, B)",
        "let l = [1, 2]; l.retain(A, B)",
        "let l = [1, 2]; l.split(A)",
        "l[A] = 1",
        "`abc`.sub_string(A, B)",
        "let s = `abc`; s.crop(A, B)",
        "let s = `abc`; s.truncate(A)",
        "let s = `abc`; s.pad(A, 'x')",
        "let s = `abc`; s.set(A, 'x')",
        "`abc`.index_of(`b`, A)",
        "`abc`.get(A)",
        "`a`.repeat(A)",
        "A.get_bit(B)",
        "let n = A; n.set_bit(B, true)",
        "A.get_bits(B, A)",
        "let n = A; n.set_bits(B, A, B)",
        "A.to_float().to_int()",
        "(A.to_float() * 1e300).to_int()",
        "parse_int(`A`, B)",
        "A.to_hex()",
        "A.to_char()",
        "blob(A)",
        "blob(2, A)",
        "let b = blob(8); b.parse_le_int(A, B)",
        "let b = blob(8); b.write_le(A, B, A)",
        "db.by_num(A)",
        "db.num_block(A)",
        "db[A]",
        "db.num_block[A]",
        "db.last.transactions[A]",
        "db.last.transactions[0].inputs[A]",
        "db.last.transactions[0].outputs[A]",
        "db.last.transactions[0].witness(A)",
        "bcrepr(A)",
        "satoshi(`A`)",
        "compute_reward(A)",
        "parse_script([[A, B]])",
        "pprint_script([[0, A, B]])",
        "pprint_script([[1, true, [[A]], [[B]]]])",
        "pprint_script([[2, A]])",
        "script(`A`)",
    ];
    const NUMBERS: [&str; 9] =
        ["9223372036854775807", "(-9223372036854775807 - 1)", "0", "-1", "1", "63", "64", "4294967296", "3"];
    let quick = Limits { seconds: Some(2), memory: 256 << 20, ..LIVE };
    talk("extremes", quick, None, |say| {
        for call in CALLS {
            for (a, b) in NUMBERS.iter().flat_map(|a| NUMBERS.iter().map(move |b| (a, b))) {
                say(&call.replace('A', a).replace('B', b));
            }
            assert_eq!(say("40 + 2"), "42", "after {call}");
        }
        for bytes in ["", "00", "zz", "0", "ff".repeat(100).as_str(), "02000000000100000000000000000000"] {
            for call in [
                "make_tx",
                "make_block",
                "parse_script",
                "pprint_script",
                "address",
                "kind",
                "describe",
                "key_to_address",
                "dhash",
                "hash160",
                "unhex",
                "name_from_hex",
                "script",
                "is_p2sh",
                "hexify",
            ] {
                say(&format!("{call}(`{bytes}`)"));
                assert_eq!(say("40 + 2"), "42", "after {call} {bytes}");
            }
        }
    });
}

/// As many entries as there may be, each inside the one before: copied, shown and let go without running out of stack.
#[test]
fn lists_within_lists_hurt_nobody() {
    let patient = Limits { seconds: Some(120), ..LIVE };
    talk("deep", patient, None, |say| {
        assert!(say("let a = []; for i in 0..20000 { a = [a]; }").is_empty());
        assert!(say("let b = a; b").contains('…'));
        let printed = say("print(b); b == a");
        assert!(!printed.is_empty(), "{}", printed.len());
        assert_eq!(say("a = 1; b = 2; db.last_block"), "130");
    });
}

#[test]
fn memory_is_bounded_beside_all_counts() {
    let small = Limits { memory: 64 << 20, seconds: Some(60), ..LIVE };
    talk("memory", small, None, |say| {
        let script = "let all = []; let s = `x`; s.pad(20000, 'x'); for i in 0..40000 { all.push(s + i); }";
        let said = say(script);
        assert!(said.starts_with("error: stopped: "), "{said}");
    });
}

#[test]
fn whoever_waits_no_more_stops_it() {
    let stop = Arc::new(AtomicBool::new(false));
    let folder = folder("stop");
    let (mut session, said) = session(&folder, None, OFFLINE, stop.clone());
    let waiter = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        stop.store(true, Relaxed);
    });
    assert_eq!(session.line("loop {}"), Came::Failed);
    assert_eq!(*said.lock().unwrap(), "error: stopped: interrupted\n");
    waiter.join().unwrap();
}

/// What a node answers, as far as it is looked at.
#[test]
fn a_node_is_asked_through_its_one_line_commands() {
    let hash = "11".repeat(32);
    let status = format!(
        r#"{{"state":"synced","height":130,"headers":131,"tip":"{hash}","coins":7,"horizon":100,
        "root":{{"height":30,"hash":"{}"}},"window":{{"asked":2,"bytes":5,"bytes_max":9}},"memory":{{"total":1}},
        "peers":[{{"address":"10.0.0.7:8333","height":5}}],"cores":[{{"core":0}}],"ledger":{{"versions":3}},
        "worlds":[{{"hash":"{hash}","height":130}}],"tips":[],"book":{{"outgoing_max":10,"incoming_max":100}}}}"#,
        "22".repeat(32)
    );
    let asked = Arc::new(Mutex::new(Vec::new()));
    let ask: Question = {
        let (asked, hash) = (asked.clone(), hash.clone());
        Arc::new(move |line: &str| {
            asked.lock().unwrap().push(line.to_owned());
            Ok(match line {
                "json" => status.clone(),
                line if line.starts_with("coin 33") => {
                    format!(
                        "coin        x\nunspent in  the world of block {hash} at height 130\nvalue       2.00000000 BTC\n\
                             made at     5\nscript      51"
                    )
                }
                line if line.starts_with("coin") => "coin x is not unspent in the world of block".into(),
                _ => "error: not here".into(),
            })
        })
    };
    talk("node", LIVE, Some(ask), |say| {
        assert_eq!(say("G.peers[0].address"), "10.0.0.7:8333");
        assert_eq!(say("G.hoover.remaining"), "1");
        assert_eq!(say("G.limits.outgoing + G.cores.len()"), "11");
        assert_eq!(say("G.ledger.totals.versions"), "3");
        let coin = "33".repeat(32);
        assert_eq!(say(&format!("let w = G.ledger.world('{hash}'); w.coin('{coin}', 1).value")), "200000000");
        assert_eq!(say(&format!("w.coin('{hash}', 1)")), "", "nothing is not shown");
        assert_eq!(say("w"), format!("<WORLD {hash} height 130>"));
        assert_eq!(say(&format!("G.ledger.coin('{coin}', 0).script")), "0x51");
        assert!(say(&format!("G.ledger.world('{coin}')")).contains("G.ledger.worlds lists them"));
        assert_eq!(say(&format!("G.invalidate('{coin}')")), "error: not here");
        let asked = asked.lock().unwrap();
        assert!(asked.contains(&format!("coin {coin}:1 @{hash}")) && asked.contains(&format!("coin {coin}:0")));
        assert!(asked.contains(&format!("invalidate {coin}")), "{asked:?}");
    });
}
