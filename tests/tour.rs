//! A tour of the pages in a real browser, on a chain with a live fork: what a person sees, clicks and types. The pictures of the
//! README are taken on it, in `target/tmp/tour`.

use caesure_bench::chain::Spec;
use caesure_bench::records::Fork;
use caesure_tests::binary::scratch;
use caesure_tests::browser::Browser;
use caesure_tests::{Folder, Made, Node, Server, Setup, Step, made, poll};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use wire::message::Message;

const WIDE: (u32, u32) = (1_760, 1_460);
const NARROW: (u32, u32) = (390, 844);

fn pictures() -> PathBuf {
    let folder = scratch().join("tour");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// With a rival of three blocks from the fourth block below the tip.
fn forked() -> Made {
    made(&Spec { seed: 2014, blocks: 240, txs: 12_000, empty_tail: 0 }, &[Fork { at: 236, length: 3, txs: 40 }])
}

fn at(node: &Node, path: &str) -> String {
    format!("http://{}{path}", node.page)
}

/// Nothing sticks out at the side, and nobody complained.
fn sound(browser: &Browser, what: &str) {
    let wide = browser.run(
        "const most=document.documentElement.clientWidth;if(document.documentElement.scrollWidth<=most)return [];\
return [...document.querySelectorAll('body *')].filter(e=>e.getBoundingClientRect().right>most&&!e.closest('.scroll'))\
.slice(0,3).map(e=>e.outerHTML.slice(0,200))",
    );
    assert_eq!(wide, json!([]), "{what} is too wide");
    assert_eq!(browser.complaints(), Vec::<String>::new(), "{what}");
}

/// A mark that a page has as long as it is not loaded again.
const MARK: &str = "window.mark=1";

fn is_marked(browser: &Browser) -> bool {
    browser.run("return window.mark===1") == json!(true)
}

#[test]
fn the_status_page_lives() {
    let Some(browser) = Browser::start() else { return };
    let (chain, base) = (forked(), Folder::new());
    // A peer that takes its time, so that there is something to see.
    static SLOW_MS: AtomicU64 = AtomicU64::new(30);
    let peer = Server::start(chain.line().up_to(236), |_, message| {
        if matches!(message, Message::GetData(_)) {
            std::thread::sleep(Duration::from_millis(SLOW_MS.load(Relaxed)));
        }
        Step::Honest
    });
    let node = Node::start(&base, &Setup::regtest(&[peer.addr]));
    browser.look(WIDE, false);
    browser.go(&at(&node, "/admin/status"));
    browser.run(MARK);
    let height = |text: &str| text.replace(',', "").parse::<u32>().unwrap_or(0);
    browser.wait(".height b", 120, |text| height(text) > 190);
    browser.picture(&pictures().join("day.png"));
    SLOW_MS.store(0, Relaxed);
    browser.wait("h1", 120, |text| text == "synced");
    browser.wait(".height b", 30, |text| text == "236");

    // A block comes: parts change, the page is not loaded again, what is selected is left alone.
    browser.run("getSelection().selectAllChildren(document.querySelector('.tip code'))");
    peer.switch(chain.line());
    poll(60, || (node.status()["tip"] == *chain.tip).then_some(())).expect("the node takes it");
    let seen = node.wait("a second later", 30, |status| status["up_s"].as_u64() > Some(2));
    assert_eq!(seen["height"], 240);
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(browser.text(".height b"), "236", "somebody is selecting");
    browser.run("getSelection().removeAllRanges()");
    browser.wait(".height b", 30, |text| text == "240");
    assert!(is_marked(&browser) && browser.text(".tip code") == chain.tip);
    let title = browser.run("return document.title");
    assert_eq!(title, "synced 240 · caesure regtest");
    for part in
        ["worlds", "window", "cores", "matrix", "ways", "latencies", "partitions", "file", "tips", "peers", "events"]
    {
        assert!(!browser.text(&format!("#{part} h2")).is_empty(), "{part}");
    }
    assert!(browser.run("return document.querySelectorAll('.way').length").as_u64() > Some(5));
    sound(&browser, "the status page");

    // It is told when the node is gone, and goes on when one is there again, by itself.
    let (page, p2p) = (node.page.to_string(), node.p2p.to_string());
    node.kill();
    poll(30, || (browser.run("return document.body.className") == "lost").then_some(()))
        .expect("it shows that nobody is there");
    browser.complaints();
    let words =
        ["--chain", "regtest", "-b", base.text(), "--no-pin", "-o", "0", "--cores", "1", "-a", &page, "-s", &p2p];
    let mut again = caesure_tests::binary::command(&words).stderr(std::process::Stdio::null()).spawn().unwrap();
    browser.wait("header", 90, |text| text.contains("up ") && browser.run("return document.body.className") == "");
    assert!(is_marked(&browser), "it was not loaded again");
    let _ = again.kill();
    let _ = again.wait();
}

#[test]
fn polling_takes_over_where_there_is_no_stream() {
    let Some(browser) = Browser::start() else { return };
    let (chain, base) = (forked(), Folder::new());
    let peer = Server::honest(chain.line().up_to(100));
    let node = Node::start(&base, &Setup::regtest(&[peer.addr]));
    browser.devtools("Network.enable", json!({}));
    browser.devtools("Network.setBlockedURLs", json!({ "urls": ["*status.live*"] }));
    browser.go(&at(&node, "/admin/status"));
    browser.run(MARK);
    browser.wait(".height b", 120, |text| text == "100");
    peer.switch(chain.line());
    browser.wait(".height b", 120, |text| text == "240");
    assert!(is_marked(&browser));

    // Without a script it can be read all the same, and loads itself again.
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    browser.go(&at(&node, "/admin/status"));
    assert!(browser.text(".height b") == "240" && browser.text("h1") == "synced");
    browser.run(MARK);
    poll(30, || (!is_marked(&browser)).then_some(())).expect("it is loaded again");
}

#[test]
fn pages_lead_everywhere() {
    let Some(browser) = Browser::start() else { return };
    let chain = forked();
    let base = chain.stored();
    let node = Node::start(&base, &Setup::regtest(&[]));
    node.wait_tip(&chain.tip, 120);
    for (size, name) in [(WIDE, "wide"), (NARROW, "narrow")] {
        for dark in [false, true] {
            browser.look(size, dark);
            for page in [
                "status",
                "connections",
                "block",
                "block/236",
                "block/237",
                "ledger",
                "pool",
                "connect",
                "shutdown",
                "search?q=x",
            ] {
                browser.go(&at(&node, &format!("/admin/{page}")));
                browser
                    .complaints()
                    .iter()
                    .for_each(|line| assert!(line.contains("400 (Bad Request)"), "{page}: {line}"));
                sound(&browser, &format!("{page}, {name}"));
                if let "status" | "block/236" = page {
                    let file = format!("{}-{name}-{}.png", page.replace('/', "-"), if dark { "dark" } else { "light" });
                    browser.picture(&pictures().join(file));
                }
            }
        }
    }
    browser.look(WIDE, true);
    // From the picture of worlds to the tip of the fork, down to where it leaves, and up either way.
    browser.go(&at(&node, "/admin/status"));
    // The first event replaces all parts.
    poll(30, || (browser.run("return 'worlds' in seen") == json!(true)).then_some(())).expect("it is live");
    let rivals = browser.run("return document.querySelectorAll('.tree circle').length");
    assert_eq!(rivals, json!(3));
    let last = browser.run("return [...document.querySelectorAll('.tree a')].map(a=>a.getAttribute('href')).at(-1)");
    browser.click(".tree a:last-of-type circle");
    poll(30, || browser.address().contains("/admin/block/").then_some(())).expect("it leads to a block");
    assert!(browser.address().ends_with(last.as_str().unwrap()), "{}", browser.address());
    let text = browser.text("body");
    assert!(text.contains("239") && !text.contains("on the best chain"), "{text}");
    // The box finds a height, a block, and a coin.
    for (typed, wanted) in
        [("236", &"/admin/block/236".to_owned()), (chain.tip.as_str(), &format!("/admin/block/{}", chain.tip))]
    {
        browser.type_in("form input", typed);
        browser.click("form button");
        poll(30, || browser.address().ends_with(wanted.as_str()).then_some(()))
            .unwrap_or_else(|| panic!("{}", browser.address()));
    }
    assert!(browser.text("body").contains("on the best chain"));
    let forks = browser.run("return [...document.querySelectorAll('a')].map(a=>a.getAttribute('href'))");
    let followed =
        forks.as_array().unwrap().iter().filter_map(Value::as_str).filter(|href| href.starts_with("/admin/")).count();
    assert!(followed > 8, "{forks}");
}

#[test]
fn whoever_has_a_name_connects_and_stops() {
    let Some(browser) = Browser::start() else { return };
    let (chain, base) = (forked(), Folder::new());
    let peer = Server::honest(chain.line());
    let mut node = Node::spawn(base.path(), &Setup::regtest(&[]).with(&["-u", "op:a b&c"]));
    let url = |path: &str| format!("http://op:a%20b%26c@{}{path}", node.page);
    poll(60, || (node.request("/healthz", "").ok()?.0 == 200).then_some(())).expect("it is up");
    assert_eq!(node.request("/admin/status", "").unwrap().0, 401);
    browser.go(&url("/admin/connect"));
    browser.type_in("form[method=post] input[name=to]", &peer.addr.to_string());
    browser.click("form[method=post] button");
    browser.wait("section p", 30, |text| text == format!("Connect to {}?", peer.addr));
    browser.click("form[method=post] button");
    browser.wait("pre", 30, |text| text.contains(&format!("{} is being dialed", peer.addr)));
    browser.go(&url("/admin/status"));
    browser.wait(".height b", 120, |text| text == "240");
    browser.go(&url("/admin/connections"));
    assert!(browser.text("table").contains(&peer.addr.to_string()));
    browser.go(&url("/admin/shutdown"));
    browser.click("form[method=post] button");
    browser.wait("section p", 30, |text| text.starts_with("Stop this node?"));
    browser.click("form[method=post] button");
    assert_eq!(node.ended(30), 0, "it stops in order");
    node.wait_log("asked to by op on the page", 10);
}
