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

/// One pair of ends for each core of the plan.
pub fn wire(plan: &Plan) -> Vec<Ends> {
    let mut ends: Vec<Ends> = plan.cores.iter().map(|_| Ends::default()).collect();
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
