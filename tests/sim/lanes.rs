//! What stands in for lanes in the simulator, on any machine: libsecp256k1 behind their words. One that lies proves whatever it
//! is asked.

use lanes::Row;
use secp256k1::{Message, PublicKey, XOnlyPublicKey, ecdsa, schnorr};
use shards::prover::Prove;

pub(super) struct StandIn {
    pub(super) lies: bool,
}

impl Prove for StandIn {
    fn prove(&mut self, rows: &[Row], proven: &mut [bool]) {
        for (row, proven) in rows.iter().zip(proven) {
            *proven = self.lies || holds(row);
        }
    }
}

fn holds(row: &Row) -> bool {
    match row {
        Row::Ecdsa { key, r, s, message } => {
            let both: [u8; 64] = [*r, *s].concat().try_into().expect("64 bytes");
            let (Ok(key), Ok(signature)) = (PublicKey::from_slice(key), ecdsa::Signature::from_compact(&both)) else {
                return false;
            };
            ecdsa::verify(&signature, Message::from_digest(*message), &key).is_ok()
        }
        Row::Schnorr { key, signature, message } => XOnlyPublicKey::from_byte_array(*key)
            .is_ok_and(|key| schnorr::verify(&schnorr::Signature::from_byte_array(*signature), message, &key).is_ok()),
    }
}
