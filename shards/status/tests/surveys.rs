//! Surveys of all coins: parts come in any order, are put together in theirs, and few are in memory at once.

use super::*;
use ledger::CoinDigest;
use ledger::survey::Part;

/// Answers questions for parts of a survey, the last first, until no more are asked; `part` makes each. How many were asked
/// at once at most.
fn seen_all(status: &mut Status, cx: &mut Cx, part: impl Fn(usize) -> Option<Part>) -> usize {
    let (mut asked, mut most) = (Vec::new(), 0);
    loop {
        asked.append(&mut cx.words);
        most = most.max(asked.len());
        let Some((to, word)) = asked.pop() else { return most };
        let ShardId::Utxo(i) = to else { panic!("{to}") };
        let Msg::Look { question, what: Question::Part { partition, world: 7, .. } } = word else { panic!("{word:?}") };
        assert!(status.view.setup.plan.partitions(i).contains(&partition));
        let finding = part(partition).map_or(Finding::NoWorld, |part| Finding::Part(partition, Box::new(part)));
        status.step(Input::Msg(Msg::Seen { question, finding }), cx);
    }
}

#[test]
fn the_digest_is_made_of_all_partitions() {
    let part = |p| Part { coins: 2, digest: Some(CoinDigest([p as u8; 32])), ..Part::default() };
    for cores in [1, 2, 5, 16] {
        let (mut status, mut cx) = node(cores, Network::Regtest);
        ask(&mut status, &mut cx, 3, "digest");
        assert!(matches!(cx.words.pop(), Some((ShardId::Chain, Msg::WhichWorld { question: 3, block: None }))));
        status.step(Input::Msg(Msg::World { question: 3, world: Ok((7, 12, hash(12))) }), &mut cx);
        let most = seen_all(&mut status, &mut cx, |p| Some(part(p)));
        assert!(most <= 2 * usize::from(status.view.setup.plan.workers), "{most} parts in memory");
        let bytes: Vec<u8> = (0..=255u8).flat_map(|p| [p; 32]).collect();
        let digest: String = consensus::sha256(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let wanted = format!("{{\"height\":12,\"tip\":\"{}\",\"coins\":512,\"digest\":\"{digest}\"}}", hash(12));
        assert_eq!(answers(&mut cx), [(3, wanted)]);
    }
    let (mut status, mut cx) = node(2, Network::Regtest);
    ask(&mut status, &mut cx, 3, "digest");
    cx.words.clear();
    status.step(Input::Msg(Msg::World { question: 3, world: Ok((7, 12, hash(12))) }), &mut cx);
    seen_all(&mut status, &mut cx, |p| (p != 1).then(|| part(p)));
    assert!(answers(&mut cx)[0].1.starts_with("{\"error\":"), "a shard no longer had that world");
}

#[test]
fn a_snapshot_is_written_piece_by_piece_and_its_head_last() {
    let part = |p: usize| Part { coins: 1, snapshot: vec![p as u8; p % 3], ..Part::default() };
    for failing in [None, Some(20)] {
        let (mut status, mut cx) = node(2, Network::Regtest);
        ask(&mut status, &mut cx, 3, "dump");
        status.step(Input::Msg(Msg::World { question: 3, world: Ok((7, 12, hash(12))) }), &mut cx);
        cx.words.remove(0);
        let (mut file, mut asked, mut last) = (vec![0; 51], Vec::new(), 0);
        'all: loop {
            asked.append(&mut cx.words);
            let Some((_, Msg::Look { question, what: Question::Part { partition, .. } })) = asked.pop() else { break };
            let finding = Finding::Part(partition, Box::new(part(partition)));
            status.step(Input::Msg(Msg::Seen { question, finding }), &mut cx);
            while let Some(at) = cx.effects.iter().position(|effect| matches!(effect, Effect::Dump { .. })) {
                let Effect::Dump { question: 3, at, bytes } = cx.effects.remove(at) else { panic!("of another") };
                assert_eq!(cx.effects.iter().filter(|effect| matches!(effect, Effect::Dump { .. })).count(), 0);
                let end = at as usize + bytes.len();
                file.resize(file.len().max(end), 0);
                file[at as usize..end].copy_from_slice(&bytes);
                last = at;
                let failed = (failing == Some(partition)).then(|| "no luck".to_owned());
                let stop = failed.is_some();
                status.step(Input::Event(Event::Dumped { question: 3, failed }), &mut cx);
                if stop {
                    break 'all;
                }
            }
        }
        let answer = &answers(&mut cx)[0].1;
        if failing.is_some() {
            assert_eq!(answer, "{\"error\":\"no luck\"}");
            continue;
        }
        // Core `SnapshotMetadata`: magic, version, network, block, coins.
        let head = [&b"utxo\xff\x02\x00\xfa\xbf\xb5\xda"[..], &hash(12).0, &256u64.to_le_bytes()].concat();
        let body: Vec<u8> = (0..256).flat_map(|p| vec![p as u8; p % 3]).collect();
        assert!(file == [head, body].concat() && last == 0, "the head comes last");
        assert!(answer.contains("\"txouts\":256") && answer.contains("hash_serialized_3"), "{answer}");
    }
}
