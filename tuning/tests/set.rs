//! Settings of a machine that is a folder of plain files: what is found there, set, told, and put back.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use tuning::{Profile, Tree, Unset, fini, init, settings};

/// A server with four CPUs, a card with two queues and two disks, that wants everything set.
const SERVER: &[(&str, &str)] = &[
    ("proc/sys/kernel/random/boot_id", "first"),
    ("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456"),
    ("proc/sys/net/ipv4/tcp_wmem", "4096\t16384\t67108864"),
    ("proc/sys/net/ipv4/tcp_slow_start_after_idle", "1"),
    ("proc/sys/net/ipv4/tcp_max_syn_backlog", "512"),
    ("proc/sys/net/core/somaxconn", "4096"),
    ("proc/sys/net/core/rps_sock_flow_entries", "0"),
    ("proc/sys/vm/max_map_count", "65530"),
    ("proc/sys/vm/swappiness", "60"),
    ("proc/sys/vm/dirty_background_ratio", "10"),
    ("proc/sys/vm/dirty_background_bytes", "0"),
    ("proc/sys/vm/dirty_ratio", "20"),
    ("proc/sys/vm/dirty_bytes", "0"),
    ("proc/irq/40/smp_affinity_list", "0-3"),
    ("proc/irq/41/smp_affinity_list", "1"),
    ("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]"),
    ("sys/kernel/mm/transparent_hugepage/defrag", "always defer defer+madvise [madvise] never"),
    ("sys/devices/system/cpu/online", "0-3"),
    ("sys/devices/system/cpu/isolated", ""),
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave"),
    ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance"),
    ("sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "powersave"),
    ("sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "powersave"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state1/latency", "2"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state1/disable", "0"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state2/latency", "133"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state2/disable", "0"),
    ("sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet acpi_pm"),
    ("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet"),
    ("sys/devices/pci0/msi_irqs/40", "msix"),
    ("sys/devices/pci0/msi_irqs/41", "msix"),
    ("sys/devices/pci0/virtio0/vendor", "0x1af4"),
    ("sys/class/net/eth0/queues/rx-0/rps_cpus", "0"),
    ("sys/class/net/eth0/queues/rx-0/rps_flow_cnt", "0"),
    ("sys/class/net/eth0/queues/rx-1/rps_cpus", "0"),
    ("sys/class/net/eth0/queues/rx-1/rps_flow_cnt", "0"),
    ("sys/class/net/eth0/queues/tx-0/xps_cpus", "5"),
    ("sys/class/net/eth0/queues/tx-1/xps_cpus", "0"),
    ("sys/class/net/lo/queues/rx-0/rps_cpus", "0"),
    ("sys/block/nvme0n1/device/model", "fast"),
    ("sys/block/nvme0n1/queue/rotational", "0"),
    ("sys/block/nvme0n1/queue/scheduler", "[mq-deadline] kyber none"),
    ("sys/block/nvme0n1/queue/nr_requests", "256"),
    ("sys/block/nvme0n1/queue/rq_affinity", "1"),
    ("sys/block/nvme0n1/queue/read_ahead_kb", "128"),
    ("sys/block/sda/device/model", "slow"),
    ("sys/block/sda/queue/rotational", "1"),
    ("sys/block/sda/queue/scheduler", "[mq-deadline] none"),
    ("sys/block/loop0/queue/rotational", "0"),
    ("sys/block/loop0/queue/scheduler", "[mq-deadline] none"),
];

struct Machine {
    root: PathBuf,
    tree: Tree,
}

impl Drop for Machine {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.root).unwrap();
    }
}

impl Machine {
    fn new(name: &str, files: &[(&str, &str)]) -> Machine {
        let root = std::env::temp_dir().join(format!("caesure-tune-{name}-{}", std::process::id()));
        for (path, value) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{value}\n")).unwrap();
        }
        fs::create_dir_all(&root).unwrap();
        Machine { tree: Tree::new(&root), root }
    }

    fn server(name: &str) -> Machine {
        let machine = Machine::new(name, SERVER);
        symlink("../../../devices/pci0/virtio0", machine.root.join("sys/class/net/eth0/device")).unwrap();
        machine
    }

    fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// One setting, one space between words, and the chosen alone where there are brackets.
    fn get(&self, path: &str) -> String {
        let text = fs::read_to_string(self.root.join(path)).unwrap();
        let chosen = text.split_once('[').map_or(text.as_str(), |(_, rest)| rest.split_once(']').unwrap().0);
        spaced(chosen)
    }

    fn all(&self) -> BTreeMap<String, String> {
        SERVER.iter().map(|(path, _)| ((*path).to_owned(), self.get(path))).collect()
    }

    fn set(&self, path: &str, value: &str) {
        fs::write(self.root.join(path), value).unwrap();
    }

    fn init(&self, profile: Profile, dry: bool) -> (Vec<String>, Result<(), Unset>) {
        let mut lines = Vec::new();
        let result = init(&self.tree, profile, &self.state(), dry, &mut |line| lines.push(line.to_owned()));
        (lines, result)
    }

    fn fini(&self) -> (Vec<String>, Result<(), Unset>) {
        let mut lines = Vec::new();
        let result = fini(&self.tree, &self.state(), false, &mut |line| lines.push(line.to_owned()));
        (lines, result)
    }
}

/// With one space between words.
fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A command without its reason.
fn commands(lines: &[String]) -> Vec<&str> {
    lines.iter().filter(|line| !line.starts_with('#')).map(|line| line.split("   # ").next().unwrap()).collect()
}

#[test]
fn a_server_is_set_as_it_is_told_and_put_back() {
    let server = Machine::server("round");
    let before = server.all();
    let (lines, result) = server.init(Profile::Colo, false);
    result.unwrap();
    let told = commands(&lines);
    assert_eq!(
        told,
        [
            "sysctl -w net.ipv4.tcp_rmem='4096 131072 33554432'",
            "sysctl -w net.ipv4.tcp_slow_start_after_idle=0",
            "sysctl -w net.ipv4.tcp_max_syn_backlog=1024",
            "sysctl -w vm.max_map_count=262144",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
            "sysctl -w vm.swappiness=1",
            "sysctl -w vm.dirty_background_bytes=67108864",
            "sysctl -w vm.dirty_bytes=268435456",
            "echo 0 > /proc/irq/40/smp_affinity_list",
            "echo f > /sys/class/net/eth0/queues/rx-0/rps_cpus",
            "echo f > /sys/class/net/eth0/queues/rx-1/rps_cpus",
            "sysctl -w net.core.rps_sock_flow_entries=32768",
            "echo 16384 > /sys/class/net/eth0/queues/rx-0/rps_flow_cnt",
            "echo 16384 > /sys/class/net/eth0/queues/rx-1/rps_flow_cnt",
            "echo a > /sys/class/net/eth0/queues/tx-1/xps_cpus",
            "echo performance > /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
            "echo performance > /sys/devices/system/cpu/cpu2/cpufreq/scaling_governor",
            "echo performance > /sys/devices/system/cpu/cpu3/cpufreq/scaling_governor",
            "echo 1 > /sys/devices/system/cpu/cpu0/cpuidle/state2/disable",
            "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource",
            "echo none > /sys/block/nvme0n1/queue/scheduler",
            "echo 2 > /sys/block/nvme0n1/queue/rq_affinity",
            "echo 1024 > /sys/block/nvme0n1/queue/read_ahead_kb",
        ]
    );
    let set = server.all();
    assert_eq!(before.iter().filter(|(path, value)| set[*path] != **value).count(), told.len());
    assert_eq!(set["proc/sys/net/ipv4/tcp_rmem"], "4096 131072 33554432");
    assert!(!settings(&server.tree, Profile::Colo).contains("warn"));

    let (lines, result) = server.fini();
    result.unwrap();
    assert_eq!(lines.len(), told.len());
    assert_eq!(server.all(), before);
    assert!(!server.state().exists());
    let (lines, result) = server.fini();
    assert!(result.is_ok() && lines[0].starts_with("# nothing to put back"), "{lines:?}");
}

#[test]
fn check_and_a_dry_run_change_nothing() {
    let server = Machine::server("dry");
    let before = server.all();
    let table = settings(&server.tree, Profile::Colo);
    let rows: Vec<String> = table.lines().map(spaced).collect();
    for row in [
        "warn governor powersave (3 such) performance",
        "ok isolated CPUs none shown only",
        "sysctl -w vm.swappiness=1 # ",
    ] {
        assert!(rows.iter().any(|line| line.starts_with(row)), "{row}: {table}");
    }
    let (dry, result) = server.init(Profile::Colo, true);
    assert!(result.is_ok() && server.all() == before && !server.state().exists());
    assert_eq!(server.init(Profile::Colo, false).0, dry, "what is told is what is done");
}

#[test]
fn a_second_init_remembers_what_was_before_the_first() {
    let server = Machine::server("twice");
    let before = server.all();
    server.init(Profile::Laptop, false).1.unwrap();
    assert_eq!(server.get("proc/sys/vm/swappiness"), "60", "a laptop swaps as it likes");
    // Somebody else sets one again, and the next init has more to set.
    server.set("proc/sys/vm/max_map_count", "100");
    server.init(Profile::Colo, false).1.unwrap();
    assert_eq!(server.get("proc/sys/vm/max_map_count"), "262144");
    assert_eq!(commands(&server.init(Profile::Colo, false).0), [""; 0], "nothing is left to set");
    server.fini().1.unwrap();
    assert_eq!(server.all(), before);
}

#[test]
fn what_the_kernel_changes_with_a_setting_is_put_back_in_an_order_that_it_takes() {
    let server = Machine::server("twins");
    let before = server.all();
    server.init(Profile::Colo, false).1.unwrap();
    // What the kernel does by itself: bytes put the ratio to zero, and the ratio bytes; a scheduler brings its depth.
    server.set("proc/sys/vm/dirty_ratio", "0");
    server.set("sys/block/nvme0n1/queue/nr_requests", "1023");
    let told = server.fini().0;
    let at =
        |word: &str| told.iter().position(|line| line.contains(word)).unwrap_or_else(|| panic!("{word}: {told:?}"));
    assert!(at("vm.dirty_ratio=20") < at("vm.dirty_bytes"));
    assert!(at("/scheduler") < at("echo 256 > /sys/block/nvme0n1/queue/nr_requests"));
    assert_eq!(server.all(), before);
}

#[test]
fn what_cannot_be_written_is_told_and_the_rest_goes_on() {
    let server = Machine::server("refused");
    // A file that nobody may write.
    let irq = server.root.join("proc/irq/40/smp_affinity_list");
    fs::remove_file(&irq).unwrap();
    symlink("/proc/version", &irq).unwrap();
    let (lines, result) = server.init(Profile::Colo, false);
    let at = lines.iter().position(|line| line.contains("/proc/irq/40/")).unwrap();
    assert!(lines[at + 1].starts_with("# not done: ") && lines[at + 1].contains("os error"), "{lines:?}");
    assert!(lines[at + 2].contains("rps_cpus"), "{lines:?}");
    let unset = result.unwrap_err();
    assert!(unset.what.starts_with("1 of 23 settings were not set; the first is /proc/irq/40/"), "{}", unset.what);
}

#[test]
fn a_machine_without_a_setting_is_told_so() {
    let bare = Machine::new("bare", &[("proc/sys/vm/swappiness", "60")]);
    let table = settings(&bare.tree, Profile::Colo);
    assert_eq!(table.lines().filter(|line| line.starts_with("warn")).count(), 1, "{table}");
    for name in ["governor", "idle states", "interrupts", "RFS", "XPS", "disk scheduler", "clock source", "huge pages"]
    {
        assert!(
            table.lines().any(|line| line.starts_with(&format!("-     {name} ")) && line.contains("not here")),
            "{name}: {table}"
        );
    }
    let (lines, result) = bare.init(Profile::Colo, false);
    assert!(result.is_ok());
    assert_eq!(commands(&lines), ["sysctl -w vm.swappiness=1"]);
    assert!(lines.iter().any(|line| line.starts_with("# governor: not here (/sys/")), "{lines:?}");
}

#[test]
fn nothing_is_set_that_cannot_be_remembered() {
    let server = Machine::server("forgetful");
    let before = server.all();
    fs::create_dir_all(server.state()).unwrap();
    for file in [server.state(), server.root.join("no/such/folder")] {
        let unset = init(&server.tree, Profile::Colo, &file, false, &mut |_| ()).unwrap_err();
        assert!(unset.what.contains(file.to_str().unwrap()) && unset.mend.contains("--state"), "{}", unset.what);
    }
    fs::remove_dir(server.state()).unwrap();
    fs::write(server.state(), "{").unwrap();
    assert!(server.init(Profile::Colo, false).1.unwrap_err().mend.starts_with("mv "));
    assert_eq!(server.all(), before);
}

#[test]
fn what_was_before_another_boot_is_not_put_back() {
    let server = Machine::server("boot");
    server.init(Profile::Colo, false).1.unwrap();
    server.set("proc/sys/kernel/random/boot_id", "second");
    server.set("proc/sys/vm/swappiness", "30");
    let (lines, result) = server.fini();
    assert!(result.is_ok() && lines.len() == 1 && lines[0].starts_with("# nothing to put back"), "{lines:?}");
    server.init(Profile::Colo, false).1.unwrap();
    server.fini().1.unwrap();
    assert_eq!(server.get("proc/sys/vm/swappiness"), "30");
}

#[test]
fn what_cannot_be_put_back_stays_remembered_and_what_is_gone_does_not() {
    let server = Machine::server("kept");
    server.init(Profile::Colo, false).1.unwrap();
    let path = |path: &str| server.root.join(path);
    fs::remove_file(path("sys/block/nvme0n1/queue/scheduler")).unwrap();
    fs::remove_file(path("proc/sys/vm/swappiness")).unwrap();
    symlink("/proc/version", path("proc/sys/vm/swappiness")).unwrap();
    let (lines, result) = server.fini();
    assert!(lines.iter().any(|line| line == "# /sys/block/nvme0n1/queue/scheduler is gone"), "{lines:?}");
    assert!(result.unwrap_err().what.contains("1 of "));
    let left = fs::read_to_string(server.state()).unwrap();
    assert!(
        left.contains("vm/swappiness") && left.matches("/proc").count() + left.matches("/sys/b").count() == 1,
        "{left}"
    );
    fs::remove_file(path("proc/sys/vm/swappiness")).unwrap();
    fs::write(path("proc/sys/vm/swappiness"), "1\n").unwrap();
    server.fini().1.unwrap();
    assert_eq!(server.get("proc/sys/vm/swappiness"), "60");
    assert!(!server.state().exists());
}
