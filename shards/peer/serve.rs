//! Answers to getdata, in the order asked: where the block lies (chain shard), its bytes (disk), out to the socket. A few
//! are looked up ahead of the one being sent, so that a peer that pulls a whole chain is limited by the wire.
//!
//! A block that was hashed once in this run and lies in the kernel's memory is sent from there: only its header comes to
//! be looked at, and the checksum that is remembered is that of the bytes as they were when they were sound. It may take
//! a slow peer long to take it, so this is not done where pages of blocks.bin may be given up meanwhile: only by a node that
//! offers all blocks, which gives none up.

use super::{Peer, Reading};
use crate::checksums::Checksums;
use crate::effect::{ConnId, Effect};
use crate::limits::PEER_SEND_BYTES;
use crate::msg::{Msg, Place};
use crate::{Cx, ShardId};
use bytes::{Bytes, BytesMut};
use consensus::{Block, BlockHash, Header};
use ledger::record::BLOCK_LEN_MAX;
use std::collections::VecDeque;
use wire::frame::Checksum;
use wire::message::{Inv, InvKind, Message};

/// Blocks looked up or read ahead for one peer.
const AHEAD_MAX: usize = 8;

#[derive(Debug)]
enum State {
    Finding,
    /// It is on its way from disk under this name; with a checksum, its header may do.
    Reading(u64, Place, Option<[u8; 4]>),
    Ready(Bytes, [u8; 4]),
    /// To be sent from where it lies.
    InFile(Place, [u8; 4]),
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
            State::Reading(_, place, _) => place.len as usize,
            State::Ready(bytes, _) => bytes.len(),
            State::InFile(..) | State::Missing => 0,
        };
        self.ahead.iter().map(bytes).sum()
    }

    /// Bytes of the lists of what is wanted and what is missing.
    pub(super) fn list_bytes(&self) -> usize {
        (self.todo.len() + self.missing.len()) * size_of::<Inv>()
    }

    fn wants_more(&self) -> bool {
        !self.todo.is_empty() && self.ahead.len() < AHEAD_MAX
    }
}

/// A block as a peer wants it, ready to be sent.
fn ready(kind: InvKind, bytes: Bytes, at: u64, checksums: &Checksums) -> State {
    let stripped = if kind == InvKind::Block { without_witnesses(&bytes) } else { Some(bytes.clone()) };
    let Some(body) = stripped else { return State::Missing };
    let known = checksums.get(at).filter(|_| body.len() == bytes.len());
    let checksum = known.unwrap_or_else(|| Checksum::of(&body));
    if body.len() == bytes.len() {
        checksums.put(at, checksum);
    }
    State::Ready(body, checksum)
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
        while let Some(link) = self.links.get_mut(&conn).filter(|link| link.closing.is_none())
            && link.sending + link.conn.queued_bytes() <= PEER_SEND_BYTES
            && let Some(Item { state: State::Ready(..) | State::InFile(..) | State::Missing, .. }) =
                link.serving.ahead.front()
        {
            let item = link.serving.ahead.pop_front().expect("just seen");
            match item.state {
                State::Ready(body, checksum) => link.conn.send_block(&body, checksum),
                State::InFile(place, checksum) => {
                    link.conn.send_block_head(place.len, checksum);
                    self.hand_over(conn, Some(place), cx);
                }
                _ => link.serving.missing.push(item.inv),
            }
        }
        let Some(link) = self.links.get_mut(&conn).filter(|link| link.closing.is_none()) else { return };
        let (serving, out) = (&mut link.serving, &mut link.conn);
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
        // Of equal ones any will do.
        let finding = |item: &&mut Item| item.inv.hash == hash.0 && matches!(item.state, State::Finding);
        let Some(link) = self.links.get_mut(&conn) else { return };
        let Some(item) = link.serving.ahead.iter_mut().find(finding) else { return };
        let keeps_all = self.config.services & wire::NODE_NETWORK != 0;
        item.state = match place {
            None => State::Missing,
            Some(place) => {
                let as_it_lies = item.inv.kind == InvKind::WitnessBlock && keeps_all;
                let checksum = self.config.checksums.get(place.at).filter(|_| as_it_lies);
                State::Reading(self.next_read, place, checksum)
            }
        };
        if let State::Reading(_, Place { file, at, len }, checksum) = item.state {
            let token = self.read(Reading::Serve(conn));
            cx.effect(match checksum {
                Some(_) => Effect::Peek { token, at, len },
                None => Effect::Read { token, file, at, len },
            });
        }
        self.serve(conn, cx);
        self.run(conn, cx);
    }

    pub(super) fn serve_read(&mut self, conn: ConnId, token: u64, bytes: Option<Bytes>, cx: &mut Cx) {
        let ahead = self.links.get_mut(&conn).into_iter().flat_map(|link| &mut link.serving.ahead);
        let found = ahead.filter_map(|item| match item.state {
            State::Reading(name, place, checksum) if name == token => Some((item, place, checksum)),
            _ => None,
        });
        let Some((item, place, checksum)) = found.last() else { return };
        // Damaged bytes must not be passed on; the header's hash is the cheap check.
        let is_sound =
            |bytes: &Bytes| bytes.get(..Header::LEN).is_some_and(|header| consensus::sha256d(header) == item.inv.hash);
        item.state = match (bytes.filter(is_sound), checksum) {
            (None, _) => State::Missing,
            (Some(bytes), Some(checksum)) if bytes.len() < place.len as usize => State::InFile(place, checksum),
            (Some(bytes), _) => ready(item.inv.kind, bytes, place.at, &self.config.checksums),
        };
        self.serve(conn, cx);
        self.run(conn, cx);
    }
}
