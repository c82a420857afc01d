//! Decides how far a deployment by version bits has come (BIP9): its state in every period of blocks, from the versions
//! and times of the blocks before. Never knows a chain: heights are asked of a [`Past`], which also remembers.
//!
//! ```text
//! Defined ─ median time ≥ start ─▸ Started ─ threshold signals ─▸ LockedIn ─ min_height next ─▸ Active
//!                                     └── else median time ≥ timeout ─▸ Failed
//! ```
//!
//! All blocks of a period share a state; it changes with the first block of the next. Sources: BIP9 as amended for
//! taproot's min_activation_height, Core `versionbits.cpp`.

/// The bits of a version that say whether the others are signals, and what they must be then. Core
/// `VERSIONBITS_TOP_MASK`, `VERSIONBITS_TOP_BITS`.
const TOP: (u32, u32) = (0xe000_0000, 0x2000_0000);

/// What blocks may signal for, and by when. Core `BIP9Deployment`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Deployment {
    /// What it is called.
    pub name: &'static str,
    /// The bit of the version that signals, 0 to 28.
    pub bit: u8,
    /// Signals count in the periods after a median time past of this, seconds since 1970; or one of
    /// [`Deployment::ALWAYS_ACTIVE`] and [`Deployment::NEVER_ACTIVE`].
    pub start: i64,
    /// A period whose last median time past is this late is the last one; seconds since 1970.
    pub timeout: i64,
    /// No block below is under the new rules, whenever they were locked in.
    pub min_height: u32,
    /// Blocks in a period.
    pub period: u32,
    /// So many of them must signal.
    pub threshold: u32,
}

/// Where a deployment is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// It has not started.
    Defined,
    /// Blocks may signal.
    Started,
    /// Enough have; the rules bind from a later period on.
    LockedIn,
    /// The rules bind, for ever.
    Active,
    /// It timed out, for ever.
    Failed,
}

impl State {
    /// As Core's `getdeploymentinfo` writes it.
    pub const fn name(self) -> &'static str {
        ["defined", "started", "locked_in", "active", "failed"][self as usize]
    }
}

/// What the state machine asks of the blocks of one branch.
pub trait Past {
    /// Median time past of the block at this height, its own time included.
    fn median_time(&self, height: u32) -> u32;
    /// The version in the header at this height.
    fn version(&self, height: u32) -> i32;
    /// The state that was learnt for the blocks after the period that ends at this height.
    fn known(&self, _end: u32) -> Option<State> {
        None
    }
    /// Keeps it, where somebody will ask again.
    fn learn(&mut self, _end: u32, _state: State) {}
}

/// Signals in a period that is not over. Core `BIP9Stats`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Signals {
    /// Blocks of the period so far.
    pub elapsed: u32,
    /// Those that signal.
    pub count: u32,
    /// Whether the threshold can still be met.
    pub possible: bool,
}

impl Deployment {
    /// As `start`: active from the genesis block on.
    pub const ALWAYS_ACTIVE: i64 = -1;
    /// As `start`: failed from the genesis block on.
    pub const NEVER_ACTIVE: i64 = -2;
    /// As `timeout`: there is none.
    pub const NO_TIMEOUT: i64 = i64::MAX;

    /// Whether a block of this version signals.
    pub const fn signals(&self, version: i32) -> bool {
        let version = version.cast_unsigned();
        version & TOP.0 == TOP.1 && version >> self.bit & 1 == 1
    }

    /// The state at the height where all blocks below are those of `past`. Core `GetStateFor`.
    pub fn state(&self, height: u32, past: &mut impl Past) -> State {
        match self.start {
            Deployment::ALWAYS_ACTIVE => return State::Active,
            Deployment::NEVER_ACTIVE => return State::Failed,
            _ => {}
        }
        // Back to a period whose state is known; before the start that is any.
        let (mut first, mut unknown) = (height - height % self.period, Vec::new());
        let mut state = loop {
            let Some(end) = first.checked_sub(1) else { break State::Defined };
            if let Some(state) = past.known(end) {
                break state;
            }
            if i64::from(past.median_time(end)) < self.start {
                past.learn(end, State::Defined);
                break State::Defined;
            }
            unknown.push(end);
            first -= self.period;
        };
        for end in unknown.into_iter().rev() {
            state = self.next(state, end, past);
            past.learn(end, state);
        }
        state
    }

    /// The state after the period that ends at `end` and was in `state`.
    fn next(&self, state: State, end: u32, past: &impl Past) -> State {
        let late = |time: i64| i64::from(past.median_time(end)) >= time;
        match state {
            State::Defined if late(self.start) => State::Started,
            // A period with enough signals counts even if it ends after the timeout.
            State::Started if self.count(end + 1 - self.period..=end, past) >= self.threshold => State::LockedIn,
            State::Started if late(self.timeout) => State::Failed,
            State::LockedIn if end + 1 >= self.min_height => State::Active,
            same => same,
        }
    }

    fn count(&self, heights: std::ops::RangeInclusive<u32>, past: &impl Past) -> u32 {
        heights.filter(|height| self.signals(past.version(*height))).count() as u32
    }

    /// The first height that has the state of `height`. Core `GetStateSinceHeightFor`.
    pub fn since(&self, height: u32, past: &mut impl Past) -> u32 {
        let state = self.state(height, past);
        if state == State::Defined || matches!(self.start, Deployment::ALWAYS_ACTIVE | Deployment::NEVER_ACTIVE) {
            return 0;
        }
        let mut first = height - height % self.period;
        while first > 0 && self.state(first - 1, past) == state {
            first -= self.period;
        }
        first
    }

    /// The signals up to and with `height` in its period, `None` outside the periods in which somebody looks at them.
    /// Core `Info`, `GetStateStatisticsFor`.
    pub fn signals_at(&self, height: u32, past: &mut impl Past) -> Option<Signals> {
        let state = self.state(height, past);
        if !matches!(state, State::Started | State::LockedIn) {
            return None;
        }
        let elapsed = height % self.period + 1;
        let count = self.count(height + 1 - elapsed..=height, past);
        let possible = state == State::Started && self.period - self.threshold >= elapsed - count;
        Some(Signals { elapsed, count, possible })
    }
}

#[cfg(test)]
mod tests;
