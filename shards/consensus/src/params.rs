//! Decides what differs from network to network: constants, activation heights, exceptions,
//! genesis blocks. Never knows which network runs; whoever calls says so.
//!
//! All values are those of Core 31.99, `kernel/chainparams.cpp`; the table itself is in
//! `networks.rs`.

use crate::{BlockHash, CoinsHash, Deployment, Header, U256, Work, networks, sha256d};
use bytes::Bytes;
use std::{fmt, str::FromStr};

/// Satoshis per bitcoin.
pub const COIN: u64 = 100_000_000;
/// No amount may be larger, satoshis. Core `MAX_MONEY`.
pub const MAX_MONEY: u64 = 21_000_000 * COIN;

/// The first height that an earlier coinbase happens to have named, before coinbases had to. Core `ConnectBlock`.
pub const BIP34_IMPLIES_BIP30_LIMIT: u32 = 1_983_702;

/// The networks there are.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Network {
    /// The one with money on it.
    Main,
    /// The old test network.
    Testnet3,
    /// Its successor (BIP94).
    Testnet4,
    /// Blocks signed by a federation (BIP325).
    Signet,
    /// A private network with next to no proof of work.
    Regtest,
}

impl Network {
    /// Every network, in the order of [`Params`]' table.
    pub const ALL: [Network; 5] =
        [Network::Main, Network::Testnet3, Network::Testnet4, Network::Signet, Network::Regtest];

    /// `main`, `testnet3`, `testnet4`, `signet` or `regtest`.
    pub const fn name(self) -> &'static str {
        ["main", "testnet3", "testnet4", "signet", "regtest"][self as usize]
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no network.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a network: expected main, testnet3, testnet4, signet or regtest")]
pub struct UnknownNetwork;

impl FromStr for Network {
    type Err = UnknownNetwork;
    fn from_str(text: &str) -> Result<Network, UnknownNetwork> {
        Network::ALL.into_iter().find(|network| network.name() == text).ok_or(UnknownNetwork)
    }
}

/// The coins at one block, known well enough to start from. Core `AssumeutxoData`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct AssumeUtxo {
    /// Height of the block.
    pub height: u32,
    /// Its hash.
    pub block: BlockHash,
    /// `hash_serialized_3` of the coins that are unspent after it.
    pub coins: CoinsHash,
    /// Transactions in the chain up to and with it.
    pub txs: u64,
}

/// What one network's rules are made of. Heights named after a BIP are the first at which it
/// binds.
#[derive(Copy, Clone, Debug)]
pub struct Params {
    /// Whose these are.
    pub network: Network,
    /// First four bytes of every P2P message and block record.
    pub magic: [u8; 4],
    /// Default P2P port.
    pub port: u16,
    /// Height 0.
    pub genesis: Header,
    /// Its hash.
    pub genesis_hash: BlockHash,
    pub(crate) genesis_message: &'static str,
    pub(crate) genesis_key: &'static [u8],
    /// The easiest target allowed.
    pub pow_limit: U256,
    /// The 20-minute rule: a block that late may have the easiest target.
    pub min_difficulty_blocks: bool,
    /// Targets never change.
    pub no_retargeting: bool,
    /// BIP94: retargets start from the period's first block, and its time may not lie far back.
    pub bip94: bool,
    /// How long the blocks between two retargets should take, seconds.
    pub target_timespan: u32,
    /// How long one block should take, seconds.
    pub target_spacing: u32,
    /// Blocks between halvings of the subsidy.
    pub halving_interval: u32,
    /// Height in the coinbase; block version 2.
    pub bip34_height: u32,
    /// The block at that height on the known chain; all zero where none is relied upon.
    pub bip34_hash: BlockHash,
    /// OP_CHECKLOCKTIMEVERIFY; block version 4.
    pub bip65_height: u32,
    /// Strict DER signatures; block version 3.
    pub bip66_height: u32,
    /// Relative lock times (BIP68, 112) and median time past as lock time (BIP113).
    pub csv_height: u32,
    /// Witnesses (BIP141, 143, 147).
    pub segwit_height: u32,
    /// Blocks that may overwrite unspent coins: height and hash.
    pub bip30_exceptions: &'static [(u32, BlockHash)],
    /// Blocks in which neither P2SH nor witness rules bind, having been broken before they were
    /// rules.
    pub bip16_exceptions: &'static [BlockHash],
    /// Blocks in which of P2SH, witness and taproot rules the last do not bind.
    pub taproot_exceptions: &'static [BlockHash],
    /// What blocks may still signal for (BIP9).
    pub deployments: [Deployment; 1],
    /// The script that a solution in each block must satisfy (BIP325); none where blocks have no solutions.
    pub signet_challenge: Option<&'static [u8]>,
    /// Any chain worth storing has at least this much work.
    pub min_chain_work: Work,
    /// Scripts in this block and its ancestors are known to be valid; all zero where no block is relied upon.
    pub assume_valid: BlockHash,
    /// Where a snapshot of coins may be started from, lowest first.
    pub assume_utxo: &'static [AssumeUtxo],
    /// Names of DNS seeds, without a final dot.
    pub seeds: &'static [&'static str],
    /// Header presync: one bit is kept for every this many headers.
    pub presync_period: u32,
    /// Header presync: this many headers are held back in the second pass.
    pub presync_buffer: u32,
}

impl Params {
    /// A network's parameters.
    pub fn of(network: Network) -> &'static Params {
        &networks::TABLE[network as usize]
    }

    /// Signet with a challenge of its own: another magic, and nothing that is known of the public signet's chain.
    /// Core `SigNetParams`.
    pub fn signet_of(challenge: &'static [u8]) -> Params {
        // As a script is written into a transaction; one of more than 10,000 bytes can never be satisfied.
        let mut serialised = match u8::try_from(challenge.len()) {
            Ok(len) if len < 253 => vec![len],
            _ => [&[253][..], &u16::try_from(challenge.len()).expect("a script's length").to_le_bytes()].concat(),
        };
        serialised.extend_from_slice(challenge);
        let [a, b, c, d, ..] = sha256d(&serialised);
        Params {
            magic: [a, b, c, d],
            signet_challenge: Some(challenge),
            min_chain_work: U256::ZERO,
            assume_valid: BlockHash([0; 32]),
            assume_utxo: &[],
            seeds: &[],
            ..*Params::of(Network::Signet)
        }
    }

    /// Blocks from one retarget to the next.
    pub const fn interval(&self) -> u32 {
        self.target_timespan / self.target_spacing
    }

    /// The subsidy of the block at `height`, satoshis. Core `GetBlockSubsidy`.
    pub fn subsidy(&self, height: u32) -> u64 {
        (50 * COIN).checked_shr(height / self.halving_interval).unwrap_or(0)
    }

    /// Whether this block is one of the two that repeat an earlier coinbase. Core `IsBIP30Repeat`.
    pub fn bip30_exception(&self, height: u32, hash: &BlockHash) -> bool {
        self.bip30_exceptions.contains(&(height, *hash))
    }

    /// Whether the block must not make a coin that is already there (BIP30), as Core's
    /// `ConnectBlock` decides. `bip34_ancestor` is the hash of the block's ancestor at
    /// `bip34_height`, `None` while its parent lies below that.
    ///
    /// From there on the known chain's coinbases name their own height and cannot repeat, until
    /// 1,983,702, the first height that an earlier coinbase happens to have named.
    pub fn bip30_applies(&self, height: u32, hash: &BlockHash, bip34_ancestor: Option<&BlockHash>) -> bool {
        let known_chain = bip34_ancestor.is_some_and(|ancestor| *ancestor == self.bip34_hash);
        height >= BIP34_IMPLIES_BIP30_LIMIT || !known_chain && !self.bip30_exception(height, hash)
    }

    /// The genesis block as it would come over the wire. Its coinbase is no coin and never was.
    pub fn genesis_block(&self) -> Bytes {
        let mut script = vec![4, 0xff, 0xff, 0, 0x1d, 1, 4]; // pushes of 0x1d00ffff and of 4
        let message = self.genesis_message.as_bytes();
        if message.len() > 75 {
            script.push(76); // OP_PUSHDATA1
        }
        script.push(message.len() as u8);
        script.extend_from_slice(message);

        let mut block = self.genesis.to_bytes().to_vec();
        block.extend_from_slice(&[1, 1, 0, 0, 0, 1]); // one transaction, version 1, one input
        block.extend_from_slice(&[0; 32]);
        block.extend_from_slice(&[0xff; 4]);
        block.push(script.len() as u8);
        block.extend_from_slice(&script);
        block.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 1]); // sequence, one output
        block.extend_from_slice(&(50 * COIN).to_le_bytes());
        block.push(self.genesis_key.len() as u8 + 2);
        block.push(self.genesis_key.len() as u8);
        block.extend_from_slice(self.genesis_key);
        block.extend_from_slice(&[0xac, 0, 0, 0, 0]); // OP_CHECKSIG, lock time
        block.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Block, bits_of, check_block, meets_target};

    #[test]
    fn names_go_both_ways() {
        for network in Network::ALL {
            assert_eq!(network.to_string().parse(), Ok(network));
            assert_eq!(Params::of(network).network, network);
        }
        assert_eq!("mainnet".parse::<Network>(), Err(UnknownNetwork));
        assert_eq!(format!("{:>6}", Network::Main), "  main");
    }

    /// The hashes and roots are the ones asserted in Core's chainparams.cpp.
    #[test]
    fn genesis_blocks_hash_to_their_names() {
        for network in Network::ALL {
            let params = Params::of(network);
            let block = Block::parse(params.genesis_block()).unwrap();
            assert_eq!(block.header, params.genesis, "{network}");
            assert_eq!(block.hash, params.genesis_hash, "{network}");
            assert_eq!(check_block(&block), Ok(()), "{network}");
            assert!(meets_target(&block.hash, params.genesis.bits, params), "{network}");
            assert_eq!(bits_of(params.pow_limit), params.genesis.bits, "{network}");
            assert!(params.target_timespan.is_multiple_of(params.target_spacing));
        }
    }

    /// Core pow_tests: four times the timespan times the limit stays within 256 bits.
    #[test]
    fn retargets_cannot_overflow() {
        for params in Network::ALL.map(Params::of).iter().filter(|params| !params.no_retargeting) {
            let most = U256::MAX.checked_div(U256::from(u64::from(params.target_timespan) * 4)).unwrap();
            assert!(params.pow_limit < most, "{}", params.network);
        }
    }

    /// The public signet's own magic follows from its challenge; the others are BIP325's sum done by another
    /// program (hashlib of Python, twice over length and script).
    #[test]
    fn a_challenge_makes_a_signet() {
        let public = Params::of(Network::Signet);
        let same = Params::signet_of(public.signet_challenge.unwrap());
        assert_eq!((same.magic, same.genesis_hash, same.port), (public.magic, public.genesis_hash, public.port));
        assert_eq!((same.min_chain_work, same.assume_valid, same.seeds.len()), (U256::ZERO, BlockHash([0; 32]), 0));
        assert!(same.assume_utxo.is_empty());
        assert_eq!(Params::signet_of(&[0x51]).magic, [0x54, 0xd2, 0x6f, 0xbd]);
        assert_eq!(Params::signet_of(&[0x51; 252]).magic, [0xff, 0x52, 0xc2, 0x07]);
        assert_eq!(Params::signet_of(&[0x51; 253]).magic, [0xae, 0x28, 0x54, 0x78]);
        let others = Network::ALL.iter().filter(|network| Params::of(**network).signet_challenge.is_some());
        assert_eq!(others.collect::<Vec<_>>(), [&Network::Signet]);
    }

    /// Proof of work shows that no digit of a block's hash is wrong; heights and counts of transactions only grow.
    #[test]
    fn assumed_coins_lie_in_blocks_of_their_network() {
        let mut known = 0;
        for params in Network::ALL.map(Params::of) {
            for (index, row) in params.assume_utxo.iter().enumerate() {
                assert!(meets_target(&row.block, params.genesis.bits, params), "{} {}", params.network, row.height);
                assert!(row.txs > u64::from(row.height), "{} {}", params.network, row.height);
                let before = index.checked_sub(1).map(|index| params.assume_utxo[index]);
                assert!(before.is_none_or(|before| before.height < row.height && before.txs < row.txs));
                known += 1;
            }
        }
        assert_eq!(known, 13);
    }

    #[test]
    fn subsidy_halves_and_ends() {
        let main = Params::of(Network::Main);
        assert_eq!(main.subsidy(0), 5_000_000_000);
        assert_eq!(main.subsidy(209_999), 5_000_000_000);
        assert_eq!(main.subsidy(420_000), 1_250_000_000);
        assert_eq!(main.subsidy(32 * 210_000), 1);
        assert_eq!(main.subsidy(33 * 210_000), 0);
        assert_eq!(main.subsidy(u32::MAX), 0);
        assert_eq!(Params::of(Network::Regtest).subsidy(150), 2_500_000_000);
        // Core validation_tests subsidy_limit_test sums 1,000 heights at a time to this.
        let sum: u64 = (0..14_000_000).step_by(1000).map(|height| 1000 * main.subsidy(height)).sum();
        assert_eq!(sum, 2_099_999_997_690_000);
    }

    #[test]
    fn bip30_binds_as_in_connect_block() {
        let main = Params::of(Network::Main);
        let (height, repeat) = main.bip30_exceptions[0];
        assert_eq!((height, main.bip30_exceptions[1].0), (91_842, 91_880));
        let other = BlockHash([7; 32]);
        assert!(!main.bip30_applies(height, &repeat, None));
        assert!(main.bip30_applies(height, &other, None), "another block at that height");
        assert!(main.bip30_applies(height + 1, &repeat, None));
        assert!(!main.bip30_applies(300_000, &other, Some(&main.bip34_hash)));
        assert!(main.bip30_applies(300_000, &other, Some(&other)), "another chain");
        assert!(!main.bip30_applies(1_983_701, &other, Some(&main.bip34_hash)));
        assert!(main.bip30_applies(1_983_702, &other, Some(&main.bip34_hash)));
        assert!(Params::of(Network::Regtest).bip30_applies(500, &other, Some(&other)));
    }
}
