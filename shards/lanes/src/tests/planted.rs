//! Bugs put in on purpose must be found: each line of `planted.txt` is a fault, which a copy of this crate has while its tests
//! run. The list is held against the sources in every run; the tests of all copies take half an hour, and come with
//! `CAESURE_FULL=1`.
#![allow(clippy::disallowed_methods)] // Files: the copy.

use crate::tests::aloud;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file, what stands in it once, and what is put in its place.
struct Fault {
    file: &'static str,
    stands: &'static str,
    put: &'static str,
}

fn faults() -> Vec<Fault> {
    let lines = include_str!("planted.txt").lines().filter(|line| !line.starts_with('#'));
    let faults = lines.map(|line| {
        let (file, change) = line.split_once(": ").expect("a file");
        let (stands, put) = change.split_once(" ⇒ ").expect("a change");
        Fault { file, stands, put }
    });
    faults.collect()
}

fn crate_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The crate in a workspace of its own, for which the manifest of ours is cut: no member but this one, no package.
fn copy(to: &Path) {
    let root = crate_root().join("../..");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let (workspace, rest) = manifest.split_once("\n[package]\n").unwrap();
    let (_, profiles) = rest.split_once("\n[profile.release]\n").unwrap();
    let from = workspace.find("members = [").unwrap();
    let end = from + workspace[from..].find(']').unwrap() + 1;
    let workspace = workspace.replace(&workspace[from..end], "members = [\"shards/lanes\"]");
    let inside = to.join("shards/lanes");
    fs::create_dir_all(inside.join("src/tests")).unwrap();
    fs::write(to.join("Cargo.toml"), format!("{workspace}\n[profile.release]\n{profiles}")).unwrap();
    fs::copy(root.join("Cargo.lock"), to.join("Cargo.lock")).unwrap();
    fs::copy(crate_root().join("Cargo.toml"), inside.join("Cargo.toml")).unwrap();
    for folder in ["src", "src/tests"] {
        for entry in fs::read_dir(crate_root().join(folder)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), inside.join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
}

/// `cargo test` of the copy: nothing but what comes with every run, and not this file.
fn cargo(copy: &Path, target: &Path, more: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(copy).args(["test", "--offline", "-p", "lanes", "--lib"]).args(more);
    // Built once each, so as fast as can be.
    command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
    let output = command.env("CARGO_TARGET_DIR", target).env_remove("CAESURE_FULL").output().unwrap();
    (
        output.status.success(),
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat(),
    )
}

#[test]
fn planted_faults_are_found() {
    let faults = faults();
    assert!(faults.len() >= 50, "{}", faults.len());
    for Fault { file, stands, put } in &faults {
        let text = fs::read_to_string(crate_root().join("src").join(file)).unwrap();
        assert_eq!(text.matches(stands).count(), 1, "{file}: {stands}");
        assert_ne!(stands, put);
    }
    if std::env::var_os("CAESURE_FULL").is_none_or(|value| value != "1") {
        aloud(&format!(
            "SHORTENED: {} planted faults are listed, none is built (CAESURE_FULL=1 for all of it)",
            faults.len()
        ));
        return;
    }
    if !super::registers() {
        return;
    }
    let base: PathBuf = crate_root().join("../../target/tmp/planted");
    let (folder, target) = (base.join("copy"), base.join("target"));
    copy(&folder);
    let skip = ["--", "--skip", "planted"];
    let (passes, said) = cargo(&folder, &target, &skip);
    assert!(passes, "without a fault the tests pass: {said}");
    let mut missed = Vec::new();
    for (number, Fault { file, stands, put }) in faults.iter().enumerate() {
        let path = folder.join("shards/lanes/src").join(file);
        let sound = fs::read_to_string(&path).unwrap();
        fs::write(&path, sound.replace(stands, put)).unwrap();
        let (builds, said) = cargo(&folder, &target, &["--no-run"]);
        assert!(builds, "{file}: {put}: {said}");
        let (passes, said) = cargo(&folder, &target, &skip);
        fs::write(&path, sound).unwrap();
        let by: Vec<&str> = said.lines().filter_map(|line| line.strip_suffix(" ... FAILED")).collect();
        let by = by.iter().filter_map(|line| line.rsplit("::").next()).collect::<Vec<&str>>().join(", ");
        let found = if passes { "MISSED" } else { "found" };
        aloud(&format!("{}/{} {found} {file}: {put}  [{by}]", number + 1, faults.len()));
        if passes {
            missed.push(format!("{file}: {put}"));
        }
    }
    assert!(missed.is_empty(), "not found: {missed:#?}");
}
