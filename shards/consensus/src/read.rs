//! Decides how bytes from outside are walked: forward, never past the end, each failure with its
//! place. Never knows what the bytes mean.

/// The bytes are not what they claim to be.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Malformed {
    /// Offset of the first byte that could not be read.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

#[derive(Clone)]
pub(crate) struct Reader<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Reader<'a> {
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub fn fail<T>(&self, what: &'static str) -> Result<T, Malformed> {
        Err(Malformed { at: self.at, what })
    }

    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let Some(taken) = self.bytes[self.at..].get(..len) else {
            return self.fail("unexpected end");
        };
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        Ok(self.take(N)?.try_into().expect("take gives what it was asked for"))
    }

    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A CompactSize that counts things of at least `each` bytes: in its shortest form, as Core's
    /// `ReadCompactSize` demands, and no more than the bytes left can hold.
    #[inline]
    pub fn count(&mut self, each: usize) -> Result<u32, Malformed> {
        let start = self.at;
        let (count, least) = match self.u8()? {
            255 => (self.u64()?, 1 << 32),
            254 => (u64::from(self.u32()?), 1 << 16),
            253 => (u64::from(u16::from_le_bytes(self.array()?)), 253),
            small => (u64::from(small), 0),
        };
        if count < least {
            return Err(Malformed { at: start, what: "non-canonical CompactSize" });
        }
        match u32::try_from(count) {
            // No division: that takes longer than all else here.
            Ok(count) if u64::from(count) * each as u64 <= self.left() as u64 => Ok(count),
            _ => Err(Malformed { at: start, what: "count larger than the bytes left" }),
        }
    }

    /// Skips a CompactSize and that many bytes; gives the range of those bytes.
    pub fn skip_bytes(&mut self) -> Result<(u32, u32), Malformed> {
        let len = self.count(1)?;
        let start = self.at as u32;
        self.at += len as usize;
        Ok((start, start + len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(bytes: &[u8], room: usize) -> Result<u32, &'static str> {
        let bytes = [bytes, &vec![0; room]].concat();
        Reader { bytes: &bytes, at: 0 }.count(1).map_err(|malformed| malformed.what)
    }

    /// The shortest forms and their one-too-long neighbours, from Core's serialize_tests
    /// `noncanonical`.
    #[test]
    fn compact_sizes_have_one_form_each() {
        assert_eq!(count(&[252], 70_000), Ok(252));
        assert_eq!(count(&[253, 253, 0], 70_000), Ok(253));
        assert_eq!(count(&[253, 0xff, 0xff], 70_000), Ok(65_535));
        assert_eq!(count(&[254, 0, 0, 1, 0], 70_000), Ok(65_536));
        for long in [&[253, 0, 0][..], &[253, 252, 0], &[254, 0, 0, 0, 0], &[254, 255, 255, 0, 0]] {
            assert_eq!(count(long, 70_000), Err("non-canonical CompactSize"));
        }
        assert_eq!(count(&[255, 255, 255, 255, 1, 0, 0, 0, 0], 9), Err("non-canonical CompactSize"));
        assert_eq!(count(&[255, 0, 0, 0, 0, 1, 0, 0, 0], 9), Err("count larger than the bytes left"));
        assert_eq!(count(&[3], 2), Err("count larger than the bytes left"));
        assert_eq!(count(&[254, 1], 0), Err("unexpected end"));
    }
}
