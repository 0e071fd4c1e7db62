//! The native `weft` command.
fn main() {}
