//! Bugs put in on purpose must be found: each line of `planted.txt` is a fault, which a copy of this crate has while its tests
//! run. The list is held against the sources in every run; the tests of the copies take half an hour, and come with
//! `CAESURE_FULL=1`.
#![allow(clippy::disallowed_methods)] // Files: the copy.

use crate::tests::aloud;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// A file, what stands in it once, and what is put in its place.
struct Fault {
    file: &'static str,
    stands: &'static str,
    put: &'static str,
    /// It needs a build of its own.
    apart: bool,
}

impl Fault {
    /// Both, with a switch between them.
    fn switched(&self, number: usize) -> String {
        let (switch, Fault { stands, put, .. }) = (format!("if crate::tests::planted::is({number})"), self);
        let named = |text: &'static str| text.strip_prefix("let ")?.strip_suffix(';')?.split_once(" = ");
        match (named(stands), named(put)) {
            (Some((name, stands)), Some((_, put))) => format!("let {name} = {switch} {{ {put} }} else {{ {stands} }};"),
            _ if stands.ends_with(';') => format!("{switch} {{ {put} }} else {{ {stands} }}"),
            _ => format!("({switch} {{ {put} }} else {{ {stands} }})"),
        }
    }
}

fn faults() -> Vec<Fault> {
    let lines = include_str!("planted.txt").lines().filter(|line| !line.starts_with('#'));
    let faults = lines.map(|line| {
        let (apart, line) = line.strip_prefix("! ").map_or((false, line), |line| (true, line));
        let (file, change) = line.split_once(": ").expect("a file");
        let (stands, put) = change.split_once(" ⇒ ").expect("a change");
        Fault { file, stands, put, apart }
    });
    faults.collect()
}

/// Whether that fault is switched on, in a copy.
#[inline(never)]
pub fn is(number: usize) -> bool {
    static ON: LazyLock<Option<usize>> = LazyLock::new(|| std::env::var("CAESURE_PLANTED").ok()?.parse().ok());
    *ON == Some(number)
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

/// `cargo test` of the copy: nothing but what comes with every run, and not this file. Whether all pass, and what was said.
fn cargo(copy: &Path, target: &Path, more: &[&str], on: usize) -> (bool, String) {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(copy).args(["test", "--offline", "-p", "lanes", "--lib"]).args(more);
    // Built once each, so as fast as can be.
    command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
    command.env("CARGO_TARGET_DIR", target).env_remove("CAESURE_FULL").env("CAESURE_PLANTED", on.to_string());
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (output.status.success(), said.concat())
}

/// Changes a file of the copy.
fn change(copy: &Path, fault: &Fault, put: &str) {
    let path = copy.join("shards/lanes/src").join(fault.file);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches(fault.stands).count(), 1, "{}: {}", fault.file, fault.stands);
    fs::write(&path, text.replace(fault.stands, put)).unwrap();
}

const SKIP: [&str; 3] = ["--", "--skip", "planted"];
/// No fault has this number.
const NONE: usize = usize::MAX;

/// Runs the tests of a copy with a fault, and says who found it.
fn found(copy: &Path, target: &Path, fault: &Fault, number: usize) -> bool {
    let (builds, said) = cargo(copy, target, &["--no-run"], number);
    assert!(builds, "{}: {}: {said}", fault.file, fault.put);
    let (passes, said) = cargo(copy, target, &SKIP, number);
    let by = said.lines().filter_map(|line| line.strip_suffix(" ... FAILED")?.rsplit("::").next());
    let (by, verdict) = (by.collect::<Vec<&str>>().join(", "), if passes { "MISSED" } else { "found" });
    aloud(&format!("{number} {verdict} {}: {} ({by})", fault.file, fault.put));
    !passes
}

#[test]
fn planted_faults_are_found() {
    let faults = faults();
    assert!(faults.len() >= 50, "{}", faults.len());
    assert!((0..faults.len()).all(|number| !is(number)), "this is no copy");
    for Fault { file, stands, put, .. } in &faults {
        let text = fs::read_to_string(crate_root().join("src").join(file)).unwrap();
        assert_eq!(text.matches(stands).count(), 1, "{file}: {stands}");
        assert_ne!(stands, put);
    }
    if std::env::var_os("CAESURE_FULL").is_none_or(|value| value != "1") {
        let count = faults.len();
        aloud(&format!("SHORTENED: {count} planted faults are listed, none is built (CAESURE_FULL=1 for all of it)"));
        return;
    }
    let base: PathBuf = crate_root().join("../../target/tmp/planted");
    let (folder, target) = (base.join("copy"), base.join("target"));
    let mut missed = Vec::new();
    copy(&folder);
    faults.iter().enumerate().filter(|(_, fault)| !fault.apart).for_each(|(number, fault)| {
        change(&folder, fault, &fault.switched(number));
    });
    let (passes, said) = cargo(&folder, &target, &SKIP, NONE);
    assert!(passes, "without a fault the tests pass: {said}");
    for apart in [false, true] {
        for (number, fault) in faults.iter().enumerate().filter(|(_, fault)| fault.apart == apart) {
            if apart {
                copy(&folder);
                change(&folder, fault, fault.put);
            }
            if !found(&folder, &target, fault, number) {
                missed.push(format!("{}: {}", fault.file, fault.put));
            }
        }
    }
    assert!(missed.is_empty(), "not found: {missed:#?}");
}
