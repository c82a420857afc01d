//! Decides whether real headers follow one another, and whether the others do not.

use crate::files::{file, header, hex, main_params};
use consensus::*;

/// A chain of headers, each checked on those before it. Rules that need what lies below the first
/// are not asked: median times for eleven blocks, bits up to the second retarget.
pub struct Chain {
    pub params: &'static Params,
    pub base: u32,
    pub headers: Vec<Header>,
}

impl Chain {
    pub fn mtp(&self) -> u32 {
        let mut times: Vec<_> = self.headers.iter().rev().take(11).map(|header| header.time).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    fn next_bits(&self, time: u32) -> Option<u32> {
        let parent_height = self.base + self.headers.len() as u32 - 1;
        let period = (parent_height + 1) / self.params.interval() * self.params.interval();
        let oldest = period.saturating_sub(self.params.interval());
        let needed = if (parent_height + 1) == period { oldest } else { parent_height };
        let ancestor = |height: u32| self.headers[(height - self.base) as usize];
        let known = self.base == 0 || needed >= self.base;
        known.then(|| next_bits(self.params, self.headers.last().unwrap(), parent_height, ancestor, time))
    }

    pub fn push(&mut self, header: Header) -> Result<(), Rule> {
        let (hash, parent) = (header.hash(), *self.headers.last().unwrap());
        assert_eq!(header.prev, parent.hash());
        check_header(&HeaderCx {
            params: self.params,
            height: self.base + self.headers.len() as u32,
            header: &header,
            hash,
            parent: &parent,
            mtp_parent: if self.base == 0 || self.headers.len() >= 11 { self.mtp() } else { 0 },
            next_bits: self.next_bits(header.time).unwrap_or(header.bits),
            now_unix: u64::from(header.time),
        })?;
        self.headers.push(header);
        Ok(())
    }
}

/// How many headers of a file follow the first (or the genesis block, for a base of 0). A file of
/// text holds blocks or headers in hex, a line each.
fn headers_follow(path: &str, skip: usize, network: Network, base: u32) -> Option<usize> {
    let (bytes, params) = (file(path)?, Params::of(network));
    let mut headers: Vec<_> = match std::str::from_utf8(&bytes) {
        Ok(text) => {
            text.lines().map(|line| line.get(..160)).map_while(|line| line.map(hex)).map(|h| header(&h)).collect()
        }
        Err(_) => bytes[skip..].as_chunks::<80>().0.iter().map(Header::parse).collect(),
    };
    let first = if base == 0 { params.genesis } else { headers[0] };
    if headers[0] == first {
        headers.remove(0);
    }
    let mut chain = Chain { params, base, headers: vec![first] };
    for header in headers {
        let height = base as usize + chain.headers.len();
        assert_eq!(chain.push(header), Ok(()), "{path} at {height}");
    }
    Some(chain.headers.len())
}

#[test]
fn real_headers_follow_one_another() {
    for (path, skip, network, base, count) in [
        ("headers/mainnet_headers.bin", 4, Network::Main, 0, 32_261),
        ("headers/mainnet_blocks_40000-50000.raw", 0, Network::Main, 40_000, 10_000),
        ("headers/ckb-mainnet-headers-822528-830592.bin", 0, Network::Main, 822_528, 8_065),
        ("headers/mainnet_headers_859303.bin", 4, Network::Main, 859_303, 3_548),
        ("headers/signet_headers.zst", 0, Network::Signet, 0, 2_016),
        ("headers/testnet4-headers.bin", 0, Network::Testnet4, 0, 101),
        ("testnet-contiguous/testnet_blocks.txt.zst", 0, Network::Testnet3, 0, 4_001),
    ] {
        let Some(found) = headers_follow(path, skip, network, base) else {
            continue;
        };
        assert_eq!(found, count, "{path}");
    }
}

/// Testnet3's block 3,802,509 came 20 minutes and a second after its parent and is easy; a second earlier it would have had to be
/// as hard as its parent.
#[test]
fn an_easy_block_of_testnet3() {
    let of = |name: &str| Some(header(&hex(std::str::from_utf8(&file(name)?[..160]).unwrap())));
    let hard = of("testnet-blocks/0000000000000006200009cf36af2bbcb1362b887b4e2625113b6b44327435b8.hex.zst");
    let easy = of("testnet-blocks/00000000055a5c34a021ab3b1f3f6f0304b403775feb9e5a235dc7f724c5833f.hex.zst");
    let (Some(hard), Some(easy)) = (hard, easy) else { return };
    assert_eq!(easy.prev, hard.hash());
    let params = Params::of(Network::Testnet3);
    let bits = |time| next_bits(params, &hard, 3_802_508, |_| panic!("the parent is hard itself"), time);
    assert_eq!((bits(easy.time), easy.bits), (easy.bits, bits_of(params.pow_limit)));
    assert_eq!(bits(hard.time + 1_200), hard.bits);
    assert!(meets_target(&easy.hash(), easy.bits, params) && !meets_target(&easy.hash(), hard.bits, params));
}

/// The first and last header of every period of mainnet up to height 832,608.
#[test]
fn every_retarget_of_mainnet() {
    let Some(bytes) = file("headers/ckb-mainnet-diff-change-0-832608.bin") else {
        return;
    };
    let records: Vec<(u32, Header)> = bytes
        .chunks_exact(84)
        .map(|record| (u32::from_le_bytes(record[..4].try_into().unwrap()), header(&record[4..])))
        .collect();
    let mut retargets = 0;
    for three in records.windows(3).step_by(2) {
        let &[(first_height, first), (height, last), (next_height, next)] = three else { panic!() };
        assert_eq!((first_height + 2015, height + 1), (height, next_height));
        let ancestor = |at| {
            assert_eq!(at, first_height);
            first
        };
        assert_eq!(next_bits(main_params(), &last, height, ancestor, next.time), next.bits, "{next_height}");
        assert!(permitted_transition(main_params(), next_height, last.bits, next.bits), "{next_height}");
        retargets += 1;
    }
    assert_eq!(retargets, 413);
}

fn base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let bits = text.bytes().flat_map(|c| (0..6).rev().map(move |bit| value(c) >> bit & 1)).collect::<Vec<_>>();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit)).collect()
}

/// bitcoinj's checkpoints: chain work (12 bytes, big-endian), height and header at each retarget.
#[test]
fn chain_work_of_mainnet() {
    let Some(text) = file("headers/org.bitcoin.production.checkpoints.txt") else {
        return;
    };
    let text = String::from_utf8(text).unwrap();
    let (mut sum, mut bits, mut height) = (U256::ZERO, main_params().genesis.bits, 0);
    for line in text.lines().skip(3) {
        let record = base64(line);
        let work: String = record[..12].iter().map(|byte| format!("{byte:02x}")).collect();
        height += 2016;
        assert_eq!(u32::from_be_bytes(record[12..16].try_into().unwrap()), height);
        sum = sum.saturating_add(work_of(bits).wrapping_mul_u32(2016));
        bits = header(&record[16..96]).bits;
        assert_eq!(sum.saturating_add(work_of(bits)), work.parse().unwrap(), "{height}");
    }
    assert_eq!(height, 878_976);
    assert!(sum < main_params().min_chain_work);
}

/// Another chain's headers prove their work, but not the work that was asked for.
#[test]
fn headers_of_bsv_are_refused() {
    let Some(bytes) = file("headers/bsv-886001_888000_headers.bin") else {
        return;
    };
    let headers: Vec<_> = bytes.as_chunks::<80>().0.iter().map(Header::parse).collect();
    let mut refused = 0;
    for pair in headers.windows(2) {
        let mut chain = Chain { params: main_params(), base: 886_001, headers: vec![pair[0]] };
        let verdict = chain.push(pair[1]);
        assert_eq!(verdict, if pair[0].bits == pair[1].bits { Ok(()) } else { Err(Rule::BadDiffbits) });
        refused += usize::from(verdict.is_err());
    }
    assert!(refused > 1_900, "{refused}");
}
