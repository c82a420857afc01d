//! The status shard: keeps the last report of every shard, answers the questions of people. What the
//! page, the JSON and most commands show lies here already, so their answers wait for nobody; only
//! single blocks and coins are asked of their owners, ahead of the work that waits there. It decides
//! nothing, and never sees a socket or an HTTP request: a question is a line of text with a number,
//! and every question is answered exactly once.

pub mod blocks;
mod fates;
pub mod format;
pub mod frame;
pub mod json;
mod lanes;
pub mod page;
pub mod scrape;
mod survey;
pub mod tables;
pub mod text;
pub mod view;

#[cfg(test)]
mod tests;

pub use view::{Setup, View};

use crate::effect::{Order, Stop};
use crate::msg::{Finding, Question, Which};
use crate::{Cx, Effect, Event, Input, Msg, Shard, ShardId};
use consensus::{BlockHash, OutPoint, Txid};
use fates::{Fates, Outputs};
use ledger::survey::Aim;
use ledger::{WorldId, partition_of};
use std::collections::BTreeMap;
use survey::Survey;
pub use survey::{Digest, Stats};

/// Questions that may wait for other shards at once.
pub const QUESTIONS_MAX: usize = 256;
/// How long a question waits, milliseconds.
pub const ANSWER_MS: u64 = 5_000;
/// How long a survey of all coins waits for its next part. A decision too, after which coins may have to be made anew.
pub const PART_MS: u64 = 600_000;

/// A question that waits, and for what.
#[derive(Debug)]
enum Waiting {
    /// The chain shard's answer in words.
    Reply,
    /// The chain shard's word that a decision binds.
    Decision,
    /// A world in which to look for a coin.
    CoinWorld(OutPoint),
    /// The coin itself, in the world of this block.
    Coin(OutPoint, (u32, BlockHash)),
    /// A world in which to look for the outputs of these transactions.
    FatesWorld(Outputs),
    /// What has become of them.
    Fates(Fates),
    /// The tip's world, for a survey of its coins.
    SurveyWorld(Aim),
    /// The survey.
    Survey(Box<Survey>),
}

/// The shard.
#[derive(Debug)]
pub struct Status {
    view: View,
    started_ms: Option<u64>,
    /// By number: when it is given up, and what it waits for.
    waiting: BTreeMap<u64, (u64, Waiting)>,
}

/// Why a question cannot be answered, for whoever asked.
type Refusal = String;

impl Status {
    /// A status shard without any report yet.
    pub fn new(setup: Setup) -> Status {
        assert_eq!(setup.pages.executors(), setup.plan.executors.len(), "one page for each");
        Status { view: View::new(setup), started_ms: None, waiting: BTreeMap::new() }
    }

    fn asked(&mut self, question: u64, line: &str, cx: &mut Cx) {
        let mut words = line.split_whitespace();
        let command = words.next().unwrap_or("help").to_ascii_lowercase();
        let rest: Vec<&str> = words.collect();
        if let "connect" | "shutdown" = command.as_str() {
            return match self.order(&command, &rest) {
                Ok(order) => self.ordered(question, order, cx),
                Err(why) => answer(question, why, cx),
            };
        }
        // Either what it waits for and the word that sets it going, or the answer.
        let waiting = match (command.as_str(), rest.as_slice()) {
            ("block", [block]) => Ok((Waiting::Reply, Msg::Query { question, text: format!("block {block}") })),
            ("block", _) => Err("error: say block HEIGHT or block HASH".to_string()),
            ("deployments", [] | [_]) => {
                let text = ["deployments"].iter().chain(&rest).copied().collect::<Vec<_>>().join(" ");
                Ok((Waiting::Reply, Msg::Query { question, text }))
            }
            ("deployments", _) => Err("error: say deployments, deployments HEIGHT or deployments HASH".to_string()),
            ("coin", rest) => self.ask_coin(question, rest),
            ("fates", rest) => {
                fates::asked(rest).map(|(block, txs)| (Waiting::FatesWorld(txs), Msg::WhichWorld { question, block }))
            }
            (survey @ ("digest" | "stats" | "dump"), []) => {
                let aim = match survey {
                    "digest" => Aim::Digest,
                    "stats" => Aim::Hashes,
                    _ => Aim::Snapshot,
                };
                Ok((Waiting::SurveyWorld(aim), Msg::WhichWorld { question, block: None }))
            }
            // The edge adds how many bytes the disk has left.
            ("metrics", [free]) => Err(match free.parse() {
                Ok(free) => scrape::node(&self.view, Some(free)),
                Err(_) => "error: after metrics goes nothing, or the bytes that the disk has left".into(),
            }),
            ("log", rest) => {
                return match rest.join(" ") {
                    wanted if !wanted.is_empty() && !self.view.setup.may_write => {
                        let why = "error: log FILTER changes what is logged; start the node with --monitor-write";
                        answer(question, why.into(), cx);
                    }
                    wanted => cx.effect(Effect::Filter { question, wanted: Some(wanted).filter(|w| !w.is_empty()) }),
                };
            }
            ("invalidate" | "reconsider", rest) => self.ask_decision(question, &command, rest),
            (command, rest) => Err(match self.at_once(command) {
                None => text::unknown(command),
                Some(text) if rest.is_empty() => text,
                Some(_) => format!("error: {command} takes nothing after it"),
            }),
        };
        match waiting {
            Err(text) => answer(question, text, cx),
            Ok((waiting, word)) => self.wait(question, waiting, (ShardId::Chain, word), cx),
        }
    }

    /// Has another shard asked, unless too many questions wait.
    fn wait(&mut self, question: u64, waiting: Waiting, (to, word): (ShardId, Msg), cx: &mut Cx) {
        if self.waiting.len() >= QUESTIONS_MAX {
            let why = format!("error: {QUESTIONS_MAX} questions wait already; ask again in a moment");
            return answer(question, why, cx);
        }
        let long = matches!(waiting, Waiting::SurveyWorld(_) | Waiting::Decision);
        let ms = if long { PART_MS } else { ANSWER_MS };
        let before = self.waiting.insert(question, (cx.now_ms + ms, waiting));
        assert!(before.is_none(), "question {question} was asked twice");
        cx.tell(to, word);
    }

    /// Does what somebody wants who may have it.
    fn ordered(&mut self, question: u64, order: Order, cx: &mut Cx) {
        match order {
            Order::Connect(address) => {
                self.wait(question, Waiting::Reply, (ShardId::Book, Msg::Meet { question, address }), cx);
            }
            Order::Shutdown(who) => {
                answer(question, "the node stops".into(), cx);
                cx.effect(Effect::Stop(Stop::Done, format!("asked to by {who}")));
            }
        }
    }

    /// Answers that need nobody else.
    fn at_once(&self, command: &str) -> Option<String> {
        Some(match command {
            "help" => text::help(),
            "status" => text::status(&self.view),
            "headline" => text::headline(&self.view),
            "peers" => text::peers(&self.view),
            "worlds" => text::worlds(&self.view),
            "topology" => text::topology(&self.view),
            "json" => json::json(&self.view),
            "page" => page::html(&self.view),
            "parts" => page::parts(&self.view),
            "events" => text::events(&self.view),
            "connections" => tables::connections(&self.view),
            "ledger" => tables::ledger(&self.view),
            "pool" => tables::pool(&self.view),
            "metrics" => scrape::node(&self.view, None),
            "metrics/cores" => scrape::cores(&self.view),
            "ready" => scrape::ready(&self.view),
            _ => return None,
        })
    }

    /// `TXID:N`, then nothing, `@HEIGHT` or `@HASH` (a space after the @ is forgiven).
    fn ask_coin(&self, question: u64, rest: &[&str]) -> Result<(Waiting, Msg), Refusal> {
        let usage = "error: say coin TXID:N, TXID being 64 hex digits; add @HEIGHT or @HASH for the world of a block";
        let (name, at) = rest.split_first().ok_or(usage)?;
        let (txid, vout) = name.split_once(':').ok_or(usage)?;
        let txid: Txid = txid.parse().map_err(|_| usage)?;
        let outpoint = OutPoint { txid, vout: vout.parse().map_err(|_| usage)? };
        let at = at.concat();
        let block = match at.as_str() {
            "" => None,
            at => Some(which(at.strip_prefix('@').ok_or(usage)?)?),
        };
        Ok((Waiting::CoinWorld(outpoint), Msg::WhichWorld { question, block }))
    }

    /// Whether this node takes orders at the prompt.
    fn may_write(&self, command: &str) -> Result<(), Refusal> {
        match self.view.setup.may_write {
            true => Ok(()),
            false => Err(format!("error: {command} changes what the node does; start it with --monitor-write")),
        }
    }

    /// An order typed at the prompt.
    fn order(&self, command: &str, rest: &[&str]) -> Result<Order, Refusal> {
        self.may_write(command)?;
        match (command, rest) {
            ("connect", [address]) => {
                let address = text::address(address, self.view.setup.params.port);
                address.map(Order::Connect).ok_or_else(|| "error: say connect IP or connect IP:PORT".into())
            }
            ("shutdown", []) => Ok(Order::Shutdown("somebody at the prompt".into())),
            ("shutdown", _) => Err("error: shutdown takes nothing after it".into()),
            _ => Err("error: say connect IP or connect IP:PORT".into()),
        }
    }

    /// `HASH`: a decision, if this node takes any from here.
    fn ask_decision(&self, question: u64, command: &str, rest: &[&str]) -> Result<(Waiting, Msg), Refusal> {
        self.may_write(command)?;
        let usage = || format!("error: say {command} HASH, 64 hex digits");
        let [block] = rest else { return Err(usage()) };
        let block = block.parse().map_err(|_| usage())?;
        Ok((Waiting::Decision, Msg::Decide { question, block, out: command == "invalidate" }))
    }

    fn world(&mut self, question: u64, world: Result<(WorldId, u32, BlockHash), String>, cx: &mut Cx) {
        let Some((until_ms, waiting)) = self.waiting.remove(&question) else { return };
        let (world, height, hash) = match world {
            Ok(world) => world,
            Err(why) => return answer(question, waiting.failed(&why), cx),
        };
        let plan = &self.view.setup.plan;
        let next = match waiting {
            Waiting::CoinWorld(outpoint) => {
                let owner = plan.owner(partition_of(&outpoint.txid));
                cx.tell(owner, Msg::Look { question, what: Question::Coin(outpoint, world) });
                Waiting::Coin(outpoint, (height, hash))
            }
            Waiting::FatesWorld(txs) => Waiting::Fates(Fates::ask(question, txs, (world, height, hash), plan, cx)),
            Waiting::SurveyWorld(aim) => {
                let mut survey = Box::new(Survey::new(aim, (world, height, hash), cx));
                survey.ask(question, plan, cx);
                Waiting::Survey(survey)
            }
            waiting => panic!("a world came for question {question}, which waits for {waiting:?}"),
        };
        self.waiting.insert(question, (until_ms, next));
    }

    fn seen(&mut self, question: u64, finding: Finding, cx: &mut Cx) {
        let Some((until_ms, waiting)) = self.waiting.remove(&question) else { return };
        match (waiting, finding) {
            (Waiting::Coin(outpoint, world), Finding::Coin(coin)) => {
                answer(question, text::coin(&outpoint, world, coin), cx)
            }
            (Waiting::Survey(mut survey), Finding::Part(partition, part)) => {
                survey.came(partition, *part);
                self.go_on(question, survey, cx);
            }
            (Waiting::Fates(mut fates), Finding::Fates(part)) => match fates.came(part) {
                Some(text) => answer(question, text, cx),
                None => drop(self.waiting.insert(question, (until_ms, Waiting::Fates(fates)))),
            },
            (waiting, Finding::NoWorld) => {
                // A world may be folded or dropped while the question travels, or stand in a queue that it overtook.
                answer(question, waiting.failed("the world was gone before all of it was read; ask again"), cx);
            }
            (waiting, finding) => panic!("question {question} waits for {waiting:?}, {finding:?} came"),
        }
    }

    fn go_on(&mut self, question: u64, mut survey: Box<Survey>, cx: &mut Cx) {
        match survey.go_on(question, self.view.setup.params, cx) {
            Some(text) => answer(question, text, cx),
            None => {
                survey.ask(question, &self.view.setup.plan, cx);
                self.waiting.insert(question, (cx.now_ms + PART_MS, Waiting::Survey(survey)));
            }
        }
    }

    /// A piece of a snapshot is written, or not.
    fn dumped(&mut self, question: u64, failed: Option<String>, cx: &mut Cx) {
        match (self.waiting.remove(&question), failed) {
            (Some((_, waiting)), Some(why)) => answer(question, waiting.failed(&why), cx),
            (Some((_, Waiting::Survey(mut survey))), None) => {
                survey.wrote();
                self.go_on(question, survey, cx);
            }
            (waiting, _) => assert!(waiting.is_none(), "only a survey writes"),
        }
    }

    fn reply(&mut self, question: u64, text: String, cx: &mut Cx) {
        if let Some((_, waiting)) = self.waiting.remove(&question) {
            assert!(matches!(waiting, Waiting::Reply | Waiting::Decision), "a reply came for {waiting:?}");
            answer(question, text, cx);
        }
    }

    fn tick(&mut self, cx: &mut Cx) {
        self.view.load.sample(&self.view.setup.pages, cx.now_ms);
        let late = self.waiting.extract_if(.., |_, (until_ms, _)| *until_ms <= cx.now_ms);
        let late: Vec<(u64, Waiting)> = late.map(|(question, (_, waiting))| (question, waiting)).collect();
        for (question, waiting) in late {
            let why = match waiting {
                Waiting::Decision => "it is not done yet; \"status\" tells what the node is at",
                _ => "no answer came in time; the node is very busy, ask again",
            };
            answer(question, waiting.failed(why), cx);
        }
    }
}

/// A block by hash or by height.
fn which(at: &str) -> Result<Which, Refusal> {
    let hash = at.parse().map(Which::Hash).ok();
    let which = hash.or_else(|| at.parse().map(Which::Height).ok());
    which.ok_or_else(|| "error: after @ goes a height or a block hash of 64 hex digits".into())
}

impl Waiting {
    /// The words in which a question fails; a survey is read by programs.
    fn failed(&self, why: &str) -> String {
        match self {
            Waiting::SurveyWorld(_) | Waiting::Survey(_) => serde_json::json!({ "error": why }).to_string(),
            _ => format!("error: {why}"),
        }
    }
}

fn answer(question: u64, text: String, cx: &mut Cx) {
    cx.effect(Effect::Answer { question, text });
}

impl Shard for Status {
    fn step(&mut self, input: Input, cx: &mut Cx) {
        let started_ms = *self.started_ms.get_or_insert(cx.now_ms);
        self.view.up_s = cx.now_ms.saturating_sub(started_ms) / 1_000;
        self.view.unix = cx.unix;
        match input {
            Input::Event(Event::Asked { question, text }) => self.asked(question, &text, cx),
            Input::Event(Event::Ordered { question, order }) => self.ordered(question, order, cx),
            Input::Event(Event::Said(lines)) => self.view.said(lines),
            Input::Event(Event::Dumped { question, failed }) => self.dumped(question, failed, cx),
            Input::Msg(Msg::Report(report)) => self.view.keep(*report),
            // The report that came before it is what the peer waits to be visible.
            Input::Msg(Msg::Settled { peer, seq }) => {
                cx.tell(ShardId::Peer(crate::msg::split_peer(peer).0), Msg::Settled { peer, seq });
            }
            Input::Msg(Msg::Reply { question, text } | Msg::Decided { question, text }) => {
                self.reply(question, text, cx)
            }
            Input::Msg(Msg::World { question, world }) => self.world(question, world, cx),
            Input::Msg(Msg::Seen { question, finding }) => self.seen(question, finding, cx),
            Input::Tick => self.tick(cx),
            other => panic!("the status shard was sent {other:?}"),
        }
    }
}
