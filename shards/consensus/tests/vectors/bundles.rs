//! Decides whether 1,411 scripts that a fuzzer found interesting in Core 0.10 come out as they did
//! there; a later rule may refuse what was accepted, never the other way round.

use crate::files::hex;
use crate::made::{bundle, count, judge};
use bytes::Bytes;
use consensus::LoneTx;
use consensus::script::Flags;

#[test]
fn scripts_of_old() {
    let Some(files) = bundle("jonasnick-bitcoinconsensus_testcases") else { return };
    let (mut cases, mut unreadable) = (0, 0);
    for (name, content) in files {
        let content = String::from_utf8(content).unwrap();
        let lines: Vec<&str> = content.lines().collect();
        let [script, tx, index, flags, ..] = lines[..] else { panic!("{name}: {content}") };
        let (flags, index): (u32, u32) = (flags.trim().parse().unwrap(), index.trim().parse().unwrap());
        // Core 0.10 knew the first nine, and the ninth was CLEANSTACK without witnesses.
        let flags = Flags::from_bits(flags & 0xff).unwrap();
        let accepted = name.contains("positive");
        let Ok(tx) = LoneTx::parse(Bytes::from(hex(tx))) else {
            assert!(!accepted, "{name} cannot be read");
            unreadable += 1;
            continue;
        };
        let inputs = tx.view().inputs.len();
        let coins = vec![(0, hex(script)); inputs];
        let holds = (index as usize) < inputs && judge(&tx, &coins, index, flags).is_ok();
        assert_eq!(holds, accepted, "{name}: {flags}");
        cases += 1;
    }
    count(&format!("bitcoinconsensus_testcases ({unreadable} more that are no transactions)"), cases);
}
