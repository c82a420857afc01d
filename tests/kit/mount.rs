//! File systems of their own for tests: in memory, small, or on a disk with a bad sector. For root only; gone when dropped.

use crate::aloud;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a program; its output if it went well.
fn done(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A mounted file system.
#[derive(Debug)]
pub struct Mount {
    path: PathBuf,
    device: Option<String>,
}

impl Drop for Mount {
    fn drop(&mut self) {
        done("umount", &[text(&self.path)]);
        if let Some(device) = &self.device {
            done("losetup", &["-d", device]);
        }
    }
}

impl Mount {
    /// One in memory, with these options of mount(8); none, and a loud word, where this user may not mount.
    pub fn memory(path: &Path, options: &str) -> Option<Mount> {
        fs::create_dir_all(path).expect("target can be written");
        let mount = Mount { path: path.to_owned(), device: None };
        let mounted = done("mount", &["-t", "tmpfs", "-o", options, "tmpfs", text(path)]);
        if mounted.is_none() {
            aloud(&format!("SKIPPED: this user may not mount a small file system on {}", path.display()));
            std::mem::forget(mount);
            return None;
        }
        Some(mount)
    }

    /// A file of a file system in the place of another file.
    pub fn bind(from: &Path, path: &Path) -> Mount {
        done("mount", &["--bind", text(from), text(path)]).expect("who mounted one mounts another");
        Mount { path: path.to_owned(), device: None }
    }

    /// With other options.
    pub fn again(&self, options: &str) {
        done("mount", &["-o", &format!("remount,{options}"), text(&self.path)]).expect("it is mounted");
    }

    /// A file system with one file of these bytes, one page of which the disk does not give back until it is written
    /// again; none, and a loud word, where this user or system cannot have that.
    ///
    /// The disk is a loop device whose file ends before that page, which lies behind all else that is in use.
    pub fn with_bad_page(path: &Path, image: &Path, name: &str, bytes: &[u8], page: u64) -> Option<Mount> {
        let mount = bad_page(path, image, name, bytes, page);
        if mount.is_none() {
            aloud("SKIPPED: no loop device with a bad sector (needs root, losetup, mke2fs, filefrag)");
        }
        mount
    }
}

const PAGE: u64 = 4096;

fn bad_page(path: &Path, image: &Path, name: &str, bytes: &[u8], page: u64) -> Option<Mount> {
    fs::create_dir_all(path).ok()?;
    File::create(image).ok()?.set_len(32 << 20).ok()?;
    let device = done("losetup", &["-f", "--show", text(image)])?.trim().to_owned();
    let mount = Mount { path: path.to_owned(), device: Some(device.clone()) };
    done("mke2fs", &["-q", "-t", "ext4", "-b", "4096", "-m", "0", "-O", "^has_journal", &device])?;
    done("mount", &[&device, text(path)])?;
    let [file, low, high] = [name, "low", "high"].map(|name| path.join(name));
    let (before, after) = bytes.split_at(((page + 1) * PAGE) as usize);
    // The file up to that page lies between two others, and goes on where the lower was. The higher stays: a write behind
    // the page would make the disk longer.
    let room = vec![1; after.len() + (4 << 20)];
    fs::write(&low, &room).and_then(|()| synced(&low)).ok()?;
    fs::write(&file, before).and_then(|()| synced(&file)).ok()?;
    let taker = File::create(&high).ok()?;
    let mut at = 0;
    while taker.write_all_at(&[1; PAGE as usize], at).is_ok() {
        at += PAGE;
    }
    taker.sync_all().ok()?;
    fs::remove_file(low).and_then(|()| synced(&file)).ok()?;
    let writer = OpenOptions::new().write(true).open(&file).ok()?;
    writer.write_all_at(after, before.len() as u64).and_then(|()| writer.sync_all()).ok()?;
    let (logical, physical) = extents(&file)?.into_iter().max_by_key(|(_, physical)| *physical)?;
    drop((taker, writer));
    // What was read once is remembered as long as it is mounted.
    done("umount", &[text(path)])?;
    OpenOptions::new().write(true).open(image).ok()?.set_len(physical * PAGE).ok()?;
    done("mount", &[&device, text(path)])?;
    (logical == page).then_some(mount)
}

fn synced(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

/// The last page of each extent: its number in the file and on the disk.
fn extents(path: &Path) -> Option<Vec<(u64, u64)>> {
    let listed = done("filefrag", &["-v", text(path)])?;
    let last = |line: &str| {
        let numbers: Vec<u64> = line.split([' ', ':', '.', ',']).filter_map(|word| word.parse().ok()).collect();
        // Number, logical from and to, physical from and to, length.
        (numbers.len() >= 6).then(|| (numbers[2], numbers[4]))
    };
    Some(listed.lines().filter(|line| line.contains("..")).filter_map(last).collect())
}
