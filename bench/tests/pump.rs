//! The pump, asked by a peer that speaks the protocol.

use caesure_bench::chain::Spec;
use caesure_bench::p2p::{self, MSG_BLOCK, MSG_WITNESS, Reader};
use caesure_bench::pump::{Options, Pump};
use caesure_bench::records::{Chain, write_chain};
use caesure_bench::tx::{Hash, compact_size, sha256d};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn chain(blocks: u32) -> Arc<Chain> {
    let mut bytes = Vec::new();
    write_chain(&mut bytes, Spec { seed: 3, blocks, txs: 0, empty_tail: 0 }, &[], |_| {}).unwrap();
    Arc::new(Chain::from_bytes(bytes).unwrap())
}

struct Peer {
    stream: TcpStream,
    magic: u32,
}

impl Peer {
    fn new(pump: &Pump, chain: &Chain) -> Peer {
        let stream = TcpStream::connect(pump.addr()).unwrap();
        // Nothing here takes long: a test that hangs should say where.
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut peer = Peer { stream, magic: chain.magic() };
        peer.send("version", &p2p::version(1, 0));
        let (command, payload) = peer.receive().unwrap();
        assert_eq!(command, "version");
        assert_eq!(payload[payload.len() - 5..][..4], (chain.best().len() as u32 - 1).to_le_bytes());
        assert_eq!(peer.receive().unwrap().0, "verack");
        peer
    }

    fn send(&mut self, command: &str, payload: &[u8]) {
        p2p::send(&mut self.stream, self.magic, command, payload).unwrap();
    }

    fn receive(&mut self) -> io::Result<(String, Vec<u8>)> {
        p2p::receive(&mut self.stream, self.magic)
    }

    fn headers_after(&mut self, locator: &[Hash]) -> Vec<Hash> {
        let mut payload = p2p::VERSION.to_le_bytes().to_vec();
        compact_size(&mut payload, locator.len());
        payload.extend(locator.concat());
        payload.extend([0; 32]);
        self.send("getheaders", &payload);
        let (command, payload) = self.receive().unwrap();
        assert_eq!(command, "headers");
        let mut reader = Reader(&payload);
        let count = reader.count().unwrap() as usize;
        assert_eq!(reader.0.len(), 81 * count);
        reader.0.chunks(81).map(|header| sha256d(&header[..80])).collect()
    }

    fn ask(&mut self, hashes: &[Hash]) {
        let items: Vec<_> = hashes.iter().map(|hash| (MSG_BLOCK | MSG_WITNESS, *hash)).collect();
        self.send("getdata", &p2p::inventory(&items));
    }

    fn block(&mut self) -> io::Result<Hash> {
        let (command, payload) = self.receive()?;
        assert_eq!(command, "block");
        Ok(sha256d(&payload[..80]))
    }
}

#[test]
fn serves_headers_and_blocks() {
    let chain = chain(2_345);
    let pump = Pump::start(chain.clone(), Options::default()).unwrap();
    let mut peer = Peer::new(&pump, &chain);
    let first = peer.headers_after(&[[9; 32], chain.best()[0]]);
    assert_eq!(first, chain.best()[1..2_001]);
    let second = peer.headers_after(&[first[1_999], first[5]]);
    assert_eq!(second, chain.best()[2_001..]);
    assert!(peer.headers_after(&[second[344]]).is_empty());
    assert_eq!(peer.headers_after(&[[9; 32]]), first, "an unknown locator means the genesis");

    peer.ask(&[second[344], [7; 32], first[0]]);
    assert_eq!(peer.block().unwrap(), second[344]);
    assert_eq!(peer.block().unwrap(), first[0]);
    let (command, payload) = peer.receive().unwrap();
    assert_eq!(command, "notfound");
    assert_eq!(Reader(&payload).inventory().unwrap(), [(MSG_BLOCK | MSG_WITNESS, [7; 32])]);

    peer.send("ping", &[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(peer.receive().unwrap(), ("pong".into(), vec![1, 2, 3, 4, 5, 6, 7, 8]));
    let stats = pump.stop();
    assert_eq!((stats.accepted, stats.blocks, stats.headers), (1, 2, 2_345 + 2_000));
    assert!(peer.receive().is_err(), "stopped, and still there");
}

/// From a file the kernel sends; the peer checks length and checksum of what it gets.
#[test]
fn serves_the_same_from_a_file() {
    let memory = chain(30);
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pump-{}.blk", std::process::id()));
    let mut file = std::fs::File::create(&path).unwrap();
    write_chain(&mut file, Spec { seed: 3, blocks: 30, txs: 0, empty_tail: 0 }, &[], |_| {}).unwrap();
    let pump = Pump::start(Arc::new(Chain::open(&path).unwrap()), Options::default()).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut peer = Peer::new(&pump, &memory);
    for _ in ["as it is read", "as it is known"] {
        peer.ask(memory.best());
        for hash in memory.best() {
            assert_eq!(peer.receive().unwrap(), ("block".into(), memory.block(hash).unwrap().unwrap()));
        }
    }
    // It counts when a block has left.
    let begun = Instant::now();
    while pump.stats().blocks < 62 && begun.elapsed() < Duration::from_secs(10) {
        std::thread::yield_now();
    }
    assert_eq!(pump.stats().blocks, 62);
}

#[test]
fn withholds_and_hangs_up_as_told() {
    let chain = chain(20);
    let options = Options { withhold: [5].into(), drop_after: Some(3), ..Options::default() };
    let pump = Pump::start(chain.clone(), options).unwrap();
    let mut peer = Peer::new(&pump, &chain);
    peer.ask(&chain.best()[4..12]);
    for height in [4, 6, 7] {
        assert_eq!(peer.block().unwrap(), chain.best()[height]);
    }
    assert!(peer.block().is_err(), "a fourth block");
    // The next one may have three again.
    let mut peer = Peer::new(&pump, &chain);
    peer.ask(&chain.best()[1..2]);
    assert_eq!(peer.block().unwrap(), chain.best()[1]);
}

#[test]
fn trickles_no_faster_than_told() {
    let chain = chain(3);
    let options = Options { bytes_per_second: 1_000, piece_bytes: 10, ..Options::default() };
    let pump = Pump::start(chain.clone(), options).unwrap();
    let mut peer = Peer::new(&pump, &chain);
    let start = Instant::now();
    peer.ask(&chain.best()[1..2]);
    peer.block().unwrap();
    // A header frame of 24 bytes and a block of at least 200.
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
}

#[test]
fn lets_garbage_go() {
    let chain = chain(3);
    let pump = Pump::start(chain.clone(), Options::default()).unwrap();
    for garbage in
        [vec![0x55; 64], p2p::frame_header(chain.magic(), "ping", &[0; 8]).iter().copied().chain([1; 8]).collect()]
    {
        let mut stream = TcpStream::connect(pump.addr()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(&garbage).unwrap();
        // End or reset, but nothing said.
        let mut said = Vec::new();
        stream.read_to_end(&mut said).ok();
        assert!(said.is_empty());
    }
    Peer::new(&pump, &chain);
}
