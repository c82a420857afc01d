//! A real Bitcoin Core on a test chain of its own, regtest mostly, where `BITCOIND` names one.

use crate::folder::Folder;
use crate::node::{free_port, poll};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The node. Killed when dropped.
pub struct Core {
    process: Child,
    rpc: u16,
    /// Where it listens for peers.
    pub p2p: SocketAddr,
    /// Its folder, with `regtest/blocks` in it.
    pub folder: Folder,
}

/// The path of bitcoind; none, and a loud word, where nobody names it.
pub fn bitcoind() -> Option<PathBuf> {
    let path = std::env::var_os("BITCOIND").map(PathBuf::from);
    if path.is_none() {
        crate::aloud("SKIPPED: BITCOIND names no bitcoind, so nothing was compared with Bitcoin Core");
    }
    path
}

impl Core {
    /// Starts it on regtest with more arguments and waits until it answers.
    pub fn start(bitcoind: &PathBuf, more: &[String]) -> Core {
        Core::on("regtest", bitcoind, more)
    }

    /// The same on another chain.
    pub fn on(chain: &str, bitcoind: &PathBuf, more: &[String]) -> Core {
        Core::within(Folder::new(), &[], chain, bitcoind, more)
    }

    /// The same in a folder that another one may have left, started by another program with arguments, if one is named.
    pub fn within(folder: Folder, by: &[String], chain: &str, bitcoind: &PathBuf, more: &[String]) -> Core {
        let (rpc, p2p) = (free_port(), free_port());
        let mut command = match by.split_first() {
            Some((program, before)) => {
                let mut command = Command::new(program);
                command.args(before).arg(bitcoind);
                command
            }
            None => Command::new(bitcoind),
        };
        // That index check aborts this version when blocks are loaded before genesis is active.
        let process = command
            .args([
                &format!("-chain={chain}"),
                "-listen=1",
                "-checkblockindex=0",
                "-rpcuser=a",
                "-rpcpassword=b",
                "-dnsseed=0",
            ])
            .args([format!("-datadir={}", folder.text()), format!("-rpcport={rpc}")])
            .args([format!("-bind=127.0.0.1:{p2p}"), "-fixedseeds=0".into()])
            .args(more)
            .stdout(Stdio::null())
            .spawn()
            .expect("BITCOIND can be started");
        let core = Core { process, rpc, p2p: ([127, 0, 0, 1], p2p).into(), folder };
        let up = poll(60, || core.try_call("getblockcount", json!([])).ok());
        up.unwrap_or_else(|| panic!("bitcoind does not answer: see {}", core.folder.text()));
        core
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Calls a method; the error as Core tells it.
    pub fn try_call(&self, method: &str, params: Value) -> Result<Value, String> {
        result(&self.post(&json!({"method": method, "params": params}))?)
    }

    /// Calls a method many times at once: Core looks for new connections only twenty times a second.
    pub fn try_calls(&self, method: &str, params: &[Value]) -> Vec<Result<Value, String>> {
        let calls: Vec<Value> = params.iter().map(|params| json!({"method": method, "params": params})).collect();
        let answers = self.post(&json!(calls)).unwrap_or_else(|error| panic!("{method}: {error}"));
        answers.as_array().expect("an answer for each call").iter().map(result).collect()
    }

    fn post(&self, body: &Value) -> Result<Value, String> {
        let (body, mut answer) = (body.to_string(), String::new());
        TcpStream::connect(("127.0.0.1", self.rpc))
            .and_then(|mut stream| {
                // The credentials are a:b.
                write!(
                    stream,
                    "POST / HTTP/1.0\r\nAuthorization: Basic YTpi\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )?;
                stream.read_to_string(&mut answer)
            })
            .map_err(|error| error.to_string())?;
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap_or_default().1).map_err(|error| error.to_string())
    }

    /// Calls a method.
    pub fn call(&self, method: &str, params: Value) -> Value {
        self.try_call(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Waits until its tip has that hash.
    pub fn wait_tip(&self, tip: &str, seconds: u64) {
        let there = poll(seconds, || (self.call("getbestblockhash", json!([])) == tip).then_some(()));
        there.unwrap_or_else(|| panic!("Core is at {} after {seconds} s", self.call("getblockchaininfo", json!([]))));
    }

    /// How many coins are unspent at its tip.
    pub fn coins(&self) -> u64 {
        self.call("gettxoutsetinfo", json!(["none"]))["txouts"].as_u64().expect("a number")
    }

    /// Its listing of all coins: the bytes of a snapshot.
    pub fn snapshot(&self) -> Vec<u8> {
        let path = self.folder.join("coins.snapshot");
        self.call("dumptxoutset", json!([path.to_str(), "latest"]));
        std::fs::read(path).expect("just written")
    }

    /// Ends it in good order.
    pub fn stop(mut self) -> Folder {
        self.call("stop", json!([]));
        self.process.wait().expect("it is our child");
        std::mem::take(&mut self.folder)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn result(answer: &Value) -> Result<Value, String> {
    if answer["error"].is_null() { Ok(answer["result"].clone()) } else { Err(answer["error"].to_string()) }
}
