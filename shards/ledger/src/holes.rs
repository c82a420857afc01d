//! Which bytes of blocks.bin were given up, and which whole pages that frees: those inside a run of records that lie back
//! to back, be they pruned at once or one after the other. Never touches a file.
//!
//! ```text
//!  |   page   |   page   |   page   |   page   |
//!       | record | record   | record |              three that were pruned
//!             |   hole   |   hole   |               what is left at both ends is no record any more
//! ```

use crate::record::Record;
use std::collections::BTreeMap;
use std::ops::Range;

/// The unit in which a file gives bytes up.
const PAGE: u64 = 4_096;

/// Runs of pruned records: begin and end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Holes(BTreeMap<u64, u64>);

impl Holes {
    /// What these records say of themselves.
    pub fn of(records: &[Record]) -> Holes {
        let mut holes = Holes::default();
        for record in records.iter().filter(|record| record.punched) {
            holes.add(record.span());
        }
        holes
    }

    /// Another record is pruned: the pages that are inside a run now and were not before.
    pub fn add(&mut self, record: Range<u64>) -> Range<u64> {
        let mut run = record.clone();
        if let Some((&start, &end)) = self.0.range(..=record.start).next_back()
            && end >= record.start
        {
            run = start..end.max(run.end);
        }
        while let Some((&start, &end)) = self.0.range(run.start + 1..=run.end).next() {
            self.0.remove(&start);
            run.end = run.end.max(end);
        }
        self.0.insert(run.start, run.end);
        let inside = pages_inside(&run);
        let from = inside.start.max(record.start / PAGE * PAGE);
        from..inside.end.min(record.end.next_multiple_of(PAGE)).max(from)
    }

    /// All pages inside runs.
    pub fn pages(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.iter().map(|(start, end)| pages_inside(&(*start..*end))).filter(|pages| !pages.is_empty())
    }
}

fn pages_inside(run: &Range<u64>) -> Range<u64> {
    let start = run.start.next_multiple_of(PAGE);
    start..(run.end / PAGE * PAGE).max(start)
}

/// Whether any of these holes, which are in order, has bytes of the range.
pub fn meets(holes: &[Range<u64>], range: &Range<u64>) -> bool {
    let next = holes.partition_point(|hole| hole.end <= range.start);
    holes.get(next).is_some_and(|hole| hole.start < range.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_given_up_once_all_records_on_them_are_pruned() {
        let mut holes = Holes::default();
        assert!(holes.add(293..4_500).is_empty(), "its first page has genesis on it, its last another record");
        assert!(holes.add(9_000..20_000) == (12_288..16_384));
        assert_eq!(holes.add(4_500..9_000), 4_096..12_288, "what it shares with both neighbours goes with it");
        assert_eq!(holes.add(20_000..20_480), 16_384..20_480);
        assert!(holes.add(30_000..31_000).is_empty());
        assert!(holes.pages().eq(std::iter::once(4_096..20_480)));
        // Again is nothing new.
        let before = holes.clone();
        holes.add(4_500..9_000);
        assert_eq!(holes, before);
    }

    #[test]
    fn in_any_order_the_same_pages_go() {
        let ends = [0, 300, 5_000, 8_192, 8_500, 30_000, 30_001, 50_000];
        let records: Vec<_> = ends.windows(2).map(|pair| pair[0]..pair[1]).collect();
        for turn in 0..records.len() {
            let (mut holes, mut gone) = (Holes::default(), Vec::new());
            for step in 0..records.len() {
                let pages = holes.add(records[(turn + step * 3) % records.len()].clone());
                gone.extend(pages.step_by(PAGE as usize));
            }
            gone.sort_unstable();
            gone.dedup();
            assert_eq!(gone, (0..12).map(|page| page * PAGE).collect::<Vec<_>>(), "from {turn}");
        }
    }

    #[test]
    fn a_range_meets_a_hole_where_it_has_a_byte_of_it() {
        let holes = [10..20, 30..40];
        let met = |range: Range<u64>| meets(&holes, &range);
        assert!(met(0..11) && met(19..20) && met(15..35) && met(39..100) && met(0..100));
        assert!(!met(0..10) && !met(20..30) && !met(40..100));
    }
}
