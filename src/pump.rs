//! THE loop of a core: take inputs, step shards, route what they say, hand effects to the kernel's side, park. It
//! decides nothing; it knows which shard lives where and that questions of people go first.

use crate::ask::Ask;
use crate::disk::Disk;
use crate::links::{Links, Parcel};
use crate::log;
use crate::net::Net;
use glommio::timer::sleep;
use shards::effect::{Effect, Event, Order, Stop};
use shards::metrics::{Pages, Stage};
use shards::{Cx, Input, Plan, Shard, ShardId};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Steps run at most this long before sockets and files get their turn.
const TURN: Duration = Duration::from_millis(1);
/// The pause that gives it to them: a timer makes glommio poll its rings.
pub const BREATH: Duration = Duration::from_micros(10);
/// Shards hear Tick this often.
const TICK: Duration = Duration::from_millis(250);

/// A queue with one reader task on the same executor.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    items: RefCell<VecDeque<T>>,
    waker: RefCell<Option<Waker>>,
    closed: Cell<bool>,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Mailbox { items: RefCell::default(), waker: RefCell::default(), closed: Cell::new(false) }
    }
}

impl<T> Mailbox<T> {
    /// Puts an item at the end.
    pub fn push(&self, item: T) {
        self.items.borrow_mut().push_back(item);
        self.wake();
    }

    /// Nothing more comes; what is there can still be taken.
    pub fn close(&self) {
        self.closed.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Items waiting.
    pub fn len(&self) -> usize {
        self.items.borrow().len()
    }

    /// The next item; none once closed and empty.
    pub async fn pop(&self) -> Option<T> {
        poll_fn(|cx| self.poll_pop(cx)).await
    }

    /// The same for whoever polls.
    pub fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        match self.items.borrow_mut().pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None if self.closed.get() => Poll::Ready(None),
            None => {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// What the main thread learns of a core.
#[derive(Debug)]
pub enum News {
    /// The core runs its loop.
    Ready,
    /// A shard asks to stop the node.
    Stop(Stop, String),
    /// The answer to a question asked for the main thread.
    Answer(String),
    /// The core cannot run.
    Broken(usize, String),
}

/// One core: its shards, its queue, its way to kernel and other cores. Cheap to clone, never leaves its executor.
#[derive(Clone)]
pub struct Core(Rc<Inner>);

struct Inner {
    index: usize,
    plan: Plan,
    shards: RefCell<BTreeMap<ShardId, Box<dyn Shard>>>,
    queue: Mailbox<(ShardId, Input)>,
    urgent: RefCell<VecDeque<(ShardId, Input)>>,
    /// What sockets did: comes first until it has had as much time as the rest, for a peer waits meanwhile.
    near: RefCell<VecDeque<(ShardId, Event)>>,
    /// Nanoseconds that the one lane has had more than the other while both had something.
    lead: Cell<i64>,
    cx: RefCell<Cx>,
    start: Instant,
    ticking: Cell<bool>,
    pages: Pages,
    links: Links,
    net: Net,
    disk: Disk,
    asked: RefCell<BTreeMap<u64, Rc<Mailbox<String>>>>,
    next_question: Cell<u64>,
    news: mpsc::Sender<News>,
    question: Option<String>,
}

/// What a core is made of.
pub struct Parts {
    /// Its number.
    pub index: usize,
    /// The wiring of all.
    pub plan: Plan,
    /// Its shards.
    pub shards: BTreeMap<ShardId, Box<dyn Shard>>,
    /// Counters.
    pub pages: Pages,
    /// Seed of its chance.
    pub seed: u64,
    /// Its links.
    pub links: Links,
    /// Its sockets.
    pub net: Net,
    /// Its files.
    pub disk: Disk,
    /// The main thread.
    pub news: mpsc::Sender<News>,
    /// When the node started; all cores share it.
    pub start: Instant,
    /// Effects that shards asked for while they were made.
    pub first: Vec<Effect>,
    /// What to ask when an offline job is done, before the main thread is told.
    pub question: Option<String>,
}

impl Core {
    /// A core that does nothing yet.
    pub fn new(parts: Parts) -> Core {
        let Parts { index, plan, shards, pages, seed, links, net, disk, news, start, first, question } = parts;
        let mut cx = Cx::new(seed);
        cx.effects = first;
        Core(Rc::new(Inner {
            index,
            plan,
            shards: RefCell::new(shards),
            queue: Mailbox::default(),
            urgent: RefCell::default(),
            near: RefCell::default(),
            lead: Cell::new(0),
            cx: RefCell::new(cx),
            start,
            ticking: Cell::new(false),
            pages,
            links,
            net,
            disk,
            asked: RefCell::default(),
            next_question: Cell::new(0),
            news,
            question,
        }))
    }

    /// An input for a shard of this core.
    pub fn input(&self, to: ShardId, input: Input) {
        let question = matches!(&input, Input::Event(Event::Asked { .. }))
            || matches!(&input, Input::Msg(word) if word.is_question());
        if question {
            self.0.urgent.borrow_mut().push_back((to, input));
            self.0.queue.wake();
        } else {
            self.0.queue.push((to, input));
        }
    }

    /// Something the kernel did, for a shard of this core.
    pub fn event(&self, to: ShardId, event: Event) {
        self.input(to, Input::Event(event));
    }

    /// Something that a connection's socket did.
    pub fn socket_event(&self, to: ShardId, event: Event) {
        self.0.near.borrow_mut().push_back((to, event));
        self.0.queue.wake();
    }

    /// Inputs that wait.
    fn waiting(&self) -> usize {
        self.0.queue.len() + self.0.near.borrow().len()
    }

    /// What came over a link.
    pub fn parcel(&self, parcel: Parcel) {
        match parcel {
            Parcel::Word(to, word) => self.input(to, Input::Msg(word)),
            Parcel::Socket(to, socket) => self.0.net.adopt(self, to, socket),
            Parcel::Ask(text) => {
                let core = self.clone();
                glommio::spawn_local(async move {
                    let answer = core.ask_in_turn(text).await;
                    core.tell_main(News::Answer(answer));
                })
                .detach();
            }
        }
    }

    /// Sends something over the link to another core, or to this one.
    pub fn send(&self, core: usize, parcel: Parcel) {
        if core == self.0.index {
            return self.parcel(parcel);
        }
        if !self.0.links.send(core, parcel) {
            self.page().link_overrun.add(1);
        }
    }

    /// Says something to the main thread.
    pub fn tell_main(&self, news: News) {
        // The main thread outlives every executor.
        let _ = self.0.news.send(news);
    }

    /// The core a shard lives on.
    pub fn home(&self, shard: ShardId) -> usize {
        self.0.plan.home(shard)
    }

    /// The loop. Never returns.
    pub async fn run(self) {
        self.effects(None);
        let ticker = self.clone();
        glommio::spawn_local(async move { ticker.tick().await }).detach();
        self.tell_main(News::Ready);
        let page = self.page();
        let (mut left, mut stopped) = (0, Instant::now());
        loop {
            let (turn, waited) = (Instant::now(), self.waiting());
            let mut steps = 0;
            while self.step_once() {
                steps += 1;
                if turn.elapsed() > TURN {
                    break;
                }
            }
            self.0.links.flush();
            let (pause, end) = ((turn - stopped).as_nanos() as u64, Instant::now());
            let (busy, leaves) = ((end - turn).as_nanos() as u64, self.waiting());
            if steps > 0 {
                page.busy_ns.add(busy);
                page.step.add(steps);
            }
            page.wait_ns.add(pause * left as u64 + busy * (waited + leaves) as u64 / 2);
            page.queue_max.set(page.queue_max.get().max(leaves as u64));
            (left, stopped) = (leaves, end);
            if leaves > 0 || self.0.links.waiting() {
                sleep(BREATH).await;
            } else {
                self.parked().await;
            }
        }
    }

    async fn tick(&self) {
        loop {
            sleep(TICK).await;
            if !self.0.ticking.replace(true) {
                let shards: Vec<ShardId> = self.0.shards.borrow().keys().copied().collect();
                shards.into_iter().for_each(|shard| self.input(shard, Input::Tick));
            }
            if self.0.index == self.0.plan.desk() {
                self.tick_desk();
            }
            self.0.net.tick();
            self.page().tick.add(1);
            self.page().cpu_ns.set(tuning::core_time().as_nanos() as u64);
        }
    }

    /// Hands over what was logged, and has logged what somebody wants to read there.
    fn tick_desk(&self) {
        let said = crate::events::take();
        if !said.is_empty() {
            self.event(ShardId::Status, Event::Said(said));
        }
        if crate::signals::state_is_wanted() {
            let core = self.clone();
            glommio::spawn_local(async move {
                for question in ["status", "worlds", "peers", "topology"] {
                    core.ask(question.to_owned()).await.lines().for_each(|line| tracing::info!("{question}: {line}"));
                }
            })
            .detach();
        }
    }

    /// Takes the next step; false where there is none.
    fn step_once(&self) -> bool {
        let urgent = self.0.urgent.borrow_mut().pop_front();
        if let Some((to, input)) = urgent {
            self.step(to, input);
            return true;
        }
        let (nears, others, lead) = (self.0.near.borrow().len(), self.0.queue.len(), self.0.lead.get());
        let near = nears > 0 && (others == 0 || lead <= 0);
        let next = match near {
            true => self.0.near.borrow_mut().pop_front().map(|(to, event)| (to, Input::Event(event))),
            false => self.0.queue.items.borrow_mut().pop_front(),
        };
        let Some((to, input)) = next else { return false };
        let spent = self.step(to, input);
        // A lane that had nothing to do has no claim later.
        let lead = if near { lead + spent } else { lead - spent };
        self.0.lead.set(if nears > 0 && others > 0 { lead } else { 0 });
        true
    }

    /// Waits until there is an input.
    async fn parked(&self) {
        poll_fn(|cx| {
            if self.waiting() > 0 || !self.0.urgent.borrow().is_empty() {
                return Poll::Ready(());
            }
            *self.0.queue.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// How long it took, nanoseconds.
    fn step(&self, to: ShardId, input: Input) -> i64 {
        if matches!(input, Input::Tick) {
            self.0.ticking.set(false);
        }
        let (before, stage) = (Instant::now(), Stage::of(to, &input));
        {
            let mut cx = self.0.cx.borrow_mut();
            cx.now_ms = before.duration_since(self.0.start).as_millis() as u64;
            cx.unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
            let mut shards = self.0.shards.borrow_mut();
            let shard = shards.get_mut(&to).unwrap_or_else(|| panic!("{to} does not live on core {}", self.0.index));
            shard.step(input, &mut cx);
        }
        let page = self.page();
        let spent = before.elapsed().as_nanos() as u64;
        page.stage_ns[stage as usize].add(spent);
        page.step_ns_max.set(page.step_ns_max.get().max(spent));
        page.step_us.add(spent / 1_000);
        self.effects(Some(to));
        spent as i64
    }

    /// Routes what the last step, of that shard, said and asked for.
    fn effects(&self, from: Option<ShardId>) {
        let (words, effects) = {
            let mut cx = self.0.cx.borrow_mut();
            (std::mem::take(&mut cx.words), std::mem::take(&mut cx.effects))
        };
        for (to, word) in words {
            self.page().words[self.home(to)].add(1);
            match self.home(to) {
                core if core == self.0.index => self.input(to, Input::Msg(word)),
                core => self.send(core, Parcel::Word(to, word)),
            }
        }
        for effect in effects {
            self.carry_out(from, effect);
        }
    }

    fn carry_out(&self, from: Option<ShardId>, effect: Effect) {
        match effect {
            Effect::Connect { .. }
            | Effect::Receive { .. }
            | Effect::Send { .. }
            | Effect::SendFile { .. }
            | Effect::Close { .. }
            | Effect::Hand { .. }
            | Effect::Refuse { .. }
            | Effect::Resolve { .. } => self.0.net.carry_out(self, effect),
            Effect::Read { .. }
            | Effect::Peek { .. }
            | Effect::Write { .. }
            | Effect::Sync
            | Effect::SaveAddresses(_)
            | Effect::Keep(_)
            | Effect::Index(_)
            | Effect::Punch(_)
            | Effect::Dump { .. }
            | Effect::SaveCheckpoint { .. }
            | Effect::LoadCheckpoint { .. }
            | Effect::EndSnapshot
            | Effect::Remember(_) => self.0.disk.carry_out(self, effect),
            Effect::Log(level, line) => log::sentence(from, level, &line),
            Effect::Note(note) => log::note(note),
            Effect::Filter { question, wanted } => self.answer(question, log::filter(wanted.as_deref())),
            Effect::Print(line) => println!("{line}"),
            Effect::Stop(Stop::Done, _) if self.0.question.is_some() => {
                let question = self.0.question.clone().expect("just seen");
                self.send(self.home(ShardId::Status), Parcel::Ask(question));
            }
            Effect::Stop(why, line) => self.tell_main(News::Stop(why, line)),
            Effect::Answer { question, text } => self.answer(question, text),
        }
    }

    fn answer(&self, question: u64, text: String) {
        if let Some(asked) = self.0.asked.borrow_mut().remove(&question) {
            asked.push(text);
        }
    }

    /// What is published of this core.
    pub fn page(&self) -> &shards::metrics::Core {
        self.0.pages.core(self.0.index)
    }

    /// The sockets of this core.
    pub fn net(&self) -> &Net {
        &self.0.net
    }

    /// The files of this core.
    pub fn disk(&self) -> &Disk {
        &self.0.disk
    }

    /// The utxo shard of this core.
    pub fn utxo_shard(&self) -> Option<ShardId> {
        self.0.shards.borrow().keys().copied().find(|shard| matches!(shard, ShardId::Utxo(_)))
    }

    /// The peer shard of this core.
    pub fn peer_shard(&self) -> Option<ShardId> {
        self.0.shards.borrow().keys().copied().find(|shard| matches!(shard, ShardId::Peer(_)))
    }
}

impl Core {
    fn question(&self, ask: impl FnOnce(u64) -> Event) -> (Rc<Mailbox<String>>, Input) {
        let question = self.0.next_question.get();
        self.0.next_question.set(question + 1);
        let answer = Rc::new(Mailbox::default());
        self.0.asked.borrow_mut().insert(question, answer.clone());
        (answer, Input::Event(ask(question)))
    }

    /// Asks behind everything that already waits for the status shard, so that the answer knows it.
    async fn ask_in_turn(&self, text: String) -> String {
        let (answer, asked) = self.question(|question| Event::Asked { question, text });
        self.0.queue.push((ShardId::Status, asked));
        answer.pop().await.unwrap_or_default()
    }
}

impl Ask for Core {
    /// Asks the status shard of this core. Never waits for another shard longer than that one does.
    async fn ask(&self, text: String) -> String {
        let (answer, asked) = self.question(|question| Event::Asked { question, text });
        self.input(ShardId::Status, asked);
        answer.pop().await.unwrap_or_default()
    }

    async fn order(&self, order: Order) -> String {
        let (answer, ordered) = self.question(|question| Event::Ordered { question, order });
        self.input(ShardId::Status, ordered);
        answer.pop().await.unwrap_or_default()
    }
}
