//! The Bitcoin P2P protocol without sockets: bytes in, messages and events out, bytes to send back out.
//!
//! This crate decides what a frame, a message, a handshake and a known address are, whom to dial and which blocks to
//! ask of whom. It never sees a socket, a clock, a file or the coins; time comes in as an argument.
//!
//! ```text
//! socket bytes → conn (frame → message → handshake) → Event → whoever decides
//! ```
#![forbid(unsafe_code)]

pub mod addresses;
mod codec;
pub mod conn;
pub mod fetch;
pub mod frame;
pub mod message;
pub mod netgroup;
pub mod presync;

/// The P2P protocol version spoken here: witness blocks, wtxid relay and addrv2 (BIP 144, 339, 155).
pub const PROTOCOL_VERSION: i32 = 70016;

/// Peers below this version are let go (Core: `MIN_PEER_PROTO_VERSION`).
pub const PEER_VERSION_MIN: i32 = 31800;

/// Service bit: the peer serves the whole chain (Core: `NODE_NETWORK`).
pub const NODE_NETWORK: u64 = 1;
/// Service bit: the peer serves the last 288 blocks, at least (BIP159, Core: `NODE_NETWORK_LIMITED`).
pub const NODE_NETWORK_LIMITED: u64 = 1 << 10;

/// Service bit: the peer serves blocks with witnesses (BIP 144).
pub const NODE_WITNESS: u64 = 1 << 3;

/// How this node names itself (BIP 14).
pub const USER_AGENT: &str = "/caesure:0.1.0/";
