//! Everything that goes wrong around the node, by name. A seed draws which faults it has and how often each strikes, so
//! that some seeds are dense with one and others have never heard of it. Each counts how often it did.

use shards::Rng;

/// One fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fault {
    /// It strikes one in so many times; never where that is 0.
    pub one_in: u64,
    /// Times it has struck.
    pub struck: u64,
}

impl Fault {
    /// Strikes one in so many times.
    pub fn one_in(one_in: u64) -> Fault {
        Fault { one_in, struck: 0 }
    }

    /// Off in half of all seeds; else as often as `most`, or up to 32 times more seldom.
    fn draw(most: u64, rng: &mut Rng) -> Fault {
        let one_in = most << rng.below(6);
        Fault::one_in(if rng.below(2) == 0 { one_in } else { 0 })
    }

    /// Whether it strikes now.
    pub fn strikes(&mut self, rng: &mut Rng) -> bool {
        let strikes = self.one_in > 0 && rng.below(self.one_in) == 0;
        self.struck += u64::from(strikes);
        strikes
    }
}

macro_rules! faults {
    ($($(#[doc = $text:literal])* $name:ident $most:literal,)*) => {
        /// The faults of a run. `faults!` names each with how often it strikes at most: one in so many times.
        #[derive(Clone, Debug, Default)]
        pub struct Faults {
            $($(#[doc = $text])* pub $name: Fault,)*
        }

        impl Faults {
            /// Those of a seed.
            pub fn draw(rng: &mut Rng) -> Faults {
                Faults { $($name: Fault::draw($most, rng),)* }
            }

            /// Name and count of each.
            pub fn each(&self) -> Vec<(&'static str, Fault)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

faults! {
    // ---- the end of a run, where the story lets it come ----
    /// At any turn: the power goes.
    power_cut 512,
    /// At any write or sync of blocks.bin, when it is asked for or done: the power goes.
    power_cut_at_disk 16,
    /// At any turn: the process ends, and the machine goes on.
    kill 512,
    /// A run ends before it has stood up again after the last.
    crash_in_recovery 2,

    // ---- blocks.bin ----
    /// Of a write that no sync covers a power cut takes all,
    lost_write 2,
    /// or some of its sectors.
    torn_write 2,
    /// Of pages that were given up and not synced since it brings one back.
    lost_punch 2,
    /// Pages cannot be given up.
    failed_punch 8,
    /// A write takes a second, and others overtake it.
    slow_write 16,
    /// A sync takes seconds.
    slow_sync 4,
    /// A write fails,
    failed_write 64,
    /// or a sync,
    failed_sync 32,
    /// or a read of a block.
    failed_read 256,
    /// There is room for a part of a write only.
    full_disk 64,

    // ---- lanes ----
    /// They prove whatever they are asked, from a start on.
    lying_lanes 4,

    // ---- the block index, as a start finds it ----
    /// It is gone.
    index_lost 4,
    /// Its end is gone.
    index_cut 4,
    /// There are zeros in it.
    index_hole 4,
    /// A bit of it is another.
    index_flip 4,

    // ---- checkpoints ----
    /// A piece cannot be written.
    failed_save 16,
    /// A piece cannot be read.
    failed_load 512,
    /// A bit of one that is in its place is another,
    checkpoint_rot 32,
    /// or its end is gone.
    checkpoint_short 32,
    /// A power cut takes one that was put in its place and not synced there.
    lost_checkpoint 2,

    // ---- the small files ----
    /// A decision cannot be kept.
    failed_keep 4,
    /// A power cut takes the line of a refused block that is not synced, or a part of it.
    lost_refusal 2,

    // ---- between cores ----
    /// A link between two cores brings nothing for a while.
    slow_link 256,

    // ---- peers, but for the one that is honest ----
    /// All of them cannot be reached for a while, the honest one too; at any tick.
    partition 64,
    /// A block is never sent,
    withheld_block 4,
    /// or said not to be there,
    denied_block 4,
    /// or sent otherwise than its header says.
    bent_block 4,
    /// A peer dies while it sends blocks.
    dead_peer 16,
    /// Bytes that nobody asked for.
    garbage 16,
    /// Headers without work, or of no known parent.
    false_headers 4,
    /// A read brings a single byte.
    trickle 16,
}
