//! Without AVX-512 there are no lanes.

use crate::{BLOCK, Job};

pub fn is_there() -> bool {
    false
}

pub fn sha256d(_: &[u8], _: &[Job], _: &mut [[u8; 32]]) {
    unreachable!("nobody asks where there are none")
}

pub fn pairs(_: &[[u8; BLOCK]], _: &mut [[u8; 32]]) {
    unreachable!("nobody asks where there are none")
}
