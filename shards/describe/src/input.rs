//! Decides how an input is told in one line: by what it shows of itself, as in 2014, and by the coin it spends where that
//! is known. Never asks whether the spend is valid: what looks like a signature is called one.

use crate::address::Address;
use crate::kind::{is_key, keys_line, multisig};
use crate::script::{Insn, Word, parse, pprint};
use consensus::script::{is_p2sh, last_push, witness_program};
use consensus::{Input, Network, TxView, sha256};

/// Bytes of an ECDSA signature with its hash type (BIP66 has them from 9 to 73).
fn is_signature(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x30) && (9..=73).contains(&bytes.len())
}

/// An input in one line; `coin` is the script of what it spends. Without it a taproot spend has no address, and a spend of
/// a script hash that is no multisig is told in words.
pub fn input(tx: &TxView, input: &Input, network: Network, coin: Option<&[u8]>) -> String {
    let script = tx.slice(input.script);
    if tx.prevout(input)[..32] == [0; 32] {
        return format!("coinbase:{}", crate::hex(script));
    }
    let witness: Vec<&[u8]> = tx.witness(input).collect();
    let text = |address: Address| address.text(network);
    let of_coin = || coin.and_then(Address::of_script).map(text);
    let pushes: Option<Vec<&[u8]>> = parse(script).ok().and_then(|code| {
        code.iter().map(|insn| if let Insn::Push(data, _) = insn { Some(*data) } else { None }).collect()
    });
    match pushes.as_deref() {
        Some([]) if !witness.is_empty() => by_witness(&witness, network, of_coin()),
        Some([program]) if witness_program(program).is_some() && coin.is_none_or(is_p2sh) => {
            let address = text(Address::ScriptHash(consensus::hash160(program)));
            let inside = Address::of_script(program).map(text);
            format!("p2sh:{address} ({})", by_witness(&witness, network, inside))
        }
        Some([_, key]) if is_key(key) && coin.is_none_or(|coin| !is_p2sh(coin)) => text(Address::of_key(key)),
        Some([sig]) if is_signature(sig) => "sig".to_owned(),
        Some([.., last]) if let Some((needed, keys)) = multisig(last) => {
            let given = pushes.iter().flatten().filter(|item| is_signature(item)).count();
            format!("p2sh ({given} sigs):{}", keys_line(needed, &keys, network))
        }
        _ if coin.is_some_and(is_p2sh) && last_push(script).is_some() => {
            format!("p2sh:{}", of_coin().unwrap_or_default())
        }
        _ => match parse(script) {
            Ok(code) => Word::List(pprint(&code)).to_string(),
            Err(_) => crate::hex(script),
        },
    }
}

/// A spend of a witness program by what its witness shows.
fn by_witness(witness: &[&[u8]], network: Network, known: Option<String>) -> String {
    // An annex (BIP341) is no part of what is shown.
    let annex = witness.len() >= 2 && witness[witness.len() - 1].first() == Some(&0x50);
    let items = &witness[..witness.len() - usize::from(annex)];
    match items {
        [] => known.unwrap_or_else(|| "nothing".into()),
        [sig, key] if is_signature(sig) && is_key(key) => {
            let address = Address::Witness(0, consensus::hash160(key).to_vec());
            format!("p2wpkh:{}", address.text(network))
        }
        [sig] if matches!(sig.len(), 64 | 65) => format!("p2tr:{}", known.unwrap_or_else(|| "by its key".into())),
        [.., _, control] if is_control_block(control) => {
            format!("p2tr:{} by a script", known.unwrap_or_else(|| "a key".into()))
        }
        [given @ .., script] => match multisig(script) {
            Some((needed, keys)) => {
                let given = given.iter().filter(|item| is_signature(item)).count();
                format!("p2wsh ({given} sigs):{}", keys_line(needed, &keys, network))
            }
            None => format!("p2wsh:{}", Address::Witness(0, sha256(script).to_vec()).text(network)),
        },
    }
}

/// What proves that a script is a leaf of a taproot tree (BIP341): leaf version and parity, a key, a path of hashes. Leaf
/// versions below 0xc0 are not told from scripts.
fn is_control_block(item: &[u8]) -> bool {
    item.first().is_some_and(|first| *first >= 0xc0) && item.len() >= 33 && (item.len() - 33).is_multiple_of(32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{key, push, signature, tx};

    fn told(script: Vec<u8>, witness: Vec<Vec<u8>>, coin: Option<Vec<u8>>) -> String {
        let tx = tx(vec![(7, 0, script, witness)], vec![]);
        let view = tx.view();
        input(&view, &view.inputs[0], Network::Main, coin.as_deref())
    }

    fn multi() -> Vec<u8> {
        [&[0x51][..], &push(&key()), &push(&key()), &[0x52, 0xae]].concat()
    }

    const BY_KEY: &str = "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH";

    #[test]
    fn spends_of_2014() {
        let (sig, key) = (push(&signature()), push(&key()));
        assert_eq!(told([sig.clone(), key.clone()].concat(), vec![], None), BY_KEY);
        assert_eq!(told(sig.clone(), vec![], None), "sig");
        let spend = [&[0][..], &sig, &push(&multi())].concat();
        assert_eq!(told(spend, vec![], None), format!("p2sh (1 sigs):1/2:{BY_KEY} {BY_KEY}"));
        assert_eq!(told(vec![0x51, 0x76], vec![], None), "['0x01', 'OP_DUP']");
        assert_eq!(told(vec![2, 1], vec![], None), "0201");
        assert_eq!(told(vec![], vec![], None), "[]");
        let coinbase = tx(vec![(0, u32::MAX, vec![3, 1, 2, 3], vec![vec![0; 32]])], vec![]);
        let view = coinbase.view();
        assert_eq!(input(&view, &view.inputs[0], Network::Main, None), "coinbase:03010203");
    }

    #[test]
    fn spends_of_witness_programs() {
        let wpkh = "p2wpkh:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
        assert_eq!(told(vec![], vec![signature(), key()], None), wpkh);
        let program = Address::Witness(0, consensus::hash160(&key()).to_vec()).script();
        let wrapped = told(push(&program), vec![signature(), key()], None);
        assert_eq!(wrapped, format!("p2sh:3JvL6Ymt8MVWiCNHC7oWU6nLeHNJKLZGLN ({wpkh})"));
        let multisig = told(vec![], vec![vec![], signature(), multi()], None);
        assert_eq!(multisig, format!("p2wsh (1 sigs):1/2:{BY_KEY} {BY_KEY}"));
        // BIP173 has the address of the script `KEY OP_CHECKSIG`.
        let script = [push(&key()), vec![0xac]].concat();
        let address = "p2wsh:bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3";
        assert_eq!(told(vec![], vec![signature(), script], None), address);
        let taproot = Address::Witness(1, key()[1..].to_vec());
        let (address, coin) = (taproot.text(Network::Main), taproot.script());
        assert_eq!(told(vec![], vec![vec![1; 64]], None), "p2tr:by its key");
        assert_eq!(told(vec![], vec![vec![1; 65], vec![0x50]], Some(coin.clone())), format!("p2tr:{address}"));
        let leaf = vec![vec![0x51], [&[0xc0][..], &[5; 64]].concat()];
        assert_eq!(told(vec![], leaf.clone(), None), "p2tr:a key by a script");
        assert_eq!(told(vec![], leaf, Some(coin)), format!("p2tr:{address} by a script"));
    }

    #[test]
    fn the_coin_says_what_the_input_does_not() {
        let script_hash = Address::ScriptHash(consensus::hash160(&[0x51]));
        let (address, coin) = (script_hash.text(Network::Main), script_hash.script());
        assert_eq!(told(push(&[0x51]), vec![], Some(coin.clone())), format!("p2sh:{address}"));
        assert_eq!(told(push(&[0x51]), vec![], None), "['0x51']");
        let pair = [push(&signature()), push(&key())].concat();
        assert_eq!(told(pair, vec![], Some(coin)), format!("p2sh:{address}"));
    }
}
