//! Checkpoints that are whole, cut, bent, too long; which are kept.

use super::*;

const HEAD: Head = Head { network: [1, 2, 3, 4], partition: 200, height: 800_123, block: BlockHash([7; 32]) };

fn pieces() -> Vec<Vec<u8>> {
    [1, 300, CHUNK_BYTES_MAX, 5].iter().enumerate().map(|(i, len)| vec![i as u8 + 1; *len]).collect()
}

fn file() -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::begin(&HEAD, &mut out);
    pieces().iter().for_each(|piece| writer.piece(piece, &mut out));
    writer.end(77, &mut out);
    out
}

/// Reads it in parts of that many bytes: pieces and coins.
fn read(bytes: &[u8], part: usize) -> Result<(Vec<Vec<u8>>, u64), Damage> {
    let (mut reader, mut found, mut parts) = (Reader::default(), Vec::new(), bytes.chunks(part));
    loop {
        match reader.piece()? {
            Next::Head(head) => assert_eq!((head, found.len()), (HEAD, 0)),
            Next::Piece(bytes) => found.push(bytes.to_vec()),
            Next::End(coins) if parts.len() == 0 => return Ok((found, coins)),
            Next::End(_) | Next::More => match parts.next() {
                Some(bytes) => reader.feed(bytes),
                None => return Err(reader.short()),
            },
        }
    }
}

#[test]
fn what_is_written_is_read_however_it_comes() {
    let bytes = file();
    assert_eq!(head(bytes.first_chunk().unwrap()), Ok(HEAD));
    for part in [1, 7, 100, 4_096, bytes.len()] {
        assert_eq!(read(&bytes, part), Ok((pieces(), 77)), "parts of {part}");
    }
    let mut empty = Vec::new();
    Writer::begin(&HEAD, &mut empty).end(0, &mut empty);
    assert_eq!(read(&empty, 10), Ok((vec![], 0)));
}

#[test]
fn what_is_not_whole_is_damaged() {
    let bytes = file();
    let places = (0..HEAD_LEN + 400).chain(bytes.len() - 400..bytes.len());
    for at in places.clone() {
        assert!(matches!(read(&bytes[..at], 4_096), Err(Damage::Short { at: end }) if end == at as u64), "cut at {at}");
        let mut bent = bytes.clone();
        bent[at] ^= 0x10;
        assert!(read(&bent, 4_096).is_err(), "byte {at}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(read(&longer, 4_096), Err(Damage::Long { at: bytes.len() as u64 }));
    // A piece that is missing, and two that have changed places.
    let (first, second) = (HEAD_LEN, HEAD_LEN + PIECE_HEAD_LEN + 1);
    let third = second + PIECE_HEAD_LEN + 300;
    assert!(read(&[&bytes[..first], &bytes[second..]].concat(), 4_096).is_err());
    let swapped = [&bytes[..first], &bytes[second..third], &bytes[first..second], &bytes[third..]].concat();
    assert!(read(&swapped, 4_096).is_err());
    assert_eq!(read(b"something else that is as long as a head is, and a bit longer", 9), Err(Damage::Title));
    let mut long = bytes.clone();
    long[first..first + 4].copy_from_slice(&(CHUNK_BYTES_MAX as u32 + 1).to_le_bytes());
    let len = CHUNK_BYTES_MAX as u32 + 1;
    assert_eq!(read(&long, 4_096), Err(Damage::Length { at: HEAD_LEN as u64, len }));
}

#[test]
fn two_are_kept_of_which_one_is_old() {
    for (heights, gap, gone) in [
        (&[][..], 1_000, &[][..]),
        (&[5], 1_000, &[]),
        (&[5, 900], 1_000, &[]),
        (&[5, 900, 950], 1_000, &[900]),
        (&[5, 900, 1_006], 1_000, &[900]),
        (&[5, 900, 1_900], 1_000, &[5]),
        (&[5, 900, 1_899], 1_000, &[900]),
        (&[5, 900, 1_006, 3_000], 1_000, &[5, 900]),
        (&[5, 6], 0, &[]),
        (&[5, 6, 7], 0, &[5]),
    ] {
        assert_eq!(superfluous(heights, gap), gone, "{heights:?}, gap {gap}");
    }
}
