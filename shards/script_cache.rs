//! Which transactions' scripts were found good under which flags: a table of fixed size that all
//! verify shards share. It only ever saves work: a transaction it does not know is run.
//!
//! A row is 128 bits of a hash keyed with a secret of this run, so nobody can aim at one. Rows are
//! two atomic words, read and written without locks. A torn row, half of one hash and half of
//! another, matches nothing but by the same chance as any other row. Core `m_script_execution_cache`.

use consensus::script::Flags;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Rows looked through for one hash: a cache line.
const BUCKET: usize = 4;

type Row = [AtomicU64; 2];

/// The table. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ScriptCache {
    secret: [u8; 32],
    rows: Arc<[Row]>,
}

/// A transaction under certain flags, as the table names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name([u64; 2]);

impl ScriptCache {
    /// A table of this many bytes, a power of two, for transactions named with this secret.
    pub fn new(bytes: usize, secret: [u8; 32]) -> ScriptCache {
        let rows = bytes / size_of::<Row>();
        assert!(rows.is_power_of_two() && rows >= BUCKET);
        ScriptCache { secret, rows: (0..rows).map(|_| Row::default()).collect() }
    }

    /// What the table calls a transaction, by its hash with witness.
    pub fn name(&self, wtxid: &[u8; 32], flags: Flags) -> Name {
        let mut bytes = [0; 68];
        bytes[..32].copy_from_slice(&self.secret);
        bytes[32..64].copy_from_slice(wtxid);
        bytes[64..].copy_from_slice(&flags.bits().to_le_bytes());
        let hash = consensus::sha256(&bytes);
        let word = |at: usize| u64::from_le_bytes(hash[at..at + 8].try_into().expect("eight bytes"));
        // Zero is an empty row.
        Name([word(0).max(1), word(8)])
    }

    fn bucket(&self, name: Name) -> &[Row] {
        // The high half tells which row goes, the low half where it lies.
        let start = (name.0[0] as usize & (self.rows.len() - 1)) / BUCKET * BUCKET;
        &self.rows[start..start + BUCKET]
    }

    /// Whether it is known to be good.
    pub fn knows(&self, name: Name) -> bool {
        self.bucket(name).iter().any(|row| [row[0].load(Relaxed), row[1].load(Relaxed)] == name.0)
    }

    /// Remembers that it is good; an older one may be forgotten for it.
    pub fn learn(&self, name: Name) {
        let bucket = self.bucket(name);
        let free = bucket.iter().find(|row| row[0].load(Relaxed) == 0);
        let row = free.unwrap_or(&bucket[(name.0[0] >> 62) as usize]);
        row[0].store(name.0[0], Relaxed);
        row[1].store(name.0[1], Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_depend_on_all_there_is() {
        let cache = ScriptCache::new(1 << 10, [1; 32]);
        let name = cache.name(&[2; 32], Flags::P2SH);
        assert!(!cache.knows(name));
        cache.learn(name);
        assert!(cache.knows(name) && cache.clone().knows(name));
        assert!(!cache.knows(cache.name(&[3; 32], Flags::P2SH)));
        assert!(!cache.knows(cache.name(&[2; 32], Flags::WITNESS)));
        assert_ne!(ScriptCache::new(64, [9; 32]).name(&[2; 32], Flags::P2SH), name);
    }

    #[test]
    fn a_full_bucket_forgets_one_for_another() {
        let cache = ScriptCache::new(64, [1; 32]);
        let names: Vec<Name> = (0..100).map(|i| cache.name(&[i; 32], Flags::NONE)).collect();
        for (i, name) in names.iter().enumerate() {
            cache.learn(*name);
            assert!(cache.knows(*name));
            assert_eq!(names[..=i].iter().filter(|name| cache.knows(**name)).count(), (i + 1).min(4));
        }
    }
}
