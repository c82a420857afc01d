//! Decides the names of the rules that scripts may be under, those of consensus and those of
//! policy, and which bind from the other on. Never knows a height: see [`crate::Params`].

use std::{fmt, ops::BitOr, str::FromStr};

/// A set of script rules. The bits are Core's `script_verify_flag_name`.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Flags(u32);

macro_rules! flags {
    ($($name:ident $bit:literal $what:literal)*) => {
        impl Flags {
            $(#[doc = $what] pub const $name: Flags = Flags(1 << $bit);)*

            /// Each flag with its name and what it asks for.
            pub const ALL: &[(Flags, &str, &str)] = &[$((Flags::$name, stringify!($name), $what)),*];
        }
    };
}

flags! {
    P2SH 0 "The script whose hash a coin names is run too (BIP16)."
    STRICTENC 1 "Keys and hash types must be of the known kinds."
    DERSIG 2 "ECDSA signatures must be strict DER (BIP66)."
    LOW_S 3 "S must not be above half the order."
    NULLDUMMY 4 "The item that CHECKMULTISIG takes too many must be empty (BIP147)."
    SIGPUSHONLY 5 "Input scripts must only push."
    MINIMALDATA 6 "Pushes and numbers must be as short as can be."
    DISCOURAGE_UPGRADABLE_NOPS 7 "NOPs without a meaning yet must not be executed."
    CLEANSTACK 8 "One item must be left."
    CHECKLOCKTIMEVERIFY 9 "NOP2 compares with the lock time (BIP65)."
    CHECKSEQUENCEVERIFY 10 "NOP3 compares with the sequence (BIP112)."
    WITNESS 11 "Witness programs are run (BIP141)."
    DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM 12 "Witness versions without a meaning yet must not be spent."
    MINIMALIF 13 "In witness scripts, IF takes only an empty item or 01."
    NULLFAIL 14 "A signature that fails must be empty."
    WITNESS_PUBKEYTYPE 15 "In witness scripts, keys must be compressed."
    CONST_SCRIPTCODE 16 "Outside witnesses, what is signed must not depend on CODESEPARATOR or on removed signatures."
    TAPROOT 17 "Version 1 programs of 32 bytes are keys (BIP341, BIP342)."
    DISCOURAGE_UPGRADABLE_TAPROOT_VERSION 18 "Leaf versions without a meaning yet must not be spent."
    DISCOURAGE_OP_SUCCESS 19 "OP_SUCCESS must not occur."
    DISCOURAGE_UPGRADABLE_PUBKEYTYPE 20 "Key types without a meaning yet must not be used."
}

impl Flags {
    /// None of the rules.
    pub const NONE: Flags = Flags(0);

    /// The flags that consensus knows, in any combination that [`Flags::sound`] accepts.
    pub const CONSENSUS: Flags = Flags(
        Flags::P2SH.0
            | Flags::DERSIG.0
            | Flags::NULLDUMMY.0
            | Flags::CHECKLOCKTIMEVERIFY.0
            | Flags::CHECKSEQUENCEVERIFY.0
            | Flags::WITNESS.0
            | Flags::TAPROOT.0,
    );

    /// Whether all of `other` are among these.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is among these.
    pub const fn any(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// These without `other`.
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// One bit for each, as in Core.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The set with these bits; `None` if one of them has no meaning.
    pub const fn from_bits(bits: u32) -> Option<Flags> {
        if bits >> Flags::ALL.len() == 0 { Some(Flags(bits)) } else { None }
    }

    /// Whether each rule comes with those it needs to be a soft fork: WITNESS with P2SH, CLEANSTACK
    /// with both. The machine refuses to run otherwise, as Core asserts.
    pub const fn sound(self) -> bool {
        (!self.has(Flags::WITNESS) || self.has(Flags::P2SH))
            && (!self.has(Flags::CLEANSTACK) || self.has(Flags(Flags::WITNESS.0 | Flags::P2SH.0)))
    }
}

impl BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// Names with commas between, `NONE` for none.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Flags::ALL.iter().filter(|(flag, ..)| self.has(*flag)).map(|(_, name, _)| *name).collect();
        f.pad(&if names.is_empty() { "NONE".to_owned() } else { names.join(",") })
    }
}

/// The text names something that is no flag.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no script flag is called {0:?}: expected names such as P2SH,WITNESS or NONE")]
pub struct UnknownFlag(String);

impl FromStr for Flags {
    type Err = UnknownFlag;
    fn from_str(text: &str) -> Result<Flags, UnknownFlag> {
        let names = text.split(',').filter(|name| !name.is_empty() && *name != "NONE");
        names.map(flag_named).try_fold(Flags::NONE, |all, flag| Ok(all | flag?))
    }
}

fn flag_named(name: &str) -> Result<Flags, UnknownFlag> {
    let found = Flags::ALL.iter().find(|(_, known, _)| *known == name);
    found.map(|(flag, ..)| *flag).ok_or_else(|| UnknownFlag(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_bits_and_needs() {
        for (i, (flag, name, what)) in Flags::ALL.iter().enumerate() {
            assert_eq!((flag.bits(), flag.to_string().as_str()), (1 << i, *name), "{what}");
            assert_eq!(name.parse(), Ok(*flag));
        }
        let both = Flags::P2SH | Flags::WITNESS;
        assert_eq!(both.to_string(), "P2SH,WITNESS");
        assert_eq!("P2SH,WITNESS".parse(), Ok(both));
        assert_eq!(("NONE".parse(), "".parse()), (Ok(Flags::NONE), Ok(Flags::NONE)));
        assert!("P2SH,P3SH".parse::<Flags>().unwrap_err().to_string().contains("\"P3SH\""));
        assert!(both.has(Flags::P2SH) && !Flags::P2SH.has(both) && Flags::P2SH.any(both));
        assert_eq!(both.without(Flags::WITNESS), Flags::P2SH);
        assert!(both.sound() && Flags::CONSENSUS.sound() && !Flags::WITNESS.sound());
        assert!(!(Flags::CLEANSTACK | Flags::P2SH).sound() && (Flags::CLEANSTACK | both).sound());
        assert_eq!((Flags::from_bits(3), Flags::from_bits(1 << 21)), (Some(Flags::P2SH | Flags::STRICTENC), None));
    }
}
