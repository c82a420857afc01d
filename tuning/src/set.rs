//! Looks at all settings, sets those that are amiss and puts them back: `caesure tune check|init|fini`.
//!
//! Whatever is changed is remembered in a file first, and told as the command that does the same before it is done. What
//! cannot be set is told with the kernel's reason, and the rest goes on. Which settings, and to what: `knobs.rs`.

use crate::knobs::{Knob, Profile, Verdict, plan};
use crate::machine::{Tree, survey};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Where it is remembered what to put back, if nothing else is said: it is gone after a boot, as all settings are.
pub const MEMORY: &str = "/run/caesure-tune.json";

/// Something could not be set, put back or remembered.
#[derive(Debug)]
pub struct Unset {
    /// What, and why not.
    pub what: String,
    /// What to try.
    pub mend: String,
    /// Whether this user may not, or nobody may here.
    pub denied: bool,
}

fn is_denied(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// What settings were, as (path, value) in the order of putting them back.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Memory {
    /// The boot in which they were that.
    boot: String,
    before: Vec<(String, String)>,
}

impl Memory {
    fn boot(tree: &Tree) -> String {
        tree.read("/proc/sys/kernel/random/boot_id").unwrap_or_default()
    }

    /// Of the file; none if there is none, or if the machine was started since.
    fn load(tree: &Tree, file: &Path) -> Result<Option<Memory>, Unset> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unremembered("read", file, &error)),
        };
        let memory: Memory = serde_json::from_str(&text).map_err(|why| Unset {
            what: format!("{} does not say what settings were before: {why}", file.display()),
            mend: format!("mv {0} {0}.bad; settings are as the system gives them after a boot", file.display()),
            denied: false,
        })?;
        Ok(Some(memory).filter(|memory| memory.boot == Memory::boot(tree)))
    }

    /// Whole or not at all.
    fn store(&self, file: &Path) -> Result<(), Unset> {
        let text = serde_json::to_string_pretty(self).expect("text becomes JSON");
        let new = file.with_extension("new");
        let written = fs::write(&new, text + "\n").and_then(|()| fs::rename(&new, file));
        written.map_err(|error| unremembered("write", file, &error))
    }

    fn forget(file: &Path) -> Result<(), Unset> {
        fs::remove_file(file).map_err(|error| unremembered("remove", file, &error))
    }
}

fn unremembered(what: &str, file: &Path, error: &io::Error) -> Unset {
    Unset {
        what: format!("cannot {what} {}, which says what settings were before: {error}", file.display()),
        mend: "with sudo, or another file with --state FILE; --dry-run only prints the commands".to_owned(),
        denied: is_denied(error),
    }
}

/// What a shell takes for one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_-.,:+@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// The command that sets this.
fn command(path: &str, value: &str) -> String {
    match path.strip_prefix("/proc/sys/") {
        Some(key) => format!("sysctl -w {}={}", key.replace('/', "."), quoted(value)),
        None => format!("echo {} > {}", quoted(value), quoted(path)),
    }
}

/// A setting as it is.
struct Looked {
    knob: Knob,
    /// Its value, or why it cannot be read.
    found: io::Result<String>,
}

impl Looked {
    fn verdict(&self) -> Verdict {
        self.found.as_ref().map_or(Verdict::Lacks, |found| self.knob.want.judge(found))
    }

    /// What is to be set, and why.
    fn change(&self) -> Option<(&Knob, String)> {
        match self.verdict() {
            Verdict::Set(value) => Some((&self.knob, value)),
            Verdict::Good | Verdict::Lacks => None,
        }
    }

    fn found_text(&self) -> String {
        match (&self.found, self.verdict()) {
            (Err(error), _) if error.kind() == ErrorKind::NotFound => "not here".to_owned(),
            (Err(error), _) => format!("cannot be read: {error}"),
            (Ok(found), _) if found.is_empty() => "none".to_owned(),
            (Ok(found), Verdict::Lacks) => format!("{found}, no other here"),
            (Ok(found), _) => found.clone(),
        }
    }
}

fn look(tree: &Tree, profile: Profile) -> Vec<Looked> {
    let knobs = plan(&survey(tree), profile).into_iter();
    knobs.map(|knob| Looked { found: tree.read(&knob.path), knob }).collect()
}

/// All settings as a table for a terminal, those of one name in a line, below it the command that sets the first that is
/// amiss. Changes nothing.
pub fn settings(tree: &Tree, profile: Profile) -> String {
    let all = look(tree, profile);
    let mut groups: Vec<Vec<&Looked>> = Vec::new();
    for looked in &all {
        match groups.iter_mut().find(|group| group[0].knob.name == looked.knob.name) {
            Some(group) => group.push(looked),
            None => groups.push(vec![looked]),
        }
    }
    let row = |group: &Vec<&Looked>| {
        let amiss = group.iter().filter(|looked| looked.change().is_some()).count();
        let first = group.iter().find(|looked| looked.change().is_some()).unwrap_or(&group[0]);
        let grade = match (amiss, first.verdict()) {
            (1.., _) => "warn",
            (0, Verdict::Lacks) => "-",
            (0, _) => "ok",
        };
        let found = first.found_text() + &if amiss > 1 { format!(" ({amiss} such)") } else { String::new() };
        let mend = first.change().map(|(knob, value)| told(knob, &value)).into_iter();
        (
            grade,
            first.knob.name,
            found,
            first.knob.want.to_string(),
            mend.map(|mend| format!("{:6}{mend}\n", "")).collect::<String>(),
        )
    };
    let rows: Vec<_> = groups.iter().map(row).collect();
    let name = rows.iter().map(|row| row.1.len()).max().unwrap_or(0);
    let found = rows.iter().map(|row| row.2.chars().count()).max().unwrap_or(0);
    let line =
        |(grade, what, value, want, mend): &_| format!("{grade:4}  {what:name$}  {value:found$}  {want}\n{mend}");
    rows.iter().map(line).collect()
}

/// A change as the line of shell that makes it.
fn told(knob: &Knob, value: &str) -> String {
    format!("{}   # {}", command(&knob.path, value), knob.why)
}

/// Sets and tells one thing; what was in the way, if anything.
fn set(tree: &Tree, path: &str, value: &str, say: &mut dyn FnMut(&str)) -> Option<(String, bool)> {
    let error = tree.write(path, value).err()?;
    say(&format!("# not done: {error}"));
    Some((format!("{path}: {error}"), is_denied(&error)))
}

/// The end of many attempts.
fn outcome(failed: &[(String, bool)], of: usize, word: &str) -> Result<(), Unset> {
    let Some((first, denied)) = failed.first() else { return Ok(()) };
    Err(Unset {
        what: format!("{} of {of} settings were not {word}; the first is {first}", failed.len()),
        mend: "with sudo; in a container, on its host".to_owned(),
        denied: *denied,
    })
}

/// Sets what is amiss, and remembers in the file what it was; where that is remembered already, the older stays.
/// Says lines that a shell could run; with `dry` that is all.
pub fn init(tree: &Tree, profile: Profile, file: &Path, dry: bool, say: &mut dyn FnMut(&str)) -> Result<(), Unset> {
    let all = look(tree, profile);
    for looked in all.iter().filter(|looked| looked.verdict() == Verdict::Lacks) {
        say(&format!("# {}: {} ({})", looked.knob.name, looked.found_text(), looked.knob.path));
    }
    let changes: Vec<(&Knob, String)> = all.iter().filter_map(Looked::change).collect();
    if changes.is_empty() {
        say("# nothing to change");
        return Ok(());
    }
    if !dry {
        let mut memory = Memory::load(tree, file)?.unwrap_or(Memory { boot: Memory::boot(tree), before: Vec::new() });
        for path in changes.iter().flat_map(|(knob, _)| &knob.changes) {
            if let (false, Ok(value)) = (memory.before.iter().any(|(known, _)| known == path), tree.read(path)) {
                memory.before.push((path.clone(), value));
            }
        }
        memory.store(file)?;
    }
    let mut failed = Vec::new();
    for (knob, value) in &changes {
        say(&told(knob, value));
        if !dry {
            failed.extend(set(tree, &knob.path, value, say));
        }
    }
    outcome(&failed, changes.len(), "set")
}

/// Puts back what the file says, and removes it; what cannot be put back stays in it.
pub fn fini(tree: &Tree, file: &Path, dry: bool, say: &mut dyn FnMut(&str)) -> Result<(), Unset> {
    let Some(mut memory) = Memory::load(tree, file)? else {
        say(&format!("# nothing to put back: nothing in {} was set since the last boot", file.display()));
        return Ok(());
    };
    let (of, mut failed) = (memory.before.len(), Vec::new());
    memory.before.retain(|(path, value)| {
        match tree.read(path) {
            // Its card or disk was taken out.
            Err(error) if error.kind() == ErrorKind::NotFound => say(&format!("# {path} is gone")),
            Ok(now) if now == *value => {}
            _ => {
                say(&command(path, value));
                let trouble = if dry { None } else { set(tree, path, value, say) };
                let stays = trouble.is_some();
                failed.extend(trouble);
                return stays;
            }
        }
        false
    });
    match (dry, memory.before.is_empty()) {
        (true, _) => {}
        (false, true) => Memory::forget(file)?,
        (false, false) => memory.store(file)?,
    }
    outcome(&failed, of, "put back")
}
