//! Threads beside the executors, for whoever looks in: they must never take time from the node. Never knows what they do.

/// The least that the kernel gives time to (sched(7)).
const NICE: i32 = 19;

/// From now on the calling thread has a CPU only where nobody else wants one; `what` is its work, for the log.
pub fn step_back(what: &str) {
    if let Err(why) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
        tracing::debug!("{what} is as important as the node: {why}");
    }
}
