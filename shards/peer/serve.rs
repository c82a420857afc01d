//! Answers to getdata, in the order asked: where the block lies (chain shard), its bytes (disk), out to the socket. A few
//! are looked up ahead of the one being sent, so that a peer that pulls a whole chain is limited by the wire.

use super::{Link, Peer, Reading};
use crate::effect::ConnId;
use crate::limits::PEER_SEND_BYTES;
use crate::msg::{Msg, Place};
use crate::{Cx, ShardId};
use bytes::{Bytes, BytesMut};
use consensus::{Block, BlockHash};
use std::collections::VecDeque;
use wire::message::{Inv, InvKind, Message};

/// Blocks looked up or read ahead for one peer.
const AHEAD_MAX: usize = 8;

#[derive(Debug)]
enum State {
    Finding,
    /// So many bytes are on their way from disk.
    Reading(u32),
    Ready(Bytes),
    Missing,
}

#[derive(Debug)]
struct Item {
    inv: Inv,
    state: State,
}

/// What one peer waits for.
#[derive(Debug, Default)]
pub(super) struct Serving {
    todo: VecDeque<Inv>,
    ahead: VecDeque<Item>,
    missing: Vec<Inv>,
}

impl Serving {
    pub(super) fn is_done(&self) -> bool {
        self.todo.is_empty() && self.ahead.is_empty()
    }

    /// Bytes of blocks that are in memory for this peer, or will be.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |item: &Item| match &item.state {
            State::Reading(len) => *len as usize,
            State::Ready(bytes) => bytes.len(),
            State::Finding | State::Missing => 0,
        };
        self.ahead.iter().map(bytes).sum()
    }

    /// Something could be looked up, if there were memory for it.
    pub(super) fn waits(&self) -> bool {
        !self.todo.is_empty() && self.ahead.len() < AHEAD_MAX
    }

    fn item(&mut self, hash: &BlockHash) -> Option<&mut Item> {
        self.ahead
            .iter_mut()
            .find(|item| item.inv.hash == hash.0 && !matches!(item.state, State::Ready(_) | State::Missing))
    }
}

/// A block as it was before witnesses (BIP144: what `MSG_BLOCK` asks for).
fn without_witnesses(bytes: &Bytes) -> Option<Bytes> {
    let block = Block::parse(bytes.clone()).ok()?;
    if block.txs.iter().all(|tx| !tx.has_witness) {
        return Some(bytes.clone());
    }
    let first = block.txs.first()?.start as usize;
    let mut out = BytesMut::with_capacity(bytes.len());
    out.extend_from_slice(&bytes[..first]);
    for tx in &block.txs {
        let (start, end) = (tx.start as usize, tx.end as usize);
        if tx.has_witness {
            // version, marker and flag left out, inputs and outputs, witnesses left out, lock time
            let middle = tx.stripped_len as usize - 8;
            out.extend_from_slice(&bytes[start..start + 4]);
            out.extend_from_slice(&bytes[start + 6..start + 6 + middle]);
            out.extend_from_slice(&bytes[end - 4..end]);
        } else {
            out.extend_from_slice(&bytes[start..end]);
        }
    }
    Some(out.freeze())
}

impl Peer {
    pub(super) fn asked_for(&mut self, conn: ConnId, invs: Vec<Inv>, cx: &mut Cx) {
        let link = self.links.get_mut(&conn).expect("it just spoke");
        link.serving.todo.extend(invs);
        self.serve(conn, cx);
    }

    /// Looks up ahead, sends what is ready, in order.
    pub(super) fn serve(&mut self, conn: ConnId, cx: &mut Cx) {
        let peer = self.id(conn);
        let room = self.out_bytes < self.out_bytes_max();
        let Some(Link { serving, conn: out, sending, .. }) = self.links.get_mut(&conn) else { return };
        while let Some(Item { state: State::Ready(_) | State::Missing, .. }) = serving.ahead.front()
            && *sending + out.queued_bytes() <= PEER_SEND_BYTES
        {
            let item = serving.ahead.pop_front().expect("just seen");
            let body = match item.state {
                State::Ready(bytes) if item.inv.kind == InvKind::Block => without_witnesses(&bytes),
                State::Ready(bytes) => Some(bytes),
                _ => None,
            };
            match body {
                Some(body) => out.send_block(&body),
                None => serving.missing.push(item.inv),
            }
        }
        while room
            && serving.ahead.len() < AHEAD_MAX
            && let Some(inv) = serving.todo.pop_front()
        {
            if matches!(inv.kind, InvKind::Block | InvKind::WitnessBlock) {
                serving.ahead.push_back(Item { inv, state: State::Finding });
                cx.tell(ShardId::Chain, Msg::Find { peer, hash: BlockHash(inv.hash) });
            } else {
                serving.ahead.push_back(Item { inv, state: State::Missing });
            }
        }
        let stuck = |item: &Item| matches!(item.state, State::Missing);
        if serving.ahead.front().is_some_and(stuck) && *sending + out.queued_bytes() <= PEER_SEND_BYTES {
            return self.serve(conn, cx);
        }
        if serving.is_done() && !serving.missing.is_empty() {
            out.send(&Message::NotFound(std::mem::take(&mut serving.missing)));
        }
    }

    pub(super) fn found(&mut self, conn: ConnId, hash: BlockHash, place: Option<Place>, cx: &mut Cx) {
        let Some(item) = self.links.get_mut(&conn).and_then(|link| link.serving.item(&hash)) else { return };
        match place {
            Some(place) => {
                item.state = State::Reading(place.len);
                self.read(Reading::Serve(conn, hash), place, cx);
                self.run(conn, cx);
            }
            None => {
                item.state = State::Missing;
                self.serve(conn, cx);
                self.run(conn, cx);
            }
        }
    }

    pub(super) fn serve_read(&mut self, conn: ConnId, hash: BlockHash, bytes: Result<Bytes, String>, cx: &mut Cx) {
        let Some(item) = self.links.get_mut(&conn).and_then(|link| link.serving.item(&hash)) else { return };
        // Damaged bytes must not be passed on; the header's hash is the cheap check.
        let sound = bytes.ok().filter(|bytes| bytes.len() > 80 && consensus::sha256d(&bytes[..80]) == hash.0);
        item.state = sound.map_or(State::Missing, State::Ready);
        self.serve(conn, cx);
        self.run(conn, cx);
    }
}
