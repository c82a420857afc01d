//! The scalar model: eight lanes in plain Rust, lane by lane. It is the specification of what `zmm.rs` does with one
//! instruction each, for tests.

use crate::word::{LANES, LIMB, LIMB_BITS, Lanewise, Mask, Phase, Row, Word};

/// Eight lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model(pub Lanewise);

impl Model {
    fn each(self, other: Model, what: impl Fn(u64, u64) -> u64) -> Model {
        Model(std::array::from_fn(|lane| what(self.0[lane], other.0[lane])))
    }

    fn map(self, what: impl Fn(u64) -> u64) -> Model {
        Model(self.0.map(what))
    }

    /// The product of 104 bits of what the multiplier sees of both.
    fn product(a: u64, b: u64) -> u128 {
        u128::from(a & LIMB) * u128::from(b & LIMB)
    }
}

impl Word for Model {
    fn enter<P: Phase>(phase: P) -> P::Out {
        phase.run()
    }

    fn load(lanes: &Lanewise) -> Model {
        Model(*lanes)
    }

    fn store(self) -> Lanewise {
        self.0
    }

    fn splat(value: u64) -> Model {
        Model([value; LANES])
    }

    fn lo(self, a: Model, b: Model) -> Model {
        self.lo_cut(a, b)
    }

    fn hi(self, a: Model, b: Model) -> Model {
        self.hi_cut(a, b)
    }

    #[inline(never)]
    fn lo_cut(self, a: Model, b: Model) -> Model {
        self.add(a.each(b, |a, b| Model::product(a, b) as u64 & LIMB))
    }

    #[inline(never)]
    fn hi_cut(self, a: Model, b: Model) -> Model {
        self.add(a.each(b, |a, b| (Model::product(a, b) >> LIMB_BITS) as u64))
    }

    fn add(self, other: Model) -> Model {
        self.each(other, u64::wrapping_add)
    }

    fn sub(self, other: Model) -> Model {
        self.each(other, u64::wrapping_sub)
    }

    fn and(self, other: Model) -> Model {
        self.each(other, |a, b| a & b)
    }

    fn or(self, other: Model) -> Model {
        self.each(other, |a, b| a | b)
    }

    fn shl<const N: u32>(self) -> Model {
        self.map(|a| a << N)
    }

    fn shr<const N: u32>(self) -> Model {
        self.shr_by(N)
    }

    fn sar<const N: u32>(self) -> Model {
        self.map(|a| ((a as i64) >> N) as u64)
    }

    fn shr_by(self, count: u32) -> Model {
        self.map(|a| a >> count)
    }

    fn funnel<const N: u32>(self, high: Model) -> Model {
        self.each(high, |low, high| ((u128::from(high) << 64 | u128::from(low)) >> N) as u64)
    }

    fn zeros(self) -> Mask {
        (0..LANES).filter(|lane| self.0[*lane] == 0).fold(0, |mask, lane| mask | 1 << lane)
    }

    fn blend(self, mask: Mask, then: Model) -> Model {
        Model(std::array::from_fn(|lane| if mask >> lane & 1 == 1 { then.0[lane] } else { self.0[lane] }))
    }

    fn from_rows(rows: [&Row; LANES]) -> [Model; 8] {
        std::array::from_fn(|word| Model(rows.map(|row| row.0[word])))
    }

    fn to_rows(words: [Model; 8], rows: [&mut Row; LANES]) {
        for (lane, row) in rows.into_iter().enumerate() {
            row.0 = words.map(|word| word.0[lane]);
        }
    }
}
