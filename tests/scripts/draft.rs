//! A transaction under construction and the coin that it will spend: programs put behind each kind of lock, signed.
//! Decides what is committed to and signed; never whether that is good.

use super::dice::Dice;
use super::keys::{self, COUNT, Key, bend, flip, key, stretch};
use super::ops::{self, Op, push, push_as, push_number, without_codeseparators};
use bitcoin_hashes::{Hash160, Sha256};
use caesure_bench::sighash::{self, Shared, TapPath, branch_hash, tagged};
use caesure_bench::sign::Even;
use caesure_bench::tx::{Hash, OutPoint, Tx, TxIn, TxOut, var_bytes};
use secp256k1::{Scalar, XOnlyPublicKey};

/// Lock times and sequences where their meaning changes (BIP65, BIP68, BIP112).
pub const LOCKS: [u32; 16] = [
    0,
    1,
    16,
    17,
    100,
    0xffff,
    0x1_0000,
    1 << 22,
    (1 << 22) + 100,
    499_999_999,
    500_000_000,
    500_000_001,
    1 << 31,
    0x7fff_ffff,
    u32::MAX - 1,
    u32::MAX,
];

/// How a program is locked away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrap {
    /// The coin's script.
    Bare,
    /// Behind its hash (BIP16).
    P2sh,
    /// A witness program of version 0 (BIP141).
    P2wsh,
    /// The same inside P2SH.
    P2shP2wsh,
    /// A leaf of a taproot tree (BIP341, BIP342).
    Leaf,
}

impl Wrap {
    /// Those of scripts before Tapscript.
    pub const ECDSA: [Wrap; 4] = [Wrap::Bare, Wrap::P2sh, Wrap::P2wsh, Wrap::P2shP2wsh];
    /// All.
    pub const EVERY: [Wrap; 5] = [Wrap::Bare, Wrap::P2sh, Wrap::P2wsh, Wrap::P2shP2wsh, Wrap::Leaf];
}

/// A signature that a program asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// Whose.
    pub key: usize,
    /// Where the script that is signed begins: after the last OP_CODESEPARATOR that ran.
    pub from: usize,
    /// That one's position, in operations.
    pub separator: u32,
}

impl Ask {
    /// Of a script without OP_CODESEPARATOR.
    pub fn of(key: usize) -> Item {
        Item::Sig(Ask { key, from: 0, separator: u32::MAX })
    }
}

/// What a program finds on its stack.
#[derive(Clone, Debug)]
pub enum Item {
    /// These bytes.
    Data(Vec<u8>),
    /// A signature, made when all that it signs is there.
    Sig(Ask),
}

/// A script and the stack it begins with, bottom first.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The script.
    pub script: Vec<u8>,
    /// The stack.
    pub initial: Vec<Item>,
}

/// Which rules a signature is made under.
#[derive(Clone, Copy)]
enum Scheme {
    Legacy,
    V0,
    Leaf(Hash),
}

/// The transaction, its coins, the input that is meant.
pub struct Draft {
    /// The transaction.
    pub tx: Tx,
    /// What its inputs spend.
    pub coins: Vec<TxOut>,
    /// The input.
    pub index: usize,
    /// Taproot's annex, which signatures sign.
    pub annex: Option<Vec<u8>>,
    /// Flaws in a hundred chances for one.
    pub flaws: usize,
}

/// OP_HASH160, a hash, OP_EQUAL.
pub fn p2sh(redeem: &[u8]) -> Vec<u8> {
    [&[ops::HASH160, 20][..], Hash160::hash(redeem).as_byte_array(), &[ops::EQUAL]].concat()
}

/// The script of a witness program.
pub fn program(version: usize, bytes: &[u8]) -> Vec<u8> {
    let version = if version == 0 { 0 } else { ops::RESERVED + version as Op };
    [&[version, bytes.len() as u8], bytes].concat()
}

/// SHA-256 once.
pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::hash(bytes).to_byte_array()
}

/// The script that pays to a key's hash.
pub fn p2pkh(public: &[u8]) -> Vec<u8> {
    let hash = Hash160::hash(public);
    [&[ops::DUP, ops::HASH160, 20][..], hash.as_byte_array(), &[ops::EQUALVERIFY, ops::CHECKSIG]].concat()
}

/// The hash of a leaf of any version (BIP341).
pub fn leaf_hash(version: u8, script: &[u8]) -> Hash {
    let mut sized = Vec::new();
    var_bytes(&mut sized, script);
    tagged("TapLeaf", &[&[version], &sized])
}

/// What a leaf and the way up from it come to.
pub fn root(leaf: Hash, path: &[u8]) -> Hash {
    path.chunks_exact(32).fold(leaf, |sum, side| branch_hash(&sum, side.try_into().expect("32 bytes")))
}

/// The coin's script for an internal key and a root, and the parity of the output key; none if the key is none.
pub fn taproot_coin(internal: &Hash, root: &[u8]) -> Option<(Vec<u8>, u8)> {
    let tweak = Scalar::from_be_bytes(tagged("TapTweak", &[internal, root])).ok()?;
    let (output, parity) = XOnlyPublicKey::from_byte_array(*internal).ok()?.add_tweak(&tweak).ok()?;
    Some((program(1, &output.to_byte_array()), parity.to_u8()))
}

impl Draft {
    /// A transaction of a few inputs and outputs with times of every meaning.
    pub fn new(dice: &mut Dice<'_>) -> Draft {
        let inputs = dice.weighted(&[(50, 1), (25, 2), (15, 3), (8, 5), (2, 12)]);
        let outputs = dice.weighted(&[(45, 1), (30, 2), (15, 3), (5, 0), (5, 6)]);
        let mut draft = Draft {
            tx: Tx {
                version: dice.word(&[2, 1, 2, 0, 3, 1 << 31, u32::MAX]),
                inputs: Vec::new(),
                outputs: Vec::new(),
                lock_time: dice.word(&LOCKS),
            },
            coins: Vec::new(),
            index: dice.below(inputs),
            annex: None,
            flaws: dice.weighted(&[(60, 0), (25, 15), (15, 60)]),
        };
        for number in 0..inputs {
            let witness = if dice.chance(20) { vec![dice.bytes(number)] } else { vec![] };
            let prev = OutPoint { txid: sha256(&[dice.byte()]), vout: dice.below(4) as u32 };
            let sequence = dice.word(&LOCKS);
            let script_sig = if dice.chance(20) { dice.bytes(2) } else { vec![] };
            draft.tx.inputs.push(TxIn { prev, script_sig, sequence, witness });
            let coin = draft.output(dice);
            draft.coins.push(coin);
        }
        for _ in 0..outputs {
            let output = draft.output(dice);
            draft.tx.outputs.push(output);
        }
        let own = draft.input();
        (own.script_sig, own.witness) = (vec![], vec![]);
        draft
    }

    fn output(&self, dice: &mut Dice<'_>) -> TxOut {
        let value = dice.pick(&[0, 1, 546, 100_000_000, 2_100_000_000_000_000, u64::from(u32::MAX) + 1]);
        let script = match dice.below(4) {
            0 => program(0, &sha256(&[dice.byte()])[..20]),
            1 => program(1, &key(dice.below(COUNT)).even.x),
            2 => p2sh(&[dice.byte()]),
            _ => dice.bytes(3),
        };
        TxOut { value, script }
    }

    /// The input that is meant.
    pub fn input(&mut self) -> &mut TxIn {
        &mut self.tx.inputs[self.index]
    }

    /// The coin that it spends.
    pub fn coin(&mut self) -> &mut TxOut {
        &mut self.coins[self.index]
    }

    /// Whether something goes wrong here.
    pub fn flaw(&self, dice: &mut Dice<'_>) -> bool {
        dice.chance(self.flaws)
    }

    /// An ECDSA signature with its hash type, over what a script leaves to sign.
    fn ecdsa(&self, dice: &mut Dice<'_>, who: usize, code: &[u8], scheme: Scheme) -> Vec<u8> {
        let odd = dice.pick(&[0, 4, 0x50, 0x1f, 0x21, 0x23, 0x41, 0x43, 0x84, 0xa1, 0xc3, 0xff]);
        let hash_type = dice.weighted(&[
            (60, 1),
            (6, 2),
            (8, 3),
            (5, 0x81),
            (5, 0x82),
            (6, 0x83),
            (if self.flaws > 0 { 20 } else { 3 }, odd),
        ]);
        let who = if self.flaw(dice) && dice.chance(30) { who + 1 } else { who };
        let digest = match scheme {
            Scheme::V0 => {
                let shared = Shared::new(&self.tx, &self.coins);
                sighash::segwit(&self.tx, &shared, self.index, code, self.coins[self.index].value, hash_type)
            }
            _ => sighash::legacy(&self.tx, self.index, &without_codeseparators(code), hash_type.into()),
        };
        let der = keys::sign_ecdsa(who, &digest);
        let der = if self.flaw(dice) || dice.chance(3) { bend(dice, &der) } else { der };
        if !self.flaw(dice) {
            return [&der[..], &[hash_type]].concat();
        }
        match dice.below(4) {
            0 => vec![],
            1 => der,
            2 => [&der[..], &[hash_type ^ 1 << dice.below(8)]].concat(),
            _ => [&der[..], &[hash_type]].concat(),
        }
    }

    /// A Schnorr signature with its hash type, if it has one.
    pub fn schnorr(&self, dice: &mut Dice<'_>, even: &Even, leaf: Option<(Hash, u32)>) -> Vec<u8> {
        let single = self.index < self.tx.outputs.len();
        let (three, anyone_three) = if single { (3, 0x83) } else { (1, 0x81) };
        let hash_type = dice.weighted(&[(60, 0), (8, 1), (6, 2), (8, three), (5, 0x81), (5, 0x82), (8, anyone_three)]);
        let even = if self.flaw(dice) && dice.chance(30) { &key(dice.below(COUNT)).even } else { even };
        let shared = Shared::new(&self.tx, &self.coins);
        let path = TapPath { annex: self.annex.as_deref(), leaf };
        let digest = sighash::taproot_path(&self.tx, &shared, self.index, &self.coins, hash_type, path);
        let bare = keys::sign_schnorr(even, &digest);
        let mut whole = if hash_type == 0 { bare.clone() } else { [&bare[..], &[hash_type]].concat() };
        if self.flaw(dice) {
            match dice.below(7) {
                0 => whole.clear(),
                1 => whole = [&bare[..], &[0]].concat(),
                2 => whole = [&bare[..], &[dice.pick(&[3, 4, 0x80, 0x83, 0x84, 0xff])]].concat(),
                3 => whole = bare[..dice.between(1, 63)].to_vec(),
                4 => whole.extend([1, 1]),
                _ => whole = flip(dice, whole),
            }
        }
        whole
    }

    fn items(&self, dice: &mut Dice<'_>, program: &Program, scheme: Scheme) -> Vec<Vec<u8>> {
        let one = |item: &Item| match (item, scheme) {
            (Item::Data(bytes), _) => bytes.clone(),
            (Item::Sig(ask), Scheme::Leaf(hash)) => self.schnorr(dice, &key(ask.key).even, Some((hash, ask.separator))),
            (Item::Sig(ask), _) => self.ecdsa(dice, ask.key, &program.script[ask.from..], scheme),
        };
        program.initial.iter().map(one).collect()
    }

    fn unlock(&self, dice: &mut Dice<'_>, items: &[Vec<u8>]) -> Vec<u8> {
        let mut script = Vec::new();
        for item in items {
            if dice.chance(90) { push(&mut script, item) } else { push_as(&mut script, item, dice.below(2)) }
        }
        if self.flaw(dice) {
            script.push(dice.pick(&[ops::NOP, ops::ONE, ops::DUP, ops::CODESEPARATOR, ops::RESERVED, ops::DROP]));
        }
        script
    }

    /// Locks the coin by a program and unlocks it.
    pub fn install(&mut self, dice: &mut Dice<'_>, wrap: Wrap, program: &Program) {
        let script = &program.script;
        match wrap {
            Wrap::Bare => {
                self.coin().script = script.clone();
                let items = self.items(dice, program, Scheme::Legacy);
                self.input().script_sig = self.unlock(dice, &items);
            }
            Wrap::P2sh => {
                self.coin().script = p2sh(script);
                let items = self.items(dice, program, Scheme::Legacy);
                let mut unlock = self.unlock(dice, &items);
                push_as(&mut unlock, script, 0);
                self.input().script_sig = unlock;
            }
            Wrap::P2wsh | Wrap::P2shP2wsh => {
                let inner = self::program(0, &sha256(script));
                let items = self.items(dice, program, Scheme::V0);
                self.install_witness(dice, wrap == Wrap::P2shP2wsh, &inner, [items, vec![script.clone()]].concat());
            }
            Wrap::Leaf => self.install_leaf(dice, program, 0xc0),
        }
        if matches!(wrap, Wrap::Bare | Wrap::P2sh) && self.flaw(dice) {
            self.input().witness = vec![vec![]];
        }
    }

    /// Locks the coin by a witness program, nested in P2SH or not, and unlocks it by a witness.
    pub fn install_witness(&mut self, dice: &mut Dice<'_>, nested: bool, program: &[u8], mut witness: Vec<Vec<u8>>) {
        self.coin().script = if nested { p2sh(program) } else { program.to_vec() };
        let mut unlock = Vec::new();
        if nested {
            push(&mut unlock, program);
        }
        if self.flaw(dice) {
            match dice.below(6) {
                0 => unlock.insert(0, ops::ONE),
                1 if nested => {
                    unlock.clear();
                    push_as(&mut unlock, program, 1);
                }
                1 => unlock.push(ops::NOP),
                2 => witness.clear(),
                3 => witness.insert(0, vec![1]),
                4 => self.coin().script.truncate(20),
                _ => {
                    witness.pop();
                }
            }
        }
        (self.input().script_sig, self.input().witness) = (unlock, witness);
    }

    /// Locks the coin by a tree with the program as one of its leaves, and goes that way.
    pub fn install_leaf(&mut self, dice: &mut Dice<'_>, program: &Program, version: u8) {
        let depth = dice.weighted(&[(30, 0), (25, 1), (20, 2), (12, 4), (10, 6), (2, 127), (1, 128)]);
        // Past the end of a tree when there are flaws: 128 is the deepest (BIP341).
        let depth = if depth > 100 { depth + usize::from(self.flaw(dice)) } else { depth };
        let path: Vec<u8> = (0..depth).flat_map(|_| leaf_hash(0xc0, &[dice.byte()])).collect();
        let leaf = leaf_hash(version, &program.script);
        let internal = key(dice.below(COUNT)).even.x;
        let (coin, parity) = taproot_coin(&internal, &root(leaf, &path)).expect("a key");
        self.annex = annex(dice);
        self.coin().script = coin.clone();
        let items = self.items(dice, program, Scheme::Leaf(leaf));
        let mut control = [&[version | parity][..], &internal, &path].concat();
        if self.flaw(dice) {
            match dice.below(4) {
                0 => control[0] ^= 1,
                1 => control.truncate(control.len() - 1),
                2 => control = flip(dice, control),
                _ => control.truncate(dice.below(33)),
            }
        }
        let mut witness = [items, vec![program.script.clone(), control]].concat();
        witness.extend(self.annex.clone());
        let nested = dice.chance(2);
        self.install_witness(dice, nested, &coin, witness);
    }

    /// Locks the coin by a key, with a tree that is not looked at or none, and signs with it (BIP341).
    pub fn install_key_path(&mut self, dice: &mut Dice<'_>) {
        let Key { even, secret, .. } = key(dice.below(COUNT));
        let root = if dice.chance(50) { vec![] } else { leaf_hash(0xc0, &[dice.byte()]).to_vec() };
        let (coin, _) = taproot_coin(&even.x, &root).expect("a key");
        self.annex = annex(dice);
        self.coin().script = coin.clone();
        let tweak = Scalar::from_be_bytes(tagged("TapTweak", &[&even.x, &root])).expect("a scalar");
        let tweaked = Even::new(secret.keypair().add_xonly_tweak(&tweak).expect("a key").secret_key());
        let mut witness = vec![self.schnorr(dice, &tweaked, None)];
        witness.extend(self.annex.clone());
        self.install_witness(dice, false, &coin, witness);
    }

    /// Locks the coin by a key's hash in a witness program and signs with it (BIP141, BIP143).
    pub fn install_key_hash(&mut self, dice: &mut Dice<'_>, nested: bool) {
        let who = dice.below(COUNT);
        let public = key(who).public(dice, self.flaws > 0);
        let inner = program(0, Hash160::hash(&public).as_byte_array());
        self.coin().script = inner.clone();
        let signature = self.ecdsa(dice, who, &p2pkh(&public), Scheme::V0);
        self.install_witness(dice, nested, &inner, vec![signature, public]);
    }

    /// A script with signatures in it that sign the rest: what FindAndDelete is about. In the coin's script, in one behind
    /// P2SH, or all of it in the unlocking script.
    pub fn install_embedded(&mut self, dice: &mut Dice<'_>) {
        let separator = &[ops::CODESEPARATOR][..];
        let before = dice.pick(&[&[][..], &[ops::NOP], &[ops::ONE, ops::DROP], separator]);
        let signers = dice.pick(&[0, 0, 1, 2, 3]);
        let (first, mut after) = (dice.below(COUNT), Vec::new());
        if signers > 0 {
            push_number(&mut after, signers);
        }
        for who in 0..signers.max(1) as usize {
            push(&mut after, &key(first + who).public(dice, self.flaws > 0));
        }
        if signers > 0 {
            push_number(&mut after, signers);
        }
        after.push(if signers > 0 { ops::CHECKMULTISIG } else { ops::CHECKSIG });
        // What OP_CHECKMULTISIG takes too many is signed, as it is no signature.
        let dummy = if signers > 0 { &[0][..] } else { &[] };
        let code = [if before == separator { &[] } else { before }, dummy, &after].concat();
        let mut middle = dummy.to_vec();
        for who in 0..signers.max(1) as usize {
            let mut signature = self.ecdsa(dice, first + who, &code, Scheme::Legacy);
            if dice.chance(25) {
                // As long as where the form of pushes changes.
                signature = stretch(&signature, dice.pick(&[75, 76, 77, 254, 255, 256]));
            }
            // Only the push that is written as Core would write it is deleted, however often it comes.
            for _ in 0..dice.weighted(&[(85, 1), (15, 2)]) {
                push_as(&mut middle, &signature, usize::from(self.flaw(dice)));
            }
        }
        let script = [before, &middle, &after].concat();
        match dice.below(3) {
            0 => self.coin().script = script,
            1 => {
                self.coin().script = p2sh(&script);
                let mut unlock = Vec::new();
                push_as(&mut unlock, &script, 0);
                self.input().script_sig = unlock;
            }
            _ => {
                self.coin().script = vec![ops::NOP];
                self.input().script_sig = script;
            }
        }
    }

    /// Signatures in both scripts, over as many bytes each where the sizes allow: what is kept of one digest must not be
    /// taken for the other.
    pub fn install_two(&mut self, dice: &mut Dice<'_>) {
        let who = dice.below(COUNT);
        let mut script = vec![ops::NOP; dice.between(72, 74)];
        push(&mut script, &key(who).compressed);
        script.push(ops::CHECKSIG);
        self.coin().script = script.clone();
        let second = self.ecdsa(dice, who, &script, Scheme::Legacy);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        push_as(&mut before, &second, 0);
        push(&mut after, &key(who + 1).compressed);
        after.push(ops::CHECKSIGVERIFY);
        let first = self.ecdsa(dice, who + 1, &[&before[..], &after].concat(), Scheme::Legacy);
        push_as(&mut before, &first, 0);
        self.input().script_sig = [before, after].concat();
    }
}

fn annex(dice: &mut Dice<'_>) -> Option<Vec<u8>> {
    let size = dice.between(0, 80);
    dice.chance(15).then(|| [vec![0x50], dice.bytes(size)].concat())
}
