//! The verdict that comes of recorded rows, choices among them, settled by libsecp256k1 and by the lanes of this machine, where
//! it has any.

use consensus::script::{
    Flags, Machine, Recorder, Row, ScriptError, Spending, check_input_proven, is_p2sh, opcode, witness_program,
};
use lanes::Lanes;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write as _;

thread_local! {
    static LANES: RefCell<Option<Lanes>> = RefCell::new(Lanes::detect());
    /// Good scripts with signatures, by the kind of their coins: how many there were, and how many lanes leave to libsecp256k1.
    static KINDS: RefCell<BTreeMap<&'static str, [u64; 2]>> = const { RefCell::new(BTreeMap::new()) };
}

/// None: these lanes do not take the key.
fn plain(row: &Row) -> Option<lanes::Row> {
    Some(match row {
        Row::Ecdsa(key, signature, message) => {
            let signature = signature.serialize_compact();
            let (r, s) = signature.split_first_chunk().unwrap();
            lanes::Row::Ecdsa { key: key.bytes().try_into().ok()?, r: *r, s: s.try_into().unwrap(), message: *message }
        }
        Row::Schnorr(key, signature, message) => {
            lanes::Row::Schnorr { key: *key, signature: *signature, message: *message }
        }
        Row::Tweak(output, internal, tweak) => {
            lanes::Row::Tweak { output: *output, internal: *internal, tweak: *tweak }
        }
    })
}

fn prove(lanes: &mut Lanes, rows: &[Row]) -> Vec<bool> {
    let mut proven = vec![false; rows.len()];
    let asked: Vec<(usize, lanes::Row)> =
        rows.iter().enumerate().filter_map(|(index, row)| Some((index, plain(row)?))).collect();
    let (of, asked): (Vec<usize>, Vec<lanes::Row>) = asked.into_iter().unzip();
    let mut answers = vec![false; asked.len()];
    lanes.prove(&asked, &mut answers);
    of.into_iter().zip(answers).for_each(|(index, answer)| proven[index] = answer);
    assert!(rows.iter().zip(&proven).all(|(row, proven)| !proven || row.holds()), "a bad row was proven");
    proven
}

/// Whether this needs no second run with libsecp256k1, how many rows it recorded, and how many signatures were asked at once.
/// Where this machine has no lanes, those stand in that prove all that they take and that holds.
fn outcome(spending: &Spending, index: u32, flags: Flags) -> (bool, usize, u64) {
    let mut recorder = Recorder::default();
    recorder.choices = true;
    let verdict = Machine::new().check(spending, index, flags, &mut recorder);
    let good = LANES.with_borrow_mut(|lanes| match lanes {
        Some(lanes) => prove(lanes, &recorder.rows),
        None => recorder.rows.iter().map(|row| plain(row).is_some() && row.holds()).collect(),
    });
    let rows = good.len();
    (rows == 0 || verdict.is_ok() && recorder.holds(0..rows, |row| good[row]), rows, recorder.at_once)
}

/// Whether lanes settle it, and how many rows it recorded; none where there are no lanes.
#[allow(dead_code, reason = "one of the crates that share this asks")]
pub fn settled(spending: &Spending, index: u32, flags: Flags) -> Option<(bool, usize)> {
    let (settled, rows, _) = outcome(spending, index, flags);
    LANES.with_borrow(Option::is_some).then_some((settled, rows))
}

/// Both, which must be the same.
pub fn judge(spending: &Spending, index: u32, flags: Flags) -> Result<(), ScriptError> {
    let holds = |rows: &[Row]| rows.iter().map(Row::holds).collect();
    let verdict = check_input_proven(spending, index, flags, holds);
    LANES.with_borrow_mut(|lanes| {
        let Some(lanes) = lanes else { return };
        let by_lanes = check_input_proven(spending, index, flags, |rows| prove(lanes, rows));
        assert_eq!(by_lanes, verdict, "lanes differ");
    });
    if verdict.is_ok() {
        count(spending, index, flags);
    }
    verdict
}

fn kind(script: &[u8], witness: usize) -> &'static str {
    match (witness_program(script), script) {
        (Some((0, program)), _) if program.len() == 20 => "P2WPKH",
        (Some((0, _)), _) => "P2WSH",
        (Some(_), _) if witness == 1 => "taproot, by key",
        (Some(_), _) => "taproot, by script",
        _ if is_p2sh(script) => "P2SH",
        (_, [opcode::OP_DUP, .., opcode::OP_CHECKSIG]) => "P2PKH",
        (_, [.., opcode::OP_CHECKSIG]) => "P2PK",
        (_, [.., opcode::OP_CHECKMULTISIG]) => "bare multisig",
        _ => "others",
    }
}

fn count(spending: &Spending, index: u32, flags: Flags) {
    let (settled, rows, at_once) = outcome(spending, index, flags);
    if rows > 0 || at_once > 0 {
        let witness = spending.view.witness(&spending.view.inputs[index as usize]).count();
        KINDS.with_borrow_mut(|kinds| {
            let [all, left] = kinds.entry(kind(spending.coins[index as usize].script, witness)).or_default();
            (*all, *left) = (*all + 1, *left + u64::from(!settled || at_once > 0));
        });
    }
}

/// Says what this thread counted, and whether there were lanes.
pub fn tell() {
    let mut lines = String::new();
    if LANES.with_borrow(Option::is_none) {
        lines += "SKIPPED: this processor has no lanes (AVX-512 IFMA); libsecp256k1 stood in for them\n";
    }
    for (kind, [all, left]) in KINDS.take() {
        let share = 100.0 * left as f64 / all as f64;
        lines += &format!("{kind}: {all} scripts with signatures, {share:.2} % of them left to libsecp256k1\n");
    }
    let _ = std::io::stderr().write_all(lines.as_bytes());
}
