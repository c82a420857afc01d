//! Holes of files: where they are, and making more of them. Knows of no record.

use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
use rustix::io::Errno;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

/// The holes of a file of that length, in order; none where the file system does not tell.
pub fn holes(file: &File, len: u64) -> std::io::Result<Vec<Range<u64>>> {
    let (mut holes, mut at) = (Vec::new(), 0);
    while at < len {
        let start = match seek(file, SeekFrom::Hole(at)) {
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Vec::new()),
            // Every file has one behind its end.
            found => found?.min(len),
        };
        let end = match seek(file, SeekFrom::Data(start)) {
            Err(Errno::NXIO) => len,
            found => found?,
        };
        if start < end {
            holes.push(start..end);
        }
        at = end;
    }
    Ok(holes)
}

/// Gives these bytes of a file up; it stays as long as it is.
pub fn punch(file: &File, range: &Range<u64>) -> std::io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(fallocate(file, flags, range.start, range.end - range.start)?)
}

/// Tries it on a file of its own in this folder.
pub fn can_punch(folder: &Path) -> std::io::Result<()> {
    let path = folder.join("punch.new");
    let tried = std::fs::write(&path, [1; 3 * 4_096]).and_then(|()| {
        let file = File::options().read(true).write(true).open(&path)?;
        punch(&file, &(4_096..8_192))?;
        match holes(&file, 3 * 4_096)?.as_slice() {
            [hole] if *hole == (4_096..8_192) => Ok(()),
            other => {
                Err(std::io::Error::other(format!("it makes holes at {other:?} where one at 4096..8192 was wanted")))
            }
        }
    });
    let _ = std::fs::remove_file(&path);
    tried
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_punched_is_found_and_the_rest_stays() {
        let folder = std::env::temp_dir().join(format!("caesure-sparse-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        can_punch(&folder).unwrap();
        let path = folder.join("file");
        std::fs::write(&path, vec![7; 10 * 4_096 + 5]).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let len = file.metadata().unwrap().len();
        assert_eq!(holes(&file, len).unwrap(), []);
        punch(&file, &(4_096..12_288)).unwrap();
        punch(&file, &(20_480..24_576)).unwrap();
        assert_eq!(holes(&file, len).unwrap(), [4_096..12_288, 20_480..24_576]);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!((bytes.len() as u64, bytes.iter().filter(|byte| **byte == 0).count()), (len, 3 * 4_096));
        file.set_len(len + 100_000).unwrap();
        assert_eq!(holes(&file, len + 100_000).unwrap().last().unwrap().end, len + 100_000);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
