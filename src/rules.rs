//! `caesure rules`: every rule of consensus as a table for people, 100 columns wide.
//!
//! Decides how it looks; which rules there are and from which height they bind is read from the tables that check blocks.

use crate::config::Config;
use crate::settings::{Setting, Source};
use consensus::{BIP34_IMPLIES_BIP30_LIMIT, BlockHash, Deployment, Kind, NEVER, Network, Params, Rule, SCRIPT_RULES};
use shards::status::format::thousands;
use std::fmt::Write;

/// Columns of a terminal.
const WIDTH: usize = 100;

/// The networks to show: the one that was chosen, with all that was said of it, or else all.
pub fn networks(config: &Config) -> Vec<&'static Params> {
    match config.source(Setting::Chain) {
        Source::Default => Network::ALL.map(Params::of).to_vec(),
        _ => vec![config.params],
    }
}

/// The whole table.
pub fn table(networks: &[&Params]) -> String {
    let mut out = String::from("A number is the first height at which a rule binds.\n\n");
    row(&mut out, "RULE", "KIND", networks.iter().map(|params| params.network.to_string()));
    for rule in Rule::ALL {
        let since: Vec<Vec<u32>> = networks.iter().map(|params| rule.since(params)).collect();
        for line in 0..since.iter().map(Vec::len).max().unwrap_or(0) {
            let (name, kind) = if line == 0 { (rule.reject(), word(rule.kind())) } else { ("", "") };
            row(&mut out, name, kind, since.iter().map(|rows| rows.get(line).map_or(String::new(), |&at| begins(at))));
        }
        paragraph(&mut out, &format!("{} [{}]", rule.must(), rule.source()));
        if *rule == Rule::BadTxnsBip30 {
            bip30(&mut out, networks);
        }
    }
    out.push('\n');
    row(&mut out, "SCRIPT RULES", "SOURCE", networks.iter().map(|params| params.network.to_string()));
    for rule in SCRIPT_RULES {
        row(&mut out, &rule.flag.to_string(), rule.source, networks.iter().map(|params| begins((rule.since)(params))));
        for params in networks {
            let hashes = (rule.exceptions)(params).into_iter().flatten();
            hashes.for_each(|hash| except(&mut out, params.network, *hash));
        }
    }
    out.push_str("\nDEPLOYMENTS BY VERSION BITS (BIP9)\n");
    for params in networks {
        for deployment in &params.deployments {
            paragraph(&mut out, &format!("{}: {}", params.network, terms(deployment)));
        }
    }
    out
}

fn row(out: &mut String, name: &str, kind: &str, cells: impl Iterator<Item = String>) {
    let mut line = format!("{name:<36} {kind:<13}");
    cells.for_each(|cell| line.push_str(&format!("{cell:>10}")));
    out.push_str(line.trim_end());
    out.push('\n');
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "invalid",
        Kind::Mutated => "mutated",
        Kind::TooEarly => "too early",
        Kind::Unconnected => "unconnected",
    }
}

/// The genesis block is built in, so what binds from the first block after it binds always.
fn begins(height: u32) -> String {
    match height {
        0 | 1 => "always".to_owned(),
        NEVER => "never".to_owned(),
        height => thousands(height.into()),
    }
}

/// Indented, and wrapped.
fn paragraph(out: &mut String, text: &str) {
    let mut line = String::from("   ");
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = String::from("   ");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

fn except(out: &mut String, network: Network, hash: BlockHash) {
    writeln!(out, "    not in {network} {hash}").expect("a string takes all");
}

/// Where Core does not ask for it (`Params::bip30_applies`). Networks inherit the two blocks, which they do not have.
fn bip30(out: &mut String, networks: &[&Params]) {
    for params in networks {
        if params.network == Network::Main {
            params.bip30_exceptions.iter().for_each(|(_, hash)| except(out, params.network, *hash));
        }
        if params.bip34_hash != BlockHash::default() {
            let (first, last) = (params.bip34_height + 1, BIP34_IMPLIES_BIP30_LIMIT - 1);
            let (first, last) = (thousands(first.into()), thousands(last.into()));
            paragraph(
                out,
                &format!(
                    "not from {first} to {last} on {}, where coinbases name heights of their own (BIP34)",
                    params.network
                ),
            );
        }
    }
}

fn terms(deployment: &Deployment) -> String {
    let Deployment { name, bit, start, timeout, min_height, period, threshold } = *deployment;
    let when = match start {
        Deployment::ALWAYS_ACTIVE => "always active".to_owned(),
        Deployment::NEVER_ACTIVE => "never active".to_owned(),
        start => {
            let timeout = if timeout == Deployment::NO_TIMEOUT { "never".to_owned() } else { timeout.to_string() };
            format!("starts at time {start}, times out at {timeout}, active from height {min_height} at the earliest")
        }
    };
    format!("{name}, bit {bit}, {} of {} blocks; {when}", thousands(threshold.into()), thousands(period.into()))
}
