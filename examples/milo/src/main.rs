//! Reference server: milo.
fn main() {}
