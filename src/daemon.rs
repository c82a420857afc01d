//! `--daemon`: the node in the background. Whoever starts it waits until it is ready and ends with 0 then, or with the status and
//! the words of what kept it from starting. Decides when the terminal is let go; never knows what the node does.

use crate::exit::Fatal;
use crate::trouble;
use rustix::stdio::{dup2_stderr, dup2_stdout};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

/// Set for the process in the background.
const MARK: &str = "_CAESURE_IN_BACKGROUND";
/// What it says once it is ready, before its process.
const READY: &str = "ready ";

/// Whether this is the process in the background.
pub fn is_here() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Starts this program again, in the background, and waits until it is ready or has ended.
pub fn start() -> Result<ExitCode, Fatal> {
    let failed = |why: std::io::Error| Fatal::Runtime(format!("the program cannot start itself again: {why}"));
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(MARK, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let said = BufReader::new(child.stdout.take().expect("piped"));
    for line in said.lines().map_while(Result::ok) {
        match line.strip_prefix(READY) {
            Some(process) => {
                println!("caesure runs in the background, process {process}");
                return Ok(ExitCode::SUCCESS);
            }
            None => println!("{line}"),
        }
    }
    // It has said on this terminal why.
    let status = child.wait().map_err(failed)?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Leaves the terminal's session, so that its end is not this process's.
pub fn leave() -> Result<(), Fatal> {
    let failed = |why: &dyn std::fmt::Display| Fatal::Runtime(format!("cannot go to the background: {why}"));
    rustix::process::setsid().map_err(|why| failed(&why))?;
    std::env::set_current_dir("/").map_err(|why| failed(&why))
}

/// Lets the terminal go: whoever started it is told, and nothing is said there any more.
pub fn ready() -> Result<(), Fatal> {
    let failed = |why: &dyn std::fmt::Display| Fatal::Runtime(format!("cannot let the terminal go: {why}"));
    let mut out = std::io::stdout();
    let told = writeln!(out, "{READY}{}", std::process::id()).and_then(|()| out.flush());
    told.map_err(|why| failed(&why))?;
    let nowhere = OpenOptions::new().write(true).open("/dev/null").map_err(|why| failed(&why))?;
    dup2_stdout(&nowhere).and_then(|()| dup2_stderr(&nowhere)).map_err(|why| failed(&why))
}

/// A file that says which process runs. Goes when this does; what a killed node leaves is written over.
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes it.
    pub fn write(path: PathBuf) -> Result<PidFile, Fatal> {
        let written = std::fs::write(&path, format!("{}\n", std::process::id()));
        written.map_err(|why| trouble::fatal(&path, "write to", why))?;
        Ok(PidFile(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
