//! How a value of the console is shown: as Python showed it in 2014 where it is a list, a name or a number. Knows no object
//! but by what it calls itself.

use super::language::{Db, Parts, Txs};
use super::live::{Ledger, Node, World};
use super::objects::{BlockRef, Data, Name, TxRef};
use rhai::{Array, Dynamic, Map};

/// Lists within each other that are shown.
const DEPTH: usize = 32;

/// A value, as an answer: text is shown as it is.
pub fn answer(value: &Dynamic) -> String {
    match value.read_lock::<rhai::ImmutableString>() {
        Some(text) => text.to_string(),
        None => inside(value, 0),
    }
}

/// A value inside another one: text is quoted.
pub fn inside(value: &Dynamic, depth: usize) -> String {
    if depth > DEPTH {
        return "…".to_owned();
    }
    if let Some(text) = value.read_lock::<rhai::ImmutableString>() {
        return format!("'{}'", *text);
    }
    if let Some(list) = value.read_lock::<Array>() {
        let all: Vec<String> = list.iter().map(|value| inside(value, depth + 1)).collect();
        return format!("[{}]", all.join(", "));
    }
    if let Some(map) = value.read_lock::<Map>() {
        let all: Vec<String> = map.iter().map(|(key, value)| format!("{key}: {}", inside(value, depth + 1))).collect();
        return format!("#{{{}}}", all.join(", "));
    }
    macro_rules! of {
        ($($kind:ty),*) => {
            $(if let Some(value) = value.read_lock::<$kind>() { return value.to_string(); })*
        };
    }
    of!(Name, Data, BlockRef, TxRef, Db, Txs, Parts, Node, Ledger, World);
    value.to_string()
}
