//! Asks the kernel: files of /proc and /sys, limits, one ring, one direct write. Answers are raw; `grade.rs` judges them.
//!
//! The only file of this crate that makes system calls. Decides nothing, except that a folder which does not exist yet
//! is answered for by its nearest ancestor.

use crate::What;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The first line of a small kernel file; none where this kernel has no such file.
pub(crate) fn line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.lines().next()?.trim().to_owned())
}

/// One field of /proc/self/status, proc(5).
pub(crate) fn status_field(name: &str) -> Option<String> {
    field(&fs::read_to_string("/proc/self/status").ok()?, name)
}

fn field(status: &str, name: &str) -> Option<String> {
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
}

/// Whether this process has CAP_IPC_LOCK (capability 14 of linux/capability.h), which lifts the memlock limit.
pub(crate) fn may_lock() -> bool {
    const CAP_IPC_LOCK: u32 = 14;
    let mask = status_field("CapEff").and_then(|hex| u64::from_str_radix(&hex, 16).ok());
    mask.is_some_and(|mask| mask >> CAP_IPC_LOCK & 1 == 1)
}

/// A limit as (soft, hard), in bytes or descriptors; `u64::MAX` is no limit.
#[allow(unsafe_code)]
pub(crate) fn limit(what: What) -> io::Result<(u64, u64)> {
    let resource = match what {
        What::Memlock => libc::RLIMIT_MEMLOCK,
        What::Files => libc::RLIMIT_NOFILE,
        _ => panic!("{what} is not a limit"),
    };
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit writes one rlimit through the pointer, which is valid and exclusive for the length of the call.
    match unsafe { libc::getrlimit(resource, &mut limit) } {
        0 => Ok((limit.rlim_cur, limit.rlim_max)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the kernel holds its clock to be right, and by how many microseconds it may be wrong (adjtimex(2)).
#[allow(unsafe_code)]
pub(crate) fn clock() -> io::Result<(bool, i64)> {
    let mut state = std::mem::MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: all zeros are a timex, of which `modes` 0 only asks; the call writes one timex through the pointer, which is
    // valid and exclusive for its length.
    let (answer, state) = unsafe { (libc::adjtimex(state.as_mut_ptr()), state.assume_init()) };
    match answer {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok((answer != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0, state.maxerror)),
    }
}

/// Bytes that this user may still write to the file system of `path`.
#[allow(unsafe_code)]
pub(crate) fn free(path: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: statvfs reads a NUL-terminated path and writes one statvfs, both alive for the call; it is read only where
    // the call says that it was written.
    let stat = unsafe { (libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) == 0).then(|| stat.assume_init()) }?;
    Some(stat.f_bavail * stat.f_frsize)
}

/// Raises the soft limit of open files to the hard one.
#[allow(unsafe_code)]
pub(crate) fn raise_files() {
    if let Ok((soft, hard)) = limit(What::Files)
        && soft < hard
    {
        let limit = libc::rlimit { rlim_cur: hard, rlim_max: hard };
        // SAFETY: setrlimit reads one rlimit through the pointer, which is valid for the length of the call.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    }
}

/// Makes the smallest ring there is and lets it go.
#[allow(unsafe_code)]
pub(crate) fn ring() -> io::Result<()> {
    // struct io_uring_params of linux/io_uring.h: ten u32 and two offset tables of 40 bytes each, all zero for defaults.
    let mut params = [0u64; 15];
    const { assert!(size_of::<[u64; 15]>() == 10 * 4 + 2 * 40) };
    // SAFETY: io_uring_setup reads and writes exactly one io_uring_params, 120 bytes, which `params` is, aligned to 8.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, params.as_mut_ptr()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was just returned to us and nobody else knows it, so closing it takes it from no one.
    unsafe { libc::close(fd as libc::c_int) };
    Ok(())
}

/// O_DIRECT wants memory aligned like the device's blocks; 4 KiB is right for all of them.
#[repr(align(4096))]
struct Page([u8; 4096]);

/// Where the direct write was tried, and how it went.
pub(crate) type Written = (PathBuf, io::Result<()>);

/// The folder, or its nearest ancestor that exists.
pub(crate) fn nearest(folder: &Path) -> PathBuf {
    folder.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new(".")).to_owned()
}

/// Writes one aligned page with O_DIRECT into the folder, or into its nearest ancestor that exists, and removes it.
pub(crate) fn write_direct(folder: &Path) -> Written {
    let there = nearest(folder);
    let path = there.join(format!(".caesure-direct-{}", std::process::id()));
    let opened = OpenOptions::new().write(true).create_new(true).custom_flags(libc::O_DIRECT).open(&path);
    let result = match opened {
        Ok(mut file) => file.write_all(&Page([0; 4096]).0).and_then(|()| file.sync_data()),
        Err(error) => Err(error),
    };
    // A file system without O_DIRECT may refuse the open after it made the file; one of another's making is left alone.
    if result.as_ref().err().map(io::Error::kind) != Some(io::ErrorKind::AlreadyExists) {
        let _ = fs::remove_file(&path);
    }
    (there, result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let status = "Name:\tcat\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\nCapEff:\t0000000000004000\n";
        assert_eq!(field(status, "Cpus_allowed_list").as_deref(), Some("0-1"));
        assert_eq!(field(status, "Cpus_allowed").as_deref(), Some("3"));
        assert_eq!(field(status, "Cpus").as_deref(), None);
    }

    #[test]
    fn a_missing_knob_is_none() {
        assert_eq!(line("/proc/sys/kernel/no_such_knob"), None);
    }

    #[test]
    fn a_folder_still_to_be_made_is_answered_for_by_its_ancestor() {
        let base = std::env::temp_dir();
        assert_eq!(write_direct(&base.join("caesure-none/such/folder")).0, base);
    }

    /// Prints its limits when run by the test below; alone it holds them to their order.
    #[test]
    fn limits_of_this_process() {
        let (soft, hard) = limit(What::Files).unwrap();
        println!("\nLIMITS {} {}", soft, limit(What::Memlock).unwrap().0);
        assert!(soft <= hard);
    }

    #[test]
    fn limits_are_those_the_shell_set() {
        let script = "ulimit -S -n 123 && ulimit -S -l 64 && exec \"$0\" --exact probe::tests::limits_of_this_process --nocapture";
        let output = Command::new("sh").arg("-c").arg(script).arg(std::env::current_exe().unwrap()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.lines().any(|line| line == "LIMITS 123 65536"),
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
