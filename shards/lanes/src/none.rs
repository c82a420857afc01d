//! In place of `instructions.rs` on processors that are not of its kind: there is nothing to detect.

/// Nobody has one.
#[derive(Clone, Copy)]
pub struct Ifma(());

impl Ifma {
    /// There are none.
    pub fn detect() -> Option<Ifma> {
        None.map(Ifma)
    }
}
