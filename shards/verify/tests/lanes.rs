//! Lanes behind the shard: they settle many signatures at a time, never refuse, and are found out where they lie.

use super::*;

/// What lanes know.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    /// As much as libsecp256k1.
    Truth,
    /// That every signature is good.
    Lies,
    /// Of one in three that it is good, if it is.
    Little,
}

impl crate::prover::Prove for Told {
    fn prove(&mut self, rows: &[::lanes::Row], proven: &mut [bool]) {
        for (index, (row, proven)) in rows.iter().zip(proven).enumerate() {
            let ::lanes::Row::Ecdsa { key, r, s, message } = row else { panic!("no other is asked for") };
            let both: [u8; 64] = [*r, *s].concat().try_into().unwrap();
            let signature = ecdsa::Signature::from_compact(&both).unwrap();
            let key = PublicKey::from_slice(key).unwrap();
            let holds = ecdsa::verify(&signature, Message::from_digest(*message), &key).is_ok();
            *proven = match self {
                Told::Truth => holds,
                Told::Lies => true,
                Told::Little => holds && index % 3 == 0,
            };
        }
    }
}

impl Rig {
    fn with_lanes(told: Told, curve: Curve) -> Rig {
        let mut rig = Rig::new();
        rig.verify.config.prover = Some(Prover::new(Box::new(told), rig.trust.clone()));
        rig.curve = curve;
        rig
    }

    fn lanes(&self) -> [u64; 6] {
        let work = self.pages.work(0);
        let again = [&work.lane_script_failed, &work.lane_script_refused, &work.lane_script_undecided];
        let [asked, proven, wrong] =
            [&work.lane_asked, &work.lane_proven, &work.lane_wrong].map(|counter| counter.get());
        let [failed, refused, undecided] = again.map(|counter| counter.get());
        [asked, proven, failed, refused, undecided, wrong]
    }
}

#[test]
fn lanes_settle_many_at_a_time_and_never_refuse() {
    let mut rig = Rig::with_lanes(Told::Truth, Curve::Lanes);
    rig.hand_in(1, &block(&[spend(1, &[]), spend(2, &[]), spend(3, &[]), spend(4, &[30])]), RULES, Scripts::Run);
    let failure = ScriptFailure { tx: 4, input: 30, error: ScriptError::EvalFalse };
    let slices = rig.run();
    assert_eq!((slices.len(), slices.concat()), (160usize.div_ceil(SLICE_ROWS_LANES), vec![(1, Some(failure))]));
    assert_eq!((rig.lanes(), rig.counted()), ([160, 159, 0, 1, 0, 0], [160, 160, 1]));
    assert!(rig.pages.work(0).lane_rechecked.get() < 20, "one in 256");
    // Without lanes the same shard asks libsecp256k1.
    let mut plain = Rig::new();
    plain.curve = Curve::Lanes;
    plain.hand_in(1, &block(&[spend(1, &[7])]), RULES, Scripts::Run);
    let failure = ScriptFailure { tx: 1, input: 7, error: ScriptError::EvalFalse };
    assert_eq!((plain.run().concat(), plain.lanes()), (vec![(1, Some(failure))], [0; 6]));
}

#[test]
fn what_lanes_leave_is_settled_by_libsecp256k1_and_counted() {
    let blk = block(&[spend(1, &[]), spend(2, &[]), spend(4, &[30])]);
    let failure = ScriptFailure { tx: 3, input: 30, error: ScriptError::EvalFalse };
    for curve in [Curve::Lanes, Curve::Both] {
        let mut rig = Rig::with_lanes(Told::Little, curve);
        rig.hand_in(1, &blk, RULES, Scripts::Run);
        assert_eq!(rig.run().concat(), vec![(1, Some(failure))]);
        let work = rig.pages.work(0);
        let [asked, proven, failed, refused, undecided, wrong] = rig.lanes();
        let left = asked - proven - 1;
        assert!((asked, left > 60) == (120, true), "{left}; one is forged");
        let counted = if curve == Curve::Both { (left, 0) } else { (0, left) };
        assert_eq!((work.lane_missed.get(), undecided, failed, refused, wrong), (counted.0, counted.1, 0, 1, 0));
    }
}

#[test]
fn lanes_that_lie_are_found_out_and_believed_no_more() {
    for curve in [Curve::Both, Curve::Lanes] {
        let mut rig = Rig::with_lanes(Told::Lies, curve);
        let (mut world, mut doubts) = (0, 0);
        // By lanes alone one row in 256 is looked at, so that a lie takes a while to be seen.
        while doubts == 0 {
            world += 1;
            assert!(world < 200, "thousands of forged signatures were believed");
            rig.hand_in(world, &block(&[spend(world as u8, &(0..INPUTS).collect::<Vec<_>>())]), RULES, Scripts::Run);
            loop {
                let cx = rig.step(Msg::Slice);
                let at = |is: fn(&Msg) -> bool| cx.words.iter().position(|(_, word)| is(word));
                let (doubt, verdict) =
                    (at(|w| matches!(w, Msg::Doubt { .. })), at(|w| matches!(w, Msg::Verdict { .. })));
                if let (Some(doubt), Some(verdict)) = (doubt, verdict) {
                    assert!(doubt < verdict, "the chain must hear of it first");
                    assert!(verdicts(&cx).iter().all(|(_, script)| script.is_some()), "libsecp256k1 decides already");
                }
                doubts += usize::from(doubt.is_some());
                if cx.words.iter().all(|(_, word)| !matches!(word, Msg::Slice)) {
                    break;
                }
            }
        }
        assert!(curve == Curve::Lanes || world == 1, "both are asked of every row");
        let asked = rig.lanes()[0];
        rig.hand_in(999, &block(&[spend(99, &[1])]), RULES, Scripts::Run);
        let failure = ScriptFailure { tx: 1, input: 1, error: ScriptError::EvalFalse };
        assert_eq!((rig.run().concat(), rig.lanes()[0]), (vec![(999, Some(failure))], asked));
    }
}

#[test]
fn a_doubt_names_the_block_of_the_signature() {
    let mut rig = Rig::with_lanes(Told::Lies, Curve::Both);
    let (good, bad) = (block_of(1, &[spend_many(1, 5, &[])]), block_of(2, &[spend_many(2, 5, &[3])]));
    rig.hand_in(1, &good, RULES, Scripts::Run);
    rig.hand_in(2, &bad, RULES, Scripts::Run);
    let cx = rig.step(Msg::Slice);
    let doubts = cx.words.iter().filter_map(|(_, word)| match word {
        Msg::Doubt { found } => Some(*found),
        _ => None,
    });
    assert_eq!(doubts.collect::<Vec<_>>(), [Some((bad.block.hash, 200))]);
    let failure = ScriptFailure { tx: 1, input: 3, error: ScriptError::EvalFalse };
    assert_eq!(verdicts(&cx), [(1, None), (2, Some(failure))]);
}

/// Another shard finds lanes out while this one has a block half run: the chain hears of it from here as well, once, before
/// the verdict, so that no word from there can come too late.
#[test]
fn a_doubt_comes_before_each_verdict_that_lanes_had_a_part_in() {
    let mut rig = Rig::with_lanes(Told::Truth, Curve::Lanes);
    let many =
        |world: u8| block(&[spend(world, &[]), spend(world + 1, &[]), spend(world + 2, &[]), spend(world + 3, &[])]);
    rig.hand_in(1, &many(1), RULES, Scripts::Run);
    rig.hand_in(2, &many(5), RULES, Scripts::Run);
    assert_eq!(verdicts(&rig.step(Msg::Slice)), []);
    rig.trust.lose();
    let mut said = Vec::new();
    while said.iter().filter(|word| matches!(word, Msg::Verdict { .. })).count() < 2 {
        let to_chain = |(to, word)| (to == ShardId::Chain).then_some(word);
        said.extend(rig.step(Msg::Slice).words.into_iter().filter_map(to_chain));
    }
    let shape = "a doubt, and two verdicts";
    assert!(
        matches!(said[..], [Msg::Doubt { found: None }, Msg::Verdict { .. }, Msg::Verdict { .. }]),
        "{shape}: {said:?}"
    );
    // Where lanes had no part nobody is told.
    let mut rig = Rig::with_lanes(Told::Truth, Curve::Libsecp);
    rig.trust.lose();
    rig.hand_in(1, &many(1), RULES, Scripts::Run);
    loop {
        let words = rig.step(Msg::Slice).words;
        assert!(words.iter().all(|(_, word)| !matches!(word, Msg::Doubt { .. })));
        if words.iter().any(|(_, word)| matches!(word, Msg::Verdict { .. })) {
            break;
        }
    }
}

/// Nobody relies on what lanes said but the block that they said it of: they may be found out later.
#[test]
fn what_lanes_alone_said_is_not_remembered() {
    let good = block(&[spend(1, &[])]);
    for (curve, remembered) in [(Curve::Lanes, false), (Curve::Both, true), (Curve::Libsecp, true)] {
        let mut rig = Rig::with_lanes(Told::Truth, curve);
        for world in 1..=2 {
            rig.hand_in(world, &good, RULES, Scripts::Run);
            assert_eq!(rig.run().concat(), [(world, None)]);
        }
        assert_eq!(rig.counted()[1], if remembered { 40 } else { 80 }, "{curve:?}");
    }
    // Begun by lanes, ended by libsecp256k1.
    let mut rig = Rig::with_lanes(Told::Truth, Curve::Lanes);
    let long = block(&[spend_many(1, SLICE_ROWS_LANES as u32 + 10, &[])]);
    rig.hand_in(1, &long, RULES, Scripts::Run);
    rig.step(Msg::Slice);
    rig.trust.lose();
    assert_eq!(rig.run().concat(), [(1, None)]);
    let before = rig.counted()[1];
    rig.hand_in(2, &long, RULES, Scripts::Run);
    assert_eq!(rig.run().concat(), [(2, None)]);
    assert_eq!(rig.counted()[1] - before, before, "all of it is run again");
}
