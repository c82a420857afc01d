//! Decides whether an input may spend its coin: runs its script and the coin's on one stack, then
//! what P2SH reveals, then the witness program. Core `VerifyScript`. Never knows a block.

use super::checker::{AtOnce, Checker, Recorder, Row};
use super::checksig::check_schnorr;
use super::machine::{InputCx, MAX_ITEM_SIZE, MAX_STACK_ITEMS, Machine, Version};
use super::shape::{is_anchor, is_p2sh, is_push_only, next_op_at, witness_program};
use super::sighash::{Spending, Taproot};
use super::{Flags, Item, ScriptError, opcode, tagged};
use crate::Witness;
use crate::hash::hash160;

/// First byte of an annex (BIP341).
const ANNEX_TAG: u8 = 0x50;
/// Leaf version of a tapscript (BIP342).
const LEAF_TAPSCRIPT: u8 = 0xc0;
/// A control block: leaf version with parity, internal key, then a path of at most so many nodes.
const PATH_MAX: usize = 128;
/// What a tapscript may spend on signature checks besides its witness's size. Core
/// `VALIDATION_WEIGHT_OFFSET`.
const WEIGHT_OFFSET: i64 = 50;

/// Whether input `index` may spend its coin under `flags`, with libsecp256k1 asked at once.
pub fn check_input(spending: &Spending, index: u32, flags: Flags) -> Result<(), ScriptError> {
    Machine::new().check(spending, index, flags, &mut AtOnce)
}

/// The same with signatures recorded, settled at the end, and the script run again at once where
/// that is the only way to know.
pub fn check_input_deferred(spending: &Spending, index: u32, flags: Flags) -> Result<(), ScriptError> {
    let by_libsecp256k1 = |rows: &[Row]| rows.iter().map(Row::holds).collect();
    check_recorded(Recorder::default(), spending, index, flags, by_libsecp256k1)
}

/// The same where `prove` says which of the rows are good, those of choices among them; what it does not know it says no of.
pub fn check_input_proven(
    spending: &Spending,
    index: u32,
    flags: Flags,
    prove: impl FnOnce(&[Row]) -> Vec<bool>,
) -> Result<(), ScriptError> {
    let mut recorder = Recorder::default();
    recorder.choices = true;
    check_recorded(recorder, spending, index, flags, prove)
}

fn check_recorded(
    mut recorder: Recorder,
    spending: &Spending,
    index: u32,
    flags: Flags,
    prove: impl FnOnce(&[Row]) -> Vec<bool>,
) -> Result<(), ScriptError> {
    match Machine::new().check(spending, index, flags, &mut recorder) {
        Err(error) if recorder.rows.is_empty() => return Err(error),
        Ok(()) => {
            let good = prove(&recorder.rows);
            if recorder.holds(0..recorder.rows.len(), |row| good.get(row) == Some(&true)) {
                return Ok(());
            }
        }
        Err(_) => {}
    }
    check_input(spending, index, flags)
}

impl<'a> Machine<'a> {
    /// Whether input `index` may spend its coin under `flags`, as far as `checker` knows. The
    /// spending's bytes live as long as the machine's.
    pub fn check<C: Checker>(
        &mut self,
        spending: &Spending<'a>,
        index: u32,
        flags: Flags,
        checker: &mut C,
    ) -> Result<(), ScriptError> {
        assert!(flags.sound(), "{flags} lacks a flag that another one needs");
        let index = index as usize;
        let input = &spending.view.inputs[index];
        let (input_script, coin_script) = (spending.view.slice(input.script), spending.coins[index].script);
        let witness = spending.view.witness(input);
        let taproot = Taproot { annex: None, leaf: None };
        let cx = &mut InputCx { spending, index, flags, checker, taproot, of_input: true, weight_left: 0 };

        if flags.has(Flags::SIGPUSHONLY) && !is_push_only(input_script) {
            return Err(ScriptError::SigPushOnly);
        }
        self.stack.clear();
        self.midstates.clear();
        self.run(input_script, Version::Base, cx)?;
        cx.of_input = false;
        let reveals = flags.has(Flags::P2SH) && is_p2sh(coin_script);
        if reveals {
            self.saved.clone_from(&self.stack);
        }
        self.run(coin_script, Version::Base, cx)?;
        self.must_be_true()?;

        let mut had_witness = false;
        if flags.has(Flags::WITNESS)
            && let Some(program) = witness_program(coin_script)
        {
            if !input_script.is_empty() {
                return Err(ScriptError::WitnessMalleated);
            }
            had_witness = true;
            self.witness_program(program, false, witness.clone(), cx)?;
        }
        if reveals {
            had_witness |= self.revealed(input_script, witness.clone(), cx)?;
        }
        // What a witness program leaves was checked there.
        if flags.has(Flags::CLEANSTACK) && !had_witness && self.stack.len() != 1 {
            return Err(ScriptError::CleanStack);
        }
        if flags.has(Flags::WITNESS) && !had_witness && witness.clone().next().is_some() {
            return Err(ScriptError::WitnessUnexpected);
        }
        Ok(())
    }

    fn must_be_true(&self) -> Result<(), ScriptError> {
        if self.stack.last().is_some_and(Item::is_true) { Ok(()) } else { Err(ScriptError::EvalFalse) }
    }

    /// Runs the script that the input's last push reveals (BIP16); whether it was a witness program.
    fn revealed<C: Checker>(
        &mut self,
        input_script: &'a [u8],
        witness: Witness<'a>,
        cx: &mut InputCx<'_, 'a, C>,
    ) -> Result<bool, ScriptError> {
        if !is_push_only(input_script) {
            return Err(ScriptError::SigPushOnly);
        }
        std::mem::swap(&mut self.stack, &mut self.saved);
        let Some(Item::Pushed(script)) = self.stack.pop() else {
            unreachable!("the coin's script hashed an item, and pushes compute nothing")
        };
        self.run(script, Version::Base, cx)?;
        self.must_be_true()?;
        let program = if cx.flags.has(Flags::WITNESS) { witness_program(script) } else { None };
        let Some(program) = program else { return Ok(false) };
        // A witness program is short: its push is one byte and itself.
        if input_script.split_first() != Some((&(script.len() as u8), script)) {
            return Err(ScriptError::WitnessMalleatedP2sh);
        }
        self.witness_program(program, true, witness, cx)?;
        Ok(true)
    }

    /// Core `VerifyWitnessProgram`.
    fn witness_program<C: Checker>(
        &mut self,
        (version, program): (u8, &'a [u8]),
        revealed: bool,
        witness: Witness<'a>,
        cx: &mut InputCx<'_, 'a, C>,
    ) -> Result<(), ScriptError> {
        match (version, program.len()) {
            (0, 20) => self.key_hash(program, witness, cx),
            (0, 32) => {
                self.take_witness(witness);
                let Some(Item::Pushed(script)) = self.stack.pop() else {
                    return Err(ScriptError::WitnessProgramWitnessEmpty);
                };
                if crate::sha256(script) != program {
                    return Err(ScriptError::WitnessProgramMismatch);
                }
                self.run_witness(script, Version::Witness, cx)
            }
            (0, _) => Err(ScriptError::WitnessProgramWrongLength),
            (1, 32) if !revealed => match cx.flags.has(Flags::TAPROOT) {
                true => self.taproot(program.try_into().expect("32 bytes"), witness, cx),
                false => Ok(()),
            },
            _ if !revealed && is_anchor(version, program) => Ok(()),
            _ if cx.flags.has(Flags::DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM) => {
                Err(ScriptError::DiscourageUpgradableWitnessProgram)
            }
            _ => Ok(()),
        }
    }

    fn take_witness(&mut self, witness: Witness<'a>) {
        self.stack.clear();
        self.stack.extend(witness.map(Item::Pushed));
    }

    /// A program of 20 bytes stands for `DUP HASH160 program EQUALVERIFY CHECKSIG`, and that script
    /// is what is signed. Its steps can fail in few ways, so they are taken here one by one.
    fn key_hash<C: Checker>(
        &mut self,
        program: &[u8],
        mut witness: Witness<'a>,
        cx: &mut InputCx<'_, '_, C>,
    ) -> Result<(), ScriptError> {
        let (Some(signature), Some(key), None) = (witness.next(), witness.next(), witness.next()) else {
            return Err(ScriptError::WitnessProgramMismatch);
        };
        if signature.len().max(key.len()) > MAX_ITEM_SIZE {
            return Err(ScriptError::PushSize);
        }
        if hash160(key) != program {
            return Err(ScriptError::EqualVerify);
        }
        let mut script = [0; 25];
        script[..3].copy_from_slice(&[opcode::OP_DUP, opcode::OP_HASH160, 20]);
        script[3..23].copy_from_slice(program);
        script[23..].copy_from_slice(&[opcode::OP_EQUALVERIFY, opcode::OP_CHECKSIG]);
        match self.check_ecdsa(signature, key, &script, Version::Witness, true, cx)? {
            true => Ok(()),
            false => Err(ScriptError::EvalFalse),
        }
    }

    /// BIP341: an annex aside, one item is a signature by the output key; more are the arguments of
    /// a script, the script, and the control block that shows where the key commits to it.
    fn taproot<C: Checker>(
        &mut self,
        output_key: &[u8; 32],
        witness: Witness<'a>,
        cx: &mut InputCx<'_, 'a, C>,
    ) -> Result<(), ScriptError> {
        let weight = witness.size();
        self.take_witness(witness);
        if let [_, .., Item::Pushed(annex @ [ANNEX_TAG, ..])] = self.stack[..] {
            cx.taproot.annex = Some(tagged::annex_hash(annex));
            self.stack.pop();
        }
        match self.stack[..] {
            [] => Err(ScriptError::WitnessProgramWitnessEmpty),
            [signature] => check_schnorr(signature.bytes(), output_key, cx),
            [.., Item::Pushed(script), Item::Pushed(control)] => {
                self.stack.truncate(self.stack.len() - 2);
                let (leaf, hash) = committed_leaf(output_key, script, control, cx.checker)?;
                if leaf == LEAF_TAPSCRIPT {
                    cx.taproot.leaf = Some((hash, u32::MAX));
                    cx.weight_left = weight as i64 + WEIGHT_OFFSET;
                    return self.tapscript(script, cx);
                }
                match cx.flags.has(Flags::DISCOURAGE_UPGRADABLE_TAPROOT_VERSION) {
                    true => Err(ScriptError::DiscourageUpgradableTaprootVersion),
                    false => Ok(()),
                }
            }
            _ => unreachable!("a witness computes nothing"),
        }
    }

    /// BIP342: an OP_SUCCESS anywhere before the first operation that cannot be read overrides all.
    fn tapscript<C: Checker>(&mut self, script: &'a [u8], cx: &mut InputCx<'_, '_, C>) -> Result<(), ScriptError> {
        let mut at = 0;
        while at < script.len() {
            let (op, _) = next_op_at(script, &mut at).ok_or(ScriptError::BadOpcode)?;
            if opcode::is_success(op) {
                return match cx.flags.has(Flags::DISCOURAGE_OP_SUCCESS) {
                    true => Err(ScriptError::DiscourageOpSuccess),
                    false => Ok(()),
                };
            }
        }
        if self.stack.len() > MAX_STACK_ITEMS {
            return Err(ScriptError::StackSize);
        }
        self.run_witness(script, Version::Tapscript, cx)
    }

    /// Core `ExecuteWitnessScript`: exactly one item must be left, and true.
    fn run_witness<C: Checker>(
        &mut self,
        script: &'a [u8],
        version: Version,
        cx: &mut InputCx<'_, '_, C>,
    ) -> Result<(), ScriptError> {
        if self.stack.iter().any(|item| item.bytes().len() > MAX_ITEM_SIZE) {
            return Err(ScriptError::PushSize);
        }
        self.run(script, version, cx)?;
        if self.stack.len() != 1 {
            return Err(ScriptError::CleanStack);
        }
        self.must_be_true()
    }
}

/// The version and hash of the leaf that `control` shows the output key to commit to. Core
/// `VerifyTaprootCommitment`.
fn committed_leaf<C: Checker>(
    output_key: &[u8; 32],
    script: &[u8],
    control: &[u8],
    checker: &mut C,
) -> Result<(u8, [u8; 32]), ScriptError> {
    const WRONG: ScriptError = ScriptError::TaprootWrongControlSize;
    let (&first, rest) = control.split_first().ok_or(WRONG)?;
    let (internal, path) = rest.split_first_chunk::<32>().ok_or(WRONG)?;
    let (path, []) = path.as_chunks::<32>() else { return Err(WRONG) };
    if path.len() > PATH_MAX {
        return Err(WRONG);
    }
    let leaf = first & 0xfe;
    let hash = tagged::leaf_hash(leaf, script);
    let tweak = tagged::tweak(internal, &tagged::merkle_root(hash, path));
    let mut output = [2 | first & 1; 33];
    output[1..].copy_from_slice(output_key);
    match checker.tweak(&output, internal, &tweak) {
        true => Ok((leaf, hash)),
        false => Err(ScriptError::WitnessProgramMismatch),
    }
}
