//! What the kernel counts for a process: CPU, memory, bytes. Read from `/proc/PID`, so it holds for any program.

use std::collections::BTreeMap;
use std::fs;

/// The number behind a name in a file of `/proc/PID`, such as `read_bytes:` in `io`.
pub fn count(pid: u32, file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).expect("it is our child");
    let rest = text.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel counts");
    rest.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// The fields of `/proc/PID/stat` from the third on.
fn stat(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is our child");
    let fields = text.rsplit_once(')').expect("the name stands in brackets").1;
    fields.split_whitespace().map(String::from).collect()
}

/// Seconds of CPU that a process took: fields 14 and 15, in hundredths.
pub fn cpu_seconds(pid: u32) -> f64 {
    stat(pid)[11..13].iter().map(|field| field.parse::<f64>().expect("a number")).sum::<f64>() / 100.0
}

/// Seconds of CPU that a node's threads took: its executors and the threads that glommio gives them (`caesure-N-M`), of these the
/// one that answers people (the highest N), and the rest.
pub fn thread_seconds(pid: u32) -> [f64; 3] {
    let mut executors = BTreeMap::new();
    let mut rest = 0.0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).expect("it is our child").flatten() {
        let read = |file: &str| fs::read_to_string(thread.path().join(file));
        // One may end just now.
        let (Ok(name), Ok(times)) = (read("comm"), read("schedstat")) else { continue };
        let executor = name.strip_prefix("caesure-").and_then(|name| name.split('-').next()?.parse::<u16>().ok());
        let nanoseconds = times.split(' ').next().and_then(|first| first.parse::<f64>().ok()).expect("a number");
        *executor.map_or(&mut rest, |core| executors.entry(core).or_default()) += nanoseconds / 1e9;
    }
    let desk = executors.last_key_value().map_or(0.0, |(_, seconds)| *seconds);
    [executors.values().sum(), desk, rest]
}

/// Whether it has ended, and is only there to be waited for.
pub fn ended(pid: u32) -> bool {
    stat(pid)[0] == "Z"
}

/// Bytes that a process made dirty in the page cache or wrote past it; a page that is written twice counts twice.
pub fn written(pid: u32) -> f64 {
    count(pid, "io", "write_bytes:")
}

/// The most memory that a process had at once, in bytes.
pub fn memory_peak(pid: u32) -> f64 {
    count(pid, "status", "VmHWM:") * 1024.0
}
