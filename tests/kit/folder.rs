//! A folder of its own for one test, gone with it unless the test failed.

use crate::binary::scratch;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The folder.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new one. Its path is short, for a unix socket's path may have 107 bytes.
    pub fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let path = scratch().join(format!("{}.{}", std::process::id(), NEXT.fetch_add(1, Relaxed)));
            match std::fs::create_dir(&path) {
                Ok(()) => return Folder(path),
                // Kept by an earlier test in a process of the same number.
                Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(why) => panic!("{}: {why}", path.display()),
            }
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of something in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Its path as text.
    pub fn text(&self) -> &str {
        self.0.to_str().expect("target has a path in UTF-8")
    }
}

impl Default for Folder {
    fn default() -> Folder {
        Folder::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for a look: {}", self.0.display());
        } else {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }
}
