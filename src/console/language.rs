//! What the console's language has beside Rhai's own: blocks and transactions as the prompt of 2014 had them. Every
//! function reads, and ends by itself: what takes long takes steps.

use super::live::Node;
use super::objects::{BlockRef, Data, Name, Said, Shelf, TxRef, place};
use super::show;
use crate::txmap;
use consensus::{Network, TxView, Txid, check_block};
use describe::{dump, json};
use ledger::headers::NodeId;
use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString};
use std::fmt;
use std::sync::Arc;

/// Prints, as far as there is room.
pub type Print = Arc<dyn Fn(&str) + Send + Sync>;
/// A line to the status shard of a node, and its answer.
pub type Question = Arc<dyn Fn(&str) -> Said<String> + Send + Sync>;
/// What a function of the language comes to.
pub type Came<T> = Result<T, Box<EvalAltResult>>;

/// What a session can reach.
#[derive(Clone)]
pub struct Reach {
    /// The folder.
    pub shelf: Arc<Shelf>,
    /// Whose blocks.
    pub network: Network,
    /// The node; none offline.
    pub ask: Option<Question>,
    /// Where what is printed goes.
    pub print: Print,
}

/// The blocks of the folder.
#[derive(Clone)]
pub struct Db(pub Arc<Shelf>);

impl fmt::Display for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stored = self.0.stored();
        let tip = stored.node(stored.best());
        write!(f, "<BLOCK_DB {} blocks, the last {} height {}>", stored.len(), tip.hash, tip.height)
    }
}

/// Where transactions lie: `txmap[name]`, of the index that `caesure txmap` makes.
#[derive(Clone)]
struct Txmap(Arc<Shelf>);

impl Txmap {
    /// As in 2014: (block name, height, number, TX).
    fn get(&self, name: &Dynamic) -> Came<Array> {
        let name = named(name)?;
        let stored = self.0.stored();
        let places = txmap::find(&stored, &Txid(name.0))?.ok_or("there is no index; caesure txmap makes it")?;
        drop(stored);
        let place = places.first().ok_or_else(|| format!("no transaction {name} is indexed"))?;
        let block = self.0.block(self.0.find(Name(place.block.0))?);
        let tx = TxRef::in_block(&block, place.number as i64)?;
        let height = place.height.map_or(Dynamic::UNIT, |height| i64::from(height).into());
        Ok(vec![Dynamic::from(block.name()), height, (place.number as i64).into(), Dynamic::from(tx)])
    }
}

/// What is known of blocks, by name or height: `db.prev[name]`, `db.num_block[height]`.
#[derive(Clone)]
struct Table(Arc<Shelf>, &'static str);

/// The transactions of a block.
#[derive(Clone)]
pub struct Txs(BlockRef);

/// The inputs of a transaction (or its outputs).
#[derive(Clone)]
pub struct Parts {
    tx: TxRef,
    inputs: bool,
}

impl fmt::Display for Txs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.read() {
            Ok(block) => write!(f, "<{} transactions of {}>", block.txs.len(), self.0),
            Err(why) => write!(f, "<{why}>"),
        }
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.tx.with(|tx| {
            let all = (0..self.len(tx)).map(|at| show::inside(&self.at(tx, at).into(), 1));
            format!("[{}]", all.collect::<Vec<_>>().join(", "))
        });
        f.write_str(&all.unwrap_or_else(|why| format!("<{why}>")))
    }
}

impl Parts {
    fn len(&self, tx: &TxView) -> usize {
        if self.inputs { tx.inputs.len() } else { tx.outputs.len() }
    }

    /// As in 2014: ((name, index), script, sequence), or (value, script).
    fn at(&self, tx: &TxView, at: usize) -> Array {
        if self.inputs {
            let input = &tx.inputs[at];
            let (txid, vout) = tx.prevout(input).split_first_chunk().expect("36 bytes");
            let vout = u32::from_le_bytes(vout.try_into().expect("four bytes"));
            let coin: Array = vec![Dynamic::from(Name(*txid)), i64::from(vout).into()];
            vec![coin.into(), data(tx.slice(input.script)), i64::from(input.sequence).into()]
        } else {
            let output = &tx.outputs[at];
            // More than there can be is shown as nobody could have it.
            vec![(output.value as i64).into(), data(tx.slice(output.script))]
        }
    }

    fn get(&self, at: i64) -> Came<Array> {
        let what = if self.inputs { "inputs" } else { "outputs" };
        Ok(self.tx.with(|tx| Ok::<_, String>(self.at(tx, place(at, self.len(tx), what)?)))??)
    }
}

/// Bytes as a value.
pub fn data(bytes: &[u8]) -> Dynamic {
    Dynamic::from(Data(bytes.into()))
}

/// The name that a value says or has.
pub fn named(value: &Dynamic) -> Came<Name> {
    if let Some(name) = value.clone().try_cast::<Name>() {
        return Ok(name);
    }
    if let Some(block) = value.clone().try_cast::<BlockRef>() {
        return Ok(block.name());
    }
    if let Some(tx) = value.clone().try_cast::<TxRef>() {
        return Ok(tx.name());
    }
    match value.read_lock::<ImmutableString>() {
        Some(text) => Ok(Name::parse(&text)?),
        None => Err(format!("a name was wanted, and this is {}", value.type_name()).into()),
    }
}

/// A height that a value says.
fn height(at: i64) -> Came<u32> {
    u32::try_from(at).map_err(|_| format!("{at} is no height").into())
}

fn block_at(shelf: &Arc<Shelf>, at: i64) -> Came<BlockRef> {
    let at = height(at)?;
    let (id, top) = {
        let stored = shelf.stored();
        (stored.on_best(at), stored.node(stored.best()).height)
    };
    let id = id.ok_or_else(|| format!("the best chain ends at height {top}"))?;
    Ok(shelf.block(id))
}

fn names(shelf: &Shelf, ids: Vec<NodeId>) -> Array {
    let stored = shelf.stored();
    ids.into_iter().map(|id| Dynamic::from(Name(stored.node(id).hash.0))).collect()
}

fn by_name(shelf: &Arc<Shelf>, name: &Dynamic) -> Came<BlockRef> {
    Ok(shelf.block(shelf.find(named(name)?)?))
}

impl Table {
    fn by_height(&mut self, at: i64) -> Came<Array> {
        match self.1 {
            "num_block" => num_block(&self.0, at),
            what => Err(format!("db.{what} is asked by a block's name").into()),
        }
    }

    fn by_name(&mut self, name: &Dynamic) -> Came<Dynamic> {
        let id = self.0.find(named(name)?)?;
        let stored = self.0.stored();
        let node = stored.node(id);
        Ok(match self.1 {
            "prev" => Dynamic::from(Name(node.header.prev.0)),
            "block_num" => i64::from(node.height).into(),
            "blocks" => match stored.record(id) {
                Some(record) => (record.at as i64).into(),
                None => return Err(format!("block {} is not stored", node.hash).into()),
            },
            what => return Err(format!("db.{what} is asked by a height").into()),
        })
    }
}

fn num_block(shelf: &Shelf, at: i64) -> Came<Array> {
    let ids = shelf.stored().at(height(at)?);
    Ok(names(shelf, ids))
}

/// Walks the best chain.
pub struct Walk(Arc<Shelf>, u32);

impl Iterator for Walk {
    type Item = BlockRef;

    fn next(&mut self) -> Option<BlockRef> {
        let id = self.0.stored().on_best(self.1)?;
        self.1 += 1;
        Some(self.0.block(id))
    }
}

impl IntoIterator for Db {
    type Item = BlockRef;
    type IntoIter = Walk;

    fn into_iter(self) -> Walk {
        Walk(self.0, 0)
    }
}

/// Everything of a folder.
pub fn register(engine: &mut Engine, reach: &Reach) {
    database(engine);
    blocks(engine, reach);
    transactions(engine, reach);
    super::scripts::register(engine, reach.network);
    super::live::register(engine);
    super::feed::register(engine);
    let mut globals = rhai::Module::new();
    globals.set_var("G", Node(reach.clone()));
    globals.set_var("db", Db(reach.shelf.clone()));
    globals.set_var("txmap", Txmap(reach.shelf.clone()));
    engine.register_global_module(globals.into());
    macro_rules! shown {
        ($($kind:ty),*) => {
            $(engine.register_fn("to_string", |value: &mut $kind| value.to_string());
            engine.register_fn("to_debug", |value: &mut $kind| value.to_string());)*
        };
    }
    shown!(Db, Txs, Parts, BlockRef, TxRef, Name, Data, Node, super::live::Ledger, super::live::World);
    let print = reach.print.clone();
    engine.register_fn("help", move || print(&super::help::text()));
}

fn database(engine: &mut Engine) {
    engine.register_type_with_name::<Txmap>("TXMAP");
    engine.register_indexer_get(|map: &mut Txmap, name: ImmutableString| map.get(&name.into()));
    engine.register_indexer_get(|map: &mut Txmap, name: Name| map.get(&Dynamic::from(name)));
    engine.register_type_with_name::<Db>("BLOCK_DB").register_type_with_name::<Table>("TABLE");
    engine.register_iterator::<Db>();
    engine.register_get("last_block", |db: &mut Db| {
        let stored = db.0.stored();
        i64::from(stored.node(stored.best()).height)
    });
    engine.register_get("last", |db: &mut Db| {
        let id = db.0.stored().best();
        db.0.block(id)
    });
    for what in ["num_block", "block_num", "prev", "blocks"] {
        engine.register_get(what, move |db: &mut Db| Table(db.0.clone(), what));
    }
    engine.register_fn("len", |db: &mut Db| db.0.stored().len() as i64);
    engine.register_fn("len", |table: &mut Table| table.0.stored().len() as i64);
    engine.register_indexer_get(|table: &mut Table, at: i64| table.by_height(at));
    engine.register_indexer_get(|table: &mut Table, name: Name| table.by_name(&Dynamic::from(name)));
    engine.register_indexer_get(|table: &mut Table, name: ImmutableString| table.by_name(&name.into()));
    engine.register_fn("by_num", |db: &mut Db, at: i64| block_at(&db.0, at));
    engine.register_fn("num_block", |db: &mut Db, at: i64| num_block(&db.0, at));
    engine.register_fn("block_num", |db: &mut Db, name: Dynamic| Table(db.0.clone(), "block_num").by_name(&name));
    engine.register_fn("prev", |db: &mut Db, name: Dynamic| Table(db.0.clone(), "prev").by_name(&name));
    engine.register_fn("next", |db: &mut Db, name: Dynamic| -> Came<Array> {
        let id = db.0.find(named(&name)?)?;
        let next = db.0.stored().next(id);
        Ok(names(&db.0, next))
    });
    for what in ["has_key", "contains"] {
        engine.register_fn(what, |db: &mut Db, name: Dynamic| {
            Ok::<_, Box<EvalAltResult>>(db.0.find(named(&name)?).is_ok())
        });
    }
    engine.register_indexer_get(|db: &mut Db, name: ImmutableString| by_name(&db.0, &name.into()));
    engine.register_indexer_get(|db: &mut Db, name: Name| by_name(&db.0, &Dynamic::from(name)));
    engine.register_indexer_get(|db: &mut Db, at: i64| block_at(&db.0, at));
    engine.register_fn("get_block", |db: &mut Db, name: Dynamic| -> Came<Dynamic> {
        Ok(data(&by_name(&db.0, &name)?.read()?.bytes))
    });
    engine.register_fn("get_header", |db: &mut Db, name: Dynamic| -> Came<Dynamic> {
        let id = db.0.find(named(&name)?)?;
        Ok(data(&db.0.stored().node(id).header.to_bytes()))
    });
    engine.register_fn("get_highest_uncontested_block", |db: &mut Db| -> Array {
        let stored = db.0.stored();
        let node = stored.node(stored.uncontested());
        vec![i64::from(node.height).into(), Dynamic::from(Name(node.hash.0))]
    });
    engine.register_fn("tips", |db: &mut Db| {
        let tips = db.0.stored().tips();
        names(&db.0, tips)
    });
    engine.register_fn("refresh", |db: &mut Db| -> Came<i64> {
        Ok(db.0.stored().follow().map_err(|why| why.to_string())? as i64)
    });
}

fn blocks(engine: &mut Engine, reach: &Reach) {
    engine.register_type_with_name::<BlockRef>("BLOCK").register_type_with_name::<Txs>("TRANSACTIONS");
    macro_rules! header {
        ($name:literal, $of:expr) => {
            engine.register_get($name, |block: &mut BlockRef| -> Came<Dynamic> {
                let of: fn(&consensus::Header) -> Dynamic = $of;
                Ok(of(&block.read()?.header))
            });
        };
    }
    header!("version", |header| i64::from(header.version).into());
    header!("prev_block", |header| Dynamic::from(Name(header.prev.0)));
    header!("merkle_root", |header| Dynamic::from(Name(header.merkle_root)));
    header!("timestamp", |header| i64::from(header.time).into());
    header!("bits", |header| i64::from(header.bits).into());
    header!("nonce", |header| i64::from(header.nonce).into());
    engine.register_get("name", |block: &mut BlockRef| block.name());
    engine.register_get("height", |block: &mut BlockRef| {
        block.height.map_or(Dynamic::UNIT, |height| i64::from(height).into())
    });
    engine.register_fn("get_height", |block: &mut BlockRef| -> Came<i64> {
        let height = block.height.ok_or("this block was made of bytes, and stands nowhere")?;
        Ok(height.into())
    });
    engine.register_get("size", |block: &mut BlockRef| -> Came<i64> { Ok(block.read()?.bytes.len() as i64) });
    engine.register_get("raw", |block: &mut BlockRef| -> Came<Dynamic> { Ok(data(&block.read()?.bytes)) });
    engine.register_get("transactions", |block: &mut BlockRef| Txs(block.clone()));
    engine.register_fn("get_merkle_hash", |block: &mut BlockRef| -> Came<Name> {
        Ok(Name(block.read()?.facts.merkle_root))
    });
    engine.register_fn("check_rules", |block: &mut BlockRef| -> Came<&'static str> {
        match check_block(&*block.read()?) {
            Ok(_) => Ok("keeps the rules that need no chain"),
            Err(rule) => Err(rule.to_string().into()),
        }
    });
    let (print, network) = (reach.print.clone(), reach.network);
    engine.register_fn("dump", move |block: &mut BlockRef| -> Came<()> {
        let mut text = String::new();
        dump::block(&mut text, &*block.read()?).expect("a string takes all");
        print(&text);
        Ok(())
    });
    engine.register_fn("json", move |block: &mut BlockRef| -> Came<String> {
        let told = json::block(&*block.read()?, block.height, network);
        Ok(serde_json::to_string_pretty(&told).expect("plain words and numbers"))
    });
    for what in ["len", "count"] {
        engine.register_fn(what, |block: &mut BlockRef| -> Came<i64> { Ok(block.read()?.txs.len() as i64) });
        engine.register_fn(what, |txs: &mut Txs| -> Came<i64> { Ok(txs.0.read()?.txs.len() as i64) });
    }
    engine.register_indexer_get(|txs: &mut Txs, at: i64| -> Came<TxRef> { Ok(TxRef::in_block(&txs.0, at)?) });
    engine.register_iterator_result::<Txs, TxRef>();
}

/// Walks the transactions of a block.
pub struct EachTx(BlockRef, Option<Arc<consensus::Block>>, usize);

impl IntoIterator for Txs {
    type Item = Came<TxRef>;
    type IntoIter = EachTx;

    fn into_iter(self) -> EachTx {
        EachTx(self.0, None, 0)
    }
}

impl Iterator for EachTx {
    type Item = Came<TxRef>;

    fn next(&mut self) -> Option<Came<TxRef>> {
        if self.1.is_none() {
            match self.0.read() {
                Ok(block) => self.1 = Some(block),
                Err(why) => return Some(Err(why.into())),
            }
        }
        let tx = self.1.as_ref()?.txs.get(self.2)?;
        self.2 += 1;
        Some(Ok(TxRef::In(self.0.clone(), self.2 - 1, tx.txid)))
    }
}

/// Walks the parts of a transaction.
pub struct EachPart(Parts, i64);

impl IntoIterator for Parts {
    type Item = Came<Array>;
    type IntoIter = EachPart;

    fn into_iter(self) -> EachPart {
        EachPart(self, 0)
    }
}

impl Iterator for EachPart {
    type Item = Came<Array>;

    fn next(&mut self) -> Option<Came<Array>> {
        match self.0.tx.with(|tx| self.0.len(tx)) {
            Ok(len) if self.1 as usize >= len => None,
            Ok(_) => {
                self.1 += 1;
                Some(self.0.get(self.1 - 1))
            }
            Err(why) => Some(Err(why.into())),
        }
    }
}

fn transactions(engine: &mut Engine, reach: &Reach) {
    engine.register_type_with_name::<TxRef>("TX").register_type_with_name::<Parts>("LIST");
    engine.register_iterator_result::<Parts, Array>();
    macro_rules! field {
        ($name:literal, $of:expr) => {
            engine.register_get($name, |tx: &mut TxRef| -> Came<Dynamic> {
                let of: fn(&TxView) -> Dynamic = $of;
                Ok(tx.with(|tx| of(tx))?)
            });
        };
    }
    field!("version", |tx| i64::from(tx.tx.version).into());
    field!("lock_time", |tx| i64::from(tx.tx.lock_time).into());
    field!("size", |tx| i64::from(tx.tx.end - tx.tx.start).into());
    field!("raw", |tx| data(tx.whole()));
    field!("wtxid", |tx| Dynamic::from(Name(tx.wtxid())));
    engine.register_get("name", |tx: &mut TxRef| tx.name());
    engine.register_fn("get_hash", |tx: &mut TxRef| tx.name());
    engine.register_get("inputs", |tx: &mut TxRef| Parts { tx: tx.clone(), inputs: true });
    engine.register_get("outputs", |tx: &mut TxRef| Parts { tx: tx.clone(), inputs: false });
    engine.register_get("block", |tx: &mut TxRef| match tx {
        TxRef::In(block, ..) => Dynamic::from(block.clone()),
        TxRef::Lone(_) => Dynamic::UNIT,
    });
    engine.register_fn("witness", |tx: &mut TxRef, at: i64| -> Came<Array> {
        Ok(tx.with(|tx| {
            let input = &tx.inputs[place(at, tx.inputs.len(), "inputs")?];
            Ok::<Array, String>(tx.witness(input).map(data).collect())
        })??)
    });
    engine.register_fn("len", |parts: &mut Parts| -> Came<i64> { Ok(parts.tx.with(|tx| parts.len(tx))? as i64) });
    engine.register_indexer_get(|parts: &mut Parts, at: i64| parts.get(at));
    let print = reach.print.clone();
    engine.register_fn("dump", move |tx: &mut TxRef| -> Came<()> {
        let mut text = String::new();
        tx.with(|tx| dump::tx(&mut text, tx).expect("a string takes all"))?;
        print(&text);
        Ok(())
    });
    let network = reach.network;
    engine.register_fn("json", move |tx: &mut TxRef| -> Came<String> {
        let told = tx.with(|tx| serde_json::to_string_pretty(&json::tx(tx, network)))?;
        Ok(told.expect("plain words and numbers"))
    });
    let print = reach.print.clone();
    engine.register_fn("describe", move |tx: &mut TxRef| -> Came<()> {
        print(&tx.with(|tx| lines(tx, network))?);
        Ok(())
    });
}

/// A transaction as the page of 2014 listed it.
fn lines(tx: &TxView, network: Network) -> String {
    let mut out = format!("{}\n", tx.tx.txid);
    for (number, input) in tx.inputs.iter().enumerate() {
        let (txid, vout) = tx.prevout(input).split_first_chunk().expect("36 bytes");
        let vout = u32::from_le_bytes(vout.try_into().expect("four bytes"));
        let told = describe::input(tx, input, network, None);
        out += &format!("  in {number:3} {}:{vout} {told}\n", Txid(*txid));
    }
    for (number, output) in tx.outputs.iter().enumerate() {
        let told = describe::output(tx.slice(output.script), network);
        out += &format!(" out {number:3} {} {told}\n", describe::btc(output.value));
    }
    out
}
