//! Decides what becomes of one script: reads it operation by operation, keeps stack and conditions,
//! and holds to the limits. What an operation does to items is in `stack.rs`, what a signature
//! check does in `checksig.rs`. Never knows why it is run: see `verify.rs`.

use super::checker::Checker;
use super::opcode::*;
use super::shape::{MAX_SCRIPT_SIZE, next_op_at};
use super::sighash::{Midstates, Spending, Taproot};
use super::{Flags, Item, ScriptError};
use crate::facts::{LOCK_TIME_THRESHOLD, SEQUENCE_FINAL};
use crate::spend_rules::{LOCK_DISABLED, LOCK_IS_TIME, LOCK_MASK};

/// Core `MAX_SCRIPT_ELEMENT_SIZE`.
pub(super) const MAX_ITEM_SIZE: usize = 520;
/// Operations above OP_16 in one script, keys of a CHECKMULTISIG included. Core `MAX_OPS_PER_SCRIPT`.
pub(super) const MAX_OPS: u32 = 201;
/// Items on both stacks together. Core `MAX_STACK_SIZE`.
pub(super) const MAX_STACK_ITEMS: usize = 1_000;
/// Numbers that operations compute with, bytes. Core `CScriptNum::nDefaultMaxNumSize`.
pub(super) const NUMBER_LEN: usize = 4;
/// Numbers that are compared with lock times: these reach past 2^31. BIP65, BIP112.
const LOCK_LEN: usize = 5;

/// Which rules a script is under besides the flags. Core `SigVersion`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Version {
    /// Input and coin scripts, and those that P2SH reveals.
    Base,
    /// Scripts of version 0 witness programs (BIP141).
    Witness,
    /// Leaves of taproot trees (BIP342).
    Tapscript,
}

/// The stacks and buffers that all scripts share; one machine serves any number of inputs of bytes
/// that live for `'a`.
#[derive(Default)]
pub struct Machine<'a> {
    pub(super) stack: Vec<Item<'a>>,
    pub(super) alt: Vec<Item<'a>>,
    /// The stack as the input's script left it, for P2SH.
    pub(super) saved: Vec<Item<'a>>,
    pub(super) midstates: Midstates,
    /// A script code from which signatures are removed.
    pub(super) code: Vec<u8>,
}

/// The input that scripts are run for.
pub(super) struct InputCx<'c, 'a, C> {
    pub spending: &'c Spending<'a>,
    pub index: usize,
    pub flags: Flags,
    pub checker: &'c mut C,
    /// What taproot signatures sign beyond the transaction.
    pub taproot: Taproot,
    /// Whether the input's own script runs, of which the coin's makes what it likes.
    pub of_input: bool,
    /// Weight that a tapscript's signature checks have left (BIP342).
    pub weight_left: i64,
}

/// A script while it runs.
pub(super) struct Running<'a> {
    pub script: &'a [u8],
    pub version: Version,
    /// Offset of the next operation.
    pub at: usize,
    /// Offset after the last executed CODESEPARATOR.
    pub code_start: usize,
    /// Counted against [`MAX_OPS`].
    pub ops: u32,
    /// Number of the operation, pushes included (BIP342).
    pub position: u32,
    conditions: Conditions,
}

impl Running<'_> {
    /// Whether a false item left now is the input's failure: nothing follows that could make anything of it.
    pub fn is_last(&self, of_input: bool) -> bool {
        !of_input && self.script[self.at..].iter().all(|op| *op == OP_ENDIF)
    }
}

/// The branches a script is in: how many, and which is the outermost that is not taken. What lies
/// inside that one cannot be told apart. Core `ConditionStack`.
#[derive(Default)]
struct Conditions {
    depth: u32,
    first_false: Option<u32>,
}

impl Conditions {
    fn enter(&mut self, taken: bool) {
        if !taken && self.first_false.is_none() {
            self.first_false = Some(self.depth);
        }
        self.depth += 1;
    }

    /// OP_ELSE.
    fn turn(&mut self) -> Result<(), ScriptError> {
        let top = self.top()?;
        match self.first_false {
            None => self.first_false = Some(top),
            Some(first) if first == top => self.first_false = None,
            Some(_) => {}
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), ScriptError> {
        self.depth = self.top()?;
        if self.first_false == Some(self.depth) {
            self.first_false = None;
        }
        Ok(())
    }

    fn top(&self) -> Result<u32, ScriptError> {
        self.depth.checked_sub(1).ok_or(ScriptError::UnbalancedConditional)
    }
}

impl<'a> Machine<'a> {
    /// A machine with empty stacks.
    pub fn new() -> Machine<'a> {
        Machine::default()
    }

    /// Runs one script over the stack as it is. Core `EvalScript`.
    pub(super) fn run<C: Checker>(
        &mut self,
        script: &'a [u8],
        version: Version,
        cx: &mut InputCx<'_, '_, C>,
    ) -> Result<(), ScriptError> {
        let limited = version != Version::Tapscript;
        if limited && script.len() > MAX_SCRIPT_SIZE {
            return Err(ScriptError::ScriptSize);
        }
        self.alt.clear();
        let conditions = Conditions::default();
        let mut run = Running { script, version, at: 0, code_start: 0, ops: 0, position: 0, conditions };
        if let Some((_, separator)) = &mut cx.taproot.leaf {
            *separator = u32::MAX;
        }
        while run.at < script.len() {
            cx.checker.watch(version, script, run.at, &self.stack, &self.alt);
            let (op, data) = next_op_at(script, &mut run.at).ok_or(ScriptError::BadOpcode)?;
            if data.len() > MAX_ITEM_SIZE {
                return Err(ScriptError::PushSize);
            }
            if limited && op > OP_16 {
                run.ops += 1;
                if run.ops > MAX_OPS {
                    return Err(ScriptError::OpCount);
                }
            }
            if is_disabled(op) {
                return Err(ScriptError::DisabledOpcode);
            }
            if op == OP_CODESEPARATOR && version == Version::Base && cx.flags.has(Flags::CONST_SCRIPTCODE) {
                return Err(ScriptError::OpCodeseparator);
            }
            let live = run.conditions.first_false.is_none();
            if op <= OP_PUSHDATA4 {
                if live {
                    if cx.flags.has(Flags::MINIMALDATA) && !is_minimal_push(op, data) {
                        return Err(ScriptError::MinimalData);
                    }
                    self.stack.push(Item::Pushed(data));
                }
            } else if live || (OP_IF..=OP_ENDIF).contains(&op) {
                self.execute(op, live, &mut run, cx)?;
            }
            if self.stack.len() + self.alt.len() > MAX_STACK_ITEMS {
                return Err(ScriptError::StackSize);
            }
            run.position += 1;
        }
        if run.conditions.depth > 0 { Err(ScriptError::UnbalancedConditional) } else { Ok(()) }
    }

    fn execute<C: Checker>(
        &mut self,
        op: u8,
        live: bool,
        run: &mut Running<'a>,
        cx: &mut InputCx<'_, '_, C>,
    ) -> Result<(), ScriptError> {
        let minimal = cx.flags.has(Flags::MINIMALDATA);
        match op {
            OP_1NEGATE => self.stack.push(Item::small(0)),
            OP_1..=OP_16 => self.stack.push(Item::small(op - OP_1 + 1)),
            OP_NOP => {}
            OP_CHECKLOCKTIMEVERIFY if cx.flags.has(Flags::CHECKLOCKTIMEVERIFY) => {
                let wanted = lock_wanted(self.top()?, minimal)?;
                if !lock_time_reached(cx.spending, cx.index, wanted) {
                    return Err(ScriptError::UnsatisfiedLocktime);
                }
            }
            OP_CHECKSEQUENCEVERIFY if cx.flags.has(Flags::CHECKSEQUENCEVERIFY) => {
                let wanted = lock_wanted(self.top()?, minimal)?;
                if wanted & u64::from(LOCK_DISABLED) == 0 && !sequence_reached(cx.spending, cx.index, wanted) {
                    return Err(ScriptError::UnsatisfiedLocktime);
                }
            }
            // Without their flag these two are plain NOPs, not discouraged ones.
            OP_CHECKLOCKTIMEVERIFY | OP_CHECKSEQUENCEVERIFY => {}
            OP_NOP1 | OP_NOP4..=OP_NOP10 => {
                if cx.flags.has(Flags::DISCOURAGE_UPGRADABLE_NOPS) {
                    return Err(ScriptError::DiscourageUpgradableNops);
                }
            }
            OP_IF | OP_NOTIF => {
                let taken = live && self.condition(run.version, cx.flags)? == (op == OP_IF);
                run.conditions.enter(taken);
            }
            OP_ELSE => run.conditions.turn()?,
            OP_ENDIF => run.conditions.leave()?,
            OP_VERIFY => {
                if !self.top()?.is_true() {
                    return Err(ScriptError::Verify);
                }
                self.stack.pop();
            }
            OP_RETURN => return Err(ScriptError::OpReturn),
            OP_TOALTSTACK..=OP_TUCK | OP_SIZE | OP_EQUAL | OP_EQUALVERIFY => self.move_items(op, minimal)?,
            OP_1ADD..=OP_WITHIN => self.compute(op, minimal)?,
            OP_RIPEMD160..=OP_HASH256 => self.hash(op)?,
            OP_CODESEPARATOR => {
                run.code_start = run.at;
                if let Some((_, separator)) = &mut cx.taproot.leaf {
                    *separator = run.position;
                }
            }
            OP_CHECKSIG | OP_CHECKSIGVERIFY => self.checksig(op == OP_CHECKSIGVERIFY, run, cx)?,
            OP_CHECKSIGADD if run.version == Version::Tapscript => self.checksig_add(cx)?,
            OP_CHECKMULTISIG | OP_CHECKMULTISIGVERIFY => {
                if run.version == Version::Tapscript {
                    return Err(ScriptError::TapscriptCheckMultisig);
                }
                self.checkmultisig(op == OP_CHECKMULTISIGVERIFY, run, cx)?;
            }
            _ => return Err(ScriptError::BadOpcode),
        }
        Ok(())
    }

    /// Takes what IF decides by. Tapscript allows only an empty item and 01 (BIP342); before it
    /// that is policy.
    fn condition(&mut self, version: Version, flags: Flags) -> Result<bool, ScriptError> {
        let top = *self.top()?;
        if !matches!(top.bytes(), [] | [1]) {
            match version {
                Version::Tapscript => return Err(ScriptError::TapscriptMinimalIf),
                Version::Witness if flags.has(Flags::MINIMALIF) => return Err(ScriptError::MinimalIf),
                _ => {}
            }
        }
        self.stack.pop();
        Ok(top.is_true())
    }

    pub(super) fn top(&self) -> Result<&Item<'a>, ScriptError> {
        self.stack.last().ok_or(ScriptError::InvalidStackOperation)
    }
}

/// Whether a push could not be shorter. Core `CheckMinimalPush`.
fn is_minimal_push(op: u8, data: &[u8]) -> bool {
    match data {
        [] => op == OP_0,
        [1..=16 | 0x81] => false,
        _ => match data.len() {
            0..=75 => usize::from(op) == data.len(),
            76..=255 => op == OP_PUSHDATA1,
            256..=65_535 => op == OP_PUSHDATA2,
            _ => true,
        },
    }
}

fn lock_wanted(item: &Item, minimal: bool) -> Result<u64, ScriptError> {
    u64::try_from(item.as_number(minimal, LOCK_LEN)?).map_err(|_| ScriptError::NegativeLocktime)
}

/// BIP65. Core `CheckLockTime`: both are heights or both are times; and the input must not be
/// final, or the lock time would not bind at all.
fn lock_time_reached(spending: &Spending, index: usize, wanted: u64) -> bool {
    let (has, limit) = (u64::from(spending.view.tx.lock_time), u64::from(LOCK_TIME_THRESHOLD));
    (has < limit) == (wanted < limit) && wanted <= has && spending.view.inputs[index].sequence != SEQUENCE_FINAL
}

/// BIP112. Core `CheckSequence`: of the bits that BIP68 gives a meaning, kind and count.
fn sequence_reached(spending: &Spending, index: usize, wanted: u64) -> bool {
    let sequence = spending.view.inputs[index].sequence;
    let (kind, mask) = (u64::from(LOCK_IS_TIME), u64::from(LOCK_IS_TIME | LOCK_MASK));
    let (has, wanted) = (u64::from(sequence) & mask, wanted & mask);
    spending.view.tx.version >= 2 && sequence & LOCK_DISABLED == 0 && (has < kind) == (wanted < kind) && wanted <= has
}
