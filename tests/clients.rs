//! Tools that are peers: they watch a node, and pull its chain.

use ::wire::message::{Inv, InvKind, Message};
use caesure_bench::chain::Spec;
use caesure_tests::binary::{command, run};
use caesure_tests::{Folder, Made, Node, Server, Setup, Step, blocks, coins_digest, made, poll};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

fn chain() -> Made {
    made(&Spec { seed: 71, blocks: 200, txs: 4_000, empty_tail: 0 }, &[])
}

/// `caesure watch`, ended when dropped.
struct Watch(Child, Lines<BufReader<ChildStdout>>);

impl Watch {
    fn start(peer: SocketAddr, more: &[&str]) -> Watch {
        let mut watch = command(&["watch", &peer.to_string(), "--chain", "regtest"]);
        let mut child = watch.args(more).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Watch(child, lines)
    }

    fn line(&mut self) -> String {
        self.1.next().expect("it goes on").unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn new_blocks_and_transactions_are_printed_as_they_come() {
    let line = chain().line();
    let block = consensus::Block::parse(line.blocks[180].1.clone()).unwrap();
    let raw = block.view(&block.txs[1]).whole().to_vec();
    let txid = block.txs[1].txid;
    let greeted = Arc::new(AtomicU32::new(0));
    let greets = greeted.clone();
    let server = Server::start(line.up_to(179), move |session, message| match message {
        Message::Verack => {
            greets.fetch_add(1, SeqCst);
            session.wire.send(&Message::Inv(vec![Inv { kind: InvKind::Tx, hash: txid.0 }]));
            Step::Honest
        }
        Message::GetData(list) if list[0].kind == InvKind::WitnessTx => {
            assert_eq!(list[0].hash, txid.0);
            session.wire.send_frame("tx", &raw);
            Step::Done
        }
        _ => Step::Honest,
    });
    let mut watch = Watch::start(server.addr, &["-t"]);
    assert_eq!(watch.line(), "----- tx -----");
    assert_eq!(watch.line(), format!("hash: {txid}"));
    while !watch.line().starts_with("lock_time: ") {}
    server.switch(line.up_to(181));
    for height in [180, 181] {
        let header = line.header(height);
        assert_eq!(watch.line(), "----- block -----");
        assert_eq!(watch.line(), format!("version:{}", header.version));
        assert_eq!(watch.line(), format!("prev_block:<{}>", header.prev));
        let count = consensus::Block::parse(line.blocks[height].1.clone()).unwrap().txs.len();
        for number in 0..count {
            while watch.line() != format!("tx {number} {{") {}
        }
        while watch.line() != "}" {}
    }
    // Without -t no transaction is asked for, and the end is told.
    let mut quiet = Watch::start(server.addr, &[]);
    poll(30, || (greeted.load(SeqCst) == 2).then_some(())).expect("it shakes hands");
    server.switch(line.up_to(182));
    assert_eq!(quiet.line(), "----- block -----");
    let (status, _, err) = run(&["watch", "127.0.0.1:1", "--chain", "regtest"]);
    assert!(status == 1 && err.contains("no regtest peer answers at 127.0.0.1:1"), "{err}");
}

fn pull(base: &Folder, from: SocketAddr) -> (i32, String, String) {
    run(&["pull", &from.to_string(), "--chain", "regtest", "-b", base.text()])
}

#[test]
fn a_chain_is_pulled_at_last_however_often_the_peer_hangs_up() {
    let (chain, base) = (chain(), Folder::new());
    let asked = AtomicU32::new(0);
    let moody = Server::start(chain.line(), move |_, message| match message {
        // Eight answers for each connection, sixteen blocks each.
        Message::GetData(_) if asked.fetch_add(1, SeqCst) % 8 == 7 => Step::Hangup,
        _ => Step::Honest,
    });
    let (status, out, err) = pull(&base, moody.addr);
    assert!(status == 1 && err.contains("it goes on from there"), "{out}{err}");
    let had = blocks(&base.join("regtest/blocks.bin")).len();
    assert!(had > 1 && had < 201, "{had}");
    let (status, out, err) = pull(&base, moody.addr);
    assert_eq!(status, 0, "{out}{err}");
    assert!(out.contains(&format!("transferred {} blocks", 201 - had)) && out.contains("up to height 200"), "{out}");
    let all: BTreeSet<Vec<u8>> = blocks(&base.join("regtest/blocks.bin")).into_iter().map(|(_, block)| block).collect();
    assert_eq!(all.len(), 201);
    assert_eq!(blocks(&base.join("regtest/blocks.bin")).len(), 201, "each once");
    let (status, out, _) = pull(&base, moody.addr);
    assert!(status == 0 && out.starts_with("transferred 0 blocks"), "{out}");
    // A node makes of it what it makes of its own; one that runs is left alone, and can be pulled from.
    let node = Node::start(&base, &Setup::regtest(&[]));
    node.wait_tip(&chain.tip, 60);
    let (status, _, err) = pull(&base, moody.addr);
    assert!(status == 3 && err.contains(&format!("process {}", node.pid())), "{err}");
    let second = Folder::new();
    let (status, out, err) = pull(&second, node.p2p);
    assert!(status == 0 && out.contains("transferred 200 blocks"), "{out}{err}");
    assert_eq!(node.stop(), 0);
    for base in [&base, &second] {
        assert_eq!(coins_digest(base, "regtest"), chain.digest);
    }
}

#[test]
fn damaged_blocks_are_not_kept() {
    let (chain, base) = (chain(), Folder::new());
    let line = chain.line();
    let block = line.blocks[50].1.clone();
    let liar = Server::start(line, move |session, message| match message {
        Message::GetData(_) => {
            let mut bytes = block.to_vec();
            bytes[200] ^= 1;
            session.wire.send_frame("block", &bytes);
            Step::Done
        }
        _ => Step::Honest,
    });
    let (status, out, err) = pull(&base, liar.addr);
    assert!(status == 1 && err.contains("at height 50 came damaged"), "{out}{err}");
    assert_eq!(blocks(&base.join("regtest/blocks.bin")).len(), 1, "genesis");
}
