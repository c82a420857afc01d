//! Whom the book dials, whom it turns away, and how often it asks.

use super::*;
use crate::msg::peer_id;

const NOW: u64 = 1_800_000_000;
const SERVICES: u64 = wire::NODE_NETWORK | wire::NODE_WITNESS;
const NONE: [SocketAddr; 0] = [];

struct Stage {
    book: Book,
    cx: Cx,
    peers: u64,
}

fn config(network: Network, outgoing: usize, wanted: Vec<Wanted>) -> Config {
    Config { params: Params::of(network), workers: 3, outgoing, incoming: 2, wanted, saved: None }
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

impl Stage {
    fn new(config: Config) -> Stage {
        let mut cx = Cx::new(5);
        (cx.unix, cx.now_ms) = (NOW, 1_000_000);
        Stage { book: Book::new(config, &mut cx), cx, peers: 0 }
    }

    /// A tick after so much time; what was dialed.
    fn tick(&mut self, after_ms: u64) -> Vec<SocketAddr> {
        self.cx.now_ms += after_ms;
        self.cx.words.clear();
        self.cx.effects.clear();
        self.book.step(Input::Tick, &mut self.cx);
        let dialed = |(to, word): &(ShardId, Msg)| match word {
            Msg::Dial { address } => {
                assert!(matches!(to, ShardId::Peer(0..3)));
                Some(*address)
            }
            _ => None,
        };
        self.cx.words.iter().filter_map(dialed).collect()
    }

    /// Ticks for so long, four a second; what was dialed in all.
    fn ticks(&mut self, seconds: u64) -> Vec<SocketAddr> {
        (0..seconds * 4).flat_map(|_| self.tick(250)).collect()
    }

    fn met(&mut self, address: SocketAddr, inbound: bool, clock_ahead: i64) -> PeerId {
        self.peers += 1;
        let peer = peer_id(1, self.peers);
        let info = PeerInfo {
            version: 70_016,
            services: SERVICES,
            user_agent: String::new(),
            start_height: 0,
            their_time: NOW as i64 + clock_ahead,
            nonce: 0,
            our_address: at("1.1.1.1:1"),
            inbound,
            wants_headers: false,
            addrv2: false,
        };
        self.cx.words.clear();
        self.book.step(Input::Msg(Msg::Met { peer, info: Arc::new(info), address }), &mut self.cx);
        peer
    }

    fn hung(&mut self, peer: PeerId, address: SocketAddr, inbound: bool, met: bool) {
        self.book.step(Input::Msg(Msg::Hung { peer, address, inbound, met }), &mut self.cx);
    }

    fn accept(&mut self, socket: SocketId) -> Effect {
        self.cx.effects.retain(|effect| !matches!(effect, Effect::Log(..)));
        self.book.step(Input::Event(Event::Accepted { socket, from: at("9.9.9.9:9") }), &mut self.cx);
        self.cx.effects.pop().unwrap()
    }

    /// An inbound peer tells of these.
    fn told(&mut self, addresses: &[SocketAddr]) {
        let from = at("200.9.9.9:9");
        assert!(matches!(self.accept(1), Effect::Hand { .. }));
        let peer = self.met(from, true, 0);
        let list = addresses.iter().map(|&socket| Address { time: NOW as u32, services: SERVICES, socket }).collect();
        self.book.step(Input::Msg(Msg::Addresses { peer, list }), &mut self.cx);
        self.hung(peer, from, true, true);
    }

    fn resolving(&self) -> Vec<(String, u16)> {
        let names = |effect: &Effect| match effect {
            Effect::Resolve { name, port } => Some((name.clone(), *port)),
            _ => None,
        };
        self.cx.effects.iter().filter_map(names).collect()
    }

    fn resolved(&mut self, name: &str, addresses: &[SocketAddr]) {
        let event = Event::Resolved { name: name.into(), addresses: addresses.to_vec() };
        self.book.step(Input::Event(event), &mut self.cx);
    }

    fn warned(&self) -> Vec<&str> {
        let warnings = |effect: &'_ Effect| matches!(effect, Effect::Log(Level::Warn, _));
        let lines = self.cx.effects.iter().filter(|effect| warnings(effect));
        lines.map(|effect| if let Effect::Log(_, line) = effect { line.as_str() } else { unreachable!() }).collect()
    }

    fn report(&self) -> &report::Book {
        let found = self.cx.words.iter().find_map(|(_, word)| match word {
            Msg::Report(report) => match &**report {
                Report::Book(report) => Some(report),
                _ => None,
            },
            _ => None,
        });
        found.expect("every tick reports")
    }
}

#[test]
fn no_more_are_dialed_than_asked_for() {
    let mut stage = Stage::new(config(Network::Regtest, 3, vec![]));
    let known: Vec<_> = (1..60).map(|n| at(&format!("127.0.0.{n}:18444"))).collect();
    stage.told(&known);
    let dialed = stage.ticks(10);
    let different: BTreeSet<_> = dialed.iter().copied().collect();
    assert_eq!((dialed.len(), different.len()), (3, 3), "attempts count as well");
    let peers: Vec<_> = dialed.iter().map(|address| stage.met(*address, false, 0)).collect();
    assert_eq!(stage.ticks(10), NONE);
    assert_eq!((stage.report().outgoing, stage.report().known), ((3, 3), 59));
    stage.hung(peers[1], dialed[1], false, true);
    assert_eq!(stage.ticks(10).len(), 1);
    stage.book.step(Input::Msg(Msg::OneMore), &mut stage.cx);
    assert_eq!(stage.ticks(10).len(), 1, "one more where no block comes");
}

#[test]
fn an_address_that_does_not_answer_gives_way_to_another() {
    let mut stage = Stage::new(config(Network::Regtest, 1, vec![]));
    stage.told(&[at("127.0.0.1:1"), at("127.0.0.1:2")]);
    let first = stage.tick(250)[0];
    stage.hung(peer_id(1, 77), first, false, false);
    let second = stage.tick(250);
    assert!(second.len() == 1 && second[0] != first, "{first} rests");
}

/// Core: two outbound connections never share a netgroup, and inbound ones do not count.
#[test]
fn outbound_peers_are_of_different_neighbourhoods() {
    let mut stage = Stage::new(config(Network::Main, 8, vec![]));
    let known: Vec<_> =
        (1..30).flat_map(|n| [at(&format!("1.2.{n}.1:8333")), at(&format!("5.6.{n}.1:8333"))]).collect();
    stage.told(&known);
    stage.met(at("1.2.99.99:5000"), true, 0);
    let dialed = stage.ticks(20);
    let mut firsts: Vec<_> = dialed.iter().map(|address| address.to_string()[..3].to_owned()).collect();
    firsts.sort();
    assert_eq!(firsts, ["1.2", "5.6"]);
    for address in dialed {
        stage.met(address, false, 0);
    }
    assert_eq!(stage.ticks(20), NONE);
}

#[test]
fn a_named_peer_is_tried_again_ever_more_slowly() {
    let peer = at("127.0.0.1:7");
    let mut stage = Stage::new(config(Network::Regtest, 0, vec![Wanted::Address(peer)]));
    assert_eq!(stage.tick(250), [peer], "beside the outgoing ones");
    assert_eq!(stage.ticks(5), NONE, "while it is being dialed");
    for wait_s in [1, 2, 4, 8, 16, 32, 60, 60] {
        stage.hung(peer_id(1, 77), peer, false, false);
        assert_eq!(stage.ticks(wait_s - 1), NONE);
        assert_eq!(stage.tick(999), NONE, "before {wait_s} s");
        assert_eq!(stage.tick(1), [peer]);
    }
    let id = stage.met(peer, false, 0);
    assert_eq!(stage.ticks(100), NONE);
    stage.hung(id, peer, false, true);
    assert_eq!((stage.tick(999), stage.tick(1)), (vec![], vec![peer]), "it was good, so soon again");
}

#[test]
fn a_name_is_looked_up_and_each_of_its_addresses_tried() {
    let mut stage = Stage::new(config(Network::Regtest, 0, vec![Wanted::Name("node.example".into(), 18_444)]));
    let lookup = [("node.example".to_owned(), 18_444)];
    assert_eq!(stage.tick(250), NONE);
    assert_eq!(stage.resolving(), lookup);
    stage.tick(5_000);
    assert_eq!(stage.resolving(), [], "one look-up at a time");
    stage.resolved("node.example", &[]);
    assert!(stage.warned()[0].contains("node.example") && stage.warned()[0].contains("1 s"));
    stage.tick(999);
    assert_eq!(stage.resolving(), []);
    stage.tick(1);
    assert_eq!(stage.resolving(), lookup);
    let both = [at("127.0.0.1:5"), at("[::1]:5")];
    stage.resolved("node.example", &both);
    let mut tried = Vec::new();
    for _ in 0..2 {
        let dialed = stage.ticks(60);
        assert_eq!(dialed.len(), 1);
        stage.hung(peer_id(1, 77), dialed[0], false, false);
        tried.extend(dialed);
    }
    tried.sort();
    assert_eq!(tried, both);
    // Waited so far: 1 s for the empty answer, 2 s for the first address.
    assert_eq!((stage.tick(3_999), stage.resolving()), (vec![], vec![]));
    assert_eq!(
        (stage.tick(1), stage.resolving()),
        (vec![], lookup.to_vec()),
        "when all have failed it is looked up anew"
    );
}

#[test]
fn inbound_connections_are_counted_and_refused() {
    let mut stage = Stage::new(config(Network::Regtest, 0, vec![]));
    let (first, second) = (stage.accept(1), stage.accept(3));
    let (Effect::Hand { socket: 1, to: one }, Effect::Hand { socket: 3, to: other }) = (first, second) else {
        panic!("two are allowed")
    };
    assert!(one != other && one < 3 && other < 3, "they are spread over the shards");
    assert!(matches!(stage.accept(5), Effect::Refuse { socket: 5 }));
    stage.tick(0);
    assert_eq!(stage.report().incoming, (2, 2));
    stage.hung(peer_id(0, 1), at("9.9.9.9:9"), true, false);
    assert!(matches!(stage.accept(7), Effect::Hand { socket: 7, .. }));
}

#[test]
fn a_second_connection_to_one_address_is_let_go() {
    let address = at("127.0.0.1:7");
    let mut stage = Stage::new(config(Network::Regtest, 0, vec![Wanted::Address(address)]));
    stage.tick(250);
    let first = stage.met(address, false, 0);
    let twin = stage.met(address, false, 0);
    assert!(matches!(stage.cx.words[..], [(ShardId::Peer(1), Msg::Hangup { peer, .. })] if peer == twin));
    stage.hung(twin, address, false, true);
    assert_eq!(stage.ticks(100), NONE, "the first one stands");
    stage.hung(first, address, false, true);
    assert_eq!(stage.ticks(100), [address]);
}

#[test]
fn a_clock_unlike_most_others_is_warned_of_once() {
    let minutes = 60;
    let limit = 70 * minutes;
    let mut stage = Stage::new(config(Network::Regtest, 0, vec![]));
    let peer = |n: i64| at(&format!("127.0.0.1:{}", 1_000 + n));
    for n in 0..3 {
        stage.met(peer(n), false, limit + 1);
    }
    stage.tick(250);
    assert_eq!((stage.report().warning.clone(), stage.warned().len()), (None, 0), "three are too few");
    let fourth = stage.met(peer(4), false, limit);
    stage.tick(250);
    assert!(stage.report().warning.as_ref().unwrap().contains("70 minutes from 3 of 4"));
    assert_eq!(stage.warned().len(), 1);
    stage.tick(250);
    assert!(stage.report().warning.is_some() && stage.warned().is_empty(), "it stands, and is logged once");
    stage.met(peer(5), false, -limit);
    stage.met(peer(6), false, 0);
    stage.tick(250);
    assert_eq!(stage.report().warning, None, "half is not most");
    stage.hung(fourth, peer(4), false, true);
    stage.tick(250);
    assert_eq!(stage.warned().len(), 1, "3 of 5 is");
}

#[test]
fn seeds_are_asked_once_a_minute_while_nobody_is_known() {
    let params = Params::of(Network::Main);
    let mut stage = Stage::new(config(Network::Main, 8, vec![]));
    for _ in 0..3 {
        stage.tick(250);
        let asked = stage.resolving();
        assert!(asked.len() == params.seeds.len() && asked.len() > 3 && asked.iter().all(|(_, port)| *port == 8_333));
        for (number, (name, _)) in asked.iter().enumerate() {
            stage.cx.effects.clear();
            stage.resolved(name, &[]);
            let last = number + 1 == asked.len();
            assert_eq!(stage.warned().iter().any(|line| line.contains("no DNS seed")), last);
        }
        for _ in 0..239 {
            stage.tick(250);
            assert_eq!(stage.resolving(), []);
        }
    }
    stage.tick(250);
    let seed = stage.resolving()[0].0.clone();
    stage.resolved(&seed, &[at("1.2.3.4:8333"), at("5.6.7.8:8333")]);
    assert_eq!(stage.ticks(5).len(), 2, "what a seed answers is dialed");
    let mut regtest = Stage::new(config(Network::Regtest, 8, vec![]));
    regtest.tick(250);
    assert_eq!(regtest.resolving(), [], "a test network has no seeds");
}

#[test]
fn what_is_known_outlives_a_restart() {
    let mut stage = Stage::new(config(Network::Regtest, 0, vec![]));
    let address = at("127.0.0.1:18444");
    stage.told(&[address]);
    stage.tick(250);
    let saved = |stage: &Stage| {
        stage.cx.effects.iter().find_map(|effect| match effect {
            Effect::SaveAddresses(bytes) => Some(bytes.clone()),
            _ => None,
        })
    };
    let bytes = saved(&stage).unwrap();
    stage.tick(60_000);
    assert!(saved(&stage).is_none(), "nothing has changed");
    let again = |bytes| Stage::new(Config { saved: Some(bytes), ..config(Network::Regtest, 1, vec![]) });
    assert_eq!(again(bytes.clone()).tick(250), [address]);
    let mut broken = bytes;
    *broken.last_mut().unwrap() ^= 1;
    let mut stage = again(broken);
    assert!(stage.warned()[0].contains("cannot be read"));
    assert_eq!(stage.tick(250), NONE);
}

#[test]
fn addresses_are_passed_on_to_who_asks() {
    let mut stage = Stage::new(config(Network::Regtest, 0, vec![]));
    let known: Vec<_> = (1..101).map(|n| at(&format!("127.0.0.{n}:18444"))).collect();
    stage.told(&known);
    let peer = stage.met(at("127.0.0.1:2"), true, 0);
    stage.book.step(Input::Msg(Msg::WantAddresses { peer }), &mut stage.cx);
    let Some((ShardId::Peer(1), Msg::Tell { peer: to, list })) = stage.cx.words.pop() else { panic!("no answer") };
    // Core: at most 23 in a hundred of what is known.
    assert_eq!((to, list.len()), (peer, 23));
    assert!(list.iter().all(|address| known.contains(&address.socket)));
}
