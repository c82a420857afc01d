//! What Bitcoin Core says of a case: its kernel by its own interface, which knows consensus and says yes or no, and its
//! `VerifyScript` by name and under any flags. The only file with `unsafe`.

use bitcoinkernel::core::verify::*;
use bitcoinkernel::{PrecomputedTransactionData, ScriptPubkey, Transaction, TxOut, verify};
use caesure_tests::scripts::{CONSENSUS, Case, FLAGS};
use std::ffi::{CStr, c_char};

unsafe extern "C" {
    fn caesure_core_verify(
        transaction: *const u8,
        transaction_size: usize,
        outputs: *const u8,
        outputs_size: usize,
        index: u32,
        flags: u32,
    ) -> *const c_char;
}

/// `OK`, or the error's name without `SCRIPT_ERR_`; none where Core cannot read the transaction.
pub fn name(transaction: &[u8], outputs: &[u8], index: u32, flags: u32) -> Option<&'static str> {
    // SAFETY: both pointers are to so many bytes that nobody changes meanwhile, and the function keeps neither. It
    // catches what it throws. What it gives is null or a literal, which lives for ever.
    unsafe {
        let name =
            caesure_core_verify(transaction.as_ptr(), transaction.len(), outputs.as_ptr(), outputs.len(), index, flags);
        (!name.is_null()).then(|| CStr::from_ptr(name).to_str().expect("a name of Core's"))
    }
}

/// The same of a case.
pub fn name_of(case: &Case) -> Option<&'static str> {
    let mut outputs = Vec::new();
    case.coins.iter().for_each(|coin| coin.write(&mut outputs));
    name(&case.tx.bytes(), &outputs, case.index as u32, case.flags)
}

/// Whether the kernel's interface accepts it; none where a rule is in force that it does not know.
pub fn accepts(case: &Case) -> Option<bool> {
    if case.flags >> CONSENSUS != 0 {
        return None;
    }
    let flags = [
        VERIFY_P2SH,
        VERIFY_DERSIG,
        VERIFY_NULLDUMMY,
        VERIFY_CHECKLOCKTIMEVERIFY,
        VERIFY_CHECKSEQUENCEVERIFY,
        VERIFY_WITNESS,
        VERIFY_TAPROOT,
    ];
    assert_eq!(FLAGS[6], "TAPROOT");
    let flags = (0..CONSENSUS).filter(|bit| case.flags >> bit & 1 != 0).fold(0, |sum, bit| sum | flags[bit]);
    let tx = Transaction::new(&case.tx.bytes()).expect("the generator writes whole transactions");
    let script = |bytes: &[u8]| ScriptPubkey::new(bytes).expect("any bytes are a script");
    let coins: Vec<TxOut> =
        case.coins.iter().map(|coin| TxOut::new(&script(&coin.script), coin.value as i64)).collect();
    let data = PrecomputedTransactionData::new(&tx, &coins).expect("a coin for each input");
    let coin = &case.coins[case.index];
    let verdict = verify(&script(&coin.script), Some(coin.value as i64), &tx, case.index, Some(flags), &data);
    match verdict {
        Ok(()) => Some(true),
        Err(bitcoinkernel::KernelError::ScriptVerify(bitcoinkernel::ScriptVerifyError::Invalid)) => Some(false),
        Err(error) => panic!("the kernel was asked wrongly: {error}"),
    }
}
