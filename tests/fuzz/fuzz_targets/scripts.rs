//! Bytes to a spend: by the generator, with the bytes as its dice, or as they are. All checkers say the same of it, and
//! none panics; with the feature `kernel`, Bitcoin Core says the same too.
#![no_main]

use caesure_tests::scripts::dice::Dice;
use caesure_tests::scripts::verdict::{WHO, all, flags, judge};
use caesure_tests::scripts::{FLAGS, invented, sound};
use consensus::{CoinView, LoneTx};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((0..0x80, dice)) => by_generator(dice),
        Some((_, raw)) => by_bytes(raw),
        None => (),
    }
});

fn by_generator(dice: &[u8]) {
    let case = invented(&mut Dice::Bytes(dice));
    let verdicts = all(&case);
    assert_eq!(verdicts, [verdicts[0]; WHO.len()], "{WHO:?}\n{case}");
    #[cfg(feature = "kernel")]
    assert_eq!(caesure_oracle::core::name_of(&case), Some(verdicts[0].err().unwrap_or("OK")), "{case}");
}

/// Flags, the input, the transaction behind its size, then for each input the coin: value, size of the script, script.
fn by_bytes(raw: &[u8]) {
    let Some(([a, b, c, index, size_low, size_high], rest)) = raw.split_first_chunk() else { return };
    let size = usize::from(u16::from_le_bytes([*size_low, *size_high]));
    let (tx_bytes, mut rest) = rest.split_at(size.min(rest.len()));
    let Ok(tx) = LoneTx::parse(tx_bytes.to_vec().into()) else { return };
    let inputs = tx.view().inputs.len();
    if inputs == 0 {
        return;
    }
    let mut take = |count: usize| {
        let (now, left) = rest.split_at(count.min(rest.len()));
        rest = left;
        now
    };
    let mut coin = || {
        let value = take(8).iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let size = take(1).first().map_or(0, |size| usize::from(*size));
        CoinView { value, height: 1, coinbase: false, script: take(size) }
    };
    let coins: Vec<CoinView<'_>> = (0..inputs).map(|_| coin()).collect();
    let bits = sound(u32::from_le_bytes([*a, *b, *c, 0]) & ((1 << FLAGS.len()) - 1));
    let index = usize::from(*index) % inputs;
    let verdicts = judge(&tx, &coins, index, flags(bits));
    assert_eq!(verdicts, [verdicts[0]; WHO.len()], "{WHO:?} of {raw:02x?}");
    #[cfg(feature = "kernel")]
    {
        let mut outputs = Vec::new();
        for coin in &coins {
            outputs.extend(coin.value.to_le_bytes());
            // Below 256: the size in one byte, or in two behind 0xfd.
            match coin.script.len() as u8 {
                small @ ..0xfd => outputs.push(small),
                large => outputs.extend([0xfd, large, 0]),
            }
            outputs.extend(coin.script);
        }
        let name = caesure_oracle::core::name(tx_bytes, &outputs, index as u32, bits);
        assert_eq!(name, Some(verdicts[0].err().unwrap_or("OK")), "{raw:02x?}");
    }
}
