//! Decides who answers a script that asks whether a signature holds: libsecp256k1 at once, or a
//! record of rows that says yes where a no would fail the input, and is settled later, many at a
//! time. Never knows a script.
//!
//! A script that went well over recorded rows went well only if every row turns out good, and of those of a CHECKMULTISIG
//! that was recorded as a whole enough for each of its signatures to have a key. One that failed after an assumption means
//! nothing. In both cases it is run again at once: see [`super::check_input_deferred`] for the whole dance.

use super::curve;
use super::{Item, Version};
use std::ops::Range;

/// A public key as a script gives it: 33 or 65 bytes that begin as such a key must.
#[derive(Copy, Clone, Debug)]
pub struct Key {
    len: u8,
    bytes: [u8; 65],
}

impl Key {
    /// `None` where the first byte and the length do not go together; whether they name a point is
    /// for the curve to say. Core `CPubKey::Set`.
    pub fn read(bytes: &[u8]) -> Option<Key> {
        let len = match bytes.first()? {
            2 | 3 => 33,
            4 | 6 | 7 => 65,
            _ => return None,
        };
        let mut key = Key { len, bytes: [0; 65] };
        key.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        (bytes.len() == usize::from(len)).then_some(key)
    }

    /// As they were given.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Answers the questions that a script has about signatures.
pub trait Checker {
    /// Whether this ECDSA signature (DER, without hash type) of this message holds. `fatal` says that
    /// the input fails if it does not; without, the script goes on, to another key or another branch.
    fn ecdsa(&mut self, key: &Key, der: &[u8], message: &[u8; 32], fatal: bool) -> bool;

    /// Whether this BIP340 signature of this message holds; the script fails if not.
    fn schnorr(&mut self, key: &[u8; 32], signature: &[u8; 64], message: &[u8; 32]) -> bool;

    /// Whether this output key (compressed) is the internal key and so many times the generator (BIP341); the script fails if
    /// not.
    fn tweak(&mut self, output: &[u8; 33], internal: &[u8; 32], tweak: &[u8; 32]) -> bool;

    /// Whether [`Checker::match_all`] does anything: then it is worth computing what it is asked.
    fn matches_all(&self) -> bool {
        false
    }

    /// Takes upon itself to find, in order, a key for each of these signatures (DER, without hash type; and the message that
    /// it signs), where the input fails if there is none for one of them. False: it does not, and is asked pair by pair.
    fn match_all(&mut self, _signatures: &[(&[u8], [u8; 32])], _keys: &[Key]) -> bool {
        false
    }

    /// Called before each operation with where it stands; for those who want to watch.
    fn watch(&mut self, _version: Version, _script: &[u8], _at: usize, _stack: &[Item], _alt: &[Item]) {}
}

/// Asks libsecp256k1 at once.
#[derive(Copy, Clone, Debug, Default)]
pub struct AtOnce;

impl Checker for AtOnce {
    fn ecdsa(&mut self, key: &Key, der: &[u8], message: &[u8; 32], _: bool) -> bool {
        curve::lax_der(der).is_some_and(|signature| curve::ecdsa_holds(key, &signature, message))
    }

    fn schnorr(&mut self, key: &[u8; 32], signature: &[u8; 64], message: &[u8; 32]) -> bool {
        curve::schnorr_holds(key, signature, message)
    }

    fn tweak(&mut self, output: &[u8; 33], internal: &[u8; 32], tweak: &[u8; 32]) -> bool {
        curve::tweak_holds(output, internal, tweak)
    }
}

/// A signature, or a tweak of a key, that was assumed to hold.
#[derive(Copy, Clone, Debug)]
pub enum Row {
    /// Key, signature (low-S), message.
    Ecdsa(Key, secp256k1::ecdsa::Signature, [u8; 32]),
    /// Key, signature, message.
    Schnorr([u8; 32], [u8; 64], [u8; 32]),
    /// Output key, compressed; internal key, tweak.
    Tweak([u8; 33], [u8; 32], [u8; 32]),
}

impl Row {
    /// Whether it does.
    pub fn holds(&self) -> bool {
        match self {
            Row::Ecdsa(key, signature, message) => curve::ecdsa_holds(key, signature, message),
            Row::Schnorr(key, signature, message) => curve::schnorr_holds(key, signature, message),
            Row::Tweak(output, internal, tweak) => curve::tweak_holds(output, internal, tweak),
        }
    }
}

/// Records what it is asked and says yes, wherever a no would fail the input: what cannot be read is
/// refused, and what steers a script is answered by libsecp256k1. So where that settles the rows, only what fails is ever
/// run again: no script that ends well, however it was meant, costs its signatures twice.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    /// To be settled, in the order of asking.
    pub rows: Vec<Row>,
    /// Whether a CHECKMULTISIG that leaves a choice of keys is recorded too, with all pairs that its order allows. That is for
    /// whoever settles rows for much less than libsecp256k1 does, which looks at some of them only.
    pub choices: bool,
    /// Signatures that steered a script since the last [`clear`](Recorder::clear): libsecp256k1 was asked of them at once.
    pub at_once: u64,
    choosing: Vec<Choice>,
}

/// The rows of a CHECKMULTISIG of so many signatures, ascending; for each signature those with the keys that it may go with.
#[derive(Clone, Copy, Debug)]
struct Choice {
    start: usize,
    signatures: usize,
    /// Keys that each signature may go with: of n keys for m signatures signature i may go with key i and n − m after it.
    keys: usize,
}

impl Choice {
    fn end(&self) -> usize {
        self.start + self.signatures * self.keys
    }

    /// Whether each signature has a key that is good, in order. Goes as CHECKMULTISIG does, from the last to the first: what
    /// it takes leaves the most for the others, so if there is any way, this finds one.
    fn holds(&self, mut good: impl FnMut(usize) -> bool) -> bool {
        let mut key = self.signatures + self.keys - 1;
        for signature in (0..self.signatures).rev() {
            loop {
                let Some(next) = key.checked_sub(1).filter(|next| *next >= signature) else { return false };
                key = next;
                if good(self.start + signature * self.keys + key - signature) {
                    break;
                }
            }
        }
        true
    }
}

impl Recorder {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.at_once = 0;
        self.truncate(0);
    }

    /// Forgets all but so many rows.
    pub fn truncate(&mut self, len: usize) {
        self.rows.truncate(len);
        while self.choosing.pop_if(|choice| choice.end() > len).is_some() {}
    }

    /// Whether an input that recorded these rows went well, given which of them are `good`.
    pub fn holds(&self, rows: Range<usize>, mut good: impl FnMut(usize) -> bool) -> bool {
        let (mut at, end) = (rows.start, rows.end);
        let first = self.choosing.partition_point(|choice| choice.start < at);
        let mut choices = self.choosing[first..].iter().take_while(|choice| choice.end() <= end);
        loop {
            let choice = choices.next();
            if !(at..choice.map_or(end, |choice| choice.start)).all(&mut good) {
                return false;
            }
            match choice {
                None => return true,
                Some(choice) if !choice.holds(&mut good) => return false,
                Some(choice) => at = choice.end(),
            }
        }
    }
}

impl Checker for Recorder {
    fn matches_all(&self) -> bool {
        self.choices
    }

    fn match_all(&mut self, signatures: &[(&[u8], [u8; 32])], keys: &[Key]) -> bool {
        let (start, keys_each) = (self.rows.len(), keys.len() + 1 - signatures.len());
        for (index, (der, message)) in signatures.iter().enumerate() {
            let Some(signature) = curve::lax_der(der) else {
                self.rows.truncate(start);
                return false;
            };
            let keys = &keys[index..index + keys_each];
            self.rows.extend(keys.iter().map(|key| Row::Ecdsa(*key, signature, *message)));
        }
        self.choosing.push(Choice { start, signatures: signatures.len(), keys: keys_each });
        true
    }

    fn ecdsa(&mut self, key: &Key, der: &[u8], message: &[u8; 32], fatal: bool) -> bool {
        let Some(signature) = curve::lax_der(der) else { return false };
        if !fatal {
            self.at_once += 1;
            return curve::ecdsa_holds(key, &signature, message);
        }
        self.rows.push(Row::Ecdsa(*key, signature, *message));
        true
    }

    fn schnorr(&mut self, key: &[u8; 32], signature: &[u8; 64], message: &[u8; 32]) -> bool {
        self.rows.push(Row::Schnorr(*key, *signature, *message));
        true
    }

    fn tweak(&mut self, output: &[u8; 33], internal: &[u8; 32], tweak: &[u8; 32]) -> bool {
        self.rows.push(Row::Tweak(*output, *internal, *tweak));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Flags, Machine, ScriptError, Spending, opcode::*};
    use crate::testing::spend;
    use crate::{CoinView, LoneTx};

    /// It can be read, and is nobody's.
    const SIGNATURE: [u8; 9] = [0x30, 6, 2, 1, 1, 2, 1, 1, 1];

    /// What the script says over the recorder, and how many rows it left.
    fn run(input: &[&[u8]], coin: &[&[u8]]) -> (Result<(), ScriptError>, usize) {
        let (mut tx, script) = (spend(), coin.concat());
        tx.inputs[0].script = input.concat();
        let tx = LoneTx::parse(tx.bytes(true).into()).unwrap();
        let coins = [CoinView { value: 1, height: 0, coinbase: false, script: &script }];
        let mut recorder = Recorder::default();
        let said = Machine::new().check(&Spending::new(tx.view(), &coins), 0, Flags::NONE, &mut recorder);
        (said, recorder.rows.len())
    }

    #[test]
    fn only_what_would_fail_the_input_is_assumed() {
        let signature = &[&[9][..], &SIGNATURE].concat()[..];
        let key = &[&[33, 2][..], &secp256k1::constants::GENERATOR_X].concat()[..];
        let two_of_two = [&[OP_1 + 1][..], key, key, &[OP_1 + 1]].concat();
        assert_eq!(run(&[signature], &[key, &[OP_CHECKSIG]]), (Ok(()), 1));
        assert_eq!(run(&[signature], &[key, &[OP_CHECKSIGVERIFY, OP_1]]), (Ok(()), 1));
        assert_eq!(run(&[signature], &[&[OP_1, OP_IF], key, &[OP_CHECKSIG, OP_ENDIF]]), (Ok(()), 1));
        assert_eq!(run(&[signature], &[key, &[OP_CHECKSIG, OP_NOT]]), (Ok(()), 0));
        assert_eq!(run(&[signature], &[key, &[OP_CHECKSIG, OP_DROP, OP_1]]), (Ok(()), 0));
        assert_eq!(run(&[signature, key, &[OP_CHECKSIG]], &[&[OP_NOT]]), (Ok(()), 0));
        let signatures = [&[0], signature, signature];
        assert_eq!(run(&signatures, &[&two_of_two, &[OP_CHECKMULTISIG]]), (Ok(()), 2));
        assert_eq!(run(&signatures, &[&two_of_two, &[OP_CHECKMULTISIG, OP_NOT]]), (Ok(()), 0));
        // One key is passed over, so the other decides.
        let one_of_two = [&[OP_1][..], key, key, &[OP_1 + 1]].concat();
        assert_eq!(run(&signatures[..2], &[&one_of_two, &[OP_CHECKMULTISIG]]), (Ok(()), 1));
    }
}
