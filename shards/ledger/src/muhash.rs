//! A hash of a set that grows and shrinks: MuHash3072, as Core's `crypto/muhash.h` has it. Knows nothing of coins.
//!
//! Each member becomes a number below 2^3072, the ChaCha20 keystream under the SHA-256 of its bytes, and the set is the
//! product of its members modulo the prime 2^3072 − 1,103,717. So members may come in any order, parts of a set may be
//! hashed apart and put together, and what goes divides the product: it is multiplied into a denominator, which is
//! inverted once, in the end.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use consensus::{CoinsHash, sha256};

/// 64-bit limbs of a number, the lowest first.
const LIMBS: usize = 48;
/// What the modulus lacks to 2^3072. Core `MAX_PRIME_DIFF`.
const LACK: u64 = 1_103_717;

/// A number below 2^3072, which stands for its remainder.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Number([u64; LIMBS]);

impl Number {
    const ONE: Number = {
        let mut limbs = [0; LIMBS];
        limbs[0] = 1;
        Number(limbs)
    };

    fn from_bytes(bytes: &[u8; 8 * LIMBS]) -> Number {
        let (limbs, _) = bytes.as_chunks();
        Number(std::array::from_fn(|index| u64::from_le_bytes(limbs[index])))
    }

    fn to_bytes(&self) -> [u8; 8 * LIMBS] {
        let mut bytes = [0; 8 * LIMBS];
        for (place, limb) in bytes.as_chunks_mut().0.iter_mut().zip(self.0) {
            *place = limb.to_le_bytes();
        }
        bytes
    }

    /// The number of a member of a set.
    fn of(member: &[u8]) -> Number {
        let mut bytes = [0; 8 * LIMBS];
        ChaCha20::new(&sha256(member).into(), &[0; 12].into()).apply_keystream(&mut bytes);
        Number::from_bytes(&bytes)
    }

    /// Adds `small`; whether that went beyond 2^3072, which is then lost.
    fn add(&mut self, small: u64) -> bool {
        let mut carry;
        (self.0[0], carry) = self.0[0].overflowing_add(small);
        for limb in &mut self.0[1..] {
            if !carry {
                return false;
            }
            (*limb, carry) = limb.overflowing_add(1);
        }
        carry
    }

    /// The product, two rows of the school's method at a time: that halves what goes through memory.
    fn times(&self, other: &Number) -> Number {
        let (mut wide, b) = ([0; 2 * LIMBS], &other.0);
        for (index, [a0, a1]) in self.0.as_chunks::<2>().0.iter().enumerate() {
            let row: &mut [u64; LIMBS + 2] = wide[2 * index..].first_chunk_mut().expect("the last row ends with it");
            let (mut carry0, mut carry1) = (0, 0);
            (row[0], carry0) = a0.carrying_mul_add(b[0], row[0], carry0);
            for i in 1..LIMBS {
                let sum;
                (sum, carry0) = a0.carrying_mul_add(b[i], row[i], carry0);
                (row[i], carry1) = a1.carrying_mul_add(b[i - 1], sum, carry1);
            }
            (row[LIMBS], row[LIMBS + 1]) = a1.carrying_mul_add(b[LIMBS - 1], carry0, carry1);
        }
        Number::reduced(&wide)
    }

    /// 2^3072 leaves [`LACK`], so what lies above is multiplied by that and added to what lies below.
    fn reduced(wide: &[u64; 2 * LIMBS]) -> Number {
        let (low, high) = wide.split_at(LIMBS);
        let (mut carry, mut out) = (0, Number([0; LIMBS]));
        for index in 0..LIMBS {
            (out.0[index], carry) = high[index].carrying_mul_add(LACK, low[index], carry);
        }
        // The carry is at most LACK. Adding a few bits can go beyond the end only if little is left there.
        if out.add(carry * LACK) {
            assert!(!out.add(LACK), "what went beyond the end left next to nothing");
        }
        out
    }

    /// The remainder itself: below the modulus.
    fn least(mut self) -> Number {
        let mut more = self.clone();
        // Beyond the end exactly where the number is the modulus or more.
        if more.add(LACK) {
            self = more;
        }
        self
    }

    /// The number by which the product is 1: the power of the modulus less two (Fermat).
    fn inverse(&self) -> Number {
        let (mut exponent, mut power) = ([u64::MAX; LIMBS], Number::ONE);
        exponent[0] = 0_u64.wrapping_sub(LACK + 2);
        for bit in (0..64 * LIMBS).rev() {
            power = power.times(&power);
            if exponent[bit / 64] >> (bit % 64) & 1 == 1 {
                power = power.times(self);
            }
        }
        power
    }
}

/// A set, of which only the hash will ever be known. Members are strings of bytes; that each comes once, and goes only
/// where it is, is up to the caller.
#[derive(Clone, Debug)]
pub struct MuHash {
    come: Number,
    gone: Number,
}

impl Default for MuHash {
    /// The empty set.
    fn default() -> MuHash {
        MuHash { come: Number::ONE, gone: Number::ONE }
    }
}

impl MuHash {
    /// Puts a member in.
    pub fn insert(&mut self, member: &[u8]) {
        self.come = self.come.times(&Number::of(member));
    }

    /// Takes a member out.
    pub fn remove(&mut self, member: &[u8]) {
        self.gone = self.gone.times(&Number::of(member));
    }

    /// Puts in what came to the other set, takes out what went from it.
    pub fn combine(&mut self, other: &MuHash) {
        self.come = self.come.times(&other.come);
        self.gone = self.gone.times(&other.gone);
    }

    /// The hash of the set, which takes milliseconds. Core `MuHash3072::Finalize`.
    pub fn hash(&self) -> CoinsHash {
        CoinsHash(sha256(&self.come.times(&self.gone.inverse()).least().to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(byte: u8) -> [u8; 32] {
        let mut member = [0; 32];
        member[0] = byte;
        member
    }

    fn set(come: &[u8], gone: &[u8]) -> MuHash {
        let mut set = MuHash::default();
        come.iter().for_each(|byte| set.insert(&number(*byte)));
        gone.iter().for_each(|byte| set.remove(&number(*byte)));
        set
    }

    /// From Core `test/crypto_tests.cpp`, `muhash_tests`, as the three below.
    #[test]
    fn the_hash_of_two_that_came_and_one_that_went() {
        let expected = "10d312b100cbd32ada024a6646e40d3482fcff103668d2625f10002a607d5863";
        assert_eq!(set(&[0, 1], &[2]).hash().to_string(), expected);
        let mut parts = set(&[], &[2]);
        parts.combine(&set(&[1], &[]));
        parts.combine(&set(&[0], &[]));
        assert_eq!(parts.hash().to_string(), expected);
    }

    #[test]
    fn the_product_of_two() {
        let expected = PRODUCT.replace(['\n', ' '], "");
        let product = set(&[1, 2], &[]);
        assert_eq!(product.come.to_bytes().map(|byte| format!("{byte:02x}")).concat(), expected);
        assert!(product.gone == Number::ONE);
    }

    /// A product may lie between the modulus and 2^3072.
    #[test]
    fn a_number_above_the_modulus_is_its_remainder() {
        let most = MuHash { come: Number([u64::MAX; LIMBS]), gone: Number::ONE };
        let hash = most.hash().0.map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(hash, "3a31e6903aff0de9f62f9a9f7f8b861de76ce2cda09822b90014319ae5dc2271");
    }

    #[test]
    fn what_comes_and_goes_leaves_nothing() {
        let (mut all, part) = (set(&[3, 4, 5], &[5]), set(&[], &[4, 3]));
        assert_ne!(all.hash(), MuHash::default().hash());
        all.combine(&part);
        assert_eq!(all.hash(), MuHash::default().hash());
    }

    /// Where carries run the whole length: with m for the modulus, (m − 1)² = 1, (2^3072 − 1)² = (LACK − 1)², and m is 0.
    #[test]
    fn carries_run_to_the_end_and_around() {
        let mut modulus = Number([u64::MAX; LIMBS]);
        modulus.0[0] = 0_u64.wrapping_sub(LACK);
        assert!(modulus.clone().least() == Number([0; LIMBS]));
        let mut less = modulus.clone();
        less.0[0] -= 1;
        assert!(less.clone().least() == less && less.times(&less).least() == Number::ONE);
        assert!(less.inverse().least() == less);
        let most = Number([u64::MAX; LIMBS]);
        let mut expected = Number([0; LIMBS]);
        expected.0[0] = (LACK - 1) * (LACK - 1);
        assert!(most.times(&most).least() == expected);
        assert!(modulus.times(&most).least() == Number([0; LIMBS]));
    }

    const PRODUCT: &str = "
        1fa093295ea30a6a3acdc7b3f770fa538eff537528e990e2910e40bbcfd7f6696b1256901929094694b56316de342f59
        3303dd12ac43e06dce1be1ff8301c845beb15468fff0ef002dbf80c29f26e6452bccc91b5cb9437ad410d2a67ea84788
        7fa3c6a6553309946880fe20db2c73fe0641adbd4e86edfee0d9f8cd0ee1230898873dc13ed8ddcaf045c80faa082774
        279007a2253f8922ee3ef361d378a6af3ddaf180b190ac97e556888c36b3d1fb1c85aab9ccd46e3deaeb7b7cf5db067a
        7e9ff86b658cf3acd6662bbcce37232daa753c48b794356c020090c831a8304416e2aa7ad633c0ddb2f11be1be316a81
        be7f7e472071c042cb68faef549c221ebff209273638b741aba5a81675c45a5fa92fea4ca821d7a324cb1e1a2ccd3b76
        c4228ec8066dad2a5df6e1bd0de45c7dd5de8070bdb46db6c554cf9aefc9b7b2bbf9f75b1864d9f95005314593905c01
        09b71f703d49944ae94477b51dac10a816bb6d1c700bafabc8bd86fac8df24be519a2f2836b16392e18036cb13e48c5c";
}
