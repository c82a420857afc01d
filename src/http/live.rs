//! Parts of the status page as they change, for those who watch (server-sent events, WHATWG HTML 9.2). The node is asked once a
//! second however many watch, and not at all while nobody does; each is sent what changed since, or, where it missed some,
//! all. Never knows what a part shows.

use crate::ask::Ask;
use crate::pump::Mailbox;
use bytes::Bytes;
use hyper::body::{Body, Frame};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Watchers at once; more are told to ask now and then.
pub const WATCHERS_MAX: usize = 64;
/// Between two looks.
const BEAT: Duration = Duration::from_secs(1);

/// All who watch.
#[derive(Default)]
pub struct Live {
    watchers: RefCell<Vec<Watcher>>,
    beating: Cell<bool>,
}

struct Watcher {
    events: Weak<Mailbox<Bytes>>,
    /// It has all parts as they were at the last beat.
    follows: bool,
}

/// What one watcher is sent, for ever.
pub struct Watch {
    events: Rc<Mailbox<Bytes>>,
    deadline: Rc<Cell<Instant>>,
    patience: Duration,
}

impl Live {
    /// One more watcher; none if there are too many. Its connection lives on, up to `patience` after what it took last.
    pub fn watch(self: &Rc<Self>, ask: &impl Ask, deadline: Rc<Cell<Instant>>, patience: Duration) -> Option<Watch> {
        if self.watchers.borrow().len() >= WATCHERS_MAX {
            return None;
        }
        let events = Rc::new(Mailbox::default());
        self.watchers.borrow_mut().push(Watcher { events: Rc::downgrade(&events), follows: false });
        if !self.beating.replace(true) {
            let (live, ask) = (self.clone(), ask.clone());
            glommio::spawn_local(async move { live.beat(ask).await }).detach();
        }
        Some(Watch { events, deadline, patience })
    }

    async fn beat(&self, ask: impl Ask) {
        let mut before = BTreeMap::new();
        loop {
            self.watchers.borrow_mut().retain(|watcher| watcher.events.strong_count() > 0);
            if self.watchers.borrow().is_empty() {
                return self.beating.set(false);
            }
            let whole = ask.ask("parts".to_owned()).await;
            // One JSON object on one line.
            let parts: BTreeMap<String, String> = serde_json::from_str(&whole).unwrap_or_default();
            let changed = || {
                let changed = parts.iter().filter(|(name, text)| before.get(*name) != Some(*text));
                let changed: BTreeMap<_, _> = changed.collect();
                event(&serde_json::to_string(&changed).expect("strings are always JSON"))
            };
            // Each made only if somebody needs it.
            let (mut all, mut some) = (None, None);
            for watcher in self.watchers.borrow_mut().iter_mut() {
                let Some(events) = watcher.events.upgrade() else { continue };
                // One that has not taken the last event yet gets none more, and all once it has.
                let room = events.len() == 0;
                if room {
                    events.push(match watcher.follows {
                        true => some.get_or_insert_with(changed).clone(),
                        false => all.get_or_insert_with(|| event(&whole)).clone(),
                    });
                }
                watcher.follows = room;
            }
            before = parts;
            glommio::timer::sleep(BEAT).await;
        }
    }
}

fn event(line: &str) -> Bytes {
    format!("data: {line}\n\n").into()
}

impl Body for Watch {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = ready!(self.events.poll_pop(cx));
        self.deadline.set(Instant::now() + self.patience);
        Poll::Ready(event.map(|bytes| Ok(Frame::data(bytes))))
    }
}
