//! A peer shard among peers made of wire bytes: what it takes, what it keeps in memory, whom it lets go.

use super::*;
use crate::msg::Want;
use bytes::BytesMut;
use consensus::Network;
use std::collections::BTreeMap;
use std::sync::Arc;
use wire::message::{Address, Inv, InvKind, Message, Version};

mod serving;
mod slices;

const REGTEST: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];
const BLOCK: usize = BLOCK_LEN_MAX as usize;

#[derive(Default)]
struct Far {
    buffer: Option<(Vec<u8>, usize)>,
    out: BytesMut,
    unsent: usize,
    /// Offsets and lengths of blocks that are sent from where they lie.
    from_file: Vec<(u64, u32)>,
}

struct Bench {
    peer: Peer,
    cx: Cx,
    far: BTreeMap<ConnId, Far>,
    words: Vec<(ShardId, Msg)>,
    reads: Vec<(u64, u32)>,
    peeks: Vec<(u64, u32)>,
    let_go: Vec<ConnId>,
}

impl Bench {
    fn new(receive: u64, send: u64) -> Bench {
        let config = Config {
            params: Params::of(Network::Regtest),
            number: 0,
            workers: 1,
            core: 0,
            pages: Pages::new(1),
            checksums: Checksums::default(),
            budget: Budget { total: 0, receive, window: 0, worlds: 0, send },
            nonce: 7,
            seed: Seed::new(1),
            services: wire::NODE_NETWORK | wire::NODE_WITNESS,
            verbose: false,
        };
        let (peer, cx) = (Peer::new(config), Cx::new(1));
        Bench { peer, cx, far: BTreeMap::new(), words: vec![], reads: vec![], peeks: vec![], let_go: vec![] }
    }

    fn step(&mut self, input: Input) {
        self.peer.step(input, &mut self.cx);
        for (to, word) in std::mem::take(&mut self.cx.words) {
            match word {
                // A shard that is alone parses all blocks itself.
                Msg::Parse { .. } | Msg::Slice => self.step(Input::Msg(word)),
                word => self.words.push((to, word)),
            }
        }
        for effect in std::mem::take(&mut self.cx.effects) {
            match effect {
                Effect::Receive { conn, buffer, room } => {
                    let before = self.far.entry(conn).or_default().buffer.replace((buffer, room));
                    assert!(before.is_none(), "two reads at once");
                }
                Effect::Send { conn, bytes } => {
                    assert!(!self.let_go.contains(&conn), "sent after the end");
                    let far = self.far.entry(conn).or_default();
                    far.unsent += bytes.iter().map(Bytes::len).sum::<usize>();
                    bytes.iter().for_each(|piece| far.out.extend_from_slice(piece));
                }
                Effect::SendFile { conn, at, len } => {
                    assert!(!self.let_go.contains(&conn), "sent after the end");
                    self.far.entry(conn).or_default().from_file.push((at, len));
                }
                Effect::Read { token, len, .. } => self.reads.push((token, len)),
                Effect::Peek { token, len, .. } => self.peeks.push((token, len)),
                Effect::Close { conn } => self.let_go.push(conn),
                _ => {}
            }
        }
    }

    fn event(&mut self, event: Event) {
        self.step(Input::Event(event));
    }

    /// The far side writes; what the shard does not read any more is given back.
    fn write<'a>(&mut self, conn: ConnId, mut bytes: &'a [u8]) -> &'a [u8] {
        while !bytes.is_empty()
            && let Some((mut buffer, room)) = self.far.get_mut(&conn).and_then(|far| far.buffer.take())
        {
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            buffer.extend_from_slice(now);
            bytes = later;
            self.event(Event::Received { conn, buffer });
        }
        bytes
    }

    fn say(&mut self, conn: ConnId, message: &Message) {
        assert!(self.write(conn, &message.encode(REGTEST)).is_empty(), "the shard does not read");
    }

    /// The kernel takes all that was sent.
    fn taken(&mut self, conn: ConnId) {
        let bytes = std::mem::take(&mut self.far.get_mut(&conn).unwrap().unsent);
        self.event(Event::Sent { conn, bytes, of_file: false });
    }

    /// A connection with its handshake done and nothing waiting.
    fn up(&mut self, conn: ConnId, inbound: bool) {
        let address = address(conn);
        self.event(Event::Opened { conn, address, inbound });
        let version = Version {
            version: wire::PROTOCOL_VERSION,
            services: wire::NODE_NETWORK | wire::NODE_WITNESS,
            time: 0,
            receiver: address,
            nonce: 1_000 + conn,
            user_agent: String::new(),
            start_height: 0,
            relay: false,
        };
        self.say(conn, &Message::Version(version));
        self.taken(conn);
        self.say(conn, &Message::Verack);
        self.taken(conn);
        assert!(self.words.iter().any(|(_, word)| matches!(word, Msg::PeerUp { peer, .. } if *peer == conn)));
        self.far.get_mut(&conn).unwrap().out.clear();
    }

    fn messages(&mut self, conn: ConnId) -> Vec<Message> {
        let (mut all, mut out) = (vec![], std::mem::take(&mut self.far.get_mut(&conn).unwrap().out).freeze());
        while !out.is_empty() {
            let head = wire::frame::FrameHeader::parse(REGTEST, out[..24].try_into().unwrap(), |_| 4_000_000).unwrap();
            let payload = out.slice(24..24 + head.len as usize);
            all.push(Message::decode(head.command, &payload).unwrap());
            out = out.slice(24 + head.len as usize..);
        }
        all
    }

    /// Look-ups since the last call, by peer.
    fn finds(&mut self) -> Vec<(PeerId, BlockHash)> {
        let find = |(_, word)| match word {
            Msg::Find { peer, hash } => Some((peer, hash)),
            _ => None,
        };
        std::mem::take(&mut self.words).into_iter().filter_map(find).collect()
    }

    /// Counts of addresses that went to the book since the last call.
    fn told(&mut self) -> Vec<usize> {
        let told = |(to, word)| match word {
            Msg::Addresses { list, .. } if to == ShardId::Book => Some(list.len()),
            _ => None,
        };
        std::mem::take(&mut self.words).into_iter().filter_map(told).collect()
    }

    fn found(&mut self, peer: PeerId, hash: BlockHash, len: Option<u32>) {
        self.found_at(peer, hash, 0, len);
    }

    fn found_at(&mut self, peer: PeerId, hash: BlockHash, at: u64, len: Option<u32>) {
        let place = len.map(|len| Place { file: 0, at, len });
        self.step(Input::Msg(Msg::Found { peer, hash, place }));
    }
}

fn address(number: u64) -> SocketAddr {
    SocketAddr::from(([20, 0, (number >> 8) as u8, number as u8], 8_333))
}

fn addresses(count: u64) -> Message {
    let address = |number| Address { time: 0, services: 1, socket: address(number) };
    Message::Addr((0..count).map(address).collect())
}

/// A block of that many bytes as far as serving looks into it, and its hash.
fn block(number: u64, len: usize) -> (Bytes, BlockHash) {
    let mut bytes = vec![0; len];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    let hash = BlockHash(consensus::sha256d(&bytes[..80]));
    (bytes.into(), hash)
}

fn getdata(kind: InvKind, numbers: std::ops::Range<u64>) -> Message {
    let inv = |number: u64| {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        Inv { kind, hash }
    };
    Message::GetData(numbers.map(inv).collect())
}

const PLENTY: u64 = 1 << 30;

#[test]
fn fifty_thousand_transactions_are_missing_in_one_word() {
    let work = || {
        let mut bench = Bench::new(PLENTY, PLENTY);
        bench.up(1, true);
        let Message::GetData(invs) = getdata(InvKind::WitnessTx, 0..50_000) else { unreachable!() };
        bench.say(1, &Message::GetData(invs.clone()));
        assert_eq!(bench.messages(1), [Message::NotFound(invs)]);
        assert!(bench.finds().is_empty());
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(work).unwrap().join().unwrap();
}

#[test]
fn addresses_are_taken_at_the_rate_of_core() {
    let mut bench = Bench::new(PLENTY, PLENTY);
    bench.up(1, true);
    bench.up(2, false);
    bench.told();
    // Its own, and then one in ten seconds.
    for (after_ms, told) in [(0, vec![1]), (9_999, vec![]), (1, vec![1]), (25_000, vec![2]), (5_000, vec![1])] {
        bench.cx.now_ms += after_ms;
        bench.say(1, &addresses(3));
        assert_eq!(bench.told(), told, "{after_ms}");
    }
    // Whoever was asked may fill a message, and saves no more than one up.
    let mut bench = Bench::new(PLENTY, PLENTY);
    bench.up(2, false);
    bench.told();
    for (after_ms, told) in
        [(0, vec![1_000]), (0, vec![1]), (100_000, vec![10]), (20_000_000, vec![1_000]), (0, vec![])]
    {
        bench.cx.now_ms += after_ms;
        bench.say(2, &addresses(1_000));
        assert_eq!(bench.told(), told, "{after_ms}");
    }
}

#[test]
fn look_ups_heed_the_share_and_go_round() {
    // Ten blocks less the lists: nine at once.
    let mut bench = Bench::new(PLENTY, 10 * BLOCK_LEN_MAX);
    for conn in 1..5 {
        bench.up(conn, true);
    }
    bench.words.clear();
    for conn in 1..5 {
        bench.say(conn, &getdata(InvKind::WitnessBlock, conn * 100..conn * 100 + 20));
    }
    let mut open: VecDeque<_> = bench.finds().into();
    let of = |open: &VecDeque<(PeerId, BlockHash)>| open.iter().map(|(peer, _)| *peer).collect::<Vec<_>>();
    assert_eq!(of(&open), [1, 1, 1, 1, 1, 1, 1, 1, 2]);
    // Each that is not there makes room for one of the next peer.
    let mut order = vec![];
    while let Some((peer, hash)) = open.pop_front() {
        bench.found(peer, hash, None);
        let fresh = bench.finds();
        order.extend(fresh.iter().map(|(peer, _)| *peer));
        open.extend(fresh);
        assert!(open.len() <= 9 && bench.peer.memory.out <= 10 * BLOCK, "{}", open.len());
    }
    assert_eq!(order[..4], [2, 3, 4, 1]);
    assert_eq!(order.len() + 9, 80);
    for conn in 1..5 {
        let [Message::NotFound(missing)] = &bench.messages(conn)[..] else { panic!("peer {conn}") };
        assert_eq!(missing.len(), 20);
        bench.taken(conn);
    }
    assert_eq!((bench.peer.memory.out, bench.peer.memory.lists), (0, 0));
}

#[test]
fn blocks_leave_in_order_and_a_stalled_reader_makes_room() {
    // Eight blocks, and a list of them.
    let mut bench = Bench::new(PLENTY, 8 * BLOCK_LEN_MAX + 8 * 40);
    bench.up(1, true);
    bench.up(3, true);
    bench.words.clear();
    let blocks: Vec<_> = (0..8).map(|number| block(number, BLOCK)).collect();
    let inv = |(_, hash): &(Bytes, BlockHash)| Inv { kind: InvKind::WitnessBlock, hash: hash.0 };
    bench.say(1, &Message::GetData(blocks.iter().map(inv).collect()));
    assert_eq!(bench.finds().len(), 8);
    for (_, hash) in &blocks {
        bench.found(1, *hash, Some(BLOCK_LEN_MAX as u32));
    }
    // They come from disk in the wrong order; the first two, with their frames, are more than one peer may have queued.
    let reads = std::mem::take(&mut bench.reads);
    assert_eq!(reads.len(), 8);
    for (at, (token, _)) in reads.into_iter().enumerate().rev() {
        assert!(bench.far[&1].unsent == 0);
        bench.event(Event::Read { token, bytes: Ok(blocks[at].0.clone()) });
    }
    let sent: Vec<_> = blocks[..2].iter().map(|(bytes, _)| Message::Block(bytes.clone())).collect();
    assert!(bench.messages(1) == sent);
    bench.say(3, &getdata(InvKind::WitnessBlock, 0..1));
    assert!(bench.finds().is_empty(), "no room");
    bench.cx.now_ms += SEND_STALL_FULL_MS;
    bench.step(Input::Tick);
    assert!(bench.let_go.is_empty());
    bench.cx.now_ms += 1;
    bench.step(Input::Tick);
    assert_eq!(bench.let_go, [1]);
    bench.event(Event::Closed { conn: 1, why: String::new() });
    assert!(matches!(bench.finds()[..], [(3, _)]));
    assert_eq!(bench.peer.memory.out, BLOCK);
}

#[test]
fn only_who_holds_half_a_message_is_let_go() {
    const IDLE: u64 = 20;
    let mut bench = Bench::new(200 << 10, PLENTY);
    for conn in 0..IDLE {
        bench.up(conn, true);
    }
    // 20 buffers of at least 16 KiB are more than 200 KiB.
    assert!(bench.peer.memory.buffered > 200 << 10 && bench.let_go.is_empty());
    bench.event(Event::Opened { conn: 99, address: address(99), inbound: true });
    bench.let_go.clear();
    let long = getdata(InvKind::WitnessTx, 0..50_000).encode(REGTEST);
    bench.write(3, &long[..300_000]);
    assert_eq!(bench.let_go, [3]);
    // Its end takes time; nobody else pays for that, and what still comes of it changes nothing.
    for conn in (0..IDLE).filter(|conn| *conn != 3) {
        bench.say(conn, &Message::Ping(Some(conn)));
        bench.step(Input::Tick);
    }
    bench.event(Event::Received { conn: 3, buffer: vec![1, 2, 3] });
    bench.event(Event::Sent { conn: 3, bytes: 0, of_file: false });
    bench.step(Input::Msg(Msg::Ask { peer: 3, hashes: vec![BlockHash([1; 32])] }));
    assert_eq!(bench.let_go, [3]);
    for conn in (0..IDLE).chain([99]) {
        bench.event(Event::Closed { conn, why: String::new() });
    }
    assert_eq!(bench.peer.memory, Memory::default());
}

#[test]
fn words_for_a_peer_that_has_gone_are_forgotten() {
    let mut bench = Bench::new(PLENTY, PLENTY);
    let (peer, hash) = (1, BlockHash([1; 32]));
    let place = Some(Place { file: 0, at: 0, len: 100 });
    for gone in [false, true] {
        if !gone {
            bench.up(1, true);
            bench.say(1, &getdata(InvKind::Block, 0..3));
            bench.step(Input::Msg(Msg::Punish { peer, why: "test".into() }));
        } else {
            bench.taken(1);
            bench.event(Event::Closed { conn: 1, why: String::new() });
        }
        bench.words.clear();
        for word in [
            Msg::Ask { peer, hashes: vec![hash] },
            Msg::AskHeaders { peer, locator: vec![hash] },
            Msg::Settled { peer, seq: 9 },
            Msg::Found { peer, hash, place },
            Msg::Tell { peer, list: vec![] },
            Msg::Hangup { peer, why: "test" },
            Msg::TipMoved { height: 1, headers: Arc::default(), fresh: true },
        ] {
            bench.step(Input::Msg(word));
        }
        if gone {
            bench.step(Input::Msg(Msg::Located { peer, want: Want::Headers, headers: vec![] }));
        }
        assert!(bench.words.is_empty() && bench.reads.is_empty(), "{:?}", bench.words);
        assert_eq!(bench.let_go, [1]);
    }
}

#[test]
fn pings_that_wait_are_bounded() {
    let mut bench = Bench::new(PLENTY, PLENTY);
    bench.up(1, true);
    // An announcement that the chain shard has not settled holds the pongs back.
    let Message::GetData(invs) = getdata(InvKind::Block, 0..1) else { unreachable!() };
    bench.say(1, &Message::Inv(invs));
    let pings: Vec<u8> = (0..100_000).flat_map(|nonce| Message::Ping(Some(nonce)).encode(REGTEST).to_vec()).collect();
    assert!(!bench.write(1, &pings).is_empty());
    assert_eq!(bench.peer.links[&1].pongs.len(), 1_000);
    bench.step(Input::Msg(Msg::Settled { peer: 1, seq: 1 }));
    let pongs = bench.messages(1);
    assert!(pongs.len() > 1_000);
    assert!(pongs.iter().zip(0..).all(|(pong, nonce)| *pong == Message::Pong(nonce)));
}
