//! A real Bitcoin Core and a node of ours on one chain: each block goes to both, and both must say the same of it. Without
//! a bitcoind the node alone is held to the reject string of the rule in question.
//!
//! A bad block is always a child of the tip, and so is its good neighbour, which becomes the next tip.

use crate::core::{Core, bitcoind};
use crate::data::hex;
use crate::node::poll;
use crate::wire::version;
use crate::{Folder, Line, Node, Setup, Wire};
use caesure_bench::block::{Block, coinbase};
use caesure_bench::chain::SPACING;
use caesure_bench::tx::{OutPoint, Tx, TxIn, TxOut};
use consensus::{
    BLOCK, BLOCK_CONTEXT, BlockCx, BlockHash, HEADER, Header, HeaderCx, INPUTS, Kind, Network, OUTPUT, OutputCx,
    Params, Rule, TX,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wire::message::Message;

/// OP_1: the lock that anyone opens with nothing.
pub const OPEN: [u8; 1] = [0x51];
/// How many such coins an early block of [`Pair::ripe`] makes.
const COINS_EACH: u64 = 40;
/// How many blocks do; all later ones only wait for these to ripen.
const RICH: u32 = 20;

/// A coin to spend.
#[derive(Clone, Debug)]
pub struct Coin {
    /// Its name.
    pub point: OutPoint,
    /// Satoshi.
    pub value: u64,
    /// Height of the block that made it.
    pub height: u32,
}

impl Coin {
    /// An input that spends it, with a final sequence and nothing else.
    pub fn input(&self) -> TxIn {
        TxIn { prev: self.point, script_sig: vec![], sequence: u32::MAX, witness: vec![] }
    }
}

/// A transaction that spends coins in full to one open coin.
pub fn spend(coins: &[&Coin]) -> Tx {
    let value = coins.iter().map(|coin| coin.value).sum();
    let inputs = coins.iter().map(|coin| coin.input()).collect();
    Tx { version: 2, inputs, outputs: vec![TxOut { value, script: OPEN.to_vec() }], lock_time: 0 }
}

/// What was said of a block: nothing, or the reject string and what stood in brackets behind it.
pub type Said = Result<(), (String, Option<String>)>;

/// One block that went to both.
#[derive(Clone, Debug)]
pub struct Row {
    /// The rule that it is about.
    pub rule: Rule,
    /// Whether it keeps it.
    pub kept: bool,
    /// How.
    pub what: String,
    /// Who was asked beside us.
    pub oracle: String,
}

/// Both, and the chain they have.
pub struct Pair {
    /// Bitcoin Core, where there is one.
    pub core: Option<Core>,
    /// Ours.
    pub node: Node,
    /// What they have in common.
    pub line: Line,
    /// The rules they are under.
    pub params: Params,
    /// All blocks that went to both.
    pub rows: Vec<Row>,
    /// What did not agree.
    pub wrong: Vec<String>,
    /// How long Core took to answer for the last block, and how long it took from sending it to us until our page or log
    /// told.
    pub took: (Option<Duration>, Duration),
    oracle: String,
    coins: Vec<Coin>,
    setup: Setup,
    base: Folder,
}

/// How a pair is started.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// The chain and its peculiarity in a few words.
    pub name: &'a str,
    /// What Core is told beyond the chain.
    pub core: &'a [&'a str],
    /// The same in our words.
    pub ours: &'a [&'a str],
    /// What both make of it.
    pub params: Params,
}

impl Pair {
    /// Both on `line`.
    pub fn start(start: &Start, line: Line) -> Pair {
        let params = start.params;
        let chain = params.network.name();
        let base = Folder::new();
        let mut words: Vec<String> = start.core.iter().map(|word| word.to_string()).collect();
        words.extend(["-connect=0".to_owned(), "-par=2".to_owned()]);
        let with = start.ours.iter().flat_map(|word| word.split(' ')).collect::<Vec<_>>();
        if line.height() > 0 {
            assert_eq!(params.network, Network::Regtest, "its folder's name is known");
            std::fs::create_dir(base.join(chain)).expect("a new folder");
            for copy in [base.join("copy.blk"), base.join(chain).join("blocks.bin")] {
                std::fs::write(copy, line.records()).expect("a new folder");
            }
            words.push(format!("-loadblock={}", base.join("copy.blk").display()));
        }
        let core = bitcoind().map(|bitcoind| Core::on(chain, &bitcoind, &words));
        let setup = Setup::new(chain, &[]).with(&with);
        let node = Node::start(&base, &setup);
        core.iter().for_each(|core| core.wait_tip(&line.tip().to_string(), 60));
        node.wait_tip(&line.tip().to_string(), 60);
        let oracle = format!("submitblock on {}", start.name);
        let coins = line.blocks.iter().enumerate().flat_map(|(height, (_, bytes))| open_coins(height as u32, bytes));
        let coins = coins.collect();
        Pair {
            core,
            node,
            line,
            params,
            rows: vec![],
            wrong: vec![],
            took: Default::default(),
            oracle,
            coins,
            setup,
            base,
        }
    }

    /// A chain of `count` blocks whose early coinbases make many open coins, with witnesses committed to or, before
    /// SegWit, not.
    pub fn ripe(params: &Params, count: u32, change: impl Fn(u32, &mut Block)) -> Line {
        let mut line = Line::regtest();
        for height in 1..=count {
            let mut block = next(params, &line, vec![]);
            if height <= RICH {
                let output = block.txs[0].outputs.remove(0);
                let value = output.value / COINS_EACH;
                block.txs[0].outputs.splice(0..0, (0..COINS_EACH).map(|_| TxOut { value, ..output.clone() }));
            }
            change(height, &mut block);
            block.seal();
            line.push(&block);
        }
        line
    }

    /// Ends the node and starts it anew on what it left.
    pub fn restart(self) -> Pair {
        assert_eq!(self.node.stop(), 0);
        let node = Node::start(&self.base, &self.setup);
        node.wait_tip(&self.line.tip().to_string(), 60);
        Pair { node, ..self }
    }

    /// Height of the next block.
    pub fn height(&self) -> u32 {
        self.line.height() + 1
    }

    /// An open coin that nobody has spent yet, old enough.
    pub fn coin(&mut self) -> Coin {
        assert!(self.coins[0].height + 100 <= self.height(), "no coin is ripe");
        self.coins.remove(0)
    }

    /// The median time past of the tip.
    pub fn mtp(&self) -> u32 {
        let height = self.line.height() as usize;
        let mut times: Vec<u32> = (height.saturating_sub(10)..=height).map(|at| self.line.header(at).time).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// A good block on the tip.
    pub fn next(&self, txs: Vec<Tx>) -> Block {
        next(&self.params, &self.line, txs)
    }

    /// The same, bent and sealed again.
    pub fn bent(&self, txs: Vec<Tx>, bend: impl FnOnce(&mut Block)) -> Block {
        let mut block = self.next(txs);
        bend(&mut block);
        block.seal();
        block
    }

    /// Coins with these locks, made by a block that both take.
    pub fn fund(&mut self, scripts: &[Vec<u8>]) -> Vec<Coin> {
        let coin = self.coin();
        let value = coin.value / scripts.len() as u64;
        let mut tx = spend(&[&coin]);
        tx.outputs = scripts.iter().map(|script| TxOut { value, script: script.clone() }).collect();
        let (txid, height) = (tx.txid(), self.height());
        let block = self.next(vec![tx]);
        self.take(&block);
        let point = |vout: usize| OutPoint { txid, vout: vout as u32 };
        (0..scripts.len()).map(|vout| Coin { point: point(vout), value, height }).collect()
    }

    /// Both take a good block that is about no rule.
    pub fn take(&mut self, block: &Block) {
        let bytes = block.bytes();
        let theirs = self.core_says(&bytes);
        assert!(theirs.is_none_or(|said| said.is_ok()), "Core refuses height {}", self.height());
        let said = self.node_says(block, &bytes, None);
        assert_eq!(said, Ok(()), "the node refuses height {}\n{}", self.height(), self.node.tail());
        self.line.push(block);
    }

    /// A block at the very edge where the rule is kept: both take it.
    pub fn kept(&mut self, rule: Rule, what: &str, block: &Block) {
        let bytes = block.bytes();
        let theirs = self.core_says(&bytes);
        let ours = self.node_says(block, &bytes, None);
        assert!(theirs.as_ref().is_none_or(Result::is_ok), "{rule}: {what}: Core says {theirs:?}, we {ours:?}");
        assert_eq!(ours, Ok(()), "{rule}: {what}: Core says {theirs:?}\n{}", self.node.tail());
        self.line.push(block);
        self.row(rule, true, what);
    }

    /// A block that breaks the first of these rules, and those behind it because one cannot be broken without the
    /// other: both refuse it for the first. Gives what stands in brackets.
    pub fn broken(&mut self, rules: &[Rule], what: &str, block: &Block) -> Option<String> {
        self.broken_bytes(rules, what, block, &block.bytes())
    }

    /// The same with other bytes than the block's own behind its header.
    pub fn broken_bytes(&mut self, rules: &[Rule], what: &str, block: &Block, bytes: &[u8]) -> Option<String> {
        let rule = rules[0];
        let found = self.tables(bytes);
        let wrong = || format!("{rule}: {what}: it breaks {found:?} as well");
        assert!(found.iter().all(|found| rules.contains(found)), "{}", wrong());
        let theirs = self.core_says(bytes);
        let ours = self.node_says(block, bytes, Some(rule));
        let named = |said: &Said| said.as_ref().is_err_and(|(reject, _)| *reject == rule.reject());
        assert!(ours.is_err(), "{rule}: {what}: we take it, Core says {theirs:?}");
        assert!(theirs.as_ref().is_none_or(Result::is_err), "{rule}: {what}: Core takes it, we say {ours:?}");
        if !named(&ours) || theirs.as_ref().is_some_and(|theirs| !named(theirs)) {
            self.wrong.push(format!("{rule}: {what}: Core says {theirs:?}, we say {ours:?}"));
        }
        let bracket = ours.err().and_then(|(_, bracket)| bracket);
        if rule == Rule::BlockScriptVerifyFlagFailed
            && let Some(theirs) = theirs.and_then(Result::err)
            && theirs.1 != bracket
        {
            self.wrong.push(format!("{rule}: {what}: Core's script error is {theirs:?}, ours {bracket:?}"));
        }
        self.row(rule, false, what);
        bracket
    }

    /// Bytes behind a block's header that Core was asked about otherwise: we refuse them for the first of these rules.
    pub fn ours_alone(&mut self, rules: &[Rule], what: &str, block: &Block, bytes: &[u8], oracle: &str) {
        let found = self.tables(bytes);
        assert!(found.iter().all(|found| rules.contains(found)), "{}: {what}: it breaks {found:?}", rules[0]);
        let ours = self.node_says(block, bytes, Some(rules[0]));
        assert_eq!(ours, Err((rules[0].reject().to_owned(), None)), "{what}");
        self.row_of(rules[0], false, what, oracle);
    }

    /// The last block was about another rule as well.
    pub fn row(&mut self, rule: Rule, kept: bool, what: &str) {
        let oracle = self.oracle.clone();
        self.row_of(rule, kept, what, &oracle);
    }

    /// A row that was compared otherwise than by a block for both.
    pub fn row_of(&mut self, rule: Rule, kept: bool, what: &str, oracle: &str) {
        let oracle = if self.core.is_some() || oracle.starts_with("Core's") { oracle } else { "NOBODY: no BITCOIND" };
        self.rows.push(Row { rule, kept, what: what.into(), oracle: oracle.into() });
    }

    fn core_says(&mut self, bytes: &[u8]) -> Option<Said> {
        let core = self.core.as_ref()?;
        let start = Instant::now();
        let said = core_says(core, bytes);
        self.took.0 = Some(start.elapsed());
        Some(said)
    }

    /// The header is announced to the node by a peer of its own, which gives the bytes if it is asked.
    fn node_says(&mut self, block: &Block, bytes: &[u8], wanted: Option<Rule>) -> Said {
        let hash = BlockHash(block.hash());
        let before = self.node.lines().len();
        let wire = Wire::dial(self.node.p2p, self.params.magic);
        wire.send(&version(self.line.height()));
        wire.send(&Message::Verack);
        wire.until(|message| matches!(message, Message::Verack)).expect("the node shakes hands");
        wire.send(&Message::Headers(vec![Header::parse(&block.header.bytes())]));
        // Nobody is to blame for these, and nothing is told: that the header was not taken is what there is to see.
        if let Some(rule) = wanted.filter(|rule| matches!(rule.kind(), Kind::TooEarly | Kind::Unconnected)) {
            wire.ping(1).expect("nobody is to blame");
            assert_eq!(self.node.status()["headers"], self.line.height(), "{rule}: the header was taken");
            return Err((rule.reject().into(), None));
        }
        let asks =
            |message: &Message| matches!(message, Message::GetData(invs) if invs.iter().any(|inv| inv.hash == hash.0));
        // The connection ends if the header is bad. If the block is, that may be before or after the pong.
        let asked = wire.until(asks).is_ok();
        let start = Instant::now();
        if asked {
            wire.send_frame("block", bytes);
            wire.ping(2).ok();
        }
        let hash = hash.to_string();
        let mut last = None;
        let said = poll(120, || {
            if self.node.status()["tip"] == hash {
                return Some(Ok(()));
            }
            let told = self.node.lines().into_iter().skip(before).filter(|line| line.contains(&hash));
            last = told.filter_map(|line| refusal(&line)).next_back();
            last.clone().filter(|(reject, _)| wanted.is_none_or(|rule| rule.reject() == reject)).map(Err)
        });
        self.took.1 = start.elapsed();
        said.or(last.map(Err)).unwrap_or_else(|| panic!("nothing is told of {hash}\n{}", self.node.tail()))
    }

    /// Which rules of the tables the bytes break on the tip: all of them, not only the first.
    fn tables(&self, bytes: &[u8]) -> BTreeSet<Rule> {
        let Ok(block) = consensus::Block::parse(bytes.to_vec().into()) else { return [Rule::Malformed].into() };
        if block.header.prev != self.line.tip() {
            return BTreeSet::new();
        }
        let (params, height, mtp_parent) = (&self.params, self.height(), self.mtp());
        let parent = &self.line.header(self.line.height() as usize);
        let now_unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let header = HeaderCx {
            params,
            height,
            header: &block.header,
            hash: block.hash,
            parent,
            mtp_parent,
            next_bits: parent.bits,
            now_unix,
        };
        let place = BlockCx { params, height, mtp_parent };
        let mut found = BTreeSet::new();
        found.extend(HEADER.iter().filter(|row| height >= row.1(params) && !row.2(&header)).map(|row| row.0));
        found.extend(BLOCK.iter().filter(|row| !row.1(&block)).map(|row| row.0));
        found.extend(
            BLOCK_CONTEXT.iter().filter(|row| height >= row.1(params) && !row.2(&block, &place)).map(|row| row.0),
        );
        for tx in &block.txs {
            found.extend(TX.iter().chain(INPUTS).filter(|row| !row.1(&block, tx)).map(|row| row.0));
            let mut total = 0u64;
            for output in block.outputs_of(tx) {
                total = total.saturating_add(output.value);
                let output = OutputCx { value: output.value, total };
                found.extend(OUTPUT.iter().filter(|row| !row.1(&output)).map(|row| row.0));
            }
        }
        found
    }
}

/// What Core says of a block.
pub fn core_says(core: &Core, bytes: &[u8]) -> Said {
    let name = bytes.first_chunk().map(|header| Header::parse(header).hash().to_string()).unwrap_or_default();
    match core.try_call("submitblock", json!([hex(bytes)])) {
        Ok(Value::Null) => Ok(()),
        // It came by another way before.
        Ok(answer) if answer == "duplicate" && core.call("getbestblockhash", json!([])) == name => Ok(()),
        Ok(answer) => Err(split(answer.as_str().expect("a reject string"))),
        // Core has no reject string for what it cannot read.
        Err(error) if error.contains("Block decode failed") => Err((Rule::Malformed.reject().into(), None)),
        Err(error) => panic!("submitblock: {error}"),
    }
}

/// A reject string of Core's without its brackets, and what was in them.
pub fn split(answer: &str) -> (String, Option<String>) {
    match answer.split_once('(') {
        Some((reject, bracket)) => (reject.trim_end().into(), bracket.strip_suffix(')').map(String::from)),
        None => (answer.into(), None),
    }
}

/// The rule in a line of the log, and the script error in brackets.
fn refusal(line: &str) -> Option<(String, Option<String>)> {
    let told = line.split(" is refused: ").nth(1).or_else(|| line.split(" is let go: ").nth(1))?;
    let end = told.find([' ', ',', ':']).unwrap_or(told.len());
    let bracket = told[end..].strip_prefix(" (").and_then(|rest| rest.split("), transaction").next());
    Some((told[..end].into(), bracket.map(String::from)))
}

fn next(params: &Params, line: &Line, txs: Vec<Tx>) -> Block {
    let height = line.height() + 1;
    let pays = TxOut { value: params.subsidy(height), script: OPEN.to_vec() };
    let mut first = coinbase(height, vec![pays], &[]);
    if height < params.segwit_height {
        first.outputs.pop();
        first.inputs[0].witness.clear();
    }
    let parent = line.header(line.height() as usize);
    let mut block = Block::assemble(line.tip().0, parent.time + SPACING, first, vec![]);
    block.header.bits = parent.bits;
    block.txs.extend(txs);
    if params.network == Network::Regtest {
        block.seal();
    }
    block
}

/// The open coins that a coinbase made.
fn open_coins(height: u32, bytes: &bytes::Bytes) -> Vec<Coin> {
    let block = consensus::Block::parse(bytes.clone()).expect("a block of the line");
    let outputs = block.outputs_of(&block.txs[0]).iter().enumerate();
    let open = outputs.filter(|(_, output)| block.script(output.script) == OPEN);
    let point = |vout| OutPoint { txid: block.txs[0].txid.0, vout };
    open.map(|(vout, output)| Coin { point: point(vout as u32), value: output.value, height }).collect()
}
