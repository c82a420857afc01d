//! Answers to getdata, in the order asked: where the block lies (chain shard), its bytes (disk), out to the socket. A few
//! are looked up ahead of the one being sent, so that a peer that pulls a whole chain is limited by the wire.

use super::{Peer, Reading};
use crate::effect::ConnId;
use crate::limits::PEER_SEND_BYTES;
use crate::msg::{Msg, Place};
use crate::{Cx, ShardId};
use bytes::{Bytes, BytesMut};
use consensus::{Block, BlockHash};
use ledger::record::BLOCK_LEN_MAX;
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
    /// Blocks that were not looked at yet.
    todo: VecDeque<Inv>,
    ahead: VecDeque<Item>,
    missing: Vec<Inv>,
    /// Its name is in the line for look-ups.
    in_line: bool,
}

impl Serving {
    pub(super) fn is_done(&self) -> bool {
        self.todo.is_empty() && self.ahead.is_empty()
    }

    /// Bytes of blocks that are in memory for this peer, or will be; one whose length is not known may be the largest.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |item: &Item| match &item.state {
            State::Finding => BLOCK_LEN_MAX as usize,
            State::Reading(len) => *len as usize,
            State::Ready(bytes) => bytes.len(),
            State::Missing => 0,
        };
        self.ahead.iter().map(bytes).sum()
    }

    /// Bytes of the lists of what is wanted and what is missing.
    pub(super) fn list_bytes(&self) -> usize {
        (self.todo.len() + self.missing.len()) * size_of::<Inv>()
    }

    /// The first item of this hash in this state; of equal ones any will do.
    fn item(&mut self, hash: &BlockHash, state: fn(&State) -> bool) -> Option<&mut Item> {
        self.ahead.iter_mut().find(|item| item.inv.hash == hash.0 && state(&item.state))
    }

    fn wants_more(&self) -> bool {
        !self.todo.is_empty() && self.ahead.len() < AHEAD_MAX
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
    /// Transactions are never kept here: they are missing from the start.
    pub(super) fn asked_for(&mut self, conn: ConnId, invs: Vec<Inv>, cx: &mut Cx) {
        let serving = &mut self.links.get_mut(&conn).expect("it just spoke").serving;
        assert!(serving.is_done(), "one getdata at a time");
        let block = |inv: &Inv| matches!(inv.kind, InvKind::Block | InvKind::WitnessBlock);
        let (todo, missing): (Vec<Inv>, Vec<Inv>) = invs.into_iter().partition(block);
        (serving.todo, serving.missing) = (todo.into(), missing);
        self.serve(conn, cx);
    }

    /// Sends what is ready, in order, and gets in line for more.
    pub(super) fn serve(&mut self, conn: ConnId, cx: &mut Cx) {
        let Some(link) = self.links.get_mut(&conn).filter(|link| link.closing.is_none()) else { return };
        let (serving, out) = (&mut link.serving, &mut link.conn);
        while let Some(Item { state: State::Ready(_) | State::Missing, .. }) = serving.ahead.front()
            && link.sending + out.queued_bytes() <= PEER_SEND_BYTES
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
        if serving.is_done() {
            if !serving.missing.is_empty() {
                out.send(&Message::NotFound(std::mem::take(&mut serving.missing)));
            }
            // A long list leaves no room behind.
            serving.todo = VecDeque::new();
        } else if serving.wants_more() && !serving.in_line {
            serving.in_line = true;
            self.line.push_back(conn);
        }
        self.account(conn);
        self.hand_out(cx);
    }

    /// Looks blocks up while there is memory for them: one for whoever is first in the line, who then goes to its end.
    /// So one that has nothing under way comes before one that has much.
    pub(super) fn hand_out(&mut self, cx: &mut Cx) {
        while !self.is_full()
            && let Some(conn) = self.line.pop_front()
        {
            let peer = self.id(conn);
            let Some(link) = self.links.get_mut(&conn) else { continue };
            let serving = &mut link.serving;
            serving.in_line = false;
            if !serving.wants_more() {
                continue;
            }
            let inv = serving.todo.pop_front().expect("it wants more");
            serving.ahead.push_back(Item { inv, state: State::Finding });
            if serving.wants_more() {
                serving.in_line = true;
                self.line.push_back(conn);
            }
            self.account(conn);
            cx.tell(ShardId::Chain, Msg::Find { peer, hash: BlockHash(inv.hash) });
        }
    }

    pub(super) fn found(&mut self, conn: ConnId, hash: BlockHash, place: Option<Place>, cx: &mut Cx) {
        let finding = |state: &State| matches!(state, State::Finding);
        let Some(item) = self.links.get_mut(&conn).and_then(|link| link.serving.item(&hash, finding)) else { return };
        item.state = place.map_or(State::Missing, |place| State::Reading(place.len));
        if let Some(place) = place {
            self.read(Reading::Serve(conn, hash), place, cx);
        }
        self.serve(conn, cx);
        self.run(conn, cx);
    }

    pub(super) fn serve_read(&mut self, conn: ConnId, hash: BlockHash, bytes: Option<Bytes>, cx: &mut Cx) {
        let reading = |state: &State| matches!(state, State::Reading(_));
        let Some(item) = self.links.get_mut(&conn).and_then(|link| link.serving.item(&hash, reading)) else { return };
        // Damaged bytes must not be passed on; the header's hash is the cheap check.
        let sound = bytes.filter(|bytes| bytes.len() > 80 && consensus::sha256d(&bytes[..80]) == hash.0);
        item.state = sound.map_or(State::Missing, State::Ready);
        self.serve(conn, cx);
        self.run(conn, cx);
    }
}
