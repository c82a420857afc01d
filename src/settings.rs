//! What can be set and where: which names there are, and who said what of each, strongest first.
//!
//! Opens nothing but the TOML file. Never knows what a value means, only its text; `config.rs` reads the texts.

use crate::args::Command;
use crate::config::cpus_allowed;
use crate::exit::Fatal;
use crate::values;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Variables that begin like ours and are not settings: where the tests find chain data.
const VARIABLES_ALLOWED: [&str; 2] = ["CAESURE_DATA", "CAESURE_FULL"];

macro_rules! settings {
    ($($variant:ident $name:literal,)*) => {
        /// What can be set. The name is that of the flag and of the TOML key; the variable is `CAESURE_` and it in capitals.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each is documented on its flag")]
        pub enum Setting { $($variant,)* }

        impl Setting {
            /// All of them, in the order they are shown.
            pub const ALL: &[Setting] = &[$(Setting::$variant,)*];

            /// As in flags and file, e.g. `min-chain-work`.
            pub fn name(self) -> &'static str {
                match self { $(Setting::$variant => $name,)* }
            }
        }
    };
}

settings! {
    Chain "chain",
    Base "base",
    Config "config",
    Outgoing "outgoing",
    Incoming "incoming",
    Serve "serve",
    Connect "connect",
    Monitor "monitor",
    MonitorWrite "monitor-write",
    Webui "webui",
    User "user",
    Verbose "verbose",
    Log "log",
    Logfile "logfile",
    LogfileSize "logfile-size",
    Packet "packet",
    Daemon "daemon",
    Pid "pid",
    Cores "cores",
    NoPin "no-pin",
    Memory "memory",
    CheckpointBandwidth "checkpoint-bandwidth",
    CheckpointInterval "checkpoint-interval",
    CheckpointGap "checkpoint-gap",
    Horizon "horizon",
    Prune "prune",
    MinChainWork "min-chain-work",
    Assumevalid "assumevalid",
    Lanes "lanes",
    Yes "yes",
    SignetChallenge "signet-challenge",
    TestActivationHeight "test-activation-height",
    Vbparams "vbparams",
    Test "test",
}

impl Setting {
    fn named(name: &str) -> Option<Setting> {
        Setting::ALL.iter().copied().find(|setting| setting.name() == name)
    }

    /// The environment's variable for it.
    pub fn variable(self) -> String {
        format!("CAESURE_{}", self.name().replace('-', "_").to_uppercase())
    }

    fn is_list(self) -> bool {
        use Setting::{Connect, Serve, Test, TestActivationHeight, User, Vbparams};
        matches!(self, Serve | Connect | User | TestActivationHeight | Vbparams | Test)
    }
}

/// Texts for some settings, from one source.
pub type Given = BTreeMap<Setting, Vec<String>>;

/// Where a value came from, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag,
    /// A `CAESURE_*` variable.
    Env,
    /// The TOML file.
    File,
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Flag => "flag",
            Source::Env => "env",
            Source::File => "file",
            Source::Default => "default",
        })
    }
}

/// What the process finds around it, as a value, so that a test can make one up.
#[derive(Debug)]
pub struct Around {
    /// The environment.
    pub env: Vec<(String, String)>,
    /// The user's home, where there is one.
    pub home: Option<PathBuf>,
    /// The working folder, absolute.
    pub here: PathBuf,
    /// CPUs this process may use, see [`cpus_allowed`].
    pub cpus: usize,
    /// Reads a text file.
    pub read: fn(&Path) -> io::Result<String>,
}

impl Around {
    /// The true surroundings of this process.
    pub fn of_process() -> Result<Around, Fatal> {
        let here = std::env::current_dir()
            .map_err(|error| Fatal::Runtime(format!("the working folder is gone: {error}\ntry: cd")))?;
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Ok(Around {
            env: std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect(),
            home: std::env::home_dir().filter(|home| home.is_absolute()),
            here,
            cpus: cpus_allowed().len(),
            read: |path| std::fs::read_to_string(path),
        })
    }
}

/// What was said of one setting, by the strongest who said anything.
pub struct Said {
    texts: Vec<String>,
    /// Who that was.
    pub source: Source,
}

/// All that was said of all settings.
pub struct Layers {
    /// Of each setting that anybody spoke of.
    pub said: BTreeMap<Setting, Said>,
    /// The TOML file that was read.
    pub file: Option<PathBuf>,
}

impl Layers {
    /// Hears flags, environment and file, in this order.
    pub fn hear(flags: Given, command: Option<&Command>, around: &Around) -> Result<Layers, String> {
        let mut layers = Layers { said: BTreeMap::new(), file: None };
        layers.add(Source::Flag, flags);
        layers.add(Source::Env, from_environment(&around.env)?);
        layers.add_file(command, around)?;
        Ok(layers)
    }

    /// Adds a weaker source.
    fn add(&mut self, source: Source, given: Given) {
        for (setting, texts) in given {
            self.said.entry(setting).or_insert(Said { texts, source });
        }
    }

    /// Where a setting was given, in the reader's words.
    fn place(&self, setting: Setting, source: Source) -> String {
        match (source, &self.file) {
            (Source::Env, _) => setting.variable(),
            (Source::File, Some(file)) => format!("{} in {}", setting.name(), file.display()),
            _ => format!("--{}", setting.name()),
        }
    }

    /// The value of a setting that takes one.
    pub fn one<T>(
        &self,
        setting: Setting,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, String> {
        match self.said.get(&setting).and_then(|said| Some((said.texts.first()?, said.source))) {
            Some((text, source)) => parse(text).map_err(|why| format!("{}: {why}", self.place(setting, source))),
            None => Ok(default),
        }
    }

    /// The values of a setting that takes any number.
    pub fn list<T>(&self, setting: Setting, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
        let Some(said) = self.said.get(&setting) else {
            return Ok(Vec::new());
        };
        let place = || self.place(setting, said.source);
        said.texts.iter().map(|text| parse(text).map_err(|why| format!("{}: {why}", place()))).collect()
    }

    /// Adds the TOML file: the one named, else `caesure.toml` in the base folder where there is one.
    fn add_file(&mut self, command: Option<&Command>, around: &Around) -> Result<(), String> {
        let named = self.one(Setting::Config, None, |text| path(text, around).map(Some))?;
        let file = match &named {
            Some(file) => file.clone(),
            // The demo must be the same on every machine.
            None if command == Some(&Command::Demo) => return Ok(()),
            None => self.base(around)?.join("caesure.toml"),
        };
        let text = match (around.read)(&file) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // Whether one lies in a folder that may not be entered nobody knows; who enters it next says so.
            Err(_)
                if named.is_none()
                    && file.metadata().is_err_and(|why| why.kind() == io::ErrorKind::PermissionDenied) =>
            {
                return Ok(());
            }
            Err(error) => return Err(format!("{} cannot be read: {error}", file.display())),
        };
        let given = from_toml(&text, &file)?;
        let file_shown = file.display();
        if named.is_none() && given.contains_key(&Setting::Base) {
            return Err(format!(
                "base in {file_shown}: a file cannot move the folder it lies in; try: --config FILE or --base PATH"
            ));
        }
        self.file = Some(file);
        self.add(Source::File, given);
        Ok(())
    }

    /// The base folder, absolute.
    pub fn base(&self, around: &Around) -> Result<PathBuf, String> {
        match self.said.contains_key(&Setting::Base) {
            true => self.one(Setting::Base, PathBuf::new(), |text| path(text, around)),
            false => path("~/.caesure", around),
        }
    }
}

fn from_environment(env: &[(String, String)]) -> Result<Given, String> {
    let mut given = Given::new();
    for (name, value) in env.iter().filter(|(name, _)| name.starts_with("CAESURE_")) {
        let Some(setting) = Setting::ALL.iter().copied().find(|setting| setting.variable() == *name) else {
            if VARIABLES_ALLOWED.contains(&name.as_str()) {
                continue;
            }
            let known: Vec<String> = Setting::ALL.iter().map(|setting| setting.variable()).collect();
            return Err(format!("{name} is no variable of caesure's{}", meant(name, known.iter().map(String::as_str))));
        };
        let texts: Vec<String> = match setting.is_list() {
            true => value.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect(),
            false => vec![value.trim().to_owned()],
        };
        if !value.trim().is_empty() {
            given.insert(setting, texts);
        }
    }
    Ok(given)
}

fn meant<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    values::nearest(word, known).map(|near| format!("; {near} is")).unwrap_or_default()
}

fn from_toml(text: &str, path: &Path) -> Result<Given, String> {
    let path = path.display();
    let table: toml::Table = text.parse().map_err(|error| format!("{path}: {error}"))?;
    let mut given = Given::new();
    for (key, value) in table {
        let known = Setting::ALL.iter().filter(|&&setting| setting != Setting::Config);
        let Some(setting) = Setting::named(&key).filter(|&setting| setting != Setting::Config) else {
            return Err(format!(
                "{key} in {path} is no key of caesure's{}",
                meant(&key, known.map(|setting| setting.name()))
            ));
        };
        let values = match value {
            toml::Value::Array(values) if setting.is_list() => values,
            value => vec![value],
        };
        let texts: Option<Vec<String>> = values.iter().map(plain).collect();
        let kind = if setting.is_list() { "a text or a list of texts" } else { "one text, number or true/false" };
        given.insert(setting, texts.ok_or_else(|| format!("{key} in {path}: wanted {kind}"))?);
    }
    Ok(given)
}

fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// An absolute path; a leading `~` is the home, for file and environment, which no shell has read.
pub fn path(text: &str, around: &Around) -> Result<PathBuf, String> {
    let rest = text.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let path = match (rest, &around.home) {
        (None, _) if text.is_empty() => return Err("wanted a path, found nothing".to_owned()),
        (None, _) => PathBuf::from(text),
        (Some(rest), Some(home)) => home.join(rest.trim_start_matches('/')),
        (Some(_), None) => {
            return Err(format!("{text:?} needs a home folder and this user has none; try: --base PATH"));
        }
    };
    Ok(around.here.join(path).components().collect())
}

#[cfg(test)]
impl Around {
    /// A home, some CPUs, and nothing else.
    pub fn bare(cpus: usize) -> Around {
        let read = |_: &Path| Err(io::ErrorKind::NotFound.into());
        Around { env: Vec::new(), home: Some("/home/u".into()), here: "/here".into(), cpus, read }
    }
}
