//! Decides what operations do to items that need no transaction: moving, comparing, computing,
//! hashing. Never sees the script they stand in.

use super::machine::{Machine, NUMBER_LEN};
use super::opcode::*;
use super::{Item, ScriptError};
use crate::hash::hash160;
use crate::ripemd160::ripemd160;
use sha1::{Digest, Sha1};

const TOO_FEW: ScriptError = ScriptError::InvalidStackOperation;

impl<'a> Machine<'a> {
    fn need(&self, items: usize) -> Result<usize, ScriptError> {
        let len = self.stack.len();
        if len < items { Err(TOO_FEW) } else { Ok(len) }
    }

    pub(super) fn pop(&mut self) -> Result<Item<'a>, ScriptError> {
        self.stack.pop().ok_or(TOO_FEW)
    }

    /// OP_TOALTSTACK to OP_TUCK, OP_SIZE, OP_EQUAL, OP_EQUALVERIFY.
    pub(super) fn move_items(&mut self, op: u8, minimal: bool) -> Result<(), ScriptError> {
        match op {
            OP_TOALTSTACK => {
                let top = self.pop()?;
                self.alt.push(top);
            }
            OP_FROMALTSTACK => {
                let top = self.alt.pop().ok_or(ScriptError::InvalidAltstackOperation)?;
                self.stack.push(top);
            }
            OP_2DROP => {
                let len = self.need(2)?;
                self.stack.truncate(len - 2);
            }
            OP_2DUP => self.copy(2, 2)?,
            OP_3DUP => self.copy(3, 3)?,
            OP_2OVER => self.copy(4, 2)?,
            OP_2ROT => {
                let len = self.need(6)?;
                self.stack[len - 6..].rotate_left(2);
            }
            OP_2SWAP => {
                let len = self.need(4)?;
                self.stack[len - 4..].rotate_left(2);
            }
            OP_IFDUP => {
                let top = *self.top()?;
                if top.is_true() {
                    self.stack.push(top);
                }
            }
            OP_DEPTH => self.stack.push(Item::number(self.stack.len() as i64)),
            OP_DROP => {
                self.pop()?;
            }
            OP_DUP => self.copy(1, 1)?,
            OP_NIP => {
                let len = self.need(2)?;
                self.stack.swap_remove(len - 2);
            }
            OP_OVER => self.copy(2, 1)?,
            OP_PICK | OP_ROLL => self.pick(op == OP_ROLL, minimal)?,
            OP_ROT => {
                let len = self.need(3)?;
                self.stack[len - 3..].rotate_left(1);
            }
            OP_SWAP => {
                let len = self.need(2)?;
                self.stack.swap(len - 2, len - 1);
            }
            OP_TUCK => {
                let len = self.need(2)?;
                self.stack.insert(len - 2, self.stack[len - 1]);
            }
            OP_SIZE => {
                let size = self.top()?.bytes().len();
                self.stack.push(Item::number(size as i64));
            }
            _ => {
                let len = self.need(2)?;
                let equal = self.stack[len - 2].bytes() == self.stack[len - 1].bytes();
                self.stack.truncate(len - 2);
                self.leave(equal, op == OP_EQUALVERIFY, ScriptError::EqualVerify)?;
            }
        }
        Ok(())
    }

    /// The result of a comparison: an item, or for those that verify nothing or the error.
    pub(super) fn leave(&mut self, truth: bool, verify: bool, error: ScriptError) -> Result<(), ScriptError> {
        match (verify, truth) {
            (true, false) => return Err(error),
            (true, true) => {}
            (false, _) => self.stack.push(Item::bool(truth)),
        }
        Ok(())
    }

    /// Copies `count` items, the lowest of which is `from` below the end.
    fn copy(&mut self, from: usize, count: usize) -> Result<(), ScriptError> {
        let start = self.need(from)? - from;
        self.stack.extend_from_within(start..start + count);
        Ok(())
    }

    fn pick(&mut self, remove: bool, minimal: bool) -> Result<(), ScriptError> {
        self.need(2)?;
        let depth = self.top()?.as_number(minimal, NUMBER_LEN)?;
        self.stack.pop();
        let at =
            usize::try_from(depth).ok().and_then(|depth| self.stack.len().checked_sub(depth + 1)).ok_or(TOO_FEW)?;
        let item = if remove { self.stack.remove(at) } else { self.stack[at] };
        self.stack.push(item);
        Ok(())
    }

    /// OP_1ADD to OP_WITHIN: numbers of four bytes in, five out.
    pub(super) fn compute(&mut self, op: u8, minimal: bool) -> Result<(), ScriptError> {
        let count = match op {
            OP_1ADD..=OP_0NOTEQUAL => 1,
            OP_WITHIN => 3,
            _ => 2,
        };
        let start = self.need(count)? - count;
        let mut numbers = [0i64; 3];
        for (number, item) in numbers.iter_mut().zip(&self.stack[start..]) {
            *number = item.as_number(minimal, NUMBER_LEN)?;
        }
        self.stack.truncate(start);
        // Four bytes each: sums stay far within 64 bits.
        let [a, b, c] = numbers;
        let number = match op {
            OP_1ADD => a + 1,
            OP_1SUB => a - 1,
            OP_NEGATE => -a,
            OP_ABS => a.abs(),
            OP_ADD => a + b,
            OP_SUB => a - b,
            OP_MIN => a.min(b),
            OP_MAX => a.max(b),
            _ => {
                let truth = match op {
                    OP_NOT => a == 0,
                    OP_0NOTEQUAL => a != 0,
                    OP_BOOLAND => a != 0 && b != 0,
                    OP_BOOLOR => a != 0 || b != 0,
                    OP_NUMEQUAL | OP_NUMEQUALVERIFY => a == b,
                    OP_NUMNOTEQUAL => a != b,
                    OP_LESSTHAN => a < b,
                    OP_GREATERTHAN => a > b,
                    OP_LESSTHANOREQUAL => a <= b,
                    OP_GREATERTHANOREQUAL => a >= b,
                    OP_WITHIN => b <= a && a < c,
                    // What lies between was disabled in 2010 and never comes here.
                    other => unreachable!("{other:#x} computes nothing"),
                };
                return self.leave(truth, op == OP_NUMEQUALVERIFY, ScriptError::NumEqualVerify);
            }
        };
        self.stack.push(Item::number(number));
        Ok(())
    }

    /// OP_RIPEMD160 to OP_HASH256.
    pub(super) fn hash(&mut self, op: u8) -> Result<(), ScriptError> {
        let top = self.stack.last_mut().ok_or(TOO_FEW)?;
        *top = match op {
            OP_RIPEMD160 => Item::made(&ripemd160(top.bytes())),
            OP_SHA1 => Item::made(&Sha1::digest(top.bytes())),
            OP_SHA256 => Item::made(&crate::sha256(top.bytes())),
            OP_HASH160 => Item::made(&hash160(top.bytes())),
            _ => Item::made(&crate::sha256d(top.bytes())),
        };
        Ok(())
    }
}
