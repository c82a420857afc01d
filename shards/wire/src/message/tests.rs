//! Messages against bytes written by hand, and against bytes nobody should send.

use super::*;
use crate::frame::Checksum;

const MAIN: [u8; 4] = [0xf9, 0xbe, 0xb4, 0xd9];

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter_map(|c| char::from(c).to_digit(16)).map(|d| d as u8).collect();
    assert!(digits.len().is_multiple_of(2));
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Reads a frame whose header must be good.
fn decode(frame: &[u8]) -> Result<Message, Broken> {
    let (header, payload) = frame.split_first_chunk().unwrap();
    let header = FrameHeader::parse(MAIN, header, |command| limit(command).unwrap_or(PAYLOAD_BYTES_MAX))?;
    assert_eq!(header.len as usize, payload.len());
    assert_eq!(header.checksum, crate::frame::Checksum::of(payload));
    Message::decode(header.command, payload)
}

/// A message has these bytes, and these bytes are that message; every shorter payload is refused.
fn check(message: Message, command: &str, payload: &str) {
    let payload = unhex(payload);
    let frame = message.encode(MAIN);
    assert_eq!(frame[4..16], *format!("{command:\0<12}").as_bytes());
    assert_eq!(frame[HEADER_BYTES..], payload[..], "{message:?}");
    assert_eq!(decode(&frame).unwrap(), message);
    assert_eq!(message.command(), Command::new(command));
    for end in 0..payload.len() {
        match Message::decode(message.command(), &payload[..end]) {
            Err(Broken::BadEncoding { .. }) => (),
            Ok(Message::Ping(None)) => assert_eq!(end, 0),
            other => panic!("{command} cut at {end}: {other:?}"),
        }
    }
}

/// The example of the Bitcoin wiki's protocol documentation: version 60002, before the relay flag.
#[test]
fn the_documented_version_message_is_read() {
    let frame = unhex(
        "f9beb4d9 76657273696f6e0000000000 64000000 3b648d5a
         62ea0000 0100000000000000 11b2d05000000000
         0100000000000000 00000000000000000000ffff00000000 0000
         0100000000000000 00000000000000000000ffff00000000 0000
         3b2eb35d8ce61765 0f2f5361746f7368693a302e372e322f c03e0300",
    );
    let Ok(Message::Version(version)) = decode(&frame) else { panic!() };
    let expected = Version {
        version: 60002,
        services: 1,
        time: 0x50d0b211,
        receiver: SocketAddr::from(([0, 0, 0, 0], 0)),
        nonce: 0x6517e68c5db32e3b,
        user_agent: "/Satoshi:0.7.2/".into(),
        start_height: 212672,
        relay: true,
    };
    assert_eq!(version, expected);
}

/// What came later in the protocol's life may be missing, but only whole.
#[test]
fn an_old_version_message_may_end_after_each_field() {
    let version = Version {
        version: 70016,
        services: 9,
        time: -1,
        receiver: SocketAddr::from(([1, 2, 3, 4], 8333)),
        nonce: 7,
        user_agent: "/x/".into(),
        start_height: -5,
        relay: false,
    };
    let payload = unhex(
        "80110100 0900000000000000 ffffffffffffffff
         0000000000000000 00000000000000000000ffff01020304 208d
         0900000000000000 00000000000000000000000000000000 0000
         0700000000000000 032f782f fbffffff 00",
    );
    let frame = Message::Version(version.clone()).encode(MAIN);
    assert_eq!(frame[HEADER_BYTES..], payload[..]);
    let read = |end: usize| match Message::decode(command::VERSION, &payload[..end]) {
        Ok(Message::Version(version)) => Some(version),
        Err(Broken::BadEncoding { .. }) => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(read(payload.len()), Some(version.clone()));
    for (end, _) in payload.iter().enumerate() {
        assert_eq!(read(end).is_some(), [46, 80, 84, 88].contains(&end), "cut at {end}");
    }
    assert_eq!(read(88), Some(Version { relay: true, ..version.clone() }));
    assert_eq!(read(84), Some(Version { relay: true, start_height: -1, ..version.clone() }));
    let first = Version { relay: true, start_height: -1, user_agent: String::new(), nonce: 1, ..version };
    assert_eq!(read(46), Some(first));
}

#[test]
fn a_user_agent_has_at_most_256_bytes() {
    let mut payload = unhex("80110100 0900000000000000 0000000000000000");
    payload.extend([0; 26 + 26 + 8]);
    payload.extend([0xfd, 0, 1]);
    payload.extend([0xff; 256]); // not even UTF-8
    assert!(Message::decode(command::VERSION, &payload).is_ok());
    payload[81] = 1;
    payload.push(b'x');
    let broken = Broken::TooMany { command: command::VERSION, count: 257, limit: 256 };
    assert_eq!(Message::decode(command::VERSION, &payload), Err(broken));
}

#[test]
fn small_messages_have_their_bytes() {
    check(Message::Verack, "verack", "");
    check(Message::GetAddr, "getaddr", "");
    check(Message::SendHeaders, "sendheaders", "");
    check(Message::WtxidRelay, "wtxidrelay", "");
    check(Message::SendAddrV2, "sendaddrv2", "");
    check(Message::Ping(None), "ping", "");
    check(Message::Ping(Some(0x0102_0304_0506_0708)), "ping", "0807060504030201");
    check(Message::Pong(0xff), "pong", "ff00000000000000");
    check(Message::Ignored { command: Command::new("mempool") }, "mempool", "");
    // Bytes behind a message are not looked at.
    assert_eq!(Message::decode(command::PONG, &[1, 0, 0, 0, 0, 0, 0, 0, 99]), Ok(Message::Pong(1)));
}

#[test]
fn inventory_has_its_bytes() {
    let kinds = [
        (InvKind::Tx, "01000000"),
        (InvKind::Block, "02000000"),
        (InvKind::FilteredBlock, "03000000"),
        (InvKind::CompactBlock, "04000000"),
        (InvKind::Wtx, "05000000"),
        (InvKind::WitnessTx, "01000040"),
        (InvKind::WitnessBlock, "02000040"),
        (InvKind::Unknown(0x4000_0003), "03000040"),
    ];
    for (kind, bytes) in kinds {
        let payload = format!("01 {bytes} {}", "ab".repeat(32));
        let list = vec![Inv { kind, hash: [0xab; 32] }];
        check(Message::Inv(list.clone()), "inv", &payload);
        check(Message::GetData(list.clone()), "getdata", &payload);
        check(Message::NotFound(list), "notfound", &payload);
    }
}

#[test]
fn locators_have_their_bytes() {
    let locator =
        Locator { version: 70016, hashes: vec![BlockHash([1; 32]), BlockHash([2; 32])], stop: BlockHash([0; 32]) };
    let payload = format!("80110100 02 {} {} {}", "01".repeat(32), "02".repeat(32), "00".repeat(32));
    check(Message::GetHeaders(locator.clone()), "getheaders", &payload);
    check(Message::GetBlocks(locator), "getblocks", &payload);
}

/// The genesis block's header, as everyone knows it.
#[test]
fn headers_have_their_bytes() {
    let genesis = "01000000 0000000000000000000000000000000000000000000000000000000000000000
        3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a 29ab5f49 ffff001d 1dac2b7c";
    let Ok(bytes) = unhex(genesis).try_into() else { panic!() };
    let header = Header::parse(&bytes);
    assert_eq!((header.time, header.bits, header.nonce), (1231006505, 0x1d00ffff, 2083236893));
    check(Message::Headers(vec![header; 2]), "headers", &format!("02 {genesis} 00 {genesis} 00"));
    // A peer may count transactions there; nobody looks (Core), but the count has its one form.
    let counted = unhex(&format!("01 {genesis} fdfd00"));
    assert_eq!(Message::decode(command::HEADERS, &counted), Ok(Message::Headers(vec![header])));
    let long = unhex(&format!("01 {genesis} fd0100"));
    assert!(Message::decode(command::HEADERS, &long).is_err());
}

/// Core's `stream_addrv1_hex` and `stream_addrv2_hex`, and the wiki's example of `addr`.
#[test]
fn addresses_have_the_bytes_of_core() {
    let loopback = |port| SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    let list = vec![
        Address { time: 0x4966bc61, services: 0, socket: loopback(0) },
        Address { time: 0x83766279, services: 1, socket: loopback(0x00f1) },
        Address { time: 0xffffffff, services: 0x0448, socket: loopback(0xf1f2) },
    ];
    let v1 = "03 61bc6649 0000000000000000 00000000000000000000000000000001 0000
        79627683 0100000000000000 00000000000000000000000000000001 00f1
        ffffffff 4804000000000000 00000000000000000000000000000001 f1f2";
    let v2 = "03 61bc6649 00 02 10 00000000000000000000000000000001 0000
        79627683 01 02 10 00000000000000000000000000000001 00f1
        ffffffff fd4804 02 10 00000000000000000000000000000001 f1f2";
    check(Message::Addr(list.clone()), "addr", v1);
    check(Message::AddrV2(list), "addrv2", v2);
    let v4 = vec![Address { time: 0x4d1015e2, services: 1, socket: SocketAddr::from(([10, 0, 0, 1], 8333)) }];
    check(Message::Addr(v4.clone()), "addr", "01 e215104d 0100000000000000 00000000000000000000ffff0a000001 208d");
    check(Message::AddrV2(v4), "addrv2", "01 e215104d 01 01 04 0a000001 208d");
}

/// BIP 155: what is not dialed is stepped over, what has the wrong length is refused.
#[test]
fn addrv2_steps_over_other_networks() {
    let entry = |network: u8, len: usize| {
        let compact = if len < 253 { format!("{len:02x}") } else { format!("fd{:02x}{:02x}", len & 255, len >> 8) };
        format!("00000000 00 {network:02x} {compact} {} 208d", "07".repeat(len))
    };
    let v4 = "00000000 00 01 04 01020304 208d";
    let read = |other: &str| Message::decode(command::ADDRV2, &unhex(&format!("02 {other} {v4}")));
    let only_v4 =
        Message::AddrV2(vec![Address { time: 0, services: 0, socket: SocketAddr::from(([1, 2, 3, 4], 8333)) }]);
    for (network, len) in [(3, 10), (4, 32), (5, 32), (6, 16), (99, 0), (99, 512)] {
        assert_eq!(read(&entry(network, len)), Ok(only_v4.clone()), "network {network}");
    }
    for (network, len) in [(1, 5), (2, 4), (4, 31), (5, 33), (6, 15)] {
        assert!(matches!(read(&entry(network, len)), Err(Broken::BadEncoding { .. })), "network {network}");
    }
    assert!(matches!(read(&entry(99, 513)), Err(Broken::TooMany { limit: 512, .. })));
    let mapped = "00000000 00 02 10 00000000000000000000ffff05060708 208d";
    assert_eq!(read(mapped), Ok(only_v4.clone()));
    // Services are a set of bits, not a count: all 64 may be there.
    let all = "00000000 ffffffffffffffffff 01 04 01020304 208d";
    let Ok(Message::AddrV2(list)) = read(all) else { panic!() };
    assert_eq!(list[0].services, u64::MAX);
}

/// A count beyond its limit is refused whatever follows; at the limit the whole list is read.
#[test]
fn lists_are_bounded() {
    let list = |count: u16, entry: &[u8], before: &[u8], after: &[u8]| {
        let mut payload = before.to_vec();
        put_compact(&mut payload, count.into());
        payload.extend(entry.repeat(count.into()));
        payload.extend(after);
        payload
    };
    type Case<'a> = (Command, u16, &'a [u8], &'a [u8], &'a [u8]); // most, entry, before, after
    let cases: [Case; 6] = [
        (command::INV, 50_000, &[0; 36], &[], &[]),
        (command::GETDATA, 50_000, &[0; 36], &[], &[]),
        (command::NOTFOUND, 50_000, &[0; 36], &[], &[]),
        (command::HEADERS, 2_000, &[0; 81], &[], &[]),
        (command::ADDR, 1_000, &[0; 30], &[], &[]),
        (command::GETHEADERS, 101, &[0; 32], &[0; 4], &[0; 32]),
    ];
    for (command, most, entry, before, after) in cases {
        let full = list(most, entry, before, after);
        assert!(full.len() as u32 <= limit(command).unwrap());
        assert!(Message::decode(command, &full).is_ok(), "{command}");
        let more = Message::decode(command, &list(most + 1, entry, before, after));
        let (count, limit) = (u64::from(most) + 1, u64::from(most));
        assert_eq!(more, Err(Broken::TooMany { command, count, limit }));
    }
    // The largest count that can be written allocates nothing: its bytes are not there.
    for count in [&[0xfd, 0xd0, 0x07][..], &[0xfd, 0xd1, 0x07], &[0xfe, 0, 0, 0, 2], &[0xff; 9]] {
        assert!(Message::decode(command::HEADERS, count).is_err());
    }
}

#[test]
fn a_block_is_framed_by_its_length_and_checksum_alone() {
    let body = Bytes::from(vec![7; 1000]);
    let head = block_head(MAIN, 1000, Checksum::of(&body));
    assert_eq!([&head[..], &body[..]].concat(), Message::Block(body).encode(MAIN));
}

/// Noise is an error or a message, never a panic; and what was read can be written and read again.
#[test]
fn noise_is_survived() {
    let commands = [
        command::VERSION,
        command::GETHEADERS,
        command::HEADERS,
        command::INV,
        command::ADDR,
        command::ADDRV2,
        command::PING,
    ];
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize
    };
    let mut read = 0;
    for _ in 0..20_000 {
        let len = next() % 200;
        // Mostly small numbers, so that counts are often possible.
        let payload: Vec<u8> =
            (0..len).map(|_| if next() % 4 == 0 { next() as u8 } else { (next() % 3) as u8 }).collect();
        for command in commands {
            if let Ok(message) = Message::decode(command, &payload) {
                read += 1;
                if !matches!(message, Message::Version(_)) {
                    assert_eq!(decode(&message.encode(MAIN)).unwrap(), message);
                }
            }
        }
    }
    assert!(read > 1000, "noise was read only {read} times");
}
