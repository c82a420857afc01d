//! What readers see: nothing hostile reaches them, the page stays small, the JSON keeps its keys.

use super::*;

#[test]
fn hostile_agents_reach_no_reader() {
    let agent = "</table><script>alert(\"x\")</script>\x1b[2J\u{202e}'&\n";
    let (mut status, mut cx) = sample(2, 3, agent);
    let page = at_once(&mut status, &mut cx, "page");
    assert_eq!(page.matches("<script>").count(), 1, "ours");
    assert!(page.contains("&lt;/table&gt;&lt;script&gt;alert(&quot;x&quot;)"));
    let peers = at_once(&mut status, &mut cx, "peers");
    assert_eq!(peers.lines().count(), 1 + 3);
    for text in [page, peers, at_once(&mut status, &mut cx, "json")] {
        assert!(!text.contains('\x1b') && !text.contains('\u{202e}'));
    }
}

#[test]
fn the_page_is_small_whatever_happens() {
    let agent = "\"".repeat(256);
    for cores in [1, 2, 16, 64, 256] {
        let (mut status, mut cx) = sample(cores, 1_000, &agent);
        let said = crate::effect::Said { unix: 1, level: crate::effect::Level::Warn, line: agent.clone() };
        status.step(Input::Event(Event::Said(vec![said; 64])), &mut cx);
        let page = at_once(&mut status, &mut cx, "page");
        assert!(page.len() <= 60_000, "{} bytes with {cores} cores", page.len());
        assert!(page.contains("and 984 more"), "1,000 less the 16 shown");
        assert!(page.contains("8 of 8 out · 3 of 125 in · 14,203 addresses known"));
        for outside in ["http:", "https:", "//", "url(", "@import"] {
            assert!(!page.contains(outside), "{outside} in the page");
        }
    }
}

#[test]
fn page_and_prompt_say_in_words_which_scripts_are_verified() {
    let (mut status, mut cx) = node(2, Network::Signet);
    report(&mut status, &mut cx, Report::Chain(Chain { scripts: "some <but> not all".into(), ..Chain::default() }));
    status.view.setup.pages.work(1).signature_settled.add(12_345);
    assert!(at_once(&mut status, &mut cx, "page").contains("some &lt;but&gt; not all"));
    let text = at_once(&mut status, &mut cx, "status");
    assert!(text.contains("some <but> not all; 0 inputs run, 12,345 signatures, 0 run again"), "{text}");
}

/// Where the time of the last second went: a bar for each core, shares of them all, the same in JSON and at the prompt.
#[test]
fn what_the_cores_do_is_shown_to_all_readers() {
    let (mut status, mut cx) = node(2, Network::Main);
    assert!(at_once(&mut status, &mut cx, "status").contains("0.00 of 2 busy; 0.0 inputs wait"));
    let pages = status.view.setup.pages.clone();
    for (second, ns) in [0, 1_000_000].into_iter().enumerate() {
        pages.core(0).stage_ns[Stage::Verify as usize].add(600 * ns);
        pages.core(0).stage_ns[Stage::Chain as usize].add(100 * ns);
        pages.core(0).cpu_ns.add(900 * ns);
        pages.core(0).wait_ns.add(2_500 * ns);
        pages.core(1).stage_ns[Stage::Verify as usize].add(100 * ns);
        pages.core(1).busy_ns.add(100 * ns);
        cx.now_ms = 10_000 + 1_000 * second as u64;
        status.step(Input::Tick, &mut cx);
    }
    let page = at_once(&mut status, &mut cx, "page");
    let bars: Vec<&str> =
        page.split("<div class=spent>").skip(1).map(|rest| rest.split("</div>").next().unwrap()).collect();
    let bar = |parts: &[(&str, &str)]| {
        parts.iter().map(|(name, width)| format!("<i class={name} style=\"width:{width}%\"></i>")).collect::<String>()
    };
    let first = bar(&[("verify", "60.0"), ("chain", "10.0"), ("system", "20.0")]) + "</div><small>2.5</small>";
    assert_eq!(bars.len(), 3, "two cores and the desk");
    assert!(page.contains(&first) && bars[1] == bar(&[("verify", "10.0")]), "{bars:?}");
    assert!(
        page.contains("<b>90 %</b>") && page.contains("</i>verify 70 %") && page.contains("</i>peer 0 %"),
        "{page}"
    );
    let json: serde_json::Value = serde_json::from_str(&at_once(&mut status, &mut cx, "json")).unwrap();
    let core = &json["cores"][0];
    assert_eq!((&core["spent_percent"]["verify"], &core["spent_percent"]["system"]), (&60.0.into(), &20.0.into()));
    assert_eq!((&core["waiting"], &core["busy_percent"]), (&2.5.into(), &90.0.into()));
    let text = at_once(&mut status, &mut cx, "status");
    assert!(text.contains("1.00 of 2 busy with verify 0.70, chain 0.10, system 0.20; 2.5 inputs wait"), "{text}");
}

#[test]
fn nothing_done_is_not_shown_as_all_of_it() {
    let (mut status, mut cx) = node(2, Network::Regtest);
    let page = at_once(&mut status, &mut cx, "page");
    assert!(page.contains(">starting</h1>") && page.contains("<span>0.0 %</span>"));
    report(&mut status, &mut cx, Report::Chain(Chain { state: State::Synced, ..Chain::default() }));
    assert!(at_once(&mut status, &mut cx, "page").contains("<span>100.0 %</span>"), "a new network's genesis block");
    report(&mut status, &mut cx, Report::Chain(Chain { height: 999_999, headers: 1_000_000, ..Chain::default() }));
    assert!(at_once(&mut status, &mut cx, "page").contains("<span>99.9 %</span>"));
}

#[test]
fn json_has_its_keys_and_the_validated_height_comes_first() {
    let (mut status, mut cx) = sample(2, 1_500, "/x:1/");
    let text = at_once(&mut status, &mut cx, "json");
    let first = text.find("\"height\":").unwrap();
    assert!(text[first..].starts_with("\"height\":123463,"));
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys = ["state", "chain", "height", "headers", "tip", "coins", "peers", "cores", "worlds", "scripts"];
    for key in keys {
        assert!(!parsed[key].is_null(), "{key}");
    }
    assert_eq!(parsed["state"], "downloading");
    assert_eq!(parsed["chain"], "main");
    assert_eq!(parsed["tip"], hash(99).to_string());
    assert_eq!(parsed["coins"], 43_333_463);
    assert_eq!((&parsed["scripts_verified"], &parsed["signatures_settled"]), (&false.into(), &0.into()));
    assert_eq!(parsed["peer_count"], 1_500);
    // Twice 812,345 that never reached the base, and two that did.
    assert_eq!(parsed["ledger"]["nursery"], 1_624_690);
    assert_eq!((&parsed["ledger"]["folded"], &parsed["ledger"]["nursery_percent"]), (&2.into(), &100.0.into()));
    assert_eq!((&parsed["horizon"], &parsed["worlds_live"]), (&100.into(), &119.into()));
    assert_eq!(parsed["worlds_bytes"], 714_000_000);
    let blocks = &parsed["blocks_bin"];
    assert_eq!((&blocks["punched"], &blocks["pruned_up_to"]), (&3_700_000_000_u64.into(), &101_234.into()));
    let rival =
        parsed["worlds"].as_array().unwrap().iter().find(|world| world["hash"] == hash(300).to_string()).unwrap();
    let shown = ["parent", "invalidated", "made", "taken", "bytes"].map(|key| rival[key].to_string().replace('"', ""));
    assert_eq!(shown, [&hash(95).to_string(), "true", "4000", "3900", "6000000"]);
    assert_eq!(parsed["peers"].as_array().unwrap().len(), 1_024);
    assert_eq!(parsed["partitions"].as_array().unwrap().len(), PARTITIONS);
    assert_eq!(parsed["cores"][1]["shards"][0], "store");
}

#[test]
fn every_live_world_is_told_with_what_it_changes() {
    let (mut status, mut cx) = sample(2, 0, "");
    let text = at_once(&mut status, &mut cx, "worlds");
    let row =
        |name: u32| text.lines().find(|line| line.contains(&hash(name).to_string()) && line.contains('+')).unwrap();
    let words = |name| row(name).split_whitespace().map(String::from).collect::<Vec<_>>();
    let parent = &hash(95).to_string()[48..];
    let wanted =
        ["123460", &hash(300).to_string(), parent, "-", "invalidated", "43,333,460", "+4000", "-3900", "6.00", "MB"];
    assert_eq!(words(300), wanted);
    assert_eq!((&words(99)[3], &words(98)[3]), (&"tip".to_string(), &"active".to_string()));
    for told in ["horizon 100 blocks; the worlds take about 714 MB of 1.07 GB", "1,624,690 of 1,624,692 coins (99.9 %)"]
    {
        assert!(text.contains(told), "{told} in {text}");
    }
    let page = at_once(&mut status, &mut cx, "page");
    assert!(page.contains("pruned up to height 101,234, 3.70 GB given up, 577 MB may be kept"), "{page}");
    assert!(
        page.contains("horizon 100 blocks") && page.contains("119 live over the base") && page.contains(", 99.9 %")
    );
}

#[test]
fn lanes_that_were_wrong_are_shown_as_off() {
    let (mut status, mut cx) = sample(2, 0, "");
    status.view.setup.pages.work(1).lane_proven.add(1_234_567);
    for question in ["page", "status"] {
        assert!(at_once(&mut status, &mut cx, question).contains("auto; 1,234,567 proven, 0 looked at again"));
    }
    status.view.setup.trust.lose();
    for question in ["page", "status"] {
        assert!(at_once(&mut status, &mut cx, question).contains("OFF: they were wrong; see the log"));
    }
}
