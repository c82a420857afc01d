//! Decides whether a signet block is signed by those who may: its solution, hidden in the witness
//! commitment, must spend an output locked with the network's challenge (BIP325). Never knows who
//! they are.
//!
//! ```text
//! to_spend   0-in ─▸ challenge          its input script pushes version, parent, merkle root without solution, time
//! to_sign    to_spend:0 ─▸ OP_RETURN    its input script and witness are the solution
//! ```

use crate::hash::sha256d;
use crate::script::{Flags, Spending, check_input, next_op};
use crate::{Block, CoinView, LoneTx, facts, merkle, read::Reader};

/// What a push in the commitment begins with if it is the solution. BIP325.
const HEADER: [u8; 4] = [0xec, 0xc7, 0xda, 0xa2];

/// Whether the block carries a solution of `challenge`. Core `CheckSignetBlockSolution`.
pub(crate) fn is_solved(block: &Block, challenge: &[u8]) -> bool {
    let Some((to_spend, solution)) = to_spend(block, challenge) else { return false };
    let Some(to_sign) = to_sign(sha256d(&to_spend), &solution) else { return false };
    let coins = [CoinView { value: 0, height: 0, coinbase: false, script: challenge }];
    let flags = Flags::P2SH | Flags::WITNESS | Flags::DERSIG | Flags::NULLDUMMY;
    check_input(&Spending::new(to_sign.view(), &coins), 0, flags).is_ok()
}

fn count(out: &mut Vec<u8>, count: usize) {
    match count {
        0..253 => out.push(count as u8),
        253..=0xffff => {
            out.push(253);
            out.extend((count as u16).to_le_bytes());
        }
        _ => {
            out.push(254);
            out.extend((count as u32).to_le_bytes());
        }
    }
}

fn counted(out: &mut Vec<u8>, bytes: &[u8]) {
    count(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// The transaction that the solution spends, and the solution: empty where there is none, which
/// suits a challenge that anyone can meet.
fn to_spend(block: &Block, challenge: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let coinbase = block.txs.first()?;
    let view = block.view(coinbase);
    let place = facts::commitment_output(&view)?;
    let (script, solution) = without_solution(view.slice(view.outputs[place].script));

    // The coinbase as it was before it was signed, without its witness.
    let mut unsigned = view.tx.version.to_le_bytes().to_vec();
    unsigned.push(1);
    let [input] = view.inputs else { return None };
    unsigned.extend_from_slice(view.prevout(input));
    counted(&mut unsigned, view.slice(input.script));
    unsigned.extend(input.sequence.to_le_bytes());
    let outputs = view.all_outputs();
    let before: usize = view.outputs[..place].iter().map(|output| view.output(output).len()).sum();
    let this = view.output(&view.outputs[place]).len();
    count(&mut unsigned, view.outputs.len());
    unsigned.extend_from_slice(&outputs[..before]);
    unsigned.extend(view.outputs[place].value.to_le_bytes());
    counted(&mut unsigned, &script);
    unsigned.extend_from_slice(&outputs[before + this..]);
    unsigned.extend(view.tx.lock_time.to_le_bytes());

    let mut leaves: Vec<_> = block.txs.iter().map(|tx| tx.txid.0).collect();
    leaves[0] = sha256d(&unsigned);
    let header = &block.header;
    let mut data = header.version.to_le_bytes().to_vec();
    data.extend(header.prev.0);
    data.extend(merkle::root(&leaves).0);
    data.extend(header.time.to_le_bytes());

    // Version 0, one input of no coin whose script is OP_0 and a push of the data, sequence 0.
    let mut tx = vec![0, 0, 0, 0, 1];
    tx.extend([0; 32]);
    tx.extend([0xff; 4]);
    counted(&mut tx, &[&[0, data.len() as u8], &data[..]].concat());
    tx.extend([0, 0, 0, 0, 1]);
    tx.extend(0u64.to_le_bytes());
    counted(&mut tx, challenge);
    tx.extend([0; 4]);
    Some((tx, solution))
}

/// The script with the first push that begins like a solution cut down to that beginning, and what
/// it pushed beyond. Written anew, as Core does, but only where there is one.
fn without_solution(script: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut rest, mut out, mut solution) = (script, Vec::new(), None);
    while let Some((op, data)) = next_op(&mut rest) {
        match data.strip_prefix(&HEADER) {
            Some(found) if solution.is_none() && !found.is_empty() => {
                solution = Some(found.to_vec());
                push(&mut out, &HEADER);
            }
            _ if data.is_empty() => out.push(op),
            _ => push(&mut out, data),
        }
    }
    match solution {
        Some(solution) => (out, solution),
        None => (script.to_vec(), Vec::new()),
    }
}

/// Core `CScript::operator<<`.
fn push(out: &mut Vec<u8>, data: &[u8]) {
    let len = (data.len() as u32).to_le_bytes();
    match data.len() {
        0..76 => out.push(len[0]),
        76..256 => out.extend([76, len[0]]),
        256..65_536 => out.extend([77, len[0], len[1]]),
        _ => out.extend([&[78], &len[..]].concat()),
    }
    out.extend_from_slice(data);
}

/// The transaction that the solution signs; `None` where it cannot be read.
fn to_sign(spends: [u8; 32], solution: &[u8]) -> Option<LoneTx> {
    let mut reader = Reader { bytes: solution, at: 0 };
    let (mut script, mut witness) = (&[][..], &[0][..]);
    if !solution.is_empty() {
        let range = reader.skip_bytes().ok()?;
        script = &solution[range.0 as usize..range.1 as usize];
        witness = &solution[reader.at..];
        for _ in 0..reader.count(1).ok()? {
            reader.skip_bytes().ok()?;
        }
        if reader.left() != 0 {
            return None;
        }
    }
    let signed = witness != [0];
    let mut tx = vec![0; 4];
    if signed {
        tx.extend([0, 1]);
    }
    tx.push(1);
    tx.extend(spends);
    tx.extend([0; 4]);
    counted(&mut tx, script);
    tx.extend([0, 0, 0, 0, 1]);
    tx.extend(0u64.to_le_bytes());
    tx.extend([1, 0x6a]);
    if signed {
        tx.extend_from_slice(witness);
    }
    tx.extend([0; 4]);
    LoneTx::parse(tx.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_solution_is_cut_out_of_the_first_push_that_has_one() {
        let commitment = [&[0x6a, 36, 0xaa, 0x21, 0xa9, 0xed][..], &[7; 32]].concat();
        assert_eq!(without_solution(&commitment), (commitment.clone(), vec![]));
        let signed = [&commitment[..], &[6], &HEADER, &[1, 2], &[5], &HEADER, &[9]].concat();
        let cut = [&commitment[..], &[4], &HEADER, &[5], &HEADER, &[9]].concat();
        assert_eq!(without_solution(&signed), (cut, vec![1, 2]));
        let bare = [&commitment[..], &[4], &HEADER].concat();
        assert_eq!(without_solution(&bare), (bare.clone(), vec![]), "a push of the beginning alone is none");
    }

    #[test]
    fn a_solution_is_a_script_and_a_witness_and_no_more() {
        let read =
            |solution: &[u8]| to_sign([3; 32], solution).map(|tx| tx.view().witness(&tx.view().inputs[0]).count());
        assert_eq!(read(&[]), Some(0));
        assert_eq!(read(&[1, 0x51, 0]), Some(0));
        assert_eq!(read(&[0, 2, 1, 9, 0]), Some(2));
        for bad in [&[0][..], &[2, 0x51], &[0, 1], &[0, 1, 1, 9, 9]] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
