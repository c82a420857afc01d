//! Decides what is valid: every rule of Bitcoin consensus, as pure functions over bytes and
//! numbers. Never sees a clock, a file, a peer or a ledger; what a rule needs comes as an argument.
//!
//! ```text
//! bytes ─ Block::parse ─▸ Block ─ check_block ─▸ check_block_context ─▸ check_spends ─▸ check_coinbase_value
//!                          its own hash and facts    height, past times       coins         fees, subsidy
//! 80 bytes ─ Header::parse ─▸ check_header: work, bits, times, version
//! ```
//!
//! [`Rule`] names each rule; the tables in `*_rules.rs` give their order and activation.
#![forbid(unsafe_code)]

mod block;
mod block_rules;
mod deployments;
mod facts;
mod hash;
mod header;
mod header_rules;
pub mod merkle;
mod networks;
mod params;
mod parsing;
mod read;
mod ripemd160;
mod rules;
pub mod script;
mod signet;
mod spend_rules;
#[cfg(test)]
mod testing;
mod tx;
mod u256;
pub mod versionbits;
mod work;

pub use block::{Block, Input, OutPoint, Output, Tx, Witness};
pub use block_rules::{
    BLOCK, BLOCK_CONTEXT, BlockCx, BlockCxRow, BlockRow, INPUTS, OUTPUT, OutputCx, OutputRow, TX, TxRow, check_block,
    check_block_context,
};
pub use deployments::{BURIED, Buried, NEVER, SCRIPT_RULES, ScriptRule};
pub use facts::{Commitment, Facts};
pub use hash::{BadHex, BlockHash, CoinsHash, Txid, hash160, sha256, sha256d};
pub use header::Header;
pub use header_rules::{HEADER, HeaderCx, HeaderRow, check_header};
pub use params::{AssumeUtxo, BIP34_IMPLIES_BIP30_LIMIT, COIN, MAX_MONEY, Network, Params, UnknownNetwork};
pub use parsing::Parsing;
pub use read::Malformed;
pub use rules::{Kind, Rule};
pub use script::is_unspendable;
pub use spend_rules::{
    COIN_SPEND, CoinCx, CoinRow, CoinView, SpendCx, Spends, TX_VALUE, TimeLock, ValueCx, ValueRow,
    check_coinbase_value, check_spends, check_totals, time_lock_ok,
};
pub use tx::{LoneTx, TxView};
pub use versionbits::Deployment;
pub use work::{U256, Work, bits_of, meets_target, next_bits, permitted_transition, target_of, work_of};
