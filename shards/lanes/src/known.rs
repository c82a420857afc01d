//! Signatures that are known to be valid, and what becomes of them with one bit turned: for a test of every lane at every
//! start. Decides nothing but whether the lanes are right about them.

use crate::Row;
use crate::word::LANES;

/// Bytes from hexadecimal digits.
const fn hex<const BYTES: usize>(digits: &str) -> [u8; BYTES] {
    const fn digit(of: u8) -> u8 {
        match of {
            b'0'..=b'9' => of - b'0',
            b'a'..=b'f' => of - b'a' + 10,
            _ => panic!("a hexadecimal digit"),
        }
    }
    assert!(digits.len() == 2 * BYTES, "as many digits as are wanted");
    let (mut bytes, mut at) = ([0; BYTES], 0);
    while at < BYTES {
        bytes[at] = digit(digits.as_bytes()[2 * at]) << 4 | digit(digits.as_bytes()[2 * at + 1]);
        at += 1;
    }
    bytes
}

/// ECDSA with either parity of y and either half of s, made up; and the first two of BIP340's test vectors.
pub const VALID: [Row; 4] = [
    Row::Ecdsa {
        key: hex("02732beac3f258cf9d0f3a372e1dd7fe507707b137600953cfd53211b69a08f969"),
        r: hex("c284f5114a55af390ffea367776912347f2cdf760e921ac710f2f045888e8824"),
        s: hex("75abd3dc083aea797dc880db6d30c5eb47561b5bcd6ae6c3bc33792188ece21e"),
        message: hex("277cf1a358fd59238d1a81305b8ed68f695844e59ff80d6b0ad3529c745bdaee"),
    },
    Row::Schnorr {
        key: hex("f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"),
        signature: hex("e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca8215\
             25f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900d310536c0"),
        message: [0; 32],
    },
    Row::Ecdsa {
        key: hex("03f039fdcdb728efbbddf4ee452419a988497debb7bd1b42644c5fa66e9af8c8b6"),
        r: hex("5aadc7870ad62779ebedd55d9579b0dc24b7fcbc70950e2da4c6ba2139628966"),
        s: hex("95a1632b4f480584d417d026674d8036b5ef5e897af974bd25df8288f773185c"),
        message: hex("3deb40e9c2a7cf2113ea0d7cd5b1f820b3cfbfd1e0f3a91f7ea690c3c4870e90"),
    },
    Row::Schnorr {
        key: hex("dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659"),
        signature: hex("6896bd60eeae296db48a229ff71dfe071bde413e6d43f917dc8dcf8c78de3341\
             8906d11ac976abccb20b091292bff4ea897efcb639ea871cfa95f6de339e4b0a"),
        message: hex("243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89"),
    },
];

/// Key, r, s and message.
pub const PARTS: usize = 4;

/// The same with one bit of a part turned; of an ECDSA key the one that says which y, of the others the lowest.
pub fn spoiled(mut row: Row, part: usize) -> Row {
    match &mut row {
        Row::Ecdsa { key, r, s, message } => match part {
            0 => key[0] ^= 1,
            1 => r[31] ^= 1,
            2 => s[31] ^= 1,
            _ => message[31] ^= 1,
        },
        Row::Schnorr { key, signature, message } => match part {
            0 => key[31] ^= 1,
            1 => signature[31] ^= 1,
            2 => signature[63] ^= 1,
            _ => message[31] ^= 1,
        },
    }
    row
}

/// Whether it proves all of them in every lane, in one group and in two, and in every lane none that is spoiled, while its
/// neighbours stay proven.
pub fn right(prove: &mut dyn FnMut(&[Row], &mut [bool])) -> bool {
    let mut proven = [false; 2 * LANES];
    for count in [LANES, 2 * LANES] {
        for shift in 0..VALID.len() {
            let mut rows = [VALID[0]; 2 * LANES];
            rows.iter_mut().enumerate().for_each(|(lane, row)| *row = VALID[(lane + shift) % VALID.len()]);
            let (rows, proven) = (&mut rows[..count], &mut proven[..count]);
            prove(rows, proven);
            if proven.contains(&false) {
                return false;
            }
            for lane in 0..count {
                // Another signature and another part of it in each lane for each shift.
                let (row, part) = (rows[lane], (shift + lane / VALID.len()) % PARTS);
                rows[lane] = spoiled(row, part);
                prove(rows, proven);
                rows[lane] = row;
                if proven.iter().enumerate().any(|(other, proven)| *proven == (other == lane)) {
                    return false;
                }
            }
        }
    }
    true
}
