//! Time-outs and pings, to the second.

use super::*;

/// The first moment at which a tick ends the connection, in whole seconds from `NOW`.
fn ends(conn: &mut Conn, mut each: impl FnMut(&mut Conn, u64)) -> (u64, Broken) {
    for second in 0..10_000 {
        let now_ms = NOW + second * 1000;
        each(conn, now_ms);
        let mut events = Vec::new();
        conn.tick(now_ms, &mut events);
        if let [Event::Broken(broken)] = &events[..] {
            return (second, broken.clone());
        }
        assert_eq!(events, []);
    }
    panic!("it lives for ever");
}

#[test]
fn silence_has_its_limits() {
    let quiet = |_: &mut Conn, _| ();
    let mut opening = Conn::new(Direction::Inbound, cfg(1), NOW);
    assert_eq!(ends(&mut opening, quiet), (61, Broken::HandshakeTimeout { seconds: 61 }));
    let mut half_way = Conn::new(Direction::Inbound, cfg(1), NOW);
    feed(&mut half_way, &messages(&[version(70016, 2)]), usize::MAX, NOW);
    assert_eq!(ends(&mut half_way, quiet), (61, Broken::HandshakeTimeout { seconds: 61 }));
    // The first ping leaves at once, so its time-out and that of silence fall together.
    assert_eq!(ends(&mut up(Direction::Inbound), quiet), (1201, Broken::PingTimeout { seconds: 1201 }));
    // Bytes come, but never the pong.
    let chat = |conn: &mut Conn, now_ms| assert_eq!(feed(conn, &messages(&[Message::Pong(4)]), 99, now_ms), []);
    assert_eq!(ends(&mut up(Direction::Inbound), chat), (1201, Broken::PingTimeout { seconds: 1201 }));
    // A peer that knows no pong is only ever silent.
    let mut old = Conn::new(Direction::Inbound, cfg(1), NOW);
    feed(&mut old, &messages(&[version(60000, 2), Message::Verack]), usize::MAX, NOW);
    assert_eq!(ends(&mut old, quiet), (1201, Broken::Idle { seconds: 1201 }));
}

#[test]
fn a_message_half_sent_is_not_waited_for() {
    let small = frame("inv", &[0; 37]);
    let large = frame("block", &[0; 100_000]);
    let skipped = frame("tx", &[0; 100_000]);
    for bytes in [&small[..1], &small[..60], &large[..24], &large[..90_000], &skipped[..24], &skipped[..90_000]] {
        let mut conn = up(Direction::Inbound);
        conn.expect_blocks(1);
        feed(&mut conn, bytes, usize::MAX, NOW);
        assert_eq!(ends(&mut conn, |_, _| ()), (91, Broken::HalfMessage { seconds: 91 }), "{} bytes", bytes.len());
        let mut conn = up(Direction::Inbound);
        conn.expect_blocks(1);
        feed(&mut conn, bytes, usize::MAX, NOW);
        // The time runs while a read is on its way, too.
        let mut lent = false;
        let read = |conn: &mut Conn, _| {
            if !std::mem::replace(&mut lent, true) {
                conn.buffer();
            }
        };
        assert_eq!(ends(&mut conn, read), (91, Broken::HalfMessage { seconds: 91 }));
    }
}

#[test]
fn a_pause_of_ours_is_not_a_silence_of_theirs() {
    let mut conn = up(Direction::Inbound);
    feed(&mut conn, &frame("inv", &[0; 37])[..30], usize::MAX, NOW);
    let pause = |conn: &mut Conn, now_ms| match (now_ms - NOW) / 1000 {
        10 => conn.pause(true, now_ms),
        20 => conn.pause(true, now_ms), // said twice, it began once
        3010 => conn.pause(false, now_ms),
        _ => (),
    };
    assert_eq!(ends(&mut conn, pause), (3091, Broken::HalfMessage { seconds: 91 }));
}

#[test]
fn pings_are_measured() {
    let mut conn = up(Direction::Inbound);
    let ping = |conn: &mut Conn, now_ms| {
        conn.tick(now_ms, &mut Vec::new());
        let out = conn.take_out();
        match Message::decode(command::PING, &out.first()?[HEADER_BYTES..]) {
            Ok(Message::Ping(Some(nonce))) => Some(nonce),
            other => panic!("{other:?}"),
        }
    };
    let first = ping(&mut conn, NOW).unwrap();
    assert_ne!(first, 0);
    assert_eq!(ping(&mut conn, NOW + 119_999), None);
    assert_eq!(feed(&mut conn, &messages(&[Message::Pong(first ^ 1)]), 99, NOW + 10), []);
    assert_eq!(conn.counters().ping_last_ms, None);
    feed(&mut conn, &messages(&[Message::Pong(first)]), 99, NOW + 35);
    assert_eq!(ping(&mut conn, NOW + 119_999), None);
    let second = ping(&mut conn, NOW + 120_000).unwrap();
    assert_ne!(first, second);
    feed(&mut conn, &messages(&[Message::Pong(second)]), 99, NOW + 120_050);
    assert_eq!((conn.counters().ping_last_ms, conn.counters().ping_min_ms), (Some(50), Some(35)));
    feed(&mut conn, &messages(&[Message::Pong(second)]), 99, NOW + 120_060); // answers nothing
    assert_eq!(conn.counters().ping_last_ms, Some(50));
    assert_eq!(conn.counters().last_in_ms, NOW + 120_060);
}
