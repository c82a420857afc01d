//! `caesure catlog`: prints a binary log as text or JSON, from anywhere in it, while it is written or later; or sends what
//! came over one connection to a node once more. Needs no node and no folder.

mod read;
mod replay;
mod show;

use crate::args::Catlog;
use crate::config::Config;
use crate::exit::Fatal;
use crate::trouble;
use read::{Reader, begin};
use show::Show;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Between two looks at what was appended.
const LOOK: Duration = Duration::from_millis(50);

/// Prints, follows, or replays.
pub fn run(config: &Config, what: &Catlog) -> Result<(), Fatal> {
    let since = what.ago.as_deref().map(ago).transpose().map_err(Fatal::Usage)?;
    let path = what.file.as_ref().or(config.logfile.as_ref());
    let path = path.ok_or_else(|| Fatal::Usage("which log? try: caesure catlog FILE, or --logfile PATH".into()))?;
    let failed = |path: &Path, why: io::Error| match why.kind() {
        ErrorKind::NotFound => {
            Fatal::Runtime(format!("{} is not there\ntry: caesure --logfile PATH makes one", path.display()))
        }
        _ => trouble::fatal(path, "reading", why),
    };
    let piped = path == Path::new("-");
    if let Some(to) = &what.replay {
        if piped {
            return Err(Fatal::Usage("--replay reads the log twice, and standard input can be read once".into()));
        }
        return replay::run(config, path, what, to);
    }
    let mut show = Show::new(config, what, since);
    let result = match piped {
        true => {
            let mut reader = Reader::of_stdin();
            all(&mut reader, &mut show, true)
        }
        false => of_files(path, what.follow, since, &mut show),
    };
    match result {
        Err(why) if why.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|why| failed(path, why)),
    }
}

/// Shows what there is; at the `end` of all that ever comes, of an incomplete record, too, that it is none.
fn all(reader: &mut Reader, show: &mut Show, end: bool) -> io::Result<()> {
    while let Some(at) = reader.next(end)? {
        show.record(reader.record(at))?;
        // Nobody knows whether more comes.
        if reader.is_pipe() {
            show.flush()?;
        }
    }
    show.flush()
}

fn of_files(path: &Path, follow: bool, since: Option<u64>, show: &mut Show) -> io::Result<()> {
    let files: Vec<(PathBuf, u64)> = match since {
        Some(since) => begin(path, since)?,
        None => vec![(path.to_owned(), 0)],
    };
    let (last, older) = files.split_last().expect("there is one at least");
    for (path, at) in older {
        all(&mut Reader::open(path, *at)?, show, true)?;
    }
    let mut reader = Reader::open(&last.0, last.1)?;
    if !follow {
        return all(&mut reader, show, true);
    }
    loop {
        // Opened before the rest is read: nothing is appended to a file once the next one holds something.
        let next = reader.next_file(path)?;
        let end = next.is_some() || reader.is_quiet();
        all(&mut reader, show, end)?;
        match next {
            Some(next) => reader = next,
            None => std::thread::sleep(LOOK),
        }
    }
}

/// The time that long ago, in nanoseconds since 1970.
fn ago(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        "w" => Some(7 * 86_400),
        _ => None,
    };
    let seconds = unit.and_then(|unit| digits.parse::<u64>().ok()?.checked_mul(unit));
    let seconds = seconds.ok_or_else(|| format!("--ago {text:?} is no time such as 90s, 3m, 1h, 2d or 2w"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(now.saturating_sub(Duration::from_secs(seconds)).as_nanos() as u64)
}
