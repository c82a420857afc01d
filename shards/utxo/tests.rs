//! A shard that writes its partitions down and another that reads them: when, what is kept, what is damaged.

use super::*;
use crate::effect::Effect;
use crate::msg::{Files, Finding, Job, Question};
use crate::note::Note;
use bytes::Bytes;
use consensus::script::uncompressed;
use consensus::{Block, OutPoint, Txid};
use ledger::survey::{Aim, Part};
use ledger::{Body, Seed, WorldId};
use std::collections::BTreeMap;
use std::sync::Arc;

const PARTITIONS: Range<usize> = 0..256;

/// A block whose only transaction makes as many coins as its height.
fn block(height: u32) -> Arc<Body> {
    let mut bytes = vec![height as u8; 80];
    bytes.extend([1, 1, 0, 0, 0, 1]);
    bytes.extend([[0; 32].as_slice(), &[0xff; 4], &[1, height as u8], &[0xff; 4], &[height as u8]].concat());
    (0..height).for_each(|_| bytes.extend([1, 0, 0, 0, 0, 0, 0, 0, 1, 0x51]));
    bytes.extend([0; 4]);
    Arc::new(Body::new(Block::parse(bytes.into()).unwrap(), Seed::new(5)))
}

/// What a shard says once it has read its checkpoints.
type Restored = Result<u64, (u16, (u32, BlockHash), String)>;

struct Rig {
    utxo: Utxo,
    cx: Cx,
    files: BTreeMap<(u16, u32), Vec<u8>>,
    fresh: Vec<u8>,
    height: u32,
}

impl Rig {
    fn new(bandwidth: u64, interval: u32, gap: u32) -> Rig {
        let policy = Policy { network: [1; 4], bandwidth, interval, gap };
        let genesis = BlockHash([0; 32]);
        let (pages, partitions) = (Pages::new(1), PARTITIONS);
        let utxo = Utxo::new(Config {
            number: 0,
            workers: 1,
            partitions,
            seed: Seed::new(5),
            policy,
            genesis,
            snapshot: false,
            core: 0,
            pages,
        });
        Rig { utxo, cx: Cx::new(0), files: BTreeMap::new(), fresh: Vec::new(), height: 0 }
    }

    fn step(&mut self, input: Input) {
        self.utxo.step(input, &mut self.cx);
    }

    /// Grows worlds up to that height and folds them.
    fn grow(&mut self, to: u32) {
        for height in self.height + 1..=to {
            let job = Job {
                world: height,
                parent: height - 1,
                side: Side::Tip,
                body: block(height),
                height,
                mtp_parent: 0,
                parts: Vec::new(),
                inputs: Vec::new(),
                flags: consensus::script::Flags::NONE,
                scripts: crate::msg::Scripts::Skip,
                curve: crate::prover::Curve::Libsecp,
            };
            self.step(Input::Msg(Msg::Grow(Arc::new(job))));
        }
        self.height = to;
        self.step(Input::Msg(Msg::Fold { side: Side::Tip, world: to, height: to, block: BlockHash([to as u8; 32]) }));
    }

    /// Lets time pass and carries out what that brings about; which checkpoints were written.
    fn tick(&mut self, ms: u64) -> Vec<(u16, u32)> {
        self.cx.now_ms += ms;
        self.step(Input::Tick);
        let mut written = Vec::new();
        while let Some(effect) = self.cx.effects.pop() {
            let (side, partition, height, at, bytes, last) = match effect {
                Effect::SaveCheckpoint { side, partition, height, at, bytes, last } => {
                    (side, partition, height, at, bytes, last)
                }
                Effect::Note(Note::Checkpoint { partition, height, bytes }) => {
                    assert_eq!(self.files[&(partition, height)].len() as u64, bytes);
                    continue;
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(self.fresh.len() as u64, at, "pieces come in order, one at a time");
            self.fresh.extend_from_slice(&bytes);
            if let Some(gone) = last {
                self.files.insert((partition, height), std::mem::take(&mut self.fresh));
                gone.iter().for_each(|height| assert!(self.files.remove(&(partition, *height)).is_some()));
                written.push((partition, height));
            }
            self.step(Input::Event(Event::SavedCheckpoint { side, partition, failed: None }));
        }
        written
    }

    /// Reads the newest checkpoints into a fresh shard; what it says in the end.
    fn restore(&self) -> (Rig, Restored) {
        self.restore_of(|height| BlockHash([height as u8; 32]))
    }

    /// … of which those are believed to be the blocks.
    fn restore_of(&self, block: impl Fn(u32) -> BlockHash) -> (Rig, Restored) {
        let mut rig = Rig::new(0, 1, 1);
        let newest =
            |partition| self.files.range((partition, 0)..=(partition, u32::MAX)).next_back().map(|file| file.0.1);
        let of = |partition| newest(partition).map(|height| (height, block(height)));
        let kept = (0..256).map(|partition| Files { kept: of(partition).into_iter().collect(), ..Files::default() });
        let partitions = Arc::new(kept.collect::<Vec<_>>());
        let block = block(self.height);
        rig.step(Input::Msg(Msg::Restore { side: Side::Tip, root: 9, height: self.height, block, partitions }));
        while let Some(effect) = rig.cx.effects.pop() {
            let Effect::LoadCheckpoint { side, partition, height, at, len } = effect else { panic!("{effect:?}") };
            let file = &self.files[&(partition, height)][at as usize..];
            let bytes = Ok(Bytes::copy_from_slice(&file[..file.len().min(len as usize)]));
            rig.step(Input::Event(Event::LoadedCheckpoint { side, partition, height, at, bytes }));
        }
        let (_, Msg::Restored { root: 9, coins }) = rig.cx.words.pop().unwrap() else { panic!("no word") };
        (rig, coins)
    }

    fn coins(&self, world: WorldId) -> Vec<u8> {
        let part = |index| Part::of(&self.utxo.tip.worlds, index, world, Aim::Hashes, uncompressed).serialized;
        PARTITIONS.flat_map(part).collect()
    }
}

#[test]
fn a_large_fold_lets_others_have_the_core() {
    let mut rig = Rig::new(0, 1_000, 1_000);
    let of = |rig: &mut Rig, what| {
        rig.step(Input::Msg(Msg::Look { question: 1, what }));
        let (ShardId::Status, Msg::Seen { finding, .. }) = rig.cx.words.pop().unwrap() else { panic!() };
        finding
    };
    // 1,830 coins: a slice, and some.
    rig.grow(60);
    assert!(matches!(rig.cx.words.pop(), Some((ShardId::Utxo(0), Msg::Slice))));
    let coin = |height| OutPoint { txid: block(height).block.txs[0].txid, vout: height - 1 };
    for height in [1, 30, 60] {
        let found = of(&mut rig, Question::Coin(coin(height), 60));
        assert!(matches!(found, Finding::Coin(Some((1, made, true, _))) if made == height), "{found:?}");
        for world in [59, 61] {
            let found = of(&mut rig, Question::Coin(coin(height), world));
            assert!(matches!(found, Finding::NoWorld), "below the root, or not grown yet: {found:?}");
        }
    }
    let none = OutPoint { vout: 30, ..coin(30) };
    assert!(matches!(of(&mut rig, Question::Coin(none, 60)), Finding::Coin(None)));
    let folded = |rig: &Rig| rig.utxo.tip.worlds.tally().base_coins;
    let before = folded(&rig);
    assert!(before < 60 * 61 / 2, "{before} are folded");
    // A slice goes on; one that nobody waits for has nothing to do.
    rig.step(Input::Msg(Msg::Slice));
    rig.step(Input::Msg(Msg::Slice));
    assert_eq!((folded(&rig), rig.cx.words.len()), (60 * 61 / 2, 60), "what was grown, and nothing more, is told");
    // A list of coins wants all of it done.
    rig.grow(100);
    assert!(folded(&rig) < 100 * 101 / 2);
    let part = Question::Part { partition: 0, world: 100, aim: Aim::Digest };
    assert!(matches!(of(&mut rig, part), Finding::Part(0, _)));
    assert_eq!(folded(&rig), 100 * 101 / 2);
}

#[test]
fn what_is_written_is_read_back() {
    let mut rig = Rig::new(1 << 30, 5, 1_000);
    rig.grow(4);
    assert_eq!(rig.tick(1_000), [], "it has not moved far enough");
    rig.grow(9);
    let written = rig.tick(1_000);
    assert_eq!(written, (0..256).map(|partition| (partition, 9)).collect::<Vec<_>>());
    let (read, coins) = rig.restore();
    // 1 + 2 + … + 9.
    assert_eq!(coins, Ok(45));
    assert!(read.coins(9) == rig.coins(9) && !rig.coins(9).is_empty());
    // While it is written a base stands still, and afterwards it has caught up.
    rig.grow(20);
    assert_eq!(rig.tick(1_000).len(), 256);
    let (read, coins) = rig.restore();
    assert_eq!((coins, read.coins(9) == rig.coins(20)), (Ok(210), true));
    assert_eq!(rig.files.len(), 512, "two of each");
    rig.grow(30);
    rig.tick(1_000);
    assert_eq!(rig.files.keys().filter(|(_, height)| *height == 9).count(), 256, "the oldest, until one is old enough");
    assert_eq!(rig.files.len(), 512);
}

#[test]
fn no_more_is_written_than_was_granted() {
    // Of small files each costs as much as eight in a second.
    let (granted, a_file) = (1 << 20, 128 << 10);
    let mut rig = Rig::new(granted as u64, 5, 1_000);
    rig.grow(9);
    for second in 1..=40 {
        rig.tick(1_000);
        let total: usize = rig.files.values().map(|bytes| bytes.len() + a_file).sum();
        let largest = rig.files.values().map(Vec::len).max().unwrap_or(0);
        assert!(total <= granted * second + a_file + largest, "{total} bytes in {second} s");
        assert!(rig.files.len() <= 8 * second + 1, "{} files in {second} s", rig.files.len());
    }
    assert_eq!(rig.files.len(), 256);
    let mut none = Rig::new(0, 5, 1_000);
    none.grow(9);
    assert_eq!(none.tick(10_000), []);
}

#[test]
fn a_damaged_one_is_named_and_what_waits_is_answered_when_it_is_said_what_else_to_do() {
    let mut rig = Rig::new(1 << 30, 5, 1_000);
    rig.grow(9);
    rig.tick(1_000);
    let full = rig.files.iter().find(|(_, bytes)| bytes.len() > 100).map(|(name, _)| *name).unwrap();
    rig.files.get_mut(&full).unwrap()[80] ^= 1;
    let (mut read, coins) = rig.restore();
    let Err((partition, (height, _), why)) = coins else { panic!("{coins:?}") };
    assert!((partition, height) == full && why.contains("checksum"), "{why}");
    // Whole, but of another block of that height: written on a branch that was left, before that was known here.
    rig.files.get_mut(&full).unwrap()[80] ^= 1;
    let (_, coins) = rig.restore_of(|height| BlockHash([height as u8 + 1; 32]));
    let Err((0, (9, BlockHash(wanted)), why)) = coins else { panic!("{coins:?}") };
    assert!(wanted == [10; 32] && why.ends_with(&"09".repeat(32)), "{why}");
    let job = |parts| {
        let (body, flags) = (block(10), consensus::script::Flags::NONE);
        let inputs = std::iter::repeat_n(0..1, usize::from(parts)).collect();
        let parts = if parts { vec![(3, 0..1)] } else { vec![] };
        let scripts = crate::msg::Scripts::Skip;
        let (side, curve) = (Side::Tip, crate::prover::Curve::Libsecp);
        Arc::new(Job {
            world: 10,
            parent: 9,
            side,
            body,
            height: 10,
            mtp_parent: 0,
            parts,
            inputs,
            flags,
            scripts,
            curve,
        })
    };
    read.step(Input::Msg(Msg::Grow(job(true))));
    let what = Question::Coin(OutPoint { txid: Txid([0; 32]), vout: 0 }, 9);
    read.step(Input::Msg(Msg::Look { question: 1, what }));
    assert!(read.cx.words.is_empty(), "its coins are not there");
    let partitions = Arc::new(vec![Files::default(); 256]);
    read.step(Input::Msg(Msg::Restore { side: Side::Tip, root: 11, height: 0, block: BlockHash([0; 32]), partitions }));
    let to: Vec<String> =
        read.cx.words.drain(..).map(|(to, word)| format!("{to} {:.8}", format!("{word:?}"))).collect();
    assert_eq!(to, ["verify[3] Coins { ", "chain Grown { ", "status Seen { q", "chain Restored"]);
    assert!(
        read.coins(11).is_empty()
            && read.utxo.tip.worlds.coin(11, &consensus::OutPoint { txid: Txid([0; 32]), vout: 0 }).is_none()
    );
}

#[test]
fn a_failed_write_is_tried_again_later() {
    let mut rig = Rig::new(1 << 30, 5, 1_000);
    rig.grow(9);
    rig.cx.now_ms = 1_000;
    rig.step(Input::Tick);
    assert!(matches!(rig.cx.effects.pop(), Some(Effect::SaveCheckpoint { partition: 0, .. })));
    rig.step(Input::Event(Event::SavedCheckpoint { side: Side::Tip, partition: 0, failed: Some("no room".into()) }));
    let Some(Effect::Log(_, line)) = rig.cx.effects.pop() else { panic!("it is said") };
    assert!(line.contains("partition 0") && line.contains("no room") && rig.cx.effects.is_empty());
    assert_eq!(rig.utxo.tip.checkpoint_failed().as_deref(), Some("no room"));
    assert_eq!(rig.tick(50_000), [], "not so soon");
    assert_eq!(rig.tick(20_000).len(), 256);
    assert_eq!(rig.utxo.tip.checkpoint_failed(), None);
    assert_eq!(rig.restore().1, Ok(45));
}
