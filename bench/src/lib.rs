//! Makes chains and serves them: the load that tests, demo and measurements put on a node.
//!
//! [`chain`] invents a regtest chain of today's script types that consensus accepts, [`fan`] one that makes very many coins,
//! [`block`] and [`keys`] are the parts they are made of (tests assemble broken blocks from the same parts), and [`pump`] is
//! a peer that serves any file of blocks. Nothing here knows how a node decides: it shares no code with the rules it
//! exercises, so that an error in one cannot hide in the other; but for [`coins`], which measures the ledger itself.

pub mod block;
pub mod chain;
pub mod coins;
pub mod fan;
pub mod keys;
pub mod p2p;
pub mod pump;
pub mod records;
pub mod rng;
pub mod sighash;
pub mod sign;
pub mod tx;
