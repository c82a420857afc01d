//! One spend as one line: all that its verdict depends on, for a person to keep, send and run again.
//! Never decides the verdict.
//!
//! ```text
//! height=N txid=HASH input=N error=NAME flags=NAME,NAME tx=HEX coins=SATOSHI:HEX,SATOSHI:HEX
//! ```

use consensus::script::{Flags, ScriptError};
use consensus::{CoinView, LoneTx, TxView};
use describe::{hex, unhex};

/// What a line says.
#[derive(Debug)]
pub struct Replay {
    /// The transaction.
    pub tx: LoneTx,
    /// Value and script of each coin it spends.
    pub coins: Vec<(u64, Vec<u8>)>,
    /// Which input is meant.
    pub input: u32,
    /// The rules it is under.
    pub flags: Flags,
    /// Name of the error that was found.
    pub error: String,
}

/// The line of a spend that failed.
pub fn line(height: u32, tx: &TxView, coins: &[CoinView], input: u32, flags: Flags, error: ScriptError) -> String {
    let coins: Vec<String> = coins.iter().map(|coin| format!("{}:{}", coin.value, hex(coin.script))).collect();
    format!(
        "height={height} txid={} input={input} error={} flags={flags} tx={} coins={}",
        tx.tx.txid,
        error.name(),
        hex(tx.whole()),
        coins.join(",")
    )
}

/// Reads a line; what is wrong with it where that cannot be done.
pub fn read(line: &str) -> Result<Replay, String> {
    let field = |name: &str| {
        let found = line.split_ascii_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.ok_or_else(|| format!("the line has no {name}=..."))
    };
    let tx = unhex(field("tx")?).ok_or("tx= is not hex")?;
    let tx = LoneTx::parse(tx.into()).map_err(|why| format!("tx= is no transaction: {why}"))?;
    let coin = |text: &str| {
        let (value, script) = text.split_once(':')?;
        Some((value.parse().ok()?, unhex(script)?))
    };
    let coins = field("coins")?.split(',').map(|text| coin(text).ok_or_else(|| format!("{text:?} is no coin")));
    let coins: Vec<_> = coins.collect::<Result<_, _>>()?;
    let inputs = tx.view().inputs.len();
    if coins.len() != inputs {
        return Err(format!("the transaction has {inputs} inputs and the line {} coins", coins.len()));
    }
    let input = field("input")?;
    let number = input.parse::<u32>().ok().filter(|number| (*number as usize) < inputs);
    let flags: Flags = field("flags")?.parse().map_err(|why: consensus::script::UnknownFlag| why.to_string())?;
    if !flags.sound() {
        return Err(format!("flags={flags}: WITNESS needs P2SH, CLEANSTACK both"));
    }
    Ok(Replay {
        input: number.ok_or_else(|| format!("input={input}: the transaction has {inputs}"))?,
        tx,
        coins,
        flags,
        error: field("error").unwrap_or_default().to_owned(),
    })
}
