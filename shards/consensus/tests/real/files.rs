//! Decides how the data is read: where it lies, how it is packed. Never knows what it should say.

use bytes::Bytes;
use consensus::{Block, Header, Network, Params};
use std::io::Write as _;
use std::path::PathBuf;

pub fn file(path: &str) -> Option<Vec<u8>> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let full = std::env::var_os("CAESURE_DATA").map_or_else(beside, PathBuf::from).join(path);
    let read = std::fs::read(&full);
    if read.is_err() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {} is not there", full.display());
    }
    let bytes = read.ok()?;
    Some(match full.extension().and_then(|ext| ext.to_str()) {
        Some("zst") => zstd::decode_all(&bytes[..]).unwrap(),
        Some("bz2") => {
            let mut out = Vec::new();
            std::io::copy(&mut bzip2::read::BzDecoder::new(&bytes[..]), &mut out).unwrap();
            out
        }
        _ => bytes,
    })
}

pub fn hex(text: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).unwrap() as u8;
    text.trim().as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// The blocks of a file: raw, records of a network's magic and a length, or lines of hex.
pub fn blocks(bytes: Vec<u8>) -> Vec<Block> {
    let is_magic = |at: &[u8]| Network::ALL.iter().any(|network| at.starts_with(&Params::of(*network).magic));
    let mut raw: Vec<Bytes> = Vec::new();
    if is_magic(&bytes) {
        let mut rest = &bytes[..];
        while is_magic(rest) {
            let len = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
            let Some(record) = rest.get(8..8 + len) else {
                break;
            };
            raw.push(record.to_vec().into());
            rest = &rest[8 + len..];
        }
    } else if bytes[..80].iter().all(u8::is_ascii_hexdigit) {
        raw.extend(String::from_utf8(bytes).unwrap().lines().map(|line| Bytes::from(hex(line))));
    } else {
        raw.push(bytes.into());
    }
    raw.into_iter().map(|bytes| Block::parse(bytes).unwrap()).collect()
}

pub fn header(bytes: &[u8]) -> Header {
    Header::parse(bytes.try_into().unwrap())
}

pub fn main_params() -> &'static Params {
    Params::of(Network::Main)
}
