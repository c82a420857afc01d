//! Judges what the kernel answered: pure functions from an answer to a [`Check`], with the reason for every number.
//!
//! Never makes a system call, so each lack can be tested on a machine that has none.

use crate::probe::Written;
use crate::{Check, Grade, What};
use std::io;
use std::path::Path;

/// The oldest kernel on which glommio 0.9 starts (its README), as (major, minor).
const KERNEL_MIN: (u32, u32) = (5, 8);
/// The oldest long-term kernel whose io_uring we would run for long, as (major, minor).
const KERNEL_GOOD: (u32, u32) = (5, 15);
/// glommio 0.9 refuses to start below this soft limit, even for root (its `sys/uring.rs`), bytes.
const MEMLOCK_MIN: u64 = 512 << 10;
/// Below this much per executor rings cannot be made: with 8 MiB, 38 executors of 64 KiB io_memory started and the 39th
/// did not (measured, ring depth 128). Bytes.
const MEMLOCK_EXECUTOR_MIN: u64 = 215 << 10;
/// With this much per executor all buffers are registered: with 8 MiB, 16 executors of 128 KiB io_memory, charged once for
/// each of their three rings, did so (measured). Bytes.
const MEMLOCK_EXECUTOR_GOOD: u64 = 512 << 10;
/// With less than this on disk the node does not last a day: three blocks an hour and two checkpoints' growth, bytes.
const ROOM_MIN: u64 = 1 << 30;
/// Descriptors beside peers and executors: blocks.bin, index, lock, log, listeners, monitor and page sessions.
const FILES_OWN: u64 = 64;
/// Descriptors of one executor: three rings and an eventfd (glommio 0.9), and as many files of its own.
const FILES_EXECUTOR: u64 = 8;

fn ok(what: What, found: String, wanted: String) -> Check {
    Check { what, found, wanted, grade: Grade::Ok, mend: None }
}

fn amiss(what: What, found: String, wanted: String, grade: Grade, mend: String) -> Check {
    Check { what, found, wanted, grade, mend: Some(mend) }
}

/// "6.18.44-fc" is (6, 18).
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Judges /proc/sys/kernel/osrelease.
pub(crate) fn kernel(release: Option<&str>) -> Check {
    let wanted = format!("{}.{}, better {}.{}", KERNEL_MIN.0, KERNEL_MIN.1, KERNEL_GOOD.0, KERNEL_GOOD.1);
    let found = release.unwrap_or("unknown (/proc/sys/kernel/osrelease cannot be read)").to_owned();
    let newer = || "sudo apt-get update && sudo apt-get dist-upgrade && sudo reboot".to_owned();
    match release.and_then(version) {
        Some(version) if version >= KERNEL_GOOD => ok(What::Kernel, found, wanted),
        Some(version) if version >= KERNEL_MIN => amiss(What::Kernel, found, wanted, Grade::Warn, newer()),
        Some(_) => amiss(What::Kernel, found, wanted, Grade::Fail, newer()),
        None => amiss(What::Kernel, found, wanted, Grade::Warn, "uname -r".to_owned()),
    }
}

/// Judges an attempt to make a ring, with /proc/sys/kernel/io_uring_disabled (0 all may, 1 a group may, 2 none; kernel 6.6).
pub(crate) fn io_uring(ring: io::Result<()>, disabled: Option<&str>) -> Check {
    let wanted = "io_uring_setup succeeds".to_owned();
    let Err(error) = ring else {
        return ok(What::IoUring, "works".to_owned(), wanted);
    };
    let knob = disabled.unwrap_or("not present");
    let found = format!("refused: {error}, kernel.io_uring_disabled is {knob}");
    let mend = match (error.raw_os_error(), disabled) {
        (Some(libc::ENOSYS), _) => "grep IO_URING /boot/config-$(uname -r), then boot a kernel with CONFIG_IO_URING=y",
        (Some(libc::ENOMEM), _) => "sudo prlimit --pid $$ --memlock=unlimited",
        (_, Some("1" | "2")) => "sudo sysctl -w kernel.io_uring_disabled=0",
        _ => "docker run --security-opt seccomp=unconfined … (the container's seccomp profile forbids io_uring)",
    };
    amiss(What::IoUring, found, wanted, Grade::Fail, mend.to_owned())
}

/// 65536 is "64 KiB"; the largest number is no limit.
fn kib(bytes: u64) -> String {
    match bytes {
        u64::MAX => "unlimited".to_owned(),
        bytes => format!("{} KiB", bytes >> 10),
    }
}

/// A limit that could not be read is said; the node will tell if it was too low.
fn unread(what: What, wanted: String, error: io::Error) -> Check {
    amiss(what, format!("unknown: {error}"), wanted, Grade::Warn, "ulimit -a".to_owned())
}

/// Judges RLIMIT_MEMLOCK, (soft, hard) in bytes; `exempt` from all but the bare minimum by CAP_IPC_LOCK.
pub(crate) fn memlock(limit: io::Result<(u64, u64)>, exempt: bool, cores: usize) -> Check {
    let cores = cores as u64;
    let min = if exempt { MEMLOCK_MIN } else { MEMLOCK_MIN.max(cores.saturating_mul(MEMLOCK_EXECUTOR_MIN)) };
    let good = if exempt { MEMLOCK_MIN } else { MEMLOCK_MIN.max(cores.saturating_mul(MEMLOCK_EXECUTOR_GOOD)) };
    let wanted = if min == good { kib(min) } else { format!("{}, better {}", kib(min), kib(good)) };
    let (soft, hard) = match limit {
        Ok(limit) => limit,
        Err(error) => return unread(What::Memlock, wanted, error),
    };
    let found = kib(soft) + if exempt { " (exempt by CAP_IPC_LOCK)" } else { "" };
    if soft >= good {
        return ok(What::Memlock, found, wanted);
    }
    let grade = if soft < min { Grade::Fail } else { Grade::Warn };
    // The shell counts in KiB; above the hard limit only root may go.
    let mend = match hard >= good {
        true => format!("ulimit -Sl {}", good >> 10),
        false => "sudo prlimit --pid $$ --memlock=unlimited, in a systemd unit: LimitMEMLOCK=infinity".to_owned(),
    };
    amiss(What::Memlock, found, wanted, grade, mend)
}

/// Judges RLIMIT_NOFILE, (soft, hard) in descriptors.
pub(crate) fn files(limit: io::Result<(u64, u64)>, peers: usize, cores: usize) -> Check {
    let need = (cores as u64).saturating_mul(FILES_EXECUTOR).saturating_add(FILES_OWN).saturating_add(peers as u64);
    let wanted = format!("{need} ({peers} peers + {FILES_OWN} + {FILES_EXECUTOR} × {cores} cores)");
    match limit {
        Err(error) => unread(What::Files, wanted, error),
        Ok((soft, _)) if soft >= need => ok(What::Files, soft.to_string(), wanted),
        Ok((soft, hard)) => {
            let mend = match hard >= need {
                true => format!("ulimit -Sn {need}"),
                false => format!("sudo prlimit --pid $$ --nofile={need}:{need}, in a systemd unit: LimitNOFILE={need}"),
            };
            amiss(What::Files, soft.to_string(), wanted, Grade::Fail, mend)
        }
    }
}

/// Judges one direct write.
pub(crate) fn direct((there, result): &Written) -> Check {
    let wanted = "one O_DIRECT page written and synced".to_owned();
    let there = there.display();
    let Err(error) = result else {
        return ok(What::Direct, format!("works in {there}"), wanted);
    };
    let mend = match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => {
            format!("sudo chown $(id -u) {there}, or another folder: caesure --base PATH")
        }
        Some(libc::EROFS) => format!("sudo mount -o remount,rw $(findmnt -no TARGET -T {there})"),
        Some(libc::ENOSPC | libc::EDQUOT) => format!("df -h {there}, then make room"),
        Some(libc::EINVAL) => {
            format!("findmnt -T {there}: its file system has no direct writes; on ext4 or xfs: caesure --base PATH")
        }
        _ => format!("findmnt -T {there}; sudo dmesg | tail"),
    };
    amiss(What::Direct, format!("refused in {there}: {error}"), wanted, Grade::Fail, mend)
}

/// The most CPUs that a kernel list is believed to name (CONFIG_NR_CPUS ends at 8,192).
const CPUS_MAX: usize = 1 << 16;

/// The CPUs that a kernel list such as "0-3,8" names, cpuset(7) "List format".
pub(crate) fn cpu_list(list: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last >= CPUS_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

fn list_count(list: &str) -> Option<usize> {
    Some(cpu_list(list)?.len())
}

/// Judges the CPUs this process may use against those online, both as kernel lists.
pub(crate) fn cpus(allowed: Option<&str>, online: Option<&str>, cores: usize, pin: bool) -> Check {
    let wanted = if pin { format!("{cores}, one for each core asked for") } else { "any, unpinned".to_owned() };
    let online_count = online.and_then(list_count);
    let online_text = online_count.map_or("an unknown number".to_owned(), |count| count.to_string());
    let Some(count) = allowed.and_then(list_count) else {
        let found = format!("{online_text} online, allowed unknown (no Cpus_allowed_list in /proc/self/status)");
        return amiss(What::Cpus, found, wanted, Grade::Warn, "nproc".to_owned());
    };
    let found = format!("{count} allowed of {online_text} online");
    if cores <= count || !pin {
        return ok(What::Cpus, found, wanted);
    }
    let mend = match online {
        Some(list) if online_count >= Some(cores) => format!("taskset -c {list} caesure --cores {cores}"),
        _ => format!("caesure --cores {count}, or --no-pin to let cores share CPUs"),
    };
    amiss(What::Cpus, found, wanted, Grade::Fail, mend)
}

/// Judges the bytes that this user may still write, where so many more are to come.
pub(crate) fn room(free: Option<u64>, bytes: u64, folder: &Path) -> Check {
    let gb = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let wanted = format!("{} for what is to come", gb(bytes));
    let look = format!("df -h {}", folder.display());
    match free {
        None => amiss(What::Room, "unknown".into(), wanted, Grade::Warn, look),
        Some(free) if free < ROOM_MIN => amiss(What::Room, gb(free), wanted, Grade::Fail, look),
        Some(free) if free < bytes => {
            amiss(What::Room, gb(free), wanted, Grade::Warn, format!("{look}; caesure --prune SIZE keeps fewer blocks"))
        }
        Some(free) => ok(What::Room, gb(free), wanted),
    }
}

/// Judges what the kernel says of its clock: whether it is synchronised, and its largest error in microseconds. Blocks more than
/// two hours ahead of it are not taken, and a clock behind makes every new block one of these.
pub(crate) fn clock(state: io::Result<(bool, i64)>) -> Check {
    let wanted = "synchronised".to_owned();
    let mend = || "sudo timedatectl set-ntp true; timedatectl".to_owned();
    match state {
        Ok((true, us)) => ok(What::Clock, format!("synchronised within {} ms", us.max(0) / 1_000 + 1), wanted),
        Ok((false, _)) => amiss(What::Clock, "nobody keeps it right".into(), wanted, Grade::Warn, mend()),
        Err(why) => amiss(What::Clock, format!("unknown: {why}"), wanted, Grade::Warn, mend()),
    }
}

/// Judges /sys/devices/system/node/online: pinned executors find their memory beside them, others may not.
pub(crate) fn numa(online: Option<&str>, pin: bool) -> Check {
    let nodes = online.and_then(list_count).unwrap_or(1);
    let wanted = "one memory, or pinned executors".to_owned();
    match nodes {
        1 => ok(What::Numa, "one memory".into(), wanted),
        nodes if pin => ok(What::Numa, format!("{nodes} memories, executors are pinned"), wanted),
        nodes => amiss(
            What::Numa,
            format!("{nodes} memories, executors wander"),
            wanted,
            Grade::Warn,
            "start without --no-pin".into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn os(code: i32) -> io::Error {
        io::Error::from_raw_os_error(code)
    }

    #[test]
    fn kernels() {
        assert_eq!(version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(version("5.8-rc1"), Some((5, 8)));
        assert_eq!(version("six"), None);
        let graded =
            ["5.7.19", "5.8.0", "5.14.21", "5.15.0-91-generic", "6.1.0", "10.0"].map(|r| kernel(Some(r)).grade);
        assert_eq!(graded, [Grade::Fail, Grade::Warn, Grade::Warn, Grade::Ok, Grade::Ok, Grade::Ok]);
        assert_eq!(kernel(None).grade, Grade::Warn, "a missing knob is said, not failed");
    }

    #[test]
    fn each_refusal_of_a_ring_has_its_own_remedy() {
        assert_eq!(io_uring(Ok(()), None).grade, Grade::Ok);
        assert_eq!(io_uring(Ok(()), Some("1")).grade, Grade::Ok, "the group may hold us: the call decides");
        let mend = |code, knob| io_uring(Err(os(code)), knob).mend.unwrap();
        assert!(mend(libc::ENOSYS, None).contains("CONFIG_IO_URING"));
        assert!(mend(libc::EPERM, Some("2")).contains("sysctl -w kernel.io_uring_disabled=0"));
        assert!(mend(libc::EPERM, Some("0")).contains("seccomp"));
        assert!(mend(libc::ENOMEM, Some("0")).contains("memlock"));
    }

    #[test]
    fn memlock_counts_executors_unless_exempt() {
        let grade = |soft: u64, exempt, cores| memlock(Ok((soft, u64::MAX)), exempt, cores).grade;
        assert_eq!(grade(8 << 20, false, 16), Grade::Ok, "sixteen fit 8 MiB");
        assert_eq!(grade(8 << 20, false, 17), Grade::Warn);
        assert_eq!(grade(8 << 20, false, 38), Grade::Warn, "thirty-eight start");
        assert_eq!(grade(8 << 20, false, 39), Grade::Fail, "the thirty-ninth does not");
        assert_eq!(grade(8 << 20, true, 64), Grade::Ok);
        assert_eq!(grade((512 << 10) - 1, true, 1), Grade::Fail, "not even root starts below 512 KiB");
        assert_eq!(grade(u64::MAX, false, 1000), Grade::Ok);
    }

    #[test]
    fn limits_are_raised_without_root_where_the_hard_limit_allows() {
        assert_eq!(memlock(Ok((64 << 10, u64::MAX)), false, 2).mend.unwrap(), "ulimit -Sl 1024");
        assert!(
            memlock(Ok((64 << 10, 64 << 10)), false, 2).mend.unwrap().starts_with("sudo prlimit --pid $$ --memlock")
        );
    }

    #[test]
    fn files_are_peers_and_sixty_four_and_eight_a_core() {
        // 125 + 64 + 8 × 16 = 317
        assert_eq!(files(Ok((317, 317)), 125, 16).grade, Grade::Ok);
        let short = files(Ok((316, 316)), 125, 16);
        assert_eq!(short.grade, Grade::Fail);
        assert!(short.wanted.starts_with("317 ("), "{}", short.wanted);
        assert!(short.mend.unwrap().contains("--nofile=317:317"));
        assert_eq!(files(Ok((316, 1024)), 125, 16).mend.unwrap(), "ulimit -Sn 317");
        assert_eq!(files(Err(os(libc::EPERM)), 1, 1).grade, Grade::Warn);
    }

    #[test]
    fn a_refused_direct_write_says_where_and_what_to_try() {
        let at = |code| direct(&(PathBuf::from("/srv/btc"), Err(os(code))));
        for (code, word) in
            [(libc::EINVAL, "--base"), (libc::EACCES, "chown"), (libc::EROFS, "remount"), (libc::ENOSPC, "df -h")]
        {
            let check = at(code);
            assert_eq!(check.grade, Grade::Fail);
            assert!(check.found.contains("/srv/btc"));
            assert!(check.mend.as_ref().unwrap().contains(word), "{check}");
        }
        assert_eq!(direct(&(PathBuf::from("/"), Ok(()))).grade, Grade::Ok);
    }

    #[test]
    fn room_is_what_is_free_and_what_is_to_come() {
        let folder = Path::new("/srv/x");
        let grades =
            [Some(2 << 40), Some(20 << 30), Some(1 << 20), None].map(|free| room(free, 800_000_000_000, folder));
        assert_eq!(grades.each_ref().map(|check| check.grade), [Grade::Ok, Grade::Warn, Grade::Fail, Grade::Warn]);
        assert!(
            grades[1].mend.as_deref().unwrap().contains("--prune") && grades[2].mend.as_deref() == Some("df -h /srv/x")
        );
    }

    #[test]
    fn a_clock_is_right_if_the_kernel_says_so() {
        let right = clock(Ok((true, 15_999)));
        assert_eq!((right.grade, right.found.as_str()), (Grade::Ok, "synchronised within 16 ms"));
        assert_eq!([clock(Ok((false, 0))), clock(Err(os(libc::EPERM)))].map(|check| check.grade), [Grade::Warn; 2]);
    }

    #[test]
    fn several_memories_want_pinned_executors() {
        let all = [(Some("0"), false), (None, false), (Some("0-1"), true), (Some("0-1,3"), false)];
        let grades = all.map(|(online, pin)| numa(online, pin).grade);
        assert_eq!(grades, [Grade::Ok, Grade::Ok, Grade::Ok, Grade::Warn]);
        assert!(numa(Some("0-1,3"), false).found.starts_with("3 memories"));
    }

    #[test]
    fn cpu_lists() {
        assert_eq!(list_count("0-3,8"), Some(5));
        assert_eq!(cpu_list("0-2,8"), Some(vec![0, 1, 2, 8]));
        assert_eq!(list_count("7"), Some(1));
        assert_eq!(list_count("3-1"), None);
        assert_eq!(list_count(""), None);
        assert_eq!(list_count("0-18446744073709551615"), None);
    }

    #[test]
    fn more_cores_than_cpus_names_both_numbers() {
        assert_eq!(cpus(Some("0-1"), Some("0-1"), 2, true).grade, Grade::Ok);
        let check = cpus(Some("0-1"), Some("0-1"), 16, true);
        assert_eq!((check.grade, check.found.as_str()), (Grade::Fail, "2 allowed of 2 online"));
        assert!(check.wanted.starts_with("16,"));
        assert!(check.mend.unwrap().contains("--no-pin"));
        assert_eq!(cpus(Some("0-1"), Some("0-15"), 16, true).mend.unwrap(), "taskset -c 0-15 caesure --cores 16");
        assert_eq!(cpus(Some("0-1"), Some("0-1"), 16, false).grade, Grade::Ok, "unpinned cores share CPUs");
        assert_eq!(cpus(None, None, 1, true).grade, Grade::Warn);
    }
}
