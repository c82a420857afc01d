fn main() { println!("{}", bitcoinkernel::VERIFY_ALL); }
