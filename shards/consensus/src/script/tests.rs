//! Decides whether each limit of scripts holds at its very edge, and each error that Core's
//! script_tests do not name comes of what it is named after. Every case is put to both checkers.

use super::*;
use crate::testing::{Spend, spend};
use crate::{CoinView, LoneTx};
use opcode::*;
use secp256k1::{Keypair, SecretKey, ecdsa, schnorr};

const CONSENSUS: Flags = Flags::CONSENSUS;

fn judge(tx: &Spend, coin_script: &[u8], flags: Flags) -> Result<(), ScriptError> {
    let tx = LoneTx::parse(tx.bytes(true).into()).unwrap();
    let coins = vec![CoinView { value: 7, height: 0, coinbase: false, script: coin_script }; tx.view().inputs.len()];
    let spending = Spending::new(tx.view(), &coins);
    let verdict = check_input(&spending, 0, flags);
    assert_eq!(check_input_deferred(&spending, 0, flags), verdict, "the checkers differ");
    let by_libsecp256k1 = |rows: &[Row]| rows.iter().map(Row::holds).collect();
    assert_eq!(check_input_proven(&spending, 0, flags, by_libsecp256k1), verdict, "choices differ");
    verdict
}

/// A spend by an input script alone.
fn bare(input_script: &[u8], coin_script: &[u8], flags: Flags) -> Result<(), ScriptError> {
    let mut tx = spend();
    tx.inputs[0].script = input_script.to_vec();
    judge(&tx, coin_script, flags)
}

fn push(data: &[u8]) -> Vec<u8> {
    match data.len() {
        0..76 => [&[data.len() as u8], data].concat(),
        76..256 => [&[OP_PUSHDATA1, data.len() as u8], data].concat(),
        _ => [&[OP_PUSHDATA2][..], &(data.len() as u16).to_le_bytes(), data].concat(),
    }
}

fn key(n: u8) -> Keypair {
    Keypair::from_secret_key(&SecretKey::from_secret_bytes([n; 32]).unwrap())
}

/// A tapscript leaf under key 1, spent with these items.
fn leaf(items: &[&[u8]], script: &[u8], flags: Flags) -> Result<(), ScriptError> {
    leaf_of_version(0xc0, items, script, flags)
}

fn leaf_of_version(version: u8, items: &[&[u8]], script: &[u8], flags: Flags) -> Result<(), ScriptError> {
    let (internal, _) = key(1).x_only_public_key();
    let internal = internal.to_byte_array();
    let tweak = tagged::tweak(&internal, &tagged::leaf_hash(version, script));
    let tweak = secp256k1::Scalar::from_be_bytes(tweak).unwrap();
    let (output, parity) = key(1).x_only_public_key().0.add_tweak(&tweak).unwrap();
    let control = [&[version | parity.to_u8()][..], &internal].concat();
    let mut tx = spend();
    tx.inputs[0].witness = items.iter().chain(&[script, &control]).map(|item| item.to_vec()).collect();
    judge(&tx, &[&[OP_1][..], &push(&output.to_byte_array())].concat(), flags)
}

/// A signature of key 1 over [`spend`] with this script before segwit.
fn signed(script: &[u8], hash_type: u8) -> Vec<u8> {
    let tx = LoneTx::parse(spend().bytes(true).into()).unwrap();
    let coins = [CoinView { value: 7, height: 0, coinbase: false, script }];
    let digest = legacy_digest(&Spending::new(tx.view(), &coins), 0, script, hash_type.into());
    let signature = ecdsa::sign(secp256k1::Message::from_digest(digest), &key(1).secret_key());
    [&signature.serialize_der()[..], &[hash_type]].concat()
}

#[test]
fn errors_that_script_tests_do_not_name() {
    let policy = |flag| CONSENSUS | flag;
    let key1 = key(1).public_key().serialize();
    let checksig = |op| [push(&key1), vec![op]].concat();
    // What verifies fails where the plain operation leaves false.
    let wrong = push(&signed(&[OP_1], 1));
    assert_eq!(bare(&wrong, &checksig(OP_CHECKSIG), CONSENSUS), Err(ScriptError::EvalFalse));
    assert_eq!(
        bare(&wrong, &[checksig(OP_CHECKSIGVERIFY), vec![OP_1]].concat(), CONSENSUS),
        Err(ScriptError::CheckSigVerify)
    );
    let multi = [&[OP_1][..], &push(&key1), &[OP_1, OP_CHECKMULTISIGVERIFY, OP_1]].concat();
    assert_eq!(bare(&[&[OP_0], &wrong[..]].concat(), &multi, CONSENSUS), Err(ScriptError::CheckMultisigVerify));

    assert_eq!(
        bare(&[], &[OP_1, OP_CODESEPARATOR], policy(Flags::CONST_SCRIPTCODE)),
        Err(ScriptError::OpCodeseparator)
    );
    assert_eq!(bare(&[], &[OP_1, OP_CODESEPARATOR], CONSENSUS), Ok(()));
    // A script that pushes its own signature: signed without it.
    let around = |signature: &[u8]| [&push(signature)[..], &[OP_DROP], &checksig(OP_CHECKSIG)].concat();
    let signature = signed(&[&[OP_DROP], &checksig(OP_CHECKSIG)[..]].concat(), 1);
    assert_eq!(bare(&push(&signature), &around(&signature), CONSENSUS), Ok(()));
    let found = bare(&push(&signature), &around(&signature), policy(Flags::CONST_SCRIPTCODE));
    assert_eq!(found, Err(ScriptError::SigFindAndDelete));

    // Taproot.
    let x = key(1).x_only_public_key().0.to_byte_array();
    let by_x = [&push(&x)[..], &[OP_CHECKSIG]].concat();
    assert_eq!(leaf(&[&[1; 63]], &by_x, CONSENSUS), Err(ScriptError::SchnorrSigSize));
    assert_eq!(leaf(&[&[1; 66]], &by_x, CONSENSUS), Err(ScriptError::SchnorrSigSize));
    assert_eq!(leaf(&[&[0; 65]], &by_x, CONSENSUS), Err(ScriptError::SchnorrSigHashtype));
    assert_eq!(leaf(&[&[4; 65]], &by_x, CONSENSUS), Err(ScriptError::SchnorrSigHashtype));
    assert_eq!(leaf(&[&[1; 64]], &by_x, CONSENSUS), Err(ScriptError::SchnorrSig));
    assert_eq!(leaf(&[&[]], &by_x, CONSENSUS), Err(ScriptError::EvalFalse), "no signature is not a wrong one");
    assert_eq!(leaf(&[], &[OP_1, OP_0, OP_CHECKMULTISIG], CONSENSUS), Err(ScriptError::TapscriptCheckMultisig));
    assert_eq!(leaf(&[&[2]], &[OP_IF, OP_1, OP_ENDIF], CONSENSUS), Err(ScriptError::TapscriptMinimalIf));
    assert_eq!(leaf(&[&[1]], &[OP_IF, OP_1, OP_ENDIF], CONSENSUS), Ok(()));
    assert_eq!(leaf(&[&[1]], &[OP_0, OP_CHECKSIG], CONSENSUS), Err(ScriptError::TapscriptEmptyPubkey));
    let reserved = [OP_RESERVED];
    assert_eq!(leaf(&[], &reserved, CONSENSUS), Ok(()), "OP_SUCCESS80");
    assert_eq!(leaf(&[], &reserved, policy(Flags::DISCOURAGE_OP_SUCCESS)), Err(ScriptError::DiscourageOpSuccess));
    let other_key = [OP_1, OP_1, OP_CHECKSIG];
    assert_eq!(leaf(&[], &other_key, CONSENSUS), Ok(()), "a key of a kind to come");
    let refused = leaf(&[], &other_key, policy(Flags::DISCOURAGE_UPGRADABLE_PUBKEYTYPE));
    assert_eq!(refused, Err(ScriptError::DiscourageUpgradablePubkeyType));
    assert_eq!(leaf_of_version(0xc2, &[], &[OP_RETURN], CONSENSUS), Ok(()), "a leaf of a version to come");
    let refused = leaf_of_version(0xc2, &[], &[OP_RETURN], policy(Flags::DISCOURAGE_UPGRADABLE_TAPROOT_VERSION));
    assert_eq!(refused, Err(ScriptError::DiscourageUpgradableTaprootVersion));

    let mut tx = spend();
    tx.inputs[0].witness = vec![vec![OP_1], vec![0xc0; 34]];
    let program = [&[OP_1][..], &push(&x)].concat();
    assert_eq!(judge(&tx, &program, CONSENSUS), Err(ScriptError::TaprootWrongControlSize));
    tx.inputs[0].witness = vec![vec![OP_1], vec![0xc0; 33 + 32 * 129]];
    assert_eq!(judge(&tx, &program, CONSENSUS), Err(ScriptError::TaprootWrongControlSize));
    tx.inputs[0].witness = vec![vec![OP_1], vec![0xc0; 33 + 32 * 128]];
    assert_eq!(judge(&tx, &program, CONSENSUS), Err(ScriptError::WitnessProgramMismatch));
}

/// Each non-empty signature costs 50 of the weight of the witness and 50 more.
#[test]
fn the_budget_of_a_tapscript() {
    // Each check takes an item of 1 byte by a key of a kind to come: 2 bytes of witness, 5 of script.
    let script = |checks: usize| [[OP_1, OP_1, OP_CHECKSIG, OP_DROP].repeat(checks), vec![OP_1]].concat();
    let padded = |checks: usize, pad: usize| {
        let script = [script(checks), [OP_NOP].repeat(pad)].concat();
        // Count, script with its length (one byte below 253), control block with its.
        let weight = 1 + 1 + script.len() + 1 + 33;
        (weight, leaf(&[], &script, CONSENSUS))
    };
    // Two checks: 100 of 46 + pad + 50.
    let (weight, verdict) = padded(2, 5);
    assert_eq!((weight + 50, verdict), (100, Ok(())));
    let (weight, verdict) = padded(2, 4);
    assert_eq!((weight + 50, verdict), (99, Err(ScriptError::TapscriptValidationWeight)));
}

#[test]
fn limits_at_their_edges() {
    let e = |error| Err::<(), _>(error);
    // An item of 520 bytes, pushed and given.
    let long = |len: usize| [push(&vec![1; len]), vec![OP_DROP, OP_1]].concat();
    assert_eq!(bare(&[], &long(520), CONSENSUS), Ok(()));
    assert_eq!(bare(&[], &long(521), CONSENSUS), e(ScriptError::PushSize));
    assert_eq!(leaf(&[&[1; 520]], &[OP_DROP, OP_1], CONSENSUS), Ok(()));
    assert_eq!(leaf(&[&[1; 521]], &[OP_DROP, OP_1], CONSENSUS), e(ScriptError::PushSize));
    // 201 operations, counted where they are not executed too, but not in tapscripts.
    let ops = |count: usize| [vec![OP_1], vec![OP_NOP; count]].concat();
    assert_eq!(bare(&[], &ops(201), CONSENSUS), Ok(()));
    assert_eq!(bare(&[], &ops(202), CONSENSUS), e(ScriptError::OpCount));
    assert_eq!(leaf(&[], &ops(5_000), CONSENSUS), Ok(()));
    let idle = |nops: usize| [&[OP_1, OP_0, OP_IF][..], &vec![OP_NOP; nops], &[OP_ENDIF]].concat();
    assert_eq!(bare(&[], &idle(199), CONSENSUS), Ok(()));
    assert_eq!(bare(&[], &idle(200), CONSENSUS), e(ScriptError::OpCount));
    // The keys of a CHECKMULTISIG count as operations.
    let multi = |nops: usize| [&[OP_0, OP_0, OP_1, OP_1, OP_2, OP_CHECKMULTISIG][..], &vec![OP_NOP; nops]].concat();
    assert_eq!(bare(&[], &multi(198), CONSENSUS), Ok(()));
    assert_eq!(bare(&[], &multi(199), CONSENSUS), e(ScriptError::OpCount));
    let keys =
        |count: u8| [&[OP_0, OP_0][..], &vec![OP_1; count.into()], &push(&[count]), &[OP_CHECKMULTISIG]].concat();
    assert_eq!(bare(&[], &keys(20), CONSENSUS), Ok(()));
    assert_eq!(bare(&[], &keys(21), CONSENSUS), e(ScriptError::PubkeyCount));
    // 1,000 items on both stacks together.
    let full = |count: usize, more: &[u8]| [&vec![OP_1; count][..], more].concat();
    assert_eq!(bare(&[], &full(1_000, &[OP_TOALTSTACK]), CONSENSUS), Ok(()));
    assert_eq!(bare(&[], &full(1_000, &[OP_TOALTSTACK, OP_1]), CONSENSUS), e(ScriptError::StackSize));
    let items = vec![&[1u8][..]; 1_000];
    let drops = [vec![OP_2DROP; 499], vec![OP_DROP]].concat();
    assert_eq!(leaf(&items, &drops, CONSENSUS), Ok(()));
    assert_eq!(
        leaf(&[&items[..], &[&[1]]].concat(), &[&drops[..], &[OP_DROP]].concat(), CONSENSUS),
        e(ScriptError::StackSize)
    );
    // 10,000 bytes, but not in tapscripts.
    let script = |len: usize| [&push(&[1; 520]).repeat(19)[..], &vec![OP_1; len - 19 * 523]].concat();
    assert_eq!(bare(&[], &script(10_000), CONSENSUS), Ok(()));
    assert_eq!(bare(&script(10_001), &[OP_1], CONSENSUS), e(ScriptError::ScriptSize));
    assert_eq!(leaf(&[], &[&push(&[1; 520]).repeat(30)[..], &[OP_2DROP; 15], &[OP_1]].concat(), CONSENSUS), Ok(()));
}

#[test]
fn branches_inside_one_that_is_not_taken() {
    let script =
        [OP_0, OP_IF, OP_1, OP_IF, OP_VER, OP_ELSE, OP_RETURN, OP_ENDIF, OP_ELSE, OP_1, OP_ELSE, OP_RETURN, OP_ENDIF];
    assert_eq!(bare(&[], &script, CONSENSUS), Ok(()), "ELSE turns any number of times");
    let verif = [OP_1, OP_0, OP_IF, OP_VERIF, OP_ENDIF];
    assert_eq!(bare(&[], &verif, CONSENSUS), Err(ScriptError::BadOpcode), "these are never passed over");
    let disabled = [OP_1, OP_0, OP_IF, OP_CAT, OP_ENDIF];
    assert_eq!(bare(&[], &disabled, CONSENSUS), Err(ScriptError::DisabledOpcode));
    for open in [&[OP_1, OP_IF][..], &[OP_1, OP_ENDIF], &[OP_1, OP_ELSE], &[OP_1, OP_1, OP_IF, OP_ENDIF, OP_ENDIF]] {
        assert_eq!(bare(&[], open, CONSENSUS), Err(ScriptError::UnbalancedConditional), "{open:?}");
    }
    // Not across scripts.
    assert_eq!(bare(&[OP_1, OP_1, OP_IF], &[OP_ENDIF], CONSENSUS), Err(ScriptError::UnbalancedConditional));
    assert_eq!(bare(&[OP_1, OP_TOALTSTACK], &[OP_FROMALTSTACK], CONSENSUS), Err(ScriptError::InvalidAltstackOperation));
}

/// The recorder says yes where it may and leaves rows; what depends on a no is run again.
#[test]
fn what_is_recorded_and_what_is_not() {
    let key1 = key(1).public_key().serialize();
    let other = key(2).public_key().serialize();
    let rows = |input_script: &[u8], coin_script: &[u8]| {
        let mut tx = spend();
        tx.inputs[0].script = input_script.to_vec();
        let tx = LoneTx::parse(tx.bytes(true).into()).unwrap();
        let coins = [CoinView { value: 7, height: 0, coinbase: false, script: coin_script }];
        let mut recorder = Recorder::default();
        let verdict = Machine::new().check(&Spending::new(tx.view(), &coins), 0, CONSENSUS, &mut recorder);
        (verdict, recorder.rows.iter().map(Row::holds).collect::<Vec<_>>())
    };
    let checksig = [&push(&key1)[..], &[OP_CHECKSIG]].concat();
    assert_eq!(rows(&push(&signed(&checksig, 1)), &checksig), (Ok(()), vec![true]));
    let wrong = push(&signed(&[OP_1], 1));
    assert_eq!(rows(&wrong, &checksig), (Ok(()), vec![false]), "assumed, and found out later");
    let not = [&checksig[..], &[OP_NOT]].concat();
    assert_eq!(rows(&wrong, &not), (Ok(()), vec![]), "what a script goes on from is asked at once");
    let fails = [&push(&key1)[..], &[OP_CHECKSIGVERIFY, OP_RETURN]].concat();
    assert_eq!(rows(&wrong, &fails), (Err(ScriptError::OpReturn), vec![false]), "an error after an assumption");
    assert_eq!(bare(&wrong, &fails, CONSENSUS), Err(ScriptError::CheckSigVerify), "is another when it is run again");
    assert_eq!(rows(&[OP_0], &not), (Ok(()), vec![]), "an empty signature is no question");
    let unreadable = [&push(&[9; 33])[..], &[OP_CHECKSIG, OP_NOT]].concat();
    assert_eq!(rows(&wrong, &unreadable), (Ok(()), vec![]), "nor is a key of no kind");

    // 1 of 2: only the last key that is left is assumed.
    let multi = [&[OP_1][..], &push(&key1), &push(&other), &[OP_2, OP_CHECKMULTISIG]].concat();
    let by_key1 = [&[OP_0][..], &push(&signed(&multi, 1))].concat();
    assert_eq!(rows(&by_key1, &multi), (Ok(()), vec![true]));
    let swapped = [&[OP_1][..], &push(&other), &push(&key1), &[OP_2, OP_CHECKMULTISIG]].concat();
    let by_key1 = [&[OP_0][..], &push(&signed(&swapped, 1))].concat();
    assert_eq!(rows(&by_key1, &swapped), (Ok(()), vec![]), "the first key tried is asked at once");
}

/// 2 of 3, each pair of keys in the right order and in the wrong one.
#[test]
fn two_of_three() {
    let keys = [1, 2, 3].map(|n| key(n).public_key().serialize());
    let script = [&[OP_2][..], &keys.map(|key| push(&key)).concat(), &[OP_3, OP_CHECKMULTISIG]].concat();
    let tx = LoneTx::parse(spend().bytes(true).into()).unwrap();
    let coins = [CoinView { value: 7, height: 0, coinbase: false, script: &script }];
    let digest = legacy_digest(&Spending::new(tx.view(), &coins), 0, &script, 1);
    let sign = |n: u8| {
        let signature = ecdsa::sign(secp256k1::Message::from_digest(digest), &key(n).secret_key());
        push(&[&signature.serialize_der()[..], &[1]].concat())
    };
    for first in 1..=4 {
        for second in 1..=4 {
            let input = [&[OP_0][..], &sign(first), &sign(second)].concat();
            let ordered = first < second && second <= 3;
            assert_eq!(bare(&input, &script, CONSENSUS).is_ok(), ordered, "{first}, {second}");
        }
    }
}

/// The hash type alone differs between signatures of the same mode; codes differ by CODESEPARATOR.
#[test]
fn digests_are_kept_by_mode_and_code() {
    let tx = LoneTx::parse(spend().bytes(true).into()).unwrap();
    let coins = [CoinView { value: 7, height: 0, coinbase: false, script: &[] }];
    let spending = Spending::new(tx.view(), &coins);
    let mut kept = sighash::Midstates::default();
    for round in 0..2 {
        for hash_type in 0..=255u32 {
            for code in [&[OP_1][..], &[OP_1, OP_CODESEPARATOR, OP_1], &[OP_1, OP_1]] {
                for digest in [sighash::legacy, sighash::segwit] {
                    let fresh = digest(&spending, 0, code, hash_type, &mut sighash::Midstates::default());
                    assert_eq!(
                        digest(&spending, 0, code, hash_type, &mut kept),
                        fresh,
                        "{round}, {hash_type}, {code:?}"
                    );
                    kept.clear();
                }
            }
        }
    }
    let legacy = |code: &[u8]| legacy_digest(&spending, 0, code, 1);
    assert_eq!(legacy(&[OP_1, OP_CODESEPARATOR, OP_2]), legacy(&[OP_1, OP_2]), "separators are not signed");
    assert_ne!(legacy(&[OP_1, 1, OP_CODESEPARATOR]), legacy(&[OP_1, 1]), "pushed bytes are");
}

/// What one input hashed before itself serves the next, whichever that is.
#[test]
fn inputs_share_what_lies_before_them() {
    let mut tx = spend();
    tx.inputs = (0..5).map(|vout| crate::testing::input(7, vout)).collect();
    let tx = LoneTx::parse(tx.bytes(true).into()).unwrap();
    let coins = [CoinView { value: 7, height: 0, coinbase: false, script: &[] }; 5];
    let shared = Spending::new(tx.view(), &coins);
    for index in [0, 3, 1, 4, 4, 0] {
        for hash_type in [1, 2, 3, 0x81] {
            let fresh = legacy_digest(&Spending::new(tx.view(), &coins), index, &[OP_1], hash_type);
            assert_eq!(legacy_digest(&shared, index, &[OP_1], hash_type), fresh, "{index}, {hash_type}");
        }
    }
}

#[test]
fn a_signature_of_bip340_by_key_and_by_script() {
    let pair = key(1);
    let (x, _) = pair.x_only_public_key();
    let mut tx = spend();
    let program = [&[OP_1][..], &push(&x.to_byte_array())].concat();
    let parsed = LoneTx::parse(tx.bytes(true).into()).unwrap();
    let coins = [CoinView { value: 7, height: 0, coinbase: false, script: &program }];
    let more = sighash::Taproot { annex: None, leaf: None };
    for hash_type in [0, 1, 2, 3, 0x81, 0x82, 0x83] {
        let digest = sighash::taproot(&Spending::new(parsed.view(), &coins), 0, hash_type, &more).unwrap();
        let signature = schnorr::sign_no_aux_rand(&digest, &pair).to_byte_array();
        let typed = if hash_type == 0 { signature.to_vec() } else { [&signature[..], &[hash_type]].concat() };
        tx.inputs[0].witness = vec![typed.clone()];
        assert_eq!(judge(&tx, &program, CONSENSUS), Ok(()), "{hash_type}");
        tx.inputs[0].witness.push(vec![0x50, 1]);
        assert_eq!(judge(&tx, &program, CONSENSUS), Err(ScriptError::SchnorrSig), "the annex is signed");
        assert_eq!(judge(&tx, &program, CONSENSUS.without(Flags::TAPROOT)), Ok(()), "anyone's before taproot");
    }
}
