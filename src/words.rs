//! The words of the command line, with `@FILE` replaced by the lines of that file, as in 2014 (Python's `fromfile_prefix_chars`).
//! Never knows what a word means.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Files within files.
const DEPTH_MAX: usize = 8;

/// All words; those of a file are lines, without blanks at their ends. Empty ones and those that begin with `#` say nothing.
pub fn all(words: impl Iterator<Item = OsString>) -> Result<Vec<OsString>, String> {
    let mut all = Vec::new();
    for word in words {
        match file(&word) {
            Some(path) => read(&path, &mut Vec::new(), &mut all)?,
            None => all.push(word),
        }
    }
    Ok(all)
}

fn file(word: &OsString) -> Option<PathBuf> {
    word.to_str()?.strip_prefix('@').map(PathBuf::from)
}

fn read(path: &Path, within: &mut Vec<PathBuf>, all: &mut Vec<OsString>) -> Result<(), String> {
    let place = || within.last().map(|outer| format!(" in {}", outer.display())).unwrap_or_default();
    if within.len() == DEPTH_MAX {
        return Err(format!("@{}{}: {DEPTH_MAX} files name one another", path.display(), place()));
    }
    let text = std::fs::read_to_string(path).map_err(|why| format!("@{}{}: {why}", path.display(), place()))?;
    within.push(path.to_owned());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let word = OsString::from(line);
        match file(&word) {
            Some(inner) => read(&inner, within, all)?,
            None => all.push(word),
        }
    }
    within.pop();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stand_for_their_lines() {
        let folder = std::env::temp_dir().join(format!("caesure-words-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let [outer, inner] = ["outer", "inner"].map(|name| folder.join(name));
        std::fs::write(&outer, format!("--base\n  /srv/a b \n\n# a remark\n@{}\n-v", inner.display())).unwrap();
        std::fs::write(&inner, "--cores\n2\n").unwrap();
        let of = |words: &[String]| all(words.iter().map(OsString::from));
        let words = of(&["caesure".into(), format!("@{}", outer.display()), "demo".into()]).unwrap();
        assert_eq!(words, ["caesure", "--base", "/srv/a b", "--cores", "2", "-v", "demo"]);
        let gone = folder.join("gone");
        std::fs::write(&inner, format!("@{}", gone.display())).unwrap();
        let why = of(&[format!("@{}", outer.display())]).unwrap_err();
        assert!(why.starts_with(&format!("@{} in {}: ", gone.display(), inner.display())), "{why}");
        std::fs::write(&inner, format!("@{}", outer.display())).unwrap();
        assert!(of(&[format!("@{}", outer.display())]).unwrap_err().ends_with("8 files name one another"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
