//! `caesure watch HOST:PORT`: prints each new block of a node as it announces it, and each new transaction if asked to; the
//! blockwatch of 2014. Needs no folder and keeps nothing.

use crate::client::{Peer, is};
use crate::config::Config;
use crate::exit::Fatal;
use consensus::{Block, LoneTx};
use describe::dump;
use std::io::{self, Write};
use wire::message::{InvKind, Message};

/// Prints until the peer hangs up, or nobody reads any more.
pub fn run(config: &Config, to: &str, transactions: bool) -> Result<(), Fatal> {
    let mut peer = Peer::connect(config.params, to, transactions)?;
    tracing::info!("watching {}", peer.address);
    let failed = |why: io::Error| match why.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Fatal::Runtime(format!("{to}: {why}"))),
    };
    peer.be_patient().and_then(|()| watch(&mut peer, transactions)).or_else(failed)
}

fn watch(peer: &mut Peer, transactions: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    loop {
        let (payload, message) = peer.receive()?;
        let mut text = String::new();
        match &message {
            Message::Inv(list) => {
                let of = |kind: &[InvKind]| -> Vec<[u8; 32]> {
                    list.iter().filter(|inv| kind.contains(&inv.kind)).map(|inv| inv.hash).collect()
                };
                peer.get(InvKind::WitnessBlock, of(&[InvKind::Block, InvKind::WitnessBlock]))?;
                if transactions {
                    peer.get(InvKind::WitnessTx, of(&[InvKind::Tx, InvKind::WitnessTx]))?;
                }
            }
            Message::Headers(list) => {
                let hashes: Vec<[u8; 32]> = list.iter().map(|header| header.hash().0).collect();
                peer.get(InvKind::WitnessBlock, hashes)?;
            }
            message if is(message, "block") => {
                let block = Block::parse(payload.into()).map_err(|why| io::Error::other(format!("a block: {why}")))?;
                text.push_str("----- block -----\n");
                dump::block(&mut text, &block).expect("a string takes all");
            }
            message if is(message, "tx") && transactions => {
                let tx = LoneTx::parse(payload.into()).map_err(|why| io::Error::other(format!("a tx: {why}")))?;
                text.push_str("----- tx -----\n");
                dump::tx(&mut text, &tx.view()).expect("a string takes all");
            }
            _ => {}
        }
        out.write_all(text.as_bytes()).and_then(|()| out.flush())?;
    }
}
