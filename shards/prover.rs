//! Settles signatures that scripts recorded, many at a time, by lanes; and knows when lanes are no longer to be believed.
//! What it says is good is proven, what it does not is not decided: see `lanes`. Never knows which block wants it.

use consensus::script::Row;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Of so many rows that lanes prove, one is looked at by libsecp256k1 too.
const RECHECK_EACH: u64 = 256;

/// Who has the last word on signatures of blocks (`--lanes`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// libsecp256k1, of all.
    Off,
    /// Lanes, of blocks that are buried.
    #[default]
    Auto,
    /// libsecp256k1, and lanes are held against it.
    Check,
    /// Lanes, of all.
    All,
}

impl Mode {
    /// All, by their names.
    pub const ALL: [(&'static str, Mode); 4] =
        [("auto", Mode::Auto), ("off", Mode::Off), ("check", Mode::Check), ("all", Mode::All)];

    /// Its name.
    pub fn word(self) -> &'static str {
        Mode::ALL.iter().find(|(_, mode)| *mode == self).expect("all are there").0
    }
}

/// Who settles the signatures of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Curve {
    /// libsecp256k1.
    Libsecp,
    /// Lanes; a script that they do not prove good is run again with libsecp256k1.
    Lanes,
    /// libsecp256k1, and lanes are held against it.
    Both,
}

/// Proves signatures.
pub trait Prove: Send {
    /// Writes for each row whether it is proven good.
    fn prove(&mut self, rows: &[lanes::Row], proven: &mut [bool]);
}

impl Prove for lanes::Lanes {
    fn prove(&mut self, rows: &[lanes::Row], proven: &mut [bool]) {
        lanes::Lanes::prove(self, rows, proven);
    }
}

/// Whether lanes are believed on this node; all verify shards know at once.
#[derive(Clone, Debug, Default)]
pub struct Trust(Arc<AtomicBool>);

impl Trust {
    /// Whether they were wrong once.
    pub fn is_lost(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// They were.
    pub fn lose(&self) {
        self.0.store(true, Relaxed);
    }
}

/// What became of rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Rows that lanes were asked of.
    pub asked: u64,
    /// Of these proven good.
    pub proven: u64,
    /// Rows whose keys lanes do not take, settled by libsecp256k1.
    pub keys: u64,
    /// Where both are asked: rows that hold, and lanes did not prove.
    pub missed: u64,
    /// Proven rows that libsecp256k1 looked at too.
    pub rechecked: u64,
    /// Of these found bad.
    pub wrong: u64,
    /// The first of those.
    pub first_wrong: Option<usize>,
}

/// Lanes of one verify shard.
pub struct Prover {
    by: Box<dyn Prove>,
    trust: Trust,
    asked: Vec<lanes::Row>,
    /// Which row each of those is.
    of: Vec<usize>,
    proven: Vec<bool>,
}

impl fmt::Debug for Prover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prover").field("trust", &self.trust).finish_non_exhaustive()
    }
}

/// The row as lanes take it; none if they do not take its key.
fn plain(row: &Row) -> Option<lanes::Row> {
    match row {
        Row::Ecdsa(key, signature, message) => {
            let signature = signature.serialize_compact();
            let (r, s) = signature.split_first_chunk::<32>().expect("64 bytes");
            let (key, s) = (key.bytes().try_into().ok()?, s.try_into().expect("32 bytes"));
            Some(lanes::Row::Ecdsa { key, r: *r, s, message: *message })
        }
        Row::Schnorr(key, signature, message) => {
            Some(lanes::Row::Schnorr { key: *key, signature: *signature, message: *message })
        }
        Row::Tweak(output, internal, tweak) => {
            Some(lanes::Row::Tweak { output: *output, internal: *internal, tweak: *tweak })
        }
    }
}

impl Prover {
    /// Lanes that are believed as long as all are that share this trust.
    pub fn new(by: Box<dyn Prove>, trust: Trust) -> Prover {
        Prover { by, trust, asked: Vec::new(), of: Vec::new(), proven: Vec::new() }
    }

    /// Whether they are still believed.
    pub fn is_trusted(&self) -> bool {
        !self.trust.is_lost()
    }

    /// Says of each row in `good` whether it is known to be. Where lanes turn out wrong, they are believed no more, and all
    /// that is said is libsecp256k1's. `dice` is a source of chance.
    pub fn settle(&mut self, rows: &[Row], both: bool, good: &mut Vec<bool>, mut dice: impl FnMut() -> u64) -> Tally {
        let mut tally = Tally::default();
        good.clear();
        good.resize(rows.len(), false);
        self.asked.clear();
        self.of.clear();
        for (index, row) in rows.iter().enumerate() {
            match plain(row) {
                Some(plain) => {
                    self.asked.push(plain);
                    self.of.push(index);
                }
                None => {
                    tally.keys += 1;
                    good[index] = row.holds();
                }
            }
        }
        self.proven.clear();
        self.proven.resize(self.asked.len(), false);
        self.by.prove(&self.asked, &mut self.proven);
        tally.asked = self.asked.len() as u64;
        for (&index, &proven) in self.of.iter().zip(&self.proven) {
            tally.proven += u64::from(proven);
            good[index] = proven;
            if both || proven && dice().is_multiple_of(RECHECK_EACH) {
                let holds = rows[index].holds();
                tally.missed += u64::from(holds && !proven);
                tally.rechecked += u64::from(proven);
                if proven && !holds {
                    tally.wrong += 1;
                    tally.first_wrong.get_or_insert(index);
                }
                good[index] = holds;
            }
        }
        if tally.wrong > 0 {
            self.trust.lose();
            good.iter_mut().zip(rows).for_each(|(good, row)| *good = row.holds());
        }
        tally
    }
}
