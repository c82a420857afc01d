//! Held against bitcoin_hashes, which has other code: all lengths around the edges of blocks, in every lane, in every company.

use super::*;

/// Bytes without a pattern: each depends on its place and on which message it is in.
fn message(number: usize, len: usize) -> Vec<u8> {
    let mut seed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn check(mut batch: Batch, lens: &[usize]) {
    let messages: Vec<Vec<u8>> = lens.iter().enumerate().map(|(number, len)| message(number, *len)).collect();
    for message in &messages {
        // In three parts, as a transaction without its witness is.
        let (head, rest) = message.split_at(message.len() / 3);
        let (body, tail) = rest.split_at(rest.len() / 2);
        batch.push(&[head, body, tail]);
    }
    let wanted: Vec<[u8; 32]> = messages.iter().map(|message| sha256d::hash(message).to_byte_array()).collect();
    let found = batch.hashes();
    for (number, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
        assert_eq!(found, wanted, "number {number} of {}, {} bytes", lens.len(), lens[number]);
    }
    assert_eq!(found.len(), wanted.len());
    assert_eq!(batch.hashes(), [[0; 32]; 0], "each is given once");
}

fn all_kinds() -> Vec<Batch> {
    if !zmm::is_there() {
        eprintln!("SKIPPED: this processor has no AVX-512, so lanes were not compared");
    }
    vec![Batch { lanes: false, ..Batch::default() }, Batch::default()]
}

#[test]
fn every_length_in_every_company() {
    let long = BLOCKS_MAX * BLOCK;
    for (start, count) in [(0, 200), (long - 40, 80)] {
        // Alone, in groups that are full and that are not, with neighbours of other lengths.
        for company in [1, 3, 4, 15, 16, 17, 33] {
            for lens in (start..start + count).collect::<Vec<_>>().chunks(company) {
                all_kinds().into_iter().for_each(|batch| check(batch, lens));
            }
        }
    }
    let mixed: Vec<usize> = (0..1_000).map(|n| (n * n * 7 + n) % 5_000).collect();
    all_kinds().into_iter().for_each(|batch| check(batch, &mixed));
}

#[test]
fn every_number_of_pairs() {
    for count in 0..100 {
        let pairs: Vec<[u8; 64]> = (0..count).map(|number| *message(number, 64).first_chunk().unwrap()).collect();
        let mut found = vec![[0; 32]; count];
        super::pairs(&pairs, &mut found);
        let wanted: Vec<[u8; 32]> = pairs.iter().map(|pair| sha256d::hash(pair).to_byte_array()).collect();
        assert_eq!(found, wanted, "{count}");
    }
}

/// The only transaction of the genesis block, from its own bytes: what Bitcoin calls it is known.
#[test]
fn one_that_everybody_knows() {
    let text = b"The Times 03/Jan/2009 Chancellor on brink of second bailout for banks";
    let key = "04678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f";
    let key: Vec<u8> = (0..key.len() / 2).map(|at| u8::from_str_radix(&key[2 * at..][..2], 16).unwrap()).collect();
    let input = [&[0; 32][..], &[0xff; 4], &[77, 4, 0xff, 0xff, 0, 0x1d, 1, 4, 69], text, &[0xff; 4]].concat();
    let output = [&5_000_000_000_u64.to_le_bytes()[..], &[67, 65], &key, &[0xac]].concat();
    let tx = [&[1, 0, 0, 0, 1][..], &input, &[1], &output, &[0; 4]].concat();
    for mut batch in all_kinds() {
        (0..LANES).for_each(|_| batch.push(&[&tx]));
        for hash in batch.hashes() {
            let shown: String = hash.iter().rev().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(shown, "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b");
        }
    }
}
