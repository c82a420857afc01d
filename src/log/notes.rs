//! What shards say, as events of the program: sentences as they are, notes by name and in fields, each with the sentence that
//! people read of it. Decides how loud a note is.

use shards::effect::Level as Loud;
use shards::msg::peer_name;
use shards::note::{Effort, Note};
use shards::status::format::{bytes, clean, duration, thousands};
use shards::{ShardId, report};
use std::fmt::{self, Display, Formatter};
use tracing::Level;

/// A sentence of a shard; what is said while shards are made is nobody's.
pub fn sentence(from: Option<ShardId>, level: Loud, line: &str) {
    macro_rules! say {
        ($target:literal) => {
            match level {
                Loud::Warn => tracing::warn!(target: $target, "{line}"),
                Loud::Info => tracing::info!(target: $target, "{line}"),
                Loud::Debug => tracing::debug!(target: $target, "{line}"),
            }
        };
    }
    match from {
        Some(ShardId::Chain) => say!("caesure::chain"),
        Some(ShardId::Store) => say!("caesure::store"),
        Some(ShardId::Status) => say!("caesure::status"),
        Some(ShardId::Book) => say!("caesure::book"),
        Some(ShardId::Peer(_)) => say!("caesure::peer"),
        Some(ShardId::Utxo(_)) => say!("caesure::utxo"),
        Some(ShardId::Verify(_)) => say!("caesure::verify"),
        None => say!("caesure"),
    }
}

macro_rules! chain {
    ($level:ident, $name:literal, $($rest:tt)*) => {
        tracing::event!(name: $name, target: "caesure::chain", Level::$level, $($rest)*)
    };
}

macro_rules! peer {
    ($level:ident, $name:literal, $($rest:tt)*) => {
        tracing::event!(name: $name, target: "caesure::peer", Level::$level, $($rest)*)
    };
}

/// Something that happened.
pub fn note(note: Note) {
    match note {
        Note::Syncing { state, height, headers, blocks_per_s, txs_per_s, bytes_per_s, eta_s } => {
            let left = || eta_s.map(|s| format!(", {} left", duration(s))).unwrap_or_default();
            let state = report::State::word(state);
            chain!(
                INFO,
                "syncing",
                state,
                height,
                headers,
                blocks_per_s,
                txs_per_s,
                bytes_per_s,
                eta_s,
                "{state}: height {height} of {headers}, {blocks_per_s:.0} blocks/s, {txs_per_s:.0} tx/s, {:.1} MB/s{}",
                bytes_per_s / 1e6,
                left()
            );
        }
        Note::Tip { height, hash, time, age_s, coins, effort } => {
            let (txs, inputs) = (effort.map(|effort| effort.txs), effort.map(|effort| effort.inputs));
            let (len, ms) = (effort.map(|effort| effort.bytes), effort.map(|effort| effort.ms));
            let peer = effort.and_then(|effort| effort.peer);
            chain!(
                INFO,
                "tip",
                height,
                hash = &hash.0[..],
                time,
                coins,
                txs,
                inputs,
                bytes = len,
                ms,
                peer = peer.map(tracing::field::display),
                "tip {height} {hash}{}, mined {} ago, {} coins",
                Spoken(effort),
                duration(age_s),
                thousands(coins)
            );
        }
        Note::Reorg { fork, left, taken, hash } => chain!(
            WARN,
            "reorg",
            fork,
            left,
            taken,
            hash = &hash.0[..],
            "the tip leaves a branch of {left} block(s) above height {fork} for one of {taken} with more work"
        ),
        Note::Connected { height, hash, effort } => {
            let Effort { txs, inputs, bytes, ms, peer } = effort;
            chain!(
                DEBUG,
                "connected",
                height,
                hash = &hash.0[..],
                txs,
                inputs,
                bytes,
                ms,
                peer = peer.map(tracing::field::display),
                "block {height} {hash} is valid{}",
                Spoken(Some(effort))
            );
        }
        Note::Headers { peer, count, height } => chain!(
            DEBUG, "headers", peer = %peer, count, height,
            "{count} new headers from {peer}, up to height {height}"
        ),
        Note::Asked { peer, blocks, again, lowest, highest } => chain!(
            DEBUG, "asked", peer = %peer, blocks, again, lowest, highest,
            "{peer} is asked for {blocks} blocks, heights {lowest} to {highest}, {again} of them of others before"
        ),
        Note::Received { peer, height, hash, bytes } => chain!(
            DEBUG, "received", peer = %peer, height, hash = &hash.0[..], bytes,
            "block {height} {hash} from {peer}, {bytes} bytes"
        ),
        Note::Lost { peer, blocks } => chain!(
            DEBUG, "lost", peer = %peer, blocks,
            "{peer} has not got {blocks} of the blocks it was asked for"
        ),
        Note::Punished { peer, why } => chain!(
            DEBUG, "punished", peer = %peer, why, "{peer} broke a rule, or kept us waiting: {why}"
        ),
        Note::Met { peer, address, info } => {
            let (conn, inbound, agent) = (peer_name(peer), info.inbound, clean(&info.user_agent, 256));
            let by = if inbound { " (inbound)" } else { "" };
            peer!(
                INFO, "met", conn, peer = %address, inbound, agent, version = info.version, services = info.services,
                height = info.start_height, clock = info.their_time,
                "peer {conn} is {address}{by}, height {}, {agent}", info.start_height
            );
        }
        Note::LetGo { peer, address, why } => {
            let conn = peer_name(peer);
            peer!(INFO, "let go", conn, peer = %address, why, "peer {conn} ({address}) is let go: {why}");
        }
        Note::Gone { peer, address, inbound, why, bytes: (received, sent), blocks, age_s } => {
            let conn = peer_name(peer);
            peer!(
                DEBUG, "gone", conn, peer = %address, inbound, why, received, sent, blocks, age_s,
                "peer {conn} ({address}) is gone: {why}"
            );
        }
        Note::Checkpoint { partition, height, bytes } => tracing::event!(
            name: "checkpoint", target: "caesure::utxo", Level::DEBUG, partition, height, bytes,
            "the coins of partition {partition} at height {height} are written down, {bytes} bytes"
        ),
    }
}

/// What a block held, for the end of a sentence; put into words only where somebody reads it.
struct Spoken(Option<Effort>);

impl Display for Spoken {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(Effort { txs, inputs, bytes: len, ms, peer }) = self.0 else { return Ok(()) };
        write!(
            f,
            ": {} tx, {} inputs, {} in {ms} ms",
            thousands(txs.into()),
            thousands(inputs.into()),
            bytes(len.into())
        )?;
        peer.map_or(Ok(()), |peer| write!(f, ", from {peer}"))
    }
}
