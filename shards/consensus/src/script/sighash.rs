//! Decides what a signature signs: the three digests of a transaction (before segwit, BIP143,
//! BIP341 with BIP342), and what of them is computed once for all inputs. Never sees a key.
//!
//! ```text
//! Spending   one transaction and its coins: the hashes that all inputs share, made when first asked for
//! Midstates  one input: digests up to the hash type, by mode and script code (Core `SigHashCache`)
//! ```

use super::opcode::OP_CODESEPARATOR;
use super::shape::next_op_at;
use super::tagged::{count, end, input_counted, tagged};
use crate::hash::{sha256, sha256d};
use crate::{CoinView, TxView};
use bitcoin_hashes::HashEngine as _;
use bitcoin_hashes::sha256::{HashEngine, Midstate};
use std::cell::{OnceCell, RefCell};

const ALL: u32 = 1;
const NONE: u32 = 2;
const SINGLE: u32 = 3;
const ANYONE_CAN_PAY: u32 = 0x80;
/// The bits before segwit and in BIP143 that tell which outputs are signed.
const OUTPUT_BITS: u32 = 0x1f;
/// An input whose script is blank: outpoint, no script, sequence.
const BLANK_INPUT: usize = 36 + 1 + 4;

/// A transaction, the coins it spends, and what is hashed once for all its inputs.
#[derive(Debug)]
pub struct Spending<'a> {
    /// The transaction.
    pub view: TxView<'a>,
    /// The coin of each input, in order.
    pub coins: &'a [CoinView<'a>],
    digests: Digests,
}

/// What the inputs of a transaction share, as far as it has been asked for.
#[derive(Debug, Default)]
pub struct Digests {
    shared: OnceCell<Shared>,
    /// Its inputs as they are signed before segwit: scripts blank.
    blank_inputs: OnceCell<Vec<u8>>,
    /// An engine that has taken all before the input of this index, which the next one goes on with: of a transaction
    /// of many inputs, each hashes half of it only.
    before: RefCell<Option<(usize, HashEngine)>>,
}

/// SHA-256, once, of the parts that BIP143 and BIP341 sign; those two of the coins' are BIP341's.
#[derive(Debug)]
struct Shared {
    prevouts: [u8; 32],
    sequences: [u8; 32],
    outputs: [u8; 32],
    /// Their second hashes, which BIP143 signs.
    twice: [[u8; 32]; 3],
    coins: OnceCell<([u8; 32], [u8; 32])>,
}

impl<'a> Spending<'a> {
    /// A transaction that spends these coins, one for each input.
    pub fn new(view: TxView<'a>, coins: &'a [CoinView<'a>]) -> Spending<'a> {
        Spending::resume(view, coins, Digests::default())
    }

    /// The same with what was hashed for some of its inputs before.
    pub fn resume(view: TxView<'a>, coins: &'a [CoinView<'a>], digests: Digests) -> Spending<'a> {
        assert_eq!(view.inputs.len(), coins.len(), "a coin for each input");
        Spending { view, coins, digests }
    }

    /// What has been hashed, for [`Spending::resume`] of the same transaction and coins.
    pub fn into_digests(self) -> Digests {
        self.digests
    }

    fn shared(&self) -> &Shared {
        self.digests.shared.get_or_init(|| {
            let mut prevouts = HashEngine::new();
            let mut sequences = HashEngine::new();
            for input in self.view.inputs {
                prevouts.input(self.view.prevout(input));
                sequences.input(&input.sequence.to_le_bytes());
            }
            let (prevouts, sequences, outputs) = (end(prevouts), end(sequences), sha256(self.view.all_outputs()));
            let twice = [prevouts, sequences, outputs].map(|hash| sha256(&hash));
            Shared { prevouts, sequences, outputs, twice, coins: OnceCell::new() }
        })
    }

    fn coin_hashes(&self) -> &([u8; 32], [u8; 32]) {
        self.shared().coins.get_or_init(|| {
            let (mut amounts, mut scripts) = (HashEngine::new(), HashEngine::new());
            for coin in self.coins {
                amounts.input(&coin.value.to_le_bytes());
                input_counted(&mut scripts, coin.script);
            }
            (end(amounts), end(scripts))
        })
    }

    /// An engine that has taken version, count, and the blank inputs before this one.
    fn before(&self, index: usize) -> HashEngine {
        let mut kept = self.digests.before.borrow_mut();
        let (from, mut engine) = match kept.take() {
            Some((from, engine)) if from <= index => (from, engine),
            _ => {
                let mut engine = HashEngine::new();
                engine.input(&self.view.tx.version.to_le_bytes());
                count(&mut engine, self.view.inputs.len());
                (0, engine)
            }
        };
        engine.input(&self.blank_inputs()[from * BLANK_INPUT..index * BLANK_INPUT]);
        kept.insert((index, engine)).1.clone()
    }

    fn blank_inputs(&self) -> &[u8] {
        self.digests.blank_inputs.get_or_init(|| {
            let mut bytes = Vec::with_capacity(self.view.inputs.len() * BLANK_INPUT);
            for input in self.view.inputs {
                bytes.extend_from_slice(self.view.prevout(input));
                bytes.push(0);
                bytes.extend_from_slice(&input.sequence.to_le_bytes());
            }
            bytes
        })
    }
}

/// Digests of one input up to the hash type, by which outputs and inputs they cover. What differs
/// between two signatures of the same mode over the same script code is only the hash type, so a
/// script with many signatures hashes its transaction six times at most. Core `SigHashCache`.
#[derive(Default)]
pub(super) struct Midstates {
    kept: [Option<HashEngine>; 6],
    codes: [Vec<u8>; 6],
}

impl Midstates {
    /// For the next input.
    pub fn clear(&mut self) {
        self.kept = Default::default();
    }

    fn with(&mut self, hash_type: u32, code: &[u8], make: impl FnOnce(&mut HashEngine)) -> [u8; 32] {
        let outputs = match hash_type & OUTPUT_BITS {
            NONE => 1,
            SINGLE => 2,
            _ => 0,
        };
        let mode = outputs + if hash_type & ANYONE_CAN_PAY != 0 { 3 } else { 0 };
        let mut engine = match &self.kept[mode] {
            Some(engine) if self.codes[mode] == code => engine.clone(),
            _ => {
                let mut engine = HashEngine::new();
                make(&mut engine);
                self.codes[mode].clear();
                self.codes[mode].extend_from_slice(code);
                self.kept[mode].insert(engine).clone()
            }
        };
        engine.input(&hash_type.to_le_bytes());
        sha256(&end(engine))
    }
}

/// The digest before segwit of input `index` with this script code. In a transaction the hash type
/// is one byte; the digest has four.
pub fn legacy_digest(spending: &Spending, index: usize, code: &[u8], hash_type: u32) -> [u8; 32] {
    legacy(spending, index, code, hash_type, &mut Midstates::default())
}

/// The digest before segwit. `code` is the script from the last executed CODESEPARATOR on, without
/// the signatures that are removed from it. Core `SignatureHash`, `SigVersion::BASE`.
pub(super) fn legacy(spending: &Spending, index: usize, code: &[u8], hash_type: u32, kept: &mut Midstates) -> [u8; 32] {
    let view = &spending.view;
    if hash_type & OUTPUT_BITS == SINGLE && index >= view.outputs.len() {
        // The number one: Core has no output to sign and says so in the place of the digest.
        let mut one = [0; 32];
        one[0] = 1;
        return one;
    }
    kept.with(hash_type, code, |engine| legacy_parts(spending, index, code, hash_type, engine))
}

fn legacy_parts(spending: &Spending, index: usize, code: &[u8], hash_type: u32, engine: &mut HashEngine) {
    let view = &spending.view;
    let outputs = hash_type & OUTPUT_BITS;
    let this = &view.inputs[index];
    let own = |engine: &mut HashEngine| {
        engine.input(view.prevout(this));
        input_code(engine, code);
        engine.input(&this.sequence.to_le_bytes());
    };
    if hash_type & ANYONE_CAN_PAY != 0 {
        engine.input(&view.tx.version.to_le_bytes());
        count(engine, 1);
        own(engine);
    } else {
        let (before, rest) = spending.blank_inputs().split_at(index * BLANK_INPUT);
        let after = &rest[BLANK_INPUT..];
        if outputs == NONE || outputs == SINGLE {
            engine.input(&view.tx.version.to_le_bytes());
            count(engine, view.inputs.len());
            // The sequences of the others are not signed.
            let without = |part: &[u8], engine: &mut HashEngine| {
                for input in part.as_chunks::<BLANK_INPUT>().0 {
                    engine.input(&input[..37]);
                    engine.input(&[0; 4]);
                }
            };
            without(before, engine);
            own(engine);
            without(after, engine);
        } else {
            *engine = spending.before(index);
            own(engine);
            engine.input(after);
        }
    }
    match outputs {
        NONE => count(engine, 0),
        SINGLE => {
            count(engine, index + 1);
            // Value −1 and no script for those before it.
            (0..index).for_each(|_| engine.input(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]));
            engine.input(view.output(&view.outputs[index]));
        }
        _ => {
            count(engine, view.outputs.len());
            engine.input(view.all_outputs());
        }
    }
    engine.input(&view.tx.lock_time.to_le_bytes());
}

/// A script code is signed without its CODESEPARATORs. What follows an operation that cannot be
/// read is counted but not signed, as in Core `SerializeScriptCode`.
fn input_code(engine: &mut HashEngine, code: &[u8]) {
    let separators = Pieces { code, at: 0 }.count() - 1;
    count(engine, code.len() - separators);
    Pieces { code, at: 0 }.for_each(|piece| engine.input(piece));
}

/// The parts of a script between its CODESEPARATORs.
struct Pieces<'a> {
    code: &'a [u8],
    /// Past the end once the last was given.
    at: usize,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        if start > self.code.len() {
            return None;
        }
        loop {
            let op_at = self.at;
            match next_op_at(self.code, &mut self.at) {
                Some((OP_CODESEPARATOR, _)) => return Some(&self.code[start..op_at]),
                Some(_) => {}
                None => {
                    let stop = std::mem::replace(&mut self.at, usize::MAX);
                    return Some(&self.code[start..stop]);
                }
            }
        }
    }
}

/// The digest of BIP143.
pub(super) fn segwit(spending: &Spending, index: usize, code: &[u8], hash_type: u32, kept: &mut Midstates) -> [u8; 32] {
    kept.with(hash_type, code, |engine| {
        let (view, outputs) = (&spending.view, hash_type & OUTPUT_BITS);
        let (this, [prevouts, sequences, all_outputs]) = (&view.inputs[index], &spending.shared().twice);
        let (one, some) = (hash_type & ANYONE_CAN_PAY != 0, outputs == NONE || outputs == SINGLE);
        engine.input(&view.tx.version.to_le_bytes());
        engine.input(if one { &[0; 32] } else { prevouts });
        engine.input(if one || some { &[0; 32] } else { sequences });
        engine.input(view.prevout(this));
        input_counted(engine, code);
        engine.input(&spending.coins[index].value.to_le_bytes());
        engine.input(&this.sequence.to_le_bytes());
        match view.outputs.get(index) {
            _ if !some => engine.input(all_outputs),
            Some(output) if outputs == SINGLE => engine.input(&sha256d(view.output(output))),
            _ => engine.input(&[0; 32]),
        }
        engine.input(&view.tx.lock_time.to_le_bytes());
    })
}

/// What BIP341 and BIP342 sign beyond the transaction.
#[derive(Copy, Clone, Debug)]
pub(super) struct Taproot {
    /// SHA-256 of the annex with its length, where there is one.
    pub annex: Option<[u8; 32]>,
    /// In a script: its leaf hash, and the position of the last executed CODESEPARATOR.
    pub leaf: Option<([u8; 32], u32)>,
}

/// The digest of BIP341 and BIP342; `None` for hash types that it does not know and for SINGLE
/// without an output. Core `SignatureHashSchnorr`.
pub(super) fn taproot(spending: &Spending, index: usize, hash_type: u8, more: &Taproot) -> Option<[u8; 32]> {
    const TAG: Midstate = Midstate::hash_tag(b"TapSighash");
    let view = &spending.view;
    if !matches!(hash_type, 0..=3 | 0x81..=0x83) {
        return None;
    }
    let (kind, anyone_can_pay) = (u32::from(hash_type), u32::from(hash_type) & ANYONE_CAN_PAY != 0);
    let outputs = if kind == 0 { ALL } else { kind & 3 };
    let this = &view.inputs[index];
    let mut engine = tagged(TAG);
    engine.input(&[0, hash_type]); // the epoch, then the type
    engine.input(&view.tx.version.to_le_bytes());
    engine.input(&view.tx.lock_time.to_le_bytes());
    if !anyone_can_pay {
        let (shared, (amounts, scripts)) = (spending.shared(), spending.coin_hashes());
        engine.input(&shared.prevouts);
        engine.input(amounts);
        engine.input(scripts);
        engine.input(&shared.sequences);
    }
    if outputs == ALL {
        engine.input(&spending.shared().outputs);
    }
    engine.input(&[u8::from(more.leaf.is_some()) << 1 | u8::from(more.annex.is_some())]);
    if anyone_can_pay {
        let coin = &spending.coins[index];
        engine.input(view.prevout(this));
        engine.input(&coin.value.to_le_bytes());
        input_counted(&mut engine, coin.script);
        engine.input(&this.sequence.to_le_bytes());
    } else {
        engine.input(&(index as u32).to_le_bytes());
    }
    if let Some(annex) = &more.annex {
        engine.input(annex);
    }
    if outputs == SINGLE {
        engine.input(&sha256(view.output(view.outputs.get(index)?)));
    }
    if let Some((leaf, separator)) = &more.leaf {
        engine.input(leaf);
        engine.input(&[0]); // the version of keys
        engine.input(&separator.to_le_bytes());
    }
    Some(end(engine))
}
