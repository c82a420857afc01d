//! Scans of files that are whole, torn, damaged, mixed and foreign. Where records lie is added up by hand here.

use super::*;
use crate::testing::{Rng, Tx, block_bytes, coinbase};
use consensus::Network;
use std::convert::Infallible;
use std::slice::from_ref;

fn regtest() -> &'static Params {
    Params::of(Network::Regtest)
}

/// A chain of blocks of different sizes.
fn chain(count: u32) -> Vec<Vec<u8>> {
    let (mut blocks, mut prev) = (Vec::new(), regtest().genesis_hash);
    for tag in 0..count {
        let spend =
            Tx { takes: vec![coinbase(tag, 1).outpoint(0)], makes: vec![(1, vec![0x51; 90 * tag as usize])], tag };
        let bytes = block_bytes(prev, &[coinbase(tag, 1), spend]);
        prev = Header::parse(bytes[..80].try_into().unwrap()).hash();
        blocks.push(bytes);
    }
    blocks
}

fn record(block: &[u8]) -> Vec<u8> {
    // Regtest's magic (Core `kernel/chainparams.cpp`), then the size.
    [&[0xfa, 0xbf, 0xb5, 0xda][..], &(block.len() as u32).to_le_bytes(), block].concat()
}

fn record_2014(block: &[u8]) -> Vec<u8> {
    [&(block.len() as u64).to_le_bytes()[..], block].concat()
}

/// Records back to back, and where each begins; the last number is the end.
fn file(records: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut starts) = (Vec::new(), vec![0]);
    for record in records {
        bytes.extend(record);
        starts.push(bytes.len());
    }
    (bytes, starts)
}

fn scan_of(bytes: &[u8]) -> Index {
    scan_with(bytes, &[])
}

fn scan_with(bytes: &[u8], holes: &[Range<u64>]) -> Index {
    let read = |at: u64, buffer: &mut [u8]| {
        let rest = &bytes[(at as usize).min(bytes.len())..];
        let got = rest.len().min(buffer.len());
        buffer[..got].copy_from_slice(&rest[..got]);
        Ok::<_, Infallible>(got)
    };
    let Ok(index) = scan(regtest(), 0, bytes.len() as u64, holes, read, |_| {});
    index
}

fn starts_of(index: &Index) -> Vec<usize> {
    index.records.iter().map(|record| record.at as usize).collect()
}

fn damage(at: usize, end: usize) -> Damage {
    Damage { at: at as u64, len: (end - at) as u64 }
}

/// These records of six in all are found, and only this is damaged.
#[track_caller]
fn check(bytes: &[u8], starts: &[usize], found: &[usize], damaged: &[Damage]) {
    let index = scan_of(bytes);
    assert_eq!(starts_of(&index), found.iter().map(|&record| starts[record]).collect::<Vec<_>>());
    assert_eq!((&index.damage[..], index.torn), (damaged, 0));
    assert_eq!(index.end as usize, *starts.last().unwrap());
}

fn six() -> (Vec<u8>, Vec<usize>) {
    file(&chain(6).iter().map(|block| record(block)).collect::<Vec<_>>())
}

#[test]
fn a_clean_file_of_both_formats() {
    let blocks = chain(6);
    let mixed: Vec<_> = (0..6).map(|i| if i % 3 == 1 { record_2014(&blocks[i]) } else { record(&blocks[i]) }).collect();
    let (mut bytes, starts) = file(&mixed);
    check(&bytes, &starts, &[0, 1, 2, 3, 4, 5], &[]);
    for (found, block) in scan_of(&bytes).records.iter().zip(&blocks) {
        assert_eq!((found.len as usize, &found.header.to_bytes()[..]), (block.len(), &block[..80]));
        assert_eq!(found.hash.0, consensus::sha256d(&block[..80]));
    }
    bytes.resize(bytes.len().next_multiple_of(4096) + 4096, 0);
    check(&bytes, &starts, &[0, 1, 2, 3, 4, 5], &[]);
    assert_eq!(scan_of(&[]).end, 0);
    let zeros = scan_of(&[0; 9000]);
    assert_eq!((zeros.end, zeros.torn, zeros.foreign_magic), (0, 0, None));
}

#[test]
fn frames_are_as_core_writes_them() {
    assert_eq!(frame(regtest(), 0x0102_0304), [0xfa, 0xbf, 0xb5, 0xda, 4, 3, 2, 1]);
    assert_eq!(frame(Params::of(Network::Main), 285)[..4], [0xf9, 0xbe, 0xb4, 0xd9]);
    let size = |len: u32| frame_size(regtest(), &frame(regtest(), len));
    // 80 of header, one of count, 60 of the smallest transaction; 4,000,000 is Core's bound.
    assert_eq!([140, 141, 4_000_000, 4_000_001].map(size), [None, Some(141), Some(4_000_000), None]);
    assert_eq!(frame_size(regtest(), &4_000_000u64.to_le_bytes()), Some(4_000_000));
    assert_eq!(frame_size(regtest(), &(1u64 << 32 | 1000).to_le_bytes()), None);
}

#[test]
fn a_torn_tail_is_counted_from_the_last_whole_record() {
    let (bytes, starts) = six();
    for cut in starts[5] + 1..starts[6] {
        for padding in [0, 5000] {
            // Zeros behind the cut may complete the record by its length: then it is one, with a damaged body.
            let mut torn = bytes[..cut].to_vec();
            torn.resize(cut + padding, 0);
            let index = scan_of(&torn);
            let header_there = padding > 0 && cut >= starts[5] + 88;
            if header_there {
                assert_eq!((index.records.len(), index.torn), (6, 0), "cut at {cut}");
            } else if cut < starts[5] + 88 && padding > 0 && index.records.len() == 6 {
                // Cut inside a header that still shows work once the rest is zero.
                assert!(cut > starts[5] + 8);
            } else {
                assert_eq!(starts_of(&index), starts[..5], "cut at {cut}");
                let last_nonzero = bytes[..cut].iter().rposition(|byte| *byte != 0).unwrap();
                assert_eq!((index.end as usize, index.torn as usize), (starts[5], last_nonzero + 1 - starts[5]));
            }
            assert!(index.damage.is_empty());
        }
    }
}

#[test]
fn a_damaged_frame_or_header_loses_its_record_only() {
    let (clean, starts) = six();
    for lost in 0..5 {
        for at in [0, 3, 7, 8 + 79] {
            let mut bytes = clean.clone();
            bytes[starts[lost] + at] ^= 0xff;
            if at == 8 + 79 && scan_of(&bytes).records.len() == 6 {
                continue; // another nonce that shows work as well: half of them do
            }
            let found: Vec<_> = (0..6).filter(|record| *record != lost).collect();
            check(&bytes, &starts, &found, &[damage(starts[lost], starts[lost + 1])]);
        }
    }
    let mut two = clean.clone();
    two[starts[2]] = 0;
    two[starts[3]] = 0;
    check(&two, &starts, &[0, 1, 4, 5], &[damage(starts[2], starts[4])]);
    two[starts[5]] = 0;
    let index = scan_of(&two);
    assert_eq!((index.end as usize, index.torn as usize), (starts[5], starts[6] - starts[5] - index_zeros(&two)));
}

fn index_zeros(bytes: &[u8]) -> usize {
    bytes.iter().rev().take_while(|byte| **byte == 0).count()
}

#[test]
fn a_damaged_body_is_no_matter_of_the_scan() {
    let (mut bytes, starts) = six();
    for byte in &mut bytes[starts[4] + 88..starts[5]] {
        *byte = 0;
    }
    check(&bytes, &starts, &[0, 1, 2, 3, 4, 5], &[]);
    bytes[starts[6] - 1] ^= 1;
    check(&bytes, &starts, &[0, 1, 2, 3, 4, 5], &[]);
}

fn with_size(clean: &[u8], frame_at: usize, len: usize) -> Vec<u8> {
    let mut bytes = clean.to_vec();
    bytes[frame_at + 4..frame_at + 8].copy_from_slice(&(len as u32).to_le_bytes());
    bytes
}

#[test]
fn a_size_too_large_swallows_no_other_record() {
    let (clean, starts) = six();
    let all_but_1 = [0, 2, 3, 4, 5];
    let damaged = [damage(starts[1], starts[2])];
    // To somewhere in the next record, or in the one after it, or in the last.
    for end in [starts[2] + 1, starts[2] + 60, starts[3] - 1, starts[3] + 100, starts[5] + 20, starts[6] - 1] {
        check(&with_size(&clean, starts[1], end - starts[1] - 8), &starts, &all_but_1, &damaged);
    }
    // To the very end of the file, and into the zeros behind the last record.
    check(&with_size(&clean, starts[1], starts[6] - starts[1] - 8), &starts, &all_but_1, &damaged);
    let padded = [&clean[..], &[0; 4096]].concat();
    check(&with_size(&padded, starts[1], starts[6] + 50 - starts[1] - 8), &starts, &all_but_1, &damaged);
    // Beyond the file.
    check(&with_size(&clean, starts[1], 3_999_999), &starts, &all_but_1, &damaged);
}

#[test]
fn a_size_too_small_leaves_a_gap() {
    let (clean, starts) = six();
    let end = starts[3] + 8 + 141;
    check(&with_size(&clean, starts[3], 141), &starts, &[0, 1, 2, 3, 4, 5], &[damage(end, starts[4])]);
    check(&with_size(&clean, starts[3], 140), &starts, &[0, 1, 2, 4, 5], &[damage(starts[3], starts[4])]);
}

/// A whole record stays one, even where its body spells another and what follows is torn.
#[test]
fn a_record_spelled_inside_a_block_is_not_found() {
    let inner = record(&chain(1)[0]);
    let outer = Tx { makes: vec![(1, inner)], ..coinbase(7, 7) };
    let (mut bytes, starts) = file(&[record(&block_bytes(regtest().genesis_hash, &[outer])), record(&chain(2)[1])]);
    bytes.truncate(starts[1] + 89); // through the count of transactions, which is not zero
    let index = scan_of(&bytes);
    assert_eq!((starts_of(&index), index.damage.len(), index.torn), (vec![0], 0, 89));
}

#[test]
fn a_zeroed_page_in_the_middle() {
    let records: Vec<_> = chain(60).iter().map(|block| record(block)).collect();
    let (clean, starts) = file(&records);
    for page in 1..starts[59] / 4096 {
        let mut bytes = clean.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0);
        let index = scan_of(&bytes);
        // Lost are the records of which frame or header was zeroed; the bodies' damage is found when they are read.
        let page = page * 4096..(page + 1) * 4096;
        for start in &starts[..60] {
            let found = starts_of(&index).contains(start);
            let hit = page.start < start + 88 && *start < page.end;
            // A frame that is there, and a header with only its end zeroed, may still show work.
            assert!(found != hit || hit && start + 8 < page.start, "record at {start}, zeros at {page:?}");
        }
        assert_eq!((index.end as usize, index.torn), (starts[60], 0));
    }
}

#[test]
fn garbage_before_the_first_record_and_larger_gaps_than_one_read() {
    let (clean, starts) = six();
    for garbage in [1, 87, 88, 4096, (1 << 20) - 1, (1 << 20) + 7] {
        let bytes = [vec![0x5a; garbage], clean.clone()].concat();
        let moved: Vec<_> = starts.iter().map(|start| start + garbage).collect();
        check(&bytes, &moved, &[0, 1, 2, 3, 4, 5], &[damage(0, garbage)]);
        let split = [&clean[..starts[2]], &vec![0; garbage][..], &clean[starts[2]..]].concat();
        let moved: Vec<_> = starts.iter().map(|start| start + if *start >= starts[2] { garbage } else { 0 }).collect();
        check(&split, &moved, &[0, 1, 2, 3, 4, 5], &[damage(starts[2], starts[2] + garbage)]);
    }
}

#[test]
fn another_network_is_named_by_its_magic() {
    let mut bytes = record(&chain(1)[0]);
    bytes[..4].copy_from_slice(&Params::of(Network::Main).magic);
    let index = scan_of(&bytes);
    assert_eq!((index.records.len(), index.foreign_magic), (0, Some([0xf9, 0xbe, 0xb4, 0xd9])));
    assert_eq!(scan_of(&record(&chain(1)[0])).foreign_magic, None);
}

#[test]
fn a_failed_read_ends_the_scan() {
    let (bytes, starts) = six();
    let read = |at: u64, buffer: &mut [u8]| {
        if at as usize >= starts[3] {
            return Err("broken");
        }
        buffer.copy_from_slice(&bytes[at as usize..][..buffer.len()]);
        Ok(buffer.len())
    };
    assert_eq!(scan(regtest(), 0, bytes.len() as u64, &[], read, |_| {}).err(), Some("broken"));
}

/// Any damage at all: no panic, an end, records in order and apart, and all that was not touched is there.
#[test]
fn records_that_were_not_touched_are_always_found() {
    let records: Vec<_> = chain(12).iter().map(|block| record(block)).collect();
    let (clean, starts) = file(&records);
    for seed in 0..300 {
        let (mut rng, mut bytes) = (Rng(seed), clean.clone());
        let mut touched = [false; 12];
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(bytes.len());
            // Sizes and frames are hit more often than their share.
            let record = starts.partition_point(|start| *start <= at) - 1;
            let at = if rng.chance(60) { starts[record] + rng.below(9) } else { at };
            bytes[at] = rng.below(256) as u8;
            touched[record] = true;
        }
        let index = scan_of(&bytes);
        let found = starts_of(&index);
        for record in 0..12 {
            assert!(touched[record] || found.contains(&starts[record]), "seed {seed}: record {record} of {touched:?}");
        }
        for pair in index.records.windows(2) {
            assert!(pair[0].end() <= pair[1].at, "seed {seed}");
        }
    }
}

#[test]
fn a_hole_and_what_it_cuts_are_pruned_and_no_damage() {
    let blocks = chain(60);
    let (mut bytes, starts) = file(&blocks.iter().map(|block| record(block)).collect::<Vec<_>>());
    assert!(starts[60] > 3 * 8_192);
    // From the middle of one record to the middle of another.
    let first = starts.iter().position(|start| *start > 8_192).unwrap() - 1;
    let second = starts.iter().position(|start| *start > 16_384).unwrap() - 1;
    bytes[8_192..16_384].fill(0);
    let (hole, inside) = (8_192..16_384, 100..120);
    let index = scan_with(&bytes, from_ref(&hole));
    let gap = damage(starts[first], starts[second + 1]);
    assert_eq!((&index.pruned[..], &index.damage[..]), (&[gap][..], &[][..]));
    assert_eq!(starts_of(&index), [&starts[..first], &starts[second + 1..60]].concat());
    assert_eq!(index.end, starts[60] as u64);
    // The same zeros with no hole are damage, and what is cut in front is taken for a record until it is read.
    let index = scan_of(&bytes);
    assert!(index.pruned.is_empty() && !index.damage.is_empty());
    // A hole in a block that is whole: its zeros were zeros before.
    let index = scan_with(&file(&[record(&blocks[3])]).0, from_ref(&inside));
    assert_eq!((starts_of(&index), index.pruned.len()), (vec![0], 0));
}

#[test]
fn a_hole_is_not_read() {
    let blocks = chain(3);
    let (mut bytes, starts) = file(&[record(&blocks[0]), record(&blocks[1])]);
    let hole = 4_096 * 10..4_096 * 100_000;
    let end = hole.end + starts[1] as u64;
    bytes.truncate(starts[1]);
    let mut count = 0;
    let read = |at: u64, buffer: &mut [u8]| {
        assert!(!hole.contains(&at), "a read at {at}");
        let rest = if at >= hole.end { &bytes[((at - hole.end) as usize).min(bytes.len())..] } else { &[] };
        let first = if at < bytes.len() as u64 { &bytes[at as usize..] } else { rest };
        let got = first.len().min(buffer.len());
        buffer[..got].copy_from_slice(&first[..got]);
        count += 1;
        // Up to the end of the file there are zeros.
        let all = buffer.len().min((end - at.min(end)) as usize);
        buffer[got..all].fill(0);
        Ok::<_, Infallible>(all)
    };
    let Ok(index) = scan(regtest(), 0, end, from_ref(&hole), read, |_| {});
    assert_eq!(starts_of(&index), [0, hole.end as usize]);
    assert_eq!(index.pruned, [damage(starts[1], hole.end as usize)]);
    assert!(count < 10, "{count} reads");
}
