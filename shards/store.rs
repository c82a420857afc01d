//! Owner of blocks.bin: where each block goes, what is written, what is durable. It never looks
//! into a block and never opens the file; it asks the edge for aligned writes and syncs.
//!
//! ```text
//!  0 ...                              base (multiple of 4,096)   end
//!  | written, or being written        | tail: bytes of the last   | nothing
//!  |                                  | page, and all that came   |
//!  |                                  | since                     |
//! ```
//!
//! While more is coming only whole pages are written. When nothing is under way the last partial
//! page is written too, zero-filled; later it is written again with the same first bytes. A byte is
//! durable when a sync, asked for after its write was complete, has returned, and all bytes before
//! it are durable. After a failed write or sync the file is not trusted any more: the node stops.

use crate::effect::{Effect, Event, Level, Stop};
use crate::limits::{PAGE, WRITE_BYTES_MAX, WRITES_MAX};
use crate::msg::{Msg, Place};
use crate::report::{self, Report};
use crate::{Cx, Input, Shard, ShardId};
use bytes::{Bytes, BytesMut};
use consensus::{Block, Header, Params};
use ledger::NodeId;
use ledger::block_index::Rows;
use ledger::holes::Holes;
use ledger::record::{FRAME_LEN, frame};
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

/// What the edge found when it opened blocks.bin.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// Logical end: after the last record.
    pub end: u64,
    /// Bytes of the last partial page up to `end`: `end % 4096` of them.
    pub tail: Vec<u8>,
    /// Goes on with the block index, which covers all up to `end`.
    pub rows: Rows,
    /// What was pruned.
    pub holes: Holes,
}

/// The shard.
#[derive(Debug)]
pub struct Store {
    params: &'static Params,
    /// Offset of the first byte not handed to a write of whole pages.
    base: u64,
    /// Everything from `base` to the logical end, in pieces.
    tail: VecDeque<Bytes>,
    end: u64,
    /// Offsets of the writes under way.
    writing: BTreeSet<u64>,
    /// Logical end up to which bytes were handed to writes at least once.
    handed: u64,
    /// Logical end of the longest prefix that is completely written.
    complete: u64,
    /// Logical end covered by a sync under way.
    syncing: Option<u64>,
    durable: u64,
    /// Appended blocks that are not durable yet, in order.
    waiting: VecDeque<(NodeId, Place, Header)>,
    rows: Rows,
    holes: Holes,
    /// Bytes that are being given up.
    punching: u64,
    /// Of the block index, not handed out yet.
    index: Vec<u8>,
    report: report::Store,
    failed: bool,
}

impl Store {
    /// A store over a file that was opened and found to hold records up to `opened.end`.
    pub fn new(params: &'static Params, opened: Opened) -> Store {
        assert_eq!(opened.tail.len() as u64, opened.end % PAGE);
        let base = opened.end - opened.tail.len() as u64;
        Store {
            params,
            base,
            tail: VecDeque::from([Bytes::from(opened.tail)]),
            end: opened.end,
            writing: BTreeSet::new(),
            handed: opened.end,
            complete: opened.end,
            syncing: None,
            durable: opened.end,
            waiting: VecDeque::new(),
            rows: opened.rows,
            index: Vec::new(),
            report: report::Store {
                end: opened.end,
                durable: opened.end,
                punched: opened.holes.pages().map(|pages| pages.end - pages.start).sum(),
                ..Default::default()
            },
            holes: opened.holes,
            punching: 0,
            failed: false,
        }
    }

    fn append(&mut self, node: NodeId, block: &Block) {
        let (header, block) = (block.header, &block.bytes);
        let len = u32::try_from(block.len()).expect("a block is at most 4,000,000 bytes");
        let head = frame(self.params, len);
        let place = Place { file: 0, at: self.end + head.len() as u64, len };
        self.tail.push_back(Bytes::copy_from_slice(&head));
        self.tail.push_back(block.clone());
        self.end = place.at + u64::from(len);
        self.report.appended += (head.len() + block.len()) as u64;
        self.waiting.push_back((node, place, header));
    }

    /// Hands out writes of whole pages while there are some, then, when idle, the partial page.
    fn write(&mut self, cx: &mut Cx) {
        while self.writing.len() < WRITES_MAX && self.end - self.base >= PAGE {
            let room = WRITE_BYTES_MAX as u64;
            let len = (self.end - self.base).min(room) / PAGE * PAGE;
            // The page that was written partial may still be on its way: one writer of a page at a time.
            if self.writing.contains(&self.base) {
                break;
            }
            let pieces = self.take(len);
            self.hand(self.base, pieces, self.base + len, cx);
            self.base += len;
        }
        let partial = self.end - self.base;
        if self.writing.is_empty() && partial > 0 && self.handed < self.end {
            assert!(partial < PAGE);
            let mut page = BytesMut::with_capacity(PAGE as usize);
            self.tail.iter().for_each(|piece| page.extend_from_slice(piece));
            self.tail = VecDeque::from([page.clone().freeze()]);
            page.resize(PAGE as usize, 0);
            self.hand(self.base, vec![page.freeze()], self.end, cx);
        }
    }

    fn hand(&mut self, at: u64, pieces: Vec<Bytes>, logical_end: u64, cx: &mut Cx) {
        let len: usize = pieces.iter().map(Bytes::len).sum();
        assert!(at.is_multiple_of(PAGE) && (len as u64).is_multiple_of(PAGE) && len > 0);
        assert!(self.writing.insert(at), "one write of a page at a time");
        self.handed = self.handed.max(logical_end);
        self.report.written += len as u64;
        cx.effect(Effect::Write { at, pieces });
    }

    /// Takes `len` bytes off the front of the tail.
    fn take(&mut self, mut len: u64) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        while len > 0 {
            let mut piece = self.tail.pop_front().expect("the tail reaches to the end");
            if piece.len() as u64 > len {
                self.tail.push_front(piece.split_off(len as usize));
            }
            len -= piece.len() as u64;
            pieces.push(piece);
        }
        pieces
    }

    fn written(&mut self, at: u64) {
        assert!(self.writing.remove(&at), "only what was handed out is written");
        self.complete = match self.writing.first() {
            // A write that starts below what is complete rewrites a page, of which those bytes stay as they are.
            Some(at) => self.complete.max(*at),
            None => self.handed,
        };
    }

    fn sync(&mut self, cx: &mut Cx) {
        if self.syncing.is_none() && self.complete > self.durable {
            self.syncing = Some(self.complete);
            self.report.syncs += 1;
            cx.effect(Effect::Sync);
        }
    }

    fn synced(&mut self, cx: &mut Cx) {
        self.durable = self.syncing.take().expect("one sync at a time");
        let mut done = Vec::new();
        while let Some((node, place, header)) = self.waiting.front() {
            if place.at + u64::from(place.len) > self.durable {
                break;
            }
            self.rows.stored(place.at - FRAME_LEN, place.len, header, &mut self.index);
            done.push((*node, *place));
            self.waiting.pop_front();
        }
        if !done.is_empty() {
            cx.tell(ShardId::Chain, Msg::Durable(done));
        }
    }

    /// First the rows, which say what lies there no more; then what is left to no other record of their pages.
    fn punch(&mut self, records: &[(u64, u32)], cx: &mut Cx) {
        let mut pages: Vec<Range<u64>> = Vec::new();
        for (at, len) in records {
            let (start, end) = (at - FRAME_LEN, at + u64::from(*len));
            assert!(end <= self.durable, "only what is durable is given up");
            self.rows.punched(start, &mut self.index);
            let fresh = self.holes.add(start..end);
            match pages.last_mut() {
                _ if fresh.is_empty() => {}
                Some(last) if last.end == fresh.start => last.end = fresh.end,
                _ => pages.push(fresh),
            }
        }
        assert!(pages.iter().all(|pages| pages.end <= self.base), "the last page is written again");
        self.punching = pages.iter().map(|pages| pages.end - pages.start).sum();
        self.flush_index(cx);
        cx.effect(Effect::Punch(pages));
    }

    fn punched(&mut self, done: Result<(), String>, cx: &mut Cx) {
        match &done {
            Ok(()) => self.report.punched += self.punching,
            Err(why) => {
                cx.log(Level::Warn, format!("blocks.bin cannot be pruned: {why}; nothing more is pruned in this run"));
            }
        }
        cx.tell(ShardId::Chain, Msg::Punched { done: done.is_ok() });
    }

    fn flush_index(&mut self, cx: &mut Cx) {
        if !self.index.is_empty() {
            cx.effect(Effect::Index(std::mem::take(&mut self.index).into()));
        }
    }

    fn fail(&mut self, full: bool, what: String, cx: &mut Cx) {
        self.failed = true;
        let waiting: u64 = self.end - self.durable;
        let line = format!(
            "blocks.bin is durable up to byte {}; {waiting} bytes behind that were not written: {what}",
            self.durable
        );
        cx.log(Level::Warn, line.clone());
        cx.effect(Effect::Stop(if full { Stop::DiskFull } else { Stop::DiskFailed }, line));
    }
}

impl Shard for Store {
    fn step(&mut self, input: Input, cx: &mut Cx) {
        if self.failed {
            return;
        }
        match input {
            Input::Msg(Msg::Append { node, body }) => self.append(node, &body.block),
            Input::Msg(Msg::Refused { hash, reject }) => cx.effect(Effect::Remember(format!("{hash} {reject}"))),
            Input::Msg(Msg::KeepHeaders(headers)) => {
                headers.iter().for_each(|header| self.rows.header(header, &mut self.index));
            }
            Input::Msg(Msg::Valid { at }) => self.rows.valid(at - FRAME_LEN, &mut self.index),
            Input::Msg(Msg::Punch(records)) => self.punch(&records, cx),
            Input::Event(Event::Punched(done)) => self.punched(done, cx),
            Input::Event(Event::Written { at }) => self.written(at),
            Input::Event(Event::Synced) => self.synced(cx),
            Input::Event(Event::Failed { full, what }) => return self.fail(full, what, cx),
            Input::Tick => {
                self.report.end = self.end;
                self.report.durable = self.durable;
                cx.tell(ShardId::Status, Msg::Report(Box::new(Report::Store(self.report))));
            }
            other => unreachable!("store is never told {other:?}"),
        }
        self.write(cx);
        self.sync(cx);
        self.flush_index(cx);
    }
}

#[cfg(test)]
mod tests;
