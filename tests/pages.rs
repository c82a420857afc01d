//! What a running node shows to browsers and machines that watch it: figures, health, and pages about blocks.

use caesure_bench::chain::Spec;
use caesure_bench::records::Fork;
use caesure_tests::binary::run;
use caesure_tests::{Folder, Made, Node, Server, Setup, made, poll};
use consensus::{Block, Network, OutPoint};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// 200 blocks, the chain of `tools.rs`.
fn chain() -> Made {
    made(&Spec { seed: 71, blocks: 200, txs: 4_000, empty_tail: 0 }, &[])
}

/// The figure of that name, labels and all.
fn figure(text: &str, name: &str) -> Option<f64> {
    let row = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    row.parse().ok()
}

/// Prometheus' own program on a text; none where it is not installed.
fn promtool(text: &str) -> Option<(bool, String)> {
    let program = std::env::var("PROMTOOL").unwrap_or_else(|_| "promtool".into());
    let mut command = Command::new(&program);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    Some((out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()))
}

#[test]
fn figures_follow_the_node_and_promtool_finds_no_fault() {
    let (chain, base) = (chain(), Folder::new());
    let peer = Server::honest(chain.line());
    let node = Node::start(&base, &Setup::regtest(&[peer.addr]));
    let before = node.get("/metrics").unwrap();
    assert!(
        figure(&before, "caesure_node_built_info{version=\"caesure 0.1.0\",chain=\"regtest\"}").is_some(),
        "{before}"
    );
    node.wait_tip(&chain.tip, 120);
    let wanted = [
        ("caesure_tip_reached_height", 200.0),
        ("caesure_header_reached_height", 200.0),
        ("caesure_node_reached_state{state=\"synced\"}", 1.0),
        ("caesure_peer_connected_peers{direction=\"out\"}", 1.0),
        ("caesure_peer_connected_peers{direction=\"in\"}", 0.0),
        ("caesure_block_validated_blocks_total", 200.0),
        ("caesure_tip_held_coins", chain.coins as f64),
        ("caesure_file_awaited_bytes", 0.0),
        ("caesure_link_overrun_words_total", 0.0),
    ];
    let text = poll(30, || {
        let text = node.get("/metrics").unwrap();
        wanted.iter().all(|(name, value)| figure(&text, name) == Some(*value)).then_some(text)
    });
    let text = text.unwrap_or_else(|| panic!("{}", node.get("/metrics").unwrap()));
    let grown = |name: &str| figure(&text, name).unwrap() > 0.0;
    for name in [
        "caesure_peer_received_bytes_total",
        "caesure_script_settled_signatures_total",
        "caesure_disk_left_bytes",
        "caesure_stage_spent_seconds_total{stage=\"verify\"}",
    ] {
        assert!(grown(name), "{name} in {text}");
    }
    let cores = node.get("/metrics/cores").unwrap();
    for name in ["core=\"0\"", "core=\"1\"", "core=\"desk\""] {
        assert!(figure(&cores, &format!("caesure_core_busied_ratio{{{name}}}")).is_some(), "{cores}");
    }
    for text in [&before, &text, &cores] {
        match promtool(text) {
            Some((clean, said)) => assert!(clean && said.is_empty(), "{said}"),
            None => {
                eprintln!("SKIPPED: promtool is not here (apt install prometheus), so figures were not checked by it")
            }
        }
    }
}

#[test]
fn health_and_readiness() {
    let (chain, base) = (chain(), Folder::new());
    let node = Node::start(&base, &Setup::regtest(&[]));
    let (status, why) = node.request("/readyz", "").unwrap();
    assert!(status == 503 && why.contains("no peers: "), "{status} {why}");
    assert_eq!(node.request("/healthz", "").unwrap(), (200, "alive\n".into()));
    let peer = Server::honest(chain.line());
    peer.dial(node.p2p);
    node.wait_tip(&chain.tip, 120);
    poll(30, || (node.request("/readyz", "").unwrap() == (200, "ready\n".into())).then_some(()))
        .unwrap_or_else(|| panic!("{:?}", node.request("/readyz", "")));
}

/// The same with a rival of two blocks at height 150.
fn forked() -> Made {
    made(&Spec { seed: 71, blocks: 200, txs: 4_000, empty_tail: 0 }, &[Fork { at: 150, length: 2, txs: 20 }])
}

/// Everything the server says to these bytes, until it closes: its status, if it is an answer at all.
fn raw(node: &Node, bytes: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(node.page).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // Closed already, perhaps.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}

/// Where a page sends its reader.
fn location(node: &Node, path: &str) -> String {
    let mut stream = TcpStream::connect(node.page).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 303 "), "{path}: {answer}");
    let line = answer.lines().find_map(|line| line.strip_prefix("location: "));
    line.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Every link of a page leads somewhere on this node.
fn links(page: &str) -> Vec<String> {
    let rest = page.split("href=").skip(1);
    let links = rest.map(|rest| rest.trim_start_matches('"').split(['"', '>']).next().unwrap().to_owned());
    links.filter(|link| !link.starts_with("data:")).collect()
}

#[test]
fn blocks_are_walked_from_the_first_to_the_last_and_into_forks() {
    let (chain, base) = (forked(), forked().stored());
    let node = Node::start(&base, &Setup::regtest(&[]));
    node.wait_tip(&chain.tip, 120);
    let line = chain.line();
    let last = node.get("/admin/block").unwrap();
    assert!(last.contains(&chain.tip) && last.contains("on the best chain"), "{last}");
    assert_eq!(node.get("/admin/block/200").unwrap(), last);
    for (height, (hash, bytes)) in line.blocks.iter().enumerate() {
        let hash = hash.to_string();
        let page = node.get(&format!("/admin/block/{hash}")).unwrap();
        let block = Block::parse(bytes.clone()).unwrap();
        for tx in block.txs.iter().take(100) {
            assert!(page.contains(&format!("id=tx-{}", tx.txid)), "{} of block {height}", tx.txid);
        }
        let neighbour = |step: i64| line.blocks.get((height as i64 + step) as usize).map(|(hash, _)| hash.to_string());
        for (name, wanted) in [("Next", neighbour(1)), ("Prev", if height > 0 { neighbour(-1) } else { None })] {
            let link = wanted.map(|hash| format!("<a href=/admin/block/{hash}>{name}</a>"));
            assert_eq!(page.contains(&format!(">{name}</a>")), link.is_some(), "{name} of {height}");
            link.into_iter().for_each(|link| assert!(page.contains(&link), "{link} on {height}"));
        }
        if height == 17 {
            assert_eq!(node.get("/admin/block/17").unwrap(), page);
        }
    }
    // The rival: from where it leaves to where it ends, and back.
    let at = node.get("/admin/block/150").unwrap();
    let fork = at.split("<a class=alert href=/admin/block/").nth(1).unwrap();
    assert!(fork[64..].starts_with(">Next (another branch)</a>"), "{at}");
    let first = node.get(&format!("/admin/block/{}", &fork[..64])).unwrap();
    assert!(first.contains("on another branch") && first.contains(&line.blocks[150].0.to_string()), "{first}");
    assert!(first.contains(&format!("<a class=alert href=/admin/block/{}>another at this height", line.blocks[151].0)));
    let second = first.split(">Next</a>").next().unwrap();
    let second = node.get(&format!("/admin/block/{}", &second[second.len() - 64..])).unwrap();
    assert!(second.contains(">block 152<") && !second.contains(">Next"), "{second}");
    // What a page says of outputs is what the console says.
    let block = Block::parse(line.blocks[120].1.clone()).unwrap();
    let view = block.view(&block.txs[1]);
    let page = node.get("/admin/block/120").unwrap();
    for output in view.outputs {
        let script = view.slice(output.script);
        let kind = describe::Kind::of(script).name();
        assert!(page.contains(&format!("<td class=n>{}<td>{kind}<td>", describe::btc(output.value))), "{page}");
        if let Some(address) = describe::Address::of_script(script) {
            assert!(page.contains(&address.text(Network::Regtest)), "{page}");
        }
    }
    // And what it says of their fate is what the blocks say.
    let blocks: Vec<Block> = line.blocks.iter().map(|(_, bytes)| Block::parse(bytes.clone()).unwrap()).collect();
    let mut spent = BTreeMap::new();
    for (height, block) in blocks.iter().enumerate() {
        spent.extend(block.inputs.iter().map(|input| (block.outpoint(input), height)));
    }
    let mut seen = BTreeMap::new();
    for (height, block) in blocks.iter().enumerate().skip(1) {
        let page = node.get(&format!("/admin/block/{height}")).unwrap();
        let mut cells = page.split("<td class=fate>").skip(1).map(|rest| rest.split("</tr>").next().unwrap());
        for tx in block.txs.iter().take(100) {
            for (vout, output) in block.view(tx).outputs.iter().enumerate() {
                let (cell, at) = (cells.next().unwrap(), OutPoint { txid: tx.txid, vout: vout as u32 });
                let fate = match spent.get(&at) {
                    _ if consensus::is_unspendable(block.script(output.script)) => "never a coin".to_owned(),
                    None => "<b>unspent</b>".to_owned(),
                    Some(by) => format!("spent in <a href=/admin/block/{by}>{by}</a>"),
                };
                assert_eq!(cell, fate, "{at:?} of block {height}");
                *seen.entry(fate.split(' ').next().unwrap().to_owned()).or_insert(0) += 1;
            }
        }
        assert_eq!(cells.next(), None);
    }
    assert!(seen.len() == 3, "unspent, spent, and never a coin: {seen:?}");
    // Every link of every kind of page leads somewhere.
    let pages = ["/admin/status", "/admin/connections", "/admin/ledger", "/admin/pool", "/admin/block/150"];
    let all: BTreeSet<String> = pages.iter().flat_map(|page| links(&node.get(page).unwrap())).collect();
    assert!(all.len() > 30, "{all:?}");
    for link in all.iter().filter(|link| link.starts_with('/')) {
        assert_eq!(node.request(link, "").unwrap().0, 200, "{link}");
    }
    assert!(node.get("/admin/ledger").unwrap().contains(&chain.tip));
    assert!(node.get("/admin/pool").unwrap().contains("Relay is off"));
    for (path, words) in [
        ("/admin/block/201", "the last one has 200"),
        (&format!("/admin/block/{}", "ab".repeat(32)), "No block of that name"),
        (&format!("/admin/tx/{}", "ab".repeat(32)), "caesure txmap makes it"),
    ] {
        let (status, page) = node.request(path, "").unwrap();
        assert!(status == 404 && page.contains(words), "{path}: {page}");
    }
}

#[test]
fn everything_is_found_by_what_people_paste() {
    let (chain, base) = (forked(), forked().stored());
    let node = Node::start(&base, &Setup::regtest(&[]));
    node.wait_tip(&chain.tip, 120);
    let (status, out, err) = run(&["txmap", "--chain", "regtest", "-b", base.text()]);
    assert_eq!(status, 0, "{out}{err}");
    // The last block with more than its coinbase.
    let line = chain.line();
    let blocks = line.blocks.iter().enumerate().rev();
    let mut blocks = blocks.map(|(height, (_, bytes))| (height, Block::parse(bytes.clone()).unwrap()));
    let (height, block) = blocks.find(|(_, block)| block.txs.len() > 1).unwrap();
    let (hash, txid) = (block.hash.to_string(), block.txs[1].txid.to_string());
    let search = |text: &str| location(&node, &format!("/admin/search?q={text}"));
    assert_eq!(search("100"), "/admin/block/100");
    assert_eq!(search(&hash), format!("/admin/block/{hash}"));
    assert_eq!(search(&txid), format!("/admin/tx/{txid}"));
    let coin = search(&format!("+{txid}%3A0+"));
    assert_eq!(coin, format!("/admin/coin/{txid}:0"));
    let page = node.get(&coin).unwrap();
    assert!(page.contains(&txid) && page.contains("unspent"), "{page}");
    let page = node.get(&format!("/admin/tx/{txid}")).unwrap();
    let place = format!("number 1 of <a href=\"/admin/block/{hash}?from=1#tx-{txid}\">block {height}</a>");
    assert!(page.contains(&place) && page.contains(&format!("id=tx-{txid}")), "{page}");
    // With the index there, transactions of a block are links.
    assert!(node.get(&format!("/admin/block/{height}")).unwrap().contains(&format!("<a href=/admin/tx/{txid}>")));
    for wrong in ["x", "-1", "%3Cscript%3E", "", "..%2F..%2Fetc%2Fpasswd"] {
        let (status, page) = node.request(&format!("/admin/search?q={wrong}"), "").unwrap();
        assert!(status == 400 && page.contains("looked up") && !page.contains("<script>"), "{page}");
    }
    let (status, page) = node.request(&format!("/admin/tx/{}", "00".repeat(32)), "").unwrap();
    assert!(status == 404 && page.contains("that is indexed"), "{page}");
}

/// Pages about blocks carry no script and may load nothing, not even from here.
#[test]
fn pages_about_blocks_are_fenced_more_tightly() {
    let base = Folder::new();
    let node = Node::start(&base, &Setup::regtest(&[]));
    for (path, scripts) in [("/admin/status", true), ("/admin/block/0", false), ("/admin/ledger", false)] {
        let mut stream = TcpStream::connect(node.page).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let policy = head.lines().find_map(|line| line.strip_prefix("content-security-policy: ")).unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!((policy.contains("script-src"), body.contains("<script")), (scripts, scripts), "{path}: {policy}");
        let form = if scripts { "form-action 'none'" } else { "form-action 'self'" };
        assert!(policy.contains(form), "{path}: {policy}");
    }
}

/// A thousand requests that mean harm or nothing: each is refused, none costs anything, and the node goes on.
#[test]
fn hostile_requests_are_refused_and_harm_nobody() {
    let (chain, base) = (forked(), forked().stored());
    let node = Node::start(&base, &Setup::regtest(&[]));
    node.wait_tip(&chain.tip, 120);
    let memory = node.memory("VmRSS");
    let mut seed = 20_140_601_u64;
    let mut chance = move |n: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % n as u64) as usize
    };
    let pieces = [
        "/",
        "..",
        "%2e%2e",
        "%00",
        "\0",
        "admin",
        "block",
        "tx",
        "coin",
        "search",
        "?q=",
        "&",
        "%",
        "%zz",
        "\u{202e}",
        " ",
        "\r\n",
        "1",
        "-1",
        "4294967296",
        "999999999",
        "<script>",
        "'",
        "\"",
        ";",
        "\\",
        "*",
        "#",
        ":",
        "from=",
        "~",
        "|",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "metrics",
        "status.json",
        "etc/passwd",
    ];
    let methods = ["GET", "HEAD", "POST", "get", "GE T", "", "OPTIONS", "TRACE", "CONNECT", "\u{1}"];
    let versions = ["HTTP/1.1", "HTTP/1.0", "HTTP/9.9", "HTTP", "", "FTP/1.1"];
    let mut answers = BTreeMap::<Option<u16>, u32>::new();
    for _ in 0..1_000 {
        let mut path: String = (0..chance(8)).map(|_| pieces[chance(pieces.len())]).collect();
        if chance(2) > 0 {
            path.retain(|c| c.is_ascii_graphic() && !"<>\"\\|#".contains(c));
        }
        let prefix = ["/admin/block/", "/admin/tx/", "/admin/search?q=", "/", ""][chance(5)];
        let headers: String = match chance(12) {
            0 => format!("X: {}\r\n", "x".repeat(chance(40_000))),
            1 => "A: b\r\n".repeat(chance(400)),
            2 => "Content-Length: 99999999999999999999\r\n".into(),
            3 => "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n".into(),
            4 => ": x\r\n\0: y\r\n".into(),
            _ => "Host: x\r\n".into(),
        };
        // Most are such as browsers send, but for the path.
        let (usual, odd) = (chance(3) > 0, (chance(methods.len()), chance(versions.len())));
        let (method, version) = if usual { (methods[0], versions[0]) } else { (methods[odd.0], versions[odd.1]) };
        let request = format!("{method} {prefix}{path} {version}\r\n{headers}Connection: close\r\n\r\n");
        *answers.entry(raw(&node, request.as_bytes())).or_default() += 1;
    }
    println!("{answers:?}");
    let known = [200, 303, 400, 404, 405, 414, 431];
    assert!(answers.keys().flatten().all(|status| known.contains(status)), "{answers:?}");
    let most = |status: u16| answers.get(&Some(status)).copied().unwrap_or_default();
    assert!([200, 400, 404, 431].map(most).iter().all(|count| *count >= 5), "they were all of a kind: {answers:?}");
    // Crowds at the pages that read: some may be told to come again, nobody is left without an answer.
    let crowd: Vec<u16> = thread::scope(|scope| {
        let ask = |i: u32| node.request(&format!("/admin/block/{}", i % 201), "").map_or(0, |(status, _)| status);
        let guests: Vec<_> = (0..64).map(|i| scope.spawn(move || ask(i))).collect();
        guests.into_iter().map(|guest| guest.join().unwrap()).collect()
    });
    assert!(crowd.contains(&200) && crowd.iter().all(|status| [200, 503].contains(status)), "{crowd:?}");
    assert_eq!(node.get("/admin/block/200").unwrap(), node.get("/admin/block").unwrap());
    let more = node.memory("VmRSS").saturating_sub(memory);
    assert!(more < 64 << 20, "{} MB more", more >> 20);
    assert!(node.status()["cores"].as_array().unwrap().iter().all(|core| core["link_overrun"] == 0));
    assert_eq!(node.stop(), 0);
}
