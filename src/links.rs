//! The topology's links as single-producer channels between executors, wired by hand (glommio's own mesh shares an Rc
//! between threads). A link holds what `limits` proves; should it ever be full, words wait at its mouth, in order, and
//! the overrun is counted: it is a bug, but not one to stop a node for.

use crate::pump::Core;
use glommio::GlommioError;
use glommio::channels::shared_channel::{ConnectedSender, SharedReceiver, SharedSender, new_bounded};
use glommio::net::AcceptedTcpStream;
use shards::{Msg, Plan, ShardId};
use std::cell::RefCell;
use std::collections::VecDeque;

/// What travels between cores.
pub enum Parcel {
    /// A word of one shard to another.
    Word(ShardId, Msg),
    /// An accepted socket for that peer shard.
    Socket(ShardId, AcceptedTcpStream),
    /// A question of the main thread, for the core of the status shard.
    Ask(String),
}

/// After so many parcels in a row a receiver lets others run.
const BREATHE_EVERY: usize = 64;

/// The two ends that a core holds of every link, not yet connected.
#[derive(Default)]
pub struct Ends {
    senders: Vec<(usize, SharedSender<Parcel>)>,
    receivers: Vec<SharedReceiver<Parcel>>,
}

/// One pair of ends for each executor of the plan.
pub fn wire(plan: &Plan) -> Vec<Ends> {
    let mut ends: Vec<Ends> = plan.executors.iter().map(|_| Ends::default()).collect();
    for (from, to, depth) in plan.links() {
        let (sender, receiver) = new_bounded(depth);
        ends[from].senders.push((to, sender));
        ends[to].receivers.push(receiver);
    }
    ends
}

struct Link {
    sender: ConnectedSender<Parcel>,
    mouth: VecDeque<Parcel>,
}

/// The sending ends of a core, by the other core's number.
#[derive(Default)]
pub struct Links(RefCell<Vec<Option<Link>>>);

impl Links {
    /// Connects all ends; every core must do so at the same time. The receivers come back, to be
    /// pumped once the core stands.
    pub async fn connect(ends: Ends) -> (Links, Vec<glommio::channels::shared_channel::ConnectedReceiver<Parcel>>) {
        let senders: Vec<_> = ends
            .senders
            .into_iter()
            .map(|(to, sender)| glommio::spawn_local(async move { (to, sender.connect().await) }))
            .collect();
        let receivers: Vec<_> =
            ends.receivers.into_iter().map(|r| glommio::spawn_local(async move { r.connect().await })).collect();
        let mut links: Vec<Option<Link>> = (0..senders.len() + 1).map(|_| None).collect();
        for sender in senders {
            let (to, sender) = sender.await;
            links[to] = Some(Link { sender, mouth: VecDeque::new() });
        }
        let mut connected = Vec::new();
        for receiver in receivers {
            connected.push(receiver.await);
        }
        (Links(RefCell::new(links)), connected)
    }

    /// Sends, or keeps at the mouth; whether the link had room.
    pub fn send(&self, core: usize, parcel: Parcel) -> bool {
        let mut links = self.0.borrow_mut();
        let link = links[core].as_mut().expect("a link to every other core");
        link.mouth.push_back(parcel);
        link.flush();
        link.mouth.is_empty()
    }

    /// Tries again what waits.
    pub fn flush(&self) {
        self.0.borrow_mut().iter_mut().flatten().for_each(Link::flush);
    }

    /// Whether anything waits at a mouth.
    pub fn waiting(&self) -> bool {
        self.0.borrow().iter().flatten().any(|link| !link.mouth.is_empty())
    }
}

impl Link {
    fn flush(&mut self) {
        while let Some(parcel) = self.mouth.pop_front() {
            match self.sender.try_send(parcel) {
                Ok(()) => {}
                Err(GlommioError::WouldBlock(glommio::ResourceType::Channel(parcel)))
                | Err(GlommioError::Closed(glommio::ResourceType::Channel(parcel))) => {
                    self.mouth.push_front(parcel);
                    return;
                }
                Err(other) => panic!("a link failed: {other}"),
            }
        }
    }
}

/// One task a receiver, for ever: nothing is ever selected over a channel.
pub fn receive(core: &Core, receivers: Vec<glommio::channels::shared_channel::ConnectedReceiver<Parcel>>) {
    for receiver in receivers {
        let core = core.clone();
        glommio::spawn_local(async move {
            let mut row = 0;
            while let Some(parcel) = receiver.recv().await {
                core.parcel(parcel);
                row += 1;
                if row % BREATHE_EVERY == 0 {
                    glommio::executor().yield_task_queue_now().await;
                }
            }
        })
        .detach();
    }
}

#[cfg(test)]
mod tests {
    //! Faults of glommio that links are designed round: a mesh with a shared Rc, senders that spin for ever, wakers that
    //! pile up, executors that starve each other when they share a CPU.

    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::time::Duration;

    fn word(number: u64) -> Parcel {
        Parcel::Word(ShardId::Status, Msg::Reply { question: number, text: String::new() })
    }

    fn number(parcel: Parcel) -> u64 {
        match parcel {
            Parcel::Word(_, Msg::Reply { question, .. }) => question,
            _ => panic!("only words were sent"),
        }
    }

    /// Runs `job` on each executor of a plan of so many, and waits for all.
    fn on_executors<F: Future<Output = ()> + 'static>(count: usize, job: fn(usize, Ends) -> F) {
        let ends = wire(&shards::plan(count - 1)).into_iter().enumerate();
        let spawn = |(core, ends): (usize, Ends)| {
            crate::executor::builder(core, None, false, false).spawn(move || job(core, ends)).unwrap()
        };
        let handles: Vec<_> = ends.map(spawn).collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    }

    async fn breathe() {
        glommio::timer::sleep(Duration::from_micros(10)).await;
    }

    /// More words than a link holds, into a receiver that starts late: none lost, none out of order.
    #[test]
    fn a_full_link_keeps_words_in_order_at_its_mouth() {
        const WORDS: u64 = 200_000;
        static FILLED: AtomicBool = AtomicBool::new(false);
        on_executors(2, |core, ends| async move {
            let (links, mut receivers) = Links::connect(ends).await;
            if core == 0 {
                let room: Vec<bool> = (0..WORDS).map(|n| links.send(1, word(n))).collect();
                assert!(room.contains(&false), "the test must fill the link");
                FILLED.store(true, Relaxed);
                while links.waiting() {
                    links.flush();
                    breathe().await;
                }
                // The receiver must have them all before the sender goes: the last word back says so.
                assert_eq!(number(receivers.remove(0).recv().await.unwrap()), WORDS);
            } else {
                let receiver = receivers.remove(0);
                while !FILLED.load(Relaxed) {
                    breathe().await;
                }
                for wanted in 0..WORDS {
                    assert_eq!(number(receiver.recv().await.unwrap()), wanted);
                }
                assert!(links.send(0, word(WORDS)));
            }
        });
    }

    /// An idle receiver is woken more often than glommio's waker counter can hold (32,767).
    #[test]
    fn forty_thousand_wakes_of_one_receiver_do_no_harm() {
        const ROUNDS: u64 = 40_000;
        on_executors(2, |core, ends| async move {
            let (links, mut receivers) = Links::connect(ends).await;
            let receiver = receivers.remove(0);
            for round in 0..ROUNDS {
                if core == 0 {
                    assert!(links.send(1, word(round)));
                    assert_eq!(number(receiver.recv().await.unwrap()), round);
                } else {
                    assert_eq!(number(receiver.recv().await.unwrap()), round);
                    assert!(links.send(0, word(round)));
                }
            }
        });
    }

    /// Sixteen executors on however few CPUs, every one flooding every other: all come to an end.
    #[test]
    fn sixteen_executors_on_two_cpus_make_progress() {
        const WORDS: u64 = 2_000;
        on_executors(16, |core, ends| async move {
            let (links, receivers) = Links::connect(ends).await;
            let tasks: Vec<_> = receivers
                .into_iter()
                .map(|receiver| {
                    glommio::spawn_local(async move {
                        for wanted in 0..WORDS {
                            assert_eq!(number(receiver.recv().await.unwrap()), wanted);
                        }
                        receiver
                    })
                })
                .collect();
            for n in 0..WORDS {
                (0..16).filter(|to| *to != core).for_each(|to| {
                    links.send(to, word(n));
                });
                if n % 64 == 0 {
                    breathe().await;
                }
            }
            while links.waiting() {
                links.flush();
                breathe().await;
            }
            let mut receivers = Vec::new();
            for task in tasks {
                receivers.push(task.await);
            }
            // Receivers outlive senders: a sender into a closed channel would spin.
            drop(links);
            for receiver in receivers {
                while receiver.recv().await.is_some() {}
            }
        });
    }
}
