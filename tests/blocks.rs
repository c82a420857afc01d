//! What blocks.bin holds, counted, printed and exported by `caesure blocks`.

use caesure_bench::chain::Spec;
use caesure_bench::records::Fork;
use caesure_tests::binary::run;
use caesure_tests::{Folder, Made, blocks, coins_digest, made};
use consensus::Header;
use serde_json::Value;
use std::fs;

/// 200 blocks, a rival of two at height 150: the chain of `tools.rs`.
fn chain() -> Made {
    made(&Spec { seed: 71, blocks: 200, txs: 4_000, empty_tail: 0 }, &[Fork { at: 150, length: 2, txs: 20 }])
}

/// Status, standard output, standard error.
fn tool(base: &Folder, words: &[&str]) -> (i32, String, String) {
    run(&[words, &["--chain", "regtest", "-b", base.text()]].concat())
}

fn well(base: &Folder, words: &[&str]) -> String {
    let (status, out, err) = tool(base, words);
    assert_eq!(status, 0, "{words:?}: {out}{err}");
    out
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|why| panic!("{why}: {text}"))
}

#[test]
fn the_best_chain_is_counted_and_searched() {
    let base = chain().stored();
    let counts = json(&well(&base, &["blocks", "stats", "--json"]));
    assert_eq!(
        (counts["from"].as_u64(), counts["to"].as_u64(), counts["elsewhere"].as_u64()),
        (Some(0), Some(200), Some(2))
    );
    assert_eq!(counts["last"], chain().tip);
    // A reader that knows nothing but the format.
    let (mut txs, mut outputs, mut satoshi) = (0, 0, 0);
    for (_, bytes) in &chain().line().blocks {
        let block = consensus::Block::parse(bytes.clone()).unwrap();
        txs += block.txs.len() as u64;
        outputs += block.outputs.len() as u64;
        satoshi += block.outputs.iter().map(|output| output.value).sum::<u64>();
    }
    let told = &counts["counts"];
    assert_eq!(
        [&told["blocks"], &told["transactions"], &told["outputs"], &told["satoshi"]],
        [201, txs, outputs, satoshi]
    );
    let kinds = counts["kinds"].as_object().unwrap();
    assert_eq!(kinds.values().map(|kind| kind["outputs"].as_u64().unwrap()).sum::<u64>(), outputs);
    for (name, count) in kinds {
        let lines = well(&base, &["blocks", "stats", "--find", name]);
        assert_eq!(lines.lines().count() as u64, count["outputs"].as_u64().unwrap(), "{name}");
        let heights: Vec<u32> = lines.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
        assert!(heights.is_sorted(), "in the order of the chain");
    }
    assert!(kinds["witness_v1_taproot"]["outputs"].as_u64() > Some(0), "{kinds:?}");
    let taproot = well(&base, &["blocks", "stats", "--find", "witness_v1_taproot"]);
    assert!(taproot.lines().all(|line| line.contains(" p2tr:bcrt1p")), "{taproot}");
    let part = well(&base, &["blocks", "stats", "--from", "10", "--to", "19"]);
    assert!(part.starts_with("blocks                 10, from height 10 to 19 "), "{part}");
    for (wrong, told) in [(&["--from", "201"][..], "ends at height 200"), (&["--find", "p2sh"], "scripthash")] {
        let (status, _, err) = tool(&base, &[&["blocks", "stats"], wrong].concat());
        assert!(status == 2 && err.contains(told), "{err}");
    }
}

#[test]
fn a_block_or_a_transaction_is_printed_in_each_form() {
    let (made, base) = (chain(), chain().stored());
    let line = made.line();
    let (hash, bytes) = &line.blocks[180];
    let block = consensus::Block::parse(bytes.clone()).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    assert_eq!(well(&base, &["blocks", "cat", "180", "--as", "hex"]), hex(bytes));
    assert_eq!(well(&base, &["blocks", "cat", &hash.to_string(), "--as", "hex"]), hex(bytes));
    let told = json(&well(&base, &["blocks", "cat", "180", "--as", "json"]));
    assert_eq!((told["hash"].as_str(), told["height"].as_u64()), (Some(hash.to_string().as_str()), Some(180)));
    assert_eq!(told["tx"].as_array().unwrap().len(), block.txs.len());
    let dump = well(&base, &["blocks", "cat", "180"]);
    assert!(dump.starts_with(&format!("version:{}\nprev_block:<{}>\n", block.header.version, block.header.prev)));
    let (tx, txid) = (&block.txs[2], block.txs[2].txid.to_string());
    let whole = hex(block.view(tx).whole());
    for words in [&["180", "2"][..], &["180", &txid], &[&txid]] {
        assert_eq!(well(&base, &[&["blocks", "cat", "--as", "hex"], words].concat()), whole, "{words:?}");
    }
    assert_eq!(json(&well(&base, &["blocks", "cat", &txid, "--as", "json"])), told["tx"][2]);
    assert!(dump.contains(&format!("tx 2 {{\n{}}}\n", well(&base, &["blocks", "cat", "180", "2"]))));
    // Those of a rival are found by hash.
    let rivals: Vec<_> = blocks(&made.path)
        .iter()
        .map(|(_, block)| Header::parse(block.first_chunk().unwrap()))
        .filter(|header| header.prev == line.blocks[150].0 && header.hash() != line.blocks[151].0)
        .collect();
    let rival = rivals[0].hash().to_string();
    assert_eq!(json(&well(&base, &["blocks", "cat", &rival, "--as", "json"]))["height"], 151);
    for (wrong, told) in [
        (&["201"][..], "ends at height 200"),
        (&["180", "9999"], "none of them 9999"),
        (&["18o"], "neither a height nor a hash"),
        (&[&"00".repeat(32)], "neither a block that is stored nor a transaction"),
        (&[&"00".repeat(32), "0"], "no block"),
    ] {
        let (status, out, err) = tool(&base, &[&["blocks", "cat"], wrong].concat());
        assert!(status == 2 && out.is_empty() && err.contains(told), "{wrong:?}: {err}");
    }
}

#[test]
fn an_export_is_imported_again() {
    let (made, base, other) = (chain(), chain().stored(), Folder::new());
    let folder = base.join("blk");
    let said = well(&base, &["blocks", "export", folder.to_str().unwrap()]);
    assert!(said.starts_with("201 blocks, ") && said.contains("in 1 file(s)"), "{said}");
    let whole: Vec<u8> = made.line().records();
    assert_eq!(fs::read(folder.join("blk00000.dat")).unwrap(), whole);
    let (status, _, err) = tool(&base, &["blocks", "export", folder.to_str().unwrap()]);
    assert!(status == 2 && err.contains("holds blk*.dat already"), "{err}");
    // Tables are what others build it for: `tests/tables.rs` has those.
    let (status, _, err) = tool(&base, &["blocks", "export", "--as", "parquet", base.join("sql").to_str().unwrap()]);
    assert!(status == 2 && err.contains("cargo build --release --features parquet"), "{err}");
    let import = ["import", folder.to_str().unwrap(), "--no-pin", "--cores", "2", "--min-chain-work", "0"];
    assert!(well(&other, &import).contains(&made.tip));
    assert_eq!(coins_digest(&other, "regtest"), made.digest);
}
