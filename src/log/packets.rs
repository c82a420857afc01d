//! `--packet`: all that goes over the connections with peers, a record a message, as it went over the wire. What is no
//! message is there too, so that the records of one direction put together are all of its bytes.
//!
//! ```text
//! facility "packet", event "in" or "out"
//! conn, peer    the connection as the log names it, and the peer's address; inbound: whether the peer dialed
//! command       of the message; empty for bytes that belong to none: of what is broken, or was never completed
//! header        its 24 bytes
//! payload       its bytes; or, for a block that the kernel sent out of blocks.bin, which we never hold,
//! at, len       where it lies there
//! ```
//!
//! Neither reads a message nor judges it. What is held of an incomplete one is its bytes so far, at most 4 MB.

use super::format::{Draft, Value};
use shards::msg::{PeerId, peer_name};
use std::net::SocketAddr;
use wire::frame::{HEADER_BYTES, PAYLOAD_BYTES_MAX};

/// One direction of a connection.
pub struct Tap {
    event: &'static str,
    conn: String,
    peer: String,
    inbound: bool,
    /// Of a message that is not complete.
    held: Vec<u8>,
    /// Where a message begins is not known any more.
    lost: bool,
}

impl Tap {
    /// Both directions of a connection: in, and out.
    pub fn pair(peer: PeerId, address: SocketAddr, inbound: bool) -> [Tap; 2] {
        ["in", "out"].map(|event| Tap {
            event,
            conn: peer_name(peer),
            peer: address.to_string(),
            inbound,
            held: Vec::new(),
            lost: false,
        })
    }

    /// These bytes came, or are sent.
    pub fn bytes(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.lost {
                return self.record(&[], &[("payload", Value::Bytes(bytes))]);
            }
            let wanted = HEADER_BYTES + self.payload_len().unwrap_or(0);
            let (taken, rest) = bytes.split_at(bytes.len().min(wanted - self.held.len()));
            self.held.extend_from_slice(taken);
            bytes = rest;
            match self.payload_len() {
                None => {}
                Some(len) if len > PAYLOAD_BYTES_MAX as usize => self.give_up(),
                Some(len) if self.held.len() == HEADER_BYTES + len => {
                    let message = std::mem::take(&mut self.held);
                    let (header, payload) = message.split_at(HEADER_BYTES);
                    self.record(header, &[("payload", Value::Bytes(payload))]);
                }
                Some(_) => {}
            }
        }
    }

    /// The payload is sent out of blocks.bin, from there on.
    pub fn file(&mut self, at: u64, len: u64) {
        let header = std::mem::take(&mut self.held);
        self.record(&header, &[("at", Value::Natural(at)), ("len", Value::Natural(len))]);
    }

    /// Of the message that has begun, once its header is there.
    fn payload_len(&self) -> Option<usize> {
        let bytes = self.held.get(16..20).filter(|_| self.held.len() >= HEADER_BYTES)?;
        Some(u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize)
    }

    fn give_up(&mut self) {
        self.lost = true;
        let held = std::mem::take(&mut self.held);
        self.bytes(&held);
    }

    fn record(&self, header: &[u8], payload: &[(&str, Value<'_>)]) {
        let Some(log) = super::binary() else { return };
        let mut draft = Draft::new(4, "packet", self.event);
        draft.field("conn", Value::Text(&self.conn));
        draft.field("peer", Value::Text(&self.peer));
        draft.field("inbound", Value::Bool(self.inbound));
        let command = header.get(4..16).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
        draft.field("command", Value::Text(&command.escape_ascii().to_string()));
        draft.field("header", Value::Bytes(header));
        payload.iter().for_each(|(name, value)| draft.field(name, *value));
        log.push(draft);
    }
}

/// What was never completed.
impl Drop for Tap {
    fn drop(&mut self) {
        if !self.held.is_empty() {
            self.give_up();
        }
    }
}
