//! The verdict that comes of recorded rows, choices among them, settled by libsecp256k1 and by the lanes of this machine, where
//! it has any.

use consensus::script::{Flags, Machine, Recorder, Row, ScriptError, Spending, check_input_proven};
use lanes::Lanes;
use std::cell::RefCell;

thread_local! {
    static LANES: RefCell<Option<Lanes>> = RefCell::new(Lanes::detect());
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

/// Whether this needs no second run with libsecp256k1, and how many rows it recorded; none where there are no lanes.
#[allow(dead_code, reason = "one of the crates that share this asks")]
pub fn settled(spending: &Spending, index: u32, flags: Flags) -> Option<(bool, usize)> {
    LANES.with_borrow_mut(|lanes| {
        let (lanes, mut recorder) = (lanes.as_mut()?, Recorder::default());
        recorder.choices = true;
        let verdict = Machine::new().check(spending, index, flags, &mut recorder);
        let good = prove(lanes, &recorder.rows);
        let rows = good.len();
        Some((rows == 0 || verdict.is_ok() && recorder.holds(0..rows, |row| good[row]), rows))
    })
}

/// Both, which must be the same.
pub fn judge(spending: &Spending, index: u32, flags: Flags) -> Result<(), ScriptError> {
    let holds = |rows: &[Row]| rows.iter().map(Row::holds).collect();
    let verdict = check_input_proven(spending, index, flags, holds);
    LANES.with_borrow_mut(|lanes| {
        let Some(lanes) = lanes else { return eprintln!("SKIPPED: this processor has no lanes (AVX-512 IFMA)") };
        let by_lanes = check_input_proven(spending, index, flags, |rows| prove(lanes, rows));
        assert_eq!(by_lanes, verdict, "lanes differ");
    });
    verdict
}
