//! Decides from which height each rule binds on a network, and in which blocks it does not: the schedule that people are
//! shown, read from the very tables that check blocks. Never checks one.

use crate::{BLOCK_CONTEXT, BlockHash, HEADER, Params, Rule, script::Flags};

/// Of the heights at which rules begin: the rule is not one of this network's.
pub const NEVER: u32 = u32::MAX;

/// A change of the rules whose height is written down (BIP90).
#[derive(Copy, Clone, Debug)]
pub struct Buried {
    /// As Core's `getdeploymentinfo` names it.
    pub name: &'static str,
    /// As Core's `-testactivationheight` does.
    pub option: &'static str,
    /// Where its height is.
    pub height: fn(&mut Params) -> &mut u32,
}

impl Buried {
    /// The first height at which it binds.
    pub fn since(&self, params: &Params) -> u32 {
        *(self.height)(&mut { *params })
    }
}

/// All of them, in the order of Core's `BuriedDeployment`. Taproot is none: Core lets it bind from the first block on,
/// with an exception.
pub const BURIED: [Buried; 5] = [
    Buried { name: "bip34", option: "bip34", height: |params| &mut params.bip34_height },
    Buried { name: "bip65", option: "cltv", height: |params| &mut params.bip65_height },
    Buried { name: "bip66", option: "dersig", height: |params| &mut params.bip66_height },
    Buried { name: "csv", option: "csv", height: |params| &mut params.csv_height },
    Buried { name: "segwit", option: "segwit", height: |params| &mut params.segwit_height },
];

/// A set of script rules that consensus asks of a block's inputs.
#[derive(Copy, Clone, Debug)]
pub struct ScriptRule {
    /// The flag that asks for it.
    pub flag: Flags,
    /// The BIPs that say so.
    pub source: &'static str,
    /// The first height at which it binds.
    pub since: fn(&Params) -> u32,
    /// Lists of blocks in which it does not bind.
    pub exceptions: fn(&Params) -> [&'static [BlockHash]; 2],
}

impl ScriptRule {
    /// Whether it binds in the block `hash` at `height`.
    pub fn binds(&self, params: &Params, height: u32, hash: &BlockHash) -> bool {
        height >= (self.since)(params) && !(self.exceptions)(params).iter().any(|list| list.contains(hash))
    }
}

const NONE: fn(&Params) -> [&'static [BlockHash]; 2] = |_| [&[], &[]];
const BIP16: fn(&Params) -> [&'static [BlockHash]; 2] = |params| [params.bip16_exceptions, &[]];
const TAPROOT: fn(&Params) -> [&'static [BlockHash]; 2] = |params| [params.bip16_exceptions, params.taproot_exceptions];

/// Core `GetBlockScriptFlags`. What came by soft fork and was broken in one or two blocks only binds from the first
/// block on, but for these.
pub const SCRIPT_RULES: [ScriptRule; 7] = [
    ScriptRule { flag: Flags::P2SH, source: "BIP16", since: |_| 0, exceptions: BIP16 },
    ScriptRule { flag: Flags::DERSIG, source: "BIP66", since: |params| params.bip66_height, exceptions: NONE },
    ScriptRule {
        flag: Flags::CHECKLOCKTIMEVERIFY,
        source: "BIP65",
        since: |params| params.bip65_height,
        exceptions: NONE,
    },
    ScriptRule {
        flag: Flags::CHECKSEQUENCEVERIFY,
        source: "BIP112",
        since: |params| params.csv_height,
        exceptions: NONE,
    },
    ScriptRule { flag: Flags::NULLDUMMY, source: "BIP147", since: |params| params.segwit_height, exceptions: NONE },
    ScriptRule { flag: Flags::WITNESS, source: "BIP141, 143", since: |_| 0, exceptions: BIP16 },
    ScriptRule { flag: Flags::TAPROOT, source: "BIP341, 342", since: |_| 0, exceptions: TAPROOT },
];

impl Params {
    /// The script rules of the block `hash` at `height`. Core `GetBlockScriptFlags`.
    pub fn script_flags(&self, height: u32, hash: &BlockHash) -> Flags {
        let binding = SCRIPT_RULES.iter().filter(|rule| rule.binds(self, height, hash));
        binding.fold(Flags::NONE, |all, rule| all | rule.flag)
    }
}

impl Rule {
    /// The heights from which it binds on a network, [`NEVER`] for one that is not the network's: one for each row of the
    /// tables by height, or else just one.
    pub fn since(self, params: &Params) -> Vec<u32> {
        let header = HEADER.iter().filter(|(rule, ..)| *rule == self).map(|(_, since, _)| since(params));
        let block = BLOCK_CONTEXT.iter().filter(|(rule, ..)| *rule == self).map(|(_, since, _)| since(params));
        let mut since: Vec<u32> = header.chain(block).collect();
        if since.is_empty() {
            since.push(if self == Rule::SequenceLock { params.csv_height } else { 0 });
        }
        since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;

    fn of(network: Network) -> &'static Params {
        Params::of(network)
    }

    #[test]
    fn rules_begin_where_the_tables_say() {
        let main = of(Network::Main);
        assert_eq!(Rule::BadVersion.since(main), [227_931, 363_725, 388_381]);
        assert_eq!(Rule::BadCbHeight.since(main), [227_931]);
        assert_eq!(Rule::BadWitnessMerkleMatch.since(main), [481_824]);
        assert_eq!(Rule::TimeTimewarpAttack.since(main), [NEVER]);
        assert_eq!(Rule::TimeTimewarpAttack.since(of(Network::Testnet4)), [1]);
        assert_eq!(Rule::BadTxnsVinEmpty.since(main), [0]);
        for rule in Rule::ALL {
            assert!(Network::ALL.iter().all(|network| !rule.since(of(*network)).is_empty()), "{rule}");
        }
    }

    /// The one rule whose height is asked elsewhere, in `SpendCx`.
    #[test]
    fn sequence_locks_begin_where_they_are_asked() {
        for params in Network::ALL.map(of) {
            let since = Rule::SequenceLock.since(params)[0];
            let csv = |height| params.script_flags(height, &BlockHash([9; 32])).has(Flags::CHECKSEQUENCEVERIFY);
            assert!(csv(since) && !csv(since - 1), "{}", params.network);
        }
    }

    /// Core 31.99 `getdeploymentinfo` and the values in `kernel/chainparams.cpp`.
    #[test]
    fn buried_heights() {
        let heights = |network| BURIED.map(|buried| (buried.name, buried.since(of(network))));
        assert_eq!(
            heights(Network::Main),
            [("bip34", 227_931), ("bip65", 388_381), ("bip66", 363_725), ("csv", 419_328), ("segwit", 481_824)]
        );
        assert_eq!(heights(Network::Regtest).map(|(_, height)| height), [1, 1, 1, 1, 0]);
        let mut custom = *of(Network::Regtest);
        for (buried, height) in BURIED.iter().zip(10..) {
            *(buried.height)(&mut custom) = height;
        }
        let [bip34, bip65, bip66] = [custom.bip34_height, custom.bip65_height, custom.bip66_height];
        assert_eq!([bip34, bip65, bip66, custom.csv_height, custom.segwit_height], [10, 11, 12, 13, 14]);
    }

    #[test]
    fn script_rules_but_for_the_exceptions() {
        let main = of(Network::Main);
        let at = |height, hash| main.script_flags(height, &hash).to_string();
        let any = BlockHash([9; 32]);
        assert_eq!(at(0, any), "P2SH,WITNESS,TAPROOT");
        assert_eq!(at(363_725, any), "P2SH,DERSIG,WITNESS,TAPROOT");
        assert_eq!(at(419_327, any), "P2SH,DERSIG,CHECKLOCKTIMEVERIFY,WITNESS,TAPROOT");
        assert_eq!(at(481_824, any), "P2SH,DERSIG,NULLDUMMY,CHECKLOCKTIMEVERIFY,CHECKSEQUENCEVERIFY,WITNESS,TAPROOT");
        assert_eq!(at(170_060, main.bip16_exceptions[0]), "NONE");
        assert_eq!(
            at(692_261, main.taproot_exceptions[0]),
            "P2SH,DERSIG,NULLDUMMY,CHECKLOCKTIMEVERIFY,CHECKSEQUENCEVERIFY,WITNESS"
        );
    }
}
