//! Decides what can be said of a script without running it: its operations one by one, how many
//! signature checks it counts for, which of the known forms it has. Never runs anything.

use super::opcode::*;

/// A script longer than this cannot be run, so its coin cannot be spent. Core `MAX_SCRIPT_SIZE`.
pub const MAX_SCRIPT_SIZE: usize = 10_000;

/// What a multisig counts for when the number of its keys is not plain. Core
/// `MAX_PUBKEYS_PER_MULTISIG`.
pub(super) const MULTISIG_KEYS_MAX: u32 = 20;

/// The operation at `at` and the data it pushes (empty for none); moves `at` past it. `None` at the
/// end, and where a push runs past it: then past as much of the push as was read. Core `GetScriptOp`.
pub fn next_op_at<'a>(script: &'a [u8], at: &mut usize) -> Option<(u8, &'a [u8])> {
    let op = *script.get(*at)?;
    *at += 1;
    let rest = &script[*at..];
    let (len, len_bytes) = match op {
        OP_PUSHDATA1 => (usize::from(*rest.first()?), 1),
        OP_PUSHDATA2 => (usize::from(u16::from_le_bytes(*rest.first_chunk()?)), 2),
        OP_PUSHDATA4 => (u32::from_le_bytes(*rest.first_chunk()?) as usize, 4),
        0..OP_PUSHDATA1 => (usize::from(op), 0),
        _ => (0, 0),
    };
    *at += len_bytes;
    let data = rest[len_bytes..].get(..len)?;
    *at += len;
    Some((op, data))
}

/// Takes the first operation and its data off `script`; `None` as [`next_op_at`], and nothing taken.
pub fn next_op<'a>(script: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let mut at = 0;
    let op = next_op_at(script, &mut at)?;
    *script = &script[at..];
    Some(op)
}

/// Signature checks in `script`, up to the first operation that cannot be read. `accurate` counts
/// a multisig by the number pushed right before it. Core `CScript::GetSigOpCount`.
pub fn sigops(mut script: &[u8], accurate: bool) -> u32 {
    let (mut count, mut before) = (0, 0xff);
    while let Some((op, _)) = next_op(&mut script) {
        count += match op {
            OP_CHECKSIG | OP_CHECKSIGVERIFY => 1,
            OP_CHECKMULTISIG | OP_CHECKMULTISIGVERIFY if accurate && (OP_1..=OP_16).contains(&before) => {
                u32::from(before - OP_1) + 1
            }
            OP_CHECKMULTISIG | OP_CHECKMULTISIGVERIFY => MULTISIG_KEYS_MAX,
            _ => 0,
        };
        before = op;
    }
    count
}

/// OP_HASH160, 20 bytes, OP_EQUAL (BIP16).
pub fn is_p2sh(script: &[u8]) -> bool {
    matches!(script, [OP_HASH160, 20, hash @ .., OP_EQUAL] if hash.len() == 20)
}

/// The version and program of a witness program (BIP141): OP_0 or OP_1 to OP_16, then one push of
/// 2 to 40 bytes.
pub fn witness_program(script: &[u8]) -> Option<(u8, &[u8])> {
    match script {
        [op @ (0 | OP_1..=OP_16), len, program @ ..]
            if (2..=40).contains(&program.len()) && usize::from(*len) == program.len() =>
        {
            Some((if *op == 0 { 0 } else { op - OP_1 + 1 }, program))
        }
        _ => None,
    }
}

/// Whether nothing but pushes is in it. OP_RESERVED counts as a push. Core `CScript::IsPushOnly`.
pub(super) fn is_push_only(script: &[u8]) -> bool {
    last_push(script).is_some()
}

/// Version 1 with the program 4e73: spent by anyone (BIP433). Core `CScript::IsPayToAnchor`.
pub(super) fn is_anchor(version: u8, program: &[u8]) -> bool {
    version == 1 && program == [0x4e, 0x73]
}

/// What the last operation of a script of pushes pushes; empty for an empty script or a small
/// number, `None` if anything but a push is in it. OP_RESERVED counts as a push, as in Core.
pub fn last_push(mut script: &[u8]) -> Option<&[u8]> {
    let mut last = &[][..];
    while !script.is_empty() {
        match next_op(&mut script)? {
            (0..=OP_16, data) => last = data,
            _ => return None,
        }
    }
    Some(last)
}

/// Signature checks of the script that a P2SH input reveals; zero for other coins. Core
/// `GetP2SHSigOpCount`.
pub fn p2sh_sigops(coin_script: &[u8], input_script: &[u8]) -> u32 {
    let redeem = if is_p2sh(coin_script) { last_push(input_script) } else { None };
    redeem.map_or(0, |script| sigops(script, true))
}

/// Signature checks of a version 0 witness program, bare or wrapped in P2SH. `witness_last` is
/// the last item of the input's witness. Core `CountWitnessSigOps`.
pub fn witness_sigops(coin_script: &[u8], input_script: &[u8], witness_last: Option<&[u8]>) -> u32 {
    let wrapped = || {
        if is_p2sh(coin_script) { last_push(input_script).and_then(witness_program) } else { None }
    };
    match witness_program(coin_script).or_else(wrapped) {
        Some((0, program)) if program.len() == 20 => 1,
        Some((0, program)) if program.len() == 32 => witness_last.map_or(0, |script| sigops(script, true)),
        _ => 0,
    }
}

/// Whether no input can ever spend an output with this script: OP_RETURN first, or longer than
/// [`MAX_SCRIPT_SIZE`]. Such an output is never a coin. Core `CScript::IsUnspendable`.
pub fn is_unspendable(script: &[u8]) -> bool {
    script.first() == Some(&OP_RETURN) || script.len() > MAX_SCRIPT_SIZE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p2sh() -> Vec<u8> {
        [&[OP_HASH160, 20][..], &[7; 20], &[OP_EQUAL]].concat()
    }

    fn push(data: &[u8]) -> Vec<u8> {
        [&[data.len() as u8], data].concat()
    }

    /// The cases of Core's sigopcount_tests `GetSigOpCount`.
    #[test]
    fn legacy_and_accurate_counts() {
        let mut script = vec![OP_1];
        script.extend(push(&[0; 20]));
        script.extend(push(&[0; 20]));
        script.extend([OP_1 + 1, OP_CHECKMULTISIG]);
        assert_eq!((sigops(&script, true), sigops(&script, false)), (2, 20));
        script.extend([0x63, OP_CHECKSIG, 0x68]); // OP_IF .. OP_ENDIF
        assert_eq!((sigops(&script, true), sigops(&script, false)), (3, 21));

        let spend = [vec![0], push(&script)].concat(); // OP_0, then the script that P2SH reveals
        assert_eq!(p2sh_sigops(&p2sh(), &spend), 3);
        assert_eq!(p2sh_sigops(&script, &spend), 0, "not a P2SH coin");
        let not_only_pushes = [&spend[..], &[0x76]].concat();
        assert_eq!(p2sh_sigops(&p2sh(), &not_only_pushes), 0);
        assert_eq!(p2sh_sigops(&p2sh(), &[&spend[..], &[5, 1]].concat()), 0, "a push past the end");
        assert_eq!(p2sh_sigops(&p2sh(), &[]), 0);
    }

    #[test]
    fn counting_stops_where_reading_stops() {
        assert_eq!(sigops(&[OP_CHECKSIG, 2, OP_CHECKSIG], false), 1);
        assert_eq!(sigops(&[1, OP_CHECKSIG, OP_CHECKSIGVERIFY], false), 1, "pushed data is no operation");
        assert_eq!(sigops(&[OP_PUSHDATA2, 1, 0, 0xac, 0xac], false), 1);
        assert_eq!(sigops(&[OP_PUSHDATA4, 1, 0, 0, 0, 0xac, 0xac], false), 1);
        assert_eq!(sigops(&[OP_PUSHDATA4, 255, 255, 255, 255, 0xac], false), 0);
        assert_eq!(sigops(&[OP_PUSHDATA1], false), 0);
        assert_eq!(sigops(&[0, OP_CHECKMULTISIGVERIFY], true), 20, "OP_0 is not a plain number here");
    }

    /// The counts of Core's sigopcount_tests `GetTxSigOpCost`, there times the witness scale.
    #[test]
    fn witness_counts() {
        let key_hash = [&[0][..], &push(&[1; 20])].concat();
        let script_hash = [&[0][..], &push(&[1; 32])].concat();
        let multisig = [1, 1, OP_1 + 1, OP_CHECKMULTISIGVERIFY];
        assert_eq!(witness_sigops(&key_hash, &[], None), 1, "without a witness, too");
        assert_eq!(witness_sigops(&script_hash, &[], Some(&multisig)), 2);
        assert_eq!(witness_sigops(&script_hash, &[], None), 0);
        assert_eq!(witness_sigops(&p2sh(), &push(&key_hash), None), 1);
        assert_eq!(witness_sigops(&p2sh(), &push(&script_hash), Some(&multisig)), 2);
        assert_eq!(witness_sigops(&p2sh(), &[push(&key_hash), vec![0x76]].concat(), None), 0);
        let taproot = [&[OP_1][..], &push(&[1; 32])].concat();
        assert_eq!(witness_program(&taproot), Some((1, &[1; 32][..])));
        assert_eq!(witness_sigops(&taproot, &[], Some(&multisig)), 0);
        assert_eq!(witness_program(&[&[0][..], &push(&[1; 41])].concat()), None);
        assert_eq!(witness_program(&[0, 1, 1]), None);
        assert_eq!(witness_program(&[0, 3, 1, 1]), None);
    }

    #[test]
    fn never_coins() {
        assert!(is_unspendable(&[OP_RETURN]) && is_unspendable(&[0; 10_001]));
        assert!(!is_unspendable(&[]) && !is_unspendable(&[0; 10_000]) && !is_unspendable(&[0, OP_RETURN]));
    }
}
