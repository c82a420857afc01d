//! Which settings of the kernel a node gains from, what each should be, and why: pure, from what the machine has.
//!
//! Never reads or writes one; `set.rs` does.

use crate::machine::{Card, Machine};
use std::fmt;
use std::str::FromStr;

/// For which kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A server that is the node's own: everything.
    Colo,
    /// A machine with other uses: what costs them nothing.
    Laptop,
}

impl FromStr for Profile {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Profile, &'static str> {
        match text {
            "colo" => Ok(Profile::Colo),
            "laptop" => Ok(Profile::Laptop),
            _ => Err("colo or laptop"),
        }
    }
}

/// What a setting should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Its last number, at least; others are kept.
    AtLeast(u64),
    /// A number from the first to the second, which is set where it is neither.
    Between(u64, u64),
    /// This.
    Is(String),
    /// This mask of CPUs, however many zeros are before it.
    Mask(String),
    /// One of these; the first is set. None where the machine offers none of them.
    OneOf(Vec<&'static str>),
    /// Whatever it is: it is only shown, as nobody can set it while the kernel runs.
    Shown(&'static str),
}

/// What is to be done with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Good,
    /// Set it to this.
    Set(String),
    /// Nothing can be: the machine has nothing that would do.
    Lacks,
}

impl Want {
    pub(crate) fn judge(&self, found: &str) -> Verdict {
        let set = |good: bool, value: String| if good { Verdict::Good } else { Verdict::Set(value) };
        let mut words: Vec<&str> = found.split(' ').collect();
        let last = words.pop().and_then(|word| word.parse::<u64>().ok());
        match (self, last) {
            (Want::AtLeast(least), Some(last)) => {
                let least_text = least.to_string();
                words.push(&least_text);
                set(last >= *least, words.join(" "))
            }
            (Want::Between(least, most), Some(last)) => set((*least..=*most).contains(&last), most.to_string()),
            (Want::AtLeast(_) | Want::Between(..), None) => Verdict::Lacks,
            (Want::Is(value), _) => set(found == value, value.clone()),
            (Want::Mask(mask), _) => set(
                found.replace(',', "").trim_start_matches('0') == mask.replace(',', "").trim_start_matches('0'),
                mask.clone(),
            ),
            (Want::OneOf(good), _) => match good.first() {
                Some(first) => set(good.contains(&found), (*first).to_owned()),
                None => Verdict::Lacks,
            },
            (Want::Shown(_), _) => Verdict::Good,
        }
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Want::AtLeast(least) => write!(f, "at least {least}"),
            Want::Between(least, most) => write!(f, "{least} to {most}"),
            Want::Is(value) | Want::Mask(value) => f.write_str(value),
            Want::OneOf(good) => f.write_str(&good.join(" or ")),
            Want::Shown(text) => f.write_str(text),
        }
    }
}

/// A setting of the kernel.
#[derive(Clone, Debug)]
pub(crate) struct Knob {
    /// What it is called; those of several CPUs, queues or disks are called the same.
    pub(crate) name: &'static str,
    pub(crate) path: String,
    pub(crate) want: Want,
    /// What the node gains, in a few words.
    pub(crate) why: &'static str,
    /// What setting it changes, in the order in which it is to be put back.
    pub(crate) changes: Vec<String>,
}

fn knob(name: &'static str, path: impl Into<String>, want: Want, why: &'static str) -> Knob {
    let path = path.into();
    Knob { name, changes: vec![path.clone()], path, want, why }
}

/// One for each of those that the machine has; where it has none, one that is not there, so that this is said.
fn each(of: impl IntoIterator<Item = Knob>, none: impl FnOnce() -> Knob) -> Vec<Knob> {
    let found: Vec<Knob> = of.into_iter().collect();
    if found.is_empty() { vec![none()] } else { found }
}

/// A buffer for a gigabit a second over a quarter of a second, bytes.
const BUFFER: u64 = 32 << 20;
/// glibc makes at most 65,536 maps of its own, each of which madvise may cut into three (mallopt(3), M_MMAP_MAX).
const MAPS: u64 = 4 * 65_536;
/// The backlog that the node gives its listeners (`src/run.rs`).
const BACKLOG: u64 = 1_024;
/// Bytes that others may leave dirty in memory: what a disk of 1 GB/s writes in a quarter of a second.
const DIRTY: u64 = 256 << 20;
/// Flows whose executor is remembered (Linux, Documentation/networking/scaling.rst, "RFS").
const FLOWS: u64 = 32_768;
/// Idle states that take longer to wake from than this are not for an executor that waits for packets, microseconds.
const WAKE_MAX: u64 = 10;

/// What is read ahead of a program that reads from end to end, KiB.
const AHEAD: u64 = 1_024;

/// What costs other uses of the machine nothing.
fn harmless() -> Vec<Knob> {
    let of = |name, why, want| knob(name, format!("/proc/sys/{}", str::replace(name, ".", "/")), want, why);
    let pages = "/sys/kernel/mm/transparent_hugepage";
    vec![
        of("net.ipv4.tcp_rmem", "a download from afar fills the line", Want::AtLeast(BUFFER)),
        of("net.ipv4.tcp_wmem", "a peer afar is served as fast as its line", Want::AtLeast(BUFFER)),
        of(
            "net.ipv4.tcp_slow_start_after_idle",
            "a block after minutes of silence need not start slowly",
            Want::Is("0".into()),
        ),
        of("net.core.somaxconn", "as many may wait to be accepted as the node asks for", Want::AtLeast(BACKLOG)),
        of("net.ipv4.tcp_max_syn_backlog", "as many may be half open", Want::AtLeast(BACKLOG)),
        of("vm.max_map_count", "maps for the memory of coins do not run out", Want::AtLeast(MAPS)),
        knob(
            "huge pages",
            format!("{pages}/enabled"),
            Want::OneOf(vec!["madvise", "always"]),
            "the node asks for them, for coins",
        ),
        knob(
            "huge pages made",
            format!("{pages}/defrag"),
            Want::OneOf(vec!["madvise", "defer+madvise", "always"]),
            "made when asked for, not later",
        ),
    ]
}

fn memory() -> Vec<Knob> {
    let dirty = |name, twin: &str, most, why| {
        let mut knob = knob(name, format!("/proc/sys/vm/{}", &name[3..]), Want::Between(1, most), why);
        // Bytes and ratio put each other to zero, and the kernel takes no zero for bytes: the ratio goes first.
        knob.changes.insert(0, format!("/proc/sys/vm/{twin}"));
        knob
    };
    vec![
        knob(
            "vm.swappiness",
            "/proc/sys/vm/swappiness",
            Want::Between(0, 1),
            "coins stay in memory, whatever files are read",
        ),
        dirty(
            "vm.dirty_background_bytes",
            "dirty_background_ratio",
            DIRTY / 4,
            "a sync of blocks does not wait for others' writes",
        ),
        dirty("vm.dirty_bytes", "dirty_ratio", DIRTY, "a sync of blocks does not wait for others' writes"),
    ]
}

/// CPUs as a mask: hexadecimal, in groups of 32 from the highest.
fn mask(cpus: impl IntoIterator<Item = usize>) -> String {
    let mut groups = vec![0u32];
    for cpu in cpus {
        groups.resize(groups.len().max(cpu / 32 + 1), 0);
        groups[cpu / 32] |= 1 << (cpu % 32);
    }
    let mut groups = groups.iter().rev();
    let first = groups.next().map_or(String::new(), |group| format!("{group:x}"));
    groups.fold(first, |text, group| format!("{text},{group:08x}"))
}

/// The CPUs whose turn it is where `count` take turns.
fn turn(cpus: &[usize], index: usize, count: usize) -> impl Iterator<Item = usize> {
    cpus.iter().copied().skip(index).step_by(count.max(1))
}

fn network(cpus: &[usize], cards: &[Card]) -> Vec<Knob> {
    let irq = |number: &str, cpu: usize| {
        let why = "each queue has a CPU of its own (stop irqbalance, which would undo this)";
        knob("interrupts", format!("/proc/irq/{number}/smp_affinity_list"), Want::Is(cpu.to_string()), why)
    };
    let queue =
        |name, card: &str, file: &str, want, why| knob(name, format!("/sys/class/net/{card}/queues/{file}"), want, why);
    let rps = |card: &str, rx| {
        queue(
            "RPS",
            card,
            &format!("rx-{rx}/rps_cpus"),
            Want::Mask(mask(cpus.iter().copied())),
            "fewer queues than CPUs: all share the work",
        )
    };
    let rfs = |card: &Card, rx| {
        let flows = FLOWS / card.queues.0.max(1) as u64;
        queue(
            "RFS",
            &card.name,
            &format!("rx-{rx}/rps_flow_cnt"),
            Want::AtLeast(flows),
            "packets go to the executor that reads them",
        )
    };
    let xps = |card: &Card, tx| {
        let cpus = mask(turn(cpus, tx, card.queues.1));
        queue(
            "XPS",
            &card.name,
            &format!("tx-{tx}/xps_cpus"),
            Want::Mask(cpus),
            "an executor sends through a queue of its own",
        )
    };
    let none = || Card { name: "*".into(), queues: (1, 1), irqs: vec![] };
    let few = |card: &&Card| card.queues.0 < cpus.len();
    let irqs =
        cards.iter().flat_map(|card| card.irqs.iter().zip(cpus.iter().cycle()).map(|(number, cpu)| irq(number, *cpu)));
    let mut knobs = each(irqs, || irq("*", 0));
    knobs.extend(cards.iter().filter(few).flat_map(|card| (0..card.queues.0).map(|rx| rps(&card.name, rx))));
    let flows = "packets go to the executor that reads them";
    knobs.push(knob("RFS flows", "/proc/sys/net/core/rps_sock_flow_entries", Want::AtLeast(FLOWS), flows));
    knobs.extend(each(cards.iter().flat_map(|card| (0..card.queues.0).map(move |rx| rfs(card, rx))), || {
        rfs(&none(), 0)
    }));
    knobs.extend(each(cards.iter().flat_map(|card| (0..card.queues.1).map(move |tx| xps(card, tx))), || {
        xps(&none(), 0)
    }));
    knobs
}

fn cpu(machine: &Machine) -> Vec<Knob> {
    let governor = |cpu: &dyn fmt::Display| {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        knob("governor", path, Want::Is("performance".into()), "no wait for the clock to rise when a block comes")
    };
    let deep = machine.idle.iter().filter(|(_, wake)| *wake > WAKE_MAX);
    let idle = |state: &str| {
        knob(
            "idle states",
            format!("{state}/disable"),
            Want::Is("1".into()),
            "packets wait less than 10 µs for a CPU to wake",
        )
    };
    let mut knobs = each(machine.cpus.iter().map(|cpu| governor(cpu)), || governor(&"*"));
    // Shallow states alone are as good as none.
    knobs.extend(each(deep.map(|(state, _)| idle(state)), || idle("/sys/devices/system/cpu/cpu*/cpuidle/state*")));
    let shown = Want::Shown("shown only: isolcpus=, nohz_full=, rcu_nocbs= in the kernel's command line");
    knobs.push(knob("isolated CPUs", "/sys/devices/system/cpu/isolated", shown, ""));
    // Those that are read without a system call.
    let quick = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"].into_iter();
    let quick = quick.filter(|name| machine.clocks.iter().any(|clock| clock == name)).collect();
    let clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    knobs.push(knob("clock source", clock, Want::OneOf(quick), "executors read the clock without a system call"));
    knobs
}

fn disk(name: &str) -> [Knob; 3] {
    let file = |file: &str| format!("/sys/block/{name}/queue/{file}");
    let own = "the disk orders requests itself; none waits for another";
    let home = "a write ends on the CPU of the executor that waits for it";
    let ahead = "import and verify read files from end to end";
    let mut scheduler = knob("disk scheduler", file("scheduler"), Want::Is("none".into()), own);
    // With another scheduler the kernel sets another depth: for none, all that the disk has.
    scheduler.changes.push(file("nr_requests"));
    [
        scheduler,
        knob("disk completions", file("rq_affinity"), Want::Is("2".into()), home),
        knob("disk read-ahead", file("read_ahead_kb"), Want::AtLeast(AHEAD), ahead),
    ]
}

/// All that a profile sets on this machine, in the order of setting.
pub(crate) fn plan(machine: &Machine, profile: Profile) -> Vec<Knob> {
    let mut knobs = harmless();
    if profile == Profile::Colo {
        knobs.extend(memory());
        knobs.extend(network(&machine.cpus, &machine.cards));
        knobs.extend(cpu(machine));
        knobs.extend(machine.disks.iter().flat_map(|name| disk(name)));
        if machine.disks.is_empty() {
            knobs.extend(disk("*"));
        }
    }
    knobs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(value: &str) -> Verdict {
        Verdict::Set(value.to_owned())
    }

    #[test]
    fn numbers_are_raised_or_lowered_and_their_neighbours_kept() {
        let least = Want::AtLeast(1_024);
        assert_eq!(["1023", "1024", "4096"].map(|n| least.judge(n)), [set("1024"), Verdict::Good, Verdict::Good]);
        assert_eq!(least.judge("10 20 30"), set("10 20 1024"));
        let between = Want::Between(1, 64);
        assert_eq!(
            ["0", "1", "64", "65"].map(|n| between.judge(n)),
            [set("64"), Verdict::Good, Verdict::Good, set("64")]
        );
        assert_eq!(
            [least.judge("max"), between.judge("")],
            [Verdict::Lacks, Verdict::Lacks],
            "not understood, not touched"
        );
    }

    #[test]
    fn words_are_chosen_among_those_on_offer() {
        let pages = Want::OneOf(vec!["madvise", "always"]);
        assert_eq!(
            ["never", "madvise", "always"].map(|w| pages.judge(w)),
            [set("madvise"), Verdict::Good, Verdict::Good]
        );
        assert_eq!(Want::OneOf(vec![]).judge("hpet"), Verdict::Lacks);
        let machine = |clocks: &[&str]| Machine {
            clocks: clocks.iter().map(|c| (*c).to_owned()).collect(),
            ..Machine::default()
        };
        let clock = |clocks: &[&str], found| {
            let knobs = plan(&machine(clocks), Profile::Colo);
            knobs.iter().find(|knob| knob.name == "clock source").unwrap().want.judge(found)
        };
        assert_eq!(clock(&["hpet", "tsc"], "hpet"), set("tsc"));
        assert_eq!(clock(&["kvm-clock", "tsc"], "kvm-clock"), Verdict::Good);
        assert_eq!(clock(&["hpet", "acpi_pm"], "hpet"), Verdict::Lacks, "a clock that is unstable is not on offer");
    }

    #[test]
    fn masks() {
        assert_eq!(mask([0, 1, 3]), "b");
        assert_eq!(mask([0, 31, 32, 64]), "1,00000001,80000001");
        assert_eq!(mask([]), "0");
        assert_eq!(Want::Mask("3".into()).judge("00000000,00000003"), Verdict::Good);
        assert_eq!(Want::Mask("3".into()).judge("00000003,00000000"), set("3"));
        assert_eq!(Want::Mask("0".into()).judge("00"), Verdict::Good);
    }

    fn wants(cpus: usize, queues: (usize, usize), irqs: usize, name: &str) -> Vec<String> {
        let irqs = (40..40 + irqs).map(|irq| irq.to_string()).collect();
        let card = Card { name: "eth0".into(), queues, irqs };
        let machine = Machine { cpus: (0..cpus).collect(), cards: vec![card], ..Machine::default() };
        let knobs = plan(&machine, Profile::Colo).into_iter().filter(|knob| knob.name == name);
        knobs.map(|knob| knob.want.to_string()).collect()
    }

    #[test]
    fn the_work_of_a_card_is_shared_by_all_cpus() {
        assert_eq!(wants(4, (2, 2), 5, "interrupts"), ["0", "1", "2", "3", "0"]);
        assert_eq!(wants(4, (2, 2), 2, "XPS"), ["5", "a"], "CPUs take turns");
        assert_eq!(wants(4, (4, 4), 4, "XPS"), ["1", "2", "4", "8"]);
        assert_eq!(wants(2, (1, 4), 4, "XPS"), ["1", "2", "0", "0"]);
        assert_eq!(wants(4, (2, 2), 2, "RPS"), ["f", "f"]);
        assert_eq!(wants(4, (4, 4), 4, "RPS"), [""; 0], "where each CPU has a queue, none helps another");
        assert_eq!(wants(4, (4, 4), 4, "RFS"), ["at least 8192"; 4]);
    }

    #[test]
    fn a_laptop_keeps_its_cpus_interrupts_and_disks() {
        let machine = Machine { disks: vec!["nvme0n1".into()], cpus: vec![0], ..Machine::default() };
        let [colo, laptop] = [Profile::Colo, Profile::Laptop].map(|profile| plan(&machine, profile));
        assert!(colo.len() > laptop.len());
        for knob in laptop {
            let place = ["/proc/sys/net/", "/proc/sys/vm/max_map", "/sys/kernel/mm/"]
                .iter()
                .find(|p| knob.path.starts_with(**p));
            assert!(place.is_some(), "{}", knob.path);
        }
    }
}
