//! Decides whether each block rule can be broken alone, at its very edge where it has one.

use super::*;
use crate::{
    Network,
    testing::{In, Spend, block, block_bytes, coinbase, committing, compact, input, spend},
};

fn check(txs: &[Spend]) -> Result<(), Rule> {
    check_block(&block(txs))
}

/// A block of a coinbase and a transaction that `change` spoilt.
fn with(change: impl Fn(&mut Spend)) -> Result<(), Rule> {
    let mut tx = spend();
    change(&mut tx);
    check(&[coinbase(), tx])
}

fn at(b: &Block, network: Network, height: u32) -> Result<(), Rule> {
    check_block_context(b, &BlockCx { params: Params::of(network), height, mtp_parent: 1_600_000_000 })
}

#[test]
fn roots() {
    let mut bytes = block_bytes(&[coinbase(), spend()]);
    assert_eq!(check_block(&Block::parse(bytes.clone().into()).unwrap()), Ok(()));
    bytes[40] ^= 1;
    assert_eq!(check_block(&Block::parse(bytes.into()).unwrap()), Err(Rule::BadTxnmrklroot));

    let txs = [coinbase(), spend(), Spend { lock_time: 1, ..spend() }];
    let twice = [&txs[..], &txs[2..]].concat();
    assert_eq!(block(&txs).header.merkle_root, block(&twice).header.merkle_root);
    assert_eq!(check(&txs), Ok(()));
    assert_eq!(check(&twice), Err(Rule::BadTxnsDuplicate));
}

/// Two inner nodes of a merkle tree, put together, look like a transaction of 64 bytes: a block of such, without a
/// coinbase, may be another block's header with other contents. Core `IsBlockMutated`.
#[test]
fn transactions_that_may_be_inner_nodes() {
    let sized = |len: u32| {
        let script = |n: usize| Spend { outputs: vec![(1, vec![0x51; n])], ..spend() };
        let fits = |n: &usize| block(&[script(*n)]).txs[0].stripped_len == len;
        script((0..40).find(fits).expect("some script makes that length"))
    };
    assert_eq!(check(&[sized(64)]), Err(Rule::BadTxnmrklroot));
    assert_eq!(check(&[sized(65)]), Err(Rule::BadCbMissing));
    assert_eq!(check(&[coinbase(), sized(64)]), Ok(()));
}

#[test]
fn lengths() {
    assert_eq!(check(&[]), Err(Rule::BadBlkLength));
    let padded = |len: usize| with(|tx| tx.outputs[0].1 = vec![0x61; len]);
    let rest = block(&[coinbase(), spend()]).bytes.len() - 1 + 4; // one byte of script; a longer count
    assert_eq!(padded(1_000_000 - rest), Ok(()));
    assert_eq!(padded(1_000_001 - rest), Err(Rule::BadBlkLength));
    // The block of one oversize transaction is itself too long, so this row is asked directly.
    let mut tx = block(&[spend()]).txs[0];
    let oversize = TX[2];
    assert_eq!(oversize.0, Rule::BadTxnsOversize);
    for (stripped_len, fits) in [(1_000_000, true), (1_000_001, false)] {
        tx.stripped_len = stripped_len;
        assert_eq!((oversize.1)(&block(&[]), &tx), fits);
    }
}

#[test]
fn coinbases() {
    assert_eq!(check(&[spend()]), Err(Rule::BadCbMissing));
    let mut second = coinbase();
    second.lock_time = 1;
    assert_eq!(check(&[coinbase(), second]), Err(Rule::BadCbMultiple));
    for (len, ok) in [(1, false), (2, true), (100, true), (101, false)] {
        let mut tx = coinbase();
        tx.inputs[0].script = vec![0; len];
        assert_eq!(check(&[tx]), if ok { Ok(()) } else { Err(Rule::BadCbLength) });
    }
}

#[test]
fn transactions() {
    assert_eq!(with(|_| ()), Ok(()));
    assert_eq!(with(|tx| tx.outputs.clear()), Err(Rule::BadTxnsVoutEmpty));
    assert_eq!(with(|tx| tx.outputs[0].0 = MAX_MONEY), Ok(()));
    assert_eq!(with(|tx| tx.outputs[0].0 = MAX_MONEY + 1), Err(Rule::BadTxnsVoutToolarge));
    assert_eq!(with(|tx| tx.outputs[0].0 = 1 << 63), Err(Rule::BadTxnsVoutNegative));
    assert_eq!(with(|tx| tx.outputs.push((MAX_MONEY, vec![]))), Err(Rule::BadTxnsTxouttotalToolarge));
    // CVE-2010-5139: two outputs whose sum wraps a signed number.
    assert_eq!(with(|tx| tx.outputs = vec![(i64::MAX as u64, vec![]); 2]), Err(Rule::BadTxnsVoutToolarge));
    let large_then_negative = vec![(MAX_MONEY + 1, vec![]), (u64::MAX, vec![])];
    assert_eq!(with(|tx| tx.outputs = large_then_negative.clone()), Err(Rule::BadTxnsVoutToolarge));
    assert_eq!(with(|tx| tx.inputs.push(input(0, u32::MAX))), Err(Rule::BadTxnsPrevoutNull));
    assert_eq!(with(|tx| tx.inputs.push(input(0, 0))), Ok(()), "an index makes it a name");
}

/// No inputs: with an output this reads as the extended form, so only a transaction of neither can
/// come this far.
#[test]
fn a_transaction_without_inputs() {
    let first = coinbase().bytes(true);
    let none = [2, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let txids = [coinbase().txid(), crate::sha256d(&none)];
    let mut bytes = block_bytes(&[]);
    bytes.truncate(80);
    bytes[36..68].copy_from_slice(&crate::merkle::root(&txids).0);
    let bytes = [&bytes[..], &compact(2), &first, &none].concat();
    assert_eq!(check_block(&Block::parse(bytes.into()).unwrap()), Err(Rule::BadTxnsVinEmpty));
}

/// Both ways of comparing, few inputs and many.
#[test]
fn duplicate_inputs() {
    for count in [2, 8, 9, 300] {
        let inputs: Vec<In> = (0..count).map(|vout| input(7, vout)).collect();
        assert_eq!(with(|tx| tx.inputs = inputs.clone()), Ok(()));
        let repeat = |tx: &mut Spend| {
            tx.inputs = inputs.clone();
            tx.inputs[0] = inputs[count as usize - 1].clone();
        };
        assert_eq!(with(repeat), Err(Rule::BadTxnsInputsDuplicate), "{count}");
    }
}

#[test]
fn legacy_sigops() {
    assert_eq!(with(|tx| tx.outputs[0].1 = vec![0xac; 20_000]), Ok(()));
    assert_eq!(with(|tx| tx.outputs[0].1 = vec![0xac; 20_001]), Err(Rule::BadBlkSigops));
    assert_eq!(with(|tx| tx.inputs[0].script = vec![0xae; 1_001]), Err(Rule::BadBlkSigops));
}

/// Lock times against heights, against the block's own time before BIP113, the median after it.
#[test]
fn lock_times() {
    let locked = |lock_time, sequence| {
        let mut tx = Spend { lock_time, ..spend() };
        tx.inputs[0].sequence = sequence;
        block(&[coinbase(), tx])
    };
    let main = |b: &Block, height| at(b, Network::Main, height);
    let broken = Err(Rule::BadTxnsNonfinal);
    assert_eq!(main(&locked(99, 0), 100), Ok(()));
    assert_eq!(main(&locked(100, 0), 100), broken);
    assert_eq!(main(&locked(100, u32::MAX), 100), Ok(()), "final by sequence");
    let own_time = 1_700_000_000;
    assert_eq!(main(&locked(own_time - 1, 0), 100), Ok(()));
    assert_eq!(main(&locked(own_time, 0), 100), broken);
    assert_eq!(main(&locked(u32::MAX, 0), 100), broken);
    let regtest = |lock| at(&locked(lock, 0), Network::Regtest, 1);
    assert_eq!((regtest(1_599_999_999), regtest(1_600_000_000)), (Ok(()), broken));
    assert_eq!((main(&locked(499_999_999, 0), 100), main(&locked(500_000_000, 0), 100)), (broken, Ok(())));
}

#[test]
fn coinbase_height() {
    let naming = |script: &[u8]| {
        let mut tx = coinbase();
        tx.inputs[0].script = script.to_vec();
        block(&[tx])
    };
    let broken = Err(Rule::BadCbHeight);
    assert_eq!(at(&naming(&[0x51, 9]), Network::Regtest, 1), Ok(()));
    assert_eq!(at(&naming(&[1, 1, 9]), Network::Regtest, 1), broken, "1 is OP_1");
    // The example of BIP34 and the first height it bound at: 227,931 = 0x037a5b.
    assert_eq!(at(&naming(&[3, 0x5b, 0x7a, 3, 9]), Network::Main, 227_931), Ok(()));
    assert_eq!(at(&naming(&[3, 0x5b, 0x7a, 4, 9]), Network::Main, 227_931), broken);
    assert_eq!(at(&naming(&[3, 0x5b]), Network::Main, 227_931), broken, "too short");
    assert_eq!(at(&naming(&[9, 9]), Network::Main, 227_930), Ok(()));
    for (height, push) in [
        (0, &[0][..]),
        (16, &[0x60]),
        (17, &[1, 17]),
        (127, &[1, 127]),
        (128, &[2, 128, 0]),
        (32_767, &[2, 255, 127]),
        (32_768, &[3, 0, 128, 0]),
        (8_388_608, &[4, 0, 0, 128, 0]),
        (u32::MAX, &[5, 255, 255, 255, 255, 0]),
    ] {
        let (bytes, len) = height_push(height);
        assert_eq!(&bytes[..len], push);
    }
}

fn witnessed(len: usize) -> Spend {
    let mut tx = spend();
    tx.inputs[0].witness = vec![vec![1; len]];
    tx
}

#[test]
fn witness_commitments() {
    let tx = witnessed(5);
    let good = committing(coinbase(), std::slice::from_ref(&tx));
    let ask = |coinbase: &Spend, tx: &Spend| at(&block(&[coinbase.clone(), tx.clone()]), Network::Regtest, 1);
    assert_eq!(ask(&good, &tx), Ok(()));
    assert_eq!(ask(&good, &witnessed(6)), Err(Rule::BadWitnessMerkleMatch));
    assert_eq!(ask(&good, &spend()), Err(Rule::BadWitnessMerkleMatch), "witnesses left out");
    assert_eq!(ask(&coinbase(), &tx), Err(Rule::UnexpectedWitness));
    assert_eq!(ask(&coinbase(), &spend()), Ok(()));
    for nonce in [vec![], vec![vec![9; 31]], vec![vec![9; 33]], vec![vec![9; 32]; 2]] {
        let mut bad = good.clone();
        bad.inputs[0].witness = nonce;
        assert_eq!(ask(&bad, &tx), Err(Rule::BadWitnessNonceSize));
    }
    // The last output that looks like a commitment counts, be it right or wrong.
    let mut more = good.clone();
    more.outputs.insert(1, (0, [&more.outputs[1].1[..6], &[0; 32]].concat()));
    assert_eq!(ask(&more, &tx), Ok(()));
    more.outputs.swap(1, 2);
    assert_eq!(ask(&more, &tx), Err(Rule::BadWitnessMerkleMatch));
    more.outputs[2].1.pop();
    assert_eq!(ask(&more, &tx), Ok(()), "37 bytes are no commitment");

    let before = block(&[good, tx]);
    assert_eq!(at(&before, Network::Main, 481_823), Err(Rule::BadCbHeight));
    let early = Params { bip34_height: u32::MAX, ..*Params::of(Network::Main) };
    let cx = |height| BlockCx { params: &early, height, mtp_parent: 0 };
    assert_eq!(check_block_context(&before, &cx(481_823)), Err(Rule::UnexpectedWitness));
    assert_eq!(check_block_context(&before, &cx(481_824)), Ok(()));
}

/// The stripped size is well below its own limit; the witness fills the rest.
#[test]
fn weight() {
    let weighing = |len| {
        let tx = witnessed(len);
        block(&[committing(coinbase(), std::slice::from_ref(&tx)), tx])
    };
    let rest = weighing(100_000).facts.weight - 100_000; // its length takes five bytes either way
    let full = weighing((MAX_BLOCK_WEIGHT - rest) as usize);
    let over = weighing((MAX_BLOCK_WEIGHT - rest + 1) as usize);
    assert_eq!(full.facts.weight, 4_000_000);
    assert_eq!((check_block(&over), at(&over, Network::Regtest, 1)), (Ok(()), Err(Rule::BadBlkWeight)));
    assert_eq!(at(&full, Network::Regtest, 1), Ok(()));
}
