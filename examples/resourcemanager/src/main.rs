//! Reference server: resourcemanager.
fn main() {}
