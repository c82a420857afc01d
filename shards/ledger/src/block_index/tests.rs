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
    open_copies(&[rows], bytes, &[])
}

fn open_copies(copies: &[&[u8]], bytes: &[u8], holes: &[Range<u64>]) -> (Opened, usize) {
    let mut count = 0;
    let read = |at: u64, buffer: &mut [u8]| {
        let rest = &bytes[(at as usize).min(bytes.len())..];
        let got = rest.len().min(buffer.len());
        buffer[..got].copy_from_slice(&rest[..got]);
        count += got;
        Ok::<_, Infallible>(got)
    };
    let Ok(opened) = open(regtest(), copies, bytes.len() as u64, holes, read, |_| {});
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

/// 160 records of which the first 130 but one are pruned: the file, its rows, its holes, and where they lie.
fn pruned() -> (Vec<u8>, Vec<u8>, Vec<Range<u64>>, Vec<Record>) {
    let mut bytes = file(160);
    let mut opened = open_of(&[], &bytes);
    let mut holes = crate::holes::Holes::default();
    for record in &opened.index.records[1..130] {
        opened.rows.punched(record.at, &mut opened.append);
        holes.add(record.span());
    }
    let holes: Vec<Range<u64>> = holes.pages().collect();
    assert!(holes.len() == 1 && holes[0].end - holes[0].start >= 8_192);
    bytes[holes[0].start as usize..holes[0].end as usize].fill(0);
    (bytes, opened.append, holes, opened.index.records)
}

#[test]
fn what_is_pruned_is_known_from_the_index_and_is_no_damage() {
    let (bytes, rows, holes, records) = pruned();
    let (opened, _) = open_copies(&[&rows], &bytes, &holes);
    assert_eq!((opened.taken, opened.keep as usize), (160, rows.len()));
    let hashes = |records: &[Record]| records.iter().map(|record| record.hash).collect::<Vec<_>>();
    assert_eq!(hashes(&opened.index.records), hashes(&records));
    assert!((1..130).all(|at| opened.index.records[at].punched) && !opened.index.records[130].punched);
    assert!(opened.index.damage.is_empty() && opened.index.pruned.is_empty());
    // Without it the headers are gone: that is seen from the hole.
    let (opened, _) = open_copies(&[&[]], &bytes, &holes);
    assert!(opened.index.damage.is_empty() && opened.index.pruned.len() == 1);
    assert!(opened.index.records.len() < 100 && opened.index.records.iter().all(|record| !record.punched));
    // Rows that say only of some that they are pruned do not make the others doubtful.
    let (opened, _) = open_copies(&[&rows[..rows.len() - 100 * 13]], &bytes, &holes);
    assert_eq!(opened.taken, 160);
}

#[test]
fn of_two_copies_the_one_that_says_more_is_gone_on_with() {
    let (bytes, rows, holes, _) = pruned();
    let mut bent = rows.clone();
    bent[5_000] ^= 1;
    let cut = &rows[..6_000];
    for (first, second, copy, keep) in [
        (&rows[..], &bent[..], 0, rows.len()),
        (&bent, &rows, 1, rows.len()),
        (cut, &bent, 0, 12 + 61 * 97),
        (&[], &rows, 1, rows.len()),
        (&rows, &rows, 0, rows.len()),
    ] {
        let (opened, _) = open_copies(&[first, second], &bytes, &holes);
        assert_eq!((opened.copy, opened.keep as usize), (copy, keep));
    }
}
