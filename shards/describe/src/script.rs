//! Decides how a script is read for people: its operations as a tree, and the words they are shown in, both as the 2014
//! node had them. Never runs anything, and reads scripts that nobody could run.

use consensus::script::next_op_at;
use consensus::script::opcode::{self, *};
use std::fmt;

/// Conditions may lie so deep in each other. A script of more cannot be run: of its 201 operations (Core
/// `MAX_OPS_PER_SCRIPT`) two are needed for each; only tapscripts may, which are no output's script.
pub const DEPTH_MAX: usize = 100;

/// One operation of a script. Data is that of the script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Insn<'a> {
    /// Puts data on the stack. How it is written: 0 by an operation of its own (OP_0, OP_1NEGATE, OP_1 to OP_16), 1
    /// with its length before it, 2 to 4 by OP_PUSHDATA1, 2 and 4.
    Push(&'a [u8], u8),
    /// IF (or NOTIF, if not `sense`), what follows it, and what follows each ELSE.
    If {
        /// IF.
        sense: bool,
        /// At least one.
        branches: Vec<Vec<Insn<'a>>>,
    },
    /// Anything without a form of its own.
    Op(u8),
    /// CHECKSIG and its kin, and the script that a signature signs: from the last CODESEPARATOR before it to the end.
    Check(u8, &'a [u8]),
    /// OP_CODESEPARATOR.
    Separator,
}

/// Why a script has no tree.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum BadScript {
    /// The push at this offset runs past the end.
    PushPastEnd(usize),
    /// The ELSE or ENDIF at this offset belongs to no IF, or the script ends there inside one.
    Unbalanced(usize),
    /// The IF at this offset lies deeper than [`DEPTH_MAX`].
    TooDeep(usize),
}

impl fmt::Display for BadScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadScript::PushPastEnd(at) => write!(f, "the push at byte {at} runs past the end"),
            BadScript::Unbalanced(at) => write!(f, "IF and ENDIF do not match at byte {at}"),
            BadScript::TooDeep(at) => write!(f, "more than {DEPTH_MAX} IF within each other at byte {at}"),
        }
    }
}

const SMALL: [[u8; 1]; 17] = {
    let mut numbers = [[0]; 17];
    let mut n = 0;
    while n < 17 {
        numbers[n] = [n as u8];
        n += 1;
    }
    numbers
};

/// Reads a script.
pub fn parse(script: &[u8]) -> Result<Vec<Insn<'_>>, BadScript> {
    // What is being read, inside the conditions that are open.
    let (mut open, mut code, mut separator, mut at) = (Vec::<(bool, Vec<Vec<Insn>>)>::new(), Vec::new(), 0, 0);
    while at < script.len() {
        let start = at;
        let (op, data) = next_op_at(script, &mut at).ok_or(BadScript::PushPastEnd(start))?;
        let insn = match op {
            OP_0 => Insn::Push(data, 0),
            1..OP_PUSHDATA1 => Insn::Push(data, 1),
            OP_PUSHDATA1..=OP_PUSHDATA4 => Insn::Push(data, op - OP_PUSHDATA1 + 2),
            OP_1NEGATE => Insn::Push(&[0x81], 0),
            OP_1..=OP_16 => Insn::Push(&SMALL[usize::from(op - OP_1) + 1], 0),
            OP_IF | OP_NOTIF if open.len() == DEPTH_MAX => return Err(BadScript::TooDeep(start)),
            OP_IF | OP_NOTIF => {
                open.push((op == OP_IF, vec![std::mem::take(&mut code)]));
                continue;
            }
            OP_ELSE => {
                let (_, branches) = open.last_mut().ok_or(BadScript::Unbalanced(start))?;
                branches.push(std::mem::take(&mut code));
                continue;
            }
            OP_ENDIF => {
                let (sense, mut branches) = open.pop().ok_or(BadScript::Unbalanced(start))?;
                branches.push(std::mem::take(&mut code));
                // The first is what stood before the IF.
                code = branches.remove(0);
                Insn::If { sense, branches }
            }
            OP_CODESEPARATOR => {
                separator = at;
                Insn::Separator
            }
            OP_CHECKSIG..=OP_CHECKMULTISIGVERIFY | OP_CHECKSIGADD => Insn::Check(op, &script[separator..]),
            _ => Insn::Op(op),
        };
        code.push(insn);
    }
    if open.is_empty() { Ok(code) } else { Err(BadScript::Unbalanced(script.len())) }
}

/// A script in words, with those of conditions in lists of their own. Displayed as Python shows such a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Word {
    /// `OP_DUP`, `0x67a5`, nothing for no data.
    One(String),
    /// `IF`, words, `ELSE`, words.
    List(Vec<Word>),
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Word::One(word) => write!(f, "'{word}'"),
            Word::List(words) => {
                f.write_str("[")?;
                for (number, word) in words.iter().enumerate() {
                    write!(f, "{}{word}", if number > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
        }
    }
}

/// The name of an operation; `OP_INVALID_ff` for one that has none.
pub fn op_name(op: u8) -> String {
    opcode::name(op).map_or_else(|| format!("OP_INVALID_{op:02x}"), str::to_owned)
}

/// Pushed data as it is shown: nothing for none.
pub fn data_word(data: &[u8]) -> String {
    if data.is_empty() { String::new() } else { format!("0x{}", crate::hex(data)) }
}

/// Operations in words.
pub fn pprint(code: &[Insn]) -> Vec<Word> {
    let word = |insn: &Insn| match insn {
        Insn::Push(data, _) => Word::One(data_word(data)),
        Insn::If { sense, branches } => {
            let mut words = vec![Word::One(if *sense { "IF" } else { "NOTIF" }.into())];
            for (number, branch) in branches.iter().enumerate() {
                if number > 0 {
                    words.push(Word::One("ELSE".into()));
                }
                words.extend(pprint(branch));
            }
            Word::List(words)
        }
        Insn::Op(op) | Insn::Check(op, _) => Word::One(op_name(*op)),
        Insn::Separator => Word::One(op_name(OP_CODESEPARATOR)),
    };
    code.iter().map(word).collect()
}

/// A script as one line: its words, or its bytes as hex where it has none.
pub fn line(script: &[u8]) -> String {
    match parse(script) {
        Ok(code) => Word::List(pprint(&code)).to_string(),
        Err(_) => format!("'{}'", crate::hex(script)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unhex;

    fn shown(hex: &str) -> String {
        line(&unhex(hex).unwrap())
    }

    /// The example of the 2014 README.
    #[test]
    fn the_words_of_2014() {
        let script = unhex("76a91467a5b321d47682682249a4baa1cf53de4f6d270188ac").unwrap();
        let code = parse(&script).unwrap();
        let hash = &script[3..23];
        let all = [Insn::Op(118), Insn::Op(169), Insn::Push(hash, 1), Insn::Op(136), Insn::Check(172, &script)];
        assert_eq!(code, all);
        assert_eq!(
            line(&script),
            "['OP_DUP', 'OP_HASH160', '0x67a5b321d47682682249a4baa1cf53de4f6d2701', 'OP_EQUALVERIFY', 'OP_CHECKSIG']"
        );
        assert_eq!(shown("00514f604c01ff4d0100aa4e01000000bb"), "['', '0x01', '0x81', '0x10', '0xff', '0xaa', '0xbb']");
        assert_eq!(shown("6a50fe"), "['OP_RETURN', 'OP_RESERVED', 'OP_INVALID_fe']");
        assert_eq!(shown(""), "[]");
    }

    #[test]
    fn conditions_are_lists_and_may_have_many_elses() {
        assert_eq!(shown("516352675367546853"), "['0x01', ['IF', '0x02', 'ELSE', '0x03', 'ELSE', '0x04'], '0x03']");
        assert_eq!(shown("51646351686768"), "['0x01', ['NOTIF', ['IF', '0x01'], 'ELSE']]");
        for (bad, why) in [
            ("51635268", None),
            ("5163", Some(BadScript::Unbalanced(2))),
            ("5168", Some(BadScript::Unbalanced(1))),
            ("67", Some(BadScript::Unbalanced(0))),
            ("0201", Some(BadScript::PushPastEnd(0))),
            ("51 4d00".replace(' ', "").as_str(), Some(BadScript::PushPastEnd(1))),
        ] {
            assert_eq!(parse(&unhex(bad).unwrap()).err(), why, "{bad}");
        }
        assert_eq!(shown("0201"), "'0201'");
    }

    #[test]
    fn what_a_signature_signs_begins_behind_the_last_separator() {
        let script = unhex("51ab52ac53ad").unwrap();
        let code = parse(&script).unwrap();
        assert_eq!(code[3..], [Insn::Check(0xac, &script[2..]), Insn::Push(&[3], 0), Insn::Check(0xad, &script[2..])]);
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let nested = |n: usize| [vec![OP_IF; n], vec![OP_ENDIF; n]].concat();
        assert_eq!(parse(&nested(DEPTH_MAX)).unwrap().len(), 1);
        assert_eq!(line(&nested(DEPTH_MAX)).matches("IF").count(), DEPTH_MAX);
        assert_eq!(parse(&nested(DEPTH_MAX + 1)), Err(BadScript::TooDeep(DEPTH_MAX)));
        assert_eq!(parse(&vec![OP_IF; 1 << 20]), Err(BadScript::TooDeep(DEPTH_MAX)));
        // What a signature signs is not copied.
        assert_eq!(parse(&vec![0xac; 1 << 20]).unwrap().len(), 1 << 20);
    }
}
