//! Decides how people are told what lies in a chain: scripts, the kinds of outputs, addresses, inputs, amounts, whole
//! transactions and blocks, as text in the shapes of the 2014 node and as JSON in those of Bitcoin Core.
//!
//! ```text
//! script ─ parse ─▸ operations ─ words ─▸ ['OP_DUP', 'OP_HASH160', '0x67a5…', …]
//! script ─ Kind::of ─▸ kind ─ address ─▸ text         transaction, block ─▸ dump, json
//! ```
//!
//! Never judges: what is described may break any rule. Never sees a file or a ledger; a coin that is spent comes as an argument.
#![forbid(unsafe_code)]

pub mod address;
pub mod amount;
pub mod asm;
pub mod dump;
pub mod hex;
pub mod input;
pub mod json;
pub mod kind;
pub mod script;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use address::Address;
pub use amount::btc;
pub use hex::{hex, unhex};
pub use input::input;
pub use kind::{Kind, output};
pub use script::{BadScript, Insn, Word, parse, pprint};
