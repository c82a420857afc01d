//! Who holds a folder's lock, found without trying it, so that a node that starts meanwhile is not turned away.
//!
//! Decides nothing: who must not be disturbed takes the lock.

use std::fs::{metadata, read_to_string};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The process that runs a node on this folder, if one does.
pub fn of(folder: &Path) -> Option<u32> {
    let path = folder.join("lock");
    let noted = read_to_string(&path).ok()?.trim().parse().ok()?;
    let inode = metadata(&path).ok()?.ino();
    among(&read_to_string("/proc/locks").ok()?, noted, inode).then_some(noted)
}

/// Whether that process holds a lock on the file with that inode (proc_locks(5)). Devices are left out: what some file
/// systems say there is not what they say elsewhere.
fn among(locks: &str, process: u32, inode: u64) -> bool {
    locks.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, place, ..] = fields[..] else { return false };
        pid.parse() == Ok(process) && place.rsplit(':').next().and_then(|found| found.parse().ok()) == Some(inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_known_by_its_process_and_its_file() {
        let locks = "1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 77 fe:00:4711 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 78 fe:00:4711 0 EOF\n\
                     3: FLOCK  ADVISORY  READ 79 fe:00:4711 0 EOF\n";
        assert!(among(locks, 77, 4711));
        for (process, inode) in [(78, 4711), (79, 4711), (77, 4712), (3568, 2_531_452)] {
            assert!(!among(locks, process, inode), "{process} {inode}");
        }
    }

    #[test]
    fn our_own_lock_is_seen() {
        let folder = std::env::temp_dir().join(format!("caesure-holder-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(of(&folder), None);
        let file = std::fs::File::create(folder.join("lock")).unwrap();
        std::fs::write(folder.join("lock"), format!("{}\n", std::process::id())).unwrap();
        assert_eq!(of(&folder), None, "nobody holds it");
        file.lock().unwrap();
        assert_eq!(of(&folder), Some(std::process::id()));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
