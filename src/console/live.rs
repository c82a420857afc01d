//! A running node as the console has it: peers, worlds, download window, cores, limits, from the answers of its status
//! shard. Asks nothing that the one-line commands of the monitor could not ask.

use super::language::{Came, Db, Reach, named};
use super::objects::Name;
use consensus::Txid;
use rhai::{Array, Dynamic, Engine, Map};
use serde_json::Value;
use std::fmt;

/// `G`.
#[derive(Clone)]
pub struct Node(pub Reach);

/// `G.ledger`.
#[derive(Clone)]
pub struct Ledger(Reach);

/// The coins as one block leaves them.
#[derive(Clone)]
pub struct World {
    reach: Reach,
    name: Name,
    height: i64,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let live = if self.0.ask.is_some() { "a running node" } else { "files" };
        write!(f, "<G of {live}, {}; help() lists what it has>", self.0.network)
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<LEDGER; G.ledger.totals, G.ledger.worlds, G.ledger.world(NAME)>")
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<WORLD {} height {}>", Txid(self.name.0), self.height)
    }
}

/// JSON as values of the language.
fn value(json: &Value) -> Dynamic {
    match json {
        Value::Null => Dynamic::UNIT,
        Value::Bool(truth) => (*truth).into(),
        Value::Number(number) => match number.as_i64() {
            Some(int) => int.into(),
            None => number.as_f64().unwrap_or(f64::NAN).into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(list) => list.iter().map(value).collect::<Array>().into(),
        Value::Object(map) => {
            map.iter().map(|(key, inside)| (key.as_str().into(), value(inside))).collect::<Map>().into()
        }
    }
}

impl Reach {
    fn asked(&self, line: &str) -> Came<String> {
        let ask = self.ask.as_ref().ok_or("no node is asked here: these are files (--offline)")?;
        let answer = ask(line)?;
        match answer.strip_prefix("error: ") {
            Some(why) => Err(why.into()),
            None => Ok(answer),
        }
    }

    fn status(&self) -> Came<Value> {
        let text = self.asked("json")?;
        Ok(serde_json::from_str(&text).map_err(|why| format!("the node answered no JSON: {why}"))?)
    }

    /// A part of what the status page says.
    fn part(&self, name: &str) -> Came<Dynamic> {
        Ok(value(&self.status()?[name]))
    }

    /// A coin in the world of a block, or the tip's.
    fn coin(&self, txid: &Dynamic, vout: i64, at: Option<Name>) -> Came<Dynamic> {
        let txid = Txid(named(txid)?.0);
        let at = at.map(|name| format!(" @{}", Txid(name.0))).unwrap_or_default();
        let told = self.asked(&format!("coin {txid}:{vout}{at}"))?;
        Ok(coin(&told).map_or(Dynamic::UNIT, Dynamic::from))
    }
}

/// What the monitor says of a coin, as a map; none where it says that there is none.
fn coin(told: &str) -> Option<Map> {
    let field = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let (height, coinbase) = match field("made at")?.split_once(' ') {
        Some((height, _)) => (height, true),
        None => (field("made at")?, false),
    };
    let satoshi = describe::amount::satoshi(field("value")?.strip_suffix(" BTC")?)?;
    let script = describe::unhex(field("script")?).unwrap_or_default();
    let mut map = Map::new();
    map.insert("value".into(), (satoshi as i64).into());
    map.insert("height".into(), height.parse::<i64>().ok()?.into());
    map.insert("coinbase".into(), coinbase.into());
    map.insert("script".into(), super::language::data(&script));
    Some(map)
}

fn world(reach: &Reach, name: &Dynamic) -> Came<World> {
    let name = named(name)?;
    let (status, hash) = (reach.status()?, Txid(name.0).to_string());
    let mut all = status["worlds"].as_array().into_iter().flatten().chain([&status["root"]]);
    let found = all.find(|world| world["hash"] == hash.as_str());
    let height = found.and_then(|world| world["height"].as_i64());
    let height = height.ok_or_else(|| format!("no world of block {hash} is live; G.ledger.worlds lists them"))?;
    Ok(World { reach: reach.clone(), name, height })
}

/// Everything of a node.
pub fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Node>("G").register_type_with_name::<Ledger>("LEDGER");
    engine.register_type_with_name::<World>("WORLD");
    engine.register_get("block_db", |node: &mut Node| Db(node.0.shelf.clone()));
    engine.register_get("ledger", |node: &mut Node| Ledger(node.0.clone()));
    engine.register_get("chain", |node: &mut Node| node.0.network.name());
    engine.register_get("status", |node: &mut Node| -> Came<Dynamic> { Ok(value(&node.0.status()?)) });
    for (name, part) in [("peers", "peers"), ("cores", "cores"), ("tips", "tips"), ("recent_blocks", "worlds")] {
        engine.register_get(name, move |node: &mut Node| node.0.part(part));
    }
    engine.register_get("hoover", |node: &mut Node| -> Came<Map> {
        let status = node.0.status()?;
        let number = |name: &str| status[name].as_i64().unwrap_or(0);
        let mut map = Map::new();
        let window = status["window"].as_object().into_iter().flatten();
        map.extend(window.map(|(key, inside)| (key.as_str().into(), value(inside))));
        map.insert("running".into(), (status["state"] != "synced").into());
        map.insert("target".into(), number("headers").into());
        map.insert("remaining".into(), (number("headers") - number("height")).max(0).into());
        Ok(map)
    });
    engine.register_get("limits", |node: &mut Node| -> Came<Map> {
        let status = node.0.status()?;
        let mut map = Map::new();
        map.insert("memory".into(), value(&status["memory"]));
        map.insert("window_bytes".into(), value(&status["window"]["bytes_max"]));
        map.insert("horizon".into(), value(&status["horizon"]));
        map.insert("outgoing".into(), value(&status["book"]["outgoing_max"]));
        map.insert("incoming".into(), value(&status["book"]["incoming_max"]));
        Ok(map)
    });
    engine.register_get("totals", |ledger: &mut Ledger| -> Came<Map> {
        let status = ledger.0.status()?;
        let mut map = Map::new();
        for name in ["height", "tip", "coins", "root", "horizon"] {
            map.insert(name.into(), value(&status[name]));
        }
        let inside = status["ledger"].as_object().into_iter().flatten();
        map.extend(inside.map(|(key, inside)| (key.as_str().into(), value(inside))));
        Ok(map)
    });
    engine.register_get("worlds", |ledger: &mut Ledger| ledger.0.part("worlds"));
    engine.register_fn("world", |ledger: &mut Ledger, name: Dynamic| world(&ledger.0, &name));
    engine.register_fn("coin", |ledger: &mut Ledger, txid: Dynamic, vout: i64| ledger.0.coin(&txid, vout, None));
    engine.register_get("name", |world: &mut World| world.name);
    engine.register_get("height", |world: &mut World| world.height);
    engine.register_fn("coin", |world: &mut World, txid: Dynamic, vout: i64| {
        world.reach.coin(&txid, vout, Some(world.name))
    });
    engine.register_fn("log", |node: &mut Node| node.0.asked("log"));
    engine.register_fn("log", |node: &mut Node, filter: &str| node.0.asked(&format!("log {filter}")));
    for what in ["invalidate", "reconsider"] {
        engine.register_fn(what, move |node: &mut Node, name: Dynamic| -> Came<String> {
            node.0.asked(&format!("{what} {}", Txid(named(&name)?.0)))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::objects::Data;
    use super::*;

    #[test]
    fn a_coin_is_read_off_the_monitors_answer() {
        let told = "coin        00:1\nunspent in  the world of block 00 at height 7\nvalue       1.50000000 BTC\n\
                    made at     5 by a coinbase\nscript      51";
        let map = coin(told).unwrap();
        assert_eq!(map["value"].as_int(), Ok(150_000_000));
        assert_eq!((map["height"].as_int(), map["coinbase"].as_bool()), (Ok(5), Ok(true)));
        assert_eq!(map["script"].clone().cast::<Data>().to_string(), "0x51");
        assert!(!coin(&told.replace(" by a coinbase", "")).unwrap()["coinbase"].as_bool().unwrap());
        assert!(coin("coin 00:1 is not unspent in the world of block 00 at height 7").is_none());
    }
}
