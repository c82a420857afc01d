//! What an address means: pure, and nothing is answered here. Paths are taken as they are: no escapes, no dots, no doubled
//! slashes mean anything. What is looked up is the only thing that is decoded.

use consensus::{BlockHash, OutPoint, Txid};

use super::act::Act;

/// What is to be done about a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Route {
    /// Ask the status shard this; it is a page …
    Page(&'static str),
    /// … or JSON.
    Json,
    /// The status page's parts, …
    Parts,
    /// … and as they change.
    Live,
    /// The form for that.
    Form(Act),
    /// Figures for Prometheus, …
    Metrics,
    /// … of each core.
    Cores,
    /// Whether the node is ready.
    Ready,
    /// Read this from the files.
    Read(Wanted),
    /// Whether a coin is unspent.
    Coin(OutPoint),
    /// Go to that address.
    Goto(String),
    /// What was looked up is none of what can be.
    Puzzled,
    /// There is no such address.
    Unknown,
}

/// What is read from the files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// The last block.
    Last,
    /// A block by its height; the best chain's where there are several.
    Height(u32),
    /// A block by its hash, its transactions from that number on.
    Block(BlockHash, usize),
    /// A transaction.
    Tx(Txid),
    /// Whatever has this name.
    Name([u8; 32]),
}

/// Text that is looked at; more is none of what can be looked up.
const QUERY_MAX: usize = 256;

/// What a path and the query behind it mean.
pub fn route(path: &str, query: Option<&str>) -> Route {
    let found = match path {
        "/" | "/admin" | "/admin/" | "/admin/status" => Some(Route::Page("page")),
        // The page names it relative to itself, and the page is at / too.
        "/admin/status.json" | "/status.json" => Some(Route::Json),
        "/admin/status.parts" | "/status.parts" => Some(Route::Parts),
        "/admin/status.live" | "/status.live" => Some(Route::Live),
        "/admin/connect" => Some(Route::Form(Act::Connect)),
        "/admin/shutdown" => Some(Route::Form(Act::Shutdown)),
        "/admin/connections" => Some(Route::Page("connections")),
        "/admin/ledger" => Some(Route::Page("ledger")),
        "/admin/pool" => Some(Route::Page("pool")),
        "/admin/block" | "/admin/block/" => Some(Route::Read(Wanted::Last)),
        "/admin/search" => {
            Some(query.and_then(|query| value(query, "q")).map_or(Route::Puzzled, |q| look_up(q.trim())))
        }
        "/metrics" => Some(Route::Metrics),
        "/metrics/cores" => Some(Route::Cores),
        "/readyz" => Some(Route::Ready),
        _ => below(path, query),
    };
    found.unwrap_or(Route::Unknown)
}

fn below(path: &str, query: Option<&str>) -> Option<Route> {
    let (kind, rest) = path.strip_prefix("/admin/")?.split_once('/')?;
    let from = || query.and_then(|query| value(query, "from")).and_then(|from| number(&from)).unwrap_or(0);
    Some(match kind {
        "block" => match name(rest) {
            Some(hash) => Route::Read(Wanted::Block(BlockHash(hash), from() as usize)),
            None => Route::Read(Wanted::Height(number(rest)?)),
        },
        "tx" => Route::Read(Wanted::Tx(Txid(name(rest)?))),
        "coin" => Route::Coin(outpoint(rest)?),
        _ => return None,
    })
}

/// What a text that is looked up may be.
fn look_up(text: &str) -> Route {
    match (number(text), name(text), outpoint(text)) {
        (Some(height), ..) => Route::Goto(format!("/admin/block/{height}")),
        (_, Some(name), _) => Route::Read(Wanted::Name(name)),
        (.., Some(OutPoint { txid, vout })) => Route::Goto(format!("/admin/coin/{txid}:{vout}")),
        _ => Route::Puzzled,
    }
}

/// Digits and nothing else: no sign, no spaces.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// 64 hex digits, in the order in which they are shown.
fn name(text: &str) -> Option<[u8; 32]> {
    let digits = text.len() == 64 && text.bytes().all(|c| c.is_ascii_hexdigit());
    digits.then(|| text.parse::<Txid>().ok().map(|txid| txid.0)).flatten()
}

fn outpoint(text: &str) -> Option<OutPoint> {
    let (txid, vout) = text.split_once(':')?;
    Some(OutPoint { txid: Txid(name(txid)?), vout: number(vout)? })
}

/// The first value of that name in a query (application/x-www-form-urlencoded), decoded; bytes that are not ASCII become `?`.
pub fn value(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let text = pairs.find(|(key, _)| *key == name)?.1;
    let mut rest = text.get(..text.len().min(QUERY_MAX))?.bytes();
    let mut out = String::new();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|c| char::from(c).to_digit(16));
                (digit()? << 4 | digit()?) as u8
            }
            byte => byte,
        };
        out.push(if byte.is_ascii() { char::from(byte) } else { '?' });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";

    fn of(address: &str) -> Route {
        match address.split_once('?') {
            Some((path, query)) => route(path, Some(query)),
            None => route(address, None),
        }
    }

    #[test]
    fn addresses_of_2014_and_ours() {
        let hash: BlockHash = HASH.parse().unwrap();
        assert_eq!(of("/admin/block"), Route::Read(Wanted::Last));
        assert_eq!(of("/admin/block/135000"), Route::Read(Wanted::Height(135_000)));
        assert_eq!(of(&format!("/admin/block/{HASH}")), Route::Read(Wanted::Block(hash, 0)));
        assert_eq!(of(&format!("/admin/block/{HASH}?from=200")), Route::Read(Wanted::Block(hash, 200)));
        assert_eq!(of(&format!("/admin/block/{HASH}?from=-1")), Route::Read(Wanted::Block(hash, 0)));
        assert_eq!(of(&format!("/admin/tx/{}", HASH.to_uppercase())), Route::Read(Wanted::Tx(Txid(hash.0))));
        let Route::Coin(outpoint) = of(&format!("/admin/coin/{HASH}:7")) else { panic!() };
        assert_eq!((outpoint.txid.to_string().as_str(), outpoint.vout), (HASH, 7));
        for page in ["connections", "ledger", "pool"] {
            assert!(matches!(of(&format!("/admin/{page}")), Route::Page(name) if name == page));
        }
        assert_eq!([of("/metrics"), of("/metrics/cores"), of("/readyz")], [Route::Metrics, Route::Cores, Route::Ready]);
    }

    #[test]
    fn what_is_looked_up_is_told_apart() {
        let hash: BlockHash = HASH.parse().unwrap();
        let search = |q: &str| of(&format!("/admin/search?q={q}"));
        assert_eq!(search("+135000%20"), Route::Goto("/admin/block/135000".into()));
        assert_eq!(search(HASH), Route::Read(Wanted::Name(hash.0)));
        assert_eq!(search(&format!("{HASH}%3A12")), Route::Goto(format!("/admin/coin/{HASH}:12")));
        assert_eq!(of(&format!("/admin/search?x=1&q={HASH}:3&q=9")), Route::Goto(format!("/admin/coin/{HASH}:3")));
        let long = "1".repeat(100_000);
        let wrong = ["", "%", "%4", "%zz", "-1", "1.5", "99999999999", "%0d%0aSet-Cookie:x", "//evil", "é", &long];
        for wrong in wrong {
            assert_eq!(search(wrong), Route::Puzzled, "{wrong}");
        }
        assert_eq!([of("/admin/search"), of("/admin/search?p=1")], [Route::Puzzled, Route::Puzzled]);
    }

    #[test]
    fn tricks_lead_nowhere() {
        for path in [
            "",
            "*",
            "//",
            "/x",
            "/admin/../etc/passwd",
            "/admin/block/../../blocks.bin",
            "/admin/block/%2e%2e/x",
            "/admin/block/1%30",
            "/admin/block/+1",
            "/admin/block/-1",
            "/admin/block/ 1",
            "/admin/block/4294967296",
            "/admin/block/1/2",
            "/admin/block//1",
            "/admin/tx",
            "/admin/tx/",
            "/admin/tx/1",
            "/admin/coin/1:0",
            "/ADMIN/block",
            "/admin/block/\0",
            "/admin/shutdown/",
            "/admin/status.live/",
        ] {
            assert_eq!(of(path), Route::Unknown, "{path}");
        }
        for wrong in [format!("{HASH}0"), HASH.replace('9', "g"), format!("{HASH}:"), format!("{HASH}:-1")] {
            assert_eq!(of(&format!("/admin/block/{wrong}")), Route::Unknown, "{wrong}");
            assert_eq!(of(&format!("/admin/coin/{wrong}")), Route::Unknown, "{wrong}");
        }
    }
}
