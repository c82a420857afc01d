//! The book's bounds, what it picks, and what it gives away.

use super::*;

const NOW: u64 = 1_700_000_000;
const USEFUL: u64 = NODE_NETWORK | NODE_WITNESS;

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn heard(socket: SocketAddr) -> Address {
    Address { time: NOW as u32, services: USEFUL, socket }
}

/// The n-th of many routable addresses, four to a /16 … of 20.0.0.0/6 and up.
fn nth(n: usize) -> SocketAddr {
    let group = n / 4;
    SocketAddr::from(([20 + (group >> 8) as u8, group as u8, (n % 4) as u8, 1], 8333))
}

fn rng(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e3779b97f4a7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d049bb133111eb);
        z ^ (z >> 31)
    }
}

/// A book of `count` addresses, each told by a source of its own.
fn book(count: usize) -> Book {
    let mut book = Book::new(false);
    for n in 0..count {
        assert_eq!(book.add(&[heard(nth(n))], nth(n), NOW), 1, "address {n}");
    }
    book
}

#[test]
fn only_useful_addresses_are_kept() {
    let mut book = Book::new(false);
    let source = socket("8.8.8.8:1");
    let good = heard(socket("1.2.3.4:8333"));
    let useless = [
        heard(socket("127.0.0.1:8333")),
        heard(socket("192.168.0.1:8333")),
        heard(socket("[::1]:8333")),
        heard(socket("1.2.3.5:0")),
        Address { services: NODE_NETWORK, ..good },
        Address { services: NODE_WITNESS | 1 << 10, ..good },
        Address { time: (NOW - 31 * DAY) as u32, ..good },
    ];
    for address in useless {
        assert_eq!(book.add(&[address], source, NOW), 0, "{address:?}");
    }
    assert_eq!(book.add(&[good, good, heard(socket("[2a00::1]:8333"))], source, NOW), 2);
    assert_eq!((book.len(), book.tried(), book.is_empty()), (2, 0, false));
    let mut test = Book::new(true);
    assert_eq!(test.add(&[heard(socket("127.0.0.1:18444"))], source, NOW), 1);
}

#[test]
fn one_source_fills_a_sixteenth_and_no_more() {
    let mut book = Book::new(false);
    let told: Vec<Address> = (0..3 * PER_SOURCE_MAX).map(|n| heard(nth(n))).collect();
    assert_eq!(book.add(&told, socket("8.8.8.8:1"), NOW), PER_SOURCE_MAX);
    // The same /16 is the same source, another is not.
    assert_eq!(book.add(&told, socket("8.8.4.4:1"), NOW), 0);
    assert_eq!(book.add(&told, socket("9.9.9.9:1"), NOW), PER_SOURCE_MAX);
    // What was connected no longer counts against who told it.
    book.good(nth(0), USEFUL, NOW);
    assert_eq!(book.add(&told, socket("8.8.8.8:1"), NOW), 1);
}

#[test]
fn a_full_book_gives_way_only_for_the_hopeless() {
    let mut book = book(ADDRESSES_MAX);
    let fresh = heard(nth(ADDRESSES_MAX));
    assert_eq!(book.add(&[fresh], fresh.socket, NOW), 0);
    assert_eq!(book.len(), ADDRESSES_MAX);
    // A month later all of them are.
    let later = NOW + 32 * DAY;
    let fresh = Address { time: later as u32, ..fresh };
    assert_eq!(book.add(&[fresh], fresh.socket, later), 1);
    assert_eq!(book.len(), ADDRESSES_MAX);
    assert!(book.index.contains_key(&fresh.socket));
    for (at, entry) in book.entries.iter().enumerate() {
        assert_eq!(book.index[&entry.socket], at);
    }
}

#[test]
fn no_two_picks_share_a_netgroup() {
    let book = book(80); // 20 netgroups of 4
    let (mut taken, mut rng) = (BTreeSet::new(), rng(1));
    for count in 0..20 {
        let picked = book.pick(NOW, &mut rng, &taken).expect("a netgroup is left");
        assert!(taken.insert(book.group(picked)), "pick {count}");
    }
    assert_eq!(book.pick(NOW, &mut rng, &taken), None);
    assert_eq!(Book::new(false).pick(NOW, &mut rng, &BTreeSet::new()), None);
}

/// A thousand addresses in one /16 are drawn as often as one alone elsewhere.
#[test]
fn many_addresses_in_one_place_gain_nothing() {
    let mut book = Book::new(false);
    let crowd: Vec<Address> =
        (0..1000u16).map(|n| heard(SocketAddr::from(([66, 66, (n >> 8) as u8, n as u8], 1)))).collect();
    book.add(&crowd, socket("66.66.0.1:1"), NOW);
    book.add(&[heard(socket("1.1.1.1:1"))], socket("1.1.1.1:1"), NOW);
    let (mut rng, taken) = (rng(2), BTreeSet::new());
    let alone = (0..1000).filter(|_| book.pick(NOW, &mut rng, &taken) == Some(socket("1.1.1.1:1"))).count();
    assert!((400..600).contains(&alone), "{alone} of 1000");
}

#[test]
fn half_the_picks_are_old_acquaintances() {
    let mut book = book(400);
    book.good(nth(0), USEFUL, NOW);
    assert_eq!(book.tried(), 1);
    let (mut rng, taken) = (rng(3), BTreeSet::new());
    let later = NOW + 2 * MINUTE;
    let known = (0..1000).filter(|_| book.pick(later, &mut rng, &taken) == Some(nth(0))).count();
    assert!((400..600).contains(&known), "{known} of 1000");
}

#[test]
fn failures_make_an_address_rest_longer_and_longer() {
    let mut book = book(2); // one netgroup
    let (mut rng, taken) = (rng(4), BTreeSet::new());
    book.good(nth(1), USEFUL, NOW - 100 * MINUTE);
    book.failed(nth(1), NOW);
    book.failed(nth(0), NOW);
    assert_eq!(book.pick(NOW + 119, &mut rng, &taken), None);
    assert!(book.pick(NOW + 120, &mut rng, &taken).is_some());
    // Until something else works again a failure says nothing about the address.
    for n in 1..100 {
        book.failed(nth(0), NOW + n);
    }
    assert!((0..100).any(|_| book.pick(NOW + 99 + 120, &mut rng, &taken) == Some(nth(0))));
}

/// Three failures that count, and an address that never answered is not tried again, nor passed on.
#[test]
fn an_address_that_never_answers_is_given_up() {
    let mut book = book(8);
    let (mut rng, taken) = (rng(5), BTreeSet::from([book.group(nth(4))]));
    for n in 1..=3 {
        let now = NOW + n * 100 * MINUTE;
        book.good(nth(4), USEFUL, now);
        for other in 0..4 {
            book.failed(nth(other), now + 1);
        }
    }
    let later = NOW + 10 * 100 * MINUTE;
    assert_eq!(book.pick(later, &mut rng, &taken), None);
    for _ in 0..100 {
        assert!(book.sample(later, &mut rng).iter().all(|address| book.group(address.socket) != book.group(nth(0))));
    }
    // One success, and it is back.
    book.good(nth(0), USEFUL, later);
    assert_eq!(book.pick(later + 2 * MINUTE, &mut rng, &taken), Some(nth(0)));
}

#[test]
fn what_a_peer_shows_counts_for_more_than_gossip() {
    let mut book = book(1);
    book.good(nth(0), NODE_WITNESS, NOW); // pruned: of no use here
    assert!(book.is_empty() && book.per_source.is_empty());
    book.good(nth(5), USEFUL, NOW); // never heard of: dialed by hand, not the book's business
    assert!(book.is_empty());
}

#[test]
fn a_sample_shows_less_than_a_quarter() {
    let mut rng = rng(6);
    for (count, shown) in [(0, 0), (4, 0), (5, 1), (100, 23), (4347, 999), (4348, 1000), (10_000, 1000)] {
        let sample = book(count).sample(NOW, &mut rng);
        let distinct: BTreeSet<_> = sample.iter().map(|address| address.socket).collect();
        assert_eq!((sample.len(), distinct.len()), (shown, shown), "of {count}");
    }
    let book = book(100);
    assert_ne!(book.sample(NOW, &mut rng), book.sample(NOW, &mut rng));
    assert_eq!(u64::from(book.sample(NOW, &mut rng)[0].time), NOW - GOSSIP_PENALTY);
}

#[test]
fn times_are_not_believed_blindly() {
    let mut book = Book::new(false);
    for (n, time) in [0, TIME_MIN as u32, (NOW + 11 * MINUTE) as u32, u32::MAX].into_iter().enumerate() {
        book.add(&[Address { time, ..heard(nth(n)) }], nth(n), NOW);
        assert_eq!(book.entries[n].seen, NOW - 5 * DAY - GOSSIP_PENALTY);
    }
    book.add(&[heard(nth(0))], nth(0), NOW); // heard of again
    assert_eq!(book.entries[0].seen, NOW - GOSSIP_PENALTY);
}

#[test]
fn a_saved_book_is_the_same_book() {
    let mut before = book(300);
    before.add(&[heard(socket("[2a00:1::7]:8333"))], socket("[2a00:2::1]:8333"), NOW);
    before.good(nth(7), USEFUL, NOW);
    before.failed(nth(8), NOW);
    let bytes = before.to_bytes();
    let after = Book::from_bytes(&bytes, false).unwrap();
    let sorted = |book: &Book| {
        let mut entries = book.entries.clone();
        entries.sort_by_key(|entry| entry.socket);
        entries
    };
    assert_eq!(sorted(&before), sorted(&after));
    assert_eq!((before.per_source, before.last_good), (after.per_source.clone(), after.last_good));
    assert_eq!((after.len(), after.tried()), (301, 1));
    for (at, entry) in after.entries.iter().enumerate() {
        assert_eq!(after.index[&entry.socket], at);
    }
    assert!(Book::from_bytes(&Book::new(false).to_bytes(), false).unwrap().is_empty());
}

#[test]
fn a_damaged_book_is_refused_whole() {
    let bytes = book(20).to_bytes();
    let refused = |bytes: &[u8]| Book::from_bytes(bytes, false).err();
    for end in 0..bytes.len() {
        assert!(refused(&bytes[..end]).is_some(), "cut at {end}");
    }
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        let expected = matches!(
            (at, refused(&flipped)),
            (0..8, Some(Damaged::NotAddresses { .. }))
                | (8..12, Some(Damaged::Version { .. }))
                | (12.., Some(Damaged::Checksum { .. }))
        );
        assert!(expected, "byte {at}");
    }
    // A checksum can be forged; the archive is still looked at before it is used.
    let mut forged = bytes[..16].to_vec();
    forged.extend([0xff; 64]);
    forged[12..16].copy_from_slice(&crc32c::crc32c(&[0xff; 64]).to_le_bytes());
    assert_eq!(refused(&forged), Some(Damaged::Archive));
}
