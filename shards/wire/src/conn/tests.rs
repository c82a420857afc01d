//! Handshakes between friends and others, and what the other tests of connections share.

mod receiving;
mod timers;

use super::receive::SMALL_BYTES_MAX;
use super::*;
use crate::frame::{Checksum, FrameHeader, HEADER_BYTES, PAYLOAD_BYTES_MAX};
use crate::message::Version;

const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];
const NOW: u64 = 5_000_000;

fn cfg(nonce: u64) -> ConnConfig {
    ConnConfig {
        magic: MAGIC,
        nonce,
        our_nonces: BTreeSet::from([nonce]),
        ping_seed: nonce + 1,
        services: 9,
        user_agent: format!("/test:{nonce}/"),
        start_height: 100 + nonce as u32,
        unix_s: 1_700_000_000,
        peer_address: SocketAddr::from(([1, 2, 3, 4], 5)),
    }
}

/// Hands bytes to a connection in reads of at most `chunk`. Checks that memory stays behind the bytes received.
fn feed(conn: &mut Conn, bytes: &[u8], chunk: usize, now_ms: u64) -> Vec<Event> {
    let mut events = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (mut buf, room) = conn.buffer();
        if room == 0 {
            break; // the connection is over
        }
        let end = (at + chunk.min(room)).min(bytes.len());
        let capacity = buf.capacity();
        assert!(capacity - buf.len() >= room);
        buf.extend_from_slice(&bytes[at..end]);
        assert_eq!(buf.capacity(), capacity, "the room promised is there");
        at = end;
        conn.received(buf, now_ms, &mut events);
        let all = conn.counters().bytes_in as usize;
        assert!(conn.buffered() <= 2 * SMALL_BYTES_MAX + 2 * all, "{} held of {all}", conn.buffered());
    }
    events
}

fn sent(conn: &mut Conn) -> Vec<u8> {
    conn.take_out().concat()
}

/// The commands in a run of whole frames.
fn commands(mut bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while !bytes.is_empty() {
        let header = FrameHeader::parse(MAGIC, bytes.first_chunk().unwrap(), |_| PAYLOAD_BYTES_MAX).unwrap();
        names.push(header.command.to_string());
        bytes = &bytes[HEADER_BYTES + header.len as usize..];
    }
    names
}

fn frame(command: &str, payload: &[u8]) -> Vec<u8> {
    [&FrameHeader::of(MAGIC, Command::new(command), payload)[..], payload].concat()
}

/// A version message of another node.
fn version(version: i32, nonce: u64) -> Message {
    Message::Version(Version {
        version,
        services: 9,
        time: 1_700_000_042,
        receiver: SocketAddr::from(([9, 9, 9, 9], 1)),
        nonce,
        user_agent: "/peer/".into(),
        start_height: 7,
        relay: true,
    })
}

fn messages(list: &[Message]) -> Vec<u8> {
    list.iter().flat_map(|message| message.encode(MAGIC)).collect()
}

/// A connection whose handshake is done and whose send queue is empty.
fn up(direction: Direction) -> Conn {
    let mut conn = Conn::new(direction, cfg(1), NOW);
    let events = feed(&mut conn, &messages(&[version(70016, 2), Message::Verack]), usize::MAX, NOW);
    assert!(matches!(events[..], [Event::Up(_)]));
    conn.take_out();
    conn
}

fn broken(events: &[Event]) -> &Broken {
    match events {
        [Event::Broken(broken)] => broken,
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_of_us_shake_hands() {
    for chunk in [1, 7, usize::MAX] {
        let mut dialer = Conn::new(Direction::Outbound, cfg(1), NOW);
        let mut answerer = Conn::new(Direction::Inbound, cfg(2), NOW);
        let hello = sent(&mut dialer);
        assert_eq!(commands(&hello), ["version"]);
        assert_eq!(sent(&mut answerer), []);
        assert_eq!(feed(&mut answerer, &hello, chunk, NOW), []);
        let answer = sent(&mut answerer);
        assert_eq!(commands(&answer), ["version", "wtxidrelay", "sendaddrv2", "verack"]);
        let [Event::Up(theirs)] = &feed(&mut dialer, &answer, chunk, NOW)[..] else { panic!() };
        assert_eq!((theirs.version, theirs.services, theirs.nonce, theirs.start_height), (70016, 9, 2, 102));
        assert_eq!((&theirs.user_agent[..], theirs.their_time), ("/test:2/", 1_700_000_000));
        assert!(theirs.addrv2 && !theirs.inbound);
        let rest = sent(&mut dialer);
        assert_eq!(commands(&rest), ["wtxidrelay", "sendaddrv2", "verack", "sendheaders", "getaddr"]);
        let events = feed(&mut answerer, &rest, chunk, NOW);
        let [Event::Up(ours), Event::Message(Message::SendHeaders), Event::Message(Message::GetAddr)] = &events[..]
        else {
            panic!("{events:?}")
        };
        assert!(ours.inbound && ours.nonce == 1);
        assert!(answerer.info().unwrap().wants_headers);
        assert_eq!(commands(&sent(&mut answerer)), ["sendheaders"]);
        assert_eq!(answerer.counters().bytes_in, (hello.len() + rest.len()) as u64);
        assert_eq!(dialer.counters().bytes_out, answerer.counters().bytes_in);
        assert_eq!((answerer.counters().messages_in, answerer.counters().messages_out), (6, 5));
    }
}

#[test]
fn the_version_says_what_the_configuration_says() {
    let mut conn = Conn::new(Direction::Inbound, cfg(1), NOW);
    feed(&mut conn, &messages(&[version(70016, 2)]), usize::MAX, NOW + 2_500);
    let out = conn.take_out();
    let Ok(Message::Version(ours)) = Message::decode(command::VERSION, &out[0][HEADER_BYTES..]) else { panic!() };
    let expected = Version {
        version: 70016,
        services: 9,
        time: 1_700_000_002,
        receiver: SocketAddr::from(([1, 2, 3, 4], 5)),
        nonce: 1,
        user_agent: "/test:1/".into(),
        start_height: 101,
        relay: false,
    };
    assert_eq!(ours, expected);
}

#[test]
fn an_old_peer_is_told_only_what_it_knows() {
    let mut conn = Conn::new(Direction::Outbound, cfg(1), NOW);
    feed(&mut conn, &messages(&[version(31800, 2), Message::Verack]), usize::MAX, NOW);
    assert_eq!(commands(&sent(&mut conn)), ["version", "verack", "getaddr"]);
    conn.tick(NOW, &mut Vec::new());
    assert_eq!(sent(&mut conn), frame("ping", &[]));
    let mut conn = Conn::new(Direction::Outbound, cfg(1), NOW);
    let events = feed(&mut conn, &messages(&[version(31799, 2)]), usize::MAX, NOW);
    assert_eq!(*broken(&events), Broken::TooOld { version: 31799 });
}

#[test]
fn we_do_not_talk_to_ourselves() {
    for direction in [Direction::Inbound, Direction::Outbound] {
        let mut conn = Conn::new(direction, cfg(1), NOW);
        conn.take_out();
        let events = feed(&mut conn, &messages(&[version(70016, 1)]), usize::MAX, NOW);
        assert_eq!(*broken(&events), Broken::SelfConnection { nonce: 1 });
        assert_eq!(sent(&mut conn), []); // nothing that would tell the other end who we are
        assert_eq!(feed(&mut conn, &messages(&[Message::Verack]), usize::MAX, NOW), []);
    }
}

/// As in Core: what comes too early or twice is ignored, what comes too late and changes the relay is a fault.
#[test]
fn the_handshake_has_an_order() {
    let ignored = |name: &str, len| Event::Ignored { command: Command::new(name), len };
    let mut conn = Conn::new(Direction::Inbound, cfg(1), NOW);
    let early = messages(&[Message::Verack, Message::SendAddrV2, Message::GetAddr, Message::Ping(Some(3))]);
    let expected = [ignored("verack", 0), ignored("sendaddrv2", 0), ignored("getaddr", 0), ignored("ping", 8)];
    assert_eq!(feed(&mut conn, &early, usize::MAX, NOW), expected);
    assert_eq!(sent(&mut conn), []);
    let between = messages(&[
        version(70016, 2),
        version(70016, 2),
        Message::WtxidRelay,
        Message::SendHeaders,
        Message::GetAddr,
        Message::Verack,
        Message::Verack,
    ]);
    let events = feed(&mut conn, &between, usize::MAX, NOW);
    let [first, second, Event::Up(info), last] = &events[..] else { panic!("{events:?}") };
    // 4 + 8 + 8 + 26 + 26 + 8 + 1 + 6 + 4 + 1 bytes of a version message
    assert_eq!([first, second], [&ignored("version", 92), &ignored("getaddr", 0)]);
    assert_eq!(*last, ignored("verack", 0));
    assert!(info.wants_headers && !info.addrv2);
    for late in [Message::WtxidRelay, Message::SendAddrV2] {
        let events = feed(&mut up(Direction::Inbound), &messages(std::slice::from_ref(&late)), usize::MAX, NOW);
        assert_eq!(*broken(&events), Broken::AfterVerack { command: late.command() });
    }
}

#[test]
fn blocks_are_queued_without_a_copy() {
    let mut conn = up(Direction::Inbound);
    let body = Bytes::from(vec![1; 500]);
    conn.send(&Message::Pong(1));
    conn.send_block(&body, Checksum::of(&body));
    assert_eq!(conn.queued_bytes(), 24 + 8 + 24 + 500);
    let out = conn.take_out();
    assert_eq!(out[2].as_ptr(), body.as_ptr());
    assert_eq!(commands(&out.concat()), ["pong", "block"]);
    assert_eq!((conn.queued_bytes(), conn.take_out().len()), (0, 0));
    // One that comes from elsewhere is counted and not held.
    let before = *conn.counters();
    conn.send_block_head(500, Checksum::of(&body));
    assert_eq!(conn.queued_bytes(), 24);
    assert_eq!(conn.counters().bytes_out - before.bytes_out, 24 + 500);
    assert_eq!(conn.counters().messages_out - before.messages_out, 1);
    assert_eq!([conn.take_out().concat(), body.to_vec()].concat(), out[1..].concat());
}
