//! What the kernel says of a file that cannot be read or written, as the end that it means and what to try.
//!
//! Never tries again, and never knows what the file is for.

use crate::exit::Fatal;
use std::fs::metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether there was no room.
pub fn is_full(why: &io::Error) -> bool {
    matches!(why.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG))
}

/// The end that it means: no room, no right, or a file that is not trusted any more. `doing` is "write to", "read of".
pub fn fatal(path: &Path, doing: &str, why: io::Error) -> Fatal {
    let path = path.to_owned();
    match why.raw_os_error() {
        _ if is_full(&why) => {
            let free = tuning::free_bytes(path.parent().unwrap_or(&path)).unwrap_or(0);
            Fatal::DiskFull { what: format!("{doing} it failed: {why}"), path, free }
        }
        Some(libc::EROFS) => {
            let mend = format!("findmnt -T {}, then mount that read-write", path.display());
            Fatal::Denied { what: format!("{doing} {} failed: {why}", path.display()), mend }
        }
        Some(libc::EACCES | libc::EPERM) => {
            let what = format!("{doing} {} failed: {why}{}", path.display(), owner(&path).unwrap_or_default());
            Fatal::Denied { what, mend: format!("namei -l {}, then chown or chmod what bars the way", path.display()) }
        }
        _ => Fatal::DiskFailed { path, doing: doing.to_owned(), why },
    }
}

/// Whose it is, or the folder that should hold it, where it is not ours.
fn owner(path: &Path) -> Option<String> {
    let (there, found) = path.ancestors().find_map(|path| Some((path, metadata(path).ok()?)))?;
    // The kernel makes that folder belong to whom this process acts for.
    let we = metadata("/proc/self").ok()?.uid();
    let shown = there.display();
    let mode = found.mode() & 0o7777;
    Some(format!("; {shown} belongs to user {} with mode {mode:04o}, and this runs as user {we}", found.uid()))
}
