//! What caesure says of a case, by both of its checkers and by name. The only file here that knows the rules of `consensus`.

use super::{Case, FLAGS};
use bitcoin_hashes::Sha256;
use caesure_bench::tx::TxOut;
use consensus::script::{AtOnce, Flags, Machine, ScriptError, Spending, check_input, check_input_deferred};
use consensus::{CoinView, LoneTx};

/// What came of a script: accepted, or the error by Core's name without `SCRIPT_ERR_`.
pub type Verdict = Result<(), &'static str>;

/// Who gives the verdicts of [`all`].
pub const WHO: [&str; 3] = ["at once", "deferred", "after another input"];

/// The verdict of the checker that asks libsecp256k1 at once, of the one that settles signatures afterwards, and of the
/// first again on a machine that has just run another input of the same transaction, so that what is kept for all inputs
/// is there already.
pub fn all(case: &Case) -> [Verdict; 3] {
    let tx = LoneTx::parse(case.tx.bytes().into()).expect("the generator writes whole transactions");
    let coins: Vec<CoinView<'_>> = case.coins.iter().map(view).collect();
    judge(&tx, &coins, case.index, flags(case.flags))
}

/// The same of any transaction that could be read.
pub fn judge(tx: &LoneTx, coins: &[CoinView<'_>], index: usize, flags: Flags) -> [Verdict; 3] {
    let other = (index + 1) % coins.len();
    let (index, other) = (index as u32, other as u32);
    let spending = Spending::new(tx.view(), coins);
    let deferred = check_input_deferred(&spending, index, flags);
    // Nothing is kept yet: the first of a transaction's inputs.
    let spending = Spending::new(tx.view(), coins);
    let at_once = check_input(&spending, index, flags);
    let mut machine = Machine::new();
    let _ = machine.check(&spending, other, flags, &mut AtOnce);
    let again = machine.check(&spending, index, flags, &mut AtOnce);
    [at_once, deferred, again].map(|verdict| verdict.map_err(ScriptError::name))
}

fn view(coin: &TxOut) -> CoinView<'_> {
    CoinView { value: coin.value, height: 1, coinbase: false, script: &coin.script }
}

/// The flags of these bits, in the order of [`FLAGS`].
pub fn flags(bits: u32) -> Flags {
    let in_force = (0..FLAGS.len()).filter(|index| bits >> index & 1 != 0);
    in_force.fold(Flags::NONE, |sum, index| sum | FLAGS[index].parse().expect("a flag of Core's"))
}

/// Names of all errors.
pub fn errors() -> impl Iterator<Item = &'static str> {
    ScriptError::ALL.iter().map(|error| error.name())
}

/// A digest over verdicts in their order: `OK` or the error's name, a line each.
pub fn digest(verdicts: &[Verdict]) -> String {
    let lines: String = verdicts.iter().map(|verdict| format!("{}\n", verdict.err().unwrap_or("OK"))).collect();
    Sha256::hash(lines.as_bytes()).to_byte_array().iter().map(|byte| format!("{byte:02x}")).collect()
}
