//! Bitcoin Core judges the factory: every script, every fork, from the file and from the pump.
//! `BITCOIND` names the binary; without it nothing is compared, and that is said.

use caesure_bench::block::Block;
use caesure_bench::chain::{Factory, Spec};
use caesure_bench::fan::Fan;
use caesure_bench::pump::{Options, Pump};
use caesure_bench::records::{Chain, Fork, write_chain, write_record};
use caesure_bench::tx::{Hash, show};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

const SPEC: Spec = Spec { seed: 11, blocks: 260, txs: 6_000, empty_tail: 3 };
const FORKS: [Fork; 2] = [Fork { at: 150, length: 99, txs: 2_000 }, Fork { at: 240, length: 10, txs: 300 }];

/// A node of Core's on a regtest of its own; killed and its folder removed when dropped.
struct Core {
    process: Child,
    rpc: u16,
    folder: PathBuf,
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

impl Core {
    fn start(bitcoind: &OsString, folder: PathBuf, arguments: &[String]) -> Core {
        let rpc = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut process = Command::new(bitcoind)
            .args(["-regtest", "-listen=0", "-v2transport=0", "-checkblockindex=0", "-printtoconsole"])
            .args(["-rpcuser=a", "-rpcpassword=b"])
            .args([format!("-datadir={}", folder.display()), format!("-rpcport={rpc}")])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("BITCOIND can be started");
        let mut log = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("Done loading") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "bitcoind ended: see {}", folder.display());
        }
        thread::spawn(move || io::copy(&mut log, &mut io::sink()));
        Core { process, rpc, folder }
    }

    fn call(&self, method: &str, params: Value) -> Value {
        let body = json!({"method": method, "params": params}).to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.rpc)).unwrap();
        // The credentials are a:b.
        write!(stream, "POST / HTTP/1.0\r\nAuthorization: Basic YTpi\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Waits for a height, then compares tip and number of coins; what it says of them.
    fn expect_tip(&self, height: u32, tip: Hash, coins: usize) -> Value {
        let reached = self.call("waitforblockheight", json!([height, 120_000]));
        assert_eq!(reached["height"], height);
        let set = self.call("gettxoutsetinfo", json!(["none"]));
        assert_eq!(set["bestblock"], show(&tip));
        assert_eq!(set["txouts"], coins);
        set
    }

    /// The same, and the sum of all coins.
    fn expect(&self, factory: &Factory) {
        let set = self.expect_tip(factory.height(), factory.tip(), factory.coins().count());
        let satoshi: u64 = factory.coins().map(|coin| coin.value).sum();
        assert_eq!((set["total_amount"].as_f64().unwrap() * 1e8).round(), satoshi as f64);
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// The path of bitcoind and the bytes of the chain, or a word on why not.
fn setup() -> Option<(OsString, Vec<u8>, Factory)> {
    let Some(bitcoind) = std::env::var_os("BITCOIND") else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: BITCOIND names no bitcoind, so the factory's chain was not judged by Bitcoin Core"
        );
        return None;
    };
    let mut bytes = Vec::new();
    let factory = write_chain(&mut bytes, SPEC, &FORKS, |_| {}).unwrap();
    Some((bitcoind, bytes, factory))
}

#[test]
fn core_accepts_the_chain_and_its_forks() {
    let Some((bitcoind, bytes, main)) = setup() else { return };
    let folder = folder("load");
    let file = folder.join("chain.blk");
    File::create(&file).unwrap().write_all(&bytes).unwrap();
    let core = Core::start(&bitcoind, folder, &[format!("-loadblock={}", file.display()), "-connect=0".into()]);
    core.expect(&main);
    // Without the main chain's next block, each fork in turn, the later first, is the best there is.
    for (index, fork) in FORKS.iter().enumerate().rev() {
        let above = core.call("getblockhash", json!([fork.at + 1]));
        core.call("invalidateblock", json!([above]));
        let mut rival =
            Factory::at(SPEC, fork.at).unwrap().branch(SPEC.seed + 1 + index as u64, fork.length, fork.txs).unwrap();
        rival.by_ref().for_each(drop);
        core.expect(&rival);
    }
}

#[test]
fn core_accepts_the_fan() {
    let Some((bitcoind, ..)) = setup() else { return };
    let (folder, coins) = (folder("fan"), 20_001);
    let file = folder.join("chain.blk");
    let mut out = File::create(&file).unwrap();
    write_record(&mut out, &Block::genesis()).unwrap();
    let mut fan = Fan::new(3, coins);
    fan.by_ref().for_each(|block| write_record(&mut out, &block).unwrap());
    assert_eq!(fan.height(), Fan::height_of_end(coins));
    let core = Core::start(&bitcoind, folder, &[format!("-loadblock={}", file.display()), "-connect=0".into()]);
    // One more to make pairs, and the coinbases that are not ripe.
    core.expect_tip(fan.height(), fan.tip(), 20_002 + 100);
}

#[test]
fn core_syncs_from_the_pump() {
    let Some((bitcoind, bytes, main)) = setup() else { return };
    let pump = Pump::start(Arc::new(Chain::from_bytes(bytes).unwrap()), Options::default()).unwrap();
    let core = Core::start(&bitcoind, folder("pump"), &[format!("-connect={}", pump.addr())]);
    core.expect(&main);
    assert!(pump.stats().blocks >= 260);
}
