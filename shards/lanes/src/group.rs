//! What eight lanes are asked and where their tables lie, in memory: eight problems, lane by lane, and how a word of digits
//! becomes a word of table entries. Decides nothing.
//!
//! Each lane asks whether x of R = u·G + v·Q is one of two candidates. u and v come as two halves each (`scalar.rs`), and a
//! half as *windows*: digits that are odd and signed, so that none is zero and no lane ever adds nothing. A digit of w bits
//! is stored as B = (d + 2^w − 1) / 2: its top bit is 1 for positive ones, and the rest, turned round for negative ones, is
//! the index of |d| = 2·index + 1 in a table of odd multiples.

use crate::field::Fe;
use crate::word::{LANES, LIMB_BITS, Lanewise, Mask, Row, Word, each};

/// One bit for each lane of one group or two, lane 0 of the first the lowest.
pub type Masks = u16;

/// Bits of a window of a key's half, and how many there are: 130 bits.
pub const KEY_BITS: u32 = 5;
/// See [`KEY_BITS`].
pub const KEY_WINDOWS: usize = 26;
/// Odd multiples of a key: 1, 3, … 31.
pub const KEY_ENTRIES: usize = 1 << (KEY_BITS - 1);
/// Windows of a key in a word of a half.
const KEY_WORD: usize = 12;
/// Bits of a key's half in each of its words.
pub const KEY_WORD_BITS: u32 = KEY_BITS * KEY_WORD as u32;

/// Bits of a window of a half of the generator's, and how many there are: 130 bits.
pub const G_BITS: u32 = 13;
/// See [`G_BITS`].
pub const G_WINDOWS: usize = 10;
/// Odd multiples of the generator.
pub const G_ENTRIES: usize = 1 << (G_BITS - 1);
/// Windows of the generator in a word of a half.
const G_WORD: usize = 4;
/// Bits of the generator's half in each of its words.
pub const G_WORD_BITS: u32 = G_BITS * G_WORD as u32;
const _: () = assert!(G_WORD_BITS == LIMB_BITS && G_BITS * G_WINDOWS as u32 == KEY_BITS * KEY_WINDOWS as u32);

/// Odd multiples of G and of 2^128·G: 512 KiB.
pub type Tables = [[Row; G_ENTRIES]; 2];

/// Odd multiples of the keys of a group and, with x times β, of λ times the keys.
pub struct KeyTable([[[Row; LANES]; KEY_ENTRIES]; 2]);

impl KeyTable {
    /// Nothing in it.
    pub const fn new() -> KeyTable {
        KeyTable([[[Row([0; 8]); LANES]; KEY_ENTRIES]; 2])
    }

    /// Writes an entry.
    #[inline(always)]
    pub fn keep<W: Word>(&mut self, x: Fe<W>, y: Fe<W>, beta_x: Fe<W>, entry: usize) {
        let (x, y, beta_x) = (x.pack(), y.pack(), beta_x.pack());
        let [plain, lambda] = &mut self.0;
        W::to_rows([x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3]], plain[entry].each_mut());
        let x = beta_x;
        W::to_rows([x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3]], lambda[entry].each_mut());
    }
}

/// The problems of eight lanes, and what came of them as far as it is wanted later.
#[derive(Clone)]
#[repr(C, align(64))]
pub struct Group {
    /// x of the keys, in 256 bits with the lowest word first, below p.
    pub x: [Lanewise; 4],
    /// What x of R may be, twice, below p.
    pub candidates: [[Lanewise; 4]; 2],
    /// The halves of v, in words of [`KEY_WORD_BITS`].
    pub key: [[Lanewise; 3]; 2],
    /// The halves of u, in words of [`G_WORD_BITS`].
    pub generator: [[Lanewise; 3]; 2],
    /// y·Z³ of R.
    pub y: [Lanewise; 5],
    /// Z of R.
    pub z: [Lanewise; 5],
    /// The Z of all groups before this one, multiplied.
    pub product: [Lanewise; 5],
    /// Lanes whose keys have an odd y.
    pub odd: Mask,
    /// Lanes whose y of R must be even: BIP340.
    pub even: Mask,
    /// The row of each lane; lanes from `filled` on have none.
    pub rows: [u32; LANES],
    /// Lanes that have a row.
    pub filled: usize,
    /// Lanes that were proven.
    pub proven: Mask,
}

impl Group {
    /// No problems.
    pub const fn new() -> Group {
        const NONE: Lanewise = [0; LANES];
        Group {
            x: [NONE; 4],
            candidates: [[NONE; 4]; 2],
            key: [[NONE; 3]; 2],
            generator: [[NONE; 3]; 2],
            y: [NONE; 5],
            z: [NONE; 5],
            product: [NONE; 5],
            odd: 0,
            even: 0,
            rows: [0; LANES],
            filled: 0,
            proven: 0,
        }
    }

    #[inline(always)]
    fn element<W: Word>(words: &[Lanewise; 4]) -> Fe<W> {
        Fe::unpack([W::load(&words[0]), W::load(&words[1]), W::load(&words[2]), W::load(&words[3])])
    }

    /// x of the keys.
    #[inline(always)]
    pub fn key<W: Word>(&self) -> Fe<W> {
        Group::element(&self.x)
    }

    /// What x of R may be.
    #[inline(always)]
    pub fn candidate<W: Word>(&self, which: usize) -> Fe<W> {
        Group::element(&self.candidates[which])
    }

    /// What a window of a half adds of the keys.
    #[inline(always)]
    pub fn of_key<W: Word>(&self, table: &KeyTable, half: usize, window: usize) -> (Fe<W>, Fe<W>, Masks) {
        let word = W::load(&self.key[half][window / KEY_WORD]);
        let (index, negative) = digits::<W, KEY_BITS>(word.shr_by((window % KEY_WORD) as u32 * KEY_BITS));
        let table = &table.0[half];
        let mut rows = [&table[0][0]; LANES];
        each!(LANE in [0 1 2 3 4 5 6 7] { rows[LANE] = &table[index[LANE] as usize % KEY_ENTRIES][LANE]; });
        let (x, y) = point(rows);
        (x, y, negative)
    }

    /// What a window of a half adds of G.
    #[inline(always)]
    pub fn of_generator<W: Word>(&self, tables: &Tables, half: usize, window: usize) -> (Fe<W>, Fe<W>, Masks) {
        let word = W::load(&self.generator[half][window / G_WORD]);
        let (index, negative) = digits::<W, G_BITS>(word.shr_by((window % G_WORD) as u32 * G_BITS));
        let table = &tables[half];
        let mut rows = [&table[0]; LANES];
        each!(LANE in [0 1 2 3 4 5 6 7] { rows[LANE] = &table[index[LANE] as usize % G_ENTRIES]; });
        let (x, y) = point(rows);
        (x, y, negative)
    }

    /// Keeps y and z of the outcome.
    #[inline(always)]
    pub fn store<W: Word>(&mut self, y: Fe<W>, z: Fe<W>) {
        write(&mut self.y, y);
        write(&mut self.z, z);
    }
}

/// An element to memory, as it is.
#[inline(always)]
pub fn write<W: Word>(limbs: &mut [Lanewise; 5], element: Fe<W>) {
    each!(I in [0 1 2 3 4] { limbs[I] = element.0[I].store(); });
}

/// The same element.
#[inline(always)]
pub fn read<W: Word>(limbs: &[Lanewise; 5]) -> Fe<W> {
    Fe([W::load(&limbs[0]), W::load(&limbs[1]), W::load(&limbs[2]), W::load(&limbs[3]), W::load(&limbs[4])])
}

/// The indices and the signs of digits that are the low bits of a word.
#[inline(always)]
fn digits<W: Word, const BITS: u32>(word: W) -> (Lanewise, Masks) {
    let top = 1 << (BITS - 1);
    let negative = word.and(W::splat(top)).zeros();
    let turned = W::splat(2 * top - 1).sub(word.and(W::splat(2 * top - 1)));
    let index = word.blend(negative, turned).and(W::splat(top - 1));
    (index.store(), negative.into())
}

/// x and y of a row for each lane.
#[inline(always)]
fn point<W: Word>(rows: [&Row; LANES]) -> (Fe<W>, Fe<W>) {
    let w = W::from_rows(rows);
    (Fe::unpack([w[0], w[1], w[2], w[3]]), Fe::unpack([w[4], w[5], w[6], w[7]]))
}
