//! Reading and writing the integers, counts and hashes that messages are made of.
//!
//! Decides what a short or non-canonical encoding is. Never knows which message it is reading, beyond its name.

use crate::frame::{Broken, Command};

/// The largest value a count or length may have (Core: `MAX_SIZE`).
const COMPACT_MAX: u64 = 0x0200_0000;

/// A cursor over a payload that can only fail in named ways.
pub(crate) struct Reader<'a> {
    pub command: Command,
    pub rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn bad(&self, what: &'static str) -> Broken {
        Broken::BadEncoding { command: self.command, what }
    }

    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.bad("it ends early"))?;
        self.rest = rest;
        Ok(head)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (head, rest) = self.rest.split_first_chunk().ok_or_else(|| self.bad("it ends early"))?;
        self.rest = rest;
        Ok(*head)
    }

    pub fn u8(&mut self) -> Result<u8, Broken> {
        Ok(self.array::<1>()?[0])
    }

    /// Ports lie in network byte order, everything else is little endian.
    pub fn port(&mut self) -> Result<u16, Broken> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32, Broken> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> Result<i32, Broken> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, Broken> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64, Broken> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// A CompactSize in its shortest form, of any value (Core: `ReadCompactSize` without its range check).
    pub fn compact_any(&mut self) -> Result<u64, Broken> {
        let (value, least) = match self.u8()? {
            0xff => (self.u64()?, 0x1_0000_0000),
            0xfe => (self.u32()?.into(), 0x1_0000),
            0xfd => (u16::from_le_bytes(self.array()?).into(), 0xfd),
            small => (small.into(), 0),
        };
        if value < least { Err(self.bad("a CompactSize is longer than its value needs")) } else { Ok(value) }
    }

    /// A CompactSize within the range of counts and lengths.
    pub fn compact(&mut self) -> Result<u64, Broken> {
        let value = self.compact_any()?;
        if value > COMPACT_MAX { Err(self.bad("a CompactSize is above 33554432")) } else { Ok(value) }
    }

    /// The count of a list of at most `limit` entries of at least `entry_bytes` each. The bytes are there, so room for
    /// the count may be allocated.
    pub fn count(&mut self, limit: u64, entry_bytes: usize) -> Result<usize, Broken> {
        let count = self.compact()?;
        if count > limit {
            return Err(Broken::TooMany { command: self.command, count, limit });
        }
        let count = count as usize;
        if self.rest.len() < count * entry_bytes { Err(self.bad("it ends early")) } else { Ok(count) }
    }
}

/// Appends a CompactSize in its shortest form.
pub(crate) fn put_compact(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0xfc => out.push(value as u8),
        0xfd..=0xffff => {
            out.push(0xfd);
            out.extend_from_slice(&(value as u16).to_le_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xfe);
            out.extend_from_slice(&(value as u32).to_le_bytes());
        }
        _ => {
            out.push(0xff);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<u64, Broken> {
        Reader { command: Command::new("inv"), rest: bytes }.compact()
    }

    #[test]
    fn compact_sizes_have_one_form() {
        for (value, bytes) in [
            (0, &[0][..]),
            (252, &[252]),
            (253, &[253, 253, 0]),
            (0xffff, &[253, 0xff, 0xff]),
            (0x1_0000, &[254, 0, 0, 1, 0]),
            (0x0200_0000, &[254, 0, 0, 0, 2]),
        ] {
            assert_eq!(read(bytes).unwrap(), value);
            let mut written = Vec::new();
            put_compact(&mut written, value);
            assert_eq!(written, bytes);
        }
        for long in [&[253, 252, 0][..], &[254, 0xff, 0xff, 0, 0], &[255, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]] {
            assert!(matches!(read(long), Err(Broken::BadEncoding { what, .. }) if what.contains("longer")));
        }
        assert!(matches!(read(&[254, 1, 0, 0, 2]), Err(Broken::BadEncoding { what, .. }) if what.contains("above")));
        assert!(matches!(read(&[255; 9]), Err(Broken::BadEncoding { what, .. }) if what.contains("above")));
        for short in [&[][..], &[253, 1], &[254, 1, 2, 3], &[255, 1, 2, 3, 4, 5, 6, 7]] {
            assert!(matches!(read(short), Err(Broken::BadEncoding { what, .. }) if what.contains("early")));
        }
    }
}
