//! Power cuts, rotten disks, full disks: what was stored stays, what is damaged is named and had again.

use caesure_bench::chain::Spec;
use caesure_bench::rng::Rng;
use caesure_bench::tx::{Hash, sha256d};
use caesure_tests::binary::{command, run};
use caesure_tests::{Folder, Made, Node, Server, Setup, aloud, blocks, coins_digest, made, poll};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn chain() -> Made {
    made(&Spec { seed: 51, blocks: 260, txs: 6_000, empty_tail: 0 }, &[])
}

fn hashes(path: &Path) -> Vec<Hash> {
    blocks(path).iter().map(|(_, block)| sha256d(&block[..80])).collect()
}

/// Whether the file ends inside a record: some of its bytes are there, not all.
fn ends_inside_a_record(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap();
    let end = blocks(path).last().map_or(0, |(at, block)| at + 8 + block.len());
    bytes[end..].iter().any(|byte| *byte != 0)
}

/// At full speed only whole pages are written, so that a cut leaves a record in halves nearly always.
#[test]
fn killed_inside_its_writes_it_goes_on_and_ends_with_the_same_coins() {
    let chain = made(&Spec { seed: 62, blocks: 600, txs: 40_000, empty_tail: 0 }, &[]);
    let total = fs::metadata(&chain.path).unwrap().len();
    let base = Folder::new();
    let file = base.join("regtest/blocks.bin");
    let mut rng = Rng::new(52);
    println!("seed 52");
    let mut moments: Vec<u64> = (0..10).map(|_| total / 50 + rng.below(total * 9 / 10)).collect();
    moments.sort_unstable();
    let path = chain.path.to_str().unwrap();
    let words = ["--chain", "regtest", "-b", base.text(), "--no-pin", "--cores", "2", "import", path];
    let (mut kept, mut inside) = (Vec::new(), 0);
    for moment in moments {
        let mut import = command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while fs::metadata(&file).map_or(0, |file| file.len()) < moment {
            assert!(Instant::now() < end, "never {moment} bytes");
        }
        import.kill().unwrap();
        import.wait().unwrap();
        inside += usize::from(ends_inside_a_record(&file));
        let found = hashes(&file);
        assert!(found.starts_with(&kept), "blocks that were there before are gone");
        kept = found;
    }
    println!("{inside} of 10 cuts inside a record");
    // How many depends on how far apart the writes of a quick disk are.
    assert!(inside > 0);
    let (status, _, err) = run(&words);
    assert_eq!(status, 0, "{err}");
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
}

/// Damage is named by its offset; alone the node stops with the command that repairs, with a peer it repairs itself.
fn damaged(chain: &Made, at: u64, bytes: &[u8]) {
    let base = chain.stored();
    let file = base.join("regtest/blocks.bin");
    OpenOptions::new().write(true).open(&file).unwrap().write_all_at(bytes, at).unwrap();
    // The record that the damage begins in.
    let (record, _) = *blocks(&chain.path)
        .iter()
        .map(|(at, _)| (*at as u64, ()))
        .filter(|(r, ())| *r <= at)
        .collect::<Vec<_>>()
        .last()
        .unwrap();
    let last = record + 8 + 80 > fs::metadata(&file).unwrap().len() - 4096;
    if !last {
        let words = ["coins", "digest", "--chain", "regtest", "-b", base.text(), "--no-pin", "--cores", "2"];
        let (status, out, err) = run(&[&words[..], &["--min-chain-work", "0"]].concat());
        assert_eq!((status, out.as_str()), (4, ""), "{err}");
        assert!(err.contains("offset") && err.contains("caesure import") || err.contains("caesure -c"), "{err}");
    }
    let peer = Server::honest(chain.line());
    let node = Node::start(&base, &Setup::regtest(&[peer.addr]));
    let status = node.wait_tip(&chain.tip, 60);
    assert_eq!(status["coins"], chain.coins);
    let told = node.wait_log("offset", 5);
    assert!(peer.asked_all() <= 40, "{} blocks were asked for again: {told}", peer.asked_all());
    assert_eq!(node.stop(), 0);
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
}

#[test]
fn a_flipped_byte_of_a_witness_is_named_and_the_block_had_again() {
    let chain = chain();
    let bytes = fs::read(&chain.path).unwrap();
    // A signature of a witness: 71 or 72 bytes, then a key of 33. The byte is inside it, in the middle of the file.
    let from = bytes.len() / 2;
    let starts = (from..).find(|at| {
        bytes[*at] == 2 && matches!(bytes[at + 1], 71 | 72) && bytes[at + 2] == 0x30 && {
            let key = at + 2 + usize::from(bytes[at + 1]);
            bytes[key] == 33 && matches!(bytes[key + 1], 2 | 3)
        }
    });
    let at = starts.unwrap() + 30;
    damaged(&chain, at as u64, &[bytes[at] ^ 0x10]);
}

#[test]
fn a_page_of_zeros_is_named_and_its_blocks_had_again() {
    let chain = chain();
    let len = fs::metadata(&chain.path).unwrap().len();
    for percent in [10, 50, 100] {
        let page = (len * percent / 100 / 4096).min((len - 1) / 4096) * 4096;
        let count = 4096.min(len - page) as usize;
        damaged(&chain, page, &vec![0; count]);
    }
}

/// Inputs run, and what the log says of the index, of a node that is started on this folder without peers. It ends once
/// the index says that all is stored and valid.
fn started_again(chain: &Made, base: &Folder) -> (u64, Vec<String>) {
    let node = Node::start(base, &Setup::regtest(&[]).with(&["--checkpoint-bandwidth", "0"]));
    let status = node.wait_tip(&chain.tip, 60);
    assert_eq!(status["coins"], chain.coins);
    let height = status["height"].as_u64().expect("a height");
    // A head, a row of 97 bytes for each record, one of 13 for each verdict; nobody doubts the genesis block.
    let whole = 12 + 97 * (height + 1) + 13 * height;
    let len = || fs::metadata(base.join("regtest/blocks.idx")).map_or(0, |file| file.len());
    poll(60, || (len() == whole).then_some(())).unwrap_or_else(|| panic!("{} bytes of {whole}", len()));
    let said = node.lines().into_iter().filter(|line| line.contains("the block index") || line.contains("made anew"));
    let run = status["inputs_run"].as_u64().expect("a count");
    (run, said.collect())
}

#[test]
fn the_block_index_saves_looking_through_the_blocks_and_running_their_scripts_again() {
    let chain = chain();
    let base = chain.stored();
    let index = base.join("regtest/blocks.idx");
    let (all, _) = started_again(&chain, &base);
    let whole = fs::read(&index).unwrap();
    assert_eq!(started_again(&chain, &base), (0, vec![]), "all is known");

    // Cut, as after a power cut: what it does not say any more is verified, and looked for.
    fs::write(&index, &whole[..whole.len() - 60 * 13]).unwrap();
    let (run, said) = started_again(&chain, &base);
    assert!(0 < run && run < all && said.is_empty(), "{run} of {all} inputs, {said:?}");
    fs::write(&index, &whole[..12 + 97 * 100 + 50]).unwrap();
    let (run, said) = started_again(&chain, &base);
    assert!(run == all && said.len() == 1, "{run} inputs, {said:?}");
    assert!(said[0].contains("100 blocks from the block index, 161 found by looking through"), "{said:?}");
    assert_eq!(started_again(&chain, &base), (0, vec![]));

    // Of other blocks, or none of ours at all.
    let mut foreign = whole.clone();
    foreign[9] ^= 1;
    fs::write(&index, &foreign).unwrap();
    let (run, said) = started_again(&chain, &base);
    assert!(run == all && said[0].contains("blocks.idx is damaged, or of other blocks"), "{run} inputs, {said:?}");

    fs::remove_file(&index).unwrap();
    let (run, said) = started_again(&chain, &base);
    assert!(run == all && said.len() == 1 && said[0].contains("0 blocks from the block index"), "{run}, {said:?}");
    assert_eq!(started_again(&chain, &base), (0, vec![]));
}

#[test]
fn anybody_may_read_the_file_while_the_node_runs() {
    let chain = chain();
    let base = Folder::new();
    let file = base.join("regtest/blocks.bin");
    let peer = Server::honest(chain.line());
    let node = Node::start(&base, &Setup::regtest(&[peer.addr]));
    let mut before: Vec<Hash> = Vec::new();
    let done = poll(120, || {
        let status = node.status();
        let found = hashes(&file);
        assert!(found.len() >= before.len() && found[..before.len()] == before, "the file changed under its reader");
        assert!(found.len() as u64 > status["height"].as_u64().unwrap(), "a block that counts is not there");
        before = found;
        (status["tip"] == chain.tip.as_str()).then_some(())
    });
    done.unwrap_or_else(|| panic!("no tip\n{}", node.tail()));
    let mut wanted: Vec<Hash> = chain.line().blocks.iter().map(|(hash, _)| hash.0).collect();
    wanted.sort_unstable();
    before.sort_unstable();
    assert_eq!(before, wanted, "each block once");
}

/// A limit on the size of files stands for a disk that is full: anybody may set it, everywhere.
#[test]
fn a_full_disk_is_said_and_a_restart_goes_on() {
    let chain = chain();
    let peer = Server::honest(chain.line());
    let base = Folder::new();
    // In blocks of 512 bytes; the signal that would come with the error is ignored.
    let limit = ["sh", "-c", "trap '' XFSZ; ulimit -f 1000; exec \"$0\" \"$@\""];
    let mut node = Node::spawn(base.path(), &Setup::regtest(&[peer.addr]).by(&limit));
    assert_eq!(node.ended(60), 7);
    node.wait_log("no room", 5);
    drop(node);
    let stored = hashes(&base.join("regtest/blocks.bin")).len();
    assert!(stored > 100, "{stored} blocks fit");
    goes_on(&chain, &base, &peer);
}

fn goes_on(chain: &Made, base: &Folder, peer: &Server) {
    let node = Node::start(base, &Setup::regtest(&[peer.addr]));
    node.wait_tip(&chain.tip, 120);
    assert_eq!(node.stop(), 0);
    assert_eq!(coins_digest(base, "regtest"), chain.digest);
}

/// A file system of 512 KiB in memory, mounted where the network's folder is; gone when dropped.
struct Mount(std::path::PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).status().ok();
    }
}

#[test]
fn a_full_file_system_is_said_with_amounts_and_a_restart_goes_on() {
    let chain = chain();
    let base = Folder::new();
    let folder = base.join("regtest");
    fs::create_dir_all(&folder).unwrap();
    let mount = |options: &str| {
        let words = ["-t", "tmpfs", "-o", options, "tmpfs"];
        Command::new("mount").args(words).arg(&folder).output().is_ok_and(|done| done.status.success())
    };
    if !mount("size=512k") {
        aloud("SKIPPED: this user may not mount a small file system, so only a limit on file sizes was tried");
        return;
    }
    let mounted = Mount(folder.clone());
    let peer = Server::honest(chain.line());
    let mut node = Node::spawn(base.path(), &Setup::regtest(&[peer.addr]));
    let status = node.ended(60);
    assert_eq!(status, 7, "{}", node.tail());
    let told = node.wait_log("no room", 5);
    assert!(told.chars().any(|c| c.is_ascii_digit()), "{told}");
    drop(node);
    assert!(mount("remount,size=64m"));
    goes_on(&chain, &base, &peer);
    drop(mounted);
}

#[test]
fn too_few_file_handles_are_said_with_their_own_status() {
    let base = Folder::new();
    let limit = ["sh", "-c", "ulimit -n 64; exec \"$0\" \"$@\""];
    let mut node = Node::spawn(base.path(), &Setup::regtest(&[]).by(&limit));
    assert_eq!(node.ended(30), 6);
    node.wait_log("open files", 5);
    node.wait_log("try: ", 5);
}
