//! The digest over sorted coins, made a second time from its description alone, and Bitcoin Core's own listing of coins
//! (the file that `dumptxoutset` writes) to make it from.

use bitcoin_hashes::Sha256;

/// An unspent output.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Coin {
    /// The transaction that made it, as in memory.
    pub txid: [u8; 32],
    /// Which of its outputs.
    pub vout: u32,
    /// Height of the block that made it.
    pub height: u32,
    /// Whether a coinbase made it.
    pub coinbase: bool,
    /// Satoshi.
    pub value: u64,
    /// scriptPubKey.
    pub script: Vec<u8>,
}

/// SHA-256 over the digests of 256 parts, coins going by the first byte of their txid; each part's over its coins in the
/// order of (txid, index): txid, index, height times two plus coinbase, value, length of script, script.
pub fn digest(mut coins: Vec<Coin>) -> String {
    coins.sort();
    let mut parts = vec![Vec::new(); 256];
    for coin in &coins {
        let part = &mut parts[usize::from(coin.txid[0])];
        part.extend(coin.txid);
        part.extend(coin.vout.to_le_bytes());
        part.extend((coin.height * 2 + u32::from(coin.coinbase)).to_le_bytes());
        part.extend(coin.value.to_le_bytes());
        part.extend((coin.script.len() as u32).to_le_bytes());
        part.extend(&coin.script);
    }
    let digests: Vec<u8> = parts.iter().flat_map(|part| Sha256::hash(part).to_byte_array()).collect();
    Sha256::hash(&digests).to_byte_array().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The coins of a snapshot (Core `node/utxo_snapshot.h`, `rpc/blockchain.cpp`, `coins.h`, `compressor.h`).
///
/// ```text
/// "utxo" ff | version u16 | magic 4 | block hash 32 | coins u64 | then for each transaction:
/// txid 32 | count | for each coin: index | height * 2 + coinbase | amount | script     (numbers of variable length)
/// ```
pub fn snapshot(bytes: &[u8]) -> Vec<Coin> {
    let mut file = Bytes(bytes);
    assert_eq!(file.take(5), b"utxo\xff");
    assert_eq!(file.take(2), [2, 0], "the version this was written for");
    file.take(4 + 32);
    let count = u64::from_le_bytes(file.take(8).try_into().expect("8 bytes"));
    let mut coins = Vec::new();
    while (coins.len() as u64) < count {
        let txid = file.take(32).try_into().expect("32 bytes");
        for _ in 0..file.compact() {
            let vout = file.compact() as u32;
            let code = file.varint();
            let value = amount(file.varint());
            let script = file.script();
            coins.push(Coin { txid, vout, height: (code >> 1) as u32, coinbase: code & 1 == 1, value, script });
        }
    }
    assert!(file.0.is_empty(), "{} bytes behind the last coin", file.0.len());
    coins
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(count);
        self.0 = tail;
        head
    }

    fn compact(&mut self) -> u64 {
        let size = match self.take(1)[0] {
            small @ ..0xfd => return small.into(),
            0xfd => 2,
            0xfe => 4,
            0xff => 8,
        };
        self.take(size).iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    /// Core's own: seven bits a byte, most significant first, one added for each byte that follows.
    fn varint(&mut self) -> u64 {
        let mut sum = 0;
        loop {
            let byte = self.take(1)[0];
            sum = sum << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return sum;
            }
            sum += 1;
        }
    }

    /// Six common forms have numbers below 6; others are preceded by their length plus 6.
    fn script(&mut self) -> Vec<u8> {
        match self.varint() {
            0 => [&[0x76, 0xa9, 20], self.take(20), &[0x88, 0xac]].concat(),
            1 => [&[0xa9, 20], self.take(20), &[0x87]].concat(),
            parity @ 2..=3 => [&[33, parity as u8], self.take(32), &[0xac]].concat(),
            parity @ 4..=5 => {
                let compressed = [&[parity as u8 - 2], self.take(32)].concat();
                let key = secp256k1::PublicKey::from_slice(&compressed).expect("a point on the curve");
                [&[65], &key.serialize_uncompressed()[..], &[0xac]].concat()
            }
            long => self.take(long as usize - 6).to_vec(),
        }
    }
}

/// 0, or 1 + 10 (9 n + d − 1) + e for (10 n + d) 10^e with a last digit d, or 1 + 10 (n − 1) + 9 for n 10^9.
fn amount(packed: u64) -> u64 {
    if packed == 0 {
        return 0;
    }
    let (rest, exponent) = ((packed - 1) / 10, (packed - 1) % 10);
    let mantissa = if exponent < 9 { rest / 9 * 10 + rest % 9 + 1 } else { rest + 1 };
    mantissa * 10_u64.pow(exponent as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs from Core `test/compress_tests.cpp`.
    #[test]
    fn amounts_unpack() {
        let (cent, coin) = (1_000_000, 100_000_000);
        for (value, packed) in
            [(0, 0), (1, 1), (cent, 7), (coin, 9), (50 * coin, 0x32), (21_000_000 * coin, 0x0140_6f40)]
        {
            assert_eq!(amount(packed), value, "{packed:#x}");
        }
    }

    /// Values from Core `test/serialize_tests.cpp`: 0, 0x7f, 0x80, 0x1234, 0xffff, 0x123456.
    #[test]
    fn numbers_unpack() {
        for (bytes, value) in [
            (&[0u8][..], 0),
            (&[0x7f], 0x7f),
            (&[0x80, 0x00], 0x80),
            (&[0xa3, 0x34], 0x1234),
            (&[0x82, 0xfe, 0x7f], 0xffff),
            (&[0xc7, 0xe7, 0x56], 0x123456),
        ] {
            assert_eq!(Bytes(bytes).varint(), value);
        }
    }
}
