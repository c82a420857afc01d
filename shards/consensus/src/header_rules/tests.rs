//! Decides whether each header rule can be broken alone, and only where it binds.

use super::*;
use crate::Network;

/// Checks a header at `height` that is fine but for what `change` does to it.
fn check(network: Network, height: u32, change: impl Fn(&mut HeaderCx, &mut Header, &mut Header)) -> Result<(), Rule> {
    let params = Params::of(network);
    let (mut header, mut parent) = (params.genesis, params.genesis);
    (header.version, header.time, parent.time) = (4, 10_000, 9_000);
    let dummy = (header, parent);
    let mut cx = HeaderCx {
        params,
        height,
        header: &dummy.0,
        hash: BlockHash([0; 32]),
        parent: &dummy.1,
        mtp_parent: 8_000,
        next_bits: header.bits,
        now_unix: 10_000,
    };
    change(&mut cx, &mut header, &mut parent);
    check_header(&HeaderCx { header: &header, parent: &parent, ..cx })
}

#[test]
fn each_rule_alone() {
    let main = |change: fn(&mut HeaderCx, &mut Header, &mut Header)| check(Network::Main, 400_000, change);
    assert_eq!(main(|_, _, _| ()), Ok(()));
    assert_eq!(main(|cx, _, _| cx.hash = BlockHash([1; 32])), Err(Rule::HighHash));
    assert_eq!(main(|cx, _, _| cx.next_bits -= 1), Err(Rule::BadDiffbits));
    assert_eq!(main(|_, header, _| header.time = 8_001), Ok(()));
    assert_eq!(main(|_, header, _| header.time = 8_000), Err(Rule::TimeTooOld));
    assert_eq!(main(|_, header, _| header.time = 17_200), Ok(()));
    assert_eq!(main(|_, header, _| header.time = 17_201), Err(Rule::TimeTooNew));
    assert_eq!(main(|_, header, _| header.version = 3), Err(Rule::BadVersion));
    assert_eq!(main(|_, header, _| header.version = i32::MIN), Err(Rule::BadVersion), "versions are signed");
    assert_eq!(main(|_, header, _| header.version = 0x2000_0000), Ok(()));
}

#[test]
fn old_versions_end_where_their_bips_say() {
    for (height, least) in [(227_930, 1), (227_931, 2), (363_724, 2), (363_725, 3), (388_380, 3), (388_381, 4)] {
        let at = |version| check(Network::Main, height, |_, header, _| header.version = version);
        assert_eq!(at(least), Ok(()), "{height}");
        assert_eq!(at(least - 1), if least == 1 { Ok(()) } else { Err(Rule::BadVersion) }, "{height}");
    }
}

#[test]
fn timewarp_is_barred_on_testnet4_at_a_retarget() {
    let early =
        |network, height, time| check(network, height, |_, header, parent| (header.time, parent.time) = (time, 10_000));
    assert_eq!(early(Network::Testnet4, 2_016, 9_400), Ok(()));
    assert_eq!(early(Network::Testnet4, 2_016, 9_399), Err(Rule::TimeTimewarpAttack));
    assert_eq!(early(Network::Testnet4, 2_017, 9_399), Ok(()));
    assert_eq!(early(Network::Main, 2_016, 9_399).err(), None);
    // Core's -test=bip94 is one flag of the parameters.
    let regtest = Params { bip94: true, ..*Params::of(Network::Regtest) };
    let changed = |cx: &HeaderCx| check_header(&HeaderCx { params: &regtest, ..*cx });
    let genesis = regtest.genesis;
    let (header, parent) = (Header { version: 4, time: 9_399, ..genesis }, Header { time: 10_000, ..genesis });
    let cx = HeaderCx {
        params: Params::of(Network::Regtest),
        height: 144,
        header: &header,
        hash: BlockHash([0; 32]),
        parent: &parent,
        mtp_parent: 8_000,
        next_bits: genesis.bits,
        now_unix: 10_000,
    };
    assert_eq!((check_header(&cx), changed(&cx)), (Ok(()), Err(Rule::TimeTimewarpAttack)));
}
