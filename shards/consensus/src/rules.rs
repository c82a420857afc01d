//! Decides the names of the rules: for each its sentence, its source, the reject string of Bitcoin
//! Core 31.99, and what kind of failing it is. Never checks one: see the tables in `*_rules.rs`.

use crate::Malformed;
use std::fmt;

/// What a broken rule means for the block, for its header and for whoever sent it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The header and everything built on it can never be valid.
    Invalid,
    /// These bytes are not what the header stands for; other bytes may be. The header stays wanted.
    Mutated,
    /// It may be valid later; nobody is to blame.
    TooEarly,
    /// What it builds on is not known.
    Unconnected,
}

macro_rules! rules {
    ($($name:ident $reject:literal $kind:ident $source:literal $must:literal)*) => {
        /// A rule of consensus, or the rule that was broken. Displayed as the reject string.
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Rule {
            $(#[doc = $must] $name,)*
        }

        impl Rule {
            /// Every rule, in the order in which a block meets them.
            pub const ALL: &[Rule] = &[$(Rule::$name),*];

            /// The reject string of Bitcoin Core 31.99; of `bad-version` the part before the bracket.
            pub const fn reject(self) -> &'static str {
                match self { $(Rule::$name => $reject,)* }
            }

            /// The rule, in a sentence.
            pub const fn must(self) -> &'static str {
                match self { $(Rule::$name => $must,)* }
            }

            /// What breaking it means.
            pub const fn kind(self) -> Kind {
                match self { $(Rule::$name => Kind::$kind,)* }
            }

            /// The BIP or the function of Bitcoin Core that says so.
            pub const fn source(self) -> &'static str {
                match self { $(Rule::$name => $source,)* }
            }
        }
    };
}

rules! {
    PrevBlkNotFound "prev-blk-not-found" Unconnected "AcceptBlockHeader"
        "A header MUST name a known header as its parent."
    BadPrevblk "bad-prevblk" Invalid "AcceptBlockHeader"
        "A header MUST NOT build on a block that is invalid."
    DuplicateInvalid "duplicate-invalid" Invalid "AcceptBlockHeader"
        "A header MUST NOT be one that was found invalid before."
    HighHash "high-hash" Invalid "CheckProofOfWork"
        "A header's hash MUST be at most the target its bits name, and that target within the network's limit."
    BadDiffbits "bad-diffbits" Invalid "GetNextWorkRequired"
        "A header's bits MUST be those that its ancestors' bits and times ask for."
    TimeTooOld "time-too-old" Invalid "ContextualCheckBlockHeader"
        "A header's time MUST be later than the median of its eleven ancestors' before it."
    TimeTimewarpAttack "time-timewarp-attack" Invalid "BIP94"
        "The time of a period's first header MUST NOT be more than 600 seconds before its parent's."
    TimeTooNew "time-too-new" TooEarly "ContextualCheckBlockHeader"
        "A header's time MUST NOT be more than two hours ahead of the clock."
    BadVersion "bad-version" Invalid "BIP34, BIP66, BIP65"
        "A header's version MUST be at least 2, 3 and 4 from the heights of BIP34, BIP66 and BIP65 on."
    Malformed "bad-block-encoding" Mutated "UnserializeTransaction"
        "A block MUST be a header, a count and that many transactions, each number in its shortest form, and no more."
    BadTxnmrklroot "bad-txnmrklroot" Mutated "CheckMerkleRoot"
        "The merkle root of a block's txids MUST be the one its header names."
    BadTxnsDuplicate "bad-txns-duplicate" Mutated "CheckMerkleRoot, CVE-2012-2459"
        "A block MUST NOT repeat transactions in the way that leaves its merkle root unchanged."
    BadBlkLength "bad-blk-length" Invalid "CheckBlock"
        "A block MUST hold 1 to 1,000,000 transactions and at most 1,000,000 bytes without witnesses."
    BadCbMissing "bad-cb-missing" Invalid "CheckBlock"
        "A block's first transaction MUST be a coinbase."
    BadCbMultiple "bad-cb-multiple" Invalid "CheckBlock"
        "A transaction after a block's first MUST NOT be a coinbase."
    BadTxnsVinEmpty "bad-txns-vin-empty" Invalid "CheckTransaction"
        "A transaction MUST have an input."
    BadTxnsVoutEmpty "bad-txns-vout-empty" Invalid "CheckTransaction"
        "A transaction MUST have an output."
    BadTxnsOversize "bad-txns-oversize" Invalid "CheckTransaction"
        "A transaction MUST have at most 1,000,000 bytes without witnesses."
    BadTxnsVoutNegative "bad-txns-vout-negative" Invalid "CheckTransaction"
        "An output's value, as a signed number, MUST NOT be negative."
    BadTxnsVoutToolarge "bad-txns-vout-toolarge" Invalid "CheckTransaction"
        "An output's value MUST be at most 21,000,000 bitcoins."
    BadTxnsTxouttotalToolarge "bad-txns-txouttotal-toolarge" Invalid "CheckTransaction"
        "A transaction's outputs MUST sum to at most 21,000,000 bitcoins."
    BadTxnsInputsDuplicate "bad-txns-inputs-duplicate" Invalid "CheckTransaction, CVE-2018-17144"
        "No two inputs of a transaction MUST name the same coin."
    BadCbLength "bad-cb-length" Invalid "CheckTransaction"
        "A coinbase's script MUST have 2 to 100 bytes."
    BadTxnsPrevoutNull "bad-txns-prevout-null" Invalid "CheckTransaction"
        "Every input of a transaction that is no coinbase MUST name a coin."
    BadBlkSigops "bad-blk-sigops" Invalid "CheckBlock"
        "The scripts in a block's inputs and outputs MUST count for at most 20,000 signature checks."
    BadSignetBlksig "bad-signet-blksig" Invalid "BIP325"
        "A signet block's coinbase MUST carry a solution of the network's challenge."
    BadTxnsNonfinal "bad-txns-nonfinal" Invalid "IsFinalTx, BIP113"
        "A transaction's lock time MUST be past, or all its inputs' sequences final."
    BadCbHeight "bad-cb-height" Invalid "BIP34"
        "A coinbase's script MUST begin with the push of the block's height."
    BadWitnessNonceSize "bad-witness-nonce-size" Mutated "BIP141"
        "The coinbase of a block with a witness commitment MUST have a witness of one item of 32 bytes."
    BadWitnessMerkleMatch "bad-witness-merkle-match" Mutated "BIP141"
        "A witness commitment MUST be the hash of the witness root and the coinbase's witness."
    UnexpectedWitness "unexpected-witness" Mutated "BIP141"
        "A block without a witness commitment MUST NOT have witnesses."
    BadBlkWeight "bad-blk-weight" Invalid "BIP141"
        "A block MUST weigh at most 4,000,000."
    BadTxnsBip30 "bad-txns-BIP30" Invalid "BIP30"
        "A block MUST NOT make a coin that is there unspent."
    BadTxnsInputsMissingorspent "bad-txns-inputs-missingorspent" Invalid "CheckTxInputs"
        "The coins a transaction spends MUST be there, unspent."
    BadTxnsPrematureSpendOfCoinbase "bad-txns-premature-spend-of-coinbase" Invalid "CheckTxInputs"
        "A coinbase's coin MUST NOT be spent before the hundredth block after its own."
    BadTxnsInputvaluesOutofrange "bad-txns-inputvalues-outofrange" Invalid "CheckTxInputs"
        "The coins a transaction spends MUST each and together be worth at most 21,000,000 bitcoins."
    BadTxnsInBelowout "bad-txns-in-belowout" Invalid "CheckTxInputs"
        "A transaction's outputs MUST NOT be worth more than the coins it spends."
    BadTxnsFeeOutofrange "bad-txns-fee-outofrange" Invalid "CheckTxInputs"
        "A transaction's fee MUST be at most 21,000,000 bitcoins."
    BadTxnsAccumulatedFeeOutofrange "bad-txns-accumulated-fee-outofrange" Invalid "ConnectBlock"
        "A block's fees MUST sum to at most 21,000,000 bitcoins."
    SequenceLock "bad-txns-nonfinal" Invalid "BIP68"
        "An input with a relative lock MUST NOT be spent before its coin is that old."
    BadBlkSigopsCost "bad-blk-sigops" Invalid "GetTransactionSigOpCost"
        "A block's signature checks MUST cost at most 80,000: four each, or one in a witness."
    BadCbAmount "bad-cb-amount" Invalid "ConnectBlock"
        "A coinbase MUST NOT pay out more than the block's fees and subsidy."
    BlockScriptVerifyFlagFailed "block-script-verify-flag-failed" Invalid "CheckInputScripts"
        "The scripts of an input and its coin MUST end true under the flags of the block."
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.reject())
    }
}

impl std::error::Error for Rule {}

impl From<Malformed> for Rule {
    fn from(_: Malformed) -> Rule {
        Rule::Malformed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::*;
    use std::collections::BTreeSet;

    /// Every rule is in a table, or is one of those that only a caller with a chain or a ledger,
    /// or a whole block at once, can check.
    #[test]
    fn every_rule_is_in_a_table_or_is_named_here() {
        let mut seen: Vec<Rule> = vec![
            Rule::PrevBlkNotFound,
            Rule::BadPrevblk,
            Rule::DuplicateInvalid,
            Rule::Malformed,
            Rule::BadTxnsBip30,
            Rule::BadTxnsInputsMissingorspent,
            Rule::BadTxnsAccumulatedFeeOutofrange,
            Rule::SequenceLock,
            Rule::BadBlkSigopsCost,
            Rule::BadCbAmount,
            Rule::BlockScriptVerifyFlagFailed,
        ];
        seen.extend(HEADER.iter().map(|row| row.0));
        seen.extend(BLOCK.iter().map(|row| row.0));
        seen.extend(TX.iter().map(|row| row.0));
        seen.extend(OUTPUT.iter().map(|row| row.0));
        seen.extend(INPUTS.iter().map(|row| row.0));
        seen.push(Rule::BadBlkSigops);
        seen.extend(BLOCK_CONTEXT.iter().map(|row| row.0));
        seen.extend(COIN_SPEND.iter().map(|row| row.0));
        seen.extend(TX_VALUE.iter().map(|row| row.0));
        let seen: BTreeSet<_> = seen.into_iter().collect();
        assert_eq!(seen, Rule::ALL.iter().copied().collect());
        assert_eq!(Rule::ALL.len(), 43);
    }

    #[test]
    fn sentences_strings_and_kinds() {
        for rule in Rule::ALL {
            assert!(rule.must().contains(" MUST ") && rule.must().ends_with('.'), "{rule:?}");
            assert_eq!(rule.to_string(), rule.reject());
        }
        let of = |kind| Rule::ALL.iter().filter(move |rule| rule.kind() == kind).map(|rule| rule.reject());
        assert_eq!(
            of(Kind::Mutated).collect::<Vec<_>>(),
            [
                "bad-block-encoding",
                "bad-txnmrklroot",
                "bad-txns-duplicate",
                "bad-witness-nonce-size",
                "bad-witness-merkle-match",
                "unexpected-witness"
            ]
        );
        assert_eq!(of(Kind::TooEarly).collect::<Vec<_>>(), ["time-too-new"]);
        assert_eq!(of(Kind::Unconnected).collect::<Vec<_>>(), ["prev-blk-not-found"]);
    }
}
