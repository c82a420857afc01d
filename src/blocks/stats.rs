//! `caesure blocks stats`: what the best chain holds, counted: transactions, inputs, outputs, kinds of scripts; and each
//! output of one kind. Decides nothing.

use super::walk;
use crate::args::Heights;
use crate::config::Config;
use crate::exit::Fatal;
use crate::stored::Stored;
use consensus::Block;
use describe::{Kind, btc};
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// All that is counted of a part of the chain.
#[derive(Default, Serialize)]
struct Counts {
    blocks: u64,
    bytes: u64,
    transactions: u64,
    /// Of those, the ones with a witness.
    with_witness: u64,
    inputs: u64,
    outputs: u64,
    satoshi: u64,
    #[serde(skip)]
    kinds: [(u64, u64); Kind::NAMES.len()],
}

impl Counts {
    fn of(block: &Block) -> Counts {
        let mut counts = Counts {
            blocks: 1,
            bytes: block.bytes.len() as u64,
            transactions: block.txs.len() as u64,
            with_witness: block.txs.iter().filter(|tx| tx.has_witness).count() as u64,
            inputs: block.inputs.len() as u64,
            outputs: block.outputs.len() as u64,
            ..Counts::default()
        };
        for output in &block.outputs {
            // What is stored may pay out nonsense.
            counts.satoshi = counts.satoshi.saturating_add(output.value);
            let (count, satoshi) = &mut counts.kinds[Kind::of(block.script(output.script)).number()];
            (*count, *satoshi) = (*count + 1, satoshi.saturating_add(output.value));
        }
        counts
    }

    fn add(&mut self, more: &Counts) {
        self.blocks += more.blocks;
        self.bytes += more.bytes;
        self.transactions += more.transactions;
        self.with_witness += more.with_witness;
        self.inputs += more.inputs;
        self.outputs += more.outputs;
        self.satoshi = self.satoshi.saturating_add(more.satoshi);
        for ((count, satoshi), (more, worth)) in self.kinds.iter_mut().zip(more.kinds) {
            (*count, *satoshi) = (*count + more, satoshi.saturating_add(worth));
        }
    }
}

/// Counts, or looks for outputs of one kind.
pub fn run(config: &Config, heights: &Heights, find: Option<&str>, json: bool) -> Result<(), Fatal> {
    let stored = Stored::open(config.params, &config.folder)?;
    let part = walk::part(&stored, heights)?;
    if let Some(name) = find {
        return self::find(config, &stored, &part, name);
    }
    let mut all = Counts::default();
    walk::each(
        config,
        &stored,
        "counting",
        &part,
        |_, block| Counts::of(block),
        |counts| {
            all.add(&counts);
            true
        },
    )?;
    let (_, last) = part.last().expect("there is one");
    let (from, to) = (part[0].0, heights.from + part.len() as u32 - 1);
    let elsewhere = stored.records().0.saturating_sub(stored.node(stored.best()).height as usize + 1);
    if json {
        let kinds = Kind::NAMES.iter().zip(all.kinds);
        let kinds: serde_json::Map<String, serde_json::Value> = kinds
            .map(|(name, (outputs, satoshi))| {
                ((*name).to_owned(), serde_json::json!({ "outputs": outputs, "satoshi": satoshi }))
            })
            .collect();
        let told = serde_json::json!({
            "from": from, "to": to, "last": last.hash.to_string(), "counts": all, "kinds": kinds, "elsewhere": elsewhere,
        });
        println!("{told:#}");
        return Ok(());
    }
    let line = |name: &str, text: String| println!("{name:<22} {text}");
    line("blocks", format!("{}, from height {from} to {to} {}", all.blocks, last.hash));
    line("elsewhere", format!("{elsewhere} record(s) of other branches"));
    line("bytes", all.bytes.to_string());
    line("transactions", format!("{}, {} with a witness", all.transactions, all.with_witness));
    line("inputs", all.inputs.to_string());
    line("outputs", format!("{}, {} BTC", all.outputs, btc(all.satoshi)));
    for (name, (outputs, satoshi)) in Kind::NAMES.iter().zip(all.kinds) {
        line(&format!("  {name}"), format!("{outputs}, {} BTC", btc(satoshi)));
    }
    Ok(())
}

/// Prints each output of a kind: height, outpoint, amount, and what it is.
fn find(config: &Config, stored: &Stored, part: &[(u32, ledger::record::Record)], name: &str) -> Result<(), Fatal> {
    let number = Kind::NAMES.iter().position(|known| *known == name).expect("one of those that may be given");
    let lines = |height: u32, block: &Block| {
        let mut lines = String::new();
        for tx in &block.txs {
            for (vout, output) in block.outputs_of(tx).iter().enumerate() {
                let script = block.script(output.script);
                if Kind::of(script).number() == number {
                    let told = describe::output(script, config.chain);
                    lines += &format!("{height} {}:{vout} {} {told}\n", tx.txid, btc(output.value));
                }
            }
        }
        lines
    };
    let (mut out, mut failed) = (std::io::stdout().lock(), None);
    walk::each(config, stored, "looking", part, lines, |lines| match out.write_all(lines.as_bytes()) {
        Ok(()) => true,
        Err(why) => {
            failed = Some(why);
            false
        }
    })?;
    match failed {
        // Whoever reads has seen enough.
        Some(why) if why.kind() != ErrorKind::BrokenPipe => {
            Err(Fatal::Runtime(format!("cannot write to standard output: {why}")))
        }
        _ => Ok(()),
    }
}
