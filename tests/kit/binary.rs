//! Where the program under test is: built by cargo into the folder that this test was built into, at most once a process.
//!
//! A test of another package is not given the path of our binary, so cargo is asked to build it; that is quick when
//! nothing changed, and it is never an old one that is tested.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lies in the workspace").to_owned()
}

/// The folder of this build profile, `target/debug` or `target/release`.
fn profile_folder() -> PathBuf {
    let program = std::env::current_exe().expect("a process knows its program");
    let folder = program.parent().expect("a program lies in a folder");
    // A test lies in PROFILE/deps, a measurement in PROFILE.
    if folder.ends_with("deps") { folder.parent().expect("profiles lie in target") } else { folder }.to_owned()
}

/// Where tests may leave files: `target/tmp`.
pub fn scratch() -> PathBuf {
    let folder = profile_folder().parent().expect("profiles lie in target").join("tmp");
    std::fs::create_dir_all(&folder).expect("target can be written");
    folder
}

/// The program, freshly built.
pub fn caesure() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let folder = profile_folder();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.current_dir(workspace()).args(["build", "--quiet", "--workspace", "--bin", "caesure", "--target-dir"]);
        cargo.arg(folder.parent().expect("profiles lie in target"));
        if folder.file_name() == Some(OsStr::new("release")) {
            cargo.arg("--release");
        }
        let built = cargo.status().expect("cargo can be started");
        assert!(built.success(), "the program does not build: {cargo:?}");
        folder.join("caesure")
    })
}

/// A command that starts the program with no `CAESURE_*` variable of ours.
pub fn command(arguments: &[&str]) -> Command {
    wrapped(&[], arguments)
}

/// The same, started by another program that is given the path and arguments of ours.
pub fn wrapped(by: &[&str], arguments: &[&str]) -> Command {
    let mut command = match by.split_first() {
        Some((program, before)) => {
            let mut command = Command::new(program);
            command.args(before).arg(caesure());
            command
        }
        None => Command::new(caesure()),
    };
    command.args(arguments);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CAESURE_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the program to its end: status, standard output and standard error.
pub fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command(arguments).output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program speaks UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}
