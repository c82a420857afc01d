//! How the tests of this crate spell transactions. Knows no rule.

use consensus::LoneTx;

/// Number of a coin's transaction and its output, script, witness.
pub type In = (u8, u32, Vec<u8>, Vec<Vec<u8>>);

/// The key of BIP173's examples.
pub fn key() -> Vec<u8> {
    crate::unhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798").unwrap()
}

/// The shape of a signature, with SIGHASH_ALL.
pub fn signature() -> Vec<u8> {
    let part = [&[2, 32][..], &[1; 32]].concat();
    [&[0x30, 68][..], &part, &part, &[1]].concat()
}

/// A push of fewer than 76 or 256 bytes.
pub fn push(data: &[u8]) -> Vec<u8> {
    let head = if data.len() < 76 { vec![data.len() as u8] } else { vec![0x4c, data.len() as u8] };
    [head, data.to_vec()].concat()
}

fn var(bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 253);
    [&[bytes.len() as u8][..], bytes].concat()
}

/// The bytes of a transaction of version 2.
pub fn bytes(inputs: &[In], outputs: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let with_witness = inputs.iter().any(|(.., witness)| !witness.is_empty());
    let mut out = vec![2, 0, 0, 0];
    out.extend(if with_witness { &[0, 1][..] } else { &[] });
    out.push(inputs.len() as u8);
    for (txid, vout, script, _) in inputs {
        out.extend([*txid; 32]);
        out.extend(vout.to_le_bytes());
        out.extend(var(script));
        out.extend(u32::MAX.to_le_bytes());
    }
    out.push(outputs.len() as u8);
    for (value, script) in outputs {
        out.extend(value.to_le_bytes());
        out.extend(var(script));
    }
    for (.., witness) in inputs.iter().filter(|_| with_witness) {
        out.push(witness.len() as u8);
        witness.iter().for_each(|item| out.extend(var(item)));
    }
    out.extend([9, 0, 0, 0]);
    out
}

/// The same, read.
pub fn tx(inputs: Vec<In>, outputs: Vec<(u64, Vec<u8>)>) -> LoneTx {
    LoneTx::parse(bytes(&inputs, &outputs).into()).unwrap()
}
