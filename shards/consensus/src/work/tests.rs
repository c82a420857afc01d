//! Decides whether difficulty is right, by the vectors of Core's arith_uint256_tests and pow_tests.

use super::*;
use crate::Network;

fn params(network: Network) -> &'static Params {
    Params::of(network)
}

fn header(time: u32, bits: u32) -> Header {
    Header { time, bits, ..params(Network::Main).genesis }
}

#[test]
fn compact_forms() {
    for (bits, value, back) in [
        (0, 0, 0),
        (0x0012_3456, 0, 0),
        (0x0100_3456, 0, 0),
        (0x0200_0056, 0, 0),
        (0x0400_0000, 0, 0),
        (0x0092_3456, 0, 0),
        (0x0112_3456, 0x12, 0x0112_0000),
        (0x0212_3456, 0x1234, 0x0212_3400),
        (0x0312_3456, 0x12_3456, 0x0312_3456),
        (0x0412_3456, 0x1234_5600, 0x0412_3456),
        (0x0500_9234, 0x9234_0000, 0x0500_9234),
    ] {
        let (number, bad) = expand(bits);
        assert_eq!((number, bad), (U256::from(value), false), "{bits:08x}");
        assert_eq!(bits_of(number), back, "{bits:08x}");
        assert_eq!(target_of(bits), (value != 0).then_some(U256::from(value)));
    }
    assert_eq!(bits_of(U256::from(0x80)), 0x0200_8000);
    assert_eq!(expand(0x2012_3456).0, U256::from(0x12_3456) << 232);
    assert_eq!(bits_of(U256::from(0x12_3456) << 232), 0x2012_3456);
    for bad in [0x01fe_dcba, 0x0492_3456, 0xff12_3456, 0x2300_0001, 0x2201_0000, 0x2101_0000 << 1] {
        assert_eq!(target_of(bad), None, "{bad:08x}");
    }
}

/// The exponents at which each length of mantissa leaves 256 bits.
#[test]
fn compact_forms_overflow_at_256_bits() {
    for (fits, over) in [(0x2200_00ff, 0x2300_00ff), (0x2100_ffff, 0x2200_ffff), (0x207f_ffff, 0x217f_ffff)] {
        assert!(target_of(fits).is_some() && target_of(over).is_none());
    }
}

/// Chain work after the genesis block as Core reports it: 0x100010001 on mainnet, 2 on regtest.
#[test]
fn work_of_genesis_blocks() {
    assert_eq!(work_of(0x1d00_ffff), U256::from(0x1_0001_0001));
    assert_eq!(work_of(0x207f_ffff), U256::from(2));
    assert_eq!(work_of(0), U256::ZERO);
    assert_eq!(work_of(0x0492_3456), U256::ZERO);
    assert_eq!(work_of(0x0101_0000), U256::from(1) << 255, "a target of 1 asks for half of all hashes");
}

#[test]
fn proof_of_work() {
    let main = params(Network::Main);
    let one = BlockHash(U256::from(1).to_le_bytes());
    assert!(meets_target(&main.genesis_hash, 0x1d00_ffff, main));
    assert!(!meets_target(&main.genesis_hash, 0x1b00_ffff, main), "hash above target");
    let exactly = BlockHash(target_of(0x1d00_ffff).unwrap().to_le_bytes());
    assert!(meets_target(&exactly, 0x1d00_ffff, main));
    for bad in [0x1d80_ffff, !0x0080_0000, 0x1d01_fffe, 0] {
        assert!(!meets_target(&one, bad, main), "negative, overflowing, too easy, zero: {bad:08x}");
    }
}

/// Core pow_tests get_next_work, _pow_limit, _lower_limit_actual, _upper_limit_actual.
#[test]
fn retargets_of_mainnet() {
    let main = params(Network::Main);
    for (first, height, last, bits, expected) in [
        (1_261_130_161, 32_255, 1_262_152_739, 0x1d00_ffff, 0x1d00_d86a),
        (1_231_006_505, 2_015, 1_233_061_996, 0x1d00_ffff, 0x1d00_ffff),
        (1_279_008_237, 68_543, 1_279_297_671, 0x1c05_a3f4, 0x1c01_68fd),
        (1_263_163_443, 46_367, 1_269_211_443, 0x1c38_7f6f, 0x1d00_e1fd),
    ] {
        let ancestor = |at| {
            assert_eq!(at, height - 2015);
            header(first, 0)
        };
        assert_eq!(next_bits(main, &header(last, bits), height, ancestor, last), expected);
        assert!(permitted_transition(main, height + 1, bits, expected));
    }
    assert!(!permitted_transition(main, 68_544, 0x1c05_a3f4, 0x1c01_68fc));
    assert!(!permitted_transition(main, 46_368, 0x1c38_7f6f, 0x1d00_e1fe));
    assert!(permitted_transition(main, 5, 0x1c38_7f6f, 0x1c38_7f6f));
    assert!(!permitted_transition(main, 5, 0x1c38_7f6f, 0x1c38_7f6e));
    assert!(permitted_transition(params(Network::Testnet3), 5, 0x1c38_7f6f, 0x1c38_7f6e));
    let nobody = |_| panic!("no ancestor is needed between retargets");
    assert_eq!(next_bits(main, &header(9, 0x1c05_a3f4), 68_542, nobody, u32::MAX), 0x1c05_a3f4);
}

/// A block 20 minutes and a second late is easy; one in time is as hard as the last that was not.
#[test]
fn twenty_minute_rule_of_testnet() {
    let (test, limit, hard) = (params(Network::Testnet3), 0x1d00_ffff, 0x1c05_a3f4);
    let chain = |at: u32| header(0, if at > 2_500 { limit } else { hard - (2_500 - at) });
    let parent = |bits| header(1_000_000, bits);
    assert_eq!(next_bits(test, &parent(hard), 2_600, chain, 1_001_201), limit);
    assert_eq!(next_bits(test, &parent(hard), 2_600, chain, 1_001_200), hard);
    assert_eq!(next_bits(test, &parent(limit), 2_600, chain, 1_001_200), hard);
    // The walk back ends at the period's first block, easy or not.
    let easy = |at: u32| {
        if at >= 2_016 { header(0, limit) } else { panic!("before the period") }
    };
    assert_eq!(next_bits(test, &parent(limit), 2_600, easy, 1_000_001), limit);
}

/// BIP94: a retarget after an easy block starts from the period's first, real difficulty.
#[test]
fn retargets_of_testnet4_start_from_the_first_block() {
    let first = |_| header(0, 0x1c05_a3f4);
    let span = 14 * 24 * 60 * 60;
    let parent = header(span, 0x1d00_ffff);
    assert_eq!(next_bits(params(Network::Testnet4), &parent, 4_031, first, 0), 0x1c05_a3f4);
    assert_eq!(next_bits(params(Network::Testnet3), &parent, 4_031, first, 0), 0x1d00_ffff);
    assert_eq!(next_bits(params(Network::Regtest), &header(0, 0x207f_ffff), 143, first, 0), 0x207f_ffff);
}

/// Core `GetNextWorkRequired` asks for the 20 minutes only between retargets: a period's first block is as hard as its
/// period, however late it is. On testnet3 that is after the last block's bits, easy or not; on testnet4 after the
/// first's, scaled by the time the period took.
#[test]
fn a_period_s_first_block_cannot_be_easy() {
    let span = 14 * 24 * 60 * 60;
    let first = |at| {
        assert_eq!(at, 2_016);
        header(0, 0x1c05_a3f4)
    };
    let late = u32::MAX;
    for (network, last, took, expected) in [
        (Network::Testnet3, 0x1c05_a3f4, span, 0x1c05_a3f4),
        (Network::Testnet3, 0x1d00_ffff, span / 2, 0x1c7f_ff80),
        (Network::Testnet4, 0x1c05_a3f4, span, 0x1c05_a3f4),
        (Network::Testnet4, 0x1d00_ffff, span / 2, 0x1c02_d1fa),
        (Network::Testnet4, 0x1d00_ffff, span / 100, 0x1c01_68fd),
        (Network::Testnet4, 0x1d00_ffff, span * 2, 0x1c0b_47e8),
    ] {
        assert_eq!(next_bits(params(network), &header(took, last), 4_031, first, late), expected, "{network} {took}");
    }
}

/// Core's -test=bip94 leaves the targets of regtest alone: nothing retargets (`fPowNoRetargeting`), and the easiest is
/// the only one there is.
#[test]
fn regtest_never_retargets_even_with_bip94() {
    let (regtest, limit) = (Params { bip94: true, ..*params(Network::Regtest) }, 0x207f_ffff);
    for (height, time) in [(142, 600), (142, 9_999), (143, 600), (143, 9_999)] {
        let ancestor = |_| header(0, limit);
        assert_eq!(next_bits(&regtest, &header(0, limit), height, ancestor, time), limit);
    }
}
