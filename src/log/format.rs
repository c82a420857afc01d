//! The records of the binary log (`--logfile`): how they are made, told from damage, and read. All of the format is here.
//!
//! ```text
//! file      records one after another and nothing else: whoever opens one appends, whoever reads may begin anywhere
//! record    | c5 1f 26 e5 | bytes of the body, u32 | CRC-32C of the body, u32 | body |
//! body      | time, u64 | number, u64 | level, u8 | thread | facility | event | field | field | …
//! field     | name | kind, u8 | value |
//!
//! time      nanoseconds since 1970; records are in the order in which they were written, so times of two threads may be
//!           in disorder by what one was held up
//! number    counts the records of a run of the node, from 0 on: where one is missing, a file or some bytes are missing
//! level     1 error, 2 warn, 3 info, 4 debug, 5 trace
//! event     what happened, which says what fields there are; empty where all is said by a sentence, the field "message"
//! thread, facility, event, name     | bytes, u8 | UTF-8 |
//!
//! kind      0  false              1  true              both without a value
//!           2  natural number     varint
//!           3  whole number       varint of (n << 1) ^ (n >> 63)
//!           4  fraction           f64
//!           5  text               | bytes, varint | UTF-8 |
//!           6  bytes              | bytes, varint | as they are |
//!           7  hash               32 bytes, which people read backwards
//! varint    seven bits a byte, the lowest first; the highest bit is set while more come (LEB128)
//! ```
//!
//! Numbers of fixed size are little-endian. A body has at most 8 MiB. To find a record anywhere: look for the magic, and take
//! what its checksum agrees with; in what is damaged go on at the next magic. Plain, and not rkyv: any language reads this
//! with a page of code, names and small numbers take less room than an archive's offsets, and nobody has to keep types.

use std::fmt::{self, Display, Formatter};
use std::time::{SystemTime, UNIX_EPOCH};

/// Before each record. No text and no P2P message has these bytes often.
pub const MAGIC: [u8; 4] = [0xc5, 0x1f, 0x26, 0xe5];
/// Bytes before a body.
const HEAD: usize = 12;
/// Bytes that a body may have: a P2P message of the longest kind, and as much again.
const BODY_MAX: usize = 8 << 20;
/// Bytes of a text; what is longer is cut.
const TEXT_MAX: usize = 64 << 10;
/// Names of levels, the loudest first.
pub const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// What a field says.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // the drawing above says it
pub enum Value<'a> {
    Bool(bool),
    Natural(u64),
    Whole(i64),
    Fraction(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Hash([u8; 32]),
}

/// One that is being made. Its number and checksum are given to it when it is written.
pub struct Draft(Vec<u8>);

impl Draft {
    /// A record without fields, of now.
    pub fn new(level: u8, facility: &str, event: &str) -> Draft {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        Draft::at(now, level, facility, event)
    }

    /// One of that time.
    pub fn at(now: u64, level: u8, facility: &str, event: &str) -> Draft {
        let mut draft = Draft(Vec::with_capacity(256));
        draft.0.extend([0; HEAD]);
        draft.0.extend(now.to_le_bytes());
        draft.0.extend([0; 8]);
        draft.0.push(level);
        draft.name(std::thread::current().name().unwrap_or_default());
        draft.name(facility);
        draft.name(event);
        draft
    }

    fn name(&mut self, name: &str) {
        let name = &name[..name.floor_char_boundary(u8::MAX.into())];
        self.0.push(name.len() as u8);
        self.0.extend_from_slice(name.as_bytes());
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn sized(&mut self, kind: u8, bytes: &[u8]) {
        self.0.push(kind);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Adds a field. Where the body would be too long, it is left out.
    pub fn field(&mut self, name: &str, value: Value<'_>) {
        let before = self.0.len();
        self.name(name);
        match value {
            Value::Bool(truth) => self.0.push(truth.into()),
            Value::Natural(number) => {
                self.0.push(2);
                self.varint(number);
            }
            Value::Whole(number) => {
                self.0.push(3);
                self.varint(((number << 1) ^ (number >> 63)).cast_unsigned());
            }
            Value::Fraction(number) => {
                self.0.push(4);
                self.0.extend(number.to_le_bytes());
            }
            Value::Text(text) => self.sized(5, &text.as_bytes()[..text.floor_char_boundary(TEXT_MAX)]),
            Value::Bytes(bytes) => self.sized(6, bytes),
            Value::Hash(hash) => {
                self.0.push(7);
                self.0.extend(hash);
            }
        }
        if self.0.len() - HEAD > BODY_MAX {
            self.0.truncate(before);
        }
    }

    /// Bytes that it takes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The record, complete.
    pub fn seal(mut self, number: u64) -> Vec<u8> {
        let (head, body) = self.0.split_at_mut(HEAD);
        body[8..16].copy_from_slice(&number.to_le_bytes());
        head[..4].copy_from_slice(&MAGIC);
        head[4..8].copy_from_slice(&(body.len() as u32).to_le_bytes());
        head[8..].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
        self.0
    }
}

/// What bytes begin with.
#[derive(Debug, PartialEq, Eq)]
pub enum Front {
    /// A whole record, of so many bytes.
    Whole(usize),
    /// What may become one when more bytes come.
    More,
    /// No record.
    Damaged,
}

/// Looks at the front of some bytes, of which there is at least one.
pub fn front(bytes: &[u8]) -> Front {
    let known = bytes.len().min(4);
    if bytes[..known] != MAGIC[..known] {
        return Front::Damaged;
    }
    let Some(head) = bytes.first_chunk::<HEAD>() else { return Front::More };
    let [len, crc] = [4, 8].map(|at| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes")));
    let len = len as usize;
    if len > BODY_MAX {
        return Front::Damaged;
    }
    match bytes[HEAD..].get(..len) {
        None => Front::More,
        Some(body) if crc32c::crc32c(body) == crc => Front::Whole(HEAD + len),
        Some(_) => Front::Damaged,
    }
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the drawing above says it
pub struct Record<'a> {
    pub time_ns: u64,
    pub number: u64,
    pub level: u8,
    pub thread: &'a str,
    pub facility: &'a str,
    pub event: &'a str,
    pub fields: Vec<(&'a str, Value<'a>)>,
}

/// What is left of a body.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.fixed().map(|[byte]| byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let count = self.varint()?.try_into().ok()?;
        self.take(count)
    }

    fn name(&mut self) -> Option<&'a str> {
        let count = self.byte()?;
        std::str::from_utf8(self.take(count.into())?).ok()
    }

    fn value(&mut self) -> Option<Value<'a>> {
        Some(match self.byte()? {
            kind @ (0 | 1) => Value::Bool(kind == 1),
            2 => Value::Natural(self.varint()?),
            3 => {
                let number = self.varint()?;
                Value::Whole((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
            }
            4 => Value::Fraction(f64::from_le_bytes(self.fixed()?)),
            5 => Value::Text(std::str::from_utf8(self.sized()?).ok()?),
            6 => Value::Bytes(self.sized()?),
            7 => Value::Hash(self.fixed()?),
            _ => return None,
        })
    }
}

impl<'a> Record<'a> {
    /// Reads a whole record; none if a newer program wrote it.
    pub fn read(record: &'a [u8]) -> Option<Record<'a>> {
        let mut rest = Rest(record.get(HEAD..)?);
        let [time_ns, number] = [u64::from_le_bytes(rest.fixed()?), u64::from_le_bytes(rest.fixed()?)];
        let level = rest.byte().filter(|level| (1..=LEVELS.len()).contains(&usize::from(*level)))?;
        let [thread, facility, event] = [rest.name()?, rest.name()?, rest.name()?];
        let mut fields = Vec::new();
        while !rest.0.is_empty() {
            fields.push((rest.name()?, rest.value()?));
        }
        Some(Record { time_ns, number, level, thread, facility, event, fields })
    }

    /// What a field says.
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value)
    }

    /// The text of a field.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        if let Some(Value::Text(text)) = self.get(name) { Some(text) } else { None }
    }
}

/// As people read it; bytes as digits.
impl Display for Value<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(truth) => truth.fmt(f),
            Value::Natural(number) => number.fmt(f),
            Value::Whole(number) => number.fmt(f),
            Value::Fraction(number) => number.fmt(f),
            Value::Text(text) => text.fmt(f),
            Value::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Value::Hash(hash) => hash.iter().rev().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written out by hand from the drawing.
    #[test]
    fn a_record_is_as_it_is_drawn() {
        let mut draft = Draft::new(3, "p", "in");
        draft.field("n", Value::Natural(300));
        draft.field("w", Value::Whole(-2));
        draft.field("t", Value::Text("hé"));
        draft.field("b", Value::Bytes(&[0xff, 0]));
        draft.field("y", Value::Bool(true));
        let record = draft.seal(7);
        assert_eq!(record[..4], [0xc5, 0x1f, 0x26, 0xe5]);
        assert_eq!(u32::from_le_bytes(record[4..8].try_into().unwrap()) as usize, record.len() - 12);
        assert_eq!(record[20..28], [7, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(record[28], 3);
        let thread = usize::from(record[29]);
        let mut after = vec![1, b'p', 2, b'i', b'n'];
        after.extend([1, b'n', 2, 0xac, 0x02]);
        after.extend([1, b'w', 3, 3]);
        after.extend([1, b't', 5, 3, b'h', 0xc3, 0xa9]);
        after.extend([1, b'b', 6, 2, 0xff, 0]);
        after.extend([1, b'y', 1]);
        assert_eq!(record[30 + thread..], after);
    }

    #[test]
    fn what_was_said_is_read() {
        let values = [
            Value::Bool(false),
            Value::Natural(0),
            Value::Natural(u64::MAX),
            Value::Whole(i64::MIN),
            Value::Whole(i64::MAX),
            Value::Fraction(-0.5),
            Value::Text(""),
            Value::Bytes(&MAGIC),
            Value::Hash([9; 32]),
        ];
        let mut draft = Draft::new(5, "caesure::net", "everything");
        values.iter().for_each(|value| draft.field("x", *value));
        let bytes = draft.seal(u64::MAX);
        assert_eq!(front(&bytes), Front::Whole(bytes.len()));
        let record = Record::read(&bytes).unwrap();
        assert_eq!(record.fields.iter().map(|(_, value)| *value).collect::<Vec<_>>(), values);
        assert_eq!((record.level, record.number, record.event), (5, u64::MAX, "everything"));
        assert!(record.time_ns > 1_700_000_000_000_000_000);
    }

    #[test]
    fn no_damage_passes_for_a_record() {
        let mut draft = Draft::new(1, "f", "");
        draft.field("message", Value::Text("a sentence"));
        let bytes = draft.seal(1);
        for cut in 1..bytes.len() {
            assert_eq!(front(&bytes[..cut]), Front::More, "{cut}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert_ne!(front(&damaged), Front::Whole(bytes.len()), "byte {at}");
            }
        }
    }

    #[test]
    fn nothing_makes_a_body_too_long() {
        let mut draft = Draft::new(1, &"f".repeat(300), "");
        draft.field("long", Value::Text(&"é".repeat(TEXT_MAX)));
        draft.field("too long", Value::Bytes(&vec![0; BODY_MAX]));
        draft.field("last", Value::Bool(true));
        let bytes = draft.seal(0);
        let record = Record::read(&bytes).unwrap();
        assert_eq!((record.facility.len(), record.fields.len()), (255, 2));
        assert_eq!(record.text("long").unwrap().len(), TEXT_MAX);
    }
}
