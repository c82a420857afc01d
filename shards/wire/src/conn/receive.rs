//! The receiving half of a connection.
//!
//! Decides where received bytes lie, when a frame is whole, and which frames are skipped. Never knows what a message
//! means, nor what time it is for.

use super::{Conn, Direction, Event, Stage};
use crate::frame::{Broken, Checksum, Command, FrameHeader, HEADER_BYTES, PAYLOAD_BYTES_MAX};
use crate::message::{self, Message, command};
use bytes::Bytes;

/// The receive buffer begins with this many bytes …
pub(super) const SMALL_BYTES_MIN: usize = 16 << 10;
/// … and grows to this many when reads fill it. Longer frames leave it for a Vec of their own.
pub(super) const SMALL_BYTES_MAX: usize = 64 << 10;
/// The most bytes asked of one read: whoever reads has other connections, too.
const READ_BYTES_MAX: usize = 1 << 20;

/// A payload on its way that does not lie whole in the small buffer.
pub(super) struct Body {
    header: FrameHeader,
    /// None for a block: its bytes are held to the header that it was asked for by, all of them.
    checksum: Option<Checksum>,
    left: usize,
    /// Its bytes so far; None where they are skipped.
    pub(super) kept: Option<Vec<u8>>,
}

impl Body {
    /// A long payload of which these bytes are there.
    fn begun(header: FrameHeader, bytes: &[u8]) -> Body {
        let mut kept = Vec::with_capacity(SMALL_BYTES_MAX);
        kept.extend_from_slice(bytes);
        let mut body = Body::due(header);
        body.came(bytes);
        Body { kept: Some(kept), ..body }
    }

    /// One that is skipped.
    fn due(header: FrameHeader) -> Body {
        let checksum = (header.command != command::BLOCK).then(Checksum::default);
        Body { header, checksum, left: header.len as usize, kept: None }
    }

    /// Counts these bytes.
    fn came(&mut self, bytes: &[u8]) {
        self.checksum.iter_mut().for_each(|checksum| checksum.add(bytes));
        self.left -= bytes.len();
    }
}

/// The buffer that was handed out, in bytes; zeros where none is.
#[derive(Default)]
pub(super) struct Lent {
    pub(super) len: usize,
    room: usize,
    pub(super) capacity: usize,
}

impl Conn {
    /// The buffer for the next read, and how many bytes may be appended to it now; it has the capacity for them. None
    /// may be appended once the connection is over. It comes back through [`Conn::received`].
    pub fn buffer(&mut self) -> (Vec<u8>, usize) {
        if self.stage == Stage::Over {
            return (Vec::new(), 0);
        }
        assert!(self.lent.room == 0); // there is one buffer, and it comes back
        let (mut buf, room) = match &mut self.body {
            Some(Body { kept: Some(kept), left, .. }) => {
                let mut buf = std::mem::take(kept);
                if buf.len() == buf.capacity() {
                    buf.reserve_exact(buf.len().min(*left)); // as many bytes again as have come, never more
                }
                let room = (buf.capacity() - buf.len()).min(*left);
                (buf, room)
            }
            _ => {
                if self.small.len() == self.small_bytes {
                    self.small_bytes = (self.small_bytes * 2).min(SMALL_BYTES_MAX);
                }
                let room = self.small_bytes - self.small.len();
                (std::mem::take(&mut self.small), room)
            }
        };
        let room = room.min(READ_BYTES_MAX);
        assert!(room > 0);
        buf.reserve_exact(room);
        self.lent = Lent { len: buf.len(), room, capacity: buf.capacity() };
        (buf, room)
    }

    /// Takes back the buffer that [`Conn::buffer`] gave, with the bytes read appended.
    pub fn received(&mut self, buf: Vec<u8>, now_ms: u64, out: &mut Vec<Event>) {
        if self.stage == Stage::Over {
            return;
        }
        let Lent { len: old, room, .. } = std::mem::take(&mut self.lent);
        assert!(buf.len() >= old);
        let fresh = buf.len() - old;
        assert!(fresh <= room);
        if fresh > 0 {
            (self.heard_ms, self.counters.last_in_ms) = (now_ms, now_ms);
            self.counters.bytes_in += fresh as u64;
        }
        match &mut self.body {
            Some(body) if body.kept.is_some() => {
                body.came(&buf[old..]);
                body.kept = Some(buf);
                if body.left == 0 {
                    self.finish_body(now_ms, out);
                }
            }
            _ => {
                if buf.len() == self.small_bytes {
                    self.small_bytes = (self.small_bytes * 2).min(SMALL_BYTES_MAX);
                }
                self.read_frames(buf, now_ms, out);
            }
        }
    }

    /// Reads all frames that lie whole in `buf` and keeps the rest.
    fn read_frames(&mut self, mut buf: Vec<u8>, now_ms: u64, out: &mut Vec<Event>) {
        let mut at = 0;
        while self.stage != Stage::Over {
            let rest = &buf[at..];
            if let Some(body) = &mut self.body {
                if body.kept.is_some() {
                    break; // the rest is read straight into its own Vec
                }
                let count = body.left.min(rest.len());
                body.came(&rest[..count]);
                at += count;
                if body.left > 0 {
                    break;
                }
                self.finish_body(now_ms, out);
                continue;
            }
            let header = match self.header(rest) {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(broken) => {
                    self.end(broken, out);
                    break;
                }
            };
            let (body, len) = (&rest[HEADER_BYTES..], header.len as usize);
            if !self.is_wanted(header.command) {
                self.body = Some(Body::due(header));
                at += HEADER_BYTES;
            } else if let Some(payload) = body.get(..len) {
                let read = || Message::decode(header.command, payload);
                let checksum = (header.command != command::BLOCK).then(|| Checksum::of(payload));
                self.finish(header, checksum, read, now_ms, out);
                at += HEADER_BYTES + len;
            } else if HEADER_BYTES + len > SMALL_BYTES_MAX {
                self.body = Some(Body::begun(header, body));
                at = buf.len();
            } else {
                break;
            }
        }
        buf.drain(..at);
        self.small = buf;
    }

    /// The header at the front of the buffer, once it is there. The first bytes of an inbound connection may belong to
    /// another protocol: BIP 324 opens with a random key, where v1 opens with magic and `version`.
    fn header(&self, bytes: &[u8]) -> Result<Option<FrameHeader>, Broken> {
        let first = self.counters.messages_in == 0 && self.direction == Direction::Inbound;
        if first && bytes.len() >= 16 && bytes[..4] != self.cfg.magic && bytes[4..16] != *b"version\0\0\0\0\0" {
            return Err(Broken::Bip324);
        }
        let Some(header) = bytes.first_chunk() else {
            return Ok(None);
        };
        FrameHeader::parse(self.cfg.magic, header, |command| message::limit(command).unwrap_or(PAYLOAD_BYTES_MAX))
            .map(Some)
    }

    /// Whether a payload that begins now will be read.
    fn is_wanted(&self, command: Command) -> bool {
        use command::*;
        match self.stage {
            Stage::Opening => command == VERSION,
            Stage::Versioned => [VERACK, WTXIDRELAY, SENDADDRV2, SENDHEADERS].contains(&command),
            Stage::Up if command == BLOCK => self.blocks_expected > 0,
            Stage::Up => ![VERSION, VERACK].contains(&command) && message::limit(command).is_some(),
            Stage::Over => false,
        }
    }

    fn finish_body(&mut self, now_ms: u64, out: &mut Vec<Event>) {
        let Some(Body { header, checksum, kept, left }) = self.body.take() else {
            return;
        };
        assert!(left == 0);
        let read = || match kept {
            None => Ok(Message::Ignored { command: header.command }),
            Some(bytes) if header.command == command::BLOCK => Ok(Message::Block(Bytes::from(bytes))),
            Some(bytes) => Message::decode(header.command, &bytes),
        };
        self.finish(header, checksum.map(Checksum::finish), read, now_ms, out);
    }

    /// A whole payload is there: checks it, reads it, acts on it.
    fn finish(
        &mut self,
        header: FrameHeader,
        got: Option<[u8; 4]>,
        read: impl FnOnce() -> Result<Message, Broken>,
        now_ms: u64,
        out: &mut Vec<Event>,
    ) {
        let FrameHeader { command, len, checksum: want } = header;
        self.counters.messages_in += 1;
        let result = match got.filter(|got| *got != want) {
            None => read(),
            Some(got) => Err(Broken::BadChecksum { command, len, got, want }),
        };
        let result = result.and_then(|message| self.act(message, len, now_ms, out));
        if let Err(broken) = result {
            self.end(broken, out);
        }
    }
}
