//! The console's end of a node's monitor: lines go there, and what comes back is printed up to its mark. Knows nothing of
//! the language.

use super::session::Came;
use super::{MARK, Talk};
use crate::exit::Fatal;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// A node that listens.
pub struct Node {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Node {
    /// Connects, and has answers marked.
    pub fn connect(path: PathBuf) -> Result<Node, Fatal> {
        let stream = UnixStream::connect(&path).map_err(|why| {
            let shown = path.display();
            let mend = "start the node with --monitor, or look at its files alone: caesure console --offline";
            match why.kind() {
                ErrorKind::PermissionDenied => {
                    Fatal::Denied { what: format!("{shown}: {why}"), mend: format!("ls -l {shown}") }
                }
                _ => Fatal::Runtime(format!("no node answers at {shown}: {why}\ntry: {mend}")),
            }
        })?;
        let mut node = Node { path, stream: BufReader::new(stream) };
        // The banner is for those who see no marks.
        node.ask(&MARK.to_string(), &mut std::io::sink())?;
        Ok(node)
    }

    fn ask(&mut self, line: &str, out: &mut dyn Write) -> Result<Came, Fatal> {
        let path = self.path.clone();
        let gone = |why: std::io::Error| Fatal::Runtime(format!("the node at {} has gone: {why}", path.display()));
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes()).map_err(gone)?;
        let (mut piece, mut one) = (Vec::new(), [0]);
        loop {
            self.stream.read_exact(&mut one).map_err(gone)?;
            if u32::from(one[0]) == u32::from(MARK) {
                break;
            }
            piece.push(one[0]);
            // What is there is shown, where a script prints as it goes.
            if self.stream.buffer().is_empty() || piece.len() > 1 << 16 {
                drop(out.write_all(&piece).and_then(|()| out.flush()));
                piece.clear();
            }
        }
        drop(out.write_all(&piece).and_then(|()| out.flush()));
        self.stream.read_exact(&mut one).map_err(gone)?;
        Ok(match one[0] {
            b'+' => Came::More,
            b'!' => Came::Failed,
            _ => Came::Done,
        })
    }
}

impl Talk for Node {
    fn line(&mut self, line: &str) -> Result<Came, Fatal> {
        self.ask(line, &mut std::io::stdout())
    }

    fn forget(&mut self) -> Result<(), Fatal> {
        // The mark alone is no line of code.
        self.ask(&MARK.to_string(), &mut std::io::sink()).map(|_| ())
    }
}
