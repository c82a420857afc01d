//! Transactions as plain data, and their bytes. Checks nothing: tests want wrong ones too.

use bitcoin_hashes::Sha256d;

/// 32 bytes in the order they have on the wire; shown reversed.
pub type Hash = [u8; 32];

/// SHA-256 twice.
pub fn sha256d(bytes: &[u8]) -> Hash {
    Sha256d::hash(bytes).to_byte_array()
}

/// A hash as people and Bitcoin Core write it: hex, last byte first.
pub fn show(hash: &Hash) -> String {
    hash.iter().rev().map(|byte| format!("{byte:02x}")).collect()
}

/// Which output of which transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutPoint {
    /// Id of the transaction that made the coin.
    pub txid: Hash,
    /// Index of the output in it.
    pub vout: u32,
}

impl OutPoint {
    /// The outpoint of a coinbase's only input.
    pub const NULL: OutPoint = OutPoint { txid: [0; 32], vout: u32::MAX };
}

/// An input: the coin it spends and the proof that it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxIn {
    /// The coin spent.
    pub prev: OutPoint,
    /// Unlocking script; empty for native witness programs.
    pub script_sig: Vec<u8>,
    /// Sequence number: finality (BIP125's 0xfffffffd and so on) or a relative lock (BIP68).
    pub sequence: u32,
    /// Witness stack, bottom first.
    pub witness: Vec<Vec<u8>>,
}

/// An output: an amount in satoshi and the script that locks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxOut {
    /// Amount in satoshi.
    pub value: u64,
    /// Locking script.
    pub script: Vec<u8>,
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tx {
    /// Version; 2 and above obeys relative locks (BIP68).
    pub version: u32,
    /// Inputs.
    pub inputs: Vec<TxIn>,
    /// Outputs.
    pub outputs: Vec<TxOut>,
    /// Block height or, from 500,000,000, median time before which the transaction is not final.
    pub lock_time: u32,
}

impl Tx {
    /// Appends the bytes; with the witness (BIP144) only if it is asked for and there is one.
    pub fn write(&self, out: &mut Vec<u8>, with_witness: bool) {
        let witness = with_witness && self.inputs.iter().any(|input| !input.witness.is_empty());
        out.extend(self.version.to_le_bytes());
        if witness {
            out.extend([0, 1]);
        }
        compact_size(out, self.inputs.len());
        for input in &self.inputs {
            input.prev.write(out);
            var_bytes(out, &input.script_sig);
            out.extend(input.sequence.to_le_bytes());
        }
        compact_size(out, self.outputs.len());
        for output in &self.outputs {
            output.write(out);
        }
        if witness {
            for input in &self.inputs {
                compact_size(out, input.witness.len());
                for item in &input.witness {
                    var_bytes(out, item);
                }
            }
        }
        out.extend(self.lock_time.to_le_bytes());
    }

    /// The bytes, witness included.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out, true);
        out
    }

    fn stripped(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out, false);
        out
    }

    /// Hash without the witness.
    pub fn txid(&self) -> Hash {
        sha256d(&self.stripped())
    }

    /// Hash with the witness.
    pub fn wtxid(&self) -> Hash {
        sha256d(&self.bytes())
    }

    /// Weight (BIP141): three times the stripped size plus the whole size.
    pub fn weight(&self) -> usize {
        3 * self.stripped().len() + self.bytes().len()
    }
}

impl OutPoint {
    /// Appends the 36 bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.txid);
        out.extend(self.vout.to_le_bytes());
    }
}

impl TxOut {
    /// Appends amount and script.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.value.to_le_bytes());
        var_bytes(out, &self.script);
    }
}

/// Appends a count in Bitcoin's variable-length form.
pub fn compact_size(out: &mut Vec<u8>, count: usize) {
    match count {
        0..=0xfc => out.push(count as u8),
        0xfd..=0xffff => {
            out.push(0xfd);
            out.extend((count as u16).to_le_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xfe);
            out.extend((count as u32).to_le_bytes());
        }
        _ => {
            out.push(0xff);
            out.extend((count as u64).to_le_bytes());
        }
    }
}

/// Appends bytes behind their count.
pub fn var_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    compact_size(out, bytes.len());
    out.extend(bytes);
}
