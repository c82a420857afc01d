//! Blocks that are sent from where they lie: when, under which checksum, and what is counted for them.

use super::*;
use wire::frame::Checksum;

/// A peer asks for one block, which lies at this offset; whether only its header is wanted, and the name of the read.
fn asks(bench: &mut Bench, kind: InvKind, hash: BlockHash, (at, len): (u64, usize)) -> (bool, u64) {
    bench.say(1, &Message::GetData(vec![Inv { kind, hash: hash.0 }]));
    assert_eq!(bench.finds(), [(1, hash)]);
    bench.found_at(1, hash, at, Some(len as u32));
    match (bench.reads.pop(), bench.peeks.pop()) {
        (Some((token, _)), None) => (false, token),
        (None, Some((token, _))) => (true, token),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_block_that_was_hashed_once_is_sent_from_where_it_lies() {
    let mut bench = Bench::new(PLENTY, PLENTY);
    bench.up(1, true);
    bench.words.clear();
    let (bytes, hash) = block(5, 1_000_000);
    let place = (4_096, bytes.len());
    let whole = Message::Block(bytes.clone());
    // Nothing is known of it yet; of one that lies elsewhere nothing will be.
    let (peeked, token) = asks(&mut bench, InvKind::WitnessBlock, hash, place);
    assert!(!peeked);
    bench.event(Event::Read { token, bytes: Ok(bytes.clone()) });
    assert!(bench.messages(1) == [whole.clone()]);
    bench.taken(1);
    // The header is enough, if it is the right one.
    let (peeked, token) = asks(&mut bench, InvKind::WitnessBlock, hash, place);
    assert!(peeked && bench.peer.memory.out == bytes.len());
    bench.event(Event::Read { token, bytes: Ok(bytes.slice(..80)) });
    let far = bench.far.get_mut(&1).unwrap();
    assert_eq!(far.from_file, [(4_096, 1_000_000)]);
    assert!([std::mem::take(&mut far.out).freeze(), bytes.clone()].concat() == whole.encode(REGTEST));
    let link = &bench.peer.links[&1];
    assert_eq!((link.sending, bench.peer.memory.out), (24 + 1_000_000, 24), "what is not ours is not counted as ours");
    bench.taken(1);
    bench.event(Event::Sent { conn: 1, bytes: 300_000, of_file: true });
    bench.event(Event::Sent { conn: 1, bytes: 700_000, of_file: true });
    assert_eq!((bench.peer.links[&1].sending, bench.peer.memory.out), (0, 0));
    let (_, token) = asks(&mut bench, InvKind::WitnessBlock, hash, place);
    bench.event(Event::Read { token, bytes: Ok(Bytes::from(vec![0; 80])) });
    assert!(matches!(bench.messages(1)[..], [Message::NotFound(_)]), "zeros are no header");
    bench.taken(1);
    // All of it comes where it is not in the kernel's memory, ...
    let (peeked, token) = asks(&mut bench, InvKind::WitnessBlock, hash, place);
    assert!(peeked);
    bench.event(Event::Read { token, bytes: Ok(bytes.clone()) });
    assert!(bench.messages(1) == [whole]);
    bench.taken(1);
    // ... and where it is not wanted as it lies, or may be given up before it is sent.
    assert!(!asks(&mut bench, InvKind::Block, hash, place).0);
    let mut bench = Bench { peer: bench.peer, ..Bench::new(PLENTY, PLENTY) };
    bench.event(Event::Closed { conn: 1, why: String::new() });
    bench.peer.config.services &= !wire::NODE_NETWORK;
    bench.up(1, true);
    bench.words.clear();
    assert!(!asks(&mut bench, InvKind::WitnessBlock, hash, place).0);
}

#[test]
fn whoever_takes_nothing_from_a_file_is_held_back_and_let_go_too() {
    let mut bench = Bench::new(PLENTY, PLENTY);
    bench.up(1, true);
    bench.words.clear();
    let blocks: Vec<_> = (0..8).map(|number| (block(number, BLOCK), number * (BLOCK as u64 + 8))).collect();
    for ((bytes, _), at) in &blocks {
        bench.peer.config.checksums.put(*at, Checksum::of(bytes));
    }
    let inv = |((_, hash), _): &((Bytes, BlockHash), u64)| Inv { kind: InvKind::WitnessBlock, hash: hash.0 };
    bench.say(1, &Message::GetData(blocks.iter().map(inv).collect()));
    for ((_, hash), at) in &blocks {
        bench.found_at(1, *hash, *at, Some(BLOCK as u32));
    }
    for ((bytes, _), (token, _)) in blocks.iter().map(|(block, _)| block).zip(std::mem::take(&mut bench.peeks)) {
        bench.event(Event::Read { token, bytes: Ok(bytes.slice(..80)) });
    }
    // Two, with their frames, are more than one peer may have queued.
    assert_eq!(bench.far[&1].from_file, [(0, BLOCK as u32), (BLOCK as u64 + 8, BLOCK as u32)]);
    assert_eq!(bench.peer.memory.out, 2 * 24);
    assert!(bench.far[&1].buffer.is_none(), "nothing more is read of it");
    bench.cx.now_ms += SEND_STALL_MS;
    bench.event(Event::Sent { conn: 1, bytes: BLOCK, of_file: true });
    assert_eq!(bench.far[&1].from_file.len(), 3);
    bench.cx.now_ms += SEND_STALL_MS;
    bench.step(Input::Tick);
    assert!(bench.let_go.is_empty(), "it took one");
    bench.cx.now_ms += 1;
    bench.step(Input::Tick);
    assert_eq!((&bench.let_go[..], bench.peer.memory.out), (&[1][..], 3 * 24));
    bench.event(Event::Closed { conn: 1, why: String::new() });
    assert_eq!(bench.peer.memory, Memory::default());
}

#[test]
fn long_lists_do_not_keep_blocks_from_moving() {
    // 25 lists of 50,000 are 50 MB where all may have 40: a quarter of that is left for blocks.
    let mut bench = Bench::new(PLENTY, 10 * BLOCK_LEN_MAX);
    for conn in 1..=25 {
        bench.up(conn, true);
        bench.say(conn, &getdata(InvKind::Block, 0..50_000));
    }
    assert!(bench.peer.memory.lists > 10 * BLOCK, "{}", bench.peer.memory.lists);
    let (mut open, mut served): (VecDeque<_>, BTreeSet<_>) = (bench.finds().into(), BTreeSet::new());
    for _ in 0..100 {
        let (peer, hash) = open.pop_front().expect("something is always under way");
        served.insert(peer);
        bench.found(peer, hash, None);
        open.extend(bench.finds());
    }
    assert_eq!(served.len(), 25);
}
