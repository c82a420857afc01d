//! The store over a model disk: writes end in any order, only what was complete when a sync was asked is durable, and
//! what reached the disk must be the frames back to back.

use super::*;
use crate::Rng;
use crate::limits::PAGE;
use consensus::{Block, Network};
use ledger::{Body, Seed};
use std::sync::Arc;

const START: [u64; 6] = [0, 293, 4_095, 4_096, 4_097, 3 * 4_096 + 77];

/// A block of about `len` bytes: a header and one coinbase with a long output script.
fn body(len: usize, fill: u8) -> Arc<Body> {
    let mut bytes = vec![fill; 80];
    bytes.extend([1, 1, 0, 0, 0, 1]);
    bytes.extend([[0; 32].as_slice(), &[0xff; 4], &[0], &[0xff; 4], &[1], &[0; 8]].concat());
    match len {
        0..253 => bytes.push(len as u8),
        253..=0xffff => bytes.extend([&[0xfd][..], &(len as u16).to_le_bytes()].concat()),
        _ => bytes.extend([&[0xfe][..], &(len as u32).to_le_bytes()].concat()),
    }
    bytes.extend(vec![fill; len]);
    bytes.extend([0; 4]);
    Arc::new(Body::new(Block::parse(bytes.into()).unwrap(), Seed::new(1)))
}

fn index(effect: Effect) -> Vec<u8> {
    let Effect::Index(bytes) = effect else { panic!("{effect:?}") };
    bytes.into()
}

struct Disk {
    store: Store,
    cx: Cx,
    /// What the file shall hold, without padding.
    wanted: Vec<u8>,
    /// What complete writes made of it.
    bytes: Vec<u8>,
    writing: Vec<(u64, Vec<u8>)>,
    /// The disk as it was when the sync under way was asked.
    syncing: Option<Vec<u8>>,
    places: Vec<(NodeId, Place)>,
    headers: Vec<Header>,
    durable: usize,
    /// The block index as it should be.
    rows: Rows,
}

impl Disk {
    fn new(end: u64) -> Disk {
        let wanted: Vec<u8> = (0..end).map(|at| (at % 251) as u8).collect();
        let mut bytes = wanted.clone();
        bytes.resize(end.next_multiple_of(PAGE) as usize, 0);
        let tail = wanted[(end - end % PAGE) as usize..].to_vec();
        let opened = Opened { end, tail, ..Opened::default() };
        let store = Store::new(Params::of(Network::Regtest), opened);
        let (writing, places, headers, rows) = Default::default();
        Disk { store, cx: Cx::new(0), wanted, bytes, writing, syncing: None, places, headers, durable: 0, rows }
    }

    fn step(&mut self, input: Input) {
        self.store.step(input, &mut self.cx);
        for effect in std::mem::take(&mut self.cx.effects) {
            match effect {
                Effect::Write { at, pieces } => self.take_write(at, pieces.concat()),
                Effect::Sync => assert!(self.syncing.replace(self.bytes.clone()).is_none(), "one sync at a time"),
                other => panic!("{other:?}"),
            }
        }
        assert!(
            self.cx.words.is_empty() || !matches!(self.cx.words[0].1, Msg::Durable(_)),
            "only a sync makes durable"
        );
        self.cx.words.clear();
    }

    fn take_write(&mut self, at: u64, bytes: Vec<u8>) {
        assert!(at.is_multiple_of(PAGE) && (bytes.len() as u64).is_multiple_of(PAGE) && !bytes.is_empty());
        assert!(bytes.len() <= WRITE_BYTES_MAX && self.writing.len() < WRITES_MAX);
        let end = at + bytes.len() as u64;
        for (other, held) in &self.writing {
            assert!(end <= *other || other + held.len() as u64 <= at, "two writes of one page at once");
        }
        // Also where it writes a page again: a page torn between two such writes has the right first bytes.
        let wanted = &self.wanted[at as usize..self.wanted.len().min(end as usize)];
        assert!(bytes.starts_with(wanted) && bytes[wanted.len()..].iter().all(|byte| *byte == 0));
        self.writing.push((at, bytes));
    }

    fn append(&mut self, len: usize) {
        let node = self.places.len() as NodeId;
        let body = body(len, node as u8 | 1);
        let block = &body.block.bytes;
        self.wanted.extend([0xfa, 0xbf, 0xb5, 0xda]);
        self.wanted.extend((block.len() as u32).to_le_bytes());
        self.headers.push(body.block.header);
        self.places.push((node, Place { file: 0, at: self.wanted.len() as u64, len: block.len() as u32 }));
        self.wanted.extend(block);
        self.step(Input::Msg(Msg::Append { node, body }));
    }

    fn finish_write(&mut self, index: usize) {
        let (at, bytes) = self.writing.swap_remove(index);
        let end = at as usize + bytes.len();
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[at as usize..end].copy_from_slice(&bytes);
        self.step(Input::Event(Event::Written { at }));
    }

    fn finish_sync(&mut self) {
        let safe = self.syncing.take().unwrap();
        self.store.step(Input::Event(Event::Synced), &mut self.cx);
        // No row says of a block what a sync has not said.
        let index: Vec<u8> =
            self.cx.effects.extract_if(.., |effect| matches!(effect, Effect::Index(_))).flat_map(index).collect();
        let mut wanted = Vec::new();
        for (_, word) in std::mem::take(&mut self.cx.words) {
            let Msg::Durable(done) = word else { panic!("{word:?}") };
            assert_eq!(done, self.places[self.durable..][..done.len()], "in the order they were appended");
            self.durable += done.len();
            for ((_, place), header) in done.iter().zip(&self.headers[self.durable - done.len()..]) {
                self.rows.stored(place.at - 8, place.len, header, &mut wanted);
            }
            let place = done.last().expect("not said for nothing").1;
            let end = place.at as usize + place.len as usize;
            assert!(safe.len() >= end && safe[..end] == self.wanted[..end], "durable before it was on disk");
        }
        assert_eq!(index, wanted);
        self.step(Input::Tick);
    }

    /// Ends what is under way until nothing is.
    fn drain(&mut self) {
        while !self.writing.is_empty() || self.syncing.is_some() {
            if self.writing.is_empty() { self.finish_sync() } else { self.finish_write(0) }
        }
        assert_eq!(self.durable, self.places.len(), "all is durable when all is quiet");
        let end = self.wanted.len();
        assert!(self.bytes[..end] == self.wanted && self.bytes[end..].iter().all(|byte| *byte == 0));
        assert_eq!(self.bytes.len() as u64, (end as u64).next_multiple_of(PAGE));
    }
}

#[test]
fn any_order_of_ends_gives_the_same_file() {
    for seed in 0..40 {
        let (mut rng, mut disk) = (Rng(seed), Disk::new(START[seed as usize % START.len()]));
        for _ in 0..200 {
            match rng.below(10) {
                0..4 => {
                    let len = [10, 500, 3_000, 4_096, 20_000, 300_000][rng.below(6) as usize] + rng.below(50);
                    disk.append(len as usize);
                }
                4..8 if !disk.writing.is_empty() => {
                    let index = rng.below(disk.writing.len() as u64);
                    disk.finish_write(index as usize);
                }
                8 if disk.syncing.is_some() => disk.finish_sync(),
                9 if rng.below(4) == 0 => disk.drain(),
                _ => disk.step(Input::Tick),
            }
        }
        disk.drain();
    }
}

/// A block larger than one write, and more than all writes together can hold.
#[test]
fn a_burst_waits_its_turn() {
    let mut disk = Disk::new(100);
    (0..8).for_each(|_| disk.append(3_900_000));
    assert_eq!(disk.writing.len(), WRITES_MAX);
    disk.drain();
}

#[test]
fn a_lone_block_is_written_padded_and_durable_after_one_sync() {
    let mut disk = Disk::new(4_096);
    disk.append(1_000);
    assert_eq!((disk.writing.len(), disk.writing[0].0, disk.writing[0].1.len()), (1, 4_096, 4_096));
    assert!(disk.syncing.is_none(), "nothing is complete yet");
    disk.append(10);
    assert_eq!(disk.writing.len(), 1, "its page is being written");
    disk.finish_write(0);
    assert_eq!((disk.writing.len(), disk.syncing.is_some(), disk.durable), (1, true, 0));
    disk.finish_sync();
    assert_eq!(disk.durable, 1, "the second came after the sync was asked");
    disk.drain();
    assert_eq!(disk.durable, 2);
}

#[test]
fn a_sync_counts_for_what_was_complete_when_it_was_asked() {
    let mut disk = Disk::new(0);
    disk.append(PAGE as usize * 3);
    disk.append(PAGE as usize * 3);
    assert_eq!(disk.writing.len(), 2);
    disk.finish_write(1);
    assert!(disk.syncing.is_none(), "the hole before it is not written");
    disk.finish_write(0);
    assert!(disk.syncing.is_some());
    let writes = disk.writing.len();
    disk.finish_sync();
    assert_eq!((writes, disk.durable), (1, 1), "the second block's last page is still under way");
    disk.drain();
}

#[test]
fn a_failure_is_said_with_amounts_and_ends_it() {
    for (full, stop) in [(true, Stop::DiskFull), (false, Stop::DiskFailed)] {
        let mut disk = Disk::new(4_096);
        disk.append(PAGE as usize * 4);
        let waiting = disk.wanted.len() as u64 - 4_096;
        let cx = &mut Cx::new(0);
        disk.store.step(Input::Event(Event::Failed { full, what: "no luck".into() }), cx);
        let said = cx.effects.iter().find_map(|effect| match effect {
            Effect::Stop(why, line) => Some((*why, line.clone())),
            _ => None,
        });
        let (why, line) = said.unwrap();
        assert_eq!(why, stop);
        assert!(["up to byte 4096;", &format!(" {waiting} bytes "), "no luck"].iter().all(|part| line.contains(part)));
        cx.effects.clear();
        let after = [
            Input::Event(Event::Written { at: 4_096 }),
            Input::Event(Event::Synced),
            Input::Event(Event::Failed { full, what: "again".into() }),
            Input::Msg(Msg::Append { node: 9, body: body(9_000, 1) }),
            Input::Tick,
        ];
        after.into_iter().for_each(|input| disk.store.step(input, cx));
        assert!(cx.effects.is_empty() && cx.words.is_empty(), "the file is not trusted any more");
    }
}

#[test]
fn what_is_valid_is_noted_in_the_block_index() {
    let mut disk = Disk::new(50);
    disk.append(10);
    disk.drain();
    let at = disk.places[0].1.at;
    let mut wanted = Vec::new();
    disk.rows.valid(at - 8, &mut wanted);
    let cx = &mut Cx::new(0);
    disk.store.step(Input::Msg(Msg::Valid { at }), cx);
    assert_eq!(cx.effects.drain(..).flat_map(index).collect::<Vec<_>>(), wanted);
}

#[test]
fn the_report_and_the_file_of_refused_blocks() {
    let mut disk = Disk::new(50);
    disk.append(10);
    disk.drain();
    let cx = &mut Cx::new(0);
    disk.store.step(Input::Tick, cx);
    let (to, Msg::Report(report)) = cx.words.pop().unwrap() else { panic!("no report") };
    let Report::Store(report) = *report else { panic!("{report:?}") };
    let end = disk.wanted.len() as u64;
    assert_eq!((to, report.end, report.durable, report.written, report.syncs), (ShardId::Status, end, end, 4_096, 1));
    let hash = Params::of(Network::Regtest).genesis_hash;
    disk.store.step(Input::Msg(Msg::Refused { hash, reject: "bad-cb-amount" }), cx);
    // The hash of regtest's genesis block: Core `kernel/chainparams.cpp`.
    let line = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206 bad-cb-amount";
    assert!(matches!(&cx.effects[..], [Effect::Remember(said)] if said == line), "{:?}", cx.effects);
}

#[test]
fn rows_go_before_the_pages_and_what_shares_a_page_with_another_record_goes_with_it() {
    let mut disk = Disk::new(0);
    (0..6).for_each(|_| disk.append(7_000));
    while !disk.writing.is_empty() || disk.syncing.is_some() {
        while !disk.writing.is_empty() {
            disk.finish_write(0);
        }
        disk.finish_sync();
        disk.step(Input::Tick);
    }
    assert_eq!(disk.durable, 6);
    let places: Vec<Place> = disk.places.iter().map(|(_, place)| *place).collect();
    let mut punch = |of: &[usize]| {
        let records = of.iter().map(|index| (places[*index].at, places[*index].len)).collect();
        disk.store.step(Input::Msg(Msg::Punch(records)), &mut disk.cx);
        let mut effects = std::mem::take(&mut disk.cx.effects).into_iter();
        let mut wanted = Vec::new();
        of.iter().for_each(|index| disk.rows.punched(places[*index].at - FRAME_LEN, &mut wanted));
        assert_eq!(index(effects.next().unwrap()), wanted);
        let Some(Effect::Punch(mut pages)) = effects.next() else { panic!("rows, then pages") };
        assert!(effects.next().is_none());
        disk.store.step(Input::Event(Event::Punched(Ok(()))), &mut disk.cx);
        assert!(matches!(disk.cx.words.pop(), Some((ShardId::Chain, Msg::Punched { done: true }))));
        assert_eq!(pages.len(), 1);
        pages.remove(0)
    };
    // Of the second and the third two whole pages are left, then three with the fourth.
    let len = places[0].len as u64 + FRAME_LEN;
    assert_eq!(len, 7_151);
    assert_eq!(punch(&[1, 2]), 8_192..20_480);
    assert_eq!(punch(&[4]), 28_672..32_768);
    assert_eq!(punch(&[3]), 20_480..28_672);
    assert_eq!(disk.store.report.punched, 32_768 - 8_192);
    disk.store.step(Input::Event(Event::Punched(Err("no".into()))), &mut disk.cx);
    assert!(matches!(disk.cx.words.pop(), Some((ShardId::Chain, Msg::Punched { done: false }))));
}
