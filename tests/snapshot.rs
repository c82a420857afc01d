//! Coins as Bitcoin Core lists and hashes them: its snapshots read by us, written by us byte for byte, and both of its
//! hashes over them. `BITCOIND` names the binary; without it nothing is compared, and that is said.

use caesure_bench::block::{Block, coinbase};
use caesure_bench::chain::{SPACING, Spec};
use caesure_bench::tx::TxOut;
use caesure_tests::binary::run;
use caesure_tests::core::{Core, bitcoind};
use caesure_tests::data::hex;
use caesure_tests::{Folder, Line, Node, Setup, digest, made, poll};
use consensus::{CoinView, OutPoint, Txid};
use ledger::hash_serialized::{HashSerialized, put_coin};
use ledger::muhash::MuHash;
use ledger::snapshot::{COIN_BYTES_MAX, Malformed, Metadata, Reader, Writer};
use secp256k1::{PublicKey, SecretKey};
use serde_json::json;

const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];
/// Outputs whose indices have three bytes as a VARINT: Core's database has them in another order than that of numbers.
const MANY: usize = 16_512 + 300;
/// How often the snapshot is damaged.
const DAMAGED: usize = 100_000;

fn decompress(key: &[u8; 33]) -> Option<[u8; 65]> {
    PublicKey::from_slice(key).ok().map(|key| key.serialize_uncompressed())
}

fn p2pk(key: &[u8]) -> Vec<u8> {
    [&[key.len() as u8], key, &[0xac]].concat()
}

/// Scripts next to every form that Core shortens, that may be coins.
fn odd_scripts() -> Vec<Vec<u8>> {
    let keys: Vec<PublicKey> = (1..=8).map(|n| SecretKey::from_secret_bytes([n; 32]).unwrap().public_key()).collect();
    let mut scripts: Vec<Vec<u8>> = keys.iter().map(|key| p2pk(&key.serialize_uncompressed())).collect();
    let parities: Vec<u8> = keys.iter().map(|key| key.serialize_uncompressed()[64] & 1).collect();
    assert!(parities.contains(&0) && parities.contains(&1), "both ways to write them: {parities:?}");
    scripts.extend(keys.iter().map(|key| p2pk(&key.serialize())));
    // No point at all: with this x, with this y; with a y of the other parity; hybrid.
    let x = (0..).map(|n| [n; 32]).find(|x| decompress(&[&[2], &x[..]].concat().try_into().unwrap()).is_none());
    let off_curve = x.expect("half of all x have no point");
    scripts.push(p2pk(&[&[4], &off_curve[..], &[7; 32]].concat()));
    scripts.push(p2pk(&[&[2], &off_curve[..]].concat()));
    for (at, bit) in [(64, 1), (64, 2), (33, 0x80), (0, 2), (0, 3)] {
        let mut key = keys[0].serialize_uncompressed();
        key[at] ^= bit;
        scripts.push(p2pk(&key));
    }
    let p2pkh = [&[0x76, 0xa9, 20], &[5; 20][..], &[0x88, 0xac]].concat();
    let p2sh = [&[0xa9, 20], &[5; 20][..], &[0x87]].concat();
    for script in [&p2pkh, &p2sh] {
        scripts.extend([script.clone(), script[..script.len() - 1].to_vec(), [&script[..], &[0x61]].concat()]);
    }
    // Bare multisig, one of two.
    let two = [p2pk(&keys[0].serialize()), p2pk(&keys[1].serialize())].map(|mut push| {
        push.pop();
        push
    });
    scripts.push([&[0x51], &two.concat()[..], &[0x52, 0xae]].concat());
    scripts.extend([0, 1, 121, 122, 252, 253, 9_999, 10_000].map(|len| vec![0x61; len]));
    scripts
}

/// A block whose coinbase makes these.
fn block_of(line: &Line, outputs: Vec<TxOut>) -> Block {
    let height = line.height() + 1;
    let time = line.header(line.height() as usize).time + SPACING;
    Block::assemble(line.tip().0, time, coinbase(height, outputs, &[1]), vec![])
}

/// Gives each coin to `each`, reading in pieces of some length.
fn read(bytes: &[u8], height: u32, piece: usize, mut each: impl FnMut(OutPoint, CoinView)) -> Result<u64, Malformed> {
    let (first, rest) = bytes.split_first_chunk().expect("a head");
    let mut reader = Reader::new(&Metadata::parse(first, MAGIC)?, height, decompress);
    let (mut start, mut count) = (0, 0);
    for end in (0..rest.len()).step_by(piece).map(|end| (end + piece).min(rest.len())) {
        let mut held = &rest[start..end];
        while let Some((outpoint, coin)) = reader.next(&mut held)? {
            each(outpoint, coin);
            count += 1;
        }
        assert!(held.len() < COIN_BYTES_MAX);
        start = end - held.len();
    }
    reader.end().map(|()| count)
}

/// Has Core write a snapshot and hash its coins, and does the same; gives the snapshot and the coins in it.
fn compare(core: &Core, line: &Line) -> (Vec<u8>, Vec<digest::Coin>) {
    let path = core.folder.join(&format!("at-{}", line.height()));
    let dumped = core.call("dumptxoutset", json!([path.to_str(), "latest"]));
    let bytes = std::fs::read(path).unwrap();
    let head = Metadata::parse(bytes.first_chunk().unwrap(), MAGIC).unwrap();
    assert_eq!((head.base, head.coins), (line.tip(), dumped["coins_written"].as_u64().unwrap()));

    let mut coins = Vec::new();
    let (mut in_order_of_file, mut parts) = (HashSerialized::default(), vec![MuHash::default(); 3]);
    let count = read(&bytes, line.height(), 4_096, |outpoint, coin| {
        let CoinView { value, height, coinbase, script } = coin;
        let mut member = Vec::new();
        put_coin(&mut member, &outpoint, &coin);
        parts[coins.len() % 3].insert(&member);
        in_order_of_file.add(&outpoint, &coin);
        let OutPoint { txid, vout } = outpoint;
        coins.push(digest::Coin { txid: txid.0, vout, height, coinbase, value, script: script.to_vec() });
    });
    assert_eq!(count, Ok(head.coins));
    assert_eq!(coins, digest::snapshot(&bytes), "read a second way");

    // From coins in the order of numbers.
    let (mut in_order, mut writer, mut written) =
        (HashSerialized::default(), Writer::new(decompress), head.to_bytes().to_vec());
    let mut sorted = coins.clone();
    sorted.sort();
    for digest::Coin { txid, vout, height, coinbase, value, script } in &sorted {
        let outpoint = OutPoint { txid: Txid(*txid), vout: *vout };
        let coin = CoinView { value: *value, height: *height, coinbase: *coinbase, script };
        in_order.add(&outpoint, &coin);
        writer.add(&outpoint, &coin, &mut written);
    }
    writer.end(&mut written);
    assert!(written == bytes, "the same bytes");

    let hash = in_order.hash().to_string();
    assert_eq!(dumped["txoutset_hash"], hash);
    assert_eq!(core.call("gettxoutsetinfo", json!(["hash_serialized_3"]))["hash_serialized_3"], hash);
    assert_eq!(in_order_of_file.hash().to_string(), hash);
    let mut all = MuHash::default();
    parts.iter().for_each(|part| all.combine(part));
    assert_eq!(core.call("gettxoutsetinfo", json!(["muhash"]))["muhash"], all.hash().to_string());
    (bytes, coins)
}

/// What `caesure coins` says of a chain beside a node that has it, against Core's own words of the same.
fn tools(core: &Core, line: &Line, theirs: &[u8]) {
    let base = Folder::new();
    std::fs::create_dir(base.join("regtest")).unwrap();
    std::fs::write(base.join("regtest/blocks.bin"), line.records()).unwrap();
    let node = Node::start(&base, &Setup::regtest(&[]));
    node.wait_tip(&line.tip().to_string(), 60);
    let folder = base.text();
    let coins = |words: &[&str]| {
        let with = ["--chain", "regtest", "--no-pin", "--cores", "2", "-b", folder, "coins"];
        run(&[&with[..], words].concat())
    };
    let files = || {
        let file = |file: std::io::Result<std::fs::DirEntry>| {
            let file = file.unwrap();
            (file.file_name(), file.metadata().unwrap().len(), file.metadata().unwrap().modified().unwrap())
        };
        let mut files: Vec<_> = std::fs::read_dir(base.join("regtest")).unwrap().map(file).collect();
        files.sort();
        files
    };
    // A row for each record and each verdict: the last are written a moment after the tip is told.
    let whole = 12 + (97 + 13) * u64::from(line.height()) + 97;
    let index = || std::fs::metadata(base.join("regtest/blocks.idx")).map_or(0, |file| file.len());
    poll(60, || (index() == whole).then_some(())).unwrap_or_else(|| panic!("{} bytes of {whole}", index()));
    let before = files();

    let ours = base.join("ours.dat");
    let (status, said, why) = coins(&["dump", ours.to_str().unwrap()]);
    assert_eq!(status, 0, "{why}");
    assert!(std::fs::read(&ours).unwrap() == theirs, "the same file byte for byte\n{said}");
    assert_eq!(coins(&["dump", ours.to_str().unwrap()]).0, 2, "nothing is overwritten");

    let info = core.call("gettxoutsetinfo", json!(["muhash"]));
    let serialized = core.call("gettxoutsetinfo", json!(["hash_serialized_3"]));
    let (status, said, why) = coins(&["stats"]);
    assert_eq!(status, 0, "{why}");
    let told = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default();
    for name in ["height", "bestblock", "txouts", "transactions", "bogosize", "muhash"] {
        assert_eq!(told(name), info[name].to_string().trim_matches('"'), "{name}\n{said}");
    }
    assert_eq!(told("hash_serialized_3"), serialized["hash_serialized_3"]);
    assert_eq!(told("total_amount").parse::<f64>().unwrap(), info["total_amount"].as_f64().unwrap());

    let mut first = theirs[Metadata::LEN..][..32].to_vec();
    first.reverse();
    let txid = hex(&first);
    let found =
        (0..100).map(|vout| coins(&["get", &format!("{txid}:{vout}")])).find(|(_, said, _)| said.contains("value"));
    assert!(found.is_some_and(|(status, ..)| status == 0), "{txid} has a coin");
    assert!(coins(&["get", &format!("{txid}:77777")]).1.contains("is not unspent"));
    assert_eq!(coins(&["get", "nonsense"]).0, 2);

    assert_eq!(files(), before, "nothing of the node's was touched");
    assert_eq!(node.stop(), 0, "nor was it disturbed");
    let (status, _, why) = run(&["--chain", "regtest", "-b", base.join("none").to_str().unwrap(), "coins", "stats"]);
    assert!(status == 2 && why.contains("no node has run here"), "{why}");
}

/// Damages it in every way; whatever is read must not panic. Some damage is to what may be anything.
fn damage(clean: &[u8], height: u32) {
    let mut seed = 1_u64;
    let mut below = |bound: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % bound
    };
    let (mut whole, mut bytes) = (0, Vec::new());
    for _ in 0..DAMAGED {
        bytes.clear();
        bytes.extend_from_slice(clean);
        for _ in 0..1 + below(3) {
            let at = below(bytes.len());
            match below(5) {
                0 => bytes[at] ^= 1 << below(8),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xfd, 0xfe, 0xff][below(7)],
                2 => bytes.truncate(at.max(Metadata::LEN)),
                3 => drop(bytes.drain(at..(at + 1 + below(40)).min(bytes.len()))),
                _ => bytes.insert(at, below(256) as u8),
            }
            bytes.resize(bytes.len().max(Metadata::LEN), 0);
        }
        whole += usize::from(read(&bytes, height, 1 + below(20_000), |_, _| {}).is_ok());
    }
    assert!((DAMAGED / 100..DAMAGED).contains(&whole), "{whole} of {DAMAGED} were read to their end");
}

#[test]
fn snapshots_and_hashes_are_those_of_core() {
    let Some(bitcoind) = bitcoind() else { return };
    // All common types of scripts, spent and unspent.
    let mut line = made(&Spec { seed: 41, blocks: 120, txs: 300, empty_tail: 0 }, &[]).line();
    // Those that are odd, and three that are never coins, as the commitment behind them.
    let scripts = odd_scripts();
    let amounts = [0, 1, 546, 999, 1_000_000, 20_000_000, 12_345_678];
    let output = |(at, script): (usize, &Vec<u8>)| TxOut { value: amounts[at % 7], script: script.clone() };
    let mut outputs: Vec<TxOut> = scripts.iter().enumerate().map(output).collect();
    let never = [vec![0x6a], [&[0x6a, 4], &b"text"[..]].concat(), vec![0x61; 10_001]];
    outputs.splice(1..1, never.map(|script| TxOut { value: 5, script }));
    line.push(&block_of(&line, outputs));

    let folder = Folder::new();
    let file = folder.join("records");
    std::fs::write(&file, line.records()).unwrap();
    let core = Core::start(&bitcoind, &[format!("-loadblock={}", file.display()), "-connect=0".into()]);
    core.wait_tip(&line.tip().to_string(), 120);
    let (bytes, coins) = compare(&core, &line);
    let odd: Vec<_> = coins.iter().filter(|coin| coin.height == line.height()).map(|coin| &coin.script).collect();
    assert_eq!(odd, scripts.iter().collect::<Vec<_>>());
    assert!(coins.iter().any(|coin| !coin.coinbase) && coins.len() > 1_000);
    damage(&bytes, line.height());

    let many = block_of(&line, vec![TxOut { value: 0, script: vec![] }; MANY]);
    core.call("submitblock", json!([hex(&many.bytes())]));
    line.push(&many);
    core.wait_tip(&line.tip().to_string(), 120);
    let (bytes, more) = compare(&core, &line);
    tools(&core, &line, &bytes);
    assert_eq!(more.len(), coins.len() + MANY);
    assert!(!more.is_sorted(), "the order of Core's database is none of numbers");
}
