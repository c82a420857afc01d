//! Signals of people and of systemd, from before the node starts until it has ended. Decides what each means; the node does it.

use crate::exit::{AT_ONCE, Fatal};
use crate::run::Node;
use crate::{log, notify};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals as Caught;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Somebody wants to read in the log what the node is at.
static WANTED: AtomicBool = AtomicBool::new(false);

/// Whether somebody wants that since the last call.
pub fn state_is_wanted() -> bool {
    WANTED.swap(false, Relaxed)
}

/// Signals that are caught, even if nobody listens yet.
pub struct Signals(Caught);

impl Signals {
    /// Catches them from here on.
    pub fn catch() -> Result<Signals, Fatal> {
        let caught = Caught::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1]);
        caught.map(Signals).map_err(|why| Fatal::Runtime(format!("cannot listen for signals: {why}")))
    }

    /// Has them obeyed.
    pub fn rule(mut self, node: &Node) {
        let stop = node.stopper();
        std::thread::spawn(move || {
            let mut stopping = false;
            for signal in self.0.forever() {
                match signal {
                    SIGHUP => {
                        notify::reloading();
                        log::reopen();
                        tracing::info!("logs are opened anew");
                        notify::ready();
                    }
                    SIGUSR1 => WANTED.store(true, Relaxed),
                    _ if stopping => {
                        // What is durable stays so; the next start finds the rest as after a loss of power. Nothing is said:
                        // that may be what it waits for.
                        std::process::exit(AT_ONCE.into());
                    }
                    _ => {
                        stopping = true;
                        stop();
                    }
                }
            }
        });
    }
}
