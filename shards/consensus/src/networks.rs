//! Decides nothing: the table of each network's parameters, from Core 31.99
//! `kernel/chainparams.cpp`. Never knows what they are used for.

use crate::{
    BlockHash, CoinsHash, Deployment, Header, U256,
    hash::{hex32, reversed},
    params::{AssumeUtxo, Network, Params},
};

const fn hash(text: &str) -> BlockHash {
    BlockHash(reversed(text))
}

/// A number written big-endian is the hash written the same way.
const fn number(text: &str) -> U256 {
    U256::from_le_bytes(reversed(text))
}

const fn genesis(root: &str, time: u32, bits: u32, nonce: u32) -> Header {
    Header { version: 1, prev: BlockHash([0; 32]), merkle_root: reversed(root), time, bits, nonce }
}

const fn assume_utxo(height: u32, block: &str, coins: &str, txs: u64) -> AssumeUtxo {
    AssumeUtxo { height, block: hash(block), coins: CoinsHash(reversed(coins)), txs }
}

/// Nobody can ever activate it: it is there to test with.
const TESTDUMMY: Deployment = Deployment {
    name: "testdummy",
    bit: 28,
    start: Deployment::NEVER_ACTIVE,
    timeout: Deployment::NO_TIMEOUT,
    min_height: 0,
    period: 2_016,
    threshold: 1_815,
};

/// 1 of 2 keys of the federation that signs the public signet's blocks.
const SIGNET_CHALLENGE: [u8; 71] = {
    let (Ok(a), Ok(b)) = (
        hex32("ad5e0edad18cb1f0fc0d28a3d4f1f3e445640337489abb10404f2d1e086be430"),
        hex32("59ef5021964fe22d6f8e05b2463c9540ce96883fe3b278760f048f5189f2e6c4"),
    ) else {
        panic!("not a key")
    };
    let mut script = [0; 71];
    // OP_1, the push of a compressed key and its first byte; the same again; OP_2, OP_CHECKMULTISIG.
    (script[0], script[1], script[2], script[35], script[36], script[69], script[70]) =
        (0x51, 33, 3, 33, 3, 0x52, 0xae);
    let mut i = 0;
    while i < 32 {
        (script[3 + i], script[37 + i]) = (a[i], b[i]);
        i += 1;
    }
    script
};

const GENESIS_MESSAGE: &str = "The Times 03/Jan/2009 Chancellor on brink of second bailout for banks";
const GENESIS_ROOT: &str = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b";
/// Satoshi's uncompressed public key: 04, x, y.
const GENESIS_KEY: [u8; 65] = {
    let (Ok(x), Ok(y)) = (
        hex32("678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb6"),
        hex32("49f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f"),
    ) else {
        panic!("not a key")
    };
    let mut key = [4; 65];
    let mut i = 0;
    while i < 32 {
        (key[1 + i], key[33 + i]) = (x[i], y[i]);
        i += 1;
    }
    key
};

const MAIN: Params = Params {
    network: Network::Main,
    magic: [0xf9, 0xbe, 0xb4, 0xd9],
    port: 8333,
    genesis: genesis(GENESIS_ROOT, 1_231_006_505, 0x1d00_ffff, 2_083_236_893),
    genesis_hash: hash("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"),
    genesis_message: GENESIS_MESSAGE,
    genesis_key: &GENESIS_KEY,
    pow_limit: number("00000000ffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
    min_difficulty_blocks: false,
    no_retargeting: false,
    bip94: false,
    target_timespan: 14 * 24 * 60 * 60,
    target_spacing: 10 * 60,
    halving_interval: 210_000,
    bip34_height: 227_931,
    bip34_hash: hash("000000000000024b89b42a942fe0d9fea3bb44ab7bd1b19115dd6a759c0808b8"),
    bip65_height: 388_381,
    bip66_height: 363_725,
    csv_height: 419_328,
    segwit_height: 481_824,
    // Hashes that no other network's block has, so the others may inherit them, as in Core.
    bip30_exceptions: &[
        (91_842, hash("00000000000a4d0a398161ffc163c503763b1f4360639393e0e4c8e300e0caec")),
        (91_880, hash("00000000000743f190a18c5577a3c2d2a1f610ae9601ac046a38084ccb7cd721")),
    ],
    bip16_exceptions: &[hash("00000000000002dc756eebf4f49723ed8d30cc28a5f108eb94b1ba88ac4f9c22")],
    taproot_exceptions: &[hash("0000000000000000000f14c35b2d841e986ab5441de8c585d5ffe55ea1e395ad")],
    deployments: [TESTDUMMY],
    signet_challenge: None,
    min_chain_work: number("0000000000000000000000000000000000000001128750f82f4c366153a3a030"),
    assume_valid: hash("00000000000000000000ccebd6d74d9194d8dcdc1d177c478e094bfad51ba5ac"), // height 938,343
    assume_utxo: &[
        assume_utxo(
            840_000,
            "0000000000000000000320283a032748cef8227873ff4872689bf23f1cda83a5",
            "a2a5521b1b5ab65f67818e5e8eccabb7171a517f9e2382208f77687310768f96",
            991_032_194,
        ),
        assume_utxo(
            880_000,
            "000000000000000000010b17283c3c400507969a9c2afd1dcf2082ec5cca2880",
            "dbd190983eaf433ef7c15f78a278ae42c00ef52e0fd2a54953782175fbadcea9",
            1_145_604_538,
        ),
        assume_utxo(
            910_000,
            "0000000000000000000108970acb9522ffd516eae17acddcb1bd16469194a821",
            "4daf8a17b4902498c5787966a2b51c613acdab5df5db73f196fa59a4da2f1568",
            1_226_586_151,
        ),
        assume_utxo(
            935_000,
            "0000000000000000000147034958af1652b2b91bba607beacc5e72a56f0fb5ee",
            "e4b90ef9eae834f56c4b64d2d50143cee10ad87994c614d7d04125e2a6025050",
            1_305_397_408,
        ),
    ],
    seeds: &[
        "dnsseed.bluematt.me",
        "seed.bitcoin.jonasschnelli.ch",
        "seed.btc.petertodd.net",
        "seed.bitcoin.sprovoost.nl",
        "dnsseed.emzy.de",
        "seed.bitcoin.wiz.biz",
        "seed.mainnet.achownodes.xyz",
    ],
    presync_period: 641,
    presync_buffer: 15_218,
};

const TESTNET3: Params = Params {
    network: Network::Testnet3,
    magic: [0x0b, 0x11, 0x09, 0x07],
    port: 18_333,
    genesis: genesis(GENESIS_ROOT, 1_296_688_602, 0x1d00_ffff, 414_098_458),
    genesis_hash: hash("000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943"),
    min_difficulty_blocks: true,
    bip34_height: 21_111,
    bip34_hash: hash("0000000023b3a96d3484e5abb3755c413e7d41500f8e2a5c3f0dd01299cd8ef8"),
    bip65_height: 581_885,
    bip66_height: 330_776,
    csv_height: 770_112,
    segwit_height: 834_624,
    bip16_exceptions: &[hash("00000000dd30457c001f4095d208cc1296b0eed002427aa599874af7a432b105")],
    taproot_exceptions: &[],
    deployments: [Deployment { threshold: 1_512, ..TESTDUMMY }],
    min_chain_work: number("0000000000000000000000000000000000000000000017dde1c649f3708d14b6"),
    assume_valid: hash("000000007a61e4230b28ac5cb6b5e5a0130de37ac1faf2f8987d2fa6505b67f4"), // height 4,842,348
    assume_utxo: &[
        assume_utxo(
            2_500_000,
            "0000000000000093bcb68c03a9a168ae252572d348a2eaeba2cdf9231d73206f",
            "f841584909f68e47897952345234e37fcd9128cd818f41ee6c3ca68db8071be7",
            66_484_552,
        ),
        assume_utxo(
            4_840_000,
            "00000000000000f4971a7fb37fbdff89315b69a2e1920c467654a382f0d64786",
            "ce6bb677bb2ee9789c4a1c9d73e6683c53fc20e8fdbedbdaaf468982a0c8db2a",
            536_078_574,
        ),
    ],
    seeds: &[
        "testnet-seed.bitcoin.jonasschnelli.ch",
        "seed.tbtc.petertodd.net",
        "seed.testnet.bitcoin.sprovoost.nl",
        "testnet-seed.bluematt.me",
        "seed.testnet.achownodes.xyz",
    ],
    presync_period: 673,
    presync_buffer: 14_460,
    ..MAIN
};

const TESTNET4: Params = Params {
    network: Network::Testnet4,
    magic: [0x1c, 0x16, 0x3f, 0x28],
    port: 48_333,
    genesis: genesis(
        "7aa0a7ae1e223414cb807e40cd57e667b718e42aaf9306db9102fe28912b7b4e",
        1_714_777_860,
        0x1d00_ffff,
        393_743_547,
    ),
    genesis_hash: hash("00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"),
    genesis_message: "03/May/2024 000000000000000000001ebd58c244970b3aa9d783bb001011fbe8ea8e98e00e",
    genesis_key: &[0; 33],
    bip94: true,
    bip34_height: 1,
    bip34_hash: BlockHash([0; 32]),
    bip65_height: 1,
    bip66_height: 1,
    csv_height: 1,
    segwit_height: 1,
    bip16_exceptions: &[],
    min_chain_work: number("0000000000000000000000000000000000000000000009a0fe15d0177d086304"),
    assume_valid: hash("0000000002368b1e4ee27e2e85676ae6f9f9e69579b29093e9a82c170bf7cf8a"), // height 123,613
    assume_utxo: &[
        assume_utxo(
            90_000,
            "0000000002ebe8bcda020e0dd6ccfbdfac531d2f6a81457191b99fc2df2dbe3b",
            "784fb5e98241de66fdd429f4392155c9e7db5c017148e66e8fdbc95746f8b9b5",
            11_347_043,
        ),
        assume_utxo(
            120_000,
            "000000000bd2317e51b3c5794981c35ba894ce27d3e772d5c39ecd9cbce01dc8",
            "10b05d05ad468d0971162e1b222a4aa66caca89da2bb2a93f8f37fb29c4794b0",
            14_141_057,
        ),
    ],
    seeds: &["seed.testnet4.bitcoin.sprovoost.nl", "seed.testnet4.wiz.biz"],
    presync_period: 606,
    presync_buffer: 16_092,
    ..TESTNET3
};

const SIGNET: Params = Params {
    network: Network::Signet,
    // The first bytes of the double SHA-256 of the challenge (BIP325).
    magic: [0x0a, 0x03, 0xcf, 0x40],
    port: 38_333,
    genesis: genesis(GENESIS_ROOT, 1_598_918_400, 0x1e03_77ae, 52_613_770),
    genesis_hash: hash("00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"),
    pow_limit: number("00000377ae000000000000000000000000000000000000000000000000000000"),
    bip34_height: 1,
    bip34_hash: BlockHash([0; 32]),
    bip65_height: 1,
    bip66_height: 1,
    csv_height: 1,
    segwit_height: 1,
    bip16_exceptions: &[],
    taproot_exceptions: &[],
    signet_challenge: Some(&SIGNET_CHALLENGE),
    min_chain_work: number("00000000000000000000000000000000000000000000000000000b463ea0a4b8"),
    assume_valid: hash("00000008414aab61092ef93f1aacc54cf9e9f16af29ddad493b908a01ff5c329"), // height 293,175
    assume_utxo: &[
        assume_utxo(
            160_000,
            "0000003ca3c99aff040f2563c2ad8f8ec88bd0fd6b8f0895cfaf1ef90353a62c",
            "fe0a44309b74d6b5883d246cb419c6221bcccf0b308c9b59b7d70783dbdf928a",
            2_289_496,
        ),
        assume_utxo(
            290_000,
            "0000000577f2741bb30cd9d39d6d71b023afbeb9764f6260786a97969d5c9ac0",
            "97267e000b4b876800167e71b9123f1529d13b14308abec2888bbd2160d14545",
            28_547_497,
        ),
    ],
    seeds: &["seed.signet.bitcoin.sprovoost.nl", "seed.signet.achownodes.xyz"],
    presync_period: 620,
    presync_buffer: 15_724,
    ..MAIN
};

const REGTEST: Params = Params {
    network: Network::Regtest,
    magic: [0xfa, 0xbf, 0xb5, 0xda],
    port: 18_444,
    genesis: genesis(GENESIS_ROOT, 1_296_688_602, 0x207f_ffff, 2),
    genesis_hash: hash("0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"),
    pow_limit: number("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
    min_difficulty_blocks: true,
    no_retargeting: true,
    target_timespan: 24 * 60 * 60,
    halving_interval: 150,
    segwit_height: 0,
    deployments: [Deployment { start: 0, period: 144, threshold: 108, ..TESTDUMMY }],
    signet_challenge: None,
    min_chain_work: U256::ZERO,
    assume_valid: BlockHash([0; 32]),
    assume_utxo: &[
        assume_utxo(
            110,
            "135eec25a6fb277884e5824e7aa7d052c4868161c99a5122170b5266f86c273d",
            "86e9a1205b418b16dde3a18a78c730e30137e28466bda5dbf6b33ab8fc05447c",
            111,
        ),
        assume_utxo(
            200,
            "385901ccbd69dff6bbd00065d01fb8a9e464dede7cfe0372443884f9b1dcf6b9",
            "17dcc016d188d16068907cdeb38b75691a118d43053b8cd6a25969419381d13a",
            201,
        ),
        assume_utxo(
            299,
            "0c552ced4721c249a389eb9b08cb8da261cd46f0e7b5f9d064d48f3113406853",
            "106b2c56233e378a824cf0d5ff2be42ed32c72f1605c9be288d00942908a40ac",
            334,
        ),
    ],
    seeds: &[],
    presync_period: 275,
    presync_buffer: 7_017,
    ..SIGNET
};

/// In the order of [`Network::ALL`].
pub(crate) static TABLE: [Params; 5] = [MAIN, TESTNET3, TESTNET4, SIGNET, REGTEST];
