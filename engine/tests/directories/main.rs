//! A partition's directory as a whole: those that earlier builds wrote open, and damage anywhere in one is
//! noticed.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

mod damage;
mod golden;
mod support;
