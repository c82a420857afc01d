//! The handshake of a connection.
//!
//! Decides what is said before verack and right after it, in Bitcoin Core's order (`ProcessMessage`). Never knows of
//! bytes and buffers.
//!
//! ```text
//! dialer    version →                                             wtxidrelay sendaddrv2 verack → | sendheaders getaddr →
//! answerer            ← version wtxidrelay sendaddrv2 verack                                     | sendheaders →
//! ```

use super::{Conn, Direction, Event, PeerInfo, Stage};
use crate::frame::Broken;
use crate::message::{Message, Version};
use crate::{PEER_VERSION_MIN, PROTOCOL_VERSION};

/// The first version that knows `sendheaders` (Core: `SENDHEADERS_VERSION`).
const SENDHEADERS_VERSION: i32 = 70_012;
/// The first version told of wtxid relay and addrv2 (Core: `WTXID_RELAY_VERSION`).
const FEATURES_VERSION: i32 = 70_016;

impl Conn {
    pub(super) fn send_version(&mut self, now_ms: u64) {
        let unix_s = self.cfg.unix_s + now_ms.saturating_sub(self.opened_ms) / 1000;
        self.send(&Message::Version(Version {
            version: PROTOCOL_VERSION,
            services: self.cfg.services,
            time: unix_s as i64,
            receiver: self.cfg.peer_address,
            nonce: self.cfg.nonce,
            user_agent: self.cfg.user_agent.clone(),
            start_height: self.cfg.start_height as i32,
            relay: false, // there is no pool to put transactions into
        }));
    }

    /// Only messages that `is_wanted` lets through before the connection is up arrive here.
    pub(super) fn shake_hands(&mut self, message: Message, now_ms: u64, out: &mut Vec<Event>) -> Result<(), Broken> {
        match (message, &mut self.info) {
            (Message::Version(version), _) => self.meet(version, now_ms)?,
            (Message::SendAddrV2, Some(info)) => info.addrv2 = true,
            (Message::SendHeaders, Some(info)) => info.wants_headers = true,
            (Message::Verack, _) => self.up(out),
            _ => (), // wtxidrelay: there are no transactions to relay
        }
        Ok(())
    }

    fn meet(&mut self, theirs: Version, now_ms: u64) -> Result<(), Broken> {
        if theirs.version < PEER_VERSION_MIN {
            return Err(Broken::TooOld { version: theirs.version });
        }
        if self.cfg.our_nonces.contains(&theirs.nonce) {
            return Err(Broken::SelfConnection { nonce: theirs.nonce });
        }
        if self.direction == Direction::Inbound {
            self.send_version(now_ms);
        }
        if theirs.version >= FEATURES_VERSION {
            self.send(&Message::WtxidRelay);
            self.send(&Message::SendAddrV2);
        }
        self.send(&Message::Verack);
        self.stage = Stage::Versioned;
        self.info = Some(PeerInfo {
            version: theirs.version,
            services: theirs.services,
            user_agent: theirs.user_agent,
            start_height: theirs.start_height,
            their_time: theirs.time,
            nonce: theirs.nonce,
            our_address: theirs.receiver,
            inbound: self.direction == Direction::Inbound,
            wants_headers: false,
            addrv2: false,
        });
        Ok(())
    }

    fn up(&mut self, out: &mut Vec<Event>) {
        self.stage = Stage::Up;
        let Some(info) = self.info.clone() else {
            return;
        };
        if info.version >= SENDHEADERS_VERSION {
            self.send(&Message::SendHeaders);
        }
        if !info.inbound {
            self.send(&Message::GetAddr);
        }
        out.push(Event::Up(info));
    }
}
