//! A case with something changed: bits, operations, witness items, amounts, times, rules. Decides nothing of the outcome.

use super::dice::Dice;
use super::draft::LOCKS;
use super::keys::flip;
use super::ops::{pieces, push};
use super::{Case, layers, rules};

/// Changes one to three things.
pub fn mutate(dice: &mut Dice<'_>, case: &mut Case) {
    for _ in 0..dice.weighted(&[(70, 1), (20, 2), (10, 3)]) {
        once(dice, case);
    }
}

fn once(dice: &mut Dice<'_>, case: &mut Case) {
    let index = case.index;
    match dice.weighted(&[(30, 0), (10, 1), (6, 2), (20, 3), (8, 4), (4, 5), (5, 6), (4, 7), (4, 8), (4, 9), (5, 10)]) {
        0 => {
            if let Some(script) = layers::inner(case) {
                let script = script_mutated(dice, script);
                layers::replace(case, script);
            }
        }
        1 => case.tx.inputs[index].script_sig = script_mutated(dice, &case.tx.inputs[index].script_sig),
        2 => case.coins[index].script = script_mutated(dice, &case.coins[index].script),
        3 => witness(dice, &mut case.tx.inputs[index].witness),
        4 => case.flags = rules(dice),
        5 => {
            let other = dice.below(case.coins.len());
            case.coins[other].value ^= 1 << dice.below(50);
        }
        6 => {
            let other = dice.below(case.tx.inputs.len());
            case.tx.inputs[other].sequence = dice.word(&LOCKS);
        }
        7 => case.tx.lock_time = dice.word(&LOCKS),
        8 => case.tx.version = dice.word(&[1, 2, 0, u32::MAX]),
        9 => {
            let outputs = &mut case.tx.outputs;
            if outputs.is_empty() || dice.chance(30) {
                outputs.push(case.coins[index].clone());
            } else if dice.chance(50) {
                outputs.pop();
            } else {
                let at = dice.below(outputs.len());
                outputs[at].value ^= 1 << dice.below(50);
            }
        }
        _ => {
            // Another input's turn, or this one in another place.
            let other = dice.below(case.tx.inputs.len());
            if dice.chance(50) {
                case.tx.inputs.swap(index, other);
                case.coins.swap(index, other);
            }
            case.index = other;
        }
    }
}

fn witness(dice: &mut Dice<'_>, items: &mut Vec<Vec<u8>>) {
    if items.is_empty() {
        if dice.chance(30) {
            items.push(vec![]);
        }
        return;
    }
    let (at, other) = (dice.below(items.len()), dice.below(items.len()));
    match dice.below(8) {
        0..3 => items[at] = flip(dice, std::mem::take(&mut items[at])),
        3 => items.swap(at, other),
        4 => items[at] = items[other].clone(),
        5 => {
            items.remove(at);
        }
        6 => items.insert(at, dice.pick(&[&[][..], &[1], &[0x50], &[0]]).to_vec()),
        _ => {
            let size = items[at].len();
            items[at].truncate(size.saturating_sub(dice.below(3)));
        }
    }
}

fn script_mutated(dice: &mut Dice<'_>, script: &[u8]) -> Vec<u8> {
    let (all, rest) = pieces(script);
    if all.is_empty() || dice.chance(15) {
        let mut bytes = flip(dice, script.to_vec());
        if bytes.is_empty() {
            bytes.push(dice.byte());
        }
        return bytes;
    }
    let mut parts: Vec<Vec<u8>> = all.iter().map(|piece| piece.whole.to_vec()).collect();
    let (at, other) = (dice.below(parts.len()), dice.below(parts.len()));
    match dice.below(8) {
        0 => {
            parts.remove(at);
        }
        1 => parts.insert(at, parts[other].clone()),
        2 => parts.swap(at, other),
        3 | 4 => parts.insert(at, vec![dice.between(0x4f, 0xff) as u8]),
        5 => parts[at] = vec![dice.between(0x4f, 0xff) as u8],
        6 if parts[at].len() > 1 => parts[at] = flip(dice, std::mem::take(&mut parts[at])),
        _ => {
            let mut bytes = Vec::new();
            push(
                &mut bytes,
                dice.pick(&[&[][..], &[1], &[2], &[0x81], &[0x80], &[0xff, 0xff, 0xff, 0x7f], &[0, 0, 0, 0x80, 0]]),
            );
            parts[at] = bytes;
        }
    }
    [&parts.concat(), rest].concat()
}
