//! The status page as it hangs on a wall: its parts, the blocks on their way, who speaks to whom; and what may be ordered.

use super::*;
use crate::effect::{Level, Order, Said, Stop};
use crate::report::{Mark, Way};
use serde_json::Value;

pub(super) fn mark(i: u64) -> Mark {
    match i {
        ..32 => Mark::Durable,
        32 => Mark::Verified,
        33..49 => Mark::Growing,
        _ if i.is_multiple_of(5) => Mark::Received,
        _ if i < 400 => Mark::Asked(i / 7),
        _ => Mark::Wanted,
    }
}

pub(super) fn way(i: u32) -> Way {
    let fetch = (i != 3).then_some(40 + i);
    Way {
        height: 123_463 - i,
        hash: hash(99 - i),
        txs: 2_000,
        bytes: 1_400_000,
        fetch,
        wait: 7,
        check: 123,
        order: i,
        disk: 9,
    }
}

fn said(line: &str, level: Level) -> Said {
    Said { unix: 1_700_000_000, level, line: line.into() }
}

/// What one part of the page shows.
fn part(status: &mut Status, cx: &mut Cx, name: &str) -> String {
    let parts: Value = serde_json::from_str(&at_once(status, cx, "parts")).unwrap();
    parts[name].as_str().unwrap_or_else(|| panic!("{name} in {parts}")).to_owned()
}

#[test]
fn the_page_is_its_parts_and_all_of_them() {
    let (mut status, mut cx) = sample(4, 5, "/x:1/");
    let (page, text) = (at_once(&mut status, &mut cx, "page"), at_once(&mut status, &mut cx, "parts"));
    assert!(!text.contains('\n'), "an event of a stream is one line");
    let parts: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    for (name, text) in &parts {
        let text = text.as_str().unwrap();
        let wanted = match name.as_str() {
            "title" => format!("<title>{text}</title>"),
            "head" => format!("<div id=head>{text}</div>"),
            name => format!("<section id={name}>{text}</section>"),
        };
        assert!(page.contains(&wanted), "{name}");
    }
    assert_eq!(page.matches("<section id=").count() + 2, parts.len());
}

#[test]
fn each_block_of_the_window_has_its_mark() {
    let (mut status, mut cx) = sample(4, 60, "/x:1/");
    let window = part(&mut status, &mut cx, "window");
    let marks: Vec<Mark> = (0..512).map(mark).collect();
    let asked_of = |peer: u64| marks.iter().filter(|mark| **mark == Mark::Asked(peer)).count();
    for (class, what, count) in [
        ("durable", "and durable", 32),
        ("verified", "verified", 1),
        ("growing", "being checked", 16),
        ("received", "received", marks.iter().filter(|mark| **mark == Mark::Received).count()),
        ("wanted", "wanted", marks.iter().filter(|mark| **mark == Mark::Wanted).count()),
    ] {
        assert!(window.contains(&format!("<i class={class}></i>{what} {count}</span>")), "{what} {count} in {window}");
    }
    // 34 lies in the first row of 128, after 32 durable ones and two others.
    assert!(
        window.contains("<path class=durable d=\"M0 4h32\">") && window.contains("<path class=verified d=\"M32 4h1\">")
    );
    for peer in [10, 20, 57] {
        let title = format!("<title>{} asked of 203.0.113.{peer}:8333</title>", asked_of(peer));
        assert!(window.contains(&title), "{title}");
    }
    // Each block is drawn once, a hundred and twenty-eight in a row; no run leaves its row.
    let mut drawn = [[0; 128]; 4];
    for run in window.split("<path class=").skip(1).flat_map(|path| path.split('"').nth(1).unwrap().split('M').skip(1))
    {
        let (x, rest) = run.split_once(' ').unwrap();
        let (y, long) = rest.split_once('h').unwrap();
        let [x, y, long]: [usize; 3] = [x, y, long].map(|number| number.parse().unwrap());
        assert_eq!(y % 10, 4, "{run}");
        drawn[y / 10][x..x + long].iter_mut().for_each(|times| *times += 1);
    }
    assert_eq!(drawn, [[1; 128]; 4]);
    assert!(window.contains("123,431 to 123,942"), "{window}");
}

#[test]
fn the_last_blocks_are_drawn_to_one_scale() {
    let (mut status, mut cx) = sample(2, 0, "");
    let ways = part(&mut status, &mut cx, "ways");
    // The twelfth took longest: 51 + 7 + 123 + 11.
    assert!(ways.contains("192 ms at most") && ways.matches("<div class=way ").count() == 12, "{ways}");
    let first = ways.split("<div class=way ").nth(1).unwrap();
    for shown in [
        "2,000 transactions, 1.40 MB",
        "asked style=\"width:20.8%",
        "growing style=\"width:64.1%",
        "left:20.8%;width:4.7%",
        "<b>170 ms</b>",
    ] {
        assert!(first.contains(shown), "{shown} in {first}");
    }
    assert!(!ways.split("<div class=way ").nth(4).unwrap().contains("class=asked"), "that one came from a file");
}

#[test]
fn shades_tell_who_speaks_most_to_whom() {
    let (mut status, mut cx) = node(2, Network::Main);
    let pages = status.view.setup.pages.clone();
    status.step(Input::Tick, &mut cx);
    for (from, to, words) in [(0, 1, 6_400), (1, 0, 1_600), (0, 0, 100), (2, 1, 1)] {
        pages.core(from).words[to].add(words);
    }
    cx.now_ms += 1_000;
    status.step(Input::Tick, &mut cx);
    let matrix = part(&mut status, &mut cx, "matrix");
    assert!(matrix.contains("8,101/s, 6,400/s at most"), "{matrix}");
    for (shade, cells) in [(5, "M1 0.5h1"), (4, "M0 1.5h1"), (2, "M0 0.5h1"), (1, "M1 2.5h1")] {
        assert!(matrix.contains(&format!("<path class=h{shade} d=\"{cells}\"/>")), "{shade}: {cells} in {matrix}");
    }
    let json: Value = serde_json::from_str(&at_once(&mut status, &mut cx, "json")).unwrap();
    assert_eq!(json["words_per_s"][0], serde_json::json!([100, 6_400, 0]));
}

#[test]
fn latencies_are_shown_and_told() {
    let (mut status, mut cx) = node(2, Network::Main);
    let pages = status.view.setup.pages.clone();
    (0..998).for_each(|_| pages.core(0).step_us.add(3));
    (0..2).for_each(|_| pages.core(1).step_us.add(70_000));
    report(&mut status, &mut cx, Report::Peers(0, (0..4).map(|i| peer(i, "")).collect()));
    let shown = part(&mut status, &mut cx, "latencies");
    assert!(shown.contains("4 µs · 4 µs · 131 ms · 1,000"), "{shown}");
    assert!(shown.contains("– · – · – · 0") && shown.contains("32 ms · 65 ms · 65 ms · 3"), "{shown}");
    let json: Value = serde_json::from_str(&at_once(&mut status, &mut cx, "json")).unwrap();
    let wanted = serde_json::json!({ "count": 1_000, "p50_us": 4, "p99_us": 4, "p999_us": 131_072 });
    assert_eq!((&json["latency"]["step"], &json["latency"]["sync"]["p50_us"]), (&wanted, &Value::Null));
}

#[test]
fn events_are_the_newest_lines_and_harmless() {
    let (mut status, mut cx) = node(2, Network::Main);
    assert_eq!(at_once(&mut status, &mut cx, "events"), "nothing was logged");
    let lines = (0..70).map(|i| said(&format!("line {i} <b>"), Level::Info));
    let last = said("<script>alert(1)</script>\x1b[2J", Level::Warn);
    status.step(Input::Event(Event::Said(lines.chain([last]).collect())), &mut cx);
    let events = part(&mut status, &mut cx, "events");
    assert!(events.contains("&lt;script&gt;alert(1)&lt;/script&gt;?[2J") && !events.contains("<script>"), "{events}");
    assert!(events.contains("<p class=\"event alert\"><code>22:13:20</code>") && events.contains("line 69 &lt;b&gt;"));
    assert_eq!(events.matches("<p class=\"event").count(), 8);
    let told = at_once(&mut status, &mut cx, "events");
    assert_eq!(told.lines().count(), 64);
    assert!(told.ends_with("2023-11-14 22:13:20 UTC  WARN <script>alert(1)</script>?[2J"), "{told}");
}

#[test]
fn connections_and_the_end_are_ordered_by_those_who_may() {
    let (mut status, mut cx) = node(2, Network::Main);
    for line in ["connect 1.2.3.4", "shutdown"] {
        let refused = at_once(&mut status, &mut cx, line);
        assert!(refused.starts_with("error: ") && refused.contains("--monitor-write"), "{refused}");
    }
    status.view.setup.may_write = true;
    for wrong in ["connect", "connect x", "connect 1.2.3.4 5", "connect 1.2.3.4:99999", "shutdown now"] {
        assert!(at_once(&mut status, &mut cx, wrong).starts_with("error: "), "{wrong}");
    }
    for (question, line, address) in [(2, "connect 1.2.3.4", "1.2.3.4:8333"), (3, "connect [::1]:7", "[::1]:7")] {
        ask(&mut status, &mut cx, question, line);
        let Some((ShardId::Book, Msg::Meet { question: asked, address: met })) = cx.words.pop() else {
            panic!("{:?}", cx.words)
        };
        assert_eq!((asked, met.to_string().as_str()), (question, address));
    }
    status.step(Input::Msg(Msg::Reply { question: 3, text: "being dialed".into() }), &mut cx);
    assert_eq!(answers(&mut cx), [(3, "being dialed".to_string())]);
    // By the page's word nobody has to start the node in any way: whose name is good was seen at the door.
    status.view.setup.may_write = false;
    let order = Order::Shutdown("op on the page".into());
    status.step(Input::Event(Event::Ordered { question: 4, order }), &mut cx);
    let [Effect::Answer { question: 4, .. }, Effect::Stop(Stop::Done, why)] = &cx.effects[..] else {
        panic!("{:?}", cx.effects)
    };
    assert_eq!(why, "asked to by op on the page");
}
