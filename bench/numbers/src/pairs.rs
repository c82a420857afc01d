//! The same thing done in two ways, in turns: what one costs more than the other. Which goes first changes from pair to pair,
//! so that what grows or shrinks by itself meanwhile is nobody's.

use crate::table::{Table, Teller};
use std::io;

/// What each of the two cost, pair by pair.
pub struct Pairs {
    with: Vec<f64>,
    without: Vec<f64>,
}

impl Pairs {
    /// So many pairs; each does the thing `with` what is measured, and without, and says what that cost.
    pub fn measure(what: &'static str, rounds: u32, mut one: impl FnMut(bool) -> io::Result<f64>) -> io::Result<Pairs> {
        let (mut pairs, mut teller) = (Pairs { with: Vec::new(), without: Vec::new() }, Teller::new(what));
        for round in 0..rounds {
            let first = round % 2 == 1;
            for with in [first, !first] {
                let cost = one(with)?;
                if with { &mut pairs.with } else { &mut pairs.without }.push(cost);
            }
            teller.say((round + 1).into(), rounds.into(), "pairs");
        }
        Ok(pairs)
    }

    /// What each without it cost.
    pub fn without(&self) -> &[f64] {
        &self.without
    }

    /// Both, and by how many hundredths the one with is above the other of its pair, beside what that may be at most.
    pub fn rows(&self, what: &str, unit: &'static str, percent_max: f64, table: &mut Table) {
        let more = self.with.iter().zip(&self.without).map(|(with, without)| 100.0 * (with / without - 1.0));
        table.spread(what, unit, &self.with, "without", &self.without);
        table.spread(format!("{what}: more, by pair"), "%", &more.collect::<Vec<_>>(), "at most", &[percent_max]);
    }
}
