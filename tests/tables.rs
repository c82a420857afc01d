//! The tables that `caesure blocks export --as parquet` writes, held against what `describe` says of the same blocks, and
//! against `caesure blocks stats` by way of DuckDB. A test of the package caesure, for it needs its feature `parquet`.

use caesure_bench::chain::Spec;
use caesure_bench::records::{Fork, write_chain};
use consensus::{Block, BlockHash, Network};
use parquet::file::reader::SerializedFileReader;
use parquet::record::Field;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const TABLES: [&str; 4] = ["blocks", "transactions", "inputs", "outputs"];
const HEIGHT: u64 = 160;
const FORK: Fork = Fork { at: 150, length: 2, txs: 20 };

/// A base with a chain that has a fork, new for each test.
fn base(name: &str) -> PathBuf {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tables-{name}"));
    let _ = fs::remove_dir_all(&base);
    fs::create_dir_all(base.join("regtest")).unwrap();
    let mut file = File::create(base.join("regtest/blocks.bin")).unwrap();
    let spec = Spec { seed: 71, blocks: HEIGHT as u32, txs: 2_000, empty_tail: 0 };
    write_chain(&mut file, spec, &[FORK], |_| {}).unwrap();
    base
}

/// Status, standard output, standard error.
fn caesure(base: &Path, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_caesure"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CAESURE_")) {
        command.env_remove(name);
    }
    let done = command.args(words).args(["--chain", "regtest", "-b"]).arg(base).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
}

fn export(base: &Path, folder: &Path, more: &[&str]) -> (i32, String, String) {
    caesure(base, &[&["blocks", "export", "--as", "parquet", folder.to_str().unwrap()], more].concat())
}

/// A new base, the folder of all its tables, and what was said of them.
fn exported(name: &str) -> (PathBuf, PathBuf, String) {
    let base = base(name);
    let folder = base.join("out");
    let (status, out, err) = export(&base, &folder, &[]);
    assert_eq!(status, 0, "{out}{err}");
    (base, folder, out)
}

/// Rows of a table in the order of its files, by the names of its columns.
fn read(folder: &Path, table: &str) -> Vec<Value> {
    let files = fs::read_dir(folder.join(table)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    let value = |field: &Field| match field {
        Field::Null => Value::Null,
        Field::Bool(value) => json!(value),
        Field::Int(value) => json!(value),
        Field::Long(value) | Field::TimestampMillis(value) => json!(value),
        Field::Str(value) => json!(value),
        other => panic!("{other:?}"),
    };
    let rows = |path: &PathBuf| {
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let rows = reader.into_iter().map(|row| {
            let row = row.unwrap();
            Value::Object(row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect())
        });
        rows.collect::<Vec<_>>()
    };
    files.iter().flat_map(rows).collect()
}

/// All blocks of a file with height and whether they are on the best chain, which here is the one that reaches
/// [`HEIGHT`]: by height, then as they came. Knows of the file no more than its format.
fn stored(base: &Path) -> Vec<(u64, bool, Block)> {
    let (file, mut at, mut blocks) = (fs::read(base.join("regtest/blocks.bin")).unwrap(), 0, Vec::new());
    let mut heights = HashMap::new();
    while at < file.len() {
        let len = u32::from_le_bytes(file[at + 4..at + 8].try_into().unwrap()) as usize;
        let block = Block::parse(file[at + 8..at + 8 + len].to_vec().into()).unwrap();
        let height = heights.get(&block.header.prev).map_or(0, |height| height + 1);
        heights.insert(block.hash, height);
        blocks.push((height, false, block));
        at += 8 + len;
    }
    let parents: HashMap<BlockHash, BlockHash> = blocks.iter().map(|(.., b)| (b.hash, b.header.prev)).collect();
    let (mut best, mut next) =
        (HashSet::new(), heights.iter().find(|(_, height)| **height == HEIGHT).map(|(hash, _)| *hash));
    while let Some(hash) = next.filter(|hash| parents.contains_key(hash)) {
        best.insert(hash);
        next = Some(parents[&hash]);
    }
    blocks.iter_mut().for_each(|(_, is_best, block)| *is_best = best.contains(&block.hash));
    blocks.sort_by_key(|(height, ..)| *height);
    blocks
}

/// A row: what it has in common with others of its block, and the rest.
fn row(common: &Value, rest: Value) -> Value {
    let (Value::Object(common), Value::Object(rest)) = (common, rest) else { panic!("objects") };
    Value::Object(common.clone().into_iter().chain(rest).collect::<Map<_, _>>())
}

fn bytes(hex: &Value) -> u64 {
    hex.as_str().unwrap().len() as u64 / 2
}

/// Bytes of a count (Bitcoin's compact size).
fn count_len(count: u64) -> u64 {
    [(253, 1), (0x1_0000, 3), (u64::MAX, 5)].into_iter().find(|(end, _)| count < *end).unwrap().1
}

/// Bytes of a witness as they lie in a transaction.
fn witness_size(input: &Value) -> u64 {
    let none = vec![];
    let items = input["txinwitness"].as_array().unwrap_or(&none);
    count_len(items.len() as u64) + items.iter().map(|item| count_len(bytes(item)) + bytes(item)).sum::<u64>()
}

/// The rows that a block must have in each table, from what `describe` says of it.
fn rows(height: u64, best: bool, block: &Block, tables: &mut [Vec<Value>; 4]) {
    let told = serde_json::to_value(describe::json::block(block, Some(height as u32), Network::Regtest)).unwrap();
    let common = json!({"height": height, "block_hash": told["hash"], "best": best});
    let list = |of: &Value, name: &str| of[name].as_array().unwrap().clone();
    let txs = list(&told, "tx");
    let count = |name: &str| txs.iter().map(|tx| list(tx, name).len()).sum::<usize>();
    tables[0].push(row(
        &common,
        json!({
            "prev_hash": told["previousblockhash"], "version": told["version"], "merkle_root": told["merkleroot"],
            "time": told["time"].as_i64().unwrap() * 1000, "nonce": told["nonce"],
            "bits": u32::from_str_radix(told["bits"].as_str().unwrap(), 16).unwrap(),
            "tx_count": told["nTx"], "input_count": count("vin"), "output_count": count("vout"),
            "size": told["size"], "weight": told["weight"],
            "witness_size": told["size"].as_u64().unwrap() - told["strippedsize"].as_u64().unwrap(),
        }),
    ));
    for (number, tx) in txs.iter().enumerate() {
        let (inputs, outputs, coinbase) = (list(tx, "vin"), list(tx, "vout"), number == 0);
        let has_witness = inputs.iter().any(|input| input.get("txinwitness").is_some());
        // Marker and flag come with them.
        let witnesses = if has_witness { 2 + inputs.iter().map(witness_size).sum::<u64>() } else { 0 };
        tables[1].push(row(
            &common,
            json!({
                "number": number, "txid": tx["txid"], "wtxid": tx["hash"], "coinbase": coinbase,
                "version": tx["version"], "lock_time": tx["locktime"], "input_count": inputs.len(),
                "output_count": outputs.len(), "size": tx["size"], "witness_size": witnesses, "weight": tx["weight"],
                "vsize": tx["vsize"],
            }),
        ));
        for (vin, input) in inputs.iter().enumerate() {
            let script = if coinbase { &input["coinbase"] } else { &input["scriptSig"]["hex"] };
            tables[2].push(row(
                &common,
                json!({
                    "txid": tx["txid"], "vin": vin, "coinbase": coinbase, "prev_txid": input["txid"],
                    "prev_vout": input["vout"], "sequence": input["sequence"], "script": script,
                    "witness_items": input["txinwitness"].as_array().map_or(0, Vec::len),
                    "witness_size": if has_witness { witness_size(input) } else { 0 },
                }),
            ));
        }
        for (vout, output) in outputs.iter().enumerate() {
            let script = &output["scriptPubKey"];
            tables[3].push(row(
                &common,
                json!({
                    "txid": tx["txid"], "vout": vout, "coinbase": coinbase, "kind": script["type"],
                    "satoshi": (output["value"].as_f64().unwrap() * 1e8).round() as i64,
                    "address": script["address"], "script": script["hex"],
                }),
            ));
        }
    }
}

#[test]
fn every_parquet_row_says_what_is_stored() {
    let (base, folder, out) = exported("rows");
    let mut wanted = [const { Vec::new() }; 4];
    let blocks = stored(&base);
    blocks.iter().for_each(|(height, best, block)| rows(*height, *best, block, &mut wanted));
    assert_eq!(blocks.iter().filter(|(_, best, _)| !best).count(), FORK.length as usize);
    let counts: Vec<String> = TABLES.iter().zip(&wanted).map(|(name, rows)| format!("{} {name}", rows.len())).collect();
    assert!(out.starts_with(&counts.join(", ")), "{out}, not {counts:?}");
    for (name, wanted) in TABLES.iter().zip(&wanted) {
        let found = read(&folder, name);
        assert_eq!(found.len(), wanted.len(), "{name}");
        for (number, (found, wanted)) in found.iter().zip(wanted).enumerate() {
            assert_eq!(found, wanted, "row {number} of {name}");
        }
    }
    for kind in ["witness_v1_taproot", "pubkey", "nulldata", "scripthash"] {
        assert!(wanted[3].iter().any(|row| row["kind"] == kind), "no {kind} was compared");
    }

    // What is there stays as it is; a part has the forks of its heights.
    let (status, _, err) = export(&base, &folder, &[]);
    assert!(status == 2 && err.contains("out/blocks is there already"), "{err}");
    let part = base.join("part");
    assert_eq!(export(&base, &part, &["--from", "151", "--to", "152"]).0, 0);
    let here = |row: &&Value| (151..=152).contains(&row["height"].as_u64().unwrap());
    for (name, wanted) in TABLES.iter().zip(&wanted) {
        assert!(read(&part, name).iter().eq(wanted.iter().filter(here)), "{name}");
    }
    let (status, _, err) = export(&base, &base.join("none"), &["--from", "161"]);
    assert!(status == 2 && err.contains("ends at height 160") && !base.join("none").exists(), "{err}");
}

#[test]
fn a_block_that_cannot_be_read_leaves_no_parquet() {
    let base = base("damaged");
    let path = base.join("regtest/blocks.bin");
    let mut file = fs::read(&path).unwrap();
    // The count of transactions of the genesis, which comes first.
    file[8 + 80] ^= 2;
    fs::write(&path, file).unwrap();
    let folder = base.join("out");
    let (status, out, err) = export(&base, &folder, &[]);
    assert!(status == 4 && err.contains("caesure blocks verify"), "{status} {out}{err}");
    assert!(TABLES.iter().all(|name| !folder.join(name).exists()));
    let (status, _, err) = export(&base, &folder, &[]);
    assert!(status == 2 && err.contains("blocks.unfinished is there already"), "{err}");
}

/// Runs statements in a folder of tables, and prints the rows that each gives as a line of JSON.
const SQL: &str = "
import duckdb, json, os, sys
os.chdir(sys.argv[1])
db = duckdb.connect()
for statement in json.loads(sys.argv[2]):
    rows = db.execute(statement).fetchall()
    print(json.dumps(rows, default=str))
";

/// What each statement gives; none without DuckDB.
fn sql(folder: &Path, statements: &[&str]) -> Option<Vec<Value>> {
    if !Command::new("python3").args(["-c", "import duckdb"]).output().is_ok_and(|done| done.status.success()) {
        // Past the test runner, which keeps the words of tests that pass to itself.
        let why = "SKIPPED: DuckDB was not asked: python3 or its module is not there (pip install duckdb)";
        let _ = writeln!(std::io::stderr(), "{why}");
        return None;
    }
    let mut python = Command::new("python3");
    let done = python.args(["-c", SQL]).arg(folder).arg(json!(statements).to_string()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let lines = String::from_utf8(done.stdout).unwrap();
    Some(lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn duckdb_counts_in_parquet_what_stats_counts() {
    let (base, folder, _) = exported("sql");
    let (_, stats, _) = caesure(&base, &["blocks", "stats", "--json"]);
    let stats: Value = serde_json::from_str(&stats).unwrap();
    let from = |table: &str, what: &str| format!("SELECT {what} FROM '{table}/*.parquet' WHERE best");
    let statements = [
        from("blocks", "count(*), sum(size)::BIGINT, sum(tx_count)::BIGINT"),
        from("transactions", "count(*), count(*) FILTER (witness_size > 0)"),
        from("inputs", "count(*)"),
        from("outputs", "count(*), sum(satoshi)::BIGINT"),
        from("outputs", "kind, count(*), sum(satoshi)::BIGINT") + " GROUP BY kind",
        // Each input of this chain spends an output of it.
        "SELECT count(*) FROM 'inputs/*.parquet' i JOIN 'outputs/*.parquet' o
            ON (i.prev_txid = o.txid AND i.prev_vout = o.vout) WHERE i.best AND o.best"
            .into(),
    ];
    let Some(rows) = sql(&folder, &statements.each_ref().map(String::as_str)) else { return };
    let counts = &stats["counts"];
    assert_eq!(rows[0], json!([[counts["blocks"], counts["bytes"], counts["transactions"]]]));
    assert_eq!(rows[1], json!([[counts["transactions"], counts["with_witness"]]]));
    assert_eq!(rows[2], json!([[counts["inputs"]]]));
    assert_eq!(rows[3], json!([[counts["outputs"], counts["satoshi"]]]));
    let kinds = rows[4].as_array().unwrap().iter();
    let kinds: HashMap<&str, Value> =
        kinds.map(|row| (row[0].as_str().unwrap(), json!({"outputs": row[1], "satoshi": row[2]}))).collect();
    for (kind, told) in stats["kinds"].as_object().unwrap() {
        let found = kinds.get(kind.as_str()).cloned().unwrap_or(json!({"outputs": 0, "satoshi": 0}));
        assert_eq!(found, *told, "{kind}");
    }
    assert_eq!(rows[5], json!([[counts["inputs"].as_u64().unwrap() - counts["blocks"].as_u64().unwrap()]]));

    // The queries that people are shown.
    let paper = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/parquet.md")).unwrap();
    let shown: Vec<&str> = paper.split("```sql\n").skip(1).flat_map(|rest| rest.split("```").next()).collect();
    let shown: Vec<&str> = shown.iter().flat_map(|block| block.split(';')).map(str::trim).collect();
    let shown: Vec<&str> = shown.into_iter().filter(|query| !query.is_empty()).collect();
    let answers = sql(&folder, &shown).unwrap();
    assert!(shown.len() > 5 && answers.len() == shown.len(), "{shown:?}");
    for (query, rows) in shown.iter().zip(&answers).filter(|(query, _)| query.starts_with("SELECT")) {
        assert!(!rows.as_array().unwrap().is_empty(), "{query}");
    }
}
