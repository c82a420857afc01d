//! The checksums of blocks in frames of the P2P protocol, by where they lie in blocks.bin: a table of fixed size that all
//! peer shards share. It only ever saves work: of a block that it does not know the bytes are hashed. It needs no telling
//! when something changes, since the bytes at one place stay what they are for as long as a node runs.
//!
//! ```text
//! offset   | upper bits, plus one: 32 | lower 20: the row |
//! row      | the same 32 | checksum: 32 |                     one atomic word, so that none is ever torn
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Rows: as many as the main chain has blocks. The lower bits of an offset are as good as random.
const ROW_BITS: u32 = 20;

/// The table. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Checksums(Arc<[AtomicU64]>);

impl Default for Checksums {
    fn default() -> Checksums {
        Checksums((0..1 << ROW_BITS).map(|_| AtomicU64::new(0)).collect())
    }
}

/// The row of an offset, and what is to stand there; none for one beyond all files (4 PB).
fn row(at: u64) -> Option<(usize, u32)> {
    let upper = u32::try_from((at >> ROW_BITS) + 1).ok()?;
    Some(((at & ((1 << ROW_BITS) - 1)) as usize, upper))
}

impl Checksums {
    /// Of the block that lies there, if it is known.
    pub fn get(&self, at: u64) -> Option<[u8; 4]> {
        let (row, upper) = row(at)?;
        let word = self.0[row].load(Relaxed);
        ((word >> 32) as u32 == upper).then_some((word as u32).to_le_bytes())
    }

    /// Remembers that of the block that lies there; another may be forgotten for it.
    pub fn put(&self, at: u64, checksum: [u8; 4]) {
        if let Some((row, upper)) = row(at) {
            self.0[row].store(u64::from(upper) << 32 | u64::from(u32::from_le_bytes(checksum)), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_offset_is_known_by_all_its_bits() {
        let last = (u64::from(u32::MAX) << ROW_BITS) - 1;
        for at in [0, 8, 1 << ROW_BITS, (1 << ROW_BITS) + 8, 1 << 44, last] {
            let table = Checksums::default();
            assert_eq!(table.get(at), None);
            table.put(at, [1, 2, 3, at as u8]);
            assert_eq!(table.clone().get(at), Some([1, 2, 3, at as u8]));
            (0..64).for_each(|bit| assert_eq!(table.get(at ^ 1 << bit), None, "{at} and bit {bit}"));
            // Another in the same row makes it go; one that cannot be named does not.
            let other = at ^ 2 << ROW_BITS;
            table.put(last + 1 + at % (1 << ROW_BITS), [9; 4]);
            assert!(table.get(at).is_some());
            table.put(other, [4; 4]);
            assert_eq!((table.get(at), table.get(other)), (None, Some([4; 4])));
        }
    }
}
