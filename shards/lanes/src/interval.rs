//! Bounds in the place of numbers: the formulas run on the least and the most that a word may hold in any lane, and every
//! operation asserts what it asks of its operands. For tests. Masks are not known, so a blend may be either.

use crate::word::{LANES, LIMB, LIMB_BITS, Lanewise, Mask, Phase, Row, Word};

/// From the least to the most, as signed numbers; where a word is only taken apart into bits, up to 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    pub least: i128,
    pub most: i128,
}

const LIMB_MOST: i128 = LIMB as i128;

impl Interval {
    /// Sums and differences, which must not leave 64 bits with a sign.
    fn sum(least: i128, most: i128) -> Interval {
        assert!(least >= -(1 << 63), "a column below -2^63");
        assert!(most < 1 << 63, "a column of 2^63 and more");
        Interval { least, most }
    }

    /// Not negative, and in 64 bits.
    fn bits(least: i128, most: i128) -> Interval {
        assert!(least >= 0, "bits of a negative number");
        assert!(most < 1 << 64, "more than 64 bits");
        Interval { least, most }
    }

    /// An operand of the multiplier.
    fn limb(self) -> Interval {
        assert!(self.least >= 0, "a negative limb");
        assert!(self.most <= LIMB_MOST, "a limb of more than 52 bits");
        self
    }

    /// What the multiplier sees.
    fn cut(self) -> Interval {
        assert!(self.least >= 0, "a negative column is cut");
        if self.most <= LIMB_MOST { self } else { Interval { least: 0, most: LIMB_MOST } }
    }

    fn product(self, other: Interval) -> (i128, i128) {
        (self.least * other.least, self.most * other.most)
    }

    fn hull(self, other: Interval) -> Interval {
        Interval { least: self.least.min(other.least), most: self.most.max(other.most) }
    }
}

impl Word for Interval {
    fn enter<P: Phase>(phase: P) -> P::Out {
        phase.run()
    }

    /// From the least of the lanes to the most.
    fn load(lanes: &Lanewise) -> Interval {
        let (least, most) = (lanes.iter().min().unwrap(), lanes.iter().max().unwrap());
        Interval { least: i128::from(*least), most: i128::from(*most) }
    }

    /// The least in lane 0, the most in all others.
    fn store(self) -> Lanewise {
        let mut lanes = [u64::try_from(self.most).unwrap(); LANES];
        lanes[0] = u64::try_from(self.least).unwrap();
        lanes
    }

    fn splat(value: u64) -> Interval {
        Interval { least: value.into(), most: value.into() }
    }

    fn lo(self, a: Interval, b: Interval) -> Interval {
        self.lo_cut(a.limb(), b)
    }

    fn hi(self, a: Interval, b: Interval) -> Interval {
        self.hi_cut(a.limb(), b)
    }

    #[inline(never)]
    fn lo_cut(self, a: Interval, b: Interval) -> Interval {
        let (least, most) = a.cut().product(b.limb());
        let (least, most) = if most <= LIMB_MOST { (least, most) } else { (0, LIMB_MOST) };
        Interval::sum(self.least + least, self.most + most)
    }

    #[inline(never)]
    fn hi_cut(self, a: Interval, b: Interval) -> Interval {
        let (least, most) = a.cut().product(b.limb());
        Interval::sum(self.least + (least >> LIMB_BITS), self.most + (most >> LIMB_BITS))
    }

    #[inline(never)]
    fn add(self, other: Interval) -> Interval {
        Interval::sum(self.least + other.least, self.most + other.most)
    }

    #[inline(never)]
    fn sub(self, other: Interval) -> Interval {
        Interval::sum(self.least - other.most, self.most - other.least)
    }

    /// Of the second, which is a mask.
    #[inline(never)]
    fn and(self, other: Interval) -> Interval {
        assert!(other.least == other.most, "a mask is known");
        let inside = self.least >= 0 && self.most <= other.most && (other.most + 1) & other.most == 0;
        if inside { self } else { Interval { least: 0, most: other.most } }
    }

    fn or(self, other: Interval) -> Interval {
        let most = self.most.max(other.most) as u128;
        Interval::bits(self.least.max(other.least), (most + 1).next_power_of_two() as i128 - 1)
    }

    #[inline(never)]
    fn shl<const N: u32>(self) -> Interval {
        assert!(self.least >= -(1 << (63 - N)), "a sign is lost");
        assert!(self.most < 1 << (64 - N), "bits are lost");
        Interval { least: self.least << N, most: self.most << N }
    }

    fn shr<const N: u32>(self) -> Interval {
        self.shr_by(N)
    }

    #[inline(never)]
    fn sar<const N: u32>(self) -> Interval {
        let Interval { least, most } = Interval::sum(self.least, self.most);
        Interval { least: least >> N, most: most >> N }
    }

    #[inline(never)]
    fn shr_by(self, count: u32) -> Interval {
        let Interval { least, most } = Interval::bits(self.least, self.most);
        Interval { least: least >> count, most: most >> count }
    }

    #[inline(never)]
    fn funnel<const N: u32>(self, high: Interval) -> Interval {
        let _ = (Interval::bits(self.least, self.most), Interval::bits(high.least, high.most));
        Interval { least: 0, most: u64::MAX.into() }
    }

    fn zeros(self) -> Mask {
        0
    }

    fn blend(self, _: Mask, then: Interval) -> Interval {
        self.hull(then)
    }

    /// Anything.
    fn from_rows(_: [&Row; LANES]) -> [Interval; 8] {
        [Interval { least: 0, most: u64::MAX.into() }; 8]
    }

    fn to_rows(words: [Interval; 8], _: [&mut Row; LANES]) {
        for word in words {
            let _ = Interval::bits(word.least, word.most);
        }
    }
}
