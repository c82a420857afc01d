//! The program: gives it memory in huge pages, and calls. All it does lies in the library beside it, which measurements use too.

use std::process::ExitCode;
use tuning::pages::HugePages;

#[global_allocator]
static MEMORY: HugePages = HugePages;

fn main() -> ExitCode {
    caesure::main()
}
