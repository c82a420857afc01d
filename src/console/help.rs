//! What the console has, a sentence each. A test calls each of them.

/// How it is written, and what it tells. `h` is a height, `n` a name: a hash, as text or as any block or transaction.
pub const ALL: [(&str, &str); 66] = [
    ("_", "the last value, also called it"),
    ("help()", "this list"),
    ("print(x)", "shows a value in the middle of a script"),
    ("G", "the node and all its parts"),
    ("db", "its blocks, the same as G.block_db"),
    ("db.last_block", "height of the best chain"),
    ("db.last", "its last block"),
    ("db.by_num(h)", "the block of the best chain at a height; db[h] too"),
    ("db[n]", "the block with a name"),
    ("db.num_block(h)", "names of all blocks at a height, forks too; db.num_block[h] too"),
    ("db.block_num(n)", "height of a block; db.block_num[n] too"),
    ("db.prev(n)", "name of its parent; db.prev[n] too"),
    ("db.next(n)", "names of all blocks that build on it"),
    ("db.blocks[n]", "where it lies in blocks.bin, in bytes"),
    ("db.has_key(n)", "whether it is known; n in db too"),
    ("db.tips()", "names of the ends of all branches, the highest first"),
    ("db.get_highest_uncontested_block()", "height and name of the last block without rivals at its height"),
    ("db.get_block(n)", "its bytes"),
    ("db.get_header(n)", "the 80 bytes of its header"),
    ("db.len()", "how many blocks there are, forks included; len(db) too"),
    ("db.refresh()", "takes in what was appended meanwhile, and tells how many; every line does so by itself"),
    ("db.subscribe().pop()", "the next block that comes from then on; nothing if none does within a second"),
    ("for b in db { print(b.name) }", "walks the best chain from genesis on"),
    ("b.name", "a block's hash; also b.height, version, prev_block, merkle_root, timestamp, bits, nonce, size, raw"),
    (
        "b.transactions",
        "its transactions: b.transactions[1], b.transactions.len(), for tx in b.transactions { tx.dump() }",
    ),
    ("b.dump()", "prints it with all transactions, in the lines of 2014"),
    ("b.json()", "it as text, in the fields of Bitcoin Core's getblock"),
    ("b.check_rules()", "whether it keeps the rules that need no chain"),
    ("b.get_merkle_hash()", "the merkle root of its transactions"),
    ("b.get_height()", "its height, or an error where it stands nowhere"),
    ("tx.name", "a transaction's hash; also tx.version, lock_time, size, raw, wtxid, block; tx.get_hash() too"),
    ("tx.inputs", "its inputs, each [[name, index], script, sequence]"),
    ("tx.outputs", "its outputs, each [value, script]"),
    ("tx.witness(0)", "what the witness of an input holds"),
    ("tx.dump()", "prints it in the lines of 2014"),
    ("tx.describe()", "prints each input and output with its address"),
    ("tx.verify(0, s)", "runs an input's scripts; s is the output it spends, or, for taproot, a list with all"),
    ("tx.json()", "it as text, in the fields of Bitcoin Core"),
    (
        "parse_script(s)",
        "a script taken apart: [0, data, how] push, [1, sense, then, [else..]] IF, [2, op], [3, op, signed], [4]",
    ),
    (
        "txmap[tx.name]",
        "where a transaction lies: [block's name, height, number, it], once caesure txmap has made the index",
    ),
    ("pprint_script(s)", "a script, or what parse_script gave, in words"),
    ("unparse_script(parse_script(s))", "the script of what parse_script gives"),
    ("kind(s)", "which kind of output script it is, in Bitcoin Core's words"),
    ("describe(s)", "an output script in one line, with its address"),
    ("address(s)", "the address of an output script"),
    ("script(a)", "the output script of an address"),
    ("is_p2sh(s)", "whether it pays to the hash of a script"),
    ("key_to_address(k)", "the address of a key, or of its hash160"),
    ("bcrepr(5000000000)", "satoshis as bitcoins"),
    ("satoshi('1.5')", "bitcoins as satoshis"),
    ("compute_reward(h)", "what a block may make, in satoshis"),
    ("dhash(s)", "the double SHA-256 of bytes"),
    ("hash160(s)", "the RIPEMD-160 of their SHA-256"),
    ("hexify(s)", "bytes as hex digits"),
    ("unhex('00ff')", "hex digits as bytes"),
    ("name_from_hex(db.last.name.hex())", "a name from its digits"),
    ("make_tx(tx.raw)", "a transaction from its bytes or their hex digits"),
    ("make_block(b.raw)", "a block from its bytes or their hex digits"),
    ("G.status", "all that the status page says (a running node); also G.peers, G.cores, G.tips, G.recent_blocks"),
    ("G.hoover", "the download window: what is asked for, parked, growing (a running node)"),
    ("G.limits", "the bounds it keeps (a running node)"),
    (
        "G.ledger.totals",
        "how many coins, tip, root, what is live over it (a running node); G.ledger.worlds lists worlds",
    ),
    ("G.ledger.world(n).coin(tx.name, 0)", "a coin in the world of a recent block, nothing if it is not unspent there"),
    ("G.ledger.coin(tx.name, 0)", "the same at the tip (a running node)"),
    ("G.log('info,caesure::net=debug')", "what is logged from now on (--monitor-write); G.log() tells what is"),
    ("G.invalidate(n)", "takes a block out of the running (--monitor-write); G.reconsider(n) lets it in again"),
];

/// The list.
pub fn text() -> String {
    let mut out = String::from(
        "The language is Rhai (https://rhai.rs/book): let x = 1; if, for, while, loop, fn f(x) { x + 1 }, [1, 2], #{a: 1}.\n\
         Brackets that are open ask for more lines. n is a name, s a script: bytes, hex digits, or an input or output.\n",
    );
    for (usage, tells) in ALL {
        out += &format!("{usage:<36}{tells}\n");
    }
    out
}

/// Words to complete: all names in the list.
pub fn words() -> Vec<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let mut words: Vec<String> = ALL
        .iter()
        .flat_map(|(usage, tells)| [*usage, tells.split_once("; also ").map_or("", |(_, more)| more)])
        .flat_map(|text| text.split(|c| !is_word(c)))
        .flat_map(|word| [word.to_owned(), word.rsplit('.').next().unwrap_or("").to_owned()])
        .filter(|word| word.len() > 1 && word.starts_with(|c: char| c.is_ascii_alphabetic()))
        .collect();
    words.extend(["let", "while", "loop", "return", "break", "continue", "print"].map(String::from));
    words.sort();
    words.dedup();
    words
}
