//! Real blocks that lie beside the project, if they do: where each contiguous chain is, how to read it, and what Bitcoin
//! Core 31.99 says of it. Nothing of them is kept; a test that misses them says so.

use crate::binary::workspace;
use std::path::PathBuf;

/// How blocks lie in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Records with magic and size.
    Records,
    /// The same, compressed by bzip2.
    Bzip2,
    /// A block of hex on each line, compressed by zstd where the name ends so.
    Lines,
    /// JSON with blocks in hex, under `block` in a list or `blocks`.
    Json,
}

/// A chain that begins with or just above its network's genesis.
#[derive(Clone, Copy, Debug)]
pub struct RealChain {
    /// Files, to be read in this order.
    pub files: &'static [&'static str],
    /// How they are written.
    pub form: Form,
    /// Network, as `--chain` names it.
    pub network: &'static str,
    /// Height of its tip.
    pub height: u32,
    /// Hash of its tip.
    pub tip: &'static str,
    /// Unspent coins there: `gettxoutsetinfo none` of Bitcoin Core 31.99, where it was asked.
    pub coins: Option<u64>,
}

/// All of them. Tips of those that are part of another chain are that chain's.
pub const CHAINS: [RealChain; 11] = [
    RealChain {
        files: &["mainnet-contiguous/blk00000.dat"],
        form: Form::Records,
        network: "main",
        height: 4312,
        tip: "00000000a9da635727dce622d78361b153ce3334e6a60d4377fad529abfc7863",
        coins: Some(4149),
    },
    RealChain {
        files: &["testnet-contiguous/testnet_blocks.txt.zst"],
        form: Form::Lines,
        network: "testnet3",
        height: 4000,
        tip: "00000000185b36fa6e406626a722793bea80531515e0b2a99ff05b73738901f1",
        coins: Some(4197),
    },
    RealChain {
        files: &["signet-contiguous/signet_blocks.json"],
        form: Form::Json,
        network: "signet",
        height: 120,
        tip: "0000013673a6d6169418a65dc888b51c10dd666ef0e82785515c2086476066ea",
        coins: Some(120),
    },
    RealChain {
        files: &["reorg-and-invalid/bitcoinkernel-block_data.txt.zst"],
        form: Form::Lines,
        network: "regtest",
        height: 206,
        tip: "3de082158b117acd088306c395d09771bb7cbf0b7355796c1b1e0bd748ef9bed",
        coins: Some(230),
    },
    RealChain {
        files: &["reorg-and-invalid/regtest_blocks.txt"],
        form: Form::Lines,
        network: "regtest",
        height: 150,
        tip: "4ddf4a47b50945bb53f5dc81c3ffb6fc709f363e202a6770cb35cade739b9c78",
        coins: Some(150),
    },
    RealChain {
        files: &["reorg-and-invalid/rpc_getblockstats.json"],
        form: Form::Json,
        network: "regtest",
        height: 103,
        tip: "7474991c2ae3c94c4813d75b4c752028304b773dd4dce8d460dfa2d1e7b542a3",
        coins: Some(107),
    },
    PART_OF_MAIN,
    RealChain { files: &["mainnet-contiguous/firstblocks.blk"], height: 589, tip: "", ..PART_OF_MAIN },
    RealChain {
        files: &["mainnet-contiguous/nbitcoin-blk00000.dat", "mainnet-contiguous/nbitcoin-blk00001.dat"],
        height: 599,
        tip: "",
        ..PART_OF_MAIN
    },
    RealChain { files: &["mainnet-contiguous/blocks1-256.bz2"], form: Form::Bzip2, height: 255, ..PART_OF_MAIN },
    RealChain { files: &["mainnet-contiguous/mainnet_blocks.txt"], form: Form::Lines, height: 175, ..PART_OF_MAIN },
];

const PART_OF_MAIN: RealChain = RealChain {
    files: &["mainnet-contiguous/first-100k-blocks.dat"],
    form: Form::Records,
    network: "main",
    height: 438,
    tip: "",
    coins: None,
};

/// The path of a file of real data; none, and a loud word, where it is not.
pub fn find(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CAESURE_DATA").map_or_else(|| workspace().join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    crate::aloud(&format!(
        "SKIPPED: {} is not there, so it was not compared (CAESURE_DATA names the folder)",
        path.display()
    ));
    None
}

impl RealChain {
    /// All its blocks as records; none where a file is missing.
    pub fn records(&self) -> Option<Vec<u8>> {
        let files: Vec<PathBuf> = self.files.iter().map(|file| find(file)).collect::<Option<_>>()?;
        let mut records = Vec::new();
        for file in files {
            let bytes = std::fs::read(&file).expect("it is there");
            let blocks = match self.form {
                Form::Records => {
                    records.extend(bytes);
                    continue;
                }
                Form::Bzip2 => {
                    std::io::Read::read_to_end(&mut bzip2::read::BzDecoder::new(&bytes[..]), &mut records)
                        .expect("bzip2");
                    continue;
                }
                Form::Lines if file.extension().is_some_and(|end| end == "zst") => {
                    lines(&zstd::decode_all(&bytes[..]).expect("zstd"))
                }
                Form::Lines => lines(&bytes),
                Form::Json => json(&bytes),
            };
            for block in blocks {
                records.extend(self.magic());
                records.extend((block.len() as u32).to_le_bytes());
                records.extend(block);
            }
        }
        Some(records)
    }

    /// The network's magic (Core `kernel/chainparams.cpp`).
    pub fn magic(&self) -> [u8; 4] {
        match self.network {
            "main" => [0xf9, 0xbe, 0xb4, 0xd9],
            "testnet3" => [0x0b, 0x11, 0x09, 0x07],
            "signet" => [0x0a, 0x03, 0xcf, 0x40],
            "regtest" => [0xfa, 0xbf, 0xb5, 0xda],
            other => panic!("no real chain of {other}"),
        }
    }
}

fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    let text = std::str::from_utf8(text).expect("hex");
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(unhex).collect()
}

fn json(text: &[u8]) -> Vec<Vec<u8>> {
    let all: serde_json::Value = serde_json::from_slice(text).expect("JSON");
    let list = all.as_array().or(all["blocks"].as_array()).expect("a list of blocks");
    list.iter().map(|item| unhex(item.as_str().or(item["block"].as_str()).expect("hex"))).collect()
}

/// Bytes written in hex.
pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex")).collect()
}

/// Bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |four: u8| char::from(b"0123456789abcdef"[usize::from(four)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
