//! Decides how the program ends: one exit status for each kind of end, one sentence for whoever reads it at night.
//!
//! Never knows how a failure is found; whoever finds it brings the numbers and gets the sentence.

use std::path::PathBuf;
use std::process::ExitCode;
use tuning::{Check, Unset, What};

/// Why the node stopped, or would not start. Each kind has its own exit status, and each sentence ends in what to try.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// Anything without a status of its own.
    #[error("{0}")]
    Runtime(String),
    /// A flag, variable or key that cannot be obeyed.
    #[error("{0}\nmore: caesure --help")]
    Usage(String),
    /// Another process holds the folder's lock.
    #[error("{} is in use by another caesure{}\ntry: fuser -v {}/lock, then stop that one, or choose another folder with --base PATH",
        .folder.display(), .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(), .folder.display())]
    Locked {
        /// The network's folder.
        folder: PathBuf,
        /// Who holds it, where the lock says so.
        pid: Option<u32>,
    },
    /// Bytes on disk are not what they were when written.
    #[error("{} is damaged: {what}\ntry: {mend}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, with offset and length in bytes.
        what: String,
        /// The command that repairs it.
        mend: String,
    },
    /// The kernel has not, or does not give us, what the node is built on.
    #[error("{what}\ntry: {mend}")]
    Kernel {
        /// What was found and what is wanted.
        what: String,
        /// The command that mends it.
        mend: String,
    },
    /// A limit on locked memory or open files is too low.
    #[error("{what}\ntry: {mend}")]
    Limit {
        /// The limit, its value and the value wanted.
        what: String,
        /// The command that mends it.
        mend: String,
    },
    /// No room left. Everything up to the last durable point is kept.
    #[error("no room to write {}: {what}; {free} bytes are free; all that was durable is kept\n\
             try: df -h {}, make room, start again", .path.display(), .path.display())]
    DiskFull {
        /// The file that was to grow.
        path: PathBuf,
        /// Bytes of the write that failed, and up to where all is kept.
        what: String,
        /// Bytes free to this user on that file system.
        free: u64,
    },
    /// A write or a sync failed, so what the file holds is no longer known: only a restart, which reads it again, may go on.
    #[error("{doing} {} failed: {why}; the file is not trusted until it is read again\n\
             try: sudo dmesg | tail, then start again if the disk is sound; if a part of blocks.bin cannot be read: caesure blocks repair", .path.display())]
    DiskFailed {
        /// The file.
        path: PathBuf,
        /// "write to" or "sync of", with offset and length in bytes.
        doing: String,
        /// What the kernel said.
        why: std::io::Error,
    },
    /// The file system or the rights on a file do not let this process do what it must.
    #[error("{what}\ntry: {mend}")]
    Denied {
        /// What was tried, whose it is and who tried.
        what: String,
        /// The command that mends it, or shows what bars the way.
        mend: String,
    },
    /// The folder was written by a newer version, whose format we cannot know.
    #[error("{} has format {found}, this caesure knows up to {known}\n\
             try: a newer caesure, or another folder with --base PATH", .folder.display())]
    NewerFolder {
        /// The network's folder.
        folder: PathBuf,
        /// Format number in its VERSION file.
        found: u32,
        /// Newest format number we know.
        known: u32,
    },
    /// Blocks are needed that were pruned.
    #[error("{what}\ntry: {mend}")]
    Pruned {
        /// Which, and what for.
        what: String,
        /// What is left to do.
        mend: String,
    },
}

/// The exit statuses, as `--help` shows them.
pub const STATUSES: &str = "\
Exit status:
  0  stopped as asked
  1  failed while running
  2  bad flag, variable or key
  3  folder in use by another node
  4  damaged data
  5  kernel too old, or io_uring missing or forbidden
  6  too little locked memory or too few open files allowed
  7  disk full
  8  a write or sync failed
  9  folder written by a newer version
 10  not allowed to read or write: another owner, or mounted read-only
 11  blocks are needed that were pruned
130  ended at once by a second INT or TERM";

/// The status of a node that a second signal ended.
pub const AT_ONCE: u8 = 130;

impl Fatal {
    /// The exit status, 1 to 11.
    pub fn status(&self) -> u8 {
        match self {
            Fatal::Runtime(_) => 1,
            Fatal::Usage(_) => 2,
            Fatal::Locked { .. } => 3,
            Fatal::Damaged { .. } => 4,
            Fatal::Kernel { .. } => 5,
            Fatal::Limit { .. } => 6,
            Fatal::DiskFull { .. } => 7,
            Fatal::DiskFailed { .. } => 8,
            Fatal::NewerFolder { .. } => 9,
            Fatal::Denied { .. } => 10,
            Fatal::Pruned { .. } => 11,
        }
    }
}

impl From<&Fatal> for ExitCode {
    fn from(fatal: &Fatal) -> ExitCode {
        ExitCode::from(fatal.status())
    }
}

/// A failed check of the machine, as the end it leads to.
impl From<&Check> for Fatal {
    fn from(check: &Check) -> Fatal {
        let what = format!("{}: found {}, wanted {}", check.what, check.found, check.wanted);
        let mend = check.mend.clone().unwrap_or_else(|| "caesure tune check".to_owned());
        match check.what {
            What::Kernel | What::IoUring => Fatal::Kernel { what, mend },
            What::Memlock | What::Files => Fatal::Limit { what, mend },
            What::Direct | What::Clock | What::Numa | What::Processor | What::Room | What::Folder | What::Ports => {
                Fatal::Runtime(format!("{what}\ntry: {mend}"))
            }
            What::Cpus => Fatal::Usage(format!("{what}\ntry: {mend}")),
        }
    }
}

impl From<Unset> for Fatal {
    fn from(Unset { what, mend, denied }: Unset) -> Fatal {
        match denied {
            true => Fatal::Denied { what, mend },
            false => Fatal::Runtime(format!("{what}\ntry: {mend}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Fatal> {
        let path = PathBuf::from("/srv/btc");
        let (what, mend) = ("a lack".to_owned(), "a command".to_owned());
        vec![
            Fatal::Runtime(what.clone()),
            Fatal::Usage(what.clone()),
            Fatal::Locked { folder: path.clone(), pid: Some(42) },
            Fatal::Damaged { path: path.clone(), what: what.clone(), mend: mend.clone() },
            Fatal::Kernel { what: what.clone(), mend: mend.clone() },
            Fatal::Limit { what: what.clone(), mend: mend.clone() },
            Fatal::DiskFull { path: path.clone(), what: what.clone(), free: 512 },
            Fatal::DiskFailed {
                path: path.clone(),
                doing: "sync of".into(),
                why: std::io::Error::from_raw_os_error(libc::EIO),
            },
            Fatal::NewerFolder { folder: path, found: 3, known: 1 },
            Fatal::Denied { what: "a write".into(), mend: "a command".into() },
            Fatal::Pruned { what, mend },
        ]
    }

    #[test]
    fn every_end_has_its_own_status_and_help_names_it() {
        let statuses: Vec<u8> = all().iter().map(Fatal::status).collect();
        assert_eq!(statuses, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        for status in statuses {
            assert!(STATUSES.contains(&format!("\n{status:>3}  ")), "{status}");
        }
    }

    #[test]
    fn every_end_says_what_to_try() {
        for fatal in all().iter().skip(2) {
            assert!(fatal.to_string().contains("\ntry: "), "{fatal}");
        }
        assert!(all()[1].to_string().ends_with("caesure --help"));
        assert!(all()[2].to_string().contains("/srv/btc is in use by another caesure (process 42)"));
        assert!(all()[6].to_string().contains("a lack; 512 bytes are free"));
        assert!(all()[8].to_string().contains("has format 3, this caesure knows up to 1"));
    }

    #[test]
    fn a_failed_check_ends_with_its_kind_of_status() {
        let status = |what| {
            let check = Check { what, found: "a".into(), wanted: "b".into(), grade: tuning::Grade::Fail, mend: None };
            Fatal::from(&check).status()
        };
        let kinds = [What::Kernel, What::IoUring, What::Memlock, What::Files, What::Direct, What::Cpus];
        assert_eq!(kinds.map(status), [5, 5, 6, 6, 1, 2]);
    }
}
