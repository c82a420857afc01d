//! Inputs of a large transaction shared by two shards: who runs which, and which failure counts.

use super::*;

/// Two shards, and the words between them.
struct Two {
    rigs: [Rig; 2],
    words: [VecDeque<Msg>; 2],
    printed: Vec<String>,
    cache: ScriptCache,
}

impl Two {
    fn new() -> Two {
        let cache = cache();
        let rigs = [0, 1].map(|number| Rig::of(number, 2, cache.clone()));
        Two { rigs, words: Default::default(), printed: Vec::new(), cache }
    }

    fn hand_in(&mut self, world: WorldId, body: &Arc<Body>, scripts: Scripts) {
        let cx = self.rigs[0].hand_in(world, body, RULES, scripts);
        assert_eq!(self.sort(cx), []);
    }

    /// Takes what a shard said apart: the verdicts.
    fn sort(&mut self, cx: Cx) -> Vec<(WorldId, Option<ScriptFailure>)> {
        let verdicts = verdicts(&cx);
        for (to, word) in cx.words {
            if let ShardId::Verify(number) = to {
                self.words[usize::from(number)].push_back(word);
            }
        }
        self.printed.extend(cx.effects.into_iter().map(|effect| match effect {
            Effect::Print(line) => line,
            other => panic!("{other:?}"),
        }));
        verdicts
    }

    fn step(&mut self, number: usize) -> Vec<(WorldId, Option<ScriptFailure>)> {
        let word = self.words[number].pop_front().expect("something to do");
        let cx = self.rigs[number].step(word);
        self.sort(cx)
    }

    /// Lets one shard do all it can, then the other, until neither has anything to do.
    fn run(&mut self, mut number: usize) -> Vec<(WorldId, Option<ScriptFailure>)> {
        let mut verdicts = Vec::new();
        while self.words.iter().any(|words| !words.is_empty()) {
            while !self.words[number].is_empty() {
                verdicts.extend(self.step(number));
            }
            number = 1 - number;
        }
        verdicts
    }

    fn inputs_run(&self) -> [u64; 2] {
        [0, 1].map(|number| self.rigs[number].counted()[0])
    }

    fn knows(&self, body: &Body) -> bool {
        self.cache.knows(self.cache.name(&body.block.view(&body.block.txs[1]).wtxid(), RULES))
    }
}

const MANY: u32 = 2 * crate::limits::SHARE_INPUTS;

#[test]
fn inputs_of_a_large_transaction_are_shared() {
    for first in [0, 1] {
        let mut two = Two::new();
        let good = block(&[spend_many(1, MANY, &[]), spend(2, &[])]);
        two.hand_in(1, &good, Scripts::Run);
        assert_eq!(two.run(first), [(1, None)]);
        assert_eq!(two.inputs_run(), [u64::from(MANY / 2 + INPUTS), u64::from(MANY / 2)]);
        assert!(two.knows(&good));
        two.hand_in(2, &good, Scripts::Run);
        assert_eq!(
            (two.run(first), two.inputs_run()[1]),
            (vec![(2, None)], u64::from(MANY / 2)),
            "nothing is run again"
        );
    }
    let mut two = Two::new();
    two.hand_in(1, &block(&[spend_many(1, MANY - 1, &[])]), Scripts::Run);
    assert_eq!((two.run(0), two.inputs_run()), (vec![(1, None)], [u64::from(MANY - 1), 0]), "one too few");
}

#[test]
fn the_first_failure_counts_whoever_runs_it() {
    let failed = |input| Some(ScriptFailure { tx: 1, input, error: ScriptError::EvalFalse });
    for (forged, counts) in
        [(vec![3, MANY - 1], 3), (vec![MANY - 1, MANY / 2], MANY / 2), (vec![MANY / 2 - 1, MANY / 2], MANY / 2 - 1)]
    {
        let bad = block(&[spend_many(1, MANY, &forged), spend(2, &[1])]);
        for first in [0, 1] {
            let mut two = Two::new();
            two.hand_in(1, &bad, Scripts::Run);
            assert_eq!(two.run(first), [(1, failed(counts))], "{forged:?}, shard {first} first");
            assert!(!two.knows(&bad), "it is not good because half of it is");
        }
    }
    // Once an early one has failed, later ones are not run on.
    let mut two = Two::new();
    two.hand_in(1, &block(&[spend_many(1, MANY, &[0])]), Scripts::Run);
    two.run(0);
    assert_eq!(two.inputs_run()[1], 0);
}

#[test]
fn an_audit_is_shared_too_and_prints_all() {
    let mut two = Two::new();
    two.hand_in(1, &block(&[spend_many(1, MANY, &[2, MANY - 2])]), Scripts::Audit);
    assert_eq!(two.run(0), [(1, None)]);
    let inputs: Vec<u32> = two.printed.iter().map(|line| replay::read(line).unwrap().input).collect();
    assert_eq!(inputs, [2, MANY - 2]);
}

/// Whoever hears of it first: a share that nobody ran says nothing of its inputs.
#[test]
fn shares_of_a_dropped_world_mean_nothing() {
    let dropped = || Msg::Drop { side: crate::effect::Side::Tip, worlds: vec![1] };
    let bad = block(&[spend_many(1, MANY, &[MANY - 1])]);
    let mut two = Two::new();
    two.hand_in(1, &bad, Scripts::Run);
    assert_eq!(two.step(0), []);
    let cx = two.rigs[0].step(dropped());
    assert_eq!(two.sort(cx), [(1, None)], "nobody is kept waiting");
    let cx = two.rigs[1].step(dropped());
    assert_eq!(two.sort(cx), []);
    assert_eq!(two.run(1), [], "the answer to the share comes too late");
    assert!(!two.knows(&bad));

    let mut two = Two::new();
    two.hand_in(1, &bad, Scripts::Run);
    assert_eq!((two.step(0), two.step(1)), (vec![], vec![]));
    let cx = two.rigs[1].step(dropped());
    assert_eq!(two.sort(cx), []);
    assert_eq!(two.run(0), [], "half of it was run");
    assert!(!two.knows(&bad), "its last input is forged, and nobody looked");
    let cx = two.rigs[0].step(dropped());
    assert_eq!(two.sort(cx), [(1, None)], "nobody is kept waiting");
    assert!(!two.knows(&bad));
}

#[test]
fn one_transaction_is_shared_at_a_time() {
    let mut two = Two::new();
    for world in 1..=2 {
        two.hand_in(world, &block(&[spend_many(world as u8, MANY, &[])]), Scripts::Run);
    }
    while !two.words[0].is_empty() {
        two.step(0);
        assert!(two.words[1].len() <= 1, "two shares are on their way");
    }
    assert_eq!(two.run(1), [(1, None)], "the second was run alone meanwhile");
}
