//! Checks what the kernel gives a node before the node asks for it, and names the command that mends each lack. Sets
//! what a node gains from, and puts it back.
//!
//! Decides: enough or not, one [`Check`] per thing. Needs no privilege and changes nothing but one page in the base folder,
//! removed at once; [`init`] and [`fini`] change what they say. Never knows the node: cores, peers and folder arrive in
//! [`Wants`]. A knob this kernel does not have is said, not failed.

mod grade;
mod knobs;
mod machine;
pub mod pages;
mod probe;
mod set;

pub use knobs::Profile;
pub use machine::Tree;
use rustix::time::{ClockId, clock_gettime};
pub use set::{MEMORY, Unset, fini, init, settings};
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// What the node is about to ask of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Wants<'a> {
    /// Executors.
    pub cores: usize,
    /// Whether each wants a CPU of its own.
    pub pin: bool,
    /// Connections at most, both directions together.
    pub peers: usize,
    /// Where blocks.bin lies or will lie; it need not exist yet.
    pub folder: &'a Path,
}

/// What a [`Check`] looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The kernel's version.
    Kernel,
    /// Whether this process may make a ring.
    IoUring,
    /// `RLIMIT_MEMLOCK`.
    Memlock,
    /// `RLIMIT_NOFILE`.
    Files,
    /// `O_DIRECT` writes into the folder.
    Direct,
    /// CPUs this process may use.
    Cpus,
    /// Whether the clock is kept right.
    Clock,
    /// How many memories the CPUs have.
    Numa,
    /// What the processor has for signatures.
    Processor,
    /// Bytes left on the disk.
    Room,
    /// The node's folder.
    Folder,
    /// Where it would listen.
    Ports,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            What::Kernel => "kernel",
            What::IoUring => "io_uring",
            What::Memlock => "locked memory",
            What::Files => "open files",
            What::Direct => "direct writes",
            What::Cpus => "CPUs",
            What::Clock => "clock",
            What::Numa => "NUMA",
            What::Processor => "processor",
            What::Room => "room on disk",
            What::Folder => "folder",
            What::Ports => "ports",
        })
    }
}

/// How good what was found is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Enough.
    Ok,
    /// The node runs, slower or with less room.
    Warn,
    /// The node would not start, or would stop later.
    Fail,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Grade::Ok => "ok",
            Grade::Warn => "warn",
            Grade::Fail => "FAIL",
        })
    }
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub what: What,
    /// What there is, with its unit.
    pub found: String,
    /// What the node wants, with its unit.
    pub wanted: String,
    /// Whether that is enough.
    pub grade: Grade,
    /// The command that mends it; none where nothing is amiss.
    pub mend: Option<String>,
}

impl fmt::Display for Check {
    /// One sentence: what, found, wanted, and the command that mends it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}, wanted {}", self.what, self.found, self.wanted)?;
        match &self.mend {
            Some(mend) => write!(f, "; try: {mend}"),
            None => Ok(()),
        }
    }
}

/// Every check, in the order of [`What`].
pub fn check(wants: &Wants<'_>) -> Vec<Check> {
    vec![
        grade::kernel(probe::line("/proc/sys/kernel/osrelease").as_deref()),
        grade::io_uring(probe::ring(), probe::line("/proc/sys/kernel/io_uring_disabled").as_deref()),
        grade::memlock(probe::limit(What::Memlock), probe::may_lock(), wants.cores),
        grade::files(probe::limit(What::Files), wants.peers, wants.cores),
        grade::direct(&probe::write_direct(wants.folder)),
        grade::cpus(
            probe::status_field("Cpus_allowed_list").as_deref(),
            probe::line("/sys/devices/system/cpu/online").as_deref(),
            wants.cores,
            wants.pin,
        ),
    ]
}

/// The same, and what is worth knowing before a night's sleep: clock, memories, and room for `bytes` more.
pub fn examine(wants: &Wants<'_>, bytes: u64) -> Vec<Check> {
    let mut checks = check(wants);
    checks.push(grade::room(probe::free(&probe::nearest(wants.folder)), bytes, wants.folder));
    checks.push(grade::clock(probe::clock()));
    checks.push(grade::numa(probe::line("/sys/devices/system/node/online").as_deref(), wants.pin));
    checks
}

/// The worst grade of all; [`Grade::Ok`] for no checks.
pub fn worst(checks: &[Check]) -> Grade {
    checks.iter().map(|check| check.grade).max().unwrap_or(Grade::Ok)
}

/// The checks as a table for a terminal: a heading, a line for each, and its mending command below what is amiss.
pub fn table(checks: &[Check]) -> String {
    let width = |head: &str, cell: fn(&Check) -> usize| checks.iter().map(cell).chain([head.len()]).max().unwrap_or(0);
    let what = width("what", |c| c.what.to_string().len());
    let found = width("found", |c| c.found.chars().count());
    let mut out = format!("      {:what$}  {:found$}  wanted\n", "what", "found");
    for c in checks {
        out += &format!("{:4}  {:what$}  {:found$}  {}\n", c.grade, c.what, c.found, c.wanted);
        if let Some(mend) = &c.mend {
            out += &format!("{:6}try: {mend}\n", "");
        }
    }
    out
}

/// Bytes that this user may still write to the file system of `path`.
pub fn free_bytes(path: &std::path::Path) -> Option<u64> {
    probe::free(path)
}

/// The time that this thread has had a CPU: what else runs on the machine makes no step longer.
pub fn core_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("it began at zero")
}

/// Raises the soft limit of open files to the hard one, as far as that goes: every program may.
pub fn raise_open_files() {
    probe::raise_files();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Check> {
        let make = |what, found: &str, wanted: &str, grade, mend: Option<&str>| Check {
            what,
            found: found.into(),
            wanted: wanted.into(),
            grade,
            mend: mend.map(str::to_owned),
        };
        vec![
            make(What::Kernel, "6.1", "5.8", Grade::Ok, None),
            make(What::Files, "256", "1024", Grade::Fail, Some("ulimit -n 1024")),
        ]
    }

    #[test]
    fn the_table_lines_up_and_shows_how_to_mend() {
        let expected = "      what        found  wanted\n\
                        ok    kernel      6.1    5.8\n\
                        FAIL  open files  256    1024\n      try: ulimit -n 1024\n";
        assert_eq!(table(&sample()), expected);
    }

    #[test]
    fn a_check_reads_as_one_sentence() {
        assert_eq!(sample()[1].to_string(), "open files: found 256, wanted 1024; try: ulimit -n 1024");
        assert_eq!(sample()[0].to_string(), "kernel: found 6.1, wanted 5.8");
    }

    #[test]
    fn the_worst_grade_decides() {
        assert_eq!(worst(&sample()), Grade::Fail);
        assert_eq!(worst(&sample()[..1]), Grade::Ok);
        assert_eq!(worst(&[]), Grade::Ok);
    }

    #[test]
    fn this_machine_is_looked_at_in_full_and_nothing_is_left_behind() {
        let folder = std::env::temp_dir().join(format!("caesure-tuning-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let checks = check(&Wants { cores: 1, pin: true, peers: 8, folder: &folder });
        let left = std::fs::read_dir(&folder).unwrap().count();
        std::fs::remove_dir(&folder).unwrap();
        assert_eq!(left, 0, "the page written for the check is removed");
        let seen: Vec<What> = checks.iter().map(|c| c.what).collect();
        assert_eq!(seen, [What::Kernel, What::IoUring, What::Memlock, What::Files, What::Direct, What::Cpus]);
        assert!(checks.iter().all(|c| c.grade != Grade::Fail || c.mend.is_some()), "{}", table(&checks));
    }
}
