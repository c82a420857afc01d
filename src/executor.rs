//! How an executor of the node is made, wherever one is. Never knows what runs on it.

use glommio::{LocalExecutorBuilder, Placement, PoolPlacement};
use std::time::Duration;

/// Registered memory of an executor; the store's has more, for its writes.
const IO_MEMORY: (usize, usize) = (128 << 10, 4 << 20);
const RING_DEPTH: usize = 128;
/// Spinning before parking pays only where an executor has a CPU of its own.
const SPIN: Duration = Duration::from_micros(30);
/// glommio lives as long as nobody's slice is cut short; our loops breathe by their own clock.
const PREEMPT: Duration = Duration::from_secs(1);

/// The executor of a core: on that CPU, or on any; `alone` where it shares it with no other, `store` where it writes blocks.bin.
pub fn builder(core: usize, cpu: Option<usize>, alone: bool, store: bool) -> LocalExecutorBuilder {
    let builder = LocalExecutorBuilder::new(cpu.map_or(Placement::Unbound, Placement::Fixed))
        .name(&format!("caesure-{core}"))
        .io_memory(if store { IO_MEMORY.1 } else { IO_MEMORY.0 })
        .ring_depth(RING_DEPTH)
        .preempt_timer(PREEMPT)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(if core == 0 { 4 } else { 1 }));
    if alone { builder.spin_before_park(SPIN) } else { builder }
}
