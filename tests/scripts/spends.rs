//! Spends of every kind that there is, signed: what wallets make, and what nobody makes but consensus knows.

use super::dice::Dice;
use super::draft::{Ask, Draft, Item, Program, Wrap, program};
use super::keys::{COUNT, key};
use super::ops::{self, push, push_number};
use bitcoin_hashes::Hash160;
use caesure_bench::tx::{compact_size, var_bytes};

/// A kind of spend, as the distribution names it.
pub type Spend = (usize, (&'static str, fn(&mut Dice<'_>, &mut Draft)));

/// All of them, and how often each comes.
pub const SPENDS: [Spend; 18] = [
    (8, ("p2pk", p2pk)),
    (8, ("p2pkh", p2pkh)),
    (12, ("multisig", multisig)),
    (8, ("p2wpkh", |dice, draft| draft.install_key_hash(dice, false))),
    (6, ("p2sh-p2wpkh", |dice, draft| draft.install_key_hash(dice, true))),
    (10, ("p2tr key", |dice, draft| draft.install_key_path(dice))),
    (8, ("p2tr leaf", leaf)),
    (6, ("p2tr checksigadd", adds)),
    (5, ("p2tr budget", budget)),
    (3, ("p2tr unknown leaf", unknown_leaf)),
    (4, ("p2tr unknown key", unknown_key)),
    (5, ("p2tr success", success)),
    (6, ("future program", future)),
    (6, ("embedded signature", |dice, draft| draft.install_embedded(dice))),
    (3, ("p2sh pushes", pushes)),
    (4, ("large", large)),
    (2, ("two scripts sign", |dice, draft| draft.install_two(dice))),
    (4, ("quirk", quirk)),
];

fn ecdsa_wrap(dice: &mut Dice<'_>) -> Wrap {
    dice.pick(&Wrap::ECDSA)
}

fn p2pk(dice: &mut Dice<'_>, draft: &mut Draft) {
    let (who, mut script) = (dice.below(COUNT), Vec::new());
    push(&mut script, &key(who).public(dice, draft.flaws > 0));
    script.push(ops::CHECKSIG);
    let wrap = ecdsa_wrap(dice);
    draft.install(dice, wrap, &Program { script, initial: vec![Ask::of(who)] });
}

fn p2pkh(dice: &mut Dice<'_>, draft: &mut Draft) {
    let who = dice.below(COUNT);
    let public = key(who).public(dice, draft.flaws > 0);
    let script = super::draft::p2pkh(&public);
    let wrap = ecdsa_wrap(dice);
    draft.install(dice, wrap, &Program { script, initial: vec![Ask::of(who), Item::Data(public)] });
}

/// Of up to 20 keys, signed by some of them; in the wrong order where there are flaws.
fn multisig(dice: &mut Dice<'_>, draft: &mut Draft) {
    let count = dice.weighted(&[(60, 3), (10, 1), (10, 2), (10, 5), (6, 15), (4, 20)]);
    let wrap = ecdsa_wrap(dice);
    // What P2SH reveals is pushed, so it has at most 520 bytes; larger ones are there with flaws.
    let count = if wrap == Wrap::P2sh && draft.flaws == 0 { count.min(15) } else { count };
    let signers = dice.between(0, count.min(4));
    let first = dice.below(COUNT);
    let mut signing: Vec<usize> = (first..first + count).collect();
    while signing.len() > signers {
        signing.remove(dice.below(signing.len()));
    }
    if draft.flaw(dice) && signers > 1 {
        signing.swap(0, 1);
    }
    let mut script = Vec::new();
    push_number(&mut script, signers as i64);
    for who in first..first + count {
        let short = count > 12 && draft.flaws == 0;
        push(&mut script, &if short { key(who).compressed.clone() } else { key(who).public(dice, draft.flaws > 0) });
    }
    push_number(&mut script, count as i64);
    script.push(ops::CHECKMULTISIG);
    if dice.chance(10) {
        *script.last_mut().expect("an operation") = ops::CHECKMULTISIGVERIFY;
        script.push(ops::ONE);
    }
    let dummy = if draft.flaw(dice) { vec![1] } else { vec![] };
    let mut initial = vec![Item::Data(dummy)];
    initial.extend(signing.into_iter().map(Ask::of));
    draft.install(dice, wrap, &Program { script, initial });
}

fn leaf(dice: &mut Dice<'_>, draft: &mut Draft) {
    let (who, mut script) = (dice.below(COUNT), Vec::new());
    push(&mut script, &key(who).even.x);
    match dice.below(3) {
        0 => script.push(ops::CHECKSIG),
        1 => script.extend([ops::CHECKSIGVERIFY, ops::ONE]),
        _ => {
            script.insert(0, ops::ONE);
            script.extend([ops::CHECKSIGADD, ops::ONE + 1, ops::EQUAL]);
        }
    }
    draft.install(dice, Wrap::Leaf, &Program { script, initial: vec![Ask::of(who)] });
}

/// Some of several keys by OP_CHECKSIGADD (BIP342).
fn adds(dice: &mut Dice<'_>, draft: &mut Draft) {
    let count = dice.weighted(&[(70, 3), (15, 2), (10, 6), (5, 20)]);
    let (mut script, mut initial, mut signed) = (Vec::new(), Vec::new(), 0);
    for who in 0..count {
        push(&mut script, &key(who).even.x);
        script.push(if who == 0 { ops::CHECKSIG } else { ops::CHECKSIGADD });
        let signs = dice.chance(60);
        signed += i64::from(signs);
        initial.insert(0, if signs { Ask::of(who) } else { Item::Data(vec![]) });
    }
    push_number(&mut script, if draft.flaw(dice) { signed + 1 } else { signed });
    script.push(dice.pick(&[ops::NUMEQUAL, ops::EQUAL, ops::GREATERTHANOREQUAL]));
    draft.install(dice, Wrap::Leaf, &Program { script, initial });
}

/// One signature checked again and again: 50 for each, of what the witness weighs and 50 more (BIP342). An item that is
/// dropped brings the witness to the weight that is just enough, or one off it.
fn budget(dice: &mut Dice<'_>, draft: &mut Draft) {
    let (who, mut script, checks) = (dice.below(COUNT), vec![ops::DROP], dice.between(3, 12));
    // Keys of a kind that is still to come cost as much, and any signature will do for them.
    let unknown = dice.chance(30);
    push(&mut script, if unknown { &[7; 33] } else { &key(who).even.x });
    for _ in 1..checks {
        script.extend([ops::TWODUP, ops::CHECKSIGVERIFY]);
    }
    script.push(ops::CHECKSIG);
    let signature = if unknown { Item::Data(vec![1]) } else { Ask::of(who) };
    draft.install(dice, Wrap::Leaf, &Program { script, initial: vec![signature, Item::Data(vec![])] });
    let wanted = 50 * (checks - 1) + dice.pick(&[0, 0, 1]) - dice.below(2);
    let witness = &mut draft.input().witness;
    let size = |witness: &[Vec<u8>]| {
        let mut bytes = Vec::new();
        compact_size(&mut bytes, witness.len());
        witness.iter().for_each(|item| var_bytes(&mut bytes, item));
        bytes.len()
    };
    if witness.len() >= 4 && size(witness) + 520 > wanted {
        while size(witness) < wanted {
            witness[1].push(0);
        }
    }
}

fn unknown_leaf(dice: &mut Dice<'_>, draft: &mut Draft) {
    let script = dice.pick(&[&[][..], &[ops::RETURN], &[0], &[0x4c], &[ops::ONE]]).to_vec();
    let version = dice.pick(&[0xc2, 0xfe, 0x00, 0x50, 0x66, 0xbe, 0xc0]);
    let initial = if dice.chance(50) { vec![Item::Data(vec![7; dice.pick(&[1, 520, 521])])] } else { vec![] };
    draft.install_leaf(dice, &Program { script, initial }, version);
}

fn unknown_key(dice: &mut Dice<'_>, draft: &mut Draft) {
    let mut script = Vec::new();
    let public = dice.pick(&[&[1][..], &[2; 33], &[0; 31], &[0; 65], &[]]);
    if dice.chance(50) {
        push(&mut script, public);
        script.push(ops::CHECKSIG);
    } else {
        push(&mut script, &[]);
        push(&mut script, public);
        script.push(ops::CHECKSIGADD);
    }
    let signature = dice.pick(&[&[1][..], &[7; 64], &[7; 65], &[7; 100], &[]]);
    draft.install(dice, Wrap::Leaf, &Program { script, initial: vec![Item::Data(signature.to_vec())] });
}

/// An operation that makes a leaf succeed, before or after what would be the end of it.
fn success(dice: &mut Dice<'_>, draft: &mut Draft) {
    let successes: Vec<u8> = (0..=0xff).filter(|op| ops::is_success(*op)).collect();
    let mut script = dice
        .pick(&[
            &[][..],
            &[ops::RETURN],
            &[0, ops::IF],
            &[0xff],
            &[ops::VERIF],
            &[2, 1, 1],
            &[2, ops::ONE],
            &[ops::PUSHDATA2, 8, 2],
        ])
        .to_vec();
    if script.starts_with(&[ops::PUSHDATA2]) {
        script.extend([0; 520]);
    }
    script.push(dice.pick(&successes));
    script.extend(dice.pick(&[&[][..], &[ops::RETURN], &[0x4c], &[ops::PUSHDATA2, 1]]));
    let initial = if dice.chance(30) { vec![Item::Data(vec![7; dice.pick(&[1, 521])])] } else { vec![] };
    draft.install(dice, Wrap::Leaf, &Program { script, initial });
}

/// Witness programs of versions and lengths that are still to come, and of version 0 that never will (BIP141).
fn future(dice: &mut Dice<'_>, draft: &mut Draft) {
    let version = dice.weighted(&[(30, 1), (30, 0), (20, 2), (20, 16)]);
    let size = dice.pick(&[2, 3, 19, 20, 31, 32, 33, 39, 40, 1, 41]);
    let anchor = dice.chance(15);
    let program = if anchor { program(1, &[0x4e, 0x73]) } else { program(version, &vec![dice.byte(); size]) };
    let witness = (0..dice.below(3)).map(|_| dice.bytes(2)).collect();
    let nested = dice.chance(25);
    draft.install_witness(dice, nested, &program, witness);
}

/// P2SH whose inner script is trivial, behind pushes of all forms; or other operations.
fn pushes(dice: &mut Dice<'_>, draft: &mut Draft) {
    let redeem = dice.pick(&[&[ops::ONE][..], &[], &[0], &[ops::DROP, ops::ONE], &[1, 0x80], &[1], &[16], &[0x81]]);
    let mut unlock =
        dice.pick(&[&[][..], &[ops::ONE], &[ops::RESERVED], &[ops::NOP], &[ops::SIXTEEN], &[ops::ONE_NEGATE]]).to_vec();
    if redeem.len() < 2 && dice.chance(50) {
        push(&mut unlock, redeem)
    } else {
        ops::push_as(&mut unlock, redeem, dice.below(4))
    }
    draft.coin().script = super::draft::p2sh(redeem);
    draft.input().script_sig = unlock;
}

/// Scripts and stacks of the largest sizes.
fn large(dice: &mut Dice<'_>, draft: &mut Draft) {
    let wrap = dice.pick(&Wrap::EVERY);
    let (mut script, mut initial) = (Vec::new(), Vec::new());
    match dice.below(5) {
        0 => {
            while script.len() < 9_400 {
                ops::push_as(&mut script, &[5; 520], 0);
                script.push(ops::DROP);
            }
            let size = dice.between(9_998, 10_002);
            script.extend(vec![0; size - script.len() - 1]);
            script.push(ops::ONE);
        }
        1 => initial = vec![Item::Data(vec![1]); dice.between(999, 1001)],
        2 => initial = vec![Item::Data(vec![1; dice.between(519, 522)])],
        3 => {
            // The keys of a multisig count as operations.
            let keys = dice.below(21);
            script.extend([0, 0]);
            (0..keys).for_each(|_| push(&mut script, &[2]));
            push_number(&mut script, keys as i64);
            script.push(ops::CHECKMULTISIG);
            script.extend(vec![ops::NOP; dice.between(200, 202) - keys - 1]);
        }
        _ => script = vec![ops::NOP; dice.between(200, 202)],
    }
    if !initial.is_empty() && dice.chance(80) {
        script.extend(vec![ops::DROP; initial.len().min(190) - 1]);
    } else if initial.is_empty() {
        script.push(ops::ONE);
    }
    draft.install(dice, wrap, &Program { script, initial });
}

/// What has surprised somebody: empty scripts, truths, hashes of keys spent as they are.
fn quirk(dice: &mut Dice<'_>, draft: &mut Draft) {
    let (coin, unlock): (&[u8], &[u8]) = dice.pick(&[
        (&[][..], &[][..]),
        (&[], &[ops::ONE]),
        (&[], &[0]),
        (&[], &[1, 0x80]),
        (&[], &[2, 0, 0x80]),
        (&[ops::ONE], &[ops::RETURN]),
        (&[ops::ENDIF, ops::ONE], &[ops::ONE, ops::IF]),
        (&[ops::FROMALTSTACK], &[ops::ONE, ops::TOALTSTACK]),
        (&[ops::ONE, ops::RETURN], &[]),
        (&[ops::ONE, 0x4c], &[]),
        (&[ops::DEPTH], &[0, 0]),
        (&[0, ops::ONE], &[]),
    ]);
    draft.coin().script = coin.to_vec();
    draft.input().script_sig = unlock.to_vec();
    if dice.chance(20) {
        let public = key(dice.below(COUNT)).compressed.clone();
        draft.coin().script = program(0, Hash160::hash(&public).as_byte_array());
        draft.input().witness = vec![dice.pick(&[&[][..], &[1]]).to_vec(), public];
    }
}
