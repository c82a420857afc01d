//! Caesure's verdicts on scripts are Bitcoin Core's: on cases that need nothing from outside, without Core.

use caesure_tests::scripts::tally::Tally;
use caesure_tests::scripts::verdict::{Verdict, WHO, all, digest};
use caesure_tests::scripts::{BOUNDED, SEED, case};

/// What `cargo oracle -- scripts` printed for the first [`BOUNDED`] cases of [`SEED`] after Bitcoin Core 31.99 had said
/// the same of each of them, by name. It is Core's word: when the generator changes, ask Core again, never this test.
const CORE: &str = "5d2f0e67926a2e42fb4e8b3d51b66f7b335a2a85d3a56df0ad35eb6f513a3870";

fn judge(number: u64, tally: &mut Tally) -> Verdict {
    let case = case(SEED, number, &[]);
    let verdicts = all(&case);
    assert_eq!(verdicts, [verdicts[0]; WHO.len()], "case {number} of seed {SEED}, by {WHO:?}\n{case}");
    tally.add(&case, verdicts[0]);
    verdicts[0]
}

#[test]
fn verdicts_are_those_of_bitcoin_core() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let (mut tally, mut verdicts) = (Tally::default(), Vec::new());
    std::thread::scope(|scope| {
        let part = |thread| {
            move || {
                let mut tally = Tally::default();
                let numbers = BOUNDED * thread / threads..BOUNDED * (thread + 1) / threads;
                (numbers.map(|number| judge(number, &mut tally)).collect::<Vec<_>>(), tally)
            }
        };
        let parts: Vec<_> = (0..threads).map(|thread| scope.spawn(part(thread))).collect();
        for part in parts {
            let (some, sums) = part.join().expect("all of its checks hold");
            verdicts.extend(some);
            tally.merge(&sums);
        }
    });
    println!("{tally}");
    assert_eq!(tally.missing(), Vec::<String>::new(), "what the cases should show");
    assert_eq!(digest(&verdicts), CORE, "Core says something else: `cargo oracle -- scripts` shows where");
}
