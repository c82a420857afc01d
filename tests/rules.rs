//! Every rule of consensus against its oracle: for each at least one block, or header, that breaks nothing else, and its
//! nearest neighbour that keeps it, run through a node and through Bitcoin Core. A rule without a row is an error.
//!
//! `BITCOIND` names the oracle; without it the node is still held to each rule's own reject string, and that is said.

#[path = "rules/amounts.rs"]
mod amounts;
#[path = "rules/blocks.rs"]
mod blocks;
#[path = "rules/elsewhere.rs"]
mod elsewhere;
#[path = "rules/headers.rs"]
mod headers;
#[path = "rules/heights.rs"]
mod heights;
#[path = "rules/scripts.rs"]
mod scripts;
#[path = "rules/signet.rs"]
mod signet;

use caesure_tests::aloud;
use caesure_tests::pair::{Pair, Row, Start};
use consensus::{Network, Params, Rule};
use std::collections::BTreeMap;
use std::thread;

/// What a scenario found: all that it compared, and what did not agree.
type Found = (Vec<Row>, Vec<String>);

/// A chain of regtest as it is, long enough to have coins to spend.
fn regtest() -> Pair {
    let params = *Params::of(Network::Regtest);
    Pair::start(&Start { name: "regtest", core: &[], ours: &[], params }, Pair::ripe(&params, 130, |_, _| {}))
}

fn ended(pair: Pair) -> Found {
    (pair.rows, pair.wrong)
}

#[test]
fn every_rule_is_held_against_its_oracle() {
    let scenarios: [fn() -> Found; 7] = [
        signet::compare,
        heights::compare,
        blocks::compare,
        amounts::compare,
        scripts::compare,
        headers::compare,
        elsewhere::compare,
    ];
    // The binary is built once, before all.
    caesure_tests::binary::caesure();
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let running: Vec<_> = scenarios.map(|scenario| scope.spawn(scenario)).into_iter().collect();
        for found in running {
            let found = found.join().expect("the first difference is told above");
            rows.extend(found.0);
            wrong.extend(found.1);
        }
    });
    let mut table = BTreeMap::<Rule, BTreeMap<&str, [usize; 2]>>::new();
    for row in &rows {
        table.entry(row.rule).or_default().entry(&row.oracle).or_default()[usize::from(row.kept)] += 1;
    }
    let mut text = format!("{:<40} {:>6} {:>5}  {}\n", "rule", "broken", "kept", "oracle");
    for (rule, oracles) in &table {
        for (oracle, [broken, kept]) in oracles {
            text.push_str(&format!("{:<40} {broken:>6} {kept:>5}  {oracle}\n", format!("{rule:?}")));
        }
    }
    let broken = rows.iter().filter(|row| !row.kept).count();
    aloud(&format!("{text}{} rows: {broken} broken, {} kept; {} differ", rows.len(), rows.len() - broken, wrong.len()));
    let missing: Vec<&Rule> =
        Rule::ALL.iter().filter(|rule| !rows.iter().any(|row| row.rule == **rule && !row.kept)).collect();
    assert!(missing.is_empty(), "no row breaks {missing:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
