//! Placeholder entry; the modules land with the parts that need them.
fn main() {}
