//! Whom to be connected to: known addresses, names to look up, connections wanted and allowed. It holds no connection
//! itself and decides nothing about blocks.

use crate::effect::{Effect, Event, Level, SocketId};
use crate::msg::{Msg, PeerId, split_peer};
use crate::report::{self, Report};
use crate::{Cx, Input, Shard, ShardId};
use consensus::{Network, Params};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use wire::addresses::Book as Addresses;
use wire::conn::PeerInfo;
use wire::message::Address;

/// First and longest wait before a wanted peer is tried again.
const RETRY_MS: (u64, u64) = (1_000, 60_000);
/// Seeds are asked when fewer addresses than this are known.
const SEED_BELOW: usize = 128;
/// And not more often than this.
const SEED_EVERY_MS: u64 = 60_000;
/// The address file is written again after this long, if anything changed.
const SAVE_EVERY_MS: u64 = 60_000;
/// Clocks that differ by more than this are worth a warning.
const CLOCK_S: u64 = 70 * 60;
/// Peers whose clocks make a majority worth listening to.
const CLOCKS_MIN: usize = 4;
/// Outbound connections that may be asked for by hand beyond those kept.
const BY_HAND_MAX: usize = 16;
/// An extra outbound connection, made because no block came, is allowed for this long.
const EXTRA_MS: u64 = 10 * 60_000;

/// A peer the operator named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// By address.
    Address(SocketAddr),
    /// By host name and port.
    Name(String, u16),
}

/// What the book is made from.
#[derive(Debug)]
pub struct Config {
    /// The network.
    pub params: &'static Params,
    /// Number of peer shards.
    pub workers: u16,
    /// Outbound connections to keep, those to named peers aside.
    pub outgoing: usize,
    /// Inbound connections allowed.
    pub incoming: usize,
    /// Named peers.
    pub wanted: Vec<Wanted>,
    /// The file of addresses, if there is one.
    pub saved: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Named {
    wanted: Wanted,
    /// Addresses to try, the next one last.
    tries: Vec<SocketAddr>,
    connected: Option<SocketAddr>,
    dialing: Option<SocketAddr>,
    resolving: bool,
    next_ms: u64,
    wait_ms: u64,
}

/// The shard.
pub struct Book {
    config: Config,
    known: Addresses,
    named: Vec<Named>,
    dialing: BTreeSet<SocketAddr>,
    /// Connections with a handshake: address, inbound, seconds its clock is ahead.
    met: BTreeMap<PeerId, (SocketAddr, bool, i64)>,
    inbound: usize,
    next_shard: u16,
    seeds_left: usize,
    seeds_found: usize,
    seeds_next_ms: u64,
    saved_ms: u64,
    changed: bool,
    extra_until_ms: u64,
    warned: bool,
}

impl Book {
    /// A book with what was saved of an earlier one.
    pub fn new(config: Config, cx: &mut Cx) -> Book {
        let test = config.params.network == Network::Regtest;
        let saved = config.saved.as_deref().map(|bytes| Addresses::from_bytes(bytes, test));
        let known = match saved {
            Some(Ok(known)) => known,
            Some(Err(why)) => {
                cx.log(Level::Warn, format!("the file of known addresses cannot be read ({why}); starting with none"));
                Addresses::new(test)
            }
            None => Addresses::new(test),
        };
        let named = config.wanted.iter().map(|wanted| Named {
            tries: match wanted {
                Wanted::Address(address) => vec![*address],
                Wanted::Name(..) => Vec::new(),
            },
            wanted: wanted.clone(),
            connected: None,
            dialing: None,
            resolving: false,
            next_ms: 0,
            wait_ms: RETRY_MS.0,
        });
        Book {
            named: named.collect(),
            config,
            known,
            dialing: BTreeSet::new(),
            met: BTreeMap::new(),
            inbound: 0,
            next_shard: 0,
            seeds_left: 0,
            seeds_found: 0,
            seeds_next_ms: 0,
            saved_ms: 0,
            changed: false,
            extra_until_ms: 0,
            warned: false,
        }
    }

    fn shard(&mut self) -> u16 {
        self.next_shard = (self.next_shard + 1) % self.config.workers;
        self.next_shard
    }

    fn dial(&mut self, address: SocketAddr, cx: &mut Cx) {
        if self.dialing.insert(address) {
            let shard = self.shard();
            cx.tell(ShardId::Peer(shard), Msg::Dial { address });
        }
    }

    /// A person wants this connection: once, and not again when it ends.
    fn meet(&mut self, address: SocketAddr) -> Result<(), String> {
        let most = self.config.outgoing + BY_HAND_MAX;
        if self.met.values().any(|(other, inbound, _)| *other == address && !inbound) {
            return Err(format!("a connection to {address} stands already"));
        }
        if self.dialing.contains(&address) {
            return Err(format!("{address} is being dialed already"));
        }
        if self.outbound() >= most {
            return Err(format!("{most} outbound connections stand already: {BY_HAND_MAX} more than --outgoing"));
        }
        Ok(())
    }

    fn accepted(&mut self, socket: SocketId, from: SocketAddr, cx: &mut Cx) {
        if self.inbound >= self.config.incoming {
            cx.log(
                Level::Debug,
                format!("{from} is turned away: {} inbound connections are held already", self.inbound),
            );
            return cx.effect(Effect::Refuse { socket });
        }
        self.inbound += 1;
        let to = self.shard();
        cx.effect(Effect::Hand { socket, to });
    }

    fn is_named(&self, address: SocketAddr) -> bool {
        self.named.iter().any(|named| named.dialing == Some(address) || named.connected == Some(address))
    }

    fn met(&mut self, peer: PeerId, info: &Arc<PeerInfo>, address: SocketAddr, cx: &mut Cx) {
        self.dialing.remove(&address);
        let twin = self.met.values().any(|(other, inbound, _)| *other == address && *inbound == info.inbound);
        let ahead = info.their_time.saturating_sub(cx.unix as i64);
        self.met.insert(peer, (address, info.inbound, ahead));
        if twin {
            let shard = ShardId::Peer(split_peer(peer).0);
            return cx.tell(shard, Msg::Hangup { peer, why: "a connection to the same address stands already" });
        }
        if !info.inbound {
            if let Some(named) = self.named.iter_mut().find(|named| named.dialing == Some(address)) {
                (named.dialing, named.connected, named.wait_ms) = (None, Some(address), RETRY_MS.0);
            }
            self.known.good(address, info.services, cx.unix);
            self.changed = true;
        }
    }

    fn hung(&mut self, peer: PeerId, address: SocketAddr, inbound: bool, met: bool, cx: &mut Cx) {
        let twin_left = self.met.remove(&peer).is_some()
            && self.met.values().any(|(other, theirs, _)| *other == address && *theirs == inbound);
        if inbound {
            self.inbound -= 1;
            return;
        }
        self.dialing.remove(&address);
        if !met {
            self.known.failed(address, cx.unix);
            self.changed = true;
        }
        let ours = |named: &&mut Named| named.dialing == Some(address) || named.connected == Some(address);
        if let Some(named) = self.named.iter_mut().find(ours).filter(|_| !twin_left) {
            (named.dialing, named.connected) = (None, None);
            named.next_ms = cx.now_ms + named.wait_ms;
            named.wait_ms = (named.wait_ms * 2).min(RETRY_MS.1);
        }
    }

    fn resolved(&mut self, name: &str, addresses: Vec<SocketAddr>, cx: &mut Cx) {
        let is = |named: &&mut Named| matches!(&named.wanted, Wanted::Name(n, _) if n == name) && named.resolving;
        if let Some(named) = self.named.iter_mut().find(is) {
            named.resolving = false;
            if addresses.is_empty() {
                cx.log(
                    Level::Warn,
                    format!("{name} (from --connect) has no address; trying again in {} s", named.wait_ms / 1_000),
                );
                named.next_ms = cx.now_ms + named.wait_ms;
                named.wait_ms = (named.wait_ms * 2).min(RETRY_MS.1);
            }
            named.tries = addresses;
            return;
        }
        self.seeds_left = self.seeds_left.saturating_sub(1);
        self.seeds_found += addresses.len();
        let services = wire::NODE_NETWORK | wire::NODE_WITNESS;
        let time = cx.unix as u32;
        let list: Vec<Address> = addresses.iter().map(|&socket| Address { time, services, socket }).collect();
        // Each seed is its own source, so that none can fill the book alone.
        if let Some(source) = addresses.first() {
            self.known.add(&list, *source, cx.unix);
            self.changed = true;
        }
        if self.seeds_left == 0 && self.seeds_found == 0 {
            cx.log(Level::Warn, "no DNS seed answered; name a peer with --connect HOST:PORT, or mend name resolution (getent hosts seed.bitcoin.sipa.be)".into());
        }
    }

    fn dial_named(&mut self, cx: &mut Cx) {
        for index in 0..self.named.len() {
            let named = &mut self.named[index];
            if named.connected.is_some() || named.dialing.is_some() || named.resolving || cx.now_ms < named.next_ms {
                continue;
            }
            match named.tries.pop() {
                Some(address) => {
                    named.dialing = Some(address);
                    if let Wanted::Address(address) = named.wanted {
                        named.tries = vec![address];
                    }
                    self.dial(address, cx);
                }
                None => {
                    let Wanted::Name(name, port) = named.wanted.clone() else {
                        unreachable!("an address is always left")
                    };
                    named.resolving = true;
                    cx.effect(Effect::Resolve { name, port });
                }
            }
        }
    }

    fn outbound(&self) -> usize {
        let met = self.met.values().filter(|(address, inbound, _)| !inbound && !self.is_named(*address)).count();
        met + self.dialing.iter().filter(|address| !self.is_named(**address)).count()
    }

    fn dial_known(&mut self, cx: &mut Cx) {
        let goal = self.config.outgoing + usize::from(cx.now_ms < self.extra_until_ms && self.config.outgoing > 0);
        if self.outbound() >= goal {
            return;
        }
        // Inbound connections are free to make: they must not keep us from dialing where they come from (Core, `net.cpp`).
        let met = self.met.values().filter(|(_, inbound, _)| !inbound).map(|(address, ..)| *address);
        let held = met.chain(self.dialing.iter().copied());
        let taken = held.map(|address| self.known.group(address)).collect();
        let mut rng = || cx.rng.bits();
        match self.known.pick(cx.unix, &mut rng, &taken) {
            Some(address) => self.dial(address, cx),
            None => self.ask_seeds(cx),
        }
    }

    fn ask_seeds(&mut self, cx: &mut Cx) {
        let few = self.known.len() < SEED_BELOW && !self.config.params.seeds.is_empty();
        if few && self.seeds_left == 0 && cx.now_ms >= self.seeds_next_ms {
            self.seeds_next_ms = cx.now_ms + SEED_EVERY_MS;
            (self.seeds_left, self.seeds_found) = (self.config.params.seeds.len(), 0);
            for seed in self.config.params.seeds {
                cx.effect(Effect::Resolve { name: (*seed).into(), port: self.config.params.port });
            }
        }
    }

    /// The clock is our own; if it differs from most peers' somebody should look at it.
    fn clock_warning(&mut self, cx: &mut Cx) -> Option<String> {
        let off = self.met.values().filter(|(_, _, ahead)| ahead.unsigned_abs() > CLOCK_S).count();
        if self.met.len() < CLOCKS_MIN || off * 2 <= self.met.len() {
            self.warned = false;
            return None;
        }
        let line = format!(
            "the clock differs by more than {} minutes from {off} of {} peers; check it (timedatectl)",
            CLOCK_S / 60,
            self.met.len()
        );
        if !std::mem::replace(&mut self.warned, true) {
            cx.log(Level::Warn, line.clone());
        }
        Some(line)
    }

    fn tick(&mut self, cx: &mut Cx) {
        self.dial_named(cx);
        self.dial_known(cx);
        if self.changed && cx.now_ms >= self.saved_ms + SAVE_EVERY_MS {
            (self.changed, self.saved_ms) = (false, cx.now_ms);
            cx.effect(Effect::SaveAddresses(self.known.to_bytes()));
        }
        let warning = self.clock_warning(cx);
        let outgoing = self.met.values().filter(|(_, inbound, _)| !inbound).count();
        let report = report::Book {
            known: self.known.len(),
            outgoing: (outgoing, self.config.outgoing + self.named.len()),
            incoming: (self.inbound, self.config.incoming),
            warning,
        };
        cx.tell(ShardId::Status, Msg::Report(Box::new(Report::Book(report))));
    }
}

impl Shard for Book {
    fn step(&mut self, input: Input, cx: &mut Cx) {
        match input {
            Input::Event(Event::Accepted { socket, from }) => self.accepted(socket, from, cx),
            Input::Event(Event::Resolved { name, addresses }) => self.resolved(&name, addresses, cx),
            Input::Msg(Msg::Met { peer, info, address }) => self.met(peer, &info, address, cx),
            Input::Msg(Msg::Hung { peer, address, inbound, met }) => self.hung(peer, address, inbound, met, cx),
            Input::Msg(Msg::Addresses { peer, list }) => {
                if let Some((source, ..)) = self.met.get(&peer) {
                    self.known.add(&list, *source, cx.unix);
                    self.changed = true;
                }
            }
            Input::Msg(Msg::WantAddresses { peer }) => {
                let mut rng = || cx.rng.bits();
                let list = self.known.sample(cx.unix, &mut rng);
                cx.tell(ShardId::Peer(split_peer(peer).0), Msg::Tell { peer, list });
            }
            Input::Msg(Msg::Meet { question, address }) => {
                let met = self.meet(address);
                let text = match &met {
                    Ok(()) => format!("{address} is being dialed; \"peers\" shows whether it answers"),
                    Err(why) => format!("error: {why}"),
                };
                cx.tell(ShardId::Status, Msg::Reply { question, text });
                if met.is_ok() {
                    self.dial(address, cx);
                }
            }
            Input::Msg(Msg::OneMore) => self.extra_until_ms = cx.now_ms + EXTRA_MS,
            Input::Tick => self.tick(cx),
            other => unreachable!("book is never told {other:?}"),
        }
    }
}

#[cfg(test)]
mod tests;
