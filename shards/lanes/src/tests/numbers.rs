//! The field and the scalars beside integers of any size, at the edges and at random; registers beside the scalar model,
//! limb by limb.

use crate::Zmm;
use crate::apart::Apart;
use crate::field::Fe;
use crate::fused::Field;
use crate::group::{G_WORD_BITS, KEY_WORD_BITS};
use crate::model::Model;
use crate::point::{BETA, inverse, root};
use crate::scalar::{self, N, Scalar, generator_windows, key_windows};
use crate::spelled::Zmm as Spelled;
use crate::tests::{Draw, big, registers, to_words};
use crate::twin::Twin;
use crate::word::{LANES, LIMB, Lanewise, Word};
use num_bigint::BigUint;
use std::array::from_fn;

fn p() -> BigUint {
    (BigUint::from(1u8) << 256u32) - ((1u64 << 32) + 977)
}

fn n() -> BigUint {
    big(&N)
}

/// Limbs as they may be: at the edges and in between, reduced and not.
fn limbs(draw: &mut Draw) -> [u64; 5] {
    let bound = |index| if index == 4 { (1 << 50) - 1 } else { LIMB };
    let words = match draw.below(8) {
        0 => return from_fn(bound),
        1 => return from_fn(|index| draw.edge() & bound(index)),
        // Around p, 2p and 2^256.
        2 => to_words(&(p() + draw.below(5) - 2u8)),
        3 => to_words(&BigUint::from(draw.below(3))),
        4 => [!0; 4],
        5 => {
            let mut one = [0; 4];
            one[draw.below(4) as usize] = 1 << draw.below(64);
            one
        }
        _ => from_fn(|_| draw.next()),
    };
    let wide = big(&words);
    from_fn(|index| u64::try_from((&wide >> (52 * index)) & BigUint::from(bound(index))).unwrap())
}

/// Elements for all lanes, with the numbers they are.
fn elements<W: Word>(draw: &mut Draw) -> (Apart<Fe<W>>, [BigUint; LANES]) {
    let lanes: [[u64; 5]; LANES] = from_fn(|_| limbs(draw));
    let column = |index| -> Lanewise { from_fn(|lane| lanes[lane][index]) };
    (Apart(Fe(from_fn(|index| W::load(&column(index))))), lanes.map(|limbs| number(&limbs)))
}

fn number(limbs: &[u64; 5]) -> BigUint {
    limbs.iter().rev().fold(BigUint::ZERO, |sum, limb| (sum << 52u32) + limb)
}

fn numbers<W: Word>(element: Fe<W>) -> [BigUint; LANES] {
    let columns = element.0.map(Word::store);
    from_fn(|lane| {
        let limbs = columns.map(|column| column[lane]);
        assert!(limbs.iter().all(|limb| *limb <= LIMB), "a limb of more than 52 bits: {limbs:x?}");
        number(&limbs)
    })
}

/// Holds what an operation gave against what integers give, modulo p.
#[inline(never)]
fn same<W: Word>(what: &str, element: Apart<Fe<W>>, expected: &dyn Fn(usize) -> BigUint) {
    for (lane, found) in numbers(element.0).into_iter().enumerate() {
        assert_eq!(found % p(), expected(lane) % p(), "{what}, lane {lane}");
    }
}

/// Something to take away from.
fn much() -> BigUint {
    p() << 300u32
}

fn field<W: Word>(draw: &mut Draw) {
    let ((a, na), (b, nb), (c, nc), (d, nd)) = (elements::<W>(draw), elements(draw), elements(draw), elements(draw));
    let negative = draw.next() as u8;
    let is_negative = |lane: usize| negative >> lane & 1 == 1;
    let signed = |lane: usize, value: BigUint| if is_negative(lane) { much() - value } else { value };
    same("mul", a.mul(b), &|l| &na[l] * &nb[l]);
    same("mul_shl 1", a.mul_shl::<1>(b), &|l| &na[l] * &nb[l] * 2u8);
    same("mul_shl 2", a.mul_shl::<2>(b), &|l| &na[l] * &nb[l] * 4u8);
    same("mul_shl 3", a.mul_shl::<3>(b), &|l| &na[l] * &nb[l] * 8u8);
    same("mul_plus", a.mul_plus(b, c), &|l| &na[l] * &nb[l] + &nc[l]);
    same("mul_minus", a.mul_minus(b, c), &|l| much() + &na[l] * &nb[l] - &nc[l]);
    let found = a.mul_signed_minus(b, negative.into(), c);
    same("mul_signed_minus", found, &|l| much() + signed(l, &na[l] * &nb[l]) - &nc[l]);
    same("minus_mul_mul", a.minus_mul_mul(b, c, d), &|l| much() - &na[l] * &nb[l] - &nc[l] * &nd[l]);
    same("minus_mul_sqr8", a.minus_mul_sqr8(b, c), &|l| much() - &na[l] * &nb[l] - &nc[l] * &nc[l] * 8u8);
    same("sqr", a.sqr(), &|l| &na[l] * &na[l]);
    same("sqr_times3", a.sqr_times3(), &|l| &na[l] * &na[l] * 3u8);
    same("sqr_minus_2_3", a.sqr_minus_2_3(b).0, &|l| much() + &na[l] * &na[l] - &nb[l] * 2u8);
    same("sqr_minus_2_3", a.sqr_minus_2_3(b).1, &|l| much() + &na[l] * &na[l] - &nb[l] * 3u8);
    let (two, three) = a.sqr_minus_1_2_3(b, c);
    same("sqr_minus_1_2_3", two, &|l| much() + &na[l] * &na[l] - &nb[l] - &nc[l] * 2u8);
    same("sqr_minus_1_2_3", three, &|l| much() + &na[l] * &na[l] - &nb[l] - &nc[l] * 3u8);
    same("sqr_minus_minus", a.sqr_minus_minus(b, c), &|l| much() + &na[l] * &na[l] - &nb[l] - &nc[l]);
    same("minus", a.minus(b), &|l| much() + &na[l] - &nb[l]);
    same("negated_in", a.negated_in(negative.into()), &|l| signed(l, na[l].clone()));
    same("blend", Apart(a.0.blend(negative, b.0)), &|l| if is_negative(l) { nb[l].clone() } else { na[l].clone() });
    let packed = a.0.pack().map(Word::store);
    let canonical = numbers(a.0.canonical());
    for lane in 0..LANES {
        assert_eq!(big(&packed.map(|word| word[lane])) % p(), &na[lane] % p(), "pack, lane {lane}");
        assert_eq!(canonical[lane], &na[lane] % p(), "canonical, lane {lane}");
        assert_eq!(a.zeros() >> lane & 1 == 1, &na[lane] % p() == BigUint::ZERO, "zeros, lane {lane}");
        assert_eq!(a.odds() >> lane & 1 == 1, (&na[lane] % p()).bit(0), "odds, lane {lane}");
        assert_eq!(a.minus(a).zeros(), 0xff, "a - a");
    }
    let words: [Lanewise; 4] = from_fn(|_| from_fn(|_| draw.edge()));
    let unpacked = Fe::<W>::unpack([W::load(&words[0]), W::load(&words[1]), W::load(&words[2]), W::load(&words[3])]);
    same("unpack", Apart(unpacked), &|lane| big(&words.map(|word| word[lane])));
    twin(draw, negative, [a, b, c, d]);
}

#[inline(never)]
fn check<W: Word>(what: &str, found: Twin<Apart<Fe<W>>>, first: Apart<Fe<W>>, second: Apart<Fe<W>>) {
    let limbs = |element: Apart<Fe<W>>| element.0.0.map(Word::store);
    assert_eq!((limbs(found.0), limbs(found.1)), (limbs(first), limbs(second)), "{what}");
}

/// Two groups side by side are what each of them is, with its own part of the mask.
fn twin<W: Word>(draw: &mut Draw, negative: u8, [a, b, c, d]: [Apart<Fe<W>>; 4]) {
    let other = draw.next() as u8;
    let (pair, reverse) = (Twin(a, b), Twin(c, d));
    let masks = u16::from(negative) | u16::from(other) << 8;
    let (aside, across) = (Twin(b, c), Twin(d, a));
    let (p, q, r) = (pair, reverse, aside);
    check("mul", p.mul(q), a.mul(c), b.mul(d));
    check("mul_shl", p.mul_shl::<2>(q), a.mul_shl::<2>(c), b.mul_shl::<2>(d));
    check("mul_plus", p.mul_plus(q, r), a.mul_plus(c, b), b.mul_plus(d, c));
    check("mul_minus", p.mul_minus(q, r), a.mul_minus(c, b), b.mul_minus(d, c));
    let signed = p.mul_signed_minus(q, masks, r);
    check("signed", signed, a.mul_signed_minus(c, negative.into(), b), b.mul_signed_minus(d, other.into(), c));
    let found = p.minus_mul_mul(q, r, across);
    check("minus_mul_mul", found, a.minus_mul_mul(c, b, d), b.minus_mul_mul(d, c, a));
    check("minus_mul_sqr8", p.minus_mul_sqr8(q, r), a.minus_mul_sqr8(c, b), b.minus_mul_sqr8(d, c));
    check("sqr", p.sqr(), a.sqr(), b.sqr());
    check("sqr_times3", p.sqr_times3(), a.sqr_times3(), b.sqr_times3());
    check("sqr_minus_2_3", p.sqr_minus_2_3(q).0, a.sqr_minus_2_3(c).0, b.sqr_minus_2_3(d).0);
    check("sqr_minus_2_3", p.sqr_minus_2_3(q).1, a.sqr_minus_2_3(c).1, b.sqr_minus_2_3(d).1);
    let (found, first, second) = (p.sqr_minus_1_2_3(q, r), a.sqr_minus_1_2_3(c, b), b.sqr_minus_1_2_3(d, c));
    check("sqr_minus_1_2_3", found.0, first.0, second.0);
    check("sqr_minus_1_2_3", found.1, first.1, second.1);
    check("sqr_minus_minus", p.sqr_minus_minus(q, r), a.sqr_minus_minus(c, b), b.sqr_minus_minus(d, c));
    check("minus", p.minus(q), a.minus(c), b.minus(d));
    check("negated_in", p.negated_in(masks), a.negated_in(negative.into()), b.negated_in(other.into()));
    assert_eq!(p.zeros(), a.zeros() | b.zeros() << 8);
    assert_eq!(p.odds(), a.odds() | b.odds() << 8);
}

#[test]
fn the_field_is_that_of_integers() {
    let mut draw = Draw::new(1);
    for _ in 0..400 {
        field::<Model>(&mut draw);
    }
    let (mut draw, registers) = (Draw::new(2), registers());
    for _ in 0..2_000 {
        if registers { field::<Zmm>(&mut draw) } else { field::<Spelled>(&mut draw) }
    }
}

fn roots<W: Word>() {
    let mut draw = Draw::new(3);
    let (a, na) = elements::<W>(&mut draw);
    same("root of a square, squared", root(a.sqr()).sqr(), &|l| &na[l] * &na[l]);
    let (minus_one, inverted) = (p() - 1u8, inverse(a));
    same("inverse", inverted, &|l| na[l].modpow(&(&minus_one - 1u8), &p()));
    same("β³", Apart::<Fe<W>>::splat(BETA).sqr().mul(Apart::splat(BETA)), &|_| BigUint::from(1u8));
    same("inverse of 0", inverse(Apart::<Fe<W>>::small(0)), &|_| BigUint::ZERO);
}

#[test]
fn roots_and_inverses() {
    roots::<Model>();
    roots::<Spelled>();
    if registers() {
        roots::<Zmm>();
    }
}

/// Limb by limb, not only modulo p.
#[test]
fn registers_do_what_the_model_does() {
    let registers = registers();
    let mut draw = Draw::new(4);
    for _ in 0..1_000 {
        let columns: [Lanewise; 20] = from_fn(|index| {
            let bits = if index % 5 == 4 { 50 } else { 52 };
            from_fn(|_| draw.edge() & ((1 << bits) - 1))
        });
        let mask = draw.next() as u8;
        let edges: [Lanewise; 8] = from_fn(|_| from_fn(|_| draw.edge()));
        let (all, each) = (everything::<Model>(&columns, mask), words::<Model>(&edges, mask));
        assert_eq!(all, everything::<Spelled>(&columns, mask));
        assert_eq!(each, words::<Spelled>(&edges, mask));
        if registers {
            assert_eq!(all, everything::<Zmm>(&columns, mask));
            assert_eq!(each, words::<Zmm>(&edges, mask));
        }
    }
}

fn everything<W: Word>(columns: &[Lanewise; 20], mask: u8) -> Vec<[Lanewise; 5]> {
    let element = |from: usize| Apart(Fe::<W>(from_fn(|index| W::load(&columns[from + index]))));
    let (a, b, c, d) = (element(0), element(5), element(10), element(15));
    let two_three = a.sqr_minus_2_3(b);
    let one_two_three = c.sqr_minus_1_2_3(d, b);
    let all = [
        a.mul(b),
        a.mul_shl::<2>(b),
        a.mul_minus(b, c),
        a.mul_signed_minus(b, mask.into(), c),
        a.minus_mul_mul(b, c, d),
        a.minus_mul_sqr8(b, c),
        a.sqr(),
        a.sqr_times3(),
        two_three.0,
        two_three.1,
        one_two_three.0,
        one_two_three.1,
        a.minus(d),
        a.negated_in(mask.into()),
        Apart(a.0.canonical()),
    ];
    all.into_iter().map(|element| element.0.0.map(Word::store)).collect()
}

fn words<W: Word>(lanes: &[Lanewise; 8], mask: u8) -> (Vec<Lanewise>, u8) {
    let w: [W; 8] = from_fn(|index| W::load(&lanes[index]));
    let all = [
        w[0].lo_cut(w[1], w[2]),
        w[0].hi_cut(w[1], w[2]),
        w[3].add(w[4]),
        w[3].sub(w[4]),
        w[5].and(w[6]),
        w[5].or(w[6]),
        w[7].shl::<12>(),
        w[7].shr::<12>(),
        w[7].sar::<48>(),
        w[7].shr_by(55),
        w[7].funnel::<28>(w[6]),
        w[0].blend(mask, w[1]),
    ];
    let mut rows = [crate::word::Row([0; 8]); LANES];
    W::to_rows(w, rows.each_mut());
    let back = W::from_rows(rows.each_ref());
    let zeros = w[0].blend(mask, W::splat(0)).zeros();
    let rows = rows.map(|row| row.0);
    (all.into_iter().chain(back).map(Word::store).chain(rows).collect(), zeros)
}

/// Scalars at the edges and in between.
fn scalar(draw: &mut Draw) -> Scalar {
    let value = match draw.below(6) {
        0 => BigUint::from(draw.below(4)),
        1 => n() - 1u8 - draw.below(4),
        2 => BigUint::from(1u8) << draw.below(256),
        3 => big(&from_fn(|_| draw.edge())),
        _ => big(&from_fn(|_| draw.next())),
    };
    Scalar::checked(to_words(&(value % n()))).unwrap()
}

/// Its size.
fn size(words: [u64; 3]) -> BigUint {
    let value = words.iter().rev().fold(BigUint::ZERO, |sum, word| (sum << 64u32) + word);
    if words[2] >> 63 == 1 { (BigUint::from(1u8) << 192u32) - value } else { value }
}

/// Two's complement of 192 bits, modulo n.
fn signed(words: [u64; 3]) -> BigUint {
    let value = words.iter().rev().fold(BigUint::ZERO, |sum, word| (sum << 64u32) + word);
    if words[2] >> 63 == 1 { (n() << 192u32) + value - (BigUint::from(1u8) << 192u32) } else { value }
}

#[test]
fn scalars_are_integers_modulo_n() {
    let mut draw = Draw::new(5);
    let lambda = BigUint::parse_bytes(b"5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72", 16).unwrap();
    for _ in 0..5_000 {
        let (a, b) = (scalar(&mut draw), scalar(&mut draw));
        assert_eq!(big(&a.mul(b).0), big(&a.0) * big(&b.0) % n(), "{a:?} {b:?}");
        assert_eq!((big(&a.negated().0) + big(&a.0)) % n(), BigUint::ZERO);
        let any = from_fn(|_| draw.edge());
        assert_eq!(big(&Scalar::reduced(any).0), big(&any) % n());
        assert_eq!(Scalar::checked(any).is_some(), big(&any) < n());
        assert_eq!(scalar::below_p(any), big(&any) < p());
        let more = big(&any) + n();
        assert_eq!(scalar::plus_n_below_p(any).map(|more| big(&more)), Some(more).filter(|more| *more < p()));
        let [first, second] = key_windows(a).map(scalar::value::<KEY_WORD_BITS>);
        assert_eq!((signed(first) + signed(second) * &lambda) % n(), big(&a.0), "{a:?}");
        let [low, high] = generator_windows(a).map(scalar::value::<G_WORD_BITS>);
        assert_eq!((signed(low) + (signed(high) << 128u32)) % n(), big(&a.0), "{a:?}");
        // As `key_windows` says: 1.92 and 1.64 times 2^128, in hundredths.
        for (half, hundredths) in [(first, 193u32), (second, 165)] {
            assert!(size(half) * 100u8 < (BigUint::from(1u8) << 128u32) * hundredths, "{a:?}");
        }
        assert!([first[0], second[0], low[0], high[0]].iter().all(|word| word & 1 == 1), "odd halves");
    }
    assert_eq!(Scalar::nonzero([0; 4]), None);
    assert_eq!(Scalar::nonzero(N), None);
    assert_eq!(scalar::plus_n_below_p([0; 4]), Some(N));
    let last = p() - n() - 1u8;
    assert_eq!(scalar::plus_n_below_p(to_words(&last)), Some(to_words(&(p() - 1u8))));
    for more in 1..4u8 {
        assert_eq!(scalar::plus_n_below_p(to_words(&(&last + more))), None, "p and more");
    }
}

/// The last step of a product goes beyond 2^256 only for products that are just above 2^256 − n modulo n: none by chance.
#[test]
fn products_that_are_small_modulo_n() {
    let mut draw = Draw::new(7);
    let rest = (BigUint::from(1u8) << 256u32) - n();
    for _ in 0..500 {
        let a = Scalar([draw.next(), draw.next(), draw.next(), u64::MAX - 1 - draw.below(1 << 60)]);
        let small = Scalar::checked(to_words(&(&rest + draw.next()))).unwrap();
        assert_eq!(a.mul(a.inverse().mul(small)), small);
    }
}

#[test]
fn scalars_are_inverted_together() {
    let mut draw = Draw::new(6);
    let all: Vec<Scalar> = std::iter::repeat_with(|| scalar(&mut draw)).filter(|a| a.0 != [0; 4]).take(50).collect();
    for count in [1, 2, 50] {
        let mut inverses = all[..count].to_vec();
        Scalar::invert(&mut inverses, &mut vec![Scalar::ONE; count]);
        for (a, inverse) in all.iter().zip(inverses) {
            assert_eq!(a.mul(inverse), Scalar::ONE, "{a:?}");
        }
    }
}
