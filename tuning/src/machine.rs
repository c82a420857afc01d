//! Asks which CPUs, network cards, disks and clocks there are, and reads and writes the files of /proc and /sys, below a
//! root, which is / but in tests. Decides nothing; `knobs.rs` does.

use crate::grade::cpu_list;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

/// Where /proc and /sys lie.
#[derive(Clone, Debug)]
pub struct Tree(PathBuf);

impl Tree {
    /// Below this folder; / is the machine itself.
    pub fn new(root: impl Into<PathBuf>) -> Tree {
        Tree(root.into())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// What a setting is, with one space between its words. Where all choices are listed, it is the one in brackets.
    pub(crate) fn read(&self, path: &str) -> io::Result<String> {
        let text = fs::read_to_string(self.at(path))?;
        let chosen = text.split_once('[').and_then(|(_, rest)| Some(rest.split_once(']')?.0));
        Ok(chosen.unwrap_or(&text).split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// As `echo VALUE > PATH` does, but makes no file.
    pub(crate) fn write(&self, path: &str, value: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).truncate(true).open(self.at(path))?;
        file.write_all(format!("{value}\n").as_bytes())
    }

    /// Names in a folder that begin so, by their numbers; none where there is no such folder.
    fn names(&self, folder: &str, start: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(folder)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(start)).collect();
        names.sort_by_key(|name| {
            (name.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0u32), name.clone())
        });
        names
    }

    fn number(&self, path: &str) -> Option<u64> {
        self.read(path).ok()?.parse().ok()
    }
}

/// What there is to set.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// CPUs that are online.
    pub(crate) cpus: Vec<usize>,
    /// Idle states, as (folder, microseconds to wake from it).
    pub(crate) idle: Vec<(String, u64)>,
    /// Network cards; not bridges, tunnels or loopback.
    pub(crate) cards: Vec<Card>,
    /// Disks with nothing that turns, by name.
    pub(crate) disks: Vec<String>,
    /// Clock sources on offer.
    pub(crate) clocks: Vec<String>,
}

/// A network card.
#[derive(Debug)]
pub(crate) struct Card {
    pub(crate) name: String,
    /// Queues for packets that come in, and for those that go out.
    pub(crate) queues: (usize, usize),
    /// Numbers of its interrupts.
    pub(crate) irqs: Vec<String>,
}

/// Looks the machine through.
pub(crate) fn survey(tree: &Tree) -> Machine {
    let cpus = tree.read("/sys/devices/system/cpu/online").ok().and_then(|list| cpu_list(&list)).unwrap_or_default();
    let idle = cpus.iter().flat_map(|cpu| {
        let folder = format!("/sys/devices/system/cpu/cpu{cpu}/cpuidle");
        let states = tree.names(&folder, "state").into_iter().map(move |state| format!("{folder}/{state}"));
        states.filter_map(|state| Some((state.clone(), tree.number(&format!("{state}/latency"))?))).collect::<Vec<_>>()
    });
    let real = |class: &str| {
        let names = tree.names(class, "").into_iter();
        names.filter(|name| tree.at(&format!("{class}/{name}/device")).exists()).collect::<Vec<_>>()
    };
    let cards = real("/sys/class/net").into_iter().map(|name| {
        let folder = format!("/sys/class/net/{name}");
        let queues = |start| tree.names(&format!("{folder}/queues"), start).len();
        // A virtio card's interrupts are those of the PCI device above it.
        let irqs = ["device/msi_irqs", "device/../msi_irqs"].map(|place| tree.names(&format!("{folder}/{place}"), ""));
        let irqs = irqs.into_iter().find(|irqs| !irqs.is_empty()).unwrap_or_default();
        Card { queues: (queues("rx-"), queues("tx-")), irqs, name }
    });
    let still = |name: &String| tree.number(&format!("/sys/block/{name}/queue/rotational")) == Some(0);
    Machine {
        idle: idle.collect(),
        cards: cards.collect(),
        disks: real("/sys/block").into_iter().filter(still).collect(),
        clocks: tree
            .read("/sys/devices/system/clocksource/clocksource0/available_clocksource")
            .map(|list| list.split(' ').map(str::to_owned).collect())
            .unwrap_or_default(),
        cpus,
    }
}
