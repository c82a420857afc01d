//! Decides what the operations do that check signatures: which encodings they take, what they
//! remove from the script code, in which order they try keys. Never asks the curve itself: that is
//! the checker's.

use super::checker::{Checker, Key};
use super::curve;
use super::machine::{InputCx, MAX_OPS, Machine, NUMBER_LEN, Running, Version};
use super::opcode::{OP_PUSHDATA1, OP_PUSHDATA2};
use super::shape::{MULTISIG_KEYS_MAX, next_op_at};
use super::sighash;
use super::{Flags, Item, ScriptError};

/// What a signature check in a tapscript costs of the input's weight. Core
/// `VALIDATION_WEIGHT_PER_SIGOP_PASSED`.
const SIGOP_WEIGHT: i64 = 50;

impl<'a> Machine<'a> {
    /// OP_CHECKSIG and OP_CHECKSIGVERIFY.
    pub(super) fn checksig<C: Checker>(
        &mut self,
        verify: bool,
        run: &Running<'a>,
        cx: &mut InputCx<'_, '_, C>,
    ) -> Result<(), ScriptError> {
        let [.., signature, key] = self.stack[..] else { return Err(ScriptError::InvalidStackOperation) };
        let holds = match run.version {
            Version::Tapscript => check_tapscript(signature.bytes(), key.bytes(), cx)?,
            version => {
                let (script, fatal) = (&run.script[run.code_start..], verify || run.is_last(cx.of_input));
                self.check_ecdsa(signature.bytes(), key.bytes(), script, version, fatal, cx)?
            }
        };
        self.stack.truncate(self.stack.len() - 2);
        self.leave(holds, verify, ScriptError::CheckSigVerify)
    }

    /// OP_CHECKSIGADD (BIP342).
    pub(super) fn checksig_add<C: Checker>(&mut self, cx: &mut InputCx<'_, '_, C>) -> Result<(), ScriptError> {
        let [.., signature, number, key] = self.stack[..] else { return Err(ScriptError::InvalidStackOperation) };
        let number = number.as_number(cx.flags.has(Flags::MINIMALDATA), NUMBER_LEN)?;
        let holds = check_tapscript(signature.bytes(), key.bytes(), cx)?;
        self.stack.truncate(self.stack.len() - 3);
        self.stack.push(Item::number(number + i64::from(holds)));
        Ok(())
    }

    /// One signature over `script`, its own pushes removed before segwit. Core
    /// `EvalChecksigPreTapscript`.
    pub(super) fn check_ecdsa<C: Checker>(
        &mut self,
        signature: &[u8],
        key: &[u8],
        script: &[u8],
        version: Version,
        fatal: bool,
        cx: &mut InputCx<'_, '_, C>,
    ) -> Result<bool, ScriptError> {
        let mut scratch = std::mem::take(&mut self.code);
        let code = match version {
            Version::Base => without_signatures(script, [signature].into_iter(), cx.flags, &mut scratch),
            _ => Ok(script),
        };
        let checked = code.and_then(|code| self.check_pair(signature, key, code, version, fatal, cx));
        self.code = scratch;
        let holds = checked?;
        if !holds && cx.flags.has(Flags::NULLFAIL) && !signature.is_empty() {
            return Err(ScriptError::SigNullFail);
        }
        Ok(holds)
    }

    /// Whether one signature goes with one key. Core `CheckECDSASignature`, after the encodings.
    fn check_pair<C: Checker>(
        &mut self,
        signature: &[u8],
        key: &[u8],
        code: &[u8],
        version: Version,
        fatal: bool,
        cx: &mut InputCx<'_, '_, C>,
    ) -> Result<bool, ScriptError> {
        check_signature_encoding(signature, cx.flags)?;
        check_key_encoding(key, version, cx.flags)?;
        let (Some(key), Some((&hash_type, der))) = (Key::read(key), signature.split_last()) else {
            return Ok(false);
        };
        let digest = if version == Version::Base { sighash::legacy } else { sighash::segwit };
        let message = digest(cx.spending, cx.index, code, hash_type.into(), &mut self.midstates);
        Ok(cx.checker.ecdsa(&key, der, &message, fatal))
    }

    /// OP_CHECKMULTISIG and OP_CHECKMULTISIGVERIFY. From the top down: the number of keys, the keys,
    /// the number of signatures, the signatures, and one item too many.
    pub(super) fn checkmultisig<C: Checker>(
        &mut self,
        verify: bool,
        run: &mut Running<'a>,
        cx: &mut InputCx<'_, '_, C>,
    ) -> Result<(), ScriptError> {
        const TOO_FEW: ScriptError = ScriptError::InvalidStackOperation;
        let minimal = cx.flags.has(Flags::MINIMALDATA);
        let len = self.stack.len();
        let keys = self.top()?.as_number(minimal, NUMBER_LEN)?;
        if !(0..=i64::from(MULTISIG_KEYS_MAX)).contains(&keys) {
            return Err(ScriptError::PubkeyCount);
        }
        run.ops += keys as u32;
        if run.ops > MAX_OPS {
            return Err(ScriptError::OpCount);
        }
        let keys_start = len.checked_sub(1 + keys as usize).ok_or(TOO_FEW)?;
        let count_at = keys_start.checked_sub(1).ok_or(TOO_FEW)?;
        let signatures = self.stack[count_at].as_number(minimal, NUMBER_LEN)?;
        if !(0..=keys).contains(&signatures) {
            return Err(ScriptError::SigCount);
        }
        let start = count_at.checked_sub(signatures as usize).ok_or(TOO_FEW)?;
        // Satoshi's off-by-one; it must be there before any signature is looked at.
        let dummy = start.checked_sub(1).ok_or(TOO_FEW)?;

        let mut scratch = std::mem::take(&mut self.code);
        let script = &run.script[run.code_start..];
        let code = match run.version {
            Version::Base => {
                let removed = self.stack[start..count_at].iter().rev().map(|item| item.bytes());
                without_signatures(script, removed, cx.flags, &mut scratch)
            }
            _ => Ok(script),
        };
        let fatal = verify || run.is_last(cx.of_input);
        let (signatures, keys) = (start..count_at, keys_start..len - 1);
        let matched = code.and_then(|code| self.match_keys(signatures, keys, code, run.version, fatal, cx));
        self.code = scratch;
        let holds = matched?;

        let all_empty = self.stack[start..count_at].iter().all(|item| item.bytes().is_empty());
        if !holds && cx.flags.has(Flags::NULLFAIL) && !all_empty {
            return Err(ScriptError::SigNullFail);
        }
        if cx.flags.has(Flags::NULLDUMMY) && !self.stack[dummy].bytes().is_empty() {
            return Err(ScriptError::SigNullDummy);
        }
        self.stack.truncate(dummy);
        self.leave(holds, verify, ScriptError::CheckMultisigVerify)
    }

    /// Goes through keys and signatures from the last to the first: a key that does not fit is
    /// passed over, as long as enough are left.
    fn match_keys<C: Checker>(
        &mut self,
        signatures: std::ops::Range<usize>,
        keys: std::ops::Range<usize>,
        code: &[u8],
        version: Version,
        fatal: bool,
        cx: &mut InputCx<'_, '_, C>,
    ) -> Result<bool, ScriptError> {
        if fatal && signatures.len() < keys.len() && self.match_all(signatures.clone(), keys.clone(), code, version, cx)
        {
            return Ok(true);
        }
        let (mut signatures, mut keys) = (signatures, keys);
        while let Some(signature) = signatures.clone().next_back() {
            if signatures.len() > keys.len() {
                return Ok(false);
            }
            let fatal = fatal && signatures.len() == keys.len();
            let key = keys.next_back().expect("as many keys as signatures, at least");
            let (signature, key) = (self.stack[signature], self.stack[key]);
            if self.check_pair(signature.bytes(), key.bytes(), code, version, fatal, cx)? {
                signatures.next_back();
            }
        }
        Ok(true)
    }
}

impl Machine<'_> {
    /// Hands all signatures and keys to a checker that wants to match them itself. Only where that is as good as going pair
    /// by pair: no encoding of a signature can end the script, and none of a key, which would depend on how far it gets.
    fn match_all<C: Checker>(
        &mut self,
        signatures: std::ops::Range<usize>,
        keys: std::ops::Range<usize>,
        code: &[u8],
        version: Version,
        cx: &mut InputCx<'_, '_, C>,
    ) -> bool {
        if !cx.checker.matches_all() || cx.flags.any(Flags::STRICTENC | Flags::WITNESS_PUBKEYTYPE) {
            return false;
        }
        let digest = if version == Version::Base { sighash::legacy } else { sighash::segwit };
        let read: Option<Vec<Key>> = self.stack[keys].iter().map(|key| Key::read(key.bytes())).collect();
        let Some(keys) = read else { return false };
        let mut asked = Vec::with_capacity(signatures.len());
        for signature in self.stack[signatures].iter() {
            let sound = check_signature_encoding(signature.bytes(), cx.flags).is_ok();
            let Some((&hash_type, der)) = signature.bytes().split_last().filter(|_| sound) else { return false };
            asked.push((der, digest(cx.spending, cx.index, code, hash_type.into(), &mut self.midstates)));
        }
        !asked.is_empty() && cx.checker.match_all(&asked, &keys)
    }
}

/// A tapscript's check: the budget first, then the kind of key. An empty signature does not hold,
/// any other that does not ends the script. Core `EvalChecksigTapscript`.
fn check_tapscript<C: Checker>(signature: &[u8], key: &[u8], cx: &mut InputCx<'_, '_, C>) -> Result<bool, ScriptError> {
    let signed = !signature.is_empty();
    if signed {
        cx.weight_left -= SIGOP_WEIGHT;
        if cx.weight_left < 0 {
            return Err(ScriptError::TapscriptValidationWeight);
        }
    }
    match <&[u8; 32]>::try_from(key) {
        _ if key.is_empty() => return Err(ScriptError::TapscriptEmptyPubkey),
        Ok(key) if signed => check_schnorr(signature, key, cx)?,
        Ok(_) => {}
        Err(_) if cx.flags.has(Flags::DISCOURAGE_UPGRADABLE_PUBKEYTYPE) => {
            return Err(ScriptError::DiscourageUpgradablePubkeyType);
        }
        Err(_) => {}
    }
    Ok(signed)
}

/// A signature of BIP340, with its hash type if there is a 65th byte. Core `CheckSchnorrSignature`.
pub(super) fn check_schnorr<C: Checker>(
    signature: &[u8],
    key: &[u8; 32],
    cx: &mut InputCx<'_, '_, C>,
) -> Result<(), ScriptError> {
    let (signature, rest) = signature.split_first_chunk::<64>().ok_or(ScriptError::SchnorrSigSize)?;
    let hash_type = match rest {
        [] => 0,
        [0] => return Err(ScriptError::SchnorrSigHashtype),
        [hash_type] => *hash_type,
        _ => return Err(ScriptError::SchnorrSigSize),
    };
    let message = sighash::taproot(cx.spending, cx.index, hash_type, &cx.taproot);
    let message = message.ok_or(ScriptError::SchnorrSigHashtype)?;
    if cx.checker.schnorr(key, signature, &message) { Ok(()) } else { Err(ScriptError::SchnorrSig) }
}

/// `script` without the pushes of these signatures, one after the other; itself where there are
/// none.
fn without_signatures<'s>(
    script: &'s [u8],
    signatures: impl Iterator<Item = impl AsRef<[u8]>>,
    flags: Flags,
    scratch: &'s mut Vec<u8>,
) -> Result<&'s [u8], ScriptError> {
    scratch.clear();
    let mut found = false;
    for signature in signatures {
        if signature.as_ref().len() < script.len() {
            if scratch.is_empty() && !found {
                scratch.extend_from_slice(script);
            }
            found |= remove_push(scratch, signature.as_ref());
        }
    }
    if found && flags.has(Flags::CONST_SCRIPTCODE) {
        return Err(ScriptError::SigFindAndDelete);
    }
    Ok(if found { scratch } else { script })
}

/// Removes every operation of `code` that pushes `data` in the usual form; whether there was one.
/// Core `FindAndDelete`.
fn remove_push(code: &mut Vec<u8>, data: &[u8]) -> bool {
    let len = (data.len() as u16).to_le_bytes();
    let head: &[u8] = match data.len() {
        0..76 => &len[..1],
        76..256 => &[OP_PUSHDATA1, len[0]],
        _ => &[OP_PUSHDATA2, len[0], len[1]],
    };
    // Kept so far is code[..kept]; what lies between `done` and `at` is still to be kept.
    let (mut at, mut done, mut kept) = (0, 0, 0);
    loop {
        let here = at;
        while code[at..].strip_prefix(head).is_some_and(|rest| rest.starts_with(data)) {
            at += head.len() + data.len();
        }
        if at > here {
            code.copy_within(done..here, kept);
            (kept, done) = (kept + here - done, at);
        }
        if next_op_at(code, &mut at).is_none() {
            break;
        }
    }
    let end = code.len();
    code.copy_within(done..end, kept);
    code.truncate(kept + end - done);
    done > 0
}

/// Core `CheckSignatureEncoding`. The empty signature is none, and always allowed.
fn check_signature_encoding(signature: &[u8], flags: Flags) -> Result<(), ScriptError> {
    let strict = Flags::DERSIG | Flags::LOW_S | Flags::STRICTENC;
    let Some((hash_type, der)) = signature.split_last() else {
        return Ok(());
    };
    if flags.any(strict) && !is_strict_der(signature) {
        return Err(ScriptError::SigDer);
    }
    if flags.has(Flags::LOW_S) && !curve::is_low_s(der) {
        return Err(ScriptError::SigHighS);
    }
    if flags.has(Flags::STRICTENC) && !matches!(hash_type & 0x7f, 1..=3) {
        return Err(ScriptError::SigHashtype);
    }
    Ok(())
}

/// BIP66: `30 len 02 len R 02 len S hashtype`, R and S positive and as short as can be. Core
/// `IsValidSignatureEncoding`.
pub fn is_strict_der(signature: &[u8]) -> bool {
    let integer = |bytes: &[u8]| match bytes {
        [] => false,
        [0, next, ..] => next & 0x80 != 0,
        [first, ..] => first & 0x80 == 0,
    };
    let [0x30, len, 2, r_len, rest @ .., _] = signature else { return false };
    let Some((r, [2, s_len, s @ ..])) = rest.split_at_checked(usize::from(*r_len)) else { return false };
    signature.len() <= 73
        && usize::from(*len) == signature.len() - 3
        && usize::from(*s_len) == s.len()
        && integer(r)
        && integer(s)
}

/// Core `CheckPubKeyEncoding`.
fn check_key_encoding(key: &[u8], version: Version, flags: Flags) -> Result<(), ScriptError> {
    let compressed = matches!(key, [2 | 3, rest @ ..] if rest.len() == 32);
    let uncompressed = matches!(key, [4, rest @ ..] if rest.len() == 64);
    if flags.has(Flags::STRICTENC) && !compressed && !uncompressed {
        return Err(ScriptError::PubkeyType);
    }
    if flags.has(Flags::WITNESS_PUBKEYTYPE) && version == Version::Witness && !compressed {
        return Err(ScriptError::WitnessPubkeyType);
    }
    Ok(())
}
