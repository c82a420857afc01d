//! Where figures were measured: processor, kernel, what else it had to do, and which code was measured.

use caesure_tests::binary::workspace;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::sync::LazyLock;

fn first_line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

/// The commit; with a plus where files were changed since.
fn commit() -> String {
    let git = |words: &[&str]| {
        let done = Command::new("git").current_dir(workspace()).args(words).output();
        done.map_or(String::new(), |done| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    format!("{}{}", git(&["rev-parse", "--short=12", "HEAD"]), if changed.is_empty() { "" } else { "+" })
}

/// All of it, as it is when this is read first. The load is that of the last minute.
pub static FACTS: LazyLock<Value> = LazyLock::new(|| {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({
        "processor": model.map(|(_, model)| model),
        "CPUs": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": first_line("/proc/sys/kernel/osrelease"),
        "load before": first_line("/proc/loadavg").split(' ').next(),
        "commit": commit(),
    })
});
