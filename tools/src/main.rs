//! `logmill`: the broker and the tools for the people who run it.

fn main() {}
