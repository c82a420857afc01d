//! The folder of checkpoints as a machine that loses power sees it: what was put in its place stays, what was being written
//! is gone. Bytes that rot are put in from outside.

use bytes::Bytes;
use consensus::BlockHash;
use ledger::checkpoint::{HEAD_LEN, head};
use shards::Rng;
use std::collections::BTreeMap;

/// The folder.
#[derive(Debug, Default)]
pub struct Checkpoints {
    /// By partition and height.
    pub files: BTreeMap<(u16, u32), Vec<u8>>,
    fresh: BTreeMap<u16, Vec<u8>>,
    /// Pieces read so far.
    pub reads: u64,
}

impl Checkpoints {
    /// What a start finds.
    pub fn find(&self) -> Vec<(u16, u32, BlockHash)> {
        let head = |bytes: &Vec<u8>| bytes.first_chunk::<HEAD_LEN>().and_then(|bytes| head(bytes).ok());
        let found = self.files.iter().filter_map(|((partition, height), bytes)| {
            let head = head(bytes).filter(|head| (head.partition, head.height) == (*partition, *height))?;
            Some((*partition, *height, head.block))
        });
        found.collect()
    }

    pub(super) fn save(&mut self, partition: u16, height: u32, at: u64, bytes: &Bytes, last: Option<Vec<u32>>) {
        let file = self.fresh.entry(partition).or_default();
        if at == 0 {
            file.clear();
        }
        assert_eq!(file.len() as u64, at, "pieces come in order");
        file.extend_from_slice(bytes);
        if let Some(gone) = last {
            let whole = self.fresh.remove(&partition).expect("just written");
            self.files.insert((partition, height), whole);
            gone.into_iter().for_each(|height| drop(self.files.remove(&(partition, height))));
        }
    }

    pub(super) fn load(&mut self, partition: u16, height: u32, at: u64, len: u32) -> Result<Bytes, String> {
        self.reads += 1;
        let file = self.files.get(&(partition, height)).ok_or("no such file")?;
        let end = file.len().min(at as usize + len as usize);
        Ok(Bytes::copy_from_slice(&file[at as usize..end]))
    }

    /// One bit of one file is not what it was.
    pub fn rot(&mut self, rng: &mut Rng) {
        let nth = rng.below(self.files.len().max(1) as u64) as usize;
        if let Some(file) = self.files.values_mut().nth(nth) {
            let at = rng.below(file.len() as u64) as usize;
            file[at] ^= 1 << rng.below(8);
        }
    }

    pub(super) fn cut(&mut self) {
        self.fresh.clear();
    }
}
