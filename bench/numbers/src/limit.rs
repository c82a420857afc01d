//! How fast libsecp256k1 verifies here: the limit for whoever checks every script with it.

use caesure_bench::chain::Tally;
use caesure_bench::keys::KEYS;
use caesure_bench::sign::{Even, ecdsa, scalar, schnorr};
use secp256k1::{Message, PublicKey, XOnlyPublicKey, ecdsa::Signature, schnorr};
use std::hint::black_box;
use std::thread;
use std::time::Duration;
use tuning::core_time;

/// How long each kind is measured, of each core's own time.
const SPAN: Duration = Duration::from_millis(700);
/// Different signatures: of a few dozen the processor learns by heart which way each branch goes, and is a tenth faster than
/// with those of any block.
const SIGNATURES: usize = 2_048;

/// Verifications a second on each of some cores that all verify at once.
#[derive(Clone, Copy)]
pub struct Limit {
    /// ECDSA, with parsing signature and key.
    pub ecdsa: f64,
    /// Schnorr, the same.
    pub schnorr: f64,
    cores: usize,
}

impl Limit {
    /// Measures on so many cores at once.
    pub fn on(cores: usize) -> Limit {
        let threads: Vec<_> = (0..cores).map(|_| thread::spawn(|| (rate(by_ecdsa()), rate(by_schnorr())))).collect();
        let rates: Vec<(f64, f64)> = threads.into_iter().map(|t| t.join().expect("it does not panic")).collect();
        let mean = |of: fn(&(f64, f64)) -> f64| rates.iter().map(of).sum::<f64>() / cores as f64;
        Limit { ecdsa: mean(|r| r.0), schnorr: mean(|r| r.1), cores }
    }

    /// The least seconds that verifying all of these takes on these cores.
    pub fn seconds(&self, Tally { ecdsa, schnorr, .. }: Tally) -> f64 {
        (ecdsa as f64 / self.ecdsa + schnorr as f64 / self.schnorr) / self.cores as f64
    }
}

/// Messages, each with a number to choose its key by. There is none of zeros, which nobody can sign.
fn messages() -> impl Iterator<Item = ([u8; 32], u8)> {
    (1..=SIGNATURES as u64).map(|number| {
        let mut message = [0; 32];
        message[..8].copy_from_slice(&number.to_le_bytes());
        (message, (number % u64::from(KEYS)) as u8)
    })
}

fn by_ecdsa() -> impl Fn(usize) -> bool {
    let signed: Vec<_> = messages()
        .map(|(message, key)| {
            let secret = scalar(b"key", key);
            (message, ecdsa(secret, &message), secret.public_key().serialize())
        })
        .collect();
    move |index| {
        let (digest, signature, key) = &signed[index];
        let key = PublicKey::from_slice(key).expect("just written");
        let signature = Signature::from_der(signature).expect("just written");
        signature.verify(Message::from_digest(*digest), &key).is_ok()
    }
}

fn by_schnorr() -> impl Fn(usize) -> bool {
    let signed: Vec<_> = messages()
        .map(|(message, key)| {
            let key = Even::new(scalar(b"key", key));
            let signature: [u8; 64] = schnorr(&key, &message).try_into().expect("64 bytes");
            (message, signature, key.x)
        })
        .collect();
    move |index| {
        let (digest, signature, key) = &signed[index];
        let key = XOnlyPublicKey::from_byte_array(*key).expect("just written");
        schnorr::Signature::from_byte_array(*signature).verify(digest, &key).is_ok()
    }
}

fn rate(verify: impl Fn(usize) -> bool) -> f64 {
    let (begun, mut done) = (core_time(), 0u64);
    loop {
        for index in 0..SIGNATURES {
            assert!(black_box(verify(index)), "a signature of the factory's");
        }
        done += SIGNATURES as u64;
        let took = core_time() - begun;
        if took >= SPAN {
            return done as f64 / took.as_secs_f64();
        }
    }
}
