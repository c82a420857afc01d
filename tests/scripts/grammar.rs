//! Scripts that mean something: written operation by operation while what they do to the stack is done beside them, so
//! that most of them end well; then, in some, one thing that is wrong or at the edge of a limit.

use super::dice::Dice;
use super::draft::{Ask, Draft, Item, Program, Wrap};
use super::keys::{COUNT, key};
use super::ops::{self, Op, decode, encode, is_true, push, push_as, push_number};
use bitcoin_hashes::{Hash160, Ripemd160, Sha1, Sha256, Sha256d};

/// Numbers at the edges of what scripts count with.
const NUMBERS: [i64; 16] =
    [0, 1, -1, 2, 16, 17, 127, 128, -128, 255, 256, 32767, -32768, 8_388_608, 2_147_483_647, -2_147_483_647];

/// What takes numbers: operation, how many.
const NUMERIC: [(Op, usize); 20] = [
    (ops::ONEADD, 1),
    (ops::ONESUB, 1),
    (ops::NEGATE, 1),
    (ops::ABS, 1),
    (ops::NOT, 1),
    (ops::ZERONOTEQUAL, 1),
    (ops::ADD, 2),
    (ops::SUB, 2),
    (ops::BOOLAND, 2),
    (ops::BOOLOR, 2),
    (ops::NUMEQUAL, 2),
    (ops::NUMNOTEQUAL, 2),
    (ops::LESSTHAN, 2),
    (ops::GREATERTHAN, 2),
    (ops::LESSTHANOREQUAL, 2),
    (ops::GREATERTHANOREQUAL, 2),
    (ops::MIN, 2),
    (ops::MAX, 2),
    (ops::WITHIN, 3),
    (ops::NUMEQUAL, 2),
];

/// What moves what lies on the stack: operation, how deep it reaches.
const MOVES: [(Op, usize); 16] = [
    (ops::TWODROP, 2),
    (ops::TWODUP, 2),
    (ops::THREEDUP, 3),
    (ops::TWOOVER, 4),
    (ops::TWOROT, 6),
    (ops::TWOSWAP, 4),
    (ops::IFDUP, 1),
    (ops::DEPTH, 0),
    (ops::DROP, 1),
    (ops::DUP, 1),
    (ops::NIP, 2),
    (ops::OVER, 2),
    (ops::ROT, 3),
    (ops::SWAP, 2),
    (ops::TUCK, 2),
    (ops::SIZE, 1),
];

/// A script under construction, and what it has done so far.
struct Writer {
    wrap: Wrap,
    script: Vec<u8>,
    /// Operations, pushes among them.
    count: u32,
    stack: Vec<Vec<u8>>,
    alt: Vec<Vec<u8>>,
    initial: Vec<Item>,
    /// Signatures that still lie at the bottom of the stack.
    floor: usize,
    from: usize,
    separator: u32,
}

/// A program for this lock, and this transaction's times.
pub fn program(dice: &mut Dice<'_>, draft: &Draft, wrap: Wrap) -> Program {
    let signatures = dice.weighted(&[(40, 0), (30, 1), (15, 2), (10, 3), (5, 6)]);
    let items = dice.below(4);
    let mut writer = Writer::new(dice, wrap, signatures, items);
    let wrong = dice.chance(35);
    let steps = dice.weighted(&[(20, 1), (40, 4), (30, 10), (10, 25)]);
    let at = dice.below(steps);
    for step in 0..steps {
        writer.step(dice, draft, 0);
        if wrong && step == at {
            writer.wrong(dice);
        }
    }
    writer.finish(dice)
}

/// A few numbers, any one operation, and what may follow: what each operation does where it is the first to do anything.
pub fn probe(dice: &mut Dice<'_>) -> Program {
    let mut script = Vec::new();
    for _ in 0..dice.below(5) {
        push_number(&mut script, dice.pick(&[1, 0, 1, 2, 3, -1]));
    }
    let op = dice.byte();
    script.push(op);
    // What a push takes; other operations run it.
    let follow = dice.below(7);
    script.extend((0..follow).map(|_| dice.pick(&[ops::ONE, ops::NOP, 0, 2, ops::DROP, ops::ENDIF, ops::RETURN])));
    if dice.chance(50) {
        script.push(ops::ONE);
    }
    let items = if dice.chance(40) { vec![Item::Data(vec![1]); dice.between(1, 3)] } else { vec![] };
    Program { script, initial: items }
}

impl Writer {
    fn new(dice: &mut Dice<'_>, wrap: Wrap, signatures: usize, items: usize) -> Writer {
        let mut initial: Vec<Item> = (0..signatures).map(|_| Ask::of(0)).collect();
        let data: Vec<Vec<u8>> = (0..items).map(|_| some_bytes(dice)).collect();
        initial.extend(data.iter().cloned().map(Item::Data));
        let stack = [vec![vec![]; signatures], data].concat();
        let (script, alt) = (Vec::new(), Vec::new());
        Writer { wrap, script, count: 0, stack, alt, initial, floor: signatures, from: 0, separator: u32::MAX }
    }

    fn op(&mut self, op: Op) {
        self.script.push(op);
        self.count += 1;
    }

    fn push(&mut self, data: &[u8]) {
        push(&mut self.script, data);
        self.count += 1;
        self.stack.push(data.to_vec());
    }

    fn number(&mut self, number: i64) {
        self.push(&encode(number));
    }

    fn pop(&mut self) -> Vec<u8> {
        self.stack.pop().unwrap_or_default()
    }

    /// Makes sure that so many lie above the signatures.
    fn need(&mut self, dice: &mut Dice<'_>, count: usize) {
        while self.stack.len() < self.floor + count {
            let bytes = some_bytes(dice);
            self.push(&bytes);
        }
    }

    fn step(&mut self, dice: &mut Dice<'_>, draft: &Draft, depth: usize) {
        if self.stack.len() > 60 || self.script.len() > 3000 {
            return;
        }
        match dice.weighted(&[
            (14, 0),
            (20, 1),
            (16, 2),
            (8, 3),
            (8, 4),
            (8, 5),
            (10, 6),
            (8, 7),
            (12, 8),
            (5, 9),
            (4, 10),
        ]) {
            0 => {
                let bytes = some_bytes(dice);
                push_as(&mut self.script, &bytes, dice.weighted(&[(80, 0), (15, 1), (5, 2)]));
                self.count += 1;
                self.stack.push(bytes);
            }
            1 => self.numeric(dice),
            2 => self.moves(dice),
            3 => self.hash(dice),
            4 => self.equal(dice),
            5 => self.alternate(dice),
            6 if depth < 6 => self.branch(dice, draft, depth),
            6 => self.op(ops::NOP),
            7 => self.time(dice, draft),
            8 => self.signature(dice),
            9 => {
                self.op(ops::CODESEPARATOR);
                (self.from, self.separator) = (self.script.len(), self.count - 1);
            }
            _ => self.op(dice.pick(&[ops::NOP, ops::NOP1, ops::NOP4, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9])),
        }
    }

    fn numeric(&mut self, dice: &mut Dice<'_>) {
        let (op, count) = dice.pick(&NUMERIC);
        let numbers: Vec<i64> = (0..count).map(|_| some_number(dice)).collect();
        for number in &numbers {
            let mut bytes = encode(*number);
            // A number may be longer than it must be (Core `CScriptNum`, MINIMALDATA is policy).
            if bytes.len() < 3 && dice.chance(10) {
                let sign = bytes.pop().unwrap_or(0);
                bytes.extend([sign & 0x7f, sign & 0x80]);
            }
            self.push(&bytes);
        }
        self.op(op);
        let (a, b) = (numbers[0], *numbers.get(1).unwrap_or(&0));
        let result = match op {
            ops::ONEADD => a + 1,
            ops::ONESUB => a - 1,
            ops::NEGATE => -a,
            ops::ABS => a.abs(),
            ops::NOT => (a == 0).into(),
            ops::ZERONOTEQUAL => (a != 0).into(),
            ops::ADD => a + b,
            ops::SUB => a - b,
            ops::BOOLAND => (a != 0 && b != 0).into(),
            ops::BOOLOR => (a != 0 || b != 0).into(),
            ops::NUMEQUAL => (a == b).into(),
            ops::NUMNOTEQUAL => (a != b).into(),
            ops::LESSTHAN => (a < b).into(),
            ops::GREATERTHAN => (a > b).into(),
            ops::LESSTHANOREQUAL => (a <= b).into(),
            ops::GREATERTHANOREQUAL => (a >= b).into(),
            ops::MIN => a.min(b),
            ops::MAX => a.max(b),
            _ => (b <= a && a < numbers[2]).into(),
        };
        self.stack.truncate(self.stack.len() - count);
        self.stack.push(encode(result));
        if dice.chance(30) && encode(result).len() <= 4 {
            self.number(result);
            self.op(ops::NUMEQUALVERIFY);
            self.stack.truncate(self.stack.len() - 2);
        }
    }

    fn moves(&mut self, dice: &mut Dice<'_>) {
        if dice.chance(25) {
            let above = dice.between(1, 8);
            self.need(dice, above);
            let deep = dice.below(self.stack.len() - self.floor);
            let roll = dice.chance(50);
            self.number(deep as i64);
            self.op(if roll { ops::ROLL } else { ops::PICK });
            self.pop();
            let at = self.stack.len() - 1 - deep;
            let taken = if roll { self.stack.remove(at) } else { self.stack[at].clone() };
            return self.stack.push(taken);
        }
        let (op, count) = dice.pick(&MOVES);
        self.need(dice, count);
        self.op(op);
        let at = self.stack.len() - count;
        let top = self.stack.split_off(at);
        let take = |order: &[usize]| order.iter().map(|index| top[*index].clone()).collect::<Vec<_>>();
        let after = match op {
            ops::TWODUP => take(&[0, 1, 0, 1]),
            ops::THREEDUP => take(&[0, 1, 2, 0, 1, 2]),
            ops::TWOOVER => take(&[0, 1, 2, 3, 0, 1]),
            ops::TWOROT => take(&[2, 3, 4, 5, 0, 1]),
            ops::TWOSWAP => take(&[2, 3, 0, 1]),
            ops::IFDUP if is_true(&top[0]) => take(&[0, 0]),
            ops::IFDUP => take(&[0]),
            ops::DEPTH => vec![encode(self.stack.len() as i64)],
            ops::DUP => take(&[0, 0]),
            ops::NIP => take(&[1]),
            ops::OVER => take(&[0, 1, 0]),
            ops::ROT => take(&[1, 2, 0]),
            ops::SWAP => take(&[1, 0]),
            ops::TUCK => take(&[1, 0, 1]),
            ops::SIZE => vec![top[0].clone(), encode(top[0].len() as i64)],
            _ => vec![],
        };
        self.stack.extend(after);
    }

    fn hash(&mut self, dice: &mut Dice<'_>) {
        self.need(dice, 1);
        let data = self.pop();
        let (op, hash) = match dice.below(5) {
            0 => (ops::RIPEMD160, Ripemd160::hash(&data).to_byte_array().to_vec()),
            1 => (ops::SHA1, Sha1::hash(&data).to_byte_array().to_vec()),
            2 => (ops::SHA256, Sha256::hash(&data).to_byte_array().to_vec()),
            3 => (ops::HASH160, Hash160::hash(&data).to_byte_array().to_vec()),
            _ => (ops::HASH256, Sha256d::hash(&data).to_byte_array().to_vec()),
        };
        self.op(op);
        self.stack.push(hash);
    }

    fn equal(&mut self, dice: &mut Dice<'_>) {
        self.need(dice, 1);
        let mut other = self.pop();
        self.stack.push(other.clone());
        let verify = dice.chance(50);
        if !verify && dice.chance(30) {
            other.push(1);
        }
        let same = self.stack.last() == Some(&other);
        self.push(&other);
        self.op(if verify { ops::EQUALVERIFY } else { ops::EQUAL });
        self.stack.truncate(self.stack.len() - 2);
        if !verify {
            self.stack.push(encode(same.into()));
        }
    }

    fn alternate(&mut self, dice: &mut Dice<'_>) {
        if !self.alt.is_empty() && dice.chance(50) {
            self.op(ops::FROMALTSTACK);
            self.stack.extend(self.alt.pop());
        } else {
            self.need(dice, 1);
            self.op(ops::TOALTSTACK);
            let top = self.pop();
            self.alt.push(top);
        }
    }

    /// A condition and its branches: one runs, the others are anything that may stand where nothing runs.
    fn branch(&mut self, dice: &mut Dice<'_>, draft: &Draft, depth: usize) {
        let (truth, not) = (dice.chance(50), dice.chance(30));
        self.push(if truth { &[1] } else { &[] });
        if dice.chance(10) {
            self.op(ops::VERIFY);
            self.push(if truth { &[1] } else { &[] });
            self.pop();
        }
        self.op(if not { ops::NOTIF } else { ops::IF });
        self.pop();
        let mut runs = truth != not;
        // More than one OP_ELSE turns it round each time.
        for part in 0..dice.weighted(&[(30, 1), (55, 2), (10, 3), (5, 5)]) {
            if part > 0 {
                self.op(ops::ELSE);
                runs = !runs;
            }
            for _ in 0..dice.below(4) {
                if runs {
                    self.step(dice, draft, depth + 1);
                } else {
                    self.dead(dice);
                }
            }
        }
        self.op(ops::ENDIF);
    }

    /// Something where nothing runs.
    fn dead(&mut self, dice: &mut Dice<'_>) {
        match dice.below(4) {
            0 => {
                let bytes = some_bytes(dice);
                push(&mut self.script, &bytes);
                self.count += 1;
            }
            1 => {
                self.op(ops::IF);
                self.op(dice.pick(&[ops::ELSE, ops::VERIFY, ops::CHECKMULTISIG]));
                self.op(ops::ENDIF);
            }
            2 => self.op(dice.pick(&[ops::RETURN, ops::CODESEPARATOR, ops::CHECKSIG, ops::FROMALTSTACK, ops::CLTV])),
            _ => {
                let op = dice.pick(&[ops::VER, ops::RESERVED, 0x89, 0x8a, ops::INVALID, 0xbb, ops::CHECKSIGADD]);
                self.op(if self.wrap == Wrap::Leaf && ops::is_success(op) { ops::INVALID } else { op });
            }
        }
    }

    /// A lock by time that the transaction mostly keeps (BIP65, BIP112).
    fn time(&mut self, dice: &mut Dice<'_>, draft: &Draft) {
        let (lock, sequence) = (draft.tx.lock_time, draft.tx.inputs[draft.index].sequence);
        let absolute = dice.chance(50);
        let kept = i64::from(if absolute { lock } else { sequence });
        let edge = i64::from(dice.word(&super::draft::LOCKS));
        self.number(dice.weighted(&[
            (55, kept),
            (10, kept - 1),
            (5, kept + 1),
            (10, edge),
            (8, 1 << 31),
            (4, 0),
            (6, kept + (1 << 32)),
        ]));
        self.op(if absolute { ops::CLTV } else { ops::CSV });
        if dice.chance(70) {
            self.op(ops::DROP);
            self.pop();
        }
    }

    /// Brings up a signature from the bottom, to be made by this key here.
    fn raise(&mut self, who: usize) -> bool {
        if self.floor == 0 {
            return false;
        }
        self.floor -= 1;
        let deep = self.stack.len() - 1 - self.floor;
        self.initial[self.floor] = Item::Sig(Ask { key: who, from: self.from, separator: self.separator });
        self.number(deep as i64);
        self.op(ops::ROLL);
        self.pop();
        let signature = self.stack.remove(self.floor);
        self.stack.push(signature);
        true
    }

    fn signature(&mut self, dice: &mut Dice<'_>) {
        let tap = self.wrap == Wrap::Leaf;
        let who = dice.below(COUNT);
        if tap && dice.chance(40) {
            // Counts up from a number (BIP342).
            let (start, raised) = (some_number(dice).min(1000), self.raise(who));
            if !raised {
                self.push(&[]);
            }
            self.number(start);
            self.push(&key(who).even.x);
            self.op(ops::CHECKSIGADD);
            self.stack.truncate(self.stack.len() - 3);
            return self.stack.push(encode(start + i64::from(raised)));
        }
        if !tap && dice.chance(40) {
            return self.multisig(dice);
        }
        let raised = self.raise(who);
        if !raised {
            self.push(&[]);
        }
        let public = if tap { key(who).even.x.to_vec() } else { key(who).public(dice, false) };
        self.push(&public);
        let verify = raised && dice.chance(50);
        self.op(if verify { ops::CHECKSIGVERIFY } else { ops::CHECKSIG });
        self.stack.truncate(self.stack.len() - 2);
        if !verify {
            self.stack.push(encode(raised.into()));
        }
    }

    fn multisig(&mut self, dice: &mut Dice<'_>) {
        let before = self.stack.len();
        let signers = self.floor.min(dice.below(4));
        let others = dice.weighted(&[(50, 1), (30, 3), (15, 0), (5, 14)]);
        let first = dice.below(COUNT);
        let keys: Vec<usize> = (0..signers + others).map(|step| first + step).collect();
        // Which of them sign, in their order.
        let skip = dice.below(others + 1);
        let dummy = if dice.chance(90) { vec![] } else { some_bytes(dice) };
        self.push(&dummy);
        for signer in &keys[skip..skip + signers] {
            self.raise(*signer);
        }
        self.number(signers as i64);
        for index in &keys {
            let public = key(*index).public(dice, false);
            self.push(&public);
        }
        self.number(keys.len() as i64);
        let verify = dice.chance(50);
        self.op(if verify { ops::CHECKMULTISIGVERIFY } else { ops::CHECKMULTISIG });
        self.stack.truncate(before - signers);
        if !verify {
            self.stack.push(vec![1]);
        }
    }

    /// One thing that is not as it should be, or is just at a limit.
    fn wrong(&mut self, dice: &mut Dice<'_>) {
        let script = &mut self.script;
        match dice.below(24) {
            0 | 1 => self.op(dice.byte()),
            2 => script.extend([0, ops::IF, dice.pick(&ops::DISABLED), ops::ENDIF]),
            3 => {
                push(script, &[0xff, 0xff, 0xff, 0xff, 0]);
                self.op(dice.pick(&NUMERIC).0);
            }
            4 => push_as(script, &vec![7; dice.pick(&[520, 521])], 0),
            5 => script.extend([dice.pick(&[0, ops::ONE]), ops::VERIFY]),
            6 => script.extend([ops::ONE, ops::ONE + 1, dice.pick(&[ops::EQUALVERIFY, ops::NUMEQUALVERIFY])]),
            7 => script.push(ops::RETURN),
            8 => script.push(dice.pick(&[ops::ELSE, ops::ENDIF, ops::IF, ops::NOTIF])),
            9 => script.push(ops::FROMALTSTACK),
            10 => script.extend([dice.pick(&[ops::ONE_NEGATE, ops::SIXTEEN]), dice.pick(&[ops::PICK, ops::ROLL])]),
            // Operations that count: 201 are allowed, before Tapscript.
            11 | 12 => {
                let counted = ops::pieces(script).0.iter().filter(|piece| piece.op > ops::SIXTEEN).count();
                // Dropping what is left at the end needs a few more.
                script.extend(vec![ops::NOP; dice.between(190, 203).saturating_sub(counted)]);
            }
            // Items on both stacks: 1,000 are allowed.
            13 | 14 => {
                let count = (dice.between(998, 1001)).saturating_sub(self.stack.len() + self.alt.len());
                let aside = dice.pick(&[0, 0, 1, 50]).min(count);
                script.extend(vec![ops::ONE; count - aside]);
                script.extend([ops::ONE, ops::TOALTSTACK].repeat(aside));
                self.stack.extend(vec![vec![1]; count - aside]);
                self.alt.extend(vec![vec![1]; aside]);
            }
            // Bytes: 10,000 are allowed, before Tapscript.
            15 | 16 => {
                let size = dice.between(9_990, 10_001).saturating_sub(6);
                while size.saturating_sub(script.len()) > 3 {
                    let some = (size - script.len() - 3).min(520);
                    push_as(script, &vec![1; some], 0);
                    script.push(ops::DROP);
                }
            }
            17 => {
                let (signers, keys) = dice.pick(&[(0, 21), (0, 20), (-1, 1), (2, 1), (0, -1), (1, 0), (1, 20)]);
                script.push(0);
                (0..signers).for_each(|_| push(script, &[]));
                push_number(script, signers);
                (0..keys).for_each(|index| push(script, &key(index as usize).compressed));
                push_number(script, keys);
                self.op(dice.pick(&[ops::CHECKMULTISIG, ops::CHECKMULTISIGVERIFY]));
                self.stack.push(vec![]);
            }
            18 => script.extend(dice.pick(&[
                &[2, 1][..],
                &[ops::PUSHDATA1],
                &[ops::PUSHDATA2, 9],
                &[ops::PUSHDATA4, 1, 0, 0],
            ])),
            19 => {
                let locks = [&[ops::ONE_NEGATE][..], &[6, 1, 1, 1, 1, 1, 1], &[5, 0, 0, 0, 0x80, 0x80]];
                script.extend(dice.pick(&locks));
                script.extend([dice.pick(&[ops::CLTV, ops::CSV]), ops::DROP]);
            }
            20 => script.extend(dice.pick(&[
                &[1, 2, ops::IF, ops::ENDIF][..],
                &[1, 0, ops::IF, ops::ENDIF],
                &[2, 1, 0, ops::NOTIF, ops::ENDIF],
            ])),
            21 => script.extend([0, ops::IF, dice.pick(&[ops::VERIF, ops::VERNOTIF, ops::CAT, 0x89]), ops::ENDIF]),
            // Keys of a kind that is still to come, and no key (BIP342); signatures that are none.
            22 => {
                let public = dice.pick(&[&[][..], &[1], &[2; 31], &[3; 33]]);
                push(script, dice.pick(&[&[][..], &[1], &[9; 64], &[9; 65]]));
                push(script, public);
                script.extend([dice.pick(&[ops::CHECKSIG, ops::CHECKSIGVERIFY]), ops::ONE]);
            }
            _ => {
                let back = dice.below(script.len() + 1);
                script.insert(back, dice.byte());
            }
        }
    }

    /// Leaves one true item where that is asked for.
    fn finish(mut self, dice: &mut Dice<'_>) -> Program {
        let clean = dice.chance(if self.wrap == Wrap::Bare || self.wrap == Wrap::P2sh { 30 } else { 95 });
        if clean && self.stack.len() < 150 {
            while self.stack.len() > 1 {
                let two = self.stack.len() > 2;
                self.op(if two { ops::TWODROP } else { ops::DROP });
                self.stack.truncate(self.stack.len() - 1 - usize::from(two));
            }
        }
        let top = self.stack.last().is_some_and(|top| is_true(top)) && self.floor == 0;
        if !top || dice.chance(10) {
            if clean && !self.stack.is_empty() {
                self.op(ops::DROP);
                self.pop();
            }
            self.push(&[1]);
        } else if let Some(number) = self.stack.last().and_then(|top| decode(top)).filter(|_| dice.chance(20)) {
            self.number(number);
            self.op(ops::EQUAL);
        }
        if dice.chance(8) {
            self.op(ops::CODESEPARATOR);
        }
        Program { script: self.script, initial: self.initial }
    }
}

fn some_number(dice: &mut Dice<'_>) -> i64 {
    if dice.chance(30) { dice.below(1 << 20) as i64 - (1 << 19) } else { dice.pick(&NUMBERS) }
}

fn some_bytes(dice: &mut Dice<'_>) -> Vec<u8> {
    match dice.below(8) {
        0..4 => encode(some_number(dice)),
        4 => vec![dice.byte()],
        5 => dice.bytes(3),
        6 => dice.pick(&[&[0x80][..], &[0], &[0, 0x80], &[0x81], &[0, 0, 0, 0, 1]]).to_vec(),
        _ => {
            let size = dice.between(1, 80);
            vec![dice.byte(); dice.pick(&[size, size, 20, 32, 33, 64, 75, 76, 255, 256, 520])]
        }
    }
}
