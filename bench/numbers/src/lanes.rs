//! `cargo numbers -- lanes`: signatures proven in lanes, beside libsecp256k1, on the same rows in turns: by their kind, by how
//! many come at once, on one thread and on two. Both begin with bytes: keys and signatures are parsed on both sides.

use crate::side::How;
use crate::table::{Table, Teller};
use ::lanes::{Lanes, Row};
use caesure_bench::rng::Rng;
use clap::Args;
use secp256k1::{Keypair, Message, PublicKey, SecretKey, XOnlyPublicKey, ecdsa, schnorr};
use std::io;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;
use tuning::core_time;

/// Rows that come at once.
const BATCHES: [usize; 7] = [1, 2, 4, 8, 16, 64, 256];

/// How much is measured.
#[derive(Args)]
pub struct LanesArgs {
    /// Signatures of each kind, all different; a multiple of 256
    #[arg(long, default_value_t = 2_048, value_parser = clap::value_parser!(u32).range(256..))]
    rows: u32,
    /// Times each
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// A signature of either kind, each by a key of its own.
fn signed(schnorr: bool, rng: &mut Rng) -> Row {
    let mut bytes = || -> [u8; 32] { std::array::from_fn(|_| rng.below(256) as u8) };
    let (secret, message) = (SecretKey::from_secret_bytes(bytes()).expect("below n, most surely"), bytes());
    if schnorr {
        let pair = Keypair::from_secret_key(&secret);
        let signature = schnorr::sign_no_aux_rand(&message, &pair).to_byte_array();
        return Row::Schnorr { key: pair.x_only_public_key().0.to_byte_array(), signature, message };
    }
    let signature = ecdsa::sign(Message::from_digest(message), &secret).serialize_compact();
    let (r, s) = (signature[..32].try_into().expect("32 bytes"), signature[32..].try_into().expect("32 bytes"));
    Row::Ecdsa { key: PublicKey::from_secret_key(&secret).serialize(), r, s, message }
}

/// Whether libsecp256k1 takes it.
fn holds(row: &Row) -> bool {
    match row {
        Row::Ecdsa { key, r, s, message } => {
            let signature = ecdsa::Signature::from_compact(&[*r, *s].concat());
            let (Ok(key), Ok(signature)) = (PublicKey::from_slice(key), signature) else { return false };
            ecdsa::verify(&signature, Message::from_digest(*message), &key).is_ok()
        }
        Row::Schnorr { key, signature, message } => XOnlyPublicKey::from_byte_array(*key)
            .is_ok_and(|key| schnorr::verify(&schnorr::Signature::from_byte_array(*signature), message, &key).is_ok()),
    }
}

/// Who verifies.
#[derive(Clone, Copy)]
enum Who {
    Lanes(usize),
    Library,
}

/// Thousands of rows that threads on CPUs of their own verify together in a second of their time, each all of them.
fn rate(who: Who, threads: usize, rows: &[Row]) -> f64 {
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    let together = Barrier::new(threads);
    let work = |thread: usize| {
        assert!(core_affinity::set_for_current(cpus[thread]), "a CPU of ours");
        let mut lanes = Lanes::detect().expect("asked before");
        let mut proven = vec![false; rows.len()];
        together.wait();
        let begun = core_time();
        match who {
            Who::Lanes(batch) => {
                rows.chunks(batch).zip(proven.chunks_mut(batch)).for_each(|(rows, proven)| lanes.prove(rows, proven));
            }
            Who::Library => rows.iter().zip(&mut proven).for_each(|(row, proven)| *proven = holds(row)),
        }
        let took = (core_time() - begun).max(Duration::from_nanos(1));
        assert!(proven.iter().all(|proven| *proven), "every row holds");
        rows.len() as f64 / 1e3 / took.as_secs_f64()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).sum()
    })
}

/// Measures, and gives the table.
pub fn run(args: &LanesArgs) -> io::Result<Table> {
    let none = || io::Error::other("this processor has no AVX-512 IFMA, so there are no lanes to measure");
    if !Lanes::detect().ok_or_else(none)?.self_test() {
        return Err(io::Error::other("lanes are wrong about signatures that are known"));
    }
    let mut rng = Rng::new(7);
    let count = args.rows / 256 * 256;
    let kinds = [("ECDSA", false), ("BIP340", true)]
        .map(|(name, schnorr)| (name, (0..count).map(|_| signed(schnorr, &mut rng)).collect::<Vec<Row>>()));
    let counts: Vec<usize> = (1..=How::cpus().min(2)).collect();
    let (mut table, mut teller) = (Table::default(), Teller::new("lanes"));
    for (at, (name, rows)) in kinds.iter().enumerate() {
        for (threads_at, threads) in counts.iter().enumerate() {
            let (mut ours, mut theirs) = (vec![Vec::new(); BATCHES.len()], Vec::new());
            for round in 0..args.rounds {
                theirs.push(rate(Who::Library, *threads, rows));
                for (batch, rates) in BATCHES.into_iter().zip(&mut ours) {
                    rates.push(rate(Who::Lanes(batch), *threads, rows));
                }
                let part = (at * counts.len() + threads_at) as u32;
                teller.say(
                    (part * args.rounds + round + 1).into(),
                    u64::from(args.rounds) * 2 * counts.len() as u64,
                    "rounds",
                );
            }
            for (batch, rates) in BATCHES.into_iter().zip(&ours) {
                let plural = if *threads == 1 { "" } else { "s" };
                table.spread(
                    format!("{name}, {threads} thread{plural}, {batch} at once"),
                    "k/s",
                    rates,
                    "libsecp256k1",
                    &theirs,
                );
            }
        }
    }
    Ok(table)
}
