//! The cast: every shard of a node as a struct with one `step`, the words they exchange, and the
//! plan of which shard lives on which core. Nothing here opens, waits, sleeps, spawns or asks the
//! time: what the kernel did comes in as an [`Event`], what it shall do goes out as an [`Effect`].
#![forbid(unsafe_code)]

pub mod book;
pub mod chain;
pub mod checksums;
pub mod effect;
pub mod limits;
pub mod metrics;
pub mod msg;
pub mod note;
pub mod peer;
pub mod prover;
pub mod replay;
pub mod report;
pub mod script_cache;
pub mod status;
pub mod store;
pub mod topology;
pub mod utxo;
pub mod verify;

pub use effect::{Effect, Event};
pub use msg::Msg;
pub use note::Note;
pub use topology::{Plan, ShardId, plan};

/// What a shard is stepped with.
#[derive(Debug)]
pub enum Input {
    /// A word from another shard.
    Msg(Msg),
    /// Something the kernel did.
    Event(Event),
    /// A quarter of a second has passed, more or less.
    Tick,
}

/// Everything a step may look at besides its shard and its input.
#[derive(Debug)]
pub struct Cx {
    /// Milliseconds on a clock that never goes back.
    pub now_ms: u64,
    /// Seconds since 1970, our own clock.
    pub unix: u64,
    /// Source of chance; the seed comes from outside.
    pub rng: Rng,
    /// Words to send, in order.
    pub words: Vec<(ShardId, Msg)>,
    /// Things for the kernel to do, in order.
    pub effects: Vec<Effect>,
}

impl Cx {
    /// A context at time zero.
    pub fn new(seed: u64) -> Cx {
        Cx { now_ms: 0, unix: 0, rng: Rng(seed), words: Vec::new(), effects: Vec::new() }
    }

    /// Says a word to another shard (or to itself, after this step).
    pub fn tell(&mut self, to: ShardId, word: Msg) {
        self.words.push((to, word));
    }

    /// Asks the kernel for something.
    pub fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// One line for the log.
    pub fn log(&mut self, level: effect::Level, line: String) {
        self.effects.push(Effect::Log(level, line));
    }

    /// Something that happened, for the log.
    pub fn note(&mut self, note: Note) {
        self.effects.push(Effect::Note(note));
    }
}

/// A shard: runs each input to its end, never blocks, never fails.
pub trait Shard {
    /// Takes one input.
    fn step(&mut self, input: Input, cx: &mut Cx);
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, good enough for choices that are no secret.
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }
}
