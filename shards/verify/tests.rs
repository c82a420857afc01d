//! The shard with blocks whose every input asks for a signature: how they are cut into slices, what counts when several
//! fail, what is remembered, given up, skipped, printed.

use super::*;
use crate::msg::ScriptFailure;
use crate::replay;
use consensus::script::{Flags, ScriptError, Spending, legacy_digest};
use consensus::{Block, LoneTx};
use ledger::{Body, Seed};
use secp256k1::{Message, PublicKey, SecretKey, ecdsa};

mod lanes;
mod shares;

const INPUTS: u32 = 40;

fn secret() -> SecretKey {
    SecretKey::from_secret_bytes([7; 32]).unwrap()
}

/// `key CHECKSIG`: what each coin asks for.
fn lock() -> Vec<u8> {
    [&[33][..], &PublicKey::from_secret_key(&secret()).serialize(), &[0xac]].concat()
}

fn tx(tag: u8, scripts: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![1, 0, 0, 0];
    match scripts.len() {
        few @ ..253 => out.push(few as u8),
        many => out.extend([&[253][..], &(many as u16).to_le_bytes()].concat()),
    }
    for (vout, script) in (0u32..).zip(scripts) {
        out.extend([tag; 32]);
        out.extend(vout.to_le_bytes());
        out.push(script.len() as u8);
        out.extend(script);
        out.extend([0xff; 4]);
    }
    out.extend([1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x51, 0, 0, 0, 0]);
    out
}

/// A transaction that spends [`INPUTS`] coins, those named with signatures of something else.
fn spend(tag: u8, forged: &[u32]) -> Vec<u8> {
    spend_many(tag, INPUTS, forged)
}

fn spend_many(tag: u8, inputs: u32, forged: &[u32]) -> Vec<u8> {
    let (blank, lock) = (tx(tag, &vec![vec![]; inputs as usize]), lock());
    let lone = LoneTx::parse(blank.into()).unwrap();
    let coins = vec![CoinView { value: 1, height: 1, coinbase: false, script: &lock }; inputs as usize];
    let spending = Spending::new(lone.view(), &coins);
    let signed = (0..inputs).map(|input| {
        let mut digest = legacy_digest(&spending, input as usize, &lock, 1);
        digest[0] ^= u8::from(forged.contains(&input));
        let signature = ecdsa::sign(Message::from_digest(digest), &secret()).serialize_der();
        [&[signature.len() as u8 + 1], &signature[..], &[1]].concat()
    });
    tx(tag, &signed.collect::<Vec<_>>())
}

fn block(txs: &[Vec<u8>]) -> Arc<Body> {
    block_of(4, txs)
}

/// With a header of its own.
fn block_of(tag: u8, txs: &[Vec<u8>]) -> Arc<Body> {
    let mut bytes = vec![tag; 80];
    bytes.push(txs.len() as u8 + 1);
    bytes.extend([1, 0, 0, 0, 1]);
    bytes.extend([[0; 32].as_slice(), &[0xff; 4], &[2, 1, 1], &[0xff; 4], &[1], &[0; 8], &[0], &[0; 4]].concat());
    bytes.extend(txs.concat());
    Arc::new(Body::new(Block::parse(bytes.into()).unwrap(), Seed::new(1)))
}

struct Rig {
    verify: Verify,
    pages: Pages,
    /// Who is to settle signatures.
    curve: Curve,
    /// Whether its lanes, if it has any, are believed.
    trust: crate::prover::Trust,
}

fn cache() -> ScriptCache {
    ScriptCache::new(1 << 12, [3; 32])
}

impl Rig {
    fn new() -> Rig {
        Rig::of(0, 1, cache())
    }

    fn of(number: u16, workers: u16, cache: ScriptCache) -> Rig {
        let pages = Pages::new(1);
        let config = Config { number, workers, core: 0, pages: pages.clone(), cache, prover: None };
        Rig { verify: Verify::new(config), pages, curve: Curve::Libsecp, trust: Default::default() }
    }

    fn step(&mut self, word: Msg) -> Cx {
        let mut cx = Cx::new(0);
        self.verify.step(Input::Msg(word), &mut cx);
        cx
    }

    /// Hands in a whole block as one part of shard 0; what the shard says at once.
    fn hand_in(&mut self, world: WorldId, body: &Arc<Body>, flags: Flags, scripts: Scripts) -> Cx {
        let block = &body.block;
        let job = Arc::new(Job {
            world,
            parent: 0,
            side: crate::effect::Side::Tip,
            body: body.clone(),
            height: 200,
            mtp_parent: 0,
            parts: vec![(0, 0..block.txs.len() as u32)],
            inputs: std::iter::once(0..block.inputs.len() as u32).collect(),
            flags,
            scripts,
            curve: self.curve,
        });
        let lock = lock();
        let script = (0, lock.len() as u32);
        let rows = (1..block.inputs.len() as u32)
            .map(|input| CoinRow { input, height: 1, value: 1, script, coinbase: false })
            .collect();
        assert!(self.step(Msg::Check { job, part: 0 }).words.is_empty(), "the coins are missing");
        for _ in 1..self.verify.config.workers {
            assert!(self.step(Msg::Coins { world, part: 0, coins: Box::default() }).words.is_empty());
        }
        self.step(Msg::Coins { world, part: 0, coins: Box::new(Coins { rows, scripts: lock }) })
    }

    /// Slices until there is no more to do: the verdicts of each slice.
    fn run(&mut self) -> Vec<Vec<(WorldId, Option<ScriptFailure>)>> {
        let mut slices = Vec::new();
        loop {
            let cx = self.step(Msg::Slice);
            let goes_on = cx.words.iter().filter(|(_, word)| matches!(word, Msg::Slice)).count();
            slices.push(verdicts(&cx));
            match goes_on {
                0 => return slices,
                1 => {}
                more => panic!("{more} slices are asked for at once"),
            }
        }
    }

    fn counted(&self) -> [u64; 3] {
        let work = self.pages.work(0);
        [work.input_run.get(), work.signature_settled.get(), work.script_run_again.get()]
    }
}

fn verdicts(cx: &Cx) -> Vec<(WorldId, Option<ScriptFailure>)> {
    let verdict = |(_, word): &(ShardId, Msg)| match word {
        Msg::Verdict { world, script, spends, .. } => {
            assert_eq!(spends.failure, None);
            Some((*world, *script))
        }
        _ => None,
    };
    cx.words.iter().filter_map(verdict).collect()
}

const RULES: Flags = Flags::P2SH;

#[test]
fn a_part_is_cut_into_slices_that_end_inside_transactions() {
    let mut rig = Rig::new();
    let cx = rig.hand_in(1, &block(&[spend(1, &[]), spend(2, &[]), spend(3, &[])]), RULES, Scripts::Run);
    assert!(matches!(cx.words[..], [(ShardId::Verify(0), Msg::Slice)]));
    let slices = rig.run();
    assert_eq!(slices.len(), (3 * INPUTS as usize).div_ceil(SLICE_ROWS));
    assert_eq!(slices.concat(), [(1, None)]);
    assert_eq!(slices.last().unwrap()[..], [(1, None)], "with the last slice, not before");
    assert_eq!(rig.counted(), [120, 120, 0]);
}

#[test]
fn a_slice_goes_on_with_the_next_part() {
    let mut rig = Rig::new();
    for world in 1..=4 {
        rig.hand_in(world, &block(&[spend(world as u8, &[])]), RULES, Scripts::Run);
    }
    let ended: Vec<usize> = rig.run().iter().map(Vec::len).collect();
    // 160 signatures in slices of 32: 40, 80, 120 and 160 are reached in these.
    assert_eq!(ended, [0, 1, 1, 1, 1]);
}

#[test]
fn the_first_of_several_failures_counts_and_the_rest_is_not_run() {
    let mut rig = Rig::new();
    rig.hand_in(1, &block(&[spend(1, &[]), spend(2, &[30, 9, 20]), spend(3, &[0])]), RULES, Scripts::Run);
    rig.hand_in(2, &block(&[spend(4, &[])]), RULES, Scripts::Run);
    let failure = ScriptFailure { tx: 2, input: 9, error: ScriptError::EvalFalse };
    assert_eq!(rig.run().concat(), [(1, Some(failure)), (2, None)]);
    let [inputs, _, again] = rig.counted();
    assert!(inputs < 4 * 40 && again >= 1, "{inputs} inputs, {again} again");
    // The good transaction of the bad block is not held against the next that has it.
    rig.hand_in(3, &block(&[spend(1, &[]), spend(2, &[])]), RULES, Scripts::Run);
    assert_eq!(rig.run().concat(), [(3, None)]);
}

#[test]
fn what_was_good_is_not_run_again_under_the_same_flags() {
    let mut rig = Rig::new();
    let (good, bad) = (block(&[spend(1, &[]), spend(2, &[])]), block(&[spend(3, &[5])]));
    rig.hand_in(1, &good, RULES, Scripts::Run);
    rig.hand_in(2, &bad, RULES, Scripts::Run);
    rig.run();
    let before = rig.counted();
    for world in [3, 4] {
        rig.hand_in(world, &good, RULES, Scripts::Run);
        assert_eq!(rig.run(), [vec![(world, None)]]);
    }
    assert_eq!(rig.counted()[1], before[1], "no signature was asked for");
    rig.hand_in(5, &good, RULES | Flags::DERSIG, Scripts::Run);
    rig.run();
    assert_eq!(rig.counted()[1], before[1] + 80, "under other flags it may fail");
    rig.hand_in(6, &bad, RULES, Scripts::Run);
    let again = rig.run().concat();
    assert!(matches!(again[..], [(6, Some(_))]), "what failed fails again: {again:?}");
}

#[test]
fn nobody_waits_for_worlds_that_are_dropped() {
    let mut rig = Rig::new();
    for world in 1..=3 {
        rig.hand_in(world, &block(&[spend(world as u8, &[])]), RULES, Scripts::Run);
    }
    assert_eq!(
        verdicts(&rig.step(Msg::Drop { side: crate::effect::Side::Tip, worlds: vec![2, 1, 99] })),
        [(1, None), (2, None)]
    );
    assert_eq!(rig.run().concat(), [(3, None)]);
    assert_eq!(rig.counted(), [40, 40, 0], "only the third was run");
}

#[test]
fn what_is_believed_is_not_run_and_an_audit_refuses_nothing() {
    let mut rig = Rig::new();
    let bad = block(&[spend(1, &[3, 4]), spend(2, &[])]);
    let cx = rig.hand_in(1, &bad, RULES, Scripts::Skip);
    assert_eq!((verdicts(&cx), cx.words.len(), rig.counted()), (vec![(1, None)], 1, [0; 3]));

    rig.hand_in(2, &bad, RULES, Scripts::Audit);
    let (mut printed, mut ended) = (Vec::new(), Vec::new());
    while ended.is_empty() {
        let cx = rig.step(Msg::Slice);
        printed.extend(cx.effects.iter().map(|effect| match effect {
            Effect::Print(line) => line.clone(),
            other => panic!("{other:?}"),
        }));
        ended = verdicts(&cx);
    }
    assert_eq!((ended, printed.len()), (vec![(2, None)], 2));
    assert_eq!(rig.pages.work(0).script_failed.get(), 2);
    for (line, input) in printed.iter().zip([3, 4]) {
        let spend = replay::read(line).unwrap();
        assert_eq!((spend.input, spend.flags, spend.error.as_str()), (input, RULES, "EVAL_FALSE"));
        assert_eq!(spend.tx.view().whole(), bad.block.view(&bad.block.txs[1]).whole());
        assert_eq!((spend.coins.len(), &spend.coins[3]), (40, &(1, lock())));
    }
}
