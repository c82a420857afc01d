//! What each message of a peer means, and what each word of another shard means for a peer.

use super::{Made, Peer, Reading};
use crate::effect::{ConnId, Effect, Level};
use crate::msg::{From, Msg, Seq, Want, peer_name, split_peer};
use crate::note::Note;
use crate::{Cx, ShardId};
use bytes::Bytes;
use consensus::{BlockHash, Header};
use std::sync::Arc;
use wire::conn::{Event, PeerInfo};
use wire::message::{Inv, InvKind, Locator, Message};

impl Peer {
    /// One event of a connection.
    pub(super) fn take(&mut self, conn: ConnId, event: Event, cx: &mut Cx) {
        match event {
            Event::Up(info) => self.up(conn, info, cx),
            Event::Message(message) => self.message(conn, message, cx),
            Event::Ping(nonce) => {
                let link = self.links.get_mut(&conn).expect("it just spoke");
                link.pongs.push_back((nonce, link.seq));
                self.pong(conn);
            }
            Event::Ignored { command, len } => self.packet(conn, "ignored", &format!("{command} {len} bytes"), cx),
            Event::Unasked { len } => {
                self.packet(conn, "dropped", &format!("block of {len} bytes that nobody asked for"), cx)
            }
            Event::Broken(broken) => self.close(conn, broken.to_string(), cx),
        }
    }

    fn packet(&self, conn: ConnId, what: &str, line: &str, cx: &mut Cx) {
        if self.config.verbose {
            cx.log(Level::Debug, format!("{} {what} {line}", peer_name(self.id(conn))));
        }
    }

    fn send(&mut self, conn: ConnId, message: &Message, cx: &mut Cx) {
        self.packet(conn, "<=", &message.command().to_string(), cx);
        if let Some(link) = self.links.get_mut(&conn).filter(|link| link.closing.is_none()) {
            link.conn.send(message);
        }
    }

    fn up(&mut self, conn: ConnId, info: PeerInfo, cx: &mut Cx) {
        let peer = self.id(conn);
        let link = self.links.get_mut(&conn).expect("it just spoke");
        let address = link.address;
        let serves = wire::NODE_NETWORK | wire::NODE_WITNESS;
        if !link.inbound && info.services & serves != serves {
            return self.close(
                conn,
                format!("its services {:#x} do not include whole blocks with witnesses", info.services),
                cx,
            );
        }
        link.up = true;
        let info = Arc::new(info);
        cx.note(Note::Met { peer, address, info: info.clone() });
        cx.tell(ShardId::Book, Msg::Met { peer, info: info.clone(), address });
        cx.tell(ShardId::Chain, Msg::PeerUp { peer, info, address });
    }

    fn next_seq(&mut self, conn: ConnId, made: Made) -> Seq {
        let link = self.links.get_mut(&conn).expect("it just spoke");
        link.seq += 1;
        link.unsettled.insert(link.seq, made);
        link.seq
    }

    /// Pongs leave in order, each once everything that came before its ping is settled.
    fn pong(&mut self, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        while let Some((nonce, seq)) = link.pongs.front().copied()
            && link.unsettled.first_key_value().is_none_or(|(oldest, _)| *oldest > seq)
        {
            link.pongs.pop_front();
            link.conn.send(&Message::Pong(nonce));
        }
    }

    fn message(&mut self, conn: ConnId, message: Message, cx: &mut Cx) {
        self.packet(conn, "=>", &message.command().to_string(), cx);
        let peer = self.id(conn);
        match message {
            Message::Headers(headers) => {
                let seq = self.next_seq(conn, Made::Word);
                cx.tell(ShardId::Chain, Msg::Headers { peer, seq, headers });
            }
            Message::Inv(invs) => {
                let hashes: Vec<BlockHash> = blocks(&invs).collect();
                // Of many announcements the last few say where the peer stands.
                let hashes = hashes[hashes.len().saturating_sub(16)..].to_vec();
                if !hashes.is_empty() {
                    let seq = self.next_seq(conn, Made::Word);
                    cx.tell(ShardId::Chain, Msg::Announced { peer, seq, hashes });
                }
            }
            Message::Block(bytes) => self.block(conn, bytes, cx),
            Message::NotFound(invs) => self.not_found(conn, &invs, cx),
            Message::GetData(invs) => self.asked_for(conn, invs, cx),
            Message::GetHeaders(locator) => self.locate(conn, Want::Headers, locator, cx),
            Message::GetBlocks(locator) => self.locate(conn, Want::Hashes, locator, cx),
            Message::GetAddr => {
                let link = self.links.get_mut(&conn).expect("it just spoke");
                // Once, and only to those who came to us (Core: against fingerprinting).
                if link.inbound && !std::mem::replace(&mut link.told_addresses, true) {
                    cx.tell(ShardId::Book, Msg::WantAddresses { peer });
                }
            }
            Message::Addr(mut list) | Message::AddrV2(mut list) => {
                let link = self.links.get_mut(&conn).expect("it just spoke");
                list.truncate(link.allowance.spend(list.len(), cx.now_ms));
                if !list.is_empty() {
                    cx.tell(ShardId::Book, Msg::Addresses { peer, list });
                }
            }
            // The handshake's own were taken by the connection; there is nothing else to answer.
            _ => {}
        }
    }

    fn block(&mut self, conn: ConnId, bytes: Bytes, cx: &mut Cx) {
        let peer = self.id(conn);
        let link = self.links.get_mut(&conn).expect("it just spoke");
        let hash = bytes.get(..Header::LEN).map(|header| BlockHash(consensus::sha256d(header)));
        let asked = hash.filter(|hash| link.asked.remove(hash));
        link.conn.expect_blocks(link.asked.len() as u32);
        match asked {
            Some(hash) => {
                link.blocks += 1;
                let seq = self.next_seq(conn, Made::Block);
                self.pass_on(From::Peer(peer, seq), hash, bytes, cx);
            }
            None => self.packet(conn, "dropped", "block that nobody asked for", cx),
        }
    }

    fn not_found(&mut self, conn: ConnId, invs: &[Inv], cx: &mut Cx) {
        let peer = self.id(conn);
        let link = self.links.get_mut(&conn).expect("it just spoke");
        let hashes: Vec<BlockHash> = blocks(invs).filter(|hash| link.asked.remove(hash)).collect();
        link.conn.expect_blocks(link.asked.len() as u32);
        if !hashes.is_empty() {
            cx.tell(ShardId::Chain, Msg::NotFound { peer, hashes });
        }
    }

    fn locate(&mut self, conn: ConnId, want: Want, locator: Locator, cx: &mut Cx) {
        let peer = self.id(conn);
        self.links.get_mut(&conn).expect("it just spoke").locating += 1;
        cx.tell(ShardId::Chain, Msg::Locate { peer, want, locator: locator.hashes, stop: locator.stop });
    }

    /// A word of another shard.
    pub(super) fn hear(&mut self, word: Msg, cx: &mut Cx) {
        match word {
            Msg::Ask { peer, hashes } => self.ask(split_peer(peer).1, hashes, cx),
            Msg::AskHeaders { peer, locator } => {
                let conn = split_peer(peer).1;
                let locator =
                    Locator { version: wire::PROTOCOL_VERSION as u32, hashes: locator, stop: BlockHash([0; 32]) };
                self.send(conn, &Message::GetHeaders(locator), cx);
                self.run(conn, cx);
            }
            Msg::Settled { peer, seq } => {
                let conn = split_peer(peer).1;
                if let Some(link) = self.links.get_mut(&conn) {
                    link.unsettled.remove(&seq);
                    self.pong(conn);
                    self.run(conn, cx);
                }
            }
            Msg::Punish { peer, why } => self.close(split_peer(peer).1, why, cx),
            Msg::Hangup { peer, why } => self.close(split_peer(peer).1, why.into(), cx),
            Msg::Located { peer, want, headers } => self.located(split_peer(peer).1, want, headers, cx),
            Msg::Found { peer, hash, place } => self.found(split_peer(peer).1, hash, place, cx),
            Msg::Parse { from, hash, bytes } => self.parse(from, hash, bytes, cx),
            Msg::Slice => self.parse_on(cx),
            Msg::Load { hash, place } => {
                let token = self.read(Reading::Load(hash, place));
                cx.effect(Effect::Read { token, file: place.file, at: place.at, len: place.len });
            }
            Msg::TipMoved { height, headers, fresh } => self.tip_moved(height, &headers, fresh, cx),
            Msg::Dial { address } => self.dial(address, cx),
            Msg::Tell { peer, list } => {
                let conn = split_peer(peer).1;
                let addrv2 = self.links.get(&conn).and_then(|link| link.conn.info()).is_some_and(|info| info.addrv2);
                let message = if addrv2 { Message::AddrV2(list) } else { Message::Addr(list) };
                self.send(conn, &message, cx);
                self.run(conn, cx);
            }
            other => unreachable!("peer is never told {other:?}"),
        }
    }

    fn ask(&mut self, conn: ConnId, hashes: Vec<BlockHash>, cx: &mut Cx) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.asked.extend(&hashes);
        link.conn.expect_blocks(link.asked.len() as u32);
        let invs = hashes.iter().map(|hash| Inv { kind: InvKind::WitnessBlock, hash: hash.0 }).collect();
        self.send(conn, &Message::GetData(invs), cx);
        self.run(conn, cx);
    }

    fn located(&mut self, conn: ConnId, want: Want, headers: Vec<Header>, cx: &mut Cx) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.locating -= 1;
        let message = match want {
            Want::Headers => Message::Headers(headers),
            Want::Hashes => Message::Inv(headers.iter().map(announcement).collect()),
        };
        self.send(conn, &message, cx);
        self.run(conn, cx);
    }

    fn tip_moved(&mut self, height: u32, headers: &[Header], fresh: bool, cx: &mut Cx) {
        self.tip_height = height;
        let Some(tip) = headers.last().filter(|_| fresh) else { return };
        let conns: Vec<ConnId> = self.links.keys().copied().collect();
        for conn in conns {
            let Some(info) = self.links[&conn].conn.info() else { continue };
            let message = if info.wants_headers {
                Message::Headers(headers.to_vec())
            } else {
                Message::Inv(vec![announcement(tip)])
            };
            self.send(conn, &message, cx);
            self.run(conn, cx);
        }
    }
}

fn announcement(header: &Header) -> Inv {
    Inv { kind: InvKind::Block, hash: header.hash().0 }
}

fn blocks(invs: &[Inv]) -> impl Iterator<Item = BlockHash> {
    let block = |inv: &&Inv| matches!(inv.kind, InvKind::Block | InvKind::WitnessBlock);
    invs.iter().filter(block).map(|inv| BlockHash(inv.hash))
}
