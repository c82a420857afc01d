//! The coins of the ledger stay as small as they are said to be. Alone in its process: it looks at all of its memory.

use caesure_bench::coins::{fill_and_churn, resident_bytes};

#[test]
fn a_coin_takes_at_most_70_bytes() {
    const COINS: u64 = 2_000_000;
    let done = fill_and_churn(COINS, |_, _, _| {});
    let coins: u64 = done.base.lens().iter().map(|len| *len as u64).sum();
    let per_tx = coins as f64 / done.live.txs() as f64;
    assert!((1.5..1.6).contains(&per_tx), "{per_tx} unspent outputs of a transaction");
    let [filled, churned] = done.resident.map(|bytes| bytes as f64 / coins as f64);
    assert!(filled <= 70.0 && churned <= 70.0, "{filled:.1} bytes per coin filled, {churned:.1} churned");
    // What it says it holds, it holds.
    let counted = done.counted as f64 / coins as f64;
    assert!((churned - counted).abs() < 5.0, "{churned:.1} bytes per coin, but {counted:.1} are told of");
    assert!(resident_bytes() > done.counted);
}
