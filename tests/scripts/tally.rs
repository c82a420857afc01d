//! What a run of cases was made of: by kind, by error, by operation. Decides nothing; those who ask decide what is missing.

use super::verdict::{Verdict, errors};
use super::{Case, layers};
use std::collections::BTreeMap;
use std::fmt;

/// The sums.
#[derive(Clone, Debug)]
pub struct Tally {
    kinds: BTreeMap<&'static str, [u64; 2]>,
    errors: BTreeMap<&'static str, u64>,
    ops: [u64; 256],
}

impl Default for Tally {
    fn default() -> Tally {
        Tally { kinds: BTreeMap::new(), errors: BTreeMap::new(), ops: [0; 256] }
    }
}

impl Tally {
    /// Counts a case.
    pub fn add(&mut self, case: &Case, verdict: Verdict) {
        self.kinds.entry(case.kind).or_default()[usize::from(verdict.is_ok())] += 1;
        if let Err(error) = verdict {
            *self.errors.entry(error).or_default() += 1;
        }
        for op in layers::reached(case, verdict.is_ok()) {
            self.ops[usize::from(op)] += 1;
        }
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Tally) {
        for (kind, [refused, accepted]) in &other.kinds {
            let sum = self.kinds.entry(kind).or_default();
            (sum[0], sum[1]) = (sum[0] + refused, sum[1] + accepted);
        }
        for (error, count) in &other.errors {
            *self.errors.entry(error).or_default() += count;
        }
        self.ops.iter_mut().zip(other.ops).for_each(|(sum, count)| *sum += count);
    }

    /// Accepted of all.
    pub fn accepted(&self) -> (u64, u64) {
        self.kinds.values().fold((0, 0), |(accepted, all), [no, yes]| (accepted + yes, all + no + yes))
    }

    /// What should have come and did not: shares, errors, operations.
    pub fn missing(&self) -> Vec<String> {
        let (accepted, all) = self.accepted();
        let few = (accepted * 10 < all).then(|| format!("only {accepted} of {all} were accepted"));
        let errors = errors().filter(|error| !self.errors.contains_key(error)).map(|error| format!("no {error}"));
        let ops = (0..256).filter(|op| self.ops[*op] == 0).map(|op| format!("operation {op:#04x} never ran"));
        few.into_iter().chain(errors).chain(ops).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (accepted, all) = self.accepted();
        let percent = |part: u64, of: u64| 100.0 * part as f64 / of.max(1) as f64;
        writeln!(f, "{accepted} of {all} accepted, {:.1} %", percent(accepted, all))?;
        for (kind, [no, yes]) in &self.kinds {
            writeln!(f, "  {kind:<22}{:>9}{:>7.1} % accepted", no + yes, percent(*yes, no + yes))?;
        }
        let mut errors: Vec<_> = self.errors.iter().collect();
        errors.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        writeln!(f, "{} errors", errors.len())?;
        for (error, count) in errors {
            writeln!(f, "  {error:<40}{count:>9}")?;
        }
        let rarest = (0..256).min_by_key(|op| self.ops[*op]).expect("there are 256");
        write!(f, "operations: the rarest is {rarest:#04x}, which ran {} times", self.ops[rarest])?;
        self.missing().iter().try_for_each(|missing| write!(f, "\nMISSING: {missing}"))
    }
}
