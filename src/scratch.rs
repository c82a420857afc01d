//! A folder among the temporary ones, for what nobody needs later. Never knows what lies in it.

use std::path::PathBuf;

/// Made empty, and gone when this goes.
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// One of this name, for this process alone.
    pub fn new(name: &str) -> std::io::Result<Scratch> {
        let path = std::env::temp_dir().join(format!("caesure-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
