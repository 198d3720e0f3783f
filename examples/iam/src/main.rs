//! Reference server: iam.
fn main() {}
