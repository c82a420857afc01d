//! caesure
fn main() {}
