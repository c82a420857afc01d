//! Bytes cut in every way, lies about lengths, and what is not worth keeping.

use super::*;
use crate::message::{Inv, InvKind, Locator};
use consensus::BlockHash;

#[test]
fn another_protocol_is_noticed_at_once() {
    let key: Vec<u8> = (0..64).map(|n| n * 3 + 1).collect(); // a BIP 324 opening: 64 bytes of key, then garbage
    let mut conn = Conn::new(Direction::Inbound, cfg(1), NOW);
    assert_eq!(feed(&mut conn, &key[..15], 1, NOW), []);
    assert_eq!(*broken(&feed(&mut conn, &key[15..], 1, NOW)), Broken::Bip324);
    let mut conn = Conn::new(Direction::Inbound, cfg(1), NOW);
    assert_eq!(*broken(&feed(&mut conn, &key, usize::MAX, NOW)), Broken::Bip324);
    // A v1 peer of another network.
    let mut other = messages(&[version(70016, 2)]);
    other[..4].copy_from_slice(&[0xf9, 0xbe, 0xb4, 0xd9]);
    let wrong = Broken::WrongMagic { got: [0xf9, 0xbe, 0xb4, 0xd9], want: MAGIC };
    for direction in [Direction::Inbound, Direction::Outbound] {
        assert_eq!(*broken(&feed(&mut Conn::new(direction, cfg(1), NOW), &other, 5, NOW)), wrong);
    }
    // One who answers our v1 with a key, or who turns to noise later, does not mean BIP 324.
    let events = feed(&mut Conn::new(Direction::Outbound, cfg(1), NOW), &key, usize::MAX, NOW);
    assert!(matches!(broken(&events), Broken::WrongMagic { .. }));
    let events = feed(&mut up(Direction::Inbound), &key, usize::MAX, NOW);
    assert!(matches!(broken(&events), Broken::WrongMagic { .. }));
}

#[test]
fn a_length_beyond_the_limit_ends_it_at_the_header() {
    for (name, len, limit) in [("block", u32::MAX, 4_000_000), ("x", 4_000_001, 4_000_000), ("ping", 1_025, 1_024)] {
        let mut bytes = frame(name, &[]);
        bytes[16..20].copy_from_slice(&len.to_le_bytes());
        let mut conn = up(Direction::Inbound);
        let expected = Broken::Oversize { command: Command::new(name), len, limit };
        assert_eq!(*broken(&feed(&mut conn, &bytes, usize::MAX, NOW)), expected);
        assert_eq!(conn.buffer().1, 0);
    }
}

/// The claim of 4 MB costs nothing; memory follows the bytes, at most as many again.
#[test]
fn memory_follows_the_bytes_received() {
    let body = vec![0x5a; 4_000_000];
    let bytes = frame("block", &body);
    let mut conn = up(Direction::Outbound);
    conn.expect_blocks(1);
    let before = conn.buffered();
    assert_eq!(feed(&mut conn, &bytes[..24], usize::MAX, NOW), []);
    assert!(conn.buffered() - before <= SMALL_BYTES_MAX);
    let mut at = 24;
    while at < bytes.len() - 1 {
        let end = (at * 5 / 4).min(bytes.len() - 1);
        assert_eq!(feed(&mut conn, &bytes[at..end], 10_000, NOW), []); // `feed` keeps its own watch too
        at = end;
        assert!(conn.buffered() <= SMALL_BYTES_MAX + (2 * at).max(SMALL_BYTES_MAX), "{} of {at}", conn.buffered());
    }
    let events = feed(&mut conn, &bytes[at..], 1, NOW);
    assert_eq!(events, [Event::Message(Message::Block(Bytes::from(body)))]);
    assert!(conn.buffered() <= SMALL_BYTES_MAX);
}

#[test]
fn a_large_block_is_never_copied() {
    let body: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    let bytes = frame("block", &body);
    let mut conn = up(Direction::Outbound);
    conn.expect_blocks(1);
    feed(&mut conn, &bytes[..bytes.len() - 1], usize::MAX, NOW);
    let (mut buf, room) = conn.buffer();
    assert_eq!(room, 1); // a read never runs past the end of the block
    let place = buf.as_ptr();
    buf.push(bytes[bytes.len() - 1]);
    let mut events = Vec::new();
    conn.received(buf, NOW, &mut events);
    let [Event::Message(Message::Block(block))] = &events[..] else { panic!() };
    assert_eq!(block.as_ptr(), place);
    assert_eq!(block[..], body[..]);
}

/// All ways of cutting a stream into reads give the same events.
#[test]
fn reads_of_any_size_give_the_same_events() {
    let hashes = vec![BlockHash([3; 32]); 101];
    let inv = |count| vec![Inv { kind: InvKind::Wtx, hash: [9; 32] }; count];
    let list = [
        Message::Ping(Some(77)),
        Message::Block(Bytes::from(vec![1; 80])),
        Message::Inv(inv(1)),
        Message::Block(Bytes::from(vec![2; 65_511])), // with its header one byte less than the small buffer
        Message::Block(Bytes::from(vec![3; 65_512])),
        Message::Block(Bytes::from(vec![4; 65_513])),
        Message::Ignored { command: Command::new("feefilter") },
        Message::GetHeaders(Locator { version: 1, hashes, stop: BlockHash([0; 32]) }),
        Message::GetData(inv(5_000)), // 180 kB that are not a block
        Message::Block(Bytes::from(vec![5; 200_000])),
        Message::Pong(5),
        Message::Block(Bytes::from(vec![6; 100])), // one more than asked for
        Message::SendHeaders,
    ];
    let mut expected: Vec<Event> = list.iter().cloned().map(Event::Message).collect();
    expected[0] = Event::Ping(77);
    expected[6] = Event::Ignored { command: Command::new("feefilter"), len: 0 };
    expected[11] = Event::Unasked { len: 100 };
    expected.remove(10);
    let bytes = messages(&list);
    for chunk in [1, 2, 23, 24, 25, 1_000, 65_536, usize::MAX] {
        let mut conn = up(Direction::Inbound);
        conn.expect_blocks(5);
        assert!(feed(&mut conn, &bytes, chunk, NOW) == expected, "reads of {chunk}");
        assert_eq!(conn.counters().messages_in, 2 + list.len() as u64);
    }
}

#[test]
fn what_nobody_wants_is_skipped_without_being_kept() {
    let body = vec![8; 3_000_000];
    let skipped = [("tx", false), ("cmpctblock", false), ("whatever", false), ("block", true)];
    for (name, is_block) in skipped {
        let mut conn = up(Direction::Inbound);
        let mut bytes = frame(name, &body);
        bytes.extend(frame("getaddr", &[]));
        for piece in bytes.chunks(50_000) {
            let events = feed(&mut conn, piece, usize::MAX, NOW);
            assert!(conn.buffered() <= SMALL_BYTES_MAX);
            if piece.len() == 50_000 {
                assert_eq!(events, []);
                continue;
            }
            let command = Command::new(name);
            let skip =
                if is_block { Event::Unasked { len: 3_000_000 } } else { Event::Ignored { command, len: 3_000_000 } };
            assert_eq!(events, [skip, Event::Message(Message::GetAddr)]);
        }
    }
}

#[test]
fn a_wrong_checksum_is_a_fault_even_in_what_is_skipped() {
    for (name, len) in [("headers", 1), ("tx", 70_000), ("tx", 10)] {
        for expected in [0, 1] {
            let mut bytes = frame(name, &vec![1; len]);
            bytes[24 + len / 2] ^= 1;
            bytes.extend(frame("getaddr", &[]));
            let mut conn = up(Direction::Inbound);
            conn.expect_blocks(expected);
            let events = feed(&mut conn, &bytes, usize::MAX, NOW);
            assert!(
                matches!(broken(&events), Broken::BadChecksum { len: l, .. } if *l as usize == len),
                "{name} {len}"
            );
        }
    }
}

/// All of its bytes are held to a header, by whoever asked for it by that header's hash.
#[test]
fn a_block_is_taken_whatever_its_checksum() {
    for len in [100, 200_000] {
        let mut bytes = frame("block", &vec![1; len]);
        bytes[20] ^= 1;
        let mut conn = up(Direction::Inbound);
        conn.expect_blocks(1);
        assert_eq!(feed(&mut conn, &bytes, 1_000, NOW), [Event::Message(Message::Block(vec![1; len].into()))]);
        conn.expect_blocks(0);
        assert_eq!(feed(&mut conn, &bytes, 1_000, NOW), [Event::Unasked { len: len as u32 }]);
    }
}

/// Blocks may be given up while one is arriving; the rest of it is nobody's fault.
#[test]
fn a_block_given_up_midway_does_no_harm() {
    for len in [1_000, 200_000] {
        let bytes = frame("block", &vec![1; len]);
        let mut conn = up(Direction::Inbound);
        conn.expect_blocks(1);
        assert_eq!(feed(&mut conn, &bytes[..len / 2], usize::MAX, NOW), []);
        conn.expect_blocks(0);
        let events = feed(&mut conn, &bytes[len / 2..], usize::MAX, NOW);
        assert!(matches!(events[..], [Event::Unasked { .. } | Event::Message(Message::Block(_))]));
    }
}

#[test]
fn broken_encodings_end_it() {
    let mut conn = up(Direction::Inbound);
    let events = feed(&mut conn, &frame("inv", &[0xfd, 1, 0]), usize::MAX, NOW);
    assert!(matches!(broken(&events), Broken::BadEncoding { .. }));
    assert_eq!(feed(&mut conn, &frame("getaddr", &[]), usize::MAX, NOW), []); // it is over
    let mut events = Vec::new();
    conn.tick(NOW + 10_000_000, &mut events);
    assert_eq!(events, []);
}

/// Any bytes in any pieces: events or an end, never a panic.
#[test]
fn noise_is_survived() {
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize
    };
    let names = ["version", "verack", "ping", "inv", "headers", "block", "addrv2", "getdata", "tx", "x"];
    for _ in 0..3_000 {
        let mut conn =
            if next() % 4 == 0 { Conn::new(Direction::Inbound, cfg(1), NOW) } else { up(Direction::Outbound) };
        conn.expect_blocks(2);
        let mut bytes = Vec::new();
        for _ in 0..next() % 6 {
            let len = next() % [40, 400, 90_000][next() % 3];
            let payload: Vec<u8> = vec![next() as u8 % 3; len];
            bytes.extend(frame(names[next() % names.len()], &payload));
        }
        for _ in 0..next() % 3 {
            if !bytes.is_empty() {
                let at = next() % bytes.len();
                bytes[at] ^= 1 << (next() % 8);
            }
        }
        let events = feed(&mut conn, &bytes, 1 + next() % 70_000, NOW);
        let ends = events.iter().filter(|event| matches!(event, Event::Broken(_))).count();
        assert!(ends <= 1);
        assert!(ends == 0 || matches!(events.last(), Some(Event::Broken(_))));
    }
}
