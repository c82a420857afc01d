//! Runs caesure and Bitcoin Core's own code side by side, and stops at the first difference. Decides nothing itself.

mod scripts;

use clap::{Parser, Subcommand};

/// Compares caesure's verdicts with Bitcoin Core's.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Spends that the generator of tests/scripts invents, and mutations of Core's vectors and of real inputs.
    Scripts(scripts::Args),
}

fn main() {
    match Args::parse().what {
        What::Scripts(args) => scripts::run(&args),
    }
}
