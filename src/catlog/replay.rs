//! What came over one logged connection, sent to a node once more: the same bytes in the same order. A block waits until the
//! node asks for it, as it was asked for then, for unasked ones are not taken; once one is not asked for, none waits any more.
//! In the end a ping of our own: its pong says that all of it was taken in.

use super::read::Reader;
use super::show::{Wanted, when};
use crate::args::Catlog;
use crate::config::Config;
use crate::exit::Fatal;
use crate::log::format::{Record, Value};
use crate::{trouble, values};
use consensus::{BlockHash, Header, sha256d};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use wire::frame::{Command, FrameHeader, HEADER_BYTES, PAYLOAD_BYTES_MAX};
use wire::message::Message;

/// How long a block waits to be asked for.
const ASKED: Duration = Duration::from_secs(5);
/// How long the node may take to take all in.
const SETTLED: Duration = Duration::from_secs(60);
/// Of our ping.
const NONCE: u64 = 0x7265_706c_6179_6564;

/// Which connection: of which run of the node, and its name.
type Which = (u64, String);

/// Each message that came over a connection, with its header and payload.
fn each(path: &Path, mut take: impl FnMut(Which, &Record<'_>, [&[u8]; 2]) -> io::Result<()>) -> io::Result<()> {
    let (mut reader, mut run, mut last) = (Reader::open(path, 0)?, 0, 0);
    while let Some(at) = reader.next(true)? {
        let Some(record) = reader.record(at) else { continue };
        run += u64::from(record.number < last);
        last = record.number;
        let bytes = ["header", "payload"].map(|name| match record.get(name) {
            Some(Value::Bytes(bytes)) => bytes,
            _ => &[],
        });
        if (record.facility, record.event) == ("packet", "in")
            && let Some(conn) = record.text("conn")
        {
            take((run, conn.to_owned()), &record, bytes)?;
        }
    }
    Ok(())
}

/// Finds the connection, and sends what came over it.
pub fn run(config: &Config, path: &Path, what: &Catlog, to: &str) -> Result<(), Fatal> {
    let target = values::target(to, config.params.port).map_err(Fatal::Usage)?;
    let wanted = Wanted::new(what, None);
    let mut found: BTreeMap<Which, String> = BTreeMap::new();
    let read = |why| trouble::fatal(path, "reading", why);
    each(path, |which, record, _| {
        if wanted.has(record) {
            let named = || format!("{} with {}, {}", which.1, record.text("peer").unwrap_or("?"), when(record.time_ns));
            found.entry(which.clone()).or_insert_with(named);
        }
        Ok(())
    })
    .map_err(read)?;
    // Of the last run of the node.
    let last = found.last_key_value().map_or(0, |((run, _), _)| *run);
    found.retain(|(run, _), _| *run == last);
    let which = match found.len() {
        0 => {
            return Err(Fatal::Runtime(
                "no message that came is logged of such a connection; --packet has them logged".into(),
            ));
        }
        1 => found.into_keys().next().expect("one"),
        _ => {
            let all: Vec<String> = found.into_values().collect();
            return Err(Fatal::Usage(format!(
                "there are {} connections; say --peer NAME:\n{}",
                all.len(),
                all.join("\n")
            )));
        }
    };
    let failed = |why: io::Error| Fatal::Runtime(format!("{to}: {why}"));
    let mut node = Node::connect(&target.to_string(), config.params.magic).map_err(failed)?;
    let sent = each(path, |this, record, [header, payload]| match this == which {
        true => node.send(record.text("command").unwrap_or_default(), header, payload),
        false => Ok(()),
    });
    let all = sent.and_then(|()| node.settle());
    let Node { messages, bytes, unasked, answered, .. } = node;
    let answered: Vec<String> = answered.iter().map(|(name, count)| format!("{name} {count}")).collect();
    println!("sent: {messages} messages, {bytes} bytes; {unasked} blocks were not asked for");
    println!("came back: {}", answered.join(", "));
    all.map_err(|why| Fatal::Runtime(format!("{to} ended the connection after {messages} messages: {why}")))
}

/// The node that all is sent to.
struct Node {
    stream: TcpStream,
    magic: [u8; 4],
    came: Receiver<Message>,
    asked: BTreeSet<BlockHash>,
    answered: BTreeMap<String, u64>,
    settled: bool,
    messages: u64,
    bytes: u64,
    unasked: u64,
}

impl Node {
    fn connect(to: &str, magic: [u8; 4]) -> io::Result<Node> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        let (reading, (tell, came)) = (stream.try_clone()?, channel());
        // It ends with the connection.
        std::thread::spawn(move || listen(reading, magic, &tell));
        let (asked, answered) = (BTreeSet::new(), BTreeMap::new());
        Ok(Node { stream, magic, came, asked, answered, settled: false, messages: 0, bytes: 0, unasked: 0 })
    }

    fn send(&mut self, command: &str, header: &[u8], payload: &[u8]) -> io::Result<()> {
        if command == "block" {
            let hash = payload.get(..Header::LEN).map(|header| BlockHash(sha256d(header)));
            let patience = if self.unasked == 0 { ASKED } else { Duration::ZERO };
            if !hash.is_some_and(|hash| self.hears(patience, |node| node.asked.contains(&hash))) {
                self.unasked += 1;
            }
        }
        self.messages += 1;
        self.bytes += (header.len() + payload.len()) as u64;
        self.stream.write_all(header)?;
        self.stream.write_all(payload)
    }

    fn settle(&mut self) -> io::Result<()> {
        self.stream.write_all(&Message::Ping(Some(NONCE)).encode(self.magic))?;
        match self.hears(SETTLED, |node| node.settled) {
            true => Ok(()),
            false => Err(io::Error::other("the ping after all of it was not answered")),
        }
    }

    /// Takes in what the node says until `done`; whether that came in time.
    fn hears(&mut self, patience: Duration, done: impl Fn(&Node) -> bool) -> bool {
        let until = Instant::now() + patience;
        while !done(self) {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(message) = self.came.recv_timeout(left) else { return false };
            *self.answered.entry(message.command().name().to_owned()).or_default() += 1;
            match message {
                Message::GetData(list) => self.asked.extend(list.iter().map(|inv| BlockHash(inv.hash))),
                Message::Pong(NONCE) => self.settled = true,
                _ => {}
            }
        }
        true
    }
}

/// Tells each message of the node, for as long as it speaks.
fn listen(mut stream: TcpStream, magic: [u8; 4], tell: &Sender<Message>) {
    let mut next = || -> io::Result<Message> {
        let mut header = [0; HEADER_BYTES];
        stream.read_exact(&mut header)?;
        let header = FrameHeader::parse(magic, &header, |_| PAYLOAD_BYTES_MAX).map_err(io::Error::other)?;
        let mut payload = vec![0; header.len as usize];
        stream.read_exact(&mut payload)?;
        match header.command {
            command if command == Command::new("block") => Ok(Message::Ignored { command }),
            command => Message::decode(command, &payload).map_err(io::Error::other),
        }
    };
    while let Ok(message) = next() {
        if tell.send(message).is_err() {
            return;
        }
    }
}
