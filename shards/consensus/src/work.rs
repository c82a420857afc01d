//! Decides difficulty: targets and their compact form, the work a target stands for, whether a
//! hash meets its target, and what the next target must be. Never knows a chain: ancestors come
//! from a function the caller gives.

pub use crate::u256::U256;
use crate::{Header, Params, hash::BlockHash};

/// Expected number of hashes; a chain's is the sum over its headers.
pub type Work = U256;

/// The number written as `bits`, and whether the form is out of range: negative or past 256 bits.
/// Core `arith_uint256::SetCompact`: an exponent byte and a 23-bit mantissa with a sign bit.
fn expand(bits: u32) -> (U256, bool) {
    let (size, word) = (bits >> 24, bits & 0x007f_ffff);
    if size <= 3 {
        let word = word >> (8 * (3 - size));
        return (U256::from(u64::from(word)), word != 0 && bits & 0x0080_0000 != 0);
    }
    let overflow = size > 34 || (word > 0xff && size > 33) || (word > 0xffff && size > 32);
    let value = U256::from(u64::from(word)) << (8 * (size - 3));
    (value, word != 0 && (overflow || bits & 0x0080_0000 != 0))
}

/// The target written as `bits`; `None` when it is negative, zero or past 256 bits. Core
/// `DeriveTarget`, save the network's limit: that is [`meets_target`]'s to know.
pub fn target_of(bits: u32) -> Option<U256> {
    let (target, bad) = expand(bits);
    (!bad && target != U256::ZERO).then_some(target)
}

/// The compact form of `target`, rounded down to its 23 or fewer leading bits. Core
/// `arith_uint256::GetCompact`.
pub fn bits_of(target: U256) -> u32 {
    let size = (256 - target.leading_zeros()).div_ceil(8);
    let word = if size <= 3 { target.low_u64() << (8 * (3 - size)) } else { (target >> (8 * (size - 3))).low_u64() };
    // A set top bit would read as a sign, so such a mantissa moves down one byte.
    let (word, size) = if word & 0x0080_0000 != 0 { (word >> 8, size + 1) } else { (word, size) };
    size << 24 | word as u32
}

/// 2^256 / (target + 1): the hashes it takes on average; zero for bits that are no target. Core
/// `GetBlockProof`, which avoids the 257th bit in the same way.
pub fn work_of(bits: u32) -> Work {
    let Some(target) = target_of(bits) else {
        return U256::ZERO;
    };
    let one = U256::from(1);
    // A compact target is below 2^256 − 1, so neither sum overflows.
    let rest = (!target).checked_div(target.saturating_add(one)).unwrap_or(U256::ZERO);
    rest.saturating_add(one)
}

/// Whether `hash`, read as a number, is at most the target that `bits` names, and that target
/// within the network's limit. Core `CheckProofOfWorkImpl`.
pub fn meets_target(hash: &BlockHash, bits: u32, params: &Params) -> bool {
    target_of(bits).is_some_and(|target| target <= params.pow_limit && U256::from_le_bytes(hash.0) <= target)
}

/// The bits that a child of `parent` must carry when its own time is `time`. Core
/// `GetNextWorkRequired`.
///
/// `ancestor(h)` is the header at height `h` of the chain that ends in `parent`, `h` at most
/// `parent_height`; it is asked once per retarget, and on the networks with the 20-minute rule up
/// to once for each header since the last retarget.
pub fn next_bits(
    params: &Params,
    parent: &Header,
    parent_height: u32,
    ancestor: impl Fn(u32) -> Header,
    time: u32,
) -> u32 {
    // Where nothing retargets, every header carries the genesis block's bits, the limit itself.
    if params.no_retargeting {
        return parent.bits;
    }
    let interval = params.interval();
    if !(parent_height + 1).is_multiple_of(interval) {
        return if params.min_difficulty_blocks {
            easy_bits(params, parent, parent_height, ancestor, time)
        } else {
            parent.bits
        };
    }
    // One header short of a whole period lies between the two times (Core keeps this slip).
    let first = ancestor(parent_height + 1 - interval);
    let span = params.target_timespan;
    let actual = (i64::from(parent.time) - i64::from(first.time)).clamp(i64::from(span / 4), i64::from(span) * 4);
    // BIP94: the period's first block cannot be an easy one, so its bits are the true ones.
    let base = expand(if params.bip94 { first.bits } else { parent.bits }).0;
    bits_of(scaled(base, actual as u32, params))
}

/// BIP94's forebear, the 20-minute rule of testnet: a block more than two spacings after its
/// parent is easy; any other carries the bits of the last block in this period that was not.
fn easy_bits(params: &Params, parent: &Header, parent_height: u32, ancestor: impl Fn(u32) -> Header, time: u32) -> u32 {
    let limit = bits_of(params.pow_limit);
    if u64::from(time) > u64::from(parent.time) + 2 * u64::from(params.target_spacing) {
        return limit;
    }
    let (mut bits, mut height) = (parent.bits, parent_height);
    while bits == limit && !height.is_multiple_of(params.interval()) {
        height -= 1;
        bits = ancestor(height).bits;
    }
    bits
}

/// `target` × `seconds` / the timespan, at most the limit. The product wraps as Core's does, but
/// the limits of the networks that retarget are chosen so that it cannot.
fn scaled(target: U256, seconds: u32, params: &Params) -> U256 {
    let timespan = U256::from(u64::from(params.target_timespan));
    let scaled = target.wrapping_mul_u32(seconds).checked_div(timespan).expect("a timespan is not zero");
    scaled.min(params.pow_limit)
}

/// Whether a header at `height` may carry `new_bits` after a parent with `old_bits`, whatever the
/// times: at a retarget within a factor of four, elsewhere unchanged. Always true on networks with
/// the 20-minute rule. Core `PermittedDifficultyTransition`.
pub fn permitted_transition(params: &Params, height: u32, old_bits: u32, new_bits: u32) -> bool {
    if params.min_difficulty_blocks {
        return true;
    }
    if !height.is_multiple_of(params.interval()) {
        return old_bits == new_bits;
    }
    // Rounded through the compact form, as the header's own bits were.
    let bound = |seconds: u32| expand(bits_of(scaled(expand(old_bits).0, seconds, params))).0;
    let span = params.target_timespan;
    (bound(span / 4)..=bound(span * 4)).contains(&expand(new_bits).0)
}

#[cfg(test)]
mod tests;
