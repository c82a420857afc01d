//! The verdict that comes of recorded rows, choices among them, settled by libsecp256k1 and by the lanes of this machine, where
//! it has any.

use consensus::script::{Flags, Row, ScriptError, Spending, check_input_proven};
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
    })
}

/// Both, which must be the same.
pub fn judge(spending: &Spending, index: u32, flags: Flags) -> Result<(), ScriptError> {
    let holds = |rows: &[Row]| rows.iter().map(Row::holds).collect();
    let verdict = check_input_proven(spending, index, flags, holds);
    LANES.with_borrow_mut(|lanes| {
        let Some(lanes) = lanes else { return eprintln!("SKIPPED: this processor has no lanes (AVX-512 IFMA)") };
        let prove = |rows: &[Row]| {
            let mut proven = vec![false; rows.len()];
            let asked: Vec<(usize, lanes::Row)> =
                rows.iter().enumerate().filter_map(|(index, row)| Some((index, plain(row)?))).collect();
            let (of, asked): (Vec<usize>, Vec<lanes::Row>) = asked.into_iter().unzip();
            let mut answers = vec![false; asked.len()];
            lanes.prove(&asked, &mut answers);
            of.into_iter().zip(answers).for_each(|(index, answer)| proven[index] = answer);
            assert!(rows.iter().zip(&proven).all(|(row, proven)| !proven || row.holds()), "a bad row was proven");
            proven
        };
        assert_eq!(check_input_proven(spending, index, flags, prove), verdict, "lanes differ");
    });
    verdict
}
