//! Operations of scripts by number, and scripts taken apart and put together. Decides nothing of what they do.

/// An operation's number.
pub type Op = u8;

macro_rules! ops {
    ($($name:ident = $number:expr;)*) => { $(#[allow(missing_docs)] pub const $name: Op = $number;)* };
}

ops! {
    PUSHDATA1 = 0x4c; PUSHDATA2 = 0x4d; PUSHDATA4 = 0x4e; ONE_NEGATE = 0x4f; RESERVED = 0x50; ONE = 0x51; SIXTEEN = 0x60;
    NOP = 0x61; VER = 0x62; IF = 0x63; NOTIF = 0x64; VERIF = 0x65; VERNOTIF = 0x66; ELSE = 0x67; ENDIF = 0x68;
    VERIFY = 0x69; RETURN = 0x6a; TOALTSTACK = 0x6b; FROMALTSTACK = 0x6c; TWODROP = 0x6d; TWODUP = 0x6e;
    THREEDUP = 0x6f; TWOOVER = 0x70; TWOROT = 0x71; TWOSWAP = 0x72; IFDUP = 0x73; DEPTH = 0x74; DROP = 0x75;
    DUP = 0x76; NIP = 0x77; OVER = 0x78; PICK = 0x79; ROLL = 0x7a; ROT = 0x7b; SWAP = 0x7c; TUCK = 0x7d; CAT = 0x7e;
    SIZE = 0x82; EQUAL = 0x87; EQUALVERIFY = 0x88; ONEADD = 0x8b; ONESUB = 0x8c; NEGATE = 0x8f; ABS = 0x90;
    NOT = 0x91; ZERONOTEQUAL = 0x92; ADD = 0x93; SUB = 0x94; BOOLAND = 0x9a; BOOLOR = 0x9b; NUMEQUAL = 0x9c;
    NUMEQUALVERIFY = 0x9d; NUMNOTEQUAL = 0x9e; LESSTHAN = 0x9f; GREATERTHAN = 0xa0; LESSTHANOREQUAL = 0xa1;
    GREATERTHANOREQUAL = 0xa2; MIN = 0xa3; MAX = 0xa4; WITHIN = 0xa5; RIPEMD160 = 0xa6; SHA1 = 0xa7; SHA256 = 0xa8;
    HASH160 = 0xa9; HASH256 = 0xaa; CODESEPARATOR = 0xab; CHECKSIG = 0xac; CHECKSIGVERIFY = 0xad;
    CHECKMULTISIG = 0xae; CHECKMULTISIGVERIFY = 0xaf; NOP1 = 0xb0; CLTV = 0xb1; CSV = 0xb2; NOP4 = 0xb3;
    CHECKSIGADD = 0xba; INVALID = 0xff;
}

/// Disabled wherever they stand, before Tapscript.
pub const DISABLED: [Op; 15] =
    [0x7e, 0x7f, 0x80, 0x81, 0x83, 0x84, 0x85, 0x86, 0x8d, 0x8e, 0x95, 0x96, 0x97, 0x98, 0x99];

/// What makes a Tapscript succeed at once (BIP342).
pub fn is_success(op: Op) -> bool {
    matches!(op, 80 | 98 | 126..=129 | 131..=134 | 137..=138 | 141..=142 | 149..=153 | 187..=254)
}

/// Appends a push as short as it can be, small numbers as their operation.
pub fn push(script: &mut Vec<u8>, data: &[u8]) {
    match data {
        [] => script.push(0),
        [number @ 1..=16] => script.push(RESERVED + number),
        [0x81] => script.push(ONE_NEGATE),
        _ => push_as(script, data, 0),
    }
}

/// Appends a push by bytes, in a form that is `longer` steps longer than the shortest.
pub fn push_as(script: &mut Vec<u8>, data: &[u8], longer: usize) {
    let shortest = match data.len() {
        0..=0x4b => 0,
        0x4c..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 3,
    };
    match (shortest + longer).min(3) {
        0 => script.push(data.len() as u8),
        1 => script.extend([PUSHDATA1, data.len() as u8]),
        2 => {
            script.push(PUSHDATA2);
            script.extend((data.len() as u16).to_le_bytes());
        }
        _ => {
            script.push(PUSHDATA4);
            script.extend((data.len() as u32).to_le_bytes());
        }
    }
    script.extend(data);
}

/// Appends the push of a number.
pub fn push_number(script: &mut Vec<u8>, number: i64) {
    push(script, &encode(number));
}

/// A number as scripts write it: little-endian, the sign in the last byte's first bit.
pub fn encode(number: i64) -> Vec<u8> {
    let (mut bytes, mut left) = (Vec::new(), number.unsigned_abs());
    while left > 0 {
        bytes.push(left as u8);
        left >>= 8;
    }
    if bytes.last().is_some_and(|last| last & 0x80 != 0) {
        bytes.push(0);
    }
    if let Some(last) = bytes.last_mut().filter(|_| number < 0) {
        *last |= 0x80;
    }
    bytes
}

/// A number as scripts read it, if it has at most eight bytes.
pub fn decode(bytes: &[u8]) -> Option<i64> {
    let (last, first) = bytes.split_last().unwrap_or((&0, &[]));
    if first.len() > 7 {
        return None;
    }
    let size = [first, &[last & 0x7f]].concat().iter().rev().fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
    Some(if last & 0x80 != 0 { -size } else { size })
}

/// Whether bytes are true: any but zeros, and a last byte of 0x80 is a zero's sign.
pub fn is_true(bytes: &[u8]) -> bool {
    bytes.split_last().is_some_and(|(last, first)| first.iter().any(|byte| *byte != 0) || !matches!(last, 0 | 0x80))
}

/// An operation of a script: its number, its whole bytes and what it pushes.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The number.
    pub op: Op,
    /// With its data.
    pub whole: &'a [u8],
    /// The data alone.
    pub data: &'a [u8],
}

/// A script's operations; the second part is what cannot be read.
pub fn pieces(script: &[u8]) -> (Vec<Piece<'_>>, &[u8]) {
    let (mut all, mut rest) = (Vec::new(), script);
    while let Some(piece) = first(rest) {
        all.push(piece);
        rest = &rest[piece.whole.len()..];
    }
    (all, rest)
}

fn first(script: &[u8]) -> Option<Piece<'_>> {
    let op = *script.first()?;
    let sized = |bytes: usize| {
        let size = script.get(1..1 + bytes)?.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        Some((1 + bytes, size))
    };
    let (start, size) = match op {
        0..PUSHDATA1 => (1, usize::from(op)),
        PUSHDATA1 => sized(1)?,
        PUSHDATA2 => sized(2)?,
        PUSHDATA4 => sized(4)?,
        _ => (1, 0),
    };
    Some(Piece { op, whole: script.get(..start + size)?, data: &script[start..start + size] })
}

/// What a legacy signature signs of a script: all but OP_CODESEPARATOR (Core `CTransactionSignatureSerializer`).
pub fn without_codeseparators(script: &[u8]) -> Vec<u8> {
    let (all, rest) = pieces(script);
    let kept = all.iter().filter(|piece| piece.op != CODESEPARATOR).map(|piece| piece.whole);
    [&kept.collect::<Vec<_>>().concat(), rest].concat()
}
