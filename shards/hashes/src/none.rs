//! Without AVX-512 there are no lanes.

use crate::LANES;

pub fn is_there() -> bool {
    false
}

pub fn sha256d(_: &[u8], _: &[u32; LANES], _: &[u32; LANES]) -> [[u8; 32]; LANES] {
    unreachable!("nobody asks where there are none")
}
