//! Which script of a spend is the innermost, and another one in its place with all that commits to it made new. Knows
//! where scripts lie, never what they do.

use super::Case;
use super::draft::{leaf_hash, p2sh, program, root, sha256, taproot_coin};
use super::ops::{self, is_success, pieces, push, push_as};

/// Where the innermost script lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Layer {
    /// In the coin.
    Bare,
    /// Last in the unlocking script.
    P2sh,
    /// Last in the witness, and whether a P2SH is around it.
    Wsh(bool),
    /// At this place of the witness, the control block after it.
    Leaf(usize),
    /// Nowhere: a key's hash or a key alone.
    Key,
}

fn layer(case: &Case) -> Layer {
    let (coin, input) = (&case.coins[case.index].script, &case.tx.inputs[case.index]);
    let (redeem, nested) = match redeem(case) {
        Some(redeem) => (redeem, true),
        None => (&coin[..], false),
    };
    match redeem {
        [0, 32, ..] if redeem.len() == 34 && !input.witness.is_empty() => Layer::Wsh(nested),
        [0, 20, ..] if redeem.len() == 22 => Layer::Key,
        [ops::ONE, 32, ..] if redeem.len() == 34 && !nested => {
            let annexed =
                input.witness.len() > 1 && input.witness.last().is_some_and(|last| last.first() == Some(&0x50));
            match input.witness.len() - usize::from(annexed) {
                count @ 2.. if input.witness[count - 1].len() > 32 => Layer::Leaf(count - 2),
                _ => Layer::Key,
            }
        }
        _ if nested => Layer::P2sh,
        _ => Layer::Bare,
    }
}

/// The last push of the unlocking script of a P2SH spend.
fn redeem(case: &Case) -> Option<&[u8]> {
    let coin = &case.coins[case.index].script;
    let is_p2sh = matches!(coin[..], [ops::HASH160, 20, .., ops::EQUAL] if coin.len() == 23);
    let (all, rest) = pieces(&case.tx.inputs[case.index].script_sig);
    (is_p2sh && rest.is_empty()).then(|| all.last().map(|piece| piece.data)).flatten()
}

/// The innermost script, if there is one.
pub fn inner(case: &Case) -> Option<&[u8]> {
    let input = &case.tx.inputs[case.index];
    match layer(case) {
        Layer::Bare => Some(&case.coins[case.index].script),
        Layer::P2sh => redeem(case),
        Layer::Wsh(_) => input.witness.last().map(|script| &script[..]),
        Layer::Leaf(at) => Some(&input.witness[at]),
        Layer::Key => None,
    }
}

/// Puts another script there and makes coin, unlocking script and control block anew around it.
pub fn replace(case: &mut Case, script: Vec<u8>) {
    let layer = layer(case);
    let (coin, input) = (&mut case.coins[case.index].script, &mut case.tx.inputs[case.index]);
    match layer {
        Layer::Bare => *coin = script,
        Layer::P2sh => {
            let start = input.script_sig.len() - pieces(&input.script_sig).0.last().expect("a push").whole.len();
            input.script_sig.truncate(start);
            push_as(&mut input.script_sig, &script, 0);
            *coin = p2sh(&script);
        }
        Layer::Wsh(nested) => {
            *coin = program(0, &sha256(&script));
            if nested {
                input.script_sig.clear();
                push(&mut input.script_sig, coin);
                *coin = p2sh(coin);
            }
            *input.witness.last_mut().expect("a script") = script;
        }
        Layer::Leaf(at) => {
            let control = &mut input.witness[at + 1];
            let leaf = leaf_hash(control[0] & 0xfe, &script);
            let internal = control[1..33].try_into().expect("32 bytes");
            if let Some((made, parity)) = taproot_coin(&internal, &root(leaf, &control[33..])) {
                *coin = made;
                control[0] = control[0] & 0xfe | parity;
            }
            input.witness[at] = script;
        }
        Layer::Key => (),
    }
}

/// Operations that surely ran, or were reached and refused: in each script that the spend runs, pushes and the first
/// operation after them; all of them where the spend was accepted and nothing in it branches or ends early.
pub fn reached(case: &Case, accepted: bool) -> Vec<u8> {
    let (coin, unlock) = (&case.coins[case.index].script, &case.tx.inputs[case.index].script_sig);
    let layer = layer(case);
    let mut scripts: Vec<&[u8]> = vec![unlock];
    let (all, rest) = pieces(unlock);
    if rest.is_empty() && all.iter().all(|piece| piece.op <= ops::SIXTEEN && piece.op != ops::RESERVED) {
        scripts.push(coin);
        let again = |script: &[u8]| {
            let mut other = Case { tx: case.tx.clone(), coins: case.coins.clone(), ..*case };
            replace(&mut other, script.to_vec());
            other.coins[case.index].script == *coin
        };
        let rules = match layer {
            Layer::P2sh => case.has("P2SH"),
            Layer::Wsh(_) => case.has("WITNESS"),
            Layer::Leaf(at) => case.has("TAPROOT") && case.tx.inputs[case.index].witness[at + 1][0] & 0xfe == 0xc0,
            _ => false,
        };
        scripts.extend(inner(case).filter(|script| rules && again(script)));
    }
    let mut found = Vec::new();
    for (number, script) in scripts.iter().enumerate() {
        let (all, _) = pieces(script);
        // Before it runs, a leaf is searched for operations that end it with success, and they count only there.
        let leaf = number == 2 && matches!(layer, Layer::Leaf(_));
        let success = all.iter().find(|piece| leaf && is_success(piece.op));
        let branches = all.iter().any(|piece| matches!(piece.op, ops::IF..=ops::ENDIF));
        let pushes = all.iter().take_while(|piece| piece.op <= ops::SIXTEEN && piece.op != ops::RESERVED).count();
        let sure = if accepted && !branches { all.len() } else { all.len().min(pushes + 1) };
        match success {
            Some(piece) => found.push(piece.op),
            None => found.extend(all[..sure].iter().map(|piece| piece.op)),
        }
    }
    found
}
