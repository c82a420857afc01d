//! Decides scripts: whether an input may spend its coin. Never sees a block, a height or a ledger:
//! a transaction, its coins and the rules in force are given.
//!
//! ```text
//!   verify.rs     an input: its script, the coin's, what P2SH reveals, the witness program
//!   machine.rs    one script: stack, conditions, limits      stack.rs   what each operation does to items
//!   checksig.rs   the operations that check signatures       sighash.rs what they sign
//!   checker.rs    who answers: libsecp256k1 at once, or rows recorded now and settled later
//!   curve.rs      libsecp256k1, asked as Core asks it        tagged.rs  hashes with tags, taproot trees
//!   shape.rs      what can be said of a script without running it
//! ```

mod checker;
mod checksig;
mod curve;
mod error;
mod flags;
mod item;
mod machine;
pub mod opcode;
mod shape;
mod sighash;
mod stack;
mod tagged;
#[cfg(test)]
mod tests;
mod verify;

pub use checker::{AtOnce, Checker, Key, Recorder, Row};
pub use checksig::is_strict_der;
pub use curve::uncompressed;
pub use error::ScriptError;
pub use flags::{Flags, UnknownFlag};
pub use item::Item;
pub use machine::{Machine, Version};
pub use shape::{
    MAX_SCRIPT_SIZE, is_p2sh, is_unspendable, last_push, next_op, next_op_at, p2sh_sigops, sigops, witness_program,
    witness_sigops,
};
pub use sighash::{Digests, Spending, legacy_digest};
pub use verify::{check_input, check_input_deferred, check_input_proven};
