//! `caesure verify`: the scripts of blocks that are stored, run again; and one spend alone, with a trace.
//!
//! Decides nothing about scripts; the chain shard audits, the script machine judges.

use crate::config::Config;
use crate::exit::Fatal;
use crate::run::Purpose;
use consensus::CoinView;
use consensus::script::{
    AtOnce, Checker, Item, Key, Machine, Spending, Version, check_input_deferred, next_op_at, opcode,
};
use shards::replay::{self, Replay};
use std::io::Read;
use std::time::Instant;

/// What an audit's node says at its end.
#[derive(serde::Deserialize)]
struct Outcome {
    height: u32,
    tip: String,
    inputs_run: u64,
    signatures_settled: u64,
    scripts_failed: u64,
}

/// Runs every script of the blocks from height `from` to `to` of the best chain that is stored.
pub fn audit(config: Config, from: u32, to: Option<u32>) -> Result<(), Fatal> {
    let to = to.unwrap_or(u32::MAX);
    if from > to {
        return Err(Fatal::Usage(format!("--from {from} lies above --to {to}")));
    }
    let (start, base) = (Instant::now(), config.folder.display().to_string());
    let outcome: Outcome = crate::answer(config, Purpose::Audit(from, to))?;
    let Outcome { height, tip, inputs_run, signatures_settled, scripts_failed } = outcome;
    if height < from {
        return Err(Fatal::Usage(format!("--from {from}: the best chain in {base} ends at height {height} ({tip})")));
    }
    let seconds = start.elapsed().as_secs_f64();
    eprintln!(
        "blocks {from} to {height} ({tip}): {inputs_run} inputs, {signatures_settled} signatures in {seconds:.1} s \
         ({:.0} inputs/s), {scripts_failed} failed",
        inputs_run as f64 / seconds
    );
    match scripts_failed {
        0 => Ok(()),
        _ => Err(Fatal::Runtime(format!(
            "{scripts_failed} script(s) failed, a line each on standard output\n\
             try: caesure verify --trace --replay -, and paste one of them"
        ))),
    }
}

/// Runs one spend again: the line itself, or `-` for the first line of standard input.
pub fn again(line: &str, trace: bool) -> Result<(), Fatal> {
    let mut given = line.to_owned();
    if line == "-" {
        given.clear();
        // Lines are longer than a terminal gives at once, and than the kernel takes as an argument.
        std::io::stdin().read_to_string(&mut given).map_err(|why| Fatal::Runtime(format!("standard input: {why}")))?;
    }
    let line = given.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let spend = replay::read(line).map_err(|why| {
        Fatal::Usage(format!(
            "--replay: {why}; expected a line that caesure verify printed, with tx=, input=, flags=, coins="
        ))
    })?;
    let Replay { tx, coins, input, flags, error } = &spend;
    let coins = coins.iter().map(|(value, script)| CoinView { value: *value, height: 0, coinbase: false, script });
    let coins: Vec<CoinView> = coins.collect();
    let spending = Spending::new(tx.view(), &coins);
    let result = match trace {
        true => Machine::new().check(&spending, *input, *flags, &mut Tracer),
        false => Machine::new().check(&spending, *input, *flags, &mut AtOnce),
    };
    if check_input_deferred(&spending, *input, *flags) != result {
        return Err(Fatal::Runtime("the two checkers differ: this is a bug, please report the line".into()));
    }
    println!("txid {}  input {input}  flags {flags}", tx.view().tx.txid);
    match result {
        Ok(()) => println!(
            "the script holds{}",
            if error.is_empty() { String::new() } else { format!(" (the line said {error})") }
        ),
        Err(found) => println!("{}: {found}", found.name()),
    }
    Ok(())
}

/// Asks libsecp256k1 and prints each step.
struct Tracer;

fn hex(bytes: &[u8]) -> String {
    match bytes {
        [] => "(empty)".to_owned(),
        _ => describe::hex(bytes),
    }
}

impl Checker for Tracer {
    fn ecdsa(&mut self, key: &Key, der: &[u8], message: &[u8; 32], fatal: bool) -> bool {
        let holds = AtOnce.ecdsa(key, der, message, fatal);
        println!(
            "    ECDSA   key {}  message {}  {}",
            hex(key.bytes()),
            hex(message),
            if holds { "holds" } else { "FAILS" }
        );
        holds
    }

    fn schnorr(&mut self, key: &[u8; 32], signature: &[u8; 64], message: &[u8; 32]) -> bool {
        let holds = AtOnce.schnorr(key, signature, message);
        println!("    BIP340  key {}  message {}  {}", hex(key), hex(message), if holds { "holds" } else { "FAILS" });
        holds
    }

    fn tweak(&mut self, output: &[u8; 33], internal: &[u8; 32], tweak: &[u8; 32]) -> bool {
        let holds = AtOnce.tweak(output, internal, tweak);
        println!("    BIP341  key {}  tweak {}  {}", hex(internal), hex(tweak), if holds { "holds" } else { "FAILS" });
        holds
    }

    fn watch(&mut self, version: Version, script: &[u8], at: usize, stack: &[Item], alt: &[Item]) {
        if at == 0 {
            println!("{version:?} script of {} bytes", script.len());
        }
        let mut end = at;
        let what = match next_op_at(script, &mut end) {
            Some((op, _)) if opcode::name(op).is_some_and(|_| op > opcode::OP_PUSHDATA4) => {
                opcode::name(op).expect("just seen").to_owned()
            }
            Some((_, data)) if end > at => format!("push {}", hex(data)),
            _ => format!("{:#04x}, which is no operation", script[at]),
        };
        println!("{at:>6}  {what}");
        for (name, items) in [("stack", stack), ("alt", alt)] {
            for (depth, item) in items.iter().rev().enumerate() {
                println!("    {name:<5} {depth:>3}  {}", hex(item.bytes()));
            }
        }
    }
}
