//! Disks that are full, broken, read-only or somebody else's: one clear sentence, a status of its own, and the same coins
//! afterwards. (Full disks under blocks.bin and power cuts are in `crash.rs`.)

use caesure_bench::chain::Spec;
use caesure_tests::binary::{run, wrapped};
use caesure_tests::{Folder, Made, Mount, Node, Server, Setup, aloud, blocks, coins_digest, made, poll};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Output;

fn chain() -> Made {
    made(&Spec { seed: 71, blocks: 200, txs: 4_000, empty_tail: 0 }, &[])
}

const OFTEN: [&str; 4] = ["--checkpoint-interval", "20", "--horizon", "16"];

fn words<'a>(base: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let of = ["--chain", "regtest", "-b", base, "--no-pin", "--cores", "1", "-o", "0", "--min-chain-work", "0"];
    [&of[..], more].concat()
}

/// As user and group `nobody`.
const NOBODY: [&str; 6] = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];

fn is_root() -> bool {
    let root = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0;
    if !root {
        aloud("SKIPPED: only root can give a folder to somebody else");
    }
    root
}

/// Status and standard error of a run as nobody.
fn as_nobody(base: &Path, more: &[&str]) -> (i32, String) {
    let Output { status, stderr, .. } = wrapped(&NOBODY, &words(base.to_str().unwrap(), more)).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

/// It starts on the folder, whatever happened to it, and ends with the coins of the chain.
fn goes_on(chain: &Made, base: &Folder) {
    let peer = Server::honest(chain.line());
    let node = Node::start(base, &Setup::regtest(&[peer.addr]).with(&OFTEN));
    node.wait_tip(&chain.tip, 120);
    assert_eq!(node.stop(), 0);
    assert_eq!(coins_digest(base, "regtest"), chain.digest);
}

fn whole_checkpoints(base: &Folder) -> usize {
    let listed = fs::read_dir(base.join("regtest/coins")).map(|listed| listed.flatten().count());
    let (status, out, err) = run(&words(base.text(), &["inspect", "--json", "--verify"]));
    assert_eq!(status, 0, "{listed:?} {err}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    told["checkpoints"]["generations"][0]["partitions"].as_u64().unwrap_or(0) as usize
}

#[test]
fn a_full_disk_under_the_checkpoints_is_said_and_the_node_goes_on() {
    let chain = chain();
    let base = chain.stored();
    let Some(mount) = Mount::memory(&base.join("regtest/coins"), "size=40k") else { return };
    let node = Node::start(&base, &Setup::regtest(&[]).with(&OFTEN));
    node.wait_tip(&chain.tip, 60);
    let told = node.wait_log("was not written: No space left on device", 60);
    assert!(told.contains("it is tried again in a minute"), "{told}");
    let status = node.wait("the disk's state", 30, |status| !status["checkpoint_failed"].is_null());
    assert!(status["checkpoint_failed"].as_str().unwrap().contains("No space left"), "{status}");
    assert!(node.get("/admin/status").unwrap().contains("No space left"), "on the page");
    assert!(node.ask("status").contains("No space left"), "at the prompt");
    assert_eq!(status["height"], 200);
    // Nothing that was begun takes the room that is left.
    let half = fs::read_dir(base.join("regtest/coins")).unwrap().flatten();
    let half: Vec<_> = half.filter(|entry| entry.path().extension().is_some()).collect();
    assert!(half.is_empty(), "{half:?}");
    // Room is made: in a minute it writes again, all by itself.
    mount.again("size=64m");
    let after = || node.status()["checkpoint_failed"].is_null().then_some(());
    poll(90, after).unwrap_or_else(|| panic!("it has not tried again\n{}", node.tail()));
    poll(60, || (whole_checkpoints(&base) == 256).then_some(())).expect("all partitions are written");
    assert_eq!(node.stop(), 0);
    goes_on(&chain, &base);
}

#[test]
fn a_full_disk_under_the_block_index_is_said_and_the_node_goes_on() {
    let chain = chain();
    let base = Folder::new();
    assert_eq!(Node::start(&base, &Setup::regtest(&[])).stop(), 0);
    let Some(small) = Mount::memory(&base.join("small"), "size=4k") else { return };
    let (index, full) = (base.join("regtest/blocks.idx"), base.join("small/blocks.idx"));
    fs::copy(&index, &full).unwrap();
    let bound = Mount::bind(&full, &index);
    let peer = Server::honest(chain.line());
    let node = Node::start(&base, &Setup::regtest(&[peer.addr]));
    node.wait_tip(&chain.tip, 60);
    let told = node.wait_log("blocks.idx was not written: No space left on device", 60);
    assert!(told.contains("the next start looks through the blocks since"), "{told}");
    assert_eq!(node.stop(), 0);
    // A start must bring it up to date, and cannot.
    let (status, _, err) = run(&words(base.text(), &["import", chain.path.to_str().unwrap()]));
    assert_eq!(status, 7, "{err}");
    assert!(err.contains(&format!("no room to write {}", index.display())) && err.contains("try: df -h"), "{err}");
    drop((bound, small));
    goes_on(&chain, &base);
}

#[test]
fn a_sector_that_cannot_be_read_is_named_and_mended_and_its_blocks_had_again() {
    let chain = chain();
    let base = Folder::new();
    let (folder, image) = (base.join("regtest"), base.join("disk.img"));
    let records = fs::read(&chain.path).unwrap();
    // In the middle of a large block, so that its frame and header can be read.
    let (at, block) = blocks(&chain.path).into_iter().max_by_key(|(_, block)| block.len()).unwrap();
    let page = (at as u64 + 8 + 80).div_ceil(4096);
    assert!((page + 1) * 4096 < (at + block.len()) as u64, "a block of {} bytes", block.len());
    let Some(mount) = Mount::with_bad_page(&folder, &image, "blocks.bin", &records, page) else { return };
    let why = fs::read(folder.join("blocks.bin")).unwrap_err();
    assert_eq!(why.raw_os_error(), Some(5), "{why}");

    // The node stops: nothing of it is lost, and nothing is known of the block either.
    let peer = Server::honest(chain.line());
    let setup = Setup::regtest(&[peer.addr]).with(&["--checkpoint-bandwidth", "0"]);
    let mut node = Node::spawn(base.path(), &setup);
    assert_eq!(node.ended(60), 8, "{}", node.tail());
    let told = node.wait_log("Input/output error", 5);
    assert!(told.contains("blocks.bin") && told.contains("offset"), "{told}");
    node.wait_log("cannot be read: caesure blocks repair", 5);
    drop(node);

    let height = chain.line().blocks.iter().position(|(_, found)| found[..] == block[..]).unwrap();
    let (status, out, err) = run(&words(base.text(), &["blocks", "verify"]));
    assert_eq!(status, 4, "{err}");
    assert!(
        out.contains("1 page(s) that the disk does not give back, ") && out.contains(&format!("(height {height})")),
        "{out}"
    );
    let (status, out, err) = run(&words(base.text(), &["blocks", "repair"]));
    assert_eq!(status, 0, "{out}{err}");
    assert!(out.contains(&format!("offset {}: 4096 bytes that could not be read are zeros now", page * 4096)), "{out}");
    let mended = fs::read(folder.join("blocks.bin")).unwrap();
    let spot = (page * 4096) as usize..(page as usize + 1) * 4096;
    assert!(mended[..spot.start] == records[..spot.start] && mended[spot.end..records.len()] == records[spot.end..]);

    let node = Node::start(&base, &setup);
    node.wait_tip(&chain.tip, 60);
    assert_eq!(peer.asked(&chain.line().blocks[height].0), 1, "had again");
    assert_eq!(node.stop(), 0);
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
    drop(mount);
}

#[test]
fn a_read_only_file_system_is_said_and_may_be_looked_at() {
    let chain = chain();
    let base = Folder::new();
    let Some(mount) = Mount::memory(&base.join("regtest"), "size=64m") else { return };
    goes_on(&chain, &base);
    mount.again("ro");
    for job in [&["import", "/dev/null"][..], &["blocks", "repair"], &["blocks", "truncate", "5", "--yes"]] {
        let (status, _, err) = run(&words(base.text(), job));
        assert_eq!(status, 10, "{job:?}: {err}");
        assert!(err.contains("Read-only file system") && err.contains("try: findmnt -T "), "{err}");
    }
    for job in [&["blocks", "verify"][..], &["inspect"]] {
        let (status, _, err) = run(&words(base.text(), job));
        assert_eq!(status, 0, "{job:?}: {err}");
    }
    assert_eq!(coins_digest(&base, "regtest"), chain.digest);
    mount.again("rw");
    goes_on(&chain, &base);
}

#[test]
fn a_folder_of_somebody_else_is_said_with_both_names() {
    if !is_root() {
        return;
    }
    let chain = chain();
    let base = Folder::new();
    goes_on(&chain, &base);
    let owned = |mode| {
        chown(base.join("regtest/lock"), Some(12_345), Some(12_345)).unwrap();
        for path in [base.path(), &base.join("regtest")] {
            chown(path, Some(12_345), Some(12_345)).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    // Not even to be entered, then to be read only.
    for mode in [0o700, 0o755] {
        owned(mode);
        let (status, err) = as_nobody(base.path(), &[]);
        assert_eq!(status, 10, "{mode:o}: {err}");
        let told = [" belongs to user 12345 with mode 0", ", and this runs as user 65534"];
        assert!(err.contains("Permission denied") && told.iter().all(|told| err.contains(told)), "{err}");
        assert!(err.contains("try: namei -l "), "{err}");
    }
    for (mode, status) in [(0o755, 0), (0o700, 10)] {
        owned(mode);
        assert_eq!(as_nobody(base.path(), &["blocks", "verify"]).0, status, "{mode:o}");
        assert_eq!(as_nobody(base.path(), &["coins", "digest"]).0, status, "{mode:o}");
    }
    // A file of somebody else in a folder of ours.
    for path in [base.path(), &base.join("regtest"), &base.join("regtest/lock")] {
        chown(path, Some(65_534), Some(65_534)).unwrap();
    }
    let (status, err) = as_nobody(base.path(), &["import", chain.path.to_str().unwrap()]);
    assert_eq!(status, 10, "{err}");
    let told = "blocks.bin belongs to user 0 with mode 0644, and this runs as user 65534";
    assert!(err.contains(told), "{err}");
    goes_on(&chain, &base);
}

#[test]
fn blocks_of_another_network_are_said_and_left_alone() {
    let chain = chain();
    let base = Folder::new();
    fs::create_dir_all(base.join("signet")).unwrap();
    let path = base.join("signet/blocks.bin");
    fs::copy(&chain.path, &path).unwrap();
    let on_signet = ["--chain", "signet", "--no-pin", "--cores", "1", "-o", "0", "-b", base.text()];
    for job in [
        &[][..],
        &["coins", "digest"],
        &["blocks", "verify"],
        &["blocks", "repair"],
        &["blocks", "truncate", "0", "--yes"],
    ] {
        let (status, _, err) = run(&[&on_signet[..], job].concat());
        assert_eq!(status, 2, "{job:?}: {err}");
        assert!(err.contains("it begins with the magic of regtest; try: --chain regtest"), "{err}");
    }
    assert!(fs::read(&path).unwrap() == fs::read(&chain.path).unwrap(), "not a byte was changed");
}
