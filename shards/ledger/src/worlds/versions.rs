//! The memory of versions: every world writes its own one after the other, into runs of a few that it gives back together.
//! Never moves one, and never knows which coin or world it is of.

use super::partition::Version;
use crate::base::prefetch;

/// Versions of a run: a kilobyte, so that the next one of a world is fetched before it is asked for, and a world of few
/// coins wastes little.
const RUN: u32 = 16;
/// Versions that are asked of the allocator at once: a megabyte.
const SLAB: usize = 1 << 14;

const _: () = assert!(SLAB.is_multiple_of(RUN as usize));

#[derive(Debug, Default)]
pub(super) struct Versions {
    slabs: Vec<Vec<Version>>,
    /// First places of runs that nobody has.
    idle: Vec<u32>,
}

/// The places of one world's versions, in the order in which they were written.
#[derive(Debug, Default)]
pub(super) struct Places {
    runs: Vec<u32>,
    len: u32,
}

impl Places {
    pub fn len(&self) -> u32 {
        self.len
    }

    pub fn get(&self, index: u32) -> u32 {
        self.runs[(index / RUN) as usize] + index % RUN
    }
}

impl Versions {
    #[inline]
    pub fn get(&self, at: u32) -> &Version {
        &self.slabs[at as usize / SLAB][at as usize % SLAB]
    }

    #[inline]
    pub fn get_mut(&mut self, at: u32) -> &mut Version {
        &mut self.slabs[at as usize / SLAB][at as usize % SLAB]
    }

    /// Asks for a version.
    #[inline]
    pub fn prefetch(&self, at: u32) {
        prefetch(self.get(at));
    }

    /// Writes another version of a world; its place.
    pub fn push(&mut self, places: &mut Places, version: Version) -> u32 {
        if places.len.is_multiple_of(RUN) {
            let run = self.idle.pop().unwrap_or_else(|| self.fresh());
            (run..run + RUN).for_each(|at| self.prefetch(at));
            places.runs.push(run);
        }
        let at = places.get(places.len);
        places.len += 1;
        *self.get_mut(at) = version;
        at
    }

    #[cold]
    fn fresh(&mut self) -> u32 {
        if self.slabs.last().is_none_or(|slab| slab.len() == SLAB) {
            self.slabs.push(Vec::with_capacity(SLAB));
        }
        let (before, slab) = (self.slabs.len() - 1, self.slabs.last_mut().expect("just seen"));
        let run = before * SLAB + slab.len();
        slab.resize(slab.len() + RUN as usize, Version::BLANK);
        u32::try_from(run).expect("256 GiB of versions are beyond any budget")
    }

    /// Takes back what a world wrote. The first of its runs will be the first to be used again.
    pub fn give_back(&mut self, places: &mut Places) {
        self.idle.extend(places.runs.drain(..).rev());
        places.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worlds_that_write_in_turn_find_what_they_wrote_and_runs_are_used_again() {
        let (mut versions, mut worlds) = (Versions::default(), [Places::default(), Places::default()]);
        let wrote = |world: u32, index: u32| Version { world: world << 20 | index, ..Version::BLANK };
        let fill = |versions: &mut Versions, worlds: &mut [Places; 2]| {
            let mut seen = std::collections::BTreeSet::new();
            for index in 0..SLAB as u32 {
                for (world, places) in (0..).zip(&mut *worlds) {
                    assert!(seen.insert(versions.push(places, wrote(world, index))), "a place of its own");
                }
            }
            for (world, places) in (0..).zip(&*worlds) {
                assert_eq!(places.len(), SLAB as u32);
                (0..places.len()).for_each(|i| assert_eq!(versions.get(places.get(i)).world, wrote(world, i).world));
            }
        };
        fill(&mut versions, &mut worlds);
        versions.give_back(&mut worlds[0]);
        versions.give_back(&mut worlds[1]);
        fill(&mut versions, &mut worlds);
        assert_eq!(versions.slabs.len(), 2, "nothing was asked for twice");
    }
}
