//! Decides whether a header may follow its parent. Never knows the chain: height, median time,
//! next bits and the clock are given.

use crate::{BlockHash, Header, NEVER, Params, Rule, meets_target};

/// How far ahead of the clock a header may be, seconds. Core `MAX_FUTURE_BLOCK_TIME`.
const FUTURE_MAX_S: u64 = 2 * 60 * 60;
/// How far before its parent a period's first header may be, seconds. BIP94, Core `MAX_TIMEWARP`.
const TIMEWARP_MAX_S: u64 = 600;

/// A header and all that its rules depend on.
#[derive(Copy, Clone, Debug)]
pub struct HeaderCx<'a> {
    /// The network's.
    pub params: &'a Params,
    /// The header's height.
    pub height: u32,
    /// The header.
    pub header: &'a Header,
    /// Its hash.
    pub hash: BlockHash,
    /// The header it names.
    pub parent: &'a Header,
    /// Median of the times of `parent` and up to ten before it, seconds since 1970.
    pub mtp_parent: u32,
    /// What [`crate::next_bits`] asks for.
    pub next_bits: u32,
    /// The clock, seconds since 1970.
    pub now_unix: u64,
}

/// A rule, the height from which it binds, and whether a header keeps it.
pub type HeaderRow = (Rule, fn(&Params) -> u32, fn(&HeaderCx) -> bool);

/// The rules of a header in Core's order: `CheckBlockHeader`, `ContextualCheckBlockHeader`.
pub const HEADER: &[HeaderRow] = &[
    (Rule::HighHash, |_| 0, |cx| meets_target(&cx.hash, cx.header.bits, cx.params)),
    (Rule::BadDiffbits, |_| 1, |cx| cx.header.bits == cx.next_bits),
    (Rule::TimeTooOld, |_| 1, |cx| cx.header.time > cx.mtp_parent),
    (Rule::TimeTimewarpAttack, |params| if params.bip94 { 1 } else { NEVER }, no_timewarp),
    (Rule::TimeTooNew, |_| 1, |cx| u64::from(cx.header.time) <= cx.now_unix.saturating_add(FUTURE_MAX_S)),
    (Rule::BadVersion, |params| params.bip34_height, |cx| cx.header.version >= 2),
    (Rule::BadVersion, |params| params.bip66_height, |cx| cx.header.version >= 3),
    (Rule::BadVersion, |params| params.bip65_height, |cx| cx.header.version >= 4),
];

fn no_timewarp(cx: &HeaderCx) -> bool {
    !cx.height.is_multiple_of(cx.params.interval())
        || u64::from(cx.header.time) + TIMEWARP_MAX_S >= u64::from(cx.parent.time)
}

/// The first rule that a header breaks, if any. That its parent is known and not invalid is the
/// caller's to see to; so is all of the genesis block.
pub fn check_header(cx: &HeaderCx) -> Result<(), Rule> {
    let broken = HEADER.iter().find(|(_, since, holds)| cx.height >= since(cx.params) && !holds(cx));
    broken.map_or(Ok(()), |(rule, ..)| Err(*rule))
}

#[cfg(test)]
mod tests;
