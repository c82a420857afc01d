//! The settings of the machine that this runs on: looked at by nobody in particular, set and put back in a network of its own.

use caesure_tests::binary::{caesure, command, wrapped};
use caesure_tests::{Folder, aloud};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

/// As user and group `nobody`, who may set nothing.
const NOBODY: [&str; 6] = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];

/// One of them changes for a moment what the other looks at.
static MACHINE: Mutex<()> = Mutex::new(());

/// A folder that everybody may write to.
fn open_folder() -> Folder {
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

/// Status and standard output as a user without rights.
fn tune(folder: &Folder, words: &[&str]) -> (i32, String) {
    let words = [&["tune"], words, &["-b", folder.text(), "--cores", "1", "--no-pin"]].concat();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = if is_root { wrapped(&NOBODY, &words) } else { command(&words) };
    let Output { status, stdout, .. } = command.output().expect("setpriv (util-linux) is there");
    (status.code().unwrap_or(-1), String::from_utf8(stdout).unwrap())
}

fn settings() -> Vec<String> {
    let names = ["vm/swappiness", "vm/dirty_bytes", "vm/dirty_ratio", "vm/max_map_count", "net/ipv4/tcp_rmem"];
    names.map(|name| fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default()).to_vec()
}

#[test]
fn without_rights_all_is_looked_at_and_nothing_changed() {
    let _alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let (folder, before) = (open_folder(), settings());
    let (status, table) = tune(&folder, &["check"]);
    assert_eq!(status, 0, "{table}");
    for name in ["io_uring", "locked memory", "vm.swappiness", "huge pages", "interrupts", "governor", "disk scheduler"]
    {
        assert!(table.contains(name), "{name}: {table}");
    }
    let state = folder.join("state");
    let state = state.to_str().unwrap();
    let (status, told) = tune(&folder, &["init", "--dry-run", "--state", state]);
    assert_eq!(status, 0, "{told}");
    let shell = Command::new("sh").args(["-n", "-c", &told]).status().unwrap();
    assert!(shell.success(), "a shell can run what is told: {told}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    let commands = told.lines().filter(|line| !line.starts_with('#')).count();
    let (status, done) = tune(&folder, &["init", "--state", state]);
    assert_eq!(
        done.lines().filter(|line| line.contains("not done: Permission denied (os error 13)")).count(),
        commands
    );
    assert_eq!(status, if commands == 0 { 0 } else { 10 }, "{done}");
    assert_eq!(tune(&folder, &["fini", "--state", state]).0, 0, "nothing was changed, so nothing is to be put back");
    assert_eq!(settings(), before);
}

/// Sockets have settings of their own in a network of their own; those of memory that a laptop gets harm nobody.
#[test]
fn settings_are_put_back_as_they_were() {
    let _alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = open_folder();
    let script = r#"
        shot() { cat net/ipv4/tcp_slow_start_after_idle net/ipv4/tcp_rmem net/core/somaxconn vm/max_map_count > "$1/$2"; }
        cd /proc/sys && echo 1 > net/ipv4/tcp_slow_start_after_idle && echo 4096 131072 6291456 > net/ipv4/tcp_rmem || exit 77
        shot "$1" before
        "$0" tune init --profile laptop --state "$1/state" -b "$1" > "$1/told"
        echo $? > "$1/status"
        shot "$1" between
        "$0" tune init --profile laptop --state "$1/state" -b "$1" > /dev/null
        "$0" tune fini --state "$1/state" -b "$1" >> "$1/told"
        echo $? >> "$1/status"
        shot "$1" after
    "#;
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--net", "sh", "-c", script]).arg(caesure()).arg(folder.path());
    if !unshare.status().is_ok_and(|status| status.success()) {
        aloud("SKIPPED: no network of our own to set and put back (unshare --map-root-user --net)");
        return;
    }
    let read = |name| fs::read_to_string(folder.join(name)).unwrap();
    let between = read("between");
    assert!(between.starts_with("0\n4096\t131072\t33554432\n"), "{between}");
    assert_eq!(read("after"), read("before"));
    for line in ["sysctl -w net.ipv4.tcp_slow_start_after_idle=0 ", "sysctl -w net.ipv4.tcp_slow_start_after_idle=1\n"]
    {
        assert!(read("told").contains(line), "{line}: {}", read("told"));
    }
    // Who is root here alone may not set what is everybody's.
    let statuses = read("status");
    assert!(["0\n0\n", "10\n0\n"].contains(&statuses.as_str()), "{statuses}");
    assert!(!folder.join("state").exists());
}
