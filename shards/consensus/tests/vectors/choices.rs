//! Decides whether scripts that go on from a signature, or choose among keys, come to the same whoever settles their rows; and
//! tells which kinds of script lanes leave to libsecp256k1.

use super::made::{judge, parse, push, spending};
use consensus::CoinView;
use consensus::script::opcode::*;
use consensus::script::{Flags, Spending, check_input_proven, legacy_digest};
use secp256k1::{Message, PublicKey, SecretKey, ecdsa};
use std::io::Write as _;

const FLAGS: Flags = Flags::P2SH;

fn secret(number: u8) -> SecretKey {
    SecretKey::from_secret_bytes([number + 1; 32]).unwrap()
}

fn key(number: u8) -> Vec<u8> {
    push(&PublicKey::from_secret_key(&secret(number)).serialize())
}

/// A signature by each of these keys under a script; keys from 100 on sign something else.
fn signed(script: &[u8], by: &[u8]) -> Vec<u8> {
    let blank = parse(spending(script, 1, &[], &[]));
    let coins = [CoinView { value: 1, height: 0, coinbase: false, script }];
    let digest = legacy_digest(&Spending::new(blank.view(), &coins), 0, script, 1);
    let one = |number: &u8| {
        let message = if *number < 100 { digest } else { [9; 32] };
        let der = ecdsa::sign(Message::from_digest(message), &secret(number % 100)).serialize_der();
        push(&[&der[..], &[1]].concat())
    };
    by.iter().map(one).collect::<Vec<_>>().concat()
}

/// Whether the script is good with signatures of these, before them a push of nothing if it wants one; and whether lanes
/// settled it, with how many rows.
fn case(script: &[u8], dummy: bool, by: &[u8]) -> (bool, Option<(bool, usize)>) {
    let input = [&[0][..usize::from(dummy)], &signed(script, by)].concat();
    let tx = parse(spending(script, 1, &input, &[]));
    let holds = judge(&tx, &[(1, script.to_vec())], 0, FLAGS).is_ok();
    let coins = [CoinView { value: 1, height: 0, coinbase: false, script }];
    let spending = Spending::new(tx.view(), &coins);
    let unanswered = check_input_proven(&spending, 0, FLAGS, |_| Vec::new());
    assert_eq!(unanswered.is_ok(), holds, "who says nothing of a row does not say that it holds");
    (holds, crate::lanes::settled(&spending, 0, FLAGS))
}

fn two_of_three() -> Vec<u8> {
    [&[OP_1 + 1][..], &key(0), &key(1), &key(2), &[OP_1 + 2, OP_CHECKMULTISIG]].concat()
}

#[test]
fn two_of_three_with_each_pair_in_each_order() {
    let script = two_of_three();
    // Key 3 is nobody's here, and a hundred and something signs something else.
    for a in [0, 1, 2, 3, 100, 101, 102] {
        for b in [0, 1, 2, 3, 100, 101, 102] {
            let (holds, settled) = case(&script, true, &[a, b]);
            assert_eq!(holds, a < b && b < 3, "{a}, {b}");
            if let Some((settled, rows)) = settled {
                assert_eq!((settled, rows), (holds, 4), "{a}, {b}: each signature with the two keys it may have");
            }
        }
    }
}

#[test]
fn keys_are_chosen_in_order_among_many() {
    for (needed, keys) in [(1, 1), (1, 5), (2, 2), (3, 5), (4, 5), (5, 5)] {
        let all: Vec<u8> = (0..keys).flat_map(key).collect();
        let script = [&[OP_1 + needed - 1][..], &all, &[OP_1 + keys - 1, OP_CHECKMULTISIG]].concat();
        // Every subset in order, and the same with one signature that is wrong.
        for subset in (0u32..1 << keys).filter(|subset| subset.count_ones() == u32::from(needed)) {
            let mut by: Vec<u8> = (0..keys).filter(|key| subset >> key & 1 == 1).collect();
            assert!(case(&script, true, &by).0, "{needed} of {keys}: {by:?}");
            by[subset as usize % usize::from(needed)] += 100;
            assert!(!case(&script, true, &by).0, "{needed} of {keys}: {by:?}");
        }
    }
}

#[test]
fn scripts_that_go_on_from_a_bad_signature() {
    let not = [&key(0)[..], &[OP_CHECKSIG, OP_NOT]].concat();
    assert!(!case(&not, false, &[0]).0 && case(&not, false, &[100]).0 && case(&not, false, &[1]).0);
    let either = [&key(0)[..], &[OP_CHECKSIG, OP_IF, OP_1, OP_ELSE, OP_1, OP_ENDIF]].concat();
    assert!(case(&either, false, &[0]).0 && case(&either, false, &[100]).0);
    let only = [&key(0)[..], &[OP_CHECKSIG, OP_IF, OP_1, OP_ELSE, 0, OP_ENDIF]].concat();
    assert!(case(&only, false, &[0]).0 && !case(&only, false, &[100]).0);
    let verify = [&key(0)[..], &[OP_CHECKSIGVERIFY, OP_1]].concat();
    assert!(case(&verify, false, &[0]).0 && !case(&verify, false, &[100]).0);
    let none_of_three = [&two_of_three()[..], &[OP_NOT]].concat();
    assert!(!case(&none_of_three, true, &[0, 1]).0 && case(&none_of_three, true, &[1, 0]).0);
}

#[test]
fn what_lanes_leave_is_told_by_kind() {
    let long = push(&PublicKey::from_secret_key(&secret(0)).serialize_uncompressed());
    let kinds: [(&str, Vec<u8>, bool, &[u8]); 5] = [
        ("CHECKSIG, good", [&key(0)[..], &[OP_CHECKSIG]].concat(), false, &[0]),
        ("2 of 3, good", two_of_three(), true, &[0, 2]),
        ("CHECKSIG with 65 bytes of key", [&long[..], &[OP_CHECKSIG]].concat(), false, &[0]),
        ("CHECKSIG, bad", [&key(0)[..], &[OP_CHECKSIG]].concat(), false, &[100]),
        ("CHECKSIG NOT, bad", [&key(0)[..], &[OP_CHECKSIG, OP_NOT]].concat(), false, &[100]),
    ];
    // Settled with rows, left to libsecp256k1 after rows, asked at once.
    let wanted = [(true, 1), (true, 4), (false, 1), (false, 1), (true, 0)];
    for ((name, script, dummy, by), wanted) in kinds.into_iter().zip(wanted) {
        let Some((settled, rows)) = case(&script, dummy, by).1 else { return crate::lanes::tell() };
        let by_lanes = if settled && rows > 0 { 100 } else { 0 };
        let _ = writeln!(std::io::stderr(), "{name}: {by_lanes} % by lanes, {} % by libsecp256k1", 100 - by_lanes);
        assert_eq!((settled, rows), wanted, "{name}");
    }
}
