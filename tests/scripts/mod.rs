//! Invents spends and the rules they are under, for comparing verdicts of different implementations: the same for the
//! same seed for ever. Decides what is asked, never what the answer is; that comes from elsewhere, see `tests/oracle`.
//!
//! ```text
//! grammar ─ programs that mean something ┐
//! spends ── of every kind, signed        ├▸ draft: locked, signed ─▸ Case ─▸ mutate ─▸ Case
//! outside ─ Core's vectors, real inputs ─┴──────────────────────────────────▴
//! ```

pub mod dice;
mod draft;
mod grammar;
mod keys;
mod layers;
mod mutate;
mod ops;
pub mod outside;
mod spends;
pub mod tally;
pub mod verdict;

use caesure_bench::tx::{OutPoint, Tx, TxIn, TxOut};
use dice::Dice;
use draft::{Draft, Wrap};

/// What `cargo test` runs of [`SEED`], and `cargo oracle` runs first.
pub const BOUNDED: u64 = 50_000;
/// The seed of that.
pub const SEED: u64 = 3;

/// Flags by Core's names, a bit of [`Case::flags`] each: rules of consensus, then those of relay alone.
pub const FLAGS: [&str; 21] = [
    "P2SH",
    "DERSIG",
    "NULLDUMMY",
    "CHECKLOCKTIMEVERIFY",
    "CHECKSEQUENCEVERIFY",
    "WITNESS",
    "TAPROOT",
    "STRICTENC",
    "LOW_S",
    "SIGPUSHONLY",
    "MINIMALDATA",
    "DISCOURAGE_UPGRADABLE_NOPS",
    "CLEANSTACK",
    "DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM",
    "MINIMALIF",
    "NULLFAIL",
    "WITNESS_PUBKEYTYPE",
    "CONST_SCRIPTCODE",
    "DISCOURAGE_UPGRADABLE_TAPROOT_VERSION",
    "DISCOURAGE_OP_SUCCESS",
    "DISCOURAGE_UPGRADABLE_PUBKEYTYPE",
];
/// How many of them are consensus.
pub const CONSENSUS: usize = 7;

/// The bit of a flag.
pub fn bit(name: &str) -> u32 {
    1 << FLAGS.iter().position(|flag| *flag == name).expect("a flag of Core's")
}

/// One input to be judged.
#[derive(Clone, Debug)]
pub struct Case {
    /// The transaction.
    pub tx: Tx,
    /// What its inputs spend.
    pub coins: Vec<TxOut>,
    /// The input.
    pub index: usize,
    /// Rules in force: bits in the order of [`FLAGS`].
    pub flags: u32,
    /// Where it comes from.
    pub kind: &'static str,
}

impl Case {
    /// Whether this rule is in force.
    pub fn has(&self, flag: &str) -> bool {
        self.flags & bit(flag) != 0
    }

    /// Rules in force, by name.
    pub fn flag_names(&self) -> Vec<&'static str> {
        (0..FLAGS.len()).filter(|index| self.flags >> index & 1 != 0).map(|index| FLAGS[index]).collect()
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        writeln!(f, "kind  {}\ntx    {}", self.kind, hex(&self.tx.bytes()))?;
        for (index, coin) in self.coins.iter().enumerate() {
            writeln!(f, "coin  {index}: {} {}", coin.value, hex(&coin.script))?;
        }
        write!(f, "input {}\nflags {}", self.index, self.flag_names().join(","))
    }
}

/// The case of this number in the sequence of this seed. From [`BOUNDED`] on, every third comes from outside, if there is
/// something outside.
pub fn case(seed: u64, number: u64, outside: &[Case]) -> Case {
    let mut dice = Dice::of(seed, number);
    if number >= BOUNDED && number.is_multiple_of(3) && !outside.is_empty() {
        let mut case = outside[dice.below(outside.len())].clone();
        case.index = dice.below(case.coins.len());
        case.flags = rules(&mut dice);
        if dice.chance(90) {
            mutate::mutate(&mut dice, &mut case);
        }
        return case;
    }
    invented(&mut dice)
}

/// Any case that needs nothing from outside.
pub fn invented(dice: &mut Dice<'_>) -> Case {
    let draft = Draft::new(dice);
    completed(dice, draft)
}

/// The case of this number in the sequence of this seed, as a transaction that spends one real coin, final and with small
/// outputs. What locks that coin depends little on which it is.
pub fn lone(seed: u64, number: u64, prev: OutPoint, value: u64) -> Case {
    let mut dice = Dice::of(seed, number);
    let mut draft = Draft::new(&mut dice);
    let input = TxIn { prev, sequence: u32::MAX, ..draft.input().clone() };
    draft.coins = vec![TxOut { value, ..draft.coin().clone() }];
    (draft.tx.inputs, draft.index) = (vec![input], 0);
    draft.tx.outputs.iter_mut().for_each(|output| output.value = 1_000);
    completed(&mut dice, draft)
}

fn completed(dice: &mut Dice<'_>, mut draft: Draft) -> Case {
    let kind = match dice.weighted(&[(55, 0), (35, 1), (10, 2)]) {
        0 => {
            let (kind, spend) = dice.weighted(&spends::SPENDS);
            spend(dice, &mut draft);
            kind
        }
        source => {
            let wrap = dice.pick(&Wrap::EVERY);
            let program = if source == 1 { grammar::program(dice, &draft, wrap) } else { grammar::probe(dice) };
            draft.install(dice, wrap, &program);
            match (source, wrap) {
                (2, _) => "probe",
                (_, Wrap::Bare) => "grammar bare",
                (_, Wrap::P2sh) => "grammar p2sh",
                (_, Wrap::P2wsh) => "grammar p2wsh",
                (_, Wrap::P2shP2wsh) => "grammar p2sh-p2wsh",
                (_, Wrap::Leaf) => "grammar leaf",
            }
        }
    };
    let flags = rules(dice);
    let Draft { tx, coins, index, .. } = draft;
    let mut case = Case { tx, coins, index, flags, kind };
    if dice.chance(25) {
        mutate::mutate(dice, &mut case);
        case.kind = "mutated";
    }
    case
}

/// Rules of consensus: all of them mostly, else any that go together; sometimes some of relay's too.
fn rules(dice: &mut Dice<'_>) -> u32 {
    let all = (1 << CONSENSUS) - 1;
    let mut flags = if dice.chance(60) { all } else { dice.below(1 << CONSENSUS) as u32 };
    if dice.chance(15) {
        flags |= (dice.below(1 << (FLAGS.len() - CONSENSUS)) as u32) << CONSENSUS;
        if dice.chance(50) {
            // Few at a time, so that one does not hide another.
            flags &= all | 1 << dice.between(CONSENSUS, FLAGS.len() - 1);
        }
    }
    sound(flags)
}

/// These rules and those that they need: Core asserts that witnesses come with P2SH, and no network has had taproot
/// without witnesses.
pub fn sound(mut flags: u32) -> u32 {
    for (flag, needed) in [("CLEANSTACK", "WITNESS"), ("TAPROOT", "WITNESS"), ("WITNESS", "P2SH")] {
        if flags & bit(flag) != 0 {
            flags |= bit(needed);
        }
    }
    flags
}
