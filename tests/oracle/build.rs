//! Compiles `src/names.cpp` against the headers of the Bitcoin Core that libbitcoinkernel-sys carries: its own interface
//! says yes or no, and the name of the error is wanted too.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    let cargo = std::env::var("CARGO").expect("cargo runs this");
    let metadata = Command::new(cargo).args(["metadata", "--format-version", "1", "--locked"]).output();
    let metadata = String::from_utf8(metadata.expect("cargo metadata").stdout).expect("UTF-8");
    let manifest = metadata
        .split('"')
        .find(|text| text.contains("libbitcoinkernel-sys-") && text.ends_with("Cargo.toml"))
        .expect("libbitcoinkernel-sys is a dependency");
    let core = PathBuf::from(manifest).with_file_name("bitcoin").join("src");
    println!("cargo:rerun-if-changed=src/names.cpp");
    cc::Build::new().cpp(true).std("c++20").include(core).warnings(false).file("src/names.cpp").compile("names");
}
