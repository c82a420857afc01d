//! Decides how a script is written in the assembly of Bitcoin Core's answers (Core `ScriptToAsmStr`), for whoever compares.

use consensus::script::opcode::*;
use consensus::script::{is_strict_der, is_unspendable, next_op_at};

/// A script's assembly. With `signatures` the hash type of what can only be a signature is named and cut off, as for the
/// scripts of inputs.
pub fn asm(script: &[u8], signatures: bool) -> String {
    let signatures = signatures && !is_unspendable(script);
    let (mut words, mut at) = (Vec::new(), 0);
    while at < script.len() {
        let Some((op, data)) = next_op_at(script, &mut at) else {
            words.push("[error]".to_owned());
            break;
        };
        words.push(match op {
            ..=OP_PUSHDATA4 if data.len() <= 4 => number(data).to_string(),
            ..=OP_PUSHDATA4 => match data.split_last().and_then(|(last, rest)| Some((hash_type(*last)?, rest))) {
                Some((name, rest)) if signatures && is_strict_der(data) => format!("{}[{name}]", crate::hex(rest)),
                _ => crate::hex(data),
            },
            OP_1NEGATE => "-1".to_owned(),
            OP_1..=OP_16 => (op - OP_1 + 1).to_string(),
            0xff => "OP_INVALIDOPCODE".to_owned(),
            _ => name(op).unwrap_or("OP_UNKNOWN").to_owned(),
        });
    }
    words.join(" ")
}

/// A number as scripts write them: little-endian, the highest bit its sign.
fn number(data: &[u8]) -> i64 {
    let Some((last, rest)) = data.split_last() else { return 0 };
    let low = |bytes: &[u8]| bytes.iter().rev().fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
    let value = i64::from(last & 0x7f) << (8 * rest.len()) | low(rest);
    if last & 0x80 == 0 { value } else { -value }
}

fn hash_type(byte: u8) -> Option<&'static str> {
    Some(match byte {
        1 => "ALL",
        2 => "NONE",
        3 => "SINGLE",
        0x81 => "ALL|ANYONECANPAY",
        0x82 => "NONE|ANYONECANPAY",
        0x83 => "SINGLE|ANYONECANPAY",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{push, signature};
    use crate::unhex;

    #[test]
    fn numbers_names_and_signatures() {
        let of = |hex: &str| asm(&unhex(hex).unwrap(), false);
        assert_eq!(of("004f5160"), "0 -1 1 16");
        assert_eq!(
            of("018102018003010080 04ffffffff05ffffffffff".replace(' ', "").as_str()),
            "-1 -1 -1 -2147483647 ffffffffff"
        );
        assert_eq!(of("0301ff00"), "65281");
        assert_eq!(
            of("76a988acbabbff"),
            "OP_DUP OP_HASH160 OP_EQUALVERIFY OP_CHECKSIG OP_CHECKSIGADD OP_UNKNOWN OP_INVALIDOPCODE"
        );
        assert_eq!(of("510201"), "1 [error]");
        let script = push(&signature());
        let plain = crate::hex(&signature());
        assert_eq!(asm(&script, false), plain);
        assert_eq!(asm(&script, true), format!("{}[ALL]", &plain[..plain.len() - 2]));
        assert_eq!(asm(&[&[OP_RETURN], &script[..]].concat(), true), format!("OP_RETURN {plain}"));
    }
}
