//! Whatever can be read is told, and nothing that lies in it ends in a panic: scripts and transactions of chance.

use crate::testing::{In, key, push, signature, tx};
use crate::*;
use consensus::Network;

/// Chance from a seed (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    /// Bytes that often mean something: operations of known scripts, keys, signatures, lengths.
    fn bytes(&mut self) -> Vec<u8> {
        const USUAL: [u8; 16] =
            [0, 1, 0x14, 0x20, 0x21, 0x4c, 0x51, 0x52, 0x63, 0x67, 0x68, 0x6a, 0x76, 0xa9, 0xac, 0xae];
        let mut bytes = Vec::new();
        for _ in 0..self.below(6) {
            match self.below(5) {
                0 => bytes.extend(push(&key())),
                1 => bytes.extend(push(&signature())),
                2 => bytes.push(self.below(256) as u8),
                3 => bytes.extend(vec![self.below(256) as u8; self.below(34) as usize]),
                _ => bytes.push(USUAL[self.below(16) as usize]),
            }
        }
        bytes.truncate(250);
        bytes
    }
}

#[test]
fn nothing_that_can_be_read_ends_in_a_panic() {
    let mut chance = Chance(20_140_601);
    let (mut kinds, mut addresses) = ([0; Kind::NAMES.len()], 0);
    for _ in 0..100_000 {
        let script = chance.bytes();
        let kind = Kind::of(&script);
        kinds[kind.number()] += 1;
        assert_eq!(kind == Kind::Bad, parse(&script).is_err() && kind.number() >= 10, "{}", hex(&script));
        assert!(!output(&script, Network::Main).is_empty() && !script::line(&script).is_empty());
        asm::asm(&script, true);
        for network in Network::ALL {
            let Some(address) = Address::of_script(&script) else { continue };
            addresses += 1;
            let text = address.text(network);
            assert_eq!(Address::parse(&text, network).unwrap(), address, "{text}");
            assert_eq!(address.script(), script, "{text}");
        }
    }
    println!("{kinds:?} of {:?}, {addresses} addresses", Kind::NAMES);
    assert!(addresses > 0 && kinds.iter().filter(|count| **count > 0).count() >= 5, "{kinds:?}");
    for _ in 0..20_000 {
        let some = |chance: &mut Chance| -> In {
            let witness = (0..chance.below(5)).map(|_| chance.bytes()).collect();
            (chance.below(3) as u8, chance.below(2) as u32, chance.bytes(), witness)
        };
        let inputs = (0..1 + chance.below(3)).map(|_| some(&mut chance)).collect();
        let outputs = (0..chance.below(3)).map(|_| (chance.below(u64::MAX), chance.bytes())).collect();
        let lone = tx(inputs, outputs);
        let (view, coin) = (lone.view(), chance.bytes());
        for one in view.inputs {
            assert!(!input(&view, one, Network::Regtest, None).is_empty());
            assert!(!input(&view, one, Network::Regtest, Some(&coin)).is_empty());
        }
        let mut text = String::new();
        dump::tx(&mut text, &view).unwrap();
        assert!(text.ends_with("lock_time: 9\n"));
        serde_json::to_string(&json::tx(&view, Network::Signet)).unwrap();
    }
}
