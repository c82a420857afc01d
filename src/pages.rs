//! Reads what pages about blocks show: on one thread, the least important there is, so that no executor ever waits for a file,
//! and one block at a time, so that no crowd takes memory or disk from the node. Decides which block is meant; never how
//! it is shown, nor who asked.

use crate::background;
use crate::console::{Inside, Shelf};
use crate::http::Wanted;
use crate::stored::Stored;
use crate::txmap;
use consensus::{Network, Txid};
use ledger::headers::NodeId;
use shards::status::blocks::{self, Draft, Place};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Questions that may wait; one more is told to come again.
const WAITING: usize = 16;
/// What was read of the folder, every header of it, is kept so long after the last question.
const KEEP: Duration = Duration::from_secs(60);
/// Between two looks at whether the answer is there; it doubles up to the second.
const LOOKS: [Duration; 2] = [Duration::from_micros(100), Duration::from_millis(8)];

/// What came of a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// A page, but for what the node is yet to be asked.
    Page(Draft),
    /// The page with this address.
    Goto(String),
    /// There is no such thing, in words.
    Nothing(String),
    /// It could not be read, in words.
    Failed(String),
    /// Too many wait.
    Busy,
}

/// Where an answer is put.
type Slot = Arc<Mutex<Option<Found>>>;

/// The way to the thread. It ends when the last of these goes.
#[derive(Clone)]
pub struct Pages {
    questions: SyncSender<(Wanted, Slot)>,
}

impl Pages {
    /// Starts the thread; nothing is read before the first question.
    pub fn start(network: Network, inside: Arc<Inside>) -> io::Result<Pages> {
        let (questions, asked) = sync_channel(WAITING);
        std::thread::Builder::new().name("reader".into()).spawn(move || run(network, &inside, &asked))?;
        Ok(Pages { questions })
    }

    /// The answer to a question. May be dropped before it is there: then it is not worked out.
    pub async fn get(&self, wanted: Wanted) -> Found {
        let slot = Slot::default();
        match self.questions.try_send((wanted, slot.clone())) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Found::Busy,
            Err(TrySendError::Disconnected(_)) => return gone(),
        }
        let mut pause = LOOKS[0];
        loop {
            // Looked at before the slot is: what is there then stays.
            let alone = Arc::strong_count(&slot) == 1;
            if let Some(found) = slot.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return found;
            }
            if alone {
                return gone();
            }
            glommio::timer::sleep(pause).await;
            pause = (pause * 2).min(LOOKS[1]);
        }
    }
}

fn gone() -> Found {
    Found::Failed("the thread that reads blocks has ended".into())
}

fn run(network: Network, inside: &Inside, asked: &Receiver<(Wanted, Slot)>) {
    background::step_back("reading for pages");
    let mut kept: Option<Arc<Shelf>> = None;
    loop {
        let (wanted, slot) = match asked.recv_timeout(KEEP) {
            Ok(question) => question,
            // Nothing to let go of: no need to look again.
            Err(RecvTimeoutError::Timeout) => {
                kept = None;
                match asked.recv() {
                    Ok(question) => question,
                    Err(_) => return,
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        // Whoever asked may be gone.
        if Arc::strong_count(&slot) == 1 {
            continue;
        }
        let found = match kept.as_ref().map_or_else(|| inside.shelf(), |shelf| Ok(shelf.clone())) {
            Ok(shelf) => {
                let found = find(network, &mut shelf.stored(), wanted);
                kept = Some(shelf);
                found
            }
            Err(why) => Err(why),
        };
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.unwrap_or_else(Found::Failed));
    }
}

/// Answers from a folder, brought up to date.
fn find(network: Network, stored: &mut Stored, wanted: Wanted) -> Result<Found, String> {
    stored.follow().map_err(|why| why.to_string())?;
    let nothing = |what: String| Ok(Found::Nothing(what));
    let best = stored.best();
    let (id, from) = match wanted {
        Wanted::Last => (Some(best), 0),
        Wanted::Height(height) => (stored.on_best(height).or_else(|| stored.at(height).first().copied()), 0),
        Wanted::Block(hash, from) => (stored.find(&hash), from),
        Wanted::Name(name) => {
            return Ok(Found::Goto(match stored.find(&consensus::BlockHash(name)) {
                Some(id) => format!("/admin/block/{}", stored.node(id).hash),
                None => format!("/admin/tx/{}", Txid(name)),
            }));
        }
        Wanted::Tx(txid) => return tx(network, stored, txid),
    };
    match (id, wanted) {
        (Some(id), _) => Ok(Found::Page(page(network, stored, id, from))),
        (None, Wanted::Height(height)) => {
            let last = stored.node(stored.best()).height;
            nothing(format!("No block of height {height} is stored here; the last one has {last}."))
        }
        (None, _) => nothing("No block of that name is stored here.".into()),
    }
}

fn page(network: Network, stored: &Stored, id: NodeId, from: usize) -> Draft {
    let node = *stored.node(id);
    let hash = |id: NodeId| stored.node(id).hash;
    let on_best = |id: NodeId| stored.on_best(stored.node(id).height) == Some(id);
    let mut next: Vec<_> = stored.next(id).into_iter().map(|child| (hash(child), on_best(child))).collect();
    next.sort_by_key(|(_, best)| !best);
    let place = Place {
        network,
        height: node.height,
        hash: node.hash,
        header: node.header,
        best: on_best(id),
        out: stored.is_out(id),
        ends: (hash(0), hash(stored.best())),
        prev: (id != 0).then(|| hash(node.parent)),
        next,
        others: stored.at(node.height).into_iter().filter(|other| *other != id).map(hash).collect(),
        indexed: txmap::is_there(stored.folder()),
    };
    match stored.block(id) {
        Ok(block) => blocks::block(&place, Ok(&block), from),
        Err(why) => blocks::block(&place, Err(&why), from),
    }
}

fn tx(network: Network, stored: &Stored, txid: Txid) -> Result<Found, String> {
    let Some(places) = txmap::find(stored, &txid)? else {
        let how = "Transactions are found by an index, which is not there: caesure txmap makes it, and with -f goes on with it.";
        return Ok(Found::Nothing(how.into()));
    };
    let Some(first) = places.first() else {
        return Ok(Found::Nothing("No transaction of that name is in a block that is indexed.".into()));
    };
    let id = stored.find(&first.block).ok_or("its block is gone")?;
    let block = stored.block(id)?;
    let places: Vec<_> = places.iter().map(|place| (place.block, place.height, place.number, place.best)).collect();
    Ok(Found::Page(blocks::tx(network, txid, &places, &block)))
}
