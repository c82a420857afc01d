//! What is made of the command line: the manual, and completions for shells. Decides nothing.

use crate::args;
use crate::exit::Fatal;
use clap_complete::Shell;
use std::io::Write;
use std::path::Path;

/// Prints what a shell wants.
pub fn completions(shell: Shell) -> Result<(), Fatal> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "caesure", &mut text);
    print(&text)
}

/// Prints the manual, or writes a page for each command.
pub fn man(out: Option<&Path>) -> Result<(), Fatal> {
    let Some(folder) = out else {
        let mut text = Vec::new();
        let page = clap_mangen::Man::new(args::command());
        page.render(&mut text).expect("memory takes all");
        return print(&text);
    };
    let failed =
        |why: std::io::Error| Fatal::Runtime(format!("pages cannot be written to {}: {why}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(args::command(), folder).map_err(failed)
}

/// Whoever reads it may have had enough, as `head` does.
fn print(text: &[u8]) -> Result<(), Fatal> {
    match std::io::stdout().write_all(text) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Fatal::Runtime(format!("standard output: {why}")))
        }
        _ => Ok(()),
    }
}
