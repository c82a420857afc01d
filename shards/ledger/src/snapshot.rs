//! Core's file of coins, as `dumptxoutset` writes it (`node/utxo_snapshot.h`, `rpc/blockchain.cpp`, `coins.h`), version 2:
//! bytes to coins and coins to bytes. Never sees the file, and holds no more than one transaction's coins of it.
//!
//! ```text
//!  0         5     7       11             43        51
//!  | utxo ff | 2   | magic | block hash   | coins   | transaction ...        u16le, u64le
//!
//!  transaction   txid 32 | CompactSize: how many coins | coin ...
//!  coin          CompactSize: output index | VARINT: height * 2 + coinbase | amount | script      see `compress`
//! ```
//!
//! Transactions ascend by txid as in memory, coins of one by the bytes of their index as a VARINT, for so Core's database
//! has them: 16,512 comes before 256 there.

mod read;
#[cfg(test)]
mod tests;
mod write;

use crate::compress::{Unread, take};
use consensus::{BlockHash, Network, Params, Txid};

pub use read::{COIN_BYTES_MAX, Reader};
pub use write::Writer;

/// The first bytes of a snapshot (Core `SNAPSHOT_MAGIC_BYTES`).
const MARK: [u8; 5] = *b"utxo\xff";
/// The version this is written for (Core `SnapshotMetadata::VERSION`).
const VERSION: u16 = 2;
/// All outputs of a transaction are shorter, in bytes: a block without witnesses is (BIP141).
const OUTPUTS_BYTES_MAX: usize = 1_000_000;
/// Bytes of the shortest output: an amount and an empty script.
const OUTPUT_BYTES_MIN: usize = 8 + 1;
/// No transaction has more outputs.
const OUTPUTS_MAX: u64 = (OUTPUTS_BYTES_MAX / OUTPUT_BYTES_MIN) as u64;
/// What is wrong with a snapshot.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// It is something else.
    #[error("first bytes {0:02x?}, expected {MARK:02x?}: this is no snapshot of coins")]
    Mark([u8; 5]),
    /// It is of another version.
    #[error("version {0}, expected {VERSION}")]
    Version(u16),
    /// It is of another network.
    #[error("coins of {}, expected {}", named(found), named(expected))]
    Network {
        /// The magic in the snapshot.
        found: [u8; 4],
        /// The magic of the network that was asked for.
        expected: [u8; 4],
    },
    /// A number, amount or script cannot be read.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// A transaction has no coins, or more than there are.
    #[error("transaction with {found} coins, expected 1 to {left}: so many are left")]
    Count {
        /// Coins it claims to have.
        found: u64,
        /// Coins not yet given.
        left: u64,
    },
    /// A transaction follows that is not greater than the one before: it may be there twice.
    #[error("transaction {0} does not follow in ascending order")]
    TxOrder(Txid),
    /// A coin follows that is not greater than the one before: it may be there twice.
    #[error("output index {0} does not follow in ascending order")]
    CoinOrder(u32),
    /// No transaction has such an output.
    #[error("output index {0}, expected less than {OUTPUTS_MAX}")]
    Index(u64),
    /// No block below the snapshot's made the coin.
    #[error("coin made at height {found}, expected at most {max}: the snapshot's")]
    Height {
        /// The height in the snapshot.
        found: u32,
        /// That of the snapshot's block.
        max: u32,
    },
    /// Such an output is never a coin.
    #[error("script that nothing can spend")]
    Unspendable,
    /// The outputs of a transaction would not fit in a block.
    #[error("transaction with outputs of more than {OUTPUTS_BYTES_MAX} bytes")]
    Outputs,
    /// It ends too early.
    #[error("the end, expected {0} more coins")]
    Truncated(u64),
    /// It ends too late.
    #[error("more bytes behind the last coin")]
    LeftOver,
}

/// A magic and its network.
fn named(magic: &[u8; 4]) -> String {
    let known = Network::ALL.into_iter().find(|network| Params::of(*network).magic == *magic);
    let name = known.map_or("no known network", Network::name);
    format!("{name} ({})", magic.map(|byte| format!("{byte:02x}")).concat())
}

/// Where a snapshot is wrong.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("byte {at} of the snapshot: {fault}")]
pub struct Malformed {
    /// Offset of what is wrong.
    pub at: u64,
    /// What is.
    pub fault: Fault,
}

/// What a snapshot says of itself.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Metadata {
    /// The network's magic.
    pub magic: [u8; 4],
    /// The block after which the coins are unspent.
    pub base: BlockHash,
    /// How many there are.
    pub coins: u64,
}

impl Metadata {
    /// Bytes before the first transaction.
    pub const LEN: usize = 51;

    /// Reads the head of a snapshot of the network with this magic.
    pub fn parse(bytes: &[u8; Metadata::LEN], magic: [u8; 4]) -> Result<Metadata, Malformed> {
        let mut rest = &bytes[..];
        Metadata::read(&mut rest, magic).map_err(|(at, fault)| Malformed { at, fault })
    }

    fn read(rest: &mut &[u8], expected: [u8; 4]) -> Result<Metadata, (u64, Fault)> {
        const WHOLE: &str = "the head is whole";
        let mark = take(rest).expect(WHOLE);
        if mark != MARK {
            return Err((0, Fault::Mark(mark)));
        }
        let version = u16::from_le_bytes(take(rest).expect(WHOLE));
        if version != VERSION {
            return Err((5, Fault::Version(version)));
        }
        let found = take(rest).expect(WHOLE);
        if found != expected {
            return Err((7, Fault::Network { found, expected }));
        }
        let (base, coins) = (take(rest).expect(WHOLE), take(rest).expect(WHOLE));
        Ok(Metadata { magic: found, base: BlockHash(base), coins: u64::from_le_bytes(coins) })
    }

    /// The head of a snapshot.
    pub fn to_bytes(&self) -> [u8; Metadata::LEN] {
        let parts = [&MARK[..], &VERSION.to_le_bytes(), &self.magic, &self.base.0, &self.coins.to_le_bytes()];
        parts.concat().try_into().expect("5, 2, 4, 32 and 8")
    }
}
