//! `caesure blocks cat`: one block, or one transaction, as hex, JSON or lines. Decides nothing.

use super::walk;
use crate::args::{Form, Heights};
use crate::config::Config;
use crate::exit::Fatal;
use crate::stored::Stored;
use crate::txmap;
use consensus::{Block, BlockHash, TxView, Txid};
use describe::{dump, hex, json};
use std::io::{ErrorKind, Write};

/// Prints it.
pub fn run(config: &Config, what: &str, tx: Option<&str>, form: Form) -> Result<(), Fatal> {
    let stored = Stored::open(config.params, &config.folder)?;
    let hash: Option<BlockHash> = what.parse().ok();
    let id = match (hash, what.parse::<u32>()) {
        (Some(hash), _) => stored.find(&hash),
        (None, Ok(height)) => Some(stored.on_best(height).ok_or_else(|| {
            Fatal::Usage(format!("the best chain ends at height {}", stored.node(stored.best()).height))
        })?),
        (None, Err(_)) => {
            return Err(Fatal::Usage(format!("{what:?} is neither a height nor a hash of 64 hex digits")));
        }
    };
    let text = match (id, tx) {
        (Some(id), tx) => {
            let block = stored.block(id).map_err(Fatal::Runtime)?;
            match tx {
                None => of_block(config, &block, stored.node(id).height, form),
                Some(tx) => {
                    let number = number_in(&block, tx).ok_or_else(|| {
                        Fatal::Usage(format!(
                            "block {} has {} transactions, none of them {tx}",
                            block.hash,
                            block.txs.len()
                        ))
                    })?;
                    of_tx(config, &block.view(&block.txs[number]), form)
                }
            }
        }
        (None, Some(_)) => return Err(Fatal::Usage(format!("no block {what} is stored"))),
        (None, None) => look_for(config, &stored, Txid(hash.expect("no height").0), form)?,
    };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(why) if why.kind() != ErrorKind::BrokenPipe => {
            Err(Fatal::Runtime(format!("cannot write to standard output: {why}")))
        }
        _ => Ok(()),
    }
}

/// A transaction of a block by its number or its id.
pub fn number_in(block: &Block, tx: &str) -> Option<usize> {
    match tx.parse::<Txid>() {
        Ok(txid) => block.txs.iter().position(|tx| tx.txid == txid),
        Err(_) => tx.parse().ok().filter(|number| *number < block.txs.len()),
    }
}

/// A transaction in any block, by the index where there is one.
fn look_for(config: &Config, stored: &Stored, txid: Txid, form: Form) -> Result<String, Fatal> {
    let indexed = txmap::find(stored, &txid).unwrap_or_else(|why| {
        tracing::warn!("{why}; all blocks are looked through");
        None
    });
    if let Some(place) = indexed.and_then(|places| places.first().copied()) {
        let id = stored.find(&place.block).ok_or_else(|| Fatal::Runtime(format!("no block {}", place.block)))?;
        let block = stored.block(id).map_err(Fatal::Runtime)?;
        return Ok(of_tx(config, &block.view(&block.txs[place.number]), form));
    }
    let all = Heights { from: 0, to: None };
    let part = walk::part(stored, &all)?;
    let mut found = None;
    let tx = |height: u32, block: &Block| {
        let tx = block.txs.iter().find(|tx| tx.txid == txid)?;
        Some((height, block.hash, of_tx(config, &block.view(tx), form)))
    };
    walk::each(config, stored, "looking for that transaction", &part, tx, |text| {
        found = found.take().or(text);
        found.is_none()
    })?;
    let (height, hash, text) = found.ok_or_else(|| {
        Fatal::Usage(format!("{txid} is neither a block that is stored nor a transaction of the best chain"))
    })?;
    tracing::info!("in block {hash} at height {height}");
    Ok(text)
}

fn of_block(config: &Config, block: &Block, height: u32, form: Form) -> String {
    match form {
        Form::Hex => hex(&block.bytes) + "\n",
        Form::Json => pretty(&json::block(block, Some(height), config.chain)),
        Form::Dump => {
            let mut text = String::new();
            dump::block(&mut text, block).expect("a string takes all");
            text
        }
    }
}

fn of_tx(config: &Config, tx: &TxView, form: Form) -> String {
    match form {
        Form::Hex => hex(tx.whole()) + "\n",
        Form::Json => pretty(&json::tx(tx, config.chain)),
        Form::Dump => {
            let mut text = String::new();
            dump::tx(&mut text, tx).expect("a string takes all");
            text
        }
    }
}

fn pretty(told: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(told).expect("plain words and numbers") + "\n"
}
