//! A snapshot spelled byte by byte, every fault in its place, any pieces, any damage. What Core writes is compared with
//! what we write in `tests/snapshot.rs`.

use super::*;
use crate::testing::{G_X, Rng, curve, key_of};
use consensus::{CoinView, OutPoint};

const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];
const HEIGHT: u32 = 500;

type Coin = (OutPoint, u64, u32, bool, Vec<u8>);

fn coin(txid: u8, vout: u32, value: u64, height: u32, coinbase: bool, script: &[u8]) -> Coin {
    (OutPoint { txid: Txid([txid; 32]), vout }, value, height, coinbase, script.to_vec())
}

fn head(coins: u64) -> Metadata {
    Metadata { magic: MAGIC, base: BlockHash([0xbb; 32]), coins }
}

/// A snapshot of each form of script, and its bytes as the definition of the format has them.
fn spelled() -> (Vec<Coin>, Vec<u8>) {
    let uncompressed = [&[65][..], &key_of(true), &[0xac]].concat();
    let coins = vec![
        coin(1, 0, 5_000_000_000, 1, true, &[&[33, 3][..], &[9; 32], &[0xac]].concat()),
        coin(1, 255, 0, 1, true, &[]),
        coin(1, 16_512, 1, 1, true, &[0x51]),
        coin(1, 256, 1_000_000, 1, true, &uncompressed),
        coin(2, 65_536, 2_100_000_000_000_000, 500, false, &[&[0xa9, 20][..], &[8; 20], &[0x87]].concat()),
        coin(0xff, 3, 100_000_000, 64, false, &[0x61; 200]),
    ];
    let bytes = [
        &[0x75, 0x74, 0x78, 0x6f, 0xff, 2, 0, 0xfa, 0xbf, 0xb5, 0xda][..],
        &[0xbb; 32],
        &[6, 0, 0, 0, 0, 0, 0, 0],
        &[1; 32],
        &[4],
        &[0, 3, 0x32, 3],
        &[9; 32],
        &[253, 255, 0, 3, 0, 6],
        &[253, 0x80, 0x40, 3, 1, 7, 0x51],
        &[253, 0, 1, 3, 7, 5],
        &G_X,
        &[2; 32],
        &[1],
        // 1,000 less the 1,000 − 128 of two bytes; 1 + 10 (2,100,000 − 1) + 9 in four.
        &[254, 0, 0, 1, 0, 0x86, 0x68, 0x89, 0x80, 0xdd, 0x40, 1],
        &[8; 20],
        &[0xff; 32],
        &[1],
        &[3, 0x80, 0, 9, 0x80, 0x4e],
        &[0x61; 200],
    ];
    (coins, bytes.concat())
}

fn write<'a>(coins: impl IntoIterator<Item = &'a Coin> + Clone) -> Vec<u8> {
    let head = head(coins.clone().into_iter().count() as u64);
    let (mut out, mut writer) = (head.to_bytes().to_vec(), Writer::new(curve));
    for (outpoint, value, height, coinbase, script) in coins {
        let coin = CoinView { value: *value, height: *height, coinbase: *coinbase, script };
        writer.add(outpoint, &coin, &mut out);
    }
    writer.end(&mut out);
    out
}

/// Reads from bytes that come in pieces, where `piece` says how many there are next.
fn read(bytes: &[u8], mut piece: impl FnMut() -> usize) -> Result<Vec<Coin>, Malformed> {
    let (first, mut rest) = bytes.split_first_chunk().expect("a head");
    let mut reader = Reader::new(&Metadata::parse(first, MAGIC)?, HEIGHT, curve);
    let (mut held, mut coins) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        let (now, later) = rest.split_at(piece().min(rest.len()));
        rest = later;
        held.extend_from_slice(now);
        let mut left = &held[..];
        while let Some((outpoint, coin)) = reader.next(&mut left)? {
            coins.push((outpoint, coin.value, coin.height, coin.coinbase, coin.script.to_vec()));
        }
        assert!(left.len() < COIN_BYTES_MAX, "what holds a coin and its head is read");
        held.drain(..held.len() - left.len());
    }
    reader.end()?;
    assert!(held.is_empty() && reader.left() == 0);
    Ok(coins)
}

#[test]
fn there_and_back() {
    let (coins, bytes) = spelled();
    assert_eq!(read(&bytes, || usize::MAX), Ok(coins.clone()));
    assert_eq!(write(&coins), bytes);
    // Coins of a transaction may come in the order of numbers, or any.
    let mut sorted = coins.clone();
    sorted.sort();
    assert_ne!(sorted, coins);
    assert_eq!(write(&sorted), bytes);
    // No coins at all.
    assert_eq!(write(&[]).len(), Metadata::LEN);
    assert_eq!(read(&write(&[]), || 1), Ok(vec![]));
}

#[test]
fn bytes_may_come_in_any_pieces() {
    let (coins, bytes) = spelled();
    assert_eq!(read(&bytes, || 1), Ok(coins.clone()));
    for seed in 0..100 {
        let mut rng = Rng(seed);
        assert_eq!(read(&bytes, || 1 + rng.below(90)), Ok(coins.clone()), "seed {seed}");
    }
}

#[test]
fn heads() {
    let whole = head(7).to_bytes();
    assert_eq!(Metadata::parse(&whole, MAGIC), Ok(head(7)));
    let fault = |at: usize| {
        let mut bytes = whole;
        bytes[at] ^= 1;
        let Malformed { at, fault } = Metadata::parse(&bytes, MAGIC).unwrap_err();
        (at, fault)
    };
    for at in 0..5 {
        assert!(matches!(fault(at), (0, Fault::Mark(_))));
    }
    assert_eq!((fault(5), fault(6)), ((5, Fault::Version(3)), (5, Fault::Version(258))));
    assert!(matches!(fault(8), (7, Fault::Network { found: [0xfa, 0xbe, 0xb5, 0xda], expected: MAGIC })));
    let other = Metadata::parse(&whole, Params::of(Network::Main).magic).unwrap_err();
    let said = "byte 7 of the snapshot: coins of regtest (fabfb5da), expected main (f9beb4d9)";
    assert_eq!(other.to_string(), said);
}

/// The offset is that of the field at fault. Offsets in the spelled snapshot: the first transaction's count at 83, its
/// coins at 84, 120, 126 and 133; the second's txid at 171, count at 203, coin at 204; the third's txid at 236, coin at 269.
#[test]
fn faults_name_their_place() {
    let (_, bytes) = spelled();
    let cases: [(&str, usize, &[u8], u64, Fault); 18] = [
        ("no coins in a transaction", 83, &[0], 83, Fault::Count { found: 0, left: 6 }),
        ("more than there are", 83, &[7], 83, Fault::Count { found: 7, left: 6 }),
        ("a long count", 203, &[253, 1, 0], 203, Fault::Unread(Unread::LongForm(1))),
        ("a coin twice", 120, &[0], 120, Fault::CoinOrder(0)),
        ("coins in the order of numbers", 127, &[1, 1], 133, Fault::CoinOrder(256)),
        ("an index no output has", 204, &[254, 7, 0xb2, 1, 0], 204, Fault::Index(111_111)),
        ("a height above", 209, &[0x86, 0x6a], 209, Fault::Height { found: 501, max: 500 }),
        ("a height of 32 bits", 85, &[0x8e, 0xfe, 0xfe, 0xff, 0], 85, Fault::Unread(Unread::Above(u32::MAX.into()))),
        ("an amount above", 211, &[0x89, 0x80, 0xdd, 0x4a], 211, Fault::Unread(Unread::Amount)),
        ("an x of no point", 140, &[1], 138, Fault::Unread(Unread::Key)),
        ("a script too long", 273, &[0xcd, 0x17], 273, Fault::Unread(Unread::Script(10_001))),
        ("nothing can spend it", 275, &[0x6a], 273, Fault::Unspendable),
        ("a transaction again", 171, &[1; 32], 171, Fault::TxOrder(Txid([1; 32]))),
        ("a smaller one", 171, &[0; 32], 171, Fault::TxOrder(Txid([0; 32]))),
        ("fewer coins than said", 43, &[7], 475, Fault::Truncated(1)),
        ("more coins than said", 43, &[5], 236, Fault::LeftOver),
        ("a mark", 0, &[0], 0, Fault::Mark([0, 0x74, 0x78, 0x6f, 0xff])),
        ("a version", 5, &[1], 5, Fault::Version(1)),
    ];
    for (what, at, new, place, fault) in cases {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        let found = read(&bytes, || usize::MAX).unwrap_err();
        assert_eq!(found, Malformed { at: place, fault }, "{what}");
    }
}

/// Cut anywhere, it is truncated, and nothing else.
#[test]
fn a_snapshot_that_ends_early_or_late() {
    let (coins, bytes) = spelled();
    for cut in Metadata::LEN..bytes.len() {
        let Malformed { at, fault } = read(&bytes[..cut], || usize::MAX).unwrap_err();
        let Fault::Truncated(left) = fault else { panic!("{fault} at {at}, cut at {cut}") };
        assert!(at <= cut as u64 && (1..=coins.len() as u64).contains(&left));
    }
    let longer = [&bytes[..], &[0]].concat();
    for piece in [1, usize::MAX] {
        let expected = Malformed { at: bytes.len() as u64, fault: Fault::LeftOver };
        assert_eq!(read(&longer, || piece), Err(expected));
    }
}

/// Outputs of one transaction that just fit in a block, and that do not: amount, length in three bytes, script.
#[test]
fn a_transaction_is_no_larger_than_a_block() {
    let last = 1_000_000 - 99 * (8 + 3 + 10_000) - 8 - 3;
    for (len, fits) in [(last, true), (last + 1, false)] {
        let mut coins: Vec<Coin> = (0..99).map(|vout| coin(1, vout, 1, 1, false, &[0x61; 10_000])).collect();
        coins.push(coin(1, 99, 1, 1, false, &vec![0x61; len]));
        let found = read(&write(&coins), || usize::MAX).map_err(|malformed| malformed.fault);
        assert_eq!(found, if fits { Ok(coins) } else { Err(Fault::Outputs) });
    }
}

/// Any damage: coins or an error, never a panic; and what is read, once written, is read again as the same.
#[test]
fn damage_of_any_kind() {
    let (coins, clean) = spelled();
    let (mut whole, mut rng) = (0, Rng(5));
    for case in 0..100_000 {
        let mut bytes = clean.clone();
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(bytes.len());
            match rng.below(4) {
                0 => bytes[at] ^= 1 << rng.below(8),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xfd, 0xfe, 0xff][rng.below(7)],
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, rng.below(256) as u8),
            }
        }
        if bytes.len() < Metadata::LEN {
            continue;
        }
        let Ok(read_coins) = read(&bytes, || 1 + case % 97) else { continue };
        whole += 1;
        assert_eq!(read_coins.len(), coins.len());
        let mut again = write(&read_coins);
        again[11..43].copy_from_slice(&bytes[11..43]);
        assert_eq!(read(&again, || usize::MAX), Ok(read_coins));
    }
    assert!(whole > 1_000, "{whole} were left whole: hashes and amounts may be any");
}
