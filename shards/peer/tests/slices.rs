//! Large blocks are read in slices: peers are answered in between, and every block has its answer, in the order they came.

use super::*;
use crate::limits::SLICE_BYTES;
use consensus::{BlockHash, Rule};

/// A block of so many bytes and a little more, of one transaction with many outputs behind many small ones.
fn block(bytes: usize) -> Vec<u8> {
    let output = [&[1, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0x51]].concat();
    let tx = |n: u32, outputs: u8| {
        let input = [&[9; 32][..], &n.to_le_bytes(), &[0], &[0xff; 4]].concat();
        [&[1, 0, 0, 0, 1][..], &input, &[outputs], &output.repeat(outputs.into()), &[0; 4]].concat()
    };
    let count = bytes / tx(0, 1).len();
    let txs: Vec<u8> = (0..count as u32).flat_map(|n| tx(n, 1)).collect();
    let count = match count {
        0..253 => vec![count as u8],
        _ => [&[253][..], &(count as u16).to_le_bytes()].concat(),
    };
    [&[7; 80][..], &count, &txs].concat()
}

#[test]
fn peers_are_answered_while_a_large_block_is_read() {
    let mut bench = Bench::new(1 << 30, 1 << 30);
    bench.up(2, true);
    let large = block(20 * SLICE_BYTES);
    let parse = |bytes: &[u8], hash| Msg::Parse { from: From::File(0), hash, bytes: bytes.to_vec().into() };
    let (hash, other) = (BlockHash(consensus::sha256d(&large[..80])), BlockHash([1; 32]));
    bench.words.clear();
    bench.peer.step(Input::Msg(parse(&large, hash)), &mut bench.cx);
    // Those that come meanwhile wait for their turn: a small one that is cut off, and one that is another.
    bench.peer.step(Input::Msg(parse(&large[..200], other)), &mut bench.cx);
    bench.peer.step(Input::Msg(parse(&block(200), other)), &mut bench.cx);
    let (mut slices, mut told) = (0, Vec::new());
    while let Some((to, word)) = bench.cx.words.pop() {
        assert!(bench.cx.words.is_empty(), "one slice at a time: {:?}", bench.cx.words);
        match word {
            Msg::Slice => {
                assert_eq!(to, ShardId::Peer(0));
                slices += 1;
                bench.say(2, &Message::Ping(Some(slices)));
                bench.taken(2);
                assert_eq!(bench.messages(2), [Message::Pong(slices)], "after {slices} slices");
                bench.peer.step(Input::Msg(Msg::Slice), &mut bench.cx);
            }
            word => panic!("{word:?}"),
        }
        // What the block came to goes on its way.
        told.extend(bench.cx.words.extract_if(.., |(to, _)| *to == ShardId::Chain).map(|(_, word)| word));
    }
    assert!((20..60).contains(&slices), "{slices} slices of a block of twenty");
    let [Msg::Spoiled { hash: first, rule, .. }, cut, another] = &told[..] else { panic!("{told:?}") };
    assert_eq!((*first, rule.kind()), (hash, consensus::Kind::Mutated), "its root is not the header's");
    assert!(matches!(cut, Msg::Spoiled { rule: Rule::Malformed, hash, .. } if *hash == other), "{cut:?}");
    assert!(matches!(another, Msg::Spoiled { hash, .. } if *hash == other), "{another:?}");
}
