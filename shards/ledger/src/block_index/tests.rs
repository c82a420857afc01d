//! Indexes that are fresh, old, cut, damaged, foreign, or of another blocks.bin: what is found is always what a scan finds.

use super::*;
use crate::testing::{block_bytes, coinbase};
use consensus::Network;
use std::convert::Infallible;

fn regtest() -> &'static Params {
    Params::of(Network::Regtest)
}

/// Bytes before the first row.
const HEAD_LEN: usize = 12;

/// Records of a chain back to back.
fn file(count: u32) -> Vec<u8> {
    let (mut bytes, mut prev) = (Vec::new(), regtest().genesis_hash);
    for tag in 0..count {
        let block = block_bytes(prev, &[coinbase(tag, 1)]);
        prev = Header::parse(block[..80].try_into().unwrap()).hash();
        bytes.extend(crate::record::frame(regtest(), block.len() as u32));
        bytes.extend(block);
    }
    bytes
}

/// Opens, and counts the bytes that were read of blocks.bin.
fn open_counted(rows: &[u8], bytes: &[u8]) -> (Opened, usize) {
    let mut count = 0;
    let read = |at: u64, buffer: &mut [u8]| {
        let rest = &bytes[(at as usize).min(bytes.len())..];
        let got = rest.len().min(buffer.len());
        buffer[..got].copy_from_slice(&rest[..got]);
        count += got;
        Ok::<_, Infallible>(got)
    };
    let Ok(opened) = open(regtest(), rows, bytes.len() as u64, read, |_| {});
    (opened, count)
}

fn open_of(rows: &[u8], bytes: &[u8]) -> Opened {
    open_counted(rows, bytes).0
}

/// The file of rows after an opening.
fn after(rows: &[u8], opened: &Opened) -> Vec<u8> {
    [&rows[..opened.keep as usize], &opened.append].concat()
}

/// What is known without an index.
fn scanned(bytes: &[u8]) -> Index {
    open_of(&[], bytes).index
}

fn assert_same(ours: &Index, theirs: &Index) {
    let places = |index: &Index| index.records.iter().map(|r| (r.at, r.len, r.hash)).collect::<Vec<_>>();
    assert_eq!(places(ours), places(theirs));
    assert_eq!((&ours.damage, ours.end, ours.torn), (&theirs.damage, theirs.end, theirs.torn));
}

/// Six records with their rows; the second and the last are known to be valid.
fn six() -> (Vec<u8>, Vec<u8>) {
    let bytes = file(6);
    let mut opened = open_of(&[], &bytes);
    assert_eq!((opened.keep, opened.taken, opened.index.records.len()), (0, 0, 6));
    for record in [1, 5] {
        opened.rows.valid(opened.index.records[record].at, &mut opened.append);
    }
    (bytes, opened.append)
}

fn valid(index: &Index) -> Vec<usize> {
    index.records.iter().enumerate().filter(|(_, record)| record.valid).map(|(place, _)| place).collect()
}

#[test]
fn a_fresh_index_saves_the_scan() {
    let (bytes, rows) = six();
    let opened = open_of(&rows, &bytes);
    assert_eq!((opened.taken, opened.keep as usize, &opened.append[..]), (6, rows.len(), &[][..]));
    assert_same(&opened.index, &scanned(&bytes));
    assert_eq!(valid(&opened.index), [1, 5]);
    // Of a larger file only samples are looked at.
    let bytes = file(2_000);
    let rows = open_of(&[], &bytes).append;
    let (opened, read) = open_counted(&rows, &bytes);
    assert_eq!(opened.taken, 2_000);
    assert!(read <= (SAMPLES + 2) * 88, "{read} bytes of {}", bytes.len());
}

#[test]
fn what_came_after_the_index_is_found_and_added() {
    let (bytes, rows) = six();
    let more = [&file(9)[..], &[0; 5_000], &[7, 7]].concat();
    assert!(more.starts_with(&bytes));
    let opened = open_of(&rows, &more);
    assert_eq!((opened.taken, opened.keep as usize), (6, rows.len()));
    assert_same(&opened.index, &scanned(&more));
    assert!(opened.index.torn > 0);
    // And rows go on behind those that were added.
    let mut whole = after(&rows, &opened);
    let mut next = opened.rows;
    next.valid(opened.index.records[7].at, &mut whole);
    assert_eq!(valid(&open_of(&whole, &more).index), [1, 5, 7]);
}

#[test]
fn gaps_between_records_are_damage_with_an_index_too() {
    let mut bytes = file(6);
    let at = open_of(&[], &bytes).index.records.iter().map(|record| record.at as usize).collect::<Vec<_>>();
    bytes[at[0]..at[0] + 8].fill(1);
    bytes[at[3] + 8..at[4]].fill(1);
    let opened = open_of(&[], &bytes);
    assert_eq!((opened.index.records.len(), opened.index.damage.len()), (4, 2));
    assert_same(&open_of(&opened.append, &bytes).index, &opened.index);
}

#[test]
fn an_index_cut_anywhere_is_gone_on_with() {
    let (bytes, rows) = six();
    for len in 0..rows.len() {
        let opened = open_of(&rows[..len], &bytes);
        assert_same(&opened.index, &scanned(&bytes));
        let whole = after(&rows[..len], &opened);
        assert_eq!(open_of(&whole, &bytes).taken, 6, "cut at {len}");
    }
}

#[test]
fn no_bit_of_an_index_can_be_wrong_unnoticed() {
    let (bytes, rows) = six();
    for place in 0..rows.len() {
        for bit in 0..8 {
            let mut bent = rows.clone();
            bent[place] ^= 1 << bit;
            let opened = open_of(&bent, &bytes);
            assert_same(&opened.index, &scanned(&bytes));
            assert!(valid(&opened.index).iter().all(|place| [1, 5].contains(place)), "byte {place}, bit {bit}");
        }
    }
    // Nor can a row be missing: of the last row that is verdict of the sixth, all before is kept.
    let row = 1 + 8 + 4;
    let holed = [&rows[..HEAD_LEN + 97], &rows[HEAD_LEN + 2 * 97..]].concat();
    assert_eq!(open_of(&holed, &bytes).taken, 1);
    assert_eq!(valid(&open_of(&rows[..rows.len() - row], &bytes).index), [1]);
}

#[test]
fn an_index_of_other_blocks_is_not_believed() {
    let (bytes, rows) = six();
    let other_network = Params::of(Network::Main);
    let mut foreign = Vec::new();
    Rows::begin(other_network, &mut foreign);
    let shorter = &file(5)[..];
    let mut swapped = bytes.clone();
    let last = scanned(&bytes).records[5].at as usize;
    // Another time in the last header, or another size.
    swapped[last + 8 + 68] ^= 1;
    let mut sized = bytes.clone();
    sized[last + 4] += 1;
    sized.push(0);
    for (rows, bytes) in [(&foreign, &bytes[..]), (&rows, shorter), (&rows, &swapped), (&rows, &sized)] {
        let opened = open_of(rows, bytes);
        assert_eq!((opened.keep, opened.taken), (0, 0));
        assert_same(&opened.index, &scanned(bytes));
        assert_eq!(open_of(&opened.append, bytes).taken, opened.index.records.len());
    }
}

#[test]
fn an_index_made_anew_says_the_same() {
    let (bytes, rows) = six();
    let found = open_of(&rows, &bytes).index.records;
    let again = read_rows(regtest(), &anew(regtest(), &[], &found)).unwrap();
    assert_eq!((&again.records, again.len), (&found, rows.len()));
    let headers = [found[3].header, found[4].header];
    let again = read_rows(regtest(), &anew(regtest(), &headers, &found)).unwrap();
    assert_eq!((&again.headers[..], &again.records), (&headers[..], &found));
    assert_eq!(anew(regtest(), &[], &scanned(&bytes).records), open_of(&[], &bytes).append);
}
