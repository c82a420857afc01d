//! Decides what is worth knowing of a block once it is read, so that later checks cost nothing:
//! sizes, roots, lock times, the witness commitment. Never says what is allowed.

use crate::{Block, Header, Tx, TxView, hash::sha256d, merkle};
use hashes::Batch;

/// An input with this sequence number does not hold its transaction's lock time to account.
pub(crate) const SEQUENCE_FINAL: u32 = 0xffff_ffff;
/// Lock times below are heights, from here on seconds since 1970. Core `LOCKTIME_THRESHOLD`.
pub(crate) const LOCK_TIME_THRESHOLD: u32 = 500_000_000;

/// What [`Block::parse`] found out, whatever it is worth.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Three times the stripped size plus the size (BIP141).
    pub weight: u64,
    /// Length of the block without witnesses, bytes.
    pub stripped_size: u64,
    /// Signature checks in all input and output scripts, not yet times four.
    pub legacy_sigops: u32,
    /// The root over the txids that are there; whether the header names it is a rule.
    pub merkle_root: [u8; 32],
    /// Whether that tree repeats itself (CVE-2012-2459).
    pub merkle_mutated: bool,
    /// The highest height that a lock time names, among transactions it binds; 0 for none.
    pub lock_height: u32,
    /// The latest time that a lock time names, among transactions it binds; 0 for none.
    pub lock_time: u32,
    /// Whether any transaction comes with a witness.
    pub has_witness: bool,
    /// What the coinbase commits to.
    pub commitment: Commitment,
    /// Sum of the first transaction's outputs, satoshis; stops at the highest number there is.
    pub coinbase_value: u64,
}

/// What became of the witness commitment (BIP141).
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Commitment {
    /// The first transaction has no output with one.
    #[default]
    Absent,
    /// It has one, but the coinbase's witness is not a single item of 32 bytes.
    NonceSize,
    /// It commits to other witnesses than these.
    Mismatch,
    /// It commits to these.
    Match,
}

impl Facts {
    /// Of a block whose transactions are read; and, where its coinbase commits to witnesses, what is left to be hashed.
    pub(crate) fn of(block: &Block) -> (Facts, Option<Witnesses>) {
        let count_len = match block.txs.len() {
            0..253 => 1,
            253..=0xffff => 3,
            _ => 5,
        };
        let stripped_size =
            (Header::LEN + count_len) as u64 + block.txs.iter().map(|tx| u64::from(tx.stripped_len)).sum::<u64>();
        let txids: Vec<_> = block.txs.iter().map(|tx| tx.txid.0).collect();
        let (merkle_root, merkle_mutated) = merkle::root(&txids);
        let lock = |range: std::ops::RangeInclusive<u32>| {
            let bound = block.txs.iter().filter(|tx| range.contains(&tx.lock_time) && lock_binds(block, tx));
            bound.map(|tx| tx.lock_time).max().unwrap_or(0)
        };
        let coinbase = block.txs.first().map_or(&[][..], |tx| block.outputs_of(tx));
        let (commitment, witnesses) = match promised(block) {
            Ok(_) => (Commitment::Absent, Some(Witnesses { leaves: txids, next: 1 })),
            Err(known) => (known, None),
        };
        let facts = Facts {
            weight: 3 * stripped_size + block.bytes.len() as u64,
            stripped_size,
            legacy_sigops: block.txs.iter().map(|tx| tx.sigops).sum(),
            merkle_root,
            merkle_mutated,
            lock_height: lock(1..=LOCK_TIME_THRESHOLD - 1),
            lock_time: lock(LOCK_TIME_THRESHOLD..=u32::MAX),
            has_witness: block.txs.iter().any(|tx| tx.has_witness),
            commitment,
            coinbase_value: coinbase.iter().fold(0, |sum, output| sum.saturating_add(output.value)),
        };
        (facts, witnesses)
    }
}

/// Whether the lock time counts: not if every input's sequence is final.
fn lock_binds(block: &Block, tx: &Tx) -> bool {
    block.inputs_of(tx).iter().any(|input| input.sequence != SEQUENCE_FINAL)
}

/// What an output commits to, if it looks like a commitment.
fn committed<'a>(coinbase: &TxView<'a>, place: usize) -> Option<&'a [u8; 32]> {
    const MAGIC: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed]; // OP_RETURN, a push of 36, the tag
    coinbase.slice(coinbase.outputs[place].script).strip_prefix(&MAGIC)?.first_chunk()
}

/// The last output of a coinbase that looks like a witness commitment. Core `GetWitnessCommitmentIndex`.
pub(crate) fn commitment_output(coinbase: &TxView) -> Option<usize> {
    (0..coinbase.outputs.len()).rev().find(|&place| committed(coinbase, place).is_some())
}

/// What a coinbase commits to, and the nonce that goes with it; or that it does not. Core `CheckWitnessMalleation`.
fn promised(block: &Block) -> Result<(&[u8; 32], &[u8]), Commitment> {
    let coinbase = block.txs.first().ok_or(Commitment::Absent)?;
    let view = block.view(coinbase);
    let committed = commitment_output(&view).and_then(|place| committed(&view, place)).ok_or(Commitment::Absent)?;

    // A first transaction without inputs is no coinbase; that is another rule's to say.
    let input = block.inputs_of(coinbase).first().ok_or(Commitment::NonceSize)?;
    let mut stack = block.witness(input);
    match (stack.next(), stack.next()) {
        (Some(nonce), None) if nonce.len() == 32 => Ok((committed, nonce)),
        _ => Err(Commitment::NonceSize),
    }
}

/// Hashes of transactions with their witnesses, on the way: first the txids, which are those of transactions that have none.
pub(crate) struct Witnesses {
    leaves: Vec<[u8; 32]>,
    /// Those before this one are hashed. The coinbase's own counts as zero, since it holds the commitment.
    next: usize,
}

impl Witnesses {
    /// Hashes on, about so many bytes; whether the block's facts have the verdict.
    pub(crate) fn go_on(&mut self, block: &mut Block, batch: &mut Batch, slice: usize) -> bool {
        let (first, mut left) = (self.next, slice);
        while left > 0
            && let Some(tx) = block.txs.get(self.next)
        {
            if tx.has_witness {
                batch.push(&[block.view(tx).whole()]);
                left = left.saturating_sub((tx.end - tx.start) as usize);
            }
            self.next += 1;
        }
        let hashed = self.leaves[first..].iter_mut().zip(&block.txs[first..]).filter(|(_, tx)| tx.has_witness);
        hashed.zip(batch.hashes()).for_each(|((leaf, _), hash)| *leaf = hash);
        if self.next < block.txs.len() {
            return false;
        }
        self.leaves[0] = [0; 32];
        let root = merkle::root(&self.leaves).0;
        let (committed, nonce) = promised(block).expect("it was seen before");
        let holds = sha256d(&[&root[..], nonce].concat()) == *committed;
        block.facts.commitment = if holds { Commitment::Match } else { Commitment::Mismatch };
        true
    }
}
