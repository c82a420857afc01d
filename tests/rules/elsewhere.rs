//! Rules that no block a test can make breaks, or none alone: held against what Core says of a transaction or of real
//! headers, or else against its source by a unit case that MUST exist.

use crate::{Found, ended, regtest};
use caesure_bench::tx::TxOut;
use caesure_tests::binary::workspace;
use caesure_tests::data::hex;
use caesure_tests::pair::{Pair, spend};
use consensus::{Block, Rule, TX};
use serde_json::json;

/// A rule, the function of Core 31.99 that has it, our file and unit case, and why no block shows it.
const CASES: [(Rule, &str, &str, &str, &str); 6] = [
    (
        Rule::BadTxnsInputvaluesOutofrange,
        "consensus/tx_verify.cpp CheckTxInputs",
        "src/spend_rules/tests.rs",
        "amounts",
        "all coins of a chain together are worth less",
    ),
    (
        Rule::BadTxnsFeeOutofrange,
        "consensus/tx_verify.cpp CheckTxInputs",
        "src/spend_rules/tests.rs",
        "amounts",
        "a fee is at most what goes in, which is in range",
    ),
    (
        Rule::BadTxnsAccumulatedFeeOutofrange,
        "validation.cpp ConnectBlock",
        "src/spend_rules/tests.rs",
        "fees_add_up_and_stay_in_range",
        "all coins of a chain together are worth less",
    ),
    (
        Rule::BadDiffbits,
        "pow.cpp CalculateNextWorkRequired",
        "tests/real/headers.rs",
        "every_retarget_of_mainnet",
        "retargets of real headers: making one takes 2^32 hashes",
    ),
    (
        Rule::BadDiffbits,
        "pow.cpp GetNextWorkRequired",
        "tests/real/headers.rs",
        "headers_of_bsv_are_refused",
        "real headers that break it",
    ),
    (
        Rule::BadDiffbits,
        "pow.cpp GetNextWorkRequired, fPowAllowMinDifficultyBlocks",
        "tests/real/headers.rs",
        "an_easy_block_of_testnet3",
        "the 20-minute rule in a real header",
    ),
];

pub fn compare() -> Found {
    let mut pair = regtest();
    for (rule, core, file, case, why) in CASES {
        let path = workspace().join("shards/consensus").join(file);
        let text = std::fs::read_to_string(&path).expect("a file of unit cases");
        assert!(text.contains(&format!("#[test]\nfn {case}() {{")), "{} has no case {case}", path.display());
        pair.row_of(rule, false, why, &format!("Core's {core}; unit case {case}"));
    }
    oversize(&mut pair);
    ended(pair)
}

/// A transaction too large for a block makes that block too large as well, and Core looks at the block first.
fn oversize(pair: &mut Pair) {
    let coin = pair.coin();
    for (size, kept) in [(1_000_000, true), (1_000_001, false)] {
        let mut tx = spend(&[&coin]);
        tx.outputs.push(TxOut { value: 0, script: vec![] });
        let more = size - tx.bytes().len() - 4;
        tx.outputs[1].script = vec![0x6a; more];
        assert_eq!(tx.bytes().len(), size);
        let bytes = pair.next(vec![tx.clone()]).bytes();
        let block = Block::parse(bytes.into()).expect("it can be read");
        let row = TX.iter().find(|row| row.0 == Rule::BadTxnsOversize).expect("its row");
        assert_eq!(row.1(&block, &block.txs[1]), kept);
        if let Some(core) = &pair.core {
            let answer = core.call("testmempoolaccept", json!([[hex(&tx.bytes())]]));
            let reason = answer[0]["reject-reason"].as_str().unwrap_or_default();
            assert_eq!(reason == "bad-txns-oversize", !kept, "{answer}");
        }
        pair.row_of(Rule::BadTxnsOversize, kept, &format!("{size} bytes"), "testmempoolaccept on regtest");
    }
}
