//! Known values of Core `test/serialize_tests.cpp` and `test/compress_tests.cpp`, and every form of script there and back.

use super::*;
use crate::testing::{G_X, G_Y, curve, key_of};
use consensus::COIN;

fn varint_bytes(number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, number);
    out
}

/// Core `varints_bitpatterns`, and those in the comment on `VARINT` in `serialize.h`.
#[test]
fn varints_known() {
    let known: [(u64, &[u8]); 16] = [
        (0, &[0]),
        (0x7f, &[0x7f]),
        (0x80, &[0x80, 0]),
        (0xff, &[0x80, 0x7f]),
        (0x100, &[0x81, 0]),
        (0x1234, &[0xa3, 0x34]),
        (16_383, &[0xfe, 0x7f]),
        (16_384, &[0xff, 0]),
        (16_511, &[0xff, 0x7f]),
        (0xffff, &[0x82, 0xfe, 0x7f]),
        (0x12_3456, &[0xc7, 0xe7, 0x56]),
        (0x8012_3456, &[0x86, 0xff, 0xc7, 0xe7, 0x56]),
        (0xffff_ffff, &[0x8e, 0xfe, 0xfe, 0xfe, 0x7f]),
        (0x1_0000_0000, &[0x8e, 0xfe, 0xfe, 0xff, 0]),
        (0x7fff_ffff_ffff_ffff, &[0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x7f]),
        (u64::MAX, &[0x80, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x7f]),
    ];
    for (number, bytes) in known {
        assert_eq!(varint_bytes(number), bytes, "{number:#x}");
        assert_eq!(take_varint(&mut &bytes[..], u64::MAX), Ok(number));
        let narrow = take_varint(&mut &bytes[..], u32::MAX.into());
        assert_eq!(narrow, if number > u32::MAX.into() { Err(Unread::Above(u32::MAX.into())) } else { Ok(number) });
        for cut in 0..bytes.len() {
            assert_eq!(take_varint(&mut &bytes[..cut], u64::MAX), Err(Unread::Short));
        }
    }
    assert_eq!(take_varint(&mut &[0xff; 11][..], u64::MAX), Err(Unread::Above(u64::MAX)));
    // One more than each type has.
    assert_eq!(
        take_varint(&mut &[0x8e, 0xfe, 0xfe, 0xff, 0][..], u32::MAX.into()),
        Err(Unread::Above(u32::MAX.into()))
    );
    for (eighth, last) in [(0xfe, 0xff), (0xff, 0)] {
        let more = [0x80, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, eighth, last];
        assert_eq!(take_varint(&mut &more[..], u64::MAX), Err(Unread::Above(u64::MAX)));
    }
}

/// The order of bytes is that of numbers, but where a number has more bytes than another.
#[test]
fn varints_in_the_order_of_their_bytes() {
    let edges = [0, 1, 126, 127, 128, 129, 255, 256, 16_511, 16_512, 16_513, 20_000, 2_113_663, 2_113_664, u32::MAX];
    for a in edges {
        for b in edges {
            let bytes = varint_bytes(a.into()).cmp(&varint_bytes(b.into()));
            assert_eq!(varint_order(a).cmp(&varint_order(b)), bytes, "{a} and {b}");
        }
    }
    assert!(varint_order(255) < varint_order(16_512) && varint_order(16_512) < varint_order(256));
}

/// Forms and lengths as in Core's `noncanonical`.
#[test]
fn compact_sizes() {
    for number in [0, 1, 252, 253, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX] {
        let mut out = Vec::new();
        put_compact(&mut out, number);
        assert_eq!(take_compact(&mut &out[..]), Ok(number));
        assert_eq!(take_compact(&mut &out[..out.len() - 1]), Err(Unread::Short));
    }
    let mut out = Vec::new();
    [252, 253, 0x1_0000].into_iter().for_each(|number| put_compact(&mut out, number));
    assert_eq!(out, [252, 253, 253, 0, 254, 0, 0, 1, 0]);
    for (bytes, number) in [
        (&[253, 0, 0][..], 0),
        (&[253, 252, 0], 252),
        (&[254, 0, 0, 0, 0], 0),
        (&[254, 255, 255, 0, 0], 0xffff),
        (&[255, 0, 0, 0, 0, 0, 0, 0, 0], 0),
        (&[255, 255, 255, 255, 1, 0, 0, 0, 0], 0x1ff_ffff),
    ] {
        assert_eq!(take_compact(&mut &bytes[..]), Err(Unread::LongForm(number)));
    }
}

/// Core `compress_amounts`.
#[test]
fn amounts() {
    let pairs = [(0, 0), (1, 1), (COIN / 100, 7), (COIN, 9), (50 * COIN, 0x32), (21_000_000 * COIN, 0x0140_6f40)];
    for (value, number) in pairs {
        assert_eq!(compress_amount(value), number);
        assert_eq!(decompress_amount(number), Some(value));
    }
    for (unit, count) in [(1, 100_000), (COIN / 100, 10_000), (COIN, 10_000), (50 * COIN, 420_000)] {
        for value in (1..=count).map(|times| times * unit) {
            assert_eq!(decompress_amount(compress_amount(value)), Some(value));
        }
    }
    for number in 0..100_000 {
        assert_eq!(decompress_amount(number).map(compress_amount), Some(number));
    }
    assert_eq!(decompress_amount(compress_amount(MAX_MONEY - 1)), Some(MAX_MONEY - 1));
    // 10 n stands for n 10^9: one step above the most there may be; 10^24; what overflows.
    for number in [10 * 2_100_001, 10 * 10_u64.pow(15), u64::MAX] {
        assert_eq!(decompress_amount(number), None, "{number}");
    }
    assert_eq!(decompress_amount(10 * 2_100_000), Some(MAX_MONEY));
}

fn p2pk(key: &[u8]) -> Vec<u8> {
    [&[key.len() as u8], key, &[0xac]].concat()
}

fn there_and_back(script: &[u8]) -> Vec<u8> {
    let (mut out, mut room) = (Vec::new(), [0; SPELLED_BYTES_MAX]);
    put_script(&mut out, script, curve);
    let mut rest = &out[..];
    assert_eq!(take_script(&mut rest, &mut room, curve), Ok(script));
    assert!(rest.is_empty());
    for cut in 0..out.len() {
        assert_eq!(take_script(&mut &out[..cut], &mut room, curve), Err(Unread::Short), "{cut} of {}", out.len());
    }
    out
}

#[test]
fn forms_of_scripts() {
    let hash = [7; 20];
    assert_eq!(there_and_back(&[&[0x76, 0xa9, 20], &hash[..], &[0x88, 0xac]].concat()), [&[0], &hash[..]].concat());
    assert_eq!(there_and_back(&[&[0xa9, 20], &hash[..], &[0x87]].concat()), [&[1], &hash[..]].concat());
    for parity in [2, 3] {
        // Any x will do: a compressed key is not looked at.
        assert_eq!(there_and_back(&p2pk(&[&[parity], &[9; 32][..]].concat())), [&[parity], &[9; 32][..]].concat());
    }
    for odd in [false, true] {
        assert_eq!(there_and_back(&p2pk(&key_of(odd))), [&[4 + u8::from(odd)], &G_X[..]].concat());
    }
}

/// One byte aside from each form, whatever the byte: all its bytes are kept.
#[test]
fn scripts_of_no_form() {
    let hash = [7; 20];
    let forms = [
        [&[0x76, 0xa9, 20], &hash[..], &[0x88, 0xac]].concat(),
        [&[0xa9, 20], &hash[..], &[0x87]].concat(),
        p2pk(&[&[2], &G_X[..]].concat()),
        p2pk(&key_of(false)),
    ];
    for form in forms {
        let own = there_and_back(&form)[0];
        for (at, bit) in (0..form.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut script = form.clone();
            script[at] ^= 1 << bit;
            let out = there_and_back(&script);
            // Hashes, and what is taken for a compressed key, may be any; the keys 2 and 3 differ in a bit.
            let free = match own {
                0 => (3..23).contains(&at),
                1 => (2..22).contains(&at),
                2 => (2..34).contains(&at) || at == 1 && bit == 0,
                _ => false,
            };
            assert_eq!(out[0] < 6, free, "form {own}, byte {at}, bit {bit}");
        }
        for script in [&form[1..], &form[..form.len() - 1], &[&form[..], &[0xac]].concat()] {
            assert!(there_and_back(script)[0] >= 6);
        }
    }
    // The key of one y with the parity of the other, hybrid as OpenSSL had it.
    let mut hybrid = key_of(false);
    hybrid[0] = 6;
    assert!(there_and_back(&p2pk(&hybrid))[0] >= 6);
    assert!(G_Y[31] & 1 == 0);
}

#[test]
fn lengths_of_scripts() {
    assert_eq!(there_and_back(&[]), [6]);
    for (len, head) in [(1, 1), (121, 1), (122, 2), (MAX_SCRIPT_SIZE, 2)] {
        let out = there_and_back(&vec![0x61; len]);
        assert_eq!(out.len() - len, head);
    }
    let mut room = [0; SPELLED_BYTES_MAX];
    for long in [MAX_SCRIPT_SIZE as u64 + 1, u32::MAX as u64 - 6] {
        assert_eq!(take_script(&mut &varint_bytes(long + 6)[..], &mut room, curve), Err(Unread::Script(long)));
    }
    assert!(matches!(take_script(&mut &varint_bytes(1 << 32)[..], &mut room, curve), Err(Unread::Above(_))));
    for form in [4, 5] {
        let off_curve = [&[form], &[9; 32][..]].concat();
        assert_eq!(take_script(&mut &off_curve[..], &mut room, curve), Err(Unread::Key));
    }
}
