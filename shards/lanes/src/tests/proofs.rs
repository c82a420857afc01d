//! What is proven, beside libsecp256k1: no row that it refuses, and every row that it takes but for the exceptions that are
//! made on purpose; and published vectors.

use crate::apart::Apart;
use crate::field::Fe;
use crate::fused::Field;
use crate::group::{Group, KeyTable, Tables};
use crate::known::{PARTS, VALID, spoiled};
use crate::model::Model;
use crate::point::{inverse, lift, multiply, tabulate};
use crate::prove::{Scratch, asked, checked, place, prove};
use crate::scalar::{N, Scalar, words};
use crate::spelled::Zmm as Spelled;
use crate::tests::rows::{
    Keys, bytes, crafted, exceptional, holds, mixed, odd_nonce, other_s, unreduced, wrapped, wrong,
};
use crate::tests::{Draw, aloud, registers};
use crate::word::LANES;
use crate::{Lanes, Row, known, tables};
use secp256k1::{PublicKey, SecretKey};
use std::sync::OnceLock;

/// Whatever proves rows.
pub type Prove<'a> = &'a mut dyn FnMut(&[Row], &mut [bool]);

type Elements = Apart<Fe<Model>>;

fn model_tables() -> &'static Tables {
    static TABLES: OnceLock<Box<Tables>> = OnceLock::new();
    TABLES.get_or_init(tables::build::<Model, Elements>)
}

/// What proves on the scalar model.
fn on_model() -> impl FnMut(&[Row], &mut [bool]) {
    let mut scratch = Scratch::new();
    move |rows, proven| prove::<Model, Elements>(&mut scratch, model_tables(), rows, proven)
}

/// What proves with registers; where there are none, the same with their instructions spelled out.
pub fn on_registers() -> impl FnMut(&[Row], &mut [bool]) {
    registers();
    let (mut lanes, mut scratch) = (Lanes::detect(), Scratch::new());
    move |rows, proven| match &mut lanes {
        Some(lanes) => lanes.prove(rows, proven),
        None => prove::<Spelled, Apart<Fe<Spelled>>>(&mut scratch, model_tables(), rows, proven),
    }
}

fn on_both(test: impl Fn(Prove)) {
    test(&mut on_model());
    test(&mut on_registers());
}

/// Rows that are valid and were not proven; no other difference is allowed.
pub fn judge(prove: Prove, rows: &[Row]) -> Vec<Row> {
    let mut proven = vec![true; rows.len()];
    prove(rows, &mut proven);
    let mut left = Vec::new();
    for (row, proven) in rows.iter().zip(proven) {
        let held = holds(row);
        assert!(held || !proven, "proven, and libsecp256k1 refuses it: {row:x?}");
        if held && !proven {
            left.push(*row);
        }
    }
    left
}

fn all_decided(prove: Prove, rows: &[Row]) {
    let left = judge(prove, rows);
    assert!(left.is_empty(), "valid, and not proven: {:x?}", left[0]);
}

#[test]
fn tables_are_multiples_of_g() {
    let tables = model_tables();
    let mut scalar = Scalar::ONE;
    for table in tables {
        let unit = SecretKey::from_secret_bytes(bytes(scalar.0)).unwrap();
        let twice = PublicKey::from_secret_key(&unit.add_tweak(&unit.into()).unwrap());
        let mut point = PublicKey::from_secret_key(&unit);
        for row in table {
            let (x, y) = row.0.split_at(4);
            let expected = point.serialize_uncompressed();
            assert_eq!(bytes(x.try_into().unwrap()), expected[1..33]);
            assert_eq!(bytes(y.try_into().unwrap()), expected[33..]);
            point = point.combine(&twice).unwrap();
        }
        scalar = Scalar([0, 0, 1, 0]);
    }
    if let Some(lanes) = Lanes::detect() {
        assert!(*lanes.tables == *tables, "the tables of the registers are those of the model");
    }
}

#[test]
fn every_lane_knows_what_is_known() {
    assert!(VALID.iter().all(holds) && VALID.iter().all(|row| (0..PARTS).all(|part| !holds(&spoiled(*row, part)))));
    assert!(known::right(&mut on_registers()));
    // Fewer on the model, which is slower.
    let mut on_model = on_model();
    let mut calls = 0;
    let mut few = |rows: &[Row], proven: &mut [bool]| {
        calls += 1;
        if calls % 16 == 1 {
            on_model(rows, proven);
        } else {
            rows.iter().zip(proven).for_each(|(row, proven)| *proven = VALID.contains(row));
        }
    };
    assert!(known::right(&mut few));
    // A test that could not fail would be none.
    assert!(!known::right(&mut |_, proven| proven.fill(true)));
    assert!(!known::right(&mut |_, proven| proven.fill(false)));
    let mut calls = 0;
    assert!(!known::right(&mut |rows, proven| {
        calls += 1;
        rows.iter().zip(&mut *proven).for_each(|(row, proven)| *proven = VALID.contains(row));
        proven[5] |= calls > 60;
    }));
}

/// Every number of rows up to two groups and some beyond, the valid and the others in every order.
#[test]
fn any_number_of_rows() {
    on_both(|prove| {
        let mut draw = Draw::new(10);
        let keys = Keys::new(&mut draw, 5);
        for count in (0..=2 * LANES + 1).chain([31, 32, 33, 47, 255, 256, 257, 300]) {
            let rows: Vec<Row> = (0..count)
                .map(|_| {
                    let row = keys.signed(&mut draw);
                    if draw.below(3) == 0 { wrong(row, &mut draw) } else { row }
                })
                .collect();
            all_decided(prove, &rows);
        }
        // One kind only, so that no group is mixed.
        let rows: Vec<Row> = (0..100).map(|_| keys.signed(&mut draw)).collect();
        for kind in [true, false] {
            let of_kind = rows.iter().filter(|row| matches!(row, Row::Ecdsa { .. }) == kind).copied();
            all_decided(prove, &of_kind.collect::<Vec<Row>>());
        }
    });
}

/// One bad row among valid ones, at every place, with every part spoiled; and one good one among bad ones.
#[test]
fn every_place_stands_alone() {
    on_both(|prove| {
        let mut draw = Draw::new(11);
        let keys = Keys::new(&mut draw, 5);
        for place in 0..2 * LANES {
            let good: Vec<Row> = (0..2 * LANES).map(|_| keys.signed(&mut draw)).collect();
            let part = place % PARTS;
            let mut rows = good.clone();
            rows[place] = spoiled(rows[place], part);
            all_decided(prove, &rows);
            let mut rows: Vec<Row> = good.iter().map(|row| spoiled(*row, part)).collect();
            rows[place] = good[place];
            all_decided(prove, &rows);
        }
    });
}

#[test]
fn parts_of_other_rows_do_not_pass() {
    on_both(|prove| {
        let mut draw = Draw::new(12);
        let keys = Keys::new(&mut draw, 3);
        let mut rows: Vec<Row> = (0..128).map(|_| keys.signed(&mut draw)).collect();
        for at in 0..64 {
            rows[2 * at] = mixed(rows[2 * at], rows[2 * at + 1], &mut draw);
        }
        all_decided(prove, &rows);
    });
}

#[test]
fn x_of_r_may_wrap_around_n() {
    on_both(|prove| {
        let mut draw = Draw::new(13);
        let rows: Vec<Row> = (0..24).map(|_| wrapped(&mut draw)).collect();
        all_decided(prove, &rows);
        all_decided(prove, &rows.iter().map(|row| other_s(*row)).collect::<Vec<Row>>());
        // Not n, and not twice.
        all_decided(prove, &rows.iter().map(|row| spoiled(*row, 1)).collect::<Vec<Row>>());
    });
}

/// u, v and Q chosen at the edges of windows, halves and tables; R may be infinity.
#[test]
fn crafted_sums_are_right() {
    on_both(|prove| {
        let mut draw = Draw::new(14);
        let rows: Vec<Row> = std::iter::repeat_with(|| crafted(&mut draw)).flatten().take(4_000).collect();
        let held = rows.iter().filter(|row| holds(row)).count();
        let left = judge(prove, &rows).len();
        assert!(left * 50 < held, "{left} of {held} were left");
        assert!(held + 100 < rows.len(), "some R are infinity");
    });
}

/// u, v and Q chosen so that the sum is equal to what is added to it, in each of the last three additions: they hold, and are
/// left in their lanes alone. One step further they are not exceptional, and proven.
#[test]
fn exceptional_sums_are_left() {
    on_both(|prove| {
        let mut draw = Draw::new(16);
        for which in 0..3 {
            for factor in [2, 3] {
                let rows: Vec<Row> = (0..24).map(|_| exceptional(&mut draw, which, factor)).collect();
                assert!(rows.iter().all(holds));
                let left = judge(prove, &rows).len();
                assert_eq!(left, if factor == 2 { rows.len() } else { 0 }, "addition {which}, factor {factor}");
                let mut among: Vec<Row> = VALID.repeat(4);
                among[which * 5] = rows[0];
                assert!(judge(prove, &among).iter().all(|left| *left == rows[0]));
            }
        }
    });
}

/// Equal and opposite points by hand: with Q = G, u = 1 and v = ±1, R is 2G or infinity.
#[test]
fn the_simplest_exceptions() {
    let key = PublicKey::from_secret_key(&SecretKey::from_secret_bytes(bytes([1, 0, 0, 0])).unwrap()).serialize();
    let double = PublicKey::from_secret_key(&SecretKey::from_secret_bytes(bytes([2, 0, 0, 0])).unwrap()).serialize();
    let r = Scalar::reduced(words(double[1..].try_into().unwrap()));
    let row = |s: Scalar, u: Scalar| Row::Ecdsa { key, r: bytes(r.0), s: bytes(s.0), message: bytes(u.mul(s).0) };
    let infinity = row(r.negated(), Scalar::ONE);
    on_both(|prove| {
        judge(prove, &[row(r, Scalar::ONE)]);
        // With u = 3 and v = −1, R is 2G too, and no sum is exceptional that an honest one would not have.
        let mut proven = [true; 3];
        prove(&[infinity, VALID[0], row(r.negated(), Scalar([3, 0, 0, 0]))], &mut proven);
        assert!(!proven[0] && proven[1]);
    });
}

/// x of R is right, and y is odd: such rows differ from valid ones in nothing else. Among them a lane whose Z is 0, which must
/// not get into the inversion that the others of its lane share.
#[test]
fn the_sign_of_r_counts() {
    on_both(|prove| {
        let mut draw = Draw::new(17);
        let keys = Keys::new(&mut draw, 3);
        let odd: Vec<Row> = (0..40).map(|_| odd_nonce(&mut draw)).collect();
        all_decided(prove, &odd);
        for lane in 0..LANES {
            let mut rows: Vec<Row> = odd.clone();
            rows[LANES + lane] = exceptional(&mut draw, lane % 3, 2);
            (0..20).for_each(|at| rows[2 * at + usize::from(lane % 2 == 0)] = keys.signed(&mut draw));
            rows[LANES + lane] = exceptional(&mut draw, lane % 3, 2);
            let left = judge(prove, &rows);
            assert_eq!(left, [rows[LANES + lane]]);
        }
    });
}

/// Keys that are not on the curve, with an r that their lanes come to: the equation holds, and nothing else is wrong.
#[test]
fn keys_off_the_curve_are_not_proven() {
    let mut draw = Draw::new(18);
    let mut rows = Vec::new();
    while rows.len() < LANES {
        let (u, v) = (Scalar::reduced(words(&draw.bytes())), Scalar::reduced(words(&draw.bytes())));
        let key: [u8; 33] = [&[2][..], &draw.bytes()].concat().try_into().unwrap();
        if PublicKey::from_slice(&key).is_ok() {
            continue;
        }
        let row = |s: Scalar, r: [u8; 32]| Row::Ecdsa { key, r, s: bytes(s.0), message: bytes(u.mul(s).0) };
        // With r = v and s = 1 for now, to have u and v in a lane.
        let mut groups = [Group::new()];
        place(&mut groups[0], 0, &asked(&row(Scalar::ONE, bytes(v.0)), Scalar::ONE));
        let mut tables = [const { KeyTable::new() }];
        let x = Elements::key(&groups);
        let (y, on_curve) = lift(x);
        assert_eq!(on_curve & 1, 0);
        let scale = tabulate(x, y, &mut tables);
        let sum = multiply(&groups, &tables, scale, y.odds(), model_tables());
        let x = sum.x.mul(inverse(sum.z.sqr())).0.canonical().pack().map(|word| word.0[0]);
        if let Some(r) = Scalar::checked(x) {
            rows.push(row(r.mul(v.inverse()), bytes(x)));
        }
    }
    on_both(|prove| all_decided(prove, &rows));
}

#[test]
fn keys_of_p_and_more_are_not_proven() {
    on_both(|prove| {
        let mut draw = Draw::new(19);
        let (rows, unreduced): (Vec<Row>, Vec<Row>) = (0..20).map(|_| unreduced(&mut draw)).unzip();
        assert!(rows.iter().all(holds));
        all_decided(prove, &rows);
        all_decided(prove, &unreduced);
    });
}

/// Every bound of a number by itself: what is at it is turned away before lanes, what is below it is not.
#[test]
fn numbers_are_checked() {
    let p = [0xffff_fffe_ffff_fc2f, u64::MAX, u64::MAX, u64::MAX];
    let below = |words: [u64; 4]| bytes([words[0] - 1, words[1], words[2], words[3]]);
    let (one, most) = (bytes([1, 0, 0, 0]), [0xff; 32]);
    let ecdsa = |sign: u8, x: [u8; 32], r, s| {
        let key = [&[sign][..], &x].concat().try_into().unwrap();
        checked(&Row::Ecdsa { key, r, s, message: most }).is_some()
    };
    assert!(ecdsa(2, one, one, one) && ecdsa(3, below(p), below(N), below(N)));
    for sign in [0, 1, 4, 5, 6, 7, 255] {
        assert!(!ecdsa(sign, one, one, one), "{sign}");
    }
    for number in [bytes(N), bytes(p), most, [0; 32]] {
        assert!(!ecdsa(2, one, number, one) && !ecdsa(2, one, one, number), "{number:x?}");
    }
    assert!(!ecdsa(2, bytes(p), one, one) && !ecdsa(2, most, one, one));
    let schnorr = |key, r: [u8; 32], s: [u8; 32]| {
        checked(&Row::Schnorr { key, signature: [r, s].concat().try_into().unwrap(), message: most }).is_some()
    };
    assert!(schnorr(one, one, one) && schnorr(below(p), below(p), below(N)) && schnorr(one, bytes(N), [0; 32]));
    let tweak = |sign: u8, x: [u8; 32], internal, tweak| {
        let output = [&[sign][..], &x].concat().try_into().unwrap();
        checked(&Row::Tweak { output, internal, tweak }).is_some()
    };
    assert!(tweak(2, one, one, [0; 32]) && tweak(3, below(p), below(p), below(N)));
    assert!(!tweak(4, one, one, one) && !tweak(2, bytes(p), one, one) && !tweak(2, one, bytes(p), one));
    assert!(!tweak(2, one, one, bytes(N)) && !tweak(2, one, one, most));
    assert!(!schnorr(bytes(p), one, one) && !schnorr(most, one, one));
    assert!(!schnorr(one, bytes(p), one) && !schnorr(one, most, one));
    assert!(!schnorr(one, one, bytes(N)) && !schnorr(one, one, bytes(p)) && !schnorr(one, one, most));
}

fn hex<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let digits: Option<Vec<u8>> =
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..][..2], 16).ok()).collect();
    digits?.try_into().ok()
}

/// The vectors of BIP340 with messages of 32 bytes: key, message, signature, and whether it holds.
#[test]
fn bip340_vectors() {
    let rows: Vec<(Row, bool)> = include_str!("bip340.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let [key, message, signature] = [fields[0], fields[1], fields[2]];
            let (key, message) = (hex(key).unwrap(), hex(message).unwrap());
            (Row::Schnorr { key, signature: hex(signature).unwrap(), message }, fields[3] == "holds")
        })
        .collect();
    assert_eq!(rows.len(), 15);
    on_both(|prove| {
        let (rows, expected): (Vec<Row>, Vec<bool>) = rows.iter().copied().unzip();
        let mut proven = vec![false; rows.len()];
        prove(&rows, &mut proven);
        assert_eq!(proven, expected);
        all_decided(prove, &rows);
    });
}

/// The vectors of Wycheproof for Bitcoin's ECDSA whose signatures are two numbers of at most 32 bytes; what is wrong in their
/// DER is not for lanes. Of keys, the compressed form is what lanes take.
#[test]
fn wycheproof_vectors() {
    let mut rows = Vec::new();
    for line in include_str!("wycheproof.txt").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').collect();
        let [number, key, message, r, s, says] = fields[..] else { panic!("{line}") };
        let (key, message) = (hex(key).unwrap(), hex(message).unwrap());
        let row = Row::Ecdsa { key, r: hex(r).unwrap(), s: hex(s).unwrap(), message };
        rows.push((number, row, says == "holds"));
    }
    assert!(rows.len() > 100, "{}", rows.len());
    on_both(|prove| {
        let all: Vec<Row> = rows.iter().map(|(_, row, _)| *row).collect();
        let mut proven = vec![false; all.len()];
        prove(&all, &mut proven);
        let mut left = 0;
        for ((number, row, says), proven) in rows.iter().zip(proven) {
            assert_eq!(holds(row), *says, "vector {number}");
            assert!(*says || !proven, "vector {number} does not hold");
            left += usize::from(*says && !proven);
        }
        assert!(left <= 2, "{left} vectors are left");
    });
}

/// Rows of all kinds against libsecp256k1. `CAESURE_FULL=1` makes it 20 million, on all cores.
#[test]
fn differential() {
    let full = std::env::var_os("CAESURE_FULL").is_some_and(|value| value == "1");
    if !full {
        aloud("SHORTENED: 20,000 signatures instead of 20 million beside libsecp256k1 (CAESURE_FULL=1 for all of it)");
    }
    super::differential::run(if full { 20_000_000 } else { 20_000 });
    super::differential::batch(&mut Draw::new(15), &mut on_model());
}
