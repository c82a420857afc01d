//! What a node remembers: the tree of headers, the coins of many worlds, the records of blocks.bin; and coins as Bitcoin
//! Core lists and hashes them. Everything here is a value in memory; nothing knows of sockets, files, peers or time.
// Allowed in `base/prefetch.rs` alone, with its proof.
#![deny(unsafe_code)]

pub mod base;
pub mod block_index;
pub mod body;
pub mod checkpoint;
pub mod coins;
pub mod compress;
mod group;
pub mod hash_serialized;
pub mod headers;
pub mod holes;
pub mod inventory;
pub mod muhash;
pub mod record;
pub mod snapshot;
pub mod survey;
#[cfg(test)]
mod testing;
pub mod worlds;

pub use base::Seed;
pub use body::Body;
pub use coins::{Coin, CoinDigest, PARTITIONS, PartitionDigest, partition_of};
pub use headers::{Headers, NodeId};
pub use worlds::{WorldId, Worlds};
