//! Decides how the data is read: where it lies, how it is packed. Never knows what it should say.

use bytes::Bytes;
use consensus::{Block, Header, Network, Params};
use std::io::Write as _;
use std::path::PathBuf;

/// The file of that path in `CAESURE_DATA`, or beside the workspace; unpacked. Where it is missing that is said, and
/// in CI it is an error.
pub fn file(path: &str) -> Option<Vec<u8>> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let full = std::env::var_os("CAESURE_DATA").map_or_else(beside, PathBuf::from).join(path);
    if !full.exists() {
        return missing(&full.display().to_string());
    }
    Some(unpacked(&full))
}

pub fn missing<T>(what: &str) -> Option<T> {
    assert!(std::env::var_os("CI").is_none(), "CI must compare with {what}");
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what} is not there");
    None
}

pub fn unpacked(path: &std::path::Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let mut out = Vec::new();
    match path.extension().and_then(|ext| ext.to_str()) {
        Some("zst") => return zstd::decode_all(&bytes[..]).unwrap(),
        Some("bz2") => std::io::copy(&mut bzip2::read::BzDecoder::new(&bytes[..]), &mut out).unwrap(),
        Some("xz") => std::io::copy(&mut lzma_rust2::XzReader::new(&bytes[..], true), &mut out).unwrap(),
        _ => return bytes,
    };
    out
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
